# SPDX-License-Identifier: Apache-2.0
"""stekctl sync by itself, on real stores: what a store gets to see, the ratchet, limits, status, signals,
service manager, configuration file, and stores that are not there."""
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

import fleet as lib
import httpd as harness
import ringfile
from etcd import Etcd
from fleet import DAY, Memcached, Redis, fleet_fields, object_name, sealing_secrets
from httpd import TOP, free_port, wait_for
from seed import seeded_rng

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h"}


@pytest.fixture(params=[Memcached, Redis], ids=["memcached", "redis"])
def kind(request):
    return request.param


def status(host, code=0, **options):
    return json.loads(lib.run(*host.arguments("--status", "--json"), code=code, **options).stdout)


# ---- what a store sees ----

def test_sync_makes_ring_and_local_secret(fleet):
    fleet.store()
    host = fleet.host(**HOURLY)
    host.ring_path.parent.rmdir()
    host.once()
    assert len(host.ring().keys) == 2 and host.ring().current(time.time())
    assert host.secret_path.stat().st_mode & 0o777 == 0o600
    assert host.ring_path.stat().st_mode & 0o777 == 0o640
    assert fleet.stores[0].ring(fleet.secret).keys == host.ring().keys
    assert host.once().stderr == "", "nothing to say when nothing changes"


def test_sync_store_sees_ciphertext_only(fleet, kind):
    proxy = fleet.proxy(fleet.store(kind))
    hosts = [fleet.host(proxy, **HOURLY) for _ in range(2)]
    for host in hosts + hosts:
        host.once()
    seen = b"".join(proxy.recorded)
    assert object_name(fleet.secret).encode() in seen
    keys = hosts[0].ring().keys
    assert keys == hosts[1].ring().keys
    secrets = fleet_fields(fleet.secret)[0] + sealing_secrets(fleet.secret, 0)
    secrets += ringfile.read_secrets(hosts[0].secret_path)
    for piece in [part for key in keys for part in (key.name, key.hmac, key.aes)] + secrets:
        assert piece not in seen and piece[:8] not in seen
        assert piece.hex().encode() not in seen.lower()


def test_sync_store_can_neither_forge_nor_change(fleet, kind):
    store = fleet.store(kind)
    host = fleet.host(**HOURLY)
    host.once()
    name, before = object_name(fleet.secret), host.ring()
    good = store.get(name)
    for at in (9, 20, 30, 43, 50, 60, 86, 100, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 1
        store.put(name, bytes(bad))
        assert "its object is unusable" in host.once(code=5).stderr
        assert host.ring() == before
        host.once()
        assert store.ring(fleet.secret).keys == before.keys, "not written anew"
    store.put(name, good[:-1])
    assert "its object is unusable" in host.once(code=5).stderr
    # The local secret seals no object, though its owner might put one there.
    store.put(name, ringfile.Ring([ringfile.make_key()]).seal(fleet_fields(fleet.secret)[0][0]))
    assert "its object is unusable" in host.once(code=5).stderr
    assert host.ring() == before


def test_sync_rolled_back_store_brings_nothing_back(fleet, kind):
    store = fleet.store(kind)
    host = fleet.host(**HOURLY)
    host.once()
    old = store.get(object_name(fleet.secret))
    revoked = host.names()
    lib.run("--ring", host.ring_path, "revoke", "--all")
    host.once()
    after = host.names()
    store.put(object_name(fleet.secret), old)
    host.once()
    assert host.names() == after and not revoked & after
    assert {key.name for key in store.ring(fleet.secret).keys} == after


def test_sync_another_fleet_in_the_same_store(fleet):
    """Each has an object of its own; the id, not the secret alone, decides."""
    store = fleet.store()
    one, two = fleet.host(**HOURLY), fleet.host(secret=fleet.new_secret("two.secret"), **HOURLY)
    one.once()
    two.once()
    assert not one.names() & two.names()
    text = fleet.secret.read_text()
    other_id = next(line for line in two.fleet_secret.read_text().splitlines() if "fleet" in line)
    two.fleet_secret.write_text(re.sub("stek-fleet-v1.*", other_id, text))
    store.put(object_name(two.fleet_secret), store.get(object_name(fleet.secret)))
    assert "its object is unusable" in two.once(code=5).stderr, "same secret, moved from another fleet's name"
    assert not one.names() & two.names()


# ---- the ratchet ----

def test_ratchet_later_file_opens_nothing_recorded_earlier(fleet):
    store = fleet.store()
    secret = fleet.new_secret("ratchet.secret", "--ratchet")
    host = fleet.host(secret=secret, **HOURLY)
    today = int(time.time()) // DAY
    recorded = {}
    for day in range(5):
        host.once(clock=day * DAY)
        recorded[day] = store.get(object_name(secret))
        assert fleet_fields(host.fleet_secret)[2] == today + day - 1
        assert ringfile.Ring.open(recorded[day], sealing_secrets(host.fleet_secret, today + day))
        for early in range(day - 1):
            assert sealing_secrets(host.fleet_secret, today + early) == []
    assert host.fleet_secret.stat().st_mode & 0o777 == 0o600
    # Who takes the file three days later has S of a later day: no step forward opens what was.
    late = sealing_secrets(host.fleet_secret, today + 3) + sealing_secrets(host.fleet_secret, today + 4)
    for day in range(3):
        with pytest.raises(AssertionError, match="another secret"):
            ringfile.Ring.open(recorded[day], late)
    first = sealing_secrets(secret, today + 1)  # the file of the first day does
    assert ringfile.Ring.open(recorded[1], first)


def test_ratchet_host_that_was_off_a_week_catches_up(fleet):
    store = fleet.store()
    secret = fleet.new_secret("ratchet.secret", "--ratchet")
    options = {"web": False, "interval": "1d", "lifetime": "7d"}
    one, off = fleet.host(secret=secret, **options), fleet.host(secret=secret, **options)
    off.once()
    for day in range(1, 9):
        one.once(clock=day * DAY)
    off.once(clock=8 * DAY)
    assert one.names() == off.names() and len(one.names()) > 5
    assert fleet_fields(off.fleet_secret) == fleet_fields(one.fleet_secret)
    assert off.ring().current(time.time() + 8 * DAY)
    before = lib.digest(off.fleet_secret)
    wrong = off.once(clock=60 * DAY, code=3)
    assert "check the clock" in wrong.stderr and lib.digest(off.fleet_secret) == before
    assert store.get(object_name(secret))


def test_ratchet_hosts_a_day_apart_agree(fleet):
    fleet.store()
    secret = fleet.new_secret("ratchet.secret", "--ratchet")
    ahead, behind = fleet.host(secret=secret, **HOURLY), fleet.host(secret=secret, **HOURLY)
    ahead.once(clock=DAY)
    behind.once()
    ahead.once(clock=DAY)
    assert ahead.names() <= behind.names()
    assert re.search("clock is at least (1d|23h 59min)", behind.once().stderr)  # as long as it took, less
    assert ahead.once(clock=DAY).stderr == ""


class Clock:
    """That of one running host, which jumps."""

    def __init__(self, host):
        library = next(path for path in harness.FAKETIME_LIBS if os.path.exists(path))
        self.path = host.root / "clock"
        self.set(0)
        self.env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1",
                    "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}

    def set(self, offset_s):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(f"{int(offset_s):+d}s\n")
        fresh.replace(self.path)


@pytest.mark.parametrize("what", ["nothing", "restart", "replay", "others of today", "another host"])
def test_ratchet_jump_is_confirmed_by_another_host_of_that_day_only(fleet, what):
    """A clock five days ahead: what the host itself has sealed since then confirms nothing, however the store brings
    it back, and nor does what others sealed before."""
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    store, name = fleet.store(), object_name(fleet.secret)
    host, other = fleet.host(**HOURLY), fleet.host(**HOURLY)
    today = int(time.time()) // DAY
    clock = Clock(host)
    host.start(web=False, env=clock.env)
    wait_for(lambda: store.get(name), "the object")
    other.once()
    if what == "others of today":
        lib.run("--ring", other.ring_path, "rotate")
        other.once()
        wait_for(lambda: other.names() == host.names(), "the other's key", 20)
        time.sleep(1.5)  # the object was read in a cycle before the jump
        clock.set(5 * DAY)
        wait_for(lambda: "the objects in the stores are from" in host.log(), host.log, 20)
    else:
        host.process.send_signal(signal.SIGSTOP)  # or it fills the store between the two
        store.flush()
        clock.set(5 * DAY)
        host.process.send_signal(signal.SIGCONT)
        wait_for(lambda: store.ring(fleet.secret, today + 5), "an object of the wrong day", 20)
    kept = store.get(name)
    if what == "restart":
        host.stop_sync()
        host.start(web=False, env=clock.env)
    elif what == "replay":
        lib.run("--ring", host.ring_path, "rotate", clock=5 * DAY)
        wait_for(lambda: store.get(name) != kept, "another object", 20)
        store.put(name, kept)
    elif what == "another host":
        other.once(clock=5 * DAY)
        lib.run("--ring", other.ring_path, "rotate", clock=5 * DAY)
        other.once(clock=5 * DAY)
        wait_for(lambda: fleet_fields(host.fleet_secret)[2] == today + 4, "the ratchet", 20)
        return
    time.sleep(3.5)  # cycles
    assert fleet_fields(host.fleet_secret)[2] == today - 1, "the store has moved the ratchet on"
    clock.set(0)
    other.once(code=None)
    wait_for(lambda: other.names() == host.names() and host.ring().current(time.time()), "both to agree", 20)


def test_ratchet_clock_that_goes_ahead_day_by_day_is_doubted_as_one_jump(fleet):
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    fleet.store()
    host, other = fleet.host(**HOURLY), fleet.host(**HOURLY)
    clock, today = Clock(host), int(time.time()) // DAY
    other.once()
    host.start(web=False, env=clock.env)
    wait_for(lambda: host.ring_path.exists() and host.names() == other.names(), "both to agree")
    for days in (1, 2, 3):
        clock.set(days * DAY)
        wait_for(lambda d=days: host.ring().written_at > time.time() + d * DAY - 60, "keys of that day", 20)
        time.sleep(1.5)  # a cycle
    assert fleet_fields(host.fleet_secret)[2] <= today, "the clock alone has moved the ratchet on"
    clock.set(0)
    lib.revoke(other)
    other.once(code=None)
    wait_for(lambda: other.names() == host.names() and host.ring().epoch > 0, "the revocation", 20)


@pytest.mark.parametrize("days", [29, 30])
def test_ratchet_jump_near_the_limit_is_doubted_like_any_other(fleet, days):
    """The secrets of such a day, and of the day after, were once not to be had, and then another host's object of today
    confirmed the jump."""
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    store = fleet.store()
    host, other = fleet.host(**HOURLY), fleet.host(**HOURLY)
    clock = Clock(host)
    other.once()
    host.start(web=False, env=clock.env)
    wait_for(lambda: host.ring_path.exists() and host.names() == other.names(), "both to agree")
    kept = lib.digest(host.fleet_secret)
    clock.set(days * DAY)
    wait_for(lambda: host.ring().current(time.time() + days * DAY), "keys of that day", 20)
    for _ in range(2):
        lib.run("--ring", other.ring_path, "rotate")
        other.once(code=None)
        wait_for(lambda: (ring := store.ring(fleet.secret)) and other.names() <= {key.name for key in ring.keys},
                 "the other's key", 10)
        time.sleep(1.2)  # a cycle
    clock.set(0)
    wait_for(lambda: host.ring().current(time.time()), "a current key", 20)
    other.once(code=None)
    wait_for(lambda: other.names() == host.names(), "both to agree", 20)
    assert lib.digest(host.fleet_secret) == kept, "the ratchet has moved on"


@pytest.mark.parametrize("days, starts", [(29, True), (30, True), (31, False)])
def test_ratchet_host_that_was_off_for_as_long_as_allowed_starts(fleet, days, starts):
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    fleet.store()
    host = fleet.host(**HOURLY)
    clock = Clock(host)
    clock.set(days * DAY)
    host.start(web=False, env=clock.env)
    if starts:
        wait_for(lambda: host.ring_path.exists(), host.log, 20)
        assert host.ring().current(time.time() + days * DAY)
    else:
        assert host.process.wait(10) == 3 and "more than 30 days in the past" in host.log()
        host.process = None


def test_ratchet_clock_too_far_ahead_is_said_once(fleet):
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    store = fleet.store()
    host = fleet.host(**HOURLY)
    clock = Clock(host)
    host.start(web=False, env=clock.env)
    wait_for(lambda: store.get(object_name(fleet.secret)) and host.ring_path.exists(), "the object")
    for times in (1, 2):
        clock.set(40 * DAY)
        wait_for(lambda: host.log().count("its day is more than 30 days in the past") == times, host.log, 20)
        time.sleep(2.5)  # cycles
        assert host.log().count("its day is more than 30 days in the past") == times
        clock.set(0)
        time.sleep(2.5)


# ---- limits ----

@pytest.mark.parametrize("kind", [Memcached, Redis, Etcd], ids=["memcached", "redis", "etcd"])
def test_sync_ring_at_the_limits_fits(fleet, kind):
    store = fleet.store(kind)
    options = {"web": False, "interval": "148s", "lifetime": "7d", "timeout": "5s"}
    one, two = fleet.host(**options), fleet.host(**options)
    one.once()
    ring, now = one.ring(), int(time.time())
    start = ring.keys[0].not_before // 148 * 148
    have = {key.not_before for key in ring.keys}
    for n in range(1, 4096 - len(ring.keys) + 1):
        key = ringfile.make_key(start - n * 148, 148, 7 * DAY)
        if key.decrypt_until > now + 60 and key.not_before not in have:
            ring.keys.append(key)
    while len(ring.keys) < 4090:
        ring.keys.append(ringfile.make_key(start - 148 * 60, 148, 7 * DAY))
    ring.tombstones = [(os.urandom(16), now + DAY) for _ in range(5)]
    ring.generation += 1
    one.ring_path.write_bytes(ring.seal(ringfile.read_secrets(one.secret_path)[0]))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    one.once()
    two.once()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    taken = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    size = len(store.get(object_name(fleet.secret)))
    assert 500_000 < size <= 512 * 1024
    assert one.names() == two.names() and len(two.names()) >= 4090
    assert len(two.ring().tombstones) == 5
    assert taken < 4, f"{taken:.1f} s of processor time"
    # More tombstones than there is room for: they stay, and as many keys go.
    ring.tombstones += [(os.urandom(16), now + DAY) for _ in range(595)]
    ring.generation += 9
    one.ring_path.write_bytes(ring.seal(ringfile.read_secrets(one.secret_path)[0]))
    assert " keys ignored, because " in one.once().stderr
    two.once()
    assert one.ring().keys == two.ring().keys and len(two.ring().keys) + 600 == 4096
    assert len(two.ring().tombstones) == 600 and two.ring().current(time.time())


# ---- status, signals, service manager ----

def test_sync_status_tells_what_is_and_what_would_be(fleet):
    one, two = fleet.store(Memcached), fleet.store(Redis)
    host = fleet.host(**HOURLY)
    host.once()
    fine = status(host)
    assert fine["readable"] and fine["keys"] == 2 and fine["next"] == [] and fine["generate"]
    assert fine["covered_until"] == host.ring().covered_until
    assert [s["answer"] for s in fine["stores"]] == ["good", "good"]
    assert [s["store"] for s in fine["stores"]] == sorted([one.url, two.url])
    assert all(0 <= s["lag"] < 30 and s["last_success"] for s in fine["stores"])
    two.kill()
    one.flush()
    before = lib.digest(host.ring_path)
    bad = status(host, code=1)
    by_store = {s["store"]: s for s in bad["stores"]}
    assert by_store[one.url]["answer"] == "empty"
    assert by_store[two.url]["answer"] == "silent" and by_store[two.url]["why"]
    assert bad["next"] == [f"write {one.url}"]
    assert one.get(object_name(fleet.secret)) is None, "status writes nothing"
    assert lib.digest(host.ring_path) == before
    text = lib.run(*host.arguments("--status"), code=1).stdout
    assert f"next: write {one.url}" in text and "silent" in text


def test_sync_status_shows_another_hosts_clock(fleet):
    fleet.store()
    begun = time.monotonic()
    fleet.host(**HOURLY).once(clock=40)
    host = fleet.host(**HOURLY)
    said = int(re.search("clock is at least ([0-9]+)s", host.once().stderr).group(1))
    assert 39 - (time.monotonic() - begun) <= said <= 40
    fleet.hosts[0].once(clock=40)
    lib.run("--ring", host.ring_path, "rotate")
    host.once()
    fleet.stores[0].flush()
    fleet.hosts[0].once(clock=40)
    assert 30 <= status(host)["stores"][0]["skew"] <= 40


def test_sync_clock_that_is_set_while_a_store_is_asked_makes_no_cycle_slow(fleet):
    """As on a machine that slept: nothing was slow."""
    proxy = fleet.proxy(fleet.store())
    host = fleet.host(proxy, interval="7d", lifetime="7d", timeout="2s").start(web=False)
    wait_for(host.ring_path.exists, "its ring", 20)
    proxy.set("drop")
    wait_for(lambda: "silent" in host.log(), "a cycle that waits", 20)
    for minutes in range(1, 6):  # most of the time it waits for the store
        host.set_clock(minutes * 60)
        time.sleep(0.7)
    host.set_clock(0)
    proxy.set("pass")
    wait_for(lambda: "recovered" in host.log(), "the store", 20)
    assert "a cycle took" not in host.log()


def test_sync_clock_that_was_ahead_leaves_nothing_from_then(fleet):
    """Not in the ring's file, which would blame a clock; and not in the status, which would call a store
    that is silent now the last to have answered for hours."""
    store = fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    host.once(clock=3 * 3600)
    assert host.ring().written_at > time.time() + 2 * 3600
    host.once()
    assert host.ring().written_at <= time.time()
    host.once(clock=3 * 3600)
    store.kill()
    host.once(code=None)
    assert 0 <= status(host, code=1)["stores"][0]["lag"] < 60


def test_sync_speaks_to_the_service_manager(fleet):
    fleet.store()
    host = fleet.host(**dict(HOURLY, every="20s"))
    path = str(fleet.dir / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)
        host.start(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "6000000"})
        said = b""
        while b"READY=1" not in said:
            said += manager.recv(4096) + b"\n"
        assert host.ring_path.exists(), "ready before the ring is there"
        assert b"STATUS=generation 1, 1 of 1 stores answered" in said
        begin, said = time.monotonic(), b""
        while said.count(b"WATCHDOG=1") < 2:  # in the pause between two cycles
            said += manager.recv(4096) + b"\n"
        assert time.monotonic() - begin < 11
        host.hup()
        said = b""
        while b"RELOADING=1" not in said or b"READY=1" not in said:
            said += manager.recv(4096) + b"\n"
        begin = time.monotonic()
        assert host.stop_sync() == 0
        assert time.monotonic() - begin < 6
        while b"STOPPING=1" not in said:
            said += manager.recv(4096) + b"\n"


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_sync_ends_cleanly_though_a_store_hangs(fleet, sign):
    store = fleet.store()
    host = fleet.host(**HOURLY).start()
    wait_for(host.ring_path.exists, "the ring")
    store.signal(signal.SIGSTOP)
    wait_for(lambda: "silent" in host.log(), host.log, 20)
    host.process.send_signal(sign)
    assert host.process.wait(20) == 0
    host.process = None
    assert not list(host.ring_path.parent.glob("*.tmp-*"))


def test_sync_logs_once_per_change_with_a_count(fleet):
    proxy = fleet.proxy(fleet.store())
    metrics = fleet.dir / "sync.prom"
    host = fleet.host(proxy, **HOURLY, options=["--metrics", metrics]).start()
    wait_for(host.ring_path.exists, "the ring")

    def cycles():
        return int(re.search(r"^stek_sync_cycles_total\S* (\d+)", metrics.read_text(), re.M).group(1))

    proxy.set("refuse")
    wait_for(lambda: "silent" in host.log(), host.log, 20)
    begun = cycles()
    wait_for(lambda: cycles() >= begun + 4, host.log, 20)
    proxy.set("pass")
    wait_for(lambda: "recovered after" in host.log(), host.log, 20)
    lines = [line for line in host.log().splitlines() if proxy.url in line]
    assert len(lines) == 2, host.log()
    assert int(re.search(r"after (\d+) failed", lines[1]).group(1)) >= 3


def test_sync_hangs_on_no_store(fleet):
    """A dead one beside a good one costs no more than its time-outs."""
    good, hung = fleet.store(), fleet.store(Redis)
    hung.signal(signal.SIGSTOP)
    host = fleet.host(**HOURLY)
    begin = time.monotonic()
    assert ": silent: " in host.once(code=5).stderr
    assert time.monotonic() - begin < 4.5
    assert good.ring(fleet.secret).keys == host.ring().keys


HOSTILE = {
    "memcached": [b"VALUE %s 0 10 5\r\n0123456789\r\nEND\r\n", b"VALUE %s 0 10\r\n0123456789\r\nEND\r\n",
                  b"VALUE %s 0 99999999999999999999 5\r\nx", b"VALUE %s 0 -1 5\r\nx\r\nEND\r\n",
                  b"VALUE %s 0 18446744073709551615 5\r\nx\r\nEND\r\n", b"VALUE \r\n", b"END\r\n", b"V",
                  b"VALUE " + b"a" * 300 + b" 0 1 1\r\na\r\nEND\r\n", b"VALUE %s 0 3 1\r\nabcdefg\r\nEND",
                  b"VALUE %s 0 9 1\r\n123456789\r\nVALUE %s 0 9 1\r\n123456789\r\nEND\r\n", bytes(500),
                  b"STORED\r\n", b"ERROR\r\nERROR\r\n", b"SERVER_ERROR \x1b[31m\r\n"],
    "redis": [b"$-5\r\n", b"$99999999999999999\r\nabc", b"*100000000\r\n", b"*-1\r\n", b"$3\r\nabcdefg",
              b"*1\r\n" * 50 + b":1\r\n", b"-ERR \x1b[31m\r\n", b"+OK\r\n", b":5\r\n", b"$-1\r\n", b"%2\r\n",
              b"$5\r\nhello\r\n", b"-" + b"x" * 100000 + b"\r\n", b"*2147483647\r\n$1\r\n", b"\r\n", bytes(500)],
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scheme", HOSTILE)
def test_sync_hostile_answers_crash_nothing(fleet, scheme):
    """Some of these crash the client library."""
    name, chance = object_name(fleet.secret).encode(), random.Random(5)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def serve(sock):
        try:
            while sock.recv(65536):
                answer = bytearray(chance.choice(HOSTILE[scheme]).replace(b"%s", name))
                if chance.random() < 0.3:
                    answer[chance.randrange(len(answer))] = chance.randrange(256)
                sock.sendall(answer)
                if chance.random() < 0.5:
                    break
        except OSError:
            pass
        sock.close()

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(sock,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    host = fleet.host(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}", **HOURLY)
    for n in range(40):
        done = host.once(code=None)
        assert done.returncode in (0, 5) and "\x1b" not in done.stderr, f"{n}: {done}"
    listener.close()
    assert host.ring().current(time.time()) and len(host.ring().keys) == 2


def test_sync_worker_has_no_secret(fleet):
    """Who takes over the process that talks to a store finds sealed bytes there."""
    fleet.store()
    # The worker that announces a host is the same program, and is there only for a moment.
    host = fleet.host(**HOURLY, options=["--announce", "off"]).start()
    wait_for(host.ring_path.exists, "the ring")
    worker, = harness.descendants(host.process.pid)
    secrets = fleet_fields(fleet.secret)[0] + sealing_secrets(fleet.secret, 0)
    secrets += ringfile.read_secrets(host.secret_path)
    secrets += [part for key in host.ring().keys for part in key.secret_bytes]
    seen, main_has = 0, False
    for pid in (worker, host.process.pid):
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            start, end = (int(n, 16) for n in line.split()[0].split("-"))
            if "r" not in line.split()[1] or "[v" in line:
                continue
            with open(f"/proc/{pid}/mem", "rb", 0) as mem:
                mem.seek(start)
                try:
                    data = mem.read(end - start)
                except OSError:  # it is no longer there
                    continue
            found = any(secret in data for secret in secrets)
            assert not (found and pid == worker), f"a secret in the worker, {line}"
            main_has, seen = main_has or found, seen + len(data)
    assert main_has and seen > 1 << 20, "the search finds nothing at all"


def test_sync_trickle_of_bytes_ends(fleet):
    """A store that sends byte after byte keeps no cycle beyond its limit."""
    listener = socket.create_server(("127.0.0.1", 0))
    good = fleet.store()
    host = fleet.host(f"memcached://127.0.0.1:{listener.getsockname()[1]}", good, **HOURLY)
    process = subprocess.Popen([lib.STEKCTL, *map(str, host.arguments("--once"))],
                               stderr=subprocess.DEVNULL)
    begin = time.monotonic()
    conn, _ = listener.accept()
    conn.sendall(b"VALUE " + object_name(fleet.secret).encode() + b" 0 500000 7\r\n")
    try:
        while process.poll() is None and time.monotonic() - begin < 12:
            conn.sendall(b"x")
            time.sleep(0.2)
    except OSError:
        pass
    assert process.wait(5) == 5 and time.monotonic() - begin < 10
    assert good.ring(fleet.secret).keys == host.ring().keys


# ---- files ----

def test_sync_lost_or_bad_file_ring_is_refilled_from_the_store(fleet):
    fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    keys = host.ring().keys
    host.ring_path.unlink()
    host.once()
    assert host.ring().keys == keys
    host.ring_path.write_bytes(b"STEKRING" + bytes(200))
    assert "is refused" in host.once().stderr
    assert host.ring().keys == keys
    assert len(list(host.ring_path.parent.glob("*.refused-*"))) == 1
    host.secret_path.unlink()
    host.once()
    assert host.ring().keys == keys


def test_sync_lost_local_secret_is_written_again_at_a_reload(fleet):
    fleet.store()
    host = fleet.host(**HOURLY).start(web=False)
    wait_for(host.ring_path.exists, host.log, 20)
    before = ringfile.read_secrets(host.secret_path)
    host.secret_path.unlink()
    host.hup()
    wait_for(host.secret_path.exists, host.log, 20)
    assert ringfile.read_secrets(host.secret_path) == before
    assert host.ring().current(time.time())


def test_sync_fleet_secret_replaced_in_one_round_hosts_agree_when_all_have_it(fleet):
    """Meanwhile each goes on with the keys at hand."""
    store = fleet.store()
    one, other = fleet.host(**HOURLY), fleet.host(**HOURLY)
    one.once()
    other.once()
    before = one.names()
    assert before == other.names()
    fresh = fleet.new_secret("new.secret").read_bytes()
    one.fleet_secret.write_bytes(fresh)
    one.once()
    lib.run("--ring", one.ring_path, "rotate")
    one.once()
    other.once()
    assert one.names() > before == other.names() and other.ring().current(time.time())
    other.fleet_secret.write_bytes(fresh)
    other.once()
    assert one.names() == other.names() > before
    assert store.get(object_name(one.fleet_secret))


def test_sync_unsafe_files_are_refused(fleet):
    fleet.store()
    host = fleet.host(**HOURLY)
    host.fleet_secret.chmod(0o644)
    assert "fleet.secret" in host.once(code=3).stderr
    host.fleet_secret.chmod(0o600)
    host.once()
    host.ring_path.chmod(0o666)
    assert "changed by others" in host.once(code=4).stderr


def test_sync_local_rotate_reaches_the_store(fleet):
    store = fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    lib.run("--ring", host.ring_path, "rotate")
    host.once()
    assert {k.name for k in store.ring(fleet.secret).keys} == host.names() and len(host.names()) == 3


# ---- options ----

def test_sync_takes_all_from_its_file(fleet):
    store = fleet.store(Redis, "--requirepass", "geheim")
    host = fleet.host(**HOURLY)
    password = fleet.dir / "password"
    password.write_text("geheim\n")
    password.chmod(0o600)
    config = fleet.dir / "x.conf"
    config.write_text(f"# a fleet\nring {host.ring_path}\nstore {store.url}/3\n"
                      f"fleet-secret {host.fleet_secret}\npassword {password}\n"
                      "interval 2h\nlifetime 4h\nahead 2\ngenerate on\nevery 5s\ntimeout 2s\n")
    lib.run("sync", "--config", config, "--once")
    ring = host.ring()
    assert (ring.interval, ring.lifetime, len(ring.keys)) == (7200, 14400, 3)
    with store.connect() as sock:
        sock.sendall(b"AUTH geheim\r\nSELECT 3\r\nEXISTS " + object_name(fleet.secret).encode() + b"\r\n")
        said = b""
        while said.count(b"\r\n") < 3:
            said += sock.recv(100)
        assert said == b"+OK\r\n+OK\r\n:1\r\n"
    # The command line overrides the file.
    (fleet.dir / "y").mkdir()
    again = fleet.dir / "y" / "x.conf"
    again.write_text(config.read_text().replace("/3\n", "/4\n").replace(str(host.ring_path),
                                                                        str(host.root / "other.ring")))
    lib.run("sync", "--config", again, "--lifetime", "6h", "--once")
    assert ringfile.Ring.read(host.root / "other.ring", ringfile.read_secrets(
        host.root / "other.secret")).lifetime == 21600
    password.write_text("falsch\n")
    done = lib.run("sync", "--config", config, "--once", code=5)
    assert "silent: " in done.stderr and "geheim" not in done.stderr and "falsch" not in done.stderr
    good = config.read_text()
    config.write_text(good + "zzzzz geheim\n")
    said = lib.run("sync", "--config", config, "--once", code=2).stderr
    assert "line 12: unknown option; see" in said and "zzz" not in said and "geheim" not in said
    config.chmod(0o666)
    assert "changed by others" in lib.run("sync", "--config", config, "--once", code=3).stderr


def test_unknown_options_in_the_configuration_name_the_nearest(fleet):
    """Every option of the file with one slip of the finger, drawn by chance."""
    chance = seeded_rng()
    config = fleet.dir / "slips.conf"
    table = (TOP / "docs" / "fleet.md").read_text().partition("\n| line | default |")[2].partition("\n\n")[0]
    names = [name for line in table.splitlines()[2:] for name in re.findall(r"`([a-z-]+)", line.split("|")[1])]
    assert {"store", "store-key", "ahead", "metrics"} <= set(names)
    for name in names:
        at = chance.randrange(len(name) - 1)
        wrong = chance.choice([name[:at] + name[at + 1] + name[at] + name[at + 2:], name[:at] + "_" + name[at:],
                               name[:at] + "_" + name[at + 1:], name[:at] + name[at + 1:], name.upper()])
        if wrong in names:
            continue
        config.write_text(f"# options\n\n{wrong} x\n")
        said = lib.run("sync", "--config", config, "--once", code=2).stderr
        assert f"{config}: line 3: unknown option (did you mean '{name}'?); see 'stekctl sync --help'" in said, said


@pytest.mark.parametrize("words, text", [
    ([], "missing store"),
    (["--store", "http://x"], "must be memcached://"),
    (["--store", "memcached://"], "must be memcached://"),
    (["--store", "memcached://h:0"], "must be memcached://"),
    (["--store", "memcached://h:x"], "must be memcached://"),
    (["--store", "memcached://h/1"], "memcached URL has no path"),
    (["--store", "redis://u:p@h"], "do not put a password in the URL"),
    (["--store", "redis://h/x"], "the database must be a number"),
    (["--store", "memcached://h", "--every", "0s"], "'0s' for '--every'"),
    (["--store", "memcached://h", "--interval", "2h", "--lifetime", "1h"], "lifetime '1h'"),
    (["--store", "memcached://h", "--ahead", "x"], "'x' for '--ahead'"),
    (["--store", "memcached://h", "--generate", "no"], "'no' for '--generate': must be on or off"),
    (["--store", "memcached://h", "one", "two"], "unexpected argument 'two'"),
    (["--store", "memcached://h", "--every"], "requires a value"),
])
def test_sync_options_that_are_wrong_say_so(fleet, words, text):
    secret = ["--fleet-secret", fleet.secret]
    done = lib.run("--ring", fleet.dir / "x.ring", "sync", "--once", *(secret if words else []), *words,
                   code=2)
    assert text in done.stderr
    assert not (fleet.dir / "x.ring").exists()


def test_sync_without_fleet_secret_says_how_to_make_it(fleet):
    url = f"memcached://127.0.0.1:{free_port()}"
    done = lib.run("--ring", fleet.dir / "x.ring", "sync", "--store", url, "--once", code=2)
    assert "missing fleet secret: use --fleet-secret PATH" in done.stderr
    done = lib.run("--ring", fleet.dir / "x.ring", "sync", "--store", url, "--fleet-secret",
                   fleet.dir / "none", "--once", code=4)
    assert "secret new --fleet" in done.stderr
    local = fleet.dir / "local"
    lib.run("--secret", local, "secret", "new")
    done = lib.run("--ring", fleet.dir / "x.ring", "sync", "--store", url, "--fleet-secret", local,
                   "--once", code=3)
    assert "holds no secret with a fleet ID" in done.stderr


def test_sync_no_store_answers_still_makes_a_ring(fleet):
    """The first host of a fleet whose store is not up yet."""
    host = fleet.host(f"redis://127.0.0.1:{free_port()}", **HOURLY)
    assert ": silent: " in host.once(code=5).stderr
    assert host.ring().current(time.time())


@pytest.mark.timeout(300)
def test_sync_built_without_a_library_says_so(fleet):
    """It names the package of a store that was left out; and does without libseccomp."""
    out = fleet.dir / "out"
    for part in ("obj", "config"):  # what does not depend on the libraries is not compiled again
        shutil.copytree(TOP / "out" / part, out / part)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}

    def build(*without):
        subprocess.run(["make", "-s", "-j2", f"OUT={out}", *[f"WITH_{name}=no" for name in without],
                        "stekctl"], cwd=TOP, check=True, capture_output=True, env=env)
        return subprocess.run([out / "stekctl", "--version"], capture_output=True, text=True, check=True).stdout

    build("MEMCACHED", "HIREDIS")
    for url, package in (("memcached://h", "libmemcached-dev"), ("redis://h", "libhiredis-dev")):
        done = subprocess.run([out / "stekctl", "--ring", fleet.dir / "x.ring", "sync", "--store", url,
                               "--fleet-secret", fleet.secret, "--once"], capture_output=True, text=True)
        assert done.returncode == 2 and package in done.stderr
    assert "store workers confined by: Landlock (built without libseccomp)" in build("SECCOMP")
    host = fleet.host(fleet.store(), web=False, interval="1h", lifetime="18h")
    subprocess.run([out / "stekctl", *map(str, host.arguments("--once"))], check=True)
    assert host.ring().current(time.time())


def test_sync_object_name_and_derivation_are_those_of_the_manual():
    page = (TOP / "docs" / "stek-ring.5").read_text()
    assert "stek fleet v1 seal" in page and "stek fleet v1 next" in page and "stek-day-v1 DAY" in page


def test_sync_unit_is_sound():
    unit = (TOP / "build" / "systemd" / "stek-sync@.service").read_text()
    for line in ("Type=notify", "Before=apache2.service", "WatchdogSec=", "RuntimeDirectory=",
                 "LoadCredential=fleet-secret:", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert line in unit, line
    assert re.search(r"^ExecStartPre=.*sync .*--once$", unit, re.M)
    assert re.search(r"^User=(?!root)", unit, re.M)


def test_sync_secret_never_in_arguments_or_environment(fleet):
    fleet.store()
    host = fleet.host(**HOURLY).start()
    wait_for(host.ring_path.exists, "the ring")
    proc = Path(f"/proc/{host.process.pid}")
    text = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    for secret in fleet_fields(fleet.secret)[0]:
        assert secret not in text and secret.hex().encode() not in text


@pytest.mark.timeout(120)
def test_scale_200_hosts_agree_within_a_cycle():
    """The short form of "make bench-fleet": every host has a new key within one cycle, one key is made,
    and a store that was emptied is refilled once, though all look at the same moment."""
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    program = "out/bench/fleet_bench"
    subprocess.run(["make", "-s", program], cwd=TOP, check=True, capture_output=True, env=env)
    done = subprocess.run(["/usr/bin/python3", "test/bench/fleet.py", program, "200"], cwd=TOP, check=True,
                          capture_output=True, text=True)
    small, large = [json.loads(text) for text in done.stdout.replace("}\n{", "}\0{").split("\0")]
    for run, hosts in ((small, 200), (large, 20)):
        assert run["hosts"] == hosts and run["failed"] == 0
        assert run["agree_max_s"] <= 10 and run["writes"] == run["rotations"]
        assert run["requests_per_s"] < 1.3 * hosts / 10
        assert run["stampede"]["writes"] == 1 and run["stampede"]["lost_writes"] == hosts - 1
        assert run["stampede"]["requests"] == 3 * hosts - 1
