/* SPDX-License-Identifier: MIT */
/* Fedora's index, as a hostile server may send it. The first byte chooses what is looked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/auto.h"
#include "agent/image/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const releases[] = {"", "44", "45 Beta", "40"};
    struct image_entry entry;
    struct image_name name;
    if (size == 0)
        return 0;
    json_auto_t *index = image_index_parse((const char *)data + 1, size - 1, NULL);
    if (!index ||
        image_index_choose(index, releases[data[0] % PI_ARRAY_SIZE(releases)], "x86_64", &entry, NULL) < 0)
        return 0;
    /* The chosen entry has the one strict form. */
    if (!image_is_url(entry.link) || !image_name_parse(entry.file, &name) || strchr(entry.file, '/') ||
        (entry.sha256[0] && strlen(entry.sha256) != IMAGE_SHA256_LENGTH))
        abort();
    return 0;
}
