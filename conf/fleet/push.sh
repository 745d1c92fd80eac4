#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Pushes a ring and its local secret to other hosts over ssh: a fleet without a store. One host makes the keys
# (its httpd with generate=on, or stekctl sync). Run this script there as root every few minutes, from cron or a
# timer. On the other hosts, configure:
#   StekRing default file=/run/stek/default.ring secret=/run/stek/default.secret generate=off
# rsync writes a temporary file and renames it, so httpd sees either the old ring or the new one. The secret
# goes first. If this host fails, the others continue for as long as keys are prepared: make that long
# ("ahead=24" is a day), and have another host ready.
#
# Usage: push.sh RING DIRECTORY HOST...
#   push.sh /run/apache2/stek_rotate/default.ring /run/stek web2 web3
set -eu
[ $# -ge 3 ] || { echo 'usage: push.sh RING DIRECTORY HOST...' >&2; exit 2; }
ring=$1
directory=$2
shift 2
group=${STEK_GROUP:-www-data}
failed=0
for host; do
    { rsync -e "${STEK_SSH:-ssh}" --times --perms --chmod=F600 --timeout=20 --rsync-path="mkdir -p '$directory' && rsync" \
          "${ring%.ring}.secret" "$host:$directory/" &&
      rsync -e "${STEK_SSH:-ssh}" --times --perms --chmod=F640 --chown=":$group" --timeout=20 \
          "$ring" "$host:$directory/"; } || { echo "push.sh: $host failed" >&2; failed=1; }
done
exit $failed
