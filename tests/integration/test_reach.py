# SPDX-License-Identifier: MIT
"""ssh, cp and ssh-config against a real SSH server that stands in a guest's place, with the host key made for it."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

import boot_sectors
import pytest
from guest_sshd import log_in_as_this_user, make, sshd
from piagent import CONFLICT, GUEST, HOST, NOT_FOUND, TIMEOUT, USAGE, User, fake_qemu, free_port, is_running, wait_for


@pytest.fixture
def user():
    # A folder as people have them: all that ssh_config and shells read in a word.
    odd = "it's 100%h \"odd\" \\ here"
    with User(**fake_qemu()) as user:
        (user.home / odd).mkdir()
        user.instances = user.home / odd / "piagent/instances"
        user.env["XDG_DATA_HOME"] = str(user.home / odd)
        yield user


def sessions(user, name):
    """Counts the server's requests: logins; shells, commands and transfers."""
    log = (user.home / f"sshd-{name}/log").read_text()
    return log.count("Accepted publickey"), log.count("Starting session")


def own_configuration(user, text):
    """Makes this the configuration of the user's ssh and scp. (OpenSSH finds the real one by the account, not by HOME.)"""
    tools = user.home / "tools"
    tools.mkdir(exist_ok=True)
    (tools / "config").write_text(text)
    for name in ("ssh", "scp"):
        (tools / name).write_text(f'#!/bin/sh\nexec {shutil.which(name, path="/usr/bin:/bin")} -F "{tools}/config" "$@"\n')
        (tools / name).chmod(0o755)
    user.env["PATH"] = f"{tools}:{os.environ['PATH']}"


WAITS = "a: waiting for its SSH server\n"  # after 4 s, which a login takes on a busy host
LOGIN_WAITS = "a: its SSH server has answered; waiting for the login\n"


def complaints(done):
    """A command's standard error, without the lines that say that it waits."""
    return done.stderr.replace(WAITS, "").replace(LOGIN_WAITS, "")


def next_line(process):
    return next(line for line in process.stdout if line not in (WAITS, LOGIN_WAITS))


@contextlib.contextmanager
def open_connection(user, name, path):
    """The user's own connection to a real host, as ControlMaster leaves it."""
    port, key = user.status(name)["ssh_port"], user.home / "own-key"
    shutil.copy(user.instances / name / "ssh_key", key)
    command = ["ssh", "-F", "none", "-MN", "-S", path, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
               "-i", key, "-p", str(port), "127.0.0.1"]
    with subprocess.Popen(command, env=user.env, stdin=subprocess.DEVNULL) as master:
        try:
            wait_for("it is open", path.exists, 20)
            yield
        finally:
            master.terminate()


@contextlib.contextmanager
def ssh_agent(user):
    """An ssh-agent of the user's that holds no keys."""
    path = user.home / "keys"
    user.env["SSH_AUTH_SOCK"] = str(path)
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], env=user.env, stdout=subprocess.DEVNULL) as agent:
        try:
            wait_for("it listens", path.exists, 20)
            yield
        finally:
            agent.terminate()


HOSTILE = """
Match exec "touch {home}/ran"
    SetEnv RAN=1
Host *
    ControlMaster auto
    ControlPath {home}/to-%n
    HostName 127.0.0.1
    Port {port}
    ProxyJump real
    ProxyUseFdpass yes
    HostKeyAlias real
    HostKeyAlgorithms ssh-rsa
    KnownHostsCommand /bin/cat {home}/real-keys
    RevokedHostKeys {home}/none
    NoHostAuthenticationForLocalhost yes
    StrictHostKeyChecking no
    CanonicalizeHostname always
    PubkeyAuthentication no
    ForwardAgent yes
    AddKeysToAgent yes
    PermitLocalCommand yes
    LocalCommand touch {home}/ran
"""
# Only piagent's own commands can leave these out: ssh joins the forwards of all files that it reads.
UNASKED = "    RemoteCommand echo redirected\n    LocalForward {home}/forwarded localhost:1\n"


def test_the_users_own_configuration_redirects_nothing(user):
    make(user, "a", "real")
    places = {"home": user.home, "port": user.status("real")["ssh_port"]}
    here = user.home / "here"
    here.write_text("1")
    with sshd(user, "a"), sshd(user, "real"), ssh_agent(user), open_connection(user, "real", user.home / "to-a"):
        before = sessions(user, "real")
        own_configuration(user, (HOSTILE + UNASKED).format(**places))
        asked = user.call("ssh", "a", "--", "echo $INSTANCE")
        assert (asked.returncode, asked.stdout, complaints(asked)) == (0, "a\n", "")
        for way in ([], ["--rsync"]):
            copied = user.call("cp", *way, str(here), f"a:{user.home}/copied{len(way)}")
            assert (copied.returncode, complaints(copied)) == (0, "")
        mixed = user.home / "mixed"
        mixed.write_text(user.do("ssh-config", "a") + HOSTILE.replace("Match", "#").format(**places))
        plain = subprocess.run(["ssh", "-F", mixed, "a", "echo $INSTANCE"], env=user.env, text=True, timeout=60, check=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert plain.stdout == "a\n"
        held = subprocess.run(["ssh-add", "-l"], env=user.env, text=True, timeout=60, check=False, stdout=subprocess.PIPE)
        assert "no identities" in held.stdout
        assert sessions(user, "real") == before and sessions(user, "a")[1] == 4
        assert not list(user.home.glob("forwarded")) and not list(user.home.glob("ran"))


def test_the_users_identities_and_terminal_settings_are_kept(user):
    long = user.home / ("r" * 40)  # no room for the socket of a shared connection
    long.mkdir(mode=0o700)
    user.env["XDG_RUNTIME_DIR"], user.runtime = str(long), long / "piagent"
    make(user, "a")
    odd = user.home / 'my "own" 100%% key'
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(odd).replace("%%", "%")], check=True)
    quoted = str(odd).replace('"', '\\"')
    own_configuration(user, f'Host a\n    IdentityFile "{quoted}"\n    EscapeChar ^]\n    SetEnv "KEPT_SET=two words" KEPT_TOO=too\n    SendEnv KEPT_SENT\n')
    user.env["KEPT_SENT"] = "sent"
    with sshd(user, "a"):
        shutil.copy(str(odd).replace("%%", "%") + ".pub", user.home / "sshd-a/keys")  # the only one that lets in
        assert user.ssh("a", "echo $KEPT_SET, $KEPT_TOO, $KEPT_SENT") == "two words, too, sent"
        assert not list(user.runtime.glob("*.ssh"))
        assert user.call("ssh", "-o", "SetEnv=KEPT_SET=given", "a", "--", "echo $KEPT_SET").stdout == "given\n"
        assert user.call("cp", f"a:{user.home}/sshd-a/config", str(user.home / "copied")).returncode == 0
        own_configuration(user, "Nonsense yes\n")
        shutil.copy(user.instances / "a/ssh_key.pub", user.home / "sshd-a/keys")
        done = user.call("ssh", "-o", "LogLevel=ERROR", "a", "--", "echo $INSTANCE")
        assert done.stdout == "a\n" and "your SSH configuration is passed over" in done.stderr, done


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:  # it has ended meanwhile
        return ""


def test_the_users_configuration_is_read_once_for_each_connection(user):
    make(user, "a")
    user.env.update(KEPT_ONE="one", KEPT_TWO="two")
    said = lambda *words: user.do("ssh", *words, "a", "--", "echo $KEPT_ONE $KEPT_TWO").strip()  # noqa: E731
    with sshd(user, "a"):
        own_configuration(user, "SendEnv KEPT_ONE\n")
        assert said() == "one"
        own_configuration(user, "SendEnv KEPT_TWO\n")
        assert said() == "one" and said("-o", "ConnectTimeout=60") == "two"  # which has a connection of its own
        kept = user.instances / "a/ssh_settings"
        assert kept.stat().st_mode & 0o777 == 0o600
        kept.write_text("of another connection\n" + kept.read_text().partition("\n")[2])
        assert said() == ""  # it is read again; but ssh sends only what the connection was opened with, too
        own_configuration(user, "SendEnv KEPT_ONE\n")
        kept.unlink()
        assert said() == "one" and sessions(user, "a")[0] == 2
        own_configuration(user, "SendEnv KEPT_*\n")
        shared, = user.runtime.glob("*.ssh")
        subprocess.run(["ssh", "-o", f"ControlPath={str(shared).replace('%', '%%')}", "-O", "exit", "a"], env=user.env, check=True, timeout=60)
        wait_for("the connection is gone", lambda: not shared.exists(), 20)
        assert said() == "one two"
        holder, = [int(pid) for pid in filter(str.isdigit, os.listdir("/proc")) if command_of(pid).startswith(f"ssh: {shared} [mux]")]
        os.kill(holder, signal.SIGKILL)
        wait_for("ssh has ended", lambda: not is_running(holder), 20)
        assert shared.exists()
        own_configuration(user, "SendEnv KEPT_TWO\n")
        logins = sessions(user, "a")[0]
        assert said() == said() == "two" and sessions(user, "a")[0] == logins + 1


def test_commands_share_one_connection_which_outlives_them(user):
    make(user, "a")
    with sshd(user, "a"):
        first = user.start("ssh", "a", "--", "echo begun; sleep 300", start_new_session=True)
        assert next_line(first) == "begun\n"
        assert user.ssh("a", "echo $INSTANCE") == "a"
        assert user.call("cp", f"a:{user.home}/sshd-a/config", str(user.home / "copied")).returncode == 0
        assert user.call("cp", "--rsync", f"a:{user.home}/sshd-a/config", str(user.home / "copied")).returncode == 0
        assert sessions(user, "a") == (1, 4)
        shared, = user.runtime.glob("*.ssh")
        assert shared.name.startswith(user.status("a")["uuid"]) and shared.stat().st_mode & 0o077 == 0
        other = user.start("ssh", "a", "--", f"echo begun; until [ -e {user.home}/go ]; do sleep 0.1; done; echo $INSTANCE")
        assert next_line(other) == "begun\n"
        os.killpg(first.pid, signal.SIGINT)  # as Ctrl-C in its terminal does
        first.wait(60)
        (user.home / "go").touch()
        assert other.wait(60) == 0 and other.stdout.read() == "a\n"
        for own in (["-o", "ConnectTimeout=60"], ["-A"], ["-L", f"{user.home}/forwarded:localhost:1"]):
            before = sessions(user, "a")[0]
            assert user.call("ssh", *own, "a", "--", "true").returncode == 0
            assert sessions(user, "a")[0] == before + 1
        user.do("reset", "a")
        user.wait_state("a", "running", 30)
        user.kill_agent()
        path = user.instances / "a/record.json"  # no report is heard from a guest whose login is root
        path.write_text(path.read_text().replace('"running"', '"ready"'))
        assert user.ssh("a", "echo $INSTANCE") == "a"
        assert sessions(user, "a")[0] == before + 2


def test_commands_side_by_side_say_nothing_of_their_connections(user):
    make(user, "a")
    with sshd(user, "a"):
        for told in ("none is open", "one is open"):
            go = user.home / told.replace(" ", "-")
            at_once = [user.start("ssh", "a", "--", f"echo begun; until [ -e {go} ]; do sleep 0.1; done") for _ in range(12)]
            assert [next_line(command) for command in at_once] == ["begun\n"] * 12, told
            go.touch()
            assert [(command.wait(60), command.stdout.read()) for command in at_once] == [(0, "")] * 12, told
        logins, commands = sessions(user, "a")
        assert logins < commands == 24


def test_a_command_that_ends_the_server_is_not_said_to_get_no_answer(user):
    make(user, "a")
    for is_open in (False, True):
        with sshd(user, "a") as server:
            if is_open:
                user.ssh("a", "true")
            done = user.call("ssh", "a", "--", f"kill {server.pid}; kill -9 $PPID")
            assert done.returncode == 255 and "piagent" not in done.stderr, done
            wait_for("the connection is gone", lambda: not list(user.runtime.glob("*.ssh")), 20)


def test_a_server_that_breaks_off_is_told(user):
    make(user, "a")

    def answer(server):
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as guest:
                    guest.sendall(b"SSH-2.0-none\r\n")
    with socket.create_server(("127.0.0.1", user.status("a")["ssh_port"])) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        done = user.call("ssh", "a", "--", "true")
        assert done.returncode == 255 and "a's SSH server does not answer" in done.stderr, done
        server.shutdown(socket.SHUT_RDWR)


def test_a_connection_is_handed_to_ssh_and_no_socket_stays_when_the_command_is_killed(user):
    make(user, "a")
    with socket.create_server(("127.0.0.1", user.status("a")["ssh_port"])) as server:
        server.settimeout(30)
        login = user.start("ssh", "a", "--", "true")
        with server.accept()[0] as guest:
            guest.settimeout(30)
            guest.sendall(b"SSH-2.0-none\r\n")
            assert guest.recv(8) == b"SSH-2.0-"
            assert next(line for line in login.stdout if line != WAITS) == LOGIN_WAITS
            login.kill()
            login.wait(60)
            assert not list(user.runtime.glob("*.pass"))


def test_files_go_in_out_and_between_instances(user):
    make(user, "a", "b")
    here = user.home / "here"
    here.mkdir()
    (here / "one").write_text("1")
    (here / "a:b").write_text("with a colon")
    (here / "tree").mkdir()
    (here / "tree/leaf").write_text("leaf")
    inside = user.home / "inside"
    inside.mkdir()
    with sshd(user, "a"), sshd(user, "b"):
        assert user.ssh("a", "echo $INSTANCE $((6*7))") == "a 42"
        done = user.call("cp", "one", "./a:b", f"a:{inside}/", cwd=here)
        assert done.returncode == 0, done.stderr
        assert sorted(path.name for path in inside.iterdir()) == ["a:b", "one"]
        assert user.call("cp", "-r", str(here / "tree"), f"b:{inside}/tree").returncode == 0
        assert user.call("cp", f"a:{inside}/one", f"b:{inside}/two").returncode == 0
        assert (inside / "two").read_text() == "1" and (inside / "tree/leaf").read_text() == "leaf"
        assert user.call("cp", f"a:{inside}/one", f"b:{inside}/tree/leaf", str(here / "tree")).returncode == 0
        assert (here / "tree/one").read_text() == "1"
        assert user.call("cp", f"a:{inside}/none", str(here)).returncode == 1
        assert user.call("cp", "--rsync", "-rp", str(here / "tree"), f"a:{inside}/by rsync").returncode == 0
        assert (inside / "by rsync/tree/leaf").read_text() == "leaf"
        assert user.call("ssh", "a", "--", "exit 7").returncode == 7


def test_what_cannot_be_copied_is_told_before_anything_is(user):
    user.boot("a", boot_sectors.deaf(user.home))
    assert "in an instance" in user.refused(USAGE, "cp", "./a:b", "c")
    assert "./A_b:c" in user.refused(USAGE, "cp", "A_b:c", ".")
    user.refused(NOT_FOUND, "cp", "none:x", ".")
    user.do("kill", "a")
    assert "piagent start a" in user.refused(CONFLICT, "cp", "a:x", ".")
    assert "before the instance's name" in user.refused(USAGE, "ssh", "a", "-L", "1:x:2")


def test_without_rsync_it_is_told(user):
    make(user, "a")
    tools = user.home / "tools"
    tools.mkdir()
    (tools / "ssh").symlink_to(shutil.which("ssh"))
    user.do("ps")  # the agent keeps the PATH that it was started with
    with sshd(user, "a", environment="PATH=/none"):
        done = user.call("cp", "--rsync", "/etc/os-release", "a:x")
        assert done.returncode in (12, 127) and "if a has no rsync" in done.stderr, done
    user.env["PATH"] = str(tools)
    assert "leave out --rsync" in user.refused(HOST, "cp", "--rsync", "a:x", ".")


def test_a_printed_configuration_stays_true_when_the_port_moves(user):
    make(user, "a", "b")
    config = user.home / "config with spaces"
    config.write_text(user.do("ssh-config"))
    assert config.read_text().count("Host ") == 2 and user.do("ssh-config", "b").count("Host ") == 1
    ssh = ["ssh", "-F", config]

    def instance(name):
        done = subprocess.run([*ssh, name, "echo $INSTANCE"], env=user.env, text=True, timeout=60, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.stdout.strip() or done.stderr
    with sshd(user, "a"), sshd(user, "b"):
        assert instance("a") == "a" and instance("b") == "b"
        assert "StrictHostKeyChecking" not in instance("a")
        subprocess.run(["scp", "-F", config, "/etc/os-release", f"a:{user.home}/copied"], env=user.env, check=True, timeout=60)
        assert (user.home / "copied").exists()
    moved = free_port()
    user.kill_agent()
    path = user.instances / "a/record.json"
    record = json.loads(path.read_text())
    record["spec"]["ssh_port"] = moved
    path.write_text(json.dumps(record))
    with sshd(user, "a", port=moved):
        assert instance("a") == "a"


def test_a_server_with_another_key_is_not_spoken_to_and_told_about(user):
    make(user, "a", "b")
    with sshd(user, "a", host_key=user.instances / "b/ssh_host_ed25519_key"):
        for command in (["ssh", "-o", "StrictHostKeyChecking=no", "a", "--", "echo", "spoken"], ["cp", "a:/etc/os-release", str(user.home)]):
            done = user.call(*command)
            assert done.returncode == 255 and "spoken" not in done.stdout
            assert "piagent: a answers with another host key" in done.stderr and "piagent console a" in done.stderr
    assert not (user.home / "os-release").exists()


def test_an_instance_that_stood_still_and_has_no_guest_agent_is_said_to_be_behind(user):
    user.boot("a", boot_sectors.deaf(user.home))
    assert user.api("POST", "/v1/instances/a/pause", {})[0] == 200
    user.wait_state("a", "paused", 20)
    paused = time.monotonic()
    wait_for("it stood still for a while", lambda: time.monotonic() - paused > 2, 10)
    assert user.api("POST", "/v1/instances/a/resume", {})[0] == 200
    behind = wait_for("it is told", lambda: user.status("a").get("clock_behind_ms"), 60)
    assert 1000 < behind < 60000
    assert "piagent ssh a -- sudo date -s" in user.status("a")["reason"] and "behind" in user.texts("a")[-1]
    user.do("reset", "a")
    wait_for("a boot begins with the right time", lambda: "clock_behind_ms" not in user.status("a"), 20)


@contextlib.contextmanager
def no_server(user, name):
    """As QEMU does while nobody listens in the guest: connections are taken, and closed at once."""
    with socket.create_server(("127.0.0.1", user.status(name)["ssh_port"])) as server:
        def close_all():
            with contextlib.suppress(OSError):
                while True:
                    server.accept()[0].close()
        threading.Thread(target=close_all, daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


def boot_again(user, name):
    user.do("reset", name)
    user.wait_state(name, "running", 30)


def become_ready(user, name):
    """Changes the agent's own files, because a guest whose login is root does not report. Followers start the next agent at once."""
    folder, agent = user.instances / name, user.agent_pid()
    os.kill(agent, signal.SIGSTOP)
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").write_text(json.dumps({**record, "state": "ready"}))
    last = user.events(name)[-1]
    with open(folder / "journal.jsonl", "a", encoding="utf-8") as journal:
        journal.write(json.dumps({**last, "seq": last["seq"] + 1, "kind": "state", "state": "ready", "text": ""}) + "\n")
    os.kill(agent, signal.SIGKILL)


NOISE = ("kex_exchange_identification", "Connection closed", "Connection reset", "UNKNOWN port")


def assert_quiet(said):
    assert not [noise for noise in NOISE if noise in said], said


def test_a_reboot_is_waited_for_as_long_as_it_takes(user):
    make(user, "a")
    target = user.home / "copied"
    with no_server(user, "a"):
        commands = [user.start_watched("ssh", "a", "--", "echo $INSTANCE"),
                    user.start_watched("cp", f"a:{user.home}/sshd-a/config", str(target)),
                    user.start_watched("ssh", "--stdio", "a")]
        for command, pass_time in commands:
            pass_time(5)
            assert command.stdout.readline() == WAITS
        boot_again(user, "a")
        for _, pass_time in commands:
            pass_time(600)
        time.sleep(3)
        assert [command.poll() for command, _ in commands] == [None] * 3
    with sshd(user, "a") as server:
        time.sleep(2)
        assert [command.poll() for command, _ in commands] == [None] * 3, "the guest is not ready"
        become_ready(user, "a")
        said = commands[2][0].stdout
        assert next(line for line in said if not line.startswith("a: ")).startswith("SSH-2.0-")
        outs = [command.communicate(timeout=60)[0] for command, _ in commands[:2]]
        assert [command.returncode for command, _ in commands[:2]] == [0, 0], outs
        assert outs[0].splitlines()[-1] == "a" and target.exists()
        for out in outs:
            assert_quiet(out)
        commands[2][0].terminate()
        assert server.poll() is None


def test_a_server_that_does_not_come_is_given_up_in_one_line(user):
    make(user, "a")
    with no_server(user, "a"):
        for words in (["ssh", "a", "--", "true"], ["cp", "/etc/os-release", "a:x"], ["ssh", "--stdio", "a"]):
            command, pass_time = user.start_watched(*words)
            pass_time(5)
            assert command.stdout.readline() == WAITS
            pass_time(70)
            out = command.communicate(timeout=60)[0]
            assert command.returncode == TIMEOUT and out.count("\n") == 1, out
            assert "a's SSH server does not answer" in out


def test_a_guest_that_stops_while_its_server_is_waited_for_is_told_in_one_line(user):
    make(user, "a")
    with no_server(user, "a"):
        commands = [user.start("ssh", "a", "--", "true"), user.start("cp", "a:x", str(user.home))]
        for command in commands:
            assert command.stdout.readline() == WAITS
        user.do("kill", "a")
        for command in commands:
            out = command.communicate(timeout=60)[0]
            assert command.returncode == CONFLICT and out.startswith("piagent: a is stop") and out.count("\n") == 1, out


def test_an_interrupt_of_the_wait_is_the_signals_exit_code(user):
    make(user, "a")
    user.boot("b", boot_sectors.deaf(user.home))
    with no_server(user, "a"):
        commands = [user.start(*words) for words in (["ssh", "b", "--", "true"], ["cp", "b:x", "."], ["ssh", "a", "--", "true"],
                                                     ["cp", "/etc/os-release", "a:x"])]
        for command, number in zip(commands, 2 * [signal.SIGINT, signal.SIGTERM]):
            assert command.stdout.readline()  # that it waits
            command.send_signal(number)
            out = command.communicate(timeout=60)[0]
            assert command.returncode == 128 + number and "interrupted; it goes on" in out, out
            assert_quiet(out)
    assert user.state("a") == "ready" and user.state("b") == "running"


def test_what_can_be_known_at_once_is_told_before_a_guest_is_waited_for(user):
    user.boot("a", boot_sectors.deaf(user.home))
    user.boot("off", boot_sectors.deaf(user.home))
    user.do("kill", "off")
    (user.home / "file").write_text("1")
    file, folder = str(user.home / "file"), str(user.home)
    assert "other" in user.refused(NOT_FOUND, "cp", "a:/x", "other:/y")
    assert "start off" in user.refused(CONFLICT, "cp", "a:/x", "off:/y")
    assert "A_b" in user.refused(USAGE, "cp", "a:/x", "A_b:/y")
    assert "no such file" in user.refused(NOT_FOUND, "cp", "/none", "a:/y")
    assert "cp -r" in user.refused(USAGE, "cp", folder, "a:/y")
    assert "no folder /none" in user.refused(NOT_FOUND, "cp", "a:/y", "/none/here")
    assert "not a folder" in user.refused(USAGE, "cp", "a:/y", "a:/z", file)
    assert "one instance" in user.refused(USAGE, "cp", "--rsync", "a:/y", "a:/z")
    assert "nonsense" in user.refused(USAGE, "ssh", "-o", "nonsense=1", "a")
    assert "x:y" in user.refused(USAGE, "ssh", "-L", "x:y", "a")
    tools = user.home / "tools"
    tools.mkdir()
    user.env["PATH"] = str(tools)
    for words in (["ssh", "a"], ["cp", "a:/x", "."], ["cp", "--rsync", "a:/x", "."]):
        assert "there is no ssh:" in user.refused(HOST, *words)
    (tools / "ssh").symlink_to(shutil.which("ssh", path="/usr/bin:/bin"))
    assert "there is no scp:" in user.refused(HOST, "cp", "a:/x", ".")
    assert "no rsync" in user.refused(HOST, "cp", "--rsync", "a:/x", ".")


def test_a_guest_that_became_ready_while_no_agent_ran_is_reached(user):
    user.boot("a", boot_sectors.deaf(user.home))
    user.kill_agent()
    log_in_as_this_user(user, "a")
    with sshd(user, "a"):
        login = user.call("ssh", "a", "--", "echo $INSTANCE", timeout=120)
        assert (login.returncode, login.stdout) == (0, "a\n"), login
        assert login.stderr.count("a: cloud-init was not heard to report: it may have done so while no agent was running") == 1, login.stderr
        assert user.call("cp", f"a:{user.home}/sshd-a/config", str(user.home / "copied"), timeout=120).returncode == 0
        waited = user.call("wait", "a")
        assert waited.returncode == GUEST and waited.stderr.startswith("a: up: cloud-init was not heard to report: "), waited


def test_a_server_that_answers_in_the_middle_of_a_boot_is_not_logged_in_to_before_its_end(user):
    user.boot("a", boot_sectors.deaf(user.home))
    with sshd(user, "a"):
        login = user.start("ssh", "a", "--", "true")
        time.sleep(13)
        assert login.poll() is None
        login.terminate()
        assert "was not heard to report" not in login.communicate(timeout=60)[0]
