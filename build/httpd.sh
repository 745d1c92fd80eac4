#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Another httpd than the system's, built from its sources over the system's APR, with the modules that the
# tests load; the module built for it without a warning, and the tests.  stekctl, which knows nothing of
# httpd, is the ordinary one.  With an OpenSSL from openssl.sh, httpd's mod_ssl, the module, stekctl and
# the unit tests are built over that.
# Usage: httpd.sh HTTPD_SOURCES OUT OPENSSL_SOURCES OUT_OF_OPENSSL [ARGUMENT_OF_PYTEST...]
# HTTPD_SOURCES is an unpacked release, or a checkout (2.4.52 or later, trunk).  It is not written to; what
# is built stays in OUT-VERSION, and is built once: after a pull, delete it.  OPENSSL_SOURCES may be empty: the system's OpenSSL.
set -euo pipefail
cd "$(dirname "$0")/.."
sources=${1-} openssl_sources=${3-}
if [ ! -e "$sources/include/ap_release.h" ]; then
    echo 'usage: make check-httpd HTTPD_SRC=DIR [OPENSSL_SRC=DIR]   (a tree of httpd sources)' >&2
    exit 2
fi
sources=$(realpath "$sources")
MAKE=${MAKE:-make}
JOBS=${JOBS:-2}
PYTHON=${PYTHON:-/usr/bin/python3}
# What holds of any httpd: directives, tickets on the wire, rotation, reload, binding, revocation, the page.
tests=(test/integration/test_{ahead,default,directives,rotation,reload,binding,tickets_off,ticket_count}.py
    test/integration/test_{selftest,as_stock,stekctl_httpd,status}.py)

quietly() { # log, command...
    local log=$1
    shift
    "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; exit 1; }
}

version=$(sed -n 's/^#define AP_SERVER_\(MAJORVERSION\|MINORVERSION\|PATCHLEVEL\)_NUMBER *//p' \
    "$sources/include/ap_release.h" | paste -sd.)
if [ "${version##*.}" -lt 53 ] && [ "${version%.*}" = 2.4 ] && ! command -v pcre-config >/dev/null; then
    echo 'httpd before 2.4.53 needs PCRE 1: apt-get install libpcre3-dev (Debian 12 has it)' >&2
    exit 1
fi
out=$2-$version ssl=() goals=(module)
variant=(WERROR=1)
if [ -n "$openssl_sources" ]; then
    built=$(build/openssl.sh libraries "$openssl_sources" "$4" | tee >(cat >&2) | sed -n 's/^OpenSSL is in //p')
    [ -n "$built" ] || exit 1
    out+=-${built##*/}
    ssl=(--with-ssl="$built/usr")
    # The variables go into the makefile's CFLAGS and LDFLAGS.
    goals=(all unit)
    variant+=(CFLAGS="-g -O2 -I$built/usr/include" LDFLAGS="-L$built/usr/lib")
    # What the tests compile is over it, too.
    export LD_LIBRARY_PATH=$built/usr/lib PATH=$built/usr/bin:$PATH LIBRARY_PATH=$built/usr/lib CPATH=$built/usr/include
fi
mkdir -p "$out"
out=$(realpath "$out")

# Modules that the tests load; all others would only take time.
enabled=(unixd log-config authz-core authz-host headers env setenvif dir alias mime status info remoteip ssl
    socache-shmcb socache-memcache rewrite proxy proxy-http cgi cgid)
[ ! -e /usr/include/nghttp2/nghttp2.h ] || enabled+=(http2)

build_httpd() {
    rm -rf "$out/build"
    # With its times: what is generated is not made anew.
    cp -a "$sources" "$out/build"
    cd "$out/build"
    # A checkout has no configure yet.
    [ -x configure ] || quietly "$out/buildconf.log" ./buildconf --with-apr="$(apxs -q APR_CONFIG)"
    quietly "$out/configure.log" ./configure --prefix="$out/usr" --enable-mpms-shared='event worker prefork' \
        --with-apr="$(apxs -q APR_CONFIG)" --with-apr-util="$(apxs -q APU_CONFIG)" "${ssl[@]}" \
        --enable-modules=none --enable-mods-shared="${enabled[*]}" CFLAGS='-g -O2'
    quietly "$out/build.log" "$MAKE" -j"$JOBS"
    quietly "$out/install.log" "$MAKE" install
}

start=$SECONDS
if [ ! -e "$out/built" ]; then
    (build_httpd)
    rm -rf "$out/build"
    touch "$out/built"
    echo "httpd is built ($((SECONDS - start)) s)"
fi
export APXS=$out/usr/bin/apxs
"$out/usr/bin/httpd" -v
openssl version
variant+=(OUT="$out/stek" APXS="$APXS")
export STEK_MODULE=$out/stek/.libs/mod_stek_rotate.so
for goal in "${goals[@]}"; do
    "$MAKE" --no-print-directory -j"$JOBS" "${variant[@]}" "$goal"
done
if [ -n "$openssl_sources" ]; then
    export STEK_STEKCTL=$out/stek/stekctl
else
    "$MAKE" --no-print-directory -j"$JOBS" APXS=apxs stekctl
    variant+=(STEKCTL=stekctl/stekctl)
fi

# "make install" with an apxs that is not Debian's: the line that it writes loads the module in this httpd, and
# "make uninstall" leaves nothing.
try_install() {
    local to=$out/installed
    local load=$to$out/usr/conf.modules.d/10-stek_rotate.conf
    rm -rf "$to"
    quietly "$out/install-module.log" "$MAKE" --no-print-directory "${variant[@]}" -o all install DESTDIR="$to"
    printf '%s\n' 'LoadModule mpm_event_module modules/mod_mpm_event.so' \
        'LoadModule unixd_module modules/mod_unixd.so' 'LoadModule ssl_module modules/mod_ssl.so' 'Listen 127.0.0.1:1' \
        "Include $load" "Include $to$out/usr/conf.d/stek_rotate.conf" >"$out/installed.conf"
    # Where it says that the module will be, once the folder is copied to /.
    sed -i "s,LoadModule stek_rotate_module $out/usr/,LoadModule stek_rotate_module $to$out/usr/," "$load"
    "$out/usr/bin/httpd" -f "$out/installed.conf" -M | grep stek_rotate
    quietly "$out/uninstall-module.log" "$MAKE" --no-print-directory "${variant[@]}" uninstall DESTDIR="$to"
    [ -z "$(find "$to" ! -type d)" ] || { find "$to" ! -type d >&2; exit 1; }
}
try_install
"$PYTHON" -m pytest "${tests[@]}" -q -p no:cacheprovider -n "$JOBS" -k 'not worker and not prefork' "${@:5}"
