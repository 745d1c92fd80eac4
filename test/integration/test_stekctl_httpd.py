# SPDX-License-Identifier: Apache-2.0
"""stekctl beside a running httpd: what it changes is in tickets within poll, what it ends does not
come back, and nobody's change is lost."""
import os
import shutil
import subprocess
import threading
import time

import pytest

import ringfile
from checks import VERSIONS, issued_now, lines, wait_until
from httpd import RUN_AS, TOP, wait_for
from memory import holding
from stekctl_tool import Stekctl
from test_stekctl_ring import assert_nothing_lost, run_writers

POLL = 1
SLACK = 2.0  # a busy machine


@pytest.fixture
def server(httpd):
    server = httpd(server=lines(poll=f"{POLL}s")).start()
    return server


@pytest.fixture
def stekctl(server):
    tool = Stekctl(server.root, server.ring_path())
    wait_for(lambda: tool.ring_path.exists() and tool.secret_path.exists(), "the ring")
    return tool


def from_all(server, good, n=12, **options):
    """Whether good(reply) holds for many connections: of every child."""
    return all(good(server.get(**options)) for _ in range(n))


class Traffic(threading.Thread):
    """Handshakes all the while; a failed one is a fault."""

    def __init__(self, server):
        super().__init__()
        self.server, self.faults, self.n, self.done = server, [], 0, threading.Event()

    def run(self):
        session = None
        while not self.done.is_set():
            try:
                reply = self.server.get(
                    tls=VERSIONS[self.n % len(VERSIONS)], session=None if self.n % 3 else session
                )
                session = reply.session if self.n % 2 == 0 else None
                if reply.status != 200 or not reply.tickets and not reply.resumed:
                    self.faults.append(f"status {reply.status}, {len(reply.tickets)} tickets")
            except Exception as fault:  # told by the main thread
                self.faults.append(repr(fault))
            self.n += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join(60)
        assert self.n > 5 and not self.faults, self.faults[:5]


def test_stekctl_rotate_shows_in_tickets_within_poll(server, stekctl):
    with Traffic(server):
        old = {v: server.get(tls=v) for v in VERSIONS}
        told = stekctl.json("rotate")["key"]
        wait_until(told["not_before"] + POLL + SLACK)
        for v in VERSIONS:
            assert from_all(server, lambda r: r.name.hex().startswith(told["name"]), tls=v)
            renewed = server.get(tls=v, session=old[v].session)
            assert renewed.resumed and renewed.name.hex().startswith(told["name"])


def test_stekctl_revoke_current_ends_its_tickets_within_poll(server, stekctl):
    with Traffic(server):
        old = {v: server.get(tls=v) for v in VERSIONS}
        assert all(server.get(tls=v, session=old[v].session).resumed for v in VERSIONS)
        stekctl.run("revoke", old["1.2"].name.hex())
        wait_until(time.time() + POLL + SLACK)
        for v in VERSIONS:
            assert from_all(
                server,
                lambda r: not r.resumed and r.status == 200 and r.name != old[v].name and r.tickets,
                tls=v,
                session=old[v].session,
            )


@pytest.mark.timeout(180)
def test_stekctl_revoked_key_does_not_come_back(server, stekctl):
    old = {v: server.get(tls=v) for v in VERSIONS}
    name = old["1.2"].name
    stale = server.ring()
    stekctl.run("revoke", name.hex())

    def dead():
        return all(
            from_all(
                server, lambda r: not r.resumed and r.status == 200, tls=v, session=old[v].session
            )
            for v in VERSIONS
        )

    wait_for(dead, "the key to end", 20)
    # The parent looks about every ten seconds: then it knows as well as the children do.
    wait_for(lambda: not holding(server, [stale.find(name)]), "every process to know of it", 30, 0.3)
    # An old copy of the file, and a late writer that knew nothing of it.
    server.put_ring(stale)
    late = stekctl.json("rotate")["key"]["name"]
    wait_for(
        lambda: from_all(server, lambda r: r.name.hex().startswith(late)),
        "the late writer's key",
        20,
    )
    assert dead()
    # The parent writes what it knows back into the file.
    wait_for(lambda: not server.ring().find(name), "the file to forget the key", 30)
    assert name in [tomb for tomb, _ in server.ring().tombstones]
    server.graceful()
    assert dead()
    server.put_ring(stale)
    server.graceful()
    assert dead()
    server.restart()
    assert dead()
    server.put_ring(stale)
    server.restart()
    assert dead()
    server.stop()
    server.start()
    assert dead()


def test_stekctl_revoke_all_kills_keys_that_the_file_does_not_hold(server, stekctl):
    hidden = {v: server.get(tls=v) for v in VERSIONS}
    ring = server.ring()
    # Another writer's ring without that key: httpd keeps it, the file has it not.
    ring.keys = [ringfile.make_key()]
    ring.generation += 1
    server.put_ring(ring)
    assert ring.find(hidden["1.2"].name) is None
    done = stekctl.json("revoke", "--all")
    assert done["epoch"] >= time.time() - 5
    for v in VERSIONS:
        wait_for(
            lambda v=v: from_all(
                server,
                lambda r: not r.resumed and r.status == 200 and r.tickets,
                tls=v,
                session=hidden[v].session,
            ),
            "the hidden key to end",
            20,
        )
    assert all(key.epoch == done["epoch"] for key in server.ring().keys)


def test_stekctl_import_key_encrypts_in_httpd(server, stekctl):
    raw = os.urandom(80)
    path = server.root / "nginx.key"
    path.write_bytes(raw)
    path.chmod(0o600)
    stekctl.run("import", "--format", "nginx", path)
    wait_for(
        lambda: from_all(server, lambda r: r.name == raw[:16]), "the imported key in tickets", 20
    )
    key = ringfile.Key(name=raw[:16], hmac=raw[16:48], aes=raw[48:])
    assert key.opens(server.get().session.ticket)


def test_stekctl_secret_roll_then_reload_reseals(server, stekctl):
    session = server.get().session
    stekctl.run("secret", "roll")
    assert "reload httpd" in stekctl.run("secret", "retire", expect=3).stderr
    told = stekctl.json("rotate")["key"]["name"]  # under the former secret: children can read it
    wait_for(lambda: from_all(server, lambda r: r.name.hex().startswith(told)), "the rotation", 20)
    server.graceful()
    first = ringfile.read_secrets(stekctl.secret_path)[:1]

    def resealed():
        try:
            return ringfile.Ring.read(stekctl.ring_path, first)
        except AssertionError:
            return None

    wait_for(resealed, "the parent to seal under the new secret", 30)
    stekctl.run("secret", "retire")
    told = stekctl.json("rotate")["key"]["name"]
    wait_for(
        lambda: from_all(server, lambda r: r.name.hex().startswith(told)), "a rotation after it", 20
    )
    assert server.get(session=session).resumed


@pytest.mark.timeout(180)  # the waits at its end alone may take 70 s
def test_stekctl_two_writers_and_httpd_2000_writes_nothing_lost(httpd):
    """httpd's parent writes too: its interval is so short that it has keys to make at each turn."""
    server = httpd(server=lines(interval="5s", lifetime="10min", poll="1s")).start()
    # Whoever only tries a lock may find it held several times running.
    server.expect("STEK2003: .*another process holds the lock")
    stekctl = Stekctl(server.root, server.ring_path())
    wait_for(lambda: stekctl.ring_path.exists(), "the ring")
    before = server.ring().generation
    own = {key.name for key in server.ring().keys}
    with Traffic(server):
        writers = run_writers(stekctl, 2, 667)
        wait_for(
            lambda: server.ring().generation > before + sum(w.writes for w in writers),
            "httpd, which only tries the lock, to get it and write too",
            40,
        )
    written = sum(writer.writes for writer in writers)
    assert written >= 2000
    ring = server.ring()
    assert_nothing_lost(ring, writers)
    assert ring.generation <= before + written + 40, "each write counted once"
    assert own <= {key.name for key in ring.keys}
    assert ring.covered_until > time.time()
    wait_for(
        lambda: from_all(
            server, lambda r: r.tickets and r.name == server.ring().current(time.time()).name
        ),
        "all children on the last ring",
        30,
    )


def test_stekctl_ring_made_before_httpd_is_taken(httpd, version):
    server = httpd(server=lines(poll=f"{POLL}s"))
    stekctl = Stekctl(server.root, server.ring_path())
    stekctl.ring_path.parent.mkdir(mode=0o750)
    if os.geteuid() == 0:
        shutil.chown(stekctl.ring_path.parent, group=RUN_AS)
    stekctl.run("new", "--interval", "2h", "--lifetime", "4h")
    key = stekctl.current()
    server.start()
    assert from_all(server, lambda r: r.name == key.name, tls=version)
    told = stekctl.json("rotate")["key"]["name"]
    wait_for(
        lambda: from_all(server, lambda r: r.name.hex().startswith(told), tls=version),
        "the rotation",
        20,
    )


@pytest.mark.parametrize("interval", ["5s", "1h"])
def test_stekctl_revocation_between_roll_and_reload_is_kept(httpd, interval):
    """The parent does not know the new secret yet: the ring is good all the same."""
    server = httpd(server=lines(interval=interval, lifetime="1h", poll="1s")).start()
    server.expect("STEK2037")
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}

    def ctl(*words):
        subprocess.run([TOP / "stekctl/stekctl", "--ring", server.ring_path(), "--secret", server.secret_path(),
                        *words], check=True, capture_output=True)
    ctl("secret", "roll", "--reseal")
    ctl("revoke", "--all")
    server.wait_log("STEK2037", timeout=25)
    wait_for(lambda: len(ringfile.Ring.read(server.ring_path(), ringfile.read_secrets(
        server.secret_path())).keys) >= 2, "keys of the parent", 25)
    assert not list(server.ring_path().parent.glob("*.refused-*"))
    server.graceful()
    for v in VERSIONS:
        assert not server.get(tls=v, session=first[v]).resumed, "the revocation was lost"
        issued_now(server, tls=v)
