# SPDX-License-Identifier: MIT
"""From `piagent run -d` (a new instance) and `piagent start -d` until QMP says that it runs, beside the same QEMU argv by hand and `virsh start`.

The agent is warm, the image is stored, and the guest is 512 bytes that do nothing. By hand, the sockets that the argv names are made first,
QMP is told to go on, and asked until it says "running". Times are wall times, medians over the runs, in which all take turns.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
import fleet  # noqa: E402
from own_libvirt import VIRSH, Libvirt  # noqa: E402
from piagent import PIAGENT, User  # noqa: E402
from turns import cost, medians, options, rows_beside, show  # noqa: E402

PATIENCE_S = 60
OPTIONS = ("--unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M", "--cpus", "1", "-d")
BY_HAND, VIRSH_START = "the same argv by hand", "virsh start"
DOMAIN = """<memory unit='MiB'>256</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
<interface type='user'><model type='virtio'/></interface><serial type='pty'/><rng model='virtio'><backend model='builtin'/></rng></devices>"""


class Piagent:
    def __init__(self, user, disk):
        self.user, self.disk, self.api = user, disk, fleet.Api(user)

    def until_running(self, name, *words):
        """Seconds until it runs. The command, which goes on to wait for a guest that never reports, ends then."""
        begin = time.monotonic()
        with subprocess.Popen([PIAGENT, *words], env=self.user.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
            while self.api.ask("GET", f"/v1/instances/{name}")[1].get("state") != "running":
                assert time.monotonic() - begin < PATIENCE_S, words
                time.sleep(0.001)
            took = time.monotonic() - begin
            command.kill()
        return took

    def run_new(self):
        took = self.until_running("new", "run", "new", "--image", self.disk, *OPTIONS)
        self.user.do("rm", "-f", "new")
        return {"wall_s": took}

    def start(self):
        took = self.until_running("old", "start", "old", "-d")
        self.user.do("kill", "old")
        return {"wall_s": took}


def ask(monitor, command):
    """The answer, past the events that come before it."""
    monitor.write(json.dumps({"execute": command, "id": command}) + "\n")
    monitor.flush()
    return next(filter(lambda line: line.get("id") == command, map(json.loads, monitor)))["return"]


def start_by_hand(argv, folder):
    """argv's sockets have other numbers here."""
    begin = time.monotonic()
    listeners = {name: socket.socket(socket.AF_UNIX) for name in ("qmp", "console", "agent")}
    for name, listener in listeners.items():
        (folder / name).unlink(missing_ok=True)
        listener.bind(str(folder / name))
        listener.listen(1)
    argv = [re.sub(r"^socket,id=(\w+),fd=\d+", lambda found: f"socket,id={found[1]},fd={listeners[found[1]].fileno()}", word) for word in argv]
    with subprocess.Popen(argv, pass_fds=[one.fileno() for one in listeners.values()], stdout=subprocess.DEVNULL) as qemu, \
            socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(folder / "qmp"))
        with connection.makefile("rw", encoding="utf-8") as monitor:
            monitor.readline()
            for command in ("qmp_capabilities", "cont"):
                ask(monitor, command)
            while not ask(monitor, "query-status")["running"]:
                pass
            took = time.monotonic() - begin
        qemu.kill()
    for listener in listeners.values():
        listener.close()
    return {"wall_s": took}


def start_domain(libvirt):
    took = cost([*VIRSH, "start", "pi-1"], libvirt.env, **libvirt.identity)["wall_s"]
    libvirt.do("destroy", "pi-1")
    return {"wall_s": took}


def measure(user, libvirt, runs):
    disk = boot_sectors.deaf(user.home)
    user.boot("old", disk)
    argv = pathlib.Path(f"/proc/{user.status('old')['pid']}/cmdline").read_text(encoding="utf-8").split("\0")[:-1]
    user.do("kill", "old")
    copy = pathlib.Path(shutil.copy(disk, libvirt.folder / "disk.raw"))
    libvirt.give(copy)
    libvirt.define("pi-1", DOMAIN.format(disk=copy))
    ours = Piagent(user, disk)
    return medians({"run": ours.run_new, "start": ours.start, BY_HAND: lambda: start_by_hand(argv, user.home),
                    VIRSH_START: lambda: start_domain(libvirt)}, runs)


def main():
    args = options("start", __doc__, runs=15).parse_args()
    with User() as user, Libvirt() as libvirt:
        measured = measure(user, libvirt, args.runs)
    peers = {peer: measured[peer] for peer in (BY_HAND, VIRSH_START)}
    wanted = {(BY_HAND, "wall_s"): "<= 1.15", (VIRSH_START, "wall_s"): "<= 0.5"}
    show([row for what in ("run", "start") for row in rows_beside("start", f"{what} -d until it runs", {what: measured[what], **peers}, wanted)],
         args.json)


if __name__ == "__main__":
    main()
