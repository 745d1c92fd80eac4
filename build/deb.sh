#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian packages of what "make dist" packs, in out/deb.  DEB_BUILD_OPTIONS as dpkg-buildpackage has
# them (nocheck: without unit tests).  Usage: deb.sh NAME-VERSION
set -eu
cd "$(dirname "$0")/.."
name=$1
out=$PWD/out/deb
rm -rf "$out"
mkdir -p "$out"
build/dist.sh "$name" "$out"
tar -x -C "$out" -f "$out/$name.tar.gz"
ln "$out/$name.tar.gz" "$out/mod-stek-rotate_${name##*-}.orig.tar.gz"
cd "$out/$name"
# A build of its own: nothing of the make that may have started this.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
if ! dpkg-buildpackage -us -uc >"$out/build.log" 2>&1; then
    tail -n 40 "$out/build.log" >&2
    exit 1
fi
ls "$out"/*.deb
