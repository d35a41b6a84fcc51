# SPDX-License-Identifier: MIT
"""Bad input: one line that says what to do, the documented exit code, and nothing left behind."""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import threading
import time

import boot_sectors
import pytest
from faults import FragileUser
from fedora_server import FedoraServer, Image
from piagent import AGENT, HOST, NETWORK, NOT_FOUND, UNVERIFIED, USAGE, User, free_port, wait_for


@pytest.fixture(scope="module")
def user():
    with User() as user:
        user.do("ps")
        yield user


@pytest.fixture(scope="module")
def disk(user):
    return boot_sectors.deaf(user.home)


def nothing_left(user):
    assert user.ps() == []
    user.nothing_left()


CASES = {
    "a_name_that_is_no_host_name": (USAGE, ["Not_A_Host"], "is not a usable name"),
    "an_unknown_option": (USAGE, ["m", "--memroy", "1G"], "--memory"),
    "a_size_that_is_none": (USAGE, ["m", "--memory", "lots"], "1G"),
    "an_unknown_architecture": (USAGE, ["m", "--arch", "riscv"], "x86_64"),
    "an_image_that_is_not_there": (NOT_FOUND, ["m", "--image", "./missing.qcow2"], "missing.qcow2"),
    "a_file_without_a_checksum": (UNVERIFIED, ["m", "--image", "DISK"], "give --sha256 HEX, or take it as it is with --unverified"),
    "a_wrong_checksum": (UNVERIFIED, ["m", "--image", "DISK", "--image-sha256", "0" * 64], "0" * 64),
    "a_disk_smaller_than_its_image": (USAGE, ["m", "--image", "BIG", "--image-unverified", "--disk", "1M"], "MiB"),
    "more_memory_than_the_host_has": (HOST, ["m", "--image", "DISK", "--image-unverified", "--memory", "900G"], "900 GiB"),
    "too_little_memory": (USAGE, ["m", "--image", "DISK", "--image-unverified", "--memory", "16M"], "256"),
    "kvm_for_a_foreign_architecture": (HOST, ["m", "--image", "DISK", "--image-unverified", "--arch", "FOREIGN", "--accel", "kvm"],
                                       "--accel"),
    "a_busy_port": (HOST, ["m", "--image", "DISK", "--image-unverified", "--forward", "PORT:80"], "PORT"),
    "user_data_that_is_not_yaml": (USAGE, ["m", "--user-data", "YAML"], "piagent validate shows this and 1 more"),
    "user_data_without_its_first_line": (USAGE, ["m", "--user-data", "HEADLESS"], "#cloud-config"),
    "a_key_file_that_is_not_there": (NOT_FOUND, ["m", "--ssh-key", "/missing.pub"], "/missing.pub"),
    "a_private_key": (USAGE, ["m", "--ssh-key", "PRIVATE"], ".pub"),
    "a_damaged_key": (USAGE, ["m", "--ssh-key", "DAMAGED"], "cut off or damaged"),
    "user_data_with_a_nul": (USAGE, ["m", "--user-data", "NUL"], "UTF-8"),
    "an_address_of_another_host": (HOST, ["m", "--image", "DISK", "--image-unverified", "--forward", "192.0.2.1:8080:80"], "127.0.0.1"),
    "a_port_forwarded_twice": (USAGE, ["m", "--image", "DISK", "--forward", "2000:80", "--forward", "2000:81"], "forwarded already"),
    "a_forward_without_a_guest_port": (USAGE, ["m", "--image", "DISK", "--forward", "80"], "from 1 to 65535"),
    "bios_for_aarch64": (USAGE, ["m", "--image", "DISK", "--arch", "aarch64", "--firmware", "bios"], "UEFI only"),
    "a_login_that_is_none": (USAGE, ["m", "--image", "DISK", "--user", "No One"], "user name"),
    "a_folder_for_an_image": (USAGE, ["m", "--image", "/", "--image-unverified"], "regular file"),
    "a_file_that_does_not_boot": (UNVERIFIED, ["m", "--image", "BLANK", "--image-unverified"], "neither a qcow2 nor"),
    "an_image_that_names_a_file_of_the_host": (UNVERIFIED, ["m", "--image", "BACKED", "--image-unverified"], "backing file"),
    "a_checksum_that_is_none": (USAGE, ["m", "--image", "DISK", "--sha256", "abc"], "--sha256: 'abc' is not"),
    "a_server_that_is_not_there": (NETWORK, ["m", "--image", "http://127.0.0.1:1/x.qcow2", "--image-unverified"], "m was not made: "),
    "a_password_in_place_of_its_hash": (USAGE, ["m", "--password-hash", "secret"], "hash-password"),
}


@pytest.fixture(scope="module")
def words(user, disk):
    """The values of the words in capitals."""
    big = user.home / "big.raw"
    with open(disk, "rb") as boot:
        big.write_bytes(boot.read(512) + bytes((4 << 20) - 512))
    (user.home / "broken.yaml").write_text("#cloud-config\nusers:\n  - name: [x\nb: 1\n")
    (user.home / "headless.yaml").write_text("users: []\n")
    (user.home / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    (user.home / "nul.yaml").write_bytes(b"#cloud-config\nhostname: a\0b\n")
    (user.home / "damaged.pub").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me\n")
    (user.home / "blank.raw").write_bytes(bytes(1 << 20))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", user.home / "backed.qcow2"],
                   check=True, timeout=60)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        yield {"NUL": str(user.home / "nul.yaml"), "DAMAGED": str(user.home / "damaged.pub"),
               "BLANK": str(user.home / "blank.raw"), "BACKED": str(user.home / "backed.qcow2"),
               "DISK": disk, "BIG": str(big), "YAML": str(user.home / "broken.yaml"),
               "HEADLESS": str(user.home / "headless.yaml"), "PRIVATE": str(user.home / "id"),
               "FOREIGN": "aarch64" if os.uname().machine == "x86_64" else "x86_64",
               "PORT": str(busy.getsockname()[1])}


@pytest.mark.parametrize("case", CASES)
def test_run_refuses(user, words, case):
    code, args, said = CASES[case]

    def fill(text):
        for word, value in words.items():
            text = text.replace(word, value)
        return text
    line = user.refused(code, "run", *[fill(arg) for arg in args], "-d")
    assert fill(said) in line
    nothing_left(user)


def test_an_unknown_release_is_refused_with_those_there_are(user, disk):
    with FedoraServer([Image("x86_64", disk), Image("aarch64", disk)]) as fedora, User(**fedora.env) as other:
        assert "44" in other.refused(NOT_FOUND, "run", "m", "--image", "fedora:12", "-d")


def test_a_host_without_qemu_is_told_what_to_install(disk):
    with User() as user:
        bare = user.home / "bin"
        bare.mkdir()
        (bare / "qemu-img").symlink_to("/usr/bin/qemu-img")
        user.env["PATH"] = str(bare)
        line = user.refused(HOST, "run", "m", "--image", disk, "--image-unverified", "-d")
        assert "install qemu-system" in line
        assert user.ps() == []


def test_a_host_without_firmware_is_told_what_to_install(disk):
    with User() as user:
        # An empty file hides its namesake: QEMU's docs/interop/firmware.json.
        hidden = user.home / "config/qemu/firmware"
        hidden.mkdir(parents=True)
        for folder in ("/usr/share/qemu/firmware", "/etc/qemu/firmware"):
            for descriptor in pathlib.Path(folder).glob("*.json"):
                (hidden / descriptor.name).touch()
        for arch, package in (("x86_64", "ovmf"), ("aarch64", "qemu-efi-aarch64")):
            line = user.refused(HOST, "run", "m", "--image", disk, "--image-unverified", "--arch", arch, "--firmware", "uefi", "-d")
            assert package in line, line
            user.nothing_left()


def test_a_port_that_was_taken_since_fails_the_start_and_says_so():
    port = free_port()
    with User() as user:
        user.boot("m", boot_sectors.deaf(user.home), forwards=[f"{port}:80"])
        user.do("kill", "m")
        with socket.create_server(("127.0.0.1", port)):
            assert str(port) in user.refused(HOST, "start", "m", "-d")
            instance = user.status("m")
            assert (instance["state"], instance.get("pid")) == ("failed", None)
        assert user.api("POST", "/v1/instances/m/start", {})[0] == 202
        user.wait_state("m", "running", 30)


def test_the_port_for_ssh_moves_where_it_was_taken_since():
    with User() as user:
        port = user.boot("m", boot_sectors.deaf(user.home))["ssh_port"]
        user.do("kill", "m")
        with socket.create_server(("127.0.0.1", port)):
            assert user.api("POST", "/v1/instances/m/start", {})[0] == 202
            assert user.wait_state("m", "running", 30)["ssh_port"] != port
        assert any(f"port {port} was taken" in event.get("text", "") for event in user.events("m"))


@pytest.mark.parametrize("isolate", [False, True])
def test_a_start_is_repeated_when_another_program_takes_the_port_for_ssh_meanwhile(isolate):
    with FragileUser() as user:
        port = user.boot("m", boot_sectors.deaf(user.home), isolate=isolate)["ssh_port"]
        user.do("kill", "m")
        user.arm("slow 60000 1")  # QEMU becomes its program when the record that names its process is on disk
        user.start("start", "m", "-d")
        wait_for("QEMU is about to start", lambda: any(step.startswith("fork") for step in user.steps()), 30)
        with socket.create_server(("127.0.0.1", port)):
            user.disarm()
            assert user.wait_state("m", "running", 30)["ssh_port"] != port
        told = user.texts("m")
        assert "another program took a port while QEMU was starting: starting it afresh" in told, told


def test_an_unknown_instance_is_refused_with_the_nearest_name(user):
    assert "piagent ps" in user.refused(NOT_FOUND, "status", "nobody")


def test_a_runtime_folder_that_others_can_write_is_refused():
    with User() as user:
        user.do("ps")
        user.do("agent", "stop")
        user.runtime.chmod(0o777)
        assert "chmod" in user.refused(HOST, "ps")
        user.runtime.chmod(0o700)
        user.do("ps")


def test_a_runtime_folder_of_another_user_is_refused():
    if os.geteuid() != 0:
        pytest.skip("cannot here: only root can give a folder away")
    with User() as user:
        user.runtime.mkdir(mode=0o700)
        os.chown(user.runtime, 65534, 65534)
        assert "another user" in user.refused(HOST, "ps")
        assert list(user.runtime.iterdir()) == []


NOT_UTF8 = os.fsdecode(b"\xff")


def test_what_is_not_utf8_is_refused_by_its_name(user, disk):
    (user.home / "latin1.sh").write_bytes(b"#!/bin/sh\necho \xe9\n")
    named = user.home / f"{NOT_UTF8}.raw"
    shutil.copy(disk, named)
    for option, value in ("--image", named), ("--user", NOT_UTF8), ("--forward", NOT_UTF8), ("--user-data", user.home / "latin1.sh"):
        assert option in user.refused(USAGE, "run", "m", "--image", disk, option, value)
    assert "rename it" in user.refused(USAGE, "image", "fetch", named, "--unverified")
    with User(XDG_DATA_HOME=str(user.home / NOT_UTF8)) as other:
        assert "XDG_DATA_HOME" in other.refused(HOST, "ps")
    nothing_left(user)


def test_the_certificates_of_the_command_are_used_by_its_fetch(user):
    with socket.create_server(("127.0.0.1", 0)) as server:
        user.env["CURL_CA_BUNDLE"] = "/nonexistent/ca.pem"
        url = f"https://127.0.0.1:{server.getsockname()[1]}/x.qcow2"
        said = user.refused(NETWORK, "run", "m", "--image", url, "--image-unverified", "-d")
        del user.env["CURL_CA_BUNDLE"]
    assert "/nonexistent/ca.pem" in said or "certificate" in said, said
    nothing_left(user)


def test_a_socket_path_that_is_too_long_is_refused():
    with User() as user:
        user.do("ps")
        long = user.home / ("x" * 100)
        long.mkdir(mode=0o700)
        ordinary, user.env["XDG_RUNTIME_DIR"] = user.env["XDG_RUNTIME_DIR"], str(long)
        assert "XDG_RUNTIME_DIR" in user.refused(HOST, "ps")
        user.env["XDG_RUNTIME_DIR"] = ordinary


def test_a_name_too_long_for_its_sockets_is_refused_before_anything_is_fetched():
    with User() as user, socket.create_server(("127.0.0.1", 0)) as server:
        long = user.home / ("x" * 30)
        long.mkdir(mode=0o700)
        user.env["XDG_RUNTIME_DIR"], user.runtime = str(long), long / "piagent"
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x.qcow2"
        said = user.refused(HOST, "run", "n" * 63, "--image", url, "--image-unverified", "-d")
        assert f"the name {'n' * 63} is too long" in said and "XDG_RUNTIME_DIR" in said
        assert not select.select([server], [], [], 0)[0]
        most = int(re.search(r"room for (\d+) characters", said).group(1))
        user.boot("n" * most, boot_sectors.deaf(user.home))
        user.do("rm", "--force", "n" * most)
        nothing_left(user)


def test_how_long_the_agent_is_up_does_not_depend_on_the_hosts_clock():
    tomorrow = {"version": "1", "pid": os.getpid(), "started_ms": int((time.time() + 86400) * 1000), "instances": 0, "running": 0,
                "imds_port": 1, "state_folder": "/x"}
    body = json.dumps(tomorrow).encode()

    def answer(server):
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as client:
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                                   b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    with User() as user, socket.socket(socket.AF_UNIX) as server:
        user.runtime.mkdir(mode=0o700)
        server.bind(str(user.runtime / "agent.sock"))
        server.listen()
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        up = re.search(r"up (\S+)\n", user.do("agent", "status")).group(1)
        assert re.fullmatch(r"(\d+ms|[\d.]+s|\d+m\d+s|\d+h\d+m)", up), up
        server.shutdown(socket.SHUT_RDWR)


def test_a_second_agent_with_other_sockets_leaves_the_instances_alone(disk):
    with User() as user, socket.create_server(("127.0.0.1", 0)) as silent:
        user.boot("pi", disk)
        half = f"http://127.0.0.1:{silent.getsockname()[1]}/half.qcow2"
        assert user.create("half", image=half, image_unverified=True, arch="x86_64")[0] == 202
        before = user.ps(), user.api("GET", "/v1/agent")[1]["imds_port"]
        other = user.home / "other"
        other.mkdir(mode=0o700)
        ordinary, user.env["XDG_RUNTIME_DIR"] = user.env["XDG_RUNTIME_DIR"], str(other)
        said = user.refused(AGENT, "ps")
        assert f"(process {user.agent_pid()}, its sockets in {user.runtime})" in said
        assert str(user.instances) in said and said.endswith(f"begin commands with: XDG_RUNTIME_DIR={ordinary}"), said
        user.env["XDG_RUNTIME_DIR"] = ordinary
        user.kill_agent()
        user.do("ps")
        after = user.ps()
        assert [instance["name"] for instance in after] == ["pi"]  # what was being made ends with its agent
        assert (after[0]["pid"], user.api("GET", "/v1/agent")[1]["imds_port"]) == (before[0][1]["pid"], before[1])


def test_who_waits_for_another_command_that_starts_the_agent_says_so():
    with User() as user:
        user.do("ps")
        user.do("agent", "stop")
        with open(user.runtime / "start.lock", "r+", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            waits = user.start("ps")
            assert waits.stdout.readline() == "another command is starting the agent: waiting for it\n"
        assert "no instance" in waits.communicate(timeout=60)[0] and waits.returncode == 0


def test_a_parent_that_ignores_its_children_keeps_no_instance_from_being_made(disk):
    ignoring = 'trap "" CHLD; exec "$@"'
    with User() as user:
        run = user.start("run", "pi", "--image", disk, "--image-unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M",
                         through=["bash", "-c", ignoring, "sh"])
        wait_for("it runs", lambda: b"\n" in user.console("pi") or run.poll() is not None, 60)
        assert user.state("pi") == "running"


def test_an_agent_that_does_not_run_is_said_and_started_by_what_needs_it():
    with User() as user:
        user.do("ps")
        user.do("agent", "stop")
        assert "no agent runs" in user.refused(AGENT, "agent", "status")
        assert "no agent runs" in user.call("agent", "stop").stderr
        user.do("ps")
        assert str(user.agent_pid()) in user.do("agent", "status")


def test_an_agent_that_cannot_start_says_why():
    with User() as user:
        (user.home / "data/piagent").mkdir(parents=True, mode=0o700)
        (user.home / "data/piagent/instances").touch()
        assert "instances" in user.refused(HOST, "ps")
        (user.home / "data/piagent/instances").unlink()
        user.do("ps")


def test_image_that_changed_or_is_gone_is_not_booted(user, disk):
    user.boot("pi", disk)
    user.do("kill", "pi")
    stored = user.home / f"cache/piagent/images/sha256-{user.status('pi')['image_sha256']}.raw"
    os.utime(stored, (1000000, 1000000))
    said = user.refused(UNVERIFIED, "start", "pi")
    assert "is not the file that was checked" in said and "piagent image verify" in said
    user.do("image", "verify")
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    user.wait_state("pi", "running", 30)
    user.do("kill", "pi")
    stored.rename(user.home / "away")
    assert "piagent image fetch" in user.refused(NOT_FOUND, "start", "pi")
    (user.home / "away").rename(stored)
    assert user.api("POST", "/v1/instances/pi/start", {})[0] == 202
    user.do("rm", "--force", "pi")
    nothing_left(user)
