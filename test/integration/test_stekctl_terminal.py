# SPDX-License-Identifier: Apache-2.0
"""stekctl as people meet it on a terminal: what they see last, what it makes of what they mistype, and how
lines break."""
import json
import os
import random
import re
import subprocess
import time

import pytest

import ringfile
from httpd import wait_for
from seed import seeded_rng
from stekctl_tool import BINARY, DONE, FINDING, IO, USAGE, REFUSED, Stekctl
from terminal import Terminal

COMMANDS = ["new", "show", "rotate", "revoke", "audit", "import", "export", "probe", "secret", "sync", "fleet"]
SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def stekctl(folder):
    one = Stekctl(folder)
    one.run("new")
    return one


def put_keys(stekctl, n, future=1):
    """n keys, one an hour; the current one is that of this hour."""
    hour = int(time.time()) // 3600 * 3600
    ring = stekctl.ring()
    ring.keys = [ringfile.make_key(hour + 3600 * (future - i)) for i in range(n)]
    stekctl.ring_path.write_bytes(ring.seal(ringfile.read_secrets(stekctl.secret_path)[0]))
    return ring.keys[future].name[:4].hex()


def shown(stekctl, *args, **options):
    terminal = Terminal(stekctl.command(*args), **options)
    try:
        wait_for(terminal.ended, "the end")
        return terminal.read().replace("\r", "")
    finally:
        terminal.close()


def screen(text, rows):
    """What the last rows of a terminal show."""
    return SGR.sub("", text).splitlines()[-rows:]


@pytest.mark.parametrize("trouble", [False, True])
def test_stekctl_show_ends_with_the_verdict_even_with_25_keys(stekctl, trouble):
    put_keys(stekctl, 25, future=1 if not trouble else -2)
    text = shown(stekctl, "show", rows=24)
    last = screen(text, 24)
    if trouble:
        assert any(line.startswith("WRONG: there is no current key") for line in last[-3:]), last
        assert "\x1b[1;31mWRONG:\x1b[0m" in text
    else:
        assert last[-1] == "healthy" and text.endswith("\x1b[1;32mhealthy\x1b[0m\n")
        assert last[-4].startswith("rotates in ") or last[-3].startswith("rotates in ") or \
            last[-2].startswith("rotates in "), last
    # Without a terminal, in the same order.
    done = stekctl.run("show", expect=FINDING if trouble else DONE).stdout
    assert "\x1b" not in done and done.splitlines()[-1:] == last[-1:]


def test_stekctl_show_current_key_stands_out(stekctl):
    name = put_keys(stekctl, 5)
    rows = [line for line in shown(stekctl, "show").splitlines() if re.search(r"(future|current|old) ", line)]
    assert len(rows) == 5
    for row in rows:
        state = re.search("future|current|old", row)[0]
        assert row.startswith({"future": "\x1b[36m", "current": "\x1b[1;32m", "old": "\x1b[2m"}[state]), row
        assert (name in row) == (state == "current")
        # The colour is that of the whole row: it ends only where now is.
        assert SGR.sub("", row[:row.index("\x1b[0m")]).rstrip().count(" ") > 3, row


@pytest.mark.parametrize("rows", [10, 16, 24, 40])
def test_stekctl_watch_shows_current_key_and_verdict_in_every_height(stekctl, rows):
    name = put_keys(stekctl, 25, future=1 + random.randrange(20))
    terminal = Terminal(stekctl.command("show", "--watch"), rows=rows)
    try:
        wait_for(lambda: "healthy" in terminal.read(), "the verdict")
        picture = SGR.sub("", terminal.text.split("\x1b[H")[1]).replace("\r", "")
        assert re.search(rf"current {name} ", picture), picture
        assert len(picture.split("\x1b[J")[0].splitlines()) <= rows
        hidden = re.search(r"(\d+) more keys?", picture)
        seen = len(re.findall(r"(?m)^(?:future|current|old|ended) ", picture))
        assert seen + (int(hidden[1]) if hidden else 0) == 25
        assert (hidden is None) == (rows == 40)
    finally:
        terminal.close()


def test_stekctl_show_finds_a_ring_by_name(stekctl):
    folder = stekctl.ring_path.parent
    env = {"STEK_RING": str(folder / "default.ring")}
    for name in ("default", "tenants"):
        Stekctl(folder, f"{name}.ring").run("new")

    def show(*args, expect=DONE):
        done = subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=30,
                              env={**os.environ, **env})
        assert done.returncode == expect, done
        return done
    for name in ("default", "tenants", "a"):
        assert json.loads(show("--json", "show", name).stdout)["ring"] == str(folder / f"{name}.ring")
    assert json.loads(show("--json", "show").stdout)["ring"] == env["STEK_RING"]
    assert f"{folder}/tenent.ring: no ring 'tenent' here (did you mean 'tenants'?); there are: a default tenants" \
        in show("show", "tenent", expect=IO).stderr
    for wrong in ("", ".", "../a", "/a"):
        assert "ring name" in show("show", wrong, expect=USAGE).stderr
    # Its secret goes with it, unless one is given.
    assert "sealed with a secret that is not in" in show("--secret", str(folder / "a.secret"), "show", "tenants",
                                                         expect=REFUSED).stderr


def test_stekctl_help_and_version_as_people_ask_for_them(stekctl):
    top, version = stekctl.run("--help").stdout, stekctl.run("--version").stdout
    for args in (["-h"], ["help"], ["help", "--help"], ["help", "-h"]):
        assert stekctl.run(*args).stdout == top
    for args in (["-V"], ["version"]):
        assert stekctl.run(*args).stdout == version
    for name in COMMANDS:
        text = stekctl.run(name, "--help").stdout
        assert text.startswith(f"usage: stekctl [OPTIONS] {name} ")
        assert stekctl.run(name, "-h").stdout == stekctl.run("help", name).stdout == text
    for args in (["help", "shw"], ["help", "show", "more"], ["version", "1"], ["show", "-x"], ["-x", "show"],
                 ["show", "-hx", "-xh"]):
        assert stekctl.run(*args, expect=None).returncode in (USAGE, DONE)
    assert "did you mean 'show'?" in stekctl.run("help", "shw", expect=USAGE).stderr


def options_of(stekctl, command):
    return sorted(set(re.findall(r"--[a-z][a-z0-9-]+", stekctl.run(command, "--help").stdout)))


def test_stekctl_did_you_mean_finds_what_was_mistyped(stekctl):
    """Every command and option with one slip of the finger, drawn by chance."""
    chance = seeded_rng()

    def slip(word):
        at = chance.randrange(len(word) - 1)
        return chance.choice([word[:at] + word[at + 1:], word[:at] + word[at + 1] + word[at] + word[at + 2:],
                              word[:at] + "_" + word[at + 1:], word[:at] + "_" + word[at:]])
    for command in COMMANDS:
        while (wrong := slip(command)) in COMMANDS:
            pass
        done = stekctl.run(wrong, expect=USAGE)
        assert done.stderr == (f"stekctl: unknown command '{wrong}' (did you mean '{command}'?); "
                               "see 'stekctl --help'\n"), wrong
    for command in COMMANDS:
        options = [option for option in options_of(stekctl, command) if option not in ("--json", "--secret")]
        for option in options:
            while (wrong := "--" + slip(option[2:])) in options or len(wrong) < 5:
                pass
            stderr = stekctl.run(command, wrong, expect=USAGE).stderr
            assert f"unknown option '{wrong}' (did you mean '--" in stderr, (command, option, stderr)
    for option in ("--ring", "--secret=x", "--instance", "--version"):
        assert f"option '{option}' must come before the command" in stekctl.run("show", option, expect=USAGE).stderr
    for far in ("--zzz", "--", "xyzzy"):
        assert "did you mean" not in stekctl.run(far, expect=USAGE).stderr


@pytest.mark.parametrize("args,code", [
    (["shw"], USAGE), ([], USAGE), (["show", "--nothing"], USAGE), (["--nothing"], USAGE),
    (["rotate", "--in", "x"], USAGE), (["show", "nobody"], IO), (["revoke", "00000000"], REFUSED),
    (["export", "--format", "nginx"], USAGE), (["secret", "new"], REFUSED), (["sync", "--once"], USAGE),
    (["fleet", "nobody"], IO), (["new"], REFUSED)], ids=str)
@pytest.mark.parametrize("where", [0, 1])
def test_stekctl_json_for_errors_too(stekctl, args, code, where):
    if where and not args:
        args = ["--json"]
    else:
        args = [*args[:where], "--json", *args[where:]]
    done = stekctl.run(*args, expect=None)
    assert done.returncode == code, done
    value = json.loads(done.stdout)
    assert value == {"errors": [line.removeprefix("stekctl: ") for line in done.stderr.splitlines()],
                     "exit_code": code}
    assert value["errors"]


@pytest.mark.parametrize("columns", [30, 44, 60, 80, 130])
def test_stekctl_breaks_no_words(stekctl, columns):
    """A terminal of any width: every line ends between words, and the words are those of a wide one."""
    put_keys(stekctl, 3, future=-2)
    for args in (["--help"], ["sync", "--help"], ["help", "probe"], ["show"], ["show", "nobody"], ["frobnicate"],
                 ["rotate", "--in", "never"]):
        wide = SGR.sub("", shown(stekctl, *args, columns=200))
        text = SGR.sub("", shown(stekctl, *args, columns=columns))
        for line in text.splitlines():
            row = args == ["show"] and re.match("(STATE|old) ", line)  # has 35 columns at least
            assert len(line.rstrip()) <= max(columns, 35 if row else 0) or " " not in line.strip(), (args, line)
        if args != ["show"]:
            assert text.split() == wide.split()
        else:
            sentences = [part[part.index("WRONG"):].split() for part in (text, wide)]
            assert sentences[0] == sentences[1]
