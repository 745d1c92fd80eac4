#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names the files that "make format" would change.  Usage: check_format.sh FILE...
set -eu
said=$(clang-format --dry-run --Werror --ferror-limit=1 "$@" 2>&1) && exit 0
sed -nE 's/^([^:]+):[0-9]+:[0-9]+: error: code should be .*/not formatted (make format does it): \1/p' <<<"$said" |
    sort -u >&2
grep -q ': error: code should be ' <<<"$said" || echo "$said" >&2
exit 1
