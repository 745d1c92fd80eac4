# SPDX-License-Identifier: Apache-2.0
"""Rotation is a function of ring and time: names per slot, windows, clocks that jump."""
import random
import time

import pytest

from checks import VERSIONS, issued_now, lines, resealed, wait_until
from httpd import wait_for

DAY = 86400
NO_CHAIN_LIMIT = ["StekMaxSessionAge off"]


def tickets_from_all(server):
    """Whether, many times in a row, a ticket comes: every child has a key for now."""
    return all(server.get(tls=VERSIONS[0]).tickets for _ in range(12))


def issues_again(server, first):
    """Each child on its own: one that answers seldom, or starts late, may come after the others."""
    wait_for(lambda: tickets_from_all(server), "tickets under the new time", 25, 0.2)
    for v in VERSIONS:
        reply = issued_now(server, wait=15, tls=v, session=first[v].session)
        assert reply.resumed and reply.name != first[v].name


def test_rotation_new_name_each_interval_old_ticket_renewed_then_ends(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="2s", lifetime="4s", poll="1s")).start()
    start = time.time() // 2 * 2 + 2
    wait_until(start)
    first = {v: issued_now(server, tls=v) for v in VERSIONS}
    key = server.ring().find(first[VERSIONS[0]].name)
    assert key.not_before == start and {reply.name for reply in first.values()} == {key.name}
    # The session's own timeout would end these tickets first: here it is about the key's window.
    late = {v: resealed(first[v].session, key, key, at=key.decrypt_until) for v in VERSIONS}
    wait_until(key.encrypt_until)
    for v in VERSIONS:
        renewed = issued_now(server, tls=v, session=first[v].session)
        assert renewed.resumed and renewed.name != key.name
        assert server.get(tls=v, session=renewed.session).resumed
    wait_until(key.decrypt_until - 1)
    for v in VERSIONS:
        reply = server.get(tls=v, session=late[v])
        assert reply.resumed or time.time() >= key.decrypt_until
    wait_until(key.decrypt_until)
    for v in VERSIONS:
        reply = issued_now(server, tls=v, session=late[v])
        assert not reply.resumed and reply.status == 200


def test_rotation_ticket_ends_with_its_lifetime(httpd, version):
    server = httpd(server=lines(interval="5s", lifetime="30s") + ["StekTicketLifetime 2s"]).start()
    began = int(time.time())
    first = issued_now(server, tls=version)
    assert first.session.hint == 2
    issued = time.time()
    assert server.get(tls=version, session=first.session).resumed or time.time() >= began + 2
    wait_until(issued + 3.01)
    assert not server.get(tls=version, session=first.session).resumed


def test_rotation_future_key_opens_and_renews_under_current(httpd, mpm, version):
    server = httpd(mpm=mpm).start()
    first = issued_now(server, tls=version)
    ring = server.ring()
    now_key = ring.find(first.name)
    future = next(key for key in ring.keys if key.not_before > time.time())
    reply = issued_now(server, tls=version, session=resealed(first.session, now_key, future))
    assert reply.resumed and reply.name == now_key.name


def test_rotation_goes_on_without_any_traffic(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="1s", lifetime="5s", poll="1s")).start()
    for _ in range(2):
        seen = server.ring().covered_until
        wait_for(lambda: server.ring().covered_until > seen, "the ring to be extended", 25, 0.2)
        now = int(time.time())
        ring = server.ring()
        assert all(ring.current(t) for t in range(now, now + 100))
        assert all(key.decrypt_until > now - 15 for key in ring.keys), "ended keys are kept"
    first = issued_now(server, tls="1.2")
    assert server.get(tls="1.2", session=first.session).resumed


@pytest.mark.timeout(320)
def test_rotation_200_times_under_traffic_loses_nothing(httpd):
    lifetime, rotations = 20, 200
    server = httpd(server=lines(interval="1s", lifetime=f"{lifetime}s", poll="1s")).start()
    chance = random.Random(2)
    begin, visits, names = time.time(), 0, set()
    kept = {v: [] for v in VERSIONS}  # (session, latest time at which it surely resumes)
    # A busy machine may pass over a second: then a few more.
    while time.time() < begin + rotations + (2 if len(names) >= rotations and visits > 10 * rotations else 60):
        v = VERSIONS[visits % len(VERSIONS)]
        kept[v] = [entry for entry in kept[v] if entry[1] > time.time() + 0.5]
        entry = chance.choice(kept[v]) if kept[v] and chance.random() < 0.8 else None
        asked = time.time()
        reply = server.get(tls=v, session=entry and entry[0])
        assert reply.status == 200
        if entry and time.time() < entry[1]:
            assert reply.resumed, f"lost at {time.time() - begin:.1f} s"
        for session in reply.tickets:
            names.add(session.name)
            kept[v].append((session, int(asked) + lifetime - 1))
        visits += 1
        time.sleep(0.01)  # leaves the machine to the other tests
    assert len(names) >= rotations and visits > 10 * rotations


def test_rotation_daily_client_and_daily_reload_always_resume(httpd, mpm):
    server = httpd(mpm=mpm, processes=3, clock=True,
                   server=lines(interval="1h", lifetime="7d") + NO_CHAIN_LIMIT).start()
    sessions = {v: issued_now(server, tls=v).session for v in VERSIONS}
    for day in range(1, 11):
        server.set_clock(day * DAY)
        server.graceful()
        for v in VERSIONS:
            reply = issued_now(server, tls=v, session=sessions[v])
            assert reply.resumed, f"day {day}, TLS {v}"
            assert reply.name != sessions[v].name
            sessions[v] = reply.session
    assert len(server.ring().keys) <= 7 * 24 + 4


def test_clock_forward_a_day_keeps_tickets_and_issues_again(httpd, mpm):
    server = httpd(mpm=mpm, clock=True,
                   server=lines(lifetime="2d", poll="1s") + NO_CHAIN_LIMIT).start()
    first = {v: issued_now(server, tls=v) for v in VERSIONS}
    server.expect(r"stek_rotate:(error|warn)")  # for a moment there is no key for now
    server.set_clock(DAY)
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v].session).resumed
    issues_again(server, first)


def test_clock_back_a_day_keeps_tickets_and_issues_again(httpd, mpm):
    server = httpd(mpm=mpm, clock=True,
                   server=lines(lifetime="2d", poll="1s") + NO_CHAIN_LIMIT).start()
    first = {v: issued_now(server, tls=v) for v in VERSIONS}
    server.expect(r"stek_rotate:(error|warn)")
    server.set_clock(-DAY)
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v].session).resumed
    issues_again(server, first)
    server.set_clock(0)
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v].session).resumed
        issued_now(server, tls=v)
