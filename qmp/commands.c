/* SPDX-License-Identifier: MIT */
#include "qmp/commands.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const command_names[QMP_COMMANDS] = {
    [QMP_QUERY_STATUS] = "query-status",
    [QMP_QUERY_UUID] = "query-uuid",
    [QMP_QUERY_KVM] = "query-kvm",
    [QMP_SYSTEM_POWERDOWN] = "system_powerdown",
    [QMP_SYSTEM_RESET] = "system_reset",
    [QMP_SYSTEM_WAKEUP] = "system_wakeup",
    [QMP_STOP] = "stop",
    [QMP_CONT] = "cont",
    [QMP_QUIT] = "quit",
    [QMP_QUERY_VERSION] = "query-version",
    [QMP_QUERY_MIGRATE] = "query-migrate",
    [QMP_QUERY_BLOCK] = "query-block",
    [QMP_MIGRATE_CANCEL] = "migrate_cancel",
    [QMP_QOM_GET] = "qom-get",
    [QMP_GETFD] = "getfd",
    [QMP_ADD_FD] = "add-fd",
    [QMP_REMOVE_FD] = "remove-fd",
    [QMP_MIGRATE_SET_PARAMETERS] = "migrate-set-parameters",
    [QMP_MIGRATE_SET_CAPABILITIES] = "migrate-set-capabilities",
    [QMP_DEVICE_ADD] = "device_add",
    [QMP_MIGRATE] = "migrate",
    [QMP_BLOCKDEV_ADD] = "blockdev-add",
    [QMP_BLOCKDEV_DEL] = "blockdev-del",
    [QMP_BLOCKDEV_SNAPSHOT] = "blockdev-snapshot",
    [QMP_MIGRATE_INCOMING] = "migrate-incoming",
};

int qmp_command_execute(struct qmp_client *client, enum qmp_command command, uint64_t deadline_ms,
                        qmp_reply_fn reply, void *user)
{
    return qmp_client_execute(client, command_names[command], NULL, deadline_ms, reply, user);
}

int qmp_command_execute_with(struct qmp_client *client, enum qmp_command command, json_t *arguments, int fd,
                             uint64_t deadline_ms, qmp_reply_fn reply, void *user)
{
    const char *name = command_names[command];
    return fd == -1 ? qmp_client_execute(client, name, arguments, deadline_ms, reply, user)
                    : qmp_client_execute_fd(client, name, arguments, fd, deadline_ms, reply, user);
}

/* A member of a JSON object and its place in a struct; a table ends with {0}. */
struct member {
    const char *key;
    size_t offset;
    size_t text_size; /* 0 = a bool */
    bool optional;
};

#define FLAG(struct_, field, key_, ...)                                       \
    {                                                                         \
        .key = (key_), .offset = offsetof(struct struct_, field), __VA_ARGS__ \
    }
#define TEXT(struct_, field, key_, ...) \
    FLAG(struct_, field, key_, .text_size = sizeof(((struct struct_ *)0)->field), __VA_ARGS__)

static void copy_text(char *ret, size_t size, const json_t *text)
{
    size_t length = json_string_length(text);
    const char *bytes = json_string_value(text);
    if (length >= size)
        for (length = size - 1; length > 0 && ((unsigned char)bytes[length] & 0xC0) == 0x80;)
            length--; /* never cuts a character in two */
    memcpy(ret, bytes, length);
    ret[length] = '\0';
}

/* Sets only the members that the table names. On failure ret is half filled: pass a copy. */
static int decode_members(const struct member *members, const json_t *object, void *ret)
{
    for (const struct member *m = members; m->key; m++) {
        const json_t *value = json_object_get(object, m->key);
        char *place = (char *)ret + m->offset;
        if (!value && m->optional)
            continue;
        if (m->text_size ? !json_is_string(value) : !json_is_boolean(value))
            return -EPROTO;
        if (m->text_size)
            copy_text(place, m->text_size, value);
        else
            *(bool *)place = json_is_true(value);
    }
    return 0;
}

static const char *const run_states[] = {
    [QMP_RUN_COLO] = "colo",
    [QMP_RUN_DEBUG] = "debug",
    [QMP_RUN_FINISH_MIGRATE] = "finish-migrate",
    [QMP_RUN_GUEST_PANICKED] = "guest-panicked",
    [QMP_RUN_INMIGRATE] = "inmigrate",
    [QMP_RUN_INTERNAL_ERROR] = "internal-error",
    [QMP_RUN_IO_ERROR] = "io-error",
    [QMP_RUN_PAUSED] = "paused",
    [QMP_RUN_POSTMIGRATE] = "postmigrate",
    [QMP_RUN_PRELAUNCH] = "prelaunch",
    [QMP_RUN_RESTORE_VM] = "restore-vm",
    [QMP_RUN_RUNNING] = "running",
    [QMP_RUN_SAVE_VM] = "save-vm",
    [QMP_RUN_SHUTDOWN] = "shutdown",
    [QMP_RUN_SUSPENDED] = "suspended",
    [QMP_RUN_WATCHDOG] = "watchdog",
};

static const struct member status_members[] = {
    FLAG(qmp_status, running, "running"),
    TEXT(qmp_status, name, "status"),
    {0},
};

int qmp_status_decode(const json_t *data, struct qmp_status *ret)
{
    struct qmp_status status = {.state = QMP_RUN_OTHER};
    if (decode_members(status_members, data, &status) < 0)
        return -EPROTO;
    for (size_t i = QMP_RUN_OTHER + 1; i < ARRAY_SIZE(run_states); i++)
        if (strcmp(run_states[i], status.name) == 0)
            status.state = (enum qmp_run_state)i;
    status.running = status.running && status.state != QMP_RUN_SUSPENDED;
    *ret = status;
    return 0;
}

static const struct member kvm_members[] = {
    FLAG(qmp_kvm, enabled, "enabled"),
    FLAG(qmp_kvm, present, "present"),
    {0},
};

int qmp_kvm_decode(const json_t *data, struct qmp_kvm *ret)
{
    struct qmp_kvm kvm = {0};
    if (decode_members(kvm_members, data, &kvm) < 0)
        return -EPROTO;
    *ret = kvm;
    return 0;
}

static const struct member uuid_members[] = {
    TEXT(qmp_uuid, text, "UUID"),
    {0},
};

int qmp_uuid_decode(const json_t *data, struct qmp_uuid *ret)
{
    struct qmp_uuid uuid = {0};
    if (decode_members(uuid_members, data, &uuid) < 0)
        return -EPROTO;
    *ret = uuid;
    return 0;
}

/* Members of "qemu", of a size that a version has. */
static int decode_number(const json_t *object, const char *key, unsigned *ret)
{
    const json_t *value = json_object_get(object, key);
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > UINT16_MAX)
        return -EPROTO;
    *ret = (unsigned)number;
    return 0;
}

int qmp_version_decode(const json_t *data, struct qmp_version *ret)
{
    const json_t *qemu = json_object_get(data, "qemu");
    struct qmp_version version;
    if (decode_number(qemu, "major", &version.major) < 0 ||
        decode_number(qemu, "minor", &version.minor) < 0 || decode_number(qemu, "micro", &version.micro) < 0)
        return -EPROTO;
    *ret = version;
    return 0;
}

static const struct member migration_members[] = {
    TEXT(qmp_migration, name, "status", .optional = true),
    TEXT(qmp_migration, error, "error-desc", .optional = true),
    {0},
};

int qmp_migration_decode(const json_t *data, struct qmp_migration *ret)
{
    static const struct {
        const char *name;
        enum qmp_migration_state state;
    } ends[] = {{"", QMP_MIGRATION_NONE},
                {"none", QMP_MIGRATION_NONE},
                {"completed", QMP_MIGRATION_DONE},
                {"failed", QMP_MIGRATION_FAILED},
                {"cancelled", QMP_MIGRATION_FAILED}};
    struct qmp_migration migration = {.state = QMP_MIGRATION_ACTIVE};
    if (!json_is_object(data) || decode_members(migration_members, data, &migration) < 0)
        return -EPROTO;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (strcmp(ends[i].name, migration.name) == 0)
            migration.state = ends[i].state;
    *ret = migration;
    return 0;
}

static const struct member no_members[] = {{0}};

static const struct member cause_members[] = {
    FLAG(qmp_event_info, guest, "guest"),
    TEXT(qmp_event_info, reason, "reason"),
    {0},
};

static const struct member action_members[] = {
    TEXT(qmp_event_info, action, "action"),
    {0},
};

static const struct member memory_failure_members[] = {
    TEXT(qmp_event_info, recipient, "recipient"),
    TEXT(qmp_event_info, action, "action"),
    {0},
};

static const struct member io_error_members[] = {
    TEXT(qmp_event_info, device, "device"),
    TEXT(qmp_event_info, node, "node-name", .optional = true),
    TEXT(qmp_event_info, operation, "operation"),
    TEXT(qmp_event_info, action, "action"),
    FLAG(qmp_event_info, nospace, "nospace", .optional = true),
    TEXT(qmp_event_info, reason, "reason"),
    {0},
};

static const struct member corrupted_members[] = {
    TEXT(qmp_event_info, device, "device"),
    TEXT(qmp_event_info, node, "node-name", .optional = true),
    TEXT(qmp_event_info, message, "msg"),
    FLAG(qmp_event_info, fatal, "fatal"),
    {0},
};

static const struct {
    const char *name;
    enum qmp_event_kind kind;
    const struct member *members;
} events[] = {
    {"SHUTDOWN", QMP_EVENT_SHUTDOWN, cause_members},
    {"RESET", QMP_EVENT_RESET, cause_members},
    {"STOP", QMP_EVENT_STOP, no_members},
    {"RESUME", QMP_EVENT_RESUME, no_members},
    {"POWERDOWN", QMP_EVENT_POWERDOWN, no_members},
    {"SUSPEND", QMP_EVENT_SUSPEND, no_members},
    {"SUSPEND_DISK", QMP_EVENT_SUSPEND_DISK, no_members},
    {"WAKEUP", QMP_EVENT_WAKEUP, no_members},
    {"WATCHDOG", QMP_EVENT_WATCHDOG, action_members},
    {"GUEST_PANICKED", QMP_EVENT_GUEST_PANICKED, action_members},
    {"GUEST_CRASHLOADED", QMP_EVENT_GUEST_CRASHLOADED, action_members},
    {"MEMORY_FAILURE", QMP_EVENT_MEMORY_FAILURE, memory_failure_members},
    {"BLOCK_IO_ERROR", QMP_EVENT_BLOCK_IO_ERROR, io_error_members},
    {"BLOCK_IMAGE_CORRUPTED", QMP_EVENT_BLOCK_IMAGE_CORRUPTED, corrupted_members},
};

int qmp_event_decode(const struct qmp_event *event, struct qmp_event_info *ret)
{
    struct qmp_event_info info = {.kind = QMP_EVENT_OTHER, .realtime_ms = event->realtime_ms};
    for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
        if (strcmp(events[i].name, event->name) != 0)
            continue;
        info.kind = events[i].kind;
        if (decode_members(events[i].members, event->data, &info) < 0)
            return -EPROTO;
    }
    *ret = info;
    return 0;
}
