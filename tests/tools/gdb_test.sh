#!/bin/bash
# The gdb script shows parked greenlets and actors of a live process and of a core file.
# usage: gdb_test.sh SCRIPT PROGRAM
set -uo pipefail
script=$1 program=$2
core=${TEST_TMPDIR:-/tmp}/parked.core
failed=0

# With the guards that are the default on new kernels, gcore leaves out all stacks.
export GREENROOM_STACK_GUARD=mprotect
coproc PARKED { exec "$program"; }
pid=$PARKED_PID
trap 'kill -KILL "$pid" 2>/dev/null; rm -f "$core"' EXIT
line=
read -r -t 60 line <&"${PARKED[0]}"
if [[ $line != parked ]]; then
  echo "the program did not start"
  exit 1
fi

# gdb_on ARGUMENT...: in one go, so that it starts only once.
gdb_on() {
  gdb -nx -batch -iex 'set debuginfod enabled off' "$@" 2>&1
}

# expect WHERE TEXT PATTERN...: each pattern matches a line of the text.
expect() {
  local where=$1 text=$2 pattern
  shift 2
  for pattern in "$@"; do
    grep --quiet --extended-regexp -- "$pattern" <<<"$text" && continue
    failed=1
    printf '%s: no line matches: %s\n' "$where" "$pattern"
  done
}

listed=(
  "^hub 0 \(thread [0-9]+, LWP $pid\): [0-9]+ tasks, asleep$"
  '^hub 1 \(thread [0-9]+, LWP [0-9]+\): '
  "actor <0\.[0-9]+\.[0-9]+> 'archivist' the archive: parked in receive for (at least )?[0-9]+\.[0-9]+ s$"
  "actor <0\.[0-9]+\.[0-9]+> 'ledger' .*Ledger: idle, without a stack$"
  "actor <0\.[0-9]+\.[0-9]+> 'prompter' .*: parked in receive for"
  'greenlet .*lambda.*: parked in event'
  ': parked in sleep for (at least )?[0-9.]+ s, (at most )?3[56][0-9]{2}\.[0-9]+ s left$'
)
stacks=(
  '#[0-9]+ +0x[0-9a-f]+ greenroom::Hub::park at '
  '#[0-9]+ +0x[0-9a-f]+ file_letters at .*parked\.cc:[0-9]+$'
  '#[0-9]+ +0x[0-9a-f]+ wait_for_the_curtain at '
  '#[0-9]+ +0x[0-9a-f]+ hold_the_stage at '
  '#[0-9]+ +0x[0-9a-f]+ prompter at '
  '#[0-9]+ +0x[0-9a-f]+ main at '
)

live=$(gdb_on -p "$pid" -x "$script" -ex 'greenroom list' -ex 'echo ---\n' -ex 'greenroom bt' \
  -ex 'info registers rip rsp' -ex "generate-core-file $core")
expect "live list" "${live%%---*}" "${listed[@]}"
expect "live bt" "${live#*---}" "${stacks[@]}"
# Four frames of the recursion.
(($(grep --count ' file_letters at ' <<<"${live#*---}") == 4)) || {
  failed=1
  echo "live bt: not four frames of file_letters"
}

dead=$(gdb_on "$program" "$core" -x "$script" -ex 'greenroom list' -ex 'echo ---\n' \
  -ex 'greenroom bt all')
expect "core list" "${dead%%---*}" "${listed[@]}"
expect "core bt" "${dead#*---}" "${stacks[@]}"

archivist=$(grep --only-matching --max-count=1 "<0\.[0-9]*\.[0-9]*> 'archivist'" <<<"$dead")
one=$(gdb_on "$program" "$core" -x "$script" -ex "greenroom bt ${archivist%% *}")
expect "bt of one" "$one" 'archivist' 'file_letters'
! grep --quiet 'hold_the_stage' <<<"$one" || {
  failed=1
  echo "bt of one: has others, too"
}
none=$(gdb_on "$program" "$core" -x "$script" -ex 'greenroom bt 12345')
expect "bt of none" "$none" 'There is no greenlet 12345'

# The program goes on as if nothing had been: it ends in order.
kill -TERM "$pid"
wait "$pid" || {
  failed=1
  echo "the program did not survive"
}
((failed == 0)) || printf '%s\n' "--- live:" "$live" "--- core:" "$dead"
exit "$failed"
