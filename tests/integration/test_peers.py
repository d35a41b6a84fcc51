# SPDX-License-Identifier: MIT
"""What a guest is told of its fleet: peers and the join secret in its meta-data, and the list that it can ask for while it runs."""

import json
import subprocess
import time

import boot_sectors
import pytest
from piagent import User, fake_qemu, wait_for
from test_hostile_guest import Guest

SECRET = 64  # digits


@pytest.fixture
def user():
    with User(**fake_qemu()) as user:
        yield user


def make(user, name, role="node", index=1, count=3, fleet="lab", **more):
    place = {"fleet": {"name": fleet, "role": role, "index": index, "count": count}} if fleet else {}
    status, answer = user.create(name, image=boot_sectors.deaf(user.home), image_unverified=True, arch="x86_64", accel="tcg",
                                 memory_mib=256, disk_bytes=1 << 20, **place, **more)
    assert status == 202, answer
    user.wait_state(name, "stopped" if more.get("stopped") else "running", 30)


def start(user, name):
    assert user.api("POST", f"/v1/instances/{name}/start", {})[0] == 202
    user.wait_state(name, "running", 30)


def record(user, name):
    return json.loads((user.instances / name / "record.json").read_text())


def fetch(user, path):
    """Status, type and text of what a guest is answered at the agent's port."""
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    done = subprocess.run(["curl", "-sS", "-w", "\n%{http_code} %{content_type}", f"http://127.0.0.1:{port}{path}"],
                          stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    text, _, end = done.stdout.rpartition("\n")
    status, _, kind = end.partition(" ")
    return int(status), kind, text


def meta_data(user, name):
    status, _, text = fetch(user, f"/{record(user, name)['key']}/meta-data")
    assert status == 200
    return json.loads(text)


def peers_path(user, name):
    url = meta_data(user, name)["fleet"]["peers_url"]
    assert url.startswith(f"http://10.0.2.2:{user.api('GET', '/v1/agent')[1]['imds_port']}/")
    return "/" + url.split("/", 3)[3]


def live(user, path):
    status, kind, text = fetch(user, path)
    assert (status, kind) == (200, "application/json"), text
    return {peer["name"]: peer.get("running") for peer in json.loads(text)}


def test_all_instances_of_the_fleet_are_peers_whenever_they_came(user):
    make(user, "node-1")
    make(user, "other", fleet="shed")
    make(user, "alone", fleet=None)
    assert [peer["name"] for peer in meta_data(user, "node-1")["fleet"]["peers"]] == ["node-1"]
    make(user, "node-2", index=2, stopped=True)
    make(user, "server", role="server", count=1)
    told = meta_data(user, "node-1")["fleet"]
    assert {key: told[key] for key in ("name", "role", "index", "count", "size")} == {"name": "lab", "role": "node", "index": 1, "count": 3,
                                                                                     "size": 3}
    assert told["peers"] == [{"name": "node-1", "role": "node", "index": 1, "arch": "x86_64"},
                             {"name": "node-2", "role": "node", "index": 2, "arch": "x86_64"},
                             {"name": "server", "role": "server", "index": 1, "arch": "x86_64"}]
    assert [peer["name"] for peer in meta_data(user, "other")["fleet"]["peers"]] == ["other"]
    assert not {"fleet", "security-credentials"} & set(meta_data(user, "alone"))
    user.do("rm", "--force", "server")
    assert [peer["name"] for peer in meta_data(user, "node-1")["fleet"]["peers"]] == ["node-1", "node-2"]


def test_the_list_is_of_now_as_long_as_the_instance_runs(user):
    make(user, "node-1")
    path = peers_path(user, "node-1")
    assert live(user, path) == {"node-1": True}
    Guest(user, "node-1").report("modules-final", "SUCCESS")  # its seed is closed
    make(user, "node-2", index=2, stopped=True)
    assert live(user, path) == {"node-1": True, "node-2": False}
    start(user, "node-2")
    assert live(user, path) == {"node-1": True, "node-2": True}
    user.kill_agent()
    user.do("ps")
    assert live(user, path) == {"node-1": True, "node-2": True}
    user.do("kill", "node-1")
    assert fetch(user, path)[0] == 404
    start(user, "node-1")
    assert peers_path(user, "node-1") == path, "a guest keeps the meta-data of its first boot"
    user.do("rm", "--force", "node-2")
    assert live(user, path) == {"node-1": True}


def test_peers_have_the_address_of_their_first_network(user):
    user.do("network", "create", "lab", "--subnet", "10.99.3.0/24")
    make(user, "node-1", networks=["lab,ip=10.99.3.7"])
    make(user, "node-2", index=2, networks=["lab"], stopped=True)
    addresses = {peer["name"]: peer["address"] for peer in meta_data(user, "node-1")["fleet"]["peers"]}
    assert addresses["node-1"] == "10.99.3.7" and addresses["node-2"].startswith("10.99.3.")
    status, _, text = fetch(user, peers_path(user, "node-1"))
    assert status == 200 and {peer["name"]: peer["address"] for peer in json.loads(text)} == addresses


def test_the_join_secret_is_the_fleets_own_and_told_until_the_first_boot_has_succeeded(user):
    def secret(name):
        return meta_data(user, name).get("security-credentials", {}).get("join_secret")
    make(user, "node-1")
    make(user, "node-2", index=2)
    make(user, "other", fleet="shed")
    assert secret("node-1") == secret("node-2") != secret("other")
    assert len(secret("node-1")) == len(secret("other")) == SECRET
    first = secret("node-1")
    Guest(user, "node-1").report("modules-final", "FAIL")
    assert secret("node-1") == first
    user.do("reset", "node-1")
    user.wait_state("node-1", "running", 30)
    Guest(user, "node-1").report("modules-final", "SUCCESS")
    assert secret("node-1") is None and secret("node-2") == first
    assert [peer["name"] for peer in meta_data(user, "node-1")["fleet"]["peers"]] == ["node-1", "node-2"]
    user.do("reseed", "node-1")
    assert secret("node-1") == first
    user.kill_agent()
    make(user, "node-3", index=3)
    assert secret("node-3") == first
    user.do("rm", "--force", "--fleet", "lab")
    make(user, "node-1")
    assert secret("node-1") != first


def test_a_key_of_peers_gives_nothing_else_and_no_other_key_gives_peers(user):
    make(user, "node-1")
    make(user, "node-2", index=2)
    make(user, "alone", fleet=None)
    one, two = record(user, "node-1"), record(user, "node-2")
    keys = [one["key"], one["report_key"], one["peers_key"], two["key"], two["report_key"], two["peers_key"]]
    assert len(set(keys)) == 6 and "peers_key" not in {key for key, value in record(user, "alone").items() if value}
    for key in keys:
        answered = [path for path in ("meta-data", "user-data", "vendor-data", "network-config", "peers") if fetch(user, f"/{key}/{path}")[0] == 200]
        assert answered == {"key": ["meta-data", "user-data", "vendor-data", "network-config"], "report_key": [], "peers_key": ["peers"]}[
            next(name for name, value in [*one.items(), *two.items()] if value == key)]
    assert Guest(user, "node-1").send(f"POST /{one['peers_key']}/events HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode()) == 404
    wrong = one["peers_key"][:-1] + ("0" if one["peers_key"][-1] != "0" else "1")
    assert [fetch(user, f"/{wrong}/peers"), fetch(user, f"/{one['peers_key']}/peers/")] == [(404, "", "")] * 2


def test_a_guest_that_floods_it_is_turned_away_and_the_others_are_not(user):
    make(user, "node-1")
    make(user, "node-2", index=2)
    flooder, path = peers_path(user, "node-1"), peers_path(user, "node-2")
    guest, before = Guest(user, "node-1"), len(user.events("node-1"))
    began = time.monotonic()
    answers = [guest.send(f"GET {flooder} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for _ in range(400)]
    assert set(answers) == {200, 429}
    assert answers.count(200) <= 40 + 10 * (time.monotonic() - began + 1)
    assert live(user, path) == {"node-1": True, "node-2": True}
    assert len(user.events("node-1")) == before, "it writes nothing to the journal"
    wait_for("it is answered again", lambda: fetch(user, flooder)[0] == 200, 20)


def test_an_isolated_guest_asks_at_the_address_that_it_reaches(user):
    make(user, "node-1", isolate=True)
    url = meta_data(user, "node-1")["fleet"]["peers_url"]
    assert url == f"http://10.0.2.4/{record(user, 'node-1')['peers_key']}/peers"
    asked = subprocess.run(["curl", "-sS", "--unix-socket", str(user.runtime / "imds.sock"), url.replace("10.0.2.4", "imds")],
                           stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout
    assert [peer["name"] for peer in json.loads(asked)] == ["node-1"]
