# SPDX-License-Identifier: MIT
"""Compares guests that resumed from one template: what two instances must not share (agent/seed/identity.h has the table).

From a test: compare({name: run}), where run(command, input) runs a shell command as root's sudoer in the guest and returns what it prints.
By hand: twins.py NAME=COMMAND..., where COMMAND with a shell's command added logs in ("piagent ssh web-1 --").
"""

import json
import shlex
import subprocess
import sys
import time

# Run by the guest's Python as root.
LOOK = r"""
import glob, json, os, random, re, subprocess, uuid
def read(path, mode="r"):
    try:
        return open(path, mode).read()
    except OSError:
        return None
def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path
def out(*words):
    try:
        return subprocess.run(words, capture_output=True, text=True).stdout.strip()
    except OSError:
        return None
dmi = "/sys/class/dmi/id/"
seed = read("/var/lib/systemd/random-seed", "rb")
links = [link for link in json.loads(out("ip", "-j", "address")) if link["ifname"] != "lo"]
links.sort(key=lambda link: link["ifindex"])
home = os.path.expanduser("~" + os.environ.get("SUDO_USER", "root"))
print(json.dumps({
    "kernel's random numbers": os.urandom(16).hex(),
    "kernel's random UUID": read("/proc/sys/kernel/random/uuid"),
    "Python's random numbers": random.random(),
    "OpenSSL's random numbers": out("openssl", "rand", "-hex", "16") or None,
    "seed of random numbers": seed and seed.hex(),
    "key of TCP Fast Open": read("/proc/sys/net/ipv4/tcp_fastopen_key"),
    "host name": os.uname().nodename,
    "/etc/hostname": read("/etc/hostname"),
    "machine-id": read("/etc/machine-id"),
    "machine-id of D-Bus": read("/var/lib/dbus/machine-id"),
    "machine-id of journald": sorted(set(re.findall("Machine ID: (.*)", out("journalctl", "--header") or "")))[-1:] or None,
    "machine-id of systemd": write("/run/systemd/system/look.service", "[Unit]\nDescription=%m\n[Service]\nExecStart=true\n") and
                             out("systemctl", "show", "--property=Description", "--value", "look"),
    "product_uuid": read(dmi + "product_uuid"),
    "product_serial": read(dmi + "product_serial"),
    "board_serial": read(dmi + "board_serial"),
    "board_asset_tag": read(dmi + "board_asset_tag"),
    "instance-id": read("/var/lib/cloud/data/instance-id"),
    "SSH host keys": sorted(read(path).split()[1] for path in glob.glob("/etc/ssh/ssh_host_*.pub")),
    "login keys": sorted(line.split()[1] for line in (read(home + "/.ssh/authorized_keys") or "").splitlines() if line.strip()),
    "MACs in networks": [link["address"] for link in links[1:]] or None,
    "addresses in networks": [[a["local"] for a in link["addr_info"] if a["family"] == "inet"] for link in links[1:]] or None,
    "time": __import__("time").time(),
    "boot_id": read("/proc/sys/kernel/random/boot_id"),
    "first MAC": links[0]["address"],
    "first address": [a["local"] for a in links[0]["addr_info"] if a["family"] == "inet"],
    "failed units": out("systemctl", "--failed", "--no-legend", "--plain"),
}))
"""
# Not renewed, or not meant to differ.
SHARED = ["time", "boot_id", "first MAC", "first address", "failed units"]
LISTS = ["SSH host keys", "login keys"]


def look(run):
    before = time.time()
    facts = json.loads(run("sudo -n python3 -", LOOK))
    facts["seconds off"] = max(before - facts["time"], facts["time"] - time.time(), 0)
    return facts


def shared(first, second):
    """What two of them have both."""
    both = [key for key in first if key not in [*SHARED, *LISTS, "seconds off"] and first[key] is not None and first[key] == second[key]]
    return both + [key for key in LISTS if set(first[key]) & set(second[key]) or not first[key]]


def compare(runs, template=None):
    """What each has; fails if two share something, or if one has something of the template's (what look() told of that)."""
    facts = {name: look(run) for name, run in runs.items()}
    for name, one in facts.items():
        assert one["host name"] == name and one["/etc/hostname"].strip() == name, (name, one)
        assert one["machine-id"].strip() == one["product_uuid"].strip().replace("-", "").lower(), one
        assert one["instance-id"].strip() == "iid-" + one["product_uuid"].strip() and one["instance-id"].strip() in one["board_asset_tag"], one
        assert one["machine-id"].strip() in str(one["machine-id of journald"]) and one["seconds off"] < 30 and not one["failed units"], one
        assert one["machine-id of systemd"] in (None, one["machine-id"].strip()), one
        for other, two in [*facts.items(), *([("the template", template)] if template else [])]:
            assert name == other or not shared(one, two), (name, other, shared(one, two))
    return facts


def main():
    def runner(command):
        return lambda words, text: subprocess.run([*shlex.split(command), words], input=text, stdout=subprocess.PIPE, text=True, check=True, timeout=300).stdout

    facts = compare({name: runner(command) for name, command in (word.split("=", 1) for word in sys.argv[1:])})
    for key in next(iter(facts.values())):
        print(f"{key}: " + "  ".join(str(one[key]).strip()[:40] for one in facts.values()))


if __name__ == "__main__":
    main()
