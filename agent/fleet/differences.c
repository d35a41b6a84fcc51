/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/fleet/plan.h"
#include "agent/image/name.h"
#include "agent/image/ref.h"

/* Keys of the request that are called otherwise in the file. */
static const struct {
    const char *key, *ours;
} file_keys[] = {
    {"memory_mib", "memory"}, {"memory_max_mib", "memory-max"}, {"cpu_quota_percent", "cpu-quota"},
    {"disk_bytes", "disk"},   {"forwards", "forward"},          {"networks", "network"},
    {"labels", "label"},      {"of_template", "template"},
};

static const char *file_key(const char *key)
{
    for (size_t i = 0; i < PI_ARRAY_SIZE(file_keys); i++)
        if (!strcmp(file_keys[i].key, key))
            return file_keys[i].ours;
    return key;
}

/* Whether the address of a network is the file's to say: "lab" is fulfilled by "lab,ip=10.77.0.2". */
static bool text_fulfils(const char *wanted, const char *had)
{
    size_t length = strlen(wanted);
    return !strncmp(wanted, had, length) && (!had[length] || (had[length] == ',' && !strchr(wanted, ',')));
}

static bool has_text(const json_t *list, const json_t *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_equal(json_array_get(list, i), text))
            return true;
    return false;
}

/* Labels have no order, and none is given twice. */
static bool are_same_set(const json_t *a, const json_t *b)
{
    bool same = json_array_size(a) == json_array_size(b);
    for (size_t i = 0; same && i < json_array_size(a); i++)
        same = has_text(b, json_array_get(a, i));
    return same;
}

static bool value_fulfils(const char *key, const json_t *wanted, const json_t *had)
{
    if (!wanted && !had)
        return true;
    if (!strcmp(key, "labels"))
        return are_same_set(wanted, had);
    if (strcmp(key, "networks") != 0 || json_array_size(wanted) != json_array_size(had))
        return json_equal(wanted, had);
    for (size_t i = 0; i < json_array_size(wanted); i++)
        if (!text_fulfils(json_string_value(json_array_get(wanted, i)),
                          json_string_value(json_array_get(had, i))))
            return false;
    return true;
}

static int add_value_text(const char *key, const json_t *value, struct pi_buf *ret)
{
    char size[32];
    if (json_is_string(value))
        return pi_buf_puts(ret, json_string_value(value));
    if (json_is_boolean(value))
        return pi_buf_puts(ret, json_is_true(value) ? "true" : "false");
    if (json_is_integer(value) && json_integer_value(value) && pi_ends_with(key, "_mib"))
        return pi_buf_puts(ret, pi_size_format((uint64_t)json_integer_value(value) << 20, size));
    if (json_is_integer(value) && json_integer_value(value) && pi_ends_with(key, "_bytes"))
        return pi_buf_puts(ret, pi_size_format((uint64_t)json_integer_value(value), size));
    if (json_is_integer(value) && json_integer_value(value))
        return pi_buf_printf(ret, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    int r = json_array_size(value) ? 0 : pi_buf_puts(ret, "not set");
    for (size_t i = 0; r == 0 && i < json_array_size(value); i++)
        r = pi_buf_printf(ret, "%s%s", i ? ", " : "", json_string_value(json_array_get(value, i)));
    return r;
}

static int add_difference(const char *key, const json_t *wanted, const json_t *had, struct pi_strv *ret)
{
    pi_auto_buf struct pi_buf text = {0};
    int r = pi_buf_printf(&text, "%s is ", file_key(key));
    if (r == 0)
        r = add_value_text(key, had, &text);
    if (r == 0)
        r = pi_buf_puts(&text, ", the file says ");
    if (r == 0)
        r = add_value_text(key, wanted, &text);
    return r < 0 ? r : pi_strv_add(ret, text.data);
}

/* Rows that the request may choose and that the agent shows. The fleet's own is the same, or the instance is not of the fleet;
 * and the count of an entry may change without a change of its instances. The default of a disk depends on the image. What an
 * instance has of its template cannot be chosen. */
static bool is_compared(const struct pi_field *field, const struct vm_spec *wanted)
{
    static const char *const templates_own[] = {"cpus", "memory_mib", "disk_bytes", "user"};
    for (size_t i = 0; wanted->of_template[0] && i < PI_ARRAY_SIZE(templates_own); i++)
        if (!strcmp(field->key, templates_own[i]))
            return false;
    unsigned both = VM_SPEC_CHOSEN | VM_SPEC_SHOWN;
    if (!strcmp(field->key, "fleet") || (!strcmp(field->key, "disk_bytes") && !wanted->disk_bytes))
        return false;
    return (field->parts & both) == both;
}

static int compare_specs(const struct vm_spec *wanted, const struct vm_spec *had, struct pi_strv *ret,
                         struct pi_strv *ret_updates)
{
    json_auto_t *want = pi_fields_write(vm_spec_fields, wanted), *have = pi_fields_write(vm_spec_fields, had);
    int r = want && have ? 0 : -ENOMEM;
    for (const struct pi_field *field = vm_spec_fields; r == 0 && field->key; field++) {
        const json_t *a = json_object_get(want, field->key), *b = json_object_get(have, field->key);
        if (is_compared(field, wanted) && !value_fulfils(field->key, a, b))
            r = add_difference(field->key, a, b, strcmp(field->key, "labels") != 0 ? ret : ret_updates);
    }
    return r;
}

/* The newest Fedora is another one with time: only what the reference itself says is compared. A file that was packed has lost its
 * ending. */
static bool image_fulfils(const char *wanted, const char *had)
{
    struct image_ref ref;
    struct image_name name;
    int length;
    if (image_ref_parse(wanted, &ref, NULL) < 0)
        return true;
    if (ref.kind == IMAGE_REF_FEDORA)
        return !ref.release[0] || !image_name_parse(had, &name) || !strcmp(name.release, ref.release);
    const char *base = image_base_name(wanted, &length);
    return strlen(had) <= (size_t)length && !strncmp(base, had, strlen(had));
}

static int compare_request(const json_t *request, struct api_create *wanted,
                           const struct api_instance *instance, struct pi_strv *ret,
                           struct pi_strv *ret_updates)
{
    wanted->spec.arch = vm_arch_host();
    if (api_read(create, request, wanted, NULL) < 0 || vm_spec_complete(&wanted->spec) < 0)
        return -ENOMEM;
    int r = 0;
    if (json_object_get(request, "arch") &&
        wanted->spec.arch != instance->arch) /* the default is the agent's */
        r = pi_strv_addf(ret, "arch is %s, the file says %s", PI_WORD(instance, arch, vm_arch),
                         vm_arch_names[wanted->spec.arch]);
    if (r == 0 && wanted->image && instance->image && !image_fulfils(wanted->image, instance->image))
        r = pi_strv_addf(ret, "image is %s, the file says %s", instance->image, wanted->image);
    const char *digest = json_string_value(json_object_get(request, "user_data_sha256"));
    if (r == 0 && strcmp(digest ? digest : "", instance->spec.user_data_sha256) != 0)
        r = pi_strv_add(ret, !digest                               ? "it has user-data, the file says none"
                             : !instance->spec.user_data_sha256[0] ? "it has no user-data, the file says some"
                                                                   : "user-data has changed since");
    return r < 0 ? r : compare_specs(&wanted->spec, &instance->spec, ret, ret_updates);
}

static json_t *after_of_entry(const struct fleet_entry *entry)
{
    json_t *list = json_array();
    for (size_t i = 0; i < entry->after_count; i++)
        json_array_append_new(
            list, json_sprintf("%s=%s", entry->after[i].entry, entry->after[i].ready ? "ready" : "started"));
    return list;
}

/* What an instance is after stands in its fleet, which is not compared as a whole. */
static int compare_after(const struct fleet_entry *entry, const struct api_instance *instance,
                         struct pi_strv *ret)
{
    json_auto_t *wanted = after_of_entry(entry), *had = pi_strv_json(&instance->spec.fleet.after);
    if (!wanted || !had)
        return -ENOMEM;
    return are_same_set(wanted, had) ? 0 : add_difference("after", wanted, had, ret);
}

json_t *fleet_update_request(const struct fleet_entry *entry, const json_t *request)
{
    json_t *labels = json_object_get(request, "labels");
    return json_pack("{s:o, s:o}", "labels", labels ? json_incref(labels) : json_array(), "after",
                     after_of_entry(entry));
}

int fleet_differences(const struct fleet_entry *entry, json_t *request, const struct api_instance *instance,
                      struct pi_strv *ret, struct pi_strv *ret_updates)
{
    struct api_create wanted = {0};
    int r = compare_request(request, &wanted, instance, ret, ret_updates);
    api_done(create, &wanted);
    return r < 0 ? r : compare_after(entry, instance, ret_updates);
}
