# SPDX-License-Identifier: Apache-2.0
"""Bad rings, held locks, missing keys: handshakes and resumption go on, the log says why once, and
a repaired ring is picked up within `poll`.  One server has a ring per kind of fault, so that all go
wrong at once."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import ringfile
from checks import VERSIONS, fill, fixed_ring, issued_now, lines, newer
from handshakes import STATUS
from httpd import Vhost, wait_for
from memory import holding

SPARSE = 2 << 30


def weak_ring(ring):
    strong = newer(ring.keys[0])
    return replace(ring, keys=ring.keys + [replace(strong, aes=bytes(32))], generation=9)


def cut(data):
    return data[:len(data) // 2]


def longer(data):
    return data + b"\0"


def flipped(data):
    return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]


def later_version(data):
    return data[:8] + b"\0\3" + data[10:]


# kind -> how it comes about, given (server, name, ring, secret)
def _bytes(change):
    return lambda server, name, ring, secret: server.put_ring(change(ring, secret), name)


def _special(make):
    def act(server, name, ring, secret):
        path = server.ring_path(name)
        path.unlink()
        make(path)
    return act


def sparse(path):
    with open(path, "wb") as file:
        file.truncate(SPARSE)
    path.chmod(0o640)


def loop(path):
    path.symlink_to(path.name)


KINDS = {
    "empty": _bytes(lambda ring, secret: b""),
    "cut": _bytes(lambda ring, secret: cut(ring.seal(secret))),
    "longer": _bytes(lambda ring, secret: longer(ring.seal(secret))),
    "garbage": _bytes(lambda ring, secret: os.urandom(700)),
    "header": _bytes(lambda ring, secret: ring.seal(secret)[:88]),
    "bit": _bytes(lambda ring, secret: flipped(ring.seal(secret))),
    "version": _bytes(lambda ring, secret: later_version(ring.seal(secret))),
    "wrong-secret": _bytes(lambda ring, secret: ring.seal(os.urandom(32))),
    "weak-key": _bytes(lambda ring, secret: weak_ring(ring).seal(secret)),
    "bad-window": _bytes(lambda ring, secret: replace(ring, keys=[
        replace(newer(ring.keys[0]), decrypt_until=2 ** 40)]).seal(secret)),
    "directory": _special(os.mkdir),
    "fifo": _special(os.mkfifo),
    "loop": _special(loop),
    "sparse": _special(sparse),
    "unreadable": lambda server, name, ring, secret: make_unreadable(server, name, ring, secret),
    "removed": lambda server, name, ring, secret: server.ring_path(name).unlink(),
}


def make_unreadable(server, name, ring, secret):
    """To the children; the parent, root, reads it well."""
    server.put_ring(replace(ring, generation=2), name, secret)
    server.ring_path(name).chmod(0o600)


# In these the parent has nothing to complain of, but for a warning at the reload (STEK2017).
SILENT = {"unreadable"}
# These are no rings at all: they stay where they are (S11), and the ring goes on in memory.
FOREIGN = {"garbage", "directory", "fifo", "loop", "sparse"}


def hostile_server(httpd, mpm, generate):
    """A server with a vhost and a ring for each kind; rings of one key each, written by us."""
    server = httpd(mpm=mpm, processes=1, vhosts=[Vhost(f"{kind}.test", [f"StekUseRing {kind}"])
                                                 for kind in KINDS],
                   server=[f"StekRing {kind} generate={generate} poll=1s" for kind in KINDS])
    rings, secrets = {}, {}
    for kind in KINDS:
        rings[kind], secrets[kind] = fixed_ring(ringfile.make_key(), ringfile.make_key(
            start=time.time() // 3600 * 3600 + 3600)), os.urandom(32)
        server.put_secret(secrets[kind], kind)
        server.put_ring(rings[kind], kind)
    server.start()
    return server, rings, secrets


def identity(path):
    st = os.lstat(path)
    return st.st_ino, st.st_mode, st.st_size, st.st_ctime_ns


def assert_each(faults, kinds, check):
    for kind in kinds:
        try:
            check(kind)
        except AssertionError as fault:
            faults.append(f"{kind}: {fault}")


def repair(server, kind, ring, secret):
    """Puts a good ring with another key for now; the name of that key."""
    path = server.ring_path(kind)
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    key = newer(ring.keys[0])
    server.put_ring(replace(ring, keys=ring.keys + [key], generation=50), kind, secret)
    return key.name


def about(server, kind, mark):
    pattern = rf"\[stek_rotate:(warn|error)\].*\b{re.escape(kind)}(\.ring\b|'|:)"
    return server.lines(pattern, mark)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_hostile_ring_changes_nothing_is_logged_once_and_repaired_within_poll(httpd, mpm):
    server, rings, secrets = hostile_server(httpd, mpm, "off")
    names = {kind: rings[kind].current(time.time()).name for kind in KINDS}
    first = {(kind, v): server.get(f"{kind}.test", tls=v) for kind in KINDS for v in VERSIONS}
    faults, mark = [], server.mark()
    server.expect(r"stek_rotate:(warn|error)")

    def serves(kind):
        for v in VERSIONS:
            reply = server.get(f"{kind}.test", tls=v, session=first[kind, v].session)
            assert reply.resumed and reply.status == 200, f"TLS {v}: not resumed"
            fresh = server.get(f"{kind}.test", tls=v)
            assert fresh.name == names[kind], f"TLS {v}: ticket under {fresh.name.hex()[:8]}"
    assert_each(faults, KINDS, serves)
    for kind, spoil in KINDS.items():
        spoil(server, kind, rings[kind], secrets[kind])
    for kind in set(KINDS) - SILENT:
        wait_for(lambda: about(server, kind, mark), f"a line on {kind}; {server.tail()}", 25, 0.2)
    assert_each(faults, KINDS, serves)
    server.graceful()
    assert_each(faults, KINDS, serves)
    quiet = time.time() + 11  # another pass of the parent's monitor adds no line
    wait_for(lambda: time.time() > quiet, "quiet", 15, 0.5)

    def logged_once(kind):
        seen = about(server, kind, mark)
        # once when it went wrong, once at the reload
        least, most = (0, 1) if kind in SILENT else (1, 2)
        assert least <= len(seen) <= most, f"{len(seen)} lines: {seen}"
        assert kind not in SILENT or all("STEK2017" in line for line in seen), seen
    assert_each(faults, KINDS, logged_once)
    new = {kind: repair(server, kind, rings[kind], secrets[kind]) for kind in KINDS}
    due = time.time() + 3  # poll is 1 s, and two cores run many tests

    def repaired(kind):
        wait_for(lambda: server.get(f"{kind}.test").name == new[kind], "the repaired ring",
                 max(0.5, due - time.time()))
        serves_again = server.get(f"{kind}.test", tls=VERSIONS[0], session=first[kind, VERSIONS[0]].session)
        assert serves_again.resumed, "resumption lost after repair"
    assert_each(faults, KINDS, repaired)
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_hostile_ring_at_reload_is_set_aside_and_retained_keys_written(httpd, mpm):
    server, rings, secrets = hostile_server(httpd, mpm, "on")
    first = {(kind, v): server.get(f"{kind}.test", tls=v) for kind in KINDS for v in VERSIONS}
    faults = []
    server.expect(r"stek_rotate:(warn|error)")
    for kind, spoil in KINDS.items():
        spoil(server, kind, rings[kind], secrets[kind])
    before = {kind: identity(server.ring_path(kind)) for kind in FOREIGN}
    server.graceful()

    def check(kind):
        for v in VERSIONS:
            reply = server.get(f"{kind}.test", tls=v, session=first[kind, v].session)
            assert reply.resumed, f"TLS {v} not resumed"
        aside = list(server.ring_path(kind).parent.glob(f"{kind}.ring.refused-*"))
        if kind in FOREIGN:
            assert not aside and identity(server.ring_path(kind)) == before[kind], "moved"
            assert len(server.lines(f"STEK2011: ring '{kind}'")) == 1
            return
        stored = server.ring(kind)
        assert {k.name for k in rings[kind].keys} <= {k.name for k in stored.keys}, "keys lost"
        assert all(key.aes != bytes(32) for key in stored.keys)
        assert len(aside) == (0 if kind in ("unreadable", "removed") else 1), f"set aside: {aside}"
    assert_each(faults, KINDS, check)
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("generate", ["on", "off"])
def test_hostile_ring_at_start_serves_and_says_why(httpd, generate):
    server = httpd(processes=1,
                   server=[f"StekRing {kind} generate={generate} poll=1s" for kind in KINDS],
                   vhosts=[Vhost(f"{kind}.test", [f"StekUseRing {kind}"]) for kind in KINDS])
    rings = {kind: fixed_ring() for kind in KINDS}
    secrets = {kind: os.urandom(32) for kind in KINDS}
    for kind, spoil in KINDS.items():
        server.put_secret(secrets[kind], kind)
        server.put_ring(rings[kind], kind)
        spoil(server, kind, rings[kind], secrets[kind])
    server.expect(r"stek_rotate:(warn|error)")
    server.start()
    faults = []

    def check(kind):
        for v in VERSIONS:
            reply = server.get(f"{kind}.test", tls=v)
            assert reply.status == 200 and not reply.resumed
            if generate == "on" or kind in SILENT:
                again = server.get(f"{kind}.test", tls=v, session=reply.session)
                assert reply.tickets and again.resumed, f"TLS {v}: no ticket that resumes"
            else:
                assert not reply.tickets, f"TLS {v}: a ticket without a good key"
        if kind not in SILENT and (kind != "removed" or generate == "off"):
            assert about(server, kind, 0), "no word in the log"
    assert_each(faults, KINDS, check)
    assert not faults, "\n".join(faults)


def test_older_copy_of_the_ring_brings_nothing_back(httpd, mpm):
    """The ring before a revocation, put back: its key stays dead; new keys stay."""
    server = httpd(mpm=mpm, server=lines(generate="off", poll="1s"))
    secret, old = os.urandom(32), fixed_ring()
    server.put_secret(secret)
    server.put_ring(old)
    server.start()
    first = issued_now(server, tls="1.2")
    dead, good = old.keys[0], newer(old.keys[0])
    server.put_ring(fixed_ring(good, generation=2, tombstones=[(dead.name, dead.decrypt_until)]))
    wait_for(lambda: server.get().name == good.name, "the new key")
    wait_for(lambda: not server.get(tls="1.2", session=first.session).resumed, "the revocation")
    # The parent looks every ten seconds.
    wait_for(lambda: not holding(server, [dead]), "every process to know of it", 20, 0.3)
    kept = server.get(tls="1.2")
    server.put_ring(old)
    end = time.time() + 3
    while time.time() < end:
        assert not server.get(tls="1.2", session=first.session).resumed
        reply = server.get(tls="1.2", session=kept.session)
        assert reply.resumed and server.get().name == good.name
        time.sleep(0.1)
    server.graceful()
    assert not server.get(tls="1.2", session=first.session).resumed
    assert server.get(tls="1.2", session=kept.session).resumed


def test_older_copy_before_keys_were_made_loses_none(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="1s", lifetime="60s", poll="1s")).start()
    copy = server.ring_path().read_bytes()
    seen = server.ring().covered_until
    wait_for(lambda: server.ring().covered_until > seen, "new keys", 25, 0.2)
    session = issued_now(server, tls="1.2").session
    server.put_ring(copy)
    wait_for(lambda: server.ring().covered_until > seen, "the parent to write again", 25, 0.2)
    assert server.get(tls="1.2", session=session).resumed
    server.put_ring(copy)
    server.graceful()
    assert server.ring().covered_until > seen
    assert server.get(tls="1.2", session=session).resumed


def test_revoked_epoch_ends_all_keys_within_poll(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(generate="off", poll="1s"))
    secret, old = os.urandom(32), fixed_ring()
    server.put_secret(secret)
    server.put_ring(old)
    server.start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    key = ringfile.make_key(epoch=1)
    server.put_ring(fixed_ring(key, epoch=1, generation=2))
    wait_for(lambda: server.get().name == key.name, "the key of the new epoch", 3)
    for v in VERSIONS:
        wait_for(lambda: not server.get(tls=v, session=first[v]).resumed, "the revocation", 3)
    wait_for(lambda: not holding(server, old.keys), "every process to know of it", 20, 0.3)
    server.put_ring(old)
    server.graceful()
    for v in VERSIONS:
        assert not server.get(tls=v, session=first[v]).resumed
        assert server.get(tls=v).name == key.name


@pytest.mark.parametrize("state", ["ended", "none", "only future", "decrypt only"])
def test_without_a_key_for_now_no_ticket_a_full_handshake_and_an_error(httpd, mpm, state):
    now = int(time.time())
    rings = {"ended": fixed_ring(ringfile.make_key(start=now - 9 * 86400)), "none": fixed_ring(),
             "only future": fixed_ring(ringfile.make_key(start=now + 7200)),
             "decrypt only": fixed_ring(ringfile.make_key(start=now - 7200))}
    ring = rings[state]
    if state == "none":
        ring.keys = []
    server = httpd(mpm=mpm, server=lines(generate="off", poll="1s"))
    server.put_secret(os.urandom(32))
    server.put_ring(ring)
    server.expect(r"\[stek_rotate:(warn|error)\]")
    server.start()
    for v in VERSIONS:
        reply = server.get(tls=v)
        assert reply.status == 200 and not reply.resumed and not reply.tickets
        assert not server.get(tls=v, session=reply.sessions[-1] if reply.sessions else None).resumed
    server.wait_log(r"\[stek_rotate:error\]", timeout=15)
    good = fixed_ring(generation=2)
    server.put_ring(good)
    wait_for(lambda: server.get().name == good.keys[0].name, "tickets from the good ring")


@pytest.mark.parametrize("what", ["removed", "garbage", "another", "empty", "directory"])
def test_secret_gone_bad_changes_nothing_at_reload(httpd, what):
    server = httpd(server=lines(poll="1s")).start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    secret = server.secret_path()
    text = {"garbage": "garbage", "another": ringfile.secret_line(os.urandom(32)), "empty": ""}
    secret.unlink()
    if what == "directory":
        secret.mkdir()
    elif what in text:
        secret.write_text(text[what])
        secret.chmod(0o600)
    server.expect(r"stek_rotate:(warn|error)")
    for step in (server.graceful, server.restart):
        step()
        for v in VERSIONS:
            reply = server.get(tls=v, session=first[v])
            assert reply.resumed, f"{step.__name__}, TLS {v}"
            assert server.get(tls=v).tickets


@pytest.fixture
def lock_holder():
    holders = []

    def hold(path):
        code = ("import fcntl, sys, os; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600); "
                "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()")
        process = subprocess.Popen([sys.executable, "-c", code, f"{path}.lock"], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        holders.append(process)
        return process
    yield hold
    for process in holders:
        process.kill()
        process.communicate()


def test_lock_held_by_a_stopped_process_stops_nothing(httpd, mpm, lock_holder):
    server = httpd(mpm=mpm, server=lines(interval="1s", lifetime="60s", poll="1s")).start()
    server.expect("AH00052", r"\[stek_rotate:(warn|error)\].*lock")
    holder = lock_holder(server.ring_path())
    sessions = {v: issued_now(server, tls=v).session for v in VERSIONS}
    covered = server.ring().covered_until

    def serves(what):
        for v in VERSIONS:
            reply = server.get(tls=v, session=sessions[v])
            assert reply.resumed, f"{what}, TLS {v}"
            assert server.get(tls=v).tickets, f"{what}, TLS {v}: no ticket"
    for _ in range(3):
        # All but one: prefork has some to spare, and replaces only those it wants.
        old = sorted(server.children())
        for victim in old[1:]:
            os.kill(victim, signal.SIGKILL)
        wait_for(lambda: not set(server.children()) & set(old[1:])
                 and set(server.children()) - set(old), "a new child", 12)
        serves("child killed")
    took = time.time()
    server.graceful()
    serves("graceful")
    server.restart()
    serves("restart")
    assert time.time() - took < 15
    assert server.ring().covered_until == covered, "written in spite of the lock"
    holder.kill()
    wait_for(lambda: server.ring().covered_until > covered, "the ring to be extended", 25, 0.2)
    serves("lock released")


def test_lock_held_at_start_does_not_stop_the_start(httpd, mpm, lock_holder):
    server = httpd(mpm=mpm).start()
    first = issued_now(server, tls="1.2").session
    server.stop()
    lock_holder(server.ring_path())
    server.expect(r"\[stek_rotate:(warn|error)\].*lock")
    begin = time.time()
    server.start()
    assert time.time() - begin < 10
    assert server.get(tls="1.2", session=first).resumed
    assert server.stop()


@pytest.fixture(scope="session")
def overtake(tmp_path_factory):
    library = tmp_path_factory.mktemp("overtake") / "overtake.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-Wall", "-Werror", "-D_GNU_SOURCE",
                    "-o", library, Path(__file__).parent / "overtake.c", "-ldl"], check=True)
    return library


def test_lock_holder_that_goes_on_in_the_moment_of_a_write_loses_no_revocation(httpd, lock_holder, overtake):
    """A revocation that hung with the lock, until httpd went on without it: it writes the ring after httpd
    has read it, and before httpd replaces it."""
    server = httpd(clock=True, env={"LD_PRELOAD": str(overtake)}, server=lines(poll="1s")).start()
    first = issued_now(server, tls="1.2").session
    ring = server.ring()
    revoked = ring.find(first.name)
    lock_holder(server.ring_path())
    ring = replace(ring, keys=[key for key in ring.keys if key != revoked], generation=ring.generation + 1,
                   tombstones=[(revoked.name, revoked.decrypt_until)])
    following = Path(f"{server.ring_path()}.next")
    following.write_bytes(ring.seal(server.secret()))
    shutil.copystat(server.ring_path(), following)
    shutil.chown(following, group=server.ring_path().stat().st_gid)
    os.utime(following)
    server.set_clock(int(ring.covered_until - time.time()) - 600)
    server.wait_log("STEK2007", timeout=40)
    wait_for(lambda: not following.exists(), "the other writer", 25, 0.2)
    wait_for(lambda: server.ring().covered_until > ring.covered_until, "httpd's keys in the ring", 25, 0.2)
    assert server.ring().tombstones == ring.tombstones
    wait_for(lambda: not server.get(tls="1.2", session=first).resumed, "the revocation in all children", 25, 0.2)
    assert not list(server.ring_path().parent.glob("*.tmp-*"))


def misses(server):
    """How often the parent has looked for its ring in vain."""
    body = server.get(path="/stek-status?format=json").body
    found = re.search(rb'"parent":\{"loads":\d+,"load_failures":\{"missing":(\d+)', body)
    return int(found[1]) if found else 0


def test_full_file_system_stops_nothing(small_disk, httpd):
    server = httpd()
    disk = small_disk(server.run_dir / "small")
    server.server = [f"StekRing default interval=1s lifetime=60s poll=1s file={disk}/r.ring", *STATUS]
    server.start()
    secrets = ringfile.read_secrets(disk / "r.secret")

    def covered():
        return ringfile.Ring.read(disk / "r.ring", secrets).covered_until
    session = server.get(tls="1.2").session
    fill(disk / "ballast")
    server.wait_log(r"\[stek_rotate:(warn|error)\].*No space", timeout=25)
    assert server.get(tls="1.2", session=session).resumed and server.get().tickets
    before = covered()
    (disk / "r.ring").unlink()
    fill(disk / "more")
    mark = server.mark()
    server.graceful()
    assert server.get(tls="1.2", session=session).resumed and server.get().tickets
    assert not list(disk.glob("*.tmp-*"))
    seen = misses(server)
    wait_for(lambda: misses(server) > seen, "the parent to try again", 25, 0.2)
    assert len(server.lines("STEK2003", mark)) <= 1
    (disk / "ballast").unlink()
    wait_for(lambda: (disk / "r.ring").exists() and covered() > before, "the ring to be written again", 25, 0.2)


def test_temporary_files_of_killed_writers_harm_nothing(httpd):
    server = httpd(server=lines(interval="1s", lifetime="30s", poll="1s")).start()
    for pid in (server.pid, 99999999, 1):
        (server.run_dir / "stek_rotate" / f"default.ring.tmp-{pid}").write_bytes(b"half")
    seen = server.ring().covered_until
    wait_for(lambda: server.ring().covered_until > seen, "the ring to be extended", 25, 0.2)
    issued_now(server)


def test_runtime_directory_removed_under_the_server(httpd):
    server = httpd(server=lines(poll="1s")).start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    server.expect(r"\[stek_rotate:(warn|error)\]")
    shutil.rmtree(server.run_dir / "stek_rotate")
    server.graceful()
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v]).resumed and server.get(tls=v).tickets
    assert {s.name for s in first.values()} <= {key.name for key in server.ring().keys}
