# SPDX-License-Identifier: Apache-2.0
"""Under valgrind's memcheck (make valgrind): stekctl through the life of a ring, and an httpd of one
process through start, handshakes, rotation and stop."""
import time

import ringfile
from checks import VERSIONS, lines, wait_until
from handshakes import STATUS
from httpd import Vhost, free_port
from stekctl_tool import FINDING, REFUSED, Stekctl

FAULT = 99
MEMCHECK = ["valgrind", "--tool=memcheck", "--num-callers=20", f"--error-exitcode={FAULT}", "--quiet",
            "--keep-debuginfo=yes"]
LEAKS = ["--leak-check=full", "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]


class Checked(Stekctl):
    """stekctl under memcheck."""

    def command(self, *args):
        return MEMCHECK + LEAKS + super().command(*args)


def test_memcheck_stekctl_life_of_a_ring(folder):
    tool = Checked(folder)
    tool.run("new", "--interval", "1h")
    tool.run("rotate")
    tool.run("rotate", "--in", "90min")
    tool.run("show", expect=None)
    tool.json("show", expect=None)
    tool.run("audit", tool.ring_path, expect=None)
    old = next(key for key in tool.ring().keys if key.not_before <= time.time())
    tool.run("revoke", old.name.hex())
    tool.run("revoke", "--all")
    tool.run("secret", "roll")
    tool.run("secret", "roll", "--reseal")
    tool.run("secret", "retire")
    for name in ("nginx", "haproxy"):
        tool.run("export", "--format", name, "--out", folder / name)
    weak = folder / "weak.key"
    weak.write_bytes(bytes(80))
    assert tool.run("import", "--format", "nginx", weak, expect=None).returncode in (FINDING, REFUSED)
    tool.ring_path.write_bytes(tool.ring_path.read_bytes()[:-1])
    assert tool.run("show", expect=None).returncode == REFUSED


def test_memcheck_one_httpd(httpd):
    port = free_port()
    server = httpd(processes=1, server=lines(interval="2s", lifetime="60s", poll="1s"),
                   vhosts=[Vhost("a.test"), Vhost("off.test", ["StekTickets off"]),
                           Vhost("stock.test", ["StekRotate off"]),
                           Vhost("status.test", STATUS, port=port, tls=False)])
    log = server.root / "log" / "memcheck"
    # Leaks of httpd are make asan's: here it looks when the pools that hold all are gone.
    server.under = MEMCHECK + [f"--log-file={log}.%p"]
    server.start("-X")
    first = {version: server.get(tls=version) for version in VERSIONS}
    wait_until(int(time.time()) + 4)
    for version in VERSIONS:
        reply = server.get(tls=version, session=first[version].session)
        assert reply.resumed and reply.name != first[version].name
        foreign = first[version].session.with_ticket(ringfile.make_key().ticket(b"x" * 100))
        assert not server.get(tls=version, session=foreign).resumed
        assert not server.get("off.test", tls=version).tickets
        assert server.get("stock.test", tls=version).tickets
    assert server.stop()
    reports = list(log.parent.glob("memcheck.*"))
    assert reports
    for report in reports:
        told = [line for line in report.read_text().splitlines() if "vgdb" not in line]
        assert not told, "\n".join(told)
