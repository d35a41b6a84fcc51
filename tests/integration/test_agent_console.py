"""The serial console: the agent reads it at all times, whoever looks on; what is typed reaches the guest."""

import os
import signal
import subprocess
import termios
import time

import boot_sectors
import pexpect
import pytest
from piagent import CONFLICT, PIAGENT, User, wait_for


@pytest.fixture
def user():
    with User() as user:
        yield user


def spawn(user, *args):
    return pexpect.spawn(PIAGENT, list(args), env=user.env, timeout=60, encoding="latin-1")


def test_a_terminal_is_attached_and_left_as_it_was(user):
    user.boot("echo", boot_sectors.echo(user.home))
    terminal = spawn(user, "console", "echo")
    before = termios.tcgetattr(terminal.child_fd)
    terminal.expect("Ctrl-] leaves it")
    terminal.expect("hello")
    assert termios.tcgetattr(terminal.child_fd) != before
    terminal.send("HAL\x03")  # Ctrl-C is a key like others
    terminal.expect("IBM")
    wait_for("Ctrl-C has arrived", lambda: user.console("echo").endswith(b"IBM\x04"), 20)
    terminal.sendcontrol("]")
    terminal.expect("echo runs on; come back with: piagent console echo")
    terminal.expect(pexpect.EOF)
    assert termios.tcgetattr(terminal.child_fd) == before
    terminal.close()
    assert terminal.exitstatus == 0
    assert user.state("echo") == "running"


def test_the_end_of_the_machine_ends_the_console_and_restores_the_terminal(user):
    user.boot("off", boot_sectors.poweroff_when_told(user.home))
    terminal = spawn(user, "console", "off")
    before = termios.tcgetattr(terminal.child_fd)
    terminal.expect("hello")
    terminal.send("x")
    terminal.expect("off: stopped")
    terminal.expect(pexpect.EOF)
    assert termios.tcgetattr(terminal.child_fd) == before
    terminal.close()
    assert terminal.exitstatus == 0
    assert "logs off" in user.refused(CONFLICT, "console", "off")
    assert user.do("logs", "off") == "hello\n"


def test_every_viewer_sees_the_same_also_from_before_it_came(user):
    user.boot("echo", boot_sectors.echo(user.home))
    first, second = (user.start("logs", "-f", "echo") for _ in range(2))
    user.type("echo", "HAL")
    wait_for("the guest answers", lambda: user.console("echo").endswith(b"IBM"), 20)
    user.do("rm", "--force", "echo")
    for viewer in (first, second):
        out, _ = viewer.communicate(timeout=30)
        assert (viewer.returncode, out) == (0, "hello\nIBM"), out


def test_bytes_pass_as_they_are_where_there_is_no_terminal(user):
    user.boot("echo", boot_sectors.echo(user.home))
    sent = bytes(range(256))
    with subprocess.Popen([PIAGENT, "console", "echo"], env=user.env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as viewer:
        viewer.stdin.write(sent)
        viewer.stdin.close()
        expected = b"hello\r\n" + bytes((byte + 1) % 256 for byte in sent)
        wait_for("all of it comes back", lambda: len(user.console("echo")) >= len(expected), 60)
        viewer.terminate()
        viewer.wait(20)
    assert user.console("echo") == expected


def test_a_guest_that_does_not_read_is_not_typed_at_for_ever(user):
    user.boot("deaf", boot_sectors.deaf(user.home))
    answers = [user.api("POST", "/v1/instances/deaf/console", "x" * 50000) for _ in range(8)]
    assert answers[0][0] == 200
    assert answers[-1][0] == 409
    assert "does not read" in answers[-1][1]["error"]["message"]
    user.do("pause", "deaf")
    user.wait_state("deaf", "paused", 10)


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
        began = time.monotonic()
        user.do("pause", "chatty")
        user.wait_state("chatty", "paused", 5)
        assert time.monotonic() - began < 5
    finally:
        stopped.kill()
        stopped.communicate()


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
    began = time.monotonic()
    user.do("ps")
    assert time.monotonic() - began < 5
    lines = user.do("logs", "chatty").splitlines()
    assert len(lines) > 50000
    assert set(lines[1:-1]) == {"0123456789abcdef"}
