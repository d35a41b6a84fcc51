# SPDX-License-Identifier: MIT
"""A guest that is hostile: its console, its reports and its requests do nothing to the terminal, the agent or another guest."""

import json
import re
import socket
import subprocess
import time

import boot_sectors
import pexpect
import pytest
from piagent import GUEST, PIAGENT, User, promptly, wait_for

# Bytes that a terminal would act on: titles, clearing, C1 as UTF-8, text that is turned around, a line of its own.
EVIL = "pwn\x1b]0;T\x07\x1b[2J\u009b2J\u202eexe\u2066\u2028\r\nnext"
# And raw, with parts that make a CSI when what lies between them is taken out.
EVIL_BYTES = EVIL.encode() + b"\x9b2J \xc2\x9b\x9b2J \xc2\x1b[m\x9b2J \xe2\x80\x1b[m\xae end\r\n"
# Ours: a status line is drawn anew, a state has a colour.
OWN = re.compile("\x1b\\[K|\x1b\\[[0-9;]*m")
ACTED_ON = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture
def user():
    with User() as user:
        yield user


def harmless(terminal):
    """The output on a terminal, without our own sequences."""
    text = OWN.sub("", terminal.decode("utf-8", "replace"))
    assert not ACTED_ON.search(text), text
    return text


def in_a_terminal(user, *words):
    terminal = pexpect.spawn(PIAGENT, list(words), env=user.env, timeout=60, dimensions=(24, 200))
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.before


class Guest:
    """A client that talks to the IMDS as cloud-init does, or as it never would."""

    def __init__(self, user, name):
        record = json.loads((user.instances / name / "record.json").read_text())
        self.key, self.report_key = record["key"], record.get("report_key") or record["key"]
        self.port = user.api("GET", "/v1/agent")[1]["imds_port"]

    def send(self, request):
        """The answer's status to raw bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as guest:
            guest.sendall(request)
            answer = guest.recv(64)
        return int(answer.split()[1]) if answer else 0

    def post(self, body):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send(f"POST /{self.report_key}/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def report(self, name, result=None, description=""):
        event = {"name": name, "description": description, "event_type": "finish" if result else "start", "origin": "cloudinit",
                 "timestamp": time.time()}
        assert self.post({**event, "result": result} if result else event) == 200


def test_a_log_and_an_old_console_are_shown_without_anything_that_a_terminal_acts_on(user):
    user.boot("box", boot_sectors.says(user.home, EVIL_BYTES))
    wait_for("all of it is said", lambda: user.console("box").endswith(b"end\r\n"), 30)
    shown = in_a_terminal(user, "logs", "box")
    assert shown.rpartition(b"Booting from Hard Disk...\r\n")[2].startswith(b"pwn") and shown.rstrip().endswith(b"end")
    assert b"\x9b" not in shown
    harmless(shown)
    raw = subprocess.run([PIAGENT, "logs", "box"], env=user.env, stdout=subprocess.PIPE, timeout=60, check=True).stdout
    assert raw.endswith(EVIL_BYTES)
    attached = pexpect.spawn(PIAGENT, ["console", "box"], env=user.env, timeout=60)
    attached.expect_exact(b"end\r\n")
    harmless(attached.before)
    attached.sendcontrol("]")
    attached.expect(pexpect.EOF)


def test_what_is_reported_after_a_boots_end_is_passed_over(user):
    user.boot("box", boot_sectors.deaf(user.home))
    guest, record = Guest(user, "box"), user.instances / "box/record.json"
    guest.report("modules-final", "SUCCESS")
    assert user.state("box") == "ready"
    wait_for("it is on record", lambda: user.record("box").get("booted"), 20)
    written, told = record.stat().st_mtime_ns, len(user.events("box"))
    for name, result in (("modules-final", "FAIL"), ("init-network/activate-datasource", None), ("modules-final", "FAIL"),
                         ("user-data/check", "WARN"), ("modules-config/config-runcmd", "FAIL")):
        guest.report(name, result)
    instance = user.status("box")
    assert (instance["state"], instance["cloud_init"]) == ("ready", "done") and record.stat().st_mtime_ns == written, instance
    assert len(user.events("box")) == told
    user.do("reset", "box")
    user.wait_state("box", "running", 30)
    guest.report("modules-final", "FAIL")
    assert user.status("box")["cloud_init"] == "failed"


def test_the_seeds_key_takes_no_report_and_the_reports_key_opens_no_seed(user):
    """The seed's address is in files that every process in the guest may read."""
    user.boot("box", boot_sectors.deaf(user.home))
    guest = Guest(user, "box")
    told = len(user.events("box"))
    body = b'{"name": "modules-final", "event_type": "finish", "result": "FAIL", "timestamp": 1}'
    requests = [f"GET /{key}/meta-data HTTP/1.1\r\nHost: x\r\n\r\n".encode() for key in (guest.key, guest.report_key)]
    requests += [f"POST /{key}/events HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                 for key in (guest.key, guest.report_key)]
    assert [guest.send(request) for request in requests] == [200, 404, 404, 200]
    assert [event["kind"] for event in user.events("box")[told:]] == ["seed", "report"]


def test_a_guest_of_an_earlier_version_reports_under_its_seeds_key(user):
    user.boot("box", boot_sectors.deaf(user.home))
    user.kill_agent()
    record = user.instances / "box/record.json"
    record.write_text(json.dumps({name: value for name, value in json.loads(record.read_text()).items() if name != "report_key"}))
    user.do("ps")
    for _ in range(2):  # also after a start, with its new key
        guest = Guest(user, "box")
        guest.report("modules-final", "SUCCESS")
        assert user.state("box") == "ready"
        user.do("kill", "box")
        assert user.api("POST", "/v1/instances/box/start", {})[0] == 202
        user.wait_state("box", "running", 30)
        assert f"/{json.loads(record.read_text())['key']}/events".encode() in (user.instances / "box/smbios-board.bin").read_bytes()


def test_a_reboot_that_only_the_guest_tells_of_begins_a_boot(user):
    """QEMU's own event went by while no agent ran."""
    user.boot("box", boot_sectors.deaf(user.home))
    guest = Guest(user, "box")
    guest.report("modules-final", "SUCCESS")
    assert user.state("box") == "ready"
    user.kill_agent()
    user.do("ps")
    guest.report("init-network/activate-datasource")
    instance = user.status("box")
    assert (instance["state"], instance["cloud_init"]) == ("running", "running"), instance
    guest.report("init-network", "SUCCESS")
    guest.report("modules-final", "SUCCESS")
    assert user.state("box") == "ready"
    boots = [event["text"] for event in user.events("box") if event["kind"] == "boot"]
    assert boots == ["started", "rebooted"]


def test_what_it_reports_reaches_no_terminal_as_it_is(user):
    disk = boot_sectors.deaf(user.home)
    run = pexpect.spawn(PIAGENT, ["run", "box", "--image", disk, "--image-unverified", "--arch", "x86_64", "--accel", "tcg",
                                  "--memory", "256M", "-d"], env=user.env, timeout=60, dimensions=(24, 200))
    run.expect("box: firmware")
    guest = Guest(user, "box")
    assert guest.send(f"GET /{guest.key}/meta-data HTTP/1.1\r\nHost: x\r\nUser-Agent: {EVIL}\r\n\r\n".encode().replace(
        b"\r\nnext", b"")) == 200
    guest.report("init-network", description=EVIL)
    guest.report("modules-config/config-" + EVIL, "FAIL", EVIL)  # no name of a module
    guest.report("modules-config/config-runcmd", "FAIL", EVIL)
    guest.report("modules-final", "SUCCESS", EVIL)
    run.expect(pexpect.EOF)
    run.close()
    assert run.exitstatus == GUEST
    # The last piece is behind expect's buffer: what was shown before is in the journal's words.
    said = harmless(run.before)
    assert "modules-config/config-runcmd failed: pwn?]0;T??[2J?2J?exe?? next" in said, said
    for words in (["ps"], ["status", "box"], ["status", "box", "--json"], ["ps", "--json"]):
        harmless(in_a_terminal(user, *words))
    texts = [event.get("text", "") for event in user.events("box")]
    assert any(text.startswith("meta-data fetched by pwn?]0;T??[2J") for text in texts), texts
    for text in (user.log(), (user.instances / "box/journal.jsonl").read_text(), json.dumps(user.status("box"), ensure_ascii=False)):
        assert not ACTED_ON.search(text.replace("\n", "")), text


def test_a_report_that_is_none_is_passed_over(user):
    user.boot("box", boot_sectors.deaf(user.home))
    guest, agent, before = Guest(user, "box"), user.agent_pid(), len(user.events("box"))
    good = {"name": "init-network", "event_type": "start", "timestamp": 1.0}
    text = json.dumps(good)[:-1]
    bodies = [b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 60000, b'{"a":' * 10000 + b"1" + b"}" * 10000,
              f'{text}, "name": "modules-final"}}'.encode(), f'{text}, "files": {"[" * 20000}{"]" * 20000}}}'.encode(),
              b'{"name": "init\\u0000network", "event_type": "start", "timestamp": 1}',
              f'{text}, "description": "{"x" * 65536}"}}'.encode(), json.dumps({**good, "name": "x" * 500}).encode(),
              json.dumps({**good, "name": 7}).encode(), json.dumps({**good, "timestamp": -1}).encode(),
              text.replace("1.0", "1e999").encode() + b"}", json.dumps({**good, "event_type": "finish", "result": "ok"}).encode()]
    assert [guest.post(body) for body in bodies] == [200] * len(bodies)
    assert guest.send(f"POST /{guest.report_key}/events HTTP/1.1\r\nHost: x\r\nX: {'y' * 20000}\r\n\r\n".encode()) in (0, 400, 413, 431)
    assert len(user.events("box")) == before
    guest.report("init-network")
    wait_for("it is heard as before", lambda: len(user.events("box")) == before + 1, 20)
    assert user.agent_pid() == agent


def test_a_flood_of_reports_fills_no_journal_and_keeps_nobody_waiting(user):
    disk = boot_sectors.deaf(user.home)
    for name in ("flood", "calm"):
        user.boot(name, disk)
    flood, calm = Guest(user, "flood"), Guest(user, "calm")
    began = time.monotonic()
    for i in range(1500):
        flood.report(f"modules-config/config-{i}", "FAIL", "x" * 200)
    calm.report("init-network")
    with promptly():
        user.do("ps")
    reports = sum(event["kind"] == "report" for event in user.events("flood"))
    allowed = 401 + 40 * (time.monotonic() - began)
    assert 400 <= reports <= allowed and (reports < 1500 or allowed > 1500)
    assert [event["stage"] for event in user.events("calm") if event["kind"] == "report"] == ["init-network"]
    assert len(user.status("flood")["failed_modules"]) <= 32


def test_the_agents_own_log_is_bounded_too(user):
    log = user.home / "data/piagent/agent.log"
    log.parent.mkdir(parents=True, mode=0o700)
    for earlier in ("first", "second"):
        log.write_text(f"{earlier}\n" + "x" * (4 << 20))
        user.do("ps")
        user.do("agent", "stop")
        wait_for("the agent says that it stops", lambda: "asked to stop" in user.log(), 20)
        assert log.stat().st_size < 4096 and log.stat().st_mode & 0o777 == 0o600
        assert log.with_name("agent.log.1").read_text().startswith(f"{earlier}\n")
