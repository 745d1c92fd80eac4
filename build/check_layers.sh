#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The arrows go one way (CONTRIBUTING.md): the core and stekctl know nothing of httpd, the core nothing
# of stekctl, and the core reads no clock and writes no log.  Within each of them there is no circle, and
# stekctl's rooms have one door each: rooms.py.
set -eu
cd "$(dirname "$0")/.."
shopt -s nullglob
failed=0

refuse() { # what, pattern, files...
    local what=$1 pattern=$2 hits
    shift 2
    [ $# -gt 0 ] || return 0
    if hits=$(grep -nE "$pattern" "$@" /dev/null); then
        printf 'layers: %s:\n%s\n' "$what" "$hits" >&2
        failed=1
    fi
}

core=(src/stek_*.c src/stek_*.h include/stek_*.h)
httpd='^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](httpd|http_|ap_|util_|mod_|mpm_|scoreboard|unixd)'
refuse 'the core includes a header of httpd or of the glue' "$httpd" "${core[@]}"
refuse 'stekctl includes a header of httpd or of the glue' "$httpd" stekctl/*.[ch] stekctl/*/*.[ch]
refuse 'the core includes a header of stekctl' '#[[:space:]]*include[[:space:]]*[<"](\.\./)?(stekctl|ring|convert|fleet|probe)/' "${core[@]}"
refuse 'the core reads a clock' '(^|[^_[:alnum:]])(apr_time_now|time|gettimeofday|clock_gettime)[[:space:]]*\(' src/stek_*.c
refuse 'the core writes to a log or terminal' '(^|[^_[:alnum:]])(printf|fprintf|perror|syslog|puts|ap_log_[a-z]+)[[:space:]]*\(' src/stek_*.c

# A source without a header has no contract.
for source in src/stek_*.c; do
    header=include/$(basename "$source" .c).h
    [ -e "$header" ] || { echo "layers: $source has no $header" >&2; failed=1; }
done
for source in mod_stek_rotate.c src/*.c src/*.h include/*.h stekctl/*.[ch] stekctl/*/*.[ch] test/*/*.c test/*/*.h; do
    [ -e "$source" ] || continue
    head -n 1 "$source" | grep -q '^/\* SPDX-License-Identifier: Apache-2.0 \*/$' ||
        { echo "layers: $source does not begin with its licence line" >&2; failed=1; }
done
"${PYTHON:-/usr/bin/python3}" build/rooms.py || failed=1
exit $failed
