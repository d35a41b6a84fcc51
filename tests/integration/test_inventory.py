# SPDX-License-Identifier: MIT
"""The inventory for Ansible, read by the real Ansible as a file and as a script; its connection made to a real SSH server."""

import json
import socket
import subprocess

import boot_sectors
import pytest
from guest_sshd import make, sshd
from piagent import NOT_FOUND, PIAGENT, USAGE, wait_for
from test_reach import sessions, user

assert user  # the fixture, with a folder of an odd name


@pytest.fixture
def ansible(user):
    """Runs one of Ansible's programs, with nothing of this account's but what is given."""
    settings = user.home / "ansible.cfg"
    settings.write_text(f"[defaults]\nlocal_tmp = {user.home}/local\nremote_tmp = {user.home}/remote\ninterpreter_python = auto_silent\n"
                        "host_key_checking = False\n")  # which many have, and which must not matter here

    def run(*words, code=0):
        done = subprocess.run(words, env={**user.env, "ANSIBLE_CONFIG": str(settings), "LC_ALL": "C.UTF-8"}, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert "[WARNING]" not in done.stderr, done.stderr
        return done.stdout
    return run


def written(user, kind):
    """The inventory as a user keeps it: a file, or a script that asks each time."""
    path = user.home / ("hosts.yaml" if kind == "file" else "hosts.sh")
    path.write_text(user.do("inventory") if kind == "file" else f'#!/bin/sh\nexec "{PIAGENT}" inventory "$@"\n')
    path.chmod(0o644 if kind == "file" else 0o755)
    return str(path)


def test_ansible_reads_the_same_from_the_file_and_from_the_script(user, ansible):
    disk = boot_sectors.deaf(user.home)
    user.boot("null", disk, labels=["tier=front.end", "gpu="])  # a word of YAML's
    user.boot("0", disk, labels=["tier=front-end"], fleet={"name": "my-lab", "role": "node", "index": 1, "count": 1})
    user.do("kill", "0")
    read = {kind: json.loads(ansible("ansible-inventory", "-i", written(user, kind), "--list")) for kind in ("file", "script")}
    assert read["file"]["_meta"] == read["script"]["_meta"]
    groups = {kind: {name: sorted(group["hosts"]) for name, group in tree.items() if "hosts" in group} for kind, tree in read.items()}
    assert groups["file"] == groups["script"] == {
        "arch_x86_64": ["0", "null"], "state_running": ["null"], "state_stopped": ["0"], "fleet_my_lab": ["0"], "role_node": ["0"],
        "label_tier_front_end": ["0", "null"], "label_gpu_": ["null"]}
    shown = read["file"]["_meta"]["hostvars"]["0"]
    assert shown["ansible_ssh_private_key_file"] == str(user.instances / "0/ssh_key")
    assert shown["piagent"]["fleet"]["name"] == "my-lab" and shown["piagent"]["state"] == "stopped"
    assert json.loads(user.do("inventory", "--host", "0")) == shown
    assert json.loads(user.do("inventory", "--list", "null"))["all"] == {"hosts": ["null"]}


def test_without_instances_the_inventory_is_empty(user, ansible):
    for kind in ("file", "script"):
        assert json.loads(ansible("ansible-inventory", "-i", written(user, kind), "--list"))["_meta"] == {"hostvars": {}}


def test_ansible_logs_in_by_the_file_also_after_a_port_has_changed(user, ansible):
    make(user, "a")
    hosts = written(user, "file")
    with sshd(user, "a"):
        assert '"ping": "pong"' in ansible("ansible", "-i", hosts, "all", "-m", "ping")
        assert sessions(user, "a")[0] == 1, "Ansible shares one connection"
    user.kill_agent()
    record = user.instances / "a/record.json"
    text = json.loads(record.read_text())
    with socket.create_server(("127.0.0.1", 0)) as other:
        text["spec"]["ssh_port"] = other.getsockname()[1]
    record.write_text(json.dumps(text))
    with sshd(user, "a"):
        wait_for("the shared connection is closed", lambda: not [words for words in user.processes().values() if "[mux]" in " ".join(words)], 30)
        assert "a | SUCCESS" in ansible("ansible", "-i", hosts, "all", "-m", "ping")


def test_another_host_key_is_refused_whatever_ansible_is_told(user, ansible):
    make(user, "a", "other")
    with sshd(user, "a", host_key=user.instances / "other/ssh_host_ed25519_key"):
        said = ansible("ansible", "-i", written(user, "script"), "a", "-m", "ping", code=4)
        assert "UNREACHABLE" in said and "ost key verification failed" in said


def test_a_wrong_name_is_refused(user):
    user.boot("box", boot_sectors.deaf(user.home))
    assert "did you mean box" in user.refused(NOT_FOUND, "inventory", "--host", "bix")
    assert "--host goes without" in user.refused(USAGE, "inventory", "--host", "box", "--list")
