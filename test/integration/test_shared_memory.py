# SPDX-License-Identifier: Apache-2.0
"""S10: what a child can write harms neither the parent nor the other children.  A child's memory is written
to from outside, where it shares it with the parent, while the parent looks at its rings, reloads, and children
make handshakes and tell the status.  make soak-shared takes 1,000 rounds of each MPM."""
import contextlib
import ctypes
import http.client
import json
import os
import pwd
import re
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import exposition
import httpd as harness
from checks import VERSIONS
from faults import Control
from handshakes import STATUS
from httpd import Vhost, free_port, wait_for
from seed import seeded_rng
from test_files import descriptors
from test_status import Strict

ROUNDS = int(os.environ.get("STEK_SHARED_ROUNDS", "0")) or 25
EXTREMES = [0, 1, (1 << 64) - 1, 0x7fffffff7fffffff, 0x8000000080000000, (1 << 63) - 1, 1 << 63,
            0x00000400ffffffff]
EXTREME_WORDS = [struct.pack("=Q", word) for word in EXTREMES]
TICK = 12  # of the parent's pauses: after each tenth comes the monitor hook
SYS_PIDFD_OPEN, SYS_PIDFD_GETFD = 434, 438


def shared(pid):
    """(address, length, name) of what the process shares with others and can write; none if it ends."""
    found = []
    try:
        with open(f"/proc/{pid}/maps") as file:
            text = file.read()
    except OSError:
        return []
    for line in text.splitlines():
        span, flags, _offset, _device, _inode, *name = line.split(maxsplit=5)
        if flags[1] == "w" and flags[3] == "s":
            start, end = (int(part, 16) for part in span.split("-"))
            found.append((start, end - start, "".join(name).strip()))
    return found


def pattern(chance, length, word=None):
    """That word; or random bytes, one extreme, a mixture of extremes, or of extremes and random words."""
    words, way = length // 8, chance.randrange(4)
    if word is not None:
        return struct.pack("=Q", word) * words
    if way == 0:
        return chance.randbytes(length)
    if way == 1:
        return chance.choice(EXTREME_WORDS) * words
    if way == 2:
        return b"".join(chance.choices(EXTREME_WORDS, k=words))
    return b"".join(chance.choice(EXTREME_WORDS) if chance.random() < 0.5 else chance.randbytes(8)
                    for _ in range(words))


class Scribbled:
    """A server with a ring in a file and one in memory, whose parent ticks many times a second."""

    def __init__(self, httpd, library, folder, mpm):
        self.chance = seeded_rng()
        self.control, self.status_port = Control(library, folder / "control"), free_port()
        times = "interval=1s lifetime=20s poll=1s"
        # The scoreboard is httpd's own, and in a file told apart from what is the module's.
        self.server = server = httpd(
            mpm=mpm, processes=2, modules=["status"],
            server=[f"StekRing default {times}", f"StekRing other file=memory {times}",
                    "ScoreBoardFile run/scoreboard", "Mutex flock default",
                    "<Location /server-status>", "SetHandler server-status", "Require all granted",
                    "</Location>"],
            vhosts=[Vhost("a.test"), Vhost("b.test", ["StekUseRing other"]),
                    Vhost("status.test", STATUS, port=self.status_port, tls=False)],
            env={"STEK_FAULT_CONTROL": str(folder / "control")})
        server.env["LD_PRELOAD"] = " ".join(
            filter(None, [os.environ.get("STEK_HTTPD_PRELOAD"), str(library)]))
        # Reloads follow each other, on a busy machine, faster than children end.
        server.expect("AH00045", "AH00546")
        server.start()
        self.control.set(quick=1)
        wait_for(lambda: self.control.get("parent") == server.pid, "the library in httpd's parent")
        self.spans = self.find_spans()
        self.generation = server.ring().generation

    def find_spans(self):
        """The module's, of which the parent and each child have the same."""
        spans = [span for span in shared(self.server.pid) if span[2] == "/dev/zero (deleted)"]
        others = [name for _at, _len, name in shared(self.server.pid) if "zero" not in name]
        # By APR's configuration the scoreboard is a file or a segment of shared memory.
        assert all(re.search(r"/(scoreboard|control|ShM\.\w+)$", name) for name in others), others
        assert len(spans) >= 3, "claims, and the counters of two rings"
        children = [found for found in map(shared, self.server.children()) if found]
        assert children and all(set(spans) <= set(found) for found in children)
        return spans

    # a round ------------------------------------------------------------------------------------
    def scribble(self, word=None):
        def write():
            try:
                with open(f"/proc/{self.chance.choice(self.server.children())}/mem", "r+b",
                          buffering=0) as memory:
                    for at, length, _name in self.spans:
                        memory.seek(at)
                        if memory.write(pattern(self.chance, length, word)) < length:
                            return False  # it is just ending
                    return True
            except OSError:  # it has just ended
                return False
        wait_for(write, "a child that scribbles")

    @contextlib.contextmanager
    def scribbling(self):
        """Without a pause, while the parent and the children read."""
        done = threading.Event()

        def write():
            while not done.is_set():
                self.scribble()
        with ThreadPoolExecutor(1) as pool:
            writer = pool.submit(write)
            try:
                yield
            finally:
                done.set()
            writer.result(60)

    def tick(self):
        before = self.control.get("pauses")
        wait_for(lambda: self.control.get("pauses") >= before + TICK or not self.server.alive(),
                 "the parent's monitor hook", 30)
        assert self.server.alive(), self.server.tail(5)

    def ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.status_port, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": "status.test"})
            reply = connection.getresponse()
            body = reply.read().decode()
            assert reply.status == 200, body
            return body
        finally:
            connection.close()

    def tell(self):
        """Each form is well formed, and of the health that is seen nothing comes from there."""
        page = Strict(self.ask("/stek-status"))
        assert not page.faults, page.faults
        assert "All rings are healthy" in " ".join(page.text)
        told = json.loads(self.ask("/stek-status?format=json"))
        assert told["healthy"], told["reasons"]
        assert not (faults := exposition.faults(self.ask("/stek-status?format=prometheus"))), faults
        assert "StekHealthy: 1" in self.ask("/server-status?auto")
        assert "<td>default</td><td>healthy" in self.ask("/server-status")

    def shake_hands(self):
        for host in ("a.test", "b.test"):
            version = self.chance.choice(VERSIONS)
            first = self.server.get(host, tls=version)
            assert first.status == 200 and first.tickets
            assert self.server.get(host, tls=version, session=first.session).resumed

    def round(self, number):
        self.scribble(EXTREMES[3] if number == 0 else None)
        if number % 5 == 4:
            with self.scribbling():
                self.tick()
                self.shake_hands()
        self.tick()
        self.tell()
        if number % 5 == 0:
            self.shake_hands()
        if number % 10 == 7:
            self.scribble()
            self.server.graceful(drain=False)
            assert self.find_spans() == self.spans, "what is shared has been kept"

    def run(self, rounds):
        pid = self.server.pid
        for number in range(rounds):
            self.round(number)
            assert self.server.alive() and self.server.pid == pid
        self.shake_hands()
        wait_for(lambda: self.server.ring().generation > self.generation + rounds // 50,
                 "the parent to have written the ring", 20)


@pytest.fixture
def scribbled(httpd, library, tmp_path):
    return lambda mpm: Scribbled(httpd, library, tmp_path, mpm)


@pytest.mark.timeout(90 + 3 * ROUNDS)
def test_child_that_scribbles_over_shared_memory_harms_nobody(scribbled, mpm):
    scribbled(mpm).run(ROUNDS)


# ---- the descriptor of a ring in memory ----

# What a child can try with the descriptor that it has, as httpd's user; prints what worked.
ATTACK = """
import fcntl, mmap, os, sys
fd, user = int(sys.argv[1]), int(sys.argv[2])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
path = f"/proc/self/fd/{fd}"
F_ADD_SEALS, F_SETLEASE = 1033, 1024
tries = {
    "write": lambda: os.pwrite(fd, b"x", 0),
    "truncate": lambda: os.ftruncate(fd, 0),
    "truncate path": lambda: os.truncate(path, 0),
    "grow": lambda: os.posix_fallocate(fd, 0, 1 << 24),
    "map": lambda: mmap.mmap(fd, 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
    "mode": lambda: os.fchmod(fd, 0o666),
    "times": lambda: os.utime(fd, (0, 0)),
    "seals": lambda: fcntl.fcntl(fd, F_ADD_SEALS, 15),
    "lease": lambda: fcntl.fcntl(fd, F_SETLEASE, fcntl.F_RDLCK),
    "open": lambda: os.open(path, os.O_RDWR),
    "open to truncate": lambda: os.open(path, os.O_RDONLY | os.O_TRUNC),
    "write lock": lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
    # These can be done to what parent and children have in common, and must mean nothing.
    "flock": lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
    "seek": lambda: os.lseek(fd, 1 << 40, os.SEEK_SET),
}
for flag in ("O_NONBLOCK", "O_APPEND", "O_DIRECT", "O_ASYNC"):
    tries[flag] = lambda flag=flag: fcntl.fcntl(fd, fcntl.F_SETFL, getattr(os, flag))
for name, what in tries.items():
    try:
        what()
        print(name, flush=True)
    except OSError:
        pass
sys.stdin.read()
"""
HARMLESS = {"flock", "seek", "O_NONBLOCK", "O_APPEND", "O_DIRECT", "O_ASYNC"}


def borrowed(pid, target):
    """Our copy of a descriptor of that process: the same open file."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = next(fd for fd, name in descriptors(pid).items() if target in name)
    pidfd = libc.syscall(SYS_PIDFD_OPEN, pid, 0)
    fd = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(number), 0)
    assert pidfd >= 0 and fd >= 0, os.strerror(ctypes.get_errno())
    os.close(pidfd)
    return fd


def test_child_that_attacks_the_descriptor_of_a_ring_in_memory_changes_nothing(scribbled, mpm):
    served = scribbled(mpm)
    server, user = served.server, pwd.getpwnam(harness.RUN_AS).pw_uid
    fd = borrowed(server.children()[0], "memfd:stek-ring")
    try:
        before = os.fstat(fd)
        with subprocess.Popen([sys.executable, "-c", ATTACK, str(fd), str(user)], pass_fds=[fd], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attack:
            mark = server.mark()
            wait_for(lambda: len(server.lines("STEK2006: ring 'other'", mark)) > 2,
                     lambda: f"the parent to write on; {server.tail()}")
            server.graceful()
            served.tell()
            served.shake_hands()
            worked = set(attack.communicate(timeout=30)[0].split("\n")) - {""}
        assert "seek" in worked, "it tried nothing"
        # Where parent and children are one user, nothing can be kept from him.
        assert os.geteuid() != 0 or worked <= HARMLESS, worked - HARMLESS
        assert os.fstat(fd).st_size > 0 and os.fstat(fd).st_mode == before.st_mode
    finally:
        os.close(fd)
