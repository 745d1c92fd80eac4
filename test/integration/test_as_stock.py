# SPDX-License-Identifier: Apache-2.0
"""What a client sees is what it sees of the same server without the module, where tickets do not
differ on purpose."""
import pytest

import tls
from access import REFUSALS, attempt
from httpd import Vhost
from test_tickets_off import cache_lines, curl_statuses


def both(httpd, look, prepare=None, **options):
    """What look(server) says with the module, after a check that it says the same without."""
    said = []
    for module in (False, True):
        server = httpd(module=module, **options)
        if prepare:
            prepare(server)
        server.expect(*REFUSALS)
        server.start()
        said.append(look(server))
        server.stop()
    assert said[0] == said[1], "stock first"
    return said[1]


def story(server, host="a.test", times=4, **options):
    """(status, resumed, number of tickets) of a full handshake and resumptions that follow it."""
    told, session = [], None
    for _ in range(times):
        got, reply = attempt(server, host, session=session, **options)
        told.append((got, reply and reply.resumed, reply and len(reply.tickets)))
        session = reply.session if reply else None
    return told


def plain(version):
    tickets = (1, 0) if version == "1.2" else (2, 1)
    return [(200, False, tickets[0])] + [(200, True, tickets[1])] * 3


@pytest.mark.parametrize("sni", [True, False])
def test_resumption(httpd, version, sni):
    seen = both(httpd, lambda server: story(server, tls=version, sni=sni), processes=1)
    assert seen == plain(version)


def test_hello_retry_request(httpd):
    """The ticket is decrypted twice in one handshake."""
    groups = "X25519:P-384"
    seen = both(httpd, lambda server: story(server, tls="1.3", groups=groups), processes=1,
                server=["SSLOpenSSLConfCmd Groups P-384"])
    assert seen == plain("1.3")


def test_hello_retry_request_is_met(httpd):
    """Or the test before would show nothing: without a common group there is no handshake."""
    server = httpd(server=["SSLOpenSSLConfCmd Groups P-384"]).start()
    with pytest.raises(tls.TlsError):
        server.get(tls="1.3", groups="X25519")
    assert server.get(tls="1.3", groups="X25519:P-384").status == 200


@pytest.mark.parametrize("cert", [None, "client", "other-client"])
@pytest.mark.parametrize("pha", [True, False])
def test_certificate_asked_for_by_a_section(httpd, certs, version, cert, pha):
    """TLS 1.2 negotiates again, TLS 1.3 authenticates after the handshake.  But for the tickets that
    stock then sends once more, with the certificate in them: ours stay those from before."""
    lines = [f"SSLCACertificateFile {certs}/ca.crt", "<Location /index.html>",
             "SSLVerifyClient require", "SSLVerifyDepth 2", "</Location>"]

    good = cert == "client" and (pha or version == "1.2")

    def look(server):
        told = story(server, tls=version, pha=pha, cert=cert and certs / cert, host="rules.test")
        twice = good and version == "1.3" and not server.module
        return [(got, resumed, n // 2 if twice else n) for got, resumed, n in told]
    seen = both(httpd, look, processes=1, vhosts=[Vhost("a.test"), Vhost("rules.test", lines)])
    assert all((row[0] == 200) is good for row in seen)


def test_certificate_asked_for_by_the_server(httpd, certs, version):
    lines = ["SSLVerifyClient require", f"SSLCACertificateFile {certs}/ca.crt"]
    seen = both(httpd, lambda server: story(server, tls=version, cert=certs / "client",
                                            host="rules.test"),
                processes=1, vhosts=[Vhost("a.test"), Vhost("rules.test", lines)])
    assert seen == plain(version)


@pytest.mark.parametrize("tickets", [True, False])
def test_session_cache(httpd, version, tickets):
    def look(server):
        told, session = [], None
        for _ in range(4):
            reply = server.get("a.test", tls=version, tickets=tickets, session=session)
            told.append((reply.status, reply.resumed, len(reply.tickets)))
            session = (reply.tickets or reply.sessions or [session])[-1]
        return told
    seen = both(httpd, look, lambda server: cache_lines(server, "shmcb"), processes=1)
    assert [resumed for _, resumed, _ in seen] == [False, True, True, True]


def test_session_cache_of_one_name_is_not_of_another(httpd, version):
    def look(server):
        session = (server.get("a.test", tls=version, tickets=False).sessions or [None])[-1]
        return [server.get(host, tls=version, tickets=False, session=session).resumed
                for host in ("b.test", "a.test")]
    seen = both(httpd, look, lambda server: cache_lines(server, "shmcb"), processes=1,
                vhosts=[Vhost("a.test"), Vhost("b.test")])
    assert seen == [False, True]


def test_http2_connection_reused_for_another_name(httpd, certs):
    strict = ["SSLVerifyClient require", f"SSLCACertificateFile {certs}/ca.crt"]
    seen = both(httpd, lambda server: curl_statuses(server, [f"{c}.test" for c in "abca"]),
                modules=["http2"], server=["Protocols h2 http/1.1"],
                vhosts=[Vhost("a.test"), Vhost("b.test"), Vhost("c.test", strict)])
    assert seen == [200, 200, 421, 200]


def test_two_names_on_one_connection(httpd, certs, version):
    """HTTP/1.1 with an SNI of one vhost and a Host of another."""
    strict = ["SSLVerifyClient require", f"SSLCACertificateFile {certs}/ca.crt"]

    def look(server):
        session = server.get("a.test", tls=version).session
        return [attempt(server, "a.test", tls=version, http_host=host, session=given)[0]
                for host in ("b.test", "c.test") for given in (None, session)]
    assert both(httpd, look, processes=1, vhosts=[Vhost("a.test"), Vhost("b.test"),
                                                  Vhost("c.test", strict)]) == [200, 200, 421, 421]
