# SPDX-License-Identifier: MIT
"""How a boot is shown while it goes on: landmarks, the steps of cloud-init, estimates, several at once, and why one does not end."""

import json
import os
import re
import select
import signal
import subprocess
import time

import boot_sectors
import pexpect
import pytest
from piagent import CONFLICT, GUEST, PIAGENT, TIMEOUT, User, fake_qemu, wait_for
from test_hostile_guest import Guest

BOOT = b"SeaBIOS (version 1)\r\nGRUB loading.\r\n[    0.000000] Linux version 6\r\nWelcome to \x1b[1mDebian\x1b[0m!\r\nbox login: "


@pytest.fixture
def user():
    with User() as user:
        yield user


def landmarks(user, name):
    return [event["landmark"] for event in user.events(name) if event["kind"] == "landmark"]


def boot_to_the_end(guest, result="SUCCESS", failed=()):
    for stage in ("init-network", "modules-config", "modules-final"):
        guest.report(stage)
        for module in failed:
            if module.startswith(f"{stage}/"):
                guest.report(module, "FAIL", "running it with frequency once")
        guest.report(stage, result)


def finish(command, timeout=60):
    out, _ = command.communicate(timeout=timeout)
    return command.returncode, out


def test_the_consoles_landmarks_are_events_each_once_a_boot(user):
    user.boot("box", boot_sectors.says(user.home, BOOT))
    wait_for("the login prompt", lambda: "login" in landmarks(user, "box"), 30)
    kinds = [event["kind"] for event in user.events("box")]
    assert kinds.index("boot") < kinds.index("landmark")
    assert landmarks(user, "box") == ["firmware", "bootloader", "kernel", "init", "login"]
    assert "Welcome to Debian!" in user.texts("box")
    user.kill_agent()
    wait_for("a new agent has its monitor", lambda: user.call("reset", "box").returncode == 0, 30)
    wait_for("they come again", lambda: len(landmarks(user, "box")) == 10, 30)


def test_several_are_waited_for_at_once_and_each_says_how_it_goes(user):
    disk = boot_sectors.says(user.home, BOOT)
    names = ["one", "two"]
    user.boot_all(names, disk)
    command = user.start("wait", *names)
    for name in names:
        boot_to_the_end(Guest(user, name))
    code, out = finish(command)
    assert code == 0, out
    for name in names:
        assert f"{name}: ready" in out
    again = user.call("wait", *names)
    assert (again.returncode, again.stderr) == (0, "one: ready\ntwo: ready\n")


def test_an_instance_that_is_named_twice_is_waited_for_once(user):
    user.boot("box", boot_sectors.says(user.home, BOOT))
    command = user.start("wait", "box", "box")
    boot_to_the_end(Guest(user, "box"), "FAIL", ["modules-final/config-scripts-user"])
    code, out = finish(command)
    assert code == GUEST and out.count("cloud-init failed") == 1, out


def test_progress_fits_a_small_terminal(user):
    names, rows, columns = ["one", "two", "three"], 2, 10
    user.boot_all(names, boot_sectors.says(user.home, BOOT))
    terminal = pexpect.spawn(PIAGENT, ["wait", *names], env=user.env, timeout=60, dimensions=(rows, columns), encoding="utf-8")
    terminal.expect(r"\x1b\[A")  # drawn, and now drawn again
    first = terminal.before.replace("\x1b[K", "").rstrip("\r").split("\r\n")
    terminal.close()
    assert len(first) == rows and max(len(line.strip("\r")) for line in first) < columns, first


@pytest.fixture
def fakes():
    with User(**fake_qemu()) as user:
        yield user


def follow_on_a_terminal(user, names, **dimensions):
    """piagent wait that has drawn its lines, and now draws them again."""
    user.boot_all(names, boot_sectors.deaf(user.home))
    terminal = pexpect.spawn(PIAGENT, ["wait", *names], env=user.env, timeout=60, encoding="utf-8", **dimensions)
    terminal.expect(r"\x1b\[A")
    return terminal


def test_the_first_instances_are_shown_where_not_all_fit(fakes):
    names = [f"pi-{n}" for n in range(1, 7)]
    terminal = follow_on_a_terminal(fakes, names, dimensions=(5, 80))
    shown = [line.strip("\r").split(":")[0] for line in terminal.before.replace("\x1b[K", "").split("\n")]
    terminal.close()
    assert shown == ["pi-1", "pi-2", "pi-3", "and 3 more"]


def test_lines_that_a_narrower_terminal_wraps_are_taken_away_whole(fakes):
    terminal = follow_on_a_terminal(fakes, ["one", "two"], dimensions=(24, 80))
    terminal.setwinsize(24, 12)
    terminal.expect(r"(\x1b\[K\x1b\[A){3,}")  # the two lines take at least two rows each
    terminal.expect(r"two")
    terminal.expect(r"\r\x1b\[K\x1b\[Aone")
    terminal.close()


def test_after_a_stop_it_draws_below_what_the_shell_wrote(fakes):
    fakes.boot_all(["one", "two"], boot_sectors.deaf(fakes.home))
    shell = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], env=fakes.env, timeout=60, dimensions=(24, 80), encoding="utf-8")
    shell.sendline(f"{PIAGENT} wait one two")
    shell.expect(r"\x1b\[A")
    shell.sendcontrol("z")
    shell.expect("Stopped")
    shell.sendline("fg")
    shell.expect(r"wait one two\r\n(.*?)one: ")
    below = shell.match.group(1)
    shell.expect(r"\x1b\[Aone: ")  # and from there on over its own lines
    shell.close(force=True)
    assert "\x1b[A" not in below, below


def test_the_second_boot_has_an_estimate(user):
    disk = boot_sectors.says(user.home, BOOT)
    user.boot("box", disk)
    boot_to_the_end(Guest(user, "box"))
    user.wait_state("box", "ready")
    user.do("kill", "box")
    assert not any("left_ms" in event for event in user.events("box"))
    user.do("agent", "stop")
    user.boot("again", disk)
    [boot] = [event for event in user.events("again") if event["kind"] == "boot"]
    assert boot["left_ms"] > 0


def test_damaged_times_of_earlier_boots_are_begun_anew(user):
    (user.home / "data/piagent").mkdir(parents=True, mode=0o700)
    (user.home / "data/piagent/boots.json").write_text("{\x00")
    user.boot("box", boot_sectors.says(user.home, BOOT))
    boot_to_the_end(Guest(user, "box"))
    user.wait_state("box", "ready")
    wait_for("its time is kept", lambda: "\x00" not in (user.home / "data/piagent/boots.json").read_text(), 20)
    assert len(json.loads((user.home / "data/piagent/boots.json").read_text())["boots"]) == 1


def test_what_failed_is_told_with_what_the_console_says_of_it(user):
    said = b"boot\r\n[   52.7] cloud-init[324]: cc_scripts_user.py[WARNING]: Failed to run \x1b[2Jmodule\r\nlast words\r\n"
    user.boot("box", boot_sectors.says(user.home, said))
    command = user.start("wait", "box")
    boot_to_the_end(Guest(user, "box"), "FAIL", ["modules-final/config-scripts-user"])
    code, out = finish(command)
    assert code == GUEST
    assert "    [ 52.7] cloud-init[324]: cc_scripts_user.py[WARNING]: Failed to run module" in out, out
    assert "    last words" in out
    assert "box: cloud-init failed: modules-final/config-scripts-user" in out
    assert "box: cloud-init failed: piagent ssh box -- cloud-init status --long" in user.do("ps")


def test_only_time_without_progress_ends_a_wait_and_the_instance_runs_on(user):
    user.boot("still", boot_sectors.says(user.home, b"last words\r\n"))
    done = user.call("wait", "still", "--timeout", "6s")
    assert done.returncode == TIMEOUT, done.stderr
    assert "  its console ends with: last words\n" in done.stderr and "still shows no progress" in done.stderr
    assert user.state("still") == "running"


def test_a_boot_that_says_nothing_is_told_what_that_usually_means_and_its_wait_ends_by_itself(user):
    user.boot("early", boot_sectors.deaf(user.home))
    user.boot("late", boot_sectors.says(user.home, b"[    0.000000] Linux version 6.12\r\n"))
    boots = {name: user.start_watched("wait", name) for name in ("early", "late")}
    patient = [user.start_watched("wait", "early", "--timeout", "none"), user.start_watched("wait", "early", "--timeout", "0"),
               user.start_watched("wait", "early", "--for", "stopped")]
    words = {"early": "--arch", "late": "console="}
    for name, (command, pass_time) in boots.items():
        assert command.stdout.readline().startswith(f"{name}: ")  # how far it is: it has begun to wait
        pass_time(61)
        line = next(line for line in command.stdout if "for a minute" in line)
        assert line.startswith(f"{name}: nothing on its console for a minute: ") and words[name] in line, line
        pass_time(800)
        time.sleep(2)
        assert command.poll() is None
        pass_time(901)
        code, out = finish(command)
        assert code == TIMEOUT and f"{name} shows no progress" in out and "--timeout" in out, out
        assert "for a minute" not in out
        assert user.state(name) == "running"
    for command, pass_time in patient:
        pass_time(100000)
    time.sleep(3)
    assert [command.poll() for command, _ in patient] == [None] * 3


def test_a_guest_that_only_prints_is_waited_for(user):
    user.boot("chatty", boot_sectors.chatty(user.home))
    command = user.start("wait", "chatty", "--timeout", "1s")
    before = user.status("chatty")["last_sign_ms"]
    wait_for("it prints for longer than that", lambda: user.status("chatty")["last_sign_ms"] > before + 7000, 30)
    assert command.poll() is None
    user.do("kill", "chatty")
    # On a busy machine the kill may take longer than the time that the guest may be quiet.
    assert finish(command)[0] in (CONFLICT, TIMEOUT)


def test_events_are_json_lines_with_the_instances_name(user):
    user.boot("box", boot_sectors.says(user.home, BOOT))
    command = user.start("wait", "box", "--json")
    assert select.select([command.stdout], [], [], 30)[0]
    boot_to_the_end(Guest(user, "box"))
    code, out = finish(command)
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and {event["name"] for event in events} == {"box"}
    assert events[0]["kind"] == "boot" and "ready" in [event.get("state") for event in events]


def test_events_that_nobody_can_get_are_an_error(user):
    """If standard output is closed, the connection to the agent would get its descriptor."""
    user.boot("box", boot_sectors.says(user.home, BOOT))
    done = subprocess.run(["sh", "-c", f"exec {PIAGENT} events box >&-"], env=user.env, stderr=subprocess.PIPE, text=True,
                          timeout=60, check=False)
    assert done.returncode != 0 and "Bad file descriptor" in done.stderr, done


def test_a_stopped_instance_is_waited_for_only_as_far_as_it_can_come(user):
    user.boot("box", boot_sectors.poweroff_when_told(user.home))
    command = user.start("wait", "box", "--for", "stopped")
    user.type("box", "x")
    assert finish(command)[0] == 0
    assert "piagent start -d box" in user.refused(CONFLICT, "wait", "box")


def test_a_request_that_qemu_does_not_answer_is_not_waited_for_in_silence(user):
    user.boot("box", boot_sectors.deaf(user.home))
    pid = user.status("box")["pid"]
    os.kill(pid, signal.SIGSTOP)
    done = user.call("reset", "box")
    os.kill(pid, signal.SIGCONT)
    assert done.returncode == TIMEOUT
    assert done.stderr.startswith("no answer yet"), done.stderr


def test_following_the_log_of_a_stopped_instance_says_so(user):
    user.boot("box", boot_sectors.says(user.home, b"old words\r\n"))
    user.do("kill", "box")
    command = user.start("logs", "-f", "box")
    assert command.stdout.readline().startswith("box is stopped: more is shown when it is started")


def test_a_later_boot_has_its_own_time_until_it_is_ready(fakes):
    fakes.boot("a", boot_sectors.deaf(fakes.home))
    boot_to_the_end(Guest(fakes, "a"))
    first = fakes.wait_state("a", "ready", 30)
    time.sleep(2)
    fakes.do("reset", "a")
    instance = fakes.wait_state("a", "running", 30)
    assert not instance.get("ready_ms") and instance["boot_ms"] > first["ready_ms"] and "after" not in fakes.do("status", "a"), instance
    boot_to_the_end(Guest(fakes, "a"))
    instance = fakes.wait_state("a", "ready", 30)
    assert instance["boot_ms"] - instance["started_ms"] >= 2000, instance
    shown = float(re.search(r"done, modules-final, after ([0-9.]+)s", fakes.do("status", "a"))[1])
    assert abs(shown - (instance["ready_ms"] - instance["boot_ms"]) / 1000) < 0.2, instance


def test_a_stop_in_the_middle_of_a_boot_is_not_shown_as_its_steps(fakes):
    fakes.boot("a", boot_sectors.deaf(fakes.home))
    fakes.tell_fake("a", "ignore=system_powerdown")
    stop = fakes.start("powerdown", "a", "--timeout", "4s")
    fakes.wait_state("a", "stopping", 20)
    fakes.tell_fake("a", "ignore=system_powerdown\n>Linux version 6\n>Welcome to Debian!\n>box login: \n")
    Guest(fakes, "a").report("init-network")
    code, out = finish(stop)
    shown = [line for line in out.splitlines() if any(step in line for step in ("kernel", "init", "login", "firmware"))]
    assert code == 9 and not shown, out
