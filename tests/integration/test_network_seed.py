# SPDX-License-Identifier: MIT
"""What the seed does in a guest for the networks of its instance: the boot hook, run with its paths moved into a folder."""

import configparser
import json
import os
import pathlib
import re
import subprocess
import textwrap
import urllib.request

import boot_sectors
import pytest
from piagent import User, fake_qemu

CARDS = {"lo": "00:00:00:00:00:00", "ens3": "52:54:00:12:34:56", "ens4": "52:54:0a:4d:05:02", "ens5": "52:54:0a:4d:06:07"}


def seed(user, name, document):
    address = re.search(rb"s=(http://10.0.2.2:\d+/[0-9a-f]+/)", (user.instances / name / "smbios.bin").read_bytes())[1].decode()
    with urllib.request.urlopen(address.replace("10.0.2.2", "127.0.0.1") + document, timeout=60) as answer:
        return answer.read().decode()


def hooks(user, name):
    parts = json.loads(seed(user, name, "vendor-data").partition("\n")[2])
    return [part["content"] for part in parts if part["type"] == "text/cloud-boothook"]


@pytest.fixture(scope="module")
def hook():
    with User(**fake_qemu()) as user:
        user.do("network", "create", "lab", "--subnet", "10.77.5.0/24")
        user.do("network", "create", "store", "--subnet", "10.77.6.0/28")
        user.boot("plain", boot_sectors.deaf(user.home))
        user.boot("member", boot_sectors.deaf(user.home), networks=["lab", "store,ip=10.77.6.7"])
        assert len(hooks(user, "plain")) == 1 and len(hooks(user, "member")) == 2
        assert seed(user, "member", "network-config") == ""
        yield hooks(user, "member")[1]


class Guest:
    """A folder as a guest's root, and the programs that tell what they were called with."""

    def __init__(self, root, active, programs=()):
        self.root, self.calls = root, root / "calls"
        for name, mac in CARDS.items():
            (root / "sys/class/net" / name).mkdir(parents=True)
            (root / "sys/class/net" / name / "address").write_text(f"{mac}\n")
        (root / "etc").mkdir()
        (root / "bin").mkdir()
        self.program("systemctl", f'case $1 in restart|--no-block) echo "systemctl $*" >>{self.calls}; exit;; esac; case " {active} " in *" $3 "*) exit 0;; esac; exit 3')
        for name in ["networkctl", "nmcli", "ip", *programs]:
            self.program(name, f'echo "{name} $*" >>{self.calls}')

    def program(self, name, text):
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def boot(self, hook):
        """What was called."""
        self.calls.write_text("")
        script = hook.replace("/etc/", f"{self.root}/etc/").replace("/sys/class", f"{self.root}/sys/class").replace("/run/", f"{self.root}/run/")
        path = self.root / "hook"
        path.write_text(script)
        subprocess.run(["sh", path], check=True, timeout=60, umask=0o022,
                       env={"PATH": f"{self.root}/bin:/usr/bin:/bin"})
        return self.calls.read_text().splitlines()

    def read(self, path):
        config = configparser.ConfigParser(strict=True)
        config.optionxform = str
        config.read_string((self.root / path).read_text())
        return {name: dict(config[name]) for name in config.sections()}


def test_systemd_networkd_gets_a_file_for_each_card_and_is_told_once(hook, tmp_path):
    guest = Guest(tmp_path, "systemd-networkd systemd-resolved")
    (tmp_path / "etc/resolv.conf").write_text("nameserver 127.0.0.53\n")
    assert guest.boot(hook) == ["networkctl reload"]
    file = "etc/systemd/network/10-piagent-store.network"
    assert guest.read(file) == {
        "Match": {"MACAddress": "52:54:0a:4d:06:07"},
        "Network": {"Address": "10.77.6.7/28", "DNS": "10.77.6.1", "Domains": "store.internal", "DNSDefaultRoute": "no",
                    "LinkLocalAddressing": "no", "IPv6AcceptRA": "no"}}
    assert guest.read("etc/systemd/network/10-piagent-lab.network")["Network"]["Address"] == "10.77.5.2/24"
    assert (tmp_path / file).stat().st_mode & 0o777 == 0o644  # networkd is no root
    assert guest.boot(hook) == []
    assert (tmp_path / "etc/resolv.conf").read_text() == "nameserver 127.0.0.53\n"


def test_the_guests_own_name_leads_to_its_address_in_its_first_network(hook, tmp_path):
    """From the files of Debian's cloud-init, of Fedora, and of an instance that this one's disk is a copy of."""
    guest, hosts = Guest(tmp_path, "systemd-networkd"), tmp_path / "etc/hosts"
    own = "10.77.5.2 member.lab.internal member # piagent\n"
    for before, kept in [
            ("127.0.1.1 member.localdomain member\n127.0.0.1 localhost\n\n::1 localhost ip6-localhost\n", "127.0.0.1 localhost\n\n::1 localhost ip6-localhost\n"),
            ("127.0.0.1\tlocalhost member member.example\n::1 member localhost\n", "127.0.0.1\tlocalhost\n::1 localhost\n"),
            ("# mine\n10.77.5.9 server.lab.internal server # piagent\n10.1.1.1 member-2 members my-member\n127.0.0.1 member-2 member\n",
             "# mine\n10.1.1.1 member-2 members my-member\n127.0.0.1 member-2\n"), ("", "")]:
        hosts.write_text(before)
        for _ in range(2):
            guest.boot(hook)
            assert hosts.read_text() == kept + own
            assert found_by_the_c_library(hosts, "member") in (None, ["10.77.5.2"])
    hosts.unlink()
    guest.boot(hook)
    assert hosts.read_text() == own


def found_by_the_c_library(hosts, name):
    """With the services in the order of Debian 12 and Fedora. None: this host does not let us put files in place of its own."""
    if os.geteuid() != 0:
        return None
    (hosts.parent / "nsswitch.conf").write_text("hosts: files myhostname resolve [!UNAVAIL=return] dns\n")
    (hosts.parent / "host.conf").write_text("multi on\n")
    mounts = " && ".join(f"mount --bind {hosts.parent}/{file} /etc/{file}" for file in ("hosts", "nsswitch.conf", "host.conf"))
    out = subprocess.run(["unshare", "-mnu", "sh", "-ec", f"{mounts}; ip link set lo up; ip address add 10.0.2.15/32 dev lo; hostname {name}; getent ahosts {name}"],
                         stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    return sorted({line.split()[0] for line in out.splitlines()})


def test_systemd_networkd_is_restarted_if_it_cannot_be_asked_to_reload(hook, tmp_path):
    """So early in a boot there may be no D-Bus."""
    guest = Guest(tmp_path, "systemd-networkd systemd-resolved")
    guest.program("networkctl", "echo 'Failed to connect to system bus' >&2; exit 1")
    assert guest.boot(hook) == ["systemctl restart systemd-networkd"]


def test_networkmanager_gets_a_connection_for_each_card_without_a_default_route(hook, tmp_path):
    guest = Guest(tmp_path, "NetworkManager")
    assert [call for call in guest.boot(hook) if "up" in call] == ["nmcli --wait 10 connection up piagent-lab",
                                                                  "nmcli --wait 10 connection up piagent-store"]
    file = "etc/NetworkManager/system-connections/piagent-lab.nmconnection"
    assert guest.read(file) == {
        "connection": {"id": "piagent-lab", "type": "ethernet"}, "ethernet": {"mac-address": "52:54:0a:4d:05:02"},
        "ipv4": {"method": "manual", "address1": "10.77.5.2/24", "never-default": "true", "dns": "10.77.5.1;", "dns-search": "lab.internal;",
                 "dns-priority": "10"}, "ipv6": {"method": "disabled"}}
    assert (tmp_path / file).stat().st_mode & 0o777 == 0o600  # else NetworkManager passes over it
    assert guest.boot(hook) == []


def test_without_either_the_hook_sets_the_address_and_resolv_conf(hook, tmp_path):
    guest = Guest(tmp_path, "", ["ifup"])
    (tmp_path / "etc/resolv.conf").write_text("domain example.org\nsearch example.org example.com\nnameserver 10.0.2.3\noptions edns0\n")
    for _ in range(2):
        assert "ip address replace 10.77.5.2/24 dev ens4" in guest.boot(hook)
        assert (tmp_path / "etc/network/interfaces.d/piagent-lab").read_text().split() == "auto ens4 iface ens4 inet static address 10.77.5.2/24".split()
        assert (tmp_path / "etc/resolv.conf").read_text().split("\n") == [
            "search store.internal lab.internal example.org example.com", "nameserver 10.77.6.1", "nameserver 10.77.5.1", "nameserver 10.0.2.3",
            "options edns0", ""]


def test_the_hook_runs_again_when_a_dhcp_client_writes_resolv_conf_anew(hook, tmp_path):
    guest = Guest(tmp_path, "")
    path, units = tmp_path / "etc/resolv.conf", tmp_path / "run/systemd/system"
    units.mkdir(parents=True)
    path.write_text("nameserver 10.0.2.3\n")
    assert guest.boot(hook)[-1] == "systemctl --no-block start piagent-names.path"
    assert (units / "piagent-names.path").read_text() == f"[Path]\nPathChanged={path}\n"
    assert (units / "piagent-names.service").read_text() == f"[Service]\nType=oneshot\nExecStart=/bin/sh {tmp_path}/hook\n"
    ours = path.read_text()
    path.write_text("nameserver 10.0.2.3\n")
    guest.program("systemctl", "[ $3 = piagent-names.path ]")
    guest.boot(hook)
    assert path.read_text() == ours and "nameserver 10.77.5.1\n" in ours


RESOLVERS = textwrap.dedent("""
    import os, socket, subprocess, sys, threading
    subprocess.run("ip link set lo up; ip address add 192.0.2.9/32 dev lo", shell=True, check=True)  # else nobody asks for IPv4
    def serve(address, known, otherwise):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, 53))
        def loop():
            while True:
                query, peer = s.recvfrom(512)
                name, at = [], 12
                while query[at]:
                    name.append(query[at + 1:at + 1 + query[at]].decode())
                    at += 1 + query[at]
                question, found = query[12:at + 5], known.get(".".join(name)) if query[at + 1:at + 3] == b"\\0\\1" else ""
                code = 0 if ".".join(name) in known else otherwise
                answer = b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\5\\0\\4" + socket.inet_aton(found) if found else b""
                s.sendto(query[:2] + bytes([0x81, 0x80 | code]) + b"\\0\\1" + bytes([0, bool(answer)]) + bytes(4) + question + answer, peer)
        threading.Thread(target=loop, daemon=True).start()
    serve("127.0.0.2", {"node.lab.internal": "10.77.5.3"}, 5)    # the network's: it refuses the rest
    serve("127.0.0.3", {"outside.example": "192.0.2.1"}, 3)      # the first interface's: there is no such name
    subprocess.run(["mount", "--bind", sys.argv[1], "/etc/resolv.conf"], check=True)
    for name in sys.argv[2:]:
        print(subprocess.run(["getent", "-s", "dns", "ahostsv4", name], stdout=-1, text=True).stdout.split(" ")[0])
""")


def test_the_c_library_asks_the_next_server_if_the_networks_own_refuses(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("cannot here: only root may have a network of its own")
    if not pathlib.Path("/etc/resolv.conf").exists():
        pytest.skip("cannot here: this host has no /etc/resolv.conf to put another in its place")
    conf = tmp_path / "resolv.conf"
    conf.write_text("search lab.internal\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n")
    out = subprocess.run(["unshare", "-mn", "python3", "-c", RESOLVERS, str(conf), "node", "node.lab.internal", "outside.example"],
                         stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout
    assert out.split("\n")[:3] == ["10.77.5.3", "10.77.5.3", "192.0.2.1"]
