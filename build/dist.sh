#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Source tarball of what git tracks, the same bytes each time and on every release of Debian: times of the last
# commit (or SOURCE_DATE_EPOCH), sorted names, no owner.  Usage: dist.sh NAME-VERSION [DIRECTORY]
set -eu -o pipefail
cd "$(dirname "$0")/.."
name=$1
to=${2-.}/$name.tar.gz
git ls-files -z | "${PYTHON:-/usr/bin/python3}" build/make_tar.py "$name" "${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" | gzip -9n >"$to"
sha256sum "$to"
