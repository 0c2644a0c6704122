"""The flags of these programs: those of the C++ program of the same name."""

import argparse


class Flags:
    def __init__(self, unit):
        self.parser = argparse.ArgumentParser(allow_abbrev=False)
        self.parser.add_argument("--unit", type=float, default=unit)
        self.times = []
        self.limits = []

    def count(self, name, default):
        self.parser.add_argument("--" + name, type=int, default=default)

    def time(self, name, default):
        """Given in units; the program gets seconds."""
        self.parser.add_argument("--" + name, type=float, default=default)
        self.times.append(name.replace("-", "_"))

    def limit(self, name, default):
        """A time, or None if it is 0: no limit."""
        self.time(name, default)
        self.limits.append(name)

    def parse(self):
        flags = self.parser.parse_args()
        for name in self.times:
            setattr(flags, name, getattr(flags, name) * flags.unit)
        for name in self.limits:
            setattr(flags, name, getattr(flags, name) or None)
        return flags


def fails(every, number):
    """Whether the greenlet of this number, from 1, is to raise."""
    return every > 0 and number % every == 0


def tell_failures(greenlets):
    """A line for each that has failed or has not ended."""
    for greenlet in greenlets:
        if not greenlet.ready():
            print("late")
        elif not greenlet.successful():
            print(greenlet.exception)
