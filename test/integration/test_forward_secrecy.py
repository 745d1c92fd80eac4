# SPDX-License-Identifier: Apache-2.0
"""StekTickets tls1.3: TLS 1.3 resumes, TLS 1.2 never does, and nothing without a key exchange; so a
stolen ring opens no recorded connection."""
import itertools
import re
import ssl
import subprocess

import pytest

import recorded
import ringfile
from checks import lines, wait_until
from handshakes import COUNTED, Scripted, ticket_counters
from httpd import Vhost, free_port, wait_for
from test_tickets_off import (CACHES, OFF, OFF_NODE, ON, ON_NODE, cache_lines, curl_statuses, dump,
                              resumes, HTTP2)

TLS13 = ["StekTickets tls1.3"]
TLS13_NODE = "SSLOpenSSLConfCmd Options SessionTicket,-AllowNoDHEKEX"
NO_KEX = ["SSLOpenSSLConfCmd Options AllowNoDHEKEX"]
VALUES = {"none": [], "on": ON, "tls1.3": TLS13, "off": OFF}


def resumes_as(server, host, value, **options):
    """That the vhost resumes what that value lets it, and nothing else."""
    for version in ("1.2", "1.3"):
        expected = value in ("none", "on") or (value == "tls1.3" and version == "1.3")
        assert resumes(server, host, version, **options) is expected, (host, value, version)


@pytest.fixture
def relay():
    made = []

    def make(server):
        made.append(recorded.Relay(server.port))
        return made[-1]
    yield make
    for one in made:
        one.close()


# On the wire.

@pytest.mark.parametrize("cache", CACHES)
def test_tls13_resumes_and_tls12_does_not(httpd, mpm, cache):
    server = httpd(mpm=mpm, server=TLS13)
    cache_lines(server, cache)
    server.start()
    resumes_as(server, "a.test", "tls1.3")
    assert len(server.get().tickets) == 2
    for tickets in (True, False):
        assert not resumes(server, "a.test", "1.2", tickets=tickets)


@pytest.mark.parametrize("cache", CACHES)
def test_tls12_client_sees_no_trace_of_tickets(httpd, relay, cache):
    """Nor of a session id: nothing that it could keep, whether it offers a ticket, an id or neither."""
    server = httpd(vhosts=[Vhost("on.test"), Vhost("a.test", TLS13)])
    cache_lines(server, cache)
    server.start()
    way = relay(server)
    old = server.get("on.test", tls="1.2").session
    assert old.ticket
    for session in (None, old):
        for tickets in (True, False):
            reply = server.get("a.test", tls="1.2", port=way.port, session=session, tickets=tickets)
            assert reply.status == 200 and not reply.resumed and not reply.tickets
            seen = way.last()
            offered = recorded.hello(recorded.message(seen.client, recorded.CLIENT_HELLO))[3]
            assert (recorded.SESSION_TICKET in offered) is tickets
            _, sid, _, answered = recorded.hello(recorded.message(seen.server, recorded.SERVER_HELLO))
            assert sid == b"" and recorded.SESSION_TICKET not in answered
            assert recorded.message(seen.server, recorded.NEW_TICKET) is None


@pytest.mark.parametrize("order", list(itertools.permutations(["on", "tls1.3", "none"])), ids="-".join)
def test_each_vhost_on_an_address_has_its_own_value(httpd, order):
    server = httpd(vhosts=[Vhost(f"v{i}.test", VALUES[value]) for i, value in enumerate(order)]).start()
    for i, value in enumerate(order):
        resumes_as(server, f"v{i}.test", value)


@pytest.mark.parametrize("above", ["on", "tls1.3", "off"])
@pytest.mark.parametrize("own", ["none", "on", "tls1.3", "off"])
@pytest.mark.parametrize("cache", CACHES)
def test_value_is_inherited_and_overridden(httpd, above, own, cache):
    """Behind a vhost that has tickets: one without them, first on its address, takes them from all."""
    server = httpd(server=VALUES[above], vhosts=[Vhost("first.test", ON), Vhost("a.test", VALUES[own])])
    cache_lines(server, cache)
    server.start()
    resumes_as(server, "a.test", above if own == "none" else own)


@pytest.mark.parametrize("lines", [["StekRotate off"], ["SSLSessionTicketKeyFile {}"]],
                         ids=["stock", "key file"])
@pytest.mark.parametrize("cache", CACHES)
def test_holds_where_mod_ssl_makes_the_tickets(httpd, lines, cache):
    server = httpd()
    key = server.root / "ticket.key"
    key.write_bytes(bytes(range(48)))
    own = [line.format(key) for line in lines]
    server.vhosts = [Vhost("plain.test", own), Vhost("a.test", own + TLS13)]
    cache_lines(server, cache)
    server.start()
    assert resumes(server, "plain.test", "1.2")
    assert not resumes(server, "a.test", "1.2") and not resumes(server, "a.test", "1.2", tickets=False)
    assert server.get("a.test").tickets


def test_ticket_of_before_a_reload_is_refused_and_told(httpd):
    scripted = Scripted(httpd, processes=1)
    server = scripted.server
    lines = ['LogFormat "%{SSL_PROTOCOL}x %{STEK_TICKET}n" word', f"CustomLog {server.root}/log/word.log word"]
    server.server += lines
    server.start()
    sessions = {version: scripted.visit(tls=version).session for version in ("1.2", "1.3")}
    server.vhosts[1].lines = TLS13
    server.graceful()
    before = ticket_counters(scripted.metrics())
    reply = scripted.visit(tls="1.2", session=sessions["1.2"])
    assert reply.status == 200 and not reply.resumed and not reply.tickets
    assert scripted.visit(tls="1.3", session=sessions["1.3"]).resumed
    # Each is logged after its answer, and by a thread of its own.
    wait_for(lambda: {"TLSv1.2 full-secrecy", "TLSv1.3 resumed-current"} <=
             set((server.root / "log" / "word.log").read_text().splitlines()), "two lines in the log")
    counted = ticket_counters(scripted.metrics())
    counted.subtract(before)
    assert counted[COUNTED["full-secrecy"]] == 1 and counted[COUNTED["resumed-current"]] == 1


def test_status_and_log_name_the_value(httpd):
    scripted = Scripted(httpd, vhosts=[Vhost("secret.test", TLS13)])
    server = scripted.server.start()
    hosts = {host["name"]: host for host in scripted.json()["virtual_hosts"]}
    assert (hosts["secret.test"]["mode"], hosts["secret.test"]["tickets"]) == ("tls1.3", True)
    assert (hosts["a.test"]["mode"], hosts["a.test"]["tickets"]) == ("on", True)
    assert (hosts["off.test"]["mode"], hosts["off.test"]["tickets"]) == ("off", False)
    samples = scripted.metrics()
    assert samples["stek_ring_tls13_virtual_hosts", (("ring", "default"),)] == 1
    assert re.search(r"<td>secret\.test:\d+</td><td>default</td><td>tls1\.3</td>", scripted.status())
    assert len(server.lines(r"STEK3011: secret\.test:\d+ .*: ring 'default', tickets tls1\.3, ")) == 1


# Without a key exchange.

def without_kex(server, host, groups="X448", **options):
    """Offers a session to a server that has no group in common with the client; None: refused."""
    import tls
    try:
        return server.get(host, tls="1.3", no_kex=True, groups=groups, **options)
    except tls.TlsError as error:
        assert "alert handshake failure" in str(error)
        return None


@pytest.mark.parametrize("order", [["on.test", "a.test"], ["a.test", "on.test"]], ids="-".join)
@pytest.mark.parametrize("where", ["server", "vhosts", "first"])
@pytest.mark.parametrize("cache", [None, "tickets", "ids"])
def test_without_a_key_exchange_nothing_resumes(httpd, order, where, cache):
    """Also where OpenSSL was told that it may: by tickets, and by ids (SSLSessionTickets off)."""
    server = httpd(server=["SSLOpenSSLConfCmd Groups P-256"])
    server.server += NO_KEX if where == "server" else []
    server.server += ["SSLSessionTickets off"] if cache == "ids" else []
    cache_lines(server, "shmcb" if cache else "none")
    server.vhosts = [Vhost(name, [] if name == "on.test" else list(TLS13)) for name in order]
    for vhost in server.vhosts if where == "vhosts" else server.vhosts[:1] if where == "first" else []:
        vhost.lines += NO_KEX
    server.expect("STEK3015|STEK3006|AH02042")
    server.start()
    # One ticket for each attempt: with SSLSessionCache they are good for one.
    first = {host: server.get(host, tls="1.3", groups="P-256").tickets for host in order}
    for host in order:
        reply = without_kex(server, host, session=first[host][0])
        allowed = host == "on.test" and (where != "first" or order[0] == host)
        assert bool(reply and reply.resumed and reply.status == 200) is allowed
        # With a key exchange, as ever.
        again = server.get(host, tls="1.3", groups="P-256", session=first[host][1])
        assert again.resumed
    said = server.lines("STEK3015")
    assert len(said) == 1 and ":warn]" in said[0] and "a.test" in said[0]


@pytest.mark.parametrize("modes", [b"\0", b"\0\1", b"\1\0", b"\1"], ids=bytes.hex)
def test_client_that_would_do_without_gets_a_key_exchange(httpd, modes):
    server = httpd(server=recorded.SUITES, vhosts=[Vhost("on.test", NO_KEX), Vhost("a.test", TLS13)])
    server.expect("STEK3015")
    server.start()
    for host in ("on.test", "a.test"):
        session = server.get(host, tls="1.3").session
        psk = recorded.master(server.ring().find(session.name).opens(session.ticket))
        answer = recorded.offer_without_kex(server.port, host, session, psk, modes)
        only = modes == b"\0"
        assert (recorded.PRE_SHARED_KEY in answer) is (host == "on.test" or not only)
        assert (recorded.KEY_SHARE in answer) is (host == "a.test" or not only)


def test_no_warning_where_nobody_allows_it(httpd):
    server = httpd(server=["SSLOpenSSLConfCmd Options -AllowNoDHEKEX,+PrioritizeChaCha"],
                   vhosts=[Vhost("on.test"), Vhost("a.test", TLS13)]).start()
    assert not server.lines("STEK3015")


@pytest.mark.parametrize("also", [[], NO_KEX], ids=["file", "file and directive"])
def test_warning_says_where_the_option_is_set(httpd, folder, also):
    settings = folder / "openssl.cnf"
    settings.write_text("openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = it\n[it]\n"
                        "Options = AllowNoDHEKEX\n")
    server = httpd(vhosts=[Vhost("on.test", also), Vhost("a.test", TLS13)], env={"OPENSSL_CONF": str(settings)})
    said = server.start().wait_log("STEK3015")
    assert len(said) == 1 and "on.test" in said[0]
    assert ("OpenSSL's configuration file" in said[0]) is (not also)
    assert ("SSLOpenSSLConfCmd" in said[0]) is bool(also)


# The demonstration: what a stolen ring opens of recorded connections.

WORDS = {"1.2": b"GET /index.html", "1.3": b"GET /index.html"}


def record(server, way, host, version, **options):
    """(capture of a full handshake, capture of its resumption or of what came instead)."""
    first = server.get(host, tls=version, port=way.port)
    full = way.last()
    reply = server.get(host, tls=version, port=way.port, session=first.session, **options)
    assert first.status == reply.status == 200
    return full, way.last(), reply.resumed


def test_stolen_ring_opens_recorded_tls12_under_on(httpd, relay):
    server = httpd(server=recorded.SUITES).start()
    full, again, resumed = record(server, relay(server), "a.test", "1.2")
    assert resumed
    for capture in (full, again):
        asked, answered = recorded.read_tls12(capture, server.ring())
        assert asked.startswith(WORDS["1.2"]) and b"\r\n\r\nhello\n" in answered


def test_stolen_ring_opens_the_first_connection_of_a_client_that_keeps_resuming(httpd, relay):
    """Its first key is destroyed, but a renewed ticket holds the same secret.  Once the last key is gone, nothing does."""
    server = httpd(server=recorded.SUITES + lines(interval="2s", lifetime="8s", poll="1s")).start()
    way = relay(server)
    first = server.get(tls="1.2", port=way.port)
    full, key = way.last(), server.ring().find(first.session.name)
    wait_until(key.encrypt_until)
    renewed = server.get(tls="1.2", port=way.port, session=first.session)
    again, last = way.last(), server.ring().find(renewed.session.name)
    assert renewed.resumed and last.name != key.name
    # What a thief finds when the first key has ended; and when both have.
    ring = ringfile.Ring([last])
    assert recorded.read_tls12(full, ring) is None
    asked, _ = recorded.read_tls12(full, ring, later=again)
    assert asked.startswith(WORDS["1.2"])
    wait_for(lambda: not server.ring().find(last.name), "the last key's end", 45)
    assert recorded.read_tls12(full, server.ring(), later=again) is None


def test_stolen_ring_opens_nothing_recorded_under_tls13(httpd, relay):
    server = httpd(server=recorded.SUITES + TLS13).start()
    way = relay(server)
    full, again, resumed = record(server, way, "a.test", "1.3")
    # The thief has the session's secret, and the client's binder proves it; but no shared secret.
    assert resumed and len(recorded.secrets(again, server.ring())) == 1
    assert recorded.read_tls13(again, server.ring()) is None
    assert recorded.tickets(full) == []
    for capture in record(server, way, "a.test", "1.2")[:2]:
        assert recorded.tickets(capture) == [] and recorded.read_tls12(capture, server.ring()) is None


def test_stolen_ring_opens_recorded_tls13_only_without_a_key_exchange(httpd, relay):
    """The same reader, where `on` and AllowNoDHEKEX let it: what fails above is not the reader."""
    server = httpd(server=recorded.SUITES + NO_KEX + ["SSLOpenSSLConfCmd Groups P-256"]).start()
    way = relay(server)
    first = server.get(tls="1.3", groups="P-256")
    assert without_kex(server, "a.test", session=first.session, port=way.port).resumed
    asked, answered = recorded.read_tls13(way.last(), server.ring())
    assert asked.startswith(WORDS["1.3"]) and b"\r\n\r\nhello\n" in answered
    assert server.get(tls="1.3", groups="P-256", session=first.session, port=way.port).resumed
    assert recorded.read_tls13(way.last(), server.ring()) is None


# Other clients.

def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=30,
                          **options)
    return done.returncode, done.stdout + done.stderr


def test_openssl_client(httpd, folder):
    server = httpd(server=TLS13).start()
    connect = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "a.test"]
    status, text = run(*connect, "-tls1_2", "-reconnect", stdin=subprocess.DEVNULL)
    assert status == 0 and text.count("New, TLSv1.2") == 6 and "Reused" not in text
    assert "session ticket" not in text.lower() and "alert" not in text
    ask = "GET /index.html HTTP/1.0\r\nHost: a.test\r\n\r\n"
    status, text = run(*connect, "-tls1_3", "-ign_eof", "-sess_out", folder / "s", input=ask)
    assert status == 0 and "New, TLSv1.3" in text and "hello" in text
    status, text = run(*connect, "-tls1_3", "-ign_eof", "-sess_in", folder / "s", input=ask)
    assert status == 0 and "Reused, TLSv1.3" in text and "hello" in text


def test_gnutls_client(httpd):
    server = httpd(server=TLS13).start()
    for version, resumed in (("1.2", False), ("1.3", True)):
        status, text = run("gnutls-cli", "--insecure", "--sni-hostname=a.test", "-p", server.port,
                           "--resume", "--waitresumption",
                           f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}", "127.0.0.1",
                           input="GET /index.html HTTP/1.0\r\nHost: a.test\r\n\r\n")
        assert status == 0 and ("This is a resumed session" in text) is resumed, text
        assert "alert" not in text.lower().replace("no alert", "")


def test_curl_client(httpd):
    server = httpd(server=TLS13).start()
    url = f"https://a.test:{server.port}/index.html"
    for version in ("1.2", "1.3"):
        # One process keeps its sessions; each connection is closed.
        status, text = run("curl", "-svk", "--noproxy", "*", "--resolve",
                           f"a.test:{server.port}:127.0.0.1", "--tls-max", version,
                           "--tlsv" + version, "-H", "Connection: close", url, url)
        assert status == 0 and len(re.findall("^hello$", text, re.M)) == 2, text
        assert len(re.findall("SSL re-?using session ID", text)) == (version == "1.3"), text


@pytest.mark.parametrize("alpn", ["http/1.1", "h2"])
def test_python_client(httpd, alpn):
    server = httpd(modules=["http2"], server=TLS13 + HTTP2).start()
    import socket
    for version, resumed in ((ssl.TLSVersion.TLSv1_2, False), (ssl.TLSVersion.TLSv1_3, True)):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols([alpn])
        session, seen = None, []
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
                with context.wrap_socket(sock, server_hostname="a.test", session=session) as wrapped:
                    assert wrapped.selected_alpn_protocol() == alpn
                    wrapped.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
                                    if alpn == "h2" else b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
                    wrapped.recv(4096)
                    session, seen = wrapped.session, seen + [wrapped.session_reused]
        assert seen == [False, resumed, resumed]


# What the administrator sees.

EMITTED = {
    "main server, two vhosts inherit": (TLS13, [Vhost("a.test"), Vhost("b.test")], [TLS13_NODE]),
    "off, tls1.3 and on in vhosts": (OFF, [Vhost("a.test", TLS13), Vhost("b.test", ON), Vhost("c.test")],
                                     [OFF_NODE, TLS13_NODE, ON_NODE]),
    "said twice": (TLS13 + TLS13, [Vhost("a.test")], [TLS13_NODE]),
    "in any case": (["StekTickets TLS1.3"], [Vhost("a.test")], [TLS13_NODE]),
}


@pytest.mark.parametrize("case", EMITTED)
def test_value_is_in_the_dump_of_the_configuration(httpd, case):
    lines, vhosts, expected = EMITTED[case]
    dumped = dump(httpd(server=lines, vhosts=vhosts, modules=["info"]))
    assert [line for line in dumped if line.startswith("SSLOpenSSLConfCmd")] == expected
    at = dumped.index(TLS13_NODE)
    assert dumped[at - 1].lower() == "stektickets tls1.3"


@pytest.mark.parametrize("other", ["none", "on", "tls1.3"])
@pytest.mark.parametrize("first", [True, False])
def test_http2_connection_of_another_value_does_not_serve(httpd, other, first):
    """A resumed TLS 1.2 connection would carry requests for the vhost that must not have any."""
    vhosts = [Vhost("a.test", TLS13), Vhost("b.test", VALUES[other])]
    server = httpd(modules=["http2"], server=HTTP2, vhosts=vhosts if first else vhosts[::-1])
    server.expect("AH10157|AH02032")
    server.start()
    names = [vhost.name for vhost in server.vhosts]
    status = 200 if other == "tls1.3" else 421
    assert curl_statuses(server, names + names[:1]) == [200, status, 200]
    notices = server.lines("STEK3007")
    assert len(notices) == (status == 421)
    assert all("a.test" in notice and "b.test" in notice and "421" in notice for notice in notices)


def test_tickets_off_first_is_said_of_a_vhost_that_wants_tls13(httpd):
    server = httpd(vhosts=[Vhost("off.test", OFF), Vhost("a.test", TLS13)]).start()
    said = server.wait_log("STEK3006")
    assert len(said) == 1 and "a.test" in said[0] and "off.test" in said[0]


def test_another_address_is_no_neighbour(httpd):
    server = httpd(vhosts=[Vhost("on.test", NO_KEX), Vhost("a.test", TLS13, port=free_port())]).start()
    assert not server.lines("STEK3015") and not server.lines("STEK3007")
