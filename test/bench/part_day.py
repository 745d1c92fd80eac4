# SPDX-License-Identifier: Apache-2.0
"""A day of traffic in compressed time, on five hosts without affinity: the same visits reach a fleet with
this module (keys shared through memcached) and one of stock httpds, each with its built-in keys.

Hourly rotation, at 06:25 a log rotation that reloads all hosts, at 14:00 a restart of one host.  Clients
come back after minutes to hours."""
import os
import random
import subprocess
import threading
import time

import fleet
import machine
from httpd import Vhost, free_port, wait_for
from report import Part, Sample
from servers import NAME, BenchHttpd, binary

LIFETIME_H, RELOAD_H, RESTART_H, DOWN_H = 18, 6 + 25 / 60, 14, 0.2
SHIPPED_H = 300 / 3600  # SSLSessionCacheTimeout 300, as shipped: the life of a stock ticket
SECOND_MS = 1000  # servers count whole ones
GAP_MEDIAN_H, GAP_SIGMA = 0.75, 1.3  # between visits of a client: log-normal


def make_plan(clients, hosts, hours, hour_s, seed):
    """[(ms, client, host)], sorted."""
    rng, plan = random.Random(seed), []
    for client in range(clients):
        at = rng.uniform(0, hours)
        while at < hours:
            plan.append((round(at * hour_s * 1000), client, rng.randrange(hosts)))
            at += max(GAP_MEDIAN_H * rng.lognormvariate(0, GAP_SIGMA), 0.05)
    return sorted(plan)


# Life of a ticket -> the longest chain of them: StekMaxSessionAge's default.
LIFETIMES_H = {"10 min": (1 / 6, 24), "1 h": (1, 24), "18 h": (18, 24), "7 d": (168, 168)}


def hit_rate(life_h, chain_h, clients, seed, days=9):
    """The share of a last day's visits that resume, by clients who came before: every visit gives a fresh
    ticket, of which none outlives the chain.  All hosts share keys, which never end before tickets."""
    plan, visits, resumed, first, last = make_plan(clients, 1, 24 * days, 1, seed), 0, 0, {}, {}
    for at, client, _host in plan:
        at_h = at / 1000
        hit = client in last and at_h - last[client] <= life_h and at_h - first[client] < chain_h
        if at_h >= 24 * (days - 1):
            visits, resumed = visits + 1, resumed + hit
        first[client] = first[client] if hit else at_h
        last[client] = at_h
    return resumed / visits


def _lifetimes(run, part):
    clients, seed = run.pick(2000, 300, 50), int.from_bytes(os.urandom(4), "big")
    rates = {name: hit_rate(*times, clients, seed) for name, times in LIFETIMES_H.items()}
    part.table("The same clients in a model: visits that resume, of a day after eight others", ["life of a ticket",
               "resumed"], [[name, f"{100 * rate:.1f} %"] for name, rate in rates.items()])
    part.raw["lifetimes"] = rates


class Fleet:
    """Hosts on 127.0.0.2 and up, one port, and how much CPU time they took."""

    def __init__(self, run, module, hosts, hour_s, shared):
        self.module, self.spent_s, self.port = module, 0.0, free_port()
        self.sync, self.hosts = [], []
        for i in range(hosts):
            lines = []
            if module:
                host = shared.host(web=False, interval=f"{hour_s}s", lifetime=f"{LIFETIME_H * hour_s}s")
                self.sync.append(host)
                lines = [f"StekRing default file={host.ring_path} secret={host.secret_path} poll=1s "
                         f"generate=off interval={hour_s}s lifetime={LIFETIME_H * hour_s}s",
                         f"StekMaxSessionAge {24 * hour_s}s"]
            else:
                # As generous as the module: as shipped it is 300 s.
                lines = [f"SSLSessionCacheTimeout {LIFETIME_H * hour_s}"]
            server = BenchHttpd(run.certs, module=module, address=f"127.0.0.{2 + i}", server=lines,
                                vhosts=[Vhost(NAME)], threads=32)
            server.port = self.port
            self.hosts.append(server)

    def start(self):
        for host in self.sync:
            host.start()
        for host in self.sync:
            wait_for(host.ring_path.exists, "the first ring", 20)
        for server in self.hosts:
            server.start()

    def cpu_s(self):
        return self.spent_s + sum(machine.tree_cpu_s(s.pid) for s in self.hosts if s.process)

    def sync_cpu_s(self):
        return sum(machine.own_cpu_s(host.process.pid) for host in self.sync)

    def reload(self):
        for server in self.hosts:
            server.graceful(drain=False)

    def restart_one(self, down_s):
        server = self.hosts[0]
        self.spent_s += machine.tree_cpu_s(server.pid)
        server.stop()
        time.sleep(down_s)
        server.start()

    def stop(self):
        for server in self.hosts:
            server.end()


def _replay(fleet_, plan, clients, start_ms):
    """[(client, host, outcome, age, hint, delay, all in ms)] of each visit."""
    text = "".join(f"{at} {client} {host}\n" for at, client, host in plan)
    done = subprocess.run([binary("tls_replay"), str(fleet_.port), NAME, str(clients),
                           str(len(fleet_.hosts)), str(start_ms)], input=text, capture_output=True,
                          text=True, check=True)
    return [(int(client), int(host), outcome, *map(int, times))
            for client, host, outcome, *times in map(str.split, done.stdout.splitlines())]


def _events(fleet_, start_s, hour_s, hours):
    """What happens to the hosts, at its hour."""
    reload_h, restart_h = (RELOAD_H, RESTART_H) if hours >= 24 else (hours / 3, hours / 2)
    for at_h, act in ((reload_h, fleet_.reload), (restart_h, lambda: fleet_.restart_one(DOWN_H * hour_s))):
        time.sleep(max(start_s + at_h * hour_s - time.time(), 0))
        act()


def _day(run, fleets, plan, clients, hour_s, hours):
    start_s = time.time() + 0.5
    before = {name: one.cpu_s() for name, one in fleets.items()}
    before_sync = {name: one.sync_cpu_s() for name, one in fleets.items()}
    seen, faults = {}, []

    def guarded(work, *args):
        def call():
            try:
                work(*args)
            except BaseException as fault:  # told by the main thread
                faults.append(fault)
        thread = threading.Thread(target=call)
        thread.start()
        return thread

    threads = [guarded(_events, one, start_s, hour_s, hours) for one in fleets.values()]
    threads += [guarded(lambda n=name, one=one: seen.update({n: _replay(one, plan, clients,
                                                                        round(start_s * 1000))}))
                for name, one in fleets.items()]
    while any(thread.is_alive() for thread in threads):
        threads[-1].join(10)
        run.say(f"hour {min((time.time() - start_s) / hour_s, hours):.1f} of {hours}")
        for thread in threads[:-1]:
            thread.join(0.01)
        if faults:
            break
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return seen, {name: (one.cpu_s() - before[name], one.sync_cpu_s() - before_sync[name])
                  for name, one in fleets.items()}


def _shares(visits, hour_s):
    """What became of those who came back with a ticket that was not over."""
    last, counts = {}, dict.fromkeys(("returning", "resumed", "lost", "expired", "failed",
                                      "shipped", "same", "same_resumed", "new"), 0)
    for client, host, outcome, age_ms, hint_ms, _ in visits:
        if outcome == "failed":
            counts["failed"] += 1
        elif outcome == "new":
            counts["new"] += 1
        elif outcome == "expired" or (outcome == "full" and age_ms > hint_ms - SECOND_MS):
            counts["expired"] += 1
        else:
            counts["returning"] += 1
            counts["resumed"] += outcome == "resumed"
            counts["lost"] += outcome == "full"
            counts["shipped"] += outcome == "resumed" and age_ms <= SHIPPED_H * hour_s * 1000
            if last.get(client) == host:
                counts["same"] += 1
                counts["same_resumed"] += outcome == "resumed"
        last[client] = host
    return counts


def _percent(part, whole):
    return f"{100 * part / whole:.2f} %" if whole else "-"


def _tell(run, part, seen, cpu, hour_s):
    rows, shares = [], {}
    for name, visits in seen.items():
        found = shares[name] = _shares(visits, hour_s)
        server_s, sync_s = cpu[name]
        rows.append([name, len(visits), found["returning"], _percent(found["resumed"], found["returning"]),
                     _percent(found["same_resumed"], found["same"]), found["lost"], found["expired"],
                     found["failed"], f"{server_s:.2f}", f"{1000 * server_s / max(len(visits), 1):.3f}",
                     f"{sync_s:.2f}"])
        late_ms = max([visit[-1] for visit in visits], default=0)
        if late_ms > 1000 * hour_s:
            run.say(f"{name}: the machine is too slow for this day: visits up to {late_ms / 1000:.1f} s late")
        part.raw[name] = dict(found, late_ms=late_ms, visits=len(visits), cpu_s=server_s, sync_cpu_s=sync_s)
    part.table("The day", ["", "visits", "with a valid ticket", "resumed", "of those to the same host",
                           "lost", "expired", "failed", "CPU s", "ms a visit", "stekctl sync, CPU s"], rows)
    module, stock = shares["module"], shares["stock"]
    part.table("Stock tickets with their life as shipped (300 s) instead of the module's 18 h",
               ["", "resumed"], [["stock", _percent(stock["shipped"], stock["returning"])]])
    part.chart("Returning clients with a valid ticket that resume", "%",
               [(name, Sample([100 * found["resumed"] / max(found["returning"], 1)]))
                for name, found in shares.items()])
    part.chart("CPU of a visit, reload and restart included", "ms",
               [(name, Sample([1000 * cpu[name][0] / max(len(seen[name]), 1)])) for name in seen])
    part.goal("no loss but by expiry", f"{module['lost']} of {module['returning']} lost, "
              f"{module['failed']} connections failed (stock {stock['failed']})", module["lost"] == 0)


def measure(run):
    part = Part()
    hour_s, hours = run.pick(5, 1, 1), run.pick(24, 24, 3)
    clients, hosts = run.pick(2000, 300, 20), run.pick(5, 5, 2)
    plan = make_plan(clients, hosts, hours, hour_s, seed=int.from_bytes(os.urandom(4), "big"))
    shared = fleet.Fleet(run.certs)
    fleets = {}
    try:
        shared.store()
        for name, module in (("module", True), ("stock", False)):
            fleets[name] = Fleet(run, module, hosts, hour_s, shared)
            fleets[name].start()
        run.say(f"{hosts} hosts of each kind are up; {len(plan)} visits of {clients} clients")
        seen, cpu = _day(run, fleets, plan, clients, hour_s, hours)
    finally:
        for one in fleets.values():
            one.stop()
        shared.close()
    _tell(run, part, seen, cpu, hour_s)
    _lifetimes(run, part)
    return part
