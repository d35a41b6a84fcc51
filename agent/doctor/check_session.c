/* SPDX-License-Identifier: MIT */
/* Checks the agent, the user's systemd, and the clock. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/auto.h"
#include "agent/base/user_manager.h"
#include "agent/doctor/check.h"

/* 2025-01-01 and 2100-01-01: no certificate or signature of today is valid before or after. */
#define CLOCK_FIRST_S 1735689600u
#define CLOCK_LAST_S  4102444800u

void doctor_check_agent(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    const struct doctor_agent *agent = &host->agent;
    (void)arg;
    if (!host->paths)
        return;
    if (!agent->pid) {
        doctor_say(ret, DOCTOR_OK, "no agent runs; a command that needs one starts it");
    } else if (!agent->answers) {
        doctor_say(ret, DOCTOR_FAIL, "process %d is the agent and does not answer", (int)agent->pid);
        doctor_mend(
            ret,
            "run piagent agent stop: it ends this agent, instances run on, and the next command starts another");
    } else if (strcmp(agent->version, PIAGENT_VERSION) != 0) {
        doctor_say(ret, DOCTOR_WARN, "process %d runs version %s, and this program is " PIAGENT_VERSION,
                   (int)agent->pid, agent->version);
        doctor_mend(ret,
                    "run piagent agent stop: instances run on, and the next command starts this version");
    } else if (*agent->metrics_failure) {
        doctor_say(ret, DOCTOR_WARN, "process %d answers, but serves no metrics: %s", (int)agent->pid,
                   agent->metrics_failure);
        doctor_mend(ret, "choose another port: piagent agent stop, then PIAGENT_METRICS=PORT piagent ps");
    } else {
        doctor_say(ret, DOCTOR_OK, "process %d answers: %" PRIu64 " instance%s, %" PRIu64 " running",
                   (int)agent->pid, agent->instances, agent->instances == 1 ? "" : "s", agent->running);
    }
}

static bool user_lingers(const struct doctor_host *host)
{
    char path[PATH_MAX], user[64] = "", relative[128];
    if (!doctor_user(user))
        return false;
    snprintf(relative, sizeof relative, "/var/lib/systemd/linger/%s", user);
    doctor_path(host, relative, path);
    return access(path, F_OK) == 0;
}

void doctor_check_user_manager(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    pid_t manager;
    (void)arg;
    if (pi_user_manager_find(&manager, NULL) < 0) {
        doctor_say(ret, DOCTOR_WARN,
                   "no systemd runs for you: --memory-max, --cpu-quota and the service "
                   "need it");
        doctor_mend(ret, "log in again, or run loginctl enable-linger");
    } else if (!pi_user_manager_has(manager, "memory") || !pi_user_manager_has(manager, "cpu")) {
        doctor_say(ret, DOCTOR_WARN,
                   "it may not limit memory and processors, so --memory-max and --cpu-quota fail");
        doctor_mend(
            ret,
            "set Delegate=cpu memory pids for user@.service (with cgroup v2): systemctl edit user@.service");
    } else if (!user_lingers(host)) {
        doctor_say(ret, DOCTOR_OK, "it limits memory and processors, and ends with your last login");
        doctor_mend(ret, "to let instances of the piagent service outlive it: loginctl enable-linger");
    } else {
        doctor_say(ret, DOCTOR_OK, "it limits memory and processors, and outlives your logins");
    }
}

void doctor_check_clock(const struct doctor_host *host, int arg, struct doctor_finding *ret)
{
    time_t now = (time_t)(host->now_ms / 1000);
    struct tm utc;
    char text[32] = "";
    (void)arg;
    if (gmtime_r(&now, &utc))
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &utc);
    if ((uint64_t)now >= CLOCK_FIRST_S && (uint64_t)now < CLOCK_LAST_S) {
        doctor_say(ret, DOCTOR_OK, "%s UTC", text);
        return;
    }
    doctor_say(ret, DOCTOR_FAIL, "it says %s UTC, when no certificate and no signature is valid", text);
    doctor_mend(ret, "%stimedatectl set-ntp true", doctor_sudo());
}
