/* SPDX-License-Identifier: MIT */
#include "agent/cli/commands/fleet_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/fs.h"
#include "agent/base/host_url.h"
#include "agent/cli/client/remote_host.h"
#include "agent/cli/commands/command_table.h"
#include "agent/cli/commands/run_options.h"
#include "agent/cli/terminal/finding_show.h"
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/table.h"
#include "agent/cli/terminal/user_data_findings.h"
#include "agent/fleet/fleet_check.h"
#include "agent/fleet/fleet_fault.h"
#include "agent/image/digest.h"
#include "agent/image/ref.h"
#include "agent/seed/ssh_key.h"

struct cli_user_data {
    char *file;
    struct pi_buf text;
    char sha256[IMAGE_SHA256_LENGTH + 1];
    struct seed_findings *findings; /* NULL: no instance wants it checked */
};

/* The options of run that make an instance. The last group is about the command alone. */
static bool is_file_key(const struct cli_option *option)
{
    return strcmp(option->name, "password-prompt") != 0;
}

static int fill_options(struct cli_fleet *fleet)
{
    size_t count = 0;
    while (cli_create_options[count].name)
        count++;
    struct fleet_option *all = calloc(count + 2, sizeof *all), *next = all;
    if (!all)
        return -ENOMEM;
    *next++ = (struct fleet_option){FLEET_HOST_KEY, FLEET_VALUE_ONE};
    for (const struct cli_option *o = cli_create_options; o->name; o++) {
        if (o->group && !strcmp(o->group, CLI_RUN_COMMAND_GROUP))
            break;
        if (is_file_key(o))
            *next++ = (struct fleet_option){o->name, o->type == CLI_FLAG         ? FLEET_VALUE_FLAG
                                                     : o->type != CLI_LIST       ? FLEET_VALUE_ONE
                                                     : !strcmp(o->name, "label") ? FLEET_VALUE_MAP
                                                                                 : FLEET_VALUE_LIST};
    }
    fleet->options = all;
    return 0;
}

static bool is_host(const struct fleet_word *word)
{
    return !strcmp(word->option->name, FLEET_HOST_KEY);
}

static const struct cli_option *run_option(const struct fleet_word *word)
{
    return cli_option_named(&cli_command_run, word->option->name, strlen(word->option->name));
}

/* Relative to the folder of the fleet's file; "~/" is the user's home. NULL without memory. */
static char *resolve_path(const char *file, const char *path)
{
    const char *home = getenv("HOME"), *slash = strrchr(file, '/');
    char *whole = NULL;
    int n;
    if (path[0] == '~' && path[1] == '/' && home)
        n = asprintf(&whole, "%s%s", home, path + 1);
    else if (path[0] == '/' || !slash)
        return strdup(path);
    else
        n = asprintf(&whole, "%.*s/%s", (int)(slash - file), file, path);
    return n < 0 ? NULL : whole;
}

/* An image that is a file of another host's is not found from here. */
static bool names_local_file(const struct fleet *fleet, const struct fleet_entry *entry,
                             const struct fleet_word *word)
{
    struct image_ref ref;
    enum cli_kind kind = is_host(word) ? CLI_TEXT : run_option(word)->kind;
    if (kind != CLI_IMAGE || fleet->hosts[entry->host] || cli_host_chosen())
        return kind == CLI_FILE;
    return word->value[0] == '~' ||
           (image_ref_parse(word->value, &ref, NULL) == 0 && ref.kind == IMAGE_REF_FILE);
}

static int resolve_paths(struct cli_fleet *fleet)
{
    for (size_t i = 0; i < fleet->fleet.entry_count; i++)
        for (size_t k = 0; k < fleet->fleet.entries[i].word_count; k++) {
            const struct fleet_entry *entry = &fleet->fleet.entries[i];
            struct fleet_word *word = &entry->words[k];
            char *path = word->value && names_local_file(&fleet->fleet, entry, word)
                             ? resolve_path(fleet->path, word->value)
                             : word->value;
            if (word->value && !path)
                return -ENOMEM;
            if (path != word->value)
                free(word->value);
            word->value = path;
        }
    return 0;
}

/* What is wrong with a value as run says it, without the option, which the path names. word is NULL if the values do not fit
 * together. */
static void word_fault(struct cli_fleet *fleet, const struct fleet_entry *entry,
                       const struct fleet_word *word, const struct pi_error *err)
{
    const char *text = err->text + (pi_starts_with(err->text, "--") ? 2 : 0);
    size_t named = word ? strlen(word->option->name) : 0;
    if (named && !strncmp(text, word->option->name, named) && pi_starts_with(text + named, ": "))
        text += named + strlen(": ");
    if (word)
        fleet_word_fault(fleet->findings, entry, word, NULL, "%s", text);
    else
        fleet_entry_fault(fleet->findings, entry, NULL, entry->line, NULL, "%s", text);
}

/* The words that a command line would have. */
static int add_argument(const struct fleet_word *word, struct pi_strv *argv)
{
    return pi_strv_addf(argv, "--%s%s%s", word->option->name, word->value ? "=" : "",
                        word->value ? word->value : "");
}

/* The request of a command line, which the agent would not refuse by itself. */
static int request_of(const struct pi_strv *argv, const char *name, json_t **ret, struct pi_error *err)
{
    struct cli_create options = {0};
    struct cli_operands operands = {0};
    struct api_create request = {.spec.arch = vm_arch_host()};
    json_auto_t *body = NULL;
    pi_auto_strv struct pi_strv copy = {0}; /* the words may be overwritten, as that of a password is */
    pi_auto_free char **words = calloc(argv->count + 2, sizeof *words); /* a parse moves them */
    int r = words ? 0 : -ENOMEM;
    for (size_t i = 0; r == 0 && i < argv->count; i++)
        if ((r = pi_strv_add(&copy, argv->items[i])) == 0)
            words[i] = copy.items[i];
    if (r < 0)
        return pi_fail(err, ENOMEM, "%s", name);
    words[argv->count] = (char *)name;
    r = cli_parse(&cli_command_run, words, &options, &operands, err);
    options.user_data_checked = options.no_start = true;
    if (r == 0)
        r = cli_create_request(&options, name, &body, err);
    if (r == 0)
        r = api_read(create, body, &request, err);
    snprintf(request.spec.name, sizeof request.spec.name, "%s", name);
    if (r == 0 && vm_spec_complete(&request.spec) < 0)
        r = pi_fail(err, ENOMEM, "%s", name);
    if (r == 0)
        r = vm_spec_check(&request.spec, err);
    if (r == 0)
        *ret = json_incref(body);
    api_done(create, &request);
    cli_values_done(&cli_command_run, &options);
    return r;
}

/* First those that others are measured by (memory-max by the memory, the firmware by the architecture), last the files. */
enum { TURN_MEASURE, TURN_VALUE, TURN_FILE, TURNS };

static int turn_of(const struct fleet_word *word)
{
    bool measure = !strcmp(word->option->name, "memory") || !strcmp(word->option->name, "arch");
    return measure                                                ? TURN_MEASURE
           : !is_host(word) && run_option(word)->kind == CLI_FILE ? TURN_FILE
                                                                  : TURN_VALUE;
}

static int check_named_file(const struct fleet_word *word, struct pi_error *err)
{
    pi_auto_strv struct pi_strv keys = {0};
    if (!strcmp(word->option->name, "ssh-key"))
        return seed_ssh_keys_read(word->value, &keys, err);
    return access(word->value, R_OK) < 0
               ? pi_refuse(err, PI_NOT_FOUND, "cannot open %s: %s", word->value, strerror(errno))
               : 0;
}

/* A value beside those of good: 0 if it is right, and then it is one of them; else with err filled, or -ENOMEM. */
static int check_word(const struct fleet *fleet, const struct fleet_entry *entry,
                      const struct fleet_word *word, struct pi_strv *good, struct pi_error *err)
{
    json_auto_t *body = NULL;
    if (is_host(word))
        return pi_host_url_check(word->value, err);
    enum cli_kind kind = run_option(word)->kind;
    int r = kind == CLI_FILE ? check_named_file(word, err) : 0;
    if (r == 0 && kind == CLI_IMAGE && fleet->hosts[entry->host])
        r = cli_host_check_image(word->value, err);
    if (r < 0 || add_argument(word, good) < 0)
        return r < 0 ? r : -ENOMEM;
    if (kind != CLI_FILE && (r = request_of(good, "a", &body, err)) < 0)
        pi_strv_cut(good, good->count - 1);
    return r;
}

/* One word after the other, so that each one's fault is found. good gets those that are right. 0, 1 if one is
 * wrong, or -ENOMEM. */
static int check_words(struct cli_fleet *fleet, const struct fleet_entry *entry, struct pi_strv *good)
{
    bool wrong = false;
    for (int turn = 0; turn < TURNS; turn++)
        for (size_t i = 0; i < entry->word_count; i++) {
            struct pi_error err = {0};
            const struct fleet_word *word = &entry->words[i];
            int r = turn_of(word) == turn ? check_word(&fleet->fleet, entry, word, good, &err) : 0;
            if (r < 0 && err.kind == PI_OK)
                return -ENOMEM;
            if (r < 0)
                word_fault(fleet, entry, word, &err);
            wrong = wrong || r < 0;
        }
    return wrong;
}

static void user_data_done(struct cli_user_data *file)
{
    free(file->file);
    free(file->findings);
    pi_buf_done(&file->text);
}

/* Of the list; read at the first time. NULL with err filled. */
static struct cli_user_data *user_data_of(struct cli_fleet *fleet, const char *file, struct pi_error *err)
{
    for (size_t i = 0; i < fleet->user_data_count; i++)
        if (!strcmp(fleet->user_data[i].file, file))
            return &fleet->user_data[i];
    struct cli_user_data *more =
        reallocarray(fleet->user_data, fleet->user_data_count + 1, sizeof *fleet->user_data);
    struct cli_user_data read = {.file = strdup(file), .text.max = SEED_USER_DATA_MAX + 1};
    fleet->user_data = more ? more : fleet->user_data;
    int r =
        more && read.file ? seed_user_data_read(file, &read.text, err) : pi_fail(err, ENOMEM, "user-data");
    if (r == 0 && image_digest_bytes(read.text.data, read.text.size, read.sha256) < 0)
        r = pi_fail(err, ENOMEM, "user-data");
    if (r < 0) {
        user_data_done(&read);
        return NULL;
    }
    more[fleet->user_data_count] = read;
    return &more[fleet->user_data_count++];
}

/* All that validate would find, once a file. NULL if it cannot be read, with err filled. */
static const struct cli_user_data *check_user_data(struct cli_fleet *fleet, const struct fleet_entry *entry,
                                                   const char *path, struct pi_error *err)
{
    enum seed_kind kind;
    size_t at = 0;
    struct cli_user_data *file = user_data_of(fleet, path, err);
    if (!file || file->findings || fleet_next_word(entry, "user-data-unchecked", &at))
        return file;
    file->findings = calloc(1, sizeof *file->findings);
    if (!file->findings)
        pi_fail(err, ENOMEM, "user-data");
    return file->findings && cli_user_data_findings(&file->text, &kind, file->findings, err) == 0 ? file
                                                                                                  : NULL;
}

static int load_entry(struct cli_fleet *fleet, size_t index, struct pi_error *err)
{
    const struct fleet_entry *entry = &fleet->fleet.entries[index];
    pi_auto_strv struct pi_strv good = {0};
    struct pi_error fault = {0};
    char name[PI_NAME_MAX + 1];
    size_t at = 0;
    int wrong = check_words(fleet, entry, &good);
    if (wrong < 0)
        return pi_fail(err, ENOMEM, "%s", entry->name);
    const struct fleet_word *word = fleet_next_word(entry, "user-data", &at);
    bool there = word && access(word->value, R_OK) == 0; /* else it was told */
    const struct cli_user_data *file = there ? check_user_data(fleet, entry, word->value, &fault) : NULL;
    if (there && !file)
        word_fault(fleet, entry, word, &fault);
    fleet_instance_name(entry, 1, name);
    if (request_of(&good, name, &fleet->requests[index], &fault) < 0 && !wrong && there == !!file)
        word_fault(fleet, entry, NULL, &fault);
    if (fleet->requests[index] && file)
        json_object_set_new(fleet->requests[index], "user_data_sha256", json_string(file->sha256));
    return 0;
}

static int read_standard_input(struct pi_buf *ret, struct pi_error *err)
{
    char chunk[16384];
    int r = 0;
    ret->max = FLEET_FILE_MAX;
    for (size_t n; r == 0 && (n = fread(chunk, 1, sizeof chunk, stdin)) > 0;)
        r = pi_buf_add(ret, chunk, n);
    if (r == -E2BIG)
        return pi_refuse(err, PI_USAGE, "standard input: larger than %zu bytes", FLEET_FILE_MAX);
    return r < 0 || ferror(stdin) ? pi_fail(err, r < 0 ? -r : EIO, "standard input") : 0;
}

int cli_fleet_refuse_files(const struct cli_call *call, struct pi_error *err)
{
    for (unsigned i = 0; i < call->count; i++)
        if (strpbrk(call->operands[i], "./"))
            return pi_refuse(
                err, PI_USAGE,
                "'%.200s' is no name of an instance: name the fleet's file with -f: piagent %s -f %.200s",
                call->operands[i], call->command->name, call->operands[i]);
    return 0;
}

int cli_fleet_read(const char *path, struct cli_fleet *ret, struct pi_error *err)
{
    ret->path = path ? path : CLI_FLEET_FILE;
    ret->findings = calloc(1, sizeof *ret->findings);
    if (!ret->findings || fill_options(ret) < 0)
        return pi_fail(err, ENOMEM, "fleet");
    int r = !strcmp(ret->path, "-") ? read_standard_input(&ret->text, err)
                                    : pi_file_read(AT_FDCWD, ret->path, FLEET_FILE_MAX, &ret->text, err);
    if (r == -ENOENT)
        return pi_refuse(err, PI_NOT_FOUND,
                         "there is no file %s: -f FILE names the fleet's, and piagent help fleet explains it",
                         ret->path);
    if (r == 0 && fleet_read(ret->text.data ? ret->text.data : "", ret->text.size, ret->path, ret->options,
                             ret->findings, &ret->fleet) < 0)
        r = pi_fail(err, ENOMEM, "fleet");
    ret->fleet.here = cli_host_chosen();
    return r;
}

int cli_fleet_load(const char *path, struct cli_fleet *ret, struct pi_error *err)
{
    int r = cli_fleet_read(path, ret, err);
    if (r < 0 || !ret->fleet.whole)
        return r;
    ret->requests = calloc(ret->fleet.entry_count + 1, sizeof *ret->requests);
    if (!ret->requests || resolve_paths(ret) < 0 || fleet_check(&ret->fleet, ret->findings) < 0)
        return pi_fail(err, ENOMEM, "fleet");
    for (size_t i = 0; r == 0 && i < ret->fleet.entry_count; i++)
        r = load_entry(ret, i, err);
    return r;
}

static void print_fault_json(const char *file, const struct seed_finding *finding)
{
    json_auto_t *line = json_object();
    json_t *fault = cli_finding_json(finding);
    json_object_set_new(fault, "file", cli_file_name_json(file));
    json_object_set_new(line, finding->severity == SEED_ERROR ? "fault" : "warning", fault);
    cli_json_line(stderr, line);
}

/* Counts all faults, and those that are not shown. */
static void print_faults(const char *file, const struct pi_buf *text, const struct seed_findings *findings,
                         bool json, size_t *total, size_t *hidden)
{
    size_t told = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct seed_finding *finding = &findings->items[i];
        if (json)
            print_fault_json(file, finding);
        else
            cli_finding_show(stderr, file, text, finding);
        told += finding->severity == SEED_ERROR;
    }
    *total += findings->errors;
    *hidden += findings->errors - told;
}

int cli_fleet_refuse(struct cli_fleet *fleet, bool json, struct pi_error *err)
{
    size_t total = 0, hidden = 0;
    char more[48] = "";
    seed_findings_sort(fleet->findings);
    print_faults(fleet->path, &fleet->text, fleet->findings, json, &total, &hidden);
    for (size_t i = 0; i < fleet->user_data_count; i++) {
        const struct cli_user_data *file = &fleet->user_data[i];
        if (file->findings)
            print_faults(file->file, &file->text, file->findings, json, &total, &hidden);
    }
    if (!total)
        return 0;
    if (hidden)
        snprintf(more, sizeof more, " (%zu of them are not shown)", hidden);
    return pi_refuse(err, total == fleet->host_faults ? fleet->host_kind : PI_USAGE,
                     "%s has %zu fault%s%s: nothing was changed", fleet->path, total, total == 1 ? "" : "s",
                     more);
}

void cli_fleet_done(struct cli_fleet *fleet)
{
    for (size_t i = 0; fleet->requests && i < fleet->fleet.entry_count; i++)
        json_decref(fleet->requests[i]);
    for (size_t i = 0; i < fleet->user_data_count; i++)
        user_data_done(&fleet->user_data[i]);
    pi_buf_done(&fleet->text);
    free(fleet->requests);
    free(fleet->user_data);
    free(fleet->options);
    free(fleet->findings);
    fleet_done(&fleet->fleet);
    *fleet = (struct cli_fleet){0};
}
