# SPDX-License-Identifier: MIT
"""Another host: another user's account behind an SSH server, in a mount namespace, and if asked a network, of its own."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from piagent import PIAGENT, User, fake_qemu, free_port, wait_for

ACCOUNT = "pi"
# Both files are the namespace's own.
SERVE = 'mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/shadow" /etc/shadow && exec "$2" -D -e -f "$1/config"'
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def key(path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True, timeout=60)
    return path.with_name(path.name + ".pub").read_text()


class AnotherHost:
    """The account's piagent is there if it is to be; near is the user on this host who can log in. sshd and the near user's ssh
    run through the words that may be given."""

    def __init__(self, near, address="127.0.0.1", through=(), ssh_through=(), piagent=PIAGENT, settings=""):
        assert SSHD, "there is no sshd: scripts/packages test installs it"
        self.near, self.address, self.through, self.piagent, self.settings = near, address, list(through), piagent, settings
        self.uid = 61000 + os.getpid() % 4000
        self.ssh_through = " ".join(ssh_through)
        self.stack = contextlib.ExitStack()
        self.server, self.starts = None, 0

    def __enter__(self):
        with self.stack:
            self.stack.callback(self.stop_server)
            self.user = self.stack.enter_context(User(**fake_qemu()))
            # As the account: root's piagent refuses another user's folders.
            self.user.call = lambda *args, **more: self.near.call("--host", self.url, *args, **more)
            self.here = self.user.home / "sshd"
            self.prepare()
            self.admit()
            self.serve()
            self.stack.callback(self.make_reachable)
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, *failure):
        return self.stack.__exit__(*failure)

    def make_reachable(self):
        """So that the user's end can stop the agent, and nothing starts it again."""
        for follower in self.near.followers:
            follower.kill()
            follower.wait()
        if self.server.poll() is not None:
            self.serve()
        self.let_in()
        self.know(self.host_key)

    def prepare(self):
        tools = self.user.home / "tools"
        shutil.copytree(f"{os.environ['PIAGENT_BUILD']}/fake-qemu", tools)
        if self.piagent:
            shutil.copy(self.piagent, tools / "piagent")
            (tools / "piagent").chmod(0o755)
        for path in (self.user.home, *self.user.home.rglob("*")):
            os.chown(path, self.uid, self.uid, follow_symlinks=False)
        self.here.mkdir(mode=0o755)
        for name, line in (("passwd", f"{ACCOUNT}:x:{self.uid}:{self.uid}::{self.user.home}:/bin/sh\n"), ("shadow", f"{ACCOUNT}:*:19000::::::\n")):
            (self.here / name).write_text(pathlib.Path("/etc", name).read_text() + line)
        self.host_key = key(self.here / "host")
        self.port = free_port()
        self.url = f"ssh://{ACCOUNT}@{self.address}:{self.port}"

    def serve(self):
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        given = {name: self.user.env[name] for name in self.user.env if name.startswith("XDG_") or name in
                 ("HOME", "FAKE_QEMU", "PIAGENT_PASS_ENVIRONMENT", "ASAN_OPTIONS", "TSAN_OPTIONS")}
        given["PATH"] = f"{self.user.home}/tools:/usr/bin:/bin"
        lines = " ".join(f'"{name}={value}"' for name, value in given.items())
        (self.here / "config").write_text(
            f"ListenAddress {self.address}:{self.port}\nHostKey {self.here}/host\nAuthorizedKeysFile {self.here}/keys\nPidFile none\n"
            f"StrictModes no\nUsePAM no\nSetEnv {lines}\nLogLevel VERBOSE\n{self.settings}")
        command = [*self.through, "unshare", "--mount", "sh", "-c", SERVE, "sh", self.here, SSHD]
        with open(self.here / "log", "a", encoding="utf-8") as log:
            self.server = subprocess.Popen(command, stderr=log)
        self.starts += 1

        def listens():
            assert self.server.poll() is None, self.log()
            return self.log().count("Server listening") == self.starts
        wait_for("sshd listens", listens, 20)

    def stop_server(self):
        if self.server:
            self.server.terminate()
            self.server.wait()

    def break_connections(self):
        """Kills the processes that serve the account's logins, but not what runs in them. The server stays."""
        parents = {}
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                before, _, after = stat.read_text().rpartition(")")
                if before.endswith("(sshd"):
                    parents[int(before.split()[0])] = int(after.split()[1])
        ours = {pid for pid, parent in parents.items() if parent == self.server.pid}
        ours |= {pid for pid, parent in parents.items() if parent in ours}
        assert ours
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def refuse(self):
        """From now on nobody can log in."""
        (self.here / "keys").write_text("")

    def let_in(self):
        (self.here / "keys").write_text(self.public_key)

    def admit(self):
        """What the near user needs: a key, the host's key, and a configuration of ssh that is not the account's that runs this test."""
        tools = self.near.home / "tools"
        tools.mkdir()
        self.public_key = key(tools / "id")
        self.let_in()
        self.know(self.host_key)
        (tools / "config").write_text(f"IdentityFile {tools}/id\nIdentitiesOnly yes\nUserKnownHostsFile {tools}/known_hosts\nGlobalKnownHostsFile none\n"
                                      "LocalForward 1 localhost:1\nRemoteCommand false\nControlPath none\n")
        for name in ("ssh", "scp"):
            (tools / name).write_text(f'#!/bin/sh\necho "$*" >> "{tools}/arguments"\nexec {self.ssh_through} {shutil.which(name, path="/usr/bin:/bin")} -F "{tools}/config" "$@"\n')
            (tools / name).chmod(0o755)
        self.near.env["PATH"] = f"{tools}:{os.environ['PATH']}"

    def know(self, host_key):
        (self.near.home / "tools/known_hosts").write_text(f"[{self.address}]:{self.port} {host_key}")

    def know_also(self, address):
        with open(self.near.home / "tools/known_hosts", "a", encoding="utf-8") as known:
            known.write(f"[{address}]:{self.port} {self.host_key}")

    def log(self):
        return (self.here / "log").read_text()

    def logins(self):
        return self.log().count("Accepted publickey")
