# SPDX-License-Identifier: MIT
"""User-data that is wrong: told before the boot, by piagent and by this host's cloud-init, and after it by the guest."""

import concurrent.futures
import gzip
import json
import os
import random
import re
import subprocess
import urllib.request

import boot_sectors
import pexpect
import pytest
from piagent import PIAGENT, User, wait_for
from test_hostile_guest import Guest

USAGE, NOT_FOUND, UNVERIFIED = 2, 3, 5
BROKEN = "#cloud-config\nrunmcd:\n  - ls\npackages: vim\nhostname: a: b\n"
SLIPS = "#cloud-config\nrunmcd:\n  - ls\nlocale_configfile: 5\n"

# The output of cloud-init 22.4.2 for SLIPS, without the last note.
ANNOTATED = """#cloud-config
runmcd:\t\t# E1
  - ls\t\t# E2
locale_configfile: 5\t\t# E3

# Errors: -------------
# E1: said twice
# E2: 'ls' is not of type 'array'
# E3: 5 is not of type 'string'

"""


@pytest.fixture
def validate(tmp_path):
    """validate(text, option...), without a cloud-init unless a program is given in its place."""
    (tmp_path / "bin").mkdir()
    os.symlink("/usr/bin/timeout", tmp_path / "bin/timeout")

    def call(text, *options, cloud_init=None):
        if cloud_init:
            program = tmp_path / "bin/cloud-init"
            program.write_text(f"#!/bin/sh\n{cloud_init}\n")
            program.chmod(0o700)
        file = tmp_path / "file"
        file.write_text(text)
        return subprocess.run([PIAGENT, "validate", str(file), *options], capture_output=True, text=True, timeout=60, check=False,
                              env={**os.environ, "PATH": str(tmp_path / "bin")})

    return call


def test_every_finding_is_shown_with_its_line_and_what_to_write(validate, tmp_path):
    done = validate(BROKEN)
    file = tmp_path / "file"
    assert done.returncode == USAGE and not done.stderr
    assert done.stdout == f"""{file}:2:1: warning: runmcd: cloud-init knows no such key
     2 | runmcd:
       | ^
       = did you mean runcmd?
{file}:4:11: error: packages: text, but cloud-init wants a list
     4 | packages: vim
       |           ^
       = write each item on a line of its own, after '- '
{file}:5:12: error: not YAML: mapping values are not allowed in this context
     5 | hostname: a: b
       |            ^
       = text that holds ': ' needs quotes; or the line is indented too far
{file}: 2 errors, 1 warning
"""


def test_the_caret_stands_below_the_place_in_aligned_text(validate):
    assert "     2 | packages:           vim\n       |                     ^\n" in validate("#cloud-config\npackages:           vim  \n").stdout
    assert "     2 | hostname: web\n       |          ^\n" in validate("#cloud-config\nhostname:\tweb\n").stdout


def test_warnings_pass_unless_they_are_not_to(validate):
    assert validate(SLIPS).returncode == 0
    assert validate(SLIPS, "--strict").returncode == USAGE
    assert validate("#cloud-config\nruncmd: [ls]\n", "--strict").stdout.endswith(": a cloud-config, nothing wrong\n")


def test_json_tells_the_same(validate):
    done = validate(BROKEN, "--json")
    assert done.returncode == USAGE
    file, = json.loads(done.stdout)
    assert (file["errors"], file["warnings"]) == (2, 1)
    assert [(f["severity"], f["line"], f["path"]) for f in file["findings"]] == \
        [("warning", 2, "runmcd"), ("error", 4, "packages"), ("error", 5, "")]


def test_standard_input_and_a_file_that_is_not_there(tmp_path):
    done = subprocess.run([PIAGENT, "validate", "-"], input=BROKEN, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == USAGE and done.stdout.startswith("-:2:1: warning: runmcd")
    done = subprocess.run([PIAGENT, "validate", str(tmp_path / "gone")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == NOT_FOUND and "gone" in done.stderr


def test_a_dumb_terminal_gets_no_control_sequences(tmp_path):
    file = tmp_path / "user-data"
    file.write_text("#cloud-config\npackages: [nginx]\n")
    terminal = pexpect.spawn(PIAGENT, ["validate", str(file)], env={**os.environ, "TERM": "dumb"}, timeout=60, encoding="utf-8")
    terminal.expect(pexpect.EOF)
    assert "\x1b" not in terminal.before and str(file) in terminal.before.replace("\r\n", ""), terminal.before


def test_control_characters_of_a_file_reach_no_terminal(validate):
    shown = validate("#cloud-config\n\x1b]0;T\x07: [\n\"a\\u001b[2Jb\": 1\n").stdout
    assert "\x1b" not in shown and "\x07" not in shown
    assert "\x1b" not in validate('#cloud-config\n"a\\e[2Jb": 1\n').stdout


def test_a_files_name_that_no_terminal_and_no_json_can_hold_is_shown_as_it_can_be(tmp_path):
    file = os.fsencode(tmp_path) + b"/\x1b[31m\xff.yaml"
    with open(file, "w", encoding="ascii") as out:
        out.write(BROKEN)
    for option in ((), ("--json",)):
        done = subprocess.run([PIAGENT, "validate", file, *option], capture_output=True, timeout=60, check=False)
        assert done.returncode == USAGE and b"\x1b" not in done.stdout + done.stderr, done
        assert (tmp_path.name + "/?[31m?.yaml").encode() in done.stdout, done


def test_the_hosts_cloud_init_adds_what_piagent_does_not_know(validate, tmp_path):
    (tmp_path / "said").write_text(ANNOTATED)
    done = validate(SLIPS, "--json", cloud_init=f"/bin/cat {tmp_path}/said")
    findings = json.loads(done.stdout)[0]["findings"]
    assert [(f["line"], f["message"]) for f in findings] == [
        (2, "cloud-init knows no such key"),
        (3, "this host's cloud-init says: it is not of type 'array'"),
        (4, "a number, but cloud-init wants text")], findings
    assert done.returncode == 0 and {f["severity"] for f in findings} == {"warning"}


# The output of cloud-init 25.1.4, without the path. 22.4.2 prints 'is not valid yaml'.
REFUSED = """#cloud-config
runcmd: [ls]\\t\\t# E1

# Errors: -------------
# E1: File $2 is not valid YAML. while scanning for the next token
  in \\"<unicode string>\\", line 2, column 9:
found character '%' that cannot start any token
  in \\"<unicode string>\\", line 2, column 10:
"""


def test_what_the_hosts_cloud_init_cannot_read_is_an_error(validate):
    done = validate("#cloud-config\nruncmd: [ls]\n", "--json", cloud_init=f'while [ "$1" != --config-file ]; do shift; done; printf "%b" "{REFUSED}"')
    finding, = json.loads(done.stdout)[0]["findings"]
    assert (done.returncode, finding["severity"], finding["line"]) == (USAGE, "error", 2), done
    assert finding["message"] == "this host's cloud-init says: the file is not valid YAML. " \
        "while scanning for the next token found character '%' that cannot start any token"


USERS = """#cloud-config
users:
- default
- name: web
  plain_text_passwd: hunter2
  gecos: 5
chpasswd: {list: "web:hunter2"}
password: !hunter2
runcmd: [echo hunter2 | passwd --stdin web, 5]
bootcmd: [[curl, "https://me:hunter2@example.org/", 5]]
write_files: [{path: /a, content: hunter2, owner: [a]}]
"""

# Problems as jsonschema words them: each begins with the value that it is about, and may quote any other.
PROBLEMS = ["{'name': 'web', 'plain_text_passwd': 'hunter2'} is not valid under any of the given schemas",
            "['hunter2 is not of type x', 5] is too long", "'web:hunter2' does not match '^.+:.+:$'", "'hunter2' is not one of ['a', 'b']",
            "Additional properties are not allowed ('hunter2' was unexpected)", "{'not': 1} is not allowed for 'hunter2'", "hunter2"]


@pytest.mark.parametrize("text", [USERS, *(USERS.replace(old, new) for old, new in (
    ("!hunter2", "[hunter2"), ("passwd: hunter2", "passwd: |\n    hunter2\n   \t hunter2"), ("passwd: hunter2", "passwd:\n    - hunter2: x\n   - y")))])
def test_no_password_is_shown_by_whom_it_is_found(validate, text):
    notes = "".join(f"# E{i}: {problem}\n" for i, problem in enumerate(PROBLEMS, 1))
    marks = text.replace("\n", "\t\t# " + ",".join(f"E{i}" for i in range(1, 8)) + "\n", 1)
    for said in (f"{marks}\n# Errors: -------------\n{notes}", "Cloud config schema errors: " + ", ".join(f"users.0: {p}" for p in PROBLEMS), ""):
        for part in (text, text.replace("password: !hunter2\n", "")):
            done = validate(part, cloud_init=f"[ $2 = --annotate ] || echo\n/bin/cat <<'END'\n{said}\nEND\nexit 1")
            assert "hunter2" not in done.stdout + done.stderr, done.stdout


def test_where_annotations_break_down_the_plain_list_of_problems_is_taken(validate):
    words = "Error:\nCloud config schema errors: users.1.gecos: 5 is not of type 'string', runcmd: [] is too short"
    done = validate("#cloud-config\nruncmd: [ls]\n", "--json", cloud_init=f'[ $2 != --annotate ] || {{ echo Traceback; exit 1; }}\necho "{words}" >&2; exit 1')
    findings = json.loads(done.stdout)[0]["findings"]
    assert [(f["path"], f["severity"], f["message"]) for f in findings] == [
        ("users[1].gecos", "warning", "this host's cloud-init says: it is not of type 'string'"),
        ("runcmd", "warning", "this host's cloud-init says: an empty list")], findings


@pytest.mark.parametrize("broken", ["exit 1", "echo Traceback; exit 1", "kill -9 $$", "echo '# Errors: -------------'"])
def test_a_broken_cloud_init_of_the_host_is_in_nobodys_way(validate, broken):
    done = validate("#cloud-config\nruncmd: [ls]\n", cloud_init=broken)
    assert done.returncode == 0 and "nothing wrong" in done.stdout, done


@pytest.fixture
def user():
    with User() as user:
        yield user


def test_run_refuses_errors_and_goes_on_after_warnings(user):
    disk, file = boot_sectors.deaf(user.home), user.home / "user-data"
    words = ["run", "box", "--image", str(disk), "--image-unverified", "--user-data", str(file), "-d"]
    file.write_text(BROKEN)
    done = user.call(*words, timeout=60)
    assert done.returncode == USAGE and "line 4, column 11: packages: " in done.stderr
    assert "nothing was made: piagent validate shows this and 1 more in the file" in done.stderr
    assert user.call("status", "box").returncode == NOT_FOUND
    # An image that nobody vouches for is the next thing that is refused.
    words.remove("--image-unverified")
    done = user.call(*words, "--user-data-unchecked", timeout=60)
    assert done.returncode == UNVERIFIED and "error: line 4, column 11: packages: " in done.stderr, done.stderr
    file.write_text(SLIPS)
    done = user.call(*words, timeout=60)
    assert done.returncode == UNVERIFIED and "warning: line 2, column 1: runmcd: " in done.stderr, done.stderr


def seed_of(user, name, document="user-data"):
    guest = Guest(user, name)
    with urllib.request.urlopen(f"http://127.0.0.1:{guest.port}/{guest.key}/{document}", timeout=60) as answer:
        return answer.read()


def test_what_the_guest_reports_of_user_data_has_no_values_of_it(user):
    """The loop of the script in the vendor-data that words the reports, run on what schema and YAML reader say."""
    user.boot("box", boot_sectors.deaf(user.home), user_data="#cloud-config\n{}\n")
    _, archive = seed_of(user, "box", "vendor-data").decode().split("\n", 1)
    script = next(part["content"] for part in json.loads(archive) if part["type"] == "text/x-shellscript")
    loop = script[script.index("for text in"):script.index("    report =")]
    quoted = [f"users.0.passwd: {problem}" for problem in PROBLEMS if problem[0] in "'[{"]
    quoted += ["Failed loading yaml blob. Invalid format at line 2: \"found undefined alias 'hunter2'", "Failed loading yaml blob: expected ',' or ']', but got '<scalar>'"]
    said = []
    exec(loop + "    told.append(text)\n", {"said": quoted, "told": said, "re": re})
    assert len(said) == len(quoted) <= 8 and not any("hunter2" in text for text in said), said
    assert "users.0.passwd: it is too long" in said and said[-1] == quoted[-1], said


# Random, of the kind that is not looked into; and what JSON would make six times as long.
ANY_BYTES = {"small": gzip.compress(b"#cloud-config\nruncmd: [ls]\n"), "random": b"\x1f\x8b" + random.Random(1).randbytes((1 << 20) - 2),
             "controls": b"#!/bin/sh\n" + b"\x01" * ((1 << 20) - 10)}


@pytest.mark.parametrize("name", ANY_BYTES)
def test_user_data_of_any_bytes_reaches_the_guest(user, name):
    file = user.home / "user-data"
    file.write_bytes(ANY_BYTES[name])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        run = pool.submit(user.call, "run", "box", "--image", str(boot_sectors.deaf(user.home)), "--image-unverified", "--user-data", str(file), "-d",
                          "--accel", "tcg", "--memory", "256M", timeout=120)
        wait_for("it runs", lambda: run.done() or (user.call("status", "box").returncode == 0 and user.state("box") == "running"), 60)
        assert not run.done(), run.result()
        assert seed_of(user, "box") == ANY_BYTES[name]
        user.do("kill", "box")
        assert "user-data" not in run.result().stderr


def test_user_data_that_the_api_cannot_take_is_refused(user):
    user.do("ps", "-a")
    disk = str(boot_sectors.deaf(user.home))
    for request, words in (({"user_data_base64": "YQ"}, "not base64"), ({"user_data_base64": "", "user_data": ""}, "exclude each other"),
                           ({"user_data_base64": ""}, "it is empty"), ({"user_data_base64": "I2Nsb3VkLWNvbmZpZwphOiBbCg=="}, "not YAML")):
        status, answer = user.create("more", image=disk, image_unverified=True, **request)
        assert status == 400 and words in answer["error"]["message"], answer


def test_what_the_guest_finds_wrong_is_shown_and_kept(user):
    """The reports are those that the script in the vendor-data posts, from guests with cloud-init 22.4.2 and 25.1.4."""
    problems = ['Failed loading yaml blob. Invalid format at line 2 column 11: "while parsing a flow sequence',
                "Failed at merging in cloud config part from part-001: empty cloud config"]
    user.boot("box", boot_sectors.deaf(user.home), user_data=BROKEN, user_data_unchecked=True)
    guest = Guest(user, "box")
    for problem in [*problems, problems[0], "\x1b[2Jx"]:
        guest.report("user-data/check", "WARN", problem)
    wait_for("they are heard", lambda: len(user.status("box")["user_data_problems"]) >= 3, 30)
    assert user.status("box")["user_data_problems"] == [*problems, "?[2Jx"]
    assert f"the guest's cloud-init says of its user-data: {problems[0]}" in [e["text"] for e in user.events("box") if e["kind"] == "note"]
    assert problems[1] in user.do("status", "box")
    for i in range(20):
        guest.report("user-data/check", "WARN", f"problem {i}")
    guest.report("modules-final", "SUCCESS")
    wait_for("it is ready", lambda: user.status("box")["state"] == "ready", 30)
    instance = user.status("box")
    assert len(instance["user_data_problems"]) == 8 and instance["cloud_init"] == "degraded", instance
    assert not instance["failed_modules"]
