#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rooms and circles, for "make layers": who includes and calls whom, from the sources as they stand.

A unit is a source with the header of its name.  It has an arrow to each unit whose header it includes
or whose functions and tables it names.  Arrows run in no circle, in the core, in the glue and in stekctl.
In stekctl each folder is a room, and its door is the header of its name: others include that one only.
"""
import functools
import os
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# Arrows that close a circle and wait to be mended: without them there is none.  Whoever mends one deletes its
# line: one that closes no circle is a fault as well.  LAYERS_STRICT=1 knows none.
KNOWN = []

COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
# The format keeps names of definitions in the first column's line, and bodies' braces in the first column.
FUNCTION = re.compile(r"^(?!static\b|typedef\b|struct\b|enum\b)[A-Za-z_][^;{}#()]*?\b(\w+)\([^;{}]*\)\n\{", re.M)
TABLE = re.compile(r"^(?!static\b|typedef\b|extern\b)[A-Za-z_][\w \t*]*?\b(\w+)(?:\[[^\]]*\])?[ \t]*=", re.M)
# httpd's record of the module: what its sources name to find their configuration, and its hooks lie above.
RECORD = "stek_rotate_module"
USE = re.compile(r"(?<![\w.>])([A-Za-z_]\w+)")


def group_of(path):
    """The part of the tree whose arrows are drawn together, and the unit's name in it."""
    name = path.stem
    if path.parts[0] == "stekctl":
        return "stekctl", str(path.with_suffix("")).removeprefix("stekctl/")
    return ("core" if name.startswith("stek_") else "glue"), name


def read():
    patterns = ("mod_stek_rotate.c", "src/*.[ch]", "include/*.h", "stekctl/*.[ch]", "stekctl/*/*.[ch]")
    return {path.relative_to(TOP): path.read_text() for pattern in patterns for path in sorted(TOP.glob(pattern))}


def room_of(path):
    """'' outside rooms."""
    return path.parts[1] if path.parts[0] == "stekctl" and len(path.parts) == 3 else ""


def target_of(path, name, files):
    """The file that an include means: beside, in stekctl/, in include/ or src/; None: not of this tree."""
    places = [path.parent, Path("include"), Path("src")]
    if path.parts[0] == "stekctl":
        places.insert(1, Path("stekctl"))
    return next((place / name for place in places if place / name in files), None)


def circles(arrows):
    """The strongly connected sets of more than one unit (Tarjan 1972)."""
    index, low, stack, found = {}, {}, [], []

    def visit(unit):
        index[unit] = low[unit] = len(index)
        stack.append(unit)
        for other in sorted(arrows.get(unit, ())):
            if other not in index:
                visit(other)
                low[unit] = min(low[unit], low[other])
            elif other in stack:
                low[unit] = min(low[unit], index[other])
        if low[unit] == index[unit]:
            at = stack.index(unit)
            if len(stack) - at > 1:
                found.append(set(stack[at:]))
            del stack[at:]

    for unit in sorted(arrows):
        if unit not in index:
            visit(unit)
    return found


@functools.lru_cache(maxsize=None)
def parts(text):
    """What a file includes, what it defines for others, and all names in it."""
    bare = COMMENT_OR_TEXT.sub(" ", text)
    return INCLUDE.findall(text), FUNCTION.findall(bare) + TABLE.findall(bare), sorted({*USE.findall(bare)} - {RECORD})


class Tree:
    def __init__(self, text):
        self.text = text  # of each file, by its path
        self.home = {name: path for path in text if path.suffix == ".c" for name in parts(text[path])[1]}
        self.faults = []
        self.includes = [(path, target) for path in text
                         for target in (target_of(path, name, text) for name in parts(text[path])[0]) if target]

    def arrows(self):
        """(file, file, what ties them)."""
        for path, target in self.includes:
            yield path, target, f"includes {target.name}"
        for path in self.text:
            for name in parts(self.text[path])[2] if path.suffix == ".c" else ():
                if self.home.get(name, path) != path:
                    yield path, self.home[name], name

    def check_rooms(self):
        for path, target in self.includes:
            mine, theirs = room_of(path), room_of(target)
            if not theirs or mine == theirs:
                continue
            if target.stem != theirs:
                self.faults.append(f"{path} includes {target}: others include {theirs}/{theirs}.h only")
            elif not mine and path.name != "main.c":
                self.faults.append(f"{path} includes {target}: what all commands share knows no room")

    def check_circles(self, known):
        groups, ties = {}, {}
        rooms = {}
        for path, target, what in self.arrows():
            (group, unit), (other_group, other) = group_of(path), group_of(target)
            if group != other_group or unit == other:
                continue
            groups.setdefault(group, {}).setdefault(unit, set()).add(other)
            ties.setdefault((unit, other), []).append(what)
            if room_of(path) and room_of(target) and room_of(path) != room_of(target):
                rooms.setdefault(room_of(path), set()).add(room_of(target))
                ties.setdefault((room_of(path), room_of(target)), []).append(f"{path.name}: {what}")
        stale = set(known)
        for group, arrows in [*groups.items(), ("rooms of stekctl", rooms)]:
            tied = circles(arrows)
            stale -= {(a, b) for a, b in known if b in arrows.get(a, ()) and any({a, b} <= c for c in tied)}
            for circle in circles({a: {b for b in arrows[a] if (a, b) not in known} for a in arrows}):
                lines = [f"  {unit} -> {other}: {', '.join(ties[unit, other])}"
                         for unit in sorted(circle) for other in sorted(circle & arrows.get(unit, set()))]
                self.faults.append(f"a circle in the {group}:\n" + "\n".join(lines))
        for unit, other in sorted(stale):
            self.faults.append(f"{unit} -> {other} closes no circle: delete it from build/rooms.py")


def faults(text, known):
    tree = Tree(text)
    tree.check_rooms()
    tree.check_circles(known)
    return tree.faults


def main():
    found = faults(read(), [] if os.environ.get("LAYERS_STRICT") else KNOWN)
    for fault in found:
        print(f"layers: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
