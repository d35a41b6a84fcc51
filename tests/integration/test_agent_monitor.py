# SPDX-License-Identifier: MIT
"""QEMUs that hang, refuse or cut their monitor (harness/fake_qemu.c): each is ended step by step, and nothing waits for ever."""

import os
import signal
import threading
import time

import boot_sectors
import pytest
from piagent import CONFLICT, FAILED, TIMEOUT, User, fake_qemu, is_running, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def boot(user, name):
    return user.boot(name, boot_sectors.deaf(user.home))


def test_what_a_fake_qemu_is_told_counts_from_then_on_however_slow_it_is(user):
    pid = boot(user, "pi")["pid"]
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(1, os.kill, (pid, signal.SIGCONT)).start()
    user.tell_fake("pi", "exit=SIGUSR1")
    assert not is_running(pid)


STARTS = {
    "silent=greeting": "QEMU did not greet in time",
    "silent=query-uuid": "QEMU did not answer in time",
    "silent=cont": "QEMU did not answer in time",
    "close=cont": "QEMU closed its monitor",
    "refuse=cont": "GenericError: the fake does not do cont",
    "garbage=greeting": "not JSON",
    "uuid=00000000-0000-0000-0000-000000000000": "another instance",
}


def test_a_qemu_that_is_of_no_use_at_its_start_is_ended_and_says_why(user):
    names = [f"start-{i}" for i in range(len(STARTS))]
    user.boot_all(names, boot_sectors.deaf(user.home))
    user.do("kill", *names)
    for name, rules in zip(names, STARTS):
        user.tell_fake(name, rules)
    for name in names:
        assert user.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
    for name, reason in zip(names, STARTS.values()):
        instance = user.wait_state(name, "failed", 60)
        assert instance["reason"].startswith("QEMU did not start: ") and reason in instance["reason"], instance
    assert list(user.processes()) == [user.agent_pid()]


RUNGS = {
    "ignore=system_powerdown": ("quit", "ended by QEMU's quit"),
    "ignore=system_powerdown ignore=quit": ("term", "terminated (SIGTERM)"),
    "ignore=system_powerdown refuse=quit": ("term", "terminated (SIGTERM)"),
    "ignore=system_powerdown ignore=quit ignore=SIGTERM": ("kill", "killed (SIGKILL)"),
    "silent=system_powerdown": ("term", "terminated (SIGTERM)"),
    "silent=system_powerdown ignore=SIGTERM": ("kill", "killed (SIGKILL)"),
    "close=system_powerdown silent=greeting": ("term", "terminated (SIGTERM)"),
}


def test_every_stop_comes_to_its_end_step_by_step(user):
    names = [f"stop-{i}" for i in range(len(RUNGS))]
    pids = [instance["pid"] for instance in user.boot_all(names, boot_sectors.deaf(user.home))]
    for name, rules in zip(names, RUNGS):
        user.tell_fake(name, rules)
    done = user.call("powerdown", *names, "--timeout", "1s", "--step-timeout", "500ms")
    assert done.returncode == TIMEOUT, done
    for name, (rung, said) in zip(names, RUNGS.values()):
        assert user.status(name)["stopped_by"] == rung, user.texts(name)
        assert [line for line in done.stderr.splitlines() if line.startswith(f"{name}: ") and said in line], done.stderr
        steps = [text.partition(" did not end QEMU within ")[::2] for text in user.texts(name) if "did not end QEMU" in text]
        expected = [("powerdown", "1.0s: next is quit"), ("quit", "0.5s: next is term"), ("term", "0.5s: next is kill")]
        assert steps == expected[:len(steps)] and steps[-1][1].endswith(rung), steps
    assert not any(is_running(pid) for pid in pids)


def test_a_monitor_that_breaks_off_again_and_again_gives_a_stop_no_more_time(user):
    boot(user, "pi")
    user.tell_fake("pi", "close=system_powerdown ignore=quit")
    done = user.call("powerdown", "pi", "--timeout", "8s", "--step-timeout", "1s")
    assert done.returncode == TIMEOUT and user.status("pi")["stopped_by"] == "term", done
    at_ms = {event["text"]: event["monotonic_ms"] for event in user.events("pi") if "text" in event}
    assert "QEMU's monitor is back: QEMU is running" in at_ms
    took_ms = at_ms["powerdown did not end QEMU within 8.0s: next is quit"] - at_ms["the guest was asked to power off"]
    assert took_ms < 12000, at_ms  # it was back after 1 s, 3 s and 7 s


def test_the_times_of_a_stop_hold_for_the_next_agent_too(user):
    boot(user, "pi")
    user.tell_fake("pi", "ignore=system_powerdown ignore=quit")
    assert user.api("POST", "/v1/instances/pi/powerdown", {"timeout_ms": 3000, "step_ms": 1000})[0] == 202
    user.kill_agent()
    assert user.wait_state("pi", "stopped", 30)["stopped_by"] == "term"


def test_a_command_that_waits_is_answered_when_the_monitor_is_cut_or_hangs(user):
    user.boot_all(["cut", "hangs"], boot_sectors.deaf(user.home))
    user.tell_fake("cut", "close=stop")
    user.tell_fake("hangs", "silent=stop")
    assert "QEMU closed its monitor" in user.refused(FAILED, "pause", "cut")
    assert "did not answer in time" in user.refused(TIMEOUT, "pause", "hangs")
    user.tell_fake("hangs", "")
    user.do("pause", "hangs")
    wait_for("the monitor is back", lambda: user.call("pause", "cut").returncode == 1 and "back" in user.texts("cut")[-1], 30)


def test_the_answer_to_pause_and_resume_is_the_state_that_they_lead_to(user):
    """QEMU's own events come before its answer, but why it stopped is asked for after: here it is never told."""
    boot(user, "pi")
    user.tell_fake("pi", "refuse=query-status")
    for _ in range(20):
        status, instance = user.api("POST", "/v1/instances/pi/pause")
        assert (status, instance["state"]) == (200, "paused")
        status, instance = user.api("POST", "/v1/instances/pi/resume")
        assert (status, instance["state"]) == (200, "running")


def test_a_reset_that_comes_as_several_events_is_one_boot(user):
    boot(user, "pi")
    own, firmware = ('{"event":"RESET","data":{"guest":%s,"reason":"x"}}' % guest for guest in ("false", "true"))
    user.tell_fake("pi", f"{own}\n{firmware}\n{firmware}")

    def boots():
        return [event["text"] for event in user.events("pi") if event["kind"] == "boot"]
    wait_for("the reset is told", lambda: len(boots()) > 1, 10)
    time.sleep(1.2)
    user.tell_fake("pi", firmware)
    wait_for("the next one is told", lambda: boots()[-1] == "rebooted", 10)
    assert boots() == ["started", "reset", "rebooted"]


def test_a_monitor_that_is_cut_is_connected_to_again(user):
    boot(user, "pi")
    user.tell_fake("pi", "close=SIGUSR1")
    wait_for("it is back", lambda: any("QEMU's monitor is back: QEMU is running" in text for text in user.texts("pi")), 30)
    assert "reason" not in user.status("pi")
    user.do("pause", "pi")
    user.wait_state("pi", "paused", 10)


def test_a_monitor_that_is_lost_for_good_is_shown_and_the_instance_can_be_stopped(user):
    boot(user, "pi")
    user.tell_fake("pi", "close=SIGUSR1 close=greeting")
    lost = "QEMU's monitor does not work (QEMU closed its monitor): piagent kill pi ends it"
    wait_for("it is lost", lambda: user.status("pi").get("reason") == lost, 30)
    assert f"pi: {lost}" in user.do("ps") and user.state("pi") == "running"
    assert "piagent kill pi" in user.refused(FAILED, "pause", "pi")
    user.kill_agent()
    wait_for("it is lost to the next agent too", lambda: "monitor does not work" in user.status("pi").get("reason", ""), 30)
    user.do("kill", "pi", "--step-timeout", "1s")
    assert user.status("pi")["stopped_by"] == "term"
    assert "QEMU's monitor is not connected now: quit waits for it" in user.texts("pi")


def suspend(user, name):
    user.tell_fake(name, "suspend=SIGUSR1")
    return user.wait_state(name, "suspended", 10)


def states(user, name):
    return [event["state"] for event in user.events(name) if event["kind"] == "state"]


def test_a_guest_that_suspends_itself_is_shown_so_and_resume_wakes_it(user):
    pid = boot(user, "pi")["pid"]
    boot_to_the_end(Guest(user, "pi"))
    user.wait_state("pi", "ready")
    suspend(user, "pi")
    assert "suspended" in user.do("ps")
    assert "pi is suspended: piagent resume pi" in user.refused(CONFLICT, "ssh", "pi")
    assert "it cannot be paused now" in user.refused(CONFLICT, "pause", "pi")
    user.kill_agent()
    user.do("ps")
    wait_for("it is taken over", lambda: any(text.endswith("is suspended") for text in user.texts("pi")), 20)
    user.do("resume", "pi")
    instance = user.wait_state("pi", "ready", 10)
    assert instance["pid"] == pid and states(user, "pi")[-3:] == ["ready", "suspended", "ready"], states(user, "pi")


def test_a_suspended_guest_is_woken_for_its_powerdown_and_boots_anew_after_a_reset(user):
    user.boot_all(["off", "again", "killed"], boot_sectors.deaf(user.home))
    for name in ("off", "again", "killed"):
        suspend(user, name)
    user.do("powerdown", "off")
    assert user.status("off")["stopped_by"] == "powerdown"
    user.do("reset", "again")
    user.wait_state("again", "running", 10)
    assert [event["text"] for event in user.events("again") if event["kind"] == "boot"] == ["started", "reset"]
    user.do("kill", "killed")
    assert user.status("killed")["stopped_by"] == "quit"


def test_a_guest_that_slept_and_lost_its_power_button_is_powered_off_by_its_guest_agent(user):
    boot(user, "pi")
    suspend(user, "pi")
    user.do("resume", "pi")
    user.kill_agent()
    user.tell_fake("pi", "ignore=system_powerdown")
    user.do("powerdown", "pi", "--timeout", "20s")
    assert user.status("pi")["stopped_by"] == "powerdown"


def test_what_else_qemu_tells_of_its_guest_and_host_is_noted(user):
    boot(user, "pi")
    boot_to_the_end(Guest(user, "pi"))
    user.wait_state("pi", "ready")
    user.tell_fake("pi", "\n".join(['{"event":"SUSPEND_DISK"}', '{"event":"WATCHDOG","data":{"action":"reset"}}',
                                   '{"event":"MEMORY_FAILURE","data":{"recipient":"guest","action":"inject","flags":{}}}',
                                   '{"event":"GUEST_CRASHLOADED","data":{"action":"run"}}']))
    user.wait_state("pi", "running", 10)
    for text in ("the guest hibernates: its next start goes on from there", "the guest's watchdog expired: reset",
                 "the host's memory failed under the guest: inject", "the guest's kernel crashed, and its crash kernel takes over"):
        wait_for(f"it is noted: {text}", lambda text=text: text in user.texts("pi"), 20)
