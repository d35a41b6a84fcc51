# SPDX-License-Identifier: MIT
"""Six guests under one agent: each its own seed, none another's; and all of them outlive the agent."""

import json

from piagent import User, guest_image, is_running, wait_for

NAMES = [f"node-{i}" for i in range(1, 7)]

# In the guest: what the IMDS answers to anyone but the right key. Prints the statuses.
PROBE = """
import sys, urllib.request, urllib.error
for word in sys.argv[2:]:
    method, _, path = word.partition(":")
    try:
        print(urllib.request.urlopen(urllib.request.Request(sys.argv[1] + path, method=method), timeout=10).status)
    except urllib.error.HTTPError as e:
        print(e.code)
"""


def boot(user, image, name):
    config = user.home / f"{name}.yaml"
    config.write_text(f"#cloud-config\nwrite_files:\n  - path: /etc/marker\n    content: only-{name}\n")
    return user.start("run", name, "--image", image, "--image-unverified", "--memory", "512M", "--cpus", "1",
                      "--user-data", str(config), "-d")


def check_own_seed(user, name):
    instance = user.status(name)
    said = user.ssh(name, "hostname; cat /etc/marker; echo; sudo cat /var/lib/cloud/data/instance-id")
    assert said.split() == [name, f"only-{name}", f"iid-{instance['uuid']}"]


def check_nothing_is_shared(user):
    records = [json.loads((user.instances / name / "record.json").read_text()) for name in NAMES]
    own = [[record["key"] for record in records], [instance["uuid"] for instance in user.ps()],
           [instance["ssh_port"] for instance in user.ps()],
           [(user.instances / name / "ssh_host_ed25519_key.pub").read_text() for name in NAMES]]
    assert [len(set(values)) for values in own] == [len(NAMES)] * len(own), own


def check_no_other_seed(user, port):
    """From inside the first guest, without the key of another one; a key of 128 random bits cannot be found by trying."""
    key = json.loads((user.instances / NAMES[0] / "record.json").read_text())["key"]
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")
    refused = ["GET:/", "GET:/meta-data", "GET://meta-data", f"GET:/{key}/", f"GET:/x{key}/meta-data",
               f"GET:/{key[:-1]}/meta-data", f"GET:/{wrong}/meta-data", f"HEAD:/{wrong}/meta-data", f"POST:/{wrong}/events",
               f"GET:/{key}/../{wrong}/user-data", f"GET:/{wrong}/../{key}/user-data", f"GET:/{key}/%2e%2e/{wrong}/user-data"]
    words = " ".join([f"GET:/{key}/meta-data", f"HEAD:/{key}/user-data", *refused])
    said = user.ssh(NAMES[0], f"python3 - http://10.0.2.2:{port} {words} <<'EOF'\n{PROBE}\nEOF")
    assert said.split() == ["200"] * 2 + ["404"] * len(refused)


def test_six_guests_keep_their_seeds_and_outlive_their_agent():
    image = guest_image("x86_64")
    with User() as user:
        user.do("ps")
        runs = [boot(user, image, name) for name in NAMES]
        for name, run in zip(NAMES, runs):
            out, _ = run.communicate(timeout=1200)
            assert run.returncode == 0, f"{name}: {out}"
        for name in NAMES:
            check_own_seed(user, name)
        check_nothing_is_shared(user)
        port = user.api("GET", "/v1/agent")[1]["imds_port"]
        check_no_other_seed(user, port)

        before = {instance["name"]: instance["pid"] for instance in user.ps()}
        user.kill_agent()
        after = {instance["name"]: instance["pid"] for instance in user.ps()}
        assert after == before and all(is_running(pid) for pid in after.values())
        wait_for("all are ready again", lambda: {m["state"] for m in user.ps()} == {"ready"}, 30)
        assert user.api("GET", "/v1/agent")[1]["imds_port"] == port

        user.do("powerdown", *NAMES, timeout=600)
        for name in NAMES:
            instance = user.status(name)
            assert (instance["state"], instance["stopped_by"]) == ("stopped", "powerdown"), instance
        assert not any(is_running(pid) for pid in before.values())
