# SPDX-License-Identifier: MIT
"""A real SSH server in a guest's place, with the host key that was made for the guest."""

import contextlib
import getpass
import json
import os
import shutil
import socket
import subprocess
import time

import boot_sectors
from piagent import wait_for

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def report_ready(user, name):
    key = json.loads((user.instances / name / "record.json").read_text())["report_key"]
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    body = json.dumps({"name": "modules-final", "description": "", "event_type": "finish", "result": "SUCCESS",
                       "origin": "cloudinit", "timestamp": time.time()})
    subprocess.run(["curl", "-sSf", "--data-binary", body, f"http://127.0.0.1:{port}/{key}/events"], check=True, timeout=60)


def log_in_as_this_user(user, name):
    """While no agent runs."""
    path = user.instances / name / "record.json"
    record = json.loads(path.read_text())
    record["spec"]["user"] = getpass.getuser()
    path.write_text(json.dumps(record))


def make(user, *names):
    """Instances that are ready, and whose login is this user."""
    disk = boot_sectors.deaf(user.home)
    for name in names:
        user.boot(name, disk)
        report_ready(user, name)
        user.wait_state(name, "ready", 30)
    user.kill_agent()
    for name in names:
        log_in_as_this_user(user, name)


@contextlib.contextmanager
def sshd(user, name, host_key=None, port=None, environment=""):
    """An SSH server at the instance's port."""
    assert SSHD, "there is no sshd: scripts/packages test installs it"
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    here = user.home / f"sshd-{name}"
    here.mkdir(exist_ok=True)
    shutil.copy(user.instances / name / "ssh_key.pub", here / "keys")
    shutil.copy(host_key or user.instances / name / "ssh_host_ed25519_key", here / "host")
    port = port or user.status(name)["ssh_port"]
    # SHLVL: bash reads the account's ~/.bashrc, which may print things, only in the first shell.
    (here / "config").write_text(f"ListenAddress 127.0.0.1:{port}\nHostKey {here}/host\nAuthorizedKeysFile {here}/keys\n"
                                 f"PidFile none\nStrictModes no\nPermitRootLogin yes\nUsePAM no\nSetEnv INSTANCE={name} SHLVL=1 {environment}\n"
                                 "Subsystem sftp internal-sftp\nLogLevel VERBOSE\nAcceptEnv KEPT_*\nAllowTcpForwarding yes\n")
    with subprocess.Popen([SSHD, "-D", "-e", "-f", here / "config"], stderr=open(here / "log", "w", encoding="utf-8")) as server:
        try:
            def listens():
                assert server.poll() is None, (here / "log").read_text()
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    return True
                return False
            wait_for("sshd listens", listens, 20)
            yield server
        finally:
            server.terminate()
