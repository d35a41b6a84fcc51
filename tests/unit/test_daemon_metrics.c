/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/daemon/agent.h"

static bool page_says(const struct metrics_page *page, const char *line)
{
    return memmem(page->text.data, page->text.size, line, strlen(line)) != NULL;
}

static void a_page_is_made_once_a_second_however_many_ask(void **state)
{
    static struct agent agent;
    struct metrics_page page = {0};
    (void)state;
    LIST_INIT(&agent.host.instances);
    agent.host.downloaded_bytes = 11;
    assert_int_equal(metrics_refresh(&agent, 5000, &page), 0);
    assert_true(page_says(&page, "piagent_image_downloaded_bytes_total 11\n"));
    agent.host.downloaded_bytes = 12;
    for (uint64_t ms = 5000; ms < 5000 + METRICS_AGE_MS; ms += 111) {
        assert_int_equal(metrics_refresh(&agent, ms, &page), 0);
        assert_true(page_says(&page, "piagent_image_downloaded_bytes_total 11\n"));
    }
    assert_int_equal(metrics_refresh(&agent, 5000 + METRICS_AGE_MS, &page), 0);
    assert_true(page_says(&page, "piagent_image_downloaded_bytes_total 12\n"));
    pi_buf_done(&page.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_made_once_a_second_however_many_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
