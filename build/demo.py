#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make run: watch ticket keys rotate on a private httpd.

Starts an httpd of its own (free loopback port, own directory, nothing of the machine's touched) with
the module and one directive that shortens the default's hours to seconds.  Two clients, TLS 1.2 and
TLS 1.3, come back again and again with the ticket they got last; what is shown is what they saw: the
first 16 bytes of a ticket are the name of the key that made it.

On a terminal one screen of 24 lines is redrawn until Ctrl-C; otherwise, lines as things happen.
--once tells the story one time and ends; exit code 0 only if all of it was really observed.
"""
import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
INTERVAL, LIFETIME = 5, 20  # seconds
WIDTH, HEIGHT = 80, 24
HOST = "demo.test"
VERSIONS = ("1.2", "1.3")
# Fixed parts of a ring: where the body's length stands, and the lengths of what surrounds keys.
RING_HEADER, RING_BODY_AT, RING_AROUND, RING_KEY = 88, 84, 20, 124


class Trouble(Exception):
    """Something that the demonstration can't go on with; the text says what."""


def call(*words, stdin="", timeout=20):
    return subprocess.run([str(w) for w in words], input=stdin, capture_output=True, text=True,
                          errors="replace", timeout=timeout, check=False)


def wait_for(look, what, timeout=15.0):
    end = time.monotonic() + timeout
    while not (seen := look()):
        if time.monotonic() > end:
            raise Trouble(f"waited {timeout:g} s for {what}")
        time.sleep(0.05)
    return seen


def apxs(name):
    return call(os.environ.get("APXS", "apxs"), "-q", name).stdout.strip()


def children_of(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                words = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if words[1] == str(pid) and words[0] != "Z":
                found.append(int(entry))
    return found


def trusted(path):
    """Would the module trust a ring below path, and can httpd's children get there?"""
    for folder in (path, *path.parents):
        info = folder.stat()
        if info.st_uid not in (0, os.geteuid()) or not info.st_mode & 0o001:
            return False
        if info.st_mode & 0o022 and not info.st_mode & 0o1000:
            return False
    return True


def own_folder():
    wanted = TOP / "out"
    wanted.mkdir(exist_ok=True)
    for base in (wanted, Path("/dev/shm"), Path(tempfile.gettempdir())):
        if base.is_dir() and os.access(base, os.W_OK) and trusted(base):
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=base))
            folder.chmod(0o755)
            return folder
    raise Trouble("found no directory that others can't write to: tried out, /dev/shm, "
                  + tempfile.gettempdir())


class Server:
    def __init__(self, module):
        self.module, self.process, self.port = module, None, 0
        self.modules = Path(apxs("LIBEXECDIR"))
        names = (apxs("PROGNAME"), "httpd", "apache2")
        found = [p for n in names if (p := Path(apxs("SBINDIR"), n)).is_file()]
        if not found:
            raise Trouble("found no httpd: run build/deps.sh run")
        self.binary = found[0]
        self.version = re.search(r"Apache/(\S+)", call(self.binary, "-v").stdout).group(1)
        self.stekctl = TOP / "stekctl" / "stekctl"
        self.root = own_folder()

    def prepare(self):
        for name in ("run", "www"):
            (self.root / name).mkdir()
        (self.root / "www" / "index.html").write_text("hello\n")
        made = call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
                    "-keyout", self.root / "key.pem", "-out", self.root / "cert.pem")
        if made.returncode:
            raise Trouble("openssl made no certificate: " + made.stderr.strip())

    def start(self):
        for _ in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            self.write_conf()
            # A session of its own: Ctrl-C is for us, and httpd signals its whole process group.
            with open(self.root / "out", "wb") as out, held_back():
                self.process = subprocess.Popen(
                    [self.binary, "-f", self.root / "httpd.conf", "-DFOREGROUND"], stdout=out,
                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)
            wait_for(lambda: self.ready() or self.process.poll() is not None, "httpd to start")
            if self.process.poll() is None:
                return
            if "Address already in use" not in self.log():
                break
        raise Trouble("httpd did not start")

    def write_conf(self):
        names = ["unixd", "authz_core", "mpm_event", "ssl"]
        lines = [f"LoadModule {n}_module {p}" for n in names
                 if (p := self.modules / f"mod_{n}.so").exists()]
        lines += [f"LoadModule stek_rotate_module {self.module}",
                  f"StekRing default interval={INTERVAL}s lifetime={LIFETIME}s",
                  f"ServerRoot {self.root}", f"DefaultRuntimeDir {self.root}/run",
                  f"PidFile {self.root}/run/httpd.pid", f"ErrorLog {self.root}/error.log",
                  f"ServerName {HOST}", f"DocumentRoot {self.root}/www",
                  f"Listen 127.0.0.1:{self.port}", "StartServers 2", "ThreadsPerChild 8",
                  "MinSpareThreads 16", "MaxSpareThreads 64", "MaxRequestWorkers 64",
                  "SSLSessionCache none",
                  "SSLProtocol -all +TLSv1.2 +TLSv1.3", f"<VirtualHost 127.0.0.1:{self.port}>",
                  f"ServerName {HOST}", "SSLEngine on", f"SSLCertificateFile {self.root}/cert.pem",
                  f"SSLCertificateKeyFile {self.root}/key.pem", "</VirtualHost>"]
        if os.geteuid() == 0:
            user = call("id", "-un", "www-data").stdout.strip() or "apache"
            lines += [f"User {user}", f"Group {user}"]
        (self.root / "httpd.conf").write_text("\n".join(lines) + "\n")

    def log(self):
        text = ""
        for name in ("error.log", "out"):
            path = self.root / name
            text += path.read_text(errors="replace") if path.exists() else ""
        return text

    def ready(self):
        if "resuming normal operations" not in self.log():
            return False
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def reload(self):
        """Graceful; returns once every process that serves is a new one."""
        old = set(children_of(self.process.pid))
        os.kill(self.process.pid, signal.SIGUSR1)

        def renewed():
            if self.process.poll() is not None:
                raise Trouble("httpd ended during the reload")
            now = set(children_of(self.process.pid))
            return bool(now) and not now & old

        wait_for(renewed, "the new processes", 30)
        return len(old)

    def ring(self):
        """(number of keys in the sealed ring, {start of slot: name}).  The names, and keys that no
        ticket has shown yet, are known through stekctl; without it the ring's length tells the number."""
        folder = self.root / "run" / "stek_rotate"
        if os.access(self.stekctl, os.X_OK):
            shown = call(self.stekctl, "--ring", folder / "default.ring", "--secret",
                         folder / "default.secret", "--json", "show")
            try:
                keys = {k["not_before"]: k["name"][:8] for k in json.loads(shown.stdout)["keys"]}
                return len(keys), keys
            except (ValueError, KeyError, TypeError):
                pass
        try:
            head = (folder / "default.ring").read_bytes()[:RING_HEADER]
            return (struct.unpack_from(">I", head, RING_BODY_AT)[0] - RING_AROUND) // RING_KEY, {}
        except (OSError, struct.error):
            return 0, {}

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Client:
    """Comes back with its last ticket, as a browser does."""

    def __init__(self, server, version):
        self.server, self.version = server, version
        self.context = ssl.create_default_context(cafile=server.root / "cert.pem")
        number = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
        self.context.minimum_version = self.context.maximum_version = number
        self.session = self.first = None

    def visit(self, session=None):
        """(resumed, name of the key of the ticket that it then holds)."""
        mine = session is None
        try:
            with socket.create_connection(("127.0.0.1", self.server.port), timeout=10) as plain:
                with self.context.wrap_socket(plain, server_hostname=HOST,
                                              session=self.session if mine else session) as tls:
                    tls.sendall(f"GET /index.html HTTP/1.1\r\nHost: {HOST}\r\n"
                                "Connection: close\r\n\r\n".encode())
                    answer = b""
                    while data := tls.recv(4096):
                        answer += data
                    resumed, fresh = tls.session_reused, tls.session
        except OSError as error:
            raise Trouble(f"a TLS {self.version} client failed: {error}") from error
        if not answer.startswith(b"HTTP/1.1 200"):
            raise Trouble(f"a TLS {self.version} client got {answer[:40]!r}")
        if mine:
            self.session = fresh
        return resumed, self.key_of(fresh)

    def key_of(self, session):
        """What anyone on the wire would see of the ticket: the name of its key stands in clear in the
        ClientHello that offers it.  This one is made for the look of it and sent to nobody."""
        hello = ssl.MemoryBIO()
        offer = self.context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname=HOST, session=session)
        try:
            offer.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return offered_ticket(hello.read())[:16].hex()


def offered_ticket(hello):
    """The ticket in a ClientHello (one record): extension 35 in TLS 1.2, 41 in 1.3; b"" if none."""
    at = 5 + 4 + 2 + 32  # record, message, version, random
    at += 1 + hello[at]  # session id
    at += 2 + struct.unpack_from(">H", hello, at)[0]  # cipher suites
    at += 1 + hello[at]  # compression
    at += 2  # length of all extensions
    while at + 4 <= len(hello):
        kind, length = struct.unpack_from(">HH", hello, at)
        body = hello[at + 4:at + 4 + length]
        if kind == 35 and body:
            return body
        if kind == 41:
            return body[4:4 + struct.unpack_from(">H", body, 2)[0]]
        at += 4 + length
    return b""


def clock(t):
    return time.strftime("%H:%M:%S", time.localtime(t))


class Story:
    """What happens, what was seen of it, and how it looks."""

    PROMISES = {
        "both": "both TLS versions get tickets under one key",
        "rotated": "a new key each interval",
        "resumed": "old tickets resume and are renewed",
        "reload": "tickets outlive a graceful reload",
        "late": f"the first ticket resumes {INTERVAL * 3} s later",
        "quiet": "keys rotate while nobody connects",
        "ended": "a ticket whose key has ended: full handshake, no error",
    }

    def __init__(self, server, screen):
        self.server, self.screen = server, screen
        self.clients = {v: Client(server, v) for v in VERSIONS}
        self.keys = {}  # start of slot: name of the key that made tickets in it
        self.current = ""
        self.events, self.seen, self.broken = [], {}, []
        self.rotations_n = self.reloads_n = self.resumed_n = self.full_n = 0

    # what happens --------------------------------------------------------------------------------
    def note(self, text):
        self.events.append(f"{clock(time.time())}  {text}"[:WIDTH])
        self.screen.event(self)

    def promise(self, key, held):
        self.seen[key] = self.seen.get(key, True) and bool(held)

    def slot(self):
        return int(time.time()) // INTERVAL * INTERVAL

    def until_slot(self, slot):
        """Waits until a second into the slot, so that no visit falls on the edge of two."""
        while (left := slot + 1 - time.time()) > 0:
            self.screen.draw(self)
            time.sleep(min(left, 0.25))

    def visit(self):
        """Both clients, in one slot; ({version: resumed}, name of the key now)."""
        slot, resumed, names = self.slot(), {}, {}
        for version, client in self.clients.items():
            resumed[version], names[version] = client.visit()
        self.count(resumed.values())
        now = names[VERSIONS[0]]
        self.promise("both", now and names == dict.fromkeys(VERSIONS, now))
        self.saw(slot, now)
        return resumed, now

    def saw(self, slot, name):
        """A ticket of that key came in that slot: one key for one slot."""
        if slot != self.slot():
            return  # a slow machine: the visit went over the edge
        if name not in self.keys.values() and self.keys:
            self.rotations_n += 1
        self.promise("rotated", self.keys.setdefault(slot, name) == name
                     and list(self.keys.values()).count(name) == 1)

    def count(self, resumed):
        resumed = list(resumed)
        self.resumed_n += sum(resumed)
        self.full_n += len(resumed) - sum(resumed)

    def come_back(self, *promises):
        before = self.current
        resumed, self.current = self.visit()
        held = all(resumed.values()) and self.current != before
        for promise in ("resumed", *promises):
            self.promise(promise, held)
        how = {v: "resumed" if r else "NOT RESUMED" for v, r in resumed.items()}
        self.note(f"TLS 1.2 {how['1.2']}, TLS 1.3 {how['1.3']}: {before[:8]} -> {self.current[:8]}")

    def reload(self):
        n = self.server.reload()
        self.reloads_n += 1
        self.note(f"graceful reload: {n} old httpd processes gone, new ones serve")

    def first_tickets(self, promise, expected, text):
        """Both clients come with copies of their very first tickets."""
        slot, visits = self.slot(), [c.visit(c.first) for c in self.clients.values()]
        resumed = [visit[0] for visit in visits]
        self.count(resumed)
        self.saw(slot, visits[0][1])
        held = resumed == [expected] * len(resumed)
        self.promise(promise, held)
        self.note(text if held else "NOT SO: " + text)

    def tell(self):
        first = self.slot() + INTERVAL
        slots = [first + i * INTERVAL for i in range(6)]
        self.until_slot(slots[0])
        resumed, self.current = self.visit()
        self.promise("both", not any(resumed.values()))
        name = self.current[:8]
        for client in self.clients.values():
            client.first = client.session
        self.note(f"clients come, TLS 1.2 and 1.3: full handshakes, key {name}")
        self.until_slot(slots[1])
        self.come_back()
        self.reload()
        self.until_slot(slots[2])
        self.come_back("reload")
        self.until_slot(slots[3])
        self.first_tickets("late", True, f"first tickets once more, of old key {name}: resumed")
        self.until_slot(slots[4])
        self.note("a whole slot in which nobody connects ...")
        self.until_slot(slots[5])
        self.come_back("quiet")
        self.first_tickets("ended", False,
                           f"first tickets again, {name} has ended: full handshake, no error")

    def go_on(self):
        n = 0
        while True:
            self.until_slot(self.slot() + INTERVAL)
            self.come_back()
            n += 1
            if n % 6 == 0:
                self.reload()

    # how it looks --------------------------------------------------------------------------------
    def head(self):
        version = re.search(r'STEK_VERSION "(.*)"', (TOP / "include/stek_version.h").read_text())
        return [f"mod_stek_rotate {version.group(1)}: TLS ticket keys that rotate by themselves",
                f"A private httpd {self.server.version} serves TLS on port "
                f"{self.server.port}. Beyond LoadModule it has:",
                f"  StekRing default interval={INTERVAL}s lifetime={LIFETIME}s"
                "      (without it: 1h and 18h)",
                "Two clients, TLS 1.2 and 1.3, come back with their last ticket. Resumed means",
                "without a full handshake, and with a fresh ticket under the newest key."]

    def key_rows(self, future=True):
        now = int(time.time())
        total, names = self.server.ring()
        names = {**names, **{slot: name[:8] for slot, name in self.keys.items()}}
        rows = ["KEY       MAKES TICKETS      OPENS UNTIL       | now, = makes tickets, - opens"]
        here = now // INTERVAL * INTERVAL
        begun = [s for s in names if s <= here and s + INTERVAL + LIFETIME > now]
        slots = list(range(min(begun, default=here), here + 1, INTERVAL))
        if future and here + INTERVAL in names:
            slots.append(here + INTERVAL)
        for slot in slots:
            end = slot + INTERVAL
            state = "future" if slot > now else "current" if now < end else "old"
            bar = "".join(
                "|" if second == now else "=" if slot <= second < end
                else "-" if end <= second < end + LIFETIME else " " for second in range(now - 20, now + 10))
            rows.append(f"{names.get(slot, '(unseen)')}  {clock(slot)}-{clock(end)}  "
                        f"{clock(end + LIFETIME)} {state:8} {bar}".rstrip())
        ready = sum(1 for slot in names if slot > now) or max(total - len(slots), 0)
        if total:
            rows.append(f"The sealed ring holds {total} keys; {ready} wait for their slots.")
        return rows

    def sums(self):
        return (f"Seen: new keys {self.rotations_n}, reloads {self.reloads_n}, resumptions "
                f"{self.resumed_n}, full handshakes {self.full_n}, errors 0.")

    def frame(self, bottom):
        lines = self.head() + [""] + self.key_rows() + ["", "WHAT TWO CLIENTS SEE"]
        room = HEIGHT - 1 - len(lines) - len(bottom) - 1
        return lines + self.events[-room:] + [""] + bottom

    def failures(self):
        return [text for key, text in self.PROMISES.items() if not self.seen.get(key)]


class Screen:
    """A terminal of 24 lines that is redrawn, or a stream of lines."""

    BOTTOM = ["Press Ctrl-C to stop httpd and remove its directory. Nothing else was touched."]

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.begun = False

    def put(self, lines):
        for line in lines:
            print(line[:WIDTH])
        sys.stdout.flush()

    def begin(self, story):
        self.begun = True
        if self.terminal:
            sys.stdout.write("\x1b[?25l\x1b[2J")
            self.draw(story)
        else:
            self.put(story.head() + [""])

    def event(self, story):
        if self.terminal:
            self.draw(story)
        else:
            self.put(story.events[-1:])

    def draw(self, story):
        if self.terminal:
            text = "".join(f"{line[:WIDTH]}\x1b[K\n" for line in story.frame([story.sums()] + self.BOTTOM))
            sys.stdout.write("\x1b[H" + text + "\x1b[J")
            sys.stdout.flush()

    def end(self, story, closing):
        if not self.begun:
            return
        if self.terminal:
            lines = story.frame([story.sums()] + closing)
            sys.stdout.write("\x1b[H\x1b[J\x1b[?25h")
            self.put(lines)
        else:
            self.put(story.key_rows(future=False) + [story.sums()] + closing)


NEXT = ["httpd is stopped, its directory removed. Next: docs/quick-start.md puts it into",
        "your own httpd in five minutes; docs/README.md lists all guides."]


def interrupt(_sign, _frame):
    raise KeyboardInterrupt


def on_end_signals(action):
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, action)


@contextlib.contextmanager
def held_back():
    """An end that is asked for meanwhile comes afterwards: who has half started httpd could not stop it."""
    asked = []
    on_end_signals(lambda *_: asked.append(True))
    try:
        yield
    finally:
        on_end_signals(interrupt)
    if asked:
        raise KeyboardInterrupt


def play(server, screen, once):
    """Exit code; whatever happens, httpd is stopped and its directory gone when this returns."""
    story = Story(server, screen)
    code, closing = 0, []
    try:
        server.start()
        screen.begin(story)
        story.tell()
        if not once:
            story.go_on()
    except KeyboardInterrupt:
        once = False
    except (Trouble, OSError, subprocess.SubprocessError) as error:
        code, closing = 1, [f"FAILED: {error}"]
    on_end_signals(signal.SIG_IGN)
    # What was promised and tried must have held; told to the end, everything must have been tried.
    failures = [t for t in story.failures() if once or t in broken(story)]
    if failures and not code:
        code, closing = 1, [f"NOT SEEN: {text}" for text in failures]
    if code:
        closing += ["httpd's log ends:"] + [re.sub(r"^\[.*?\] |\[pid [^]]*\] ", "", line) for line in
                    server.log().splitlines()[-6:]]
    server.stop()
    screen.end(story, closing or NEXT)
    if code and not screen.begun:
        print("\n".join(closing), file=sys.stderr)
    server.remove()
    return code


def broken(story):
    return [story.PROMISES[key] for key, held in story.seen.items() if not held]


def main():
    on_end_signals(interrupt)
    parser = argparse.ArgumentParser(prog="make run", description="Watch ticket keys rotate.")
    parser.add_argument("--once", action="store_true", help="tell the story once and end")
    parser.add_argument("--module", type=Path, default=TOP / ".libs" / "mod_stek_rotate.so")
    args = parser.parse_args()
    server = None
    try:
        if not args.module.is_file():
            raise Trouble(f"no {args.module}: run make")
        server = Server(args.module.resolve())
        server.prepare()
        return play(server, Screen(), args.once)
    except KeyboardInterrupt:
        return 0
    except Trouble as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        # A second Ctrl-C must not leave httpd behind.
        on_end_signals(signal.SIG_IGN)
        if server is not None:
            server.stop()
            server.remove()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
