# SPDX-License-Identifier: MIT
"""The image store on a file system that several nodes share, with the locks that NFS has (nfs_locks.c): each user here is a node."""

import contextlib
import fcntl
import os
import time

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import User, fake_qemu, wait_for


@pytest.fixture
def nodes():
    with contextlib.ExitStack() as stack:
        users = [stack.enter_context(User(**fake_qemu())) for _ in range(2)]
        for user in users:
            user.env["XDG_CACHE_HOME"] = str(users[0].home / "cache")
            user.env["LD_PRELOAD"] = f"{os.environ['PIAGENT_BUILD']}/tests/nfs_locks.so"
            user.env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
        yield users


def test_an_image_is_downloaded_once_for_all_nodes(nodes):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(nodes[0].home))]) as fedora:
        commands = [user.start("image", "fetch", "fedora", "--arch", "x86_64", environment=fedora.env) for user in nodes]
        for command in commands:
            out, _ = command.communicate(timeout=60)
            assert command.returncode == 0, out
        assert len([path for path in fedora.requests if path.startswith("/mirror") and path.endswith(".qcow2")]) == 1, fedora.requests


def test_a_node_waits_while_another_one_removes_an_image(nodes):
    disk = boot_sectors.deaf(nodes[0].home)
    nodes[0].do("image", "fetch", disk, "--unverified")
    store = nodes[0].home / "cache/piagent/images"
    with open(store / ".lock", "w", encoding="ascii") as lock:  # as the node does that removes
        fcntl.flock(lock, fcntl.LOCK_EX)
        create = nodes[1].start("run", "pi", "--image", disk, "--unverified", "--no-start", "--arch", "x86_64")
        time.sleep(2)
        assert create.poll() is None and not list(store.glob("*.use-*"))
    out, _ = create.communicate(timeout=60)
    assert create.returncode == 0 and list(store.glob("*.use-*")), out


def test_what_a_fetch_has_left_is_removed(nodes):
    store = nodes[0].home / "cache/piagent/images"
    store.mkdir(parents=True, mode=0o700)
    left = store / f"{'0' * 64}.partial"
    left.write_bytes(b"x" * 10000)
    with open(left, "r+b") as held:  # by another node's fetch
        fcntl.flock(held, fcntl.LOCK_EX)
        nodes[1].do("image", "prune")
        assert left.exists()
    nodes[1].do("image", "prune")
    wait_for("it is removed", lambda: not left.exists(), 5)
