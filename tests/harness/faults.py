# SPDX-License-Identifier: MIT
"""A user whose agent breaks at a chosen step (faults.c): it is killed there, or what it does there fails."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

from piagent import PIAGENT, User, is_running, wait_for

LIBRARY = f"{os.environ['PIAGENT_BUILD']}/tests/faults.so"


class FragileUser(User):
    def __init__(self, **environment):
        super().__init__(LD_PRELOAD=LIBRARY, **environment)
        # The preloaded library comes before the sanitizer's, and has nothing that this one would have to see.
        self.env["ASAN_OPTIONS"] = ":".join(filter(None, [self.env.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        self.control, self.serial = self.home / "faults", 0
        self.env["FAULTS"] = str(self.control)

    def arm(self, line):
        """From now on the steps are counted, and what the line says happens at one of them."""
        self.serial += 1
        self.control.with_suffix(".log").unlink(missing_ok=True)
        new = self.control.with_suffix(".new")
        new.write_text(f"{line} #{self.serial}\n")
        new.rename(self.control)

    def disarm(self):
        self.control.unlink()

    def steps(self):
        """The steps since then: "rename record.json"."""
        log = self.control.with_suffix(".log")
        lines = log.read_text().splitlines() if log.exists() else []
        return [re.sub(r"\.[0-9a-f]{8}$", "", re.sub(r"/\S*/", "", line.partition(" ")[2])) for line in lines]

    def run_agent(self):
        """An agent whose parent is this test, with a log of its own: its process."""
        with open(self.home / "agent.log", "wb") as log:
            process = subprocess.Popen([PIAGENT, "agent"], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.followers.append(process)
        return process

    def run_worker(self, kind, **request):
        """A worker alone, without an agent: how it ended."""
        return subprocess.run([PIAGENT, "worker", kind], env=self.env, input=json.dumps(request), stdout=subprocess.PIPE, text=True,
                              timeout=60, check=False)

    def ask(self, method, path, body=None, timeout=60):
        """Status and JSON, as of api(), of a request that the agent may not live to answer: then 0."""
        agent = http.client.HTTPConnection("piagent", timeout=timeout)
        agent.sock = socket.socket(socket.AF_UNIX)
        try:
            agent.sock.settimeout(timeout)
            agent.sock.connect(str(self.runtime / "agent.sock"))
            agent.request(method, path, body if isinstance(body, str) else json.dumps(body) if body is not None else None)
            answer = agent.getresponse()
            return answer.status, json.loads(answer.read() or "null")
        except (OSError, http.client.HTTPException):
            return 0, None
        finally:
            agent.close()

    def stray(self):
        """Leftovers that belong to no instance: processes, sockets, folders, files of interrupted writes."""
        instances = self.ps()
        names, live = {m["name"] for m in instances}, {m["name"] for m in instances if "pid" in m}
        sockets = {path.name for path in self.runtime.glob("*.*") if path.suffix in (".qmp", ".console")}
        return ([f"process {pid}: {' '.join(words)}" for pid, words in self.processes().items()
                 if pid not in {self.agent_pid(), *(m.get("pid") for m in instances)}] +
                [f"socket {name}" for name in sorted(sockets ^ {f"{name}.{end}" for name in live for end in ("qmp", "console")})] +
                [f"folder {name}" for name in sorted({path.name for path in self.instances.iterdir()} ^ names)] +
                [f"file {path}" for top in (self.instances.parent, self.runtime) for path in top.rglob(".*")])

    def nothing_strays(self):
        end = time.monotonic() + 30
        while stray := self.stray():
            assert time.monotonic() < end, stray
            time.sleep(0.05)


def killed(process_or_pid, timeout=60):
    """Waits for the agent's end; whether it was one by SIGKILL (which only its parent sees)."""
    if isinstance(process_or_pid, subprocess.Popen):
        return process_or_pid.wait(timeout) == -signal.SIGKILL
    wait_for("the agent is killed", lambda: not is_running(process_or_pid), timeout, 0.02)
    return True
