#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another OpenSSL than the system's, built from its sources, and the tests over it:
#   fips    a FIPS provider for the system's libraries; these load it and nothing else.  The sources
#           should be of the system's own version (on Debian: apt-get source openssl).
#   newer   libraries of another version, 3.0 or later: module, stekctl and tests are built over
#           their headers, and httpd runs over them.
#   libraries   the same libraries alone, for httpd.sh: says where they are.
# Usage: openssl.sh fips|newer|libraries SOURCES OUT
# SOURCES is an unpacked source tree.  What is built stays in OUT-VERSION, and is built once: after a
# pull, delete it.
set -eu
cd "$(dirname "$0")/.."
mode=${1-} sources=${2-}
if [ $# -ne 3 ] || [ ! -x "$sources/Configure" ]; then
    echo 'usage: make fips|openssl|check-httpd OPENSSL_SRC=DIR   (a tree of OpenSSL sources)' >&2
    exit 2
fi
sources=$(realpath "$sources")
# One for each version: what another source tree left must not pass for this one.
version=$(sed -n 's/^\(MAJOR\|MINOR\|PATCH\|PRE_RELEASE_TAG\)=//p' "$sources/VERSION.dat" | paste -sd.)
out=$3-${version%.}
mkdir -p "$out"
out=$(realpath "$out")
MAKE=${MAKE:-make}
JOBS=${JOBS:-2}
PYTHON=${PYTHON:-/usr/bin/python3}
# Tests of what calls OpenSSL: keys, seals, tickets, the self-test, and the neighbours' use of TLS.
tests=(test/integration/test_{default,selftest,stekctl_ring,binding,as_stock,neighbours}.py)

quietly() { # log, command...
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; exit 1; }
}

configure() { # arguments for OpenSSL's Configure
    mkdir -p "$out/build"
    cd "$out/build"
    [ -e Makefile ] || quietly "$out/configure.log" "$sources/Configure" no-tests "$@"
}

build_fips() {
    configure enable-fips
    quietly "$out/generated.log" "$MAKE" -j"$JOBS" build_generated
    quietly "$out/build.log" "$MAKE" -j"$JOBS" providers/fips.so
    quietly "$out/install.log" openssl fipsinstall -module providers/fips.so -out "$out/module.cnf"
    {
        printf '%s\n' 'openssl_conf = init' 'config_diagnostics = 1' '[init]' 'providers = providers' \
            'alg_section = algorithms' '[providers]' 'fips = fips_sect' 'base = base_sect' \
            '[base_sect]' 'activate = 1' '[algorithms]' 'default_properties = fips=yes'
        sed "s,^\[fips_sect\],&\nmodule = $PWD/providers/fips.so," "$out/module.cnf"
    } >"$out/openssl.cnf"
}

build_newer() {
    [ ! -e "$out/usr/lib/libssl.so" ] || return 0
    # Debian's httpd asks for the symbol versions that a build of upstream's has too.
    configure shared --prefix="$out/usr" --libdir=lib --openssldir="$out/ssl"
    quietly "$out/build.log" "$MAKE" -j"$JOBS" build_sw
    quietly "$out/install.log" "$MAKE" install_sw install_ssldirs
}

start=$SECONDS
(if [ "$mode" = fips ]; then build_fips; else build_newer; fi)
echo "OpenSSL is built ($((SECONDS - start)) s)"
if [ "$mode" = libraries ]; then
    echo "OpenSSL is in $out"
    exit 0
fi
# Debian's httpd is linked with OpenSSL 3.
if [ "$mode" = newer ] && [ "${version%%.*}" != 3 ]; then
    echo "openssl: httpd has to be built over OpenSSL ${version%%.*}, too: make check-httpd HTTPD_SRC=DIR" \
        "OPENSSL_SRC=$sources" >&2
    exit 2
fi

variant=() units=()
if [ "$mode" = fips ]; then
    export OPENSSL_CONF=$out/openssl.cnf
    if openssl md5 /dev/null >/dev/null 2>&1; then
        echo 'fips: MD5 works: the provider is not in force' >&2
        exit 1
    fi
    openssl list -providers
    # stekctl probe looks for weak keys of ciphers and digests that FIPS does not have.
    units=(UNIT_BIN="$(for test in test/unit/test_*.c; do
        [ "$test" = test/unit/test_probe_analysis.c ] || echo "out/unit/$(basename "$test" .c)"
    done | tr '\n' ' ')")
else
    # The variables go into the makefile's CFLAGS and LDFLAGS.
    variant=(OUT="$out/stek" CFLAGS="-g -O2 -I$out/usr/include" LDFLAGS="-L$out/usr/lib" WERROR=1)
    export STEK_MODULE=$out/stek/.libs/mod_stek_rotate.so STEK_STEKCTL=$out/stek/stekctl
    export LD_LIBRARY_PATH=$out/usr/lib PATH=$out/usr/bin:$PATH
    openssl version
fi
"$MAKE" --no-print-directory -j"$JOBS" "${variant[@]}" all
"$MAKE" --no-print-directory "${variant[@]}" "${units[@]}" unit
"$PYTHON" -m pytest "${tests[@]}" -q -p no:cacheprovider -n "$JOBS" \
    -k 'not worker and not prefork'
