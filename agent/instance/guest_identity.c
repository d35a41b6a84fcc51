/* SPDX-License-Identifier: MIT */
#include "agent/instance/guest_identity.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/base/clock.h"
#include "agent/base/text.h"
#include "agent/instance/guest_seed.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_sockets.h"
#include "agent/loop/channel.h"
#include "agent/loop/loop.h"
#include "agent/seed/identity.h"

#define LINE_MS   120000u /* ten emulated guests on two CPUs take 20 s for the slowest part */
#define ALL_MS    300000u /* and some 30 s for all parts */
#define LINES_MAX 64u     /* a guest sends some ten */
#define INPUT_MAX ((size_t)1 << 20)

/* Soon, because whoever calls may be in the middle of a change of state. */
__attribute__((format(printf, 2, 3))) static void fail_identity(struct instance *instance, const char *format,
                                                                ...)
{
    struct identity *identity = &instance->identity;
    va_list args;
    va_start(args, format);
    vsnprintf(identity->why, sizeof identity->why, format, args);
    va_end(args);
    timer_set(identity->timer, 0);
}

/* If the instance starts again, its disk boots: that guest sees who it is. An ephemeral one is removed. */
static void tell_identity_failure(struct instance *instance)
{
    const struct vm_spec *spec = &instance->record.spec;
    char advice[PI_NAME_MAX + 64] = "";
    if (!spec->ephemeral)
        snprintf(advice, sizeof advice, ". piagent start %s boots its disk instead", spec->name);
    instance_feed_because(
        instance, &(struct vm_event){.type = VM_EVENT_UNFIT},
        "its guest did not take its identity, and would have gone on as the template's: %s%s",
        instance->identity.why, advice);
}

/* For the guest's next line. */
static void await_line(struct instance *instance)
{
    uint64_t used_ms = pi_monotonic_ms() - instance->identity.since_ms;
    uint64_t left_ms = used_ms < ALL_MS ? ALL_MS - used_ms : 0;
    timer_set(instance->identity.timer, left_ms < LINE_MS ? left_ms : LINE_MS);
}

static void begin_time(struct instance *instance)
{
    instance->identity.since_ms = pi_monotonic_ms();
    await_line(instance);
}

/* A guest that stands still is waited for, unless it has failed already. */
static void on_identity_timer(void *user)
{
    struct instance *instance = user;
    struct identity *identity = &instance->identity;
    char span[32];
    if (identity->why[0])
        tell_identity_failure(instance);
    else if (!instance_runs(instance))
        begin_time(instance);
    else if (identity->part[0])
        fail_identity(instance, "it got as far as '%s'", identity->part);
    else
        fail_identity(instance, "it said nothing for %s", pi_duration_format(LINE_MS, span));
}

int identity_init(struct instance *instance)
{
    instance->identity.timer = timer_new(instance->host->loop, on_identity_timer, instance);
    return instance->identity.timer ? 0 : -ENOMEM;
}

void identity_reset(struct instance *instance)
{
    struct identity *identity = &instance->identity;
    timer_clear(identity->timer);
    channel_free(pi_steal(identity->channel));
    *identity = (struct identity){.timer = identity->timer};
}

void identity_done(struct instance *instance)
{
    timer_free(instance->identity.timer);
}

static void send_identity(struct instance *instance)
{
    struct identity *identity = &instance->identity;
    pi_auto_buf struct pi_buf line = {0};
    struct pi_error err;
    await_line(instance);
    if (!identity->channel)
        fail_identity(instance, "piagent cannot connect to its port");
    else if (guest_seed_identity(instance, &line, &err) < 0)
        fail_identity(instance, "%.*s", IDENTITY_LINE_MAX, err.text);
    else if (channel_type(identity->channel, line.data, line.size) < 0)
        fail_identity(instance, "it does not read from its port");
}

void identity_release(struct instance *instance)
{
    if (instance->identity.channel)
        channel_type(instance->identity.channel, SEED_IDENTITY_KEPT, sizeof SEED_IDENTITY_KEPT - 1);
}

static void on_identity_recorded(struct instance *instance, int result, const struct pi_error *why)
{
    if (result < 0)
        journal_note(instance, "that its guest took its identity is not on record: %s", why->text);
    set_up_look(instance);
}

static void take_done(struct instance *instance)
{
    char span[32], text[64];
    timer_clear(instance->identity.timer);
    snprintf(text, sizeof text, "took its identity after %s",
             pi_duration_format(pi_monotonic_ms() - instance->identity.since_ms, span));
    instance->host->identified_ms = pi_monotonic_ms();
    instance->record.identity_due = false;
    instance->record.set_up_due = true;
    store_expect_save(instance);
    journal_add(instance, &(struct api_event){.kind = API_EVENT_IDENTITY, .text = text});
    store_save_then(instance, on_identity_recorded);
}

/* A line of the guest, which may be anything: clean text. */
static void take_identity_line(struct instance *instance, const char *line)
{
    struct identity *identity = &instance->identity;
    if (!timer_is_set(identity->timer) || identity->why[0])
        return;
    guest_showed_sign(instance);
    if (++identity->lines > LINES_MAX) {
        fail_identity(instance, "it sends more than such a guest has to say");
    } else if (!strcmp(line, "done")) {
        take_done(instance);
    } else if (!strcmp(line, "again")) {
        send_identity(instance);
    } else if (pi_starts_with(line, "failed ")) {
        fail_identity(instance, "it says: %s", line + strlen("failed "));
    } else if (pi_starts_with(line, "did ")) {
        snprintf(identity->part, sizeof identity->part, "%.31s", line + strlen("did "));
        await_line(instance);
    }
}

/* The rest of a line that is too long is dropped. */
static void on_port_output(const char *bytes, size_t size, void *user)
{
    struct instance *instance = user;
    struct identity *identity = &instance->identity;
    char clean[IDENTITY_LINE_MAX];
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != '\n') {
            if (identity->length < sizeof identity->line)
                identity->line[identity->length++] = bytes[i];
            continue;
        }
        pi_text_clean(identity->line, identity->length, clean, sizeof clean);
        identity->length = 0;
        take_identity_line(instance, clean);
    }
}

void identity_connect(struct instance *instance)
{
    static const struct channel_handler handler = {.input_max = INPUT_MAX, .output = on_port_output};
    struct qemu_socket_place place;
    if (instance->identity.channel || !instance->record.template_hardware)
        return;
    qemu_sockets_find(instance, QEMU_SOCKET_IDENTITY, &place);
    channel_new(instance->host->loop, place.folder, place.name, &handler, instance,
                &instance->identity.channel, NULL);
}

void identity_tell(struct instance *instance)
{
    if (!instance->record.identity_due || !instance_runs(instance) || timer_is_set(instance->identity.timer))
        return;
    instance->identity.since_ms = pi_monotonic_ms();
    send_identity(instance);
}

void identity_give_up(struct instance *instance, const char *why)
{
    if (instance->record.identity_due)
        fail_identity(instance, "QEMU did not let it go on: %.*s", IDENTITY_LINE_MAX, why);
}

/* The memory of a guest that is being saved must not change any more. */
void identity_adopted(struct instance *instance)
{
    const struct vm_record *record = &instance->record;
    if (record->template_hardware && !record->identity_due && !vm_state_is_saved(record->life.state))
        set_up_repeat(instance);
}

void identity_guest_reset(struct instance *instance)
{
    if (!instance->record.identity_due && !instance->record.set_up_due)
        return;
    timer_clear(instance->identity.timer);
    instance->identity.why[0] = '\0';
    instance->record.identity_due = instance->record.set_up_due = false;
    store_save(instance);
    set_up_look(instance);
}
