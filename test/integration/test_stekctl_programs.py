# SPDX-License-Identifier: Apache-2.0
"""Exported keys in the programs that they are for, and theirs imported: tickets carry the current
key's name and open under its bytes."""
import base64
import hmac
import os
import time
from pathlib import Path

import pytest

import ringfile
from httpd import wait_for
from stekctl_tool import (
    FINDING,
    IO,
    REFUSED,
    Dnsdist,
    Haproxy,
    Lighttpd,
    Nginx,
    Stekctl,
    Trafficserver,
)

PROGRAMS = {
    "nginx": Nginx,
    "haproxy": Haproxy,
    "lighttpd": Lighttpd,
    "dnsdist": Dnsdist,
    "ats": Trafficserver,
}
LONG = ("new", "--interval", "1h", "--lifetime", "18h")


@pytest.fixture
def stekctl(folder):
    tool = Stekctl(folder)
    yield tool
    tool.stop()


@pytest.fixture
def start(folder, certs):
    programs = []

    def make(kind, out):
        programs.append(kind(folder, certs, out))
        return programs[-1].start()

    yield make
    for program in programs:
        program.stop()


def export(stekctl, name, out=None):
    out = out or stekctl.root / f"out-{name}"
    owner = ["--owner", Trafficserver.USER] if name == "ats" and os.geteuid() == 0 else []
    stekctl.run("export", "--format", name, "--out", out, *owner)
    return out


def raw(key):
    return key.name + key.hmac + key.aes


def issues_under(program, key, **options):
    """The program's reply, if its ticket is under that key and opens with the key's bytes."""
    reply = program.get(**options)
    assert reply.status == 200 and reply.tickets
    return reply if reply.name == key.name and key.opens(reply.session.ticket) is not None else None


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_stekctl_export_program_issues_under_current_key(stekctl, start, name, version):
    stekctl.run(*LONG)
    stekctl.run("rotate")
    key = wait_for(lambda: stekctl.current(), "a current key")
    out = export(stekctl, name)
    program = start(PROGRAMS[name], out)
    reply = program.get(tls=version)
    assert reply.name == key.name
    if name == "ats":  # knows 16-byte keys only: those of the file, derived from the ring's
        raw, ticket = out.read_bytes()[:48], reply.session.ticket
        assert hmac.new(raw[16:32], ticket[:-32], "sha256").digest() == ticket[-32:]
        derived = ringfile.hkdf(key.hmac + key.aes, b"", b"stek export 48", 32)
        assert raw == key.name + derived
    else:
        assert key.opens(reply.session.ticket) is not None
    assert program.get(tls=version, session=reply.session).resumed


def test_stekctl_export_apache_stock_httpd_issues_under_current_key(stekctl, httpd, version):
    stekctl.run(*LONG)
    key, out = stekctl.current(), export(stekctl, "apache")
    server = httpd(module=False, server=[f"SSLSessionTicketKeyFile {out}"]).start()
    assert server.get(tls=version).name == key.name


def test_stekctl_export_files_private_atomic_named(stekctl):
    stekctl.run(*LONG)
    for name in ("haproxy", "apache", "ats", "lighttpd", "dnsdist"):
        out = stekctl.root / f"out-{name}"
        export(stekctl, name, out)
        out.chmod(0o644)
        export(stekctl, name, out)
        assert out.stat().st_mode & 0o7777 == 0o600
    folder = export(stekctl, "nginx")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o7777 == 0o600 for path in folder.iterdir())
    named = (folder / "tickets.conf").read_text().split('"')[1::2]
    assert sorted(named) == sorted(map(str, folder.glob("*.key")))
    assert Path(named[0]).read_bytes() == raw(stekctl.current())
    assert not [path for path in stekctl.root.rglob("*") if "tmp" in path.name]


def test_stekctl_nginx_to_nginx_resumption_across_rotation(stekctl, start, version):
    stekctl.run(*LONG)
    folders = [export(stekctl, "nginx", stekctl.root / f"n{i}") for i in range(2)]
    one, two = (start(Nginx, folder) for folder in folders)
    old_key = stekctl.current()
    old = wait_for(lambda: issues_under(one, old_key, tls=version), "a ticket under the first key")
    assert two.get(tls=version, session=old.session).resumed
    new_name = stekctl.json("rotate")["key"]["name"]
    new_key = wait_for(
        lambda: (k := stekctl.current()).name.hex().startswith(new_name) and k,
        "the new key to encrypt",
    )
    for folder, program in zip(folders, (one, two)):
        export(stekctl, "nginx", folder)
        program.reload()
    for program in (one, two):
        wait_for(lambda p=program: issues_under(p, new_key, tls=version), "the new key in tickets")
    assert two.get(tls=version, session=old.session).resumed
    # For a moment, workers from before the reload may take connections, too.
    new = wait_for(lambda: issues_under(two, new_key, tls=version), "a ticket under the new key")
    wait_for(lambda: one.get(tls=version, session=new.session).resumed, "a resumption of it")


def test_stekctl_follow_nginx_reloaded_by_exec_revoked_key_gone(stekctl, start, version):
    stekctl.run(*LONG)
    out, done = stekctl.root / "follow", stekctl.root / "pid"
    done.write_text("0")
    stekctl.follow(
        "--format",
        "nginx",
        "--out",
        out,
        "--exec",
        f"test $(cat {done}) = 0 || kill -HUP $(cat {done})",
    )
    wait_for(lambda: (out / "tickets.conf").exists(), "the export")
    first = stekctl.current()
    program = start(Nginx, out)
    done.write_text(str(program.process.pid))
    old = wait_for(lambda: issues_under(program, first, tls=version), "the first key in tickets")
    stekctl.run("rotate")
    second = wait_for(lambda: (k := stekctl.current()) != first and k, "the second key")
    wait_for(lambda: issues_under(program, second, tls=version), "the second key in tickets")
    assert program.get(tls=version, session=old.session).resumed
    stale = stekctl.ring_path.read_bytes()
    assert (out / f"stek-{first.name.hex()}.key").exists()
    stekctl.run("revoke", first.name.hex())
    wait_for(lambda: not (out / f"stek-{first.name.hex()}.key").exists(), "the key file to go")
    wait_for(lambda: not program.get(tls=version, session=old.session).resumed, "a full handshake")
    # An old copy of the ring brings nothing back.
    stekctl.ring_path.write_bytes(stale)
    stekctl.run("rotate")
    third = wait_for(lambda: (k := stekctl.current()) != second and k, "the third key")
    wait_for(lambda: issues_under(program, third, tls=version), "the third key in tickets")
    assert not (out / f"stek-{first.name.hex()}.key").exists()


def test_stekctl_follow_haproxy_socket_no_reload(stekctl, start, version):
    stekctl.run(*LONG)
    out = export(stekctl, "haproxy")
    program = start(Haproxy, out)
    stekctl.follow("--format", "haproxy", "--out", out, "--socket", program.socket)
    session = None
    seen = set()
    for _ in range(4):
        key = wait_for(lambda: (k := stekctl.current()).name not in seen and k, "another key")
        seen.add(key.name)
        reply = wait_for(lambda: issues_under(program, key, tls=version), "that key in tickets")
        if session:  # of the key before
            assert program.get(tls=version, session=session).resumed
        session = reply.session
        stekctl.run("rotate")

    # The file says the same, for the next start: its last but one encrypts.
    def in_file():
        lines = [base64.b64decode(line) for line in out.read_text().split()]
        return len(lines) == 3 and lines[1][:16] == stekctl.current().name

    wait_for(in_file, "the last key in the file")
    last = wait_for(lambda: issues_under(program, stekctl.current(), tls=version), "the last key in tickets")
    stekctl.run("revoke", "--all")
    wait_for(lambda: issues_under(program, stekctl.current(), tls=version), "the key after all")
    wait_for(lambda: not program.get(tls=version, session=last.session).resumed, "the revocation")


def test_stekctl_export_haproxy_socket_once_and_its_faults(stekctl, start):
    stekctl.run(*LONG)
    out = export(stekctl, "haproxy")
    program = start(Haproxy, out)
    stekctl.run("rotate")
    key = wait_for(
        lambda: (k := stekctl.current()).name.hex() not in out.read_text() and k, "a key"
    )
    stekctl.run("export", "--format", "haproxy", "--out", out, "--socket", program.socket)
    wait_for(lambda: issues_under(program, key, tls="1.3"), "the new key in tickets")
    for socket, file in (("/nonexistent", out), (program.socket, stekctl.root / "not-in-its-conf")):
        done = stekctl.run(
            "export", "--format", "haproxy", "--out", file, "--socket", socket, expect=IO
        )
        assert done.stderr.count("\n") == 1 and done.stderr.startswith("stekctl: ")


def test_stekctl_follow_files_end_with_their_keys(stekctl):
    """A ring that nobody extends: two keys of two seconds, each decrypting for two more."""
    stekctl.run("new", "--interval", "2s", "--lifetime", "2s")
    start = int(time.time()) + 1
    keys = [ringfile.make_key(start + 2 * i, 2, 2) for i in range(2)]
    ring = ringfile.Ring(keys, interval=2, lifetime=2)
    stekctl.ring_path.write_bytes(ring.seal(ringfile.read_secrets(stekctl.secret_path)[0]))
    folder, single = stekctl.root / "keys", stekctl.root / "dnsdist"
    wait_for(lambda: time.time() >= start, "the first slot")
    stekctl.follow("--format", "nginx", "--out", folder)
    stekctl.follow("--format", "dnsdist", "--out", single)
    files = [folder / f"stek-{key.name.hex()}.key" for key in keys]
    wait_for(lambda: files[0].exists() and files[1].exists() and single.exists(), "the exports")
    wait_for(lambda: not files[0].exists(), "the first key's file to go")
    assert time.time() >= keys[0].decrypt_until and files[1].exists()
    wait_for(
        lambda: keys[0].name not in single.read_bytes(), "the first key to leave the other file"
    )
    wait_for(lambda: not files[1].exists() and not single.exists(), "the last key to go")
    assert time.time() >= keys[1].decrypt_until and not (folder / "tickets.conf").exists()
    wait_for(
        lambda: "there is no current key" in (stekctl.root / "follow-0.log").read_text(), "the word"
    )


def test_stekctl_export_without_current_key_is_a_finding(stekctl):
    stekctl.run(*LONG)
    secret = ringfile.read_secrets(stekctl.secret_path)[0]
    ring = stekctl.ring()
    ring.keys = [ringfile.make_key(int(time.time()) // 3600 * 3600 - 7200)]
    stekctl.ring_path.write_bytes(ring.seal(secret))
    out = stekctl.root / "out"
    done = stekctl.run("export", "--format", "dnsdist", "--out", out, expect=FINDING)
    assert done.stderr.count("\n") == 1 and not out.exists()
    assert stekctl.json("show", expect=FINDING)["healthy"] is False


@pytest.mark.parametrize(
    "name,length", [("nginx", 80), ("haproxy", 80), ("lighttpd", 92), ("dnsdist", 80)]
)
def test_stekctl_import_used_as_the_program_uses_them(stekctl, name, length):
    stekctl.run(*LONG)
    now = int(time.time())
    raws = [os.urandom(80) for _ in range(4 if name == "haproxy" else 2)]
    encrypts = {"nginx": 0, "haproxy": 2, "lighttpd": 1, "dnsdist": 1}[name]
    files = []
    if name in ("haproxy", "dnsdist"):
        text = b"".join(base64.b64encode(raw) + b"\n" for raw in raws)
        files = [text if name == "haproxy" else b"".join(raws)]
    else:
        head = b"".join(n.to_bytes(4, "little") for n in (0, now - 60, now + 1800))
        files = [(head if name == "lighttpd" else b"") + raw for raw in raws]
    paths = []
    for i, data in enumerate(files):
        paths.append(stekctl.root / f"k{i}")
        paths[-1].write_bytes(data)
        paths[-1].chmod(0o600)
    before = {key.name for key in stekctl.ring().keys}
    stekctl.run("import", "--format", name, *paths)
    ring = stekctl.ring()
    new = {key.name: key for key in ring.keys if key.name not in before}
    wanted = raws[1:] if name == "haproxy" else raws
    assert set(new) == {raw[:16] for raw in wanted}
    for i, raw in enumerate(raws):
        key = new.get(raw[:16])
        if key is None:
            continue
        halves = (raw[16:48], raw[48:])
        assert (key.hmac, key.aes) == (halves if name in ("nginx", "lighttpd") else halves[::-1])
        assert (key.encrypt_until > key.not_before) == (i == encrypts)
        assert key.decrypt_until > now
        if name == "lighttpd":
            assert key.decrypt_until == now + 1800
    chosen = new[raws[encrypts][:16]]
    wait_for(lambda: stekctl.current().name == chosen.name, "the imported key to encrypt")


def test_stekctl_import_aes128_refused_unless_allowed_only_decrypts(stekctl, start, folder):
    stekctl.run(*LONG)
    keys = []
    for i in range(2):
        keys.append(folder / f"k{i}")
        keys[-1].write_bytes(os.urandom(48))
        keys[-1].chmod(0o600)
    (folder / "tickets.conf").write_text(f"ssl_session_ticket_key {keys[0]};\n")
    issued = start(Nginx, folder).get(tls="1.2")
    assert issued.name == keys[0].read_bytes()[:16]
    before = stekctl.ring_path.read_bytes()
    done = stekctl.run("import", "--format", "nginx", *keys, expect=REFUSED)
    assert "--allow-aes128" in done.stderr and stekctl.ring_path.read_bytes() == before
    stekctl.run("import", "--format", "nginx", "--allow-aes128", *keys)
    ring = stekctl.ring()
    for path in keys:
        raw, key = path.read_bytes(), ring.find(path.read_bytes()[:16])
        assert key.flags == 1 and key.not_before == key.encrypt_until
        assert (key.aes, key.hmac) == (raw[16:32] + bytes(16), raw[32:48] + bytes(16))
    # And out again: nginx opens its former tickets with the exported set.
    other = start(Nginx, export(stekctl, "nginx"))
    assert other.get(tls="1.2", session=issued.session).resumed
