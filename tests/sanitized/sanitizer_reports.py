"""pytest plugin of a sanitized run: whatever process reports, the test fails in which it did.

Every sanitized program writes to one FIFO (reports.c says why). What came is also kept in
reports.log beside it.
"""
import fcntl
import os
import time

import pytest

FIFO = os.path.join(os.environ["TANDEM_PREFIX"], "reports")
SIZE_BYTES = 1 << 20  # what may come before it is read; then the process waits


def is_read():
    try:
        os.close(os.open(FIFO, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


class Reports:
    def __init__(self):
        if is_read():
            raise pytest.UsageError("another sanitized run reads " + FIFO)
        if os.path.lexists(FIFO):
            os.unlink(FIFO)
        os.mkfifo(FIFO)
        os.chmod(FIFO, 0o622)  # the daemons have users of their own
        # with a writer of our own, it has no end when a process has
        self.fd = os.open(FIFO, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, SIZE_BYTES)

    def take(self):
        """All that came, to its end when one is just being written."""
        found = b""
        quiet_s = 0.0
        while quiet_s < 0.5:
            try:
                found += os.read(self.fd, SIZE_BYTES)
                quiet_s = 0.0
            except BlockingIOError:
                if not found:
                    break
                time.sleep(0.1)
                quiet_s += 0.1
        return found.decode(errors="replace")

    def close(self):
        os.unlink(FIFO)
        os.close(self.fd)


REPORTS = Reports()


def keep(where, text):
    with open(FIFO + ".log", "a", encoding="utf-8") as f:
        f.write(f"== {where}\n{text}\n")


@pytest.fixture
def reports():
    return REPORTS


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_teardown(item):
    yield
    text = REPORTS.take()
    if text:
        keep(item.nodeid, text)
        pytest.fail("a sanitizer reported:\n" + text, pytrace=False)


def pytest_sessionfinish(session):
    text = REPORTS.take()
    if text:
        keep("after the last test", text)
        print(text)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    REPORTS.close()
