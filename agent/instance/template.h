/* SPDX-License-Identifier: MIT */
/*
 * An instance that is a template: it boots once, comes to rest, and is saved. From then on nothing of it changes, because
 * others resume from its RAM's file (vm/argv.h) and its disk.
 */
#ifndef PIAGENT_INSTANCE_TEMPLATE_H
#define PIAGENT_INSTANCE_TEMPLATE_H

#include <stdint.h>

#include "agent/base/error.h"
#include "agent/instance/rest.h"
#include "agent/vm/life.h"

struct instance;
struct timer;

struct template_making {
    struct timer *timer; /* set while its guest comes to rest, or QEMU is to be ended */
    struct rest rest;
    char why[VM_REASON_MAX]; /* it cannot be made; "" = it comes to rest */
};

/* 0 or -ENOMEM. */
int template_init(struct instance *instance);
void template_reset(struct instance *instance);
void template_done(struct instance *instance);

/* PI_CONFLICT unless the request may be made of the template: it may be ended while it is being made, and removed. An
 * instance of a template cannot be saved before it knows who it is. */
int template_check_request(const struct instance *instance, enum vm_event_type type, struct pi_error *err);
/* Makes the file of its RAM, empty. PI_HOST if its disk has no room for all of it. */
int template_make_ram(const struct instance *instance, struct pi_error *err);
/* Its QEMU stands still from here on, so that it writes no more to the file of its RAM. After a save on aarch64, QEMU 10 was seen to
 * do that before it had ended. One way is by its source: a port of the guest is closed (hw/char/virtio-serial-bus.c,
 * send_control_event), by an agent that ends or by its own quit. 0 or -errno; 0 if the instance is no template. */
int template_freeze(const struct instance *instance);
/* Lets it go on. */
void template_thaw(const struct instance *instance);
/* Its state has changed, or a new agent has taken it over. When its guest is ready and has come to rest, it is saved. */
void template_state_changed(struct instance *instance, enum vm_state before);

#endif
