# SPDX-License-Identifier: Apache-2.0
"""The machine, the versions, and what the kernel knows of processes: CPU time, memory, wake-ups."""
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from httpd import BINARY, TOP, descendants

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _first_line(*words):
    if not shutil.which(words[0]):
        return "none"
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "none"


def _field(path, name):
    with open(path) as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith(name)), "")


def describe():
    version = re.search(r'STEK_VERSION "(.*)"', (TOP / "include" / "stek_version.h").read_text())
    kb = int(_field("/proc/meminfo", "MemTotal").split()[0])
    return {
        "module": version.group(1) if version else "?",
        "processor": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{kb / 1048576:.1f} GiB",
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "kernel": platform.release(),
        "httpd": _first_line(BINARY, "-v").replace("Server version: ", ""),
        "OpenSSL": _first_line("openssl", "version"),
        "nginx": _first_line("nginx", "-v").replace("nginx version: ", ""),
        "haproxy": _first_line("haproxy", "-v").split(" - ")[0],
    }


def _stat(pid):
    """CPU seconds of a process, and of the children that it has seen end; (0, 0) if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0
    own, ended = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
    return own * TICK_S, ended * TICK_S


def own_cpu_s(pid):
    return _stat(pid)[0]


def tree_cpu_s(pid):
    """CPU seconds of a server since it began, children that have ended included."""
    return sum(_stat(pid)) + sum(sum(_stat(child)) for child in descendants(pid))


def tasks_cpu_s(pids):
    """CPU seconds of all threads that live, in nanoseconds' resolution."""
    total = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(path.read_text().split()[0])
            except OSError:
                pass  # it ended meanwhile
    return total / 1e9


def family(pid):
    return [pid] + descendants(pid)


def memory_mb(pids):
    """What the processes hold together, shared pages once (PSS)."""
    return sum(int(_field(f"/proc/{pid}/smaps_rollup", "Pss:").split()[0]) for pid in pids) / 1024


def wake_ups(pids):
    """Voluntary context switches of all threads."""
    return sum(int(_field(path, "voluntary_ctxt_switches"))
               for pid in pids for path in Path(f"/proc/{pid}/task").glob("*/status"))
