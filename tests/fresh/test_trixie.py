# SPDX-License-Identifier: MIT
"""Debian 13 (gcc 14, QEMU 10, libmicrohttpd 1), from nothing, for an ordinary user with sudo."""

import pytest
from fresh_root import FreshRoot


@pytest.fixture(scope="module")
def root():
    with FreshRoot("trixie") as root:
        yield root


def test_a_user_with_sudo_gets_from_nothing_to_a_guest_that_did_its_job(root):
    root.quickstart("sudoer")


def test_doctor_finds_nothing_that_instances_cannot_do_without(root):
    said = root.run("sudoer", "build/release/piagent doctor --offline")
    assert " 0 failed: this host can run x86_64 guests" in said and "QEMU for x86_64     10." in said, said


def test_the_tests_are_built_without_a_warning_once_what_they_need_is_there(root):
    said = root.run("sudoer", "scripts/build release piagent")
    assert "build: the tests are not built: they need cmocka and pytest (scripts/packages unit)" in said, said
    root.run("sudoer", "scripts/packages unit && PIAGENT_WERROR=ON PIAGENT_TESTS=ON scripts/build release "
                       "&& ctest --test-dir build/release -L unit -j 2 --output-on-failure")
