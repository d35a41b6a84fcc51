"""The agent dies, the machines do not: the next agent finds them, and nothing is left over of what was under way."""

import os
import signal
import subprocess
import time

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import CONFLICT, PIAGENT, User, is_running, wait_for
from test_agent_lifecycle import end, make


@pytest.fixture
def user():
    with User() as user:
        yield user


def test_the_next_agent_takes_over_the_same_qemu_in_each_state(user):
    make(user, "runs", boot_sectors.deaf(user.home))
    make(user, "rests", boot_sectors.deaf(user.home))
    user.do("pause", "rests")
    user.wait_state("rests", "paused", 10)
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    before = {m["name"]: (m["pid"], m["ssh_port"], m["state"]) for m in user.ps()}
    user.kill_agent()
    wait_for("all are as they were", lambda: {m["name"]: (m["pid"], m["ssh_port"], m["state"]) for m in user.ps()} == before, 20)
    assert user.api("GET", "/v1/agent")[1]["imds_port"] == port
    user.do("resume", "rests")
    user.wait_state("rests", "running", 10)
    for name in ("runs", "rests"):
        end(user, name)


def test_a_stop_goes_on_under_the_next_agent(user):
    make(user, "deaf", boot_sectors.deaf(user.home))
    assert user.api("POST", "/v1/instances/deaf/powerdown", {"timeout_ms": 3000})[0] == 202
    user.kill_agent()
    user.do("ps")
    assert user.state("deaf") == "stopping"
    end(user, "deaf")


def test_a_poweroff_that_no_agent_saw_is_a_stop_and_no_loss(user):
    make(user, "off", boot_sectors.poweroff_when_told(user.home))
    # The byte is on its way to the guest when the agent is killed.
    user.api("POST", "/v1/instances/off/pause", {})
    user.api("POST", "/v1/instances/off/console", "x")
    user.api("POST", "/v1/instances/off/resume", {})
    user.kill_agent()
    time.sleep(1)
    machine = user.wait_state("off", "stopped", 20)
    assert machine["stopped_by"] == "guest", machine


def test_a_qemu_that_died_without_an_agent_is_lost(user):
    make(user, "dies", boot_sectors.deaf(user.home))
    pid = user.status("dies")["pid"]
    user.kill_agent()
    os.kill(pid, signal.SIGKILL)
    wait_for("it is gone", lambda: not is_running(pid), 10)
    machine = user.wait_state("dies", "lost", 20)
    assert machine["state"] == "lost" and "no agent" in machine["reason"], machine
    assert not [path.name for path in user.runtime.iterdir() if path.name.startswith("dies.")]


def test_a_creation_that_was_cut_short_leaves_nothing(user):
    disk = boot_sectors.deaf(user.home)
    with FedoraServer([Image("x86_64", disk)], faults={"image": "stall"}) as fedora:
        environment = [f"{name}={value}" for name, value in fedora.env.items()]
        assert user.create("half", arch="x86_64", environment=environment)[0] == 202
        assert user.state("half") == "created"
        user.kill_agent()
        assert user.ps() == []
        assert not list(user.instances.iterdir())


def test_ten_commands_at_once_start_one_agent(user):
    commands = [user.start("ps") for _ in range(10)]
    for command in commands:
        out, _ = command.communicate(timeout=30)
        assert command.returncode == 0, out
    second = subprocess.run([PIAGENT, "agent"], env=user.env, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    assert second.returncode == CONFLICT and "running already" in second.stderr
    assert str(user.agent_pid()) in second.stderr


def test_an_agent_that_is_asked_to_stop_leaves_its_guests_running(user):
    make(user, "stays", boot_sectors.deaf(user.home))
    pid = user.status("stays")["pid"]
    user.do("agent", "stop")
    assert is_running(pid)
    assert user.status("stays")["pid"] == pid
    end(user, "stays")
