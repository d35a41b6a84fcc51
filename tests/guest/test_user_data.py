# SPDX-License-Identifier: MIT
"""The user's own cloud-config on the oldest cloud-init that must work (22.4.2): applied, and told when it fails or says nothing."""

import pytest
from guest_life import check_processes_in_the_guest, reboots_without_an_agent
from piagent import GUEST, User, guest_image

GOOD = """#cloud-config
users:
  - default
  - name: other
    lock_passwd: true
write_files:
  - path: /etc/marker
    content: written
runcmd:
  - touch /var/tmp/ran
power_state: {mode: reboot, delay: now}
"""
BAD = """#cloud-config
runcmd:
  - [sh, -c, 'exit 3']
final_message: 5
"""


@pytest.fixture(scope="module")
def image():
    return guest_image("x86_64", "bookworm")


@pytest.fixture
def user():
    with User() as user:
        yield user


def test_the_users_own_cloud_config_is_applied_beside_the_login(user, image):
    (user.home / "good.yaml").write_text(GOOD)
    user.do("run", "own", "--image", image, "--image-unverified", "--user-data", str(user.home / "good.yaml"), "-d",
            timeout=900)
    # The user-data asks for a reboot: the guest is ready after it.
    boots = [event["text"] for event in user.events("own") if event["kind"] == "boot"]
    # A start under KVM may come first, if the guest shows a sign before KVM fails.
    assert boots in (["started", "rebooted"], ["started", "started", "rebooted"])
    assert any("has announced a reboot" in text for text in user.texts("own"))
    assert user.ssh("own", "id -un; id -un other; cat /etc/marker; echo; ls /var/tmp/ran").split() == \
        ["fedora", "other", "written", "/var/tmp/ran"]
    # The cached seed: a reboot that the user's own write_files did not break.
    assert user.ssh("own", "cat /var/lib/cloud/seed/nocloud/meta-data").endswith(user.status("own")["uuid"])
    check_processes_in_the_guest(user, "own")
    reboots_without_an_agent(user, "own")


def boots_with_a_full_disk(user, name):
    """cloud-init dies before it asks for its seed; sshd runs."""
    user.ssh(name, "sudo fallocate -l $(df --output=avail -B1 / | tail -1) /full; sudo dd if=/dev/zero of=/fuller bs=4K count=20K || true; sync")
    user.do("reset", name)
    waited = user.call("wait", name, timeout=600)
    told = f"{name}: up: cloud-init was not heard to report: its console says that its disk is full (No space left on device)"
    assert waited.returncode == GUEST and told in waited.stderr, waited
    user.kill_agent()
    done = user.call("ssh", name, "--", "df --output=avail / | tail -1", timeout=120)
    assert done.stdout.split() == ["0"] and "its disk is full" in done.stderr, done


def test_a_failed_module_is_named_and_the_instance_can_still_be_reached(user, image):
    (user.home / "bad.yaml").write_text(BAD)
    done = user.call("run", "bad", "--image", image, "--image-unverified", "--user-data", str(user.home / "bad.yaml"),
                     "-d", timeout=600)
    assert done.returncode == GUEST, done.stderr
    assert "scripts-user" in done.stderr
    problem = "final_message: it is not of type 'string'"
    assert "warning: line 4, column 16: final_message" in done.stderr and problem in done.stderr, done.stderr
    instance = user.status("bad")
    assert instance["cloud_init"] == "failed" and any("scripts-user" in m for m in instance["failed_modules"]), instance
    assert instance["user_data_problems"] == [problem], instance
    assert "scripts-user" in user.do("status", "bad")
    assert user.ssh("bad", "hostname") == "bad"
    boots_with_a_full_disk(user, "bad")
