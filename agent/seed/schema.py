#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes schema.json from cloud-init's own JSON schemas.

For a new cloud-init, take cloudinit/config/schemas/schema-cloud-config-v1.json of its source and of the oldest supported one, and run

    agent/seed/schema.py NEWEST.json OLDER.json... > agent/seed/schema.json

The newest schema decides. Keys and words that only an older one knows are added: each of them is right in some guest. What a check
has no use for (descriptions, defaults, formats) is left out.
"""

import functools
import json
import re
import sys

# All that schema.c reads; "instead" and "look" are this program's own.
CHECKED = ("$ref", "type", "enum", "properties", "patternProperties", "additionalProperties", "items", "required", "oneOf", "anyOf",
           "allOf", "not", "minItems", "maxItems", "minProperties", "minimum", "pattern", "uniqueItems", "deprecated")

# What cloud-init's schemas do not say of a text: where it is, and as what it is looked at.
LOOKS = {
    ("definitions", "users_groups.user", "properties", "passwd"): "hash",
    ("definitions", "users_groups.user", "properties", "hashed_passwd"): "hash",
    ("definitions", "users_groups.user", "properties", "ssh_authorized_keys", "items"): "ssh-key",
    ("properties", "ssh_authorized_keys", "items"): "ssh-key",
    ("properties", "write_files", "items", "properties", "permissions"): "mode",
}

# Types that a module takes beside those that its schema names.
TYPES = {
    ("properties", "yum_repos", "patternProperties", "^[0-9a-zA-Z -_]+$", "properties", "baseurl"): ["string", "array"],
}


def trim(schema):
    """The schema without what no check needs."""
    trimmed = {}
    for key, value in schema.items():
        if key in ("properties", "patternProperties"):
            trimmed[key] = {name: trim(each) for name, each in value.items()}
        elif key in ("oneOf", "anyOf", "allOf"):
            trimmed[key] = [trim(each) for each in value]
        elif key == "$ref":
            trimmed[key] = value.removeprefix("#/$defs/")
        elif key in CHECKED:
            trimmed[key] = trim(value) if isinstance(value, dict) else value
    advice = re.search(r"Use (\S[^.]*?)(?: key)? instead", re.sub(r"[*`]", "", schema.get("deprecated_description", "")))
    return {**trimmed, "instead": advice[1]} if advice and trimmed.get("deprecated") else trimmed


def merge(new, old):
    """new, with the keys and words that only old has."""
    merged = dict(new)
    for key in new.keys() & old.keys():
        if key in ("properties", "patternProperties", "definitions"):
            merged[key] = {**old[key], **{name: merge(each, old[key].get(name, {})) for name, each in new[key].items()}}
        elif key == "enum":
            merged[key] = new[key] + [word for word in old[key] if word not in new[key]]
        elif key in ("oneOf", "anyOf", "allOf") and len(new[key]) == len(old[key]):
            merged[key] = [merge(a, b) for a, b in zip(new[key], old[key])]
        elif key == "items":
            merged[key] = merge(new[key], old[key])
    return merged


def flatten(document):
    """One schema of all top-level keys, which cloud-init's document has in a definition for each module."""
    if "definitions" in document:
        return document
    definitions = {name: trim(each) for name, each in document["$defs"].items()}
    keys = {}
    for part in document["allOf"]:
        keys = merge({"properties": definitions.pop(part["$ref"].removeprefix("#/$defs/"))["properties"]}, {"properties": keys})["properties"]
    keys = {**{key: {} for key in document.get("properties", {})}, "datasource": {"type": "object"}, **keys}
    schema = {"type": "object", "additionalProperties": False, "definitions": definitions, "properties": keys}
    for path, look in LOOKS.items():
        functools.reduce(dict.get, path, schema)["look"] = look
    for path, types in TYPES.items():
        functools.reduce(dict.get, path, schema)["type"] = types
    return schema


def lines(schema):
    """JSON with a line for each definition and top-level key, in their order."""
    tables = [f'"{table}": {{\n' + ",\n".join(f"{json.dumps(name)}: {json.dumps(each, sort_keys=True)}" for name, each in sorted(schema[table].items()))
              + "\n}" for table in ("definitions", "properties")]
    return '{"type": "object", "additionalProperties": false,\n' + ",\n".join(tables) + "}\n"


def main(paths):
    """Prints the table of the schemas in these files."""
    table = None
    for path in paths:
        with open(path, encoding="utf-8") as file:
            schema = flatten(json.load(file))
        table = merge(table, schema) if table else schema
    sys.stdout.write(lines(table))


if __name__ == "__main__":
    main(sys.argv[1:])
