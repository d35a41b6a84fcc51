# SPDX-License-Identifier: MIT
"""The switch of a network, as the agent runs it: a process that carries frames between members, in a sandbox, and that may be
killed and started anew. The members' QEMUs are datagram sockets here."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest
from piagent import PIAGENT, USAGE, is_running, wait_for


class Network:
    """A switch and the sockets of its members' QEMUs."""

    def __init__(self, number=77, first=16):
        self.number, self.first = number, first
        self.members, self.qemus = [], {}

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pi-switch-", dir="/tmp"))
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(self.folder / "control"))
        self.listening.listen()
        self.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        for one in [self.listening, *self.qemus.values()]:
            one.close()
        shutil.rmtree(self.folder)

    def start(self):
        self.process = subprocess.Popen([PIAGENT, "switch"], stdin=self.listening, cwd=self.folder)

    def tell(self, request, raw=None, fd=None):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as agent:
            agent.settimeout(20)
            agent.connect(str(self.folder / "control"))
            socket.send_fds(agent, [(raw or json.dumps(request).encode()) + b"\n"], [] if fd is None else [fd])
            return json.loads(agent.makefile().readline())

    def plan(self):
        return self.tell({"plan": {"address": f"10.{self.number}.0.1", "prefix": 24, "mac": "52:54:00:00:00:01", "domain": "lab.internal",
                                   "members": self.members}})

    def raw_plan(self, *members, domain="lab.internal"):
        return json.dumps({"plan": {"address": "10.77.0.1", "prefix": 24, "mac": "52:54:00:00:00:01", "domain": domain, "members": [
            {"name": name, "mac": f"52:54:00:00:00:0{mac}", "address": f"10.77.0.{address}"} for name, mac, address in members]}}).encode()

    def add(self, name):
        index = len(self.members) + self.first
        self.members.append({"name": name, "mac": f"52:54:00:00:00:{index:02x}", "address": f"10.{self.number}.0.{index}", "plugged": True})
        self.start_qemu(name)
        assert self.plan() == {}

    def add_remote(self, *others, trunk):
        """Members of the same network's switch on another host."""
        self.members += [{**member, "plugged": False, "trunk": trunk} for member in others]
        assert self.plan() == {}

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def trunk(self):
        return self.tell({"counters": True})["trunks"][0]

    def start_qemu(self, name):
        if name in self.qemus:
            self.qemus.pop(name).close()
            (self.folder / f"{name}.qemu").unlink()
        qemu = self.qemus[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        qemu.settimeout(10)
        qemu.bind(str(self.folder / f"{name}.qemu"))

    def frame(self, sender, receiver, text):
        """An Ethernet frame with an IPv4 packet in it."""
        sender, receiver = ({member["name"]: member for member in self.members}[name] for name in (sender, receiver))
        mac, address = (lambda member: bytes.fromhex(member["mac"].replace(":", ""))), (lambda member: socket.inet_aton(member["address"]))
        packet = bytes([0x45, 0]) + (20 + len(text)).to_bytes(2, "big") + bytes(5) + b"\x11\0\0" + address(sender) + address(receiver)
        return mac(receiver) + mac(sender) + b"\x08\0" + packet + text

    def send(self, sender, receiver, text):
        self.qemus[sender].sendto(self.frame(sender, receiver, text), str(self.folder / f"{sender}.in"))

    def hears(self, name):
        return self.qemus[name].recv(65536)[34:]

    def hears_nothing(self, name):
        self.qemus[name].settimeout(0.3)
        with pytest.raises(TimeoutError):
            self.qemus[name].recv(65536)
        self.qemus[name].settimeout(10)
        return True


@pytest.fixture
def network():
    with Network() as network:
        for name in ("server", "node-1", "node-2"):
            network.add(name)
        yield network


def carries(network, text):
    network.send("server", "node-1", text)
    return network.hears("node-1") == text


def test_members_hear_what_is_sent_to_them_and_nothing_else(network):
    assert carries(network, b"hello") and network.hears_nothing("node-2") and network.hears_nothing("server")


def test_a_member_that_joins_later_is_reached_at_once(network):
    network.add("node-3")
    network.send("node-3", "server", b"here")
    network.send("server", "node-3", b"welcome")
    assert network.hears("server") == b"here" and network.hears("node-3") == b"welcome"


def test_two_networks_never_hear_each_other(network):
    with Network(78) as other:
        for name in ("server", "node-1"):
            other.add(name)
        assert carries(network, b"ours") and other.hears_nothing("node-1")
        assert carries(other, b"theirs") and network.hears_nothing("node-1")


def test_a_switch_that_is_killed_and_comes_back_is_used_again_by_members_that_know_nothing_of_it(network):
    assert carries(network, b"before")
    network.process.kill()
    network.process.wait()
    with pytest.raises(ConnectionRefusedError):
        network.send("server", "node-1", b"lost")
    network.start()
    assert network.plan() == {}
    assert carries(network, b"after")


def test_a_qemu_that_ends_and_comes_back_is_reached_again(network):
    assert carries(network, b"before")
    network.start_qemu("node-1")
    wait_for("it is reached", lambda: carries(network, b"after"), 10)


def test_the_switch_carries_on_without_an_agent_and_takes_the_next_one(network):
    assert carries(network, b"no agent is connected")
    assert {member["name"]: member["received_frames"] for member in network.tell({"counters": True})["members"]} == {
        "server": 1, "node-1": 0, "node-2": 0}


def test_a_plan_that_is_refused_changes_nothing(network):
    for raw, words in [(b"{", "JSON"), (b"[]", "object"), (b'{"plan": 1}', ""), (b'{"plan": {}}', "address"),
                       (b'{"plan": {"address": "10.77.0.1", "prefix": 24, "mac": "52:54:00:00:00:01", "domain": "lab", "members": '
                        b'[{"name": "../x", "mac": "52:54:00:00:00:02", "address": "10.77.0.2", "plugged": true}]}}', "'../x'"),
                       (network.raw_plan(("a", 2, 2), ("a", 3, 3)), "a has"), (network.raw_plan(("a", 2, 2), ("b", 2, 3)), "b has"),
                       (network.raw_plan(("a", 2, 2), ("b", 3, 2)), "b has"), (network.raw_plan(("a", 1, 2)), "a has"),
                       (network.raw_plan(("a", 2, 2), domain="a..b"), "a..b"), (network.raw_plan(("A", 2, 2)), "'A'"),
                       (b'{"plan": {"address": "10.77.0.1", "prefix": 33, "mac": "52:54:00:00:00:01", "domain": "lab", "members": []}}', "prefix"),
                       (b'{"plan": {"address": "10.77.0.999", "prefix": 24, "mac": "52:54:00:00:00:01", "domain": "lab", "members": []}}', "10.77.0.999"),
                       (b'{"plan": {"address": "10.77.0.1", "prefix": 24, "mac": "53:54:00:00:00:01", "domain": "lab", "members": []}}', "53:54")]:
        answer = network.tell(None, raw)
        assert words in answer["error"], answer
    assert carries(network, b"as before")


def test_it_is_in_a_sandbox_and_holds_only_its_sockets_which_nobody_else_may_use(network):
    assert {path.stat().st_mode & 0o777 for path in network.folder.glob("*.in")} == {0o700}
    status = pathlib.Path(f"/proc/{network.process.pid}/status").read_text()
    assert "Seccomp:\t2\n" in status and "NoNewPrivs:\t1\n" in status
    kinds = {os.readlink(link).partition(":")[0] for link in pathlib.Path(f"/proc/{network.process.pid}/fd").iterdir()}
    assert kinds <= {"socket", "anon_inode", "pipe", "/dev/null", "/dev/pts"} | {os.readlink(f"/proc/self/fd/{fd}") for fd in (1, 2)}, kinds


def test_a_hostile_member_stops_nobody(network):
    """It sends as fast as it can, frames of all kinds, while others talk."""
    frames = [network.frame("node-2", "node-1", b"x" * 1400), bytes(14), os.urandom(60), b"\xff" * 6 + network.frame("node-2", "node-1", b"x")[6:]]
    child = os.fork()
    if child == 0:
        with contextlib.suppress(Exception):
            while True:
                for frame in frames:
                    network.qemus["node-2"].sendto(frame, str(network.folder / "node-2.in"))
        os._exit(0)
    try:
        for number in range(50):
            text = b"%d" % number
            network.send("node-1", "server", text)
            while network.hears("server") != text:
                pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert is_running(network.process.pid)


@pytest.fixture
def two_hosts(network):
    """Two switches of one network, on two hosts: server, node-1 and node-2 on one, node-8 and node-9 on the other."""
    with Network(first=64) as other:
        for name in ("node-8", "node-9"):
            other.add(name)
        here, there = list(network.members), list(other.members)
        network.add_remote(*there, trunk="other")
        other.add_remote(*here, trunk="here")
        join(network, other)
        yield network, other


def join(network, other):
    ends = socket.socketpair()
    assert network.tell({"trunk": "other"}, fd=ends[0].fileno()) == {} and other.tell({"trunk": "here"}, fd=ends[1].fileno()) == {}
    for end in ends:
        end.close()


def test_members_on_two_hosts_reach_each_other_over_a_trunk(two_hosts):
    network, other = two_hosts
    network.send("server", "node-9", b"over there")
    assert other.hears("node-9") == b"over there" and other.hears_nothing("node-8")
    other.send("node-9", "server", b"and back")
    assert network.hears("server") == b"and back" and network.hears_nothing("node-1")
    assert network.trunk()["sent_frames"] == network.trunk()["received_frames"] == 1


def test_a_trunk_whose_other_switch_is_killed_is_told_and_may_be_given_again(two_hosts):
    network, other = two_hosts
    assert network.trunk()["connected"]
    other.process.kill()
    other.process.wait()
    wait_for("it is told", lambda: not network.trunk()["connected"], 20)
    assert carries(network, b"those here go on")
    other.start()
    assert other.plan() == {}
    join(network, other)
    network.send("server", "node-9", b"again")
    assert other.hears("node-9") == b"again" and network.trunk()["connected"]


# A guest in a network namespace of its own: its card, a tap with the member's MAC, and busybox's DHCP client there.
GUEST = """
import fcntl, os, select, socket, struct, subprocess, sys, time
folder, name, mac, client = sys.argv[1:]
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, 0x400454ca, struct.pack("16sH22x", b"card", 0x1002))
subprocess.run(["ip", "link", "set", "card", "address", mac, "up"], check=True)
qemu = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
os.unlink(f"{folder}/{name}.qemu")
qemu.bind(f"{folder}/{name}.qemu")
asking = subprocess.Popen(["busybox", "udhcpc", "-f", "-q", "-n", "-t", "10", "-i", "card", "-s", client])
deadline = time.monotonic() + 60
while asking.poll() is None and time.monotonic() < deadline:
    for ready in select.select([tap, qemu], [], [], 0.2)[0]:
        if ready == tap:
            qemu.sendto(os.read(tap, 65536), f"{folder}/{name}.in")
        else:
            os.write(tap, qemu.recv(65536))
asking.kill()
sys.exit(asking.wait())
"""


def test_a_dhcp_client_is_given_the_members_address_and_neither_router_nor_name_server(network, tmp_path):
    if os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK):
        pytest.skip("cannot here: only root may have a network and a card of its own")
    if not shutil.which("busybox"):
        pytest.skip("busybox is not installed: scripts/packages test")
    client, heard = tmp_path / "client", tmp_path / "heard"
    client.write_text(f"#!/bin/sh\n[ $1 = bound ] && env >{heard}\nexit 0\n")
    client.chmod(0o755)
    mac = network.members[1]["mac"]
    subprocess.run(["unshare", "-n", "python3", "-c", GUEST, str(network.folder), "node-1", mac, str(client)], check=True, timeout=100)
    told = dict(line.partition("=")[::2] for line in heard.read_text().splitlines())
    assert (told["ip"], told["mask"], told["serverid"], told["lease"]) == (network.members[1]["address"], "24", "10.77.0.1", "604800")
    assert not {"router", "dns", "domain", "search"} & told.keys()
    assert network.hears_nothing("node-2") and network.hears_nothing("server")


def test_a_trunk_that_no_member_is_behind_is_refused(network):
    before = network.descriptors()  # perhaps with the fixture's last connection
    assert "no member" in network.tell({"trunk": "other"}, fd=network.listening.fileno())["error"]
    network.add_remote({"name": "node-9", "mac": "52:54:00:00:00:63", "address": "10.77.0.99"}, trunk="other")
    assert "connected stream" in network.tell({"trunk": "other"})["error"]
    assert "connected stream" in network.tell({"trunk": "other"}, fd=network.listening.fileno())["error"]
    assert "on one host" in network.tell({"plan": {"address": "10.77.0.1", "prefix": 24, "mac": "52:54:00:00:00:01", "domain": "lab", "members": [
        {**network.members[0], "trunk": "other"}]}})["error"]
    wait_for("nothing of what was passed is kept", lambda: network.descriptors() <= before, 20)


def test_a_person_who_starts_it_is_told_that_it_is_the_agents():
    done = subprocess.run([PIAGENT, "switch"], stdin=subprocess.DEVNULL, text=True, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == USAGE and "the agent's own" in done.stderr
