# SPDX-License-Identifier: Apache-2.0
"""What others of httpd's User may take from its children: memory, by prlimit(2); and what a module that
forks while httpd reloads may keep: nothing that writes a ring."""
import os
import resource
import subprocess
import sys
import time

from checks import VERSIONS, issued_now, lines
from httpd import RUN_AS, TOP, listed, wait_for
from tls import TlsError


def memory_descriptors(pid):
    """{number: access mode} of descriptors of rings in memory."""
    found = {}
    for name in listed(f"/proc/{pid}/fd"):
        try:
            if "memfd:stek-ring" in os.readlink(f"/proc/{pid}/fd/{name}"):
                with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as info:
                    flags = next(line for line in info if line.startswith("flags:"))
                found[name] = int(flags.split()[1], 8) & os.O_ACCMODE
        except OSError:
            pass
    return found


def family(pid):
    found = []
    for task in listed(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as children:
                for child in children.read().split():
                    found += [int(child), *family(int(child))]
        except OSError:
            pass
    return found


def limit_memory(pids, limit):
    """As a process of httpd's User, which a CGI program is."""
    code = """
import contextlib, resource, sys
for pid in sys.argv[2:]:
    with contextlib.suppress(ProcessLookupError):  # one that has got no memory may just end
        resource.prlimit(int(pid), resource.RLIMIT_AS, (int(sys.argv[1]), resource.RLIM_INFINITY))
"""
    user = ["setpriv", "--reuid", RUN_AS, "--regid", RUN_AS, "--clear-groups"]
    subprocess.run([*(user if os.geteuid() == 0 else []), sys.executable, "-c", code, str(limit),
                    *map(str, pids)], check=True)


def answered(server, **options):
    """The reply, once a child lives long enough to give one: httpd ends a child that gets no memory,
    in the middle of a handshake too, and its parent starts another."""
    replies = []

    def try_again():
        try:
            replies.append(server.get(**options))
        except (OSError, TlsError):
            pass
        return replies

    return wait_for(try_again, "a child that answers", 20)[0]


def test_child_without_memory_uses_no_revoked_key(httpd, mpm):
    server = httpd(mpm=mpm, processes=1, server=lines(poll="1s")).start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    for v in VERSIONS * 3:  # whatever a first handshake needs memory for
        assert server.get(tls=v, session=first[v]).resumed
    # httpd itself may end where it gets no memory, which is as good.
    server.expect("STEK4004", "AH00052")
    limit_memory(server.children(), 1)
    subprocess.run([TOP / "stekctl/stekctl", "--ring", server.ring_path(), "--secret",
                    server.secret_path(), "revoke", "--all"], check=True, capture_output=True)
    wait_for(lambda: server.lines("STEK4004|AH00052"), "a child to stop using keys", 10)
    time.sleep(1)
    for v in VERSIONS * 10:
        reply = answered(server, tls=v, session=first[v])
        assert reply.status == 200 and not reply.resumed, "a revoked key opens tickets"
    limit_memory(server.children(), resource.RLIM_INFINITY)
    time.sleep(2)
    for v in VERSIONS * 5:
        assert not server.get(tls=v, session=first[v]).resumed
        issued_now(server, tls=v)


def test_process_forked_by_other_modules_writes_no_ring_in_memory(httpd):
    server = httpd(modules=["cgid"], processes=1,
                   server=["ScriptSock cgid.sock", "StekRing default file=memory"])
    server.start()
    first = server.get()
    assert first.tickets
    for _ in range(2):
        server.graceful()
        time.sleep(.3)  # mod_cgid's new daemon
        others = family(server.pid)
        assert len(others) >= 2
        for pid in others:
            assert os.O_RDWR not in memory_descriptors(pid).values(), "writes the ring"
        assert list(memory_descriptors(server.pid).values()).count(os.O_RDWR) == 1
    assert server.get(session=first.session).resumed
