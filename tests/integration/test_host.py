# SPDX-License-Identifier: MIT
"""--host: commands act on the agent of another user, behind a real SSH server."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess

import boot_sectors
import pexpect
import pytest
from another_host import AnotherHost, key
from guest_sshd import log_in_as_this_user, report_ready, sshd
from piagent import AGENT, CONFLICT, PIAGENT, USAGE, User, promptly, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: only root has an SSH server for several users")


@pytest.fixture
def near():
    with User() as user:
        yield user
        user.env.pop("PIAGENT_HOST", None)


@pytest.fixture
def far(near):
    with AnotherHost(near) as host:
        yield host


def run_words(far, name):
    """run -d of a guest that boots as long as nobody reports that it is ready."""
    disk = boot_sectors.deaf(far.user.home)
    os.chmod(disk, 0o644)
    return ("--host", far.url, "run", name, "--image", str(disk), "--unverified", "--arch", "x86_64", "--accel", "tcg", "--memory", "256M",
            "--disk", "1M", "-d")


def state(near, far, name):
    return json.loads(near.do("--host", far.url, "status", name, "--json"))["state"]


def boot(near, far, name, *more):
    """The command that follows the boot."""
    command = near.start(*run_words(far, name), *more)
    wait_for("it runs", lambda: near.call("--host", far.url, "status", name).returncode == 0 and state(near, far, name) == "running", 60)
    return command


def is_connected(near):
    return bool(list(near.runtime.glob("ssh-*.ctl")))


def test_commands_act_on_the_other_users_agent_and_log_in_once(near, far):
    near.call("--host", far.url, "agent", "status")
    assert far.url in near.call("--host", far.url, "ps").stderr  # there is no instance on ...
    status = json.loads(near.do("--host=" + far.url, "agent", "status", "--json"))
    assert status["state_folder"].startswith(str(far.user.home))
    assert os.stat(f"/proc/{status['pid']}").st_uid == far.uid
    assert status["cpus"] >= 1 and status["memory_mib"] > status["memory_available_mib"] > 0 and status["arch"] == os.uname().machine
    near.env["PIAGENT_HOST"] = far.url
    assert near.do("ps", "-q") == ""
    assert far.logins() == 1
    assert not (near.home / "data/piagent/agent.log").exists()
    near.env["PIAGENT_HOST"] = "ssh://nobody@127.0.0.1:1"
    assert near.do("--host", far.url, "ps", "-q") == ""  # --host wins
    near.do("--host", "", "ps")  # this host
    assert (near.home / "data/piagent/agent.log").exists()


def test_the_files_of_run_are_read_here_and_its_hints_hold_here(near, far):
    (near.home / "web.yaml").write_text("#cloud-config\n{package_update: false}\n")
    public = key(near.home / "mine")
    command = boot(near, far, "web", "--user-data", str(near.home / "web.yaml"), "--ssh-key", str(near.home / "mine.pub"))
    assert (far.user.instances / "web/user-data").read_text() == "#cloud-config\n{package_update: false}\n"
    assert public.split()[1] in (far.user.instances / "web/record.json").read_text()
    report_ready(far.user, "web")
    said = command.communicate(timeout=60)[0]
    assert command.returncode == 0 and f"web: log in with: piagent --host {far.url} ssh web\n" in said, said
    assert near.do("--host", far.url, "logs", "web").startswith("hello") and "state ready" in near.do("--host", far.url, "events", "web")
    refused = near.refused(4, "--host", far.url, "rm", "web")
    assert f"piagent --host {far.url} powerdown web first, or piagent --host {far.url} rm --force web" in refused
    near.do("--host", far.url, "rm", "--force", "web")


def test_ssh_cp_and_ssh_config_lead_through_the_host_into_the_guest(near, far):
    boot(near, far, "a")
    report_ready(far.user, "a")
    far.user.wait_state("a", "ready", 30)
    far.user.kill_agent()
    log_in_as_this_user(far.user, "a")
    near.env["PIAGENT_HOST"] = far.url
    near.do("ps")
    with sshd(far.user, "a"):
        assert near.do("ssh", "a", "--", "echo $INSTANCE") == "a\n"
        copies = next(near.runtime.glob("ssh-*.keys/a"))
        assert [oct(path.stat().st_mode & 0o777) for path in (copies.parent, copies, copies / "ssh_key")] == ["0o700", "0o700", "0o600"]
        (near.home / "sent").write_text("from here")
        near.do("cp", str(near.home / "sent"), f"a:{far.user.home}/arrived")
        assert (far.user.home / "arrived").read_text() == "from here"
        near.do("cp", "--rsync", f"a:{far.user.home}/arrived", str(near.home / "back"))
        assert (near.home / "back").read_text() == "from here"
        (near.home / "hosts").write_text(near.do("ssh-config"))
        variables = json.loads(near.do("inventory", "--host", "a"))
        assert variables["ansible_ssh_private_key_file"] == str(copies / "ssh_key") and far.url in variables["ansible_ssh_args"]
        del near.env["PIAGENT_HOST"]
        (copies / "ssh_key").unlink()  # as after a new login of the user
        done = subprocess.run(["/usr/bin/ssh", "-F", near.home / "hosts", "a", "echo $INSTANCE"], env=near.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        assert done.stdout == "a\n"
    assert far.logins() == 1
    # Root could read the key there, too.
    used = [line for line in (near.home / "tools/arguments").read_text().splitlines() if "IdentityFile" in line]
    assert len(used) >= 3 and not any(str(far.user.instances) in line for line in used), used


def test_doctor_and_the_images_are_those_of_the_host(near, far):
    done = near.call("--host", far.url, "doctor", "--offline", timeout=120)
    assert str(far.user.home) in done.stdout and str(near.home) not in done.stdout
    assert str(far.user.home) in near.call("--host", far.url, "image", "ls").stderr
    for words in (("image", "fetch", "./x.qcow2"), ("run", "x", "--image", "./x.qcow2")):
        assert "./x.qcow2 is a file of this host" in near.refused(USAGE, "--host", far.url, *words)
    assert "it's" in near.refused(3, "--host", far.url, "image", "verify", "it's; echo $HOME")


@pytest.mark.parametrize("url", ["ssh://-oProxyCommand=touch${IFS}x", "ssh://-l@host", "ssh://a@-oProxyCommand=x", "ssh://h;touch x", "ssh://h:0", "ssh://h:x",
                                 "ssh://", "ssh://u:secret@h", "ssh://h/path", "ssh://$(touch x)@h", "ssh://a b", "ssh://h\nx", "-oProxyCommand=x",
                                 "tcp://h", "ssh://[::1", "ssh://[::1]x", "ssh://a%2db@h"])
def test_what_is_no_host_is_refused_and_nothing_runs(near, url):
    near.env["PATH"] = str(near.home)  # without ssh
    assert "is not a host: write ssh://" in near.refused(USAGE, "--host", url, "ps")
    near.env["PIAGENT_HOST"] = url
    for command in ("doctor", "ps"):
        assert "PIAGENT_HOST: " in (said := near.refused(USAGE, command)) and "is not a host: write ssh://" in said


def test_a_host_without_its_scheme_and_a_misspelt_option_are_told_what_was_meant(near):
    (near.home / "fleet.yaml").write_text("instances: {a: {host: rack1}}\n")
    for host in ("rack1", "pi@rack1:2222", "[::1]"):
        assert near.refused(USAGE, "--host", host, "ps") == f"--host: '{host}' is not a host: did you mean ssh://{host}?"
    assert "error: instances.a.host: 'rack1' is not a host: did you mean ssh://rack1?\n" in near.call(
        "up", "-f", str(near.home / "fleet.yaml")).stderr
    for words in (("--hots", "ssh://rack1", "ps"), ("--hots=ssh://rack1", "ps")):
        assert near.refused(USAGE, *words) == "piagent has no option --hots: did you mean --host?"
    assert near.refused(USAGE, "-q", "ps") == "piagent has no option -q: options of a command stand behind it: see piagent help"


def test_a_run_in_the_foreground_and_its_console_are_on_the_other_host(near, far):
    words = [word for word in run_words(far, "box") if word != "-d"]
    terminal = pexpect.spawn(PIAGENT, words, env=near.env, timeout=60, encoding="utf-8")
    terminal.expect("hello")
    terminal.send("\x1d")
    terminal.expect(f"piagent --host {re.escape(far.url)} console box")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert (terminal.exitstatus, state(near, far, "box")) == (0, "running")
    terminal = pexpect.spawn(PIAGENT, ["--host", far.url, "console", "box"], env=near.env, timeout=60, encoding="utf-8")
    terminal.expect("hello")
    terminal.send("typed here")
    typed = far.user.instances / "box/typed"
    wait_for("the guest has it", lambda: typed.exists() and typed.read_text() == "typed here", 60)
    far.break_connections()
    wait_for("the console is there again", lambda: far.logins() == 2, 60)
    near.do("--host", far.url, "powerdown", "box")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0 and state(near, far, "box") == "stopped"


def test_an_interrupt_of_a_run_in_the_foreground_powers_the_far_guest_down(near, far):
    command = near.start(*[word for word in run_words(far, "box") if word != "-d"])
    wait_for("it runs", lambda: near.call("--host", far.url, "status", "box").returncode == 0 and state(near, far, "box") == "running", 60)
    command.send_signal(signal.SIGINT)
    command.send_signal(signal.SIGINT)
    said, _ = command.communicate(timeout=60)
    assert "box: powering down; interrupt again to kill it" in said, said


def test_a_host_that_cannot_be_reached_is_told_in_sshs_words_and_one_line(near, far):
    far.know(key(near.home / "other"))
    done = near.call("--host", far.url, "ps")
    assert done.returncode == AGENT and "REMOTE HOST IDENTIFICATION HAS CHANGED" in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"piagent: cannot reach {far.url}: ")
    far.know(far.host_key)
    far.stop_server()
    assert near.refused(AGENT, "--host", far.url, "ps").startswith(f"cannot reach {far.url}: ")
    assert "Connection refused" in near.call("--host", far.url, "doctor").stderr
    assert not is_connected(near)


def test_a_server_that_does_not_answer_is_waited_for_with_a_word(near):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ssh://127.0.0.1:{silent.getsockname()[1]}"
        command = near.start("--host", url, "ps")
        assert next(iter(command.stdout)) == f"still logging in at {url}: waiting for its SSH server\n"
        command.terminate()
        command.wait(timeout=60)


def test_a_host_without_piagent_and_one_with_an_old_one_say_what_to_install(near):
    with AnotherHost(near, piagent=None) as far:
        assert "there is no piagent on " + far.url in near.refused(AGENT, "--host", far.url, "ps")
        assert "there is no piagent on " + far.url in near.call("--host", far.url, "doctor").stderr
        old = far.user.home / "tools/piagent"
        old.write_text("#!/bin/sh\necho \"piagent: there is no command 'agent start'\" >&2\nexit 2\n")
        old.chmod(0o755)
        assert "is older than --host: install piagent" in near.refused(AGENT, "--host", far.url, "ps")


def test_a_host_that_forwards_no_sockets_is_named(near):
    with AnotherHost(near, settings="AllowStreamLocalForwarding no\n") as far:
        assert "AllowStreamLocalForwarding" in near.refused(AGENT, "--host", far.url, "ps")


def test_a_wait_goes_on_after_its_connection_broke(near, far):
    command = boot(near, far, "box")
    far.break_connections()
    wait_for("it has logged in again", lambda: far.logins() == 2, 30)
    report_ready(far.user, "box")
    said = command.communicate(timeout=60)[0]
    assert command.returncode == 0, said


def test_a_wait_that_cannot_connect_again_ends_and_the_instance_goes_on(near, far):
    command = boot(near, far, "box")
    far.refuse()
    far.break_connections()
    said = command.communicate(timeout=60)[0]
    assert command.returncode == AGENT and said.splitlines()[-1].startswith(f"piagent: cannot reach {far.url}: what runs there goes on"), said
    far.make_reachable()
    assert state(near, far, "box") == "running"


def test_a_wait_ends_when_somebody_stops_the_other_agent(near, far):
    command = boot(near, far, "box")
    near.do("--host", far.url, "agent", "stop")
    said = command.communicate(timeout=60)[0]
    assert command.returncode == AGENT and "the agent was stopped" in said, said
    assert near.call("--host", far.url, "agent", "status").returncode == AGENT


@contextlib.contextmanager
def two_networks():
    """The words that run something in either of two network namespaces, which a cable joins."""
    with contextlib.ExitStack() as stack:
        inside = []
        for _ in range(2):
            place = stack.enter_context(subprocess.Popen(["unshare", "--net", "sleep", "inf"]))
            stack.callback(place.kill)
            wait_for("the namespace is there", lambda pid=place.pid: os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net"), 20)
            inside.append((place.pid, ["nsenter", f"--net=/proc/{place.pid}/ns/net"]))
        (_, near), (pid, far) = inside
        subprocess.run([*near, "ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(pid)], check=True, timeout=60)
        for words, address in ((near, "10.99.0.1/24"), (far, "10.99.0.2/24")):
            for link in (["addr", "add", address, "dev", "cable"], ["link", "set", "cable", "up"], ["link", "set", "lo", "up"]):
                subprocess.run([*words, "ip", *link], check=True, timeout=60)
        yield near, far


def test_a_host_in_another_network_is_reached_and_a_cable_that_is_pulled_for_a_moment_breaks_nothing(near):
    with two_networks() as (here, there), AnotherHost(near, "10.99.0.2", through=there, ssh_through=here) as far:
        command = boot(near, far, "box")
        for how in ("down", "up"):
            subprocess.run([*here, "ip", "link", "set", "cable", how], check=True, timeout=60)
        near.do("--host", far.url, "kill", "box")
        said = command.communicate(timeout=60)[0]
        assert command.returncode == CONFLICT and far.logins() == 1, said


def test_a_session_without_a_runtime_folder_finds_the_agent_of_the_users_other_sessions(near):
    del near.env["XDG_RUNTIME_DIR"]
    script = 'mount -t tmpfs none /run && mkdir /run/user && mkdir -m 700 /run/user/0 && "$1" agent start && "$1" agent stop'
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", PIAGENT], env=near.env, stdout=subprocess.PIPE, text=True,
                          timeout=60, check=True)
    assert done.stdout == "/run/user/0/piagent/agent.sock\n"


def test_completion_asks_a_host_only_through_an_open_connection(near, far):
    words = ("__complete", "--", "--host", far.url, "status", "")
    near.runtime.mkdir(parents=True, exist_ok=True)
    assert near.do(*words) == "" and far.logins() == 0
    boot(near, far, "box")
    assert near.do(*words) == "box\trunning\n"
    assert near.do("__complete", "--", "--host", "ssh") == "" and "--host\t" in near.do("__complete", "--", "--ho")
    with promptly():
        near.do("__complete", "--", "--host=ssh://192.0.2.1", "status", "")
    assert far.logins() == 1


def test_commands_side_by_side_share_one_login(near, far):
    commands = [near.start("--host", far.url, "ps", "-q") for _ in range(12)]
    said = [command.communicate(timeout=60)[0] for command in commands]
    waits = f"another command logs in at {far.url}: waiting for it\n"  # on a host that is busy
    assert [command.returncode for command in commands] == [0] * 12 and set(said) <= {"", waits}, said
    assert far.logins() == 1
