# SPDX-License-Identifier: Apache-2.0
"""A ticket opens nothing that a full handshake would not: the attack matrix, and what binds it."""
import hashlib
import itertools
import time
from collections import namedtuple

import pytest

import pki
import ringfile
import tls
from access import REFUSALS, REFUSED, attempt, outcome
from checks import resealed
from httpd import HAS_SNI_POLICY, Vhost, free_port, wait_for

Place = namedtuple("Place", "name port cert")


def demanding(certs, ca="ca"):
    return ["SSLVerifyClient require", "SSLVerifyDepth 3", f"SSLCACertificateFile {certs}/{ca}.crt"]


def matrix_vhosts(certs, ports):
    """(vhosts, certificate that gets a client into each).  On each port the first is the default.
    Names without a port on several ports: mod_ssl itself does not tell them apart."""
    here, there, third, fourth = ports
    section = [f"SSLCACertificateFile {certs}/ca.crt", "<Location /index.html>",
               "SSLVerifyClient require", "SSLVerifyDepth 3", "</Location>"]
    table = [
        ("open.test", here, [], None),
        ("secure.test", here, demanding(certs), "client"),
        ("others.test", here, demanding(certs, "other-ca"), "other-client"),
        ("section.test", here, section, "client"),
        ("secure2.test", there, demanding(certs), "client"),
        ("open2.test", there, [], None),
        ("open.test", third, demanding(certs), "client"),
        ("secure.test", third, [], None),
        ("others.test", third, demanding(certs), "client"),
        ("secure.test", fourth, demanding(certs, "other-ca"), "other-client"),
        ("section.test", fourth, [], None),
    ]
    return ([Vhost(name, lines, port) for name, port, lines, _ in table],
            [Place(name, port, cert) for name, port, _, cert in table])


# StekTickets and StekTicketCount, of one virtual host after the other.  `off` is nowhere the first on its
# address, where it would take the tickets from all.
VALUES = {"no values": [[]],
          "mixed values": [["StekTickets tls1.3", "StekTicketCount 3 resumed=2 max=4"], [],
                           ["StekTickets on", "StekTicketCount 1"], ["StekTickets off", "StekTicketCount 16"]]}


def prepare(httpd, certs, *server, values=([],)):
    ports = [0] + [free_port() for _ in range(3)]
    made = httpd(server=list(server))
    ports[0] = made.port
    made.vhosts, places = matrix_vhosts(certs, ports)
    for vhost, lines in zip(made.vhosts, itertools.cycle(values)):
        vhost.lines = vhost.lines + lines
    made.expect(*REFUSALS)
    return made.start(), places


def enter(server, place, certs, version):
    """The ticket of a client that the vhost lets in."""
    cert = place.cert and certs / place.cert
    reply = server.get(place.name, port=place.port, tls=version, cert=cert, pha=True)
    assert reply.status == 200, place
    return reply.session


def matrix(server, places, certs, version):
    """Every ticket at every place, by each SNI and Host.  Yields (what, what a full handshake of
    the same client gives, what the ticket gives, whether it resumed)."""
    fresh = {}
    for issuer in places:
        session = enter(server, issuer, certs, version)
        cert = issuer.cert and certs / issuer.cert
        for target in places:
            names = sorted({issuer.name, target.name})
            for sni in names + [False]:
                for host in names:
                    way = dict(port=target.port, sni=sni, http_host=host, tls=version, cert=cert)
                    key = tuple(way.values())
                    if key not in fresh:
                        fresh[key] = outcome(server, target.name, **way)
                    got, reply = attempt(server, target.name, session=session, **way)
                    yield ((issuer.name, issuer.port, "->", target.name, target.port, "SNI", sni,
                            "Host", host), fresh[key], got, bool(reply and reply.resumed))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("values", VALUES)
def test_matrix_ticket_opens_what_a_full_handshake_opens(httpd, certs, version, values):
    server, places = prepare(httpd, certs, values=VALUES[values])
    seen = list(matrix(server, places, certs, version))
    assert len(seen) > 600
    # Earlier, mod_ssl sends a client away that says no SNI but resumes a TLS 1.2 session with one.
    early = version == "1.2" and not HAS_SNI_POLICY
    assert [case for case in seen if case[1] != case[2] and not (early and case[2] == 421 and False in case[0])] == []
    # The matrix would say nothing if no ticket resumed, or if nothing were refused.
    resuming = [place for place, lines in zip(places, itertools.cycle(VALUES[values]))
                if "StekTickets off" not in lines and (version == "1.3" or "StekTickets tls1.3" not in lines)]
    assert len([case for case in seen if case[3] and case[2] == 200]) >= len(resuming)
    assert len([case for case in seen if case[1] != 200]) > len(seen) // 4


@pytest.mark.timeout(300)
def test_matrix_without_binding_some_attack_succeeds(httpd, certs, version):
    server, places = prepare(httpd, certs, "StekBinding off")
    breaches = [what for what, fresh, got, resumed in matrix(server, places, certs, version)
                if fresh != 200 and got == 200 and resumed]
    assert breaches
    # A certificate of one authority opens the port where the same name demands that of another.
    # (An open vhost's ticket there is refused by mod_ssl itself, after it has resumed.)
    assert any(b[0] == "others.test" == b[3] and b[1] != b[4] for b in breaches)


def test_binding_off_in_one_vhost_leaves_the_other_bound(httpd, certs, version):
    ports = [free_port() for _ in range(3)]
    server = httpd()
    server.vhosts = [Vhost("front.test"), Vhost("a.test", demanding(certs, "other-ca"), ports[0]),
                     Vhost("a.test", demanding(certs), ports[1]),
                     Vhost("a.test", demanding(certs) + ["StekBinding off"], ports[2])]
    server.expect(*REFUSALS)
    server.start()
    way = dict(tls=version, cert=certs / "other-client")
    session = server.get("a.test", port=ports[0], **way).session
    assert outcome(server, "a.test", port=ports[1], session=session, **way) == REFUSED
    assert outcome(server, "a.test", port=ports[2], **way) == REFUSED
    assert server.get("a.test", port=ports[2], session=session, **way).resumed


def test_binding_same_name_on_two_ports_is_two_places(httpd, version):
    """Though both are open, and mod_ssl would share."""
    other = free_port()
    server = httpd()
    server.vhosts = [Vhost("a.test"), Vhost("a.test", [], other)]
    server.start()
    session = server.get("a.test", tls=version).session
    crossed = server.get("a.test", port=other, tls=version, session=session)
    assert crossed.status == 200 and not crossed.resumed
    assert server.get("a.test", tls=version, session=session).resumed


def test_binding_off_shares_what_mod_ssl_shares(httpd, version):
    other = free_port()
    server = httpd(server=["StekBinding off"])
    server.vhosts = [Vhost("a.test"), Vhost("a.test", [], other)]
    server.start()
    session = server.get("a.test", tls=version).session
    assert server.get("a.test", port=other, tls=version, session=session).resumed


def test_binding_cert_of_another_authority_by_sections_of_the_same_path(httpd, certs, version):
    """Equal but for the authority's certificates: the file has the same name in both."""
    server = httpd()
    folder = server.root / "ca"
    folder.mkdir()
    section = ["<Location /index.html>", "SSLVerifyClient require", "</Location>"]
    lines = [f"SSLCACertificateFile {folder}/ca.crt", *section]
    server.vhosts = [Vhost("front.test"), Vhost("a.test", lines)]
    pki.write(folder / "ca.crt", (certs / "other-ca.crt").read_bytes())
    server.expect(*REFUSALS)
    server.start()
    reply = server.get("a.test", tls=version, cert=certs / "other-client", pha=True)
    assert reply.status == 200
    again = server.get("a.test", tls=version, cert=certs / "other-client", pha=True,
                       session=reply.session)
    assert again.status == 200 and again.resumed
    pki.write(folder / "ca.crt", (certs / "ca.crt").read_bytes())
    server.graceful()
    assert outcome(server, "a.test", tls=version, cert=certs / "other-client", pha=True) != 200
    assert outcome(server, "a.test", tls=version, cert=certs / "other-client", pha=True,
                   session=reply.session) != 200


# A genuine ticket, sealed under the ring's key, whose application data is not what it should be.

def other_version(good):
    return bytes([0x30 | good[0] & 15]) + good[1:]


def full_at(appdata):
    return int.from_bytes(appdata[:5], "big") & 0xfffffffff


def policy_digest(name, port):
    """Of a vhost that asks for no certificate, as mod_stek_policy_digest.h has it."""
    parts = (("policy v1, server name", name), ("port", str(port)))
    return hashlib.sha256("".join(f"{tag} {len(text)}\n{text}" for tag, text in parts).encode()).digest()


def as_version_1(good, full_at_s=None, digest=None):
    """The same in the 41 bytes of version 1: only half of the digest can be told from version 2."""
    at = full_at(good) if full_at_s is None else full_at_s
    return b"\1" + at.to_bytes(8, "big") + (digest or good[5:] + bytes(16))


FORGED = {
    "missing": lambda good: b"",
    "one byte": lambda good: b"\x20",
    "a byte short": lambda good: good[:-1],
    "a byte long": lambda good: good + b"\0",
    "another version": other_version,
    "foreign": lambda good: b"GET / HTTP/1.1 -- of some other software".ljust(len(good), b"x"),
    "another policy": lambda good: good[:5] + bytes(16),
    "one bit of the policy": lambda good: good[:-1] + bytes([good[-1] ^ 1]),
    "in 1970": lambda good: b"\x20" + bytes(4) + good[5:],
    "far in the future": lambda good: b"\x21" + bytes(4) + good[5:],
    "at the end of all time": lambda good: b"\x2f" + b"\xff" * 4 + good[5:],
    "in 1970, version 1": lambda good: as_version_1(good, 0),
    "far in the future, version 1": lambda good: as_version_1(good, 1 << 32),
    "beyond all time, version 1": lambda good: as_version_1(good, (1 << 64) - 1),
    "another policy, version 1": lambda good: as_version_1(good)[:9] + bytes(32),
    "another version 1": lambda good: b"\0" + as_version_1(good)[1:],
    "version 1, a byte short": lambda good: as_version_1(good)[:-1],
    "version 1 in the length of 2": lambda good: as_version_1(good)[:21],
    "oversized": lambda good: good + bytes(20000),
    "nested": lambda good: good * 7,
}


def forge(server, session, change):
    key = server.ring().find(session.name)
    inner = tls.Session.decoded(key.opens(session.ticket))
    return session.with_ticket(key.ticket(inner.with_appdata(change(inner.appdata)).encoded()))


def test_appdata_of_a_ticket_is_as_documented(httpd, version):
    server = httpd().start()
    before = int(time.time())
    session = server.get(tls=version).session
    key = server.ring().find(session.name)
    appdata = tls.Session.decoded(key.opens(session.ticket)).appdata
    assert len(appdata) == 21 and appdata[0] >> 4 == 2
    assert before <= full_at(appdata) <= time.time()
    assert appdata[5:] == policy_digest("a.test", server.port)[:16]
    again = server.get(tls=version, session=forge(server, session, lambda good: good))
    assert again.resumed, "a ticket that was opened and sealed again is as good"


def test_appdata_malformed_gives_full_handshake(httpd, version):
    server = httpd().start()
    session = server.get(tls=version).session
    for what, change in FORGED.items():
        reply = server.get(tls=version, session=forge(server, session, change))
        assert not reply.resumed and reply.status == 200, what
        assert reply.tickets, f"{what}: no fresh ticket"
        assert server.get(tls=version, session=reply.session).resumed, what
    assert server.get(tls=version, session=session).resumed


def old_ticket(server, session, age_s=0):
    """As it was sealed before version 2, to the byte: with the whole digest."""
    digest = policy_digest("a.test", server.port)
    return forge(server, session, lambda good: as_version_1(good, full_at(good) - age_s, digest))


def opened(server, session):
    return tls.Session.decoded(server.ring().find(session.name).opens(session.ticket)).appdata


def test_ticket_of_version_1_resumes_and_goes_on_as_version_2(httpd, mpm, version):
    server = httpd(mpm=mpm, server=["StekRing default poll=1s"]).start()
    before = int(time.time())
    session = old_ticket(server, server.get(tls=version).session, age_s=3600)
    assert len(opened(server, session)) == 41
    for _ in range(3):  # TLS 1.2 goes on with the same ticket
        reply = server.get(tls=version, session=session)
        assert reply.resumed and reply.status == 200
    renewed = appdata_of_the_next(server, session, version)
    assert len(renewed) == 21 and renewed[5:] == policy_digest("a.test", server.port)[:16]
    assert before - 3600 <= full_at(renewed) <= time.time() - 3600


def appdata_of_the_next(server, session, version):
    """The application data of the ticket that follows; in TLS 1.2 one under an old key is renewed."""
    if version == "1.2":
        key, ring = server.ring().find(session.name), server.ring()
        old = ringfile.make_key(key.not_before - 3600)
        server.put_ring(ringfile.Ring(ring.keys + [old], epoch=ring.epoch, generation=ring.generation + 1))
        session = resealed(session, key, old)

    def resumed():  # each child learns of the old key by itself
        reply = server.get(tls=version, session=session)
        return reply if reply.resumed else None
    reply = wait_for(resumed, "a resumption", 20)
    assert reply.tickets
    return opened(server, reply.session)


def test_ticket_of_version_1_ends_with_its_age(httpd, version):
    server = httpd(server=["StekMaxSessionAge 10min"]).start()
    session = server.get(tls=version).session
    assert server.get(tls=version, session=old_ticket(server, session, 580)).resumed
    for age_s in (600, 3600, -700):
        reply = server.get(tls=version, session=old_ticket(server, session, age_s))
        assert reply.status == 200 and not reply.resumed and reply.tickets


def test_ticket_of_version_1_is_bound_to_its_vhost_and_to_client_rules(httpd, certs, version):
    there = free_port()
    server = httpd(vhosts=[Vhost("a.test"), Vhost("a.test", demanding(certs), there)]).start()
    way = dict(port=there, tls=version, cert=certs / "client")
    strict = server.get("a.test", **way).session
    old = forge(server, strict, as_version_1)
    assert server.get("a.test", session=old, **way).resumed
    crossed = server.get("a.test", tls=version, session=old)
    assert crossed.status == 200 and not crossed.resumed
    plain = old_ticket(server, server.get("a.test", tls=version).session)
    assert server.get("a.test", tls=version, session=plain).resumed
    assert not server.get("a.test", session=plain, **way).resumed


NONSENSE = {"empty": b"", "byte": b"x", "short": b"\x30\x03\x02\x01\x01", "zeros": bytes(64),
            "length": b"\x30\x82\xff\xff", "long": b"\xff" * 4000}


@pytest.mark.parametrize("what", NONSENSE)
def test_ticket_of_nonsense_gives_full_handshake(httpd, version, what):
    server = httpd().start()
    session = server.get(tls=version).session
    key = server.ring().find(session.name)
    reply = server.get(tls=version, session=session.with_ticket(key.ticket(NONSENSE[what])))
    assert not reply.resumed and reply.status == 200
    assert server.get(tls=version, session=reply.session).resumed


def test_ticket_without_appdata_opens_with_binding_off_neither(httpd, version):
    """Whose age is not known could be endless."""
    server = httpd(server=["StekBinding off"]).start()
    session = server.get(tls=version).session
    reply = server.get(tls=version, session=forge(server, session, FORGED["missing"]))
    assert not reply.resumed and reply.status == 200
    assert server.get(tls=version, session=forge(server, session, FORGED["another policy"])).resumed
