#!/usr/bin/python3
"""Random programs of groups and pools do the same, in the same order, on gevent and on greenroom.

usage: group_order_test.py PROGRAM [--seed N] [--programs N]

No time passes in them: greenlets yield, and that is all they wait for besides each other. Two things
are different here and so not in them: what a failed map has started ends with it (the last item of a
map may fail, and only that one), and who waits for room in a pool is not overtaken by a late comer
(each actor has a bounded pool of its own, and all share one without a bound; who is to call apply()
inside its pool stays in it). And gevent's Event wakes whoever waits when its notifier runs, those
included who came when it had been cleared again; so a pool is joined by one actor only, which
yields after it: a second wait within one notification takes another round there.
"""
import argparse
import random
import subprocess
import sys

import gevent
from gevent.pool import Pool


class Failed(Exception):
    pass


class Program:
    """One program on gevent."""

    def __init__(self, line):
        sizes, *actors = [part.split() for part in line.split("|")]
        self.pools = [Pool(None if size == "none" else int(size)) for size in sizes]
        self.actors = actors
        self.outside = []  # perhaps in no pool
        self.trace = []

    def run(self):
        gevent.joinall([gevent.spawn(self.act, i) for i in range(len(self.actors))])
        for greenlet in self.outside:
            greenlet.join()
        for pool in self.pools:
            pool.join()
        return "".join(text + ";" for text in self.trace)

    def note(self, text):
        self.trace.append(text)

    def work(self, pool, name, yields, fails=False, applies=False):
        self.note(f"{name} starts, {len(pool)}")
        for _ in range(yields):
            gevent.sleep(0)
            self.note(f"{name} goes on")
        if applies:
            inner = pool.apply(self.work, (pool, name + "'s", 1))
            self.note(f"{name} got {inner}")
        self.note(f"{name} ends, {len(pool)}")
        if fails:
            raise Failed(name)
        return yields

    def item_worker(self, pool, name, yields, failing):
        return lambda item: self.work(pool, f"{name}.{item}", (yields + item * 5) % 4, item == failing)

    def read(self, name, results):
        while True:
            try:
                self.note(f"{name} read {next(results)}")
            except Failed as failed:
                self.note(f"{name} read error {failed}")
            except StopIteration:
                break
        self.note(f"{name} read all")

    def act(self, index):
        last = None
        for number, step in enumerate(self.actors[index]):
            name = f"a{index}.{number}"
            verb = step[0]
            n = [int(word) for word in step[1:].split(":") if word]
            pool = self.pools[n[0] if n else 0]
            if verb == "y":
                gevent.sleep(0)
            elif verb == "s":
                last = pool.spawn(self.work, pool, name, n[1], n[2] == 1, n[2] == 2)
                self.outside.append(last)
                if n[2] == 2:
                    last = None
            elif verb == "m":
                try:
                    results = pool.map(self.item_worker(pool, name, n[2], n[3]), range(n[1]))
                    self.note(f"{name} mapped" + "".join(f" {result}" for result in results))
                except Failed as failed:
                    self.note(f"{name} map error {failed}")
            elif verb in "iu":
                imap = pool.imap if verb == "i" else pool.imap_unordered
                work = self.item_worker(pool, name, n[2], n[3])
                self.read(name, imap(work, range(n[1]), maxsize=n[4] or None))
            elif verb == "a":
                try:
                    result = pool.apply(self.work, (pool, name, n[1], n[2] == 1))
                    self.note(f"{name} applied {result}")
                except Failed as failed:
                    self.note(f"{name} apply error {failed}")
            elif verb == "A":
                last = pool.apply_async(self.work, (pool, name, n[1]))
                self.outside.append(last)
            elif verb == "g":
                if last is not None:
                    last.join()
            elif verb == "d":
                if last is not None and last in pool:  # else gevent gives a slot too many
                    pool.discard(last)
            elif verb == "j":
                pool.join()
            elif verb == "x":
                pool.wait_available()
            elif verb == "k":
                pool.kill()
            self.note(f"{name} {verb} done, {len(pool)} of {'full' if pool.full() else 'free'}")


def make_step(dice, own, letters):
    verb = dice.choice(letters)
    pool = 0 if verb == "A" else own if verb == "j" else dice.choice([0, own, own])
    if verb in "ygjdxk":
        return verb + ("" if verb in "yg" else str(pool))
    yields = dice.randrange(4)
    if verb == "s":
        return f"s{pool}:{yields}:{dice.choice([0, 0, 0, 1, 2])}"
    if verb in "aA":
        return f"{verb}{pool}:{yields}:{dice.choice([0, 0, 1])}"
    items = dice.randrange(6)
    if verb == "m":
        return f"m{pool}:{items}:{yields}:{dice.choice([-1, -1, items - 1])}"
    return f"{verb}{pool}:{items}:{yields}:{dice.randrange(-4, 6)}:{dice.choice([0, 0, 1, 2, 3])}"


def make_program(dice, letters):
    actors = dice.randint(1, 3)
    parts = [" ".join(["none"] + [str(dice.randint(1, 4)) for _ in range(actors)])]
    for own in range(1, actors + 1):
        steps = [make_step(dice, own, letters) for _ in range(dice.randint(1, 6))]
        parts.append(" ".join(step + " y" if step[0] == "j" else step for step in steps))
    return " | ".join(parts)


def first_difference(one, other):
    one, other = one.split(";"), other.split(";")
    for place, (a, b) in enumerate(zip(one, other)):
        if a != b:
            return "\n".join(["  ..."] + ["  both:      " + text for text in one[max(0, place - 6):place]]
                             + ["  gevent:    " + a, "  greenroom: " + b])
    return f"  one ends sooner: {len(one)} and {len(other)} steps"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument("--steps", default="yyssssmmiiuuaAgjdx")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)

    dice = random.Random(options.seed)
    programs = [make_program(dice, options.steps) for _ in range(options.programs)]
    ours = subprocess.run([options.program], input="\n".join(programs) + "\n", text=True, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.splitlines()
    gevent.get_hub().exception_stream = None
    differences = 0
    traces = set()
    for number, (line, trace) in enumerate(zip(programs, ours, strict=True)):
        expected = Program(line).run()
        traces.add(expected)
        if expected != trace:
            differences += 1
            if differences <= 3:
                print(f"program {number}: {line}\n{first_difference(expected, trace)}", flush=True)
    print(f"{len(programs)} programs, {len(traces)} different traces, {differences} not the same")
    sys.exit(1 if differences else 0)


main()
