/* SPDX-License-Identifier: MIT */
/* Values that go into a guest's seed as they are: a user's name, a password's hash, an address. A value that
 * passes cannot end the string that it stands in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/documents.h"
#include "agent/seed/password.h"
#include "agent/seed/smbios.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_plain(const char *text, const char *besides)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || strchr(besides, *text))
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char serial[SEED_SERIAL_MAX + 1], *text = strndup((const char *)data, size);
    if (text && seed_user_check(text, NULL) == 0)
        require_plain(text, "\"'\\:,;/.$");
    if (text && seed_hash_check(text, NULL) == 0)
        require_plain(text, "\"'\\:;!*");
    if (text && seed_serial(text, serial, NULL) == 0) {
        require_plain(text, "\"';");
        if (strlen(serial) > SEED_SERIAL_MAX || strcmp(serial + strlen(serial) - strlen(text), text) != 0)
            abort();
    }
    free(text);
    return 0;
}
