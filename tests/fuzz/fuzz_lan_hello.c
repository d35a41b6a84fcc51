/* SPDX-License-Identifier: MIT */
/* The first line of a hostile host: what is taken of it are members that the switch takes, too. */
#include <stdlib.h>
#include <string.h>

#include "agent/lan/lan_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lan_hello hello = {0};
    struct vm_subnet own;
    json_t *members = NULL;
    if (vm_subnet_parse("10.77.5.0/24", &own, NULL) < 0)
        abort();
    if (lan_hello_parse((const char *)data, size, &hello, NULL) < 0)
        return 0;
    json_auto_t *taken = json_array();
    if (lan_hello_check(&hello, "00000000000000aa", &own, taken, &members, NULL) == 0 &&
        json_array_size(members) != json_array_size(hello.members))
        abort();
    json_decref(members);
    lan_hello_done(&hello);
    return 0;
}
