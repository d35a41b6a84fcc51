# SPDX-License-Identifier: MIT
"""Networks that instances share: made, joined, carried by a switch that the agent starts, tells, restarts and ends. QEMU is
the fake, whose cards are real."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import CONFLICT, HOST, NOT_FOUND, USAGE, User, fake_qemu, is_running, wait_for


@pytest.fixture
def user():
    with User(**fake_qemu()) as one:
        one.do("ps")
        yield one


def frame(source, to, text):
    """An IPv4 frame from one address to another, as hexadecimal digits."""
    def mac(address):
        return b"\x52\x54" + socket.inet_aton(address)
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(text), 0, 0, 64, 253, 0, socket.inet_aton(source), socket.inet_aton(to))
    return (mac(to) + mac(source) + b"\x08\x00" + ip + text).hex()


def boot(user, name, *networks, **more):
    return user.boot(name, boot_sectors.deaf(user.home), networks=list(networks), **more)


def heard(user, name):
    with contextlib.suppress(FileNotFoundError):
        return (user.instances / name / "frames").read_text().split()
    return []


def send(user, name, digits):
    user.tell_fake(name, f"frame={digits}")


def carries(user, source, to, text):
    """Whether a frame arrives, of these two (name, address); it is sent until it does."""
    digits = frame(source[1], to[1], text)

    def arrived():
        send(user, source[0], digits)
        return digits in heard(user, to[0])
    wait_for(f"{to[0]} hears {source[0]}", arrived, 30)


def network(user, name="lab"):
    return json.loads(user.do("network", "status", name, "--json"))


def switch(user, name="lab"):
    return wait_for("its switch runs", lambda: network(user, name).get("switch_pid"), 30)


def note_switch(sockets, pid):
    """As an agent notes which process is the switch."""
    note = sockets / "switch.json"
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    note.write_text(json.dumps({**json.loads(note.read_text()), "pid": pid, "start_ticks": ticks}))


A, B = ("a", "10.77.5.2"), ("b", "10.77.5.3")


@pytest.fixture
def pair(user):
    """Two instances in the network lab that hear each other."""
    user.do("network", "create", "lab", "--subnet", "10.77.5.0/24")
    boot(user, "a", "lab")
    boot(user, "b", "lab")
    carries(user, A, B, b"first")
    return user


def test_a_network_is_made_listed_and_removed(user):
    assert "10.77." in user.do("network", "create", "one")
    user.do("network", "create", "two", "--subnet", "192.168.77.0/28")
    listed = json.loads(user.do("network", "ls", "--json"))["networks"]
    assert [(one["name"], one["members"]) for one in listed] == [("one", []), ("two", [])]
    assert (listed[1]["subnet"], listed[1]["gateway"]) == ("192.168.77.0/28", "192.168.77.1")
    assert "192.168.77.0/28" in user.do("network", "ls")
    user.do("network", "rm", "one", "two")
    assert json.loads(user.do("network", "ls", "--json"))["networks"] == []
    assert not list((user.home / "data/piagent/networks").iterdir())


@pytest.mark.parametrize(("code", "words", "said"), [
    (USAGE, ["x", "--subnet", "10.1.1.1/24"], "10.1.1.0/24"),
    (USAGE, ["x", "--subnet", "8.8.8.0/24"], "not private"),
    (USAGE, ["x" * 33], "at most 32"),
    (USAGE, ["X"], "X"),
    (CONFLICT, ["x", "--subnet", "10.0.2.0/24"], "first interface"),
    (CONFLICT, ["x", "--subnet", "10.77.0.0/16"], "network lab"),
    (CONFLICT, ["lab"], "already"),
])
def test_a_network_that_cannot_be_is_refused(user, code, words, said):
    user.do("network", "create", "lab", "--subnet", "10.77.9.0/24")
    assert said in user.refused(code, "network", "create", *words)
    assert len(json.loads(user.do("network", "ls", "--json"))["networks"]) == 1


def test_default_subnets_differ_and_are_none_of_the_hosts(user):
    routes = [line.split() for line in pathlib.Path("/proc/net/route").read_text().splitlines()[1:]]
    taken = {socket.inet_ntoa(struct.pack("=I", int(route[1], 16))) for route in routes}
    subnets = [json.loads(user.do("network", "create", f"n{i}", "--json"))["subnet"] for i in range(3)]
    assert len(set(subnets)) == 3 and not taken & {subnet.partition("/")[0] for subnet in subnets}


def test_a_damaged_record_that_is_a_folder_is_removed_if_it_is_empty(user):
    user.do("agent", "stop")
    folder = user.home / "data/piagent/networks/lab.json"
    (folder / "mine").mkdir(parents=True)
    assert "is a folder, and not empty" in user.refused(CONFLICT, "network", "rm", "lab")
    (folder / "mine").rmdir()
    user.do("network", "rm", "lab")
    assert not folder.exists()
    user.do("network", "create", "lab")


def test_members_get_addresses_that_stay_theirs(user):
    user.do("network", "create", "lab", "--subnet", "10.77.5.0/29")
    disk = boot_sectors.deaf(user.home)

    def create(name, *networks):
        status, answer = user.create(name, image=disk, image_unverified=True, arch="x86_64", accel="tcg", networks=list(networks))
        return answer["networks"] if status == 202 else (status, answer["error"]["message"])
    assert create("a", "lab") == ["lab,ip=10.77.5.2"]
    assert create("b", "lab,ip=10.77.5.4") == ["lab,ip=10.77.5.4"]
    assert create("c", "lab") == ["lab,ip=10.77.5.3"]
    for networks, said in [(["lab,ip=10.77.5.3"], "address of c"), (["lab,ip=10.77.6.3"], "not in the subnet"), (["lab,ip=10.77.5.1"], "network's own"),
                           (["lab,ip=10.77.5.7"], "last address"), (["lab,ip=x"], "not an IPv4 address"), (["lab,x"], "only ip=ADDRESS"), (["lab", "lab"], "once"), (["../x"], "../x"),
                           (["lub"], "piagent network create lub"), ([f"n{i}" for i in range(9)], "at most 8")]:
        status, message = create("d", *networks)
        assert status >= 400 and said in message, message
        assert user.api("GET", "/v1/instances/d")[0] == 404 and not (user.instances / "d").exists()
    assert create("d", "lab") == ["lab,ip=10.77.5.5"]
    assert create("e", "lab") == ["lab,ip=10.77.5.6"]
    assert "in use" in create("f", "lab")[1]
    for name in "abcde":
        user.wait_state(name, "running")
    user.do("kill", "c")
    user.do("rm", "c")
    assert create("f", "lab") == ["lab,ip=10.77.5.3"]
    user.wait_state("f", "running")
    assert user.status("b")["networks"] == ["lab,ip=10.77.5.4"]


def test_a_network_with_members_stays(pair):
    assert "members (" in pair.refused(CONFLICT, "network", "rm", "lab")
    for name in "ab":
        pair.do("kill", name)
    said = pair.refused(CONFLICT, "network", "rm", "lab")
    assert "piagent rm" in said and "and more" not in said
    for name in "ab":
        pair.do("rm", name)
    pair.do("network", "rm", "lab")
    assert not (pair.runtime / "lan/lab").exists()


def test_members_hear_each_other_and_status_counts(pair):
    carries(pair, B, A, b"back")
    members = network(pair)["members"]
    assert [(one["name"], one["address"], one["mac"], one["state"]) for one in members] == [
        ("a", "10.77.5.2", "52:54:0a:4d:05:02", "running"), ("b", "10.77.5.3", "52:54:0a:4d:05:03", "running")]
    assert members[1]["sent_frames"] >= 1 and members[1]["sent_bytes"] > 30 and members[0]["received_frames"] >= 1
    shown = pair.do("network", "status", "lab")
    assert "10.77.5.3" in shown and "52:54:0a:4d:05:03" in shown and "process" in shown
    assert "10.77.5.2" in pair.do("status", "a")
    send(pair, "a", frame("10.77.5.9", "10.77.5.3", b"not my address"))
    send(pair, "a", "333300000001" + "52540a4d0502" + "86dd" + "00" * 40)
    wait_for("both are counted, each as what it is", lambda: [network(pair)["members"][0].get(key) for key in ("refused", "ipv6")] == [1, 1], 20)


def test_another_network_hears_nothing(pair):
    pair.do("network", "create", "other")
    boot(pair, "stranger", "other")
    send(pair, "a", frame(A[1], B[1], b"for b alone"))
    broadcast = "ff" * 6 + frame(A[1], B[1], b"for all")[12:]

    def arrived():
        send(pair, "a", broadcast)
        return broadcast in heard(pair, "b")
    wait_for("b hears it", arrived, 20)
    assert heard(pair, "stranger") == []


def test_an_agent_that_is_killed_changes_nothing_for_the_members(pair):
    process, qemu = switch(pair), pair.status("a")["pid"]
    pair.kill_agent()
    digits = frame(A[1], B[1], b"no agent")
    pair.tell_fake("a", f"frame={digits}", qemu)
    wait_for("b hears a", lambda: digits in heard(pair, "b"), 20)
    pair.do("ps")
    assert switch(pair) == process
    carries(pair, B, A, b"the next agent")
    boot(pair, "c", "lab")
    carries(pair, ("c", "10.77.5.4"), A, b"who came later")


@pytest.mark.parametrize("how", ["stop", "signal"])
def test_an_agent_that_ends_with_work_under_way_leaves_the_switch_alone(pair, how):
    process = switch(pair)
    with FedoraServer([Image("x86_64", boot_sectors.obedient(pair.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        pair.env.update(fedora.env)
        command = pair.start("run", "half", "--arch", "x86_64", "--network", "lab", "-d")
        wait_for("it downloads", lambda: any(path.startswith("/mirror/") for path in fedora.requests), 30)
        agent = pair.agent_pid()
        if how == "stop":
            pair.do("agent", "stop", "--force")
        else:
            os.kill(agent, signal.SIGTERM)
        wait_for("the agent is gone", lambda: not is_running(agent), 30)
        command.communicate(timeout=60)
    assert is_running(process)
    carries(pair, A, B, b"the next agent")
    assert switch(pair) == process


def test_a_switch_that_is_killed_costs_a_pause(pair):
    process = switch(pair)
    os.kill(process, signal.SIGKILL)
    carries(pair, A, B, b"again")
    carries(pair, B, A, b"both ways")
    assert switch(pair) != process
    assert "has ended: killed by SIGKILL" in pair.log()


def test_a_switch_that_dies_while_no_agent_runs_is_replaced_by_the_next(pair):
    process = switch(pair)
    pair.kill_agent()
    os.kill(process, signal.SIGKILL)
    wait_for("it is gone", lambda: not is_running(process), 10)
    pair.do("ps")
    carries(pair, A, B, b"again")


def test_the_switch_ends_with_its_last_member_and_comes_back_with_the_next_start(pair):
    process = switch(pair)
    os.kill(process, signal.SIGSTOP)  # also one that hangs
    for name in "ab":
        pair.do("kill", name)
    wait_for("the switch has ended", lambda: not is_running(process), 20)
    assert "switch_pid" not in network(pair)
    for name in "ab":
        assert pair.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
        pair.wait_state(name, "running")
    assert pair.status("a")["networks"] == ["lab,ip=10.77.5.2"]
    carries(pair, A, B, b"again")


def test_a_damaged_record_is_told_and_harms_no_other(pair):
    pair.do("network", "create", "other")
    pair.do("agent", "stop")
    record = pair.home / "data/piagent/networks/lab.json"
    whole = record.read_text()
    for damaged in ["", "{", '{"name": "lab"}', '{"name": "lab", "subnet": "1.2.3.0/24"}', whole.replace('"lab"', '"bal"')]:
        record.write_text(damaged)
        pair.do("ps")
        lab, other = json.loads(pair.do("network", "ls", "--json"))["networks"]
        assert (lab["name"], other["name"]) == ("lab", "other") and "damaged" in lab["reason"] and "reason" not in other
        assert "damaged" in pair.do("network", "ls")
        assert "already" in pair.refused(CONFLICT, "network", "create", "lab")
        status, answer = pair.create("c", networks=["lab"])
        assert status == 409 and "damaged" in answer["error"]["message"]
        pair.do("agent", "stop")
    record.write_text(whole)
    pair.do("ps")
    carries(pair, A, B, b"again")


def test_a_record_that_comes_back_when_its_address_is_given_on_takes_the_network_from_nobody(pair):
    boot(pair, "c", "lab")
    pair.do("kill", "c")
    pair.do("agent", "stop")
    record = pair.instances / "c/record.json"
    whole = record.read_text()
    record.write_text("{")
    pair.do("ps")
    boot(pair, "d", "lab")
    assert pair.status("d")["networks"] == ["lab,ip=10.77.5.4"]
    pair.do("agent", "stop")
    record.write_text(whole)
    pair.do("ps")
    wait_for("c says why", lambda: "d has the address 10.77.5.4" in pair.status("c").get("reason", ""), 20)
    assert "piagent rm d" in pair.refused(CONFLICT, "start", "-d", "c")
    os.kill(switch(pair), signal.SIGKILL)
    carries(pair, A, ("d", "10.77.5.4"), b"again")
    pair.do("rm", "--force", "d")
    pair.do("kill", "b")
    wait_for("c says so no more", lambda: "reason" not in pair.status("c"), 20)
    assert pair.api("POST", "/v1/instances/c/start", {})[0] == 202
    pair.wait_state("c", "running")
    carries(pair, A, ("c", "10.77.5.4"), b"its own again")


def test_a_folder_in_place_of_a_members_socket_keeps_it_from_nothing(pair):
    sockets = pair.runtime / "lan/lab"
    for name in ("c.in", "c.qemu"):
        (sockets / name / "deep").mkdir(parents=True)
    boot(pair, "c", "lab")
    carries(pair, ("c", "10.77.5.4"), A, b"all the same")
    for ending, said in [("", None), ("deep", "c.in")]:
        (sockets / "c.in").unlink()
        (sockets / "c.in" / ending).mkdir(parents=True)
        os.kill(switch(pair), signal.SIGKILL)
        carries(pair, A, B, b"the others are heard" + ending.encode())
        if said:
            wait_for("c says why", lambda: said in pair.status("c").get("reason", ""), 20)
            assert "the switch of the network lab: " in pair.log()
        else:
            carries(pair, ("c", "10.77.5.4"), A, b"an empty one is removed")
            assert "reason" not in pair.status("c")


OLD_SWITCH = """
import socket
agent = socket.socket(fileno=0).accept()[0]
for request in agent.makefile():
    agent.sendall(b'{"error": "plan: there is no key named prefix"}\\n')
"""


def test_a_switch_of_an_earlier_agent_that_refuses_its_plan_is_replaced_once(pair):
    sockets, process = pair.runtime / "lan/lab", switch(pair)
    pair.kill_agent()
    os.kill(process, signal.SIGKILL)
    wait_for("it is gone", lambda: not is_running(process), 10)
    for name in ("control", "a.in"):
        (sockets / name).unlink()
    (sockets / "a.in/deep").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(sockets / "control"))
        listening.listen()
        old = subprocess.Popen([sys.executable, "-c", OLD_SWITCH], cwd=sockets, stdin=listening)
    try:
        note_switch(sockets, old.pid)
        pair.do("ps")
        wait_for("the old one is gone", lambda: old.poll() is not None, 20)
    finally:
        old.kill()
    wait_for("the new one refuses, too", lambda: "a.in" in pair.status("a").get("reason", ""), 20)
    process = switch(pair)
    shutil.rmtree(sockets / "a.in")
    boot(pair, "c", "lab")
    carries(pair, A, B, b"by the new one")
    assert switch(pair) == process and pair.log().count("which an earlier agent started, is replaced") == 1


def test_a_process_that_is_no_switch_is_left_alone_whatever_the_note_says(pair):
    real = switch(pair)
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        try:
            pair.kill_agent()
            note_switch(pair.runtime / "lan/lab", bystander.pid)
            pair.do("ps")
            assert switch(pair) not in (bystander.pid, real)
            carries(pair, A, B, b"by a new one")
            for name in "ab":
                pair.do("kill", name)
            wait_for("its switch has ended", lambda: "switch_pid" not in network(pair), 20)
            assert bystander.poll() is None
            assert f"process {bystander.pid} is not its switch" in pair.log()
        finally:
            bystander.kill()
            os.kill(real, signal.SIGKILL)


def test_an_instance_whose_network_is_gone_does_not_start(pair):
    for name in "ab":
        pair.do("kill", name)
    pair.do("agent", "stop")
    (pair.home / "data/piagent/networks/lab.json").unlink()
    assert "network create lab" in pair.refused(NOT_FOUND, "start", "-d", "a")
    pair.do("network", "create", "lab", "--subnet", "10.99.0.0/24")
    assert "10.77.5.2 is not in the subnet" in pair.refused(USAGE, "start", "-d", "a")


def test_a_qemu_that_is_too_old_is_refused_with_the_reason():
    with User(**fake_qemu("netdev=old")) as user:
        user.do("network", "create", "lab")
        done = user.call("run", "a", "--network", "lab", "--image", boot_sectors.deaf(user.home), "--unverified", "-d")
        assert done.returncode == HOST and "QEMU 7.2" in done.stderr
        assert not (user.instances / "a").exists()
        user.do("network", "rm", "lab")


def test_the_real_qemu_of_either_architecture_is_a_member():
    with User() as user:
        user.do("network", "create", "lab")
        for name, arch in (("x86", "x86_64"), ("arm", "aarch64")):
            user.do("run", name, "--arch", arch, "--accel", "tcg", "--memory", "256M", "--network", "lab", "--no-start",
                    "--image", boot_sectors.deaf(user.home), "--unverified")
            user.api("POST", f"/v1/instances/{name}/start", {})
            user.wait_state(name, "running")
        user.do("kill", "--all")


def test_nobody_else_may_enter_the_folder_of_the_sockets(pair):
    for folder in [pair.runtime, pair.runtime / "lan", pair.runtime / "lan/lab"]:
        assert folder.stat().st_mode & 0o777 == 0o700, folder


def test_members_that_come_after_the_sockets_were_taken_away_hear_each_other(pair):
    shutil.rmtree(pair.runtime / "lan")
    boot(pair, "c", "lab")
    boot(pair, "d", "lab")
    carries(pair, ("c", "10.77.5.4"), ("d", "10.77.5.5"), b"in the new folder")
    assert "taken away" in pair.log()
    for name in "ab":
        pair.do("kill", name)
        assert pair.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
        pair.wait_state(name, "running")
    carries(pair, A, ("c", "10.77.5.4"), b"and those that start anew")


def test_a_switch_that_hangs_is_replaced(pair):
    process = switch(pair)
    os.kill(process, signal.SIGSTOP)
    status, answer = pair.api("GET", "/v1/networks/lab", timeout=40)
    assert status == 200 and answer["members"][0]["name"] == "a"
    wait_for("it is gone", lambda: not is_running(process), 40)
    carries(pair, A, B, b"again")
