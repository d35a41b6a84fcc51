# SPDX-License-Identifier: MIT
"""A QEMU command for a person's own shell: run as it is printed, with the console on the terminal."""

import shlex

import boot_sectors
import pexpect
import pytest
from piagent import User


@pytest.fixture(scope="module")
def user():
    with User() as user:
        yield user


def run_it(user, command):
    return pexpect.spawn("bash", ["-c", command], env=user.env, timeout=60, encoding="latin-1")


def until_its_poweroff(terminal):
    terminal.expect("hello")
    terminal.send("x")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before


@pytest.mark.parametrize("isolate", (False, True))
def test_the_command_runs_as_it_is(user, isolate):
    user.boot("off", boot_sectors.poweroff_when_told(user.home), isolate=isolate)
    live = user.call("qemu-command", "off", "--standalone")
    assert live.returncode == 0 and "off is running, and its disk and ports are in use: first piagent powerdown off" in live.stderr
    user.do("kill", "off")
    command = user.do("qemu-command", "off", "--standalone").strip()
    assert command == live.stdout.strip()
    until_its_poweroff(run_it(user, command))
    # Also as an array, comments and all; and the agent's own start is as before.
    until_its_poweroff(run_it(user, user.do("explain", "off", "--standalone") + '"${command[@]}"'))
    assert "-S" in shlex.split(user.do("qemu-command", "off")) and "fd=4" in user.do("qemu-command", "off")
    assert user.api("POST", "/v1/instances/off/start")[0] == 202
    user.wait_state("off", "running")
    user.do("rm", "--force", "off")


def test_the_monitor_ends_it(user):
    user.boot("deaf", boot_sectors.deaf(user.home))
    user.do("kill", "deaf")
    terminal = run_it(user, user.do("qemu-command", "deaf", "--standalone"))
    terminal.expect("hello")
    terminal.send("\x03")  # Ctrl-C is the guest's
    terminal.send("\x01x")
    terminal.expect("QEMU: Terminated")
    terminal.expect(pexpect.EOF)
