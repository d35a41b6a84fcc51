# SPDX-License-Identifier: MIT
"""Under a real systemd: the units that are installed, QEMU and the switches of networks in scopes of their own, limits, and a systemd that hangs."""

import json
import os
import pathlib
import signal
import time

import boot_sectors
import pytest
from piagent import HOST, PIAGENT, User, is_running, promptly, wait_for
from user_manager import UserManager

DEAF = ["--image-unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M", "--disk", "1M", "--cpus", "1"]


@pytest.fixture
def user():
    with User(AWS_SECRET_ACCESS_KEY="secret") as user:
        yield user


@pytest.fixture
def systemd(user):
    with UserManager(user) as manager:
        yield manager


def is_scope_of(name, unit):
    return unit.startswith(f"piagent-{name}-") and unit.endswith(".scope")


def switch_of(user):
    return json.loads(user.do("network", "status", "lab", "--json")).get("switch_pid")


def test_the_socket_unit_starts_the_agent_and_guests_outlive_each_of_its_ends(user, systemd):
    systemd.do("start", "piagent.socket")
    assert systemd.call("is-active", "piagent.service").stdout.strip() == "inactive"
    user.do("network", "create", "lab")
    pid = user.boot("pi", boot_sectors.deaf(user.home), networks=["lab"])["pid"]
    agent = user.agent_pid()
    switch = wait_for("its network's switch runs", lambda: switch_of(user), 20)
    assert is_scope_of("lab", systemd.unit_of(switch))
    assert (systemd.show("piagent.service", "MainPID"), systemd.unit_of(agent)) == (str(agent), "piagent.service")
    assert systemd.show("piagent.service", "StatusText").startswith("1 instances run;")
    assert systemd.show("piagent.service", "WatchdogUSec") == "1min"
    assert is_scope_of("pi", systemd.unit_of(pid))
    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    assert f"HOME={user.home}".encode() in environment and b"AWS_SECRET" not in environment and b"NOTIFY_SOCKET" not in environment

    # A QEMU that found no manager to give it a scope stays in the unit, and survives its end.
    private = user.home / "run/systemd/private"
    private.rename(f"{private}.aside")
    bare = user.boot("bare", boot_sectors.deaf(user.home))["pid"]
    assert systemd.unit_of(bare) == "piagent.service"
    private.with_name("private.aside").rename(private)

    for end in (lambda: systemd.do("restart", "piagent.service"), lambda: systemd.do("stop", "piagent.service"),
                lambda: user.do("agent", "stop"), lambda: os.kill(user.agent_pid(), signal.SIGKILL)):
        end()
        wait_for("the agent has ended", lambda: not is_running(agent), 20)
        assert [instance["pid"] for instance in user.ps()] == [bare, pid] and switch_of(user) == switch
        wait_for("the next one is its unit's", lambda: systemd.show("piagent.service", "MainPID") == str(user.agent_pid()), 20)
        agent = user.agent_pid()
    user.wait_state("pi", "running", 20)
    systemd.do("stop", "piagent.socket")
    assert user.call("agent", "status").returncode and is_running(pid)


def test_an_agent_that_hangs_is_replaced_and_its_guests_live_on(user, systemd):
    folder = user.home / ".local/share/systemd/user/piagent.service.d"
    folder.mkdir()
    (folder / "soon.conf").write_text("[Service]\nWatchdogSec=5\n")
    systemd.do("daemon-reload")
    systemd.do("start", "piagent.socket")
    pid, hung = user.boot("pi", boot_sectors.deaf(user.home))["pid"], user.agent_pid()
    time.sleep(6)
    assert user.agent_pid() == hung
    os.kill(hung, signal.SIGSTOP)
    wait_for("systemd has started another one", lambda: user.agent_pid() != hung and not is_running(hung), 60)
    assert user.wait_state("pi", "running", 20)["pid"] == pid
    assert systemd.show("piagent.service", "NRestarts") == "1"


def test_an_agent_that_a_command_started_gives_way_to_the_socket_unit(user, systemd):
    pid = user.boot("pi", boot_sectors.deaf(user.home))["pid"]
    first = user.agent_pid()
    systemd.do("start", "piagent.socket")
    assert not is_running(first) and is_running(pid)
    assert user.wait_state("pi", "running", 20)["pid"] == pid
    assert systemd.show("piagent.service", "MainPID") == str(user.agent_pid())


def test_guests_outlive_the_unit_that_their_agent_was_started_in(user, systemd):
    systemd.run("ci", PIAGENT, "run", "pi", "--image", boot_sectors.deaf(user.home), *DEAF)
    wait_for("it runs", lambda: user.call("agent", "status").returncode == 0 and user.ps() and user.state("pi") == "running", 60)
    agent, pid = user.agent_pid(), user.status("pi")["pid"]
    assert systemd.unit_of(agent) == "ci.service" and is_scope_of("pi", systemd.unit_of(pid))
    os.kill(agent, signal.SIGSTOP)  # so that the command's powerdown is heard by nobody
    systemd.do("kill", "--signal=KILL", "ci.service")
    wait_for("the agent is gone", lambda: not is_running(agent), 20)
    assert user.wait_state("pi", "running", 20)["pid"] == pid


def test_limits_that_nobody_can_keep_are_refused_and_nothing_is_left(user):
    line = user.refused(HOST, "run", "pi", "--image", boot_sectors.deaf(user.home), *DEAF, "--memory-max", "1G")
    assert line.startswith("--memory-max needs the user's systemd") and f"{user.home}/run/systemd/private" in line, line
    user.nothing_left()


def test_limits_without_a_controller_are_refused(user):
    with UserManager(user, "memory pids cpuset") as systemd:
        systemd.do("start", "piagent.socket")
        line = user.refused(HOST, "run", "pi", "--image", boot_sectors.deaf(user.home), *DEAF, "--cpu-quota", "150")
        assert line.startswith("--cpu-quota: this host gives users' systemd no cpu controller"), line
        assert user.ps() == [] and not list(user.instances.iterdir())


def test_limits_are_the_scopes_at_each_start(user):
    with UserManager(user, "cpu memory") as systemd:
        systemd.do("start", "piagent.socket")
        instance = user.boot("pi", boot_sectors.deaf(user.home), memory_max_mib=600, cpu_quota_percent=200)
        assert (instance["memory_max_mib"], instance["cpu_quota_percent"]) == (600, 200)
        shown = user.do("status", "pi")
        assert "600 MiB" in shown and "200%" in shown, shown
        for again in (True, False):
            pid = user.status("pi")["pid"]
            unit = systemd.unit_of(pid)
            assert is_scope_of("pi", unit)
            assert (systemd.show(unit, "MemoryMax"), systemd.show(unit, "CPUQuotaPerSecUSec")) == (str(600 << 20), "2s")
            os.kill(pid, signal.SIGKILL)
            assert "--memory-max (600 MiB)" in user.wait_state("pi", "lost", 20)["reason"]
            wait_for("its scope is gone", lambda unit=unit: systemd.show(unit, "ActiveState") == "inactive", 20)
            if again:
                assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
                user.wait_state("pi", "running", 60)


def test_a_systemd_that_hangs_fails_the_instance_and_not_the_agent(user, systemd):
    systemd.do("start", "piagent.socket")
    user.do("ps")
    systemd.process.send_signal(signal.SIGSTOP)
    assert user.create("pi", image=boot_sectors.deaf(user.home), image_unverified=True, arch="x86_64", accel="tcg", cpus=1,
                       memory_mib=256, disk_bytes=1 << 20)[0] == 202
    wait_for("QEMU is awaited", lambda: user.state("pi") == "starting", 30)
    with promptly():
        user.ps()
    assert "systemctl --user status" in user.wait_state("pi", "failed", 60)["reason"]
    systemd.process.send_signal(signal.SIGCONT)
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    user.wait_state("pi", "running", 60)
