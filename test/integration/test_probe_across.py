# SPDX-License-Identifier: Apache-2.0
"""What hosts of one run of stekctl probe have in common: drawn at random, then told by the command line, by a list
and from a recording alike."""
import hashlib
import json
import os

import pytest

from probe_tool import Gnutls, ProbedNginx, Report, Sins, json_lines, run
from seed import seeded_rng
from stekctl_tool import DONE, FINDING

pytestmark = pytest.mark.timeout(300)
FEW = ("--level", "quick", "--tls", "1.3", "--tickets", 3)


class World:
    """Servers that share key files, key names or weak keys, or nothing; and the groups that follow."""

    def __init__(self, start, sins_binary, folder, rnd):
        self.hosts, self.groups = [], []
        for kind in rnd.sample(["file", "file", "name", "key", "alone", "alone"], rnd.randint(2, 5)):
            n = rnd.randint(2, 3)
            name = rnd.randbytes(15).hex() + "00"
            if kind == "file":
                path = folder / f"key-{len(self.hosts)}"
                path.write_bytes(bytes.fromhex(name) + os.urandom(64))
                new = [start(ProbedNginx, f"ssl_session_ticket_key {path};").port for _ in range(n)]
                self._add("key name", name, new)
                self._add("tickets", None, new)
            elif kind == "name":
                self._add("key name", name, [start(Sins, sins_binary, f"mix:name={name}").port for _ in range(n)])
            elif kind == "key":
                key = rnd.choice([bytes(32), b"1" * 16 + bytes(16), b"changeme" * 4]).hex()
                self._add("key", key, [start(Sins, sins_binary, f"mix:key={key},name={rnd.randbytes(16).hex()}").port
                                       for _ in range(n)])
            else:
                self._add(None, None, [start(rnd.choice([ProbedNginx, Gnutls])).port])
        rnd.shuffle(self.hosts)

    def _add(self, common, what, ports):
        places = [f"127.0.0.1:{port}" for port in ports]
        self.hosts += [place for place in places if place not in self.hosts]
        if common:
            self.groups.append((common, what, frozenset(places)))


def told(groups):
    return {(group["common"], group.get("key_name") or group.get("key"), frozenset(group["hosts"])) for group in groups}


@pytest.mark.parametrize("part", range(2))
def test_probe_hosts_with_something_in_common_grouped(start, sins_binary, folder, part):
    world = World(start, sins_binary, folder, seeded_rng(part))
    print(world.hosts, world.groups)
    live = Report(*FEW, "--collect", folder / "seen", *world.hosts, expect=(DONE, FINDING))
    assert told(live.whole["groups"]) == set(world.groups)
    assert told(json_lines(run("--json", "--level", "quick", "--analyse", folder / "seen").stdout)[1]) == \
        set(world.groups)
    (folder / "list").write_text("".join(f"{host}\n" for host in world.hosts))
    listed = json_lines(run(*FEW, "--json", "--hosts", folder / "list", "--at-once", 1).stdout)[1]
    assert told(listed) == set(world.groups)


def test_probe_groups_for_people_and_without_keys(start, sins_binary, folder):
    key = "00" * 32
    hosts = [f"127.0.0.1:{start(Sins, sins_binary, f'mix:key={key},name={os.urandom(16).hex()}').port}"
             for _ in range(2)]
    text = run(*FEW, *hosts).stdout
    assert f"  weak key {key}, 2 hosts: {hosts[0]} {hosts[1]}\n" in text
    digest = hashlib.sha256(bytes(32)).hexdigest()
    assert f"  weak key sha256:{digest}, 2 hosts: " in run(*FEW, "--redact", *hosts).stdout
    report = json.loads(run(*FEW, "--json", "--redact", *hosts).stdout)
    assert report["groups"] == [{"common": "key", "key_digest": f"sha256:{digest}", "hosts": hosts}]
    assert "in common" not in run(*FEW, hosts[0]).stdout


def test_probe_key_and_what_a_library_makes_of_it_grouped(start, sins_binary):
    """One host has the zero key, the other what Go's crypto/tls makes of it."""
    derived = hashlib.sha512(bytes(32)).digest()[16:32].hex()
    hosts = [f"127.0.0.1:{start(Sins, sins_binary, f'mix:{words},name={os.urandom(16).hex()}').port}"
             for words in (f"cipher=aes-128-cbc,key={derived}", f"key={bytes(32).hex()}")]
    report = Report(*FEW, *hosts, expect=(FINDING,))
    assert told(report.whole["groups"]) == {("key", bytes(32).hex(), frozenset(hosts))}


def test_probe_list_offers_tickets_only_under_equal_names(start, sins_binary, folder):
    """A ticket of another host is offered once, and only where the key's name is the same."""
    same, other = os.urandom(15).hex() + "00", os.urandom(15).hex() + "00"
    servers = [start(Sins, sins_binary, f"mix:name={name}") for name in (same, same, other)]
    (folder / "list").write_text("".join(f"127.0.0.1:{server.port}\n" for server in servers))
    done = run(*FEW, "--json", "--hosts", folder / "list", "--at-once", 1)
    offers = [server.hellos()["offer"] for server in servers]
    assert offers[0] == offers[2] == offers[1] - 1
    assert all(host["connections"] <= host["planned"] for host in json_lines(done.stdout)[0])
