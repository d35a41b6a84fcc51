"""`piagent image fetch` against servers that go wrong."""

import hashlib
import json
import os
import signal
import subprocess

import pytest
from fault_server import FaultServer

from test_image import MIB, NETWORK, NOT_FOUND, PIAGENT, UNVERIFIED, make_disk


class Client:
    def __init__(self, folder, size):
        self.disk = make_disk(folder / "disk.qcow2", size)
        self.data = self.disk.read_bytes()
        self.sha256 = hashlib.sha256(self.data).hexdigest()
        self.images = folder / "CACHE/piagent/images"
        self.env = {**os.environ, "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "CACHE"),
                    "XDG_CONFIG_HOME": str(folder / "CONFIG"), "PIAGENT_FEDORA_STALL_S": "2"}

    def start(self, url, *options):
        return subprocess.Popen([PIAGENT, "image", "fetch", url, "--sha256", self.sha256, *options], env=self.env,
                                text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def fetch(self, url):
        process = self.start(url)
        _, err = process.communicate(timeout=60)
        return process.returncode, err

    def stored(self):
        return sorted(path.name for path in self.images.glob("*"))

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
    ("redirect-loop", NETWORK, "redirects"),
    ("redirect-to-file", NETWORK, "cannot fetch"),
    ("headers", NETWORK, "headers without end"),
    ("silence", NETWORK, "too slow"),
    ("empty", NETWORK, "ended early"),
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
@pytest.mark.parametrize("fault", ["slow-no-ranges", "slow-changes", "slow-wrong-range", "slow-refuses"])
def test_slow_server_that_serves_no_good_ranges_is_left_to_one_connection(client, fault):
    with FaultServer(client.data, fault) as server:
        code, err = client.fetch(server.url)
    assert code == 0, err
    assert client.is_right()
    assert len(server.requests) == 2


@pytest.mark.parametrize("client", [8 * MIB], indirect=True)
def test_killed_fetch_is_gone_on_with(client):
    with FaultServer(client.data, "slow") as server:
        process = client.start(server.url, "--json")
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
