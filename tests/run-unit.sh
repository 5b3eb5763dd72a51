#!/bin/bash
# Run one unit test and print what it says in one piece, so that several may run beside each other: run-unit.sh MODE PROGRAM
said=$("$2" 2>&1)
status=$?
printf '== %s %s\n%s\n' "$1" "$(basename "$2")" "$(grep -vE '^\[ +(RUN|OK) +\]' <<<"$said")"
exit $((status != 0))
