# SPDX-License-Identifier: Apache-2.0
"""Many virtual hosts, many children, many keys."""
import json
import random
import subprocess
import time

import machine
from httpd import wait_for
from report import Part, Sample, at_most, paired
from servers import BenchHttpd, binary, settle, vhosts

WHO = {True: "module", False: "httpd without it"}


def _start_up(run, n, module):
    server = BenchHttpd(run.certs, module=module, vhosts=vhosts(n))
    try:
        began = time.monotonic()
        server.start()
        # The parent alone: it reads the configuration, twice; the first child is up by now.
        found = {"cpu_s": machine.own_cpu_s(server.pid), "wall_s": time.monotonic() - began,
                 "memory_mb": machine.memory_mb(machine.family(server.pid))}
    finally:
        server.end()
    run.say(f"{n:,} vhosts, {WHO[module]}: {found['cpu_s']:.2f} s of CPU, {found['memory_mb']:.0f} MB")
    return found


def _vhosts(run, part):
    n, rounds = run.pick((10000, 2), (1000, 2), (5, 1))
    found = {True: [], False: []}
    for _ in range(rounds):
        for module in random.sample([True, False], 2):
            found[module].append(_start_up(run, n, module))
    rows = []
    for field, unit in (("cpu_s", "s of CPU"), ("wall_s", "s, wall"), ("memory_mb", "MB, all processes")):
        ours, stock = ([one[field] for one in found[module]] for module in (True, False))
        ratio = paired(ours, stock)
        rows.append([f"start-up, {unit}" if field != "memory_mb" else f"memory, {unit}",
                     Sample(stock).text(2), Sample(ours).text(2), ratio.text(3)])
        if field != "wall_s":
            part.goal(f"{n:,} vhosts: {unit} within 5 % of httpd without the module", ratio.text(3),
                      at_most(ratio, 1.05))
    part.table(f"{n:,} vhosts", ["", "httpd without it", "module", "ratio"], rows)
    part.raw["vhosts"] = {WHO[module]: ones for module, ones in found.items()}


def _idle_children(run, n, window_s, module):
    """(CPU share, wake-ups a second and child) of a prefork server that nobody visits."""
    server = BenchHttpd(run.certs, module=module, mpm="prefork", vhosts=vhosts(1))
    server.mpm_lines = [f"StartServers {n}", f"ServerLimit {n}", f"MaxRequestWorkers {n}",
                        f"MinSpareServers {max(n - 6, 1)}", f"MaxSpareServers {n}"]
    try:
        server.start()
        wait_for(lambda: len(server.children()) == n, f"{n} children", 120)
        settle(server, run.pick(1, 1, 0.2))
        pids = server.children()
        before, woken, began = machine.tasks_cpu_s(pids), machine.wake_ups(pids), time.monotonic()
        wait_for(lambda: time.monotonic() >= began + window_s, "the window", window_s + 60, 0.2)
        took = time.monotonic() - began
        return ((machine.tasks_cpu_s(pids) - before) / took,
                (machine.wake_ups(pids) - woken) / took / n)
    finally:
        server.end()


def _children(run, part):
    n, window_s = run.pick((256, 20), (64, 10), (4, 0.3))
    found = {module: _idle_children(run, n, window_s, module) for module in (False, True)}
    rows = [[WHO[module], f"{100 * cpu:.3f} %", f"{woken:.2f}"] for module, (cpu, woken) in found.items()]
    part.table(f"{n} idle prefork children, poll=5s", ["", "of a core", "wake-ups a second and child"],
               rows)
    part.raw["children"] = {WHO[module]: values for module, values in found.items()}
    run.say(f"{n} prefork children: {100 * found[True][0]:.3f} % of a core")


def _ring(run, part):
    rows = []
    for keys in (20, 1000, 4096):
        done = subprocess.run([binary("ring_cost"), str(keys), str(run.pick(200, 50, 5))],
                              capture_output=True, text=True, check=True)
        seen = json.loads(done.stdout)
        rows.append([f"{keys:,} keys", f"{seen['bytes'] / 1000:.1f}", f"{seen['open_ms']:.3f}",
                     f"{seen['merge_ms']:.3f}"])
        part.raw[f"ring of {keys}"] = seen
    part.table("A child takes a changed ring: CPU", ["", "kB", "open and audit, ms", "merge, ms"], rows)


def measure(run):
    part = Part()
    _ring(run, part)
    _children(run, part)
    _vhosts(run, part)
    return part
