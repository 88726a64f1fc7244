"""No report is lost, whatever its process may no longer do."""
import os
import subprocess
from pathlib import Path

import pytest

PLANT = Path(os.environ["TANDEM_BUILD_DIR"]) / "tests" / "plant"
SAID = {"address": "ERROR: AddressSanitizer: heap-use-after-free",
        "undefined": "runtime error: signed integer overflow",
        "leak": "ERROR: LeakSanitizer: detected memory leaks"}
NO_LANDLOCK = 3
# looking for leaks takes /proc and a child; tests/unit asks the same code
NOT_ASKED_FOR_LEAKS = ("rootless", "parser")


@pytest.mark.parametrize("kind", SAID)
@pytest.mark.parametrize("who", ["room", "rootless", "parser", "fork"])
def test_a_report_is_seen(reports, who, kind):
    done = subprocess.run([PLANT, who, kind], check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    text = reports.take()
    if done.returncode == NO_LANDLOCK:
        pytest.skip("this kernel has no Landlock")
    if kind == "leak" and who in NOT_ASKED_FOR_LEAKS:
        assert (done.returncode, text) == (0, "")
        return
    assert done.returncode not in (0, 2), text
    assert text.count(SAID[kind]) == 1
    # and where it was: without files there are no names, for addr2line there are numbers
    assert "make_mistake" in text or "/plant+0x" in text or "plant.c:" in text
