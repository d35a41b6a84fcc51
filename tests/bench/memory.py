# SPDX-License-Identifier: MIT
"""What emulated guests take of the host's memory: one of 1 GiB after apt and a compiler ran in it, and a few idle ones of one image.

The one guest is there twice, and both work at the same time: one has piagent's QEMU, the other one lacks the limit for translated code and
the balloon, as is QEMU's default. Both install a compiler with apt, from Debian's archive, and compile the same file; a minute later their
memory is read. CPU is that of the compile. The idle ones have 512 MiB, and as many are booted by hand, as in scripts/bench boot.
Memory is the proportional set size of QEMU. Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import concurrent.futures
import contextlib
import pathlib
import platform
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import bench_guests  # noqa: E402
import boot_sectors  # noqa: E402
from boot import booted_by_hand, fake_by_hand  # noqa: E402
from piagent import User, fake_qemu, guest_image  # noqa: E402
from reporters import Reporters  # noqa: E402
from turns import cpu_s, options, rows_beside, show  # noqa: E402

SETTLE_S = 60
WORK_S = 1800
INSTALL = "sudo apt-get -q update && sudo apt-get -q install -y --no-install-recommends gcc libc6-dev"
SOURCE = ("for i in $(seq 200); do echo \"double f$i(double *a, int n) { double s = 0; for (int i = 0; i < n; i++) "
          "for (int j = i; j < n; j++) s += a[i] * a[j] / (a[i] + $i); return s; }\"; done >many.c")
DEFAULTS = "QEMU's defaults"
PLAIN = """    tcg,tb-size=*) [[ $guest != plain ]] || word=tcg ;;
    virtio-balloon-pci,*) [[ $guest != plain ]] || word=virtio-balloon-pci ;;
"""


def memory_mib(pid):
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) / 1024


def work_over_ssh(user, name, pid):
    """CPU seconds of the compile."""
    user.ssh(name, f"({INSTALL}) >log 2>&1 || {{ tail -n 5 log; exit 1; }}; {SOURCE}", timeout=WORK_S)
    before = cpu_s(pid)
    user.ssh(name, "gcc -O2 -c many.c", timeout=WORK_S)
    return cpu_s(pid) - before


def after_work(user, arch, image, work):
    names = {"piagent": "tuned", DEFAULTS: "plain"}
    bench_guests.change_arguments(user, arch, PLAIN)
    pids = bench_guests.boot(user, names.values(), arch, image, "--memory", "1G", "--disk", "4G")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        costs = list(pool.map(lambda name, pid: work(user, name, pid), names.values(), pids))
    if work is work_over_ssh:
        time.sleep(SETTLE_S)
    measured = {who: {"memory_mib": memory_mib(pid), "cpu_s of the compile": cost} for who, pid, cost in zip(names, pids, costs)}
    user.do("rm", "-f", *names.values())
    return rows_beside("memory", "1 GiB, after apt and a compile", measured, {(DEFAULTS, "memory_mib"): "<= 1280 MiB"})


def idle(user, arch, image, by_hand, count):
    pids = bench_guests.boot(user, [f"idle-{n}" for n in range(count)], arch, image, "--memory", "512M")
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(count) as pool:
        guests = [booted_by_hand(arch, image, by_hand) for _ in range(count)]
        for guest in guests:
            stack.push(guest)
        peers = list(pool.map(lambda guest: guest.__enter__(), guests))
        measured = {who: {"memory_mib": sum(map(memory_mib, each))} for who, each in {"piagent": pids, "by hand": peers}.items()}
    return rows_beside("memory", f"{count} idle guests, 512 MiB", measured, {("by hand", "memory_mib"): "<= 0.6"})


def measure(user, arch, image, by_hand, work, count):
    return after_work(user, arch, image, work) + idle(user, arch, image, by_hand, count)


def main():
    parser = options("memory", __doc__)
    parser.add_argument("--count", metavar="N", type=int, default=3, help="idle guests")
    parser.add_argument("--fake", action="store_true", help="boot nothing, to check the bench itself")
    args = parser.parse_args()
    if args.fake:
        with User(**fake_qemu()) as user, Reporters(user):
            rows = measure(user, "x86_64", boot_sectors.deaf(user.home), fake_by_hand(user), lambda *_: 1.0, args.count)
    else:
        arch = platform.machine()
        with User() as user:
            rows = measure(user, arch, guest_image(arch), f"qemu-system-{arch}", work_over_ssh, args.count)
    show(rows, args.json)


if __name__ == "__main__":
    main()
