# SPDX-License-Identifier: Apache-2.0
"""Runs stekctl probe, the server that sins on demand (sins.c, built once a session), and peers that speak
anything but good TLS."""
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sysconfig
import threading
import time
from pathlib import Path

from httpd import free_port, wait_for
from stekctl_tool import BINARY, DONE, FINDING, Program

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FINDINGS = ("weak", "broken")
SERVERS = os.environ.get("PROBE_SERVER_SBIN", "/usr/sbin")


def run(*args, expect=(DONE, FINDING), timeout=300, text=""):
    done = subprocess.run([BINARY, "probe", *map(str, args)], capture_output=True, text=True,
                          timeout=timeout, input=text)
    assert done.returncode in expect, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


class Report:
    """Of one host: report["1.2"]["mac-key"] is a (verdict, text)."""

    def __init__(self, *args, rate=1000, **options):
        done = run("--json", "--rate", rate, *args, **options)
        self.code, self.whole = done.returncode, json.loads(done.stdout)
        self.host = self.whole["hosts"][-1]
        self.versions = {v["version"][4:]: v for v in self.host["versions"]}

    def __getitem__(self, version):
        tests = {}
        for test in self.versions[version]["tests"]:
            if test["test"] not in tests or test["verdict"] in FINDINGS:
                tests[test["test"]] = (test["verdict"], test["text"])
        return tests

    def findings(self, version=None):
        return {(v, test["test"]): test["text"] for v, part in self.versions.items()
                if version in (None, v) for test in part["tests"] if test["verdict"] in FINDINGS}

    def assert_clean(self):
        assert not self.findings() and self.code == DONE and self.whole["findings"] == 0
        return self


def build(folder):
    """sins.c and what belongs to it, by the machine's compiler."""
    compiler = shutil.which(sysconfig.get_config_var("CC") or "cc") or "cc"
    binary = Path(folder) / "sins"
    sources = [str(HERE / f"{name}.c") for name in ("sins", "bends", "frames")]
    subprocess.run([compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", "-Wall", "-Wextra", "-Werror", *sources, "-o",
                    str(binary), "-lssl", "-lcrypto"], check=True)
    return binary


class Sins(Program):
    def __init__(self, root, certs, binary, sin):
        super().__init__(root, certs)
        self.binary, self.sin = binary, sin

    def command(self):
        return [str(self.binary), str(self.port), f"{self.certs}/server.crt",
                f"{self.certs}/server.key", self.sin]

    def hellos(self):
        """How many ClientHellos offered no session ("full"), and how many did ("offer")."""
        lines = self.log.read_text().split()
        return {kind: lines.count(kind) for kind in ("full", "offer")}


class Openssl(Program):
    def command(self):
        return ["openssl", "s_server", "-accept", f"127.0.0.1:{self.port}", "-cert",
                f"{self.certs}/server.crt", "-key", f"{self.certs}/server.key", "-quiet"]


class Gnutls(Program):
    def command(self):
        return ["gnutls-serv", "--http", "--quiet", "-p", str(self.port), "--x509certfile",
                f"{self.certs}/server.crt", "--x509keyfile", f"{self.certs}/server.key"]


class ProbedNginx(Program):
    def __init__(self, root, certs, lines=""):
        super().__init__(root, certs)
        self.lines = lines

    def command(self):
        temp = "\n".join(f"{kind}_temp_path {self.root}/temp;" for kind in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf = self.root / f"nginx-{self.port}.conf"
        conf.write_text(f"""daemon off; worker_processes 2; pid {self.root}/pid-{self.port};
            error_log {self.root}/error.log; events {{ }}
            http {{ access_log off; {temp}
              server {{ listen 127.0.0.1:{self.port} ssl; server_name a.test;
                ssl_certificate {self.certs}/server.crt; ssl_certificate_key {self.certs}/server.key;
                ssl_protocols TLSv1.2 TLSv1.3; {self.lines}
                location / {{ return 200 "ok"; }} }} }}""")
        return [shutil.which("nginx") or f"{SERVERS}/nginx", "-c", str(conf), "-e",
                str(self.root / "error.log")]


class ProbedHaproxy(Program):
    """On two ports; the second asks for certificates."""

    def __init__(self, root, certs, options=""):
        super().__init__(root, certs)
        self.options, self.second_port = options, free_port()

    def command(self):
        conf = self.root / "haproxy.cfg"
        conf.write_text(f"""defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend f
  bind 127.0.0.1:{self.port} ssl crt {self.pem} {self.options}
  bind 127.0.0.1:{self.second_port} ssl crt {self.pem} {self.options} ca-file {self.certs}/ca.crt verify required
  http-request return status 200
""")
        return [shutil.which("haproxy") or f"{SERVERS}/haproxy", "-f", str(conf), "-db"]


class Balancer(Program):
    """HAProxy in front of several ports, which sees only TCP."""

    def __init__(self, root, certs, balance, ports):
        super().__init__(root, certs)
        self.balance, self.ports = balance, ports

    def command(self):
        conf = self.root / f"balancer-{self.port}.cfg"
        servers = "\n".join(f"  server s{i} 127.0.0.1:{port}" for i, port in enumerate(self.ports))
        conf.write_text(f"""global
  nbthread 1
defaults
  mode tcp
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend f
  bind 127.0.0.1:{self.port}
  default_backend b
backend b
  balance {self.balance}
{servers}
""")
        return [shutil.which("haproxy") or f"{SERVERS}/haproxy", "-f", str(conf), "-db"]


class Peer:
    """A listener that treats each connection by a function of its own: peer(sock, first_bytes)."""

    def __init__(self, treat):
        self.treat, self.port, self.ended = treat, free_port(), threading.Event()
        self.server = socket.create_server(("127.0.0.1", self.port))
        self.server.settimeout(0.1)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.ended.is_set():
            try:
                sock, _ = self.server.accept()
            except TimeoutError:
                continue
            sock.settimeout(10)
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock):
        try:
            with sock:
                self.treat(sock, sock.recv(65536))
        except OSError:
            pass

    def slowly(self, sock, data):
        for byte in data:
            if self.ended.wait(1):
                return
            sock.send(bytes([byte]))

    def close(self):
        self.ended.set()
        self.thread.join(10)
        self.server.close()


def relay(sock, first, port):
    """Carries what comes on sock, first included, to a port on loopback, and back."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as other:
        other.sendall(first)
        ends = {sock: other, other: sock}
        while True:
            for one in select.select(list(ends), [], [], 10)[0]:
                data = one.recv(65536)
                if not data:
                    return
                ends[one].sendall(data)


TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def schema_errors(schema, value, where="$", root=None):
    """What a value violates, by the words of JSON Schema that the project's schemas use."""
    root = root or schema
    if "$ref" in schema:
        assert list(schema) == ["$ref"] and schema["$ref"].startswith("#/$defs/")
        schema = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    if "anyOf" in schema:
        tried = [list(schema_errors(one, value, where, root)) for one in schema["anyOf"]]
        if all(tried):
            yield from min(tried, key=len)
    unknown = set(schema) - {"$defs", "anyOf","$schema", "title", "description", "type", "enum", "const", "pattern", "minimum",
                             "maximum", "properties", "required", "additionalProperties", "items"}
    if unknown:
        yield f"{where}: the schema has {unknown}"
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(type(value) is int if name == "integer" else isinstance(value, TYPES[name])
                         for name in types):
        yield f"{where}: {value!r} is not {types}"
        return
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{where}: {value!r} is none of the values"
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        yield f"{where}: {value!r} does not match"
    if isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{where}: {value} is out of range"
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from schema_errors(schema.get("items", {}), item, f"{where}[{i}]", root)
    if isinstance(value, dict):
        known = schema.get("properties", {})
        for name in schema.get("required", []):
            if name not in value:
                yield f"{where}: {name} is missing"
        for name, item in value.items():
            if name in known:
                yield from schema_errors(known[name], item, f"{where}.{name}", root)
            elif schema.get("additionalProperties", True) is False:
                yield f"{where}: {name} is unknown"


SCHEMA = json.loads((ROOT / "docs/stekctl-probe.schema.json").read_text())


def json_lines(text):
    """(hosts, groups) from what --hosts --json or --analyse --json prints, by the schema."""
    values = [json.loads(line) for line in text.splitlines()]
    for value in values:
        assert list(schema_errors(SCHEMA["$defs"]["line"], value, root=SCHEMA)) == []
    hosts = [value for value in values if "host" in value]
    assert len(values) - len(hosts) <= 1 and values[:len(hosts)] == hosts
    return hosts, values[-1]["groups"] if len(values) > len(hosts) else []


def until(predicate, what, timeout=30):
    return wait_for(predicate, what, timeout)


def timed(function):
    start = time.monotonic()
    result = function()
    return result, time.monotonic() - start
