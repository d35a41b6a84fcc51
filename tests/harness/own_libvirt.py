# SPDX-License-Identifier: MIT
"""A libvirt daemon of one's own (qemu:///session), with its own folders and no service of the system's.

    with Libvirt() as libvirt:
        libvirt.define("pi-1", '<vcpu>1</vcpu> ...')
        subprocess.run([*VIRSH, "start", "pi-1"], env=libvirt.env, **libvirt.identity)

Root's daemon would be the system's one: if root runs this, the daemon and virsh are an unprivileged user's.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

NOBODY = 65534
VIRSH = ("virsh", "-q", "-c", "qemu:///session")
DOMAIN = """<domain type='qemu'><name>{name}</name>{more}</domain>"""
SBIN = os.environ["PATH"] + ":/usr/sbin:/sbin"


class Libvirt:
    def __init__(self):
        daemon = shutil.which("libvirtd", path=SBIN) or shutil.which("virtqemud", path=SBIN)
        if not daemon or not shutil.which("virsh"):
            raise RuntimeError("libvirt is not installed: scripts/packages bench")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pi-virt-", dir="/tmp"))
        self.env = {**os.environ, "HOME": str(self.folder), "LIBVIRT_AUTOSTART": "0",
                    **{f"XDG_{what}": str(self.folder / what.split("_")[0].lower())
                       for what in ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME", "STATE_HOME")}}
        self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        for name in ("runtime", "config/libvirt"):
            (self.folder / name).mkdir(mode=0o700, parents=True)
        (self.folder / "config/libvirt/qemu.conf").write_text('stdio_handler = "file"\n')  # no log daemon
        for path in [self.folder, *self.folder.rglob("*")]:
            self.give(path)
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([daemon], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.identity)

    def give(self, path):
        if self.identity:
            os.chown(path, NOBODY, NOBODY)

    def call(self, *words):
        return subprocess.run([*VIRSH, *words], env=self.env, **self.identity, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)

    def do(self, *words):
        done = self.call(*words)
        assert done.returncode == 0, f"virsh {' '.join(words)}: {done.stdout}{(self.folder / 'log').read_text()}"
        return done.stdout.strip()

    def define(self, name, more):
        path = self.folder / f"{name}.xml"
        path.write_text(DOMAIN.format(name=name, more=more))
        self.give(path)
        self.do("define", str(path))

    def __enter__(self):
        end = time.monotonic() + 60
        while self.call("list").returncode != 0:
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        for name in self.call("list", "--name").stdout.split():
            self.call("destroy", name)
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder)
