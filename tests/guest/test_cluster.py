# SPDX-License-Identifier: MIT
"""Four guests of two architectures from one file: an etcd cluster that finds itself by its seeds, and outlives what can die around it."""

import os
import pathlib
import shutil
import signal

import pytest
from piagent import SOURCE, User, guest_image, is_running, wait_for

MEMBERS = ["member-1", "member-2", "member-3"]
NAMES = [*MEMBERS, "pi"]
UP = 1200

# In the guest: what the IMDS answers to anyone but the right key. Prints the statuses.
PROBE = """
import sys, urllib.request, urllib.error
for word in sys.argv[2:]:
    method, _, path = word.partition(":")
    try:
        print(urllib.request.urlopen(urllib.request.Request(sys.argv[1] + path, method=method), timeout=10).status)
    except urllib.error.HTTPError as e:
        print(e.code)
"""


@pytest.fixture(name="user", scope="module")
def fixture_user():
    """A user in whose home folder the example lies beside the images that it names."""
    with User() as user:
        shutil.copytree(pathlib.Path(SOURCE) / "tests/examples/etcd", user.home / "etcd")
        for arch in ("x86_64", "aarch64"):
            (user.home / f"etcd/debian-{arch}.qcow2").symlink_to(guest_image(arch))
        yield user


def up(user, *more):
    return user.start("up", "-f", str(user.home / "etcd/fleet.yaml"), *more)


def switch_pid(user):
    return next((pid for pid, words in user.processes().items() if words[1:2] == ["switch"]), None)


def kill_around(user):
    """The agent and the switch die while guests boot."""
    switch = switch_pid(user)
    os.kill(switch, signal.SIGKILL)
    user.kill_agent()
    user.do("ps")
    wait_for("there is a switch again", lambda: switch_pid(user) not in (None, switch), 60)


def etcdctl(user, name, *words, timeout=120):
    return user.ssh(name, f"ETCDCTL_API=3 etcdctl --command-timeout=60s {' '.join(words)}", timeout=timeout)


def check_cluster(user):
    listed = etcdctl(user, "member-1", "member", "list").splitlines()
    assert sorted(line.split(", ")[2] for line in listed) == MEMBERS and all("started" in line for line in listed), listed
    assert etcdctl(user, "member-2", "get", "fleet/pi").split() == ["fleet/pi", "aarch64"]
    etcdctl(user, "member-1", "put", "colour", "blue")
    assert etcdctl(user, "member-3", "get", "colour", "--print-value-only") == "blue"


def check_names(user):
    """Each finds each by its name, whoever came first."""
    address = {instance["name"]: instance["networks"][0].partition("ip=")[2] for instance in user.ps()}
    for name in ("member-1", "pi"):
        said = user.ssh(name, f"for i in {' '.join(NAMES)}; do getent ahostsv4 $i | head -1; done")
        found = dict(zip(NAMES, (line.split()[0] for line in said.splitlines())))
        assert found == address, said
        assert user.ssh(name, f"getent ahosts {name} | head -1").split()[0] == address[name]


def check_seeds(user):
    """From inside the first guest, without the key of another one; a key of 128 random bits cannot be found by trying."""
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    assert len({user.ssh(name, "cat /etc/machine-id") for name in NAMES}) == len(NAMES)
    key = user.record("member-1")["key"]
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    refused = ["GET:/", "GET:/meta-data", "GET://meta-data", f"GET:/{key}/", f"GET:/x{key}/meta-data",
               f"GET:/{key[:-1]}/meta-data", f"GET:/{wrong}/meta-data", f"HEAD:/{wrong}/meta-data", f"POST:/{wrong}/events",
               f"GET:/{key}/../{wrong}/user-data", f"GET:/{wrong}/../{key}/user-data", f"GET:/{key}/%2e%2e/{wrong}/user-data"]
    words = " ".join([f"GET:/{key}/meta-data", f"HEAD:/{key}/user-data", *refused])
    said = user.ssh("member-1", f"python3 - http://10.0.2.2:{port} {words} <<'EOF'\n{PROBE}\nEOF")
    assert said.split() == ["200"] * 2 + ["404"] * len(refused)


def check_rejoin(user):
    """One is killed, maybe the leader: the others choose another one and go on. It comes back with what was written meanwhile."""
    user.do("kill", "member-3")
    user.ssh("member-1", "until ETCDCTL_API=3 etcdctl put colour green; do sleep 1; done", timeout=300)
    user.do("start", "member-3", "-d", timeout=600)
    assert etcdctl(user, "member-3", "get", "colour", "--print-value-only") == "green"


def check_down(user):
    """In order: what waits for others to come up goes before them."""
    down = user.start("down", "-f", str(user.home / "etcd/fleet.yaml"))
    out, _ = down.communicate(timeout=600)
    assert down.returncode == 0, out
    ended = {}
    for name in NAMES:
        instance = user.status(name)
        assert (instance["state"], instance["stopped_by"]) == ("stopped", "powerdown"), instance
        ended[name] = max(event["realtime_ms"] for event in user.events(name) if event.get("state") == "stopped")
    assert ended["pi"] <= min(ended[name] for name in MEMBERS), ended


def test_a_cluster_comes_up_from_one_file_and_outlives_what_dies_around_it(user):
    run = up(user)
    wait_for("two of them boot", lambda: sum(i["state"] == "running" for i in user.ps()) >= 2, 300)
    kill_around(user)
    out, _ = run.communicate(timeout=UP)
    assert run.returncode == 0, out
    check_names(user)
    check_seeds(user)
    check_cluster(user)

    before = {instance["name"]: instance["pid"] for instance in user.ps()}
    kill_around(user)
    wait_for("all are ready again", lambda: {i["state"] for i in user.ps()} == {"ready"}, 30)
    assert {instance["name"]: instance["pid"] for instance in user.ps()} == before
    check_rejoin(user)

    check_down(user)
    assert not any(is_running(pid) for pid in before.values())
    run = up(user)
    out, _ = run.communicate(timeout=UP)
    assert run.returncode == 0, out
    assert etcdctl(user, "member-2", "get", "colour", "--print-value-only") == "green"
    user.do("powerdown", "--all", timeout=600)
