#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make first-five: docs/quick-start.md by the letter, in an empty Debian.

Makes a minimal Debian (mmdebstrap), puts the sources in as a fresh checkout has them, and runs the page's
commands there in their order, with mounts and processes of its own; the network is the machine's, so ports 80 and 443 must be free.
Prints the time that each takes, and every line of output that is a warning; exit code 0 only if
every command succeeds, what the page promises is printed, and no warning is.
"""
import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import doc_commands

TOP = Path(__file__).resolve().parents[1]
PAGE = TOP / "docs" / "quick-start.md"
SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
WARNING = re.compile(r"\bwarnings?\b|^[WE]: |\berror: |\bdeprecated\b|\bcould not\b|\bcannot\b|\bAH\d{5}\b", re.I)
# Of a root without an init and without apt-utils, not of what the page does.
ROOT_NOISE = re.compile(r"^debconf: |^invoke-rc\.d: ")
PRINTS = [(r"^stekctl show", r"^healthy$"), (r"-sess_in ", r"^Reused"), (r"^stekctl probe", r"^ 0 findings"),
          (r"configtest", r"Syntax OK")]
LOG = "/var/log/apache2/error.log"


def make_root(root, args):
    if args.tar:
        root.mkdir()
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-xf", args.tar], check=True)
    else:
        subprocess.run(["mmdebstrap", "--variant=minbase", "--include=ca-certificates", args.suite, root,
                        args.mirror], check=True, stdout=subprocess.DEVNULL)
    source = root / "src"
    source.mkdir()
    names = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-C", TOP, "--null", "-T", "-", "-cf", root / "src.tar"], input=names, check=True)
    subprocess.run(["tar", "-C", source, "-xf", root / "src.tar"], check=True)
    (root / "src.tar").unlink()
    # A chroot has no init that could start services.
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (root / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())
    # As Debian's installer leaves it.
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 debian.example.net debian\n")


class Host:
    """The empty Debian: one shell in it, so that what a command leaves is there for the next."""

    def __init__(self, root):
        inside = ("mkdir -p /dev/pts; mount -t devpts devpts /dev/pts; mount -t proc proc /proc; "
                  "mount -t tmpfs tmpfs /run; mkdir /run/lock; hostname debian; cd /src; "
                  "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8; exec bash --norc")
        self.shell = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "chroot", root,
             "bash", "-c", inside],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "dumb"})

    def run(self, command):
        """(exit code, output, seconds)"""
        begun = time.monotonic()
        self.shell.stdin.write(f"eval {shlex.quote(command)} </dev/null\nprintf '\\n%s %d\\n' @done@ $?\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.startswith("@done@ "):
                return int(line.split()[1]), "".join(lines).rstrip("\n"), time.monotonic() - begun
            lines.append(line)
        raise RuntimeError("the shell ended: " + "".join(lines))

    def end(self):
        self.run("apachectl stop >/dev/null 2>&1")
        self.shell.stdin.close()
        self.shell.wait(30)


def warnings_in(text):
    return [line for line in text.splitlines() if WARNING.search(line) and not ROOT_NOISE.search(line)]


def play(host, verbose):
    faults, total = [], 0.0
    for number, command in doc_commands.commands(PAGE.read_text()):
        code, output, seconds = host.run(command)
        promised = next((out for pattern, out in PRINTS if re.search(pattern, command)), None)
        end = time.monotonic() + 20
        while promised and not re.search(promised, output, re.M) and time.monotonic() < end:
            time.sleep(0.5)
            code, output, _ = host.run(command)
        total += seconds
        first = command.splitlines()[0]
        print(f"{seconds:7.1f} s  {first[:66]}", flush=True)
        if verbose or code:
            print(output[-3000:])
        if code:
            faults.append(f"line {number}: exit code {code}: {first}")
        if promised and not re.search(promised, output, re.M):
            faults.append(f"line {number}: not printed: {promised}: {first}")
        for line in warnings_in(output):
            faults.append(f"line {number}: warning: {line}")
    return faults, total


def first_five(root, args):
    """What is at fault, in words."""
    begun = time.monotonic()
    print(f"Making an empty Debian {args.suite} ...", flush=True)
    make_root(root, args)
    print(f"{time.monotonic() - begun:7.1f} s  done. {PAGE.relative_to(TOP)}:", flush=True)
    host = Host(root)
    try:
        host.run("apt-get -q update >/dev/null 2>&1")
        faults, total = play(host, args.verbose)
        log = host.run(f"cat {LOG}")[1]
    finally:
        host.end()
    faults += [f"log: {line}" for line in log.splitlines()
               if re.search(r":(emerg|alert|crit|error|warn)\]", line)]
    print(f"{total:7.1f} s  the page in all; faults: {len(faults)}")
    return faults


def main():
    parser = argparse.ArgumentParser(prog="make first-five", description=__doc__.partition("\n")[0])
    parser.add_argument("--suite", default=SUITE)
    parser.add_argument("--mirror", default=MIRROR)
    parser.add_argument("--tar", type=Path, help="an empty Debian that mmdebstrap made before")
    parser.add_argument("--keep", action="store_true", help="leave the Debian in place and say where")
    parser.add_argument("--verbose", action="store_true", help="all output of the commands")
    args = parser.parse_args()
    if os.geteuid():
        print("first-five: wants root, for a Debian of its own", file=sys.stderr)
        return 1
    base = Path(tempfile.mkdtemp(prefix="first-five-"))
    base.chmod(0o755)
    try:
        faults = first_five(base / "root", args)
    finally:
        if not args.keep:
            subprocess.run(["rm", "-rf", "--one-file-system", base], check=True)
    for fault in faults:
        print("  " + fault)
    if args.keep:
        print(f"left: {base / 'root'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
