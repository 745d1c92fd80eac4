# SPDX-License-Identifier: Apache-2.0
"""What OpenSSL may change: each test holds what the module or its documentation relies on, and says, when it fails,
what to do.  Run over newer OpenSSLs by "make openssl" and "make check-httpd"."""
import os
import subprocess
import time

import ringfile
import tls
from checks import VERSIONS, fixed_ring, lines
from httpd import Vhost
from seed import seeded_rng

TLS13 = "1.3"


def openssl_version():
    return subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()


def advice(text):
    return f"{openssl_version()} has changed; nothing is broken yet. {text}"


def inner(server, ticket, key=None):
    """(time, timeout in seconds) of the session in a ticket."""
    key = key or server.ring().find(ticket.name)
    session = tls.Session.decoded(key.opens(ticket.ticket))
    return tls.SSL_SESSION_get_time(session.pointer), tls.SSL_SESSION_get_timeout(session.pointer)


def test_ahead_stock_without_tickets_and_cache_still_sends_two_useless_ones(httpd):
    """OpenSSL issue 30639: a later version sends none."""
    server = httpd(module=False, server=["SSLSessionTickets off"]).start()
    reply = server.get(tls=TLS13)
    assert reply.status == 200
    assert not server.get(tls=TLS13, session=reply.session).resumed
    assert len(reply.tickets) == 2, advice(
        "Without tickets and without a cache, TLS 1.3 clients get no useless tickets from stock httpd any more. Name the "
        "version in docs/tickets-off.md ('httpd without it') and docs/mod_stek_rotate.md (StekTickets), and expect "
        f"{len(reply.tickets)} here from that version on. The module has to go on saying 0 by itself for older ones.")


def test_ahead_off_sends_none_whatever_openssl_does(httpd):
    server = httpd(vhosts=[Vhost("on.test"), Vhost("off.test", ["StekTickets off"])]).start()
    for version in VERSIONS:
        assert not server.get("off.test", tls=version).tickets
        assert server.get("on.test", tls=version).tickets


def test_ahead_stock_tls13_ticket_lives_from_its_own_issue(httpd):
    """OpenSSL pull request 31395 counts from the full handshake instead."""
    server = httpd(module=False, server=["SSLSessionCacheTimeout 400"], clock=True).start()
    first = server.get(tls=TLS13)
    server.set_clock(300)
    second = server.get(tls=TLS13, session=first.session)
    assert second.resumed and second.tickets
    server.set_clock(600)
    assert server.get(tls=TLS13, session=second.session).resumed, advice(
        "A TLS 1.3 ticket that follows a resumption keeps the time of the full handshake. on_generate in "
        "src/mod_stek_ticket.c sets the time of every ticket, and only that lets a chain go on now: its comment 'TLS 1.3 "
        "does so by itself' has to go, and this test to expect False from that version on. If "
        "test_ahead_renewed_ticket_lives_from_its_own_issue passes, nothing else is to do.")


def test_ahead_renewed_ticket_lives_from_its_own_issue(httpd, version):
    """The module sets the time of each ticket; whatever OpenSSL takes for the beginning of a resumed session."""
    hour = int(time.time()) // 3600 * 3600
    keys = [ringfile.make_key(hour - 3600, 3600), ringfile.make_key(hour, 3600), ringfile.make_key(hour + 3600, 3600)]
    server = httpd(server=lines(generate="off", poll="1s") + ["StekTicketLifetime 90min"], clock=True)
    server.put_secret(os.urandom(32))
    server.put_ring(fixed_ring(*keys))
    server.start()
    first = server.get(tls=version)
    server.set_clock(3600)
    second = server.get(tls=version, session=first.session)
    assert second.resumed and second.tickets and second.name == keys[2].name
    issued, timeout = inner(server, second.session, keys[2])
    assert abs(issued - server.now()) <= 5 and timeout == 5400, (
        f"{openssl_version()}: what on_generate (src/mod_stek_ticket.c) sets no longer reaches the ticket; a renewed ticket "
        "would end with the one that it replaces. Look where OpenSSL sets the session's time after that callback.")
    # By the first ticket's time it would have ended.
    server.set_clock(2 * 3600 - 30)
    assert server.get(tls=version, session=second.session).resumed


def test_ahead_no_ticket_has_a_timeout_of_zero(httpd, certs):
    """A session timeout of 0 ends TLS 1.3 handshakes with alert 80 in other servers (HAProxy issue 3499)."""
    rng = seeded_rng("timeouts")
    vhosts = []
    for i in range(8):
        rules = ["SSLVerifyClient optional", f"SSLCACertificateFile {certs}/ca.crt"] if i % 2 else []
        own = rng.sample(["StekTicketLifetime 1s", f"StekMaxSessionAge {rng.randrange(1, 4)}s",
                          f"StekTicketLifetime {rng.randrange(1, 61)}s"], rng.randrange(3))
        vhosts.append(Vhost(f"v{i}.test", rules + own))
    server = httpd(vhosts=vhosts, server=["StekRing default interval=60s lifetime=60s poll=1s",
                                          f"SSLSessionCacheTimeout {rng.randrange(2)}"], clock=True).start()
    chains = {(vhost.name, version): server.get(vhost.name, tls=version).session
              for vhost in vhosts for version in VERSIONS}
    seen = 0
    for offset in range(4):
        server.set_clock(offset)
        for (name, version), session in chains.items():
            reply = server.get(name, tls=version, session=session)
            assert reply.status == 200
            for ticket in reply.tickets:
                _issued, timeout = inner(server, ticket)
                assert timeout >= 1, f"{name}, TLS {version}: a session timeout of {timeout}"
                # The hint of a renewed TLS 1.2 ticket is 0: "not said" (RFC 5077, 3.3).
                assert ticket.hint >= 1 or (reply.resumed and version == "1.2")
                seen += 1
            chains[name, version] = reply.session or session
    assert seen >= 40
