# SPDX-License-Identifier: Apache-2.0
"""Whole connections, counted: instructions of `httpd -X` under callgrind, with this module and without.

A connection costs what 160 of them cost more than 40, divided by 120: start and end of httpd fall out.
Counts are the same from run to run, where times on a shared machine are not."""
import os
import shutil
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpd
import tls
from report import Part
from servers import NAME, BenchHttpd

LIMIT = 1.005
CELLS = [(version, mode) for version in ("1.2", "1.3") for mode in ("full", "resumed")]
MPM = "event"
FEW, MANY = 40, 160


def _requests(server, version, mode, n):
    session = None
    for number in range(n):
        reply = server.get(NAME, tls=version, session=session)
        assert reply.status == 200 and reply.resumed == (session is not None), (version, mode, number)
        session = reply.session if mode == "resumed" else None


def _count(run, cell, module, n):
    """{(object, function): instructions} of a server that answered so many connections."""
    version, mode = cell
    # One process and one thread that serves.  What a poll of the ring costs depends on time alone.
    server = BenchHttpd(run.certs, module=module, mpm=MPM,
                        server=["StekRing default poll=1h"] if module else [])
    out = server.root / "callgrind"
    server.under = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no",
                    "--compress-pos=no", "-q"]
    try:
        server.start("-X")
        if os.geteuid() == 0:
            shutil.chown(out, httpd.RUN_AS)  # made by root, written at the end by httpd's user
        _requests(server, version, mode, n)
        server.stop()
        return _self_costs(out)
    finally:
        server.end()


def _self_costs(path):
    """What callgrind wrote: the instructions of each function itself."""
    costs, ob, fn, skip = defaultdict(int), "", "", False
    for line in path.read_text(errors="replace").splitlines():
        if line.startswith("ob="):
            ob = Path(line[3:]).name
        elif line.startswith("fn="):
            fn = line[3:]
        elif line.startswith("calls="):
            skip = True  # the next line is the callee's
        elif line[:1].isdigit() or line[:1] in "+-*":
            if not skip:
                costs[ob, fn] += sum(map(int, line.split()[1:]))
            skip = False
    return costs
