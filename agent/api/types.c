#include "agent/api/types.h"

#define STRING(s, m, ...) PI_FIELD(s, m, PI_FIELD_STRING, __VA_ARGS__)
#define NUMBER(s, m, ...) PI_FIELD(s, m, PI_FIELD_U64, __VA_ARGS__)
#define FLAG(s, m, ...)   PI_FIELD(s, m, PI_FIELD_BOOL, __VA_ARGS__)
#define LIST(s, m, ...)   PI_FIELD(s, m, PI_FIELD_STRV, __VA_ARGS__)

const struct pi_field api_failure_fields[] = {
    STRING(api_failure, kind, .required = true),
    STRING(api_failure, message, .required = true),
    {0},
};

const struct pi_field api_error_fields[] = {
    PI_FIELD(api_error, error, PI_FIELD_STRUCT, .required = true, .nested = api_failure_fields),
    {0},
};

const struct pi_field api_agent_fields[] = {
    STRING(api_agent, version),      NUMBER(api_agent, pid),
    NUMBER(api_agent, imds_port),    NUMBER(api_agent, instances),
    NUMBER(api_agent, running),      NUMBER(api_agent, started_ms),
    STRING(api_agent, state_folder), {0},
};

const struct pi_field api_create_fields[] = {
    STRING(api_create, name, .required = true),
    STRING(api_create, image),
    STRING(api_create, image_sha256),
    FLAG(api_create, image_unverified),
    FLAG(api_create, image_allow_unsigned),
    STRING(api_create, arch),
    NUMBER(api_create, cpus),
    NUMBER(api_create, memory_mib),
    NUMBER(api_create, memory_max_mib),
    NUMBER(api_create, cpu_quota_percent),
    NUMBER(api_create, disk_bytes),
    STRING(api_create, accel),
    STRING(api_create, firmware),
    LIST(api_create, forwards),
    FLAG(api_create, isolate),
    STRING(api_create, user),
    STRING(api_create, password_hash),
    LIST(api_create, ssh_keys),
    STRING(api_create, user_data),
    LIST(api_create, environment),
    {0},
};

const struct pi_field api_instance_fields[] = {
    STRING(api_instance, name, .required = true),
    STRING(api_instance, state, .required = true),
    STRING(api_instance, reason),
    STRING(api_instance, arch),
    STRING(api_instance, accel),
    STRING(api_instance, image),
    STRING(api_instance, image_sha256),
    FLAG(api_instance, image_verified),
    NUMBER(api_instance, cpus),
    NUMBER(api_instance, memory_mib),
    NUMBER(api_instance, memory_max_mib),
    NUMBER(api_instance, cpu_quota_percent),
    NUMBER(api_instance, disk_bytes),
    STRING(api_instance, uuid),
    NUMBER(api_instance, pid),
    STRING(api_instance, user),
    NUMBER(api_instance, ssh_port),
    LIST(api_instance, forwards),
    FLAG(api_instance, isolate),
    NUMBER(api_instance, created_ms),
    NUMBER(api_instance, started_ms),
    NUMBER(api_instance, ready_ms),
    NUMBER(api_instance, stopped_ms),
    STRING(api_instance, cloud_init),
    STRING(api_instance, cloud_init_stage),
    LIST(api_instance, failed_modules),
    STRING(api_instance, stopped_by),
    STRING(api_instance, folder),
    NUMBER(api_instance, last_event),
    {0},
};

const struct pi_field api_summary_fields[] = {
    STRING(api_instance, name, .required = true),
    STRING(api_instance, state, .required = true),
    STRING(api_instance, reason),
    STRING(api_instance, arch),
    STRING(api_instance, accel),
    STRING(api_instance, image),
    NUMBER(api_instance, cpus),
    NUMBER(api_instance, memory_mib),
    NUMBER(api_instance, ssh_port),
    NUMBER(api_instance, started_ms),
    {0},
};

const struct pi_field api_qemu_command_fields[] = {
    LIST(api_qemu_command, argv, .required = true, .max = 4096),
    {0},
};

const struct pi_field api_stop_fields[] = {
    NUMBER(api_stop, timeout_ms, .max = 24 * 3600 * 1000),
    NUMBER(api_stop, step_ms, .max = 24 * 3600 * 1000),
    {0},
};

const char *const api_event_kind_names[] = {"state", "image", "seed", "report",   "note",
                                            "panic", "error", "boot", "landmark", NULL};

const struct pi_field api_event_fields[] = {
    NUMBER(api_event, seq),
    NUMBER(api_event, realtime_ms),
    NUMBER(api_event, monotonic_ms),
    PI_FIELD(api_event, kind, PI_FIELD_ENUM, .required = true, .names = api_event_kind_names),
    STRING(api_event, text),
    STRING(api_event, state),
    STRING(api_event, stage),
    STRING(api_event, module),
    STRING(api_event, report),
    STRING(api_event, result),
    NUMBER(api_event, guest_ms),
    NUMBER(api_event, duration_ms),
    STRING(api_event, landmark),
    STRING(api_event, phase),
    NUMBER(api_event, done_bytes),
    NUMBER(api_event, total_bytes),
    NUMBER(api_event, rate_bytes_per_s),
    STRING(api_event, error_kind),
    {0},
};
