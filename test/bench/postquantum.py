#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Post-quantum key exchange and tickets, with OpenSSL 3.5 or later: part_postquantum.py runs this here or in
a Debian 13.  Prints JSON: bytes and server's CPU time of full and resumed connections; what does not hold
ends it with a message.

Usage: postquantum.py NUMBER   (of connections of each kind)"""
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "test" / "integration"))

import machine  # noqa: E402
import tls  # noqa: E402
from httpd import Vhost, wait_for  # noqa: E402
from servers import NAME, BenchHttpd, make_certs  # noqa: E402

HYBRID, CLASSIC = "X25519MLKEM768", "X25519"
GROUP_IDS = {HYBRID: 0x11ec, CLASSIC: 0x1d}  # of TLS
NID_X25519, GET_GROUP = 1034, 134
_get_bio = {way: tls._declare(tls._ssl, f"SSL_get_{way}bio", ctypes.c_void_p, ctypes.c_void_p) for way in "rw"}
_number = {way: tls._declare(tls._crypto, f"BIO_number_{name}", ctypes.c_uint64, ctypes.c_void_p)
           for way, name in (("r", "read"), ("w", "written"))}


def connect(server, group, session=None):
    """(reply, bytes that the client sent in the handshake, that it received with ticket and answer)."""
    with tls.Connection(server.port, NAME, session=session, groups=group, address=server.address) as c:
        sent = _number["w"](_get_bio["w"](c.ssl))
        found = tls.SSL_ctrl(c.ssl, GET_GROUP, 0, None)
        # OpenSSL tells groups that it has no number of its own for by that of TLS.
        assert found & 0xffff == GROUP_IDS[group] or found == NID_X25519 and group == CLASSIC, hex(found)
        c.send(NAME)
        reply = c.receive()
        received = _number["r"](_get_bio["r"](c.ssl))
    assert reply.status == 200 and reply.resumed == (session is not None), (group, session, reply.status)
    return reply, sent, received


def measure(server, group, mode, n):
    session = connect(server, group)[0].session if mode == "resumed" else None
    sent, received, cpu_us = [], [], []
    for _ in range(n):
        before = machine.tasks_cpu_s(machine.family(server.pid))
        reply, out, back = connect(server, group, session)
        # What the server does after its answer counts too.
        time.sleep(0.005)
        cpu_us.append(1e6 * (machine.tasks_cpu_s(machine.family(server.pid)) - before))
        sent.append(out)
        received.append(back)
        session = reply.session if mode == "resumed" else None
    return {"sent": statistics.median(sent), "received": statistics.median(received),
            "cpu_us": statistics.median(cpu_us), "ticket": len(reply.session.ticket)}


def check_resumption(certs):
    """A ticket of a hybrid handshake, through rotation, reload, restart, and on another host; and the next
    connection may use either group."""
    first = BenchHttpd(certs, vhosts=[Vhost(NAME)], server=["StekRing default interval=2s lifetime=1h poll=1s"])
    other = BenchHttpd(certs, vhosts=[Vhost(NAME)], address="127.0.0.2", server=[
        f"StekRing default file={first.ring_path()} secret={first.secret_path()} generate=off poll=1s "
        "interval=2s lifetime=1h"])
    other.port = first.port
    done = []
    try:
        first.start()
        session = connect(first, HYBRID)[0].session
        wait_for(lambda: connect(first, HYBRID)[0].name != session.name, "another key", 20)
        done.append("rotation")
        for group in (HYBRID, CLASSIC):
            connect(first, group, session)
        first.graceful()
        session = connect(first, HYBRID, session)[0].session
        done.append("reload")
        other.start()
        wait_for(lambda: tls.get(other.port, NAME, session=session, groups=HYBRID,
                                 address=other.address).resumed, "the other host to know the key", 20)
        session = connect(other, HYBRID, session)[0].session
        connect(first, HYBRID, session)
        done.append("another host and back")
        other.end()
        first.restart()
        connect(first, HYBRID, session)
        done.append("restart")
    finally:
        other.end()
        first.end()
    return done


def main():
    number, result = int(sys.argv[1]), {"cells": []}
    result["openssl"] = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        certs = Path(folder)
        certs.chmod(0o755)
        make_certs(certs)
        result["resumed_through"] = check_resumption(certs)
        server = BenchHttpd(certs, vhosts=[Vhost(NAME)])
        server.start()
        try:
            for mode in ("full", "resumed"):
                for group in (HYBRID, CLASSIC):
                    result["cells"].append(dict(measure(server, group, mode, number), mode=mode, group=group))
        finally:
            server.end()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
