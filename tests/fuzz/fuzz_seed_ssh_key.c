/* SPDX-License-Identifier: MIT */
/* Any line as an SSH public key; one that passes also makes a known_hosts line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/ssh_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *line = malloc(size + 1);
    if (!line)
        return 0;
    memcpy(line, data, size);
    line[size] = '\0';
    struct pi_buf known = {0};
    if (seed_ssh_key_check(line, NULL) == 0 && seed_known_hosts_line("pi-1", line, &known, NULL) < 0)
        abort();
    pi_buf_done(&known);
    free(line);
    return 0;
}
