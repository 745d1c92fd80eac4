# SPDX-License-Identifier: Apache-2.0
"""Corners that reviews found: sessions of the session cache (S6), whose secret is trusted, children
in supplementary groups, files that come late, disks that stay full, and what is said of a
configuration."""
import os
import re
import shutil
import subprocess
import uuid

import pytest

import ringfile
from access import REFUSALS, REFUSED, outcome
from checks import VERSIONS, fill, fixed_ring, lines, newer
from httpd import RUN_AS, Vhost, free_port, wait_for

THIRD_USER = "daemon"  # neither root nor httpd's User
CACHE = ["SSLSessionCache shmcb:run/cache(131072)"]


def demanding(certs, *more, ca="ca"):
    return ["SSLVerifyClient require", "SSLVerifyDepth 3", f"SSLCACertificateFile {certs}/{ca}.crt",
            *more]


# Sessions of the session cache.

def cached_session(server, **way):
    """A session that the server remembers and that has no ticket."""
    reply = server.get(tls="1.2", tickets=False, **way)
    assert reply.status == 200 and not reply.tickets
    session = reply.sessions[-1]
    assert session.id and not session.ticket
    return session


def ticket_for(server, session, **way):
    """The ticket of a connection that resumes by the session's id."""
    reply = server.get(tls="1.2", session=session, **way)
    assert reply.resumed and reply.tickets, "nothing resumed by id: this test would say nothing"
    return reply.session


def test_cached_session_opens_no_other_port(httpd, certs):
    """One name without a port, on two ports: mod_ssl's cache does not tell them apart."""
    issuer, target = free_port(), free_port()
    server = httpd(modules=["socache_shmcb"], server=CACHE)
    server.vhosts = [Vhost("front.test"), Vhost("a.test", demanding(certs, ca="other-ca"), issuer),
                     Vhost("a.test", demanding(certs), target)]
    server.expect(*REFUSALS)
    server.start()
    theirs = dict(host="a.test", cert=certs / "other-client")
    ours = dict(host="a.test", cert=certs / "client")
    cached = cached_session(server, port=issuer, **theirs)
    ticket = ticket_for(server, cached, port=issuer, **theirs)
    assert outcome(server, port=target, tls="1.2", **theirs) == REFUSED
    assert outcome(server, port=target, tls="1.2", session=cached, **theirs) == REFUSED
    assert outcome(server, port=target, tls="1.2", session=cached, tickets=False, **theirs) == REFUSED
    assert outcome(server, port=target, tls="1.2", session=ticket, **theirs) == REFUSED
    assert outcome(server, port=target, tls="1.2", session=ticket, host="a.test") == REFUSED
    full = server.get(port=target, tls="1.2", session=ticket, **ours)
    assert full.status == 200 and not full.resumed
    assert server.get(port=target, tls="1.2", session=full.session, **ours).resumed


def test_cached_session_gets_no_ticket_beyond_the_cache_timeout(httpd, certs):
    server = httpd(modules=["socache_shmcb"], clock=True,
                   server=CACHE + ["SSLSessionCacheTimeout 80"])
    server.vhosts = [Vhost("front.test"), Vhost("rules.test", demanding(certs))]
    server.expect(*REFUSALS)
    server.start()
    cert = certs / "client"
    cached = cached_session(server, host="rules.test", cert=cert)
    server.set_clock(50)
    ticket = ticket_for(server, cached, host="rules.test")
    server.set_clock(100)
    assert outcome(server, "rules.test", tls="1.2", session=cached) == REFUSED
    assert outcome(server, "rules.test", tls="1.2", session=ticket) == REFUSED
    # The clock is not what ended it: a ticket of a full handshake is good for as long.
    fresh = server.get("rules.test", tls="1.2", cert=cert).session
    server.set_clock(150)
    assert server.get("rules.test", tls="1.2", session=fresh).resumed


# Whose secret is trusted.

def put_files(folder, *, secret_of="root", ring_of="root", group=RUN_AS, mode=0o755):
    """A secret and a ring of one key, of these users.  Gives the key, and a writer of rings."""
    secret, key = os.urandom(32), ringfile.make_key()
    folder.mkdir()
    (folder / "x.secret").write_text(ringfile.secret_line(secret))
    (folder / "x.secret").chmod(0o600)
    shutil.chown(folder / "x.secret", secret_of)

    def put(ring):
        fresh = folder / "x.new"
        fresh.write_bytes(ring.seal(secret))
        fresh.chmod(0o640)
        shutil.chown(fresh, ring_of, group)
        fresh.rename(folder / "x.ring")
    put(fixed_ring(key))
    folder.chmod(mode)
    return key, put


def named(folder, **keys):
    return lines(file=folder / "x.ring", secret=folder / "x.secret", **keys)


UNTRUSTED = {
    "secret of httpd's user": dict(secret_of=RUN_AS),
    "all of httpd's user": dict(secret_of=RUN_AS, ring_of=RUN_AS, folder_of=RUN_AS),
    "third user, but all may add files": dict(secret_of=THIRD_USER, ring_of=THIRD_USER,
                                              mode=0o1777),
}


@pytest.mark.parametrize("generate", ["off", "on"])
@pytest.mark.parametrize("whose", UNTRUSTED)
def test_named_secret_of_untrusted_owner_is_refused(httpd, whose, generate):
    server = httpd()
    folder = server.root / "keys"
    how = dict(UNTRUSTED[whose])
    folder_of = how.pop("folder_of", "root")
    key, _ = put_files(folder, **how)
    shutil.chown(folder, folder_of)
    before = (folder / "x.ring").read_bytes()
    server.server = named(folder, generate=generate)
    pattern = {"off": rf"\[stek_rotate:error\].*STEK2002: .*{folder}",
               "on": rf"\[stek_rotate:warn\].*STEK2011: .*{folder}"}[generate]
    server.expect(pattern)
    server.start()
    assert len(server.lines(pattern)) == 1
    for v in VERSIONS:
        reply = server.get(tls=v)
        assert reply.status == 200
        if generate == "off":
            assert not reply.tickets
        else:
            assert reply.tickets and reply.name != key.name
            assert server.get(tls=v, session=reply.session).resumed
    assert (folder / "x.ring").read_bytes() == before


def test_named_secret_and_ring_of_a_third_user_are_taken(httpd):
    server = httpd()
    folder = server.root / "keys"
    key, put = put_files(folder, secret_of=THIRD_USER, ring_of=THIRD_USER)
    shutil.chown(folder, THIRD_USER)
    server.server = named(folder, generate="off", poll="1s")
    server.start()
    for v in VERSIONS:
        reply = server.get(tls=v)
        assert reply.name == key.name and server.get(tls=v, session=reply.session).resumed
    other = newer(key)
    put(fixed_ring(other))
    wait_for(lambda: server.get().name == other.name, "the third user's next ring")


# Children in supplementary groups.

@pytest.fixture
def account():
    """Makes (user, group) of the system's, the user in that group or not; gone after the test.
    To be named before httpd: a user goes only after his processes."""
    made = []

    def run(*command):
        subprocess.run(command, check=True, capture_output=True)

    def make(member):
        name = "stek" + uuid.uuid4().hex[:10]
        user, group = name + "u", name + "g"
        made.append((user, group))
        run("groupadd", "--system", group)
        run("useradd", "--system", "--no-create-home", "--gid", RUN_AS,
            *(["--groups", group] if member else []), user)
        return user, group
    try:
        yield make
    finally:
        for user, group in made:
            subprocess.run(["userdel", user], capture_output=True)
            subprocess.run(["groupdel", group], capture_output=True)
    known = open("/etc/passwd").read() + open("/etc/group").read()
    assert not [name for pair in made for name in pair if name in known]


@pytest.mark.parametrize("generate", ["off", "on"])
@pytest.mark.parametrize("member", [True, False], ids=["member", "no member"])
def test_supplementary_group_opens_the_directory(account, httpd, member, generate):
    user, group = account(member)
    server = httpd()
    folder = server.root / "keys"
    key, put = put_files(folder, group=group, mode=0o750)
    shutil.chown(folder, group=group)
    server.server = [f"User {user}", f"Group {RUN_AS}"] + named(folder, generate=generate,
                                                              poll="1s")
    if not member:
        server.expect(rf"\[stek_rotate:warn\].*{'STEK2017' if generate == 'off' else 'STEK2011'}")
    server.start()
    said = server.lines("STEK2017|STEK2011")
    if member:
        assert not said
        session = server.get(tls="1.2").session
        assert session.name == key.name
        other = newer(key)
        put(fixed_ring(key, other))
        wait_for(lambda: server.get().name == other.name, "children that follow the ring")
        assert server.get(tls="1.2", session=session).resumed
    else:
        assert len(said) == 1 and str(folder) in said[0] and "then reload" in said[0]
        assert ("STEK2017" if generate == "off" else "STEK2011") in said[0]
        assert (server.get().name == key.name) == (generate == "off")


# Files that come late, disks that stay full.

@pytest.mark.timeout(150)
def test_secret_that_comes_late_serves_after_a_reload(httpd):
    server = httpd(server=lines(generate="off", poll="1s"))
    server.expect(r"\[stek_rotate:error\].*STEK2002")
    server.start()
    assert not server.get().tickets and not server.lines("STEK2018")
    secret, ring = os.urandom(32), fixed_ring()
    server.put_secret(secret)
    server.put_ring(ring, secret=secret)
    line, = server.wait_log("STEK2018", timeout=30)
    assert "[stek_rotate:notice]" in line and str(server.secret_path()) in line
    server.graceful()
    for v in VERSIONS:
        reply = server.get(tls=v)
        assert reply.name == ring.keys[0].name
        assert server.get(tls=v, session=reply.session).resumed
    assert len(server.lines("STEK2018")) == 1


@pytest.mark.timeout(160)
def test_disk_full_beyond_the_prepared_keys_means_no_tickets(small_disk, httpd):
    server = httpd(clock=True)
    disk = small_disk(server.run_dir / "small")
    server.server = [f"StekRing default interval=1s ahead=0 lifetime=60s poll=1s "
                     f"file={disk}/r.ring"]
    server.start()
    secrets = ringfile.read_secrets(disk / "r.secret")
    session = server.get(tls="1.2").session
    assert session.ticket
    fill(disk / "ballast")
    server.expect(r"\[stek_rotate:warn\].*STEK2003.*No space")
    # Past all that was prepared, which is not more than two minutes and the time since then.
    server.set_clock(600)
    assert ringfile.Ring.read(disk / "r.ring", secrets).covered_until < server.now()

    def no_tickets():
        for v in VERSIONS:
            reply = server.get(tls=v)
            assert reply.status == 200 and not reply.tickets
        reply = server.get(tls="1.2", session=session)
        assert reply.status == 200 and not reply.resumed and not reply.tickets
    no_tickets()
    server.wait_log(r"\[stek_rotate:error\].*STEK2002.*No space", timeout=40)
    no_tickets()
    assert ringfile.Ring.read(disk / "r.ring", secrets).covered_until < server.now()
    (disk / "ballast").unlink()
    server.wait_log("STEK2001", timeout=40)
    for v in VERSIONS:
        session = wait_for(lambda: server.get(tls=v).session, "tickets again")
        # Another child may look at the ring a second later.
        wait_for(lambda: server.get(tls=v, session=session).resumed, "a resumption")


# What is said of a configuration.

@pytest.mark.parametrize("which", ["file", "secret"])
def test_path_too_long_fails_configtest(httpd, which):
    server = httpd(server=lines(**{which: "/tmp/" + "x" * 4995}))
    status, output = server.configtest()
    assert status == 1 and re.search(
        rf"STEK1008: StekRing: ring 'default' \(\S+/httpd.conf:\d+\): {which} '/tmp/xxx", output)
    assert "xxx' is not a usable path" in output and len(output) < 2000


@pytest.mark.parametrize("order", [1, -1])
def test_ring_that_is_another_rings_default_secret_fails_configtest(httpd, order):
    server = httpd()
    rings = [f"StekRing one file={server.run_dir}/k.ring",
             f"StekRing two file={server.run_dir}/k.secret"]
    server.server = rings[::order]
    status, output = server.configtest()
    assert status == 1 and f"STEK1001: StekRing: {server.run_dir}/k.secret is" in output
    server.server[rings[::order].index(rings[1])] = f"StekRing two file={server.run_dir}/l.ring"
    assert server.configtest()[0] == 0


def test_tickets_off_for_all_is_said(httpd):
    server = httpd(server=["SSLSessionTickets off"], vhosts=[Vhost("a.test"), Vhost("b.test")])
    server.start()
    line, = server.lines("STEK3008")
    assert "[stek_rotate:notice]" in line and "SSLSessionTickets off" in line
    # In TLS 1.3 OpenSSL goes on to send what it calls tickets: names of sessions in its cache.
    assert not server.get(tls="1.2").tickets
    mark = server.mark()
    server.vhosts[0].lines = ["SSLSessionTickets on"]
    server.graceful()
    assert not server.lines("STEK3008", mark)
    assert server.get(tls="1.2").tickets


def test_client_limits_above_the_cache_timeout_are_said(httpd, certs):
    server = httpd(vhosts=[Vhost("open.test", ["StekMaxSessionAge 1h"]),
                           Vhost("careful.test", demanding(certs)),
                           Vhost("long.test", demanding(certs, "StekMaxSessionAge 1h"))])
    server.expect(*REFUSALS)
    server.start()
    line, = server.lines("STEK3009")
    assert "[stek_rotate:notice]" in line and "long.test" in line and " more" not in line
    assert "open.test" not in line and "careful.test" not in line
    mark = server.mark()
    server.vhosts[2].lines = demanding(certs)
    server.graceful()
    assert not server.lines("STEK3009", mark)
