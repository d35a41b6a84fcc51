/* SPDX-License-Identifier: MIT */
/* An instance's seed: its keys, what each opens, and how its guest learns where. */
#ifndef PIAGENT_INSTANCE_GUEST_SEED_H
#define PIAGENT_INSTANCE_GUEST_SEED_H

#include <stdbool.h>

#include "agent/base/buf.h"
#include "agent/base/error.h"

struct instance;

/* Makes new keys, serves the seed under them, and writes for QEMU where it is. */
int guest_seed_make(struct instance *instance, struct pi_error *err);
/* Serves it under the keys that the guest of a QEMU that runs knows; under new ones, which it does not know,
 * if the old ones may have leaked: guest_seed_lost_port(). */
int guest_seed_take_over(struct instance *instance, struct pi_error *err);
/* The line that tells a guest who has resumed from a template who it is (seed/identity.h). */
int guest_seed_identity(struct instance *instance, struct pi_buf *ret, struct pi_error *err);
/* Renders the seed that is served anew: something that it tells has changed. 0 or -errno; the old one is then served on. */
int guest_seed_renew(struct instance *instance);
/* Nothing is served under its keys any more. */
void guest_seed_withdraw(struct instance *instance);
/* Whether its guest has booted successfully: if so, its secrets are not served any more. What cannot be
 * served anew is withdrawn. */
int guest_seed_set_booted(struct instance *instance, bool booted, struct pi_error *err);
/* Whether its guest looks for the seed at a port that another program took while no agent ran. */
bool guest_seed_lost_port(const struct instance *instance);

#endif
