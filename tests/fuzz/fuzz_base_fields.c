/* SPDX-License-Identifier: MIT */
/* Bodies of requests and replies, an image's provenance: what a table reads it writes, reads again, and
 * frees. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/api/types.h"
#include "agent/image/provenance.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

union any {
    struct api_agent agent;
    struct api_create create;
    struct api_event event;
    struct api_instance instance;
    struct pi_failure failure;
    struct api_stop stop;
    struct image image;
};

static void round_trip(const struct pi_field *table, const json_t *object, bool lenient)
{
    union any value = {0}, again = {0};
    struct pi_error err;
    if (pi_fields_read(table, object, lenient, &value, &err) == 0) {
        json_auto_t *written = pi_fields_write(table, &value);
        if (!written || pi_fields_read(table, written, lenient, &again, &err) < 0)
            abort();
        json_auto_t *same = pi_fields_write(table, &again);
        if (!json_equal(written, same))
            abort();
    }
    pi_fields_done(table, &value);
    pi_fields_done(table, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pi_field *const tables[] = {api_agent_fields,    api_create_fields, api_event_fields,
                                                    api_instance_fields, pi_failure_fields, api_stop_fields,
                                                    image_fields};
    struct pi_error err;
    json_auto_t *object = pi_json_parse((const char *)data, size, &err);
    for (size_t i = 0; object && i < sizeof tables / sizeof tables[0]; i++) {
        round_trip(tables[i], object, false);
        round_trip(tables[i], object, true);
    }
    return 0;
}
