#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A stand-in for Fedora's servers on loopback: index, redirector, mirrors, Metalinks, archive, CHECKSUM files.

As a library:

    with FedoraServer([Image("x86_64", "guest.qcow2"), Image("aarch64", "arm.qcow2")]) as fedora:
        subprocess.run([piagent, "image", "fetch", "fedora"], env={**os.environ, **fedora.env})

From a shell (prints NAME=VALUE lines for the environment, then serves until SIGTERM or SIGINT):

    fedora_server.py --image x86_64=guest.qcow2 --image aarch64@44=arm.qcow2 [--fault image=truncate]

The links in the index are Fedora's own, so a client that does not replace their base leaves loopback and
fails. An image's link redirects (302) to a "mirror", a second port. Faults are by kind of file (index,
checksum, keys, metalink, front: the redirector, image: the mirror, image2: the other one, archive): 404, 500, truncate (half, then close), wrong (one byte changed), stall (half, then
silence), hold (half, then silence until the faults are others), slow (one MiB a second); of checksum besides: unsigned, forged (changed after it was signed),
stranger (signed by a key that no one pinned); a wrong keys file holds that stranger's key; of metalink besides: other (the checksum of
another file). The server signs with a key that it makes, and pins it in `env`. A test in another language may change them while the server runs, which
forgets the requests so far: GET /control?image=slow&index_checksums=no. GET /requests lists the requests,
GET /ranges the ranges of images that were asked for.
"""

import argparse
import functools
import hashlib
import http.server
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.parse
from dataclasses import dataclass

DOWNLOAD = "https://download.fedoraproject.org/pub/fedora/linux"
ARCHIVE = "https://download.fedoraproject.org/pub/archive/fedora/linux"
LINUX = "/pub/fedora/linux"
FAULTS = ("404", "403", "429", "500", "503", "truncate", "wrong", "stall", "hold", "slow", "unsigned", "forged", "stranger", "other")
COMPOSES = {"38": "1.6", "39": "1.5", "40": "1.14", "41": "1.4", "42": "1.1", "43": "1.6", "44": "1.7"}
CHUNK = 1 << 16
KINDS = ("index", "checksum", "keys", "metalink", "front", "image", "image2", "archive")


@dataclass
class Image:
    """A file to be served as Fedora's Cloud image of a release ("44", "45 Beta") for an architecture."""

    arch: str
    path: str
    release: str = "44"
    ended: bool = False  # in the archive only
    indexed: bool = False  # all the same still in the index, which links to the archive

    @property
    def label(self):
        return f"{self.release.replace(' ', '_')}-{COMPOSES.get(self.release, '1.3')}"

    def name_of(self, flavour, extension="qcow2"):
        """The file name as that release spells it: 38 and 39 have no "Generic", 40 puts the arch first."""
        if self.release in ("38", "39") and flavour == "-Generic":
            flavour = ""
        if self.release == "40":
            return f"Fedora-Cloud-Base{flavour}.{self.arch}-{self.label}.{extension}"
        return f"Fedora-Cloud-Base{flavour}-{self.label}.{self.arch}.{extension}"

    @property
    def name(self):
        return self.name_of("-Generic")

    @property
    def folder(self):
        return f"/releases/{self.release.replace(' ', '_')}/Cloud/{self.arch}/images"

    @property
    def checksum_name(self):
        infix = "-images" if "Beta" in self.release else ""
        return f"Fedora-Cloud{infix}-{self.label}-{self.arch}-CHECKSUM"

    @functools.cached_property
    def sha256(self):
        digest = hashlib.sha256()
        with open(self.path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    @property
    def size(self):
        return os.path.getsize(self.path)

    def checksum_text(self):
        """Laid out as Fedora's before it is signed, other files included."""
        other = self.name_of("-UEFI-UKI")
        return (
            f"# {other}: 1024 bytes\nSHA256 ({other}) = {'0' * 64}\n"
            f"# {self.name}: {self.size} bytes\nSHA256 ({self.name}) = {self.sha256}\n"
        )

    def index_entries(self, checksums):
        """The image among the files that stand beside it in the real index."""
        files = [
            (self.name_of("-AmazonEC2", "raw.xz"), "Cloud_Base", "1" * 64, 1024),
            (self.name_of("-UEFI-UKI"), "Cloud_Base_UKI", "2" * 64, 1024),
            (self.name_of("-Vagrant-libvirt", "vagrant.libvirt.box"), "Cloud_Base", "3" * 64, 1024),
            (self.name, "Cloud_Base", self.sha256, self.size),
        ]
        for name, subvariant, sha256, size in files:
            entry = {"version": self.release, "arch": self.arch, "link": f"{ARCHIVE if self.ended else DOWNLOAD}{self.folder}/{name}",
                     "variant": "Cloud", "subvariant": subvariant}
            if checksums:
                entry |= {"sha256": sha256, "size": str(size)}
            yield entry


class Signer:
    """An OpenPGP key and the texts that it signed. GnuPG's folder and agent are gone again when it is made."""

    def __init__(self, texts):
        with tempfile.TemporaryDirectory(prefix="gpg-", dir="/tmp") as home:
            self.home = home
            try:
                self.gpg("--quick-gen-key", "Fedora's stand-in <fedora@example.org>", "ed25519", "sign", "never")
                listing = self.gpg("--with-colons", "--list-keys").decode().splitlines()
                self.fingerprint = next(line for line in listing if line.startswith("fpr:")).split(":")[9]
                self.public = self.gpg("--export")
                self.signed = {text: self.gpg("--clearsign", data=text.encode()) for text in texts}
            finally:
                subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)

    def gpg(self, *args, data=None):
        command = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--pinentry-mode", "loopback",
                   "--passphrase", "", *args]
        return subprocess.run(command, input=data, check=True, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL).stdout


class FedoraServer:
    """Serves from start() to stop(). `faults` and `requests` (method-less paths, in order) may be used meanwhile.

    index_checksums=False leaves sha256 and size out of the index, as it may be for a fresh release.
    """

    def __init__(self, images, index_checksums=True, faults=None):
        self.signers = {}
        self.signing = threading.Lock()
        self.images = list(images)
        self.index_checksums = index_checksums
        self.faults = dict(faults or {})
        self.requests = []
        self.ranges = []
        self.stopping = threading.Event()
        handler = functools.partial(_Handler, self)
        self.front = _Server(("127.0.0.1", 0), handler)
        self.mirror = _Server(("127.0.0.1", 0), handler)

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.front.server_port}"

    @property
    def index_url(self):
        return f"{self.base_url}/releases.json"

    @property
    def download_url(self):
        return f"{self.base_url}{LINUX}"

    @property
    def checksum_url(self):
        return f"{self.base_url}/dl{LINUX}"

    @property
    def mirror_url(self):
        return f"http://127.0.0.1:{self.mirror.server_port}/mirror{LINUX}"

    @property
    def env(self):
        return {
            "PIAGENT_FEDORA_INDEX_URL": self.index_url,
            "PIAGENT_FEDORA_URL": self.download_url,
            "PIAGENT_FEDORA_CHECKSUM_URL": self.checksum_url,
            "PIAGENT_FEDORA_ARCHIVE_URL": f"{self.base_url}/archive{LINUX}",
            "PIAGENT_FEDORA_METALINK_URL": f"{self.base_url}/metalink",
            "PIAGENT_FEDORA_KEYS_URL": f"{self.base_url}/fedora.gpg",
            "PIAGENT_FEDORA_SIGNER": ",".join(sorted({
                f"{image.release.split()[0]}:{self.signer('own').fingerprint}" for image in self.images})),
        }

    def signer(self, name):
        with self.signing:
            if name not in self.signers:
                self.signers[name] = Signer({image.checksum_text() for image in self.images})
            return self.signers[name]

    def checksum(self, image):
        """The CHECKSUM file of an image, as the fault of that kind wants it."""
        fault = self.faults.get("checksum")
        text = image.checksum_text()
        if fault == "unsigned":
            return text.encode()
        signed = self.signer("stranger" if fault == "stranger" else "own").signed[text]
        return signed.replace(image.sha256.encode(), b"0" * 64) if fault == "forged" else signed

    connections = 1

    def metalink(self, path):
        """Metalink 3 as MirrorManager makes it: size and checksum of the file and of an older version of it,
        mirrors by preference."""
        image = self.find("/" + path, "", "name")
        if not image:
            return None
        urls = "".join(
            f'<url protocol="http" type="http" location="DE" preference="{100 - i}">'
            f"http://127.0.0.1:{self.mirror.server_port}/{name}/{path}</url>"
            for i, name in enumerate(("mirror", "mirror2")))
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<metalink version="3.0" xmlns="http://www.metalinker.org/" type="dynamic"'
            ' xmlns:mm0="http://fedorahosted.org/mirrormanager">\n<files>'
            f'<file name="{image.name}"><size>{image.size}</size><verification>'
            f'<hash type="sha256">{"0" * 64 if self.faults.get("metalink") == "other" else image.sha256}</hash>'
            '</verification><mm0:alternates><mm0:alternate><size>4000</size><verification>'
            f'<hash type="sha256">{"1" * 64}</hash></verification></mm0:alternate></mm0:alternates>'
            f'<resources maxconnections="{self.connections}">{urls}</resources></file></files></metalink>\n').encode()

    def start(self):
        for image in self.images:
            _ = image.sha256  # hashed now rather than inside the first request
        for server in (self.front, self.mirror):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self):
        self.stopping.set()
        for server in (self.front, self.mirror):
            server.shutdown()
            server.server_close()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def index(self):
        entries = [entry for image in self.images if image.indexed or not image.ended
                   for entry in image.index_entries(self.index_checksums)]
        return json.dumps(entries, indent=1).encode()

    def control(self, settings):
        self.index_checksums = settings.pop("index_checksums", "yes") == "yes"
        self.faults = settings
        self.requests.clear()
        self.ranges.clear()

    def find(self, path, prefix, name):
        """An image of a release that ended is nowhere but in the archive."""
        return next((i for i in self.images if i.ended == (prefix == "/archive")
                     and path == f"{prefix}{LINUX}{i.folder}/{getattr(i, name)}"), None)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hung up is what several tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, fedora, *args):
        self.fedora = fedora
        super().__init__(*args)

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.fedora.requests.append(self.path)
        if self.path == "/releases.json":
            self.send_bytes(self.fedora.index(), "index")
        elif self.path == "/requests":
            self.send_bytes(json.dumps(self.fedora.requests[:-1]).encode(), None)
        elif self.path == "/ranges":
            self.send_bytes(json.dumps(self.fedora.ranges).encode(), None)
        elif self.path.startswith("/control"):
            self.fedora.control(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query)))
            self.send_bytes(b"", None)
        elif self.path == "/fedora.gpg":
            # Not just its last byte: GnuPG 2.4 takes a key whose self-signature is broken, and the fingerprint is still right.
            wrong = self.fedora.faults.get("keys") == "wrong"
            self.send_bytes(self.fedora.signer("stranger" if wrong else "own").public, "keys")
        elif self.path.startswith("/metalink"):
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            self.send_bytes(self.fedora.metalink(query.get("path", "")), "metalink")
        elif self.fedora.find(self.path, "", "name"):
            if self.send_failure("front"):
                return
            self.send_response(302)
            self.send_header("Location", self.fedora.mirror_url + self.path[len(LINUX):])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif image := self.fedora.find(self.path, "/mirror", "name"):
            self.send_image(image, "image")
        elif image := self.fedora.find(self.path, "/mirror2", "name"):
            self.send_image(image, "image2")
        elif image := self.fedora.find(self.path, "/archive", "name"):
            self.send_image(image, "archive")
        elif image := (self.fedora.find(self.path, "/dl", "checksum_name")
                       or self.fedora.find(self.path, "/archive", "checksum_name")):
            self.send_bytes(self.fedora.checksum(image), "checksum")
        else:
            self.send_error(404)

    def send_failure(self, kind):
        fault = self.fedora.faults.get(kind, "")
        if fault.isdigit():
            self.send_error(int(fault))
        return fault.isdigit()

    def send_bytes(self, data, kind):
        if data is None:
            self.send_error(404)
            return
        self.send_file(io.BytesIO(data), len(data), kind)

    def send_image(self, image, kind):
        """Sends the whole file, or the range that was asked for, unless If-Range forbids that."""
        etag = f'"{image.sha256[:16]}-{kind}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        if asked:
            self.fedora.ranges.append(asked[0])
        with open(image.path, "rb") as file:
            if not asked or self.headers.get("If-Range", etag) != etag:
                self.send_file(file, image.size, kind, headers=headers)
                return
            first, last = int(asked[1]), min(int(asked[2] or image.size), image.size - 1)
            if first > last:
                self.send_error(416)
                return
            file.seek(first)
            headers["Content-Range"] = f"bytes {first}-{last}/{image.size}"
            self.send_file(file, last - first + 1, kind, 206, headers)

    def send_file(self, file, size, kind, status=200, headers=None):
        fault = self.fedora.faults.get(kind)
        if self.send_failure(kind):
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        left = size // 2 if fault in ("truncate", "stall") else size
        while left and (chunk := file.read(min(CHUNK, left))):
            while left <= size // 2 and self.fedora.faults.get(kind) == "hold" and not self.fedora.stopping.wait(0.02):
                pass
            if fault == "wrong" and left == size:
                chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])
            self.wfile.write(chunk)
            left -= len(chunk)
            if fault == "slow" and self.fedora.stopping.wait(CHUNK / (1 << 20)):
                break
        if fault == "stall":
            self.fedora.stopping.wait()
        if fault in ("truncate", "stall", "slow"):
            self.close_connection = True


def parse_image(text):
    """ARCH[@RELEASE]=FILE"""
    target, _, path = text.partition("=")
    arch, _, release = target.partition("@")
    if arch not in ("x86_64", "aarch64") or not path:
        raise argparse.ArgumentTypeError("write it as x86_64=FILE or aarch64@43=FILE")
    return Image(arch, path, release or "44")


def parse_fault(text):
    kind, _, fault = text.partition("=")
    if kind not in KINDS or fault not in FAULTS:
        raise argparse.ArgumentTypeError(f"write it as {'|'.join(KINDS)}={'|'.join(FAULTS)}")
    return kind, fault


def main():
    parser = argparse.ArgumentParser(description="serve disk images as Fedora serves its own")
    parser.add_argument("--image", metavar="ARCH[@RELEASE]=FILE", action="append", type=parse_image, default=[])
    parser.add_argument("--fault", metavar="KIND=FAULT", action="append", type=parse_fault, default=[])
    parser.add_argument("--no-index-checksums", action="store_true", help="only CHECKSUM files have checksums")
    parser.add_argument("--ended", metavar="RELEASE", action="append", default=[], help="in the archive only")
    args = parser.parse_args()
    for image in args.image:
        image.ended = image.release in args.ended

    # Blocked before the threads start, so that only sigwait() below takes them.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    with FedoraServer(args.image, not args.no_index_checksums, dict(args.fault)) as fedora:
        for name, value in fedora.env.items():
            print(f"{name}={value}", flush=True)
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
