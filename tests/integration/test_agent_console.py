# SPDX-License-Identifier: MIT
"""The serial console: the agent reads it at all times, whoever looks on; what is typed reaches the guest."""

import os
import select
import signal
import socket
import subprocess
import termios
import threading
import time

import boot_sectors
import pexpect
import pytest
from piagent import CONFLICT, PIAGENT, User, fake_qemu, promptly, terminal_settings, wait_for
from test_hostile_guest import Guest


@pytest.fixture
def user():
    with User() as user:
        yield user


def spawn(user, *args):
    return pexpect.spawn(PIAGENT, list(args), env=user.env, timeout=60, encoding="latin-1")


def test_a_terminal_is_attached_and_left_as_it_was(user):
    user.boot("echo", boot_sectors.echo(user.home))
    terminal = spawn(user, "console", "echo")
    terminal.expect("Ctrl-] leaves it")
    terminal.expect("hello")
    assert termios.tcgetattr(terminal.child_fd) != terminal_settings()
    terminal.send("HAL\x03")  # Ctrl-C is a key like others
    terminal.expect("IBM")
    wait_for("Ctrl-C has arrived", lambda: user.console("echo").endswith(b"IBM\x04"), 20)
    terminal.sendcontrol("]")
    terminal.expect("echo runs on; come back with: piagent console echo")
    terminal.expect(pexpect.EOF)
    assert termios.tcgetattr(terminal.child_fd) == terminal_settings()
    terminal.close()
    assert terminal.exitstatus == 0
    assert user.state("echo") == "running"


READY = "\r\x1b[Kecho: ready; log in from another terminal, or after Ctrl-], with: piagent ssh echo\r\n"


def run_attached(user):
    terminal = spawn(user, "run", "echo", "--image", boot_sectors.echo(user.home), "--image-unverified", "--accel", "tcg",
                     "--arch", "x86_64", "--memory", "256M")
    terminal.expect_exact("echo: the serial console; Ctrl-] leaves it; log in from another terminal with: piagent ssh echo\r\n")
    terminal.expect("hello\r\n")
    return terminal


def test_who_is_attached_is_told_how_to_get_in_above_the_guests_prompt(user):
    terminal = run_attached(user)
    terminal.send("onf")  # the guest's prompt is one up
    terminal.expect("pog")
    guest = Guest(user, "echo")
    guest.report("modules-final", "SUCCESS")
    terminal.expect_exact(READY + "pog")
    terminal.send("x")
    terminal.expect_exact("y")
    terminal.sendcontrol("]")
    terminal.expect_exact("echo runs on; come back with: piagent console echo, log in with: piagent ssh echo\r\n")
    terminal.expect(pexpect.EOF)
    assert "cloud-init" not in terminal.before and "ready" not in terminal.before, terminal.before


def test_what_it_is_told_waits_until_it_garbles_nothing(user):
    terminal = run_attached(user)
    terminal.send("\x1aZ0l")  # ESC [ 1 m
    terminal.expect_exact("\x1b[1m")
    guest = Guest(user, "echo")
    guest.report("modules-final", "SUCCESS")
    user.wait_state("echo", "ready")
    assert terminal.expect([pexpect.TIMEOUT, "ready"], timeout=1.5) == 0
    terminal.send("\t")  # a newline
    terminal.expect_exact(READY)
    # Once a boot: not again, and not to those who attach later.
    later = spawn(user, "console", "echo")
    later.expect("hello")
    for viewer in (terminal, later):
        viewer.send("\t")
        assert viewer.expect([pexpect.TIMEOUT, "ready"], timeout=1) == 0
    # The next boot is another one.
    user.do("reset", "echo")
    terminal.expect("hello\r\n")
    guest.report("init-network/activate-datasource")
    guest.report("modules-final", "FAIL")
    terminal.expect_exact("\r\x1b[Kecho: cloud-init failed; why: piagent status echo\r\n")


def test_only_what_was_said_before_is_shown_without_its_control_sequences(user):
    user.boot("echo", boot_sectors.echo(user.home))
    user.type("echo", "\x1aZ0lnkc")
    wait_for("it is in the log", lambda: user.console("echo").endswith(b"\x1b[1mold"), 20)
    terminal = spawn(user, "console", "echo")
    terminal.expect("leaves it")
    terminal.expect("hello\r\n")
    terminal.expect_exact("old")
    assert "\x1b" not in terminal.before, terminal.before
    time.sleep(1)
    terminal.send("\x1aZ0lmdv")
    terminal.expect_exact("\x1b[1mnew")


def test_the_end_of_the_instance_ends_the_console_and_restores_the_terminal(user):
    user.boot("off", boot_sectors.poweroff_when_told(user.home))
    terminal = spawn(user, "console", "off")
    terminal.expect("hello")
    terminal.send("x")
    terminal.expect("off: stopped")
    terminal.expect(pexpect.EOF)
    assert termios.tcgetattr(terminal.child_fd) == terminal_settings()
    terminal.close()
    assert terminal.exitstatus == 0
    assert "logs off" in user.refused(CONFLICT, "console", "off")
    assert user.do("logs", "off").endswith("hello\n")


def test_every_viewer_sees_the_same_also_from_before_it_came(user):
    user.boot("echo", boot_sectors.echo(user.home))
    first, second = (user.start("logs", "-f", "echo") for _ in range(2))
    for viewer in (first, second):  # on a busy machine one may come when all is over
        assert select.select([viewer.stdout], [], [], 30)[0]
    user.type("echo", "HAL")
    wait_for("the guest answers", lambda: user.console("echo").endswith(b"IBM"), 20)
    user.do("rm", "--force", "echo")
    for viewer in (first, second):
        out, _ = viewer.communicate(timeout=60)
        assert viewer.returncode == 0 and out.endswith("hello\nIBM") and "SeaBIOS" in out, out


def test_bytes_pass_as_they_are_where_there_is_no_terminal(user):
    user.boot("echo", boot_sectors.echo(user.home))
    sent = bytes(range(256))
    with subprocess.Popen([PIAGENT, "console", "echo"], env=user.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as viewer:
        viewer.stdin.write(sent)
        viewer.stdin.close()
        expected = b"hello\r\n" + bytes((byte + 1) % 256 for byte in sent)
        wait_for("all of it comes back", lambda: user.console("echo").endswith(expected), 60)
        viewer.terminate()
        viewer.wait(60)


def test_a_guest_that_does_not_read_is_not_typed_at_for_ever(user):
    user.boot("deaf", boot_sectors.deaf(user.home))
    answers = [user.api("POST", "/v1/instances/deaf/console", "x" * 50000) for _ in range(8)]
    assert answers[0][0] == 200
    assert answers[-1][0] == 409
    assert "does not read" in answers[-1][1]["error"]["message"]
    user.do("pause", "deaf")
    user.wait_state("deaf", "paused", 10)


def test_what_is_piped_into_a_console_waits_for_a_guest_that_reads_slowly():
    sent, probe, answers = bytes(number * 7 % 251 for number in range(600_000)), "x" * 65536, []

    def is_full():
        answers.append(user.api("POST", "/v1/instances/slow/console", probe)[0])
        return answers[-1] == 409
    with User(**fake_qemu()) as user:
        qemu = user.boot("slow", boot_sectors.deaf(user.home))["pid"]
        typed = user.instances / "slow/typed"
        os.kill(qemu, signal.SIGSTOP)
        with subprocess.Popen([PIAGENT, "console", "slow"], env=user.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as viewer:
            # More than all on the way to it can hold.
            writer = threading.Thread(target=lambda: (viewer.stdin.write(sent), viewer.stdin.close()))
            writer.start()
            wait_for("the agent refuses more", is_full, 20)
            assert viewer.poll() is None and writer.is_alive()
            os.kill(qemu, signal.SIGCONT)
            whole = len(sent) + answers.count(200) * len(probe)
            wait_for("all of it is read", lambda: typed.exists() and typed.stat().st_size >= whole, 60)
            viewer.terminate()
            viewer.wait(60)
            writer.join(20)
        assert typed.read_bytes().replace(probe.encode(), b"") == sent


@pytest.mark.parametrize("viewer", [["logs", "-f", "chatty"], ["console", "chatty"]], ids=lambda words: words[0])
def test_a_viewer_that_stops_reading_holds_nobody_up(user, viewer):
    user.boot("chatty", boot_sectors.chatty(user.home))
    stopped = user.start(*viewer)
    time.sleep(1)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        def newest():
            return user.status("chatty")["last_event"], (user.instances / "chatty/console.log").stat().st_mtime_ns
        for _ in range(3):
            before = newest()
            wait_for("the guest prints", lambda: newest() > before, 20)
        with promptly():
            user.do("pause", "chatty")
            user.wait_state("chatty", "paused")
    finally:
        stopped.kill()
        stopped.communicate()


def follow(user, name, count):
    """Viewers of the console from its beginning on, as connections of this process."""
    request = f"GET /v1/instances/{name}/console?follow=1 HTTP/1.1\r\nHost: piagent\r\n\r\n".encode()
    viewers = []
    for _ in range(count):
        viewer = socket.socket(socket.AF_UNIX)
        viewer.connect(str(user.runtime / "agent.sock"))
        viewer.sendall(request)
        viewers.append(viewer)
    return viewers


def body(reply):
    """The content of an HTTP reply's chunks; the last one may be incomplete."""
    head, parts = reply.find(b"\r\n\r\n"), []
    at = head + 4 if head >= 0 else len(reply)
    while (end := reply.find(b"\r\n", at)) >= 0:
        size = int(reply[at:end], 16)
        parts.append(reply[end + 2:end + 2 + size])
        at = end + 2 + size + 2
    return b"".join(parts)


def test_of_a_hundred_viewers_those_that_read_get_all_and_those_that_do_not_cost_little(user):
    user.boot("chatty", boot_sectors.chatty(user.home))
    user.do("kill", "chatty")
    user.kill_agent()
    with open(user.instances / "chatty/console.log", "ab") as log:  # more than a socket holds
        log.write(b"an earlier boot\r\n" * 40000)
    user.do("ps")
    assert user.api("POST", "/v1/instances/chatty/start", {})[0] == 202
    user.wait_state("chatty", "running", 30)
    agent, early = user.agent_pid(), resident_kib(user.agent_pid())
    idle, readers = (follow(user, "chatty", 50) for _ in range(2))
    got = {reader: bytearray() for reader in readers}

    def read_all():
        for reader in select.select(readers, [], [], 0.1)[0]:
            got[reader] += reader.recv(1 << 20)
    logs = [user.instances / "chatty" / name for name in ("console.log", "console.log.1")]
    slowest_s, end = 0, time.monotonic() + 6
    # Not so much that the oldest of it is dropped.
    while time.monotonic() < end and sum(log.stat().st_size for log in logs if log.exists()) < 1 << 20:
        began = time.monotonic()
        assert user.api("POST", "/v1/instances/chatty/pause")[0] == 200
        assert user.api("POST", "/v1/instances/chatty/resume")[0] == 200
        slowest_s = max(slowest_s, time.monotonic() - began)
        read_all()
    assert slowest_s < 10
    user.do("pause", "chatty")
    said = subprocess.run([PIAGENT, "logs", "chatty"], env=user.env, stdout=subprocess.PIPE, timeout=60, check=True).stdout
    assert len(said) > 40000 * 17 + 5000

    def complete():
        read_all()
        return all(len(body(reply)) >= len(said) for reply in got.values())
    wait_for("all that read have all of it", complete, 60)
    assert all(body(reply) == said for reply in got.values())
    # To hold what fifty have not read would take 80 MiB.
    assert resident_kib(agent) < early + (32 << 10)
    for viewer in idle + readers:
        viewer.close()


def test_a_full_disk_loses_what_the_guest_prints_and_not_the_guest(user):
    user.own_disk()
    user.boot("chatty", boot_sectors.chatty(user.home))
    user.leave_room(100 << 10)
    log = user.instances / "chatty/console.log"

    def stands():
        before = log.stat().st_size
        time.sleep(2)
        return log.stat().st_size == before
    wait_for("the log can take no more", stands, 60)
    with promptly():
        user.do("pause", "chatty")
        user.do("resume", "chatty")
    assert user.state("chatty") == "running"
    full = log.stat().st_size
    user.leave_room(4 << 20)
    wait_for("the log goes on", lambda: log.stat().st_size > full + 2000, 30)
    assert set(user.do("logs", "chatty").splitlines()[1:-1]) >= {"0123456789abcdef"}
    user.do("kill", "chatty")


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1])


def test_a_guest_that_prints_without_end_costs_bounded_disk_and_memory(user):
    user.boot("chatty", boot_sectors.chatty(user.home))
    folder = user.instances / "chatty"
    wait_for("its log has turned over", (folder / "console.log.1").exists, 120)
    agent, early = user.agent_pid(), resident_kib(user.agent_pid())
    turned = (folder / "console.log.1").stat().st_ino
    wait_for("its log has turned over again", lambda: (folder / "console.log.1").stat().st_ino != turned, 120)
    assert sum(path.stat().st_size for path in folder.glob("console.log*")) <= 16 << 20
    assert resident_kib(agent) < early + (8 << 10)
    with promptly():
        user.do("ps")
    lines = user.do("logs", "chatty").splitlines()
    assert len(lines) > 50000
    assert set(lines[1:-1]) == {"0123456789abcdef"}
