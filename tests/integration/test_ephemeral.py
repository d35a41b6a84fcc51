# SPDX-License-Identifier: MIT
"""An ephemeral instance is there as long as its first run: then it is removed, and those who followed it know how it ended."""

import json
import os
import pathlib
import signal

import boot_sectors
import pytest
from piagent import CONFLICT, GUEST, HOST, NOT_FOUND, fake_qemu, wait_for
from reporters import Reporters
from test_fleet_up import Fleet
from test_hostile_guest import Guest
from test_progress import boot_to_the_end, finish

POWEROFF = '{"timestamp":{"seconds":1,"microseconds":0},"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}\n'


@pytest.fixture(name="user")
def fake_user():
    with Fleet(**fake_qemu()) as user:
        yield user


def options(user, *more):
    return ("--image", boot_sectors.deaf(user.home), "--unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M",
            "--disk", "1M", "--ephemeral", *more)


def boot(user, name="pi", **more):
    return user.boot(name, boot_sectors.deaf(user.home), ephemeral=True, **more)


def start(user, *more):
    """`piagent run` of one whose guest runs."""
    run = user.start("run", "pi", *options(user, *more))
    wait_for("its guest runs", lambda: [one["state"] for one in user.ps()] == ["running"], 60)
    return run


def nothing_is_left(user):
    assert user.ps() == []
    user.nothing_left()
    assert not list((user.home / "cache/piagent/images").glob("*.use-*"))


def test_run_ends_with_the_guest_and_leaves_nothing(user):
    run = start(user)
    assert "running (ephemeral)" in user.do("ps") and user.status("pi")["ephemeral"]
    boot_to_the_end(Guest(user, "pi"))
    user.wait_state("pi", "ready")
    assert any("this command waits until the guest ends" in line for line in run.stdout)
    user.tell_fake("pi", POWEROFF)
    code, out = finish(run)
    assert code == 0, out
    nothing_is_left(user)
    assert "it was ephemeral" in user.refused(NOT_FOUND, "status", "pi")
    assert "it was ephemeral" in user.refused(NOT_FOUND, "start", "-d", "pi")


def test_a_guest_that_is_lost_and_a_start_that_fails_are_told_before_they_are_gone(user):
    run = start(user)
    pid = user.status("pi")["pid"]
    wait = user.start("wait", "pi")
    assert wait.stdout.readline().startswith("pi: ")  # how far it is: it has begun to wait
    os.kill(pid, signal.SIGKILL)
    for command in (run, wait):
        code, out = finish(command)
        assert code == GUEST and "pi was lost: QEMU ended (killed by SIGKILL)" in out and "hello" in out, out
    nothing_is_left(user)
    user.env["FAKE_QEMU"] = "exit=greeting"
    user.do("agent", "stop")
    assert "pi could not be started: " in user.refused(HOST, "run", "pi", "-d", *options(user))
    nothing_is_left(user)


@pytest.mark.parametrize("verb, said", [(("powerdown",), "the guest powered itself off"), (("kill",), "ended by QEMU's quit"), (("rm", "--force"), "")])
def test_a_verb_that_ends_it_removes_it_and_its_name_is_free_at_once(user, verb, said):
    for _ in range(2):
        boot(user)
        out = user.call(*verb, "pi")
        assert out.returncode == 0 and said in out.stderr, out
        nothing_is_left(user)


def test_what_would_outlive_it_is_refused(user):
    boot(user)
    assert "pi is ephemeral, so that nothing outlives its run: it cannot be suspended" in user.refused(CONFLICT, "suspend", "pi")
    assert "pi is ephemeral, so that nothing outlives its run: it cannot be cloned" in user.refused(CONFLICT, "clone", "pi", "pj", "-d")
    assert "piagent reset pi boots it anew" in user.refused(CONFLICT, "restart", "pi")
    user.do("pause", "pi")
    user.do("resume", "pi")
    user.do("reset", "pi")
    assert user.state("pi") == "running"
    argv = pathlib.Path(f"/proc/{user.status('pi')['pid']}/cmdline").read_bytes().decode().split("\0")
    disks = [word for word in argv if "node-name=disk" in word]
    assert len(disks) == 2 and all("cache.no-flush=on" in word for word in disks), disks


def test_one_that_has_not_run_stays_and_a_clone_can_be_ephemeral(user):
    user.do("run", "pi", "--no-start", *options(user))
    user.do("agent", "stop")
    assert user.state("pi") == "stopped"
    assert "it cannot be cloned" in user.refused(CONFLICT, "clone", "pi", "pj", "-d")
    user.do("rm", "pi")
    nothing_is_left(user)
    user.do("run", "gold", "--no-start", *(word for word in options(user) if word != "--ephemeral"))
    user.do("clone", "gold", "pi", "--ephemeral", "--no-start")
    assert user.status("pi")["ephemeral"] and not user.status("gold")["ephemeral"]
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    user.wait_state("pi", "running")
    user.do("kill", "pi")
    assert [one["name"] for one in user.ps()] == ["gold"]


def make_older(user, name):
    path = user.instances / name / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot_id": "0" * 36}))


@pytest.mark.parametrize("how", ("ended", "host restarted", "kept its record"))
def test_a_new_agent_removes_one_that_has_ended_before_it_answers(user, how):
    pid = boot(user)["pid"]
    user.kill_agent()
    os.kill(pid, signal.SIGKILL)
    wait_for("QEMU has ended", lambda: pid not in user.processes(), 20)
    if how == "host restarted":
        make_older(user, "pi")
    if how == "kept its record":
        path = user.instances / "pi/record.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "state": "lost", "pid": 0}))
    assert user.ps() == []
    nothing_is_left(user)


def test_one_that_runs_is_taken_over_and_removed_later(user):
    pid = boot(user)["pid"]
    user.kill_agent()
    assert user.status("pi")["pid"] == pid
    wait = user.start("wait", "--for", "stopped", "pi")
    assert "pi" in wait.stdout.readline()
    user.do("powerdown", "pi")
    assert finish(wait)[0] == 0
    nothing_is_left(user)


def test_its_events_are_read_for_a_while_and_its_name_is_free(user):
    boot(user)
    uuid = user.status("pi")["uuid"]
    user.do("kill", "pi")
    status, gone = user.api("GET", "/v1/instances/pi")
    assert status == 200 and gone["removed"] and gone["state"] == "stopped" and gone["stopped_by"] == "quit"
    assert user.api("GET", "/v1/instances")[1] == {"instances": []}
    for method, path in (("POST", "/start"), ("DELETE", ""), ("POST", "/kill")):
        assert user.api(method, f"/v1/instances/pi{path}", {} if method == "POST" else None)[0] == 404
    events = user.call("events", "--json", "pi")
    assert [json.loads(line).get("state") for line in events.stdout.splitlines()][-1] == "stopped", events
    boot(user)
    status, now = user.api("GET", "/v1/instances/pi")
    assert not now["removed"] and now["uuid"] != uuid


def test_an_ended_one_is_no_member_of_its_network(user):
    user.do("network", "create", "lab")
    boot(user, networks=["lab"])
    user.do("kill", "pi")
    user.do("network", "rm", "lab")


def test_up_makes_an_ephemeral_one_again(user):
    user.write("name: lab\ninstances:\n  pi: {ephemeral: true}\n  keep: {}\n")
    with Reporters(user):
        user.up()
        assert user.up() == "lab: nothing is to be done: 2 instances are there\n"
        user.do("kill", "pi")
        said = user.up()
        assert "pi: is created and started" in said, said
        user.do("down", "-f", str(user.home / "fleet.yaml"))
    assert user.states() == {"keep": "stopped"}
