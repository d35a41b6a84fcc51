# SPDX-License-Identifier: MIT
"""Many instances in little time: one is made the usual way, and the folders of the others are written after its example.

An agent finds them stopped, as if another one had made them; starting them and taking them over is the agent's own work.
"""

import http.client
import json
import os
import shutil
import socket
import uuid

from piagent import is_running, wait_for

# The agent only reads these files, so all instances can share them. It writes the others for each instance.
SHARED = ("disk.qcow2", "ssh_key", "ssh_key.pub", "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "known_hosts")
FIRST_PORT = 31000


class Api(http.client.HTTPConnection):
    """A connection to the control API that is kept."""

    def __init__(self, user):
        super().__init__("piagent", timeout=60)
        self.path = str(user.runtime / "agent.sock")

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, method, path, body=None):
        self.request(method, path, None if body is None else json.dumps(body))
        answer = self.getresponse()
        return answer.status, json.loads(answer.read())

    def instances(self):
        return self.ask("GET", "/v1/instances")[1]["instances"]


def name_of(index):
    return f"pi-{index:04}"


def keys_of(user, count):
    """The keys of each instance's seed and reports, new at each start."""
    records = [json.loads((user.instances / name_of(index) / "record.json").read_text()) for index in range(count)]
    return [(record["key"], record["report_key"]) for record in records]


def make(user, disk, count):
    """The instances pi-0000 ... are there, stopped, and no agent runs."""
    user.boot("example", disk)
    user.do("kill", "example")
    agent = user.agent_pid()
    user.do("agent", "stop")
    wait_for("the agent has ended", lambda: not is_running(agent), 20)
    example = user.instances / "example"
    record = json.loads((example / "record.json").read_text())
    for index in range(count):
        folder = user.instances / name_of(index)
        folder.mkdir(mode=0o700)
        for file in SHARED:
            if (example / file).exists():
                os.link(example / file, folder / file)
        spec = {**record["spec"], "name": folder.name, "uuid": str(uuid.UUID(int=index)), "ssh_port": FIRST_PORT + index,
                "mac": f"52:54:00:00:{index >> 8:02x}:{index & 255:02x}"}
        (folder / "record.json").write_text(json.dumps({**record, "spec": spec}))
    shutil.rmtree(example)


def start(user, count):
    """All of them run. Returns the connection through which they were started."""
    user.do("ps")
    api = Api(user)
    for index in range(count):
        status, answer = api.ask("POST", f"/v1/instances/{name_of(index)}/start", {})
        assert status == 202, answer
    wait_for(f"{count} instances run", lambda: states(api) == {"running"}, 120)
    return api


def states(api):
    return {instance["state"] for instance in api.instances()}


def newest_events(api):
    return {instance["name"]: instance["last_event"] for instance in api.instances()}


def wait_taken_over(api, before):
    """Until the next agent has spoken with every QEMU: each is then told of by an event newer than before."""
    wait_for("all are taken over", lambda: all(event > before[name] for name, event in newest_events(api).items()), 120)


def memory_kib(pid):
    """RSS: the libraries, which others use too, are counted as the agent's own."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
