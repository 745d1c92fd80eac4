# SPDX-License-Identifier: Apache-2.0
"""S11: the module and stekctl move, overwrite, truncate or re-mode nothing but rings, secrets and
exports that they recognise.  Each kind of foreign object, at each path that an administrator gives."""
import os
import pwd
import re
import shutil
import socket
import subprocess

import pytest

from checks import VERSIONS, lines
from foreign import KINDS, around, picture
from httpd import RUN_AS, Vhost, wait_for
from seed import seeded_rng
from stekctl_tool import BINARY, IO, REFUSED, USAGE, Stekctl

RUN_AS_IDS = pwd.getpwnam(RUN_AS)[2:4]
WHERE = ["file", "secret", "lock"]
# A secret is read through a link, and by whatever name it has.
NO_SECRET = set(KINDS) - {"link-nowhere"}
# Of a lock no more is said than that it is none; another name of a lock's content is one of ours.
FOREIGN_AT = {"file": set(KINDS), "secret": NO_SECRET, "lock": set(KINDS)}
STATE_OF_FILES = "STEK1009"


def ring_name(kind, where):
    return f"{kind}-{where}"


@pytest.fixture
def server(httpd):
    """A ring for each kind at each path, in a folder of root's."""
    made = httpd(mpm="event", processes=1)
    keys, dice = made.root / "keys", seeded_rng()
    keys.mkdir()
    made.server, made.vhosts, made.foreign = [], [Vhost("plain.test")], {}
    for kind, (make, _) in KINDS.items():
        for where in WHERE:
            name = ring_name(kind, where)
            paths = {"file": keys / f"{name}.ring", "secret": keys / f"{name}.secret",
                     "lock": keys / f"{name}.ring.lock"}
            make(paths[where], dice)
            if kind in FOREIGN_AT[where]:
                made.foreign[kind, where] = paths[where]
            made.server.append(f"StekRing {name} file={paths['file']} secret={paths['secret']}")
            made.vhosts.append(Vhost(f"{name}.test", [f"StekUseRing {name}"]))
    made.expect(r"stek_rotate:(warn|error)")
    return made


def changed(foreign, before):
    return [f"{kind} at {where}" for (kind, where), path in foreign.items()
            if around(path) != before[kind, where]]


def test_foreign_objects_at_every_path_stay_and_are_named(server):
    before = {at: around(path) for at, path in server.foreign.items()}
    code, said = server.configtest()
    assert code == 0 and "Syntax OK" in said
    assert not changed(server.foreign, before), "configtest"
    for kind in ("folder", "full-folder", "pem-key", "der-key", "text", "random", "large", "fifo"):
        for where in ("file", "secret"):
            path = server.foreign[kind, where]
            line = [x for x in said.splitlines() if STATE_OF_FILES in x and f"{path} " in x]
            assert len(line) == 1 and KINDS[kind][1] in line[0], f"{kind} at {where}: {line}"
    server.start()
    faults = [f"start: {at}" for at in changed(server.foreign, before)]
    first = {}
    for kind, (_, word) in KINDS.items():
        for where in WHERE:
            name = ring_name(kind, where)
            first[name] = server.get(f"{name}.test")
            if not first[name].tickets:
                faults.append(f"{name}: no tickets")
            if (kind, where) not in server.foreign:
                continue
            said = server.lines(rf"STEK2011: ring '{name}'")
            if len(said) != 1:
                faults.append(f"{name}: {said}")
            elif where == "file" and (word not in said[0] or "out of the way" not in said[0]):
                faults.append(f"{name}: found is not said: {said}")
            elif where == "lock" and not any(
                    f"{server.foreign[kind, where]} {words}" in said[0] for words in ("is not a lock file", "(owner uid")):
                faults.append(f"{name}: the lock is not named: {said}")
    server.graceful()
    faults += [f"reload: {at}" for at in changed(server.foreign, before)]
    for name, reply in first.items():
        if reply.tickets and not server.get(f"{name}.test", session=reply.session).resumed:
            faults.append(f"{name}: does not resume after the reload")
    assert not faults, "\n".join(faults)


def test_folder_in_place_of_the_ring_while_httpd_runs_stays(httpd):
    """The keys at hand serve on, until somebody takes it away."""
    server = httpd(server=lines(interval="2s", lifetime="60s", poll="1s")).start()
    path = server.ring_path()
    path.unlink()
    path.mkdir()
    (path / "precious").write_text("x")
    before = picture(path)
    server.wait_log(r"STEK2003.*default\.ring is a directory", timeout=30)
    assert picture(path) == before
    shutil.rmtree(path)
    server.expect("STEK2002", "STEK2003")
    wait_for(path.is_file, "the ring again", 30)
    assert server.get().tickets


def test_ring_that_is_ours_is_set_aside_as_before(httpd):
    server = httpd().start()
    session = {v: server.get(tls=v).session for v in VERSIONS}
    data = server.ring_path().read_bytes()
    taken = [server.ring_path().with_name(f"default.ring.refused-{i}") for i in range(3)]
    for path in taken:
        path.write_text("somebody's")
    for bad in (data[:200], data[:-9] + bytes(9), b"STEKRING", b""):
        server.put_ring(bad)
        server.expect("STEK2003", "STEK2004")
        server.graceful()
        for v in VERSIONS:
            assert server.get(tls=v, session=session[v]).resumed
    aside = [p for p in server.ring_path().parent.glob("*.refused-*") if p not in taken]
    assert len(aside) == 4 and all(path.read_text() == "somebody's" for path in taken)


# Directories that others can write to.

@pytest.mark.parametrize("mode", [0o1777, 0o1775])
def test_ring_is_not_written_where_others_can_make_files(httpd, mode):
    server = httpd()
    folder = server.root / "shared"
    folder.mkdir()
    folder.chmod(mode)
    shutil.chown(folder, group=RUN_AS)
    server.server = lines(file=folder / "x.ring", secret=folder / "x.secret")
    server.expect("STEK2011")
    server.start()
    line, = server.lines("STEK2011")
    assert "others can create files" in line and str(folder) in line
    assert not os.listdir(folder)
    reply = server.get()
    assert reply.tickets and server.get(session=reply.session).resumed


def test_ring_below_a_sticky_directory_is_written(httpd):
    server = httpd()
    sticky, folder = server.root / "sticky", server.root / "sticky" / "own"
    folder.mkdir(parents=True)
    sticky.chmod(0o1777)
    server.server = lines(file=folder / "x.ring")
    server.start()
    assert sorted(os.listdir(folder)) == ["x.ring", "x.ring.lock", "x.secret"]


def test_guessed_names_of_temporary_files_block_no_rotation(httpd):
    server = httpd(server=lines(interval="1s", lifetime="60s", poll="1s")).start()
    for path in (server.ring_path(), server.secret_path()):
        path.with_name(f"{path.name}.tmp-{server.pid}").mkdir()
    first = server.get().name
    wait_for(lambda: server.ring().generation > 3 and server.get().name != first, "rotation", 40)
    assert not [path for path in server.ring_path().parent.glob("*.tmp-*") if path.is_file()]


# stekctl.

FORMATS = ["nginx", "haproxy", "apache", "ats", "lighttpd", "dnsdist", "envoy", "kubernetes-secret"]


def commands(tool, fleet_secret, key_file):
    return [["new"], ["show"], ["rotate"], ["revoke", "--all"],
            ["import", "--format", "dnsdist", key_file],
            ["secret", "new"], ["secret", "roll"], ["secret", "roll", "--reseal"], ["secret", "retire"],
            ["sync", "--once", "--store", "memcached://127.0.0.1:9", "--timeout", "1s",
             "--fleet-secret", fleet_secret]]


@pytest.fixture
def tool(folder):
    made = Stekctl(folder)
    made.fleet_secret, made.key_file = folder / "fleet.secret", folder / "key"
    Stekctl(folder, secret=made.fleet_secret).run("secret", "new", "--fleet")
    made.key_file.write_bytes(os.urandom(80))
    made.key_file.chmod(0o600)
    return made


@pytest.mark.parametrize("where", ["ring", "secret", "ring.lock", "secret.lock", "ring.sync"])
def test_foreign_object_at_a_path_of_stekctl_stays(tool, where):
    faults, dice = [], seeded_rng()
    for kind, (make, word) in KINDS.items():
        place = tool.root / kind
        place.mkdir()
        one = Stekctl(place)
        if not where.startswith("ring") or "." in where:
            one.run("new")
        if where.startswith("secret"):
            one.secret_path.unlink() if where == "secret" else None
        (place / f"a.{where}").unlink(missing_ok=True)
        make(place / f"a.{where}", dice)
        before = around(place / f"a.{where}")
        ring = one.ring_path.read_bytes() if where != "ring" else None
        for command in commands(one, tool.fleet_secret, tool.key_file):
            done = one.run(*command, expect=None)
            # A lock beside a file that may be ours is no change.
            after = {path: state for path, state in around(place / f"a.{where}").items()
                     if path in before or not path.endswith(".lock")}
            if after != before:
                faults.append(f"{kind}: {command} changed it")
                break
            if where == "ring" and (done.returncode not in (REFUSED, IO)
                                    and command[0] not in ("secret", "show")):
                faults.append(f"{kind}: {command} gave {done.returncode}")
            if where == "ring" and command[0] in ("rotate", "revoke", "sync") \
                    and kind != "link-nowhere" and word not in done.stderr:
                faults.append(f"{kind}: {command} does not say what was found: {done.stderr}")
            if where == "secret" and ring != one.ring_path.read_bytes():
                faults.append(f"{kind}: {command} changed the ring without its secret")
                break
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("form", FORMATS)
def test_export_overwrites_nothing_of_others(tool, form):
    tool.run("new")
    faults, dice = [], seeded_rng()
    for kind, (make, word) in KINDS.items():
        place = tool.root / kind
        place.mkdir()
        out = place / "out"
        at = out if form != "nginx" else out / "tickets.conf"
        if form == "nginx":
            out.mkdir(mode=0o700)
        make(at, dice)
        before = picture(place)
        done = tool.run("export", "--format", form, "--out", out, expect=None)
        if picture(place) != before:
            faults.append(f"{kind}: changed")
        elif done.returncode != REFUSED:
            faults.append(f"{kind}: {done.returncode} {done.stderr}")
        elif "did not change it" not in done.stderr and "not a regular file" not in done.stderr \
                and "is a directory" not in done.stderr:
            faults.append(f"{kind}: {done.stderr}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("form", FORMATS)
def test_export_again_and_by_force(tool, form):
    """What an earlier export has left is replaced without a word; a file of others by --force only,
    and what is no plain file of one's own not even so."""
    tool.run("new")
    out = tool.root / "out"
    at = out if form != "nginx" else out / "tickets.conf"
    for _ in range(3):
        tool.run("export", "--format", form, "--out", out)
        tool.run("rotate")
    at.write_text("-----BEGIN PRIVATE KEY-----\n")
    done = tool.run("export", "--format", form, "--out", out, expect=REFUSED)
    assert "PRIVATE KEY" in done.stderr and "--force" in done.stderr
    tool.run("export", "--force", "--format", form, "--out", out)
    assert at.read_bytes() and b"BEGIN" not in at.read_bytes()
    at.write_bytes(b"")
    tool.run("export", "--format", form, "--out", out)
    for kind in ("folder", "link-to-file", "fifo", "two-names", "ring-of-another"):
        at.unlink()
        KINDS[kind][0](at, seeded_rng())
        before = around(at)
        tool.run("export", "--force", "--format", form, "--out", out, expect=REFUSED)
        assert around(at) == before, kind
        for path in [at, *at.parent.glob(at.name + ".*")]:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        at.touch()


def test_export_sweeps_only_key_files(tool):
    tool.run("new")
    out = tool.root / "nginx"
    tool.run("export", "--format", "nginx", "--out", out)
    old = out / ("stek-" + "0" * 32 + ".key")
    kept = {out / ("stek-" + digit * 32 + ".key"): kind
            for digit, kind in zip("123456", ["pem-key", "folder", "link-to-file", "two-names", "fifo",
                                              "ring-of-another"])}
    old.write_bytes(os.urandom(80))
    for path, kind in kept.items():
        KINDS[kind][0](path, seeded_rng())
    before = {path: around(path) for path in kept}
    tool.run("rotate")
    done = tool.run("export", "--format", "nginx", "--out", out, expect=REFUSED)
    assert not old.exists() and {path: around(path) for path in kept} == before
    assert all(path.name in done.stderr for path in kept)


def test_export_given_away_changes_nothing_behind_a_link(tool):
    """The files' new owner owns the directory, too: then he could have root write elsewhere."""
    tool.run("new")
    theirs, victim = tool.root / "theirs", tool.root / "victim"
    theirs.mkdir()
    shutil.chown(theirs, RUN_AS)
    victim.write_text("root's")
    (theirs / "keys").symlink_to(victim)
    before = picture(victim)
    tool.run("export", "--format", "ats", "--out", theirs / "keys", "--owner", RUN_AS, expect=REFUSED)
    assert picture(victim) == before
    (theirs / "keys").unlink()
    tool.run("export", "--format", "ats", "--out", theirs / "keys", "--owner", RUN_AS, expect=REFUSED)
    assert not os.listdir(theirs)
    for form in FORMATS:
        out = tool.root / f"out-{form}"
        for _ in range(2):
            tool.run("export", "--format", form, "--out", out, "--owner", RUN_AS)
        assert out.owner() == RUN_AS and out.stat().st_mode & 0o077 == 0
        assert all(p.owner() == RUN_AS and p.stat().st_mode & 0o777 == 0o600 for p in out.glob("*"))


@pytest.mark.parametrize("form", ["nginx", "ats"])
def test_export_writes_nowhere_a_link_of_the_owner_leads(tool, form):
    """Of a directory that is his, the owner makes a link to one of root's: before, and meanwhile."""
    tool.run("new")
    theirs, victim, out = tool.root / "theirs", tool.root / "victim", tool.root / "theirs" / "t"
    theirs.mkdir()
    victim.mkdir()
    at = out if form == "nginx" else out / "keys"
    out.symlink_to(victim)
    for path in (theirs, out):
        os.chown(path, *RUN_AS_IDS, follow_symlinks=False)
    done = tool.run("export", "--format", form, "--out", at, "--owner", RUN_AS, expect=REFUSED)
    assert "only root may own" in done.stderr and str(theirs) in done.stderr and not os.listdir(victim)
    # A link in a directory of root's.
    if form == "nginx":
        link = tool.root / "link"
        link.symlink_to(theirs)
        tool.run("export", "--format", form, "--out", link, "--owner", RUN_AS, expect=REFUSED)
    # A directory above that changes hands while it runs.
    above = tool.root / "above"
    (above / "t").mkdir(parents=True)
    at = above / "t" if form == "nginx" else above / "t" / "keys"
    follow = tool.follow("--format", form, "--out", at, "--owner", RUN_AS)
    wait_for(lambda: at.exists() and (form == "ats" or (at / "tickets.conf").exists()), "the files")
    os.chown(above, *RUN_AS_IDS)
    (above / "t").rename(above / "t1")
    (above / "t").symlink_to(victim)
    tool.run("rotate")
    wait_for(lambda: "only root may own" in (tool.root / "follow-0.log").read_text(), "the refusal")
    assert not os.listdir(victim) and follow.poll() is None
    tool.stop()


def test_dated_copies_are_no_leftovers(tool):
    kept = [tool.root / f"{name}.tmp-20261120" for name in ("a.ring", "a.secret", "out")]
    for path in kept:
        path.write_text("precious")
        os.utime(path, (1, 1))
    tool.run("new")
    tool.run("secret", "roll")
    tool.run("export", "--format", "ats", "--out", tool.root / "out")
    assert all(path.read_text() == "precious" for path in kept)


def test_secret_roll_keeps_comments(tool):
    tool.run("new")
    text = "# made by alice, escrow in safe 12\n"
    tool.secret_path.write_text(text + tool.secret_path.read_text())
    tool.run("secret", "roll", "--reseal")
    tool.run("secret", "retire")
    assert tool.secret_path.read_text().startswith(text + "stek-secret-v1 ")
    assert tool.secret_path.read_text().count("\n") == 2


def test_fleet_secret_seals_no_ring_on_a_host(tool):
    other = Stekctl(tool.root, "b.ring", secret=tool.fleet_secret)
    store = ["--store", "memcached://127.0.0.1:9", "--timeout", "1s"]
    for command in (["new"], ["sync", "--once", *store, "--fleet-secret", tool.fleet_secret]):
        done = other.run(*command, expect=None)
        assert done.returncode in (USAGE, REFUSED) and re.search(
            "its own secret|secret of its own|name the local secret", done.stderr)
        assert not other.ring_path.exists()
    copy = tool.root / "copy.secret"
    shutil.copy(tool.fleet_secret, copy)
    done = Stekctl(tool.root, "b.ring", secret=copy).run(
        "sync", "--once", *store, "--fleet-secret", tool.fleet_secret, expect=REFUSED)
    assert "is a fleet secret" in done.stderr and not other.ring_path.exists()
    other.run("secret", "roll")


def test_ring_named_as_secret_is_called_a_ring(tool):
    tool.run("new")
    done = Stekctl(tool.root, secret=tool.ring_path).run("show", expect=REFUSED)
    assert "is a ring, not a secret" in done.stderr


@pytest.mark.parametrize("args", [["revoke", "--al"], ["--js", "show"], ["rotate", "--i=5s"],
                                  ["export", "--form", "ats", "--out", "x"]])
def test_option_cut_short_is_none(tool, args):
    tool.run("new")
    before = picture(tool.root)
    assert "unknown option" in tool.run(*args, expect=USAGE).stderr
    assert picture(tool.root) == before


def test_stekctl_echoes_no_file_and_no_password(tool):
    words = tool.root / "words"
    for content in (b"S3cr3tRedisPassword\n", b"\x9b31m\xff\xc2\x9b raw\n"):
        words.write_bytes(content)
        words.chmod(0o600)
        done = tool.run("sync", "--config", words, expect=USAGE)
        assert "S3cr3t" not in done.stderr and "raw" not in done.stderr and "line 1" in done.stderr
    for url in ("redis://me:TopSecret@127.0.0.1:1", "memcached://me:TopSecret@127.0.0.1:1",
                "http://:TopSecret@x"):
        done = tool.run("sync", "--once", "--store", url, "--fleet-secret", tool.fleet_secret,
                        expect=USAGE)
        assert "TopSecret" not in done.stderr and ":***@" in done.stderr
    for url in ("redis://127.0.0.1:1/?password=TopSecret", "redis://127.0.0.1:1?user=a&password=TopSecret"):
        done = tool.run("sync", "--once", "--store", url, "--fleet-secret", tool.fleet_secret,
                        expect=USAGE)
        assert "TopSecret" not in done.stderr and "password=***" in done.stderr
    name = os.fsencode(tool.root) + b"/\x9b31m\xff\xc2\x9bx\xc3\xa9"
    done = subprocess.run([BINARY, "--ring", name, "show"], capture_output=True)
    assert done.returncode == IO and b"/?31m??" in done.stderr and b"x\xc3\xa9" in done.stderr


def test_haproxy_socket_where_others_can_listen_gets_no_keys(tool):
    tool.run("new")
    sticky, plain = tool.root / "tmp", tool.root / "run"
    sticky.mkdir()
    sticky.chmod(0o1777)
    plain.mkdir()
    (sticky / "his").mkdir()
    os.chown(sticky / "his", *RUN_AS_IDS)
    for path, owner in [(sticky / "s", 0), (sticky / "his" / "s", 0), (plain / "s", RUN_AS_IDS[0])]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            os.chown(path, owner, -1)
            listener.listen(8)
            listener.settimeout(0.2)
            done = tool.run("export", "--format", "haproxy", "--out", tool.root / "keys", "--socket",
                            path, expect=IO)
            assert "not sending keys" in done.stderr
            with pytest.raises(TimeoutError):
                listener.accept()


def test_stekctl_writes_nothing_where_others_can_make_files(tool):
    tool.run("new")
    tool.root.chmod(0o1777)
    before = picture(tool.root)
    for command in (["rotate"], ["revoke", "--all"], ["secret", "roll"],
                    ["export", "--format", "ats", "--out", tool.root / "out"],
                    ["sync", "--once", "--store", "memcached://127.0.0.1:9", "--fleet-secret",
                     tool.fleet_secret]):
        assert "others can create files" in tool.run(*command, expect=REFUSED).stderr, command
    other = Stekctl(tool.root, "b.ring")
    for command in (["new"], ["secret", "new"]):
        assert "others can create files" in other.run(*command, expect=REFUSED).stderr, command
    assert picture(tool.root) == before
    tool.run("show")
    tool.run("audit", tool.ring_path)
    # Further up it may be sticky.
    (tool.root / "own").mkdir(mode=0o700)
    Stekctl(tool.root / "own").run("new")
