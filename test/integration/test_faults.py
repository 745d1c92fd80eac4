# SPDX-License-Identifier: Apache-2.0
"""Calls of the module fail in a running httpd, in the parent's generator and in children: handshakes
go on, the log says what is wrong, and all is well again when they fail no more.  In short form one
way of the calls that matter most; STEK_FAULTS=all takes each that was seen, in each way."""
import json
import os
import time

import pytest

import httpd as harness
from checks import VERSIONS, lines
from faults import Control
from handshakes import STATUS
from httpd import wait_for

PARENT, CHILDREN = 0, 1
QUEUED, SHORT = -1, -2
SAMPLES = {
    PARENT: ["open", "write", "rename", "flock", "malloc", "mmap", "RAND_priv_bytes",
             "EVP_MAC_fetch", "EVP_EncryptUpdate", "stat"],
    CHILDREN: ["openat", "read", "fstatat", "malloc", "mmap", "EVP_KDF_derive", "EVP_DecryptUpdate",
               "EVP_MAC_CTX_set_params", "EVP_CipherInit_ex", "SSL_SESSION_set1_ticket_appdata",
               "SSL_SESSION_get0_ticket_appdata", "SSL_client_hello_get0_ext"],
}
# Pools: in httpd they end the process when there is no memory, so that nobody tells of it.
SILENT = {"apr_pool_create_ex"}


@pytest.fixture
def faulty(httpd, library, tmp_path):
    control = Control(library, tmp_path / "control")
    preload = " ".join(filter(None, [os.environ.get("STEK_HTTPD_PRELOAD"), str(library)]))
    server = httpd(server=lines(interval="1s", lifetime="1min", poll="1s"), processes=1,
                   env={"STEK_FAULT_CONTROL": str(tmp_path / "control")})
    server.env["LD_PRELOAD"] = preload
    # One child, and no other that would only start.
    server.mpm_lines = ["StartServers 1", "ServerLimit 2", "ThreadsPerChild 16",
                        "MaxRequestWorkers 32", "MinSpareThreads 1", "MaxSpareThreads 32"]
    server.log_level = "info stek_rotate:debug"
    server.expect(r"\[stek_rotate:(warn|error)\]")
    server.start()
    control.set(quick=1)
    wait_for(lambda: control.get("parent") == server.pid, "the library in httpd's parent")
    yield server, control
    control.set(armed=0)


def shakes_hands(server, sessions):
    """Each handshake works, with a ticket or without; gives the last sessions."""
    for version in VERSIONS:
        reply = server.get(tls=version, session=sessions.get(version))
        assert reply.status == 200
        sessions[version] = reply.session or sessions.get(version)
    return sessions


def generation(server):
    return server.ring().generation


def rotates(server, since, what):
    wait_for(lambda: generation(server) > since, lambda: f"a new ring {what}; {server.tail(8)}", 40)


def resumes(server):
    """A new ticket comes, and is taken, in both versions."""
    def once():
        for version in VERSIONS:
            first = server.get(tls=version)
            if not first.session or not server.get(tls=version, session=first.session).resumed:
                return False
        return True
    wait_for(once, lambda: f"tickets that resume; {server.tail(8)}", 40, 0.1)


def seen_calls(server, control):
    """The calls of each role while rings rotate and clients come."""
    control.set(counting=1)
    start, sessions = generation(server), {}
    rotates(server, start + 1, "while calls are counted")
    end = time.monotonic() + 2.5
    wait_for(lambda: shakes_hands(server, sessions) and time.monotonic() > end, "a poll", 30)
    control.set(counting=0)
    return {role: control.counted(role) for role in (PARENT, CHILDREN)}


def chosen(control, seen, role):
    if os.environ.get("STEK_FAULTS") == "all":
        # What is interrupted for ever is tried for ever.
        return [(name, way) for name in sorted(seen[role]) for way in control.ways(name)
                if way != 4]
    missing = set(SAMPLES[role]) - seen[role]
    assert not missing, f"never called: {missing}"
    return [(name, control.ways(name)[0]) for name in SAMPLES[role]]


def called(control, name, while_waiting=lambda: True):
    """Waits until the call has failed; false if it was one of a start, and does not come again."""
    end = time.monotonic() + (5 if os.environ.get("STEK_FAULTS") == "all" else 30)
    wait_for(lambda: while_waiting() and (control.get("hits") > 0 or time.monotonic() > end),
             f"a call of {name}", 60)
    assert control.get("hits") > 0 or os.environ.get("STEK_FAULTS") == "all", f"{name}: no call"
    return control.get("hits") > 0


def test_faults_parent_generator_says_so_and_recovers(faulty):
    server, control = faulty
    cases, reached = chosen(control, seen_calls(server, control), PARENT), 0
    for name, way in cases:
        what = f"with {name} failing ({way})"
        before, mark, sessions = generation(server), server.mark(), {}
        control.arm(PARENT, name, way)
        if not called(control, name):
            continue
        reached += 1
        # Either it does without, or it says what is wrong.
        wait_for(lambda: server.lines("STEK200[23]", mark) or generation(server) > before + 1
                 or name in SILENT, lambda: f"a message {what}; {server.tail(8)}", 40)
        shakes_hands(server, sessions)
        shakes_hands(server, sessions)
        troubled = server.lines("STEK200[23]", mark)
        control.set(armed=0)
        rotates(server, generation(server), f"after {what}")
        if troubled:
            server.wait_log("STEK2001", mark)
    resumes(server)
    assert not server.lines("STEK200[45]"), "a good ring was moved away"
    print(f"{reached} faults in the parent, {len(cases)} tried")


def test_faults_children_handshakes_go_on_and_keys_follow(faulty):
    server, control = faulty
    cases, reached = chosen(control, seen_calls(server, control), CHILDREN), 0
    family = server.children()
    for name, way in cases:
        sessions = shakes_hands(server, {})
        control.arm(CHILDREN, name, way)
        if not called(control, name, lambda: shakes_hands(server, sessions)):
            continue
        reached += 1
        shakes_hands(server, sessions)
        control.set(armed=0)
        resumes(server)
    # Their timers have all lived through it.
    start = generation(server)
    rotates(server, start + 2, "at the end")
    resumes(server)
    assert set(family) <= set(server.children()), "a child ended"
    print(f"{reached} faults in children, {len(cases)} tried")


@pytest.mark.parametrize("cache", ["none", "shmcb:ssl_scache(102400)"])
def test_faults_no_memory_for_a_ring_no_tickets(httpd, library, tmp_path, cache):
    """Least of all under a key that nobody rotates."""
    control = Control(library, tmp_path / "control")
    server = httpd(modules=["socache_shmcb"], server=[f"SSLSessionCache {cache}", *STATUS], processes=1,
                   env={"STEK_FAULT_CONTROL": str(tmp_path / "control")})
    server.env["LD_PRELOAD"] = " ".join(
        filter(None, [os.environ.get("STEK_HTTPD_PRELOAD"), str(library)]))
    server.expect("STEK2013")
    control.arm(PARENT, "pthread_rwlock_init", control.ways("pthread_rwlock_init")[0])
    server.start()
    server.wait_log("STEK2013")
    status = json.loads(server.get(path="/stek-status?format=json").body)
    assert not status["healthy"] and [reason["code"] for reason in status["reasons"]] == ["no-memory"]
    assert b'stek_ring_healthy{ring="default"} 0' in server.get(path="/stek-status?format=prometheus").body
    assert b"default: there is not enough memory for its keys" in server.get(path="/stek-status").body
    for version in VERSIONS:
        reply = server.get(tls=version)
        assert reply.status == 200 and not reply.session
    control.set(armed=0)
    server.graceful()
    resumes(server)


def test_faults_at_start_httpd_serves_and_a_reload_mends(httpd, library, tmp_path):
    """From the first call on: in memory or without tickets, but httpd is up."""
    control = Control(library, tmp_path / "control")
    server = httpd(processes=1, env={"STEK_FAULT_CONTROL": str(tmp_path / "control")})
    server.env["LD_PRELOAD"] = " ".join(
        filter(None, [os.environ.get("STEK_HTTPD_PRELOAD"), str(library)]))
    server.expect(r"\[stek_rotate:(warn|error)\]")
    names = control.names if os.environ.get("STEK_FAULTS") == "all" else [
        "open", "malloc", "EVP_KDF_fetch", "RAND_priv_bytes", "SSL_CTX_set_ex_data"]
    for name in names:
        control.arm(PARENT, name, next(way for way in control.ways(name) if way != 4))
        server.start()
        for version in VERSIONS:
            assert server.get(tls=version).status == 200
        control.set(armed=0)
        server.graceful()
        resumes(server)
        server.stop()
        harness.shutil.rmtree(server.run_dir / "stek_rotate", ignore_errors=True)
    print(f"{len(names)} faults at the start")
