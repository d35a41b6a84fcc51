# SPDX-License-Identifier: MIT
"""The port of the seeds: nobody else gets it while a guest runs, and if it is lost all the same, piagent says so."""

import contextlib
import json
import os
import signal
import socket
import subprocess

import boot_sectors
import pytest
from piagent import User, fake_qemu, wait_for

NOBODY = 65534

# Which addresses of the port can be listened at.
LISTEN = """
import socket, sys
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)):
        with socket.socket(family) as server:
            for option in options:
                server.setsockopt(socket.SOL_SOCKET, option, 1)
            try:
                server.bind((address, int(sys.argv[1])))
                server.listen()
                print(address, options)
            except OSError:
                pass
"""


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def port_of(user):
    user.do("ps")
    return user.api("GET", "/v1/agent")[1]["imds_port"]


def key_of(user, name):
    return json.loads((user.instances / name / "record.json").read_text())["key"]


def asked(port, key):
    """The status of the answer to a guest that asks for its seed."""
    done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}/{key}/meta-data"],
                          text=True, stdout=subprocess.PIPE, timeout=60, check=False)
    return int(done.stdout)


@contextlib.contextmanager
def listening():
    """Another program's port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def start(user, name):
    assert user.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
    user.wait_state(name, "running", 30)


@pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: only root can act as two users")
def test_no_other_user_gets_the_port_while_a_guest_runs_without_an_agent(user):
    disk = boot_sectors.deaf(user.home)
    user.boot("pi", disk)
    port, key = port_of(user), key_of(user, "pi")

    def listen_as_nobody():
        return subprocess.run(["/usr/bin/python3", "-c", LISTEN, str(port)], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                              stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert listen_as_nobody() == ""
    user.kill_agent()
    assert listen_as_nobody() == ""
    assert asked(port, key) == 0  # refused: the guest asks again later
    assert port_of(user) == port and asked(port, key) == 200
    user.do("rm", "--force", "pi")
    agent = user.agent_pid()
    os.kill(agent, signal.SIGKILL)
    wait_for("the port is everyone's again", lambda: "127.0.0.1" in listen_as_nobody(), 20)


def test_the_next_agent_has_the_port_right_after_guests_were_served(user):
    """Connections that linger do not keep it away."""
    user.boot("pi", boot_sectors.deaf(user.home))
    port, key = port_of(user), key_of(user, "pi")
    assert [asked(port, key) for _ in range(3)] == [200] * 3
    user.kill_agent()
    assert port_of(user) == port and asked(port, key) == 200


def test_a_key_is_good_for_one_run(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    port, key = port_of(user), key_of(user, "pi")
    assert asked(port, key) == 200
    user.do("kill", "pi")
    start(user, "pi")
    assert key_of(user, "pi") != key
    assert (asked(port, key), asked(port, key_of(user, "pi"))) == (404, 200)


def test_a_port_that_was_lost_is_told_and_the_key_is_void(user):
    """QEMUs of earlier versions do not keep it."""
    user.boot("pi", boot_sectors.deaf(user.home))
    port, key = port_of(user), key_of(user, "pi")
    user.kill_agent()
    record = user.instances / "pi/record.json"
    with listening() as lost:
        record.write_text(json.dumps({**json.loads(record.read_text()), "imds_port": lost}))
        (user.home / "data/piagent/agent.json").write_text(json.dumps({"imds_port": lost}))
        moved = port_of(user)
        assert moved not in (lost, port)
    for _ in range(2):  # by the next agent too, which has no port to miss
        assert asked(moved, key) == 404
        why = f"another program took port {lost}, so that its guest cannot report: piagent powerdown pi, then piagent start pi"
        assert user.status("pi")["reason"] == why and why in user.do("status", "pi")
        user.kill_agent()
        assert port_of(user) == moved
    assert f"another program has port {lost}" in user.log()
    assert any(f"took port {lost}, where the guest looks" in text for text in user.texts("pi"))
    user.do("kill", "pi")
    start(user, "pi")
    assert asked(moved, key_of(user, "pi")) == 200 and "reason" not in user.status("pi")


def test_a_guest_of_an_earlier_version_is_heard_as_long_as_the_port_was_kept(user):
    user.boot("pi", boot_sectors.deaf(user.home))
    port, key = port_of(user), key_of(user, "pi")
    user.kill_agent()
    record = user.instances / "pi/record.json"
    record.write_text(json.dumps({name: value for name, value in json.loads(record.read_text()).items() if name != "imds_port"}))
    assert port_of(user) == port and asked(port, key) == 200 and "reason" not in user.status("pi")


def test_two_agents_of_one_user_do_not_share_a_port(user):
    with User(**fake_qemu()) as other:
        port = port_of(user)
        state = other.home / "data/piagent"
        state.mkdir(parents=True)
        (state / "agent.json").write_text(json.dumps({"imds_port": port}))
        assert port_of(other) != port and f"another program has port {port}" in other.log()
        assert port_of(user) == port
