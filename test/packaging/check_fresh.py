# SPDX-License-Identifier: Apache-2.0
"""README's commands one after the other, in one checkout, on a Debian that has git and make and nothing else
(debian_root.py): "make run" before "make check" and before "make bench", and the reverse.  The first installs
only what it needs; the others install the rest, and what depends on it is built anew.

Needs root, mmdebstrap and a mirror.  "--short": of the check, the build and the tests of fleets alone."""
import sys

from debian_root import Root, check, closing_line, heading, machine_suite

FLEETS = "make check STEPS='build integration' PYTEST=\"-k 'fleet or sync'\""
CHECK = FLEETS if "--short" in sys.argv[1:] else "make check"
RUN = "make run ARGS=--once"
BENCH = "make bench QUICK=1 BENCH=day"


def order(*steps):
    """Each step is a command and the stores that stekctl knows after it."""
    heading(", then ".join(command for command, _ in steps))
    with Root(machine_suite(), ["git", "make"], "minbase", network=True) as root:
        root.put_sources()
        root.run("apt-get -q update")
        for command, stores in steps:
            output = root.expect(command, f"cd /src && {command} 2>&1", timeout_s=4 * 3600)
            if command.startswith("make check"):
                last = output.rstrip().rpartition("\n")[2]
                check(f"its last line: {last}", last.endswith(" passed, 0 failed"), output[-3000:])
            said = root.run("/src/stekctl/stekctl --version")[1]
            check(f"stekctl's stores: {stores}", f"stores: {stores}\n" in said, said)


def main():
    every = "memcached, Redis, etcd"
    order((RUN, "none"), (CHECK, every), (RUN, every))
    order((FLEETS, every), (RUN, every), (FLEETS, every))
    order((RUN, "none"), (BENCH, every))
    return closing_line()


if __name__ == "__main__":
    sys.exit(main())
