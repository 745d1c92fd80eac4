#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes a tar archive (POSIX ustar) of the files named on standard input, each ended by a zero byte, to standard
output: sorted, below FOLDER, all of one time, owned by nobody in particular.  The same bytes everywhere, which
neither GNU tar nor Python's tarfile promises: both have changed what they leave in fields that mean nothing.

Usage: make_tar.py FOLDER SECONDS"""
import os
import stat
import sys

BLOCK, RECORD = 512, 10240


def split(name):
    """The path as prefix and name, which have 155 and 100 bytes."""
    if len(name) <= 100:
        return b"", name
    cut = name.index(b"/", len(name) - 101)
    if cut > 155:
        raise ValueError(f"too long for a tar archive: {os.fsdecode(name)}")
    return name[:cut], name[cut + 1:]


def header(name, mode, size, time, kind, target=b""):
    prefix, name = split(name)
    numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (mode, 0, 0, size, time)
    start = name.ljust(100, b"\0") + numbers
    end = (kind + target.ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + b"0000000\0" * 2 +
           prefix.ljust(155, b"\0") + bytes(12))
    check_sum = sum(start) + 8 * ord(" ") + sum(end)
    return start + b"%06o\0 " % check_sum + end


def member(path, folder, time):
    name = folder + b"/" + path
    if os.path.islink(path):
        return header(name, 0o777, 0, time, b"2", os.readlink(path))
    with open(path, "rb") as file:
        data = file.read()
        mode = 0o755 if os.fstat(file.fileno()).st_mode & stat.S_IXUSR else 0o644
    return header(name, mode, len(data), time, b"0") + data + bytes(-len(data) % BLOCK)


def main():
    folder, time = os.fsencode(sys.argv[1]), int(sys.argv[2])
    names = sorted(name for name in sys.stdin.buffer.read().split(b"\0") if name)
    archive = b"".join(member(name, folder, time) for name in names) + bytes(2 * BLOCK)
    sys.stdout.buffer.write(archive + bytes(-len(archive) % RECORD))


if __name__ == "__main__":
    main()
