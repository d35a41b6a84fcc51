/* SPDX-License-Identifier: MIT */
/* A boot that goes no further: the last words of its console (vm/landmark.h), when nothing follows them. */
#ifndef PIAGENT_INSTANCE_TROUBLE_H
#define PIAGENT_INSTANCE_TROUBLE_H

#include <stdbool.h>

struct api_event;
struct instance;
struct timer;

struct trouble {
    struct timer *timer; /* set while nothing follows vm_landmarks.trouble */
    bool stuck;          /* the journal says that the boot is stuck, and the life's reason says why */
    bool begins_again;   /* the reset that follows comes of trouble_begin_again() */
};

void trouble_reset(struct instance *instance);
void trouble_done(struct instance *instance);
/* A new boot has none. */
void trouble_forget(struct instance *instance);
/* Takes in an event of an earlier agent. */
void trouble_recall(struct instance *instance, const struct api_event *event);

/* To be called after each output of the console. If nothing follows the trouble that it shows, the boot is
 * told to be stuck. */
void trouble_heard(struct instance *instance);
/* The guest showed by something else than its console that its boot goes on. */
void trouble_over(struct instance *instance);
/* The boot has died. If a race in QEMU is to blame, its guest was never up before, and that was not tried yet
 * in this run, begins the boot again and tells that; else returns false. */
bool trouble_begin_again(struct instance *instance);
/* Whether a reset that comes now is that of trouble_begin_again(). */
bool trouble_begins_again(const struct instance *instance);
bool trouble_is_stuck(const struct instance *instance);
/* Whether its reason is a panic of its kernel, told by QEMU or by its console. */
bool trouble_has_panicked(const struct instance *instance);

#endif
