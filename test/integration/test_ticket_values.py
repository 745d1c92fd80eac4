# SPDX-License-Identifier: Apache-2.0
"""StekTickets and StekTicketCount against a model: random configurations of several virtual hosts on one
address, in any order, inherited and overridden, with and without SSLSessionCache, over HTTP/1.1 and HTTP/2,
reload after reload; and random clients.  STEK_SEED repeats a run; `make ticket-values` is the long form."""
import os
from dataclasses import dataclass

import pytest

from h2 import Http2
from httpd import Vhost
from seed import SEED, seeded_rng
from test_tickets_off import HTTP2, cache_lines

CONFIGS = int(os.environ.get("STEK_TICKET_CONFIGS", "0")) or 3
VISITS = 50  # under each configuration
NAMES = ["a.test", "b.test", "c.test", "d.test", "e.test"]
OWN = (2, 1, 2)  # OpenSSL's numbers: full, resumed; and the most on request


def random_lines(rng):
    """(StekTickets, StekTicketCount): None where nothing is said."""
    count = None
    if rng.random() < 0.5:
        full, resumed = rng.choice([0, 1, 2, 3, 16]), rng.choice([None, 0, 1, 2, 5, 16])
        least = max(full, resumed or 0)
        count = full, resumed, rng.choice([None, 0] + [n for n in (least, 7, 16) if n >= max(least, 1)])
    return rng.choice([None, None, "on", "on", "tls1.3", "tls1.3", "off"]), count


def lines(value, count):
    said = [f"StekTickets {value}"] if value else []
    if count:
        full, resumed, most = count
        said.append(f"StekTicketCount {full}" + ("" if resumed is None else f" resumed={resumed}")
                    + ("" if most is None else f" max={most}"))
    return said


def numbers(count):
    """The manual's defaults."""
    if not count:
        return OWN
    full, resumed, most = count
    resumed = min(full, 1) if resumed is None else resumed
    return full, resumed, max(full, resumed) if most is None else most


@dataclass
class World:
    """One configuration, as the manual says it is."""
    server: tuple
    hosts: dict    # name -> (StekTickets, StekTicketCount), in the order of the configuration
    cache: str
    is_http2: bool

    def value(self, name):
        return self.hosts[name][0] or self.server[0]

    def count(self, name):
        return numbers(self.hosts[name][1] or self.server[1])

    def has_no_tickets(self):
        """The first virtual host takes them from all behind it."""
        return self.value(next(iter(self.hosts))) == "off"

    def resumes_by_ticket(self, name, version):
        value = self.value(name)
        return value != "off" and not self.has_no_tickets() and (value != "tls1.3" or version == "1.3")

    def resumes_by_cache(self, name, version):
        """A session that is not in a ticket but in SSLSessionCache."""
        value = self.value(name)
        return self.cache != "none" and value != "off" and (value != "tls1.3" or version == "1.3")


def random_world(rng, cache, is_http2, is_first):
    names = rng.sample(NAMES, rng.randrange(2, len(NAMES) + 1))
    hosts = {name: random_lines(rng) for name in names}
    if is_first:  # something resumes
        hosts[names[0]], hosts[names[1]] = ("on", None), ("tls1.3", (3, 2, None))
    return World(random_lines(rng), hosts, cache, is_http2)


@dataclass
class Kept:
    """What a client keeps, and how its server made it."""
    session: object
    host: str
    version: str
    is_ticket: bool  # a ticket of a ring; else a session of the cache
    config: int      # of which configuration


class Clients:
    def __init__(self, rng, server):
        self.rng, self.server, self.kept, self.config = rng, server, [], 0
        self.world, self.n = None, {}

    def count(self, what):
        self.n[what] = self.n.get(what, 0) + 1

    def connect(self, host, is_http2, **options):
        if not is_http2:
            return self.server.get(host, **options)
        with Http2(self.server.port, host, **options) as connection:
            assert connection.is_served(host)
            return connection.tls.reply

    def visit(self):
        rng, world = self.rng, self.world
        host, version = rng.choice(list(world.hosts)), rng.choice(["1.2", "1.3"])
        usable = [one for one in self.kept if one.version == version]
        kept = rng.choice(usable) if usable and rng.random() < 0.7 else None
        if kept and kept.host in world.hosts and rng.random() < 0.8:
            host = kept.host
        tickets = kept.is_ticket if kept and version == "1.2" else rng.random() < 0.8
        request = rng.choice([None, b"\0\0", b"\1\1", b"\5\3", b"\xff\xff"])
        is_http2 = world.is_http2 and rng.random() < 0.5
        reply = self.connect(host, is_http2, tls=version, session=kept and kept.session, tickets=tickets,
                             request=request)
        case = (f"STEK_SEED={SEED}", self.config, world, host, version, kept, tickets, request, reply)
        self.judge(host, version, kept, tickets, request, reply, case)
        self.keep(host, version, tickets, reply)

    def judge(self, host, version, kept, tickets, request, reply, case):
        world = self.world
        resumed = bool(kept) and kept.host == host and (
            world.resumes_by_ticket(host, version) if kept.is_ticket
            else world.resumes_by_cache(host, version) and kept.config == self.config)
        assert reply.resumed is resumed, case
        self.count(("resumed" if resumed else "full", version, world.value(host)))
        full, again, most = world.count(host)
        if version == "1.2":
            comes = tickets and not resumed and world.resumes_by_ticket(host, version)
            assert len(reply.tickets) == comes and reply.expected is None, case
            return
        number = again if resumed else full
        if request and most:
            number = min(request[resumed], most)
        if world.value(host) == "off":
            number = 0
        assert len(reply.tickets) == number, case
        assert reply.expected == (number if request and most else None), case

    def keep(self, host, version, tickets, reply):
        """Tickets, and in TLS 1.2 sessions with an id."""
        is_ticket = self.world.resumes_by_ticket(host, version)
        found = reply.tickets[-1:] or [one for one in reply.sessions if version == "1.2" and one.id][-1:]
        for session in found:
            if version == "1.3" or bool(session.ticket) == tickets:
                self.kept.append(Kept(session, host, version, is_ticket and bool(session.ticket), self.config))
        self.kept = self.kept[-20:]

    def share(self):
        """One HTTP/2 connection for two names: never where the two differ."""
        first, second = self.rng.sample(list(self.world.hosts), 2)
        with Http2(self.server.port, first, tls=self.rng.choice(["1.2", "1.3"])) as connection:
            seen = [connection.is_served(host) for host in (first, second, first)]
        case = (f"STEK_SEED={SEED}", self.config, self.world, first, second, seen)
        assert seen[0] and seen[2], case
        if seen[1]:
            assert self.world.value(first) == self.world.value(second), case
        else:
            assert self.world.hosts[first][0] != self.world.hosts[second][0], case
        self.count(("shared", seen[1]))


def adopt(server, clients, world):
    server.server = clients.base + lines(*world.server) + (HTTP2 if world.is_http2 else [])
    server.vhosts = [Vhost(name, lines(*said)) for name, said in world.hosts.items()]
    clients.world, clients.config = world, clients.config + 1


@pytest.mark.timeout(60 + CONFIGS * 20)
@pytest.mark.parametrize("cache", ["none", "shmcb"])
@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_each_value_does_what_the_manual_says_wherever_it_stands(httpd, mpm, cache):
    rng = seeded_rng(mpm, cache)
    server = httpd(mpm=mpm, modules=["http2"] if mpm != "prefork" else [])
    server.expect("STEK3006", "AH10157", "AH02032")
    cache_lines(server, cache)
    clients = Clients(rng, server)
    clients.base = list(server.server)
    for i in range(CONFIGS):
        adopt(server, clients, random_world(rng, cache, mpm != "prefork" and rng.random() < 0.7, i == 0))
        server.graceful() if i else server.start()
        for _ in range(VISITS):
            clients.visit()
            if clients.world.is_http2 and rng.random() < 0.15:
                clients.share()
    print(sorted(clients.n.items(), key=str))
    assert any(key[0] == "resumed" for key in clients.n) and any(key[0] == "full" for key in clients.n)
