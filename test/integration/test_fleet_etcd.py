# SPDX-License-Identifier: Apache-2.0
"""etcd as a store, on real clusters: members that die or are cut off, users and rights, TLS, alarms, snapshots,
and servers that are no etcd."""
import json
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import fleet as lib
import pki
import ringfile
from etcd import PREFIX, Etcd, b64, serving, tls_files
from fleet import DAY, Memcached, complaint, object_name, password, reason_in, sealing_secrets
from httpd import free_port, wait_for
from listener import Listener

# Patient, where it is not about time: logging in costs etcd some 50 ms of CPU, and the machine may be busy.
HOURLY = {"web": False, "interval": "1h", "lifetime": "18h", "timeout": "5s"}
QUICK = {**HOURLY, "timeout": "2s"}


@pytest.fixture
def etcd(fleet):
    """Makes clusters that end with the fleet."""
    def make(*extra, **options):
        fleet.stores.append(Etcd(*extra, **options))
        return fleet.stores[-1].start()

    return make


def status(host, code=1):
    return json.loads(lib.run(*host.arguments("--status", "--json"), code=code).stdout)["stores"][0]


def reason(host, *more, url=None):
    return reason_in(complaint(host, *more, url=url),
                     "continuing with the file ring|overwriting it with this host's ring")


def as_user(host, store, user, text="right"):
    host.urls = [store.url_of(*store.members, user=f"{user}@")]
    host.options = password(host, text)


# ---- the cluster ----

@pytest.mark.timeout(120)
def test_etcd_leader_dies_and_a_minority_is_cut_off(fleet, etcd):
    store = etcd(members=3)
    hosts = [fleet.host(store, **QUICK).start(web=False) for _ in range(3)]
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and lib.agree(hosts), "all to have one ring")

    def revoke(host):
        before = host.names()
        lib.run("--ring", host.ring_path, "revoke", "--all")
        wait_for(lambda: lib.agree(hosts) and not before & hosts[0].names(), "the revocation at all hosts", 30)
        assert not before & {key.name for key in store.ring(fleet.secret).keys}

    revoke(hosts[0])
    leader = store.leader()
    leader.kill()
    revoke(hosts[1])
    # One of three has no quorum: it answers nobody.
    first, last = [member for member in store.members if member is not leader]
    first.signal(signal.SIGSTOP)
    asks_last = fleet.host(store.url_of(last), **QUICK)
    with ThreadPoolExecutor() as pool:
        said = pool.submit(reason, asks_last)
        for host in hosts:
            wait_for(lambda host=host: ": silent: " in host.log(), host.log)
        assert "no answer in time: does the cluster have a quorum?" in said.result()
    first.signal(signal.SIGCONT)
    wait_for(store.leader, "a leader")
    for host in hosts:
        wait_for(lambda host=host: "recovered after" in host.log(), host.log)
    asks_last.once()
    assert asks_last.names() == hosts[0].names()
    revoke(hosts[2])


@pytest.mark.timeout(120)
def test_etcd_members_that_hang_or_are_gone_cost_no_cycle(fleet, etcd):
    """Whichever of them is asked first."""
    store = etcd(members=3)
    hosts = [fleet.host(store, **QUICK) for _ in range(6)]
    followers = [member for member in store.members if member is not store.leader()]
    followers[0].signal(signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        assert all(done.stderr.count("\n") <= 1 for done in pool.map(lib.Host.once, hosts[:3]))
        followers[0].kill()
        list(pool.map(lib.Host.once, hosts[3:]))
    assert all(host.names() == hosts[0].names() for host in hosts)


def test_etcd_hosts_that_write_at_once_all_get_the_same_keys(fleet, etcd):
    """Compare-and-swap: whoever comes second takes over what the first has written."""
    store = etcd()
    hosts = [fleet.host(store, **HOURLY) for _ in range(8)]
    runs = [subprocess.Popen([lib.STEKCTL, *map(str, host.arguments("--once"))], stderr=subprocess.PIPE, text=True)
            for host in hosts]
    for run in runs:
        assert run.wait(20) == 0, run.stderr.read()
        run.stderr.close()
    for host in hosts:
        host.once()
    assert all(host.names() == hosts[0].names() for host in hosts)
    assert {key.name for key in store.ring(fleet.secret).keys} == hosts[0].names()
    # A cycle that changes nothing writes nothing.
    version = store.entry(object_name(fleet.secret))["version"]
    hosts[0].once()
    assert store.entry(object_name(fleet.secret))["version"] == version


def test_etcd_write_that_lost_the_race_changes_nothing(fleet, etcd):
    """The object changes between a host's read and its write, in every try: another's stays."""
    store = etcd()
    first = fleet.host(store, **HOURLY)
    first.once()
    name, stop = object_name(fleet.secret), threading.Event()

    def interfere():
        data = store.get(name)
        while not stop.is_set():
            store.put(name, data)

    thread = threading.Thread(target=interfere)
    thread.start()
    second = fleet.host(store, **HOURLY)
    try:
        lib.run("--ring", first.ring_path, "revoke", "--all")
        for _ in range(3):
            first.once(code=None)
    finally:
        stop.set()
        thread.join()
    for host in (first, second):
        host.once()
    assert first.names() == second.names()


@pytest.mark.timeout(120)
def test_etcd_compaction_and_a_snapshot_of_before_the_revocation(fleet, etcd):
    store = etcd(members=3)
    host = fleet.host(store, **HOURLY)
    host.options = ["--floor", host.root / "default.floor"]
    running = fleet.host(store, **HOURLY).start(web=False)
    host.once()
    wait_for(running.ring_path.exists, "the ring")
    old = host.names()
    store.snapshot(fleet.dir / "snapshot")
    lib.run("--ring", host.ring_path, "revoke", "--all")
    host.once()
    wait_for(lambda: running.names() == host.names(), running.log)
    revision = store.ask("kv/range", key=b64("x"))["header"]["revision"]
    store.ask("kv/compaction", revision=revision, physical=True)
    host.once()
    assert not host.once().stderr
    # The host reboots while the cluster is restored: the floor is what remembers.
    running.process.send_signal(signal.SIGSTOP)
    for path in (host.ring_path, host.secret_path):
        path.unlink()
    store.restore(fleet.dir / "snapshot")
    assert "older than the last revocation" in host.once(code=None).stderr
    assert not old & host.names()
    running.process.send_signal(signal.SIGCONT)
    wait_for(lambda: host.once(code=None) and running.names() == host.names(), running.log, every=0.2)
    assert not old & {key.name for key in store.ring(fleet.secret).keys}


# ---- what refuses ----

def test_etcd_users_and_their_rights(fleet, etcd):
    store = etcd()
    plain = fleet.host(store, **HOURLY)
    as_user(plain, store, "both")
    assert "it has no users, but the URL names one" in reason(plain)
    store.users(both="READWRITE", reads="READ", writes="WRITE")
    host = fleet.host(store, **HOURLY)
    assert "it requires a user: put USER@ into the URL and use --password (etcdserver: user name is empty)" in reason(host)
    host.urls = [store.url_of(*store.members, user="both@")]
    assert "the user in its URL has no password: use --password" in reason(host)
    as_user(host, store, "both", "wrong")
    assert "wrong user or password" in reason(host)
    as_user(host, store, "nobody")
    assert "wrong user or password" in reason(host)
    as_user(host, store, "reads")
    assert "no permission to write: grant this user's role readwrite on the URL's prefix" in reason(host)
    as_user(host, store, "writes")
    assert "no permission to read: grant this user's role readwrite on the URL's prefix" in reason(host)
    as_user(host, store, "both")
    assert not host.once().stderr
    assert {key.name for key in store.ring(fleet.secret).keys} == host.names()
    # The ring's object only: the ring is shared, and that the host is not seen is said.
    store.ask("auth/role/add", name="ring")
    store.ask("auth/role/grant", name="ring", perm={"permType": "READWRITE", "key": store.key(object_name(fleet.secret))})
    store.ask("auth/user/add", name="ring", password="right")
    store.ask("auth/user/grant", user="ring", role="ring")
    narrow = fleet.host(store, **HOURLY)
    as_user(narrow, store, "ring")
    assert "refuses this host's announcement: no permission to read" in narrow.once().stderr
    assert narrow.names() == host.names()
    elsewhere = host.urls[0].replace(PREFIX, PREFIX + "2")
    assert "no permission to read" in reason(host, *host.options, url=elsewhere)
    assert "wrong" not in host.arguments() and "right" not in (host.root / "sync.log").name


@pytest.mark.timeout(120)
def test_etcd_login_that_ends_is_renewed(fleet, etcd):
    """Its tokens do not survive a restart, and not a change of users."""
    store = etcd()
    store.users(both="READWRITE")
    host = fleet.host(store, **HOURLY)
    as_user(host, store, "both")
    host.start(web=False)
    wait_for(host.ring_path.exists, host.log)
    store.ask("auth/user/add", name="another", password="x")
    before = host.names()
    lib.run("--ring", host.ring_path, "revoke", "--all")
    wait_for(lambda: not before & {key.name for key in store.ring(fleet.secret).keys}, host.log)
    store.kill()
    wait_for(lambda: ": silent: " in host.log(), host.log)
    store.members[0].start()
    wait_for(lambda: "recovered after" in host.log(), host.log)
    assert "login" not in host.log() and "password" not in host.log()


def of(identity):
    return ["--store-cert", identity.path, "--store-key", identity.path.with_suffix(".key")]


@pytest.mark.timeout(120)
def test_etcd_tls_with_client_certificates(fleet, etcd, folder):
    files = tls_files(folder)
    trust = ["--store-ca", files["ca"].path]
    store = etcd(members=3, tls=serving(files["server"], clients=files["ca"]), ca=files["ca"].path)
    host = fleet.host(store, **HOURLY)
    host.options = trust + of(files["host"])
    host.once()
    assert {key.name for key in store.ring(fleet.secret).keys} == host.names()
    # Certificate and key in one file, and a name in place of an address.
    both = folder / "both.pem"
    pki.write(both, files["host"].path.read_bytes(), files["host"].path.with_suffix(".key").read_bytes())
    host.options = trust + ["--store-cert", both]
    assert "0600" in host.once(code=3).stderr
    both.chmod(0o600)
    host.urls = [store.url.replace("127.0.0.1", "localhost")]
    host.once()
    assert "it requires a client certificate: use --store-cert and --store-key" in reason(host, *trust)
    for name in ("old", "stranger"):
        assert "does not accept the client certificate" in reason(host, *trust, *of(files[name]))
    mixed = trust + of(files["host"])[:3] + of(files["old"])[3:]
    assert "--store-key do not match" in reason(host, *mixed)
    assert "CA that is not trusted; name that CA with --store-ca" in reason(host, *of(files["host"]))
    host.options = []
    assert "may expect TLS (use etcds://)" in reason(host, url=store.url.replace("etcds", "etcd"))
    # With users, the gateway does not let a certificate's common name in.
    host.urls, host.options = [store.url], trust + of(files["named"])
    host.once()
    store.users(both="READWRITE")
    secret = password(host, "right")
    url = store.url_of(*store.members, user="both@")
    assert "accepts no client certificate that has a common name (CN)" in reason(host, *trust, *of(files["named"]), *secret, url=url)
    host.options = trust + of(files["host"]) + secret
    host.once()
    files["host"].path.unlink()
    assert "host.crt" in host.once(code=4).stderr


@pytest.mark.parametrize("name, words", [("elsewhere", "its certificate is for another name"),
                                         ("expired", "its certificate has expired")])
def test_etcd_tls_certificate_of_the_server_is_refused(fleet, folder, name, words):
    """Also where other members of the cluster are gone."""
    files = tls_files(folder)
    store = Etcd(tls=serving(files[name]), ca=files["ca"].path)
    fleet.stores.append(store)
    store.members[0].start()
    wait_for(lambda: "serving client requests" in store.log(), store.log)
    host = fleet.host(store, **HOURLY)
    options = ["--store-ca", files["ca"].path]
    assert words in reason(host, *options)
    gone = f"127.0.0.1:{free_port()}"
    assert words in reason(host, *options, url=store.url.replace("//", f"//{gone},"))
    assert reason(host, *options, url=store.url.replace(str(store.members[0].port), gone[10:])).startswith(
        "connection refused")


def test_etcd_tls_on_a_plain_server(fleet, etcd):
    store = etcd()
    assert "it closed the connection: it may not speak TLS (use etcd://)" in reason(
        fleet.host(store, **HOURLY), url=store.url.replace("etcd", "etcds"))


@pytest.mark.timeout(120)
def test_etcd_that_has_no_space_is_read_and_says_so(fleet, etcd):
    store = etcd("--quota-backend-bytes", str(8 << 20))
    host = fleet.host(store, **HOURLY)
    host.once()
    before = host.names()

    def fill():
        for n in range(20):
            store.put(f"fill-{n}", bytes(1 << 20))

    with pytest.raises(OSError):
        fill()
    late = fleet.host(store, **HOURLY)
    late.once()
    assert late.names() == before
    lib.run("--ring", late.ring_path, "revoke", "--all")
    assert reason(late).startswith("its space is full (alarm NOSPACE): compact, defragment, then run 'etcdctl alarm")
    assert status(late, code=0)["answer"] == "good"
    for n in range(20):
        store.ask("kv/deleterange", key=store.key(f"fill-{n}"))
    store.ask("kv/compaction", revision=store.ask("kv/range", key=b64("x"))["header"]["revision"], physical=True)
    store.etcdctl("defrag")
    store.etcdctl("alarm", "disarm")
    late.once()
    host.once()
    assert host.names() == late.names() and not before & host.names()


# ---- what it holds, and who answers ----

@pytest.mark.timeout(120)
def test_etcd_with_somebody_elses_data_at_the_key(fleet, etcd):
    store = etcd("--max-request-bytes", str(16 << 20))
    host = fleet.host(store, **HOURLY)
    other = fleet.host(store, secret=fleet.new_secret("other.secret"), **HOURLY)
    host.once()
    other.once()
    name, ring = object_name(fleet.secret), store.get(object_name(fleet.secret))
    today = int(time.time()) // DAY
    for data, words in [(b"", "shorter or longer"), (b"x" * 100, "not a ring"), (bytes(10 << 20), "too large"),
                        (bytes(600 << 10), "too large"), (ring[:-1], ""), (ring[:8] + b"\0\x09" + ring[10:], "version"),
                        (store.get(object_name(fleet.dir / "other.secret")), "")]:
        store.put(name, data)
        said = reason(host)
        assert words in said, (data[:20], said)
        assert {key.name for key in ringfile.Ring.open(store.get(name), sealing_secrets(fleet.secret, today)).keys} \
            == host.names(), "not healed"
    assert not host.once().stderr and not other.once().stderr


class Says(Listener):
    """An HTTP server that says the same to everybody."""

    def __init__(self, said):
        self.said, self.asked = said, 0
        super().__init__()
        self.url = f"etcd://127.0.0.1:{self.port}/stek"

    def _serve(self, sock):
        try:
            while sock.recv(65536):
                self.asked += 1
                for piece in self.said if isinstance(self.said, list) else [self.said]:
                    sock.sendall(piece)
        except OSError:
            pass
        finally:
            sock.close()


def http_says(body, status="200 OK", *headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


HEADER = '"header": {"revision": "7"}'


@pytest.mark.timeout(120)
def test_etcd_servers_that_are_none_are_named(fleet):
    host, trap = fleet.host("etcd://127.0.0.1:9/stek", **HOURLY), Says(http_says(b"{}"))
    key = b64(f"/stek/{object_name(fleet.secret)}")
    for said, words in [
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", "HTTP/0.9"),
            (http_says(b"no", "404 Not Found"), "this is not etcd 3.4 or later, or its JSON gateway is off"),
            (http_says(b"", "302 Found", f"Location: {trap.url.replace('etcd', 'http')}"), "HTTP status 302"),
            (http_says(b"{}"), "unintelligible answer"),
            (http_says(b"[" * 5000), "unintelligible answer"),
            (http_says(b"[" + b"0," * 300000 + b"0]"), "unintelligible answer"),
            (http_says(f'{{{HEADER}, "kvs": [{{"key": "eA==", "mod_revision": "7"}}]}}'.encode()),
             "unintelligible answer"),
            (http_says(f'{{{HEADER}, "kvs": [{{"key": "{key}", "mod_revision": "-7"}}]}}'.encode()),
             "unintelligible answer"),
            (http_says(f'{{{HEADER}, "kvs": [{{"key": "{key}", "mod_revision": "7", "value": "A==="}}]}}'.encode()),
             "unintelligible answer"),
            ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] + [b"100000\r\n" + bytes(1 << 20) + b"\r\n"] * 50,
             "larger than 32 MiB"),
            ([b"HTTP/1.1 200 OK\r\n"] + [b"X-%d: %s\r\n" % (n, b"x" * 4000) for n in range(100)], ""),
            (http_says(b'{"error": "etcdserver: no leader", "code": 14}', "503 Service Unavailable"),
             "it has no leader: does the cluster have a quorum?"),
            (http_says(b'{"message": "etcdserver: corrupt cluster"}', "500 No"), "alarm CORRUPT"),
            (http_says(b'{"message": "new words\\u000a\\u001b"}', "500 No"), "HTTP status 500: new words??"),
    ]:
        server = Says(said)
        got = reason(host, url=server.url)
        assert words in got and len(got) > 5, (said[:60], got)
        server.close()
    assert trap.asked == 0, "a redirect was followed"
    trap.close()


# ---- settings ----

@pytest.mark.parametrize("url, words", [
    ("etcd://127.0.0.1", "missing key prefix"), ("etcd://127.0.0.1/", "key prefix must be"),
    ("etcd://127.0.0.1/a b", "key prefix must be"), ("etcd:///stek", "must be memcached://"),
    ("etcd://a,,b/stek", "must be memcached://"), ("etcd://a:0/stek", "must be memcached://"),
    ("etcd://a:65536,b/stek", "must be memcached://"), ("etcd://u:p@a/stek", "do not put a password in the URL"),
    ("etcd://@a/stek", "must be memcached://"), ("etcd://" + ",".join("a" * 17) + "/stek", "must be memcached://"),
    ("etcd+srv://a/stek", "must be memcached://")])
def test_etcd_url_that_is_malformed_is_refused(fleet, url, words):
    host = fleet.host(url, **HOURLY)
    said = host.once(code=2).stderr
    assert words in said and "u:p@" not in said
    assert lib.run(*host.arguments("--check"), code=2).stderr == said


def test_etcd_urls_that_are_good(fleet):
    for url in ("etcd://a/stek", "etcds://[::1]:2379,[::2],b:1/a/b/c/", "etcd://u@a,b,c/stek"):
        host = fleet.host(url, **HOURLY)
        assert "the settings are valid" in lib.run(*host.arguments("--check")).stdout
    twice = fleet.host("etcd://a,b/stek", "etcd://A,b/stek/", **HOURLY)
    assert "named twice" in lib.run(*twice.arguments("--check"), code=2).stderr
    lib.run(*fleet.host("etcd://a,b/stek", "etcd://a,b/stek2", **HOURLY).arguments("--check"))


def test_etcd_certificates_without_tls_are_refused(fleet, folder):
    files = tls_files(folder)
    host = fleet.host("etcd://127.0.0.1/stek", **HOURLY)
    host.options = ["--store-ca", files["ca"].path]
    assert "--store-ca is given, but no store uses TLS" in host.once(code=2).stderr
    host.options = ["--store-key", files["host"].path.with_suffix(".key")]
    assert "--store-key requires --store-cert" in host.once(code=2).stderr
    config = fleet.dir / "a.conf"
    config.write_text(f"ring {fleet.dir}/a.ring\nstore etcds://127.0.0.1:9/stek\nfleet-secret {fleet.secret}\n"
                      f"store-ca {files['ca'].path}\nstore-cert {files['host'].path}\n"
                      f"store-key {files['host'].path.with_suffix('.key')}\n")
    assert "the settings are valid" in lib.run("sync", "--config", config, "--check").stdout


def test_etcd_beside_another_store(fleet, etcd):
    memcached, store = fleet.store(Memcached), etcd()
    host = fleet.host(memcached, store, **HOURLY)
    host.once()
    store.flush()
    memcached.flush()
    host.once()
    assert store.ring(fleet.secret).keys == memcached.ring(fleet.secret).keys
    store.kill()
    host.once(code=5)
