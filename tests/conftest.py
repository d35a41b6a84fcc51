# SPDX-License-Identifier: MIT
"""A test that does not run is a failure in CI, unless its reason begins with "cannot here:"."""

import os

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.skipped or not os.environ.get("PIAGENT_NO_SKIPS"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if "cannot here:" not in reason:
        report.outcome = "failed"
        report.longrepr = f"skipped, which is not allowed here: {reason}"
