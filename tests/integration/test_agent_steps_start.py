# SPDX-License-Identifier: MIT
"""An agent that is killed at any step of its own start, or while a QEMU is being started, is made good by the next one."""

import shutil

import boot_sectors
import pytest
from faults import FragileUser, killed
from piagent import wait_for


@pytest.fixture
def user():
    with FragileUser() as user:
        yield user


def shown(user):
    return {m["name"]: (m["state"], m.get("pid"), m.get("ssh_port")) for m in user.ps()}


def start_killed(user, when, running):
    """Starts an agent that finds so many running instances. True if it reached that step."""
    user.arm(f"kill {when}")
    agent = user.run_agent()

    def is_up():
        taken_over = (user.home / "agent.log").read_text().count("taken over")
        return taken_over == running and user.ask("GET", "/v1/agent")[0] == 200
    wait_for("it is killed, or done", lambda: agent.poll() is not None or is_up(), 60, 0.02)
    if agent.poll() is None:
        user.disarm()
        user.do("agent", "stop")
        agent.wait(60)
        return False
    assert killed(agent)
    user.disarm()
    return True


def kill_at_each_step(user, running, prepare, check):
    n = 1
    while True:
        prepare()
        if not start_killed(user, f"after {n}", running):
            return n - 1
        check()
        n += 1


def test_an_agent_killed_at_any_step_of_its_first_start(user):
    def prepare():
        if (user.runtime / "agent.sock").exists():
            user.do("agent", "stop")
        for top in (user.runtime, user.home / "data"):
            if top.exists():
                shutil.rmtree(top)

    def check():
        assert user.ps() == []
        user.nothing_strays()
    assert kill_at_each_step(user, 0, prepare, check) >= 15


def test_an_agent_killed_at_any_step_of_taking_instances_over(user):
    for name in ("runs", "rests", "off", "going"):
        user.boot(name, boot_sectors.deaf(user.home))
    user.do("kill", "off")
    user.do("pause", "rests")
    user.wait_state("rests", "paused", 20)
    assert user.ask("POST", "/v1/instances/going/powerdown", {"timeout_ms": 600000})[0] == 202
    before, port = shown(user), user.ask("GET", "/v1/agent")[1]["imds_port"]
    assert [state for state, _, _ in before.values()] == ["stopping", "stopped", "paused", "running"], before

    def prepare():
        user.do("ps")
        user.kill_agent()
        # Leftovers of writes and removals.
        (user.instances / "runs/.record.json.0123abcd").write_text("{")
        (user.instances / ".gone.0123abcd").mkdir(exist_ok=True)
        (user.instances / ".gone.0123abcd/disk.qcow2").write_text("x")
        (user.runtime / "gone.qmp").touch()
        (user.instances / "half").mkdir(exist_ok=True)

    def check():
        user.do("ps")
        assert shown(user) == before
        assert user.ask("GET", "/v1/agent")[1]["imds_port"] == port
        user.nothing_strays()
    assert kill_at_each_step(user, 3, prepare, check) >= 20


def test_an_agent_killed_while_its_child_becomes_qemu_leaves_one_qemu_or_none(user):
    disk = boot_sectors.deaf(user.home)
    user.do("ps")
    for child in (1, 2):  # the worker, QEMU
        agent = user.agent_pid()
        user.arm(f"kill exec {child}")
        assert user.ask("POST", "/v1/instances", {"name": "pi", "image": disk, "image_unverified": True, "arch": "x86_64", "accel": "tcg",
                                                  "cpus": 1, "memory_mib": 256, "disk_bytes": 1 << 20})[0] in (0, 202)
        killed(agent)
        user.disarm()
        instances = user.ps()
        assert len(instances) == (child == 2), instances
        if instances:
            user.wait_state("pi", "running", 60)
        user.nothing_strays()
