# SPDX-License-Identifier: MIT
"""The agent under a service manager, which is this test: the socket that it holds, what it hears, and that nothing waits for it."""

import os
import select
import shutil
import signal
import socket
import subprocess
import time

import boot_sectors
import pytest
from piagent import CONFLICT, HOST, PIAGENT, User, is_running, wait_for


@pytest.fixture
def user():
    with User() as user:
        yield user


class Manager:
    """Listens on the agent's socket, starts the agent with it as descriptor 3, and receives its notifications."""

    def __init__(self, user, listen="agent.sock", **environment):
        user.runtime.mkdir(mode=0o700, exist_ok=True)
        self.user, self.agent, self.heard = user, None, ""
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(user.home / "notify"))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        (user.runtime / listen).unlink(missing_ok=True)
        self.listener.bind(str(user.runtime / listen))
        self.listener.listen()
        self.environment = {"NOTIFY_SOCKET": str(user.home / "notify"), "LISTEN_FDS": "1", **environment}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.agent:
            self.agent.kill()
            self.agent.wait()
        self.listener.close()
        self.notify.close()

    def start(self):
        fd = self.listener.fileno()
        os.set_inheritable(fd, True)
        # bash: other shells have no descriptors of two digits. LISTEN_PID is the process that exec turns into the agent.
        self.agent = subprocess.Popen(["bash", "-c", 'LISTEN_PID=$$ exec "$0" agent 3<&"$1"', PIAGENT, str(fd)], pass_fds=[fd],
                                      env={**self.user.env, **self.environment}, stdin=subprocess.DEVNULL,
                                      stderr=subprocess.PIPE, text=True)

    def wanted(self):
        """True if a client has connected and nobody has answered."""
        return bool(select.select([self.listener], [], [], 0)[0])

    def hear(self):
        """The notifications since the last call."""
        said = ""
        while select.select([self.notify], [], [], 0)[0]:
            said += self.notify.recv(4096).decode() + "\n"
        self.heard += said
        return said

    def await_word(self, word):
        wait_for(word, lambda: [self.hear()] and word in self.heard, 60)


def test_a_command_is_answered_by_the_agent_that_it_makes_the_manager_start(user):
    with Manager(user) as manager:
        command = user.start("ps")
        wait_for("the command has connected", manager.wanted, 30)
        manager.start()
        out, _ = command.communicate(timeout=60)
        assert command.returncode == 0, out
        manager.await_word("READY=1")
        assert list(user.processes()) == [manager.agent.pid]


def test_who_is_told_ready_sees_the_instances_that_ran_before(user):
    pid = user.boot("stays", boot_sectors.deaf(user.home))["pid"]
    user.do("agent", "stop")
    with Manager(user) as manager:
        manager.start()
        manager.await_word("READY=1")
        status, reply = user.api("GET", "/v1/instances")
        assert (status, [instance["pid"] for instance in reply["instances"]]) == (200, [pid])
        manager.await_word("STATUS=1 instances run; seeds on 127.0.0.1:")
        user.do("kill", "stays")
        manager.await_word("STATUS=0 instances run;")


def test_an_agent_that_cannot_start_says_why_and_not_that_it_is_ready(user):
    user.do("ps")
    first = user.agent_pid()
    with Manager(user) as manager:
        manager.start()
        assert manager.agent.wait(60) == CONFLICT
        manager.hear()
        assert f"STATUS=an agent is running already (process {first})" in manager.heard and "READY" not in manager.heard
    os.kill(first, signal.SIGTERM)


def test_the_socket_outlives_an_agent_that_is_stopped_and_no_command_starts_one_of_its_own(user):
    with Manager(user) as manager:
        manager.start()
        manager.await_word("READY=1")
        pid = user.boot("stays", boot_sectors.deaf(user.home))["pid"]
        user.do("agent", "stop")
        assert not is_running(manager.agent.pid) and manager.agent.wait(60) == 0
        manager.await_word("STOPPING=1")
        assert list(user.processes()) == [pid] and not manager.wanted()
        command = user.start("ps", "--json")
        wait_for("the command has connected", manager.wanted, 30)
        time.sleep(0.5)
        assert sorted(user.processes()) == sorted([pid, command.pid])
        manager.start()
        out, _ = command.communicate(timeout=60)
        assert f'"pid": {pid}' in out or f'"pid":{pid}' in out, out


def test_an_agent_of_the_manager_whose_folder_is_taken_away_listens_there_by_itself(user):
    with Manager(user) as manager:
        manager.start()
        manager.await_word("READY=1")
        pid = user.boot("stays", boot_sectors.deaf(user.home))["pid"]
        shutil.rmtree(user.runtime)
        assert user.status("stays")["pid"] == pid and user.agent_pid() == manager.agent.pid


def test_a_follower_goes_on_with_the_agent_that_the_manager_starts_next(user):
    with Manager(user) as manager:
        manager.start()
        manager.await_word("READY=1")
        user.boot("stays", boot_sectors.deaf(user.home))
        follower = user.start("wait", "stays", "--for", "stopped")
        assert follower.stdout.readline().startswith("stays: ")  # how far it is: it follows
        manager.agent.terminate()
        manager.agent.wait(60)
        manager.start()
        user.do("kill", "stays")
        out, _ = follower.communicate(timeout=60)
        assert follower.returncode == 0, out


def test_a_command_whose_agent_hangs_up_on_it_asks_again(user):
    with Manager(user) as manager:
        command = user.start("ps")
        for _ in range(3):
            wait_for("the command has connected", manager.wanted, 30)
            manager.listener.accept()[0].close()
        wait_for("the command has connected again", manager.wanted, 30)
        manager.start()
        out, _ = command.communicate(timeout=60)
        assert command.returncode == 0, out
        assert list(user.processes()) == [manager.agent.pid]


def test_an_agent_by_hand_does_not_cut_off_the_manager(user):
    with Manager(user) as manager:
        line = subprocess.run([PIAGENT, "agent"], env=user.env, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        assert line.returncode == CONFLICT and "systemctl --user stop piagent.socket" in line.stderr, line
        assert manager.wanted()


def test_signs_of_life_come_from_the_loop_and_stop_with_it(user):
    with Manager(user, WATCHDOG_USEC="400000") as manager:
        manager.start()
        manager.await_word("WATCHDOG=1\nWATCHDOG=1")
        os.kill(manager.agent.pid, signal.SIGSTOP)
        time.sleep(1)
        manager.hear()
        time.sleep(2)
        assert manager.hear() == ""
        os.kill(manager.agent.pid, signal.SIGCONT)
        wait_for("it lives again", manager.hear, 30)


def test_a_watchdog_of_another_process_hears_nothing(user):
    with Manager(user, WATCHDOG_USEC="20000", WATCHDOG_PID="1") as manager:
        manager.start()
        manager.await_word("READY=1")
        user.do("ps")
        time.sleep(1)
        manager.hear()
        assert "WATCHDOG" not in manager.heard


def test_a_manager_that_does_not_read_holds_nothing_up(user):
    with Manager(user, WATCHDOG_USEC="4000") as manager:
        manager.start()
        user.do("ps")
        time.sleep(3)  # 1,500 signs of life: no queue of datagrams takes them all
        assert user.api("GET", "/v1/agent")[0] == 200
        assert manager.hear().count("WATCHDOG") < 1400


def test_what_the_manager_said_reaches_no_qemu(user):
    with Manager(user, WATCHDOG_USEC="60000000") as manager:
        manager.start()
        pid = user.boot("pi", boot_sectors.deaf(user.home))["pid"]
        with open(f"/proc/{pid}/environ", "rb") as environ:
            names = {setting.partition(b"=")[0] for setting in environ.read().split(b"\0")}
        assert b"HOME" in names
        assert not names & {b"LISTEN_FDS", b"LISTEN_PID", b"NOTIFY_SOCKET", b"WATCHDOG_USEC"}, names
        assert is_running(pid)


@pytest.mark.parametrize("listen, environment, what", [
    ("other.sock", {}, "other.sock instead of a socket that listens at"),
    ("agent.sock", {"LISTEN_FDS": "2"}, "several sockets instead of"),
])
def test_a_socket_where_no_command_looks_is_refused(user, listen, environment, what):
    with Manager(user, listen, **environment) as manager:
        manager.start()
        assert manager.agent.wait(60) == HOST
        said = manager.agent.stderr.read()
        assert what in said and f"{user.runtime}/agent.sock" in said and "ListenStream=" in said, said
