#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# RPM packages of what "make dist" packs, in out/rpm, judged by rpmlint.  On a system whose packages are not RPM's the
# build goes on without looking for what it requires, and takes apxs where it is.
# Usage: rpm.sh NAME-VERSION [source]     source: the source package only
set -eu
cd "$(dirname "$0")/.."
name=$1
out=$PWD/out/rpm
rm -rf "$out"
mkdir -p "$out/SOURCES"
build/dist.sh "$name" "$out/SOURCES" >/dev/null
options=(--define "_topdir $out")
if [ ! -e /etc/rpm/macros.dist ] && [ ! -e /usr/lib/rpm/macros.d/macros.dist ]; then
    options+=(--nodeps --define "_httpd_apxs $(command -v apxs)" --define '_httpd_mmn 20120211'
        --define '_unitdir /usr/lib/systemd/system' --define '_sysusersdir /usr/lib/sysusers.d')
fi
stage=-ba
[ "${2-}" != source ] || stage=-bs
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
if ! rpmbuild "$stage" "${options[@]}" build/rpm/mod_stek_rotate.spec >"$out/build.log" 2>&1; then
    tail -n 40 "$out/build.log" >&2
    exit 1
fi
rpmlint -c build/rpm/rpmlint.toml build/rpm/mod_stek_rotate.spec "$out"/*RPMS
find "$out" -name '*.rpm' | sort
