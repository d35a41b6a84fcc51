# SPDX-License-Identifier: MIT
"""Damage to an instance's files: each has one outcome, no other instance is harmed, and no bytes are thrown away."""

import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import time

import boot_sectors
import pytest
from piagent import CONFLICT, FAILED, NOT_FOUND, User, fake_qemu, is_running, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end


@pytest.fixture
def user():
    with User() as user:
        yield user


def altered(**changes):
    return lambda text: json.dumps({**json.loads(text), **changes}).encode()


# The damage to the record, and the words about it.
RECORDS = {
    "truncated": (lambda text: text[:len(text) // 2], "is damaged"),
    "empty": (lambda text: b"", "is damaged"),
    "garbage": (lambda text: bytes(range(256)) * 16, "is damaged"),
    "too_large": (lambda text: text + b" " * (1 << 20), "is damaged"),
    "of_other_types": (altered(state=7, spec=[]), "is damaged"),
    "of_a_newer_version": (altered(schema=99, piagent="9.9"), "piagent 9.9 (schema 99"),
    "gone": (None, "no such file"),
}


@pytest.mark.parametrize("case", RECORDS)
def test_an_instance_whose_record_cannot_be_read_is_lost_and_keeps_its_disk(user, case):
    change, said = RECORDS[case]
    user.boot("bad", boot_sectors.deaf(user.home))
    user.do("kill", "bad")
    user.kill_agent()
    record, disk = user.instances / "bad/record.json", (user.instances / "bad/disk.qcow2").read_bytes()
    text = record.read_bytes()
    record.unlink()
    if change:
        record.write_bytes(change(text))
    instance = user.status("bad")
    assert instance["state"] == "lost" and said in instance["reason"], instance
    assert said in user.refused(CONFLICT, "start", "bad")
    assert (user.instances / "bad/disk.qcow2").read_bytes() == disk
    # The image is kept, also by a user with other instances and the same images.
    for home, name in (("data", "bad"), ("other", str(user.instances / "bad"))):
        user.env["XDG_DATA_HOME"] = str(user.home / home)
        user.do("image", "prune")
        user.do("image", "verify")
        assert [image["used_by"] for image in json.loads(user.do("image", "ls", "--json"))["images"]] == [[name]]
    user.env["XDG_DATA_HOME"] = str(user.home / "data")
    # Whoever has a copy puts it back.
    user.kill_agent()
    record.write_bytes(text)
    assert user.state("bad") == "stopped"
    user.do("rm", "bad")
    user.nothing_left()
    user.do("image", "prune")
    assert not list((user.home / "cache/piagent/images").glob("sha256-*"))


def leave_descriptors(pid, count):
    """From now on the process can open no more than so many. Returns its limits of before."""
    def steady():
        before = os.listdir(f"/proc/{pid}/fd")
        time.sleep(0.2)
        return before if before == os.listdir(f"/proc/{pid}/fd") else None
    used = {int(fd) for fd in wait_for("its connections are closed", steady, 10)}
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    free = [fd for fd in range(soft) if fd not in used]
    return resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], hard))


def test_a_creation_for_which_there_are_too_few_descriptors_leaves_no_folder(user):
    user.do("ps")
    words = ("--image", boot_sectors.deaf(user.home), "--unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M", "--no-start")
    agent, failed = user.agent_pid(), set()
    for count in range(1, 9):
        before = leave_descriptors(agent, count)
        done = user.call("run", f"few-{count}", *words, "-d")
        resource.prlimit(agent, resource.RLIMIT_NOFILE, before)
        if done.returncode:
            failed.add(count)
            assert "no port from" not in done.stderr, done.stderr
            wait_for("the folder is gone", lambda n=count: not (user.instances / f"few-{n}").exists(), 20)
    assert len(failed) > 2


# QEMU reads ',,' in a path as one comma.
@pytest.mark.parametrize("folder", ["data", "da,ta"])
def test_an_instance_without_a_readable_record_is_not_removed_under_its_running_qemu(user, folder):
    user.env["XDG_DATA_HOME"] = str(user.home / folder)
    user.instances = user.home / folder / "piagent/instances"
    pid = user.boot("bad", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    (user.instances / "bad/record.json").write_text("{")
    assert f"kill {pid}" in user.refused(CONFLICT, "rm", "bad")
    # An agent that cannot look for its QEMU takes it for running: here, one that can open no more than the request and /proc.
    agent = user.agent_pid()
    before = leave_descriptors(agent, 2)
    assert user.refused(FAILED, "rm", "bad") == "bad cannot be removed: piagent cannot tell whether its QEMU runs: Too many open files"
    resource.prlimit(agent, resource.RLIMIT_NOFILE, before)
    assert (user.instances / "bad/disk.qcow2").exists()
    assert is_running(pid)
    os.kill(pid, signal.SIGTERM)
    wait_for("QEMU is gone", lambda: not is_running(pid), 20)
    user.do("rm", "bad")
    user.nothing_left()


def test_an_instance_whose_folder_is_a_link_is_lost_and_not_taken_for_gone(user):
    pid = user.boot("moved", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    shutil.move(user.instances / "moved", user.home / "moved")
    (user.instances / "moved").symlink_to(user.home / "moved")
    instance = user.status("moved")
    assert instance["state"] == "lost" and instance["reason"].startswith("its folder cannot be opened"), instance
    assert f"{user.instances}/moved: Not a directory" in user.log() and "gone" not in user.log()
    assert instance["reason"] in user.refused(CONFLICT, "start", "moved")
    assert user.do("logs", "moved") == ""
    assert f"kill {pid}" in user.refused(CONFLICT, "rm", "moved")
    assert is_running(pid)
    # Whoever moves it back has the instance back, and its sockets are still there.
    user.kill_agent()
    (user.instances / "moved").unlink()
    shutil.move(user.home / "moved", user.instances / "moved")
    assert user.wait_state("moved", "running", 20)["pid"] == pid
    user.do("kill", "moved")
    user.do("rm", "moved")
    user.nothing_left()


def test_what_is_no_instances_folder_is_shown_and_removed_alone(user):
    user.do("ps")
    user.kill_agent()
    (user.home / "mine").mkdir()
    (user.instances / "link").symlink_to(user.home / "mine")
    (user.instances / "file").touch()
    assert {instance["name"]: instance["state"] for instance in user.ps()} == {"link": "lost", "file": "lost"}
    user.do("rm", "link")
    user.do("rm", "file")
    assert (user.home / "mine").is_dir()
    user.nothing_left()


def test_an_instance_whose_folder_is_taken_away_while_it_runs_can_still_be_ended(user):
    pid = user.boot("bare", boot_sectors.deaf(user.home))["pid"]
    shutil.rmtree(user.instances / "bare")
    user.do("pause", "bare")
    user.wait_state("bare", "paused", 10)
    assert "in use" in user.refused(CONFLICT, "run", "bare", "--image", boot_sectors.deaf(user.home), "--image-unverified", "-d")
    assert user.log().count("its state cannot be saved") == 1
    user.do("rm", "--force", "bare")
    assert not is_running(pid)
    user.nothing_left()


def test_a_folder_that_was_taken_away_without_an_agent_ends_no_guest_and_is_said(user):
    pid = user.boot("bare", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    shutil.rmtree(user.instances / "bare")
    assert user.ps() == []
    assert f"kill {pid}" in user.log()
    assert f"kill {pid}" in user.refused(CONFLICT, "run", "bare", "--image", boot_sectors.deaf(user.home), "--image-unverified", "-d")
    assert is_running(pid)
    os.kill(pid, signal.SIGTERM)
    wait_for("QEMU is gone", lambda: not is_running(pid), 20)
    user.kill_agent()
    assert user.ps() == []
    user.nothing_left()
    user.boot("bare", boot_sectors.deaf(user.home))


# Which file a start misses, what stands in its place, and what is said of it.
FILES = {
    "no_disk": ("disk.qcow2", None, NOT_FOUND, "its disk {} is gone: put a copy of it back"),
    "no_variables": ("vars.qcow2", None, NOT_FOUND, "its store of UEFI variables {} is gone: put a copy of it back"),
    "a_folder_for_a_disk": ("disk.qcow2", pathlib.Path.mkdir, FAILED, "its disk {} cannot be opened (Is a directory)"),
}


@pytest.mark.parametrize("case", FILES)
def test_an_instance_without_one_of_its_files_is_not_started_until_it_is_put_back(case):
    name, replace, code, said = FILES[case]
    with User(**fake_qemu()) as user:
        user.boot("bare", boot_sectors.deaf(user.home), firmware="uefi")
        user.do("kill", "bare")
        file, copy = user.instances / "bare" / name, user.home / "copy"
        file.rename(copy)
        if replace:
            replace(file)
        refusal = user.refused(code, "start", "bare")
        assert said.format(file) in refusal and "piagent rm bare" in refusal, refusal
        assert user.state("bare") == "stopped"
        if replace:
            file.rmdir()
        copy.rename(file)
        assert user.api("POST", "/v1/instances/bare/start", {})[0] == 202
        user.wait_state("bare", "running", 30)


def test_a_start_that_an_agent_did_not_finish_fails_where_its_disk_is_gone_meanwhile():
    with User(**fake_qemu()) as user:
        user.boot("bare", boot_sectors.deaf(user.home))
        user.do("kill", "bare")
        user.kill_agent()
        record, disk = user.instances / "bare/record.json", user.instances / "bare/disk.qcow2"
        record.write_bytes(altered(state="starting")(record.read_bytes()))
        disk.unlink()
        instance = user.status("bare")
        assert instance["state"] == "failed" and f"its disk {disk} is gone" in instance["reason"], instance
        user.do("rm", "bare")
        user.nothing_left()


def test_a_guest_that_was_ready_in_the_journal_and_not_yet_in_the_record_is_ready():
    with User(**fake_qemu()) as user:
        user.boot("pi", boot_sectors.deaf(user.home))
        record = user.instances / "pi/record.json"
        wait_for("that it runs is on record", lambda: user.record("pi")["state"] == "running", 60)
        before = record.read_bytes()
        boot_to_the_end(Guest(user, "pi"))
        user.wait_state("pi", "ready")
        user.kill_agent()
        record.write_bytes(before)
        user.do("ps")
        user.wait_state("pi", "ready")
        assert user.status("pi")["cloud_init"] == "done"
        wait_for("it is on record", lambda: user.record("pi")["booted"], 20)


def test_what_a_write_or_a_removal_left_half_done_is_swept(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    user.kill_agent()
    left = [user.instances / "pi/.record.json.0123abcd", user.instances.parent / ".agent.json.0123abcd",
            user.runtime / ".kvm-runs-no-guest.0123abcd", user.instances / ".gone.0123abcd/disk.qcow2"]
    kept = [user.instances / "pi/.mine", user.instances.parent / ".record.json.0123abcX"]
    for path in left + kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("{")
    assert [instance["name"] for instance in user.ps()] == ["pi"]
    assert [path for path in left if path.exists()] == []
    assert not left[-1].parent.exists()
    assert [path for path in kept if not path.exists()] == []


@pytest.mark.parametrize("log", ["journal.jsonl", "console.log"])
def test_an_instance_whose_logs_cannot_be_opened_is_taken_over_all_the_same(user, log):
    pid = user.boot("pi", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    (user.instances / "pi" / log).unlink()
    (user.instances / "pi" / log).mkdir()
    assert user.status("pi")["pid"] == pid
    wait_for("it is taken over", lambda: "taken over" in user.log(), 20)
    user.do("kill", "pi")
    assert user.state("pi") == "stopped"
    user.do("rm", "pi")
    user.nothing_left()


def leave_a_dead_socket(path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def test_a_console_whose_socket_is_dead_does_not_cost_the_monitor(user):
    pid = user.boot("pi", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    (user.runtime / "pi.console").rename(user.home / "kept")
    leave_a_dead_socket(user.runtime / "pi.console")
    user.do("ps")
    wait_for("it is told", lambda: any(text.startswith("its console cannot be read") for text in user.texts("pi")), 20)
    user.do("pause", "pi")
    instance = user.wait_state("pi", "paused", 20)
    assert instance["pid"] == pid and "reason" not in instance, instance
    (user.home / "kept").rename(user.runtime / "pi.console")
    wait_for("it is read again", lambda: "its console is read again" in user.texts("pi"), 30)
    assert len([text for text in user.texts("pi") if text.startswith("its console cannot be read")]) == 1
    user.do("kill", "pi")
    assert user.status("pi")["stopped_by"] == "quit"


def test_another_instance_on_its_socket_is_not_taken_for_it(user):
    """A process with the identity on record that answers for another instance."""
    first = user.boot("a", boot_sectors.deaf(user.home))
    user.boot("b", boot_sectors.deaf(user.home))
    user.kill_agent()
    for end in ("qmp", "console"):
        (user.runtime / f"a.{end}").unlink()
        (user.runtime / f"b.{end}").rename(user.runtime / f"a.{end}")
        leave_a_dead_socket(user.runtime / f"b.{end}")
    wait_for("it is not believed", lambda: "another instance" in user.status("a").get("reason", ""), 30)
    assert user.status("b")["pid"] != first["pid"] and is_running(first["pid"])
    user.do("kill", "a")
    wait_for("it is ended by a signal", lambda: not is_running(first["pid"]), 60)


def test_a_qemu_that_prints_much_fills_no_disk_and_its_last_words_are_told():
    with User(**fake_qemu()) as user:
        user.boot("pi", boot_sectors.deaf(user.home))
        log = user.instances / "pi/qemu.log"
        for size in (300_000, 1_200_000):
            pid = user.wait_state("pi", "running", 20)["pid"]
            with log.open("a") as qemu:
                qemu.write("x" * size + "\nwhy it died\n")
            if size > 1 << 20:
                wait_for("its end is kept", lambda: log.stat().st_size < 10_000, 20)
            os.kill(pid, signal.SIGKILL)
            reason = user.wait_state("pi", "lost", 10)["reason"]
            assert reason == "QEMU ended (killed by SIGKILL): why it died", reason
            assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
        assert user.wait_state("pi", "running", 20) and log.stat().st_size == 0
