#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The module's record is all that the module exports, and it links APR, OpenSSL and libc only.
# Usage: check_exports.sh MODULE.so
set -eu
module=$1
symbols=$(nm -D --defined-only "$module" | awk '{ print $3 }' | grep -vE '^(_init|_fini|_edata|_end|__bss_start)$' | sort || true)
if [ "$symbols" != stek_rotate_module ]; then
    printf 'exports: %s must export stek_rotate_module and nothing else, but exports:\n%s\n' \
        "$module" "${symbols:-nothing}" >&2
    exit 1
fi
others=$(objdump -p "$module" | awk '$1 == "NEEDED" { print $2 }' |
    grep -vE '^(libssl|libcrypto|libc|libpthread|libapr-1|libaprutil-1|libpcre2-8|libasan|libubsan|libm|libgcc_s)\.so' || true)
if [ -n "$others" ]; then
    printf 'exports: %s needs libraries that it should not: %s\n' "$module" "$others" >&2
    exit 1
fi
