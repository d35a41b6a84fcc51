# SPDX-License-Identifier: MIT
"""Holds "piagent validate" to what this host's cloud-init and PyYAML themselves make of user-data files."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import yaml
from cloudinit import handlers, user_data, util
from cloudinit.config import schema as cloudinit_schema
from cloudinit.handlers.jinja_template import render_jinja_payload

BATCH = 64  # files that one validate takes
VALID, INVALID, DROPPED = "valid", "schema-invalid", "dropped as a whole"
# The top level's keys that piagent keeps for itself: refused, though cloud-init takes them.
RESERVED = ("user", "ssh_keys", "vendor_data")


class Validator:
    """cloud-init's schema, as its own validator reads it: bytes are a string."""

    def __init__(self, schema):
        base = jsonschema.Draft4Validator
        types = base.TYPE_CHECKER.redefine("string", lambda _, value: isinstance(value, (str, bytes)))
        self.errors = jsonschema.validators.extend(base, type_checker=types)(schema).iter_errors

    def takes(self, config):
        return not any(self.errors(config))


def parts(data):
    """Type and payload of each part that cloud-init sees in a file."""
    for part in user_data.convert_string(data).walk():
        if not user_data.is_skippable(part):
            payload = util.fully_decoded_payload(part)
            given = part.get_content_type()
            looks = handlers.type_from_starts_with(payload) if given in [*user_data.TYPE_NEEDED, "text/x-shellscript"] else None
            yield looks or given, payload if isinstance(payload, str) else payload.decode("utf-8", "surrogateescape")


def config_verdict(text, validator):
    try:
        config = yaml.safe_load(text)
    except Exception:  # cloud-init catches some, and gives up at the others
        return DROPPED
    if not isinstance(config, dict):
        return DROPPED
    return VALID if validator.takes(config) else INVALID


def verdict(data, validator):
    """How cloud-init judges a file: a single config by its content, everything else by its kind."""
    try:
        found = list(parts(data))
        "".join(text for _, text in found).encode()  # as it is written into the guest
    except UnicodeError:
        return DROPPED
    known = {*handlers.INCLUSION_TYPES_MAP.values(), *user_data.DECOMP_TYPES}
    if not any(kind in known for kind, _ in found):
        return DROPPED
    if len(found) > 1 or data[:2] == b"\x1f\x8b":
        return VALID
    kind, text = found[0]
    if kind == "text/x-shellscript" and not text.startswith("#!"):
        return DROPPED  # the kernel starts no such file
    if kind == "text/jinja2":
        if "{" in text.split("\n", 1)[-1]:
            return VALID  # by what it renders to in the guest
        try:
            text = render_jinja_payload(text, "file", {})
        except Exception:
            return DROPPED
        kind = handlers.type_from_starts_with(text)
        if kind not in ("text/cloud-config", "text/x-shellscript", "text/cloud-boothook"):
            return DROPPED
        return VALID  # a template's content is not looked into
    return config_verdict(text, validator) if kind == "text/cloud-config" and data.find(b"mime-version") < 0 else VALID


def validate(files, program):
    """piagent's findings by file, without the host's cloud-init."""
    found = {}
    for first in range(0, len(files), BATCH):
        done = subprocess.run([program, "validate", "--json", *files[first:first + BATCH]], capture_output=True, text=True, timeout=120,
                              check=False, env={"PATH": "/nonexistent"})
        if done.returncode not in (0, 2):
            raise RuntimeError(done.stderr)
        found.update({one["file"]: one for one in json.loads(done.stdout)})
    return found


def reserved(found):
    return any(f["severity"] == "error" and "piagent sets" in f["message"] for f in found["findings"])


def compare(files, program, schema=None):
    """(wrong, told, invalid): files that are judged wrongly, each with why; how many schema-invalid ones are told, of how many."""
    logging.disable(logging.CRITICAL)
    validator = Validator(schema or cloudinit_schema.get_schema())
    wrong, told, invalid = [], 0, 0
    for file, found in validate(files, program).items():
        truth = verdict(Path(file).read_bytes(), validator)
        if truth == DROPPED and not found["errors"]:
            wrong.append((file, "cloud-init drops it as a whole, and piagent takes it"))
        if truth == VALID and found["errors"] and not reserved(found):
            wrong.append((file, "cloud-init takes it, and piagent refuses it: " + next(f["message"] for f in found["findings"] if f["severity"] == "error")))
        if truth == INVALID:
            invalid += 1
            told += bool(found["findings"])
            if not found["findings"]:
                print(f"{file}: cloud-init's schema refuses it, and piagent says nothing")
    return wrong, told, invalid


def main(program, folder, schema=None):
    files = sorted(os.path.join(top, name) for top, _, names in os.walk(folder) for name in names)
    wrong, told, invalid = compare(files, program, json.loads(Path(schema).read_text(encoding="utf-8")) if schema else None)
    for file, why in wrong:
        print(f"{file}: {why}")
    print(f"{len(files)} files: {len(wrong)} judged wrongly; {told} of {invalid} told that cloud-init's schema refuses")
    return bool(wrong) or told < 0.95 * invalid


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
