# SPDX-License-Identifier: MIT
"""The disk is full, or broken, under the agent: a request fails with one line and leaves nothing half made, what runs goes on,
and what could not be written is written when it can be."""

import concurrent.futures
import errno
import json
import os
import pathlib
import subprocess

import agent_steps
import boot_sectors
import pytest
from faults import FragileUser
from piagent import HOST, PIAGENT, User, is_running, wait_for

RUN = ("--image-unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M", "--disk", "1M", "-d")


@pytest.fixture
def user():
    with agent_steps.one_user() as user:
        yield user


def words(user):
    """The kinds of steps that were taken, also in part."""
    return {step.split()[0] for step in user.steps()}


def told(user):
    """Its events, but for what its guest prints: that may come at any time."""
    return [line for line in user.call("events", "pi").stdout.splitlines() if " landmark " not in line]


def test_whatever_step_of_a_start_or_an_end_fails_the_agent_goes_on():
    agent_steps.check_failures(["start", "kill"])


def test_a_disk_that_does_not_answer_holds_up_who_depends_on_it_and_nobody_else(user):
    for request in ("create", "kill", "start", "kill", "rm"):
        agent_steps.prepare(user, request)
        before = told(user)
        user.arm("slow 600000")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = pool.submit(agent_steps.ask, user, request)
            wait_for(f"{request}: the disk is at work", lambda: {"write", "rename"} & words(user), 30, 0.02)
            # The agent serves others; nothing was started, sent, removed or told.
            assert user.ask("GET", "/v1/agent", timeout=60)[0] == 200
            assert user.ask("GET", "/v1/instances", timeout=60)[0] == 200
            assert not words(user) & {"fork", "send", "signal", "unlink"}, user.steps()
            assert told(user) == before and not asked.done()
            user.disarm()
            assert asked.result(60)[0] in (200, 202)


def test_a_start_that_waits_for_the_disk_can_be_called_off(user):
    agent_steps.bring(user, "stopped")
    user.arm("slow 600000")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        start = pool.submit(agent_steps.ask, user, "start")
        wait_for("the disk is at work", lambda: "write" in words(user), 30, 0.02)
        kill = pool.submit(agent_steps.ask, user, "kill")
        wait_for("it is called off", lambda: agent_steps.state(user) == "stopped", 30, 0.02)
        assert "fork" not in words(user), user.steps()
        user.disarm()
        assert (start.result(60)[0], kill.result(60)[0]) == (202, 202)
    agent_steps.bring(user, "running")
    user.nothing_strays()


def test_an_agent_that_is_told_to_stop_writes_what_it_has_decided(user):
    agent_steps.bring(user, "running")
    user.arm("slow 600000")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        pause = pool.submit(agent_steps.ask, user, "pause")
        agent = user.agent_pid()
        wait_for("the disk is at work", lambda: "write" in words(user), 30, 0.02)
        assert user.ask("POST", "/v1/agent/stop")[0] == 200
        assert agent_steps.recorded(user)["state"] == "running"
        user.disarm()
        wait_for("the agent has ended", lambda: not is_running(agent), 60)
        status, answer = pause.result(60)  # an agent that ends gives up what it asks QEMU
        assert status in (200, 503) or "given up" in answer["error"]["message"], answer
    assert agent_steps.recorded(user)["state"] == "paused"
    assert not list((user.instances / "pi").glob(".*"))


def test_an_instance_is_not_created_on_a_full_disk(user):
    user.arm("full")
    line = user.refused(HOST, "run", "pi", "--image", user.disk, *RUN)
    assert os.strerror(errno.ENOSPC) in line, line
    assert user.ps() == []
    user.nothing_strays()


def test_an_instance_is_not_started_on_a_full_disk_but_when_there_is_room(user):
    agent_steps.bring(user, "stopped")
    user.arm("full")
    line = user.refused(HOST, "start", "pi", "-d")
    assert os.strerror(errno.ENOSPC) in line, line
    user.nothing_strays()
    user.disarm()
    agent_steps.bring(user, "running")


def test_a_state_that_cannot_be_saved_goes_on_is_told_once_and_saved_when_there_is_room(user):
    agent_steps.bring(user, "running")
    qemu = user.status("pi")["pid"]
    user.arm("full")
    for _ in range(3):
        user.do("pause", "pi")
        user.wait_state("pi", "paused", 20)
        user.do("resume", "pi")
        user.wait_state("pi", "running", 20)
    # Followers hear of each state, though the journal has none of it.
    done = user.call("kill", "pi")
    assert (done.returncode, "pi: stopped" in done.stderr) == (0, True), done
    assert user.state("pi") == "stopped"
    assert agent_steps.recorded(user)["pid"] == qemu
    assert [event["state"] for event in user.events("pi") if event["kind"] == "state"][-1] == "running"
    log = user.log()
    assert log.count("state cannot be saved") == log.count("journal cannot be written") == 1, log
    user.disarm()
    wait_for("its state is saved", lambda: agent_steps.recorded(user)["state"] == "stopped", 30)
    wait_for("its journal is written", lambda: user.events("pi")[-1].get("text") == "its state is saved again", 30)
    events = user.events("pi")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["state"] for event in events if event["kind"] == "state"][-3:] == ["running", "stopping", "stopped"]
    user.kill_agent()
    assert user.state("pi") == "stopped"


class SmallDisk:
    """The agent's state on a tmpfs that only the agent and its children see, in a mount namespace of their own."""

    def __init__(self, user):
        self.user, self.folder = user, user.home / "data"
        self.folder.mkdir(exist_ok=True)
        mount = f"mount -t tmpfs -o size=1g,mode=700 none {self.folder} && exec {PIAGENT} agent"
        own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        if subprocess.run([*own, "true"], check=False, timeout=60).returncode != 0:
            pytest.skip("cannot here: a mount namespace of its own")
        with open(user.home / "agent.log", "wb") as log:
            user.followers.append(subprocess.Popen([*own, "sh", "-c", mount], env=user.env, stdin=subprocess.DEVNULL,
                                                   stdout=log, stderr=log))
        wait_for("the agent is up", lambda: user.ask("GET", "/v1/agent")[0] == 200, 60)
        user.instances = pathlib.Path(f"/proc/{user.agent_pid()}/root{self.folder}/piagent/instances")

    def resize(self, option):
        own = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--preserve-credentials"]
        subprocess.run(["nsenter", "--target", str(self.user.agent_pid()), *own, "mount", "-o", f"remount,{option}", self.folder],
                       check=True, timeout=60)

    def fill(self):
        """No byte more than what is there."""
        space = os.statvfs(self.user.instances)
        self.resize(f"size={(space.f_blocks - space.f_bfree) * space.f_frsize}")

    def empty(self):
        self.resize("size=1g")


def test_a_real_full_disk_loses_no_guest_and_no_state():
    with User() as user:
        user.ask = lambda *request: FragileUser.ask(user, *request)
        disk = SmallDisk(user)
        pid = user.boot("pi", boot_sectors.deaf(user.home))["pid"]
        wait_for("it is on record", lambda: user.record("pi")["state"] == "running", 20)
        disk.fill()
        line = user.refused(HOST, "run", "other", "--image", boot_sectors.deaf(user.home), *RUN)
        assert os.strerror(errno.ENOSPC) in line, line
        assert [path.name for path in user.instances.iterdir()] == ["pi"]
        user.do("pause", "pi")
        assert user.wait_state("pi", "paused", 20)["pid"] == pid
        user.do("kill", "pi")
        assert user.state("pi") == "stopped"
        assert json.loads((user.instances / "pi/record.json").read_text())["state"] == "running"
        assert os.strerror(errno.ENOSPC) in user.refused(HOST, "start", "pi", "-d")
        disk.empty()
        wait_for("its state is saved", lambda: json.loads((user.instances / "pi/record.json").read_text())["state"] == "failed", 30)
        assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
        user.wait_state("pi", "running", 60)
        user.do("rm", "--force", "pi")
        assert list(user.instances.iterdir()) == []
