# SPDX-License-Identifier: Apache-2.0
"""What stekctl probe --collect keeps, --analyse judges as the live run did; the file is its owner's only, and
no file can crash the reader."""
import csv
import json
import os
import re
import stat
import subprocess
from contextlib import closing

import pytest

from httpd import free_port
from probe_tool import HERE, Balancer, Peer, ProbedNginx, Report, Sins, json_lines, relay, run
from seed import seeded_rng
from stekctl_tool import BINARY, DONE, FINDING, IO, USAGE

pytestmark = pytest.mark.timeout(300)
# The rows of the table: what is put together word by word has no name that the server takes.
SINS = re.findall(r'^    \{\.name = "([a-z0-9-]+)"', (HERE / "sins.c").read_text(), re.M)
ROUNDS = 8


@pytest.fixture
def sinner(folder, certs, sins_binary):
    programs = []

    def make(sin):
        programs.append(Sins(folder, certs, sins_binary, sin))
        return programs[-1].start().port

    yield make
    for program in programs:
        program.stop()


def analyse(path, *args, **options):
    """(exit code, hosts)"""
    done = run("--json", "--analyse", path, *args, **options)
    hosts, groups = json_lines(done.stdout)
    assert len(hosts) > 1 or not groups
    return done.returncode, hosts


@pytest.mark.parametrize("part", range(2))
def test_probe_offline_as_live(sinner, folder, part):
    chance = seeded_rng(part)
    for number in range(ROUNDS // 2):
        sins = chance.sample(SINS, chance.choice((1, 1, 1, 2)))
        hosts = [f"{chance.choice(('localhost', '127.0.0.1'))}:{sinner(sin)}" for sin in sins]
        if chance.random() < 0.3:
            hosts.insert(chance.randint(0, len(hosts)), f"127.0.0.1:{free_port()}")
        args = ["--level", "quick", "--tickets", chance.randint(1, 6), "--tls",
                ",".join(chance.sample(("1.0", "1.1", "1.2", "1.3"), chance.randint(1, 3)))]
        args += ["--sni", chance.choice(("a.test", "a.test,b.test", "b.test,a.test"))] if chance.random() < 0.5 else []
        print(sins, hosts, args)
        path = folder / f"seen-{number}"
        live = Report(*args, "--collect", path, *hosts, expect=(DONE, FINDING, IO))
        code, seen = analyse(path, "--level", "quick", expect=(DONE, FINDING, IO))
        assert seen == live.whole["hosts"]
        assert code == (FINDING if live.whole["findings"] else live.code)


@pytest.mark.parametrize("version, level, steady, key, is_found", [
    ("1.2", "quick", 1, bytes(32), True),  # the first version that shows the key's name
    ("1.3", "quick", 1, bytes(32), False), ("1.3", "quick", 0, b"changeme" * 4, True),
    ("1.2", "normal", 1, b"changeme" * 4, True), ("1.3", "normal", 1, b"changeme" * 4, True)])
def test_probe_second_key_of_one_name_found(sinner, folder, version, level, steady, key, is_found):
    """The last connection of a version has met another backend, whose key is weak and has the same name."""
    lines = {}
    for kind, key in (("good", ""), ("zero", f",key={key.hex()}")):
        port = sinner(f"mix:name={b'one for both'.hex()}{key}")
        run("--level", "quick", "--tickets", 6, "--collect", folder / kind, f"localhost:{port}")
        lines[kind] = (folder / kind).read_text().splitlines(keepends=True)
    begin, other = ([i for i, line in enumerate(lines[kind]) if line.startswith(f"version {version} ")][0]
                    for kind in ("good", "zero"))
    lines["good"][begin] = re.sub(r"steady=\d", f"steady={steady}", lines["good"][begin])
    mine, theirs = ([i for i, line in enumerate(lines[kind]) if line.startswith("ticket ") and i > first]
                    for kind, first in (("good", begin), ("zero", other)))
    mine = [i for i in mine if not any(line.startswith("version ") for line in lines["good"][begin + 1:i])]
    connection = re.search(r"connection=\d+", lines["good"][mine[-1]])[0]
    lines["good"][mine[-1]] = re.sub(r"connection=\d+", connection, lines["zero"][theirs[0]])
    (folder / "both").write_text("".join(lines["good"]))
    _, hosts = analyse(folder / "both", "--level", level)
    found = {(part["version"][4:], test["test"]) for part in hosts[0]["versions"] for test in part["tests"]
             if test["verdict"] == "broken"}
    assert found == ({(version, "cipher-key")} if is_found else set())


def as_live(folder, *args, expect=(DONE, FINDING)):
    """What an analysis says, after a live run that says the same, member by member."""
    live = Report(*args, "--collect", folder / "seen", expect=expect)
    code, seen = analyse(folder / "seen", "--level", args[1], expect=expect)
    assert seen == live.whole["hosts"] and code == live.code
    return live


def test_probe_offline_knows_who_had_enough(sinner, folder):
    target, turn = sinner("good"), []

    def treat(sock, first):
        turn.append(1)
        if len(turn) <= 12:
            relay(sock, first, target)

    with closing(Peer(treat)) as proxy:
        live = as_live(folder, "--level", "quick", f"127.0.0.1:{proxy.port}")
    assert live.host["verdict"] == "not testable"
    assert {"version": "TLS 1.3", "test": "support"}.items() <= live.host["untested"][-1].items()


@pytest.mark.parametrize("balance", ["roundrobin", "random"])
def test_probe_offline_behind_a_balancer(sinner, start, folder, balance):
    """Whose tickets, which answers: what the connections showed is there."""
    ports = [sinner("mix:cipher=aes-128-cbc,key=00"), sinner("good"), start(ProbedNginx, "ssl_session_tickets off;").port]
    as_live(folder, "--level", "quick", "--tickets", 20, f"127.0.0.1:{start(Balancer, balance, ports).port}")


def test_probe_offline_shows_the_difference_in_time_that_would_have_been_seen(sinner, folder):
    live = as_live(folder, "--level", "quick", "--tls", "1.3", f"127.0.0.1:{sinner('good')}")
    assert not any("detectable_microseconds" in test for test in live.versions["1.3"]["tests"])
    text = (folder / "seen").read_text()
    # Level deep, which measures, takes minutes.
    (folder / "deep").write_text(re.sub(r"(finding padding .*\n)", r"\1detectable 1234\n", text))
    _, seen = analyse(folder / "deep", "--level", "quick")
    assert [test["test"] for test in seen[0]["versions"][0]["tests"]
            if test.get("detectable_microseconds") == 1234] == ["padding"]


def test_probe_offline_forges_nothing(sinner, folder):
    """A key that only a later list has."""
    key = os.urandom(32)
    Report("--level", "quick", "--tls", "1.3", "--collect", folder / "seen",
           f"127.0.0.1:{sinner(f'mix:key={key.hex()}')}").assert_clean()
    (folder / "list").write_text(key.hex())
    code, seen = analyse(folder / "seen", "--level", "quick", "--keys", folder / "list")
    found = next(test for test in seen[0]["versions"][0]["tests"] if "found" in test)
    assert code == FINDING and found["forged"] == "not tried" and "not testable offline" in found["text"]


def test_probe_offline_finds_more_when_deeper(sinner, folder):
    """A list grows: what quick had missed, a later analysis of the same file finds."""
    live = Report("--level", "quick", "--tls", "1.2", "--collect", folder / "seen",
                  f"localhost:{sinner('good')}").assert_clean()
    text = (folder / "seen").read_text()
    ticket = re.search("secret=([0-9a-f]+) more=[0-9a-f]* nonce= bytes=([0-9a-f]+)", text)
    assert len(ticket[1]) == 96 and live.versions["1.2"]["least_length"] <= len(ticket[2]) / 2
    # A ticket that is its own secret in the clear.
    plain = re.sub("secret=([0-9a-f]+) more=[0-9a-f]* nonce= bytes=[0-9a-f]+", r"secret=\1 more= nonce= bytes=\1", text)
    (folder / "plain").write_text(plain)
    code, seen = analyse(folder / "plain")
    assert code == FINDING and '"contains the session' in json.dumps(seen)


def test_probe_collected_file_is_private_and_never_overwritten(sinner, folder):
    path, where = folder / "seen", f"localhost:{sinner('good')}"
    Report("--level", "quick", "--tls", "1.3", "--collect", path, where)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    done = run("--level", "quick", "--collect", path, where, expect=(IO,))
    assert "exists" in done.stderr and path.read_bytes() == before
    (folder / "link").symlink_to(folder / "elsewhere")
    run("--level", "quick", "--collect", folder / "link", where, expect=(IO,))
    assert not (folder / "elsewhere").exists()


def test_probe_offline_text(sinner, folder):
    path = folder / "seen"
    live = run("--level", "quick", "--collect", path, f"localhost:{sinner('aes256-zero')}")
    told = run("--level", "quick", "--analyse", path)
    assert told.stdout.splitlines()[1:] == live.stdout.splitlines()[1:]
    assert re.fullmatch(r"localhost:\d+: probed 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", told.stdout.splitlines()[0])
    with open(path) as stream:
        assert subprocess.run([BINARY, "probe", "--level", "quick", "--analyse", "-"], stdin=stream,
                              capture_output=True, text=True).stdout == told.stdout


def test_probe_offline_incomplete_host_left_out(sinner, folder):
    path = folder / "seen"
    ports = sinner("good"), sinner("plain")
    Report("--level", "quick", "--collect", path, *(f"localhost:{port}" for port in ports))
    whole = path.read_bytes()
    first = whole.index(b"\nend\n") + 5
    for cut in (first, first + 3, len(whole) - 2, len(whole) - 1):
        (folder / "cut").write_bytes(whole[:cut])
        code, seen = analyse(folder / "cut")
        assert [host["port"] for host in seen] == [ports[0]] and code == DONE


def test_probe_offline_bad_files_told(sinner, folder):
    path = folder / "seen"
    Report("--level", "quick", "--tickets", 2, "--collect", path, f"localhost:{sinner('gcm-zero')}")
    whole = path.read_bytes()
    for content, words in ((b"", "not a file of"), (b"stek-probe 2\n" + whole[13:], "newer version"),
                           (os.urandom(4096), "not a file of"), (b"stek-probe 1\nend\n", "line 2: expected 'host"),
                           (whole.replace(b"bytes=", b"bytes=g", 1), "malformed 'ticket'"),
                           (whole.replace(b"ticket", b"tickets", 1), "malformed 'tickets'"),
                           (whole.replace(b"\nend\n", b"\nend \n"), "malformed 'end'"),
                           (whole.replace(b"version 1.3", b"version 1.2", 1), "malformed 'version'")):
        (folder / "bad").write_bytes(content)
        done = run("--analyse", folder / "bad", expect=(IO,))
        assert words in done.stderr and done.stderr.count("\n") == 1
    run("--analyse", folder / "none", expect=(IO,))
    chance = seeded_rng()
    for _ in range(60):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            at, n = chance.randrange(len(content)), chance.choice((0, 1, 1, 1, 20, 3000))
            content[at:at + n] = chance.choice((b"", b" ", b"\n", b"0", b"-", b"9" * 30, chance.randbytes(3)))
        (folder / "bad").write_bytes(content)
        done = run("--level", "quick", "--analyse", folder / "bad", expect=(DONE, FINDING, IO))
        assert done.returncode != IO or done.stderr.count("\n") == 1


def test_probe_csv_as_json(sinner, folder):
    table = folder / "table.csv"
    dead = free_port()
    live = Report("--level", "quick", "--csv", table, f"127.0.0.1:{dead}", f"localhost:{sinner('iv-ctr')}",
                  expect=(FINDING,))
    with open(table, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["host"] == "127.0.0.1" and rows[0]["port"] == str(dead)
    assert "cannot be reached" in rows[0]["failure"] and not rows[0]["verdict"]
    assert [row["version"] for row in rows[1:]] == ["TLS 1.2", "TLS 1.3"]
    for row in rows[1:]:
        for test, (verdict, _) in live[row["version"][4:]].items():
            assert row[test] == verdict
        assert row["verdict"] == "broken" and not row["failure"]


@pytest.mark.parametrize("args", [["--analyse", "f", "h"], ["--analyse", "f", "--collect", "g"]])
def test_probe_bad_offline_usage_told(args):
    done = run(*args, expect=(USAGE,))
    assert done.stderr.startswith("stekctl: ") and not done.stdout
