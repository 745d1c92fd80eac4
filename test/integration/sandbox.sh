#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A Debian host for commands to be run on by the letter: own mounts, network and processes, so that /etc, /run
# and port 443 are nobody else's, and all of it is gone at the end. httpd is installed as Debian has it, with
# the module and one TLS site, www.example.org. Usage, as root:
#   unshare --mount --net --pid --fork --kill-child --mount-proc sandbox.sh SCRIPT
# Environment: TOP, MODULE, STEKCTL; SERVER=httpd|nginx|none; LINES, a file of the server's own lines; STOCK=1: httpd
# without the module; PEERS, a file like /etc/hosts: no host by itself, but one of a network of these (test_fleet_three.py),
# where stores are not started before the page says so.
set -eu
mount --make-rprivate /
scratch=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$scratch"
mkdir "$scratch/work"
mkdir "$scratch/etc"
sh "$(dirname "$0")/copy_etc.sh" "$scratch/etc"
mount --bind "$scratch/etc" /etc
cp -a /var/lib/apache2 "$scratch/apache2" # where a2enmod and its like keep notes
mount --bind "$scratch/apache2" /var/lib/apache2
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/log
mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin
mkdir -p /run/lock /var/log/apache2 /var/log/nginx
ip link set lo up
if [ "${PEERS:-}" ]; then
    cp "$PEERS" /etc/hosts
else
    echo "127.0.0.1 www.example.org localhost stek.example.net $(hostname)" >/etc/hosts
    echo "127.0.0.1 web1.example.net web2.example.net web3.example.net" >>/etc/hosts # the pages' fleet
fi

# What a command line finds first: the stekctl that was built, and stand-ins for what a sandbox has not.
install -m 755 "$STEKCTL" /usr/local/sbin/stekctl
install -D -m 644 "$TOP/build/systemd/stek.sysusers" /etc/sysusers.d/stek.conf
cat >/usr/local/sbin/sudo <<'END'
#!/bin/sh
exec "$@"
END
# Each of the pages' hosts is this one.
cat >/usr/local/sbin/ssh <<'END'
#!/bin/sh
shift
exec sh -c "$*"
END
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/bash
# stek-sync@NAME as its unit has it: its user, httpd's group, a directory, and the fleet secret as a credential,
# which systemd copies when it starts a service, and only then.
# apache2: stopped when it has ended, as systemd does it.
if [ "$2" = apache2 ]; then
    pid=$(cat /run/apache2/apache2.pid 2>/dev/null)
    apachectl "$1"
    while [ "$1" = stop ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    exit
fi
case "$*" in
"restart memcached") # as Debian's wrapper reads its options
    mkdir -p /run/memcached
    exec memcached -d $(sed -n 's/^-[lp] .*/&/p' /etc/memcached.conf) -u nobody ;;
"restart redis-server")
    install -d -o redis /run/redis /var/log/redis
    exec setpriv --reuid redis --regid redis --clear-groups redis-server /etc/redis/redis.conf --dir /run/redis ;;
"restart etcd")
    install -d -o etcd -m 700 /run/etcd
    set -a
    . /etc/default/etcd
    setpriv --reuid etcd --regid etcd --clear-groups etcd --data-dir /run/etcd >/var/log/etcd.log 2>&1 &
    exit ;;
esac
name=${*: -1}
name=${name#stek-sync@}
log=/run/$name.log
credentials=/run/credentials/stek-sync@$name.service
stop() {
    [ ! -e "/run/$name.pid" ] || kill "$(cat "/run/$name.pid")"
    while kill -0 "$(cat "/run/$name.pid" 2>/dev/null)" 2>/dev/null; do sleep 0.1; done
}
start() {
    umask 077
    # Of this sandbox alone: another's floor belongs to another user stek.
    mkdir -p "/var/lib/stek-$name"
    mountpoint -q "/var/lib/stek-$name" || mount -t tmpfs tmpfs "/var/lib/stek-$name"
    install -d -o stek -g www-data -m 750 "/run/stek-$name" "/var/lib/stek-$name"
    install -d -m 755 /run/credentials
    install -d -o stek -m 500 "$credentials"
    install -o stek -m 400 "/etc/stek/$name.secret" "$credentials/fleet-secret"
    setpriv --reuid stek --regid www-data --clear-groups env "CREDENTIALS_DIRECTORY=$credentials" \
        "STEK_RING=/run/stek-$name/default.ring" "STATE_DIRECTORY=/var/lib/stek-$name" stekctl sync --config "/etc/stek/$name.conf" >>"$log" 2>&1 &
    echo $! >"/run/$name.pid"
    until [ -e "/run/stek-$name/default.ring" ]; do
        kill -0 $! || { cat "$log" >&2; exit 1; }
        sleep 0.1
    done
}
case $1 in
enable | start) start ;;
disable | stop) stop ;;
restart) stop && start ;;
reload) kill -HUP "$(cat "/run/$name.pid")" ;;
*) echo "systemctl: not here: $*" >&2; exit 1 ;;
esac
END
chmod 755 /usr/local/sbin/*
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin

certificate() { # certificate file, key file
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=www.example.org \
        -addext basicConstraints=critical,CA:FALSE -keyout "$2" -out "$1" 2>/dev/null
}
mkdir -p /etc/ssl/certs /etc/ssl/private
certificate /etc/ssl/certs/example.pem /etc/ssl/private/example.key
certificate /etc/ssl/certs/ssl-cert-snakeoil.pem /etc/ssl/private/ssl-cert-snakeoil.key

case ${SERVER:-httpd} in
httpd)
    available=/etc/apache2/mods-available
    sed "s,/usr/lib/apache2/modules/mod_stek_rotate.so,$MODULE," "$TOP/conf/stek_rotate.load" \
        >$available/stek_rotate.load
    cp "$TOP/conf/stek_rotate.conf" $available/
    if [ "${STOCK:-}" ]; then
        sed -i '/^[[:space:]]*SSLSessionCache[[:space:]]/d' $available/ssl.conf
    else
        a2enmod -q stek_rotate >/dev/null
    fi
    { echo 'ServerName www.example.org'; cat "${LINES:-/dev/null}"; } >/etc/apache2/conf-available/zz.conf
    cat >/etc/apache2/sites-available/example.conf <<'END'
<VirtualHost *:443>
    ServerName www.example.org
    SSLEngine on
    SSLCertificateFile /etc/ssl/certs/example.pem
    SSLCertificateKeyFile /etc/ssl/private/example.key
</VirtualHost>
END
    { a2enconf -q zz; a2dissite -q 000-default; a2ensite -q example; a2enmod -q ssl; } >/dev/null
    apachectl start
    ;;
nginx)
    { echo 'pid /run/nginx.pid; error_log /var/log/nginx/error.log; events {} http {'; cat "$LINES"; echo '}'; } \
        >/etc/nginx/nginx.conf
    nginx
    ;;
esac
ports=""
[ "${SERVER:-}" = none ] || ports="443"
if [ -z "${PEERS:-}" ]; then
    memcached -u nobody -l 127.0.0.1 -p 11211 -d
    ports+=" 11211"
fi
if [ -z "${PEERS:-}" ] && grep -q ^etcdctl "$1"; then
    etcd --data-dir "$scratch/etcd" >/var/log/etcd.log 2>&1 &
    ports+=" 2379"
fi
for port in $ports; do
    n=0
    until (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
        n=$((n + 1))
        [ $n -lt 200 ] || { cat /var/log/*/error.log >&2; exit 1; }
        sleep 0.1
    done
done

cd "$scratch/work"
ln -s "$TOP/conf" conf
if [ "${PEERS:-}" ]; then
    cp "$TOP/test/integration/far_shell.py" /usr/local/sbin/ssh
    chmod 755 /usr/local/sbin/ssh
    ln -s ssh /usr/local/sbin/scp
    ssh --serve &
fi
bash -eu -o pipefail "$1"
