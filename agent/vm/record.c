/* SPDX-License-Identifier: MIT */
#include "agent/vm/record.h"

#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/fields.h"
#include "agent/base/fs.h"

/* Two tables of one struct: the file has booted between their keys. */
static const struct pi_field life_fields[] = {
    PI_ENUM(vm_life, state, vm_state, .required = true),
    PI_ENUM(vm_life, rung, vm_rung),
    {0},
};
static const struct pi_field run_fields[] = {
    PI_FIELD(vm_life, was_ready, PI_FIELD_BOOL),     PI_FIELD(vm_life, committed, PI_FIELD_BOOL),
    PI_FIELD(vm_life, shutdown_seen, PI_FIELD_BOOL), PI_FIELD(vm_life, guest_powered_off, PI_FIELD_BOOL),
    PI_FIELD(vm_life, cut_off, PI_FIELD_BOOL),       PI_FIELD(vm_life, fell_back, PI_FIELD_BOOL),
    PI_FIELD(vm_life, begun_again, PI_FIELD_BOOL),   PI_FIELD(vm_life, relaunch, PI_FIELD_BOOL),
    PI_FIELD(vm_life, paused, PI_FIELD_BOOL),        PI_FIELD(vm_life, unfit, PI_FIELD_BOOL),
    PI_FIELD(vm_life, reason, PI_FIELD_TEXT),        {0},
};

static const struct pi_field record_fields[] = {
    PI_FIELD(vm_record, schema, PI_FIELD_U64, .required = true),
    PI_FIELD(vm_record, spec, PI_FIELD_STRUCT, .required = true, .nested = vm_spec_fields),
    PI_FIELD(vm_record, life, PI_FIELD_INLINE, .required = true, .nested = life_fields),
    PI_FIELD(vm_record, booted, PI_FIELD_BOOL),
    PI_FIELD(vm_record, id_on_board, PI_FIELD_BOOL),
    PI_FIELD(vm_record, template_hardware, PI_FIELD_BOOL),
    PI_FIELD(vm_record, identity_due, PI_FIELD_BOOL),
    PI_FIELD(vm_record, set_up_due, PI_FIELD_BOOL),
    PI_FIELD(vm_record, life, PI_FIELD_INLINE, .nested = run_fields),
    PI_FIELD(vm_record, powerdown_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, step_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, key, PI_FIELD_TEXT),
    PI_FIELD(vm_record, report_key, PI_FIELD_TEXT),
    PI_FIELD(vm_record, peers_key, PI_FIELD_TEXT),
    PI_FIELD(vm_record, join_secret, PI_FIELD_TEXT),
    PI_FIELD(vm_record, imds_port, PI_FIELD_U64, .max = UINT16_MAX),
    PI_ENUM(vm_record, accel, vm_accel),
    PI_FIELD(vm_record, pid, PI_FIELD_U64),
    PI_FIELD(vm_record, start_ticks, PI_FIELD_U64),
    PI_FIELD(vm_record, boot_id, PI_FIELD_TEXT),
    PI_FIELD(vm_record, saved_bytes, PI_FIELD_U64),
    PI_FIELD(vm_record, snapshot, PI_FIELD_TEXT),
    PI_FIELD(vm_record, taken_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, created_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, started_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, ready_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, stopped_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, boot_ms, PI_FIELD_U64),
    PI_FIELD(vm_record, cloud_init_stage, PI_FIELD_TEXT),
    PI_ENUM(vm_record, cloud_init_result, imds_result, .zero_is_none = true),
    PI_ENUM(vm_record, held_result, imds_result, .zero_is_none = true),
    PI_FIELD(vm_record, silence, PI_FIELD_TEXT),
    PI_FIELD(vm_record, power_change, PI_FIELD_BOOL),
    PI_FIELD(vm_record, disk_full, PI_FIELD_BOOL),
    PI_FIELD(vm_record, cloud_init_died, PI_FIELD_BOOL),
    PI_FIELD(vm_record, failed_modules, PI_FIELD_STRV, .max = VM_FAILED_MODULES_MAX),
    PI_FIELD(vm_record, user_data_problems, PI_FIELD_STRV, .max = VM_USER_DATA_PROBLEMS_MAX),
    {0},
};

/* r is the error of reading it. A lack of memory says nothing about the record. */
static int record_is_damaged(int r, struct pi_error *err)
{
    if (r == -ENOMEM)
        return pi_context(err, r, VM_RECORD_FILE);
    if (err)
        err->kind = PI_FAILED;
    return pi_context(err, -EBADMSG, VM_RECORD_FILE " is damaged");
}

static int record_is_newer(const json_t *doc, json_int_t schema, struct pi_error *err)
{
    const char *writer = json_string_value(json_object_get(doc, "piagent"));
    pi_refuse(err, PI_FAILED,
              VM_RECORD_FILE " was written by piagent %.32s (schema %" JSON_INTEGER_FORMAT
                             ", this one reads up to %d): use that piagent or a newer one",
              writer ? writer : "of an unknown version", schema, VM_RECORD_SCHEMA);
    return -EPROTONOSUPPORT;
}

int vm_record_parse(const char *json, size_t size, struct vm_record *ret, struct pi_error *err)
{
    json_auto_t *doc = pi_json_parse(json, size, err);
    if (!doc)
        return record_is_damaged(-EBADMSG, err);
    json_int_t schema = json_integer_value(json_object_get(doc, "schema"));
    if (schema > VM_RECORD_SCHEMA)
        return record_is_newer(doc, schema, err);

    struct vm_record record = {0};
    int r = pi_fields_read(record_fields, doc, true, &record, err);
    if (r < 0) {
        vm_record_done(&record);
        return record_is_damaged(r, err);
    }
    *ret = record;
    return 0;
}

int vm_record_load(int dir_fd, struct vm_record *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_file_read(dir_fd, VM_RECORD_FILE, VM_RECORD_MAX, &text, err);
    if (r == -EFBIG)
        return record_is_damaged(r, err);
    if (r < 0)
        return r;
    return vm_record_parse(text.data ? text.data : "", text.size, ret, err);
}

char *vm_record_render(const struct vm_record *record)
{
    json_auto_t *doc = pi_fields_write(record_fields, record);
    int schema = record->template_hardware               ? 4
                 : vm_state_is_saved(record->life.state) ? 3
                 : record->spec.isolate                  ? 2
                                                         : 1;
    if (!doc || json_object_set_new(doc, "schema", json_integer(schema)) < 0 ||
        json_object_set_new(doc, "piagent", json_string(PIAGENT_VERSION)) < 0)
        return NULL;
    return json_dumps(doc, JSON_INDENT(2));
}

int vm_record_save(int dir_fd, const struct vm_record *record, struct pi_error *err)
{
    pi_auto_free char *text = vm_record_render(record);
    if (!text)
        return pi_fail(err, ENOMEM, "cannot write " VM_RECORD_FILE);
    return pi_file_write(dir_fd, VM_RECORD_FILE, text, strlen(text), 0600, err);
}

void vm_record_done(struct vm_record *record)
{
    pi_fields_done(record_fields, record);
}
