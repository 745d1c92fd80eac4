# SPDX-License-Identifier: Apache-2.0
"""The floor: what a host remembers of revocations on disk, so that a reboot and stores that were rolled back bring
no revoked key back."""
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

import fleet as lib
import ringfile
from checks import VERSIONS
from fleet import DAY, Memcached, Redis, object_name, sealing_secrets
from httpd import wait_for

FLOOR = 0x53544b464c4f4f52  # the mark, in place of a generation
HOURLY = {"web": False, "interval": "1h", "lifetime": "18h"}


@pytest.fixture(params=[Memcached, Redis], ids=["memcached", "redis"])
def kind(request):
    return request.param


@pytest.fixture(scope="session")
def crash_library(tmp_path_factory):
    made = tmp_path_factory.mktemp("crash") / "crash.so"
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-Wall", "-Werror",
                    "-O1", "-o", made, Path(__file__).parent / "crash.c", "-ldl"], check=True)
    return made


def today():
    return int(time.time()) // DAY


def status(host, code=0):
    return json.loads(lib.run(*host.arguments("--status", "--json"), code=code).stdout)


def shown(host, code=0):
    return lib.run(*host.arguments("--status"), code=code).stdout


def floor_of(host):
    return ringfile.Ring.read(host.floor, sealing_secrets(host.fleet_secret, today()))


def floor_has(host, epoch):
    """Also while sync writes another in place of one that is gone or does not open."""
    try:
        return floor_of(host).epoch == epoch
    except (FileNotFoundError, AssertionError):
        return False


def with_floor(fleet, **options):
    host = fleet.host(**{**HOURLY, **options})
    host.floor = host.root / "state" / "default.floor"
    host.floor.parent.mkdir(mode=0o750)
    host.options += ["--floor", host.floor]
    return host


@pytest.mark.parametrize("all_keys", [True, False])
def test_floor_store_rolled_back_and_host_rebooted_revoked_keys_stay_dead(fleet, kind, all_keys):
    store = fleet.store(kind)
    host = with_floor(fleet)
    host.once()
    old, stolen = store.get(object_name(fleet.secret)), host.ring().current(time.time()).name
    lib.revoke(host, None if all_keys else stolen)
    host.once()
    assert stolen not in host.names()
    lib.reboot(host)
    store.put(object_name(fleet.secret), old)
    done = host.once()
    assert "its ring is older than the last revocation: it was rolled back or serves old data" in done.stderr, done.stderr
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
    lib.revoke(host)
    host.once()
    lib.reboot(host)
    store.put(object_name(fleet.secret), old)
    host.start(web=False)
    wait_for(host.ring_path.exists, "the ring")
    assert stolen in host.names()
    assert "no --floor: after a reboot, this host learns of earlier revocations only from" in host.log()


def test_floor_holds_nothing_secret_and_cannot_be_lowered(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    lib.revoke(host)
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


@pytest.mark.parametrize("what", ["directory", "foreign", "symlink", "open", "owner"])
def test_floor_path_that_is_not_ours_is_left_alone(fleet, what):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    lib.revoke(host)
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
        if what == "open":
            host.floor.chmod(0o666)
        else:
            shutil.chown(host.floor, "nobody")
    before = sorted((path.name, path.lstat().st_mode, path.is_file() and path.read_bytes())
                    for path in host.floor.parent.iterdir())
    lib.run("--ring", host.ring_path, "rotate")
    lib.revoke(host)
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
    lib.revoke(host)
    text = host.once().stderr
    assert str(host.floor) in text and "could not be written; revocations from now on may be forgotten" in text
    assert not stolen & {key.name for key in store.ring(fleet.secret).keys}


def test_floor_opens_after_days_off_and_after_a_new_first_secret(fleet):
    fleet.secret = fleet.new_secret("ratchet.secret", "--ratchet")
    store = fleet.store()
    host = with_floor(fleet)
    host.once()
    old, stolen = store.get(object_name(fleet.secret)), host.names()
    lib.revoke(host)
    host.once()
    for day in (1, 2, 9):
        assert str(host.floor) not in host.once(clock=day * DAY, code=None).stderr
    epoch = host.ring().epoch
    lib.reboot(host)
    store.flush()
    host.once(clock=15 * DAY)
    assert host.ring().epoch == epoch and not stolen & host.names()
    lib.run("--secret", host.fleet_secret, "secret", "roll")
    host.once(clock=15 * DAY)
    lib.run("--secret", host.fleet_secret, "secret", "retire")
    lib.reboot(host)
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
    lib.revoke(host)
    host.once()
    shutil.copy(fleet.new_secret("new.secret"), host.fleet_secret)
    text = host.once().stderr
    assert "sealed under another fleet secret; moved to" in text and str(host.floor) in text
    assert host.ring().current(time.time()) and host.floor.exists()


@pytest.mark.parametrize("how", ["restart", "reload", "old secret kept"])
def test_floor_set_aside_counts_again_when_its_fleet_secret_is_back(fleet, how):
    """A new fleet secret, by mistake without the old one; then the old one again, alone or as second."""
    store = fleet.store()
    host = with_floor(fleet)
    host.once()
    old, stolen, keep = store.get(object_name(fleet.secret)), host.names(), host.fleet_secret.read_text()
    lib.revoke(host)
    host.once()
    epoch = host.ring().epoch
    shutil.copy(fleet.new_secret("new.secret"), host.fleet_secret)
    lib.reboot(host)
    assert "sealed under another fleet secret; moved to" in host.once().stderr
    assert host.ring().epoch < epoch
    lib.reboot(host)
    store.put(object_name(fleet.secret), old)
    if how == "reload":
        host.start(web=False)
        wait_for(host.ring_path.exists, "the ring")
    host.fleet_secret.write_text(keep if how != "old secret kept" else keep + "".join(
        line for line in (fleet.dir / "new.secret").read_text().splitlines(True) if line.startswith("stek-secret-v1")))
    if how == "reload":
        host.hup()
    else:
        host.start(web=False)
    wait_for(lambda: "holds revocations that the floor lacks; they are taken in again" in host.log(), host.log, 20)
    wait_for(lambda: host.ring_path.exists() and host.ring().epoch == epoch and floor_has(host, epoch),
             "the revocation", 20)
    assert not stolen & host.names()
    assert host.stop_sync() == 0
    assert "taken in again" not in host.once().stderr


def test_floor_set_aside_with_an_epoch_that_is_refused_stays_away(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    aside = host.floor.with_name(host.floor.name + ".refused-1")
    aside.write_bytes(ringfile.Ring(epoch=int(time.time()) + 3 * DAY).seal(
        sealing_secrets(fleet.secret, today())[0]))
    assert host.once().stderr == "" and floor_of(host).epoch == 0


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


@pytest.mark.parametrize("what", ["ring", "secret", "fleet secret", "password", "hard link", "symbolic link"])
def test_floor_path_of_another_file_of_the_host_is_refused(fleet, what):
    fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    password = host.root / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    of = {"ring": host.ring_path, "secret": host.secret_path, "fleet secret": host.fleet_secret,
          "password": password}.get(what, host.ring_path)
    floor = host.root / "other" / ".." / of.relative_to(host.root)
    (host.root / "other").mkdir()
    if "link" in what:
        floor = host.root / "link"
        floor.symlink_to(of) if what == "symbolic link" else floor.hardlink_to(of)
    before = of.read_bytes()
    text = host.once(code=2, args=["--floor", floor, *(["--password", password] if what == "password" else [])]).stderr
    assert "are the same file: give the floor its own" in text and of.read_bytes() == before


def test_floor_path_of_somebodys_ring_leaves_that_alone(fleet):
    """Sealed under another secret, so nothing but the mark in its header tells a floor from a ring."""
    fleet.store()
    other = fleet.host(**HOURLY)
    other.once()
    before = other.ring_path.read_bytes()
    host = fleet.host(options=["--floor", other.ring_path], **HOURLY)
    for text in (host.once(code=None).stderr, host.once(code=None).stderr):
        assert f"{other.ring_path}: is not used: a reboot may forget revocations" in text
        assert "is a ring, not a floor" in text
    assert other.ring_path.read_bytes() == before and host.ring().current(time.time())
    assert not list(other.ring_path.parent.glob("*.refused-*"))


def test_floor_is_not_taken_for_a_ring(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    before = host.floor.read_bytes()
    taken = fleet.host(**HOURLY)
    taken.ring_path = host.floor
    text = taken.once(code=None).stderr
    assert "is a fleet's floor, not a ring" in text and host.floor.read_bytes() == before
    assert list(host.floor.parent.iterdir()) == [host.floor]


def test_floor_without_the_mark_is_read_and_marked(fleet):
    """As the first floors were."""
    store = fleet.store()
    host = with_floor(fleet)
    host.once()
    old, stolen = store.get(object_name(fleet.secret)), host.names()
    epoch = int(time.time())
    host.floor.write_bytes(ringfile.Ring(epoch=epoch, generation=0).seal(sealing_secrets(fleet.secret, today())[0]))
    lib.reboot(host)
    store.put(object_name(fleet.secret), old)
    assert str(host.floor) not in host.once().stderr
    assert not stolen & host.names() and host.ring().epoch == epoch and host.ring().generation < 1000
    lib.revoke(host)
    host.once()
    assert floor_of(host).generation == FLOOR and floor_of(host).epoch > epoch


def test_floor_of_another_service_that_runs_is_left_to_it(fleet):
    """Two services, one --floor: the second does without, says why, and takes it as soon as the first has gone."""
    store = fleet.store()
    first = with_floor(fleet)
    second = fleet.host(secret=fleet.new_secret("second.secret"), options=["--floor", first.floor], **HOURLY)
    first.start(web=False)
    wait_for(first.floor.exists, "the floor")
    wait_for(lambda: store.get(object_name(fleet.secret)), "the object")
    old, stolen = store.get(object_name(fleet.secret)), first.names()
    second.start(web=False)
    wait_for(lambda: f"{first.floor}: is not used: a reboot may" in second.log(), second.log, 20)
    assert "another sync, which is running, uses it" in second.log()
    wait_for(second.ring_path.exists, "the second ring")
    lib.revoke(second)
    lib.revoke(first)
    wait_for(lambda: floor_of(first).epoch == first.ring().epoch > 0, "the revocation in the floor", 20)
    assert "floor" not in first.log() and second.log().count("is not used") == 1
    first.stop_sync()
    wait_for(lambda: f"{first.floor}: is written again" in second.log(), second.log, 20)
    second.floor = first.floor
    assert floor_of(second).epoch == second.ring().epoch > 0
    # And the first has its own back.
    second.stop_sync()
    lib.reboot(first)
    store.put(object_name(fleet.secret), old)
    assert "taken in again" in first.once(code=None).stderr
    assert not stolen & first.names()


# ---- tickets ----

def snapshot(store):
    """What the store has now, as a maker of it: Redis from its own snapshot on disk, memcached as a liar would."""
    if isinstance(store, Redis):
        store.ask("SAVE")
        shutil.copy(store.dir / "dump.rdb", store.dir / "kept.rdb")

        def restore(_name):
            store.kill()
            shutil.copy(store.dir / "kept.rdb", store.dir / "dump.rdb")
            store.start()
        return restore
    kept = {}

    def put(name):
        store.put(name, kept[name])
    put.kept = kept
    return put


@pytest.mark.timeout(90)
@pytest.mark.parametrize("has_floor", [True, False])
def test_floor_ticket_of_a_revoked_key_after_reboot_and_rollback(fleet, kind, has_floor):
    """Hosts and store come back together, the store as it was before the revocation.  Only with a floor does a
    ticket from before stay dead."""
    store = fleet.store(kind)
    host = with_floor(fleet, web=True, interval="1h", lifetime="2h")
    if not has_floor:
        host.options = []
    host.start()
    tickets = [(version, host.get(tls=version).session) for version in VERSIONS]
    assert all(host.get(tls=version, session=session).resumed for version, session in tickets)
    name, stolen = object_name(fleet.secret), host.names()
    restore = snapshot(store)
    if isinstance(store, Memcached):
        restore.kept[name] = store.get(name)
    lib.revoke(host)
    wait_for(lambda: not any(host.get(tls=version, session=session).resumed for version, session in tickets),
             "the tickets to end", 10, 0.1)
    wait_for(lambda: store.ring(fleet.secret).epoch == host.ring().epoch, "the revocation in the store", 20, 0.1)
    assert not has_floor or floor_of(host).epoch == host.ring().epoch
    host.stop_sync()
    assert host.web.stop()
    lib.reboot(host)
    restore(name)
    assert stolen & {key.name for key in store.ring(fleet.secret).keys}, "the store was not rolled back"
    host.start()
    resumed = [host.get(tls=version, session=session).resumed for version, session in tickets]
    if has_floor:
        assert not any(resumed) and "older than the last revocation" in host.log()
        wait_for(lambda: not stolen & {key.name for key in store.ring(fleet.secret).keys}, "the store to be healed", 20)
        assert host.get(tls="1.3").session.name not in stolen
    else:
        assert all(resumed) and "no --floor" in host.log(), "what the floor is for"


# ---- stores and rings that lose a revocation ----

@pytest.mark.parametrize("all_keys", [True, False])
def test_floor_store_rolled_back_while_sync_runs_is_named_once(fleet, kind, all_keys):
    """Also without a floor: sync knows what the store had.  One that never had the revocation is not accused."""
    store, late = fleet.store(kind), fleet.store(kind)
    name = object_name(fleet.secret)
    host = fleet.host(fleet.proxy(store), (proxy := fleet.proxy(late)), every="1s", **HOURLY).start(web=False)
    wait_for(lambda: store.get(name) and late.get(name) and host.ring_path.exists(), "both stores and the ring")
    old, stolen = store.get(name), host.ring().current(time.time()).name
    proxy.set("refuse")
    lib.revoke(host, None if all_keys else stolen)
    wait_for(lambda: stolen not in {key.name for key in store.ring(fleet.secret).keys}, "the revocation", 20)
    proxy.set("pass")
    wait_for(lambda: stolen not in {key.name for key in late.ring(fleet.secret).keys}, "the revocation there", 20)
    assert "older than" not in host.log() and "old copy" not in host.log()
    store.put(name, old)
    wait_for(lambda: "recovered after" in host.log().partition("older than the last revocation")[2], host.log, 20)
    lines = [line for line in host.log().splitlines() if "older than the last revocation" in line]
    assert len(lines) == 1 and fleet.proxies[0].url in lines[0] and "old copy" not in host.log()
    assert stolen not in host.names() | {key.name for key in store.ring(fleet.secret).keys}


def test_floor_old_file_ring_is_named_and_replaced(fleet):
    """A runtime directory on disk that came back from a backup, with its secret."""
    store = fleet.store()
    host = with_floor(fleet)
    host.once()
    old, stolen = host.ring_path.read_bytes(), host.names()
    lib.revoke(host)
    host.once()
    store.kill()
    host.ring_path.write_bytes(old)
    text = host.once(code=5).stderr
    assert f"{host.ring_path}: is an old copy, which lacks revocations that are recorded in {host.floor}; " in text, text
    assert not stolen & host.names() and host.ring().current(time.time())
    assert "old copy" not in host.once(code=5).stderr


# ---- a reboot right after the command ----

@pytest.mark.parametrize("all_keys", [True, False])
@pytest.mark.parametrize("slow", [False, True])
def test_floor_reboot_right_after_revoke_forgets_nothing(fleet, kind, all_keys, slow):
    """When the command has ended, the floor has the revocation, however long a cycle is and however slow the
    stores are; sync does not wait for its next cycle."""
    store = fleet.store(kind)
    proxy = fleet.proxy(store)
    host = with_floor(fleet, every="20min", timeout="3s")
    host.urls = [proxy.url]
    host.start(web=False)
    wait_for(lambda: host.ring_path.exists() and store.get(object_name(fleet.secret)), "ring and store")
    old, stolen = store.get(object_name(fleet.secret)), host.ring().current(time.time()).name
    if slow:
        proxy.set("drop")
    done = lib.run("--ring", host.ring_path, "revoke", "--all" if all_keys else stolen.hex())
    assert f"{host.floor}: has the revocation, so it outlives a reboot" in done.stdout and not done.stderr
    host.process.kill()
    host.process.wait()
    host.process = None
    lib.reboot(host)
    proxy.set("pass")
    store.put(object_name(fleet.secret), old)
    host.once()
    assert stolen not in host.names() and host.ring().current(time.time())


def test_floor_revocation_goes_to_the_stores_at_once(fleet, kind):
    store = fleet.store(kind)
    host = with_floor(fleet, every="20min").start(web=False)
    wait_for(lambda: host.ring_path.exists() and store.get(object_name(fleet.secret)), "ring and store")
    lib.revoke(host)
    wait_for(lambda: store.ring(fleet.secret).epoch == host.ring().epoch > 0, "the revocation in the store", 20)


def test_floor_revoke_without_a_running_sync_promises_nothing(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    began = time.monotonic()
    done = lib.run("--ring", host.ring_path, "revoke", "--all")
    assert f"{host.floor}: sync has not picked up the revocation yet, so a reboot of this host would forget it" \
        in done.stderr and "outlives" not in done.stdout and time.monotonic() - began < 3
    assert "floor" not in json.loads(lib.run("--json", "--ring", host.ring_path, "revoke", "--all").stdout)
    host.once()
    assert floor_of(host).epoch == host.ring().epoch
    # Nothing is said where nothing is kept.
    other = fleet.host(**HOURLY)
    other.once()
    assert lib.run("--ring", other.ring_path, "revoke", "--all").stderr == ""


def test_floor_revoke_after_a_clock_that_was_ahead_promises_nothing(fleet):
    """The ring was written ten minutes ahead of the time at which it is revoked: the clock was set back."""
    fleet.store()
    host = with_floor(fleet)
    host.once()
    ahead = time.time() + 600
    os.utime(host.ring_path, (ahead, ahead))
    host.once()
    done = lib.run("--ring", host.ring_path, "revoke", "--all")
    assert "sync has not picked up the revocation yet" in done.stderr and "outlives" not in done.stdout
    host.start(web=False)
    wait_for(lambda: floor_of(host).epoch == host.ring().epoch > 0, "the revocation in the floor", 20)
    os.utime(host.ring_path, (ahead, ahead))
    time.sleep(1.5)  # sync looks at the ring every second
    done = lib.run("--ring", host.ring_path, "revoke", "--all")
    assert "has the revocation, so it outlives a reboot" in done.stdout and not done.stderr
    assert floor_of(host).epoch == host.ring().epoch


# ---- the file ----

@pytest.mark.parametrize("left", ["nothing", "half", "temporary"])
def test_floor_half_written_is_refused_and_written_again(fleet, left):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    lib.revoke(host)
    host.once()
    epoch, good = host.ring().epoch, host.floor.read_bytes()
    if left == "temporary":
        host.floor.with_name(host.floor.name + ".tmp-12345").write_bytes(good[:40])
    else:
        host.floor.write_bytes(good[:len(good) // 2] if left == "half" else b"")
    text = host.once().stderr
    assert (f"{host.floor}: is refused" in text) == (left != "temporary"), text
    assert left == "temporary" or "if keys were revoked lately, revoke them again" in text
    assert floor_of(host).epoch == epoch
    assert host.once().stderr == ""


def test_floor_that_somebody_removed_is_written_again(fleet):
    fleet.store()
    host = with_floor(fleet).start(web=False)
    wait_for(host.floor.exists, "the floor")
    host.floor.unlink()
    wait_for(host.floor.exists, "the floor again", 20)
    assert "floor" not in host.log()


@pytest.mark.parametrize("what", ["older", "damaged", "another fleet's", "foreign", "open"])
def test_floor_changed_while_sync_runs_is_named_and_mended(fleet, what):
    """What sync has in memory is on disk again within a cycle, or as soon as an administrator has mended it; so a
    reboot and a rollback bring nothing back."""
    store = fleet.store()
    host = with_floor(fleet)
    host.once()
    old, stolen, older = store.get(object_name(fleet.secret)), host.names(), host.floor.read_bytes()
    host.start(web=False)
    lib.revoke(host)
    wait_for(lambda: floor_of(host).epoch == host.ring().epoch > 0, "the revocation in the floor", 20)
    good = host.floor.read_bytes()
    before = host.log()
    if what == "older":
        host.floor.write_bytes(older)
    elif what == "damaged":
        host.floor.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    elif what == "another fleet's":
        host.floor.write_bytes(ringfile.Ring(generation=FLOOR).seal(os.urandom(32)))
    elif what == "foreign":
        host.floor.write_bytes(b"#!/bin/sh\n")
    else:
        host.floor.chmod(0o666)
    said = {"older": f"{host.floor}: lacks revocations that sync has written there",
            "damaged": "sync writes a new one from what it has in memory",
            "another fleet's": "sealed under another fleet secret; moved to"}.get(what, f"{host.floor}: is not used")
    wait_for(lambda: said in host.log(), host.log, 20)
    if what == "foreign":
        assert host.floor.read_bytes() == b"#!/bin/sh\n"
        host.floor.unlink()
    elif what == "open":
        host.floor.chmod(0o640)
    wait_for(lambda: what not in ("foreign", "open") or f"{host.floor}: is written again" in host.log(), host.log, 20)
    wait_for(lambda: floor_has(host, host.ring().epoch), "the floor again", 20)
    time.sleep(2.2)  # two cycles
    assert host.log()[len(before):].count(said) == 1, host.log()
    host.stop_sync()
    lib.reboot(host)
    store.put(object_name(fleet.secret), old)
    host.once()
    assert not stolen & host.names()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_floor_disk_full_is_named_and_the_revocation_goes_out(fleet, small_disk):
    store = fleet.store()
    host = with_floor(fleet)
    host.floor.parent.rmdir()
    small_disk(host.floor.parent)
    host.start(web=False)
    wait_for(host.floor.exists, "the floor")
    wait_for(host.ring_path.exists, "the ring")
    stolen, before = host.names(), host.floor.read_bytes()
    with open(host.floor.parent / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
        while True:
            filler.write(bytes(1024))
    lib.revoke(host)
    said = f"{host.floor}: could not be written; revocations from now on may be forgotten at a reboot"
    wait_for(lambda: said in host.log(), host.log, 20)
    assert re.search(f"{host.floor}: .*[Nn]o space", host.log()), host.log()
    assert not stolen & host.names()
    wait_for(lambda: not stolen & {key.name for key in store.ring(fleet.secret).keys}, "the revocation", 20)
    assert host.floor.read_bytes() == before
    (host.floor.parent / "filler").unlink()
    wait_for(lambda: f"{host.floor}: is written again" in host.log(), host.log, 20)
    assert host.log().count(said) == 1 and floor_of(host).epoch == host.ring().epoch > 0


def test_floor_refused_is_shown_and_read_again_when_it_is_mended(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    lib.revoke(host)
    host.once()
    epoch = host.ring().epoch
    assert f"{host.floor}: floor: epoch {epoch}, 0 revoked keys, written " in shown(host)
    assert (floor := status(host)["floor"])["epoch"] == epoch and floor["why"] is None and floor["written_at"]
    host.floor.chmod(0o666)
    assert f"{host.floor}: floor refused: " in shown(host, code=1)
    floor = status(host, code=1)["floor"]
    assert not floor["readable"] and floor["why"]
    host.start(web=False)
    wait_for(lambda: f"{host.floor}: is not used: a reboot may forget revocations; fix this, and sync uses it again "
             "in the next cycle" in host.log(), host.log)
    time.sleep(2.5)  # cycles that must not repeat the line
    assert host.log().count("is not used") == 1
    host.hup()
    wait_for(lambda: host.log().count("is not used") == 2, "it again, after a reload", 20)
    host.floor.chmod(0o640)
    lib.revoke(host)
    wait_for(lambda: f"{host.floor}: is written again" in host.log(), host.log)
    wait_for(lambda: floor_of(host).epoch == host.ring().epoch > epoch, "the new epoch", 20)


def test_floor_alone_is_no_ring(fleet):
    fleet.store()
    host = with_floor(fleet)
    host.once()
    lib.revoke(host)
    host.once()
    host.ring_path.unlink()
    fleet.stores[0].flush()
    assert f"{host.ring_path}: no ring" in shown(host, code=1)


def test_floor_ahead_of_the_clock_is_named_in_one_line(fleet):
    """Somebody revoked all while this host's clock was ahead."""
    fleet.store()
    host = with_floor(fleet)
    host.once(clock=3 * DAY)
    lib.run("--ring", host.ring_path, "revoke", "--all", clock=3 * DAY)
    host.once(clock=3 * DAY)
    lines = [line for line in host.once(code=None).stderr.splitlines() if "epoch is more than a day ahead" in line]
    assert len(lines) == 1 and str(host.ring_path) in lines[0]
    assert "remove the ring, the secret and the floor" in lines[0]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("epoch_days, cycles", [(10, 3), (3, 30)], ids=["beyond-the-floor", "as-the-floor"])
def test_floor_ahead_of_the_clock_keeps_no_object_from_the_future(fleet, epoch_days, cycles):
    """The floor is from a day when this host's clock was ahead. If the object may be of that day, this clock may be the
    wrong one, and the host waits for longer. But only for longer."""
    store, name = fleet.store(Memcached), object_name(fleet.secret)
    host = with_floor(fleet, every="1s")
    host.once(clock=3 * DAY)
    key = host.ring().current(time.time() + 3 * DAY)
    lib.run("--ring", host.ring_path, "revoke", key.name.hex(), clock=3 * DAY)
    host.once(clock=3 * DAY)
    host.once()
    assert floor_of(host).written_at > time.time() + 2 * DAY
    later = int(time.time()) + epoch_days * DAY
    store.put(name, ringfile.Ring([ringfile.make_key()], epoch=later, written_at=later).seal(
        sealing_secrets(fleet.secret, today())[0]))
    begun = time.monotonic()
    host.start()
    wait_for(lambda: store.ring(fleet.secret).epoch == 0, host.log, 100)
    # The random part shortens a cycle by up to a fifth.
    assert time.monotonic() - begun > 0.8 * (cycles - 1), host.log()
    assert "ahead of this host's clock; check the clock" in host.log()
    assert {key.name for key in store.ring(fleet.secret).keys} == host.names()


# ---- crashes ----

@pytest.mark.timeout(90)
def test_floor_crash_at_any_step_a_revocation_in_the_ring_is_in_the_floor(fleet, crash_library):
    """A host that learns of a revocation is killed before its nth change of a file, then rebooted, and the store is
    rolled back: if its ring had the revocation, no revoked key returns."""
    store = fleet.store()
    name, host = object_name(fleet.secret), with_floor(fleet)
    other = fleet.host(**HOURLY)
    host.once()
    other.once()
    old, stolen = store.get(name), host.names()
    kept = {path: path.read_bytes() for path in (host.floor, host.ring_path, host.secret_path)}
    lib.revoke(other)
    other.once()
    new, epoch = store.get(name), other.ring().epoch
    reached, at, done = set(), 0, False
    while not done:
        at += 1
        for path, data in kept.items():
            path.write_bytes(data)
        store.put(name, new)
        done = host.once(code=None, env={"LD_PRELOAD": str(crash_library), "CRASH_AT": str(at)}).returncode == 0
        in_ring, in_floor = host.ring().epoch == epoch, floor_of(host).epoch == epoch
        assert in_floor or not in_ring, f"killed at step {at}: the ring has the revocation, the floor has not"
        reached.add((in_floor, in_ring))
        lib.reboot(host)
        store.put(name, old)
        text = host.once().stderr
        assert "refused:" not in text and "moved to" not in text, f"killed at step {at}: {text}"
        assert not in_floor or not stolen & host.names(), f"killed at step {at}"
        assert all(path.name.startswith(host.floor.name) for path in host.floor.parent.iterdir())
    for path in host.floor.parent.glob("*.tmp-*"):
        os.utime(path, (0, time.time() - 120))
    lib.revoke(host)
    host.once()
    assert list(host.floor.parent.iterdir()) == [host.floor], "what killed processes left"
    assert reached == {(False, False), (True, False), (True, True)} and at > 8
