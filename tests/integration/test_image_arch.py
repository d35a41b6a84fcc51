# SPDX-License-Identifier: MIT
"""An image of the other architecture is refused before its boot, if its partitions or its name are sure of it."""

import json
import shutil
import struct
import subprocess
import uuid

import pytest
from piagent import USAGE, User, fake_qemu

LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4"
ROOT = {"x86_64": "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "aarch64": "b921b045-1df0-41c3-af44-4c6f280d3fae"}
ESP = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
BIOS_BOOT = "21686148-6449-6e6f-744e-656564454649"
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def disk(user, name, *types, loaders=()):
    """A disk of partitions of a MiB each; the EFI system partition is last and has the rest."""
    path = user.home / f"{name}.raw"
    entries = b"".join(uuid.UUID(kind).bytes_le + uuid.uuid4().bytes + struct.pack("<QQ80x", 2048 * i, 2048 * i + 2047)
                       for i, kind in enumerate(types, 1))
    header = b"EFI PART" + struct.pack("<IIIIQQQQ16xQIII", 0x10000, 92, 0, 0, 1, 32767, 34, 32700, 2, 128, 128, 0)
    path.write_bytes(b"\0" * 510 + b"\x55\xaa" + header.ljust(512, b"\0") + entries)
    with open(path, "r+b") as file:
        file.truncate(16 << 20)
    if loaders:
        at = len(types) << 20
        subprocess.run(["mkfs.vfat", "-F", "16", "--offset", str(at // 512), path, str((16 << 10) - (at >> 10))], check=True,
                       stdout=subprocess.DEVNULL, timeout=60)
        for command in [["mmd", "::EFI", "::EFI/BOOT"], *(["mcopy", "/etc/os-release", f"::EFI/BOOT/{loader}"] for loader in loaders)]:
            subprocess.run([command[0], "-i", f"{path}@@{at}", *command[1:]], check=True, timeout=60)
    return path


def packed(user, path):
    """The same disk as Fedora packs its own."""
    qcow2 = path.with_suffix(".qcow2")
    subprocess.run(["qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", path, qcow2], check=True, timeout=60)
    return qcow2


def words(image, arch):
    return ["run", "box", "--image", str(image), "--image-unverified", "--arch", arch, "--accel", "tcg", "--memory", "256M", "--disk",
            "64M", "-d", "--timeout", "1s"]


def test_an_image_whose_partitions_are_for_the_other_architecture_is_refused_and_leaves_nothing(user):
    disks = {"x86_64": [disk(user, "dps", ROOT["x86_64"], LINUX), disk(user, "bios", BIOS_BOOT, LINUX),
                        packed(user, disk(user, "efi", LINUX, ESP, loaders=["BOOTX64.EFI"]))],
             "aarch64": [packed(user, disk(user, "dps-arm", LINUX, ROOT["aarch64"])),
                         disk(user, "efi-arm", LINUX, ESP, loaders=["BOOTAA64.EFI"]),
                         packed(user, disk(user, "fedora-arm", ESP, loaders=["grubaa64.efi", "BOOTAA64.EFI"]))]}
    for arch, images in disks.items():
        for image in images:
            said = user.refused(USAGE, *words(image, OTHER[arch]))
            assert f"{image.name} is an image for {arch}" in said and f"--arch {arch}" in said, said
            assert user.ps() == []
            user.nothing_left()
            assert "shows no progress" in user.call(*words(image, arch)).stderr
            user.do("rm", "--force", "box")


def test_an_image_that_is_not_sure_is_booted(user):
    both = disk(user, "both", BIOS_BOOT, ESP, loaders=["BOOTX64.EFI", "BOOTAA64.EFI"])
    neither = disk(user, "neither-aarch64", LINUX, ESP, loaders=["BOOTIA32.EFI"])
    for image in (both, neither):
        for arch in OTHER:
            assert "shows no progress" in user.call(*words(image, arch)).stderr
            user.do("rm", "--force", "box")


def test_a_stored_image_is_looked_at_once(user):
    """By the partitions' table and the EFI system partition, with qemu-img. The overlay needs no qemu-img."""
    log, program = user.home / "qemu-img.log", user.home / "bin/qemu-img"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$1" >> {log}\nexec {shutil.which("qemu-img")} "$@"\n')
    program.chmod(0o755)
    user.env["PATH"] = f"{program.parent}:{user.env['PATH']}"
    image = packed(user, disk(user, "efi", LINUX, ESP, loaders=["BOOTX64.EFI"]))
    for _ in range(2):
        assert "shows no progress" in user.call(*words(image, "x86_64")).stderr
        user.do("rm", "--force", "box")
        assert "is an image for x86_64" in user.refused(USAGE, *words(image, "aarch64"))
        assert log.read_text().split() == ["dd", "dd"]
    [kept] = json.loads(user.do("image", "ls", "--json"))["images"]
    assert kept["partitions_arch"] == "x86_64"


def test_a_fedora_image_is_known_by_its_name_before_it_is_read(user):
    image = user.home / "Fedora-Cloud-Base-Generic-44-1.7.aarch64.qcow2"
    shutil.copy("/etc/os-release", image)
    said = user.refused(USAGE, *words(image, "x86_64"))
    assert "is an image for aarch64, as its name says" in said and user.ps() == []
    said = user.refused(USAGE, "image", "fetch", f"https://127.0.0.1:1/{image.name}", "--unverified", "--arch", "x86_64")
    assert "--arch aarch64" in said
