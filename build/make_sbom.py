#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""SBOM of a source tarball (SPDX 2.3, JSON), to standard output: each of its files with its checksums, and
what the module and stekctl are linked with.  The same bytes for the same tarball and time.

Usage: make_sbom.py TARBALL VERSION SECONDS"""
import hashlib
import json
import re
import sys
import tarfile
from datetime import datetime, timezone
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
LICENSE, COPYRIGHT = "Apache-2.0", "2026 mod_stek_rotate contributors"
# Name, licence as its project declares it, what of ours needs it, oldest version.  Optional for stekctl.
NEEDED = [
    ("httpd", "Apache-2.0", "the module is loaded by it", "2.4.52"),
    ("openssl", "Apache-2.0", "module and stekctl are linked with it", "3.0"),
    ("apr", "Apache-2.0", "module and stekctl are linked with it", None),
]
OPTIONAL = [
    ("libmemcached", "BSD-3-Clause", "stekctl: memcached", None),
    ("hiredis", "BSD-3-Clause", "stekctl: Redis and Valkey", "0.14"),
    ("jansson", "MIT", "stekctl: etcd", None),
    ("curl", "curl", "stekctl: etcd; loaded when it is used", "7.77"),
    ("libseccomp", "LGPL-2.1-only", "stekctl: confines what talks to stores", None),
    ("libevent", "BSD-3-Clause", "stekctl: probe --hosts", None),
]


def sums(data):
    return [{"algorithm": name.upper(), "checksumValue": hashlib.new(name, data).hexdigest()}
            for name in ("sha1", "sha256")]


def kind(name):
    if name.endswith((".c", ".h", ".py", ".sh", ".mk", ".go", ".java", "Makefile")):
        return "SOURCE"
    return "DOCUMENTATION" if name.endswith((".md", ".5", ".8")) else "OTHER"


def files_of(tarball):
    """Sorted by name, as SPDX wants them; without links."""
    found = []
    with tarfile.open(tarball) as tar:
        for member in sorted(tar.getmembers(), key=lambda member: member.name):
            if member.isfile():
                name = member.name.partition("/")[2]
                found.append({
                    "SPDXID": f"SPDXRef-File-{len(found) + 1}", "fileName": f"./{name}", "fileTypes": [kind(name)],
                    "checksums": sums(tar.extractfile(member).read()), "licenseConcluded": LICENSE,
                    "licenseInfoInFiles": [LICENSE], "copyrightText": COPYRIGHT})
    return found


def library(name, license_, why, oldest):
    return {"SPDXID": f"SPDXRef-{name}", "name": name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "licenseConcluded": "NOASSERTION", "licenseDeclared": license_, "copyrightText": "NOASSERTION",
            "comment": why + (f"; {oldest} or later" if oldest else ""),
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:generic/{name}"}]}


def document(tarball, version, seconds):
    contacts = dict(re.findall(r"^(\w+) *= *(.+)$", (TOP / "build" / "contacts").read_text(), re.M))
    person = f"{contacts['maintainer']} ({contacts['email']})"
    data, files = Path(tarball).read_bytes(), files_of(tarball)
    code = hashlib.sha1("".join(sorted(file["checksums"][0]["checksumValue"] for file in files)).encode()).hexdigest()
    main = {
        "SPDXID": "SPDXRef-mod-stek-rotate", "name": "mod_stek_rotate", "versionInfo": version,
        "packageFileName": Path(tarball).name, "supplier": f"Organization: {person}",
        "downloadLocation": f"git+{contacts['git']}@v{version}", "homepage": contacts["homepage"],
        "filesAnalyzed": True, "packageVerificationCode": {"packageVerificationCodeValue": code},
        "checksums": sums(data), "licenseConcluded": LICENSE, "licenseDeclared": LICENSE,
        "licenseInfoFromFiles": [LICENSE], "copyrightText": COPYRIGHT, "primaryPackagePurpose": "SOURCE",
        "hasFiles": [file["SPDXID"] for file in files]}
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", main["SPDXID"])]
    relations += [(main["SPDXID"], "DEPENDS_ON", f"SPDXRef-{row[0]}") for row in NEEDED]
    relations += [(f"SPDXRef-{row[0]}", "OPTIONAL_DEPENDENCY_OF", main["SPDXID"]) for row in OPTIONAL]
    return {
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"mod_stek_rotate-{version}",
        "documentNamespace": f"{contacts['homepage']}/spdx/mod_stek_rotate-{version}-{hashlib.sha256(data).hexdigest()}",
        "creationInfo": {
            "created": datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": [f"Organization: {person}", f"Tool: mod_stek_rotate-make_sbom-{version}"]},
        "packages": [main, *(library(*row) for row in NEEDED + OPTIONAL)],
        "files": files,
        "relationships": [{"spdxElementId": a, "relationshipType": kind_, "relatedSpdxElement": b}
                          for a, kind_, b in relations]}


def main():
    if len(sys.argv) != 4:
        print(__doc__.rpartition("\n\n")[2], file=sys.stderr)
        return 2
    json.dump(document(sys.argv[1], sys.argv[2], int(sys.argv[3])), sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
