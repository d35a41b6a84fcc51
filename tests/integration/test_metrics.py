# SPDX-License-Identifier: MIT
"""Metrics for Prometheus, checked with its own promtool: what they say of instances, and the port where they can be had."""

import os
import re
import json
import socket
import subprocess
import time
import urllib.request

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import USAGE, User, fake_qemu, free_port, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end

SAMPLE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def promtool(text):
    """Prometheus' parser and its rules for names, which prints what it finds."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def samples(text):
    """{(metric, labels): value}"""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            found[name, labels] = float(value)
    return found


def of(user, name, metric, *labels):
    return samples(user.do("metrics")).get((f"piagent_instance_{metric}", ",".join([f'name="{name}"', *labels])))


def scrape(port, request="GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
    """Head and body."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(request.encode())
        answer = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    return answer.partition("\r\n\r\n")[::2]


def listeners(pid, port):
    """The addresses where something listens at the port."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/{pid}/net/{name}", encoding="ascii").readlines()[1:]]
    found = {line[1].rpartition(":")[0] for line in lines if line[3] == "0A" and int(line[1].rpartition(":")[2], 16) == port}
    return {socket.inet_ntoa(bytes.fromhex(address)[::-1]) if len(address) == 8 else address for address in found}


def test_promtool_accepts_them_in_all_of_an_instances_life(user):
    promtool(user.do("metrics"))
    disk = boot_sectors.deaf(user.home)
    odd = user.home / 'a"b\\c.img'  # a label's value
    os.link(disk, odd)
    user.boot("box", str(odd), fleet={"name": "lab", "role": "node", "index": 1, "count": 1})
    promtool(user.do("metrics"))
    guest = Guest(user, "box")
    assert guest.send(f"GET /{guest.key}/meta-data HTTP/1.1\r\nHost: x\r\n\r\n".encode()) == 200
    boot_to_the_end(guest)
    user.wait_state("box", "ready")
    text = user.do("metrics")
    promtool(text)
    found = samples(text)
    assert found["piagent_instance_info", r'name="box",fleet="lab",role="node",arch="x86_64",accel="tcg",image="a\"b\\c.img"'] == 1
    assert found["piagent_instances", 'state="ready"'] == 1 and found["piagent_instances", 'state="running"'] == 0
    assert sum(value for (metric, _), value in found.items() if metric == "piagent_instance_state") == 1
    assert found["piagent_instance_state", 'name="box",state="ready"'] == 1
    box = {metric: value for (metric, labels), value in found.items() if labels == 'name="box"'}
    assert box["piagent_instance_up"] == box["piagent_instance_boots_total"] == box["piagent_instance_seed_requests_total"] == 1
    assert box["piagent_instance_reports_total"] == 6
    assert box["piagent_instance_memory_bytes"] == 256 << 20 and "piagent_instance_memory_limit_bytes" not in box
    status = user.status("box")
    assert box["piagent_instance_boot_duration_seconds"] == pytest.approx((status["ready_ms"] - status["boot_ms"]) / 1000)
    with open(f"/proc/{status['pid']}/stat", encoding="ascii") as stat:
        resident = int(stat.read().split()[23]) * os.sysconf("SC_PAGESIZE")
    assert box["piagent_instance_resident_memory_bytes"] == pytest.approx(resident, rel=0.5)
    assert box["piagent_instance_disk_allocated_bytes"] == os.stat(user.instances / "box/disk.qcow2").st_blocks * 512
    console = user.console("box")
    assert box["piagent_instance_console_bytes_total"] == len(console) > 0
    user.do("kill", "box")
    text = user.do("metrics")
    promtool(text)
    assert of(user, "box", "up") == 0 and of(user, "box", "cpu_seconds_total") is None
    user.do("rm", "box")
    assert "box" not in user.do("metrics")


def own_memory_bytes(pid):
    lines = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status", encoding="ascii"))
    return sum(int(lines[key].split()[0]) for key in ("RssAnon", "RssShmem", "VmPTE")) << 10


def test_the_memory_that_an_instance_takes_of_the_host_is_shown(user):
    user.boot("box", boot_sectors.deaf(user.home))
    instance = user.status("box")
    taken = own_memory_bytes(instance["pid"])
    assert instance["host_memory_bytes"] == pytest.approx(taken, rel=0.5)
    assert of(user, "box", "host_memory_bytes") == pytest.approx(taken, rel=0.5)
    head, row = (line.split() for line in user.do("ps").splitlines())
    assert head[5:7] == ["MEMORY", "USED"] and row[5:7] == ["256", "MiB"], row
    assert float(row[7]) * {"KiB": 1 << 10, "MiB": 1 << 20}[row[8]] == pytest.approx(taken, rel=0.5)
    assert f"process {instance['pid']}, {row[7]} {row[8]} of the host's memory\n" in user.do("status", "box")
    # What it may still take: 256 MiB, 128 for QEMU and 128 of translated code, less what it has.
    assert user.api("GET", "/v1/agent")[1]["memory_promised_mib"] == pytest.approx(512 - (taken >> 20), abs=1 + (taken >> 21))
    assert user.api("GET", "/v1/agent?summary=1")[1]["memory_promised_mib"] == 0
    user.do("kill", "box")
    assert "host_memory_bytes" not in user.status("box") and of(user, "box", "host_memory_bytes") is None
    assert user.do("ps", "-a").splitlines()[1].split()[7] == "-"
    assert user.api("GET", "/v1/agent")[1]["memory_promised_mib"] == 0


def test_counters_only_grow_while_the_agent_lives_and_begin_anew_with_the_next(user):
    user.boot("box", boot_sectors.deaf(user.home))
    user.do("reset", "box")
    wait_for("it boots again", lambda: of(user, "box", "boots_total") == 2, 20)
    user.do("kill", "box")
    user.api("POST", "/v1/instances/box/start", {})
    wait_for("it boots a third time", lambda: of(user, "box", "boots_total") == 3, 20)
    user.kill_agent()
    assert of(user, "box", "boots_total") == 0 and of(user, "box", "up") == 1


def test_downloads_are_counted_and_once_though_two_instances_want_the_image(user):
    image = Image("x86_64", boot_sectors.deaf(user.home))
    with FedoraServer([image]) as fedora, User(**fake_qemu(), **fedora.env) as other:
        for name in ("one", "two"):
            other.create(name, accel="tcg", memory_mib=256, disk_bytes=1 << 20,
                         environment=[f"{key}={value}" for key, value in fedora.env.items() if key.startswith("PIAGENT_FEDORA")])
            other.wait_state(name, "running")
        assert samples(other.do("metrics"))["piagent_image_downloaded_bytes_total", None] == image.size


def test_nothing_but_the_metrics_is_served_at_the_port_that_was_asked_for(user):
    port = free_port()
    agent = user.start("agent", "--metrics", f"127.0.0.1:{port}")
    wait_for("the agent is up", lambda: user.call("agent", "status").returncode == 0, 30)
    head, body = scrape(port)
    assert head.startswith("HTTP/1.1 200") and "Content-Type: text/plain; version=0.0.4\r\n" in head + "\r\n"
    promtool(body)
    assert ("process_open_fds", None) in samples(body)
    assert scrape(port, "HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[1] == ""
    for path in ("/", "/v1/metrics", "/v1/instances", "/metrics/", "/v1/agent"):
        assert scrape(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")[0].startswith("HTTP/1.1 404")
    for method in ("POST", "DELETE", "PUT"):
        head, _ = scrape(port, f"{method} /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        assert head.startswith("HTTP/1.1 405") and "Allow: GET" in head
    assert "127.0.0.1" in listeners(agent.pid, port) and len(listeners(agent.pid, port)) == 1


def test_the_variable_asks_for_the_port_also_of_an_agent_that_a_command_starts():
    port = free_port()
    with User(PIAGENT_METRICS=str(port)) as user:
        user.do("ps")
        assert scrape(port)[0].startswith("HTTP/1.1 200")


def test_an_agent_whose_metrics_port_is_taken_runs_says_so_and_tries_again():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        why = f"another program listens at 127.0.0.1:{port}"
        with User(PIAGENT_METRICS=str(port)) as user:
            user.do("ps")
            assert f"no metrics: {why}; choose another port" in user.log()
            assert f"metrics at http://127.0.0.1:{port}/metrics: not yet: {why}" in user.do("agent", "status")
            checks = json.loads(user.call("doctor", "--offline", "--json").stdout)["checks"]
            found, = (check for check in checks if check["id"] == "agent")
            assert found["verdict"] == "warn" and why in found["text"] and "PIAGENT_METRICS" in found["remedy"]
            holder.close()
            wait_for("it has the port", lambda: f"metrics at http://127.0.0.1:{port}/metrics" in user.log(), 60)
            assert scrape(port)[0].startswith("HTTP/1.1 200")
            assert user.api("GET", "/v1/agent")[1].get("metrics_failure") is None
            assert user.log().count("no metrics") == 1


def test_connections_that_send_half_a_request_keep_others_out_no_longer_than_they_are_there():
    port = free_port()
    with User(PIAGENT_METRICS=str(port), **fake_qemu()) as user:
        user.do("ps")
        half = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(16)]
        for one in half:
            one.sendall(b"GET /metrics HTTP/1.1\r\nHost")
        time.sleep(0.3)
        for one in half:
            one.close()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert b"piagent_instances" in answer.read()


@pytest.mark.parametrize("address", ["0.0.0.0:9464", "[::1]:9464", "localhost", "127.0.0.1:0", "127.0.0.1:65536", "10.0.0.1:80", ""])
def test_metrics_are_at_no_other_address_than_loopback(user, address):
    assert "is not a port of 127.0.0.1" in user.refused(USAGE, "agent", "--metrics", address)
