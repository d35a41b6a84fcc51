# SPDX-License-Identifier: MIT
"""A guest that has resumed from a template is told who it is. QEMU is the fake; the test is its guest at the port's other end."""

import contextlib
import getpass
import json
import re
import socket

import boot_sectors
import pytest
from guest_sshd import sshd
from piagent import User, fake_qemu, wait_for


@pytest.fixture(name="user")
def fake_user():
    with User(**fake_qemu()) as user:
        yield user


@contextlib.contextmanager
def resumed(user, name):
    """An instance whose agent was killed just as its guest had resumed, and the port."""
    user.boot(name, boot_sectors.deaf(user.home))
    user.kill_agent()
    path = user.instances / name / "record.json"
    record = json.loads(path.read_text())
    record.update(schema=4, template_hardware=True, identity_due=True)
    record["spec"].update(of_template="warm", user=getpass.getuser())
    path.write_text(json.dumps(record))
    with socket.socket(socket.AF_UNIX) as port:
        port.bind(str(user.runtime / f"{name}.ident"))
        port.listen()
        port.settimeout(60)
        yield port


def hear(guest, end):
    heard = b""
    guest.settimeout(60)
    while not heard.endswith(end):
        part = guest.recv(65536)
        assert part, heard
        heard += part
    return heard


def is_due(user, name):
    return json.loads((user.instances / name / "record.json").read_text())["identity_due"]


def test_the_next_agent_tells_a_guest_that_an_agent_was_telling_and_ssh_gets_in_before_it_is_ready(user):
    with resumed(user, "a") as port:
        user.status("a")
        with port.accept()[0] as guest:
            first = json.loads(hear(guest, b"}\n"))
            guest.sendall(b"did entropy\n")
            user.kill_agent()
        assert is_due(user, "a")
        command = user.start("ssh", "a", "--", "echo $INSTANCE")
        with sshd(user, "a"), port.accept()[0] as guest:
            me = json.loads(hear(guest, b"}\n"))
            assert me["uuid"] == first["uuid"] == user.status("a")["uuid"] and me["entropy"] != first["entropy"]
            assert (me["hostname"], me["user"]) == ("a", getpass.getuser())
            assert me["host_key"] == (user.instances / "a/ssh_host_ed25519_key").read_text()
            assert me["keys"] == [(user.instances / "a/ssh_key.pub").read_text().strip()]
            smbios = (user.instances / "a/smbios.bin").read_bytes()
            assert me["board"]["product_serial"].encode() in smbios
            assert command.poll() is None  # its server answers, but it does not know yet who it is
            guest.sendall(b"did entropy\ndone\n")
            hear(guest, b"kept\n")
            assert command.communicate(timeout=60)[0].splitlines()[-1] == "a" and command.returncode == 0
        wait_for("it is on record", lambda: not is_due(user, "a"), 20)
        assert user.state("a") == "running"
        [event] = [event for event in user.events("a") if event["kind"] == "identity"]
        assert re.fullmatch(r"took its identity after [\d.]+m?s", event["text"])


def test_an_instance_whose_guest_refuses_its_identity_has_failed_and_says_why(user):
    with resumed(user, "a") as port:
        user.status("a")
        with port.accept()[0] as guest:
            hear(guest, b"}\n")
            guest.sendall(b"did entropy\nfailed OSError: \x1b[2Jno room\n")
        user.wait_state("a", "failed", 30)
    reason = user.status("a")["reason"]
    assert "its guest did not take its identity" in reason and "it says: OSError: ?[2Jno room" in reason, reason
    assert "piagent start a boots its disk instead" in reason
    assert not is_due(user, "a")
    wait_for("its QEMU is gone", lambda: "pid" not in user.status("a"), 30)
