# SPDX-License-Identifier: MIT
"""An agent that is told to stop stays stopped, whoever follows an instance, and undoes no creation without a word."""

import os
import pathlib
import signal
import time

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import AGENT, CONFLICT, User, fake_qemu, is_running, wait_for


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def connections(user):
    """Of clients, that stay for a while."""
    def count():
        rows = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()]
        return sum(row[-1] == str(user.runtime / "agent.sock") and row[5] == "03" for row in rows)
    before = count()
    time.sleep(0.5)
    return before if count() == before else None


def stop(user, agent):
    user.do("agent", "stop")
    assert not is_running(agent)


def stop_hung(user, agent):
    os.kill(agent, signal.SIGSTOP)
    stop(user, agent)


def terminate(_, agent):
    os.kill(agent, signal.SIGTERM)


@pytest.mark.parametrize("how", [stop, stop_hung, terminate])
def test_no_follower_starts_another_agent(user, how):
    instances = {instance["name"]: instance["pid"] for instance in user.boot_all(["pi", "deaf"], boot_sectors.deaf(user.home))}
    user.tell_fake("deaf", "ignore=system_powerdown")
    agent = user.agent_pid()
    followers = [user.start(*command) for command in (["wait", "pi"], ["wait", "pi", "--for", "stopped"], ["console", "pi"], ["ssh", "pi"],
                                                      ["powerdown", "deaf"])]
    wait_for("they follow", lambda: (connections(user) or 0) > len(followers), 30)  # a console has its bytes and its events
    how(user, agent)
    for follower in followers:
        out, _ = follower.communicate(timeout=60)
        assert follower.returncode == AGENT and ("the agent was stopped" in out or how == stop_hung and "does not answer" in out), out
    assert sorted(user.processes()) == sorted(instances.values())
    assert user.status("pi")["pid"] == instances["pi"]


def creation(user, fedora):
    """A command that waits for an instance whose image never comes."""
    user.env.update(fedora.env)
    command = user.start("run", "half", "--arch", "x86_64", "-d")
    wait_for("it downloads", lambda: any(path.startswith("/mirror/") for path in fedora.requests), 30)
    return command


@pytest.fixture
def fedora(user):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        yield fedora


def test_a_creation_keeps_the_agent_unless_it_is_forced(user, fedora):
    command = creation(user, fedora)
    agent = user.agent_pid()
    refused = user.refused(CONFLICT, "agent", "stop")
    assert "half is being created" in refused and "piagent rm half" in refused and "--force" in refused
    assert is_running(agent) and user.state("half") == "created" and command.poll() is None
    user.do("agent", "stop", "--force")
    assert not is_running(agent)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == AGENT and "the agent was stopped while it was being created" in out, out
    assert not list(user.instances.iterdir()) and not user.processes()


def test_a_creation_that_a_signal_to_the_agent_undoes_is_told(user, fedora):
    command = creation(user, fedora)
    os.kill(user.agent_pid(), signal.SIGTERM)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == AGENT and "the agent was stopped while it was being created" in out, out
    assert "half: not created: the agent was stopped" in user.log()
    assert not list(user.instances.iterdir())
