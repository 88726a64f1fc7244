"""Fixtures of the lab suite: labs that are gone when the test ends, however it ends."""
import os
import signal
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../netns-lab"))

from tandemlab.lab import Lab, down  # noqa: E402

PREFIX = os.environ.get("LAB_PREFIX", "tdtest")


def pytest_configure(config):
    def interrupted(_signo, _frame):
        raise KeyboardInterrupt

    # `kill` must clean up as Ctrl-C does
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGHUP, interrupted)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + call.when, outcome.get_result())


@pytest.fixture
def make_lab(request):
    """make_lab(first="r1", **options) boots a pair; its logs are kept when the test fails."""
    labs = []

    def make(first="r1", prefix=PREFIX, **options):
        lab = Lab(prefix, **options)
        labs.append(lab)
        lab.up(first)
        return lab

    yield make
    failed = getattr(request.node, "report_call", None)
    for lab in labs:
        if os.path.isdir(lab.run_dir) and (failed is None or failed.failed):
            lab.keep_logs(request.node.name.replace("/", "_"))
        down(lab.prefix)
