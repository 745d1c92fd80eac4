# SPDX-License-Identifier: Apache-2.0
"""A private httpd: its own ServerRoot on a memory file system, free loopback ports, a configuration
written from Python, and an error log that is judged.  Everything waits by polling, with a limit."""
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import ringfile
import tls

TOP = Path(__file__).resolve().parents[2]
MODULE = Path(os.environ.get("STEK_MODULE", TOP / ".libs" / "mod_stek_rotate.so"))
FAKETIME_LIBS = ["/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
                 "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
                 "/usr/lib64/faketime/libfaketimeMT.so.1"]
# Modules that some systems link in and others load.
BASE_MODULES = ["unixd", "log_config", "authz_core", "headers"]
TROUBLE = re.compile(r"\[[\w-]*:(emerg|alert|crit|error|warn)\]|AH00052|[Ss]egmentation|"
                     r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:")
# What stock httpd says of such a configuration: SSLSessionCache none.
STOCK = ["AH01873"]
# Directives of the main server that a whole run of the tests has, each beside what a test says itself
# (make values).
VALUES = [line.strip() for line in os.environ.get("STEK_VALUES", "").split(";") if line.strip()]
# Where the machine swaps, a tmpfs may be swapped out (test_swap.py).
if len(Path("/proc/swaps").read_text().splitlines()) > 1:
    STOCK.append("STEK2020")


def apxs(name):
    tool = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2") or "apxs"
    done = subprocess.run([tool, "-q", name], capture_output=True, text=True, check=True)
    return done.stdout.strip()


MODULES = Path(apxs("LIBEXECDIR"))
# Before it had this directive (httpd 2.4.66), mod_ssl did not compare SSLOpenSSLConfCmd.
HAS_SNI_POLICY = b"SSLVHostSNIPolicy" in (MODULES / "mod_ssl.so").read_bytes()
if not HAS_SNI_POLICY:
    STOCK.append("STEK3018")
BINARY = next((str(path) for path in (Path(apxs("SBINDIR")) / name
                                      for name in (apxs("PROGNAME"), "httpd", "apache2"))
               if path.exists()), "httpd")
# Loaded beside prefork; build/deps.sh takes Debian's package apart.
ITK = next((path for path in (MODULES / "mpm_itk.so",
                              TOP / "out/libapache2-mpm-itk/usr/lib/apache2/modules/mpm_itk.so")
            if path.exists()), MODULES / "mpm_itk.so")
RUN_AS = "www-data" if any(p.pw_name == "www-data" for p in pwd.getpwall()) else "apache"


def wait_for(look, what, timeout=30.0, every=0.02):
    """Polls look() until it gives something true, and returns that."""
    end = time.monotonic() + timeout
    while True:
        last = time.monotonic() > end  # a machine that was busy until then gets this one
        seen = look()
        if seen:
            return seen
        if last:
            raise AssertionError(f"waited {timeout:g} s for {what() if callable(what) else what}")
        time.sleep(every)


def make_folder(base="/dev/shm"):
    """A new one that others may enter, on a memory file system where there is one."""
    path = Path(tempfile.mkdtemp(prefix="stek-", dir=base if os.path.isdir(base) else None))
    path.chmod(0o755)
    return path


_ports = {"next": 0}


def free_port():
    """A loopback port below the ephemeral range, so that no client socket can take it meanwhile."""
    worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "0")) or 0)
    if not _ports["next"]:
        _ports["next"] = 10000 + worker * 3000 + os.getpid() % 1000 * 2
    while True:
        _ports["next"] += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _ports["next"]))
            except OSError:
                continue
            return _ports["next"]


@dataclass
class Vhost:
    name: str
    lines: list = field(default_factory=list)
    port: int = 0  # 0: the server's first port
    tls: bool = True
    cert: str = "server"
    also: int = 0  # another port of it; 0: none


class Httpd:
    """One server.  server: lines of the main server; vhosts: in the order of the configuration."""

    def __init__(self, certs, *, mpm="event", server=(), vhosts=None, module=True, ssl=True,
                 modules=(), processes=2, env=None, clock=False, root_dir="/dev/shm",
                 address="127.0.0.1"):
        self.root = make_folder(root_dir)
        for sub in ("run", "log", "www"):
            (self.root / sub).mkdir()
        self.certs, self.mpm, self.module, self.ssl = certs, mpm, module, ssl
        self.server, self.modules, self.processes = list(server), list(modules), processes
        self.port, self.address = free_port(), address
        self.vhosts = [Vhost("a.test")] if vhosts is None else list(vhosts)
        self.run_dir, self.error_log = self.root / "run", self.root / "log" / "error.log"
        self.conf = self.root / "httpd.conf"
        self.env = dict(os.environ, **(env or {}))
        if os.environ.get("STEK_HTTPD_PRELOAD"):  # a sanitizer's library
            others = [name for name in [self.env.get("LD_PRELOAD")] if name]
            self.env["LD_PRELOAD"] = ":".join([os.environ["STEK_HTTPD_PRELOAD"]] + others)
        self.process, self.generation, self.expected = None, 0, list(STOCK)
        self.log_level, self.mpm_lines, self.clock_file = "info", None, None
        self.popen_options, self.under = {}, []  # under: a command that runs httpd
        (self.root / "www" / "index.html").write_text("hello\n")
        if clock:
            self._prepare_clock()

    # configuration ------------------------------------------------------------------------------
    def _mpm_lines(self):
        """processes=1: one child that serves, however busy it is when the parent counts who is idle.  Otherwise
        the parent starts more of them in the course of a test, each of which polls at times of its own."""
        n = self.processes
        if self.mpm_lines is not None:
            return self.mpm_lines
        if self.mpm in ("prefork", "itk"):
            if n == 1:
                self.expect("AH00161")  # it is busy
                return ["StartServers 1", "MinSpareServers 1", "MaxSpareServers 1", "MaxRequestWorkers 1"]
            return [f"StartServers {n}", f"MinSpareServers {n}", f"MaxSpareServers {n + 8}"]
        if n == 1:
            return ["StartServers 1", "ServerLimit 16", "ThreadsPerChild 16", "MaxRequestWorkers 16",
                    "MinSpareThreads 1", "MaxSpareThreads 32"]
        return [f"StartServers {n}", "ServerLimit 16", "ThreadsPerChild 8", "MaxRequestWorkers 128",
                f"MinSpareThreads {8 * n}", f"MaxSpareThreads {8 * n + 80}"]

    def _load_lines(self):
        mpm = "prefork" if self.mpm == "itk" else self.mpm
        names = BASE_MODULES + [f"mpm_{mpm}"] + self.modules + (["ssl"] if self.ssl else [])
        lines = [f"LoadModule {n}_module {MODULES}/mod_{n}.so" for n in names
                 if (MODULES / f"mod_{n}.so").exists()]
        if self.mpm == "itk":
            lines.append(f"LoadModule mpm_itk_module {ITK}")
        if self.module:
            lines.append(f"LoadModule stek_rotate_module {MODULE}")
        return lines

    def write_conf(self):
        ports = {v.port or self.port for v in self.vhosts} or {self.port}
        ports |= {v.also for v in self.vhosts if v.also}
        lines = self._load_lines() + [
            f"ServerRoot {self.root}", f"DefaultRuntimeDir {self.run_dir}",
            f"PidFile {self.run_dir}/httpd.pid", "ServerName main.test",
            f"DocumentRoot {self.root}/www", f"ErrorLog {self.error_log}",
            f"LogLevel {self.log_level}", "Timeout 20", "KeepAlive Off",
            f"Header always set X-Generation {self.generation}",
            'LogFormat "%{X-Req}i %P" req', f"CustomLog {self.root}/log/access.log req",
            f"<Directory {self.root}/www>", "Require all granted", "</Directory>"]
        lines += [f"Listen {self.address}:{port}" for port in sorted(ports)] + self._mpm_lines()
        if os.geteuid() == 0:
            lines += [f"User {RUN_AS}", f"Group {RUN_AS}"]
        if self.ssl:
            lines += ["SSLSessionCache none", "SSLProtocol -all +TLSv1.2 +TLSv1.3"]
        lines += (VALUES if self.module and self.ssl else []) + self.server
        for vhost in self.vhosts:
            also = f" {self.address}:{vhost.also}" if vhost.also else ""
            lines += [f"<VirtualHost {self.address}:{vhost.port or self.port}{also}>",
                      f"ServerName {vhost.name}"]
            if vhost.tls and self.ssl:
                lines += ["SSLEngine on", f"SSLCertificateFile {self.certs / vhost.cert}.crt",
                          f"SSLCertificateKeyFile {self.certs / vhost.cert}.key"]
            lines += vhost.lines + ["</VirtualHost>"]
        self.conf.write_text("\n".join(lines) + "\n")

    def configtest(self):
        """(exit status, output) of httpd -t."""
        self.write_conf()
        done = subprocess.run([BINARY, "-t", "-f", self.conf], capture_output=True, text=True,
                              env=self.env, timeout=60)
        return done.returncode, done.stdout + done.stderr

    # clock --------------------------------------------------------------------------------------
    def _prepare_clock(self):
        library = next((path for path in FAKETIME_LIBS if os.path.exists(path)), FAKETIME_LIBS[0])
        self.clock_file = self.root / "clock"
        self.set_clock(0)
        others = [name for name in [self.env.get("LD_PRELOAD")] if name]
        self.env.update(LD_PRELOAD=":".join([library] + others),
                        FAKETIME_TIMESTAMP_FILE=str(self.clock_file), FAKETIME_NO_CACHE="1",
                        FAKETIME_DONT_FAKE_MONOTONIC="1",
                        NO_FAKE_STAT="1")

    def set_clock(self, offset_s):
        """Shifts httpd's clock, not ours."""
        self.offset_s = offset_s
        fresh = self.clock_file.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}s\n")
        fresh.chmod(0o644)
        fresh.rename(self.clock_file)

    def now(self):
        return time.time() + (self.offset_s if self.clock_file else 0)

    # life ---------------------------------------------------------------------------------------
    def start(self, *extra, wait=True):
        self.generation += 1
        self.write_conf()
        mark = self.mark()
        with open(self.root / "log" / "out", "ab") as out:
            # A session of its own: httpd's parent ends its children by a signal to its group.
            command = [*self.under, BINARY, "-f", self.conf, "-DFOREGROUND", *extra]
            self.process = subprocess.Popen(command, env=self.env, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            **self.popen_options)
        if wait:
            wait_for(lambda: self._answers(mark),
                     lambda: f"a server that answers; {self.tail()}",
                     300 if self.under else 40 + len(self.vhosts) // 10)
        return self

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def _answers(self, mark, single="-X"):
        assert self.alive(), f"httpd ended with {self.process.returncode}: {self.tail()}"
        if "resuming normal operations" not in self.log(mark) and single not in self.process.args:
            return False
        return self.answering_generation() == self.generation

    def answering_generation(self):
        vhost = self.vhosts[0]
        try:
            if self.ssl and vhost.tls:
                reply = tls.get(vhost.port or self.port, vhost.name, address=self.address)
            else:
                reply = tls.get_plain(vhost.port or self.port, vhost.name)
            return int(reply.headers.get("x-generation", -1))
        except (OSError, tls.TlsError):
            return None

    def _reload(self, sign, drain):
        old = set(self.children())
        self.generation += 1
        self.write_conf()
        mark = self.mark()
        os.kill(self.pid, sign)
        wait_for(lambda: self._answers(mark), lambda: f"the new generation; {self.tail()}", 60)
        if drain:
            wait_for(lambda: not old & set(self.children()), "the old children to end", 30)

    def graceful(self, drain=True):
        """drain: waits until the children of the generation before are gone."""
        self._reload(signal.SIGUSR1, drain)

    def restart(self):
        self._wait_idle()
        self._reload(signal.SIGHUP, True)

    def _all_asleep(self):
        return all(state(f"{pid}/task/{task}") == "S" for pid in self.children()
                   for task in listed(f"/proc/{pid}/task"))

    def _wait_idle(self):
        """A child of stock httpd that is told to end while it closes a connection may crash: event
        in a worker thread, prefork in mod_ssl, whose SSL_free() the signal interrupts."""
        idle_by = time.monotonic() + 1
        while self.alive() and time.monotonic() < idle_by:
            if self._all_asleep() and self._all_asleep():
                break
            time.sleep(0.01)

    def stop(self):
        """Ends the server; true if it ended by itself after SIGTERM."""
        if self.process is None:
            return True
        self._wait_idle()
        group, gone = self.pid, True
        if self.alive():
            self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            gone = False
            for pid in of_group(group):
                kill(pid)
            self.process.wait()
        self.process = None
        wait_for(lambda: not of_group(group), "all processes of the server to end")
        return gone

    def children(self):
        """Pids of the children that serve, none that waits to be reaped."""
        return [pid for pid in descendants(self.pid) if state(pid) not in ("Z", "")]

    # log ----------------------------------------------------------------------------------------
    def log(self, since=0):
        try:
            with open(self.error_log, errors="replace") as file:
                file.seek(since)
                return file.read()
        except FileNotFoundError:
            return ""

    def mark(self):
        return self.error_log.stat().st_size if self.error_log.exists() else 0

    def tail(self, n=15):
        out = self.root / "log" / "out"
        printed = out.read_text().splitlines()[-n:] if out.exists() else []
        return "\n".join(["log:"] + self.log().splitlines()[-n:] + ["output:"] + printed)

    def expect(self, *patterns):
        """Lines at warn or above that this test is about."""
        self.expected += patterns

    def lines(self, pattern, since=0):
        return [line for line in self.log(since).splitlines() if re.search(pattern, line)]

    def wait_log(self, pattern, since=0, count=1, timeout=20.0):
        """Waits for lines that match and counts them as expected."""
        self.expect(pattern)
        wait_for(lambda: len(self.lines(pattern, since)) >= count,
                 lambda: f"/{pattern}/ in the log; {self.tail()}", timeout, 0.1)
        return self.lines(pattern, since)

    def trouble(self):
        """Lines at warn or above, crashes and sanitizer reports that no test expected."""
        out = self.root / "log" / "out"
        text = self.log() + (out.read_text(errors="replace") if out.exists() else "")
        return [line for line in text.splitlines() if TROUBLE.search(line)
                and not any(re.search(pattern, line) for pattern in self.expected)]

    # requests -----------------------------------------------------------------------------------
    def get(self, host=None, **options):
        vhost = self.vhosts[0]
        if host is not None:
            vhost = next((v for v in self.vhosts if v.name == host), vhost)
        options.setdefault("port", vhost.port or self.port)
        options.setdefault("address", self.address)
        return tls.get(options.pop("port"), vhost.name if host is None else host, **options)

    def pid_of(self, req):
        """The child that answered the request of that number."""
        def look():
            text = (self.root / "log" / "access.log").read_text()
            return re.search(rf"^{req} (\d+)$", text, re.M)
        return int(wait_for(look, f"request {req} in the access log").group(1))

    # rings --------------------------------------------------------------------------------------
    def ring_path(self, name="default"):
        return self.run_dir / "stek_rotate" / f"{name}.ring"

    def secret_path(self, name="default"):
        return self.run_dir / "stek_rotate" / f"{name}.secret"

    def secret(self, name="default"):
        return ringfile.read_secrets(self.secret_path(name))[0]

    def ring(self, name="default"):
        return ringfile.Ring.read(self.ring_path(name),
                                  ringfile.read_secrets(self.secret_path(name)))

    def put_ring(self, ring, name="default", secret=None):
        """Writes a ring (or bytes) as a careful writer does."""
        data = ring if isinstance(ring, bytes) else ring.seal(secret or self.secret(name))
        path = self.ring_path(name)
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.chmod(0o640)
        shutil.chown(fresh, group=RUN_AS) if os.geteuid() == 0 else None
        fresh.rename(path)

    def put_secret(self, secret, name="default"):
        path = self.secret_path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(ringfile.secret_line(secret))
        path.chmod(0o600)

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


def kill(pid, sign=signal.SIGKILL):
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        pass


def listed(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def of_group(group):
    """All processes of a process group that have not ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                now, _, of = file.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(of) == group and now not in ("Z", "X"):
            found.append(int(pid))
    return found


def arguments(pid):
    """The command line of a process; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def program_of(pid):
    """What a process runs; empty if it has ended."""
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def descendants(pid):
    try:
        found = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(child) for child in file.read().split()]
        return found
    except OSError:
        return []
