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
#include "agent/cli/terminal/host_hint.h"
#include "agent/cli/terminal/user_data_findings.h"
#include "agent/fleet/fleet_check.h"
#include "agent/image/digest.h"
#include "agent/image/ref.h"

#define FAULTS_MAX 500

struct cli_fault {
    char *file;
    struct seed_finding finding;
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

/* What is wrong with a value as run says it, without the dashes. Told once for all entries that have it of the defaults. word is
 * NULL if the values do not fit together. */
static void word_fault(struct cli_fleet *fleet, const struct fleet_entry *entry,
                       const struct fleet_word *word, const struct pi_error *err)
{
    const char *text = err->text + (pi_starts_with(err->text, "--") ? 2 : 0);
    size_t line = word ? word->line : entry->line;
    char path[96];
    struct seed_findings *findings = fleet->findings;
    for (size_t i = 0; i < findings->count; i++)
        if (findings->items[i].line == line && !strcmp(findings->items[i].message, text))
            return;
    if (word && word->of_defaults)
        snprintf(path, sizeof path, "defaults.%s", word->option->name);
    else
        snprintf(path, sizeof path, "instances.%.40s%s%s", entry->name, word ? "." : "",
                 word ? word->option->name : "");
    seed_findings_addf(findings, SEED_ERROR, line, 0, path, NULL, "%s", text);
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
    pi_auto_free char **words = calloc(argv->count + 2, sizeof *words); /* a parse moves them */
    if (!words)
        return pi_fail(err, ENOMEM, "%s", name);
    for (size_t i = 0; i < argv->count; i++)
        words[i] = argv->items[i];
    words[argv->count] = (char *)name;
    int r = cli_parse(&cli_command_run, words, &options, &operands, err);
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

/* What others are measured by: memory-max by the memory, the firmware by the architecture. */
static bool is_measure(const struct fleet_word *word)
{
    return !strcmp(word->option->name, "memory") || !strcmp(word->option->name, "arch");
}

static int add_measures(const struct fleet_entry *entry, struct pi_strv *argv)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < entry->word_count; i++)
        if (is_measure(&entry->words[i]))
            r = add_argument(&entry->words[i], argv);
    return r;
}

/* A value by itself, or beside the measures: 0 if it is right, else with err filled. */
static int check_word_value(const struct fleet *fleet, const struct fleet_entry *entry,
                            const struct fleet_word *word, bool measures, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    json_auto_t *body = NULL;
    if (is_host(word))
        return pi_host_url_check(word->value, err);
    enum cli_kind kind = run_option(word)->kind;
    if (kind == CLI_FILE)
        return access(word->value, R_OK) < 0
                   ? pi_refuse(err, PI_NOT_FOUND, "cannot open %s: %s", word->value, strerror(errno))
                   : 0;
    if (kind == CLI_IMAGE && fleet->hosts[entry->host] && cli_host_check_image(word->value, err) < 0)
        return -EINVAL;
    if ((measures && add_measures(entry, &argv) < 0) || add_argument(word, &argv) < 0)
        return -ENOMEM;
    return request_of(&argv, "a", &body, err);
}

/* Each word by itself, so that each one's fault is found, not only the first. 0, 1 if one is wrong, or -ENOMEM. */
static int check_words(struct cli_fleet *fleet, const struct fleet_entry *entry)
{
    bool wrong = false, measures = false;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < entry->word_count; i++) {
            struct pi_error err = {0};
            const struct fleet_word *word = &entry->words[i];
            int r = is_measure(word) == (pass == 0)
                        ? check_word_value(&fleet->fleet, entry, word, measures, &err)
                        : 0;
            if (r < 0 && err.kind == PI_OK)
                return -ENOMEM;
            if (r < 0)
                word_fault(fleet, entry, word, &err);
            wrong = wrong || r < 0;
        }
        measures = !wrong;
    }
    return wrong;
}

static int add_user_data_faults(struct cli_fleet *fleet, const char *file,
                                const struct seed_findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        const struct seed_finding *finding = &findings->items[i];
        if (fleet->fault_count == FAULTS_MAX)
            break;
        struct cli_fault *more = reallocarray(fleet->faults, fleet->fault_count + 1, sizeof *more);
        if (!more)
            return -ENOMEM;
        fleet->faults = more;
        more[fleet->fault_count] = (struct cli_fault){strdup(file), *finding};
        if (!more[fleet->fault_count++].file)
            return -ENOMEM;
    }
    fleet->fault_total += findings->errors;
    return 0;
}

/* All that validate would find, once a file. */
static int check_user_data(struct cli_fleet *fleet, const struct fleet_entry *entry, const char *file,
                           char ret_sha256[IMAGE_SHA256_LENGTH + 1], struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {.max = SEED_USER_DATA_MAX + 1};
    pi_auto_free struct seed_findings *findings = calloc(1, sizeof *findings);
    enum seed_kind kind;
    size_t at = 0;
    int r = findings ? seed_user_data_read(file, &text, err) : pi_fail(err, ENOMEM, "user-data");
    if (r == 0 && image_digest_bytes(text.data, text.size, ret_sha256) < 0)
        r = pi_fail(err, ENOMEM, "user-data");
    if (r < 0 || fleet_next_word(entry, "user-data-unchecked", &at))
        return r;
    r = cli_user_data_findings(&text, &kind, findings, err);
    if (r == 0 && add_user_data_faults(fleet, file, findings) < 0)
        r = pi_fail(err, ENOMEM, "user-data");
    return r;
}

/* Of an entry before this one that has the same file; NULL if there is none. */
static const char *known_digest(const struct cli_fleet *fleet, size_t index, const char *file)
{
    for (size_t i = 0; i < index; i++) {
        size_t at = 0;
        const struct fleet_word *word = fleet_next_word(&fleet->fleet.entries[i], "user-data", &at);
        const char *digest = json_string_value(json_object_get(fleet->requests[i], "user_data_sha256"));
        if (word && digest && !strcmp(word->value, file))
            return digest;
    }
    return NULL;
}

static int make_entry_request(const struct fleet_entry *entry, json_t **ret, struct pi_error *err)
{
    pi_auto_strv struct pi_strv argv = {0};
    char name[PI_NAME_MAX + 1];
    for (size_t i = 0; i < entry->word_count; i++)
        if (!is_host(&entry->words[i]) && add_argument(&entry->words[i], &argv) < 0)
            return pi_fail(err, ENOMEM, "%s", entry->name);
    fleet_instance_name(entry, 1, name);
    return request_of(&argv, name, ret, err);
}

static int load_entry(struct cli_fleet *fleet, size_t index, struct pi_error *err)
{
    const struct fleet_entry *entry = &fleet->fleet.entries[index];
    struct pi_error fault = {0};
    char digest[IMAGE_SHA256_LENGTH + 1] = "";
    size_t at = 0;
    int wrong = check_words(fleet, entry);
    if (wrong < 0)
        return pi_fail(err, ENOMEM, "%s", entry->name);
    const struct fleet_word *file = fleet_next_word(entry, "user-data", &at);
    const char *known = file ? known_digest(fleet, index, file->value) : NULL;
    if (known)
        snprintf(digest, sizeof digest, "%s", known);
    if (wrong)
        return 0;
    if (file && !known && check_user_data(fleet, entry, file->value, digest, &fault) < 0)
        word_fault(fleet, entry, file, &fault);
    else if (make_entry_request(entry, &fleet->requests[index], &fault) < 0)
        word_fault(fleet, entry, NULL, &fault);
    if (fleet->requests[index] && digest[0])
        json_object_set_new(fleet->requests[index], "user_data_sha256", json_string(digest));
    return 0;
}

int cli_fleet_read(const char *path, struct cli_fleet *ret, struct pi_error *err)
{
    pi_auto_buf struct pi_buf text = {0};
    ret->path = path ? path : CLI_FLEET_FILE;
    ret->findings = calloc(1, sizeof *ret->findings);
    if (!ret->findings || fill_options(ret) < 0)
        return pi_fail(err, ENOMEM, "fleet");
    int r = pi_file_read(AT_FDCWD, ret->path, FLEET_FILE_MAX, &text, err);
    if (r == -ENOENT)
        return pi_refuse(err, PI_NOT_FOUND,
                         "there is no file %s: -f FILE names the fleet's, and piagent help fleet explains it",
                         ret->path);
    if (r == 0 && fleet_read(text.data ? text.data : "", text.size, ret->path, ret->options, ret->findings,
                             &ret->fleet) < 0)
        r = pi_fail(err, ENOMEM, "fleet");
    ret->fleet.here = cli_host_chosen();
    return r;
}

int cli_fleet_load(const char *path, struct cli_fleet *ret, struct pi_error *err)
{
    int r = cli_fleet_read(path, ret, err);
    if (r < 0)
        return r;
    ret->requests = calloc(ret->fleet.entry_count + 1, sizeof *ret->requests);
    if (!ret->requests || resolve_paths(ret) < 0 || fleet_check(&ret->fleet, ret->findings) < 0)
        return pi_fail(err, ENOMEM, "fleet");
    for (size_t i = 0; r == 0 && i < ret->fleet.entry_count; i++)
        r = load_entry(ret, i, err);
    return r;
}

static void print_fault(const char *file, const struct seed_finding *finding, bool json)
{
    char clean[PATH_MAX], line[32] = "";
    pi_text_clean(file, strlen(file), clean, sizeof clean);
    json_auto_t *fault = json ? json_pack("{s:{s:s, s:I, s:s, s:s, s:s}}",
                                          finding->severity == SEED_ERROR ? "fault" : "warning", "file",
                                          clean, "line", (json_int_t)finding->line, "path", finding->path,
                                          "message", finding->message, "remedy", finding->remedy)
                              : NULL;
    if (fault) {
        json_dumpf(fault, stderr, JSON_COMPACT | JSON_ENSURE_ASCII);
        fputc('\n', stderr);
        return;
    }
    if (finding->line)
        snprintf(line, sizeof line, ":%zu", finding->line);
    fprintf(stderr, "%s%s: %s%s%s%s%s%s\n", clean, line,
            finding->severity == SEED_ERROR ? "" : "warning: ", finding->path, finding->path[0] ? ": " : "",
            finding->message, finding->remedy[0] ? ": " : "", finding->remedy);
}

int cli_fleet_refuse(struct cli_fleet *fleet, bool json, struct pi_error *err)
{
    size_t total = fleet->findings->errors + fleet->fault_total, told = fleet->findings->count;
    char more[48] = "";
    seed_findings_sort(fleet->findings);
    for (size_t i = 0; i < fleet->findings->count; i++)
        print_fault(fleet->path, &fleet->findings->items[i], json);
    for (size_t i = 0; i < fleet->fault_count; i++) {
        print_fault(fleet->faults[i].file, &fleet->faults[i].finding, json);
        told += fleet->faults[i].finding.severity == SEED_ERROR;
    }
    if (!total)
        return 0;
    if (total > told)
        snprintf(more, sizeof more, " (%zu of them are not shown)", total - told);
    return pi_refuse(err, PI_USAGE, "%s has %zu fault%s%s: nothing was changed", fleet->path, total,
                     total == 1 ? "" : "s", more);
}

void cli_fleet_done(struct cli_fleet *fleet)
{
    for (size_t i = 0; fleet->requests && i < fleet->fleet.entry_count; i++)
        json_decref(fleet->requests[i]);
    for (size_t i = 0; i < fleet->fault_count; i++)
        free(fleet->faults[i].file);
    free(fleet->requests);
    free(fleet->faults);
    free(fleet->options);
    free(fleet->findings);
    fleet_done(&fleet->fleet);
    *fleet = (struct cli_fleet){0};
}
