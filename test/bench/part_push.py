# SPDX-License-Identifier: Apache-2.0
"""A fleet of real sync processes, some with httpd beside them, by kind of store: how long after the return of a
`stekctl revoke --all` on one host the last ring and the last httpd are without the revoked keys, and what passes between
one host and the store when nothing happens. The second is for a fleet of 1,000: so many times one host's share. Of
memcached, which is read as a whole in each cycle, `make bench-fleet` measures that."""
import socket
import subprocess
import threading
import time

import fleet
from etcd import PREFIX, Etcd
from fleet import STEKCTL, Memcached, Redis
from httpd import wait_for
from listener import Listener
from report import Part, Sample

EVERY_S, FLEET_HOSTS, OLD_KB = 10, 1000, 293
KINDS = {"etcd": Etcd, "Redis": Redis, "memcached": Memcached}


class Counter(Listener):
    """Passes on between hosts and a store, and counts."""

    def __init__(self, port):
        self.to, self.bytes = port, 0
        super().__init__()

    def _serve(self, sock):
        server = socket.create_connection(("127.0.0.1", self.to))
        threading.Thread(target=self._pass, args=(server, sock), daemon=True).start()
        self._pass(sock, server)

    def _pass(self, source, sink):
        try:
            while data := source.recv(65536):
                self.bytes += len(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            source.close()


def _port(store):
    return store.members[0].port if isinstance(store, Etcd) else store.port


def _refused(web, session):
    return not web.get(tls="1.2", session=session).resumed


def _revoke(hosts, giver):
    """(seconds to the last ring, seconds to the last httpd)"""
    webs = [host for host in hosts if host.web]
    sessions = [host.get(tls="1.2").session for host in webs]
    before, left, rings_s = giver.names(), list(hosts), 0.0
    fleet.run("--ring", giver.ring_path, "revoke", "--all")
    begun = time.monotonic()
    while left or webs:
        if time.monotonic() - begun > 120:
            raise AssertionError("a revocation did not reach all hosts")
        if left:
            left = [host for host in left if before & host.names()]
            rings_s = time.monotonic() - begun
        still = [(web, session) for web, session in zip(webs, sessions) if not _refused(web, session)]
        webs, sessions = [web for web, _ in still], [session for _, session in still]
        time.sleep(0.01)
    return rings_s, time.monotonic() - begun


def _spread(run, kind, hosts_n, webs_n, rounds):
    """How fast revocations are, in a fleet of so many hosts, some with httpd."""
    here = fleet.Fleet(run.certs)
    try:
        store = KINDS[kind]()
        here.stores.append(store)
        store.start()
        hosts = [here.host(store, web=n < webs_n, interval="1h", lifetime="18h", every=f"{EVERY_S}s", timeout="5s")
                 for n in range(hosts_n)]
        for host in hosts:
            host.start()
        wait_for(lambda: all(host.ring_path.exists() for host in hosts) and fleet.agree(hosts), "the fleet to agree", 120)
        time.sleep(run.pick(2 * EVERY_S, EVERY_S, 1))  # until all have looked at the others for the first time
        found = []
        for n in range(rounds):
            found.append(_revoke(hosts, hosts[-1 - n % (hosts_n - webs_n)]))
            time.sleep(run.pick(3, 2, 0))
        return [Sample(values) for values in zip(*found)]
    finally:
        here.close()


def _load(run, kind, seconds):
    """Bytes per cycle and host, in a fleet where nothing happens."""
    here = fleet.Fleet(run.certs)
    counter = None
    try:
        store = KINDS[kind]()
        here.stores.append(store)
        store.start()
        counter = Counter(_port(store))
        ring = here.dir / "ring"
        fleet.run("--ring", ring, "--secret", here.dir / "local", "new", "--interval", "1h", "--lifetime", "18h")
        url = f"{store.scheme}://127.0.0.1:{counter.port}" + (f"/{PREFIX}" if kind == "etcd" else "")
        sync = subprocess.Popen([STEKCTL, "--ring", ring, "--secret", here.dir / "local", "sync", "--store", url,
                                 "--fleet-secret", here.secret, "--every", "1s", "--timeout", "1s", "--announce", "off"],
                                stderr=subprocess.DEVNULL)
        try:
            time.sleep(3)
            before, begun = counter.bytes, time.monotonic()
            time.sleep(seconds)
            return (counter.bytes - before) / (time.monotonic() - begun)
        finally:
            sync.terminate()
            sync.wait()
    finally:
        if counter:
            counter.listener.close()
        here.close()


def measure(run):
    part, rows, loads = Part(), [], []
    hosts_n, webs_n, rounds = run.pick((50, 5, 9), (10, 3, 3), (3, 1, 1))
    for kind in run.pick(list(KINDS), list(KINDS), ["Redis"]):
        rings, webs = _spread(run, kind, hosts_n, webs_n, rounds)
        rows.append([kind, f"{rings.median:.2f}", f"{max(rings.values):.2f}", f"{webs.median:.2f}",
                     f"{max(webs.values):.2f}"])
        if kind != "memcached":
            part.goal(f"{kind}: last of {webs_n} httpds, {hosts_n} hosts, at most 2 s", f"{max(webs.values):.2f} s",
                      max(webs.values) <= 2)
        part.raw[kind] = {"rings_s": rings.values, "httpd_s": webs.values}
        run.say(f"{kind}: {webs.median:.2f} s")
        if kind == "memcached":
            continue
        per_s = _load(run, kind, run.pick(30, 20, 3))
        kb = per_s * FLEET_HOSTS / EVERY_S / 1000
        loads.append([kind, f"{per_s:.0f}", f"{kb:.1f}", f"{100 * kb / OLD_KB:.0f} %"])
        part.goal(f"{kind}: bytes at the store, {FLEET_HOSTS} hosts, a tenth of {OLD_KB} kB/s", f"{kb:.1f} kB/s",
                  kb <= OLD_KB / 10)
        part.raw[kind]["bytes_per_cycle"] = per_s
        run.say(f"{kind}: {kb:.1f} kB/s")
    part.table(f"Seconds from a revocation's return to the last of {hosts_n} rings and of {webs_n} httpds (poll=1s)",
               ["", "rings, median", "maximum", "httpd, median", "maximum"], rows)
    part.table(f"Bytes between hosts and store when nothing happens, cycles of {EVERY_S} s",
               ["", "per host and cycle", f"kB/s of {FLEET_HOSTS} hosts", f"of {OLD_KB} kB/s"], loads)
    return part
