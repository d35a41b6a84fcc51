/* SPDX-License-Identifier: MIT */
#include "agent/image/name.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"

static const char *const arches[] = {"x86_64", "aarch64"};

bool image_arch_known(const char *arch)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(arches); i++)
        if (!strcmp(arch, arches[i]))
            return true;
    return false;
}

static bool take_name_part(const char **at, const char *word)
{
    if (!pi_starts_with(*at, word))
        return false;
    *at += strlen(word);
    return true;
}

static bool take_arch(const char **at, struct image_name *name)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(arches); i++) {
        if (take_name_part(at, arches[i])) {
            snprintf(name->arch, sizeof name->arch, "%s", arches[i]);
            return true;
        }
    }
    return false;
}

static size_t take_digits(const char **at, size_t max)
{
    size_t n = strspn(*at, "0123456789");
    *at += n;
    return n <= max ? n : 0;
}

/* "-44-1.7", "-45_Beta-1.3" */
static bool take_label(const char **at, struct image_name *name)
{
    const char *release = *at + 1;
    if (!take_name_part(at, "-") || !take_digits(at, 3))
        return false;
    int digits = (int)(*at - release);
    bool beta = take_name_part(at, "_Beta");
    const char *compose = *at + 1;
    if (!take_name_part(at, "-") || !take_digits(at, 4) || !take_name_part(at, ".") || !take_digits(at, 4))
        return false;
    snprintf(name->release, sizeof name->release, "%.*s%s", digits, release, beta ? " Beta" : "");
    snprintf(name->compose, sizeof name->compose, "%.*s", (int)(*at - compose), compose);
    return true;
}

bool image_name_parse(const char *file, struct image_name *ret)
{
    struct image_name name = {0};
    const char *at = file;
    if (!take_name_part(&at, "Fedora-Cloud-Base"))
        return false;
    bool generic = take_name_part(&at, "-Generic");
    bool whole = generic && take_name_part(&at, ".")
                     ? take_arch(&at, &name) && take_label(&at, &name)
                     : take_label(&at, &name) && take_name_part(&at, ".") && take_arch(&at, &name);
    if (!whole || strcmp(at, ".qcow2") != 0)
        return false;
    *ret = name;
    return true;
}

void image_name_file(const struct image_name *name, char *buf, size_t size)
{
    if (!strcmp(name->release, "40"))
        snprintf(buf, size, "Fedora-Cloud-Base-Generic.%s-40-%s.qcow2", name->arch, name->compose);
    else
        snprintf(buf, size, "Fedora-Cloud-Base%s-%s-%s.%s.qcow2",
                 !strcmp(name->release, "38") || !strcmp(name->release, "39") ? "" : "-Generic",
                 name->release, name->compose, name->arch);
}

void image_name_checksum_file(const struct image_name *name, int form, char *buf, size_t size)
{
    snprintf(buf, size, "Fedora-Cloud%s-%s-%s-%s-CHECKSUM", form ? "-images" : "", name->release,
             name->compose, name->arch);
    char *space = strchr(buf, ' ');
    if (space)
        *space = '_';
}
