/* SPDX-License-Identifier: MIT */
#include "agent/doctor/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/proc.h"
#include "agent/base/text.h"

#define FILE_MAX ((size_t)1 << 20)

__attribute__((format(printf, 3, 0))) static void format_clean(char *ret, size_t size, const char *format,
                                                               va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof text, format, args);
    pi_text_clean(text, strlen(text), ret, size);
}

void doctor_say(struct doctor_finding *ret, enum doctor_verdict verdict, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_clean(ret->text, sizeof ret->text, format, args);
    va_end(args);
    ret->verdict = verdict;
    ret->works = verdict == DOCTOR_OK;
}

void doctor_mend(struct doctor_finding *ret, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_clean(ret->remedy, sizeof ret->remedy, format, args);
    va_end(args);
}

const char *doctor_sudo(void)
{
    return geteuid() == 0 ? "" : "sudo ";
}

bool doctor_user(char ret[64])
{
    struct passwd entry, *found = NULL;
    char room[4096];
    bool known = getpwuid_r(geteuid(), &entry, room, sizeof room, &found) == 0 && found;
    snprintf(ret, 64, "%s", known ? entry.pw_name : "$USER");
    return known;
}

/* Tells if ID or ID_LIKE names this distribution. */
static bool distribution_is(const char *release, const char *word)
{
    for (const char *line = release; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (!pi_starts_with(line, "ID=") && !pi_starts_with(line, "ID_LIKE="))
            continue;
        const char *found = memmem(line, strcspn(line, "\n"), word, strlen(word));
        if (found && strchr("=\" '", found[-1]) && strchr("\" '\n", found[strlen(word)]))
            return true;
    }
    return false;
}

void doctor_mend_install(const struct doctor_host *host, struct vm_packages packages,
                         struct doctor_finding *ret)
{
    pi_auto_buf struct pi_buf release = {0};
    doctor_read(host, "/etc/os-release", &release);
    if (distribution_is(release.data, "debian") || distribution_is(release.data, "ubuntu"))
        doctor_mend(ret, "%sapt install %s", doctor_sudo(), packages.debian);
    else if (distribution_is(release.data, "fedora") || distribution_is(release.data, "rhel"))
        doctor_mend(ret, "%sdnf install %s", doctor_sudo(), packages.fedora);
    else
        doctor_mend(ret, "install the package that Debian calls %s and Fedora calls %s", packages.debian,
                    packages.fedora);
}

void doctor_mend_program(const struct doctor_host *host, const char *path, const char *arguments,
                         struct vm_packages packages, struct doctor_finding *ret)
{
    if (path)
        doctor_mend(ret, "run it to see what it does: %s %s", path, arguments);
    else
        doctor_mend_install(host, packages, ret);
}

enum doctor_verdict doctor_lacking(enum vm_arch arch)
{
    return arch == vm_arch_host() ? DOCTOR_FAIL : DOCTOR_WARN;
}

void doctor_path(const struct doctor_host *host, const char *path, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s%s", host->root, path);
}

bool doctor_read(const struct doctor_host *host, const char *path, struct pi_buf *ret)
{
    char whole[PATH_MAX];
    doctor_path(host, path, whole);
    bool there = pi_file_read(AT_FDCWD, whole, FILE_MAX, ret, NULL) == 0;
    pi_buf_puts(ret, "");
    return there;
}

int doctor_ask(const char *const *argv, struct pi_buf *output, char line[256], struct pi_error *err)
{
    int code = 0;
    int r = pi_run_within(argv, DOCTOR_LIMIT_MS, output, &code, err);
    if (r < 0)
        return r;
    const char *text = output->data ? output->data : "";
    pi_text_clean(text, strcspn(text, "\n"), line, 256);
    if (code == 0)
        return 0;
    return pi_refuse(err, PI_FAILED, "%s fails (exit code %d)%s%s", argv[0], code, line[0] ? ": " : "", line);
}
