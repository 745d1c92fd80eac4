#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs unit test programs side by side and counts what they say.

Each argument is a command.  A cmocka program says "[  PASSED  ] N test(s)" and "[  FAILED  ] N
test(s)"; any other program counts as one test.  A program that fails shows its whole output.  The last
line is "N passed, N failed", and how many were skipped; the exit code is 0 only if something ran and
nothing failed.

A program is ended when it has used its seconds of processor time, however long a busy or slow machine takes to give
them, or when it has used none for as long.

A test that needs a right which is not there says "needs WHAT" and is skipped.  One that is skipped without
a word has failed; so has each with STEK_NO_SKIP, as "make check" by root has it.
"""
import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import time


def used_s(pid):
    """Processor time of a process and of those of its children that have ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def wait(process, timeout_s):
    """Its exit code, or None if it had to be ended."""
    used, since = 0.0, time.monotonic()
    while True:
        try:
            return process.wait(min(1, timeout_s / 10))
        except subprocess.TimeoutExpired:
            now_used = used_s(process.pid)
        if now_used > used:
            used, since = now_used, time.monotonic()
        if used > timeout_s or time.monotonic() - since > timeout_s:
            process.kill()
            process.wait()
            return None


def run(command, logs, timeout_s):
    words = shlex.split(command)
    name = os.path.basename(words[0])
    if name.startswith("python"):
        name = os.path.basename(words[1])
    start = time.monotonic()
    log_path = os.path.join(logs, name + ".log")
    with open(log_path, "wb") as log:
        try:
            with subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as process:
                code = wait(process, timeout_s)
            if code is None:
                log.write(f"\nstill running after {timeout_s:g} s of work, or none in {timeout_s:g} s: ended\n".encode())
                code = -1
        except OSError as error:
            log.write(f"{error}\n".encode())
            code = -1
    with open(log_path, "rb") as log:
        text = log.read().decode("utf-8", "replace")
    return name, code, text, time.monotonic() - start


def count(code, text):
    # Debian 13's cmocka names the group too, but not where tests have passed.
    passed, failed, skipped = (
        sum(int(n) for n in re.findall(rf"\[ +{word} +\] (?:\w+: )?(\d+) test\(s\)", text))
        for word in ("PASSED", "FAILED", "SKIPPED"))
    needs = re.findall(r"^needs (.+)$", text, re.M)
    if skipped and (os.environ.get("STEK_NO_SKIP") or len(needs) != skipped):
        failed, skipped = failed + skipped, 0
    if code != 0 and failed == 0:
        failed = 1
    if passed == 0 and failed == 0 and skipped == 0:
        passed = 1
    return passed, failed, skipped, needs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-j", type=int, default=2, dest="jobs")
    parser.add_argument("--logs", required=True)
    parser.add_argument("--timeout", type=float, default=600, help="seconds of processor time for each program, and of standing still")
    parser.add_argument("commands", nargs="+")
    args = parser.parse_args()
    os.makedirs(args.logs, exist_ok=True)
    passed_n = failed_n = skipped_n = 0
    lacking = set()
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(run, c, args.logs, args.timeout) for c in args.commands]
        for job in concurrent.futures.as_completed(jobs):
            name, code, text, seconds = job.result()
            passed, failed, skipped, needs = count(code, text)
            skipped_n += skipped
            lacking.update(needs)
            passed_n += passed
            failed_n += failed
            print(f"  {'FAIL' if failed else 'ok  '} {name}: {passed} passed, {failed} failed"
                  f"{', %d skipped' % skipped if skipped else ''} ({seconds:.1f} s)", flush=True)
            if failed:
                print(text.rstrip() + f"\n  {name}: exit code {code}", flush=True)
    for what in sorted(lacking):
        print(f"  not run: tests that need {what}")
    print(f"{passed_n} passed, {failed_n} failed" + (f", {skipped_n} skipped" if skipped_n else ""))
    return 1 if failed_n or not passed_n else 0


if __name__ == "__main__":
    sys.exit(main())
