# SPDX-License-Identifier: MIT
"""An emulated boot until the guest is ready: `piagent run` beside QEMU's commands as people write them by hand.

By hand: the image itself is the disk, on IDE and with an e1000 on x86_64, with -bios and a cortex-a57 on aarch64; `python3 -m http.server`
serves the seed. Both boot the same image and make the same login, in turns, so that what else the machine does hits both. Ready is
the end of cloud-init's last stage: its report to piagent, or its last line on the console. Wall times are from the command on, CPU
times are QEMU's; medians over the runs.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import contextlib
import functools
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
from piagent import User, fake_qemu, guest_image  # noqa: E402
from reporters import Reporters  # noqa: E402
from turns import cpu_s, medians, options, rows_beside, show  # noqa: E402

WANTED = {"x86_64": 0.6, "aarch64": 0.75}
BY_HAND = {
    "x86_64": ["-cpu", "max", "-m", "512", "-machine", "accel=tcg"],
    "aarch64": ["-bios", "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "-cpu", "cortex-a57", "-m", "1G", "-machine", "virt", "-smp", "2"]}
SEED = {"meta-data": "instance-id: by-hand\n", "vendor-data": "", "network-config": "",
        "user-data": "#cloud-config\nusers: [{name: pi, sudo: 'ALL=(ALL) NOPASSWD:ALL', lock_passwd: true}]\n"}
BOOT_S = 1800
# What --fake has for a QEMU by hand: it fetches the seed that its arguments name.
FAKE = """#!/bin/sh
url=$(echo "$*" | sed 's/.*seedfrom=//; s/10.0.2.2/127.0.0.1/')
curl -fsS ${url}meta-data ${url}user-data ${url}vendor-data >/dev/null || exit 1
echo 'Cloud-init v. 0 finished at once'
exec sleep 60
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder):
    """The folder's address, as a guest sees it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://10.0.2.2:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def booted_by_hand(arch, image, qemu):
    """The pid of a QEMU whose guest is ready."""
    with tempfile.TemporaryDirectory(prefix="pi-bench-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        for file, text in SEED.items():
            (folder / file).write_text(text)
        disk = shutil.copy(image, folder / "disk.qcow2")
        os.chmod(disk, 0o600)
        with served(folder) as url, subprocess.Popen([qemu, *BY_HAND[arch], "-drive", f"file={disk}", "-nographic", "-smbios",
                                                      f"type=1,serial=ds=nocloud;seedfrom={url}"], stdin=subprocess.PIPE,
                                                     stdout=subprocess.PIPE) as guest:
            watchdog = threading.Timer(BOOT_S, guest.kill)
            watchdog.start()
            try:
                if not any(b"Cloud-init v" in line and b"finished at" in line for line in guest.stdout):
                    sys.exit(f"bench: the guest of {qemu} does not become ready")
                yield guest.pid
            finally:
                watchdog.cancel()
                guest.kill()


def by_hand(arch, image, qemu):
    begin = time.monotonic()
    with booted_by_hand(arch, image, qemu) as pid:
        return {"wall_s": time.monotonic() - begin, "cpu_s": cpu_s(pid)}


def ours(user, arch, image):
    begin = time.monotonic()
    user.do("run", "pi-1", "--user", "pi", "--arch", arch, "--accel", "tcg", "--image", image, "--unverified", "-d", timeout=BOOT_S)
    cost = {"wall_s": time.monotonic() - begin, "cpu_s": cpu_s(user.status("pi-1")["pid"])}
    user.do("rm", "-f", "pi-1")
    return cost


def rows_of(user, arch, image, qemu, runs):
    def told(who, work):
        cost = work()
        print(f"{arch}: {who} {cost}, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
        return cost

    measured = medians({"piagent": lambda: told("piagent", lambda: ours(user, arch, image)),
                        "by hand": lambda: told("by hand", lambda: by_hand(arch, image, qemu))}, runs)
    wanted = f"<= {WANTED[arch]}"
    return rows_beside("boot", f"{arch}, until ready", measured, {("by hand", "wall_s"): wanted, ("by hand", "cpu_s"): wanted})


def measure(arches, runs):
    with User() as user:
        return [row for arch in arches for row in rows_of(user, arch, guest_image(arch), f"qemu-system-{arch}", runs)]


def fake_by_hand(user):
    qemu = user.home / "qemu-by-hand"
    qemu.write_text(FAKE)
    qemu.chmod(0o700)
    return qemu


def measure_fake():
    """Checks the bench: nothing is booted."""
    with User(**fake_qemu()) as user, Reporters(user):
        return rows_of(user, "x86_64", boot_sectors.deaf(user.home), fake_by_hand(user), 1)


def main():
    parser = options("boot", __doc__, runs=3)
    parser.add_argument("--arch", action="append", choices=list(BY_HAND), help="default: both")
    parser.add_argument("--fake", action="store_true", help="boot nothing, to check the bench itself")
    args = parser.parse_args()
    show(measure_fake() if args.fake else measure(args.arch or list(BY_HAND), args.runs), args.json)


if __name__ == "__main__":
    main()
