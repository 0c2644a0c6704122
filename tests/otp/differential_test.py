#!/usr/bin/env python3
"""Runs random programs on greenroom and on Erlang, and compares their traces.

    differential_test.py DRIVER INTERPRETER.ERL [--seeds N] [--first SEED] [--hubs N ...]
                         [--mistakes all|none] [--show SEED]

Every trace of greenroom, with each number of hubs, must be Erlang's; and each mistake that the
driver can make on purpose must be found. --show prints one seed's program and its traces.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # beside a source file
import generator

MISTAKES = [
    "kill_can_be_trapped",
    "kill_of_self_is_killed",
    "normal_end_is_an_error",
    "monitor_sees_normal_error",
    "unlink_is_forgotten",
    "demonitor_forgets_its_down",
    "exit_comes_after_down",
    "name_outlives_unregister",
]
SEEDS = 2000
SEEDS_FOR_MISTAKES = 300
APT_LINE = "sudo apt-get install --yes --no-install-recommends erlang-base"
IDENTITY = re.compile(r"<\d+\.\d+\.\d+>|#Ref<[\d.]+>")


def normalise(trace):
    """Pids and references by first appearance; mail between two marks by sender.

    Each line of a trace names a pid at the first time it is seen in both systems, so equal traces
    get equal names. Between two marks mail of several senders has no order that is promised; what
    one sender sent stays as it came.
    """
    names = {}

    def rename(match):
        kind = "#" if match.group().startswith("#") else "@"
        return names.setdefault(match.group(), "%s%d" % (kind, len(names)))

    return [sort_mail(line) for line in IDENTITY.sub(rename, trace).split("\n")]


def sort_mail(line):
    head, arrow, mail = line.partition(" flush -> ")
    if not arrow:
        return line
    slices = [[]]
    for item in mail.split(" ; "):
        if item == "|":
            slices.append([])
        else:
            slices[-1].append(item)
    for items in slices:
        items.sort(key=lambda item: item.split(" ")[0])
    return head + arrow + " | ".join(" ; ".join(items) for items in slices)


def traces_of(path):
    """By seed, not normalised."""
    with open(path, encoding="utf-8") as file:
        programs = file.read().split("program ")[1:]
    return {int(text.split("\n", 1)[0]): text for text in programs}


class Runner:
    def __init__(self, arguments, folder):
        self.arguments = arguments
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def write_programs(self, name, seeds):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.writelines(generator.program(seed) for seed in seeds)

    def run(self, command, trace):
        """A program that hangs is named: the trace ends before it."""
        environment = dict(os.environ, HOME=self.folder)
        start = time.monotonic()
        try:
            subprocess.run(command, check=True, env=environment, timeout=self.arguments.timeout)
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            done = traces_of(self.path(trace)) if os.path.exists(self.path(trace)) else {}
            last = max((seed for seed in done if done[seed].endswith("end\n")), default=None)
            sys.exit("%s\nThe last seed that was done: %s" % (error, last))
        print("%s: %.1f s" % (trace, time.monotonic() - start), flush=True)
        return traces_of(self.path(trace))

    def run_erlang(self, programs):
        command = ["escript", self.arguments.interpreter, self.path(programs), self.path("erlang")]
        return self.run(command, "erlang")

    def run_greenroom(self, programs, hubs=1, mistake="none"):
        trace = "greenroom-%d-%s" % (hubs, mistake)
        command = [self.arguments.driver, self.path(programs), self.path(trace), "--hubs",
                   str(hubs), "--mistake", mistake]
        return self.run(command, trace)


def differences(expected, actual, seeds):
    """The seeds whose traces differ."""
    return [seed for seed in seeds if seed not in actual or seed not in expected
            or normalise(expected[seed]) != normalise(actual[seed])]


def show_difference(seed, expected, actual):
    print("\nseed %d:\n%s" % (seed, generator.program(seed)))
    erlang, greenroom = normalise(expected.get(seed, "")), normalise(actual.get(seed, ""))
    for at, (one, other) in enumerate(zip(erlang + [""], greenroom + [""])):
        if one != other:
            print("the traces agree up to here:\n  " + "\n  ".join(erlang[max(0, at - 12):at]))
            print("erl:\n  " + "\n  ".join(erlang[at:at + 4]))
            print("greenroom:\n  " + "\n  ".join(greenroom[at:at + 4]))
            return


def compare(runner, arguments):
    """Whether all seeds agree."""
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    runner.write_programs("programs", seeds)
    expected = runner.run_erlang("programs")
    is_equal = True
    for hubs in arguments.hubs:
        actual = runner.run_greenroom("programs", hubs=hubs)
        different = differences(expected, actual, seeds)
        print("%d of %d programs agree, hubs: %d" % (len(seeds) - len(different), len(seeds), hubs))
        for seed in different[:arguments.report]:
            show_difference(seed, expected, actual)
        if different:
            print("\nseeds that differ: %s" % different[:20])
            is_equal = False
    return is_equal


def find_mistakes(runner, arguments):
    """Whether the comparison finds each mistake."""
    seeds = range(arguments.first, arguments.first + min(arguments.seeds, SEEDS_FOR_MISTAKES))
    runner.write_programs("few", seeds)
    expected = runner.run_erlang("few")
    are_found = True
    for mistake in MISTAKES:
        actual = runner.run_greenroom("few", mistake=mistake)
        different = differences(expected, actual, seeds)
        print("mistake %s: found by %d of %d programs" % (mistake, len(different), len(seeds)))
        if not different:
            print("the comparison is blind to this mistake")
            are_found = False
    return are_found


def slowdown_of(driver):
    return int(subprocess.run([driver, "--slowdown"], check=True, stdout=subprocess.PIPE).stdout)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver")
    parser.add_argument("interpreter")
    parser.add_argument("--seeds", type=int, help="2000, and fewer with a sanitizer")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--hubs", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--mistakes", choices=["all", "none"], default="all")
    parser.add_argument("--report", type=int, default=3, help="how many differences to print")
    parser.add_argument("--timeout", type=int, default=250, help="seconds for each program run")
    parser.add_argument("--show", type=int)
    arguments = parser.parse_args()
    if arguments.seeds is None:
        arguments.seeds = SEEDS // slowdown_of(arguments.driver)
    return arguments


def main():
    arguments = parse()
    if not shutil.which("escript"):
        sys.exit("This test compares greenroom with Erlang, which is missing. Install it:\n  "
                 + APT_LINE)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(arguments, folder)
        if arguments.show is not None:
            runner.write_programs("programs", [arguments.show])
            print(generator.program(arguments.show))
            for traces in (runner.run_erlang("programs"), runner.run_greenroom("programs")):
                print("\n".join(normalise(traces[arguments.show])))
            return 0
        is_equal = compare(runner, arguments)
        are_found = arguments.mistakes == "none" or find_mistakes(runner, arguments)
        return 0 if is_equal and are_found else 1


if __name__ == "__main__":
    sys.exit(main())
