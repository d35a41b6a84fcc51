# SPDX-License-Identifier: MIT
"""The .deb on a Debian that has none of a build's packages: it brings what a guest needs, and boots one."""

import os
import pathlib
import platform
import shutil
import subprocess

import pytest
from fresh_root import FreshRoot
from piagent import SOURCE, guest_image


def release_of_host():
    return platform.freedesktop_os_release().get("VERSION_CODENAME")


@pytest.mark.skipif(release_of_host() not in ("bookworm", "trixie"), reason="cannot here: this host is no Debian 12 or 13")
def test_the_deb_installs_without_a_builds_packages_and_boots_a_guest(tmp_path):
    made = subprocess.run([f"{SOURCE}/scripts/package", "deb", "--output", tmp_path], stdout=subprocess.PIPE, text=True, check=True, timeout=600,
                          env={**os.environ, "PIAGENT_BUILD_ROOT": str(tmp_path / "build")}).stdout.strip()
    image = f"/guests/{pathlib.Path(guest_image(platform.machine())).name}"
    with FreshRoot(release_of_host()) as root:
        shutil.copy(made, root.folder / "piagent.deb")
        root.run("root", "apt-get -q update && apt-get -q install -y --no-install-recommends /piagent.deb")
        root.run("plain", "! command -v cc && ! command -v cmake && piagent --version && piagent doctor --offline")
        said = root.run("plain", f"piagent run pi-1 --image {image} --image-unverified -d && piagent ssh pi-1 -- hostname && "
                                 "piagent powerdown pi-1 && piagent rm pi-1")
        assert "\npi-1\n" in said and "the guest powered itself off" in said, said
