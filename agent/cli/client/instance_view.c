/* SPDX-License-Identifier: MIT */
#include "agent/cli/client/instance_view.h"

#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/text.h"
#include "agent/cli/terminal/bar.h"

static void fill_text(char *to, size_t size, const char *text)
{
    pi_text_clean(text ? text : "", text ? strlen(text) : 0, to, size);
}

#define START_DUE_MS      30000u /* making ten of a template takes some seconds on a busy host */
#define COPY(array, text) fill_text((array), sizeof(array), (text))

bool cli_state_is_over(enum vm_state state)
{
    return vm_state_has_ended(state) || state == VM_SAVED;
}

enum cli_colour cli_state_colour(enum vm_state state)
{
    static const enum cli_colour colours[VM_STATES + 1] = {
        [VM_CREATED] = CLI_YELLOW,  [VM_STARTING] = CLI_YELLOW, [VM_RUNNING] = CLI_YELLOW,
        [VM_READY] = CLI_GREEN,     [VM_PAUSED] = CLI_YELLOW,   [VM_SUSPENDED] = CLI_YELLOW,
        [VM_STOPPING] = CLI_YELLOW, [VM_FAILED] = CLI_RED,      [VM_LOST] = CLI_RED,
        [VM_SAVING] = CLI_YELLOW,   [VM_SAVED] = CLI_YELLOW,    [VM_RESTORING] = CLI_YELLOW,
    };
    return colours[state];
}

enum vm_state cli_json_state(const json_t *instance)
{
    struct api_instance read = {.state = VM_STATES};
    api_read(summary, instance, &read, NULL);
    api_done(summary, &read);
    return read.state;
}

bool cli_json_is_template(const json_t *instance)
{
    return json_is_true(json_object_get(instance, "template"));
}

bool cli_view_is_over(const struct cli_view *view)
{
    return view->error.kind != PI_OK || (cli_state_is_over(view->state) && !view->start_due_ms);
}

static bool is_one_of_many(const struct api_instance *instance)
{
    return instance->spec.fleet.name[0] || instance->spec.cloned_from[0];
}

bool cli_instance_may_start(const struct api_instance *instance, uint64_t now_realtime_ms)
{
    bool unused = (instance->state == VM_STOPPED || instance->state == VM_SAVED) && !instance->started_ms;
    return unused && is_one_of_many(instance) && now_realtime_ms < instance->created_ms + START_DUE_MS;
}

void cli_view_look(struct cli_view *view, uint64_t now_monotonic_ms)
{
    if (now_monotonic_ms >= view->start_due_ms)
        view->start_due_ms = 0;
}

bool cli_view_is_up(const struct cli_view *view)
{
    return view->finished || view->silent || view->state == VM_READY;
}

/* From then on, the guest's output is no step of a boot. */
static bool is_stopping(const struct cli_view *view)
{
    return view->state == VM_STOPPING;
}

enum cli_up cli_instance_up(const struct api_instance *instance)
{
    if (instance->state == VM_READY)
        return CLI_UP_READY;
    if (instance->state != VM_RUNNING)
        return CLI_NOT_UP;
    return instance->cloud_init == API_CLOUD_INIT_FAILED   ? CLI_UP_FAILED
           : instance->cloud_init == API_CLOUD_INIT_SILENT ? CLI_UP_SILENT
                                                           : CLI_NOT_UP;
}

bool cli_state_is_before_boot(enum vm_state state)
{
    return state == VM_CREATED || state == VM_STARTING;
}

/* Fills in what goes on in a state, until more is known. */
static void describe(struct cli_view *view)
{
    static const char *const doing[VM_STATES + 1] = {
        [VM_CREATED] = "preparing",       [VM_STARTING] = "starting QEMU",      [VM_RUNNING] = "firmware",
        [VM_SAVING] = "saving its state", [VM_RESTORING] = "loading its state",
    };
    COPY(view->doing, view->start_due_ms   ? "waiting for its start"
                      : doing[view->state] ? doing[view->state]
                                           : view->state_word);
}

void cli_view_init(struct cli_view *view, const struct api_instance *instance, uint64_t now_monotonic_ms,
                   uint64_t now_realtime_ms)
{
    *view = (struct cli_view){.seq = instance->last_event, .since_ms = now_monotonic_ms};
    COPY(view->name, instance->name);
    view->state = instance->state;
    view->template = instance->spec.template;
    view->one_of_many = is_one_of_many(instance);
    if (cli_instance_may_start(instance, now_realtime_ms))
        view->start_due_ms = now_monotonic_ms + START_DUE_MS;
    COPY(view->state_word, api_state_word(instance));
    COPY(view->reason, instance->reason);
    describe(view);
    if (view->state == VM_RUNNING && view->reason[0])
        COPY(view->doing, view->reason);
    view->silent = instance->cloud_init == API_CLOUD_INIT_SILENT;
    view->finished = !view->silent && cli_instance_up(instance) != CLI_NOT_UP;
    bool boots = !cli_state_is_over(view->state) && !is_stopping(view);
    if (!boots || instance->started_ms > now_realtime_ms || !instance->started_ms)
        return;
    uint64_t age_ms = now_realtime_ms - instance->started_ms;
    view->since_ms = age_ms < now_monotonic_ms ? now_monotonic_ms - age_ms : 0;
    if (instance->cloud_init_stage && view->state == VM_RUNNING)
        snprintf(view->doing, sizeof view->doing, "cloud-init: %.64s", instance->cloud_init_stage);
}

static enum cli_tell on_state(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    char took[32];
    bool made = view->state == VM_CREATED && (event->state == VM_STOPPED || event->state == VM_SAVED);
    view->state = event->state;
    view->start_due_ms = made && view->one_of_many ? event->monotonic_ms + START_DUE_MS : 0;
    COPY(view->state_word, api_state_word(event));
    COPY(view->reason, event->text);
    view->fetching = false;
    describe(view);
    /* From now on the line counts the restoring, the start or the stop, not the run. */
    if (view->state == VM_RESTORING || view->state == VM_STARTING || is_stopping(view))
        view->since_ms = event->monotonic_ms;
    if (view->state == VM_STARTING) { /* one that is restored goes on, and so does its boot */
        view->seeded = view->finished = view->reachable = view->silent = false;
        view->stage[0] = view->step[0] = view->trouble[0] = '\0';
    } else if (view->state == VM_RUNNING && view->step[0]) {
        snprintf(view->doing, sizeof view->doing, "%s", view->step); /* the step says more than the state */
    }
    if (view->state == VM_READY) {
        view->trouble[0] = '\0';
        pi_buf_printf(
            line, "ready after %s",
            pi_duration_format(
                event->monotonic_ms > view->since_ms ? event->monotonic_ms - view->since_ms : 0, took));
        return CLI_TELL_ALWAYS;
    }
    /* "created" would sound like success, and the creation may still fail. */
    pi_buf_printf(line, "%s%s%s",
                  view->state == VM_CREATED ? view->doing
                  : made                    ? "made, and not started"
                                            : view->state_word,
                  view->reason[0] ? ": " : "", view->reason);
    return cli_state_is_over(view->state) || view->reason[0] ? CLI_TELL_ALWAYS : CLI_TELL_STEP;
}

static enum cli_tell show_image(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    if (event->phase >= IMAGE_PHASES) { /* this version does not know it */
        view->fetching = false;
        COPY(view->doing, PI_WORD(event, phase, image_phase));
        return CLI_TELL_NOTHING;
    }
    bool told = view->fetching && event->phase == view->image.phase;
    view->fetching = event->phase != IMAGE_DONE;
    view->image.phase = event->phase;
    view->image.done_bytes = event->done_bytes;
    view->image.total_bytes = event->total_bytes;
    view->image.rate_bytes_per_s = event->rate_bytes_per_s;
    if (event->text)
        COPY(view->image.name, event->text);
    if (told || !view->fetching || cli_image_step(&view->image, line) < 0)
        return CLI_TELL_NOTHING;
    return CLI_TELL_STEP;
}

/* A step of the boot begins: tells it with the time that the step before took. */
static enum cli_tell begin_step(struct cli_view *view, const char *step, uint64_t now_ms, struct pi_buf *line)
{
    char took[32];
    if (!strcmp(view->step, step) || pi_buf_puts(line, step) < 0)
        return CLI_TELL_NOTHING;
    if (view->step[0])
        pi_buf_printf(line, "; %s took %s", view->step,
                      pi_duration_format(now_ms > view->step_ms ? now_ms - view->step_ms : 0, took));
    COPY(view->step, step);
    view->step_ms = now_ms;
    return CLI_TELL_STEP;
}

static enum cli_tell on_seed(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    if (view->seeded)
        return CLI_TELL_NOTHING;
    view->seeded = true;
    COPY(view->doing, "seed fetched");
    return begin_step(view, "seed fetched", event->monotonic_ms, line);
}

/* A new boot: forgets everything about the last one. */
static enum cli_tell on_boot(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    view->seeded = view->finished = view->silent = false;
    view->stage[0] = view->step[0] = view->trouble[0] = '\0';
    view->left_ms = 0;
    if (api_event_is_reboot(event))
        view->since_ms = event->monotonic_ms;
    bool resumed = event->text && !strcmp(event->text, API_BOOT_RESUMED);
    COPY(view->doing, resumed ? "resumed from the template, and is told who it is" : "firmware");
    return begin_step(view, resumed ? "resumed from the template" : "firmware", event->monotonic_ms, line);
}

/* The login prompt may appear while cloud-init still works: then it is no step. */
static enum cli_tell show_landmark(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    const char *landmark = PI_WORD(event, landmark, vm_landmark);
    if (view->seeded || view->stage[0] || view->finished)
        return CLI_TELL_NOTHING;
    COPY(view->doing, event->landmark == VM_LANDMARK_LOGIN ? "login prompt" : landmark);
    char step[sizeof view->step];
    snprintf(step, sizeof step, "%.*s", (int)sizeof step - 1, view->doing);
    return begin_step(view, step, event->monotonic_ms, line);
}

static enum cli_tell on_report(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    char stage[64], module[96], step[96];
    COPY(stage, event->stage);
    COPY(module, event->module);
    bool finish = event->report == IMDS_EVENT_FINISH;
    bool failed = finish && event->result == IMDS_RESULT_FAIL;
    bool whole_stage = module[0] == '\0';
    snprintf(view->doing, sizeof view->doing, "cloud-init: %s%s%s", stage, whole_stage ? "" : ", ", module);
    if (finish && whole_stage && !strcmp(stage, "modules-final"))
        view->finished = true;
    if (failed && !whole_stage) {
        char text[256] = "";
        /* cloud-init mostly describes a module's end with the same words as its beginning: they are no
         * reason. */
        if (event->text && !strstr(event->text, " with frequency "))
            COPY(text, event->text);
        pi_buf_printf(line, "cloud-init: %s/%s failed%s%s", stage, module, text[0] ? ": " : "", text);
        return CLI_TELL_ALWAYS;
    }
    COPY(view->stage, stage);
    snprintf(step, sizeof step, "cloud-init: %s", stage);
    return begin_step(view, step, event->monotonic_ms, line);
}

static enum cli_tell on_error(struct cli_view *view, const struct api_event *event)
{
    view->error.kind = event->error_kind ? event->error_kind : PI_FAILED;
    char text[sizeof view->error.text];
    COPY(text, event->text);
    snprintf(view->error.text, sizeof view->error.text, "%s was not made: %.900s", view->name, text);
    return CLI_TELL_NOTHING;
}

static bool is_of_boot(const struct api_event *event)
{
    return event->kind == API_EVENT_BOOT || event->kind == API_EVENT_LANDMARK ||
           event->kind == API_EVENT_SEED || event->kind == API_EVENT_REPORT;
}

static enum cli_tell take(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    if (is_stopping(view) && is_of_boot(event))
        return CLI_TELL_NOTHING;
    switch (event->kind) {
    case API_EVENT_STATE:
        return on_state(view, event, line);
    case API_EVENT_IMAGE:
        return show_image(view, event, line);
    case API_EVENT_SEED:
        return on_seed(view, event, line);
    case API_EVENT_REPORT:
        return on_report(view, event, line);
    case API_EVENT_ERROR:
        return on_error(view, event);
    case API_EVENT_PANIC:
    case API_EVENT_STUCK:
        view->stuck = event->kind == API_EVENT_STUCK;
        COPY(view->trouble, event->text);
        COPY(view->doing, event->text);
        break;
    case API_EVENT_SILENT: /* told when the agent has said how the instance is then: cli_tell_up() */
        view->silent = true;
        return CLI_TELL_NOTHING;
    case API_EVENT_BOOT:
        return on_boot(view, event, line);
    case API_EVENT_LANDMARK:
        return show_landmark(view, event, line);
    case API_EVENT_IDENTITY:
        view->reachable = true;
        COPY(view->doing, "it knows who it is");
        break;
    case API_EVENT_QUEUED:
        view->left_ms = 0;
        COPY(view->doing, event->text);
        return begin_step(view, "waiting for its turn", event->monotonic_ms, line);
    case API_EVENT_NOTE:
    case API_EVENTS: /* of a kind that this version does not know */
        break;
    }
    char text[512];
    COPY(text, event->text);
    pi_buf_puts(line, text);
    return text[0] ? CLI_TELL_ALWAYS : CLI_TELL_NOTHING;
}

enum cli_tell cli_view_event(struct cli_view *view, const struct api_event *event, struct pi_buf *line)
{
    char before[sizeof view->doing];
    memcpy(before, view->doing, sizeof before);
    if (view->stuck && api_event_takes_back(event, API_EVENT_STUCK)) {
        view->stuck = false;
        view->trouble[0] = '\0';
    }
    if (api_event_takes_back(event, API_EVENT_SILENT))
        view->silent = false;
    enum cli_tell tell = take(view, event, line);
    if (event->seq)
        view->seq = event->seq;
    if (strcmp(before, view->doing) != 0)
        view->doing_ms = event->monotonic_ms;
    if (event->left_ms) {
        view->left_ms = event->left_ms;
        view->left_at_ms = event->monotonic_ms;
    }
    return tell;
}

/* In whole seconds: the estimate is no more precise. */
static void add_estimate(const struct cli_view *view, uint64_t now_ms, char *line, size_t size)
{
    char text[32];
    size_t used = strlen(line);
    uint64_t end_ms = view->left_at_ms + view->left_ms;
    if (!view->left_ms || cli_view_is_up(view) || view->trouble[0] || view->state != VM_RUNNING)
        return;
    bool late = now_ms >= end_ms;
    uint64_t seconds = ((late ? now_ms - end_ms : end_ms - now_ms) + 999) / 1000;
    if (seconds < 60)
        snprintf(text, sizeof text, "%us", (unsigned)seconds);
    else
        pi_duration_format(seconds * 1000, text);
    snprintf(line + used, size - used, late ? ", %s longer than usual" : ", about %s left", text);
}

int cli_view_render(const struct cli_view *view, uint64_t now_monotonic_ms, unsigned width,
                    struct pi_buf *ret)
{
    if (view->fetching)
        return cli_render_image(&view->image, width, ret);
    char line[512], age[32], step[32] = "";
    uint64_t age_ms = now_monotonic_ms > view->since_ms ? now_monotonic_ms - view->since_ms : 0;
    uint64_t step_ms = now_monotonic_ms > view->doing_ms ? now_monotonic_ms - view->doing_ms : 0;
    bool timed = view->doing_ms > view->since_ms;
    if (timed)
        pi_duration_format(step_ms, step);
    snprintf(line, sizeof line, "%s: %s%s%s (%s", view->name, view->doing, timed ? " " : "", step,
             pi_duration_format(age_ms, age));
    add_estimate(view, now_monotonic_ms, line, sizeof line - 1);
    line[strlen(line) + 1] = '\0';
    line[strlen(line)] = ')';
    return cli_fit(line, width, ret);
}
