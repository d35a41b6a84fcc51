# SPDX-License-Identifier: MIT
"""A Slurm of one node on loopback: its daemons run in the foreground, with ports, keys and folders of their own."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import time

from piagent import free_port

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={here}/munge
StateSaveLocation={here}/state
SlurmdSpoolDir={here}/spool
SlurmctldPidFile={here}/slurmctld.pid
SlurmdPidFile={here}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SchedulerParameters=bf_interval=1,sched_interval=1,batch_sched_delay=0
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


class Slurm:
    def __init__(self, folder, env):
        self.here = pathlib.Path(folder)
        self.here.mkdir()
        self.env = {**env, "SLURM_CONF": str(self.here / "slurm.conf")}
        self.daemons = []

    def start(self, *words):
        log = open(self.here / f"{words[0]}.log", "w", encoding="utf-8")
        self.daemons.append(subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def __enter__(self):
        host, here = socket.gethostname().split(".")[0], self.here
        controller, node = free_port(), free_port()
        (here / "slurm.conf").write_text(CONFIGURATION.format(host=host, here=here, controller=controller, node=node, cpus=os.cpu_count()))
        for name in ("state", "spool"):
            (here / name).mkdir()
        (here / "key").touch(0o600)
        (here / "key").write_bytes(os.urandom(1024))
        self.start("munged", "-F", "--force", f"--key-file={here}/key", f"--socket={here}/munge", f"--pid-file={here}/munged.pid",
                   f"--log-file={here}/munged.own.log", f"--seed-file={here}/munged.seed")
        self.wait("munged listens", (here / "munge").exists)
        for daemon in ("slurmctld", "slurmd"):
            self.start(daemon, "-D", "-f", here / "slurm.conf")
        self.wait("the node is there", lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"))
        return self

    def __exit__(self, failure, *_):
        if failure:
            self.print_logs()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.ask("scancel", "--user=root", "--signal=KILL", "--full")
            self.ask("scancel", "--user=root")
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(60)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def print_logs(self):
        for log in self.here.glob("*.log"):
            print(f"--- the end of {log}\n{log.read_text(errors='replace')[-3000:]}")

    def wait(self, what, condition, timeout=60):
        end = time.monotonic() + timeout
        while not condition():
            dead = [daemon.args[0] for daemon in self.daemons if daemon.poll() is not None]
            assert not dead and time.monotonic() < end, (self.print_logs(), f"not within {timeout} s: {what}; ended: {dead}")
            time.sleep(0.1)

    def ask(self, *words, cwd=None):
        return subprocess.run(words, env=self.env, cwd=cwd, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, check=False).stdout

    def submit(self, folder, *words):
        """The number of a job that is submitted in that folder."""
        said = self.ask("sbatch", "--parsable", *words, cwd=folder).strip()
        assert said.isdigit(), said
        return said

    def job(self, number, task):
        """The state, the exit code and the signal of a task of an array."""
        said = self.ask("scontrol", "show", "job", f"{number}_{task}")
        state = re.search(r"JobState=(\w+)", said)
        assert state, said
        code, signal = re.search(r" ExitCode=(\d+):(\d+)", said).groups()
        return state[1], int(code), int(signal)
