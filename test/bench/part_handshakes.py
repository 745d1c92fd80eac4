# SPDX-License-Identifier: Apache-2.0
"""Handshakes per second over real servers, and the server's CPU time for each."""
import json
import random
import subprocess

import machine
from report import Part, Sample, at_least, at_most, paired
from servers import NAME, Haproxy, Nginx, OwnHttpd, binary

STOCK, HOUR, SECOND = "httpd, built-in keys", "module, 1 h", "module, 1 s"
CONNECTIONS = 16
# Where keys change every second: handshakes that begin so soon after are told apart.
EVERY_MS, WINDOW_MS = 1000, 200


def _start(run):
    subjects = {
        HOUR: OwnHttpd(run.certs, True),
        SECOND: OwnHttpd(run.certs, True, ["StekRing default interval=1s lifetime=600s poll=1s"]),
        STOCK: OwnHttpd(run.certs, False),
        "nginx, static key": Nginx(run.certs),
        "HAProxy, static key": Haproxy(run.certs),
    }
    for subject in subjects.values():
        subject.start()
    return subjects


def _load(subject, cell, seconds):
    """One slice of load on a server: what the client saw, and the server's CPU time."""
    version, cert, mode = cell
    pids = subject.pids()
    before = machine.tasks_cpu_s(pids)
    done = subprocess.run([binary("tls_load"), str(subject.port(cert)), NAME, version, mode,
                           str(CONNECTIONS), str(seconds), str(EVERY_MS), str(WINDOW_MS)],
                          capture_output=True, text=True, check=True, timeout=seconds + 60)
    seen = json.loads(done.stdout)
    if not seen["handshakes"]:
        raise RuntimeError(f"no handshake succeeded: {cell} {done.stderr}")
    # The first handshake of each connection fetches its ticket and is not counted by the client.
    seen["cpu_us"] = ((machine.tasks_cpu_s(pids) - before) * 1e6
                      / max(seen["handshakes"] + CONNECTIONS, 1))
    seen["per_s"] = seen["handshakes"] / seen["seconds"]
    return seen


def _rounds(run, subjects, names, cells, rounds, seconds, found, what):
    for number in range(rounds):
        for cell in random.sample(cells, len(cells)):
            for name in random.sample(names, len(names)):
                found.setdefault((name, cell), []).append(_load(subjects[name], cell, seconds))
        run.say(f"{what}: round {number + 1} of {rounds}")


def _of(found, name, cell, field):
    return [seen[field] for seen in found[name, cell]]


def _table(part, names, cell, found):
    version, cert, mode = cell
    rows = []
    for name in names:
        seen = found[name, cell]
        n = len(found[STOCK, cell])
        resumed = sum(s["resumed"] for s in seen) / max(sum(s["handshakes"] for s in seen), 1)
        rows.append([name, Sample(_of(found, name, cell, "per_s")).text(),
                     paired(_of(found, name, cell, "per_s")[:n], _of(found, STOCK, cell, "per_s")).text(3),
                     Sample(_of(found, name, cell, "cpu_us")).text(),
                     paired(_of(found, name, cell, "cpu_us")[:n],
                            _of(found, STOCK, cell, "cpu_us")).text(3),
                     Sample(s["all"]["p99_us"] / 1000 for s in seen if s["all"]["n"]).text(1),
                     f"{100 * resumed:.1f} %", sum(s["failed"] for s in seen)])
    kind = "resumed" if mode == "resume" else "full"
    part.table(f"TLS {version}, {cert}, {kind}",
               ["", "per second", "x stock", "CPU us", "x stock", "p99 ms", "resumed", "failed"], rows)
    part.chart(f"TLS {version}, {cert}, {kind}", "handshakes per second",
               [(name, Sample(_of(found, name, cell, "per_s"))) for name in names])


def _goals(part, cells, found):
    resumed = [cell for cell in cells if cell[2] == "resume"]
    for title, one, other in (("resumed within 1 % of stock's built-in keys", HOUR, STOCK),
                              ("1 s rotation within 1 % of 1 h", SECOND, HOUR)):
        for field, what in (("per_s", "per second"), ("cpu_us", "CPU time")):
            for cell in resumed:
                ratio = paired(_of(found, one, cell, field), _of(found, other, cell, field))
                reached = at_least(ratio, 0.99) if field == "per_s" else at_most(ratio, 1.01)
                part.goal(f"TLS {cell[0]}, {cell[1]}, {title}, {what}", ratio.text(3), reached)


def _tail(part, cells, found):
    """p99 right after a key change, and else; stock, where nothing changes, as a control."""
    rows = []
    for cell in cells:
        if cell[2] != "resume":
            continue
        texts, ratios = [], {}
        for name in (SECOND, STOCK):
            both = [(s["in"]["p99_us"] / 1000, s["out"]["p99_us"] / 1000) for s in found[name, cell]
                    if s["in"]["n"] >= 20 and s["out"]["n"] >= 20]
            if not both:
                return
            ratios[name] = paired([a for a, _ in both], [b for _, b in both])
            texts += [Sample(a for a, _ in both).text(1), Sample(b for _, b in both).text(1),
                      ratios[name].text(2)]
        rows.append([f"TLS {cell[0]}, {cell[1]}"] + texts)
        part.goal(f"TLS {cell[0]}, {cell[1]}, p99 right after a rotation as otherwise",
                  f"{ratios[SECOND].text(2)}; stock, where nothing rotates: {ratios[STOCK].text(2)}",
                  at_most(ratios[SECOND], max(1.0, ratios[STOCK].median)))
    part.table(f"p99 in ms of handshakes that begin within {WINDOW_MS} ms after a full second, and of "
               "the others", ["", f"{SECOND}: in", "out", "in/out", "stock: in", "out", "in/out"], rows)


def measure(run):
    part, found = Part(), {}
    versions, certs = run.pick((("1.2", "1.3"), ("P-256", "RSA")), (("1.2", "1.3"), ("P-256",)),
                               (("1.3",), ("P-256",)))
    cells = [(version, cert, mode) for version in versions for cert in certs
             for mode in ("full", "resume")]
    resumed = [cell for cell in cells if cell[2] == "resume"]
    seconds = run.pick(1.0, 0.5, 0.1)
    subjects = _start(run)
    try:
        _rounds(run, subjects, list(subjects), cells, run.pick(5, 2, 1), seconds, found, "all servers")
        _rounds(run, subjects, [HOUR, SECOND, STOCK], resumed, run.pick(10, 2, 0), seconds, found,
                "resumed, httpd only")
    finally:
        for subject in subjects.values():
            subject.stop()
    for cell in cells:
        _table(part, list(subjects), cell, found)
    _goals(part, cells, found)
    _tail(part, cells, found)
    part.raw = {f"{name}, TLS {' '.join(cell)}": seen for (name, cell), seen in found.items()}
    return part
