# SPDX-License-Identifier: MIT
"""A user of piagent on this host: folders of their own, an agent of their own, and nothing left of either afterwards."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import time

PIAGENT = os.environ["PIAGENT_BINARY"]
SOURCE = os.environ["PIAGENT_SOURCE"]

FAILED, USAGE, NOT_FOUND, CONFLICT, UNVERIFIED, HOST, NETWORK, GUEST, TIMEOUT, AGENT = range(1, 11)
FAILED_TEST = []  # when the test that runs has failed: show_logs.py
DEADLINE_S = 60  # for what takes no time by itself
PORTS = iter(random.sample(range(10000, 20000), 10000))
LIVE = ("starting", "running", "ready", "paused", "suspended", "stopping", "saving", "restoring")


def guest_image(arch, suite="trixie"):
    """A guest with systemd, cloud-init and sshd, built from Debian's packages at the first call."""
    out = subprocess.run([f"{SOURCE}/scripts/guest-image", arch, "--suite", suite], stdout=subprocess.PIPE,
                         text=True, check=True, timeout=900)
    return out.stdout.strip()


def fake_qemu(rules=""):
    """Arguments that make fake_qemu.c a User's QEMU: User(**fake_qemu("ignore=quit")). For one instance: tell_fake()."""
    return {"PATH": f"{os.environ['PIAGENT_BUILD']}/fake-qemu:{os.environ['PATH']}", "FAKE_QEMU": rules}


def free_port():
    """A port that nobody has, and that nobody is given by chance until it is used: piagent picks from 20000 on, the kernel from 32768."""
    for port in PORTS:
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port
    raise AssertionError("no port is free")


def slowness():
    """How many processes there are for each CPU now, 1 to 4."""
    return min(max(os.getloadavg()[0] / os.cpu_count(), 1), 4)


def wait_for(what, condition, timeout, every=0.2):
    """The condition's first true value; an AssertionError that says what was waited for. The timeout is for a host that does
    nothing else; a host that stands still for a while gets DEADLINE_S all the same."""
    begin, timeout = time.monotonic(), max(timeout, DEADLINE_S)
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - begin
        assert waited < timeout * slowness(), f"not within {timeout} s ({waited:.0f} s at load {os.getloadavg()[0]:.0f}): {what}"
        time.sleep(every)


def terminal_settings():
    """Those of a terminal that no program has changed. A command that was just started may have."""
    ends = os.openpty()
    try:
        return termios.tcgetattr(ends[1])
    finally:
        for fd in ends:
            os.close(fd)


@contextlib.contextmanager
def promptly():
    """What is done in it waits for nobody who hangs, and for no time to run out."""
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    assert took < 10 * slowness(), f"{took:.1f} s at load {os.getloadavg()[0]:.0f}"


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # the latter when it ends between open and read
        return False


def has_signal(pid, which, number):
    """Whether a signal is in one of a process's sets (proc_pid_status(5))."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            masks = dict(line.split(":\t") for line in status)
        return bool(int(masks[which], 16) >> (number - 1) & 1)
    except (FileNotFoundError, ProcessLookupError):
        return False


def unless_gone(_function, _path, failure):
    """For rmtree: what a process removed as it ended, such as the socket of ssh's master, is gone all the same."""
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]


class User:
    def __init__(self, **environment):
        # Short, because a unix socket's path has 107 bytes.
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="pi-", dir="/tmp"))
        runtime = self.home / "run"
        runtime.mkdir(mode=0o700)
        self.runtime = runtime / "piagent"
        self.instances = self.home / "data/piagent/instances"
        self.followers = []
        self.env = {**os.environ, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime),
                    "XDG_DATA_HOME": str(self.home / "data"), "XDG_CACHE_HOME": str(self.home / "cache"),
                    "XDG_CONFIG_HOME": str(self.home / "config"), "TERM": "xterm",
                    "PIAGENT_PASS_ENVIRONMENT": "FAKE_QEMU, FAULTS, LD_PRELOAD, ASAN_OPTIONS, TSAN_OPTIONS, UBSAN_OPTIONS",
                    # AddressSanitizer keeps freed memory for a while. A small quarantine, so that this does not look like the agent's memory.
                    "ASAN_OPTIONS": f"log_path={self.home}/sanitizer:quarantine_size_mb=8",
                    "TSAN_OPTIONS": f"log_path={self.home}/sanitizer",
                    **environment}

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        if failure or FAILED_TEST:
            self.print_logs()
        try:
            # First those that would start the agent again to go on following an instance.
            for follower in self.followers:
                follower.kill()
                follower.wait()
            agent = self.agent_pid() if (self.runtime / "agent.lock").exists() else 0
            self.call("agent", "stop")
            wait_for("the agent has ended", lambda: not is_running(agent), 20)
        finally:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_for("all of it has ended", lambda: not self.processes(), 20)
            reports = self.sanitizer_reports()
            shutil.rmtree(self.home, onerror=unless_gone)
        assert not reports, "\n".join(["a sanitizer found something in the agent, a worker or a command:", *reports])

    def sanitizer_reports(self):
        """The sanitizers' reports. UBSan has no file of its own, so its reports are in the agent's log."""
        logs = [path.read_text(errors="replace") for path in [*self.home.glob("sanitizer.*"), *self.home.glob("data/piagent/agent.log")]]
        return [log for log in logs if "Sanitizer" in log or "runtime error: " in log]

    def print_logs(self):
        """Prints the files that tell why a test failed, before the folders are removed. pytest shows them."""
        for log in sorted(self.home.glob("data/piagent/**/*.log")) + sorted(self.instances.glob("*/journal.jsonl")):
            print(f"--- the end of {log}\n{log.read_text(errors='replace')[-4000:]}")

    def call(self, *args, timeout=60, **more):
        """The finished command, whatever it ended with."""
        return subprocess.run([PIAGENT, *args], env=self.env, text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **more)

    def do(self, *args, timeout=60):
        """The output of a command that has to succeed."""
        done = self.call(*args, timeout=timeout)
        assert done.returncode == 0, f"piagent {' '.join(args)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, code, *args, timeout=60):
        """The one line with which a command fails, without its "piagent: "."""
        done = self.call(*args, timeout=timeout)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        line = done.stderr.strip().splitlines()[-1]
        assert line.startswith("piagent: ") and done.stderr.count("piagent: ") == 1, done.stderr
        return line.removeprefix("piagent: ")

    def start(self, *args, through=(), environment=(), **more):
        process = subprocess.Popen([*through, PIAGENT, *args], env={**self.env, **dict(environment)}, text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
        self.followers.append(process)
        return process

    def start_watched(self, *args):
        """A command for which time can pass: the second value takes the seconds by which its clocks are to be ahead."""
        clock = self.home / f"later{len(self.followers)}"
        more = {"LD_PRELOAD": f"{os.environ['PIAGENT_BUILD']}/tests/later.so", "LATER": str(clock),
                "ASAN_OPTIONS": ":".join(filter(None, [self.env.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))}

        def pass_time(seconds):
            new = clock.with_suffix(".new")
            new.write_text(str(seconds))
            new.rename(clock)
        return self.start(*args, environment=more), pass_time

    def api(self, method, path, body=None, timeout=DEADLINE_S):
        """Status and JSON of a request to the control API, asked with curl as piagent help service says."""
        data = [] if body is None else ["--data-binary", body if isinstance(body, str) else json.dumps(body)]
        done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code}", "-X", method, *data, "--unix-socket",
                               str(self.runtime / "agent.sock"), f"http://piagent{path}"],
                              text=True, stdout=subprocess.PIPE, timeout=timeout, check=True)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(text) if text else None

    def create(self, name, **request):
        """A request for an instance through the API alone: nobody follows it."""
        self.do("ps")
        return self.api("POST", "/v1/instances", {"name": name, **request})

    def boot(self, name, disk, **request):
        """An instance of one boot sector (boot_sectors.py) that has spoken, and that nobody follows."""
        answer = self.create(name, **{"image": disk, "image_unverified": True, "arch": "x86_64", "accel": "tcg",
                                      "cpus": 1, "memory_mib": 256, "disk_bytes": 1 << 20, **request})
        assert answer[0] == 202, answer
        wait_for(f"{name} says something", lambda: b"\n" in self.spoken(name), 60)
        # Which may come before QEMU's answer to cont.
        return self.wait_state(name, "running", 30)

    def boot_all(self, names, disk, **request):
        """The same for several at once."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(lambda name: self.boot(name, disk, **request), names))

    def console(self, name):
        """The newest of what the guest said, as it is on disk."""
        try:
            return (self.instances / name / "console.log").read_bytes()
        except FileNotFoundError:
            return b""

    def spoken(self, name):
        """The same without what the BIOS says before it boots the disk."""
        before, _, said = self.console(name).partition(b"Booting from Hard Disk...\r\n")
        return said if b"SeaBIOS" in before else before

    def type(self, name, text):
        assert self.api("POST", f"/v1/instances/{name}/console", text)[0] == 200

    def ps(self):
        return json.loads(self.do("ps", "-a", "--json"))["instances"]

    def status(self, name):
        return json.loads(self.do("status", name, "--json"))

    def record(self, name):
        return json.loads((self.instances / name / "record.json").read_text())

    def state(self, name):
        return self.status(name)["state"]

    def wait_state(self, name, state, timeout=60):
        wait_for(f"{name} is {state}", lambda: self.state(name) == state, timeout)
        return self.status(name)

    def wait_ready(self, name, timeout=600):
        def done():
            instance = self.status(name)
            assert instance["state"] in LIVE, instance
            assert instance.get("cloud_init") not in ("failed", "degraded"), instance
            return instance["state"] == "ready" and instance
        return wait_for(f"{name} is ready", done, timeout)

    def ssh(self, name, command, timeout=120):
        return self.do("ssh", name, "--", command, timeout=timeout).strip()

    def processes(self):
        """Everything that runs with this user's HOME: agent, workers, QEMUs, commands. Its pids and command lines."""
        home, found = f"HOME={self.home}".encode(), {}
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if home in (folder / "environ").read_bytes().split(b"\0") and is_running(folder.name):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
            except OSError:  # ended meanwhile
                pass
        return found

    def leftovers(self):
        """Leftovers: folders, sockets and processes, except the agent. Without instances there should be none."""
        agent = self.agent_pid()
        return ([path.name for path in self.instances.glob("*")] +
                [path.name for path in self.runtime.glob("*.qmp")] + [path.name for path in self.runtime.glob("*.console")] +
                [path.name for path in self.runtime.glob("*.agent")] +
                [" ".join(words) for pid, words in self.processes().items() if pid != agent])

    def nothing_left(self):
        """Waits for the last of it: a process may end a moment after what it did was told."""
        end = time.monotonic() + DEADLINE_S
        while left := self.leftovers():
            assert time.monotonic() < end, left
            time.sleep(0.05)

    def agent_pid(self):
        return int((self.runtime / "agent.lock").read_text().split()[0])

    def tell_fake(self, name, rules, pid=None):
        """Changes what an instance's fake QEMU does. A running one does it when this returns. pid: if no agent can be asked for it."""
        path = self.instances / name / "fake-qemu"
        path.with_suffix(".new").write_text(rules)
        path.with_suffix(".new").rename(path)
        pid = pid or self.status(name).get("pid")
        if pid and has_signal(pid, "SigBlk", signal.SIGUSR1):  # else it has not read the file yet
            os.kill(pid, signal.SIGUSR1)
            wait_for(f"the fake QEMU of {name} has read its rules", lambda: not has_signal(pid, "ShdPnd", signal.SIGUSR1), 60, 0.01)

    def own_disk(self):
        """Starts the agent with its data on a file system that only it and what it starts can see, and that can be made small."""
        if os.geteuid() != 0:
            import pytest  # what else uses this file may not have it
            pytest.skip("cannot here: only root may mount a file system")
        data = self.home / "data"
        data.mkdir()
        mount = 'mount -t tmpfs -o size=1G none "$1" && shift && exec "$@"'  # piagent creates nothing with less
        agent = self.start("agent", through=["unshare", "-m", "sh", "-c", mount, "sh", data])
        wait_for("the agent is up", lambda: self.call("agent", "status").returncode == 0, 30)
        self.disk_of(agent.pid)

    def disk_of(self, pid):
        """Looks at that disk through a process that sees it."""
        self.mounts = f"/proc/{pid}/ns/mnt"
        self.instances = pathlib.Path(f"/proc/{pid}/root{self.home}/data/piagent/instances")

    def leave_room(self, size):
        """So many bytes can be written to that disk yet. It cannot be made smaller than what is on it: the guest may write meanwhile."""
        def shrink():
            fs = os.statvfs(self.instances)
            used = (fs.f_blocks - fs.f_bavail) * fs.f_frsize
            return subprocess.run(["nsenter", f"--mount={self.mounts}", "mount", "-o", f"remount,size={used + size}",
                                   self.home / "data"], check=False).returncode == 0
        wait_for(f"the disk has room for {size} bytes", shrink, 20)

    def kill_agent(self):
        pid = self.agent_pid()
        os.kill(pid, signal.SIGKILL)
        wait_for("the agent is gone", lambda: not is_running(pid), 10)

    def events(self, name):
        """The journal's events, oldest first."""
        lines = (self.instances / name / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def texts(self, name):
        return [event.get("text", "") for event in self.events(name)]

    def log(self):
        return (self.home / "data/piagent/agent.log").read_text()
