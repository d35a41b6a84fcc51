/* SPDX-License-Identifier: MIT */
/* From an instance's events to what is shown: lines, the status line, the image's bar, cleaned console text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/base/auto.h"
#include "agent/cli/client/instance_view.h"
#include "agent/cli/terminal/bar.h"
#include "agent/cli/terminal/strip.h"

#define EVENT(kind_, ...)                      \
    {                                          \
        .kind = API_EVENT_##kind_, __VA_ARGS__ \
    }

static struct cli_view fresh(void)
{
    struct cli_view view;
    struct api_instance instance = {.name = (char[]){"pi-1"}, .state = VM_CREATED};
    cli_view_init(&view, &instance, 1000, 5000000);
    return view;
}

static void a_boot_is_told_in_steps(void **state)
{
    static char net[] = "init-network", final[] = "modules-final", users[] = "config-users",
                served[] = "meta-data fetched", why[] = "exit code 3",
                note[] = "KVM cannot run a guest\nhere", file[] = "f.qcow2";
    static const struct {
        struct api_event event;
        enum cli_tell tell;
        const char *line, *status;
    } steps[] = {
        {EVENT(IMAGE, .phase = IMAGE_DOWNLOADING, .text = file, .total_bytes = 1 << 30), CLI_TELL_STEP,
         "downloading f.qcow2, 1 GiB", "f.qcow2"},
        {EVENT(IMAGE, .phase = IMAGE_DOWNLOADING, .done_bytes = 1 << 29, .total_bytes = 1 << 30),
         CLI_TELL_NOTHING, NULL, " 50%"},
        {EVENT(STATE, .seq = 2, .state = VM_STARTING, .monotonic_ms = 2000), CLI_TELL_STEP, "starting",
         "pi-1: starting QEMU (8.0s)"},
        {EVENT(NOTE, .seq = 3, .text = note), CLI_TELL_ALWAYS, "KVM cannot run a guest here",
         "starting QEMU"},
        {EVENT(STATE, .seq = 4, .state = VM_RUNNING, .monotonic_ms = 2500), CLI_TELL_STEP, "running",
         "pi-1: firmware 7.5s (8.0s)"},
        {EVENT(LANDMARK, .seq = 5, .landmark = VM_LANDMARK_KERNEL, .monotonic_ms = 4000, .left_ms = 10500),
         CLI_TELL_STEP, "kernel", "pi-1: kernel 6.0s (8.0s, about 5s left)"},
        {EVENT(SEED, .seq = 5, .text = served, .monotonic_ms = 6000, .left_ms = 1500), CLI_TELL_STEP,
         "seed fetched; kernel took 2.0s", "pi-1: seed fetched 4.0s (8.0s, 3s longer than usual)"},
        {EVENT(SEED, .seq = 6, .text = served), CLI_TELL_NOTHING, NULL, "seed fetched"},
        {EVENT(LANDMARK, .seq = 6, .landmark = VM_LANDMARK_LOGIN, .monotonic_ms = 6500), CLI_TELL_NOTHING,
         NULL, "seed fetched"},
        {EVENT(REPORT, .seq = 7, .stage = net, .module = users, .report = IMDS_EVENT_START,
               .monotonic_ms = 7000),
         CLI_TELL_STEP, "cloud-init: init-network; seed fetched took 1.0s",
         "pi-1: cloud-init: init-network, config-users 3.0s ("},
        {EVENT(REPORT, .seq = 8, .stage = net, .module = users, .report = IMDS_EVENT_FINISH,
               .result = IMDS_RESULT_SUCCESS),
         CLI_TELL_NOTHING, NULL, "init-network"},
        {EVENT(REPORT, .seq = 9, .stage = final, .module = users, .report = IMDS_EVENT_FINISH,
               .result = IMDS_RESULT_FAIL, .text = why),
         CLI_TELL_ALWAYS, "cloud-init: modules-final/config-users failed: exit code 3", "modules-final"},
        {EVENT(REPORT, .seq = 10, .stage = final, .report = IMDS_EVENT_FINISH, .result = IMDS_RESULT_SUCCESS,
               .monotonic_ms = 7500),
         CLI_TELL_STEP, "cloud-init: modules-final; cloud-init: init-network took 0.5s", "modules-final"},
        {EVENT(STATE, .seq = 11, .state = VM_READY, .monotonic_ms = 43600), CLI_TELL_ALWAYS,
         "ready after 41.6s", "pi-1: ready"},
    };
    struct cli_view view = fresh();
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(steps); i++) {
        pi_auto_buf struct pi_buf line = {0}, status = {0};
        assert_false(cli_view_is_up(&view) && i < 13);
        assert_int_equal(cli_view_event(&view, &steps[i].event, &line), steps[i].tell);
        if (steps[i].line)
            assert_string_equal(line.data, steps[i].line);
        assert_int_equal(cli_view_render(&view, 10000, 100, &status), 0);
        if (!strstr(status.data, steps[i].status))
            fail_msg("step %zu: '%s' lacks '%s'", i, status.data, steps[i].status);
    }
    assert_int_equal(view.seq, 11);
    assert_true(cli_view_is_up(&view));
    assert_false(cli_view_is_over(&view));
}

static void the_ends_of_an_instance_are_told_apart(void **state)
{
    static const struct {
        enum vm_state state;
        bool over, up;
    } cases[] = {
        {VM_STOPPED, true, false}, {VM_FAILED, true, false},   {VM_LOST, true, false},
        {VM_READY, false, true},   {VM_RUNNING, false, false}, {VM_STOPPING, false, false},
        {VM_PAUSED, false, false}, {VM_STATES, false, false},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_buf struct pi_buf line = {0};
        char text[] = "the reason\033[31m", other[] = "unheard of";
        struct cli_view view = fresh();
        struct api_event event =
            EVENT(STATE, .seq = 3, .state = cases[i].state, .text = text, .monotonic_ms = 1000);
        event.state_other = cases[i].state == VM_STATES ? other : NULL;
        enum cli_tell tell = cli_view_event(&view, &event, &line);
        assert_int_equal(cli_view_is_over(&view), cases[i].over);
        assert_int_equal(cli_view_is_up(&view), cases[i].up);
        if (cases[i].over) {
            assert_int_equal(tell, CLI_TELL_ALWAYS);
            assert_non_null(strstr(line.data, ": the reason?[31m"));
        }
    }
}

static void what_is_wrong_with_an_instance_that_lives_is_told_always(void **state)
{
    char full[] = "the host's disk is full", panic[] = "the guest's kernel panicked";
    struct api_event events[] = {
        EVENT(STATE, .seq = 3, .state = VM_PAUSED, .text = full),
        EVENT(PANIC, .seq = 4, .text = panic),
        EVENT(STATE, .seq = 5, .state = VM_READY),
    };
    pi_auto_buf struct pi_buf lines = {0}, status = {0};
    struct cli_view view = fresh();
    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(cli_view_event(&view, &events[i], &lines), CLI_TELL_ALWAYS);
    assert_string_equal(lines.data, "paused: the host's disk is fullthe guest's kernel panicked");
    assert_string_equal(view.trouble, panic);
    assert_int_equal(cli_view_render(&view, 0, 100, &status), 0);
    assert_non_null(strstr(status.data, panic));
    cli_view_event(&view, &events[2], &lines);
    assert_string_equal(view.trouble, "");
}

static void a_boot_that_is_stuck_is_told_until_it_goes_on(void **state)
{
    char stuck[] = "the boot loader found no system to load: grub>";
    struct api_event events[] = {EVENT(STUCK, .seq = 3, .text = stuck),
                                 EVENT(LANDMARK, .seq = 4, .landmark = VM_LANDMARK_KERNEL)};
    pi_auto_buf struct pi_buf lines = {0};
    struct cli_view view = fresh();
    (void)state;
    assert_int_equal(cli_view_event(&view, &events[0], &lines), CLI_TELL_ALWAYS);
    assert_string_equal(view.trouble, stuck);
    cli_view_event(&view, &events[1], &lines);
    assert_string_equal(view.trouble, "");
}

static void an_error_ends_the_view_with_its_kind(void **state)
{
    char text[] = "the checksum is wrong";
    struct api_event event = EVENT(ERROR, .error_kind = PI_UNVERIFIED, .text = text);
    pi_auto_buf struct pi_buf line = {0};
    struct cli_view view = fresh();
    (void)state;
    assert_int_equal(cli_view_event(&view, &event, &line), CLI_TELL_NOTHING);
    assert_true(cli_view_is_over(&view));
    assert_int_equal(view.error.kind, PI_UNVERIFIED);
    assert_string_equal(view.error.text, "pi-1 was not made: the checksum is wrong");
}

static void an_instance_that_runs_already_is_as_old_as_its_start(void **state)
{
    struct cli_view view;
    char name[] = "web", stage[] = "modules-config";
    struct api_instance instance = {
        .name = name, .state = VM_RUNNING, .cloud_init_stage = stage, .started_ms = 940000, .last_event = 17};
    pi_auto_buf struct pi_buf line = {0};
    (void)state;
    cli_view_init(&view, &instance, 500000, 1000000);
    assert_int_equal(view.seq, 17);
    assert_int_equal(cli_view_render(&view, 505000, 100, &line), 0);
    assert_string_equal(line.data, "web: cloud-init: modules-config (1m05s)");
}

static void a_stop_is_timed_from_its_own_beginning(void **state)
{
    struct cli_view view;
    char name[] = "web";
    struct api_instance instance = {
        .name = name, .state = VM_RUNNING, .started_ms = 940000, .last_event = 17};
    struct api_event stop = EVENT(STATE, .seq = 18, .state = VM_STOPPING, .monotonic_ms = 501000);
    pi_auto_buf struct pi_buf told = {0}, line = {0}, later = {0};
    (void)state;
    cli_view_init(&view, &instance, 500000, 1000000);
    cli_view_event(&view, &stop, &told);
    assert_int_equal(cli_view_render(&view, 504000, 100, &line), 0);
    assert_string_equal(line.data, "web: stopping (3.0s)");
    instance.state = VM_STOPPING;
    cli_view_init(&view, &instance, 500000, 1000000);
    assert_int_equal(cli_view_render(&view, 502000, 100, &later), 0);
    assert_string_equal(later.data, "web: stopping (2.0s)");
}

static struct cli_view begin_view(const struct api_instance *instance, const struct api_event *event)
{
    struct cli_view view;
    pi_auto_buf struct pi_buf line = {0};
    cli_view_init(&view, instance, 1000, 5000000);
    if (event)
        cli_view_event(&view, event, &line);
    return view;
}

/* run --count, up and clone make all before they start the first. */
static void one_of_many_that_was_just_made_is_about_to_start(void **state)
{
    char name[] = "web-1";
    const struct api_event failed = EVENT(STATE, .seq = 2, .state = VM_FAILED, .monotonic_ms = 1000);
    (void)state;
    for (enum vm_state made = 0; made < VM_STATES; made++) {
        bool waits = made == VM_STOPPED || made == VM_SAVED;
        struct api_event event = EVENT(STATE, .seq = 2, .state = made, .monotonic_ms = 1000);
        struct api_instance one = {.name = name, .state = made, .created_ms = 4990000};
        assert_false(cli_instance_may_start(&one, 5000000)); /* made alone, and not to be started */
        strcpy(one.spec.fleet.name, "web");
        assert_int_equal(cli_instance_may_start(&one, 5000000), waits);
        assert_false(cli_instance_may_start(&one, 5020000));
        struct api_instance creating = one;
        creating.state = VM_CREATED;
        if (!waits)
            continue;
        for (int made_before = 0; made_before < 2; made_before++) {
            struct cli_view view = made_before ? begin_view(&one, NULL) : begin_view(&creating, &event);
            pi_auto_buf struct pi_buf line = {0};
            assert_string_equal(view.doing, "waiting for its start");
            cli_view_look(&view, 30999);
            assert_false(cli_view_is_over(&view));
            cli_view_look(&view, 31000);
            assert_true(cli_view_is_over(&view));
            view = made_before ? begin_view(&one, NULL) : begin_view(&creating, &event);
            cli_view_event(&view, &failed, &line);
            assert_true(cli_view_is_over(&view));
        }
        one.started_ms = 4995000;
        assert_false(cli_instance_may_start(&one, 5000000));
        strcpy(one.spec.fleet.name, "");
        strcpy(one.spec.cloned_from, "gold");
        one.started_ms = 0;
        assert_true(cli_instance_may_start(&one, 5000000));
    }
}

/* Also if it follows a boot from the beginning, and another command stops it. */
static void what_a_guest_shows_while_it_stops_is_no_step_of_a_boot(void **state)
{
    char name[] = "web", again[] = "rebooted", served[] = "meta-data fetched", stage[] = "modules-final";
    struct api_event stop = EVENT(STATE, .seq = 18, .state = VM_STOPPING, .monotonic_ms = 501000);
    struct api_event boots[] = {
        EVENT(BOOT, .seq = 19, .text = again, .monotonic_ms = 502000),
        EVENT(LANDMARK, .seq = 20, .landmark = VM_LANDMARK_KERNEL, .monotonic_ms = 503000),
        EVENT(SEED, .seq = 21, .text = served, .monotonic_ms = 504000),
        EVENT(REPORT, .seq = 22, .stage = stage, .report = IMDS_EVENT_START, .monotonic_ms = 505000),
    };
    (void)state;
    for (int followed_before = 0; followed_before < 2; followed_before++) {
        struct cli_view view;
        struct api_instance instance = {.name = name,
                                        .state = followed_before ? VM_RUNNING : VM_STOPPING,
                                        .started_ms = 940000,
                                        .last_event = 17};
        pi_auto_buf struct pi_buf told = {0}, line = {0};
        cli_view_init(&view, &instance, 501000, 1000000);
        if (followed_before)
            cli_view_event(&view, &stop, &told);
        for (size_t i = 0; i < PI_ARRAY_SIZE(boots); i++)
            assert_int_equal(cli_view_event(&view, &boots[i], &told), CLI_TELL_NOTHING);
        assert_int_equal(cli_view_render(&view, 506000, 100, &line), 0);
        assert_string_equal(line.data, "web: stopping (5.0s)");
        assert_int_equal(view.seq, 22);
    }
}

static void a_guest_that_is_silent_is_up_until_it_reports(void **state)
{
    char cause[] = "its disk is full", served[] = "meta-data fetched", stage[] = "init-network";
    struct api_event events[] = {EVENT(SILENT, .seq = 3, .text = cause),
                                 EVENT(LANDMARK, .seq = 4, .landmark = VM_LANDMARK_LOGIN),
                                 EVENT(SEED, .seq = 5, .text = served),
                                 EVENT(REPORT, .seq = 6, .stage = stage, .report = IMDS_EVENT_START)};
    pi_auto_buf struct pi_buf line = {0};
    struct cli_view view = fresh();
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(events); i++) {
        cli_view_event(&view, &events[i], &line);
        assert_int_equal(cli_view_is_up(&view), i < 3);
    }
}

/* A newer agent says what this version does not know: it is shown as it came, and the boot goes on. */
static void words_of_a_newer_agent_are_shown_as_they_came(void **state)
{
    static const struct {
        const char *event, *line, *status;
        enum cli_tell tell;
    } cases[] = {
        {"{'kind':'state','state':'mi\\u001bgrating','text':'to another host'}",
         "mi?grating: to another host", "pi-1: mi?grating", CLI_TELL_ALWAYS},
        {"{'kind':'landmark','landmark':'hypervisor'}", "hypervisor", "pi-1: hypervisor", CLI_TELL_STEP},
        {"{'kind':'telemetry','text':'it is warm'}", "it is warm", "pi-1: hypervisor", CLI_TELL_ALWAYS},
        {"{'kind':'telemetry'}", NULL, "pi-1: hypervisor", CLI_TELL_NOTHING},
        {"{'kind':'image','phase':'thawing','text':'f.qcow2','done_bytes':5}", NULL, "pi-1: thawing",
         CLI_TELL_NOTHING},
        {"{'kind':'report','stage':'modules-final','report':'pause','result':'ODD'}",
         "cloud-init: modules-final; hypervisor took 0.0s", "modules-final", CLI_TELL_STEP},
    };
    struct cli_view view = fresh();
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_buf struct pi_buf line = {0}, status = {0};
        struct api_event event = {0};
        pi_auto_free char *text = strdup(cases[i].event);
        for (char *c = text; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        json_auto_t *doc = json_loads(text, 0, NULL);
        if (!doc || api_read(event, doc, &event, NULL) < 0)
            fail_msg("case %zu is not read", i);
        assert_int_equal(cli_view_event(&view, &event, &line), cases[i].tell);
        api_done(event, &event);
        if (cases[i].line)
            assert_string_equal(line.data, cases[i].line);
        assert_int_equal(cli_view_render(&view, 1000, 100, &status), 0);
        if (!strstr(status.data, cases[i].status))
            fail_msg("case %zu: '%s' lacks '%s'", i, status.data, cases[i].status);
        assert_false(cli_view_is_over(&view));
        assert_false(cli_view_is_up(&view));
    }
}

static void an_image_line_fits_every_width(void **state)
{
    static const struct {
        struct image_progress progress;
        unsigned width;
        const char *line;
    } cases[] = {
        {{IMAGE_DOWNLOADING, "f.qcow2", 512 << 20, 1 << 30, 64 << 20},
         200,
         "f.qcow2  [####################--------------------]   50%  512 MiB of 1 GiB  64 MiB/s  8.0s left"},
        {{IMAGE_DOWNLOADING, "f.qcow2", 512 << 20, 1 << 30, 64 << 20},
         70,
         "f.qcow2  [#######-------]   50%  512 MiB of 1 GiB  64 MiB/s  8.0s left"},
        {{IMAGE_DOWNLOADING, "f.qcow2", 512 << 20, 1 << 30, 64 << 20},
         60,
         "f.qcow2   50%  512 MiB of 1 GiB  64 MiB/s  8.0s left"},
        {{IMAGE_DOWNLOADING, "f.qcow2", 512 << 20, 1 << 30, 64 << 20}, 30, "f.qcow2   50%  512 MiB of 1 G…"},
        {{IMAGE_DOWNLOADING, "f.qcow2", 3 << 20, 0, 1 << 20}, 80, "f.qcow2  3 MiB  1 MiB/s"},
        {{IMAGE_CHECKING, "f.qcow2", 0, 0, 0}, 80, "checking f.qcow2"},
        {{IMAGE_RESOLVING, "fedora\033[2J", 0, 0, 0}, 80, "resolving fedora?[2J"},
        {{IMAGE_DOWNLOADING, "f", 2 << 20, 1 << 20, 0},
         80,
         "f  [########################################]  200%  2 MiB of 1 MiB"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_buf struct pi_buf line = {0};
        assert_int_equal(cli_render_image(&cases[i].progress, cases[i].width, &line), 0);
        assert_string_equal(line.data, cases[i].line);
    }
}

static void text_is_cut_between_characters(void **state)
{
    static const struct {
        const char *text;
        unsigned width;
        const char *fit;
    } cases[] = {
        {"abc", 3, "abc"},  {"abcd", 3, "ab…"}, {"äöü", 3, "äöü"},
        {"äöüß", 3, "äö…"}, {"", 0, ""},        {"ab", 1, "…"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        pi_auto_buf struct pi_buf line = {0};
        assert_int_equal(cli_fit(cases[i].text, cases[i].width, &line), 0);
        assert_string_equal(line.data ? line.data : "", cases[i].fit);
    }
}

static void where_the_locale_has_no_ellipsis_ascii_tells_the_cut(void **state)
{
    pi_auto_buf struct pi_buf line = {0};
    (void)state;
    setenv("LC_ALL", "C", 1);
    int r = cli_fit("abcd", 3, &line);
    setenv("LC_ALL", "C.UTF-8", 1);
    assert_int_equal(r, 0);
    assert_string_equal(line.data, "ab>");
}

static void control_sequences_do_not_reach_the_terminal(void **state)
{
    static const struct {
        const char *said, *shown;
    } cases[] = {
        {"plain\ttext\n", "plain\ttext\n"},
        {"\033[0;32mOK\033[0m\r\n", "OK\n"},
        {"\033]0;title\007after", "after"},
        {"\033]0;title\033\\after", "after"},
        {"\033]unclosed\nnext", "\nnext"},
        {"\033Pdcs\033\\x", "x"},
        {"\033(Bx", "x"},
        {"\033"
         "7x",
         "x"},
        {"a\007\010\177"
         "b",
         "ab"},
        {"\033[12\030z", "z"},
        {"äě\n", "äě\n"},
        {"\302\2332J", "\3022J"},
        /* Nothing that is taken out may leave a control of what lies around it. */
        {"\302\233\2332J", "\3022J"},
        {"\302\033[m\2332J", "\3022J"},
        {"\302\0\2332J", "\302"},
        {"\2332J", "2J"},
        {"\340\202\233x", "\340x"},
        {"\355\240\200x", "\355x"},
        {"\364\220\200\200x", "\364x"},
        {"\300\233\301\233\365\200x", "x"},
        {"\342\200\256txt\342\201\246", "\342\200txt\342\201"}, /* U+202E, U+2066 */
        {"\342\202\254\360\237\220\247", "\342\202\254\360\237\220\247"},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        /* In one piece, then byte by byte: the border between pieces must not matter. */
        for (size_t piece = 64; piece; piece = piece == 64 ? 1 : 0) {
            struct cli_strip strip = {0};
            pi_auto_buf struct pi_buf shown = {0};
            char bytes[64];
            size_t size = strlen(cases[i].said);
            for (size_t at = 0; at < size; at += piece) {
                size_t n = size - at < piece ? size - at : piece;
                memcpy(bytes, cases[i].said + at, n);
                pi_buf_add(&shown, bytes, cli_strip(&strip, bytes, n));
            }
            assert_string_equal(shown.data, cases[i].shown);
        }
    }
}

static void carriage_returns_stay_where_the_terminal_is_raw(void **state)
{
    struct cli_strip strip = {.returns = true};
    char bytes[] = "\033[1ma\r\n";
    (void)state;
    size_t size = cli_strip(&strip, bytes, sizeof bytes - 1);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "a\r\n", 3);
}

static void a_guest_is_up_when_its_boot_came_to_an_end_that_holds(void **state)
{
    static const struct {
        enum vm_state state;
        enum api_cloud_init said;
        enum cli_up up;
    } cases[] = {
        {VM_READY, API_CLOUD_INIT_DONE, CLI_UP_READY},
        {VM_READY, API_CLOUD_INIT_DEGRADED, CLI_UP_READY},
        {VM_RUNNING, API_CLOUD_INIT_FAILED, CLI_UP_FAILED},
        {VM_RUNNING, API_CLOUD_INIT_SILENT, CLI_UP_SILENT},
        {VM_RUNNING, API_CLOUD_INIT_RUNNING, CLI_NOT_UP},
        {VM_RUNNING, API_CLOUD_INIT_DONE, CLI_NOT_UP}, /* its kernel panicked since */
        {VM_PAUSED, API_CLOUD_INIT_FAILED, CLI_NOT_UP},
        {VM_STOPPED, API_CLOUD_INIT_DONE, CLI_NOT_UP},
    };
    (void)state;
    for (size_t i = 0; i < PI_ARRAY_SIZE(cases); i++) {
        const struct api_instance instance = {.state = cases[i].state, .cloud_init = cases[i].said};
        assert_int_equal(cli_instance_up(&instance), cases[i].up);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_guest_is_up_when_its_boot_came_to_an_end_that_holds),
        cmocka_unit_test(a_boot_is_told_in_steps),
        cmocka_unit_test(the_ends_of_an_instance_are_told_apart),
        cmocka_unit_test(what_is_wrong_with_an_instance_that_lives_is_told_always),
        cmocka_unit_test(a_boot_that_is_stuck_is_told_until_it_goes_on),
        cmocka_unit_test(an_error_ends_the_view_with_its_kind),
        cmocka_unit_test(an_instance_that_runs_already_is_as_old_as_its_start),
        cmocka_unit_test(a_stop_is_timed_from_its_own_beginning),
        cmocka_unit_test(one_of_many_that_was_just_made_is_about_to_start),
        cmocka_unit_test(what_a_guest_shows_while_it_stops_is_no_step_of_a_boot),
        cmocka_unit_test(a_guest_that_is_silent_is_up_until_it_reports),
        cmocka_unit_test(words_of_a_newer_agent_are_shown_as_they_came),
        cmocka_unit_test(an_image_line_fits_every_width),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(where_the_locale_has_no_ellipsis_ascii_tells_the_cut),
        cmocka_unit_test(control_sequences_do_not_reach_the_terminal),
        cmocka_unit_test(carriage_returns_stay_where_the_terminal_is_raw),
    };
    setenv("LC_ALL", "C.UTF-8", 1); /* what the lines are compared with is UTF-8 */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
