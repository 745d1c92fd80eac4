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
NAMES = {"seal": "issue a ticket", "open": "accept one", "tls1.2": "TLS 1.2, resumed",
         "tls1.3": "TLS 1.3, resumed"}


def _label(subject):
    who, keys = subject
    return {"builtin": "OpenSSL's built-in keys", "static": "static-key callback"}.get(
        who, f"module, ring of {keys:,}")


def _nanoseconds(op, subject, n):
    done = subprocess.run([binary("ticket_cost"), op, subject[0], str(subject[1]), str(n)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["ns"]


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


def _count(run, ops, subjects, n):
    """{(op, subject, function): instructions}: of all of it, and of the callbacks alone."""
    jobs = [(op, subject, function) for op in ops for subject in subjects
            for function in ("measured*", "callback_*")]
    run.say(f"instructions: {len(jobs)} runs under callgrind")
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(jobs, pool.map(lambda job: _instructions(job[0], job[1], n, job[2]), jobs)))


def _tables(part, op, subjects, ns, counts):
    rows, bars = [], []
    for subject in subjects:
        sample, ratio = Sample(ns[op, subject]), paired(ns[op, subject], ns[op, STATIC])
        row = [_label(subject), sample.text(), ratio.text(3)]
        for function in ("callback_*", "measured*") if counts else ():
            count, base = counts[op, subject, function], counts[op, STATIC, function]
            row += [f"{count:,.0f}", f"{count / base:.3f}"]
        rows.append(row)
        bars.append((_label(subject), ratio))
    columns = ["", "ns", "x static"]
    if counts:
        columns += ["instr., callbacks", "x static", "instr., all", "x static"]
    part.table(f"Ticket: {NAMES[op]}", columns, rows)
    part.chart(f"Time to {NAMES[op]}", "x static-key callback", bars, 1)


def _goals(part, subjects, ns, counts):
    for keys, limit in ((20, 1.0), (4000, 1.1)):
        subject = ("module", keys)
        if subject not in subjects:
            continue
        for op in ("seal", "open"):
            ratio = paired(ns[op, subject], ns[op, STATIC])
            text, reached = f"{ratio.text(3)} in time", at_most(ratio, limit)
            if counts:
                ratios = [counts[op, subject, name] / counts[op, STATIC, name]
                          for name in ("callback_*", "measured*")]
                text += f"; instructions {ratios[0]:.3f} (callbacks), {ratios[1]:.3f} (all)"
            part.goal(f"{NAMES[op]}, ring of {keys:,}: at most {limit}x the static callback", text,
                      reached)


def measure(run):
    part = Part()
    subjects = [BUILTIN, STATIC] + [("module", keys) for keys in run.pick(RINGS, RINGS, (20,))]
    ops = ["seal", "open"]
    ns = _time(run, ops, subjects, run.pick(15, 5, 1), run.pick(50000, 20000, 500))
    counts = _count(run, ops, subjects, run.pick(512, 256, 0)) if run.size != "smoke" else {}
    for op in ops:
        _tables(part, op, subjects, ns, counts)
    _goals(part, subjects, ns, counts)
    pair = [BUILTIN, ("module", 20)]
    whole = _time(run, ["tls1.2", "tls1.3"], pair, run.pick(9, 3, 1), run.pick(2000, 500, 20))
    rows = [[NAMES[op], Sample(whole[op, pair[0]]).text(), Sample(whole[op, pair[1]]).text(),
             paired(whole[op, pair[1]], whole[op, pair[0]]).text(3)] for op in ("tls1.2", "tls1.3")]
    part.table("Whole handshakes, client and server in one process",
               ["", "ns, built-in keys", "ns, module, ring of 20", "x built-in"], rows)
    part.raw = {"ns": {f"{op} {_label(s)}": v for (op, s), v in {**ns, **whole}.items()},
                "instructions": {f"{op} {_label(s)} {f}": v for (op, s, f), v in counts.items()}}
    return part
