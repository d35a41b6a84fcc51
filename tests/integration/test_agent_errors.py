"""Bad input: one line that says what to do, the documented exit code, and nothing left behind."""

import os
import socket

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import AGENT, CONFLICT, HOST, NOT_FOUND, UNVERIFIED, USAGE, User


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
    assert not list(user.instances.iterdir())
    assert sorted(path.name for path in user.runtime.iterdir() if path.suffix in (".qmp", ".console")) == []


CASES = {
    "a_name_that_is_no_host_name": (USAGE, ["Not_A_Host"], "host name"),
    "an_unknown_option": (USAGE, ["m", "--memroy", "1G"], "--memory"),
    "a_size_that_is_none": (USAGE, ["m", "--memory", "lots"], "1G"),
    "an_unknown_architecture": (USAGE, ["m", "--arch", "riscv"], "x86_64"),
    "an_image_that_is_not_there": (NOT_FOUND, ["m", "--image", "./missing.qcow2"], "missing.qcow2"),
    "a_file_without_a_checksum": (UNVERIFIED, ["m", "--image", "DISK"], "--image-sha256"),
    "a_wrong_checksum": (UNVERIFIED, ["m", "--image", "DISK", "--image-sha256", "0" * 64], "0" * 64),
    "a_disk_smaller_than_its_image": (USAGE, ["m", "--image", "BIG", "--image-unverified", "--disk", "1M"], "MiB"),
    "more_memory_than_the_host_has": (HOST, ["m", "--image", "DISK", "--image-unverified", "--memory", "900G"], "900 GiB"),
    "too_little_memory": (USAGE, ["m", "--image", "DISK", "--image-unverified", "--memory", "16M"], "256"),
    "kvm_for_a_foreign_architecture": (HOST, ["m", "--image", "DISK", "--image-unverified", "--arch", "FOREIGN", "--accel", "kvm"],
                                       "--accel"),
    "a_busy_port": (HOST, ["m", "--image", "DISK", "--image-unverified", "--forward", "PORT:80"], "PORT"),
    "user_data_that_is_not_yaml": (USAGE, ["m", "--user-data", "YAML"], "line 4, column"),
    "user_data_without_its_first_line": (USAGE, ["m", "--user-data", "HEADLESS"], "#cloud-config"),
    "a_key_file_that_is_not_there": (NOT_FOUND, ["m", "--ssh-key", "/missing.pub"], "/missing.pub"),
    "a_private_key": (USAGE, ["m", "--ssh-key", "PRIVATE"], ".pub"),
    "a_password_in_place_of_its_hash": (USAGE, ["m", "--password-hash", "secret"], "hash-password"),
}


@pytest.fixture(scope="module")
def words(user, disk):
    """What stands in capitals in the cases."""
    big = user.home / "big.raw"
    with open(disk, "rb") as boot:
        big.write_bytes(boot.read(512) + bytes((4 << 20) - 512))
    (user.home / "broken.yaml").write_text("#cloud-config\nusers:\n  - name: [x\nb: 1\n")
    (user.home / "headless.yaml").write_text("users: []\n")
    (user.home / "id").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        yield {"DISK": disk, "BIG": str(big), "YAML": str(user.home / "broken.yaml"),
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
        for program in ("ssh-keygen", "qemu-img"):
            (bare / program).symlink_to(f"/usr/bin/{program}")
        user.env["PATH"] = str(bare)
        line = user.refused(HOST, "run", "m", "--image", disk, "--image-unverified", "-d")
        assert "install qemu-system" in line
        assert user.ps() == []


def test_a_name_in_use_and_a_machine_that_runs_are_kept(user, disk):
    assert user.create("kept", image=disk, image_unverified=True, memory_mib=256, disk_bytes=1 << 20)[0] == 202
    user.wait_state("kept", "running", 60)
    assert "piagent rm kept" in user.refused(CONFLICT, "run", "kept", "--image", disk, "--image-unverified", "-d")
    assert "powerdown" in user.refused(CONFLICT, "rm", "kept")
    user.do("rm", "--force", "kept")
    nothing_left(user)


def test_an_unknown_machine_is_refused_with_the_nearest_name(user):
    assert "piagent ps" in user.refused(NOT_FOUND, "status", "nobody")


def test_the_api_refuses_what_it_does_not_know(user):
    status, answer = user.api("GET", "/v1/nothing")
    assert status == 404 and answer["error"]["kind"] == "not-found"
    status, answer = user.api("POST", "/v1/instances", "{not json")
    assert status == 400 and answer["error"]["kind"] == "usage"
    status, answer = user.api("POST", "/v1/instances", {"name": "m", "colour": "red"})
    assert status == 400 and "colour" in answer["error"]["message"]


def test_a_runtime_folder_that_others_can_write_is_refused():
    with User() as user:
        user.do("ps")
        user.do("agent", "stop")
        user.runtime.chmod(0o777)
        assert "chmod" in user.refused(HOST, "ps")
        user.runtime.chmod(0o700)
        user.do("ps")


def test_a_socket_path_that_is_too_long_is_refused():
    with User() as user:
        user.do("ps")
        long = user.home / ("x" * 100)
        long.mkdir(mode=0o700)
        ordinary, user.env["XDG_RUNTIME_DIR"] = user.env["XDG_RUNTIME_DIR"], str(long)
        assert "XDG_RUNTIME_DIR" in user.refused(HOST, "ps")
        user.env["XDG_RUNTIME_DIR"] = ordinary


def test_status_and_stop_of_an_agent_that_does_not_run_say_so():
    with User() as user:
        user.do("ps")
        user.do("agent", "stop")
        assert user.call("agent", "status").returncode in (0, AGENT)
        user.do("agent", "stop")
        user.do("ps")
