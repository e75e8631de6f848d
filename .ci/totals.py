"""Reads Meson's test logs (JSON lines) on standard input and prints the total: "N passed, N failed".

    totals.py STATUS

A test program that reports on cases of its own, as doctest does, counts with those; any other test counts as one. Where
STATUS, that of the gate so far, is not 0 although no test failed (a build did), that counts as one failure.
"""

import json
import re
import sys

passed = failed = 0
for line in sys.stdin:
    test = json.loads(line)
    cases = re.findall(r"test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed", test.get("stdout") or "")
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    for case_passed, case_failed in cases:
        passed += int(case_passed)
        failed += int(case_failed)
    if not cases and test["result"] != "SKIP":
        passed += good
    if not good and not any(int(case_failed) for _, case_failed in cases):
        failed += test["result"] != "SKIP"

if int(sys.argv[1]) and not failed:
    failed = 1
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
