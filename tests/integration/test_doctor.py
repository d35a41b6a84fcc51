# SPDX-License-Identifier: MIT
"""piagent doctor on this host as it is, and in environments that are broken on purpose. No agent is started by it."""
import json
import os
import subprocess

import pytest
from piagent import HOST, PIAGENT, User, promptly

PINNED = {"PIAGENT_FEDORA_INDEX_URL": "http://127.0.0.1:1/releases.json"}  # nobody listens there


@pytest.fixture
def user():
    with User(**PINNED) as user:
        yield user


def doctor(user, *words):
    """The exit code and the findings by their ids, with the summary as "summary"."""
    with promptly():  # each program it asks has 4 s, all at once
        done = user.call("doctor", "--json", *words)
    report = json.loads(done.stdout)
    assert done.stderr == "" and done.returncode == (HOST if report["summary"]["fail"] else 0), done
    return done.returncode, {"summary": report["summary"], **{check["id"]: check for check in report["checks"]}}


def test_this_host_can_run_both_architectures(user):
    code, found = doctor(user, "--offline")
    assert code == 0, found
    assert {guest["arch"] for guest in found["summary"]["guests"]} == {"x86_64", "aarch64"}
    assert {"qemu-x86_64", "qemu-img", "kvm", "uefi-aarch64", "memory", "ports", "keys"} <= set(found)
    assert "fedora" not in found
    assert not (user.runtime / "agent.lock").exists() and not user.instances.exists()


def test_lines_for_people_say_the_same(user):
    _, found = doctor(user, "--offline")
    done = user.call("doctor", "--offline")
    assert "\033" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "QEMU" and "this host can run " in lines[-1], done.stdout
    for name, check in found.items():
        if name != "summary":
            assert any(line.startswith(f"  {check['verdict']:4} {check['what']} ") for line in lines), check


def test_server_that_cannot_be_reached_is_a_warning(user):
    code, found = doctor(user)
    assert code == 0 and found["fedora"]["verdict"] == "warn", found
    assert "127.0.0.1:1" in found["fedora"]["text"] and "--image FILE" in found["fedora"]["remedy"]


def test_without_qemu_it_fails_with_the_command_that_installs_it(user, tmp_path):
    user.env["PATH"] = str(tmp_path)
    code, found = doctor(user, "--offline")
    assert code == HOST and found["summary"]["guests"] == []
    for check in ("qemu-img", "ssh", "gpg"):
        assert found[check]["verdict"] == "fail" and found[check]["remedy"], found[check]
    assert "install qemu-system-" in found[f"qemu-{os.uname().machine}"]["remedy"]
    assert found["summary"]["text"] == "this host can run no QEMU guest until the checks that fail are mended"


@pytest.mark.parametrize("script, verdict, text", [
    ("echo 'QEMU emulator version 4.1.0'", "fail", "too old"),
    ("exit 3", "fail", "exit code 3"),
    ("sleep 600 & wait", "fail", "did not end in 4"),
])
def test_odd_qemus_are_told(user, tmp_path, script, verdict, text):
    for arch in ("x86_64", "aarch64"):
        program = tmp_path / f"qemu-system-{arch}"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    user.env["PATH"] = f"{tmp_path}:{user.env['PATH']}"
    code, found = doctor(user, "--offline")
    check = found[f"qemu-{os.uname().machine}"]
    assert code == HOST and check["verdict"] == verdict and text in check["text"], check


def test_broken_configuration_and_folders_are_told(user):
    (user.home / "config/piagent").mkdir(parents=True, mode=0o700)
    (user.home / "config/piagent/config.json").write_text('{"fedora_url": ')
    (user.home / "data").write_text("a file")
    code, found = doctor(user, "--offline")
    assert code == HOST
    assert found["config"]["verdict"] == "fail" and "config.json" in found["config"]["text"]
    assert found["folder-instances"]["verdict"] == "fail"
    (user.home / "data").unlink()


def test_folder_of_another_user_is_told(user):
    if os.geteuid() != 0:
        pytest.skip("cannot here: only root can give a folder away")
    (user.home / "cache/piagent/images").mkdir(parents=True)
    os.chown(user.home / "cache/piagent/images", 1, 1)
    code, found = doctor(user, "--offline")
    assert code == HOST and "belongs to another user" in found["folder-images"]["text"], found["folder-images"]


def test_runtime_folder_that_is_too_long_is_told(user):
    user.env["XDG_RUNTIME_DIR"] = f"{user.home}/{'r' * 100}"
    code, found = doctor(user, "--offline")
    assert code == HOST and "too long" in found["runtime"]["text"]
    user.env["XDG_RUNTIME_DIR"] = str(user.home / "run")


def test_without_a_home_it_says_so(user):
    bare = {"PATH": user.env["PATH"]}
    done = subprocess.run([PIAGENT, "doctor", "--offline", "--json"], env=bare, capture_output=True, text=True, timeout=60, check=False)
    found = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == HOST and "HOME" in found["folder-instances"]["text"], done.stderr


def test_agent_and_what_it_found_out_of_kvm_are_told(user):
    user.do("network", "create", "lab")
    boot_id = open("/proc/sys/kernel/random/boot_id", encoding="ascii").read().strip()
    (user.runtime / "kvm-runs-no-guest").write_text(boot_id)
    code, found = doctor(user, "--offline")
    assert code == 0
    assert f"process {user.agent_pid()} answers: 0 instances" in found["agent"]["text"]
    assert found["networks"]["verdict"] == "ok" and "1 network, with members that run in 0" in found["networks"]["text"]
    assert "--network bridge=BR" in found["bridges"]["text"]
    if "a small guest runs" in found["kvm"]["text"]:
        assert found["kvm"]["verdict"] == "warn" and f"rm {user.runtime}/kvm-runs-no-guest" in found["kvm"]["remedy"]
        assert all(guest["accel"] == "tcg" for guest in found["summary"]["guests"])
