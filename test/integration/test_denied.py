# SPDX-License-Identifier: Apache-2.0
"""Files that root may not touch although owner and mode allow it, and places that are no directories: the log names the
path, and where to look."""
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from httpd import RUN_AS, TOP, Vhost
from stekctl_tool import Stekctl
from test_findings import THIRD_USER

LANDLOCKED = Path(__file__).parent / "landlocked.py"


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_denied_by_a_profile_says_where_to_look(httpd):
    server = httpd(processes=1)
    keys = server.root / "keys"
    keys.mkdir(mode=0o755)
    server.server = [f"StekRing default file={keys}/a.ring"]
    server.under = [sys.executable, LANDLOCKED, "/dev/null", server.run_dir, server.root / "log", "--"]
    server.expect("STEK2011")
    line, = server.start().lines("STEK2011")
    assert f"{keys}/a.secret (root is denied this: look in the kernel's log for what AppArmor or SELinux denied): " \
        "Permission denied; keeping the ring in memory" in line
    assert server.get().tickets


def test_denied_by_a_file_in_the_place_of_the_directory_names_it(httpd):
    server = httpd(processes=1)
    folder = server.run_dir / "stek_rotate"
    folder.write_text("x\n")
    server.expect("STEK2011")
    line, = server.start().lines("STEK2011")
    assert f"{folder}/default.ring ({folder} is no directory; move it away): Not a directory" in line
    folder.unlink()  # as it says
    mark = server.mark()
    server.graceful()
    assert not server.lines("STEK2011", mark) and server.ring_path().exists()


# What httpd itself needs: to become its User, and to end children.
OF_HTTPD = ["setuid", "setgid", "kill"]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives rights up")
@pytest.mark.parametrize("without", ["", "dac_read_search", "chown"])
def test_denied_nothing_that_the_shipped_rules_allow(httpd, without):
    """A ring that another user writes, and one that httpd makes, with the capabilities of conf/apparmor and no more."""
    rights = re.findall(r"^ *capability (\w+),$", (TOP / "conf" / "apparmor" / "stek_rotate").read_text(), re.M)
    assert {"dac_read_search", "chown"} <= set(rights)
    server = httpd(processes=1, vhosts=[Vhost("a.test"), Vhost("b.test", ["StekUseRing theirs"])])
    theirs = server.root / "theirs"
    theirs.mkdir(mode=0o750)
    Stekctl(theirs, "b.ring").run("new")
    for path in (theirs, *theirs.iterdir()):
        shutil.chown(path, THIRD_USER, RUN_AS)
    (theirs / "b.ring").chmod(0o640)
    server.server = [f"StekRing theirs file={theirs}/b.ring secret={theirs}/b.secret generate=off"]
    kept = ",".join(f"+{name}" for name in [*OF_HTTPD, *rights] if name != without)
    server.under = ["setpriv", f"--bounding-set=-all,{kept}", "--"]
    if without:
        server.expect("STEK")
    server.start()
    assert server.get("b.test").tickets if without != "dac_read_search" else not server.get("b.test").tickets
    assert server.get("a.test").tickets
    assert bool(server.lines("STEK20(02|03|11|17)")) == bool(without)
