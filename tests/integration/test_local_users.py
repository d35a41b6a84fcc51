# SPDX-License-Identifier: MIT
"""Other users of this host: what they can neither read, nor connect to, nor put in the agent's place."""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import threading

import boot_sectors
import pytest
from piagent import HOST, PIAGENT, User, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="cannot here: only root can act as two users")
NOBODY = 65534

# As another user: what of the paths can be read, and which of the sockets takes a connection.
TRY = """
import os, socket, stat, sys
for top in sys.argv[1:]:
    for folder, _, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names):
            try:
                if stat.S_ISSOCK(os.stat(path).st_mode):
                    socket.socket(socket.AF_UNIX).connect(path)
                else:
                    open(path, "rb").close()
                print(path)
            except PermissionError:
                print("-")
"""


@pytest.fixture
def user():
    with User() as user:
        yield user


def as_nobody(*words):
    return subprocess.run(words, user=NOBODY, group=NOBODY, extra_groups=[], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, cwd="/", check=False)


def open_folders(user):
    """Opens the folders to everyone, as a careless user may: the modes of the files must protect them."""
    for folder in [user.home, *(path for path in user.home.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)


def instance(user):
    """An instance with one of everything."""
    user.boot("box", boot_sectors.deaf(user.home), user_data="#cloud-config\n{}\n", password_hash="$6$salt$" + "a" * 86)
    names = {path.name for path in (user.instances / "box").iterdir()}
    assert names >= {"record.json", "user-data", "smbios.bin", "ssh_key", "ssh_host_ed25519_key", "console.log", "qemu.log",
                     "journal.jsonl", "disk.qcow2"}, names


def test_no_file_is_read_and_no_socket_reached_where_every_folder_is_open(user):
    instance(user)
    open_folders(user)
    tried = as_nobody("/usr/bin/python3", "-c", TRY, str(user.runtime), str(user.home / "data")).stdout.split()
    assert len(tried) >= 17 and set(tried) == {"-"}, tried
    user.home.chmod(0o700)


def test_a_folder_of_piagents_lets_nobody_in(user):
    instance(user)
    folders = [user.runtime, user.home / "data/piagent", user.instances, user.instances / "box", user.home / "cache/piagent"]
    assert [(folder, oct(folder.stat().st_mode & 0o777)) for folder in folders if folder.stat().st_mode & 0o077] == []


def test_another_user_at_an_open_control_socket_is_told_to_go(user):
    instance(user)
    open_folders(user)
    control = user.runtime / "agent.sock"
    control.chmod(0o777)
    before = user.ps()
    for words in (["/v1/instances"], ["/v1/instances/box/console"], ["-X", "DELETE", "/v1/instances/box"],
                  ["-X", "POST", "/v1/agent/stop"], ["-d", '{"name": "other"}', "/v1/instances"]):
        done = as_nobody("curl", "-sS", "-w", "%{http_code}", "--unix-socket", str(control), *words[:-1], f"http://x{words[-1]}")
        assert done.stdout.endswith("503"), done.stdout
        assert "belongs to another user" in done.stdout and done.stdout.count("\n") == 1
    assert user.ps() == before


def raw_answer(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as guest:
        guest.sendall(request.encode())
        answer = b""
        while more := guest.recv(4096):
            answer += more
    return b"\n".join(line for line in answer.split(b"\n") if not line.startswith(b"Date:"))


def test_a_wrong_key_is_answered_as_any_wrong_path_is(user):
    instance(user)
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    key = json.loads((user.instances / "box/record.json").read_text())["key"]
    near = key[:-1] + ("0" if key[-1] != "0" else "1")
    requests = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n" for path in
                ("/", "/meta-data", f"/{near}/meta-data", f"/{'0' * 32}/user-data", f"/{key[:31]}/meta-data", f"/{key.upper()}g/x",
                 f"/{key}", f"/{key}/", f"/{key}/none", f"/{key}/events")]
    requests += [f"POST /{near}/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}",
                 f"PUT /{key}/meta-data HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"]
    answers = {raw_answer(port, request) for request in requests}
    assert len(answers) == 1 and answers.pop().startswith(b"HTTP/1.1 404 ")


class Squatter:
    """/tmp/piagent-UID of a user without XDG_RUNTIME_DIR, and that user's commands."""

    def __init__(self, user):
        self.user, self.uid = user, 61000 + os.getpid() % 4000
        self.path = pathlib.Path(f"/tmp/piagent-{self.uid}")
        self.connections = []
        program = user.home / "piagent"
        shutil.copy(PIAGENT, program)
        program.chmod(0o755)
        for folder in (user.home, *user.home.rglob("*")):
            os.chown(folder, self.uid, self.uid)
        self.env = {name: value for name, value in user.env.items() if name != "XDG_RUNTIME_DIR"}

    def ps(self):
        return subprocess.run([str(self.user.home / "piagent"), "ps"], env=self.env, user=self.uid, group=self.uid, extra_groups=[],
                              cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60, check=False)

    def listen(self, folder):
        """Another's agent.sock, that takes whoever comes."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(folder / "agent.sock"))
        (folder / "agent.sock").chmod(0o777)
        server.listen()

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    self.connections.append(server.accept())
        threading.Thread(target=accept, daemon=True).start()
        return server

    def clear(self):
        if self.path.is_symlink() or not self.path.is_dir():
            self.path.unlink(missing_ok=True)
        else:
            shutil.rmtree(self.path)


@pytest.fixture
def squatter(user):
    squatter = Squatter(user)
    squatter.clear()
    yield squatter
    for pid in user.processes():
        os.kill(pid, 15)
    wait_for("the agent has ended", lambda: not user.processes(), 30)
    squatter.clear()


def their_folder(path, _):
    path.mkdir(mode=0o755)
    os.chown(path, NOBODY, NOBODY)
    return path


def their_link_to_mine(path, squatter):
    target = squatter.user.home / "target"
    target.mkdir(mode=0o700)
    os.chown(target, squatter.uid, squatter.uid)
    path.symlink_to(target)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return target


def their_file(path, _):
    path.write_text("")
    os.chown(path, NOBODY, NOBODY)


def my_open_folder(path, squatter):
    path.mkdir()
    os.chown(path, squatter.uid, squatter.uid)
    path.chmod(0o777)
    return path


@pytest.mark.parametrize("squat, why", [(their_folder, "belongs to another user: move it away"),
                                        (their_link_to_mine, "is a link or a file, not a folder: move it away"),
                                        (their_file, "is a link or a file, not a folder: move it away"),
                                        (my_open_folder, "can be written by others: chmod go-w it first")],
                         ids=lambda value: getattr(value, "__name__", ""))
def test_who_takes_the_folder_under_tmp_gets_no_request_and_no_agent(squatter, squat, why):
    folder = squat(squatter.path, squatter)
    server = squatter.listen(folder) if folder else None
    try:
        done = squatter.ps()
        assert done.returncode == HOST, done.stderr
        assert done.stderr.startswith(f"piagent: {squatter.path} {why}") and done.stderr.count("\n") == 1, done.stderr
        assert squatter.connections == []
        assert not folder or [path.name for path in folder.iterdir()] == ["agent.sock"]
    finally:
        if server:
            server.close()


def test_the_folder_under_tmp_and_all_in_it_is_its_users_alone(squatter):
    done = squatter.ps()
    assert done.returncode == 0, done.stderr
    found = {path.name: (path.stat().st_uid, path.stat().st_mode & 0o777) for path in [squatter.path, *squatter.path.iterdir()]}
    assert found.pop(squatter.path.name) == (squatter.uid, 0o700)
    assert set(found) >= {"agent.sock", "agent.lock", "imds.sock", "start.lock"}
    assert set(found.values()) == {(squatter.uid, 0o600)}, found


def test_a_command_line_that_looks_like_an_instances_qemu_blocks_nothing(user):
    instance(user)
    user.do("kill", "box")
    user.kill_agent()
    (user.instances / "box/record.json").write_text("{")
    looks = ["/usr/bin/python3", "-c", "import time; time.sleep(300)", f"type=1,file={user.instances}/box/smbios.bin",
             f"file={user.instances}/box/smbios.bin"]
    with subprocess.Popen(looks, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/") as other:
        try:
            assert user.state("box") == "lost"
            user.do("rm", "box")
        finally:
            other.kill()
    assert user.ps() == []


def homes(user, owner):
    """The folders that a user's environment names, and everything in them."""
    for folder in (user.home, *user.home.rglob("*")):
        os.chown(folder, owner, owner)
    return {path: path.lstat().st_uid for path in user.home.rglob("*")}


@pytest.mark.parametrize("theirs", ["HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME"])
def test_root_in_another_users_environment_makes_nothing_there(user, theirs):
    before = homes(user, NOBODY)
    with User() as mine:
        usual = dict(mine.env)
        mine.env |= {theirs: user.env[theirs]}
        if theirs == "HOME":
            for variable in ("XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
                mine.env.pop(variable)
        for command in (["ps"], ["run", "box", "-d"], ["image", "ls"], ["image", "fetch", "fedora:44"], ["agent", "status"]):
            said = mine.refused(HOST, *command)
            assert said.startswith(f"{theirs} is set to {user.env[theirs]}, which belongs to nobody, and piagent runs as root: "), said
        assert mine.call("doctor", "--offline").stdout.count(f"{theirs} is set to {user.env[theirs]}, which") == 1
        assert mine.call("agent").returncode == HOST
        assert {path: path.lstat().st_uid for path in user.home.rglob("*")} == before
        assert not list(mine.runtime.parent.iterdir()) and not (mine.home / "data").exists()
        mine.env = usual
    homes(user, 0)


def test_another_users_environment_is_told_where_nothing_can_be_made(squatter):
    runtime = squatter.user.home / "run"
    os.chown(runtime, NOBODY, NOBODY)
    squatter.env["XDG_RUNTIME_DIR"] = str(runtime)
    done = squatter.ps()
    assert done.returncode == HOST and done.stderr.startswith(f"piagent: XDG_RUNTIME_DIR is set to {runtime}, which belongs to nobody"), done
    runtime.chmod(0o777)  # a folder that is shared on purpose
    assert "belongs to nobody" not in squatter.ps().stderr
    squatter.env["XDG_RUNTIME_DIR"] = str(runtime / "made in it")
    assert "belongs to nobody" not in squatter.ps().stderr
