# SPDX-License-Identifier: Apache-2.0
"""Ring and secret on a tmpfs that the kernel may swap out (S1): said once, with the remedy."""
import os
import re
import subprocess

import pytest

from httpd import TOP
from stekctl_tool import BINARY

HEADING = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
USED = HEADING + "/dev/sda2                               partition\t999420\t\t0\t\t-2\n"
HAS_NOSWAP = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 4)
SAID = r"STEK2020.*default\.ring is on a tmpfs.*noswap"


def namespace(folder, swaps, kind, options="mode=755"):
    """A command that runs another where /proc/swaps is that text, and that kind of file system lies
    on folder."""
    table = folder.parent / "swaps"
    table.write_text(swaps)
    script = (f"mount --bind {table} /proc/swaps && mount -t {kind} -o {options} none {folder} "
              '&& exec "$@"')
    return ["unshare", "-m", "sh", "-c", script, "sh"]


CASES = {
    "tmpfs, swap": (USED, "tmpfs", "mode=755", 1),
    "tmpfs, no swap": (HEADING, "tmpfs", "mode=755", 0),
    "ramfs, swap": (USED, "ramfs", "mode=755", 0),
}
if HAS_NOSWAP:
    CASES["tmpfs with noswap, swap"] = (USED, "tmpfs", "mode=755,noswap", 0)


@pytest.mark.parametrize("case", CASES)
def test_ring_on_a_tmpfs_that_swaps_is_warned_of_once(httpd, case):
    swaps, kind, options, times = CASES[case]
    server = httpd(mpm="event")
    folder = server.run_dir / "stek_rotate"
    folder.mkdir()
    server.under = namespace(folder, swaps, kind, options)
    server.expect(*([SAID] if times else []))
    server.start()
    server.graceful()
    assert len(server.lines("STEK2020")) == times == len(server.lines(SAID))
    reply = server.get()
    assert reply.tickets and server.get(session=reply.session).resumed


@pytest.mark.parametrize("case", CASES)
def test_stekctl_notes_a_tmpfs_that_swaps(folder, case):
    swaps, kind, options, times = CASES[case]
    (folder / "keys").mkdir()
    script = (f"S='{BINARY} --ring {folder}/keys/a.ring'; $S new >/dev/null && $S show && $S --json show"
              f" && {BINARY} --secret {folder}/keys/fleet secret new --fleet && $S sync --once"
              f" --store memcached://127.0.0.1:9 --timeout 1s --fleet-secret {folder}/keys/fleet; true")
    done = subprocess.run([*namespace(folder / "keys", swaps, kind, options), "sh", "-c", script],
                          capture_output=True, text=True, timeout=60)
    assert done.stdout.count("may be swapped out") == 2 * times, done.stdout + done.stderr
    assert done.stderr.count("may be swapped out") == times, done.stderr


# The mount unit.

UNIT = TOP / "build" / "systemd" / "run-apache2-stek_rotate.mount"


def test_mount_unit_is_named_by_its_path_and_well_formed():
    where = re.search(r"^Where=(.*)$", UNIT.read_text(), re.M).group(1)
    assert where == "/run/apache2/stek_rotate"
    name = subprocess.run(["systemd-escape", "--path", "--suffix=mount", where], capture_output=True,
                          text=True, check=True).stdout.strip()
    assert name == UNIT.name
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", UNIT], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_mount_unit_has_options_that_mount_takes(folder):
    options = re.search(r"^Options=(.*)$", UNIT.read_text(), re.M).group(1)
    assert "noswap" in options.split(",")
    if not HAS_NOSWAP:
        options = options.replace("noswap,", "")
    script = f"mount -t tmpfs -o {options} tmpfs {folder} && stat -c '%a %U %G' {folder}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["750", "root", "www-data"], done.stderr
