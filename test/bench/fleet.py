#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs fleet_bench against a memcached of its own and prints a table.  Usage: fleet.py PROGRAM [HOSTS]"""
import json
import socket
import subprocess
import sys
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(program, hosts, interval_s, lifetime_s, rotations):
    port = free_port()
    store = subprocess.Popen(["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(port), "-U", "0",
                              "-c", str(hosts + 100), "-t", "2"], stdin=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        words = [program, port, hosts, interval_s, lifetime_s, rotations]
        # Each host has a connection.
        limited = f"ulimit -n {hosts + 200} && exec \"$@\""
        done = subprocess.run(["bash", "-c", limited, "bash", *map(str, words)], stdout=subprocess.PIPE,
                              check=True)
        with open(f"/proc/{store.pid}/stat") as file:
            ticks = sum(map(int, file.read().rpartition(")")[2].split()[11:13]))
        return dict(json.loads(done.stdout), store_cpu_s=ticks / 100)
    finally:
        store.kill()
        store.wait()


def main():
    program, hosts = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    rows = [(hosts, 3600, 18 * 3600, 3), (max(hosts // 10, 2), 300, 7 * 86400, 1)]
    for row in rows:
        print(json.dumps(run(program, *row), indent=1), flush=True)


if __name__ == "__main__":
    main()
