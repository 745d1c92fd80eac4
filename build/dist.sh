#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Source tarball of what git tracks, the same bytes each time: times of the last commit, sorted names,
# no owner.  Usage: dist.sh NAME-VERSION [DIRECTORY]
set -eu
cd "$(dirname "$0")/.."
name=$1
to=${2-.}/$name.tar.gz
time=$(git log -1 --format=%ct)
git ls-files -z | LC_ALL=C sort -z |
    tar -c --null --no-recursion --transform "flags=r;s,^,$name/," --format=ustar \
        --owner=0 --group=0 --numeric-owner --mode='u+rw,go=u,go-w' --mtime="@$time" -T - |
    gzip -9n >"$to"
sha256sum "$to"
