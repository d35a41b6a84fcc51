# SPDX-License-Identifier: MIT
"""A Debian on which nothing is installed (scripts/fresh-root), with a clone of the tree's HEAD for each of its users."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest

SOURCE = os.environ["PIAGENT_SOURCE"]


class FreshRoot:
    def __init__(self, suite):
        if os.geteuid():
            pytest.skip("cannot here: only root can make a root folder")
        self.above = pathlib.Path(tempfile.mkdtemp(prefix="fresh-", dir="/var/tmp"))
        self.folder = self.above / "root"
        try:
            subprocess.run([f"{SOURCE}/scripts/fresh-root", "new", self.folder, "--suite", suite], check=True, timeout=600)
        except BaseException:
            shutil.rmtree(self.above)
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.above)

    def run(self, user, command, timeout=700):
        """Runs a line of bash as that user, in the clone. It must succeed. Returns its output."""
        # subprocess kills it at the timeout, and all that it started there goes with it.
        done = subprocess.run([f"{SOURCE}/scripts/fresh-root", "run", self.folder, "--user", user, "bash", "-c", command],
                              text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, check=False)
        assert done.returncode == 0, f"{user}: {command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def quickstart(self, user):
        """From nothing to a guest that did its job; and the line that it ends with puts piagent into the PATH."""
        said = self.run(user, "./scripts/quickstart")
        assert "there is no image" in self.run(user, "build/release/piagent image ls"), "the stand-in for Fedora's image stayed"
        assert re.search(r"^Linux quickstart-\d+ ", said, re.M) and "the guest powered itself off" in said, said
        lines = said.splitlines()
        assert len(lines) < 80 and not [line for line in lines if line.startswith(("-- ", "Get:", "["))], said
        install = lines[next(i for i, line in enumerate(lines) if "in your PATH" in line) + 1].strip()
        version = self.run(user, f"{{ {install}; }} > /dev/null && piagent --version && ls $(dirname $(command -v piagent))/../share/man/man1")
        assert version.startswith("piagent ") and "piagent-run.1" in version, version
        return said
