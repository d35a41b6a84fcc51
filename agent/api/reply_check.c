/* SPDX-License-Identifier: MIT */
#include "agent/api/reply_check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/operations.h"
#include "agent/base/auto.h"

static int clean_string(json_t *value)
{
    const size_t size = json_string_length(value) + 1;
    if (pi_text_shows(json_string_value(value), size - 1))
        return 0;
    pi_auto_free char *clean = malloc(size);
    return clean && !json_string_set(value, pi_text_clean(json_string_value(value), size - 1, clean, size))
               ? 0
               : -ENOMEM;
}

int api_answer_clean(json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    int r = json_is_string(value) ? clean_string(value) : 0;
    json_array_foreach(value, i, member)
        r = r == 0 ? api_answer_clean(member) : r;
    json_object_foreach(value, key, member)
        r = r == 0 ? api_answer_clean(member) : r;
    return r;
}

/* Any object of an answer. */
union any_object {
    struct api_error error;
    struct api_agent agent;
    struct api_instance instance;
    struct api_qemu_command command;
    struct api_qemu_option option;
    struct api_network network;
    struct api_network_member member;
};

static int check_object(const struct api_schema *schema, const json_t *object, struct pi_error *err)
{
    union any_object read = {0};
    if (!schema->fields)
        return 0;
    int r = pi_fields_read(schema->fields, object, true, &read, err);
    pi_fields_done(schema->fields, &read);
    return r;
}

/* The first schema of a list has all members of the others. */
static int check_schema(const struct api_schema *schema, const json_t *answer, struct pi_error *err)
{
    const json_t *list = schema->list ? json_object_get(answer, schema->list) : NULL, *item;
    size_t i;
    int r = check_object(schema, answer, err);
    json_array_foreach(list, i, item)
        r = r == 0 ? check_schema(schema->items[0], item, err) : r;
    return r;
}

/* name gets the part of the path that stands for {name}, or "". NULL: there is no such operation. */
static const struct api_operation *find_operation(const char *method, const char *path,
                                                  char name[PI_NAME_MAX + 1])
{
    pi_auto_free char *plain = strndup(path, strcspn(path, "?"));
    for (size_t i = 0; plain && i < API_OPERATIONS; i++)
        if (!strcmp(api_operations[i].method, method) &&
            api_path_match(api_operations[i].path, plain, name, PI_NAME_MAX + 1))
            return &api_operations[i];
    return NULL;
}

static int check_asked(const char *asked, const json_t *answer, struct pi_error *err)
{
    const char *name = json_string_value(json_object_get(answer, "name"));
    return !asked || !name || !strcmp(asked, name)
               ? 0
               : pi_refuse(err, PI_USAGE, "it is about %.64s, not about %.64s", name, asked);
}

int api_answer_check(const char *method, const char *path, const json_t *request, json_t *answer,
                     struct pi_error *err)
{
    char name[PI_NAME_MAX + 1] = "";
    struct pi_error why;
    const struct api_operation *operation = find_operation(method, path, name);
    const char *asked = name[0] ? name : json_string_value(json_object_get(request, "name"));
    int r = operation && operation->reply ? check_schema(operation->reply, answer, &why) : 0;
    if (r == 0)
        r = check_asked(asked, answer, &why);
    if (r < 0)
        return pi_refuse(err, PI_AGENT, "the agent's answer cannot be used: %.800s", why.text);
    return api_answer_clean(answer) < 0 ? pi_fail(err, ENOMEM, "the agent's answer") : 0;
}
