# SPDX-License-Identifier: MIT
"""A host behind --host that was taken over: what its agent and its shell say runs nothing here, and writes nothing but the keys' copies."""

import http.server
import json
import os
import socketserver
import threading

import pytest
from piagent import AGENT, TIMEOUT, User, wait_for

URL = "ssh://evil.example"
# Stands for ssh to that host: what its shell prints, and how it forwards its agent's socket. ssh to a guest is only written down.
SSH = """#!/bin/bash
printf '%q ' "$@" >> "$HOME/arguments"; echo >> "$HOME/arguments"
for word in "$@"; do case $word in
    -L*) here=${word#-L}; ln -sf "$HOME/evil.sock" "${here%%:*}"; exit 0;;
    "exit 0") exit 0;;
    "piagent agent start"*) while [ -e "$HOME/endless" ]; do echo still; sleep 0.05; done; echo /run/evil.sock; exit 0;;
    "cat "*) cat "$HOME/keys"; exit 0;;
    -W*) printf 'SSH-2.0-x\\r\\n'; exit 0;;
esac; done
"""
KEYS = """-----BEGIN OPENSSH PRIVATE KEY-----
xx
-----END OPENSSH PRIVATE KEY-----
web ssh-ed25519 AAAA
"""
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\n"
INSTANCE = {"name": "web", "state": "ready", "arch": "x86_64", "user": "fedora", "ssh_port": 2222, "folder": "/home/u/web", "booted": True,
            "cpus": 1, "memory_mib": 256, "last_event": 1, "networks": [], "labels": []}


class Agent(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    answers = [INSTANCE]  # to requests for the instance, in their order; the last one stays
    texts = "fine"
    failure = None


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"

    def answer(self):
        path, server = self.path.partition("?")[0], self.server
        network = {"name": "lab", "subnet": server.texts, "gateway": server.texts, "reason": server.texts,
                   "members": [{"name": "web", "address": server.texts, "mac": server.texts, "state": server.texts}]}
        if path.endswith("/events"):
            return {"seq": 1, "realtime_ms": 1, "monotonic_ms": 1, "kind": "state", "state": "ready", "name": "web", "text": server.texts}
        if path == "/v1/agent":
            return {"version": server.texts, "pid": 1, "state_folder": server.texts}
        if path == "/v1/networks":
            return {"networks": [network]}
        if path == "/v1/networks/lab":
            return network
        if path.endswith("/qemu-command"):
            return {"argv": ["qemu", server.texts], "options": [{"group": server.texts, "why": server.texts, "words": ["qemu", server.texts]}]}
        if path == "/v1/instances":
            return {"instances": server.answers[-1:]}
        return server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]

    def do_GET(self):
        failed = self.server.failure if self.path != "/v1/agent" else None
        metrics = f"# HELP {self.server.texts}\n".encode() if self.path == "/v1/metrics" else None
        body = metrics or json.dumps({"error": {"kind": "failed", "message": failed}} if failed else self.answer()).encode() + b"\n"
        self.send_response(500 if failed else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_DELETE = do_GET


@pytest.fixture
def near():
    with User() as user:
        ssh = user.home / "tools/ssh"
        ssh.parent.mkdir()
        for name in ("ssh", "scp"):
            (ssh.parent / name).write_text(SSH)
            (ssh.parent / name).chmod(0o755)
        (user.home / "keys").write_text(KEYS)
        (user.home / "arguments").touch()
        user.env.update(PATH=f"{ssh.parent}:{os.environ['PATH']}", PIAGENT_HOST=URL)
        with Agent(str(user.home / "evil.sock"), Handler) as agent:
            threading.Thread(target=agent.serve_forever, daemon=True).start()
            user.agent = agent
            yield user
            agent.shutdown()
        del user.env["PIAGENT_HOST"]


def files(near):
    return {path.relative_to(near.home) for path in near.home.rglob("*") if not path.is_dir()}


PLACES = ["../../../victim", "..", "/tmp/x", "-oProxyCommand=x", "web\nHost *\n    ProxyCommand x", "$(x)", "web;x", "other", "", "x" * 5000]


@pytest.mark.parametrize("words", [("ssh", "web", "--", "true"), ("ssh", "--stdio", "web"), ("cp", "web:x", "."), ("ssh-config", "web"), ("ssh-config",),
                                   ("inventory",), ("inventory", "--host", "web"), ("ps", "-a"), ("ps", "-q"), ("ps", "--json"), ("status", "web"),
                                   ("status", "web", "--json"), ("pause", "web"), ("run", "web", "-d"), ("kill", "--all")])
def test_an_answer_with_a_name_or_user_that_is_none_is_refused_by_every_command(near, words):
    before = files(near)
    for wrong in ({"name": PLACES[0]}, {"name": PLACES[4]}, {"user": "-oProxyCommand=x"}):
        near.agent.answers = [{**INSTANCE, **wrong}]
        done = near.call(*words)
        assert done.returncode == AGENT and "the agent's answer cannot be used: " in done.stdout + done.stderr, done
    assert {path.name.split(".")[-1] for path in files(near) - before} <= {"sock", "lock", "arguments"}
    assert "-oProxyCommand=x" not in (near.home / "arguments").read_text()


WRONG = [*({"name": name} for name in PLACES), {"user": ""}, {"user": "a\n    ProxyCommand x"}, {"user": "a@b"}, {"user": "$(x)"},
         {"ssh_port": 65536}, {"ssh_port": -1}, {"forwards": ["127.0.0.1:80:80\n"]}, {"forwards": ["-x"]},
         {"fleet": {"name": "f", "role": "r", "index": 0, "count": 1}}]


def test_each_member_that_a_command_acts_on_is_checked_also_in_a_later_answer(near):
    for wrong in WRONG:
        near.agent.answers = [{**INSTANCE, **wrong}]
        near.refused(AGENT, "status", "web")
        near.agent.answers = [INSTANCE, {**INSTANCE, **wrong}]
        near.refused(AGENT, "ssh", "web", "--", "true")
    keys = next(near.runtime.glob("ssh-*.keys"))
    assert {str(path.relative_to(keys)) for path in keys.rglob("*")} == {"web", "web/ssh_key", "web/known_hosts"}


def test_an_instance_that_gets_a_folder_only_later_is_refused(near):
    booting = {**INSTANCE, "state": "running"}
    del booting["folder"]
    near.agent.answers = [booting, {**INSTANCE, "state": "ready"}]
    assert "did not say how to reach web" in near.refused(AGENT, "ssh", "web", "--", "true")


def test_ssh_takes_no_option_after_the_words_of_piagent(near):
    near.do("ssh", "web", "--", "true", "-oProxyCommand=x")
    lines = (near.home / "arguments").read_text().splitlines()
    assert lines[-1].endswith(" -- fedora@web true -oProxyCommand=x ")
    assert [line.endswith(" -- fedora@web ") for line in lines if line.startswith("-G ")] == [True]
    assert "ssh --stdio -- 'web'\n" in near.do("ssh-config", "web")


@pytest.mark.parametrize("words", [("ps", "-a"), ("status", "web"), ("events", "web"), ("events",), ("network", "ls"), ("network", "status", "lab"),
                                   ("network", "create", "lab"), ("qemu-command", "web"), ("explain", "web"), ("agent", "status"), ("ssh-config",),
                                   ("inventory",), ("metrics",), ("wait", "web"), ("timeline", "web"), ("pause", "web"), ("kill", "web"), ("rm", "web")])
def test_no_text_of_an_agent_reaches_a_terminal_as_it_came(near, words):
    near.agent.texts = ESCAPES
    near.agent.answers = [{**INSTANCE, **{key: ESCAPES for key in ("reason", "image", "folder", "cloud_init_stage", "arch", "accel", "cloud_init")},
                           "user_data_problems": [ESCAPES], "failed_modules": [ESCAPES], "labels": [ESCAPES], "networks": [ESCAPES], "already": True}]
    for near.agent.failure in (None, ESCAPES):
        done = near.call(*words, errors="replace")
        said = done.stdout + done.stderr
        assert not set(said) & set("\x1b\x07\x9b\u202e"), said
        assert not done.stdout.startswith("usage") and "usage:" not in done.stderr, said


def test_a_start_of_the_agent_that_never_ends_is_given_up(near):
    (near.home / "endless").touch()
    command, pass_time = near.start_watched("ps")
    wait_for("the start has begun", lambda: "agent\\ start" in (near.home / "arguments").read_text(), 60)
    pass_time(100)
    said = command.communicate(timeout=60)[0]
    assert command.returncode == TIMEOUT and "did not end in 90 s" in said, said
