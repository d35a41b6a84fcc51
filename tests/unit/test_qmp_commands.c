/* SPDX-License-Identifier: MIT */
/* Typed commands, replies and events: what QEMU's schema says they look like, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "qmp/commands.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* JSON, with ' for ". */
static json_t *json(const char *text)
{
    char quoted[2048];
    assert_true(strlen(text) < sizeof(quoted));
    snprintf(quoted, sizeof(quoted), "%s", text);
    for (char *c = quoted; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *value = json_loads(quoted, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

static void run_states_are_known_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum qmp_run_state state;
    } cases[] = {
        {"colo", QMP_RUN_COLO},
        {"debug", QMP_RUN_DEBUG},
        {"finish-migrate", QMP_RUN_FINISH_MIGRATE},
        {"guest-panicked", QMP_RUN_GUEST_PANICKED},
        {"inmigrate", QMP_RUN_INMIGRATE},
        {"internal-error", QMP_RUN_INTERNAL_ERROR},
        {"io-error", QMP_RUN_IO_ERROR},
        {"paused", QMP_RUN_PAUSED},
        {"postmigrate", QMP_RUN_POSTMIGRATE},
        {"prelaunch", QMP_RUN_PRELAUNCH},
        {"restore-vm", QMP_RUN_RESTORE_VM},
        {"running", QMP_RUN_RUNNING},
        {"save-vm", QMP_RUN_SAVE_VM},
        {"shutdown", QMP_RUN_SHUTDOWN},
        {"suspended", QMP_RUN_SUSPENDED},
        {"watchdog", QMP_RUN_WATCHDOG},
        {"hibernated-by-some-later-qemu", QMP_RUN_OTHER},
        {"", QMP_RUN_OTHER},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_auto_t *data =
            json_pack("{s:b, s:s, s:i}", "running", (int)(i % 2), "status", cases[i].name, "later", 1);
        struct qmp_status status;
        assert_int_equal(qmp_status_decode(data, &status), 0);
        assert_int_equal(status.running, i % 2);
        assert_int_equal(status.state, cases[i].state);
        assert_string_equal(status.name, cases[i].name);
    }
}

static void replies_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "1",
        "[]",
        "null",
        "{}",
        "{'running': true}",
        "{'status': 'running', 'enabled': true}",
        "{'running': 1, 'status': 'running', 'enabled': 1, 'present': true}",
        "{'running': true, 'status': null, 'enabled': true, 'present': null, 'UUID': 1}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_auto_t *data = json(cases[i]);
        struct qmp_status status = {.name = "untouched"};
        struct qmp_kvm kvm = {.present = true};
        struct qmp_uuid uuid = {.text = "untouched"};
        assert_int_equal(qmp_status_decode(data, &status), -EPROTO);
        assert_int_equal(qmp_kvm_decode(data, &kvm), -EPROTO);
        assert_int_equal(qmp_uuid_decode(data, &uuid), -EPROTO);
        assert_string_equal(status.name, "untouched");
        assert_true(kvm.present && !kvm.enabled);
        assert_string_equal(uuid.text, "untouched");
    }
    struct qmp_kvm kvm;
    assert_int_equal(qmp_kvm_decode(NULL, &kvm), -EPROTO);
}

static void kvm_and_uuid_are_read(void **state)
{
    (void)state;
    json_auto_t *data =
        json("{'enabled': false, 'present': true, 'UUID': '550e8400-e29b-41d4-a716-446655440000'}");
    struct qmp_kvm kvm;
    struct qmp_uuid uuid;
    assert_int_equal(qmp_kvm_decode(data, &kvm), 0);
    assert_true(kvm.present);
    assert_false(kvm.enabled);
    assert_int_equal(qmp_uuid_decode(data, &uuid), 0);
    assert_string_equal(uuid.text, "550e8400-e29b-41d4-a716-446655440000");
}

static void versions_and_migrations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *data;
        enum qmp_migration_state state;
        const char *name, *error;
    } cases[] = {
        {"{}", QMP_MIGRATION_NONE, "", ""},
        {"{'status': 'none'}", QMP_MIGRATION_NONE, "none", ""},
        {"{'status': 'setup'}", QMP_MIGRATION_ACTIVE, "setup", ""},
        {"{'status': 'device', 'ram': {'total': 1}}", QMP_MIGRATION_ACTIVE, "device", ""},
        {"{'status': 'completed'}", QMP_MIGRATION_DONE, "completed", ""},
        {"{'status': 'cancelled'}", QMP_MIGRATION_FAILED, "cancelled", ""},
        {"{'status': 'failed', 'error-desc': 'No space left'}", QMP_MIGRATION_FAILED, "failed",
         "No space left"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_auto_t *data = json(cases[i].data);
        struct qmp_migration migration;
        assert_int_equal(qmp_migration_decode(data, &migration), 0);
        assert_int_equal(migration.state, cases[i].state);
        assert_string_equal(migration.name, cases[i].name);
        assert_string_equal(migration.error, cases[i].error);
    }
    static const char *const bad[] = {"[]",
                                      "1",
                                      "{'status': 3}",
                                      "{'qemu': 3}",
                                      "{'status': true, 'qemu': {'major': 7, 'minor': 2}}",
                                      "{'status': [], 'qemu': {'major': -7, 'minor': 2, 'micro': 1}}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        json_auto_t *data = json(bad[i]);
        struct qmp_migration migration;
        struct qmp_version version = {.major = 3};
        assert_int_equal(qmp_version_decode(data, &version), -EPROTO);
        assert_int_equal(version.major, 3);
        if (i != 3)
            assert_int_equal(qmp_migration_decode(data, &migration), -EPROTO);
    }
    json_auto_t *data = json("{'qemu': {'micro': 22, 'minor': 2, 'major': 7}, 'package': 'Debian'}");
    struct qmp_version version;
    assert_int_equal(qmp_version_decode(data, &version), 0);
    assert_true(version.major == 7 && version.minor == 2 && version.micro == 22);
}

static int decode_event(const char *name, const char *data, struct qmp_event_info *ret)
{
    json_auto_t *object = data ? json(data) : NULL;
    struct qmp_event event = {.name = name, .data = object, .realtime_ms = 42};
    return qmp_event_decode(&event, ret);
}

static void events_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *name, *data;
        struct qmp_event_info expected;
    } cases[] = {
        {"SHUTDOWN",
         "{'guest': true, 'reason': 'guest-shutdown'}",
         {.kind = QMP_EVENT_SHUTDOWN, .guest = true, .reason = "guest-shutdown"}},
        {"RESET",
         "{'guest': false, 'reason': 'host-qmp-system-reset'}",
         {.kind = QMP_EVENT_RESET, .reason = "host-qmp-system-reset"}},
        {"STOP", NULL, {.kind = QMP_EVENT_STOP}},
        {"RESUME", NULL, {.kind = QMP_EVENT_RESUME}},
        {"POWERDOWN", "{}", {.kind = QMP_EVENT_POWERDOWN}},
        {"GUEST_PANICKED",
         "{'action': 'pause', 'info': {'type': 'hyper-v'}}",
         {.kind = QMP_EVENT_GUEST_PANICKED, .action = "pause"}},
        {"SUSPEND", NULL, {.kind = QMP_EVENT_SUSPEND}},
        {"SUSPEND_DISK", NULL, {.kind = QMP_EVENT_SUSPEND_DISK}},
        {"WAKEUP", NULL, {.kind = QMP_EVENT_WAKEUP}},
        {"WATCHDOG", "{'action': 'reset'}", {.kind = QMP_EVENT_WATCHDOG, .action = "reset"}},
        {"GUEST_CRASHLOADED", "{'action': 'run'}", {.kind = QMP_EVENT_GUEST_CRASHLOADED, .action = "run"}},
        {"MEMORY_FAILURE",
         "{'recipient': 'guest', 'action': 'inject', 'flags': {'action-required': false, 'recursive': false}}",
         {.kind = QMP_EVENT_MEMORY_FAILURE, .recipient = "guest", .action = "inject"}},
        {"BLOCK_IO_ERROR",
         "{'device': '', 'node-name': 'disk', 'operation': 'write', 'action': 'stop', 'nospace': true,"
         " 'reason': 'No space left on device', 'qom-path': '/machine/peripheral/disk'}",
         {.kind = QMP_EVENT_BLOCK_IO_ERROR,
          .nospace = true,
          .node = "disk",
          .operation = "write",
          .action = "stop",
          .reason = "No space left on device"}},
        {"BLOCK_IO_ERROR",
         "{'device': 'ide0', 'operation': 'read', 'action': 'report', 'reason': 'EIO'}",
         {.kind = QMP_EVENT_BLOCK_IO_ERROR,
          .device = "ide0",
          .operation = "read",
          .action = "report",
          .reason = "EIO"}},
        {"BLOCK_IMAGE_CORRUPTED",
         "{'device': '', 'node-name': 'disk', 'msg': 'L2 table', 'fatal': true, 'size': 1}",
         {.kind = QMP_EVENT_BLOCK_IMAGE_CORRUPTED, .node = "disk", .message = "L2 table", .fatal = true}},
        {"NIC_RX_FILTER_CHANGED", "{'guest': 'not read'}", {.kind = QMP_EVENT_OTHER}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const struct qmp_event_info *expected = &cases[i].expected;
        struct qmp_event_info info;
        assert_int_equal(decode_event(cases[i].name, cases[i].data, &info), 0);
        assert_int_equal(info.kind, expected->kind);
        assert_int_equal(info.realtime_ms, 42);
        assert_int_equal(info.guest, expected->guest);
        assert_int_equal(info.nospace, expected->nospace);
        assert_int_equal(info.fatal, expected->fatal);
        assert_string_equal(info.reason, expected->reason);
        assert_string_equal(info.action, expected->action);
        assert_string_equal(info.recipient, expected->recipient);
        assert_string_equal(info.operation, expected->operation);
        assert_string_equal(info.device, expected->device);
        assert_string_equal(info.node, expected->node);
        assert_string_equal(info.message, expected->message);
    }
}

static void events_of_another_shape_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name, *data;
    } cases[] = {
        {"SHUTDOWN", NULL},
        {"SHUTDOWN", "{'guest': true}"},
        {"SHUTDOWN", "{'guest': 'true', 'reason': 'guest-shutdown'}"},
        {"RESET", "{'guest': true, 'reason': 1}"},
        {"GUEST_PANICKED", "{}"},
        {"WATCHDOG", NULL},
        {"GUEST_CRASHLOADED", "{'action': 1}"},
        {"MEMORY_FAILURE", "{'action': 'inject'}"},
        {"BLOCK_IO_ERROR", "{'operation': 'read', 'action': 'report', 'reason': 'EIO'}"},
        {"BLOCK_IO_ERROR",
         "{'device': '', 'node-name': 1, 'operation': 'read', 'action': 'report', 'reason': 'EIO'}"},
        {"BLOCK_IO_ERROR",
         "{'device': '', 'nospace': null, 'operation': 'read', 'action': 'report', 'reason': 'EIO'}"},
        {"BLOCK_IMAGE_CORRUPTED", "{'device': '', 'msg': 'L2 table'}"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct qmp_event_info info = {.reason = "untouched"};
        assert_int_equal(decode_event(cases[i].name, cases[i].data, &info), -EPROTO);
        assert_string_equal(info.reason, "untouched");
        assert_int_equal(info.kind, QMP_EVENT_OTHER);
    }
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    struct qmp_event_info info;
    char data[512];
    /* action holds 31 bytes: of 29 letters and a character of three bytes the letters remain, of 28 all. */
    for (int letters = 28; letters <= 31; letters++) {
        snprintf(data, sizeof(data), "{'action': '%.*s\u20ac'}", letters,
                 "abcdefghijklmnopqrstuvwxyzabcdefghij");
        assert_int_equal(decode_event("GUEST_PANICKED", data, &info), 0);
        assert_int_equal(strlen(info.action), letters == 28 ? 31 : letters);
    }
}

struct tally {
    unsigned replies;
    char sent[64];
};

static void count_reply(int result, const json_t *data, const char *why, void *user)
{
    (void)why;
    struct tally *tally = user;
    assert_int_equal(result, 0);
    assert_true(json_is_object(data));
    tally->replies++;
}

static void receive(struct qmp_client *client, const char *text)
{
    assert_int_equal(qmp_client_receive(client, text, strlen(text)), 0);
}

/* Takes the one command that is there to send, and answers it with {}. */
static void answer(struct qmp_client *client, struct tally *tally)
{
    const char *bytes;
    size_t size = qmp_client_pending(client, &bytes);
    json_auto_t *command = json_loadb(bytes, size, 0, NULL);
    assert_non_null(command);
    snprintf(tally->sent, sizeof(tally->sent), "%s", json_string_value(json_object_get(command, "execute")));
    json_auto_t *reply = json_pack("{s:{}, s:O}", "return", "id", json_object_get(command, "id"));
    char *text = json_dumps(reply, 0);
    qmp_client_sent(client, size);
    receive(client, text);
    receive(client, "\r\n");
    free(text);
}

static void commands_are_sent_by_their_names(void **state)
{
    (void)state;
    static const char *const names[QMP_COMMANDS] = {
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
        [QMP_BLOCKDEV_ADD] = "blockdev-add",
        [QMP_BLOCKDEV_DEL] = "blockdev-del",
        [QMP_BLOCKDEV_SNAPSHOT] = "blockdev-snapshot",
        [QMP_MIGRATE] = "migrate",
        [QMP_MIGRATE_INCOMING] = "migrate-incoming",
    };
    static const struct qmp_handler nothing = {0};
    struct tally tally = {0};
    struct qmp_client *client = qmp_client_new(&nothing, NULL, UINT64_MAX);
    receive(client, "{\"QMP\": {}}\n");
    answer(client, &tally);
    assert_string_equal(tally.sent, "qmp_capabilities");
    for (unsigned i = 0; i < QMP_COMMANDS; i++) {
        assert_int_equal(qmp_command_execute(client, (enum qmp_command)i, 100, count_reply, &tally), 0);
        assert_int_equal(qmp_client_deadline_ms(client), 100);
        answer(client, &tally);
        assert_string_equal(tally.sent, names[i]);
        assert_int_equal(tally.replies, i + 1);
    }
    qmp_client_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_states_are_known_by_name),
        cmocka_unit_test(replies_of_another_shape_are_refused),
        cmocka_unit_test(kvm_and_uuid_are_read),
        cmocka_unit_test(versions_and_migrations_are_read),
        cmocka_unit_test(events_are_read),
        cmocka_unit_test(events_of_another_shape_are_refused),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(commands_are_sent_by_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
