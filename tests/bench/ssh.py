# SPDX-License-Identifier: MIT
"""`piagent ssh NAME -- true` beside plain ssh with a ControlMaster, both over a connection that is open already.

A real SSH server stands in the guest's place, and the instance is a fake QEMU that reported ready. CPU time is the command's alone.
Both are medians over the runs, in which the two take turns. Rows: bench, what, peer, ours, theirs, ratio (ours / theirs), wanted.
"""

import contextlib
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "harness"))
from guest_sshd import make, sshd  # noqa: E402
from piagent import PIAGENT, User, fake_qemu  # noqa: E402
from turns import cost, medians, options, rows_beside, show  # noqa: E402

NAME, PEER = "pi-1", "ssh with a ControlMaster"


@contextlib.contextmanager
def plain_ssh(user):
    """A host in a configuration, as people write it; its master is open."""
    instance, record = user.instances / NAME, user.record(NAME)
    config = user.home / "config-of-ssh"
    config.write_text(f"Host {NAME}\n HostName 127.0.0.1\n Port {record['spec']['ssh_port']}\n User {record['spec']['user']}\n"
                      f" HostKeyAlias {NAME}\n IdentityFile {instance}/ssh_key\n IdentitiesOnly yes\n"
                      f" UserKnownHostsFile {instance}/known_hosts\n ControlMaster auto\n ControlPath {user.home}/master\n"
                      " ControlPersist 60\n")
    ssh = ["ssh", "-F", str(config), NAME]
    subprocess.run([*ssh, "true"], check=True, stdin=subprocess.DEVNULL)
    try:
        yield [*ssh, "true"]
    finally:
        subprocess.run([*ssh, "-O", "exit"], check=True, stderr=subprocess.DEVNULL)


def main():
    args = options("ssh", __doc__, runs=41).parse_args()
    with User(**fake_qemu()) as user:
        make(user, NAME)
        with sshd(user, NAME), plain_ssh(user) as ssh:
            ours = [PIAGENT, "ssh", NAME, "--", "true"]
            cost(ours, user.env)  # opens the connection
            measured = medians({"piagent": lambda: cost(ours, user.env), PEER: lambda: cost(ssh, user.env)}, args.runs)
    show(rows_beside("ssh", "a command in a ready guest", measured, {(PEER, "wall_s"): "<= 1.2"}), args.json)


if __name__ == "__main__":
    main()
