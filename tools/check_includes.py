#!/usr/bin/python3
"""Compares what files include with what their targets declare.

usage: check_includes.py [--table]

Every header of ours that a file includes must belong to its own target or to one that this target
names in its deps. Bazel has its tables from there (tools/greenroom.bzl), but lets a file include
whatever comes along with a dependency. --table prints, folder by folder, what each one uses.
"""
import collections
import os
import re
import subprocess
import sys
import xml.etree.ElementTree

INCLUDE = re.compile(r'^\s*#\s*include\s+"greenroom/([^"]+)"', re.MULTILINE)


def to_path(label):
    """//io/tcp:connect.h -> io/tcp/connect.h"""
    return label[2:].replace(":", "/").lstrip("/")


def read_targets():
    """name -> (its files, its headers, its dependencies)"""
    query = subprocess.run(
        ["bazel", "query", "--ui_event_filters=-info", "--noshow_progress", "--output=xml",
         "--noimplicit_deps", 'kind("cc_(library|binary|test) rule", //...)'],
        stdout=subprocess.PIPE, check=True)
    targets = {}
    for rule in xml.etree.ElementTree.fromstring(query.stdout).iter("rule"):
        lists = collections.defaultdict(list)
        for attribute in rule.iter("list"):
            lists[attribute.get("name")] = [entry.get("value") for entry in attribute.iter("label")]
        targets[rule.get("name")] = (lists["srcs"] + lists["hdrs"], lists["hdrs"], lists["deps"])
    return targets


def folder_of(label):
    return label[2:].split(":")[0]


def main():
    targets = read_targets()
    owners = collections.defaultdict(set)
    for name, (_, headers, _) in targets.items():
        for header in headers:
            owners[to_path(header)].add(name)

    wrong = []
    uses = collections.defaultdict(set)
    for name, (files, _, deps) in sorted(targets.items()):
        own = {to_path(file) for file in files}
        for file in sorted(own):
            if not os.path.exists(file):
                continue
            with open(file, encoding="utf-8") as text:
                includes = INCLUDE.findall(text.read())
            for include in includes:
                if include in own:
                    continue
                if not owners[include]:
                    wrong.append(f"{file}: no target has greenroom/{include}; name it in the hdrs of one")
                elif not owners[include] & set(deps):
                    wrong.append(f"{file}: greenroom/{include} is that of {' or '.join(sorted(owners[include]))}, "
                                 f"which {name} does not name in its deps; name it there, or do without")
                for owner in owners[include] & set(deps):
                    if folder_of(owner) != folder_of(name):
                        uses[folder_of(name)].add(folder_of(owner))

    if "--table" in sys.argv[1:]:
        for folder, used in sorted(uses.items()):
            if folder.split("/")[0] in ("scheduler", "mailbox", "io", "actors"):
                print(f"{folder:20} uses {', '.join(sorted(used))}")
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


main()
