# SPDX-License-Identifier: MIT
"""Guests that come up and whose cloud-init does not report, or announces a reboot before they are ready."""

import contextlib
import json
import socket
import threading
import time

import boot_sectors
import pexpect
import pytest
from piagent import GUEST, PIAGENT, TIMEOUT, User, fake_qemu, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end, finish

PROMPT = ">box login: "
FULL = ">[   21.3] cloud-init[301]: OSError: [Errno 28] No space left on device"
DIED = ">[FAILED] Failed to start cloud-init.service - Cloud-init: Network Stage."
REBOOT = '{"timestamp":{"seconds":1,"microseconds":0},"event":"RESET","data":{"guest":true,"reason":"guest-reset"}}'
POWEROFF = '{"timestamp":{"seconds":1,"microseconds":0},"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}'


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


@contextlib.contextmanager
def ssh_servers(user, *names):
    """Servers on the instances' ports that say their name and nothing more."""
    def answer(server):
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as guest:
                    guest.sendall(b"SSH-2.0-none\r\n")
    with contextlib.ExitStack() as stack:
        for name in names:
            server = stack.enter_context(socket.create_server(("127.0.0.1", user.status(name)["ssh_port"])))
            stack.callback(server.shutdown, socket.SHUT_RDWR)
            threading.Thread(target=answer, args=(server,), daemon=True).start()
        yield


def boot(user, *names):
    user.boot_all(names, boot_sectors.deaf(user.home))


def prompt(user, name, *lines):
    """Its console shows these, and a login prompt."""
    user.tell_fake(name, "\n".join([*lines, PROMPT, ""]))


@contextlib.contextmanager
def seed_asked_for(user, name):
    """As any process of the guest can, again and again."""
    guest, over = Guest(user, name), threading.Event()

    def ask():
        while not over.is_set():
            assert guest.send(f"GET /{guest.key}/meta-data HTTP/1.1\r\nHost: x\r\n\r\n".encode()) == 200
            over.wait(2)
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def kept(user, name):
    """The next agent's status of it."""
    return json.loads((user.instances / name / "record.json").read_text())


CAUSES = {
    "fresh": "it did not ask for its seed: the image may not have cloud-init, or have it disabled",
    "again": "it did not ask for its seed, and may be disabled (/etc/cloud/cloud-init.disabled)",
    "seeded": "it fetched its seed; the user-data may send its reports elsewhere (\"reporting\")",
    "full": "its console says that its disk is full (No space left on device)",
    "died": "its console says that cloud-init failed to start",
}


def reasons(user):
    return {name: user.status(name)["reason"] for name in CAUSES}


def test_a_guest_that_is_up_and_does_not_report_is_let_in_with_what_may_be_the_reason(user):
    boot(user, "full")
    user.tell_fake("full", f"{FULL}\n")
    wait_for("the hint is kept", lambda: kept(user, "full").get("disk_full"), 20)
    user.kill_agent()
    boot(user, *(name for name in CAUSES if name != "full"), "works", "boots")
    boot_to_the_end(Guest(user, "again"))
    user.wait_state("again", "ready", 30)
    user.do("reset", "again")
    Guest(user, "works").report("init-network")
    with ssh_servers(user, *CAUSES, "works", "boots"), seed_asked_for(user, "seeded"):
        waits = {name: user.start("wait", name) for name in CAUSES}
        attached = pexpect.spawn(PIAGENT, ["console", "fresh"], env=user.env, timeout=60, encoding="latin-1")
        attached.expect("leaves it")
        attached.expect("hello")
        for name in ("fresh", "again", "seeded", "full", "works"):
            prompt(user, name)
        prompt(user, "died", DIED)
        for name, wait in waits.items():
            code, out = finish(wait, 120)
            assert code == (0 if name == "again" else GUEST), out
            told = f"{name}: up: cloud-init was not heard to report: {CAUSES[name]}; piagent ssh {name} -- cloud-init status --long tells more"
            assert told in out.splitlines(), out
        attached.expect_exact(f"fresh: up: cloud-init was not heard to report: {CAUSES['fresh']}; piagent ssh fresh -- cloud-init status --long "
                              "tells more\r\nfresh: log in from another terminal, or after Ctrl-], with: piagent ssh fresh\r\n")
        for name in CAUSES:
            instance = user.status(name)
            assert (instance["state"], instance["cloud_init"]) == ("running", "silent"), instance
            login = user.call("ssh", name, "--", "true")
            assert login.returncode == 255 and login.stderr.startswith(f"{name}: cloud-init was not heard to report: "), login
        fetched = len(user.texts("seeded"))
        wait_for("it asks for its seed again", lambda: len(user.texts("seeded")) > fetched, 20)
        assert user.status("seeded")["cloud_init"] == "silent" and user.call("wait", "seeded").returncode == GUEST
        assert "silent after" in user.do("timeline", "full")
        assert [user.status(name)["cloud_init"] for name in ("works", "boots")] == ["running", "pending"]
        before = reasons(user)
        user.kill_agent()
        assert reasons(user) == before
        assert before["full"] in user.do("ps")
        boot_to_the_end(Guest(user, "fresh"))  # after all
        assert "reason" not in user.wait_state("fresh", "ready", 30)
        attached.expect_exact("fresh: ready; log in from another terminal")
        assert "fresh: " not in attached.before, attached.before
        attached.close(force=True)
        assert "its cloud-init goes on after all" in user.texts("fresh")


POWER_MODULE = ("modules-final/config-power-state-change", "SUCCESS", "config-power-state-change ran successfully")


def announce(user, name):
    """Its cloud-init is done, and will reboot or power off: as 22.4.2 and 25.1 report it."""
    guest = Guest(user, name)
    guest.report(*POWER_MODULE)
    guest.report("modules-final", "SUCCESS")


def test_ready_waits_for_the_boot_after_a_reboot_that_was_announced(user):
    names = ("reboots", "stays", "off")
    boot(user, *names, "late")
    with ssh_servers(user, *names):
        waits = {name: user.start("wait", name) for name in names}
        login = user.start("ssh", "reboots", "--", "true")
        for name in names:
            announce(user, name)
            wait_for("it is told", lambda name=name: any("has announced a reboot" in text for text in user.texts(name)), 20)
            instance = user.status(name)
            assert (instance["state"], instance["cloud_init"]) == ("running", "running") and "has announced a reboot" in instance["reason"], instance
        impatient = user.call("wait", "off", "--timeout", "3s")
        assert impatient.returncode == TIMEOUT and "off shows no progress" in impatient.stderr, impatient
        assert "  its console " in impatient.stderr and "the end of its console" not in impatient.stderr, impatient
        Guest(user, "late").report(*POWER_MODULE)
        wait_for("the announcement is kept", lambda: kept(user, "late").get("power_change"), 20)
        user.kill_agent()
        time.sleep(2)
        assert user.state("reboots") == "running" and login.poll() is None
        Guest(user, "late").report("modules-final", "SUCCESS")
        wait_for("it waits", lambda: "has announced a reboot" in user.status("late").get("reason", ""), 20)
        for name, event in (("reboots", REBOOT), ("off", POWEROFF)):
            user.tell_fake(name, event)
        wait_for("it reboots", lambda: any(event["kind"] == "boot" and event["text"] == "rebooted" for event in user.events("reboots")), 20)
        boot_to_the_end(Guest(user, "reboots"))
        code, out = finish(waits["reboots"])
        assert code == 0 and "reboots: ready after" in out, out
        assert finish(login)[0] == 255  # by ssh, whose server says only its name
        code, out = finish(waits["off"])
        assert code == 0 and "off: stopped" in out and user.status("off")["cloud_init"] == "done", out
        code, out = finish(waits["stays"], 120)  # its condition was not met
        assert code == 0 and "stays: the reboot or poweroff that its cloud-init has announced did not come" in out and "stays: ready after" in out


def test_a_boot_that_ends_while_the_guest_is_paused_has_its_time(user):
    boot(user, "pauses")
    user.do("pause", "pauses")
    Guest(user, "pauses").report("modules-final", "SUCCESS")
    user.do("resume", "pauses")
    assert user.wait_state("pauses", "ready", 30)["ready_ms"] > 0
