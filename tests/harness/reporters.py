# SPDX-License-Identifier: MIT
"""What the cloud-init of fake guests would report: each instance that runs is ready soon after its start."""

import contextlib
import http.client
import json
import threading

import fleet

STAGES = ("init-network", "modules-config", "modules-final")


def report(user, port, name, failed_stage=None):
    """The reports of one boot, of which a stage may fail."""
    record = json.loads((user.instances / name / "record.json").read_text())
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        for stage in STAGES:
            for event in ({"event_type": "start"}, {"event_type": "finish", "result": "FAIL" if stage == failed_stage else "SUCCESS"}):
                body = json.dumps({"name": stage, "description": "x", "origin": "cloudinit", "timestamp": 1.0, **event})
                connection.request("POST", f"/{record['report_key']}/events", body)
                connection.getresponse().read()


class Reporters(threading.Thread):
    """Reports for each instance that has started since the last time. held: the names of those that do not report yet; failing: of
    those whose last stage fails. most: how many booted at the same time."""

    def __init__(self, user, held=(), failing=()):
        super().__init__(daemon=True)
        self.user, self.held, self.failing = user, set(held), set(failing)
        self.order, self.reported, self.most = [], set(), 0
        self.end = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.end.set()
        self.join()

    def run(self):
        while not self.end.is_set():
            # There may be no agent yet, or no more.
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(fleet.Api(self.user)) as api:
                port = api.ask("GET", "/v1/agent")[1]["imds_port"]
                while not self.end.wait(0.05):
                    self.look(api.instances(), port)
            self.end.wait(0.05)

    def look(self, instances, port):
        self.most = max(self.most, sum(one["state"] in ("starting", "running") for one in instances))
        for one in instances:
            start = one["name"], one.get("started_ms")
            if one["state"] != "running" or start in self.reported:
                continue
            if start not in self.order:
                self.order.append(start)
            if one["name"] not in self.held:
                report(self.user, port, one["name"], "modules-final" if one["name"] in self.failing else None)
                self.reported.add(start)

    def names(self):
        """Those that have started, in the order in which that was seen."""
        return [name for name, _ in self.order]
