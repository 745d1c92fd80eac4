# SPDX-License-Identifier: Apache-2.0
"""Stores that lie, roll back or answer from the past: what one says keeps no key and no revocation from the file
ring or from the other stores; and a host's floor outlives its runtime directory."""
import json
import os
import shutil
import time

import pytest

import fleet as lib
import ringfile
from fleet import DAY, Memcached, Redis, agree, object_name, sealing_secrets
from httpd import wait_for
from liar import Liar

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
        wait_for(lambda: "takes no write: it says every time that another host wrote first" in host.log(), host.log, 20)
        line, = [line for line in host.log().splitlines() if "takes no write" in line]
        assert f":{liar.url.rpartition(':')[2]}: " in line
    shown = {entry["store"].rpartition(":")[2]: entry for entry in status(hosts[0], code=1)["stores"]}
    assert shown[liar.url.rpartition(":")[2]]["cycles_without_write"] >= 3
    assert shown[store.url.rpartition(":")[2]]["cycles_without_write"] == 0


@pytest.mark.timeout(60)
def test_liar_alone_hosts_make_their_own_keys(fleet, liar):
    hosts = [fleet.host(liar, **HOURLY) for _ in range(2)]
    for host in hosts:
        assert "another host" not in host.once(code=5).stderr
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


# ---- the floor ----

def with_floor(fleet, **options):
    host = fleet.host(**{**HOURLY, **options})
    host.floor = host.root / "state" / "default.floor"
    host.floor.parent.mkdir(mode=0o750)
    host.options += ["--floor", host.floor]
    return host


def reboot(host):
    """What a reboot leaves of /run: nothing."""
    directory = host.ring_path.parent
    shutil.rmtree(directory)
    directory.mkdir(mode=0o750)


def revoke(host, name=None):
    lib.run("--ring", host.ring_path, "revoke", name.hex()[:8] if name else "--all")


@pytest.mark.parametrize("all_keys", [True, False])
def test_floor_store_rolled_back_and_host_rebooted_revoked_keys_stay_dead(fleet, kind, all_keys):
    store = fleet.store(kind)
    host = with_floor(fleet)
    host.once()
    old, stolen = store.get(object_name(fleet.secret)), host.ring().current(time.time()).name
    revoke(host, None if all_keys else stolen)
    host.once()
    assert stolen not in host.names()
    reboot(host)
    store.put(object_name(fleet.secret), old)
    done = host.once()
    assert "older than this host's floor, so it was rolled back" in done.stderr, done.stderr
    assert stolen not in host.names() and host.ring().current(time.time())
    assert stolen not in {key.name for key in store.ring(fleet.secret).keys}, "not healed"
    assert host.once().stderr == ""
    # A host that comes later, without a floor, gets what is healed.
    other = fleet.host(**HOURLY)
    other.once()
    assert other.ring().keys == host.ring().keys


def test_floor_without_one_the_store_is_believed_and_that_is_said(fleet):
    """What the floor is for: without it the same history brings the key back."""
    store = fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    old, stolen = store.get(object_name(fleet.secret)), host.ring().current(time.time()).name
    revoke(host)
    host.once()
    reboot(host)
    store.put(object_name(fleet.secret), old)
    host.start(web=False)
    wait_for(host.ring_path.exists, "the ring")
    assert stolen in host.names()
    assert "no --floor: after a reboot, this host learns of earlier revocations only from" in host.log()


def test_floor_holds_nothing_secret_and_cannot_be_lowered(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    revoke(host)
    host.once()
    floor = ringfile.Ring.read(host.floor, sealing_secrets(fleet.secret, today()))
    assert floor.epoch == host.ring().epoch > 1_700_000_000 and not floor.keys
    good = host.floor.read_bytes()
    for at in (20, 27, 50, 90, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 1
        host.floor.write_bytes(bad)
        text = host.once(code=None).stderr
        assert "is refused" in text and str(host.floor) in text
        assert ringfile.Ring.read(host.floor, sealing_secrets(fleet.secret, today())).epoch == floor.epoch
        assert list(host.floor.parent.glob("*.refused-*")), "not kept for a look"


@pytest.mark.parametrize("what", ["directory", "foreign", "symlink", "open"])
def test_floor_path_that_is_not_ours_is_left_alone(fleet, what):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    revoke(host)
    host.once()
    aside = host.floor.with_name("aside")
    host.floor.rename(aside)
    if what == "directory":
        host.floor.mkdir()
    elif what == "foreign":
        host.floor.write_text("-----BEGIN PRIVATE KEY-----\n")
    elif what == "symlink":
        (host.floor.parent / "key").write_text("a key\n")
        host.floor.symlink_to(host.floor.parent / "key")
    else:
        aside.rename(host.floor)
        host.floor.chmod(0o666)
    before = sorted((path.name, path.lstat().st_mode, path.is_file() and path.read_bytes())
                    for path in host.floor.parent.iterdir())
    lib.run("--ring", host.ring_path, "rotate")
    revoke(host)
    text = host.once(code=None).stderr
    assert str(host.floor) in text, text
    assert before == sorted((path.name, path.lstat().st_mode, path.is_file() and path.read_bytes())
                            for path in host.floor.parent.iterdir())
    assert host.ring().current(time.time())


def test_floor_that_cannot_be_written_is_said_and_the_revocation_still_goes_out(fleet):
    store = fleet.store()
    host = with_floor(fleet)
    host.once()
    shutil.rmtree(host.floor.parent)
    stolen = host.names()
    revoke(host)
    text = host.once().stderr
    assert str(host.floor) in text and "could not be written; revocations from now on may be forgotten" in text
    assert not stolen & {key.name for key in store.ring(fleet.secret).keys}


def test_floor_opens_after_days_off_and_after_a_new_first_secret(fleet):
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    store = fleet.store()
    host = with_floor(fleet)
    host.once()
    old, stolen = store.get(object_name(fleet.secret)), host.names()
    revoke(host)
    host.once()
    for day in (1, 2, 9):
        assert str(host.floor) not in host.once(clock=day * DAY, code=None).stderr
    epoch = host.ring().epoch
    reboot(host)
    store.flush()
    host.once(clock=15 * DAY)
    assert host.ring().epoch == epoch and not stolen & host.names()
    lib.run("--secret", host.fleet_secret, "secret", "roll")
    host.once(clock=15 * DAY)
    lib.run("--secret", host.fleet_secret, "secret", "retire")
    reboot(host)
    store.flush()
    assert str(host.floor) not in host.once(clock=15 * DAY).stderr
    assert host.ring().epoch == epoch
    store.put(object_name(fleet.secret), old)
    host.once(clock=15 * DAY, code=None)
    assert not stolen & host.names()


def test_floor_of_another_fleet_secret_is_set_aside_by_name(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    host.floor.unlink(missing_ok=True)
    revoke(host)
    host.once()
    shutil.copy(fleet.new_secret("new.secret"), host.fleet_secret)
    text = host.once().stderr
    assert "sealed under another fleet secret; moved to" in text and str(host.floor) in text
    assert host.ring().current(time.time()) and host.floor.exists()


def test_floor_state_directory_of_systemd_is_the_default(fleet):
    fleet.store()
    host = fleet.host(**HOURLY)
    state = host.root / "state"
    state.mkdir(mode=0o750)
    host.once(env={"STATE_DIRECTORY": str(state)})
    assert (state / "default.floor").exists()
    shown = json.loads(lib.run(*host.arguments("--status", "--json"),
                               env={"STATE_DIRECTORY": str(state)}).stdout)
    assert shown["floor"]["path"] == str(state / "default.floor") and shown["floor"]["readable"]
    assert lib.run(*host.arguments("--floor", "none", "--status"), env={"STATE_DIRECTORY": str(state)}).stdout \
        .count("no floor: ") == 1


# ---- epochs and clocks ----

def poison(fleet, store, **fields):
    """Whoever has the fleet secret writes what he wants."""
    ring = ringfile.Ring([ringfile.make_key()], **fields)
    store.put(object_name(fleet.secret), ring.seal(sealing_secrets(fleet.secret, today())[0]))


@pytest.mark.parametrize("epoch", [2 ** 64 - 1, 2 ** 63, int(time.time()) + 2 * DAY])
def test_epoch_that_no_clock_can_have_come_to_is_refused(fleet, kind, epoch):
    store = fleet.store(kind)
    host = fleet.host(**HOURLY)
    host.once()
    before = host.names()
    poison(fleet, store, epoch=epoch, written_at=int(time.time()))
    assert "more than a day ahead of this host's clock" in host.once(code=5).stderr
    assert host.names() == before and host.ring().epoch == 0
    assert {key.name for key in store.ring(fleet.secret).keys} == before, "not healed"
    revoke(host)
    host.once()
    assert not before & host.names() and host.ring().epoch <= time.time() + 1


def test_epoch_of_the_present_at_a_host_whose_clock_is_days_behind(fleet):
    """It cannot tell its own wrong clock from a poisoned epoch: it leaves the object alone and says so."""
    store = fleet.store()
    good = fleet.host(**HOURLY)
    good.once()
    revoke(good)
    good.once()
    late, before = fleet.host(**HOURLY), store.get(object_name(fleet.secret))
    assert "ahead of this host's clock; check the clock" in late.once(clock=-3 * DAY, code=5).stderr
    assert store.get(object_name(fleet.secret)) == before
    late.once(code=None)
    assert late.ring().keys == good.ring().keys


def test_epoch_of_the_later_of_two_revocations_ends_what_the_first_made(fleet):
    """A revokes, and its new key is stolen; B, cut off, revokes a little later."""
    store = fleet.store()
    a, b = fleet.host(**HOURLY), fleet.host(**HOURLY)
    a.once()
    b.once()
    revoke(a)
    stolen = a.names()
    time.sleep(1.1)
    revoke(b)
    for host in (a, b, a, b):
        host.once()
    assert a.ring().keys == b.ring().keys and not stolen & a.names()
    assert not stolen & {key.name for key in store.ring(fleet.secret).keys}


@pytest.mark.timeout(60)
def test_keys_of_a_clock_ten_years_ahead_are_left_out(fleet):
    store = fleet.store()
    host, glitch = fleet.host(**HOURLY), fleet.host(**HOURLY)
    host.once()
    glitch.once(clock=3650 * DAY, code=None)
    text = host.once(code=None).stderr
    assert "left out" in text and "check the clocks" in text
    latest = max(key.not_before for key in host.ring().keys)
    assert latest < time.time() + DAY
    host.once()
    assert all(key.not_before < time.time() + DAY for key in store.ring(fleet.secret).keys)
    assert host.once().stderr == "" and os.path.exists(glitch.ring_path)
