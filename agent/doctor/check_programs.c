/* SPDX-License-Identifier: MIT */
/* Checks the programs that piagent runs beside QEMU. */
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/doctor/check.h"

static const struct program {
    const char *argv[3];
    enum doctor_verdict missing;
    const char *lacks; /* what piagent cannot do without it */
    struct vm_packages packages;
} programs[] = {
    [DOCTOR_SSH] = {{"ssh", "-V"},
                    DOCTOR_FAIL,
                    "piagent ssh needs it",
                    {"openssh-client", "openssh-clients"}},
    /* It has no option that prints something and does nothing else: its presence is all that is checked. */
    [DOCTOR_COPY] = {{"scp"}, DOCTOR_WARN, "piagent cp needs it", {"openssh-client", "openssh-clients"}},
    [DOCTOR_GPG] = {{"gpg", "--version"},
                    DOCTOR_FAIL,
                    "it verifies the signatures of images",
                    {"gpg", "gnupg2"}},
    [DOCTOR_CLOUD_INIT] =
        {{"cloud-init", "--version"},
         DOCTOR_OK,
         "piagent can do without it; with it, piagent also asks cloud-init itself to check user-data",
         {"cloud-init", "cloud-init"}},
};

/* The first word that looks like a version, else the whole line. */
static const char *find_version(const char *line, int *ret_length)
{
    for (const char *word = line; *word; word += strcspn(word, " "), word += *word == ' ') {
        const char *digit = strpbrk(word, "0123456789");
        if (digit && digit < word + strcspn(word, " ") && strcspn(digit, ".") < strcspn(digit, " ")) {
            *ret_length = (int)strcspn(word, " ,");
            return word;
        }
    }
    *ret_length = (int)strlen(line);
    return line;
}

void doctor_check_program(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    const struct program *program = &programs[arg];
    pi_auto_buf struct pi_buf output = {0};
    pi_auto_free char *path = NULL;
    char line[256];
    struct pi_error err;
    int length, r = pi_program_find(program->argv[0], &path, &err);
    if (r == 0 && program->argv[1])
        r = doctor_ask(program->argv, &output, line, &err);
    if (r < 0) {
        doctor_say(ret, program->missing, "%s; %s", err.text, program->lacks);
        doctor_mend_program(host, path, program->argv[1], program->packages, ret);
    } else if (program->argv[1]) {
        const char *version = find_version(line, &length);
        doctor_say(ret, DOCTOR_OK, "%.*s, %s", length, version, path);
    } else {
        doctor_say(ret, DOCTOR_OK, "%s", path);
    }
}
