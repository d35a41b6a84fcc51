# SPDX-License-Identifier: MIT
"""Instances that resume from a template, beside a boot by QEMU's commands as people write them by hand (boot.py).

Times are from `piagent run --template` on: until a command over SSH has ended in the guest, until its cloud-init has set it up, and
until ten that `run --count 10` has made at once have all run a command, and are all set up; and `piagent suspend`'s counterpart: from `start` on. Memory is what the
processes of ten idle instances have of the host (PSS), beside ten times that of one by hand. CPU is that of the QEMUs. Making the template, which is
done once, is not in it; its own row shows it.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import concurrent.futures
import re
import statistics
import sys
import pathlib
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot  # noqa: E402
import boot_sectors  # noqa: E402
from piagent import User, fake_qemu, guest_image, wait_for  # noqa: E402
from reporters import Reporters  # noqa: E402
from turns import cpu_s, options, show  # noqa: E402

WANTED = {"a command over SSH": 0.05, "its cloud-init done": 0.33, "ten at once, a command over SSH in each": 0.5,
          "start of a suspended one, a command over SSH": 0.05, "memory of ten, MiB": 0.2}
TEN = [f"t-{i}" for i in range(1, 11)]


def pss_mib(pid):
    return int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)[1]) / 1024


class Bench:
    def __init__(self, user, arch, image, qemu, fake=False):
        self.user, self.arch, self.image, self.qemu, self.fake = user, arch, image, qemu, fake

    def command(self, name):
        """Waits until a command has run in the guest."""
        if self.fake:
            self.user.wait_state(name, "ready")
        else:
            self.user.do("ssh", name, "--", "true", timeout=boot.BOOT_S)

    def reach(self, name):
        record = self.user.instances / name / "record.json"
        wait_for(f"{name} is started", lambda: record.exists() and self.user.record(name).get("pid"), 60, every=0.02)
        self.command(name)
        return cpu_s(self.user.status(name)["pid"])

    def resume(self, names, *words):
        """The command that makes them, and the seconds and QEMU's CPU seconds until each has run a command."""
        begin = time.monotonic()
        command = self.user.start("run", *words, "--template", "warm", "-d")
        with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
            cpu = sum(pool.map(self.reach, names))
        return command, time.monotonic() - begin, cpu

    @staticmethod
    def end(command):
        said, _ = command.communicate(timeout=boot.BOOT_S)
        assert command.returncode == 0, said

    def make(self):
        begin = time.monotonic()
        self.user.do("template", "create", "warm", "--from", str(self.image), "--unverified", "--user", "pi", "--arch", self.arch,
                     "--accel", "tcg", timeout=boot.BOOT_S)
        return {"making the template": time.monotonic() - begin}

    def one(self):
        begin = time.monotonic()
        command, wall, cpu = self.resume(["one"], "one")
        took = {"a command over SSH": wall, "a command over SSH, CPU": cpu}
        self.end(command)
        took["its cloud-init done"] = time.monotonic() - begin
        self.user.do("suspend", "one", timeout=300)
        begin = time.monotonic()
        self.user.api("POST", "/v1/instances/one/start", {})
        self.user.wait_state("one", "ready")
        self.command("one")
        took["start of a suspended one, a command over SSH"] = time.monotonic() - begin
        self.user.do("rm", "-f", "one")
        return took

    def ten(self):
        begin = time.monotonic()
        command, wall, cpu = self.resume(TEN, "t", "--count", "10", "--overcommit")
        took = {"ten at once, a command over SSH in each": wall, "ten at once, a command over SSH in each, CPU": cpu}
        self.end(command)
        took["ten at once, the cloud-init of each done"] = time.monotonic() - begin
        took["memory of ten, MiB"] = sum(pss_mib(self.user.status(name)["pid"]) for name in TEN)
        self.user.do("rm", "-f", *TEN, timeout=300)
        return took

    def by_hand(self):
        begin = time.monotonic()
        with boot.booted_by_hand(self.arch, self.image, self.qemu) as pid:
            return {"wall": time.monotonic() - begin, "CPU": cpu_s(pid), "memory": pss_mib(pid)}

    def measure(self, runs):
        turns = []
        for _ in range(runs):
            theirs = self.by_hand()
            turns.append((theirs, {**self.make(), **self.one(), **self.ten()}))
            self.user.do("template", "rm", "warm")
            print(f"{self.arch}: {turns[-1]}", file=sys.stderr)
        return turns

    def rows(self, runs):
        turns = self.measure(runs)
        for what in turns[0][1]:
            kind = "memory" if what.startswith("memory") else "CPU" if what.endswith("CPU") else "wall"
            ours = statistics.median(ours[what] for _, ours in turns)
            theirs = statistics.median((10 if kind == "memory" else 1) * theirs[kind] for theirs, _ in turns)
            yield {"bench": "template", "what": f"{self.arch}, {what}", "peer": "ten by hand" if kind == "memory" else "a boot by hand",
                   "ours": round(ours, 4), "theirs": round(theirs, 4), "ratio": round(ours / theirs, 3),
                   "wanted": f"<= {WANTED[what]}" if what in WANTED else ""}


def measure_fake():
    """Checks the bench: nothing is booted."""
    with User(**fake_qemu()) as user, Reporters(user):
        return list(Bench(user, "x86_64", boot_sectors.deaf(user.home), boot.fake_by_hand(user), fake=True).rows(1))


def main():
    parser = options("template", __doc__, runs=3)
    parser.add_argument("--arch", action="append", choices=list(boot.BY_HAND), help="default: both")
    parser.add_argument("--fake", action="store_true", help="boot nothing, to check the bench itself")
    args = parser.parse_args()
    if args.fake:
        show(measure_fake(), args.json)
        return
    with User() as user:
        show([row for arch in args.arch or list(boot.BY_HAND)
              for row in Bench(user, arch, guest_image(arch), f"qemu-system-{arch}").rows(args.runs)], args.json)


if __name__ == "__main__":
    main()
