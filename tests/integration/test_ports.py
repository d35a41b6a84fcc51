# SPDX-License-Identifier: MIT
"""Which port of this host an instance's SSH server gets, in a network namespace in which there are few."""

import os
import subprocess
import sys

import boot_sectors
import pytest
from piagent import User, fake_qemu, wait_for

LOOPBACK_UP = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execv(sys.argv[1], sys.argv[1:])
"""
# Of the ports that piagent picks from (agent/vm/host_port.c), leaves the first ones to it.
OCCUPY = """
import resource, signal, socket, sys
first = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (11000, 11000))
held = []
for port in range(first, 30000):
    held.append(socket.socket())
    try:
        held[-1].bind(("127.0.0.1", port))
        held[-1].listen(1)
    except OSError:
        pass  # the seeds' port
print("held", flush=True)
signal.pause()
"""
A, B, C = 20000, 20001, 20002


@pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: a network namespace of one's own needs root")
def test_the_automatic_port_is_no_forward_of_any_instance_running_or_not():
    with User(**fake_qemu()) as user:
        agent = user.start("agent", through=["unshare", "-n", sys.executable, "-c", LOOPBACK_UP])
        wait_for("the agent is up", lambda: user.call("agent", "status").returncode == 0, 30)
        occupy = ["nsenter", f"--net=/proc/{agent.pid}/ns/net", sys.executable, "-c", OCCUPY, str(C + 1)]
        with subprocess.Popen(occupy, stdout=subprocess.PIPE, text=True) as others:
            try:
                assert others.stdout.readline() == "held\n"
                disk = boot_sectors.deaf(user.home)
                first = user.boot("first", disk, forwards=[f"127.0.0.1:{A}:80"])["ssh_port"]
                assert first in (B, C)
                user.do("kill", "first")
                assert user.boot("second", disk)["ssh_port"] == B + C - first
                # As an earlier version picked it: the port that is its own forward's.
                user.do("kill", "second")
                record = user.instances / "first/record.json"
                user.kill_agent()
                agent.wait(60)
                record.write_text(record.read_text().replace(f'"ssh_port": {first}', f'"ssh_port": {A}'))
                user.start("agent", through=["nsenter", f"--net=/proc/{others.pid}/ns/net"])
                wait_for("the agent is up", lambda: user.call("agent", "status").returncode == 0, 30)
                assert user.api("POST", "/v1/instances/first/start")[0] == 202
                assert user.wait_state("first", "running")["ssh_port"] == first
            finally:
                others.kill()
