# SPDX-License-Identifier: Apache-2.0
"""Bad input from a store, alike for every engine: it is refused by name, nothing is lost, and the file ring serves
on. What is there only to be found once (an engine's own words, its TLS) is in test_fleet_redis.py, test_fleet_etcd.py
and test_fleet_errors.py."""
import json
import random
import re
import string
import time

import pytest

import announcements
import fleet as lib
import ringfile
from etcd import Etcd, tls_files
from fleet import Memcached, Redis, object_name, sealing_secrets
from httpd import wait_for
from listener import Listener
from redis_kinds import Cluster, SaslMemcached, Sentinel, TlsRedis, TlsSentinel
from seed import seeded_rng

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h", "timeout": "5s"}
MIB = 1 << 20
ENGINES = {
    "memcached": lambda: Memcached("-I", "16m", "-m", "128"),
    "redis": Redis,
    "cluster": Cluster,
    "etcd": lambda: Etcd("--max-request-bytes", str(16 * MIB)),
}


class Watched(Redis):
    """A primary, at the URL of a Sentinel that knows it."""

    def start(self):
        super().start()
        self.sentinel = Sentinel(self)
        self.sentinel.start()
        return self

    @property
    def url(self):
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/mymaster"

    def remove(self):
        self.sentinel.remove()
        super().remove()


ENGINES["sentinel"] = Watched


@pytest.fixture(params=ENGINES)
def store(request, fleet):
    fleet.stores.append(ENGINES[request.param]())
    return fleet.stores[-1].start()


def refused(host, *, code=5):
    """Why, as the log says it; the file ring is to the byte what it was."""
    before = lib.digest(host.ring_path) if host.ring_path.exists() else None
    text = host.once(code=code).stderr
    line, = [line for line in text.splitlines() if line.startswith(f"stekctl: {host.urls[0]}: ")]
    why = re.fullmatch(r"stekctl: \S+: (?:silent|can be read, but not written|its object is unusable): (.+?)"
                       r"; (?:continuing with the file ring|overwriting it with this host's ring).*", line).group(1)
    assert host.ring().current(time.time()), line
    assert before in (None, lib.digest(host.ring_path)), f"the file ring changed: {line}"
    return why


def from_the_future(sealed, version=2):
    """A ring as a later version might write it: the same beginning, another number, more behind it."""
    return sealed[:8] + version.to_bytes(2, "big") + sealed[10:] + bytes(40)


def test_bad_object_is_refused_by_name_and_nothing_is_lost(fleet, store):
    host, other = fleet.host(store, **HOURLY), fleet.host(store, secret=fleet.new_secret("other.secret"), **HOURLY)
    host.once()
    other.once()
    name, names = object_name(fleet.secret), host.names()
    good, theirs = store.get(name), store.get(object_name(other.fleet_secret))
    noise = seeded_rng()
    for data, words in [
            (b'{"user": 17, "cart": [1, 2, 3]}' * 4, "not a ring"),
            (b"O", "not a ring"),
            (noise.randbytes(len(good)), "not a ring"),
            (theirs, "sealed with a secret that is not in the secret file"),
            (from_the_future(good), "later version"),
            (good[:noise.randrange(60, len(good))], ""),
            (good[:10] + bytes(10 * MIB), "too")]:
        assert store.put(name, data)
        said = refused(host)
        assert words in said, (data[:20], said)
        if store.get(name) == data:  # far too long: somebody has to delete it
            assert "delete it" in said
            store.flush()
            other.once()
        assert not host.once().stderr, "not healed by the first cycle"
        assert {key.name for key in store.ring(fleet.secret).keys} == names == host.names()
    assert not other.once().stderr, "the other fleet has lost something"


def test_bad_object_that_cannot_be_overwritten_is_not_said_to_be(fleet):
    fleet.stores.append(Redis().start())
    store = fleet.stores[-1]
    host = fleet.host(store, **HOURLY)
    assert store.put(object_name(fleet.secret), b"not a ring")
    store.fill()
    line, = [line for line in host.once(code=5).stderr.splitlines() if store.url in line]
    assert "its object is unusable, and cannot be overwritten: it is out of memory" in line, line
    assert line.endswith("; continuing with the file ring")
    store.unfill()
    assert "its object is unusable: " in (said := host.once(code=5).stderr) and "overwriting it" in said
    assert host.names() == {key.name for key in store.ring(fleet.secret).keys}


@pytest.mark.parametrize("store", ["memcached", "redis", "etcd"], indirect=True)
def test_bad_announcements_are_ignored_and_named_and_keep_no_host_from_the_ring(fleet, store):
    """Beside the ring's object, those by which hosts announce themselves: 'stekctl fleet' still answers."""
    host = fleet.host(store, **HOURLY)
    host.once()
    key = announcements.object_of(fleet.secret, announcements.part_of(host.name))
    good, names = store.get(key), host.names()
    for data in (b"somebody else's", from_the_future(good), bytes(10 * MIB)):
        assert store.put(key, data)
        shown = lib.run("fleet", "--store", host.urls[0], "--fleet-secret", fleet.secret, "--timeout", "5s", code=None)
        assert shown.returncode in (1, 5) and host.name not in shown.stdout.partition("\n")[2], shown
        host.once(code=None)
        assert host.names() == names and {k.name for k in store.ring(fleet.secret).keys} == names
        store.flush()
        host.once()


# ---- rights that lack one operation ----

def as_user(host, url, text="right"):
    path = host.root / "password"
    path.write_text(text + "\n")
    path.chmod(0o600)
    host.urls, host.options = [url], ["--password", path]


@pytest.mark.parametrize("missing", ["get", "set", "eval", "the key"])
def test_bad_rights_redis_user_lacks_one(fleet, missing):
    store = fleet.store(Redis)
    host = fleet.host(store, **HOURLY)
    host.once()
    store.ask("ACL", "SETUSER", "app", "on", ">right", "~stek:*", "+get", "+set", "+eval")
    store.ask("ACL", "SETUSER", "app", *(["resetkeys", "~elsewhere:*"] if missing == "the key" else ["-" + missing]))
    late = fleet.host(store, **HOURLY)
    as_user(late, store.url.replace("//", "//app@"))
    can_read = missing in ("set", "eval")
    if can_read:
        late.once()  # nothing to write yet
        assert late.names() == host.names()
        lib.run("--ring", late.ring_path, "rotate")
    assert "no permission: this user needs access to the commands GET, SET and EVAL, and to the key" in refused(late)
    store.ask("ACL", "SETUSER", "app", "~stek:*", "+get", "+set", "+eval")
    late.once()
    host.once()
    assert late.names() == host.names()


@pytest.mark.parametrize("right, operation", [("READ", "write"), ("WRITE", "read")])
def test_bad_rights_etcd_role_lacks_one(fleet, right, operation):
    store = fleet.store(Etcd)
    host = fleet.host(store, **HOURLY)
    host.once()
    store.users(app=right, both="READWRITE")
    late = fleet.host(store, **HOURLY)
    as_user(late, store.url_of(*store.members, user="app@"))
    if right == "READ":
        late.once(code=None)
        assert late.names() == host.names()
        lib.run("--ring", late.ring_path, "rotate")
    assert f"no permission to {operation}: grant this user's role readwrite on the URL's prefix" in refused(late)
    # Another fleet's prefix.
    late.urls = [late.urls[0] + "-of-another-fleet"]
    assert "no permission to read" in refused(late)
    as_user(late, store.url_of(*store.members, user="both@"))
    late.once()
    as_user(host, late.urls[0])
    host.once()
    assert late.names() == host.names()


def test_bad_rights_memcached_user_that_is_not_let_in(fleet):
    store = fleet.store(SaslMemcached)
    host = fleet.host(store, **HOURLY)
    as_user(host, store.url, "wrong")
    assert "wrong user or password" in refused(host)
    as_user(host, store.url)
    host.once()


# ---- certificates ----

CERTIFICATES = [("expired", "its certificate has expired"), ("elsewhere", "its certificate is for another name")]


@pytest.fixture(scope="module")
def identities(tmp_path_factory):
    return tls_files(tmp_path_factory.mktemp("bad-input-tls"))


@pytest.mark.parametrize("name, words", CERTIFICATES)
def test_bad_certificate_of_a_sentinel_is_refused_by_name(fleet, identities, name, words):
    """Redis and etcd: test_fleet_redis.py, test_fleet_etcd.py."""
    primary = TlsRedis(identities["ca"], identities["server"], clients=False)
    fleet.stores.append(primary.start())
    watcher = TlsSentinel(identities["ca"], identities[name], primary)
    fleet.stores.append(watcher.start())
    host = fleet.host(fleet.store(Memcached), **HOURLY)
    host.once()
    host.urls = [f"rediss+sentinel://127.0.0.1:{watcher.port}/mymaster"]
    host.options = ["--store-ca", identities["ca"].path]
    assert words in refused(host)


# ---- what answers again what it has answered before ----

@pytest.mark.parametrize("store", ["memcached", "redis", "etcd"], indirect=True)
def test_bad_replay_of_any_older_object_brings_nothing_back(fleet, store):
    host, late = fleet.host(store, **HOURLY), fleet.host(store, **HOURLY)
    name, past, revoked = object_name(fleet.secret), [], set()
    for _ in range(3):
        host.once()
        late.once()
        past.append(store.get(name))
        revoked |= host.names()
        lib.run("--ring", host.ring_path, "revoke", "--all")
    host.once()
    late.once()
    names = host.names()
    for old in random.sample(past, len(past)):
        store.put(name, old)
        for reader in (late, host):
            reader.once()
            assert reader.names() == names and not names & revoked
        sealed = ringfile.Ring.open(store.get(name), sealing_secrets(fleet.secret, int(time.time()) // lib.DAY))
        assert {key.name for key in sealed.keys} == names


# ---- answers that repeat the password ----

class Parrot(Listener):
    """A server that answers everything with this."""

    def __init__(self, answer):
        self.answer, self.asked = answer, 0
        super().__init__()

    def _serve(self, sock):
        try:
            while sock.recv(65536):
                sock.sendall(self.answer)
                self.asked += 1
        except OSError:
            pass
        finally:
            sock.close()


def sasl_answer(op, status, body):
    return b"\x81" + bytes([op]) + bytes(4) + status.to_bytes(2, "big") + len(body).to_bytes(4, "big") + bytes(12) + body


@pytest.mark.timeout(120)
def test_bad_answers_that_repeat_the_password_put_it_into_no_log(fleet):
    """In whatever kind of answer to a login."""
    text = "sesame-open-0815"
    word = text.encode()
    for scheme, answer in [
            ("redis", b"-ERR what is %s\r\n" % word), ("redis", word + b"\r\n"),
            ("memcached", b"ERROR %s\r\n" % word), ("memcached", word + b"-and-something-else\r\n"),
            ("memcached", sasl_answer(0x21, 0x20, word)), ("memcached", sasl_answer(0x21, 0x81, word))]:
        parrot = Parrot(answer)
        try:
            host = fleet.host(f"{scheme}://user@127.0.0.1:{parrot.port}", **HOURLY)
            host.options = lib.password(host, text)
            why = refused(host)
            assert parrot.asked and text[:8] not in why and "***" in why, (scheme, answer, why)
            conf = fleet.dir / "parrot.conf"
            conf.write_text(f"store {host.urls[0]}\npassword {host.options[1]}\nfleet-secret {fleet.secret}\n")
            shown = lib.run("fleet", "--config", conf, code=5)
            assert text[:8] not in shown.stdout + shown.stderr and "***" in shown.stdout
        finally:
            parrot.close()


class Magpie(Listener):
    """A server that lets everybody in, and from then on repeats what they said then: the password, in some way."""

    def __init__(self, kind, words, rng):
        self.kind, self.words, self.rng, self.asked = kind, words, rng, 0
        super().__init__()

    def _serve(self, sock):
        file = sock.makefile("rb")
        try:
            while getattr(self, f"_{self.kind}")(sock, file):
                self.asked += 1
        except (OSError, ValueError, IndexError):
            pass
        finally:
            sock.close()

    def _redis(self, sock, file):
        words = []
        for _ in range(int(file.readline()[1:])):
            length = int(file.readline()[1:])
            words.append(file.read(length + 2)[:-2])
        sock.sendall(b"+OK\r\n" if words[0] == b"AUTH" else self.rng.choice(self.words))
        return True

    def _memcached(self, sock, file):
        head = file.read(24)
        file.read(int.from_bytes(head[8:12], "big"))
        sock.sendall(sasl_answer(head[1], 0, b"") if head[1] == 0x21 else
                     sasl_answer(head[1], self.rng.choice([0x20, 0x81, 0x84, 0x85]), self.rng.choice(self.words)))
        return True

    def _etcd(self, sock, file):
        path, length = file.readline().split()[1], 0
        while line := file.readline().strip():
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        file.read(length)
        login = path.endswith(b"authenticate")
        status, body = (200, json.dumps({"header": {"revision": "1"}, "token": TOKEN}).encode()) if login else (
            self.rng.choice([200, 400, 503]), self.rng.choice(self.words))
        sock.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
        return True


TOKEN = "sOmEtOkEn.4711"


def repeated(kind, text, rng):
    """How a server of that kind may say it."""
    word, token = text.encode(), rng.choice(["", f" {TOKEN} "])
    return {
        "redis": [b"-ERR x" + b"y" * 150 + b"\2" + word + b"z" * 200 + b"\r\n", b"-ERR unknown command 'GET', with args beginning with: '%s'\r\n" % word, b"+%s\r\n" % word,
                  b"-MOVED 1 %s:1\r\n" % word, b"-%s\r\n" % word, b"%s\r\n" % word, b"*1\r\n+%s\r\n" % word,
                  b"$%d\r\n%s\r\n:7\r\n" % (len(word), word), b"-NOPERM for %s and all\r\n" % word],
        "memcached": [word, b"who is " + word + b" and why", b"a" * 150 + word],
        "etcd": [word, *(json.dumps(answer).encode() for answer in (
            {"error": token + text, "message": text, "code": 7}, {"error": json.dumps({"password": text}), "code": 3},
            {"message": "authentication failed for " + text + token}, {"error": {"message": "no leader: " + text}},
            {"result": {"canceled": True, "cancel_reason": text}}))]}[kind]


@pytest.mark.timeout(150)
@pytest.mark.parametrize("kind", ["redis", "memcached", "etcd"])
def test_bad_answers_after_a_login_put_no_password_into_log_or_status(fleet, kind):
    """Passwords are random, as is what repeats them, and when: a worker has forgotten its own by then."""
    rng, hidden = seeded_rng(kind), 0
    for length in (6, 16, 40, 200):
        text = "".join(rng.choice(string.ascii_letters + string.digits + "-_'\"\\/+") for _ in range(length))
        magpie = Magpie(kind, repeated(kind, text, rng), rng)
        try:
            url = f"{kind}://user@127.0.0.1:{magpie.port}" + ("/prefix" if kind == "etcd" else "")
            host = fleet.host(url, **{**HOURLY, "every": "1s"})
            host.options = lib.password(host, text)
            said = "".join(host.once(code=None).stderr for _ in range(6))
            host.start()
            asked = magpie.asked
            wait_for(lambda asked=asked: magpie.asked >= asked + 6, host.log, 60)
            host.stop_sync()
            conf = fleet.dir / "magpie.conf"
            conf.write_text(f"ring {host.ring_path}\nstore {url}\npassword {host.options[1]}\n"
                            f"fleet-secret {fleet.secret}\n")
            for command in (["fleet", "--config", conf], ["fleet", "--json", "--config", conf],
                            host.arguments("--status"), host.arguments("--status", "--json")):
                done = lib.run(*command, code=None)
                said += done.stdout + done.stderr
            said += host.log()
            hidden += said.count("***")
            for part in (text, TOKEN):
                shown = {part[n:n + 8] for n in range(max(1, len(part) - 7))}
                assert not [piece for piece in shown if piece in said.replace("\\\\", "\\")], (text, said)
        finally:
            magpie.close()
    assert hidden
