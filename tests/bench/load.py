# SPDX-License-Identifier: MIT
"""One agent with a thousand instances: fake QEMUs that speak QMP, and one real QEMU without a guest; its IMDS; and a slow disk.

Memory is the agent's RSS. Times are wall times, medians if there are several runs; the new agent is ready when it has
spoken with every QEMU. Rows: bench, what, peer, ours, theirs (the limit), ratio (ours / the limit), wanted.
"""

import asyncio
import concurrent.futures
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
import fleet  # noqa: E402
import imds_storm  # noqa: E402
from faults import FragileUser  # noqa: E402
from piagent import PIAGENT, User, fake_qemu, wait_for  # noqa: E402
from turns import options, show  # noqa: E402

RUNS = 21
IDLE_S = 10
GUESTS = 2000
HOSTILE = 100  # of each kind
SLOW = 100  # instances at most on the slow disk
FSYNC_MS = 10


def wall_s(work):
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


class Bench:
    def __init__(self, user, count):
        self.user, self.count, self.rows = user, count, []

    def row(self, what, ours, limit):
        self.rows.append({"bench": "load", "what": f"{self.count} instances, {what}", "peer": "the limit", "ours": round(ours, 3),
                          "theirs": limit, "ratio": round(ours / limit, 3), "wanted": f"<= {limit:g}"})

    def ps(self):
        subprocess.run([PIAGENT, "ps"], env=self.user.env, stdout=subprocess.DEVNULL, check=True)

    def memory(self, when):
        self.row(f"memory_mib {when}", fleet.memory_kib(self.user.agent_pid()) / 1024, 8 + self.count / 16)

    def run(self):
        fleet.make(self.user, boot_sectors.deaf(self.user.home), self.count)
        real = self.user.instances / fleet.name_of(0) / "fake-qemu"
        real.write_text(f"become={shutil.which('qemu-system-x86_64')}\n")
        begin = time.monotonic()
        api = fleet.start(self.user, self.count)
        print(f"{self.count} instances were started in {time.monotonic() - begin:.1f} s", file=sys.stderr)
        self.memory("after the start")
        self.row("ps, wall_s", statistics.median(wall_s(self.ps) for _ in range(RUNS)), 0.05)
        self.idle()
        before = fleet.newest_events(api)
        self.user.kill_agent()
        self.row("new agent, wall_s", wall_s(lambda: self.take_over(before)), 2)
        self.memory("after the takeover")
        self.guests()

    def idle(self):
        agent = self.user.agent_pid()
        begin = fleet.cpu_s(agent)
        time.sleep(IDLE_S)
        self.row("idle, percent of a CPU", (fleet.cpu_s(agent) - begin) / IDLE_S * 100, 0.5)

    def guests(self):
        """All at once, beside hostile ones that were there first."""
        port = self.user.api("GET", "/v1/agent")[1]["imds_port"]
        keys = fleet.keys_of(self.user, self.count)
        paths = [f"/{keys[index % self.count][0]}/meta-data" for index in range(GUESTS)]
        served = asyncio.run(imds_storm.storm(port, paths, HOSTILE, keys[0]))
        hostile = HOSTILE * len(imds_storm.HOSTILE)
        self.row(f"{GUESTS} guests beside {hostile} hostile clients, slowest answer_s", max(guest.seconds for guest in served), 10)
        self.row(f"{GUESTS} guests beside {hostile} hostile clients, had to ask again", sum(guest.tries > 1 for guest in served), 1)

    def take_over(self, before):
        self.ps()
        fleet.wait_taken_over(fleet.Api(self.user), before)


class SlowDiskBench(Bench):
    """All instances change their state at once while each fsync of the agent takes its time."""

    def run(self):
        fleet.make(self.user, boot_sectors.deaf(self.user.home), self.count)
        self.user.arm(f"slow {FSYNC_MS}")
        self.user.do("ps")
        for verb, state in (("start", "running"), ("kill", "stopped")):
            seconds, slowest_s = self.all_at_once(verb, state)
            self.row(f"each fsync {FSYNC_MS} ms, {verb} all, wall_s", seconds, self.count / 20)
            self.row(f"each fsync {FSYNC_MS} ms, slowest answer meanwhile_s", slowest_s, 0.25)

    def all_at_once(self, verb, state):
        done = threading.Event()
        begin = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(self.count + 1) as pool:
            slowest = pool.submit(self.slowest_answer_s, done)
            list(pool.map(lambda i: fleet.Api(self.user).ask("POST", f"/v1/instances/{fleet.name_of(i)}/{verb}", {}), range(self.count)))
            wait_for(f"all are {state}", lambda: fleet.states(fleet.Api(self.user)) == {state}, 120, 0.05)
            done.set()
            return time.monotonic() - begin, slowest.result()

    def slowest_answer_s(self, done):
        api, slowest = fleet.Api(self.user), 0
        while not done.is_set():
            slowest = max(slowest, wall_s(lambda: api.ask("GET", "/v1/agent")))
            time.sleep(0.01)
        return slowest


def main():
    parser = options("load", __doc__)
    parser.add_argument("--count", metavar="N", type=int, default=1000)
    args = parser.parse_args()
    with User(**fake_qemu()) as user:
        bench = Bench(user, args.count)
        bench.run()
    with FragileUser(**fake_qemu()) as user:
        slow = SlowDiskBench(user, min(args.count, SLOW))
        slow.run()
    rows = bench.rows + slow.rows
    show(rows, args.json)


if __name__ == "__main__":
    main()
