# SPDX-License-Identifier: MIT
"""The control API as agent/api/types.h documents it, asked over its socket; and what nobody else may read."""

import base64
import json
import os
import socket
import subprocess
import threading
import time

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import User, is_running, promptly, wait_for


@pytest.fixture(scope="module")
def user():
    with User() as user:
        yield user


@pytest.fixture(scope="module")
def instance(user):
    return user.boot("pi", boot_sectors.echo(user.home))


def connect(user):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(str(user.runtime / "agent.sock"))
    return client


def curl(user, *args):
    return subprocess.run(["curl", "-sS", "--max-time", "20", "--unix-socket", str(user.runtime / "agent.sock"), *args],
                          stdout=subprocess.PIPE, check=True, timeout=60).stdout


def test_the_agent_tells_what_it_is(user, instance):
    status, agent = user.api("GET", "/v1/agent")
    assert status == 200
    assert agent["pid"] == user.agent_pid()
    assert (agent["instances"], agent["running"]) == (1, 1)
    assert agent["state_folder"] == str(user.home / "data/piagent")
    with socket.create_connection(("127.0.0.1", agent["imds_port"]), 10):
        pass
    assert instance["folder"] == str(user.instances / "pi")


def test_an_instance_is_the_same_alone_and_in_the_list(user, instance):
    status, alone = user.api("GET", "/v1/instances/pi")
    assert status == 200 and alone["uuid"] == instance["uuid"]
    assert user.api("GET", "/v1/instances") == (200, {"instances": [alone]})


def test_every_answer_ends_with_a_newline(user, instance):
    for path in ("/v1/agent", "/v1/instances", "/v1/instances/pi", "/v1/openapi.json", "/v1/instances/gone", "/v1/nothing"):
        answer = curl(user, f"http://pi{path}")
        assert answer.endswith(b"}\n") and answer.count(b"\n") == 1 and json.loads(answer), answer


def test_a_value_that_there_is_not_is_an_absent_key(user, instance):
    shown = [instance, *user.ps(), *user.api("GET", "/v1/instances?summary=1")[1]["instances"],
             *(json.loads(line) for line in user.do("events", "pi", "--json").splitlines()),
             *json.loads(user.do("timeline", "pi", "--json"))["boots"]]
    zeros = [(key, value) for one in shown for key, value in one.items() if key.endswith(("_ms", "_event", "_mib")) and not value]
    assert not zeros and len(shown) > 6, zeros
    assert {"ready_ms", "stopped_ms", "clock_behind_ms"}.isdisjoint(instance) and {"pid", "started_ms", "boot_event"} <= set(instance)


def test_events_are_lines_without_gaps_and_go_on_from_any_of_them(user, instance):
    lines = [json.loads(line) for line in curl(user, "http://pi/v1/instances/pi/events").splitlines()]
    assert [event["seq"] for event in lines] == list(range(1, instance["last_event"] + 1))
    assert [event["state"] for event in lines if event["kind"] == "state"] == ["created", "starting", "running"]
    assert all(abs(event["realtime_ms"] / 1000 - time.time()) < 300 for event in lines)
    later = [json.loads(line) for line in curl(user, "http://pi/v1/instances/pi/events?since=2").splitlines()]
    assert later == lines[2:]


def test_a_follower_gets_an_event_at_once(user, instance):
    del instance
    boots = user.console("pi").count(b"hello\r\n")
    with connect(user) as client:
        client.sendall(b"GET /v1/instances/pi/events?since=1000&follow=1 HTTP/1.1\r\nHost: pi\r\n\r\n")
        assert user.api("POST", "/v1/instances/pi/reset", {})[0] == 200
        got = b""
        while b"was reset" not in got:
            got += client.recv(4096)
    wait_for("it has booted again", lambda: user.console("pi").count(b"hello\r\n") > boots, 30)


def test_the_console_is_bytes_of_which_the_last_can_be_had_alone(user, instance):
    del instance
    wait_for("it has booted", lambda: curl(user, "http://pi/v1/instances/pi/console").endswith(b"hello\r\n"), 30)
    whole = curl(user, "http://pi/v1/instances/pi/console")
    assert curl(user, "http://pi/v1/instances/pi/console?tail=4") == whole[-4:]


def test_every_short_path_that_is_none_is_answered(user, instance):
    """Under AddressSanitizer also: without reading past its end."""
    whole = ("/v1/instances/", "/v1/networks/", "/metrics/xxxxxxxxxx")
    paths = sorted({path[:n] + more for path in whole for n in range(1, len(path) + 1) for more in ("", "x", "/")} - {"/v1/instances", "/v1/networks"})
    answers = curl(user, *(f"http://pi{path}" for path in paths)).splitlines()
    assert [json.loads(answer)["error"]["kind"] for answer in answers] == ["not-found"] * len(paths)


def test_the_command_is_what_qemu_runs_with(user, instance):
    argv = user.api("GET", "/v1/instances/pi/qemu-command")[1]["argv"]
    assert argv == user.processes()[instance["pid"]]


@pytest.mark.parametrize("method, path, body, status, kind, said", [
    ("GET", "/", None, 404, "not-found", "no GET /"),
    ("GET", "/v1/nothing", None, 404, "not-found", "no GET /v1/nothing"),
    ("GET", "/v1/instances/pj", None, 404, "not-found", "did you mean pi?"),
    ("GET", "/v1/instances/" + "x" * 2000, None, 404, "not-found", "no instance named xxx"),
    ("GET", "/v1/instances/..%2f..%2fetc", None, 404, "not-found", ""),
    ("PUT", "/v1/instances/pi", {}, 405, "usage", "takes GET, DELETE, not PUT"),
    ("DELETE", "/v1/agent", None, 405, "usage", "takes GET"),
    ("GET", "/v1/instance", None, 404, "not-found", "did you mean /v1/instances"),
    ("POST", "/v1/instances/pi/rest", {}, 404, "not-found", "did you mean /v1/instances/{name}/reset"),
    ("POST", "/v1/instances/pi/reset", {"hard": True}, 400, "usage", "hard"),
    ("GET", "/v1/instances?summary=2", None, 400, "usage", "'summary'"),
    ("GET", "/v1/instances/pi/events?sinse=1", None, 400, "usage", "'sinse'"),
    ("GET", "/v1/instances/pi/events?since=-1", None, 400, "usage", "'since'"),
    ("GET", "/v1/instances/pi/console?tail=", None, 400, "usage", "'tail'"),
    ("GET", "/v1/agent?follow", None, 400, "usage", "'follow'"),
    ("GET", "/v1/instances/pi%00", None, 404, "not-found", "no instance named pi%00"),
    ("DELETE", "/v1/instances/pi%00x", None, 404, "not-found", "no instance named pi%00x"),
    ("POST", "/v1/instances/pi/kill%00", {}, 404, "not-found", "kill%00"),
    ("GET", "/v1/instances/pi/console?tail=5%00", None, 400, "usage", "'tail'"),
    ("GET", "/v1/instances/pi/console?tail%00x=5", None, 400, "usage", "'tail%00x'"),
    ("POST", "/v1/instances/pi/fly", {}, 404, "not-found", "fly"),
    ("POST", "/v1/instances", "{not json", 400, "usage", "line 1"),
    ("POST", "/v1/instances", "[]", 400, "usage", "object"),
    ("POST", "/v1/instances", "[" * 100000, 400, "usage", ""),
    ("POST", "/v1/instances", "{\"name\": \"a\", \"name\": \"b\"}", 400, "usage", "duplicate"),
    ("POST", "/v1/instances", {}, 400, "usage", "name"),
    ("POST", "/v1/instances", {"name": 5}, 400, "usage", "name"),
    ("POST", "/v1/instances", {"name": "../up"}, 400, "usage", "is not a usable name"),
    ("POST", "/v1/instances", {"name": "new", "colour": "red"}, 400, "usage", "colour"),
    ("POST", "/v1/instances", {"name": "new", "cpus": -1}, 400, "usage", "cpus"),
    ("POST", "/v1/instances", {"name": "new", "cpus": 65}, 400, "usage", "cpus"),
    ("POST", "/v1/instances", {"name": "new", "memory_mib": 1 << 62}, 400, "usage", "memory"),
    ("POST", "/v1/instances", {"name": "new", "user": "root; rm"}, 400, "usage", "user"),
    *(("POST", "/v1/instances", {"name": "new", "environment": ["NO_PROXY=*", setting]}, 400, "usage", f"environment: '{setting}'")
      for setting in ("LD_PRELOAD=/tmp/x.so", "PATH=/tmp", "PIAGENT_PASS_ENVIRONMENT=X", "https_proxy", "")),
    ("POST", "/v1/instances", {"name": "new", "password_hash": "secret"}, 400, "usage", "hash"),
    ("POST", "/v1/instances", {"name": "new", "ssh_keys": ["ssh-rsa !"]}, 400, "usage", "key"),
    ("POST", "/v1/instances", {"name": "new", "user_data": "#cloud-config\na: [\n"}, 400, "usage", "line"),
    ("POST", "/v1/instances", {"name": "new", "forwards": ["1:2:3:4"]}, 400, "usage", "1:2:3:4"),
    ("POST", "/v1/instances", {"name": "pi", "image": "fedora"}, 409, "conflict", "in use"),
    ("POST", "/v1/instances/pi/powerdown", {"timeout_ms": "soon"}, 400, "usage", "timeout_ms"),
    ("DELETE", "/v1/instances/pi", None, 409, "conflict", "powerdown"),
])
def test_a_wrong_request_is_answered_with_its_reason_and_changes_nothing(user, instance, method, path, body, status, kind, said):
    got, answer = user.api(method, path, body)
    assert (got, answer["error"]["kind"]) == (status, kind), answer
    assert said in answer["error"]["message"]
    assert "\n" not in answer["error"]["message"]
    assert [shown["pid"] for shown in user.ps()] == [instance["pid"]]
    assert [path.name for path in user.instances.iterdir()] == ["pi"]


def test_a_body_that_is_too_large_is_refused(user, instance):
    del instance
    file = user.home / "large"
    file.write_bytes(b" " * (3 << 20))
    answer = json.loads(curl(user, "--data-binary", f"@{file}", "http://pi/v1/instances"))
    assert answer["error"]["kind"] == "usage" and "larger" in answer["error"]["message"]


def test_clients_that_are_slow_or_talk_nonsense_hold_up_nobody(user, instance):
    clients = [connect(user) for _ in range(60)]
    try:
        for i, client in enumerate(clients):
            client.sendall([b"", b"GET /v1/inst", b"POST /v1/instances HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{",
                            b"\0\xff\r\n\r\n", b"GET /v1/instances/pi/console?follow=1 HTTP/1.1\r\nHost: a\r\n\r\n"][i % 5])
        with promptly():
            assert user.api("GET", "/v1/instances/pi")[1]["pid"] == instance["pid"]
    finally:
        for client in clients:
            client.close()
    assert user.api("GET", "/v1/agent")[0] == 200


def test_many_at_once_are_all_answered(user, instance):
    answers = []

    def ask():
        answers.append(user.api("GET", "/v1/instances/pi")[1]["uuid"])
    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [instance["uuid"]] * 20


def test_another_user_is_refused_even_where_the_folder_lets_them_in(user, instance):
    del instance
    if os.geteuid() != 0:
        pytest.skip("cannot here: only root can try it as another user")
    opened = [user.home, user.runtime.parent, user.runtime, user.runtime / "agent.sock"]
    modes = [path.stat().st_mode for path in opened]
    try:
        for path in opened:
            path.chmod(0o777)
        done = subprocess.run(["curl", "-sS", "--unix-socket", str(user.runtime / "agent.sock"), "http://pi/v1/instances"],
                              stdout=subprocess.PIPE, timeout=60, check=False, user=65534, group=65534, extra_groups=[], env={})
    finally:
        for path, mode in zip(opened, modes):
            path.chmod(mode & 0o7777)
    answer = json.loads(done.stdout)
    assert "another user" in answer["error"]["message"] and "instances" not in answer


HASH = "$6$saltsalt$" + "a" * 86
SECRET = "only-for-the-guest"


def test_secrets_are_in_no_command_line_and_no_log_and_only_their_owner_can_read_them():
    os.umask(0)
    try:
        with User() as user:
            user.boot("pi", boot_sectors.deaf(user.home), user="pi", password_hash=HASH,
                      user_data=f"#cloud-config\nwrite_files: [{{path: /x, content: {SECRET}}}]\n")
            folder = user.instances / "pi"
            key = json.loads((folder / "record.json").read_text())["key"]
            private = (folder / "ssh_key").read_text().splitlines()[1]
            secrets = [HASH, SECRET, key, private]
            argvs = "\n".join(" ".join(words) for words in user.processes().values())
            shown = argvs + user.log() + (folder / "qemu.log").read_text() + (folder / "journal.jsonl").read_text()
            shown += user.do("status", "pi", "--json") + user.do("qemu-command", "pi")
            for secret in secrets:
                assert secret not in shown
                assert base64.b64encode(secret.encode()).decode() not in shown
            user.do("kill", "pi")
            user.do("agent", "stop")
            for root in (user.home / "data/piagent", user.runtime):
                for path in [root, *root.rglob("*")]:
                    assert path.lstat().st_mode & 0o077 == 0, f"{path} is {path.lstat().st_mode:o}"
    finally:
        os.umask(0o022)


def test_removal_while_it_is_made_undoes_it():
    faults = {"image": "stall", "metalink": "404"}
    with User() as user, FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults=faults) as fedora:
        environment = [f"{name}={value}" for name, value in fedora.env.items()]
        assert user.create("half", arch="x86_64", environment=environment)[0] == 202
        wait_for("it downloads", lambda: any(path.startswith("/mirror/") for path in fedora.requests), 30)
        status, answer = user.api("POST", "/v1/instances/half/start", {})
        assert status == 409 and "being created" in answer["error"]["message"]
        user.do("rm", "half")
        user.nothing_left()
        # And while its disk and keys are made.
        disk = boot_sectors.deaf(user.home)
        for delay_ms in range(0, 120, 15):
            assert user.create("half", image=disk, image_unverified=True, arch="x86_64", accel="tcg")[0] == 202
            time.sleep(delay_ms / 1000)
            user.do("rm", "--force", "half")
            user.nothing_left()
        assert is_running(user.agent_pid())
