# SPDX-License-Identifier: Apache-2.0
"""stekctl probe in front of several backends, one of them weak: it finds the weakness whichever backend has it, and
says whose it is.  What is good on one backend is never said of another."""
import os

import pytest

from probe_tool import Balancer, Gnutls, ProbedNginx, Report, Sins
from seed import seeded_rng
from stekctl_tool import DONE, FINDING

pytestmark = pytest.mark.timeout(300)
RUNS = int(os.environ.get("PROBE_RUNS", "3"))
# Weakness: level, words for the sinful server, what has to be found.
WEAK = {
    "zero key": ("quick", "key=" + "00" * 32, {"cipher-key"}),
    "zero keys": ("quick", "key=" + "00" * 32 + ",mac-key=" + "00" * 32, {"cipher-key", "mac-key"}),
    "stream": ("quick", "cipher=aes-128-gcm,key=" + "00" * 16, {"cipher-key"}),
    "MAC": ("quick", "mac-key=" + "00" * 32, {"mac-key"}),
    "plain": ("quick", "cipher=none", {"plain"}),
    "IV": ("quick", "iv=constant", {"nonce"}),
    "no MAC": ("normal", "cipher=aes-256-ctr,mac=none", {"mac"}),
}


class Farm:
    """Backends drawn at random, one of them weak, behind one address."""

    def __init__(self, start, sins_binary, rnd, balance="roundrobin", most=4):
        self.weakness = rnd.choice(list(WEAK))
        self.level, words, self.expected = WEAK[self.weakness]
        self.n = rnd.randint(2, most)
        self.name = rnd.randbytes(15).hex() + "00"
        self.weak = rnd.randrange(self.n)
        self.kinds = [self.weakness if i == self.weak else rnd.choice(["nginx", "gnutls", "sins", "none"])
                      for i in range(self.n)]
        ports = []
        for kind in self.kinds:
            if kind == self.weakness:
                server = start(Sins, sins_binary, f"mix:{words},name={self.name}")
            elif kind == "sins":
                server = start(Sins, sins_binary, f"mix:name={rnd.randbytes(16).hex()}")
            elif kind == "gnutls":
                server = start(Gnutls)
            else:
                server = start(ProbedNginx, "ssl_session_tickets off;" if kind == "none" else "")
            ports.append(server.port)
        self.port = start(Balancer, balance, ports).port

    def __str__(self):
        return f"{self.weakness} ({self.level}) among {self.kinds}"

    def probe(self, *args, version, level=None):
        return Report("--level", level or self.level, "--tls", version, *args, f"127.0.0.1:{self.port}",
                      expect=(DONE, FINDING))


def whose(part, test):
    """The key names that a test is about."""
    backends = part["backends"]
    return {backends[i]["key_name"] for i in test.get("backends", range(len(backends)))}


def ticket_counts(part, test):
    return [part["backends"][i]["collected"] for i in test.get("backends", range(len(part["backends"])))]


@pytest.mark.parametrize("part", range(RUNS))
def test_probe_backend_that_is_weak_named(start, sins_binary, part):
    rnd = seeded_rng(part)
    farm, version = Farm(start, sins_binary, rnd), rnd.choice(["1.2", "1.3"])
    report = farm.probe("--tickets", 3 * farm.n + 2, version=version)
    print(farm, version, report.host["verdict_text"])
    assert {test for _, test in report.findings()} == farm.expected
    told = report.versions[version]
    for test in told["tests"]:
        if test["verdict"] in ("weak", "broken"):
            assert whose(told, test) == {farm.name}
            assert len(told["backends"]) == 1 or farm.name in test["text"]
        elif test["verdict"] == "ok" and test["test"] in farm.expected:
            assert farm.name not in whose(told, test)
    assert {backend["key_name"] for backend in told["backends"]} > {farm.name} or \
        set(farm.kinds) <= {farm.weakness, "none"}


@pytest.mark.parametrize("part", range(RUNS))
def test_probe_backend_seen_too_rarely_not_ok(start, sins_binary, part):
    """With too few tickets, the weak one may be missed, but what was not seen often enough is not called good."""
    rnd = seeded_rng(part)
    farm = Farm(start, sins_binary, rnd, most=5)
    report = farm.probe("--tickets", rnd.randint(3, farm.n + 2), version="1.2", level="quick")
    print(farm, report.host["verdict_text"])
    told = report.versions["1.2"]
    seen = [backend for backend in told.get("backends", []) if backend["key_name"] == farm.name]
    for test in told["tests"]:
        if test["verdict"] == "ok" and test["test"] == "nonce":
            assert min(ticket_counts(told, test)) >= 2
        if test["verdict"] == "ok" and test["test"] in farm.expected and seen:
            assert farm.name not in whose(told, test)
    if len(told.get("backends", [])) > 1 and min(b["collected"] for b in told["backends"]) == 1:
        assert report["1.2"]["support"][0] == "note" and "seen once" in report["1.2"]["support"][1]
    if seen and farm.expected <= {"cipher-key", "mac-key", "plain"}:
        assert {test for _, test in report.findings()} == farm.expected


# Weakness of one backend: words for it, and the test that has to find it.
ONE = {
    "byte": (lambda rnd: f"mac={rnd.randrange(32)}", "mac"),
    "oracle by alert": (lambda rnd: "bad-padding=alert", "padding"),
    "oracle by close": (lambda rnd: "bad-padding=close", "padding"),
    "key": (lambda rnd: "key=" + "00" * 32, "cipher-key"),
    "MAC key": (lambda rnd: "mac-key=" + "00" * 32, "mac-key"),
    "expired": (lambda rnd: "outlives=yes", "expiry"),
    "any version": (lambda rnd: "any=version", "change"),
    "any suite": (lambda rnd: "any=suite", "change"),
}


class OneWeak:
    """Like servers with keys of their own behind a balancer that picks at random, one of which is weak in one way."""

    def __init__(self, start, sins_binary, rnd, weakness=None, balance="random", n=None):
        self.n, self.version = n or rnd.choice([2, 2, 3, 5]), rnd.choice(["1.2", "1.3"])
        self.weakness = weakness or rnd.choice(list(ONE))
        make, self.test = ONE[self.weakness]
        if self.weakness == "any suite":
            self.version = "1.2"  # that of TLS 1.3 has one for each hash
        self.level = rnd.choice(["quick", "normal"]) if self.test in ("mac", "padding") else "quick"
        self.words = make(rnd)
        self.names = [rnd.randbytes(15).hex() + "00" for _ in range(self.n)]
        self.name = rnd.choice(self.names)
        # Hints that are waited for.
        hint = "timeout=2," if self.weakness == "expired" else ""
        ports = [start(Sins, sins_binary, f"mix:{hint}name={name}" +
                       ("," + self.words if name == self.name else "")).port for name in self.names]
        self.port = start(Balancer, balance, ports).port

    def __str__(self):
        return f"{self.weakness} ({self.words}) on one of {self.n}, TLS {self.version}, level {self.level}"

    def probe(self, *args):
        return Report("--level", self.level, "--tls", self.version if "any" not in self.weakness else "1.2,1.3",
                      "--tickets", 6 * self.n + 2, *args, f"127.0.0.1:{self.port}")

    def judge(self, report):
        """Found, said as untested, or not met; anything else is an error."""
        told, outcome = report.versions[self.version], set()
        assert report.host["connections"] <= report.host["planned"]
        for test in told["tests"]:
            about = whose(told, test)
            if test["verdict"] in ("weak", "broken"):
                assert (test["test"], about) == (self.test, {self.name}), f"invented: {test}"
            if test["test"] != self.test or self.name not in about:
                continue
            if test["verdict"] in ("weak", "broken") or (test["verdict"] == "note" and self.is_noted(test["text"])):
                outcome.add("found")
            else:
                assert test["verdict"] == "not testable", f"missed: {test}"
                outcome.add("untested")
        if self.name not in {backend["key_name"] for backend in told["backends"]}:
            assert not outcome
            return "not met"
        assert outcome, "nothing is said of it"
        return "found" if "found" in outcome else "untested"

    def is_noted(self, text):
        return {"mac": "do not count: ", "change": "another cipher suite"}.get(self.test, "\0") in text


@pytest.mark.parametrize("part", range(RUNS))
def test_probe_one_backend_weak_in_one_way_found_or_said(start, sins_binary, part):
    rnd = seeded_rng(part)
    farm = OneWeak(start, sins_binary, rnd)
    report = farm.probe()
    print(farm, farm.judge(report), report.host["connections"], report.host["seconds"])


@pytest.mark.parametrize("weakness", ["byte", "oracle by close"])
def test_probe_weak_one_of_two_found_at_normal(start, sins_binary, weakness):
    """For two, the connections of the level suffice."""
    rnd = seeded_rng(weakness)
    farm = OneWeak(start, sins_binary, rnd, weakness, n=2)
    farm.level = "normal"
    assert farm.judge(farm.probe()) == "found"


def test_probe_change_of_one_backend_counted_once(start, sins_binary):
    """Its old and new name do not alternate with that of the other."""
    rnd = seeded_rng()
    names = [rnd.randbytes(15).hex() + "00" for _ in range(2)]
    ports = [start(Sins, sins_binary, f"mix:name={names[0]},turns=9").port,
             start(Sins, sins_binary, f"mix:name={names[1]}").port]
    report = Report("--level", "quick", "--tls", "1.3", "--watch", "25s", f"127.0.0.1:{start(Balancer, 'random', ports).port}")
    told = [test for test in report.versions["1.3"]["tests"] if test["test"] == "rotation"]
    print(told)
    if len(report.versions["1.3"]["backends"]) == 2 and "either keys changed" not in told[0]["text"]:
        assert "key name changed 1 time on 2 backends or keys" in told[0]["text"]
    assert sum("other backend" not in test["text"] for test in told) == 1


def test_probe_balancer_by_source_judged_as_the_one_backend(start, sins_binary):
    rnd = seeded_rng()
    farm = Farm(start, sins_binary, rnd, "source")
    report = farm.probe(version="1.3")
    print(farm, report.host["verdict_text"])
    told = report.versions["1.3"]
    names = {backend["key_name"] for backend in told.get("backends", [])}
    assert len(names) <= 1
    assert {test for _, test in report.findings()} == (farm.expected if names == {farm.name} else set())


def test_probe_backends_that_share_keys_tested_as_one(start, folder):
    """Behind any balancer: a ticket of one resumes at all, so nothing is repeated."""
    (folder / "key").write_bytes(os.urandom(80))
    ports = [start(ProbedNginx, f"ssl_session_ticket_key {folder}/key;").port for _ in range(3)]
    report = Report("--level", "quick", f"127.0.0.1:{start(Balancer, 'random', ports).port}").assert_clean()
    for version in ("1.2", "1.3"):
        assert len(report.versions[version]["backends"]) == 1
        assert report[version]["mac"][0] == "ok"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_probe_backends_with_one_name_the_weak_one_found(start, sins_binary, version):
    rnd = seeded_rng()
    name, words = rnd.randbytes(15).hex() + "00", ["", f"key={'00' * 32},mac-key={'00' * 32},"]
    rnd.shuffle(words)
    ports = [start(Sins, sins_binary, f"mix:{word}name={name}").port for word in words]
    report = Report("--level", "quick", "--tls", version, f"127.0.0.1:{start(Balancer, 'roundrobin', ports).port}",
                    expect=(DONE, FINDING))
    assert {test for _, test in report.findings()} >= {"cipher-key", "mac-key"}


@pytest.mark.parametrize("n, counts", [(2, (10, 11)), (3, (10,))])
def test_probe_weak_one_of_several_with_one_name_that_take_turns_found(start, sins_binary, n, counts):
    """Whoever of them an unaltered ticket meets first."""
    rnd = seeded_rng(n)
    name, weak = rnd.randbytes(15).hex() + "00", f"key={b'changeme'.hex() * 4},"
    ports = [start(Sins, sins_binary, f"mix:{weak if i == 0 else ''}name={name}").port for i in range(n)]
    for tickets in counts:
        port = start(Balancer, "roundrobin", ports).port
        report = Report("--level", "quick", "--tls", rnd.choice(["1.2", "1.3"]), "--tickets", tickets, f"127.0.0.1:{port}")
        assert {test for _, test in report.findings()} == {"cipher-key"}, tickets


def test_probe_no_mac_found_although_nobody_opens_every_second_ticket(sinner):
    for tickets in (10, 11):
        port = sinner("mix:cipher=aes-256-ctr,mac=none,loses=yes").port
        report = Report("--level", "normal", "--tls", "1.2", "--tickets", tickets, f"127.0.0.1:{port}")
        assert {test for _, test in report.findings()} == {"mac"}, tickets


@pytest.mark.parametrize("words, found", [("", set()), (",bad-padding=alert", {"padding"}), (",mac=7", set())])
def test_probe_names_of_one_server_at_most_1000_connections(start, sins_binary, words, found):
    """Its tickets have three key names, and it opens all of them: it is tested as one server, whoever seems to answer."""
    server = start(Sins, sins_binary, "mix:keys=3" + words)
    report = Report("--tls", "1.2", "--tickets", 8, f"127.0.0.1:{server.port}")
    assert {test for _, test in report.findings()} == found
    assert found or report.host["connections"] <= 500
    mac = report["1.2"]["mac"]
    assert "these bytes of the MAC do not count: 151;" in mac[1] if "mac=7" in words else mac[0] == "ok" or found
