# SPDX-License-Identifier: MIT
"""iperf3 between two real guests through a network's switch, and beside it through a direct pair of QEMU's -netdev dgram.

The two guests are members of two networks. QEMU sends the frames of the second one straight into the socket of the other guest's QEMU, as if
there were no switch. The networks take turns; one that waits carries nothing. Rates are of the bits that arrived; CPU is that of both QEMUs
and of the network's switch, for a gigabit; medians over the runs. If root runs this, a datagram socket holds 512 frames, as for
scripts/bench network.
Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import contextlib
import json
import pathlib
import platform
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import bench_guests  # noqa: E402
import boot_sectors  # noqa: E402
from network import queue_of_systemd  # noqa: E402
from piagent import User, fake_qemu, free_port, guest_image  # noqa: E402
from reporters import Reporters  # noqa: E402
from turns import cpu_s, medians, options, rows_beside, show  # noqa: E402

GUESTS = ("client", "server")
PEER = "direct pair"
NETWORKS = {"piagent": "lab", PEER: "wire"}
# The second network sends to the other guest's QEMU, and not to the switch.
DIRECT = """    dgram,id=net1,*client.in*) word=${word/client.in/server.qemu} ;;
    dgram,id=net1,*server.in*) word=${word/server.in/client.qemu} ;;
"""


@contextlib.contextmanager
def listening():
    """The port of an iperf3 on loopback."""
    port = str(free_port())
    with subprocess.Popen(["iperf3", "-s", "-B", "127.0.0.1", "-p", port, "--forceflush"], stdout=subprocess.PIPE, text=True) as server:
        try:
            next(line for line in server.stdout if "listening" in line)
            yield port
        finally:
            server.kill()


def boot_pair(user, arch, image):
    bench_guests.change_arguments(user, arch, DIRECT)
    for network in NETWORKS.values():
        user.do("network", "create", network)
    bench_guests.boot(user, GUESTS, arch, image, "--cpus", "1", "--memory", "512M",
                      *(word for network in NETWORKS.values() for word in ("--network", network)))


def members(user, network):
    return json.loads(user.do("network", "status", network, "--json"))["members"]


def address(user, network):
    return next(member["address"] for member in members(user, network) if member["name"] == "server")


def workers(user, network):
    """The pids of both QEMUs and of the network's switch."""
    switch = [pid for pid, words in user.processes().items() if words[1:2] == ["switch"] and
              pathlib.Path(f"/proc/{pid}/cwd").resolve().name == network]
    return [*(user.status(name)["pid"] for name in GUESTS), *switch]


def measure(user, network, iperf):
    pids = workers(user, network)
    before = sum(map(cpu_s, pids))
    end = json.loads(iperf(address(user, network)))["end"]
    gigabits = end["sum_received"]["bytes"] * 8 / 1e9
    return {"megabits_s": end["sum_received"]["bits_per_second"] / 1e6, "cpu_s a gigabit": (sum(map(cpu_s, pids)) - before) / gigabits}


def measured_between(user, iperf, runs):
    measured = medians({who: lambda network=network: measure(user, network, iperf) for who, network in NETWORKS.items()}, runs)
    if any(member.get("received_frames") for member in members(user, NETWORKS[PEER])):
        sys.exit("bench: frames of the direct pair came to the switch")
    return measured


def in_guests(args):
    queue_of_systemd()
    arch = platform.machine()
    with User() as user:
        boot_pair(user, arch, guest_image(arch))
        user.ssh("server", "sudo iperf3 -s -D")
        return measured_between(user, lambda to: user.ssh("client", f"iperf3 -J -t {args.seconds} -c {to}", timeout=args.seconds + 120), args.runs)


def on_this_host(args):
    """Checks the bench: fake QEMUs, and iperf3 over loopback."""
    with User(**fake_qemu()) as user, Reporters(user), listening() as port:
        boot_pair(user, "x86_64", boot_sectors.deaf(user.home))
        return measured_between(user, lambda _: subprocess.check_output(["iperf3", "-J", "-t", "1", "-c", "127.0.0.1", "-p", port]), args.runs)


def main():
    parser = options("iperf", __doc__, runs=7)
    parser.add_argument("--seconds", type=int, default=10, help="how long each run sends")
    parser.add_argument("--fake", action="store_true", help="boot nothing, to check the bench itself")
    args = parser.parse_args()
    measured = on_this_host(args) if args.fake else in_guests(args)
    show(rows_beside("iperf", "two guests", measured, {(PEER, "megabits_s"): ">= 0.9"}), args.json)


if __name__ == "__main__":
    main()
