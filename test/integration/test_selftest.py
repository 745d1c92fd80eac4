# SPDX-License-Identifier: Apache-2.0
"""S2 and S7: what is handed to OpenSSL is the audited key, or no ticket is issued."""
import os

import pytest

from checks import VERSIONS, fixed_ring, lines


def serves_without_tickets(server):
    for v in VERSIONS:
        for _ in range(4):
            reply = server.get(tls=v)
            assert reply.status == 200 and not reply.resumed and not reply.tickets
            if reply.sessions:
                again = server.get(tls=v, session=reply.sessions[-1])
                assert again.status == 200 and not again.resumed


@pytest.mark.parametrize("fault", ["mac", "cipher", "refused"])
def test_selftest_mismatch_disables_issuing_and_is_an_error(httpd, faulty_crypto, mpm, fault):
    server = httpd(mpm=mpm, env={"LD_PRELOAD": str(faulty_crypto), "STEK_FAULT": fault})
    server.expect(r"\[stek_rotate:error\]")
    server.start()
    assert server.lines(r"\[stek_rotate:error\].*self-test")
    serves_without_tickets(server)
    server.graceful()
    serves_without_tickets(server)


@pytest.mark.parametrize("fault", ["constant", "failing"])
def test_random_generator_broken_no_key_no_ticket_an_error(httpd, faulty_crypto, mpm, fault):
    server = httpd(mpm=mpm, env={"LD_PRELOAD": str(faulty_crypto), "STEK_FAULT": fault})
    server.expect(r"\[stek_rotate:(warn|error)\]")
    server.start()
    assert server.lines(r"\[stek_rotate:error\]")
    serves_without_tickets(server)


def test_random_generator_broken_later_keeps_the_ring(httpd, faulty_crypto):
    server = httpd(server=lines(interval="1s", lifetime="60s", poll="1s")).start()
    first = {v: server.get(tls=v).session for v in VERSIONS}
    server.stop()
    server.env.update(LD_PRELOAD=str(faulty_crypto), STEK_FAULT="constant")
    server.expect(r"\[stek_rotate:(warn|error)\]")
    server.start()
    for v in VERSIONS:
        reply = server.get(tls=v, session=first[v])
        assert reply.resumed and server.get(tls=v).tickets


def test_selftest_passes_with_the_same_library_and_no_fault(httpd, faulty_crypto):
    server = httpd(env={"LD_PRELOAD": str(faulty_crypto), "STEK_FAULT": "none"}).start()
    for v in VERSIONS:
        first = server.get(tls=v)
        assert first.tickets and server.get(tls=v, session=first.session).resumed


def test_selftest_is_made_when_the_first_key_comes_later(httpd, faulty_crypto):
    server = httpd(server=lines(generate="off", poll="1s"),
                   env={"LD_PRELOAD": str(faulty_crypto), "STEK_FAULT": "cipher"})
    server.put_secret(os.urandom(32))
    server.expect(r"\[stek_rotate:(warn|error)\]")
    server.start()
    serves_without_tickets(server)
    ring = fixed_ring()
    server.put_ring(ring)
    server.wait_log(r"\[stek_rotate:error\].*self-test", timeout=25)
    serves_without_tickets(server)
