#!/bin/bash
# run_example.sh PROGRAM GOLDEN|- [ARGUMENT...]: runs an example as a test.
set -euo pipefail

program=$1 golden=$2
shift 2
output=$TEST_TMPDIR/stdout

status=0
"$program" "$@" >"$output" </dev/null || status=$?
if [[ $status -ne 0 ]]; then
  cat "$output"
  echo "$program: exit status $status instead of 0" >&2
  exit 1
fi
if [[ $golden != - ]]; then
  diff --unified --label expected --label printed "$golden" "$output"
fi
