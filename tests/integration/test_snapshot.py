# SPDX-License-Identifier: MIT
"""`piagent snapshot`: an instance as it was, disk and memory of one moment. QEMU is the fake; qemu-img is real, and so are the disks."""

import errno
import json
import os
import re
import shutil

import boot_sectors
import pytest
from faults import FragileUser
from piagent import CONFLICT, FAILED, NOT_FOUND, USAGE, User, fake_qemu, is_running, wait_for
from test_clone import holds, layers, make, write
from test_hostile_guest import Guest
from test_progress import boot_to_the_end
from test_suspend import await_no_saved_files, saved_files


@pytest.fixture(name="user")
def fake_user():
    with User(**fake_qemu()) as user:
        yield user


def boot_to_ready(user, name):
    user.boot(name, boot_sectors.deaf(user.home), disk_bytes=8 << 20)
    boot_to_the_end(Guest(user, name))
    return user.wait_state(name, "ready")


def snapshots(user, name):
    return {one["tag"]: one for one in json.loads(user.do("snapshot", "ls", name, "--json"))["snapshots"]}


def folders(user, name):
    return sorted(str(path.relative_to(user.instances / name)) for path in (user.instances / name).glob("snapshots/*"))


def as_was(user, name):
    """The disk's own file and the layers: what a snapshot may not leave otherwise than it was, or than it is to be."""
    return [path.stat().st_ino for path in sorted((user.instances / name).glob("*.qcow2"))]


def test_a_stopped_instance_goes_back_to_what_its_disk_was(user):
    make(user)
    write(user, "gold", 1, 7)
    assert user.do("snapshot", "create", "gold") == "gold: snap-1\n"
    write(user, "gold", 2, 8)
    user.do("snapshot", "create", "gold", "later")
    write(user, "gold", 2, 9)
    user.do("snapshot", "restore", "gold", "snap-1")
    assert holds(user, "gold", 7, 0) and user.status("gold")["state"] == "stopped"
    write(user, "gold", 2, 6)
    user.do("snapshot", "create", "gold", "side")
    found = snapshots(user, "gold")
    assert {tag: one.get("parent") for tag, one in found.items()} == {"snap-1": None, "later": "snap-1", "side": "snap-1"}, found
    assert {tag for tag, one in found.items() if one["current"]} == {"side"} and not any("memory_bytes" in one for one in found.values())
    assert all(one["disk_bytes"] >= 1 << 20 and one["taken_ms"] for one in found.values()), found
    rows = [line.rstrip() for line in user.do("snapshot", "ls", "gold").splitlines()]
    assert [re.match(r"(- )?\S+", row)[0] for row in rows] == ["TAG", "snap-1", "- later", "- side"], rows
    assert rows[3].endswith("the instance has come of it"), rows
    user.do("snapshot", "restore", "gold", "later")
    assert holds(user, "gold", 7, 8) and user.status("gold")["snapshot"] == "later"


def test_each_snapshot_can_be_removed_and_the_others_stay_whole(user):
    make(user)
    for mib, pattern, tag in ((1, 7, "a"), (2, 8, "b"), (3, 9, "c")):
        write(user, "gold", mib, pattern)
        user.do("snapshot", "create", "gold", tag)
    user.do("snapshot", "rm", "gold", "b")
    assert {tag: one.get("parent") for tag, one in snapshots(user, "gold").items()} == {"a": None, "c": "a"}
    user.do("snapshot", "restore", "gold", "a")
    assert holds(user, "gold", 7, 0, 0) and len(layers(user, "gold")) == 1, "layers of no use are removed"
    user.do("snapshot", "restore", "gold", "c")
    assert holds(user, "gold", 7, 8, 9)
    user.do("snapshot", "rm", "gold", "a", "c")
    assert holds(user, "gold", 7, 8, 9) and not folders(user, "gold") and "snapshot" not in user.status("gold")
    assert "has no snapshot yet" in user.call("snapshot", "ls", "gold").stderr
    user.do("snapshot", "create", "gold")
    assert "gold: removed with 1 snapshot" in user.call("rm", "gold").stderr
    assert not list(user.instances.iterdir())


def test_a_guest_that_runs_goes_on_and_can_go_back_to_that_moment(user):
    before = boot_to_ready(user, "pi")
    write(user, "pi", 1, 7)
    for tag in ("one", "two"):  # the second freezes the disk that the first one made
        user.do("snapshot", "create", "pi", tag)
        instance = user.status("pi")
        assert (instance["state"], instance["pid"], instance["snapshot"]) == ("ready", before["pid"], tag)
        write(user, "pi", 2, 8)
    assert len(layers(user, "pi")) == 2
    await_no_saved_files(user, "pi")
    found = snapshots(user, "pi")
    assert found["one"]["memory_bytes"] and found["two"]["parent"] == "one", found
    record = user.record("pi")
    refused = user.refused(CONFLICT, "snapshot", "restore", "pi", "one")
    assert "pi is ready, and what it does now would be lost" in refused and "piagent kill pi" in refused

    user.do("kill", "pi")
    user.do("snapshot", "restore", "pi", "one")
    instance = user.status("pi")
    assert instance["state"] == "ready" and instance["snapshot"] == "one" and is_running(instance["pid"])
    assert user.spoken("pi").count(b"hello") == 1, "the guest went on, and did not begin anew"
    assert [user.record("pi")[key] for key in ("key", "report_key", "imds_port")] == [record[key] for key in ("key", "report_key", "imds_port")]
    assert holds(user, "pi", 7, 0)
    await_no_saved_files(user, "pi")
    user.do("kill", "pi")
    user.do("snapshot", "restore", "pi", "two", "--no-start")
    assert user.status("pi")["state"] == "saved" and saved_files(user, "pi")
    user.do("start", "-d", "pi")
    assert user.status("pi")["state"] == "ready" and holds(user, "pi", 7, 8)
    user.do("kill", "pi")
    user.do("snapshot", "restore", "pi", "one")  # a snapshot is not used up
    assert user.status("pi")["state"] == "ready" and holds(user, "pi", 7, 0)


def test_a_paused_guest_stays_paused(user):
    pid = boot_to_ready(user, "pi")["pid"]
    user.do("pause", "pi")
    user.do("snapshot", "create", "pi")
    assert user.status("pi")["state"] == "paused" and user.status("pi")["pid"] == pid
    before = as_was(user, "pi")
    assert "its memory was saved since. Let it run first: piagent resume pi" in user.refused(FAILED, "snapshot", "create", "pi")
    assert user.status("pi")["state"] == "paused" and as_was(user, "pi") == before
    user.do("resume", "pi")
    assert user.status("pi")["state"] == "ready"
    user.do("snapshot", "create", "pi")
    assert set(snapshots(user, "pi")) == {"snap-1", "snap-2"}


def test_a_saved_instance_keeps_its_state_and_so_does_its_snapshot(user):
    boot_to_ready(user, "pi")
    write(user, "pi", 1, 7)
    user.do("suspend", "pi")
    user.do("snapshot", "create", "pi", "asleep")
    assert user.status("pi")["state"] == "saved" and snapshots(user, "pi")["asleep"]["memory_bytes"]
    user.do("start", "-d", "pi")
    assert user.status("pi")["state"] == "ready" and user.spoken("pi").count(b"hello") == 1
    write(user, "pi", 2, 8)
    user.do("kill", "pi")
    user.do("snapshot", "restore", "pi", "asleep")
    assert user.status("pi")["state"] == "ready" and user.spoken("pi").count(b"hello") == 1 and holds(user, "pi", 7, 0)


@pytest.mark.parametrize("change, why", [("ram", "the file of its RAM is not whole"), ("devices", "and now it would have"),
                                         ("layer", "its disk has changed since")])
def test_memory_that_does_not_fit_is_refused_and_the_disk_can_be_had(user, change, why):
    boot_to_ready(user, "pi")
    write(user, "pi", 1, 7)
    user.do("snapshot", "create", "pi", "one")
    write(user, "pi", 1, 8)
    user.do("kill", "pi")
    folder = user.instances / "pi/snapshots/one"
    if change == "ram":
        os.truncate(folder / "saved-ram", 3)
    elif change == "layer":
        os.utime(folder / "base-1.qcow2")
    else:
        saved = json.loads((folder / "saved.json").read_text())
        saved["hardware"] = [word.replace("virtio-blk-pci", "ide-hd") for word in saved["hardware"]]
        (folder / "saved.json").write_text(json.dumps(saved))
    before = as_was(user, "pi")
    line = user.refused(CONFLICT, "snapshot", "restore", "pi", "one")
    assert why in line and "piagent snapshot restore --cold pi one" in line, line
    assert as_was(user, "pi") == before and holds(user, "pi", 8)
    user.do("snapshot", "restore", "--cold", "pi", "one")
    assert user.status("pi")["state"] == "stopped" and holds(user, "pi", 7)
    await_no_saved_files(user, "pi")


def test_clones_and_snapshots_share_layers_and_nothing_else(user):
    make(user)
    write(user, "gold", 1, 7)
    user.do("snapshot", "create", "gold", "a")
    user.do("clone", "gold", "web", "--no-start")
    assert layers(user, "web") == layers(user, "gold") and "snapshots" not in user.status("web")
    write(user, "web", 2, 8)
    user.do("snapshot", "create", "web", "a")
    user.do("rm", "gold")
    write(user, "web", 2, 9)
    user.do("snapshot", "restore", "web", "a")
    assert holds(user, "web", 7, 8)


def test_what_is_asked_wrongly_is_refused(user):
    make(user)
    user.do("snapshot", "create", "gold", "a")
    assert "gold has a snapshot a already" in user.refused(CONFLICT, "snapshot", "create", "gold", "a")
    assert "gold has no snapshot b" in user.refused(NOT_FOUND, "snapshot", "restore", "gold", "b")
    assert "gold has no snapshot b" in user.refused(NOT_FOUND, "snapshot", "rm", "gold", "b")
    assert "is not a usable name" in user.refused(USAGE, "snapshot", "create", "gold", "../x")
    user.refused(NOT_FOUND, "snapshot", "ls", "gild")


@pytest.mark.parametrize("command", ["query-block", "blockdev-add", "stop", "blockdev-snapshot", "migrate", "getfd"])
def test_a_guest_whose_snapshot_fails_goes_on(user, command):
    pid = boot_to_ready(user, "pi")["pid"]
    write(user, "pi", 1, 7)
    user.tell_fake("pi", f"refuse={command}")
    assert "the snapshot one of pi was not made" in user.refused(FAILED, "snapshot", "create", "pi", "one")
    assert user.wait_state("pi", "ready", 10)["pid"] == pid and holds(user, "pi", 7) and not folders(user, "pi")
    assert len(layers(user, "pi")) == (command == "migrate"), "the disk is what it was, unless QEMU has left it"
    user.tell_fake("pi", "")
    user.do("snapshot", "create", "pi", "one")
    assert user.status("pi")["state"] == "ready" and snapshots(user, "pi")["one"]["memory_bytes"]


@pytest.mark.parametrize("command", ["blockdev-add", "stop", "blockdev-snapshot", "migrate", "query-migrate"])
def test_an_agent_that_is_killed_while_qemu_is_asked_leaves_a_guest_that_goes_on(user, command):
    pid = boot_to_ready(user, "pi")["pid"]
    write(user, "pi", 1, 7)
    user.tell_fake("pi", f"silent={command}")
    asked = user.start("snapshot", "create", "pi", "one")
    wait_for("QEMU is silent", lambda: user.record("pi")["state"] == "saving", 20)
    user.kill_agent()
    asked.wait(60)
    user.tell_fake("pi", "", pid)
    assert user.wait_state("pi", "ready", 20)["pid"] == pid
    await_no_saved_files(user, "pi")
    assert not folders(user, "pi") and holds(user, "pi", 7)
    user.do("snapshot", "create", "pi", "one")
    assert user.wait_state("pi", "ready", 20)["pid"] == pid


@pytest.mark.parametrize("rules, words", [("silent=cont", ["snapshot", "create"]), ("refuse=migrate silent=cont", ["suspend"])])
def test_a_guest_goes_on_when_its_qemu_answers_again(user, rules, words):
    pid = boot_to_ready(user, "pi")["pid"]
    user.tell_fake("pi", rules)
    user.start(*words, "pi")
    wait_for("QEMU is silent", lambda: user.record("pi")["state"] == "restoring", 20)
    user.tell_fake("pi", "", pid)
    assert user.wait_state("pi", "ready", 40)["pid"] == pid


def test_a_guest_that_is_killed_meanwhile_leaves_no_snapshot(user):
    pid = boot_to_ready(user, "pi")["pid"]
    user.tell_fake("pi", "silent=migrate")
    asked = user.start("snapshot", "create", "pi", "one")
    wait_for("it is being saved", lambda: user.record("pi")["state"] == "saving", 20)
    assert "the snapshot one of pi is being made" in user.refused(CONFLICT, "snapshot", "create", "pi", "two")
    user.tell_fake("pi", "", pid)
    user.do("kill", "--step-timeout", "1", "pi")
    assert "was not made" in asked.communicate(timeout=60)[0] and asked.returncode == FAILED
    assert not folders(user, "pi")


def test_a_saved_state_is_copied_on_a_file_system_without_links():
    with FragileUser(**fake_qemu()) as user:
        boot_to_ready(user, "pi")
        write(user, "pi", 1, 7)
        user.do("suspend", "pi")
        user.do("agent", "stop")
        folder = user.instances / "pi"
        user.arm("nolinks")
        for wanted in ({"action": "take"}, {"action": "restore"}):
            done = user.run_worker("snapshot", folder=str(folder), now_ms=1, tag="asleep", **wanted)
            assert done.returncode == 0, done
        user.disarm()
        assert (folder / "restore.new/saved-ram").read_bytes() == (folder / "saved-ram").read_bytes()
        user.do("snapshot", "restore", "pi", "asleep")
        assert user.status("pi")["state"] == "ready" and user.spoken("pi").count(b"hello") == 1 and holds(user, "pi", 7)


class SnapshotWorker:
    """The worker, run alone, with the instance's folder as it was each time."""

    def __init__(self, user):
        self.user, self.saved = user, user.home / "saved"
        make(user)
        write(user, "gold", 1, 7)
        user.do("snapshot", "create", "gold", "a")
        write(user, "gold", 2, 8)
        shutil.copytree(user.instances / "gold", self.saved)
        user.do("agent", "stop")

    def put_back(self):
        shutil.rmtree(self.user.instances / "gold")
        shutil.copytree(self.saved, self.user.instances / "gold")

    def run(self, line, **request):
        self.user.arm(line)
        done = self.user.run_worker("snapshot", folder=str(self.user.instances / "gold"), now_ms=1, **request)
        steps = self.user.steps()
        self.user.disarm()
        return done, steps


def decisive(steps):
    return [i + 1 for i, step in enumerate(steps) if step.split()[0] in ("link", "linkat", "rename", "renameat", "unlink", "unlinkat", "mkdir", "mkdirat")]


def is_tidy(user):
    return not [path for path in (user.instances / "gold").rglob("*") if path.name.endswith(".new") or path.name == "restore"]


@pytest.mark.parametrize("request_", [{"action": "take", "tag": "b"}, {"action": "remove", "tag": "a"}])
def test_whatever_step_its_worker_is_killed_at_the_instance_stays_what_it_is(request_):
    with FragileUser(**fake_qemu()) as user:
        worker = SnapshotWorker(user)
        worker.put_back()
        done, steps = worker.run("count", **request_)
        assert done.returncode == 0, (done, steps)
        chosen, seen = decisive(steps), set()
        for step in [f"before {chosen[0]}", *(f"after {i}" for i in chosen[:: max(1, len(chosen) // 8)] + chosen[-2:])]:
            worker.put_back()
            killed, _ = worker.run(f"kill {step}", **request_)
            assert killed.returncode == -9, (step, killed, steps)
            user.do("ps")  # the next agent
            found = set(snapshots(user, "gold"))
            seen.add(tuple(sorted(found)))
            assert holds(user, "gold", 7, 8) and is_tidy(user), (step, steps)
            for tag in found:
                user.do("snapshot", "restore", "gold", tag)
                assert holds(user, "gold", 7, 8 if tag == "b" else 0), (step, tag)
            assert user.status("gold")["state"] == "stopped"
            user.do("agent", "stop")
        assert len(seen) == 2, (seen, steps)


@pytest.fixture(name="fragile")
def fragile_user():
    with FragileUser(**fake_qemu()) as user:
        make(user)
        write(user, "gold", 1, 7)
        user.do("snapshot", "create", "gold", "a")
        yield user


def steps_of_restore(user):
    write(user, "gold", 2, 8)
    user.arm("count")
    user.do("snapshot", "restore", "gold", "a")
    steps = user.steps()
    user.disarm()
    assert "rename restore" in steps, steps
    return steps


def test_whatever_step_its_agent_is_killed_at_a_restore_is_done_or_not(fragile):
    user, seen = fragile, set()
    steps = steps_of_restore(user)
    decided = steps.index("rename restore") + 1
    for step in sorted({decided - 1, *(i for i in decisive(steps) if i >= decided)}):
        write(user, "gold", 2, 8)
        user.arm(f"kill after {step}")
        asked = user.call("snapshot", "restore", "gold", "a")
        user.disarm()
        user.do("ps")  # the next agent
        done = holds(user, "gold", 7, 0)
        seen.add(done)
        assert (done or (holds(user, "gold", 7, 8) and asked.returncode)) and is_tidy(user), (step, steps, asked)
        write(user, "gold", 3, 5)
        user.do("agent", "stop")
        assert user.status("gold")["state"] == "stopped" and holds(user, "gold", 7, 0 if done else 8, 5), (step, steps)
    assert seen == {True, False}, steps


def test_whatever_step_fails_a_restore_is_as_the_command_says_and_no_later_agent_repeats_it(fragile):
    user, seen = fragile, set()
    steps = steps_of_restore(user)
    first = steps.index("rename restore")
    for step in range(first, len(steps) + 1):
        write(user, "gold", 2, 8)
        user.arm(f"fail {step} {2 if step > first + 1 else 1} {errno.EIO}")
        asked = user.call("snapshot", "restore", "gold", "a")
        user.disarm()
        done = asked.returncode == 0
        seen.add(done)
        assert holds(user, "gold", 7, 0 if done else 8) and is_tidy(user), (step, steps, asked)
        write(user, "gold", 3, 5)
        user.do("agent", "stop")
        assert user.status("gold")["state"] == "stopped" and holds(user, "gold", 7, 0 if done else 8, 5), (step, steps)
    assert seen == {True, False}, steps


def test_nothing_else_happens_to_an_instance_whose_restore_is_not_finished(fragile):
    user = fragile
    steps = steps_of_restore(user)
    write(user, "gold", 2, 8)
    user.arm(f"fail {steps.index('rename restore') + 3} 100000 {errno.EIO}")
    asked = user.start("snapshot", "restore", "gold", "a")
    wait_for("it is decided", (user.instances / "gold/restore").exists, 20)
    for words in (["start", "-d", "gold"], ["rm", "gold"], ["snapshot", "create", "gold"], ["clone", "gold", "x", "--no-start"]):
        assert "the snapshot a of gold is being restored" in user.refused(CONFLICT, *words)
    user.disarm()
    assert asked.wait(60) == 0 and holds(user, "gold", 7, 0) and is_tidy(user)
    user.do("snapshot", "restore", "gold", "a")


def test_a_restore_whose_worker_is_killed_leaves_nothing(user, tmp_path):
    make(user)
    user.do("snapshot", "create", "gold", "a")
    write(user, "gold", 2, 8)
    real, folder = shutil.which("qemu-img", path=user.env["PATH"]), tmp_path / "bin"
    folder.mkdir()
    (folder / "qemu-img").write_text(f'#!/bin/sh\n[ "$1" = info ] && kill -9 $PPID\nexec {real} "$@"\n')
    (folder / "qemu-img").chmod(0o755)
    user.do("agent", "stop")
    user.env["PATH"] = f"{folder}:{user.env['PATH']}"
    user.refused(FAILED, "snapshot", "restore", "gold", "a")
    assert is_tidy(user) and holds(user, "gold", 0, 8)
