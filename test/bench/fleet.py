#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a fleet costs.  First the cycle's logic for many hosts in one process, by fleet_bench in compressed time;
then what really runs on a host: stekctl sync with its workers, ring, lock and state file, by 1, 2 and 3
stores.  Every store is a memcached of this script's own.  Usage: fleet.py PROGRAM HOSTS
[STEKCTL]; without STEKCTL only the first part."""
import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVERY_S, MEASURED_S = 1, 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def memcached(connections):
    """(process, port)"""
    port = free_port()
    store = subprocess.Popen(["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0",
                              "-c", str(connections), "-t", "2"], stdin=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield store, port
    finally:
        store.kill()
        store.wait()


def model(program, hosts, interval_s, lifetime_s, rotations):
    with memcached(hosts + 100) as (store, port):
        words = [program, port, hosts, interval_s, lifetime_s, rotations]
        # Each host has a connection.
        limited = f"ulimit -n {hosts + 200} && exec \"$@\""
        done = subprocess.run(["bash", "-c", limited, "bash", *map(str, words)], stdout=subprocess.PIPE,
                              check=True)
        with open(f"/proc/{store.pid}/stat") as file:
            ticks = sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        return dict(json.loads(done.stdout), store_cpu_s=ticks / 100)


def family(pid):
    """The process and its workers."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def cpu_ms(pid):
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def rss_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def reads(port):
    """So many has the store answered: one in every cycle."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"stats\r\n")
        got = b""
        while not got.endswith(b"END\r\n"):
            got += sock.recv(65536)
    return int(re.search(rb"STAT cmd_get (\d+)", got).group(1))


def real(stekctl, stores_n, lifetime):
    """CPU per cycle and memory of stekctl sync as it runs on a host, keys of a lifetime in its ring."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(
            dir="/dev/shm" if os.path.isdir("/dev/shm") else None)))
        ports = [stack.enter_context(memcached(100))[1] for _ in range(stores_n)]
        subprocess.run([stekctl, "--secret", folder / "fleet", "secret", "new", "--fleet"], check=True,
                       stdout=subprocess.DEVNULL)
        words = [word for port in ports for word in ("--store", f"memcached://127.0.0.1:{port}")]
        sync = subprocess.Popen([stekctl, "--ring", folder / "ring", "sync", *words, "--fleet-secret",
                                 folder / "fleet", "--every", f"{EVERY_S}s", "--interval", "1h", "--lifetime",
                                 lifetime], stderr=subprocess.DEVNULL)
        stack.callback(sync.wait)
        stack.callback(sync.terminate)
        while len(family(sync.pid)) < 1 + stores_n or reads(ports[0]) < 3:
            time.sleep(0.1)
        before, first = {pid: cpu_ms(pid) for pid in family(sync.pid)}, reads(ports[0])
        time.sleep(MEASURED_S)
        after, n = {pid: cpu_ms(pid) for pid in before}, reads(ports[0]) - first
        workers = [pid for pid in before if pid != sync.pid]
        spent = {pid: (after[pid] - before[pid]) / n for pid in before}
        return {"stores": stores_n, "lifetime": lifetime, "cycles": n,
                "cpu_ms_per_cycle": round(sum(spent.values()), 3),
                "of_it_workers_ms": round(sum(spent[pid] for pid in workers), 3),
                "rss_mib": round(rss_mib(sync.pid), 1),
                "rss_mib_per_worker": round(statistics.mean(map(rss_mib, workers)), 1)}


def main():
    program, hosts, stekctl = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    rows = [(hosts, 3600, 18 * 3600, 3), (max(hosts // 10, 2), 300, 7 * 86400, 1)]
    for row in rows:
        print(json.dumps(model(program, *row), indent=1), flush=True)
    for stores_n, lifetime in ((1, "18h"), (2, "18h"), (3, "18h"), (1, "7d")) if stekctl else ():
        print(json.dumps(real(*stekctl, stores_n, lifetime)), flush=True)


if __name__ == "__main__":
    main()
