# SPDX-License-Identifier: MIT
"""A machine is made, started and removed whole, or not at all, whatever the step at which the agent is killed."""

import agent_steps


def test_a_machine_is_created_and_removed_or_not():
    agent_steps.check(["create", "rm"])
