# SPDX-License-Identifier: MIT
"""A network that spans two hosts: the agents of two users link theirs by a real SSH server. QEMU is the fake."""

import json
import os
import signal
import socket
import struct
import time

import boot_sectors
import pytest
from another_host import AnotherHost
from piagent import CONFLICT, NOT_FOUND, PIAGENT, USAGE, User, fake_qemu, is_running, wait_for
from test_network import boot, frame, heard, send

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: only root has an SSH server for several users")

NEAR, FAR = ("near", "10.77.5.2"), ("far", "10.77.5.9")


@pytest.fixture
def hosts():
    with User(**fake_qemu()) as near, AnotherHost(near) as far:
        near.env["PATH"] = f"{near.home}/tools:{os.environ['PIAGENT_BUILD']}/fake-qemu:{os.environ['PATH']}"
        yield near, far


def boot_there(near, far, name, network):
    disk = boot_sectors.deaf(far.user.home)
    os.chmod(disk, 0o644)
    near.start("--host", far.url, "run", name, "--image", str(disk), "--unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M",
               "--disk", "1M", "--network", network, "-d")
    wait_for("it runs", lambda: (status := near.call("--host", far.url, "status", name, "--json")).returncode == 0 and
             json.loads(status.stdout)["state"] == "running", 60)


def status(near, *host):
    return json.loads(near.do(*host, "network", "status", "lab", "--json"))


def links(near, *host):
    return status(near, *host).get("links", [])


def is_linked(near, far):
    return wait_for("both are connected", lambda: [one["connected"] for one in links(near)] == [True] and
                    [one["connected"] for one in links(near, "--host", far.url)] == [True], 40)


def connect(near, far, there="10.77.5.0/24"):
    near.do("network", "create", "lab", "--subnet", "10.77.5.0/24")
    near.do("--host", far.url, "network", "create", "lab", "--subnet", there)
    near.do("network", "link", "lab", far.url)


@pytest.fixture
def linked(hosts):
    near, far = hosts
    connect(near, far)
    boot(near, "near", "lab")
    boot_there(near, far, "far", "lab,ip=10.77.5.9")
    is_linked(near, far)
    return hosts


def carries(near, far, text):
    """Whether frames arrive in both directions; they are sent until they do."""
    there, back = frame(NEAR[1], FAR[1], text), frame(FAR[1], NEAR[1], text)

    def arrived():
        send(near, "near", there)
        send(far.user, "far", back)
        return there in heard(far.user, "far") and back in heard(near, "near")
    wait_for(f"they hear {text}", arrived, 60)


def question(name):
    """A frame in which near asks its network for the address of a name."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = struct.pack(">HHHHHH", 77, 0x100, 1, 0, 0, 0) + labels + struct.pack(">HH", 1, 1)
    packet = struct.pack(">HHHH", 40000, 53, 8 + len(query), 0) + query
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(packet), 0, 0, 64, 17, 0, socket.inet_aton(NEAR[1]), socket.inet_aton("10.77.5.1"))
    total = sum(struct.unpack(">10H", head))
    head = head[:10] + struct.pack(">H", ~(total + (total >> 16)) & 0xffff) + head[12:]
    return (bytes.fromhex("52540a4d0501") + bytes.fromhex("52540a4d0502") + b"\x08\0" + head + packet).hex()


def resolves(near, name, address):
    digits, wanted = question(name), socket.inet_aton(address).hex()

    def answered():
        send(near, "near", digits)
        return any(one.endswith(wanted) for one in heard(near, "near"))
    wait_for(f"{name} is {address}", answered, 30)


def carriers(near):
    """The ssh processes that carry links, and what they run on the other host."""
    return [pid for pid, words in near.processes().items() if words and words[-1] == "piagent __carry lab"]


def test_members_on_two_hosts_hear_and_resolve_each_other_and_no_other_network_does(linked):
    near, far = linked
    near.do("network", "create", "other")
    boot(near, "stranger", "other")
    carries(near, far, b"hello")
    (link,), (back,) = links(near), links(near, "--host", far.url)
    for one in (link, back):
        assert min(one["sent_frames"], one["received_frames"]) >= 1 and min(one["sent_bytes"], one["received_bytes"]) > 30
        assert "refused" not in one and "trunk" not in one
    assert f"  sent {link['sent_frames']}, " in near.do("network", "status", "lab")
    resolves(near, "far.lab.internal", FAR[1])
    assert not heard(near, "stranger")
    shown = near.do("network", "status", "lab")
    assert f"link to {far.url}: connected" in shown and "far 10.77.5.9" in shown
    shown = near.do("--host", far.url, "network", "status", "lab")
    assert f"link from {socket.gethostname()}: connected" in shown and "near 10.77.5.2" in shown
    answer = near.create("far", networks=["lab"], image=boot_sectors.deaf(near.home), image_unverified=True, arch="x86_64", accel="tcg")
    assert answer[0] == 409 and "on another host is far" in answer[1]["error"]["message"]
    answer = near.create("next", networks=["lab,ip=10.77.5.9"], image=boot_sectors.deaf(near.home), image_unverified=True, arch="x86_64", accel="tcg")
    assert answer[0] == 409 and "on another host is far" in answer[1]["error"]["message"]
    # One that comes later is told to the other host, and gets an address that nobody there has.
    boot_there(near, far, "later", "lab")
    wait_for("it is known here", lambda: "later 10.77.5.3" in near.do("network", "status", "lab"), 40)
    resolves(near, "later", "10.77.5.3")
    carries(near, far, b"as before")


def test_a_link_comes_back_whatever_of_it_is_killed(linked):
    near, far = linked
    carries(near, far, b"first")
    for pid in carriers(near):
        os.kill(pid, signal.SIGKILL)
    carries(near, far, b"ssh was killed")
    os.kill(status(near)["switch_pid"], signal.SIGKILL)
    carries(near, far, b"the near switch was killed")
    os.kill(status(near, "--host", far.url)["switch_pid"], signal.SIGKILL)
    carries(near, far, b"the far switch was killed")
    near.kill_agent()
    near.do("ps")
    carries(near, far, b"the near agent was killed")
    is_linked(near, far)
    far.user.kill_agent()
    near.do("--host", far.url, "ps")
    carries(near, far, b"the far agent was killed")
    is_linked(near, far)
    assert len(carriers(near)) == 1


def test_a_link_that_is_undone_ends_on_both_hosts(linked):
    near, far = linked
    (pid,) = carriers(near)
    assert "already" in near.refused(CONFLICT, "network", "link", "lab", far.url)
    near.do("network", "unlink", "lab", far.url)
    wait_for("ssh has ended", lambda: not is_running(pid), 20)
    wait_for("the other host sees it", lambda: not links(near, "--host", far.url), 20)
    assert links(near) == []
    assert "no link" in near.refused(NOT_FOUND, "network", "unlink", "lab", far.url)
    assert "is not a host" in near.refused(USAGE, "network", "link", "lab", "ssh://-oProxyCommand=x")
    near.do("agent", "stop")
    near.do("ps")
    assert links(near) == []


def test_networks_that_are_not_one_are_told_on_both_hosts(hosts):
    near, far = hosts
    connect(near, far, there="10.77.6.0/24")
    wait_for("it is told here", lambda: "make the network there anew, with --subnet 10.77.5.0/24" in links(near)[0].get("reason", ""), 40)
    wait_for("it is told there", lambda: any("with --subnet 10.77.6.0/24" in one.get("reason", "") for one in links(near, "--host", far.url)), 40)
    assert "--subnet 10.77.5.0/24" in near.log() and "--subnet 10.77.5.0/24" in near.do("network", "status", "lab")
    near.do("--host", far.url, "network", "rm", "lab")
    wait_for("there is none", lambda: "there is no network named lab" in links(near)[0].get("reason", ""), 40)
    near.do("--host", far.url, "network", "create", "lab", "--subnet", "10.77.5.0/24")
    is_linked(near, far)
    far.refuse()
    for pid in carriers(near):
        os.kill(pid, signal.SIGKILL)
    wait_for("ssh's own words are told", lambda: "Permission denied" in links(near)[0].get("reason", ""), 40)


def test_members_with_one_name_are_told_on_both_hosts_until_one_is_gone(hosts):
    near, far = hosts
    near.do("network", "create", "lab", "--subnet", "10.77.5.0/24")
    near.do("--host", far.url, "network", "create", "lab", "--subnet", "10.77.5.0/24")
    boot(near, "near", "lab")
    boot_there(near, far, "near", "lab,ip=10.77.5.9")
    near.do("network", "link", "lab", far.url)
    wait_for("it is told here", lambda: "have the same name or address" in links(near)[0].get("reason", ""), 40)
    wait_for("it is told there", lambda: any("have the same name or address" in one.get("reason", "") for one in links(near, "--host", far.url)), 40)
    near.do("--host", far.url, "kill", "near")
    near.do("--host", far.url, "rm", "near")
    is_linked(near, far)


SSH = """#!/bin/sh
for words; do :; done
. "$(dirname "$0")/other"
exec sh -c "$words"
"""


@pytest.fixture
def two_users():
    """Two agents on this host; "ssh" leads from each to the other, whatever the host's name."""
    with User(**fake_qemu()) as one, User(**fake_qemu()) as other:
        for user, peer in ((one, other), (other, one)):
            tools = user.home / "tools"
            tools.mkdir()
            (tools / "piagent").symlink_to(PIAGENT)
            (tools / "ssh").write_text(SSH)
            (tools / "ssh").chmod(0o755)
            (tools / "other").write_text("".join(f"export {key}='{value}'\n" for key, value in peer.env.items() if key.startswith("XDG_") or key == "HOME"))
            user.env["PATH"] = f"{tools}:{user.env['PATH']}"
            user.do("network", "create", "lab", "--subnet", "10.77.5.0/24")
        yield one, other


def used(*users):
    """The links that are connected, as each of the users sees them, and how often links came up so far."""
    return [[one["dialed_here"] for one in links(user) if one["connected"]] for user in users], [user.log().count("is linked with") for user in users]


def test_two_hosts_that_dial_each_other_keep_one_link_and_the_other_one_takes_its_place(two_users):
    one, other = two_users
    boot(one, "near", "lab")
    boot(other, "far", "lab,ip=10.77.5.9")
    for user in (one, other):
        user.do("network", "link", "lab", "ssh://peer")

    def is_one():
        (here, there), _ = used(one, other)
        waiting = [link.get("reason") for user in (one, other) for link in links(user) if not link["connected"]]
        return len(here) == len(there) == 1 and here != there and waiting == ["another link with that host is used"]
    wait_for("one link is used", is_one, 60)
    _, before = used(one, other)
    time.sleep(3)
    assert is_one() and used(one, other)[1] == before, "the links take turns"
    assert links(one)[0].get("members") or links(one)[1].get("members")
    dials, waits = (one, other) if used(one, other)[0] == [[True], [False]] else (other, one)
    dials.do("network", "unlink", "lab", "ssh://peer")
    wait_for("the other one is used", lambda: used(dials, waits)[0] == [[False], [True]], 60)


def test_a_host_that_is_dialed_by_two_names_keeps_one_link(two_users):
    one, other = two_users
    for name in ("peer", "same"):
        one.do("network", "link", "lab", f"ssh://{name}")
    wait_for("one link is used", lambda: used(one, other)[0] == [[True], [False]] and
             [link.get("reason") for link in links(one) if not link["connected"]] == ["another link with that host is used"], 60)
    _, before = used(one, other)
    time.sleep(3)
    assert used(one, other)[1] == before, "the links take turns"
