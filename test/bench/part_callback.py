# SPDX-License-Identifier: Apache-2.0
"""What a ticket costs: this module beside OpenSSL's built-in keys and a static-key callback."""
import json
import random
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from report import Part, Sample, at_most, paired
from servers import binary

STATIC, BUILTIN = ("static", 1), ("builtin", 1)
RINGS = (1, 20, 1000, 4000)
OPS = ("seal", "open")
# What is counted, and the functions of ticket_cost that callgrind counts for it.
SCOPES = {"callbacks": "callback_*", "all": "measured*"}
NAMES = {"seal": "issue a ticket", "open": "accept a ticket", "tls1.2": "TLS 1.2, resumed",
         "tls1.3": "TLS 1.3, resumed"}


def _label(subject):
    who, keys = subject
    return {"builtin": "OpenSSL's built-in keys", "static": "static-key callback"}.get(
        who, f"module, ring of {keys:,}")


def _nanoseconds(op, subject, n):
    """(of all of it, in the callbacks alone); the latter for seal and open."""
    done = subprocess.run([binary("ticket_cost"), op, subject[0], str(subject[1]), str(n)]
                          + ["clocked"] * (op in OPS), capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    return {"all": seen["ns"], "callbacks": seen.get("callback_ns")}


def _instructions(op, subject, n, function):
    done = subprocess.run(["valgrind", "--tool=callgrind", f"--toggle-collect={function}",
                           "--callgrind-out-file=/dev/null", binary("ticket_cost"), op, subject[0],
                           str(subject[1]), str(n)], capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1)) / n


def _time(run, ops, subjects, rounds, n):
    """{(op, subject): [ns of each round]}; each round in another order."""
    found = {(op, subject): [] for op in ops for subject in subjects}
    for number in range(rounds):
        for op in random.sample(ops, len(ops)):
            for subject in random.sample(subjects, len(subjects)):
                found[op, subject].append(_nanoseconds(op, subject, n))
        if rounds > 1:
            run.say(f"nanoseconds: round {number + 1} of {rounds}")
    return found


def _count(run, subjects, n):
    """{(op, subject, scope): instructions}."""
    jobs = [(op, subject, scope) for op in OPS for subject in subjects for scope in SCOPES]
    run.say(f"instructions: {len(jobs)} runs under callgrind")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(jobs, pool.map(lambda job: _instructions(*job[:2], n, SCOPES[job[2]]), jobs)))


def _of(ns, op, subject, scope):
    return [one[scope] for one in ns[op, subject]]


def _ratio(ns, op, subject, scope):
    return paired(_of(ns, op, subject, scope), _of(ns, op, STATIC, scope))


def _table(part, op, scope, subjects, ns, counts):
    rows, bars = [], []
    for subject in subjects:
        ratio = _ratio(ns, op, subject, scope)
        row = [_label(subject), Sample(_of(ns, op, subject, scope)).text(), ratio.text(3)]
        if counts:
            count, base = counts[op, subject, scope], counts[op, STATIC, scope]
            row += [f"{count:,.0f}", f"{count / base:.3f}"]
        rows.append(row)
        bars.append((_label(subject), ratio))
    what = "callbacks alone" if scope == "callbacks" else "with contexts, AES and HMAC"
    part.table(f"To {NAMES[op]}, {what}",
               ["", "ns", "x static"] + (["instructions", "x static"] if counts else []), rows)
    part.chart(f"To {NAMES[op]}, {what}", "time, x static-key callback", bars, 1)


def _goals(part, subjects, ns, counts):
    for keys, limit in ((20, 1.0), (4000, 1.1)):
        subject = ("module", keys)
        for op in OPS if subject in subjects else ():
            for scope in SCOPES:
                ratio = _ratio(ns, op, subject, scope)
                text = f"time {ratio.text(3)}"
                if counts:
                    text += f", instructions {counts[op, subject, scope] / counts[op, STATIC, scope]:.3f}"
                part.goal(f"to {NAMES[op]} ({scope}), ring of {keys:,}: at most {limit}x static", text,
                          at_most(ratio, limit))


def measure(run):
    part = Part()
    subjects = [BUILTIN, STATIC] + [("module", keys) for keys in run.pick(RINGS, (20, 4000), (20,))]
    ns = _time(run, OPS, subjects, run.pick(15, 5, 1), run.pick(50000, 20000, 500))
    counts = _count(run, subjects, run.pick(512, 128, 0)) if run.size != "smoke" else {}
    for op in OPS:
        for scope in SCOPES:
            _table(part, op, scope, subjects, ns, counts)
    _goals(part, subjects, ns, counts)
    pair = [BUILTIN, ("module", 20)]
    whole = _time(run, ("tls1.2", "tls1.3"), pair, run.pick(9, 3, 1), run.pick(2000, 500, 20))
    rows = []
    for op in ("tls1.2", "tls1.3"):
        builtin, ours = (_of(whole, op, subject, "all") for subject in pair)
        rows.append([NAMES[op], Sample(builtin).text(), Sample(ours).text(), paired(ours, builtin).text(3)])
    part.table("Whole handshakes, client and server in one process",
               ["", "ns, built-in keys", "ns, module, ring of 20", "x built-in"], rows)
    part.raw = {"ns": {f"{op} {_label(s)}": v for (op, s), v in {**ns, **whole}.items()},
                "instructions": {f"{op} {_label(s)} {scope}": v for (op, s, scope), v in counts.items()}}
    return part
