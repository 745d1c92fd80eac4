#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Gives the hosts of a fleet what they must share. Run it as root on one of them, where /etc/stek/NAME.conf
# describes the fleet. It makes the fleet secret, /etc/stek/NAME.secret, if there is none yet, and copies every
# file in /etc/stek that is called NAME.SOMETHING (configuration, secret, password, certificates of the store) to
# the other hosts over ssh. Run it again to add a host, or after a change of the configuration; then restart
# stek-sync@NAME there. A host that has another fleet secret is left as it is.
#
# Usage: copy.sh NAME HOST...
#   copy.sh www web2.example.net web3.example.net
set -eu
[ $# -ge 2 ] || { echo 'usage: copy.sh NAME HOST...' >&2; exit 2; }
name=$1
shift
case $name in
'' | *[!A-Za-z0-9_-]*) echo "copy.sh: the fleet's name must be letters, digits, - and _" >&2; exit 2 ;;
esac
[ -e "/etc/stek/$name.conf" ] || { echo "copy.sh: /etc/stek/$name.conf is missing: write it first" >&2; exit 1; }
[ -e "/etc/stek/$name.secret" ] || stekctl --secret "/etc/stek/$name.secret" secret new --fleet

# What each host runs: nothing changes there before all files have arrived.
receive='set -eu
umask 077
getent passwd stek >/dev/null || systemd-sysusers stek.conf
[ -d /etc/stek ] || install -d -m 755 /etc/stek
new=$(mktemp -d /etc/stek/.new.XXXXXX)
trap "rm -rf $new" EXIT
tar -C "$new" -xpf -
if [ -e "/etc/stek/$name.secret" ] && ! cmp -s "/etc/stek/$name.secret" "$new/$name.secret"; then
    echo "it has another /etc/stek/$name.secret: remove that first, if no other fleet uses it" >&2
    exit 1
fi
mv -f "$new/$name".* /etc/stek/'
failed=0
for host; do
    if (cd /etc/stek && tar -cf - "$name".*) | ${STEK_SSH:-ssh} "root@$host" "name=$name; $receive"; then
        echo "$host: has the files of $name"
    else
        echo "copy.sh: $host: nothing was copied" >&2
        failed=1
    fi
done
exit $failed
