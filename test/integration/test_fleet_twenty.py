# SPDX-License-Identifier: Apache-2.0
"""What a fleet has to outlive, as a black box over real memcached and Redis: liars, outages, reboots with rolled-back
stores, revocations from two sides, poisoned epochs, wrong clocks and names that move.  The check has a few hosts and
one engine for each; "make fleet-twenty" has twenty, both engines and more of each attack."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

import fleet as lib
from checks import VERSIONS
from fleet import DAY, Memcached, Redis, object_name, pair_of
from httpd import free_port, wait_for
from liar import Liar, RedisLiar
from test_emergency import Operator, Thief, blocks
from test_fleet_floor import snapshot, status
from test_fleet_workers import Names
from twenty import HOST_N, LONG, SLACK_S, WEB_N, Clock, Trial

pytestmark = pytest.mark.timeout(400 if LONG else 150)
KINDS = {"memcached": Memcached, "redis": Redis}


def engines(short):
    """Both in the long form."""
    return pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()
                                            if LONG or name == short])


@pytest.fixture
def trial(fleet, request):
    made = Trial(fleet, request.node.name.split("_")[2], request.getfixturevalue("kind"))
    yield made
    made.end()


def today():
    return int(time.time()) // DAY


def known(store, secret):
    """Names in the store's object, whose epoch does not matter."""
    ring = store.ring(secret)
    return {key.name for key in ring.keys} if ring else set()


# ---- 1: a store without the secret ----

def cycles_without_write(host, url):
    entry, = [entry for entry in status(host, code=1)["stores"] if entry["store"] == url]
    return entry["cycles_without_write"]


@engines("memcached")
def test_twenty_1_liar_sorted_first_and_frozen_replica(fleet, trial, kind):
    honest, liar = fleet.store(kind), Liar() if kind is Memcached else RedisLiar()
    urls = [liar.url, honest.url.replace("127.0.0.1", "localhost")]
    replica = None
    if kind is Redis:  # a real one, which will lose its primary
        replica = fleet.store(Redis, "--replicaof", "127.0.0.1", str(honest.port))
        urls.append(replica.url)
    assert sorted(urls)[-1] == urls[1]
    hosts = trial.start(trial.add(*urls, web=WEB_N))
    trial.agree(hosts, "agree at first")
    before, old = trial.names(hosts), honest.get(object_name(fleet.secret))
    sessions = [(version, hosts[0].get(tls=version).session) for version in VERSIONS]
    if replica:
        wait_for(lambda: replica.get(object_name(fleet.secret)) == old, "the replica")
        replica.ask("REPLICAOF", "127.0.0.1", str(free_port()))
    trial.revoke(hosts[-1])
    trial.figures["revoked at all"] = trial.wait_gone(hosts, before)
    trial.agree(hosts, "agree after revocation")
    liar.answer = old  # from now on it, too, answers from the past
    trial.wait_tickets_end(hosts[:WEB_N], sessions)
    late = trial.start(trial.add(*urls, n=1, floor=False)) if LONG else []
    trial.agree(hosts + late, "agree at the end")
    assert not before & trial.names(hosts + late) and not before & known(honest, fleet.secret)
    assert liar.said > HOST_N
    wait_for(lambda: cycles_without_write(hosts[0], urls[0]) >= 3, "the liar to be named", 30)
    assert cycles_without_write(hosts[0], urls[1]) == 0
    assert replica is None or known(replica, fleet.secret) == before
    trial.verdict()
    liar.close()


# ---- 2: a long outage ----

@engines("redis")
def test_twenty_2_outage_more_keys_than_a_ring_holds(fleet, trial, kind):
    """Minutes of a fleet with a key per second pass while each host is alone."""
    store, clock = fleet.store(kind), Clock(fleet.dir)
    hosts = trial.start(trial.add(store, web=WEB_N, clock=clock, interval="1s", lifetime="20min",
                                  options=["--ahead", 1 if LONG else 1000]))
    trial.agree_frozen(hosts, clock, "agree at first")
    for host in hosts[:WEB_N]:
        host.web.expect("STEK2036")  # keys have no room
    before = trial.names(hosts)
    store.signal(signal.SIGSTOP)  # it hangs; in the end it is gone

    def covered():
        """Seconds that are left at the host with the least."""
        return min(max(window[1] for window in host.watched.look().windows.values()) for host in hosts) - clock.now()
    trial.resting.set()  # in a moment httpd polls its ring, minutes pass
    while len(trial.names(hosts) - before) < (12000 if LONG else 4200):
        if len(trial.names(hosts) - before) > 2000:
            store.kill()
        clock.set(clock.offset_s + covered() - 45)  # alone, a host makes keys when there are none for the next minute
        wait_for(lambda: covered() > 60, "keys for the time to come", 45)
    made = trial.names(hosts) - before
    trial.figures["keys apart"] = len(made)
    trial.figures["clock moved s"] = clock.offset_s
    wait_for(lambda: all(host.get().tickets for host in hosts[:WEB_N]), "httpd to follow", SLACK_S)
    trial.resting.clear()
    store.start()
    trial.agree_frozen(hosts, clock, "agree after the outage")
    trial.figures["took the store for a liar"] = sum("another host wrote first" in host.log() for host in hosts)
    kept = trial.names(hosts)
    trial.figures["kept"] = len(kept)
    assert max(len(host.watched.look().windows) for host in hosts) <= 4096
    assert any(re.search(r": \d+ keys (left out|ignored)", host.log()) for host in hosts), "not told"
    lib.wait_crossed(hosts[:WEB_N])  # the agreed ring may have left out a key that httpd still seals with
    old = trial.revoke(hosts[0])
    trial.figures["revoked at all"] = trial.wait_gone(hosts, old)
    trial.agree_frozen(hosts, clock, "agree after revocation")
    trial.verdict()


# ---- 3: reboots and stores from the past ----

@engines("redis")
def test_twenty_3_reboot_with_a_store_from_before_the_revocation(fleet, trial, kind):
    """All hosts lose their runtime directories together; one store comes back from its snapshot, another replays."""
    store = fleet.store(kind)
    replay = (Liar() if kind is Memcached else RedisLiar()) if LONG else None
    hosts = trial.start(trial.add(store, *filter(None, [replay]), web=WEB_N))
    trial.agree(hosts, "agree at first")
    name = object_name(fleet.secret)
    lib.run("--ring", hosts[0].ring_path, "rotate", env=hosts[0].env)
    trial.agree(hosts, "agree after rotation")
    old, restore = store.get(name), snapshot(store)
    if kind is Memcached:
        restore.kept[name] = old
    sessions = [(version, hosts[0].get(tls=version).session) for version in VERSIONS]
    stolen = hosts[0].ring().current(time.time()).name
    trial.revoke(hosts[-1], stolen)  # one, then all
    trial.wait_gone(hosts, {stolen})
    trial.revoke(hosts[1])
    trial.figures["revoked at all"] = trial.wait_gone(hosts, trial.dead)
    trial.agree(hosts, "agree after revocation")
    trial.wait_tickets_end(hosts[:WEB_N], sessions)
    if replay:
        replay.answer = old
    trial.lose_power(hosts)
    restore(name)
    assert trial.dead & known(store, fleet.secret), "the store was not rolled back"
    trial.start(hosts)
    trial.resting.clear()
    trial.agree(hosts, "agree after reboot")
    assert not trial.dead & trial.names(hosts) and not trial.dead & known(store, fleet.secret)
    for host in hosts[:WEB_N]:
        assert not any(host.get(tls=version, session=session).resumed for version, session in sessions)
    for host in hosts[:2] if LONG else []:  # the same with one host at a time, under the others
        trial.lose_power([host])
        restore(name)
        trial.start([host])
        trial.resting.clear()
        trial.agree(hosts, "agree after a single reboot")
    assert not trial.dead & trial.names(hosts) and not trial.dead & known(store, fleet.secret)
    trial.verdict()
    if replay:
        assert any(entry["rolled_back"] for entry in status(hosts[0], code=1)["stores"]), "the replay is not named"
        replay.close()


# ---- 4: two revocations at once ----

@engines("memcached")
def test_twenty_4_two_revocations_from_two_sides(fleet, trial, kind):
    near, far = fleet.store(kind), fleet.store(kind)
    links = [fleet.proxy(near), fleet.proxy(far)]
    a = trial.add(near, links[1], n=HOST_N // 2, web=max(1, WEB_N // 2))
    b = trial.add(links[0], far, n=HOST_N - HOST_N // 2, web=WEB_N // 2)
    hosts = trial.start(a + b)
    trial.agree(hosts, "agree at first")
    for together in (False, True) if LONG else (False,):
        for link in links:
            link.set("refuse")
        trial.cycle(hosts)
        before = trial.names(hosts)
        if together:
            commands = [subprocess.Popen([lib.STEKCTL, "--ring", side[-1].ring_path, "revoke", "--all"],
                                         stdout=subprocess.DEVNULL) for side in (a, b)]
            assert [command.wait(60) for command in commands] == [0, 0]
            trial.dead = trial.dead | before
        else:
            trial.revoke(a[0])
            trial.wait_gone(a, before)
            trial.agree(a, "agree on the one side")
            stolen = trial.names(a)
            assert stolen and not stolen & trial.names(b)
            time.sleep(1.1)  # later, as a clock tells
            trial.revoke(b[-1], known=stolen)
            trial.wait_gone(b, before)
        for link in links:
            link.set("pass")
        trial.agree(hosts, "agree after both at once" if together else "agree after one after the other")
        assert not trial.dead & (trial.names(hosts) | known(near, fleet.secret) | known(far, fleet.secret))
    trial.verdict()


# ---- 5: epochs that nothing exceeds ----

@engines("redis")
def test_twenty_5_poisoned_epoch_and_the_emergency_procedure(fleet, trial, kind):
    store = fleet.store(kind)
    hosts = trial.start(trial.add(store, web=WEB_N))
    trial.agree(hosts, "agree at first")
    thief, operator, now = Thief(fleet, store), Operator(fleet), int(time.time())
    thief.names |= trial.names(hosts)
    sessions = [(version, hosts[0].get(tls=version).session) for version in VERSIONS]
    for epoch in (2 ** 64 - 1, 2 ** 63, now + 2 * DAY) if LONG else (2 ** 64 - 1,):
        thief.forge(epoch=epoch)
        trial.cycle(hosts)
        trial.agree(hosts, f"agree after epoch {epoch:x}")
        assert hosts[0].watched.look().epoch == 0 and store.ring(fleet.secret).epoch == 0
    # What passes: the greatest epoch within a day, with a key that comes before all others.
    planted = thief.forge(epoch=int(time.time()) + DAY - 60)
    wait_for(lambda: all(planted in host.watched.look().windows for host in hosts), "the thief's key", 30)
    thief.names |= trial.names(hosts)
    make, install, revoke = blocks("A fleet")
    operator.do(make, hosts[0])
    for host in hosts:
        operator.do(install, host)
        thief.forge(epoch=int(time.time()) + DAY - 30)
    fleet.secret = operator.new
    trial.agree(hosts, "agree under the new secret")
    wait_for(lambda: store.ring(fleet.secret), "the object under the new secret")
    thief.names |= trial.names(hosts)
    operator.do(revoke, hosts[0])
    trial.dead = trial.dead | thief.names
    trial.figures["stolen keys gone"] = trial.wait_gone(hosts, thief.names)
    thief.forge(epoch=int(time.time()) + DAY)
    trial.agree(hosts, "agree after the procedure")
    trial.wait_tickets_end(hosts[:WEB_N], sessions)
    trial.revoke(hosts[1])  # the next time it is one command
    trial.wait_gone(hosts, trial.dead)
    trial.agree(hosts, "agree after the next revocation")
    trial.verdict()


# ---- 6: wrong clocks ----

def jump(trial, host, wrong, seconds):
    """For a cycle, or two."""
    host.watched.promised = False
    wrong.set(seconds)
    trial.cycle([host])
    wrong.set(0)
    trial.cycle([host])
    host.watched.promised = True


JUMPS = (3650 * DAY, -3650 * DAY, 2 ** 31, 20 * DAY, -20 * DAY, 29 * DAY, 30 * DAY)


@engines("memcached")
def test_twenty_6_clock_ten_years_ahead_again_and_again(fleet, trial, kind):
    """Each cycle makes keys for two minutes in ten years: 34 of them make more than a ring holds."""
    store, clock = fleet.store(kind), Clock(fleet.dir)
    glitch_n, ahead = (34, 1) if LONG else (9, 500)
    hosts = trial.add(store, web=WEB_N, clock=clock, interval="1s", lifetime="50min", options=["--ahead", ahead])
    bad, wrong = hosts[-1], Clock(hosts[-1].root)
    wrong.give(bad)
    trial.start(hosts)
    for seconds in JUMPS if LONG else JUMPS[:1]:
        jump(trial, bad, wrong, seconds)
    trial.agree_frozen(hosts, clock, "agree after jumps", wrong)
    bad.watched.promised = False
    bad.stop_sync()
    for i in range(glitch_n):
        wrong.set(3650 * DAY - max(ahead, 120) * i)  # so that none of these keys ends
        bad.once(code=None)
    far = len([key for key in bad.ring().keys if key.not_before > time.time() + DAY])
    trial.figures["keys of a wrong clock"] = far
    assert far > 3600, "hardly an attack"
    wrong.set(clock.offset_s)
    trial.start([bad])
    trial.cycle(hosts)
    far = [sum(window[0] > clock.now() + DAY for window in host.watched.look().windows.values()) for host in hosts]
    assert not any(far), f"keys of a wrong clock: {far}"
    trial.agree_frozen(hosts, clock, f"agree after {glitch_n} cycles", wrong)
    trial.verdict()


@engines("redis")
def test_twenty_6_ratchet_moved_by_twenty_days(fleet, trial, kind):
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    store, hosts = fleet.store(kind), trial.add(*fleet.stores, web=WEB_N)
    good, bad, wrong = hosts[:-1], hosts[-1], Clock(hosts[-1].root)
    wrong.give(bad)
    trial.start(hosts)
    kept = lib.digest(bad.fleet_secret)
    for seconds in JUMPS if LONG else JUMPS[-1:]:  # sync runs, and comes back by itself
        jump(trial, bad, wrong, seconds)
        trial.agree(hosts, f"agree after {seconds // DAY} days")
    assert lib.digest(bad.fleet_secret) == kept, "the ratchet has moved"
    bad.watched.promised = False
    bad.stop_sync()
    wrong.set(20 * DAY)
    bad.once(code=None)  # cron's host has nothing to wait for
    assert lib.digest(bad.fleet_secret) != kept
    wrong.set(0)
    trial.cycle(good)
    for _ in range(3 if LONG else 1):
        assert "copy the file from a host that is in step" in bad.once(code=None).stderr
        trial.cycle(good)
        assert store.ring(fleet.secret), "it fights the others"
    trial.agree(good, "the others agree")
    shutil.copy(good[0].fleet_secret, bad.fleet_secret)
    trial.start([bad])
    trial.agree(hosts, "agree after the ratchet")
    trial.verdict()


# ---- 7: two servers behind one name ----

@pytest.mark.skipif(os.geteuid() != 0, reason="mounts an /etc/hosts")
@engines("memcached")
def test_twenty_7_name_of_two_servers_and_one_that_moves(fleet, trial, kind):
    first, second = pair_of(fleet, kind, "127.0.0.11", "127.0.0.12")
    url = f"{kind.scheme}://store.test:{first.port}"
    addresses = ["127.0.0.11", "127.0.0.12"]
    hosts, names = trial.add(url), {}

    def launch(*found):
        def go(host):
            names[host] = Names(host, *found)
        return go
    half = len(hosts) // 2
    trial.start(hosts[:half], launch(*addresses))
    trial.start(hosts[half:], launch(*reversed(addresses)))
    trial.agree(hosts, "agree over two addresses")
    assert known(first, fleet.secret) == trial.names(hosts) and not known(second, fleet.secret)
    first.kill()
    old = trial.revoke(hosts[0])
    trial.agree(hosts, "agree over the second server", cycles=3)
    if not LONG:
        trial.verdict()
        return
    first.start()  # it comes back empty
    wait_for(lambda: known(first, fleet.secret) == trial.names(hosts), "the first server to be used again", 90)
    trial.agree(hosts, "agree over the first again")
    trial.each(hosts, 14)  # all are back there
    # A failover by DNS, while the old server answers on, and some hosts know the new one only.
    for host in hosts:
        names[host].set(addresses[0])
    second.flush()
    late = trial.start(trial.add(url, n=2), launch(addresses[1]))
    assert not trial.names(hosts) & trial.names(late), "not apart"
    for host in hosts:
        names[host].set(addresses[1])
    old |= trial.revoke(late[0])
    trial.agree(hosts + late, "agree after the failover", cycles=15)
    assert not old & trial.names(hosts + late)
    assert known(second, fleet.secret) == trial.names(hosts)
    trial.verdict()
