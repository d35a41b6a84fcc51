# SPDX-License-Identifier: MIT
"""The man pages as those who read them do: mandoc finds nothing wrong with them, and each command has one."""
import os
import pathlib
import shutil
import subprocess

import pytest

PIAGENT = os.environ["PIAGENT_BINARY"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([PIAGENT, "__pages", folder], env={**os.environ, "SOURCE_DATE_EPOCH": "0"}, check=True, timeout=60)
    return folder / "share/man/man1"


def test_mandoc_has_no_warnings(pages):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed: scripts/packages test")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *sorted(pages.iterdir())], text=True, capture_output=True,
                          timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_command_has_a_page_and_the_date_is_the_builds(pages):
    listed = subprocess.run([PIAGENT, "help"], text=True, capture_output=True, timeout=30, check=True).stdout
    names = [name for line in listed.split("\n\n")[1].splitlines() if (name := line[2:18].strip())]
    assert len(names) > 20
    for name in names:
        page = pathlib.Path(pages, f"piagent-{name.replace(' ', '-')}.1").read_text()
        assert page.startswith(".Dd January 1, 1970\n")
    assert len(list(pages.iterdir())) == len(names) + 1


def test_the_main_page_tells_exit_codes_environment_and_files(pages):
    page = (pages / "piagent.1").read_text()
    for section in ("VALUES", "JSON OUTPUT", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO"):
        assert f"\n.Sh {section}\n" in page
