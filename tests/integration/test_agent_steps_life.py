# SPDX-License-Identifier: MIT
"""An instance that is told to start, stop or pause does so or goes on as before, whatever the step at which the agent is killed."""

import agent_steps


def test_an_instance_is_started_and_killed_or_not():
    agent_steps.check(["start", "kill"])


def test_an_ephemeral_instance_that_ends_goes_on_or_is_gone():
    agent_steps.check(["ephemeral kill"])


def test_an_instance_is_paused_and_resumed_or_not():
    agent_steps.check(["pause", "resume"])


def test_an_instance_is_saved_and_restored_or_not():
    agent_steps.check(["suspend", "restore"])


def test_a_powerdown_is_done_or_not():
    agent_steps.check(["powerdown"])
