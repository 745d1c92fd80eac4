#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make release: source tarball, Debian packages, source RPM, SBOM and checksums, in out/release.

Dates a version that CHANGES.md calls unreleased: there, in debian/changelog and in the RPM spec.  All else must be
committed.  What is made has the changelog's time, so whoever checks out the tag makes the same tarball.
RELEASE_KEY names a key of gpg: it signs the tarball and the checksums."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
OUT = TOP / "out" / "release"
DATED = ["CHANGES.md", "build/rpm/mod_stek_rotate.spec", "debian/changelog"]
KEY = os.environ.get("RELEASE_KEY", "")


def fail(message):
    print(f"release: {message}", file=sys.stderr)
    sys.exit(1)


def run(*command, **options):
    done = subprocess.run(list(map(str, command)), cwd=TOP, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **options)
    if done.returncode:
        fail(f"{command[0]}: {(done.stderr or done.stdout)[-3000:].strip()}")
    return done.stdout


def replace(name, line, new):
    """In its first line that matches; False if there is none."""
    text, count = re.subn(line, new, (TOP / name).read_text(), count=1, flags=re.M)
    if count:
        (TOP / name).write_text(text)
    return count == 1


def set_dates(version):
    if not replace("CHANGES.md", rf"^## {re.escape(version)}, unreleased$",
                   f"## {version}, {datetime.now(timezone.utc):%Y-%m-%d}"):
        return False
    now = datetime.now(timezone.utc).replace(microsecond=0)
    good = replace("debian/changelog", r"^(mod-stek-rotate \S+) \w+;", r"\1 unstable;")
    good &= replace("debian/changelog", r"^( -- .*>)  .*$", rf"\1  {format_datetime(now)}")
    good &= replace("build/rpm/mod_stek_rotate.spec", r"^\* \w{3} \w{3} \d\d \d{4} ", f"* {now:%a %b %d %Y} ")
    if not good:
        fail(f"no place for the date in {' or '.join(DATED)}")
    return True


def sign(path):
    asc = path.with_name(path.name + ".asc")
    run("gpg", "--batch", "--yes", "--armor", "--local-user", KEY, "--output", asc, "--detach-sign", path)
    run("gpg", "--batch", "--verify", asc, path)


def main():
    header = (TOP / "include" / "stek_version.h").read_text()
    version = re.search(r'STEK_VERSION "(.+)"', header).group(1)
    run("build/contacts.py", "filled")
    run("build/check_version.sh")
    if KEY:
        run("gpg", "--batch", "--list-secret-keys", KEY)
    changed = [line[3:] for line in run("git", "status", "--porcelain").splitlines()]
    if other := [name for name in changed if name not in DATED]:
        fail(f"not committed: {', '.join(other)}")
    dated = set_dates(version)

    trailer = re.search(r"^ -- .*>  (.*)$", (TOP / "debian" / "changelog").read_text(), re.M).group(1)
    seconds = int(parsedate_to_datetime(trailer).timestamp())
    env = dict(os.environ, SOURCE_DATE_EPOCH=str(seconds))
    name = f"mod_stek_rotate-{version}"
    run("build/deb.sh", name, env=env)
    run("build/rpm.sh", name, "source", env=env)

    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    tarball = OUT / f"{name}.tar.gz"
    made = [path for path in (TOP / "out" / "deb").iterdir() if path.is_file() and path.suffix != ".log"]
    for path in made + list((TOP / "out" / "rpm" / "SRPMS").glob("*.rpm")):
        shutil.copy(path, OUT)
    (OUT / f"{name}.spdx.json").write_text(run("build/make_sbom.py", tarball, version, seconds))
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(OUT.iterdir()))
    (OUT / "SHA256SUMS").write_text(sums)
    if KEY:
        sign(tarball)
        sign(OUT / "SHA256SUMS")

    print(f"{OUT.relative_to(TOP)}:", *sorted(path.name for path in OUT.iterdir()), sep="\n  ")
    print("Signed." if KEY else "Not signed: RELEASE_KEY=ID names a key of gpg.")
    if dated or changed:
        print(f"Dated. Commit and tag it: git commit -am 'Version {version}' && git tag -s v{version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
