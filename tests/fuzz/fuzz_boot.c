/* SPDX-License-Identifier: MIT */
/* A journal's lines, as a guest's reports may have filled them: every span lies in its time, and all of it
 * can be shown. */
#include <stdint.h>
#include <stdlib.h>

#include "agent/base/lines.h"
#include "agent/boot/boot_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_line(char *line, size_t size, void *user)
{
    struct api_event event = {0};
    json_auto_t *doc = pi_json_parse(line, size, NULL);
    int r = doc && api_read(event, doc, &event, NULL) == 0 ? boot_list_add(user, &event) : 0;
    api_done(event, &event);
    return r;
}

static void show(const struct boot *boot)
{
    const struct boot_shown shown[] = {{boot, "a"}, {boot, "b"}};
    const struct boot_style style = {.width = 80, .utf8 = true};
    pi_auto_buf struct pi_buf text = {0}, page = {0};
    if (boot_text(shown, &style, &text) < 0 || boot_text_compare(shown, &style, &text) < 0 ||
        boot_page(shown, 2, "00", &page) < 0)
        abort();
    for (size_t i = 0; i < boot->count; i++)
        if (boot->spans[i].end_ms < boot->spans[i].start_ms || boot->spans[i].end_ms > (uint64_t)1 << 62)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pi_auto_boots struct boot_list list = {0};
    struct pi_lines lines = {.partial.max = 4096};
    pi_lines_feed(&lines, (const char *)data, size, on_line, &list);
    pi_lines_done(&lines);
    if (boot_list_end(&list, size % 2 ? 1000000 : 0) < 0)
        abort();
    if (list.count)
        show(&list.items[list.count - 1]);
    return 0;
}
