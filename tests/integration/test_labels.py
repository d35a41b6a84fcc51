# SPDX-License-Identifier: MIT
"""Instances that are made and not started; their labels and their fleet."""

import hashlib
import json
import os
import signal

import boot_sectors
import pytest
from piagent import CONFLICT, NOT_FOUND, USAGE, User, fake_qemu, wait_for

FLEET = {"name": "lab", "role": "node", "index": 2, "count": 3}
SHOWN = {**FLEET, "after": []}


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def words(user, name, *more):
    return ["run", name, "--image", boot_sectors.deaf(user.home), "--image-unverified", "--arch", "x86_64", "--accel", "tcg",
            "--memory", "256M", "--disk", "1M", *more]


def test_an_instance_that_is_not_started_is_whole_and_starts_later(user):
    done = user.call(*words(user, "pi", "--no-start"))
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
    user.nothing_left()


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
    user.nothing_left()


def test_labels_fleet_and_digest_are_in_record_view_list_and_status(user):
    text = "#cloud-config\npackages: [vim]\n"
    status, _ = user.create("pi", image=boot_sectors.deaf(user.home), image_unverified=True, arch="x86_64", accel="tcg", memory_mib=256,
                            disk_bytes=1 << 20, labels=["rack=b2", "empty="], fleet=FLEET, user_data=text, stopped=True)
    assert status == 202
    user.wait_state("pi", "stopped", 30)
    digest = hashlib.sha256(text.encode()).hexdigest()
    record = json.loads((user.instances / "pi/record.json").read_text())["spec"]
    instance = user.status("pi")
    assert (record["labels"], record["fleet"], record["user_data_sha256"]) == (["rack=b2", "empty="], SHOWN, digest)
    assert (instance["labels"], instance["fleet"], instance["user_data_sha256"]) == (["rack=b2", "empty="], SHOWN, digest)
    summary = user.api("GET", "/v1/instances?summary=1")[1]["instances"][0]
    assert (summary["labels"], summary["fleet"]) == (["rack=b2", "empty="], SHOWN)
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


def make(user, name, labels=(), fleet=None, running=False):
    request = {"fleet": {"name": fleet, "role": "node", "index": 1, "count": 1}} if fleet else {}
    status, answer = user.create(name, image=boot_sectors.deaf(user.home), image_unverified=True, arch="x86_64", accel="tcg",
                                 memory_mib=256, disk_bytes=1 << 20, labels=list(labels), stopped=not running, **request)
    assert status == 202, answer
    user.wait_state(name, "running" if running else "stopped", 30)


def make_five(user):
    """Two fleets and one instance of none; a, c and e run."""
    make(user, "a", ["rack=b1", "gpu="], "lab", running=True)
    make(user, "b", ["rack=b2", "gpu="], "lab")
    make(user, "c", ["rack=b1"], "shed", running=True)
    make(user, "d", ["rack=b1", "gpu="], "shed")
    make(user, "e", running=True)
    return user


@pytest.fixture
def five(user):
    return make_five(user)


@pytest.fixture(scope="module")
def kept_five():
    """For tests that change nothing."""
    with User(**fake_qemu()) as user:
        yield make_five(user)


def states(user):
    return {instance["name"]: instance["state"] for instance in user.ps()}


@pytest.mark.parametrize("words, chosen", [([], "ace"), (["-a"], "abcde"), (["--fleet", "lab"], "ab"), (["--label", "rack=b1"], "acd"),
                                           (["--label", "gpu"], "abd"), (["--label", "gpu", "--label", "rack=b1"], "ad"),
                                           (["--label", "gpu", "--fleet", "shed"], "d"), (["--label", "rack="], ""),
                                           (["--fleet", "lab", "--label", "rack=b3"], "")])
def test_a_selection_is_what_fulfils_all_of_it(kept_five, words, chosen):
    assert kept_five.do("ps", "-q", *words).split() == list(chosen)
    assert [one["name"] for one in json.loads(kept_five.do("ps", "--json", *words))["instances"]] == list(chosen)


def test_ps_shows_fleet_and_labels_if_asked(kept_five):
    assert "LABELS" not in kept_five.do("ps", "-a")
    head, *rows = kept_five.do("ps", "-a", "--labels").splitlines()
    assert head.split()[-2:] == ["FLEET", "LABELS"]
    assert rows[0].split()[-2:] == ["lab", "rack=b1,gpu="] and rows[-1].split()[-2:] == ["-", "-"]
    done = kept_five.call("ps", "--fleet", "none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no instance is of a fleet named none: piagent ps -a --labels shows the fleets\n")


def chosen_of(text):
    return "".join(one["name"] for one in json.loads(text)["machines"])


def test_each_verb_takes_a_selection_and_acts_on_those_that_it_can(five):
    assert chosen_of(five.do("pause", "--label", "rack=b1", "--json")) == "ac"
    assert states(five) == {"a": "paused", "b": "stopped", "c": "paused", "d": "stopped", "e": "running"}
    assert chosen_of(five.do("resume", "--fleet", "shed", "--json")) == "c"
    assert chosen_of(five.do("resume", "--all", "--json")) == "ace"
    assert chosen_of(five.do("reset", "--label", "gpu", "--json")) == "a"
    assert chosen_of(five.do("reseed", "--fleet", "lab", "--json")) == "ab"
    assert chosen_of(five.do("powerdown", "--fleet", "shed", "--json")) == "c"
    done = five.call("powerdown", "--fleet", "shed")
    assert (done.returncode, done.stderr) == (0, "nothing runs\n")
    start = five.start("start", "-d", "--fleet", "shed")
    wait_for("the fleet runs", lambda: "".join(name for name, state in states(five).items() if state == "running") == "acde", 30)
    start.kill()
    restart = five.start("restart", "--force", "--fleet", "shed")
    wait_for("it runs anew", lambda: [one.get("state") for one in five.events("d")].count("running") == 2, 30)
    restart.kill()
    assert chosen_of(five.do("kill", "--label", "rack", "--json")) == "acd"
    five.do("wait", "--for", "stopped", "--fleet", "lab")
    assert five.refused(CONFLICT, "wait", "--fleet", "lab").startswith("a is stopped, and does not become ready by itself")
    assert states(five)["e"] == "running"


def test_rm_removes_nothing_if_one_of_them_runs_unless_it_is_forced(five):
    before = states(five)
    for words in (["--fleet", "lab"], ["a", "b"], ["b", "a", "--json"]):
        assert "nothing was removed, because a is running: piagent powerdown first, or piagent rm --force" in five.call("rm", *words).stderr, words
        assert states(five) == before
    assert "because a is running, c is running, and 1 more: " in five.refused(CONFLICT, "rm", *"bacde")
    five.do("rm", "--force", "--label", "rack=b1")
    assert states(five) == {"b": "stopped", "e": "running"}
    assert "powerdown --all" in five.refused(USAGE, "rm", "--all", "--force")


def test_ssh_config_of_a_selection(kept_five):
    def hosts(*words):
        return [line.split()[1] for line in kept_five.do("ssh-config", *words).splitlines() if line.startswith("Host ")]
    assert (hosts(), hosts("--all"), hosts("--fleet", "lab"), hosts("c", "a", "c")) == (list("abcde"), list("abcde"), ["a", "b"], ["c", "a"])


def test_inventory_of_a_selection(kept_five):
    def hosts(*words):
        return sorted(json.loads(kept_five.do("inventory", "--list", *words))["_meta"]["hostvars"])
    assert (hosts(), hosts("--label", "rack=b1"), hosts("b", "a")) == (list("abcde"), list("acd"), ["a", "b"])


@pytest.mark.parametrize("verb", ["powerdown", "kill", "pause", "resume", "reset", "reseed", "rm", "start -d", "restart", "wait", "ssh-config",
                                  "inventory"])
def test_a_fleet_or_label_that_nothing_has_and_names_beside_a_selection_are_refused(kept_five, verb):
    before, words = states(kept_five), verb.split()
    assert kept_five.refused(NOT_FOUND, *words, "--fleet", "lap") == "no instance is of a fleet named lap: did you mean lab?"
    assert kept_five.refused(NOT_FOUND, *words, "--label", "rack=b3") == "no instance has the label rack=b3"
    assert kept_five.refused(NOT_FOUND, *words, "--fleet", "lab", "--label", "gpu", "--label", "x") == "no instance of fleet lab has the labels gpu, x"
    assert kept_five.refused(USAGE, *words, "--fleet", "lab", "a") == f"{words[0]} takes names or --fleet, not both"
    assert "--label a b" in kept_five.refused(USAGE, *words, "--label", "a b")
    assert "--fleet: " in kept_five.refused(USAGE, *words, "--fleet", "La b")
    assert states(kept_five) == before


def test_a_selection_of_nothing_is_told(user):
    for verb, said in (("powerdown", "nothing runs"), ("kill", "nothing runs"), ("start -d", "nothing is stopped"), ("wait", "there is no instance")):
        done = user.call(*verb.split(), "--all")
        assert (done.returncode, done.stderr) == (0, f"{said}\n")
    assert user.refused(USAGE, "kill") == "kill needs NAME..., or --all, --fleet, --label: piagent kill NAME... (piagent ps -a lists the names)"


def test_fleets_and_labels_are_completed_once(kept_five):
    def offered(*words):
        return kept_five.do("__complete", "--", *words).splitlines()
    assert offered("powerdown", "--fleet", "") == ["lab", "shed"]
    assert offered("ps", "--label", "ra") == ["rack=b1", "rack=b2"]
    assert offered("run", "x", "--label=g") == ["--label=gpu="]
