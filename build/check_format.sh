#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names the files that "make format" would change.  Usage: check_format.sh FILE...
set -eu
failed=0
for file; do
    clang-format "$file" | cmp -s - "$file" && continue
    echo "not formatted (make format does it): $file" >&2
    failed=1
done
exit $failed
