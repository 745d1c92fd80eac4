#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks beside the peers: tables on the terminal, all of it as JSON, the comparisons as a chart.

    main.py [--quick|--smoke] [--out DIR] [PART ...]

Parts: callback connection size handshakes rotation day scale postquantum push; all without any.  `make bench` builds what they need.
docs/performance.md tells what is measured and how to read it."""
import argparse
import importlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
# The servers and clients of the integration tests; before this directory, which has a fleet.py too.
sys.path.insert(0, str(TOP / "test" / "integration"))

import chart  # noqa: E402
import machine  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402

PARTS = ("callback", "connection", "size", "handshakes", "rotation", "day", "scale", "postquantum", "push")


class Run:
    """What a part is given: its size, certificates, and where to say how far it is."""

    def __init__(self, size, certs):
        self.size, self.certs, self.began = size, certs, time.monotonic()

    def pick(self, full, quick, smoke):
        return {"full": full, "quick": quick, "smoke": smoke}[self.size]

    def say(self, text):
        print(f"  [{time.monotonic() - self.began:5.0f} s] {text}", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about two minutes, rough")
    parser.add_argument("--smoke", action="store_true", help="only whether everything runs")
    parser.add_argument("--out", type=Path, default=TOP / "bench" / "out")
    parser.add_argument("parts", nargs="*", metavar="PART")
    found = parser.parse_args()
    if wrong := [part for part in found.parts if part not in PARTS]:
        parser.error(f"no such part: {' '.join(wrong)}; there are {' '.join(PARTS)}")
    return found


def main():
    given = arguments()
    size = "smoke" if given.smoke else "quick" if given.quick else "full"
    result = {"size": size, "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
              "machine": machine.describe(), "parts": {}}
    report.print_machine(result["machine"])
    given.out.mkdir(parents=True, exist_ok=True)
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="stek-bench-", dir=base) as folder:
        os.chmod(folder, 0o755)
        run = Run(size, servers.make_certs(Path(folder)))
        for name in given.parts or PARTS:
            print(f"\n== {name}", flush=True)
            part = importlib.import_module(f"part_{name}").measure(run)
            result["parts"][name] = part.data()
            part.show()
            # After each part: what is there is not lost if a later one fails.
            (given.out / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
            (given.out / "bench.svg").write_text(chart.draw(result))
    report.print_goals(result)
    print(f"\nWritten: {given.out}/bench.json, {given.out}/bench.svg")


if __name__ == "__main__":
    main()
