# SPDX-License-Identifier: Apache-2.0
"""After a resumption httpd decides of a client what it decides after a full handshake of the same
client (S6): random configurations, clients and pages, and both compared.  `make differential` is the
long form; STEK_SEED repeats a run."""
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

import pki
import tls
from access import REFUSALS, REFUSED, attempt
from checks import VERSIONS
from httpd import Vhost, free_port
from seed import SEED, seeded_rng

VHOSTS = 16
BLOCK = 110   # cases under one configuration
CASES = int(os.environ.get("STEK_DECISIONS", "0")) or 220
MODES = ["none", "optional", "optional_no_ca", "require"]
GENEROUS = MODES.index("optional_no_ca")   # a virtual host that lets in whomever
PAGES = ["echo", "verify", "expr", "sslrequire"]
# What mod_ssl says of certificates that it does not like, of users it cannot name and of CRLs.
TALK = REFUSALS + ["AH02008", "AH02009", "AH02010", "AH02038", "AH02227", "AH02229", "AH01902", "AH01630",
                   "AH02224", "AH02222", "AH01617", "AH01618", "AH02264", "SSL Library Error"]


class People:
    """Clients of every kind, by name; None: no certificate."""

    def __init__(self, folder):
        self.folder = folder
        self.root = pki.Identity(folder, "root", ca=True)
        middle = pki.Identity(folder, "middle", self.root, ca=True)
        stranger = pki.Identity(folder, "stranger", ca=True)
        revoked = pki.Identity(folder, "revoked", self.root)
        self.certs = {
            "none": None, "revoked": revoked, "good": pki.Identity(folder, "good", self.root),
            "deep": pki.Identity(folder, "deep", middle), "self": pki.Identity(folder, "self"),
            "other": pki.Identity(folder, "other", stranger),
            "expired": pki.Identity(folder, "expired", self.root, seconds=-60)}
        pki.write(folder / "list.pem", self.root.crl(revoked), middle.crl())

    def cert(self, who):
        return self.certs[who] and self.certs[who].base


def section(rng, path, settings):
    kind = rng.choice(["Location", "Directory"])
    return [f"<{kind} {path[kind]}>", *settings, f"</{kind}>"]


def rules(rng, people, www, i):
    """Lines of a virtual host: pages at two places, of which one has rules of its own."""
    lines = [f"SSLCACertificateFile {people.root.path}", f"SSLVerifyClient {MODES[i % len(MODES)]}",
             f"SSLVerifyDepth {rng.choice([0, 1, 1, 2, 5])}", "SSLOptions +StdEnvVars"]
    if i != GENEROUS and rng.random() < 0.7:
        lines += [f"SSLCARevocationFile {people.folder}/list.pem", "SSLCARevocationCheck "
                  + rng.choice(["leaf", "chain", "leaf no_crl_for_cert_ok", "chain no_crl_for_cert_ok"])]
    inner = [f"SSLVerifyClient {mode}" for mode in [rng.choice([None] + MODES)] if mode]
    inner += [f"SSLVerifyDepth {rng.choice([0, 1, 3])}"] * rng.randrange(2)
    inner += ["SSLOptions +OptRenegotiate"] * (rng.random() < 0.3)
    lines += section(rng, {"Location": "/in", "Directory": f"{www}/in"}, inner)
    lines += ["SSLUserName SSL_CLIENT_S_DN_CN"] * (rng.random() < 0.5)
    for prefix in ("", "/in"):
        lines += [f"<Location {prefix}/verify>", "Require ssl-verify-client", "</Location>",
                  f"<Location {prefix}/expr>", "Require expr %{SSL_CLIENT_VERIFY} in "
                  "{'SUCCESS', 'NONE'}", "</Location>",
                  f"<Location {prefix}/sslrequire>",
                  'SSLRequire %{SSL_CLIENT_S_DN_CN} in {"good", "deep", "self", "other"} and '
                  '%{SSL_CLIENT_VERIFY} eq "SUCCESS"', "</Location>"]
    for name in ("SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN", "SSL_CLIENT_M_SERIAL", "REMOTE_USER"):
        lines.append(f'Header always set X-{name} "expr=%{{{name}}}"')
    return lines


@dataclass
class Case:
    host: str
    version: str
    who: str
    warm: str     # the page after whose request the client holds its sessions
    page: str
    keeps: str    # "ticket", or "id": a session of mod_ssl's cache
    pha: bool


def decision(got, reply):
    """All that an application, or the client, sees of it."""
    if got == REFUSED:
        return REFUSED
    return (got, *(reply.headers.get(f"x-{name}") for name in (
        "ssl_client_verify", "ssl_client_s_dn", "ssl_client_m_serial", "remote_user")))


def ask(server, people, case, page, session=None):
    way = dict(tls=case.version, path=page, cert=people.cert(case.who), pha=case.pha,
               tickets=case.keeps == "ticket")
    got, reply = attempt(server, case.host, session=session, **way)
    return decision(got, reply), reply


def sessions_of(reply, case):
    if case.keeps == "ticket":
        kept = reply.tickets
    else:
        kept = [session for session in reply.sessions if session.id and not session.ticket]
    return kept[:1] + kept[-1:] if len(kept) > 1 else kept


def random_case(rng, n):
    page = [rng.choice(["", "/in"]) + "/" + rng.choice(PAGES) for _ in range(2)]
    version = rng.choice(["1.2", "1.3"])
    keeps = "id" if version == "1.2" and rng.random() < 0.3 else "ticket"
    host, who = rng.randrange(VHOSTS), rng.choice(
        ["none", "good", "deep", "self", "self", "other", "expired", "revoked"])
    if n % 10 == 0:
        host, who = GENEROUS, "self"
    return Case(f"v{host}.test", version, who, *page, keeps, rng.random() < 0.8)


def prepare(httpd, rng, people, cached):
    server = httpd(server=["SSLSessionCache shmcb:run/cache(512000)"] if cached else [],
                   modules=["authz_user", "authn_core", "socache_shmcb"], processes=1)
    www = server.root / "www"
    for prefix in ("", "in"):
        (www / prefix).mkdir(exist_ok=True)
        for page in PAGES:
            (www / prefix / page).write_text("hello\n")
    configure(server, rng, people)
    server.expect(*TALK)
    return server.start()


def configure(server, rng, people):
    www = server.root / "www"
    server.vhosts = [Vhost("open.test")] + [Vhost(f"v{i}.test", rules(rng, people, www, i))
                                            for i in range(VHOSTS)]


@pytest.fixture
def people():
    with tempfile.TemporaryDirectory(prefix="stek-people-") as folder:
        os.chmod(folder, 0o755)
        yield People(Path(folder))


@pytest.mark.timeout(60 + CASES)
@pytest.mark.parametrize("cached", [True, False], ids=["cache", "no cache"])
def test_resumption_decides_as_a_full_handshake(httpd, people, cached):
    rng = seeded_rng()
    server = prepare(httpd, rng, people, cached)
    wrong, resumed, refused, unverified = [], 0, 0, 0
    for n in range(CASES // 2):
        if n and n % BLOCK == 0 and not wrong:
            configure(server, rng, people)
            server.graceful()
        case = random_case(rng, n)
        warm, reply = ask(server, people, case, case.warm)
        if reply is None:
            refused += 1
            continue
        unverified += (warm[1] or "").startswith(("FAILED", "GENEROUS"))
        full, _ = ask(server, people, case, case.page)
        for session in sessions_of(reply, case):
            again, second = ask(server, people, case, case.page, session)
            resumed += bool(second and second.resumed)
            if again != full:
                wrong.append((case, "full", full, "resumed", again))
    lines = {case.host: "\n".join(v.lines) for case, *_ in wrong for v in server.vhosts
             if v.name == case.host}
    assert not wrong, "\n".join([f"STEK_SEED={SEED}", *map(str, wrong[:10]), *lines.values()][:14])
    # It would say nothing if nothing resumed, or if no client were let in unverified.
    assert resumed > CASES * len(VERSIONS) // 40 and refused > CASES // 50 and unverified > CASES // 100


def generous(httpd, people, *more):
    """A virtual host of the finding: SSLVerifyClient optional_no_ca, and a page for the verified."""
    server = httpd(modules=["authz_user", "authn_core", "socache_shmcb"],
                   server=["SSLSessionCache shmcb:run/cache(512000)"])
    server.vhosts = [Vhost("open.test"), Vhost("a.test", [
        f"SSLCACertificateFile {people.root.path}", "SSLVerifyClient optional_no_ca", *more,
        'Header always set X-SSL_CLIENT_VERIFY "expr=%{SSL_CLIENT_VERIFY}"',
        "<Location /index.html>", "Require ssl-verify-client", "</Location>"])]
    server.expect(*TALK)
    return server.start()


@pytest.mark.parametrize("keeps", ["ticket", "id"])
def test_unverified_certificate_is_never_resumed(httpd, people, version, keeps):
    server = generous(httpd, people)
    way = dict(tls=version, tickets=keeps == "ticket")
    for who in ("self", "other"):
        reply = server.get("a.test", cert=people.cert(who), **way)
        assert reply.status == 403
        assert not [s for s in reply.tickets if s.ticket], "a ticket for nobody in particular"
        for session in reply.sessions:
            again = server.get("a.test", cert=people.cert(who), session=session, **way)
            assert again.status == 403 and not again.resumed
    for who in ("good", "none"):
        reply = server.get("a.test", cert=people.cert(who), **way)
        assert reply.status == (200 if who == "good" else 403)
        session = reply.session if keeps == "ticket" else reply.sessions[-1]
        again = server.get("a.test", cert=people.cert(who), session=session, **way)
        # Without tickets TLS 1.3 clients are sent some all the same, and OpenSSL's use them.
        assert again.resumed and again.status == reply.status


def test_unverified_certificate_whose_error_was_forgotten_is_never_resumed(httpd, people, version):
    """no_crl_for_cert_ok leaves no error in the session, though the issuer is unknown."""
    server = generous(httpd, people, f"SSLCARevocationFile {people.folder}/list.pem",
                      "SSLCARevocationCheck chain no_crl_for_cert_ok")
    reply = server.get("a.test", tls=version, cert=people.cert("self"))
    assert reply.status == 403 and reply.headers["x-ssl_client_verify"] == "GENEROUS"
    for session in reply.sessions:
        again = server.get("a.test", tls=version, cert=people.cert("self"), session=session)
        assert again.status == 403 and not again.resumed


def test_certificate_that_a_section_asks_for_opens_no_other_page(httpd, people, version):
    """Nor does it by a ticket that came after it."""
    server = httpd(modules=["authz_user", "authn_core"])
    (server.root / "www" / "private").mkdir()
    (server.root / "www" / "private" / "index.html").write_text("hello\n")
    server.vhosts = [Vhost("open.test"), Vhost("a.test", [
        f"SSLCACertificateFile {people.root.path}", "<Location /private>", "SSLVerifyClient require",
        "</Location>", "<Location /index.html>", "Require ssl-verify-client", "</Location>"])]
    server.expect(*TALK)
    server.start()
    way = dict(tls=version, cert=people.cert("good"), pha=True)
    reply = server.get("a.test", path="/private/index.html", **way)
    assert reply.status == 200 and reply.tickets
    assert server.get("a.test", **way).status == 403
    for session in reply.tickets:
        again = server.get("a.test", session=session, **way)
        assert again.resumed and again.status == 403
        back = server.get("a.test", session=session, path="/private/index.html", **way)
        assert back.resumed and back.status == 200


@pytest.mark.parametrize("inner", ["SSLVerifyClient require", "SSLVerifyDepth 0"])
def test_certificate_that_may_be_asked_for_twice_resumes_in_tls12_only(httpd, people, inner):
    """In TLS 1.3 a full handshake leads to 403 there, and a resumption would not."""
    server = httpd(modules=["authz_user", "authn_core"], vhosts=[Vhost("open.test"), Vhost("a.test", [
        f"SSLCACertificateFile {people.root.path}", "SSLVerifyClient optional",
        "<Location /private>", inner, "</Location>"])])
    server.expect(*TALK)
    server.start()
    server.wait_log("STEK3013: .*a.test.*: no TLS 1.3 session is resumed, because client certificate rules")
    way = dict(cert=people.cert("good"), pha=True)
    reply = server.get("a.test", tls="1.2", **way)
    assert server.get("a.test", tls="1.2", session=reply.session, **way).resumed
    reply = server.get("a.test", tls="1.3", **way)
    assert reply.status == 200 and not reply.tickets
    assert server.get("open.test", tls="1.3").tickets


def test_cached_session_opens_nothing_under_other_rules(httpd, people):
    """Two ports of one name, which mod_ssl takes for one: its cache is not a way round binding."""
    server = httpd(modules=["socache_shmcb"], server=["SSLSessionCache shmcb:run/cache(512000)"])
    other = free_port()
    ca = f"SSLCACertificateFile {people.root.path}"
    strange = f"SSLCACertificateFile {people.folder}/stranger.crt"
    server.vhosts = [Vhost("open.test"), Vhost("a.test", [ca, "SSLVerifyClient require"]),
                     Vhost("a.test", [strange, "SSLVerifyClient require"], other)]
    server.expect(*TALK)
    server.start()
    way = dict(tls="1.2", cert=people.cert("good"), tickets=False)
    session = server.get("a.test", **way).sessions[-1]
    assert session.id and not session.ticket
    assert server.get("a.test", session=session, **way).resumed
    with pytest.raises(tls.TlsError):
        server.get("a.test", port=other, session=session, **way)
