# SPDX-License-Identifier: Apache-2.0
"""Beside the modules that TLS sites load: all of them in one server, each with virtual hosts of its own.
Tickets resume everywhere, and what the neighbours do for a client they do for one that resumes."""
import http.client
import itertools
import json
import re
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import handshakes
import tls
from checks import VERSIONS
from httpd import RUN_AS, Vhost, apxs, free_port, wait_for
from pki import Identity
from responder import Responder

MODULES = ["http2", "md", "status", "info", "macro", "alias", "vhost_alias", "proxy", "proxy_http",
           "proxy_http2", "socache_shmcb", "rewrite", "remoteip", "reqtimeout", "deflate"]
H2, H1 = ("h2", "http/1.1"), ("http/1.1",)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
MACRO = """<Macro StekSite $name $ring $lifetime>
<VirtualHost 127.0.0.1:$port>
ServerName $name
SSLEngine on
SSLCertificateFile {certs}/server.crt
SSLCertificateKeyFile {certs}/server.key
StekUseRing $ring
StekTicketLifetime $lifetime
</VirtualHost>
</Macro>"""
# Virtual host -> (ring, TLS versions that it speaks).
SITES = {"macro1.test": ("one", VERSIONS), "macro2.test": ("two", VERSIONS),
         "a.test": ("default", VERSIONS), "old.test": ("default", ("1.2",)),
         "new.test": ("default", ("1.3",)), "md.test": ("default", VERSIONS),
         "staple.test": ("one", VERSIONS), "x.alias.test": ("default", VERSIONS),
         "proxy.test": ("default", VERSIONS)}
CASES = [(site, version) for site, (_ring, versions) in SITES.items() for version in versions]


class Neighbourhood:
    """The server with all of them, the OCSP responder, and the server behind its proxy."""

    def __init__(self, httpd, mpm, certs, folder):
        authority = Identity(folder, "authority", ca=True)
        leaf = Identity(folder, "staple.test", authority)
        leaf.path.write_bytes(leaf.pem + authority.pem)
        self.responder = Responder(leaf)
        self.back = self._backend(httpd, mpm, certs)
        self.plain = free_port()
        self.front = httpd(mpm=mpm, modules=MODULES)
        self.h2 = "h2" if mpm == "event" else "http/1.1"  # mod_http2 does not work in prefork
        self.front.expect(*([] if mpm == "event" else ["AH10034"]))
        root = self.front.root
        self.front.server = self._server_lines(certs, root, self.front.port)
        (folder / "machine.pem").write_bytes((certs / "client.crt").read_bytes() +
                                             (certs / "client.key").read_bytes())
        self.front.vhosts = [
            Vhost("a.test"), Vhost("old.test", ["SSLProtocol -all +TLSv1.2"]),
            Vhost("new.test", ["SSLProtocol -all +TLSv1.3"]),
            Vhost("md.test", ["SSLEngine on"], tls=False),
            Vhost("staple.test", ["StekUseRing one", "SSLUseStapling on",
                                  f"SSLStaplingForceURL {self.responder.url}"], cert=leaf.base),
            Vhost("alias.test", ["ServerAlias *.alias.test", f"VirtualDocumentRoot {root}/www/%0"]),
            Vhost("proxy.test", ["SSLProxyEngine on", "SSLProxyVerify require",
                                 "SSLProxyCheckPeerName off",
                                 f"SSLProxyCACertificateFile {certs}/server.crt",
                                 f"SSLProxyMachineCertificateFile {folder}/machine.pem",
                                 f"ProxyPass / https://127.0.0.1:{self.back.port}/ disablereuse=on"]),
            Vhost("status.test", handshakes.STATUS + [
                "<Location /server-status>", "SetHandler server-status", "</Location>",
                "<Location /server-info>", "SetHandler server-info", "</Location>"],
                port=self.plain, tls=False)]
        for name in ("x", "y"):
            page = root / "www" / f"{name}.alias.test" / "index.html"
            page.parent.mkdir()
            page.write_text(name)
        self.front.start()

    def expect_acme(self, identity):
        """As if an authority were about to look: mod_md answers with that certificate."""
        folder = self.front.root / "md" / "challenges" / "md.test"
        folder.mkdir()
        for suffix, name in ((".crt", "pubcert.pem"), (".key", "privkey.pem")):
            path = shutil.copy(identity.path.with_suffix(suffix), folder / f"acme-tls-alpn-01-{name}")
            shutil.chown(path, RUN_AS)
        shutil.chown(folder, RUN_AS)

    @staticmethod
    def _backend(httpd, mpm, certs):
        """Stock, and asks its clients for certificates."""
        back = httpd(mpm=mpm, module=False, processes=1,
                     server=['LogFormat "%{X-Mark}i %{SSL_SESSION_RESUMED}x %{SSL_CLIENT_S_DN_CN}x" req'],
                     vhosts=[Vhost("back.test", ["SSLVerifyClient optional",
                                                 f"SSLCACertificateFile {certs}/ca.crt"])])
        return back.start()

    @staticmethod
    def _server_lines(certs, root, port):
        macro = MACRO.format(certs=certs).replace("$port", str(port)).splitlines()
        return ["Protocols h2 http/1.1 acme-tls/1", "ExtendedStatus On",
                f"SSLSessionCache shmcb:{root}/run/sessions(512000)",
                f"SSLStaplingCache shmcb:{root}/run/stapling(512000)", "StekRing one", "StekRing two",
                f"MDStoreDir {root}/md", "MDRenewMode manual", "<MDomainSet md.test>",
                f"MDCertificateFile {certs}/server.crt", f"MDCertificateKeyFile {certs}/server.key",
                "</MDomainSet>", *macro, "Use StekSite macro1.test one 600s",
                "Use StekSite macro2.test two 300s"]

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.plain, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": "status.test"})
            reply = connection.getresponse()
            assert reply.status == 200
            return reply.read().decode()
        finally:
            connection.close()

    def handshakes(self):
        """All that the module has counted, over all rings."""
        samples = handshakes.parse(self.ask("/stek-status?format=prometheus"))
        wanted = [f"stek_tickets_{what}_total" for what in ("resumed", "refused", "not_offered")]
        return sum(value for (name, _labels), value in samples.items() if name in wanted)

    def session(self, site, version, **options):
        """Of a full handshake, after a check that its tickets are of the site's ring."""
        reply = self.front.get(site, tls=version, **options)
        assert reply.status == 200 and not reply.resumed
        keys = {key.name for key in self.front.ring(SITES[site][0]).keys}
        assert reply.tickets and {session.name for session in reply.tickets} <= keys
        return reply.session


@pytest.fixture(params=["event", "prefork"])
def all_of_them(httpd, certs, tmp_path, request):
    there = Neighbourhood(httpd, request.param, certs, tmp_path)
    yield there
    there.responder.stop()


def test_neighbours_tickets_resume_across_reload_and_restart(all_of_them):
    sessions = {case: all_of_them.session(*case) for case in CASES}
    assert sessions["macro1.test", "1.3"].hint == 600 and sessions["macro2.test", "1.3"].hint == 300
    server = all_of_them.front
    for change in (lambda: None, server.graceful, server.restart):
        change()
        for (site, version), session in sessions.items():
            reply = server.get(site, tls=version, session=session)
            assert reply.status == 200 and reply.resumed, f"{site}, TLS {version}"
    # A ticket is its site's: rings and names keep apart what the neighbours put side by side.
    for site, other in (("macro1.test", "macro2.test"), ("md.test", "a.test"),
                        ("x.alias.test", "proxy.test")):
        assert not server.get(other, tls="1.3", session=sessions[site, "1.3"]).resumed


def offer_h2(server, site, version, session=None):
    """(resumed, protocol, session to go on with) of a connection that can speak HTTP/2."""
    with tls.Connection(server.port, site, tls=version, session=session, alpn=H2) as connection:
        if connection.reply.alpn == "h2":
            assert tls.SSL_write(connection.ssl, PREFACE, len(PREFACE)) == len(PREFACE)
            assert connection.read(), "no SETTINGS"
        else:
            connection.send(site)
            connection.receive()
        reply = connection.reply
        return reply.resumed, reply.alpn, reply.session


def test_neighbours_alpn_is_negotiated_at_each_resumption(all_of_them):
    server = all_of_them.front
    for site, version in CASES:
        resumed, protocol, session = offer_h2(server, site, version)
        assert (resumed, protocol) == (False, all_of_them.h2), site
        resumed, protocol, session = offer_h2(server, site, version, session)
        assert (resumed, protocol) == (True, all_of_them.h2), site
        reply = server.get(site, tls=version, session=session, alpn=H1)
        assert (reply.resumed, reply.alpn, reply.status) == (True, "http/1.1", 200), site
        reply = server.get(site, tls=version, session=session)
        assert (reply.resumed, reply.alpn, reply.status) == (True, "", 200), site


def seen_by_acme(server):
    """(protocol, certificate) that an authority sees of md.test."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["acme-tls/1"])
    with socket.create_connection(("127.0.0.1", server.port), 20) as plain:
        with context.wrap_socket(plain, server_hostname="md.test") as connection:
            return connection.selected_alpn_protocol(), connection.getpeercert(binary_form=True)


def test_neighbours_acme_challenge_is_answered(all_of_them, tmp_path):
    """By mod_md, over TLS-ALPN, and the site's tickets resume before and after."""
    server, session = all_of_them.front, all_of_them.session("md.test", "1.3")
    challenge = Identity(tmp_path, "challenge")
    all_of_them.expect_acme(challenge)
    assert seen_by_acme(server) == ("acme-tls/1", challenge.cert.public_bytes(Encoding.DER))
    assert server.get("md.test", session=session).resumed


def test_neighbours_proxy_as_a_client_is_left_alone(all_of_them):
    """Its connections are full handshakes with its own certificate, as stock's are, and count for no
    ring."""
    session = all_of_them.session("proxy.test", "1.3", headers=["X-Mark: first"])
    before = all_of_them.handshakes()
    for i in range(8):
        reply = all_of_them.front.get("proxy.test", tls="1.3", session=session, headers=["X-Mark: again"])
        assert reply.resumed and reply.body == b"hello\n", i
    assert all_of_them.handshakes() == before + 8
    log = all_of_them.back.root / "log" / "access.log"

    def seen():  # a request is logged after its answer
        return [line for line in log.read_text().splitlines() if not line.startswith("-")]
    wait_for(lambda: len(seen()) >= 9, "the log of the server behind")
    assert sorted(seen()) == 8 * ["again Initial client"] + ["first Initial client"]


def test_neighbours_session_cache_serves_clients_without_tickets(all_of_them):
    server = all_of_them.front
    for site, version in CASES:
        first = server.get(site, tls=version, tickets=False)
        assert first.status == 200 and first.sessions
        reply = server.get(site, tls=version, tickets=False, session=first.sessions[-1])
        assert reply.status == 200 and reply.resumed, f"{site}, TLS {version}"


def test_neighbours_stapled_response_comes_and_tickets_resume(all_of_them):
    server = all_of_them.front
    for version in VERSIONS:
        first = server.get("staple.test", tls=version, status=True)
        told = ocsp.load_der_ocsp_response(first.stapled)
        assert told.certificate_status == ocsp.OCSPCertStatus.GOOD
        assert server.get("staple.test", tls=version, session=first.session, status=True).resumed
        assert not server.get("a.test", tls=version, status=True).stapled
    assert all_of_them.responder.asked == 1, "mod_ssl keeps the response"


def test_neighbours_protocols_hold_for_clients_with_tickets(all_of_them):
    server = all_of_them.front
    for site, good, bad in (("old.test", "1.2", "1.3"), ("new.test", "1.3", "1.2")):
        sessions = [None, all_of_them.session(site, good), all_of_them.session("a.test", bad)]
        for session in sessions:
            with pytest.raises(tls.TlsError):
                server.get(site, tls=bad, session=session)
        assert server.get(site, tls=good, session=sessions[1]).resumed


def test_neighbours_pages_and_documents(all_of_them):
    server = all_of_them.front
    session = all_of_them.session("x.alias.test", "1.3")
    assert server.get("x.alias.test", session=session).body == b"x"
    assert server.get("y.alias.test", session=session).body == b"y"
    status = all_of_them.ask("/server-status?auto")
    for line in ("StekHealthy: 1", "Stek[one]Healthy: 1", "Stek[two]Healthy: 1"):
        assert line in status.splitlines()
    assert re.search("<td>two</td><td>healthy; rotates in ", all_of_them.ask("/server-status"))
    assert "mod_stek_rotate.c" in all_of_them.ask("/server-info")
    told = json.loads(all_of_them.ask("/stek-status?format=json"))
    rings = {vhost["name"]: vhost["ring"] for vhost in told["virtual_hosts"]}
    wanted = {site: ring for site, (ring, _versions) in SITES.items() if site != "x.alias.test"}
    assert wanted.items() <= rings.items()


# A module that has OpenSSL call it in the handshakes of one virtual host.

@pytest.fixture(scope="session")
def follower(tmp_path_factory):
    made = tmp_path_factory.mktemp("follower") / "mod_follower.so"
    flags = subprocess.run([apxs("APR_CONFIG"), "--includes", "--cppflags"], capture_output=True,
                           text=True, check=True).stdout.split()
    subprocess.run([*apxs("CC").split(), "-shared", "-fPIC", "-Wall", "-Werror", "-o", made,
                    f"-I{apxs('INCLUDEDIR')}", *flags, Path(__file__).parent / "mod_follower.c", "-lssl"],
                   check=True)
    made.parent.chmod(0o755)
    return made


@pytest.mark.parametrize("order", list(itertools.permutations(["a.test", "follower.test", "asks.test"])),
                         ids="-".join)
def test_module_that_follows_one_vhost_takes_nothing_from_any(httpd, follower, certs, order):
    asks = ["SSLVerifyClient optional", f"SSLCACertificateFile {certs}/ca.crt"]
    vhosts = {"a.test": [], "follower.test": asks, "asks.test": asks}
    scripted = handshakes.Scripted(httpd, processes=1, vhosts=[Vhost(name, vhosts[name]) for name in order[1:]],
                                   server=[f"LoadModule follower_module {follower}",
                                           "StekTicketCount 3 resumed=3 max=5"])
    server = scripted.server
    server.vhosts[1:2] = [Vhost(order[0], vhosts[order[0]])]
    server.start()
    for name in order:
        before = handshakes.ticket_counters(scripted.metrics())
        mark = server.mark()
        session = scripted.visit(name, request=b"\4\4").session
        reply = scripted.visit(name, session=session, request=b"\4\4")
        assert reply.resumed and len(reply.tickets) == reply.expected == 4
        assert len(scripted.visit(name, session=reply.session).tickets) == 3
        counted = handshakes.ticket_counters(scripted.metrics())
        counted.subtract(before)
        assert counted[handshakes.COUNTED["resumed-current"]] == 2
        assert bool(server.lines("FOLLOWER: handshake done", mark)) is (name == "follower.test")
