# SPDX-License-Identifier: Apache-2.0
"""ChrootDir: children see no path of the parent's, and follow the ring all the same; what leads them to
it leads nowhere else."""
import os
import shutil
import socket
import stat
import subprocess
import time

import pytest

import ringfile
from checks import VERSIONS, fixed_ring, issued_now, lines
from httpd import TOP, listed, wait_for

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ChrootDir is for root")
LIBGCC = next(line.split()[-1] for line in subprocess.run(
    ["ldconfig", "-p"], capture_output=True, text=True,
    env={"PATH": "/sbin:/usr/sbin:/bin:/usr/bin"}).stdout.splitlines() if "libgcc_s.so.1" in line)
SOON = 3  # seconds: a poll of 1 s, and a busy machine


@pytest.fixture
def jailed(httpd):
    def make(*server, **options):
        made = httpd(**options)
        jail = made.root / "jail"
        inside = jail / str(made.root / "www").lstrip("/")
        inside.mkdir(parents=True)
        (inside / "index.html").write_text("inside\n")
        # glibc opens it when a thread ends, which in the jail is too late.
        made.server = [f"LoadFile {LIBGCC}", f"ChrootDir {jail}", *server]
        return made
    return make


def stekctl(server, *args):
    subprocess.run([TOP / "stekctl/stekctl", "--ring", server.ring_path(), "--secret",
                    server.secret_path(), *args], check=True, capture_output=True)


def directories(pid):
    """Descriptors of a process by which it could look for files."""
    found = []
    for name in listed(f"/proc/{pid}/fd"):
        try:
            if stat.S_ISDIR(os.stat(f"/proc/{pid}/fd/{name}").st_mode):
                found.append(name)
        except OSError:
            pass
    return found


def test_jail_revoke_all_acts_within_poll(jailed, mpm):
    server = jailed(*lines(poll="1s"), mpm=mpm).start()
    assert server.get().body == b"inside\n"
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v]).resumed
    stekctl(server, "revoke", "--all")
    end = time.monotonic() + SOON
    for v in VERSIONS:
        wait_for(lambda: not server.get(tls=v, session=first[v]).resumed, "every child to see it",
                 end - time.monotonic())
    time.sleep(max(0, end - time.monotonic()))
    for v in VERSIONS * 10:
        assert not server.get(tls=v, session=first[v]).resumed
        issued_now(server, tls=v)


def test_jail_rotation_reload_and_restart(jailed, mpm):
    server = jailed(*lines(poll="1s", generate="off"), mpm=mpm, processes=1)
    server.put_secret(os.urandom(32))
    ring = fixed_ring()
    server.put_ring(ring)
    server.start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    for again in (server.graceful, server.restart, server.graceful):
        ring.keys.append(ringfile.make_key(not_before=ring.keys[-1].not_before + 1))
        server.put_ring(ring)
        wait_for(lambda: server.get().name == ring.keys[-1].name, "the new key")
        again()
        for v in VERSIONS:
            assert server.get(tls=v, session=first[v]).resumed
            issued_now(server, tls=v)


def test_jail_memory_ring(jailed, mpm, version):
    server = jailed("StekRing default file=memory", mpm=mpm).start()
    first = server.get(tls=version)
    assert first.tickets
    server.graceful()
    assert server.get(tls=version, session=first.session).resumed


def test_jail_has_no_way_out(jailed, mpm):
    server = jailed(mpm=mpm, processes=1).start()
    child = server.children()[0]
    fds = directories(child)
    assert len(fds) == 1
    link = f"/proc/{child}/fd/{fds[0]}"
    assert os.path.samefile(f"{link}/..", link) and os.path.samefile(f"{link}/../../..", link)
    assert sorted(os.listdir(link)) == sorted(os.listdir(server.ring_path().parent))
    with pytest.raises(OSError):
        open(f"{link}/new", "w")
    # Those outside of a jail get none, nor does the parent keep those of former configurations.
    for _ in range(3):
        server.graceful()
    assert len(directories(server.pid)) == 1
    server.server = []
    server.graceful()
    assert not directories(server.pid) and not directories(server.children()[0])


@pytest.mark.parametrize("why", ["capability", "link"])
def test_jail_without_a_directory_follows_in_memory(jailed, why):
    server = jailed(*lines(poll="1s", generate="off"), processes=1)
    server.put_secret(os.urandom(32))
    server.put_ring(fixed_ring())
    if why == "link":  # an absolute one: in the jail it leads elsewhere
        path = server.ring_path()
        path.rename(server.run_dir / "elsewhere.ring")
        path.symlink_to(server.run_dir / "elsewhere.ring")
    else:
        server.under = ["setpriv", "--bounding-set", "-sys_admin"]
    server.expect("STEK2031")
    server.start()
    said = server.lines("STEK2031")
    assert len(said) == 1 and "10s" in said[0] and "ChrootDir" in said[0]
    first = server.get()
    assert first.tickets and not directories(server.children()[0])
    assert server.get(session=first.session).resumed
    ring = fixed_ring(epoch=int(time.time()))
    ring.keys = [ringfile.make_key(epoch=ring.epoch)]
    if why == "link":
        (server.run_dir / "elsewhere.ring").unlink()
        server.ring_path().unlink()
    server.put_ring(ring)
    wait_for(lambda: server.get().name == ring.keys[0].name, "the new key", 30)
    wait_for(lambda: not server.get(session=first.session).resumed, "every child to see it")
    server.graceful()
    assert server.get().name == ring.keys[0].name


@pytest.mark.parametrize("what", ["socket", "file"])
def test_jail_gets_no_directory_that_holds_other_things(jailed, what):
    server = jailed(*lines(poll="1s", generate="off"), processes=1)
    server.put_secret(os.urandom(32))
    server.put_ring(fixed_ring())
    other = server.ring_path().parent / "other"
    if what == "file":
        other.write_text("somebody's")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(other))
    server.expect("STEK2031")
    server.start()
    assert "its own directory" in server.lines("STEK2031")[0]
    first = server.get()
    assert first.tickets and not directories(server.children()[0])
    assert server.get(session=first.session).resumed
    other.unlink()
    server.graceful()
    assert len(server.lines("STEK2031")) == 1
    assert directories(server.children()[0])


def test_jail_whose_directory_is_made_anew_is_told_of(jailed):
    server = jailed(*lines(poll="1s", generate="off"), processes=1)
    server.put_secret(secret := os.urandom(32))
    server.put_ring(fixed_ring())
    server.start()
    shutil.rmtree(server.ring_path().parent)
    server.put_secret(secret)
    ring = fixed_ring(epoch=int(time.time()))
    ring.keys = [ringfile.make_key(epoch=ring.epoch)]
    server.put_ring(ring)
    server.expect("STEK2002", "STEK2003")
    assert "reload" in server.wait_log("STEK2032")[0]
    server.graceful()
    assert server.get().name == ring.keys[0].name
