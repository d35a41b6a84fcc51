# SPDX-License-Identifier: MIT
"""A QEMU whose monitor says nothing keeps no instance in the middle of something, whatever the step at which the agent is killed."""

import json

import agent_steps
import boot_sectors
from piagent import User, fake_qemu, is_running, wait_for


def test_an_instance_with_a_silent_monitor_comes_to_its_end():
    agent_steps.check(["silent powerdown", "silent failure of tcg"], **fake_qemu())


def test_a_start_of_a_qemu_with_a_silent_monitor_comes_to_its_end():
    agent_steps.check(["silent start"], since="fork ", at_once=24, **fake_qemu())  # before, there is no QEMU to be silent


# The state on record, QEMU's behaviour, and the state that the next agent shows, with the step that ended it or a part of the reason.
KILL = {"state": "starting", "rung": "kill"}
STATES = {
    "starting": ({"state": "starting"}, "silent=greeting", "failed", "QEMU did not start: QEMU did not greet"),
    "condemned": (KILL, "silent=greeting", "failed", ""),
    "condemned-anew": ({**KILL, "relaunch": True}, "silent=greeting", "starting", ""),
    "condemned-closed": (KILL, "close=greeting", "failed", ""),
    "condemned-other": (KILL, "uuid=00000000-0000-0000-0000-000000000000", "failed", ""),
    "condemned-off": (KILL, "status=shutdown", "failed", ""),
    "running": ({"state": "running"}, "silent=greeting", "running", "QEMU did not greet"),
    "ready": ({"state": "ready"}, "silent=greeting", "ready", "QEMU did not greet"),
    "paused": ({"state": "paused"}, "silent=greeting", "paused", "QEMU did not greet"),
    "powerdown": ({"state": "stopping", "rung": "powerdown", "powerdown_ms": 300, "step_ms": 300}, "silent=greeting", "stopped", "term"),
    "quit": ({"state": "stopping", "rung": "quit", "step_ms": 300}, "silent=greeting ignore=SIGTERM", "stopped", "kill"),
    "term": ({"state": "stopping", "rung": "term", "step_ms": 60000}, "silent=greeting", "stopped", "term"),
    "kill": ({"state": "stopping", "rung": "kill", "step_ms": 60000}, "silent=greeting", "stopped", "kill"),
}


def test_the_next_agent_brings_each_state_to_its_end_where_the_monitor_is_silent():
    with User(**fake_qemu()) as user:
        before = dict(zip(STATES, user.boot_all(STATES, boot_sectors.deaf(user.home))))
        for name, (_, rules, *_) in STATES.items():
            user.tell_fake(name, rules)
        user.kill_agent()
        for name, (changes, *_) in STATES.items():
            path = user.instances / name / "record.json"
            path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))

        def came(name, state, why):
            instance = user.status(name)
            return instance["state"] == state and why in instance.get("reason", "") + instance.get("stopped_by", "")
        user.do("ps")
        for name, (_, _, state, why) in STATES.items():
            if name == "condemned-anew":  # its new QEMU is silent as well
                wait_for("it was started anew", lambda: user.status("condemned-anew").get("pid") != before["condemned-anew"]["pid"], 60)
            else:
                wait_for(f"{name} is {state}: {why}", lambda name=name, state=state, why=why: came(name, state, why), 60)
            assert is_running(before[name]["pid"]) == (state in ("running", "ready", "paused")), name
        for name in ("running", "ready", "paused"):
            user.do("kill", name, "--step-timeout", "300ms")
            assert user.status(name)["stopped_by"] == "term"
