# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a store has a name in the log, and the server's own words; and what a killed sync left behind
goes away."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

import fleet as lib
from fleet import Memcached, Redis, complaint, reason_in
from httpd import free_port, wait_for
from listener import Listener

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h"}


class Says(Listener):
    """A server that says something at once, or after the first bytes, or nothing; then it hangs up, or does not."""

    def __init__(self, scheme, said=b"", greets=False, hangs_up=False):
        self.scheme, self.said, self.greets, self.hangs_up = scheme, said, greets, hangs_up
        self.kept = []
        super().__init__()
        self.url = f"{scheme}://127.0.0.1:{self.port}"

    def _serve(self, sock):
        self.kept.append(sock)
        try:
            if self.greets:
                sock.sendall(self.said)
            while sock.recv(65536):
                if not self.greets:
                    sock.sendall(self.said)
                if self.hangs_up:
                    sock.shutdown(socket.SHUT_RDWR)
                    return
        except OSError:
            pass

    def close(self):
        super().close()
        for sock in self.kept:
            sock.close()


@pytest.fixture
def says():
    made = []

    def make(*args, **options):
        made.append(Says(*args, **options))
        return made[-1]

    yield make
    for server in made:
        server.close()


def reason(host, url=None):
    """Why that store cannot be used, in the log and in both forms of --status."""
    line = complaint(host, url=url)
    why = reason_in(line)
    assert why.strip()
    shown = json.loads(lib.run(*host.arguments("--status", "--json"), code=1).stdout)["stores"][0]
    if "written" not in line:
        assert shown["why"] == why, shown
        assert why in lib.run(*host.arguments("--status"), code=1).stdout
    return why


def password(host, text):
    host.options = lib.password(host, text)


# ---- servers that are what the URL says ----

def test_error_redis_password(fleet):
    store = fleet.store(Redis, "--requirepass", "right")
    host = fleet.host(store, **HOURLY)
    assert reason(host).startswith("it requires a password: use --password (NOAUTH ")
    password(host, "wrong")
    assert reason(host).startswith("wrong user or password (WRONGPASS ")
    password(host, "right")
    host.once()
    open_store = fleet.store(Redis)
    assert reason(host, open_store.url).startswith("it has no password set, but --password gives one (ERR AUTH ")


def test_error_redis_permission(fleet):
    store = fleet.store(Redis)
    store.ask("ACL", "SETUSER", "app", "on", ">right", "~stek:*", "+get")
    host = fleet.host(store, **HOURLY)
    password(host, "right")
    host.urls = [store.url.replace("//", "//app@")]
    assert reason(host).startswith("no permission: this user needs access to the commands GET, SET and EVAL, and to the key (NOPERM ")
    store.ask("ACL", "SETUSER", "app", "-get", "+eval", "+set")
    assert "NOPERM" in reason(host)
    store.ask("ACL", "SETUSER", "app", "+get", "resetkeys", "~other:*")
    assert "NOPERM" in reason(host)
    store.ask("ACL", "SETUSER", "app", "~stek:*")
    host.once()


def test_error_redis_database(fleet):
    store = fleet.store(Redis)
    assert reason(fleet.host(store, **HOURLY), store.url + "/99").startswith("it has no such database (ERR DB index")


def test_error_redis_replica(fleet):
    primary = fleet.store(Redis)
    store = fleet.store(Redis, "--replicaof", f"127.0.0.1 {primary.port}")
    wait_for(lambda: b"master_link_status:up" in store.ask("INFO", "replication"), "the replica")
    host = fleet.host(store, **HOURLY)
    assert reason(host).startswith("this is a read-only replica: name the primary (READONLY ")
    primary.kill()
    store.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    wait_for(lambda: b"MASTERDOWN" in (store.ask("GET", "x") or b""), "the replica to notice")
    assert reason(host).startswith("this is a replica that has lost its primary (MASTERDOWN ")


def test_error_redis_cluster(fleet):
    """Two nodes that share the slots: the one that lacks the object's says where it is, and there it is found."""
    bus = [free_port(), free_port()]
    nodes = [fleet.store(Redis, "--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{n}.conf",
                         "--cluster-port", str(bus[n])) for n in (0, 1)]
    host = fleet.host(nodes[0], **HOURLY)
    assert "CLUSTERDOWN" in reason(host)
    nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", nodes[1].port, bus[1])
    slot = int(nodes[0].ask("CLUSTER", "KEYSLOT", lib.object_name(fleet.secret))[1:])
    other = [str(n) for n in range(16384) if n != slot]
    nodes[0].ask("CLUSTER", "ADDSLOTS", *other)
    nodes[1].ask("CLUSTER", "ADDSLOTS", slot)
    wait_for(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in nodes), "the cluster", 20)
    host.once()
    assert nodes[1].ring(fleet.secret).keys
    nodes[1].kill()
    assert reason(host) == f"127.0.0.1:{nodes[1].port}: connection refused: nothing listens at this port"
    nodes[1].start()
    wait_for(lambda: b"cluster_state:ok" in nodes[1].ask("CLUSTER", "INFO"), "the cluster", 20)
    host.urls = [nodes[1].url]
    host.once()


def test_error_redis_full_and_memcached_too_small(fleet):
    store = fleet.store(Redis)
    store.fill()
    assert "OOM" in reason(fleet.host(store, **HOURLY))
    small = fleet.store(Memcached, "-I", "1k", "-o", "slab_chunk_max=1", "-m", "1")
    host = fleet.host(small, web=False, interval="1s", lifetime="30s")
    host.options += ["--ahead", "100"]
    assert "SERVER_ERROR object too large" in reason(host)


def test_error_memcached_password(fleet):
    auth = fleet.dir / "auth"
    auth.write_text("app:right\n")
    auth.chmod(0o644)
    store = Memcached("-Y", str(auth))
    store.answers = lambda: listens(store.port)
    fleet.stores.append(store.start())
    assert reason(fleet.host(store, **HOURLY)).startswith(
        "it checks passwords against a file (-Y), but stekctl supports only SASL (-S) (CLIENT_ERROR unauthenticated)")


def listens(port):
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def tls_files(certs, folder):
    for name in ("server.crt", "server.key"):
        shutil.copy(certs / name, folder / name)
        (folder / name).chmod(0o644)
    folder.chmod(0o755)
    return folder / "server.crt", folder / "server.key"


@pytest.mark.parametrize("kind", [Memcached, Redis], ids=["memcached", "redis"])
def test_error_store_expects_tls(fleet, certs, kind):
    store = kind()
    cert, key = tls_files(certs, store.dir)
    store.extra = (["-Z", "-o", f"ssl_chain_cert={cert},ssl_key={key}"] if kind is Memcached else
                   ["--port", "0", "--tls-port", str(store.port), "--tls-cert-file", cert, "--tls-key-file", key,
                    "--tls-ca-cert-file", cert])
    store.extra = list(map(str, store.extra))
    store.answers = lambda: listens(store.port)
    fleet.stores.append(store.start())
    assert re.search("expects? TLS", reason(fleet.host(store, **HOURLY)))


# ---- servers that are something else ----

@pytest.mark.parametrize("scheme", ["memcached", "redis"])
def test_error_store_is_a_web_server(fleet, scheme):
    port = free_port()
    folder = fleet.dir / "web"
    folder.mkdir()
    with subprocess.Popen(["/usr/bin/python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)], cwd=folder,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: listens(port), "the web server")
            assert reason(fleet.host(f"{scheme}://127.0.0.1:{port}", **HOURLY)).startswith("this is an HTTP server, not ")
        finally:
            process.kill()


@pytest.mark.parametrize("scheme", ["memcached", "redis"])
def test_error_store_is_the_other_kind(fleet, scheme):
    other = fleet.store({"memcached": Redis, "redis": Memcached}[scheme])
    names = {"memcached": "memcached", "redis": "Redis"}
    why = reason(fleet.host(f"{scheme}://127.0.0.1:{other.port}", **HOURLY))
    assert why.startswith(f"this is a {names[other.scheme]} server, not {names[scheme]} ("), why


@pytest.mark.parametrize("scheme", ["memcached", "redis"])
@pytest.mark.parametrize("said,options,expected", [
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", {"greets": True}, "this is an SSH server, not .*SSH-2.0-OpenSSH"),
    (b"HTTP/1.1 400 Bad Request\r\nServer: Apache\r\n\r\n", {"hangs_up": True}, "this is an HTTP server, not "),
    (b"\x15\x03\x01\x00\x02\x02\x46", {"hangs_up": True}, "it expects TLS, "),
    (b"220 mail.test ESMTP\r\n", {"greets": True}, r"unintelligible answer, .*\(220 mail.test ESMTP\)"),
    (b"", {"hangs_up": True}, "it closed the connection without answering: it may expect TLS, "),
    (b"", {}, "connected, but no answer in time"),
    (b"\r\n", {}, r"unintelligible answer, .*\(an empty line\)"),
    (b"x" * 5000, {}, "unintelligible answer"),
    (b"\x00\xff\x1b[2J\r\n", {}, "unintelligible answer"),
], ids=["ssh", "http", "tls", "smtp", "closes", "silent", "empty", "long", "binary"])
def test_error_store_is_something_else(fleet, says, scheme, said, options, expected):
    why = reason(fleet.host(says(scheme, said, **options), **HOURLY))
    assert re.match(expected, why), why
    assert why.isprintable()


@pytest.mark.parametrize("scheme,said", [("redis", b"-\r\n"), ("memcached", b"SERVER_ERROR\r\n"),
                                         ("memcached", b"SERVER_ERROR \r\n"), ("redis", b"-ERR\r\n")])
def test_error_without_words_still_has_a_reason(fleet, says, scheme, said):
    assert reason(fleet.host(says(scheme, said), **HOURLY))


def test_error_no_connection(fleet):
    for scheme in ("memcached", "redis"):
        host = fleet.host(f"{scheme}://127.0.0.1:{free_port()}", **HOURLY)
        assert reason(host) == "connection refused: nothing listens at this port"
    assert reason(host, "redis://store.invalid").startswith("name not found (") or "looked up" in reason(host)
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    full = [socket.socket() for _ in range(3)]
    for sock in full:
        sock.setblocking(False)
        sock.connect_ex(listener.getsockname())
    assert reason(host, f"memcached://127.0.0.1:{listener.getsockname()[1]}") == "no connection in time"
    for sock in [listener, *full]:
        sock.close()


@pytest.mark.timeout(60)
def test_error_that_changes_is_logged(fleet):
    """From one fault to the next, without a good cycle between them."""
    store = fleet.store(Redis, "--requirepass", "right")
    host = fleet.host(store, **HOURLY)
    password(host, "wrong")
    host.start(web=False)
    wait_for(lambda: "WRONGPASS" in host.log(), host.log)
    store.kill()
    wait_for(lambda: "connection refused" in host.log(), host.log, 20)
    assert host.log().count("WRONGPASS") == 1


# ---- what a killed process leaves ----

def test_killed_sync_what_it_left_is_removed_by_the_next(fleet):
    """Beside every file that sync writes; but nothing that may be somebody else's."""
    fleet.store()
    host = fleet.host(**HOURLY)
    floor = host.root / "state" / "default.floor"
    floor.parent.mkdir(mode=0o750)
    host.options = ["--floor", floor]
    host.once()
    paths = [host.ring_path, host.secret_path, host.fleet_secret, floor, host.ring_path.with_name("default.ring.sync")]
    old = time.time() - 3600
    left, kept = [], []
    for path in paths:
        assert path.exists(), path
        for name, files in ((f"{path.name}.tmp-0123456789abcdef", left), (f"{path.name}.tmp-20261120", kept)):
            files.append(path.with_name(name))
            files[-1].write_bytes(b"half")
            files[-1].chmod(0o600)
            os.utime(files[-1], (old, old))
        kept.append(path.with_name(f"{path.name}.tmp-fedcba9876543210"))  # another process's that still writes
        kept[-1].write_bytes(b"half")
    host.once()
    assert not [path for path in left if path.exists()]
    assert all(path.exists() for path in kept)
