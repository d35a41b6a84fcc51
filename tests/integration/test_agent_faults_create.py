# SPDX-License-Identifier: MIT
"""An instance is created and removed whole, or not at all, whatever step of it the disk fails."""

import errno
import os
import signal

import agent_steps
import boot_sectors
import pytest
from faults import FragileUser
from fedora_server import FedoraServer, Image
from piagent import FAILED, User, fake_qemu, is_running, wait_for


def test_whatever_step_of_a_creation_or_a_removal_fails_the_agent_goes_on():
    agent_steps.check_failures(["create", "clone", "rm"])


def test_what_the_worker_makes_is_on_disk_before_the_instance_is_said_to_be_made():
    with agent_steps.one_user() as user:
        agent_steps.bring(user, "stopped")
        folder = user.instances / "pi"

        def prepare(line):
            for file in [folder / "disk.qcow2", folder / "known_hosts", *folder.glob("ssh_*")]:
                file.unlink(missing_ok=True)
            user.arm(line)
            return user.run_worker("prepare", folder=str(folder))
        assert prepare("count").returncode == 0
        synced = [step for step in user.steps() if step.startswith("fsync ")]
        assert {f"fsync {path.name}" for path in folder.iterdir()} <= set(synced) and synced[-1] == "fsync pi", synced
        last = len(user.steps())
        for step in (last - 1, last):  # of a file, and of the folder
            failed = prepare(f"fail {step} 1 {errno.EIO}")
            assert failed.returncode == FAILED and os.strerror(errno.EIO) in failed.stdout, failed


@pytest.mark.parametrize("how", ["it fails", "it is removed", "its agent is killed"])
def test_a_creation_that_comes_to_no_end_leaves_no_link_in_the_image_store(how):
    with User(**fake_qemu()) as user:
        images, linked, tools = user.home / "cache/piagent/images", user.home / "linked", user.home / "tools"
        tools.mkdir()
        (tools / "qemu-img").write_text(f"#!/bin/sh\nls {images}/*.use-* > {linked}\n{'exit 1' if how == 'it fails' else 'exec sleep 600'}\n")
        (tools / "qemu-img").chmod(0o755)
        user.env["PATH"] = f"{tools}:{user.env['PATH']}"
        assert user.create("half", image=boot_sectors.deaf(user.home), image_unverified=True, arch="x86_64", firmware="uefi", accel="tcg")[0] == 202
        wait_for("its disk is being made", lambda: linked.exists() and linked.read_text(), 30)
        if how == "it is removed":
            user.do("rm", "--force", "half")
        elif how == "its agent is killed":
            user.kill_agent()
            user.do("ps")
        user.nothing_left()
        assert not list(images.glob("*.use-*"))


def test_an_agent_ends_even_if_a_creation_that_is_cancelled_cannot_be_removed():
    with FragileUser() as user, FedoraServer([Image("x86_64", boot_sectors.deaf(user.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        environment = [f"{name}={value}" for name, value in fedora.env.items()]
        assert user.create("half", arch="x86_64", environment=environment)[0] == 202
        wait_for("it downloads", lambda: any(path.startswith("/mirror/") for path in fedora.requests), 30)
        agent = user.agent_pid()
        user.arm("slow 600000")
        user.start("rm", "half")
        wait_for("the folder is being removed", lambda: "rename" in [step.split()[0] for step in user.steps()], 30, 0.02)
        os.kill(agent, signal.SIGTERM)
        wait_for("the agent is ending", lambda: "SIGTERM: the agent stops" in user.log(), 30)
        user.arm(f"fail 1 1 {errno.EIO}")
        wait_for("the agent has ended", lambda: not is_running(agent), 30)
        user.disarm()
        user.do("ps")  # the next agent finds what was left
        wait_for("it is removed", lambda: not list(user.instances.iterdir()), 30)
