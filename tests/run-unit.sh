#!/bin/bash
# Run one unit test and print what it says in one piece, so that several may run beside each other: run-unit.sh MODE PROGRAM
# Threads that count their lines (cov) fight over the counters: such a test keeps to one core, the one of its SLOT.
one_core=()
[ "$1" = cov ] && taskset -c "${SLOT:-0}" true 2>/dev/null && one_core=(taskset -c "${SLOT:-0}")
said=$("${one_core[@]}" "$2" 2>&1)
status=$?
printf '== %s %s\n%s\n' "$1" "$(basename "$2")" "$(grep -vE '^\[ +(RUN|OK) +\]' <<<"$said")"
exit $((status != 0))
