#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages that are missing, by name.  Says nothing when none is.
# Usage: deps.sh run|deb|html|release|bench|check|check-deb|check-fresh|check-httpd|compilers|first-five
set -eu

html=(mandoc python3 python3-markdown-it)
run=(build-essential apache2-bin apache2-dev apache2-ssl-dev libssl-dev openssl python3)
package=("${run[@]}" "${html[@]}" debhelper dpkg-dev libcmocka-dev libcurl4-openssl-dev libevent-dev libhiredis-dev
    libjansson-dev libmemcached-dev libseccomp-dev pkgconf python3-cryptography)
bench=("${run[@]}" pkgconf libcurl4-openssl-dev libevent-dev libhiredis-dev libjansson-dev
    libmemcached-dev libseccomp-dev memcached nginx-light haproxy valgrind python3-cryptography mmdebstrap iproute2 git)
check=("${bench[@]}"
    libcmocka-dev python3-pytest python3-pytest-xdist python3-pytest-timeout pyflakes3
    redis-server sasl2-bin etcd-server etcd-client
    rsync curl gnutls-bin libgnutls28-dev faketime libfaketime procps psmisc util-linux git fakeroot
    lighttpd lighttpd-mod-openssl dnsdist trafficserver microsocks tinyproxy
    golang-go default-jdk-headless nodejs caddy hitch libmbedtls-dev libwolfssl-dev stunnel4
    chromium fonts-dejavu-core python3-prometheus-client ansible-core
    zsh fish
    apache2 logrotate prometheus python3-yaml apparmor selinux-utils iproute2
    "${html[@]}" debhelper dpkg-dev gnupg lintian rpm rpmlint systemd
    clang clang-format clang-tidy libclang-rt-dev llvm cppcheck shellcheck gdb)

# Taken apart, not installed: their scripts would change the machine's Apache to another MPM.
unpack=()

what=${1-}
case $what in
run) wanted=("${run[@]}") ;;
deb) wanted=(build-essential apache2-ssl-dev libssl-dev "${html[@]}" debhelper dpkg-dev libcmocka-dev libcurl4-openssl-dev
    libevent-dev libhiredis-dev libjansson-dev libmemcached-dev libseccomp-dev pkgconf python3-cryptography git) ;;
html) wanted=("${html[@]}") ;;
release) wanted=("${package[@]}" git gnupg rpm rpmlint) ;;
bench) wanted=("${bench[@]}") ;;
check)
    wanted=("${check[@]}")
    unpack=(libapache2-mpm-itk)
    ;;
check-deb) wanted=("${package[@]}" git iproute2 mmdebstrap) ;;
compilers) wanted=("${check[@]}" lld) ;;
check-httpd) wanted=("${check[@]}" autoconf automake libtool libnghttp2-dev libpcre2-dev libexpat1-dev) ;;
first-five | check-fresh) wanted=(mmdebstrap git python3) ;;
*)
    echo 'usage: deps.sh run|deb|html|release|bench|check|check-deb|check-fresh|check-httpd|compilers|first-five' >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps: not a Debian system; make sure that you have what these packages hold:" >&2
    echo "  ${wanted[*]}" >&2
    exit 0
fi

# Into out/PACKAGE, with APT's own checks of what it downloads; any user may.
unpack() {
    local work
    work=$(mktemp -d)
    if ! (cd "$work" && { apt-get -q download "$1" || { apt-get -q update && apt-get -q download "$1"; }; } \
        && dpkg -x ./*.deb tree) >"$work/log" 2>&1; then
        cat "$work/log" >&2
        return 1
    fi
    mkdir -p out
    cp -r "$work/tree" "out/$1"
    rm -rf "$work"
}
for package in "${unpack[@]}"; do
    [ -d "out/$package" ] || unpack "$package"
done

# mod_ssl warns in every error log when OpenSSL is older than the one that it was built with.
is_openssl_old() {
    local built have
    built=$(grep -aoE 'OpenSSL [0-9]+\.[0-9]+\.[0-9]+' /usr/lib/apache2/modules/mod_ssl.so 2>/dev/null |
        sed -n '1s/OpenSSL //p')
    have=$(dpkg-query -W -f='${Version}' libssl-dev 2>/dev/null || true)
    [ -n "$built" ] && [ -n "$have" ] && dpkg --compare-versions "$have" lt "$built"
}

find_missing() {
    local package state
    missing=()
    for package in "${wanted[@]}"; do
        # shellcheck disable=SC2016
        state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing+=("$package")
    done
    # libssl-dev brings the library of its own version.  What only builds packages logs nothing.
    if [ ${#missing[@]} -eq 0 ] && [ "$what" != deb ] && is_openssl_old; then
        missing=(libssl-dev openssl)
    fi
}

find_missing
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo 'Packages are missing. As root:' >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi

# The tests start servers of their own; what a package would start must stay down.
policy=/usr/sbin/policy-rc.d
log=$(mktemp)
made=
trap 'rm -f "$log" $made' EXIT
if [ ! -e $policy ]; then
    made=$policy
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive

# Leaves in missing what apt-get could not bring.
install() {
    apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "${missing[@]}" </dev/null &&
        find_missing
}

# What came in may ask for more: see is_openssl_old.
for _ in 1 2; do
    [ ${#missing[@]} -gt 0 ] || break
    echo "Installing: ${missing[*]}"
    wanted_now=${missing[*]}
    # Most often the package lists are missing or old.
    if ! install >"$log" 2>&1 || [ "${missing[*]}" = "$wanted_now" ]; then
        if ! { apt-get -q update && install; } >>"$log" 2>&1; then
            cat "$log" >&2
            exit 1
        fi
    fi
done
