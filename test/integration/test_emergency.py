# SPDX-License-Identifier: Apache-2.0
"""What a thief, or a clock that was wrong, leaves in rings; and docs/emergency.md, which ends it."""
import os
import time

import pytest

import ringfile
from checks import lines
from fleet import DAY
from httpd import wait_for
from stekctl_tool import REFUSED, Stekctl

POISON = 2 ** 64 - 1


@pytest.fixture
def place(folder):
    tool = Stekctl(folder)
    tool.run("new")
    yield tool
    tool.stop()


def write(tool, ring):
    fresh = tool.ring_path.with_suffix(".fresh")
    fresh.write_bytes(ring.seal(ringfile.read_secrets(tool.secret_path)[0]))
    fresh.chmod(0o640)
    fresh.rename(tool.ring_path)


def poisoned(**fields):
    """The ring of a thief who has its secret: a key that they know, and an epoch that nothing exceeds."""
    fields.setdefault("epoch", POISON)
    return ringfile.Ring([ringfile.make_key(epoch=fields["epoch"])], **fields)


# ---- commands that read rings ----

def exported(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.key")))


def test_export_of_a_poisoned_ring_is_refused(place):
    ring = poisoned()
    write(place, ring)
    done = place.run("export", "--format", "nginx", "--out", place.root / "keys", expect=REFUSED)
    assert "more than a day ahead of this host's clock" in done.stderr
    assert not (place.root / "keys").exists() or ring.keys[0].aes not in exported(place.root / "keys")


def test_export_follow_survives_a_poisoned_ring(place):
    good = place.ring()
    place.follow("--format", "nginx", "--out", place.root / "keys")
    wait_for(lambda: (place.root / "keys").exists() and good.keys[0].aes in exported(place.root / "keys"), "keys")
    bad = poisoned()
    write(place, bad)
    log = place.root / "follow-0.log"
    wait_for(lambda: "more than a day ahead of this host's clock" in log.read_text(), log.read_text)
    assert bad.keys[0].aes not in exported(place.root / "keys")
    write(place, good)
    made = place.json("rotate")["key"]["name"]
    key = next(key for key in place.ring().keys if key.name.hex().startswith(made))
    wait_for(lambda: key.aes in exported(place.root / "keys"), "the rotated key in the exported files")


def test_export_leaves_out_keys_of_a_wrong_clock(place):
    ring = place.ring()
    ring.keys.append(ringfile.make_key(time.time() // 3600 * 3600 + 3650 * DAY))
    write(place, ring)
    done = place.run("export", "--format", "nginx", "--out", place.root / "keys")
    assert ring.keys[-1].aes not in exported(place.root / "keys")
    assert "1 key" in done.stderr and "left out" in done.stderr


def test_show_tells_keys_of_a_wrong_clock(place):
    ring = place.ring()
    ring.keys += [ringfile.make_key(time.time() // 3600 * 3600 + 3650 * DAY) for _ in range(3)]
    write(place, ring)
    done = place.run("show", expect=1)
    assert "3 keys" in done.stdout and "left out" in done.stdout


def test_import_into_a_full_ring_is_refused_not_dropped(place):
    ring = place.ring()
    ring.keys = [ringfile.make_key() for _ in range(4096)]
    write(place, ring)
    keys = [os.urandom(80) for _ in range(3)]
    files = []
    for n, key in enumerate(keys):
        files.append(place.root / f"{n}.key")
        files[-1].write_bytes(b"\xff" * 4 + key[4:])
        files[-1].chmod(0o600)
    place.run("import", "--format", "nginx", *files, expect=None)
    names = {key.name for key in place.ring().keys}
    assert all(b"\xff" * 4 + key[4:16] in names for key in keys) or place.ring().keys == sorted(
        ring.keys, key=lambda key: key.name)


# ---- httpd ----

def test_many_slots_ahead_are_not_taken_for_a_wrong_clock(httpd):
    server = httpd(server=lines(interval="1d", lifetime="7d", ahead="30", poll="1s")).start()
    made = {key.name for key in server.ring().keys}
    assert len(made) == 31 or len(made) == 32
    server.graceful()
    server.stop()
    server.start()
    assert {key.name for key in server.ring().keys} == made


def test_keys_left_out_by_a_clock_that_was_behind_come_back_with_the_clock(httpd):
    """Nothing else writes the ring: httpd must not wait for that."""
    server = httpd(server=lines(poll="1s", generate="off"), clock=True)
    server.expect("STEK2002", "STEK2036")
    server.put_secret(os.urandom(32))
    server.set_clock(-40 * DAY)
    ring = ringfile.Ring([ringfile.make_key()])
    server.put_ring(ring)
    server.start()
    assert server.get().tickets == []
    server.wait_log("STEK2036: .* left out 1 key: it begins more than two weeks from now")
    server.set_clock(0)
    wait_for(lambda: server.get().tickets, "tickets once the clock is right")
    assert server.get().name == ring.keys[0].name
