# SPDX-License-Identifier: MIT
"""piagent up and down with a file that names the hosts of its instances: two agents of two users, one of them behind a real SSH server."""

import json
import os

import boot_sectors
import pytest
from another_host import AnotherHost
from piagent import AGENT, USAGE, User, fake_qemu, wait_for
from reporters import Reporters

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: only root has an SSH server for several users")


class Hosts:
    def __init__(self, near, far):
        self.near, self.far = near, far
        self.disk = boot_sectors.deaf(far.user.home)
        os.chmod(self.disk, 0o644)
        self.file = near.home / "lab.yaml"

    def write(self, instances, networks="{lab: {}}"):
        defaults = f"{{image: {self.disk}, unverified: true, arch: x86_64, accel: tcg, memory: 256M, cpus: 1, disk: 1M, network: lab}}"
        self.file.write_text(f"defaults: {defaults}\nnetworks: {networks}\ninstances: {instances.replace('FAR', self.far.url)}\n")

    def call(self, command, *more, code=0, host=()):
        done = self.near.call(*host, command, "-f", str(self.file), *more, timeout=120)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr

    def up(self, *more, **how):
        return self.call("up", *more, **how)

    def addresses(self):
        """Of all instances of the network lab, by the host that they are on."""
        return {where: {one["name"]: one["networks"][0] for one in user.ps()} for where, user in (("near", self.near), ("far", self.far.user))}


@pytest.fixture
def hosts():
    with User(**fake_qemu()) as near:
        near.env.pop("PIAGENT_HOST", None)
        with AnotherHost(near) as far:
            yield Hosts(near, far)


def states(user):
    return {one["name"]: one["state"] for one in user.ps()}


def test_one_file_makes_instances_on_both_hosts_in_their_order_and_does_nothing_the_second_time(hosts):
    near, far, url = hosts.near, hosts.far.user, hosts.far.url
    hosts.write("{server: {host: 'FAR'}, node: {count: 2, after: {server: ready}}, web: {host: 'FAR', after: {node: ready}}}")
    plan = hosts.up("--dry-run")
    assert plan == (f"network lab: is created on {url}, 10.77.0.0/24\nnetwork lab: is created on this host, 10.77.0.0/24\n"
                    "network lab: instances on different hosts reach each other when the hosts are linked: piagent network link lab HOST\n"
                    f"server: is created and started on {url}\nnode-1 to node-2: each is created and started on this host\n"
                    f"web: is created and started on {url}\n")
    assert near.ps() == far.ps() == []
    with Reporters(far, held={"server"}) as there, Reporters(near, held={"node-2"}) as here:
        up = near.start("up", "-f", str(hosts.file))
        wait_for("the first one boots", lambda: there.names() == ["server"], 60)
        assert states(near) == {"node-1": "stopped", "node-2": "stopped"} and states(far)["web"] == "stopped"
        hosts.far.break_connections()  # up connects again
        there.held.clear()
        wait_for("those after it boot", lambda: sorted(here.names()) == ["node-1", "node-2"], 60)
        assert states(far) == {"server": "ready", "web": "stopped"}
        here.held.clear()
        said, _ = up.communicate(timeout=60)
        assert up.returncode == 0 and said.endswith("lab: 4 instances are ready\n"), said
        assert hosts.up() == "lab: nothing is to be done: 4 instances are there\n"
        before = hosts.addresses()
        assert before == {"far": {"server": "lab,ip=10.77.0.2", "web": "lab,ip=10.77.0.5"},
                          "near": {"node-1": "lab,ip=10.77.0.3", "node-2": "lab,ip=10.77.0.4"}}
        hosts.write("{server: {host: 'FAR'}, node: {count: 3, after: {server: ready}}, web: {host: 'FAR', after: {node: ready}}}")
        hosts.up("--recreate", "web")
        before["near"]["node-3"] = "lab,ip=10.77.0.6"
        assert hosts.addresses() == before
    lines = [json.loads(line)["change"] for line in near.do("up", "-f", str(hosts.file), "--dry-run", "--json").splitlines()]
    assert {one["name"]: one.get("host") for one in lines} == {"server": url, "web": url, "node-1": None, "node-2": None, "node-3": None}
    assert near.status("node-1")["fleet"]["name"] == far.status("web")["fleet"]["name"] == "lab"
    said = hosts.call("down", "--timeout", "1s", "--step-timeout", "10s", code=9)  # the guests do not hear the power button
    at = [said.index(f"\n{name}: " if name != "web" else "web: ") for name in ("web", "node-1", "server")]
    assert at == sorted(at), said
    assert set(states(near).values()) | set(states(far).values()) == {"stopped"}


def test_nothing_happens_if_a_host_cannot_be_reached(hosts):
    hosts.write("{a: {}, b: {host: 'FAR'}}")
    hosts.far.stop_server()
    assert f"cannot reach {hosts.far.url}: " in hosts.up(code=AGENT)
    assert f"cannot reach {hosts.far.url}: " in hosts.call("down", code=AGENT)
    assert hosts.near.ps() == [] and json.loads(hosts.near.do("network", "ls", "--json"))["networks"] == []


def test_faults_of_hosts_are_found_before_anything_happens(hosts):
    near, far, url = hosts.near, hosts.far.user, hosts.far.url
    hosts.write("{a: {host: rack1}, b: {host: 'FAR', image: ./x.qcow2}, c: {hots: x}}")
    said = hosts.up(code=USAGE)
    for fault in ("instances.a.host: 'rack1' is not a host: write ssh://", "./x.qcow2 is a file of this host", "did you mean host?"):
        assert fault in said, said
    hosts.write("{a: {}, b: {host: 'FAR'}}")
    assert f"{url} is also the host of the entries without one: write it for all or none" in near.call("--host", url, "up", "-f", str(hosts.file)).stderr
    hosts.write("{a: {memory: 900G}}")
    assert f"and {url} has " in near.call("--host", url, "up", "-f", str(hosts.file)).stderr
    hosts.write("{a: {}, b: {host: 'FAR'}}")
    near.do("network", "create", "lab", "--subnet", "10.99.0.0/24")
    far.do("network", "create", "lab", "--subnet", "10.98.0.0/24")
    assert f"the network is there on {url}, and is 10.98.0.0/24" in hosts.up(code=USAGE)
    far.do("network", "rm", "lab")
    far.do("network", "create", "other", "--subnet", "10.99.0.0/25")
    assert f"10.99.0.0/24 overlaps with the network other on {url}, which is 10.99.0.0/25" in hosts.up(code=USAGE)
    assert near.ps() == far.ps() == []


def test_an_instance_that_the_file_moves_is_a_fault_until_the_old_one_is_removed(hosts):
    near, far = hosts.near, hosts.far.user
    with Reporters(near), Reporters(far):
        hosts.write("{a: {}, b: {host: 'FAR', forward: '18081:80'}, c: {forward: '18081:80'}}", "{lab: {subnet: 10.99.0.0/24}}")
        hosts.up()
        hosts.write("{a: {host: 'FAR'}, b: {host: 'FAR', forward: '18081:80'}, c: {forward: '18081:80'}}", "{lab: {subnet: 10.99.0.0/24}}")
        assert f"instances.a: the instance a is on this host, the file says {hosts.far.url}: write that host, or remove" in hosts.up(code=USAGE)
        near.do("kill", "a")
        hosts.up("--prune")
    assert sorted(states(near)) == ["c"] and sorted(states(far)) == ["a", "b"]
