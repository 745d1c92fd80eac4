# SPDX-License-Identifier: Apache-2.0
"""Runs stekctl, and the other programs whose key files it writes: each in a folder of its own on a
memory file system, on free loopback ports, ended by its own process id."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import ringfile
import tls
from httpd import TOP, free_port, wait_for

BINARY = os.environ.get("STEK_STEKCTL", str(TOP / "stekctl" / "stekctl"))
DONE, FINDING, USAGE, REFUSED, IO = range(5)


class Stekctl:
    """stekctl on one ring in a folder."""

    def __init__(self, root, ring="a.ring", secret=None):
        self.root = Path(root)
        self.ring_path = self.root / ring if not isinstance(ring, Path) else ring
        self.secret_path = secret or self.ring_path.with_suffix(".secret")
        self.running = []

    def command(self, *args):
        return [
            BINARY,
            "--ring",
            str(self.ring_path),
            "--secret",
            str(self.secret_path),
            *map(str, args),
        ]

    def run(self, *args, expect=DONE, env=None, **options):
        environ = {k: v for k, v in os.environ.items() if not k.startswith("STEK_")}
        environ.update(env or {})
        done = subprocess.run(
            self.command(*args), capture_output=True, text=True, timeout=60, env=environ, **options
        )
        assert (
            expect is None or done.returncode == expect
        ), f"{args}: {done.returncode}, not {expect}: {done.stdout}{done.stderr}"
        return done

    def json(self, *args, expect=DONE):
        return json.loads(self.run("--json", *args, expect=expect).stdout)

    def follow(self, *args):
        """export --follow in the background."""
        out = open(self.root / f"follow-{len(self.running)}.log", "w")
        process = subprocess.Popen(
            self.command("export", "--follow", *args), stdout=out, stderr=subprocess.STDOUT
        )
        out.close()
        self.running.append(process)
        return process

    def ring(self):
        return ringfile.Ring.read(self.ring_path, ringfile.read_secrets(self.secret_path))

    def current(self):
        state = self.json("show", expect=None)
        name = next(k["name"] for k in state["keys"] if k["state"] == "current")
        return next(k for k in self.ring().keys if k.name.hex().startswith(name))

    def stop(self):
        for process in self.running:
            process.terminate()
            assert process.wait(20) == 0, "export --follow did not end cleanly"


class Program:
    """A server in the foreground.  Subclasses write a configuration and give the command."""

    def __init__(self, root, certs):
        self.root = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-", dir=root))
        self.root.chmod(0o755)
        self.certs, self.port, self.process = certs, free_port(), None
        self.pem = self.root / "server.pem"
        self.pem.write_bytes(
            (certs / "server.crt").read_bytes() + (certs / "server.key").read_bytes()
        )
        self.log = self.root / "log"

    def command(self):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def start(self):
        with open(self.log, "w") as out:
            self.process = subprocess.Popen(
                self.command(),
                stdout=out,
                stderr=subprocess.STDOUT,
                env=self.environment(),
                cwd=self.root,
                start_new_session=True,
            )
        wait_for(self.listens, lambda: f"{self.root.name} to listen: {self.log.read_text()}", 40)
        return self

    def listens(self):
        assert self.process.poll() is None, f"ended: {self.log.read_text()}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def get(self, **options):
        return tls.get(self.port, "a.test", **options)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(20)


class Nginx(Program):
    def __init__(self, root, certs, tickets):
        super().__init__(root, certs)
        self.tickets, self.pid = tickets, self.root / "pid"

    def command(self):
        conf = self.root / "nginx.conf"
        temp = "\n".join(
            f"{kind}_temp_path {self.root}/temp;"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        conf.write_text(
            f"""daemon off; worker_processes 2; pid {self.pid};
            error_log {self.root}/error.log; events {{ }}
            http {{ access_log off; {temp}
              server {{ listen 127.0.0.1:{self.port} ssl; server_name a.test;
                ssl_certificate {self.certs}/server.crt;
                ssl_certificate_key {self.certs}/server.key;
                ssl_protocols TLSv1.2 TLSv1.3; ssl_session_timeout 1d;
                include {self.tickets}/tickets.conf;
                location / {{ return 200 "ok"; }} }} }}"""
        )
        return [
            shutil.which("nginx") or "/usr/sbin/nginx",
            "-c",
            str(conf),
            "-e",
            str(self.root / "error.log"),
        ]

    def reload(self):
        os.kill(self.process.pid, signal.SIGHUP)


class Haproxy(Program):
    def __init__(self, root, certs, keys):
        super().__init__(root, certs)
        self.keys, self.socket = keys, self.root / "stats"

    def command(self):
        conf = self.root / "haproxy.cfg"
        conf.write_text(
            f"""global
  stats socket {self.socket} level admin
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend f
  bind 127.0.0.1:{self.port} ssl crt {self.pem} tls-ticket-keys {self.keys}
  http-request return status 200
"""
        )
        return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-f", str(conf), "-db"]


class Lighttpd(Program):
    def __init__(self, root, certs, keys=None):
        super().__init__(root, certs)
        self.keys = keys

    def command(self):
        conf = self.root / "lighttpd.conf"
        stek_file = f'ssl.stek-file = "{self.keys}"' if self.keys else ""
        (self.root / "www").mkdir()
        (self.root / "www" / "index.html").write_text("ok")
        conf.write_text(
            f"""server.document-root = "{self.root}/www"
            index-file.names = ("index.html")
            server.port = {self.port}
            server.bind = "127.0.0.1"
            server.modules = ("mod_openssl")
            ssl.engine = "enable"
            ssl.pemfile = "{self.pem}"
            {stek_file}
            """
        )
        return [shutil.which("lighttpd") or "/usr/sbin/lighttpd", "-D", "-f", str(conf)]


class Dnsdist(Program):
    def __init__(self, root, certs, keys):
        super().__init__(root, certs)
        self.keys = keys

    def command(self):
        conf = self.root / "dnsdist.conf"
        conf.write_text(
            f"""setLocal("127.0.0.1:{free_port()}")
            addTLSLocal("127.0.0.1:{self.port}", "{self.certs}/server.crt",
                        "{self.certs}/server.key", {{provider="openssl",
                        ticketKeyFile="{self.keys}", ticketsKeysRotationDelay=0,
                        minTLSVersion="tls1.2"}})
            newServer({{address="127.0.0.1:{free_port()}", healthCheckMode="up"}})
            addAction(AllRule(), SpoofAction("127.0.0.1"))
            """
        )
        return ["dnsdist", "--supervised", "--disable-syslog", "-C", str(conf)]

    def get(self, **options):
        """DNS over TLS, one question."""
        query = bytes.fromhex("1234 0100 0001 0000 0000 0000 01 61 04 74657374 00 0001 0001")
        query = len(query).to_bytes(2, "big") + query
        with tls.Connection(self.port, "a.test", **options) as connection:
            assert tls.SSL_write(connection.ssl, query, len(query)) == len(query)
            assert connection.read()[2:4] == b"\x12\x34"
            connection.reply.status = 200
            return connection.reply


class Trafficserver(Program):
    """Will not serve as root: the key file has to be its user's (export --owner)."""

    USER = "nobody"

    def __init__(self, root, certs, keys):
        super().__init__(root, certs)
        self.keys = keys

    def command(self):
        names = ["etc", "run", "logs", "cache", "body"]
        for name in names:
            (self.root / name).mkdir()
        etc = self.root / "etc"
        for name in ("server.crt", "server.key"):
            shutil.copy(self.certs / name, etc)
        (self.root / "runroot.yaml").write_text(
            "\n".join(
                f"{key}: {value}"
                for key, value in {
                    "prefix": "/usr",
                    "exec_prefix": "/usr",
                    "bindir": "/usr/bin",
                    "sbindir": "/usr/sbin",
                    "sysconfdir": etc,
                    "datadir": "/usr/share/trafficserver",
                    "includedir": "/usr/include",
                    "libdir": "/usr/lib/trafficserver",
                    "libexecdir": "/usr/lib/trafficserver/modules",
                    "localstatedir": self.root,
                    "runtimedir": self.root / "run",
                    "logdir": self.root / "logs",
                    "cachedir": self.root / "cache",
                }.items()
            )
            + "\n"
        )
        settings = {
            "exec_thread.autoconfig": "INT 0",
            "exec_thread.limit": "INT 1",
            "http.server_ports": f"STRING {self.port}:ssl",
            "admin.user_id": "STRING " + (self.USER if os.geteuid() == 0 else "#-1"),
            "crash_log_helper": "STRING",
            "ssl.server.cert.path": f"STRING {etc}",
            "ssl.server.private_key.path": f"STRING {etc}",
            "ssl.server.ticket_key.filename": f"STRING {self.keys}",
            "body_factory.template_sets_dir": f"STRING {self.root}/body",
            "http.cache.http": "INT 0",
            "ssl.session_cache": "INT 0",
        }
        (etc / "records.config").write_text(
            "".join(f"CONFIG proxy.config.{k} {v}\n" for k, v in settings.items())
        )
        (etc / "ssl_multicert.config").write_text(
            "dest_ip=* ssl_cert_name=server.crt ssl_key_name=server.key\n"
        )
        (etc / "remap.config").write_text("")
        (etc / "ip_allow.yaml").write_text(
            "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n"
            "    action: allow\n    methods: ALL\n"
        )
        (etc / "storage.config").write_text("cache 16M\n")
        if os.geteuid() == 0:
            for path in [self.root, *self.root.rglob("*")]:
                shutil.chown(path, self.USER)
        return ["traffic_server", f"--run-root={self.root}/runroot.yaml"]

    def get(self, **options):
        """It has nothing to serve and closes: what counts is the handshake."""
        with tls.Connection(self.port, "a.test", **options) as connection:
            connection.send("a.test")
            while connection.read():
                pass
            connection.reply.status = 200
            return connection.reply
