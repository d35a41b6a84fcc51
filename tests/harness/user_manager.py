# SPDX-License-Identifier: MIT
"""A real systemd of the user's own, private to a test of units. The host need not run systemd. Needs root."""

import os
import signal
import subprocess
import tempfile

import pytest
from piagent import wait_for

SYSTEMD = "/lib/systemd/systemd"

# In a mount namespace, then in a cgroup namespace whose root is a cgroup of its own: what this systemd sees and moves about
# is below it. $1: controllers that it believes to have, if the host gives none.
ENTER = r"""
set -e
mount --make-rprivate /
[ -d /run/systemd/system ] || { mount -t tmpfs tmpfs /run; mkdir -p /run/systemd/system; }
echo $$ >"$0/cgroup.procs"
exec unshare --cgroup sh -c '
  set -e
  umount -R /sys/fs/cgroup
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  if [ -n "$1" ]; then
    echo "$1" >/run/systemd/controllers
    mount --bind /run/systemd/controllers /sys/fs/cgroup/cgroup.controllers
  fi
  exec "$0" --user --unit=basic.target --log-target=console' "$1" "$2"
"""


def cgroup2():
    """The mount point of cgroup v2, or None."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        return next((line.split()[1] for line in mounts if line.split()[2] == "cgroup2"), None)


def is_possible():
    return (os.geteuid() == 0 and os.access(SYSTEMD, os.X_OK) and cgroup2() and os.access(cgroup2(), os.W_OK) and
            subprocess.run(["unshare", "--mount", "--cgroup", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0)


class UserManager:
    def __init__(self, user, controllers=""):
        if not is_possible():
            pytest.skip("cannot here: a private systemd needs root, systemd, namespaces and a cgroup2 that can be written")
        self.user, self.folder = user, tempfile.mkdtemp(prefix="piagent-test-", dir=cgroup2())
        # Installed as with --prefix ~/.local. The agent keeps its instances in ~/.local/share.
        (user.home / ".local/share").mkdir(parents=True)
        (user.home / "data").symlink_to(".local/share")
        subprocess.run(["cmake", "--install", os.environ["PIAGENT_BUILD"], "--prefix", str(user.home / ".local")],
                       stdout=subprocess.DEVNULL, check=True)
        # LeakSanitizer stops a process that exits with SIGSTOP and waits for that. The SIGCONT that systemd sends after each
        # SIGTERM can take the SIGSTOP away, and then it waits for ever.
        env = {**user.env, "DBUS_SESSION_BUS_ADDRESS": "", "ASAN_OPTIONS": f"{user.env['ASAN_OPTIONS']}:detect_leaks=0"}
        with open(user.home / "systemd.log", "wb") as log:
            self.process = subprocess.Popen(["unshare", "--mount", "sh", "-c", ENTER, self.folder, SYSTEMD, controllers],
                                            env=env, stdout=log, stderr=log)
        self.log = user.home / "systemd.log"
        wait_for(f"systemd runs ({self.log})", self.is_up, 60)

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure:
            print(self.log.read_text(errors="replace")[-6000:])
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(60)
        with open(f"{self.folder}/cgroup.kill", "w", encoding="ascii") as kill:  # what outlives its unit
            kill.write("1")
        for folder, _, _ in os.walk(self.folder, topdown=False):
            wait_for(f"{folder} is empty", lambda folder=folder: remove(folder), 20)

    def is_up(self):
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        return self.call("is-active", "basic.target").returncode == 0

    def call(self, *args):
        return subprocess.run(["systemctl", "--user", *args], env=self.user.env, text=True, timeout=120, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def do(self, *args):
        done = self.call(*args)
        assert done.returncode == 0, f"systemctl {' '.join(args)}: {done.stdout}"
        return done.stdout

    def show(self, unit, name):
        return self.do("show", "--value", "--property", name, unit).strip()

    def unit_of(self, pid):
        """The unit that the process is in."""
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as cgroups:
            return next(line for line in cgroups if line.startswith("0::")).strip().rpartition("/")[2]

    def run(self, unit, *words):
        """A service of that name that runs the words, and is one until it is stopped."""
        return subprocess.run(["systemd-run", "--user", "--quiet", f"--unit={unit}", "--remain-after-exit", *words],
                              env=self.user.env, check=True, timeout=60)


def remove(folder):
    try:
        os.rmdir(folder)
        return True
    except OSError:
        return False
