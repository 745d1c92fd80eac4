# SPDX-License-Identifier: Apache-2.0
"""A Debian in a folder, for tests that need an empty one or another release.  Needs root, mmdebstrap and,
for the first run, a mirror; the empty system is kept in out/roots.

Processes are shut into the folder: mounts, processes and, unless asked otherwise, network of their own."""
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROOTS = TOP / "out" / "roots"
# A mirror's copy of sid may be older than the week for which its list is valid; signatures are checked.  Nothing in
# such a system has to survive a power failure.
OPTIONS = ["--aptopt=Acquire::Check-Valid-Until \"false\"", "--dpkgopt=force-unsafe-io"]
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
       "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
FAILURES = TOP / "out" / "failures"
# Ended as by Ctrl-C: processes and folders go.
signal.signal(signal.SIGTERM, signal.default_int_handler)
results = {"passed": 0, "failures": [], "place": "", "since": time.monotonic()}
# A boot: a control group of its own below the machine's, and what a system must not change of its kernel read-only
# or out of its rights.  systemd leaves what it finds so to the machine, as in any container.
ENTER = r"""
mount --make-rprivate /
mkdir -p "$0/machine"
mount -t cgroup2 cgroup2 "$0/machine"
mkdir "$0/machine/$GROUP"
echo $$ >"$0/machine/$GROUP/cgroup.procs"
umount "$0/machine"
exec unshare --pid --ipc --uts --net --cgroup --mount --fork --kill-child /bin/sh -euc "$BOOT" "$0"
"""
BOOT = r"""
mount --rbind "$0" "$0"
mount -t proc proc "$0/proc"
mount --bind "$0/proc/sys" "$0/proc/sys"
mount -o remount,bind,ro "$0/proc/sys"
mount -t sysfs -o ro sysfs "$0/sys"
mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"
for path in run tmp dev/shm; do mkdir -p "$0/$path"; mount -t tmpfs -o mode=1777 tmpfs "$0/$path"; done
chmod 755 "$0/run"
mkdir -p "$0/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$0/dev/pts"
cd "$0"
pivot_root . machine
umount -l machine
mount --make-rshared /
exec env -i container=test PATH="$PATH" setpriv --bounding-set=-sys_module,-sys_time,-sys_rawio,-mknod \
    /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=no
"""
# mmdebstrap's mounts and processes end with it, however it ends; in memory, dpkg need not wait for a disk.
MAKE = "mount -t tmpfs -o mode=1777 tmpfs /tmp; TMPDIR=/tmp exec mmdebstrap --format=tar \"$@\""
LEAVE = r"""
mount -t cgroup2 cgroup2 "$0/machine"
find "$0/machine/$GROUP" -depth -type d -exec rmdir {} +
"""


def wait_for(what, seconds=120):
    """Whether it came to be."""
    end = time.monotonic() + seconds
    while not (done := what()) and time.monotonic() < end:
        time.sleep(0.1)
    return bool(done)


def heading(place, about=""):
    """What is checked from here on, for the list at the end."""
    results["place"] = place
    print(f"== {place}" + (f": {about}" if about else ""), flush=True)


def check(what, good, detail=""):
    """Counts and prints it, with the seconds since the one before."""
    took_s, results["since"] = time.monotonic() - results["since"], time.monotonic()
    if good:
        results["passed"] += 1
        print(f"  ok   {what}" + (f" ({took_s:.0f} s)" if took_s >= 1 else ""), flush=True)
        return good
    FAILURES.mkdir(parents=True, exist_ok=True)
    log = FAILURES / (re.sub(r"\W+", "-", f"{results['place']} {what}").strip("-").lower() + ".log")
    log.write_text(str(detail))
    results["failures"].append(f"{results['place']}: {what}: {log.relative_to(TOP)}")
    print(f"  FAIL {what} ({took_s:.0f} s): {str(detail)[-1500:]}", flush=True)
    return good


def stop(message):
    sys.exit(f"{Path(sys.argv[0]).name}: {message}")


def closing_line():
    """Prints what failed, where all that it said is, and the count; the exit code."""
    for failure in results["failures"]:
        print(f"FAILED {failure}")
    print(f"{results['passed']} passed, {len(results['failures'])} failed")
    return 1 if results["failures"] or not results["passed"] else 0


def machine_suite():
    release = Path("/etc/os-release").read_text()
    suite = re.search(r"^VERSION_CODENAME=(\w+)", release, re.M)
    if not suite or not re.search(r"^ID=debian$", release, re.M):
        stop("needs a Debian: packages built here are for it")
    return suite.group(1)


def fresh_tar(suite, variant, packages):
    """The empty system with these packages; made once."""
    wanted = hashlib.sha256(" ".join([variant, *sorted(packages)]).encode()).hexdigest()[:8]
    tar = ROOTS / f"{suite}-{wanted}.tar"
    if tar.exists():
        return tar
    if os.geteuid() != 0:
        stop("needs root: it makes a system of its own")
    if not shutil.which("mmdebstrap"):
        stop("needs mmdebstrap (apt-get install mmdebstrap)")
    print(f"Making an empty {suite} (downloads 50 to 300 MB; some minutes)", flush=True)
    ROOTS.mkdir(parents=True, exist_ok=True)
    partial = tar.with_suffix(f".{os.getpid()}.part.tar")
    start = time.monotonic()
    try:
        with open(partial, "wb") as file:
            done = subprocess.run(["unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "/bin/sh",
                                   "-euc", MAKE, "mmdebstrap", f"--variant={variant}",
                                   *(f"--include={name}" for name in packages), *OPTIONS, suite, "-"], cwd="/",
                                  stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            stop(f"mmdebstrap failed. It needs root and a mirror of Debian over the network:\n{done.stderr[-1500:]}")
        partial.rename(tar)
    finally:
        partial.unlink(missing_ok=True)
    print(f"It is made ({time.monotonic() - start:.0f} s)", flush=True)
    return tar


def said_of(command, timeout_s):
    """(exit code, what it said); 124 if its time was up, as timeout(1) has it."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, env=ENV, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s)
        return done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        return 124, f"{(late.output or b'').decode(errors='replace')}\nEnded: not done after {timeout_s} s\n"


class Root:
    """One such system, unpacked.  "network": as the machine has it; else loopback only."""

    def __init__(self, suite, packages, variant="apt", network=False):
        tar = fresh_tar(suite, variant, packages)
        self.suite, self.network = suite, network
        self.path = Path(tempfile.mkdtemp(prefix="stek-root-"))
        try:
            self.unpack(tar)
        except BaseException:
            shutil.rmtree(self.path)
            raise

    def unpack(self, tar):
        subprocess.run(["tar", "-C", self.path, "--numeric-owner", "-xf", tar], check=True)
        # Nothing in here starts services.
        policy = self.path / "usr/sbin/policy-rc.d"
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
        if self.network:
            (self.path / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Nothing of it is mounted any more: mounts went with the processes.
        shutil.rmtree(self.path)

    def put_sources(self, owner="root"):
        """In /src: a checkout of what stands here, committed or not, as "make dist" packs it."""
        folder = self.path / "src"
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", TOP, folder], check=True)
        changed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=TOP, check=True,
                                 capture_output=True, text=True).stdout.split("\0")[:-1]
        for name in subprocess.run(["git", "ls-files", "-z"], cwd=folder, check=True, capture_output=True,
                                   text=True).stdout.split("\0")[:-1]:
            if name not in changed or not (TOP / name).exists():
                (folder / name).unlink()
        for name in changed:
            if (TOP / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, folder / name)
        subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
        self.run(f"chown -R {owner} /src")

    def run(self, script, before="", timeout_s=600):
        """A shell's script in there; (exit code, what it said).  "before": words in front of the shell, as
        "setpriv ..."."""
        # Bound to itself, the folder is a mount, as the root of a system is.
        inside = ('ip link set lo up 2>/dev/null || true; mount --rbind "$0" "$0"; mount -t proc proc "$0/proc"; '
                  'mount -t sysfs -o ro sysfs "$0/sys" || true; mkdir -p "$0/dev/pts" "$0/dev/shm"; '
                  'mount -t devpts -o newinstance,ptmxmode=666 devpts "$0/dev/pts"; '
                  'mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm"; '
                  f'exec chroot "$0" {before} /bin/bash -eu -c "$1"')
        spaces = ["--mount", "--pid", "--ipc", *([] if self.network else ["--net"])]
        return said_of(["unshare", *spaces, "--fork", "--kill-child", "/bin/sh", "-c", inside, self.path, script],
                       timeout_s)

    def expect(self, what, script, said=None, **options):
        code, output = self.run(script, **options)
        good = code == 0 and (said is None or re.search(said, output, re.M) is not None)
        check(what, good, f"exit {code}: {output}")
        return output

    def exists(self, path):
        return os.path.lexists(f"{self.path}{path}")


def children(pid):
    parents = {path.parent.name: path.read_text().rpartition(")")[2].split()[1]
               for path in Path("/proc").glob("[0-9]*/stat")}
    return [child for child, parent in parents.items() if parent == str(pid)]


class Boot:
    """A root's own systemd as process 1, up to multi-user.target: its services run, with a loopback of their own."""

    def __init__(self, root):
        self.path, self.init = root.path, None
        self.env = dict(ENV, BOOT=BOOT, GROUP=f"stek-boot-{os.getpid()}")

    def __enter__(self):
        with open(self.path / "console", "wb") as console:
            self.process = subprocess.Popen(["unshare", "--mount", "/bin/sh", "-euc", ENTER, self.path], env=self.env,
                                            stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        check("boots", wait_for(self.is_up), self.console())
        return self

    def is_up(self):
        """What becomes systemd is still among the machine's own files before."""
        try:
            self.init, = children(self.process.pid)
            if os.path.basename(os.readlink(f"/proc/{self.init}/exe")) != "systemd":
                return False
        except (OSError, ValueError):
            return False
        return self.run("systemctl is-system-running")[1].strip() in ("running", "degraded")

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(30)
        wait_for(lambda: subprocess.run(["unshare", "--mount", "/bin/sh", "-euc", LEAVE, self.path], env=self.env,
                                        capture_output=True).returncode == 0)

    def console(self):
        return (self.path / "console").read_text(errors="replace")[-1500:]

    def run(self, script):
        return said_of(["nsenter", "-t", self.init, "-a", "-r", "-w", "/bin/bash", "-eu", "-c", script], 300)

    def expect(self, what, script, said=None):
        code, output = self.run(script)
        good = code == 0 and (said is None or re.search(said, output, re.M) is not None)
        check(what, good, f"exit {code}: {output}{self.console()}")
        return output
