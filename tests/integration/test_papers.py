# SPDX-License-Identifier: MIT
"""What README, news, the READMEs of folders and the topics tell to type is there: commands, options, topics, man pages."""

import functools
import pathlib
import re
import subprocess

import pytest
from piagent import PIAGENT, SOURCE

TOPICS = sorted(pathlib.Path(SOURCE, "agent/cli/topics").glob("*.txt"))
PAPERS = sorted(path for path in [*pathlib.Path(SOURCE).glob("*.md"), *pathlib.Path(SOURCE, ".github").glob("*.md"), *pathlib.Path(SOURCE).glob("[aiqst]*/**/*.md")])
OURS = {"isolated", "bridged", "switch", "worker", "__pages", "__complete"}  # nobody but piagent and its build types these


@functools.cache
def told(*words):
    return subprocess.run([PIAGENT, "help", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60, check=False).stdout


def commands(path):
    """What follows "piagent" in each command line that the text shows."""
    text = path.read_text()
    code = [line for line in text.splitlines() if line.startswith("    ")] if path in TOPICS else re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)
    lines = [line.split("   #")[0] for block in code for line in block.splitlines()]
    spans = [] if path in TOPICS else [" ".join(span.split()) for span in re.findall(r"(?<!`)`(?!`)([^`]+)`", text)]
    for line in lines + spans:
        found = re.match(r"\s*(?:\$ )?piagent ([a-z_][\w-]*(?:\s.*)?)$", line)
        if found:
            yield found[1]


@pytest.mark.parametrize("path", [*PAPERS, *TOPICS], ids=lambda path: str(path.relative_to(SOURCE)))
def test_commands_and_options_are_there(path):
    for line in commands(path):
        words = re.split(r"[^\w :./=,@-]", line)[0].split(" -- ")[0].split()  # up to a quote, a pipe, "..."
        if words[0] in OURS:
            continue
        if words[0] == "help":
            assert len(words) == 1 or words[1].isupper() or told(words[1]), line  # TOPIC stands for one
            continue
        help = told(*words[:2]) or told(words[0])
        assert help, f"there is no command: piagent {line}"
        for option in (word.split("=")[0] for word in words if word.startswith("--")):
            assert re.search(rf"(^|[ ,]){option}(?![\w-])", help, re.M), f"{option}: piagent {line}"


def test_topics_lead_to_topics_that_are_there():
    for path in TOPICS:
        for name in re.findall(r"piagent\s+help\s+([a-z-]+)", path.read_text()):
            assert told(name), f"{path.name}: piagent help {name}"


def test_the_topic_on_user_data_shows_what_validate_prints(tmp_path):
    text = pathlib.Path(SOURCE, "agent/cli/topics/user-data.txt").read_text()
    shown = re.search(r"^    \$ piagent validate web.yaml\n((?:    .*\n)+)", text, re.M)[1]
    (tmp_path / "web.yaml").write_text("#cloud-config\npackages: vim\nrunmcd:\n  - echo hello\n")
    done = subprocess.run([PIAGENT, "validate", "web.yaml"], cwd=tmp_path, env={"PATH": "/nonexistent"}, text=True, capture_output=True, timeout=60,
                          check=False)  # without a cloud-init, which would add its own words
    assert (done.stdout + done.stderr).splitlines() == [line[4:] for line in shown.splitlines()]


def test_the_readme_names_every_topic():
    readme = pathlib.Path(SOURCE, "README.md").read_text()
    assert {path.stem for path in TOPICS} <= set(re.findall(r"[a-z-]+", readme))


def test_the_newest_release_in_the_news_is_this_version():
    news = pathlib.Path(SOURCE, ".github/NEWS.md").read_text()
    version = subprocess.run([PIAGENT, "--version"], stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout.split()[1]
    assert re.findall(r"^## (.+)$", news, re.M)[0] == version
