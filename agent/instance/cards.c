/* SPDX-License-Identifier: MIT */
#include "agent/instance/cards.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/instance/instance.h"
#include "agent/vm/argv.h"

#define CARD_ID "card%zu"

/* The run of QEMU is known by its process: an answer may come after its end. */
struct plugging {
    struct instance *instance;
    uint64_t pid, start_ticks;
    size_t index;
    void (*done)(struct instance *instance, const char *why);
};

static void plug_next(struct plugging *plugging);

static void plugging_free(struct plugging *plugging)
{
    instance_unref(plugging->instance);
    free(plugging);
}

static void plugging_end(struct plugging *plugging, const char *why)
{
    plugging->done(plugging->instance, why);
    plugging_free(plugging);
}

static bool is_same_run(const struct plugging *plugging)
{
    const struct vm_record *record = &plugging->instance->record;
    return vm_life_is_loading(&record->life) && record->pid == plugging->pid &&
           record->start_ticks == plugging->start_ticks;
}

/* "virtio-net-pci,netdev=net0,mac=..." as an object: {"driver": "virtio-net-pci", "netdev": "net0", ...}. */
static json_t *card_arguments(const struct vm_spec *spec, size_t index)
{
    pi_auto_free char *properties = vm_card_properties(spec, index, true);
    char *rest = properties, *driver = strsep(&rest, ","), id[32];
    snprintf(id, sizeof id, CARD_ID, index);
    json_t *object = properties ? json_pack("{s:s, s:s}", "driver", driver, "id", id) : NULL;
    for (char *word; object && (word = strsep(&rest, ","));) {
        char *value = strchr(word, '=');
        if (value)
            *value++ = '\0';
        json_object_set_new(object, word, json_string(value ? value : ""));
    }
    return object;
}

static void on_plugged(int result, const json_t *data, const char *why, void *user)
{
    struct plugging *plugging = user;
    char text[320];
    (void)data;
    if (result == -ECONNRESET || !is_same_run(plugging)) {
        plugging_free(plugging);
    } else if (result < 0) {
        snprintf(text, sizeof text, "the card for %s cannot be plugged in: %s",
                 plugging->instance->record.spec.networks.items[plugging->index], why);
        plugging_end(plugging, text);
    } else {
        plugging->index++;
        plug_next(plugging);
    }
}

/* An earlier agent may have plugged it in. */
static void on_looked(int result, const json_t *data, const char *why, void *user)
{
    struct plugging *plugging = user;
    struct instance *instance = plugging->instance;
    if (result != -EREMOTEIO) {
        on_plugged(result, data, why, user);
        return;
    }
    json_t *arguments = card_arguments(&instance->record.spec, plugging->index);
    if (!arguments || monitor_execute_with(instance, QMP_DEVICE_ADD, arguments, -1, on_plugged, plugging) < 0)
        on_plugged(-ENOTCONN, NULL, "QEMU cannot be asked now", plugging);
}

static void plug_next(struct plugging *plugging)
{
    struct instance *instance = plugging->instance;
    char path[64];
    if (plugging->index == instance->record.spec.networks.count) {
        plugging_end(plugging, NULL);
        return;
    }
    snprintf(path, sizeof path, "%s/peripheral/" CARD_ID, "/machine", plugging->index);
    if (monitor_execute_with(instance, QMP_QOM_GET, json_pack("{s:s, s:s}", "path", path, "property", "type"),
                             -1, on_looked, plugging) < 0)
        on_plugged(-ENOTCONN, NULL, "QEMU cannot be asked now", plugging);
}

void cards_plug(struct instance *instance, void (*done)(struct instance *instance, const char *why))
{
    struct plugging *plugging = instance->record.spec.networks.count ? malloc(sizeof *plugging) : NULL;
    if (!plugging) {
        done(instance, instance->record.spec.networks.count ? "no memory is left" : NULL);
        return;
    }
    *plugging = (struct plugging){.instance = instance,
                                  .pid = instance->record.pid,
                                  .start_ticks = instance->record.start_ticks,
                                  .done = done};
    instance_ref(instance);
    plug_next(plugging);
}
