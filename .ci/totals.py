"""Reads Meson's test logs (JSON lines) on standard input and prints how the tests that failed ended, and the total:
"N passed, N failed".

    totals.py STATUS

A test program that reports on cases of its own, as doctest does, counts with those; any other test counts as one. Where
STATUS, that of the gate so far, is not 0 although no test failed (a build did), that counts as one failure.
"""

import json
import re
import sys

LINES = 40

passed = failed = 0
for line in sys.stdin:
    test = json.loads(line)
    if test["result"] == "SKIP":
        continue
    stdout, stderr = test.get("stdout") or "", test.get("stderr") or ""
    cases = re.findall(r"test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed", stdout)
    good = test["result"] in ("OK", "EXPECTEDFAIL")
    passed += sum(int(count) for count, _ in cases) if cases else good
    failed_cases = sum(int(count) for _, count in cases)
    failed += failed_cases or not good
    if not good:
        print(f"\n=== {test['name']}: {test['result']} ===", *(stdout + stderr).splitlines()[-LINES:], sep="\n")

if int(sys.argv[1]) and not failed:
    failed = 1
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
