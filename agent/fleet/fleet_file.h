/* SPDX-License-Identifier: MIT */
/*
 * The file of a fleet: which instances there should be. It is YAML:
 *
 *     name: web                     the fleet's; default: the file's own, without its ending
 *     defaults: {OPTION: VALUE}     for all instances; an entry's own value replaces it, and none (~) takes it away
 *     networks: {NAME: {subnet: 10.77.0.0/24}}
 *     instances:
 *       ENTRY: {count: 3, after: {ENTRY: ready}, host: ssh://pi@rack1, OPTION: VALUE}
 *
 * An OPTION is one of piagent run, without dashes: the caller gives the table of them, and knows what their values mean. Here
 * an instance is a list of words, as if it stood on a command line. Pure.
 */
#ifndef PIAGENT_FLEET_FILE_H
#define PIAGENT_FLEET_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/text.h"
#include "agent/seed/findings.h"
#include "agent/vm/spec.h"
#include "agent/vm/subnet.h"

#define FLEET_FILE_MAX      ((size_t)1 << 20)
#define FLEET_INSTANCES_MAX 1000 /* of all entries */
#define FLEET_ENTRIES_MAX   256
#define FLEET_NETWORKS_MAX  32
#define FLEET_HOSTS_MAX     32

#define FLEET_HOST_KEY "host" /* an option of the caller's table, and none of run: see fleet.hosts */

enum fleet_value {
    FLEET_VALUE_FLAG, /* true or false */
    FLEET_VALUE_ONE,
    FLEET_VALUE_LIST, /* one or several */
    FLEET_VALUE_MAP,  /* the same; a mapping is a list of KEY=VALUE */
};

struct fleet_option {
    const char *name; /* "ssh-key"; a table ends with {0} */
    enum fleet_value value;
};

/* An option of an instance, as on a command line. */
struct fleet_word {
    const struct fleet_option *option;
    char *value; /* NULL: of a flag */
    size_t line;
    bool of_defaults;
};

/* An entry starts when all instances of another one have started, or are ready. */
struct fleet_after {
    char entry[PI_NAME_MAX + 1];
    bool ready;
    size_t line;
};

struct fleet_entry {
    char name[PI_NAME_MAX + 1];
    size_t line;
    size_t host;    /* the index of its host in fleet.hosts */
    unsigned count; /* 0: it is one instance, which has the entry's name */
    struct fleet_word *words;
    size_t word_count;
    struct fleet_after *after;
    size_t after_count;
    size_t
        rank; /* set by fleet_check(): 0 if it is after none, else one more than the highest that it is after */
};

struct fleet_network {
    char name[PI_NAME_MAX + 1];
    size_t line;
    char *text;              /* NULL: the agent chooses the subnet */
    struct vm_subnet subnet; /* set by fleet_check(); a prefix of 0: not known */
};

/* Zeroed memory is a valid, empty one. */
struct fleet {
    char name[PI_NAME_MAX + 1];
    bool whole; /* false: the file is no YAML from some line on, and what follows is not known */
    struct fleet_network *networks;
    size_t network_count;
    struct fleet_entry *entries;
    size_t entry_count;
    /* The hosts of the entries, by their URLs, each once; NULL = the host that the command acts on. Borrowed of the words. */
    const char *hosts[FLEET_HOSTS_MAX];
    size_t host_count;
    const char *here; /* how messages name the host NULL: set by the caller; NULL = "this host". Borrowed. */
};

/*
 * Reads the file's text, at most FLEET_FILE_MAX bytes. path is the file's, for the fleet's name. Adds an error for each key and
 * value that is not as it should be; *ret holds the rest, and is the caller's to free with fleet_done(). 0, or -ENOMEM.
 */
int fleet_read(const char *data, size_t size, const char *path, const struct fleet_option *options,
               struct seed_findings *findings, struct fleet *ret);

void fleet_done(struct fleet *fleet);
#define pi_auto_fleet __attribute__((cleanup(fleet_done)))

/* How many instances the entry is, and the name of one of them, from 1 on. */
unsigned fleet_entry_size(const struct fleet_entry *entry);
void fleet_instance_name(const struct fleet_entry *entry, unsigned index, char ret[PI_NAME_MAX + 1]);

/* NULL: there is none. */
const struct fleet_entry *fleet_entry_named(const struct fleet *fleet, const char *name);
const struct fleet_network *fleet_network_named(const struct fleet *fleet, const char *name);

/* Whether the network is needed on that host: entries there use it, or no entry of the fleet does and it is the first host. */
bool fleet_network_is_on(const struct fleet *fleet, const struct fleet_network *network, size_t host);
/* Whether it is needed on several: then it has one subnet, and each instance an address that the plan chooses. */
bool fleet_network_spans(const struct fleet *fleet, const struct fleet_network *network);

/* Its URL, or fleet.here, or "this host". */
const char *fleet_host_text(const struct fleet *fleet, size_t host);

/* The next word of that option of the entry, from *at on; NULL: no more. *at begins as 0. */
const struct fleet_word *fleet_next_word(const struct fleet_entry *entry, const char *option, size_t *at);

#endif
