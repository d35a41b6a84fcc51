# SPDX-License-Identifier: MIT
"""`piagent status` of one instance of a hundred beside `virsh domstate` of one domain of as many, the whole commands.

piagent's instances all run (fake QEMUs), and libvirt's are defined: one that runs costs it a QEMU. CPU time is the command's alone.
Both are medians over the runs, in which the two take turns. Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
import boot_sectors  # noqa: E402
import fleet  # noqa: E402
from own_libvirt import VIRSH, Libvirt  # noqa: E402
from piagent import PIAGENT, User, fake_qemu  # noqa: E402
from turns import cost, medians, options, rows_beside, show  # noqa: E402

PEER = "virsh domstate"
DOMAIN = "<memory unit='MiB'>256</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>"


def main():
    parser = options("status", __doc__, runs=41)
    parser.add_argument("--count", metavar="N", type=int, default=100)
    args = parser.parse_args()
    with User(**fake_qemu()) as user, Libvirt() as libvirt:
        fleet.make(user, boot_sectors.deaf(user.home), args.count)
        fleet.start(user, args.count)
        for index in range(args.count):
            libvirt.define(fleet.name_of(index), DOMAIN)
        name = fleet.name_of(args.count // 2)
        measured = medians({"piagent": lambda: cost([PIAGENT, "status", name], user.env),
                            PEER: lambda: cost([*VIRSH, "domstate", name], libvirt.env, **libvirt.identity)}, args.runs)
    show(rows_beside("status", f"{args.count} instances", measured, {(PEER, "wall_s"): "<= 0.5"}), args.json)


if __name__ == "__main__":
    main()
