# SPDX-License-Identifier: Apache-2.0
"""Every server that a store's URL may lead to is asked by stekctl fleet, and shown: all addresses of a name, also behind
a certificate for that name, and all members of a list; a split brain behind one URL is seen by whoever looks."""
import json
import os
import subprocess

import pytest

import announcements
import fleet as lib
import pki
import redis_kinds as kinds
from etcd import PREFIX, Etcd
from fleet import Memcached, Redis, agree
from httpd import free_port, wait_for

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h", "timeout": "3s"}
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="mounts an /etc/hosts")


def where(fleet, names, words):
    """The command, run where the names have these addresses."""
    table = fleet.dir / "hosts"
    table.write_text("".join(f"{address} {name}\n" for name, address in names))
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            f'mount --bind {table} /etc/hosts && exec "$@"', "sh", *words]


def fleet_of(fleet, url, *more, names=None, code=None):
    """What stekctl fleet says of that URL, where the names have these addresses; its exit code is checked."""
    words = [lib.STEKCTL, "--json", "fleet", "--store", url, "--fleet-secret", fleet.secret, "--timeout", "2s", *more]
    words = where(fleet, names, words) if names else words
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=60)
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def two_sides(fleet, *urls, options=()):
    """Two hosts at each, which agree with each other only there."""
    sides = [[fleet.host(url, **HOURLY, options=options).start(web=False) for _ in range(2)] for url in urls]
    wait_for(lambda: all(host.ring_path.exists() for side in sides for host in side)
             and all(agree(side) for side in sides), lambda: "".join(host.log() for side in sides for host in side), 30)
    return {host.name for side in sides for host in side}


def split(shown, names):
    return [ring["hosts"] for ring in shown["rings"]] == [2, 2] and {host["host"] for host in shown["hosts"]} == names


@AS_ROOT
@pytest.mark.timeout(120)
def test_servers_behind_one_name_of_a_certificate_are_both_asked(fleet, folder):
    ca = pki.Identity(folder, "ca", ca=True)
    identity = pki.Identity(folder, "store", ca, server=["store.test", "127.0.0.21", "127.0.0.22"])
    port, servers = free_port(), []
    for address in ("127.0.0.21", "127.0.0.22"):
        server = kinds.TlsRedis(ca, identity, clients=False)
        server.extra[server.extra.index("--tls-port") + 1] = str(port)
        server.extra += ["--bind", address]
        server.port = port
        server.answers = lambda: True
        fleet.stores.append(server.start())
        servers.append(server)
    names = two_sides(fleet, f"rediss://127.0.0.21:{port}", f"rediss://127.0.0.22:{port}", options=["--store-ca", ca.path])
    both = [("store.test", "127.0.0.21"), ("store.test", "127.0.0.22")]
    more = ["--store-ca", ca.path]
    wait_for(lambda: split(fleet_of(fleet, f"rediss://store.test:{port}", *more, names=both), names),
             lambda: str(fleet_of(fleet, f"rediss://store.test:{port}", *more, names=both)), 30, 0.5)
    shown = fleet_of(fleet, f"rediss://store.test:{port}", *more, names=both, code=1)
    assert [store["store"] for store in shown["stores"]] == [f"rediss://127.0.0.2{n}:{port}" for n in (1, 2)]
    # Their certificate is not for another name, whatever address that has.
    shown = fleet_of(fleet, f"rediss://other.test:{port}", *more, names=[("other.test", a) for _, a in both], code=5)
    assert all("for another name" in store["why"] for store in shown["stores"]), shown


@pytest.mark.timeout(120)
def test_servers_of_an_etcd_url_that_are_two_clusters_are_both_asked(fleet):
    one, two = fleet.store(Etcd), fleet.store(Etcd)
    names = two_sides(fleet, one.url, two.url)
    url = f"etcd://127.0.0.1:{one.members[0].port},127.0.0.1:{two.members[0].port}/{PREFIX}"
    wait_for(lambda: split(fleet_of(fleet, url), names), lambda: str(fleet_of(fleet, url)), 30, 0.5)
    fleet_of(fleet, url, code=1)
    # A member of a cluster may be down: the others have all that it had.
    two.kill()
    shown = fleet_of(fleet, url)
    assert [(store["answered"], store["spare"]) for store in shown["stores"]] == [(True, False), (False, True)]
    wait_for(lambda: fleet_of(fleet, url)["good"], lambda: str(fleet_of(fleet, url)), 30, 0.5)
    text = lib.run("fleet", "--store", url, "--fleet-secret", fleet.secret, "--timeout", "2s").stdout
    assert "another server of this store answers" in text and "2 hosts: all agree" in text
    one.kill()
    fleet_of(fleet, url, code=5)


@pytest.mark.timeout(120)
def test_servers_that_sentinels_disagree_about_are_both_asked(fleet):
    """A network that has come apart: each side has a Sentinel, and a primary of its own."""
    primaries = [fleet.store(Redis), fleet.store(Redis)]
    watchers = [kinds.Sentinel(primary) for primary in primaries]
    for watcher in watchers:
        fleet.stores.append(watcher.start())
    names = two_sides(fleet, *(f"redis+sentinel://127.0.0.1:{watcher.port}/mymaster" for watcher in watchers))
    url = f"redis+sentinel://127.0.0.1:{watchers[0].port},127.0.0.1:{watchers[1].port}/mymaster"
    wait_for(lambda: split(fleet_of(fleet, url), names), lambda: str(fleet_of(fleet, url)), 30, 0.5)
    assert len(fleet_of(fleet, url, code=1)["stores"]) == 2


@pytest.mark.timeout(120)
def test_servers_of_a_cluster_are_one_store_and_others_are_refused(fleet):
    cluster = fleet.store(kinds.Cluster)
    host = fleet.host(cluster, **HOURLY)
    host.once()
    shown = fleet_of(fleet, cluster.url, code=0)
    assert len(shown["stores"]) == 3 and [h["host"] for h in shown["hosts"]] == [host.name]
    # What sync refuses, fleet does not take for an empty store either.
    pair = [fleet.store(Redis), fleet.store(Redis)]
    shown = fleet_of(fleet, f"redis://127.0.0.1:{pair[0].port},127.0.0.1:{pair[1].port}", code=5)
    assert all("this is no cluster" in store["why"] for store in shown["stores"])


@AS_ROOT
@pytest.mark.timeout(60)
def test_servers_at_which_nothing_listens_are_not_missed_if_another_address_answers(fleet):
    """localhost has two addresses, and memcached listens at one."""
    store = fleet.store(Memcached)
    host = fleet.host(store, **HOURLY)
    host.once()
    names = [("localhost", "::1"), ("localhost", "127.0.0.1")]
    url = f"memcached://localhost:{store.port}"
    shown = fleet_of(fleet, url, names=names, code=0)
    assert {store["store"].split("//")[1]: (store["answered"], store["spare"]) for store in shown["stores"]} == \
        {f"127.0.0.1:{store.port}": (True, False), f"[::1]:{store.port}": (False, True)}
    # A host is forgotten although that address cannot be asked.
    assert fleet_of(fleet, url, "forget", host.name, names=names, code=0)["done"] == "forgotten"
    assert not announcements.read(store, fleet.secret)
    # Another server there is another store.
    host.once()
    other = Memcached()
    other.port = store.port
    other.command = lambda: ["memcached", "-u", "nobody", "-l", "::1", "-p", str(store.port), "-U", "0"]
    other.answers = lambda: True
    fleet.stores.append(other.start())
    away = fleet.host(f"memcached://[::1]:{store.port}", **HOURLY)
    wait_for(lambda: away.once(code=None).returncode == 0, "memcached at ::1", 10)
    shown = fleet_of(fleet, url, names=names, code=1)
    assert len(shown["rings"]) == 2 and all(store["answered"] for store in shown["stores"])
    # One that hangs is not known to be nobody.
    other.signal(19)
    try:
        shown = fleet_of(fleet, url, names=names, code=1)
        assert [store["spare"] for store in shown["stores"]] == [False, False] and not shown["good"]
    finally:
        other.signal(18)


@AS_ROOT
@pytest.mark.timeout(60)
@pytest.mark.parametrize("far", ["2001:db8::1", "::1"])
@pytest.mark.parametrize("kind", [Memcached, Redis])
def test_servers_of_an_address_family_that_this_host_lacks_are_not_missed(fleet, kind, far):
    """A name with an address of IPv6, too, on a host without: a network of its own that knows nothing of it."""
    store = kind()
    store.port = free_port()
    host = fleet.host(f"{store.scheme}://store.test:{store.port}", **HOURLY)
    names = [("store.test", far), ("store.test", "127.0.0.1")]
    url, shown = host.urls[0], fleet.dir / "shown"
    lines = [" ".join(map(str, words)) for words in (
        [lib.STEKCTL, *host.arguments("--once")],
        [lib.STEKCTL, "--json", "fleet", "--store", url, "--fleet-secret", fleet.secret, ">", shown])]
    script = f"""
        ip link set lo up; ip -6 address flush dev lo
        {" ".join(store.command())} >{fleet.dir}/server.log 2>&1 &
        trap "kill $!; wait" EXIT
        for i in $(seq 100); do bash -c ": </dev/tcp/127.0.0.1/{store.port}" 2>/dev/null && break; sleep 0.1; done
        {lines[0]} && {lines[1]}"""
    done = subprocess.run(where(fleet, names, ["unshare", "--net", "bash", "-c", script]), capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr + shown.read_text()
    assert "silent" not in done.stderr, done.stderr
    assert [store["answered"] for store in json.loads(shown.read_text())["stores"]] == [True]
