/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/api/exposition.h"

static void a_family_is_its_help_its_type_and_its_samples(void **state)
{
    pi_auto_buf struct pi_buf text = {0};
    const struct api_label labels[] = {{"name", "pi-1"}, {"image", NULL}, {"state", "ready"}, {0}};
    (void)state;
    assert_int_equal(api_metric_family(&text, "a_bytes", "gauge", "What it is."), 0);
    assert_int_equal(api_metric_sample(&text, "a_bytes", labels, 1), 0);
    assert_int_equal(api_metric_sample(&text, "a_bytes", NULL, 0.25), 0);
    assert_string_equal(text.data, "# HELP a_bytes What it is.\n"
                                   "# TYPE a_bytes gauge\n"
                                   "a_bytes{name=\"pi-1\",state=\"ready\"} 1\n"
                                   "a_bytes 0.25\n");
}

static void the_value_of_a_label_cannot_end_its_line_or_its_quotes(void **state)
{
    pi_auto_buf struct pi_buf text = {0};
    const struct api_label labels[] = {{"image", "\"a\\b\n} 7\""}, {"empty", ""}, {0}};
    (void)state;
    assert_int_equal(api_metric_sample(&text, "m", labels, 1), 0);
    assert_string_equal(text.data, "m{image=\"\\\"a\\\\b\\n} 7\\\"\",empty=\"\"} 1\n");
}

static void whole_numbers_and_dates_keep_their_digits(void **state)
{
    pi_auto_buf struct pi_buf text = {0};
    (void)state;
    assert_int_equal(api_metric_sample(&text, "bytes", NULL, 1099511627776.0), 0);
    assert_int_equal(api_metric_sample(&text, "date", NULL, 1764372772.123), 0);
    assert_string_equal(text.data, "bytes 1099511627776\ndate 1764372772.123\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_is_its_help_its_type_and_its_samples),
        cmocka_unit_test(the_value_of_a_label_cannot_end_its_line_or_its_quotes),
        cmocka_unit_test(whole_numbers_and_dates_keep_their_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
