/* SPDX-License-Identifier: MIT */
#include "agent/vm/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"
#include "agent/vm/argv.h"

#define SAVED_MAX ((size_t)256 << 10)

static const struct pi_field file_fields[] = {
    PI_FIELD(vm_saved_file, bytes, PI_FIELD_U64, .required = true),
    PI_FIELD(vm_saved_file, modified_ns, PI_FIELD_U64, .required = true),
    {0},
};

static const struct pi_field saved_fields[] = {
    PI_FIELD(vm_saved, schema, PI_FIELD_U64, .required = true),
    PI_FIELD(vm_saved, qemu_major, PI_FIELD_U64, .required = true),
    PI_FIELD(vm_saved, qemu_minor, PI_FIELD_U64, .required = true),
    PI_FIELD(vm_saved, qemu_micro, PI_FIELD_U64, .required = true),
    PI_FIELD(vm_saved, machine, PI_FIELD_TEXT, .required = true),
    PI_ENUM(vm_saved, accel, vm_accel, .required = true),
    PI_FIELD(vm_saved, host_cpu, PI_FIELD_TEXT),
    PI_FIELD(vm_saved, hardware, PI_FIELD_STRV, .required = true, .max = 512),
    PI_FIELD(vm_saved, ram, PI_FIELD_STRUCT, .required = true, .nested = file_fields),
    PI_FIELD(vm_saved, ram_sha256, PI_FIELD_TEXT, .required = true),
    PI_FIELD(vm_saved, disk, PI_FIELD_STRUCT, .required = true, .nested = file_fields),
    PI_FIELD(vm_saved, vars, PI_FIELD_STRUCT, .nested = file_fields, .zero_is_none = true),
    PI_FIELD(vm_saved, layer, PI_FIELD_TEXT),
    PI_FIELD(vm_saved, overlay, PI_FIELD_STRUCT, .nested = file_fields, .zero_is_none = true),
    PI_FIELD(vm_saved, template_ram, PI_FIELD_STRUCT, .nested = file_fields, .zero_is_none = true),
    {0},
};

/* It becomes a word of QEMU's command line, in which a comma begins another setting. */
static bool is_machine(const char *text)
{
    return *text && !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-")];
}

int vm_saved_read(int dir_fd, struct vm_saved *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    struct vm_saved saved = {0};
    int r = pi_file_read(dir_fd, VM_SAVED_FILE, SAVED_MAX, &text, err);
    if (r < 0)
        return r;
    json_auto_t *doc = pi_json_parse(text.data ? text.data : "", text.size, err);
    json_int_t schema = json_integer_value(json_object_get(doc, "schema"));
    if (schema > VM_SAVED_SCHEMA)
        return pi_refuse(err, PI_FAILED, VM_SAVED_FILE " was written by a newer piagent");
    r = doc ? pi_fields_read(saved_fields, doc, true, &saved, err) : -EBADMSG;
    if (r == 0 && !is_machine(saved.machine))
        r = pi_refuse(err, PI_FAILED, "'%.40s' is no type of a -machine", saved.machine);
    if (r < 0) {
        vm_saved_done(&saved);
        if (err)
            err->kind = PI_FAILED;
        return pi_context(err, -EBADMSG, VM_SAVED_FILE " is damaged");
    }
    *ret = saved;
    return 0;
}

int vm_saved_write(int dir_fd, const struct vm_saved *saved, struct pi_error *err)
{
    json_auto_t *doc = pi_fields_write(saved_fields, saved);
    pi_auto_free char *text = doc ? json_dumps(doc, JSON_INDENT(2)) : NULL;
    if (!text)
        return pi_fail(err, ENOMEM, "cannot write " VM_SAVED_FILE);
    return pi_file_write(dir_fd, VM_SAVED_FILE, text, strlen(text), 0600, err);
}

void vm_saved_done(struct vm_saved *saved)
{
    pi_fields_done(saved_fields, saved);
}

static int look_at_saved_file(int dir_fd, const char *name, struct vm_saved_file *ret, struct pi_error *err)
{
    struct stat st;
    *ret = (struct vm_saved_file){0};
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        *ret = (struct vm_saved_file){(uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec * 1000000000u +
                                                                (uint64_t)st.st_mtim.tv_nsec};
    else if (errno != ENOENT)
        return pi_fail(err, errno, "%s", name);
    return 0;
}

int vm_saved_look(int dir_fd, const char *layer, struct vm_saved *ret, struct pi_error *err)
{
    int r = look_at_saved_file(dir_fd, VM_SAVED_RAM_FILE, &ret->ram, err);
    if (r == 0)
        r = look_at_saved_file(dir_fd, VM_DISK_FILE, layer[0] ? &ret->overlay : &ret->disk, err);
    if (r == 0 && layer[0])
        r = look_at_saved_file(dir_fd, layer, &ret->disk, err);
    if (r == 0)
        r = look_at_saved_file(dir_fd, VM_TEMPLATE_RAM_FILE, &ret->template_ram, err);
    return r < 0 ? r : look_at_saved_file(dir_fd, VM_VARS_FILE, &ret->vars, err);
}

int vm_saved_copy(int from, int to, const char *layer, struct pi_error *err)
{
    struct vm_saved saved = {0};
    int r = vm_saved_read(from, &saved, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    snprintf(saved.layer, sizeof saved.layer, "%s", layer);
    saved.overlay = (struct vm_saved_file){0};
    r = vm_saved_look(to, layer, &saved, err);
    if (r == 0)
        r = vm_saved_write(to, &saved, err);
    vm_saved_done(&saved);
    return r;
}

int vm_saved_note_layer(int dir_fd, const char *layer, int overlay_dir_fd, const char *overlay,
                        struct pi_error *err)
{
    struct vm_saved saved = {0};
    int r = vm_saved_read(dir_fd, &saved, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    snprintf(saved.layer, sizeof saved.layer, "%s", layer);
    r = look_at_saved_file(overlay_dir_fd, overlay, &saved.overlay, err);
    if (r == 0)
        r = vm_saved_write(dir_fd, &saved, err);
    vm_saved_done(&saved);
    return r;
}

/* RAM in a file is like any other; -m has its size. A card in a slot may have been plugged in after the start, so that its
 * QEMU's command line lacks it: that slots are there is enough. */
static bool is_hardware_of_all(const char *value)
{
    return !pi_starts_with(value, VM_MEMORY_FILE) && !strstr(value, ",bus=slot");
}

/* The part of an option's value that counts; NULL if the option does not. */
static const char *hardware_of(const char *option, const char *value, int *ret_length)
{
    static const char *const whole[] = {"-cpu", "-smp", "-m", "-uuid", "-device", "-object"};
    *ret_length = (int)strlen(value);
    for (size_t i = 0; i < PI_ARRAY_SIZE(whole); i++)
        if (!strcmp(option, whole[i]))
            return is_hardware_of_all(value) ? value : NULL;
    size_t word = strcspn(value, ",");
    if (!strcmp(option, "-machine")) { /* its type is compared with its version */
        const char *backend = strstr(value, VM_MEMORY_BACKEND);
        *ret_length = (int)((backend ? (size_t)(backend - value) : strlen(value)) - word);
        return value + word;
    }
    *ret_length = (int)word;
    return !strcmp(option, "-accel") ? value : NULL; /* without the size of its cache */
}

int vm_saved_hardware(const struct pi_strv *argv, struct pi_strv *ret)
{
    for (size_t i = 0; i + 1 < argv->count; i++) {
        int length, r;
        const char *value = hardware_of(argv->items[i], argv->items[i + 1], &length);
        pi_auto_free char *text = NULL;
        if (!value)
            continue;
        if (asprintf(&text, "%s %.*s", argv->items[i], length, value) < 0)
            return -ENOMEM;
        if ((r = pi_strv_add(ret, text)) < 0)
            return r;
    }
    return 0;
}

/* The value of a line "KEY<tabs>: VALUE" of the first processor; its length is 0 if there is none. */
static const char *cpuinfo_value(const char *cpuinfo, const char *key, size_t *ret_length)
{
    size_t length = strlen(key);
    *ret_length = 0;
    for (const char *line = cpuinfo; line && *line && *line != '\n';
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        if (strncmp(line, key, length) != 0)
            continue;
        const char *colon = line + length + strspn(line + length, " \t");
        if (*colon != ':')
            continue;
        colon += 1 + strspn(colon + 1, " ");
        *ret_length = strcspn(colon, "\n");
        return colon;
    }
    return "";
}

void vm_saved_host_cpu(const char *cpuinfo, char ret[160])
{
    size_t name_length, size, part;
    const char *name = cpuinfo_value(cpuinfo, "model name", &name_length);
    if (!name_length)
        name = cpuinfo_value(cpuinfo, "CPU part", &name_length);
    const char *flags = cpuinfo_value(cpuinfo, "flags", &size);
    if (!size)
        flags = cpuinfo_value(cpuinfo, "Features", &size);
    const char *revision = cpuinfo_value(cpuinfo, "stepping", &part);
    if (!part)
        revision = cpuinfo_value(cpuinfo, "CPU revision", &part);
    snprintf(ret, 160, "%.*s, %016" PRIx64 ".%.*s", (int)(name_length < 120 ? name_length : 120), name,
             pi_hash(flags, size), (int)(part < 8 ? part : 8), revision);
}

bool vm_saved_is_same_file(const struct vm_saved_file *saved, const struct vm_saved_file *now)
{
    return saved->bytes == now->bytes && saved->modified_ns == now->modified_ns;
}

/* A clone or a snapshot that broke off may have named the layer, and not made it: then the disk is what it was. */
static bool is_same_disk(const struct vm_saved *saved, const struct vm_saved *now)
{
    if (saved->layer[0] && vm_saved_is_same_file(&saved->overlay, &now->overlay))
        return vm_saved_is_same_file(&saved->disk, &now->disk);
    return vm_saved_is_same_file(&saved->disk, saved->layer[0] ? &now->overlay : &now->disk);
}

/* The first word of one list that the other has not at its place. */
static int check_hardware(const struct pi_strv *saved, const struct pi_strv *now, struct pi_error *err)
{
    size_t i = 0;
    while (i < saved->count && i < now->count && !strcmp(saved->items[i], now->items[i]))
        i++;
    if (i == saved->count && i == now->count)
        return 0;
    return pi_refuse(err, PI_CONFLICT, "it was saved with \"%.200s\", and now it would have \"%.200s\"",
                     i < saved->count ? saved->items[i] : "", i < now->count ? now->items[i] : "");
}

int vm_saved_fits(const struct vm_saved *saved, const struct vm_saved *now, struct pi_error *err)
{
    if (saved->ram.bytes != now->ram.bytes) /* a copy of it is as good */
        return pi_refuse(err, PI_CONFLICT,
                         now->ram.bytes ? "the file of its RAM is not whole" : "the file of its RAM is gone");
    if (!vm_saved_is_same_file(&saved->template_ram, &now->template_ram))
        return pi_refuse(err, PI_CONFLICT, "the file of its template's RAM %s",
                         now->template_ram.bytes ? "has changed since" : "is gone");
    int r = saved->accel == now->accel
                ? 0
                : pi_refuse(err, PI_CONFLICT, "it was saved under %s, and now it would run under %s",
                            vm_accel_names[saved->accel], vm_accel_names[now->accel]);
    if (r == 0)
        r = is_same_disk(saved, now) ? 0 : pi_refuse(err, PI_CONFLICT, "its disk has changed since");
    if (r == 0 && !vm_saved_is_same_file(&saved->vars, &now->vars))
        r = pi_refuse(err, PI_CONFLICT, "its UEFI variables have changed since");
    if (r == 0)
        r = check_hardware(&saved->hardware, &now->hardware, err);
    if (r == 0 && strcmp(saved->host_cpu, now->host_cpu) != 0)
        r = pi_refuse(err, PI_CONFLICT, "it was saved on another processor (%s; this is %s)", saved->host_cpu,
                      now->host_cpu);
    return r;
}

int vm_saved_fits_qemu(const struct vm_saved *saved, const struct qmp_version *qemu, struct pi_error *err)
{
    bool older = qemu->major < saved->qemu_major ||
                 (qemu->major == saved->qemu_major && qemu->minor < saved->qemu_minor);
    bool same = qemu->major == saved->qemu_major && qemu->minor == saved->qemu_minor;
    const char *cpu = NULL;
    for (size_t i = 0; i < saved->hardware.count; i++)
        if (pi_starts_with(saved->hardware.items[i], "-cpu max") ||
            !strcmp(saved->hardware.items[i], "-cpu host"))
            cpu = saved->hardware.items[i] + strlen("-cpu ");
    if (same || (!older && !cpu))
        return 0;
    return pi_refuse(
        err, PI_CONFLICT, "QEMU %" PRIu64 ".%" PRIu64 ".%" PRIu64 " saved it, and this is %u.%u.%u%s%s%s",
        saved->qemu_major, saved->qemu_minor, saved->qemu_micro, qemu->major, qemu->minor, qemu->micro,
        older ? "" : ": its processor (", older ? "" : cpu, older ? "" : ") is another one there");
}
