# SPDX-License-Identifier: MIT
"""The command line without an agent: usage errors, help, password hashes, and an agent that does not run."""
import json
import os
import subprocess

import pexpect
import pytest

BINARY = os.environ["PIAGENT_BINARY"]
USAGE, NOT_FOUND, AGENT = 2, 3, 10


@pytest.fixture
def run(tmp_path):
    environment = dict(os.environ)
    for name in ("DATA", "CACHE", "CONFIG", "RUNTIME"):
        folder = tmp_path / name.lower()
        folder.mkdir(mode=0o700)
        environment["XDG_RUNTIME_DIR" if name == "RUNTIME" else f"XDG_{name}_HOME"] = str(folder)

    def call(*words, stdin=""):
        return subprocess.run([BINARY, *words], input=stdin, capture_output=True, text=True, timeout=60,
                              env=environment)

    yield call
    assert not (tmp_path / "runtime/piagent/agent.lock").exists(), "a command that needs no agent started one"


def commands(run):
    """The names in the list. A summary may go on in the next line, which is not a name."""
    listed = run("help").stdout.split("\n\n")[1].splitlines()
    return [name for line in listed if (name := line[2:18].strip())]


def test_every_command_explains_itself(run):
    names = commands(run)
    assert {"run", "ps", "ssh", "image fetch", "agent stop"} <= set(names)
    for name in names:
        shown = run(*name.split(), "--help")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith(f"piagent {name}")
        assert "Example:\n  piagent " + name.split()[0] in shown.stdout
        assert run("help", *name.split()).stdout == shown.stdout


def test_without_a_command_the_help_is_an_error(run):
    shown = run()
    assert shown.returncode == USAGE
    assert shown.stdout == ""
    assert shown.stderr == run("--help").stdout


def test_version_is_one_line(run):
    assert run("--version").stdout.startswith("piagent ")
    assert run("-V").stdout == run("--version").stdout


@pytest.mark.parametrize("words, code, said", [
    (["pss"], USAGE, "there is no command 'pss': did you mean piagent ps?"),
    (["pull", "fedora"], USAGE, "there is no command 'pull': use piagent image fetch IMAGE"),
    (["exec", "web", "ls"], USAGE, "there is no command 'exec': use piagent ssh NAME -- COMMAND"),
    (["up", "-f", "/nowhere/fleet.yaml"], NOT_FOUND, "there is no file /nowhere/fleet.yaml: -f FILE names the fleet's"),
    (["help", "inspect"], USAGE, "use piagent status NAME"),
    (["kil", "web"], USAGE, "there is no command 'kil': see piagent help"),
    (["resett", "web"], USAGE, "there is no command 'resett': see piagent help"),
    (["reseedd", "web"], USAGE, "there is no command 'reseedd': see piagent help"),
    (["restrat", "web"], USAGE, "did you mean piagent restart?"),
    (["image", "prnue"], USAGE, "piagent image takes one of"),
    (["stop", "--frob", "web"], USAGE, "powerdown has no option --frob"),
    (["run", "--name", "web"], USAGE, "run has no option --name: the name stands by itself: piagent run NAME"),
    (["run", "-it", "web"], USAGE, "attached anyway: leave it out"),
    (["run", "web", "--password=secret"], USAGE, "run has no option --password: everyone on the host could read it: --password-prompt"),
    (["run", "web", "-m", "big"], USAGE, "--memory: 'big' is not a size"),
    (["run", "web", "--image-sha256", "abc"], USAGE, "--sha256: 'abc' is not a SHA-256"),
    (["start"], USAGE, "start needs NAME..., or --all, --fleet, --label: piagent start NAME... (piagent ps -a lists the names)"),
    (["rm", "--all", "web"], USAGE, "rm takes names or --all, not both"),
    (["rm", "--all", "--force"], USAGE, "powerdown --all first"),
    (["powerdown", "web", "--timeout", "5", "minutes"], USAGE, "--timeout 5 minutes is two words: write --timeout 5minutes"),
    (["wait", "web", "--timeout", "5", "m"], USAGE, "--timeout 5 m is two words: write --timeout 5m"),
    (["logs", "web", "-n", "0"], USAGE, "--tail: '0' is not a whole number"),
    (["image", "fech", "fedora"], USAGE, "did you mean piagent image fetch?"),
    (["image"], USAGE, "piagent image takes one of fetch, ls, verify, rm, prune"),
    (["image", "prune", "--older-than", "5"], USAGE, "5d for five days"),
    (["image", "fetch", "ftp://host/disk.qcow2"], USAGE, "neither an https nor an http URL"),
    (["frobnicate"], USAGE, "see piagent help"),
    (["help", "statsu"], USAGE, "did you mean piagent help status?"),
    (["run"], USAGE, "run needs NAME"),
    (["run", "pi-1", "pi-2"], USAGE, "run does not take 'pi-2'"),
    (["run", "pi-1", "--memroy", "1G"], USAGE, "did you mean --memory?"),
    (["run", "pi-1", "--memory", "lots"], USAGE, "--memory: 'lots' is not a size: write it as 512M"),
    (["run", "pi-1", "--memory", "1K"], USAGE, "--memory: less than a mebibyte"),
    (["run", "pi-1", "--cpus", "0"], USAGE, "--cpus: '0' is not a whole number from 1 to 64"),
    (["run", "Pi_1"], USAGE, "'Pi_1' is not a usable name"),
    (["run", "pi-1", "--image", "fedroa"], USAGE, "--image: no image is called 'fedroa'"),
    (["run", "pi-1", "--image", "./gone.qcow2"], NOT_FOUND, "--image: cannot open ./gone.qcow2"),
    (["run", "pi-1", "--ssh-key", "/nonexistent"], NOT_FOUND, "--ssh-key"),
    (["run", "pi-1", "--user-data", "/nonexistent"], NOT_FOUND, "--user-data"),
    (["run", "pi-1", "--password-hash", "secret"], USAGE, "--password-hash"),
    (["run", "pi-1", "--password-hash", "$6$a$b", "--password-prompt"], USAGE, "exclude each other"),
    (["hash-password", "--method", "md5"], USAGE, "--method"),
    (["powerdown", "pi-1", "--timeout", "soon"], USAGE, "--timeout: 'soon' is not a duration"),
    (["powerdown", "pi-1", "--timeout", "0"], USAGE, "--timeout: it cannot be 0"),
    (["run", "pi-1", "--memory", "0", "--disk", "0"], USAGE, "--memory: it cannot be 0"),
    (["agent", "stauts"], USAGE, "there is no command 'agent stauts': did you mean piagent agent status?"),
    (["wait", *(f"m{n}" for n in range(1, 514))], USAGE, "wait takes at most 512 at once, not 513"),
    (["agent", "stpo"], USAGE, "did you mean piagent agent stop?"),
    (["agent", "frobnicate"], USAGE, "piagent agent takes one of start, status, stop, openapi"),
    (["destroy", "web"], USAGE, "piagent kill NAME ends an instance and keeps its disk, piagent rm --force NAME"),
    (["attach", "web"], USAGE, "use piagent console NAME"),
    (["login", "web"], USAGE, "use piagent ssh NAME"),
    (["version"], USAGE, "use piagent --version"),
    (["help", "version"], USAGE, "use piagent --version"),
    (["run", "pi-1", "--mem", "1G"], USAGE, "did you mean --memory?"),
    (["run", "pi-1", "--arch", "arm46"], USAGE, "--arch: 'arm46' is not one of: x86_64, aarch64"),
    (["run", "pi-1", "fedora:44"], USAGE, "run does not take 'fedora:44': name the image with --image IMAGE"),
    (["restart", "-d", "pi-1"], USAGE, "restart has no option -d: it returns when the guest is ready anyway"),
    (["ssh", "-p", "2222", "pi-1"], USAGE, "ssh has no option -p: the port is found by itself"),
    (["ssh", "-v", "pi-1"], USAGE, "ssh has no option -v: use -o LogLevel=DEBUG"),
    (["ssh", "-l", "root", "pi-1"], USAGE, "ssh has no option -l: it logs in as the user that piagent run --user made"),
    (["agent", "status"], AGENT, "no agent runs"),
])
def test_a_mistake_is_told_in_one_line(run, words, code, said):
    shown = run(*words)
    assert shown.returncode == code, shown.stderr
    assert shown.stdout == ""
    assert shown.stderr.startswith("piagent: ")
    assert shown.stderr.count("\n") == 1
    assert said in shown.stderr


def test_an_ssh_key_that_fedoras_sshd_refuses_is_told_and_given(run):
    shown = run("run", "pi-1", "--ssh-key", f"{os.environ['PIAGENT_SOURCE']}/tests/cases/ssh/k_rsa1k.pub", "--user-data", "/nonexistent")
    assert shown.returncode == NOT_FOUND
    warning, error = shown.stderr.splitlines()
    assert "k_rsa1k.pub: warning: an RSA key of 1024 bits" in warning and "/nonexistent" in error, shown.stderr


def test_user_data_is_checked_before_an_agent_is_asked(run, tmp_path):
    file = tmp_path / "broken.yaml"
    file.write_text("#cloud-config\npackages: [a\n")
    shown = run("run", "pi-1", "--user-data", str(file))
    assert shown.returncode == USAGE
    assert str(file) in shown.stderr


@pytest.mark.parametrize("words, prefix", [([], "$y$"), (["--method", "sha512"], "$6$"), (["-m", "yescrypt"], "$y$")])
def test_a_password_is_hashed_with_a_fresh_salt(run, words, prefix):
    first = run("hash-password", *words, stdin="correct horse\n")
    second = run("hash-password", *words, stdin="correct horse\n")
    assert first.returncode == second.returncode == 0
    assert first.stdout.startswith(prefix) and second.stdout.startswith(prefix)
    assert first.stdout != second.stdout
    assert "correct horse" not in first.stdout + first.stderr


def test_an_empty_password_is_refused(run):
    assert run("hash-password", stdin="\n").returncode == USAGE


def test_who_was_stopped_while_a_password_was_asked_for_is_asked_again():
    shell = pexpect.spawn("bash", ["--norc", "--noprofile", "-i"], timeout=60, encoding="utf-8", env={**os.environ, "PS1": "ready> "})
    shell.expect_exact("ready> ")
    shell.sendline(f"{BINARY} hash-password")
    shell.expect_exact("Password: ")
    shell.sendcontrol("z")
    shell.expect("Stopped")
    shell.expect_exact("ready> ")
    shell.sendline("fg")
    for prompt in ("Password: ", "Password, again: "):
        shell.expect_exact(prompt)
        shell.sendline("correct horse")
    shell.expect(r"\$y\$\S+\s")
    shell.sendline("exit")
    shell.expect(pexpect.EOF)


def test_stopping_no_agent_is_fine(run):
    assert run("agent", "stop").returncode == 0


def test_an_empty_store_is_an_empty_list(run):
    assert json.loads(run("image", "ls", "--json").stdout) == {"images": []}
    shown = run("image", "ls")
    assert (shown.returncode, shown.stdout) == (0, "")
    assert "piagent image fetch" in shown.stderr


def test_pruning_nothing_frees_nothing(run):
    assert json.loads(run("image", "prune", "--json").stdout) == {"images": [], "freed_bytes": 0, "dry_run": False}


def test_output_that_cannot_be_written_is_an_error(run):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 6
    assert "cannot write the output" in done.stderr


@pytest.mark.parametrize("words, code, kind", [
    (["agent", "status", "--json"], AGENT, "agent"),
    (["status", "Pi_1", "--json", "--frob"], USAGE, "usage"),
    (["image", "fetch", "--json"], USAGE, "usage"),
])
def test_with_json_a_mistake_is_json(run, words, code, kind):
    shown = run(*words)
    assert (shown.returncode, shown.stdout, shown.stderr.count("\n")) == (code, "", 1)
    error = json.loads(shown.stderr)["error"]
    assert error["kind"] == kind and error["message"]


def test_topics_are_told(run):
    assert "\n  10 " in run("help", "exit-codes").stdout
    assert "NO_COLOR" in run("help", "environment").stdout
    assert "did you mean piagent help environment?" in run("help", "enviroment").stderr


def test_two_words_that_share_the_first_are_listed(run):
    assert run("image", "--help").stdout == run("help", "image").stdout
    assert "image prune" in run("help", "image").stdout


def test_version_is_json_too(run):
    assert set(json.loads(run("--version", "--json").stdout)) == {"version"}
