# SPDX-License-Identifier: Apache-2.0
"""An accelerated month: a server that rotates each second, clients that come back within their
tickets' windows, and a thread that reloads, revokes and damages meanwhile.  What came of each visit is
written down and judged at the end, when it is known what was revoked when."""
import os
import random
import statistics
import threading
import time
from collections import Counter
from dataclasses import dataclass

import tls
from checks import VERSIONS
from httpd import wait_for
from stekctl_tool import Stekctl

SLACK_S = 20  # after which all processes know what stekctl did, also on a busy machine
# What the parent says of the damage that is done here, and nothing else.
DAMAGE_LOG = r"STEK200[34]: ring 'default'"
SAVED_LOG = "STEK2006: ring 'default'"


@dataclass
class Kept:
    """A ticket in a client's hands."""
    session: object
    version: str
    name: bytes
    asked: float  # before the handshake that brought it
    got: float


@dataclass
class Visit:
    """A handshake with a ticket."""
    ticket: Kept
    asked: float
    done: float
    resumed: bool


class Client(threading.Thread):
    """Comes back and back, with tickets of its own, at about that rate."""

    def __init__(self, soak, seed):
        super().__init__(daemon=True)
        self.soak, self.chance = soak, random.Random(seed)
        self.kept, self.visits, self.handshakes, self.faults = [], [], 0, Counter()

    def pick(self):
        """Mostly what is still good, sometimes what is not, sometimes nothing."""
        now = time.time()
        self.kept = [one for one in self.kept if one.asked > now - 2 * self.soak.lifetime_s]
        if not self.kept or self.chance.random() < 0.15:
            return None
        return self.chance.choice(self.kept)

    def visit(self):
        ticket, asked = self.pick(), time.time()
        version = ticket.version if ticket else self.chance.choice(VERSIONS)
        try:
            reply = self.soak.server.get(tls=version, session=ticket and ticket.session)
        except (OSError, tls.TlsError) as fault:
            self.faults[f"{type(fault).__name__}: {fault}"[:120]] += 1
            return
        done = time.time()
        self.handshakes += 1
        if reply.status != 200:
            self.faults[f"status {reply.status}"] += 1
        if not reply.resumed and not reply.tickets:
            self.faults["no ticket after a full handshake"] += 1
        if ticket:
            self.visits.append(Visit(ticket, asked, done, reply.resumed))
        self.kept += [Kept(one, version, one.name, asked, done) for one in reply.tickets]

    def run(self):
        while not self.soak.done.is_set():
            begin = time.monotonic()
            self.visit()
            self.soak.done.wait(max(0.0, 1 / self.soak.rate - (time.monotonic() - begin)))


class Watcher(threading.Thread):
    """Looks at the parent each second."""

    def __init__(self, soak):
        super().__init__(daemon=True)
        self.soak, self.samples, self.children_n = soak, [], []

    def run(self):
        while not self.soak.done.wait(1 if self.soak.seconds > 60 else 0.25):
            self.samples.append(parent_state(self.soak.server))
            self.children_n.append(len(self.soak.server.children()))

    def growth(self):
        """Medians of the last quarter against those of the second: the first is warm-up."""
        n = len(self.samples) // 4
        early, late = self.samples[n:2 * n], self.samples[-n:]
        return {what: (int(statistics.median(sample[what] for sample in early)),
                       int(statistics.median(sample[what] for sample in late)))
                for what in self.samples[0]}


def parent_state(server):
    with open(f"/proc/{server.pid}/status") as file:
        field = dict(line.split(":", 1) for line in file if ":" in line)
    with open(f"/proc/{server.pid}/maps") as file:
        maps_n = sum(1 for _ in file)
    return {"threads": int(field["Threads"]), "fds": len(os.listdir(f"/proc/{server.pid}/fd")),
            "maps": maps_n, "locked_kb": int(field["VmLck"].split()[0]),
            "rss_kb": int(field["VmRSS"].split()[0])}


# ---- damage ----

MAGIC_LEN = 8  # without it, the file is not ours, and stays (test_foreign.py)

def in_place(change):
    """By a writer that knows nothing of renaming."""
    def act(path, chance):
        data = bytearray(path.read_bytes())
        with open(path, "r+b") as file:
            changed = change(data, chance)
            file.write(changed)
            file.truncate(len(changed))
    return act


def flipped(data, chance):
    data[chance.randrange(MAGIC_LEN, len(data))] ^= 1 << chance.randrange(8)
    return data


def removed(path, _chance):
    path.unlink()


def foreign(path, _chance):
    """Another ring, which our secret does not open, in place of the ring."""
    fresh = path.with_suffix(".foreign")
    fresh.write_bytes(path.read_bytes()[:MAGIC_LEN] + os.urandom(500))
    fresh.rename(path)


def writable(path, _chance):
    path.chmod(0o666)


DAMAGES = {"cut": in_place(lambda data, chance: data[:chance.randrange(MAGIC_LEN, len(data))]),
           "empty": in_place(lambda data, chance: b""), "flipped": in_place(flipped),
           "longer": in_place(lambda data, chance: data + b"\0"), "removed": removed,
           "foreign": foreign, "writable": writable}


class Soak:
    """One run.  seconds: how long; rate: handshakes a second of each of the clients."""

    def __init__(self, server, seconds, lifetime_s, clients_n=4, rate=15.0, seed=None):
        self.server, self.seconds, self.lifetime_s, self.rate = server, seconds, lifetime_s, rate
        self.seed = random.randrange(1 << 32) if seed is None else seed
        self.chance, self.done = random.Random(self.seed), threading.Event()
        self.tool = Stekctl(server.root, server.ring_path())
        self.did, self.revoked, self.fresh, self.epochs = Counter(), {}, {}, []
        self.clients = [Client(self, self.seed + i) for i in range(clients_n)]
        self.watcher, self.copy = Watcher(self), None
        server.expect(DAMAGE_LOG)

    # what happens meanwhile ---------------------------------------------------------------------
    def parent_looks(self):
        """Waits until the parent has read the ring and written it."""
        mark = self.server.mark()
        wait_for(lambda: self.server.lines(SAVED_LOG, mark), "the parent to write the ring", 60, 0.2)

    def stekctl(self, *args):
        """(time of the command, names in the ring before it, names after it)."""
        before = {key.name for key in self.server.ring().keys}
        begin = time.time()
        self.tool.run(*args)
        after = {key.name for key in self.server.ring().keys}
        for name in after - before:  # processes learn of it one by one
            self.fresh[name] = begin
        self.did["stekctl " + " ".join(word for word in args if len(word) < 20)] += 1
        return begin, before, after

    def rotate(self):
        self.stekctl("rotate")
        self.parent_looks()

    def revoke(self):
        """A key that has encrypted, or does."""
        keys = [key for key in self.server.ring().keys if key.not_before <= time.time()]
        name = self.chance.choice(keys).name
        begin = self.stekctl("revoke", name.hex())[0]
        self.revoked[name] = begin
        self.parent_looks()

    def revoke_all(self):
        begin, _before, after = self.stekctl("revoke", "--all")
        self.epochs.append((begin, after))
        self.parent_looks()
        self.copy = None

    def reload(self):
        self.server.graceful(drain=False)
        self.did["reload"] += 1

    def damage(self, kind=None):
        kind = kind or self.chance.choice(sorted(DAMAGES))
        DAMAGES[kind](self.server.ring_path(), self.chance)
        self.did[f"damage: {kind}"] += 1
        if self.chance.random() < 0.3:
            self.reload()
        else:
            self.parent_looks()

    def replay(self):
        """An old copy of the ring takes its place."""
        path = self.server.ring_path()
        if self.copy:
            self.server.put_ring(self.copy)
            self.did["replayed copy"] += 1
            self.parent_looks()
        self.copy = path.read_bytes()

    def month(self):
        """At random, until the time is over."""
        end = time.time() + self.seconds
        acts = [(self.reload, 6), (self.damage, 5), (self.revoke, 3), (self.rotate, 2), (self.replay, 2),
                (self.revoke_all, 0.5)]
        while time.time() < end:
            self.chance.choices([act for act, _ in acts], [weight for _, weight in acts])[0]()
            self.done.wait(self.chance.uniform(0.5, 6))

    def day(self):
        """Each of them once or twice, in an order that needs no long waits; then the rest of the time."""
        end = time.time() + self.seconds
        self.replay()
        self.reload()
        for kind in self.chance.sample(sorted(DAMAGES), 2):
            DAMAGES[kind](self.server.ring_path(), self.chance)
            self.did[f"damage: {kind}"] += 1
            self.reload()
        self.replay()
        self.revoke()
        self.stekctl("rotate")
        self.reload()
        self.done.wait(max(0.0, end - time.time()))

    def run(self, story):
        threads = self.clients + [self.watcher]
        for thread in threads:
            thread.start()
        try:
            story()
        finally:
            self.done.set()
            for thread in threads:
                thread.join(60)
        return self

    # judgement ----------------------------------------------------------------------------------
    def revoked_at(self, ticket):
        """When the ticket's key was revoked; None if it was not."""
        # A name that the ring did not have then was dead, unless stekctl has made it since.
        points = [begin for begin, alive in self.epochs
                  if ticket.name not in alive and ticket.asked < begin + SLACK_S
                  and self.fresh.get(ticket.name, 0) <= begin]
        points += [self.revoked[ticket.name]] if ticket.name in self.revoked else []
        return min(points, default=None)

    def judge(self, visit):
        """What is wrong with it, or None."""
        revoked_at, age_s = self.revoked_at(visit.ticket), visit.done - int(visit.ticket.asked)
        if visit.resumed:
            if revoked_at is not None and visit.asked > revoked_at + SLACK_S:
                return (f"a key came back that was revoked {visit.asked - revoked_at:.1f} s before; the "
                        f"ticket is {age_s:.1f} s old")
            if visit.asked > visit.ticket.got + self.lifetime_s + 2:
                return "resumed after the ticket's end"
            return None
        if age_s >= self.lifetime_s - 1 or (revoked_at is not None and visit.done >= revoked_at):
            return None
        if visit.asked < self.fresh.get(visit.ticket.name, 0) + SLACK_S:
            return None
        return f"lost at the age of {age_s:.1f} s"

    def result(self):
        visits = [visit for client in self.clients for visit in client.visits]
        wrong = Counter(fault for fault in map(self.judge, visits) if fault)
        faults = sum((client.faults for client in self.clients), Counter())
        return {"seed": self.seed, "handshakes": sum(client.handshakes for client in self.clients),
                "resumed": sum(visit.resumed for visit in visits), "with_ticket": len(visits),
                "keys": len({visit.ticket.name for visit in visits}), "faults": dict(faults),
                "wrong": dict(wrong), "did": dict(sorted(self.did.items())),
                "children_at_most": max(self.watcher.children_n, default=0),
                "parent": self.watcher.growth()}
