# SPDX-License-Identifier: Apache-2.0
"""Tickets outlive children, reloads and restarts; the parent does not grow."""
import os
import time
from contextlib import ExitStack
from threading import Event, Thread

import pytest

import tls
from checks import VERSIONS, issued_now, lines, wait_until
from httpd import Vhost, kill, wait_for
from seed import seeded_rng


def test_ticket_resumes_in_every_child(httpd, mpm):
    server = httpd(mpm=mpm, processes=4).start()
    sessions = {v: issued_now(server, tls=v).session for v in VERSIONS}
    # Many connections at a time spread over the children.
    at_once = {"prefork": 4, "worker": 24, "event": 60}[mpm]
    with ExitStack() as stack:
        open_ones = []
        for i in range(at_once):
            v = VERSIONS[i % len(VERSIONS)]
            one = tls.Connection(server.port, "a.test", tls=v, session=sessions[v])
            open_ones.append(stack.enter_context(one))
        for i, connection in enumerate(open_ones):
            connection.send("a.test", headers=[f"X-Req: {i}"])
            assert connection.receive().resumed
    assert len({server.pid_of(i) for i in range(at_once)}) >= 3


def test_ticket_resumes_after_graceful_restart_and_stop(httpd, mpm):
    server = httpd(mpm=mpm).start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    names = {key.name for key in server.ring().keys}

    def check(what):
        for v in VERSIONS:
            reply = server.get(tls=v, session=first[v])
            assert reply.resumed, f"TLS {v} after {what}"
        assert names <= {key.name for key in server.ring().keys}, f"keys lost after {what}"
    server.graceful()
    check("graceful")
    server.restart()
    check("restart")
    server.stop()
    server.start()
    check("stop and start")
    server.graceful()
    server.graceful()
    check("two more")


def test_ticket_resumes_while_children_are_reaped_and_spawned(httpd, mpm):
    server = httpd(mpm=mpm, server=["MaxConnectionsPerChild 5"]).start()
    sessions = {v: issued_now(server, tls=v).session for v in VERSIONS}
    for i in range(1, 121):
        v = VERSIONS[i % len(VERSIONS)]
        assert server.get(tls=v, session=sessions[v], headers=[f"X-Req: {i}"]).resumed
    pids = {server.pid_of(i) for i in range(1, 121)}
    assert len(pids) > 5


def test_ticket_resumes_after_a_child_was_killed(httpd, mpm):
    server = httpd(mpm=mpm).start()
    server.expect("AH00052")
    sessions = {v: issued_now(server, tls=v).session for v in VERSIONS}
    old = set(server.children())
    for pid in old:
        kill(pid)
    wait_for(lambda: set(server.children()) - old and not set(server.children()) & old,
             "new children")
    for v in VERSIONS:
        assert server.get(tls=v, session=sessions[v]).resumed


def test_reload_with_traffic_loses_no_resumption(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="1s", lifetime="60s", poll="1s")).start()
    done, faults, visits = Event(), [], [0]

    def client(v):
        session = server.get(tls=v).session
        while not done.is_set():
            try:
                reply = server.get(tls=v, session=session)
            except OSError as fault:  # a listener of an old child: not a matter of tickets
                faults.append(repr(fault))
                continue
            visits[0] += 1
            if not reply.resumed:
                faults.append(f"TLS {v}: not resumed")
            session = reply.session
    threads = [Thread(target=client, args=(v,)) for v in VERSIONS]
    for thread in threads:
        thread.start()
    for _ in range(15):
        server.graceful()
    wait_for(lambda: visits[0] > 50, "visits", 40)
    done.set()
    for thread in threads:
        thread.join()
    assert not [fault for fault in faults if "not resumed" in fault] and visits[0] > 50
    assert len(faults) <= 5, faults


def test_ring_renamed_in_configuration_keeps_the_other(httpd, version):
    server = httpd(server=["StekRing one", "StekUseRing one"]).start()
    first = issued_now(server, ring="one", tls=version)
    server.server = ["StekRing one", "StekRing two", "StekUseRing two"]
    server.graceful()
    assert not server.get(tls=version, session=first.session).resumed
    issued_now(server, ring="two", tls=version)
    server.server = ["StekRing one", "StekUseRing one"]
    server.graceful()
    assert server.get(tls=version, session=first.session).resumed


def test_module_removed_and_added_by_reload(httpd):
    server = httpd().start()
    first = issued_now(server, tls="1.3")
    server.module = False
    server.graceful()
    assert server.get(tls="1.3").name != first.name
    server.module = True
    server.graceful()
    assert server.get(tls="1.3", session=first.session).resumed


def test_lifetime_that_shrinks_by_reload_ends_tickets(httpd, version):
    server = httpd(server=lines(interval="2s", lifetime="60s", poll="1s")).start()
    first = issued_now(server, tls=version)
    key = server.ring().find(first.name)
    wait_until(key.encrypt_until + 2)
    assert server.get(tls=version, session=first.session).resumed
    server.server = lines(interval="2s", lifetime="2s", poll="1s")
    server.graceful()
    assert not server.get(tls=version, session=first.session).resumed
    assert issued_now(server, tls=version).session.hint == 2


def test_interval_that_changes_by_reload_keeps_tickets_and_leaves_no_gap(httpd, version):
    server = httpd(server=lines(interval="2s", lifetime="60s", poll="1s")).start()
    first = issued_now(server, tls=version)
    server.server = lines(interval="5min", lifetime="1h", poll="1s")
    now = int(time.time())
    server.graceful()
    assert server.get(tls=version, session=first.session).resumed
    ring = server.ring()
    assert all(ring.current(t) for t in range(now, now + 300))
    assert max(k.encrypt_until - k.not_before for k in ring.keys) > 2
    issued_now(server, tls=version)


def parent_state(server):
    status = open(f"/proc/{server.pid}/status").read()
    field = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if ":" in line
             and len(line.split()) > 1}
    return {"threads": int(field["Threads"]), "fds": len(os.listdir(f"/proc/{server.pid}/fd")),
            "maps": len(open(f"/proc/{server.pid}/maps").readlines()),
            "locked_kb": int(field["VmLck"]), "rss_kb": int(field["VmRSS"])}


@pytest.mark.timeout(180)
def test_20_reloads_leave_the_parent_as_it_was(httpd, mpm):
    server = httpd(mpm=mpm).start()
    for _ in range(5):  # httpd's own pools and the allocator settle
        server.graceful()
    before = parent_state(server)
    for _ in range(20):
        server.graceful()
        server.get()
    after = parent_state(server)
    assert after["threads"] == before["threads"] and after["fds"] == before["fds"]
    assert after["locked_kb"] == before["locked_kb"]
    assert after["maps"] <= before["maps"] + 4
    assert after["rss_kb"] <= before["rss_kb"] + 1024, (before, after)


SUITES = [f"ECDHE-ECDSA-{name}" for name in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]


def suites_vhost(name, allowed, rng):
    directive = rng.choice(["SSLCipherSuite", "SSLOpenSSLConfCmd CipherString"])
    return Vhost(name, [f"{directive} {':'.join(allowed)}", f"StekBinding {rng.choice(['policy', 'off'])}",
                        "SSLHonorCipherOrder on", 'Header always set X-Suite "expr=%{SSL_CIPHER}"'])


def test_removed_cipher_suite_resumes_no_more_and_all_others_do(httpd):
    """OpenSSL itself asks only whether the client still has it."""
    rng, names = seeded_rng(), ["a.test", "b.test", "c.test"]
    server = httpd(processes=1, server=["StekTickets on"])
    kept, outcomes = [], set()
    for _ in range(4):
        allowed = {name: rng.sample(SUITES, rng.randint(1, 2)) for name in names}
        server.vhosts = [suites_vhost(name, allowed[name], rng) for name in names]
        server.graceful() if server.process else server.start()
        for name, suite, session in kept:
            reply = server.get(name, tls="1.2", session=session)
            assert reply.resumed is (suite in allowed[name]), (name, suite, allowed)
            assert reply.headers["x-suite"] in allowed[name]
            outcomes.add(reply.resumed)
        for name in names:
            reply = server.get(name, tls="1.2")
            kept.append((name, reply.headers["x-suite"], reply.session))
            assert server.get(name, tls="1.3", session=server.get(name, tls="1.3").session).resumed
    assert outcomes == {True, False}
