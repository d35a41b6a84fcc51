# SPDX-License-Identifier: MIT
"""What benchmarks share: options, commands that take turns, medians, and the rows that they print.

A measurement is a dictionary: {"wall_s": 0.03, "cpu_s": 0.01}.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import time


def options(name, doc, runs=None):
    parser = argparse.ArgumentParser(prog=f"scripts/bench {name}", description=doc.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    if runs:
        parser.add_argument("--runs", type=int, default=runs)
    return parser


def cost(argv, env=None, **more):
    """Wall and CPU time of a command that has to succeed."""
    begin = time.monotonic()
    child = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more)
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.monotonic() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{argv}: exit code {child.returncode}"
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime}


def cpu_s(pid):
    """By the process's CPU clock, as clock_getcpuclockid(3) has it: it counts finer than /proc."""
    return time.clock_gettime((~pid << 3) | 2)


def medians(works, runs):
    """Name -> the medians of what its function measured. The functions take turns, so that whatever else the host does hits all of
    them."""
    measured = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            measured[name].append(work())
    return {name: {key: statistics.median(one[key] for one in each) for key in each[0]} for name, each in measured.items()}


def rows_beside(bench, what, measured, wanted):
    """The rows of what medians() returned; the first name is ours. wanted: by the peer and the key."""
    ours, *peers = measured
    return [{"bench": bench, "what": f"{what}, {key}", "peer": peer, "ours": round(value, 4), "theirs": round(measured[peer][key], 4),
             "ratio": round(value / measured[peer][key], 3), "wanted": wanted.get((peer, key), "")}
            for peer in peers for key, value in measured[ours].items()]


def show(rows, path=None):
    """Prints the rows, and writes them as JSON if there is a path."""
    keys = list(rows[0])
    widths = [max(len(str(row[key])) for row in [*rows, dict(zip(keys, keys))]) for key in keys]
    for row in [dict(zip(keys, keys)), *rows]:
        print("  ".join(str(row[key]).ljust(width) for key, width in zip(keys, widths)).rstrip())
    if path:
        pathlib.Path(path).write_text(json.dumps(rows, indent=1) + "\n")
