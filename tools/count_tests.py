#!/usr/bin/python3
"""count_tests.py EVENTS: prints "PASSED FAILED" for a file of Bazel's build events (JSON lines).

A target that did not build counts as one that failed.
"""

import json
import sys

passed = failed = 0
with open(sys.argv[1], encoding="utf-8") as events:
    for line in events:
        event = json.loads(line)
        if "testSummary" in event:
            if event["testSummary"]["overallStatus"] == "PASSED":
                passed += 1
            else:
                failed += 1
        elif "targetCompleted" in event["id"] and not event.get("completed", {}).get("success"):
            failed += 1
print(passed, failed)
