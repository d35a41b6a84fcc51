/* SPDX-License-Identifier: MIT */
#include "agent/fleet/fleet_fault.h"

#include <stdarg.h>
#include <stdio.h>

/* name and key may be NULL. */
__attribute__((format(printf, 7, 0))) static void add_fault(struct seed_findings *findings, size_t line,
                                                            const char *section, const char *name,
                                                            const char *key, const char *remedy,
                                                            const char *format, va_list args)
{
    char path[96], message[256];
    vsnprintf(message, sizeof message, format, args);
    snprintf(path, sizeof path, "%s%s%.40s%s%.40s", section, name ? "." : "", name ? name : "",
             key ? "." : "", key ? key : "");
    seed_findings_addf(findings, SEED_ERROR, line, 0, path, remedy, "%s", message);
}

void fleet_word_fault(struct seed_findings *findings, const struct fleet_entry *entry,
                      const struct fleet_word *word, const char *remedy, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_fault(findings, word->line, word->of_defaults ? "defaults" : "instances",
              word->of_defaults ? NULL : entry->name, word->option->name, remedy, format, args);
    va_end(args);
}

void fleet_entry_fault(struct seed_findings *findings, const struct fleet_entry *entry, const char *key,
                       size_t line, const char *remedy, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_fault(findings, line, "instances", entry->name, key, remedy, format, args);
    va_end(args);
}

void fleet_network_fault(struct seed_findings *findings, const struct fleet_network *network,
                         const char *remedy, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_fault(findings, network->line, "networks", network->name, network->text ? "subnet" : NULL, remedy,
              format, args);
    va_end(args);
}
