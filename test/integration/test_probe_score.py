# SPDX-License-Identifier: Apache-2.0
"""How good stekctl probe is: it meets servers in configurations drawn at random, whose findings follow from what
was drawn, and real servers, good and weak.  A few of each in the check; "make probe-score" (PROBE_SCORE
configurations, STEK_SEED) prints the table."""
import base64
import collections
import hashlib
import os
import statistics
import time

import pytest

import tls_scanner
from probe_servers import good, weak
from probe_tool import Report, Sins, build
from seed import SEED, seeded_rng

FULL = "PROBE_SCORE" in os.environ
N = int(os.environ.get("PROBE_SCORE", "6"))
PATIENCE_S = 600  # level normal has 5 minutes for a host
CONNECTIONS_MAX = 1000  # of two versions, at level normal
GOOD = int(os.environ.get("PROBE_GOOD", "200"))
pytestmark = pytest.mark.timeout(60 * max(N, GOOD) if FULL else 300)

LENGTHS = {"aes-128-cbc": 16, "aes-192-cbc": 24, "aes-256-cbc": 32, "3des-cbc": 24, "aes-128-ctr": 16,
           "aes-192-ctr": 24, "aes-256-ctr": 32, "aes-128-gcm": 16, "aes-192-gcm": 24, "aes-256-gcm": 32,
           "aes-128-ccm": 16, "chacha20": 32, "chacha20-poly1305": 32}
DIGESTS = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"]


def repeated(data, length):
    return (data * length)[:length]


def counting(start, n):
    return bytes((start + i) % 256 for i in range(n))


# Kind of key: bytes for a length, by a random generator.  The first are found at level quick, too.
QUICK = {
    "zero": lambda rnd, n: bytes(n),
    "ones": lambda rnd, n: b"1" * 16 + bytes(n - 16),
    "text": lambda rnd, n: repeated(rnd.choice([b"secret", b"password", b"changeme", b"test"]), n),
    # The end of a text that fills a file of name and keys.
    "text from its middle": lambda rnd, n: repeated(b"secret", 16 + n)[16:],
    "short text": lambda rnd, n: rnd.choice([b"secret", b"key", b"0123456789"]).ljust(n, b"\0")[:n],
}
NORMAL = {
    "byte": lambda rnd, n: bytes([rnd.randrange(256)]) * n,
    "bit": lambda rnd, n: (1 << rnd.randrange(8 * n)).to_bytes(n, "big"),
    "counting": lambda rnd, n: counting(rnd.randrange(256), n),
    "hash": lambda rnd, n: hashlib.sha256(rnd.choice([b"secret", b"nginx", b"ticket key"])).digest()[:n],
    "base64": lambda rnd, n: base64.b64encode(b"secret" * 20)[:n],
    "word": lambda rnd, n: repeated(bytes.fromhex("deadbeef"), n),
}


def go(n, is_mac):
    """What crypto/tls makes of 32 zeros."""
    digest = hashlib.sha512(bytes(32)).digest()
    return digest[32:48] if is_mac else digest[16:32]


class Drawn:
    """A configuration of the sinful server, and what the probe has to find in it."""

    def __init__(self, rnd):
        self.level = rnd.choice(["quick"] * 3 + ["normal"]) if FULL else "quick"
        self.version = rnd.choice(["1.2", "1.3"])
        self.cipher, self.tickets, self.expected = rnd.choice(list(LENGTHS)), 4, set()
        words = [f"cipher={self.cipher}"]
        is_stream = "cbc" not in self.cipher
        fault = rnd.choice(["no mac" if is_stream else "", "truncated", "constant", "keys", "", ""])
        # DES is slow, so it gets the most common keys only; so do all but the first of many key names.
        kinds = dict(QUICK)
        if self.level == "normal" and fault != "keys":
            kinds.update(NORMAL)
        self.key = rnd.choice(["random"] + list(QUICK if "des" in self.cipher else kinds) +
                              (["go"] if LENGTHS[self.cipher] == 16 else []))
        self.mac_key = rnd.choice(["random", "random"] + list(kinds))
        if self.key != "random":
            length = LENGTHS[self.cipher]
            key = go(length, False) if self.key == "go" else kinds[self.key](rnd, length)
            words.append(f"key={key.hex()}")
            self.expected.add("cipher-key")
        if self.mac_key != "random":
            words.append(f"mac-key={kinds[self.mac_key](rnd, 32).hex()}")
            self.expected.add("mac-key")
        if fault in ("no mac", "truncated"):
            words.append("mac=none" if fault == "no mac" else "mac=truncated")
            self.expected |= {"mac"} if fault == "no mac" else set()
        else:
            digest = rnd.choice(DIGESTS)
            words.append(f"digest={digest}")
        if fault == "constant":
            words.append("iv=constant")
            # In a block cipher, only a layout that is recognised shows where the IV is.
            if is_stream or hashlib.new(digest).digest_size % 16 == 0:
                self.expected.add("nonce")
        if fault == "keys":
            count = rnd.choice([2, 5, 20])
            words += [f"keys={count}", f"weak={rnd.randrange(count)}"]
            self.tickets = count + 4
        self.sin = "mix:" + ",".join(words)

    def __str__(self):
        return f"{self.level}, TLS {self.version}, {self.sin} (key {self.key}, MAC key {self.mac_key})"


class Score:
    def __init__(self):
        self.rows, self.wrong = collections.OrderedDict(), []

    def add(self, name, what, report, expected, seconds, scanner):
        row = self.rows.setdefault(name, collections.Counter())
        found = {test for _, test in report.findings()}
        row["servers"] += 1
        row["found"] += len(found & expected)
        row["missed"] += len(expected - found)
        row["invented"] += len(found - expected)
        row["TLS-Scanner"] += len(scanner)
        row["not testable"] += len(report.host["untested"])
        row["seconds"] += seconds
        row["connections"] += report.host["connections"]
        if found != expected:
            self.wrong.append(f"{what}: found {sorted(found)}, expected {sorted(expected)}")

    def table(self):
        columns = ["servers", "found", "missed", "invented", "not testable", "seconds", "connections", "TLS-Scanner"]
        lines = [f"{'':28}" + "".join(f"{column:>14}" for column in columns)]
        for name, row in self.rows.items():
            cells = [f"{row[column]:.1f}" if column == "seconds" else str(row[column]) for column in columns]
            lines.append(f"{name:28}" + "".join(f"{cell:>14}" for cell in cells))
        return "\n".join(lines)


def judge(score, name, what, expected, *args, scanner=frozenset()):
    begun = time.monotonic()
    report = Report(*(args if "--level" in args else ("--level", "quick", *args)), timeout=PATIENCE_S)
    score.add(name, what, report, expected, time.monotonic() - begun, scanner)


def test_probe_score_of_drawn_servers(folder, certs, tmp_path):
    binary, rnd, score = build(tmp_path), seeded_rng(), Score()
    for _ in range(N):
        drawn = Drawn(rnd)
        server = Sins(folder, certs, binary, drawn.sin)
        try:
            judge(score, drawn.cipher, str(drawn), drawn.expected, "--level", drawn.level, "--tls",
                  drawn.version, "--tickets", drawn.tickets, f"127.0.0.1:{server.start().port}",
                  scanner=tls_scanner.findings(drawn.sin, drawn.expected))
        finally:
            server.stop()
    print(score.table())
    assert not score.wrong, f"STEK_SEED={SEED}\n" + "\n".join(score.wrong)


# ---- real servers --------------------------------------------------------------------------------

PARTS, ROWS = 3, 5  # in the check


def rows(part):
    """All of them, or some that the seed chooses."""
    real = [*good(), *weak()]
    if FULL:
        return real[part::PARTS]
    chosen = seeded_rng().sample(real, PARTS * ROWS)
    return chosen[part::PARTS]


@pytest.mark.parametrize("part", range(PARTS))
def test_probe_score_of_real_servers(folder, certs, part):
    score, level = Score(), "normal" if FULL else "quick"
    for real in rows(part):
        program = real.make(folder, certs)
        try:
            judge(score, real.name, real.name, real.expected, "--level", level, "--tickets", 4,
                  f"localhost:{program.start().port}", scanner=real.scanner)
            assert score.rows[real.name]["connections"] <= CONNECTIONS_MAX, real.name
        finally:
            program.stop()
    print("\n" + score.table())
    assert not score.wrong, f"STEK_SEED={SEED}\n" + "\n".join(score.wrong)


class Runs:
    """Of one good server, again and again."""

    def __init__(self, name):
        self.name, self.seconds, self.connections, self.invented = name, [], [], []

    def add(self, report, seconds):
        self.seconds.append(seconds)
        self.connections.append(report.host["connections"])
        self.invented += [f"{self.name}: {what}" for what in report.findings().items()]

    def line(self):
        cells = [f"{len(self.seconds)}", f"{len(self.invented)}", f"{statistics.median(self.seconds):.1f}",
                 f"{max(self.seconds):.1f}", f"{statistics.median(self.connections):.0f}", f"{max(self.connections)}"]
        return f"{self.name:28}" + "".join(f"{cell:>14}" for cell in cells)


if FULL:
    @pytest.mark.parametrize("level", ["quick", "normal"])
    def test_probe_score_of_good_servers_nothing_invented(folder, certs, level):
        """PROBE_GOOD runs over all of them; every tenth at level normal."""
        servers, lines, invented = list(good()), [], []
        runs_n = max(1, GOOD * (9 if level == "quick" else 1) // 10 // len(servers))
        for real in servers:
            runs, program = Runs(real.name), real.make(folder, certs)
            try:
                port = program.start().port
                for _ in range(runs_n):
                    begun = time.monotonic()
                    runs.add(Report("--level", level, f"localhost:{port}", timeout=PATIENCE_S),
                             time.monotonic() - begun)
            finally:
                program.stop()
            lines.append(runs.line())
            invented += runs.invented
        heads = ["runs", "invented", "median s", "longest s", "connections", "most"]
        print(f"\n{level:28}" + "".join(f"{head:>14}" for head in heads) + "\n" + "\n".join(lines))
        assert not invented, "\n".join(invented)
