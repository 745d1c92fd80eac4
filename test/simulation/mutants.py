#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Puts deliberate bugs into the product, one at a time, and sees whether the simulator finds them.

Each is a replacement in sources, made in a copy of the tree; only the simulator is built there, and run
with fixed seeds and numbers of steps.  The tree itself has to stand up to as many histories as the last of
them took.  Prints how many were found, and after how many histories; the exit code is 0 only if all were.
Arguments: beginnings of mutants' names; none: all.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
STEPS = os.environ.get("STEPS", "400000")
SEEDS = os.environ.get("SEED", "1 105").split()  # the next one if the one before finds nothing

# name: file, text, what stands in its place; and so on, if one replacement is not enough.
# The first six are rules as they were once (issue 14, points 1 to 6).
MUTANTS = {
    "1: the first store that is overtaken ends the writing, and new keys are dropped": (
        "stekctl/fleet/sync.c",
        "            lost = lost || (written == SYNC_CHANGED && !views[i].distrusted);\n",
        "            lost = lost || written == SYNC_CHANGED;\n"
        "            if (lost) {\n                break;\n            }\n",
        "stekctl/fleet/sync.c",
        "    if (lost && plan->made > 0\n",
        "    if (lost) {\n        plan->made = 0;\n        return NULL;\n    }\n    if (lost && plan->made > 0\n"),
    "2: no room, no merge": (
        "src/stek_ring_merge.c",
        "    if (tombstone_n > TOMBSTONES_MAX) {",
        "    if (tombstone_n > TOMBSTONES_MAX || key_n > room) {"),
    "3: no floor": (
        "stekctl/fleet/floor.c",
        "    if (!host->options->floor_path) {\n        return;",
        "    if (fleet && day > 0) {\n        return;",
        "stekctl/fleet/floor.c",
        "    floor_open(host, host->fleet, host->day);\n    if (!is_kept(host)) {",
        "    floor_open(host, host->fleet, host->day);\n    if (now > 0) {"),
    "4: the next epoch is the number after it": (
        "src/stek_admit.c",
        "    apr_uint64_t next = epoch_at(now);",
        "    apr_uint64_t next = epoch + (now > 0);"),
    "5: any epoch comes in": (
        "src/stek_admit.c",
        "    return epoch <= known || epoch <= epoch_at(now + STEK_ADMIT_EPOCH_MARGIN) ? APR_SUCCESS",
        "    return epoch <= known || epoch > 0 || now > 0                             ? APR_SUCCESS"),
    "6: keys of any slot come in": (
        "src/stek_admit.c",
        "    return stek_ring_drop_later(ring, stek_admit_latest(ring, params, now));",
        "    return stek_ring_drop_later(ring, stek_admit_latest(ring, params, now) / 2 + APR_INT64_MAX / 2);"),
    "merge: tombstones of one side only": (
        "src/stek_ring_merge.c",
        "\n            && !has_tombstone(m->b_tombstones, key->name, m->now)) {",
        ") {"),
    "merge: keys of an older epoch stay": (
        "src/stek_ring_merge.c",
        "if (key && key->epoch >= m->epoch && ",
        "if (key && "),
    "merge: the smaller epoch": (
        "src/stek_ring_merge.c",
        "m.epoch = a->epoch > m.b->epoch ? a->epoch : m.b->epoch;",
        "m.epoch = b && a->epoch > b->epoch ? b->epoch : a->epoch;"),
    "merge: tombstones are not passed on": (
        "src/stek_ring_merge.c",
        "if (stek_tombstone_holds(tombstone, m->now)) {",
        "if (side < 0 && stek_tombstone_holds(tombstone, m->now)) {"),
    "merge: what there is no room for depends on the side": (
        "src/stek_ring_merge.c",
        "(place_t){.name = key->name,\n                             .key = key,",
        "(place_t){.name = key->hmac_key + (m->a_at & 7),\n                             .key = key,"),
    "merge: any key may take the place of one that encrypts": (
        "src/stek_ring_merge.c",
        "    int c = STEK_COMPARE(a->class, b->class);",
        "    int c = 0;"),
    "merge: each host goes by its own clock, when a ring is too full": (
        "src/stek_ring_merge.c",
        "    return ring->written_at > now && ",
        "    return now < 0 && "),
    "merge: what has ended for the latest clock still takes room": (
        "src/stek_ring_merge.c",
        "    if (!stek_key_can_decrypt(key, at, lifetime)) {",
        "    if (at < 0 && lifetime) {"),
    "tombstones: end with their keys": (
        "src/stek_ring.c",
        "tombstone->until > now - STEK_TOMBSTONE_MARGIN;",
        "tombstone->until > now;"),
    "schedule: a gap is no gap": (
        "src/stek_schedule.c",
        "        if (key->not_before > until) {",
        "        if (key->not_before > until + apr_time_from_sec(600)) {"),
    "plan: what a host's own lifetime ends is not written": (
        "stekctl/fleet/sync.c",
        "        rv = take_in(&plan->wanted, plan->shared, now);\n",
        ""),
    "cycle: the time is that of its first try": (
        "stekctl/fleet/sync.c",
        "        now = port->now(port->baton);",
        "        now = begun;"),
    "plan: keys are made only if a store answers": (
        "stekctl/fleet/sync.c",
        "    return !shared || stek_schedule_covered_until(shared, now) - now < SYNC_ALONE_BELOW;",
        "    return 0;"),
    "plan: an object that is refused stays": (
        "stekctl/fleet/sync.c",
        " || views[i].answer == SYNC_REFUSED",
        ""),
    "plan: only more keys are worth a write": (
        "stekctl/fleet/sync.c",
        "*placks = !stek_ring_equal(tidy, wanted);",
        "*placks = tidy->key_n < wanted->key_n;"),
    "plan: a host's own late keys stay": (
        "stekctl/fleet/sync_ring_file.c",
        "    if (before) {",
        "    if (before && now < 0) {"),
    "plan: late keys in a store are worth a write": (
        "stekctl/fleet/sync.c",
        "        (void)drop_later(tidy, rules, now);\n",
        ""),
    "stores: one that is overtaken keeps all from the file": (
        "stekctl/fleet/sync.c",
        "    if (lost && plan->made > 0\n",
        "    if (lost) {\n        plan->made = 0;\n        return NULL;\n    }\n    if (lost && plan->made > 0\n"),
    "stores: the epoch of an object is not looked at": (
        "stekctl/fleet/sync_ask_stores.c",
        "if (stek_admit_epoch(view->ring->epoch, host->known_epoch, now) != APR_SUCCESS) {",
        "if (now < 0) {"),
    "floor: forgotten in the plan": (
        "stekctl/fleet/sync_ring_file.c",
        "    return rv == APR_SUCCESS ? floor_add(host, pring, ringio_now()) : rv;",
        "    return rv;"),
    "floor: never written": (
        "stekctl/fleet/floor.c",
        "    floor_open(host, host->fleet, host->day);\n    if (!is_kept(host)) {",
        "    floor_open(host, host->fleet, host->day);\n    if (now > 0) {"),
    "floor: without the epoch": (
        "stekctl/fleet/floor.c",
        "    floor->epoch = ring->epoch;\n",
        ""),
    "floor: without tombstones": (
        "stekctl/fleet/floor.c",
        "rv == APR_SUCCESS && i < ring->tombstone_n; i++) {",
        "rv == APR_SUCCESS && i + 1 < ring->tombstone_n; i++) {"),
    "floor: sealed for a day, not for the next": (
        "stekctl/fleet/floor.c",
        "        for (; rv == STEK_ESECRET && d <= last; d++) {",
        "        for (d = day; rv == STEK_ESECRET && d <= day; d++) {"),
    "floor: does not follow a roll": (
        "stekctl/fleet/floor.c",
        "    if (ratchet_keys(fleet, day, &keys) == APR_SUCCESS) {\n        save",
        "    if (ratchet_keys(fleet, day, &keys) == APR_SUCCESS && day < 0) {\n        save"),
    "log: every change of a store's state": (
        "stekctl/fleet/sync_log.c",
        "    if (!may_log(store, changed ? LINES_MAX : REASONS_MAX, now)) {",
        "    if (!changed && !may_log(store, changed ? LINES_MAX : REASONS_MAX, now)) {"),
}


def copy_tree(target):
    files = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, check=True, capture_output=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (TOP / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, target / name)


def build(tree):
    return subprocess.run(["make", "-s", "-j2", "out/simulate"], cwd=tree, capture_output=True, text=True, check=False)


def simulate(tree, seed, *arguments):
    return subprocess.run(["out/simulate", "--seed", seed, "--no-shrink", *arguments], cwd=tree,
                          capture_output=True, text=True, check=False)


def replaced(tree, name, replacements):
    """The sources with their replacements."""
    texts = {}
    for file, before, after in zip(*[iter(replacements)] * 3):
        text = texts.get(file) or (tree / file).read_text()
        if text.count(before) != 1:
            sys.exit(f"mutants: {name}: {file} has its text {text.count(before)} times, not once")
        texts[file] = text.replace(before, after)
    return texts


def try_mutant(tree, name, replacements):
    """What the simulator says of it, with which seed, and after how many of its histories; None: nothing."""
    texts = replaced(tree, name, replacements)
    originals = {file: (tree / file).read_text() for file in texts}
    for file, text in texts.items():
        (tree / file).write_text(text)
    try:
        made = build(tree)
        if made.returncode:
            sys.exit(f"mutants: {name} cannot be built:\n{made.stderr}")
        for seed in SEEDS:
            ran = simulate(tree, seed, "--steps", STEPS)
            if ran.returncode not in (0, 1):
                sys.exit(f"mutants: {name}: the simulator itself failed ({ran.returncode}):\n{ran.stderr[-300:]}")
            if ran.returncode:
                said = re.search(r"FAILED (\(.*)", ran.stdout)
                after = re.search(r"the first after (\d+)", ran.stdout)
                return said.group(1), seed, int(after.group(1))
        return None
    finally:
        for file, text in originals.items():
            (tree / file).write_text(text)


def main():
    names = [name for name in MUTANTS if not sys.argv[1:] or name.startswith(tuple(sys.argv[1:]))]
    found, last = 0, dict.fromkeys(SEEDS, 0)
    with tempfile.TemporaryDirectory(prefix="stek-mutants-") as scratch:
        tree = Path(scratch)
        copy_tree(tree)
        for name in names:
            result = try_mutant(tree, name, MUTANTS[name])
            found += result is not None
            if result:
                said, seed, after = result
                last[seed] = max(last[seed], after)
                print(f"{name}: after {after} histories of seed {seed}: {said}", flush=True)
            else:
                print(f"{name}: NOT FOUND", flush=True)
        made = build(tree)
        if made.returncode:
            sys.exit(f"mutants: the tree itself cannot be built:\n{made.stderr}")
        for seed, after in last.items():
            ran = simulate(tree, seed, "--histories", str(after), "--steps", "1000000000")
            if ran.returncode:
                sys.exit(f"mutants: the tree itself fails:\n{ran.stdout[-2000:]}")
    print(f"{found} of {len(names)} mutants found")
    return found != len(names)


if __name__ == "__main__":
    sys.exit(main())
