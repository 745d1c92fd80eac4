# SPDX-License-Identifier: Apache-2.0
"""Chains of renewed tickets end at StekMaxSessionAge, whatever happens on the way; and how long a
ticket lives, by vhost."""
import shutil
import time

import pytest

from checks import VERSIONS, assert_hints
from httpd import TOP, Vhost, wait_for

AGE = 8
# Each second another key, so that TLS 1.2 renews too; each opens far longer than the chain lasts.
FAST = ["StekRing default interval=1s lifetime=60s poll=1s", f"StekMaxSessionAge {AGE}s"]


def next_link(get, link):
    """The session after another resumption by a key of a later second, or None if that was a full
    handshake, which must be a good one with a ticket that resumes."""
    wait_for(lambda: int(time.time()) > link["at"], "the next second", 5)
    reply = get(session=link["session"])
    assert reply.status == 200 and reply.tickets
    if not reply.resumed:
        assert get(session=reply.session).resumed
        return None
    return {"session": reply.session, "at": int(time.time()), "name": reply.name}


def follow(gets, events=None, age=AGE):
    """Follows a chain over gets in turn, with events (by link) on the way, until it ends; the names
    of the keys.  Fails if it lasts too long, or ends too early."""
    start = time.time()
    first = gets[0]()
    began = time.time()  # the latest that the full handshake can have been
    assert not first.resumed
    assert_hints(first, age)
    link, names = {"session": first.session, "at": int(began)}, [first.name]
    for i in range(3 * age):
        if events and i in events:
            events[i]()
        asked = time.time()
        link = next_link(gets[(i + 1) % len(gets)], link)
        if link is None:
            # The age counts from the second of the full handshake.
            assert time.time() - start > age - 1, "the chain ended too early"
            return names
        assert asked - began < age, "the chain goes on beyond its age"
        assert link["session"].hint <= max(1, age - (int(asked) - int(began))), "a hint beyond the end"
        names.append(link["name"])
    raise AssertionError("an endless chain")


def getter(server, version, **options):
    return lambda **more: server.get(tls=version, **options, **more)


def test_chain_across_rotation_ends_at_its_age(httpd, version):
    server = httpd(server=FAST).start()
    names = follow([getter(server, version)])
    assert len(set(names)) >= AGE // 2, "there was no rotation on the way"


def test_chain_of_many_tickets_ends_at_its_age(httpd):
    """Whichever of the tickets a client takes, of a vhost that resumes in TLS 1.3 only."""
    server = httpd(server=FAST + ["StekTickets tls1.3", "StekTicketCount 3 resumed=2"]).start()
    get = getter(server, "1.3")
    follow([get, lambda **more: get(request=b"\3\3", **more)])


def test_chain_across_graceful_reloads_ends_at_its_age(httpd, version):
    server = httpd(server=FAST).start()
    names = follow([getter(server, version)], {1: lambda: server.graceful(drain=False),
                                               3: lambda: server.graceful(drain=False)})
    assert len(names) >= 3 and server.generation == 3


def test_chain_across_restart_ends_at_its_age(httpd, version):
    server = httpd(server=FAST).start()

    def again():
        server.stop()
        server.start()
    assert len(follow([getter(server, version)], {1: again})) >= 3


def test_chain_across_two_hosts_ends_at_its_age(httpd, version):
    """Both on one machine: the second's ring is what the first's was at the start."""
    ring = "StekRing default interval=1s lifetime=60s poll=1s ahead=30"
    age = f"StekMaxSessionAge {AGE}s"
    first = httpd(server=[ring, age]).start()
    second = httpd(address="127.0.0.2")
    second.port = first.port
    folder = second.root / "keys"
    folder.mkdir(mode=0o755)
    for name in ("default.ring", "default.secret"):
        shutil.copy(first.ring_path().parent / name, folder / name)
    (folder / "default.ring").chmod(0o644)
    (folder / "default.ring").chmod(0o644)
    second.server = [f"{ring} generate=off file={folder}/default.ring "
                     f"secret={folder}/default.secret", age]
    second.start()
    names = follow([getter(first, version), getter(second, version)])
    assert len(names) >= AGE // 2 and len(set(names)) >= 3


def test_chain_without_limit_goes_on(httpd, version):
    """The clock runs: days in a moment."""
    server = httpd(clock=True, server=["StekRing default interval=6h lifetime=4d ahead=20",
                                       "StekMaxSessionAge off"]).start()
    session = server.get(tls=version).session
    for offset in range(0, 4 * 86400, 36000):
        server.set_clock(offset)
        reply = server.get(tls=version, session=session)
        assert reply.resumed, offset
        session = reply.session


def test_chain_of_a_day_by_default(httpd, version):
    server = httpd(clock=True, server=["StekRing default interval=6h lifetime=20h ahead=6"]).start()
    session = server.get(tls=version).session
    assert session.hint == 72000
    for at, resumed in ((43200, True), (86400 - 60, True), (86400 + 5, False)):
        server.set_clock(at)
        reply = server.get(tls=version, session=session)
        assert reply.resumed is resumed and reply.status == 200, at
        session = reply.session


def test_chain_as_long_as_one_ticket_where_that_lives_longer(httpd, version):
    server = httpd(clock=True, server=["StekRing default interval=6h lifetime=4d ahead=20"]).start()
    session = server.get(tls=version).session
    assert session.hint in (4 * 86400, 4 * 86400 - 1)  # as assert_hints has it
    for at, resumed in ((2 * 86400, True), (4 * 86400 - 60, True), (4 * 86400 + 5, False)):
        server.set_clock(at)
        reply = server.get(tls=version, session=session)
        assert reply.resumed is resumed and reply.status == 200, at
        session = reply.session


def daily_client(server, version, days):
    """The days, of so many, on which a client that comes once a day makes a full handshake."""
    session, full = None, []
    for day in range(days):
        server.set_clock(day * 86400 + day)  # a second later each day
        reply = server.get(tls=version, session=session)
        assert reply.status == 200 and reply.tickets
        if not reply.resumed:
            full.append(day)
        session = reply.session
    return full


def documented_week():
    """The lines of the page, of which the second is the one that it adds."""
    page = (TOP / "docs" / "interval-and-lifetime.md").read_text()
    block = page.split("### A lifetime of a week")[1].split("```apache\n")[1].split("```")[0].splitlines()
    assert block[0].startswith("StekRing") and block[1].startswith("StekMaxSessionAge")
    return block


@pytest.mark.parametrize("n,full", [(1, [0, 7, 14]), (2, [0])])
def test_chain_of_a_week_and_a_daily_client_as_documented(httpd, version, n, full):
    """Keys are prepared at the start, since the parent looks too seldom for such a clock."""
    server = httpd(clock=True, server=[*documented_week()[:n], "StekRing default ahead=400"]).start()
    assert daily_client(server, version, 16) == full


def test_chain_in_the_middle_is_told_what_is_left(httpd, version):
    """Twelve hours in, twelve are left: a renewed ticket says so, by its hint and by its end."""
    server = httpd(clock=True, server=["StekRing default interval=6h lifetime=4d ahead=4",
                                       "StekMaxSessionAge 24h"]).start()
    session = server.get(tls=version).session
    server.set_clock(43200)
    reply = server.get(tls=version, session=session)
    assert reply.resumed and reply.tickets
    # OpenSSL sends no hint with a ticket that renews another in TLS 1.2; the life is the same.
    assert reply.session.hint == 0 if version == "1.2" else 43190 <= reply.session.hint <= 43200
    server.set_clock(43200 + 42000)
    later = server.get(tls=version, session=reply.session)
    assert later.resumed
    server.set_clock(86400 + 5)
    for link in (session, reply.session, later.session):
        assert not server.get(tls=version, session=link).resumed


def test_clock_set_back_far_ends_chains(httpd, version):
    """Or they would last until the clock has caught up."""
    server = httpd(clock=True, server=["StekRing default interval=1h lifetime=7d ahead=40",
                                       "StekMaxSessionAge 24h"]).start()
    server.set_clock(86400 + 7200)
    server.graceful()
    session = server.get(tls=version).session
    assert server.get(tls=version, session=session).resumed
    server.set_clock(0)
    reply = server.get(tls=version, session=session)
    assert not reply.resumed and reply.status == 200


# Lifetimes by vhost.

def test_hints_of_two_rings_and_lifetimes_by_sni(httpd, mpm):
    rings = ["StekRing one lifetime=2h", "StekRing two lifetime=3h"]
    server = httpd(mpm=mpm, server=rings, vhosts=[
        Vhost("one.test", ["StekUseRing one"]), Vhost("two.test", ["StekUseRing two"]),
        Vhost("short.test", ["StekUseRing one", "StekTicketLifetime 10min"]),
        Vhost("shorter.test", ["StekUseRing two", "StekTicketLifetime 90s"]),
        Vhost("aged.test", ["StekUseRing two", "StekMaxSessionAge 60s"])]).start()
    hints = {"one.test": 7200, "two.test": 10800, "short.test": 600, "shorter.test": 90,
             "aged.test": 60}
    for version in VERSIONS:
        for host in list(hints) + list(reversed(hints)):
            reply = server.get(host, tls=version)
            assert len(reply.tickets) == (1 if version == "1.2" else 2)
            assert_hints(reply, hints[host])
            ring = "one" if host in ("one.test", "short.test") else "two"
            assert server.ring(ring).find(reply.name)
        assert server.get("one.test", tls=version, sni=False).session.hint == 7200


def test_lifetime_is_enforced_not_only_told(httpd, version):
    server = httpd(clock=True, server=["StekTicketLifetime 1000s"]).start()
    session = server.get(tls=version).session
    for offset, resumed in ((990, True), (1005, False)):
        server.set_clock(offset)
        reply = server.get(tls=version, session=session)
        assert reply.resumed is resumed and reply.status == 200, offset


@pytest.mark.parametrize("lines", [["StekMaxSessionAge 1000s"], ["StekTicketLifetime 1000s"]])
def test_limits_main_server_inherited_and_overridden(httpd, version, lines):
    own = [line.replace("1000s", "500s") for line in lines]
    server = httpd(server=lines, vhosts=[Vhost("a.test"), Vhost("b.test", own)]).start()
    assert_hints(server.get("a.test", tls=version), 1000)
    assert_hints(server.get("b.test", tls=version), 500)
