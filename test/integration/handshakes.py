# SPDX-License-Identifier: Apache-2.0
"""Handshakes of each kind that STEK_TICKET names, by a real client, and what the server tells of them."""
import http.client
import json
import os
import re
import time
from collections import Counter

import ringfile
from checks import resealed, wait_until
from httpd import Vhost, free_port

KINDS = ["new", "resumed-current", "resumed-old", "resumed-future", "full-unknown", "full-expired",
         "full-damaged", "full-policy", "full-age", "none"]
# Kind -> (metric, label) of the counter that counts it.
COUNTED = {"new": ("stek_tickets_not_offered_total", ""), "none": ("stek_tickets_not_offered_total", "")}
COUNTED.update({f"resumed-{key}": ("stek_tickets_resumed_total", key)
                for key in ("current", "old", "future")})
COUNTED.update({f"full-{reason}": ("stek_tickets_refused_total", reason)
                for reason in ("unknown", "expired", "damaged", "policy", "age", "secrecy")})
STATUS = ["<Location /stek-status>", "SetHandler stek-status", "Require all granted", "</Location>"]
MAX_AGE_S = 2


class Scripted:
    """A server whose ring is ours (generate=off): a current, an old and a future key.  Its first virtual
    host, in plain HTTP, tells the status: no look at it is a handshake."""

    def __init__(self, httpd, mpm="event", processes=4, server=(), vhosts=(), **options):
        hour = int(time.time()) // 3600 * 3600
        self.keys = {"current": ringfile.make_key(hour, 7200), "old": ringfile.make_key(hour - 3600),
                     "future": ringfile.make_key(hour + 7200)}
        self.port = free_port()
        self.server = httpd(
            mpm=mpm, processes=processes,
            server=["StekRing default generate=off poll=1s", *server],
            vhosts=[Vhost("status.test", STATUS, port=self.port, tls=False), Vhost("a.test"),
                    Vhost("b.test"), Vhost("age.test", [f"StekMaxSessionAge {MAX_AGE_S}s"]),
                    Vhost("off.test", ["StekTickets off"]), *vhosts], **options)
        self.server.put_secret(os.urandom(32))
        self.server.put_ring(ringfile.Ring(list(self.keys.values())))
        self.issued, self.sessions = 0, {}
        self.bytes = {"issued": 0, "offered": 0}

    def ask(self, path="/stek-status", method="GET"):
        """(status, headers, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers={"Host": "status.test"})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read().decode()
        finally:
            connection.close()

    def status(self, query=""):
        status, _headers, body = self.ask("/stek-status" + query)
        assert status == 200, body
        return body

    def json(self):
        return json.loads(self.status("?format=json"))

    def metrics(self):
        return parse(self.status("?format=prometheus"))

    def visit(self, host="a.test", **options):
        reply = self.server.get(host, **options)
        self.issued += len(reply.tickets)
        self.bytes["issued"] += sum(len(session.ticket) for session in reply.tickets)
        if options.get("session"):
            self.bytes["offered"] += len(options["session"].ticket)
        return reply

    def prepare(self, version):
        """The sessions that the kinds need.  full-age ripens meanwhile."""
        plain, aged = self.visit(tls=version), self.visit("age.test", tls=version)
        self.ripe_at = time.time() + MAX_AGE_S + 1
        session, current = plain.session, self.keys["current"]
        damaged = session.ticket[:-1] + bytes([session.ticket[-1] ^ 1])
        self.sessions[version] = {
            "new": None, "none": None, "resumed-current": session,
            "resumed-old": resealed(session, current, self.keys["old"]),
            "resumed-future": resealed(session, current, self.keys["future"]),
            "full-unknown": resealed(session, current, ringfile.make_key()),
            "full-expired": resealed(session, current, current, at=time.time() - 64810),
            "full-damaged": session.with_ticket(damaged), "full-policy": session,
            "full-age": aged.session}
        return self

    def handshake(self, kind, version, **options):
        """One of that kind; its outcome is checked from the client's side."""
        host = {"full-policy": "b.test", "full-age": "age.test", "none": "off.test"}.get(kind, "a.test")
        if kind == "full-age":
            wait_until(self.ripe_at)
        reply = self.visit(host, tls=version, session=self.sessions[version][kind], **options)
        assert reply.resumed == kind.startswith("resumed"), f"{kind}, TLS {version}"
        assert bool(reply.tickets) == (kind != "none" and (kind, version) != ("resumed-current", "1.2"))
        return reply


def parse(text):
    """Samples of the text exposition format: (name, sorted labels) -> number."""
    samples = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
            assert found, f"no sample: {line!r}"
            name, labels, value = found.groups()
            found = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            key = (name, tuple(sorted(found)))
            assert key not in samples, f"{key} twice"
            samples[key] = float(value)
    return samples


def sample(samples, name, ring="default", **labels):
    return samples[name, tuple(sorted({"ring": ring, **labels}.items()))]


def ticket_bytes(samples, ring="default"):
    return {what: sample(samples, f"stek_ticket_{what}_bytes_total", ring) for what in ("issued", "offered")}


def ticket_counters(samples, ring="default"):
    """(metric, label) -> number, as COUNTED names them, and the rest of what a client causes."""
    found = Counter()
    for (name, labels), value in samples.items():
        labels = dict(labels)
        if name.startswith(("stek_tickets_", "stek_handshakes_")) and labels["ring"] == ring:
            found[name, labels.get("key", labels.get("reason", ""))] = value
    found["stek_ticket_age_seconds_count", ""] = sample(samples, "stek_ticket_age_seconds_count", ring)
    return found
