#!/usr/bin/python3
"""Runs programs of gevent's tutorials on greenroom and on gevent, and compares what they print.

    differential_test.py FOLDER [--programs NAME...] [--settings N] [--seed SEED] [--unit SECONDS]
    differential_test.py FOLDER [--programs NAME...] --load [--runs N]

FOLDER has the executables of examples/gevent; the Python programs of their names are beside this
file. Both run with the same random flags, and must print the same on stdout. With --load each runs
with its default flags while another process keeps a core busy, and must print what it always prints.

The seed is printed; --seed, or the environment variable GREENROOM_SEED, gives the same settings again.
"""

import argparse
import concurrent.futures
import difflib
import os
import random
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # beside a source file
import settings

PYTHON = "/usr/bin/python3"
APT_LINE = "sudo apt-get install --yes --no-install-recommends python3-gevent"
FOLDER = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(FOLDER, "..", "..", "examples", "gevent")
AT_ONCE = 4  # pairs: they sleep most of the time
PATIENCE = [1, 10, 30]  # a difference counts if the unit that is so many times longer has it, too


class Comparison:
    """A program with one setting of its flags, run on both sides."""

    def __init__(self, name, flags, arguments):
        self.name = name
        self.flags = flags
        self.arguments = arguments
        for times in PATIENCE:
            self.run(arguments.unit * times)
            if not self.differs():
                break
        self.was_late = times > 1

    def run(self, unit):
        flags = ["--%s=%s" % flag for flag in self.flags.items()] + ["--unit=%s" % unit]
        script = os.path.join(FOLDER, self.name + ".py")
        program = os.path.join(self.arguments.folder, self.name)
        self.commands = [[PYTHON, "-B", script] + flags, [program] + flags]
        started = [subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, text=True) for command in self.commands]
        self.results = [self.result_of(process) for process in started]

    def result_of(self, process):
        """Exit status, what it has written to stdout and to stderr."""
        try:
            out, errors = process.communicate(timeout=self.arguments.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, errors = process.communicate()
            return "hangs", out, errors
        return process.returncode, out, errors

    def differs(self):
        return self.results[0][:2] != self.results[1][:2]

    def output(self):
        return self.results[0][1]

    def has_thrown(self):
        return "Traceback" in self.results[0][2]

    def has_timed_out(self):
        words = settings.TIMED_OUT.get(self.name)
        return bool(words and re.search(words, self.output()))

    def show(self):
        print("\n%s differs:" % self.name)
        for command, (status, _, errors) in zip(self.commands, self.results):
            print("  " + " ".join(command))
            if status != 0:
                print("  status %s\n%s" % (status, errors))
        lines = [result[1].splitlines() for result in self.results]
        print("\n".join("  " + line for line in difflib.unified_diff(
            *lines, "gevent", "greenroom", lineterm="", n=100)))


def compare(arguments):
    """Whether all settings agree."""
    seed = arguments.seed
    if seed is None:
        seed = int(os.environ.get("GREENROOM_SEED") or random.SystemRandom().randrange(1 << 32))
    print("--seed %d gives these settings again" % seed, flush=True)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        runs = []
        for name in arguments.programs:
            # By program, so that one alone gets the settings that it has among all.
            dice = random.Random("%d %s" % (seed, name))
            for _ in range(arguments.settings):
                flags = settings.PROGRAMS[name](dice)
                runs.append(pool.submit(Comparison, name, flags, arguments))
        done = [run.result() for run in runs]

    for name in arguments.programs:
        print_sum(name, [run for run in done if run.name == name])
    print_sum("all", done)
    different = [run for run in done if run.differs()]
    for run in different[:arguments.report]:
        run.show()
    return not different


def print_sum(name, runs):
    print("%-16s %3d settings, %3d different outputs, %3d with a throw, %3d with a timeout; "
          "%d agree%s" % (
              name, len(runs), len({(run.name, run.output()) for run in runs}),
              sum(run.has_thrown() for run in runs), sum(run.has_timed_out() for run in runs),
              sum(not run.differs() for run in runs),
              ", %d with a longer unit" % late
              if (late := sum(run.was_late and not run.differs() for run in runs)) else ""),
          flush=True)


def run_under_load(arguments):
    """Whether each program prints its golden output each time."""
    busy = subprocess.Popen([PYTHON, "-c", "while True: pass"])
    try:
        good = {name: sum(prints_golden(name, arguments) for _ in range(arguments.runs))
                for name in arguments.programs}
    finally:
        busy.kill()
        busy.wait()
    for name, count in good.items():
        print("%-16s %d of %d runs under load print the golden output" % (name, count, arguments.runs))
    return all(count == arguments.runs for count in good.values())


def prints_golden(name, arguments):
    command = [os.path.join(arguments.folder, name), "--unit=%s" % arguments.unit]
    out = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         timeout=arguments.timeout).stdout
    with open(os.path.join(GOLDEN, name + ".txt"), "rb") as file:
        return file.read() == out


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--programs", nargs="+", default=sorted(settings.PROGRAMS),
                        choices=sorted(settings.PROGRAMS), metavar="NAME")
    parser.add_argument("--settings", type=int, default=5, help="of each program")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--unit", type=float, default=0.02, help="seconds, for both sides")
    parser.add_argument("--report", type=int, default=3, help="how many differences to print")
    parser.add_argument("--timeout", type=int, default=60, help="seconds for each run")
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--runs", type=int, default=20, help="of each program, with --load")
    return parser.parse_args()


def main():
    arguments = parse()
    if subprocess.run([PYTHON, "-c", "import gevent"], check=False).returncode != 0:
        sys.exit("This test compares greenroom with gevent, which is missing. Install it:\n  "
                 + APT_LINE)
    return 0 if (run_under_load if arguments.load else compare)(arguments) else 1


if __name__ == "__main__":
    sys.exit(main())
