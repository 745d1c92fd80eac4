# SPDX-License-Identifier: Apache-2.0
"""Hosts that the stores do not show, or show wrongly: after a store was emptied, behind objects that do not open, with an
httpd that does not answer, with a clock that is days behind, and two of one name.  Neither stekctl fleet nor --wait
takes them for hosts that have applied the change."""
import json
import os
import re
import shlex
import signal
import subprocess
import time

import pytest

import announcements
import fleet as lib
import ringfile
from announcements import Announcement
from fleet import Memcached, Redis, agree, clock_env, pair_of
from httpd import Vhost, free_port, wait_for
from seed import seeded_rng
from test_fleet_view import HOURLY, config, look, started, states, wait_good


def known(host):
    """The hosts that it has seen, as its state has them."""
    path = host.ring_path.with_name(host.ring_path.name + ".sync")
    lines = path.read_text().splitlines() if path.exists() else ()
    return {line.split(" host://")[1] for line in lines if " host://" in line}


def started_knowing(fleet, n, *stores):
    """Hosts, of which the last has seen all others."""
    hosts = started(fleet, n - 1, *stores)
    wait_good(fleet, hosts)
    hosts += started(fleet, 1, *stores)
    wait_good(fleet, hosts)
    wait_for(lambda: known(hosts[-1]) == {host.name for host in hosts}, lambda: f"{known(hosts[-1])}", 20)
    return hosts


def waits(fleet, host, *words, code, wait="3s"):
    return lib.run("--ring", host.ring_path, *words, f"--wait={wait}", "--fleet", config(fleet), code=code)


@pytest.mark.parametrize("kind", [Memcached, Redis], ids=["memcached", "redis"])
@pytest.mark.timeout(120)
def test_unseen_hosts_of_a_store_that_was_emptied_have_not_followed(fleet, kind):
    store = fleet.store(kind)
    hosts = started_knowing(fleet, 3)
    here, away = hosts[-1], hosts[0]
    # One cannot speak when the store comes back empty; the others do.
    away.process.send_signal(signal.SIGSTOP)
    try:
        store.flush()
        done = waits(fleet, here, "--json", "revoke", "--all", code=6, wait="10s")
        assert json.loads(done.stdout.splitlines()[-1])["behind"] == [away.name]
        assert f"{away.name}: no store shows it now, so it is not known to have applied the change; last heard from" in done.stderr
        assert "1 of 3 hosts has not applied the change" in done.stderr
        shown = lib.run("--ring", here.ring_path, "fleet", "--store", store.url, "--fleet-secret", fleet.secret, "--json",
                        code=1)
        assert [host["host"] for host in json.loads(shown.stdout)["missing"]] == [away.name]
        text = lib.run("--ring", here.ring_path, "fleet", "--store", store.url, "--fleet-secret", fleet.secret, code=1).stdout
        assert f"{away.name}: no store shows it now" in text and "all agree" not in text
        assert f"run this command again with 'forget {away.name}' at its end\n" in text
    finally:
        away.process.send_signal(signal.SIGCONT)
    done = waits(fleet, here, "revoke", "--all", code=0, wait="30s")
    assert "3 hosts have applied the change" in done.stdout
    # The list outlives a restart, and one that is out of service is taken off it wherever it is known.
    hosts[1].stop_sync()
    for host in (here, away):
        host.stop_sync()
    store.flush()
    here.start(web=False)
    wait_for(lambda: states(fleet) == {here.name: "good"}, lambda: f"{states(fleet)}", 20, 0.3)
    assert "2 of 3 hosts have not applied the change" in waits(fleet, here, "rotate", code=6, wait="6s").stderr
    said = lib.run("--ring", here.ring_path, "fleet", "--config", config(fleet), code=1).stdout
    for gone in (hosts[1], away):
        advice, = re.findall(rf"{gone.name}: no store shows it now; .* run '(stekctl .*)'", said)
        lib.run(*shlex.split(advice)[1:])
        lib.run("--ring", here.ring_path, "fleet", "--config", config(fleet), "forget", gone.name, code=None)
    here.stop_sync()
    here.start(web=False)  # looks when it starts
    wait_for(lambda: known(here) == {here.name}, lambda: f"{known(here)}", 20)
    assert "1 host has applied the change" in waits(fleet, here, "rotate", code=0, wait="20s").stdout


@pytest.mark.timeout(90)
def test_unseen_hosts_speak_again_as_soon_as_their_store_was_emptied(fleet):
    """The one that finds the store empty says at once who it is, not only when its time has come."""
    store = fleet.store()
    host, = started(fleet, 1)
    wait_good(fleet, [host])
    store.flush()
    begun = time.monotonic()
    wait_for(lambda: host.name in announcements.read(store, fleet.secret), "its announcement", 30, 0.2)
    assert time.monotonic() - begun < 20  # a period has 60


@pytest.mark.timeout(90)
def test_unseen_hosts_are_known_to_sync_once_too(fleet):
    store = fleet.store()
    hosts = [fleet.host(**HOURLY) for _ in range(2)]
    for host in hosts:
        host.once()
    assert known(hosts[1]) == {host.name for host in hosts}
    store.flush()
    lib.run("--ring", hosts[1].ring_path, "revoke", "--all")
    hosts[1].once()
    done = waits(fleet, hosts[1], "rotate", code=6, wait="1s")
    assert f"{hosts[0].name}: no store shows it now" in done.stderr


def spoil(store, fleet, part, how):
    if how == "foreign":
        stranger = lib.sealing_secrets(fleet.new_secret(f"other{part}.secret"), int(time.time()) // lib.DAY)
        data = announcements.sealed([], stranger[0], part)
    else:
        data = {"garbage": b"x" * 300, "empty": b"", "long": bytes(600 * 1024)}[how]
    assert store.put(announcements.object_of(fleet.secret, part), data)


@pytest.mark.parametrize("how", ["garbage", "empty", "long", "foreign"])
@pytest.mark.timeout(120)
def test_unseen_hosts_behind_an_object_that_does_not_open_are_trouble(fleet, how):
    store = fleet.store()
    hosts = started(fleet, 2)
    wait_good(fleet, hosts)
    look(fleet, code=0)
    for host in hosts:
        stop_all(host.process.pid, signal.SIGSTOP)  # also a worker that is just writing
    part = announcements.part_of(hosts[0].name)
    try:
        spoil(store, fleet, part, how)
        shown = look(fleet, code=1)
        assert not shown["good"] and shown["stores"][0]["unusable_objects"] == 1
        assert shown["stores"][0]["answered"]
        text = lib.run("fleet", "--config", config(fleet), code=1).stdout
        assert f"{store.url}: 1 of 64 objects with announcements cannot be used, so hosts may be missing: " in text
        assert "all agree" not in text
    finally:
        for host in hosts:
            stop_all(host.process.pid, signal.SIGCONT)
    # Where no host of the part speaks, another that looks puts it right; until then, nobody has all followed.
    empty = next(n for n in range(64) if n not in {announcements.part_of(host.name) for host in hosts})
    spoil(store, fleet, empty, how)
    done = waits(fleet, hosts[1], "rotate", code=None)
    assert done.returncode in (5, 6) and "so it is unknown whether all hosts have applied the change" in done.stderr, done.stderr
    hosts[0].stop_sync()
    hosts[0].start(web=False)
    wait_for(lambda: look(fleet)["good"], lambda: f"{look(fleet)}", 40, 0.5)
    assert look(fleet, code=0)["stores"][0]["unusable_objects"] == 0


@pytest.mark.timeout(120)
def test_unseen_state_of_an_httpd_that_does_not_answer_is_not_followed(fleet):
    fleet.store()
    port = free_port()
    host = fleet.host(interval="1h", lifetime="18h", options=["--httpd", f"http://localhost:{port}/stek-status"])
    host.web.vhosts.append(Vhost("status.test", port=port, tls=False,
                                 lines=['<Location "/stek-status">', "SetHandler stek-status", "</Location>"]))
    host.start()
    wait_for(lambda: states(fleet) == {host.name: "good"}, lambda: f"{look(fleet)}{host.log()}", 30, 0.3)
    stop_all(host.web.pid, signal.SIGSTOP)  # as if every thread was busy
    try:
        done = waits(fleet, host, "revoke", "--all", code=6, wait="10s")
        assert f"{host.name}: is not known to have applied the change: httpd at {host.name} does not answer" in done.stderr
        shown, = look(fleet, code=1)["hosts"]
        assert shown["state"] == "lags" and shown["httpd_silent"] and shown["httpd_generation"] is None
        assert "its httpd does not answer" in lib.run("fleet", "--config", config(fleet), code=1).stdout
    finally:
        stop_all(host.web.pid, signal.SIGCONT)
    wait_for(lambda: states(fleet) == {host.name: "good"}, lambda: f"{look(fleet)}{host.log()}", 30, 0.3)
    assert "1 host has applied the change" in waits(fleet, host, "rotate", code=0, wait="30s").stdout


@pytest.mark.parametrize("poison", [2 ** 64 - 1, 2 ** 62])
@pytest.mark.timeout(120)
def test_unseen_generation_of_a_thief_ends_with_the_revocation_of_all(fleet, poison):
    """The greatest generation that there is hid what httpd had loaded, for ever."""
    store, port = fleet.store(), free_port()
    host = fleet.host(interval="1h", lifetime="18h", options=["--httpd", f"http://localhost:{port}/stek-status"])
    host.web.server = [line.replace("poll=1s", "poll=1min") for line in host.web.server]
    host.web.vhosts.append(Vhost("status.test", port=port, tls=False,
                                 lines=['<Location "/stek-status">', "SetHandler stek-status", "</Location>"]))
    host.start()
    seal = lib.sealing_secrets(fleet.secret, int(time.time()) // lib.DAY)[0]

    def loaded():
        """Its httpd has what it has; that generation."""
        for shown in look(fleet)["hosts"]:  # one, as soon as it has announced itself
            same = (shown["httpd_epoch"], shown["httpd_generation"]) == (shown["epoch"], shown["generation"])
            return same and shown["generation"]
        return 0
    wait_for(loaded, lambda: f"{look(fleet)['hosts']}", 20, 0.3)
    stolen = ringfile.Ring([*host.ring().keys, ringfile.make_key()], generation=poison)
    assert store.put(lib.object_name(fleet.secret), stolen.seal(seal))
    wait_for(lambda: host.ring().generation == poison, host.log, 20)
    host.web.graceful()
    # The greatest is no number that the status page has.
    wait_for(lambda: loaded() == poison or (poison == 2 ** 64 - 1 and look(fleet)["hosts"][0]["httpd_silent"]),
             lambda: f"{look(fleet)['hosts']}", 20, 0.3)
    lib.run("--ring", host.ring_path, "revoke", "--all")
    host.web.graceful()
    wait_for(lambda: loaded() and loaded() < 100, lambda: f"{look(fleet)}", 20, 0.3)
    assert store.ring(fleet.secret).generation < 100
    # So it is seen again what httpd has not loaded; and the thief's ring is of before.
    assert store.put(lib.object_name(fleet.secret), stolen.seal(seal))
    done = waits(fleet, host, "rotate", code=6, wait="8s")
    assert f"{host.name}: has not applied the change: its httpd has not loaded the ring" in done.stderr
    assert host.ring().generation < 100 and not {key.name for key in stolen.keys} & host.names()


def stop_all(pid, sign):
    """That process and its children."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = [int(child) for child in file.read().split()]
    for one in (pid, *children):
        os.kill(one, sign)


@pytest.mark.parametrize("days", [2, 12])
@pytest.mark.timeout(120)
def test_unseen_host_with_a_clock_that_is_days_behind_is_shown_with_it(fleet, days):
    fleet.store()
    hosts = started(fleet, 2)
    slow = fleet.host(**HOURLY, clock_s=-days * lib.DAY).start(web=False, env=clock_env(-days * lib.DAY))

    def with_wrong_clock():
        return {host["host"]: host for host in look(fleet)["hosts"] if "clock" in host["troubles"]}
    wait_for(with_wrong_clock, lambda: f"{look(fleet)}{slow.log()}", 60, 0.5)
    look(fleet, code=1)
    shown, = with_wrong_clock().values()
    assert shown["host"] == slow.name and "gone" not in shown["troubles"]
    assert abs(shown["behind"] - days * lib.DAY) <= 90 and shown["age"] < 120
    assert f"clock at least {days - 1}d 23h" in shown["note"] or f"clock at least {days}d" in shown["note"], shown
    assert {host.name for host in hosts} < states(fleet).keys()


def test_unseen_clock_of_two_hosts_that_are_ahead_is_not_the_fault_of_the_others(fleet):
    """Two of five have clocks that are two years ahead."""
    store, now = fleet.store(), int(time.time())
    host = fleet.host(**HOURLY)
    host.once()
    sample = announcements.read(store, fleet.secret)[host.name]
    for n, clock in enumerate([now, now, now + 730 * lib.DAY, now + 731 * lib.DAY]):
        announcements.put(store, fleet.secret, Announcement(**{**vars(sample), "name": f"other{n}", "clock": clock,
                                                               "agreed": clock, "since": clock}))
    host.once()
    assert states(fleet)[host.name] == "good"
    assert [host["host"] for host in look(fleet)["hosts"] if host["state"] == "clock"] == ["other2", "other3"]


@pytest.mark.timeout(90)
def test_unseen_host_whose_name_another_has_is_named(fleet):
    """Soon after they have started, although nothing changes; each in its own log, once."""
    store, other = fleet.store(), fleet.store(Redis)
    one, two = (fleet.host(**HOURLY, options=["--announce", "same"]) for _ in range(2))
    line = re.compile("another host also announces itself as 'same', .* has the mark (.{8}), this one (.{8}):")
    for host in (one, two):
        host.start(web=False)
        wait_for(host.ring_path.exists, "its ring", 20)
    wait_for(lambda: all(line.search(host.log()) for host in (one, two)) and states(fleet) == {"same": "twin"},
             lambda: f"{look(fleet)}{one.log()}{two.log()}", 20, 0.2)
    (theirs, ours), = line.findall(one.log())
    assert line.findall(two.log()) == [(ours, theirs)] and ours != theirs
    shown = look(fleet, code=1)
    assert re.search(f"another host announces itself under the same name, .* the mark ({ours}|{theirs}) in the log",
                     shown["hosts"][0]["note"]) and not shown["good"]
    text = lib.run("fleet", "--config", config(fleet), code=1).stdout
    assert "1 host, 1 with a name that another host has\n" in text
    done = waits(fleet, one, "rotate", code=6)
    assert "same: two hosts have this name, so it is unknown whether both have applied the change" in done.stderr
    assert agree([one, two]) and store.get(lib.object_name(fleet.secret)) and other


@pytest.mark.timeout(60)
def test_unseen_twin_is_no_sync_once_nor_one_before_a_restart_with_several_stores(fleet):
    fleet.store(), fleet.store(Redis)
    host = fleet.host(**HOURLY).start(web=False)
    wait_for(lambda: states(fleet) == {host.name: "good"}, "the first", 20)
    host.once()
    host.stop_sync()
    host.start(web=False)
    lib.run("--ring", host.ring_path, "rotate", "--wait=20s", "--fleet", config(fleet))
    assert "announces itself as" not in host.log() and states(fleet) == {host.name: "good"}


def looked_again(host):
    """It looks when it starts, and writes down in the next cycle what it has seen."""
    metrics = host.root / "sync.prom"

    def value(name):
        found = re.search(rf"^{name}\{{.*\}} (\d+)$", metrics.read_text(), re.M) if metrics.exists() else None
        return int(found.group(1)) if found else 0
    host.stop_sync()
    metrics.unlink(missing_ok=True)
    host.options = ["--metrics", metrics]
    host.start(web=False)
    wait_for(lambda: value("stek_fleet_look_timestamp_seconds"), "a look", 30)
    cycles = value("stek_sync_cycles_total")
    wait_for(lambda: value("stek_sync_cycles_total") > cycles, "the next cycle", 30)


@pytest.mark.timeout(120)
def test_unseen_host_of_which_a_store_replays_the_oldest_words_stays_known(fleet):
    """A store shows what a host said nearly a week ago, and a moment later nothing."""
    store = fleet.store()
    here, away = started_knowing(fleet, 2)[::-1]
    away.stop_sync()
    sample, old = announcements.read(store, fleet.secret)[away.name], int(time.time()) - 7 * lib.DAY + 15
    announcements.put(store, fleet.secret, Announcement(**{**vars(sample), "clock": old, "agreed": old, "since": old}))
    looked_again(here)
    wait_for(lambda: time.time() > old + 7 * lib.DAY, "the old words to be over", 30)
    store.flush()
    looked_again(here)
    assert known(here) == {here.name, away.name}
    assert f"{away.name}: no store shows it now" in waits(fleet, here, "rotate", code=6).stderr


@pytest.mark.timeout(120)
def test_unseen_host_that_was_forgotten_is_missed_no_more_from_then_on(fleet):
    """sync here looks minutes later; whoever asks sees the mark at once.  One from before it spoke last is none."""
    store = fleet.store()
    here, away = started_knowing(fleet, 2)[::-1]
    here.stop_sync()  # does not look meanwhile
    away.stop_sync()
    key = announcements.object_of(fleet.secret, announcements.part_of(away.name))
    lib.run("fleet", "--config", config(fleet), "forget", away.name)
    mark = store.get(key)
    assert known(here) == {here.name, away.name}
    text = lib.run("--ring", here.ring_path, "fleet", "--config", config(fleet), code=None).stdout
    assert away.name not in text and here.name in text
    assert away.name not in waits(fleet, here, "rotate", code=None, wait="1s").stderr
    time.sleep(1.1)  # its next words are of a later second
    away.start(web=False)
    wait_for(lambda: away.name in announcements.read(store, fleet.secret), "the host that is back", 20)
    looked_again(here)
    here.stop_sync()
    away.stop_sync()
    assert store.put(key, mark)
    assert f"{away.name}: no store shows it now" in waits(fleet, here, "rotate", code=6, wait="1s").stderr


@pytest.mark.timeout(120)
def test_unseen_host_that_is_back_is_not_forgotten_by_an_old_mark(fleet):
    store = fleet.store()
    here, away = started_knowing(fleet, 2)[::-1]
    key = announcements.object_of(fleet.secret, announcements.part_of(away.name))
    away.stop_sync()
    lib.run("fleet", "--config", config(fleet), "forget", away.name)
    mark = store.get(key)
    looked_again(here)
    assert known(here) == {here.name}
    time.sleep(1.1)  # its next words are of a later second
    away.start(web=False)
    wait_good(fleet, [here, away])
    looked_again(here)
    assert known(here) == {here.name, away.name}
    away.stop_sync()
    assert store.put(key, mark)
    looked_again(here)
    assert known(here) == {here.name, away.name}
    assert f"{away.name}: no store shows it now" in waits(fleet, here, "rotate", code=6).stderr
    lib.run("--ring", here.ring_path, "fleet", "--config", config(fleet), "forget", away.name)
    looked_again(here)
    assert known(here) == {here.name}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts an /etc/hosts")
@pytest.mark.timeout(90)
def test_unseen_hosts_behind_an_address_that_hangs_are_not_followed(fleet):
    """A name has two servers, of which one hangs: what is there is another half of the fleet, perhaps."""
    pair = pair_of(fleet, Memcached, "127.0.0.21", "127.0.0.22")
    there, here = (fleet.host(f"memcached://127.0.0.2{n}:{pair[0].port}", **HOURLY).start(web=False) for n in (1, 2))
    for host in (there, here):
        wait_for(host.ring_path.exists, "its ring", 20)
    wait_for(lambda: here.name in announcements.read(pair[1], fleet.secret), "its announcement", 20)
    url, table = f"memcached://store.test:{pair[0].port}", fleet.dir / "hosts"
    table.write_text("127.0.0.21 store.test\n127.0.0.22 store.test\n")
    conf = fleet.dir / "named.conf"
    conf.write_text(f"store {url}\nfleet-secret {fleet.secret}\ntimeout 1s\n")

    def stekctl(*words, code):
        words = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                 f'mount --bind {table} /etc/hosts && exec "$@"', "sh", lib.STEKCTL, "--ring", here.ring_path, *words]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done
    pair[0].signal(signal.SIGSTOP)
    try:
        done = stekctl("revoke", "--all", "--wait=4s", "--fleet", conf, code=5)
        assert f"memcached://127.0.0.21:{pair[0].port}: silent: connected, but no answer in time" in done.stderr
        assert "it is unknown whether all hosts have applied the change" in done.stderr
        assert there.ring().epoch == 0
        text = stekctl("fleet", "--config", conf, code=1).stdout
        assert "all agree" not in text and text.splitlines()[1] == "1 host", text
    finally:
        pair[0].signal(signal.SIGCONT)


@pytest.mark.timeout(120)
def test_unseen_time_of_wait_holds_with_a_store_that_answers_late(fleet):
    """Each answer comes just before its time-out; there are 64 objects."""
    proxy = fleet.proxy(fleet.store())
    host, = started(fleet, 1)
    wait_good(fleet, [host])
    proxy.mode, proxy.delay_s = "slow", 1.5
    begun = time.monotonic()
    done = lib.run("--ring", host.ring_path, "rotate", "--wait=3s", "--fleet", config(fleet, proxy), code=5)
    assert time.monotonic() - begun < 15
    assert f"{proxy.url}: silent: too slow: " in done.stderr and "it is unknown which hosts have applied the change" in done.stderr
    begun = time.monotonic()
    assert not look(fleet, proxy, code=5)["good"] and time.monotonic() - begun < 45


@pytest.mark.timeout(120)
def test_unseen_host_whose_object_is_too_large_to_be_read_is_alone_in_that(fleet):
    """Redis takes objects that no host reads; the other 63 are read all the same, and the object is named."""
    store = fleet.store(Redis)
    hosts = started_knowing(fleet, 2)
    wait_good(fleet, hosts)
    first, last = sorted(hosts, key=lambda host: announcements.part_of(host.name))
    key = announcements.object_of(fleet.secret, announcements.part_of(first.name))
    assert store.put(key, bytes(10 << 20))
    what = f"{key}: it announces an object of {10 << 20} bytes, which is too large to be a ring; delete it"
    text = lib.run("fleet", "--config", config(fleet), code=1).stdout
    assert f"{store.url}: 1 of 64 objects with announcements cannot be used, so hosts may be missing: {what}\n" in text
    assert "silent" not in text and last.name in text and "all agree" not in text
    done = waits(fleet, last, "rotate", code=None)
    assert done.returncode in (5, 6) and what in done.stderr and "so it is unknown whether all hosts" in done.stderr
    # Its host says so itself, once, and its look goes on with the others.
    wait_for(lambda: f"{store.url}: refuses this host's announcement: {what}; " in first.log(), first.log, 30)
    looked_again(first)
    assert known(first) >= {last.name}
    assert agree(hosts) and "silent" not in first.log() + last.log()
    store.ask("DEL", key)
    wait_for(lambda: look(fleet)["good"], lambda: f"{look(fleet)}{first.log()}", 60, 0.5)
    assert first.log().count("refuses this host's announcement") <= 2  # each process once


@pytest.mark.parametrize("loses", ["nothing", "everything"])
@pytest.mark.timeout(120)
def test_unseen_httpd_with_another_ring_has_not_loaded_that_of_its_host(fleet, loses):
    """httpd has keys of its own, in another file: its generation may be greater.  So it is for a moment where ring and
    store were lost and httpd has the old one."""
    store, port = fleet.store(), free_port()
    host = fleet.host(interval="1h", lifetime="18h", options=["--httpd", f"http://localhost:{port}/stek-status"])
    good = host.web.server
    if loses == "nothing":
        other = host.ring_path.with_name("other.ring")
        lib.run("--ring", other, "new")
        host.web.server = [f"StekRing default interval=1h lifetime=18h poll=1s generate=off file={other}", "StekBinding off"]
    host.web.vhosts.append(Vhost("status.test", port=port, tls=False,
                                 lines=['<Location "/stek-status">', "SetHandler stek-status", "</Location>"]))
    host.start()
    wait_for(lambda: states(fleet), "the host", 20)
    for _ in range(5):
        lib.run("--ring", host.ring_path if loses == "everything" else other, "rotate")
    if loses == "nothing":
        # To the number and the second it looks as if it were the host's.
        ring = host.ring()
        ring.keys, ring.generation = [ringfile.make_key()], ring.generation + 20
        other.write_bytes(ring.seal(ringfile.read_secrets(other.with_suffix(".secret"))[0]))
        wait_for(lambda: (look(fleet)["hosts"][0]["httpd_generation"], states(fleet)) == (0, {host.name: "lags"}),
                 lambda: f"{look(fleet)}", 40, 0.5)
        done = waits(fleet, host, "rotate", code=6, wait="8s")
        assert f"{host.name}: has not applied the change: its httpd has not loaded the ring" in done.stderr
        wait_for(lambda: states(fleet) == {host.name: "lags"}, lambda: f"{look(fleet)}", 40, 0.5)
        assert "its httpd has not loaded its ring" in lib.run("fleet", "--config", config(fleet), code=1).stdout
        host.web.server = good
        host.web.write_conf()
        host.web.graceful()
    else:
        wait_for(lambda: (look(fleet)["hosts"][0]["httpd_generation"] or 0) >= 6,
                 lambda: f"{look(fleet)}", 20, 0.3)
        host.stop_sync()
        store.flush()
        host.ring_path.unlink()
        host.start(web=False)
        wait_for(lambda: host.ring_path.exists() and host.ring().generation < 6, host.log, 20)
    assert "1 host has applied the change" in waits(fleet, host, "rotate", code=0, wait="30s").stdout
    wait_for(lambda: states(fleet) == {host.name: "good"}, lambda: f"{look(fleet)}{host.log()}", 30, 0.3)
    assert look(fleet)["hosts"][0]["httpd_generation"] >= host.ring().generation


@pytest.mark.timeout(60)
def test_unseen_lines_that_say_nothing_do_no_harm(fleet):
    rng = seeded_rng()
    fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    path = host.ring_path.with_name(host.ring_path.name + ".sync")
    good = path.read_text()
    for _ in range(20):
        lines = good.splitlines()
        for _ in range(rng.randrange(1, 4)):
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(
                ["", " ", "   ", "7", "7 ", " x", "7 host://", "7 floor://", "- - - -", "99999999999999999999 x 1 1"]))
        path.write_text("\n".join(lines) + "\n")
        host.once()
        assert len(json.loads(lib.run(*host.arguments("--status", "--json")).stdout)["stores"]) == 1, lines


@pytest.mark.timeout(60)
def test_unseen_hosts_are_not_kept_in_a_file_of_others_and_that_is_said(fleet):
    """So --wait would not miss them: once, not in every cycle."""
    fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    path = host.ring_path.with_name(host.ring_path.name + ".sync")
    path.write_bytes(b"\0\xff of somebody else\n")
    host.start(web=False)
    wait_for(lambda: f"{path}: " in host.log(), host.log, 20)
    line, = [line for line in host.log().splitlines() if str(path) in line]
    assert "so stekctl did not change it" in line and path.read_bytes().startswith(b"\0")
    path.unlink()
    wait_for(lambda: known(host) == {host.name}, host.log, 20)
    assert host.log().count(f"{path}: ") == 1
