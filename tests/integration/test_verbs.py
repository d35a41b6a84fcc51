# SPDX-License-Identifier: MIT
"""Requests to instances: those that are fulfilled already, several at once, wrong names, all instances, restart."""

import concurrent.futures
import json
import os
import signal
import time

import boot_sectors
import pexpect
import pytest
from piagent import CONFLICT, NOT_FOUND, PIAGENT, USAGE, User, fake_qemu, is_running, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def boot_all(user, *names):
    return user.boot_all(names, boot_sectors.deaf(user.home))


def states(user):
    return {instance["name"]: instance["state"] for instance in user.ps()}


def said(user, *args):
    """A successful command's output for people."""
    done = user.call(*args)
    assert done.returncode == 0, done
    return done.stderr.strip()


def test_a_verb_whose_end_is_reached_succeeds_and_says_so(user):
    boot_all(user, "pi")
    ways = [("resume", "running"), ("start", "running"), ("pause", "paused"), ("kill", "stopped"), ("powerdown", "stopped")]
    assert said(user, "start", "pi") == "pi is running already: piagent console pi attaches to its console"
    for verb, state in ways:
        if state != user.state("pi"):
            user.do(verb, "pi")
        before = user.wait_state("pi", state)
        if verb != "start":
            assert said(user, verb, "pi") == f"pi is {state} already"
            assert json.loads(user.do(verb, "pi", "--json")) == {"machines": [{"name": "pi", "already": True}]}
        status, answer = user.api("POST", f"/v1/instances/pi/{verb}", {})
        assert (status in (200, 202), answer["already"]) == (True, True)
        after = user.status("pi")
        assert "already" not in after and (after.get("pid"), after["last_event"]) == (before.get("pid"), before["last_event"])
    assert said(user, "reseed", "pi") == "pi is served the seed of its first boot already"


def test_what_is_in_the_way_is_refused_with_what_to_do(user):
    boot_all(user, "pi")
    assert "cannot be paused now" in user.refused(CONFLICT, "pause", *stopped(user, "off"))
    user.do("pause", "pi")
    assert user.refused(CONFLICT, "start", "pi") == "pi is paused: piagent resume pi lets it go on"
    user.do("resume", "pi")
    user.tell_fake("pi", "ignore=system_powerdown")
    assert user.api("POST", "/v1/instances/pi/powerdown", {})[0] == 202
    assert user.refused(CONFLICT, "start", "pi") == "pi is still stopping: first wait for its end with: piagent wait --for stopped pi"
    user.do("kill", "pi")


def stopped(user, *names):
    boot_all(user, *names)
    user.do("kill", *names)
    return names


def test_two_that_ask_for_the_same_at_once_both_succeed(user):
    """Both are under way before QEMU has answered the first: of two that wake a guest, it refuses the second."""
    pid = boot_all(user, "pi")[0]["pid"]

    def ask(verb, wait=0.0):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = [pool.submit(user.api, "POST", f"/v1/instances/pi/{verb}", {}) for _ in range(6)]
            time.sleep(wait)
            if wait:
                os.kill(pid, signal.SIGCONT)
            answers = [one.result() for one in asked]
        assert [status in (200, 202) for status, _ in answers] == [True] * 6, answers
        return [answer.get("already", False) for _, answer in answers]

    for halted in (False, True):
        for verb, before in (("pause", "running"), ("resume", "paused"), ("resume", "suspended")):
            if before == "suspended":
                user.tell_fake("pi", "suspend=SIGUSR1")
            user.wait_state("pi", before, 10)
            if halted:
                os.kill(pid, signal.SIGSTOP)
            already = ask(verb, 1 if halted else 0)
            assert not all(already), (verb, before)
            user.wait_state("pi", "paused" if verb == "pause" else "running", 10)
    for verb, after in (("kill", "stopped"), ("start", "running"), ("powerdown", "stopped")):
        ask(verb)
        user.wait_state("pi", after, 10)
    assert [event.get("state") for event in user.events("pi") if event["kind"] == "state"][-5:] == [
        "stopped", "starting", "running", "stopping", "stopped"]


@pytest.mark.parametrize("words", [["powerdown"], ["kill"], ["reset"], ["pause"], ["resume"], ["reseed"], ["rm", "--force"], ["restart"],
                                   ["start", "-d"], ["ps"]])
def test_all_names_are_looked_up_before_anything_is_done(user, words):
    (on,), (off,) = boot_all(user, "on"), stopped(user, "off")
    before = user.ps()
    assert user.refused(NOT_FOUND, *words, "off", "on", "offf") == "there is no instance named offf: did you mean off?"
    assert user.refused(USAGE, *words, "on", off, "On").startswith("'On' is not a usable name")
    assert user.ps() == before and is_running(on["pid"])


def test_a_value_of_two_words_ends_nothing(user):
    boot_all(user, "pi", "minutes")
    assert "write --timeout 5minutes" in user.refused(USAGE, "powerdown", "pi", "--timeout", "5", "minutes")
    assert states(user) == {"pi": "running", "minutes": "running"}


def test_an_instance_that_is_named_twice_is_one(user):
    boot_all(user, "pi")
    assert user.do("ps", "-q", "pi", "pi") == "pi\n"
    assert json.loads(user.do("pause", "pi", "pi", "--json")) == {"machines": [{"name": "pi"}]}


def test_all_are_stopped_started_and_removed_and_those_that_run_are_kept(user):
    assert said(user, "powerdown", "--all") == "nothing runs"
    assert said(user, "rm", "--all") == "there is no instance"
    boot_all(user, "a", "b", "c")
    stopped(user, "d")
    assert sorted(json.loads(user.do("stop", "--all", "--json"))["machines"], key=lambda one: one["name"]) == [
        {"name": name, "stopped_by": "powerdown"} for name in "abc"]
    start = user.start("start", "-d", "--all", "--parallel", "4")
    wait_for("all run", lambda: set(states(user).values()) == {"running"}, 30)
    start.kill()
    user.do("kill", "a", "c")
    assert said(user, "rm", "--all").splitlines() == ["a: removed", "b: kept, it is running", "c: removed", "d: kept, it is running"]
    assert states(user) == {"b": "running", "d": "running"}
    user.do("kill", "d")
    assert json.loads(user.do("delete", "-a", "--json")) == {"machines": [{"name": "b", "removed": False}, {"name": "d", "removed": True}]}


def ready_again(user, name, pid):
    """Its guest, as it starts anew and reports that it is ready."""
    wait_for("it runs anew", lambda: user.status(name).get("pid") not in (None, pid) and user.state(name) == "running", 30)
    boot_to_the_end(Guest(user, name))


def test_restart_is_powerdown_and_start_and_returns_when_the_guest_is_ready(user):
    pid = boot_all(user, "pi")[0]["pid"]
    restart = user.start("restart", "pi")
    ready_again(user, "pi", pid)
    lines = restart.communicate(timeout=60)[0].splitlines()
    assert restart.returncode == 0 and "pi: the guest powered itself off" in lines and lines[-1] == "pi: log in with: piagent ssh pi", lines
    assert [event["state"] for event in user.events("pi") if event["kind"] == "state"][-5:] == [
        "stopping", "stopped", "starting", "running", "ready"]
    pid = user.status("pi")["pid"]
    user.tell_fake("pi", "ignore=system_powerdown")
    forced = user.start("restart", "--force", "pi", "--json")
    ready_again(user, "pi", pid)
    events = [json.loads(line) for line in forced.communicate(timeout=60)[0].splitlines()]
    assert forced.returncode == 0 and not any("asked to power off" in event.get("text", "") for event in events)
    assert [event["state"] for event in events if event["kind"] == "state"] == ["stopping", "stopped", "running", "ready"]
    user.do("kill", "pi")
    start = user.start("reboot", "pi")
    ready_again(user, "pi", 0)
    assert start.communicate(timeout=60)[0].startswith("pi is stopped already\n") and start.returncode == 0


def test_ps_shows_those_that_are_named_and_names_alone(user):
    boot_all(user, "a", "b")
    stopped(user, "c")
    assert user.do("list", "-q") == "a\nb\n" and user.do("ps", "-aq") == "a\nb\nc\n"
    assert [line.split()[0] for line in user.do("ps", "c", "a").splitlines()] == ["NAME", "a", "c"]
    assert [one["name"] for one in json.loads(user.do("ps", "c", "--json"))["instances"]] == ["c"]
    assert user.call("ps").stderr == "1 more does not run: piagent ps -a\n"
    for words in (["-a"], ["-q"], ["--json"], ["a"]):
        assert user.call("ps", *words).stderr == "", words


def test_logs_show_the_last_lines(user):
    boot_all(user, "pi")
    user.do("kill", "pi")
    text = "".join(f"line {n}\r\n" for n in range(4000)) + "login: "
    user.do("agent", "stop")
    (user.instances / "pi/console.log.1").write_bytes(text[:30001].encode())  # the older part, cut in a line
    (user.instances / "pi/console.log").write_bytes(text[30001:].encode())
    for option, count in (("-n", 1), ("-n", 2), ("--tail", 50), ("--lines", 2500), ("-n", 9000)):
        assert user.call("logs", "pi", option, str(count)).stdout.splitlines() == text.splitlines()[-count:], count
    assert user.call("logs", "pi", "-n", "1").stdout == "login: "
    shown = pexpect.run(f"{PIAGENT} logs pi -n 1", env=user.env, timeout=60)
    assert shown == b"login: \r\n"  # the shell's prompt begins a line of its own
