# SPDX-License-Identifier: Apache-2.0
"""stekctl probe finds guessable keys that open tickets but make none: real servers with a good first key and a weak
second one; and invents none where the second key is as good as the first."""
import base64
import hashlib
import json
import os
import re

import pytest

from probe_servers import key_file
from probe_tool import ProbedHaproxy, ProbedNginx, Report, json_lines, run
from stekctl_tool import FINDING

pytestmark = pytest.mark.timeout(120)
SMALL, LARGE = 48, 80
COUNTING = bytes(range(LARGE))


def nginx(folder, certs, keys):
    return ProbedNginx(folder, certs, "\n".join(f"ssl_session_ticket_key {key_file(folder, key)};" for key in keys))


def haproxy(folder, certs, keys):
    """The last but one makes tickets."""
    lines = b"".join(base64.b64encode(key) + b"\n" for key in (*keys[1:], keys[0], os.urandom(len(keys[0]))))
    return ProbedHaproxy(folder, certs, f"tls-ticket-keys {key_file(folder, lines)} ssl-min-ver TLSv1.2")


def probe(make, folder, certs, keys, *args, own=()):
    """A report, with which an analysis of the recording agrees."""
    server, path = make(folder, certs, keys), folder / "seen"
    server.start()
    try:
        report = Report("--tickets", "4", "--collect", path, *args, *own, f"localhost:{server.port}")
    finally:
        server.stop()
    hosts, _ = json_lines(run("--json", "--analyse", path, *own).stdout)
    assert hosts == report.whole["hosts"] and report.host["connections"] <= report.host["planned"]
    return report


def spare(version):
    """The text, and what was found."""
    test = next(test for test in version["tests"] if "found" in test)
    assert test["test"] == "cipher-key" and test["forged"] == "accepted"
    return test["text"], test["found"]


@pytest.mark.parametrize("make, second, version", [
    (nginx, bytes(SMALL), "1.2"), (haproxy, bytes(LARGE), "1.2"), (nginx, COUNTING, "1.3"), (haproxy, COUNTING, "1.3"),
])
def test_probe_spare_key_found(folder, certs, make, second, version):
    report = probe(make, folder, certs, [os.urandom(len(second)), second], "--tls", version)
    assert report.code == FINDING and set(report.findings()) == {(version, "cipher-key")}
    text, found = spare(report.versions[version])
    # Which of two keys comes first is nginx's and HAProxy's own.
    half = (len(second) - 16) // 2
    keys = second[16:16 + half], second[16 + half:]
    cipher_key, mac_key = keys[::-1] if make is nginx and half == 32 else keys
    assert found["key"] == cipher_key.hex() and found["algorithm"] == f"AES-{8 * half}-CBC"
    assert found["secret_offset"] > found["text_offset"] == 32
    assert f"HMAC-SHA256 with the key {mac_key.hex() if any(mac_key) else f'00 x {half}'}," in text


@pytest.mark.parametrize("make", [nginx, haproxy])
def test_probe_spare_keys_that_are_good_not_found(folder, certs, make):
    report = probe(make, folder, certs, [os.urandom(LARGE), os.urandom(LARGE)]).assert_clean()
    said = [test["text"] for test in report.versions["1.3"]["tests"] if test["test"] == "cipher-key"]
    assert len(said) == 2 and re.fullmatch(r"nor does the server open a ticket .* one of \d+ guessable keys, .*", said[1])


def test_probe_spare_key_of_a_list_found_and_redacted(folder, certs):
    """The user knows a file that was lost, and asks whether it still opens tickets."""
    lost, other = os.urandom(LARGE), os.urandom(SMALL)
    (folder / "list").write_text(f"# lost\n{other.hex()}\n{base64.b64encode(lost).decode()}\n")
    keys, own = [os.urandom(LARGE), os.urandom(LARGE), lost], ["--keys", folder / "list"]
    text, found = spare(probe(nginx, folder, certs, keys, "--tls", "1.3", own=own).versions["1.3"])
    assert found["key"] == lost[48:].hex() and lost[16:48].hex() in text
    hosts, _ = json_lines(run("--json", "--redact", "--analyse", folder / "seen").stdout)
    text, found = spare(hosts[0]["versions"][0])
    digest = f"sha256:{hashlib.sha256(lost[48:]).hexdigest()}"
    assert found["key_digest"] == digest and digest in text
    assert not any(part.hex() in json.dumps(hosts) for part in (lost[:16], lost[16:48], lost[48:]))


def test_probe_spare_keys_not_tested_where_tickets_are_taken_once(sinner):
    report = Report("--tls", "1.3", f"localhost:{sinner('mix:once=yes').port}").assert_clean()
    said = [(test["verdict"], test["text"]) for test in report.versions["1.3"]["tests"] if test["test"] == "cipher-key"]
    assert said[0][0] == "ok" and said[1][0] == "note" and "was not tested" in said[1][1]
