# SPDX-License-Identifier: Apache-2.0
"""The servers that are measured: httpd with and without the module, nginx and HAProxy with a static
key, each with a P-256 certificate on one port and an RSA-2048 one on another."""
import base64
import os
import shutil
import signal
import subprocess
import time

import httpd
import machine
import tls
from httpd import Httpd, Vhost, free_port, wait_for

NAME = "a.test"


def make_certs(folder):
    """server.crt and rsa.crt with their keys, for *.test."""
    kinds = {"server": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}
    for name, kind in kinds.items():
        subprocess.run(["openssl", "req", "-x509", "-days", "30", "-nodes", "-newkey", *kind, "-subj",
                        f"/CN={NAME}", "-addext", "subjectAltName=DNS:*.test", "-addext",
                        "basicConstraints=critical,CA:FALSE", "-keyout", folder / f"{name}.key",
                        "-out", folder / f"{name}.crt"], check=True, capture_output=True)
    return folder


class BenchHttpd(Httpd):
    """httpd with as many threads as the load has connections, and patience with many vhosts."""

    PATIENCE_S = 600

    def __init__(self, certs, *, threads=64, **options):
        super().__init__(certs, **options)
        if self.mpm == "event":
            self.mpm_lines = ["StartServers 1", "ServerLimit 8", f"ThreadsPerChild {threads}",
                              f"MaxRequestWorkers {threads}", "MinSpareThreads 1",
                              f"MaxSpareThreads {threads}"]
        self.log_level = "warn"

    def _answers(self, mark, single=""):
        return self.alive() and self.answering_generation() == self.generation

    def start(self, *extra, wait=True):
        super().start(*extra, wait=False)
        wait_for(lambda: self._answers(0) or not self.alive(), "httpd to answer", self.PATIENCE_S)
        assert self.alive(), f"httpd did not start: {self.tail()}"
        return self

    def graceful(self, drain=True):
        old = set(self.children())
        self.generation += 1
        self.write_conf()
        os.kill(self.pid, signal.SIGUSR1)
        wait_for(lambda: self._answers(0), "the new generation", self.PATIENCE_S)
        wait_for(lambda: not drain or not old & set(self.children()), "the old children to end",
                 self.PATIENCE_S)

    def end(self):
        if self.process:
            self.stop()
        self.remove()


def vhosts(n):
    return [Vhost(f"v{i}.test") for i in range(n)]


def both_certs():
    """Vhosts for P-256 and RSA-2048, each on a port of its own."""
    return [Vhost(NAME, port=free_port()), Vhost(NAME, port=free_port(), cert="rsa")]


class OwnHttpd:
    """httpd as a subject of the load."""

    def __init__(self, certs, module, lines=()):
        self.server = BenchHttpd(certs, module=module, vhosts=both_certs(), server=list(lines))

    def start(self):
        self.server.start()
        return self

    def port(self, cert):
        return self.server.vhosts[0 if cert == "P-256" else 1].port

    def pids(self):
        return machine.family(self.server.pid)

    def stop(self):
        self.server.end()


class Peer:
    """Another server: command, configuration, two ports."""

    def __init__(self, certs):
        self.certs, self.process = certs, None
        self.dir = certs / type(self).__name__.lower()
        self.dir.mkdir()
        self.ports = {"P-256": free_port(), "RSA": free_port()}
        self.write()

    def start(self):
        with open(self.dir / "out", "wb") as out:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=out)
        wait_for(self.answers, lambda: f"{self.dir.name}: {(self.dir / 'out').read_text()}", 20)
        return self

    def answers(self):
        try:
            return tls.get(self.ports["RSA"], NAME).status == 200
        except (OSError, tls.TlsError):
            return False

    def port(self, cert):
        return self.ports[cert]

    def pids(self):
        return machine.family(self.process.pid)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Nginx(Peer):
    def write(self):
        (self.dir / "ticket.key").write_bytes(os.urandom(80))
        blocks = [f"server {{ listen 127.0.0.1:{self.ports[kind]} ssl; server_name {NAME};\n"
                  f"ssl_certificate {self.certs}/{cert}.crt; ssl_certificate_key {self.certs}/{cert}.key;\n"
                  "location / { default_type text/plain; return 200 \"hello\\n\"; } }"
                  for kind, cert in (("P-256", "server"), ("RSA", "rsa"))]
        temps = " ".join(f"{name}_temp_path {self.dir}/{name};"
                         for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (self.dir / "conf").write_text(
            f"worker_processes 1; daemon off; pid {self.dir}/pid; error_log {self.dir}/error.log;\n"
            "events { worker_connections 1024; }\n"
            f"http {{ access_log {self.dir}/access.log; {temps}\n"
            "ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off;\n"
            f"ssl_session_tickets on; ssl_session_ticket_key {self.dir}/ticket.key;\n"
            + "\n".join(blocks) + "\n}\n")

    def command(self):
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", self.dir / "conf", "-p", self.dir]


class Haproxy(Peer):
    def write(self):
        keys = self.dir / "ticket.keys"
        keys.write_text("".join(base64.b64encode(os.urandom(80)).decode() + "\n" for _ in range(3)))
        binds = []
        for kind, cert in (("P-256", "server"), ("RSA", "rsa")):
            pem = self.dir / f"{cert}.pem"
            pem.write_bytes((self.certs / f"{cert}.crt").read_bytes()
                            + (self.certs / f"{cert}.key").read_bytes())
            binds.append(f"  bind 127.0.0.1:{self.ports[kind]} ssl crt {pem} ssl-min-ver TLSv1.2 "
                         f"tls-ticket-keys {keys}")
        (self.dir / "conf").write_text(
            "global\n  nbthread 1\n  tune.ssl.cachesize 0\n  tune.ssl.default-dh-param 2048\n"
            "defaults\n  mode http\n  timeout client 20s\n  timeout server 20s\n  timeout connect 5s\n"
            "frontend bench\n" + "\n".join(binds)
            + "\n  http-request return status 200 content-type text/plain string \"hello\"\n")

    def command(self):
        return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", self.dir / "conf"]


def binary(name):
    path = httpd.TOP / "out" / "bench" / name
    if not path.exists():
        raise SystemExit(f"{path} is missing: run make bench")
    return path


def settle(server, quiet_s=1.0):
    """Waits until start-up is over: a second that costs next to nothing."""
    def calm():
        before = machine.tasks_cpu_s(machine.family(server.pid))
        time.sleep(quiet_s)
        return machine.tasks_cpu_s(machine.family(server.pid)) - before < 0.05 * quiet_s
    wait_for(calm, "the server to settle", 60, 0)
