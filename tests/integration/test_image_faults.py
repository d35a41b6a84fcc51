# SPDX-License-Identifier: MIT
"""`piagent image fetch` against servers that go wrong."""

import hashlib
import json
import os
import signal
import subprocess

import pytest
from fault_server import FaultServer

from test_image import HOST, MIB, NETWORK, NOT_FOUND, PIAGENT, UNVERIFIED, make_disk


class Client:
    def __init__(self, folder, size):
        self.disk = make_disk(folder / "disk.qcow2", size)
        self.data = self.disk.read_bytes()
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.images = folder / "CACHE/piagent/images"
        self.env = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "CACHE"),
                    "XDG_CONFIG_HOME": str(folder / "CONFIG"), "PIAGENT_FEDORA_STALL_S": "2"}

    def start(self, url, trust=None, *options):
        return subprocess.Popen([PIAGENT, "image", "fetch", url, *(trust or ["--sha256", self.sha256]), *options], env=self.env,
                                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def fetch(self, url, trust=None):
        process = self.start(url, trust)
        _, err = process.communicate(timeout=60)
        return process.returncode, err

    def stored(self):
        return sorted(path.name for path in self.images.glob("[!.]*"))

    def is_right(self):
        return (self.images / f"sha256-{self.sha256}.qcow2").read_bytes() == self.data


@pytest.fixture
def client(tmp_path, request):
    return Client(tmp_path, getattr(request, "param", MIB))


@pytest.mark.parametrize("fault, code, said", [
    ("403", NETWORK, "HTTP 403"),
    ("404", NOT_FOUND, "HTTP 404"),
    ("429", NETWORK, "HTTP 429"),
    ("500", NETWORK, "HTTP 500"),
    ("503", NETWORK, "HTTP 503"),
    ("busy", NETWORK, "asks to wait 1m30s"),
    ("redirect-loop", NETWORK, "redirects"),
    ("redirect-to-file", NETWORK, "cannot fetch"),
    ("headers", NETWORK, "headers without end"),
    ("silence", NETWORK, "too slow"),
    ("empty", NETWORK, "closed the connection too early"),
    ("wrong", UNVERIFIED, "wrong checksum"),
    ("truncate", NETWORK, "try again later"),
    ("stall", NETWORK, "too slow"),
    ("drip", NETWORK, "too slow"),
])
def test_fault_is_told_in_one_line_and_never_stored(client, fault, code, said):
    with FaultServer(client.data, fault) as server:
        got, err = client.fetch(server.url)
    assert got == code, err
    assert said in err.splitlines()[-1]
    assert not any(name.startswith("sha256-") for name in client.stored())


@pytest.mark.parametrize("fault", ["truncate", "stall", "longer"])
def test_next_fetch_goes_on_where_a_broken_one_stood(client, fault):
    with FaultServer(client.data, fault, times=1) as server:
        assert client.fetch(server.url)[0] == NETWORK
        code, err = client.fetch(server.url)
    assert code == 0, err
    assert client.is_right()
    assert server.requests[1].startswith("bytes=") and server.requests[1] != "bytes=0-"


@pytest.mark.parametrize("fault", ["no-ranges", "other-object", "wrong-range", "wrong-total"])
def test_object_that_is_not_proven_the_same_is_fetched_from_the_beginning(client, fault):
    with FaultServer(client.data, "truncate", times=1) as server:
        assert client.fetch(server.url)[0] == NETWORK
        server.fault, server.left = fault, None
        code, err = client.fetch(server.url)
    assert code == 0, err
    assert client.is_right()
    assert server.requests[-1] is None or len(server.requests) == 2


def test_nothing_is_kept_of_an_object_without_validators(client):
    with FaultServer(client.data, "bare") as server:
        assert client.fetch(server.url)[0] == NETWORK
    assert client.stored() == []


@pytest.mark.parametrize("client", [16 * MIB], indirect=True)
def test_slow_server_is_asked_for_several_ranges_at_once(client):
    with FaultServer(client.data, "slow") as server:
        code, err = client.fetch(server.url)
    assert code == 0, err
    assert client.is_right()
    assert len(server.requests) > 2 and server.requests[0] is None


@pytest.mark.parametrize("client", [16 * MIB], indirect=True)
@pytest.mark.parametrize("fault", ["slow-no-ranges", "slow-changes", "slow-wrong-range", "slow-refuses", "slow-waits"])
def test_slow_server_that_serves_no_good_ranges_is_left_to_one_connection(client, fault):
    with FaultServer(client.data, fault) as server:
        code, err = client.fetch(server.url)
    assert code == 0, err
    assert client.is_right()
    assert len(server.requests) == 2


@pytest.mark.parametrize("client", [16 * MIB], indirect=True)
@pytest.mark.parametrize("trust", [None, ["--unverified"]])
def test_first_connection_that_breaks_before_a_range_is_answered_leaves_no_gap(client, trust):
    with FaultServer(client.data, "slow-breaks") as server:
        code, err = client.fetch(server.url, trust)
    assert code == 0, err
    assert client.is_right()
    assert server.requests.count(None) == 1


@pytest.mark.parametrize("client", [8 * MIB], indirect=True)
def test_killed_fetch_is_gone_on_with(client):
    with FaultServer(client.data, "slow") as server:
        process = client.start(server.url, None, "--json")
        for line in process.stdout:
            if json.loads(line).get("done_bytes", 0) > 5 * MIB:
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = len(server.requests)
        server.fault = ""
        code, err = client.fetch(server.url)
    assert code == 0, err
    assert client.is_right()
    assert server.requests[before] not in (None, "bytes=0-")


def lose_power(client):
    """Makes a killed fetch look like after a power cut: unsynced bytes differ, and the boot id is another."""
    partial, = client.images.glob("*.partial")
    resume = partial.with_suffix(".resume")
    record = json.loads(resume.read_text())
    assert record["done_bytes"] > 4096
    with partial.open("r+b") as file:
        file.seek(record["done_bytes"] - 4096)
        file.write(bytes(4096))
    resume.write_text(json.dumps({**record, "boot_id": "0" * 8 + "-0000-0000-0000-" + "0" * 12}))


@pytest.mark.parametrize("trust", ["--sha256", "--unverified"])
def test_bytes_that_a_power_cut_took_are_fetched_again(client, trust):
    trust = [trust] if trust == "--unverified" else [trust, client.sha256]
    with FaultServer(client.data, "truncate", times=1) as server:
        assert client.fetch(server.url, trust)[0] == NETWORK
        lose_power(client)
        code, err = client.fetch(server.url, trust)
    assert code == 0, err
    assert client.is_right()


def test_unverified_fetch_goes_on_where_no_power_was_lost(client):
    with FaultServer(client.data, "truncate", times=1) as server:
        assert client.fetch(server.url, ["--unverified"])[0] == NETWORK
        code, err = client.fetch(server.url, ["--unverified"])
    assert code == 0, err
    assert client.is_right()
    assert server.requests[1].startswith("bytes=")


def test_limit_on_the_size_of_files_is_a_failed_write_and_no_death(client):
    with FaultServer(client.data) as server:
        limited = f'ulimit -f 300; exec "{PIAGENT}" image fetch {server.url} --sha256 {client.sha256}'
        done = subprocess.run(["bash", "-c", limited], env=client.env, text=True, timeout=60, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1, done
    assert "File too large" in done.stderr.splitlines()[-1]


def fetch_on_full_disk(client, url):
    """With the store on a file system of 2 MiB, in a mount namespace of its own."""
    client.images.mkdir(parents=True, mode=0o700)
    script = ('mount -t tmpfs -o size=2m,mode=0700 none "$1" || exit 77; "$0" image fetch "$2" --unverified; code=$?; '
              'ls "$1" >&2; exit $code')
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, PIAGENT, client.images, url], env=client.env, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("cannot here: this user may not mount a small file system")
    return done.returncode, done.stderr


@pytest.mark.parametrize("client", [4 * MIB], indirect=True)
@pytest.mark.parametrize("kind", ["unknown length", "packed"])
def test_disk_that_fills_midway_is_told_and_nothing_half_made_is_left(client, kind):
    if kind == "packed":
        client.data = pack("xz", os.urandom(MIB) + 8 * os.urandom(512 << 10))
    with FaultServer(client.data, "no-length") as server:
        code, err = fetch_on_full_disk(client, server.url + (".xz" if kind == "packed" else ""))
    assert code == HOST, err
    assert "the disk is full" in err and "piagent image prune" in err
    assert "sha256-" not in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("piagent: ") or err.splitlines()[-1].endswith((".partial", ".resume"))


def test_proxy_of_the_environment_is_asked(client):
    with FaultServer(client.data) as proxy:
        client.env["http_proxy"] = proxy.url.removesuffix("/disk.qcow2")
        code, err = client.fetch("http://no.such.host.invalid/disk.qcow2")
    assert code == 0, err
    assert client.is_right()


def make_raw(size):
    """A raw disk: a boot signature, something in the middle, zeros for the rest."""
    disk = bytearray(size)
    disk[510:512] = b"\x55\xaa"
    disk[size // 2:size // 2 + 4096] = os.urandom(4096)
    return bytes(disk)


def pack(program, data):
    return subprocess.run([program, "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


@pytest.fixture(params=["xz", "zstd"])
def packed(request, client):
    """A client that wants a packed raw disk; its server's URL ends as packed files do."""
    client.raw = make_raw(4 * MIB)
    client.data = pack(request.param, client.raw)
    client.sha256 = hashlib.sha256(client.data).hexdigest()
    client.suffix = {"xz": ".xz", "zstd": ".zst"}[request.param]
    client.unpacked = client.images / f"sha256-{hashlib.sha256(client.raw).hexdigest()}.raw"
    return client


def test_packed_image_is_unpacked_on_the_way_and_known_again(packed):
    with FaultServer(packed.data) as server:
        code, err = packed.fetch(server.url + packed.suffix)
        assert code == 0, err
        assert packed.fetch(server.url + packed.suffix)[0] == 0
    assert packed.unpacked.read_bytes() == packed.raw
    assert packed.unpacked.stat().st_blocks * 512 < MIB
    assert len(packed.stored()) == 2 and len(server.requests) == 1


@pytest.mark.parametrize("damage", [
    lambda data: data[:-40],
    lambda data: data + b"more",
    lambda data: data[:len(data) // 2] + b"????????" + data[len(data) // 2 + 8:],
])
def test_damaged_packed_image_is_refused_although_its_checksum_is_right(packed, damage):
    packed.data = damage(packed.data)
    packed.sha256 = hashlib.sha256(packed.data).hexdigest()
    with FaultServer(packed.data) as server:
        code, err = packed.fetch(server.url + packed.suffix)
    assert code == UNVERIFIED, err
    assert "damaged" in err
    assert packed.stored() == []


def test_packed_image_is_gone_on_with_too(packed):
    with FaultServer(packed.data, "truncate", times=1) as server:
        assert packed.fetch(server.url + packed.suffix)[0] == NETWORK
        code, err = packed.fetch(server.url + packed.suffix)
    assert code == 0, err
    assert packed.unpacked.read_bytes() == packed.raw
    assert server.requests[1].startswith("bytes=")
