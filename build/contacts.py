#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The contact addresses of build/contacts, in the files that repeat them.

Usage: contacts.py write     puts them there (make contacts)
       contacts.py check     fails if one says otherwise (make lint)
       contacts.py filled    the same, and fails if one is still to be filled in (make release)"""
import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
SOURCE = "build/contacts"
NAMES = ["maintainer", "email", "security", "homepage", "git", "browse", "issues"]
PERSON = "{maintainer} <{email}>"
# File, a line of it whose group is the value, the value.  In changelogs: the newest entry.
PLACES = [
    ("debian/control", r"^Maintainer: (.*)$", PERSON),
    ("debian/control", r"^Homepage: (.*)$", "{homepage}"),
    ("debian/control", r"^Vcs-Git: (.*)$", "{git}"),
    ("debian/control", r"^Vcs-Browser: (.*)$", "{browse}"),
    ("debian/changelog", r"^ -- (.*?)  \w", PERSON),
    ("debian/copyright", r"^Upstream-Contact: (.*)$", PERSON),
    ("debian/copyright", r"^Source: (.*)$", "{browse}"),
    ("debian/upstream/metadata", r"^Bug-Database: (.*)$", "{issues}"),
    ("debian/upstream/metadata", r"^Repository: (.*)$", "{git}"),
    ("debian/upstream/metadata", r"^Repository-Browse: (.*)$", "{browse}"),
    ("debian/upstream/metadata", r"^Security-Contact: (.*)$", "{security}"),
    ("debian/watch", r"^(https?://\S+)", "{git}"),
    ("build/rpm/mod_stek_rotate.spec", r"^URL: +(.*)$", "{homepage}"),
    ("build/rpm/mod_stek_rotate.spec", r"^\* \w{3} \w{3} \d\d \d{4} (.*) - ", PERSON),
    ("SECURITY.md", r"^Write to ([^\s,]+)", "{security}"),
]


def fail(message):
    print(f"contacts: {message}", file=sys.stderr)
    sys.exit(1)


def read():
    values = {}
    for line in (TOP / SOURCE).read_text().splitlines():
        if line and not line.startswith("#"):
            name, equals, value = (part.strip() for part in line.partition("="))
            if name not in NAMES or not equals or not value or name in values:
                fail(f"{SOURCE}: '{line}': each of these once, with '=' and a value: {', '.join(NAMES)}")
            values[name] = value
    if missing := [name for name in NAMES if name not in values]:
        fail(f"{SOURCE}: no {', '.join(missing)}")
    return values


def main():
    if len(sys.argv) != 2 or sys.argv[1] not in ("write", "check", "filled"):
        print(__doc__.rpartition("Usage: ")[2], file=sys.stderr)
        return 2
    values = read()
    other = []
    for name, line, value in PLACES:
        text, value = (TOP / name).read_text(), value.format(**values)
        found = re.search(line, text, re.M)
        if not found:
            fail(f"{name}: no line that matches {line}")
        if found.group(1) == value:
            continue
        if sys.argv[1] == "write":
            (TOP / name).write_text(text[:found.start(1)] + value + text[found.end(1):])
        else:
            other.append(f"{name} says '{found.group(1)}', {SOURCE} '{value}'")
    if other:
        fail("; ".join(other) + ": run make contacts")
    if sys.argv[1] == "filled":
        if empty := [name for name in NAMES if re.search(r"\.invalid\b", values[name])]:
            fail(f"fill in {', '.join(empty)} in {SOURCE}, run make contacts, and commit")
    return 0


if __name__ == "__main__":
    sys.exit(main())
