# SPDX-License-Identifier: Apache-2.0
"""The processes of stekctl sync: a worker that a hostile store takes over gets no file, no process and no memory; the
one with the secrets cannot be looked into; and all hosts find the server that a name stands for."""
import ctypes
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time

import pytest

import announcements
import fleet as lib
from etcd import Etcd
from fleet import Memcached, Redis, agree, pair_of
from httpd import RUN_AS, wait_for
from listener import Listener
from redis_kinds import SocketMemcached, SocketRedis

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h"}
PEAK = "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); " \
       "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"


class Flood(Listener):
    """Answers every call with a head, and then with bytes until nobody reads them."""

    def __init__(self, scheme, head, rest=b"x" * 65536):
        self.head, self.rest, self.sent = head, rest, 0
        super().__init__()
        self.url = f"{scheme}://127.0.0.1:{self.port}" + {"etcd": "/stek", "redis+sentinel": "/m"}.get(scheme, "")

    def _serve(self, sock):
        try:
            words = sock.recv(65536).split()
            name = next((word for word in words if word.startswith(b"stek:")), b"x")
            sock.sendall(self.head.replace(b"NAME", name))
            while self.rest:
                self.sent += sock.send(self.rest)
        except OSError:
            pass
        finally:
            sock.close()


@pytest.mark.parametrize("scheme,head,why", [
    ("memcached", b"VALUE NAME 0 2147483648 1\r\n", "announces an object of 2147483648 bytes, which is too large"),
    ("memcached", b"VALUE NAME 0 18446744073709551616 1\r\n", "announces an object of "),
    ("memcached", b"VALUE NAME 0 -1 1\r\n", "unintelligible answer"),
    ("memcached", b"VALUE NAME 0 67108864 1\r\n", "announces an object of 67108864 bytes"),
    ("memcached", b"VALUE NAME 0 4000000 1\r\n", "unintelligible answer"),
    ("memcached", b"VALUE NAME 0 4 1\r\nring\r\nVALUE NAME 0 2147483648 1\r\n", "its answer is longer than 4 MiB"),
    ("memcached", b"VALUE NAME 0 " + b"9" * 3000, "unintelligible answer"),
    ("memcached", b"", "unintelligible answer"),
    ("redis", b"$2147483648\r\n", "announces an object of 2147483648 bytes, which is too large"),
    ("redis", b"$-2\r\n", "unintelligible answer"),
    ("redis", b"$67108864\r\n", "announces an object of 67108864 bytes"),
    ("redis", b"$4000000\r\n", "unintelligible answer"),
    ("redis", b"+OK\r\n*2000000000\r\n", "unintelligible answer"),
    ("redis", b"*2000000000\r\n", "unintelligible answer"),
    ("redis", b"*1\r\n" * 100000, "unintelligible answer"),
    ("redis", b"+", "its answer is longer than 4 MiB, so it is not a ring"),
    ("redis", b"%2147483647\r\n", "unintelligible answer"),
    ("etcd", b"HTTP/1.1 200 OK\r\nContent-Length: 2147483648\r\n\r\n", "larger than 32 MiB"),
    ("etcd", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n", "larger than 32 MiB"),
    ("etcd", b"HTTP/1.1 200 OK\r\nX: ", "takes more memory than a ring"),
    ("etcd", b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n" + b"[" * 600000, "unintelligible answer"),
    ("redis+sentinel", b"*2\r\n$9\r\n127.0.0.1\r\n$2147483648\r\n", "its answer is longer than 4 MiB"),
    ("redis+sentinel", b"*2\r\n*2147483647\r\n", ""),
    ("redis+sentinel", b"*65\r\n", "unintelligible answer"),
], ids=range(24))
def test_worker_flood_takes_no_memory(fleet, scheme, head, why):
    flood = Flood(scheme, head)
    host = fleet.host(flood.url, timeout="20s", every="2min", **HOURLY)
    done = subprocess.run([sys.executable, "-c", PEAK, lib.STEKCTL, *map(str, host.arguments("--once"))],
                          capture_output=True, text=True, timeout=90)
    assert done.returncode == 5, done.stderr
    assert int(re.search(r"peak (\d+)", done.stdout).group(1)) < 32 * 1024, "kB"
    if why:
        assert why in done.stderr, done.stderr
    assert host.ring().current(time.time())
    flood.listener.close()


def test_worker_object_too_long_is_replaced(fleet):
    """What somebody has put there by mistake, up to what a server takes."""
    for kind, size in ((Memcached, 600_000), (Memcached, 1_000_000), (Redis, 600_000), (Redis, 3_000_000)):
        store = fleet.store(kind)
        host = fleet.host(store, **HOURLY)
        assert store.put(lib.object_name(fleet.secret), b"x" * size)
        assert "its object is unusable" in host.once(code=5).stderr
        assert host.once().stderr == ""
        assert store.ring(fleet.secret).keys == host.ring().keys


def test_worker_object_far_too_long_is_refused_by_name(fleet):
    """Real servers that hold one: it is not read, and once it is deleted all is well."""
    for store in (fleet.store(Memcached, "-I", "64m", "-m", "256"), fleet.store(Redis)):
        host = fleet.host(store, **HOURLY)
        assert store.put(lib.object_name(fleet.secret), b"x" * 20_000_000)
        assert "it announces an object of 20000000 bytes, which is too large to be a ring; delete it" in host.once(code=5).stderr
        store.flush()
        assert host.once().stderr == "" and store.ring(fleet.secret).keys == host.ring().keys


# ---- what they may do ----

def workers(process):
    """The processes that this sync has."""
    found = []
    for path in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{path}/stat") as file:
                if int(file.read().rpartition(")")[2].split()[1]) == process.pid:
                    found.append(path)
        except OSError:
            pass
    return found


def fields(pid, name="status"):
    with open(f"/proc/{pid}/{name}") as file:
        return dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)


def confinement():
    return re.search("^store workers confined by: (.*)$", lib.run("--version").stdout, re.M).group(1)


def started(fleet, kind=Memcached, **options):
    store = fleet.store(kind)
    host = fleet.host(store, **HOURLY, **options)
    host.start(web=False)
    wait_for(lambda: host.ring_path.exists() and workers(host.process), host.log)
    return store, host, workers(host.process)[0]


@pytest.mark.parametrize("kind", [Memcached, Redis, Etcd, SocketMemcached, SocketRedis],
                         ids=["memcached", "redis", "etcd", "memcached+unix", "redis+unix"])
def test_worker_is_confined_once_it_is_connected(fleet, kind):
    assert confinement() == "seccomp, Landlock", "this build"
    _, host, worker = started(fleet, kind)
    status = fields(worker)
    assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    with open(f"/proc/{worker}/limits") as file:
        limits = file.read()
    assert re.search(r"^Max open files +4 +4 ", limits, re.M), limits
    room = int(re.search(r"^Max address space +(\d+) ", limits, re.M).group(1))
    assert room < 64 * 1024 * 1024
    assert fields(host.process.pid)["NoNewPrivs"].strip() == "1"
    assert "runs without" not in host.log()


# What a worker does when somebody else has taken it over.
ATTACKS = {
    "open the fleet secret": ("openat", "-100", '(long)"{secret}"', "0"),
    "make a file": ("openat", "-100", '(long)"{root}/new"', "0101", "0600"),
    "open a directory": ("openat", "-100", '(long)"/"', "0"),
    "open the memory of sync": ("openat", "-100", '(long)"/proc/{sync}/mem"', "2"),
    "read the memory of sync": ("process_vm_readv", "{sync}", "$sp", "1", "$sp", "1", "0"),
    "trace sync": ("ptrace", "16", "{sync}", "0", "0"),
    "kill sync": ("kill", "{sync}", "15"),
    "get a descriptor of sync": ("pidfd_open", "{sync}", "0"),
    "fork": ("clone", "17", "0", "0", "0", "0"),
    "execute": ("execve", '(long)"/bin/true"', "0", "0"),
    "connect elsewhere": ("socket", "2", "1", "0"),
    "delete": ("unlinkat", "-100", '(long)"{secret}"', "0"),
    "map executable memory": ("mmap", "0", "4096", "7", "0x22", "-1", "0"),
    "be dumpable again": ("prctl", "4", "1", "0", "0", "0"),
    "raise its limits": ("prlimit64", "0", "7", "$sp", "0"),
}


def call_numbers():
    names = sorted({attack[0] for attack in ATTACKS.values()})
    text = "#include <sys/syscall.h>\n" + "\n".join(f"NUMBER SYS_{name}" for name in names)
    done = subprocess.run(["cc", "-E", "-P", "-"], input=text, capture_output=True, text=True, check=True)
    return dict(zip(names, re.findall(r"^NUMBER (\d+)$", done.stdout, re.M), strict=True))


@pytest.mark.timeout(120)
def test_worker_that_was_taken_over_can_do_nothing(fleet):
    """A debugger makes the calls in its place."""
    # A worker that is held and does not answer in time would be replaced meanwhile.
    store, host, worker = started(fleet, every="2min", timeout="10s")
    wait_for(lambda: host.name in announcements.read(store, fleet.secret), "the cycle's end")
    names = {"secret": host.fleet_secret, "root": host.root, "sync": host.process.pid}
    numbers, commands = call_numbers(), ["set confirm off"]
    for name, *words in ATTACKS.values():
        arguments = ", ".join([numbers[name], *[word.format(**names) for word in words], *["0"] * (6 - len(words))])
        commands += [f"print ((long (*)(long, long, long, long, long, long, long))syscall)({arguments})",
                     "print *((int *(*)(void))__errno_location)()"]
    done = subprocess.run(["gdb", "-nx", "-batch", "-p", str(worker), *[w for c in commands for w in ("-ex", c)]],
                          capture_output=True, text=True, timeout=100)
    results = re.findall(r"^\$\d+ = (-?\d+)$", done.stdout, re.M)
    assert len(results) == 2 * len(ATTACKS), done.stdout + done.stderr
    for n, attack in enumerate(ATTACKS):
        result, error = map(int, results[2 * n:2 * n + 2])
        # No permission, or no room for a descriptor.
        assert result == -1 and error in (1, 13, 24), f"{attack}: {result}, {error}"
    wait_for(lambda: host.process.poll() is None and host.once().stderr == "", "sync to go on")
    assert host.fleet_secret.exists() and not (host.root / "new").exists()


def forbid_confinement():
    """What some container's own filter does: no seccomp(), no prctl(PR_SET_SECCOMP), no Landlock."""
    names = ("seccomp", "landlock_create_ruleset", "prctl")
    text = "#include <sys/syscall.h>\n" + "\n".join(f"NUMBER SYS_{name}" for name in names)
    done = subprocess.run(["cc", "-E", "-P", "-"], input=text, capture_output=True, text=True, check=True)
    seccomp, landlock, prctl = map(int, re.findall(r"^NUMBER (\d+)$", done.stdout, re.M))
    load, equal, reply = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 0), (equal, 5, 0, seccomp), (equal, 4, 0, landlock), (equal, 0, 2, prctl),
               (load, 0, 0, 16), (equal, 1, 0, 22), (reply, 0, 0, 0x7fff0000), (reply, 0, 0, 0x00050001)]
    code = b"".join(struct.pack("HBBI", *line) for line in program)

    def apply():
        libc, buffer = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(code)
        filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer)))
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter_, 0, 0) == 0

    return apply


def test_worker_where_nothing_confines_it_works_and_that_is_said(fleet):
    host = fleet.host(fleet.store(), **HOURLY)
    done = subprocess.run([lib.STEKCTL, *map(str, host.arguments("--once"))], preexec_fn=forbid_confinement(),
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{host.urls[0]}: the process that talks to it runs without seccomp and Landlock" in done.stderr
    assert host.ring().current(time.time())


SPY = """
import ctypes, os, sys
pid = int(sys.argv[1])
for name in "mem", "maps", "environ", "fd", "root", "exe":
    try:
        path = f"/proc/{pid}/{name}"
        print(name, os.listdir(path) if name == "fd" else os.readlink(path) if name in ("root", "exe") else
              len(open(path, "rb", buffering=0).read(1)) >= 0)
    except OSError as error:
        if name == "mem" and error.errno == 5:
            print(name, "opened")
if ctypes.CDLL(None).ptrace(16, pid, 0, 0) == 0:
    print("ptrace")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_sync_and_worker_cannot_be_looked_into_by_their_own_user(fleet):
    store = fleet.store()
    host = fleet.host(store, **HOURLY)
    for path in [host.root, *host.root.rglob("*")]:
        shutil.chown(path, RUN_AS, RUN_AS)
    secrets = host.secret_path
    with open(host.log_path, "ab") as log:
        host.process = subprocess.Popen([lib.STEKCTL, *map(str, host.arguments())], user=RUN_AS, group=RUN_AS,
                                        extra_groups=[], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    wait_for(lambda: secrets.exists() and host.ring_path.exists() and workers(host.process), host.log)
    for pid in (host.process.pid, workers(host.process)[0]):
        assert fields(pid)["Uid"].split()[0] != "0"
        done = subprocess.run([sys.executable, "-c", SPY, str(pid)], user=RUN_AS, group=RUN_AS, extra_groups=[],
                              capture_output=True, text=True, check=True, cwd="/")
        assert done.stdout == "", done.stdout
    with open(f"/proc/{host.process.pid}/limits") as file:
        assert re.search(r"^Max core file size +0 +0 ", file.read(), re.M)


# ---- names with several servers ----

class Names:
    """A host that has an /etc/hosts of its own."""

    def __init__(self, host, *addresses):
        self.host, self.path = host, host.root / "hosts"
        self.set(*addresses)
        script = f"mount --bind {self.path} /etc/hosts && exec \"$@\""
        with open(host.log_path, "ab") as log:
            host.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", lib.STEKCTL,
                 *map(str, host.arguments())], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=host.env)
        wait_for(host.ring_path.exists, host.log, 20)

    def set(self, *addresses):
        self.path.write_text("".join(f"{address} store.test\n" for address in ("127.0.0.1 localhost", *addresses)))


@pytest.fixture
def pair(fleet):
    return pair_of(fleet, Memcached, "127.0.0.11", "127.0.0.12")


def named(fleet, pair, *addresses):
    return Names(fleet.host(f"memcached://store.test:{pair[0].port}", timeout="3s", **HOURLY), *addresses)


def keys_in(server, fleet):
    ring = server.ring(fleet.secret)
    return ring and ring.keys


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts an /etc/hosts")
@pytest.mark.timeout(90)
def test_name_with_two_servers_all_hosts_use_the_same(fleet, pair):
    """Whatever the order in which the resolver gives them; from the first to the second and back."""
    one = named(fleet, pair, "127.0.0.11", "127.0.0.12").host
    two = named(fleet, pair, "127.0.0.12", "127.0.0.11").host
    wait_for(lambda: agree([one, two]), "the hosts to agree")
    assert keys_in(pair[0], fleet) == one.ring().keys and keys_in(pair[1], fleet) is None
    pair[0].kill()
    wait_for(lambda: keys_in(pair[1], fleet) == one.ring().keys, "the second server to take over")
    lib.run("--ring", two.ring_path, "revoke", "--all")
    wait_for(lambda: agree([one, two]) and keys_in(pair[1], fleet) == one.ring().keys, "the revocation")
    pair[0].start()
    wait_for(lambda: keys_in(pair[0], fleet) == one.ring().keys, "the first server to be used again", 30)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts an /etc/hosts")
@pytest.mark.timeout(90)
def test_name_that_moves_while_the_old_server_answers_is_followed(fleet, pair):
    """A failover by DNS: hosts that were connected before and hosts that came later agree, and silently split ones
    come together."""
    old = [named(fleet, pair, "127.0.0.11") for _ in range(2)]
    new = named(fleet, pair, "127.0.0.12").host
    hosts = [name.host for name in old]
    wait_for(lambda: agree(hosts), "the hosts to agree")
    assert not new.names() & hosts[0].names(), "not split"
    for name in old:
        name.set("127.0.0.12")
    wait_for(lambda: agree([*hosts, new]), "all to agree", 30)
    lib.run("--ring", new.ring_path, "revoke", "--all")
    wait_for(lambda: agree([*hosts, new]) and keys_in(pair[1], fleet) == new.ring().keys, "the revocation")


@pytest.mark.timeout(60)
def test_store_that_restarts_costs_no_cycle(fleet):
    """The connection from before is lost, and another is made in the same cycle."""
    store, host, worker = started(fleet)
    store.kill()
    store.start()
    wait_for(lambda: set(workers(host.process)) - {worker}, "another worker", 20)
    assert ": silent: " not in host.log() or "connection refused" in host.log()
    wait_for(lambda: keys_in(store, fleet) == host.ring().keys, "the store to be refilled")


def test_worker_no_answer_is_in_the_json(fleet):
    host = fleet.host("memcached://store.invalid", **HOURLY)
    host.once(code=5)
    shown = json.loads(lib.run(*host.arguments("--status", "--json"), code=1).stdout)["stores"][0]
    assert shown["answer"] == "silent" and "name" in shown["why"]
