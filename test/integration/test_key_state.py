# SPDX-License-Identifier: Apache-2.0
"""What state is a key in?  stekctl, the status in each form, a request's notes and the counters say the
same, key by key, over random rings and after stekctl rotate.  STEK_SEED=n repeats a run."""
import os
import re
import time
from dataclasses import replace

import ringfile
from checks import VERSIONS, resealed
from handshakes import COUNTED, Scripted, ticket_counters
from httpd import wait_for
from seed import seeded_rng
from stekctl_tool import Stekctl

ROUNDS = int(os.environ.get("STEK_ROUNDS", "8"))
# Far from every edge: a round lasts a second or two.
EDGE_S = 120
HEADERS = ['Header always set X-Ticket "expr=%{reqenv:STEK_TICKET}"',
           'Header always set X-Key "expr=%{reqenv:STEK_KEY}"']
NOTES = {"unknown": "full-unknown", "ended": "full-expired"}


def model(ring, key, now):
    """The state by the words of the manual."""
    if now >= min(key.decrypt_until, key.encrypt_until + ring.lifetime):
        return "ended"
    if now < key.not_before:
        return "future"
    return "current" if key == ring.current(now) else "old"


def random_key(rng, now, others):
    """Slots around now that overlap in any way, and some that are equal to another's; imported keys; keys
    that have ended."""
    def away():
        return rng.choice([-1, 1]) * rng.randrange(EDGE_S, 4 * 3600)
    start, end = sorted([now + away(), now + away()])
    if others and rng.random() < 0.3:
        start, end = rng.choice(others).not_before, rng.choice(others).encrypt_until
        start, end = min(start, end), max(start, end)
    if rng.random() < 0.15:
        start = end = now - rng.randrange(EDGE_S, 3600)
    key = ringfile.make_key(start)
    key = replace(key, encrypt_until=end, decrypt_until=end + rng.randrange(EDGE_S, 6 * 3600))
    # No key ends while it is looked at.
    return key if abs(key.decrypt_until - now) >= EDGE_S else replace(key, decrypt_until=now + EDGE_S)


def random_ring(rng, now, epoch):
    keys = []
    for _ in range(rng.randrange(1, 9)):
        keys.append(random_key(rng, now, keys))
    return ringfile.Ring([replace(key, epoch=epoch) for key in keys], interval=3600, lifetime=7 * 86400,
                         epoch=epoch, generation=epoch)


class Witnesses:
    """All that tell of keys, asked about each key of a ring."""

    def __init__(self, scripted):
        self.scripted = scripted
        self.stekctl = Stekctl(scripted.server.root, scripted.server.ring_path())
        self.sessions = {version: scripted.visit(tls=version).session for version in VERSIONS}
        self.key = scripted.keys["current"]

    def shown(self):
        return {key["name"]: key["state"] for key in self.stekctl.json("show", expect=None)["keys"]}

    def status(self):
        return {key["name"]: key["state"] for key in self.scripted.json()["rings"][0]["keys"]}

    def page(self):
        return dict(re.findall(r"<title>([0-9a-f]{8}), (\w+): ", self.scripted.status()))

    def note(self, key, version):
        """STEK_TICKET of a ticket under the key, which must be counted as what it is."""
        before = ticket_counters(self.scripted.metrics())
        ticket = resealed(self.sessions[version], self.key, key)
        reply = self.scripted.visit(session=ticket, tls=version)
        after, word = ticket_counters(self.scripted.metrics()), reply.headers["x-ticket"]
        assert reply.headers["x-key"] == key.name[:4].hex()
        assert reply.resumed == word.startswith("resumed-")
        assert after[COUNTED[word]] == before[COUNTED[word]] + 1
        return word

    def agree_on(self, ring, key, version, now):
        hex_name, state = key.name[:4].hex(), model(ring, key, now)
        word = NOTES.get(state, f"resumed-{state}")
        assert self.shown()[hex_name] == state
        # What has ended leaves httpd's keyring at once.
        gone = state == "ended"
        assert self.status().get(hex_name, "ended") == state
        assert self.page().get(hex_name, "ended") == state
        note = self.note(key, version)
        assert note == word or (gone and note == "full-unknown"), (note, word)
        return state


def scripted_server(httpd, mpm="event"):
    scripted = Scripted(httpd, mpm=mpm, processes=1, server=HEADERS)
    scripted.server.server[0] = "StekRing default generate=off poll=1s lifetime=7d"
    scripted.server.start()
    return scripted


def test_key_state_random_rings_all_agree(httpd):
    rng, scripted, seen = seeded_rng(), scripted_server(httpd), set()
    scripted.server.expect("STEK2002")
    witnesses, epoch = Witnesses(scripted), 0
    # Few rings of few keys may have none of one state: then a few more rounds.
    while epoch < ROUNDS or (not {"future", "old"} <= seen and epoch < 8 * ROUNDS):
        epoch += 1
        now = int(time.time())
        ring = random_ring(rng, now, epoch)
        scripted.server.put_ring(ring)
        wait_for(lambda: scripted.json()["rings"][0]["epoch"] == epoch, "the ring", 10, 0.05)
        for i, key in enumerate(ring.keys):
            seen.add(witnesses.agree_on(ring, key, VERSIONS[(epoch + i) % len(VERSIONS)], now))
    assert {"future", "old"} <= seen
    assert len(scripted.server.children()) == 1, "who had read which ring was left to chance"


def test_key_state_two_writers_one_slot(httpd, version):
    """The key that lost, by its name, is old as soon as the slot begins, and never future."""
    scripted = scripted_server(httpd)
    now = int(time.time())
    twins = [replace(ringfile.make_key(now - 600), epoch=1) for _ in range(2)]
    later = [replace(ringfile.make_key(now + 3000), epoch=1) for _ in range(2)]
    ring = ringfile.Ring(twins + later, lifetime=7 * 86400, epoch=1)
    witnesses = Witnesses(scripted)
    scripted.server.put_ring(ring)
    wait_for(lambda: scripted.json()["rings"][0]["epoch"] == 1, "the ring", 10, 0.05)
    winner, loser = sorted(twins, key=lambda key: key.name)
    for key, state in ((winner, "current"), (loser, "old"), (later[0], "future"), (later[1], "future")):
        assert witnesses.agree_on(ring, key, version, now) == state


def test_key_state_after_rotate_former_key_is_old(httpd, mpm):
    """httpd makes its keys itself, and somebody says stekctl rotate in the middle of a slot."""
    scripted = Scripted(httpd, mpm=mpm, processes=1, server=HEADERS)
    server = scripted.server
    server.server[0] = "StekRing default poll=1s"
    server.ring_path().unlink()
    server.start()
    scripted.keys["current"] = server.ring().find(scripted.visit().name)
    former = scripted.keys["current"].name[:4].hex()
    witnesses = Witnesses(scripted)
    # The first second of a slot is the former key's.
    wait_for(lambda: time.time() >= scripted.keys["current"].not_before + 2, "the slot", 5)
    told = witnesses.stekctl.json("rotate")["key"]["name"]
    wait_for(lambda: witnesses.status().get(told) == "current", "the rotation", 15, 0.05)
    assert witnesses.shown()[former] == witnesses.status()[former] == witnesses.page()[former] == "old"
    assert witnesses.note(scripted.keys["current"], "1.3") == "resumed-old"
    assert witnesses.note(scripted.keys["current"], "1.2") == "resumed-old"
