# SPDX-License-Identifier: MIT
"""Boots that get stuck, with real firmware: the reason is told by the console, and taken back if the boot goes on after all."""

import pathlib
import subprocess
import time

import boot_sectors
import pytest
from piagent import GUEST, User, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end, finish

PANIC = b"[    5.123456] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n"

# The guest's last words, and piagent's reason.
ENDS = {
    "panic": (b"Loading initial ramdisk\r\n[    4.9] Initramfs unpacking failed: junk\r\n" + PANIC + b"[    5.2] ---[ end Kernel panic ]---\r\n",
              "the guest's kernel panicked: VFS: Unable to mount root fs on unknown-block(0,0)"),
    "initrd": (b"ALERT!  UUID=5a does not exist.  Dropping to a shell!\r\n\r\nBusyBox v1.37\r\n(initramfs) ",
               "a shell waits on its console: ALERT! UUID=5a does not exist. Dropping to a shell!"),
    "dracut": (b"Warning: /dev/vda4 does not exist\r\nEntering emergency mode. Exit the shell to continue.\r\n:/# ",
               "a shell waits on its console: Entering emergency mode. Exit the shell to continue"),
    "grub": (b"error: no such partition.\r\nEntering rescue mode...\r\ngrub rescue> ", "the boot loader found no system to load: grub rescue>"),
}


@pytest.fixture
def user():
    with User() as user:
        yield user


def blank(user):
    disk = user.home / "blank.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True, timeout=60)
    return str(disk)


def stuck(user, name):
    return [event["text"] for event in user.events(name) if event["kind"] == "stuck"]


def test_a_boot_that_goes_no_further_ends_the_wait_and_says_what_it_is(user):
    for name, (said, _) in ENDS.items():
        user.boot(name, boot_sectors.says(user.home, said))
    user.boot("bios", blank(user))
    expected = {name: text for name, (_, text) in ENDS.items()} | {"bios": "the firmware found nothing to boot from: No bootable device"}
    code, out = finish(user.start("wait", *expected))
    assert code == GUEST, out
    for name, text in expected.items():
        assert f"piagent: {name} does not go on: " in out and f"{text}; its last words: piagent logs {name}" in out, out
        instance = user.status(name)
        assert instance["state"] == "running" and f"{text}; piagent logs {name} shows its last words" in instance["reason"], instance
        assert len(stuck(user, name)) == 1
    assert "the end of its console:" in out and "    grub rescue>" in out
    assert expected["grub"] in user.refused(GUEST, "ssh", "grub")
    timeline = user.do("timeline", "panic")
    assert "stuck after" in timeline
    user.kill_agent()
    assert expected["panic"] in user.do("ps")
    user.do("reset", "panic")
    assert "reason" not in user.status("panic")


INT3 = b"[    5.100000] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI\r\n[    5.2] CPU: 0\r\n"
FATAL = b"[    5.200000] Kernel panic - not syncing: Fatal exception in interrupt\r\n"


def boots(user, name):
    return [event["text"] for event in user.events(name) if event["kind"] == "boot"]


def test_an_emulated_boot_that_dies_by_qemus_race_is_begun_again_once_and_told(user):
    racy = boot_sectors.says(user.home, INT3 + FATAL)
    for name, cpus in (("races", 2), ("alone", 1)):
        user.boot(name, racy, cpus=cpus)
    command = user.start("wait", "races", "alone")
    wait_for("it is begun again", lambda: boots(user, "races") == ["started", "begun again"], 30)
    instance = user.status("races")
    assert instance["begun_again"] and "reason" not in instance, instance
    assert "begun again" in user.do("status", "races")
    code, out = finish(command)
    assert code == GUEST and "alone does not go on: the guest's kernel panicked: Fatal exception in interrupt;" in out, out
    assert "its kernel died by a race in QEMU, which emulates several processors here (int3): the boot is begun again, once" in user.texts("races")
    assert "races does not go on: the guest's kernel panicked: Fatal exception in interrupt (a race of QEMU before 8.1" in out
    assert (boots(user, "races"), boots(user, "alone")) == (["started", "begun again"], ["started"])
    assert [len(stuck(user, name)) for name in ("races", "alone")] == [1, 1]
    first = user.do("timeline", "races@1")
    assert "begun again" in first, first


def test_a_guest_that_was_up_before_is_not_begun_again_and_one_that_was_not_is_also_where_qemu_reports_the_panic(user):
    disk = boot_sectors.panics(user.home, INT3)
    user.boot_all(["up", "fresh"], disk, cpus=2)
    boot_to_the_end(Guest(user, "up"))
    user.wait_state("up", "ready")
    user.do("reset", "up")
    wait_for("both listen", lambda: user.console("up").count(b"hello") == 2, 30)
    for name in ("up", "fresh"):
        user.type(name, "x")
    wait_for("its panic is told", lambda: user.status("up").get("reason"), 30)
    wait_for("it is begun again", lambda: user.console("fresh").count(b"hello") == 2, 30)
    assert (boots(user, "up"), boots(user, "fresh")) == (["started", "reset"], ["started", "begun again"])
    user.type("fresh", "x")
    wait_for("its second panic is told", lambda: user.status("fresh").get("reason"), 30)
    assert len(boots(user, "fresh")) == 2


def test_ssh_to_a_guest_whose_kernel_panics_after_it_was_ready_says_so_at_once(user):
    user.boot("up", boot_sectors.panics(user.home, PANIC))
    boot_to_the_end(Guest(user, "up"))
    user.wait_state("up", "ready")
    user.type("up", "x")
    wait_for("its panic is told", lambda: user.status("up").get("reason"), 30)
    assert "up does not go on: the guest's kernel panicked" in user.refused(GUEST, "ssh", "up", timeout=50)


@pytest.mark.skipif(not pathlib.Path("/usr/share/qemu/firmware").is_dir(), reason="cannot here: there is no UEFI")
def test_a_uefi_that_finds_nothing_to_boot_is_told(user):
    command = user.start("run", "uefi", "--image", blank(user), "--image-unverified", "--arch", "x86_64", "--accel", "tcg", "--firmware",
                         "uefi", "--memory", "256M", "--disk", "1M", "-d")
    code, out = finish(command, 240)
    assert code == GUEST and "uefi does not go on: the firmware found nothing to boot from" in out, out


def test_what_scripts_and_logs_print_is_no_trouble_and_a_report_takes_back_what_was_told(user):
    script = b"[    9.1] cloud-init[324]: Kernel panic - not syncing: of a script\r\necho grub rescue> \r\n"
    for name, said in (("script", script), ("forged", PANIC), ("log", b"\r\nbox login: ")):
        user.boot(name, boot_sectors.says(user.home, said))
    disk = boot_sectors.echo(user.home)
    user.boot("ready", disk)
    boot_to_the_end(Guest(user, "ready"))
    user.wait_state("ready", "ready")
    user.type("ready", bytes(byte - 1 for byte in PANIC if byte > 0).decode("latin-1"))  # it sends each back one up
    wait_for("its log has it", lambda: PANIC in user.console("ready"), 30)
    wait_for("the forged one is believed", lambda: stuck(user, "forged"), 30)
    time.sleep(1)
    assert [stuck(user, name) for name in ("script", "log", "ready")] == [[], [], []]
    waits = user.start("wait", "script", "log", "forged")
    for name in ("script", "log", "forged"):
        boot_to_the_end(Guest(user, name))
    code, out = finish(waits)
    assert "log: ready" in out and "script: ready" in out, out
    for name in ("script", "log", "forged"):
        assert "reason" not in user.wait_state(name, "ready")
    assert "its boot goes on" in user.texts("forged")
    assert "ready after" in user.do("timeline", "forged")
