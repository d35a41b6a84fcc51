# SPDX-License-Identifier: MIT
"""The OpenAPI document that the agent serves, held to OpenAPI's own rules and to what the agent answers in an instance's life."""

import json
import pathlib
import subprocess
import threading

import boot_sectors
import jsonschema
import pytest
from piagent import AGENT, NOT_FOUND, USAGE, User, wait_for

OPENAPI_SCHEMA = pathlib.Path("/usr/share/openapi-specification/schemas/v3.0/schema.json")  # Debian's package


class Checked:
    """The control API asked with curl, each answer held to the document; it knows which operations have succeeded."""

    def __init__(self, user):
        self.socket = str(user.runtime / "agent.sock")
        self.document = json.loads(user.do("agent", "openapi"))
        self.succeeded = set()

    def check(self, schema, value):
        resolver = jsonschema.RefResolver("", self.document)
        jsonschema.Draft4Validator(schema, resolver=resolver, format_checker=jsonschema.FormatChecker()).validate(value)

    def resolve(self, value):
        for part in value.get("$ref", "#").split("/")[1:]:
            value = (value if part != "components" else self.document)[part]
        return value

    def send(self, method, path, body=None):
        """Status, headers (lower case) and bytes, whatever they are."""
        data = [] if body is None else ["--data-binary", body if isinstance(body, str) else json.dumps(body)]
        how = ["-I"] if method == "HEAD" else ["-i", "-X", method]
        out = subprocess.run(["curl", "-sS", "--max-time", "30", *how, *data, "--unix-socket", self.socket, f"http://piagent{path}"],
                             stdout=subprocess.PIPE, timeout=60, check=True).stdout
        head, _, content = out.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers, content

    def __call__(self, method, template, body=None, query="", name="pi"):
        operation = self.document["paths"][template][method.lower()]
        if body is not None and (asked := operation["requestBody"]["content"].get("application/json")):
            self.check(asked["schema"], body)
        status, headers, content = self.send(method, template.replace("{name}", name) + query, body)
        known = operation["responses"].get(str(status))
        kind = headers["content-type"]
        schema = (known or self.resolve(operation["responses"]["default"]))["content"][kind]["schema"]
        if known:
            self.succeeded.add((method.lower(), template))
        if kind not in ("application/json", "application/jsonl"):
            return content
        values = [json.loads(line) for line in content.splitlines()]
        for value in values:
            self.check(schema, value)
        return values if kind == "application/jsonl" else values[0] if known else (status, values[0]["error"])


@pytest.fixture(scope="module")
def user():
    with User() as user:
        user.do("ps")
        yield user


@pytest.fixture(scope="module")
def api(user):
    return Checked(user)


def test_the_document_is_openapi_and_the_one_that_the_agent_serves(api):
    assert api("GET", "/v1/openapi.json") == api.document
    if OPENAPI_SCHEMA.exists():
        jsonschema.Draft4Validator(json.loads(OPENAPI_SCHEMA.read_text())).validate(api.document)
    else:
        import openapi_spec_validator  # Fedora's package
        openapi_spec_validator.validate_spec(api.document)
    for schema in api.document["components"]["schemas"].values():
        jsonschema.Draft4Validator.check_schema(schema)


def test_words_of_a_fixed_set_are_enumerated(api):
    schemas = api.document["components"]["schemas"]
    enumerated = {(name, key): set(value["enum"]) for name, schema in schemas.items()
                  for key, value in schema.get("properties", {}).items() if "enum" in value}
    states = {"created", "starting", "running", "ready", "paused", "suspended", "stopping", "stopped", "failed", "lost", "saving",
              "saved", "restoring"}
    assert enumerated["Instance", "state"] == enumerated["Summary", "state"] == enumerated["Event", "state"] == states
    assert enumerated["Instance", "cloud_init"] == {"pending", "running", "done", "degraded", "failed", "silent"}
    assert enumerated["Instance", "stopped_by"] == {"guest", "powerdown", "quit", "term", "kill"}
    assert enumerated["Event", "landmark"] == {"firmware", "bootloader", "kernel", "init", "login"}
    assert enumerated["Event", "report"] == {"start", "finish"}
    assert enumerated["Event", "result"] == {"SUCCESS", "WARN", "FAIL"}
    assert {"not-found", "usage"} <= enumerated["Event", "error_kind"] == set(schemas["Error"]["properties"]["error"]["properties"]["kind"]["enum"])
    assert {("Instance", "arch"), ("Instance", "accel"), ("Event", "kind"), ("Event", "phase")} <= enumerated.keys()
    with pytest.raises(jsonschema.ValidationError):
        api.check({"$ref": "#/components/schemas/Event"}, {"kind": "state", "realtime_ms": 1, "monotonic_ms": 1, "state": "on fire"})


def test_every_operation_in_an_instances_life_answers_as_the_document_says(user, api):
    def is_now(*states):
        return wait_for(f"pi is {states}", lambda: api("GET", "/v1/instances/{name}")["state"] in states, 60)
    path = "/v1/instances/{name}"
    lab = api("POST", "/v1/networks", {"name": "lab", "subnet": "10.77.3.0/24"})
    assert (lab["gateway"], lab["members"]) == ("10.77.3.1", []) and api("POST", "/v1/networks", {"name": "lab"})[0] == 409
    create = {"name": "pi", "networks": ["lab"], "image": boot_sectors.obedient(user.home), "image_unverified": True, "arch": "x86_64",
              "accel": "tcg", "cpus": 1, "memory_mib": 256, "disk_bytes": 1 << 20, "forwards": [], "user": "pi",
              "fleet": {"name": "web", "role": "pi", "index": 1, "count": 1}}
    assert api("POST", "/v1/check", create)["faults"] == []
    assert [fault["option"] for fault in api("POST", "/v1/check", {**create, "networks": ["bridge=none"]})["faults"]] == ["network"]
    assert api("POST", "/v1/check", {"name": "pj", "clone_of": "pi"})[0] == 400
    assert api("POST", "/v1/instances", create)["name"] == "pi"
    assert api("POST", "/v1/instances", create)[0] == 409
    wait_for("it says something", lambda: b"hello" in user.console("pi"), 60)
    is_now("running")
    assert b"hello" in api("GET", f"{path}/console")
    assert api("GET", f"{path}/qemu-command")["argv"][0].endswith("qemu-system-x86_64")
    assert [view["name"] for view in api("GET", "/v1/instances")["instances"]] == ["pi"]
    elsewhere = [{"name": "server", "role": "server", "index": 1, "arch": "aarch64", "address": "10.77.3.9"}]
    secret = api("POST", "/v1/fleets/{name}/elsewhere", {"peers": elsewhere}, name="web")["join_secret"]
    given = "ab" * 32
    assert len(secret) == 64 and secret != given
    assert api("POST", "/v1/fleets/{name}/elsewhere", {"peers": elsewhere, "join_secret": given}, name="web")["join_secret"] == given
    assert api("POST", "/v1/fleets/{name}/elsewhere", {"peers": elsewhere}, name="wen")[0] == 404
    for wrong in ({"peers": [{**elsewhere[0], "address": "lab"}]}, {"peers": [{**elsewhere[0], "name": "../x"}]}, {"peers": {}}, {},
                  {"peers": elsewhere * 2}, {"peers": [], "join_secret": given[1:]}, {"peers": [{**elsewhere[0], "secret": "x"}]}):
        assert api("POST", "/v1/fleets/{name}/elsewhere", wrong if wrong else None, name="web")[0] == 400, wrong
    updated = api("POST", f"{path}/update", {"labels": ["rack=b2"], "after": ["server=ready"]})
    assert (updated["labels"], updated["fleet"]["after"]) == (["rack=b2"], ["server=ready"])
    assert api("POST", f"{path}/update", {"labels": []})["fleet"]["after"] == ["server=ready"]
    assert [one["labels"] for one in api("GET", "/v1/instances", query="?summary=1")["instances"]] == [[]]
    for wrong in ({"labels": ["rack"]}, {"labels": ["a=b", "a=c"]}, {"after": ["server"]}):
        assert api("POST", f"{path}/update", wrong)[0] == 400, wrong
    assert b'piagent_instance_up{name="pi"} 1\n' in api("GET", "/v1/metrics")
    member = api("GET", "/v1/networks/{name}", name="lab")["members"][0]
    assert (member["address"], member["mac"], member["state"]) == ("10.77.3.2", "52:54:0a:4d:03:02", "running")
    assert api("GET", "/v1/networks")["networks"][0]["name"] == "lab"
    assert api("DELETE", "/v1/networks/{name}", name="lab")[0] == 409
    assert "uuid" not in api("GET", "/v1/instances", query="?summary=1")["instances"][0]
    assert api("POST", f"{path}/pause", {})["name"] == "pi"
    is_now("paused")
    assert api("POST", f"{path}/pause", {})["already"]
    api("POST", f"{path}/resume", {})
    is_now("running")
    assert api("POST", f"{path}/suspend", {})["name"] == "pi"
    is_now("saved")
    assert api("GET", path)["saved_bytes"] and api("POST", f"{path}/suspend", {})["already"]
    assert api("POST", f"{path}/snapshots", {"tag": "asleep"})["snapshot"] == "asleep"
    assert api("POST", f"{path}/snapshots", {"tag": "A"})[0] == 400
    only = api("GET", f"{path}/snapshots")["snapshots"]
    assert [(one["tag"], one["current"], one["memory_bytes"] > 0) for one in only] == [("asleep", True, True)], only
    assert api("POST", f"{path}/snapshots/restore", {"tag": "asleep", "cold": False})["state"] == "saved"
    assert "snapshots" not in api("POST", f"{path}/snapshots/remove", {"tag": "asleep"})
    assert api("POST", f"{path}/snapshots/remove", {"tag": "asleep"})[0] == 404
    api("POST", f"{path}/start", {"cold": False})
    is_now("running")
    assert api("POST", f"{path}/reseed", {})["name"] == "pi"
    api("POST", f"{path}/reset", {})
    wait_for("it is up again", lambda: user.console("pi").count(b"hello") == 2, 60)
    assert api("POST", f"{path}/console", "a") == {}
    wait_for("it has read that", lambda: b"up" in user.console("pi"), 60)
    assert api("POST", f"{path}/powerdown", {"timeout_ms": 60000})["state"] == "stopping"
    is_now("stopped")
    assert api("POST", f"{path}/start", {})["state"] == "starting"
    is_now("running")
    assert api("POST", f"{path}/start", {})["already"]
    assert "already" not in api("POST", f"{path}/kill", {"step_ms": 5000})
    is_now("stopped")
    assert api("POST", f"{path}/kill", {})["already"] and "already" not in api("GET", path)
    assert api("POST", f"{path}/pause", {})[0] == 409
    assert api("GET", f"{path}/console", query="?last_lines=2").splitlines() == api("GET", f"{path}/console").splitlines()[-2:]
    events = api("GET", f"{path}/events")
    assert [json.loads(line) for line in user.do("events", "pi", "--json").splitlines()] == events
    lines = user.do("events", "pi", "--since", "3").splitlines()
    assert [line.split()[2] for line in lines] == [event["kind"] for event in events[3:]]
    assert "no instance named pj" in user.refused(NOT_FOUND, "events", "pj")
    assert {"state", "boot", "note"} <= {event["kind"] for event in events}
    assert api("GET", f"{path}/events", query="?since=3&follow=0") == events[3:]
    assert {event["name"] for event in events} == {"pi"}
    assert [event for event in api("GET", "/v1/events") if event["name"] == "pi"][-len(events):] == events
    assert api("DELETE", path) == {}
    assert api("DELETE", path)[0] == 404
    other = {"host": "ssh://nobody@127.0.0.1:1"}
    assert api("POST", "/v1/networks/{name}/link", other, name="lab")["links"][0]["host"] == other["host"]
    assert api("POST", "/v1/networks/{name}/link", other, name="lab")[0] == 409
    assert "links" not in api("POST", "/v1/networks/{name}/unlink", other, name="lab")
    assert api("DELETE", "/v1/networks/{name}", name="lab") == {}
    assert api("GET", "/v1/networks/{name}", name="lab")[0] == 404
    assert api("GET", "/v1/agent")["instances"] == 0
    assert api("POST", "/v1/agent/stop", {}) == {}
    assert api.succeeded | {("get", "/v1/openapi.json")} == {
        (method, path) for path, item in api.document["paths"].items() for method in item}


def test_a_follower_gets_lines_that_the_document_describes(user, api):
    user.do("ps")  # starts the agent that was stopped
    user.boot("pi", boot_sectors.deaf(user.home))
    command = ["curl", "-sSN", "--max-time", "60", "--unix-socket", api.socket, "http://piagent/v1/instances/pi/events?follow=1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as curl:
        first = json.loads(curl.stdout.readline())
        api("POST", "/v1/instances/{name}/kill", {})
        events = [first]
        while events[-1].get("state") != "stopped":
            events.append(json.loads(curl.stdout.readline()))
        user.wait_state("pi", "stopped")
        api("DELETE", "/v1/instances/{name}")
        assert curl.wait(60) == 0
    for event in events:
        api.check({"$ref": "#/components/schemas/Event"}, event)


def test_who_follows_all_instances_hears_of_each_from_then_on(user, api):
    user.do("ps")  # starts the agent that was stopped
    user.boot("before", boot_sectors.deaf(user.home))
    assert "name it" in user.refused(USAGE, "events", "--since", "3")
    assert ["before", "boot", "started"] in [line.split()[2:5] for line in user.do("events").splitlines()]
    follower = user.start("events", "-f", "--json")
    # When it is there, it hears what is done again and again.
    first = []
    reading = threading.Thread(target=lambda: first.append(follower.stdout.readline()))
    reading.start()

    def heard():
        user.do("pause", "before")
        user.do("resume", "before")
        reading.join(0.2)
        return first
    wait_for("it follows", heard, 30)
    user.boot("after", boot_sectors.deaf(user.home))
    for name in ("before", "after"):
        user.do("rm", "--force", name)
    lines = [json.loads(line) for line in first]
    while not {("before", "stopped"), ("after", "stopped")} <= {(line["name"], line.get("state")) for line in lines}:
        lines.append(json.loads(follower.stdout.readline()))
    assert ("after", "created") in {(line["name"], line.get("state")) for line in lines}
    assert ("before", "boot") not in {(line["name"], line["kind"]) for line in lines}
    for line in lines:
        api.check({"$ref": "#/components/schemas/Event"}, line)
    user.do("agent", "stop")
    assert follower.wait(60) == AGENT
    assert "the agent was stopped" in follower.stdout.read()


def test_no_other_method_is_taken_and_allow_tells_which_are(user, api):
    user.do("ps")  # starts the agent that was stopped
    for path, item in api.document["paths"].items():
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD"):
            if method.lower() in item or (method == "HEAD" and "get" in item):
                continue
            status, headers, _ = api.send(method, path.replace("{name}", "nobody"))
            assert (status, sorted(headers["allow"].lower().split(", "))) == (405, sorted(item)), (method, path)


def test_head_is_get_without_its_body(user, api):
    user.do("ps")
    status, headers, content = api.send("HEAD", "/v1/agent")
    assert (status, headers["content-type"], content) == (200, "application/json", b"")


def test_unknown_members_and_wrong_numbers_are_against_the_document_too(api):
    for body in ({"name": "a", "colour": "red"}, {"name": "a", "cpus": -1}, {}, {"name": 5}):
        with pytest.raises(jsonschema.ValidationError):
            api.check({"$ref": "#/components/schemas/Create"}, body)
