# SPDX-License-Identifier: Apache-2.0
"""Many children, many virtual hosts, many keys."""
import itertools
import os
import time

import pytest

from checks import fixed_ring, issued_now, lines
from httpd import Vhost, wait_for
import ringfile


def wake_ups(pids):
    """Voluntary context switches of all threads."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as file:
                total += next(int(line.split()[1]) for line in file
                              if line.startswith("voluntary_ctxt_switches"))
    return total


@pytest.mark.timeout(120)
def test_256_idle_prefork_children_wake_at_most_twice_a_poll(httpd):
    children, poll, window = 256, 5, 15
    server = httpd(mpm="prefork")
    server.expect("AH00045")  # on a busy machine, so many are not stopped in an instant
    server.mpm_lines = [f"StartServers {children}", f"ServerLimit {children}",
                        f"MaxRequestWorkers {children}", "MinSpareServers 250",
                        f"MaxSpareServers {children}"]
    server.start()
    issued_now(server)
    wait_for(lambda: len(server.children()) == children, "256 children", 30)
    settled = [0, -1]

    def quiet():  # start-up is over once a second brings few switches
        settled[:] = [wake_ups(server.children()), settled[0]]
        return 0 <= settled[0] - settled[1] <= children
    wait_for(quiet, "the children to settle", 30, 1)
    pids = server.children()
    begin, before = time.time(), wake_ups(pids)
    wait_for(lambda: time.time() >= begin + window, "the window", window + 5, 0.5)
    woken, elapsed = wake_ups(pids) - before, time.time() - begin
    assert set(pids) == set(server.children()), "children came or went: not idle"
    rate = woken / children / (elapsed / poll)
    print(f"{rate:.2f} wake-ups a child and poll")
    assert 0.5 < rate <= 2.0


def rss_kb(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def many_vhosts(n=1000):
    return [Vhost(f"v{i}.test") for i in range(n)]


def cpu_s(pid):
    """User and system time: unlike the clock on the wall, much the same on a busy machine."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.timeout(400)
def test_1000_vhosts_start_as_fast_and_as_small_as_stock(httpd):
    took, rss, end = {}, {}, time.monotonic() + 100

    def is_fast():
        return took[True] <= took[False] * 1.15 + 0.1  # the bench holds it to 5 %
    for n in itertools.count():  # each at its best: what runs beside it costs it caches
        module = n % 2 == 1
        server = httpd(vhosts=many_vhosts(), module=module, processes=1).start()
        took[module] = min(took.get(module, 99), cpu_s(server.pid))
        rss[module] = rss_kb(server.pid)
        server.stop()
        if module and n >= 3 and (is_fast() or time.monotonic() > end):
            break
    print(f"start-up {took} s, parent's memory {rss} kB")
    assert is_fast()
    assert rss[True] - rss[False] <= 2048, "more than 2 kB a vhost"


@pytest.mark.timeout(300)
def test_1000_vhosts_share_the_keys_of_a_full_ring(httpd):
    rss = {}
    now = int(time.time())
    for key_n in (1, 4000):
        keys = [ringfile.make_key(start=now - key_n + 1 + i, interval=1, lifetime=86400)
                for i in range(key_n)] + [ringfile.make_key(lifetime=86400)]
        server = httpd(vhosts=many_vhosts(), processes=1,
                       server=lines(generate="off", interval="1h", lifetime="1d"))
        server.put_secret(os.urandom(32))
        server.put_ring(fixed_ring(*keys, interval=3600, lifetime=86400))
        server.start()
        assert server.get("v999.test").tickets
        rss[key_n] = rss_kb(server.pid) + sum(rss_kb(pid) for pid in server.children())
        server.stop()
    print(f"parent and child, by keys: {rss} kB")
    assert rss[4000] - rss[1] <= 8192


def test_full_ring_serves_and_rotates(httpd, mpm):
    server = httpd(mpm=mpm, server=lines(interval="1s", lifetime="3900s", poll="1s")).start()
    first = issued_now(server, tls="1.2")
    key = server.ring().find(first.name)
    wait_for(lambda: time.time() >= key.encrypt_until, "the next slot", 3)
    reply = issued_now(server, tls="1.2", session=first.session)
    assert reply.resumed and reply.name != first.name
