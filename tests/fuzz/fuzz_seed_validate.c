/* Any bytes as a user's user-data, and as the YAML behind a good first line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char header[] = "#cloud-config\n";
    enum seed_kind kind;
    struct pi_error err = {0};
    int r = seed_user_data_check((const char *)data, size, &kind, &err);
    if ((r < 0) != (err.text[0] != '\0') || strpbrk(err.text, "\r\n"))
        abort(); /* a refusal is one line, and there is no other message */

    char *config = malloc(sizeof header - 1 + size);
    if (!config)
        return 0;
    memcpy(config, header, sizeof header - 1);
    memcpy(config + sizeof header - 1, data, size);
    seed_user_data_check(config, sizeof header - 1 + size, &kind, NULL);
    free(config);
    return 0;
}
