# SPDX-License-Identifier: MIT
"""Templates: made once, never run again, and resumed from by many. QEMU is the fake; the disks are real."""

import hashlib
import json
import os
import pathlib
import signal
import time

import boot_sectors
import pytest
from faults import FragileUser
from fedora_server import FedoraServer, Image
from piagent import CONFLICT, FAILED, HOST, NOT_FOUND, USAGE, User, fake_qemu, is_running, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end

FILES = {"saved-ram", "saved.json", "template-ram"}


@pytest.fixture(name="user")
def fake_user():
    with User(**fake_qemu()) as user:
        yield user


def files(user, name):
    return {path.name for path in (user.instances / name).iterdir()}


def begin(user, name="warm", *more):
    command = user.start("template", "create", name, "--from", boot_sectors.deaf(user.home), "--unverified", "--arch", "x86_64",
                         "--accel", "tcg", "--memory", "256M", "--disk", "8M", *more)
    wait_for(f"{name} runs", lambda: (user.instances / name).exists() and user.status(name)["state"] == "running", 60)
    return command


def end(command, code=0):
    out, _ = command.communicate(timeout=60)
    assert command.returncode == code, out
    return out


def make(user, name="warm", *more):
    command = begin(user, name, *more)
    boot_to_the_end(Guest(user, name))
    return end(command)


def resume(user, name, **more):
    """Makes an instance of the template, by the API, which does not start another agent."""
    status, answer = user.api("POST", "/v1/instances", {"name": name, "of_template": "warm", **more})
    assert status == 202, answer


def run(user, name, *more):
    command = user.start("run", "--template", "warm", name, "-d", *more)
    wait_for(f"{name} runs", lambda: (user.instances / name).exists() and user.status(name)["state"] == "running", 60)
    boot_to_the_end(Guest(user, name))
    return end(command)


def argv(pid):
    return pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")


def digests(user, name):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (user.instances / name).iterdir()
            if path.name in FILES | {"disk.qcow2"}}


def damage(path):
    """Of this instance alone: the file is a link."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(b"x" * len(data))


def states(user, name):
    return [event["state"] for event in user.events(name) if event["kind"] == "state"]


def test_a_template_is_saved_when_its_guest_rests_and_never_runs_again(user):
    assert "piagent run --template warm NAME" in make(user)
    view = user.status("warm")
    assert (view["state"], view["template"]) == ("saved", True) and "pid" not in view
    assert files(user, "warm") >= FILES and (user.instances / "warm/template-ram").stat().st_size == 256 << 20
    assert "piagent run --template warm NAME makes an instance" in view["reason"] and "start" not in view["reason"]
    for words in (("start", "warm"), ("start", "--cold", "warm"), ("suspend", "warm"), ("clone", "warm", "other", "--no-start"),
                  ("powerdown", "warm"), ("reset", "warm"), ("pause", "warm"), ("ssh", "warm")):
        assert "warm is a template" in user.refused(CONFLICT, *words), words
    assert "warm is a template, and does not run: piagent template rm warm" in user.call("kill", "warm").stderr
    for verb in ("ssh", "start", "kill", "rm"):
        assert "there is no instance named wram: piagent ps" in user.refused(NOT_FOUND, verb, "wram"), verb
    assert user.do("wait", "warm") == ""
    assert "in use, by a template" in user.refused(CONFLICT, "run", "warm", "-d", "--image", boot_sectors.deaf(user.home), "--unverified")
    assert "warm" in user.do("template", "ls") and "warm" not in user.do("ps", "-a")
    assert "1 template is not shown: piagent template ls" in user.call("ps", "-a").stderr
    user.do("rm", "--all")
    user.kill_agent()
    record = user.record("warm")
    (user.instances / "warm/record.json").write_text(json.dumps({**record, "created_ms": record["created_ms"] - 7200000}))
    assert user.status("warm")["state"] == "saved" and files(user, "warm") >= FILES
    assert "2h" not in user.do("template", "ls"), "its age begins when it is made"
    for words in (("template", "rm", "warn"), ("run", "--template", "warn", "a", "-d")):
        assert "there is no template named warn: did you mean warm?" in user.refused(NOT_FOUND, *words)
    user.do("template", "rm", "warm")
    assert not (user.instances / "warm").exists()
    assert "there is no template named warm: piagent template ls lists them" in user.refused(NOT_FOUND, "template", "rm", "warm")


def test_an_instance_goes_on_from_the_template_as_another_one(user):
    make(user)
    before, template, spec = digests(user, "warm"), user.record("warm"), user.record("warm")["spec"]
    run(user, "a", "--label", "rack=b2")
    view, record = user.status("a"), user.record("a")
    assert (view["state"], view["of_template"], view["labels"]) == ("ready", "warm", ["rack=b2"]) and not view["template"]
    assert states(user, "a") == ["created", "restoring", "running", "ready"]
    assert b"hello" not in user.spoken("a"), "its guest went on, and did not begin anew"
    boot, = json.loads(user.do("timeline", "a", "--json"))["boots"]
    spans = {span["name"]: span["result"] for span in boot["spans"] if span["kind"] in ("phase", "stage")}
    assert spans == dict.fromkeys(("preparation", "resume", "identity", "init-network", "modules-config", "modules-final"), "ok")
    command = argv(view["pid"])
    assert any(",share=off,mem-path=" in word for word in command) and "-incoming" in command
    assert not FILES & files(user, "a"), "QEMU has them open"
    assert ["template", "warm"] in [line.split() for line in user.do("status", "a").splitlines()]
    for key in ("uuid", "ssh_port"):
        assert record["spec"][key] != spec[key]
    assert record["spec"]["mac"] == spec["mac"] and record["key"] != template["key"]
    told = json.loads((user.instances / "a/identity").read_text().strip().splitlines()[0])
    assert record["spec"]["uuid"] in json.dumps(told)
    wait_for("it is on record", lambda: not user.record("a").get("identity_due"), 20)
    assert (user.instances / "a/base-1.qcow2").stat().st_ino == (user.instances / "warm/disk.qcow2").stat().st_ino
    assert digests(user, "warm") == before

    def kinds_of_boots():
        boots = json.loads((user.home / "data/piagent/boots.json").read_text())["boots"]
        return sorted((of["key"].split()[-2], len(of["runs"])) for of in boots)
    wait_for("its time is kept", lambda: kinds_of_boots() == [("first", 1), ("resumed", 1)], 20)
    user.do("reset", "a")
    user.wait_state("a", "running")
    boot_to_the_end(Guest(user, "a"))
    wait_for("the boot after the reset is none that resumed", lambda: kinds_of_boots() == [("again", 1), ("first", 1), ("resumed", 1)], 20)

    user.do("template", "rm", "warm")
    user.do("powerdown", "a")
    user.api("POST", "/v1/instances/a/start", {})
    user.wait_state("a", "running")
    cold = argv(user.status("a")["pid"])
    assert not any("template-ram" in word or "pcie-root-port" in word or "identity" in word for word in cold), cold
    assert any(f"mac={spec['mac']}" in word for word in cold)


def test_ten_resume_at_once_and_outlive_their_template(user):
    make(user)
    names = [f"n-{i}" for i in range(10)]
    for name in names:
        resume(user, name)
    for name in names:
        user.wait_state(name, "running")
    user.do("template", "rm", "warm")
    for name in names:
        boot_to_the_end(Guest(user, name))
        user.wait_state(name, "ready")
    assert len({user.record(name)["spec"]["uuid"] for name in names}) == 10


def test_it_is_reached_before_it_is_ready_also_if_it_was_just_made(user):
    make(user)
    user.do("run", "n", "--template", "warm", "--count", "1", "--no-start")
    command = user.start("ssh", "n-1", "--", "true")
    user.api("POST", "/v1/instances/n-1/start", {})
    user.wait_state("n-1", "running")
    said = ""
    while "waiting for its SSH server" not in said:  # its deadline is the test's
        said += command.stdout.readline()
        assert command.poll() is None, said
    assert user.status("n-1")["state"] == "running"
    command.kill()
    command.communicate()


def resume_told(user, name, words, **more):
    resume(user, name, stopped=True, **more)
    user.wait_state(name, "saved")
    (user.instances / name / "fake-qemu").write_text(words)


def check_boots_cold(user, name):
    wait_for("it is on record", lambda: not {"identity_due", "template_hardware"} & {key for key, value in user.record(name).items() if value}, 20)
    command = user.do("qemu-command", name)
    assert user.record(name)["schema"] == 1
    assert "memory-backend" not in command and "identity" not in command
    (user.instances / name / "fake-qemu").write_text("")
    assert user.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
    user.wait_state(name, "running")
    assert not any("template-ram" in word for word in argv(user.status(name)["pid"]))


def test_an_instance_whose_guest_takes_no_identity_fails_with_the_reason(user):
    make(user)
    resume_told(user, "a", "refuse=identity")
    text = user.refused(HOST, "start", "a")
    assert "it says: no space. piagent start a boots its disk instead" in text
    assert states(user, "a")[-3:] == ["running", "stopping", "failed"]
    check_boots_cold(user, "a")
    resume_told(user, "e", "refuse=identity", ephemeral=True)
    text = user.refused(HOST, "start", "e")
    assert "it says: no space" in text and "piagent start" not in text


def test_an_instance_that_qemu_does_not_let_run_fails_with_the_reason(user):
    make(user)
    resume_told(user, "a", "refuse=cont")
    assert "QEMU did not let it go on: " in user.refused(HOST, "start", "a")
    check_boots_cold(user, "a")


def test_a_qemu_that_is_silent_when_its_guest_is_to_go_on_is_waited_for(user):
    make(user)
    resume_told(user, "a", "silent=cont")
    user.api("POST", "/v1/instances/a/start", {})
    view = user.wait_state("a", "paused", 40)
    assert "QEMU did not let its guest go on" in view["reason"]
    user.tell_fake("a", "", view["pid"])
    user.wait_state("a", "running", 40)
    boot_to_the_end(Guest(user, "a"))
    assert user.wait_state("a", "ready")["pid"] == view["pid"]


def is_released(user, name):
    return "kept" in (user.instances / name / "identity").read_text()


def check_waits(user, name):
    waits = "its cloud-init waits for its turn, after 1 other instance"
    wait_for(f"{name} waits", lambda: user.status(name).get("reason") == waits, 20)
    assert f"{name}: {waits}" in user.do("ps").splitlines()
    assert not is_released(user, name) and user.record(name)["set_up_due"]


def test_a_guest_waits_for_its_turn_while_another_one_takes_its_identity(user):
    make(user)
    resume_told(user, "slow", "ignore=identity")
    user.api("POST", "/v1/instances/slow/start", {})
    user.wait_state("slow", "running")
    command = user.start("run", "--template", "warm", "a", "-d", "--timeout", "5s")
    said = ""
    while "a: waiting for its turn" not in said:  # its deadline is the test's
        said += command.stdout.readline()
        assert command.poll() is None, said
    check_waits(user, "a")
    time.sleep(8)
    assert command.poll() is None, "it is given up while it waits as it should"
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    command = user.start("wait", "a")
    user.kill_agent()
    check_waits(user, "a")
    user.do("pause", "a")
    assert "reason" not in user.status("a")
    user.do("resume", "a")
    check_waits(user, "a")
    user.do("suspend", "a")
    user.api("POST", "/v1/instances/a/start", {})
    user.wait_state("a", "running")
    check_waits(user, "a")
    user.do("kill", "slow")
    wait_for("it is told", lambda: is_released(user, "a"), 20)
    user.kill_agent()
    assert "reason" not in user.status("a")
    boot_to_the_end(Guest(user, "a"))
    user.wait_state("a", "ready")
    command.communicate(timeout=60)
    assert len([event for event in user.events("a") if event["kind"] == "queued"]) >= 1
    boot, = json.loads(user.do("timeline", "a", "--json"))["boots"]
    assert [span["result"] for span in boot["spans"] if span["name"] == "queue"] == ["ok"]


def test_an_instance_that_ends_before_its_guest_knows_who_it_is_boots_its_disk(user):
    make(user)
    resume_told(user, "a", "ignore=identity")
    user.api("POST", "/v1/instances/a/start", {})
    user.wait_state("a", "running")
    assert "a is being told who it is" in user.refused(CONFLICT, "suspend", "a")
    with user.start("ssh", "a", "--", "true") as waits:
        assert waits.stdout.readline().startswith("a: resumed from the template, and is told who it is")
        waits.kill()
    user.do("kill", "a")
    check_boots_cold(user, "a")


def test_a_template_whose_memory_has_changed_is_not_resumed_from(user):
    make(user)
    resume(user, "a", stopped=True)
    user.wait_state("a", "saved")
    with open(user.instances / "warm/template-ram", "r+b") as file:
        file.seek(1 << 20)
        file.write(b"damage")
    changed = "the file of its template's RAM has changed since"
    assert changed in user.refused(CONFLICT, "start", "a")
    assert user.status("a")["state"] == "saved"
    assert changed in user.refused(CONFLICT, "run", "--template", "warm", "b", "-d")
    assert "b" not in [one["name"] for one in user.ps()]


def test_an_ephemeral_one_that_cannot_resume_is_removed_with_the_reason(user):
    make(user)
    resume(user, "a", ephemeral=True, stopped=True)
    user.wait_state("a", "saved")
    damage(user.instances / "a/saved-ram")
    text = user.refused(FAILED, "start", "a")
    assert "the file of its RAM is damaged" in text and "--cold" not in text
    wait_for("it is removed", lambda: not (user.instances / "a").exists(), 10)
    resume(user, "a")
    user.wait_state("a", "running")


def test_cards_of_networks_are_plugged_in_after_the_load_and_stay_when_it_is_suspended(user):
    make(user)
    user.do("network", "create", "lab")
    run(user, "a", "--network", "lab")
    plugged = (user.instances / "a/plugged").read_text()
    assert all(word in plugged for word in ('"netdev":"net0"', '"bus":"slot0"', '"id":"card0"')) and plugged.count("\n") == 1
    assert not any("netdev=net0" in word for word in argv(user.status("a")["pid"]))
    user.do("suspend", "a")
    user.do("start", "a", "-d")
    command = argv(user.status("a")["pid"])
    assert any("netdev=net0" in word and word.endswith("bus=slot0") for word in command)
    assert not any("memory-backend" in word for word in command) and (user.instances / "a/plugged").read_text() == plugged


def test_what_the_template_has_cannot_be_chosen_and_what_it_has_not_is_refused(user):
    assert "there is no template named warm" in user.refused(NOT_FOUND, "run", "--template", "warm", "a", "-d")
    make(user)
    user.boot("other", boot_sectors.deaf(user.home))
    assert "only an instance that is stopped can be made a template of" in user.refused(CONFLICT, "template", "create", "t", "--from", "other")
    assert "--from: cannot open ./missing" in user.refused(NOT_FOUND, "template", "create", "t", "--from", "./missing")
    for option in ("--from", "--image"):
        assert "there is no instance named othr: did you mean other?" in user.refused(NOT_FOUND, "template", "create", "t", option, "othr")
    for words in (("--memory", "1G"), ("--cpus", "4"), ("--image", "fedora"), ("--user", "pi"), ("--isolate",), ("--arch", "aarch64")):
        assert "template" in user.refused(USAGE, "run", "--template", "warm", "a", "-d", *words)
    assert "there is no template named other" in user.refused(NOT_FOUND, "run", "--template", "other", "a", "-d")
    assert "other is an instance, and no template" in user.refused(NOT_FOUND, "template", "rm", "other")
    assert "a" not in [one["name"] for one in user.ps()]


def test_one_that_is_removed_while_it_is_made_is_told_to_be(user):
    command = begin(user)
    user.do("template", "rm", "warm")
    said = end(command, CONFLICT)
    assert "another command removed it" in said or "another command ended its QEMU" in said, said


def test_several_of_a_template_say_what_they_do(user):
    make(user)
    command = user.start("run", "n", "--template", "warm", "--count", "2")
    for name in ("n-1", "n-2"):
        wait_for(f"{name} runs", lambda name=name: (user.instances / name).exists() and user.status(name)["state"] == "running", 60)
    said = ""
    while "0 to start, 2 starting, 0 ready" not in said:  # its deadline is the test's
        said += command.stdout.readline()
        assert command.poll() is None, said
    for name in ("n-1", "n-2"):
        boot_to_the_end(Guest(user, name))
    said += end(command)
    assert "n-1: made, and not started" in said and "saved" not in said, said


def running(user):
    return [one["name"] for one in user.ps() if one["state"] == "running"]


def test_only_so_many_resume_at_once_until_they_know_who_they_are(user):
    make(user)
    most = 6 * os.cpu_count()
    user.env["FAKE_QEMU"] = "ignore=identity"
    user.kill_agent()  # its QEMUs have the environment of the agent
    command = user.start("run", "n", "--template", "warm", "--count", str(most + 2), "-d", "--overcommit")
    wait_for("as many as may resume at once have", lambda: len(running(user)) == most, 120)
    time.sleep(3)
    assert len(running(user)) == most
    user.do("kill", "n-1")
    wait_for("the next one follows", lambda: f"n-{most + 1}" in running(user), 60)
    assert f"n-{most + 2}" not in running(user)
    user.tell_fake("n-2", "")
    user.kill_agent()  # the next one tells it again
    wait_for("another one follows one that knows who it is, and waits", lambda: f"n-{most + 2}" in running(user), 60)
    assert user.status("n-2")["reason"].startswith("its cloud-init waits for its turn, after ")
    command.kill()
    command.communicate()


def test_a_template_whose_save_fails_is_ended_with_the_reason(user):
    command = begin(user)
    pid = user.status("warm")["pid"]
    user.tell_fake("warm", "refuse=migrate")
    boot_to_the_end(Guest(user, "warm"))
    assert "the template warm was not made: its state could not be saved" in end(command, FAILED)
    assert user.status("warm")["state"] == "failed" and not is_running(pid)
    assert not (user.instances / "warm/template-ram").exists()
    assert "was not finished" in user.refused(CONFLICT, "start", "warm")
    assert "the template warm is not made yet" in user.refused(CONFLICT, "run", "--template", "warm", "a", "-d")
    user.do("template", "rm", "warm")
    assert "there is no template named warm: piagent template ls lists them" in user.refused(NOT_FOUND, "run", "--template", "warm", "a", "-d")


@pytest.mark.parametrize("moment", ["boots", "ready", "stop", "migrate", "query-migrate"])
def test_an_agent_that_is_killed_while_a_template_is_made_goes_on_making_it(user, moment):
    command = begin(user)
    pid = user.status("warm")["pid"]
    if moment in ("stop", "migrate", "query-migrate"):
        user.tell_fake("warm", f"silent={moment}")
    if moment != "boots":
        boot_to_the_end(Guest(user, "warm"))
        user.wait_state("warm", "ready")
    if moment not in ("boots", "ready"):
        user.wait_state("warm", "saving")
    assert "piagent wait warm" in user.refused(CONFLICT, "run", "--template", "warm", "a", "-d")
    command.send_signal(signal.SIGINT)
    assert "piagent template rm warm" in command.communicate(timeout=60)[0]
    user.kill_agent()
    user.tell_fake("warm", "", pid)
    user.do("ps")
    if moment == "boots":
        boot_to_the_end(Guest(user, "warm"))
    user.wait_state("warm", "saved", 60)
    run(user, "a")


def begin_alone(user, name):
    """The making goes on without its command, which would start the next agent."""
    command = begin(user, name)
    command.send_signal(signal.SIGINT)
    command.communicate(timeout=60)
    user.arm("count")
    return Guest(user, name)


def test_the_memory_of_a_template_is_as_it_was_saved_wherever_the_agent_was_killed():
    with FragileUser(**fake_qemu()) as user:
        user.do("ps")
        boot_to_the_end(begin_alone(user, "counted"))
        user.wait_state("counted", "saved", 60)
        wait_for("it is on record", lambda: user.record("counted")["state"] == "saved", 20)
        steps = user.steps()
        saved = steps.index("rename saved.json")  # before that its QEMU stands still, after it the record says so
        for step in (saved + 1, steps.index("rename record.json", saved) + 1):
            name = f"warm-{step}"
            guest, agent = begin_alone(user, name), user.agent_pid()
            user.arm(f"kill after {step}")
            boot_to_the_end(guest)
            wait_for("the agent is killed, or was not", lambda: not is_running(agent) or user.record(name)["state"] == "saved", 60)
            user.disarm()
            user.do("ps")
            user.wait_state(name, "saved", 60)
            assert user.api("POST", "/v1/instances", {"name": f"a-{step}", "of_template": name})[0] == 202
            user.wait_state(f"a-{step}", "running", 20)


@pytest.mark.parametrize("moment", ["greeting", "migrate-set-capabilities", "migrate-incoming", "device_add", "cont"])
def test_an_agent_that_is_killed_while_one_resumes_goes_on(user, moment):
    make(user)
    user.do("network", "create", "lab")
    resume(user, "a", networks=["lab"], stopped=True)
    user.wait_state("a", "saved")
    (user.instances / "a/fake-qemu").write_text(f"silent={moment}")
    user.api("POST", "/v1/instances/a/start", {})
    pid = wait_for("QEMU runs", lambda: user.status("a").get("pid"), 20)
    user.kill_agent()
    user.tell_fake("a", "", pid)
    user.do("ps")
    user.wait_state("a", "running", 40)
    boot_to_the_end(Guest(user, "a"))
    assert user.wait_state("a", "ready")["pid"] == pid
    assert (user.instances / "a/plugged").read_text().count("\n") == 1
    assert (user.instances / "a/identity").exists()


def test_a_stopped_instance_becomes_a_template(user):
    user.do("run", "gold", "--image", boot_sectors.deaf(user.home), "--unverified", "--arch", "x86_64", "--accel", "tcg",
            "--memory", "256M", "--disk", "8M", "--no-start")
    assert "--from gold is an instance, and has its own: leave out --arch" in user.refused(
        USAGE, "template", "create", "warm", "--from", "gold", "--arch", "aarch64")
    command = user.start("template", "create", "warm", "--from", "gold")
    wait_for("warm runs", lambda: (user.instances / "warm").exists() and user.status("warm")["state"] == "running", 60)
    boot_to_the_end(Guest(user, "warm"))
    end(command)
    assert user.status("gold")["state"] == "stopped" and user.status("warm")["cloned_from"] == "gold"
    run(user, "a")
    assert user.status("a")["memory_mib"] == 256


def refresh(user, code=0):
    command = user.start("template", "create", "warm", "--from", "fedora", "--refresh", "--arch", "x86_64", "--accel", "tcg",
                         "--memory", "256M")
    wait_for("it runs or has ended", lambda: command.poll() is not None or
             ((user.instances / "warm").exists() and user.status("warm")["state"] == "running"), 60)
    if command.poll() is None:
        boot_to_the_end(Guest(user, "warm"))
    return end(command, code)


def test_refresh_makes_a_template_again_when_the_store_has_a_newer_image(user):
    old, new = boot_sectors.deaf(user.home), boot_sectors.says(user.home, b"new")
    with FedoraServer([Image("x86_64", old, "43")]) as fedora:
        user.env.update(fedora.env)
        refresh(user)
        first = user.status("warm")["uuid"]
        assert "warm is there, and has the image that a new one would have" in refresh(user)
        assert user.status("warm")["uuid"] == first
    with FedoraServer([Image("x86_64", new, "44")]) as fedora:
        user.env.update(fedora.env)
        user.do("image", "fetch", "fedora:44", "--arch", "x86_64")
        assert "warm is made again: its image is " in refresh(user)
        assert user.status("warm")["uuid"] != first
    user.boot("other", boot_sectors.deaf(user.home))
    assert "other is an instance, and no template" in user.refused(CONFLICT, "template", "create", "other", "--refresh")
