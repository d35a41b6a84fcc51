/* SPDX-License-Identifier: MIT */
#include "agent/vm/firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"

#define DESCRIPTOR_MAX  ((size_t)256 << 10)
#define DESCRIPTORS_MAX 256

/* A descriptor's patterns ("pc-q35-*") match a versioned name of QEMU's machine. */
static const char *const machines[VM_ARCHES] = {[VM_X86_64] = "pc-q35-7.2", [VM_AARCH64] = "virt-7.2"};
static const struct vm_packages packages[VM_ARCHES] = {
    [VM_X86_64] = {"ovmf", "edk2-ovmf"},
    [VM_AARCH64] = {"qemu-efi-aarch64", "edk2-aarch64"},
};

struct vm_packages vm_firmware_packages(enum vm_arch arch)
{
    return packages[arch];
}

static bool list_holds(const json_t *list, const char *word)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) {
        if (json_is_string(item) && !strcmp(json_string_value(item), word))
            return true;
    }
    return false;
}

static bool suits_machine(const json_t *targets, enum vm_arch arch)
{
    size_t i, j;
    json_t *target, *pattern;
    json_array_foreach(targets, i, target) {
        const char *name = json_string_value(json_object_get(target, "architecture"));
        if (!name || strcmp(name, vm_arch_names[arch]) != 0)
            continue;
        json_array_foreach(json_object_get(target, "machines"), j, pattern) {
            if (json_is_string(pattern) && fnmatch(json_string_value(pattern), machines[arch], 0) == 0)
                return true;
        }
    }
    return false;
}

/* Tells if the flash is a pair of read-only code and writable variables. Without "mode", which is newer, it
 * is "split". */
static bool is_split_flash(const json_t *mapping)
{
    const char *device = json_string_value(json_object_get(mapping, "device"));
    const char *mode = json_string_value(json_object_get(mapping, "mode"));
    return device && !strcmp(device, "flash") && (!mode || !strcmp(mode, "split"));
}

static int copy_files(json_t *mapping, struct vm_firmware_files *ret, struct pi_error *err)
{
    const char *code, *code_format, *vars, *vars_format;
    json_error_t at;
    if (json_unpack_ex(mapping, &at, 0, "{s:{s:s, s:s}, s:{s:s, s:s}}", "executable", "filename", &code,
                       "format", &code_format, "nvram-template", "filename", &vars, "format",
                       &vars_format) < 0)
        return pi_refuse(err, PI_FAILED, "not a firmware descriptor: mapping: %s", at.text);
    struct vm_firmware_files files = {strdup(code), strdup(code_format), strdup(vars), strdup(vars_format)};
    if (!files.code || !files.code_format || !files.vars || !files.vars_format) {
        vm_firmware_done(&files);
        return pi_fail(err, ENOMEM, "firmware");
    }
    *ret = files;
    return 1;
}

int vm_firmware_parse(const char *json, size_t size, enum vm_arch arch, struct vm_firmware_files *ret,
                      struct pi_error *err)
{
    json_t *interfaces, *mapping, *targets, *features;
    json_error_t at;
    json_auto_t *doc = pi_json_parse(json, size, err);
    if (!doc)
        return pi_context(err, -EBADMSG, "not a firmware descriptor");
    if (json_unpack_ex(doc, &at, 0, "{s:o, s:o, s:o, s:o}", "interface-types", &interfaces, "mapping",
                       &mapping, "targets", &targets, "features", &features) < 0)
        return pi_refuse(err, PI_FAILED, "not a firmware descriptor: %s", at.text);

    /* With enrolled keys only signed systems boot. SMM must be emulated, which is slow. */
    if (!list_holds(interfaces, "uefi") || !is_split_flash(mapping) || !suits_machine(targets, arch) ||
        list_holds(features, "enrolled-keys") || list_holds(features, "requires-smm"))
        return 0;
    return copy_files(mapping, ret, err);
}

/* Reads the descriptor from the first folder that has it. 0, -ENOMEM, or -ENOENT if an empty file or a link
 * to /dev/null hides it, or it cannot be read. */
static int read_descriptor(const char *const *folders, const char *name, struct pi_buf *ret)
{
    for (; *folders; folders++) {
        char path[PATH_MAX];
        if (snprintf(path, sizeof path, "%s/%s", *folders, name) >= (int)sizeof path ||
            access(path, F_OK) < 0)
            continue;
        int r = pi_file_read(AT_FDCWD, path, DESCRIPTOR_MAX, ret, NULL);
        return r == 0 && ret->size ? 0 : r == -ENOMEM ? r : -ENOENT;
    }
    return -ENOENT;
}

/* 1 if it fits. 0 also if it is broken or its files are missing, so that the next descriptor is tried. */
static int try_descriptor(const char *const *folders, const char *name, enum vm_arch arch,
                          struct vm_firmware_files *ret)
{
    pi_auto_buf struct pi_buf json = {0};
    struct vm_firmware_files files = {0};
    int r = read_descriptor(folders, name, &json);
    if (r == 0)
        r = vm_firmware_parse(json.data, json.size, arch, &files, NULL);
    if (r == -ENOMEM)
        return r;
    if (!files.code || access(files.code, R_OK) < 0 || access(files.vars, R_OK) < 0) {
        vm_firmware_done(&files);
        return 0;
    }
    *ret = files;
    return 1;
}

static int list_names(const char *const *folders, struct pi_strv *ret)
{
    for (; *folders; folders++) {
        pi_auto_closedir DIR *dir = opendir(*folders);
        if (!dir && errno == ENOMEM)
            return -ENOMEM;
        for (struct dirent *e; dir && ret->count < DESCRIPTORS_MAX && (e = readdir(dir));) {
            int r = pi_ends_with(e->d_name, ".json") ? pi_strv_add(ret, e->d_name) : 0;
            if (r < 0)
                return r;
        }
    }
    return 0;
}

static int by_file_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_in(enum vm_arch arch, const char *const *folders, struct vm_firmware_files *ret,
                   struct pi_error *err)
{
    pi_auto_strv struct pi_strv names = {0};
    int r = list_names(folders, &names);
    if (names.count)
        qsort(names.items, names.count, sizeof *names.items, by_file_name);
    for (size_t i = 0; i < names.count && r == 0; i++)
        r = try_descriptor(folders, names.items[i], arch, ret);
    if (r != 0)
        return r < 0 ? pi_fail(err, -r, "firmware") : 0;
    return pi_refuse(err, PI_HOST, "no UEFI firmware for %s is installed: install %s (Debian) or %s (Fedora)",
                     vm_arch_names[arch], packages[arch].debian, packages[arch].fedora);
}

int vm_firmware_find(enum vm_arch arch, const char *const *folders, struct vm_firmware_files *ret,
                     struct pi_error *err)
{
    if (folders)
        return find_in(arch, folders, ret, err);
    char user[PATH_MAX] = "";
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        snprintf(user, sizeof user, "%s/qemu/firmware", xdg);
    else if (home)
        snprintf(user, sizeof user, "%s/.config/qemu/firmware", home);
    return find_in(arch, (const char *const[]){user, "/etc/qemu/firmware", "/usr/share/qemu/firmware", NULL},
                   ret, err);
}

void vm_firmware_done(struct vm_firmware_files *files)
{
    free(files->code);
    free(files->code_format);
    free(files->vars);
    free(files->vars_format);
    *files = (struct vm_firmware_files){0};
}
