# SPDX-License-Identifier: MIT
"""piagent up and down with a fleet of two hundred."""

import os

from piagent import fake_qemu
from reporters import Reporters
from test_fleet_up import Fleet

COUNT = 40 if os.path.basename(os.environ["PIAGENT_BUILD"]) == "asan" else 200


def test_two_hundred_instances_come_up_and_go_down():
    with Fleet(**fake_qemu()) as user:
        user.write(f"instances: {{server: {{}}, node: {{count: {COUNT - 1}, after: {{server: ready}}}}}}\n")
        with Reporters(user):
            assert user.up("--overcommit", "--parallel", "20", timeout=300).endswith(f"fleet: {COUNT} instances are ready\n")
        assert user.up("--overcommit") == f"fleet: nothing is to be done: {COUNT} instances are there\n"
        user.do("down", "--fleet", "fleet", timeout=100)
        assert set(user.states().values()) == {"stopped"} and len(user.states()) == COUNT
