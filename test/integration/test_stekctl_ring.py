# SPDX-License-Identifier: Apache-2.0
"""stekctl on rings: what each command does, what it prints, writers at once, and its behaviour on a
terminal."""
import base64
import json
import os
import random
import re
import signal
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest

import ringfile
from httpd import wait_for
from terminal import Terminal
from stekctl_tool import BINARY, FINDING, IO, REFUSED, Stekctl


@pytest.fixture
def stekctl(folder):
    tool = Stekctl(folder)
    tool.run("new")
    return tool


def put(stekctl, ring):
    stekctl.ring_path.write_bytes(ring.seal(ringfile.read_secrets(stekctl.secret_path)[0]))


def state_of(stekctl, name):
    return {k["name"]: k["state"] for k in stekctl.json("show", expect=None)["keys"]}.get(name)


def test_stekctl_new_modes_and_schedule(stekctl):
    assert stekctl.ring_path.stat().st_mode & 0o7777 == 0o640
    assert stekctl.secret_path.stat().st_mode & 0o7777 == 0o600
    assert stekctl.ring_path.stat().st_gid == stekctl.root.stat().st_gid
    ring, now = stekctl.ring(), int(time.time())
    assert (ring.generation, ring.epoch, ring.interval, ring.lifetime) == (1, 0, 3600, 64800)
    assert ring.covered_until > now + 3600 and ring.current(now)
    assert all(key.encrypt_until % 3600 == 0 for key in ring.keys)


def test_stekctl_new_takes_parameters(stekctl):
    other = Stekctl(stekctl.root, "b.ring")
    other.run("new", "--interval", "10min", "--lifetime", "2h", "--ahead", "3")
    ring = other.ring()
    assert (ring.interval, ring.lifetime) == (600, 7200)
    assert ring.covered_until > time.time() + 1800


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_stekctl_new_takes_the_folders_group_changes_keep_the_rings(stekctl):
    folder = stekctl.root / "deep"
    folder.mkdir()
    os.chown(folder, 0, 65534)
    other = Stekctl(folder)
    other.run("new")
    assert other.ring_path.stat().st_gid == 65534
    os.chown(other.ring_path, 0, 65533)
    other.run("rotate")
    assert other.ring_path.stat().st_gid == 65533
    assert other.ring_path.stat().st_mode & 0o7777 == 0o640


def test_stekctl_rotate_new_key_from_now_to_end_of_slot(stekctl):
    before, old = stekctl.ring(), stekctl.current()
    told = stekctl.json("rotate")["key"]["name"]
    after = stekctl.ring()
    new = next(k for k in after.keys if k.name.hex().startswith(told))
    assert after.generation == before.generation + 1 and len(after.keys) == len(before.keys) + 1
    assert abs(new.not_before - time.time()) < 10 and new.encrypt_until == old.encrypt_until
    assert new.decrypt_until == new.encrypt_until + after.lifetime
    wait_for(lambda: state_of(stekctl, told) == "current", "the new key to be current")
    assert state_of(stekctl, old.name.hex()[:8]) == "old" and after.find(old.name) == old


def test_stekctl_rotate_many_in_a_second_the_last_wins(stekctl):
    names = [stekctl.json("rotate")["key"]["name"] for _ in range(4)]
    ring, now = stekctl.ring(), time.time()
    last = next(k for k in ring.keys if k.name.hex().startswith(names[-1]))
    assert ring.current(last.not_before).name == last.name and last.not_before <= now + 2
    wait_for(lambda: stekctl.current().name == last.name, "the last to be current")


def test_stekctl_rotate_in_the_second_a_slot_begins(stekctl):
    """The slot's own key begins with it: the new one has to win all the same."""
    for i in range(12):
        ring, start = stekctl.ring(), int(time.time())
        ring.keys = [ringfile.make_key(start, 3600, name=bytes([i]) * 16)]
        put(stekctl, ring)
        told = stekctl.json("rotate")["key"]
        assert told["not_before"] <= time.time() + 1
        assert stekctl.ring().current(told["not_before"]).name.hex().startswith(told["name"])


def test_stekctl_rotate_in_time_future_key(stekctl):
    told = stekctl.json("rotate", "--in", "20min")["key"]
    assert told["state"] == "future" and abs(told["not_before"] - time.time() - 1200) < 10
    key = next(k for k in stekctl.ring().keys if k.name.hex().startswith(told["name"]))
    assert stekctl.ring().current(key.not_before).name == key.name


def test_stekctl_revoke_old_key_tombstone_until_its_end(stekctl):
    old = stekctl.current()
    new = stekctl.json("rotate")["key"]["name"]
    wait_for(lambda: state_of(stekctl, new) == "current", "the new key")
    stekctl.run("revoke", old.name.hex()[:8].upper())
    ring = stekctl.ring()
    assert ring.find(old.name) is None and ring.tombstones == [(old.name, old.decrypt_until)]
    assert state_of(stekctl, new) == "current"
    stekctl.run("revoke", old.name.hex())  # once more: it is so
    assert stekctl.ring().tombstones == ring.tombstones


def test_stekctl_revoke_current_replaced_at_once_not_by_the_former(stekctl):
    first = stekctl.current()
    second = stekctl.json("rotate")["key"]["name"]
    wait_for(lambda: state_of(stekctl, second) == "current", "the second key")
    done = stekctl.json("revoke", second)
    third = stekctl.current()
    assert third.name not in (first.name, bytes.fromhex(second)) and done["tombstones"] == 1
    assert third.not_before <= time.time() and third.encrypt_until == first.encrypt_until


def test_stekctl_revoke_future_key_its_slot_covered_again(stekctl):
    ring = stekctl.ring()
    future = max(ring.keys, key=lambda k: k.not_before)
    stekctl.run("revoke", future.name.hex())
    after = stekctl.ring()
    assert after.find(future.name) is None and after.covered_until >= future.encrypt_until


def test_stekctl_revoke_several_names_at_once(stekctl):
    names = [key.name for key in stekctl.ring().keys]
    stekctl.run("revoke", *[name.hex() for name in names])
    ring = stekctl.ring()
    assert not any(ring.find(name) for name in names) and len(ring.tombstones) == len(names)
    assert ring.current(time.time())


def test_stekctl_revoke_all_raises_epoch_new_schedule(stekctl):
    before = stekctl.ring()
    stekctl.run("revoke", "--all")
    after = stekctl.ring()
    assert time.time() - 5 <= after.epoch <= time.time() and not {k.name for k in before.keys} & {
        k.name for k in after.keys
    }
    assert all(key.epoch == after.epoch for key in after.keys) and after.current(time.time())
    assert after.covered_until == before.covered_until


def test_stekctl_secret_roll_reseal_retire(stekctl):
    first = ringfile.read_secrets(stekctl.secret_path)
    stekctl.run("secret", "roll")
    both = ringfile.read_secrets(stekctl.secret_path)
    assert both[1:] == first and both[0] != first[0]
    # Changes go on under the secret that httpd's children know.
    stekctl.run("rotate")
    ringfile.Ring.read(stekctl.ring_path, first)
    before = stekctl.secret_path.read_bytes()
    done = stekctl.run("secret", "retire", expect=REFUSED)
    assert "reload httpd" in done.stderr and stekctl.secret_path.read_bytes() == before
    assert stekctl.json("show")["sealed_by"] == 2
    stekctl.run("secret", "roll", "--reseal")
    three = ringfile.read_secrets(stekctl.secret_path)
    assert len(three) == 3
    ringfile.Ring.read(stekctl.ring_path, three[:1])
    stekctl.run("secret", "retire")
    assert ringfile.read_secrets(stekctl.secret_path) == three[:1]
    stekctl.run("rotate")
    for _ in range(15):
        stekctl.run("secret", "roll")
    assert "retire" in stekctl.run("secret", "roll", expect=REFUSED).stderr


def test_stekctl_secret_new_fleet_has_ring_id(stekctl):
    path = stekctl.root / "fleet.secret"
    done = subprocess.run(
        [BINARY, "--secret", path, "secret", "new", "--fleet"], capture_output=True
    )
    assert done.returncode == 0 and path.stat().st_mode & 0o777 == 0o600
    fleet = re.findall(r"^stek-fleet-v1 (\S+)$", path.read_text(), re.M)
    assert len(fleet) == 1 and len(base64.b64decode(fleet[0])) == 16
    subprocess.run([BINARY, "--secret", path, "secret", "roll"], check=True, capture_output=True)
    assert re.findall(r"^stek-fleet-v1 (\S+)$", path.read_text(), re.M) == fleet


def test_stekctl_paths_from_environment_and_beside_the_ring(stekctl):
    def show(*args, **env):
        environ = {k: v for k, v in os.environ.items() if not k.startswith("STEK_")}
        return subprocess.run(
            [BINARY, *args, "--json", "show"],
            capture_output=True,
            text=True,
            env=dict(environ, **env),
        )

    ring, secret = str(stekctl.ring_path), str(stekctl.secret_path)
    assert json.loads(show("--ring", ring).stdout)["ring"] == ring
    assert json.loads(show(STEK_RING=ring).stdout)["ring"] == ring
    moved = stekctl.root / "elsewhere"
    stekctl.secret_path.rename(moved)
    assert secret in show(STEK_RING=ring).stderr
    assert show(STEK_RING=ring, STEK_SECRET=str(moved)).returncode == 0
    assert show("--ring", ring, "--secret", str(moved), STEK_SECRET="/nowhere").returncode == 0
    assert "/run/apache2-x/stek_rotate/default.ring" in show("--instance", "x").stderr
    assert show("--instance", "a/b").returncode == 2


SHOW_KEYS = [
    "ring",
    "healthy",
    "problems",
    "notes",
    "now",
    "epoch",
    "generation",
    "written_at",
    "interval",
    "lifetime",
    "sealed_by",
    "secrets",
    "rotation_valid",
    "next_key_ready",
    "next_rotation",
    "covered_until",
    "keys",
    "tombstones",
]
KEY_KEYS = [
    "name",
    "state",
    "bits",
    "epoch",
    "created",
    "not_before",
    "encrypt_until",
    "decrypt_until",
]


def test_stekctl_json_members_as_documented(stekctl):
    stekctl.run("revoke", stekctl.current().name.hex())
    show = stekctl.json("show")
    assert list(show) == SHOW_KEYS and all(list(key) == KEY_KEYS for key in show["keys"])
    assert all(re.fullmatch("[0-9a-f]{8}", key["name"]) for key in show["keys"])
    assert list(show["tombstones"][0]) == ["name", "until"]
    changed = ["done", "ring", "epoch", "generation", "keys", "tombstones", "key"]
    assert list(stekctl.json("rotate")) == changed
    assert list(stekctl.json("revoke", "--all")) == changed
    out = ["--format", "dnsdist", "--out", stekctl.root / "out"]
    assert list(stekctl.json("export", *out)) == [
        "done",
        "ring",
        "format",
        "out",
        "epoch",
        "generation",
        "keys",
        "key",
    ]
    audit = stekctl.json("audit", stekctl.root / "out", stekctl.ring_path)
    assert list(audit) == ["keys", "weak", "files"]
    assert list(audit["files"][0]) == ["path", "read", "format", "open_to_others", "keys"]
    assert list(audit["files"][0]["keys"][0]) == ["name", "bits", "weakness"]
    imported = stekctl.json("import", *out[:2], stekctl.root / "out")
    assert list(imported) == ["done", "ring", "epoch", "generation", "imported"]
    assert list(imported["imported"][0]) == ["path", "name", "result", "until"]
    assert list(stekctl.json("secret", "roll")) == ["done", "secret", "secrets", "resealed"]
    page = (Path(__file__).resolve().parents[2] / "docs" / "stekctl.8").read_text()
    for member in {
        *SHOW_KEYS,
        *KEY_KEYS,
        *changed,
        *audit,
        *audit["files"][0],
        *imported,
        *imported["imported"][0],
        "weakness",
        "resealed",
        "secret",
        "format",
        "out",
    }:
        assert re.search(rf"\b{member}\b", page), f"{member} is not documented"


def test_stekctl_output_never_holds_a_secret(stekctl):
    commands = [
        ["show"],
        ["rotate"],
        ["audit", stekctl.ring_path],
        ["export", "--format", "haproxy", "--out", stekctl.root / "out"],
        ["import", "--format", "haproxy", stekctl.root / "out"],
        ["secret", "roll", "--reseal"],
        ["revoke", "--all"],
        ["--help"],
        ["secret", "--help"],
    ]
    text, needles = "", set()
    for command in commands:
        for extra in ([], ["--json"]):
            done = stekctl.run(*extra, *command)
            text += done.stdout + done.stderr
        for secret in [
            half for key in stekctl.ring().keys for half in key.secret_bytes
        ] + ringfile.read_secrets(stekctl.secret_path):
            needles |= {
                secret.hex()[:16],
                secret.hex()[-16:],
                base64.b64encode(secret).decode()[:16],
            }
        needles |= {key.name.hex()[:12] for key in stekctl.ring().keys}
    assert len(needles) > 20 and not [
        needle for needle in needles if needle in text.lower() or needle in text
    ]


def test_stekctl_show_fits_80_columns_without_colour(stekctl):
    stekctl.run("rotate", "--in", "40min")
    stekctl.run("revoke", stekctl.current().name.hex())
    ring = stekctl.ring()
    ring.generation, ring.written_at = 2**40, int(time.time()) + 86400 * 300
    put(stekctl, ring)
    for locale in ("C", "C.UTF-8"):
        text = stekctl.run("show", env={"LC_ALL": locale}, expect=FINDING).stdout
        lines = text.splitlines()[1:]  # the first is the path
        assert max(map(len, lines)) <= 80 and "\x1b" not in text
        assert ("\u2502" in text) == (locale != "C")
        rows = [line for line in lines if re.match(r"(STATE|future|current|old) ", line)]
        assert (
            len({row.index("|" if locale == "C" else "\u2502") for row in rows}) == 1
        ), "now: one line"
    ring.interval, ring.lifetime, ring.written_at = 5, 604800, int(time.time())
    start = int(time.time()) - 10
    ring.keys = [ringfile.make_key(start + 5 * i, 5, 604800) for i in range(40)]
    put(stekctl, ring)
    text = stekctl.run("show").stdout
    assert max(map(len, text.splitlines()[1:])) <= 80


def test_stekctl_times_are_in_utc_and_say_so(stekctl):
    """As on httpd's status page, wherever the host is."""
    there = {"TZ": "Asia/Kathmandu"}
    text = stekctl.run("rotate", "--in", "30min", env=there).stdout
    point = r"(?:\w{3} \d\d )?([\d:]{8}) UTC"
    found = re.search(rf"key (\w+) encrypts from {point} to {point}\n", text)
    assert found, text
    key = next(k for k in stekctl.json("show")["keys"] if k["name"] == found[1])
    times = [time.gmtime(key[at]) for at in ("not_before", "encrypt_until")]
    assert list(found.groups()[1:]) == [time.strftime("%H:%M:%S", t) for t in times]
    text = stekctl.run("show", env=there).stdout
    assert "SLOT (UTC)" in text and "ENDS (UTC)" in text and " UTC, to " in text
    assert time.strftime("%b %d %H:%M-", times[0]) in text


def test_stekctl_show_says_in_words_what_is_wrong(stekctl):
    now = int(time.time())
    ring = stekctl.ring()
    cases = [
        ([ringfile.make_key(now - 7200)], "there is no current key"),
        ([], "there is no current key"),
        ([ringfile.make_key(now - 100, 130)], "none is prepared"),
        ([ringfile.make_key(now - 10, 7200)], None),
    ]
    for keys, text in cases:
        ring.keys = keys
        put(stekctl, ring)
        done = stekctl.run("show", expect=FINDING if text else 0)
        words = " ".join(done.stdout.split())
        assert (
            (f"WRONG: {text}" in words or "WRONG" in words and text in words)
            if text
            else "healthy" in words
        )
        assert stekctl.json("show", expect=None)["healthy"] is (text is None)
    ring.written_at = now + 3600
    put(stekctl, ring)
    assert "clock" in stekctl.run("show", expect=FINDING).stdout


def test_stekctl_help_for_each_command_and_version(stekctl):
    top = stekctl.run("--help").stdout
    assert max(map(len, top.splitlines())) <= 96
    for name in ("new", "show", "rotate", "revoke", "audit", "import", "export", "secret"):
        text = stekctl.run(name, "--help").stdout
        assert text.startswith("usage: stekctl") and name in top and len(text.splitlines()) > 3
    version = re.search(
        r'STEK_VERSION "(.*)"',
        (Path(__file__).resolve().parents[2] / "include/stek_version.h").read_text(),
    ).group(1)
    assert stekctl.run("--version").stdout == (
        f"stekctl {version}\nstores: memcached, Redis, etcd\nstore workers confined by: seccomp, Landlock\n"
        "probes of many hosts at a time: libevent\n")


@pytest.mark.parametrize("way", ["q", "^C", signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=str)
def test_stekctl_watch_redraws_and_restores_terminal(stekctl, way):
    terminal = Terminal(stekctl.command("show", "--watch"))
    try:
        wait_for(lambda: "current" in terminal.read(), "the first picture")
        assert terminal.text.startswith("\x1b[?1049h\x1b[?25l")
        assert not termios.tcgetattr(terminal.fd)[3] & termios.ECHO
        name = stekctl.json("rotate", "--in", "30min")["key"]["name"]
        wait_for(lambda: name in terminal.read(), "a redraw with the new key")
        if isinstance(way, str):
            os.write(terminal.fd, b"q" if way == "q" else b"\x03")
        else:
            os.kill(terminal.pid, way)
        wait_for(terminal.ended, "the end")
        assert terminal.status == 0 and terminal.read().endswith("\x1b[?25h\x1b[?1049l")
        assert termios.tcgetattr(terminal.fd)[:4] == terminal.before[:4]
    finally:
        terminal.close()


def test_stekctl_watch_stop_and_continue(stekctl):
    terminal = Terminal(stekctl.command("show", "--watch"))
    try:
        wait_for(lambda: "current" in terminal.read(), "the first picture")
        os.kill(terminal.pid, signal.SIGTSTP)
        wait_for(
            lambda: os.waitid(os.P_PID, terminal.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT),
            "a stop",
        )
        assert terminal.read().endswith("\x1b[?25h\x1b[?1049l")
        assert termios.tcgetattr(terminal.fd)[3] & termios.ECHO
        seen = len(terminal.text)
        os.kill(terminal.pid, signal.SIGCONT)
        wait_for(lambda: "\x1b[?1049h" in terminal.read()[seen:], "the screen again")
        wait_for(lambda: "current" in terminal.read()[seen:], "a picture")
    finally:
        terminal.close()


def test_stekctl_watch_bad_ring_is_told_in_place_and_recovers(stekctl):
    terminal = Terminal(stekctl.command("show", "--watch"))
    try:
        wait_for(lambda: "current" in terminal.read(), "the first picture")
        good = stekctl.ring_path.read_bytes()
        stekctl.ring_path.write_bytes(good[:50])
        wait_for(lambda: "\x1b[H" + str(stekctl.ring_path) + ": " in terminal.read(), "the fault")
        seen = len(terminal.text)
        stekctl.ring_path.write_bytes(good)
        wait_for(lambda: "current" in terminal.read()[seen:], "the picture again")
    finally:
        terminal.close()


@pytest.mark.parametrize(
    "env,colour",
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
    ids=str,
)
def test_stekctl_colour_only_on_a_terminal_that_wants_it(stekctl, env, colour):
    terminal = Terminal(stekctl.command("show"), **env)
    try:
        wait_for(terminal.ended, "the end")
        text = terminal.read()
        assert "current" in text and ("\x1b[" in text) == colour
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "").splitlines()[1:]
        assert max(map(len, plain)) <= 80
    finally:
        terminal.close()


class Writer(threading.Thread):
    """Rotates, and revokes every second key that it made, again and again."""

    def __init__(self, stekctl, rounds):
        super().__init__()
        self.stekctl, self.rounds = stekctl, rounds
        self.kept, self.revoked, self.fault, self.writes = [], [], None, 0

    def run(self):
        try:
            for i in range(self.rounds):
                ahead = f"{random.randrange(300, 3000)}s"
                name = self.stekctl.json("rotate", "--in", ahead)["key"]["name"]
                self.writes += 1
                if i % 2:
                    self.kept.append(name)
                else:
                    self.stekctl.run("revoke", name)
                    self.writes += 1
                    self.revoked.append(name)
        except Exception as fault:  # told by the main thread
            self.fault = fault


def run_writers(stekctl, n, rounds):
    writers = [Writer(stekctl, rounds) for _ in range(n)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(600)
        assert not writer.is_alive(), "a deadlock"
        assert not writer.fault, writer.fault
    return writers


def assert_nothing_lost(ring, writers):
    names = {key.name.hex()[:8] for key in ring.keys}
    tombs = {name.hex()[:8] for name, _ in ring.tombstones}
    for writer in writers:
        assert set(writer.kept) <= names, "a lost rotation"
        assert set(writer.revoked) <= tombs and not set(writer.revoked) & names, "a lost revocation"


def test_stekctl_three_writers_no_lost_update(stekctl):
    generation = stekctl.ring().generation
    writers = run_writers(stekctl, 3, 60)
    ring = stekctl.ring()
    assert_nothing_lost(ring, writers)
    assert ring.generation == generation + sum(writer.writes for writer in writers)


def test_stekctl_killed_writer_leaves_no_stale_lock(stekctl):
    """SIGKILL at growing delays: the ring is always the old or the new one, and the next writer
    gets the lock at once."""
    for i in range(60):
        process = subprocess.Popen(stekctl.command("rotate"), stdout=subprocess.DEVNULL)
        time.sleep(i * 0.0003)
        process.kill()
        process.wait()
        before = stekctl.ring().generation
        began = time.monotonic()
        stekctl.run("rotate")
        assert time.monotonic() - began < 5 and stekctl.ring().generation == before + 1


def test_stekctl_stopped_writer_others_wait_no_longer_than_their_limit(stekctl):
    """A writer that is stopped, wherever it is: others change the ring or say that it is locked."""
    seen = set()
    for i in range(40):
        process = subprocess.Popen(stekctl.command("rotate"), stdout=subprocess.DEVNULL)
        time.sleep(i % 20 * 0.0004)
        os.kill(process.pid, signal.SIGSTOP)
        try:
            seen.add(stekctl.run("rotate", expect=None).returncode)
        finally:
            os.kill(process.pid, signal.SIGCONT)
            process.wait()
        if IO in seen:
            break
    assert seen <= {0, IO}
    stekctl.run("rotate")
