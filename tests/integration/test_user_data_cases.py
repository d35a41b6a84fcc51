# SPDX-License-Identifier: MIT
"""Files of tests/cases that a check of user-data gets wrong easily, each with what is right; and what cloud-init's own code says."""

import json
import os
import random
import subprocess
from pathlib import Path

import corpus
import pytest
import yaml
from piagent import PIAGENT, SOURCE

CASES = Path(SOURCE) / "tests/cases/cloud-init"
FACTS = Path(SOURCE) / "agent/seed"
ERROR, WARNING = "error", "warning"
EMPTY_LINE = "remove the empty line above '{}'"

# File, then None for no finding, or a finding: severity, line and words.
RIGHT = {
    "FE1-jinja-set-before-cloud-config.yaml": None,
    "FE1c-jinja-if-chooses-kind.yaml": None,
    "FE2-empty-line-above-archive.yaml": (WARNING, 2, EMPTY_LINE.format("#cloud-config-archive")),
    "FE2b-empty-line-above-jsonp.txt": (WARNING, 2, EMPTY_LINE.format("#cloud-config-jsonp")),
    "FE3-archive-comment-on-first-line.yaml": None,
    "HOST-cloud-init-22.4-annotate-crashes.yaml": (WARNING, 6, "users[0].bogus_key: cloud-init knows no such key"),
    "ME1-equals-sign-scalar.yaml": (ERROR, 3, "drops the whole file"),
    "ME1b-impossible-date.yaml": (ERROR, 4, "no such date"),
    "ME1c-impossible-time.yaml": (ERROR, 2, "no such date or time"),
    "ME1e-alias-of-list-as-key.yaml": (ERROR, 3, "a key must be plain text"),
    "ME1f-int-tag.yaml": (ERROR, 2, "'!!int'"),
    "ME1h-bad-base64-binary.yaml": (ERROR, 4, "'!!binary'"),
    "ME1i-impossible-date-in-apt.yaml": (ERROR, 3, "no such date"),
    "ME2-mime-comment-above-headers.txt": (ERROR, 1, "line 1 is not a MIME header"),
    "ME2c-mime-boundary-mismatch.txt": (ERROR, 1, "the MIME headers name does not occur"),
    "ME2d-mime-boundary-on-its-own-line.txt": (ERROR, 1, "write it on the line of the Content-Type"),
    "ME2e-prose-mentioning-mime-version.txt": (ERROR, 1, "line 1 is not a MIME header"),
    "ME3-chpasswd-user-without-password.yaml": (WARNING, 4, "no key 'password'"),
    "ME3b-yum-repo-without-url.yaml": (WARNING, 4, "no key 'baseurl', 'metalink' or 'mirrorlist'"),
    "ME3c-power_state-delay.yaml": (WARNING, 4, "power_state.delay"),
    "ME3e-rsyslog-config-without-content.yaml": (WARNING, 4, "no key 'content'"),
    "ME4-sexagesimal-in-list.yaml": (WARNING, 3, "22:22 in base 60, as 1342"),
    "MSG-empty-line-above-script.sh": (ERROR, 1, EMPTY_LINE.format("#!/bin/sh")),
    "MSG-home-suggests-name.yaml": (WARNING, 8, "did you mean homedir?"),
    "MSG-jinja-without-space.yaml": (ERROR, 1, "write '## template: jinja'"),
    "MSG-mime-without-version.txt": (ERROR, 1, "MIME-Version: 1.0 is missing"),
    "MSG-tab-after-dash.yaml": (ERROR, 3, "a tab"),
    "MSG-two-documents-first-empty.yaml": (ERROR, 3, "a second document starts"),
    "MSG-utf16.yaml": (ERROR, 1, "saved as UTF-16: save it as UTF-8"),
    "RUN-gzip-validated-but-run-refuses.gz": None,
    "RUN-latin1-script-validated-but-run-refuses.sh": (ERROR, 2, "not UTF-8"),
    "SEC-password-echoed-by-host-check.yaml": (WARNING, 7, "users[1].bogus_key"),
}


def check(*files, path="/nonexistent"):
    """The results of "validate --json" for the files, in their order."""
    done = subprocess.run([PIAGENT, "validate", "--json", *map(str, files)], capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, "PATH": path})
    assert done.returncode in (0, 2), done
    return json.loads(done.stdout)


def check_texts(folder, texts):
    files = []
    for i, text in enumerate(texts):
        files.append(folder / f"{i:03}")
        files[-1].write_text(text, encoding="utf-8")
    return [one for first in range(0, len(files), 64) for one in check(*files[first:first + 64])]


def test_every_case_has_a_right_answer():
    assert sorted(RIGHT) == sorted(file.name for file in CASES.iterdir())


@pytest.mark.parametrize("name", RIGHT)
def test_each_case_is_judged_rightly(name):
    found, = check(CASES / name)
    if not RIGHT[name]:
        assert not found["findings"], found
        return
    severity, line, words = RIGHT[name]
    assert any((f["severity"], f["line"]) == (severity, line) and words in f"{f['path']}: {f['message']}: {f['remedy']}" for f in found["findings"]), found
    assert bool(found["errors"]) == (severity == ERROR), found


def test_cloud_init_itself_judges_the_cases_alike():
    wrong, told, invalid = corpus.compare([str(file) for file in sorted(CASES.iterdir())], PIAGENT)
    assert not wrong and told == invalid


# Values of YAML that its reader takes for something, or nothing.
VALUES = """= << ~ yes Yes yEs 1_000 0x1f 0x_ 0b_ 0b12 0o17 017 089 1e3 1.5e+3 1.e+3 .5 ._5 .inf -.INF .nan 22:22 08:30 1:60 190:20:30.15 -1:30
2030-02-28 2030-02-29 2028-02-29 2030-13-01 2030-00-10 0000-01-01 2030-1-1 2030-01-01T00:00:00Z 2030-1-1t1:02:03 2030-01-01T24:00:00Z
2030-01-01T00:60:00Z 2030-01-01T00:00:60Z 2030-01-01T00:00:00+23:59 2030-01-01T00:00:00+24:00 2030-01-01T00:00:00.5-9 2030-01-01T1:2:3
!!int !!int=x !!int=0o9 !!int=-0b101 !!int=1_0 !!int=-_ !!int=1:60 !!float=1 !!float=1e3 !!float=x !!float=.INF !!float=0x1p3 !!float=1:2.5 !!bool=yEs
!!bool=maybe !!null=x !!str=x !!timestamp=2030-1-1 !!timestamp=x !!timestamp=2030-02-30 !!binary=YQ== !!binary=YQ= !!binary=YQ !!binary=Y=Q= !!binary=!!
!!binary=YWJj== !!python/name:x=x !x=x !!map=x !!seq=x !!set=x !!omap=x !!pairs=x !!yaml=x !!merge=x""".split()

DOCUMENTS = ["a: {value}\n", "a: [b, {value}]\n", "{value}: a\n"]

MAPPINGS = """x: &m {a: 1}\\ny: {<<: *m}
x: &m {a: 1}\\ny: {<<: [*m, {b: 1}]}
x: &m [a]\\ny: {<<: *m}
x: &m a\\ny: {<<: *m}
x: &m {a: 1}\\ny: {<<: [*m, a]}
y: {<<: }
y: {"<<": a}
y: {=: a}
x: &l [1]\\n*l : 2
x: &m {a: 1}\\n*m : 2
x: &s a\\n*s : 2
x: !!str {a: b}
x: !!int [a]
x: !!map []
x: !!set {a, b}
x: !!set [a]
x: !!seq {a: b}
x: !!omap [a: 1, b: 2]
x: !!omap [a]
x: !!omap {a: 1}
x: !!pairs [{a: 1, b: 2}]
x: ! {a: 1}
? {a: 1}\\n: b
? [a]\\n: b""".split("\n")


def pyyaml_takes(text):
    try:
        yaml.safe_load(text)
    except Exception:  # also what cloud-init lets through: AttributeError, KeyError
        return False
    return True


def test_what_pyyaml_makes_no_value_of_is_refused_and_nothing_else(tmp_path):
    texts = [document.format(value=value.replace("=", " ", 1) if value.startswith("!") else value) for value in VALUES for document in DOCUMENTS]
    texts += [line.replace("\\n", "\n") + "\n" for line in MAPPINGS]
    for text, found in zip(texts, check_texts(tmp_path, ["#cloud-config\n" + text for text in texts]), strict=True):
        assert bool(found["errors"]) != pyyaml_takes(text), (text, found)


def random_value(chance, depth=0):
    kind = chance.randrange(9 if depth < 3 else 6)
    if kind < 6:
        return [chance.choice(["a", "auto", "/dev/sda", "1G", "now"]), chance.randrange(-1, 99), True, None, 1.5, ""][kind]
    if kind < 8:
        return [random_value(chance, depth + 1) for _ in range(chance.randrange(3))]
    return {chance.choice("abc"): random_value(chance, depth + 1) for _ in range(chance.randrange(3))}


def random_config(chance, schema, definitions, depth=0):
    """A value that mostly fits the schema."""
    if chance.random() < 0.04:
        return random_value(chance)
    if "$ref" in schema:
        return random_config(chance, definitions[schema["$ref"].split("/")[-1]], definitions, depth)
    forms = schema.get("oneOf") or schema.get("anyOf")
    if forms and (chance.randrange(2) or not schema.get("properties")):
        return random_config(chance, {**{key: schema[key] for key in ("type", "properties", "items") if key in schema}, **chance.choice(forms)}, definitions, depth + 1)
    if "enum" in schema:
        return chance.choice(schema["enum"])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = chance.choice(kind) if isinstance(kind, list) else kind
    if kind == "array":
        return [random_config(chance, schema.get("items", {}), definitions, depth + 1) for _ in range(chance.choice([0, 1, 1, 1, 2, 2]))]
    if kind == "object":
        properties = schema.get("properties") or {"a": next(iter(schema.get("patternProperties", {"": {}}).values()))}
        keys = {*schema.get("required", [])[chance.randrange(20) == 0:], *chance.sample(sorted(properties), min(len(properties), chance.randrange(1, 4)))}
        return {key: random_config(chance, properties.get(key, {}), definitions, depth + 1) for key in sorted(keys)}
    return {"string": "text", "integer": 7, "number": 7, "boolean": True, "null": None}[kind]


def test_what_cloud_inits_schema_refuses_is_told(tmp_path):
    """Random configurations, made from the schema of this host's cloud-init, except the few that fit two forms of one value."""
    schema = corpus.cloudinit_schema.get_schema()
    definitions, chance = schema["$defs"], random.Random(7)
    modules = [definitions[part["$ref"].split("/")[-1]] for part in schema["allOf"]]
    keys = {key: value for module in modules for key, value in module["properties"].items() if key not in corpus.RESERVED}
    configs = [(key, {key: random_config(chance, value, definitions)}) for key, value in keys.items() for _ in range(10)]
    validators = {key: corpus.Validator({"$defs": definitions, "properties": {key: value}}) for key, value in keys.items()}
    invalid, told, taken, refused = 0, 0, 0, []
    found = check_texts(tmp_path, ["#cloud-config\n" + json.dumps(config) for _, config in configs])
    for (key, config), one in zip(configs, found, strict=True):
        if validators[key].takes(config):
            taken += 1
            refused += [(config, one)] if one["errors"] else []
        else:
            invalid += 1
            told += bool(one["findings"])
    assert invalid > 100 and taken > 100
    assert not refused and told >= 0.95 * invalid, (told, invalid, refused)


def table(*files):
    done = subprocess.run(["/usr/bin/python3", FACTS / "schema.py", *map(str, files)], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def test_the_table_has_all_of_this_hosts_cloud_init(tmp_path):
    (tmp_path / "host.json").write_text(json.dumps(corpus.cloudinit_schema.get_schema()))
    made = (FACTS / "schema.json").read_text(encoding="utf-8")
    assert table(FACTS / "schema.json") == made
    assert table(FACTS / "schema.json", tmp_path / "host.json") == made, \
        "a key or word is missing: agent/seed/schema.py says how the table is made"
