# SPDX-License-Identifier: Apache-2.0
"""Where the ring is kept: permissions, memory, directories that cannot be written; what children
can reach (S8)."""
import contextlib
import os
import pwd
import resource
import shutil
import subprocess
import sys

import pytest

import ringfile
from checks import VERSIONS, fixed_ring, issued_now, lines
from httpd import RUN_AS, listed, wait_for


def as_user(code, *args):
    """Runs Python code as the run-time user; its exit status."""
    user = pwd.getpwnam(RUN_AS)

    def drop():
        os.setgroups([user.pw_gid])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    return subprocess.run([sys.executable, "-c", code, *map(str, args)], preexec_fn=drop, cwd="/",
                          capture_output=True, text=True, timeout=30)


ATTACKS = {
    "read the secret": "import sys; open(sys.argv[2]).read()",
    "write the ring": "import sys; open(sys.argv[1], 'r+b')",
    "replace the ring": "import sys, os; f = sys.argv[1]; os.rename(f, f + '.gone')",
    "remove the ring": "import sys, os; os.unlink(sys.argv[1])",
    "remove the secret": "import sys, os; os.unlink(sys.argv[2])",
    "add a file": "import sys, os; open(os.path.dirname(sys.argv[1]) + '/new', 'w')",
    "take the lock": "import sys, fcntl; fcntl.flock(open(sys.argv[1] + '.lock', 'r'), "
                     "fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "chmod the ring": "import sys, os; os.chmod(sys.argv[1], 0o666)",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_runtime_user_cannot(httpd, attack):
    server = httpd().start()
    done = as_user(ATTACKS[attack], server.ring_path(), server.secret_path())
    assert done.returncode != 0 and "PermissionError" in done.stderr, done.stderr


def test_runtime_user_reads_ciphertext_only(httpd):
    server = httpd().start()
    done = as_user("import sys; sys.stdout.write(open(sys.argv[1], 'rb').read().hex())",
                   server.ring_path())
    assert done.returncode == 0
    data = bytes.fromhex(done.stdout)
    assert data == server.ring_path().read_bytes()
    assert not [key for key in server.ring().keys if key.aes in data or key.hmac in data
                or key.name in data]


def descriptors(pid):
    """{descriptor: what it is}, without those that a connection closes meanwhile."""
    found = {}
    for fd in listed(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found[fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
    return found


@pytest.mark.parametrize("where", ["file", "memory"])
def test_children_hold_no_descriptor_that_writes_a_ring_or_reads_a_secret(httpd, mpm, where):
    memory = ["StekRing default file=memory"] if where == "memory" else []
    server = httpd(mpm=mpm, server=memory).start()
    server.graceful()
    # A child that takes the place of another may come later, and has its parent's until it is one.
    wait_for(lambda: not any(too_much(pid) for pid in server.children()),
             lambda: f"children to hold nothing of these: {[too_much(pid) for pid in server.children()]}")
    for pid in server.children():
        for fd in (fd for fd, target in descriptors(pid).items() if "memfd" in target):
            code = "import sys; open(sys.argv[1], 'r+b').write(b'x')"
            done = as_user(code, f"/proc/{pid}/fd/{fd}")
            assert done.returncode != 0, "the run-time user can write the memory ring"


def too_much(pid):
    """Descriptors that no child may have."""
    found = []
    for fd, target in descriptors(pid).items():
        if "secret" in target or ".ring" in target or ".lock" in target and "stek" in target:
            found.append(target)
        if "memfd" in target:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{fd}") as info:
                flags = next(line for line in info if "flags" in line)
                found += [target] * (int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY)
    return found


def test_memory_ring_survives_reload_and_restart(httpd, mpm):
    server = httpd(mpm=mpm, server=["StekRing default file=memory"]).start()
    first = {v: server.get(tls=v).session for v in VERSIONS}
    names = {s.name for s in first.values()}
    assert len(names) == 1 and not server.ring_path().exists()
    for step in (server.graceful, server.restart, server.graceful):
        step()
        for v in VERSIONS:
            assert server.get(tls=v, session=first[v]).resumed, step.__name__
    assert server.get().name in names


def test_memory_ring_rotates_in_children(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(file="memory", interval="1s", lifetime="30s",
                                         poll="1s")).start()
    names = set()
    session = server.get(tls="1.2").session

    def look():
        reply = server.get(tls="1.2", session=session)
        assert reply.resumed
        names.add(reply.name)
        return len(names) > 5
    wait_for(look, "six names", 15, 0.3)


def test_one_process_mode_serves_tickets(httpd):
    server = httpd().start("-X")
    for v in VERSIONS:
        first = server.get(tls=v)
        assert first.tickets and server.get(tls=v, session=first.session).resumed


@pytest.mark.parametrize("obstacle", ["file in the way", "no such place"])
def test_directory_that_cannot_be_written_means_memory_with_a_warning(httpd, obstacle):
    server = httpd()
    if obstacle == "file in the way":
        (server.run_dir / "stek_rotate").write_text("")
    else:
        server.server = ["StekRing default file=/proc/nowhere/default.ring"]
    server.expect(r"\[stek_rotate:warn\].*memory")
    server.start()
    assert len(server.lines(r"\[stek_rotate:warn\].*memory")) == 1
    first = {v: server.get(tls=v).session for v in VERSIONS}
    server.graceful()
    for v in VERSIONS:
        assert first[v].ticket and server.get(tls=v, session=first[v]).resumed


def test_ring_on_disk_is_warned_of_once(httpd):
    server = httpd(root_dir="/var/tmp")
    kind = subprocess.run(["stat", "-f", "-c", "%T", server.root], capture_output=True, text=True)
    assert kind.stdout.strip() not in ("tmpfs", "ramfs"), "/var/tmp is memory here: no disk to test"
    server.expect(r"\[stek_rotate:warn\].*(tmpfs|memory file system|disk)")
    server.start()
    server.graceful()
    assert len(server.lines(r"\[stek_rotate:warn\].*(tmpfs|memory file system|disk)")) == 1
    issued_now(server)


def put_open_to_others(server, ring, secret, what):
    """As no careful reader takes it, from the first moment on."""
    folder = server.run_dir / "stek_rotate"
    fresh = server.ring_path().with_suffix(".fresh")
    fresh.write_bytes(ring.seal(secret))
    fresh.chmod(0o666 if what == "ring writable by all" else 0o640)
    if os.geteuid() == 0:
        shutil.chown(fresh, RUN_AS if what == "ring of another user" else "root", RUN_AS)
    if what == "directory writable by all":
        folder.chmod(0o777)
    elif what == "directory above writable by group":
        server.run_dir.chmod(0o775)
    elif what == "directory of another user":
        shutil.chown(folder, RUN_AS)
    fresh.rename(server.ring_path())


@pytest.mark.parametrize("what", ["ring writable by all", "ring of another user",
                                  "directory writable by all", "directory of another user",
                                  "directory above writable by group"])
def test_unsafe_permissions_are_refused_and_named(httpd, what):
    server = httpd(server=lines(generate="off", poll="1s"))
    secret, good = os.urandom(32), fixed_ring()
    server.put_secret(secret)
    server.put_ring(good)
    server.start()
    first = issued_now(server)
    mark = server.mark()
    put_open_to_others(server, fixed_ring(), secret, what)
    line = server.wait_log(r"\[stek_rotate:(warn|error)\]", mark)[0]
    path = server.ring_path() if "ring" in what else server.ring_path().parent
    assert str(path if "above" not in what else server.run_dir) in line
    reply = issued_now_under(server, good.keys[0].name, first.session)
    assert reply.resumed


def issued_now_under(server, name, session):
    reply = server.get(session=session)
    assert {ticket.name for ticket in reply.tickets} == {name}
    return reply


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660])
def test_secret_readable_by_others_is_refused(httpd, mode):
    server = httpd(server=lines(generate="off"))
    server.put_secret(os.urandom(32))
    server.put_ring(fixed_ring())
    server.secret_path().chmod(mode)
    server.expect(r"\[stek_rotate:(warn|error)\]")
    server.start()
    assert any(str(server.secret_path()) in line for line in server.lines("stek_rotate:"))
    reply = server.get()
    assert reply.status == 200 and not reply.tickets, "S7: no good key, no ticket"


def test_ring_behind_symlinks_in_a_sticky_directory_is_read(httpd):
    # As Kubernetes lays out a volume: ..data -> ..dated, and the file a link through it.
    server = httpd(server=lines(generate="off", poll="1s"))
    volume = server.run_dir / "stek_rotate"
    (volume / "..dated").mkdir(parents=True)
    volume.chmod(0o1777)
    (volume / "..data").symlink_to("..dated")
    for name in ("default.ring", "default.secret"):
        (volume / name).symlink_to(f"..data/{name}")
    secret, ring = os.urandom(32), fixed_ring()
    (volume / "..dated" / "default.secret").write_text(ringfile.secret_line(secret))
    (volume / "..dated" / "default.secret").chmod(0o600)
    (volume / "..dated" / "default.ring").write_bytes(ring.seal(secret))
    server.start()
    assert server.get().name == ring.keys[0].name


def test_secret_rolled_opens_the_old_ring_and_seals_under_the_new(httpd):
    server = httpd().start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    old, new = server.secret(), os.urandom(32)
    server.secret_path().write_text("# rolled\n" + ringfile.secret_line(new)
                                    + ringfile.secret_line(old))
    server.graceful()
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v]).resumed
    stored = wait_for(lambda: opened(server.ring_path(), new), "a ring sealed under the new", 15)
    assert {s.name for s in first.values()} <= {key.name for key in stored.keys}


def opened(path, secret):
    try:
        return ringfile.Ring.read(path, [secret])
    except AssertionError:
        return None


def not_root(server):
    shutil.copytree(server.certs, server.root / "tls")
    server.certs = server.root / "tls"
    for path in [server.root, *server.root.rglob("*")]:
        shutil.chown(path, RUN_AS)
    server.popen_options = {"user": RUN_AS, "group": RUN_AS, "extra_groups": []}
    server.expect(r"\[stek_rotate:warn\].*root")
    return server.start()


def test_parent_that_is_not_root_says_so_once_and_serves(httpd, mpm):
    server = not_root(httpd(mpm=mpm))
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    server.graceful()
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v]).resumed
    (notice,) = server.lines(r"\[stek_rotate:(notice|warn)\].*root")
    assert "children run as the same user" in notice and "read the local secret" in notice


def test_parent_that_is_not_root_speaks_of_no_secret_where_the_ring_is_in_memory(httpd):
    server = not_root(httpd(server=["StekRing default file=memory"]))
    (notice,) = server.lines("STEK2016")
    assert "secret" not in notice and "children run as the same user" in notice
    assert not server.secret_path().exists()


def test_limit_of_locked_memory_too_low_is_warned_of(httpd):
    server = httpd(server=lines(interval="1s", lifetime="3900s"))
    limit = (65536, 65536)
    server.popen_options["preexec_fn"] = lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, limit)
    server.expect(r"\[stek_rotate:warn\].*locked-memory limit")
    server.start()
    assert len(server.lines(r"\[stek_rotate:warn\].*locked-memory limit")) == 1
    first = server.get(tls="1.2")
    assert first.tickets and server.get(tls="1.2", session=first.session).resumed
