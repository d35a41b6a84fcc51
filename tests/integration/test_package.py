# SPDX-License-Identifier: MIT
"""The packages that scripts/package makes: what is in them, what they depend on, and that the program in them runs."""

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from piagent import HOST, PIAGENT, SOURCE, User

pytestmark = pytest.mark.skipif(not shutil.which("rpmbuild"), reason="rpmbuild is not installed: scripts/packages package")
KINDS = ["deb", "rpm"] if shutil.which("dpkg-shlibdeps") else ["rpm"]
UNITS = ["/usr/lib/systemd/user/piagent.service", "/usr/lib/systemd/user/piagent.socket"]
COMPLETIONS = ["/usr/share/bash-completion/completions/piagent", "/usr/share/fish/vendor_completions.d/piagent.fish"]


def output(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True, **more).stdout


def make(*args, build=os.environ["PIAGENT_BUILD"], **environment):
    """The finished scripts/package, run by someone whose umask is tight."""
    return subprocess.run([f"{SOURCE}/scripts/package", *args], env={**os.environ, "PIAGENT_BUILD_ROOT": str(build), **environment},
                          text=True, capture_output=True, timeout=500, check=False, umask=0o077)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder that does not exist and has a blank in its name, and what was printed."""
    folder = tmp_path_factory.mktemp("packages") / "of piagent"
    done = make(*KINDS, "--devel", "--output", str(folder))
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture(scope="module")
def deb(made):
    if "deb" not in KINDS:
        pytest.skip("cannot here: a .deb can be made on Debian only")
    return next(made[0].glob("piagent_*.deb"))


@pytest.fixture(scope="module")
def rpm(made):
    return next(made[0].glob("piagent-[0-9]*.rpm"))


@pytest.fixture(scope="module")
def devel(made):
    return {package.suffix[1:]: package for package in (*made[0].glob("piagent-dev_*.deb"), *made[0].glob("piagent-devel-*.rpm"))}


@pytest.fixture(scope="module")
def unpacked(deb, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    output("dpkg-deb", "--raw-extract", deb, root)
    return root


def field(deb, name):
    return output("dpkg-deb", "--field", deb, name).strip()


def relations(deb, name):
    return {relation.split()[0] for relation in field(deb, name).split(", ")}


def group(distribution, *groups):
    return set(output(f"{SOURCE}/scripts/packages", *groups, "--names", distribution).split())


def asked(rpm, *query):
    return output("rpm", "--query", "--package", *query, rpm).splitlines()


def version():
    return output(PIAGENT, "--version").split()[1]


def man_pages(folder):
    output(PIAGENT, "__pages", str(folder))
    return {f"/usr/{page.relative_to(folder)}.gz" for page in (folder / "share/man").rglob("*.?")}


def test_output_is_a_line_a_package_and_nothing_else_is_left(made):
    folder, done = made
    lines = done.stdout.splitlines()
    assert sorted(lines) == sorted(str(path) for path in folder.iterdir()) and len(lines) == 2 * len(KINDS)
    assert done.stderr.count("\n") == 1, done.stderr


def test_the_same_commit_gives_the_same_packages(made, tmp_path):
    assert make(*KINDS, "--devel", "--output", str(tmp_path)).returncode == 0
    for package in made[0].iterdir():
        assert package.read_bytes() == (tmp_path / package.name).read_bytes(), package.name


def test_without_devel_there_is_the_program_alone(made, tmp_path):
    done = make(KINDS[0], "--output", str(tmp_path))
    assert done.returncode == 0 and done.stdout.count("\n") == 1, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [path.name for path in made[0].glob(f"*.{KINDS[0]}") if "dev" not in path.name]


def test_files_of_the_libraries(devel):
    assert set(devel) == set(KINDS)
    files = {"rpm": lambda: asked(devel["rpm"], "--list"),
             "deb": lambda: [line.split()[-1][1:] for line in output("dpkg-deb", "--contents", devel["deb"]).splitlines()]}
    for kind in KINDS:
        packed = {path for path in files[kind]() if path.endswith((".h", ".a", ".pc"))}
        assert {pathlib.Path(path).name for path in packed if not path.endswith(".h")} == {"libqmp.a", "libimds.a", "libqmp.pc", "libimds.pc"}
        assert {path for path in packed if path.endswith(".h")} == {
            f"/usr/include/{path.parent.name}/{path.name}" for library in ("qmp", "imds")
            for path in pathlib.Path(SOURCE, library).glob("*.h")} - {
            "/usr/include/qmp/buffer.h", "/usr/include/qmp/message.h", "/usr/include/imds/route.h"}, kind


def test_the_packages_of_the_libraries_bring_what_their_headers_need(devel):
    if "deb" in devel:
        assert relations(devel["deb"], "Depends") == group("debian", "devel") == {"libjansson-dev", "libmicrohttpd-dev"}
    names = {name for name in asked(devel["rpm"], "--requires") if not name.startswith("rpmlib(")}
    assert names == group("fedora", "devel") == {"pkgconfig(jansson)", "pkgconfig(libmicrohttpd)"}


@pytest.mark.parametrize("args", [(), ("tar",), ("deb", "--frobnicate"), ("deb", "--output"), ("rpm", "--output", "/dev/null/x")])
def test_bad_input_is_one_line_and_exit_code_2(args):
    done = make(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"package: .+\n", done.stderr), done.stderr


def test_help_tells_all(tmp_path):
    done = make("--help", build=tmp_path / "build")
    assert (done.returncode, done.stderr) == (0, "") and "--output FOLDER" in done.stdout
    assert not (tmp_path / "build").exists()


def test_a_build_that_fails_names_its_log_and_leaves_nothing(tmp_path):
    done = make("rpm", "--output", str(tmp_path / "out"), build=tmp_path, CC="/bin/false")
    log = tmp_path / "package/package.log"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1] == f"package: cannot configure piagent: {log} tells why"
    assert "/bin/false" in log.read_text() and not list((tmp_path / "out").iterdir())


def test_a_tree_without_a_commit_is_one_line(tmp_path):
    shutil.copytree(f"{SOURCE}/scripts", tmp_path / "tree/scripts")
    done = subprocess.run([tmp_path / "tree/scripts/package", "rpm"], env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path)},
                          text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.count("\n") == 1 and "git log -1" in done.stderr, done.stderr


def test_control_fields_of_the_deb(deb):
    assert field(deb, "Package") == "piagent" and field(deb, "Version") == f"{version()}-1"
    assert field(deb, "Architecture") == output("dpkg", "--print-architecture").strip()
    assert re.fullmatch(r".+ <[^@ ]+@[^@ ]+>", field(deb, "Maintainer"))
    depends = relations(deb, "Depends")
    assert {"qemu-utils", "openssh-client", "gpg"} | group("debian", "run-needed") <= depends
    assert {"libc6", "libjansson4", "libmicrohttpd12", "libslirp0", "libuv1"} <= depends
    assert not any(name.endswith("-dev") for name in depends)
    assert relations(deb, "Recommends") == group("debian", "run-recommended")
    assert relations(deb, "Suggests") == group("debian", "run-suggested")


@pytest.mark.parametrize("distribution", ["debian", "fedora"])
def test_the_group_run_is_needed_recommended_and_suggested(distribution):
    parts = [group(distribution, f"run-{part}") for part in ("needed", "recommended", "suggested")]
    assert group(distribution, "run") == set.union(*parts) and len(set.union(*parts)) == sum(map(len, parts))


def test_files_of_the_deb(deb, tmp_path):
    lines = [line.split(None, 5) for line in output("dpkg-deb", "--contents", deb).splitlines()]
    assert {line[1] for line in lines} == {"root/root"} and len({(line[3], line[4]) for line in lines}) == 1  # the commit's date
    modes = {line[5].removeprefix(".").rstrip("/"): line[0] for line in lines}
    documents = [f"/usr/share/doc/piagent/{name}" for name in ("README.md", "NEWS.md", "changelog.Debian.gz", "copyright")]
    files = {"/usr/bin/piagent", *UNITS, *COMPLETIONS, "/usr/share/zsh/vendor-completions/_piagent", *documents, *man_pages(tmp_path)}
    assert {path for path, mode in modes.items() if mode[0] != "d"} == files
    assert modes.pop("/usr/bin/piagent") == "-rwxr-xr-x"
    assert set(modes.values()) == {"drwxr-xr-x", "-rw-r--r--"}


def test_the_deb_has_no_scripts_and_its_sums_are_right(unpacked):
    assert {path.name for path in (unpacked / "DEBIAN").iterdir()} == {"control", "md5sums"}
    assert output("md5sum", "--check", "DEBIAN/md5sums", cwd=unpacked).count(": OK\n") == sum(
        path.is_file() for path in (unpacked / "usr").rglob("*"))


def test_copyright_and_changelog_of_the_deb(unpacked):
    documents = unpacked / "usr/share/doc/piagent"
    assert (documents / "copyright").read_bytes() == pathlib.Path(SOURCE, "LICENSE").read_bytes()
    changelog = gzip.decompress((documents / "changelog.Debian.gz").read_bytes()).decode()
    assert changelog.startswith(f"piagent ({version()}-1) ")
    assert output("git", "-C", SOURCE, "rev-parse", "HEAD").strip() in changelog


def test_the_unpacked_program_runs(unpacked):
    program = str(unpacked / "usr/bin/piagent")
    assert output(program, "--version") == f"piagent {version()}\n"
    with User() as user:
        done = subprocess.run([program, "doctor", "--offline", "--json"], env=user.env, stdout=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode in (0, HOST)
        assert {"qemu-x86_64", "qemu-aarch64", "uefi-aarch64", "ssh"} <= {check["id"] for check in json.loads(done.stdout)["checks"]}


def test_the_units_start_the_installed_program(unpacked):
    for unit in UNITS:
        commands = re.findall(r"^Exec\w+=-?(.+)", (unpacked / unit[1:]).read_text(), re.MULTILINE)
        assert commands and all(command.startswith("/usr/bin/piagent agent") for command in commands), unit


def test_lintian_has_no_complaints(deb, devel):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not installed: scripts/packages test")
    # A package of Debian's own closes the bug that asks for it.
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", "--suppress-tags", "initial-upload-closes-no-bugs", deb, devel["deb"]],
                          text=True, capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_rpm_names_packages_as_fedora_does(rpm):
    names = {name.split()[0] for name in asked(rpm, "--requires") if not name.startswith(("rpmlib(", "rtld("))}
    libraries = {name for name in names if ".so." in name}
    assert names - libraries == group("fedora", "run-needed") >= {"qemu-img", "openssh-clients", "gnupg2"}
    assert any(name.startswith("libjansson.so.4") for name in libraries)
    assert set(asked(rpm, "--recommends")) == group("fedora", "run-recommended")
    assert set(asked(rpm, "--suggests")) == group("fedora", "run-suggested")
    assert not names & (group("debian", "run") - group("fedora", "run"))


def test_the_rpm_has_no_scriptlets_or_triggers(rpm):
    assert asked(rpm, "--scripts") == asked(rpm, "--triggers") == asked(rpm, "--filetriggers") == []


def test_tags_and_files_of_the_rpm(rpm, tmp_path):
    tags = asked(rpm, "--queryformat", r"%{NAME} %{VERSION} %{LICENSE} %{ARCH}\n%{CHANGELOGTEXT}\n")
    assert tags[0] == f"piagent {version()} MIT {os.uname().machine}" and tags[1].startswith("- Made from commit ")
    files = [line.split("|") for line in asked(rpm, "--queryformat", r"[%{FILENAMES}|%{FILEMODES:perms}|%{FILEUSERNAME}|%{FILEFLAGS:fflags}\n]")]
    assert {user for _, _, user, _ in files} == {"root"}
    modes = {path: mode for path, mode, _, _ in files}
    # A folder is the package's own only if no other package can have it.
    own = ["/usr/share/doc/piagent", "/usr/share/licenses/piagent"]
    assert {path for path, mode in modes.items() if mode[0] == "d"} == set(own)
    assert modes.keys() == {"/usr/bin/piagent", *UNITS, *COMPLETIONS, "/usr/share/zsh/site-functions/_piagent", *own, f"{own[0]}/README.md", f"{own[0]}/NEWS.md",
                            f"{own[1]}/LICENSE", *man_pages(tmp_path)}
    assert modes.pop("/usr/bin/piagent") == "-rwxr-xr-x" and set(modes.values()) == {"drwxr-xr-x", "-rw-r--r--"}
    assert [path for path, _, _, flags in files if "l" in flags] == [f"{own[1]}/LICENSE"]
