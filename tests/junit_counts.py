#!/usr/bin/python3
"""Prints `PASSED FAILED SKIPPED` of a JUnit file, and on stderr why each skip was."""
import sys
import xml.etree.ElementTree as ET


def main(path):
    passed = failed = skipped = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
            why = skip.get("message") if skip is not None else "not run"
            print(f"skipped: {case.get('name')}: {why}", file=sys.stderr)
        else:
            passed += 1
    print(passed, failed, skipped)


if __name__ == "__main__":
    main(sys.argv[1])
