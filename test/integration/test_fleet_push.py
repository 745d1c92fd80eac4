# SPDX-License-Identifier: Apache-2.0
"""Push: what wakes stekctl sync before its next cycle, what that costs, and that it falls back to its cycles. Cycles
are an hour long where only a wake-up can be the reason for what is waited for."""
import time

import pytest

import fleet as lib
from etcd import Etcd
from fleet import Memcached, Redis, agree
from httpd import wait_for

QUIET = {"web": False, "interval": "1h", "lifetime": "18h", "every": "10min", "timeout": "5s"}


@pytest.fixture(params=[Etcd])
def store(request, fleet):
    fleet.stores.append(request.param())
    return fleet.stores[-1].start()


def watching(store, hosts):
    """All have begun to."""
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and agree(hosts), "all to have one ring")


def revoked(hosts, host, within=20):
    """Revokes everything on one host; the time until the last one has it."""
    before = host.names()
    lib.run("--ring", host.ring_path, "revoke", "--all")
    begun = time.monotonic()
    wait_for(lambda: not any(before & other.names() for other in hosts), "the revocation at all hosts", within)
    return time.monotonic() - begun


def test_push_revocation_reaches_all_hosts_at_once(fleet, store):
    hosts = [fleet.host(store, **QUIET).start(web=False) for _ in range(3)]
    watching(store, hosts)
    time.sleep(2)
    print(revoked(hosts, hosts[0]), revoked(hosts, hosts[2]))
    for host in hosts:
        print(host.log())
    assert 0
