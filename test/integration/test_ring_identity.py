# SPDX-License-Identifier: Apache-2.0
"""A ring is what it is by its file and its secret, not by its name: whatever a reload points where,
no file ever gets a key that was made for another, and tickets of what has not changed go on."""
import os

import pytest

import ringfile
from httpd import Vhost
from seed import seeded_rng

NAMES = ["one", "two", "three"]


def ring_line(name, file, secret=None):
    return f"StekRing {name} file={file}" + (f" secret={secret}" if secret else "")


def secret_of(server, file, secret=None):
    return server.run_dir / (secret or file.replace(".ring", ".secret"))


def keys_in(server, file, secret=None):
    ring = ringfile.Ring.read(server.run_dir / file,
                              ringfile.read_secrets(secret_of(server, file, secret)))
    return {key.name for key in ring.keys}


def vhosts(*names):
    return [Vhost(f"{name}.test", [f"StekUseRing {name}"]) for name in names]


def test_swapped_files_keep_their_own_keys(httpd, version):
    server = httpd(server=[ring_line("one", "a.ring"), ring_line("two", "b.ring")],
                   vhosts=vhosts("one", "two"), processes=1).start()
    before = {file: keys_in(server, file) for file in ("a.ring", "b.ring")}
    one, two = (server.get(host, tls=version) for host in ("one.test", "two.test"))
    server.server = [ring_line("one", "b.ring"), ring_line("two", "a.ring")]
    server.graceful()
    assert before == {file: keys_in(server, file) for file in before}
    assert not server.get("one.test", tls=version, session=one.session).resumed
    assert not server.get("two.test", tls=version, session=two.session).resumed
    assert server.get("one.test", tls=version).name in before["b.ring"]


def test_swapped_secrets_give_neither_ring_the_keys_of_the_other(httpd):
    pairs = [("one", "a.ring", "a.key"), ("two", "b.ring", "b.key")]
    server = httpd(server=[ring_line(*pair) for pair in pairs], vhosts=vhosts("one", "two"),
                   processes=1).start()
    before = {file: keys_in(server, file, secret) for _, file, secret in pairs}
    server.expect("STEK2004")
    server.server = [ring_line("one", "a.ring", "b.key"), ring_line("two", "b.ring", "a.key")]
    server.graceful()
    old = set.union(*before.values())
    for file, secret in (("a.ring", "b.key"), ("b.ring", "a.key")):
        assert not keys_in(server, file, secret) & old


def test_a_new_file_starts_with_new_keys(httpd, version):
    server = httpd(server=[ring_line("default", "a.ring")], processes=1).start()
    first, before = server.get(tls=version), keys_in(server, "a.ring")
    server.server = [ring_line("default", "b.ring")]
    server.graceful()
    assert not keys_in(server, "b.ring") & before
    assert not server.get(tls=version, session=first.session).resumed
    assert keys_in(server, "a.ring") == before
    server.server = [ring_line("default", "memory")]
    server.graceful()
    fresh = server.get(tls=version)
    assert fresh.name not in before | keys_in(server, "b.ring")
    server.server = [ring_line("default", "a.ring")]
    server.graceful()
    assert server.get(tls=version, session=first.session).resumed
    assert keys_in(server, "a.ring") == before


def test_another_name_for_the_same_file_keeps_the_keys(httpd, version):
    server = httpd(server=[ring_line("one", "a.ring")], vhosts=vhosts("one"), processes=1).start()
    first, before = server.get("one.test", tls=version), keys_in(server, "a.ring")
    (server.run_dir / "a.ring").unlink()  # only httpd's memory has them now
    server.server = [ring_line("new", "./sub/..//a.ring")]
    server.vhosts[0].lines = ["StekUseRing new"]
    server.graceful()
    assert server.get("one.test", tls=version, session=first.session).resumed
    assert before <= keys_in(server, "a.ring")


def test_rings_in_memory_go_by_their_names(httpd, version):
    lines = [ring_line("one", "memory"), ring_line("two", "memory")]
    server = httpd(server=lines, vhosts=vhosts("one", "two"), processes=1).start()
    one = server.get("one.test", tls=version)
    server.server = lines[::-1]
    server.graceful()
    assert server.get("one.test", tls=version, session=one.session).resumed
    server.vhosts[0].lines = ["StekUseRing two"]
    server.vhosts[1].lines = ["StekUseRing one"]
    server.graceful()
    assert not server.get("one.test", tls=version, session=one.session).resumed


def swap(a, b):
    a.rename(a.with_suffix(".swap"))
    b.rename(a)
    a.with_suffix(".swap").rename(b)


@pytest.mark.parametrize("both", [False, True], ids=["secrets", "secrets-and-rings"])
def test_swapped_contents_mix_no_keys(httpd, both):
    server = httpd(server=[ring_line("one", "a.ring"), ring_line("two", "b.ring")],
                   vhosts=vhosts("one", "two"), processes=1).start()
    a, b = keys_in(server, "a.ring"), keys_in(server, "b.ring")
    server.expect("STEK2004", "STEK2003")
    swap(server.run_dir / "a.secret", server.run_dir / "b.secret")
    if both:
        swap(server.run_dir / "a.ring", server.run_dir / "b.ring")
    server.graceful()
    # A secret alone that changes is the ring's new one; file and secret together are another ring.
    assert keys_in(server, "a.ring") == (b if both else a)
    assert keys_in(server, "b.ring") == (a if both else b)


def test_one_file_by_two_names_is_refused_by_configtest(httpd):
    server = httpd(vhosts=vhosts("one", "two"))
    server.server = [ring_line("one", "a.ring"), ring_line("two", f"{server.run_dir}//./a.ring")]
    status, said = server.configtest()
    assert status != 0 and "STEK1002" in said


def test_one_file_by_way_of_a_link_is_one_ring_s(httpd):
    server = httpd(vhosts=vhosts("one", "two"), processes=1)
    (server.run_dir / "real").mkdir(0o755)
    os.symlink("real", server.run_dir / "link")
    server.server = [ring_line("one", "real/a.ring"), ring_line("two", "link/a.ring")]
    server.expect("STEK2030")
    server.start()
    assert server.lines("STEK2030.*'one'.*'two'|STEK2030.*'two'.*'one'")
    names = {server.get(f"{name}.test").name for name in ("one", "two")}
    assert len(names & keys_in(server, "real/a.ring")) == 1 and len(names) == 2


class Model:
    """Which (file, secret) each key was made for; what a ticket was issued under."""

    def __init__(self, server, dice):
        self.server, self.dice, self.made_for = server, dice, {}
        self.now, self.sessions = {}, {}

    def point(self):
        """New places for some rings."""
        files = ["a.ring", "b.ring", "c.ring", "d.ring"]
        self.dice.shuffle(files)
        for name, file in zip(NAMES, files):
            secret = self.dice.choice([None, None, "x.key", "y.key", "z.key"])
            self.now[name] = (file, secret)
        self.server.server = [ring_line(name, *place) for name, place in self.now.items()]

    def check(self, before):
        for name, place in self.now.items():
            for key in keys_in(self.server, *place):
                assert self.made_for.setdefault(key, place) == place, f"{name}: {place}"
            host = f"{name}.test"
            for version in ("1.2", "1.3"):
                old, session = self.sessions.get((name, version), (None, None))
                if session:
                    resumed = self.server.get(host, tls=version, session=session).resumed
                    if old != place:
                        assert not resumed, f"{name}: a ticket of {old} at {place}"
                    elif before.get(name) == place:
                        assert resumed, f"{name}: {place} lost a ticket"
                reply = self.server.get(host, tls=version)
                assert self.made_for[reply.name] == place
                self.sessions[name, version] = (place, reply.session)


def test_random_places_mix_no_keys(httpd):
    steps = int(os.environ.get("STEK_STEPS", 12))
    server = httpd(vhosts=vhosts(*NAMES), processes=1)
    server.expect("STEK2004")
    model = Model(server, seeded_rng())
    model.point()
    server.start()
    model.check({})
    for step in range(steps):
        before = dict(model.now)
        if model.dice.random() < 0.75:
            model.point()
        server.graceful()
        print(step, model.now)
        model.check(before)
