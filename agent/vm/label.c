/* SPDX-License-Identifier: MIT */
#include "agent/vm/label.h"

#include <string.h>

#include "agent/base/text.h"

#define LETTERS_DIGITS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#define PART_MAX       63

static bool is_part(const char *text, size_t length)
{
    return length >= 1 && length <= PART_MAX && strspn(text, LETTERS_DIGITS "-_.") >= length &&
           strchr(LETTERS_DIGITS, text[0]) && strchr(LETTERS_DIGITS, text[length - 1]);
}

static size_t key_length(const char *label)
{
    return strcspn(label, "=");
}

static int refuse_label(const char *label, struct pi_error *err, const char *why)
{
    char clean[160];
    return pi_refuse(err, PI_USAGE, "--label %s: %s",
                     pi_text_clean(label, strlen(label), clean, sizeof clean), why);
}

int vm_label_term_check(const char *term, struct pi_error *err)
{
    size_t length = key_length(term);
    const char *value = term[length] ? term + length + 1 : "";
    if (is_part(term, length) && (!*value || is_part(value, strlen(value))))
        return 0;
    return refuse_label(
        term, err,
        "a key and a value have 1 to 63 letters, digits, '-', '_' and '.', and begin and end with a "
        "letter or digit; the value may be empty");
}

static int label_check(const char *label, struct pi_error *err)
{
    if (!strchr(label, '='))
        return refuse_label(label, err, "a label is KEY=VALUE");
    return vm_label_term_check(label, err);
}

static bool has_same_key(const char *a, const char *b)
{
    size_t length = key_length(a);
    return length == key_length(b) && !memcmp(a, b, length);
}

int vm_labels_check(const struct pi_strv *labels, struct pi_error *err)
{
    if (labels->count > VM_LABELS_MAX)
        return pi_refuse(err, PI_USAGE, "--label was given %zu times: at most %d are possible", labels->count,
                         VM_LABELS_MAX);
    for (size_t i = 0; i < labels->count; i++) {
        int r = label_check(labels->items[i], err);
        if (r < 0)
            return r;
        for (size_t j = 0; j < i; j++)
            if (has_same_key(labels->items[i], labels->items[j]))
                return refuse_label(labels->items[i], err, "another label has the same key");
    }
    return 0;
}

bool vm_labels_fulfil(const struct pi_strv *labels, const char *term)
{
    bool any_value = !strchr(term, '=');
    for (size_t i = 0; i < labels->count; i++)
        if (any_value ? has_same_key(labels->items[i], term) : !strcmp(labels->items[i], term))
            return true;
    return false;
}
