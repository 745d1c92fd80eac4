# SPDX-License-Identifier: Apache-2.0
"""What tests of packages share: one release, made of what stands here."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
CONTACTS = {"maintainer": "Jane Roe", "email": "jane@example.org", "security": "security@example.org",
            "homepage": "https://stek.example.org", "git": "https://git.example.org/stek.git",
            "browse": "https://git.example.org/stek", "issues": "https://git.example.org/stek/issues"}


def git(*words, cwd):
    env = dict(os.environ, GIT_AUTHOR_NAME="x", GIT_AUTHOR_EMAIL="x@example.org", GIT_COMMITTER_NAME="x",
               GIT_COMMITTER_EMAIL="x@example.org")
    return subprocess.run(["git", *words], cwd=cwd, env=env, check=True, capture_output=True, text=True).stdout


def put_sources(to):
    """A repository of its own with what stands here, committed or not, as its one commit."""
    for name in git("ls-files", "-co", "--exclude-standard", "-z", cwd=TOP).split("\0")[:-1]:
        if (TOP / name).exists():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / name, to / name)
    git("init", "-q", cwd=to)
    git("add", "-A", cwd=to)
    git("commit", "-q", "-m", "Sources", cwd=to)


def fill_in(checkout):
    """As a maintainer does before a release."""
    lines = [line for line in (checkout / "build/contacts").read_text().splitlines() if line.startswith("#")]
    (checkout / "build/contacts").write_text("\n".join(lines + [f"{k} = {v}" for k, v in CONTACTS.items()]) + "\n")
    subprocess.run(["build/contacts.py", "write"], cwd=checkout, check=True)
    git("commit", "-q", "-a", "-m", "Contacts", cwd=checkout)


@pytest.fixture(scope="session")
def gnupg():
    """A keyring with one key that can sign; its sockets need a short path."""
    home = Path(tempfile.mkdtemp(prefix="stek-gpg-"))
    env = dict(os.environ, GNUPGHOME=str(home))
    subprocess.run(["gpg", "--batch", "--passphrase", "", "--quick-gen-key", "release@example.org", "ed25519", "sign"],
                   env=env, check=True, capture_output=True)
    yield home
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def release(tmp_path_factory, gnupg):
    """The checkout in which "make release" has been run.  Packages without optimisation and unit tests, which other
    steps have: the build is half as long."""
    checkout = tmp_path_factory.mktemp("release") / "checkout"
    checkout.mkdir()
    put_sources(checkout)
    fill_in(checkout)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "DEB_", "SOURCE_DATE"))}
    env.update(GNUPGHOME=str(gnupg), RELEASE_KEY="release@example.org", DEB_BUILD_OPTIONS="nocheck noddebs noopt")
    done = subprocess.run(["make", "--no-print-directory", "release"], cwd=checkout, env=env,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (checkout / "out/release.log").write_text(done.stdout)
    return checkout
