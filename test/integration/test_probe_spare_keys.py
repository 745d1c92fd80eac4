# SPDX-License-Identifier: Apache-2.0
"""stekctl probe finds guessable keys that open tickets but make none: real servers with a good first key and a weak
second one; and invents none where the second key is as good as the first."""
import base64
import os

import pytest

from probe_servers import key_file
from probe_tool import ProbedHaproxy, ProbedNginx, Report
from stekctl_tool import DONE, FINDING

pytestmark = pytest.mark.timeout(120)
SMALL, LARGE = 48, 80
COUNTING = bytes(range(LARGE))


def nginx(folder, certs, keys):
    return ProbedNginx(folder, certs, "\n".join(f"ssl_session_ticket_key {key_file(folder, key)};" for key in keys))


def haproxy(folder, certs, keys):
    """The last but one makes tickets."""
    lines = b"".join(base64.b64encode(key) + b"\n" for key in (*keys[1:], keys[0], os.urandom(len(keys[0]))))
    return ProbedHaproxy(folder, certs, f"tls-ticket-keys {key_file(folder, lines)} ssl-min-ver TLSv1.2")


def probe(make, folder, certs, keys, *args, **options):
    server = make(folder, certs, keys)
    server.start()
    try:
        report = Report("--tickets", "4", *args, f"localhost:{server.port}", **options)
    finally:
        server.stop()
    return report


@pytest.mark.parametrize("make", [nginx, haproxy])
@pytest.mark.parametrize("second", [bytes(SMALL), bytes(LARGE), b"0123456789abcdef" * 5, COUNTING[:SMALL], COUNTING])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_probe_spare_key_found(folder, certs, make, second, version):
    if version == "1.2" and any(second):
        pytest.skip("before TLS 1.3, only zeros are tried")
    report = probe(make, folder, certs, [os.urandom(len(second)), second], "--tls", version)
    assert report.code == FINDING and set(report.findings()) == {(version, "cipher-key")}
    text = report.findings()[version, "cipher-key"]
    order = second[16:32] if len(second) == SMALL else second[48:]
    key = f"00 x {len(order)}" if not any(order) else order.hex()
    assert f"AES-{8 * len(order)}-CBC with the key {key}," in text
    found = next(test["found"] for test in report.versions[version]["tests"] if "found" in test)
    assert found["key"] == order.hex()
    assert found["secret_offset"] > found["text_offset"] == 32
    assert report.host["connections"] <= report.host["planned"]
