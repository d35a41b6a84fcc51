# SPDX-License-Identifier: MIT
"""The folder of the agent's sockets is taken away, or files in it, as systemd-tmpfiles or a logout does: all goes on."""

import json
import os
import shutil
import signal
import socket
import subprocess

import boot_sectors
import pytest
from piagent import AGENT, PIAGENT, User, fake_qemu, is_running, wait_for

NOBODY = 65534


@pytest.fixture
def user():
    with User() as user:
        yield user


def take_lock(runtime):
    (runtime / "agent.lock").unlink()


def take_sockets(runtime):
    for path in runtime.glob("*.*"):
        if path.is_socket():
            path.unlink()


def take_folder(runtime):
    shutil.rmtree(runtime)


def take_its_parent(runtime):
    shutil.rmtree(runtime.parent)


def replace(runtime):
    """As a new login does: another file system is there."""
    runtime.rename(runtime.parent / "old")
    runtime.mkdir(mode=0o700)


def shown(user):
    return {instance["name"]: (instance["state"], instance.get("pid"), instance.get("ssh_port")) for instance in user.ps()}


@pytest.mark.parametrize("take", [take_lock, take_sockets, take_folder, take_its_parent, replace])
def test_what_is_taken_away_is_made_anew_and_serves(user, take):
    user.boot("pi", boot_sectors.echo(user.home))
    before, agent = shown(user), user.agent_pid()
    follower = user.start("console", "pi")
    take(user.runtime)
    assert shown(user) == before  # at once: the command waits for the agent to notice
    wait_for("all is there", lambda: {"agent.lock", "agent.sock", "imds.sock"} <= {path.name for path in user.runtime.iterdir()}, 20)
    assert user.agent_pid() == agent
    seeds = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(user.runtime / "imds.sock"),
                            f"http://10.0.2.4/{'0' * 32}/meta-data"], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert seeds.stdout == "404"
    second = subprocess.run([PIAGENT, "agent"], env=user.env, stderr=subprocess.PIPE, text=True, timeout=60,
                            check=False)
    assert f"running already (process {agent})" in second.stderr
    # The instance's monitor and console, also for the next agent, and an instance that starts now.
    user.do("pause", "pi")
    user.boot("new", boot_sectors.deaf(user.home))
    user.kill_agent()
    user.do("resume", "pi")
    wait_for("it runs", lambda: shown(user)["pi"] == before["pi"], 20)
    user.type("pi", "HAL")
    wait_for("the guest answers", lambda: user.console("pi").endswith(b"hello\r\nIBM"), 20)
    assert follower.poll() is None
    assert "made anew" in user.log()
    user.do("kill", "pi", "new")
    assert [user.status(name)["stopped_by"] for name in ("pi", "new")] == ["quit", "quit"]
    follower.kill()
    follower.wait()
    user.do("rm", "pi", "new")
    user.nothing_left()


def test_what_is_taken_away_while_no_agent_runs_is_made_good_by_the_next(user):
    pid = user.boot("pi", boot_sectors.deaf(user.home), isolate=True)["pid"]
    user.kill_agent()
    shutil.rmtree(user.runtime)
    user.do("pause", "pi")
    user.do("kill", "pi")
    assert user.status("pi")["stopped_by"] == "quit" and not is_running(pid)


def test_a_folder_that_cannot_be_made_is_told_once_and_made_when_it_can(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    before, parent = shown(user), user.runtime.parent
    shutil.rmtree(parent)
    parent.write_text("in the way")
    wait_for("it is told", lambda: "cannot be made anew now" in user.log(), 20)
    parent.unlink()
    wait_for("it is made anew", lambda: "was made anew" in user.log(), 20)
    assert shown(user) == before
    assert user.log().count("cannot be made anew now") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: only root can make another user's folder")
def test_a_folder_of_another_user_in_its_place_leads_to_no_monitor():
    with User(**fake_qemu()) as user, socket.socket(socket.AF_UNIX) as strangers:
        user.boot("pi", boot_sectors.deaf(user.home))
        shutil.rmtree(user.runtime)
        user.runtime.mkdir()
        strangers.bind(str(user.runtime / "pi.qmp"))
        strangers.listen()
        strangers.settimeout(0)
        os.chown(user.runtime, NOBODY, NOBODY)
        user.runtime.chmod(0o777)
        user.tell_fake("pi", "close=SIGUSR1", json.loads((user.instances / "pi/record.json").read_text())["pid"])
        wait_for("its own monitor is back", lambda: "monitor is back" in (user.instances / "pi/journal.jsonl").read_text(), 30)
        with pytest.raises(BlockingIOError):
            strangers.accept()
        shutil.rmtree(user.runtime)
        wait_for("it is made anew", lambda: "was made anew" in user.log(), 20)
        user.do("kill", "pi")


def test_a_hung_agent_whose_socket_is_gone_can_be_ended(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    before, agent = shown(user), user.agent_pid()
    os.kill(agent, signal.SIGSTOP)
    (user.runtime / "agent.sock").unlink()
    said = user.refused(AGENT, "ps")
    assert f"process {agent}" in said and "piagent agent stop" in said
    user.do("agent", "stop", timeout=90)
    assert not is_running(agent)
    assert shown(user) == before
