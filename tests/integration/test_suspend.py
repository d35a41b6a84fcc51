# SPDX-License-Identifier: MIT
"""Saved instances: their state is saved and loaded once, over the disk that it fits, and an agent that is killed on the way
leaves the instance as before or as after."""

import errno
import hashlib
import json
import os
import pathlib
import signal
import stat

import boot_sectors
import pytest
from faults import FragileUser
from piagent import CONFLICT, FAILED, User, fake_qemu, is_running, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end

FILES = {"saved-ram", "saved.json"}


@pytest.fixture(name="user")
def fake_user():
    with User(**fake_qemu()) as user:
        yield user


def saved_files(user, name):
    return {path.name for path in (user.instances / name).glob("saved*")}


def await_no_saved_files(user, name):
    """They are removed a moment after the guest goes on: the record that does not name them comes first."""
    wait_for("nothing of its state is left", lambda: not saved_files(user, name), 20)


def states(user, name):
    return [event["state"] for event in user.events(name) if event["kind"] == "state"]


def boot_to_ready(user, name):
    user.boot(name, boot_sectors.deaf(user.home))
    boot_to_the_end(Guest(user, name))
    return user.wait_state(name, "ready")


def test_a_suspended_instance_goes_on_as_what_it_was(user):
    before = boot_to_ready(user, "pi")
    record = user.record("pi")
    user.do("suspend", "pi")
    instance = user.status("pi")
    assert instance["state"] == "saved" and "pid" not in instance and not is_running(before["pid"])
    assert instance["saved_bytes"] == (user.instances / "pi/saved-ram").stat().st_size
    assert {stat.S_IMODE((user.instances / "pi" / name).stat().st_mode) for name in FILES} == {0o600}
    assert "saved" in user.do("ps") and "its state is saved" in user.do("ps")
    assert "saved goes on with piagent start" in user.do("resume", "--help")
    assert "pi is saved already" in user.call("suspend", "pi").stderr
    for verb in ("powerdown", "reset", "pause", "resume", "ssh"):
        assert "pi is saved: piagent start pi" in user.refused(CONFLICT, verb, "pi")

    user.do("start", "-d", "pi")
    instance = user.status("pi")
    assert instance["state"] == "ready" and instance["ssh_port"] == before["ssh_port"]
    await_no_saved_files(user, "pi")
    assert states(user, "pi")[-5:] == ["ready", "saving", "saved", "restoring", "ready"], states(user, "pi")
    after = user.record("pi")
    assert [after[key] for key in ("key", "report_key", "imds_port")] == [record[key] for key in ("key", "report_key", "imds_port")]
    assert user.spoken("pi").count(b"hello") == 1, "the guest went on, and did not begin anew"
    assert [event["text"] for event in user.events("pi") if event["kind"] == "boot"] == ["started"]
    command = pathlib.Path(f"/proc/{instance['pid']}/cmdline").read_bytes().split(b"\0")
    assert command[command.index(b"-machine") + 1].startswith(b"pc-q35-7.2,") and b"-incoming" in command


def test_a_guest_that_boots_is_suspended_too_and_becomes_ready_after_it(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    user.do("suspend", "--all")
    assert "running" not in user.do("ps")
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    user.wait_state("pi", "running", 20)
    boot_to_the_end(Guest(user, "pi"))
    user.wait_state("pi", "ready", 20)


def test_a_saved_instance_is_cloned_as_after_a_power_cut_and_goes_on_itself(user):
    boot_to_ready(user, "pi")
    user.do("suspend", "pi")
    for clone in ("pj", "pk"):  # the second finds an empty disk
        user.do("clone", "pi", clone, "--no-start")
        assert user.status(clone)["state"] == "stopped" and not saved_files(user, clone)
    user.do("start", "-d", "pi")
    assert user.status("pi")["state"] == "ready" and user.spoken("pi").count(b"hello") == 1
    assert user.api("POST", "/v1/instances/pj/start", {})[0] == 202
    user.wait_state("pj", "running", 20)


def test_a_saved_instance_is_not_removed_with_others(user):
    boot_to_ready(user, "pi")
    user.do("suspend", "pi")
    assert "pi: kept, it is saved" in user.call("rm", "--all").stderr
    assert "pi does not run: its state is saved" in user.call("kill", "pi").stderr
    user.do("start", "-d", "pi")
    assert user.status("pi")["state"] == "ready"


def test_a_state_outlives_the_agent_and_the_host(user):
    boot_to_ready(user, "pi")
    user.do("suspend", "pi")
    user.do("agent", "stop")
    path = user.instances / "pi/record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot_id": "0" * 36}))
    assert user.status("pi")["state"] == "saved"
    user.do("start", "-d", "pi")
    assert user.status("pi")["state"] == "ready"


@pytest.mark.parametrize("change, why", [
    ("disk", "its disk has changed since"), ("ram", "the file of its RAM is not whole"), ("gone", "the file of its RAM is gone"),
    ("description", "saved.json is damaged"), ("devices", "and now it would have")])
def test_a_state_that_does_not_fit_is_refused_and_can_be_dropped(user, change, why):
    boot_to_ready(user, "pi")
    user.do("suspend", "pi")
    folder = user.instances / "pi"
    saved = json.loads((folder / "saved.json").read_text())
    if change == "disk":
        os.utime(folder / "disk.qcow2")
    elif change == "ram":
        os.truncate(folder / "saved-ram", 3)
    elif change == "gone":
        os.unlink(folder / "saved-ram")
    elif change == "description":
        (folder / "saved.json").write_text("{")
    else:
        saved["hardware"] = [word.replace("virtio-blk-pci", "ide-hd") for word in saved["hardware"]]
        (folder / "saved.json").write_text(json.dumps(saved))
    for _ in range(2):
        line = user.refused(CONFLICT, "start", "-d", "pi")
        assert why in line and "piagent start --cold pi" in line, line
        assert user.status("pi")["state"] == "saved"
    assert user.api("POST", "/v1/instances/pi/start", {"cold": True})[0] == 202
    user.wait_state("pi", "running", 20)
    await_no_saved_files(user, "pi")
    wait_for("its guest boots anew", lambda: user.spoken("pi").count(b"hello") == 2, 20)


def open_states(pid):
    return [link for link in map(os.readlink, pathlib.Path(f"/proc/{pid}/fd").iterdir()) if "saved-ram" in link]


def test_a_qemu_that_takes_files_another_way_saves_and_loads_too():
    with User(**fake_qemu("version=11")) as user:
        pid = boot_to_ready(user, "pi")["pid"]
        for tag in ("one", "two"):
            user.do("snapshot", "create", "pi", tag)
            assert user.status("pi")["pid"] == pid and not open_states(pid), "a file that is dropped would take room on"
        user.do("suspend", "pi")
        user.do("start", "-d", "pi")
        assert not open_states(user.status("pi")["pid"])
        user.do("kill", "pi")
        user.do("snapshot", "restore", "pi", "one")
        assert user.status("pi")["state"] == "ready" and user.spoken("pi").count(b"hello") == 1


def test_an_older_qemu_loads_nothing(user):
    boot_to_ready(user, "pi")
    user.do("suspend", "pi")
    path = user.instances / "pi/saved.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "qemu_minor": 9}))
    line = user.refused(FAILED, "start", "-d", "pi")
    assert "QEMU 7.9.0 saved it, and this is 7.2.0" in line and "piagent start --cold pi" in line, line
    assert user.status("pi")["state"] == "saved" and saved_files(user, "pi") == FILES


@pytest.mark.parametrize("told", [True, False])
def test_a_state_that_is_damaged_is_not_loaded(user, told):
    boot_to_ready(user, "pi")
    user.do("suspend", "pi")
    ram, description = user.instances / "pi/saved-ram", user.instances / "pi/saved.json"
    ram.write_bytes(b"x" * ram.stat().st_size)
    if told:  # then it is QEMU that refuses it
        description.write_text(json.dumps({**json.loads(description.read_text()), "ram_sha256": hashlib.sha256(ram.read_bytes()).hexdigest()}))
    line = user.refused(FAILED, "start", "-d", "pi")
    assert ("load of migration failed" if told else "its state could not be loaded: the file of its RAM is damaged") in line, line
    assert user.status("pi")["state"] == "saved" and saved_files(user, "pi") == FILES


def passing(command, version):
    """How QEMU gets a file."""
    return "add-fd" if (command, version) == ("getfd", "11") else command


def check_files_closed(pid, command, version):
    """The fake keeps what it gets by getfd, and what comes with a command that it does not answer."""
    assert version == "7.2" or command == "getfd" or not open_states(pid)


@pytest.mark.parametrize("command", ["stop", "getfd", "migrate", "query-version"])
def test_a_save_that_fails_lets_the_guest_go_on(user, command):
    pid = boot_to_ready(user, "pi")["pid"]
    user.tell_fake("pi", f"refuse={command}")
    assert "pi was not saved, and is ready" in user.refused(FAILED, "suspend", "pi")
    instance = user.wait_state("pi", "ready", 10)
    assert instance["pid"] == pid
    await_no_saved_files(user, "pi")


def test_qemu_is_not_told_to_quit_if_nobody_would_know_of_the_saved_state():
    with FragileUser(**fake_qemu()) as user:
        pid = boot_to_ready(user, "pi")["pid"]
        for _ in range(5):
            user.arm("count")
            user.do("suspend", "pi")
            steps = user.steps()
            step = steps.index("rename record.json", steps.index("rename saved.json")) + 1
            user.do("start", "-d", "pi")
            pid = user.status("pi")["pid"]
            user.arm(f"fail {step} 1 {errno.EIO}")
            done, steps = user.call("suspend", "pi"), user.steps()
            if steps[step - 1] == "rename record.json" and "rename saved.json" in steps[:step]:
                break
            if user.status("pi")["state"] == "saved":  # an event was written between them: once more
                user.do("start", "-d", "pi")
        assert done.returncode == FAILED and "its state could not be saved: " in done.stderr and os.strerror(errno.EIO) in done.stderr, done
        user.disarm()
        instance = user.wait_state("pi", "ready", 10)
        assert instance["pid"] == pid
        wait_for("it is on record", lambda: user.record("pi")["state"] == "ready", 10)
        await_no_saved_files(user, "pi")


@pytest.mark.parametrize("version", ["7.2", "11"])
@pytest.mark.parametrize("command", ["query-status", "stop", "getfd", "migrate", "query-migrate"])
def test_an_agent_that_is_killed_while_it_saves_leaves_a_guest_that_goes_on(user, command, version):
    pid = boot_to_ready(user, "pi")["pid"]
    user.tell_fake("pi", f"silent={passing(command, version)} version={version}")
    assert user.api("POST", "/v1/instances/pi/suspend", {})[0] == 202  # a command would start the next agent at once
    user.wait_state("pi", "saving", 10)
    wait_for("QEMU is silent", lambda: user.record("pi")["state"] == "saving", 10)
    user.kill_agent()
    user.tell_fake("pi", f"version={version}", pid)
    instance = user.wait_state("pi", "ready", 20)
    assert instance["pid"] == pid
    check_files_closed(pid, command, version)
    await_no_saved_files(user, "pi")
    user.do("suspend", "pi")


@pytest.mark.parametrize("how", ["quits late", "quits never"])
def test_an_agent_that_is_killed_while_qemu_ends_leaves_it_saved(user, how):
    pid = boot_to_ready(user, "pi")["pid"]
    user.tell_fake("pi", "ignore=quit")
    assert user.api("POST", "/v1/instances/pi/suspend", {})[0] == 202  # a command would start the next agent at once
    wait_for("its state is whole", lambda: user.record("pi").get("committed"), 10)
    user.kill_agent()
    if how == "quits late":
        os.kill(pid, signal.SIGKILL)
        wait_for("QEMU has ended", lambda: not is_running(pid), 10)
    user.do("ps")
    user.wait_state("pi", "saved", 40)
    assert not is_running(pid) and saved_files(user, "pi") == FILES and "reason" not in user.record("pi")
    (user.instances / "pi/fake-qemu").write_text("")
    user.do("start", "-d", "pi")


@pytest.mark.parametrize("command, version", [("greeting", "7.2"), ("query-uuid", "7.2"), ("query-migrate", "7.2"), ("getfd", "7.2"),
                                              ("getfd", "11"), ("migrate-incoming", "7.2"), ("migrate-incoming", "11"), ("cont", "7.2"),
                                              ("cont ignore=remove-fd", "11")])
def test_an_agent_that_is_killed_while_it_loads_goes_on_or_leaves_it_saved(user, command, version):
    boot_to_ready(user, "pi")
    user.tell_fake("pi", f"version={version}")
    user.do("suspend", "pi")
    rules = user.instances / "pi/fake-qemu"
    rules.write_text(f"silent={passing(command, version)} version={version}")
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    pid = wait_for("QEMU runs", lambda: user.status("pi").get("pid"), 20)
    user.kill_agent()
    user.tell_fake("pi", f"version={version}", pid)
    user.do("ps")
    instance = user.wait_state("pi", "ready", 40)
    assert instance["pid"] == pid and user.spoken("pi").count(b"hello") == 1
    check_files_closed(pid, command, version)
    await_no_saved_files(user, "pi")


def test_a_qemu_that_dies_while_it_saves_is_lost_and_one_that_loads_is_not(user):
    pid = boot_to_ready(user, "pi")["pid"]
    user.tell_fake("pi", "exit=query-migrate")
    assert "was not saved" in user.refused(FAILED, "suspend", "pi")
    instance = user.wait_state("pi", "lost", 10)
    assert not is_running(pid), instance
    await_no_saved_files(user, "pi")
    (user.instances / "pi/fake-qemu").write_text("")
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    user.wait_state("pi", "running", 20)
    user.do("suspend", "pi")
    (user.instances / "pi/fake-qemu").write_text("exit=getfd")
    user.refused(FAILED, "start", "-d", "pi")
    assert user.status("pi")["state"] == "saved" and saved_files(user, "pi") == FILES
    user.do("rm", "pi")
    assert not (user.instances / "pi").exists()


def test_only_a_guest_that_runs_is_suspended(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    user.do("pause", "pi")
    assert "pi is paused: piagent resume pi" in user.refused(CONFLICT, "suspend", "pi")
    user.do("kill", "pi")
    assert "pi is stopped" in user.refused(CONFLICT, "suspend", "pi")
