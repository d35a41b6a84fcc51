# SPDX-License-Identifier: MIT
"""The quickstart on a Debian 12 that has nothing but apt."""

import pytest
from fresh_root import FreshRoot


@pytest.fixture(scope="module")
def root():
    with FreshRoot("bookworm") as root:
        yield root


def test_a_user_who_may_install_nothing_is_told_what_is_missing(root):
    said = root.run("plain", "! ./scripts/quickstart && ! scripts/build && ! test -e build/release")
    assert "packages: these are missing: cmake ninja-build gcc" in said, said
    assert "packages: installing needs root: run this as root, or as a user who may use sudo" in said, said
    assert "build: there is no cmake here: scripts/packages build installs what a build needs" in said, said


def test_root_gets_from_nothing_to_a_guest_that_did_its_job(root):
    said = root.quickstart("root")
    assert "packages: these are missing: cmake" in said and "installing" in said, said


def test_an_ordinary_user_gets_there_without_sudo_when_the_packages_are_there(root):
    said = root.quickstart("plain")
    assert "packages: these" not in said, said
