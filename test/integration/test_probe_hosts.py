# SPDX-License-Identifier: Apache-2.0
"""stekctl probe --hosts: a list of hosts, many at a time, judged as one by one; interrupted, resumed, in
bounded memory, at the rates given."""
import csv
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from httpd import free_port
from probe_scale import Everywhere, Far, Run, addresses, dead
from probe_tool import Report, json_lines, run, until
from seed import seeded_rng
from stekctl_tool import BINARY, DONE, FINDING, IO, USAGE

pytestmark = pytest.mark.timeout(300)
FEW = ("--level", "quick", "--tls", "1.3", "--tickets", 2)
FAST = ("--rate", 1000, "--total-rate", 10000)
LONG = 3000


@pytest.fixture
def many(start):
    """nginx on every address of 127.0.0.0/8: many(n)."""
    server = start(Everywhere)
    return lambda n: addresses(n, server.any_port)


def write(path, hosts):
    path.write_text("".join(f"{host}\n" for host in hosts))
    return path


def lines_n(path):
    return path.read_bytes().count(b"\n")


def scan(path, *args, expect=(DONE, FINDING), **options):
    """(what came on standard error, results by host and port)"""
    done = run("--json", "--hosts", path, *args, expect=expect, **options)
    hosts, _ = json_lines(done.stdout)
    found = {(host["host"], host["port"]): host for host in hosts}
    assert len(found) == len(hosts)
    return done, found


def verdicts(host):
    return host["failure"], [(v["version"], t["test"], t["verdict"]) for v in host["versions"] for t in v["tests"]]


def test_probe_hosts_as_one_by_one(sinner, folder):
    sins = ("good", "aes256-zero", "plain", "iv-cbc", "no-mac-ctr", "long-hint", "big")
    places = [f"localhost:{sinner(sin).port}" for sin in sins] + [f"127.0.0.1:{free_port()}", "no-such.invalid:1"]
    path = folder / "list"
    path.write_text("# a comment\n\n" + "".join(f"  {place}\t # why\r\n" for place in places))
    done, found = scan(path, "--level", "quick", *FAST, "--csv", folder / "csv", "--collect", folder / "seen")
    assert done.returncode == FINDING and done.stderr == "" and len(found) == len(places)
    one_by_one = Report("--level", "quick", *places, expect=(FINDING,)).whole["hosts"]
    for host in one_by_one:
        other = found[host["host"], host["port"]]
        # One by one, tickets of earlier hosts are offered to later ones; names from a list are resolved by
        # libevent, which words failures in its own way.
        if host["failure"]:
            assert other["failure"][:20] == host["failure"][:20]
        else:
            assert [v for v in verdicts(other)[1] if v[1] != "confusion"] == \
                [v for v in verdicts(host)[1] if v[1] != "confusion"]
    with open(folder / "csv", newline="") as stream:
        assert {(row["host"], int(row["port"])) for row in csv.DictReader(stream)} == set(found)
    again = run("--json", "--level", "quick", "--analyse", folder / "seen").stdout
    assert json_lines(again)[0] == list(found.values())


def test_probe_hosts_search_on_every_processor(many, folder):
    path = write(folder / "list", many(40))
    process = subprocess.Popen([BINARY, "probe", "--json", "--level", "quick", *map(str, FAST), "--hosts", path],
                               stdout=subprocess.DEVNULL)
    ticks = {}
    try:
        while process.poll() is None:
            for thread in Path(f"/proc/{process.pid}/task").glob("*/stat"):
                try:
                    ticks[thread.parent.name] = int(thread.read_text().rsplit(")", 1)[1].split()[11])
                except OSError:
                    pass  # it has ended
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    workers = [n for thread, n in ticks.items() if thread != str(process.pid)]
    assert len(workers) == os.cpu_count() and min(workers) > 0, ticks


def test_probe_hosts_text_names_every_host(sinner, folder):
    port = sinner("plain").port
    done = run(*FEW, "--hosts", write(folder / "list", [f"localhost:{port}", f"127.0.0.1:{free_port()}"]))
    assert done.returncode == FINDING and f"localhost:{port}: probed 20" in done.stdout
    assert "cannot be reached" in done.stderr and "1 finding" in done.stdout


@pytest.mark.parametrize("text, words", [
    ("localhost:1\nlocalhost:70000\n", "line 2: invalid host 'localhost:70000'"),
    ("\n\n# c\na b\n", "line 4: invalid host 'a b'"), ("x" * 5000, "line 1: too long"),
    ("localhost:1\nhttp://h\n", "line 2: invalid host"), ("a\0b\n", "line 1: invalid host")])
def test_probe_hosts_bad_line_told_before_any_connection(sinner, folder, text, words):
    server = sinner("good")
    (folder / "list").write_text(f"localhost:{server.port}\n".join(["", text]) if "line 1" not in words else text)
    words = words if "line 1" in words else words.replace(f"line {words[5]}", f"line {int(words[5]) + 1}")
    done = run(*FEW, "--hosts", folder / "list", expect=(USAGE,))
    assert words in done.stderr and done.stderr.count("\n") == 1 and server.hellos() == {"full": 0, "offer": 0}


def test_probe_hosts_from_a_pipe_as_they_come(sinner):
    """The first host's line is there while the list is still open."""
    one, two = sinner("good").port, sinner("plain").port
    process = subprocess.Popen([BINARY, "probe", "--json", *map(str, FEW), "--hosts", "-"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    for port in (one, two):
        process.stdin.write(f"localhost:{port}\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["port"] == port
    process.stdin.close()
    assert json_lines(process.stdout.read())[0] == [] and process.wait(30) == FINDING


def test_probe_hosts_resumed_after_being_killed(many, folder):
    """Whenever it is killed: in the end every host is in the results, and none is probed twice but those that
    were under way."""
    hosts = many(40)
    path, outputs = write(folder / "list", hosts), ("--csv", folder / "csv", "--collect", folder / "seen")
    command = [BINARY, "probe", "--json", *map(str, (*FEW, *FAST, "--at-once", 4, "--hosts", path, "--resume",
                                                     folder / "done", *outputs))]
    chance, lines, kills = seeded_rng(), [], 0
    while True:
        with open(folder / "json", "w") as out:
            process = subprocess.Popen(command, stdout=out)
            enough = chance.randint(1, 10)
            until(lambda: process.poll() is not None or
                  (folder / "json").read_text().count("\n") >= enough, "some results", 120)
            ended = process.poll() is not None
            process.send_signal(signal.SIGKILL)
            code = process.wait()
        lines += [json.loads(line) for line in (folder / "json").read_text().splitlines()
                  if line.startswith('{"host"') and line.endswith("}")]
        if ended:
            break
        kills += 1
    assert code == DONE and kills >= 2
    assert {f"{line['host']}:{line['port']}" for line in lines} == set(hosts)
    assert len(lines) <= len(hosts) + kills
    assert sorted((folder / "done").read_text().splitlines()[1:]) == \
        sorted(f"{number + 1} {host}" for number, host in enumerate(hosts))
    with open(folder / "csv", newline="") as stream:
        assert {f"{row['host']}:{row['port']}" for row in csv.DictReader(stream)} == set(hosts)
    again = run("--json", "--level", "quick", "--analyse", folder / "seen").stdout
    assert {f"{host['host']}:{host['port']}" for host in json_lines(again)[0]} == set(hosts)


def test_probe_hosts_resume_checks_its_list(sinner, folder):
    port, done_file = sinner("good").port, folder / "done"
    path = write(folder / "list", [f"localhost:{port}"])
    run(*FEW, "--hosts", path, "--resume", done_file)
    again = run(*FEW, "--json", "--hosts", path, "--resume", done_file)
    assert again.stdout == ""
    write(path, [f"127.0.0.1:{port}"])
    done = run(*FEW, "--hosts", path, "--resume", done_file, expect=(USAGE,))
    assert "line 1 was another host" in done.stderr
    (folder / "other").write_text("my own file\n")
    done = run(*FEW, "--hosts", path, "--resume", folder / "other", expect=(IO,))
    assert "not written by --resume" in done.stderr and (folder / "other").read_text() == "my own file\n"


def test_probe_hosts_wait_together(start, folder):
    """Forty far hosts take about as long as one."""
    far = start(Far, start(Everywhere).any_port, 100)
    Report(*FEW, f"127.9.9.9:{far.port}").assert_clean()
    one, forty = (Run(write(folder / f"list{n}", addresses(n, far.port)), folder / f"json{n}", *FEW, *FAST)
                  for n in (1, 40))
    print(f"one host: {one.seconds:.1f} s; forty: {forty.seconds:.1f} s")
    hosts = list(forty.hosts())
    assert forty.code == DONE and len(hosts) == 40 and {verdicts(host)[0] for host in hosts} == {None}
    assert one.seconds > 2 and forty.seconds < 40 * one.seconds / 4


def test_probe_hosts_memory_does_not_grow_with_the_list(many, folder):
    def scan_of(n):
        path = write(folder / f"list{n}", many(n))
        done = Run(path, folder / "json", *FEW, *FAST, "--at-once", 8)
        assert done.code == DONE
        return done.peak_kb

    # The stacks of eight hosts at a time, and the heap below them, are as deep as they get after some sixty hosts.
    few, more = scan_of(80), scan_of(220)
    print(f"80 hosts: {few} kB, 220 hosts: {more} kB")
    assert more < few + 1500


def test_probe_hosts_long_list_once_each_in_flat_memory(many, start, folder):
    """Thousands of hosts, most of them closed or hanging up, as a list of the Internet has them; killed on the way
    and begun again.  "make probe-scale" does it with 100,000."""
    chance, hangs_up = seeded_rng(), start(Far, 0).port
    short, whole = (dead(n, hangs_up) + many(10) for n in (1000, LONG))
    chance.shuffle(whole)
    args = (*FEW, *FAST, "--at-once", 100)
    # A hundred stacks are as deep as they get after some thousand hosts; how many living hosts meet is a matter of luck.
    few_kb = max(Run(write(folder / "short", chance.sample(short, len(short))), folder / "json0", *args).peak_kb
                 for _ in range(3))
    path, done_file = write(folder / "list", whole), folder / "done"
    slowly = (*map(str, args), "--total-rate", "500")  # so that it cannot be done before it is killed
    killed = subprocess.Popen([BINARY, "probe", "--json", *slowly, "--hosts", path, "--resume", done_file],
                              stdout=open(folder / "json1", "w"))
    until(lambda: killed.poll() is not None or lines_n(folder / "json1") > LONG // 3, "a third of the hosts", 200)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    rest = Run(path, folder / "json2", *args, "--resume", done_file)
    print(f"{len(short)} hosts: {few_kb} kB; {lines_n(folder / 'json2')} of {len(whole)}: {rest.peak_kb} kB")
    assert rest.code == IO and rest.peak_kb < few_kb + 3000
    lines = [line for name in ("json1", "json2") for line in (folder / name).read_text().splitlines()]
    values = map(json.loads, filter(lambda line: line[-1:] == "}", lines))
    seen = [(host["host"], host["port"]) for host in values if "host" in host]
    # The host whose line was out when the kill came, and that was not yet in the file of what is done.
    assert len(seen) - len(set(seen)) <= 1
    assert {f"{host}:{port}" for host, port in seen} == set(whole)
    assert sorted(done_file.read_text().splitlines()[1:]) == sorted(f"{n + 1} {host}" for n, host in enumerate(whole))


def test_probe_hosts_rates_kept(sinner, folder):
    """--rate is for one address, however many ports it has; --total-rate for all."""
    ports = [sinner("good").port for _ in range(3)]
    for hosts, rates in (([f"127.0.0.1:{port}" for port in ports], ("--rate", 25)),
                         ([f"127.0.0.{i + 1}:{ports[0]}" for i in range(1)] + [f"localhost:{ports[1]}"],
                          ("--rate", 1000, "--total-rate", 20))):
        begun = time.monotonic()
        _, found = scan(write(folder / "list", hosts), *FEW, *rates)
        connections = sum(host["connections"] for host in found.values())
        assert time.monotonic() - begun >= (connections - 1) / int(rates[-1])


def test_probe_hosts_progress_on_a_terminal(sinner, folder):
    path = write(folder / "list", [f"localhost:{sinner('plain').port}", f"localhost:{free_port()}"])
    command = f"{BINARY} probe --level quick --tls 1.3 --json --hosts {path} >/dev/null"
    done = subprocess.run([shutil.which("script"), "-qec", command, "/dev/null"], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert "2 of 2 hosts, 0 at once, 1 with findings, 1 not tested" in done.stdout


@pytest.mark.parametrize("args", [
    ["--hosts", "f", "h"], ["--hosts", "f", "--level", "deep"], ["--hosts", "f", "--level", "quick", "--watch", "1s"],
    ["--resume", "f", "h"], ["--hosts", "f", "--at-once", "0"], ["--hosts", "f", "--total-rate", "x"]])
def test_probe_bad_hosts_usage_told(args):
    done = run(*args, expect=(USAGE,))
    assert done.stderr.startswith("stekctl: ") and not done.stdout


def test_probe_hosts_missing_list_told(folder):
    done = run("--hosts", folder / "none", expect=(IO,))
    assert "No such file" in done.stderr
