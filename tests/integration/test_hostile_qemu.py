# SPDX-License-Identifier: MIT
"""QEMUs that a guest has taken over (harness/fake_qemu.c): they cost little, harm no other instance, and can be ended."""

import json
import os
import time

import boot_sectors
import pytest
from piagent import User, fake_qemu, wait_for


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def lose_monitor(user, name, rules, why):
    user.tell_fake(name, rules)
    wait_for(f"{name}: {why}", lambda: why in user.status(name).get("reason", ""), 30)


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return sum(map(int, stat.read().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


HOSTILE = {
    "events=SIGUSR1 events=greeting": "events without end",
    "resets=SIGUSR1 resets=greeting": "events without end",
    "garbage=SIGUSR1 garbage=greeting": "not JSON",
    "line=SIGUSR1 line=greeting": "a line that is too long",
    "deep=SIGUSR1 deep=greeting": "nested too deeply",
    "close=SIGUSR1 uuid=00000000-0000-0000-0000-000000000000": "another instance",
}


def test_a_hostile_monitor_costs_little_harms_no_other_and_can_be_ended(user):
    names = [f"evil-{i}" for i in range(len(HOSTILE))]
    user.boot_all(["good", *names], boot_sectors.deaf(user.home))
    for name, (rules, reason) in zip(names, HOSTILE.items()):
        lose_monitor(user, name, rules, reason)
    before, began = processor_seconds(user.agent_pid()), time.monotonic()
    while time.monotonic() - began < 5:
        user.do("pause", "good")
        user.do("resume", "good")
        time.sleep(0.5)
    # All of them go on: without a limit this fills a processor.
    assert processor_seconds(user.agent_pid()) - before < 0.3 * (time.monotonic() - began)
    assert user.state("good") == "running"
    for name in names:
        assert sum(path.stat().st_size for path in (user.instances / name).glob("journal.jsonl*")) < 256 << 10
        assert sum("monitor is lost" in text for text in user.texts(name)) == 1
    user.do("kill", *names, "--step-timeout", "1s")
    assert {user.status(name)["stopped_by"] for name in names} <= {"quit", "term"}


def test_what_a_hostile_monitor_says_reaches_no_terminal_as_it_is(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    evil = "\x1b[2J\x07" + "x" * 100 + "\x9b"
    for event, data in (("BLOCK_IO_ERROR", {"device": evil, "operation": "write", "action": "report", "reason": evil}),
                        ("BLOCK_IMAGE_CORRUPTED", {"device": "", "msg": evil, "fatal": False})):
        user.tell_fake("pi", json.dumps({"event": event, "data": data}))
        wait_for("it is noted", lambda: "[2J" in user.texts("pi")[-1], 20)
    for text in (user.do("ps"), user.do("status", "pi"), user.log(), *user.texts("pi")):
        assert not set("\x1b\x07\x9b") & set(text), text
    user.do("pause", "pi")
