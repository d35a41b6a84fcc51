# SPDX-License-Identifier: MIT
"""A client asks an agent that is newer than itself: words that it does not know are shown as they came, and waits go on."""

import http.server
import json
import socketserver
import threading
import time

import pytest
from piagent import CONFLICT, FAILED, GUEST, User

INSTANCE = {"name": "pi", "state": "migrating", "arch": "riscv64", "accel": "hvf", "cpus": 2, "memory_mib": 1024, "isolate": False,
            "cloud_init": "rebuilding", "stopped_by": "decree", "image_verified": True, "booted": True, "begun_again": False,
            "ssh_port": 20022, "uuid": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "last_event": 3, "boot_event": 1,
            "image": "future.qcow2", "colour": "blue"}
EVENTS = [
    {"seq": 1, "kind": "state", "state": "migrating", "text": "to another host"},
    {"seq": 2, "kind": "landmark", "landmark": "hypervisor"},
    {"seq": 3, "kind": "report", "stage": "modules-quantum", "report": "pause", "result": "ODD"},
    {"seq": 4, "kind": "telemetry", "text": "it is warm"},
    {"kind": "image", "phase": "thawing", "text": "future.qcow2"},
]
FINISHED = {"seq": 5, "kind": "report", "stage": "modules-final", "report": "finish", "result": "SUCCESS"}
READY = {"seq": 6, "kind": "state", "state": "ready"}


class Agent(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Answers as an agent does. The instance becomes ready, or fails, when a follower has read all other events."""

    daemon_threads = True
    last_event = READY
    knows_summary = True
    instance = INSTANCE
    asked = None  # an Event: set when a client asks how the instance is while it follows
    told = None   # another: set when the last event was sent
    over = None


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"

    def send_lines(self, lines, status=200):
        self.send_response(status)
        self.end_headers()
        for line in lines:
            self.wfile.write(json.dumps(line).encode() + b"\n")

    def do_GET(self):
        path, _, query = self.path.partition("?")
        events = [{"name": "pi", "realtime_ms": 1767225600000, "monotonic_ms": 1000, **event} for event in EVENTS]
        if path == "/v1/agent" and query and not self.server.knows_summary:
            self.send_lines([{"error": {"kind": "usage", "message": "the query's 'summary' is not known here"}}], 400)
        elif path == "/v1/agent":
            self.send_lines([{"version": "9.0", "pid": 1}])
        elif path == "/v1/instances":
            self.send_lines([{"instances": [self.server.instance]}])
        elif path == "/v1/instances/pi":
            answer = self.server.instance
            if self.server.told and answer["state"] == "ready" and not self.server.asked.is_set():
                answer = {**answer, "state": "running"}
                self.server.asked.set()
                self.server.told.wait(10)
                time.sleep(0.5)  # the client reads the event first
            self.send_lines([answer])
        elif path == "/v1/instances/pi/events" and "follow=1" in query:
            self.server.instance = {**INSTANCE, "state": "ready", "cloud_init": "done"}
            self.send_lines([*events, *([{**events[0], **FINISHED}] if self.server.told else [])])
            if self.server.told:
                self.server.asked.wait(10)
            self.wfile.write(json.dumps({**events[0], **self.server.last_event}).encode() + b"\n")
            if self.server.told:
                self.server.told.set()
                self.server.over.wait(30)
        elif path == "/v1/instances/pi/events":
            self.send_lines(events)
        else:
            self.send_lines([{"error": {"kind": "quota", "message": "that is too much"}}], 429)

    do_POST = do_GET


@pytest.fixture
def user():
    with User() as user:
        user.runtime.mkdir(mode=0o700)
        with Agent(str(user.runtime / "agent.sock"), Handler) as agent:
            threading.Thread(target=agent.serve_forever, daemon=True).start()
            user.agent = agent
            yield user
            agent.shutdown()
        (user.runtime / "agent.sock").unlink()


def test_ps_and_status_show_words_that_they_do_not_know(user):
    assert user.do("ps").splitlines()[1].split()[:4] == ["pi", "migrating", "riscv64", "hvf"]
    lines = dict(line.split(maxsplit=1) for line in user.do("status", "pi").splitlines())
    assert lines["state"] == "migrating"
    assert lines["cloud-init"] == "rebuilding"
    assert lines["machine"].startswith("riscv64 under hvf, 2 CPUs")
    assert "ended" not in lines  # it is not known to be over
    assert json.loads(user.do("ps", "--json"))["instances"] == [INSTANCE]
    assert json.loads(user.do("status", "pi", "--json")) == INSTANCE


def test_an_older_agent_that_knows_no_summary_of_itself_is_asked_all_the_same(user):
    user.agent.knows_summary = False
    assert user.do("ps").splitlines()[1].split()[:2] == ["pi", "migrating"]


def test_events_show_words_that_they_do_not_know(user):
    shown = [line.split(maxsplit=2)[2] for line in user.do("events", "pi").splitlines()]
    assert shown == ["state migrating to another host", "landmark hypervisor", "report modules-quantum pause ODD",
                     "telemetry it is warm", "image thawing future.qcow2"]
    assert [json.loads(line)["kind"] for line in user.do("events", "pi", "--json").splitlines()] == [event["kind"] for event in EVENTS]


def test_wait_goes_on_until_a_state_that_it_knows(user):
    done = user.call("wait", "pi")
    assert done.returncode == 0, done.stderr
    assert "pi: telemetry" not in done.stderr and "pi: it is warm\n" in done.stderr
    assert "pi: ready after 0.0s\n" in done.stderr


def test_wait_ends_if_the_event_comes_while_the_agent_is_asked(user):
    user.agent.asked, user.agent.told, user.agent.over = threading.Event(), threading.Event(), threading.Event()
    done = user.call("wait", "pi", timeout=30)
    user.agent.over.set()
    assert done.returncode == 0 and user.agent.told.is_set(), done.stderr


def test_failure_of_an_unknown_kind_ends_a_wait_like_any_other(user):
    user.agent.last_event = {"seq": 0, "kind": "error", "error_kind": "quota", "text": "too much"}
    done = user.call("wait", "pi")
    assert (done.returncode, "too much" in done.stderr) == (FAILED, True), done.stderr


def test_timeline_of_a_boot_leaves_out_what_it_cannot_place(user):
    user.do("timeline", "pi")


def test_refusal_of_an_unknown_kind_is_told(user):
    assert "that is too much" in user.refused(FAILED, "pause", "pi")


def test_instance_in_an_unknown_state_is_not_taken_for_one_that_is_over(user):
    assert user.do("ps", "-q").split() == ["pi"]
    assert user.call("wait", "pi", "--for", "ready").returncode not in (CONFLICT, GUEST)
