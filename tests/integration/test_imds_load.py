# SPDX-License-Identifier: MIT
"""Two thousand guests that ask at once while others do their worst: every honest one gets its own seed, and the control API answers."""

import asyncio
import json
import os
import threading
import time

import boot_sectors
import fleet
import imds_storm
import pytest
from piagent import User, fake_qemu, slowness, wait_for

INSTANCES = 20
GUESTS = 2000
HOSTILE = 100  # of each kind


@pytest.fixture(scope="module")
def user():
    with User(**fake_qemu()) as user:
        fleet.make(user, boot_sectors.deaf(user.home), INSTANCES)
        fleet.start(user, INSTANCES)
        yield user


class Watcher(threading.Thread):
    """Asks for the list of instances again and again, and remembers how long it took."""

    def __init__(self, user):
        super().__init__()
        self.api, self.seconds, self.stop = fleet.Api(user), [], threading.Event()

    def run(self):
        while not self.stop.wait(0.2):
            begin = time.monotonic()
            assert len(self.api.instances()) == INSTANCES
            self.seconds.append(time.monotonic() - begin)


def descriptors(user):
    return len(os.listdir(f"/proc/{user.agent_pid()}/fd"))


def test_every_honest_guest_is_served_and_the_control_api_answers(user):
    port = user.api("GET", "/v1/agent")[1]["imds_port"]
    keys = fleet.keys_of(user, INSTANCES)
    paths = [f"/{keys[index % INSTANCES][0]}/meta-data" for index in range(GUESTS)]
    watcher = Watcher(user)
    assert len(watcher.api.instances()) == INSTANCES
    before = descriptors(user)
    watcher.start()
    try:
        served = asyncio.run(imds_storm.storm(port, paths, HOSTILE, keys[0]))
    finally:
        watcher.stop.set()
        watcher.join()
    names = [json.loads(answer.body)["local-hostname"] for answer in served]
    assert names == [fleet.name_of(index % INSTANCES) for index in range(GUESTS)]
    # A few guests were cut to make room for others, and were served when they asked again.
    assert sum(answer.tries > 1 for answer in served) < GUESTS / 20
    assert watcher.seconds and max(watcher.seconds) < 10 * slowness(), watcher.seconds
    assert fleet.states(watcher.api) == {"running"}
    wait_for("all of their connections are closed", lambda: descriptors(user) <= before, 90)
