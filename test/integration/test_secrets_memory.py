# SPDX-License-Identifier: Apache-2.0
"""S1: no key byte in logs, in cores of processes at rest, or, after a key's end, in any process."""
import contextlib
import os
import subprocess
import time

import pytest

import ringfile
from checks import VERSIONS, fixed_ring, issued_now, lines, newer, wait_until
from httpd import TOP, descendants, wait_for
from memory import dense, gone_from, holders, holding, processes, secrets_of, traces
from stekctl_tool import Stekctl
import tls


def test_no_key_byte_in_any_log_at_trace8(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="1s", lifetime="10s", poll="1s"))
    server.log_level = "trace8"
    server.expect(r"stek_rotate:(warn|error)")
    server.start()
    seen = {key.name: key for key in server.ring().keys}
    sessions = {v: issued_now(server, tls=v).session for v in VERSIONS}
    end = time.time() + 3
    while time.time() < end:
        for v in VERSIONS:
            sessions[v] = server.get(tls=v, session=sessions[v]).session
    server.put_ring(b"STEKRING" + b"garbage" * 20)
    server.graceful()
    server.restart()
    seen |= {key.name: key for key in server.ring().keys}
    used = seen[server.get().name]
    secret = server.secret()
    server.stop()
    assert len(seen) > 100 and len(server.log()) > 100000, "the log is not that of trace8"
    for path in (server.root / "log").iterdir():
        data = path.read_bytes()
        assert not traces(data, secrets_of(seen.values()) + [secret]), path
        assert used.name.hex().encode() not in data, "of a name only four bytes are shown"


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_no_key_byte_in_a_core_of_an_idle_process(httpd, mpm, tmp_path):
    server = httpd(mpm=mpm, processes=2).start()
    for _ in range(8):
        for v in VERSIONS:
            session = issued_now(server, tls=v).session
            assert server.get(tls=v, session=session).resumed
    server.graceful()
    for _ in range(8):
        for v in VERSIONS:
            assert server.get(tls=v, session=issued_now(server, tls=v).session).resumed
    secrets = secrets_of(server.ring().keys) + [server.secret()]
    # The search must be able to find them: the processes do hold the live keys.
    assert all(holders(pid, secrets, raw_only=True) for pid in processes(server))
    for pid in processes(server):
        core = tmp_path / "core"
        subprocess.run(["gcore", "-o", core, str(pid)], check=True, capture_output=True, timeout=60)
        data = dense((tmp_path / f"core.{pid}").read_bytes())
        assert len(data) > 1 << 20 and b"a.test" in data, "not a core"
        assert not traces(data, secrets), f"in the core of {pid}"
        (tmp_path / f"core.{pid}").unlink()


def locked_kb(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/status") as file:
        return next((int(line.split()[1]) for line in file if line.startswith("VmLck")), 0)
    return 0


def test_keys_are_locked_in_memory_in_parent_and_children(httpd, mpm):
    server = httpd(mpm=mpm).start()
    server.graceful()
    # A child that takes the place of another may come later, and locks nothing before it is one.
    wait_for(lambda: all(locked_kb(pid) > 0 for pid in processes(server)), "all processes to have locked memory")


@pytest.mark.timeout(120)
def test_key_is_gone_from_every_process_after_its_end_draining_children_included(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="2s", lifetime="4s", poll="1s") + ["Timeout 90"])
    big = server.root / "www" / "big"
    with open(big, "wb") as file:
        file.truncate(200 << 20)
    server.start()
    wait_until(time.time() // 2 * 2 + 2)
    sessions = {v: issued_now(server, tls=v).session for v in VERSIONS}
    ring = server.ring()
    key = ring.find(sessions["1.2"].name)
    assert all(holders(pid, secrets_of([key]), raw_only=True) for pid in processes(server))
    with tls.Connection(server.port, "a.test", timeout=60) as slow:
        slow.send("a.test", "/big")
        assert slow.read(1000)
        old = set(server.children())
        server.graceful(drain=False)
        wait_for(lambda: server.answering_generation() == server.generation, "the new generation")
        while time.time() < key.decrypt_until:
            for v in VERSIONS:
                server.get(tls=v, session=sessions[v])
        watched = set(processes(server)) | set(descendants(server.pid))
        assert old & watched, "no child drains"
        # The timer wakes for the end; the parent's monitor comes every ten seconds.
        left = {}

        def gone():
            left.clear()
            for pid in watched:
                try:
                    places = holders(pid, secrets_of([key]))
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if places:
                    left[pid] = places
            return not left
        wait_for(gone, lambda: f"no key in {left}; parent {server.pid}, draining {old & watched}",
                 20, 0.3)
        assert old & set(server.children()), "the draining child ended before it was searched"
        assert slow.read(1000)


def test_children_drop_ended_keys_within_poll(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="1s", lifetime="6s", poll="1s")).start()
    key = server.ring().find(issued_now(server, tls="1.2").name)
    wait_for(lambda: set(holding(server, [key])) == set(processes(server)), "all to hold the key")
    wait_until(key.decrypt_until)
    wait_for(lambda: not set(holding(server, [key])) & set(server.children()),
             "the children to drop the key", 3, 0.1)


def test_revoked_key_is_gone_from_children_within_poll(httpd):
    server = httpd(server=lines(generate="off", poll="1s"))
    old = fixed_ring()
    server.put_secret(os.urandom(32))
    server.put_ring(old)
    server.start()
    issued_now(server, tls="1.2")
    dead = old.keys[0]
    server.put_ring(ringfile.Ring([newer(dead)], [(dead.name, dead.decrypt_until)], generation=2))
    wait_for(lambda: not set(holding(server, [dead])) & set(server.children()),
             "the children to drop the key", 4, 0.1)
    wait_for(lambda: not holding(server, [dead]), "the parent to drop the key", 25, 0.3)


def test_processes_forked_by_other_modules_inherit_no_key(httpd):
    server = httpd(modules=["cgid"], server=["ScriptSock cgid.sock"]).start()
    server.graceful()
    secrets = secrets_of(server.ring().keys) + [server.secret()]
    serving = {server.pid_of(i) for i in range(1, 9)
               if server.get(headers=[f"X-Req: {i}"]).status == 200}
    others = [pid for pid in server.children() if not holders(pid, secrets, raw_only=True)]
    assert others and not set(others) & serving, "mod_cgid's daemon holds keys"


def emergency_commands():
    """The commands of docs/emergency.md for one host, in their order."""
    page = (TOP / "docs" / "emergency.md").read_text()
    section = page.split("\n## One host\n")[1].split("\n## ")[0]
    found = [line.split() for line in section.splitlines() if line.startswith("    ")]
    assert ["stekctl", "revoke", "--all"] in found and ["apachectl", "graceful"] in found
    return found


def test_emergency_commands_leave_no_old_key_and_no_old_secret(httpd, version):
    """Of what the thief has, nothing opens, and nothing is left but in a child that still serves a download
    which began before: until that ends."""
    server = httpd(server=lines(poll="1s") + ["Timeout 90",
                                              'Header always set X-Ticket "expr=%{reqenv:STEK_TICKET}"'])
    with open(server.root / "www" / "big", "wb") as file:
        file.truncate(200 << 20)
    server.start()
    before = server.get(tls=version).session
    stolen = [server.secret()] + secrets_of(server.ring().keys)
    stekctl = Stekctl(server.root, server.ring_path())
    with tls.Connection(server.port, "a.test", timeout=60) as slow:
        slow.send("a.test", "/big")
        assert slow.read(1000)
        early = set(server.children())
        for command in emergency_commands():
            if command[0] == "stekctl":
                stekctl.run(*command[1:])
            else:
                assert command == ["apachectl", "graceful"]
                server.graceful(drain=False)
        reply = server.get(tls=version, session=before)
        assert not reply.resumed and reply.status == 200 and reply.headers["x-ticket"] == "full-unknown"
        late = set(processes(server)) - early
        wait_for(lambda: gone_from(late, stolen), "the parent and new children to be clean", 20, 0.3)
        draining = early & set(server.children())
        assert draining and not gone_from(draining, stolen), "as the page says"
    wait_for(lambda: not early & set(server.children()), "the download's child to end", 30)
    assert gone_from(processes(server), stolen)


def test_module_removed_leaves_keys_in_the_parent_only_until_it_stops(httpd, mpm):
    server = httpd(mpm=mpm).start()
    issued_now(server, tls="1.2")
    keys = server.ring().keys
    server.module = False
    server.graceful()
    assert holding(server, keys) == [server.pid]
