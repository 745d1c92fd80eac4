#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Module, stekctl and unit tests by each compiler at each level of optimisation, warnings as errors, and
# each build's unit tests.  "short" only builds module and stekctl, by the two that differ most.
# Usage: compilers.sh full|short
set -u
cd "$(dirname "$0")/.." || exit 1
MAKE=${MAKE:-make}
JOBS=${JOBS:-2}
unset MAKEFLAGS MFLAGS MAKELEVEL
levels=(-O0 -O1 -O2 -O3 '-O3 -flto')
# Minutes of arithmetic at -O0, and nothing that depends on the compiler.
slow='^(test_ring|test_probe_analysis|test_sync)$'
passed=0 failed=0

build() { # compiler, level, out, targets...
    local compiler=$1 level=$2 out=$3 link=$2 lto=()
    shift 3
    # What is not yet machine code needs the compiler's own tools, and the module's link its own driver.
    if [[ $level = *lto* ]]; then
        if [ "$compiler" = clang ]; then
            link="$level -fuse-ld=lld"
            lto=(AR=llvm-ar)
        else
            lto=(AR=gcc-ar)
        fi
        # The linker's --wrap, by which tests stand in for functions, does not see into what LTO makes.
        lto+=(TEST_CFLAGS=-fno-lto LDFLAGS="$link" APXS_LINK="-S CC=$compiler")
    fi
    "$MAKE" --no-print-directory -j"$JOBS" OUT="$out" CC="$compiler" CFLAGS="-g1 $level" WERROR=1 \
        "${lto[@]}" "$@"
}

run_tests() { # out
    local tests=() binary
    for binary in "$1"/unit/test_*; do
        [ -x "$binary" ] && [[ ! $(basename "$binary") =~ $slow ]] && tests+=("$binary")
    done
    "${PYTHON:-/usr/bin/python3}" build/run_unit.py -j "$JOBS" --logs "$1/unit-logs" "${tests[@]}"
}

try() { # mode, compiler, level
    local mode=$1 compiler=$2 level=$3 start=$SECONDS targets=(all) out log
    out=out/compilers/$compiler${level// /}
    log=$out.log
    mkdir -p out/compilers
    [ "$mode" = full ] && targets+=(unit-build)
    if build "$compiler" "$level" "$out" "${targets[@]}" >"$log" 2>&1 \
        && { [ "$mode" = short ] || run_tests "$out" >>"$log" 2>&1; }; then
        passed=$((passed + 1))
        echo "  ok   $compiler $level ($((SECONDS - start)) s)"
    else
        failed=$((failed + 1))
        tail -n 30 "$log"
        echo "  FAILED $compiler $level"
    fi
}

case ${1-} in
full)
    for compiler in gcc clang; do
        for level in "${levels[@]}"; do
            try full $compiler "$level"
        done
    done
    ;;
short)
    try short clang -O0
    try short gcc '-O3 -flto'
    ;;
*)
    echo 'usage: compilers.sh full|short' >&2
    exit 2
    ;;
esac
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
