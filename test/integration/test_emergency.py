# SPDX-License-Identifier: Apache-2.0
"""What a thief, or a clock that was wrong, leaves in rings; and docs/emergency.md, which ends it."""
import os
import re
import shutil
import time
from dataclasses import replace

import pytest

import fleet as lib
import ringfile
from checks import VERSIONS, lines
from fleet import DAY, Memcached, Redis, agree, object_name, sealing_secrets
from httpd import TOP, wait_for
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
    assert "1 key" in done.stderr and "ignored" in done.stderr


def test_show_tells_keys_of_a_wrong_clock(place):
    ring = place.ring()
    ring.keys += [ringfile.make_key(time.time() // 3600 * 3600 + 3650 * DAY) for _ in range(3)]
    write(place, ring)
    done = place.run("show", expect=1)
    assert "3 keys" in done.stdout and "ignored" in done.stdout


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
    server.wait_log("STEK2036: .* 1 key ignored")
    server.set_clock(0)
    tickets = wait_for(lambda: server.get().tickets, "tickets once the clock is right")
    assert {ticket.name for ticket in tickets} == {ring.keys[0].name}


# ---- the procedures of docs/emergency.md ----

def blocks(section):
    """The commands of a section of the page, block by block."""
    text = (TOP / "docs" / "emergency.md").read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = [[]]
    for line in text.splitlines():
        if line.startswith("    "):
            found[-1].append(line.strip())
        elif found[-1]:
            found.append([])
    return [block for block in found if block]


class Operator:
    """Runs the page's commands by the letter, on a host of the tests in place of one of Debian's."""

    def __init__(self, fleet):
        self.fleet, self.new = fleet, fleet.dir / "new.secret"

    def place(self, host, path):
        return {"/run/stek-www/default.ring": host.ring_path, "/run/stek-www/default.secret": host.secret_path,
                "/var/lib/stek-www/default.floor": host.root / "state" / "default.floor"}[path]

    def do(self, block, host):
        for command in block:
            words = command.split()
            if command == "stekctl --secret new.secret secret new --fleet":
                lib.run("--secret", self.new, *words[3:])
            elif command == "install -m 600 new.secret /etc/stek/www.secret":
                shutil.copy(self.new, host.fleet_secret)
            elif command == "systemctl stop apache2":
                assert host.web.stop()
            elif command == "systemctl start apache2":
                host.web.start()
            elif command in ("systemctl stop stek-sync@www", "systemctl restart stek-sync@www"):
                assert host.stop_sync() == 0
                if words[1] == "restart":
                    host.start(web=False)
            elif command == "systemctl start stek-sync@www":
                host.start(web=False)
                wait_for(host.ring_path.exists, host.log)
            elif words[:2] == ["rm", "-f"]:
                for path in words[2:]:
                    self.place(host, path).unlink(missing_ok=True)
            else:
                assert command == ("runuser -u stek -g www-data -- stekctl --ring /run/stek-www/default.ring "
                                   "revoke --all"), command
                lib.run("--ring", host.ring_path, "revoke", "--all", env=host.env)


class Thief:
    """Has the fleet secret, as it is now, and can write to the store."""

    def __init__(self, fleet, store):
        self.store, self.object = store, object_name(fleet.secret)
        self.secret = sealing_secrets(fleet.secret, int(time.time()) // DAY)[0]
        self.names = set()  # of keys that the thief knows

    def write(self, ring):
        self.names |= {key.name for key in ring.keys}
        assert self.store.put(self.object, ring.seal(self.secret))

    def forge(self, **fields):
        """A ring with a key that comes before everyone else's."""
        key = ringfile.make_key(epoch=fields.get("epoch", 0))
        key = replace(key, name=bytes(2) + key.name[2:])
        self.write(ringfile.Ring([key], **fields))
        return key.name


def all_seal(hosts, good):
    return all(good(host.get(tls=version).name) for host in hosts for version in VERSIONS)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [Memcached, Redis], ids=["memcached", "redis"])
def test_emergency_of_a_fleet_ends_all_that_a_thief_of_its_secret_did(fleet, kind):
    store = fleet.store(kind)
    hosts = [fleet.host(interval="1h", lifetime="18h").start() for _ in range(2)]
    wait_for(lambda: agree(hosts), "all to have one ring")
    thief, operator, now = Thief(fleet, store), Operator(fleet), int(time.time())
    thief.names |= hosts[0].names()
    before = [host.get(tls=version).session for host in hosts for version in VERSIONS]
    # An epoch that nothing exceeds, keys that begin in ten years: no host accepts them.
    thief.forge(epoch=POISON)
    wait_for(lambda: any("more than a day ahead of this host's clock" in host.log() for host in hosts),
             hosts[0].log)
    wait_for(lambda: store.ring(fleet.secret).epoch == 0, "the store to be healed")
    thief.write(ringfile.Ring([ringfile.make_key(now // 3600 * 3600 + 3650 * DAY) for _ in range(2000)]))
    wait_for(lambda: any("ignored" in host.log() for host in hosts), hosts[0].log)
    # A ring that is full of keys and of revoked keys that never end; and the greatest epoch that passes.
    for host in hosts:
        host.web.expect("STEK2036")  # if its parent looks just then
    thief.write(ringfile.Ring([ringfile.make_key() for _ in range(3000)],
                              [(os.urandom(16), 253402300799) for _ in range(5000)]))
    wait_for(lambda: all(len(host.ring().tombstones) == 5000 for host in hosts), "the rings to be full", 20)
    known = thief.forge(epoch=int(time.time()) + DAY - 3)
    wait_for(lambda: all_seal(hosts, lambda name: name == known), "all to seal with the thief's key", 20)
    before += [host.get(tls=version).session for host in hosts for version in VERSIONS]

    make, install, revoke = blocks("A fleet")
    operator.do(make, hosts[0])
    for host in hosts:
        operator.do(install, host)
    thief.forge(epoch=int(time.time()) + DAY)
    fleet.secret = operator.new
    wait_for(lambda: agree(hosts) and store.ring(fleet.secret), "all to have one ring under the new secret", 20)
    operator.do(revoke, hosts[0])
    thief.forge(epoch=int(time.time()) + DAY)
    wait_for(lambda: all_seal(hosts, lambda name: name and name not in thief.names), "no stolen key to seal", 20)
    wait_for(lambda: agree(hosts), "all to have one ring")
    for host in hosts:
        ring = host.ring()
        assert len(ring.keys) < 6 and not ring.tombstones and not host.names() & thief.names
        for session in before:
            assert not host.get(tls=VERSIONS[before.index(session) % len(VERSIONS)], session=session).resumed
    # And another time.
    lib.run("--ring", hosts[1].ring_path, "revoke", "--all")


def test_emergency_of_a_fleet_with_a_ratchet_leaves_the_thief_no_secret(fleet):
    """The page names the file that sync reads, and the ratchet stays."""
    text = " ".join((TOP / "docs" / "emergency.md").read_text().split("\n## A fleet\n")[1].split("\n## ")[0].split())
    make = re.search(r"With a \[ratchet\].*?`stekctl --secret new.secret (secret new --fleet [^`]+)`", text).group(1)
    path = re.search(r"`install -o stek -m 600 new.secret (/[^`]+)`", text).group(1)
    setup = (TOP / "docs" / "fleet.md").read_text().split("\n## Use a ratchet\n")[1].split("\n## ")[0]
    assert f"Put the file at `{path}`" in setup
    fleet.secret, new = fleet.new_secret("ratchet.secret", "--ratchet"), fleet.dir / "new.secret"
    store = fleet.store()
    hosts = [fleet.host(web=False, interval="1h", lifetime="18h").start(web=False) for _ in range(2)]
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and agree(hosts), "all to have one ring")
    lib.run("--secret", new, *make.split())
    for host in hosts:
        shutil.copy(new, host.fleet_secret)
        assert host.stop_sync() == 0
        host.start(web=False)
    wait_for(lambda: store.ring(new) and agree(hosts), "one ring under the new secret", 20)
    lib.revoke(hosts[0])
    wait_for(lambda: store.ring(new).epoch == hosts[1].ring().epoch == hosts[0].ring().epoch > 0, "the revocation", 20)
    assert store.ring(fleet.secret).epoch == 0 and lib.fleet_fields(hosts[1].fleet_secret)[2]


@pytest.mark.timeout(90)
def test_emergency_of_a_lone_host_whose_ring_is_poisoned(httpd):
    """The thief's key is in httpd already; then nothing should exceed the epoch."""
    server = httpd(server=lines(poll="1s")).start()
    stekctl = Stekctl(server.root, server.ring_path())
    ring = server.ring()
    known = ringfile.make_key()
    known = replace(known, name=bytes(2) + known.name[2:])
    ring.keys.append(known)
    ring.generation += 1
    server.put_ring(ring)
    wait_for(lambda: server.get().name == known.name, "the thief's key to seal")
    session = server.get(tls="1.2").session
    server.expect("STEK2003", "STEK2004")
    ring.epoch = POISON
    ring.keys = [replace(known, epoch=POISON)]
    server.put_ring(ring)
    before = server.ring_path().read_bytes(), server.secret_path().read_bytes()
    for command in (["revoke", "--all"], ["rotate"], ["secret", "roll", "--reseal"]):
        done = stekctl.run(*command, expect=None)
        if done.returncode != REFUSED:
            assert server.ring_path().read_bytes() != before[0], "refused, unless httpd has moved it aside"
            break
        assert "stop httpd and stekctl sync, remove the ring and the secret, and start both again" in done.stderr
        assert before[1] == server.secret_path().read_bytes(), "half done"
    stop, remove, start = blocks("Someone else has used the secret")[1]
    assert (stop, start) == ("systemctl stop apache2", "systemctl start apache2")
    assert remove.split()[2:] == ["/run/apache2/stek_rotate/default.ring", "/run/apache2/stek_rotate/default.secret"]
    server.stop()
    server.ring_path().unlink(missing_ok=True)
    server.secret_path().unlink()
    server.start()
    for version in VERSIONS:
        assert server.get(tls=version).name not in (None, known.name)
    assert not server.get(tls="1.2", session=session).resumed and server.ring().epoch == 0
    assert stekctl.json("revoke", "--all")["epoch"] <= time.time()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("all_gone", [False, True], ids=["ring poisoned", "revoked by a wrong clock"])
def test_emergency_of_one_host_of_a_fleet(fleet, all_gone):
    """A host's ring is poisoned; or revoke --all ran there while its clock was ten years ahead."""
    fleet.store()
    hosts = [fleet.host(interval="1h", lifetime="18h") for _ in range(2)]
    bad, operator = hosts[1], Operator(fleet)
    (bad.root / "state").mkdir(mode=0o750)
    bad.options += ["--floor", bad.root / "state" / "default.floor"]
    for host in hosts:
        host.start()
    wait_for(lambda: agree(hosts), "all to have one ring")
    if all_gone:
        bad.set_clock(3650 * DAY)
        lib.run("--ring", bad.ring_path, "revoke", "--all", env=bad.env)
        strange = bad.names()
        wait_for(lambda: bad.get().name in strange, "httpd to follow")
        wait_for(lambda: (bad.root / "state" / "default.floor").exists(), "a floor")
        bad.set_clock(0)
        wait_for(lambda: "the ring's epoch is more than a day ahead of it" in bad.log(), bad.log)
        assert REFUSED == lib.run("--ring", bad.ring_path, "revoke", "--all", code=None).returncode
        bad.web.expect("STEK20")
    else:
        strange = {bytes(2) + os.urandom(14)}
        bad.stop_sync()
        ring = bad.ring()
        ring.epoch = POISON
        ring.keys = [replace(ringfile.make_key(epoch=POISON), name=name) for name in strange]
        bad.web.put_ring(ring)
        assert REFUSED == lib.run("--ring", bad.ring_path, "revoke", "--all", code=None).returncode
        said = bad.log()
        bad.start(web=False)
        wait_for(lambda: bad.log() != said, "sync to have started")  # from then on it ends well
    operator.do(blocks("Someone else has used the secret")[2 if all_gone else 0], bad)
    wait_for(lambda: agree(hosts), lambda: bad.log() + hosts[0].log(), 20)
    assert not strange & bad.names()
    wait_for(lambda: bad.get().name in hosts[0].names(), "httpd to follow")
    lib.run("--ring", bad.ring_path, "revoke", "--all")
    wait_for(lambda: agree(hosts) and bad.ring().epoch > 0, "the revocation at the other host", 20)
