/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/run_options.h"
#include "agent/cli/client/remote_host.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/base64.h"
#include "agent/base/environ.h"
#include "agent/base/text.h"
#include "agent/cli/client/job.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/terminal/user_data_findings.h"
#include "agent/image/checksum.h"
#include "agent/image/ref.h"
#include "agent/image/sources.h"
#include "agent/seed/password.h"
#include "agent/seed/ssh_key.h"
#include "agent/seed/user_data.h"
#include "agent/vm/subnet.h"

#define OPTION(member, name_, type_, ...)                                   \
    {                                                                       \
        .name = (name_), CLI_MEMBER(type_, cli_create, member), __VA_ARGS__ \
    }

#define CHOICE(member, name_, enum_, ...)                                 \
    {                                                                     \
        .name = (name_), CLI_ENUM(cli_create, member, enum_), __VA_ARGS__ \
    }

/* Rows of both tables. */
#define TRUST_OPTIONS                                                                 \
    OPTION(image_sha256, "sha256", CLI_STRING, .kind = CLI_TEXT, .argument = "HEX",   \
           .help = "the image's SHA-256, for a URL or file without a published one"), \
        OPTION(image_unverified, "unverified", CLI_FLAG,                              \
               .help = "boot the image even if nothing proves what it is"),           \
        OPTION(image_allow_unsigned, "allow-unsigned", CLI_FLAG,                      \
               .help = "boot a Fedora image whose signature is missing or bad")
#define HARDWARE_OPTIONS                                                                                    \
    OPTION(arch, "arch", CLI_STRING, .kind = CLI_WORD, .words = vm_arch_names, .group = "Hardware",         \
           .argument = "ARCH",                                                                              \
           .help = "x86_64 or aarch64 (default: this host's); the other one is emulated"),                  \
        OPTION(spec.memory_mib, "memory", CLI_MIB, .letter = 'm', .argument = "SIZE",                       \
               .help = "memory (default: 1G)"),                                                             \
        OPTION(spec.cpus, "cpus", CLI_NUMBER, .letter = 'c', .argument = "N", .min = 1, .max = VM_CPUS_MAX, \
               .help = "virtual CPUs (default: 2)"),                                                        \
        OPTION(spec.disk_bytes, "disk", CLI_SIZE, .argument = "SIZE",                                       \
               .help = "disk; the guest grows into it (default: as large as the image)"),                   \
        CHOICE(spec.accel, "accel", vm_accel, .argument = "HOW",                                            \
               .help = "auto, kvm or tcg (default: auto, which is KVM if guests run on it)"),               \
        CHOICE(spec.firmware, "firmware", vm_firmware, .argument = "WHICH",                                 \
               .help = "auto, bios or uefi (default: auto, which is uefi for aarch64, else bios)")
#define LOGIN_OPTIONS                                                                                 \
    OPTION(spec.user, "user", CLI_STRING, .kind = CLI_TEXT, .group = "Login", .argument = "NAME",     \
           .help = "the login to make (default: fedora)"),                                            \
        OPTION(password_prompt, "password-prompt", CLI_FLAG, .help = "ask for the login's password"), \
        OPTION(spec.password_hash, "password-hash", CLI_STRING, .kind = CLI_TEXT, .argument = "HASH", \
               .help = "its hash instead, as of piagent hash-password"),                              \
        OPTION(ssh_keys, "ssh-key", CLI_LIST, .kind = CLI_FILE, .argument = "FILE",                   \
               .help = "public keys that may log in"),                                                \
        OPTION(user_data, "user-data", CLI_STRING, .kind = CLI_FILE, .argument = "FILE",              \
               .help = "your own cloud-init user-data"),                                              \
        OPTION(user_data_unchecked, "user-data-unchecked", CLI_FLAG,                                  \
               .help = "boot it even if it has errors, to see what the guest makes of it")

const struct cli_option cli_create_options[] = {
    OPTION(image, "image", CLI_STRING, .kind = CLI_IMAGE, .group = "Image", .argument = "IMAGE",
           .help = "fedora, fedora:44, an https URL or a file (default: the newest fedora)"),
    TRUST_OPTIONS,
    OPTION(template, "template", CLI_STRING, .kind = CLI_TEMPLATE, .argument = "NAME",
           .help = "resume from this template, in place of a boot: see piagent help templates"),
    HARDWARE_OPTIONS,
    OPTION(spec.ephemeral, "ephemeral", CLI_FLAG,
           .help = "remove it when it has ended, however it ends; nothing of it needs to survive a crash"),
    OPTION(
        spec.forwards, "forward", CLI_LIST, .letter = 'p', .kind = CLI_TEXT, .group = "Network",
        .argument = "[ADDR:]PORT:GUEST",
        .help =
            "forward a TCP port of this host, over IPv4: 8080:80, or 0.0.0.0:8080:80 (default address: 127.0.0.1)"),
    OPTION(
        spec.networks, "network", CLI_LIST, .kind = CLI_NETWORK, .argument = "NAME[,ip=ADDR]",
        .help =
            "join a network of piagent network create, at that address (default: the next free one); or a bridge of this host: bridge=BR"),
    OPTION(
        spec.isolate, "isolate", CLI_FLAG,
        .help =
            "the guest reaches neither this host nor the outside: only its seed, SSH, the forwards, and its networks"),
    OPTION(spec.memory_max_mib, "memory-max", CLI_MIB, .group = "Limits", .argument = "SIZE",
           .help = "memory that QEMU as a whole may use (default: no limit)"),
    OPTION(spec.cpu_quota_percent, "cpu-quota", CLI_NUMBER, .argument = "PERCENT", .min = VM_CPU_QUOTA_MIN,
           .max = VM_CPU_QUOTA_MAX,
           .help = "processor time that QEMU may use: 100 is one processor (default: no limit)"),
    LOGIN_OPTIONS,
    OPTION(spec.labels, "label", CLI_LIST, .kind = CLI_LABEL, .group = "Labels", .argument = "KEY=VALUE",
           .help = "a label, to choose instances by: ps --label KEY=VALUE"),
    OPTION(count, "count", CLI_NUMBER, .group = CLI_RUN_COMMAND_GROUP, .argument = "N", .min = 1,
           .max = VM_FLEET_COUNT_MAX,
           .help = "make a fleet named NAME: NAME-1 to NAME-N, side by side; means -d"),
    CLI_PACE_OPTIONS(cli_create, "with --count: "),
    OPTION(no_start, "no-start", CLI_FLAG, .help = "make it and leave it stopped; returns when it is made"),
    OPTION(detach, "detach", CLI_FLAG, .letter = 'd', .help = "return when the guest is ready"),
    OPTION(job, "job", CLI_FLAG,
           .help = "run it as a batch job, with an agent of its own: see piagent help slurm"),
    OPTION(grace_ms, "grace", CLI_DURATION, .argument = "TIME", .help = CLI_JOB_GRACE_HELP),
    OPTION(timeout_ms, "timeout", CLI_LIMIT, .argument = "TIME",
           .help = "with -d or --job: " CLI_WAIT_LIMIT_HELP),
    OPTION(json, "json", CLI_FLAG, .help = "with -d: the events as JSON lines"),
    {0},
};

const struct cli_option cli_template_options[] = {
    OPTION(image, "from", CLI_STRING, .kind = CLI_IMAGE, .group = "Image", .argument = "IMAGE|INSTANCE",
           .help = "an image as for run --image, or a stopped instance (default: the newest fedora)"),
    TRUST_OPTIONS,
    HARDWARE_OPTIONS,
    LOGIN_OPTIONS,
    OPTION(refresh, "refresh", CLI_FLAG, .group = CLI_RUN_COMMAND_GROUP,
           .help = "if it is there, leave it, unless its image in the store is another one now"),
    OPTION(timeout_ms, "timeout", CLI_LIMIT, .argument = "TIME", .help = CLI_WAIT_LIMIT_HELP),
    OPTION(json, "json", CLI_FLAG, .help = "the events as JSON lines"),
    {0},
};

/* The request borrows these, and its other strings from the options. */
struct parts {
    char *image;
    char hash[SEED_HASH_MAX + 1];
    struct pi_strv ssh_keys, environment;
    struct pi_buf user_data;
};

static void parts_done(struct parts *parts)
{
    free(parts->image);
    pi_strv_done(&parts->ssh_keys);
    pi_strv_done(&parts->environment);
    pi_buf_done(&parts->user_data);
}

/* Makes the path of a local file absolute: the agent's working folder is another one. */
static int add_image_choice(const char *image, struct parts *parts, struct api_create *ret,
                            struct pi_error *err)
{
    const char *option = ret->spec.template ? "--from" : "--image";
    struct image_ref ref;
    if (!image)
        return 0;
    int r = image_ref_parse(image, &ref, err);
    if (r == 0 && cli_host_chosen())
        r = cli_host_check_image(image, err);
    if (r < 0)
        return pi_context(err, r, "%s", option);
    parts->image = ref.kind == IMAGE_REF_FILE && !cli_host_chosen() ? realpath(image, NULL) : strdup(image);
    ret->image = parts->image;
    return ret->image
               ? 0
               : pi_refuse(err, PI_NOT_FOUND, "%s: cannot open %s: %s", option, image, strerror(errno));
}

static int ask_login_password(char hash[SEED_HASH_MAX + 1], struct pi_error *err)
{
    char password[SEED_PASSWORD_MAX + 1];
    int r = seed_password_prompt(STDIN_FILENO, "Password for the guest", password, err);
    if (r == 0)
        r = seed_password_hash(SEED_YESCRYPT, password, hash, err);
    explicit_bzero(password, sizeof password);
    return r;
}

static int add_password(const struct cli_create *options, struct parts *parts, struct api_create *ret,
                        struct pi_error *err)
{
    char *given = options->spec.password_hash;
    if (options->password_prompt && given)
        return pi_refuse(err, PI_USAGE, "--password-prompt and --password-hash exclude each other");
    int r = given                      ? seed_hash_check(given, err)
            : options->password_prompt ? ask_login_password(parts->hash, err)
                                       : 0;
    if (r < 0)
        return given ? pi_context(err, r, "--password-hash") : r;
    if (given) {
        snprintf(parts->hash, sizeof parts->hash, "%s", given);
        /* It is a word of this process's argv, which everyone on the host can read as long as the command
         * follows the instance. */
        memset(given, '*', strlen(given));
    }
    ret->spec.password_hash = parts->hash[0] ? parts->hash : NULL;
    return 0;
}

/* Warns about a key that a guest's sshd refuses, and adds it all the same: the sshd of another image may take
 * it. */
static int add_ssh_keys(const char *path, struct pi_strv *ret, struct pi_error *err)
{
    char why[192], file[PATH_MAX];
    size_t before = ret->count;
    int r = seed_ssh_keys_read(path, ret, err);
    for (size_t i = before; r == 0 && i < ret->count; i++)
        if (seed_ssh_key_is_weak(ret->items[i], why, sizeof why))
            fprintf(stderr, "piagent: --ssh-key: %s: warning: %s\n",
                    pi_text_clean(path, strlen(path), file, sizeof file), why);
    return r < 0 ? pi_context(err, r, "--ssh-key") : 0;
}

static int add_files(const struct cli_create *options, struct parts *parts, struct api_create *ret,
                     struct pi_error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < options->ssh_keys.count; i++)
        r = add_ssh_keys(options->ssh_keys.items[i], &parts->ssh_keys, err);
    ret->ssh_keys = parts->ssh_keys;
    if (r < 0 || !options->user_data)
        return r;
    pi_auto_buf struct pi_buf text = {.max = SEED_USER_DATA_MAX + 1};
    r = seed_user_data_read(options->user_data, &text, err);
    if (r == 0 && !options->user_data_checked)
        r = cli_user_data_check(options->user_data, &text, options->user_data_unchecked, err);
    if (r < 0)
        return pi_context(err, r, "--user-data");
    if (pi_base64_encode(text.data, text.size, &parts->user_data) < 0)
        return pi_fail(err, ENOMEM, "--user-data");
    ret->user_data_base64 = parts->user_data.data;
    return 0;
}

/* JSON can only hold UTF-8. */
static int check_utf8(const struct api_create *request, struct pi_error *err)
{
    const struct {
        const char *what;
        char *const *items;
        size_t count;
    } values[] = {
        {request->spec.template ? "--from" : "--image", &request->image, 1},
        {"--user", &request->spec.user, 1},
        {"--ssh-key", request->ssh_keys.items, request->ssh_keys.count},
        {"--label", request->spec.labels.items, request->spec.labels.count},
        {"--forward", request->spec.forwards.items, request->spec.forwards.count},
        {"--network", request->spec.networks.items, request->spec.networks.count},
        {"the environment", request->environment.items, request->environment.count},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(values); i++)
        for (size_t k = 0; k < values[i].count; k++)
            if (values[i].items[k] && !pi_is_utf8(values[i].items[k]))
                return pi_refuse(err, PI_USAGE, "%s: text that is not UTF-8 cannot be used", values[i].what);
    return 0;
}

int cli_request_body(const struct api_create *request, json_t **ret, struct pi_error *err)
{
    int r = check_utf8(request, err);
    if (r < 0)
        return r;
    json_t *body = api_write(create, request);
    if (!body)
        return pi_fail(err, ENOMEM, "%s", request->name);
    *ret = body;
    return 0;
}

/* The agent has the environment of the command that started it; where images come from is this one's to say. */
static int add_environment(struct parts *parts, struct api_create *ret, struct pi_error *err)
{
    if (pi_environ_add(image_sources_is_setting, &parts->environment) < 0)
        return pi_fail(err, ENOMEM, "environment");
    ret->environment = parts->environment;
    return 0;
}

static int add_arch(const char *arch, struct api_create *ret, struct pi_error *err)
{
    unsigned index = VM_ARCHES; /* has no word: it is the agent's to choose */
    int r = arch ? cli_find_word(arch, vm_arch_names, &index, err) : 0;
    ret->spec.arch = (enum vm_arch)index;
    return r;
}

static int add_digest(const char *sha256, struct api_create *ret, struct pi_error *err)
{
    char digest[IMAGE_SHA256_LENGTH + 1];
    int r = sha256 ? image_sha256_parse(sha256, digest, err) : 0;
    ret->image_sha256 = (char *)sha256;
    return r < 0 ? pi_context(err, r, "--sha256") : 0;
}

/* Every forward has a fixed port of this host, and an address of a network is one instance's. */
int cli_check_shared(const struct vm_spec *spec, uint64_t count, struct pi_error *err)
{
    struct vm_network_use use;
    if (count < 2)
        return 0;
    if (spec->forwards.count)
        return pi_refuse(err, PI_USAGE,
                         "--forward %s: %" PRIu64
                         " instances cannot share a port of this host: leave it out; piagent "
                         "ssh reaches each of them",
                         spec->forwards.items[0], count);
    for (size_t i = 0; i < spec->networks.count; i++)
        if (vm_network_use_parse(spec->networks.items[i], &use, NULL) == 0 && use.address[0])
            return pi_refuse(err, PI_USAGE,
                             "--network %s: %" PRIu64
                             " instances cannot share an address: leave it out, and each gets "
                             "one of its own",
                             spec->networks.items[i], count);
    return 0;
}

static int fill_request(const struct cli_create *options, struct parts *parts, struct api_create *ret,
                        struct pi_error *err)
{
    int r;
    if (options->template && options->arch)
        return pi_refuse(err, PI_USAGE, "--arch: an instance of a template has the template's architecture");
    if ((r = pi_name_check(ret->name, err)) < 0 ||
        (r = cli_check_shared(&options->spec, options->count, err)) < 0 ||
        (r = add_environment(parts, ret, err)) < 0 || (r = add_digest(options->image_sha256, ret, err)) < 0 ||
        (r = add_arch(options->arch, ret, err)) < 0 ||
        (r = add_image_choice(options->image, parts, ret, err)) < 0 ||
        (r = add_files(options, parts, ret, err)) < 0)
        return r;
    return add_password(options, parts, ret, err);
}

int cli_create_request(const struct cli_create *options, const char *name, json_t **ret, struct pi_error *err)
{
    __attribute__((cleanup(parts_done))) struct parts parts = {0};
    struct api_create request = {.name = (char *)name,
                                 .spec = options->spec,
                                 .image_unverified = options->image_unverified,
                                 .image_allow_unsigned = options->image_allow_unsigned,
                                 .user_data_unchecked = options->user_data_unchecked,
                                 .stopped = options->no_start};
    int r = fill_request(options, &parts, &request, err);
    if (r == 0 && options->template && (r = pi_name_check(options->template, err)) == 0)
        snprintf(request.spec.of_template, sizeof request.spec.of_template, "%s", options->template);
    return r < 0 ? r : cli_request_body(&request, ret, err);
}
