# SPDX-License-Identifier: MIT
"""The real cloud-init (the distribution's package) against the real server."""
import json
import os
import re
import subprocess
import threading
import time

import pytest

try:
    from cloudinit import url_helper, util, version
    from cloudinit.reporting import events, handlers
except ImportError:
    version = None

pytestmark = pytest.mark.skipif(version is None, reason="cloud-init is not installed: apt-get install cloud-init")

KEY = "0123456789abcdef0123456789abcdef"
META = "instance-id: i-1\nlocal-hostname: pi-1\n"
USER = "#cloud-config\nusers: [default]\n"


class Server:
    """A server process and what it was told, line by line."""

    def __init__(self):
        program = os.path.join(os.environ["PIAGENT_BUILD"], "tests", "unit_imds_server")
        self.process = subprocess.Popen(
            [program, "serve", KEY, META, USER, "", ""],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/{KEY}/"
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for_lines(self, count):
        deadline = time.monotonic() + 60
        while len(self.lines) < count and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(self.lines) == count, self.lines
        return self.lines

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(60)
        self.reader.join()
        self.process.stdout.close()
        assert code == 0


@pytest.fixture
def server():
    started = Server()
    yield started
    started.stop()


def test_seed_is_fetched_whole_and_without_a_retry(server):
    meta, user, vendor = util.read_seeded(server.url, timeout=None)
    assert meta == {"instance-id": "i-1", "local-hostname": "pi-1"}
    assert user == USER.encode()
    assert vendor == b""
    assert server.wait_for_lines(3) == [
        f"served {name} Cloud-Init/{version.version_string()}" for name in ("meta-data", "user-data", "vendor-data")]


def test_network_config_of_newer_versions_is_an_empty_file(server):
    assert url_helper.readurl(server.url + "network-config").contents == b""


def test_webhook_reports_arrive_parsed_and_in_order(server):
    hook = handlers.WebHookHandler(server.url + "events", timeout=5, retries=1)
    sent = [
        events.ReportingEvent(events.START_EVENT_TYPE, "modules-final", "running modules for final",
                              timestamp=1700000000.25),
        events.FinishReportingEvent("modules-final/config-scripts-user", "ran",
                                    result=events.status.FAIL),
        events.FinishReportingEvent("modules-final", "running modules for final",
                                    result=events.status.WARN),
    ]
    for event in sent:
        hook.publish_event(event)
    hook.flush()
    lines = server.wait_for_lines(3)
    assert lines[0] == "reported modules-final 0 0 1700000000250 running modules for final"
    assert re.fullmatch(r"reported modules-final/config-scripts-user 1 3 \d{13} ran", lines[1])
    assert re.fullmatch(r"reported modules-final 1 2 \d{13} running modules for final", lines[2])
    told = int(lines[2].split()[4])
    assert abs(told - sent[2].timestamp * 1000) <= 1


def test_unwanted_reports_do_not_fail_the_guest(server):
    for body in (b"nonsense", json.dumps({"name": "x"}).encode(), b" " * 1000000):
        assert url_helper.readurl(server.url + "events", data=body).code == 200
    assert server.lines == []


def test_unknown_key_is_not_found(server):
    with pytest.raises(url_helper.UrlError) as error:
        url_helper.readurl(server.url.replace(KEY, "f" * 32) + "meta-data")
    assert error.value.code == 404
