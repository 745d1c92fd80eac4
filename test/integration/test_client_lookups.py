# SPDX-License-Identifier: Apache-2.0
"""What OpenSSL looks up about a client in handshakes, seen as httpd's children see it: whoever a full
handshake refuses after a change and a reload is not let in by a ticket of before (S6)."""
import os
import pwd
import signal
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

import pki
from access import REFUSALS, REFUSED, attempt, outcome
from httpd import RUN_AS, Vhost, wait_for
from test_itk import ASSIGN
from test_policy_changes import crl_of, scope

VERSIONS = ("1.2", "1.3")


@pytest.fixture
def people(folder):
    root = pki.Identity(folder, "root", ca=True)
    return root, pki.Identity(folder, "client", root)


def serve(httpd, *lines, **options):
    server = httpd(processes=1, vhosts=[Vhost("open.test"), Vhost("a.test", [
        "SSLVerifyClient require", *lines])], **options)
    server.expect(*REFUSALS, "STEK2034")
    return server


def lists(folder, data, mode=0o644):
    """A hashed directory of one CRL."""
    path = pki.hashed(folder / "lists", a=data)
    path.chmod(0o755)
    (path / "a.pem").chmod(mode)
    return path


def looked_up(folder, root, check="leaf no_crl_for_cert_ok"):
    return [f"SSLCACertificateFile {root.path}", f"SSLCARevocationPath {folder}/lists",
            f"SSLCARevocationCheck {check}"]


def check_flip(server, client, change, restart=False, **way):
    """Let in before, refused after: with the ticket too."""
    server.start()
    first = {v: server.get("a.test", tls=v, cert=client.base, **way) for v in VERSIONS}
    change()
    if restart:
        server.stop()
        server.start()
    else:
        server.graceful()
    for version, reply in first.items():
        assert reply.status == 200
        way.update(tls=version, cert=client.base)
        assert outcome(server, "a.test", **way) == REFUSED
        assert not reply.session or outcome(server, "a.test", session=reply.session, **way) == REFUSED


def test_fifo_among_lists_holds_up_no_reload(httpd, folder, people):
    root, client = people
    path = lists(folder, root.crl())
    server = serve(httpd, *looked_up(folder, root)).start()
    session = server.get("a.test", cert=client.base).session
    os.mkfifo(path / "0a0b0c0d.r0", 0o644)
    server.generation += 1
    server.write_conf()
    os.kill(server.pid, signal.SIGUSR1)
    try:
        wait_for(lambda: server.lines("resuming normal operations")[1:], "the reload", 15)
    finally:
        try:  # lets a parent go on that waits for a writer
            os.close(os.open(path / "0a0b0c0d.r0", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            pass
    assert session


@pytest.mark.parametrize("odd", ["loop", "long name"])
def test_link_to_nowhere_is_missing(httpd, folder, people, odd):
    root, client = people
    path = lists(folder, root.crl())
    server = serve(httpd, *looked_up(folder, root)).start()
    session = server.get("a.test", cert=client.base).session
    link = path / "0a0b0c0d.r0"
    link.symlink_to(link if odd == "loop" else "/" + "x" * 300)
    server.graceful()
    assert server.get("a.test", cert=client.base, session=session).resumed


def entries(issuer, *pairs):
    """A CRL of these serials and extensions, in order."""
    made = (x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
            .last_update(pki._when(-3600)).next_update(pki._when(86400))
            .add_extension(x509.CRLNumber(1), False))
    for serial, extension, critical in pairs:
        entry = (x509.RevokedCertificateBuilder().serial_number(serial)
                 .revocation_date(pki._when(-60)))
        made = made.add_revoked_certificate(
            (entry.add_extension(extension, critical) if extension else entry).build())
    return made.sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("what", ["issuer", "serial"])
def test_order_of_entries_counts(httpd, folder, people, what):
    root, client = people
    serial = client.cert.serial_number
    if what == "issuer":
        other = x509.CertificateIssuer([x509.DirectoryName(pki._name("someone else"))])
        order = [(77, other, True), (serial, None, False)]
    else:
        order = [(serial, x509.CRLReason(reason), False) for reason in
                 (x509.ReasonFlags.remove_from_crl, x509.ReasonFlags.key_compromise)]
    path = folder / "list.crl"
    pki.write(path, entries(root, *order))
    server = serve(httpd, f"SSLCACertificateFile {root.path}", f"SSLCARevocationFile {path}",
                   "SSLCARevocationCheck leaf")
    check_flip(server, client, lambda: pki.write(path, entries(root, *reversed(order))))


# What a CRL holds for, and whose certificates alone.  Nobody's have the distribution point of "named".
# OpenSSL 3.0.22 takes no delta for a whole list; older ones do, even where it does not hold (openssl#31044).
USERS, AUTHORITIES = scope(only_contains_user_certs=True), scope(only_contains_ca_certs=True)
NAMED = scope(full_name=[x509.UniformResourceIdentifier("http://x.test/")], only_contains_user_certs=True)
DELTA = x509.DeltaCRLIndicator(1)
SCOPES = {"all": ([], None), "users": ([USERS], "user"), "authorities": ([AUTHORITIES], "authority"),
          "named": ([NAMED], "user"), "delta of users, named": ([DELTA, NAMED], None),
          "delta of authorities": ([DELTA, AUTHORITIES], None)}


def test_later_of_two_lists_counts_where_both_can_hold(httpd, folder, people):
    """Two CRLs of one issuer overtake each other, in every pair of scopes: where that decides, it ends
    tickets; where one is for users and the other for authorities, it decides and ends nothing."""
    root, client = people
    clients = {"user": client, "authority": pki.Identity(folder, "authority", root, ca=True)}
    pairs = [(mild, strict) for mild in SCOPES for strict in SCOPES]
    server = httpd(processes=1, vhosts=[Vhost("open.test")] + [
        Vhost(f"p{i}.test", ["SSLVerifyClient require", f"SSLCACertificateFile {root.path}",
                             f"SSLCARevocationFile {folder}/{i}.crl",
                             "SSLCARevocationCheck leaf no_crl_for_cert_ok"])
        for i in range(len(pairs))])
    server.expect(*REFUSALS)

    def write(*numbers):
        for i, pair in enumerate(pairs):
            pki.write(folder / f"{i}.crl", *(
                crl_of(root, revoked, extensions=[(extension, True) for extension in SCOPES[name][0]])
                [0](number)
                for name, revoked, number in zip(pair, ([], clients.values()), numbers)))

    def ask(i, who, session=None):
        return attempt(server, f"p{i}.test", tls=VERSIONS[i % 2], cert=clients[who].base,
                       session=session)
    write(2, 1)
    server.start()
    before = {(i, who): ask(i, who) for i in range(len(pairs)) for who in clients}
    write(3, 4)
    server.graceful()
    turned, wrong = set(), []
    for (i, who), (let_in, reply) in before.items():
        full, _ = ask(i, who)
        turned |= {(*pairs[i], who)} if full != let_in else set()
        if not reply:
            continue
        got, again = ask(i, who, reply.session)
        apart = {SCOPES[name][1] for name in pairs[i]} == {"user", "authority"}
        if got != full or (apart and not again.resumed):
            wrong.append(f"{who} of {pairs[i]}: {let_in}, then {full}, with a ticket {got}")
    assert not wrong, "\n".join(wrong)
    assert {("all", "users", "user"), ("authorities", "all", "authority")} <= turned


def test_itk_reads_as_root(httpd, folder, people):
    root, client = people
    lists(folder, root.crl(), 0o600)
    server = serve(httpd, *looked_up(folder, root), mpm="itk", server=[ASSIGN])
    check_flip(server, client, lambda: lists(folder, root.crl(client, number=2), 0o600))


def deny(path, uid):
    """A POSIX ACL under which the mode says that everyone may read."""
    def entry(tag, bits, who=0xffffffff):
        return struct.pack("<HHI", tag, bits, who)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + entry(1, 6) + entry(2, 0, uid)
                + entry(4, 4) + entry(0x10, 4) + entry(0x20, 4))


def test_acl_shuts_children_out(httpd, folder, people):
    root, client = people
    deny(lists(folder, root.crl(client)) / "a.pem", pwd.getpwnam(RUN_AS).pw_uid)
    server = serve(httpd, *looked_up(folder, root))
    check_flip(server, client, lambda: lists(folder, root.crl(client)))


def test_chain_of_links_through_a_shut_directory(httpd, folder, people):
    root, client = people
    path = lists(folder, root.crl(client))
    shut, file = folder / "shut", folder / "list.pem"
    shut.mkdir(mode=0o700)
    (path / "a.pem").rename(file)
    (shut / "alias.pem").symlink_to(file)
    (path / "a.pem").symlink_to(shut / "alias.pem")
    server = serve(httpd, *looked_up(folder, root))
    check_flip(server, client, lambda: shut.chmod(0o755))


def test_numeric_user_has_its_groups(httpd, folder, people):
    root, client = people
    user = pwd.getpwnam(RUN_AS)
    groups = folder / "group"
    with open("/etc/group") as file:
        groups.write_text(file.read() + f"crlreaders:x:54321:{RUN_AS}\n")

    def put(data):
        os.chown(lists(folder, data, 0o640) / "a.pem", 0, 54321)
    put(root.crl())
    server = serve(httpd, *looked_up(folder, root),
                   server=[f"User #{user.pw_uid}", f"Group #{user.pw_gid}"])
    server.under = ["unshare", "-m", "sh", "-c", f'mount --bind {groups} /etc/group && exec "$@"', "sh"]
    check_flip(server, client, lambda: put(root.crl(client, number=2)))


def test_target_of_a_link_replaced_without_reload_leaves_no_ticket(httpd, folder, people, version):
    root, client = people
    path = lists(folder, root.crl(client))
    target = folder / "elsewhere"
    target.mkdir()
    (path / "a.pem").unlink()
    (path / "a.pem").symlink_to(target / "list.pem")
    pki.write(target / "list.pem", root.crl(client))
    server = serve(httpd, *looked_up(folder, root)).start()
    pki.write(target / "list.pem", root.crl(number=2))
    got, reply = attempt(server, "a.test", tls=version, cert=client.base)
    assert got == 200 and not reply.tickets


@pytest.mark.parametrize("how", ["number", "der"])
def test_verify_store_leaves_no_ticket_to_certificates(httpd, folder, people, how):
    root, client = people
    other = pki.Identity(folder, "other", ca=True)
    store = pki.hashed(folder / "store", a=root.pem)
    link, = (path for path in store.iterdir() if path.name.endswith(".0"))
    link.unlink()
    (store / "a.pem").unlink()
    encoding = serialization.Encoding.DER if how == "der" else serialization.Encoding.PEM
    file = link.with_suffix(".0" if how == "der" else ".5")
    file.write_bytes(root.cert.public_bytes(encoding))
    server = serve(httpd, f"SSLCACertificateFile {other.path}",
                   f"SSLOpenSSLConfCmd VerifyCAStore {store}")
    check_flip(server, client, file.unlink)
    assert len(server.lines("STEK3014: .*a.test")) == 2


@pytest.mark.parametrize("policy", ["", "insecure", "insecure, then removed"])
def test_host_other_than_sni_opens_no_more_than_a_full_handshake(httpd, folder, people, policy):
    root, client = people
    other = pki.Identity(folder, "other", ca=True)
    server = httpd(server=["SSLVHostSNIPolicy insecure"] if policy else [])
    rules = ["SSLVerifyClient optional", f"SSLCACertificateFile {root.path}"]
    strict = ["SSLVerifyClient require", f"SSLCACertificateFile {other.path}"] if policy else \
        rules + ["<Location /index.html>", "SSLVerifyClient require", "</Location>"]
    server.vhosts = [Vhost("open.test"), Vhost("a.test", rules), Vhost("b.test", strict)]
    server.expect(*REFUSALS, "SSL Library Error.*invalid config")
    server.start()
    if "removed" in policy:  # httpd keeps the value
        server.server = []
        server.graceful()
    way = dict(tls="1.3", cert=client.base, pha=True)
    session = server.get("a.test", **way).session
    full = outcome(server, "a.test", http_host="b.test", **way)
    assert full == 403
    assert not session or outcome(server, "a.test", http_host="b.test", session=session, **way) == full


@pytest.mark.parametrize("before, after", [
    ("SSLVerifyDepth 2", 'SSLVerifyDepth "2"'), ("SSLOptions +StdEnvVars", "SSLOCSPEnable off")])
def test_same_rules_in_other_words_keep_tickets(httpd, people, version, before, after):
    root, client = people
    server = serve(httpd, f"SSLCACertificateFile {root.path}", before).start()
    way = dict(tls=version, cert=client.base)
    session = server.get("a.test", **way).session
    server.vhosts[1].lines[-1] = after
    server.graceful()
    assert server.get("a.test", session=session, **way).resumed


def test_thousands_of_lists_are_told_apart(httpd, folder, people):
    """Too many to compare each with each: then any change counts, and none else."""
    root, client = people
    many = [root.crl(number=n) for n in range(1000, 2100)]
    path = folder / "lists.pem"
    path.write_bytes(b"".join(many))
    server = serve(httpd, f"SSLCACertificateFile {root.path}", f"SSLCARevocationFile {path}",
                   "SSLCARevocationCheck chain").start()
    first = {v: server.get("a.test", tls=v, cert=client.base) for v in VERSIONS}
    server.graceful()
    for v, reply in first.items():
        assert server.get("a.test", tls=v, cert=client.base, session=reply.session).resumed
    path.write_bytes(b"".join(many) + root.crl(client, number=2200))
    server.graceful()
    for v, reply in first.items():
        assert outcome(server, "a.test", tls=v, cert=client.base, session=reply.session) == REFUSED
