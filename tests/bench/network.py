# SPDX-License-Identifier: MIT
"""A network's switch beside vde_switch, and beside a direct pair of sockets, as QEMU's -netdev dgram has them without a switch.

One program sends frames to one member as fast as they are taken, and one counts what arrives (tests/harness/frames.c). They are the same
for all three, which take turns. Rates are of the frames that arrived; CPU is the switch's alone, for a frame that arrived; medians
over the runs. If root runs this, it has a network namespace in which a datagram socket holds 512, as systemd sets it on hosts; else it
is what the host has.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs; of CPU theirs / ours), wanted.
"""

import contextlib
import ctypes
import ctypes.util
import json
import os
import pathlib
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/harness"))
from turns import medians, options, show  # noqa: E402

PIAGENT = os.environ["PIAGENT_BINARY"]
FRAMES = pathlib.Path(PIAGENT).resolve().parent / "tests/frames"
SIZES = [64, 1500, 9018]  # the last is FRAME_MAX of agent/switch/frame.h
MANY = 16
QUEUE = pathlib.Path("/proc/sys/net/unix/max_dgram_qlen")
QUEUE_OF_SYSTEMD = "512\n"
CLONE_NEWNET = 0x40000000
VDE_VERSION = 1  # LIBVDEPLUG_INTERFACE_VERSION of libvdeplug.h
PATIENCE_S = 60  # for what takes a moment on a host that has nothing else to do


def members(count):
    """The first one sends, the second one receives, the others are there."""
    return [{"name": f"m{n}", "mac": f"52:54:0a:4d:00:{n:02x}", "address": f"10.77.0.{n}", "plugged": True} for n in range(2, count + 2)]


def frame(sender, receiver, size):
    """IPv4, of its sender's own MAC and address, as a switch asks for."""
    macs = b"".join(bytes.fromhex(member["mac"].replace(":", "")) for member in (receiver, sender))
    addresses = b"".join(socket.inet_aton(member["address"]) for member in (sender, receiver))
    return (macs + b"\x08\0\x45\0" + (size - 14).to_bytes(2, "big") + bytes(8) + addresses).ljust(size, b"\0")


@contextlib.contextmanager
def datagrams(path, to=None):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(path))
        if to:
            one.connect(str(to))
        yield one.fileno()


@contextlib.contextmanager
def process(argv, **more):
    with subprocess.Popen(argv, **more) as one:
        try:
            yield one
        finally:
            one.kill()


@contextlib.contextmanager
def direct(folder, _):
    with datagrams(folder / "receiver") as receiver, datagrams(folder / "sender", folder / "receiver") as sender:
        yield sender, receiver, None


def tell(control, plan):
    with socket.socket(socket.AF_UNIX) as agent:
        agent.settimeout(PATIENCE_S)
        agent.connect(str(control))
        agent.sendall(json.dumps({"plan": plan}).encode() + b"\n")
        answer = json.loads(agent.makefile().readline())
    if answer:
        sys.exit(f"bench: the switch does not take its plan: {answer}")


@contextlib.contextmanager
def ours(folder, plan):
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX))
        listening.bind(str(folder / "control"))
        listening.listen()
        switch = stack.enter_context(process([PIAGENT, "switch"], stdin=listening, cwd=folder))
        tell(folder / "control", {"address": "10.77.0.1", "prefix": 24, "mac": "52:54:0a:4d:00:01", "domain": "bench", "members": plan})
        sender, receiver, *_ = [stack.enter_context(datagrams(folder / f"{member['name']}.qemu", None if i else folder / f"{member['name']}.in"))
                                for i, member in enumerate(plan)]
        yield sender, receiver, switch.pid


def plug_in(library, switch, path):
    """vde_switch is there before it listens."""
    deadline = time.monotonic() + PATIENCE_S
    while not (connection := library.vde_open_real(str(path).encode(), b"bench", VDE_VERSION, None)):
        if switch.poll() is not None or time.monotonic() > deadline:
            sys.exit("bench: libvdeplug does not connect to vde_switch")
        time.sleep(0.01)
    return ctypes.c_void_p(connection)


@contextlib.contextmanager
def vde(folder, plan):
    """Plugged in as QEMU does it, by libvdeplug: there, too, a datagram is a frame."""
    library = ctypes.CDLL(ctypes.util.find_library("vdeplug"))
    library.vde_open_real.restype = ctypes.c_void_p
    with process(["vde_switch", "-s", str(folder / "vde")], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as switch:
        plugs = [plug_in(library, switch, folder / "vde") for _ in plan]
        sender, receiver, *_ = [library.vde_datafd(plug) for plug in plugs]
        hello = frame(plan[1], plan[0], 64)  # it learns where the receiver is
        library.vde_send(plugs[1], hello, len(hello), 0)
        if not select.select([sender], [], [], PATIENCE_S)[0]:
            sys.exit("bench: vde_switch does not carry a frame")
        os.read(sender, 64)
        yield sender, receiver, switch.pid
        for plug in plugs:
            library.vde_close(plug)


def cpu_us(pid):
    return int(pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e3 if pid else 0


def measure(network, count, size, seconds):
    """Frames a second that arrived, and microseconds of the switch's CPU for one of them."""
    plan = members(count)
    with tempfile.TemporaryDirectory(prefix="pi-bench-", dir="/tmp") as name, network(pathlib.Path(name), plan) as (sender, receiver, pid):
        before = cpu_us(pid)
        with process([FRAMES, "receive", str(receiver)], pass_fds=[receiver], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                     text=True) as counting:
            subprocess.run([FRAMES, "send", str(sender), str(seconds)], pass_fds=[sender], input=frame(*plan[:2], size), stdout=subprocess.PIPE,
                           timeout=seconds + PATIENCE_S, check=True)
            received, took_s = counting.communicate(timeout=2 * PATIENCE_S)[0].split()
        cost = cpu_us(pid) - before
    if int(received) < 2:
        sys.exit(f"bench: {network.__name__} carries no frames of {size} bytes")
    return {"frames_s": int(received) / float(took_s), "cpu_us": cost / int(received)}


def rows_of(count, size, peers, args):
    networks = {"switch": ours, **peers}
    measured = medians({name: lambda network=network: measure(network, count, size, args.seconds) for name, network in networks.items()}, args.runs)
    rates, costs = ({name: one[key] for name, one in measured.items()} for key in ("frames_s", "cpu_us"))

    def row(what, peer, mine, other, ratio, wanted=""):
        return {"bench": "network", "what": f"{count} members, {size} bytes, {what}", "peer": peer, "ours": round(mine, 2), "theirs": round(other, 2),
                "ratio": round(ratio, 2), "wanted": wanted}

    for peer in peers:
        ratio = rates["switch"] / rates[peer]
        yield row("frames_s", peer, rates["switch"], rates[peer], ratio, ">= 2" if peer == "vde_switch" else "")
        yield row("mb_s", peer, rates["switch"] * size / 1e6, rates[peer] * size / 1e6, ratio)
    yield row("cpu_us", "vde_switch", costs["switch"], costs["vde_switch"], costs["vde_switch"] / costs["switch"], ">= 2 times as little")


def queue_of_systemd():
    """If root runs this, the process gets a network namespace with systemd's queue, and with loopback alone."""
    if os.geteuid() == 0 and ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        QUEUE.write_text(QUEUE_OF_SYSTEMD)
    print(f"a datagram socket holds {QUEUE.read_text().strip()} frames", file=sys.stderr)


def main():
    parser = options("network", __doc__, runs=7)
    parser.add_argument("--seconds", type=float, default=1, help="how long each run sends")
    args = parser.parse_args()
    if not shutil.which("vde_switch"):
        sys.exit("bench: vde_switch is not installed: scripts/packages bench")
    queue_of_systemd()
    rows = [row for size in SIZES for row in rows_of(2, size, {"vde_switch": vde, "direct pair": direct}, args)]
    rows += [row for size in SIZES[:2] for row in rows_of(MANY, size, {"vde_switch": vde}, args)]
    show(rows, args.json)


if __name__ == "__main__":
    main()
