# SPDX-License-Identifier: MIT
"""Completions as a person meets them: a Tab in the real bash, zsh and fish, over instances and images that are there."""
import json
import os
import re
import shutil
import subprocess
import tempfile

import pexpect
import pytest

from boot_sectors import deaf
from piagent import PIAGENT, User, promptly

BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"
SHELLS = ["bash", "bash with bash-completion", "zsh", "fish"]


@pytest.fixture(scope="module")
def user():
    with User(PATH=f"{os.path.dirname(PIAGENT)}:{os.environ['PATH']}", SHELL="/bin/sh", fish_greeting="") as one:
        one.boot("web-up", deaf(one.home))
        one.boot("web-off", deaf(one.home))
        one.do("kill", "web-off")
        (one.home / "my data.yaml").write_text("#cloud-config\n")
        for shell in ("bash", "zsh", "fish"):
            (one.home / shell).write_text(one.do("completion", shell))
        yield one


def ask_terminal(user, command, setup, line):
    """The line that a shell makes of it at a Tab: a key of its own prints it."""
    shell = pexpect.spawn(command, env={**user.env, "TERM": "dumb", "PS1": "> "}, cwd=user.home, encoding="utf-8", timeout=60,
                          dimensions=(50, 200))
    try:
        for words in [*setup, "echo rea''dy"]:
            shell.sendline(words)
        shell.expect("\nready")
        shell.send(line + "\t\x14")
        shell.expect("<<(.*?)>>")
        return shell.match.group(1).rstrip()
    finally:
        shell.close(force=True)


def tab(user, shell, line):
    if not shutil.which(shell.split()[0]):
        pytest.skip(f"cannot here: {shell} is not installed")
    if shell.startswith("bash"):
        with_completion = [f"source {BASH_COMPLETION}"] if "with" in shell else []
        return ask_terminal(user, "bash --norc --noprofile -i",
                            [*with_completion, f"source {user.home}/bash", "bind -x '\"\\C-t\": echo \"<<$READLINE_LINE>>\"'"], line)
    if shell == "zsh":
        return ask_terminal(user, "zsh -f -i",
                            ["autoload -Uz compinit; compinit -u -D", f"source {user.home}/zsh", "unsetopt automenu beep",
                             "show() { print -r -- \"<<$BUFFER>>\" }; zle -N show; bindkey '^T' show"], line)
    done = subprocess.run(["fish", "--no-config", "-c", f"source {user.home}/fish; complete -C {line!r}"],
                          env=user.env, cwd=user.home, text=True, capture_output=True, timeout=60, check=True)
    values = [value.split("\t")[0] for value in done.stdout.splitlines()]
    assert len(values) == 1, done
    return re.sub(r"\S*$", "", line) + values[0]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line, completed", [
    ("piagent expl", "piagent explain"),
    ("piagent image pr", "piagent image prune"),
    ("piagent help image fe", "piagent help image fetch"),
    ("piagent run x --memory-m", "piagent run x --memory-max"),
    ("piagent run x --arch a", "piagent run x --arch aarch64"),
    ("piagent run x --arch=a", "piagent run x --arch=aarch64"),
    ("piagent run x -d --image fedora:39", "piagent run x -d --image fedora:39"),
    ("piagent powerdown web-", "piagent powerdown web-up"),
    ("piagent start web-", "piagent start web-off"),
    ("piagent status web-of", "piagent status web-off"),
    ("piagent image rm dea", "piagent image rm deaf.raw"),
    ("piagent run x --user-data my", "piagent run x --user-data my\\ data.yaml"),
    ("piagent run x --user-data=my", "piagent run x --user-data=my\\ data.yaml"),
])
def test_a_tab_completes(user, shell, line, completed):
    assert tab(user, shell, line).replace("my data", "my\\ data") == completed


def test_a_misspelt_image_is_answered_with_the_nearest(user):
    assert user.refused(3, "image", "verify", "daef.raw") == "no image is called 'daef.raw': did you mean deaf.raw?"


def test_each_instance_has_its_result_in_json(user):
    done = user.call("pause", "web-up", "web-off", "--json")
    results = json.loads(done.stdout)["machines"]
    assert (done.returncode, results[0]) == (4, {"name": "web-up"})
    assert results[1]["error"]["kind"] == "conflict"
    errors = user.call("start", "-d", "nobody", "web-off", "--json").stderr.splitlines()
    assert [json.loads(line)["error"]["kind"] for line in errors] == ["not-found"]
    assert json.loads(user.do("resume", "web-up", "--json")) == {"machines": [{"name": "web-up"}]}
    assert json.loads(user.do("resume", "web-up", "--json")) == {"machines": [{"name": "web-up", "already": True}]}


def test_the_explained_command_is_the_command(user):
    """bash reads the array with its comments, and its words are the ones that QEMU got, in another order."""
    script = f"{user.do('explain', 'web-up')}\nprintf '%s\\n' \"${{command[@]}}\""
    words = subprocess.run(["bash", "-c", script], text=True, capture_output=True, timeout=60, check=True).stdout.splitlines()
    assert sorted(words) == sorted(json.loads(user.do("qemu-command", "web-up", "--json"))["argv"])
    explained = json.loads(user.do("explain", "web-up", "--json"))["options"]
    assert all(option["why"] for option in explained)


def test_completing_starts_no_agent_and_says_nothing():
    with User() as alone:
        alone.instances.joinpath("old").mkdir(parents=True)
        done = alone.call("__complete", "--", "start", "")
        assert (done.returncode, done.stdout, done.stderr) == (0, "old\n", "")
        assert not (alone.runtime / "agent.lock").exists()


def test_an_agent_that_hangs_is_not_waited_for(user):
    pid = user.agent_pid()
    os.kill(pid, 19)
    try:
        with promptly():
            done = user.call("__complete", "--", "status", "web-")
        assert sorted(done.stdout.split()) == ["web-off", "web-up"]
    finally:
        os.kill(pid, 18)


def test_the_build_installs_pages_and_completions_where_they_are_looked_for(user):
    with tempfile.TemporaryDirectory() as folder:
        user.do("__pages", folder)
        for name in ("share/man/man1/piagent.1", "share/man/man1/piagent-image-fetch.1", "share/zsh/site-functions/_piagent",
                     "share/bash-completion/completions/piagent", "share/fish/vendor_completions.d/piagent.fish"):
            assert os.path.getsize(f"{folder}/{name}") > 200, name


def test_zsh_finds_an_installed_function_by_itself(user):
    if not shutil.which("zsh"):
        pytest.skip("cannot here: zsh is not installed")
    folder = user.home / "functions"
    folder.mkdir()
    (folder / "_piagent").write_text(user.do("completion", "zsh"))
    assert ask_terminal(user, "zsh -f -i",
                        [f"fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -D", "unsetopt automenu beep",
                         "show() { print -r -- \"<<$BUFFER>>\" }; zle -N show; bindkey '^T' show"],
                        "piagent expl") == "piagent explain"
