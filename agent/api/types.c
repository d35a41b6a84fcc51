/* SPDX-License-Identifier: MIT */
#include "agent/api/types.h"

#include <string.h>

#include "agent/vm/host_memory.h"

#define STRING(s, m, ...) PI_FIELD(s, m, PI_FIELD_STRING, __VA_ARGS__)
#define NUMBER(s, m, ...) PI_FIELD(s, m, PI_FIELD_U64, __VA_ARGS__)
#define SOME(s, m, ...)   PI_FIELD(s, m, PI_FIELD_U64, .zero_is_none = true, __VA_ARGS__) /* absent = none */
#define FLAG(s, m, ...)   PI_FIELD(s, m, PI_FIELD_BOOL, __VA_ARGS__)
#define LIST(s, m, ...)   PI_FIELD(s, m, PI_FIELD_STRV, __VA_ARGS__)
#define SPEC(s, part, ...) \
    PI_FIELD(s, spec, PI_FIELD_INLINE, .nested = vm_spec_fields, .parts = VM_SPEC_##part, __VA_ARGS__)
#define ENUM(s, m, e, ...)      PI_OTHER(s, m, e, __VA_ARGS__)
#define SOME_ENUM(s, m, e, ...) PI_OTHER(s, m, e, .zero_is_none = true, __VA_ARGS__) /* absent = none */
#define FAILURE(s, m, ...)      SOME_ENUM(s, m, pi_kind, .other_value = PI_FAILED, __VA_ARGS__)
/* Members of events of one kind, of which 0 is a value. */
#define ONLY_IF(kind_)                                      \
    .when = &(const struct pi_field_when)                   \
    {                                                       \
        offsetof(struct api_event, kind), API_EVENT_##kind_ \
    }

const char *const api_cloud_init_names[] = {"none",     "pending", "running", "done",
                                            "degraded", "failed",  "silent",  NULL};
const char *const api_stopped_by_names[] = {"none", "guest", "powerdown", "quit", "term", "kill", NULL};

const struct pi_field api_error_fields[] = {
    PI_FIELD(api_error, error, PI_FIELD_STRUCT, .required = true, .nested = pi_failure_fields),
    {0},
};

const struct pi_field api_agent_fields[] = {
    STRING(api_agent, version),
    NUMBER(api_agent, pid),
    NUMBER(api_agent, imds_port, .max = UINT16_MAX, .help = "on 127.0.0.1"),
    NUMBER(api_agent, instances, .help = "how many are known"),
    NUMBER(api_agent, running, .help = "how many have a QEMU process"),
    NUMBER(api_agent, started_ms),
    STRING(api_agent, state_folder, .help = "where the instances and the agent's log are"),
    STRING(api_agent, arch, .help = "of its host"),
    NUMBER(api_agent, cpus, .help = "processors of its host"),
    NUMBER(api_agent, memory_mib, .help = "of its host"),
    NUMBER(api_agent, memory_available_mib, .help = "without swapping, now"),
    NUMBER(api_agent, memory_promised_mib,
           .help = "that instances which run may still take of what is available"),
    FLAG(api_agent, kvm, .help = "KVM is there, and has not failed in this boot of its host"),
    FLAG(api_agent, kvm_proven, .help = "the last run of one of its instances came up under KVM"),
    STRING(api_agent, metrics, .help = "where Prometheus may fetch them, as HOST:PORT; absent: nowhere"),
    STRING(api_agent, metrics_failure,
           .help = "why they are not served there; the agent tries again; absent: they are"),
    {0},
};

const struct pi_field api_create_fields[] = {
    STRING(api_create, name, .required = true, .help = "a host name: 1 to 63 of a-z, 0-9 and -"),
    STRING(api_create, image,
           .help = "reference: \"fedora\", \"fedora:44\", URL, absolute path. Default \"fedora\""),
    STRING(api_create, image_sha256, .help = "published by other means: 64 hexadecimal digits"),
    FLAG(api_create, image_unverified),
    FLAG(api_create, image_allow_unsigned, .help = "a Fedora image whose signature is missing or bad"),
    SPEC(api_create, CHOSEN),
    LIST(api_create, ssh_keys, .help = "public key lines"),
    STRING(api_create, user_data, .help = "the file's text (UTF-8, no NUL)"),
    STRING(api_create, user_data_base64, .help = "the file's bytes in base64, in place of user_data"),
    FLAG(api_create, user_data_unchecked, .help = "take it although it has errors"),
    LIST(
        api_create, environment,
        .help =
            "NAME=VALUE for the image's fetch: PIAGENT_FEDORA_..., proxies and certificates; no other variable"),
    FLAG(api_create, stopped, .help = "make it, with its image, disk and keys, and do not start it"),
    STRING(
        api_create, clone_of,
        .help =
            "the instance, which does not run, that it is a clone of: with that one's disk, and all else but its identity, forwards, addresses and fleet. Only cpus, memory_mib, memory_max_mib, cpu_quota_percent, forwards, networks and stopped may be given besides"),
    {0},
};

const struct pi_field api_fault_fields[] = {
    STRING(api_fault, option,
           .help = "of piagent run, without dashes; absent: it is about the instance as a whole"),
    STRING(api_fault, value, .help = "which one, if the option may be given several times"),
    FAILURE(api_fault, kind, .required = true, .help = "as in the failure of the creation"),
    STRING(api_fault, message, .required = true),
    {0},
};

const struct pi_field api_instance_fields[] = {
    STRING(api_instance, name, .required = true, .check = pi_name_check),
    ENUM(api_instance, state, vm_state, .required = true),
    STRING(
        api_instance, reason,
        .help =
            "why it is in this state, or what is wrong with it: its host's disk is full, its image damaged, its guest's kernel panicked, its boot goes no further, QEMU's monitor lost"),
    ENUM(api_instance, arch, vm_arch),
    SOME_ENUM(api_instance, accel, vm_accel, .help = "what it runs under; absent: it never ran"),
    STRING(api_instance, image, .help = "the image's file name"),
    STRING(api_instance, image_sha256),
    FLAG(api_instance, image_verified),
    SPEC(api_instance, SHOWN, .zero_is_none = true),
    SOME(api_instance, pid, .help = "QEMU's; absent: none runs"),
    SOME(api_instance, host_memory_bytes,
         .help = "memory of the host that QEMU occupies now, without what it shares with other programs"),
    SOME(api_instance, saved_bytes, .help = "of its saved state; absent: it has none"),
    SOME(api_instance, snapshots, .help = "how many it has; absent: none"),
    STRING(api_instance, snapshot, .help = "the tag of the one that it has come of; absent: none"),
    SOME(api_instance, created_ms, .help = "since 1970"),
    SOME(api_instance, started_ms, .help = "since 1970; absent: never"),
    SOME(api_instance, boot_ms, .help = "since 1970: the beginning of its newest boot; absent: never"),
    SOME(api_instance, ready_ms, .help = "since 1970: when that boot was ready; absent: it was not"),
    SOME(api_instance, stopped_ms, .help = "since 1970; absent: not since its start"),
    FLAG(api_instance, booted, .help = "its guest was ready once, in this boot or an earlier one"),
    SOME_ENUM(
        api_instance, cloud_init, api_cloud_init,
        .help =
            "degraded: it has finished, with warnings; silent: the guest is up, and cloud-init does not report; absent: it has not reported, and will not"),
    STRING(api_instance, cloud_init_stage),
    LIST(api_instance, failed_modules),
    LIST(api_instance, user_data_problems,
         .help = "what the guest's cloud-init found wrong with the user-data"),
    SOME_ENUM(api_instance, stopped_by, api_stopped_by,
              .help = "how the last stop ended; absent: not known, or it has not stopped"),
    FLAG(
        api_instance, removed,
        .help =
            "it was ephemeral and has ended: for ten seconds the agent tells how, but it is in no list, and its name is free"),
    FLAG(api_instance, begun_again,
         .help = "since its start a boot died by a race in QEMU's emulation and was begun again"),
    SOME(api_instance, clock_behind_ms,
         .help =
             "its clock stood still for so long and could not be set; absent: it is right, as far as known"),
    STRING(api_instance, folder,
           .help = "its folder on disk: ssh_key, known_hosts, console.log, qemu.log, journal.jsonl"),
    SOME(api_instance, last_event, .help = "seq of its newest event"),
    SOME(api_instance, boot_event,
         .help = "seq of the event with which its boot began; absent: none since its start"),
    SOME(
        api_instance, last_sign_ms,
        .help =
            "since 1970: when its guest last printed, asked for its seed or reported; now, if it waits for its turn; absent: not since this agent knows it"),
    FLAG(
        api_instance, already,
        .help =
            "only in the answer to a request: true if what it asks for was so already, and nothing was done"),
    {0},
};

const struct pi_field api_summary_fields[] = {
    STRING(api_instance, name, .required = true, .check = pi_name_check),
    ENUM(api_instance, state, vm_state, .required = true),
    STRING(api_instance, reason),
    ENUM(api_instance, arch, vm_arch),
    SOME_ENUM(api_instance, accel, vm_accel),
    STRING(api_instance, image),
    SPEC(api_instance, LISTED, .zero_is_none = true),
    SOME(api_instance, host_memory_bytes),
    SOME(api_instance, saved_bytes),
    SOME(api_instance, started_ms),
    {0},
};

const struct pi_field api_qemu_command_fields[] = {
    LIST(api_qemu_command, argv, .required = true, .max = 4096),
    {0},
};

const struct pi_field api_qemu_option_fields[] = {
    STRING(api_qemu_option, group, .required = true, .help = "what its words are about"),
    STRING(api_qemu_option, why, .help = "what they are for"),
    LIST(api_qemu_option, words, .required = true, .max = 4096, .help = "of argv"),
    {0},
};

const struct pi_field api_new_network_fields[] = {
    STRING(api_network, name, .required = true, .help = "1 to 32 of a-z, 0-9 and -"),
    STRING(api_network, subnet,
           .help = "private, from /16 to /29; default: the next 10.77.N.0/24 that is not in use"),
    {0},
};

const struct pi_field api_network_fields[] = {
    STRING(api_network, name, .required = true, .check = pi_name_check),
    STRING(api_network, subnet, .help = "absent: its record cannot be read"),
    STRING(api_network, id,
           .help = "random: by it, the links of other hosts tell which network they lead to"),
    STRING(api_network, gateway, .help = "the network's own address: its members ask it for names"),
    STRING(api_network, reason, .help = "why it cannot be used; absent: it can"),
    SOME(api_network, created_ms, .help = "since 1970"),
    SOME(api_network, switch_pid, .help = "the process of its switch; absent: no member runs"),
    PI_FIELD(
        api_network, links, PI_FIELD_JSON,
        .help =
            "the same network on other hosts: an array of {host, id, connected, dialed_here, reason, members}, "
            "with the counters that a member has; "
            "members is an array of {name, address, mac}; absent: none"),
    {0},
};

const struct pi_field api_network_link_fields[] = {
    STRING(api_network_link, host, .required = true, .help = "ssh://[USER@]HOST[:PORT]"),
    {0},
};

const struct pi_field api_fleet_elsewhere_fields[] = {
    PI_FIELD(api_fleet_elsewhere, peers, PI_FIELD_JSON, .required = true,
             .help =
                 "in place of those that were told before: an array of {name, role, index, arch, address}"),
    STRING(api_fleet_elsewhere, join_secret,
           .help = "64 hexadecimal digits, in place of the fleet's own; absent: it stays as it is"),
    {0},
};

const struct pi_field api_fleet_secret_fields[] = {
    STRING(api_fleet_elsewhere, join_secret, .required = true),
    {0},
};

const struct pi_field api_network_counters_fields[] = {
    SOME(api_network_counters, received_frames,
         .help = "by the switch, from the member, since the switch or the member started; absent: none"),
    SOME(api_network_counters, received_bytes),
    SOME(api_network_counters, sent_frames, .help = "to the member"),
    SOME(api_network_counters, sent_bytes),
    SOME(api_network_counters, ipv6,
         .help = "from the member: frames of IPv6, which a network does not carry"),
    SOME(api_network_counters, refused,
         .help = "from the member: not from its own address, or too many broadcasts or questions"),
    SOME(api_network_counters, lost, .help = "to the member: it did not take them in time"),
    {0},
};

const struct pi_field api_network_member_fields[] = {
    STRING(api_network_member, name, .required = true, .check = pi_name_check, .help = "an instance"),
    STRING(api_network_member, address, .required = true),
    STRING(api_network_member, mac, .required = true),
    ENUM(api_network_member, state, vm_state, .required = true),
    PI_FIELD(api_network_member, counters, PI_FIELD_INLINE, .nested = api_network_counters_fields),
    {0},
};

const struct pi_field api_agent_stop_fields[] = {
    FLAG(api_agent_stop, force,
         .help = "also while an instance is being created; its creation is then undone"),
    {0},
};

const struct pi_field api_start_fields[] = {
    FLAG(api_start, cold,
         .help = "of a saved instance: drop its state and boot its disk, as after a power cut"),
    {0},
};

const struct pi_field api_new_snapshot_fields[] = {
    STRING(api_snapshot_request, tag, .help = "1 to 32 of a-z, 0-9 and -; default: the next free snap-N"),
    {0},
};

const struct pi_field api_restore_fields[] = {
    STRING(api_snapshot_request, tag, .required = true, .help = "the snapshot's"),
    FLAG(api_snapshot_request, cold, .help = "its disk alone, as after a power cut"),
    {0},
};

const struct pi_field api_old_snapshot_fields[] = {
    STRING(api_snapshot_request, tag, .required = true, .help = "the snapshot's"),
    {0},
};

const struct pi_field api_snapshot_fields[] = {
    STRING(api_snapshot, tag, .required = true, .help = "its name among those of its instance"),
    STRING(api_snapshot, parent, .help = "the snapshot that it has come of; absent: none"),
    SOME(api_snapshot, taken_ms, .help = "since 1970"),
    NUMBER(api_snapshot, disk_bytes, .help = "on disk: what was written since its parent"),
    SOME(api_snapshot, memory_bytes, .help = "on disk; absent: its guest did not run"),
    FLAG(api_snapshot, current, .help = "whether the instance has come of it"),
    STRING(api_snapshot, reason, .help = "why it cannot be used; absent: it can"),
    {0},
};

const struct pi_field api_stop_fields[] = {
    NUMBER(api_stop, timeout_ms, .max = 24 * 3600 * 1000,
           .help = "for the guest to power itself off; 0 = default (90 s from its last sign of life)"),
    NUMBER(api_stop, step_ms, .max = 24 * 3600 * 1000,
           .help = "for each step after that: quit, SIGTERM; 0 = default (10 s)"),
    {0},
};

const struct pi_field api_update_fields[] = {
    LIST(api_update, labels, .help = "in place of those that it has; absent: they stay"),
    LIST(api_update, after, .max = VM_FLEET_AFTER_MAX,
         .help = "of its place in a fleet, in place of what is there; absent: that stays"),
    {0},
};

const char *const api_event_kind_names[] = {"state",  "image",    "seed",   "report", "note",
                                            "panic",  "stuck",    "error",  "boot",   "landmark",
                                            "silent", "identity", "queued", NULL};

const struct pi_field api_event_fields[] = {
    SOME(api_event, seq,
         .help = "from 1, without gaps, for the life of the instance; absent: it is not kept (image)"),
    NUMBER(api_event, realtime_ms, .help = "since 1970"),
    NUMBER(api_event, monotonic_ms, .help = "on the clock of the host's boot"),
    STRING(api_event, name, .check = pi_name_check,
           .help = "of the instance; absent in events of older agents"),
    ENUM(api_event, kind, api_event_kind, .required = true,
         .help = "what has happened; it says which members mean something"),
    STRING(api_event, text, .help = "one clean line for people"),
    ENUM(api_event, state, vm_state, ONLY_IF(STATE), .help = "state: the new one"),
    STRING(api_event, stage, .help = "report: the stage"),
    STRING(api_event, module, .help = "report: the module; absent for the stage's own"),
    ENUM(api_event, report, imds_event, ONLY_IF(REPORT), .help = "report: whether it begins or ends"),
    SOME_ENUM(api_event, result, imds_result, .help = "report, finish: what came of it"),
    SOME(api_event, guest_ms, .help = "report: the guest's clock"),
    SOME(
        api_event, duration_ms,
        .help =
            "report, finish: what the guest says that it took; absent: it does not (cloud-init before 26.1)"),
    SOME_ENUM(api_event, landmark, vm_landmark,
              .help = "landmark: how far the boot has come, by its console"),
    SOME(
        api_event, left_ms,
        .help =
            "in the events of a boot that are milestones: the time left until ready, estimated from earlier boots of the image; absent: not known"),
    ENUM(api_event, phase, image_phase, ONLY_IF(IMAGE), .help = "image: what its fetch is doing"),
    SOME(api_event, done_bytes, .help = "image; absent: none yet"),
    SOME(api_event, total_bytes, .help = "image; absent: not known"),
    SOME(api_event, rate_bytes_per_s, .help = "image; absent: not known"),
    FAILURE(api_event, error_kind, .help = "error: as in a failure's kind"),
    {0},
};

uint64_t api_instance_memory_mib(const struct api_instance *instance)
{
    struct vm_spec spec = instance->spec;
    spec.arch = instance->arch;
    spec.accel = instance->accel;
    return vm_host_memory_mib(&spec);
}

bool api_event_is_reboot(const struct api_event *event)
{
    return event->kind == API_EVENT_BOOT && !(event->text && (!strcmp(event->text, API_BOOT_STARTED) ||
                                                              !strcmp(event->text, API_BOOT_RESUMED)));
}

bool api_event_takes_back(const struct api_event *event, enum api_event_kind told)
{
    bool goes_on = event->kind == API_EVENT_SEED || event->kind == API_EVENT_LANDMARK;
    return event->kind == API_EVENT_REPORT || event->kind == API_EVENT_BOOT ||
           (goes_on && told == API_EVENT_STUCK);
}
