# SPDX-License-Identifier: MIT
"""Plays a guest that is told who it is: identity_check.py DIR, where DIR/hook is a template's boot hook, and DIR/line what the
agent says.

The hook is run with its paths in a folder. Then the program that it has written runs, with the paths of its own and of the code that it
is told in that folder, and with a terminal in place of the port. What belongs to the kernel, to cloud-init and to systemd is noted
and not done.
"""

import json
import os
import pathlib
import pty
import re
import select
import subprocess
import sys
import tempfile
import tty

TEMPLATE_KEY = "ssh-ed25519 AAAATEMPLATE piagent"
OTHER_KEY = "ssh-ed25519 AAAAOTHER mine"

# Comes before the program: modules are shared with the code that it runs.
PRELUDE = """
import ctypes, fcntl, os, pwd, signal, socket, struct, sys, time, types
def note(*what):
    with open({root!r} + '/calls', 'a') as file:
        print(*what, file=file)
def ioctl(file, request, data=None):
    note('ioctl', hex(request), struct.unpack('ii', data[:8]) + (len(data),) if data else '')
def kill(pid, number):
    note('kill', pid, number)
    open({root!r} + '/run/sshd.pid', 'w').write('71')
def mount(source, target, kind, flags, data):
    note('mount', source.decode(), target.decode(), flags)
    return 0
def main(words):
    note(*words)
    if words[1] == 'init':
        os.system({root!r} + '/bin/systemctl of-the-user-data')
fcntl.ioctl, os.kill = ioctl, kill
socket.gethostname, socket.sethostname = lambda: 'gold', lambda name: note('sethostname', name)
time.clock_settime = lambda clock, seconds: note('clock', clock, seconds)
pwd.getpwnam = lambda name: types.SimpleNamespace(pw_dir={root!r} + '/home/' + name)
ctypes.CDLL = lambda name, use_errno: types.SimpleNamespace(mount=mount)
for name in ['cloudinit', 'cloudinit.cmd', 'cloudinit.cmd.main', 'cloudinit.config']:
    sys.modules[name] = types.ModuleType(name)
import cloudinit
cloudinit.cmd, cloudinit.config = sys.modules['cloudinit.cmd'], sys.modules['cloudinit.config']
cloudinit.cmd.main, cloudinit.config.__path__ = sys.modules['cloudinit.cmd.main'], []
cloudinit.cmd.main.main = main
"""


class Guest:
    run = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.run:
            self.run.kill()
            self.run.wait()
            os.close(self.host)
            os.close(self.port)

    def __init__(self, folder, hook):
        self.root = pathlib.Path(folder)
        for path in ["bin", "run/cloud-init", "run/systemd/system", "etc/ssh", "var/lib/systemd", "sys/fs/cgroup/system.slice/nginx.service", "sys/fs/cgroup/system.slice/dbus.service",
                     "sys/fs/cgroup/system.slice/sshd.service", "sys/fs/cgroup/system.slice/system-getty.slice/getty@tty1.service",
                     "sys/fs/cgroup/system.slice/systemd-resolved.service", "var/lib/cloud/instance", "home/pi/.ssh",
                     "root/.ssh", "proc/sys/net/ipv4", "sys/class/dmi/id", "dev"]:
            (self.root / path).mkdir(parents=True)
        self.put("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 gold.localdomain gold golden\n10.1.1.1 my-gold\n")
        self.put("etc/machine-id", "0" * 32 + "\n")
        self.put("etc/ssh/ssh_host_rsa_key", "the template's")
        self.put("etc/ssh/ssh_host_ed25519_key-cert.pub", "the template's")
        self.put("run/sshd.pid", "71\n")
        self.put("var/lib/systemd/random-seed", "the template's")
        for home in ["root", "home/pi"]:
            self.put(f"{home}/.ssh/authorized_keys", f'no-pty,command="echo" {TEMPLATE_KEY}\n{OTHER_KEY}\n')
        self.put("run/cloud-init/instance-data.json", json.dumps({"ds": {"meta_data": {"public-keys": [TEMPLATE_KEY]}}}))
        self.put("run/cloud-init/status.json", "{}")
        for name, mode in [("product_serial", 0o400), ("product_uuid", 0o400), ("board_serial", 0o400), ("board_asset_tag", 0o444)]:
            self.put(f"sys/class/dmi/id/{name}", "the template's")
            (self.root / "sys/class/dmi/id" / name).chmod(mode)
        for name in ["systemctl", "networkctl", "loginctl"]:
            self.put(f"bin/{name}", f'#!/bin/sh\necho {name} "$@" >>{self.root}/calls\n[ "$1" != list-units ] || printf "%s loaded\\n" dbus.service ssh.service nginx.service user@1000.service systemd-logind.service systemd-resolved.service\n')
            (self.root / "bin" / name).chmod(0o755)
        self.env = {"PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        subprocess.run(["sh", "-c", self.moved(hook)], check=True, env=self.env, timeout=60)

    def put(self, path, text):
        (self.root / path).write_text(text)

    def read(self, path):
        return (self.root / path).read_text()

    def calls(self):
        calls = self.read("calls").replace(f"{self.root}/", "/").splitlines()
        self.put("calls", "")
        return calls

    def moved(self, text):
        """Its paths, which stand after a space, a quote or a redirection, moved into the root."""
        return re.sub(r"(?<=['\" >])/(?=(etc|run|var/lib|sys/class|sys/fs|proc/sys|proc/uptime|root|home)\b)", f"{self.root}/", text)

    def start(self):
        program = PRELUDE.format(root=str(self.root)) + self.read("run/piagent/identity.py").replace("/dev/urandom", f"{self.root}/dev/urandom")
        self.host, self.port = pty.openpty()
        tty.setraw(self.port)
        self.run = subprocess.Popen([sys.executable, "-c", program, os.ttyname(self.port)], env=self.env)

    def tell(self, line):
        line = self.moved(line).encode()
        while line:
            line = line[os.write(self.host, line[:1024]):]

    def hear(self, last, deadline=60):
        heard = b""
        while not re.search(rf"^{last}.*\n\Z".encode(), heard, re.M):
            assert select.select([self.host], [], [], deadline)[0], (last, heard)
            heard += os.read(self.host, 4096)
        return heard.decode().splitlines()


def check_files(guest, me):
    assert guest.read("etc/hosts").splitlines() == ["127.0.0.1 localhost", "127.0.1.1 golden", "10.1.1.1 my-gold",
                                                    "10.77.0.2 pi-7.lab.internal pi-7 # piagent"], guest.read("etc/hosts")
    assert guest.read("etc/hostname") == "pi-7\n" and guest.read("etc/machine-id") == me["machine-id"] + "\n"
    assert sorted(os.listdir(guest.root / "etc/ssh")) == ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]
    assert guest.read("etc/ssh/ssh_host_ed25519_key") == me["host_key"] and "PRIVATE KEY" in me["host_key"]
    assert (guest.root / "etc/ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600
    assert guest.read("root/.ssh/authorized_keys") == OTHER_KEY + "\n"
    assert guest.read("home/pi/.ssh/authorized_keys").splitlines() == [OTHER_KEY, *me["keys"]] and len(me["keys"]) == 2
    assert (guest.root / "var/lib/systemd/random-seed").stat().st_size == 512
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{8}){3}", guest.read("proc/sys/net/ipv4/tcp_fastopen_key"))
    for name, text in me["board"].items():
        own = guest.root / "run/piagent" / name
        assert own.read_text() == text + "\n" and own.stat().st_mode & 0o777 == (0o444 if name == "board_asset_tag" else 0o400), name
    assert me["board"] == {"product_serial": "ds=nocloud;dsmode=net;s=http://10.0.2.2:1/K/", "product_uuid": me["uuid"],
                           "board_serial": "http://10.0.2.2:1/R/events", "board_asset_tag": "instance-id: iid-" + me["uuid"]}
    assert "Address=10.77.0.2/24" in guest.read("etc/systemd/network/10-piagent-lab.network")


def check_calls(guest, me):
    calls = guest.calls()
    assert calls[:3] == ["ioctl 0x40085203 (2048, 256, 264)", "ioctl 0x5207 ", f"clock 0 {me['time_ms'] / 1000}"], calls
    assert "sethostname pi-7" in calls and "kill 71 1" in calls, calls
    assert "systemctl --no-block try-restart nginx.service" in calls, calls
    for name in me["board"]:
        assert f"mount /run/piagent/{name} /sys/class/dmi/id/{name} 4096" in calls, calls
    return calls


def check_later(guest):
    """When it is its turn, cloud-init runs as for a new instance, and what is known of the old one by the rest is forgotten."""
    later = guest.calls()
    stages = [call for call in later if call.startswith("cloud-init")]
    assert stages == ["cloud-init init", "cloud-init modules --mode=config", "cloud-init modules --mode=final"], later
    order = [later.index(call) for call in ["systemctl --no-block try-restart systemd-journald.service systemd-boot-random-seed.service", stages[0],
                                            "systemctl daemon-reexec", "systemctl --no-block try-restart systemd-resolved.service", stages[1]]]
    assert order == sorted(order), later
    assert not (guest.root / "var/lib/cloud/instance").exists() and not (guest.root / "run/cloud-init/status.json").exists()


def check_told_twice(guest, line):
    guest.tell("{\"uuid\": \"cut sh" + line)
    assert guest.hear("done") == ["again", "done"]
    assert "ioctl" not in guest.read("calls")


def check_life(hook, line):
    me = json.loads(line)
    with tempfile.TemporaryDirectory() as folder, Guest(folder, hook) as guest:
        assert guest.calls() == ["systemctl --no-block start piagent-identity"]
        unit = guest.read("run/systemd/system/piagent-identity.service")
        assert "ConditionPathExists=/dev/virtio-ports/org.piagent.test\n" in unit and "enable-linger pi\n" in unit, unit
        guest.start()
        guest.tell("nonsense\nkept\n" + line)
        heard = guest.hear("done")
        parts = ["entropy", "clock", "randomness", "names", "ids", "board", "login_keys", "host_key", "networks", "services"]
        assert heard == [f"did {part}" for part in parts] + ["done"], heard
        check_files(guest, me)
        told = check_calls(guest, me)
        assert not any(call.startswith("cloud-init") for call in told), told
        check_told_twice(guest, line)
        guest.tell("kept\n")
        assert guest.run.wait(60) == 0
        check_later(guest)


def check_failure(hook, line):
    """Without the template's keys nobody knows which to take out. The guest says so, and can be told again. It is in no network."""
    line = json.dumps({**json.loads(line), "networks": ""}) + "\n"
    with tempfile.TemporaryDirectory() as folder, Guest(folder, hook) as guest:
        (guest.root / "run/cloud-init/instance-data.json").rename(guest.root / "kept")
        guest.start()
        guest.tell(line)
        assert "failed FileNotFoundError" in guest.hear("failed")[-1]
        assert "cloud-init" not in guest.read("calls").replace("cloud-init/", "")
        (guest.root / "kept").rename(guest.root / "run/cloud-init/instance-data.json")
        for own in (guest.root / "run/piagent").glob("*_*"):
            own.chmod(0o600)  # in a guest it is root who writes there again
        guest.tell(line)
        assert guest.hear("done")[-1] == "done"
        assert guest.read("etc/hosts").splitlines() == ["127.0.0.1 localhost", "127.0.1.1 pi-7.localdomain pi-7 golden", "10.1.1.1 my-gold"]
        guest.tell("kept\n")
        assert guest.run.wait(60) == 0


def main():
    folder = pathlib.Path(sys.argv[1])
    hook, line = (folder / "hook").read_text(), (folder / "line").read_text()
    check_life(hook, line)
    check_failure(hook, line)


if __name__ == "__main__":
    main()
