#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The version is in include/stek_version.h.  What must repeat it, repeats it.
set -eu
cd "$(dirname "$0")/.."
version=$(sed -n 's/^#define STEK_VERSION "\(.*\)"$/\1/p' include/stek_version.h)
failed=0

says() { # file, what it says
    [ "$2" = "$version" ] && return 0
    echo "version: $1 says '$2', include/stek_version.h '$version'" >&2
    failed=1
}

says debian/changelog "$(sed -n '1s/^mod-stek-rotate (\([^)-]*\)-[^)]*) .*/\1/p' debian/changelog)"
says build/rpm/mod_stek_rotate.spec "$(sed -n 's/^Version: *//p' build/rpm/mod_stek_rotate.spec)"
says CHANGES.md "$(sed -n 's/^## \([^, ]*\).*/\1/p' CHANGES.md | head -n 1)"
for page in docs/*.[58]; do
    says "$page" "$(sed -n 's/^\.Os "*mod_stek_rotate \([^"]*\)"*$/\1/p' "$page")"
done
exit $failed
