# SPDX-License-Identifier: MIT
"""An agent's IMDS beside nginx with one worker: the four files of a seed, of the same bytes, asked for by the same client (wrk).

cloud-init opens a new connection for each file; other clients keep theirs. The instance is a fake QEMU, so that the agent does no less
for a file than for a guest. Rates are files a second, medians over the runs, in which the two take turns.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
from nginx import Nginx  # noqa: E402
from piagent import User, fake_qemu  # noqa: E402
from turns import medians, options, rows_beside, show  # noqa: E402

CONNECTIONS = 8
FILES = ("meta-data", "user-data", "vendor-data", "network-config")
SCRIPT = """local paths, n = {{"{}"}}, 0
request = function() n = n % #paths + 1; return wrk.format("GET", paths[n]) end
"""
HOW = {"a new connection a file": (["-H", "Connection: close"], ">= 1.0"), "connections that are kept": (["-H", "Connection: keep-alive"], ">= 0.8")}


def ask(url, script, seconds, more):
    out = subprocess.check_output(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, *more, url], text=True)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", out)
    if not rate or "Non-2xx" in out:
        raise RuntimeError(f"{url} does not serve all files:\n{out}")
    return {"files_s": float(rate[1])}


def copy_seed(key, port, www):
    """The files of the instance's seed, where nginx serves them."""
    (www / key).mkdir(parents=True)
    for name in FILES:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{key}/{name}", timeout=20) as answer:
            (www / key / name).write_bytes(answer.read())


def measure(user, folder, args):
    user.boot("pi-1", boot_sectors.deaf(user.home))
    key, port = user.record("pi-1")["key"], user.api("GET", "/v1/agent")[1]["imds_port"]
    copy_seed(key, port, folder / "www")
    script = folder / "files.lua"
    script.write_text(SCRIPT.format('", "'.join(f"/{key}/{name}" for name in FILES)))
    with Nginx(folder, limit=8, log="off") as nginx:
        urls = {"piagent": f"http://127.0.0.1:{port}", "nginx": nginx.fast_url}
        for what, (more, wanted) in HOW.items():
            rates = medians({name: lambda url=url, more=more: ask(url, script, args.seconds, more) for name, url in urls.items()}, args.runs)
            yield from rows_beside("imds", what, rates, {("nginx", "files_s"): wanted})


def main():
    parser = options("imds", __doc__, runs=5)
    parser.add_argument("--seconds", type=int, default=2, help="how long each run asks")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is not installed: scripts/packages bench")
    with User(**fake_qemu()) as user, tempfile.TemporaryDirectory(prefix="pi-bench-") as folder:
        rows = list(measure(user, pathlib.Path(folder), args))
    show(rows, args.json)


if __name__ == "__main__":
    main()
