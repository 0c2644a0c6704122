"""An idle process makes no wake-up: each of its threads sleeps in a call that has no end in time, or
one that is more than a day away, as is the end of every timer; and no thread is switched in while we
look. Where the kernel does not say in which calls they sleep, we look for 130 s instead, longer than
any period of the libraries it uses."""

import glob
import os
import signal
import struct
import subprocess
import sys
import time

DAY = 24 * 60 * 60
# System calls of x86-64.
FUTEX = 202  # futex(word, operation, value, timeout)
EPOLL_WAIT = 232  # epoll_wait(epoll, events, size, milliseconds)


def tasks(pid):
    return glob.glob("/proc/%d/task/*" % pid)


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def switches(pid):
    counts = {}
    for task in tasks(pid):
        for line in text_of(task + "/status").splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                counts[task] = int(line.split()[1])
    return counts


def seconds_asleep(task):
    """How long the call lasts in which a thread sleeps, if nothing wakes it; 0: it has some limit."""
    words = text_of(task + "/syscall").split()
    assert words[0] != "running", "a thread runs"
    call, arguments = int(words[0]), [int(word, 16) for word in words[1:7]]
    if call == FUTEX:
        return float("inf") if arguments[3] == 0 else 0
    if call == EPOLL_WAIT:
        milliseconds = struct.unpack("i", struct.pack("I", arguments[3] & 0xFFFFFFFF))[0]
        return float("inf") if milliseconds < 0 else milliseconds / 1000
    raise AssertionError("a thread is in system call %d; add what bounds it here" % call)


def seconds_of_timers(pid):
    """The time to the first end of each timer that is set: timerfds, and POSIX timers, which count as 0."""
    times = [0] if text_of("/proc/%d/timers" % pid) else []
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        for line in text_of(path).splitlines():
            if line.startswith("it_value:"):
                seconds, nanoseconds = line.split("(")[1].rstrip(")").split(",")
                if int(seconds) or int(nanoseconds):
                    times.append(int(seconds))
    return times


def main():
    process = subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "idle\n"
        time.sleep(2)
        before = switches(process.pid)
        try:
            ends = [seconds_asleep(task) for task in tasks(process.pid)]
            ends += seconds_of_timers(process.pid)
            time.sleep(5)
        except (FileNotFoundError, PermissionError) as error:
            print("the kernel does not say:", error)
            ends = []
            time.sleep(130)
        after = switches(process.pid)
        print("threads and switches:", list(before.values()), list(after.values()))
        print("seconds to the end of sleeps and of timers:", ends)
        assert len(before) >= 2 and before == after
        assert min(ends, default=DAY) >= DAY
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
