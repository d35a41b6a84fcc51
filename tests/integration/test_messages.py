# SPDX-License-Identifier: MIT
"""Messages that say what happened and what to do next: who has the port, which folder was searched, how an instance ended."""

import json
import re

import boot_sectors
import pexpect
import pytest
from piagent import CONFLICT, HOST, NETWORK, PIAGENT, UNVERIFIED, USAGE, User, fake_qemu, free_port, wait_for


@pytest.fixture(scope="module")
def user():
    with User() as user:
        user.do("ps")
        yield user


@pytest.fixture(scope="module")
def disk(user):
    return boot_sectors.deaf(user.home)


def test_a_port_in_use_is_told_with_the_instance_that_has_it(user, disk):
    forward = f"127.0.0.1:{free_port()}:80"
    web = user.boot("web", disk, forwards=[forward])
    status, answer = user.create("second", image=disk, image_unverified=True, arch="x86_64", forwards=[forward])
    assert status == 507 and "in use by your instance web: " in answer["error"]["message"], answer
    assert answer["error"]["message"].endswith("piagent powerdown web"), answer
    said = user.refused(HOST, "run", "second", "--image", disk, "--image-unverified", "--forward", f"{web['ssh_port']}:80", "-d")
    assert "in use by your instance web" in said, said
    user.do("kill", "web")
    # Its forwards stay the same; the instance that starts first has the port.
    user.boot("second", disk, forwards=[forward])
    assert "in use by your instance second" in user.refused(HOST, "start", "-d", "web")
    user.do("rm", "--force", "web", "second")


def test_the_port_of_the_seeds_is_told_to_be_the_agents(user, disk):
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    said = user.refused(HOST, "run", "m", "--image", disk, "--image-unverified", "--forward", f"{port}:80", "-d")
    assert "in use by piagent's agent, which serves seeds there" in said, said


def test_an_ssh_port_that_was_taken_is_told_with_who_has_it_now(user, disk):
    user.boot("web", disk)
    user.do("kill", "web")
    port = user.status("web")["ssh_port"]
    user.boot("second", disk, forwards=[f"127.0.0.1:{port}:80"])
    assert user.api("POST", "/v1/instances/web/start")[0] == 202
    user.wait_state("web", "running")
    assert any(text.startswith(f"port {port} was taken by second: SSH is on port ") for text in user.texts("web")), user.texts("web")
    user.do("rm", "--force", "web", "second")


@pytest.mark.parametrize("words", [("ssh", "fedora@pi-1"), ("cp", "x", "fedora@pi-1:/"), ("status", "fedora@pi-1"), ("run", "fedora@pi-1")])
def test_a_login_before_a_name_is_told_to_be_fixed(user, words):
    said = user.refused(USAGE, *words)
    assert "say pi-1 alone; the instance's login was chosen when it was made" in said, said


def test_a_start_while_an_instance_stops_names_what_to_wait_with(disk):
    with User(**fake_qemu("ignore=system_powerdown")) as user:
        user.boot("pi", disk)
        assert user.api("POST", "/v1/instances/pi/powerdown", {})[0] == 202
        said = user.refused(CONFLICT, "start", "pi")
        assert said == "pi is still stopping: first wait for its end with: piagent wait --for stopped pi"
        for words in (("ssh", "pi"), ("cp", "pi:x", ".")):
            said = user.refused(CONFLICT, *words)
            assert said == "pi is stopping: wait for its end with: piagent wait --for stopped pi, then start it with: piagent start pi"


def test_an_instance_that_is_removed_under_its_console_is_told_so(user, disk):
    user.boot("gone", disk)
    viewer = pexpect.spawn(PIAGENT, ["console", "gone"], env=user.env, timeout=60, encoding="latin-1")
    viewer.expect("leaves it")
    viewer.expect("hello")
    user.do("rm", "--force", "gone")
    viewer.expect("gone: stopped, and removed\r\n")
    viewer.expect(pexpect.EOF)
    run = pexpect.spawn(PIAGENT, ["run", "gone", "--image", disk, "--image-unverified", "--accel", "tcg", "--memory", "256M"],
                        env=user.env, timeout=60, encoding="latin-1")
    run.expect("hello")
    user.do("rm", "--force", "gone")
    run.expect("gone: stopped, and removed\r\n")
    run.expect(pexpect.EOF)


def test_nothing_is_said_to_be_created_that_was_not_made(user):
    done = user.call("run", "m", "--image", "http://127.0.0.1:1/x.qcow2", "--image-unverified", "-d")
    assert done.returncode == NETWORK and "m was not made: " in done.stderr and "created" not in done.stderr, done.stderr


def test_http_without_a_checksum_is_refused_for_what_http_is(user):
    said = user.refused(UNVERIFIED, "run", "m", "--image", "http://127.0.0.1:1/x.qcow2", "-d")
    assert "no published checksum, and anyone on the way can change what comes over http: give" in said, said
    assert "no published checksum: give" in user.refused(UNVERIFIED, "run", "m", "--image", "https://127.0.0.1:1/x.qcow2", "-d")


def test_events_are_shown_since_a_number_or_a_time(user, disk):
    user.boot("past", disk)
    everything = user.do("events", "past", "--json").splitlines()
    assert user.do("events", "past", "--json", "--since", "1h").splitlines() == everything and len(everything) > 3
    assert user.do("events", "past", "--json", "--since", "2").splitlines() == everything[2:]
    newest = max(json.loads(line)["realtime_ms"] for line in everything)
    wait_for("it was some time ago", lambda: not user.do("events", "past", "--since", "500ms"), 20)
    user.do("pause", "past")
    fresh = [json.loads(line) for line in user.do("events", "past", "--since", "10s", "--json").splitlines()]
    assert fresh[-1]["state"] == "paused" and fresh[-1]["realtime_ms"] > newest
    assert "state paused" in user.do("events", "--since", "1h")
    for words in (["past", "--since", "yesterday"], ["--since", "5"]):
        said = user.refused(USAGE, "events", *words)
        assert said.startswith("--since") and "10m" in said, said
    user.do("rm", "--force", "past")


def test_an_empty_list_says_where_it_looked(tmp_path):
    with User(XDG_CACHE_HOME=str(tmp_path / "cache")) as user:
        assert f"there is no image in {tmp_path}/cache/piagent/images yet" in user.call("image", "ls").stderr
        assert f"there is no instance in {user.instances} yet" in user.call("ps").stderr


def test_what_a_console_said_before_is_shown_from_a_lines_beginning(user):
    user.boot("chatty", boot_sectors.chatty(user.home))
    wait_for("it has said more than is shown", lambda: len(user.console("chatty")) > 20000, 60)
    for _ in range(3):  # one of 18 bytes begins a line
        viewer = pexpect.spawn(PIAGENT, ["console", "chatty"], env=user.env, timeout=60, encoding="latin-1")
        viewer.expect("leaves it[^\r]*\r\n")
        shown = viewer.read(12)
        viewer.close(force=True)
        assert re.match(r"0123456789ab", shown), shown
    user.do("rm", "--force", "chatty")
