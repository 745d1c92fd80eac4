# SPDX-License-Identifier: Apache-2.0
"""Redis as people run it: TLS, users, databases, sockets, Sentinel and Cluster; memcached at a socket and with SASL."""
import json
import re
import ssl
import subprocess
from pathlib import Path

import pytest

import fleet as lib
import pki
import redis_kinds as kinds
from etcd import tls_files
from fleet import Memcached, Redis, complaint, object_name, password, reason_in
from httpd import free_port, wait_for
from listener import Listener

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h", "timeout": "5s"}


def reason(host, *more, url=None):
    return reason_in(complaint(host, *more, url=url))


def confined(fleet, host):
    """The process that talks to that store can do nothing else."""
    running = fleet.host(*host.urls, **HOURLY)
    running.options = host.options
    running.start(web=False)
    wait_for(running.ring_path.exists, running.log)
    wait_for(lambda: any("Seccomp:\t2" in text for text in children(running.process.pid)), "its confinement")
    assert "runs without" not in running.log()


def children(pid):
    """What /proc says of each; they come and go."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            found.append(Path(f"/proc/{child}/status").read_text())
        except OSError:
            pass
    return found


def in_step(fleet, first, *hosts):
    """A revocation at the first host arrives at the others, by that store."""
    hosts = hosts or [fleet.host(*first.urls, **HOURLY)]
    for host in hosts:
        host.options = host.options or first.options
    first.once()
    old = first.names()
    lib.run("--ring", first.ring_path, "revoke", "--all")
    first.once()
    for host in hosts:
        host.once()
        assert host.names() == first.names() and not old & host.names()
    assert not first.once().stderr


# ---- TLS ----

@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    return tls_files(tmp_path_factory.mktemp("redis-tls"))


def secure(fleet, identities, server="server", *extra, clients=True):
    store = kinds.TlsRedis(identities["ca"], identities[server], *extra, clients=clients, client=identities["host"])
    fleet.stores.append(store.start())
    return store


def tls_options(identities, *, client="host", ca="ca"):
    options = ["--store-ca", identities[ca].path]
    path = client and identities[client].path
    return options + (["--store-cert", path, "--store-key", path.with_suffix(".key")] if client else [])


def test_redis_tls_with_certificates_on_both_sides(fleet, identities):
    store = secure(fleet, identities)
    host = fleet.host(store, **HOURLY)
    host.options = tls_options(identities)
    in_step(fleet, host)
    assert store.ring(fleet.secret).keys
    confined(fleet, host)
    host.urls = [f"rediss://localhost:{store.port}/3"]
    host.once()
    assert reason(host, *tls_options(identities, client=None)) == \
        "it requires a client certificate: use --store-cert and --store-key"
    assert "does not trust the CA of the client certificate" in reason(host, *tls_options(identities, client="stranger"))
    assert "the client certificate has expired" in reason(host, *tls_options(identities, client="old"))
    mixed = ["--store-ca", identities["ca"].path, "--store-cert", identities["host"].path,
             "--store-key", identities["named"].path.with_suffix(".key")]
    assert reason(host, *mixed) == "the client certificate and the key in --store-key do not match"


@pytest.mark.parametrize("server,why", [("elsewhere", "its certificate is for another name"),
                                        ("expired", "its certificate has expired"),
                                        ("stranger", "its certificate is from a CA that is not trusted; "
                                                     "name that CA with --store-ca")])
def test_redis_tls_server_that_is_not_who_it_should_be(fleet, identities, server, why):
    """It gets to see no password."""
    store = secure(fleet, identities, server, "--requirepass", "right", clients=False)
    host = fleet.host(store, **HOURLY)
    assert reason(host, *tls_options(identities, client=None), *password(host, "right")) == why
    assert "cmdstat_auth" not in told(store)


def told(store):
    with store.connect() as sock:
        sock.sendall(b"AUTH right\r\nINFO commandstats\r\n")
        text = b""
        while b"cmdstat" not in text and b"Commandstats" not in text:
            text += sock.recv(65536)
        return re.sub(r"cmdstat_auth:calls=1,.*", "", text.decode())


def test_redis_tls_and_plain_do_not_mix(fleet, identities):
    store = secure(fleet, identities, clients=False)
    host = fleet.host(f"redis://127.0.0.1:{store.port}", **HOURLY)
    assert re.search("expects? TLS", reason(host))
    host.options, host.timeout = ["--store-ca", identities["ca"].path], "1s"
    plain = fleet.store(Redis)
    assert reason(host, url=f"rediss://127.0.0.1:{plain.port}") == \
        "connected, but no answer in time: it may not speak TLS (rediss://)"
    server = Plays(b"-ERR unknown command\r\n")
    assert reason(host, url=f"rediss://127.0.0.1:{server.port}") == \
        "it does not speak TLS: use redis:// instead of rediss://"
    server.close()


def test_redis_tls_sends_the_name(fleet, identities):
    """SNI: what a proxy goes by that serves several names at one address."""
    server = Names(identities["server"].path)
    host = fleet.host(f"rediss://localhost:{server.port}", **HOURLY)
    host.options = tls_options(identities, client=None)
    host.once(code=5)
    host.urls = [f"rediss://127.0.0.1:{server.port}"]
    host.once(code=5)
    server.close()
    assert set(server.names) == {"localhost", None}, server.names


class Names(Listener):
    """Shakes hands, and keeps the names that clients have asked for."""

    def __init__(self, path):
        self.names = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(path, path.with_suffix(".key"))
        self.context.sni_callback = lambda sock, name, own: self.names.append(name)
        super().__init__()

    def _serve(self, sock):
        try:
            self.context.wrap_socket(sock, server_side=True).close()
        except OSError:
            pass


# ---- users, databases, sockets ----

def test_redis_users_and_databases(fleet):
    store = fleet.store(Redis)
    store.ask("ACL", "SETUSER", "app", "on", ">right", "~stek:*", "+get", "+set", "+eval", "+select")
    host = fleet.host(store.url.replace("//", "//app@") + "/5", **HOURLY)
    assert reason(host) == "the user in its URL has no password: use --password"
    host.options = password(host, "right")
    in_step(fleet, host)
    assert store.get(object_name(fleet.secret)) is None  # database 0
    assert "WRONGPASS" in reason(host, *password(host, "wrong"))


@pytest.mark.parametrize("text", ["sesame-open-0815", "s3same" * 40, "abcd"], ids=["usual", "long", "short"])
def test_redis_that_repeats_the_password_puts_it_into_no_log(fleet, text):
    """Redis repeats the words of a command that it does not know, and the first 128 characters of each."""
    host = fleet.host(fleet.store(Redis, "--rename-command", "AUTH", ""), **HOURLY)
    host.options = password(host, text)
    said = reason(host)
    assert said.startswith("ERR unknown command 'AUTH', with args beginning with: '***")
    assert text[:8] not in said


@pytest.mark.parametrize("kind", [kinds.SocketRedis, kinds.SocketMemcached], ids=["redis", "memcached"])
def test_store_at_a_socket(fleet, kind):
    store = fleet.store(kind)
    in_step(fleet, fleet.host(store, **HOURLY))
    assert store.ring(fleet.secret).keys
    store.kill()
    host = fleet.host(store, **HOURLY)
    assert reason(host) == "connection refused: nothing listens at this socket"
    store.path.unlink()
    assert reason(host) == "there is no such socket: does the store run?"


def test_redis_at_a_socket_with_user_and_database(fleet):
    store = fleet.store(kinds.SocketRedis)
    store.ask("ACL", "SETUSER", "app", "on", ">right", "~*", "+@all")
    host = fleet.host(store.url.replace("//", "//app@", 1) + "?db=3", **HOURLY)
    host.options = password(host, "right")
    in_step(fleet, host)
    assert store.get(object_name(fleet.secret)) is None


def test_memcached_sasl(fleet):
    store = fleet.store(kinds.SaslMemcached)
    host = fleet.host(store, **HOURLY)
    assert reason(host) == "the user in its URL has no password: use --password"
    host.options = password(host, "right")
    in_step(fleet, host)
    confined(fleet, host)
    assert reason(host, *password(host, "wrong")).startswith("wrong user or password, or no mechanism PLAIN (")
    without = fleet.store(Memcached)
    assert reason(host, url=f"memcached://app@127.0.0.1:{without.port}").startswith(
        "it has no users, but the URL names one: leave out USER@, or start it with -S (")


def test_memcached_sasl_hosts_that_write_at_once_all_get_the_same_keys(fleet):
    store = fleet.store(kinds.SaslMemcached)
    hosts = [fleet.host(store, **HOURLY) for _ in range(4)]
    for host in hosts:
        host.options = password(host, "right")
    at_once(hosts)


def at_once(hosts):
    runs = [subprocess.Popen([lib.STEKCTL, *map(str, host.arguments("--once"))], stderr=subprocess.PIPE, text=True)
            for host in hosts]
    for run in runs:
        assert run.wait(30) == 0, run.stderr.read()
        run.stderr.close()
    for host in hosts:
        host.once()
    assert all(host.names() == hosts[0].names() for host in hosts)


# ---- Sentinel ----

@pytest.mark.timeout(90)
def test_sentinel_promotion_is_followed(fleet):
    """The primary dies; two of three Sentinels make the replica the next, and one is dead."""
    primary, replica, sentinels = kinds.watched(fleet)
    url = f"redis+sentinel://{','.join(f'127.0.0.1:{s.port}' for s in sentinels)}/mymaster/0"
    hosts = [fleet.host(url, **dict(HOURLY, timeout="2s")).start(web=False) for _ in range(2)]
    wait_for(lambda: all(h.ring_path.exists() for h in hosts) and lib.agree(hosts), lambda: hosts[0].log())
    wait_for(lambda: primary.ring(fleet.secret), "the ring at the primary")
    wait_for(lambda: all(s.sees_replica() and b"sentinels=3" in s.ask("INFO", "sentinel") for s in sentinels),
             "the Sentinels to know each other", 30)
    old = hosts[0].names()
    sentinels[0].kill()
    primary.kill()
    lib.run("--ring", hosts[0].ring_path, "revoke", "--all")
    wait_for(lambda: lib.agree(hosts) and not old & hosts[1].names(), lambda: "".join(h.log() for h in hosts), 30)
    assert not old & {key.name for key in replica.ring(fleet.secret).keys}
    assert b"role:master" in replica.ask("INFO", "replication")
    late = fleet.host(url, **HOURLY)
    late.once()
    assert late.names() == hosts[0].names()


def test_sentinel_reasons_and_passwords(fleet, identities):
    primary = fleet.store(Redis, "--requirepass", "right")
    sentinel = kinds.Sentinel(primary, "sentinel auth-pass mymaster right", "requirepass right")
    fleet.stores.append(sentinel.start())
    url = f"redis+sentinel://127.0.0.1:{sentinel.port}"
    host = fleet.host(f"{url}/mymaster", **HOURLY)
    assert reason(host).startswith("it requires a password: use --password (NOAUTH ")
    assert "WRONGPASS" in reason(host, *password(host, "wrong"))
    host.options = password(host, "right")
    in_step(fleet, host)
    assert reason(host, url=f"{url}/other") == "it knows no primary 'other': correct its name in the URL"
    assert reason(host, url=f"redis+sentinel://127.0.0.1:{primary.port}/mymaster").startswith(
        "this is a Redis server, not Sentinel (ERR unknown command")
    assert reason(host, url=f"redis://127.0.0.1:{sentinel.port}").startswith(
        "it does not know GET: it may be Sentinel (redis+sentinel://)")
    primary.kill()
    assert reason(host, url=f"{url}/mymaster") == \
        f"127.0.0.1:{primary.port}: connection refused: nothing listens at this port"


def test_sentinel_by_tls_names_a_primary_whose_certificate_has_the_name_in_the_url(fleet, identities, tmp_path):
    """Sentinels often name addresses; the certificate is for a name, or for somebody else."""
    ca = identities["ca"]
    named = pki.Identity(tmp_path, "named", ca, server=["localhost"])
    primary = kinds.TlsRedis(ca, named, clients=False)
    fleet.stores.append(primary.start())
    sentinel = kinds.TlsSentinel(ca, named, primary)
    fleet.stores.append(sentinel.start())
    host = fleet.host(f"rediss+sentinel://localhost:{sentinel.port}/mymaster", **HOURLY)
    host.options = tls_options(identities, client=None)
    in_step(fleet, host)
    elsewhere = fleet.host(f"rediss+sentinel://127.0.0.1:{sentinel.port}/mymaster", **HOURLY)
    assert reason(elsewhere, *host.options) == "its certificate is for another name"


def test_sentinel_that_is_not_believed_in_everything(fleet):
    """Names that no server has, itself, and nothing."""
    for said, expected in [
            (b"*2\r\n$4\r\na\nb \r\n$4\r\n6379\r\n", "a server with an impossible name"),
            (b"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n", "a server with an impossible name"),
            (b"*2\r\n$5\r\n/a/b/\r\n$4\r\n6379\r\n", "a server with an impossible name"),
            (b"*2\r\n:1\r\n:2\r\n", "unintelligible answer"), (b"*1\r\n$1\r\na\r\n", "unintelligible answer"),
            (b"*999999999\r\n", "unintelligible answer"), (b"+OK\r\n", "unintelligible answer")]:
        server = Plays(said)
        host = fleet.host(f"redis+sentinel://127.0.0.1:{server.port}/m", **HOURLY)
        assert expected in reason(host), said
        server.close()


class Plays(Listener):
    """Answers everything with the same, or with what a function of its port says."""

    def __init__(self, said):
        self.said = said
        super().__init__()

    def _serve(self, sock):
        said = self.said(self.port) if callable(self.said) else self.said
        try:
            while sock.recv(65536):
                sock.sendall(said)
        except OSError:
            pass


# ---- Cluster ----

@pytest.mark.timeout(90)
def test_cluster_object_is_found_and_followed(fleet):
    """From every node; while its slot moves, and when it has moved; and past a node that is down."""
    store = fleet.store(kinds.Cluster)
    name = object_name(fleet.secret)
    host = fleet.host(store.url_of(store.others(name)[0]), **HOURLY)
    in_step(fleet, host)
    running = [fleet.host(store.url_of(node), **HOURLY).start(web=False) for node in store.nodes]
    wait_for(lambda: all(h.ring_path.exists() for h in running) and lib.agree(running), running[0].log)
    to = store.others(name)[0]

    def revoked(what):
        old = host.names()
        lib.run("--ring", host.ring_path, "revoke", "--all")
        assert not host.once().stderr
        for other in running:
            wait_for(lambda other=other: other.names() == host.names(), lambda: what + other.log())
        assert not old & host.names()

    source = store.begin_move(name, to)
    assert source.ask("GET", name).startswith(b"-ASK ")
    revoked("while it moves: ")
    store.end_move(name, to)
    assert store.owner(name) is to and store.get(name)
    revoked("when it has moved: ")
    assert not [h.log() for h in running if ": silent: " in h.log()]
    at_once([fleet.host(store.url, **HOURLY) for _ in range(4)])
    dead = store.others(name)[0]
    dead.kill()
    host.urls = [store.url_of(dead, to)]
    host.once()


@pytest.mark.timeout(60)
def test_cluster_node_at_a_socket_sends_nobody_off_the_machine(fleet):
    """The user named a socket: the password and the ring go nowhere else."""
    store = fleet.store(kinds.Cluster)
    name = object_name(fleet.secret)
    for node in store.nodes:
        node.kill()
        node.extra += ["--unixsocket", str(node.dir / "redis.sock"), "--unixsocketperm", "700"]
        node.start()
    wait_for(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in store.nodes), "the cluster", 30)
    owner, other = store.owner(name), store.others(name)[0]
    host = fleet.host(f"redis+unix://{owner.dir}/redis.sock", **HOURLY)
    in_step(fleet, host)
    away = fleet.host(f"redis+unix://{other.dir}/redis.sock", **HOURLY)
    assert reason(away) == (f"it is a node of a cluster and sends stekctl to 127.0.0.1 {owner.port}, but the URL of a Unix "
                            "socket stays on this machine: use redis://HOST,HOST")
    assert not away.names() & host.names()
    store.begin_move(name, other)
    assert "stays on this machine" in reason(host)


def test_cluster_reasons(fleet):
    single = fleet.store(Redis)
    single.ask("ACL", "SETUSER", "app", "on", ">right", "~stek:*", "+get", "+set", "+eval")
    host = fleet.host(f"redis://app@127.0.0.1:{single.port},127.0.0.1:{free_port()}", **HOURLY)
    assert reason(host, *password(host, "right")).startswith("its URL names several hosts, but this is no cluster: ")
    host.options = []
    gone = free_port()
    for said, expected in [
            (lambda port: b"-MOVED 1 127.0.0.1:%d\r\n" % port, "its servers send stekctl from one to the other"),
            (lambda port: b"-MOVED 1 :%d\r\n" % gone, f"127.0.0.1:{gone}: connection refused"),
            (lambda port: b"-MOVED 1 a/b:7\r\n", "a server with an impossible name"),
            (lambda port: b"-MOVED 1\r\n", "it is not clear which (MOVED 1)"),
            (lambda port: b"-MOVED 1 h:0\r\n", "a server with an impossible name")]:
        server = Plays(said)
        assert expected in reason(host, url=f"redis://127.0.0.1:{server.port}")
        server.close()


# ---- settings ----

@pytest.mark.parametrize("url,expected", [
    ("redis+sentinel://h", "missing name of the primary"), ("redis+sentinel://h/", "missing name of the primary"),
    ("redis+sentinel://h/m/x", "the database must be a number"), ("rediss+sentinel://u:p@h/m", "do not put a password"),
    ("redis://a,,b", "must be memcached://"), ("rediss://h/x", "the database must be a number"),
    ("redis+unix://h", "must be memcached://"), ("redis+unix:///", "missing path of the socket"),
    ("redis+unix:///a?db=x", "the database must be a number"), ("redis+unix:///a?x", "only ?db=NUMBER may follow"),
    ("redis+unix://u:p@/a", "do not put a password"), ("redis+unix://u/a", "must be memcached://"),
    ("memcached+unix:///a?db=1", "a memcached URL has no path"), ("memcached://u:p@h", "do not put a password"),
    ("memcached://a,b:c", "must be memcached://"), ("redis+cluster://h", "must be memcached://")])
def test_redis_bad_url_is_refused(fleet, url, expected):
    text = lib.run("sync", "--check", "--ring", fleet.dir / "r", "--store", url, "--fleet-secret", fleet.secret,
                   code=2).stderr
    assert expected in text


@pytest.mark.parametrize("urls", [("redis://h", "redis://h:6379"), ("redis://a,b", "redis://b,c"),
                                  ("redis+unix:///a", "redis+unix:///a"),
                                  ("redis+sentinel://a,b/m", "redis+sentinel://b/m"),
                                  ("memcached://u@h", "memcached://v@h")])
def test_store_that_is_named_twice_in_other_words_is_refused(fleet, urls):
    words = [word for url in urls for word in ("--store", url)]
    text = lib.run("sync", "--check", "--ring", fleet.dir / "r", *words, "--fleet-secret", fleet.secret, code=2).stderr
    assert "is named twice" in text


def test_redis_settings_that_are_good(fleet, identities):
    for urls in (["redis://h/1", "redis://h/2", "rediss://h"], ["redis+sentinel://a,b/m", "redis+sentinel://a,b/n/2"],
                 ["memcached+unix:///a", "redis+unix://u@/a?db=2", "redis+unix:///a"], ["memcached://u@h"]):
        words = [word for url in urls for word in ("--store", url)]
        shown = lib.run("sync", "--check", "--json", "--ring", fleet.dir / "r", *words, "--fleet-secret", fleet.secret)
        assert sorted(json.loads(shown.stdout)["stores"]) == sorted(urls)
    text = lib.run("sync", "--check", "--ring", fleet.dir / "r", "--store", "redis://h", "--fleet-secret", fleet.secret,
                   "--store-ca", identities["ca"].path, code=2).stderr
    assert "no store uses TLS: use rediss:// or etcds://" in text
