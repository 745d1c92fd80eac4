# SPDX-License-Identifier: Apache-2.0
"""make release: what it leaves, when it refuses; contact addresses, licences, SBOM."""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from email.utils import parsedate_to_datetime

import pytest
import yaml

from conftest import CONTACTS, fill_in, git, put_sources
from test_packages import NAME, TOP, run, version

SPDX = re.compile(r"SPDX-License-Identifier: (\S+)")


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    put_sources(folder)
    return folder


def refused(folder, **environment):
    done = subprocess.run([sys.executable, "build/release.py"], cwd=folder, capture_output=True, text=True,
                          env=dict(os.environ, **environment))
    assert done.returncode == 1 and not (folder / "out").exists(), done.stdout + done.stderr
    return done.stderr


def test_release_leaves_packages_sbom_and_signed_checksums(release, gnupg):
    out = release / "out/release"
    names = {path.name for path in out.iterdir()}
    assert names >= {f"{NAME}.tar.gz", f"{NAME}.tar.gz.asc", f"{NAME}.spdx.json", "SHA256SUMS", "SHA256SUMS.asc"}
    assert {name.partition("_")[0] for name in names if name.endswith(".deb")} == \
        {"libapache2-mod-stek-rotate", "stekctl", "mod-stek-rotate-doc"}
    assert [name for name in names if name.endswith(".src.rpm")] and [name for name in names if name.endswith(".dsc")]
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=out)
    summed = {line.split("  ")[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
    assert summed == {name for name in names if not name.endswith(".asc") and name != "SHA256SUMS"}
    env = dict(os.environ, GNUPGHOME=str(gnupg))
    for name in ("SHA256SUMS", f"{NAME}.tar.gz"):
        run("gpg", "--batch", "--verify", f"{name}.asc", name, cwd=out, env=env)
    (out / "SHA256SUMS.asc").touch()
    assert "Signed." in (release / "out/release.log").read_text()


def test_release_sets_the_date_everywhere(release):
    changed = git("status", "--porcelain", cwd=release).split()
    assert {name for name in changed if name != "M"} == {"CHANGES.md", "build/rpm/mod_stek_rotate.spec",
                                                         "debian/changelog"}
    day = re.search(rf"^## {re.escape(version())}, (\d{{4}}-\d\d-\d\d)$", (release / "CHANGES.md").read_text(), re.M)
    changelog = (release / "debian/changelog").read_text()
    when = parsedate_to_datetime(re.search(r"^ -- .*>  (.*)$", changelog, re.M).group(1))
    assert day.group(1) == f"{when:%Y-%m-%d}" and abs(when.timestamp() - time.time()) < 6 * 3600
    assert changelog.startswith(f"mod-stek-rotate ({version()}-1~upstream1) unstable;")
    assert f"* {when:%a %b %d %Y} " in (release / "build/rpm/mod_stek_rotate.spec").read_text()
    with tarfile.open(release / f"out/release/{NAME}.tar.gz") as tar:
        assert {member.mtime for member in tar} == {int(when.timestamp())}


def test_release_tarball_is_the_same_from_its_tag(release, tmp_path):
    """Whenever the dates were committed."""
    other = tmp_path / "other"
    run("git", "clone", "-q", release, other)
    for name in ("CHANGES.md", "build/rpm/mod_stek_rotate.spec", "debian/changelog"):
        shutil.copy(release / name, other / name)
    git("commit", "-q", "-a", "-m", "Dates", cwd=other)
    trailer = re.search(r"^ -- .*>  (.*)$", (other / "debian/changelog").read_text(), re.M).group(1)
    seconds = int(parsedate_to_datetime(trailer).timestamp())
    run("build/dist.sh", NAME, tmp_path, cwd=other, env=dict(os.environ, SOURCE_DATE_EPOCH=str(seconds)))
    assert (tmp_path / f"{NAME}.tar.gz").read_bytes() == (release / f"out/release/{NAME}.tar.gz").read_bytes()
    again = run("build/make_sbom.py", tmp_path / f"{NAME}.tar.gz", version(), seconds, cwd=other)
    assert again == (release / f"out/release/{NAME}.spdx.json").read_text()


def test_release_without_contact_addresses_fails(checkout):
    said = refused(checkout)
    assert "fill in maintainer, email" not in said and "fill in email, security, homepage, git, browse, issues in " \
        "build/contacts, run make contacts, and commit" in said
    contacts = (checkout / "build/contacts").read_text()
    (checkout / "build/contacts").write_text(contacts.replace("issues ", "isues "))
    assert "'isues     = " in refused(checkout)
    (checkout / "build/contacts").write_text(re.sub(r"^git .*\n", "", contacts, flags=re.M))
    assert "build/contacts: no git" in refused(checkout)
    (checkout / "build/contacts").write_text(contacts.replace(".invalid", ".example.org"))
    assert "debian/control says '" in refused(checkout)


def test_release_of_what_is_not_committed_fails(checkout):
    fill_in(checkout)
    (checkout / "src/stek_new.c").write_text("")
    assert "not committed: src/stek_new.c" in refused(checkout)


def test_release_with_an_unknown_key_fails_before_it_builds(checkout, gnupg):
    fill_in(checkout)
    assert "gpg: " in refused(checkout, GNUPGHOME=str(gnupg), RELEASE_KEY="nobody@example.org")
    assert git("status", "--porcelain", cwd=checkout) == ""


def test_contacts_are_wherever_they_are_repeated(release):
    for name in git("ls-files", "-z", cwd=release).split("\0")[:-1]:
        if not name.startswith(("test/", "build/contacts.py")):
            text = (release / name).read_bytes()
            assert b"stek-rotate.invalid" not in text, name
    control = (release / "debian/control").read_text()
    for line in (f"Maintainer: {CONTACTS['maintainer']} <{CONTACTS['email']}>", f"Homepage: {CONTACTS['homepage']}",
                 f"Vcs-Git: {CONTACTS['git']}", f"Vcs-Browser: {CONTACTS['browse']}"):
        assert f"\n{line}\n" in control
    metadata = yaml.safe_load((release / "debian/upstream/metadata").read_text())
    assert metadata == {"Bug-Database": CONTACTS["issues"], "Repository": CONTACTS["git"],
                        "Repository-Browse": CONTACTS["browse"], "Security-Contact": CONTACTS["security"]}
    assert f"\n{CONTACTS['git']} refs/tags/v" in (release / "debian/watch").read_text()
    assert CONTACTS["security"] in (release / "SECURITY.md").read_text()


def test_contacts_that_differ_are_found(checkout):
    run("build/contacts.py", "check", cwd=checkout)
    for name in ("debian/control", "debian/watch", "debian/upstream/metadata", "build/rpm/mod_stek_rotate.spec",
                 "SECURITY.md", "debian/copyright", "debian/changelog"):
        text = (checkout / name).read_text()
        (checkout / name).write_text(text.replace(".invalid", ".example", 1))
        done = subprocess.run(["build/contacts.py", "check"], cwd=checkout, capture_output=True, text=True)
        assert done.returncode == 1 and f"{name} says '" in done.stderr
        (checkout / name).write_text(text)


def test_watch_finds_tags_of_releases():
    """As uscan reads it: the pattern stands for the whole name of a tag."""
    pattern = re.search(r" refs/tags/(\S+)$", (TOP / "debian/watch").read_text(), re.M).group(1)
    assert re.fullmatch(pattern, f"v{version()}").group(1) == version()
    assert not re.fullmatch(pattern, "v1.0-rc1")


# ---- licences -------------------------------------------------------------------------------------

def test_licences_follow_reuse():
    """Every file has a licence and a copyright, by its header or REUSE.toml; the texts of all are there, and no others.
    (reuse of Debian 12 does not know REUSE.toml yet.)"""
    settings = tomllib.loads((TOP / "REUSE.toml").read_text())
    assert settings["version"] == 1
    block, = settings["annotations"]
    assert block["path"] == "**" and block["precedence"] == "aggregate" and block["SPDX-FileCopyrightText"]
    named = {block["SPDX-License-Identifier"]}
    for name in git("ls-files", "-z", cwd=TOP).split("\0")[:-1]:
        if (TOP / name).is_file() and not name.startswith(("test/", "build/check_")):
            named |= set(SPDX.findall((TOP / name).read_text(errors="ignore").partition("\n\n")[0]))
    assert named == {path.stem for path in (TOP / "LICENSES").iterdir()} == {"Apache-2.0"}
    assert (TOP / "LICENSES/Apache-2.0.txt").read_bytes() == (TOP / "LICENSE").read_bytes()
    assert f"Copyright: {block['SPDX-FileCopyrightText']}" in (TOP / "debian/copyright").read_text()


# ---- SBOM -----------------------------------------------------------------------------------------

def test_sbom_describes_the_tarball(release):
    """SPDX 2.3: the fields that it requires, identifiers that are unique and lead somewhere, sums that are right."""
    tarball = release / f"out/release/{NAME}.tar.gz"
    bom = json.loads((release / f"out/release/{NAME}.spdx.json").read_text())
    assert bom["spdxVersion"] == "SPDX-2.3" and bom["dataLicense"] == "CC0-1.0" and bom["SPDXID"] == "SPDXRef-DOCUMENT"
    assert bom["documentNamespace"].startswith(CONTACTS["homepage"]) and "#" not in bom["documentNamespace"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", bom["creationInfo"]["created"])
    assert all(re.match(r"(Tool|Organization|Person): ", who) for who in bom["creationInfo"]["creators"])

    everything = [bom, *bom["packages"], *bom["files"]]
    known = [item["SPDXID"] for item in everything]
    assert len(known) == len(set(known)) and all(re.fullmatch(r"SPDXRef-[\w.-]+", name) for name in known)
    for relation in bom["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= set(known)
    assert all(package["name"] and package["downloadLocation"] and "filesAnalyzed" in package
               for package in bom["packages"])

    main = bom["packages"][0]
    assert main["versionInfo"] == version() and main["licenseDeclared"] == "Apache-2.0"
    sums = {entry["algorithm"]: entry["checksumValue"] for entry in main["checksums"]}
    assert sums["SHA256"] == hashlib.sha256(tarball.read_bytes()).hexdigest()
    with tarfile.open(tarball) as tar:
        inside = {f"./{member.name.partition('/')[2]}": hashlib.sha1(tar.extractfile(member).read()).hexdigest()
                  for member in tar if member.isfile()}
    assert {file["fileName"]: file["checksums"][0]["checksumValue"] for file in bom["files"]} == inside
    code = hashlib.sha1("".join(sorted(inside.values())).encode()).hexdigest()
    assert main["packageVerificationCode"]["packageVerificationCodeValue"] == code


def test_sbom_names_every_library_that_is_linked(release):
    bom = json.loads((release / f"out/release/{NAME}.spdx.json").read_text())
    named = {package["name"] for package in bom["packages"]}
    wanted = {"libssl-dev": "openssl", "apache2-ssl-dev": "httpd", "libcurl4-openssl-dev": "curl",
              "libhiredis-dev": "hiredis", "libjansson-dev": "jansson", "libmemcached-dev": "libmemcached",
              "libseccomp-dev": "libseccomp", "libevent-dev": "libevent"}
    control = (TOP / "debian/control").read_text()
    field = re.search(r"^Build-Depends:((?:.*\n )*.*)$", control, re.M).group(1)
    linked = [name for name in re.findall(r"[\w.+-]+-dev\b", field) if name != "libcmocka-dev"]
    assert set(linked) == set(wanted) and named == {"mod_stek_rotate", "apr", *wanted.values()}
