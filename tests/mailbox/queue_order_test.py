#!/usr/bin/python3
"""Runs random programs of queues on greenroom and on gevent, and compares what they print.

    queue_order_test.py DRIVER [--seeds N] [--first SEED] [--show SEED]

Greenlets put, get, peek, yield and spawn one another, with queues of every kind; each says what it
has done. On one hub the order of these lines is gevent's, so every trace must be equal. --show
prints one seed's program and its traces. Nobody is killed: here a kill ends a wait at once, in
gevent when its place comes among the greenlets that are ready. And two cases of join() are left out:
one that begins while there is something to be done, but everything was done a moment ago and others
have not gone on yet (in gevent it goes on with them, here it waits for its own), and one right after
another by the same greenlet (the second may take another round in gevent, here it returns at once).

A program is a pure function of its seed. Nobody waits for real: on both sides the clock moves only
when nobody is ready, and no two deadlines are the same.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile

SEEDS = 500
APT_LINE = "sudo apt-get install --yes --no-install-recommends python3-gevent"
KINDS = [("fifo", 5), ("channel", 3), ("lifo", 1), ("heap", 1)]
EARLY_JOIN = "early join\n"
TURNS = 400  # no program has as many; also in the driver


# Programs.

def weighted(dice, table):
    return dice.choices([row[0] for row in table], [row[1] for row in table])[0]


def program(seed):
    """Lines: program SEED; queue KIND MAX_SIZE ITEM...; root GREENLET; step GREENLET NAME
    [QUEUE-OR-GREENLET [ITEM [MICROSECONDS]]]; end."""
    dice = random.Random(seed)
    lines = ["program %d" % seed]
    kinds = [weighted(dice, KINDS) for _ in range(dice.choice([1, 1, 1, 2]))]
    for kind in kinds:
        max_size = 0 if kind == "channel" else dice.choice([0, 1, 1, 2, 3])
        items = [] if kind == "channel" or dice.randrange(4) else [
            dice.randrange(100) for _ in range(dice.randrange(1, 4))]
        lines.append(" ".join(map(str, ["queue", kind, max_size] + items)))
    count = dice.randrange(2, 9)
    roots = [0] + [g for g in range(1, count) if dice.randrange(4)]
    lines += ["root %d" % root for root in roots]
    has_time = dice.randrange(3) == 0
    putter_weight = [dice.choice([1, 4, 8]) for _ in range(count)]  # bosses and workers
    for greenlet in range(count):
        for _ in range(dice.randrange(1, 12)):
            next_step = step(dice, greenlet, count, kinds, has_time, putter_weight[greenlet])
            lines.append("step %d %s" % (greenlet, next_step))
            if next_step.startswith("join"):
                lines.append("step %d yield" % greenlet)
    return "\n".join(lines + ["end", ""])


def step(dice, greenlet, count, kinds, has_time, putter_weight):
    queue = dice.randrange(len(kinds))
    item = dice.randrange(100)
    steps = [("put", 2 * putter_weight), ("get", 8), ("yield", 4), ("size", 2)]
    if kinds[queue] != "channel":  # whose calls without a wait do wait in gevent
        steps += [("put_nowait", 1), ("get_nowait", 1), ("peek", 1), ("work", 1)]
    if kinds[queue] == "fifo":
        steps += [("done", 2), ("join", 1)]
    if greenlet + 1 < count:
        steps += [("spawn", 1)]
    name = weighted(dice, steps)
    if name == "yield":
        return name
    if name == "spawn":
        return "spawn %d" % dice.randrange(greenlet + 1, count)
    if name in ("put", "get", "peek") and has_time and dice.randrange(3) == 0:
        return "%s %d %d %d" % (name, queue, item, dice.randrange(1, 1000000000))
    return "%s %d %d" % (name, queue, item)


# The same on gevent, in a process of its own.

class FakeTimeouts:
    """In the place of those of gevent's blocking calls: the clock moves when nobody is ready."""

    def __init__(self):
        self.now = 0
        self.armed = {}  # deadline -> a greenlet and what is thrown into it

    class Timeout:
        def __init__(self, all_timeouts, deadline):
            self.all_timeouts = all_timeouts
            self.deadline = deadline

        def cancel(self):
            self.all_timeouts.armed.pop(self.deadline, None)

        close = cancel

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.cancel()

    def start(self, timeout, exception=None):
        import greenlet
        deadline = None
        if timeout is not None:
            deadline = self.now + timeout
            assert deadline not in self.armed
            self.armed[deadline] = (greenlet.getcurrent(), exception)
        return self.Timeout(self, deadline)

    def fire_next(self, loop):
        """False if none is armed."""
        if not self.armed:
            return False
        self.now = min(self.armed)
        waiter, exception = self.armed.pop(self.now)
        loop.run_callback(waiter.throw, exception)
        return True


class World:
    def __init__(self, text, trace, timeouts):
        self.queues = []
        self.roots = []
        self.steps = {}
        self.greenlets = {}
        self.trace = trace
        self.timeouts = timeouts
        self.is_silent = False
        self.joining = [0, 0]  # of each queue: those who wait in join()
        self.told = [0, 0]  # those of them who have not gone on since everything was done
        self.has_early_join = False
        for line in text.split("\n"):
            words = line.split()
            if words[:1] == ["queue"]:
                self.queues.append(self.make_queue(words[1], *map(int, words[2:])))
            elif words[:1] == ["root"]:
                self.roots.append(int(words[1]))
            elif words[:1] == ["step"]:
                self.steps.setdefault(int(words[1]), []).append(words[2:])

    @staticmethod
    def make_queue(kind, max_size, *items):
        import gevent.queue
        if kind == "channel":
            return gevent.queue.Channel()
        kinds = {"fifo": gevent.queue.JoinableQueue, "lifo": gevent.queue.LifoQueue,
                 "heap": gevent.queue.PriorityQueue}
        return kinds[kind](max_size or None, items)

    def run(self):
        import gevent
        for root in self.roots:
            self.spawn(root)
        while True:
            for _ in range(TURNS):
                gevent.sleep(0)
            if not self.timeouts.fire_next(gevent.get_hub().loop):
                break
        self.is_silent = True
        gevent.killall(list(self.greenlets.values()))
        for greenlet in self.greenlets.values():
            if greenlet.exception is not None:
                raise greenlet.exception

    def spawn(self, number):
        import gevent
        if number not in self.greenlets:
            self.greenlets[number] = gevent.spawn(self.body, number)

    def say(self, greenlet, what):
        if not self.is_silent:
            self.trace.append("%d %s\n" % (greenlet, what))

    def body(self, number):
        for words in self.steps.get(number, []):
            self.run_step(number, *(words[:1] + [int(word) for word in words[1:]]))

    def run_step(self, number, name, target=0, item=0, microseconds=0):
        import gevent
        import gevent.queue
        if name == "yield":
            gevent.sleep(0)
            self.say(number, "yielded")
        elif name == "spawn":
            self.spawn(target)
        else:
            try:
                self.run_on(self.queues[target], number, name, target, item, microseconds or None)
            except gevent.queue.Empty:
                self.say(number, "%s %d Empty" % (name, target))
            except gevent.queue.Full:
                self.say(number, "%s %d Full" % (name, target))

    def run_on(self, queue, number, name, target, item, timeout):
        import gevent
        if name == "put":
            queue.put(item, timeout=timeout)
            self.say(number, "put %d %d" % (target, item))
        elif name == "put_nowait":
            queue.put_nowait(item)
            self.say(number, "put_nowait %d %d" % (target, item))
        elif name == "get":
            self.say(number, "get %d %d" % (target, queue.get(timeout=timeout)))
        elif name == "get_nowait":
            self.say(number, "get_nowait %d %d" % (target, queue.get_nowait()))
        elif name == "peek":
            self.say(number, "peek %d %d" % (target, queue.peek(timeout=timeout)))
        elif name == "size":
            self.say(number, "size %d %d%s%s" % (target, queue.qsize(),
                                                 " empty" if queue.empty() else "",
                                                 " full" if queue.full() else ""))
        elif name == "work":
            while not queue.empty():
                self.say(number, "work %d %d" % (target, queue.get()))
                gevent.sleep(0)
            self.say(number, "quits %d " % target)
        elif name == "done":
            if queue.unfinished_tasks > 0:
                queue.task_done()
                if queue.unfinished_tasks == 0:
                    self.told[target] = self.joining[target]
        elif name == "join":
            self.has_early_join |= queue.unfinished_tasks > 0 and self.told[target] > 0
            self.joining[target] += 1
            queue.join()
            self.joining[target] -= 1
            self.told[target] = max(0, self.told[target] - 1)
            self.say(number, "joined %d " % target)
        else:
            raise ValueError(name)


def run_on_gevent(programs, trace_path):
    try:
        import gevent.queue
        import gevent.timeout
    except ImportError:
        sys.exit("gevent is missing; run this, then try again:\n  " + APT_LINE)
    timeouts = FakeTimeouts()
    gevent.timeout.Timeout._start_new_or_dummy = timeouts.start
    with open(programs, encoding="utf-8") as file, open(trace_path, "w", encoding="utf-8") as out:
        for text in file.read().split("program ")[1:]:
            trace = ["program %s\n" % text.split("\n", 1)[0]]
            world = World(text, trace, timeouts)
            world.run()
            out.writelines(trace)
            if world.has_early_join:
                out.write(EARLY_JOIN)


# The comparison.

def traces_of(path):
    with open(path, encoding="utf-8") as file:
        return {int(text.split("\n", 1)[0]): text for text in file.read().split("program ")[1:]}


def show_difference(seed, expected, actual):
    print("\nseed %d:\n%s" % (seed, program(seed)))
    for at, (one, other) in enumerate(zip(expected.split("\n") + [""], actual.split("\n") + [""])):
        if one != other:
            print("equal up to here:\n  " + "\n  ".join(expected.split("\n")[max(0, at - 12):at]))
            print("gevent:    %s\ngreenroom: %s" % (one, other))
            return


def main():
    if sys.argv[1:2] == ["--gevent"]:
        return run_on_gevent(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("driver")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", type=int)
    parser.add_argument("--report", type=int, default=3)
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if arguments.show is not None:
        seeds = [arguments.show]
    with tempfile.TemporaryDirectory() as folder:
        programs = os.path.join(folder, "programs")
        traces = {name: os.path.join(folder, name) for name in ("gevent", "virtual", "real")}
        with open(programs, "w", encoding="utf-8") as file:
            file.writelines(program(seed) for seed in seeds)
        here = os.path.abspath(__file__)
        subprocess.run([sys.executable, here, "--gevent", programs, traces["gevent"]], check=True)
        for hub in ("virtual", "real"):
            subprocess.run([arguments.driver, programs, traces[hub], hub], check=True)
        expected, *actuals = [traces_of(path) for path in traces.values()]
    if arguments.show is not None:
        print(program(arguments.show))
        print("gevent:\n%s\ngreenroom:\n%s" % (expected[arguments.show], actuals[0][arguments.show]))
    failed = False
    for hub, actual in zip(("virtual", "real"), actuals):
        common = [seed for seed in seeds if (hub == "virtual" or seed in actual)
                  and not expected[seed].endswith(EARLY_JOIN)]
        different = [seed for seed in common if actual.get(seed) != expected[seed]]
        print("%d of %d programs agree, %s hub; %d lines" % (
            len(common) - len(different), len(common), hub,
            sum(expected[seed].count("\n") for seed in common)))
        for seed in different[:arguments.report]:
            show_difference(seed, expected[seed], actual.get(seed, ""))
        if different:
            print("\nseeds that differ: %s" % different[:20])
        failed |= bool(different) or not common
    return failed


if __name__ == "__main__":
    sys.exit(main())
