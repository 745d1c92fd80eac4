#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Source tarball of what git tracks, the same bytes each time and on every release of Debian: times of the last
# commit (or SOURCE_DATE_EPOCH), sorted names, no owner.  Usage: dist.sh NAME-VERSION [DIRECTORY]
set -eu -o pipefail
cd "$(dirname "$0")/.."
name=$1
to=${2-.}/$name.tar.gz
# A tree inside of another repository is not packed by what that one tracks.
if top=$(git rev-parse --show-toplevel) && [ "$top" = "$(pwd -P)" ]; then
    seconds=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
else
    echo "dist: $PWD is not a git checkout: take the tarball that it came from, or commit it to a repository of its own" >&2
    exit 1
fi
trap 'rm -f "$to.part"' EXIT
git ls-files -z | "${PYTHON:-/usr/bin/python3}" build/make_tar.py "$name" "$seconds" | gzip -9n >"$to.part"
mv "$to.part" "$to"
sha256sum "$to"
