#!/usr/bin/python3
"""Counts comments that begin in the middle of a sentence, and refuses more than there were.

A comment starts with its subject: one that begins with "Of", "Or", "So" or "Else" leans on the line
above it, which its reader may not have read. Those that are left are from before that rule; mend
one where you touch its file, and lower ALLOWED.
"""
import os
import re
import sys

ALLOWED = 60

BEGINNING = re.compile(r"^\s*// (?:Of|Or|So|Else)\b")
COMMENT = re.compile(r"^\s*//")


def sources():
    for folder, folders, files in os.walk("."):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "bazel-")))
        yield from (os.path.join(folder, name)[2:] for name in sorted(files) if name.endswith((".h", ".cc")))


def main():
    found = []
    for name in sources():
        before = ""
        with open(name, encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                if BEGINNING.match(line) and not COMMENT.match(before):
                    found.append(f"{name}:{number}: {line.strip()}")
                before = line
    if len(found) > ALLOWED:
        print("\n".join(found))
        print(f"{len(found)} comments begin with Of, Or, So or Else, and {ALLOWED} did: begin the new ones "
              "with their subject")
        sys.exit(1)
    print(f"{len(found)} comments begin with Of, Or, So or Else; at most {ALLOWED} may")


main()
