# SPDX-License-Identifier: MIT
"""piagent up and down with a file that names the hosts of its instances: two agents of two users, one of them behind a real SSH server."""

import json
import os

import boot_sectors
import pytest
from another_host import AnotherHost
from piagent import AGENT, USAGE, User, fake_qemu, wait_for
from reporters import Reporters
from test_network_link import is_linked, links
from test_peers import live, meta_data, peers_path

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
                    f"network lab: is linked: this host with {url}\n"
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


def peers_told(user, name):
    return {one["name"]: (one["role"], one["index"], one["address"], one["arch"]) for one in meta_data(user, name)["fleet"]["peers"]}


def secret(user, name):
    return meta_data(user, name)["security-credentials"]["join_secret"]


def test_instances_on_both_hosts_are_one_fleet_with_one_secret_before_the_first_boots(hosts):
    near, far = hosts.near, hosts.far.user
    hosts.write("{server: {host: 'FAR'}, node: {count: 2}}")
    with Reporters(far, held={"server"}), Reporters(near, held={"node-1", "node-2"}):
        up = near.start("up", "-f", str(hosts.file))
        wait_for("all boot", lambda: {*states(near).values(), *states(far).values()} == {"running"}, 60)
        all_of_them = {"server": ("server", 1, "10.77.0.2", "x86_64"), "node-1": ("node", 1, "10.77.0.3", "x86_64"), "node-2": ("node", 2, "10.77.0.4", "x86_64")}
        for user, name in ((far, "server"), (near, "node-1"), (near, "node-2")):
            assert peers_told(user, name) == all_of_them and meta_data(user, name)["fleet"]["size"] == 3
        assert len(secret(far, "server")) == 64 and secret(far, "server") == secret(near, "node-1") == secret(near, "node-2")
        told = secret(far, "server")
        up.kill()
        up.wait()
    with Reporters(far), Reporters(near):
        hosts.up()
        hosts.write("{server: {host: 'FAR'}, node: {count: 2}, late: {host: 'FAR'}}")
        hosts.up()
        # A guest of the first hour hears of it, and the newcomer has the secret of the others.
        assert live(near, peers_path(near, "node-1")) == {"late": None, "node-1": True, "node-2": True, "server": None}
        assert live(far, peers_path(far, "late")) == {"late": True, "node-1": None, "node-2": None, "server": True}
        far.do("reseed", "late")
        assert secret(far, "late") == told
        far.kill_agent()
        near.kill_agent()
        near.do("ps")
        far.do("ps")
        assert sorted(live(near, peers_path(near, "node-1"))) == sorted(live(far, peers_path(far, "late"))) == ["late", "node-1", "node-2", "server"]
        for user in (near, far):
            file = user.home / "data/piagent/fleets.json"
            assert told in file.read_text() and file.stat().st_mode & 0o777 == 0o600 and told not in user.log()
        far.do("rm", "--force", "late")
        hosts.write("{server: {host: 'FAR'}, node: {count: 2}}")
        hosts.up()
        assert sorted(live(near, peers_path(near, "node-1"))) == ["node-1", "node-2", "server"]
        far.do("rm", "--force", "server")
        wait_for("what was told of the fleet is forgotten with its last instance", lambda: told not in (far.home / "data/piagent/fleets.json").read_text(), 20)


def test_hosts_that_had_parts_of_the_fleet_get_the_secret_of_the_oldest_instance(hosts):
    near, far = hosts.near, hosts.far.user
    with Reporters(near, held={"node"}), Reporters(far, held={"server"}):
        for instances, user in (("{node: {}}", near), ("{server: {host: 'FAR'}}", far)):
            hosts.write(instances)
            near.start("up", "-f", str(hosts.file))
            wait_for("it boots", lambda user=user: list(states(user).values()) == ["running"], 60)
        assert secret(near, "node") != secret(far, "server")
        oldest = secret(near, "node")
        hosts.write("{server: {host: 'FAR'}, node: {}}")  # the other host comes first
        near.start("up", "-f", str(hosts.file))
        wait_for("it is told", lambda: secret(far, "server") == oldest, 60)
        assert secret(near, "node") == oldest and set(peers_told(near, "node")) == {"server", "node"}


def test_up_links_what_the_file_spans_and_links_it_again_when_the_link_was_lost(hosts):
    near, far, url = hosts.near, hosts.far, hosts.far.url
    hosts.write("{a: {}, b: {host: 'FAR'}}")
    linked = f"network lab: is linked: this host with {url}\n"
    with Reporters(near), Reporters(far.user):
        assert linked in hosts.up()
        is_linked(near, far)
        assert hosts.up() == "lab: nothing is to be done: 2 instances are there\n"
        near.do("network", "unlink", "lab", url)
        lines = [json.loads(line) for line in near.do("up", "-f", str(hosts.file), "--dry-run", "--json").splitlines()]
        assert {"network": {"name": "lab", "link": url}} in lines
        assert hosts.up() == f"{linked}lab: 2 instances are ready\n"
        # A person has linked them from the other side, or by another name of the host.
        near.do("network", "unlink", "lab", url)
        near.do("network", "link", "lab", url.replace("127.0.0.1", "localhost"))
        far.know_also("localhost")
        is_linked(near, far)
        assert hosts.up() == "lab: nothing is to be done: 2 instances are there\n"
        hosts.call("down", "--timeout", "1s", "--step-timeout", "10s", code=9)
        hosts.up()
        assert [one["connected"] for one in links(near)] == [True]


def test_a_network_that_cannot_be_linked_is_told_with_the_reason_before_anything_starts(hosts):
    near, far = hosts.near, hosts.far
    hosts.write("{a: {}, b: {host: 'FAR'}}")
    near.do("--host", far.url, "ps")
    far.refuse()  # the connection that is open stays, a new one is not let in
    with Reporters(near), Reporters(far.user):
        up = near.start("up", "-f", str(hosts.file))
        waits = f"network lab: waiting for its link between this host and {far.url}: pi@127.0.0.1: Permission denied"
        said = next(line for line in up.stdout if "waiting" in line)
        assert said.startswith(waits), said
        assert {*states(near).values(), *states(far.user).values()} == {"stopped"}
        far.let_in()
        said, _ = up.communicate(timeout=90)
        assert up.returncode == 0, said


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
    for fault in ("instances.a.host: 'rack1' is not a host: did you mean ssh://rack1?", "./x.qcow2 is a file of this host", "did you mean host?"):
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
        said = hosts.up(code=USAGE)
        assert f"instances.a: the instance a is on this host, the file says {hosts.far.url}\n" in said and "write that host, or remove" in said
        near.do("kill", "a")
        hosts.up("--prune")
    assert sorted(states(near)) == ["c"] and sorted(states(far)) == ["a", "b"]
