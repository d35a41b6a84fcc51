"""The agent with real QEMUs and guests of one boot sector: requests, states, the ladder, the console."""

import os
import signal
import time

import boot_sectors
import pexpect
import pytest
from piagent import CONFLICT, PIAGENT, User, is_running, wait_for


@pytest.fixture
def user():
    with User() as user:
        yield user


def make(user, name, disk, *options):
    """A machine that has said hello, started in the background by a run that goes on following it."""
    run = user.start("run", name, "--image", disk, "--image-unverified", "--memory", "256M", "--disk", "1M", *options)
    log = user.instances / name / "console.log"
    wait_for(f"{name} says hello", lambda: log.exists() and log.stat().st_size > 6, 60)
    assert user.state(name) == "running"
    return run


def end(user, name):
    user.do("kill", name)
    user.wait_state(name, "stopped", 30)


def test_pause_resume_and_reset_are_answered_and_shown(user):
    make(user, "one", boot_sectors.deaf(user.home))
    user.do("pause", "one")
    user.wait_state("one", "paused", 10)
    user.refused(CONFLICT, "pause", "one")
    user.do("resume", "one")
    user.wait_state("one", "running", 10)
    size = (user.instances / "one/console.log").stat().st_size
    user.do("reset", "one")
    wait_for("it says hello again", lambda: (user.instances / "one/console.log").stat().st_size > size, 30)
    states = [event["state"] for event in user.events("one") if event["kind"] == "state"]
    assert states[-3:] == ["running", "paused", "running"]
    assert any("reset" in event.get("text", "") for event in user.events("one"))
    end(user, "one")


def test_a_guest_that_ignores_powerdown_is_ended_by_quit_and_it_is_said(user):
    make(user, "deaf", boot_sectors.deaf(user.home))
    done = user.call("powerdown", "deaf", "--timeout", "2s")
    machine = user.status("deaf")
    assert (machine["state"], machine["stopped_by"]) == ("stopped", "quit"), machine
    assert "quit" in done.stdout + done.stderr


def test_a_stopped_qemu_is_ended_by_a_signal(user):
    make(user, "hung", boot_sectors.deaf(user.home))
    pid = user.status("hung")["pid"]
    os.kill(pid, signal.SIGSTOP)
    user.call("powerdown", "hung", "--timeout", "1s", timeout=60)
    machine = user.status("hung")
    assert machine["state"] == "stopped" and machine["stopped_by"] in ("term", "kill"), machine
    assert not is_running(pid)


def test_a_guest_that_powers_itself_off_is_stopped(user):
    make(user, "off", boot_sectors.poweroff_when_told(user.home))
    assert user.api("POST", "/v1/instances/off/console", "x")[0] == 200
    assert user.wait_state("off", "stopped", 30)["stopped_by"] == "guest"
    assert user.api("POST", "/v1/instances/off/start", {})[0] == 202
    wait_for("it runs again", lambda: user.state("off") == "running", 30)
    end(user, "off")
    user.do("rm", "off")
    assert not list(user.instances.iterdir())


def test_a_qemu_that_dies_is_lost_with_the_reason(user):
    make(user, "dies", boot_sectors.deaf(user.home))
    os.kill(user.status("dies")["pid"], signal.SIGKILL)
    machine = user.wait_state("dies", "lost", 20)
    assert "SIGKILL" in machine["reason"]


def test_what_is_typed_reaches_the_guest_and_its_answer_the_viewer(user):
    make(user, "echo", boot_sectors.echo(user.home))
    terminal = pexpect.spawn(PIAGENT, ["console", "echo"], env=user.env, timeout=30, encoding="latin-1")
    terminal.expect("hello")
    terminal.send("HAL")
    terminal.expect("IBM")
    terminal.sendcontrol("]")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0 and user.state("echo") == "running"
    assert "IBM" in user.do("logs", "echo")
    end(user, "echo")


def test_a_viewer_that_stops_reading_and_a_guest_that_never_stops_printing_hold_nobody_up(user):
    make(user, "chatty", boot_sectors.chatty(user.home))
    viewer = user.start("logs", "chatty", "-f")
    viewer.send_signal(signal.SIGSTOP)
    try:
        time.sleep(3)
        began = time.monotonic()
        user.do("ps")
        user.do("pause", "chatty")
        assert time.monotonic() - began < 5
        kept = sum(path.stat().st_size for path in (user.instances / "chatty").glob("console.log*"))
        assert kept <= 2 << 20
        with open(f"/proc/{user.agent_pid()}/status", encoding="ascii") as status:
            rss = next(line for line in status if line.startswith("VmRSS")).split()[1]
        assert int(rss) < 64 << 10
    finally:
        viewer.kill()
        viewer.communicate()
    end(user, "chatty")


def test_sigterm_to_a_foreground_run_powers_the_machine_down(user):
    run = make(user, "job", boot_sectors.deaf(user.home))
    run.send_signal(signal.SIGTERM)
    wait_for("it is asked to power off", lambda: user.state("job") == "stopping", 20)
    assert any("power off" in event.get("text", "") for event in user.events("job"))
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert user.state("job") == "stopped"


def test_kvm_that_runs_no_guest_is_found_out_once(user):
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("cannot here: there is no /dev/kvm to find out about")
    disk = boot_sectors.deaf(user.home)
    make(user, "first", disk)
    if user.status("first")["accel"] == "kvm":
        pytest.skip("cannot here: KVM runs guests on this machine")
    assert (user.runtime / "kvm-runs-no-guest").exists()
    make(user, "second", disk)
    told = [event for event in user.events("second") if "TCG" in event.get("text", "")]
    assert user.status("second")["accel"] == "tcg" and not told
