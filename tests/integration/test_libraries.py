# SPDX-License-Identifier: MIT
"""libqmp and libimds as another program sees them: installed, found by pkg-config, and used as their READMEs say."""

import json
import os
import pathlib
import platform
import re
import secrets
import shlex
import socket
import subprocess
import urllib.error
import urllib.request

import pytest
from piagent import SOURCE, free_port, wait_for

CC = ["cc", "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
HEADERS = {"qmp": {"qmp.h", "commands.h", "guest_agent.h"}, "imds": {"server.h", "registry.h", "report.h", "blob.h"}}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """A folder that has the libraries installed, and nothing else."""
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", os.environ["PIAGENT_BUILD"], "--prefix", folder, "--component", "devel"],
                   stdout=subprocess.DEVNULL, check=True, timeout=60)
    return folder


def flags(prefix, library, *which):
    asked = subprocess.run(["pkg-config", *which, f"lib{library}"], stdout=subprocess.PIPE, text=True, check=True, timeout=60,
                           env={**os.environ, "PKG_CONFIG_PATH": str(next(prefix.glob("lib*/**/pkgconfig")))})
    return shlex.split(asked.stdout)


def example(prefix, library, folder):
    """The program in the library's README, built."""
    source, program = folder / "example.c", folder / "example"
    source.write_text(re.search(r"^```c\n(.*?)^```$", pathlib.Path(SOURCE, library, "README.md").read_text(), re.MULTILINE | re.DOTALL)[1])
    subprocess.run([*CC, source, "-o", program, *flags(prefix, library, "--cflags", "--libs")], check=True, timeout=60)
    return program


@pytest.mark.parametrize("library", HEADERS)
def test_each_header_compiles_alone(prefix, library, tmp_path):
    installed = prefix / "include" / library
    assert {header.name for header in installed.iterdir()} == HEADERS[library]
    for header in installed.iterdir():
        (tmp_path / "alone.c").write_text(f"#include <{library}/{header.name}>\n")
        subprocess.run([*CC, "-fsyntax-only", tmp_path / "alone.c", *flags(prefix, library, "--cflags")], check=True, timeout=60)


def test_the_qmp_example_prints_the_state_of_a_qemu(prefix, tmp_path):
    program, path = example(prefix, "qmp", tmp_path), tmp_path / "qmp.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        qemu = subprocess.Popen([f"qemu-system-{platform.machine()}", "-machine", "none", "-nodefaults", "-display", "none", "-S",
                                 "-chardev", f"socket,id=qmp,fd={listener.fileno()},server=on,wait=off", "-mon", "chardev=qmp,mode=control"],
                                pass_fds=[listener.fileno()])
    try:
        said = subprocess.run([program, path], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
        assert said == "prelaunch\n"
    finally:
        qemu.kill()
        qemu.wait()
    gone = subprocess.run([program, path], capture_output=True, text=True, timeout=60, check=False)
    assert gone.returncode == 1 and str(path) in gone.stderr


def test_the_imds_example_serves_a_guest_until_its_boot_is_over(prefix, tmp_path):
    program, key = example(prefix, "imds", tmp_path), secrets.token_hex(16)
    port = free_port()
    server = subprocess.Popen([program, str(port), key], stdout=subprocess.PIPE, text=True)

    def ask(path, body=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", body, timeout=60) as answer:
            return answer.read()

    def is_up():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_for("the example listens", is_up, 60)
        assert b"instance-id: box" in ask(f"{key}/meta-data") and ask(f"{key}/user-data").startswith(b"#cloud-config\n")
        assert ask(f"{key}/vendor-data") == b""
        with pytest.raises(urllib.error.HTTPError, match="404"):
            ask(f"{secrets.token_hex(16)}/meta-data")
        for name in ("modules-config", "modules-final"):
            ask(f"{key}/events", json.dumps({"name": name, "event_type": "finish", "timestamp": 1.0, "result": "SUCCESS"}).encode())
        said, _ = server.communicate(timeout=60)
        assert (server.returncode, said) == (0, "box: ends modules-config\nbox: ends modules-final\n")
    finally:
        server.kill()
        server.wait()
