/* SPDX-License-Identifier: MIT */
#include "agent/daemon/sleep.h"

#include <errno.h>

#include "agent/base/clock.h"
#include "agent/daemon/agent.h"
#include "agent/instance/instance.h"
#include "agent/instance/qemu_log.h"
#include "agent/loop/log.h"

#define TOLERANCE_MS 1000u
#define LOOK_MS      10000u

uint64_t host_slept_ms(struct host_sleep *sleep, uint64_t boottime_ms, uint64_t monotonic_ms)
{
    uint64_t asleep_ms = boottime_ms - monotonic_ms, before_ms = sleep->asleep_ms;
    bool first = !sleep->known;
    *sleep = (struct host_sleep){.known = true, .asleep_ms = asleep_ms};
    return first || asleep_ms < before_ms + TOLERANCE_MS ? 0 : asleep_ms - before_ms;
}

static void look_for_sleep(void *user)
{
    struct agent *agent = user;
    struct instance *instance;
    char buf[32];
    uint64_t slept_ms =
        host_slept_ms(&agent->sleep, pi_clock_ns(CLOCK_BOOTTIME) / 1000000u, pi_monotonic_ms());
    if (slept_ms) {
        log_line("the host slept for %s", pi_duration_format(slept_ms / 1000 * 1000, buf));
        LIST_FOREACH(instance, &agent->host.instances, entry)
            if (instance_runs(instance))
                guest_link_check_clock(instance, slept_ms);
    }
    LIST_FOREACH(instance, &agent->host.instances, entry)
        if (process_is_there(instance))
            qemu_log_trim(instance);
    timer_set(agent->sleep_timer, LOOK_MS);
}

int agent_watch_sleep(struct agent *agent, struct pi_error *err)
{
    if (!(agent->sleep_timer = timer_new(&agent->loop, look_for_sleep, agent)))
        return pi_fail(err, ENOMEM, "agent");
    look_for_sleep(agent);
    return 0;
}
