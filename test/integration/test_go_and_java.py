# SPDX-License-Identifier: Apache-2.0
"""The HTTP clients of Go and Java: each value of StekTickets and of StekTicketCount, in both versions and
over HTTP/1.1 and HTTP/2, all of them beside one another on one address.  What a client keeps, and when it
gives it up, is its own affair: `expected` says what each of the two does with what it is given."""
import os
import subprocess
from pathlib import Path

import pytest

from httpd import Vhost
from test_tickets_off import HTTP2, cache_lines

pytestmark = pytest.mark.xdist_group("go and java")

SOURCES = Path(__file__).parent / "clients"
OWN = (2, 1)  # OpenSSL's numbers: after a full handshake, after a resumed one
N = 4  # connections of a client
# Name: StekTickets, StekTicketCount.  `off` is not first: it would take the tickets from all.
VHOSTS = {"none": (None, None), "on": ("on", None), "secret": ("tls1.3", None), "some": (None, (3, 2)),
          "once": (None, (1, 0)), "zero": ("on", (0, 0)), "most": ("tls1.3", (16, 16)),
          "more": ("on", (2, 5)), "secret-once": ("tls1.3", (1, 0)), "off": ("off", (3, 3))}


def lines(value, count):
    return ([f"StekTickets {value}"] if value else []) + \
        ([f"StekTicketCount {count[0]} resumed={count[1]}"] if count else [])


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Command of each client; compiled once."""
    folder = tmp_path_factory.mktemp("clients")
    env = dict(os.environ, GOCACHE=str(folder / "cache"), GO111MODULE="off", GOFLAGS="", HOME=str(folder))
    subprocess.run(["go", "build", "-o", folder / "resume", SOURCES / "resume.go"], env=env, check=True)
    # At the start of short runs, a JIT that thinks long is in the way.
    short = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]
    subprocess.run(["javac", *(f"-J{word}" for word in short), "-d", folder, SOURCES / "Resume.java"],
                   check=True)
    hosts = folder / "hosts"
    hosts.write_text("".join(f"127.0.0.1 {name}.test\n" for name in VHOSTS))
    return {"go": [folder / "resume"],
            "java": ["java", *short, f"-Djdk.net.hosts.file={hosts}", "-cp", folder, "Resume"]}


def expected(client, version, value, count):
    """[resumed, tickets that come] of N connections, one after the other."""
    if value == "off" or (value == "tls1.3" and version == "1.2"):
        return [(False, 0)] * N
    if version == "1.2":
        return [(False, 1)] + [(True, 0)] * (N - 1)
    full, resumed = count or OWN
    seen, has = [], False
    for _ in range(N):
        came = resumed if has else full
        seen.append((has, came))
        # Go offers its last ticket until another comes; Java uses each once, and only the last.
        has = came > 0 or (has and client == "go")
    return seen


def visit(command, port, asked):
    """The answers of one process: lists of (resumed, tickets or None, server's word, HTTP, status)."""
    text = "".join(f"{port} {name}.test {version} {alpn} {N}\n" for name, version, alpn in asked)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=80)
    assert done.returncode == 0 and not done.stderr, done.stderr

    def parse(connection):
        assert not connection.startswith("error"), connection
        resumed, came, word, http, status = connection.split(",")
        return resumed == "true", None if came == "-" else int(came), word, int(http), int(status)
    return [[parse(connection) for connection in line.split()] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("mpm, cache", [("event", "none"), ("worker", "shmcb"), ("prefork", "none")])
@pytest.mark.parametrize("client", ["go", "java"])
def test_client_resumes_as_each_value_lets_it(httpd, programs, client, mpm, cache):
    server = httpd(mpm=mpm, modules=["http2"] if mpm != "prefork" else [],
                   server=['Header always set X-Resumed "%{SSL_SESSION_RESUMED}s"']
                   + (HTTP2 if mpm != "prefork" else []),
                   vhosts=[Vhost(f"{name}.test", lines(*values)) for name, values in VHOSTS.items()])
    cache_lines(server, cache)
    server.start()
    protocols = ["http/1.1"] + (["h2"] if mpm != "prefork" else [])
    asked = [(name, version, alpn) for name in VHOSTS for version in ("1.2", "1.3") for alpn in protocols]
    answers = visit(programs[client], server.port, asked)
    assert len(answers) == len(asked)
    for (name, version, alpn), answer in zip(asked, answers):
        for (resumed, came), seen in zip(expected(client, version, *VHOSTS[name]), answer, strict=True):
            case = (client, name, version, alpn, answer)
            assert seen[0] is resumed, case
            assert seen[1] in (None, came), case
            assert seen[2:] == ("Resumed" if resumed else "Initial", 2 if alpn == "h2" else 1, 200), case
