# SPDX-License-Identifier: MIT
"""One life of an instance with the agent under valgrind: no error, nothing definitely lost."""

import array
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading

import boot_sectors
import pytest
from piagent import PIAGENT, SOURCE, User, wait_for

pytestmark = pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed: scripts/packages test")


def answer(connection):
    """One request of pidfd_shim.c: a pidfd, or a signal to one."""
    message, fds, _, _ = socket.recv_fds(connection, 8, 1)
    number, value = array.array("i", message)
    result, opened = 0, []
    try:
        if number == 0:
            opened = [os.pidfd_open(value)]
        else:
            signal.pidfd_send_signal(fds[0], value)
    except OSError as failure:
        result = failure.errno
    socket.send_fds(connection, [array.array("i", [result]).tobytes()], opened)
    for fd in fds + opened:
        os.close(fd)


def serve(listener):
    with contextlib.suppress(OSError):  # the listener was shut down
        while True:
            with listener.accept()[0] as connection:
                answer(connection)


@contextlib.contextmanager
def pidfd_broker(folder):
    """The environment in which pidfds are this process's."""
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", f"{folder}/shim.so", f"{SOURCE}/tests/harness/pidfd_shim.c"], check=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/broker")
        listener.listen()
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        try:
            yield {"LD_PRELOAD": f"{folder}/shim.so", "PIAGENT_PIDFD_BROKER": f"{folder}/broker"}
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def start_agent(user, environment):
    log = user.home / "valgrind.log"
    command = ["valgrind", f"--log-file={log}", "--leak-check=full", "--errors-for-leak-kinds=definite",
               "--error-exitcode=99", "--child-silent-after-fork=yes", PIAGENT, "agent"]
    agent = subprocess.Popen(command, env={**user.env, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for("the agent under valgrind answers", lambda: user.call("agent", "status").returncode == 0, 120)
    return agent, log


def live(user):
    """Console, pause, powerdown, kill, removal: two instances, one that obeys."""
    user.boot("one", boot_sectors.obedient(user.home))
    user.type("one", "x")
    wait_for("the guest is up", lambda: b"up" in user.console("one"), 60)
    user.do("pause", "one")
    user.do("resume", "one")
    user.do("powerdown", "one", timeout=120)
    user.wait_state("one", "stopped", 120)
    assert "hello" in user.do("logs", "one")
    user.do("rm", "one")
    user.boot("two", boot_sectors.deaf(user.home))
    user.do("kill", "two", timeout=120)
    user.do("rm", "two")


def test_the_agent_is_clean_through_the_life_of_an_instance():
    with User() as user, pidfd_broker(user.home) as environment:
        agent, log = start_agent(user, environment)
        live(user)
        user.do("agent", "stop", timeout=120)
        assert agent.wait(120) == 0, log.read_text()
        assert "ERROR SUMMARY: 0 errors" in log.read_text()
