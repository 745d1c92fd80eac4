# SPDX-License-Identifier: Apache-2.0
"""Stores that lie, roll back or answer from the past: what one says keeps no key and no revocation from the file
ring or from the other stores."""
import json
import os
import random
import re
import time
from dataclasses import replace

import pytest

import fleet as lib
import ringfile
from fleet import DAY, Memcached, Redis, agree, object_name, sealing_secrets
from fickle import FickleMemcached, FickleRedis, Mind
from httpd import wait_for
from liar import Liar, RedisLiar
from seed import seeded_rng
from twenty import Watched

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h"}


@pytest.fixture
def liar():
    made = Liar()
    yield made
    made.close()


@pytest.fixture(params=[Memcached, Redis], ids=["memcached", "redis"])
def kind(request):
    return request.param


def today():
    return int(time.time()) // DAY


def status(host, code=0):
    return json.loads(lib.run(*host.arguments("--status", "--json"), code=code).stdout)


def in_order(liar, store, first):
    """Both URLs; sync asks the one that sorts first before the other."""
    urls = [liar.url, store.url]
    if (min(urls) == liar.url) != first:
        urls = [url.replace("127.0.0.1", "localhost") if url == max(urls) else url for url in urls]
    return urls


@pytest.mark.timeout(90)
@pytest.mark.parametrize("first", [True, False])
def test_liar_keeps_no_key_and_no_revocation_from_the_others(fleet, liar, first):
    store = fleet.store(Redis if not first else Memcached)
    hosts = [fleet.host(*in_order(liar, store, first), **HOURLY).start(web=False) for _ in range(4)]
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and agree(hosts), "all to have one ring", 30)
    assert liar.said > 0
    before = hosts[0].names()
    lib.run("--ring", hosts[2].ring_path, "revoke", "--all")
    wait_for(lambda: agree(hosts) and not before & hosts[0].names(), "the revocation at all hosts", 20)
    assert not before & {key.name for key in store.ring(fleet.secret).keys}
    for host in hosts:
        wait_for(lambda: "accepts no writes: it reports a conflict on every write" in host.log(), host.log, 20)
        line, = [line for line in host.log().splitlines() if "accepts no writes" in line]
        assert f":{liar.url.rpartition(':')[2]}: " in line
    shown = {entry["store"].rpartition(":")[2]: entry for entry in status(hosts[0], code=1)["stores"]}
    assert shown[liar.url.rpartition(":")[2]]["cycles_without_write"] >= 3
    assert shown[store.url.rpartition(":")[2]]["cycles_without_write"] == 0


@pytest.mark.timeout(60)
def test_liar_alone_hosts_make_their_own_keys(fleet, liar):
    hosts = [fleet.host(liar, **HOURLY) for _ in range(2)]
    for host in hosts:
        text = host.once(code=5).stderr
        assert "conflict" not in text
        assert f"{liar.url}: took no write: other hosts were first each time, or so it says" in text
        assert host.ring().current(time.time())


@pytest.mark.timeout(60)
def test_replica_that_is_frozen_neither_ends_nor_brings_back_a_key(fleet, liar):
    """It answers reads from the past, and takes no write."""
    store = fleet.store()
    first = fleet.host(store, **HOURLY)
    first.once()
    liar.answer = store.get(object_name(fleet.secret))
    old = first.names()
    lib.run("--ring", first.ring_path, "revoke", "--all")
    first.once()
    hosts = [fleet.host(liar, store, **HOURLY) for _ in range(2)]
    for host in hosts:
        host.once(code=5)
        assert host.ring().keys == first.ring().keys and not old & host.names()
    assert not old & {key.name for key in store.ring(fleet.secret).keys}


# ---- epochs and clocks ----

def poison(fleet, store, **fields):
    """Whoever has the fleet secret writes what he wants."""
    ring = ringfile.Ring([ringfile.make_key()], **fields)
    store.put(object_name(fleet.secret), ring.seal(sealing_secrets(fleet.secret, today())[0]))


@pytest.mark.parametrize("epoch", [2 ** 64 - 1, 2 ** 63, int(time.time()) + 2 * DAY],
                         ids=["highest", "half", "two-days-ahead"])  # the same names in every process of a run
def test_epoch_that_no_clock_can_have_come_to_is_refused(fleet, kind, epoch):
    store = fleet.store(kind)
    host = fleet.host(**HOURLY)
    host.once()
    before = host.names()
    poison(fleet, store, epoch=epoch, written_at=int(time.time()))
    assert "more than a day ahead of this host's clock" in host.once(code=5).stderr
    assert host.names() == before and host.ring().epoch == 0
    assert {key.name for key in store.ring(fleet.secret).keys} == before, "not healed"
    lib.revoke(host)
    host.once()
    assert not before & host.names() and host.ring().epoch <= time.time() + 1


def test_epoch_of_the_present_at_a_host_whose_clock_is_days_behind(fleet):
    """It cannot tell its own wrong clock from a poisoned epoch: it leaves the object alone and says so."""
    store = fleet.store()
    good = fleet.host(**HOURLY)
    good.once()
    lib.revoke(good)
    good.once()
    late, before = fleet.host(**HOURLY), store.get(object_name(fleet.secret))
    assert "ahead of this host's clock; check the clock" in late.once(clock=-3 * DAY, code=5).stderr
    assert store.get(object_name(fleet.secret)) == before
    late.once(code=None)
    assert late.ring().keys == good.ring().keys


def test_epoch_and_time_of_the_future_are_replaced_by_runs_of_once_as_by_a_service(fleet, kind):
    """Under cron, every cycle is a process of its own; the next one goes on counting."""
    store = fleet.store(kind)
    host = fleet.host(**HOURLY)
    host.once()
    before, later = host.names(), int(time.time()) + 5 * DAY
    poison(fleet, store, epoch=later, written_at=later)
    for _ in range(3):
        assert "ahead of this host's clock; check the clock" in host.once(code=5).stderr
        assert store.ring(fleet.secret).epoch == later
    host.once(code=5)
    assert {key.name for key in store.ring(fleet.secret).keys} == before == host.names(), "not healed"
    host.once()
    # One that comes later is waited for as long.
    poison(fleet, store, epoch=later, written_at=later)
    for healed in (False, False, False, True):
        host.once(code=5)
        assert (store.ring(fleet.secret).epoch == 0) == healed


def test_epoch_of_the_later_of_two_revocations_ends_what_the_first_made(fleet):
    """A revokes, and its new key is stolen; B, cut off, revokes a little later."""
    store = fleet.store()
    a, b = fleet.host(**HOURLY), fleet.host(**HOURLY)
    a.once()
    b.once()
    lib.revoke(a)
    stolen = a.names()
    time.sleep(1.1)
    lib.revoke(b)
    for host in (a, b, a, b):
        host.once()
    assert a.ring().keys == b.ring().keys and not stolen & a.names()
    assert not stolen & {key.name for key in store.ring(fleet.secret).keys}


FLOOR = 0x53544b464c4f4f52  # a floor's mark, in place of the generation


@pytest.mark.parametrize("generation", [2 ** 64 - 2, 2 ** 64 - 1, FLOOR - 1, FLOOR])
def test_generation_of_a_thief_ends_no_count_and_makes_no_floor_of_a_ring(fleet, kind, generation):
    store = fleet.store(kind)
    host, other = fleet.host(**HOURLY), fleet.host(**HOURLY)
    host.once()
    before, seen = host.names(), []
    seal = sealing_secrets(fleet.secret, today())[0]
    store.put(object_name(fleet.secret), ringfile.Ring(
        [*host.ring().keys, ringfile.make_key()], generation=generation).seal(seal))
    for _ in range(3):
        host.once(code=None)
        seen.append(host.ring().generation)
        lib.run("--ring", host.ring_path, "rotate")
        seen.append(host.ring().generation)
    assert seen == sorted(seen) and FLOOR not in seen and seen[-1] > 3
    host.once()
    other.once()
    assert other.names() == host.names() > before and host.once().stderr == ""


@pytest.mark.parametrize("greater", [True, False])
@pytest.mark.parametrize("part", ["both", "aes", "crosswise"])
def test_key_that_shares_the_bytes_of_another_is_refused_alike_by_all(fleet, greater, part):
    """A thief of the fleet secret puts a key into the store under another name than the hosts have it: each object
    is good by itself."""
    store, other = fleet.store(), fleet.store(Redis)
    a, b = fleet.host(**HOURLY), fleet.host(**HOURLY)
    first = ringfile.make_key()
    name = bytes([128 + 127 * greater] if greater else [0]) * 4 + os.urandom(12)
    first = replace(first, name=b"\x77" * 4 + first.name[4:])
    second = ringfile.make_key(name=name, **{"both": {"hmac": first.hmac, "aes": first.aes}, "aes": {"aes": first.aes},
                                             "crosswise": {"hmac": first.aes}}[part])
    seal = sealing_secrets(fleet.secret, today())[0]
    a.once()
    b.once()
    honest = a.names()
    store.put(object_name(fleet.secret), ringfile.Ring([*a.ring().keys, first]).seal(seal))
    a.once()
    b.once()
    other.put(object_name(fleet.secret), ringfile.Ring([second]).seal(seal))
    text = a.once(code=None).stderr
    assert f"{a.ring_path}: 1 key refused: another key in the ring has the same bytes" in text, text
    assert "moved to" not in text
    b.once(code=None)
    for host in (a, b):
        assert host.once().stderr == "", "not healed"
        assert honest <= host.names() and host.names() - honest == {min(first.name, second.name)}
        lib.run("--ring", host.ring_path, "show")
    for kept in (store, other):
        assert {key.name for key in kept.ring(fleet.secret).keys} == a.names()


@pytest.mark.timeout(60)
def test_keys_of_a_clock_ten_years_ahead_are_left_out(fleet):
    store = fleet.store()
    host, glitch = fleet.host(**HOURLY), fleet.host(**HOURLY)
    host.once()
    glitch.once(clock=3650 * DAY, code=None)
    text = host.once(code=None).stderr
    assert "ignored" in text and "check the clocks" in text
    latest = max(key.not_before for key in host.ring().keys)
    assert latest < time.time() + DAY
    host.once()
    assert all(key.not_before < time.time() + DAY for key in store.ring(fleet.secret).keys)
    assert host.once().stderr == "" and os.path.exists(glitch.ring_path)


class Forgetful(Liar):
    """Accepts every write, and keeps nothing."""

    def _serve(self, sock):
        super()._serve(Yes(sock))


class Yes:
    """A socket that says yes where a liar says no."""

    def __init__(self, sock):
        self.recv, self.close, self.sock = sock.recv, sock.close, sock

    def sendall(self, data):
        self.sock.sendall(b"STORED\r\n" if data in (b"EXISTS\r\n", b"NOT_STORED\r\n") else data)


def test_store_that_accepts_writes_and_keeps_nothing_is_named(fleet):
    """Hosts that have only this store share nothing, and neither the log nor a metric said so."""
    store = Forgetful()
    host = fleet.host(store, web=False, interval="1h", lifetime="18h")
    metrics = host.root / "sync.prom"
    host.options = ["--metrics", metrics]
    host.start(web=False)
    wait_for(lambda: f"{store.url}: keeps nothing: it accepts every write" in host.log(), host.log, 20)
    agreed = re.search(r"^stek_sync_agreed_timestamp_seconds\S* (\d+)", metrics.read_text(), re.M)
    said = store.said
    wait_for(lambda: store.said > said + 2, "cycles", 10)
    again = re.search(r"^stek_sync_agreed_timestamp_seconds\S* (\d+)", metrics.read_text(), re.M)
    assert (agreed and agreed.group(1)) == (again and again.group(1)), "it was said to agree"
    assert host.log().count("keeps nothing") == 1
    store.close()


@pytest.mark.timeout(60)
def test_store_that_keeps_nothing_is_told_by_one_cycle_too(fleet):
    """It has answered STORED, so everything seemed well."""
    store, good = Forgetful(), fleet.store()
    host = fleet.host(store, good, **HOURLY)
    for _ in range(2):
        line, = [line for line in host.once(code=5).stderr.splitlines() if "made 2 keys" not in line]
        assert line.startswith(f"stekctl: {store.url}: has taken the ring, but does not have it any more: it keeps nothing")
    host.urls = [good.url]
    assert not host.once(code=0).stderr
    store.close()


class SentOn(RedisLiar):
    """Answers reads; for every write it says this."""

    def __init__(self, error):
        self.error = error
        super().__init__()

    def _serve(self, sock):
        super()._serve(Replaced(sock, b":0\r\n", b"-%s\r\n" % self.error.replace("PORT", str(self.port)).encode()))


class Replaced:
    """A socket that says the one thing in place of the other."""

    def __init__(self, sock, said, instead):
        self.makefile, self.close, self.sock, self.said, self.instead = sock.makefile, sock.close, sock, said, instead

    def sendall(self, data):
        self.sock.sendall(self.instead if data == self.said else data)


@pytest.mark.parametrize("error", ["MOVED 1 127.0.0.1:PORT", "MOVED 1 127.0.0.1:9", "MOVED", "MOVED ", "MOVED 1", "ASK",
                                   "MOVED 1 :", "MOVED 1 a b:1", "ASK 1 127.0.0.1:PORT"])
@pytest.mark.timeout(60)
def test_store_that_sends_every_write_on_is_named_with_the_reason(fleet, error):
    store = SentOn(error)
    host = fleet.host(store, **HOURLY)
    line, = [line for line in host.once(code=5).stderr.splitlines() if "made 2 keys" not in line]
    assert line.startswith(f"stekctl: {store.url}: can be read, but not written: ")
    assert error.replace("PORT", str(store.port)).strip() in line and line.endswith("continuing with the file ring")
    assert ("but sends every write to another server" in line) != ("it is not clear which" in line), line
    store.close()


# ---- what the status says ----

@pytest.mark.timeout(60)
def test_status_of_a_damaged_ring_is_not_that_there_is_none(fleet):
    host = fleet.host(fleet.store(), **HOURLY)
    assert "default.ring: no ring\n" in lib.run(*host.arguments("--status"), code=None).stdout or not host.ring_path.exists()
    host.once()
    assert status(host)["why"] is None
    whole = host.ring_path.read_bytes()
    for data in (whole[:-3] + b"xyz", whole[:-1], b"", os.urandom(300)):
        host.ring_path.write_bytes(data)
        text = lib.run(*host.arguments("--status"), code=1).stdout
        assert f"{host.ring_path}: damaged, or not this host's: " in text and "no ring" not in text.splitlines()[0]
        assert "write the file ring" in text
        shown = status(host, code=1)
        assert shown["why"] and not shown["readable"]
    host.ring_path.unlink()
    assert "default.ring: no ring\n" in lib.run(*host.arguments("--status"), code=1).stdout
    assert status(host, code=1)["why"] is None


@pytest.mark.parametrize("generate", [True, False])
@pytest.mark.timeout(60)
def test_status_after_the_lifetime_has_shrunk_says_what_the_next_cycle_does(fleet, generate):
    """The store keeps keys for as long as their makers decided, and this host's file does not."""
    host = fleet.host(fleet.store(), **HOURLY)
    for hours in range(-5, 1):
        host.once(clock=hours * 3600)
    host.times, host.generate = ["--interval", "1h", "--lifetime", "2h"], generate
    for _ in range(3):
        said = status(host)
        before = host.ring_path.read_bytes()
        host.once()
        assert ("write the file ring" in said["next"]) == (host.ring_path.read_bytes() != before), said
        assert (said["keys_behind"] > 0) <= ("write the file ring" in said["next"]), said
    assert status(host)["next"] == []


# ---- every lie, by chance ----

FICKLE_S = float(os.environ.get("STEK_FICKLE") or 3)
LINES_AT_ONCE = 10  # of one store, and then one a minute


def resident(host):
    with open(f"/proc/{host.process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


@pytest.mark.timeout(60 + 2 * FICKLE_S)
def test_liars_by_chance_end_no_key_bring_none_back_and_fill_no_log(fleet):
    """Hosts between two stores, each of which tells every host something else; one host revokes meanwhile."""
    rng, honest = seeded_rng("fickle"), fleet.store()
    theirs = fleet.host(honest, secret=fleet.new_secret("theirs.secret"), **HOURLY)
    theirs.once()
    minds = [Mind(random.Random(rng.random()), honest.get(object_name(theirs.fleet_secret))) for _ in range(2)]
    hosts = [fleet.host(FickleMemcached(minds[0]), FickleRedis(minds[1]), **HOURLY) for _ in range(3)]
    watched = [Watched(host) for host in hosts]
    for host in hosts:
        host.start(web=False)
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and agree(hosts), "all to have one ring", 30)
    for one in watched:
        one.promised = True
    dead, begun, fat, foreign = set(), time.monotonic(), [], theirs.names()
    while (spent := time.monotonic() - begun) < FICKLE_S:
        for mind in minds:
            mind.share = rng.choice([0.3, 0.7, 1])
        if spent > FICKLE_S / 3 * (1 + len(dead)):
            dead |= set.union(*(host.names() for host in hosts))
            lib.run("--ring", rng.choice(hosts).ring_path, "revoke", "--all")
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            for one in watched:
                one.sample(dead)
                assert not one.seen or not foreign & one.seen.windows.keys(), "a key of another fleet"
            time.sleep(0.02)
        fat.append(max(map(resident, hosts)))
    for mind in minds:
        mind.share = 0
    wait_for(lambda: agree(hosts) and not dead & hosts[0].names(), lambda: "\n\n".join(host.log() for host in hosts), 30)
    print(f"lies told: {minds[0].told}, {minds[1].told}; kB: {fat[0]} to {fat[-1]}")
    for one in watched:
        one.socket.close()
        assert not one.keyless and not one.returned, one.host.log()
        for url in one.host.urls:
            lines = [line for line in one.host.log().splitlines() if f"{url}: " in line and "pushes" not in line
                     and "push changes" not in line]
            assert len(lines) <= LINES_AT_ONCE + (time.monotonic() - begun) / 60 + 1, one.host.log()
    assert fat[-1] < fat[len(fat) // 2] + 2048
