#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# "make check": every step runs, whether or not one before it failed, and the last line counts tests:
# "N passed, N failed".  A step that is not itself a run of tests (lint, exports, ...) counts as one.
# Exit code 0 only if nothing failed.  STEPS="build integration": these alone.
set -u
cd "$(dirname "$0")/.." || exit 1
MAKE=${MAKE:-make}
export JOBS=${JOBS:-2}
# Root has every right that a test may need.
[ "$(id -u)" -ne 0 ] || export STEK_NO_SKIP=1
# Random cases depend on the last commit: everyone who checks that commit meets the same ones, and the
# next commit meets others.  Without git, or with STEK_SEED= (empty), each run draws anew.
if [ -z "${STEK_SEED+set}" ] && tree=$(git rev-parse 'HEAD^{tree}' 2>/dev/null); then
    export STEK_SEED=$((16#${tree:0:8} | 1))
fi
# The steps start makes of their own, not parts of the one that may have started this.
unset MAKEFLAGS MFLAGS MAKELEVEL
work=$(mktemp -d)
log=$work/step
aside=
trap '[ -z "$aside" ] || kill "$aside" 2>/dev/null; rm -rf "$work"' EXIT
passed=0
failed=0
broken=()

wanted() { # name
    [[ -z ${STEPS-} || " $STEPS " == *" $1 "* ]]
}

step() { # name, command...
    wanted "$1" || return 0
    local name=$1 start=$SECONDS ok=ok line p f
    shift
    echo "== $name"
    "$@" </dev/null 2>&1 | tee "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || ok=FAILED
    # The runner's or pytest's closing line, if the step has one.
    line=$(grep -E '(^|[ =])[0-9]+ (passed|failed|error|errors)(,| in|$)' "$log" | tail -n 1 || true)
    p=$(sed -nE 's/^(.*[^0-9])?([0-9]+) passed.*/\2/p' <<<"$line")
    f=$(sed -nE 's/^(.*[^0-9])?([0-9]+) failed.*/\2/p' <<<"$line")
    e=$(sed -nE 's/^(.*[^0-9])?([0-9]+) errors?.*/\2/p' <<<"$line")
    p=${p:-0}
    f=$((${f:-0} + ${e:-0}))
    if [ $ok = FAILED ]; then
        [ "$f" -gt 0 ] || f=1
        broken+=("$name")
    elif [ "$p" -eq 0 ]; then
        p=1
    fi
    passed=$((passed + p))
    failed=$((failed + f))
    echo "== $name: $ok ($((SECONDS - start)) s)"
}

make_quiet() { "$MAKE" --no-print-directory "$@"; }

# Steps that only compute, on what the integration tests leave: most of those wait for a clock.
run_aside() { # name...
    local name
    for name in "$@"; do
        wanted "$name" || continue
        nice -n 19 "$MAKE" --no-print-directory -k "$name" >"$work/$name" 2>&1
        echo $? >"$work/$name.code"
    done
}

shown() { # name
    cat "$work/$1"
    return "$(cat "$work/$1.code")"
}

[ -z "${STEK_SEED-}" ] || echo "STEK_SEED=$STEK_SEED"
step build make_quiet -j"$JOBS" WERROR=1 all
step exports make_quiet exports
step unit make_quiet -j"$JOBS" unit
step soak make_quiet -j"$JOBS" soak
if compgen -G 'test/fuzz/fuzz_*.c' >/dev/null; then
    step fuzz-replay make_quiet fuzz-replay
fi
step fault make_quiet FAULT_STEP=25 fault-unit fault-guard
run_aside packages lint compilers-short bare simulate-short </dev/null &
aside=$!
step integration make_quiet integration
wait "$aside"
aside=
step packages shown packages
step lint shown lint
step compilers-short shown compilers-short
step bare shown bare
step simulate-short shown simulate-short

[ ${#broken[@]} -eq 0 ] || echo "Failed: ${broken[*]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
