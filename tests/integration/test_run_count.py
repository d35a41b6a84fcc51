# SPDX-License-Identifier: MIT
"""`piagent run --count N NAME`: a fleet of equal instances."""

import signal

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import CONFLICT, GUEST, HOST, USAGE, User, fake_qemu, free_port, wait_for
from test_hostile_guest import Guest
from test_progress import boot_to_the_end

NAMES = ["web-1", "web-2", "web-3"]
EQUAL = ["--arch", "x86_64", "--accel", "tcg", "--memory", "256M"]


def states(user):
    return {instance["name"]: instance["state"] for instance in user.ps()}


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


@pytest.fixture
def local(user):
    return ["--image", boot_sectors.deaf(user.home), "--image-unverified", "--disk", "1M", *EQUAL]


@pytest.fixture
def stalled():
    with User() as user, FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        user.env.update(fedora.env)
        yield user


def test_they_are_made_side_by_side_with_one_download_and_waited_for():
    with User(**fake_qemu()) as user, FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))]) as fedora:
        user.env.update(fedora.env)
        command = user.start("run", "--count", "3", "web", *EQUAL)
        for name in NAMES:
            wait_for(f"{name} runs", lambda: states(user).get(name) == "running", 60)
            boot_to_the_end(Guest(user, name))
        out, _ = command.communicate(timeout=60)
        assert command.returncode == 0, out
        for name in NAMES:
            assert f"{name}: log in with: piagent ssh {name}" in out
        assert sum(path.startswith("/mirror/") for path in fedora.requests) == 1, fedora.requests
        fleets = [instance["fleet"] for instance in user.ps()]
        assert fleets == [{"name": "web", "role": "web", "index": index, "count": 3, "after": []} for index in (1, 2, 3)]
        assert len({instance["uuid"] for instance in user.ps()} | {instance["ssh_port"] for instance in user.ps()}) == 6
        user.do("rm", "--force", "--fleet", "web")
        assert user.ps() == []


def test_each_that_fails_is_told_and_the_first_ones_code_is_the_exit_code(user, local):
    command = user.start("run", "--count", "2", "web", *local)
    for name, result in (("web-1", "FAIL"), ("web-2", "SUCCESS")):
        wait_for(f"{name} runs", lambda: states(user).get(name) == "running", 60)
        boot_to_the_end(Guest(user, name), result, ["modules-final/config-scripts-user"] if result == "FAIL" else [])
    out, _ = command.communicate(timeout=60)
    assert command.returncode == GUEST and "web-1: cloud-init failed" in out and "web-2: ready" in out, out


def test_with_no_start_they_are_only_made(user, local):
    user.do("run", "--count", "3", "--no-start", "web", *local)
    assert states(user) == dict.fromkeys(NAMES, "stopped")


def hear(command, word):
    said = ""
    while word not in said:  # its deadline is the test's
        said += command.stdout.readline()
        assert command.poll() is None, said


def test_what_needs_a_guest_waits_for_the_start_of_one_that_was_just_made(user, local):
    user.do("run", "alone", "--no-start", *local)
    for words in (["ssh", "alone", "true"], ["cp", "alone:a", "."], ["wait", "alone"], ["console", "alone"]):
        assert "alone is stopped" in user.refused(CONFLICT, *words)
    user.do("run", "--count", "3", "--no-start", "web", *local)
    waits = {words[0]: user.start(*words) for words in (["ssh", "web-1", "true"], ["cp", "web-1:a", "."], ["wait", "web-2"], ["console", "web-3"])}
    for name in NAMES:
        user.api("POST", f"/v1/instances/{name}/start", {})
        user.wait_state(name, "running")
        boot_to_the_end(Guest(user, name))
    for verb in ("ssh", "cp"):
        hear(waits[verb], "web-1: waiting for its SSH server")
    assert waits["wait"].communicate(timeout=60)[0] and waits["wait"].returncode == 0
    assert waits["console"].poll() is None
    for verb in ("ssh", "cp", "console"):
        waits[verb].kill()
        waits[verb].communicate()


def test_a_fleet_is_made_as_a_whole_or_not_at_all(user, local):
    user.do("run", "web-3", "--no-start", *local)
    assert user.refused(CONFLICT, "run", "--count", "3", "web", *local).startswith("web-3 is there already: choose another name for the fleet")
    user.do("run", "--count", "1", "--no-start", "lab", *local)
    user.do("rm", "web-3")
    assert "the fleet lab is there already, with lab-1" in user.refused(CONFLICT, "run", "--count", "2", "lab", *local)
    assert states(user) == {"lab-1": "stopped"}


@pytest.mark.parametrize("words, said", [(["--forward", "8080:80", "--count", "2"], "--forward 8080:80: 2 instances cannot share a port of this host"),
                                         (["--network", "lab,ip=10.77.0.9", "--count", "2"], "--network lab,ip=10.77.0.9: 2 instances cannot share an address"),
                                         (["--job", "--count", "2"], "--count does not go with --job"),
                                         (["--count", "0"], "--count: '0' is not a whole number from 1 to 500"),
                                         (["--count", "501"], "--count: '501' is not a whole number from 1 to 500")])
def test_what_several_cannot_have_is_refused(user, local, words, said):
    assert said in user.refused(USAGE, "run", "web", *local, *words)
    assert "is not a usable name" in user.refused(USAGE, "run", "w" * 62, *local, "--count", "10")
    assert user.ps() == []


def test_one_may_have_forwards(user, local):
    user.do("run", "--count", "1", "web", "--no-start", "--forward", f"{free_port()}:80", *local)
    assert states(user) == {"web-1": "stopped"}


def test_an_interrupt_undoes_all_that_have_not_started(stalled):
    command = stalled.start("run", "--count", "3", "web", *EQUAL)
    wait_for("all are being made", lambda: states(stalled) == dict.fromkeys(NAMES, "created"), 60)
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGINT, out
    for name in NAMES:
        assert f"{name}: interrupted, and undone: nothing of it is left" in out
    stalled.nothing_left()


def test_an_interrupt_undoes_the_others_also_if_one_cannot_be_undone(stalled):
    command = stalled.start("run", "--count", "3", "web", *EQUAL)
    wait_for("all are being made", lambda: states(stalled) == dict.fromkeys(NAMES, "created"), 60)
    command.send_signal(signal.SIGSTOP)
    stalled.do("rm", "--force", "web-1")
    command.send_signal(signal.SIGINT)
    command.send_signal(signal.SIGCONT)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGINT, out
    assert "web-1 was interrupted, and could not be undone: " in out
    for name in NAMES[1:]:
        assert f"{name}: interrupted, and undone: nothing of it is left" in out
    stalled.nothing_left()


def test_an_interrupt_leaves_those_that_have_started_and_undoes_the_rest(user, local):
    command = user.start("run", "--count", "3", "web", "--parallel", "2", *local)
    wait_for("two run", lambda: states(user) == {"web-1": "running", "web-2": "running", "web-3": "stopped"}, 60)
    command.send_signal(signal.SIGINT)
    out, _ = command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGINT, out
    assert out.count("goes on; wait for it with") == 2
    assert "web-3: interrupted, and undone: nothing of it is left" in out
    assert states(user) == {"web-1": "running", "web-2": "running"}


def test_memory_is_checked_before_anything_is_made(user, local):
    said = user.refused(HOST, "run", "--count", "400", "web", *local, "--memory", "900G")
    assert said.startswith("web: all instances together take up to") and "--overcommit" in said
    assert user.ps() == []
