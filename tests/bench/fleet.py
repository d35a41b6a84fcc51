# SPDX-License-Identifier: MIT
"""piagent up and down with a fleet of fake QEMUs, each of which is ready as soon as it runs.

Times are wall times. Memory is the command's own peak, and the agent's RSS. Rows: bench, what, peer, ours, theirs (the limit), ratio
(ours / the limit), wanted.
"""

import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
from piagent import PIAGENT, User, fake_qemu  # noqa: E402
from reporters import Reporters  # noqa: E402
from turns import options, show  # noqa: E402

FILE = """defaults: {{image: {disk}, unverified: true, arch: x86_64, accel: tcg, memory: 256M, cpus: 1, disk: 1M}}
instances:
  server: {{}}
  node: {{count: {nodes}, after: {{server: ready}}}}
"""


def memory_mib(pid, key):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1024


class Bench:
    def __init__(self, user, count):
        self.user, self.count, self.rows = user, count, []
        self.file = user.home / "fleet.yaml"
        self.file.write_text(FILE.format(disk=boot_sectors.deaf(user.home), nodes=count - 1))

    def row(self, what, ours, limit):
        self.rows.append({"bench": "fleet", "what": f"{self.count} instances, {what}", "peer": "the limit", "ours": round(ours, 3),
                          "theirs": limit, "ratio": round(ours / limit, 3), "wanted": f"<= {limit:g}"})

    def command(self, *words):
        """Its wall time, and the most memory that it had."""
        begin, peak = time.monotonic(), 0
        process = subprocess.Popen([PIAGENT, *words, "-f", self.file], env=self.user.env, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while process.poll() is None:
            try:
                peak = memory_mib(process.pid, "VmHWM")
            except (OSError, StopIteration):  # it ends
                pass
            time.sleep(0.02)
        assert process.returncode == 0, words
        return time.monotonic() - begin, peak

    def run(self):
        each = self.count / 5
        self.user.do("ps")
        self.row("up --dry-run, wall_s", self.command("up", "--overcommit", "--dry-run")[0], 0.5)
        with Reporters(self.user):
            seconds, peak = self.command("up", "--overcommit", "--parallel", "20")
        self.row("up, 20 at a time, wall_s", seconds, each)
        self.row("up, memory_mib of the command", peak, 32 + self.count / 16)
        self.row("up, memory_mib of the agent", memory_mib(self.user.agent_pid(), "VmRSS"), 16 + self.count / 16)
        self.row("up again, wall_s", self.command("up", "--overcommit")[0], 0.5 + self.count / 200)
        self.row("down, wall_s", self.command("down")[0], each)


def main():
    parser = options("fleet", __doc__)
    parser.add_argument("--count", metavar="N", type=int, default=200)
    args = parser.parse_args()
    with User(**fake_qemu()) as user:
        bench = Bench(user, args.count)
        bench.run()
    show(bench.rows, args.json)


if __name__ == "__main__":
    main()
