#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Puts deliberate bugs into the product, one at a time, and sees whether the simulator finds them.

Each is a replacement in one source, made in a copy of the tree; only the simulator is built there, and run
with a fixed seed and number of steps.  Prints how many were found; the exit code is 0 only if all were.
Arguments: names of mutants; none: all.
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
STEPS = os.environ.get("STEPS", "300000")
SEED = os.environ.get("SEED", "1")

# name: file, text, what stands in its place.
MUTANTS = {
}


def copy_tree(target):
    files = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True, capture_output=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (TOP / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, target / name)


def build(tree):
    return subprocess.run(["make", "-s", "-j2", "out/simulate"], cwd=tree, capture_output=True, text=True, check=False)


def try_mutant(tree, name, file, before, after):
    """What the simulator says of it; None: nothing."""
    path = tree / file
    text = path.read_text()
    if text.count(before) != 1:
        sys.exit(f"mutants: {name}: {file} has its text {text.count(before)} times, not once")
    path.write_text(text.replace(before, after))
    try:
        made = build(tree)
        if made.returncode:
            sys.exit(f"mutants: {name} cannot be built:\n{made.stderr}")
        ran = subprocess.run(["out/simulate", "--seed", SEED, "--steps", STEPS, "--no-shrink"], cwd=tree,
                             capture_output=True, text=True, check=False)
        said = [line for line in ran.stdout.splitlines() if "FAILED (" in line or "the first after" in line]
        return (said or [ran.stdout[-300:] + ran.stderr[-300:]]) if ran.returncode else None
    finally:
        path.write_text(text)


def main():
    names = sys.argv[1:] or list(MUTANTS)
    found = 0
    with tempfile.TemporaryDirectory(prefix="stek-mutants-") as scratch:
        tree = Path(scratch)
        copy_tree(tree)
        made = build(tree)
        if made.returncode:
            sys.exit(f"mutants: the tree itself cannot be built:\n{made.stderr}")
        for name in names:
            said = try_mutant(tree, name, *MUTANTS[name])
            found += said is not None
            print(f"{name}: {'found' if said else 'NOT FOUND'}", flush=True)
            for line in said or []:
                print(f"    {line.strip()}", flush=True)
    print(f"{found} of {len(names)} mutants found")
    return found != len(names)


if __name__ == "__main__":
    sys.exit(main())
