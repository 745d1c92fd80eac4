# SPDX-License-Identifier: Apache-2.0
"""The soak: an accelerated month, or (make soak-httpd) as many seconds as STEK_SOAK_S says."""
import json
import os

import pytest

from checks import lines
from soak import Soak

SECONDS = int(os.environ.get("STEK_SOAK_S", "0"))
MPM = os.environ.get("STEK_SOAK_MPM", "event")
SHORT_S, LIFETIME_S = 22, 18  # 18 s to 1 s as 18 h to 1 h


@pytest.mark.timeout((SECONDS or SHORT_S) + 300)
def test_soak_no_handshake_fails_no_window_is_lost_nothing_grows(httpd):
    server = httpd(mpm=MPM, processes=3,
                   server=lines(interval="1s", lifetime=f"{LIFETIME_S}s", poll="1s")
                   + ["MaxConnectionsPerChild 200"]).start()
    soak = Soak(server, SECONDS or SHORT_S, LIFETIME_S)
    soak.run(soak.month if SECONDS else soak.day)
    result = soak.result()
    print(json.dumps(result, indent=1))
    assert not result["faults"] and not result["wrong"], result
    assert result["handshakes"] > 5 * soak.seconds and result["resumed"] > 2 * soak.seconds
    assert result["keys"] > soak.seconds / 2, "it did not rotate"
    bounds = {"threads": 0, "fds": 0, "maps": 8, "locked_kb": 64, "rss_kb": 1024 if SECONDS else 4096}
    for what, bound in bounds.items():
        before, after = result["parent"][what]
        assert after <= before + bound, f"the parent's {what}: {result['parent']}"
