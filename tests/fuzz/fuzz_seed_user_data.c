/* SPDX-License-Identifier: MIT */
/* Any bytes as a user's user-data, and as the YAML behind a good first line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/user_data.h"

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
    static struct seed_findings findings;
    findings = (struct seed_findings){0};
    if (seed_user_data_findings(config, sizeof header - 1 + size, &kind, &findings) < 0)
        abort();
    for (size_t i = 0; i < findings.count; i++) {
        char line[640];
        if (strpbrk(seed_finding_format(&findings.items[i], line, sizeof line), "\r\n\x1b") ||
            (i && findings.items[i - 1].line > findings.items[i].line))
            abort(); /* each is one line, in the order of the file */
    }
    free(config);
    return 0;
}
