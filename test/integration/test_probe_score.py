# SPDX-License-Identifier: Apache-2.0
"""How good stekctl probe is: it meets servers in configurations drawn at random, whose findings follow from what
was drawn, and real servers, good and weak.  A few of each in the check; "make probe-score" (PROBE_SCORE
configurations, STEK_SEED) prints the table."""
import base64
import collections
import ctypes
import hashlib
import json
import os
import random
import statistics
import time

import pytest

import tls_scanner
from probe_servers import good, weak
from probe_tool import Report, Sins, build, run
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
    "ones": lambda rnd, n: (b"1" * 16 + bytes(16))[:n] if n > 8 else b"1" * n,
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


def forged(expected, has_mac):
    """What becomes of a ticket that the probe forges, by the finding that says so: whoever has both keys makes
    any ticket, and whoever has that of the MAC alters those that there are."""
    if "cipher-key" in expected:
        return {test: "accepted" for test in expected} if has_mac else {"cipher-key": "refused"}
    return {test: "accepted" for test in expected}


class Drawn:
    """A configuration of the sinful server, and what the probe has to find in it."""

    def __init__(self, rnd):
        self.level = rnd.choice(["quick"] * 3 + ["normal"]) if FULL else "quick"
        self.version = rnd.choice(["1.2", "1.3"])
        self.cipher, self.tickets, self.expected = rnd.choice(list(LENGTHS)), 4, set()
        self.possible = set()
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
        self.forged = forged(self.expected, fault == "no mac" or self.mac_key != "random")
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


# Of tickets in any layout (frames.h): lengths of the key and of the nonces that go with the cipher.
FRAMED = {**{f"aes-{8 * n}-{mode}": (n, nonces) for n in (16, 24, 32) for mode, nonces in
             [("cbc", [16]), ("ecb", [0]), ("ctr", [8, 12, 16]), ("gcm", [8, 12, 16, 0]), ("ccm", [8, 12, 13, 0])]},
          "des-cbc": (8, [8]), "3des-cbc": (24, [8]), "des-ecb": (8, [0]), "3des-ecb": (24, [0]),
          "chacha20": (32, [8, 12, 16]), "chacha20-poly1305": (32, [12, 0]), "xchacha20": (32, [24]),
          "xchacha20-poly1305": (32, [24])}
# From level normal on: rare ciphers, and short nonces that zeros complete.
RARE = {f"{name}-{8 * n}-cbc": (n, [16]) for name in ("camellia", "aria") for n in (16, 24, 32)} | {"sm4-cbc": (16, [16])}
ZEROS = {("ctr", 8): 8, ("ctr", 12): 4, ("gcm", 8): 4, ("ccm", 8): 4, ("chacha20-poly1305", 8): 4}


class DrawnFrame:
    """A layout, and what the probe has to find in its tickets."""

    def __init__(self, rnd):
        self.level = rnd.choice(["quick"] * 3 + ["normal"]) if FULL else "quick"
        self.version, self.tickets, self.expected = rnd.choice(["1.2", "1.3"]), 4, set()
        ciphers = FRAMED if self.level == "quick" else FRAMED | RARE | {"chacha20-poly1305": (32, [8, 12, 0])}
        self.cipher = rnd.choice(list(ciphers))
        length, nonces = ciphers[self.cipher]
        nonce, kinds = rnd.choice(nonces), dict(QUICK)
        self.is_aead = any(mode in self.cipher for mode in ("gcm", "ccm", "poly"))
        self.is_block = "cbc" in self.cipher or "ecb" in self.cipher
        words = [f"cipher={self.cipher}", f"nonce={nonce}", f"at={rnd.choice([0, 3, 16, 27, 40])}"]
        zeros = [n for (mode, short), n in ZEROS.items() if self.cipher.endswith(mode) and short == nonce]
        if self.level != "quick" and zeros:
            words.append(f"zeros={rnd.choice([0] + zeros)}")
        words += [f"name={rnd.randbytes(rnd.choice([4, 8, 16, 16, 16, 20, 32])).hex()}"] if rnd.randrange(5) else [
            "name=none"]
        words += [f"form={rnd.choice(['none', 'none', 'hex', 'base64'])}",
                  f"wrap={rnd.choice(['none', 'none', 'none', 'hex', 'base64'])}",
                  f"length={rnd.choice([0, 0, 2])}"]
        self.key = rnd.choice(["random"] + list(kinds) * 2)
        if self.key != "random":
            words.append(f"key={kinds[self.key](rnd, length).hex()}")
            self.expected.add("cipher-key")
        if nonce == 0:
            self.expected.add("nonce")
        words += self.draw_mac(rnd, kinds)
        found = self.expected & {"cipher-key", "mac-key"}
        self.forged = forged(found, self.is_aead or "mac=none" in words or "mac-key" in found)
        # A tampered IV may alter the secret, or what nobody looks at.
        self.possible = {"mac"} if "cover=text" in words and nonce else set()
        # A checksum is corrected: always, where a stream cipher hides it with the secret as it is.
        if "digest=crc32" in words:
            self.possible |= {"mac"}
            if not self.is_block and "form=none" in words and "mac=inside" in " ".join(words):
                self.expected |= {"mac"}
        self.draw_padding(rnd, words)
        self.sin = "frame:" + ",".join(words)

    def draw_padding(self, rnd, words):
        """A MAC outside the encryption is checked before the padding.  Level normal tries all values of a byte, and
        deep, which takes minutes, times."""
        kind = rnd.choice(["none", "none", "alert", "close"] + (["5000"] if FULL else []))
        if kind == "none" or "cbc" not in self.cipher or not {"mac=inside", "mac=inside-front", "mac=none"} & set(words):
            return
        words.append(f"bad-padding={kind}")
        if kind == "5000":
            self.level = rnd.choice(["deep", self.level])
        self.possible |= {"mac"}  # for answers differ
        if self.level == ("deep" if kind == "5000" else "normal"):
            # Without a MAC, right padding gets different answers, too.
            (self.possible if "mac=none" in words else self.expected).add("padding")

    def draw_mac(self, rnd, kinds):
        if self.is_aead:
            self.mac_key = "none"
            return ["mac=none"]
        place = rnd.choice(["behind", "behind", "front", "inside", "inside-front", "none"])
        self.mac_key = rnd.choice(["random", "digest"] + list(kinds))
        if place == "none":
            self.expected.add("mac")
            return ["mac=none"]
        digest = rnd.choice(DIGESTS + (["crc32"] if self.mac_key == "digest" else []))
        words = [f"mac={place}", f"digest={digest}", f"cover={rnd.choice(['all', 'all', 'text'])}"]
        if self.mac_key == "digest":
            words.append("mac-key=none")
        elif self.mac_key != "random":
            words.append(f"mac-key={kinds[self.mac_key](rnd, 32).hex()}")
        if digest != "crc32" and rnd.randrange(3) == 0:
            # In front, shorter ones are for level normal.
            words.append(f"mac-len={16 if 'front' in place else rnd.choice([16, 12, 10])}")
        # Inside, it is seen only by who can decrypt.
        if self.mac_key != "random" and ("inside" not in place or "cipher-key" in self.expected):
            self.expected.add("mac-key")
        return words

    def __str__(self):
        return f"{self.level}, TLS {self.version}, {self.sin} (key {self.key}, MAC key {self.mac_key})"


class Score:
    def __init__(self):
        self.rows, self.wrong = collections.OrderedDict(), []

    def add_forged(self, name, what, report, expected):
        """In every version."""
        for version, part in report.versions.items():
            found = {test["test"]: test["forged"] for test in part["tests"] if "forged" in test}
            self.rows[name]["forged"] += "accepted" in found.values()
            if found != expected:
                self.wrong.append(f"{what}: TLS {version}: forged {found}, expected {expected}: {report[version]}")

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
        columns = ["servers", "found", "forged", "missed", "invented", "not testable", "seconds", "connections", "TLS-Scanner"]
        lines = [f"{'':28}" + "".join(f"{column:>14}" for column in columns)]
        for name, row in self.rows.items():
            cells = [f"{row[column]:.1f}" if column == "seconds" else str(row[column]) for column in columns]
            lines.append(f"{name:28}" + "".join(f"{cell:>14}" for cell in cells))
        return "\n".join(lines)


def judge(score, name, what, expected, forged, *args, possible=frozenset(), scanner=frozenset()):
    begun = time.monotonic()
    report = Report(*(args if "--level" in args else ("--level", "quick", *args)), timeout=PATIENCE_S)
    expected = expected | {test for _, test in report.findings()} & possible
    score.add(name, what, report, expected, time.monotonic() - begun, scanner)
    score.add_forged(name, what, report, forged)


def test_probe_score_of_drawn_servers(folder, certs, tmp_path):
    binary, rnd, score = build(tmp_path), seeded_rng(), Score()
    for _ in range(N):
        drawn = rnd.choice([Drawn, DrawnFrame])(rnd)
        server = Sins(folder, certs, binary, drawn.sin)
        try:
            judge(score, drawn.cipher, str(drawn), drawn.expected, drawn.forged, "--level", drawn.level, "--tls",
                  drawn.version, "--tickets", drawn.tickets, f"127.0.0.1:{server.start().port}",
                  possible=drawn.possible, scanner=tls_scanner.findings(drawn.sin, drawn.expected))
        finally:
            server.stop()
    print(score.table())
    assert not score.wrong, f"STEK_SEED={SEED}\n" + "\n".join(score.wrong)


# ---- keys of clocks ----

def java(seed, n):
    """nextBytes() of java.util.Random."""
    state, out = (seed ^ 0x5DEECE66D) & (1 << 48) - 1, b""
    while len(out) < n:
        state = (state * 0x5DEECE66D + 11) & (1 << 48) - 1
        out += (state >> 16).to_bytes(4, "little")
    return out[:n]


def glibc(seed, n):
    libc = ctypes.CDLL(None)
    libc.srand(seed & 0xffffffff)
    return bytes(libc.rand() & 255 for _ in range(n))


# What makes bytes of a number, and whether that is used with milliseconds.
CLOCKS = {
    "rand() of glibc, a byte each": (glibc, False),
    "randbytes() of Python": (lambda seed, n: random.Random(seed).randbytes(n), False),
    "nextBytes() of java.util.Random": (java, True),
    "the number as text": (lambda seed, n: str(seed).encode().ljust(n, b"\0"), True),
    "MD5 of the number as text": (lambda seed, n: hashlib.md5(str(seed).encode()).digest().ljust(n, b"\0"), True),
    "SHA-256 of the number as text": (lambda seed, n: hashlib.sha256(str(seed).encode()).digest()[:n], True),
}


def clocks():
    """All of them take minutes; the check takes the one that costs least."""
    return list(CLOCKS) if FULL else ["the number as text"]


@pytest.mark.parametrize("made_by", clocks())
def test_probe_score_of_keys_of_clocks(folder, certs, tmp_path, made_by):
    """A server that started within the latest day made its keys of the time, or of the time and its pid."""
    rnd, (make, takes_ms) = seeded_rng(), CLOCKS[made_by]
    if takes_ms and rnd.randrange(2):
        number = int(time.time() * 1000) - rnd.randrange(60_000)
    else:
        number = int(time.time()) - rnd.randrange(20_000)
        number = rnd.choice([number, number ^ rnd.randrange(32768), number + rnd.randrange(32768), rnd.randrange(32768)])
    cipher, length = rnd.choice([("aes-128-cbc", 16), ("aes-256-cbc", 32), ("aes-128-gcm", 16), ("aes-256-ctr", 32)])
    # What was made first may also be the name.
    name_len = 16 if "MD5" not in made_by and "text" not in made_by and rnd.randrange(2) else 0
    made = make(number, 96)
    words = [f"cipher={cipher}", f"key={made[name_len:name_len + length].hex()}",
             f"mac={'none' if 'gcm' in cipher else 'behind'}"]
    words += [f"name={made[:16].hex()}"] if name_len else []
    server = Sins(folder, certs, build(tmp_path), "frame:" + ",".join(words))
    try:
        run("--level", "quick", "--tls", rnd.choice(["1.2", "1.3"]), "--tickets", 3, "--collect", tmp_path / "seen",
            f"127.0.0.1:{server.start().port}")
    finally:
        server.stop()
    found = run("--analyse", tmp_path / "seen", "--level", "deep", "--json", timeout=600).stdout
    keys = [test["found"] for test in json.loads(found)["versions"][0]["tests"] if test["test"] == "cipher-key"
            and "found" in test]
    assert keys and keys[0]["made_of"] == number and keys[0]["made_by"] == made_by, f"{number}: {server.sin}: {found}"


if FULL:
    def test_probe_score_of_a_clock_key_of_another_backend(folder, certs, tmp_path):
        """The first of two keys is random: a minute's search goes by."""
        number = int(time.time()) - seeded_rng().randrange(20_000)
        key = str(number).encode().ljust(16, b"\0").hex()
        server = Sins(folder, certs, build(tmp_path), f"mix:cipher=aes-128-cbc,key={key},keys=2,weak=1")
        try:
            run("--level", "quick", "--tls", "1.2", "--tickets", 4, "--collect", tmp_path / "seen",
                f"127.0.0.1:{server.start().port}")
        finally:
            server.stop()
        found = run("--analyse", tmp_path / "seen", "--level", "deep", "--json", timeout=600).stdout
        keys = [test["found"]["made_of"] for test in json.loads(found)["versions"][0]["tests"]
                if test["test"] == "cipher-key" and "found" in test]
        assert keys == [number], found


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
            judge(score, real.name, real.name, real.expected, forged(real.expected, True), "--level", level, "--tickets", 4,
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
