# SPDX-License-Identifier: MIT
"""--isolate, packet by packet, and on a real QEMU: what gets out of an instance, and what is left when it ends."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import boot_sectors
import pytest
from piagent import FAILED, HOST, PIAGENT, User, fake_qemu, is_running, wait_for
from wire import PSH_ACK, SYN, Wire, own_address, ping, tcp, udp

IMDS = "10.0.2.4"


@pytest.fixture
def user():
    with User() as user:
        yield user


def listener(kind=socket.SOCK_STREAM):
    """On all of the host's addresses."""
    server = socket.socket(socket.AF_INET, kind)
    server.bind(("0.0.0.0", 0))
    if kind == socket.SOCK_STREAM:
        server.listen()
    return server, server.getsockname()[1]


def ask(wire, source, text):
    """A request of the guest to its IMDS, which says the text in capitals."""
    ack = wire.connect(IMDS, 80, source)
    wire.send(tcp(IMDS, 80, source, PSH_ACK, 1001, ack, text))
    served, _ = wire.imds.accept()
    with served:
        served.sendall(served.recv(1000).upper())
        while True:
            segment = wire.receive_for(source)
            if segment.data:
                return segment.data


def test_each_request_to_the_imds_is_a_connection_of_its_own_also_to_the_next_agent():
    with Wire() as wire:
        first, second = (wire.connect(IMDS, 80, source) for source in (40001, 40002))
        served = [wire.imds.accept()[0] for _ in range(2)]
        wire.send(tcp(IMDS, 80, 40002, PSH_ACK, 1001, second, b"two"))
        wire.send(tcp(IMDS, 80, 40001, PSH_ACK, 1001, first, b"one"))
        assert [connection.recv(10) for connection in served] == [b"one", b"two"]
        for connection in served:
            connection.close()
        wire.silence()
        wire.send(tcp(IMDS, 80, 40003, SYN, 1000))
        wire.listen()
        assert ask(wire, 40004, b"back?") == b"BACK?"


def test_nothing_else_on_this_host_or_beyond_it_is_reached():
    (web, web_port), (dns, dns_port) = listener(), listener(socket.SOCK_DGRAM)
    web.setblocking(False)
    dns.setblocking(False)
    with web, dns, Wire() as wire:
        for address in ("10.0.2.2", "10.0.2.3", IMDS, "127.0.0.1", own_address()):
            wire.send(tcp(address, web_port, 40001, SYN, 1000))
            wire.send(udp(address, dns_port, b"hello"))
        for port in (53, 69):
            wire.send(udp("10.0.2.3", port, b"\0\1config\0octet\0"))
        wire.send(ping("192.0.2.1"))
        # Packets are seen to in their order, and receive() takes no answer to any of these.
        assert ask(wire, 40002, b"alive") == b"ALIVE"
        for server in (web, dns):
            with pytest.raises(BlockingIOError):
                server.recvfrom(10) if server is dns else server.accept()


def test_a_forward_comes_in_and_its_answer_goes_out():
    probe, port = listener()
    probe.close()
    with Wire(f"127.0.0.1:{port}:8080") as wire, socket.create_connection(("127.0.0.1", port)) as client:
        syn = wire.receive_for(8080)
        assert (syn.source, syn.flags) == ("10.0.2.2", SYN)
        wire.send(tcp(syn.source, syn.source_port, 8080, 0x12, 7000, syn.seq + 1))
        wire.send(tcp(syn.source, syn.source_port, 8080, PSH_ACK, 7001, syn.seq + 1, b"hello"))
        client.settimeout(30)
        assert client.recv(10) == b"hello"


def test_the_network_ends_with_its_qemu_and_at_a_frame_that_qemu_never_sends():
    with Wire() as wire:
        network = wire.network_pid()
        wire.send(b"")
        wire.send(b"short")
        assert ask(wire, 40001, b"alive") == b"ALIVE"
        wire.link.sendall(struct.pack("!I", 1 << 20))
        wait_for("the network has ended", lambda: not is_running(network), 30)
    with Wire() as wire:
        network = wire.network_pid()
    wait_for("the network has ended", lambda: not is_running(network), 30)


def kinds_of_descriptors(pid):
    return {os.readlink(fd).partition(":")[0] for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir()}


def test_the_network_has_no_privilege_no_file_and_nothing_of_qemus():
    with Wire() as wire:
        assert ask(wire, 40001, b"alive") == b"ALIVE"
        proc = pathlib.Path(f"/proc/{wire.network_pid()}")
        status = (proc / "status").read_text()
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
        assert kinds_of_descriptors(wire.network_pid()) == {"/dev/null", "socket"}


@pytest.mark.parametrize("words", [[], ["relative.sock", "--", "/bin/true"], ["/run/x.sock", "80", "--", "/bin/true"],
                                   ["/run/x.sock", "--"]])
def test_words_that_make_no_network_are_refused(user, words):
    assert user.call("isolated", *words).returncode == 2


def test_a_port_that_is_taken_is_named(user):
    taken, port = listener()
    with taken:
        why = user.refused(FAILED, "isolated", "/run/x.sock", f"127.0.0.1:{port}:22", "--", "/bin/true")
    assert f"cannot listen on 127.0.0.1:{port}" in why and "in use" in why


def networks(user):
    return [pid for pid, words in user.processes().items() if words[1:2] == ["isolated"]]


def test_an_isolated_instance_has_its_network_beside_it_and_says_so(user):
    probe, port = listener()
    probe.close()
    instance = user.boot("box", boot_sectors.obedient(user.home), isolate=True, forwards=[f"127.0.0.1:{port}:80"])
    assert instance["isolate"]
    assert "isolated" in user.do("status", "box")
    command = user.do("qemu-command", "box")
    assert command.startswith(f"{PIAGENT} isolated {user.runtime}/imds.sock 127.0.0.1:{instance['ssh_port']}:22 "
                              f"127.0.0.1:{port}:80 -- /usr/bin/qemu-system-x86_64"), command
    assert "spawn=deny" in command and "user,id=net" not in command and "hostfwd" not in command
    assert f"http://{IMDS}/".encode() in (user.instances / "box/smbios.bin").read_bytes()
    for forwarded in (instance["ssh_port"], port):
        socket.create_connection(("127.0.0.1", forwarded), timeout=60).close()
    [network] = networks(user)
    assert kinds_of_descriptors(network) == {"/dev/null", "socket"}
    user.kill_agent()
    assert user.wait_state("box", "running", 30)["pid"] == instance["pid"]
    assert len(networks(user)) == 1
    os.kill(instance["pid"], signal.SIGKILL)
    user.wait_state("box", "lost", 30)
    wait_for("its network has ended", lambda: not networks(user), 30)
    user.do("rm", "box")
    user.nothing_left()


def test_a_network_that_ends_alone_is_told_and_a_start_gives_another_one(user):
    instance = user.boot("box", boot_sectors.deaf(user.home), isolate=True)
    told = "the guest's network has died: piagent powerdown box, then piagent start box"
    [network] = networks(user)
    os.kill(network, signal.SIGKILL)
    wait_for("it is told", lambda: user.status("box").get("reason") == told, 20)
    assert f"box: {told}" in user.do("ps") and user.state("box") == "running"
    assert len([text for text in user.texts("box") if "it has no connections" in text]) == 1
    user.kill_agent()  # the next one sees it as well
    wait_for("it is told", lambda: user.status("box").get("reason") == told, 20)
    user.do("kill", "box")
    assert user.api("POST", "/v1/instances/box/start", {})[0] == 202
    assert "reason" not in user.wait_state("box", "running", 30)
    socket.create_connection(("127.0.0.1", instance["ssh_port"]), timeout=60).close()
    user.kill_agent()
    [network] = networks(user)
    os.kill(network, signal.SIGKILL)  # while no agent runs
    wait_for("it is told", lambda: user.status("box").get("reason") == told, 20)


def test_a_network_that_ends_with_its_qemu_is_no_news(user):
    user.boot("box", boot_sectors.deaf(user.home), isolate=True)
    user.do("kill", "box")
    user.boot("lost", boot_sectors.deaf(user.home), isolate=True)
    os.kill(user.status("lost")["pid"], signal.SIGKILL)
    user.wait_state("lost", "lost", 20)
    time.sleep(2.5)
    assert not [text for name in ("box", "lost") for text in user.texts(name) if "its network" in text]


@pytest.fixture
def box():
    """An instance whose network is slow to end, and the port that it forwards."""
    with User(**fake_qemu()) as user:
        probe, port = listener()
        probe.close()
        instance = user.boot("box", boot_sectors.deaf(user.home), isolate=True, forwards=[f"127.0.0.1:{port}:80"])
        [network] = networks(user)
        os.kill(network, signal.SIGSTOP)
        yield user, instance, network, port
        with contextlib.suppress(ProcessLookupError):
            os.kill(network, signal.SIGCONT)


def test_a_start_waits_for_the_network_of_the_qemu_before(box):
    user, instance, network, _ = box
    user.do("kill", "box")
    assert user.api("POST", "/v1/instances/box/start", {})[1]["state"] == "starting"
    time.sleep(0.5)
    assert "pid" not in user.status("box")
    os.kill(network, signal.SIGCONT)
    assert user.wait_state("box", "running", 20)["ssh_port"] == instance["ssh_port"]


def test_a_fresh_start_under_tcg_waits_for_the_network_of_the_qemu_before(box):
    user, instance, network, _ = box
    user.tell_fake("box", "status=internal-error")
    user.kill_agent()
    path = user.instances / "box/record.json"
    record = json.loads(path.read_bytes())
    record.update(accel="kvm")
    record["spec"]["accel"] = "auto"
    path.write_text(json.dumps(record))
    (user.instances / "box/fake-qemu").unlink()
    user.do("ps")
    wait_for("its QEMU has ended", lambda: not is_running(instance["pid"]), 20)
    time.sleep(0.5)
    os.kill(network, signal.SIGCONT)
    anew = user.wait_state("box", "running", 20)
    assert anew["pid"] != instance["pid"] and anew["ssh_port"] == instance["ssh_port"] and "reason" not in anew, anew


def test_a_fresh_start_waits_for_the_network_of_a_qemu_that_no_agent_saw_end(box):
    user, instance, network, _ = box
    user.kill_agent()
    path = user.instances / "box/record.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "state": "starting", "rung": "kill", "relaunch": True}))
    os.kill(instance["pid"], signal.SIGKILL)
    wait_for("its QEMU has ended", lambda: not is_running(instance["pid"]), 20)
    user.do("ps")
    time.sleep(0.5)
    os.kill(network, signal.SIGCONT)
    anew = user.wait_state("box", "running", 20)
    assert anew["ssh_port"] == instance["ssh_port"] and "reason" not in anew, anew


def test_a_start_that_waits_for_ports_can_be_stopped_and_does_not_wait_for_ever(box):
    user, _, _, port = box
    user.do("kill", "box")
    assert user.api("POST", "/v1/instances/box/start", {})[1]["state"] == "starting"
    assert user.api("POST", "/v1/instances/box/kill", {})[0] == 202
    assert "reason" not in user.wait_state("box", "stopped", 5)
    assert f"port 127.0.0.1:{port} is in use" in user.refused(HOST, "start", "box", "-d")
    assert user.state("box") == "failed"


def test_an_instance_is_not_isolated_unless_asked(user):
    instance = user.boot("open", boot_sectors.deaf(user.home))
    assert not instance["isolate"] and not networks(user)
    assert "user,id=net" in user.do("qemu-command", "open")
    assert "isolated" not in user.do("status", "open")


def test_the_isolated_guests_imds_is_the_same_service(user):
    user.boot("box", boot_sectors.deaf(user.home), isolate=True)
    key = pathlib.Path(user.instances / "box/smbios.bin").read_bytes().partition(b"10.0.2.4/")[2][:32].decode()
    for path, status in ((key, "200"), ("0" * 32, "404")):
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket",
                               str(user.runtime / "imds.sock"), f"http://{IMDS}/{path}/meta-data"], stdout=subprocess.PIPE,
                              text=True, timeout=60, check=True)
        assert done.stdout == status
    assert any("meta-data fetched by curl" in event.get("text", "") for event in user.events("box"))
