/* SPDX-License-Identifier: MIT */
/* Lists of mirrors, as a hostile server may send them. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/image/metalink.h"
#include "agent/image/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pi_auto_image_metalink struct image_metalink found = {0};
    if (image_metalink_parse((const char *)data, size, "x.qcow2", &found, NULL) < 0)
        return 0;
    if (!found.urls.count || found.urls.count > IMAGE_METALINK_MIRRORS || found.connections > 64 ||
        (found.sha256[0] && strlen(found.sha256) != IMAGE_SHA256_LENGTH))
        abort();
    for (size_t i = 0; i < found.urls.count; i++)
        if (!image_is_url(found.urls.items[i]))
            abort();
    return 0;
}
