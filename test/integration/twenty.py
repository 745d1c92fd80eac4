# SPDX-License-Identifier: Apache-2.0
"""A fleet under attack, and what is seen of it from outside: rings, sampled from each host's first cycle on, tickets of
the hosts with httpd, and the cycles, which sync tells to whoever is in systemd's place.  The verdict needs no look at
the product's insides: no host was ever without a current key, no revoked key ever came back, and all hosts agree two
cycles after the last fault."""
import os
import random
import selectors
import signal
import socket
import threading
import time
from dataclasses import dataclass

import fleet as lib
import ringfile
import tls
from checks import VERSIONS
from httpd import FAKETIME_LIBS, descendants, wait_for

LONG = bool(os.environ.get("STEK_TWENTY"))
HOST_N = int(os.environ.get("STEK_TWENTY") or 4)
WEB_N = 3 if LONG else 1
SLACK_S = 20  # after which httpd knows what sync has written, also on a busy machine
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Glance:
    """A ring without the keys themselves: windows, (not_before, encrypt_until, decrypt_until) by name."""
    epoch: int
    windows: dict
    tombstones: frozenset

    @classmethod
    def of(cls, path, secrets):
        fields, keys, tombstones = ringfile.Ring.unseal(path.read_bytes(), secrets)
        return cls(fields[2], {key[0]: key[6:] for key in keys}, frozenset(tombstones))

    def encrypts(self, now):
        return any(begin <= now < end for begin, end, _ in self.windows.values())

    def living(self, now):
        return frozenset(name for name, window in self.windows.items() if window[2] > now)


class Clock:
    """One clock of many hosts; it can stand still."""

    def __init__(self, folder):
        self.path, self.offset_s, self.frozen_at = folder / "clock", 0, None
        self.set(0)

    def _write(self, text):
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text + "\n")
        fresh.chmod(0o644)
        fresh.replace(self.path)

    def set(self, offset_s):
        self.offset_s, self.frozen_at = int(offset_s), None
        self._write(f"{self.offset_s:+d}s")

    def freeze(self, at):
        """False if a host may have seen a later second before."""
        self._write(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)))
        self.frozen_at = at
        return time.time() + self.offset_s < at + 1

    def thaw(self):
        """On from where it stood."""
        self.set(self.frozen_at - int(time.time()))

    def now(self):
        frozen_at = self.frozen_at
        return time.time() + self.offset_s if frozen_at is None else frozen_at

    def give(self, host):
        fresh = {"FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1",
                 "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
        if host.web:  # has the library
            host.web.env.update(fresh)
        else:
            fresh["LD_PRELOAD"] = next(path for path in FAKETIME_LIBS if os.path.exists(path))
        host.env.update(fresh)
        host.now = self.now


class Watched:
    """One host, sampled.  It is judged while promised is set: from its first cycle on, and not while it is off."""

    def __init__(self, host):
        self.host, self.promised, self.serves = host, False, False
        self.cycles, self.samples, self.pid, self.cycles_before = 0, 0, 0, 0
        self.keyless, self.returned, self.gone = [], [], {}
        self.lock, self.stamp, self.seen = threading.Lock(), None, None
        self.path = host.root / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(str(self.path))
        host.env["NOTIFY_SOCKET"] = str(self.path)

    def look(self):
        """The ring as it is now; None if there is none."""
        with self.lock:
            try:
                found = os.stat(self.host.ring_path)
                stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
                if stamp != self.stamp:
                    self.seen = Glance.of(self.host.ring_path, ringfile.read_secrets(self.host.secret_path))
                    self.stamp = stamp
            except (FileNotFoundError, AssertionError):
                self.stamp = self.seen = None
            return self.seen

    def sample(self, dead):
        if not self.promised:
            return
        process = self.host.process
        if process and process.pid != self.pid:
            self.pid, self.cycles_before = process.pid, self.cycles
        before = self.host.now()
        ring = self.look()
        if not self.promised or abs(self.host.now() - before) > 10:  # it was switched off, or its clock was set
            return
        self.samples += 1
        if not ring or not ring.encrypts(int(before)):
            self.keyless.append(time.time())
        names = ring.windows.keys() if ring else set()
        self.returned += [name for name in self.gone if name in names]
        for name in dead:
            if name not in names:
                self.gone.setdefault(name, time.monotonic())

    def heard(self):
        try:
            while True:
                if b"STATUS=generation" in self.socket.recv(4096):
                    self.cycles += 1
        except BlockingIOError:
            pass

    def usage(self):
        """(CPU seconds, RSS of sync in kB, RSS of its workers) of what runs."""
        pid = self.host.process.pid
        ticks, rss = 0, []
        for one in [pid, *descendants(pid)]:
            try:
                with open(f"/proc/{one}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
                with open(f"/proc/{one}/status") as file:
                    rss += [int(line.split()[1]) for line in file if line.startswith("VmRSS")]
            except OSError:  # a worker that has just ended
                continue
            ticks += sum(map(int, fields[11:15 if one == pid else 13]))
        return ticks / TICKS, rss[0], rss[1:]


class Trial:
    """Hosts, watched; what has been revoked; and clients that come back."""

    def __init__(self, fleet, point, kind):
        self.fleet, self.point, self.kind = fleet, point, kind
        self.watched, self.dead, self.figures = [], set(), {}
        self.ended, self.resting = threading.Event(), threading.Event()
        self.visits, self.ticketless, self.resumed_dead, self.sessions = 0, [], [], []
        self.began, self.threads, self.faults = time.monotonic(), [], []
        self.tlock = threading.Lock()

    # hosts --------------------------------------------------------------------------------------
    def add(self, *stores, n=None, web=0, floor=True, clock=None, **options):
        """More hosts, not started; the first so many with httpd."""
        made = []
        for i in range(HOST_N if n is None else n):
            settings = {"interval": "1h", "lifetime": "18h", "timeout": "3s", **options}
            host = self.fleet.host(*stores, web=i < web, **settings)
            if floor:
                state = host.root / "state"
                state.mkdir(mode=0o750)
                host.options += ["--floor", state / "default.floor"]
            if clock:
                clock.give(host)
            made.append(host)
            host.watched = Watched(host)
            self.watched.append(host.watched)
        return made

    def start(self, hosts, launch=None):
        """All at once; from the end of its first cycle on each is judged."""
        before = {host: host.watched.cycles for host in hosts}
        for host in hosts:
            (launch or (lambda host: host.start(web=False)))(host)
        self._begin()
        for host in hosts:
            wait_for(lambda: host.watched.cycles > before[host], lambda: f"the first cycle: {host.log()}", 90)
            host.watched.promised = True
        for host in hosts:
            if host.web:
                host.web.start()
                host.watched.serves = True
        return hosts

    def _begin(self):
        if not self.threads:
            self.threads = [threading.Thread(target=self._guard, args=(work,), daemon=True)
                            for work in (self._sample, self._hear, self._visit)]
            for thread in self.threads:
                thread.start()

    def lose_power(self, hosts):
        """What was in memory is gone."""
        self.resting.set()
        with self.tlock:
            for host in hosts:
                host.watched.promised = host.watched.serves = False
                host.process.send_signal(signal.SIGKILL)
                host.process.wait()
                host.process = None
        for host in hosts:
            if host.web:
                assert host.web.stop()
            lib.reboot(host)

    # threads ------------------------------------------------------------------------------------
    def _guard(self, work):
        try:
            work()
        except Exception as fault:  # any: the verdict would be of nothing
            self.faults.append(f"{work.__name__}: {fault!r}")
            raise

    def _sample(self):
        while not self.ended.wait(0.04):
            dead = self.dead
            for one in self.watched[:]:
                one.sample(dead)

    def _hear(self):
        with selectors.DefaultSelector() as chooser:
            known = set()
            while not self.ended.is_set():
                for one in self.watched[:]:
                    if one not in known:
                        chooser.register(one.socket, selectors.EVENT_READ, one)
                        known.add(one)
                for key, _ in chooser.select(0.2):
                    key.data.heard()

    def _visit(self):
        chance = random.Random(self.point)
        while not self.ended.wait(0.15):
            web = [one for one in self.watched if one.serves and one.promised]
            if web and not self.resting.is_set():
                with self.tlock:
                    self._visit_one(chance.choice(web), chance)

    def _visit_one(self, one, chance):
        version = chance.choice(VERSIONS)
        old = chance.choice(self.sessions) if self.sessions and chance.random() < 0.5 else None
        asked = time.monotonic()
        try:
            reply = one.host.get(tls=old[0] if old else version, session=old and old[1])
        except (OSError, tls.TlsError):
            if one.serves and one.promised and not self.resting.is_set():
                raise
            return
        self.visits += 1

        def is_dead(name):
            return asked - one.gone.get(name, asked) > SLACK_S
        if not reply.resumed and not reply.tickets:
            self.ticketless.append(one.host)
        if old and reply.resumed and is_dead(old[1].name):
            self.resumed_dead.append(one.host)
        if any(is_dead(ticket.name) for ticket in reply.tickets):
            self.resumed_dead.append(one.host)
        if not old and reply.tickets and len(self.sessions) < 200:
            self.sessions.append((version, reply.session))

    # what happens -------------------------------------------------------------------------------
    def names(self, hosts):
        return {name for host in hosts for name in (host.watched.look() or Glance(0, {}, frozenset())).windows}

    def revoke(self, host, name=None, known=()):
        """Those keys are dead from now on, wherever they are."""
        dead = {name} if name else self.names([one.host for one in self.watched]) | set(known)
        lib.run("--ring", host.ring_path, "revoke", name.hex()[:16] if name else "--all", env=host.env)
        self.dead = self.dead | dead
        return dead

    def wait_gone(self, hosts, names, timeout=90):
        """Until none of them has one of these keys; in seconds."""
        began = time.monotonic()
        wait_for(lambda: not names & self.names(hosts), "the revocation at all hosts", timeout)
        return round(time.monotonic() - began, 1)

    def wait_tickets_end(self, hosts, sessions):
        for host in hosts:
            for version, session in sessions:
                wait_for(lambda: not host.get(tls=version, session=session).resumed, "old tickets to end", SLACK_S, 0.2)

    def each(self, hosts, n, until=lambda: False):
        """Every host ends that many cycles, unless it is until() before."""
        marks = {host: host.watched.cycles + n for host in hosts}

        def lagging():
            return [host for host, mark in marks.items() if host.watched.cycles < mark]
        wait_for(lambda: until() or not lagging(),
                 lambda: "a cycle of " + "; ".join(host.log()[-300:] for host in lagging()), 60 * n, 0.05)

    def cycle(self, hosts, n=1, until=lambda: False):
        """Every host begins and ends a cycle after every host has ended the one before."""
        for _ in range(n):
            self.each(hosts, 2, until)  # one may be under way

    def same(self, hosts):
        now = max(host.now() for host in hosts) + 3
        rings = [host.watched.look() for host in hosts]
        return all(rings) and len({(ring.epoch, ring.tombstones, ring.living(now)) for ring in rings}) == 1

    def agree(self, hosts, label, cycles=2):
        """All have the same ring when each has ended so many cycles, or earlier; the time is kept."""
        began, seen = time.monotonic(), []

        def agreed():
            seen.append(self.same(hosts))
            return seen[-1]
        self.cycle(hosts, cycles, agreed)
        self.figures[label] = round(time.monotonic() - began, 1)
        assert seen[-1] or self.same(hosts), f"{label}: no agreement after {cycles} cycles: {self.describe(hosts)}"

    def agree_frozen(self, hosts, clock, label, *more):
        """With a key per second no two hosts have the same ring for long: the time stands still for it, and never
        goes back: the key that a host made for a second that has not come is too early for the others."""
        at = int(clock.now()) + 1
        while not all([one.freeze(at) for one in (clock, *more)]):
            at = int(time.time() + clock.offset_s) + 1
        self.agree(hosts, label)
        for one in (clock, *more):
            one.thaw()

    def describe(self, hosts):
        rings = [host.watched.look() for host in hosts]
        return [(i, ring and (ring.epoch, len(ring.windows), len(ring.tombstones))) for i, ring in enumerate(rings)]

    # the end ------------------------------------------------------------------------------------
    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(30)
        for one in self.watched:
            one.socket.close()

    def verdict(self):
        """After this nothing is watched any more."""
        running = [one for one in self.watched if one.host.process and one.host.process.poll() is None]
        usage = [(one, one.usage()) for one in running]
        cycles = sum(one.cycles - one.cycles_before for one in running)
        cpu, rss = sum(used[0] for _, used in usage), [used[1] for _, used in usage]
        workers = [kb for _, used in usage for kb in used[2]]
        self.end()
        samples, keyless = sum(one.samples for one in self.watched), sum(len(one.keyless) for one in self.watched)
        returned = [name.hex()[:8] for one in self.watched for name in one.returned]
        self.figures.update({
            "hosts": len(self.watched), "seconds": round(time.monotonic() - self.began), "samples": samples,
            "keyless": keyless, "returned": len(returned), "visits": self.visits, "ticketless": len(self.ticketless),
            "dead tickets resumed": len(self.resumed_dead), "cycles": sum(one.cycles for one in self.watched),
            "CPU ms per cycle": round(1000 * cpu / max(cycles, 1), 2),
            "RSS MiB sync": round(max(rss, default=0) / 1024, 1), "RSS MiB worker": round(max(workers, default=0) / 1024, 1)})
        print(f"\ntwenty: point {self.point}, {self.kind.scheme}: "
              + ", ".join(f"{name} {value}" for name, value in self.figures.items()), flush=True)
        assert not self.faults, self.faults
        assert samples > 5 * len(self.watched), "hardly watched"
        late = {self.watched.index(one): [round(at - one.keyless[0], 1) for at in one.keyless][-1]
                for one in self.watched if one.keyless}
        assert not keyless, f"{keyless} of {samples} samples without a current key: host: for seconds {late}"
        assert not returned, f"revoked keys came back: {returned[:10]}"
        assert not self.ticketless, f"{len(self.ticketless)} of {self.visits} visits brought no ticket"
        assert not self.resumed_dead, f"{len(self.resumed_dead)} tickets of revoked keys"
