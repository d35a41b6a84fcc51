/* SPDX-License-Identifier: MIT */
/*
 * A QEMU without a guest. It speaks enough QMP for a whole life of an instance, in some hundred KiB of
 * memory, and misbehaves as it is told. The build puts it into its folder fake-qemu under the names of the
 * real ones; tests put that folder first in PATH (harness/piagent.py: fake_qemu()).
 *
 * Of the argv it reads -uuid, the fd= of the -chardev sockets named qmp, console, agent and identity, and the folder in
 * -smbios file=. Its guest says hello on the console when it first runs, writes what is typed into the file
 * "typed" in the instance's folder and answers nothing, and powers off at the first system_powerdown.
 *
 * Each -netdev dgram is a card: the frames that come to it are added to the file "frames" in the instance's folder, a line of
 * hexadecimal digits each, and the line "frame=HEX" of the rules sends one on the first card.
 *
 * The file "fake-qemu" in the instance's folder, else the variable FAKE_QEMU, holds the words that tell it
 * what to do, with spaces or newlines between them. It reads them at its start and again at each SIGUSR1, which
 * stays pending until the new words count (harness/piagent.py: tell_fake()).
 *
 *   silent=WHEN    the monitor answers nothing any more
 *   close=WHEN     the monitor hangs up
 *   refuse=WHEN    the command is answered with an error
 *   ignore=WHEN    the command is answered, and not done
 *   exit=WHEN      it ends as from a crash, with exit code 1
 *   print=WHEN     the guest prints without end
 *   suspend=WHEN   the guest suspends itself
 *   events=WHEN    harmless events without end; resets=WHEN: of a guest that resets itself
 *   garbage=WHEN   lines without end that are not JSON; deep=WHEN: that are nested deeply
 *   line=WHEN      one line without end
 *   uuid=UUID      it is another instance
 *   status=NAME    what query-status tells, until cont, stop or powerdown change it
 *   netdev=old     it is older than 7.2 (only in FAKE_QEMU)
 *   version=11     it is QEMU 11, not 7.2: it takes a file by add-fd and "file:", and in no other way
 *   become=PATH    at the start: the real QEMU there takes its place
 *   frame=HEX      a whole line: sent on the first card, at SIGUSR1
 *   {...}          a whole line: sent on the monitor as it is, at SIGUSR1
 *   >...           a whole line: the guest prints the rest of it, at SIGUSR1
 *
 * Of the disk it knows the name of the node that is written to (query-block, blockdev-add, blockdev-snapshot).
 *
 * It saves its state (getfd or add-fd, migrate) as one line, which says whether its guest has said hello, and loads that line with
 * -incoming defer (migrate-incoming); anything else it refuses as QEMU does, with exit code 1. It saves again only when its guest
 * has run since.
 *
 * As QEMU does, it writes to the RAM of its guest when a connection to the guest agent or to the identity is closed, and when it ends
 * in order; it does so only if that is a file that others see (share=on).
 *
 * Its guest takes each identity that it is told (agent/seed/identity.h), and adds the line to the file "identity" in the
 * instance's folder; ignore=identity: it does not; refuse=identity: it answers that it has failed.
 *
 * WHEN is a QMP command, "greeting" (a client has connected), "SIGUSR1", or for ignore= also "SIGTERM".
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RULES_MAX     16
#define CARDS_MAX     8
#define FRAME_MAX     9018
#define TIMESTAMP     "\"timestamp\":{\"seconds\":1700000000,\"microseconds\":0}"
#define GREETING \
    "{\"QMP\":{\"version\":{\"qemu\":{\"micro\":0,\"minor\":2,\"major\":7},\"package\":\"fake\"},\"capabilities\":[\"oob\"]}}"
#define TEN(text) text text text text text text text text text text

/* A socket that listens, its one client, and what is to be sent to it. */
struct port {
    int listen_fd, fd;
    char out[4096];
    size_t size;
    const char *endless; /* sent again and again */
};

static struct port monitor = {.listen_fd = -1, .fd = -1}, console = {.listen_fd = -1, .fd = -1},
                   agent = {.listen_fd = -1, .fd = -1}, identity = {.listen_fd = -1, .fd = -1};
static struct {
    int fd;
    struct sockaddr_un to;
} cards[CARDS_MAX];
static size_t card_count;
static char **own_argv;
static char folder[1024], uuid[64], status[32] = "prelaunch";
static char rules_text[24576];
static struct {
    const char *what, *when;
} rules[RULES_MAX];
static size_t rule_count;
static const char *ram;         /* the file of the RAM that others see; NULL: there is none */
static bool silent, greeted;    /* greeted: the guest has said hello */
static int passed_fd = -1;      /* the newest that came over the monitor */
static int fdset_fd = -1;       /* the one of add-fd; real QEMUs keep several */
static char migration[16];      /* its status; "" = none was begun */
static char plugged[256] = ","; /* the ids of devices that were plugged in, between commas */
static const char *request;     /* the line of the command that runs */
static char disk_node[40] = "\"disk\"", added_node[40]; /* as they stand in a line: with quotes */
static char nodes[4096];                                /* the same, of all that were added */

/* Ports. Output that finds no room is lost. */

static void put(struct port *port, const char *text)
{
    size_t size = strlen(text);
    if (port->fd < 0 || size > sizeof port->out - port->size)
        return;
    memcpy(port->out + port->size, text, size);
    port->size += size;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    put(&monitor, line);
    put(&monitor, "\r\n");
}

static void event(const char *name, const char *data)
{
    if (!silent)
        say("{" TIMESTAMP ",\"event\":\"%s\"%s%s}", name, data ? ",\"data\":" : "", data ? data : "");
}

/* hw/char/virtio-serial-bus.c: virtio_serial_close() */
static void tell_guest_of_close(void)
{
    static char count;
    int fd = ram ? open(ram, O_WRONLY | O_CLOEXEC) : -1;
    count++;
    if (fd >= 0 && (pwrite(fd, &count, 1, 0) != 1 || close(fd) < 0))
        fprintf(stderr, "fake qemu: %s: %s\n", ram, strerror(errno));
}

static void hang_up(struct port *port)
{
    if (port == &agent || port == &identity)
        tell_guest_of_close();
    if (port->fd >= 0)
        close(port->fd);
    port->fd = -1;
    port->size = 0;
    port->endless = NULL;
}

static void flush(struct port *port)
{
    while (port->endless && port->size + strlen(port->endless) <= sizeof port->out)
        put(port, port->endless);
    ssize_t n = port->size ? send(port->fd, port->out, port->size, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    if (n > 0) {
        port->size -= (size_t)n;
        memmove(port->out, port->out + n, port->size);
    }
}

static _Noreturn void end(int code)
{
    if (monitor.fd >= 0)
        flush(&monitor);
    if (code == 0)
        tell_guest_of_close();
    exit(code);
}

/* Misbehaviour. */

static const struct {
    const char *name, *text;
} floods[] = {
    {"events", "{" TIMESTAMP ",\"event\":\"RTC_CHANGE\",\"data\":{\"offset\":0}}\r\n"},
    {"resets",
     "{" TIMESTAMP ",\"event\":\"RESET\",\"data\":{\"guest\":true,\"reason\":\"guest-reset\"}}\r\n"},
    {"garbage", "\033[2J\xff not JSON\r\n"},
    {"line", "{\"event\":\""},
    {"deep", TEN(TEN("[[[[[")) "\r\n"},
};

static void suspend(void)
{
    snprintf(status, sizeof status, "suspended");
    event("SUSPEND", NULL);
}

static void apply(const char *what)
{
    for (size_t i = 0; i < ARRAY_SIZE(floods); i++)
        if (!strcmp(what, floods[i].name))
            monitor.endless = floods[i].text;
    if (!strcmp(what, "silent"))
        silent = true;
    else if (!strcmp(what, "close"))
        hang_up(&monitor);
    else if (!strcmp(what, "exit"))
        end(1);
    else if (!strcmp(what, "suspend"))
        suspend();
    else if (!strcmp(what, "print"))
        console.endless = "All work and no play makes Jack a dull boy.\r\n";
}

static bool is_told(const char *what, const char *when)
{
    for (size_t i = 0; i < rule_count; i++)
        if (!strcmp(rules[i].what, what) && !strcmp(rules[i].when, when))
            return true;
    return false;
}

static void misbehave(const char *when)
{
    for (size_t i = 0; i < rule_count; i++)
        if (!strcmp(rules[i].when, when))
            apply(rules[i].what);
}

static void read_word(char *word)
{
    char *value = strchr(word, '=');
    if (!value || rule_count == RULES_MAX) {
        fprintf(stderr, "fake qemu: '%s' is not understood\n", word);
        end(2);
    }
    *value++ = '\0';
    if (!strcmp(word, "uuid"))
        snprintf(uuid, sizeof uuid, "%s", value);
    else if (!strcmp(word, "status"))
        snprintf(status, sizeof status, "%s", value);
    else if (!strcmp(word, "become"))
        execv(value, own_argv);
    else
        rules[rule_count].what = word, rules[rule_count++].when = value;
}

/* As QEMU does: nobody may listen there. */
static void send_frame(const char *digits)
{
    unsigned char frame[FRAME_MAX];
    size_t size = 0;
    while (size < sizeof frame && sscanf(digits + 2 * size, "%2hhx", &frame[size]) == 1)
        size++;
    if (card_count)
        sendto(cards[0].fd, frame, size, MSG_DONTWAIT, (const struct sockaddr *)&cards[0].to,
               sizeof cards[0].to);
}

static void keep_frames(int fd)
{
    unsigned char frame[FRAME_MAX];
    char path[sizeof folder + 8];
    ssize_t size;
    snprintf(path, sizeof path, "%s/frames", folder);
    while ((size = recv(fd, frame, sizeof frame, MSG_DONTWAIT)) > 0) {
        FILE *file = fopen(path, "a");
        for (ssize_t i = 0; file && i < size; i++)
            fprintf(file, "%02x", frame[i]);
        if (!file || fputc('\n', file) == EOF || fclose(file) != 0)
            end(1);
    }
}

/* dgram,id=net0,local.type=unix,local.path=PATH,remote.type=unix,remote.path=PATH */
static void add_card(const char *netdev)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX}, to = {.sun_family = AF_UNIX};
    if (card_count == CARDS_MAX ||
        sscanf(netdev,
               "dgram,id=%*[^,],local.type=unix,local.path=%107[^,],remote.type=unix,remote.path=%107s",
               local.sun_path, to.sun_path) != 2)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unlink(local.sun_path);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&local, sizeof local) < 0) {
        fprintf(stderr, "fake qemu: %s: %s\n", local.sun_path, strerror(errno));
        exit(1);
    }
    cards[card_count].fd = fd;
    cards[card_count++].to = to;
}

static void read_line(char *line)
{
    if (!strncmp(line, "frame=", strlen("frame="))) {
        send_frame(line + strlen("frame="));
        return;
    }
    char *word, *words = NULL;
    if (line[0] == '{') {
        say("%s", line);
        return;
    }
    if (line[0] == '>') {
        put(&console, line + 1);
        put(&console, "\r\n");
        return;
    }
    for (; (word = strtok_r(line, " ", &words)); line = NULL)
        read_word(word);
}

static void read_rules(void)
{
    char path[sizeof folder + 16], *lines = NULL;
    const char *variable = getenv("FAKE_QEMU");
    snprintf(path, sizeof path, "%s/fake-qemu", folder);
    snprintf(rules_text, sizeof rules_text, "%s", variable ? variable : "");
    FILE *file = fopen(path, "re");
    if (file) {
        rules_text[fread(rules_text, 1, sizeof rules_text - 1, file)] = '\0';
        fclose(file);
    }
    rule_count = 0;
    silent = false;
    monitor.endless = console.endless = NULL;
    for (char *line = strtok_r(rules_text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines))
        read_line(line);
}

/* Commands. */

static void cont(void)
{
    if (!strcmp(status, "suspended"))
        return;
    snprintf(status, sizeof status, "running");
    event("RESUME", NULL);
    if (!greeted)
        put(&console, "hello\r\n");
    greeted = true;
}

static void stop(void)
{
    if (!strcmp(status, "running"))
        event("STOP", NULL);
    if (strcmp(status, "postmigrate") != 0)
        snprintf(status, sizeof status, "paused");
}

static void poweroff(void)
{
    event("SHUTDOWN", "{\"guest\":true,\"reason\":\"guest-shutdown\"}");
    event("STOP", NULL);
    snprintf(status, sizeof status, "shutdown");
}

static void powerdown(void)
{
    event("POWERDOWN", NULL);
    if (strcmp(status, "suspended") != 0)
        poweroff();
}

static void reset(void)
{
    event("RESET", "{\"guest\":false,\"reason\":\"host-qmp-system-reset\"}");
    if (strcmp(status, "running") != 0)
        snprintf(status, sizeof status, "prelaunch");
}

static void wakeup(void)
{
    snprintf(status, sizeof status, "running");
    event("WAKEUP", NULL);
}

/* Migrations. A test sees that the vCPUs stood still before, and how the descriptor came. */

#define SAVED "state of the fake, hello=%d\n"

static bool is_new(void)
{
    return is_told("version", "11");
}

/* -1: this QEMU does not take it so. It opens a descriptor of a set only for what that was opened for. */
static int state_fd(int mode)
{
    bool by_file = strstr(request, "file:/dev/fdset/1");
    int fd = by_file ? fdset_fd : passed_fd;
    if (by_file != is_new() || fd < 0 || (by_file && (fcntl(fd, F_GETFL) & O_ACCMODE) != mode))
        return -1;
    return fd;
}

static void add_fd(void)
{
    fdset_fd = passed_fd;
}

static void remove_fd(void)
{
    close(fdset_fd);
    fdset_fd = -1;
}

static void migrate(void)
{
    char line[64];
    int size = snprintf(line, sizeof line, SAVED, greeted), fd = state_fd(O_WRONLY);
    bool done = !strcmp(status, "paused") && fd >= 0 && write(fd, line, (size_t)size) == size;
    snprintf(migration, sizeof migration, "%s", done ? "completed" : "failed");
    if (done)
        snprintf(status, sizeof status, "postmigrate");
}

static void load(void)
{
    char line[64] = "";
    int hello, fd = state_fd(O_RDONLY);
    if (fd < 0 || read(fd, line, sizeof line - 1) < 1 || sscanf(line, SAVED, &hello) != 1) {
        fprintf(stderr, "fake qemu: load of migration failed\n");
        end(1);
    }
    greeted = hello;
    snprintf(migration, sizeof migration, "completed");
    snprintf(status, sizeof status, "paused");
}

/* Disks. A test sees that the vCPUs stood still when the disk was frozen, and which node that was. */

static void member(const char *line, const char *name, char *ret, size_t size);

static char *find_node(const char *line)
{
    char name[40];
    member(line, "node-name", name, sizeof name);
    return strstr(nodes, name);
}

static void add_node(void)
{
    member(request, "node-name", added_node, sizeof added_node);
    snprintf(nodes + strlen(nodes), sizeof nodes - strlen(nodes), "%s", added_node);
}

static void delete_node(void)
{
    *find_node(request) = '-'; /* no name any more */
}

static void freeze_disk(void)
{
    char node[40], overlay[40];
    member(request, "node", node, sizeof node);
    member(request, "overlay", overlay, sizeof overlay);
    if (strcmp(status, "paused") != 0 || strcmp(node, disk_node) != 0 || strcmp(overlay, added_node) != 0) {
        fprintf(stderr, "fake qemu: %s is not frozen by %s while it is %s\n", node, overlay, status);
        end(1);
    }
    memcpy(disk_node, overlay, sizeof disk_node);
}

static void nothing(void)
{
}

static const struct {
    const char *name;
    void (*run)(void);
} commands[] = {
    {"qmp_capabilities", nothing},
    {"query-status", nothing},
    {"query-uuid", nothing},
    {"quit", nothing},
    {"query-version", nothing},
    {"query-migrate", nothing},
    {"qom-get", nothing},
    {"getfd", nothing},
    {"add-fd", add_fd},
    {"remove-fd", remove_fd},
    {"device_add", nothing},
    {"migrate-set-capabilities", nothing},
    {"migrate-set-parameters", nothing},
    {"query-block", nothing},
    {"blockdev-add", add_node},
    {"blockdev-del", delete_node},
    {"blockdev-snapshot", freeze_disk},
    {"migrate", migrate},
    {"migrate-incoming", load},
    {"cont", cont},
    {"stop", stop},
    {"system_powerdown", powerdown},
    {"system_reset", reset},
    {"system_wakeup", wakeup},
};

/* The member's value as it stands in the line: a number, or a text with its quotes. */
static void member(const char *line, const char *name, char *ret, size_t size)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"%s\"", name);
    const char *value = strstr(line, quoted);
    value = value ? value + strlen(quoted) + strspn(value + strlen(quoted), ": ") : "null";
    snprintf(ret, size, "%.*s", (int)strcspn(value, ",}"), value);
}

static void reply(const char *command, const char *id)
{
    if (!strcmp(command, "query-status"))
        say("{\"return\":{\"status\":\"%s\",\"singlestep\":false,\"running\":%s},\"id\":%s}", status,
            strcmp(status, "running") ? "false" : "true", id);
    else if (!strcmp(command, "query-uuid"))
        say("{\"return\":{\"UUID\":\"%s\"},\"id\":%s}", uuid, id);
    else if (!strcmp(command, "query-version"))
        say("{\"return\":{\"qemu\":{\"micro\":0,\"minor\":%d,\"major\":%d},\"package\":\"fake\"},\"id\":%s}",
            is_new() ? 0 : 2, is_new() ? 11 : 7, id);
    else if (!strcmp(command, "query-block"))
        say("{\"return\":[{\"device\":\"\",\"inserted\":{\"node-name\":%s}}],\"id\":%s}", disk_node, id);
    else if (!strcmp(command, "qom-get"))
        say("{\"return\":\"pc-q35-7.2-machine\",\"id\":%s}", id);
    else if (!strcmp(command, "query-migrate") && migration[0])
        say("{\"return\":{\"status\":\"%s\"},\"id\":%s}", migration, id);
    else
        say("{\"return\":{},\"id\":%s}", id);
}

static void refuse(const char *kind, const char *command, const char *id)
{
    say("{\"error\":{\"class\":\"%s\",\"desc\":\"the fake does not do %s\"},\"id\":%s}", kind, command, id);
}

/* Devices that were plugged in. The arguments come after the command's own id. */

static bool is_plugged(const char *line)
{
    char path[96], device[64] = "", between[68];
    member(line, "path", path, sizeof path);
    if (sscanf(path, "\"/machine/peripheral/%63[^\"]", device) != 1)
        return true; /* another question */
    snprintf(between, sizeof between, ",%s,", device);
    return strstr(plugged, between);
}

/* A guest cannot get a device twice, nor before its state is loaded. The file "plugged" tells the test. */
static bool plug(const char *line)
{
    char id[64], device[64] = "", path[sizeof folder + 16];
    const char *arguments = strstr(line, "\"arguments\"");
    member(arguments ? arguments : "", "id", id, sizeof id);
    size_t length = strlen(plugged);
    if (sscanf(id, "\"%63[^\"]", device) != 1 || strcmp(status, "paused") != 0)
        return false;
    snprintf(plugged + length, sizeof plugged - length, "%s,", device);
    snprintf(path, sizeof path, "%s/plugged", folder);
    FILE *file = fopen(path, "a");
    if (file)
        fprintf(file, "%s\n", arguments);
    return file && fclose(file) == 0;
}

static void execute(const char *line)
{
    char quoted[64], command[64] = "", id[64];
    size_t i = 0;
    member(line, "execute", quoted, sizeof quoted);
    (void)sscanf(quoted, "\"%63[^\"]", command);
    member(line, "id", id, sizeof id);
    while (i < ARRAY_SIZE(commands) && strcmp(commands[i].name, command) != 0)
        i++;
    misbehave(command);
    if (silent || monitor.fd < 0)
        return;
    bool asleep = !strcmp(status, "suspended"); /* QEMU wakes nothing else (qemu_system_wakeup_request()) */
    bool unfit = (!strcmp(command, "device_add") && !plug(line)) ||
                 (!strcmp(command, "blockdev-add") && find_node(line)) ||
                 (!strcmp(command, "blockdev-del") && !find_node(line)) ||
                 (!strcmp(command, "add-fd") && fdset_fd >= 0) ||
                 (!strcmp(command, "remove-fd") && fdset_fd < 0) ||
                 (!strcmp(command, "migrate") && !strcmp(status, "postmigrate"));
    if (i == ARRAY_SIZE(commands) || is_told("refuse", command) || unfit || !is_plugged(line) ||
        (!strcmp(command, "system_wakeup") && !asleep)) {
        refuse(i == ARRAY_SIZE(commands) ? "CommandNotFound" : "GenericError", command, id);
        return;
    }
    bool ignored = is_told("ignore", command);
    request = line;
    if (!ignored)
        commands[i].run();
    reply(command, id);
    if (!strcmp(command, "quit") && !ignored) {
        event("SHUTDOWN", "{\"guest\":false,\"reason\":\"host-qmp-quit\"}");
        end(0);
    }
}

/* The loop. */

/* As QEMU does, keeps the newest descriptor that comes along. */
static ssize_t receive_monitor(char *bytes, size_t size)
{
    alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct iovec data = {bytes, size};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(monitor.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_type == SCM_RIGHTS)
        memcpy(&passed_fd, CMSG_DATA(header), sizeof passed_fd);
    return n;
}

static void read_monitor(void)
{
    static char line[4096];
    static size_t size;
    ssize_t n = receive_monitor(line + size, sizeof line - 1 - size);
    if (n <= 0) {
        if (n == 0 || errno == ECONNRESET)
            hang_up(&monitor);
        return;
    }
    size += (size_t)n;
    line[size] = '\0';
    for (char *newline; monitor.fd >= 0 && (newline = memchr(line, '\n', size));) {
        *newline = '\0';
        execute(line);
        size -= (size_t)(newline + 1 - line);
        memmove(line, newline + 1, size);
    }
    if (monitor.fd < 0 || size == sizeof line - 1)
        size = 0;
}

static void keep_typed(const char *bytes, size_t size)
{
    char path[sizeof folder + 8];
    snprintf(path, sizeof path, "%s/typed", folder);
    FILE *file = fopen(path, "a");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        end(1);
}

static void read_console(void)
{
    char bytes[4096];
    ssize_t n = recv(console.fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        keep_typed(bytes, (size_t)n);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        hang_up(&console);
}

/* The guest agent knows how to power the guest off, and is silent. */
static void read_agent(void)
{
    char bytes[512];
    ssize_t n = recv(agent.fd, bytes, sizeof bytes - 1, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        hang_up(&agent);
    bytes[n > 0 ? n : 0] = '\0';
    if (strstr(bytes, "\"guest-shutdown\""))
        poweroff();
}

static void read_identity(void)
{
    static char line[65536];
    static size_t size;
    char path[sizeof folder + 16];
    ssize_t n = recv(identity.fd, line + size, sizeof line - 1 - size, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || errno == ECONNRESET)
            hang_up(&identity);
        return;
    }
    line[size += (size_t)n] = '\0';
    if (!strchr(line, '\n') || is_told("ignore", "identity"))
        return;
    snprintf(path, sizeof path, "%s/identity", folder);
    FILE *file = fopen(path, "a");
    if (!file || fputs(line, file) == EOF || fclose(file) != 0)
        end(1);
    if (strchr(line, '{'))
        put(&identity, is_told("refuse", "identity") ? "failed no space\n" : "done\n");
    size = 0;
}

static void take_client(struct port *port)
{
    port->fd = accept(port->listen_fd, NULL, NULL);
    if (port != &monitor || port->fd < 0)
        return;
    misbehave("greeting");
    if (!silent)
        put(port, GREETING "\r\n");
}

static void serve(struct port *port, short events, void (*read_some)(void))
{
    if (port->fd < 0) {
        if (events)
            take_client(port);
        return;
    }
    if (events & (POLLIN | POLLHUP | POLLERR))
        read_some();
    if (port->fd >= 0)
        flush(port);
}

static void change_rules(void)
{
    read_rules();
    misbehave("SIGUSR1");
}

/* The rules change while SIGUSR1 is pending yet: tell_fake() waits until it is not. */
static void take_signal(int fd)
{
    struct signalfd_siginfo info;
    sigset_t pending;
    sigpending(&pending);
    bool told = sigismember(&pending, SIGUSR1);
    if (told)
        change_rules();
    if (read(fd, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGUSR1 && !told)
        change_rules();
    if (info.ssi_signo == SIGTERM && !is_told("ignore", "SIGTERM")) {
        event("SHUTDOWN", "{\"guest\":false,\"reason\":\"host-signal\"}");
        end(0);
    }
}

static struct pollfd wait_for(const struct port *port)
{
    if (port->fd < 0)
        return (struct pollfd){.fd = port->listen_fd, .events = POLLIN};
    short writable = port->size || port->endless ? POLLOUT : 0;
    return (struct pollfd){.fd = port->fd, .events = (short)(POLLIN | writable)};
}

static _Noreturn void tell_cards(void)
{
    const char *variable = getenv("FAKE_QEMU");
    printf("Available netdev backend types:\nsocket\n%suser\n",
           variable && strstr(variable, "netdev=old") ? "" : "dgram\n");
    exit(0);
}

static void read_argv(char **argv)
{
    for (; argv[0] && argv[1]; argv++) {
        int fd;
        if (!strcmp(argv[0], "-uuid"))
            snprintf(uuid, sizeof uuid, "%s", argv[1]);
        else if (!strcmp(argv[0], "-incoming"))
            snprintf(status, sizeof status, "inmigrate");
        else if (!strcmp(argv[0], "-netdev") && !strcmp(argv[1], "help"))
            tell_cards();
        else if (!strcmp(argv[0], "-netdev"))
            add_card(argv[1]);
        else if (!strcmp(argv[0], "-object") && strstr(argv[1], ",share=on,mem-path="))
            ram = strstr(argv[1], ",mem-path=") + strlen(",mem-path=");
        else if (!strcmp(argv[0], "-smbios"))
            sscanf(argv[1], "file=%1000s", folder);
        else if (!strcmp(argv[0], "-chardev") && sscanf(argv[1], "socket,id=qmp,fd=%d", &fd) == 1)
            monitor.listen_fd = fd;
        else if (!strcmp(argv[0], "-chardev") && sscanf(argv[1], "socket,id=console,fd=%d", &fd) == 1)
            console.listen_fd = fd;
        else if (!strcmp(argv[0], "-chardev") && sscanf(argv[1], "socket,id=agent,fd=%d", &fd) == 1)
            agent.listen_fd = fd;
        else if (!strcmp(argv[0], "-chardev") && sscanf(argv[1], "socket,id=identity,fd=%d", &fd) == 1)
            identity.listen_fd = fd;
    }
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
}

int main(int argc, char **argv)
{
    sigset_t signals, blocked;
    (void)argc;
    own_argv = argv;
    read_argv(argv + 1);
    sigemptyset(&signals);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL); /* before the rules are read: tell_fake() signals no other QEMU */
    read_rules();
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, &blocked);
    if (sigismember(&blocked, SIGTERM)) /* QEMU does not unblock it either */
        sigdelset(&signals, SIGTERM);
    int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (signal_fd < 0 || monitor.listen_fd < 0 || console.listen_fd < 0) {
        fprintf(stderr, "fake qemu: no sockets\n");
        return 1;
    }
    for (;;) {
        struct pollfd fds[5 + CARDS_MAX] = {wait_for(&monitor),
                                            wait_for(&console),
                                            wait_for(&agent),
                                            {.fd = signal_fd, .events = POLLIN},
                                            wait_for(&identity)};
        for (size_t i = 0; i < card_count; i++)
            fds[5 + i] = (struct pollfd){.fd = cards[i].fd, .events = POLLIN};
        if (poll(fds, 5 + card_count, -1) < 0)
            continue;
        for (size_t i = 0; i < card_count; i++)
            if (fds[5 + i].revents)
                keep_frames(cards[i].fd);
        /* The console first: its client came before cont, and must not miss the hello. */
        serve(&console, fds[1].revents, read_console);
        serve(&monitor, fds[0].revents, read_monitor);
        serve(&agent, fds[2].revents, read_agent);
        serve(&identity, fds[4].revents, read_identity);
        if (fds[3].revents)
            take_signal(signal_fd);
    }
}
