# SPDX-License-Identifier: Apache-2.0
"""Counters are exact, whoever counts, and outlive whoever counted; counting costs a handshake nothing."""
import os
import re
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import pytest

import ringfile
import tls
from checks import VERSIONS, resealed
from handshakes import COUNTED, KINDS, Scripted, sample, ticket_bytes, ticket_counters
from httpd import TOP, Vhost, kill, wait_for

BENCH = TOP / "out" / "bench" / "handshake_cost"
N = 3  # handshakes of each kind, of each version, in each round


def expected(kinds):
    total = Counter()
    for kind, n in kinds.items():
        total[COUNTED[kind]] += n
        if kind.startswith("resumed"):
            total["stek_ticket_age_seconds_count", ""] += n
    return total


def gained(before, after):
    return {key: after[key] - before[key] for key in after if after[key] != before[key]}


def test_counters_exact_across_reloads_with_four_children(httpd, mpm):
    scripted = Scripted(httpd, mpm=mpm, processes=4)
    server = scripted.server.start()
    before, done = ticket_counters(scripted.metrics()), Counter()

    for reload in (lambda: None, server.graceful, server.restart):
        reload()
        for version in VERSIONS:
            scripted.prepare(version)
            done["new"] += 2
        for kind in KINDS:
            for version in VERSIONS:
                for _ in range(N):
                    scripted.handshake(kind, version)
            done[kind] += len(VERSIONS) * N
        wanted = expected(done)
        wanted["stek_tickets_issued_total", ""] = scripted.issued
        assert gained(before, ticket_counters(scripted.metrics())) == wanted
        # Those of the first handshakes, by which the server is known to be up, are not ours.
        told = ticket_bytes(scripted.metrics())
        assert told == scripted.bytes
    assert done["resumed-old"] == 18


def test_counters_exact_while_clients_compete_and_children_end(httpd, mpm):
    """Several clients at a time, children that end after 20 connections, and reloads in between."""
    scripted = Scripted(httpd, mpm=mpm, processes=4, server=["MaxConnectionsPerChild 20"])
    server = scripted.server.start()
    session = scripted.visit().session
    before, done = ticket_counters(scripted.metrics()), []

    def client():
        for i in range(40):
            reply = tls.get(server.port, "a.test", session=session if i % 2 else None)
            done.append((reply.resumed, len(reply.tickets)))
    threads = [Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.graceful()
    for thread in threads:
        thread.join()
    assert len(done) == 160
    resumed = sum(resumed for resumed, _ in done)
    assert gained(before, ticket_counters(scripted.metrics())) == {
        ("stek_tickets_not_offered_total", ""): 160 - resumed,
        ("stek_tickets_resumed_total", "current"): resumed,
        ("stek_ticket_age_seconds_count", ""): resumed,
        ("stek_tickets_issued_total", ""): sum(tickets for _, tickets in done)}


def test_counters_outlive_killed_children(httpd):
    scripted = Scripted(httpd, processes=2)
    server = scripted.server.start()
    for _ in range(5):
        scripted.visit()
    before = ticket_counters(scripted.metrics())
    server.expect("AH00052", "AH10392")
    for _ in range(3):
        old = server.children()
        for pid in old:
            kill(pid)
        wait_for(lambda: server.children() and not set(old) & set(server.children()), "new children")
        scripted.visit()
    assert gained(before, ticket_counters(scripted.metrics())) == {
        ("stek_tickets_not_offered_total", ""): 3, ("stek_tickets_issued_total", ""): 6}


def test_counters_hello_retry_request_counted_once(httpd):
    """The server asks for another group: OpenSSL then decrypts the ticket twice."""
    scripted = Scripted(httpd, server=["SSLOpenSSLConfCmd Groups P-384"])
    server = scripted.server.start()
    first = scripted.visit()
    before = ticket_counters(scripted.metrics())
    assert scripted.visit(session=first.session).resumed
    forged = first.session.with_ticket(os.urandom(len(first.session.ticket)))
    assert not server.get("a.test", session=forged).resumed
    assert gained(before, ticket_counters(scripted.metrics())) == {
        ("stek_tickets_resumed_total", "current"): 1, ("stek_ticket_age_seconds_count", ""): 1,
        ("stek_tickets_refused_total", "unknown"): 1, ("stek_tickets_issued_total", ""): 3}
    assert ticket_bytes(scripted.metrics())["offered"] == 2 * len(first.session.ticket)


def test_counters_without_key_keyless(httpd):
    scripted = Scripted(httpd)
    server = scripted.server
    old = ringfile.make_key(int(server.now()) - 7200)
    server.put_ring(ringfile.Ring([old]))
    server.expect("STEK2002")
    server.start()
    assert not any(scripted.visit(tls=version).tickets for version in VERSIONS)
    assert not scripted.visit("off.test").tickets
    found = ticket_counters(scripted.metrics())
    assert found["stek_handshakes_keyless_total", ""] == 2
    assert found["stek_tickets_not_offered_total", ""] == 3
    assert found["stek_tickets_issued_total", ""] == 0


def test_counters_rings_apart(httpd):
    scripted = Scripted(httpd, server=["StekRing other file=memory"],
                        vhosts=[Vhost("o.test", ["StekUseRing other"])])
    scripted.server.start()
    for _ in range(3):
        scripted.visit("o.test")
    scripted.visit("a.test")
    metrics = scripted.metrics()
    assert sample(metrics, "stek_tickets_not_offered_total", "other") == 3
    assert sample(metrics, "stek_tickets_not_offered_total") == 1


def test_counters_ticket_ages_in_their_buckets(httpd, version):
    scripted = Scripted(httpd)
    scripted.server.start()
    key = scripted.keys["current"]
    session, ages = scripted.visit(tls=version).session, [5, 30, 200, 800, 3000, 9000, 20000, 40000, 60000]
    for age in ages:
        aged = resealed(session, key, key, at=scripted.server.now() - age)
        assert scripted.visit(tls=version, session=aged).resumed
    metrics = scripted.metrics()
    bounds = [1, 10, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800]
    found = [sample(metrics, "stek_ticket_age_seconds_bucket", le=str(le)) for le in bounds]
    assert found == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9]
    assert sample(metrics, "stek_ticket_age_seconds_bucket", le="+Inf") == 9
    assert sum(ages) <= sample(metrics, "stek_ticket_age_seconds_sum") <= sum(ages) + 20


def test_counters_loads_and_refusals_by_cause(httpd):
    scripted = Scripted(httpd, processes=1)
    server = scripted.server.start()
    good, secret = server.ring(), server.secret()
    server.expect("STEK2003")

    def failures(cause):
        found = scripted.metrics()
        return sum(sample(found, "stek_ring_load_failures_total", process=process, cause=cause)
                   for process in ("parent", "child"))

    def loads():
        return sample(scripted.metrics(), "stek_ring_loads_total", process="child")
    wrong = bytearray(good.seal(secret))
    wrong[-1] ^= 1
    weak = ringfile.make_key(hmac=bytes(32))
    for cause, data in [("format", b"nonsense"), ("seal", bytes(wrong)),
                        ("secret", good.seal(os.urandom(32))),
                        ("weak", ringfile.Ring([weak]).seal(secret)),
                        ("version", good.seal(secret)[:8] + b"\0\x09" + good.seal(secret)[10:])]:
        before = failures(cause)

        def is_refused(data=data, cause=cause, before=before):
            server.put_ring(data)  # again: the parent may just have replaced the bad ring before this one
            return failures(cause) > before and not scripted.json()["healthy"]
        wait_for(is_refused, f"a refusal for {cause}", 20, 1)
    server.ring_path().unlink()
    wait_for(lambda: failures("missing") > 0, "a refusal of nothing", 20, 0.1)
    before = loads()
    good.generation += 7
    server.put_ring(good)
    wait_for(lambda: loads() > before, "a load", 20, 0.1)
    found = scripted.metrics()
    assert sample(found, "stek_ring_generation") == good.generation
    assert abs(sample(found, "stek_ring_last_load_timestamp_seconds") - server.now()) < 10


def test_counters_one_process(httpd):
    scripted = Scripted(httpd)
    scripted.server.server = ["StekRing default file=memory"]
    scripted.server.start("-X")
    first = scripted.visit()
    assert scripted.visit(session=first.session).resumed
    found = ticket_counters(scripted.metrics())
    assert found["stek_tickets_resumed_total", "current"] == 1
    assert found["stek_tickets_not_offered_total", ""] == 1


def test_counters_more_children_than_slots_share(httpd):
    """Prefork's limit, 2 here, is what there are slots for; a drained generation takes up both."""
    scripted = Scripted(httpd, mpm="prefork", processes=2)
    server = scripted.server
    server.mpm_lines = ["StartServers 2", "MinSpareServers 1", "MaxSpareServers 2", "ServerLimit 2",
                        "MaxRequestWorkers 2"]
    server.expect("AH00161")  # both are busy, or of the generation before
    server.start()
    for _ in range(4):
        for _ in range(4):
            scripted.visit()
        server.graceful()
    found = ticket_counters(scripted.metrics())
    assert found["stek_tickets_not_offered_total", ""] == 16
    assert found["stek_tickets_issued_total", ""] == scripted.issued == 32


def instructions(tmp_path, *args):
    """Callgrind's count for a run of the benchmark."""
    out = tmp_path / "-".join(args)
    done = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=measured",
                           f"--callgrind-out-file={out}", BENCH, *args],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"Collected : (\d+)", done.stderr).group(1))


@pytest.mark.timeout(300)  # under valgrind
@pytest.mark.xdist_group("bench")  # both build what they run
def test_counters_cost_below_noise(tmp_path):
    """Instructions of a resumed handshake, server and client together, with counters and without."""
    subprocess.run(["make", "--no-print-directory", "-C", TOP, str(BENCH.relative_to(TOP))], check=True,
                   capture_output=True, timeout=300)
    n = 40
    with ThreadPoolExecutor(2) as pool:
        runs = [(mode, str(n), str(i)) for i in range(2) for mode in ("on", "off")]
        counts = list(pool.map(lambda run: instructions(tmp_path, *run) / n, runs))
    on, off = counts[0::2], counts[1::2]
    noise = max(abs(on[0] - on[1]), abs(off[0] - off[1]))
    cost = sum(on) / 2 - sum(off) / 2
    print(f"instructions per handshake: on {on}, off {off}, cost {cost:.0f}, noise {noise:.0f}")
    assert abs(cost) < max(noise, min(off) / 1000)


def test_counters_bytes_of_whatever_stands_for_a_ticket(httpd, version):
    """Too short to name a key, longer than any, and none at all."""
    scripted = Scripted(httpd)
    scripted.server.start()
    session = scripted.visit(tls=version).session
    for ticket in (b"x", os.urandom(15), os.urandom(32), os.urandom(4000), session.ticket[:-1]):
        reply = scripted.visit(tls=version, session=session.with_ticket(ticket))
        assert reply.status == 200 and not reply.resumed
        assert ticket_bytes(scripted.metrics()) == scripted.bytes
    assert not scripted.visit("off.test", tls=version).tickets
    assert ticket_bytes(scripted.metrics()) == scripted.bytes
