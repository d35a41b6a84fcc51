# SPDX-License-Identifier: MIT
"""`piagent image fetch` from a real web server."""

import hashlib
import os
import shutil
import subprocess
import tempfile

import pytest
from nginx import Nginx, program

from test_image import MIB, NETWORK, PIAGENT, make_disk

pytestmark = pytest.mark.skipif(not program(), reason="nginx is not installed")
LIMIT_MIB_S = 4


@pytest.fixture
def folder():
    """Not pytest's own one, whose parents nginx's worker, another user, may not enter."""
    path = tempfile.mkdtemp(prefix="piagent-nginx-", dir="/tmp")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def nginx(folder):
    os.mkdir(f"{folder}/www")
    with Nginx(folder, LIMIT_MIB_S) as nginx:
        nginx.disk = make_disk(nginx.folder / "www/disk.qcow2", 48 * MIB).read_bytes()
        nginx.sha256 = hashlib.sha256(nginx.disk).hexdigest()
        nginx.stored = nginx.folder / f"CACHE/piagent/images/sha256-{nginx.sha256}.qcow2"
        yield nginx


def start(nginx, url, trust=None):
    env = {**os.environ, "HOME": str(nginx.folder), "XDG_CACHE_HOME": str(nginx.folder / "CACHE"),
           "XDG_CONFIG_HOME": str(nginx.folder / "CONFIG")}
    return subprocess.Popen([PIAGENT, "image", "fetch", f"{url}/disk.qcow2", "--json",
                             *(trust or ["--sha256", nginx.sha256])], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err


def test_fast_server_is_asked_once(nginx):
    # Two connections would be worth their while only if this took longer than a second.
    small = make_disk(nginx.folder / "www/disk.qcow2", 8 * MIB).read_bytes()
    end(start(nginx, nginx.fast_url, ["--sha256", hashlib.sha256(small).hexdigest()]))
    assert nginx.requests() == [("200", "-")]


def test_server_that_limits_each_connection_is_asked_for_ranges(nginx):
    end(start(nginx, nginx.limited_url))
    assert nginx.stored.read_bytes() == nginx.disk
    requests = nginx.requests()
    assert sum(status == "206" for status, _ in requests) >= 3
    assert ("200", "-") in requests


@pytest.mark.parametrize("variable", ["CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_https_server_is_believed_by_the_users_own_authority_only(nginx, monkeypatch, variable):
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    process = start(nginx, nginx.tls_url)
    _, err = process.communicate(timeout=60)
    assert process.returncode == NETWORK and "or name yours in CURL_CA_BUNDLE" in err, err
    assert not nginx.stored.exists()
    monkeypatch.setenv(variable, str(nginx.folder / "ca.pem"))
    end(start(nginx, nginx.tls_url))
    assert nginx.stored.read_bytes() == nginx.disk


def kill_on_the_way(nginx, process):
    """Once what it would take to go on is written down."""
    with process:
        for line in process.stdout:
            if any(nginx.stored.parent.glob("*.resume")):
                break
        process.kill()
    assert not nginx.stored.exists()


def test_killed_fetch_goes_on_by_a_range_of_the_same_server(nginx):
    kill_on_the_way(nginx, start(nginx, nginx.limited_url))
    end(start(nginx, nginx.limited_url))
    assert nginx.stored.read_bytes() == nginx.disk
    assert nginx.requests().count(("200", "-")) == 1  # the one that was killed


def test_object_that_was_replaced_meanwhile_is_fetched_anew(nginx):
    unknown = ["--unverified"]
    kill_on_the_way(nginx, start(nginx, nginx.limited_url, unknown))
    replaced = bytearray(nginx.disk)
    replaced[-1] ^= 1
    path = nginx.folder / "www/disk.qcow2"
    path.write_bytes(replaced)
    os.utime(path, (1000000, 1000000))
    end(start(nginx, nginx.limited_url, unknown))
    sha256 = hashlib.sha256(replaced).hexdigest()
    assert (nginx.stored.parent / f"sha256-{sha256}.qcow2").read_bytes() == replaced
