# SPDX-License-Identifier: MIT
"""Real QEMUs report a full disk, a damaged image, a panic."""

import json
import subprocess
import time

import boot_sectors
import pytest
from piagent import GUEST, HOST, User, wait_for


@pytest.fixture
def user():
    with User() as user:
        yield user


def written(user):
    return user.console("pi").count(b"w")


def boot_on_full_disk(user):
    """An instance that wrote 4 MiB to a disk with room for 1, and was paused."""
    user.own_disk()
    user.boot("pi", boot_sectors.writer(user.home), disk_bytes=4 << 20)
    user.leave_room(1 << 20)
    user.type("pi", "x")
    instance = user.wait_state("pi", "paused", 60)
    assert instance["reason"].startswith("the host's disk is full"), instance
    return instance


def test_a_guest_whose_host_has_a_full_disk_is_paused_and_goes_on_by_itself_when_there_is_room(user):
    boot_on_full_disk(user)
    assert "pi: the host's disk is full" in user.do("ps") and "goes on when there is room" in user.do("status", "pi")
    stands = written(user)
    user.do("resume", "pi")  # QEMU tries it again, in vain
    wait_for("it is paused again", lambda: user.status("pi").get("reason"), 30)
    time.sleep(3)
    assert user.state("pi") == "paused" and written(user) == stands
    user.leave_room(8 << 20)
    user.wait_state("pi", "running", 90)
    wait_for("it writes on", lambda: written(user) > stands + 64, 30)
    assert "reason" not in user.status("pi")
    assert any(event.get("text") == "there is room on the host's disk again: it goes on" for event in user.events("pi"))


def test_a_guest_that_waits_for_room_goes_on_under_the_next_agent_too(user):
    pid = boot_on_full_disk(user)["pid"]
    stands = written(user)
    user.disk_of(pid)
    user.kill_agent()
    user.start("agent", through=["nsenter", f"--mount={user.mounts}"])
    wait_for("the agent is up", lambda: user.call("agent", "status").returncode == 0, 30)
    wait_for("it is paused for the same", lambda: "disk is full" in user.status("pi").get("reason", ""), 30)
    assert written(user) == stands
    user.leave_room(8 << 20)
    user.wait_state("pi", "running", 90)
    wait_for("it writes on", lambda: written(user) > stands + 64, 30)
    assert user.status("pi")["pid"] == pid


def damage(disk):
    """Says that no cluster is in use, not even the header's."""
    with open(disk, "r+b") as image:
        def number_at(offset):
            image.seek(offset)
            return int.from_bytes(image.read(8), "big")
        image.seek(number_at(number_at(48)))  # the refcount table's offset; its first entry: a block of counts
        image.write(bytes(1 << 16))


def test_a_guest_whose_image_is_damaged_is_paused_and_told_what_to_do(user):
    user.boot("pi", boot_sectors.writer(user.home), disk_bytes=4 << 20)
    damage(user.instances / "pi/disk.qcow2")
    user.type("pi", "x")
    instance = user.wait_state("pi", "paused", 30)
    assert instance["reason"].startswith("its disk image is damaged") and "qemu-img check -r all" in instance["reason"], instance
    assert "pi: its disk image is damaged" in user.do("ps")
    assert [event["text"] for event in user.events("pi") if event.get("state") == "paused"] == [instance["reason"]]
    stands = written(user)
    time.sleep(1)
    assert written(user) == stands
    user.do("kill", "pi")
    assert "orrupt" in user.refused(HOST, "start", "pi")


def test_a_panic_is_shown_until_the_next_boot_and_is_the_exit_code(user):
    command = user.start("run", "pi", "--image", boot_sectors.panics(user.home), "--image-unverified", "--arch", "x86_64",
                         "--accel", "tcg", "--memory", "256M", "--disk", "1M", "-d")
    wait_for("it says hello", lambda: b"hello" in user.console("pi"), 60)
    user.wait_state("pi", "running", 30)
    user.type("pi", "x")
    out, _ = command.communicate(timeout=60)
    assert command.returncode == GUEST and "piagent: pi does not go on: the guest's kernel panicked" in out, out
    instance = user.status("pi")
    assert instance["state"] == "running" and instance["reason"].startswith("the guest's kernel panicked"), instance
    assert "pi: the guest's kernel panicked: piagent logs pi" in user.do("ps")
    assert [event["kind"] for event in user.events("pi")].count("panic") == 1
    user.do("reset", "pi")
    wait_for("it boots anew", lambda: user.console("pi").count(b"hello") == 2, 30)
    wait_for("its panic is over", lambda: "reason" not in user.status("pi"), 30)
    user.do("kill", "pi")

    command = user.start("start", "pi")
    wait_for("it says hello", lambda: user.console("pi").count(b"hello") == 3, 60)
    user.wait_state("pi", "running", 30)
    user.type("pi", "x")
    wait_for("it panics", lambda: user.status("pi").get("reason"), 30)
    user.do("kill", "pi")
    out, _ = command.communicate(timeout=60)
    assert command.returncode == GUEST, out


def test_a_disk_is_as_large_as_its_image_unless_the_user_asks_for_more(user):
    image = boot_sectors.deaf(user.home)
    for name, more, size in (("pi", [], 1 << 20), ("large", ["--disk", "3G"], 3 << 30)):
        user.do("run", name, "--image", image, "--unverified", "--arch", "x86_64", "--accel", "tcg", "--no-start", *more)
        about = subprocess.run(["qemu-img", "info", "--output=json", user.instances / name / "disk.qcow2"], stdout=subprocess.PIPE, check=True)
        assert user.status(name)["disk_bytes"] == json.loads(about.stdout)["virtual-size"] == size
