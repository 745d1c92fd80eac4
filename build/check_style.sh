#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Names lines that break a rule of style which no other tool knows (CONTRIBUTING.md, "Style").
# Usage: check_style.sh FILE...
set -u
name='\*?[A-Za-z_][A-Za-z0-9_]*((->|\.)[A-Za-z0-9_]+|\[[A-Za-z0-9_]+\])*'
failed=0

# Usage: refuse WHAT PATTERN FILE...
refuse() {
    local what=$1 pattern=$2
    shift 2
    if [ $# -gt 0 ] && grep -nHE "$pattern" "$@" >&2; then
        echo "^ $what" >&2
        failed=1
    fi
}

product=() tests=()
for file; do
    case $file in
    test/*) tests+=("$file") ;;
    *) product+=("$file") ;;
    esac
done
refuse "test a pointer as such: if (p), if (!p)" \
    "(^|[^A-Za-z0-9_)>.])$name == NULL|if \($name != NULL|(&&|\|\|) $name != NULL|$name != NULL (&&|\|\||\?)" \
    "${product[@]}"
refuse "declare loop variables at the top of the block" \
    '\bfor \((int|unsigned|size_t|apr_[a-z0-9]+_t) ' "${product[@]}"
refuse "tests are named test_<unit>_<case>_<outcome>, in lower case" \
    '\btest_[a-z0-9_]*[A-Z]' "${tests[@]}"
exit $failed
