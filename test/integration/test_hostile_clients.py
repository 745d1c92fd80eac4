# SPDX-License-Identifier: Apache-2.0
"""Clients that do what they like with tickets and with what asks for them: damaged ClientHellos, data before
the handshake, requests that come and go, connections that end early.  None gains a ticket, a resumption or
memory that its virtual host does not give.  STEK_SEED repeats a run; STEK_HELLOS sends more."""
import os
import re
import socket
import struct
from pathlib import Path

import pytest

import recorded
import tls
from access import REFUSALS, outcome
from httpd import Vhost
from seed import seeded_rng
from test_tickets_off import cache_lines

HELLOS = int(os.environ.get("STEK_HELLOS", "0")) or 300
TICKET_REQUEST = 58
MANY = ["StekTicketCount 16 resumed=16"]
# What mod_ssl and OpenSSL say of bad handshakes.
TALK = REFUSALS + ["AH0200[0-9]", "SSL Library Error"]


def kib(pid, what):
    return int(re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M).group(1))


# Damaged ClientHellos.

def split(hello):
    """(all before the extensions, [[type, body]])."""
    at = 39 + hello[38]
    at += 2 + int.from_bytes(hello[at:at + 2], "big")
    at += 1 + hello[at]
    head, found, at = hello[:at], [], at + 2
    while at < len(hello):
        kind, size = struct.unpack_from(">HH", hello, at)
        found.append([kind, hello[at + 4:at + 4 + size]])
        at += 4 + size
    return head, found


def joined(head, extensions):
    """The records of a ClientHello."""
    body = b"".join(struct.pack(">HH", kind, len(data) & 0xffff) + data for kind, data in extensions)
    text = head[4:] + struct.pack(">H", len(body) & 0xffff) + body
    message = head[:1] + struct.pack(">I", len(text))[1:] + text
    return b"".join(b"\x16\3\1" + struct.pack(">H", len(piece)) + piece for piece in
                    (message[at:at + 16384] for at in range(0, len(message), 16384)))


def damaged(rng, hello):
    """A ClientHello of which what is about tickets was changed."""
    head, extensions = split(hello)
    ours = [one for one in extensions if one[0] in (TICKET_REQUEST, recorded.PRE_SHARED_KEY,
                                                    recorded.SESSION_TICKET, 45)]
    for _ in range(rng.randrange(1, 4)):
        one = rng.choice(ours)
        what = rng.choice(["flip", "cut", "grow", "double", "move", "drop", "length", "empty"])
        data = bytearray(one[1])
        if what == "flip" and data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif what == "cut":
            data = data[:rng.randrange(len(data) + 1)]
        elif what == "grow":
            data += rng.randbytes(rng.choice([1, 2, 300, 20000]))
        elif what == "length" and len(data) >= 2:
            data[rng.choice([0, 0, 1])] = rng.choice([0, 1, 0x7f, 0xff])
        elif what == "empty":
            data = b""
        elif what == "double":
            extensions.insert(rng.randrange(len(extensions) + 1), list(one))
        elif what == "move" and one in extensions:
            extensions.remove(one)
            extensions.insert(rng.randrange(len(extensions) + 1), one)
        elif what == "drop" and one in extensions and len(extensions) > 1:
            extensions.remove(one)
        one[1] = bytes(data)
    return joined(head, extensions)


def throw(port, data):
    """Sends it and reads what comes."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        except OSError:
            pass


@pytest.mark.parametrize("value", ["on", "tls1.3"])
def test_damaged_client_hello_harms_nobody(httpd, mpm, value):
    rng = seeded_rng(mpm, value)
    server = httpd(mpm=mpm, processes=1, server=[f"StekTickets {value}", "StekTicketCount 3 resumed=3 max=16"])
    server.log_level = "info ssl:crit"
    server.start()
    way = recorded.Relay(server.port)
    hellos = []
    for version in ("1.2", "1.3"):
        session = server.get(tls=version).session
        with tls.Connection(way.port, "a.test", tls=version, session=session, request=b"\3\2"):
            pass
        hellos.append(recorded.message(way.last().client, recorded.CLIENT_HELLO))
    way.close()
    assert all(TICKET_REQUEST in recorded.hello(hello)[3] for hello in hellos)
    before = set(server.children())
    for _ in range(HELLOS):
        throw(server.port, damaged(rng, rng.choice(hellos)))
    assert before <= set(server.children())
    reply = server.get(session=server.get().session, request=b"\5\4")
    assert reply.resumed and len(reply.tickets) == reply.expected == 4


# A request that comes, goes, or is no such thing.

RETRY = ["SSLOpenSSLConfCmd Groups P-384"]


@pytest.mark.parametrize("bodies, expected", [([b"\3\1", None], None), ([None, b"\3\1"], 3)],
                         ids=["goes", "comes"])
def test_request_in_one_of_two_client_hellos(httpd, bodies, expected):
    """Nothing is answered that the second one does not ask."""
    server = httpd(server=["StekTicketCount 2 max=9"] + RETRY).start()
    ask = dict(groups="X25519:P-384", request=bodies)
    reply = server.get(**ask)
    assert reply.status == 200 and reply.expected == expected
    assert len(reply.tickets) == (2 if expected is None else expected)
    again = server.get(session=reply.session, **ask)
    assert again.resumed and len(again.tickets) == 1


@pytest.mark.parametrize("body", [b"", b"\1", b"\1\1\1"], ids=len)
def test_malformed_request_beside_a_ticket_or_an_older_version(httpd, body):
    server = httpd(vhosts=[Vhost("a.test"), Vhost("old.test", ["SSLProtocol TLSv1.2"])])
    server.expect(*TALK)
    server.start()
    session = server.get().session
    with pytest.raises(tls.TlsError, match="alert decode error"):
        server.get(session=session, request=body)
    assert server.get(session=session).resumed
    assert server.get("old.test", tls="1.2", request=body).status == 200


# Data before the handshake is done (0-RTT).

@pytest.mark.parametrize("value", ["on", "tls1.3", "off"])
def test_early_data_is_never_taken(httpd, mpm, value):
    server = httpd(mpm=mpm, vhosts=[Vhost("first.test"), Vhost("a.test", MANY)]).start()
    session = server.get("a.test").session
    server.vhosts[1].lines = [f"StekTickets {value}"] + MANY
    server.graceful()
    early = b"GET /early HTTP/1.1\r\nHost: a.test\r\n\r\n"
    with tls.Connection(server.port, "a.test", session=session, early=early) as connection:
        assert tls.SSL_get_early_data_status(connection.ssl) == 1, "rejected"
        connection.send("a.test")
        reply = connection.receive()
    assert reply.status == 200 and reply.resumed is (value != "off")
    assert len(reply.tickets) == (0 if value == "off" else 16)


# Later questions on a connection.

def asking(certs):
    return [f"SSLCACertificateFile {certs}/ca.crt", "<Location /index.html>", "SSLVerifyClient require",
            "</Location>"]


@pytest.mark.parametrize("cache", ["none", "shmcb"])
@pytest.mark.parametrize("value", ["on", "tls1.3", "off"])
def test_certificate_that_is_asked_for_later_leaves_nothing_to_resume(httpd, certs, version, value, cache):
    """TLS 1.2 renegotiates, TLS 1.3 asks after the handshake; each would send its tickets again."""
    server = httpd(vhosts=[Vhost("first.test"),
                           Vhost("a.test", [f"StekTickets {value}"] + MANY + asking(certs))])
    cache_lines(server, cache)
    server.expect(*TALK)
    (server.root / "www" / "open.html").write_text("open\n")
    server.start()
    way = dict(tls=version, cert=certs / "client", pha=True, request=b"\x10\x10")
    reply = server.get("a.test", **way)
    assert reply.status == 200
    never = value == "off" or (value == "tls1.3" and version == "1.2")
    assert not (never and reply.tickets)
    for session in reply.sessions + reply.tickets:
        seen = server.get("a.test", path="/open.html", session=session, tls=version)
        assert seen.status == 200 and not (never and seen.resumed)
        assert outcome(server, "a.test", session=session, tls=version) != 200


# Connections that end early.



@pytest.mark.parametrize("after", ["hello", "handshake"])
def test_connections_that_end_early_leave_no_memory(httpd, after):
    """Sixteen tickets, asked for and never fetched."""
    server = httpd(mpm="prefork", processes=1, server=MANY)
    server.mpm_lines = ["StartServers 1", "MinSpareServers 1", "MaxSpareServers 1", "MaxRequestWorkers 1"]
    server.log_level = "info ssl:crit"
    server.start()
    way = recorded.Relay(server.port)
    session = server.get().session
    with tls.Connection(way.port, "a.test", session=session, request=b"\xff\xff"):
        pass
    hello = joined(*split(recorded.message(way.last().client, recorded.CLIENT_HELLO)))
    way.close()

    server.expect("AH00161")  # all of its one process are busy

    def many(n):
        for _ in range(n):
            if after == "hello":
                throw(server.port, hello)
            else:
                tls.Connection(server.port, "a.test", session=session, request=b"\xff\xff").close(quiet=False)
        assert server.get().status == 200
        (child,) = server.children()
        return child, kib(child, "VmRSS")
    child, before = many(150)
    again, now = many(300)
    print(f"{before} KiB, then {now} KiB")
    # A sanitizer keeps freed memory for a while, and finds leaks by itself.
    assert again == child and (now - before < 200 or "STEK_HTTPD_PRELOAD" in os.environ)
