#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs libFuzzer programs one after the other.  Seeds: test/fuzz/corpus/NAME for fuzz_NAME; what is new
# goes to out/corpus/NAME, findings to out/findings.
# Usage: fuzz.sh SECONDS|replay PROGRAM...
set -eu
cd "$(dirname "$0")/.."
seconds=$1
shift
mkdir -p out/findings
passed=0
failed=0
for program in "$@"; do
    name=$(basename "$program")
    name=${name#fuzz_}
    seeds=test/fuzz/corpus/$name
    mkdir -p "out/corpus/$name"
    args=(-artifact_prefix="out/findings/$name-" -timeout=20 -rss_limit_mb=2048)
    if [ "$seconds" = replay ]; then
        args+=(-runs=0)
    else
        args+=(-max_total_time="$seconds" -print_final_stats=1 "out/corpus/$name")
    fi
    [ ! -d "$seeds" ] || args+=("$seeds")
    if "$program" "${args[@]}" >"out/findings/$name.log" 2>&1; then
        passed=$((passed + 1))
        echo "  ok   fuzz_$name: $(grep -E 'number_of_executed_units|Done ' "out/findings/$name.log" | tail -n 1)"
    else
        failed=$((failed + 1))
        echo "  FAIL fuzz_$name"
        tail -n 60 "out/findings/$name.log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
