# SPDX-License-Identifier: MIT
"""The agent dies, the instances do not: the next agent finds them, and nothing is left over of what was under way."""

import fcntl
import itertools
import json
import os
import shutil
import signal
import subprocess
import time

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import AGENT, CONFLICT, FAILED, GUEST, LIVE, PIAGENT, User, fake_qemu, is_running, wait_for


@pytest.fixture
def user():
    with User() as user:
        yield user


def shown(user):
    return {instance["name"]: (instance["state"], instance.get("pid"), instance.get("ssh_port")) for instance in user.ps()}


def kill_qemu(pid):
    os.kill(pid, signal.SIGKILL)
    wait_for("QEMU is gone", lambda: not is_running(pid), 10)


def test_the_next_agent_takes_over_the_same_qemu_in_each_state(user):
    user.boot("runs", boot_sectors.deaf(user.home))
    user.boot("rests", boot_sectors.deaf(user.home))
    user.do("pause", "rests")
    user.wait_state("rests", "paused", 10)
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    assert 20000 <= port < 30000  # no connection of this host's gets it by chance
    before = shown(user)
    user.kill_agent()
    assert shown(user) == before
    assert user.api("GET", "/v1/agent")[1]["imds_port"] == port
    wait_for("it is taken over", lambda: any("taken over" in event.get("text", "") for event in user.events("rests")), 20)
    user.do("resume", "rests")
    user.wait_state("rests", "running", 10)
    assert shown(user)["rests"][1:] == before["rests"][1:]
    for name in before:
        user.do("rm", "--force", name)
    user.nothing_left()


def test_what_is_asked_of_a_qemu_that_is_being_taken_over_waits_for_the_end_of_that():
    with User(**fake_qemu()) as user:
        pids = [instance["pid"] for instance in user.boot_all(["slow", "dies"], boot_sectors.deaf(user.home))]
        user.boot("cut", boot_sectors.deaf(user.home))
        user.tell_fake("cut", "close=query-uuid")
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        user.kill_agent()
        assert "cannot be asked now" in user.refused(FAILED, "pause", "cut")
        user.kill_agent()
        asked = [user.start("pause", name) for name in ("slow", "slow", "dies")]
        time.sleep(1)
        assert [command.poll() for command in asked] == [None] * 3
        os.kill(pids[0], signal.SIGCONT)
        os.kill(pids[1], signal.SIGKILL)
        said = [command.communicate(timeout=60)[0] for command in asked]
        assert [command.returncode for command in asked[:2]] == [0, 0], said
        assert asked[2].returncode in (FAILED, CONFLICT), said  # whether its monitor or it itself was missed first
        for _ in range(3):
            user.kill_agent()
            user.do("resume", "slow")
            user.kill_agent()
            user.do("pause", "slow")
        assert user.state("slow") == "paused"


def test_the_console_goes_on_under_the_next_agent(user):
    user.boot("echo", boot_sectors.echo(user.home))
    user.kill_agent()
    user.do("ps")
    user.type("echo", "HAL")
    wait_for("the guest answers", lambda: user.console("echo").endswith(b"hello\r\nIBM"), 20)


def test_who_follows_an_instance_goes_on_with_the_next_agent(user):
    run = user.start("run", "off", "--image", boot_sectors.poweroff_when_told(user.home), "--image-unverified",
                     "--memory", "256M", "--disk", "1M")
    wait_for("it says hello", lambda: b"hello" in user.console("off"), 60)
    user.kill_agent()
    wait_for("the command has started an agent", lambda: user.call("agent", "status").returncode == 0, 30)
    user.type("off", "x")
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 0, out
    assert "off: stopped" in out


def test_who_follows_an_instance_over_an_upgrade_starts_the_new_program(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    program, new = user.home / "piagent", user.home / "new"
    shutil.copy(PIAGENT, program)
    follower = subprocess.Popen([program, "wait", "pi", "--for", "stopped"], env=user.env, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    user.followers.append(follower)
    shutil.copy(PIAGENT, new)
    assert follower.stderr.readline().startswith("pi: ")  # how far it is: it follows
    new.rename(program)
    user.kill_agent()
    wait_for("the command has started an agent", lambda: user.call("agent", "status").returncode == 0, 30)
    assert os.readlink(f"/proc/{user.agent_pid()}/exe") == str(program)
    user.do("kill", "pi")
    assert follower.wait(60) == 0


def test_a_powerdown_goes_on_under_the_next_agent(user):
    pid = user.boot("deaf", boot_sectors.deaf(user.home))["pid"]
    assert user.api("POST", "/v1/instances/deaf/powerdown", {"timeout_ms": 600000})[0] == 202
    user.kill_agent()
    assert shown(user)["deaf"][:2] == ("stopping", pid)
    user.do("kill", "deaf")
    assert user.status("deaf")["stopped_by"] == "quit"


def test_a_qemu_that_hangs_is_ended_by_the_next_agent_too(user):
    pid = user.boot("hung", boot_sectors.deaf(user.home))["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert user.api("POST", "/v1/instances/hung/kill", {})[0] == 202
    user.kill_agent()
    assert shown(user)["hung"][:2] == ("stopping", pid)
    assert user.wait_state("hung", "stopped", 60)["stopped_by"] == "kill"
    assert not is_running(pid)


def test_a_poweroff_that_no_agent_saw_is_a_stop_and_no_loss(user):
    user.boot("off", boot_sectors.poweroff_when_told(user.home))
    # QEMU holds the byte until its guest goes on: it does when the agent is gone.
    user.do("pause", "off")
    user.type("off", "x")
    assert user.api("POST", "/v1/instances/off/resume", {})[0] == 200
    user.kill_agent()
    time.sleep(1)
    instance = user.wait_state("off", "stopped", 20)
    assert instance["stopped_by"] == "guest", instance
    user.do("rm", "off")
    user.nothing_left()


def test_a_qemu_that_dies_while_its_guest_is_to_power_off_is_lost_and_no_poweroff(user):
    pids = [instance["pid"] for instance in user.boot_all(["watched", "alone"], boot_sectors.deaf(user.home))]
    powerdown = user.start("powerdown", "watched", "--timeout", "60s")
    user.wait_state("watched", "stopping", 10)
    os.kill(pids[0], signal.SIGKILL)
    said = powerdown.communicate(timeout=60)[0]
    assert powerdown.returncode == GUEST and "watched was lost: QEMU ended (" in said and "powered itself off" not in said, said
    assert user.api("POST", "/v1/instances/alone/powerdown", {})[0] == 202
    user.kill_agent()
    kill_qemu(pids[1])
    instance = user.wait_state("alone", "lost", 20)
    assert "ended while no agent" in instance["reason"] and "stopped_by" not in instance, instance


# How QEMU ended while no agent ran, the state and accelerator on record, and the state and reason that the next agent shows.
MEANWHILE = {
    "goes-on": ("running", "paused", "tcg", "running", ""),
    "rests": ("paused", "running", "tcg", "paused", ""),
    "off": ("shutdown", "running", "tcg", "stopping", ""),
    "panicked": ("guest-panicked", "running", "tcg", "paused", "the guest's kernel panicked: piagent logs panicked"),
    "panicked-ready": ("guest-panicked", "ready", "tcg", "paused", "the guest's kernel panicked"),
    "full": ("io-error", "ready", "tcg", "paused", "the host's disk is full"),
    "full-at-once": ("io-error", "starting", "tcg", "paused", "the host's disk is full"),
    "broken": ("internal-error", "running", "tcg", "failed", "tcg cannot run this guest (internal-error)"),
    "broken-ready": ("internal-error", "ready", "tcg", "paused", "tcg failed under the guest (internal-error)"),
    "broken-at-last": ("internal-error", "stopping", "tcg", "note", "the guest cannot go on and power off: tcg failed"),
    "no-kvm": ("internal-error", "running", "kvm", "starting", ""),
    "slept": ("suspended", "ready", "tcg", "suspended", ""),
    "woke": ("running", "suspended", "tcg", "running", ""),
    "watched": ("watchdog", "running", "tcg", "paused", "QEMU has stopped the guest; its state is watchdog"),
}


def test_what_qemu_came_to_while_no_agent_ran_is_learnt_and_told():
    heard = json.dumps({"event": "BLOCK_IO_ERROR", "data": {"device": "", "operation": "write", "action": "report", "reason": "heard"}})
    with User(**fake_qemu()) as user:
        before = dict(zip(MEANWHILE, user.boot_all(MEANWHILE, boot_sectors.deaf(user.home))))
        for name, (status, *_) in MEANWHILE.items():
            user.tell_fake(name, f"status={status}\n{heard}")
        for name in MEANWHILE:
            wait_for(f"{name} has heard", lambda name=name: any(text.endswith("heard") for text in user.texts(name)), 20)
        user.kill_agent()
        for name, (_, state, accel, *_) in MEANWHILE.items():
            path = user.instances / name / "record.json"
            record = json.loads(path.read_bytes())
            record.update(state=state, accel=accel)
            record["spec"]["accel"] = "auto" if accel == "kvm" else accel
            path.write_text(json.dumps(record))
        user.do("ps")

        def told(name, state, reason):
            since = itertools.dropwhile(lambda event: "taken over" not in event.get("text", ""), user.events(name))
            return [event for event in since if event.get("state", event["kind"]) == state and event.get("text", "").startswith(reason)]
        for name, (_, _, _, state, reason) in MEANWHILE.items():
            wait_for(f"{name} is {state}: {reason}", lambda name=name, state=state, reason=reason: told(name, state, reason), 20)
        for name in ("panicked", "panicked-ready"):
            assert [event["kind"] for event in user.events(name)].count("panic") == 1
            assert f"piagent reset {name} and then piagent resume {name}" in user.status(name)["reason"]
            user.do("resume", name)
            assert user.wait_state(name, "running", 10)["pid"] == before[name]["pid"]
        assert user.wait_state("off", "stopped", 10)["stopped_by"] == "guest"
        assert user.wait_state("no-kvm", "running", 30)["pid"] != before["no-kvm"]["pid"]
        assert "reason" not in user.status("no-kvm")
        assert [name for name in MEANWHILE if any("afresh under TCG" in text for text in user.texts(name))] == ["no-kvm"]
        # There is room on this host's disk.
        for name, state in (("full", "ready"), ("full-at-once", "running")):
            assert user.wait_state(name, state, 20)["pid"] == before[name]["pid"]


def test_a_qemu_that_died_without_an_agent_is_lost(user):
    pid = user.boot("dies", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    kill_qemu(pid)
    instance = user.wait_state("dies", "lost", 20)
    assert "no agent" in instance["reason"], instance
    assert not list(user.runtime.glob("dies.*"))
    assert user.api("POST", "/v1/instances/dies/start", {})[0] == 202
    user.wait_state("dies", "running", 30)


def altered_record(user, name, **changes):
    path = user.instances / name / "record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, **changes}))


def test_a_fresh_start_that_goes_on_under_the_next_agent_keeps_no_reason():
    """QEMU was killed under KVM, to be started afresh under TCG, and its agent did not see it end."""
    with User(**fake_qemu()) as user:
        pid = user.boot("anew", boot_sectors.deaf(user.home))["pid"]
        user.kill_agent()
        kill_qemu(pid)
        altered_record(user, "anew", state="starting", rung="kill", relaunch=True)
        user.do("ps")
        instance = user.wait_state("anew", "running", 20)
        assert instance["pid"] != pid and "reason" not in instance, instance
        assert "its QEMU ended while no agent was running" in user.texts("anew")


@pytest.mark.parametrize("when", ["before", "while it is taken over"])
def test_a_start_whose_qemu_ends_unseen_is_repeated(when):
    with User(**fake_qemu()) as user:
        pid = user.boot("anew", boot_sectors.deaf(user.home))["pid"]
        os.kill(pid, signal.SIGSTOP)
        user.kill_agent()
        altered_record(user, "anew", state="starting")
        if when == "before":
            kill_qemu(pid)
        user.do("ps")
        if when != "before":
            kill_qemu(pid)
        wait_for("it is started anew", lambda: user.status("anew").get("pid", pid) != pid, 20)
        assert "reason" not in user.wait_state("anew", "running", 20)


def test_a_process_that_has_only_the_number_of_a_qemu_is_not_touched(user):
    pid = user.boot("dies", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    kill_qemu(pid)
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            altered_record(user, "dies", pid=other.pid)
            user.wait_state("dies", "lost", 20)
            user.do("kill", "dies")
            assert other.poll() is None
        finally:
            other.kill()


def test_a_qemu_that_cannot_be_identified_is_told_once_and_not_said_to_be_signalled(user):
    pid = user.boot("odd", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    # A thread exists, but pidfd_open(2) fails for it.
    thread = max(int(task) for task in os.listdir(f"/proc/{pid}/task"))
    altered_record(user, "odd", pid=thread)
    user.do("ps")
    assert user.api("POST", "/v1/instances/odd/kill", {"step_ms": 300})[0] == 202
    wait_for("it is told", lambda: any(f"cannot send a signal to QEMU (process {thread}): " in text for text in user.texts("odd")), 20)
    time.sleep(1.5)
    texts = user.texts("odd")
    assert len([text for text in texts if "cannot send a signal" in text]) == 1, texts
    assert not [text for text in texts if "sent to QEMU" in text], texts
    assert user.state("odd") == "stopping" and is_running(pid)


def test_what_ran_before_the_host_was_restarted_is_lost_with_that_reason(user):
    pid = user.boot("dies", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    kill_qemu(pid)
    altered_record(user, "dies", boot_id="0" * 8 + "-0000-0000-0000-" + "0" * 12)
    assert "host was restarted" in user.wait_state("dies", "lost", 20)["reason"]


def test_an_instance_without_its_link_in_the_image_store_gets_one_from_the_next_agent_and_from_its_start():
    """An instance of an older piagent. No agent waits for a process that removes images."""
    with User(**fake_qemu()) as user:
        user.boot("pi", boot_sectors.deaf(user.home))
        user.do("kill", "pi")
        images = user.home / "cache/piagent/images"
        link, = images.glob("*.use-*")
        disk = link.readlink()
        locked = os.open(images, os.O_RDONLY)
        fcntl.flock(locked, fcntl.LOCK_EX)
        user.kill_agent()
        link.unlink()
        assert user.state("pi") == "stopped"
        assert link.readlink() == disk == user.instances / "pi/disk.qcow2"
        link.unlink()
        assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
        assert link.readlink() == disk
        user.wait_state("pi", "running", 30)
        os.close(locked)


def test_a_record_that_cannot_be_read_harms_no_other_instance_and_can_be_removed(user):
    user.boot("good", boot_sectors.deaf(user.home))
    user.boot("bad", boot_sectors.deaf(user.home))
    user.do("kill", "bad")
    user.kill_agent()
    (user.instances / "bad/record.json").write_text("{\"schema\":")
    assert shown(user)["good"][0] == "running"
    assert user.status("bad")["state"] == "lost"
    assert "record" in user.refused(CONFLICT, "start", "bad")
    user.do("rm", "bad")
    user.do("rm", "--force", "good")
    user.nothing_left()


def test_a_download_that_was_cut_short_leaves_nothing(user):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        environment = [f"{name}={value}" for name, value in fedora.env.items()]
        assert user.create("half", arch="x86_64", environment=environment)[0] == 202
        assert user.state("half") == "created"
        wait_for("it downloads", lambda: any(path.startswith("/mirror/") for path in fedora.requests), 30)
        user.kill_agent()
        assert user.ps() == []
        user.nothing_left()


@pytest.mark.parametrize("delays_ms", [range(0, 100, 10), range(100, 400, 30), range(400, 900, 50)], ids=["early", "middle", "late"])
def test_an_instance_is_whole_or_not_there_whenever_the_agent_is_killed(user, delays_ms):
    disk = boot_sectors.echo(user.home)
    for delay_ms in delays_ms:
        status, _ = user.create("pi", image=disk, image_unverified=True, arch="x86_64", accel="tcg", cpus=1, memory_mib=256,
                                disk_bytes=1 << 20)
        assert status == 202
        time.sleep(delay_ms / 1000)
        user.kill_agent()
        instances = user.ps()
        if instances:
            instance = user.wait_state("pi", "running", 30)
            wait_for("there is one QEMU", lambda: set(user.processes()) == {user.agent_pid(), user.status("pi")["pid"]}, 20)
            # Its hello may have fallen into the time without an agent.
            wait_for("its guest answers", lambda: user.type("pi", "H") or b"I" in user.console("pi"), 30)
            assert user.status("pi")["pid"] == instance["pid"]
            user.do("rm", "--force", "pi")
        user.nothing_left()


@pytest.mark.parametrize("delay_ms", [0, 20, 100])
def test_an_instance_stops_whenever_the_agent_is_killed(user, delay_ms):
    user.boot("pi", boot_sectors.deaf(user.home))
    assert user.api("POST", "/v1/instances/pi/kill", {})[0] == 202
    time.sleep(delay_ms / 1000)
    user.kill_agent()
    instance = user.wait_state("pi", "stopped", 30)
    assert instance["stopped_by"] == "quit"
    user.do("rm", "pi")
    user.nothing_left()


def test_ten_commands_at_once_start_one_agent(user):
    commands = [user.start("ps") for _ in range(10)]
    for command in commands:
        out, _ = command.communicate(timeout=60)
        assert command.returncode == 0, out
    assert list(user.processes()) == [user.agent_pid()]
    assert user.log().count(" is up, ") == 1
    second = subprocess.run([PIAGENT, "agent"], env=user.env, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert second.returncode == CONFLICT
    assert f"running already (process {user.agent_pid()})" in second.stderr
    assert second.stderr.startswith("piagent: ")


def test_an_agent_that_is_asked_to_stop_leaves_its_guests_running(user):
    user.boot("stays", boot_sectors.deaf(user.home))
    before = shown(user)
    agent = user.agent_pid()
    user.do("agent", "stop")
    wait_for("the agent has ended", lambda: not is_running(agent), 10)
    assert list(user.processes()) == [before["stays"][1]]
    assert shown(user) == before
    assert before["stays"][0] in LIVE


def test_a_copy_of_an_instances_folder_is_no_second_instance_on_its_qemu(user):
    pid = user.boot("web", boot_sectors.deaf(user.home))["pid"]
    user.kill_agent()
    subprocess.run(["cp", "-r", user.instances / "web", user.instances / "copy"], check=True)
    assert {name: state for name, (state, _, _) in shown(user).items()} == {"copy": "lost", "web": "running"}
    assert "web is the instance" in user.status("copy")["reason"]
    wait_for("the instance is taken over", lambda: "web: taken over" in user.log(), 20)
    user.do("rm", "copy")
    assert not (user.instances / "copy").exists() and shown(user)["web"][1] == pid
    user.do("kill", "web")
    assert user.status("web")["stopped_by"] == "quit"


def test_an_agent_that_hangs_is_told_and_can_be_ended(user):
    user.boot("stays", boot_sectors.deaf(user.home))
    before, agent = shown(user), user.agent_pid()
    os.kill(agent, signal.SIGSTOP)
    done = user.call("ps")
    assert done.returncode == AGENT and done.stderr.splitlines() == [
        "no answer yet: the agent, or the QEMU that it asks, is slow or hangs",
        f"piagent: the agent (process {agent}) does not answer: piagent agent stop ends it, instances run on"]
    assert f"process {agent}" in user.call("agent", "stop", timeout=90).stderr
    assert not is_running(agent)
    assert shown(user) == before


def test_an_agent_whose_log_nobody_reads_loses_lines_and_waits_for_nobody(user):
    reads, writes = os.pipe()
    os.write(writes, b"-" * fcntl.fcntl(writes, fcntl.F_GETPIPE_SZ))
    agent = subprocess.Popen([PIAGENT, "agent"], env=user.env, stdin=subprocess.DEVNULL, stdout=writes, stderr=writes)
    os.close(writes)
    try:
        wait_for("the agent is up", lambda: user.call("agent", "status", timeout=5).returncode == 0, 20)
        user.boot("pi", boot_sectors.deaf(user.home))
        os.read(reads, 1 << 20)
        user.do("kill", "pi")
        assert b"pi: stopped" in os.read(reads, 1 << 20)
        user.do("agent", "stop")
        agent.wait(60)
    finally:
        agent.kill()
        agent.wait()
        os.close(reads)


def test_a_low_limit_on_descriptors_does_not_keep_the_agent_from_starting(user):
    done = subprocess.run(["sh", "-c", 'ulimit -Sn 32; exec "$0" ps', PIAGENT], env=user.env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
