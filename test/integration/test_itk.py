# SPDX-License-Identifier: Apache-2.0
"""Under mpm-itk a process serves one connection: one that httpd's MPM has not forked, and that runs
none of the hooks by which children set themselves up."""
import os
import random
import re
import socket
import time
from contextlib import ExitStack
from threading import Event, Thread

import pytest

import ringfile
import tls
from checks import VERSIONS, fixed_ring, issued_now, lines, wait_until
from handshakes import STATUS
from httpd import RUN_AS, Vhost, free_port, listed, wait_for
from memory import gone_from, secrets_of
from test_counters import test_counters_exact_across_reloads_with_four_children as counters_exact

ASSIGN = f"AssignUserID {RUN_AS} {RUN_AS}"


@pytest.fixture
def itk(httpd):
    def make(*server, **options):
        made = httpd(mpm="itk", server=[ASSIGN, *server], **options)
        made.expect("STEK2034")
        return made
    return make


def family(pid):
    """The process and all below it."""
    found = [pid]
    for task in listed(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [one for child in file.read().split() for one in family(int(child))]
        except OSError:
            pass
    return found


def test_itk_issues_resumes_and_renews(itk, version):
    server = itk(processes=1).start()
    first = issued_now(server, tls=version)
    for _ in range(5):
        reply = server.get(tls=version, session=first.session)
        assert reply.resumed and reply.status == 200
        assert bool(reply.tickets) == (version == "1.3")
    server.graceful()
    assert server.get(tls=version, session=first.session).resumed
    notice = server.lines("STEK2034")
    assert len(notice) == 1 and "mpm-itk" in notice[0]


def test_itk_counts_exactly(httpd):
    def make(**options):
        made = httpd(**dict(options, server=[ASSIGN, *options["server"]]))
        made.expect("STEK2034")
        return made
    counters_exact(make, "itk")


def test_itk_rotates(itk, version):
    server = itk(*lines(interval="1s", lifetime="60s", poll="1s"), processes=1).start()
    first = issued_now(server, tls=version)
    names = {first.name}
    for i in range(4):
        wait_until(server.ring().find(first.name).encrypt_until + i)
        names.add(issued_now(server, tls=version).name)
        assert server.get(tls=version, session=first.session).resumed
    assert len(names) >= 4


def end_all(server):
    """What `stekctl revoke --all` writes, and whoever makes keys after it."""
    keys = server.ring().keys
    server.put_ring(fixed_ring(ringfile.make_key(epoch=int(time.time())), epoch=int(time.time())))
    return keys


def test_itk_connection_older_than_a_revocation_follows_it(itk, version):
    # Without the filter the system keeps a connection until something comes.
    server = itk(*lines(poll="1s"), "AcceptFilter https none", "AcceptFilter http none",
                 processes=2).start()
    first = issued_now(server, tls=version)
    with ExitStack() as stack:
        early = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                 for _ in range(2)]
        wait_for(lambda: len(family(server.pid)) >= 5, "processes for both connections")
        kept = stack.enter_context(tls.Connection(server.port, "a.test", tls=version,
                                                  session=first.session, sock=early.pop()))
        keys = end_all(server)
        wait_for(lambda: gone_from(family(server.pid)[1:], secrets_of(keys)),
                 "every process to drop what was revoked", 8)
        late = stack.enter_context(tls.Connection(server.port, "a.test", tls=version,
                                                  session=first.session, sock=early.pop()))
        for connection, resumed in ((kept, True), (late, False)):
            connection.send("a.test")
            reply = connection.receive()
            assert reply.status == 200 and reply.resumed is resumed
        assert late.reply.tickets


def test_itk_connections_leave_the_child_s_timer_alone(itk):
    server = itk(*lines(poll="1s"), processes=1).start()
    first = issued_now(server)
    child, = server.children()
    for _ in range(5):
        assert server.get(session=first.session).resumed
    wait_for(lambda: family(child) == [child], "connections to end")
    assert len(listed(f"/proc/{child}/task")) == 2
    end_all(server)
    wait_for(lambda: not server.get(session=first.session).resumed, "the child to see it", 4)


def pipes(pid):
    found = set()
    for number in listed(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
        except OSError:
            pass
    return {name for name in found if name.startswith("pipe:")}


def test_itk_process_of_a_connection_has_no_pipe_of_the_child_s_timer(itk):
    """Who has one can end the thread that follows revocations for everybody."""
    server = itk(*lines(poll="1s"), "AcceptFilter https none", "AcceptFilter http none",
                 processes=1).start()
    assert issued_now(server)
    child, = server.children()
    own = pipes(child) - pipes(server.pid)
    assert len(own) >= 2, "the timer's pipes were not found"
    wait_for(lambda: family(child) == [child], "the first connections to end")
    with socket.create_connection(("127.0.0.1", server.port)):
        wait_for(lambda: len(family(child)) > 1, "a process for the connection")
        for pid in family(child)[1:]:
            wait_for(lambda pid=pid: not pipes(pid) & own, "the pipes to be closed")
    wait_for(lambda: family(child) == [child], "the connection to end")


def test_itk_stop_in_the_middle_of_connections_leaves_no_process(itk):
    """The handlers of SIGTERM meet code that holds libc's locks; who waits for those waits for ever."""
    for _ in range(10):
        server = itk("AcceptFilter https none", "AcceptFilter http none").start()
        server.expect("AH00045", "AH00046")  # httpd's own cleanups may still be in need of SIGKILL
        done = Event()

        def client(server=server, done=done):
            while not done.is_set():
                try:
                    server.get()
                except (OSError, tls.TlsError):
                    time.sleep(0.001)
        threads = [Thread(target=client) for _ in range(2)]
        try:
            for thread in threads:
                thread.start()
            time.sleep(random.uniform(0.2, 0.5))  # no matter what it does just then
            server.process.terminate()
            assert server.stop()
        finally:
            done.set()
            for thread in threads:
                thread.join()


@pytest.mark.parametrize("fault", ["", "constant", "failing"])
def test_itk_no_vector_comes_twice(itk, faulty_crypto, fault):
    server = itk("StekRing default generate=off", processes=1,
                 env={"LD_PRELOAD": str(faulty_crypto), "STEK_FAULT": fault} if fault else {})
    server.put_secret(os.urandom(32))
    server.put_ring(fixed_ring())
    server.start()
    tickets = [ticket.ticket for _ in range(60) for v in VERSIONS
               for ticket in server.get(tls=v).tickets]
    vectors = {ticket[16:32] for ticket in tickets}
    assert len(tickets) == 180 and len(vectors) == len(tickets)
    # Nor is one like the next: CBC wants them unpredictable.
    assert max(bin(int.from_bytes(v, "big")).count("1") for v in vectors) < 100
    assert min(bin(int.from_bytes(v, "big")).count("1") for v in vectors) > 28


@pytest.mark.parametrize("mpm", ["itk", "event"])
def test_tickets_that_cannot_be_sealed_are_counted_and_told(httpd, faulty_crypto, mpm):
    server = httpd(mpm=mpm, processes=1, server=[ASSIGN] if mpm == "itk" else [], ssl=True,
                   env={"LD_PRELOAD": str(faulty_crypto), "STEK_FAULT": "vectors"})
    server.expect("STEK2034", "STEK4003")
    status = Vhost("status.test", STATUS, port=free_port(), tls=False)
    server.vhosts.append(status)
    server.start()
    for v in VERSIONS * 2:
        reply = server.get(tls=v)
        assert reply.status == 200 and not reply.tickets
    text = tls.get_plain(status.port, status.name, "/stek-status?format=prometheus").body.decode()
    told = int(re.search(r"^stek_tickets_unsealed_total\{.*\} (\d+)", text, re.M).group(1))
    assert told >= 6  # TLS 1.3 would issue two a handshake
    server.wait_log("STEK2033")
    server.stop()  # with it the children tell the rest
    logged = sum(int(re.search(r"(\d+) more tickets", line).group(1))
                 for line in server.lines("STEK2033"))
    assert logged >= told
