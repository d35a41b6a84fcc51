/* SPDX-License-Identifier: MIT */
/* Whole fetches against Fedora's stand-in (tests/harness/fedora_server.py), a process of its own for each
 * test. */
#include "image_fixture.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/base/text.h"
#include "agent/image/digest.h"
#include "agent/image/fetch.h"
#include "agent/image/http_text.h"
#include "skip.h"

#define SIZE  ((size_t)3 << 20) /* three seconds from the slow server */
#define WRONG "0000000000000000000000000000000000000000000000000000000000000000"

/* One server for all tests: 44 and 45 Beta are a good disk, 42 is one that names a backing file. */
struct site {
    char dir[64], disk[96], unsafe[96];
    pid_t server;
};

/* The folders and server of one test. */
struct world {
    const struct site *site;
    char dir[64];
    struct image_store store;
    struct image_sources sources;
};

static void start_server(struct site *site)
{
    char script[512], images[4][160];
    int out[2];
    snprintf(script, sizeof script, "%s/tests/harness/fedora_server.py", getenv("PIAGENT_SOURCE"));
    snprintf(images[0], sizeof images[0], "x86_64=%s", site->disk);
    snprintf(images[1], sizeof images[1], "x86_64@45 Beta=%s", site->disk);
    snprintf(images[2], sizeof images[2], "x86_64@42=%s", site->unsafe);
    snprintf(images[3], sizeof images[3], "x86_64@40=%s", site->disk);
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    site->server = fork();
    if (site->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], STDOUT_FILENO);
        execlp("python3", "python3", script, "--image", images[0], "--image", images[1], "--image", images[2],
               "--image", images[3], "--ended", "40", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    pi_auto_fclose FILE *lines = fdopen(out[0], "re");
    char line[512];
    for (int i = 0; i < 7; i++) {
        assert_non_null(fgets(line, sizeof line, lines));
        char *value = strchr(line, '=');
        assert_non_null(value);
        *value++ = '\0';
        value[strcspn(value, "\n")] = '\0';
        setenv(line, value, 1);
    }
}

static int site_open(void **state)
{
    static struct site site;
    uint8_t backing[8];
    folder_new(site.dir);
    snprintf(site.disk, sizeof site.disk, "%s/disk.qcow2", site.dir);
    snprintf(site.unsafe, sizeof site.unsafe, "%s/unsafe.qcow2", site.dir);
    qcow2_write(site.disk, SIZE, 1);
    qcow2_write(site.unsafe, SIZE, 2);
    put64(backing, 512);
    pi_auto_close int fd = open(site.unsafe, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, backing, 8, 8), 8);
    start_server(&site);
    *state = &site;
    return 0;
}

static int site_close(void **state)
{
    struct site *site = *state;
    kill(site->server, SIGKILL);
    waitpid(site->server, NULL, 0);
    folder_done(site->dir);
    return 0;
}

/* GET of a file beside the index. */
static void ask_server(const struct world *w, const char *file, struct pi_buf *ret)
{
    struct image_meter meter = {0};
    char url[256];
    snprintf(url, sizeof url, "%.*s%s", (int)(strlen(w->sources.fedora_index_url) - strlen("releases.json")),
             w->sources.fedora_index_url, file);
    assert_int_equal(image_text_get(url, 65536, &meter, ret, NULL), 0);
}

static void set_faults(const struct world *w, const char *faults)
{
    pi_auto_buf struct pi_buf nothing = {0};
    char file[128];
    snprintf(file, sizeof file, "control?%s", faults);
    ask_server(w, file, &nothing);
}

static int mirror_downloads(const struct world *w)
{
    pi_auto_buf struct pi_buf text = {0};
    int count = 0;
    ask_server(w, "requests", &text);
    for (const char *at = text.data; (at = strstr(at, "/mirror/")); at++)
        count++;
    return count;
}

static int ranges_asked(const struct world *w)
{
    pi_auto_buf struct pi_buf text = {0};
    int count = 0;
    ask_server(w, "ranges", &text);
    for (const char *at = text.data; (at = strstr(at, "bytes=")); at++)
        count++;
    return count;
}

static void world_open(struct world *w, void **state, const char *faults)
{
    char images[128];
    struct pi_error err;
    *w = (struct world){.site = *state, .store.dir_fd = -1};
    folder_new(w->dir);
    snprintf(images, sizeof images, "%s/cache/images", w->dir);
    assert_int_equal(image_sources_load(w->dir, &w->sources, &err), 0);
    assert_int_equal(image_store_open(images, &w->store, &err), 0);
    set_faults(w, faults);
}

static void world_close(struct world *w)
{
    image_sources_done(&w->sources);
    image_store_done(&w->store);
    folder_done(w->dir);
}

/* Nothing listens on the discard port. */
static void lose_network(struct world *w)
{
    char **const urls[] = {&w->sources.fedora_index_url,    &w->sources.fedora_url,
                           &w->sources.fedora_checksum_url, &w->sources.fedora_archive_url,
                           &w->sources.fedora_metalink_url, &w->sources.fedora_keys_url};
    for (size_t i = 0; i < PI_ARRAY_SIZE(urls); i++) {
        free(*urls[i]);
        *urls[i] = strdup("http://127.0.0.1:9/x");
    }
}

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
        fail_msg("wanted %s with '%s', got %s: %s", pi_kind_names[kind], said, pi_kind_names[err.kind],
                 err.text);
    assert_null(image.path);
    assert_int_equal(files(w), 0);
}

static void newest_release_is_found_redirected_checked_and_stored(void **state)
{
    struct world w;
    struct pi_error err;
    char sha256[IMAGE_SHA256_LENGTH + 1], stored[IMAGE_SHA256_LENGTH + 1];
    struct stat st;
    pi_auto_image struct image image = {0};
    world_open(&w, state, "");
    if (fetch(&w, "fedora", NULL, false, &image, &err) < 0)
        fail_msg("%s", err.text);
    digest_of(w.site->disk, sha256);
    assert_string_equal(image.sha256, sha256);
    assert_string_equal(image.release, "44");
    assert_string_equal(image.arch, "x86_64");
    assert_string_equal(image.name, "Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2");
    assert_true(image.verified);
    assert_int_equal(image.checksum_source, IMAGE_CHECKSUM_FILE);
    assert_non_null(strstr(getenv("PIAGENT_FEDORA_SIGNER"), image.signer));
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
    struct world w;
    struct pi_error err;
    pi_auto_image struct image first = {0}, again = {0}, newest = {0};
    world_open(&w, state, "");
    assert_int_equal(fetch(&w, "fedora:44", NULL, false, &first, &err), 0);
    lose_network(&w);
    assert_int_equal(fetch(&w, "fedora:44", NULL, false, &again, &err), 0);
    assert_string_equal(again.path, first.path);
    assert_string_equal(again.source, first.source);
    assert_null(again.note);
    /* The newest one of all is what the store has, as far as can be known. */
    assert_int_equal(fetch(&w, "fedora", NULL, false, &newest, &err), 0);
    assert_string_equal(newest.path, first.path);
    assert_non_null(strstr(newest.note, "newest release in the store"));
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

static void index_is_kept_for_an_hour_and_used_after_it_where_the_network_fails(void **state)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    struct world w;
    struct pi_error err;
    char path[512];
    pi_auto_image struct image first = {0}, kept = {0}, stale = {0};
    world_open(&w, state, "");
    assert_int_equal(fetch(&w, "fedora", NULL, false, &first, &err), 0);
    set_faults(&w, "index=500");
    assert_int_equal(fetch(&w, "fedora", NULL, false, &kept, &err), 0);
    assert_null(kept.note);
    index_file(&w, path);
    assert_int_equal(utimensat(AT_FDCWD, path, long_ago, 0), 0);
    assert_int_equal(fetch(&w, "fedora", NULL, false, &stale, &err), 0);
    assert_string_equal(stale.path, first.path);
    assert_non_null(strstr(stale.note, "old copy"));
    world_close(&w);
}

static void checksum_file_vouches_where_the_index_does_not(void **state)
{
    struct world w;
    struct pi_error err;
    pi_auto_image struct image image = {0};
    world_open(&w, state, "index_checksums=no");
    if (fetch(&w, "fedora:44", NULL, false, &image, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(image.checksum_source, IMAGE_CHECKSUM_FILE);
    assert_true(image.verified);
    world_close(&w);
}

static void beta_is_fetched_only_by_its_name(void **state)
{
    struct world w;
    struct pi_error err;
    pi_auto_image struct image beta = {0}, newest = {0};
    world_open(&w, state, "index_checksums=no"); /* its CHECKSUM file has the other name */
    if (fetch(&w, "fedora:45-beta", NULL, false, &beta, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(beta.release, "45 Beta");
    assert_int_equal(beta.checksum_source, IMAGE_CHECKSUM_FILE);
    assert_int_equal(image_store_newest(&w.store, NULL, "x86_64", true, &newest, &err), -ENOENT);
    world_close(&w);
}

static void bad_servers_are_refused_and_leave_nothing(void **state)
{
    static const struct {
        const char *faults;
        enum pi_kind kind;
        const char *said;
    } cases[] = {
        {"metalink=404&image=wrong", PI_UNVERIFIED, "wrong checksum: expected SHA-256 "},
        {"metalink=404&image=404", PI_NOT_FOUND, "HTTP 404"},
        {"metalink=404&image=500", PI_NETWORK, "HTTP 500"},
        {"checksum=404", PI_UNVERIFIED, "--allow-unsigned"},
        {"checksum=500", PI_NETWORK, "HTTP 500"},
        {"checksum=unsigned", PI_UNVERIFIED, "expected a signature by "},
        {"checksum=forged", PI_UNVERIFIED, "found: Bad signature by "},
        {"checksum=stranger", PI_UNVERIFIED, "found: No public key by "},
        {"keys=404", PI_UNVERIFIED, "is neither on this host nor at "},
        {"keys=500", PI_NETWORK, "the key that signs Fedora 44"},
        {"keys=wrong", PI_UNVERIFIED, "is neither on this host nor at "},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct world w;
        world_open(&w, state, cases[i].faults);
        assert_refused(&w, "fedora:44", NULL, cases[i].kind, cases[i].said);
        world_close(&w);
    }
}

static void newest_release_needs_an_index(void **state)
{
    static const struct {
        const char *faults, *said;
    } cases[] = {
        {"index=404", "cannot find out which images Fedora has"},
        {"index=500", "HTTP 500"},
        {"index=truncate", "try again later"},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        struct world w;
        world_open(&w, state, cases[i].faults);
        assert_refused(&w, "fedora", NULL, PI_NETWORK, cases[i].said);
        world_close(&w);
    }
}

static void release_that_ended_comes_from_the_archive(void **state)
{
    struct world w;
    struct pi_error err;
    pi_auto_image struct image image = {0};
    world_open(&w, state, "");
    if (fetch(&w, "fedora:40", NULL, false, &image, &err) < 0)
        fail_msg("%s", err.text);
    assert_string_equal(image.name, "Fedora-Cloud-Base-Generic.x86_64-40-1.14.qcow2");
    assert_non_null(strstr(image.source, "/archive/pub/fedora/linux/releases/40/Cloud/"));
    assert_non_null(image.signer);
    world_close(&w);
}

static void unsigned_image_is_taken_only_where_it_is_allowed_each_time(void **state)
{
    static const char *const faults[] = {"checksum=404", "checksum=unsigned", "checksum=forged", "keys=404"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(faults); i++) {
        struct world w;
        struct pi_error err;
        pi_auto_image struct image image = {0}, again = {0}, signed_now = {0};
        struct image_request request = {.ref = "fedora:44", .arch = "x86_64", .allow_unsigned = true};
        world_open(&w, state, faults[i]);
        int r = image_fetch(&w.store, &w.sources, &request, NULL, NULL, &image, &err);
        if (!strcmp(faults[i], "checksum=forged")) { /* what it says is believed, and proves wrong */
            assert_true(r < 0);
            assert_int_equal(err.kind, PI_UNVERIFIED);
        } else {
            if (r < 0)
                fail_msg("%s: %s", faults[i], err.text);
            assert_null(image.signer);
            assert_true(image.allow_unsigned);
            assert_true(fetch(&w, "fedora:44", NULL, false, &again, &err) < 0);
            set_faults(&w, "");
            assert_int_equal(fetch(&w, "fedora:44", NULL, false, &signed_now, &err), 0);
            assert_non_null(signed_now.signer);
            assert_false(signed_now.allow_unsigned);
            assert_int_equal(mirror_downloads(&w), 0);
        }
        world_close(&w);
    }
}

static void unknown_release_says_which_there_are(void **state)
{
    struct world w;
    world_open(&w, state, "");
    assert_refused(&w, "fedora:99", NULL, PI_NOT_FOUND, "Fedora 99 is not in the index");
    assert_refused(&w, "fedora:99", NULL, PI_NOT_FOUND, "it has 44, 45 Beta, 42");
    assert_refused(&w, "fedora:44", WRONG, PI_UNVERIFIED, "but you gave " WRONG);
    world_close(&w);
}

static void unreachable_server_is_a_network_error_with_a_hint(void **state)
{
    struct world w;
    world_open(&w, state, "");
    lose_network(&w);
    assert_refused(&w, "fedora", NULL, PI_NETWORK, "https_proxy");
    world_close(&w);
}

static void image_that_names_other_files_is_refused(void **state)
{
    struct world w;
    world_open(&w, state, "");
    assert_refused(&w, "fedora:42", NULL, PI_UNVERIFIED, "backing file");
    assert_refused(&w, w.site->unsafe, NULL, PI_UNVERIFIED, "backing file");
    world_close(&w);
}

static void url_needs_a_checksum_or_the_users_word(void **state)
{
    struct world w;
    struct pi_error err;
    char url[512], sha256[IMAGE_SHA256_LENGTH + 1];
    pi_auto_image struct image taken = {0}, again = {0}, checked = {0};
    world_open(&w, state, "");
    snprintf(url, sizeof url,
             "%s/releases/44/Cloud/x86_64/images/Fedora-Cloud-Base-Generic-44-1.7.x86_64.qcow2",
             w.sources.fedora_url);
    assert_refused(&w, url, NULL, PI_UNVERIFIED, "--sha256");
    assert_refused(&w, url, WRONG, PI_UNVERIFIED, "expected SHA-256 " WRONG);
    assert_int_equal(fetch(&w, url, NULL, true, &taken, &err), 0);
    assert_false(taken.verified);
    assert_string_equal(taken.source, url);
    assert_int_equal(fetch(&w, url, NULL, true, &again, &err), 0);
    /* The wrong one, the taken one, and whether that is still the same: the server answers with the same
     * ETag. */
    assert_int_equal(mirror_downloads(&w), 3);
    /* Taken unverified once, it is still not verified; a checksum makes it so. */
    assert_true(fetch(&w, url, NULL, false, &checked, &err) < 0);
    assert_int_equal(err.kind, PI_UNVERIFIED);
    digest_of(w.site->disk, sha256);
    assert_int_equal(fetch(&w, url, sha256, false, &checked, &err), 0);
    assert_true(checked.verified);
    assert_int_equal(mirror_downloads(&w), 3);
    image_done(&again);
    assert_int_equal(image_store_find(&w.store, sha256, &again, &err), 0);
    assert_true(again.verified);
    world_close(&w);
}

static void local_file_is_copied_in_by_its_checksum_only(void **state)
{
    struct world w;
    struct pi_error err;
    char file[96], sha256[IMAGE_SHA256_LENGTH + 1], stored[IMAGE_SHA256_LENGTH + 1];
    pi_auto_image struct image image = {0}, again = {0};
    world_open(&w, state, "");
    snprintf(file, sizeof file, "%s/mine.qcow2", w.dir);
    qcow2_write(file, SIZE, 3);
    digest_of(file, sha256);
    assert_refused(&w, file, NULL, PI_UNVERIFIED, sha256);
    assert_refused(&w, file, WRONG, PI_UNVERIFIED, sha256);
    assert_refused(&w, "./no-such.qcow2", NULL, PI_NOT_FOUND, "no such file");
    assert_refused(&w, w.dir, NULL, PI_USAGE, "regular file");
    assert_int_equal(fetch(&w, file, sha256, false, &image, &err), 0);
    assert_true(image.verified);
    assert_int_equal(image.checksum_source, IMAGE_CHECKSUM_USER);
    assert_string_equal(image.name, "mine.qcow2");
    /* Later changes of the file do not affect the store. */
    qcow2_write(file, SIZE, 4);
    digest_of(image.path, stored);
    assert_string_equal(stored, sha256);
    assert_int_equal(fetch(&w, file, NULL, true, &again, &err), 0);
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
    struct world w;
    world_open(&w, state, "image=hold");
    struct fetcher first = fetcher_start(&w);
    fetcher_await(&first, IMAGE_DOWNLOADING);
    struct fetcher second = fetcher_start(&w);
    fetcher_await(&second, IMAGE_WAITING);
    assert_int_equal(mirror_downloads(&w), 1);
    set_faults(&w, "");
    assert_int_equal(fetcher_end(&first), 0);
    assert_int_equal(fetcher_end(&second), 0);
    assert_int_equal(mirror_downloads(&w), 0);
    assert_int_equal(files(&w), 2);
    world_close(&w);
}

static void killed_fetcher_is_succeeded_by_the_one_that_waits(void **state)
{
    struct world w;
    world_open(&w, state, "image=hold");
    struct fetcher first = fetcher_start(&w);
    fetcher_await(&first, IMAGE_DOWNLOADING);
    struct fetcher second = fetcher_start(&w);
    fetcher_await(&second, IMAGE_WAITING);
    kill(first.pid, SIGKILL);
    assert_true(WIFSIGNALED(fetcher_end(&first)));
    fetcher_await(&second, IMAGE_DOWNLOADING);
    assert_int_equal(mirror_downloads(&w), 2);
    set_faults(&w, "");
    assert_int_equal(fetcher_end(&second), 0);
    assert_int_equal(files(&w), 2);
    world_close(&w);
}

static void partial_of_a_dead_fetcher_is_swept_by_the_next_fetch_of_anything(void **state)
{
    struct world w;
    struct pi_error err;
    pi_auto_image struct image image = {0};
    world_open(&w, state, "image=hold");
    struct fetcher first = fetcher_start(&w);
    fetcher_await(&first, IMAGE_DOWNLOADING);
    kill(first.pid, SIGKILL);
    assert_true(WIFSIGNALED(fetcher_end(&first)));
    /* On a slow machine it has come to writing down how to go on: without that nobody can. */
    char file[128], sha256[IMAGE_SHA256_LENGTH + 1];
    digest_of(w.site->disk, sha256);
    snprintf(file, sizeof file, "%s.resume", sha256);
    unlinkat(w.store.dir_fd, file, 0);
    assert_int_equal(files(&w), 1);
    snprintf(file, sizeof file, "%s/mine.qcow2", w.dir);
    qcow2_write(file, SIZE, 3);
    assert_int_equal(fetch(&w, file, NULL, true, &image, &err), 0);
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

static void cancelled_fetch_is_gone_on_with_where_it_stood(void **state)
{
    static const char *const faults[] = {"image=slow", "image=stall"};
    for (size_t i = 0; i < PI_ARRAY_SIZE(faults); i++) {
        struct world w;
        struct pi_error err;
        struct canceller c = {0};
        struct image_request request = {.ref = "fedora", .arch = "x86_64", .cancel = &c.cancel};
        struct image image = {0};
        world_open(&w, state, faults[i]);
        assert_int_equal(
            image_fetch(&w.store, &w.sources, &request, cancel_once_bytes_come, &c, &image, &err),
            -ECANCELED);
        assert_int_equal(files(&w), 2); /* the partial, and what proves what it is a part of */
        set_faults(&w, "");
        pi_auto_image struct image whole = {0};
        char sha256[IMAGE_SHA256_LENGTH + 1];
        if (fetch(&w, "fedora", NULL, false, &whole, &err) < 0)
            fail_msg("%s", err.text);
        digest_of(w.site->disk, sha256);
        assert_string_equal(whole.sha256, sha256);
        assert_int_equal(files(&w), 2);
        assert_true(ranges_asked(&w) > 0);
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
        mkdir(images, 0700) < 0 || mount("tmpfs", images, "tmpfs", 0, "size=1m,mode=0700") < 0)
        return 77;
    struct world small = *w;
    if (image_store_open(images, &small.store, &err) < 0)
        return 1;
    if (fetch(&small, "fedora", NULL, false, &image, &err) == 0 || err.kind != PI_HOST ||
        !strstr(err.text, "more than is free") || files(&small) != 0)
        return 2;
    if (fetch(&small, w->site->disk, NULL, true, &image, &err) == 0 || err.kind != PI_HOST ||
        files(&small) != 0)
        return 3;
    return 0;
}

static void full_disk_is_seen_before_the_first_byte(void **state)
{
    struct world w;
    int status;
    world_open(&w, state, "");
    pid_t pid = fork();
    if (pid == 0)
        _exit(fetch_on_small_disk(&w));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    int downloads = mirror_downloads(&w);
    world_close(&w);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip_because("cannot here: this user may not mount a small file system");
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
        {"ftp://x/y.qcow2", "x86_64", NULL, "neither an https nor an http URL"},
        {"http://me:secret@x/y.qcow2", "x86_64", NULL, "cannot be used"},
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
        cmocka_unit_test(index_is_kept_for_an_hour_and_used_after_it_where_the_network_fails),
        cmocka_unit_test(checksum_file_vouches_where_the_index_does_not),
        cmocka_unit_test(beta_is_fetched_only_by_its_name),
        cmocka_unit_test(bad_servers_are_refused_and_leave_nothing),
        cmocka_unit_test(newest_release_needs_an_index),
        cmocka_unit_test(release_that_ended_comes_from_the_archive),
        cmocka_unit_test(unsigned_image_is_taken_only_where_it_is_allowed_each_time),
        cmocka_unit_test(unknown_release_says_which_there_are),
        cmocka_unit_test(unreachable_server_is_a_network_error_with_a_hint),
        cmocka_unit_test(image_that_names_other_files_is_refused),
        cmocka_unit_test(url_needs_a_checksum_or_the_users_word),
        cmocka_unit_test(local_file_is_copied_in_by_its_checksum_only),
        cmocka_unit_test(two_fetchers_download_once),
        cmocka_unit_test(killed_fetcher_is_succeeded_by_the_one_that_waits),
        cmocka_unit_test(partial_of_a_dead_fetcher_is_swept_by_the_next_fetch_of_anything),
        cmocka_unit_test(cancelled_fetch_is_gone_on_with_where_it_stood),
        cmocka_unit_test(full_disk_is_seen_before_the_first_byte),
        cmocka_unit_test(requests_that_make_no_sense_are_usage_errors),
    };
    return cmocka_run_group_tests(tests, site_open, site_close);
}
