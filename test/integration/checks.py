# SPDX-License-Identifier: Apache-2.0
"""What several tests ask of a server."""
import time
from dataclasses import replace

import pytest

import ringfile
import tls
from httpd import VALUES, wait_for

# Of TLS, in which servers give tickets, whatever STEK_VALUES says.
VERSIONS = ("1.3",) if any("tls1.3" in line for line in VALUES) else ("1.2", "1.3")


def issued_now(server, ring="default", wait=0, **options):
    """A reply, after a check that all its tickets are under the key that encrypts now; if there is none,
    for so many seconds another."""
    before, end = int(server.now()), time.monotonic() + wait
    reply = server.get(**options)
    while not reply.tickets and time.monotonic() < end:
        reply = server.get(**options)
    after = int(server.now())
    if not reply.tickets:
        tls.premise()
    assert reply.tickets, "no ticket came"
    stored = server.ring(ring)
    allowed = {stored.current(t).name for t in range(before, after + 1)}
    assert {ticket.name for ticket in reply.tickets} <= allowed, "a ticket under another key"
    for ticket in reply.tickets:
        assert stored.find(ticket.name).opens(ticket.ticket), "a ticket that its key does not open"
    return reply


def assert_hints(reply, hint):
    """What is left of an age counts from the second of the handshake: the last of many tickets may go out in the
    next one."""
    first, *more = [session.hint for session in reply.tickets]
    assert first == hint and set(more) <= {hint, hint - 1}


def wait_until(point):
    wait_for(lambda: time.time() >= point, f"{point}", max(0.0, point - time.time()) + 5)


def resealed(session, old, new, at=None):
    """The session, its ticket sealed under another key; at: as if issued at that time."""
    plain = old.opens(session.ticket)
    assert plain is not None, "the ticket is not under that key"
    if at is not None:
        inner = tls.Session.decoded(plain)
        tls.SSL_SESSION_set_time(inner.pointer, int(at))
        plain = inner.encoded()
    return session.with_ticket(new.ticket(plain))


def lines(**keys):
    """StekRing default interval=... as a list of one line."""
    return ["StekRing default " + " ".join(f"{key}={value}" for key, value in keys.items())]


def fixed_ring(*keys, interval=3600, lifetime=64800, **fields):
    """A ring of the keys given (or of one key for now), as another host would write it."""
    keys = list(keys) or [ringfile.make_key(interval=interval, lifetime=lifetime)]
    return ringfile.Ring(keys, interval=interval, lifetime=lifetime, **fields)


def newer(key, **changes):
    """Another key for the same slot that takes precedence over key."""
    fresh = ringfile.make_key()
    return replace(key, name=fresh.name, hmac=fresh.hmac, aes=fresh.aes,
                   not_before=key.not_before + 1, **changes)


def fill(path):
    """Writes until the disk is full."""
    with open(path, "wb", buffering=0) as ballast:
        with pytest.raises(OSError):
            while True:
                ballast.write(bytes(4096))
