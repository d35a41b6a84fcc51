# SPDX-License-Identifier: MIT
"""piagent up with a few real guests, emulated: how many should boot at a time?

Each number for --parallel has its turn, several times. Wall is the time until all are ready; the longest boot is that of one guest, from
QEMU's start until it is ready; CPU is that of all their QEMUs when the last one is ready. Medians.
Rows: bench, what, peer, ours, theirs (the figure when all boot at once), ratio (ours / theirs), wanted.
"""

import os
import pathlib
import platform
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
from piagent import PIAGENT, User, fake_qemu, guest_image  # noqa: E402
from reporters import Reporters  # noqa: E402
from turns import cpu_s, medians, options, rows_beside, show  # noqa: E402

FILE = """defaults: {{image: {image}, unverified: true, arch: {arch}, accel: tcg, memory: {memory}, cpus: 2, disk: {disk}}}
instances:
  guest: {{count: {count}}}
"""


def boot_seconds(user, name):
    """From its QEMU's start until it is ready."""
    times = {event["state"]: event["monotonic_ms"] for event in user.events(name) if event["kind"] == "state"}
    return (times["ready"] - times["starting"]) / 1000


def turn(user, file, parallel):
    """One up; the instances are gone afterwards."""
    begin = time.monotonic()
    up = subprocess.run([PIAGENT, "up", "--overcommit", "--parallel", str(parallel), "-f", file], env=user.env,
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    wall = time.monotonic() - begin
    if up.returncode:
        sys.exit(f"bench: up --parallel {parallel}: {up.stdout}")
    guests = user.ps()
    figures = {"wall_s": wall, "longest boot_s": max(boot_seconds(user, guest["name"]) for guest in guests),
               "cpu_s": sum(cpu_s(guest["pid"]) for guest in guests)}
    user.do("down", "-f", file, timeout=600)
    print(f"{parallel} at a time:", *(f"{name} {value:.1f}" for name, value in figures.items()), f"load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    return figures


def measure(user, file, args):
    numbers = {f"{number} at a time": number for number in args.parallel} | {"all at once": args.count}
    return medians({name: lambda number=number: turn(user, file, number) for name, number in numbers.items()}, args.runs)


def main():
    parser = options("stagger", __doc__, runs=2)
    parser.add_argument("--count", metavar="N", type=int, default=6, help="guests")
    parser.add_argument("--parallel", metavar="N", type=int, nargs="+", default=[2, 3], help="besides all at once")
    parser.add_argument("--fake", action="store_true", help="boot nothing, to check the bench itself")
    args = parser.parse_args()
    with User(**fake_qemu() if args.fake else {}) as user:
        file = user.home / "fleet.yaml"
        if args.fake:
            file.write_text(FILE.format(count=args.count, arch="x86_64", memory="256M", disk="1M", image=boot_sectors.deaf(user.home)))
            with Reporters(user):
                measured = measure(user, file, args)
        else:
            file.write_text(FILE.format(count=args.count, arch=platform.machine(), memory="512M", disk="8G", image=guest_image(platform.machine())))
            measured = measure(user, file, args)
    peer = "all at once"
    show([row for name in measured if name != peer
          for row in rows_beside("stagger", f"{args.count} guests, {name}", {name: measured[name], peer: measured[peer]}, {})], args.json)


if __name__ == "__main__":
    main()
