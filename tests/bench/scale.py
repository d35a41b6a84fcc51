# SPDX-License-Identifier: MIT
"""What an agent takes with ten, a hundred and a thousand instances that run (fake QEMUs) while nothing happens.

Memory is the agent's PSS. The first count is the base of what one more instance takes. The plot is drawn by gnuplot, as text, and as an
SVG if there is a file for it. Rows: bench, what, peer, ours, theirs (the limit), ratio (ours / the limit), wanted.
"""

import pathlib
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
import fleet  # noqa: E402
from piagent import User, fake_qemu  # noqa: E402
from turns import options, show  # noqa: E402

EACH_KIB = 64
IDLE_PERCENT = 0.5
PLOT = """set terminal {terminal}
set logscale xy; set key left; set xlabel "instances that run"; set ylabel "KiB of the agent"
$measured << EOD
{points}
EOD
plot [{first}*0.7:{last}*1.4] {base}+{each}*(x-{first}) title "64 KiB each", $measured with linespoints title "measured"
"""


def pss_kib(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def measure(count, seconds):
    """KiB of the agent, and percent of a CPU that it takes."""
    with User(**fake_qemu()) as user:
        fleet.make(user, boot_sectors.deaf(user.home), count)
        fleet.start(user, count)
        agent = user.agent_pid()
        time.sleep(1)
        begin = fleet.cpu_s(agent)
        time.sleep(seconds)
        return pss_kib(agent), (fleet.cpu_s(agent) - begin) / seconds * 100


def row(what, ours, limit):
    return {"bench": "scale", "what": what, "peer": "the limit", "ours": round(ours, 2), "theirs": limit, "ratio": round(ours / limit, 3),
            "wanted": f"<= {limit:g}"}


def rows_of(measured):
    (first, (base, _)), *_ = measured.items()
    for count, (kib, percent) in measured.items():
        if count > first:
            yield row(f"{count} instances, memory_kib of one more than {first}", (kib - base) / (count - first), EACH_KIB)
        yield row(f"{count} instances, idle, percent of a CPU", percent, IDLE_PERCENT)


def plot(measured, terminal, output):
    points = "\n".join(f"{count} {kib}" for count, (kib, _) in measured.items())
    text = PLOT.format(terminal=terminal, points=points, first=min(measured), last=max(measured), base=measured[min(measured)][0], each=EACH_KIB)
    subprocess.run(["gnuplot"], input=text, text=True, stdout=output, check=True)


def main():
    parser = options("scale", __doc__)
    parser.add_argument("--count", metavar="N", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--seconds", type=float, default=10, help="how long the agent is watched while nothing happens")
    parser.add_argument("--svg", metavar="FILE", help="draw the plot there")
    args = parser.parse_args()
    if not shutil.which("gnuplot"):
        sys.exit("bench: gnuplot is not installed: scripts/packages bench")
    measured = {count: measure(count, args.seconds) for count in sorted(args.count)}
    plot(measured, "dumb 100 25", sys.stderr)
    if args.svg:
        with open(args.svg, "w", encoding="utf-8") as svg:
            plot(measured, "svg", svg)
    show(list(rows_of(measured)), args.json)


if __name__ == "__main__":
    main()
