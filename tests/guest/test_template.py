# SPDX-License-Identifier: MIT
"""Two instances of a template, with real guests: each is itself, and they share nothing that two instances must not."""

import concurrent.futures

import twins
from piagent import User, guest_image

BOOT = 600


def runner(user, name):
    def run(command, text):
        done = user.call("ssh", name, "--", f"{command} <<'END'\n{text}\nEND", timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout
    return run


def resume(user, name):
    """It is itself before it asks for its seed."""
    user.do("run", "--template", "gold", name, "--network", "lab", "-d", timeout=BOOT)
    kinds = [event["kind"] for event in user.events(name)]
    assert kinds.index("identity") < kinds.index("seed"), kinds


def test_two_instances_of_a_template_share_nothing_that_they_must_not():
    with User() as user:
        user.do("network", "create", "lab")
        user.do("template", "create", "gold", "--from", guest_image("x86_64"), "--unverified", "--arch", "x86_64", "--memory", "512M", timeout=BOOT)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda name: resume(user, name), ["one", "two"]))
        facts = twins.compare({name: runner(user, name) for name in ("one", "two")})
        assert facts["one"]["boot_id"] == facts["two"]["boot_id"]  # only a reboot renews it, as the table says
