# SPDX-License-Identifier: Apache-2.0
"""Fleets: real memcached and Redis servers of the test's own, a proxy that spoils what passes between them
and stekctl, and hosts, each a directory with httpd, a ring and stekctl sync, and a clock of its own."""
import base64
import hashlib
import itertools
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpd as harness
import ringfile
from httpd import FAKETIME_LIBS, RUN_AS, TOP, Vhost, free_port, make_folder, wait_for
from listener import Listener

STEKCTL = Path(os.environ.get("STEK_STEKCTL", TOP / "stekctl" / "stekctl"))
DAY = 86400
# The full length of what the check does in a short form.
SOAK = bool(os.environ.get("STEK_SOAK"))


def clock_env(clock):
    """What gives a program a clock that is so many seconds off."""
    library = next(path for path in FAKETIME_LIBS if os.path.exists(path))
    return {"LD_PRELOAD": library, "FAKETIME": f"{int(clock):+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1"}


def whole_slot(before_s, after_s, now=None):
    """An interval of which no slot ends between so long ago and so long from now: no host makes a key meanwhile, even
    one whose clock is off by as much."""
    now = int(time.time() if now is None else now)
    return next(interval for interval in range(3600, 86400, 60)
                if (now - before_s) // interval == (now + after_s) // interval)


def run(*args, clock=None, code=0, env=None, **options):
    """stekctl with those arguments; its result, after a check of the exit code."""
    env = dict(os.environ, **(env or {}), **(clock_env(clock) if clock is not None else {}))
    done = subprocess.run([STEKCTL, *map(str, args)], capture_output=True, text=True, env=env,
                          timeout=60, **options)
    assert code is None or done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


# ---- the fleet secret, as stek-ring(5) describes it ----

def fleet_fields(path):
    """(secrets, fleet id, day or None) of a fleet secret's file."""
    text = Path(path).read_text()
    fleet = base64.b64decode(re.search(r"^stek-fleet-v1 (\S+)$", text, re.M).group(1))
    day = re.search(r"^stek-day-v1 (\d+)$", text, re.M)
    return ringfile.read_secrets(path), fleet, int(day.group(1)) if day else None


def sealing_secrets(path, day):
    """What seals in the stores on that day; empty if the file has moved on."""
    secrets, fleet, base = fleet_fields(path)
    for _ in range(day - base if base else 0):
        secrets = [ringfile.hkdf(s, fleet, b"stek fleet v1 next", 32) for s in secrets]
    if base and day < base:
        return []
    return [ringfile.hkdf(s, fleet, b"stek fleet v1 seal", 32) for s in secrets]


def object_name(path):
    return "stek:" + fleet_fields(path)[1].hex()


# ---- stores ----

class Server:
    """Has a process."""

    def signal(self, sign):
        self.process.send_signal(sign)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class Store(Server):
    """A server of its own port.  get, put and flush go past stekctl."""

    def __init__(self, *extra):
        self.port, self.extra, self.process = free_port(), list(extra), None
        self.dir = make_folder()

    def start(self):
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.dir)
        wait_for(self.answers, f"{self.scheme} to answer", 40)
        return self

    def answers(self):
        try:
            return self.get("x") is None
        except OSError:
            return False

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), 5)

    def remove(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def ring(self, secret_path, day=None):
        """The ring it holds; None if there is none or it does not open."""
        data = self.get(object_name(secret_path))
        day = int(time.time()) // DAY if day is None else day
        try:
            return data and ringfile.Ring.open(data, sealing_secrets(secret_path, day))
        except Exception:  # whatever is wrong with it
            return None


class Memcached(Store):
    scheme = "memcached"

    def command(self):
        return ["memcached", "-u", "nobody", "-l", "127.0.0.1", "-p", str(self.port), "-U", "0",
                *self.extra]

    def ask(self, data, *ends):
        with self.connect() as sock:
            sock.sendall(data)
            got = b""
            while not any(got.endswith(end) for end in ends):
                piece = sock.recv(1 << 20)
                if not piece:
                    raise ConnectionError("memcached hung up")
                got += piece
            return got

    def get(self, name):
        got = self.ask(f"get {name}\r\n".encode(), b"END\r\n")
        if got == b"END\r\n":
            return None
        head, _, rest = got.partition(b"\r\n")
        return rest[:int(head.split()[3])]

    def put(self, name, data):
        got = self.ask(f"set {name} 0 0 {len(data)}\r\n".encode() + data + b"\r\n", b"\r\n")
        return got == b"STORED\r\n"

    def flush(self):
        self.ask(b"flush_all\r\n", b"OK\r\n")

    def fill(self):
        """Until it takes no more; needs -M."""
        for size in (500000, 100000, 20000, 4000, 1000, 200, 40):
            for n in range(5000):
                if not self.put(f"fill-{size}-{n}", bytes(size)):
                    break

    def unfill(self):
        self.flush()


class Redis(Store):
    scheme = "redis"

    def command(self):
        return ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--save", "",
                "--appendonly", "no", *self.extra]

    def ask(self, *words):
        words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
        with self.connect() as sock:
            file = sock.makefile("rwb")
            file.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
            file.flush()
            line = file.readline()
            if not line:
                raise ConnectionError("Redis hung up")
            if line[:1] == b"$":
                length = int(line[1:])
                return None if length < 0 else file.read(length + 2)[:-2]
            return line.strip()

    def answers(self):
        try:
            return self.ask("PING") in (b"+PONG", b"-NOAUTH Authentication required.")
        except OSError:
            return False

    def get(self, name):
        return self.ask("GET", name)

    def put(self, name, data):
        return self.ask("SET", name, data) == b"+OK"

    def flush(self):
        self.ask("FLUSHALL")

    def fill(self):
        self.ask("CONFIG", "SET", "maxmemory", "1")

    def unfill(self):
        self.ask("CONFIG", "SET", "maxmemory", "0")


def pair_of(fleet, kind, *addresses):
    """Servers at one port of these addresses, as behind one name."""
    port, servers = free_port(), []
    for address in addresses:
        server = kind()
        server.port = port
        server.command = {
            Memcached: lambda address=address: ["memcached", "-u", "nobody", "-l", address, "-p", str(port), "-U", "0"],
            Redis: lambda address=address: ["redis-server", "--bind", address, "--port", str(port), "--save", "",
                                            "--appendonly", "no"]}[kind]
        server.connect = lambda address=address: socket.create_connection((address, port), 5)
        fleet.stores.append(server.start())
        servers.append(server)
    return servers


class Proxy(Listener):
    """Stands in front of a store and passes on, or does not, by its mode: pass, refuse (hangs up), drop
    (takes everything, answers nothing), garbage, slow (delay_s on each answer)."""

    def __init__(self, store):
        self.store, self.mode, self.delay_s = store, "pass", 2.0
        self.recorded, self.open = [], []
        super().__init__()
        self.url = f"{store.scheme}://127.0.0.1:{self.port}"

    def set(self, mode):
        """From now on; connections that are open end, but for those that are to see silence."""
        self.mode = mode
        if mode != "drop":
            self.hang_up()

    def hang_up(self):
        for sock in self.open[:]:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        super().close()
        self.hang_up()

    def _serve(self, client):
        server = None
        try:
            if self.mode == "refuse":
                return
            self.open.append(client)
            server = self.store.connect()
            server.settimeout(None)  # a watch is silent for long
            self.open.append(server)
            threading.Thread(target=self._back, args=(server, client), daemon=True).start()
            while data := client.recv(65536):
                self.recorded.append(data)
                if self.mode == "garbage":
                    client.sendall(os.urandom(64) + b"\r\n" + b"VALUE x 0 9\r\n" + os.urandom(200))
                elif self.mode != "drop":
                    server.sendall(data)
        except OSError:
            pass
        finally:
            for sock in (client, server):
                if sock:
                    sock.close()
                    if sock in self.open:
                        self.open.remove(sock)

    def _back(self, server, client):
        try:
            while data := server.recv(65536):
                if self.mode == "slow":
                    time.sleep(self.delay_s)
                if self.mode != "drop":
                    self.recorded.append(data)
                    client.sendall(data)
        except OSError:
            pass
        finally:
            try:
                client.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


# ---- hosts ----

NUMBERS = itertools.count(1)


class Host:
    """A directory with a ring, and beside it stekctl sync and, if wanted, httpd, on one clock."""

    def __init__(self, certs, stores, secret, *, web=True, interval="1s", lifetime="30s", every="1s",
                 timeout="1s", generate=True, clock_s=0, options=()):
        self.name = f"web{next(NUMBERS)}"
        self.urls = [store if isinstance(store, str) else store.url for store in stores]
        self.generate, self.every, self.timeout = generate, every, timeout
        self.times = ["--interval", interval, "--lifetime", lifetime]
        self.options, self.process, self.clock_s = list(options), None, clock_s
        lines = [f"StekRing default interval={interval} lifetime={lifetime} generate=off poll=1s",
                 "StekBinding off"]  # all are one machine: their ports differ
        self.web = harness.Httpd(certs, server=lines, clock=True, processes=1,
                                 vhosts=[Vhost("a.test")]) if web else None
        self.root = self.web.root if web else make_folder()
        self.env = dict(os.environ)
        if web:
            self.web.expect(r"STEK2002", r"STEK2003")  # until the first ring is there, and when it ends
            self.env = dict(self.web.env)
            self.web.set_clock(clock_s)
        self.ring_path = self.root / "run" / "stek_rotate" / "default.ring"
        self.secret_path = self.ring_path.with_suffix(".secret")
        self.ring_path.parent.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(self.ring_path.parent, group=RUN_AS)
        self.ring_path.parent.chmod(0o750)
        self.fleet_secret = self.root / "fleet.secret"
        shutil.copy(secret, self.fleet_secret)
        self.fleet_secret.chmod(0o600)
        self.log_path = self.root / "sync.log"

    def arguments(self, *more):
        stores = [word for url in self.urls for word in ("--store", url)]
        return ["--ring", self.ring_path, "sync", *stores, "--fleet-secret", self.fleet_secret,
                "--every", self.every, "--timeout", self.timeout, *self.times, "--announce", self.name,
                *self.options,
                *([] if self.generate else ["--no-generate"]), *more]

    def set_clock(self, clock_s):
        self.clock_s = clock_s
        self.web.set_clock(clock_s)

    def now(self):
        return time.time() + self.clock_s

    def once(self, code=0, args=(), **options):
        if code == 0 and (self.timeout, self.times[1]) == ("1s", "1h"):  # all stores answer, on a busy machine later
            args = ["--timeout", "5s", *args]
        if not self.web and "clock" not in options and self.clock_s:
            options["clock"] = self.clock_s
        env = options.pop("env", {})
        return run(*self.arguments("--once", *args), code=code, env=dict(self.env, **env), **options)

    def start(self, web=True, env=None):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([STEKCTL, *map(str, self.arguments())], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL,
                                            env=dict(self.env, **(env or {})))
        if web and self.web:
            wait_for(self.ring_path.exists, lambda: f"the ring; {self.log()}", 40)
            self.web.start()
        return self

    def stop_sync(self):
        """Ends it, as systemd would; its exit code."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        code, self.process = self.process and self.process.returncode, None
        return code

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def hup(self):
        self.process.send_signal(signal.SIGHUP)

    def ring(self):
        return ringfile.Ring.read(self.ring_path, ringfile.read_secrets(self.secret_path))

    def names(self):
        return {key.name for key in self.ring().keys}

    def get(self, **options):
        return self.web.get(**options)

    def remove(self):
        faults = []
        if self.process and self.process.poll() is not None:
            faults.append(f"stekctl sync ended by itself with {self.process.returncode}: {self.log()}")
        code = self.stop_sync()
        if code not in (0, None) and not faults:
            faults.append(f"stekctl sync ended with {code} on SIGTERM: {self.log()}")
        if self.web:
            faults += [] if self.web.stop() else ["httpd did not end"]
            faults += self.web.trouble()
        shutil.rmtree(self.root, ignore_errors=True)
        return faults


class Fleet:
    """What one test has: stores, proxies, hosts, a fleet secret.  close() gives what went wrong."""

    def __init__(self, certs):
        self.certs, self.stores, self.proxies, self.hosts = certs, [], [], []
        self.dir = make_folder()
        self.secret = self.new_secret("fleet.secret")

    def new_secret(self, name, *more):
        path = self.dir / name
        run("--secret", path, "secret", "new", "--fleet", *more)
        return path

    def store(self, kind=Memcached, *extra):
        self.stores.append(kind(*extra).start())
        return self.stores[-1]

    def proxy(self, store):
        self.proxies.append(Proxy(store))
        return self.proxies[-1]

    def host(self, *stores, secret=None, **options):
        self.hosts.append(Host(self.certs, stores or self.stores, secret or self.secret, **options))
        return self.hosts[-1]

    def close(self):
        faults = [fault for host in self.hosts for fault in host.remove()]
        for proxy in self.proxies:
            proxy.close()
        for store in self.stores:
            store.remove()
        shutil.rmtree(self.dir, ignore_errors=True)
        return faults


def agree(hosts, margin_s=3, within_s=math.inf):
    """Nonzero if all hosts have the same keys, but for those that end just now, or begin later than within_s."""
    now = max(host.now() for host in hosts)
    return len({frozenset(key.name for key in host.ring().keys if key.decrypt_until > now + margin_s
                          and key.not_before < now + within_s) for host in hosts}) == 1


def uncrossed(hosts, versions=("1.2", "1.3")):
    """Why not a ticket of each host resumes at each other one; empty if it does."""
    for version in versions:
        sessions = [host.get(tls=version).session for host in hosts]
        if not all(sessions):
            return "a host gives out no tickets"
        for giver, session in zip(hosts, sessions):
            for taker in hosts:
                if not taker.get(tls=version, session=session).resumed:
                    return (f"TLS {version}: a ticket of host {hosts.index(giver)} under {session.name.hex()[:8]} does "
                            f"not resume at {hosts.index(taker)}")
    return ""


def crossed(hosts, versions=("1.2", "1.3")):
    """A ticket of each host resumes at each other one, whose httpd has loaded the ring that it is in."""
    wrong = uncrossed(hosts, versions)
    assert not wrong, wrong


def wait_crossed(hosts):
    """The same once all httpds have loaded the rings, which agree."""
    wait_for(lambda: not uncrossed(hosts), lambda: uncrossed(hosts), 20, 0.2)


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# ---- what happens to hosts ----

def revoke(host, name=None):
    """The key of that name, or all."""
    run("--ring", host.ring_path, "revoke", name.hex()[:8] if name else "--all")


def reboot(host):
    """What a reboot leaves of /run: nothing.  sync and httpd must have ended."""
    for path in host.ring_path.parent.iterdir():
        path.unlink()


# ---- what is wrong with a store ----

def complaint(host, *more, url=None):
    """The line of the log that says why that store cannot be used; the ring serves on."""
    if url:
        host.urls = [url]
    host.options = list(more) or host.options
    text = host.once(code=5).stderr
    line, = [line for line in text.splitlines() if line.startswith(f"stekctl: {host.urls[0]}: ")]
    assert host.ring().current(time.time()), line
    return line


def reason_in(line, then="continuing with the file ring.*"):
    """Why, according to the line, which goes on with what sync does."""
    return re.fullmatch(r"stekctl: \S+: (?:silent|can be read, but not written|its object is unusable|"
                        r"its object is unusable, and cannot be overwritten): (.+?); "
                        + f"(?:{then})", line).group(1)


def password(host, text, name="password"):
    """The options that give this password."""
    path = host.root / name
    path.write_text(text + "\n")
    path.chmod(0o600)
    return ["--password", path]
