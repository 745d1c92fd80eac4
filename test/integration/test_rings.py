# SPDX-License-Identifier: Apache-2.0
"""Several rings, and virtual hosts that this module leaves alone, behind one address."""
import os

import pytest

import tls
from checks import VERSIONS, issued_now
from httpd import Vhost, free_port

TWO_RINGS = ["StekRing one lifetime=2h", "StekRing two lifetime=3h"]


def test_rings_of_two_vhosts_share_nothing(httpd, mpm, version):
    server = httpd(mpm=mpm, server=TWO_RINGS, vhosts=[Vhost("a.test", ["StekUseRing one"]),
                                                      Vhost("b.test", ["StekUseRing two"])]).start()
    a = issued_now(server, host="a.test", ring="one", tls=version)
    b = issued_now(server, host="b.test", ring="two", tls=version)
    one, two = server.ring("one"), server.ring("two")
    assert (a.session.hint, b.session.hint) == (7200, 10800)
    assert server.secret("one") != server.secret("two")
    for part in ("name", "hmac", "aes"):
        assert not {getattr(k, part) for k in one.keys} & {getattr(k, part) for k in two.keys}
    for reply, host, other in ((a, "a.test", "b.test"), (b, "b.test", "a.test")):
        assert server.get(host, tls=version, session=reply.session).resumed
        crossed = server.get(other, tls=version, session=reply.session)
        assert crossed.status == 200 and not crossed.resumed


@pytest.mark.parametrize("ring, resumed", [("one", True), ("two", False)])
def test_rings_decide_where_mod_ssl_would_share(httpd, version, ring, resumed):
    # Of the same ServerName without a port, mod_ssl makes one session id context.
    there = free_port()
    server = httpd(server=TWO_RINGS + ["StekBinding off"])
    server.vhosts = [Vhost("a.test", ["StekUseRing one"]),
                     Vhost("a.test", [f"StekUseRing {ring}"], port=there)]
    server.start()
    first = issued_now(server, ring="one", tls=version, host="a.test")
    other = server.get("a.test", port=there, tls=version, session=first.session)
    assert other.resumed is resumed


@pytest.mark.parametrize("order", ["on-off", "off-on"])
def test_rotate_off_and_on_on_one_address_each_by_its_own_keys(httpd, mpm, version, order):
    vhosts = [Vhost("on.test"), Vhost("off.test", ["StekRotate off"])]
    server = httpd(mpm=mpm, vhosts=vhosts if order == "on-off" else vhosts[::-1],
                   processes=1).start()
    on = issued_now(server, host="on.test", tls=version)
    off = server.get("off.test", tls=version)
    assert off.tickets and not server.ring().find(off.name)
    assert (on.session.hint, off.session.hint) == (64800, 300)
    for _ in range(3):
        again = server.get("off.test", tls=version, session=off.session)
        assert again.resumed and not server.ring().find(again.session.name)
        assert server.get("on.test", tls=version, session=on.session).resumed
    for host, reply in (("off.test", on), ("on.test", off)):
        crossed = server.get(host, tls=version, session=reply.session)
        assert crossed.status == 200 and not crossed.resumed
    server.graceful()
    assert server.get("on.test", tls=version, session=on.session).resumed
    stock = server.get("off.test", tls=version, session=off.session)
    assert stock.status == 200 and not stock.resumed, "stock keys do not outlive a reload"


def test_rotate_off_renews_as_stock_does(httpd, version):
    counts = {}
    for module in (False, True):
        line = ["StekRotate off"] if module else []
        server = httpd(module=module, server=line, vhosts=[Vhost("a.test"), Vhost("b.test")])
        server.start()
        first = server.get("b.test", tls=version)
        second = server.get("b.test", tls=version, session=first.session)
        counts[module] = (len(first.tickets), len(second.tickets), second.resumed,
                          first.session.hint, len(first.session.ticket))
        server.stop()
    assert counts[True] == counts[False]


def test_rotate_off_everywhere_makes_no_ring(httpd):
    server = httpd(server=["StekRotate off"]).start()
    assert server.get().tickets and not server.ring_path().exists()


def test_rotate_on_in_vhost_overrides_off(httpd, version):
    server = httpd(server=["StekRotate off"], vhosts=[Vhost("a.test"),
                                                      Vhost("b.test", ["StekRotate on"])]).start()
    issued_now(server, host="b.test", tls=version)
    assert not server.ring().find(server.get("a.test", tls=version).name)


def key_file(server):
    path = server.root / "ticket.key"
    path.write_bytes(os.urandom(48))
    path.chmod(0o600)
    return path


def test_ticket_key_file_vhost_is_left_alone_with_a_notice(httpd, version):
    server = httpd(vhosts=[Vhost("a.test"), Vhost("b.test")])
    path = key_file(server)
    server.vhosts[0].lines.append(f"SSLSessionTicketKeyFile {path}")
    server.vhosts[1].port = free_port()
    server.start()
    assert server.get("a.test", tls=version).name == path.read_bytes()[:16]
    issued_now(server, host="b.test", tls=version)
    notice = server.lines(r"\[stek_rotate:notice\].*SSLSessionTicketKeyFile")
    assert len(notice) == 1 and "a.test" in notice[0] and "StekRotate on" in notice[0]


def test_ticket_key_file_with_rotate_on_is_ours(httpd, version):
    server = httpd()
    server.vhosts[0].lines += [f"SSLSessionTicketKeyFile {key_file(server)}", "StekRotate on"]
    server.start()
    first = issued_now(server, tls=version)
    server.graceful()
    assert server.get(tls=version, session=first.session).resumed


def test_ticket_key_file_first_on_a_shared_address_is_warned_of(httpd):
    server = httpd(vhosts=[Vhost("a.test"), Vhost("b.test")])
    server.vhosts[0].lines.append(f"SSLSessionTicketKeyFile {key_file(server)}")
    server.expect(r"\[stek_rotate:warn\]")
    server.start()
    warned = server.lines(r"\[stek_rotate:warn\]")
    assert len(warned) == 1 and "SSLSessionTicketKeyFile" in warned[0]
    assert "a.test" in warned[0] and "b.test" in warned[0]
    assert server.get("a.test").status == 200
    assert "handshakes fail here" in warned[0]
    with pytest.raises(tls.TlsError):  # as in stock httpd
        server.get("b.test")


def test_ticket_key_file_first_overrules_rotate_on_behind_it(httpd, version):
    """Each behind it is sealed under its own file's key, whatever its StekRotate says."""
    server = httpd(vhosts=[Vhost("a.test"), Vhost("b.test", ["StekRotate on"])])
    path = key_file(server)
    for vhost in server.vhosts:
        vhost.lines.append(f"SSLSessionTicketKeyFile {path}")
    server.expect(r"\[stek_rotate:warn\]")
    server.start()
    (warned,) = server.lines(r"\[stek_rotate:warn\]")
    assert "STEK3003" in warned and "own file seals its tickets" in warned
    assert server.get("b.test", tls=version).name == path.read_bytes()[:16]


def test_ticket_key_file_notice_says_whether_the_file_is_used(httpd, version):
    """a.test has no file and is the first of two on its address; c.test is alone on its own, and d.test
    follows it with a file of its own."""
    server = httpd(vhosts=[Vhost(f"{name}.test") for name in "abcd"])
    paths = {}
    for vhost in server.vhosts[1:]:
        paths[vhost.name] = server.root / f"{vhost.name}.key"
        paths[vhost.name].write_bytes(os.urandom(48))
        vhost.lines.append(f"SSLSessionTicketKeyFile {paths[vhost.name]}")
    there = free_port()
    for vhost in server.vhosts[2:]:
        vhost.port = there
    server.start()
    used, unused = server.lines("STEK3002")
    assert "c.test" in used and "and 1 more" in used
    assert "SSLSessionTicketKeyFile provides the ticket key" in used
    assert "b.test" in unused and "SSLSessionTicketKeyFile has no effect" in unused
    issued_now(server, host="a.test", tls=version)
    for name, path in paths.items():
        of_file = server.get(name, tls=version).name == path.read_bytes()[:16]
        assert of_file == (name != "b.test"), name
    ticket = server.get("b.test", tls=version)
    assert not server.ring().find(ticket.name)
    assert server.get("b.test", tls=version, session=ticket.session).resumed


@pytest.mark.parametrize("reverse", [False, True])
def test_ticket_lifetime_gives_each_vhost_its_hint(httpd, version, reverse):
    vhosts = [Vhost("a.test", ["StekTicketLifetime 10min"]), Vhost("b.test"),
              Vhost("c.test", ["StekTicketLifetime 1h", "StekUseRing two"]),
              Vhost("d.test", ["StekUseRing two"])]
    server = httpd(server=TWO_RINGS + ["StekTicketLifetime 90s"],
                   vhosts=vhosts[::-1] if reverse else vhosts).start()
    hints = {name: {session.hint for session in server.get(f"{name}.test", tls=version).tickets}
             for name in "abcd"}
    assert hints == {"a": {600}, "b": {90}, "c": {3600}, "d": {90}}


def test_plain_vhost_beside_tls_is_served(httpd):
    server = httpd(vhosts=[Vhost("a.test"), Vhost("plain.test", tls=False)])
    server.vhosts[1].port = free_port()
    server.start()
    assert tls.get_plain(server.vhosts[1].port, "plain.test").status == 200
    assert all(issued_now(server, tls=v).status == 200 for v in VERSIONS)
