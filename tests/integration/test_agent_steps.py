# SPDX-License-Identifier: MIT
"""An instance is made, started and removed whole, or not at all, whatever the step at which the agent is killed."""

import agent_steps


def test_an_instance_is_created_and_removed_or_not():
    agent_steps.check(["create", "create only", "clone", "rm"])
