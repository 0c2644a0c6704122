#!/usr/bin/python3
"""Runs clang-tidy over every source of the repository, in parallel, and remembers what was clean.

A file is not looked at again as long as it, every header it includes, .clang-tidy and clang-tidy
itself are what they were. Arguments, if any, are the sources to look at. The last line says how many
were looked at, and of how many the result was taken. The exit status is 0 if there was nothing to
say, else 1.
"""

import concurrent.futures
import functools
import hashlib
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "greenroom"
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-DGTEST_HAS_ABSL=0"]


def sources():
    for folder, subfolders, files in os.walk(ROOT):
        subfolders[:] = [name for name in subfolders if not name.startswith((".", "bazel-"))]
        yield from (pathlib.Path(folder, name) for name in files if name.endswith(".cc"))


def include_tree():
    """A folder in which this repository is called greenroom, as the build shows it."""
    tree = CACHE / "include" / hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    tree.mkdir(parents=True, exist_ok=True)
    link = tree / "greenroom"
    if not link.is_symlink():
        try:
            link.symlink_to(ROOT)
        except FileExistsError:  # another run was faster
            pass
    return tree


@functools.lru_cache(maxsize=None)
def hash_of(path):
    return hashlib.sha256(path.read_bytes()).digest()


def fingerprint(source, flags, version):
    """A hash of all that the verdict on a source depends on; None if it does not preprocess."""
    listing = subprocess.run(
        ["clang++", "-M", *flags, source], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0:
        return None
    names = listing.stdout.replace("\\\n", " ").split(":", 1)[1].split()
    paths = sorted({pathlib.Path(ROOT, name).resolve() for name in names})
    digest = hashlib.sha256(version + (ROOT / ".clang-tidy").read_bytes() + repr(FLAGS).encode())
    for path in paths:
        name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        digest.update(b"%s\0%s\0" % (str(name).encode(), hash_of(path)))
    return digest.hexdigest()


def complaints(source, flags, version):
    """What clang-tidy says about a source, nothing if all is well; and whether it was asked."""
    key = fingerprint(source, flags, version)
    stamp = CACHE / "tidy" / key if key else None
    if stamp and stamp.exists():
        stamp.touch()
        return "", False
    run = subprocess.run(
        ["clang-tidy", "--quiet", str(source.relative_to(ROOT)), "--", *flags],
        cwd=ROOT, capture_output=True, text=True)
    if run.returncode == 0:
        if stamp:
            stamp.touch()
        return "", True
    report = run.stdout or run.stderr
    report = report.replace(str(include_tree() / "greenroom") + "/", "").replace(str(ROOT) + "/", "")
    return report, True


def main():
    arguments = [pathlib.Path(name).resolve() for name in sys.argv[1:]]
    flags = [*FLAGS, "-I" + str(include_tree())]
    (CACHE / "tidy").mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True).stdout
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        found = list(pool.map(lambda source: complaints(source, flags, version),
                              sorted(arguments or sources())))
    # A header's fault is found once per source that includes it, and told once.
    reports = list(dict.fromkeys(report for report, _ in found if report))
    told = set()
    for report in reports:
        for block in split_by_diagnostic(report):
            if block not in told:
                told.add(block)
                print(block, end="")
    asked = sum(was_asked for _, was_asked in found)
    print("%d sources were looked at, the result of %d was taken" % (asked, len(found) - asked))
    return 1 if reports else 0


def split_by_diagnostic(report):
    """A report's diagnostics, each with its notes and source lines."""
    block = ""
    for line in report.splitlines(keepends=True):
        if (": error: " in line or ": warning: " in line) and block:
            yield block
            block = ""
        block += line
    yield block


if __name__ == "__main__":
    sys.exit(main())
