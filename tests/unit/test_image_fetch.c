/* Whole fetches against Fedora's stand-in (tests/harness/fedora_server.py), a process of its own for each
 * test. */
#include "image_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/base/text.h"
#include "agent/image/digest.h"
#include "agent/image/download.h"
#include "agent/image/fetch.h"

#define SIZE      ((size_t)1 << 20)
#define SLOW_SIZE ((size_t)3 << 20) /* three seconds from the slow server */
#define WRONG     "0000000000000000000000000000000000000000000000000000000000000000"

struct world {
    char dir[64], file[96];
    pid_t server;
    struct image_store store;
    struct image_sources sources;
};

static void start_server(struct world *w, const char *const *extra)
{
    char script[512], image[128];
    const char *argv[16] = {"python3", script, "--image", image};
    int out[2];
    snprintf(script, sizeof script, "%s/tests/harness/fedora_server.py", getenv("PIAGENT_SOURCE"));
    snprintf(image, sizeof image, "x86_64=%s", w->file);
    for (size_t i = 0; extra && extra[i]; i++)
        argv[4 + i] = extra[i];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    w->server = fork();
    if (w->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], STDOUT_FILENO);
        execvp("python3", (char *const *)argv);
        _exit(127);
    }
    close(out[1]);
    pi_auto_fclose FILE *lines = fdopen(out[0], "re");
    char line[256];
    for (int i = 0; i < 3; i++) {
        assert_non_null(fgets(line, sizeof line, lines));
        char *value = strchr(line, '=');
        assert_non_null(value);
        *value++ = '\0';
        value[strcspn(value, "\n")] = '\0';
        setenv(line, value, 1);
    }
}

static void stop_server(struct world *w)
{
    if (w->server <= 0)
        return;
    kill(w->server, SIGKILL);
    waitpid(w->server, NULL, 0);
    w->server = 0;
}

/* extra: options of the server; NULL for none. */
static void world_open(struct world *w, size_t size, const char *const *extra)
{
    char images[128];
    struct pi_error err;
    *w = (struct world){.store.dir_fd = -1};
    folder_new(w->dir);
    snprintf(w->file, sizeof w->file, "%s/disk.qcow2", w->dir);
    snprintf(images, sizeof images, "%s/cache/images", w->dir);
    qcow2_write(w->file, size, 1);
    start_server(w, extra);
    assert_int_equal(image_sources_load(w->dir, &w->sources, &err), 0);
    assert_int_equal(image_store_open(images, &w->store, &err), 0);
}

static void world_close(struct world *w)
{
    stop_server(w);
    image_sources_done(&w->sources);
    image_store_done(&w->store);
    folder_done(w->dir);
}

#define OPTIONS(...) ((const char *const[]){__VA_ARGS__, NULL})

static int fetch(const struct world *w, const char *ref, const char *sha256, bool unverified,
                 struct image *ret, struct pi_error *err)
{
    struct image_request request = {.ref = ref, .arch = "x86_64", .sha256 = sha256, .unverified = unverified};
    return image_fetch(&w->store, &w->sources, &request, NULL, NULL, ret, err);
}

/* How many files are in the store: two an image, and a partial would count. */
static int files(const struct world *w)
{
    pi_auto_closedir DIR *dir = opendir(w->store.dir);
    int count = 0;
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    return count;
}

static void digest_of(const char *path, char sha256[IMAGE_SHA256_LENGTH + 1])
{
    pi_auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct image_meter meter = {0};
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(image_digest_file(fd, -1, (uint64_t)st.st_size, &meter, sha256, NULL), 0);
}

/* The refs that a server answers, one after the other, are refused, and leave nothing. */
static void assert_refused(const struct world *w, const char *ref, const char *sha256, enum pi_kind kind,
                           const char *said)
{
    struct image image = {0};
    struct pi_error err = {0};
    assert_true(fetch(w, ref, sha256, false, &image, &err) < 0);
    if (err.kind != kind || !strstr(err.text, said))
        fail_msg("wanted %s with '%s', got %s: %s", pi_kind_name(kind), said, pi_kind_name(err.kind),
                 err.text);
    assert_null(image.path);
    assert_int_equal(files(w), 0);
}

static int mirror_downloads(const struct world *w)
{
    pi_auto_buf struct pi_buf text = {0};
    struct image_meter meter = {0};
    char url[256];
    int count = 0;
    snprintf(url, sizeof url, "%.*srequests",
             (int)(strlen(w->sources.fedora_index_url) - strlen("releases.json")),
             w->sources.fedora_index_url);
    assert_int_equal(image_download_text(url, 65536, &meter, &text, NULL), 0);
    for (const char *at = text.data; (at = strstr(at, "/mirror/")); at++)
        count++;
    return count;
}

static void newest_release_is_found_redirected_checked_and_stored(void **state)
{
    (void)state;
    struct world w;
    struct pi_error err;
    char sha256[IMAGE_SHA256_LENGTH + 1], stored[IMAGE_SHA256_LENGTH + 1];
    struct stat st;
    pi_auto_image struct image image = {0};
    world_open(&w, SIZE, NULL);
    if (fetch(&w, "fedora", NULL, false, &image, &err) < 0)
        fail_msg("%s", err.text);
    digest_of(w.file, sha256);
    assert_string_equal(image.sha256, sha256);
    assert_string_equal(image.release, "44");
    assert_string_equal(image.arch, "x86_64");
    assert_string_equal(image.name, "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2");
    assert_true(image.verified);
    assert_int_equal(image.checksum_source, IMAGE_CHECKSUM_INDEX);
    assert_int_equal(image.format, IMAGE_QCOW2);
    assert_int_equal(image.size_bytes, SIZE);
    assert_int_equal(image.virtual_size_bytes, QCOW2_VIRTUAL);
    assert_null(image.note);
    digest_of(image.path, stored);
    assert_string_equal(stored, sha256);
    assert_int_equal(stat(image.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_int_equal(files(&w), 2);
    world_close(&w);
}

static void stored_release_needs_no_network(void **state)
{
    (void)state;
    struct world w;
    struct pi_error err;
    pi_auto_image struct image first = {0}, again = {0}, newest = {0};
    world_open(&w, SIZE, NULL);
    assert_int_equal(fetch(&w, "fedora:44", NULL, false, &first, &err), 0);
    stop_server(&w);
    assert_int_equal(fetch(&w, "fedora:44", NULL, false, &again, &err), 0);
    assert_string_equal(again.path, first.path);
    assert_string_equal(again.source, first.source);
    /* The newest one comes from the index that was kept. */
    assert_int_equal(fetch(&w, "fedora", NULL, false, &newest, &err), 0);
    assert_string_equal(newest.path, first.path);
    assert_null(newest.note);
    world_close(&w);
}

/* The kept copy of the index; its name depends on the URL. */
static void index_file(const struct world *w, char path[512])
{
    char cache[128];
    snprintf(cache, sizeof cache, "%s/cache", w->dir);
    pi_auto_closedir DIR *dir = opendir(cache);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (pi_starts_with(entry->d_name, "index-")) {
            snprintf(path, 512, "%s/%s", cache, entry->d_name);
            return;
        }
    fail_msg("no index is kept");
}

static void old_index_or_newest_image_is_used_with_a_note_when_the_network_fails(void **state)
{
    (void)state;
    static const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    struct world w;
    struct pi_error err;
    char path[512];
    pi_auto_image struct image first = {0}, stale = {0}, newest = {0};
    world_open(&w, SIZE, NULL);
    assert_int_equal(fetch(&w, "fedora", NULL, false, &first, &err), 0);
    stop_server(&w);
    index_file(&w, path);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    assert_int_equal(fetch(&w, "fedora", NULL, false, &stale, &err), 0);
    assert_string_equal(stale.path, first.path);
    assert_non_null(strstr(stale.note, "old copy"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fetch(&w, "fedora", NULL, false, &newest, &err), 0);
    assert_string_equal(newest.path, first.path);
    assert_non_null(strstr(newest.note, "newest release in the store"));
    world_close(&w);
}

static void checksum_file_vouches_where_the_index_does_not(void **state)
{
    (void)state;
    struct world w;
    struct pi_error err;
    pi_auto_image struct image image = {0};
    world_open(&w, SIZE, OPTIONS("--no-index-checksums"));
    if (fetch(&w, "fedora:44", NULL, false, &image, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(image.checksum_source, IMAGE_CHECKSUM_FILE);
    assert_true(image.verified);
    world_close(&w);
}

static void beta_is_fetched_only_by_its_name(void **state)
{
    (void)state;
    struct world w;
    struct pi_error err;
    char beta[128];
    pi_auto_image struct image newest = {0}, image = {0};
    world_open(&w, SIZE, NULL);
    stop_server(&w);
    snprintf(beta, sizeof beta, "x86_64@45 Beta=%s", w.file);
    image_sources_done(&w.sources);
    start_server(&w, OPTIONS("--no-index-checksums", "--image", beta));
    assert_int_equal(image_sources_load(w.dir, &w.sources, &err), 0);
    assert_int_equal(fetch(&w, "fedora", NULL, false, &newest, &err), 0);
    assert_string_equal(newest.release, "44");
    if (fetch(&w, "fedora:45-beta", NULL, false, &image, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(image.sha256, newest.sha256); /* one file was served for both */
    world_close(&w);
}

static void bad_servers_are_refused_and_leave_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *option;
        enum pi_kind kind;
        const char *said;
    } cases[] = {
        {"image=wrong", NULL, PI_UNVERIFIED, "wrong checksum: expected SHA-256 "},
        {"image=truncate", NULL, PI_NETWORK, "try again later"},
        {"image=404", NULL, PI_NOT_FOUND, "HTTP 404"},
        {"image=500", NULL, PI_NETWORK, "HTTP 500"},
        {"index=404", NULL, PI_NETWORK, "cannot find out which images Fedora has"},
        {"index=500", NULL, PI_NETWORK, "HTTP 500"},
        {"index=truncate", NULL, PI_NETWORK, "try again later"},
        {"checksum=404", "--no-index-checksums", PI_UNVERIFIED, "--image-unverified"},
        {"checksum=500", "--no-index-checksums", PI_NETWORK, "HTTP 500"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        world_open(&w, SIZE, OPTIONS("--fault", cases[i].fault, cases[i].option));
        assert_refused(&w, "fedora:44", NULL, cases[i].kind, cases[i].said);
        world_close(&w);
    }
}

static void unknown_release_says_which_there_are(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, SIZE, NULL);
    assert_refused(&w, "fedora:99", NULL, PI_NOT_FOUND, "Fedora 99 is not in the index");
    assert_refused(&w, "fedora:99", NULL, PI_NOT_FOUND, "it has 44");
    assert_refused(&w, "fedora:44", WRONG, PI_UNVERIFIED, "found " WRONG);
    world_close(&w);
}

static void unreachable_server_is_a_network_error_with_a_hint(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, SIZE, NULL);
    stop_server(&w);
    assert_refused(&w, "fedora", NULL, PI_NETWORK, "https_proxy");
    world_close(&w);
}

static void image_that_names_other_files_is_refused(void **state)
{
    (void)state;
    struct world w;
    uint8_t backing[8];
    world_open(&w, SIZE, NULL);
    stop_server(&w);
    put64(backing, 512);
    pi_auto_close int fd = open(w.file, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, backing, 8, 8), 8);
    image_sources_done(&w.sources);
    start_server(&w, NULL);
    assert_int_equal(image_sources_load(w.dir, &w.sources, NULL), 0);
    assert_refused(&w, "fedora:44", NULL, PI_UNVERIFIED, "backing file");
    assert_refused(&w, w.file, NULL, PI_UNVERIFIED, "backing file");
    world_close(&w);
}

static void url_needs_a_checksum_or_the_users_word(void **state)
{
    (void)state;
    struct world w;
    struct pi_error err;
    char url[512], sha256[IMAGE_SHA256_LENGTH + 1];
    pi_auto_image struct image taken = {0}, again = {0}, checked = {0};
    world_open(&w, SIZE, NULL);
    snprintf(url, sizeof url,
             "%s/releases/44/Cloud/x86_64/images/Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2",
             w.sources.fedora_url);
    assert_refused(&w, url, NULL, PI_UNVERIFIED, "--image-sha256");
    assert_refused(&w, url, WRONG, PI_UNVERIFIED, "expected SHA-256 " WRONG);
    assert_int_equal(fetch(&w, url, NULL, true, &taken, &err), 0);
    assert_false(taken.verified);
    assert_string_equal(taken.source, url);
    assert_int_equal(fetch(&w, url, NULL, true, &again, &err), 0);
    assert_int_equal(mirror_downloads(&w), 2); /* the wrong one and the taken one */
    /* Taken unverified once, it is still not verified; a checksum makes it so. */
    assert_true(fetch(&w, url, NULL, false, &checked, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    digest_of(w.file, sha256);
    assert_int_equal(fetch(&w, url, sha256, false, &checked, &err), 0);
    assert_true(checked.verified);
    assert_int_equal(mirror_downloads(&w), 2);
    image_done(&again);
    assert_int_equal(image_store_find(&w.store, sha256, &again, &err), 0);
    assert_true(again.verified);
    world_close(&w);
}

static void local_file_is_copied_in_by_its_checksum_only(void **state)
{
    (void)state;
    struct world w;
    struct pi_error err;
    char sha256[IMAGE_SHA256_LENGTH + 1], stored[IMAGE_SHA256_LENGTH + 1];
    pi_auto_image struct image image = {0}, again = {0};
    world_open(&w, SIZE, NULL);
    stop_server(&w);
    digest_of(w.file, sha256);
    assert_refused(&w, w.file, NULL, PI_UNVERIFIED, sha256);
    assert_refused(&w, w.file, WRONG, PI_UNVERIFIED, sha256);
    assert_refused(&w, "./no-such.qcow2", NULL, PI_NOT_FOUND, "no such file");
    assert_refused(&w, w.dir, NULL, PI_USAGE, "regular file");
    assert_int_equal(fetch(&w, w.file, sha256, false, &image, &err), 0);
    assert_true(image.verified);
    assert_int_equal(image.checksum_source, IMAGE_CHECKSUM_USER);
    assert_string_equal(image.name, "disk.qcow2");
    /* What happens to the file afterwards is no matter to the store. */
    qcow2_write(w.file, SIZE, 2);
    digest_of(image.path, stored);
    assert_string_equal(stored, sha256);
    assert_int_equal(fetch(&w, w.file, NULL, true, &again, &err), 0);
    assert_false(again.verified);
    assert_string_not_equal(again.sha256, sha256);
    assert_int_equal(files(&w), 4);
    world_close(&w);
}

/* Fetches in a process of its own, and writes the phases that it goes through to the pipe, a byte each. */
struct fetcher {
    pid_t pid;
    int phases;
};

static void report_phase(const struct image_progress *progress, void *user)
{
    char phase = (char)('0' + progress->phase);
    if (progress->phase == IMAGE_DOWNLOADING && !progress->done_bytes)
        return; /* told once bytes have come */
    if (write(*(int *)user, &phase, 1) != 1)
        _exit(3);
}

static struct fetcher fetcher_start(const struct world *w)
{
    int out[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct image_request request = {.ref = "fedora:44", .arch = "x86_64"};
        struct image image = {0};
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(image_fetch(&w->store, &w->sources, &request, report_phase, &out[1], &image, NULL) == 0 ? 0
                                                                                                      : 1);
    }
    close(out[1]);
    return (struct fetcher){.pid = pid, .phases = out[0]};
}

/* Reads on until the fetcher is in that phase. */
static void fetcher_await(const struct fetcher *f, enum image_phase phase)
{
    char byte;
    do
        assert_int_equal(read(f->phases, &byte, 1), 1);
    while (byte != (char)('0' + phase));
}

static int fetcher_end(struct fetcher *f)
{
    int status;
    char byte;
    while (read(f->phases, &byte, 1) == 1)
        ;
    close(f->phases);
    assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
    return status;
}

static void two_fetchers_download_once(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, SLOW_SIZE, OPTIONS("--fault", "image=slow"));
    struct fetcher first = fetcher_start(&w);
    fetcher_await(&first, IMAGE_DOWNLOADING);
    struct fetcher second = fetcher_start(&w);
    fetcher_await(&second, IMAGE_WAITING);
    assert_int_equal(fetcher_end(&first), 0);
    assert_int_equal(fetcher_end(&second), 0);
    assert_int_equal(mirror_downloads(&w), 1);
    assert_int_equal(files(&w), 2);
    world_close(&w);
}

static void killed_fetcher_is_succeeded_by_the_one_that_waits(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, SLOW_SIZE, OPTIONS("--fault", "image=slow"));
    struct fetcher first = fetcher_start(&w);
    fetcher_await(&first, IMAGE_DOWNLOADING);
    struct fetcher second = fetcher_start(&w);
    fetcher_await(&second, IMAGE_WAITING);
    kill(first.pid, SIGKILL);
    assert_true(WIFSIGNALED(fetcher_end(&first)));
    fetcher_await(&second, IMAGE_DOWNLOADING);
    assert_int_equal(fetcher_end(&second), 0);
    assert_int_equal(mirror_downloads(&w), 2);
    assert_int_equal(files(&w), 2);
    world_close(&w);
}

static void partial_of_a_dead_fetcher_is_swept_by_the_next_fetch_of_anything(void **state)
{
    (void)state;
    struct world w;
    struct pi_error err;
    pi_auto_image struct image image = {0};
    world_open(&w, SLOW_SIZE, OPTIONS("--fault", "image=slow"));
    struct fetcher first = fetcher_start(&w);
    fetcher_await(&first, IMAGE_DOWNLOADING);
    kill(first.pid, SIGKILL);
    assert_true(WIFSIGNALED(fetcher_end(&first)));
    assert_int_equal(files(&w), 1);
    qcow2_write(w.file, SIZE, 2);
    assert_int_equal(fetch(&w, w.file, NULL, true, &image, &err), 0);
    assert_int_equal(files(&w), 2);
    world_close(&w);
}

struct canceller {
    volatile sig_atomic_t cancel;
};

static void cancel_once_bytes_come(const struct image_progress *progress, void *user)
{
    struct canceller *c = user;
    if (progress->phase == IMAGE_DOWNLOADING && progress->done_bytes)
        c->cancel = 1;
}

static void cancelled_fetch_leaves_nothing(void **state)
{
    (void)state;
    static const char *const faults[] = {"image=slow", "image=stall"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(faults); i++) {
        struct world w;
        struct pi_error err;
        struct canceller c = {0};
        struct image_request request = {.ref = "fedora", .arch = "x86_64", .cancel = &c.cancel};
        struct image image = {0};
        world_open(&w, SLOW_SIZE, OPTIONS("--fault", faults[i]));
        assert_int_equal(
            image_fetch(&w.store, &w.sources, &request, cancel_once_bytes_come, &c, &image, &err),
            -ECANCELED);
        assert_int_equal(files(&w), 0);
        world_close(&w);
    }
}

/* On a file system of its own, made and left by a process in a mount namespace of its own. */
static int fetch_on_small_disk(struct world *w)
{
    struct image image = {0};
    struct pi_error err = {0};
    char images[128];
    snprintf(images, sizeof images, "%s/small", w->dir);
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mkdir(images, 0700) < 0 || mount("tmpfs", images, "tmpfs", 0, "size=512k,mode=0700") < 0)
        return 77;
    struct world small = *w;
    if (image_store_open(images, &small.store, &err) < 0)
        return 1;
    if (fetch(&small, "fedora", NULL, false, &image, &err) == 0 || err.kind != PI_HOST ||
        !strstr(err.text, "more than is free") || files(&small) != 0)
        return 2;
    if (fetch(&small, w->file, NULL, true, &image, &err) == 0 || err.kind != PI_HOST || files(&small) != 0)
        return 3;
    return 0;
}

static void full_disk_is_seen_before_the_first_byte(void **state)
{
    (void)state;
    struct world w;
    int status;
    world_open(&w, SIZE, NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(fetch_on_small_disk(&w));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    int downloads = mirror_downloads(&w);
    world_close(&w);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: this user may not mount a small file system\n");
        skip();
    }
    assert_int_equal(status, 0);
    assert_int_equal(downloads, 0);
}

static void requests_that_make_no_sense_are_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *ref, *arch, *sha256, *said;
    } cases[] = {
        {"fedora", "riscv64", NULL, "x86_64 or aarch64"},
        {"fedora", NULL, NULL, "x86_64 or aarch64"},
        {"fedora", "x86_64", "12ab", "64 hexadecimal digits"},
        {"ubuntu", "x86_64", NULL, "no image is called 'ubuntu'"},
        {"ftp://x/y.qcow2", "x86_64", NULL, "cannot be used"},
    };
    struct image_store store = {.dir_fd = -1};
    struct image_sources sources = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct image_request request = {
            .ref = cases[i].ref, .arch = cases[i].arch, .sha256 = cases[i].sha256};
        struct image image;
        struct pi_error err;
        assert_true(image_fetch(&store, &sources, &request, NULL, NULL, &image, &err) < 0);
        assert_int_equal(err.kind, PI_USAGE);
        assert_non_null(strstr(err.text, cases[i].said));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_release_is_found_redirected_checked_and_stored),
        cmocka_unit_test(stored_release_needs_no_network),
        cmocka_unit_test(old_index_or_newest_image_is_used_with_a_note_when_the_network_fails),
        cmocka_unit_test(checksum_file_vouches_where_the_index_does_not),
        cmocka_unit_test(beta_is_fetched_only_by_its_name),
        cmocka_unit_test(bad_servers_are_refused_and_leave_nothing),
        cmocka_unit_test(unknown_release_says_which_there_are),
        cmocka_unit_test(unreachable_server_is_a_network_error_with_a_hint),
        cmocka_unit_test(image_that_names_other_files_is_refused),
        cmocka_unit_test(url_needs_a_checksum_or_the_users_word),
        cmocka_unit_test(local_file_is_copied_in_by_its_checksum_only),
        cmocka_unit_test(two_fetchers_download_once),
        cmocka_unit_test(killed_fetcher_is_succeeded_by_the_one_that_waits),
        cmocka_unit_test(partial_of_a_dead_fetcher_is_swept_by_the_next_fetch_of_anything),
        cmocka_unit_test(cancelled_fetch_leaves_nothing),
        cmocka_unit_test(full_disk_is_seen_before_the_first_byte),
        cmocka_unit_test(requests_that_make_no_sense_are_usage_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
