/* SPDX-License-Identifier: MIT */
#include "agent/instance/guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/instance/accel.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/loop/loop.h"
#include "imds/server.h"

#define SIGN_MS            30000
#define REPORTS_BURST      400u
#define REPORTS_PER_SECOND 40u

static void on_no_sign(void *user)
{
    struct instance *instance = user;
    if (!instance->guest.sign_seen && accel_may_fall_back(&instance->record)) {
        journal_note(instance,
                     "the guest shows no sign of life under KVM after %d s: starting it afresh under TCG",
                     SIGN_MS / 1000);
        instance_feed(instance, &(struct vm_event){.type = VM_EVENT_NO_SIGN, .fallback = true});
    }
}

int guest_init(struct instance *instance)
{
    instance->guest.sign_timer = timer_new(instance->host->loop, on_no_sign, instance);
    return instance->guest.sign_timer ? 0 : -ENOMEM;
}

void guest_reset(struct instance *instance)
{
    timer_clear(instance->guest.sign_timer);
    instance->guest.sign_seen = false;
    instance->guest.sign_monotonic_ms = 0;
}

void guest_done(struct instance *instance)
{
    timer_free(instance->guest.sign_timer);
}

void guest_showed_sign(struct instance *instance)
{
    struct guest *guest = &instance->guest;
    guest->sign_monotonic_ms = pi_monotonic_ms();
    guest->sign_realtime_ms = pi_realtime_ms();
    guest->sign_seen = true;
    timer_clear(guest->sign_timer);
}

uint64_t guest_sign_monotonic_ms(const struct instance *instance)
{
    return instance->guest.sign_monotonic_ms;
}

uint64_t guest_sign_realtime_ms(const struct instance *instance)
{
    return instance->guest.sign_realtime_ms;
}

void guest_await_sign(struct instance *instance)
{
    if (instance->record.accel == VM_ACCEL_KVM)
        timer_set(instance->guest.sign_timer, SIGN_MS);
}

void guest_is_up(struct instance *instance)
{
    instance->guest.sign_seen = true;
}

/* A real boot reports some hundred times. A guest that sends more can neither fill the journal nor keep the
 * disk busy. */
static bool within_budget(struct instance *instance)
{
    return budget_spend(&instance->guest.reports, 1, REPORTS_BURST, REPORTS_PER_SECOND, pi_monotonic_ms());
}

static bool on_wanted(void *owner, enum imds_document document, void *user)
{
    (void)user;
    return peers_wanted(owner, document);
}

static void on_served(void *owner, enum imds_document document, const char *user_agent, void *user)
{
    struct instance *instance = owner;
    (void)user;
    instance->counts.seed_requests++;
    if (document == IMDS_PEERS || !within_budget(instance))
        return;
    guest_showed_sign(instance);
    trouble_over(instance);
    if (!milestones_has(instance, VM_MILESTONE_SEED)) /* later any process of the guest may ask for it */
        silence_begin(instance);
    char text[192];
    bool less = instance->record.booted && document == IMDS_USER_DATA;
    snprintf(text, sizeof text, "%s fetched%s%s%s", imds_document_name(document), user_agent[0] ? " by " : "",
             user_agent,
             less ? ": the parts for the first boot were left out (piagent reseed serves them again)" : "");
    milestones_add(instance, &(struct api_event){.kind = API_EVENT_SEED, .text = text});
}

static bool add_once(struct pi_strv *list, size_t max, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i], text))
            return false;
    return list->count < max && pi_strv_add(list, text) == 0;
}

/* The script in the vendor-data (seed/documents.h) reports these. It runs once in an instance's life, so its
 * findings stay true in later boots. */
static void on_user_data_problem(struct instance *instance, const char *problem)
{
    char text[320];
    if (!add_once(&instance->record.user_data_problems, VM_USER_DATA_PROBLEMS_MAX, problem))
        return;
    snprintf(text, sizeof text, "the guest's cloud-init says of its user-data: %s", problem);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_NOTE, .text = text});
    store_save(instance);
}

/* cloud-init reports the address of its seed, which holds the key. People pass the journal on when they ask
 * for help, so the key is hidden in it. */
static void hide_key(const char *key, char *text)
{
    for (char *at = text; key[0] && (at = strstr(at, key));)
        memset(at, '*', strlen(key));
}

static void end_boot(struct instance *instance, enum imds_result result, bool success)
{
    struct vm_record *record = &instance->record;
    record->cloud_init_result = result;
    record->held_result = IMDS_RESULT_NONE;
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_GUEST_DONE, .success = success});
}

void guest_stays(struct instance *instance)
{
    journal_note(instance, "the reboot or poweroff that its cloud-init has announced did not come");
    end_boot(instance, instance->record.held_result, true);
}

/* Its seed is without secrets from now on. */
static void end_first_boot(struct instance *instance)
{
    struct pi_error err;
    if (!instance->record.booted && guest_seed_set_booted(instance, true, &err) < 0)
        journal_note(instance, "its seed cannot be served any more: %s", err.text);
}

void guest_recall_end(struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    if (record->life.state != VM_RUNNING || record->cloud_init_result ||
        !milestones_has(instance, VM_MILESTONE_READY))
        return;
    end_boot(instance, record->user_data_problems.count ? IMDS_RESULT_WARN : IMDS_RESULT_SUCCESS, true);
    end_first_boot(instance);
}

/* The change of state that follows saves the record. */
static void on_boot_done(struct instance *instance, const struct imds_report *report)
{
    struct vm_record *record = &instance->record;
    /* If any module of any stage failed, the boot has failed. The result of modules-final alone would not
     * show that. */
    bool success = report->result != IMDS_RESULT_FAIL && !record->failed_modules.count;
    enum imds_result result = !success                           ? IMDS_RESULT_FAIL
                              : record->user_data_problems.count ? IMDS_RESULT_WARN
                                                                 : report->result;
    if (success && record->power_change) {
        record->held_result = result;
        journal_note(
            instance,
            "cloud-init is done, and has announced a reboot or poweroff (power_state in the user-data): "
            "the guest is ready after the boot that follows");
        store_save(instance);
    } else {
        end_boot(instance, result, success);
    }
    if (success)
        end_first_boot(instance);
}

/* cloud-init begins with the stage init-network once in a boot. If it begins again after the last stage, the
 * guest has booted anew while no agent heard QEMU's event. */
static bool is_boot_under_way(struct instance *instance, const struct imds_report *report)
{
    const struct vm_record *record = &instance->record;
    if ((record->cloud_init_result || record->held_result || record->power_change) &&
        monitor_may_have_missed_reset(instance) && report->event == IMDS_EVENT_START &&
        !strcmp(report->stage, "init-network"))
        qemu_events_missed_reset(instance);
    return !record->cloud_init_result;
}

/* Newer versions of cloud-init write the name with '_' (config/cloud.cfg.tmpl of 23.x). */
static bool is_power_module(const char *module)
{
    return !strcmp(module, "config-power-state-change") || !strcmp(module, "config-power_state_change");
}

/* The module runs only if the user-data has power_state, and acts only once (cloudinit/config/modules.py:
 * activate_by_schema_keys, "%s ran successfully"). */
static bool announces_power_change(const struct imds_report *report)
{
    return report->event == IMDS_EVENT_FINISH && is_power_module(report->module) &&
           pi_ends_with(report->description, " ran successfully");
}

static void on_reported(void *owner, const struct imds_report *report, void *user)
{
    struct instance *instance = owner;
    struct vm_record *record = &instance->record;
    char text[256];
    (void)user;
    instance->counts.reports++;
    if (!within_budget(instance) || !is_boot_under_way(instance, report))
        return;
    guest_showed_sign(instance);
    trouble_over(instance);
    silence_over(instance);
    set_up_heard(instance);
    boot_hear_report(instance);
    pi_text_clean(report->description, strlen(report->description), text, sizeof text);
    hide_key(record->key, text);
    hide_key(record->report_key, text);
    hide_key(record->peers_key, text);
    hide_key(record->join_secret, text);
    if (!strcmp(report->name, "user-data/check")) {
        on_user_data_problem(instance, text);
        return;
    }
    snprintf(record->cloud_init_stage, sizeof record->cloud_init_stage, "%s", report->stage);
    if (report->result == IMDS_RESULT_FAIL && report->module[0])
        add_once(&record->failed_modules, VM_FAILED_MODULES_MAX, report->name);
    milestones_add(instance, &(struct api_event){
                                 .kind = API_EVENT_REPORT,
                                 .text = text,
                                 .stage = (char *)report->stage,
                                 .module = report->module[0] ? (char *)report->module : NULL,
                                 .report = report->event,
                                 .result = report->result,
                                 .guest_ms = report->timestamp_ms,
                                 .duration_ms = report->duration_ms > 0 ? (uint64_t)report->duration_ms : 0});
    if (announces_power_change(report)) {
        record->power_change = true;
        store_save(instance);
    }
    if (imds_report_ends_boot(report))
        on_boot_done(instance, report);
}

const struct imds_handler guest_imds_handler = {
    .wanted = on_wanted, .served = on_served, .reported = on_reported};
