# SPDX-License-Identifier: Apache-2.0
"""Push: what wakes stekctl sync before its next cycle, what that costs, and that it falls back to its cycles. Where
only a wake-up can be the reason for what is waited for, cycles take ten minutes."""
import os
import random
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import fleet as lib
from etcd import PREFIX, Etcd
from fleet import Memcached, Proxy, Redis, agree, object_name
from httpd import TOP, wait_for

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h"}
QUIET = {**HOURLY, "every": "10min", "timeout": "5s"}
QUICK = {**HOURLY, "every": "1s", "timeout": "3s"}
ENDED, AGAIN = "does not push changes: ", "pushes changes again"


@pytest.fixture
def make(fleet):
    """Starts stores that end with the fleet."""
    def start(kind, *extra):
        fleet.stores.append(kind(*extra))
        return fleet.stores[-1].start()

    return start


@pytest.fixture(params=[Etcd, Redis])
def store(request, make):
    return make(request.param)


def started(fleet, urls, n, **options):
    """Hosts that have one ring."""
    hosts = [fleet.host(*urls, **options) for _ in range(n)]
    for host in hosts:
        host.metrics = host.root / "sync.prom"
        host.options += ["--metrics", host.metrics]
        host.start(web=False)
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and agree(hosts), "all to have one ring", 30)
    return hosts


def asleep(host):
    """Nonzero if its sync does nothing, for as long as somebody looks: what it has begun is over."""
    def switches():
        status = Path(f"/proc/{host.process.pid}/status").read_text()
        return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", status)))

    before = switches()
    time.sleep(1)
    return switches() == before


def pushed(hosts):
    """Nonzero if all their stores' watches stand."""
    return all(host.metrics.exists() and re.search(r"^stek_sync_store_push\S* 1$", host.metrics.read_text(), re.M)
               for host in hosts)


def through_proxy(fleet, store):
    """(proxy, the URL of the store behind it)"""
    if isinstance(store, Etcd):
        store.port = store.members[0].port
    proxy = fleet.proxy(store)
    return proxy, proxy.url + (f"/{PREFIX}" if isinstance(store, Etcd) else "")


def revoke_and_wait(hosts, host, within=30):
    before = host.names()
    lib.run("--ring", host.ring_path, "revoke", "--all")
    wait_for(lambda: not any(before & other.names() for other in hosts), "the revocation at all hosts", within)


def test_push_revocation_reaches_all_hosts_before_their_next_cycle(fleet, store):
    hosts = started(fleet, [store], 3, **QUIET)
    revoke_and_wait(hosts, hosts[0])
    revoke_and_wait(hosts, hosts[2])
    wait_for(lambda: agree(hosts), "all to have one ring", 30)  # the host that has revoked saves last
    assert not any("push" in host.log() for host in hosts)


def test_push_file_ring_that_changes_wakes_sync_which_looks_no_more(fleet, make):
    """memcached says nothing, so that all that there is to wait for is the next cycle, and the ring's directory."""
    store = make(Memcached)
    host, = started(fleet, [store], 1, **QUIET)

    def switches():
        with open(f"/proc/{host.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", file.read(), re.M).group(1))

    def quiet():
        before = switches()
        time.sleep(2.2)
        return switches() - before <= 1

    wait_for(quiet, "sync to sleep", 20)
    for _ in range(2):
        before = host.names()
        lib.run("--ring", host.ring_path, "revoke", "--all")
        wait_for(lambda before=before: not before & {key.name for key in store.ring(fleet.secret).keys},
                 "the revocation in the store", 30)


def test_push_ring_directory_that_is_replaced_is_looked_at(fleet, make):
    store = make(Memcached)
    host, = started(fleet, [store], 1, **QUIET)
    wait_for(lambda: asleep(host), "sync to have written", 30)
    folder = host.ring_path.parent
    folder.rename(folder.with_name("old"))
    subprocess.run(["cp", "-a", folder.with_name("old"), folder], check=True)
    before = host.names()
    lib.run("--ring", host.ring_path, "revoke", "--all")
    wait_for(lambda: not before & {key.name for key in store.ring(fleet.secret).keys},
             "the revocation in the store", 30)


def test_push_revocation_during_a_cycle_goes_out_in_the_next_which_begins_at_once(fleet, make):
    """The cycle that saves the ring has read it before; what was revoked since then has not gone to the store."""
    store = make(Memcached)
    proxy, url = through_proxy(fleet, store)
    host, = started(fleet, [url], 1, **QUIET)
    wait_for(lambda: asleep(host), "the first cycle to be over", 30)
    proxy.delay_s = 1.0
    proxy.mode = "slow"
    asked = len(proxy.recorded)
    lib.run("--ring", host.ring_path, "revoke", "--all")
    wait_for(lambda: len(proxy.recorded) > asked, "a cycle to ask", 30)
    before = host.names()
    lib.run("--ring", host.ring_path, "revoke", "--all")
    proxy.mode = "pass"
    wait_for(lambda: not before & {key.name for key in store.ring(fleet.secret).keys}
             and host.names() == {key.name for key in store.ring(fleet.secret).keys}, "both revocations in the store", 30)


def test_push_object_is_sent_only_when_it_has_changed(fleet, store):
    """Cycles go on, and ask for a mark."""
    proxy, url = through_proxy(fleet, store)
    host, = started(fleet, [url], 1, **QUICK)
    whole = b"U1RFS1JJTkc" if isinstance(store, Etcd) else b"STEKRING"
    asks = b"keys_only" if isinstance(store, Etcd) else b"redis.sha1hex(redis.call('GET',KEYS[1])or'')"

    def count(what):
        return sum(piece.count(what) for piece in list(proxy.recorded))

    wait_for(lambda: count(asks) >= 1, "a question", 30)
    before, asked = count(whole), count(asks)
    wait_for(lambda: count(asks) >= asked + 1, "one more", 30)
    assert count(whole) == before
    other = fleet.host(store, **HOURLY)
    other.once()
    lib.run("--ring", other.ring_path, "revoke", "--all")
    other.once()
    wait_for(lambda: host.names() == other.names(), "the revocation", 30)
    assert count(whole) > before


def test_push_watch_that_ends_is_said_and_begins_again(fleet, store):
    proxy, url = through_proxy(fleet, store)
    hosts = started(fleet, [url], 2, **QUIET)
    for host in hosts:  # each time, the other's watch stands
        revoke_and_wait(hosts, host)
    proxy.hang_up()
    for host in hosts:
        wait_for(lambda host=host: ENDED in host.log() and AGAIN in host.log(), host.log, 30)
    revoke_and_wait(hosts, hosts[1])


def test_push_store_that_hangs_is_noticed_and_said(fleet, store):
    hosts = started(fleet, [store], 2, **QUICK)
    wait_for(lambda: pushed(hosts), lambda: "".join(host.log() for host in hosts), 30)
    store.signal(signal.SIGSTOP)
    for host in hosts:
        wait_for(lambda host=host: re.search(f"{ENDED}.*no answer in time", host.log()), host.log, 30)
    store.signal(signal.SIGCONT)
    for host in hosts:
        wait_for(lambda host=host: AGAIN in host.log(), host.log, 30)
    revoke_and_wait(hosts, hosts[0])


def test_push_change_that_was_not_told_is_found_in_the_next_cycle(fleet, make):
    """Somebody who does not publish has written: a version before this one, or whoever brings back an old ring."""
    store = make(Redis)
    host, = started(fleet, [store], 1, **QUICK)
    name, old = object_name(fleet.secret), store.get(object_name(fleet.secret))
    lib.run("--ring", host.ring_path, "revoke", "--all")
    wait_for(lambda: store.get(name) != old, "another ring in the store", 30)
    wait_for(lambda: re.search(rb"^cmdstat_subscribe:", store.ask("INFO", "commandstats"), re.M), "a subscriber", 30)
    wait_for(lambda: pushed([host]), host.log, 30)
    new = host.names()
    store.put(name, old)
    wait_for(lambda: ENDED + "it has not pushed one" in host.log(), host.log, 30)
    wait_for(lambda: {key.name for key in store.ring(fleet.secret).keys} == new, "the store to have the new ring", 30)
    wait_for(lambda: AGAIN in host.log(), host.log, 30)


def test_push_flood_of_messages_does_not_make_sync_spin(fleet, make):
    """A thousand messages in a second make a few cycles in as many seconds, and none is missed afterwards."""
    store = make(Redis)
    every = 2
    hosts = started(fleet, [store], 2, **{**QUICK, "every": f"{every}s"})
    stop, sent = threading.Event(), [0]

    def publish():
        with store.connect() as sock:
            threading.Thread(target=lambda: iter(lambda: sock.recv(65536), b"").__next__, daemon=True).start()
            while not stop.is_set():
                for _ in range(20):
                    sock.sendall(f"PUBLISH {object_name(fleet.secret)} {os.urandom(20).hex()}\r\n".encode())
                    sent[0] += 1
                sock.recv(65536)
                time.sleep(0.02)

    def cycles():
        """So many has one host had, on average."""
        return int(re.search(rb"cmdstat_eval:calls=(\d+)", store.ask("INFO", "commandstats")).group(1)) / len(hosts)

    flood = threading.Thread(target=publish)
    store.ask("CONFIG", "RESETSTAT")
    begun = time.monotonic()
    flood.start()
    try:
        time.sleep(2)
        revoke_and_wait(hosts, hosts[0])
        n, seconds = cycles(), time.monotonic() - begun
    finally:
        stop.set()
        flood.join()
    assert sent[0] > 500
    # What stores may wake for at once, and at length; its own cycles; and some calls for what changed.
    assert n <= 16 + (4 + 2) * seconds / every + 6, f"{n} cycles in {seconds} s"
    revoke_and_wait(hosts, hosts[1])


class Replays(Proxy):
    """Passes everything on, and keeps what a watch has been told, whole."""

    def __init__(self, store):
        self.told, self.watchers = [], set()
        super().__init__(store)

    def _back(self, server, client):
        try:
            while data := server.recv(65536):
                client.sendall(data)
                if b"*3\r\n$7\r\nmessage\r\n" in data or \
                        (b'"events"' in data and re.fullmatch(rb"[0-9a-f]+\r\n.*\r\n", data, re.S)):
                    self.told.append(data)
                    self.watchers.add(client)
        except OSError:
            pass

    def replay(self):
        """One of the old ones, to all."""
        for sock in list(self.watchers):
            try:
                sock.sendall(random.choice(self.told))
            except OSError:
                self.watchers.discard(sock)


def test_push_watch_that_replays_brings_nothing_back_and_does_not_make_sync_spin(fleet, store, tmp_path):
    """What was told once is told again, a hundred times in a second, and the old objects come back with it."""
    if isinstance(store, Etcd):
        store.port = store.members[0].port
    proxy, every, name = Replays(store), 2, object_name(fleet.secret)
    fleet.proxies.append(proxy)
    url = proxy.url + (f"/{PREFIX}" if isinstance(store, Etcd) else "")
    hosts = [fleet.host(url, **{**QUICK, "every": f"{every}s"}, options=["--metrics", tmp_path / f"{n}.prom"])
             for n in range(2)]
    for host in hosts:
        host.start(web=False)
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and agree(hosts), "all to have one ring", 30)
    dead, old = set(), []
    for n in range(4):
        dead |= hosts[0].names()
        old.append(store.get(name))
        revoke_and_wait(hosts, hosts[n % 2])
    wait_for(lambda: len(proxy.told) >= 2 and len(proxy.watchers) >= 1, "what to replay", 20)

    def cycles(n):
        return int(re.search(r"^stek_sync_cycles_total\S* (\d+)", (tmp_path / f"{n}.prom").read_text(), re.M).group(1))

    def returned():
        return [host.name for host in hosts if dead & host.names()]

    before, begun, sent = [cycles(n) for n in range(2)], time.monotonic(), 0
    while time.monotonic() - begun < 6 or sent <= 100:  # a busy machine takes longer
        proxy.replay()
        sent += 1
        if sent % 100 == 0:
            store.put(name, random.choice(old))
        assert not returned()
        time.sleep(0.01)
    seconds = time.monotonic() - begun
    made = [cycles(n) - before[n] for n in range(2)]
    assert all(n <= 16 + (4 + 2) * seconds / every + 6 for n in made), f"{made} cycles in {seconds} s"
    # Then all is as before: the stores have nothing of it, and a revocation arrives.
    wait_for(lambda: not dead & {key.name for key in store.ring(fleet.secret).keys}, "the store to be repaired", 30)
    revoke_and_wait(hosts, hosts[1])
    wait_for(lambda: agree(hosts), "all to have one ring", 30)
    assert not returned()


def test_push_compaction_during_a_watch_ends_nothing(fleet, make):
    store = make(Etcd)
    hosts = started(fleet, [store], 2, **QUIET)
    revoke_and_wait(hosts, hosts[0])
    for n in range(20):
        store.put("other", str(n).encode())
    revision = int(store.ask("kv/range", key=store.key("other"))["header"]["revision"])
    store.ask("kv/compaction", revision=str(revision), physical=True)
    revoke_and_wait(hosts, hosts[1])
    assert not any(ENDED in host.log() for host in hosts)


def as_user(fleet, store, *rights):
    """(the store's URL with a user who has these, options for it)"""
    store.ask("ACL", "SETUSER", "fleet", "on", ">right", "resetchannels", *rights)
    password = fleet.dir / "password"
    password.write_text("right\n")
    password.chmod(0o600)
    return store.url.replace("redis://", "redis://fleet@"), ["--password", password]


def test_push_user_with_the_rights_of_the_manual_is_enough(fleet, make):
    """It is asked now and then whether it is there, without a right to that."""
    store = make(Redis)
    page = (TOP / "docs" / "fleet.md").read_text()
    rights = re.search(r"`user stek on >PASSWORD (~stek:\* .*?)`", page, re.S).group(1).split()
    url, options = as_user(fleet, store, *rights)
    hosts = started(fleet, [url], 2, **QUICK, options=options)

    def pings():
        found = re.search(rb"cmdstat_ping:calls=\d+,.*rejected_calls=(\d+)", store.ask("INFO", "commandstats"))
        return found and int(found.group(1)) >= 4

    wait_for(pings, "two questions of each", 30)
    revoke_and_wait(hosts, hosts[0])
    assert not any("push" in host.log() for host in hosts)


def test_push_user_without_the_channel_falls_back_to_cycles_and_says_so(fleet, make):
    store = make(Redis)
    url, options = as_user(fleet, store, "~stek:*", "+get", "+set", "+eval", "+subscribe", "+publish")
    hosts = started(fleet, [url], 2, **QUICK, options=options)
    revoke_and_wait(hosts, hosts[0])
    for host in hosts:
        wait_for(lambda host=host: f"{ENDED}no permission to subscribe: grant this user the command 'subscribe' and "
                                   f"the channel '{object_name(fleet.secret)}'" in host.log(), host.log, 30)
    assert "no permission to publish" in "".join(host.log() for host in hosts)
