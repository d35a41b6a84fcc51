# SPDX-License-Identifier: MIT
"""`piagent image fetch` beside what people do by hand, in one run, against an nginx of its own on loopback.

Wall and CPU time are medians over the runs, which take turns, so that what else the instance does hits all of them.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs; how many times as fast on the limited server), wanted.
"""

import hashlib
import os
import pathlib
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
from nginx import Nginx  # noqa: E402
from turns import options, show  # noqa: E402

PIAGENT = os.environ["PIAGENT_BINARY"]
MIB = 1 << 20
LIMIT_MIB_S = 8
LIMITED_MIB = 96  # at most: what curl alone gets in twelve seconds

@dataclass
class Cost:
    wall_s: float
    cpu_s: float
    rss_mib: float


def peak_mib(pid):
    """VmHWM begins anew at execve, which ru_maxrss does not: that one would tell of this Python's memory."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def measure(argv, env=None):
    begin = time.monotonic()
    peak = 0
    child = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (ended := os.wait4(child.pid, os.WNOHANG))[0]:
        peak = max(peak, peak_mib(child.pid))
        time.sleep(0.01)
    child.returncode = os.waitstatus_to_exitcode(ended[1])
    if child.returncode:
        sys.exit(f"bench: {argv[0]} failed with exit code {child.returncode}")
    return Cost(time.monotonic() - begin, ended[2].ru_utime + ended[2].ru_stime, peak)


def make_disk(path, mebibytes):
    """A qcow2 header, then bytes that do not compress; returns the SHA-256."""
    header = bytearray(3 * 65536)
    struct.pack_into(">4sIQIIQ", header, 0, b"QFI\xfb", 3, 0, 0, 16, 5 << 30)
    struct.pack_into(">IQQI", header, 36, 10, 2 << 16, 1 << 16, 1)
    struct.pack_into(">II", header, 96, 4, 112)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for i in range(mebibytes):
            block = os.urandom(MIB)
            block = bytes(header) + block[len(header):] if i == 0 else block
            file.write(block)
            digest.update(block)
    return digest.hexdigest()


class Bench:
    def __init__(self, folder, runs):
        self.folder, self.runs, self.rows = folder, runs, []

    def clear(self):
        for name in ("out", "CACHE"):
            path = self.folder / name
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)

    def run(self, commands):
        """Name -> median costs; the commands take turns."""
        costs = {name: [] for name in commands}
        env = {**os.environ, "HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "CACHE"),
               "XDG_CONFIG_HOME": str(self.folder / "CONFIG")}
        for _ in range(self.runs):
            for name, argv in commands.items():
                self.clear()
                os.sync()
                costs[name].append(measure(argv, env))
        self.clear()
        return {name: Cost(*(statistics.median(getattr(cost, field) for cost in all_of_it)
                             for field in ("wall_s", "cpu_s", "rss_mib")))
                for name, all_of_it in costs.items()}

    def row(self, what, peer, ours, theirs, ratio, wanted):
        self.rows.append({"bench": "fetch", "what": what, "peer": peer, "ours": round(ours, 3),
                          "theirs": round(theirs, 3), "ratio": round(ratio, 3), "wanted": wanted})

    def commands(self, url, sha256):
        out = str(self.folder / "out")
        commands = {
            "piagent": [PIAGENT, "image", "fetch", url, "--sha256", sha256, "--arch", "x86_64"],
            "curl": ["curl", "-sSf", "-o", out, url],
            "curl + sha256sum": ["sh", "-c", f"curl -sSf -o '{out}' '{url}' && sha256sum '{out}'"],
        }
        if shutil.which("aria2c"):
            commands["aria2c"] = ["aria2c", "-q", "--allow-overwrite=true", f"--checksum=sha-256={sha256}", "-x8",
                                  "-d", str(self.folder), "-o", "out", url]
        return commands

    def whole(self, url, sha256, mebibytes):
        costs = self.run(self.commands(url, sha256))
        ours = costs["piagent"]
        wanted = {("wall_s", "curl"): "<= 1.05", ("cpu_s", "curl + sha256sum"): "<= 1.1"}
        for peer in [name for name in costs if name != "piagent"]:
            for field in ("wall_s", "cpu_s"):
                mine, other = getattr(ours, field), getattr(costs[peer], field)
                self.row(f"{mebibytes} MiB, {field}", peer, mine, other, mine / other,
                         wanted.get((field, peer), ""))
        self.row(f"{mebibytes} MiB, rss_mib", "curl", ours.rss_mib, costs["curl"].rss_mib,
                 ours.rss_mib / costs["curl"].rss_mib, "ours <= 16")

    def limited(self, url, sha256, mebibytes):
        commands = self.commands(url, sha256)
        costs = self.run({name: commands[name] for name in commands if name != "curl + sha256sum"})
        for peer in [name for name in costs if name != "piagent"]:
            ours, theirs = costs["piagent"].wall_s, costs[peer].wall_s
            self.row(f"{mebibytes} MiB at {LIMIT_MIB_S} MiB/s a connection, wall_s", peer, ours, theirs,
                     theirs / ours, ">= 3 times as fast" if peer == "curl" else "")


def main():
    parser = options("fetch", __doc__, runs=5)
    parser.add_argument("--size", metavar="MIB", type=int, default=1024)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="piagent-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = pathlib.Path(name)
        (folder / "www").mkdir()
        whole = make_disk(folder / "www/whole.qcow2", args.size)
        limited_size = min(args.size, LIMITED_MIB)
        limited = make_disk(folder / "www/limited.qcow2", limited_size)
        bench = Bench(folder, args.runs)
        with Nginx(folder, LIMIT_MIB_S) as nginx:
            bench.whole(f"{nginx.fast_url}/whole.qcow2", whole, args.size)
            bench.limited(f"{nginx.limited_url}/limited.qcow2", limited, limited_size)
    show(bench.rows, args.json)


if __name__ == "__main__":
    main()
