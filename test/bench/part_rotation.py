# SPDX-License-Identifier: Apache-2.0
"""What a rotation costs: this module's, beside `graceful` with a new key file."""
import os
import time

import machine
import tls
from httpd import wait_for
from report import Part, Sample
from servers import BenchHttpd, settle, vhosts

KEEP_ALIVE = ["KeepAlive On", "KeepAliveTimeout 900", "MaxKeepAliveRequests 0"]
REQUEST = b"GET /index.html HTTP/1.1\r\nHost: v0.test\r\n\r\n"


class Visitors:
    """Clients with an open keep-alive connection, and clients that come back with a ticket."""

    def __init__(self, server, n):
        self.server = server
        self.open = [tls.Connection(server.port, "v0.test", tls=("1.2", "1.3")[i % 2])
                     for i in range(n)]
        self.sessions = []
        for i in range(n):
            reply = tls.get(server.port, "v0.test", tls=("1.2", "1.3")[i % 2])
            self.sessions.append((reply.session, ("1.2", "1.3")[i % 2]))
        self.resumed_before = self.resumed()
        self.answered_before = self.answered()

    def resumed(self):
        """How many tickets the server takes; each is offered in a copy and stays as it is."""
        return sum(tls.get(self.server.port, "v0.test", tls=version, session=session).resumed
                   for session, version in self.sessions if session)

    def answered(self):
        n = 0
        for connection in self.open:
            try:
                tls.SSL_write(connection.ssl, REQUEST, len(REQUEST))
                n += b"200" in connection.read()[:20]
            except tls.TlsError:
                pass
        return n

    def close(self):
        """(connections dropped, tickets lost) since the beginning."""
        dropped = self.answered_before - self.answered()
        lost = self.resumed_before - self.resumed()
        for connection in self.open:
            connection.close(quiet=False)
        return dropped, lost


def _write_key(path):
    fresh = path.with_suffix(".new")
    fresh.write_bytes(os.urandom(48))
    fresh.chmod(0o600)
    fresh.rename(path)


def _by_graceful(run, n, rounds, clients):
    """A stock httpd with a key file: for each rotation (CPU s, wall s, dropped, lost)."""
    server = BenchHttpd(run.certs, module=False, vhosts=vhosts(n))
    key = server.root / "ticket.key"
    server.server = KEEP_ALIVE + [f"SSLSessionTicketKeyFile {key}", "SSLSessionCacheTimeout 3600"]
    found = []
    try:
        _write_key(key)
        server.start()
        settle(server, run.pick(1, 1, 0.2))
        idle = _idle_s(server, run.pick(10, 3, 0.2))
        for number in range(rounds):
            visitors = Visitors(server, clients)
            before, began = machine.tree_cpu_s(server.pid), time.monotonic()
            _write_key(key)
            server.graceful()
            cpu, wall = machine.tree_cpu_s(server.pid) - before, time.monotonic() - began
            found.append((cpu, wall, *visitors.close(), visitors.resumed_before))
            run.say(f"{n:,} vhosts, graceful: rotation {number + 1} of {rounds}: {cpu:.2f} s of CPU")
    finally:
        server.end()
    return found, idle


def _idle_s(server, window_s):
    """CPU seconds a second of a server that nobody visits."""
    pids, before, began = machine.family(server.pid), 0, time.monotonic()
    before = machine.tasks_cpu_s(pids)
    wait_for(lambda: time.monotonic() >= began + window_s, "the window", window_s + 30, 0.1)
    return (machine.tasks_cpu_s(pids) - before) / (time.monotonic() - began)


def _by_module(run, n, rounds, clients):
    """This module, a key a second: for each window (CPU s of a rotation, dropped, lost)."""
    server = BenchHttpd(run.certs, vhosts=vhosts(n),
                        server=KEEP_ALIVE + ["StekRing default interval=1s lifetime=120s poll=1s"])
    found = []
    try:
        server.start()
        settle(server, run.pick(1, 1, 0.2))
        for number in range(rounds):
            visitors = Visitors(server, clients)
            # All that the idle server does, over at least one round of the parent's hook.
            idle = _idle_s(server, run.pick(11, 11, 1.5))
            found.append((idle, *visitors.close(), visitors.resumed_before))
            run.say(f"{n:,} vhosts, module: window {number + 1} of {rounds}: "
                    f"{idle * 1000:.3f} ms of CPU a rotation")
    finally:
        server.end()
    return found


def _size(run, n, part, rows):
    rounds = (1 if n > 1000 else run.pick(3, 1, 1))
    clients = run.pick(40, 20, 4)
    reloads, stock_idle = _by_graceful(run, n, rounds, clients)
    windows = _by_module(run, n, rounds, clients)
    graceful, module = Sample(r[0] for r in reloads), Sample(w[0] for w in windows)
    ratio = graceful.median / module.median if module.median else float("inf")
    dropped, lost = sum(w[1] for w in windows), sum(w[2] for w in windows)
    held, tried = clients * rounds, sum(w[3] for w in windows)
    rows.append([f"{n:,} vhosts, module", f"{module.median * 1000:.3f}", "", f"{dropped} of {held}",
                 f"{lost} of {tried}"])
    rows.append([f"{n:,} vhosts, graceful", f"{graceful.median * 1000:.0f}", f"{ratio:,.0f}",
                 f"{sum(r[2] for r in reloads)} of {held}",
                 f"{sum(r[3] for r in reloads)} of {sum(r[4] for r in reloads)}"])
    part.chart(f"CPU of a rotation, {n:,} vhosts", "ms",
               [("module", Sample(v * 1000 for v in module.values)),
                ("graceful, new key file", Sample(v * 1000 for v in graceful.values))])
    part.raw[str(n)] = {"graceful": reloads, "module": windows, "stock idle, s/s": stock_idle}
    if n == 1000:
        part.goal("1,000 vhosts: 1,000 times cheaper than graceful", f"{ratio:,.0f} times",
                  ratio >= 1000)
    part.goal(f"{n:,} vhosts: no connection dropped, no ticket lost",
              f"{dropped} of {held}, {lost} of {tried}", dropped == 0 and lost == 0)


def measure(run):
    part, rows = Part(), []
    for n in run.pick((10, 1000, 10000), (10, 1000), (3,)):
        _size(run, n, part, rows)
    part.table("One rotation. CPU of the module's: all that the idle server does in that second",
               ["", "CPU ms", "times the module's", "connections dropped", "tickets lost"], rows)
    return part
