/* SPDX-License-Identifier: MIT */
/* From an instance's events to its boots: spans, outcomes, text, page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/boot/boot_list.h"

/* As the webhook of cloud-init 22.4.2 tells it: no start of a stage, no durations; the guest's clock is an
 * hour behind. */
static const char *const journal[] = {
    "{'seq':1,'monotonic_ms':1000,'realtime_ms':7000,'kind':'state','state':'created'}",
    "{'seq':2,'monotonic_ms':1600,'kind':'state','state':'starting'}",
    "{'seq':3,'monotonic_ms':1900,'kind':'state','state':'running'}",
    "{'seq':4,'monotonic_ms':1900,'kind':'boot','text':'started'}",
    "{'seq':5,'monotonic_ms':2900,'kind':'landmark','landmark':'kernel'}",
    "{'seq':6,'monotonic_ms':5900,'kind':'landmark','landmark':'init'}",
    "{'seq':7,'monotonic_ms':9000,'kind':'seed','text':'meta-data fetched by Cloud-Init/22.4.2'}",
    "{'seq':8,'monotonic_ms':9700,'kind':'report','stage':'init-network','module':'config-ssh','report':'finish','result':'SUCCESS','guest_ms':6200,'text':'config-ssh ran successfully'}",
    "{'seq':9,'monotonic_ms':9710,'kind':'report','stage':'init-network','module':'config-ssh','report':'start','guest_ms':5700}",
    "{'seq':10,'monotonic_ms':9800,'kind':'report','stage':'init-network','report':'finish','result':'SUCCESS','guest_ms':6300}",
    "{'seq':11,'monotonic_ms':11500,'kind':'report','stage':'modules-final','module':'config-scripts-user','report':'finish','result':'FAIL','guest_ms':8000,'duration_ms':1200,'text':'</script><img src=x onerror=alert(1)>\\u001b[2J'}",
};
#define WHOLE PI_ARRAY_SIZE(journal)

static void read_some(struct boot_list *list, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[512];
        struct api_event event = {0};
        snprintf(text, sizeof text, "%s", lines[i]);
        for (char *s = text; *s; s++)
            *s = *s == '\'' ? '"' : *s;
        json_auto_t *doc = pi_json_parse(text, strlen(text), NULL);
        json_object_set_new(doc, "realtime_ms", json_integer(7000));
        assert_int_equal(api_read(event, doc, &event, NULL), 0);
        assert_int_equal(boot_list_add(list, &event), 0);
        api_done(event, &event);
    }
}

static const struct boot_span *find(const struct boot *boot, const char *name)
{
    for (size_t i = 0; i < boot->count; i++)
        if (!strcmp(boot->spans[i].name, name))
            return &boot->spans[i];
    fail_msg("there is no %s", name);
    return NULL;
}

static void a_boot_is_phases_stages_and_steps_on_the_hosts_clock(void **state)
{
    static const struct {
        const char *name;
        uint64_t start_ms, end_ms;
        enum boot_result result;
    } spans[] = {
        {"preparation", 0, 600, BOOT_OK},
        {"QEMU", 600, 900, BOOT_OK},
        {"firmware", 900, 1900, BOOT_OK},
        {"kernel", 1900, 4900, BOOT_OK},
        {"init", 4900, 8000, BOOT_OK},
        {"seed", 8000, 8000, BOOT_OK},
        {"init-network", 8000, 8800, BOOT_OK},
        {"init-network/config-ssh", 8200, 8700, BOOT_OK},
        {"modules-final", 9300, 12000, BOOT_RUNS},
        {"modules-final/config-scripts-user", 9300, 10500, BOOT_FAIL},
    };
    pi_auto_boots struct boot_list list = {0};
    (void)state;
    read_some(&list, journal, WHOLE);
    assert_int_equal(boot_list_end(&list, 13000), 0);
    const struct boot *boot = boot_list_find(&list, 0);
    for (size_t i = 0; i < PI_ARRAY_SIZE(spans); i++) {
        const struct boot_span *span = find(boot, spans[i].name);
        if (span->start_ms != spans[i].start_ms || span->end_ms != spans[i].end_ms ||
            span->result != spans[i].result)
            fail_msg("%s: %d to %d, %s", span->name, (int)span->start_ms, (int)span->end_ms,
                     boot_result_names[span->result]);
    }
    assert_int_equal(boot->outcome, BOOT_BOOTING);
    assert_int_equal(boot->total_ms, 12000);
}

static void what_has_no_end_is_said_to_have_none_in_an_instance_that_is_over(void **state)
{
    pi_auto_boots struct boot_list list = {0};
    (void)state;
    read_some(&list, journal, 6);
    read_some(&list,
              (const char *const[]){"{'kind':'state','state':'lost','monotonic_ms':7000,'text':'QEMU died'}"},
              1);
    assert_int_equal(boot_list_end(&list, 0), 0);
    const struct boot *boot = boot_list_find(&list, 0);
    assert_int_equal(boot->outcome, BOOT_ENDED);
    assert_string_equal(boot->outcome_text, "lost: QEMU died");
    assert_int_equal(find(boot, "init")->result, BOOT_NO_END);
    assert_int_equal(find(boot, "init")->end_ms, 6000);
}

static void a_guest_that_goes_on_from_a_template_resumes_and_is_told_who_it_is(void **state)
{
    static const char *const events[] = {
        "{'kind':'state','state':'created','monotonic_ms':1000}",
        "{'kind':'state','state':'saved','monotonic_ms':1500}",
        "{'kind':'state','state':'restoring','monotonic_ms':9000}",
        "{'kind':'state','state':'running','monotonic_ms':9400}",
        "{'kind':'boot','text':'resumed','monotonic_ms':9400}",
        "{'kind':'identity','text':'took its identity after 2.0s','monotonic_ms':11400}",
        "{'kind':'queued','text':'its cloud-init waits','monotonic_ms':11500}",
        "{'kind':'state','state':'saved','monotonic_ms':12000}",
        "{'kind':'state','state':'restoring','monotonic_ms':13000}",
        "{'kind':'state','state':'running','monotonic_ms':13500}",
    };
    (void)state;
    for (size_t made_stopped = 0; made_stopped < 2; made_stopped++) {
        pi_auto_boots struct boot_list list = {0};
        read_some(&list, events, 1);
        read_some(&list, events + 2 - made_stopped, PI_ARRAY_SIZE(events) - 2 + made_stopped);
        assert_int_equal(boot_list_end(&list, 14000), 0);
        assert_int_equal(list.count, 1);
        const struct boot *boot = boot_list_find(&list, 0);
        const uint64_t began = made_stopped ? 0 : 8000;
        assert_string_equal(boot->why, made_stopped ? "resumed" : "created");
        assert_int_equal(boot->count, made_stopped ? 3 : 4);
        assert_int_equal(find(boot, "resume")->start_ms, began);
        assert_int_equal(find(boot, "resume")->end_ms, began + 400);
        assert_int_equal(find(boot, "identity")->start_ms, began + 400);
        assert_int_equal(find(boot, "identity")->end_ms, began + 2400);
        assert_int_equal(find(boot, "queue")->start_ms, began + 2500);
        assert_int_equal(find(boot, "queue")->result, BOOT_RUNS);
    }
}

static void a_journal_that_begins_midway_and_a_reset_are_boots_of_their_own(void **state)
{
    pi_auto_boots struct boot_list list = {0};
    (void)state;
    read_some(&list, journal + 7, 3);
    read_some(&list,
              (const char *const[]){"{'kind':'boot','text':'reset','monotonic_ms':20000}",
                                    "{'kind':'panic','text':'it died','monotonic_ms':21000}"},
              2);
    assert_int_equal(boot_list_end(&list, 30000), 0);
    assert_int_equal(list.count, 2);
    assert_string_equal(boot_list_find(&list, 1)->why, "");
    assert_string_equal(boot_list_find(&list, -1)->outcome_text, "reset");
    assert_int_equal(boot_list_find(&list, 0)->outcome, BOOT_PANICKED);
    assert_null(boot_list_find(&list, 3));
    assert_null(boot_list_find(&list, -2));
}

static void a_boot_that_is_told_stuck_or_silent_is_so_until_it_goes_on(void **state)
{
    static const struct {
        const char *told, *then;
        enum boot_outcome outcome;
    } cases[] = {{"{'kind':'stuck','text':'no boot device','monotonic_ms':3000}",
                  "{'kind':'seed','text':'meta-data fetched','monotonic_ms':4000}", BOOT_STUCK},
                 {"{'kind':'silent','text':'no boot device','monotonic_ms':3000}",
                  "{'kind':'report','stage':'init-network','report':'start','monotonic_ms':4000}",
                  BOOT_SILENT}};
    (void)state;
    for (size_t i = 0; i < 2 * PI_ARRAY_SIZE(cases); i++) {
        const char *const events[] = {"{'kind':'boot','text':'started','monotonic_ms':1000}",
                                      cases[i / 2].told, cases[i / 2].then};
        bool goes_on = i % 2;
        pi_auto_boots struct boot_list list = {0};
        read_some(&list, events, goes_on ? 3 : 2);
        assert_int_equal(boot_list_end(&list, 9000), 0);
        const struct boot *boot = boot_list_find(&list, 0);
        assert_int_equal(boot->outcome, goes_on ? BOOT_BOOTING : cases[i / 2].outcome);
        assert_string_equal(boot->outcome_text, goes_on ? "" : "no boot device");
    }
}

static void a_guest_that_reports_without_end_is_bounded(void **state)
{
    pi_auto_boots struct boot_list list = {0};
    (void)state;
    for (int i = 0; i < 3000; i++) {
        char module[32], stage[] = "s";
        snprintf(module, sizeof module, "m%d", i);
        const struct api_event event = {.kind = API_EVENT_REPORT,
                                        .stage = stage,
                                        .module = module,
                                        .report = IMDS_EVENT_FINISH,
                                        .monotonic_ms = UINT64_MAX,
                                        .guest_ms = i % 2 ? UINT64_MAX : 0,
                                        .duration_ms = UINT64_MAX};
        assert_int_equal(boot_list_add(&list, &event), 0);
    }
    assert_int_equal(boot_list_end(&list, UINT64_MAX), 0);
    const struct boot *boot = boot_list_find(&list, 0);
    assert_true(boot->count <= BOOT_SPANS_MAX && boot->dropped >= 3000 - BOOT_REPORTS_MAX);
    pi_auto_buf struct pi_buf text = {0};
    const struct boot_style style = {.width = 80};
    assert_int_equal(boot_text(&(struct boot_shown){boot, "x"}, &style, &text), 0);
}

static void text_fits_its_width_and_a_page_lets_no_markup_of_a_guest_in(void **state)
{
    pi_auto_boots struct boot_list list = {0};
    pi_auto_buf struct pi_buf text = {0}, page = {0};
    (void)state;
    read_some(&list, journal, WHOLE);
    assert_int_equal(boot_list_end(&list, 13000), 0);
    const struct boot_shown shown[] = {{boot_list_find(&list, 0), "a"}, {boot_list_find(&list, 0), "b"}};
    const struct boot_style style = {.width = 80, .all = true};
    assert_int_equal(boot_text(shown, &style, &text), 0);
    assert_non_null(strstr(text.data, "X"));
    assert_int_equal(boot_text_compare(shown, &style, &text), 0);
    for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"))
        if (strlen(line) > 80)
            fail_msg("%zu columns: %s", strlen(line), line);
    assert_int_equal(boot_page(shown, 2, "0123", &page), 0);
    assert_null(strstr(page.data, "<img"));
    assert_null(strchr(page.data, '\033'));
    assert_null(strstr(page.data, "{{"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_boot_is_phases_stages_and_steps_on_the_hosts_clock),
        cmocka_unit_test(what_has_no_end_is_said_to_have_none_in_an_instance_that_is_over),
        cmocka_unit_test(a_guest_that_goes_on_from_a_template_resumes_and_is_told_who_it_is),
        cmocka_unit_test(a_journal_that_begins_midway_and_a_reset_are_boots_of_their_own),
        cmocka_unit_test(a_boot_that_is_told_stuck_or_silent_is_so_until_it_goes_on),
        cmocka_unit_test(a_guest_that_reports_without_end_is_bounded),
        cmocka_unit_test(text_fits_its_width_and_a_page_lets_no_markup_of_a_guest_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
