# SPDX-License-Identifier: MIT
"""Instances that are made and not started; their labels and their fleet."""

import hashlib
import json
import os
import signal

import boot_sectors
import pytest
from piagent import USAGE, User, fake_qemu, wait_for

FLEET = {"name": "lab", "role": "node", "index": 2, "count": 3}


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def words(user, name, *more):
    return ["run", name, "--image", boot_sectors.deaf(user.home), "--image-unverified", "--arch", "x86_64", "--accel", "tcg",
            "--memory", "256M", "--disk", "1M", *more]


def test_an_instance_that_is_not_started_is_whole_and_starts_later(user):
    done = user.call(*words(user, "pi", "--no-start", "--forward", "127.0.0.1:38080:80"))
    assert (done.returncode, done.stdout) == (0, ""), done
    lines = done.stderr.splitlines()
    assert lines[0].startswith("pi: ") and lines[-1] == "pi: made, and not started", lines
    instance = user.status("pi")
    assert instance["state"] == "stopped" and "reason" not in instance and "stopped_by" not in instance
    assert not {"started_ms", "pid", "accel", "boot_ms"} & set(instance)
    folder = user.instances / "pi"
    assert {"disk.qcow2", "ssh_key", "ssh_host_ed25519_key.pub", "known_hosts"} <= {path.name for path in folder.iterdir()}
    assert "pi" in user.do("ps", "-a") and user.do("ps", "-q") == ""
    assert [event["state"] for event in user.events("pi") if event["kind"] == "state"] == ["created", "stopped"]
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    assert user.wait_state("pi", "running")["started_ms"]
    user.do("kill", "pi")


def test_a_new_agent_keeps_an_instance_that_was_not_started(user):
    user.do(*words(user, "pi", "--no-start", "-d", "--label", "rack=b2"))
    user.kill_agent()
    assert (user.state("pi"), user.status("pi")["labels"]) == ("stopped", ["rack=b2"])


def test_a_creation_without_start_that_fails_leaves_nothing(user):
    no_image = user.home / "none.raw"
    no_image.write_bytes(b"")
    done = user.call("run", "pi", "--image", str(no_image), "--image-unverified", "--no-start")
    assert done.returncode and "pi was not made" in done.stderr, done
    assert user.leftovers() == []


def test_an_interrupt_undoes_it(user):
    user.do("ps")
    disk = boot_sectors.deaf(user.home)
    os.truncate(disk, 60 << 30)  # hashing it takes minutes
    command = user.start("run", "pi", "--image", disk, "--image-unverified", "--arch", "x86_64", "--no-start", "--disk", "64G")
    wait_for("it is being made", lambda: [one["state"] for one in user.ps()] == ["created"], 30)
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGINT, out
    assert "interrupted, and undone" in out
    assert user.leftovers() == []


def test_labels_fleet_and_digest_are_in_record_view_list_and_status(user):
    text = "#cloud-config\npackages: [vim]\n"
    status, _ = user.create("pi", image=boot_sectors.deaf(user.home), image_unverified=True, arch="x86_64", accel="tcg", memory_mib=256,
                            disk_bytes=1 << 20, labels=["rack=b2", "empty="], fleet=FLEET, user_data=text, stopped=True)
    assert status == 202
    user.wait_state("pi", "stopped", 30)
    digest = hashlib.sha256(text.encode()).hexdigest()
    record = json.loads((user.instances / "pi/record.json").read_text())["spec"]
    instance = user.status("pi")
    assert (record["labels"], record["fleet"], record["user_data_sha256"]) == (["rack=b2", "empty="], FLEET, digest)
    assert (instance["labels"], instance["fleet"], instance["user_data_sha256"]) == (["rack=b2", "empty="], FLEET, digest)
    summary = user.api("GET", "/v1/instances?summary=1")[1]["instances"][0]
    assert (summary["labels"], summary["fleet"]) == (["rack=b2", "empty="], FLEET)
    rows = [line.split(None, 1) for line in user.do("status", "pi").splitlines()]
    assert ["fleet", "lab, node 2 of 3"] in rows and ["labels", "rack=b2"] in rows and ["empty="] in rows
    user.do(*words(user, "alone", "--no-start"))
    alone = user.status("alone")
    assert alone["labels"] == [] and not {"fleet", "user_data_sha256"} & set(alone)
    assert "fleet" not in json.loads((user.instances / "alone/record.json").read_text())["spec"]


@pytest.mark.parametrize("label, said", [("rack", "a label is KEY=VALUE"), ("a b=c", "a key and a value have"), ("=c", "a key and a value have")])
def test_a_label_that_is_none_is_refused(user, label, said):
    assert said in user.refused(USAGE, *words(user, "pi", "--label", label))
    assert user.ps() == []


@pytest.mark.parametrize("fleet, said", [({**FLEET, "index": 4}, "index 4 is not from 1 to the count, 3"), ({**FLEET, "name": "A"}, "the fleet's name"),
                                         ({**FLEET, "count": 501}, "'count' is not a whole number from 1 to 500"),
                                         ({"name": "lab"}, "'role' is missing"), ({**FLEET, "more": 1}, "'more' is not known here")])
def test_a_place_in_a_fleet_that_is_none_is_refused(user, fleet, said):
    status, answer = user.create("pi", fleet=fleet)
    assert status == 400 and said in answer["error"]["message"], answer
