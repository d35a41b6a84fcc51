# SPDX-License-Identifier: MIT
"""piagent up and down with fake guests: what they do, in which order, again, interrupted, and with a wrong file."""

import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import textwrap

import boot_sectors
import pexpect
import pytest
from piagent import AGENT, CONFLICT, GUEST, HOST, NETWORK, NOT_FOUND, PIAGENT, SOURCE, USAGE, User, fake_qemu, free_port, wait_for
from relay import relay
from reporters import Reporters

DEFAULTS = "{image: disk, unverified: true, arch: x86_64, accel: tcg, memory: 256M, cpus: 1, disk: 1M}"
FLEET = """name: lab
instances:
  server: {}
  node: {count: 3, after: {server: ready}}
"""


class Fleet(User):
    def write(self, text):
        disk = boot_sectors.deaf(self.home)
        file = self.home / "fleet.yaml"
        file.write_text(f"defaults: {DEFAULTS.replace('disk,', disk + ',', 1)}\n{text}")
        return file

    def up(self, *more, code=0, timeout=120):
        done = self.call("up", "-f", str(self.home / "fleet.yaml"), *more, timeout=timeout)
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
        return done.stderr

    def start_up(self, *more):
        return self.start("up", "-f", str(self.home / "fleet.yaml"), *more)

    def states(self):
        return {one["name"]: one["state"] for one in self.ps()}


@pytest.fixture
def user():
    with Fleet(**fake_qemu()) as user:
        yield user


def test_up_makes_what_the_file_says_and_does_nothing_the_second_time(user):
    user.write(FLEET)
    with Reporters(user) as guests:
        said = user.up()
        assert "server: is created and started\nnode-1 to node-3: each is created and started\n" in said
        assert said.endswith("lab: 4 instances are ready\n")
        assert guests.names()[0] == "server" and sorted(guests.names()[1:]) == ["node-1", "node-2", "node-3"]
        assert user.up() == "lab: nothing is to be done: 4 instances are there\n"
    assert set(user.states().values()) == {"ready"}
    assert user.status("node-2")["fleet"] == {"name": "lab", "role": "node", "index": 2, "count": 3, "after": ["server=ready"]}


def test_a_dry_run_shows_the_plan_and_does_nothing(user):
    user.write(FLEET)
    said = user.up("--dry-run")
    assert said == "server: is created and started\nnode-1 to node-3: each is created and started\n"
    assert user.ps() == []
    user.nothing_left()


def test_what_others_are_after_is_ready_first_and_a_failure_holds_back_only_those(user):
    user.write("instances: {d: {after: {b: started}}, a: {}, b: {after: {a: ready}}, c: {after: {a: started}}, e: {}}\n")
    with Reporters(user, held={"a"}, failing={"a"}) as guests:
        up = user.start_up("--parallel", "8")
        wait_for("those that need not wait have started", lambda: set(guests.names()) == {"a", "c", "e"}, 60)
        wait_for("they are ready", lambda: [user.states()[name] for name in "ce"] == ["ready", "ready"], 60)
        assert user.states()["b"] == user.states()["d"] == "stopped"
        guests.held.clear()
        said, _ = up.communicate(timeout=60)
    assert up.returncode == GUEST, said
    assert "b is not started: a, which it is after, did not come up; fix the cause shown above, then run 'piagent up' again" in said
    assert "d is not started: b, which it is after, did not come up" in said
    assert [user.states()[name] for name in "bd"] == ["stopped", "stopped"]
    again = user.up(code=GUEST)
    assert "a: cloud-init failed" in again and "b is not started: a" in again and "d is not started: b" in again, again


def test_only_so_many_boot_at_a_time(user):
    user.write("instances: {node: {count: 6}}\n")
    with Reporters(user, held={"node-1", "node-2"}) as guests:
        up = user.start_up("--parallel", "2")
        wait_for("two have started", lambda: len(guests.names()) == 2, 60)
        guests.held = {"node-2", "node-3"}
        wait_for("the next one has", lambda: "node-3" in guests.names(), 60)
        assert len(guests.names()) == 3
        guests.held.clear()
        assert up.wait(60) == 0
        assert guests.most == 2


def test_until_a_guest_has_come_up_under_kvm_boots_count_as_emulated(user):
    cpus = os.cpu_count()
    file = user.write(f"instances: {{node: {{count: {cpus + 2}}}}}\n")
    file.write_text(file.read_text().replace("accel: tcg, ", ""))
    with Reporters(user, held={f"node-{n}" for n in range(1, cpus + 3)}) as guests:
        up = user.start_up()
        wait_for("one for each processor boots", lambda: len(guests.names()) == cpus, 60)
        guests.held.discard("node-1")
        more = 2 if user.status("node-1")["accel"] == "kvm" else 1
        wait_for("others follow the first one that is ready", lambda: len(guests.names()) == cpus + more, 60)
        assert user.states()["node-1"] == "ready"
        assert user.api("GET", "/v1/agent")[1].get("kvm_proven", False) == (more == 2)
        guests.held.clear()
        assert up.wait(60) == 0


def test_start_of_many_goes_in_the_order_of_the_fleet_and_only_so_many_at_a_time(user):
    user.write("instances: {server: {}, node: {count: 4, after: {server: ready}}}\n")
    with Reporters(user) as guests:
        user.up()
        user.do("down", "--fleet", "fleet")
        begun, guests.most, guests.held = len(guests.order), 0, {"server"}
        start = user.start("start", "--all", "-d", "--parallel", "2")
        wait_for("the server boots", lambda: guests.names()[begun:] == ["server"], 60)
        assert [user.states()[f"node-{n}"] for n in range(1, 5)] == ["stopped"] * 4
        guests.held = set()
        said, _ = start.communicate(timeout=60)
        assert start.returncode == 0 and "node-4: log in with: piagent ssh node-4" in said, said
        assert guests.most == 2
        user.do("powerdown", "node-1", "node-2", "node-3")
        begun = len(guests.order)
        user.do("start", "-d", "node-1", "node-2", "--parallel", "1")
        user.do("restart", "node-3", "node-1")
        assert guests.names()[begun:begun + 2] == ["node-1", "node-2"]
    assert set(user.states().values()) == {"ready"}


def test_several_ups_of_one_file_at_the_same_time_all_see_it_come_up(user):
    user.write("networks: {lab: {subnet: 10.201.9.0/24}}\n"
               "instances: {server: {network: 'lab,ip=10.201.9.9'}, node: {count: 4, network: lab, after: {server: ready}}}\n")
    with Reporters(user, held={"server"}) as guests:
        ups = [user.start_up() for _ in range(4)]
        wait_for("the server boots", lambda: guests.names() == ["server"], 60)
        guests.held = set()
        said = [up.communicate(timeout=60)[0] for up in ups]
    assert [up.returncode for up in ups] == [0] * 4, said
    assert all(text.endswith("fleet: 5 instances are ready\n") for text in said), said
    assert len(guests.order) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_run_again_it_goes_on(user, number):
    user.write(FLEET)
    with Reporters(user, held={"server"}) as guests:
        up = user.start_up()
        wait_for("the first one boots", lambda: guests.names() == ["server"], 60)
        up.send_signal(number)
        said, _ = up.communicate(timeout=60)
        assert up.returncode == (128 + number if number == signal.SIGINT else -number), said
        assert number == signal.SIGKILL or "lab: interrupted; what was begun goes on, and piagent up does the rest" in said
        assert [user.states()[name] for name in ("server", "node-1", "node-3")] == ["running", "stopped", "stopped"]
        uuid = user.status("node-2")["uuid"]
        guests.held.clear()
        assert user.up().endswith("lab: 4 instances are ready\n")
        assert guests.names()[0] == "server" and len(guests.names()) == 4 and user.status("node-2")["uuid"] == uuid


def test_an_up_that_is_killed_while_it_creates_goes_on_too(user):
    user.write("instances: {node: {count: 12}}\n")
    with Reporters(user):
        up = user.start_up()
        wait_for("some are there", lambda: user.ps(), 60, 0.02)
        up.kill()
        up.wait(60)
        assert user.up().endswith("lab: 12 instances are ready\n") or set(user.states().values()) == {"ready"}
    assert len(user.states()) == 12


def test_differences_are_told_and_made_good_only_when_asked(user):
    user.write("instances: {a: {}, b: {}, c: {}}\n")
    with Reporters(user):
        user.up()
        uuids = {name: user.status(name)["uuid"] for name in "ab"}
        user.write("instances: {a: {memory: 300M}, b: {}}\n")
        said = user.up()
        assert said.splitlines() == [
            f"a: memory is 256 MiB, the file says 300 MiB: 'piagent up -f {user.home}/fleet.yaml --recreate a' makes it anew, without its data",
            f"c is in the fleet fleet, and not in the file: 'piagent up -f {user.home}/fleet.yaml --prune' removes it",
            "fleet: nothing is done: 2 instances are there; 1 differs from the file"]
        said = user.up("--recreate", "a", "--prune")
        assert "a: is made anew, without its data, and started\nc: is powered off and removed\n" in said
    assert set(user.states()) == {"a", "b"}
    assert user.status("a")["memory_mib"] == 300
    assert user.status("a")["uuid"] != uuids["a"] and user.status("b")["uuid"] == uuids["b"]


def test_instances_of_an_entry_that_differ_alike_are_told_in_one_line(user):
    user.write("instances: {a: {count: 3}}\n")
    user.do("run", "--count", "3", "--no-start", "a", "--image", str(boot_sectors.deaf(user.home)), "--unverified", "--arch", "x86_64", "--accel",
            "tcg", "--memory", "300M", "--cpus", "1", "--disk", "1M")
    (user.home / "fleet.yaml").rename(user.home / "a.yaml")
    done = user.call("up", "-f", str(user.home / "a.yaml"), "--dry-run")
    assert done.stderr.splitlines() == [
        "a-1 to a-3: each is started",
        f"a-1 to a-3: memory is 300 MiB, the file says 256 MiB: 'piagent up -f {user.home}/a.yaml --recreate a' makes them anew, without their data"]


def test_labels_and_after_are_changed_while_the_instances_run(user):
    user.write("instances: {db: {}, node: {count: 2, label: [rack=b1, x=y]}}\n")
    with Reporters(user):
        user.up()
        before = [user.status(name)["pid"] for name in user.states()]
        user.write("instances: {db: {label: {disk: ssd}}, node: {count: 2, label: {rack: b2}, after: {db: ready}}}\n")
        plan = ["db: label is not set, the file says disk=ssd: that is changed",
                "node-1 to node-2: label is rack=b1, x=y, the file says rack=b2: that is changed",
                "node-1 to node-2: after is not set, the file says db=ready: that is changed"]
        assert user.up("--dry-run").splitlines() == plan
        assert user.status("db")["labels"] == []
        assert user.up().splitlines() == [*plan, "fleet: 3 instances are ready"]
        assert user.up() == "fleet: nothing is to be done: 3 instances are there\n"
        user.kill_agent()
        assert [user.status(name)["pid"] for name in user.states()] == before
        assert user.do("ps", "-q", "--label", "rack=b2").split() == ["node-1", "node-2"]
        assert user.call("down", "-f", str(user.home / "fleet.yaml")).returncode == 0
        user.write("instances: {db: {}, node: {count: 2}}\n")
        lines = user.call("up", "-f", str(user.home / "fleet.yaml"), "--dry-run", "--json").stdout.splitlines()
    assert [json.loads(line)["change"]["updates"] for line in lines] == [
        ["label is disk=ssd, the file says not set"],
        *[["label is rack=b2, the file says not set", "after is db=ready, the file says not set"]] * 2]
    stopped = {name: user.status(name)["stopped_ms"] for name in user.states()}
    assert max(stopped["node-1"], stopped["node-2"]) <= stopped["db"]


def test_an_agent_that_is_too_old_to_change_labels_is_named_and_the_others_go_on(user):
    user.write("instances: {a: {}}\n")
    with Reporters(user), relay(user, asked=lambda data: data.replace(b"/update", b"/unheard", 1)) as old:
        user.up()
        user.write("instances: {a: {label: {rack: b2}}, b: {}}\n")
        up = user.start("up", "-f", str(user.home / "fleet.yaml"), environment=old)
        said, _ = up.communicate(timeout=60)
    assert up.returncode == AGENT, said
    assert "piagent: a: label and after are not changed: the agent of this host is older than piagent " in said
    assert "fleet: 2 instances are ready" not in said
    assert user.states() == {"a": "ready", "b": "ready"}


def test_all_faults_of_a_file_and_of_what_it_names_are_told_and_nothing_happens(user):
    (user.home / "bad.yaml").write_text("#cloud-config\npackages: vim\nrunmcd: [ls]\n")
    (user.home / "key.pub").write_text("no key\n")
    user.do("run", "web", "--image", str(boot_sectors.deaf(user.home)), "--image-unverified", "--memory", "256M", "--disk", "1M",
            "--no-start")
    user.write("instances:\n"
               "  a: {memory: 100M, cpus: 0}\n"
               "  b: {user-data: bad.yaml, memroy: 1G}\n"
               "  c: {user-data: none.yaml, forward: 8080}\n"
               "  d: {ssh-key: key.pub}\n"
               "  web: {}\n"
               "  f: {label: {a: b c}, firmware: bios, arch: aarch64}\n"
               "  g:\n    forward: ['81:1', '82:2', '81:3']\n")
    said = user.up(code=USAGE).replace(f"{user.home}/", "")
    faults = said.splitlines()
    for begin, middle in [
            ("fleet.yaml:3: error: instances.a.memory: memory of 100 MiB is not from 256 MiB", ""),
            ("fleet.yaml:3: error: instances.a.cpus: '0' is not", "1"),
            ("fleet.yaml:4:28: error: instances.b.memroy: an unknown key", ""),
            ("       = did you mean memory?", ""),
            ("fleet.yaml:5: error: instances.c.user-data: cannot open none.yaml: No such file", ""),
            ("fleet.yaml:5: error: instances.c.forward: forward 8080 is not ADDRESS:HOSTPORT:GUESTPORT", ""),
            ("fleet.yaml:6: error: instances.d.ssh-key: key.pub", ""),
            ("fleet.yaml:7: error: instances.web: an instance web is there already, of no fleet", ""),
            ("fleet.yaml:8: error: instances.f.label: label a=b c", ""),
            ("fleet.yaml:8: error: instances.f.firmware: firmware bios: an aarch64", ""),
            ("fleet.yaml:10: error: instances.g.forward: forward 81:3: port 81 is forwarded already", ""),
            ("bad.yaml:2:", " error: packages: "),
            ("bad.yaml:3:1: warning: runmcd: ", ""),
            ("       = did you mean runcmd?", "")]:
        assert any(fault.startswith(begin) and middle in fault for fault in faults), f"{begin}\n{said}"
    assert faults[-1] == "piagent: fleet.yaml has 11 faults: nothing was changed"
    assert set(user.states()) == {"web"}
    assert [line.partition(" ")[2] for line in user.call("validate", str(user.home / "bad.yaml")).stdout.splitlines() if ": error: " in line
            ] == ["error: packages: " + line.partition("packages: ")[2] for line in faults if line.startswith("bad.yaml:2:")]


def test_faults_of_the_host_are_told_before_anything_is_made(user):
    foreign = "x86_64" if platform.machine() == "aarch64" else "aarch64"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        user.write("instances:\n"
                   f"  a:\n    forward: ['127.0.0.1:{port}:22', '192.0.2.1:8080:80']\n"
                   "    network: bridge=no-such\n"
                   "    unverified: false\n"
                   f"  b: {{arch: {foreign}, accel: kvm}}\n"
                   "  c: {disk: 1000}\n")
        said = user.up("--dry-run", code=HOST).replace(f"{user.home}/", "")
    for begin in (f"fleet.yaml:4: error: instances.a.forward: port 127.0.0.1:{port} is in use by another program",
                  "fleet.yaml:4: error: instances.a.forward: 192.0.2.1 is not an address of this host",
                  "fleet.yaml:5: error: instances.a.network: network bridge=no-such: this host has no bridge",
                  "fleet.yaml:1: error: defaults.image: deaf.raw has no published checksum: give the one of its origin with sha256: HEX, or take it as "
                  "it is with unverified: true",
                  "fleet.yaml:8: error: instances.c.disk: disk 1000 B is smaller than the image",
                  f"fleet.yaml:7: error: instances.b.accel: KVM runs guests of this host's own architecture only, not {foreign}: leave out accel, "
                  "or say accel: tcg"):
        assert f"\n{begin}" in f"\n{said}", f"{begin}\n{said}"
    assert user.ps() == []


def test_a_saved_instance_is_made_anew_and_removed_when_asked(user):
    user.write("instances: {a: {}, b: {}}\n")
    with Reporters(user):
        user.up()
        user.do("suspend", "a", "b")
        user.write("instances: {a: {}}\n")
        assert "b: removed\n" in user.up("--recreate", "a", "--prune")
        assert user.states() == {"a": "ready"}


def test_instances_that_are_after_each_other_are_not_started_and_that_is_told(user):
    user.write("instances: {a: {}, b: {after: {a: ready}}}\n")
    with Reporters(user):
        user.up()
        user.do("kill", "a", "b")
        assert user.api("POST", "/v1/instances/a/update", {"after": ["b=ready"]})[0] == 200
        done = user.call("start", "a", "b", "-d")
    assert done.returncode == CONFLICT and done.stderr.count("what it is after waits for it, too") == 2, done.stderr


def test_networks_are_made_and_a_fixed_address_is_kept_free_for_its_instance(user):
    user.write("networks: {lab: {subnet: 10.201.7.0/24}, other: {}}\n"
               "instances: {node: {count: 3, network: [lab, other]}, server: {network: 'lab,ip=10.201.7.2'}}\n")
    assert user.up("--dry-run").startswith("network lab: is created, 10.201.7.0/24\nnetwork other: is created\nnode-1 to node-3: ")
    assert user.api("GET", "/v1/networks")[1]["networks"] == []
    with Reporters(user):
        user.up()
        assert user.up() == "fleet: nothing is to be done: 4 instances are there\n"
    addresses = {name: user.status(name)["networks"][0] for name in user.states()}
    assert addresses["server"] == "lab,ip=10.201.7.2"
    assert sorted(addresses.values()) == [f"lab,ip=10.201.7.{n}" for n in (2, 3, 4, 5)]
    user.write("networks: {lab: {subnet: 10.201.8.0/24}}\ninstances: {new: {network: 'lab,ip=10.201.8.9'}}\n")
    assert "fleet.yaml:2: error: networks.lab.subnet: the network is there, and is 10.201.7.0/24" in user.up(code=USAGE)
    user.write("networks: {lab: {}}\ninstances: {new: {network: 'lab,ip=10.201.7.2'}}\n")
    assert "fleet.yaml:3: error: instances.new.network: the instance server has the address 10.201.7.2" in user.up(code=USAGE)


def test_a_fault_of_the_defaults_is_told_once(user):
    (user.home / "fleet.yaml").write_text("instances: {a: {}, b: {count: 2}, c: {memory: 1G}}\ndefaults: {memory: 1M}\n")
    assert user.up(code=USAGE).replace(f"{user.home}/", "").splitlines() == [
        "fleet.yaml:2: error: defaults.memory: memory of 1 MiB is not from 256 MiB to 1048576 MiB",
        "     2 | defaults: {memory: 1M}",
        "piagent: fleet.yaml has 1 fault: nothing was changed"]


def test_up_says_who_ended_an_instance_that_did_not_come_up(user):
    user.write("instances: {a: {}}\n")
    with Reporters(user, held={"a"}):
        up = user.start_up()
        wait_for("it boots", lambda: user.states().get("a") == "running", 60)
        user.do("kill", "a")
        said, _ = up.communicate(timeout=60)
    assert up.returncode == CONFLICT, said
    assert "a stopped before it was ready: another command ended its QEMU (piagent events a)" in said and "console" not in said, said


def test_down_stops_those_that_started_last_first(user):
    user.write("instances: {db: {}, app: {count: 2, after: {db: ready}}, web: {after: {app: ready}}}\n")
    with Reporters(user):
        user.up()
        user.do("down", "app-2", "--fleet", "fleet")
        assert user.states() == {"db": "ready", "app-1": "ready", "app-2": "stopped", "web": "ready"}
        assert "app-2: is started\n" in user.up()
        said = user.call("down", "-f", str(user.home / "fleet.yaml"))
    assert said.returncode == 0, said
    stopped = {name: user.status(name)["stopped_ms"] for name in user.states()}
    assert stopped["web"] <= min(stopped["app-1"], stopped["app-2"])
    assert max(stopped["app-1"], stopped["app-2"]) <= stopped["db"]
    assert set(user.states().values()) == {"stopped"}
    assert user.do("down", "--fleet", "fleet") == ""
    assert "nobody" in user.refused(NOT_FOUND, "down", "--fleet", "nobody")
    assert "'nobody'" in user.refused(NOT_FOUND, "down", "nobody", "--fleet", "fleet")


def test_progress_on_a_terminal_is_folded_and_counts_the_rest(user):
    user.write("instances: {node: {count: 9}}\n")
    with Reporters(user, held={f"node-{n}" for n in range(1, 10)}) as guests:
        terminal = pexpect.spawn(PIAGENT, ["up", "-f", str(user.home / "fleet.yaml"), "--parallel", "6"], env=user.env, timeout=60,
                                 encoding="utf-8", dimensions=(5, 100))
        terminal.expect(r"node-3: [^\n]*\n[^\n]*and 3 more; 3 to start, [0-9]+ starting, 0 ready")
        shown = terminal.before
        guests.held.clear()
        terminal.expect("fleet: 9 instances are ready")
        terminal.close()
    assert "made, and not started" not in shown + terminal.before


def test_json_is_one_line_for_each_change_and_event(user):
    user.write("instances: {a: {}, b: {after: {a: ready}}}\n")
    with Reporters(user):
        done = user.call("up", "-f", str(user.home / "fleet.yaml"), "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [line["change"] for line in lines[:2]] == [
        {"name": name, "in_file": True, "remove": False, "create": True, "start": True, "differences": [], "updates": []} for name in "ab"]
    states = [(line["name"], line["state"]) for line in lines[2:] if line["kind"] == "state"]
    assert states.index(("b", "stopped")) < states.index(("a", "ready")) < states.index(("b", "running"))
    (user.home / "fleet.yaml").write_text("instances: {A: {}}\n")
    done = user.call("up", "-f", str(user.home / "fleet.yaml"), "--json")
    first, last = (json.loads(line) for line in done.stderr.splitlines())
    assert (done.returncode, first["fault"]["line"], last["error"]["kind"]) == (USAGE, 1, "usage")


def test_up_goes_on_when_the_agent_is_killed(user):
    user.write("instances: {a: {count: 8}, b: {count: 3, after: {a: ready}}}\n")
    with Reporters(user, held={"a-1"}) as guests:
        up = user.start_up()
        for name in ("a-1", "a-3"):
            wait_for(f"{name} boots", lambda: name in guests.names(), 60)
            user.kill_agent()
        guests.held.clear()
        said, _ = up.communicate(timeout=60)
    assert up.returncode == 0 and said.endswith("fleet: 11 instances are ready\n"), said


def test_an_image_that_cannot_be_had_fails_its_instances_alone(user):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/none.raw"
        user.write(f"instances: {{a: {{}}, b: {{image: '{url}'}}, c: {{after: {{b: started}}}}}}\n")
        with Reporters(user):
            said = user.up(code=NETWORK)
    assert "c is not started: b, which it is after, did not come up" in said
    assert user.states() == {"a": "ready", "c": "stopped"}


def test_a_value_is_measured_by_those_of_its_own_instance(user):
    user.write("instances: {a: {memory: 512M, memory-max: 800M}, b: {memory: 2G, memory-max: 800M}}\n")
    said = user.up("--dry-run", code=USAGE)
    assert "instances.b.memory-max: memory-max of 800 MiB is not from 2304 MiB" in said and "instances.a" not in said, said


def test_more_memory_than_there_is_is_refused_unless_it_is_accepted(user):
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    user.write(f"instances: {{a: {{count: 3, memory: {most // 2}M}}}}\n")
    said = user.up(code=USAGE)
    assert "fleet.yaml:2: error: instances.a.memory: all instances together take up to " in said and ", with what QEMU itself takes for each, and this host has" in said
    assert user.up("--overcommit", "--dry-run") == "a-1 to a-3: each is created and started\n"


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f pi\n"


def with_a_free_port(example):
    """The check finds ports that are in use: those of an example may be, on this host."""
    return example.replace(":6443:", f":{free_port()}:")


@pytest.mark.parametrize("paper", ["README.md", "agent/cli/topics/fleet.txt"])
def test_the_examples_are_files_that_up_takes(user, paper):
    example = re.search(r"^ *# fleet.yaml\n(?:(?: .*|[a-z].*)\n)+", pathlib.Path(SOURCE, paper).read_text(), re.M)[0]
    (user.home / "fleet.yaml").write_text(with_a_free_port(textwrap.dedent(example)))
    (user.home / ".ssh").mkdir()
    for name in re.findall(r"[\w/.]+\.pub", example):
        (user.home / name.lstrip("/")).write_text(KEY)
    for name in ("server", "node"):
        (user.home / f"{name}.yaml").write_text("#cloud-config\npackages: [etcd]\n")
    assert user.up("--dry-run") == ("network lab: is created, 10.77.0.0/24\nserver: is created and started\n"
                                    "node-1 to node-3: each is created and started\n")


@pytest.mark.parametrize("example, plan", [
    ("k3s", "network lab: is created, 10.77.0.0/24\nserver: is created and started\nnode-1 to node-3: each is created and started\n"),
    ("etcd", "network lab: is created\nmember-1 to member-3: each is created and started\npi: is created and started\n")])
def test_the_examples_are_fleets_with_user_data_that_validates(user, example, plan):
    folder = shutil.copytree(pathlib.Path(SOURCE, "tests/examples", example), user.home / example)
    for arch in ("x86_64", "aarch64"):
        (folder / f"debian-{arch}.qcow2").symlink_to(boot_sectors.deaf(user.home))
    (folder / "fleet.yaml").write_text(with_a_free_port((folder / "fleet.yaml").read_text()))
    done = user.call("up", "-f", str(folder / "fleet.yaml"), "--dry-run", "--overcommit")
    assert (done.returncode, done.stderr) == (0, plan), done
    for file in folder.glob("*.yaml"):
        if file.name != "fleet.yaml":
            user.do("validate", str(file))
