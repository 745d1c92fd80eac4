# SPDX-License-Identifier: Apache-2.0
"""Tickets beside a post-quantum key exchange: bytes on the wire and the server's CPU time with X25519MLKEM768
and with X25519, TLS 1.3.  Where this machine's OpenSSL is older than 3.5, in a Debian 13 of its own."""
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from report import Part

TOP = Path(__file__).resolve().parents[2]
SUITE, NEEDED = "trixie", (3, 5)
PACKAGES = ["build-essential", "apache2-bin", "apache2-dev", "apache2-ssl-dev", "libssl-dev", "openssl", "python3",
            "python3-cryptography", "git", "iproute2"]


def openssl_version():
    said = subprocess.run(["openssl", "version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"OpenSSL (\d+)\.(\d+)", said)
    return tuple(map(int, found.groups())) if found else (0, 0)


def _here(n):
    done = subprocess.run([sys.executable, TOP / "test/bench/postquantum.py", str(n)], capture_output=True, text=True,
                          timeout=600)
    if done.returncode:
        raise RuntimeError(f"postquantum.py: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _in_debian_13(run, n):
    sys.path.insert(0, str(TOP / "test" / "packaging"))
    import debian_root  # pylint: disable=import-outside-toplevel
    # It ends the program with a message where it cannot make one.
    with debian_root.Root(SUITE, PACKAGES) as root:
        root.put_sources()
        run.say(f"Debian {SUITE} is there; the module is built in it")
        code, said = root.run("cd /src && apxs -c -Iinclude mod_stek_rotate.c src/*.c -lssl -lcrypto >/tmp/build 2>&1 "
                              "|| { tail -20 /tmp/build; exit 1; }\n"
                              f"python3 test/bench/postquantum.py {n} 2>&1", timeout_s=1200)
        if code:
            raise RuntimeError(f"in Debian {SUITE}: {said[-2000:]}")
        return json.loads(said.splitlines()[-1])


def _why_not(run):
    if openssl_version() >= NEEDED:
        return ""
    reason = f"this machine's OpenSSL is {'.'.join(map(str, openssl_version()))}, 3.5 is needed; "
    if run.size == "smoke":
        return reason + "a Debian 13 is made in longer runs only"
    if os.geteuid() != 0:
        return reason + "a Debian 13 can be made by root only"
    return "" if shutil.which("mmdebstrap") else reason + "mmdebstrap, which makes a Debian 13, is not installed"


def measure(run):
    part = Part()
    n = run.pick(200, 50, 5)
    reason, found = _why_not(run), None
    if not reason:
        try:
            found = _here(n) if openssl_version() >= NEEDED else _in_debian_13(run, n)
        except SystemExit:
            reason = "no Debian 13 could be made; see above"
    if found is None:
        run.say(f"not measured: {reason}")
        part.table("Post-quantum key exchange", ["", ""], [["not measured", reason]])
        return part
    rows = [[f"{cell['group']}, {cell['mode']}", f"{cell['sent']:.0f}", f"{cell['received']:.0f}", cell["ticket"],
             f"{cell['cpu_us']:.0f}"] for cell in found["cells"]]
    part.table(f"TLS 1.3, {found['openssl']}, certificate P-256", ["", "client sends, bytes", "receives", "ticket",
               "server's CPU us"], rows)
    part.goal("a ticket of a hybrid handshake resumes through rotation, reload, another host, restart",
              ", ".join(found["resumed_through"]), len(found["resumed_through"]) == 4)
    part.raw = found
    return part
