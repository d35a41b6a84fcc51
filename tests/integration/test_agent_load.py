# SPDX-License-Identifier: MIT
"""Some hundred instances under one agent, with fake QEMUs: what each costs, and that none holds up the others. Times are for scripts/bench load."""

import collections
import contextlib
import os
import pathlib
import socket
import time

import boot_sectors
import fleet
import imds_storm
import pytest
from piagent import PIAGENT, User, fake_qemu, is_running, wait_for

COUNT = 100
FOLLOWERS = 4000


@pytest.fixture(scope="module")
def user():
    with User(**fake_qemu()) as user:
        user.do("ps")
        user.kib_with_none = fleet.memory_kib(user.agent_pid())
        fleet.make(user, boot_sectors.deaf(user.home), COUNT)
        fleet.start(user, COUNT)
        yield user


@pytest.fixture
def api(user):
    user.do("ps")
    return fleet.Api(user)


def identities(api):
    return {instance["name"]: (instance["state"], instance.get("pid"), instance["ssh_port"], instance["uuid"]) for instance in api.instances()}


def test_each_instance_costs_little_memory(user, api):
    if b"libasan" in pathlib.Path(PIAGENT).read_bytes():
        pytest.skip("cannot here: the sanitizer's own memory is more than the agent's")
    api.instances()
    # The program and its libraries, which others use too, are what an agent without instances has.
    assert fleet.memory_kib(user.agent_pid()) <= user.kib_with_none + 64 * COUNT


def test_an_agent_with_nothing_to_do_does_nothing(user, api):
    before = fleet.cpu_s(user.agent_pid())
    time.sleep(3)
    assert fleet.cpu_s(user.agent_pid()) - before < 0.1


def test_the_list_is_short_and_whole(user, api):
    lines = user.do("ps").splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [[fleet.name_of(index), "running"] for index in range(COUNT)]
    assert api.ask("GET", "/v1/instances?summary=1")[1]["instances"][0].keys() < api.instances()[0].keys()


def test_the_next_agent_takes_over_every_one_of_them(user, api):
    before, events = identities(api), fleet.newest_events(api)
    user.kill_agent()
    user.do("ps")
    api = fleet.Api(user)
    fleet.wait_taken_over(api, events)
    assert identities(api) == before
    assert all(is_running(pid) for _, pid, _, _ in before.values())


def follow(user, index):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(60)
    client.connect(str(user.runtime / "agent.sock"))
    client.sendall(f"GET /v1/instances/{fleet.name_of(index % COUNT)}/console?follow=1 HTTP/1.1\r\nHost: pi\r\n\r\n".encode())
    return client


def test_those_who_follow_leave_room_for_requests_and_are_missed_when_they_go(user, api):
    imds_storm.allow_connections(FOLLOWERS)
    agent = pathlib.Path(f"/proc/{user.agent_pid()}/fd")
    before = len(os.listdir(agent))
    with contextlib.ExitStack() as stack:
        followers = [stack.enter_context(follow(user, index)) for index in range(FOLLOWERS)]
        answers = collections.Counter(client.recv(12) for client in followers)
        assert set(answers) == {b"HTTP/1.1 200", b"HTTP/1.1 503"}, answers
        assert answers[b"HTTP/1.1 503"] < 200, answers
        assert len(user.ps()) == COUNT
    wait_for("their connections are closed", lambda: len(os.listdir(agent)) <= before, 60)


def test_instances_that_flood_hold_up_nobody(user, api):
    loud = [fleet.name_of(index) for index in range(20)]
    for index, name in enumerate(loud):
        user.tell_fake(name, ("print=SIGUSR1", "events=SIGUSR1", "garbage=SIGUSR1", "line=SIGUSR1")[index % 4])
    full = [user.instances / name / "console.log.1" for name in loud[::4]]
    wait_for("their consoles' logs are full", lambda: all(log.exists() for log in full), 60)
    quiet = fleet.name_of(COUNT - 1)
    user.do("pause", quiet)
    user.do("resume", quiet)
    user.do("powerdown", quiet)
    assert user.status(quiet)["stopped_by"] == "powerdown"
    assert fleet.states(api) == {"running", "stopped"}
    for name in loud:
        sizes = [os.stat(path).st_size for path in (user.instances / name).glob("console.log*")]
        assert sum(sizes) <= 2 << 20, sizes
        user.tell_fake(name, "")


def test_all_of_them_stop_and_leave_nothing(user, api):
    for name in identities(api):
        api.ask("POST", f"/v1/instances/{name}/kill", {})
    wait_for("all are stopped", lambda: fleet.states(api) == {"stopped"}, 120)
    for name in identities(api):
        assert api.ask("DELETE", f"/v1/instances/{name}")[0] == 200
    user.nothing_left()
