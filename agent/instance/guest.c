/* SPDX-License-Identifier: MIT */
/* What the guest says through the IMDS: that it fetched its seed, and what cloud-init reports. All of it is
 * hostile until cleaned and bounded. */
#include <string.h>

#include "agent/base/clock.h"
#include "agent/instance/instance.h"

#define REPORTS_BURST      400u
#define REPORTS_PER_SECOND 40u
#define FAILED_MODULES_MAX 32
#define PROBLEMS_MAX       8

static const char *const results[] = {[IMDS_RESULT_NONE] = NULL,
                                      [IMDS_RESULT_SUCCESS] = "SUCCESS",
                                      [IMDS_RESULT_WARN] = "WARN",
                                      [IMDS_RESULT_FAIL] = "FAIL"};

/* A real boot reports some hundred times; a guest that floods writes neither the journal full nor the disk
 * busy. */
static bool within_budget(struct instance *instance)
{
    return budget_spend(&instance->reports_budget, 1, REPORTS_BURST, REPORTS_PER_SECOND, pi_monotonic_ms());
}

static void on_served(void *owner, enum imds_document document, const char *user_agent, void *user)
{
    struct instance *instance = owner;
    (void)user;
    if (!within_budget(instance))
        return;
    instance_sign(instance);
    trouble_over(instance);
    if (!instance->boot.reached_ms[VM_MILESTONE_SEED]) /* later any process of the guest may ask for it */
        silence_begin(instance);
    char text[160];
    bool less = instance->record.booted && document == IMDS_USER_DATA;
    snprintf(text, sizeof text, "%s fetched%s%s%s", imds_document_name(document), user_agent[0] ? " by " : "",
             user_agent, less ? ": without what only the first boot is served (see piagent reseed)" : "");
    journal_add(instance, &(struct api_event){.kind = API_EVENT_SEED, .text = text});
}

static bool remember(struct pi_strv *list, size_t max, const char *text)
{
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i], text))
            return false;
    return list->count < max && pi_strv_add(list, text) == 0;
}

/* Of the script in the vendor-data (seed/documents.h). It runs once in an instance's life, so that what it
 * found stays true in later boots. */
static void on_user_data_problem(struct instance *instance, const char *problem)
{
    char text[320];
    if (!remember(&instance->record.user_data_problems, PROBLEMS_MAX, problem))
        return;
    snprintf(text, sizeof text, "the guest's cloud-init says of its user-data: %s", problem);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_NOTE, .text = text});
    instance_save(instance);
}

/* cloud-init reports where its seed came from, and the address holds the key. The journal is what people pass
 * on when they ask for help. */
static void hide_key(const char *key, char *text)
{
    for (char *at = text; key[0] && (at = strstr(at, key));)
        memset(at, '*', strlen(key));
}

static void end_boot(struct instance *instance, const char *result, bool success)
{
    struct vm_record *record = &instance->record;
    snprintf(record->cloud_init_result, sizeof record->cloud_init_result, "%s", result);
    record->held_result[0] = '\0';
    instance_feed(instance, &(struct vm_event){.type = VM_EVENT_GUEST_DONE, .success = success});
}

void guest_stays(struct instance *instance)
{
    char result[sizeof instance->record.held_result];
    memcpy(result, instance->record.held_result, sizeof result);
    journal_note(instance, "the reboot or poweroff that its cloud-init has announced did not come");
    end_boot(instance, result, true);
}

/* Saved with the state that it leads to. */
static void on_boot_done(struct instance *instance, const struct imds_report *report)
{
    struct vm_record *record = &instance->record;
    struct pi_error err;
    /* A failed module makes the whole boot failed, also one of an earlier stage: modules-final alone would
     * not tell. */
    bool success = report->result != IMDS_RESULT_FAIL && !record->failed_modules.count;
    const char *result = !success                           ? "FAIL"
                         : record->user_data_problems.count ? "WARN"
                                                            : results[report->result];
    if (success && record->power_change) {
        snprintf(record->held_result, sizeof record->held_result, "%s", result);
        journal_note(
            instance,
            "cloud-init is done, and has announced a reboot or poweroff (power_state in the user-data): "
            "the guest is ready after the boot that follows");
        instance_save(instance);
    } else {
        end_boot(instance, result, success);
    }
    if (success && !record->booted && instance_set_booted(instance, true, &err) < 0)
        journal_note(instance, "its seed cannot be served any more: %s", err.text);
}

/* cloud-init begins with this stage once in a boot: after its last one, the guest has booted anew while no
 * agent heard QEMU say so. */
static bool is_boot_under_way(struct instance *instance, const struct imds_report *report)
{
    const struct vm_record *record = &instance->record;
    if ((record->cloud_init_result[0] || record->held_result[0] || record->power_change) &&
        instance->unwatched && report->event == IMDS_EVENT_START && !strcmp(report->stage, "init-network"))
        instance_missed_reset(instance);
    return !record->cloud_init_result[0];
}

/* Newer cloud-inits write it with '_' (config/cloud.cfg.tmpl of 23.x). */
static bool is_power_module(const char *module)
{
    return !strcmp(module, "config-power-state-change") || !strcmp(module, "config-power_state_change");
}

/* The module runs only where the user-data has power_state, and only acts where it has not before
 * (cloudinit/config/modules.py: activate_by_schema_keys, "%s ran successfully"). */
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
    if (!within_budget(instance) || !is_boot_under_way(instance, report))
        return;
    instance_sign(instance);
    trouble_over(instance);
    silence_over(instance);
    instance->heard_report = true;
    instance->landmarks.disk_full = instance->landmarks.cloud_init_died = false; /* it lives */
    instance_keep_hints(instance);
    pi_text_clean(report->description, strlen(report->description), text, sizeof text);
    hide_key(record->key, text);
    hide_key(record->report_key, text);
    if (!strcmp(report->name, "user-data/check")) {
        on_user_data_problem(instance, text);
        return;
    }
    snprintf(record->cloud_init_stage, sizeof record->cloud_init_stage, "%s", report->stage);
    if (report->result == IMDS_RESULT_FAIL && report->module[0])
        remember(&record->failed_modules, FAILED_MODULES_MAX, report->name);
    journal_add(instance, &(struct api_event){
                              .kind = API_EVENT_REPORT,
                              .text = text,
                              .stage = (char *)report->stage,
                              .module = report->module[0] ? (char *)report->module : NULL,
                              .report = (char *)(report->event == IMDS_EVENT_START ? "start" : "finish"),
                              .result = (char *)results[report->result],
                              .guest_ms = report->timestamp_ms,
                              .duration_ms = report->duration_ms > 0 ? (uint64_t)report->duration_ms : 0});
    if (announces_power_change(report)) {
        record->power_change = true;
        instance_save(instance);
    }
    if (imds_report_ends_boot(report))
        on_boot_done(instance, report);
}

const struct imds_handler instance_imds_handler = {.served = on_served, .reported = on_reported};
