# SPDX-License-Identifier: MIT
"""The man pages as their readers see them: mandoc and groff find nothing wrong, and each command and each topic has one."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

PIAGENT = os.environ["PIAGENT_BINARY"]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    subprocess.run([PIAGENT, "__pages", folder], env={**os.environ, "SOURCE_DATE_EPOCH": "0"}, check=True, timeout=60)
    return folder / "share/man"


def output(*command):
    return subprocess.run(command, text=True, capture_output=True, timeout=60, check=True, env={**os.environ, "MANWIDTH": "80"}).stdout


def listed(part):
    """The names in one part of piagent help: 1 holds the commands, 2 the topics."""
    return [name for line in output(PIAGENT, "help").split("\n\n")[part].splitlines() if line[0] == " " and (name := line[2:18].strip())]


@pytest.mark.parametrize("check", ["mandoc -T lint -W warning", "groff -m mdoc -K utf8 -T utf8 -ww -z"])
def test_the_formatter_has_no_warnings(pages, check):
    if not shutil.which(check.split()[0]):
        pytest.skip(f"{check.split()[0]} is not installed: scripts/packages test")
    for page in sorted(pages.rglob("piagent*")):
        done = subprocess.run([*check.split(), page], text=True, capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), page


def test_no_word_is_broken_at_the_end_of_a_line(pages):
    if not shutil.which("groff"):
        pytest.skip("groff is not installed: scripts/packages test")
    for page in sorted(pages.rglob("piagent*")):
        assert "\N{HYPHEN}\n" not in output("groff", "-m", "mdoc", "-K", "utf8", "-T", "utf8", "-P", "-cbou", page), page


def test_every_command_and_every_topic_has_a_page_and_the_date_is_the_builds(pages):
    commands, topics = listed(1), listed(2)
    assert len(commands) > 20 and len(topics) > 10
    names = {f"man1/piagent-{name.replace(' ', '-')}.1" for name in commands} | {f"man7/piagent-{name}.7" for name in topics} | {"man1/piagent.1"}
    assert {str(page.relative_to(pages)) for page in pages.rglob("*.?")} == names
    for name in names:
        assert pathlib.Path(pages, name).read_text().startswith(".Dd January 1, 1970\n")


def test_the_main_page_leads_to_every_other_page(pages):
    page = (pages / "man1/piagent.1").read_text()
    for name in listed(1):
        assert f'\n.It Ic "{name}"\n'.replace("-", "\\-") in page
    for name in ("run 1", *(f"{name} 7" for name in listed(2))):
        assert f"Xr piagent-{name}\n" in page


def words(text):
    """The text with its lines joined."""
    return " ".join(text.split())


def test_help_and_the_page_of_a_topic_say_the_same(pages):
    if not shutil.which("mandoc"):
        pytest.skip("mandoc is not installed: scripts/packages test")
    for name in listed(2):
        page = output("mandoc", "-T", "ascii", pages / f"man7/piagent-{name}.7")
        page = re.sub(".\b", "", page)  # no overstriking
        shown = page.split("\nDESCRIPTION\n")[1].split("\nSEE ALSO\n")[0]
        assert words(shown) == words(output(PIAGENT, "help", name)), name


def test_a_topic_is_read_in_a_terminal_of_80_columns():
    for name in listed(2):
        long = [line for line in output(PIAGENT, "help", name).splitlines() if len(line) > 80]
        assert not long, long


def test_no_topic_is_called_as_a_command_is():
    assert not set(listed(2)) & {name.split()[0] for name in listed(1)}
    assert output(PIAGENT, "help", "images").startswith("piagent run fetches")  # also a word of other tools for image ls
