# SPDX-License-Identifier: Apache-2.0
"""Runs a command that may create, write and remove files in some places only, as a profile of AppArmor would have it:
landlocked.py PLACE... -- COMMAND..."""
import ctypes
import os
import struct
import sys

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH, NO_NEW_PRIVS = 1, 38
FOR_FILES = 1 << 1  # write
FOR_DIRS = FOR_FILES | 1 << 5 | 1 << 8  # remove, make


def main():
    split = sys.argv.index("--")
    libc = ctypes.CDLL(None, use_errno=True)
    handled = struct.pack("=Q", FOR_DIRS)
    ruleset = libc.syscall(CREATE_RULESET, handled, len(handled), 0)
    assert ruleset >= 0, os.strerror(ctypes.get_errno())
    for place in sys.argv[1:split]:
        fd = os.open(place, os.O_PATH)
        rule = struct.pack("=Qi", FOR_DIRS if os.path.isdir(place) else FOR_FILES, fd)
        assert libc.syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0) == 0, place
    assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0 and libc.syscall(RESTRICT_SELF, ruleset, 0) == 0
    os.execv(sys.argv[split + 1], sys.argv[split + 1:])


if __name__ == "__main__":
    main()
