# SPDX-License-Identifier: MIT
"""An emulated or virtualized aarch64 guest from nothing to its end."""

from guest_life import live


def test_aarch64_guest_is_booted_used_reset_stopped_and_removed():
    live("aarch64")
