# SPDX-License-Identifier: Apache-2.0
"""StekTicketCount: how many tickets a TLS 1.3 client gets, by virtual host; and clients that ask for a
number (RFC 9149)."""
import itertools
import os
import struct

import pytest

import tls
from faults import Control
from handshakes import Scripted
from httpd import Vhost
from test_tickets_off import cache_lines

OWN = (2, 1)  # OpenSSL's: after a full handshake, after a resumed one
COUNTS = [(0, 0), (1, 1), (1, 0), (3, 2), (2, 5), (16, 16)]


def line(full, resumed=None, maximum=None):
    text = f"StekTicketCount {full}"
    text += "" if resumed is None else f" resumed={resumed}"
    return [text + ("" if maximum is None else f" max={maximum}")]


def numbers(server, host="a.test", session=None, **options):
    """How many tickets come after a full handshake, and after one resumed with one of them."""
    first = server.get(host, **options)
    assert first.status == 200 and not first.resumed
    session = session or (first.tickets[-1] if first.tickets else None)
    if session is None:
        return len(first.tickets), None
    again = server.get(host, session=session, **options)
    assert again.status == 200 and again.resumed
    return len(first.tickets), len(again.tickets)


def ticket_of(server, host="a.test"):
    """From a client that asks, of a vhost that gives none by itself."""
    return server.get(host, request=b"\1\1").session


# By virtual host.

@pytest.mark.parametrize("full, resumed", COUNTS)
def test_number_of_tickets_after_full_and_resumed_handshakes(httpd, mpm, full, resumed):
    server = httpd(mpm=mpm, server=line(full, resumed, 16)).start()
    session = None if full else ticket_of(server)
    assert numbers(server, session=session) == (full, resumed)
    # TLS 1.2 has one, whatever the number.
    reply = server.get(tls="1.2")
    assert len(reply.tickets) == 1 and server.get(tls="1.2", session=reply.session).resumed


def test_each_of_the_tickets_resumes_and_is_another(httpd):
    server = httpd(server=line(5, 3)).start()
    first = server.get().tickets
    again = server.get(session=first[0]).tickets
    assert len({one.ticket for one in first + again}) == 8
    for session in first + again:
        assert server.get(session=session).resumed


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_each_vhost_on_an_address_has_its_own_number(httpd, order):
    vhosts = [(Vhost("a.test", line(4, 3)), (4, 3)), (Vhost("b.test"), OWN), (Vhost("c.test", line(1, 0)), (1, 0))]
    server = httpd(vhosts=[vhosts[i][0] for i in order]).start()
    for vhost, expected in vhosts:
        assert numbers(server, vhost.name) == expected


def test_number_is_inherited_and_overridden_as_a_whole(httpd):
    server = httpd(server=line(5, 4, 9), vhosts=[Vhost("a.test"), Vhost("b.test", line(3)),
                                                 Vhost("c.test", line(0)), Vhost("d.test", line(6, 0))]).start()
    assert numbers(server, "a.test") == (5, 4)
    assert numbers(server, "b.test") == (3, 1)
    assert numbers(server, "c.test") == (0, None)
    assert numbers(server, "d.test") == (6, 0)
    server.server = []
    server.graceful()
    assert numbers(server, "a.test") == OWN


@pytest.mark.parametrize("first", [True, False])
def test_what_openssl_was_told_counts_where_nothing_else_is_said(httpd, first):
    vhosts = [Vhost("a.test", ["SSLOpenSSLConfCmd NumTickets 4"]), Vhost("b.test", line(1))]
    server = httpd(vhosts=vhosts if first else vhosts[::-1]).start()
    assert numbers(server, "a.test") == (4, 1) and numbers(server, "b.test") == (1, 1)
    vhosts[0].lines = ["SSLOpenSSLConfCmd NumTickets 0"]
    server.graceful()
    assert numbers(server, "a.test") == (0, None) and numbers(server, "b.test") == (1, 1)


def test_vhost_left_to_mod_ssl_is_left_alone(httpd):
    server = httpd(vhosts=[Vhost("a.test", line(5)), Vhost("o.test", line(5, 5, 5) + ["StekRotate off"])]).start()
    assert numbers(server, "o.test") == OWN
    reply = server.get("o.test", request=b"\5\5")
    assert len(reply.tickets) == 2 and reply.expected is None


def test_number_holds_for_sessions_in_the_cache(httpd):
    server = httpd(server=line(4, 3, 8) + ["SSLSessionTickets off"])
    cache_lines(server, "shmcb")
    server.start()
    assert numbers(server) == (4, 3)
    reply = server.get(request=b"\7\7")
    assert len(reply.tickets) == reply.expected == 7


@pytest.mark.parametrize("value", ["on", "tls1.3"])
def test_number_beside_stektickets(httpd, value):
    server = httpd(server=line(3, 2) + [f"StekTickets {value}"]).start()
    assert numbers(server) == (3, 2)
    assert len(server.get(tls="1.2").tickets) == (value == "on")


def test_no_key_means_no_ticket_and_the_client_is_told(httpd):
    scripted = Scripted(httpd, processes=1, server=line(3, 3, 5))
    scripted.server.start()
    assert scripted.visit(request=b"\4\4").expected == 4
    off = scripted.visit("off.test", request=b"\4\4")
    assert (off.expected, off.tickets) == (0, [])


# RFC 9149.

@pytest.mark.parametrize("asked", [(0, 0), (1, 0), (0, 1), (3, 2), (5, 7), (255, 255)], ids=str)
def test_client_that_asks_gets_it_up_to_the_maximum_and_is_told(httpd, mpm, asked):
    server = httpd(mpm=mpm, server=line(2, 1, 6)).start()
    request = struct.pack("BB", *asked)
    session = server.get().session
    first = server.get(request=request)
    assert (len(first.tickets), first.expected) == (min(asked[0], 6),) * 2
    again = server.get(session=session, request=request)
    assert again.resumed and (len(again.tickets), again.expected) == (min(asked[1], 6),) * 2
    assert server.get().expected is None


def test_ticket_that_is_refused_gives_a_full_handshakes_number(httpd):
    server = httpd(vhosts=[Vhost("a.test", line(2, 1, 9)), Vhost("b.test", line(2, 1, 9))]).start()
    session = server.get("a.test").session
    reply = server.get("b.test", session=session, request=b"\4\3")
    assert not reply.resumed and len(reply.tickets) == reply.expected == 4
    damaged = session.with_ticket(session.ticket[:-1] + bytes([session.ticket[-1] ^ 1]))
    reply = server.get("a.test", session=damaged, request=b"\4\3")
    assert not reply.resumed and len(reply.tickets) == reply.expected == 4


@pytest.mark.parametrize("order", [1, -1])
def test_maximum_is_of_the_vhost_that_sni_chose(httpd, order):
    vhosts = [Vhost("a.test", line(2, 1, 8)), Vhost("b.test", line(1, 1, 3)), Vhost("c.test"),
              Vhost("d.test", line(2, 1, 0))][::order]
    server = httpd(vhosts=vhosts).start()
    for host, expected in (("a.test", 8), ("b.test", 3), ("c.test", 2)):
        reply = server.get(host, request=b"\11\11")
        assert len(reply.tickets) == reply.expected == expected
    reply = server.get("d.test", request=b"\11\11")
    assert len(reply.tickets) == 2 and reply.expected is None


@pytest.mark.parametrize("body", [b"", b"\1", b"\1\1\1", bytes(300)], ids=len)
def test_request_of_another_length_is_a_decode_error(httpd, body):
    server = httpd(vhosts=[Vhost("a.test"), Vhost("ignores.test", line(2, 1, 0))])
    server.expect("AH02008|AH0200[0-9]")
    server.start()
    with pytest.raises(tls.TlsError, match="alert decode error"):
        server.get(request=body)
    assert server.get("ignores.test", request=body).status == 200
    # An extension of TLS 1.3 only.
    assert server.get(tls="1.2", request=body).status == 200
    assert server.get().status == 200


@pytest.mark.parametrize("second, good", [(b"\3\1", True), (b"\3\2", False), (b"\2\1", False)],
                         ids=["same", "resumption_count", "new_session_count"])
def test_request_that_changes_after_a_retry_is_an_illegal_parameter(httpd, second, good):
    server = httpd(server=line(2, 1, 9) + ["SSLOpenSSLConfCmd Groups P-384"])
    server.expect("AH02008|AH0200[0-9]")
    server.start()
    ask = dict(groups="X25519:P-384", request=[b"\3\1", second])
    if good:
        reply = server.get(**ask)
        assert len(reply.tickets) == reply.expected == 3
        assert server.get(session=reply.session, **ask).expected == 1
    else:
        with pytest.raises(tls.TlsError, match="alert illegal parameter"):
            server.get(**ask)


# What the administrator sees.

def test_status_and_metrics_tell_numbers_and_requests(httpd):
    scripted = Scripted(httpd, processes=1, vhosts=[Vhost("n.test", line(3, 2, 5)), Vhost("m.test", line(1, 1, 0))])
    scripted.server.start()
    hosts = {host["name"]: host.get("ticket_count") for host in scripted.json()["virtual_hosts"]}
    assert hosts["n.test"] == {"full": 3, "resumed": 2, "max": 5}
    assert hosts["m.test"] == {"full": 1, "resumed": 1, "max": 0}
    assert hosts["a.test"] == {"full": 2, "resumed": 1, "max": 2}
    page = scripted.status()
    assert "<td>3, resumed 2, on request up to 5</td>" in page and "<td>1, resumed 1</td>" in page
    name = "stek_handshakes_ticket_request_total"
    assert scripted.metrics()[name, (("ring", "default"),)] == 0
    scripted.visit("n.test", request=b"\2\0")
    scripted.visit("n.test")
    scripted.visit("m.test", request=b"\2\0")
    samples = scripted.metrics()
    assert samples[name, (("ring", "default"),)] == 1
    assert samples["stek_tickets_issued_total", (("ring", "default"),)] == 2 + 3 + 1
    assert scripted.json()["rings"][0]["counters"]["asked"] == 1


def test_ticket_word_of_no_tickets_is_none(httpd):
    server = httpd(server=line(0) + ['LogFormat "%{STEK_TICKET}n" word'])
    server.server.append(f"CustomLog {server.root}/log/word.log word")
    server.start()
    server.get()
    server.stop()
    assert set((server.root / "log" / "word.log").read_text().split()) == {"none"}


def test_where_clients_cannot_ask_it_is_said_and_nothing_else_changes(httpd, library, tmp_path):
    """Another module, or a later OpenSSL, has the extension: OpenSSL refuses ours."""
    control = Control(library, tmp_path / "control")
    server = httpd(server=line(3, 2), env={"STEK_FAULT_CONTROL": str(tmp_path / "control")})
    server.env["LD_PRELOAD"] = " ".join(
        filter(None, [os.environ.get("STEK_HTTPD_PRELOAD"), str(library)]))
    name = "SSL_CTX_add_custom_ext"
    control.arm(0, name, control.ways(name)[0])
    server.start()
    said = server.lines("STEK3016")
    assert len(said) == 1 and ":notice]" in said[0] and "a.test" in said[0]
    for body in (b"\1\1", b"\1"):
        reply = server.get(request=body)
        assert len(reply.tickets) == 3 and reply.expected is None
    assert numbers(server) == (3, 2)
    control.set(armed=0)
    mark = server.mark()
    server.graceful()
    assert not server.lines("STEK3016", mark) and server.get(request=b"\1\1").expected == 1
