# SPDX-License-Identifier: Apache-2.0
"""stekctl probe finds the same on a server however it is reached: by URL, over IPv6, through a proxy, after
STARTTLS, with a client certificate, in old versions of TLS."""
import base64
import json
import re
import shutil
import socket
import string
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from httpd import free_port
from plain_talk import PROTOCOLS, Talker
from probe_tool import Peer, Openssl, ProbedNginx, Report, run
from seed import seeded_rng
from stekctl_tool import BINARY, FINDING, IO, USAGE, Program

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def talker():
    made = []

    def make(*args, **options):
        made.append(Talker(*args, seeded_rng(), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Server(Openssl):
    """openssl s_server with more options."""

    def __init__(self, root, certs, *options):
        super().__init__(root, certs)
        self.options = options

    def command(self):
        return super().command() + list(self.options)


class Microsocks(Program):
    def __init__(self, root, certs, user=None, password=None):
        super().__init__(root, certs)
        self.credentials = ["-u", user, "-P", password] if user else []

    def command(self):
        return [shutil.which("microsocks"), "-i", "127.0.0.1", "-p", str(self.port), *self.credentials]


class Tinyproxy(Program):
    def __init__(self, root, certs, user=None, password=None):
        super().__init__(root, certs)
        self.auth = f"BasicAuth {user} {password}\n" if user else ""

    def command(self):
        conf = self.root / "tinyproxy.conf"
        conf.write_text(f"Port {self.port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\n{self.auth}")
        return [shutil.which("tinyproxy"), "-d", "-c", str(conf)]


PROXIES = {"socks5": Microsocks, "http": Tinyproxy}


def quick(*args, **options):
    return Report("--level", "quick", "--tickets", 4, *args, **options)


def assert_zero_key(report, *versions):
    """What the sinful server does, and nothing else."""
    assert report.code == FINDING
    assert set(report.findings()) == {(version, "cipher-key") for version in versions or ("1.2", "1.3")}


# ---- STARTTLS ------------------------------------------------------------------------------------

@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_probe_starttls_as_openssl_does(sinner, talker, protocol):
    """OpenSSL's own client, which nobody taught our server, agrees with it."""
    target = sinner("aes256-zero").port
    plain = talker(protocol, target, is_plain=True)
    done = subprocess.run(["openssl", "s_client", "-starttls", protocol, "-connect", f"127.0.0.1:{plain.port}"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert "New, TLSv1.3" in done.stdout, done.stdout + done.stderr
    made = talker(protocol, target)
    assert_zero_key(quick("--starttls", protocol, f"127.0.0.1:{made.port}"))
    assert_zero_key(quick("--tls", "1.3", f"{protocol}://127.0.0.1:{made.port}"), "1.3")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_probe_starttls_refused_told(talker, protocol):
    port = talker(protocol, 0, refuses=True).port
    done = run("--starttls", protocol, f"127.0.0.1:{port}", expect=(IO,))
    assert "refuses STARTTLS: " in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_probe_starttls_of_another_protocol_told(talker, protocol):
    """A server that talks, but about something else, is an error and never a verdict."""
    others = [talker(other, 0).port for other in PROTOCOLS if other != protocol]
    with ThreadPoolExecutor(len(others)) as pool:  # each waits for words that never come
        runs = pool.map(lambda port: run("--level", "quick", "--starttls", protocol, f"127.0.0.1:{port}", expect=(IO,)),
                        others)
        for done in runs:
            assert done.stderr.count("\n") == 1 and "nothing was tested" in done.stderr


# ---- proxies -------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", PROXIES)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_probe_through_proxy(start, sinner, kind, host):
    args = "--proxy", f"{kind}://127.0.0.1:{start(PROXIES[kind]).port}"
    if host == "[::1]":
        quick(*args, f"{host}:{start(Ipv6Server).port}").assert_clean()
    else:
        assert_zero_key(quick(*args, f"{host}:{sinner('aes256-zero').port}"))


@pytest.mark.parametrize("kind", PROXIES)
def test_probe_through_proxy_after_starttls(start, sinner, talker, kind):
    made = talker("smtp", sinner("aes256-zero").port)
    proxy = start(PROXIES[kind])
    assert_zero_key(quick("--proxy", f"{kind}://localhost:{proxy.port}", f"smtp://localhost:{made.port}"))


@pytest.mark.parametrize("kind", PROXIES)
def test_probe_through_proxy_with_password(start, sinner, kind):
    """It reaches the proxy only, encoded as in URLs, and is in no message.  Without it, or a wrong one, the proxy
    refuses."""
    chance, port = seeded_rng(), sinner("aes256-zero").port
    more = ("_", "!+*@:/%-._") if kind == "socks5" else ("", "")  # tinyproxy's configuration takes no others
    user, password = ("".join(chance.choices(string.ascii_letters + string.digits + letters, k=chance.randint(8, 40)))
                      for letters in more)
    encoded = "".join(f"%{ord(c):02X}" for c in password)
    where = f"127.0.0.1:{start(PROXIES[kind], user, password).port}"
    report = quick("--proxy", f"{kind}://{user}:{encoded}@{where}", f"127.0.0.1:{port}")
    assert_zero_key(report)
    assert password not in json.dumps(report.whole)
    for credentials in ("", f"{user}:x{encoded}@"):
        done = run("--proxy", f"{kind}://{credentials}{where}", f"127.0.0.1:{port}", expect=(IO,))
        assert f"the proxy {'refuses' if credentials else 'requires'} user and password" in done.stderr
        assert done.stderr.count("\n") == 1
        assert password not in done.stderr + done.stdout


def test_probe_second_proxy_gets_no_password_of_the_first():
    said = []

    def treat(sock, first):
        said.append(first)
        sock.sendall(b"HTTP/1.1 403 no\r\n\r\n")

    peer = Peer(treat)
    try:
        run("--proxy", "http://user:secret@h.test", "--proxy", f"http://127.0.0.1:{peer.port}", "a.test", expect=(IO,))
    finally:
        peer.close()
    assert said and all(b"CONNECT" in words and b"uthorization" not in words for words in said)


@pytest.mark.parametrize("proxy", ["ftp://user:hidden@h", "socks5://:hidden@h", "http://user:hidden@",
                                   "http://u:@hidden@h", "http://user:hidden%@h", "http://user:hidden%00@h",
                                   "socks5://user@hidden:h@x:y"])
def test_probe_bad_proxy_told_without_its_password(proxy):
    done = run("--proxy", proxy, "h.test", expect=(USAGE,))
    assert "invalid proxy" in done.stderr and "hidden" not in done.stderr + done.stdout


def test_probe_password_not_in_process_list(start):
    """A proxy that never answers gives the time to look."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"socks5://user:hidden@127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen([BINARY, "probe", "--level", "quick", "--proxy", proxy, "h.test"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with silent.accept()[0] as link:  # until that ends, the process does not
                link.recv(3)
                with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                    words = file.read()
            assert b"probe" in words and b"hidden" not in words
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("kind", PROXIES)
def test_probe_behind_proxy_unreachable_told(start, kind):
    proxy = start(PROXIES[kind])
    done = run("--proxy", f"{kind}://127.0.0.1:{proxy.port}", f"127.0.0.1:{free_port()}", expect=(IO,))
    assert "the proxy cannot reach the host: HTTP " in done.stderr or "the host refuses connections from the proxy" in done.stderr


def test_probe_proxy_that_repeats_credentials_told_by_number():
    """Without credentials, what it says is shown."""
    chance, seen = seeded_rng(), []

    def treat(sock, first):
        seen.append(first)
        words = first.decode().split("Basic ")[-1].split("\r\n")[0]
        sock.sendall(f"HTTP/1.1 {status} no {words} {base64.b64decode(words + '===', validate=False)}\r\n\r\n"
                     .encode() if "Basic" in first.decode() else f"HTTP/1.1 {status} closed today\r\n\r\n".encode())

    with closing(Peer(treat)) as peer:
        for status in (chance.randint(300, 406), 407, chance.randint(408, 599)):
            where, secret = f"127.0.0.1:{peer.port}", "".join(chance.choices(string.ascii_letters, k=20))
            told = run("--proxy", f"http://me:{secret}@{where}", "h.test", expect=(IO,))
            assert told.stderr.rstrip().split("; nothing was tested")[0].endswith(f": HTTP {status}"), told.stderr
            for words in (secret, base64.b64encode(f"me:{secret}".encode()).decode()):
                assert words not in told.stderr + told.stdout and len(seen) == 1
            seen.clear()
            told = run("--proxy", f"http://{where}", "h.test", expect=(IO,))
            assert f": HTTP {status} closed today" in told.stderr
            seen.clear()


@pytest.mark.parametrize("code", [*range(1, 10), 255])
def test_probe_error_of_socks_told_as_a_sentence(code):
    def treat(sock, _):
        sock.sendall(b"\x05\x00")
        sock.recv(300)
        sock.sendall(bytes([5, code, 0, 1]) + bytes(6))

    with closing(Peer(treat)) as peer:
        told = run("--proxy", f"socks5://127.0.0.1:{peer.port}", "h.test", expect=(IO,)).stderr
    assert re.search(r": the (proxy (cannot|does not)|host (refuses|is too far)) ", told), told
    assert code < 9 or f"error {code} of SOCKS" in told


def test_probe_dead_proxy_told():
    for kind in PROXIES:
        done = run("--proxy", f"{kind}://127.0.0.1:{free_port()}", "h.test", expect=(IO,))
        assert "the proxy cannot be reached: " in done.stderr


def test_probe_proxy_of_the_other_kind_told(start):
    for kind, other in (("socks5", Tinyproxy), ("http", Microsocks)):
        done = run("--proxy", f"{kind}://127.0.0.1:{start(other).port}", "h.test", expect=(IO,))
        assert "the proxy" in done.stderr and done.stderr.count("\n") == 1


# ---- URLs, IPv6, ALPN, client certificates, old versions -----------------------------------------

class Ipv6Server(Server):
    def command(self):
        return [f"[::1]:{self.port}" if word == f"127.0.0.1:{self.port}" else word
                for word in super().command()]

    def listens(self):
        assert self.process.poll() is None, f"ended: {self.log.read_text()}"
        return subprocess.run(["openssl", "s_client", "-connect", f"[::1]:{self.port}"], timeout=20,
                              stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def test_probe_ipv6_literal(start):
    port = start(Ipv6Server).port
    for host in (f"[::1]:{port}", f"https://[::1]:{port}/x"):
        report = quick(host).assert_clean()
        assert report.host["host"] == "::1" and report.versions["1.3"]["resumes"]


def test_probe_url_asks_for_its_path(start, folder):
    """Tickets under another name are followed by a request, which has the URL's path."""
    server = start(ProbedNginx, f"access_log {folder}/access;")
    quick("--sni", "a.test,b.test", f"https://127.0.0.1:{server.port}/deep/er?a=b#part").assert_clean()
    requests = {line.split('"')[1] for line in (folder / "access").read_text().splitlines()}
    assert requests == {"GET /deep/er?a=b HTTP/1.1"}


def test_probe_alpn_offered(start):
    """s_server refuses what it does not know."""
    server = start(Server, "-alpn", "h2,http/1.1")
    for names in ("h2", "http/1.1", "x,h2"):
        report = quick("--alpn", names, "--sni", "a.test,b.test", f"127.0.0.1:{server.port}")
        assert report.versions["1.2"]["resumes"] and report.versions["1.3"]["resumes"]
    done = run("--alpn", "other", f"127.0.0.1:{server.port}", expect=(IO,))
    assert "alert 120" in done.stderr


def test_probe_client_certificate_shown(start, certs):
    server = start(Server, "-Verify", "2", "-CAfile", str(certs / "ca.crt"), "-verify_return_error")
    where = f"127.0.0.1:{server.port}"
    report = quick("--tls", "1.2", where)
    assert report.versions["1.2"]["tickets"] == 0
    report = quick("--cert", certs / "client.crt", "--key", certs / "client.key", where).assert_clean()
    for version in ("1.2", "1.3"):
        assert report.versions[version]["tickets"] > 0 and report.versions[version]["resumes"]


def test_probe_client_certificate_and_key_in_one_file(start, certs, folder):
    both = folder / "both.pem"
    both.write_bytes((certs / "client.crt").read_bytes() + (certs / "client.key").read_bytes())
    server = start(Server, "-Verify", "2", "-CAfile", str(certs / "ca.crt"), "-verify_return_error")
    assert quick("--cert", both, f"127.0.0.1:{server.port}").versions["1.3"]["resumes"]


def test_probe_bad_client_certificate_told(certs, folder):
    for cert, key in ((folder / "none", certs / "client.key"), (certs / "client.crt", folder / "none"),
                      (certs / "client.crt", certs / "server.key")):
        done = run("--cert", cert, "--key", key, "h.test", expect=(IO,))
        assert str(folder if "none" in str((cert, key)) else certs) in done.stderr


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_probe_old_tls(start, version):
    """By itself, and among the others."""
    server = start(Server, "-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1")
    report = quick("--tls", version, f"127.0.0.1:{server.port}").assert_clean()
    assert list(report.versions) == [version]
    assert report.versions[version]["layout"] == "OpenSSL" and report.versions[version]["resumes"]
    assert report[version]["mac"][0] == report[version]["cipher-key"][0] == "ok"
    report = quick("--tls", "1.0,1.1,1.2,1.3", f"127.0.0.1:{server.port}").assert_clean()
    assert list(report.versions) == ["1.0", "1.1", "1.2", "1.3"]


def test_probe_old_tls_with_zero_key_found(sinner):
    port = sinner("aes256-zero").port
    report = quick("--tls", "1.0,1.1,1.2,1.3", f"localhost:{port}")
    assert_zero_key(report, "1.0", "1.1", "1.2", "1.3")


def test_probe_old_tls_refused_told(start):
    done = run("--tls", "1.0,1.1", f"127.0.0.1:{start(Openssl).port}", expect=(IO,))
    assert "supports none of the requested TLS versions: alert " in done.stderr


@pytest.mark.parametrize("args", [
    ["http://h.test"], ["ftp://h.test"], ["https://"], ["https://u@h.test"], ["https://h.test:0/"], ["h.test/x"],
    ["--starttls", "ftp", "h"], ["--alpn", "", "h"], ["--alpn", "a,,b", "h"], ["--alpn", "x" * 256, "h"],
    ["--proxy", "h:1", "h"], ["--proxy", "socks4://h", "h"], ["--proxy", "socks5://u@h", "h"],
    ["--proxy", "http://h/x", "h"], ["--key", "k", "h"], ["--tls", "1.4", "h"], ["--tls", "", "h"]])
def test_probe_bad_reach_told(args):
    done = run(*args, expect=(USAGE,))
    assert done.stderr.startswith("stekctl: ") and not done.stdout
