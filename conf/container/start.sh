#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a container of the image does.  Usage: start.sh setup|sync|httpd
#   setup  makes in /shared, if they are missing, the fleet secret and a self-signed certificate, and ends
#   sync   keeps the ring in /run/stek-www in step with the fleet's
#   httpd  serves with the keys of that ring
# A host is one container of sync and one of httpd, which share /run/stek-www, a tmpfs, and nothing else.
set -eu
case ${1-} in
setup)
    umask 077
    [ -e /shared/www.secret ] || stekctl --secret /shared/www.secret secret new --fleet
    [ -e /shared/site.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
        -subj /CN=www.example.org -addext subjectAltName=DNS:www.example.org \
        -addext basicConstraints=critical,CA:FALSE \
        -keyout /shared/site.key -out /shared/site.pem
    ;;
sync)
    # As the unit stek-sync@www has it: root's file, and a copy for the user stek alone.
    credentials=/run/credentials/stek-sync@www.service
    install -m 600 /shared/www.secret /etc/stek/www.secret
    install -d -m 755 /run/credentials
    install -d -o stek -m 500 "$credentials"
    install -o stek -m 400 /shared/www.secret "$credentials/fleet-secret"
    install -d -o stek -g www-data -m 750 /run/stek-www /var/lib/stek-www
    umask 077
    exec setpriv --reuid=stek --regid=www-data --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
        env STATE_DIRECTORY=/var/lib/stek-www CREDENTIALS_DIRECTORY="$credentials" \
        stekctl sync --config /etc/stek/www.conf
    ;;
httpd)
    exec apachectl -D FOREGROUND
    ;;
*)
    echo 'usage: start.sh setup|sync|httpd' >&2
    exit 2
    ;;
esac
