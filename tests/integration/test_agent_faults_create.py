# SPDX-License-Identifier: MIT
"""An instance is created and removed whole, or not at all, whatever step of it the disk fails."""

import errno
import json
import os
import subprocess

import agent_steps
from piagent import FAILED, PIAGENT


def test_whatever_step_of_a_creation_or_a_removal_fails_the_agent_goes_on():
    agent_steps.check_failures(["create", "rm"])


def test_what_the_worker_makes_is_on_disk_before_the_instance_is_said_to_be_made():
    with agent_steps.one_user() as user:
        agent_steps.bring(user, "stopped")
        folder = user.instances / "pi"

        def prepare(line):
            for file in [folder / "disk.qcow2", folder / "known_hosts", *folder.glob("ssh_*")]:
                file.unlink(missing_ok=True)
            user.arm(line)
            return subprocess.run([PIAGENT, "worker", "prepare"], env=user.env, input=json.dumps({"folder": str(folder)}),
                                  stdout=subprocess.PIPE, text=True, timeout=60, check=False)
        assert prepare("count").returncode == 0
        synced = [step for step in user.steps() if step.startswith("fsync ")]
        assert {f"fsync {path.name}" for path in folder.iterdir()} <= set(synced) and synced[-1] == "fsync pi", synced
        last = len(user.steps())
        for step in (last - 1, last):  # of a file, and of the folder
            failed = prepare(f"fail {step} 1 {errno.EIO}")
            assert failed.returncode == FAILED and os.strerror(errno.EIO) in failed.stdout, failed
