# SPDX-License-Identifier: Apache-2.0
"""stekctl probe --hosts at scale: servers of their own, near or far, and what a run over many hosts costs.

"make probe-scale" (HOSTS=1000 RTT=200 DEAD=0) prints it: DEAD hosts are there besides, which are closed or hang up
at once.  The seconds need a quiet machine; the CPU seconds are those of the probe alone."""
import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from httpd import free_port, make_folder
from probe_tool import HERE, ProbedNginx
from stekctl_tool import BINARY, Program


class Everywhere(ProbedNginx):
    """nginx on every address of 127.0.0.0/8, for many clients at a time."""

    def __init__(self, root, certs):
        self.any_port = free_port()
        super().__init__(root, certs, f"listen 0.0.0.0:{self.any_port} ssl backlog=4096; keepalive_timeout 0;")

    def command(self):
        command = super().command()
        conf = Path(command[2])
        conf.write_text(conf.read_text().replace("events { }", "worker_rlimit_nofile 20000; events "
                                                               "{ worker_connections 8000; }"))
        return command


class Far(Program):
    """A server on every address of 127.0.0.0/8: one that is a round trip away, or that hangs up (target 0)."""

    def __init__(self, root, certs, target, round_trip_ms=0):
        super().__init__(root, certs)
        self.target, self.round_trip_ms = target, round_trip_ms

    def command(self):
        binary = self.root.parent / "far"
        if not binary.exists():
            compiler = shutil.which(sysconfig.get_config_var("CC") or "cc") or "cc"
            subprocess.run([compiler, "-std=c11", "-D_GNU_SOURCE", "-O1", HERE / "far.c", "-o", binary], check=True)
        return [str(binary), str(self.port), str(self.target), str(self.round_trip_ms)]


def addresses(n, port):
    return [f"127.{9 + i // 62500}.{i // 250 % 250}.{i % 250 + 1}:{port}" for i in range(n)]


def dead(n, hangs_up_port):
    """Every other one is closed."""
    closed = free_port()
    return [host.replace(f":{closed}", f":{hangs_up_port}") if i % 2 else host
            for i, host in enumerate(addresses(n, closed))]


def peak_kb(pid):
    """Until now; 0: the process has ended.  Its resource usage would begin with what its parent had."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return max((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), default=0)
    except OSError:
        return 0


class Run:
    """One run over a list: what came, and what it cost."""

    def __init__(self, path, out, *args):
        self.out, began = Path(out), time.monotonic()
        with open(out, "w") as stream:
            self.process = subprocess.Popen([BINARY, "probe", "--json", *map(str, args), "--hosts", str(path)],
                                            stdout=stream)
        pid, status, usage = 0, 0, None
        self.peak_kb = 0
        while not pid:
            self.peak_kb = peak_kb(self.process.pid) or self.peak_kb
            time.sleep(0.02)
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        self.process.returncode = self.code = os.waitstatus_to_exitcode(status)
        self.seconds = time.monotonic() - began
        self.user_s, self.system_s = usage.ru_utime, usage.ru_stime

    def hosts(self):
        with open(self.out) as lines:
            for line in lines:
                value = json.loads(line)
                if "host" in value:  # the last line may be about groups of hosts
                    yield value

    def tell(self, what):
        hosts = list(self.hosts())
        tested = [host for host in hosts if not host["failure"]]
        cpu_s = self.user_s + self.system_s
        print(f"{what}: {len(hosts)} hosts, {len(tested)} tested, in {self.seconds:.1f} s; the probe's own CPU "
              f"{cpu_s:.1f} s ({self.user_s:.1f} user, {self.system_s:.1f} system), "
              f"{1000 * cpu_s / max(len(hosts), 1):.1f} ms a host; "
              f"{sum(host['connections'] for host in hosts)} connections; at most {self.peak_kb / 1024:.0f} MB; "
              f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def make_certs(folder):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "30", "-subj", "/CN=a.test", "-keyout", folder / "server.key", "-out",
                    folder / "server.crt"], check=True, capture_output=True)
    return folder


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--hosts", type=int, default=1000)
    words.add_argument("--rtt", type=int, default=200, help="milliseconds")
    words.add_argument("--dead", type=int, default=0, help="hosts besides, which are closed or hang up at once")
    words.add_argument("--level", default="quick")
    given = words.parse_args()
    folder, servers = make_folder(), []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        certs = make_certs(Path(tempfile.mkdtemp(dir=folder)))
        servers.append(Everywhere(folder, certs).start())
        servers.append(Far(folder, certs, servers[0].any_port, given.rtt).start())
        servers.append(Far(folder, certs, 0).start())
        for far, port in ((0, servers[0].any_port), (given.rtt, servers[1].port)):
            hosts = addresses(given.hosts, port) + dead(given.dead, servers[2].port)
            random.Random(1).shuffle(hosts)
            (folder / "list").write_text("".join(f"{host}\n" for host in hosts))
            Run(folder / "list", folder / "json", "--level", given.level, "--rate", 1000, "--total-rate",
                100000).tell(f"level {given.level}, {far} ms away" if far else f"level {given.level}, near")
            if not given.rtt:
                break
    finally:
        for server in reversed(servers):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
