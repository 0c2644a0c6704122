"""An idle process makes no wake-up: no thread of it is switched in for 130 s, longer than any period
of the libraries it uses."""

import glob
import os
import signal
import subprocess
import sys
import time


def switches(pid):
    counts = {}
    for path in glob.glob("/proc/%d/task/*/status" % pid):
        with open(path) as lines:
            for line in lines:
                if line.startswith("voluntary_ctxt_switches"):
                    counts[path] = int(line.split()[1])
    return counts


def main():
    process = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "idle\n"
        time.sleep(2)
        before = switches(process.pid)
        time.sleep(130)
        after = switches(process.pid)
        print("threads and switches:", list(before.values()), list(after.values()))
        assert len(before) >= 2 and before == after
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
