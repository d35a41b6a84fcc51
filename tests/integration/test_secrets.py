# SPDX-License-Identifier: MIT
"""Secrets of an instance and its seed: which files hold them, that nothing else does, and how long a guest can fetch them."""

import json
import pathlib
import re
import subprocess
import threading
import time

import boot_sectors
import pexpect
import pytest
from piagent import CONFLICT, PIAGENT, User, fake_qemu, wait_for

PASSWORD, TOKEN = "raspberry-42", "token-7f3a9c"
# The files that must hold them, which only their owner may read.
HOLD = {"record.json", "smbios.bin", "smbios-board.bin", "user-data", "ssh_key", "ssh_host_ed25519_key"}


@pytest.fixture
def user():
    with User() as user:
        yield user


class Watch:
    """Everything that the command lines and environments of this user's processes said, however short they lived."""

    def __init__(self, user):
        self.user, self.said, self.over = user, {}, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def look(self):
        while not self.over.wait(0.01):
            self.look_once()

    def look_once(self):
        for pid in self.user.processes():
            for file in ("cmdline", "environ"):
                try:
                    text = pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
                except OSError:
                    continue
                self.said.setdefault((pid, file), set()).add(text)


def attached(user, *words):
    """`piagent run` in a terminal until its guest has spoken."""
    (user.home / "secret.yaml").write_text(f"#cloud-config\nwrite_files:\n  - {{path: /etc/token, content: {TOKEN}}}\n")
    (user.home / "secret.yaml").chmod(0o600)
    return pexpect.spawn(PIAGENT, ["run", "box", "--image", boot_sectors.deaf(user.home), "--image-unverified", "--arch", "x86_64",
                                   "--accel", "tcg", "--memory", "256M", "--user-data", str(user.home / "secret.yaml"), "--isolate",
                                   *words], env=user.env, timeout=90, encoding="latin-1")


def secrets_of(user):
    folder = user.instances / "box"
    record = json.loads((folder / "record.json").read_text())
    keys = [line for name in ("ssh_key", "ssh_host_ed25519_key") for line in (folder / name).read_text().splitlines()[1:-1]]
    fleet = [record[name] for name in ("peers_key", "join_secret") if name in record]
    return [PASSWORD, TOKEN, record["spec"]["password_hash"], record["key"], record["report_key"], *fleet, *keys]


def check(user, watch, shown):
    secrets = [secret.encode() for secret in secrets_of(user)]

    def has(text):
        return [secret for secret in secrets if secret in text]
    watch.look_once()
    qemu, network = user.status("box")["pid"], [pid for pid, words in user.processes().items() if words[1:2] == ["isolated"]]
    assert {qemu, user.agent_pid(), *network} <= {pid for pid, _ in watch.said} and network
    assert [(where, has(text)) for where, texts in watch.said.items() for text in texts if has(text)] == []
    said = [shown] + [user.do(*words) for words in (["qemu-command", "box"], ["status", "box", "--json"], ["status", "box"],
                                                    ["ps", "--json"], ["logs", "box"], ["agent", "status"])]
    said.append(json.dumps(user.api("GET", "/v1/instances/box")[1]))
    assert [text for text in said if has(text.encode())] == []
    own = [user.home / "secret.yaml"]
    files = [path for path in user.home.rglob("*") if path.is_file() and path not in own]
    assert {path.name for path in files if has(path.read_bytes())} == HOLD
    assert [path for path in (user.instances / "box").rglob("*") if path.stat().st_mode & 0o077] == []
    assert not (user.home / "data/piagent/agent.log").stat().st_mode & 0o077
    return secrets


def test_the_secrets_of_a_fleet_are_in_no_view_event_log_or_argv(user):
    with Watch(user) as watch:
        user.boot("box", boot_sectors.deaf(user.home), isolate=True, password_hash=HASH,
                  user_data=f"#cloud-config\nwrite_files: [{{path: /t, content: {TOKEN}}}]\n",
                  fleet={"name": "lab", "role": "node", "index": 1, "count": 1})
        record = json.loads((user.instances / "box/record.json").read_text())
        assert len(record["join_secret"]) == 64 and len(record["peers_key"]) == 32
        for name in ("join_secret", "peers_key"):  # a guest that tells them is not repeated
            subprocess.run(["curl", "-sSf", "--unix-socket", str(user.runtime / "imds.sock"), f"http://imds/{record['report_key']}/events", "--data-binary",
                            json.dumps({"name": f"init-network/{name}", "event_type": "start", "timestamp": time.time(),
                                        "description": f"found {record[name]} here"})], timeout=60, check=True)
        wait_for("the reports are told", lambda: sum("found ****" in text for text in user.texts("box")) == 2, 20)
        check(user, watch, "".join(user.do(*words) for words in (["events", "box"], ["ps", "--labels"], ["inventory"], ["ssh-config"])))


def names_of(pid):
    return {setting.partition(b"=")[0].decode() for setting in pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")[:-1]}


def test_what_lives_on_has_a_short_environment(user):
    user.env |= {"AWS_SECRET_ACCESS_KEY": TOKEN, "SSH_AUTH_SOCK": "/tmp/none", "https_proxy": f"http://me:{TOKEN}@127.0.0.1:9",
                 "LC_TIME": "C.UTF-8"}
    user.boot("box", boot_sectors.deaf(user.home), isolate=True)
    qemu, network = user.status("box")["pid"], [pid for pid, words in user.processes().items() if words[1:2] == ["isolated"]]
    agent = user.agent_pid()
    for pid in (agent, qemu, *network):
        names = names_of(pid)
        assert names >= {"PATH", "HOME", "XDG_RUNTIME_DIR", "LC_TIME"} and not names & {"AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "TERM"}
        assert ("https_proxy" in names) == (pid == agent)
    assert network


def end(user, terminal, secrets):
    terminal.sendcontrol("]")
    terminal.expect(pexpect.EOF)
    user.do("rm", "--force", "box")
    (user.home / "secret.yaml").unlink()
    assert [path for path in user.home.rglob("*") if path.is_file() and any(s in path.read_bytes() for s in secrets)] == []


def test_a_password_that_was_typed_and_what_comes_of_it(user):
    with Watch(user) as watch:
        terminal = attached(user, "--password-prompt")
        for _ in range(2):
            terminal.expect("[Pp]assword.*: ")
            terminal.sendline(PASSWORD)
        terminal.expect("hello")
        secrets = check(user, watch, terminal.before)
        end(user, terminal, secrets)


def test_a_hash_on_the_command_line_leaves_the_list_of_processes_at_once(user):
    asked = pexpect.spawn(PIAGENT, ["hash-password"], env=user.env, timeout=60, encoding="latin-1")
    for _ in range(2):
        asked.expect("[Pp]assword.*: ")
        asked.sendline(PASSWORD)
    asked.expect(pexpect.EOF)
    assert PASSWORD not in asked.before
    made = re.search(r"\$\S+", asked.before).group()
    terminal = attached(user, "--password-hash", made)
    terminal.expect("hello")
    assert json.loads((user.instances / "box/record.json").read_text())["spec"]["password_hash"] == made
    with Watch(user) as watch:
        wait_for("its command is seen", lambda: any(pid == terminal.pid for pid, _ in watch.said), 20)
        secrets = check(user, watch, terminal.before)
    end(user, terminal, secrets)


class Guest:
    """A client that talks to the seed's server as cloud-init does."""

    def __init__(self, user, name):
        self.user, self.name, self.record = user, name, user.instances / name / "record.json"

    def ask(self, key, path, *options):
        user_agent = ["-A", "Cloud-Init/25.1"]
        url = f"http://127.0.0.1:{self.user.api('GET', '/v1/agent')[1]['imds_port']}/{json.loads(self.record.read_text())[key]}/{path}"
        return subprocess.run(["curl", "-sSf", *user_agent, *options, url], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout

    def boots(self, result):
        """To its end."""
        self.ask("report_key", "events", "--data-binary", json.dumps({
            "name": "modules-final", "event_type": "finish", "result": result, "timestamp": time.time()}))

    def resets(self):
        self.user.do("reset", self.name)
        self.user.wait_state(self.name, "running", 20)

    def seed(self):
        self.user.do("ps")  # starts the agent if none runs
        return {name: self.ask("key", name) for name in ("meta-data", "user-data", "vendor-data", "network-config")}

    def secrets(self):
        """Which of them it is served."""
        text = "".join(self.seed().values())
        return [secret for secret in (TOKEN, HASH, "OPENSSH PRIVATE KEY") if secret in text]


HASH = "$6$salt$" + "a" * 86
ALL = [TOKEN, HASH, "OPENSSH PRIVATE KEY"]


def start(user, name):
    assert user.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
    user.wait_state(name, "running", 30)


def test_a_guest_is_served_its_secrets_up_to_the_end_of_its_first_successful_boot():
    with User(**fake_qemu()) as user:
        user.boot("box", boot_sectors.deaf(user.home), password_hash=HASH,
                  user_data=f"#cloud-config\nwrite_files: [{{path: /t, content: {TOKEN}}}]\n")
        guest = Guest(user, "box")
        first = guest.seed()
        assert guest.secrets() == ALL
        guest.resets()  # in the middle of the boot
        assert guest.secrets() == ALL
        guest.boots("FAIL")
        user.kill_agent()
        assert guest.secrets() == ALL
        guest.resets()
        user.do("kill", "box")
        start(user, "box")
        assert guest.secrets() == ALL

        guest.boots("SUCCESS")
        assert guest.secrets() == []
        later = guest.seed()
        assert later["meta-data"] == first["meta-data"] and later["user-data"] == ""
        assert "boothook" in later["vendor-data"] and '\\"name\\":\\"fedora\\"' in later["vendor-data"]
        assert user.texts("box")[-3].startswith("user-data fetched by Cloud-Init/25.1: the parts for the first boot were left out")
        user.kill_agent()
        assert guest.secrets() == []
        guest.resets()
        assert guest.secrets() == []
        user.do("kill", "box")
        start(user, "box")
        assert guest.secrets() == []


def test_after_reseed_a_guest_is_served_its_secrets_up_to_the_end_of_its_next_successful_boot():
    with User(**fake_qemu()) as user:
        user.boot("box", boot_sectors.deaf(user.home), password_hash=HASH,
                  user_data=f"#cloud-config\nwrite_files: [{{path: /t, content: {TOKEN}}}]\n")
        guest = Guest(user, "box")
        guest.boots("SUCCESS")
        assert guest.secrets() == []
        user.do("reseed", "box")
        assert guest.secrets() == ALL
        guest.boots("SUCCESS")  # no boot is under way
        assert guest.secrets() == ALL
        guest.resets()
        guest.boots("SUCCESS")
        assert guest.secrets() == []
        user.do("kill", "box")
        user.do("reseed", "box")
        start(user, "box")
        assert guest.secrets() == ALL
        guest.boots("SUCCESS")
        assert guest.secrets() == []
        user.do("kill", "box")
        user.kill_agent()
        guest.record.write_text("{")
        assert "record.json is damaged" in user.refused(CONFLICT, "reseed", "box")
