# SPDX-License-Identifier: MIT
"""When a test fails, the logs of its agents and instances are shown, also if a fixture made them."""

import piagent
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    del item
    yield
    if call.when == "setup":
        piagent.FAILED_TEST.clear()
    if call.excinfo:
        piagent.FAILED_TEST.append(call.when)
