# SPDX-License-Identifier: Apache-2.0
"""A clock that was ahead and comes back: no process of httpd misses keys, and nothing from then stays."""
import json
import os
import signal

import pytest

import ringfile
from checks import VERSIONS, issued_now, lines
from handshakes import STATUS
from httpd import wait_for

HOUR, DAY = 3600, 86400
AHEAD = 40 * HOUR  # more than a ticket lives


def replies(server):
    """Enough for every child to answer."""
    return [server.get(tls="1.2") for _ in range(12)]


def all_issue(server):
    return all(reply.tickets for reply in replies(server))


def all_resume(server, session, version):
    return all(server.get(tls=version, session=session).resumed for _ in range(12))


def told(server):
    """What children say of themselves."""
    return [json.loads(server.get(path="/stek-status?format=json").body) for _ in range(12)]


def none_has_keys(server):
    return not any(ring["keys"] for status in told(server) for ring in status["rings"])


def all_healthy(server):
    return all(status["healthy"] for status in told(server))


@pytest.fixture
def stopped():
    """Stops a process; all go on at the end."""
    pids = []

    def stop(pid):
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)
    yield stop
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def test_clock_that_was_ahead_for_a_moment_costs_no_child_its_keys(httpd, mpm, stopped):
    """A moment in which the parent did not look: it writes nothing, and the ring's file stays as it is."""
    server = httpd(mpm=mpm, processes=3, clock=True, server=lines(poll="1s") + STATUS).start()
    first = {v: issued_now(server, tls=v) for v in VERSIONS}
    stopped(server.pid)
    server.set_clock(AHEAD)
    wait_for(lambda: none_has_keys(server), "all children to drop their keys", 25, 0.2)
    server.set_clock(0)
    wait_for(lambda: all_issue(server), "keys in all children", 25, 0.2)
    for v in VERSIONS:
        wait_for(lambda v=v: all_resume(server, first[v].session, v), "the former keys in all children", 25, 0.2)


def test_clock_that_was_ahead_leaves_no_process_without_keys_that_others_write(httpd):
    """Here httpd can make none itself, and the ring's file does not change before its writer comes back."""
    server = httpd(server=lines(poll="1s", generate="off") + STATUS, clock=True)
    server.put_secret(os.urandom(32))
    ring = ringfile.Ring([ringfile.make_key()], interval=HOUR, lifetime=18 * HOUR)
    server.put_ring(ring)
    server.start()
    first = server.get(tls="1.2")
    server.set_clock(AHEAD)
    server.wait_log("STEK2002", timeout=40)
    wait_for(lambda: none_has_keys(server), "all children to drop their keys", 25, 0.2)
    server.set_clock(0)
    wait_for(lambda: all_issue(server), "keys in all children", 25, 0.2)
    wait_for(lambda: all_resume(server, first.session, "1.2"), "the former keys in all children", 25, 0.2)
    server.wait_log("STEK2001", timeout=40)  # the parent has them, too
    server.graceful()
    assert server.get(tls="1.2", session=first.session).resumed


def test_clock_that_was_years_ahead_leaves_no_keys_from_then_and_no_alarm(httpd):
    server = httpd(server=lines(poll="1s") + STATUS, clock=True).start()
    server.expect("STEK2002", "STEK2036")
    server.set_clock(3650 * DAY)
    wait_for(lambda: server.ring().current(server.now()), "a ring from then", 40, 0.2)
    server.set_clock(0)
    wait_for(lambda: server.ring().current(server.now())
             and all(key.not_before < server.now() + 2 * HOUR for key in server.ring().keys),
             "a ring of these days", 40, 0.2)
    assert server.ring().written_at < server.now() + 60
    wait_for(lambda: all_healthy(server), "every child to be well", 25, 0.2)
    wait_for(lambda: all_issue(server), "tickets of every child", 25, 0.2)


def test_clock_that_was_hours_ahead_leaves_no_alarm(httpd):
    """There are keys for every hour, so nothing else makes httpd write the ring again.  One process looks
    every second, as a parent does every ten."""
    server = httpd(server=lines(poll="1s") + STATUS, clock=True).start("-X")
    server.expect("STEK2002")

    def written_at():
        return told(server)[0]["rings"][0]["written_at"]
    server.set_clock(3 * HOUR)
    wait_for(lambda: written_at() > server.now() - HOUR, "a ring from then", 25, 0.2)
    assert all_issue(server)
    server.set_clock(0)
    wait_for(lambda: all_healthy(server), "no blame for the clock", 25, 0.2)
    assert written_at() < server.now() + 60 and all_issue(server)
