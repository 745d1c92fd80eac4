# SPDX-License-Identifier: Apache-2.0
"""What httpd makes of a ring and a secret that are not what the administrator takes them for: nothing
of value is lost, and the log says what is the matter and how to undo it."""
import os
import pwd
import re
import shutil
import subprocess

import pytest

import ringfile
from checks import VERSIONS, fixed_ring, issued_now, lines
from httpd import RUN_AS, Vhost, wait_for
from stekctl_tool import Stekctl
from test_findings import THIRD_USER

VERSION_AT = 9  # of a ring: behind its magic, the low byte
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n"


def put(path, text, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)
    path.chmod(mode)
    return path


# A place that another user has made for himself.

@pytest.mark.parametrize("generate", ["off", "on"])
def test_secret_of_a_user_in_a_directory_of_his_below_a_sticky_one_is_refused(httpd, generate):
    server = httpd()
    sticky, his = server.root / "tmp", server.root / "tmp" / "stek"
    his.mkdir(parents=True)
    sticky.chmod(0o1777)
    tool, ids = Stekctl(his, "x.ring"), pwd.getpwnam(THIRD_USER)[2:4]
    tool.run("new")
    for path in (his, *his.iterdir()):
        os.chown(path, *ids)
    before = tool.ring_path.read_bytes()
    server.server = lines(file=tool.ring_path, secret=tool.secret_path, generate=generate)
    server.expect("STEK2011" if generate == "on" else "STEK2002")
    server.start()
    said, = server.lines("STEK2011" if generate == "on" else "STEK2002")
    assert f"{his} (owner uid {ids[0]}, mode 0755; wanted: owner root: chown root)" in said
    names = {ticket.name for v in VERSIONS for ticket in server.get(tls=v).tickets}
    assert not names & {key.name for key in tool.ring().keys}
    assert bool(names) == (generate == "on") and tool.ring_path.read_bytes() == before


# A ring and a secret that do not belong together.

def test_ring_of_another_secret_is_warned_of_and_can_be_had_back(httpd):
    server = httpd().start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    before, wrong = server.ring_path().read_bytes(), server.root / "keys" / "other.secret"
    assert "STEK1010" not in server.configtest()[1]
    put(wrong, ringfile.secret_line(os.urandom(32)))
    server.server = lines(secret=wrong)
    status, said = server.configtest()
    line, = [x for x in said.splitlines() if "STEK1010" in x]
    assert status == 0 and str(server.ring_path()) in line and str(wrong) in line
    server.expect("STEK2004")
    server.graceful()
    line, = server.lines("STEK2004")
    assert "not in the secret file" in line and "point secret= at" in line and "move the refused file back" in line
    aside = server.ring_path().parent / re.search(r"default\.ring\.refused-[-\d]+", line)[0]
    assert aside.read_bytes() == before
    # As the message says.
    server.server = []
    aside.rename(server.ring_path())
    server.graceful()
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v]).resumed
    assert len(server.lines("STEK2004")) == 1


def test_new_secret_in_the_same_file_is_no_loss_at_a_reload_and_said_to_be_none(httpd):
    server = httpd(processes=1).start()
    first, before = issued_now(server).session, server.ring()
    put(server.secret_path(), ringfile.secret_line(os.urandom(32)))
    line, = [x for x in server.configtest()[1].splitlines() if "STEK1010" in x]
    assert line.endswith("check file= and secret=") and "unless this is a reload" in line
    server.expect("STEK2004")
    server.graceful()
    line, = server.lines("STEK2004")
    assert line.endswith("and will write it again with the keys that it has in memory"), line
    assert server.ring().keys == before.keys and server.get(session=first).resumed


# A secret that cannot be used when httpd starts.

def unusable(path, what):
    if what == "folder":
        path.mkdir(parents=True)
    elif what == "fleet":
        path.parent.mkdir(parents=True)
        Stekctl(path.parent, secret=path).run("secret", "new", "--fleet")
    else:
        text = {"pem": PEM, "open": ringfile.secret_line(os.urandom(32)),
                "comments": "# moved to the vault, ask Alice\n"}[what]
        put(path, text, 0o644 if what == "open" else 0o600)


WORDS = {"folder": "is a directory", "fleet": "a fleet secret", "pem": "is a PEM file",
         "open": "(owner root, mode 0644; wanted: owner root, mode 0600: chmod 600)", "comments": "contains no secret"}


def test_secret_unusable_from_the_start_seals_no_file_until_it_is_mended(httpd):
    server = httpd(processes=1)
    keys = server.root / "keys"
    server.vhosts = [Vhost(f"{what}.test", [f"StekUseRing {what}"]) for what in WORDS]
    # The default place, beside the ring, for comments: only there is a secret ever written over.
    server.server = [f"StekRing {what} file={keys / what}/x.ring"
                     + ("" if what == "comments" else f" secret={keys / what}/x.secret")
                     for what in WORDS]
    for what in WORDS:
        unusable(keys / what / "x.secret", what)
    kept = (keys / "comments" / "x.secret").read_text()
    server.expect("STEK2011")
    server.start()
    first = {what: server.get(f"{what}.test") for what in WORDS}
    for step in range(2):
        if step:
            server.graceful()
        for what, word in WORDS.items():
            said = server.lines(rf"STEK2011: ring '{what}'")
            assert len(said) == step + 1 and word in said[-1] and "x.secret" in said[-1], what
            assert not (keys / what / "x.ring").exists(), what
            assert first[what].tickets
            assert server.get(f"{what}.test", session=first[what].session).resumed, what
    assert not server.lines("STEK2009") and (keys / "comments" / "x.secret").read_text() == kept
    for what in WORDS:
        path = keys / what / "x.secret"
        path.rmdir() if what == "folder" else path.unlink()
    server.graceful()
    for what in WORDS:
        assert server.get(f"{what}.test", session=first[what].session).resumed, what
        stored = ringfile.Ring.read(keys / what / "x.ring",
                                    ringfile.read_secrets(keys / what / "x.secret"))
        assert stored.find(first[what].name)
    assert len(server.lines("STEK2011")) == 2 * len(WORDS)


# A ring that cannot be moved out of the way.

@pytest.fixture
def pinned():
    """Keeps files where they are: nobody can rename a mount point."""
    paths = []

    def unpin():
        while paths:
            subprocess.run(["umount", "-l", paths.pop()], check=True)

    def pin(path):
        subprocess.run(["mount", "--bind", path, path], check=True)
        paths.append(path)
        return unpin
    yield pin
    unpin()


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


@pytest.mark.timeout(150)
def test_ring_that_cannot_be_moved_aside_is_said_once_for_each_cause(httpd, pinned):
    short = "interval=1s lifetime=1min"
    server = httpd(server=[f"StekRing {name} {short}" for name in ("default", "other")], processes=1,
                   vhosts=[Vhost("a.test"), Vhost("b.test", ["StekUseRing other"])]).start()
    path = server.ring_path()

    def flip_body():
        flip(path, path.stat().st_size - 1)

    def cycles(n):
        """The other ring needs keys in every cycle of the monitor hook."""
        start = server.ring("other").generation
        wait_for(lambda: server.ring("other").generation >= start + n, "cycles of the monitor hook", 15 * n)

    server.expect("STEK2002", "STEK2003", "STEK2004")
    unpin = pinned(path)
    flip_body()
    first, = server.wait_log("STEK2005")
    assert "changed since it was sealed" in first and "Device or resource busy" in first and "move it yourself" in first
    cycles(2)
    assert server.lines("STEK2005") == [first]
    flip_body()
    flip(path, VERSION_AT)
    second = server.wait_log("STEK2005", count=2)[1]
    assert "version" in second
    unpin()
    server.wait_log("STEK2004")
    server.wait_log("STEK2001")
    assert server.lines("STEK2005") == [first, second]
    # The first cause again, but another time.
    pinned(path)
    flip_body()
    assert "changed since it was sealed" in server.wait_log("STEK2005", count=3)[2]


# A private key where a ring should be.

def test_nobody_is_told_to_open_a_private_key(httpd):
    server = httpd(server=lines(file="site.key", generate="off"))
    server.server = lines(file=put(server.root / "site.key", PEM), generate="off",
                          secret=put(server.root / "s", ringfile.secret_line(os.urandom(32))))
    server.expect("STEK2002")
    server.start()
    said, = server.lines("STEK2002")
    assert "site.key: is not a ring" in said and not server.lines("STEK2017")


# Copies of root's beside the ring.

def test_dated_copies_beside_the_ring_stay(httpd):
    server = httpd()
    copies = [put(path.with_name(f"{path.name}.tmp-20261120"), "precious")
              for path in (server.ring_path(), server.secret_path())]
    for path in copies:
        os.utime(path, (1, 1))
    server.ring_path().parent.chmod(0o750)
    shutil.chown(server.ring_path().parent, group=RUN_AS)
    server.start()
    issued_now(server)
    assert [path.read_text() for path in copies] == ["precious"] * 2


def test_rights_that_were_found_are_said(httpd):
    server = httpd(server=lines(generate="off"))
    server.put_secret(os.urandom(32))
    server.put_ring(fixed_ring())
    server.ring_path().chmod(0o664)
    server.expect("STEK2002")
    server.start()
    assert (f"{server.ring_path()} (owner root, mode 0664; wanted: owner root, not writable by group or others: "
            "chmod go-w)") in server.lines("STEK2002")[0]
