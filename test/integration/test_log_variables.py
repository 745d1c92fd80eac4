# SPDX-License-Identifier: Apache-2.0
"""STEK_TICKET, STEK_KEY and STEK_RING: each state caused by a client and seen in an access log."""
import subprocess
from dataclasses import replace

import ringfile
import tls
from checks import VERSIONS, resealed
from handshakes import KINDS, Scripted
from httpd import Vhost, wait_for

FORMAT = ('LogFormat "%{X-Req}i %{STEK_TICKET}n %{STEK_KEY}n %{STEK_RING}n '
          '%{STEK_TICKET}e %{STEK_KEY}e %{STEK_RING}e %>s" stek')


def logging(httpd, **options):
    scripted = Scripted(httpd, **options)
    scripted.server.server += [FORMAT, f"CustomLog {scripted.server.root}/log/stek.log stek"]
    return scripted


def logged(server, request):
    """The fields behind the number of the request."""
    def look():
        path = server.root / "log" / "stek.log"
        text = path.read_text() if path.exists() else ""
        return [line.split()[1:] for line in text.splitlines() if line.split()[0] == str(request)]
    return wait_for(look, f"request {request} in the log")[0]


def key_expected(scripted, kind, session):
    if kind == "none":
        return "-"
    if kind == "new":
        return scripted.keys["current"].name[:4].hex()
    return session.name[:4].hex()


def test_log_variables_every_state_seen(httpd, mpm):
    scripted = logging(httpd, mpm=mpm, processes=2)
    server = scripted.server.start()
    seen, request = set(), 0
    for version in VERSIONS:
        scripted.prepare(version)
        for kind in KINDS:
            request += 1
            scripted.handshake(kind, version, headers=[f"X-Req: {request}"])
            key = key_expected(scripted, kind, scripted.sessions[version][kind])
            assert logged(server, request) == 2 * [kind, key, "default"] + ["200"], version
            seen.add(kind)
    assert seen == set(KINDS)


def test_log_variables_key_whose_window_is_over(httpd):
    """As soon as a key ends it is gone; its name still tells a late ticket from a strange one."""
    scripted = logging(httpd, processes=1)
    server = scripted.server.start()
    session = scripted.visit().session
    ending = replace(ringfile.make_key(int(server.now()) - 3600, 0), decrypt_until=int(server.now()) + 8)
    server.put_ring(ringfile.Ring([*scripted.keys.values(), ending], generation=2))
    late = resealed(session, scripted.keys["current"], ending)

    def resumes():
        return scripted.visit(session=late, headers=["X-Req: 7"]).resumed
    wait_for(resumes, "the key", 7)
    wait_for(lambda: not resumes(), "the key's end", 15)
    wait_for(lambda: "7 resumed-old " in (server.root / "log" / "stek.log").read_text(), "the word for it")
    scripted.visit(session=late, headers=["X-Req: 8"])
    assert logged(server, 8)[0] == "full-expired"


def test_log_variables_http2(httpd):
    scripted = logging(httpd, vhosts=[Vhost("h2.test", ["Protocols h2 http/1.1"])],
                       modules=["http2"], processes=1)
    server = scripted.server.start()
    done = subprocess.run(
        ["curl", "--silent", "--http2", "--insecure", "--resolve", f"h2.test:{server.port}:127.0.0.1",
         "--header", "X-Req: 1", f"https://h2.test:{server.port}/index.html", "--next", "--silent",
         "--http2", "--insecure", "--resolve", f"h2.test:{server.port}:127.0.0.1", "--header", "X-Req: 2",
         "--write-out", "%{http_version}", f"https://h2.test:{server.port}/index.html"],
        capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout.endswith("hello\n2"), done
    key = scripted.keys["current"].name[:4].hex()
    for request in (1, 2):
        assert logged(server, request) == 2 * ["new", key, "default"] + ["200"]


def test_log_variables_in_expressions_and_redirects(httpd):
    lines = ['Header always set X-Ticket "expr=%{reqenv:STEK_TICKET}"', "ErrorDocument 404 /index.html",
             "<Location /resumed>", "Require expr reqenv('STEK_TICKET') =~ /^resumed/", "</Location>"]
    scripted = logging(httpd, vhosts=[Vhost("x.test", lines)], processes=1)
    server = scripted.server.start()
    first = scripted.visit("x.test", headers=["X-Req: 1"])
    assert first.headers["x-ticket"] == "new"
    server.expect("AH01630")
    assert scripted.visit("x.test", path="/resumed").status == 403
    again = scripted.visit("x.test", path="/resumed", session=first.session, headers=["X-Req: 2"])
    assert again.body == b"hello\n" and again.headers["x-ticket"] == "resumed-current"
    assert logged(server, 2)[0] == logged(server, 2)[3] == "resumed-current"


def test_log_variables_malformed_request(httpd):
    scripted = logging(httpd, processes=1)
    server = scripted.server.start()
    with tls.Connection(server.port, "a.test") as connection:
        data = b"GET / HTTP/1.1\r\nX-Req: 1\r\n\r\n"  # no Host: refused before any handler
        tls.SSL_write(connection.ssl, data, len(data))
        assert connection.receive().status == 400
    assert logged(server, 1)[0] == "new"


def test_log_variables_not_ours_unset(httpd):
    scripted = logging(httpd, vhosts=[Vhost("o.test", ["StekRotate off"])], processes=1)
    server = scripted.server.start()
    scripted.visit("o.test", headers=["X-Req: 1"])
    assert logged(server, 1)[:6] == 6 * ["-"]
    scripted.status()  # plain HTTP
    assert logged(server, "-")[:6] == 6 * ["-"]


def test_log_variables_renegotiated_certificate_keeps_state(httpd, certs):
    """A request may ask for a certificate in a second handshake: the first one is what is told."""
    lines = [f"SSLCACertificateFile {certs}/ca.crt", "<Location /private>", "SSLVerifyClient require",
             "</Location>"]
    scripted = logging(httpd, vhosts=[Vhost("r.test", lines)], processes=1)
    server = scripted.server.start()
    before = scripted.metrics()
    reply = scripted.visit("r.test", tls="1.2", path="/private", cert=certs / "client",
                           headers=["X-Req: 1"])
    assert reply.status in (404, 200)
    assert logged(server, 1)[0] == "new"
    name = ("stek_tickets_not_offered_total", (("ring", "default"),))
    assert scripted.metrics()[name] == before[name] + 1
