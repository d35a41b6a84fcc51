# SPDX-License-Identifier: MIT
"""`piagent run` and `start` while they follow their instance: in a terminal, without one, and when they are interrupted."""

import os
import signal
import termios
import threading

import boot_sectors
import pexpect
import pytest
from faults import FragileUser
from fedora_server import FedoraServer, Image
from piagent import GUEST, NETWORK, PIAGENT, UNVERIFIED, User, fake_qemu, terminal_settings, wait_for
from relay import relay
from test_hostile_guest import Guest


@pytest.fixture
def user():
    with User() as user:
        yield user


def words(name, disk, *more):
    return ["run", name, "--image", disk, "--image-unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M",
            "--disk", "1M", *more]


def run(user, name, disk, *more):
    """A run in the foreground whose instance has said hello."""
    command = user.start(*words(name, disk, *more))
    wait_for("it says hello", lambda: b"hello" in user.console(name), 60)
    user.wait_state(name, "running", 10)
    return command


def finish(command, timeout=60):
    out, _ = command.communicate(timeout=timeout)
    return command.returncode, out


def test_without_a_terminal_it_tells_each_step_and_ends_with_the_instance(user):
    command = run(user, "job", boot_sectors.poweroff_when_told(user.home))
    user.type("job", "x")
    code, out = finish(command)
    assert code == 0, out
    steps = [line.removeprefix("job: ") for line in out.splitlines() if line.startswith("job: ")]
    assert steps[-1].startswith("stopped")
    for step in ("starting", "running"):
        assert step in steps
    assert "\x1b" not in out and "\r" not in out
    command = user.start("start", "job")
    wait_for("it says hello again", lambda: user.console("job").count(b"hello") == 2, 60)
    user.wait_state("job", "running", 10)
    user.type("job", "x")
    assert finish(command)[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_an_interrupt_powers_the_guest_down_in_order(user, number):
    command = run(user, "job", boot_sectors.obedient(user.home))
    user.type("job", "x")
    wait_for("it is up", lambda: b"up" in user.console("job"), 30)
    command.send_signal(number)
    code, out = finish(command)
    assert code == 0, out
    assert "job: powering down; interrupt again to kill it" in out
    assert user.status("job")["stopped_by"] == "powerdown"


def test_a_second_interrupt_kills_a_guest_that_does_not_listen(user):
    command = run(user, "job", boot_sectors.deaf(user.home))
    command.send_signal(signal.SIGTERM)
    user.wait_state("job", "stopping", 20)
    command.send_signal(signal.SIGTERM)
    finish(command)
    instance = user.status("job")
    assert (instance["state"], instance["stopped_by"]) == ("stopped", "quit")


def test_a_terminal_that_is_closed_stops_no_instance(user):
    command = run(user, "job", boot_sectors.deaf(user.home))
    command.send_signal(signal.SIGHUP)
    code, out = finish(command)
    assert code == 128 + signal.SIGHUP
    assert "job goes on; wait for it with: piagent wait job, stop it with: piagent powerdown job" in out
    assert user.state("job") == "running"


def test_a_second_interrupt_does_not_wait_until_all_is_undone():
    hidden = threading.Event()

    def hide_end(data):
        if b'"stopped"' in data:
            hidden.set()
        return data.replace(b'"stopped"', b'"running"')
    with User(**fake_qemu("silent=cont")) as user, relay(user, answered=hide_end) as environment:
        command = user.start(*words("half", boot_sectors.deaf(user.home), "-d"), environment=environment)

        def is_starting():
            assert command.poll() is None, finish(command)
            return user.call("status", "half").returncode == 0 and user.status("half").get("pid")
        wait_for("QEMU is being started", is_starting, 60)
        command.send_signal(signal.SIGINT)
        assert hidden.wait(60) and command.poll() is None
        command.send_signal(signal.SIGINT)
        code, out = finish(command)
        assert code == 128 + signal.SIGINT, out
        assert "half: interrupted again before it was undone: it may still be there; remove it with: piagent rm --force half" in out


@pytest.mark.parametrize("swapped", [False, True], ids=["itself", "another of its name"])
@pytest.mark.parametrize("more", [["-d"], []], ids=["detached", "attached"])
def test_a_command_that_stood_still_undoes_nothing_that_has_run_meanwhile(more, swapped):
    with User(**fake_qemu()) as user:
        disk = boot_sectors.deaf(user.home)
        command = user.start(*words("job", disk, *more))
        wait_for("it is being made", (user.instances / "job").exists, 60, 0.001)
        command.send_signal(signal.SIGSTOP)  # as Ctrl-Z does
        user.wait_state("job", "running", 60)
        if swapped:
            user.do("rm", "--force", "job")
            assert user.create("job", image=disk, image_unverified=True, arch="x86_64", accel="tcg", cpus=1, memory_mib=256,
                               disk_bytes=1 << 20)[0] == 202
        pid = user.wait_state("job", "running", 60)["pid"]
        command.send_signal(signal.SIGINT)
        command.send_signal(signal.SIGCONT)
        if more or swapped:
            code, out = finish(command)
            assert code, out
            assert user.status("job")["state"] == "running" and user.status("job")["pid"] == pid, out
        else:  # a guest that runs in the foreground is powered down, and kept
            code, out = finish(command)
            assert code == 0 and user.state("job") == "stopped", out


def test_an_instance_that_is_lost_is_an_error(user):
    command = run(user, "job", boot_sectors.deaf(user.home))
    os.kill(user.status("job")["pid"], signal.SIGKILL)
    code, out = finish(command)
    assert code == GUEST
    assert out.splitlines()[-1].startswith("piagent: job was lost: QEMU ended (killed by SIGKILL)")


def test_an_instance_that_stops_before_it_was_ready_is_an_error_for_who_waits_for_that(user):
    command = run(user, "job", boot_sectors.poweroff_when_told(user.home), "-d")
    user.type("job", "x")
    code, out = finish(command)
    assert code == GUEST
    assert "piagent: job stopped before it was ready" in out


def test_an_interrupt_while_the_image_comes_undoes_all_of_it(user):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        user.env.update(fedora.env)
        command = user.start("run", "half", "--arch", "x86_64")
        wait_for("it downloads", lambda: any(path.startswith("/mirror/") for path in fedora.requests), 30)
        command.send_signal(signal.SIGINT)
        code, out = finish(command)
        assert code == 128 + signal.SIGINT
        assert "half: interrupted, and undone" in out
        assert user.ps() == []
        user.nothing_left()


@pytest.mark.parametrize("more", [[], ["-d"]], ids=["attached", "detached"])
def test_an_interrupt_before_the_guest_ran_undoes_all_of_it(more):
    with User(**fake_qemu("silent=cont")) as user:
        command = user.start(*words("half", boot_sectors.deaf(user.home), *more))
        wait_for("QEMU is being started", lambda: user.call("status", "half").returncode == 0 and user.status("half").get("pid"), 60)
        assert user.state("half") == "starting"
        command.send_signal(signal.SIGINT)
        code, out = finish(command)
        assert code == 128 + signal.SIGINT, out
        assert "half: interrupted, and undone" in out
        assert user.ps() == []
        user.nothing_left()


def test_an_interrupt_before_the_agent_has_answered_undoes_all_of_it():
    with FragileUser(**fake_qemu()) as user:
        user.do("ps")
        user.arm("slow 3000")
        command = user.start(*words("half", boot_sectors.deaf(user.home)))
        wait_for("it is being made", (user.instances / "half").exists, 30, every=0.05)
        command.send_signal(signal.SIGINT)
        code, out = finish(command)
        assert code == 128 + signal.SIGINT, out
        user.disarm()
        assert user.ps() == []
        user.nothing_left()


def test_who_interrupts_the_wait_for_a_stop_gets_the_signals_exit_code(user):
    for name in ("a", "b"):
        user.boot(name, boot_sectors.deaf(user.home))
    command = user.start("powerdown", "a", "b")
    for name in ("a", "b"):
        user.wait_state(name, "stopping", 20)
    command.send_signal(signal.SIGINT)
    code, out = finish(command)
    assert code == 128 + signal.SIGINT and "it goes on stopping" in out, out
    assert user.state("a") == "stopping"


@pytest.mark.parametrize("fault, code", [("wrong", UNVERIFIED), ("truncate", NETWORK)])
def test_an_image_that_does_not_come_right_is_one_line_and_leaves_nothing(user, fault, code):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": fault, "metalink": "404"}) as fedora:
        user.env.update(fedora.env)
        user.refused(code, "run", "half", "--arch", "x86_64", "-d")
        user.nothing_left()
        # Its name is free again, also while the failed one can still be asked about.
        user.refused(code, "run", "half", "--arch", "x86_64", "-d")


def terminal(user, *args):
    return pexpect.spawn(PIAGENT, list(args), env=user.env, timeout=60, encoding="latin-1", dimensions=(24, 100))


def test_in_a_terminal_the_console_is_attached_and_can_be_left(user):
    shell = terminal(user, *words("pi", boot_sectors.echo(user.home)))
    shell.expect("pi: the serial console; Ctrl-\\] leaves it")
    shell.expect("hello")
    assert termios.tcgetattr(shell.child_fd) != terminal_settings()
    shell.send("HAL")
    shell.expect("IBM")
    shell.sendcontrol("]")
    shell.expect("pi runs on; come back with: piagent console pi")
    shell.expect(pexpect.EOF)
    assert termios.tcgetattr(shell.child_fd) == terminal_settings()
    shell.close()
    assert shell.exitstatus == 0
    assert user.state("pi") == "running"


def test_in_a_terminal_the_command_ends_with_the_instance(user):
    shell = terminal(user, *words("pi", boot_sectors.poweroff_when_told(user.home)))
    shell.expect("hello")
    shell.send("x")
    shell.expect("pi: stopped")
    shell.expect(pexpect.EOF)
    assert termios.tcgetattr(shell.child_fd) == terminal_settings()
    shell.close()
    assert shell.exitstatus == 0


def test_in_a_terminal_a_guest_whose_cloud_init_failed_fails_the_command_even_if_it_powers_off(user):
    shell = terminal(user, *words("pi", boot_sectors.poweroff_when_told(user.home)))
    shell.expect("hello")
    guest = Guest(user, "pi")
    guest.report("modules-final")
    guest.report("modules-final", "FAIL")
    wait_for("it is told", lambda: user.status("pi")["cloud_init"] == "failed", 30)
    shell.send("x")
    shell.expect("pi: stopped")
    shell.expect(pexpect.EOF)
    shell.close()
    assert shell.exitstatus == GUEST


def test_in_a_terminal_a_download_has_a_bar(user):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        user.env.update(fedora.env)
        shell = terminal(user, "run", "half", "--arch", "x86_64")
        shell.expect("%")
        shell.sendintr()
        shell.expect("interrupted, and undone")
        shell.expect(pexpect.EOF)
        shell.close()
        assert shell.exitstatus == 128 + signal.SIGINT
        user.nothing_left()


def test_steps_of_a_download_are_lines_where_there_is_no_terminal(user):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": "hold"}) as fedora:
        user.env.update(fedora.env)
        command = user.start("run", "pi", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M", "--disk", "1M")
        lines = iter(command.stdout.readline, "")
        assert any(line.lower().startswith("pi: downloading") for line in lines)
        fedora.faults.clear()  # the download goes on
        wait_for("it says hello", lambda: b"hello" in user.console("pi"), 60)
        user.do("kill", "pi")
        finish(command)
        assert user.status("pi")["image_verified"]