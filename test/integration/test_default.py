# SPDX-License-Identifier: Apache-2.0
"""LoadModule alone: tickets under the default ring's current key, with each kind of client."""
import grp
import os
import re
import shutil
import stat
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from checks import VERSIONS, issued_now, lines, wait_until
from httpd import MODULE, RUN_AS


def test_default_full_handshake_issues_under_current_key(httpd, mpm, version):
    server = httpd(mpm=mpm).start()
    reply = issued_now(server, tls=version)
    assert not reply.resumed and reply.session.hint == 18 * 3600
    assert len(reply.tickets) == (1 if version == "1.2" else 2)
    key = server.ring().find(reply.name)
    assert key.encrypt_until - key.not_before == 3600 and key.not_before % 3600 == 0
    assert key.decrypt_until - key.encrypt_until == 18 * 3600


def test_default_resumption_renews_as_the_version_demands(httpd, mpm, version):
    server = httpd(mpm=mpm).start()
    first = issued_now(server, tls=version)
    second = server.get(tls=version, session=first.session)
    assert second.resumed
    assert len(second.tickets) == (0 if version == "1.2" else 1)


def test_default_ring_covers_the_next_slot(httpd):
    server = httpd().start()
    now = int(time.time())
    ring = server.ring()
    assert ring.current(now) and ring.current(now + 3600)
    assert ring.interval == 3600 and ring.lifetime == 64800
    assert len({key.name for key in ring.keys}) == len(ring.keys)


def test_default_files_belong_to_root_and_open_to_no_one(httpd):
    server = httpd().start()
    folder, ring, secret = (os.stat(path) for path in (server.run_dir / "stek_rotate",
                                                       server.ring_path(), server.secret_path()))
    assert stat.S_IMODE(secret.st_mode) == 0o600
    assert stat.S_IMODE(ring.st_mode) == 0o640
    assert stat.S_IMODE(folder.st_mode) & 0o022 == 0
    assert {folder.st_uid, ring.st_uid, secret.st_uid} == {os.geteuid()}
    if os.geteuid() == 0:
        assert ring.st_gid == grp.getgrnam(RUN_AS).gr_gid


def test_default_without_sni_gets_a_ticket_that_resumes(httpd, version):
    server = httpd().start()
    first = issued_now(server, tls=version, sni=False)
    assert server.get(tls=version, sni=False, session=first.session).resumed


def test_default_client_without_ticket_support_is_served(httpd, version):
    server = httpd().start()
    assert server.get(tls=version, tickets=False).status == 200


@pytest.mark.parametrize("part", ["name", "iv", "body", "mac", "all"])
def test_ticket_altered_gives_full_handshake_and_a_good_ticket(httpd, version, part):
    server = httpd().start()
    session = issued_now(server, tls=version).session
    ticket = bytearray(session.ticket)
    at = {"name": 3, "iv": 20, "body": 40, "mac": len(ticket) - 5, "all": None}[part]
    if at is None:
        ticket = bytearray(os.urandom(len(ticket)))
    else:
        ticket[at] ^= 0x40
    reply = issued_now(server, tls=version, session=session.with_ticket(bytes(ticket)))
    assert not reply.resumed and reply.status == 200
    assert server.get(tls=version, session=reply.session).resumed


# Other clients.  Each comes again in a later slot, so that renewal is met as well.

def s_client(server, version, *args):
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}",
               "-servername", "a.test", f"-tls{version.replace('.', '_')}", "-ign_eof",
               *map(str, args)]
    request = b"GET /index.html HTTP/1.0\r\nHost: a.test\r\n\r\n"
    done = subprocess.run(command, input=request, capture_output=True, timeout=30)
    assert done.returncode == 0 and b"hello" in done.stdout, done.stderr.decode()
    return done.stdout.decode()


def ticket_names(text):
    """First 16 bytes of each ticket in openssl's text form of sessions."""
    return [bytes.fromhex(re.sub(r"[ -]", "", first)) for first in
            re.findall(r"TLS session ticket:\n\s+0000 - ([0-9a-f -]{47})", text)]


def session_text(path):
    done = subprocess.run(["openssl", "sess_id", "-in", path, "-noout", "-text"],
                          capture_output=True, text=True, check=True)
    hint = int(re.search(r"TLS session ticket lifetime hint: (\d+)", done.stdout).group(1))
    return ticket_names(done.stdout)[0], hint


def test_openssl_client_resumes_across_rotation(httpd, version, tmp_path):
    server = httpd(server=lines(interval="2s", lifetime="30s", poll="1s")).start()
    assert "\nNew, TLSv" in s_client(server, version, "-sess_out", tmp_path / "one")
    name, hint = session_text(tmp_path / "one")
    key = server.ring().find(name)
    assert key and hint == 30
    wait_until(key.encrypt_until)
    text = s_client(server, version, "-sess_in", tmp_path / "one")
    assert "\nReused, TLSv" in text
    renewed = ticket_names(text)[-1]
    assert renewed != name and server.ring().find(renewed)


def curl(server, version):
    url = f"https://a.test:{server.port}/index.html"
    done = subprocess.run(
        ["curl", "-sSvk", "--resolve", f"a.test:{server.port}:127.0.0.1", f"--tlsv{version}",
         "--tls-max", version, url, url, url], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and done.stdout == "hello\n" * 3, done.stderr
    return len(re.findall(r"^\* SSL re-using session ID", done.stderr, re.M))


def test_curl_resumes(httpd):
    assert curl(httpd().start(), "1.3") == 2


def test_curl_which_takes_no_tls12_tickets_is_served(httpd):
    curl(httpd().start(), "1.2")


def test_gnutls_client_resumes(httpd, version):
    server = httpd().start()
    priority = f"NORMAL:-VERS-ALL:+VERS-TLS{version}"
    done = subprocess.run(
        ["gnutls-cli", "--resume", "--waitresumption", "--insecure", "--priority", priority,
         "--sni-hostname", "a.test", "--port", str(server.port), "127.0.0.1"],
        input="GET /index.html HTTP/1.0\r\nHost: a.test\r\n\r\n", capture_output=True, text=True,
        timeout=30)
    assert "This is a resumed session" in done.stdout, done.stdout + done.stderr


def test_many_clients_at_once_all_resume(httpd, mpm):
    server = httpd(mpm=mpm).start()
    sessions = [issued_now(server, tls=version).session for version in VERSIONS]

    def visit(i):
        version = VERSIONS[i % len(VERSIONS)]
        return server.get(tls=version, session=sessions[i % len(sessions)])
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(visit, range(400)))
    assert all(reply.resumed and reply.status == 200 for reply in replies)


def test_default_loaded_twice_is_said_and_changes_nothing(httpd, tmp_path):
    """By a2enmod and by a line of one's own, which may name another copy."""
    other = shutil.copy(MODULE, tmp_path / "other.so")
    server = httpd(server=[f"LoadModule stek_rotate_module {MODULE}", f"LoadModule stek_rotate_module {other}"])
    server.expect("AH01574")
    code, said = server.configtest()
    assert code == 0 and said.count("module stek_rotate_module is already loaded, skipping") == 2
    session = issued_now(server.start()).session
    server.graceful()
    assert server.get(session=session).resumed
