# SPDX-License-Identifier: MIT
"""Between commands and the agent: a socket where each passes for the other, and what they say can be changed on the way."""

import contextlib
import socket
import threading


def unchanged(data):
    return data


@contextlib.contextmanager
def relay(user, asked=unchanged, answered=unchanged):
    """The environment in which a command finds its agent behind it. asked and answered change what goes to the agent and back."""
    folder = user.home / "relay"

    def pass_on(source, target, change):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(change(data))
            target.shutdown(socket.SHUT_WR)

    def accept_all(server):
        with contextlib.suppress(OSError):
            while True:
                client, agent = server.accept()[0], socket.socket(socket.AF_UNIX)
                agent.connect(str(user.runtime / "agent.sock"))
                for way in ((client, agent, asked), (agent, client, answered)):
                    threading.Thread(target=pass_on, args=way, daemon=True).start()
    user.do("ps")
    (folder / "piagent").mkdir(mode=0o700, parents=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "piagent/agent.sock"))
        server.listen(64)
        threading.Thread(target=accept_all, args=(server,), daemon=True).start()
        try:
            yield {"XDG_RUNTIME_DIR": str(folder)}
        finally:
            server.shutdown(socket.SHUT_RDWR)
