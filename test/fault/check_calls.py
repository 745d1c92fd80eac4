#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each function that the module imports is made to fail by the tests (calls.h) or stands in
infallible.txt with a reason, and neither list names anything else.
Usage: check_calls.py MODULE, or --failing: lists what is made to fail."""
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def imports(module):
    out = subprocess.run(["nm", "-D", "--undefined-only", module], capture_output=True, text=True,
                         check=True).stdout
    return {line.split()[-1].partition("@")[0] for line in out.splitlines()}


def failing():
    text = (HERE / "calls.h").read_text()
    return set(re.findall(r"^(?:CALL|CODE|SHORT)\([^,]*, (\w+),", text, re.M)) \
        | set(re.findall(r"^VARIES\((\w+),", text, re.M))


def infallible():
    names, faults = set(), []
    for number, line in enumerate((HERE / "infallible.txt").read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        head, _, reason = line.partition(": ")
        if not reason.strip():
            faults.append(f"infallible.txt, line {number}: no reason")
        for name in head.split():
            if name in names:
                faults.append(f"infallible.txt, line {number}: {name} stands twice")
            names.add(name)
    return names, faults


def main():
    if sys.argv[1] == "--failing":
        print(" ".join(sorted(failing())))
        return
    wanted, fail = imports(sys.argv[1]), failing()
    never, faults = infallible()
    faults += [f"{name}: neither in calls.h nor in infallible.txt"
               for name in sorted(wanted - fail - never)]
    faults += [f"{name}: both in calls.h and in infallible.txt" for name in sorted(fail & never)]
    faults += [f"{name}: listed, but not imported" for name in sorted((fail | never) - wanted)]
    for fault in faults:
        print(fault)
    if not faults:
        print(f"{len(wanted)} imports: {len(fail)} fail in tests, {len(never)} cannot")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
