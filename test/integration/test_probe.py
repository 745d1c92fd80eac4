# SPDX-License-Identifier: Apache-2.0
"""stekctl probe: each sin is found and nothing else, good servers are clean, and no peer hangs it."""
import base64
import hashlib
import json
import os
import re
import resource
import select
import shutil
import socket
import struct
import subprocess
from contextlib import closing

import pytest

from httpd import Vhost, free_port
from probe_tool import (ROOT, Gnutls, Openssl, Peer, ProbedHaproxy, ProbedNginx, Report, SCHEMA,
                        Sins, relay, run, schema_errors, timed, until)
from probe_servers import PYTHON, script
from seed import seeded_rng
from stekctl_tool import BINARY, FINDING, IO, USAGE, Lighttpd

pytestmark = pytest.mark.timeout(300 if "PROBE_RUNS" not in os.environ else 1800)
RUNS = int(os.environ.get("PROBE_RUNS", "3"))
ZERO256, ZERO128 = "00 x 32", "00 x 16"

# sin: level, {test: words of its text}; the whole of what is found, in TLS 1.2 and 1.3 alike.
FOUND = {
    "aes256-zero": ("quick", {"cipher-key": f"AES-256-CBC with the key {ZERO256}"}),
    "aes128-zero": ("quick", {"cipher-key": f"AES-128-CBC with the key {ZERO128}"}),
    "zero-sha384": ("quick", {"cipher-key": "AES-256-CBC", "mac-key": "HMAC-SHA384"}),
    "count10": ("quick", {"cipher-key": "1011121314", "mac-key": "2021222324"}),
    "ones": ("quick", {"cipher-key": "31" * 16 + "00" * 16, "mac-key": "31" * 16 + "00" * 16}),
    "ctr-zero": ("quick", {"cipher-key": "AES-128-CTR"}),
    "gcm-zero": ("quick", {"cipher-key": "AES-256-GCM"}),
    "ccm-zero": ("quick", {"cipher-key": "AES-128-CCM"}),
    "chacha-zero": ("quick", {"cipher-key": "ChaCha20 "}),
    "chacha-poly-zero": ("quick", {"cipher-key": "ChaCha20-Poly1305"}),
    "mac-zero": ("quick", {"mac-key": f"HMAC-SHA256 with the key {ZERO256}"}),
    "mac-zero-md5": ("quick", {"mac-key": "HMAC-MD5"}),
    "mac-zero-sha1": ("quick", {"mac-key": "HMAC-SHA1"}),
    "mac-zero-sha512": ("quick", {"mac-key": "HMAC-SHA512"}),
    "mac-truncated": ("quick", {"mac-key": "truncated to 10"}),
    "no-mac": ("normal", {"mac": ""}),
    "no-mac-ctr": ("quick", {"mac": ""}),
    "iv-ctr": ("quick", {"nonce": "share a key stream"}),
    "iv-cbc": ("quick", {"nonce": "the same IV"}),
    "plain": ("quick", {"plain": "the session's secret"}),
    "padding": ("normal", {"padding": "confirmed at the second byte"}),
}


@pytest.fixture
def peer():
    peers = []

    def make(treat):
        peers.append(Peer(treat))
        return peers[-1]

    yield make
    for one in peers:
        one.close()


@pytest.mark.parametrize("sin", list(FOUND))
def test_probe_sin_found_and_nothing_else(sinner, sin):
    level, expected = FOUND[sin]
    report = Report("--level", level, f"localhost:{sinner(sin).port}")
    assert report.code == FINDING
    for version in ("1.2", "1.3"):
        found = report.findings(version)
        assert {test for _, test in found} == set(expected)
        for test, words in expected.items():
            assert words in found[version, test]


def test_probe_text_that_no_mac_protects_is_no_padding(sinner):
    """Altered bytes of the text get answers of their own, but not by their padding."""
    report = Report("--level", "normal", f"localhost:{sinner('no-mac').port}")
    for version in ("1.2", "1.3"):
        assert report[version]["padding"][0] == "ok"


def test_probe_long_name_is_no_name_and_iv(sinner):
    """A name of 32 bytes, then an IV for each ticket."""
    words = f"name={os.urandom(32).hex()},form=none,wrap=none,length=0,mac=behind,digest=sha256"
    report = Report("--level", "quick", f"localhost:{sinner(f'frame:cipher=aes-256-cbc,nonce=16,at=0,{words}').port}")
    report.assert_clean()
    assert report["1.2"]["nonce"][0] == report["1.3"]["nonce"][0] == "not testable"


EACH = """import socketserver, ssl, sys
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2], sys.argv[3])
        try:
            context.wrap_socket(self.request, server_side=True).recv(4096)
        except OSError:
            pass
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()
"""


def test_probe_key_for_every_connection_told(folder, certs):
    """As where each process of a server serves one connection."""
    server = script("/usr/bin/python3", "each.py", EACH, "")(folder, certs)
    try:
        report = Report("--level", "quick", "--tls", "1.3", f"localhost:{server.start().port}").assert_clean()
    finally:
        server.stop()
    verdict, text = report["1.3"]["support"]
    assert verdict == "note" and "but a ticket does not resume; " in text
    assert "each seen once: perhaps the server makes a key for every connection" in text and "--tickets" not in text


@pytest.mark.parametrize("level", ["quick", "normal"])
@pytest.mark.parametrize("sin, verdict", [("mac-half", "note"), ("mac-bit", "weak")])
def test_probe_bytes_of_mac_that_count_mapped(sinner, sin, verdict, level):
    """Only the first 16 or 4 bytes of the MAC are checked, but these are; also where not all are altered."""
    report = Report("--level", level, "--tls", "1.3", f"localhost:{sinner(sin).port}")
    assert {test for _, test in report.findings()} == ({"mac"} if verdict == "weak" else set())
    found, text = report["1.3"]["mac"]
    first = report.versions["1.3"]["greatest_length"] - 32 + (16 if sin == "mac-half" else 4)
    assert found == verdict and f"do not count: {first} to {first + (15 if sin == 'mac-half' else 27)};" in text


@pytest.mark.parametrize("wrap", ["hex", "base64"])
@pytest.mark.parametrize("words, verdict, said", [
    ("cipher=aes-256-gcm,nonce=12,mac=none,pad=9", "note", "common end of all tickets do not count: "),
    ("cipher=aes-256-ctr,nonce=16,mac=inside,digest=crc32,mac-key=none", "broken", " of what it stands for altered "),
])
def test_probe_tickets_of_text_stay_text_when_altered(sinner, wrap, words, verdict, said):
    """What is no hex or base64 any more would be refused for that alone."""
    report = Report("--level", "quick", "--tls", "1.3", f"localhost:{sinner(f'frame:{words},at=16,wrap={wrap}').port}")
    found, text = report["1.3"]["mac"]
    assert found == verdict and said in text
    assert report.versions["1.3"]["layout"] == "unknown"
    assert ", hex or base64, which stand for " in report["1.3"]["format"][1]
    assert report["1.3"]["format"][1].endswith("layout not recognised")


def test_probe_format_of_what_tickets_of_text_stand_for(sinner):
    port = sinner(f"frame:wrap=base64,cipher=aes-256-cbc,nonce=16,mac=behind,digest=sha256,name={b'ticket key no. 1'.hex()}").port
    report = Report("--level", "quick", "--tls", "1.2", f"localhost:{port}").assert_clean()
    assert report["1.2"]["format"][1].endswith(
        "OpenSSL layout: name 16, IV 16, text at 32, MAC 32, the name is the text 'ticket key no. 1'")


@pytest.mark.parametrize("wrap", ["none", "hex"])
def test_probe_found_key_tells_where_the_iv_is(sinner, wrap):
    """And that there is no MAC with a key of its own."""
    words = "cipher=aes-256-gcm,nonce=12,mac=none,name=0102030405060708090a,at=16,key=" + "00" * 32
    report = Report("--level", "quick", "--tls", "1.3", f"localhost:{sinner(f'frame:{words},wrap={wrap}').port}")
    assert set(report.findings()) == {("1.3", "cipher-key")} and report.versions["1.3"]["layout"] == "unknown"
    assert report["1.3"]["nonce"] == ("ok", "no IV or key stream is reused in 18 tickets")
    assert report["1.3"]["mac-key"] == ("not testable", "the cipher makes the tag: no key of its own")


@pytest.mark.parametrize("words, verdict, said", [
    # Layouts that are not recognised: a number of the key in front, zeros behind, and both.
    ("nonce=12,name=0001,mac=none,ignores=name", "note", "common beginning of all tickets do not count: 0 to 1;"),
    ("nonce=12,name=0001,mac=none,pad=7", "note", "common end of all tickets do not count: {-7} to {-1};"),
    ("nonce=12,name=0001,mac=none,ignores=name,pad=7", "note", "do not count: 0 to 1, {-7} to {-1};"),
    # That of RFC 5077.
    (f"cipher=aes-256-cbc,nonce=16,name={bytes(range(16)).hex()},length=2,mac=behind,digest=sha256,ignores=length",
     "note", "length field do not count: 32 to 33;"),
    # The nonce is not covered: the first block of the text can be altered at will.
    ("cipher=aes-256-cbc,nonce=16,name=0001,at=16,mac=behind,digest=sha256,ignores=name", "broken", ": 0 to"),
    # Nothing is covered.
    ("cipher=aes-256-ctr,nonce=16,name=0001,mac=none,ignores=name", "broken", "are accepted: 0 to 1, "),
    # Nor is here, and every alteration hits the secret.
    ("cipher=aes-256-ctr,nonce=16,name=0001,at=0,mac=none,ignores=name", "broken", "are accepted: 0 to 1"),
])
def test_probe_bytes_that_no_session_is_in_graded(sinner, words, verdict, said):
    cipher = "" if "cipher=" in words else "cipher=aes-256-gcm,"
    port = sinner(f"frame:{cipher}form=none,wrap=none,key={os.urandom(32).hex()},{words}").port
    report = Report("--level", "normal", "--tls", "1.3", f"localhost:{port}")
    found, text = report["1.3"]["mac"]
    length = report.versions["1.3"]["greatest_length"]
    said = re.sub(r"\{(-\d)\}", lambda match: str(length + int(match[1])), said)
    assert found == verdict and said in text
    assert ("1.3", "mac") in report.findings() or verdict == "note"


if "PROBE_RUNS" in os.environ:  # minutes: part of "make soak-probe"
    def test_probe_good_server_clean_in_normal(sinner):
        port = sinner("good").port
        for _ in range(RUNS):
            Report("--level", "normal", f"localhost:{port}").assert_clean()

    def test_probe_padding_by_time_before_mac_inside_found(sinner):
        port = sinner("frame:cipher=aes-256-cbc,nonce=16,mac=inside,form=none,wrap=none,bad-padding=5000").port
        report = Report("--level", "deep", "--tls", "1.3", f"localhost:{port}", timeout=1200)
        assert set(report.findings()) == {("1.3", "padding")}

    def test_probe_padding_by_time_found(sinner):
        port = sinner("padding-time").port
        report = Report("--level", "deep", "--tls", "1.3", f"localhost:{port}", timeout=1200)
        assert set(report.findings()) == {("1.3", "padding")}
        assert "response time" in report["1.3"]["padding"][1]

    def test_probe_good_server_clean_in_deep_within_3_min(sinner):
        port = sinner("good").port
        report, seconds = timed(lambda: Report("--level", "deep", f"localhost:{port}", rate=100,
                                               timeout=1200))
        report.assert_clean()
        assert seconds < 180


def test_probe_confusion_found(sinner):
    port = sinner("confusion").port
    report = Report("--level", "quick", "--sni", "a.test,b.test", f"127.0.0.1:{port}")
    for version in ("1.2", "1.3"):
        assert report[version]["confusion"][0] == "broken"
    Report("--level", "quick", "--sni", "a.test", "--sni", "c.test", f"127.0.0.1:{port}").assert_clean()


@pytest.mark.parametrize("sin, verdict", [("confusion-http", "broken"), ("no-confusion-http", "ok")])
def test_probe_confusion_in_http(sinner, sin, verdict):
    port = sinner(sin).port
    report = Report("--level", "quick", "--sni", "a.test,b.test", f"127.0.0.1:{port}")
    for version in ("1.2", "1.3"):
        assert report[version]["confusion"][0] == verdict
        assert verdict == "ok" or "HTTP 200, where a full handshake gets HTTP 403" in \
            report[version]["confusion"][1]
    assert {test for _, test in report.findings()} <= {"confusion"}


def test_probe_confusion_of_haproxy_found(start, folder):
    """One key file for two ports, and only one asks for certificates."""
    (folder / "keys").write_text("".join(base64.b64encode(os.urandom(80)).decode() + "\n"
                                         for _ in range(3)))
    server = start(ProbedHaproxy, f"tls-ticket-keys {folder}/keys")
    report = Report("--level", "quick", "--sni", "a.test", f"127.0.0.1:{server.port}",
                    f"127.0.0.1:{server.second_port}")
    for version in ("1.2", "1.3"):
        assert report[version]["confusion"][0] == "broken"
        assert "gets HTTP 200, where a full handshake is refused" in report[version]["confusion"][1]


@pytest.mark.parametrize("module", [True, False])
def test_probe_confusion_of_httpd_not_found(httpd, certs, module):
    """The same on httpd, which shares a session cache without the module: stock mod_ssl resumes, but
    does not answer."""
    second = free_port()
    lines = ["SSLVerifyClient require", f"SSLCACertificateFile {certs}/ca.crt"]
    stock = ["SSLSessionCache shmcb:run/cache(512000)", "SSLSessionTickets off"]
    server = httpd(module=module, modules=["socache_shmcb"], server=[] if module else stock,
                   vhosts=[Vhost("a.test"), Vhost("a.test", lines, second)])
    server.expect("AH0[0-9]{4}: .*(client|certificate|handshake)")
    server.start()
    report = Report("--level", "quick", "--sni", "a.test", f"127.0.0.1:{server.port}",
                    f"127.0.0.1:{second}").assert_clean()
    verdict, text = report["1.3"]["confusion"]
    assert verdict == ("ok" if module else "note")
    assert module or "without answering" in text
    assert "refuses clients without a certificate" in report["1.2"]["support"][1]


def test_probe_confusion_across_hosts_tried(sinner):
    one, two = sinner("good").port, sinner("good").port
    report = Report("--level", "quick", f"localhost:{one}", f"localhost:{two}").assert_clean()
    assert "2 other names" in report["1.3"]["confusion"][1]


def test_probe_long_hint_found(sinner):
    report = Report("--level", "quick", f"localhost:{sinner('long-hint').port}")
    assert set(report.findings()) == {("1.2", "support")}


# As OpenSSL 4.0 and later do with hints of TLS 1.3.
SHORTENED = "unsigned long SSL_SESSION_get_ticket_lifetime_hint(const void *s) { return s ? 604800 : 0; }\n"


def test_probe_long_hint_found_whatever_openssl_keeps_of_it(sinner, tmp_path, monkeypatch):
    port = sinner("long-hint").port
    (tmp_path / "hint.c").write_text(SHORTENED)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "hint.so", tmp_path / "hint.c"], check=True)
    monkeypatch.setenv("LD_PRELOAD", str(tmp_path / "hint.so"))
    report = Report("--level", "quick", "--tls", "1.2", f"localhost:{port}")
    assert report.versions["1.2"]["hint"] == 30 * 86400 and set(report.findings()) == {("1.2", "support")}


def test_probe_watch_sees_rotation(sinner):
    report = Report("--level", "quick", "--tls", "1.3", "--watch", "6s",
                    f"localhost:{sinner('rotate').port}").assert_clean()
    assert "key name changed" in report["1.3"]["rotation"][1]


@pytest.mark.parametrize("sin, verdict, words", [
    ("past-hint", "weak", "beyond its hint of 1s"), ("forget", "note", "less than its hint")])
def test_probe_watch_holds_hint_against_session(sinner, sin, verdict, words):
    report = Report("--level", "quick", "--tls", "1.3", "--watch", "9s",
                    f"localhost:{sinner(sin).port}")
    assert report["1.3"]["rotation"][0] == verdict and words in report["1.3"]["rotation"][1]
    assert {test for _, test in report.findings()} == ({"rotation", "expiry"} if verdict == "weak" else set())


@pytest.mark.parametrize("level, verdict", [("normal", "weak"), ("quick", "weak")])
def test_probe_ticket_after_its_hint_found(sinner, level, verdict):
    report = Report("--level", level, "--tickets", 8, "--tls", "1.3", f"localhost:{sinner('past-hint').port}")
    assert report["1.3"]["expiry"] == (verdict, "a ticket resumes after its hint of 1s")
    assert set(report.findings()) == {("1.3", "expiry")}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_probe_tests_offer_tickets_of_their_own(sinner, version):
    """A server that takes every ticket once refuses those that an earlier test has offered, whatever else is wrong."""
    port = sinner("mix:once=yes,outlives=yes,any=version,timeout=1").port
    report = Report("--level", "quick", "--sni", "a.test", f"127.0.0.1:{port}")
    assert report[version]["expiry"] == ("weak", "a ticket resumes after its hint of 1s")
    assert report[version]["change"][0] == "weak"
    assert report["1.3"]["reuse"] == ("ok", "a ticket is accepted once")
    few = Report("--level", "quick", "--tls", version, "--tickets", 2, "--sni", "a.test", f"127.0.0.1:{port}")
    for test in ("expiry", "change"):
        assert few[version][test][0] in ("weak", "not testable")


def test_probe_mac_of_session_that_ended_meanwhile_not_ok(sinner):
    """All altered tickets are refused, but so is the ticket itself."""
    report = Report("--level", "quick", "--tls", "1.2", f"127.0.0.1:{sinner('mix:timeout=1,mac=3').port}", rate=20)
    verdict, text = report["1.2"]["mac"]
    assert verdict in ("note", "not testable") and ("did not resume" in text or "do not count" in text)


def test_probe_endless_hint_is_not_waited_for(sinner):
    report = Report("--level", "quick", "--tls", "1.2", f"localhost:{sinner('endless-hint').port}", timeout=60)
    assert report.versions["1.2"]["hint"] == 0xfffffffe
    assert report["1.2"]["expiry"][0] == "not testable" and "too long" in report["1.2"]["expiry"][1]


def test_probe_ticket_after_its_hint_refused(start):
    port = start(ProbedNginx, "ssl_session_timeout 2s;").port
    report = Report("--level", "quick", "--tickets", 8, f"localhost:{port}").assert_clean()
    for version in ("1.2", "1.3"):
        assert report[version]["expiry"] == ("ok", "after its hint of 2s, a ticket gets a full handshake")
    port = start(ProbedNginx, "ssl_session_timeout 3s;").port
    report = Report("--level", "quick", "--tickets", 8, "--tls", "1.3", f"localhost:{port}").assert_clean()
    assert report["1.3"]["expiry"][0] == "not testable" and "hint of 3s is too long" in report["1.3"]["expiry"][1]


def test_probe_ticket_in_another_version_found(sinner):
    report = Report("--level", "quick", "--tickets", 8, f"localhost:{sinner('any-version').port}")
    assert report.findings() == {("1.2", "change"): "resumes with TLS 1.3", ("1.3", "change"): "resumes with TLS 1.2"}


def test_probe_ticket_in_another_suite_noted(sinner):
    """As mbedTLS does: both sides agree to the suite."""
    report = Report("--level", "quick", "--tickets", 8, f"localhost:{sinner('any-suite').port}").assert_clean()
    assert report["1.2"]["change"][0] == "note" and "resumes with another cipher suite" in report["1.2"]["change"][1]


def test_probe_watch_sees_no_rotation(sinner):
    report = Report("--level", "quick", "--tls", "1.2", "--watch", "2s",
                    f"localhost:{sinner('good').port}").assert_clean()
    assert report["1.2"]["rotation"][0] == "note"


# ---- good servers, over the wire -----------------------------------------------------------------

GOOD = {"sins": None, "openssl": Openssl, "gnutls": Gnutls, "nginx": ProbedNginx,
        "haproxy": ProbedHaproxy, "lighttpd": Lighttpd}
LAYOUT = {"gnutls": "GnuTLS"}


@pytest.mark.parametrize("name", list(GOOD))
def test_probe_good_server_clean(start, sinner, name):
    server = sinner("good") if name == "sins" else start(GOOD[name])
    for n in range(RUNS):
        report = Report("--level", "normal" if n == 0 else "quick", f"localhost:{server.port}")
        report.assert_clean()
        assert set(report.versions) == {"1.2", "1.3"}
        for version, part in report.versions.items():
            assert part["tickets"] >= 1 and part["resumes"], f"{version}: {part}"
            assert part["layout"] == LAYOUT.get(name, "OpenSSL")
            assert report[version]["mac"][0] == "ok"
            # GnuTLS takes the session's suite also where it is not offered, or ends with an alert.
            assert name == "gnutls" or report[version]["change"] == (
                "ok", f"no resumption with TLS 1.{5 - int(version[2])}, another cipher suite, "
                      "a ticket of another server")


def test_probe_nginx_key_file_and_off(start, folder):
    key = folder / "key"
    key.write_bytes(os.urandom(80))
    report = Report("--level", "quick",
                    f"localhost:{start(ProbedNginx, f'ssl_session_ticket_key {key};').port}")
    report.assert_clean()
    key.write_bytes(bytes(80))
    report = Report("--level", "quick",
                    f"localhost:{start(ProbedNginx, f'ssl_session_ticket_key {key};').port}")
    assert {test for _, test in report.findings()} == {"cipher-key", "mac-key"}
    report = Report("--level", "quick",
                    f"localhost:{start(ProbedNginx, 'ssl_session_tickets off;').port}").assert_clean()
    assert report.versions["1.2"]["tickets"] == 0


def test_probe_module_clean(httpd):
    server = httpd(vhosts=[Vhost("a.test"), Vhost("b.test")]).start()
    report = Report("--sni", "a.test,b.test", f"127.0.0.1:{server.port}").assert_clean()
    for version in ("1.2", "1.3"):
        assert report.versions[version]["resumes"]
        assert report[version]["confusion"][0] == "ok"


def test_probe_stock_httpd_clean(httpd):
    report = Report(f"localhost:{httpd(module=False).start().port}").assert_clean()
    assert report.versions["1.2"]["layout"] == "OpenSSL"


# ---- hosts that are no good ----------------------------------------------------------------------

def fails(port, words, *args, limit=25):
    done, seconds = timed(lambda: run("--level", "quick", *args, f"127.0.0.1:{port}", expect=(IO,)))
    assert any(word in done.stderr for word in words.split("|")), done.stderr
    assert done.stderr.count("\n") == 1 and seconds < limit
    return done


def test_probe_dead_host_told():
    fails(free_port(), "cannot be reached")


def test_probe_plain_http_told(peer):
    def treat(sock, _):
        sock.send(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    fails(peer(treat).port, "its answer is not TLS")


def test_probe_tls10_only_told(peer):
    def treat(sock, _):
        sock.send(b"\x15\x03\x01\x00\x02\x02\x46")

    fails(peer(treat).port, "protocol version")


def test_probe_tls10_server_hello_told(peer):
    def treat(sock, _):
        hello = b"\x03\x01" + bytes(32) + b"\x00\x00\x2f\x00"
        body = b"\x02" + struct.pack(">I", len(hello))[1:] + hello
        sock.send(b"\x16\x03\x01" + struct.pack(">H", len(body)) + body)
        sock.recv(100)

    fails(peer(treat).port, "older version")


def test_probe_reset_in_handshake_told(peer):
    def treat(sock, _):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    fails(peer(treat).port, "closed the connection")


def test_probe_silent_host_ends(peer):
    fails(peer(lambda sock, _: sock.recv(1)).port, "took too long")


def test_probe_slow_host_ends(peer):
    made = peer(lambda sock, _: made.slowly(sock, b"\x16\x03\x03\x40\x00" + bytes(60)))
    fails(made.port, "took too long")


def test_probe_noise_told(peer):
    fails(peer(lambda sock, _: sock.send(os.urandom(4000))).port, "its answer is not TLS|alert|closed")


def test_probe_unknown_name_told():
    done = run("--level", "quick", "no-such-host.invalid:443", expect=(IO,))
    assert "does not resolve" in done.stderr
    listed = run("--level", "quick", "--hosts", "-", expect=(IO,), text="no-such-host.invalid:443\n")
    assert re.fullmatch(r"stekctl: no-such-host.invalid:443: the name does not resolve: .*\n", listed.stderr)


def test_probe_big_tickets_survived(sinner):
    report, seconds = timed(lambda: Report("--level", "quick", f"localhost:{sinner('big').port}"))
    report.assert_clean()
    assert report.versions["1.2"]["greatest_length"] > 60000 and seconds < 30


def test_probe_one_dead_host_among_good_told(sinner):
    done = run("--level", "quick", f"127.0.0.1:{free_port()}", f"127.0.0.1:{sinner('good').port}",
               expect=(IO,))
    assert "0 findings" in done.stdout and "cannot be reached" in done.stderr


def test_probe_finding_wins_over_dead_host(sinner):
    done = run("--level", "quick", f"127.0.0.1:{sinner('mac-zero').port}", f"127.0.0.1:{free_port()}",
               expect=(FINDING,))
    assert "cannot be reached" in done.stderr


def test_probe_stalled_first_connection_repeated(sinner):
    """A peer in front of a good server that lets the first connection wait in vain."""
    target, seen = sinner("good").port, []

    def treat(sock, first):
        seen.append(1)
        if len(seen) == 1:
            sock.settimeout(20)
            sock.recv(1)
            return
        relay(sock, first, target)

    with closing(Peer(treat)) as proxy:
        report = Report("--level", "quick", "--tls", "1.3", f"127.0.0.1:{proxy.port}").assert_clean()
    assert "was repeated" in report["1.3"]["support"][1]


def test_probe_some_backends_without_tickets_noted(sinner, start):
    with_tickets, without, turn = sinner("good").port, start(ProbedNginx, "ssl_session_tickets off;").port, []

    def treat(sock, first):
        turn.append(1)
        relay(sock, first, without if len(turn) % 2 else with_tickets)

    with closing(Peer(treat)) as proxy:
        report = Report("--level", "quick", "--tls", "1.2", f"127.0.0.1:{proxy.port}")
    verdict, text = report["1.2"]["support"]
    assert verdict == "note" and "connections gave none" in text


@pytest.mark.parametrize("closes", [True, False])
def test_probe_server_that_has_had_enough_not_testable(sinner, closes):
    """As behind a firewall that bars who connects often; but a server that never knew the version is no worse."""
    target, turn = sinner("good").port, []

    def treat(sock, first):
        turn.append(1)
        # supported_versions with TLS 1.3 only
        is_new = b"\x00\x2b\x00\x03\x02\x03\x04" in first
        if not (len(turn) > 12 if closes else is_new):
            relay(sock, first, target)

    with closing(Peer(treat)) as proxy:
        report = Report("--level", "quick", f"127.0.0.1:{proxy.port}")
    lost = [one for one in report.host["untested"] if one["version"] == "TLS 1.3" and one["test"] == "support"]
    assert (report.host["verdict"], len(lost)) == (("not testable", 1) if closes else ("ok", 0)), report.host


def test_probe_certificate_demanded_not_testable(httpd, certs):
    second = free_port()
    server = httpd(vhosts=[Vhost("a.test"), Vhost("a.test", ["SSLVerifyClient require",
                                                             f"SSLCACertificateFile {certs}/ca.crt"], second)])
    server.expect("AH0[0-9]{4}: .*(client|certificate|handshake)")
    server.start()
    report = Report("--level", "quick", "--tls", "1.2", "--sni", "a.test", f"127.0.0.1:{second}")
    assert report["1.2"]["support"][0] == report.host["verdict"] == "not testable"


# ---- the command ---------------------------------------------------------------------------------

@pytest.mark.parametrize("args", [
    [], ["--level", "fast", "h"], ["--tickets", "0", "h"], ["--tickets", "1001", "h"],
    ["--tls", "1.4", "h"], ["--watch", "8d", "h"], ["--rate", "0", "h"], ["--sni", "a b", "h"],
    ["h:0"], ["h:65536"], ["h:x"], [":443"], ["[::1"], ["--nonsense", "h"], ["a b"]])
def test_probe_bad_usage_told(args):
    done = run(*args, expect=(USAGE,))
    assert done.stderr.startswith("stekctl: ") and not done.stdout


def test_probe_quick_within_5_s_and_rate_kept(sinner):
    """By what the probe itself needs, whatever else this machine does: its own processor time, and the time that
    the rate spreads its connections over."""
    port = sinner("good").port
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = Report("--level", "quick", f"localhost:{port}", rate=100)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{report.host['connections']} connections, {cpu_s:.2f} s of processor time")
    assert report.host["connections"] <= report.host["planned"]
    assert report.host["connections"] / 100 + cpu_s < 5
    _, seconds = timed(lambda: Report("--level", "quick", "--tickets", 2, "--tls", "1.3",
                                      f"localhost:{port}", rate=20))
    assert seconds >= report.host["connections"] / 100 and seconds >= 1


KEY_SHARE, PRE_SHARED_KEY = 51, 41


def extensions(record):
    """Of the hello in a record: where the data of each begins, and ends."""
    def number(at):
        return int.from_bytes(record[at:at + 2], "big")

    at, found = 44 + record[43], {}
    at += 2 + number(at) if record[5] == 1 else 2
    at += 1 + record[at] if record[5] == 1 else 1
    end = at + 2 + number(at)
    at += 2
    while at < end:
        found[number(at)] = (at + 4, at + 4 + number(at + 2))
        at += 4 + number(at + 2)
    return found


def spoiled(offer, answer):
    """The hello of a TLS 1.3 server that ignores a ticket, with a share from which no key can be derived."""
    mine, theirs = extensions(offer), extensions(answer)
    if PRE_SHARED_KEY not in mine or PRE_SHARED_KEY in theirs:
        return answer
    begin, end = theirs[KEY_SHARE]
    return answer[:begin + 4] + bytes(end - begin - 4) + answer[end:]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_probe_altered_ticket_ignored_ends_the_connection(sinner, version):
    """After its ClientHello the client says no more: that server's full handshake would show nothing.  Nor does it
    derive keys from a TLS 1.3 server's hello."""
    port, said = sinner("good").port, []

    def treat(sock, first):
        words = [first]
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as other:
                other.sendall(first)
                ends = {sock: other, other: sock}
                while ready := select.select(list(ends), [], [], 10)[0]:
                    data = ready[0].recv(65536)
                    if ready[0] is sock:
                        words.append(data)
                    elif version == "1.3" and data[:1] == b"\x16":
                        data = spoiled(first, data)
                    if not data:
                        break
                    ends[ready[0]].sendall(data)
        finally:
            said.append(sum(1 for word in words if word))

    peer = Peer(treat)
    try:
        report = Report("--level", "quick", "--tls", version, f"localhost:{peer.port}").assert_clean()
        until(lambda: len(said) == report.host["connections"], "the last connection's end")
    finally:
        peer.close()
    assert report[version]["mac"] == ("ok", "none of 24 altered tickets was accepted (byte by byte)")
    # And six with a checksum that was kept right.  Besides, one ticket per version is offered with a wrong secret.
    assert 30 <= said.count(1) <= 32, said


# Connections of a level, per version: tickets as given and by session id, tickets that the probe makes, places of the
# MAC test and what they may cost more, padding, confusion with no SNI, reuse, change, expiry.
OFFERS = {"quick": 8 + 40 + 24 + 16 + 0 + 1 + 2 + 3 + 1, "normal": 8 + 60 + 384 + 16 + 2048 + 1 + 2 + 3 + 1}


@pytest.mark.parametrize("level", list(OFFERS))
def test_probe_tickets_bound_connections(sinner, level):
    server = sinner("good")
    report = Report("--level", level, "--tickets", 3, f"localhost:{server.port}").assert_clean()
    planned = 2 * (3 + OFFERS[level])
    counts = server.hellos()
    assert report.host["planned"] == planned
    assert counts["full"] <= 2 * 3
    assert report.host["connections"] == counts["full"] + counts["offer"] <= planned
    for version in ("1.2", "1.3"):
        assert report[version]["mac"][0] == report[version]["plain"][0] == "ok"


@pytest.mark.parametrize("tickets", [1, 2, 12])
def test_probe_tickets_bound_full_handshakes(sinner, tickets):
    server = sinner("confusion")
    report = Report("--level", "quick", "--tls", "1.3", "--tickets", tickets,
                    "--sni", "a.test,b.test", f"127.0.0.1:{server.port}")
    assert 1 <= server.hellos()["full"] <= tickets
    verdict = report["1.3"]["confusion"][0]
    assert verdict == ("broken" if tickets > 2 else "not testable")
    # Two tickets come with one connection.
    assert report["1.3"]["nonce"][0] == "ok"


def test_probe_plan_told_first(sinner):
    port = sinner("good").port
    done = run("--level", "quick", "--rate", "200", "--tickets", "3", f"localhost:{port}")
    planned = 2 * (3 + OFFERS["quick"])
    assert done.stdout.splitlines()[0] == f"localhost:{port}: up to {planned} connections, 200/s"
    assert Report("--level", "quick", "--tickets", 3, f"localhost:{port}", rate=200).whole["rate"] == 200


def test_probe_verdict_first(sinner):
    done = run("--level", "quick", f"localhost:{sinner('mac-zero').port}")
    assert done.stdout.splitlines()[1] == "broken: TLS 1.2: mac-key; TLS 1.3: mac-key"
    done = run("--level", "quick", f"localhost:{sinner('good').port}")
    assert done.stdout.splitlines()[1].startswith("ok: no finding in ")


def test_probe_json_as_in_schema(sinner):
    for sin in ("good", "zero-sha384", "plain", "mac-zero"):
        report = Report("--level", "quick", "--tickets", 3, f"localhost:{sinner(sin).port}")
        assert list(schema_errors(SCHEMA, report.whole)) == []
    done = run("--json", "--tls", "1.9", "h", expect=(USAGE,))
    assert json.loads(done.stdout)["errors"] and list(schema_errors(SCHEMA, json.loads(done.stdout))) == []
    done = run("--json", f"127.0.0.1:{free_port()}", expect=(IO,))
    assert list(schema_errors(SCHEMA, json.loads(done.stdout))) == []
    assert list(schema_errors(SCHEMA, {**report.whole, "hosts": [{}]}))


def test_probe_key_of_both_versions_searched_once(sinner):
    """The most common keys are tried on the second version's ticket, too, where the first one's was clean."""
    report = Report("--level", "normal", "--tickets", 2, f"localhost:{sinner('good').port}")
    tests = {version: {test["test"]: test for test in part["tests"] if "keys" in test}
             for version, part in report.versions.items()}
    for name in ("cipher-key", "mac-key"):
        first, second = tests["1.2"][name], tests["1.3"][name]
        assert first["verdict"] == second["verdict"] == "ok" and 0 < second["keys"] < first["keys"] / 2
        assert "an earlier TLS version showed the same key name" in second["text"]
        assert "earlier version" not in first["text"]


def test_probe_what_it_cannot_know_told(sinner):
    report = Report("--level", "quick", f"localhost:{sinner('good').port}")
    for version, part in report.versions.items():
        for test in part["tests"]:
            told = [one["secret"] for one in test.get("not_searched", [])]
            is_about = version == "1.2" and test["test"] in ("plain", "cipher-key")
            assert told == (["premaster secret"] if is_about else [])


MANUAL = (ROOT / "docs/stekctl-probe.8").read_text()


def section(name):
    return re.split(r"^\.Sh ", MANUAL.split(f".Sh {name}\n", 1)[1], flags=re.M)[0]


def values_of(schema, member):
    """All enums of members with this name."""
    if isinstance(schema, dict):
        found = schema.get("properties", {}).get(member, {})
        yield from found.get("enum", [])
        for value in schema.values():
            yield from values_of(value, member)
    elif isinstance(schema, list):
        for value in schema:
            yield from values_of(value, member)


def test_probe_manual_and_schema_have_the_same_names():
    tests, json_page = section("TESTS"), section("JSON")
    verdicts = tests.split("The last two are findings", 1)[0]
    assert re.findall(r"^\.Dq (.+?)(?: ,)?$", verdicts.replace(" .\n", "\n"), re.M) == SCHEMA["$defs"]["host"][
        "properties"]["verdict"]["enum"]
    assert set(values_of(SCHEMA, "verdict")) == set(SCHEMA["$defs"]["host"]["properties"]["verdict"]["enum"])
    assert set(re.findall(r"^\.It (\S+)$", tests, re.M)) == set(values_of(SCHEMA, "test"))
    layouts = json_page.split(".It layout\n", 1)[1].split(".It", 1)[0]
    assert {name.strip('"') for name in re.findall(r"^\.Qq (.+?)(?: [,.])?$", layouts, re.M)} == \
        set(values_of(SCHEMA, "layout"))
    # Every member is named somewhere.
    words = set(re.findall(r"[a-z_]+", json_page))
    assert {name for name in members_of(SCHEMA["$defs"]["host"])} <= words | {"host", "port"}


def members_of(schema):
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from members_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from members_of(value)


def numbers(pattern):
    return [int(number.replace(",", "")) for number in re.search(pattern, MANUAL, re.S).groups()]


def test_probe_quick_alters_less_where_an_earlier_version_refused(sinner):
    """Both versions of a server have one key."""
    report = Report("--level", "quick", f"localhost:{sinner('good').port}")
    assert report["1.2"]["mac"] == ("ok", "none of 24 altered tickets was accepted (byte by byte)")
    verdict, text = report["1.3"]["mac"]
    assert verdict == "ok" and text.startswith("none of 8 altered tickets was accepted (byte by byte); an earlier TLS version showed")
    assert report.host["connections"] <= 75
    # All of them where the earlier version did not.
    report = Report("--level", "quick", f"localhost:{sinner('mac-half').port}")
    assert report["1.2"]["mac"][0] == report["1.3"]["mac"][0] == "note"
    assert report.host["connections"] > 75


def test_probe_manual_counts_connections():
    n, own = r"([\d,]+)", numbers(r"\n([\d,]+) connections with an unaltered ticket.*?\n([\d,]+) where tickets should not")
    own += 2 * numbers(rf"if a weak key is found: {n} with tickets that the probe forges under the cipher's\nkey, and as many under")
    more, = numbers(rf"from level normal on, {n} more")
    altered = dict(zip(("quick", "normal", "deep"), numbers(
        rf"altered tickets: {n} at level quick, {n} at normal \([^)]+\), and\n{n} at deep")))
    for level, offers in altered.items():
        planned = run("--level", level, "--tls", "1.2", "--tickets", 3, f"127.0.0.1:{free_port()}", expect=(IO,)).stdout
        assert f"up to {3 + sum(own) + offers + (level != 'quick') * more} connections" in planned


@pytest.mark.parametrize("scheme", ["socks5", "http"])
def test_probe_manual_tells_ports(scheme):
    port, = numbers(rf"{scheme}://host:port\S*\n\([^)]*port (\d+) by default")
    with socket.create_server(("127.0.0.77", port)) as proxy:
        probe = subprocess.Popen([BINARY, "probe", "--proxy", f"{scheme}://127.0.0.77", "h.test"],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        proxy.settimeout(20)
        proxy.accept()[0].close()
        assert probe.wait(20) == IO


def test_probe_redact_hides_keys(sinner):
    port = sinner("count10").port
    args = ("--level", "quick", "--tickets", 3, "--tls", "1.3", f"localhost:{port}")
    found = [test["found"] for test in Report(*args).versions["1.3"]["tests"] if "found" in test]
    key = bytes(range(0x10, 0x20)).hex()
    assert [part["key"] for part in found if "CBC" in part["algorithm"]] == [key]
    hidden = Report("--redact", *args).whole
    assert key not in json.dumps(hidden)
    assert f"sha256:{hashlib.sha256(bytes.fromhex(key)).hexdigest()}" in json.dumps(hidden)


RARE = {"sha3-256": "SHA3-256", "sha512-256": "SHA512-256", "blake2s256": "BLAKE2S-256", "sm3": "SM3", "sha3-512": "SHA3-512"}


def test_probe_mac_of_a_rare_digest_found_and_forged(start, sins_binary):
    """A server's own callback chooses the digest of its MAC."""
    digest = seeded_rng().choice(list(RARE))
    server = start(Sins, sins_binary, f"mix:digest={digest},mac-key={'00' * 32}")
    report = Report("--tls", "1.3", "--tickets", 3, f"127.0.0.1:{server.port}")
    tests = [test for test in report.versions["1.3"]["tests"] if "found" in test]
    assert [(test["test"], test["found"]["algorithm"], test["forged"]) for test in tests] == \
        [("mac-key", f"HMAC-{RARE[digest]}", "accepted")], digest


def test_probe_says_which_algorithms_were_tried(start):
    """As many forms are behind a number: a user looks here whether a cipher is among them."""
    port, tried = start(Openssl).port, {}
    for level in ("quick", "normal"):
        report = Report("--level", level, "--tls", "1.2", "--tickets", 2, f"127.0.0.1:{port}").assert_clean()
        for test in report.versions["1.2"]["tests"]:
            if "algorithms" in test:
                assert len(set(test["algorithms"])) == len(test["algorithms"]) <= test["forms"]
                tried[level, test["test"]] = set(test["algorithms"])
    assert {"AES-256-CBC", "AES-128-GCM", "AES-192-CCM", "ChaCha20", "3DES-CBC"} <= tried["quick", "cipher-key"]
    assert {"CAMELLIA-256-CBC", "ARIA-128-ECB", "SM4-CBC"} <= tried["normal", "cipher-key"] - tried["quick", "cipher-key"]
    assert {"HMAC-SHA256", "SHA256"} <= tried["quick", "mac-key"]
    assert {f"HMAC-{name}" for name in RARE.values()} <= tried["normal", "mac-key"] - tried["quick", "mac-key"]


def test_probe_stateful_tickets_of_which_one_of_two_resumes(start, folder):
    """OpenSSL forgets a session whose connection did not end in order.  There is no MAC then, whoever answers."""
    text = PYTHON.replace("class Answer", "context.options |= ssl.OP_NO_TICKET\nclass Answer")
    server = start(lambda root, certs: script("/usr/bin/python3", "serve.py", text, "random")(root, certs))
    report = Report("--level", "quick", "--tls", "1.3", f"127.0.0.1:{server.port}").assert_clean()
    assert report["1.3"]["mac"] == ("not testable", "stateful: no MAC")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_probe_text_of_triple_des_begins_behind_its_iv(start, sins_binary, version):
    """Of 8 bytes; the length of a ticket may be one that AES makes, too."""
    server = start(Sins, sins_binary, f"mix:cipher=3des-cbc,key={'00' * 24}")
    report = Report("--level", "quick", "--tls", version, "--tickets", 3, f"127.0.0.1:{server.port}")
    found = [test["found"] for test in report.versions[version]["tests"] if test["test"] == "cipher-key"][0]
    assert found["algorithm"] == "3DES-CBC" and found.get("text_offset", 24) == 24 and found.get("iv_length", 8) == 8
    assert "text_offset" in found or report.versions[version]["layout"] == "unknown"


def test_probe_own_keys_tried(start, folder):
    secret = hashlib.sha512(b"only the probe's user has this").digest()
    key, keys = folder / "key", folder / "keys"
    key.write_bytes(os.urandom(16) + secret)
    args = ("--level", "quick", "--tickets", 3,
            f"localhost:{start(ProbedNginx, f'ssl_session_ticket_key {key};').port}")
    Report(*args).assert_clean()
    for line in (secret.hex(), base64.b64encode(secret).decode(), "only the probe's user has this"):
        keys.write_text(f"# a comment\n\n{line}\n")
        report = Report("--keys", keys, *args)
        assert {test for _, test in report.findings()} == {"cipher-key", "mac-key"}, line


@pytest.mark.parametrize("text, words", [(None, "No such file"), ("# none\n", "no keys"),
                                         ("x" * 257, "256 characters")])
def test_probe_bad_own_keys_told(folder, text, words):
    if text:
        (folder / "keys").write_text(text)
    assert words in run("--keys", folder / "keys", "h", expect=(USAGE,)).stderr


def test_probe_text_report_has_advice_and_no_progress(sinner):
    done = run("--level", "quick", f"localhost:{sinner('aes256-zero').port}")
    for words in ("TLS 1.2", "TLS 1.3", "broken", "httpd:", "nginx:", "HAProxy:", "2 findings"):
        assert words in done.stdout
    assert done.stderr == "" and "\x1b" not in done.stdout


def test_probe_progress_on_a_terminal(sinner):
    script = shutil.which("script")
    command = f"{BINARY} probe --level quick localhost:{sinner('good').port} >/dev/null"
    done = subprocess.run([script, "-qec", command, "/dev/null"], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    assert "TLS 1.3, mac" in done.stdout
