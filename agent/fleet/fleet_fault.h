/* SPDX-License-Identifier: MIT */
/* A fault of the file that is found after it was read, with its line and path: "instances.node.forward", "defaults.memory". */
#ifndef PIAGENT_FLEET_FAULT_H
#define PIAGENT_FLEET_FAULT_H

#include "agent/fleet/fleet_file.h"

/* remedy may be NULL. A word of the defaults is at fault once, not once for each entry that has it. */
__attribute__((format(printf, 5, 6))) void fleet_word_fault(struct seed_findings *findings,
                                                            const struct fleet_entry *entry,
                                                            const struct fleet_word *word, const char *remedy,
                                                            const char *format, ...);

/* At that line of the entry; key: one of its own, such as after; NULL: the entry as a whole. */
__attribute__((format(printf, 6, 7))) void fleet_entry_fault(struct seed_findings *findings,
                                                             const struct fleet_entry *entry, const char *key,
                                                             size_t line, const char *remedy,
                                                             const char *format, ...);

/* Of the network's subnet, or, if the file does not say one, of the network. */
__attribute__((format(printf, 4, 5))) void fleet_network_fault(struct seed_findings *findings,
                                                               const struct fleet_network *network,
                                                               const char *remedy, const char *format, ...);

#endif
