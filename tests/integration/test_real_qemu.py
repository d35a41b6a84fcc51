# SPDX-License-Identifier: MIT
"""Saved states with the QEMU of this host, whichever version it has: the fake of the other tests takes whatever it is told. The guest is a boot sector
that sends back each byte that it gets, one up."""

import boot_sectors
import pytest
from piagent import User, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end
from test_suspend import open_states


@pytest.fixture(name="user")
def real_user():
    with User() as user:
        yield user


def lives(user, name, byte):
    """It goes on from where it was: one that boots says hello again."""
    user.type(name, byte)
    wait_for(f"{name} answers", lambda: user.spoken(name).endswith(chr(ord(byte) + 1).encode()), 20)
    assert user.spoken(name).count(b"hello") <= 1
    wait_for("QEMU has closed the file of the state", lambda: not open_states(user.status(name)["pid"]), 20)


def go_on(user, name):
    assert user.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
    user.wait_state(name, "running", 30)


def test_a_guest_is_suspended_and_kept_in_snapshots(user):
    user.boot("pi", boot_sectors.echo(user.home), disk_bytes=8 << 20)
    user.do("snapshot", "create", "pi", "one")
    lives(user, "pi", "a")
    user.do("snapshot", "create", "pi", "two")
    lives(user, "pi", "c")
    user.do("suspend", "pi")
    go_on(user, "pi")
    lives(user, "pi", "e")
    for tag in ("one", "two"):
        user.do("kill", "pi")
        user.do("snapshot", "restore", "pi", tag, "--no-start")
        go_on(user, "pi")
        lives(user, "pi", "g")
    user.do("pause", "pi")
    user.do("snapshot", "create", "pi", "three")
    assert user.status("pi")["state"] == "paused"
    user.do("resume", "pi")
    lives(user, "pi", "i")


def test_instances_resume_from_a_template(user):
    making = user.start("template", "create", "warm", "--from", boot_sectors.echo(user.home), "--unverified", "--arch", "x86_64", "--accel", "tcg",
                        "--memory", "256M", "--disk", "8M")
    wait_for("the template boots", lambda: (user.instances / "warm").exists() and b"hello" in user.console("warm"), 60)
    boot_to_the_end(Guest(user, "warm"))
    said, _ = making.communicate(timeout=120)
    assert making.returncode == 0, said
    for name in ("one", "two"):
        assert user.api("POST", "/v1/instances", {"name": name, "of_template": "warm"})[0] == 202
        user.wait_state(name, "running", 30)
    for name in ("one", "two"):
        user.type(name, "a")
        wait_for(f"{name} answers", lambda: user.console(name).endswith(b"b"), 20)
        assert b"hello" not in user.console(name)
