/* SPDX-License-Identifier: MIT */
#include "agent/base/failure.h"

#include <string.h>

#include "agent/base/text.h"

const struct pi_field pi_failure_fields[] = {
    PI_OTHER(pi_failure, kind, pi_kind, .required = true, .zero_is_none = true, .other_value = PI_FAILED),
    PI_FIELD(pi_failure, message, PI_FIELD_STRING, .required = true),
    {0},
};

json_t *pi_failure_write(const struct pi_error *err)
{
    char clean[sizeof err->text];
    const struct pi_failure failure = {.kind = err->kind ? err->kind : PI_FAILED,
                                       .message =
                                           pi_text_clean(err->text, strlen(err->text), clean, sizeof clean)};
    return pi_fields_write(pi_failure_fields, &failure);
}

int pi_failure_read(const json_t *object, struct pi_error *ret)
{
    struct pi_failure failure = {0};
    int r = pi_fields_read(pi_failure_fields, object, true, &failure, NULL);
    if (r == 0)
        pi_refuse(ret, failure.kind, "%s", failure.message);
    pi_fields_done(pi_failure_fields, &failure);
    return r;
}
