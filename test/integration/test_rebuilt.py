# SPDX-License-Identifier: Apache-2.0
"""The package is built anew, with other structures and the same version, and httpd is reloaded: what
the former build has left is not taken for its own, and the rings go on from their files."""
import os
import re
import shutil
import subprocess
import time

import pytest

from checks import VERSIONS, fixed_ring, issued_now
from httpd import MODULE, TOP, Vhost, apxs, listed
from memory import holding

FIELDS = re.compile(r"( *stek_ring_t \*ring;[^\n]*\n)(.*?)( *stek_secrets_t \*secrets;[^\n]*\n)", re.S)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory):
    """The module with two fields of a retained structure in each other's place."""
    tree = tmp_path_factory.mktemp("rebuilt")
    for folder in ("include", "src"):
        shutil.copytree(TOP / folder, tree / folder)
    live = tree / "src/mod_stek_live_private.h"
    text, n = FIELDS.subn(r"\3\2\1", live.read_text())
    assert n == 1
    live.write_text(text)
    source = tree / "src/mod_stek_live.c"
    text, n = re.subn(r"(?m)^#define LAYOUT (\d+)$", r"#define LAYOUT 10\1", source.read_text())
    assert n == 1, "no layout number"
    source.write_text(text)
    shutil.copy(TOP / "mod_stek_rotate.c", tree)
    done = subprocess.run([apxs("APR_CONFIG"), "--includes", "--cppflags"], capture_output=True,
                          text=True, check=True)
    built = [path for path in (TOP / "out/mod/src/.libs").glob("stek_*.o")
             if "STEK_MODULE" not in os.environ]
    sources = [path for path in tree.glob("src/*.c") if not (built and path.stem.startswith("stek_"))]
    subprocess.run([*apxs("CC").split(), "-shared", "-fPIC", "-O0", "-D_GNU_SOURCE", "-o",
                    tree / "module.so", f"-I{tree}/include", f"-I{apxs('INCLUDEDIR')}",
                    *done.stdout.split(), tree / "mod_stek_rotate.c", *sources, *built,
                    "-lssl", "-lcrypto"], check=True)
    return tree / "module.so"


def rings_in_memory(pid):
    """Access modes of the descriptors of rings in memory, in order."""
    found = []
    for name in listed(f"/proc/{pid}/fd"):
        try:
            if "memfd:stek-ring" in os.readlink(f"/proc/{pid}/fd/{name}"):
                with open(f"/proc/{pid}/fdinfo/{name}", encoding="ascii") as info:
                    flags = next(line for line in info if line.startswith("flags:"))
                found.append(int(flags.split()[1], 8) & os.O_ACCMODE)
        except OSError:
            pass
    return sorted(found)


def shared_mappings(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        return sum(" rw-s " in line for line in maps)


def exchange(server, module):
    """As a package's upgrade does."""
    fresh = server.root / "module.new"
    shutil.copy(module, fresh)
    fresh.rename(server.root / "module.so")


@pytest.mark.timeout(180)  # it compiles
def test_rebuilt_module_takes_over_by_the_files_alone(httpd, rebuilt):
    server = httpd(module=False, processes=1)
    server.server = [f"LoadModule stek_rotate_module {server.root}/module.so",
                     "StekRing default poll=1s", "StekRing two file=memory"]
    server.vhosts.append(Vhost("two.test", ["StekUseRing two"]))
    exchange(server, MODULE)
    server.start()
    held = rings_in_memory(server.pid), shared_mappings(server.pid)
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    in_memory = server.get("two.test").session
    keys = server.ring().keys
    for module in (rebuilt, rebuilt, MODULE):
        exchange(server, module)
        server.graceful()
        for v in VERSIONS:
            assert server.get(tls=v, session=first[v]).resumed
            issued_now(server, tls=v)
        assert server.ring().keys == keys
        assert not server.get("two.test", session=in_memory).resumed
        # Nothing of the former build's is left open; each layout has its claims once.
        assert rings_in_memory(server.pid) == held[0]
        assert shared_mappings(server.pid) <= held[1] + 1
        for child in server.children():
            assert rings_in_memory(child) == [os.O_RDONLY]
    # What the former builds held is gone with their keys.
    server.put_ring(fixed_ring(epoch=int(time.time())))
    server.graceful()
    assert not server.get(tls="1.3", session=first["1.3"]).resumed
    assert not holding(server, keys)
