/* SPDX-License-Identifier: MIT */
/* Any bytes of a console give the same landmarks wherever they are cut, each once, only forwards. The first
 * byte says where to cut. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/landmark.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    enum vm_landmark last;
    unsigned all;
};

static void note(enum vm_landmark landmark, const char *line, size_t length, void *user)
{
    struct seen *seen = user;
    if (landmark <= seen->last || strlen(line) > length || length >= VM_LANDMARK_LINE)
        abort();
    seen->last = landmark;
    seen->all |= 1u << landmark;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vm_landmarks whole = {0}, cut = {0};
    struct seen at_once = {0}, in_pieces = {0};
    if (size < 1)
        return 0;
    const char *bytes = (const char *)data + 1;
    size_t piece = 1 + data[0] % 64;
    size--;
    vm_landmarks_feed(&whole, bytes, size, note, &at_once);
    for (size_t at = 0; at < size; at += piece)
        vm_landmarks_feed(&cut, bytes + at, size - at < piece ? size - at : piece, note, &in_pieces);
    if (at_once.all != in_pieces.all || whole.used != cut.used || whole.reached != cut.reached ||
        whole.trouble != cut.trouble || whole.int3 != cut.int3 || strcmp(whole.words, cut.words) != 0)
        abort();
    return 0;
}
