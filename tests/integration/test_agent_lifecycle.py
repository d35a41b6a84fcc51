# SPDX-License-Identifier: MIT
"""Instances through the agent, with real QEMUs and guests of one boot sector: requests, states, the ways to end."""

import ctypes
import os
import pathlib
import select
import signal
import socket
import socketserver
import subprocess
import threading
import time

import boot_sectors
import pytest
from piagent import CONFLICT, GUEST, HOST, PIAGENT, TIMEOUT, User, fake_qemu, is_running, wait_for


@pytest.fixture
def user():
    with User() as user:
        yield user


def states(user, name):
    return [event["state"] for event in user.events(name) if event["kind"] == "state"]


def end(user, name):
    """Kills and removes the instance: nothing of it may be left."""
    user.do("kill", name)
    assert user.state(name) == "stopped"
    user.do("rm", name)
    user.nothing_left()


def test_an_instance_is_shown_as_it_is_and_leaves_nothing_behind(user):
    instance = user.boot("one", boot_sectors.deaf(user.home))
    assert states(user, "one") == ["created", "starting", "running"]
    assert (instance["name"], instance["state"], instance["accel"], instance["cpus"]) == ("one", "running", "tcg", 1)
    assert user.processes()[instance["pid"]][0].endswith("qemu-system-x86_64")
    assert [shown["uuid"] for shown in user.ps()] == [instance["uuid"]]
    assert {"one", "running", str(instance["ssh_port"])} <= set(user.do("ps").split())
    status = user.do("status", "one")
    for part in ("running", "(unverified)", f"port {instance['ssh_port']}", f"process {instance['pid']}", instance["folder"]):
        assert part in status
    assert user.do("logs", "one").endswith("hello\n")
    assert f"-uuid {instance['uuid']}" in user.do("qemu-command", "one")
    assert "powerdown" in user.refused(CONFLICT, "rm", "one")
    assert "piagent rm --force one" in user.refused(CONFLICT, "run", "one", "--image", "fedora", "-d")
    user.do("rm", "--force", "one")
    user.nothing_left()


def test_pause_resume_and_reset_are_answered_and_shown(user):
    user.boot("one", boot_sectors.deaf(user.home))
    user.do("pause", "one")
    user.wait_state("one", "paused", 10)
    user.do("resume", "one")
    user.wait_state("one", "running", 10)
    user.do("reset", "one")
    wait_for("it says hello again", lambda: user.console("one").count(b"hello") == 2, 30)
    wait_for("it is told", lambda: "the instance was reset" in user.texts("one"), 20)
    assert states(user, "one")[2:] == ["running", "paused", "running"]
    end(user, "one")


def test_a_guest_that_reboots_goes_on_running(user):
    pid = user.boot("again", boot_sectors.reboot_when_told(user.home))["pid"]
    user.type("again", "x")
    wait_for("it says hello again", lambda: user.console("again").count(b"hello") == 2, 30)
    wait_for("it is told", lambda: "the guest reboots" in user.texts("again"), 20)
    instance = user.status("again")
    assert (instance["state"], instance["pid"]) == ("running", pid)


def test_a_powerdown_that_comes_too_early_is_sent_again_until_the_guest_hears_it(user):
    user.boot("slow", boot_sectors.obedient(user.home))
    command = user.start("powerdown", "slow", "--timeout", "60s")
    wait_for("it is asked", lambda: user.state("slow") == "stopping", 20)
    time.sleep(1)  # the first press is lost
    assert user.state("slow") == "stopping"
    user.type("slow", "x")
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 0, out
    assert "the guest powered itself off" in out
    assert user.status("slow")["stopped_by"] == "powerdown"
    assert user.texts("slow").count("the guest was asked to power off") == 1


def test_a_paused_guest_is_let_go_on_for_its_powerdown(user):
    user.boot("rests", boot_sectors.obedient(user.home))
    user.type("rests", "x")
    wait_for("it is up", lambda: b"up" in user.console("rests"), 30)
    user.do("pause", "rests")
    user.wait_state("rests", "paused", 10)
    user.do("powerdown", "rests")
    assert user.status("rests")["stopped_by"] == "powerdown"


def test_a_guest_that_ignores_powerdown_is_ended_by_quit_and_it_is_said(user):
    user.boot("deaf", boot_sectors.deaf(user.home))
    done = user.call("powerdown", "deaf", "--timeout", "2s")
    assert done.returncode == TIMEOUT, done
    assert "ended by QEMU's quit, without the guest's own poweroff" in done.stdout + done.stderr
    instance = user.status("deaf")
    assert (instance["state"], instance["stopped_by"], instance.get("pid")) == ("stopped", "quit", None)
    assert "powerdown did not end QEMU within 2.0s: next is quit" in user.texts("deaf")


def test_a_qemu_that_hangs_is_ended_by_signals(user):
    pid = user.boot("hung", boot_sectors.deaf(user.home))["pid"]
    os.kill(pid, signal.SIGSTOP)
    done = user.call("powerdown", "hung", "--timeout", "1s", "--step-timeout", "2s")
    assert done.returncode == TIMEOUT, done
    for step in ("powerdown did not end QEMU within 1.0s: next is quit", "quit did not end QEMU within 2.0s: next is term",
                 "term did not end QEMU within 2.0s: next is kill", "QEMU did not quit and was killed (SIGKILL)"):
        assert f"hung: {step}" in done.stderr
    instance = user.status("hung")
    assert (instance["state"], instance["stopped_by"]) == ("stopped", "kill"), instance
    assert [text for text in user.texts("hung") if text.startswith("SIG")] == ["SIGTERM sent to QEMU", "SIGKILL sent to QEMU"]
    assert not is_running(pid)


PIDFD_GETFD = 438


def cut_monitor(pid):
    """Shuts down the connection that a real QEMU has with its agent, which both take for the other's doing."""
    unix = [line.split() for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]]
    connected = {f"socket:[{words[6]}]" for words in unix if words[5] == "03" and words[-1].endswith(".qmp")}
    [number] = [int(fd.name) for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if os.readlink(fd) in connected]
    pidfd = os.pidfd_open(pid)
    fd = ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, number, 0)
    os.close(pidfd)
    if fd < 0:
        pytest.skip("cannot here: this user may not take a descriptor of another process")
    with socket.socket(fileno=fd) as connection:
        connection.shutdown(socket.SHUT_RDWR)


def test_a_monitor_that_is_cut_is_connected_to_again_while_its_guest_runs_or_is_stopped(user):
    pid = user.boot("cut", boot_sectors.deaf(user.home))["pid"]
    cut_monitor(pid)
    wait_for("it is back", lambda: "QEMU's monitor is back: QEMU is running" in user.texts("cut"), 30)
    user.do("pause", "cut")
    user.do("resume", "cut")
    command = user.start("powerdown", "cut", "--timeout", "10s")
    wait_for("it is asked", lambda: "the guest was asked to power off" in user.texts("cut"), 20)
    cut_monitor(pid)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == TIMEOUT and user.status("cut")["stopped_by"] == "quit", out
    assert out.count("QEMU's monitor is back") == 1, out


def test_a_guest_that_powers_itself_off_is_stopped_and_can_be_started_again(user):
    first = user.boot("off", boot_sectors.poweroff_when_told(user.home))
    user.type("off", "x")
    assert user.wait_state("off", "stopped", 30)["stopped_by"] == "guest"
    assert list(user.processes()) == [user.agent_pid()]
    assert "off" not in user.do("ps")
    assert "off" in user.do("ps", "-a")
    assert user.api("POST", "/v1/instances/off/start", {})[0] == 202
    wait_for("it says hello again", lambda: user.console("off").count(b"hello") == 2, 60)
    second = user.wait_state("off", "running", 30)
    assert second["pid"] != first["pid"]
    assert [second[key] for key in ("uuid", "ssh_port")] == [first[key] for key in ("uuid", "ssh_port")]
    assert "stopped_by" not in second
    end(user, "off")


def test_a_qemu_that_dies_is_lost_with_the_reason(user):
    os.kill(user.boot("dies", boot_sectors.deaf(user.home))["pid"], signal.SIGKILL)
    instance = user.wait_state("dies", "lost", 20)
    assert "SIGKILL" in instance["reason"]
    assert "pid" not in instance
    assert not list(user.runtime.glob("dies.*"))
    user.do("rm", "dies")
    user.nothing_left()


def test_a_qemu_that_is_told_to_end_from_outside_is_lost_and_not_stopped(user):
    pids = [instance["pid"] for instance in user.boot_all(["waited", "asked", "quits"], boot_sectors.deaf(user.home))]
    command = user.start("wait", "waited", "--for", "stopped")
    assert user.api("POST", "/v1/instances/asked/powerdown", {"timeout_ms": 60000})[0] == 202
    for pid in pids[:2]:
        os.kill(pid, signal.SIGTERM)  # as a logout does
    for name in ("waited", "asked"):
        instance = user.wait_state(name, "lost", 20)
        assert "its guest was not powered off" in instance["reason"] and "terminating on signal 15" in instance["reason"], instance
        assert "stopped_by" not in instance, instance
    out, _ = command.communicate(timeout=60)
    assert command.returncode == GUEST and "waited was lost: QEMU was told to end from outside piagent" in out, out
    user.do("kill", "quits")
    assert user.status("quits")["stopped_by"] == "quit"


def test_several_are_dealt_with_in_one_go_and_one_that_cannot_be_does_not_hold_up_the_others(user):
    for name in ("a", "b", "c"):
        user.boot(name, boot_sectors.deaf(user.home))
    user.do("kill", "a")
    assert user.call("pause", "b", "a", "c").returncode == CONFLICT
    assert [instance["state"] for instance in user.ps()] == ["stopped", "paused", "paused"]
    user.do("kill", "a", "b", "c")
    assert [instance["state"] for instance in user.ps()] == ["stopped"] * 3
    user.do("rm", "a", "b", "c")
    user.nothing_left()


def has_kvm_that_runs_nothing(user):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("cannot here: there is no /dev/kvm to find out about")
    user.boot("first", boot_sectors.deaf(user.home), accel="auto")
    if user.status("first")["accel"] == "kvm":
        pytest.skip("cannot here: KVM runs guests on this machine")


def test_kvm_that_runs_no_guest_is_said_once_and_remembered(user):
    has_kvm_that_runs_nothing(user)
    assert len([text for text in user.texts("first") if "TCG" in text]) == 1
    assert user.status("first")["accel"] == "tcg"
    user.kill_agent()
    user.boot("second", boot_sectors.deaf(user.home), accel="auto")
    assert user.status("second")["accel"] == "tcg"
    assert not [text for text in user.texts("second") if "TCG" in text]


def test_kvm_that_was_asked_for_and_runs_no_guest_is_a_failure_that_says_what_to_do(user):
    has_kvm_that_runs_nothing(user)
    line = user.refused(HOST, "run", "wants", "--accel", "kvm", "--image", boot_sectors.deaf(user.home), "--image-unverified",
                        "--memory", "256M", "--disk", "1M", "-d")
    assert "kvm" in line.lower() and "--accel" in line, line
    instance = user.status("wants")
    assert (instance["state"], instance.get("pid")) == ("failed", None)
    assert not list(user.runtime.glob("wants.*"))
    user.do("rm", "wants")


class Relay:
    """An agent's socket for commands that passes each request on, after what the test does before it."""

    def __init__(self, user, before):
        self.agent, self.before = str(user.runtime / "agent.sock"), before
        runtime = user.home / "relay"
        (runtime / "piagent").mkdir(mode=0o700, parents=True)
        self.environment = {**user.env, "XDG_RUNTIME_DIR": str(runtime)}
        self.server = socketserver.ThreadingUnixStreamServer(str(runtime / "piagent/agent.sock"), self.handler())
        self.server.daemon_threads = True

    def handler(relay):  # pylint: disable=no-self-argument
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                with socket.socket(socket.AF_UNIX) as agent:
                    agent.connect(relay.agent)
                    while True:
                        ready = select.select([self.request, agent], [], [])[0]
                        for source in ready:
                            data = source.recv(65536)
                            if not data:
                                return
                            if source is self.request:
                                relay.before(data.partition(b" HTTP/")[0].decode())
                            (agent if source is self.request else self.request).sendall(data)
        return Handler

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("moment", ["GET /v1/instances/pi", "POST /v1/instances/pi/kill"])
@pytest.mark.parametrize("how", ["lost", "stopped"])
def test_an_instance_that_ends_while_rm_is_about_to_end_it_is_removed(moment, how):
    with User(**fake_qemu()) as user:
        pid = user.boot("pi", boot_sectors.deaf(user.home))["pid"]
        asked = []

        def before(request):
            asked.append(request)
            if request == moment and asked.count(moment) == 1:
                if how == "lost":
                    os.kill(pid, signal.SIGKILL)
                else:
                    user.api("POST", "/v1/instances/pi/kill", {})
                wait_for("the instance has ended", lambda: user.api("GET", "/v1/instances/pi")[1]["state"] == how, 20)
        with Relay(user, before) as relay:
            done = subprocess.run([PIAGENT, "rm", "--force", "pi"], env=relay.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=60, check=False)
        assert done.returncode == 0 and asked.count(moment) >= 1, (done.stdout, asked)
        assert user.ps() == []
        user.nothing_left()
