# SPDX-License-Identifier: MIT
"""A guest with --isolate, whose root does all it can to get out: it reaches its own seed and nothing else, and is reached."""

import json
import socket
import urllib.request

import pytest
from piagent import User, free_port, guest_image, wait_for
from wire import own_address

BOOT = 600
IMDS = "10.0.2.4"

# In the guest: which addresses (words TCP:ADDRESS:PORT, UDP:ADDRESS:PORT) answer. Its own network refuses, in their stead.
PROBE = """
import socket, sys
for word in sys.argv[1:]:
    kind, address, port = word.split(":")
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "TCP" else socket.SOCK_DGRAM)
    s.settimeout(6)
    try:
        s.connect((address, int(port)))
        if kind == "UDP":
            s.send(bytes.fromhex("000101000001000000000000" "07" "6578616d706c65" "03" "636f6d" "00" "0001" "0001"))
            s.recv(1)
        print(word)
    except OSError:
        pass
"""


@pytest.fixture
def service():
    """A listener on all of the host's addresses; nobody comes."""
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen()
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


def check_reach(user, service, imds_port):
    """libslirp gives an isolated guest no route out; its root makes one."""
    user.ssh("box", "sudo ip route add default via 10.0.2.2; true")
    outside = [f"TCP:10.0.2.2:{service}", f"TCP:10.0.2.2:{imds_port}", f"TCP:10.0.2.4:{imds_port}", "TCP:10.0.2.3:53",
               "UDP:10.0.2.3:53", f"TCP:{own_address()}:{service}", "TCP:192.0.2.77:80", "UDP:192.0.2.77:53"]
    words = " ".join([f"TCP:{IMDS}:80", *outside])
    assert user.ssh("box", f"python3 - {words} <<'END'\n{PROBE}\nEND").split() == [f"TCP:{IMDS}:80"]


def check_seeds(user, key):
    answers = user.ssh("box", f"for key in {key} {'0' * 32} {key[:-1]}x; do "
                              f"curl -s -o /dev/null -w '%{{http_code}}\\n' http://{IMDS}/$key/meta-data; done")
    assert answers.split() == ["200", "404", "404"]


def check_forward(user, port):
    user.ssh("box", "sudo systemd-run -q --unit web python3 -m http.server -d /etc 8000; "
                    "until curl -s http://127.0.0.1:8000/hostname; do sleep 1; done")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/hostname", timeout=30) as answer:
        assert answer.read().decode().strip() == "box"


def reboot(user):
    boot = user.ssh("box", "cat /proc/sys/kernel/random/boot_id")
    user.call("ssh", "box", "--", "sudo reboot")
    wait_for("the reboot is seen", lambda: user.state("box") == "running", 120)
    user.wait_ready("box", BOOT)
    assert user.ssh("box", "cat /proc/sys/kernel/random/boot_id") != boot


def test_an_isolated_guest_reaches_its_seed_and_nothing_else(service):
    image, forward = guest_image("x86_64"), free_port()
    with User() as user:
        user.do("run", "box", "--isolate", "--image", image, "--image-unverified", "--memory", "512M", "--forward",
                f"{forward}:8000", "-d", timeout=BOOT)
        instance = user.status("box")
        assert instance["state"] == "ready" and instance["cloud_init"] == "done" and instance["isolate"]
        record = json.loads((user.instances / "box/record.json").read_text())
        imds_port = user.api("GET", "/v1/agent")[1]["imds_port"]
        check_reach(user, service, imds_port)
        check_forward(user, forward)
        check_seeds(user, record["key"])

        user.kill_agent()
        with urllib.request.urlopen(f"http://127.0.0.1:{forward}/hostname", timeout=60) as answer:
            assert answer.read().decode().strip() == "box"
        assert user.wait_state("box", "ready", 60)["pid"] == instance["pid"]
        check_seeds(user, record["key"])
        reboot(user)
        check_reach(user, service, imds_port)
        user.do("powerdown", "box", timeout=300)
        assert user.status("box")["stopped_by"] == "powerdown"
        assert not [words for words in user.processes().values() if "isolated" in words]
