# SPDX-License-Identifier: Apache-2.0
"""Client certificates: after the rules changed, a ticket opens nothing that a full handshake
refuses; where they are equal tickets are shared; no access lasts longer than without the module."""
import ctypes
import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

import pki
import tls
from access import REFUSALS, attempt, outcome
from checks import assert_hints, wait_until
from httpd import Vhost, free_port, wait_for

NAME_DIFFERS = "AH01909"
LEAF = "SSLCARevocationCheck leaf no_crl_for_cert_ok"


@dataclass
class World:
    """One vhost under change, rules.test, and neighbours that keep their rules."""
    folder: object
    root: object = None
    client: object = None
    deep: object = None
    spare: object = None
    extra: dict = field(default_factory=dict)

    def __post_init__(self):
        self.root = pki.Identity(self.folder, "root", ca=True)
        self.client = pki.Identity(self.folder, "client", self.root)
        self.spare = pki.Identity(self.folder, "spare", self.root)
        self.middle = pki.Identity(self.folder, "middle", self.root, ca=True)
        self.deep = pki.Identity(self.folder, "deep", self.middle)
        self.other = pki.Identity(self.folder, "other", ca=True)

    def path(self, name):
        return self.folder / name


@pytest.fixture
def world():
    """Hashed directories are read by the children, who are not root."""
    with tempfile.TemporaryDirectory(prefix="stek-pki-") as folder:
        os.chmod(folder, 0o755)
        yield World(Path(folder))


def demand(*lines, depth=3):
    return ["SSLVerifyClient require", f"SSLVerifyDepth {depth}", *lines]


# Each change: a function that gives the lines of rules.test, one that makes the change and may give
# other lines, and whose certificate is refused afterwards.

def crl_file(world):
    pki.write(world.path("list.crl"), world.root.crl())
    return demand(f"SSLCACertificateFile {world.path('root.crt')}", LEAF,
                  f"SSLCARevocationFile {world.path('list.crl')}")


def crl_file_revoked(world):
    pki.write(world.path("list.crl"), world.root.crl(world.client, number=2))


def crl_path(world):
    pki.hashed(world.path("lists"), one=world.root.crl())
    return demand(f"SSLCACertificateFile {world.path('root.crt')}", LEAF,
                  f"SSLCARevocationPath {world.path('lists')}")


def crl_path_revoked(world):
    pki.hashed(world.path("lists"), one=world.root.crl(world.client, number=2))


def ca_file(world):
    pki.write(world.path("ca.pem"), world.root.pem, world.other.pem)
    return demand(f"SSLCACertificateFile {world.path('ca.pem')}")


def ca_file_removed(world):
    pki.write(world.path("ca.pem"), world.other.pem)


def ca_path(world):
    pki.hashed(world.path("cas"), one=world.root.pem, two=world.other.pem)
    return demand(f"SSLCACertificatePath {world.path('cas')}")


def ca_path_removed(world):
    pki.hashed(world.path("cas"), two=world.other.pem)


def deep(world):
    return demand(f"SSLCACertificateFile {world.path('root.crt')}")


def depth_lowered(world):
    return demand(f"SSLCACertificateFile {world.path('root.crt')}", depth=1)


def asked_nothing(world):
    return [f"SSLCACertificateFile {world.path('root.crt')}"]


def optional(world):
    return ["SSLVerifyClient optional", f"SSLCACertificateFile {world.path('root.crt')}"]


def raised_server(world):
    return demand(f"SSLCACertificateFile {world.path('root.crt')}")


def raised_location(world):
    return asked_nothing(world) + ["<Location /index.html>", *demand(), "</Location>"]


def location_crl(world):
    return [line for line in crl_file(world) if "SSLVerify" not in line] + [
        "<Location /index.html>", *demand(), "</Location>"]


def conf_cmd(world):
    """The authority given by SSLOpenSSLConfCmd alone."""
    pki.write(world.path("ca.pem"), world.root.pem, world.other.pem)
    return demand(f"SSLOpenSSLConfCmd VerifyCAFile {world.path('ca.pem')}")


# All four directives count with all that OpenSSL takes from them.

def crl_in_ca_file(world):
    pki.write(world.path("ca.pem"), world.root.pem, world.root.crl())
    pki.write(world.path("list.crl"), world.other.crl())
    return demand(f"SSLCACertificateFile {world.path('ca.pem')}", LEAF,
                  f"SSLCARevocationFile {world.path('list.crl')}")


def crl_in_ca_file_revoked(world):
    pki.write(world.path("ca.pem"), world.root.pem, world.root.crl(world.client, number=2))


def crl_in_ca_path(world):
    pki.hashed(world.path("cas"), one=world.root.pem, two=world.root.crl())
    pki.write(world.path("list.crl"), world.other.crl())
    return demand(f"SSLCACertificatePath {world.path('cas')}", LEAF,
                  f"SSLCARevocationFile {world.path('list.crl')}")


def crl_in_ca_path_revoked(world):
    pki.hashed(world.path("cas"), one=world.root.pem, two=world.root.crl(world.client, number=2))


def ca_in_crl_file(world):
    pki.write(world.path("list.crl"), world.root.pem, world.other.crl())
    return demand(f"SSLCACertificateFile {world.path('other.crt')}", LEAF,
                  f"SSLCARevocationFile {world.path('list.crl')}")


def ca_in_crl_file_removed(world):
    pki.write(world.path("list.crl"), world.other.crl())


def ca_in_crl_path(world):
    pki.hashed(world.path("lists"), one=world.root.pem, two=world.other.crl())
    return demand(f"SSLCACertificateFile {world.path('other.crt')}", LEAF,
                  f"SSLCARevocationPath {world.path('lists')}")


def ca_in_crl_path_removed(world):
    pki.hashed(world.path("lists"), two=world.other.crl())


def trusted(world, *words):
    done = subprocess.run(["openssl", "x509", "-trustout", *words], input=world.root.pem, check=True,
                          capture_output=True)
    pki.write(world.path("ca.pem"), world.other.pem, done.stdout)


def ca_trusted(world):
    trusted(world, "-addtrust", "clientAuth")
    return demand(f"SSLCACertificateFile {world.path('ca.pem')}")


def ca_rejected(world):
    trusted(world, "-addreject", "clientAuth")


CHANGES = {
    "revoked in a file": (crl_file, crl_file_revoked, "client"),
    "revoked in a path": (crl_path, crl_path_revoked, "client"),
    "revoked, asked for by a section": (location_crl, crl_file_revoked, "client"),
    "authority removed from a file": (ca_file, ca_file_removed, "client"),
    "authority removed from a path": (ca_path, ca_path_removed, "client"),
    "authority removed, SSLOpenSSLConfCmd": (conf_cmd, ca_file_removed, "client"),
    "revoked in the file of authorities": (crl_in_ca_file, crl_in_ca_file_revoked, "client"),
    "revoked in the path of authorities": (crl_in_ca_path, crl_in_ca_path_revoked, "client"),
    "authority removed from a file of lists": (ca_in_crl_file, ca_in_crl_file_removed, "client"),
    "authority removed from a path of lists": (ca_in_crl_path, ca_in_crl_path_removed, "client"),
    "authority not trusted any more": (ca_trusted, ca_rejected, "client"),
    "depth lowered": (deep, depth_lowered, "deep"),
    "raised in the server": (asked_nothing, raised_server, None),
    "raised in a section": (asked_nothing, raised_location, None),
    "raised from optional": (optional, raised_server, None),
}


def start(httpd, world, lines):
    keep = demand(f"SSLCACertificateFile {world.path('root.crt')}")
    server = httpd(vhosts=[Vhost("open.test"), Vhost("rules.test", lines),
                           Vhost("keep.test", keep)])
    server.expect(*REFUSALS)
    return server.start()


def neighbours(server, world, version):
    """Sessions of the vhosts that nobody changes."""
    return [("open.test", server.get("open.test", tls=version).session),
            ("keep.test", server.get("keep.test", tls=version, cert=world.client.base).session)]


def assert_resume(server, sessions, version):
    for host, session in sessions:
        reply = server.get(host, tls=version, session=session)
        assert reply.resumed and reply.status == 200, host


@pytest.mark.parametrize("change", CHANGES)
def test_rules_changed_old_ticket_opens_nothing(httpd, world, version, change):
    before, after, who = CHANGES[change]
    server = start(httpd, world, before(world))
    way = dict(tls=version, pha=True, cert=getattr(world, who).base if who else None)
    first = server.get("rules.test", **way)
    assert first.status == 200 and first.session
    again = server.get("rules.test", session=first.session, **way)
    assert again.status == 200 and again.resumed
    kept = neighbours(server, world, version)
    lines = after(world)
    if lines is not None:
        server.vhosts[1].lines = lines
    server.graceful()
    assert outcome(server, "rules.test", **way) != 200, "the full handshake is not refused"
    for name, cert in (("own certificate", way["cert"]), ("none", None)):
        got, _ = attempt(server, "rules.test", session=first.session, **{**way, "cert": cert})
        assert got != 200, name
    assert_resume(server, kept, version)


@pytest.mark.parametrize("kind", ["file", "path"])
def test_crl_issued_again_without_new_entries_ends_nothing(httpd, world, version, kind):
    lines = crl_file(world) if kind == "file" else crl_path(world)
    lists = [world.root.crl(world.spare, number=n) for n in (3, 4)]
    assert lists[0] != lists[1]

    def put(data):
        if kind == "file":
            pki.write(world.path("list.crl"), data)
        else:
            pki.hashed(world.path("lists"), one=data)
    put(lists[0])
    server = start(httpd, world, lines)
    session = server.get("rules.test", tls=version, cert=world.client.base).session
    put(lists[1])
    server.graceful()
    assert server.get("rules.test", tls=version, session=session).resumed
    put(world.root.crl(number=5))
    server.graceful()
    reply = server.get("rules.test", tls=version, session=session, cert=world.client.base)
    assert reply.status == 200 and not reply.resumed, "other entries, other rules"


def test_server_certificate_renewed_ends_nothing(httpd, world, version):
    server = httpd(vhosts=[Vhost("open.test"), Vhost("rules.test", deep(world), cert="renewed")])
    server.certs = world.folder
    server.expect(NAME_DIFFERS)
    for name in ("server", "renewed"):
        pki.Identity(world.folder, name, world.root, subject="rules.test")
    server.start()
    sessions = [("open.test", server.get("open.test", tls=version).session),
                ("rules.test",
                 server.get("rules.test", tls=version, cert=world.client.base).session)]
    old = world.path("renewed.crt").read_bytes()
    pki.Identity(world.folder, "renewed", world.root, subject="rules.test")
    assert world.path("renewed.crt").read_bytes() != old
    server.graceful()
    assert_resume(server, sessions, version)


# What is in the digest, read out of tickets: also where mod_ssl asks again by itself.

def of_this_generation(server, reply):
    """The reply, unless a child of the generation before has taken the connection."""
    return reply if int(reply.headers["x-generation"]) == server.generation else None


def policies(httpd, world, variants):
    """The policy digest of rules.test under each of the variants: lists of lines."""
    server = start(httpd, world, variants[0])
    found = []
    for lines in variants:
        server.vhosts[1].lines = lines
        server.graceful(drain=False)
        reply = wait_for(lambda: of_this_generation(server, server.get("rules.test", tls="1.2",
                                                                       cert=world.client.base)), "a new child")
        session = reply.session
        key = server.ring().find(session.name)
        found.append(tls.Session.decoded(key.opens(session.ticket)).appdata[5:])
        assert len(found[-1]) == 16
    return found


def section(kind, path, *lines):
    return [f"<{kind} {path}>", *lines, f"</{kind}>"]


def test_policy_differs_where_the_rules_differ(httpd, world):
    root, other = world.path("root.crt"), world.path("other.crt")
    pki.write(world.path("list.crl"), world.root.crl(world.spare))
    pki.write(world.path("both.pem"), world.root.pem, world.other.pem)
    ca, crl = f"SSLCACertificateFile {root}", f"SSLCARevocationFile {world.path('list.crl')}"
    verify = "SSLVerifyClient require"
    rules = [ca, "SSLVerifyClient optional"]
    variants = [
        [], rules, rules + ["SSLVerifyDepth 2"], [ca, verify],
        [ca] + section("Location", "/x", verify), [ca] + section("Location", "/y", verify),
        [ca] + section("Location", "/x", verify, "SSLVerifyDepth 5"),
        [ca] + section("Location", "/x", verify) + section("Location", "/y", verify),
        [ca] + section("Location", "/y", verify) + section("Location", "/x", verify),
        [ca] + section("Directory", "/x", verify), [ca] + section("Location", "/x", rules[1]),
        rules + section("Location", "/x", verify),
        rules + [f"SSLCACertificatePath {pki.hashed(world.path('more'), a=world.other.pem)}"],
        rules + [LEAF, crl], rules + ["SSLCARevocationCheck chain no_crl_for_cert_ok", crl],
        rules + [f"SSLOpenSSLConfCmd VerifyCAFile {world.path('both.pem')}"],
        rules + ["SSLOCSPDefaultResponder http://127.0.0.1:9/a"],
        rules + ["SSLOCSPDefaultResponder http://127.0.0.1:9/A"],
        rules + ["SSLOCSPOverrideResponder on"], rules + ["SSLOCSPResponseTimeSkew 17"],
        rules + ["SSLOCSPResponseMaxAge 99"], rules + ["SSLOCSPUseRequestNonce off"],
        rules + ["SSLCipherSuite HIGH:@SECLEVEL=2"], rules + ["SSLOCSPNoVerify on"],
        rules + [f"SSLOCSPResponderCertificateFile {other}"],
    ]
    found = policies(httpd, world, variants)
    same = [(variants[i], variants[j]) for i in range(len(found)) for j in range(i)
            if found[i] == found[j]]
    assert same == []


def test_policy_equal_where_the_rules_are_equal(httpd, world):
    root, copy = world.path("root.crt"), world.path("copy of root.pem")
    pki.write(copy, b"# a comment\n", world.root.pem, world.root.pem)
    pki.write(world.path("both.pem"), world.root.pem, world.other.pem)
    pki.write(world.path("turned.pem"), world.other.pem, world.root.pem)
    one, two = (f"SSLCACertificateFile {world.path(name)}" for name in ("both.pem", "turned.pem"))
    verify, deep_one = "SSLVerifyClient optional", "SSLVerifyDepth 1"
    for variants in (
            [[f"SSLCACertificateFile {root}", verify], [f'SSLCACertificateFile "{copy}"', verify],
             [f"sslcacertificatefile {root}", "sslverifyclient OPTIONAL"],
             ["SSLVerifyClient none", verify, f"SSLCACertificateFile {root}"],
             [f"SSLCACertificateFile {root}", verify, deep_one],
             [f"SSLCACertificateFile {root}", verify, "SSLOptions +StdEnvVars",
              "StekTicketLifetime 90s"]],
            [[one, verify], [two, verify]],
            [[one] + section("Location", "/x", verify) + section("Location", "/y", verify),
             [two] + section("Location", "/x", verify) + section("Location", "/y", verify)],
            [[], [one], ["SSLVerifyClient none"], [deep_one]]):
        assert len(set(policies(httpd, world, variants))) == 1, variants


def test_policy_differs_by_name_and_port(httpd, version):
    """mod_ssl too tells names apart; ours does not rely on that."""
    there = free_port()
    server = httpd(vhosts=[Vhost("a.test"), Vhost("b.test"), Vhost("a.test", [], there)]).start()
    found = set()
    for host, port in (("a.test", server.port), ("b.test", server.port), ("a.test", there)):
        session = server.get(host, port=port, tls=version).session
        key = server.ring().find(session.name)
        found.add(tls.Session.decoded(key.opens(session.ticket)).appdata[5:])
    assert len(found) == 3


# Two hosts.

def second_host(httpd, first, vhosts):
    """A host that got the first one's ring and secret, at another address and in other files."""
    other = httpd(vhosts=vhosts, address="127.0.0.2")
    other.port = first.port
    folder = other.root / "keys"
    folder.mkdir(mode=0o755)
    shutil.copy(first.ring_path(), folder / "copied.ring")
    (folder / "copied.ring").chmod(0o644)
    shutil.copy(first.secret_path(), folder / "copied.secret")
    other.server = [f"StekRing default file={folder}/copied.ring secret={folder}/copied.secret "
                    "generate=off"]
    other.expect(*REFUSALS)
    return other.start()


def test_two_hosts_of_equal_policy_share_tickets(httpd, world, version):
    first = start(httpd, world, ca_path(world))
    pki.Identity(world.folder, "server", world.root, subject="rules.test")
    moved = pki.hashed(world.path("moved"), x=world.root.pem, y=world.other.pem)
    lines = demand(f"SSLCACertificatePath {moved}")
    other = second_host(httpd, first, [Vhost("open.test"), Vhost("rules.test", lines),
                                       Vhost("keep.test", demand(
                                           f"SSLCACertificateFile {world.path('root.crt')}"))])
    other.certs = world.folder
    other.expect(NAME_DIFFERS)
    other.graceful()
    sessions = neighbours(first, world, version) + [
        ("rules.test", first.get("rules.test", tls=version, cert=world.client.base).session)]
    assert_resume(other, sessions, version)
    back = [(host, other.get(host, tls=version, cert=world.client.base).session)
            for host, _ in sessions]
    assert_resume(first, back, version)


def test_two_hosts_share_rules_of_a_directory_only_under_the_same_path(httpd, world, version):
    """A <Location> names a URL, the same everywhere."""
    ca, verify = f"SSLCACertificateFile {world.path('root.crt')}", "SSLVerifyClient require"

    def vhosts(site):
        return [Vhost("own.test", [ca] + section("Directory", f"{site}/private", verify)),
                Vhost("file.test", [ca] + section("Files", "secret.html", verify)),
                Vhost("same.test", [ca] + section("Directory", "/srv/www/private", verify)),
                Vhost("url.test", [ca] + section("Location", "/private", verify))]
    first = httpd(vhosts=vhosts("/srv/www-1")).start()
    other = second_host(httpd, first, vhosts("/srv/www-2"))
    for vhost in first.vhosts:
        session = first.get(vhost.name, tls=version).session
        assert first.get(vhost.name, tls=version, session=session).resumed
        assert other.get(vhost.name, tls=version, session=session).resumed == (vhost.name != "own.test")


def test_two_hosts_of_unequal_policy_share_none(httpd, world, version):
    first = start(httpd, world, ca_file(world))
    pki.write(world.path("less.pem"), world.root.pem)
    other = second_host(httpd, first, [Vhost("open.test"), Vhost("rules.test", demand(
        f"SSLCACertificateFile {world.path('less.pem')}")), Vhost("keep.test", demand(
            f"SSLCACertificateFile {world.path('root.crt')}"))])
    session = first.get("rules.test", tls=version, cert=world.client.base).session
    reply = other.get("rules.test", tls=version, cert=world.client.base, session=session)
    assert reply.status == 200 and not reply.resumed
    assert outcome(other, "rules.test", tls=version, session=session) != 200
    back = other.get("rules.test", tls=version, cert=world.client.base).session
    assert not first.get("rules.test", tls=version, cert=world.client.base, session=back).resumed
    assert_resume(other, neighbours(first, world, version), version)


# Careful defaults.

def section_demand(world):
    return raised_location(world)


CAREFUL = {
    "default": ([], 300),
    "cache timeout": (["SSLSessionCacheTimeout 120"], 120),
    "cache timeout above the ring's lifetime": (["SSLSessionCacheTimeout 100000"], 64800),
    "explicit lifetime": (["StekTicketLifetime 200s"], 200),
    "explicit lifetime, still of that age": (["StekTicketLifetime 2h"], 300),
    "explicit lifetime and age": (["StekTicketLifetime 2h", "StekMaxSessionAge 3h"], 7200),
    "explicit age below": (["StekMaxSessionAge 50s"], 50),
    "explicit age off": (["StekMaxSessionAge off"], 300),
}


@pytest.mark.parametrize("level", ["server", "section"])
def test_careful_defaults_with_client_certificates(httpd, world, version, level):
    rules = deep(world) if level == "server" else section_demand(world)
    vhosts = [Vhost("open.test")] + [Vhost(f"v{i}.test", rules + lines)
                                     for i, (lines, _) in enumerate(CAREFUL.values())]
    server = httpd(vhosts=vhosts)
    server.expect(*REFUSALS)
    server.start()
    for i, (what, (_, hint)) in enumerate(CAREFUL.items()):
        reply = server.get(f"v{i}.test", tls=version, cert=world.client.base, pha=True)
        assert reply.status == 200, what
        assert_hints(reply, hint)
    assert server.get("open.test", tls=version).session.hint == 64800


def test_careful_defaults_inherited_cache_timeout(httpd, world, version):
    server = httpd(server=["SSLSessionCacheTimeout 77"],
                   vhosts=[Vhost("open.test"), Vhost("rules.test", deep(world))]).start()
    assert_hints(server.get("rules.test", tls=version, cert=world.client.base), 77)
    assert server.get("open.test", tls=version).session.hint == 64800


def test_htaccess_asks_for_a_certificate_no_ticket_carries_it(httpd, world, version):
    lines = [f"SSLCACertificateFile {world.path('root.crt')}", "<Directory />",
             "AllowOverride AuthConfig", "</Directory>"]
    server = httpd(vhosts=[Vhost("open.test"), Vhost("rules.test", lines)])
    folder = server.root / "www" / "private"
    folder.mkdir()
    (folder / "index.html").write_text("hello\n")
    (folder / ".htaccess").write_text("SSLVerifyClient require\nSSLVerifyDepth 2\n")
    server.expect(*REFUSALS)
    server.start()
    way = dict(tls=version, path="/private/index.html", pha=True)
    assert outcome(server, "rules.test", **way) != 200
    reply = server.get("rules.test", cert=world.client.base, **way)
    assert reply.status == 200
    # The tickets before the certificate was asked for know nothing of it, and after that none comes:
    # it would stand for pages that ask for none.
    assert [session.hint for session in reply.tickets] == [64800] * (1 if version == "1.2" else 2)
    assert outcome(server, "rules.test", session=reply.tickets[-1], **way) != 200
    assert outcome(server, "rules.test", session=reply.tickets[0], **way) != 200
    assert server.get("rules.test", tls=version).session.hint == 64800


def test_client_certificate_expired_ticket_does_not_resume(httpd, world, version):
    server = start(httpd, world, deep(world))
    brief = pki.Identity(world.folder, "brief", world.root, seconds=5)
    reply = server.get("rules.test", tls=version, cert=brief.base)
    assert_hints(reply, 300)
    session = reply.session
    assert server.get("rules.test", tls=version, session=session).resumed
    lasting = server.get("rules.test", tls=version, cert=world.client.base).session
    wait_until(brief.expires + 1)
    assert outcome(server, "rules.test", tls=version, cert=brief.base) != 200
    for cert in (brief.base, None):
        assert outcome(server, "rules.test", tls=version, cert=cert, session=session) != 200
    assert server.get("rules.test", tls=version, session=lasting).resumed


def last_resumption(httpd, world, module, version):
    """Seconds that one full handshake opens doors, by any chain of tickets; the clock runs fast."""
    server = httpd(clock=True, module=module, vhosts=[Vhost("open.test"), Vhost(
        "rules.test", deep(world) + ["SSLSessionCacheTimeout 60"])])
    server.expect(*REFUSALS)
    server.start()
    session, last = server.get("rules.test", tls=version, cert=world.client.base).session, 0
    for offset in range(10, 100, 10):
        server.set_clock(offset)
        got, reply = attempt(server, "rules.test", tls=version, session=session)
        if got != 200:
            break
        session, last = reply.session, offset
    server.stop()
    return last


def test_client_certificate_access_not_longer_than_stock(httpd, world, version):
    stock = last_resumption(httpd, world, False, version)
    ours = last_resumption(httpd, world, True, version)
    assert 0 < ours <= stock
    assert ours <= 60


# Rules that the configuration does not tell: a certificate is asked for by .htaccess only.

@pytest.mark.parametrize("change", ["revoked in a file", "authority removed from a file"])
def test_rules_changed_certificate_asked_for_by_htaccess(httpd, world, version, change):
    before, after, _ = CHANGES[change]
    lines = [line for line in before(world) if "SSLVerify" not in line]
    lines += ["<Directory />", "AllowOverride AuthConfig", "</Directory>"]
    server = start(httpd, world, lines)
    (server.root / "www" / ".htaccess").write_text("")
    folder = server.root / "www" / "private"
    folder.mkdir()
    (folder / "index.html").write_text("hello\n")
    (folder / ".htaccess").write_text("SSLVerifyClient require\nSSLVerifyDepth 2\n")
    way = dict(tls=version, path="/private/index.html", pha=True, cert=world.client.base)
    first = server.get("rules.test", **way)
    assert first.status == 200
    after(world)
    server.graceful()
    assert outcome(server, "rules.test", **way) != 200
    for cert in (way["cert"], None):
        assert outcome(server, "rules.test", session=first.session, **{**way, "cert": cert}) != 200


# What no file of the configuration says, or says at another time.

def test_security_level_of_openssl_cnf_ends_tickets(httpd, world, version):
    """OpenSSL reads it when httpd starts, not when it reloads."""
    weak = pki.Identity(world.folder, "weak", world.root, key=rsa.generate_private_key(65537, 1024))
    conf = world.path("openssl.cnf")

    def write(level):
        conf.write_text("openssl_conf = i\n[i]\nssl_conf = s\n[s]\nsystem_default = d\n[d]\n"
                        f"CipherString = DEFAULT@SECLEVEL={level}\n")
    write(0)
    way = dict(tls=version, cert=weak.base, level=0)
    server = httpd(env={"OPENSSL_CONF": str(conf)}, vhosts=[
        Vhost("open.test"), Vhost("rules.test", demand(f"SSLCACertificateFile {world.path('root.crt')}"))])
    server.expect(*REFUSALS)
    session = server.start().get("rules.test", **way).session
    write(2)
    server.graceful()
    assert server.get("rules.test", session=session, **way).resumed
    server.stop()
    server.start()
    assert outcome(server, "rules.test", **way) == "refused"
    assert outcome(server, "rules.test", session=session, **way) == "refused"


def test_authority_for_a_while_in_a_directory_leaves_no_ticket(httpd, world, version):
    """Children look into the directory as they go; a reload finds it as it was before."""
    visitor = pki.Identity(world.folder, "visitor", world.other)
    path = pki.hashed(world.path("authorities"), root=world.root.pem)
    server = httpd(processes=1, vhosts=[
        Vhost("open.test"), Vhost("rules.test", demand(f"SSLCACertificatePath {path}"))])
    server.expect(*REFUSALS)
    server.start()
    assert server.get("rules.test", tls=version, cert=world.client.base).session
    pki.hashed(path, root=world.root.pem, other=world.other.pem)
    session = server.get("rules.test", tls=version, cert=visitor.base).session
    assert session is None
    pki.hashed(path, root=world.root.pem)
    server.graceful()
    assert outcome(server, "rules.test", tls=version, cert=visitor.base) == "refused"
    assert server.get("rules.test", tls=version, cert=world.client.base).session


@pytest.mark.parametrize("tickets", ["on", "off"])
def test_srp_user_is_proved_in_each_connection(httpd, world, tickets):
    """OpenSSL takes the name of a resumed session's user from the ClientHello."""
    users = world.path("srp.v")
    users.write_text("")
    for name in ("alice", "bob"):
        subprocess.run(["openssl", "srp", "-srpvfile", users, "-add", "-gn", "2048", "-passout",
                        "pass:password", "-userinfo", "x", name], check=True, capture_output=True)
    server = httpd(processes=1, modules=["socache_shmcb"], vhosts=[Vhost("srp.test", [
        f"SSLSRPVerifierFile {users}", "SSLCipherSuite DEFAULT:SRP:@SECLEVEL=0",
        f"SSLSessionTickets {tickets}", 'Header always set X-User "expr=%{SSL_SRP_USER}"'])],
        server=["SSLSessionCache shmcb:run/cache(512000)"])
    server.expect(*REFUSALS, "SSL Library Error", "AH10235", "AH02308", "STEK3008")
    server.start()
    bob, way = ("bob", "password"), dict(tls="1.2", level=0)
    reply = server.get("srp.test", srp=bob, **way)
    assert reply.headers["x-user"] == "bob"
    session = reply.session or (reply.sessions[-1] if reply.sessions else None)
    # Another session of the same virtual host is resumed.
    plain = server.get("srp.test", tls="1.2")
    assert server.get("srp.test", tls="1.2", session=plain.sessions[-1]).resumed
    other = server.get("srp.test", srp=bob, session=session, **way)
    assert not other.resumed
    assert outcome(server, "srp.test", srp=("alice", "wrong"), session=session, **way) == "refused"


def test_list_replaced_while_httpd_reads_its_configuration(httpd, world, version):
    """What counts is what mod_ssl has read."""
    libc, path = ctypes.CDLL(None, use_errno=True), world.path("list.crl")
    pki.write(path, world.root.crl())
    server = httpd(processes=1, vhosts=[Vhost("open.test"), Vhost("rules.test", demand(
        f"SSLCACertificateFile {world.path('root.crt')}", LEAF, f"SSLCARevocationFile {path}"))]
        + [Vhost(f"a{i}.test") for i in range(40)])
    server.expect(*REFUSALS)
    server.start()
    watch = libc.inotify_init1(os.O_CLOEXEC)
    closed_after_reading = 0x10
    assert libc.inotify_add_watch(watch, str(path).encode(), closed_after_reading) > 0
    replaced = threading.Thread(target=lambda: (
        os.read(watch, 4096), pki.write(path, world.root.crl(world.client, number=2))))
    replaced.start()
    server.graceful()
    replaced.join()
    os.close(watch)
    session = server.get("rules.test", tls=version, cert=world.client.base).session
    server.graceful()
    assert outcome(server, "rules.test", tls=version, cert=world.client.base) == "refused"
    assert outcome(server, "rules.test", tls=version, cert=world.client.base,
                   session=session) == "refused"
