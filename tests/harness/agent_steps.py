# SPDX-License-Identifier: MIT
"""Requests in which the agent is killed after every step that leaves something behind, and before the first, or in which each
step fails (faults.c). The instance is then as before the request or as after it, and nothing else is there."""

import concurrent.futures
import contextlib
import errno
import json
import os

import boot_sectors
from faults import FragileUser
from piagent import is_running, wait_for

AT_ONCE = 4  # users, each with an agent and an instance
# Every step, if it costs little. Under sanitizers fewer: they check the same code, not the files.
STRIDE = 1 if os.path.basename(os.environ["PIAGENT_BUILD"]) == "release" else 4

UNREACHED = "unreached"

# A request: the instance's state before and after it, None being no instance.
REQUESTS = {
    "create": (None, "running", ("POST", "/v1/instances")),
    "create only": (None, "stopped", ("POST", "/v1/instances")),
    "clone": (None, "stopped", ("POST", "/v1/instances")),  # of another instance, which is stopped
    "kill": ("running", "stopped", ("POST", "/v1/instances/pi/kill")),
    "ephemeral kill": ("running", None, ("POST", "/v1/instances/pi/kill")),
    "powerdown": ("running", "stopped", ("POST", "/v1/instances/pi/powerdown")),
    "start": ("stopped", "running", ("POST", "/v1/instances/pi/start")),
    "pause": ("running", "paused", ("POST", "/v1/instances/pi/pause")),
    "resume": ("paused", "running", ("POST", "/v1/instances/pi/resume")),
    "rm": ("stopped", None, ("DELETE", "/v1/instances/pi")),
    "suspend": ("running", "saved", ("POST", "/v1/instances/pi/suspend")),
    "restore": ("saved", "running", ("POST", "/v1/instances/pi/start")),
    # Of fake QEMUs, whose monitors then fall silent: for the next agent, too.
    "silent start": ("stopped", "failed", ("POST", "/v1/instances/pi/start")),
    "silent powerdown": ("running", "stopped", ("POST", "/v1/instances/pi/powerdown")),
    "silent failure of tcg": ("running", "failed", None),
}
SAVED_FILES = {"saved-ram", "saved.json"}
SILENCE = {
    "silent start": "silent=greeting",
    "silent powerdown": "silent=system_powerdown silent=greeting ignore=SIGTERM",
    "silent failure of tcg": 'status=internal-error silent=greeting\n{"event":"STOP"}',
}
# The request that brings an instance from a state nearer to another.
WAYS = {(None, "running"): "create", (None, "stopped"): "create only", (None, "paused"): "create",
        ("running", "stopped"): "kill", ("running", "paused"): "pause", ("running", None): "kill",
        ("stopped", "running"): "start", ("stopped", "paused"): "start", ("stopped", None): "rm",
        ("failed", "running"): "start", ("failed", "stopped"): "start", ("failed", "paused"): "start", ("failed", None): "rm",
        ("running", "saved"): "suspend", ("stopped", "saved"): "start", ("failed", "saved"): "start", (None, "saved"): "create",
        ("saved", "running"): "restore", ("saved", "stopped"): "restore", ("saved", "paused"): "restore", ("saved", None): "rm",
        ("paused", "running"): "resume", ("paused", "stopped"): "kill", ("paused", None): "kill"}


@contextlib.contextmanager
def one_user(**environment):
    with FragileUser(**environment) as user:
        user.disk, user.ephemeral = boot_sectors.obedient(user.home), False
        user.do("ps")
        yield user


def is_there(status, body):
    return status == 200 and not body["removed"]


def instance(user):
    status, body = user.ask("GET", "/v1/instances/pi")
    assert status in (200, 404), body
    return body if is_there(status, body) else None


def state(user):
    shown = instance(user)
    return shown and shown["state"]


def state_or_none(user):
    """The state in a tuple, or an empty one if no agent answers."""
    status, body = user.ask("GET", "/v1/instances/pi")
    return (body["state"] if is_there(status, body) else None,) if status else ()


def is_fake(user):
    return "FAKE_QEMU" in user.env


def create_body(user, name, stopped):
    return {"name": name, "image": user.disk, "image_unverified": True, "arch": "x86_64", "accel": "tcg", "cpus": 1,
            "memory_mib": 256, "disk_bytes": 1 << 20, "stopped": stopped, "ephemeral": user.ephemeral}


def ask(user, request):
    body = {}
    if request in ("create", "create only"):
        body = create_body(user, "pi", request == "create only")
    elif request == "clone":
        body = {"name": "pi", "clone_of": "source", "stopped": True}
    elif is_fake(user) and request.endswith("kill"):
        body = {"step_ms": 300}
    elif is_fake(user) and request.endswith("powerdown"):
        body = {"step_ms": 300, "timeout_ms": 300}
    if request in SILENCE:
        user.tell_fake("pi", SILENCE[request])
    if REQUESTS[request][2]:
        return user.ask(*REQUESTS[request][2], body)
    return None


def recorded(user):
    """The record on disk, or None."""
    try:
        return json.loads((user.instances / "pi/record.json").read_text())
    except FileNotFoundError:
        return None


def bring(user, wanted):
    """Whatever it is now: until it is so, also on disk."""
    def step():
        now, record = state(user), recorded(user)
        if now == wanted:
            return (record and record["state"]) == wanted
        if (now, wanted) in WAYS:
            ask(user, WAYS[now, wanted])
        return False
    wait_for(f"pi is {wanted}", step, 60, 0.05)


def prepare(user, request):
    user.ephemeral = request == "ephemeral kill"
    if is_fake(user) and instance(user):  # its monitor may have been left in its silence
        user.tell_fake("pi", "")
        bring(user, "stopped")
    if request == "powerdown":  # which only a guest that is up obeys
        bring(user, "stopped")
        was = user.console("pi").count(b"up")
        bring(user, "running")
        wait_for("its guest is up", lambda: user.ask("POST", "/v1/instances/pi/console", "x") and user.console("pi").count(b"up") > was,
                 60, 0.05)
    bring(user, REQUESTS[request][0])
    if request == "clone" and not (user.instances / "source").exists():
        user.ask("POST", "/v1/instances", create_body(user, "source", True))
        wait_for("there is something to clone", lambda: user.ask("GET", "/v1/instances/source")[1]["state"] == "stopped", 60, 0.05)


def qemu_on_record(user):
    """The process of the QEMU on record, or None. A child that still waits for its agent does not count."""
    record = recorded(user)
    pid = record["pid"] if record else 0
    return pid if any("qemu-system" in word for word in user.processes().get(pid, [])) else 0


def ports(user):
    shown = instance(user)
    return user.ask("GET", "/v1/agent")[1]["imds_port"], shown and shown.get("ssh_port")


def has_moved(user):
    return any("was taken by another program" in event.get("text", "") for event in user.events("pi"))


def files(user):
    return {path.name for path in (user.instances / "pi").glob("*")}


def is_done(user, request):
    """Its outcome is told, and on disk: the agent tells it while it still writes."""
    after, record = REQUESTS[request][1], recorded(user)
    return state_or_none(user) == (after,) and (record and record["state"]) == after


def steps_of(user, request):
    prepare(user, request)
    user.arm("count")
    ask(user, request)
    wait_for(f"{request} is done", lambda: is_done(user, request), 60, 0.05)
    steps = user.steps()
    user.disarm()
    return steps


def kill_at(user, request, when):
    """One run of the request, in which the agent dies, and a second agent. Returns the steps and the outcome."""
    before, after, _ = REQUESTS[request]
    prepare(user, request)
    was_ports, was_files = ports(user), files(user)
    agent = user.agent_pid()
    user.arm(f"kill {when}")
    ask(user, request)
    # A slow host has more steps in one run than in another: a QEMU that does not quit in time, say.
    wait_for(f"{request}: the agent is killed, or done", lambda: not is_running(agent) or is_done(user, request), 60, 0.02)
    reached = not is_running(agent)
    user.disarm()
    qemu = qemu_on_record(user)
    user.do("ps")
    wait_for(f"{request}, killed {when}: pi is {before} or {after}",
             lambda: state(user) in (before, after), 60, 0.05)
    user.nothing_strays()
    now = instance(user)
    if qemu and now and "pid" in now:
        assert now["pid"] == qemu, f"{request}, killed {when}: QEMU was started again"
    if before:
        # The agent of another test may have taken the port while the instance was stopped.
        assert now is None or ports(user) == was_ports or has_moved(user)
    if now and before:
        assert was_files - SAVED_FILES <= files(user) and (SAVED_FILES <= files(user)) == (now["state"] == "saved")
        assert not [event for event in user.events("pi") if "did not do as asked" in event.get("text", "")]
    return now and now["state"] if reached else UNREACHED


def fail_at(user, request, case):
    """One run of the request in which a step fails. How it came out."""
    before, after, _ = REQUESTS[request]
    prepare(user, request)
    was, agent = instance(user), user.agent_pid()
    step, errnum = case
    user.arm(f"fail {step} 1 {errnum}")
    status, answer = ask(user, request)
    assert status in (200, 202) or answer["error"]["message"].endswith(os.strerror(errnum)), f"{request}, failing at {case}: {answer}"

    def settled():
        now = instance(user)
        if now and now["state"] == "failed":
            assert os.strerror(errnum) in now["reason"], f"{request}, failing at {case}: {now}"
        return (now and now["state"]) in ((before, "failed") if status >= 400 else (before, after, "failed"))
    wait_for(f"{request}, failing at {case}: pi is {before} or {after}", settled, 60, 0.05)
    user.disarm()
    assert user.agent_pid() == agent
    if any(name.startswith("folder .pi.") for name in user.stray()):
        # Files that could not be removed do not belong to an instance any more: the next removal or agent removes them.
        user.kill_agent()
        user.do("ps")
    user.nothing_strays()
    now = instance(user)
    if was and "pid" in was and now and "pid" in now:
        assert now["pid"] == was["pid"], f"{request}, failing at {case}"
    return now and now["state"]


def every_case(requests, cases_of, run, at_once=AT_ONCE, **environment):
    """run() of each case of the requests, by several users side by side: [(request, case, how it came out)]."""
    def work(part):
        with one_user(**environment) as user:
            return [(request, case, run(user, request, case)) for request, case in part]

    def count(user, request):
        cases = cases_of(steps_of(user, request))
        # The last ones always: what decides may be among them.
        return [(request, case) for i, case in enumerate(cases) if i % STRIDE == 0 or i >= len(cases) - STRIDE]

    with one_user(**environment) as user:
        cases = [case for request in requests for case in count(user, request)]
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        return [outcome for part in pool.map(work, [cases[i::at_once] for i in range(at_once)]) for outcome in part]


def check(requests, since=None, **how):
    """No request is ever half done, and both outcomes occur. The steps are those that decide, or those from since on.
    A run may have fewer steps than the one that was counted (see kill_at()), but not less than half of them."""
    def cases_of(steps):
        return ["before 1", *(f"after {i + 1}" for i in range(len(steps)) if not since or since in steps[:i + 1])]

    outcomes = every_case(requests, cases_of, kill_at, **how)
    for request in requests:
        before, after, _ = REQUESTS[request]
        states = [state for name, _, state in outcomes if name == request]
        assert states.count(UNREACHED) <= len(states) / 2, outcomes
        assert set(states) - {UNREACHED} == {before, after}, outcomes


def check_failures(requests):
    """Whatever step fails: the agent lives, and the instance is as before, as after, or says why not."""
    def cases_of(steps):
        # Commands to QEMU do not fail because of the disk. Another test has a QEMU that is silent.
        names = [(i + 1, step.split()[0]) for i, step in enumerate(steps)]
        return ([(i, errno.EIO) for i, name in names if name not in ("send", "signal")] +
                [(i, errno.ENOSPC) for i, name in names if name in ("open", "write", "mkdir")])
    assert len(every_case(requests, cases_of, fail_at)) > 30 / STRIDE
