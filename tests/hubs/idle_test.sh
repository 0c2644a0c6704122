#!/usr/bin/env bash
# idle_test.py with the program that is given.
exec python3 "$(dirname "$0")/idle_test.py" "$1"
