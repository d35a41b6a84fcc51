# SPDX-License-Identifier: MIT
"""`piagent clone NAME NEW...`: another instance with the same disk. QEMU is the fake; qemu-img is real, and so are the disks."""

import contextlib
import errno
import json
import os
import shutil
import subprocess

import boot_sectors
import pytest
from faults import FragileUser
from piagent import CONFLICT, NOT_FOUND, USAGE, User, fake_qemu, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end

LAYERS_MAX = 8  # agent/worker/disk_clone.h


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def make(user, *more, name="gold"):
    user.do("run", name, "--image", boot_sectors.deaf(user.home), "--unverified", "--arch", "x86_64", "--accel", "tcg",
            "--memory", "256M", "--disk", "8M", "--no-start", *more)


def disk(user, name):
    return user.instances / name / "disk.qcow2"


def io(path, *commands):
    done = subprocess.run(["qemu-io", *(word for command in commands for word in ("-c", command)), str(path)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    return done.returncode == 0 and "failed" not in done.stdout, done.stdout


def write(user, name, mib, pattern):
    good, said = io(disk(user, name), f"write -P {pattern} {mib}M 1M")
    assert good, said


def holds(user, name, *patterns):
    """Whether the disk has each pattern, one after the other from its second MiB on."""
    return io(disk(user, name), *(f"read -P {pattern} {i + 1}M 1M" for i, pattern in enumerate(patterns)))[0]


def layers(user, name):
    return sorted(path.stat().st_ino for path in (user.instances / name).glob("base-*.qcow2"))


def record(user, name):
    return json.loads((user.instances / name / "record.json").read_text())


def identity(user, name):
    """What no two instances may share."""
    folder, spec, view = user.instances / name, record(user, name)["spec"], user.status(name)
    keys = [(folder / file).read_text().split()[1] for file in ("ssh_key.pub", "ssh_host_ed25519_key.pub")]
    return [name, spec["uuid"], spec["mac"], str(view["ssh_port"]), *keys, record(user, name)["key"], *view.get("networks", [])]


def test_clones_have_the_disk_and_an_identity_of_their_own(user):
    user.do("network", "create", "lab")
    user.do("network", "create", "wide")
    data = user.home / "user-data"
    data.write_text("#cloud-config\npackages: [htop]\n")
    make(user, "--network", "lab,ip=10.77.0.77", "--network", "wide", "--label", "rack=b2", "--forward", "18080:80", "--user", "pi",
         "--user-data", str(data))
    write(user, "gold", 1, 7)
    assert "leave one out" in user.refused(USAGE, "clone", "gold", "web-1", "web-2", "-d", "--no-start")
    done = user.call("clone", "gold", "web-1", "web-2", "--no-start", "--memory", "512M")
    assert (done.returncode, done.stdout) == (0, ""), done
    assert {"web-1: made, and not started", "web-2: made, and not started"} <= set(done.stderr.splitlines()), done
    names = ["gold", "web-1", "web-2"]
    known = [word for name in names for word in identity(user, name)]
    assert len(known) == len(set(known)) == 3 * 9, known
    for name in names:
        assert holds(user, name, 7)
    for name in names[1:]:
        view = user.status(name)
        assert (view["state"], view["cloned_from"], view["booted"]) == ("stopped", "gold", False)
        assert (view["memory_mib"], view["cpus"], view["user"], view["disk_bytes"]) == (512, 2, "pi", 8 << 20)
        assert view["labels"] == ["rack=b2"] and view["forwards"] == []
        assert [text.partition(",ip=")[0] for text in view["networks"]] == ["lab", "wide"] and "10.77.0.77" not in str(view["networks"])
        assert view["user_data_sha256"] == user.status("gold")["user_data_sha256"]
        assert (user.instances / name / "user-data").read_bytes() == data.read_bytes()
        assert ["cloned", "from", "gold"] in [line.split() for line in user.do("status", name).splitlines()]
    assert "cloned_from" not in user.status("gold")
    used = user.do("image", "ls")
    assert "gold, web-1, web-2" in used, used


def test_what_one_writes_the_others_do_not_see(user):
    make(user)
    write(user, "gold", 1, 7)
    user.do("clone", "gold", "a", "--no-start")
    assert len(layers(user, "gold")) == 1 and layers(user, "gold") == layers(user, "a")
    user.do("clone", "gold", "b", "--no-start")  # nothing has changed: no further layer
    assert layers(user, "b") == layers(user, "a") == layers(user, "gold")
    write(user, "gold", 2, 8)
    write(user, "a", 2, 9)
    user.do("clone", "gold", "c", "--no-start")
    user.do("clone", "a", "d", "--no-start")
    assert [holds(user, name, 7, pattern) for name, pattern in {"gold": 8, "a": 9, "b": 0, "c": 8, "d": 9}.items()] == [True] * 5
    assert user.status("d")["cloned_from"] == "a"
    for name in ("gold", "a", "b", "c", "d"):
        assert subprocess.run(["qemu-img", "check", "-q", disk(user, name)], check=False).returncode == 0


def test_each_can_be_removed_and_the_last_one_frees_the_layers(user):
    make(user)
    write(user, "gold", 1, 7)
    user.do("clone", "gold", "a", "b", "--no-start")
    user.do("rm", "gold")
    user.do("clone", "a", "c", "--no-start")
    user.do("rm", "a", "b")
    assert holds(user, "c", 7)
    assert "is used by c" in user.refused(CONFLICT, "image", "rm", user.status("c")["image"])
    user.kill_agent()
    assert user.status("c")["cloned_from"] == "a"  # tells the next agent, too
    user.do("rm", "c")
    assert not list(user.instances.iterdir())
    user.do("image", "rm", "deaf.raw")


def test_a_clone_of_a_member_of_a_fleet_is_in_no_fleet(user):
    fleet = {"name": "lab", "role": "node", "index": 1, "count": 1}
    assert user.create("node", image=boot_sectors.deaf(user.home), image_unverified=True, arch="x86_64", memory_mib=256, stopped=True,
                       fleet=fleet)[0] == 202
    user.wait_state("node", "stopped", 60)
    user.do("clone", "node", "a", "--no-start")
    assert "fleet" in user.status("node") and "fleet" not in user.status("a")
    assert not record(user, "a").get("join_secret") and not record(user, "a").get("peers_key")


def test_several_are_started_and_waited_for(user):
    make(user, "--label", "rack=b2")
    command = user.start("clone", "gold", "a", "b", "-d", "--parallel", "2")
    for name in ("a", "b"):
        wait_for(f"{name} runs", lambda: name in {one["name"] for one in user.ps() if one["state"] == "running"}, 60)
        boot_to_the_end(Guest(user, name))
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 0, out
    for name in ("a", "b"):
        assert f"{name}: log in with: piagent ssh {name}" in out
        assert user.state(name) == "ready"
        wait_for("it is on record", lambda name=name: record(user, name)["booted"], 20)
    assert user.status("gold")["state"] == "stopped"


def test_a_source_that_runs_is_refused_in_one_line(user):
    user.boot("gold", boot_sectors.deaf(user.home))
    assert user.refused(CONFLICT, "clone", "gold", "a", "b", "-d") == \
        "gold is running, and only an instance that is stopped can be cloned: piagent powerdown gold first"
    assert [one["name"] for one in user.ps()] == ["gold"]


def test_what_cannot_be_a_clone_is_refused_before_anything_is_made(user):
    make(user)
    assert user.refused(NOT_FOUND, "clone", "gild", "a", "--no-start").startswith("there is no instance named gild")
    assert "is in use" in user.refused(CONFLICT, "clone", "gold", "gold", "--no-start")
    assert "named twice" in user.refused(USAGE, "clone", "gold", "a", "a", "--no-start")
    assert "there is one terminal" in user.refused(USAGE, "clone", "gold", "a", "b")
    assert "cannot share a port" in user.refused(USAGE, "clone", "gold", "a", "b", "-d", "-p", "8080:80")
    assert "cannot share an address" in user.refused(USAGE, "clone", "gold", "a", "b", "-d", "--network", "lab,ip=10.0.0.2")
    assert "NAME NEW..." in user.call("clone", "gold").stderr
    for member in ({"image": "fedora"}, {"user": "pi"}, {"labels": ["a=b"]}, {"disk_bytes": 1 << 30}, {"user_data": "x"}):
        status, answer = user.api("POST", "/v1/instances", {"name": "a", "clone_of": "gold", **member})
        assert status == 400 and "all else is its source's" in answer["error"]["message"], answer
    assert [one["name"] for one in user.ps()] == ["gold"]
    user.do("clone", "gold", "a", "--no-start", "-p", "18081:80")
    assert user.status("a")["forwards"] == ["18081:80"]


def test_an_instance_of_an_older_piagent_is_refused_if_its_clone_would_not_notice_that_it_is_one(user):
    make(user)
    path = user.instances / "gold/record.json"
    user.kill_agent()
    path.write_text(json.dumps({**{key: value for key, value in record(user, "gold").items() if key != "id_on_board"}, "booted": True}))
    assert "was made by an older piagent" in user.refused(CONFLICT, "clone", "gold", "a", "--no-start")


def test_a_disk_that_a_qemu_of_somebody_else_has_open_is_left_alone(user):
    make(user)
    size = disk(user, "gold").stat().st_size
    other = subprocess.Popen(["qemu-io", str(disk(user, "gold"))], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    other.stdin.write(b"write -P 7 1M 1M\nflush\n")
    other.stdin.flush()
    try:
        wait_for("it is open, and written to", lambda: disk(user, "gold").stat().st_size > size, 30)
        before = disk(user, "gold").stat().st_ino
        done = user.call("clone", "gold", "a", "--no-start")
    finally:
        other.communicate()
    assert done.returncode == CONFLICT and "another program has the disk" in done.stderr, done
    assert disk(user, "gold").stat().st_ino == before and layers(user, "gold") == [] and [one["name"] for one in user.ps()] == ["gold"]
    user.do("clone", "gold", "a", "--no-start")
    assert holds(user, "a", 7)


@contextlib.contextmanager
def held_clone():
    """gold, and a clone of it whose worker waits for its qemu-img until the file hold is gone: the user, and the command."""
    with User() as user:
        folder = user.home / "bin"
        folder.mkdir()
        slow = folder / "qemu-img"
        slow.write_text(f"#!/bin/sh\nwhile [ -e {user.home}/hold ]; do sleep 0.05; done\nexec {shutil.which('qemu-img')} \"$@\"\n")
        slow.chmod(0o755)
        user.env.update(fake_qemu())
        user.env["PATH"] = f"{folder}:{user.env['PATH']}"
        make(user)
        (user.home / "hold").touch()
        command = user.start("clone", "gold", "a", "--no-start")
        wait_for("a is being made", lambda: any(str(slow) in words for words in user.processes().values()), 30)
        yield user, command


def test_a_source_is_neither_started_nor_removed_while_it_is_cloned():
    with held_clone() as (user, command):
        assert user.refused(CONFLICT, "start", "-d", "gold") == \
            "gold is being cloned: try again when a is made, or undo that with: piagent rm a"
        assert "gold is being cloned" in user.refused(CONFLICT, "rm", "gold")
        assert "a is being created" in user.refused(CONFLICT, "clone", "a", "b", "--no-start")
        (user.home / "hold").unlink()
        assert command.wait(60) == 0
        assert user.api("POST", "/v1/instances/gold/start", {})[0] == 202


def test_a_creation_that_is_undone_ends_the_programs_that_its_worker_runs():
    with held_clone() as (user, command):
        user.do("rm", "a")
        assert command.wait(60) != 0
        wait_for("worker and qemu-img have ended", lambda: [words[1:] for words in user.processes().values()] == [["agent", "--ready-fd", "3"]], 30)
        assert [path.name for path in user.instances.iterdir()] == ["gold"]


def test_a_disk_of_many_layers_is_copied(user):
    make(user)
    patterns = []
    for i in range(6):
        write(user, "gold", len(patterns) + 1, i + 1)
        patterns.append(i + 1)
        user.do("clone", "gold", f"a{i}", "--no-start")
        assert len(layers(user, f"a{i}")) == i + 1
    for i in range(6, LAYERS_MAX + 2):
        write(user, "gold", 6, i + 1)
        patterns[5] = i + 1
        user.do("clone", "gold", f"a{i}", "--no-start")
        assert len(layers(user, f"a{i}")) == (i + 1 if i < LAYERS_MAX else 0)
        assert holds(user, f"a{i}", *patterns) and holds(user, "gold", *patterns)
    assert len(layers(user, "gold")) == LAYERS_MAX
    assert f"a{LAYERS_MAX + 1}" in user.do("image", "ls")


class Worker:
    """The worker that fills a clone's folder, run alone, with its source as it was each time."""

    def __init__(self, user):
        self.user, self.saved = user, user.home / "saved"
        make(user)
        write(user, "gold", 1, 7)
        user.do("clone", "gold", "a", "--no-start")
        write(user, "gold", 2, 8)
        shutil.copytree(user.instances / "gold", self.saved)
        self.stands = io(disk(user, "gold"), "read -P 7 1M 1M", "read -P 8 2M 1M")[0]
        user.do("agent", "stop")

    def run(self, line):
        gold, clone = self.user.instances / "gold", self.user.instances / "a"
        for path in [*gold.iterdir(), *(path for path in clone.iterdir() if path.name != "record.json")]:
            path.unlink()
        for path in self.saved.iterdir():
            shutil.copy(path, gold)
        self.user.arm(line)
        return self.user.run_worker("prepare", folder=str(clone), source=str(gold))


def test_whatever_step_a_clone_is_killed_at_its_source_keeps_its_disk():
    with FragileUser(**fake_qemu()) as user:
        worker = Worker(user)
        assert worker.stands and worker.run("count").returncode == 0
        steps = user.steps()
        decisive = [i + 1 for i, step in enumerate(steps) if step.split()[0] in ("link", "rename", "fsync", "unlink")]
        first, last = steps.index("link base-2.qcow2") + 1, steps.index("rename disk.qcow2") + 1
        assert steps[first] == steps[last] == "fsync gold" and "fsync overlay.qcow2" in steps[:first], steps
        for when in [f"before {first}", *(f"after {i}" for i in decisive if i <= last + 4 or i == decisive[-1])]:
            killed = worker.run(f"kill {when}")
            assert killed.returncode == -9, (when, killed, steps)
            assert holds(user, "gold", 7, 8), (when, steps)
            user.disarm()
            # The next clone is whole, whatever the one before has left.
            for path in user.instances.glob("a/*"):
                if path.name != "record.json":
                    path.unlink()
            again = user.run_worker("prepare", folder=str(user.instances / "a"), source=str(user.instances / "gold"))
            assert again.returncode == 0, (when, again)
            assert holds(user, "gold", 7, 8) and holds(user, "a", 7, 8), when
            assert {path.name for path in user.instances.glob("gold/*.qcow2")} == {"disk.qcow2", "base-1.qcow2", "base-2.qcow2"}


def test_on_a_file_system_without_links_the_disk_is_copied():
    with FragileUser(**fake_qemu()) as user:
        worker = Worker(user)
        assert worker.run("count").returncode == 0
        link = user.steps().index("link base-2.qcow2") + 1
        gold = disk(user, "gold")
        assert worker.run(f"fail {link} 1 {errno.EPERM}").returncode == 0
        assert holds(user, "gold", 7, 8) and holds(user, "a", 7, 8) and layers(user, "a") == []
        assert gold.read_bytes() == (worker.saved / "disk.qcow2").read_bytes()
        failed = worker.run(f"fail {link} 1 {errno.EIO}")
        assert failed.returncode and os.strerror(errno.EIO) in failed.stdout and holds(user, "gold", 7, 8)
