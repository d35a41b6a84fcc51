# SPDX-License-Identifier: MIT
"""Guests for benchmarks, and a QEMU whose arguments the benchmark changes."""

import shutil
import sys

BOOT_S = 1800


def change_arguments(user, arch, case):
    """Puts a QEMU into the user's PATH that changes its words. case: the branches of bash's `case $word in`, which set word. $guest is the guest's
    name."""
    name = f"qemu-system-{arch}"
    shim = user.home / "bin" / name
    shim.parent.mkdir()
    shim.write_text(f"""#!/bin/bash
[[ " $* " =~ " guest="([^,]*) ]] && guest=${{BASH_REMATCH[1]}}
words=()
for word; do
    case $word in
{case}    esac
    words+=("$word")
done
exec {shutil.which(name, path=user.env["PATH"])} "${{words[@]}}"
""")
    shim.chmod(0o755)
    user.env["PATH"] = f"{shim.parent}:{user.env['PATH']}"


def boot(user, names, arch, image, *words):
    """Boots them at the same time, emulated. The pids of their QEMUs."""
    runs = [user.start("run", name, "--image", image, "--unverified", "--arch", arch, "--accel", "tcg", *words, "-d") for name in names]
    for run in runs:
        said, _ = run.communicate(timeout=BOOT_S)
        if run.returncode:
            sys.exit(f"bench: no guest: {said}")
    return [user.status(name)["pid"] for name in names]
