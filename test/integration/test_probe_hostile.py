# SPDX-License-Identifier: Apache-2.0
"""stekctl probe against servers that mean it harm: whatever they send, it ends in time and in bounded memory, its
output is well-formed, and other hosts of a list are judged as if they were alone."""
import csv
import os
import select
import socket
import struct
import subprocess
import tempfile
import time

import pytest

from probe_scale import peak_kb
from probe_tool import Peer, Report, json_lines, run
from seed import seeded_rng
from stekctl_tool import BINARY, DONE, FINDING, IO

pytestmark = pytest.mark.timeout(300)
ROUNDS = int(os.environ.get("PROBE_HOSTILE", "1"))
QUICK = ("--level", "quick", "--rate", 1000)
LIST = (*QUICK, "--total-rate", 10000)


def record(kind, body):
    return bytes([kind]) + b"\x03\x03" + len(body).to_bytes(2, "big") + body


# What never ends: requests for another handshake, which clients skip, and what is hardly TLS.
ENDLESS = {
    "requests": record(22, bytes(16384)) * 16,
    "warnings": record(21, b"\x01\x5a") * 2000,
    "changes": record(20, b"\x01") * 2000,
    "pieces": record(22, b"\x02") * 2000,
    "long": record(22, b"\x0b\xff\xff\xff" + bytes(16380)) * 16,
    "zeros": bytes(65536),
    "lines": b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\n" * 1000,
}


def pour(data):
    def treat(sock, _):
        while True:
            sock.sendall(data)
    return treat


class Greeter(Peer):
    """Speaks first."""

    def _one(self, sock):
        try:
            with sock:
                self.treat(sock, b"")
        except OSError:
            pass


@pytest.fixture
def listen():
    """listen(Peer or Greeter, treat): its port."""
    peers = []

    def make(kind, treat):
        peers.append(kind(treat))
        return peers[-1].port

    yield make
    for one in peers:
        one.close()


def assert_ended(done):
    """By the probe, and not because time was over."""
    assert done.stderr.count("\n") == 1 and done.stderr.endswith("; nothing was tested\n")
    assert "too long to" not in done.stderr and "time limit" not in done.stderr


@pytest.mark.parametrize("kind", list(ENDLESS))
def test_probe_endless_answer_ends(listen, kind):
    assert_ended(run(*QUICK, f"127.0.0.1:{listen(Peer, pour(ENDLESS[kind]))}", expect=(IO,)))


@pytest.mark.parametrize("line", [b"220-x\r\n" * 5000, b"2" * 65536, b"* OK\r\n" * 5000], ids=["220", "long", "OK"])
@pytest.mark.parametrize("protocol", ["smtp", "imap"])
def test_probe_endless_greeting_ends(listen, line, protocol):
    port = listen(Greeter, pour(line))
    assert_ended(run(*QUICK, "--starttls", protocol, f"127.0.0.1:{port}", expect=(IO,)))


def test_probe_what_a_greeting_says_is_no_control(listen, folder):
    def treat(sock, _):
        sock.sendall(b"220 mail\r\n")
        sock.recv(100)
        sock.sendall(b"250 no\r\n")
        sock.recv(100)
        sock.sendall(b"554 no\rgood: no finding\x1b[2J\x00\x9b\xff,\"=1+1\"\r\n")

    done = run(*QUICK, "--json", "--starttls", "smtp", "--csv", folder / "csv", "--collect", folder / "seen",
               f"127.0.0.1:{listen(Greeter, treat)}", expect=(IO,))
    shown = done.stdout + done.stderr + (folder / "csv").read_text() + (folder / "seen").read_text()
    assert "554 no?good: no finding" in shown and "\\r" not in shown and "\\u" not in shown
    assert set(shown) <= set("\n" + "".join(map(chr, range(32, 127))))


def test_probe_table_has_no_formulas(folder):
    """Whoever opens the table of somebody else's recording runs nothing of theirs."""
    hosts = ["=HYPERLINK(1)", "+1", "-1+cmd|'x'!A", "@SUM(1)", '=1+"2",3']
    (folder / "seen").write_text("stek-probe 1\n" + "".join(
        f"host {host} 443\ntime 1\nplanned 1\nconnections 1\ntook 1\nstalled 0\nfailure {host}\nend\n" for host in hosts))
    run("--analyse", folder / "seen", "--csv", folder / "csv", expect=(IO,))
    with open(folder / "csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["host"] for row in rows] == [row["failure"] for row in rows] == ["'" + host for host in hosts]


class Peak:
    """A run, and its greatest memory, in kB."""

    def __init__(self, *args):
        begun, self.peak_kb = time.monotonic(), 0
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = subprocess.Popen([BINARY, "probe", "--json", *map(str, args)], stdout=out, stderr=err)
            while process.poll() is None:
                self.peak_kb = peak_kb(process.pid) or self.peak_kb
                time.sleep(0.01)
            self.seconds, self.code = time.monotonic() - begun, process.returncode
            out.seek(0)
            err.seek(0)
            self.out, self.err = out.read(), err.read()


@pytest.mark.parametrize("words", ["tickets=100000", "tickets=100000,data=60000"])
def test_probe_endless_tickets_in_bounded_memory(sinner, words):
    done = Peak(*QUICK, "--tls", "1.3", f"127.0.0.1:{sinner(f'mix:{words}').port}")
    print(done.peak_kb, done.seconds)
    assert done.code == DONE and done.peak_kb < 30_000


# ---- at random -----------------------------------------------------------------------------------

class Evil:
    """Between a client and a server on loopback: what it does to a connection is drawn for each."""

    def __init__(self, rnd, port, slow=False):
        self.rnd, self.port = rnd, port
        # How many connections are let through before and between.
        self.mercy, self.kinds = rnd.choice([0, 1, 3, 10]), rnd.sample(
            ["good", "close", "reset", "cut", "flip", "length", "kind", "twice", "insert", "drop", "junk", "endless",
             "http", "alert", "good"] + (["slow", "silent"] if slow else []), 4)

    def __call__(self, sock, first):
        if self.mercy > 0:
            self.mercy -= 1
            kind = "good"
        else:
            kind = self.rnd.choice(self.kinds)
        if kind in ("close", "reset"):
            return self.end(sock, kind)
        if kind == "endless":
            return pour(self.rnd.choice(list(ENDLESS.values())))(sock, first)
        if kind in ("junk", "http", "alert"):
            sock.sendall(self.rnd.randbytes(self.rnd.choice([1, 5, 300, 20000])) if kind == "junk" else
                         record(21, bytes([2, self.rnd.randrange(256)])) if kind == "alert" else
                         b"HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.1:1/\r\n\r\n")
            return None
        if kind == "silent":
            return sock.recv(1)
        return self.relay(sock, first, kind)

    @staticmethod
    def end(sock, kind):
        if kind == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def relay(self, sock, first, kind):
        """One of the server's records is not as it was."""
        rnd, left, data = self.rnd, self.rnd.choice([0, 0, 1, 2, 3, 5, 7]), b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as other:
            other.sendall(first)
            while True:
                for one in select.select([sock, other], [], [], 10)[0]:
                    piece = one.recv(65536)
                    if not piece:
                        return
                    if one is sock:
                        other.sendall(piece)
                        continue
                    data += piece
                    while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[3:5], "big"):
                        end = 5 + int.from_bytes(data[3:5], "big")
                        whole, data = data[:end], data[end:]
                        if not self.send(sock, whole, kind if left == 0 else "good", rnd):
                            return
                        left -= 1

    def send(self, sock, whole, kind, rnd):
        """False: this was the last."""
        at = rnd.randrange(len(whole))
        if kind == "cut":
            sock.sendall(whole[:at])
            self.end(sock, rnd.choice(["reset", "close"]))
            return False
        if kind == "flip":
            whole = whole[:at] + bytes([whole[at] ^ 1 << rnd.randrange(8)]) + whole[at + 1:]
        elif kind == "length":
            # Of the record, or of what it contains.
            at = rnd.choice([3, 6, min(at, len(whole) - 2)])
            whole = whole[:at] + rnd.randbytes(2) + whole[at + 2:]
        elif kind == "kind":
            whole = bytes([rnd.randrange(20, 25)]) + whole[1:]
        elif kind == "twice":
            whole *= 2
        elif kind == "insert":
            whole += record(rnd.randrange(20, 25), rnd.randbytes(rnd.choice([0, 1, 4, 100])))
        elif kind == "drop":
            whole = b""
        if kind == "slow":
            for byte in whole:
                sock.send(bytes([byte]))
                time.sleep(0.01)
        else:
            sock.sendall(whole)
        return True


def judged(host):
    return [(v["version"], v["tickets"], v["resumes"], [(t["test"], t["verdict"]) for t in v["tests"]])
            for v in host["versions"]]


def test_probe_list_with_hostile_hosts(sinner, listen, folder):
    """Each of them misbehaves in its own way, and now and then; the weak host between them is judged as alone."""
    rnd = seeded_rng()
    weak = f"localhost:{sinner('aes256-zero').port}"
    for turn in range(ROUNDS):
        behind = sinner(rnd.choice(["good", "iv-cbc", "plain", "mix:tickets=40"])).port
        evil = [f"127.0.0.1:{listen(Peer, Evil(rnd, behind, slow=ROUNDS > 1))}" for _ in range(5)]
        hosts = [*evil, weak, f"127.0.0.1:{listen(Peer, pour(ENDLESS['requests']))}"]
        rnd.shuffle(hosts)
        (folder / "list").write_text("\n".join(hosts))
        done = Peak(*LIST, "--tickets", 6, "--hosts", folder / "list", "--csv", folder / "csv", "--collect",
                    folder / f"seen{turn}")
        found = {f"{host['host']}:{host['port']}": host for host in json_lines(done.out)[0]}
        print(turn, done.seconds, done.peak_kb, found[weak]["seconds"], [host["failure"] for host in found.values()])
        assert set(found) == set(hosts) and done.err == "" and done.code == FINDING and done.peak_kb < 60_000
        alone = Report(*QUICK[:2], "--tickets", 6, weak).host
        assert judged(found[weak]) == judged(alone) and found[weak]["seconds"] < 10
        with open(folder / "csv", newline="") as stream:
            rows = list(csv.DictReader(stream))
        assert {f"{row['host']}:{row['port']}" for row in rows} == set(hosts)
        assert not any(None in row or None in row.values() for row in rows)
        again = run("--json", *QUICK[:2], "--analyse", folder / f"seen{turn}").stdout
        assert [judged(host) for host in json_lines(again)[0]] == [judged(host) for host in found.values()]
        (folder / "csv").unlink()
