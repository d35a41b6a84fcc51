"""A machine is created and removed whole, or not at all, whatever step of it the disk fails."""

import agent_steps


def test_whatever_step_of_a_creation_or_a_removal_fails_the_agent_goes_on():
    agent_steps.check_failures(["create", "rm"])
