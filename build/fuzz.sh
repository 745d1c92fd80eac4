#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs libFuzzer programs one after the other.  Seeds: test/fuzz/corpus/NAME for fuzz_NAME, words:
# test/fuzz/dict/NAME; what is new goes to out/corpus/NAME, findings to out/findings.  "coverage" runs
# all inputs that there are and shows the lines reached, by file.
# Usage: fuzz.sh SECONDS|replay|coverage PROGRAM...
set -eu
cd "$(dirname "$0")/.."
mode=$1
shift
mkdir -p out/findings
passed=0
failed=0
runs=0
cover=out/coverage

inputs() { # name
    for folder in "test/fuzz/corpus/$1" "out/corpus/$1"; do
        [ ! -d "$folder" ] || echo "$folder"
    done
}

executed() { # log
    sed -nE 's/^(stat::number_of_executed_units: +|#)([0-9]+).*/\2/p' "$1" | tail -n 1
}

# Waits for the program, and says every 20 seconds how far it is.
follow() { # pid, name, log
    local next=$((SECONDS + 20))
    while kill -0 "$1" 2>/dev/null; do
        sleep 0.2
        if [ "$SECONDS" -ge "$next" ]; then
            next=$((SECONDS + 20))
            echo "  ...  fuzz_$2: $(grep -E '^#[0-9]+.*exec/s' "$3" | tail -n 1 | tr '\t' ' ')"
        fi
    done
    wait "$1"
}

run() { # program
    local program=$1 name log args n
    name=$(basename "$program")
    name=${name#fuzz_}
    log=out/findings/$name.log
    mkdir -p "out/corpus/$name"
    args=(-artifact_prefix="out/findings/$name-" -timeout=20 -rss_limit_mb=2048)
    [ ! -f "test/fuzz/dict/$name" ] || args+=(-dict="test/fuzz/dict/$name")
    case $mode in
    replay) args+=(-runs=0) && [ ! -d "test/fuzz/corpus/$name" ] || args+=("test/fuzz/corpus/$name") ;;
    coverage)
        mapfile -t -O "${#args[@]}" args < <(inputs "$name")
        args+=(-runs=0)
        ;;
    *)
        args+=(-max_total_time="$mode" -print_final_stats=1 "out/corpus/$name")
        [ ! -d "test/fuzz/corpus/$name" ] || args+=("test/fuzz/corpus/$name")
        ;;
    esac
    LLVM_PROFILE_FILE=$cover/$name.profraw "$program" "${args[@]}" >"$log" 2>&1 &
    if follow $! "$name" "$log"; then
        passed=$((passed + 1))
        n=$(executed "$log")
        runs=$((runs + ${n:-0}))
        echo "  ok   fuzz_$name: ${n:-0} runs"
    else
        failed=$((failed + 1))
        echo "  FAIL fuzz_$name"
        tail -n 60 "$log"
    fi
}

# Each parser, with the target that reads its bytes; lines per file, over all targets.
report() { # program...
    local tool objects=()
    tool=$(compgen -c llvm-cov | sort -u | head -n 1)
    [ -n "$tool" ] || { echo 'llvm-cov is missing: package llvm' >&2; exit 1; }
    for program in "$@"; do
        objects+=(-object "$program")
    done
    "${tool/llvm-cov/llvm-profdata}" merge -o "$cover/all.profdata" "$cover"/*.profraw
    printf '  %-34s %7s %9s %8s\n' file lines 'not seen' seen
    "$tool" report "${objects[@]}" -instr-profile="$cover/all.profdata" -show-branch-summary=false \
        -ignore-filename-regex='test/|/usr/' | awk '/%/ {
            printf "  %-34s %7s %9s %8s\n", $1, $(NF - 2), $(NF - 1), $NF }'
    "$tool" show "${objects[@]}" -instr-profile="$cover/all.profdata" \
        -ignore-filename-regex='test/|/usr/' >"$cover/lines.txt"
    echo "  line by line: $cover/lines.txt"
}

[ "$mode" != coverage ] || { rm -rf "$cover" && mkdir -p "$cover"; }
for program in "$@"; do
    run "$program"
done
[ "$mode" != coverage ] || report "$@"
echo "$runs runs in all"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
