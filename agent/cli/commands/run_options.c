/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/run_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/base64.h"
#include "agent/base/environ.h"
#include "agent/base/text.h"
#include "agent/cli/client/wait.h"
#include "agent/cli/terminal/user_data_findings.h"
#include "agent/cli/terminal/words.h"
#include "agent/image/checksum.h"
#include "agent/image/ref.h"
#include "agent/image/sources.h"
#include "agent/seed/password.h"
#include "agent/seed/ssh_key.h"
#include "agent/seed/user_data.h"

#define OPTION(member, name_, type_, ...)                                   \
    {                                                                       \
        .name = (name_), CLI_MEMBER(type_, cli_create, member), __VA_ARGS__ \
    }

const struct cli_option cli_create_options[] = {
    OPTION(image, "image", CLI_STRING, .kind = CLI_IMAGE, .group = "Image", .argument = "IMAGE",
           .help = "fedora, fedora:44, an https URL or a file (default: the newest fedora)"),
    OPTION(image_sha256, "sha256", CLI_STRING, .kind = CLI_TEXT, .argument = "HEX",
           .help = "the image's SHA-256, for a URL or file without a published one"),
    OPTION(image_unverified, "unverified", CLI_FLAG,
           .help = "boot the image even if nothing proves what it is"),
    OPTION(image_allow_unsigned, "allow-unsigned", CLI_FLAG,
           .help = "boot a Fedora image whose signature is missing or bad"),
    OPTION(arch, "arch", CLI_STRING, .kind = CLI_WORD, .words = cli_words_arch, .group = "Hardware",
           .argument = "ARCH", .help = "x86_64 or aarch64 (default: this host's); the other one is emulated"),
    OPTION(memory_bytes, "memory", CLI_SIZE, .letter = 'm', .argument = "SIZE",
           .help = "memory (default: 1G)"),
    OPTION(cpus, "cpus", CLI_NUMBER, .letter = 'c', .argument = "N", .min = 1, .max = 64,
           .help = "virtual CPUs (default: 2)"),
    OPTION(disk_bytes, "disk", CLI_SIZE, .argument = "SIZE",
           .help = "disk, grown from the image (default: 10G)"),
    OPTION(accel, "accel", CLI_STRING, .kind = CLI_WORD, .words = cli_words_accel, .argument = "HOW",
           .help = "auto, kvm or tcg (default: auto, which is KVM if guests run on it)"),
    OPTION(firmware, "firmware", CLI_STRING, .kind = CLI_WORD, .words = cli_words_firmware,
           .argument = "WHICH",
           .help = "auto, bios or uefi (default: auto, which is uefi for aarch64, else bios)"),
    OPTION(
        forwards, "forward", CLI_LIST, .letter = 'p', .kind = CLI_TEXT, .group = "Network",
        .argument = "[ADDR:]PORT:GUEST",
        .help =
            "forward a TCP port of this host, over IPv4: 8080:80, or 0.0.0.0:8080:80 (default address: 127.0.0.1)"),
    OPTION(isolate, "isolate", CLI_FLAG,
           .help =
               "the guest reaches neither this host nor the network: only its seed, SSH and the forwards"),
    OPTION(memory_max_bytes, "memory-max", CLI_SIZE, .group = "Limits", .argument = "SIZE",
           .help = "memory that QEMU as a whole may use (default: no limit)"),
    OPTION(cpu_quota_percent, "cpu-quota", CLI_NUMBER, .argument = "PERCENT", .min = 10, .max = 6400,
           .help = "processor time that QEMU may use: 100 is one processor (default: no limit)"),
    OPTION(user, "user", CLI_STRING, .kind = CLI_TEXT, .group = "Login", .argument = "NAME",
           .help = "the login to make (default: fedora)"),
    OPTION(password_prompt, "password-prompt", CLI_FLAG, .help = "ask for the login's password"),
    OPTION(password_hash, "password-hash", CLI_STRING, .kind = CLI_TEXT, .argument = "HASH",
           .help = "its hash instead, as of piagent hash-password"),
    OPTION(ssh_keys, "ssh-key", CLI_LIST, .kind = CLI_FILE, .argument = "FILE",
           .help = "public keys that may log in"),
    OPTION(user_data, "user-data", CLI_STRING, .kind = CLI_FILE, .argument = "FILE",
           .help = "your own cloud-init user-data"),
    OPTION(user_data_unchecked, "user-data-unchecked", CLI_FLAG,
           .help = "boot it even if it has errors, to see what the guest makes of it"),
    OPTION(detach, "detach", CLI_FLAG, .group = "This command", .letter = 'd',
           .help = "return when the guest is ready"),
    OPTION(timeout_ms, "timeout", CLI_LIMIT, .argument = "TIME", .help = "with -d: " CLI_WAIT_LIMIT_HELP),
    OPTION(json, "json", CLI_FLAG, .help = "with -d: the events as JSON lines"),
    {0},
};

static int copy(char **to, const char *from)
{
    if (from && !(*to = strdup(from)))
        return -ENOMEM;
    return 0;
}

/* Makes the path of a local file absolute: the agent's working folder is another one. */
static int copy_image(char **to, const char *image, struct pi_error *err)
{
    struct image_ref ref;
    if (!image)
        return 0;
    int r = image_ref_parse(image, &ref, err);
    if (r < 0)
        return pi_context(err, r, "--image");
    *to = ref.kind == IMAGE_REF_FILE ? realpath(image, NULL) : strdup(image);
    return *to ? 0 : pi_refuse(err, PI_NOT_FOUND, "--image: cannot open %s: %s", image, strerror(errno));
}

static int add_password(const struct cli_create *options, struct api_create *ret, struct pi_error *err)
{
    char password[SEED_PASSWORD_MAX + 1], hash[SEED_HASH_MAX + 1];
    if (options->password_prompt && options->password_hash)
        return pi_refuse(err, PI_USAGE, "--password-prompt and --password-hash exclude each other");
    if (options->password_hash) {
        int r = seed_hash_check(options->password_hash, err);
        if (r < 0 || (r = copy(&ret->password_hash, options->password_hash)) < 0)
            return pi_context(err, r, "--password-hash");
        /* The hash is a word of this process's argv: everyone on the host could read it as long as the
         * command runs. */
        memset(options->password_hash, '*', strlen(options->password_hash));
        return 0;
    }
    if (!options->password_prompt)
        return 0;
    int r = seed_password_prompt(STDIN_FILENO, "Password for the guest", password, err);
    if (r == 0)
        r = seed_password_hash(SEED_YESCRYPT, password, hash, err);
    explicit_bzero(password, sizeof password);
    return r < 0 ? r : copy(&ret->password_hash, hash);
}

/* Warns about a key that a guest's sshd refuses, and adds it all the same: the sshd of another image may take
 * it. */
static int add_ssh_keys(const char *path, struct api_create *ret, struct pi_error *err)
{
    char why[192], file[PATH_MAX];
    size_t before = ret->ssh_keys.count;
    int r = seed_ssh_keys_read(path, &ret->ssh_keys, err);
    for (size_t i = before; r == 0 && i < ret->ssh_keys.count; i++)
        if (seed_ssh_key_is_weak(ret->ssh_keys.items[i], why, sizeof why))
            fprintf(stderr, "piagent: --ssh-key: %s: warning: %s\n",
                    pi_text_clean(path, strlen(path), file, sizeof file), why);
    return r < 0 ? pi_context(err, r, "--ssh-key") : 0;
}

static int add_files(const struct cli_create *options, struct api_create *ret, struct pi_error *err)
{
    for (size_t i = 0; i < options->ssh_keys.count; i++) {
        int r = add_ssh_keys(options->ssh_keys.items[i], ret, err);
        if (r < 0)
            return r;
    }
    if (!options->user_data)
        return 0;
    pi_auto_buf struct pi_buf text = {.max = SEED_USER_DATA_MAX + 1};
    int r = seed_user_data_read(options->user_data, &text, err);
    if (r == 0)
        r = cli_user_data_check(options->user_data, &text, options->user_data_unchecked, err);
    if (r < 0)
        return pi_context(err, r, "--user-data");
    pi_auto_buf struct pi_buf encoded = {0};
    if (pi_base64_encode(text.data, text.size, &encoded) < 0)
        return pi_fail(err, ENOMEM, "--user-data");
    ret->user_data_base64 = pi_steal(encoded.data);
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
        {"--image", &request->image, 1},
        {"--user", &request->user, 1},
        {"--ssh-key", request->ssh_keys.items, request->ssh_keys.count},
        {"--forward", request->forwards.items, request->forwards.count},
        {"the environment", request->environment.items, request->environment.count},
    };
    for (size_t i = 0; i < PI_ARRAY_SIZE(values); i++)
        for (size_t k = 0; k < values[i].count; k++)
            if (values[i].items[k] && !pi_is_utf8(values[i].items[k]))
                return pi_refuse(err, PI_USAGE, "%s: text that is not UTF-8 cannot be used", values[i].what);
    return 0;
}

int cli_create_request(const struct cli_create *options, const char *name, struct api_create *ret,
                       struct pi_error *err)
{
    *ret = (struct api_create){
        .image_unverified = options->image_unverified,
        .image_allow_unsigned = options->image_allow_unsigned,
        .cpus = options->cpus,
        .memory_mib = options->memory_bytes >> 20,
        .memory_max_mib = (options->memory_max_bytes + (1 << 20) - 1) >> 20,
        .cpu_quota_percent = options->cpu_quota_percent,
        .disk_bytes = options->disk_bytes,
        .isolate = options->isolate,
        .user_data_unchecked = options->user_data_unchecked,
    };
    int r = pi_name_check(name, err);
    if (r < 0)
        return r;
    /* The agent has the environment of the command that started it; but this command says where its image
     * comes from. */
    if (pi_environ_add(image_sources_is_setting, &ret->environment) < 0)
        return pi_fail(err, ENOMEM, "environment");
    char digest[IMAGE_SHA256_LENGTH + 1];
    if (options->image_sha256 && (r = image_sha256_parse(options->image_sha256, digest, err)) < 0)
        return pi_context(err, r, "--sha256");
    if (options->memory_bytes && !ret->memory_mib)
        return pi_refuse(err, PI_USAGE, "--memory: less than a mebibyte; write it as 512M or 1G");
    if (copy(&ret->name, name) < 0 || copy(&ret->image_sha256, options->image_sha256) < 0 ||
        copy(&ret->arch, options->arch) < 0 || copy(&ret->accel, options->accel) < 0 ||
        copy(&ret->firmware, options->firmware) < 0 || copy(&ret->user, options->user) < 0)
        return pi_fail(err, ENOMEM, "run");
    if ((r = copy_image(&ret->image, options->image, err)) < 0)
        return r;
    for (size_t i = 0; i < options->forwards.count; i++)
        if ((r = pi_strv_add(&ret->forwards, options->forwards.items[i])) < 0)
            return pi_fail(err, -r, "run");
    if ((r = add_files(options, ret, err)) < 0 || (r = check_utf8(ret, err)) < 0)
        return r;
    return add_password(options, ret, err);
}
