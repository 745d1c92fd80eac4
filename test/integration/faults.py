# SPDX-License-Identifier: Apache-2.0
"""test/fault/preload.c in a running httpd: built, and told what to do."""
import ctypes
import mmap
import os
import subprocess
from pathlib import Path

FAULT = Path(__file__).resolve().parents[1] / "fault"


def build(folder):
    made = folder / "preload.so"
    include = subprocess.run(["apr-1-config", "--includes"], capture_output=True, text=True,
                             check=True).stdout.split()
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-shared", "-fPIC",
                    "-Wall", "-Werror", "-O1", *include, "-o", made, FAULT / "preload.c",
                    "-ldl", "-lssl", "-lcrypto"],
                   check=True)
    return made


class Control:
    """What fails, shared with all processes of a server; fields as in test/fault/preload.c."""
    FIELDS = ["armed", "counting", "quick", "role", "call", "way", "hits", "parent",
              "pauses"]

    def __init__(self, library, path):
        self.library = ctypes.CDLL(str(library))
        self.library.fault_call_name.restype = ctypes.c_char_p
        self.names = []
        while (name := self.library.fault_call_name(len(self.names))) is not None:
            self.names.append(name.decode())
        size = self.library.fault_control_size()
        path.write_bytes(bytes(size))
        path.chmod(0o600)
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), size)
        self.words = (ctypes.c_int * (size // 4)).from_buffer(self.map)

    def get(self, field):
        return self.words[self.FIELDS.index(field)]

    def set(self, **fields):
        for field, value in fields.items():
            self.words[self.FIELDS.index(field)] = value

    def counted(self, role):
        start = len(self.FIELDS) + role * len(self.names)
        return {name for i, name in enumerate(self.names) if self.words[start + i] > 0}

    def ways(self, name):
        ways = []
        while len(ways) < 8 and (way := self.library.fault_call_way(self.names.index(name),
                                                                    len(ways))):
            ways.append(way)
        return ways

    def arm(self, role, name, way):
        self.set(armed=0, hits=0, role=role, call=self.names.index(name), way=way)
        self.set(armed=1)
