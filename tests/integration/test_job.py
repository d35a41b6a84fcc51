# SPDX-License-Identifier: MIT
"""run --job: an instance as a batch job, alone and under a real Slurm. Nothing is left when the job ends, however it ends."""

import contextlib
import copy
import os
import pathlib
import signal
import socket

import boot_sectors
import pytest
from fedora_server import FedoraServer, Image
from piagent import GUEST, PIAGENT, SOURCE, TIMEOUT, USAGE, User, fake_qemu, wait_for
from slurm import Slurm
from test_hostile_guest import Guest
from test_progress import boot_to_the_end, finish


@pytest.fixture
def user():
    with User() as user:
        (user.home / "tmp").mkdir()
        user.env["TMPDIR"] = str(user.home / "tmp")
        yield user


@pytest.fixture
def fakes(user):
    user.env.update(fake_qemu())
    return user


def options(disk):
    return ["--image", disk, "--unverified", "--arch", "x86_64", "--accel", "tcg", "--disk", "1M"]


def start(user, disk, *more, environment=(), name="pi"):
    return user.start("run", name, "--job", *options(disk), *more, environment=environment)


def inside(user, name="pi"):
    """The user as a command in the job of that instance sees things, once its guest has said hello."""
    def find():
        return [path for path in (user.home / "tmp").glob(f"piagent-job-*/piagent/instances/{name}/console.log") if b"hello" in path.read_bytes()]
    folder = wait_for(f"{name} says hello", find, 60)[0].parents[3]
    other = copy.copy(user)
    other.env = {**user.env, "XDG_DATA_HOME": str(folder), "XDG_RUNTIME_DIR": str(folder / "run")}
    other.instances, other.runtime = folder / "piagent/instances", folder / "run/piagent"
    other.wait_state(name, "running", 30)
    return other


def nothing_is_left(user):
    wait_for("all processes have ended", lambda: not user.processes(), 20)
    assert list((user.home / "tmp").iterdir()) == [] and not user.instances.exists()
    assert not list((user.home / "cache/piagent/images").glob("*.use-*"))


def test_a_guest_that_powers_itself_off_after_its_boot_is_a_job_that_succeeded(user):
    job = start(user, boot_sectors.poweroff_when_told(user.home))
    there = inside(user)
    boot_to_the_end(Guest(there, "pi"))
    there.wait_state("pi", "ready")
    there.type("pi", "x")
    code, out = finish(job)
    assert code == 0 and "hello" in out, out
    nothing_is_left(user)


def test_a_guest_that_powers_itself_off_before_it_was_ready_is_a_job_that_failed(user):
    job = start(user, boot_sectors.poweroff_when_told(user.home))
    inside(user).type("pi", "x")
    code, out = finish(job)
    assert code == GUEST and "pi stopped before it was ready" in out, out
    nothing_is_left(user)


def test_a_boot_that_fails_ends_the_job(user):
    job = start(user, boot_sectors.obedient(user.home))
    there = inside(user)
    there.type("pi", "x")
    boot_to_the_end(Guest(there, "pi"), "FAIL", ["modules-final/config-scripts-user"])
    code, out = finish(job)
    assert code == GUEST and "cloud-init failed" in out and "the guest powered itself off" in out, out
    nothing_is_left(user)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_every_process_of_the_job_powers_the_guest_down(user, number):
    """As schedulers send it: to the command, the agent and QEMU alike, and perhaps again."""
    job = start(user, boot_sectors.obedient(user.home))
    there = inside(user)
    there.type("pi", "x")
    wait_for("the guest is up", lambda: b"up" in there.console("pi"), 30)
    for _ in range(2):
        for pid in user.processes():
            with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(pid, number)
    code, out = finish(job)
    assert code == 128 + number and "the guest powered itself off" in out and "runs on" not in out, out
    nothing_is_left(user)


def test_a_guest_that_does_not_obey_is_ended_before_the_scheduler_would_kill_the_job(user):
    job = start(user, boot_sectors.deaf(user.home), "--grace", "1s")
    inside(user)
    job.send_signal(signal.SIGTERM)
    code, out = finish(job, timeout=25)
    assert code == 128 + signal.SIGTERM and "ended by QEMU's quit" in out, out
    nothing_is_left(user)


def test_a_job_that_is_killed_leaves_no_process_and_for_the_next_job_no_files(user):
    job = start(user, boot_sectors.deaf(user.home))
    inside(user)
    assert len(user.processes()) >= 3
    job.kill()
    wait_for("agent and QEMU have ended, too", lambda: not user.processes(), 20)
    (left,) = (user.home / "tmp").iterdir()
    other = start(user, boot_sectors.deaf(user.home), "--grace", "1s", name="other")
    assert inside(user, "other").instances.exists() and not left.exists(), "the next job removes what it has left"
    third = start(user, boot_sectors.deaf(user.home), "--grace", "1s", name="third")
    inside(user, "third")
    assert len(list((user.home / "tmp").iterdir())) == 2, "but nothing of a job that runs"
    for job in (other, third):
        job.send_signal(signal.SIGTERM)
        assert finish(job)[0] == 143


def test_a_job_whose_agent_dies_fails_and_leaves_nothing(fakes):
    job = start(fakes, boot_sectors.deaf(fakes.home))
    inside(fakes).kill_agent()
    code, out = finish(job)
    assert code == GUEST and "pi was lost" in out, out
    nothing_is_left(fakes)


def test_a_job_that_is_interrupted_before_its_guest_runs_is_undone(fakes):
    with FedoraServer([Image("x86_64", boot_sectors.deaf(fakes.home))], faults={"image": "stall", "metalink": "404"}) as fedora:
        job = fakes.start("run", "pi", "--job", "--arch", "x86_64", environment=fedora.env)
        wait_for("it downloads", lambda: list((fakes.home / "cache/piagent/images").glob("*.partial")), 30)
        job.send_signal(signal.SIGTERM)
        code, out = finish(job)
    assert code == 128 + signal.SIGTERM and "interrupted, and undone" in out, out
    nothing_is_left(fakes)


def test_without_progress_a_job_ends(fakes):
    job = start(fakes, boot_sectors.deaf(fakes.home), "--timeout", "1s", "--grace", "1s")
    code, out = finish(job)
    assert code == TIMEOUT and "pi shows no progress" in out, out
    nothing_is_left(fakes)


def test_jobs_side_by_side_share_nothing_but_the_images(fakes):
    disk = boot_sectors.deaf(fakes.home)
    jobs = [start(fakes, disk, name=name) for name in ("one", "two", "same")] + [start(fakes, disk, name="same")]
    folders = [inside(fakes, name).instances for name in ("one", "two")]
    assert len(set(folders)) == 2
    wait_for("both of one name run", lambda: len(list((fakes.home / "tmp").glob("*/piagent/instances/same/qemu.log"))) == 2, 60)
    assert len(list((fakes.home / "cache/piagent/images").glob("sha256-*.raw"))) == 1
    for job in jobs:
        job.send_signal(signal.SIGTERM)
    assert [finish(job)[0] for job in jobs] == [143] * 4
    nothing_is_left(fakes)


def test_a_job_does_without_the_port_for_metrics_of_the_users_usual_agent(fakes):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        job = start(fakes, boot_sectors.deaf(fakes.home), "--grace", "1s", environment={"PIAGENT_METRICS": str(taken.getsockname()[1])})
        inside(fakes)
        job.send_signal(signal.SIGTERM)
        assert finish(job)[0] == 143


def test_processors_and_memory_are_those_of_the_allocation(fakes):
    job = start(fakes, boot_sectors.deaf(fakes.home), environment={"SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "3", "SLURM_MEM_PER_NODE": "2000"})
    shown = inside(fakes).status("pi")
    assert (shown["cpus"], shown["memory_mib"]) == (3, 1680)
    job.send_signal(signal.SIGTERM)
    code, out = finish(job)
    assert code == 143 and "pi: 3 virtual CPUs" in out and "pi: 1680 MiB of memory" in out, out


def test_an_allocation_that_is_too_small_is_refused_with_what_to_ask_for(user):
    user.env.update(SLURM_JOB_ID="7", SLURM_MEM_PER_NODE="500")
    assert "--mem=576M" in user.refused(USAGE, "run", "pi", "--job")
    for option in ("-d", "--no-start", "--memory-max=2G", "--cpu-quota=100"):
        assert "does not go with --job" in user.refused(USAGE, "run", "pi", "--job", option)
    assert "does not go with --job" in user.refused(USAGE, "--host", "ssh://other", "run", "pi", "--job")
    assert "which has no networks" in user.refused(USAGE, "run", "pi", "--job", "--network", "lab")
    assert "--grace goes with --job" in user.refused(USAGE, "run", "pi", "--grace", "1s")
    nothing_is_left(user)


def test_slurm_runs_an_array_of_instances_and_scancel_powers_one_down(user):
    if os.geteuid() != 0:
        pytest.skip("cannot here: slurmd runs jobs of others, which only root may do")
    example = pathlib.Path(SOURCE) / "tests/examples/slurm"
    disk = boot_sectors.obedient(user.home)
    user.env["PATH"] = f"{os.path.dirname(PIAGENT)}:{user.env['PATH']}:/usr/sbin"
    with Slurm(user.home / "slurm", user.env) as slurm:
        number = slurm.submit(example, "--array=1-2", "--cpus-per-task=1", "--mem=600", f"--output={user.home}/%a.log",
                              "array.sh", *options(disk))
        tasks = {task: inside(user, f"pi-{task}") for task in (1, 2)}
        for task, there in tasks.items():
            shown = there.status(f"pi-{task}")
            assert (shown["cpus"], shown["memory_mib"]) == (1, 280)
            there.type(f"pi-{task}", "x")
            boot_to_the_end(Guest(there, f"pi-{task}"))
            there.wait_state(f"pi-{task}", "ready")
        tasks[1].do("powerdown", "pi-1")
        slurm.ask("scancel", f"{number}_2")
        slurm.wait("the first has ended", lambda: slurm.job(number, 1) == ("COMPLETED", 0, 0))
        slurm.wait("the second was cancelled", lambda: slurm.job(number, 2)[0] == "CANCELLED")
        wait_for("the job's processes have ended", lambda: not [words for words in user.processes().values() if "piagent" in words[0]], 40)
        assert slurm.job(number, 2) == ("CANCELLED", 128 + signal.SIGTERM, 0)
    for task in (1, 2):
        said = (user.home / f"{task}.log").read_text()
        assert "1 virtual CPUs" in said and "hello" in said and "up" in said, said
    assert "the guest powered itself off" in (user.home / "2.log").read_text()
    nothing_is_left(user)
