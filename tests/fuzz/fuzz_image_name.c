/* SPDX-License-Identifier: MIT */
/* References that people write, and the names of files in Fedora's folders. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/image/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ref(const char *text)
{
    struct image_ref ref;
    if (image_ref_parse(text, &ref, NULL) == 0 && (ref.kind == IMAGE_REF_URL) != image_is_url(text))
        abort();
}

static void check_name(const char *text)
{
    struct image_name name, again;
    char file[128];
    if (!image_name_parse(text, &name))
        return;
    if (!image_arch_known(name.arch) || strchr(text, '/'))
        abort();
    image_name_file(&name, file, sizeof file);
    if (!strchr(name.release, ' ') &&
        (!image_name_parse(file, &again) || strcmp(again.release, name.release) != 0 ||
         strcmp(again.compose, name.compose) != 0 || strcmp(again.arch, name.arch) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    if (text) {
        int length;
        const char *base = image_base_name(text, &length);
        if (base < text || base + length > text + strlen(text))
            abort();
        check_ref(text);
        check_name(text);
    }
    free(text);
    return 0;
}
