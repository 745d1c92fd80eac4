# SPDX-License-Identifier: Apache-2.0
"""Real servers for the score of stekctl probe: name, what the probe has to find, and a program to start.  What it
has to find follows from how the keys were configured; servers that make their keys themselves are good."""
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass

import httpd as harness
from probe_tool import HERE, Gnutls, Openssl, ProbedHaproxy, ProbedNginx
from stekctl_tool import Dnsdist, Lighttpd, Program

CIPHER, MAC = frozenset({"cipher-key"}), frozenset({"mac-key"})
BOTH = CIPHER | MAC
WORDS = b"ticketkey1234567"


def typed(n):
    """A word over and over: a file's keys begin in the middle of it."""
    return (b"secret" * n)[:n]


@dataclass
class Real:
    name: str
    expected: frozenset
    make: object  # makes the program: a function of folder and certs
    scanner: frozenset = frozenset()  # what of it TLS-Scanner looks for (tls_scanner.py)


def run(*command, **options):
    subprocess.run([str(word) for word in command], check=True, **options)


def compiled(folder, source, *libraries):
    binary = folder / source.removesuffix(".c")
    if not binary.exists():
        compiler = shutil.which(sysconfig.get_config_var("CC") or "cc") or "cc"
        run(compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", HERE / "clients" / source, "-o", binary,
            "-pthread", *libraries)
    return binary


class Served(Program):
    """A small program over a library's or a language's own TLS."""

    def __init__(self, root, certs, command, kind):
        super().__init__(root, certs)
        self.words, self.kind = [str(word) for word in command], kind

    def command(self):
        return [*self.words, str(self.port), f"{self.certs}/server.crt", f"{self.certs}/server.key", self.kind]


GO = """package main

import ("crypto/tls"; "encoding/hex"; "net/http"; "os")

func main() {
	config := &tls.Config{}
	if os.Args[4] != "random" {
		var key [32]byte
		hex.Decode(key[:], []byte(os.Args[4]))
		config.SetSessionTicketKeys([][32]byte{key})
	}
	server := &http.Server{Addr: "127.0.0.1:" + os.Args[1], TLSConfig: config}
	panic(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
}
"""
NODE = """const fs = require('fs'), [port, cert, key, kind] = process.argv.slice(2);
const options = {cert: fs.readFileSync(cert), key: fs.readFileSync(key)};
if (kind !== 'random') options.ticketKeys = Buffer.from(kind, 'hex');
require('https').createServer(options, (_, answer) => answer.end('ok')).listen(+port, '127.0.0.1');
"""
PYTHON = """import socketserver, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        try:
            self.request.settimeout(5)
            context.wrap_socket(self.request, server_side=True).recv(4096)
        except OSError:
            pass
class Server(socketserver.ThreadingTCPServer):
    request_queue_size = 128
Server.allow_reuse_address = Server.daemon_threads = True
Server(('127.0.0.1', int(sys.argv[1])), Answer).serve_forever()
"""


def go_binary(folder, name, text):
    source, binary = folder / f"{name}.go", folder / name
    if not binary.exists():
        source.write_text(text)
        run("go", "build", "-o", binary, source, env=dict(
            os.environ, GOCACHE=str(folder / "cache"), GO111MODULE="off", GOFLAGS="", HOME=str(folder)))
    return binary


def go(kind):
    return lambda folder, certs: Served(folder, certs, [go_binary(folder, "serve", GO)], kind)


def script(interpreter, name, text, kind):
    def make(folder, certs):
        (folder / name).write_text(text)
        return Served(folder, certs, [interpreter, folder / name], kind)
    return make


def node(kind):
    return script("node", "serve.js", NODE, kind)


def program(source, kind, *libraries):
    return lambda folder, certs: Served(folder, certs, [compiled(folder, source, *libraries)], kind)


def gnutls(kind):
    return program("gnutls_key.c", kind, "-lgnutls")


def mbedtls(kind):
    return program("mbedtls_key.c", kind, "-lmbedtls", "-lmbedcrypto", "-lmbedx509")


def wolfssl(kind):
    return program("wolfssl_key.c", kind, "-lwolfssl")


class Java(Served):
    def command(self):
        store = self.root / "store"
        if not store.exists():
            run("openssl", "pkcs12", "-export", "-in", self.pem, "-out", store, "-passout", "pass:changeit")
        return [*self.words, str(self.port), str(store), "changeit", self.kind]


def java(kind):
    return lambda folder, certs: Java(folder, certs, ["java", HERE / "clients" / "Serve.java"], kind)


class ProbedHttpd(harness.Httpd):
    def stop(self):
        super().stop()
        self.remove()


def httpd(key=None, module=False):
    def make(folder, certs):
        server = ProbedHttpd(certs, module=module)
        if key is not None:
            path = server.root / "tickets"
            path.write_bytes(key)
            server.vhosts[0].lines.append(f"SSLSessionTicketKeyFile {path}")
        return server
    return make


def key_file(folder, key):
    path = folder / f"key-{key[:8].hex()}-{len(key)}"
    path.write_bytes(key)
    return path


def nginx(key=None):
    return lambda folder, certs: ProbedNginx(
        folder, certs, f"ssl_session_ticket_key {key_file(folder, key)};" if key else "")


def haproxy(key=None):
    def make(folder, certs):
        lines = base64.b64encode(key or b"") + b"\n"
        return ProbedHaproxy(folder, certs, f"tls-ticket-keys {key_file(folder, 3 * lines)}" if key else "")
    return make


def dnsdist(key):
    return lambda folder, certs: Dnsdist(folder, certs, key_file(folder, key))


class Stunnel(Program):
    def __init__(self, root, certs, lines):
        super().__init__(root, certs)
        self.lines = lines

    def command(self):
        conf = self.root / "stunnel.conf"
        conf.write_text(f"foreground = yes\npid =\ndebug = 3\n[x]\naccept = 127.0.0.1:{self.port}\n"
                        f"connect = 127.0.0.1:{harness.free_port()}\n"
                        f"cert = {self.pem}\nsslVersionMin = TLSv1.2\n{self.lines}\n")
        return ["stunnel4", str(conf)]


def stunnel(cipher_key=b"", mac_key=b""):
    lines = f"ticketKeySecret = {cipher_key.hex()}\nticketMacSecret = {mac_key.hex()}" if cipher_key else ""
    return lambda folder, certs: Stunnel(folder, certs, lines)


class Hitch(Program):
    """Takes no ticket keys: OpenSSL's own serve."""

    def command(self):
        return [shutil.which("hitch") or "/usr/sbin/hitch", f"--frontend=[127.0.0.1]:{self.port}",
                f"--backend=[127.0.0.1]:{harness.free_port()}", "--quiet", *self.user(), str(self.pem)]

    def user(self):
        return ["--user=nobody"] if os.geteuid() == 0 else []


# As Caddy's module tls.stek.distributed stores keys.
STEKS = """package main

import ("encoding/gob"; "encoding/hex"; "os"; "time")

type distributedSTEK struct {
	Keys                       [][32]byte
	LastRotation, NextRotation time.Time
}

func main() {
	var key [32]byte
	hex.Decode(key[:], []byte(os.Args[1]))
	now := time.Now()
	gob.NewEncoder(os.Stdout).Encode(distributedSTEK{[][32]byte{key}, now, now.Add(time.Hour)})
}
"""


class Caddy(Program):
    """With keys of its own, or those that it finds in its storage."""

    def __init__(self, root, certs, stored=None):
        super().__init__(root, certs)
        self.source = {"provider": "distributed" if stored else "standard"}
        if stored:
            (self.root / "storage" / "stek").mkdir(parents=True)
            (self.root / "storage" / "stek" / "stek.bin").write_bytes(stored)

    def command(self):
        files = {"certificate": f"{self.certs}/server.crt", "key": f"{self.certs}/server.key", "tags": ["any"]}
        server = {"listen": [f"127.0.0.1:{self.port}"], "automatic_https": {"disable": True},
                  "tls_connection_policies": [{"certificate_selection": {"any_tag": ["any"]}}],
                  "routes": [{"handle": [{"handler": "static_response"}]}]}
        conf = self.root / "caddy.json"
        conf.write_text(json.dumps({
            "admin": {"disabled": True}, "storage": {"module": "file_system", "root": str(self.root / "storage")},
            "apps": {"tls": {"certificates": {"load_files": [files]}, "session_tickets": {"key_source": self.source}},
                     "http": {"servers": {"probed": server}}}}))
        return ["caddy", "run", "--config", str(conf)]

    def environment(self):
        return dict(os.environ, HOME=str(self.root), XDG_CONFIG_HOME=str(self.root), XDG_DATA_HOME=str(self.root))


def caddy(key=None):
    def make(folder, certs):
        stored = key and subprocess.run([go_binary(folder, "steks", STEKS), key.hex()], check=True,
                                        capture_output=True).stdout
        return Caddy(folder, certs, stored)
    return make


def good():
    """Good servers."""
    yield Real("nginx", frozenset(), nginx())
    yield Real("nginx, good 80", frozenset(), nginx(os.urandom(80)))
    yield Real("HAProxy", frozenset(), haproxy())
    yield Real("HAProxy, good 48", frozenset(), haproxy(os.urandom(48)))
    yield Real("httpd", frozenset(), httpd())
    yield Real("httpd, mod_stek_rotate", frozenset(), httpd(module=True))
    yield Real("lighttpd", frozenset(), Lighttpd)
    yield Real("dnsdist, good", frozenset(), dnsdist(os.urandom(80)))
    yield Real("stunnel", frozenset(), stunnel())
    yield Real("stunnel, good", frozenset(), stunnel(os.urandom(32), os.urandom(32)))
    yield Real("Hitch", frozenset(), Hitch)
    yield Real("OpenSSL", frozenset(), Openssl)
    yield Real("GnuTLS", frozenset(), Gnutls)
    yield Real("mbedTLS", frozenset(), mbedtls("aes-256-gcm:random"))
    yield Real("wolfSSL", frozenset(), wolfssl("random"))
    yield Real("Go", frozenset(), go("random"))
    yield Real("Caddy", frozenset(), caddy())
    yield Real("Java", frozenset(), java("random"))
    yield Real("Node", frozenset(), node("random"))
    yield Real("Python", frozenset(), script("/usr/bin/python3", "serve.py", PYTHON, "random"))


def weak():
    yield Real("nginx, zero 48", BOTH, nginx(bytes(48)), BOTH)
    yield Real("nginx, words", BOTH, nginx(WORDS * 3))
    yield Real("nginx, text", BOTH, nginx(typed(80)))
    yield Real("HAProxy, zero 80", BOTH, haproxy(bytes(80)), BOTH)
    yield Real("HAProxy, text", BOTH, haproxy(typed(48)))
    yield Real("httpd, zero", BOTH, httpd(bytes(48)), BOTH)
    yield Real("httpd, words", BOTH, httpd(WORDS * 3))
    # Keys of what everybody can see, or of a name.
    yield Real("httpd, certificate", BOTH, lambda folder, certs: httpd((certs / "server.crt").read_bytes())(folder, certs))
    yield Real("nginx, host name", BOTH, nginx(hashlib.sha512(b"localhost").digest()[:48]))
    # With OpenSSL 3, mod_ssl loses the MAC key of its file.
    yield Real("httpd, good file", MAC, httpd(os.urandom(48)), MAC)
    yield Real("dnsdist, zero", BOTH, dnsdist(bytes(80)), BOTH)
    yield Real("dnsdist, text", BOTH, dnsdist(typed(80)))
    yield Real("stunnel, zero 32", BOTH, stunnel(bytes(32), bytes(32)), BOTH)
    yield Real("stunnel, zero 16", BOTH, stunnel(bytes(16), bytes(16)), BOTH)
    yield Real("stunnel, text", BOTH, stunnel(typed(32), typed(32)))
    # Its keys follow from the master key and the time.
    yield Real("GnuTLS, zero", BOTH, gnutls("0"))
    yield Real("mbedTLS, zero", CIPHER, mbedtls("aes-256-gcm:" + bytes(32).hex()), CIPHER)
    yield Real("mbedTLS, text", CIPHER, mbedtls("aes-256-ccm:" + typed(32).hex()))
    yield Real("mbedTLS, words", CIPHER, mbedtls("aes-128-gcm:" + (b"password" * 4).hex()))
    yield Real("wolfSSL, zero", CIPHER, wolfssl(bytes(64).hex()))
    yield Real("wolfSSL, text", CIPHER, wolfssl(typed(64).hex()))
    yield Real("Go, zero", BOTH, go(bytes(32).hex()))
    yield Real("Go, words", BOTH, go((b"password" * 4).hex()))
    yield Real("Go, text", BOTH, go(typed(32).hex()))
    yield Real("Caddy, zero", BOTH, caddy(bytes(32)))
    yield Real("Java, zero", CIPHER, java("zero"))
    yield Real("Node, zero", BOTH, node(bytes(48).hex()), BOTH)
    yield Real("Node, words", BOTH, node((WORDS * 3).hex()))
    yield Real("Node, text", BOTH, node(typed(48).hex()))
