# SPDX-License-Identifier: MIT
"""`piagent image fetch` and `image ls` against Fedora's stand-in: output, exit codes, signals."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import struct
import subprocess

import pytest
from fault_server import FaultServer
from fedora_server import FedoraServer, Image

PIAGENT = os.environ["PIAGENT_BINARY"]
FAILED, UNVERIFIED, NOT_FOUND, CONFLICT, HOST, NETWORK, AGENT = 1, 5, 3, 4, 6, 7, 10
MIB = 1 << 20


def make_disk(path, size):
    """A qcow2 header whose L1 table is in the third cluster, then bytes that differ from cluster to cluster."""
    header = bytearray(512)
    struct.pack_into(">4sIQIIQ", header, 0, b"QFI\xfb", 3, 0, 0, 16, 5 << 30)
    struct.pack_into(">IQQI", header, 36, 10, 2 << 16, 1 << 16, 1)
    struct.pack_into(">II", header, 96, 4, 112)
    body = b"".join(hashlib.sha256(str(i).encode()).digest() * 2048 for i in range(size // 65536 - 3))
    path.write_bytes(bytes(header).ljust(3 * 65536, b"\0") + body)
    return path


class World:
    """A user's folders, and a server of one image for both architectures."""

    def __init__(self, folder, size=MIB, **server):
        self.folder = folder
        self.disk = make_disk(folder / "disk.qcow2", size)
        self.sha256 = hashlib.sha256(self.disk.read_bytes()).hexdigest()
        self.fedora = FedoraServer([Image("x86_64", str(self.disk)), Image("aarch64", str(self.disk))], **server)
        kinds = ("CACHE", "CONFIG", "DATA")
        self.env = {**os.environ, **self.fedora.env, "HOME": str(folder),
                    **{f"XDG_{kind}_HOME": str(folder / kind) for kind in kinds},
                    "XDG_RUNTIME_DIR": str(folder / "run")}
        self.images = folder / "CACHE/piagent/images"

    def start(self, *args):
        return subprocess.Popen([PIAGENT, *args], env=self.env, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *args):
        process = self.start(*args)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def stored(self):
        return sorted(path.name for path in self.images.glob("[!.]*"))

    def downloads(self):
        return sum(path.startswith("/mirror/") for path in self.fedora.requests)


@pytest.fixture
def world(tmp_path, request):
    world = World(tmp_path, **getattr(request, "param", {}))
    with world.fedora:
        yield world
    world.run("agent", "stop")


def test_what_is_proven_and_refused_is_not_asked_of_every_mirror(tmp_path):
    world = World(tmp_path)
    disk = make_disk(tmp_path / "backed.qcow2", MIB)
    with open(disk, "r+b") as header:
        header.seek(8)
        header.write((512).to_bytes(8, "big"))  # the place of a backing file's name
    with FedoraServer([Image("x86_64", str(disk))]) as server:
        world.env.update(server.env)
        code, _, err = world.run("image", "fetch", "fedora", "--arch", "x86_64")
        assert code == UNVERIFIED and "backing file" in err, err
        assert sum(path.startswith("/mirror") for path in server.requests) == 1, server.requests


@pytest.mark.parametrize("world", [{"size": 64 * MIB, "faults": {"front": "404", "archive": "404", "image": "slow"}}], indirect=True)
def test_a_list_of_mirrors_that_allows_any_number_of_connections_gets_the_usual_ones(world):
    world.fedora.connections = 64
    code, _, err = world.run("image", "fetch", "fedora", "--arch", "x86_64")
    assert code == 0, err
    assert (world.images / f"sha256-{world.sha256}.qcow2").read_bytes() == world.disk.read_bytes()


@pytest.mark.parametrize("world", [{"faults": {"checksum": "stranger"}}], indirect=True)
def test_a_good_signature_by_a_key_that_is_not_that_releases_is_none(world):
    keys = world.folder / "CONFIG/piagent/keys"
    keys.mkdir(parents=True)
    stranger = world.fedora.signer("stranger")
    (keys / "stranger.gpg").write_bytes(stranger.public)  # so that the signature itself is good
    code, _, err = world.run("image", "fetch", "fedora", "--arch", "x86_64")
    assert code == UNVERIFIED and f"found: a good one by {stranger.fingerprint}" in err, err
    assert not world.downloads()


def test_fetch_stores_the_newest_release_read_only_with_its_provenance(world):
    code, out, err = world.run("image", "fetch", "fedora", "--arch", "aarch64")
    assert code == 0, err
    path = world.images / f"sha256-{world.sha256}.qcow2"
    assert str(path) in out
    assert path.read_bytes() == world.disk.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o444
    provenance = json.loads((world.images / f"sha256-{world.sha256}.json").read_text())
    assert provenance["name"] == "Fedora-Cloud-Base-Generic-44-1.7.aarch64.qcow2"
    assert (provenance["release"], provenance["arch"], provenance["verified"]) == ("44", "aarch64", True)
    assert provenance["checksum_source"] == "checksum-file"
    assert f"44:{provenance['signer']}" in world.fedora.env["PIAGENT_FEDORA_SIGNER"]
    assert "path" not in provenance
    assert world.fedora.requests[0] == "/releases.json"
    assert world.downloads() == 1


def test_json_lines_end_with_the_image(world):
    code, out, err = world.run("image", "fetch", "fedora:44", "--arch", "x86_64", "--json")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    phases = [line["phase"] for line in lines if "phase" in line]
    assert phases[0] == "resolving" and "downloading" in phases and phases[-1] == "done"
    assert lines[-1]["image"]["sha256"] == world.sha256
    assert pathlib.Path(lines[-1]["image"]["path"]).exists()


def test_ls_shows_what_was_fetched(world):
    assert world.run("image", "fetch", "fedora", "--arch", "x86_64")[0] == 0
    code, out, _ = world.run("image", "ls", "--json")
    images = json.loads(out)["images"]
    assert code == 0
    assert [(image["sha256"], image["release"]) for image in images] == [(world.sha256, "44")]


def test_kept_release_is_fetched_again_without_a_server(world):
    assert world.run("image", "fetch", "fedora:44", "--arch", "x86_64")[0] == 0
    world.fedora.stop()
    assert world.run("image", "fetch", "fedora:44", "--arch", "x86_64")[0] == 0


@pytest.mark.parametrize("world, code, said", [
    ({"faults": {"image": "wrong", "metalink": "404"}}, UNVERIFIED, "expected SHA-256"),
    ({"faults": {"image": "404", "metalink": "404"}}, NOT_FOUND, "HTTP 404"),
    ({"faults": {"image": "500", "metalink": "other"}}, NETWORK, "no mirror was asked"),
    ({"faults": {"index": "500"}}, NETWORK, "HTTP 500"),
    ({"faults": {"checksum": "404"}, "index_checksums": False}, UNVERIFIED, "--allow-unsigned"),
    ({"faults": {"checksum": "stranger"}}, UNVERIFIED, "expected a good signature by"),
], indirect=["world"])
def test_failure_is_one_line_an_exit_code_and_leaves_nothing(world, code, said):
    got, out, err = world.run("image", "fetch", "fedora", "--arch", "x86_64")
    assert got == code, err
    assert said in err
    assert out == ""
    assert world.stored() == []


def test_local_file_without_checksum_is_refused_with_its_own(world):
    code, _, err = world.run("image", "fetch", str(world.disk), "--arch", "x86_64")
    assert code == UNVERIFIED
    assert world.sha256 in err and "--sha256" in err and "--unverified" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("world", [{"size": 4 * MIB, "faults": {"image": "slow"}}], indirect=True)
def test_signal_ends_a_download_and_the_next_fetch_goes_on(world, number):
    process = world.start("image", "fetch", "fedora", "--arch", "x86_64", "--json")
    with process:
        for line in process.stdout:
            if json.loads(line).get("done_bytes"):
                break
        assert world.stored() != []
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 1
    assert world.stored() == [f"{world.sha256}.partial", f"{world.sha256}.resume"]
    world.fedora.faults.clear()
    assert world.run("image", "fetch", "fedora", "--arch", "x86_64")[0] == 0
    assert len(world.fedora.ranges) == 1 and not world.fedora.ranges[0].startswith("bytes=0-")
    assert world.stored() == [f"sha256-{world.sha256}.json", f"sha256-{world.sha256}.qcow2"]


@pytest.mark.parametrize("world", [{"size": 2 * MIB, "faults": {"image": "slow"}}], indirect=True)
def test_ten_fetches_of_one_image_are_one_download(world):
    processes = [world.start("image", "fetch", "fedora", "--arch", "x86_64") for _ in range(10)]
    for process in processes:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert world.downloads() == 1
    assert world.stored() == [f"sha256-{world.sha256}.json", f"sha256-{world.sha256}.qcow2"]


@pytest.mark.parametrize("world", [{"size": 4 * MIB, "faults": {"image": "slow"}}], indirect=True)
def test_killing_the_one_that_downloads_harms_no_other(world):
    first = world.start("image", "fetch", "fedora", "--arch", "x86_64", "--json")
    with first:
        for line in first.stdout:
            if json.loads(line).get("done_bytes", 0) > MIB:
                break
        others = [world.start("image", "fetch", "fedora", "--arch", "x86_64") for _ in range(4)]
        first.kill()
    for process in others:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert world.stored() == [f"sha256-{world.sha256}.json", f"sha256-{world.sha256}.qcow2"]


def test_no_process_or_folder_of_gnupg_is_left_over(world):
    temporary = world.folder / "tmp"
    of_a_killed_fetch = temporary / "piagent-gpg-killed"
    of_a_killed_fetch.mkdir(parents=True)
    (of_a_killed_fetch / "trustdb.gpg").write_bytes(b"")
    os.utime(of_a_killed_fetch, (1000000, 1000000))
    world.env["TMPDIR"] = str(temporary)
    assert world.run("image", "fetch", "fedora", "--arch", "x86_64")[0] == 0
    assert list(temporary.iterdir()) == []
    assert not any(str(temporary) in command for command in commands_running())


def commands_running():
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_text(errors="replace")
        except OSError:
            pass  # it ended meanwhile


@pytest.mark.parametrize("faults, where", [
    ({"front": "503"}, "/mirror/"),
    ({"front": "404", "archive": "404"}, "/mirror/"),
    ({"front": "500", "archive": "404", "image": "wrong"}, "/mirror2/"),
    ({"image": "truncate", "archive": "404"}, "/mirror2/"),
])
def test_another_server_is_asked_where_one_fails(world, faults, where):
    world.fedora.faults.update(faults)
    code, _, err = world.run("image", "fetch", "fedora", "--arch", "x86_64")
    assert code == 0, err
    assert where in world.fedora.requests[-1]
    source = json.loads((world.images / f"sha256-{world.sha256}.json").read_text())["source"]
    assert where in source


def test_release_that_the_index_has_in_the_archive_comes_from_the_archive(world):
    old = Image("x86_64", str(world.disk), release="38", ended=True, indexed=True)
    with FedoraServer([*world.fedora.images, old]) as fedora:
        world.env.update(fedora.env)
        code, _, err = world.run("image", "fetch", "fedora:38", "--arch", "x86_64")
        assert code == 0, err
        asked = [path for path in fedora.requests if "/38/" in path]
        assert asked and all(path.startswith("/archive/") for path in asked), asked


@pytest.fixture
def site(tmp_path):
    """A user, and a server of one file that anyone may change."""
    world = World(tmp_path)
    disks = [world.disk.read_bytes(), make_disk(tmp_path / "other.qcow2", 2 * MIB).read_bytes()]
    with FaultServer(disks[0]) as server:
        world.server, world.disks = server, disks
        yield world
    world.run("agent", "stop")


def fetch_unverified(world, ref=None):
    """Fetches the URL (or ref). Returns the stored bytes and the notes."""
    code, out, err = world.run("image", "fetch", ref or world.server.url, "--unverified", "--arch", "x86_64", "--json")
    assert code == 0, out + err
    image = json.loads(out.splitlines()[-1])["image"]
    return pathlib.Path(image["path"]).read_bytes(), image.get("note", "")


@pytest.mark.parametrize("validators", [('"one"', None), (None, "Sat, 28 Nov 2026 10:00:00 GMT")])
def test_unverified_url_is_asked_each_time_and_fetched_again_where_it_has_changed(site, validators):
    site.server.etag, site.server.last_modified = validators
    assert fetch_unverified(site) == (site.disks[0], "")
    assert fetch_unverified(site) == (site.disks[0], "")
    assert site.server.conditions == [validators[0] or validators[1]] and len(site.server.requests) == 2
    # Other content, then the first one again.
    for i, disk in enumerate((site.disks[1], site.disks[0])):
        site.server.data = disk
        site.server.etag, site.server.last_modified = (v and v.replace("one", f"more-{i}").replace("10:", f"1{i + 1}:") for v in validators)
        got, said = fetch_unverified(site)
        assert got == disk and "serves another image than before" in said
        assert fetch_unverified(site) == (disk, "")
        assert site.server.conditions[-1] == (site.server.etag or site.server.last_modified)
    assert len(site.stored()) == 4


def test_unverified_url_without_validators_is_fetched_each_time(site):
    site.server.etag = None
    for _ in range(2):
        assert fetch_unverified(site) == (site.disks[0], "")
    site.server.data = site.disks[1]
    got, said = fetch_unverified(site)
    assert got == site.disks[1] and "serves another image than before" in said
    assert len(site.server.requests) == 3 and len(site.stored()) == 4


@pytest.mark.parametrize("fault, said", [("404", "HTTP 404"), ("500", "HTTP 500"), ("gone", "check the network")])
def test_unverified_url_that_cannot_be_asked_is_used_as_it_is_here_and_that_is_said(site, fault, said):
    fetch_unverified(site)
    site.server.fault = fault
    site.server.etag = '"other"'
    if fault == "gone":
        site.server.__exit__()
    got, told = fetch_unverified(site)
    assert got == site.disks[0] and "using the image in the store" in told and said in told


def test_verified_image_stays_verified_when_its_bytes_come_unverified(site):
    assert site.run("image", "fetch", str(site.disk), "--sha256", site.sha256)[0] == 0
    assert fetch_unverified(site) == (site.disks[0], "")
    image, = json.loads(site.run("image", "ls", "--json")[1])["images"]
    assert image["verified"] and image["checksum_source"] == "user"


def test_unverified_url_whose_bytes_came_from_elsewhere_before_is_downloaded_once(site):
    urls = [site.server.url + query for query in ("?a", "?b")]
    fetch_unverified(site, site.disk)
    for url in urls:
        for _ in range(2):
            assert fetch_unverified(site, url) == (site.disks[0], "")
        image, = json.loads(site.run("image", "ls", "--json")[1])["images"]
        assert image["source"] == url and image["name"] == "disk.qcow2"
    assert len(site.server.requests) == 4 and site.server.conditions == ['"one"'] * 2
    # A change is told of the URL that was asked, also when the new bytes came from a file.
    assert site.run("image", "fetch", site.folder / "other.qcow2", "--sha256", hashlib.sha256(site.disks[1]).hexdigest())[0] == 0
    site.server.data, site.server.etag = site.disks[1], '"two"'
    got, said = fetch_unverified(site, urls[1])
    assert got == site.disks[1] and said.startswith(f"{urls[1]} serves another image than before")


def instance_of(world, name, sha256):
    """An instance as the agent leaves it, as far as images are concerned. Returns its folder."""
    folder = world.folder / "DATA/piagent/instances" / name
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps({"spec": {"name": name, "image": {"sha256": sha256}}}))
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", world.images / f"sha256-{sha256}.qcow2",
                    folder / "disk.qcow2"], check=True)
    return folder


@pytest.fixture
def fetched(world):
    assert world.run("image", "fetch", "fedora", "--arch", "x86_64")[0] == 0
    world.file = world.images / f"sha256-{world.sha256}.qcow2"
    return world


def test_ls_tells_trust_and_who_uses_an_image(fetched):
    instance_of(fetched, "web", fetched.sha256)
    assert json.loads(fetched.run("image", "ls", "--json")[1])["images"][0]["used_by"] == ["web"]
    heads, row = fetched.run("image", "ls")[1].splitlines()
    assert heads.split() == ["NAME", "ARCH", "RELEASE", "SIZE", "AGE", "TRUST", "USED", "BY", "SHA256"]
    assert " signed " in row and " web " in row and fetched.sha256[:12] in row


def test_rm_refuses_an_image_in_use_and_removes_it_afterwards(fetched):
    folder = instance_of(fetched, "web", fetched.sha256)
    code, _, err = fetched.run("image", "rm", fetched.sha256[:8])
    assert code == CONFLICT and "is used by web" in err
    assert fetched.file.exists()
    shutil.rmtree(folder)
    assert fetched.run("image", "rm", fetched.sha256[:8])[0] == 0
    assert fetched.stored() == []
    assert fetched.run("image", "rm", fetched.sha256[:8])[0] == NOT_FOUND


def test_damaged_record_hinders_no_command_and_the_disk_tells_the_image(fetched):
    (instance_of(fetched, "web", fetched.sha256) / "record.json").write_text("{")
    code, out, err = fetched.run("image", "ls", "--json")
    assert (code, err) == (0, "") and json.loads(out)["images"][0]["used_by"] == ["web"]
    assert fetched.run("image", "verify")[0] == 0
    code, out, _ = fetched.run("image", "prune")
    assert code == 0 and out == "0 B freed\n"
    assert fetched.run("image", "rm", fetched.sha256)[0] == CONFLICT
    assert fetched.file.exists()


def test_nothing_is_removed_while_an_instances_image_is_not_known(fetched):
    folder = instance_of(fetched, "web", fetched.sha256)
    for name in ("record.json", "disk.qcow2"):
        (folder / name).write_text("{")
    for command in (["rm", fetched.sha256], ["prune"], ["prune", "--dry-run"]):
        code, _, err = fetched.run("image", *command)
        assert code == FAILED and "which image web uses" in err
    code, _, err = fetched.run("image", "ls")
    assert code == 0 and "which image web uses" in err
    assert fetched.run("image", "verify")[0] == 0
    assert fetched.file.exists()


def test_image_that_a_creation_has_fetched_is_kept_before_any_record_names_it(fetched):
    assert fetched.run("ps")[0] == 0  # an agent that starts now would take the folder for a creation that was broken off
    folder = fetched.folder / "DATA/piagent/instances/web"
    folder.mkdir(parents=True)
    request = {"image": "fedora", "arch": "x86_64", "unverified": False, "allow_unsigned": False, "folder": str(folder)}
    made = subprocess.run([PIAGENT, "worker", "prepare"], input=json.dumps(request), env=fetched.env, text=True, check=False, stdout=subprocess.PIPE)
    assert made.returncode == NOT_FOUND and "record.json" in made.stdout, made  # it has come as far as the disk
    assert json.loads(fetched.run("image", "ls", "--json")[1])["images"][0]["used_by"] == ["web"]
    assert fetched.run("image", "prune")[:2] == (0, "0 B freed\n")
    assert fetched.run("image", "rm", fetched.sha256)[0] == CONFLICT
    assert fetched.file.exists()
    folder.rmdir()  # the creation was undone
    assert fetched.run("image", "prune")[0] == 0
    assert fetched.stored() == []


def test_who_uses_an_image_is_asked_of_the_agent_which_is_started_for_it(fetched):
    assert fetched.run("agent", "status")[0] == AGENT
    assert fetched.run("image", "verify")[0] == 0
    assert fetched.run("agent", "status")[0] == AGENT
    assert fetched.run("image", "rm", fetched.sha256)[0] == 0
    assert fetched.run("agent", "status")[0] == 0


def test_prune_removes_what_is_unused_and_old_and_says_what_it_freed(fetched):
    (fetched.images / "0123.partial").write_bytes(b"x" * 4096)
    kept = fetched.stored()
    code, out, _ = fetched.run("image", "prune", "--dry-run")
    assert code == 0 and "would be freed" in out and "Fedora-Cloud-Base-Generic-44" in out
    assert fetched.stored() == kept
    assert fetched.run("image", "prune", "--older-than", "1h")[0] == 0
    assert fetched.file.exists()
    folder = instance_of(fetched, "web", fetched.sha256)
    assert fetched.run("image", "prune")[0] == 0
    assert fetched.file.exists()
    shutil.rmtree(folder)
    code, out, _ = fetched.run("image", "prune")
    assert code == 0 and out.splitlines()[-1] == "1 MiB freed"
    assert fetched.stored() == []


def test_unfinished_downloads_are_told_before_they_are_removed_and_kept_while_they_are_young(fetched):
    partial, resume = fetched.images / f"{'1' * 64}.partial", fetched.images / f"{'1' * 64}.resume"
    partial.write_bytes(b"x" * 8192)
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    resume.write_text(json.dumps({"url": "http://127.0.0.1/x", "etag": '"1"', "size_bytes": 9000, "done_bytes": 8192,
                                  "boot_id": boot_id}))
    assert fetched.run("image", "prune", "--older-than", "1h")[1].splitlines()[-1] == "0 B freed"
    instance_of(fetched, "web", fetched.sha256)
    assert fetched.run("image", "prune", "--dry-run")[1].splitlines()[-1] == "8 KiB would be freed"
    assert partial.exists() and resume.exists()
    assert fetched.run("image", "prune")[1].splitlines()[-1] == "8 KiB freed"
    assert not partial.exists() and not resume.exists()


def test_damaged_image_of_an_instance_is_named_kept_and_replaced_by_a_fetch(fetched):
    folder = instance_of(fetched, "web", fetched.sha256)
    fetched.file.chmod(0o644)
    os.truncate(fetched.file, 5)
    code, _, err = fetched.run("image", "verify")
    assert code == UNVERIFIED and fetched.file.name in err
    assert fetched.run("image", "prune")[0] == 0
    assert fetched.file.exists()
    assert fetched.run("image", "fetch", "fedora", "--arch", "x86_64")[0] == 0
    assert fetched.file.read_bytes() == fetched.disk.read_bytes()
    os.truncate(fetched.file, 5)
    shutil.rmtree(folder)
    code, out, _ = fetched.run("image", "prune")
    assert code == 0 and f"{fetched.file.name}  damaged" in out
    assert fetched.stored() == []


@pytest.mark.parametrize("spoil, said", [(pathlib.Path.mkdir, ""), (lambda path: path.symlink_to(path), "Too many levels of symbolic links")])
def test_an_image_whose_provenance_cannot_be_read_hinders_no_other(fetched, spoil, said):
    other = make_disk(fetched.folder / "other.qcow2", 2 * MIB)
    assert fetched.run("image", "fetch", other, "--unverified", "--arch", "x86_64")[0] == 0
    provenance = fetched.images / f"sha256-{fetched.sha256}.json"
    provenance.unlink()
    spoil(provenance)
    code, out, err = fetched.run("image", "ls", "--json")
    assert code == 0 and [image["name"] for image in json.loads(out)["images"]] == ["other.qcow2"], err
    code, out, err = fetched.run("image", "verify")
    assert code == (FAILED if said else UNVERIFIED) and "good" in out and fetched.sha256 in err and said in err
    # A folder is never a provenance, so that image is damaged. A link may lead to a good provenance again.
    code, out, err = fetched.run("image", "prune")
    assert code == 0 and "other.qcow2" in out
    assert err == (f"note: {fetched.images}: {provenance.name}: {said}: its image is left in the store\n" if said else "")
    assert fetched.stored() == ([provenance.name, fetched.file.name] if said else [])
    if said:
        provenance.unlink()
    assert fetched.run("image", "fetch", "fedora", "--arch", "x86_64")[0] == 0
    assert fetched.run("image", "rm", fetched.sha256)[0] == 0


def test_verify_tells_a_good_image_from_a_damaged_one(fetched):
    code, out, _ = fetched.run("image", "verify")
    assert code == 0 and out.strip().endswith("good")
    shown = json.loads(fetched.run("image", "verify", "--json")[1])
    assert [(image["sha256"], image["good"]) for image in shown] == [(fetched.sha256, True)]
    fetched.file.chmod(0o644)
    with fetched.file.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    code, _, err = fetched.run("image", "verify", fetched.sha256[:12])
    assert code == UNVERIFIED
    assert fetched.sha256 in err and "piagent image fetch fedora:44 --arch x86_64 replaces it" in err
    code, out, err = fetched.run("image", "verify", "--json")
    assert code == UNVERIFIED and [image["good"] for image in json.loads(out)] == [False]
    assert json.loads(out)[0]["error"] == json.loads(err)["error"]
    assert fetched.run("image", "fetch", "fedora", "--arch", "x86_64")[0] == 0
    assert fetched.run("image", "verify", fetched.sha256[:12])[0] == 0
