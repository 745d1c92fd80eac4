#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The build without make: the one apxs line of the README, over nothing but the committed kinds of
# files, installs a module that exports what it should.  Installs into a directory of its own.
set -eu
cd "$(dirname "$0")/.."
top=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source" "$work/modules" "$work/etc" "$work/etc/mods-available"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -co --exclude-standard -z -- '*.c' '*.h'
else
    find . \( -name '*.c' -o -name '*.h' \) -print0
fi | tar -c --null -T - | tar -x -C "$work/source"
cd "$work/source"
# -A, not -a: enabling is a2enmod's work and belongs to the machine.
if ! apxs -S "LIBEXECDIR=$work/modules" -S "SYSCONFDIR=$work/etc" \
    -c -i -A -Iinclude mod_stek_rotate.c src/*.c -lssl -lcrypto >"$work/log" 2>&1; then
    cat "$work/log" >&2
    echo 'bare: apxs failed' >&2
    exit 1
fi
"$top/build/check_exports.sh" "$work/modules/mod_stek_rotate.so"
grep -q '^LoadModule stek_rotate_module ' "$work/etc/mods-available/stek_rotate.load" ||
    { echo 'bare: apxs did not find the name of the module' >&2; exit 1; }
