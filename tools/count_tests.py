#!/usr/bin/python3
"""count_tests.py EVENTS: the result of a `bazel test` from its file of build events (JSON lines).

The first line is "PASSED FAILED TAKEN": TAKEN of the tests did not run, their results were those of
an earlier run. A line follows for each test that ran for more than 20 s, slowest first. A target that
did not build counts as one that failed.
"""

import json
import sys

SLOW_SECONDS = 20


def main(path):
    statuses = {}  # by label
    unbuilt = 0
    seconds = {}  # by label, of what ran
    with open(path, encoding="utf-8") as events:
        for line in events:
            event = json.loads(line)
            if "testSummary" in event:
                statuses[event["id"]["testSummary"]["label"]] = event["testSummary"]["overallStatus"]
            elif "testResult" in event:
                result = event["testResult"]
                label = event["id"]["testResult"]["label"]
                if not result.get("cachedLocally") and \
                        not result.get("executionInfo", {}).get("cachedRemotely"):
                    duration = int(result.get("testAttemptDurationMillis", 0)) / 1000
                    seconds[label] = seconds.get(label, 0) + duration
            elif "targetCompleted" in event["id"] and not event.get("completed", {}).get("success"):
                unbuilt += 1
    passed = [label for label, status in statuses.items() if status == "PASSED"]
    taken = [label for label in passed if label not in seconds]
    print(len(passed), len(statuses) - len(passed) + unbuilt, len(taken))
    for label, time in sorted(seconds.items(), key=lambda item: -item[1]):
        if time > SLOW_SECONDS:
            print("%s took %.0f s" % (label, time))


if __name__ == "__main__":
    main(sys.argv[1])
