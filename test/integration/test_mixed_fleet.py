# SPDX-License-Identifier: Apache-2.0
"""httpd, nginx and HAProxy of one host on one ring of a fleet: the units' own command lines, with the
real programs, while keys rotate."""
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass

import pytest

import fleet as lib
from checks import VERSIONS
from httpd import RUN_AS, TOP, wait_for
from stekctl_tool import BINARY, Haproxy, Nginx
from test_docs import fenced

UNITS = sorted((TOP / "build" / "systemd").glob("*.service"))
ROTATIONS = 5
USER = "daemon"  # in place of stek


def settings(unit):
    """Name -> value of a unit's lines; of a name that is there twice, the last."""
    text = (TOP / "build" / "systemd" / unit).read_text().replace("\\\n", " ")
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.M))


class Exporter:
    """The unit's process: its command line, capabilities, environment and runtime directory, for the
    instance "www", with what is below /run moved to a folder of the test's own."""

    def __init__(self, unit, root, ring_path):
        self.unit = settings(unit)
        self.run_dir = root / "run" / self.unit["RuntimeDirectory"].replace("%i", "www")
        self.run_dir.mkdir(mode=int(self.unit["RuntimeDirectoryMode"], 8), parents=True)
        line = self.unit["ExecStart"].replace("%i", "www").replace("$$", "$")
        line = line.replace("/run/", f"{root}/run/").replace("/usr/sbin/stekctl", BINARY, 1)
        rights = self.unit["CapabilityBoundingSet"]
        assert self.unit["AmbientCapabilities"] == rights and self.unit["User"] == "stek"
        rights = "-all," + ",".join(f"+{word}" for word in rights.lower().replace("cap_", "").split())
        user = pwd.getpwnam(USER)
        os.chown(self.run_dir, user.pw_uid, user.pw_gid)
        self.command = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}",
                        "--clear-groups", f"--bounding-set={rights}", f"--inh-caps={rights}",
                        f"--ambient-caps={rights}", "--no-new-privs", *shlex.split(line)]
        assert self.unit["Environment"] == "STEK_RING=/run/stek-%i/default.ring"
        self.log_path, self.notify_path = root / f"log-{unit}", root / f"notify-{unit}"
        self.env = dict(os.environ, STEK_RING=str(ring_path), NOTIFY_SOCKET=str(self.notify_path))

    def start(self):
        assert self.unit["Type"] == "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(self.notify_path))
            self.notify_path.chmod(0o666)
            manager.setblocking(False)
            with open(self.log_path, "wb") as log:
                self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.env)
            wait_for(lambda: self.told(manager) == b"READY=1", self.log, 30)
        return self

    def told(self, manager):
        assert self.process.poll() is None, self.log()
        try:
            return manager.recv(512)
        except BlockingIOError:
            return None

    def log(self):
        return self.log_path.read_text()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log()


@pytest.fixture
def running():
    """What ends with the test, the last first."""
    made = []
    yield made
    for each in reversed(made):
        each.stop()


def fleet_host(fleet):
    """httpd and stekctl sync, which runs as a user of its own, as its unit has it.  HAProxy keeps three
    keys: with a lifetime of one interval those are all that decrypt."""
    fleet.store()
    host = fleet.host(interval="4s", lifetime="4s")
    user = pwd.getpwnam(USER)
    for path in (host.ring_path.parent, host.fleet_secret):
        shutil.chown(path, user.pw_uid, RUN_AS)
    with open(host.log_path, "wb") as log:
        host.process = subprocess.Popen([lib.STEKCTL, *map(str, host.arguments())], stdout=log,
                                        stderr=log, env=host.env, user=user.pw_uid, group=RUN_AS,
                                        extra_groups=[])
    wait_for(host.ring_path.exists, host.log)
    host.web.server[0] = (f"StekRing default file={host.ring_path} secret={host.secret_path} "
                          "generate=off poll=1s interval=4s lifetime=4s")
    host.web.start()
    return host


@dataclass
class Held:
    """A ticket, and how long it must open: as long as its key, or as itself where that is shorter."""
    session: object
    slot_end: float
    until: float
    crossed: bool = False  # has resumed after its slot


class Client:
    """One client of one server, in one version: takes a ticket under each key, and tries all that it
    holds again and again."""

    def __init__(self, name, server, version):
        self.name, self.server, self.version = name, server, version
        self.held, self.names = [], set()

    def step(self, keys):
        """keys: by name, all that the ring has had.  They are there two minutes before they are due."""
        began = time.time()
        reply = self.server.get(tls=self.version)
        assert reply.status == 200 and reply.tickets, f"{self.name}: no ticket"
        if reply.name not in self.names:
            key = keys.get(reply.name)
            assert key and key.opens(reply.session.ticket) is not None, f"{self.name}: not the ring's"
            end = began + 3 if self.name == "httpd" else key.decrypt_until
            self.held.append(Held(reply.session, key.encrypt_until, min(end, key.decrypt_until)))
            self.names.add(reply.name)
        for ticket in self.held:
            began = time.time()
            if began >= ticket.until:
                continue
            resumed = self.server.get(tls=self.version, session=ticket.session).resumed
            assert resumed or time.time() >= ticket.until, (
                f"{self.name}, TLS {self.version}: lost {ticket.until - began:.1f} s before its end")
            ticket.crossed |= resumed and began >= ticket.slot_end

    def rotations(self):
        return sum(ticket.crossed for ticket in self.held)


@pytest.mark.timeout(240)
def test_mixed_fleet_no_resumption_lost_over_five_rotations(fleet, folder, running, certs):
    host = fleet_host(fleet)
    nginx = Nginx(folder, certs, folder / "run" / "stek-nginx-www")
    nginx.pid = folder / "run" / "nginx.pid"
    haproxy = Haproxy(folder, certs, folder / "run" / "stek-haproxy-www" / "keys")
    haproxy.socket = folder / "run" / "haproxy" / "admin.sock"
    haproxy.socket.parent.mkdir(parents=True)
    # The keys first, then the programs that read them when they start.
    for unit in ("stek-nginx@.service", "stek-haproxy@.service"):
        running.append(Exporter(unit, folder, host.ring_path).start())
    for program in (nginx, haproxy):
        running.append(program.start())

    servers = {"httpd": host, "nginx": nginx, "haproxy": haproxy}
    clients = [Client(name, server, version) for name, server in servers.items() for version in VERSIONS]
    keys, restarted = {}, False

    def step():
        nonlocal restarted
        keys.update({key.name: key for key in host.ring().keys})
        for client in clients:
            client.step(keys)
        if not restarted and all(client.rotations() >= 2 for client in clients[2:]):
            for program in (nginx, haproxy):  # as an administrator would
                program.stop()
                program.start()
            restarted = True
        return (restarted and all(len(client.names) > ROTATIONS for client in clients)
                and all(client.rotations() >= ROTATIONS for client in clients[2:]))
    wait_for(step, lambda: f"rotations: {[client.rotations() for client in clients]}", 180, 0.05)
    # Tickets do not cross from one program to another, and end with their keys.
    for client in clients[2:]:
        session = client.server.get(tls=client.version).session
        assert client.server.get(tls=client.version, session=session).resumed
        for other in (server for name, server in servers.items() if name != client.name):
            reply = other.get(tls=client.version, session=session)
            assert not reply.resumed and reply.status == 200
        wait_for(lambda c=client: not c.server.get(tls=c.version, session=c.held[0].session).resumed,
                 "the first ticket to end")


def ask(path, command):
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(path))
        admin.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: admin.recv(8192), b"")).decode()


def held_keys(answer):
    return re.findall(r"^\d+\.\d+ (\S{108})$", answer, re.M)


@pytest.mark.timeout(120)
def test_mixed_fleet_haproxy_with_other_keys_is_set_right(fleet, folder, running, certs):
    """As after a reload that read the file just before or after a change."""
    host = fleet.host(fleet.store(), web=False, interval="1h", lifetime="1h").start()
    wait_for(host.ring_path.exists, host.log)
    haproxy = Haproxy(folder, certs, folder / "run" / "stek-haproxy-www" / "keys")
    haproxy.socket = folder / "run" / "haproxy" / "admin.sock"
    haproxy.socket.parent.mkdir(parents=True)
    exporter = Exporter("stek-haproxy@.service", folder, host.ring_path).start()
    running += [exporter, haproxy.start()]
    name = host.ring().current(time.time()).name
    wait_for(lambda: haproxy.get().name == name, exporter.log)
    keys = haproxy.keys.read_text().split()
    show = f"show tls-keys {haproxy.keys}"
    # The first time is about the exporter's start, the second about one that goes on.
    for _ in range(2):
        held = ask(haproxy.socket, f"set ssl tls-key {haproxy.keys} {keys[2]}; {show}")
        assert held_keys(held) == [keys[1], keys[2], keys[2]]
        wait_for(lambda: held_keys(ask(haproxy.socket, show)) == keys, exporter.log, 30)
        assert haproxy.get().name == name


def test_mixed_fleet_configuration_of_the_page_is_accepted(folder, certs):
    """nginx and HAProxy as fleet.md has them, on files that stekctl wrote."""
    ring = ["--ring", folder / "ring"]
    lib.run(*ring, "new")
    pem = folder / "pem"
    pem.write_bytes((certs / "server.crt").read_bytes() + (certs / "server.key").read_bytes())
    server = f"server {{ listen 127.0.0.1:1 ssl; ssl_certificate {pem}; ssl_certificate_key {pem}; }}"
    page = TOP / "docs" / "fleet.md"
    (folder / "run" / "haproxy").mkdir(parents=True)
    for language, out, command in (("nginx", "stek-nginx-www", ["nginx", "-t", "-q", "-c"]),
                                   ("haproxy", "stek-haproxy-www", ["haproxy", "-c", "-q", "-f"])):
        (_, block), = fenced(page, language)
        block = block.replace("/run/", f"{folder}/run/").replace("/etc/haproxy/www.pem", str(pem))
        if language == "nginx":
            block = f"pid {folder}/pid; events {{}}\n" + block.rstrip()[:-1] + f"    {server}\n}}\n"
        else:
            block += "    timeout client 9s\n    mode http\n"
            (folder / "run" / out).mkdir()
            out += "/keys"
        conf = folder / language
        conf.write_text(block)
        lib.run(*ring, "export", "--format", language, "--out", folder / "run" / out)
        done = subprocess.run([*command, conf], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), block
        # It does read them.
        for path in (folder / "run").rglob("keys" if language == "haproxy" else "*.key"):
            path.write_text("x")
        assert subprocess.run([*command, conf], capture_output=True).returncode != 0


def verify(path):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], capture_output=True,
                          text=True)
    return done.returncode, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_unit_verified_by_systemd(unit, tmp_path):
    instance = tmp_path / unit.name.replace("@", "@www")
    instance.write_text(unit.read_text().replace("/usr/sbin/stekctl", BINARY))
    assert verify(instance) == (0, "")
    instance.write_text(instance.read_text().replace("UMask=", "Umask="))
    assert "Umask" in verify(instance)[1]
