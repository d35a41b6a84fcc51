# SPDX-License-Identifier: MIT
"""QMP round trips through libqmp beside a bare loop of write and read in C, on the same socket of a real QEMU without a guest.

Both run tests/harness/round_trips.c, and take turns. Times are medians over the runs, of one query-status.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
from turns import medians, options, rows_beside, show  # noqa: E402

ROUND_TRIPS = pathlib.Path(os.environ["PIAGENT_BINARY"]).resolve().parent / "tests/round_trips"
QEMUS = ("qemu-system-x86_64", "qemu-system-aarch64")


def main():
    parser = options("qmp", __doc__, runs=9)
    parser.add_argument("--count", type=int, default=20000, help="round trips in each run")
    args = parser.parse_args()
    qemu = next(filter(None, map(shutil.which, QEMUS)), None)
    if not qemu:
        sys.exit("bench: QEMU is not installed: scripts/packages run")
    with tempfile.TemporaryDirectory(prefix="pi-bench-", dir="/tmp") as folder:
        monitor = f"{folder}/qmp"
        argv = [qemu, "-machine", "none", "-nodefaults", "-display", "none", "-S", "-daemonize", "-pidfile", f"{folder}/pid",
                "-qmp", f"unix:{monitor},server=on,wait=off"]
        subprocess.run(argv, check=True)

        def trips(how):
            return lambda: {"us": float(subprocess.check_output([ROUND_TRIPS, how, monitor, str(args.count)])) / 1000}
        try:
            measured = medians({"libqmp": trips("libqmp"), "write and read": trips("bare")}, args.runs)
        finally:
            os.kill(int(pathlib.Path(folder, "pid").read_text()), 15)
    show(rows_beside("qmp", "query-status", measured, {("write and read", "us"): "<= 1.2"}), args.json)


if __name__ == "__main__":
    main()
