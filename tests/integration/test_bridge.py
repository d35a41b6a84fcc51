# SPDX-License-Identifier: MIT
"""--network bridge=BR with the real qemu-bridge-helper, in a network and an /etc of the test's own. QEMU is the fake."""

import os
import pathlib
import shutil
import subprocess

import boot_sectors
import pytest
from piagent import HOST, User, fake_qemu, wait_for

HELPER = next((path for path in ["/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper"] if os.path.exists(path)), None)

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: only root may make a bridge"),
              pytest.mark.skipif(not HELPER, reason="cannot here: qemu-bridge-helper is not installed"),
              pytest.mark.skipif(not os.path.exists("/dev/net/tun"), reason="cannot here: this host has no tap devices")]

WORLD = 'mount --bind "$1" /etc && shift && ip link set lo up && ip link add br0 type bridge && ip link set br0 up && exec "$@"'


@pytest.fixture
def user():
    with User(**fake_qemu()) as one:
        one.etc = one.home / "etc"
        shutil.copytree("/etc", one.etc, symlinks=True, ignore_dangling_symlinks=True)
        (one.etc / "qemu").mkdir(exist_ok=True)
        (one.etc / "qemu/bridge.conf").write_text("allow br0\n")
        one.agent = one.start("agent", through=["unshare", "-mn", "sh", "-c", WORLD, "sh", str(one.etc)])
        wait_for("the agent is up", lambda: one.call("agent", "status").returncode == 0, 30)
        yield one


def inside(user, *command):
    return subprocess.run(["nsenter", "-n", "-t", str(user.agent.pid), *command], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


def run(user, name, network):
    return user.call("run", name, "--network", network, "--image", boot_sectors.deaf(user.home), "--unverified", "--arch", "x86_64",
                     "--accel", "tcg", "-d", "--timeout", "1s")


def test_an_instance_is_plugged_into_a_bridge_of_the_host_and_qemu_stays_in_its_sandbox(user):
    run(user, "a", "bridge=br0")
    pid = user.wait_state("a", "running")["pid"]
    taps = inside(user, "ip", "-o", "link", "show", "master", "br0")
    assert "tap" in taps, taps
    command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    netdev = next(word for word in command if word.startswith("tap,"))
    assert netdev == "tap,id=net0,fd=10" and os.readlink(f"/proc/{pid}/fd/10") == "/dev/net/tun"
    assert "spawn=deny" in " ".join(command)
    assert "bridged" in user.do("qemu-command", "a") and "bridge" in user.do("explain", "a")
    assert user.status("a")["networks"] == ["bridge=br0"]
    user.do("kill", "a")
    wait_for("the tap device is gone", lambda: "tap" not in inside(user, "ip", "-o", "link"), 20)


def test_what_a_bridge_lacks_is_said_before_anything_is_made(user):
    for network, conf, said in [("bridge=br9", "allow all\n", "no bridge named br9"), ("bridge=br0", "allow br1\n", 'the line "allow br0"'), ("bridge=br0", "", "allow br0")]:
        (user.etc / "qemu/bridge.conf").write_text(conf)
        done = run(user, "a", network)
        assert done.returncode == HOST and said in done.stderr, done.stderr
        assert not (user.instances / "a").exists()


def test_a_bridge_that_refuses_the_instance_fails_its_start_with_the_helpers_words(user):
    (user.etc / "qemu/bridge.conf").write_text("allow br0\ndeny br0\n")
    run(user, "a", "bridge=br0")
    reason = user.wait_state("a", "failed")["reason"]
    assert "bridge br0" in reason, reason
