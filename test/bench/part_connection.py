# SPDX-License-Identifier: Apache-2.0
"""Whole connections, counted: instructions of `httpd -X` under callgrind, with this module and without.

A connection costs what 160 of them cost more than 40, divided by 120: httpd's start and end fall out.
Counts hardly differ from run to run, where times on a shared machine do.

A child of prefork has one thread without the module, and two with it: a third httpd has no module but a
second thread that does nothing (idle_thread.c), and shows how much of the difference that is."""
import os
import shutil
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpd
from httpd import Vhost, wait_for
from report import Part
from servers import BenchHttpd

LIMIT = 1.005
CELLS = [(version, mode) for version in ("1.2", "1.3") for mode in ("full", "resumed")]
# A ticket has its SNI name in it, and SHA-256 takes blocks of 64 bytes: names of eight lengths, over a
# whole block, take turns, so that no chance of length decides.
NAMES = ["a" * length + ".test" for length in range(1, 64, 8)]
OWN = "mod_stek_rotate.so"
IDLE_THREAD = httpd.TOP / "out" / "bench" / "idle_thread.so"
WITH, WITHOUT, WITH_THREAD = True, False, "thread"
NAMED = {WITH: "module", WITHOUT: "none", WITH_THREAD: "none, idle thread"}


def make_server(run, mpm, kind):
    module = kind is WITH
    vhost = Vhost(NAMES[0], [f"ServerAlias {' '.join(NAMES[1:])}"])
    # What a poll of the ring costs depends on the time that a run takes, not on connections.
    server = BenchHttpd(run.certs, module=module, mpm=mpm, vhosts=[vhost],
                        server=["StekRing default poll=1h"] if module else [],
                        # When malloc merges what lies in its fast bins depends on addresses.
                        env={"GLIBC_TUNABLES": "glibc.malloc.mxfast=0"})
    if kind is WITH_THREAD:
        server.env["LD_PRELOAD"] = str(IDLE_THREAD)
    out = server.root / "callgrind"
    server.under = ["valgrind", "--tool=callgrind", "--quiet", "--compress-strings=no",
                    "--compress-pos=no", f"--callgrind-out-file={out}"]
    return server, out


def _requests(server, version, mode, n):
    sessions = {}
    if mode == "resumed":
        sessions = {name: server.get(name, tls=version).session for name in NAMES}
    for number in range(n):
        name = NAMES[number % len(NAMES)]
        reply = server.get(name, tls=version, session=sessions.get(name))
        if reply.status != 200 or reply.resumed != (mode == "resumed"):
            raise RuntimeError(f"TLS {version}, {mode}: {reply.status}, resumed: {reply.resumed}")
        if mode == "resumed":
            sessions[name] = reply.session


def _let_rest(pid):
    """A prefork that is told to end while it closes a connection may crash, in mod_ssl."""
    wait_for(lambda: all(httpd.state(pid) == "S" and not time.sleep(0.02) for _ in range(10)),
             "httpd to have nothing to do", 20)


def _count(made, cell, n):
    """{(object, function): instructions} of a server that answered so many connections."""
    server, out = made
    try:
        server.start("-X")
        if os.geteuid() == 0:
            shutil.chown(out, httpd.RUN_AS)  # made by root, written at the end by httpd's user
        _requests(server, *cell, n)
        _let_rest(server.pid)
        server.stop()
        costs = _self_costs(out)
        if not costs:
            raise RuntimeError(f"TLS {cell[0]}, {cell[1]}: httpd ended without a count: {server.tail()}")
        return costs
    finally:
        server.end()


def _self_costs(path):
    """What callgrind wrote (its manual, "Callgrind Format Specification"): instructions of each function,
    without those of what it calls."""
    costs, ob, fn, is_call = defaultdict(int), "", "", False
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("ob="):
            ob = Path(line[3:]).name
        elif line.startswith("fn="):
            fn = line[3:]
        elif line.startswith("calls="):
            is_call = True  # the next line is what was called
        elif line[:1].isdigit():
            if not is_call:
                costs[ob, fn] += sum(map(int, line.split()[1:]))
            is_call = False
    return costs


def slopes(run, mpm, few, many, kinds=(WITH, WITHOUT)):
    """{(cell, kind): {(object, function): instructions of a connection}}."""
    jobs = [(cell, kind, n) for cell in CELLS for kind in kinds for n in (few, many)]
    made = [make_server(run, mpm, kind) for _, kind, _ in jobs]  # one after the other: ports
    with ThreadPoolExecutor(2) as pool:
        counts = dict(zip(jobs, pool.map(lambda i: _count(made[i], jobs[i][0], jobs[i][2]),
                                         range(len(jobs)))))
    return {(cell, kind): {key: (cost - counts[cell, kind, few].get(key, 0)) / (many - few)
                           for key, cost in counts[cell, kind, many].items()}
            for cell in CELLS for kind in kinds}


def _by_object(costs):
    found = Counter()
    for (ob, _fn), cost in costs.items():
        found[ob] += cost
    return found


def _title(cell):
    return f"TLS {cell[0]}, {cell[1]}"


def _beside_a_thread(base, threaded, whole):
    return f"{threaded - base:+,.0f}", f"{whole - threaded:+,.0f}", f"{whole / threaded:.4f}"


def _tables(part, mpm, found):
    rows, where, own, threads = [], [], [], []
    for cell in CELLS:
        ours, none = found[cell, WITH], found[cell, WITHOUT]
        whole, base = sum(ours.values()), sum(none.values())
        rows.append([_title(cell), f"{base:,.0f}", f"{whole:,.0f}", f"{whole - base:+,.0f}",
                     f"{whole / base:.4f}"])
        if (cell, WITH_THREAD) in found:
            threads.append([_title(cell), *_beside_a_thread(base, sum(found[cell, WITH_THREAD].values()), whole)])
        part.goal(f"{mpm}, {_title(cell)}: at most {LIMIT} x the instructions without the module",
                  f"{whole / base:.4f}", whole <= LIMIT * base)
        more = Counter(_by_object(ours))
        more.subtract(_by_object(none))
        where.append([_title(cell)] + [f"{more[ob]:+,.0f}" for ob in OBJECTS]
                     + [f"{sum(more.values()) - sum(more[ob] for ob in OBJECTS):+,.0f}"])
        own += [[_title(cell), fn, f"{cost:,.0f}"] for (ob, fn), cost in
                sorted(ours.items(), key=lambda item: -item[1]) if ob == OWN][:6]
    part.table(f"Instructions of a connection with one request, {mpm}",
               ["", "without", "with", "more", "x without"], rows)
    if threads:
        part.table(f"Of that, a second thread, {mpm}",
                   ["", "more by an idle thread", "more by the module beside one", "x without, beside one"],
                   threads)
    part.table(f"Where they go: more than without, {mpm}", [""] + [NAME_OF[ob] for ob in OBJECTS] + ["others"],
               where)
    if any(own):
        part.table(f"Most of the module's own, {mpm}", ["", "function", "instructions"], own)


NAME_OF = {OWN: "module", "libcrypto.so.3": "libcrypto", "libssl.so.3": "libssl", "libc.so.6": "libc",
           "libapr-1.so.0.7.2": "APR"}
OBJECTS = list(NAME_OF)


def measure(run):
    part = Part()
    few, many = run.pick((40, 160), (16, 48), (8, 16))
    for mpm in run.pick(("event", "prefork"), ("event",), ("prefork",)):
        kinds = (WITH, WITHOUT) + ((WITH_THREAD,) if mpm == "prefork" and run.size != "smoke" else ())
        run.say(f"{mpm}: {2 * len(kinds) * len(CELLS)} runs of httpd under callgrind")
        found = slopes(run, mpm, few, many, kinds)
        _tables(part, mpm, found)
        part.raw[mpm] = {f"{_title(cell)}, {NAMED[kind]}": sum(costs.values())
                         for (cell, kind), costs in found.items()}
    return part
