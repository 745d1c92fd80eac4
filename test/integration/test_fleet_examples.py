# SPDX-License-Identifier: Apache-2.0
"""The examples of conf/fleet, run with the machine's own servers in place of those they name, and the
unit's user beside a root httpd."""
import os
import pwd
import re
import shutil
import subprocess
import time

import pytest

import fleet as lib
import httpd as harness
from checks import VERSIONS
from etcd import Etcd, serving, tls_files
from fleet import Memcached, Redis, agree, crossed, wait_crossed
from httpd import RUN_AS, TOP, Vhost, wait_for
from redis_kinds import TlsRedis, TlsSentinel

EXAMPLES = TOP / "conf" / "fleet"
OFF = "StekRing default file={0}/default.ring secret={0}/default.secret generate=off poll=1s"


def hosts_of(fleet, name, urls, count=2, password=None):
    """Hosts on the example's own configuration file, its servers replaced in their order."""
    hosts = []
    for _ in range(count):
        host = fleet.host(*urls, interval="1h", lifetime="18h")
        text = (EXAMPLES / name).read_text()
        for url in urls:
            text = re.sub(r"^(store\s+)[\w+]+://\S+example\S+", lambda m: m.group(1) + url, text, 1, re.M)
        text = re.sub(r"^(ring\s+)\S+", lambda m: f"{m.group(1)}{host.ring_path}", text, 1, re.M)
        text = re.sub(r"^(password\s+)\S+", lambda m: f"{m.group(1)}{password}", text, 1, re.M)
        assert "example" not in re.sub("^#.*", "", text, flags=re.M)
        config = host.root / "x.conf"
        config.write_text(text)
        host.arguments = lambda *more, c=config, h=host: [
            # Logging in costs etcd some 50 ms of CPU, and the machine may be busy.
            "sync", "--config", c, "--fleet-secret", h.fleet_secret, "--every", "1s", "--timeout", "5s", *more]
        hosts.append(host)
    return hosts


@pytest.mark.timeout(60)
def test_example_memcached_per_site_with_a_mirror(fleet):
    sites = [fleet.store(Memcached), fleet.store(Memcached)]
    hosts = [host.start() for host in hosts_of(fleet, "memcached-sites.sync", [s.url for s in sites])]
    wait_for(lambda: agree(hosts), "the hosts to agree")
    wait_crossed(hosts)
    sites[0].kill()
    lib.run("--ring", hosts[0].ring_path, "rotate")
    wait_for(lambda: agree(hosts), "the hosts to agree over the other site's store", 20)
    sites[0].start()
    wait_for(lambda: sites[0].ring(fleet.secret) and sites[0].ring(fleet.secret).keys
             == sites[1].ring(fleet.secret).keys, "the store to be refilled", 20)
    wait_crossed(hosts)


@pytest.mark.timeout(60)
def test_example_redis_with_a_replica(fleet):
    acl = ["--requirepass", "x", "--user", "stek", "on", ">geheim", "~stek:*", "+@all"]
    first = fleet.store(Redis, *acl)
    second = fleet.store(Redis, *acl, "--replicaof", f"127.0.0.1 {first.port}", "--masterauth", "x")
    password = fleet.dir / "password"
    password.write_text("geheim\n")
    password.chmod(0o600)
    urls = [store.url.replace("//", "//stek@") for store in (first, second)]

    def words(store, *command):
        with store.connect() as sock:
            sock.sendall(b"AUTH x\r\n" + " ".join(command).encode() + b"\r\n")
            sock.settimeout(20)
            said = sock.recv(65536)
            return said if said.count(b"\r\n") > 1 else said + sock.recv(65536)
    wait_for(lambda: b"master_link_status:up" in words(second, "INFO replication"), "the replica", 20)
    hosts = [h.start() for h in hosts_of(fleet, "redis-replica.sync", urls, password=password)]
    wait_for(lambda: agree(hosts), "the hosts to agree")
    wait_crossed(hosts)
    first.kill()
    crossed(hosts)
    assert words(second, "REPLICAOF NO ONE").count(b"+OK") == 2
    lib.run("--ring", hosts[0].ring_path, "rotate")
    wait_for(lambda: agree(hosts), lambda: f"the hosts to agree; {hosts[0].log()}", 20)
    wait_crossed(hosts)


@pytest.mark.timeout(120)
def test_example_redis_under_sentinel(fleet, folder):
    files = tls_files(folder)
    acl = ["--user", "stek", "on", ">right", "~stek:*", "+get", "+set", "+eval"]
    primary = TlsRedis(files["ca"], files["server"], *acl, client=files["host"])
    fleet.stores.append(primary.start())
    sentinel = TlsSentinel(files["ca"], files["server"], primary)
    fleet.stores.append(sentinel.start())
    password = fleet.dir / "password"
    password.write_text("right\n")
    password.chmod(0o600)
    hosts = hosts_of(fleet, "redis-sentinel.sync", [sentinel.url.replace("//", "//stek@") + "/mymaster"], password=password)
    for host in hosts:
        with_certificates(host, files)
        host.start()
    wait_for(lambda: agree(hosts), "the hosts to agree")
    wait_crossed(hosts)


def with_certificates(host, files):
    path = host.root / "x.conf"
    text = path.read_text()
    for option, file in {"ca": files["ca"].path, "cert": files["host"].path,
                         "key": files["host"].path.with_suffix(".key")}.items():
        text = re.sub(rf"^(store-{option}\s+)\S+", lambda m, file=file: f"{m.group(1)}{file}", text, 1, re.M)
    path.write_text(text)


@pytest.mark.timeout(120)
def test_example_etcd_cluster(fleet, folder):
    files = tls_files(folder)
    store = Etcd(members=3, tls=serving(files["server"], clients=files["ca"]), ca=files["ca"].path)
    fleet.stores.append(store)
    store.start()
    store.users(stek="READWRITE")
    password = fleet.dir / "password"
    password.write_text("right\n")
    password.chmod(0o600)
    url = store.url_of(*store.members, user="stek@")
    hosts = hosts_of(fleet, "etcd.sync", [url], password=password)
    for host in hosts:
        with_certificates(host, files)
        host.start()
    wait_for(lambda: agree(hosts), "the hosts to agree")
    wait_crossed(hosts)
    store.leader().kill()
    lib.run("--ring", hosts[0].ring_path, "rotate")
    wait_for(lambda: agree(hosts), lambda: f"the hosts to agree; {hosts[0].log()}", 20)
    wait_crossed(hosts)


def followers(certs, directory, count=1):
    """httpd servers that read ring and secret from a directory."""
    made = []
    for _ in range(count):
        made.append(harness.Httpd(certs, server=[OFF.format(directory), "StekBinding off"],
                                  vhosts=[Vhost("a.test")], processes=1))
        made[-1].start()
    return made


@pytest.mark.timeout(60)
def test_example_kubernetes_secret_volume(fleet, certs, folder):
    yaml = (EXAMPLES / "kubernetes.yaml").read_text()
    modes = dict(re.findall(r"path: (default\.\w+), mode: (\d+)", yaml))
    assert "generate=off" in yaml and set(modes) == {"default.ring", "default.secret"}
    fleet.store()
    maker = fleet.host(web=False, interval="1h", lifetime="18h")

    def publish(n):
        """As kubelet does: a new directory, then the link is swapped."""
        fresh = folder / f"..{n}"
        fresh.mkdir()
        for name, mode in modes.items():
            shutil.copy(maker.ring_path.parent / name, fresh / name)
            (fresh / name).chmod(int(mode, 8))
            if n == 1:
                (folder / name).symlink_to(f"..data/{name}")
        (folder / "..new").symlink_to(fresh.name)
        (folder / "..new").rename(folder / "..data")
        shutil.rmtree(folder / f"..{n - 1}", ignore_errors=True)
    maker.once()
    publish(1)
    pods, faults = followers(certs, folder, 2), []
    try:
        crossed(pods)
        tickets = [(v, pod.get(tls=v).session) for v in VERSIONS for pod in pods]
        lib.run("--ring", maker.ring_path, "rotate")
        publish(2)
        current = maker.ring().current(time.time() + 1).name
        wait_for(lambda: all(pod.get(tls="1.2").name == current for pod in pods), "the new key", 20, 0.1)
        assert all(pod.get(tls=v, session=s).resumed for v, s in tickets for pod in pods)
        crossed(pods)
    finally:
        for pod in pods:
            faults += ([] if pod.stop() else ["did not end"]) + pod.trouble()
            pod.remove()
    assert not faults, faults


@pytest.mark.timeout(60)
def test_example_push_over_ssh(fleet, certs, httpd, folder):
    maker = httpd(server=["StekRing default poll=1s", "StekBinding off"]).start()
    ssh = fleet.dir / "ssh"
    ssh.write_text('#!/bin/sh\n# Logs in to this machine.\nshift\nexec sh -c "$*"\n')
    ssh.chmod(0o755)

    def push(*hosts, code=0):
        done = subprocess.run(["sh", EXAMPLES / "push.sh", maker.ring_path(), folder / "stek", *hosts],
                              env=dict(os.environ, STEK_SSH=str(ssh), STEK_GROUP=RUN_AS),
                              capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    push("web2")
    assert (folder / "stek" / "default.secret").stat().st_mode & 0o777 == 0o600
    other, = followers(certs, folder / "stek")
    try:
        crossed([maker, other])
        lib.run("--ring", maker.ring_path(), "rotate")
        push("web2")
        current = maker.ring().current(time.time() + 1).name
        wait_for(lambda: other.get(tls="1.2").name == current, "the new key", 20, 0.1)
        wait_for(lambda: maker.get(tls="1.2").name == current, "the new key at its maker", 20, 0.1)
        wait_crossed([maker, other])  # the maker has two children
        ssh.write_text("#!/bin/sh\nexit 255\n")
        push("web2", code=1)
    finally:
        faults = ([] if other.stop() else ["did not end"]) + other.trouble()
        other.remove()
    assert not faults, faults


@pytest.mark.timeout(60)
def test_unit_user_is_not_httpds(fleet):
    """The unit's layout: a user of its own, httpd's group, a runtime directory; httpd's parent is root."""
    user = pwd.getpwnam("daemon")
    fleet.store()
    host = fleet.host(interval="1h", lifetime="18h")
    for path in (host.ring_path.parent, host.fleet_secret):
        shutil.chown(path, user.pw_uid, RUN_AS)
    with open(host.log_path, "wb") as log:
        host.process = subprocess.Popen([lib.STEKCTL, *map(str, host.arguments())], stdout=log, stderr=log,
                                        env=host.env, user=user.pw_uid, group=RUN_AS, extra_groups=[])
    wait_for(host.ring_path.exists, host.log)
    host.web.server[0] = (f"StekRing default file={host.ring_path} secret={host.secret_path} "
                          "generate=off poll=1s")
    host.web.start()
    ticket = host.get(tls="1.3").session
    assert ticket, host.web.tail()
    assert host.secret_path.stat().st_uid == user.pw_uid
    for path in (host.secret_path, host.fleet_secret):
        stolen = subprocess.run(["cat", path], user=RUN_AS, group=RUN_AS, extra_groups=[],
                                capture_output=True)
        assert stolen.returncode != 0, "httpd's user reads a secret"
    subprocess.run([lib.STEKCTL, "--ring", host.ring_path, "revoke", "--all"], user=user.pw_uid,
                   group=RUN_AS, extra_groups=[], check=True, capture_output=True)
    wait_for(lambda: not host.get(tls="1.3", session=ticket).resumed, "the revocation", 20, 0.2)
    wait_for(lambda: fleet.stores[0].ring(fleet.secret).epoch > 0, "the epoch in the store", 20)
