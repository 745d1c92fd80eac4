# SPDX-License-Identifier: Apache-2.0
"""Faults in directives fail configtest and say what is allowed; the state of files never does."""
import pytest

import ringfile
from checks import issued_now
from httpd import Vhost

# line(s) of the main server, then what the message must hold
BAD = [
    ("StekRing", ["StekRing", "name"]),
    ("StekRing ../x", ["StekRing", "../x", "letters"]),
    ("StekRing a/b", ["StekRing", "a/b", "letters"]),
    ("StekRing default interval", ["StekRing", "interval", "key=value"]),
    ("StekRing default intervall=1h", ["StekRing", "unknown key 'intervall' (did you mean 'interval'?): must be", "interval, lifetime"]),
    ("StekRing default Interval=1h", ["StekRing", "unknown key 'Interval' (did you mean 'interval'?): must be", "interval, lifetime"]),
    ("StekRing default interval=0s", ["StekRing", "interval", "'0s'", "between 1s and 7d"]),
    ("StekRing default interval=8d", ["StekRing", "interval", "'8d'", "between 1s and 7d"]),
    ("StekRing default lifetime=0s", ["StekRing", "lifetime", "'0s'", "between 1s and 7d"]),
    ("StekRing default lifetime=604801s",
     ["StekRing", "lifetime", "'604801s'", "between 1s and 7d"]),
    ("StekRing default interval=3600", ["StekRing", "interval", "'3600'", "unit"]),
    ("StekRing default interval=1hh", ["StekRing", "interval", "'1hh'", "unit"]),
    ("StekRing default interval=-1h", ["StekRing", "interval", "'-1h'", "unit"]),
    ("StekRing default interval=", ["StekRing", "interval", "''", "unit"]),
    ("StekRing default interval=1w", ["StekRing", "interval", "'1w'", "unit"]),
    ("StekRing default interval=9999999999s", ["StekRing", "interval", "'9999999999s'", "between 1s and 7d"]),
    ("StekRing default interval=10 min", ["StekRing", "interval", "'10'", "unit", "without a space"]),
    ("StekRing default interval = 1h", ["StekRing", "'interval'", "key=value", "without spaces"]),
    ('StekRing default file="/run/a b/x.ring"', ["StekRing", "b/x.ring", "key=value", '"file=/a b/c.ring"']),
    ("StekRing interval=1h", ["StekRing", "'interval=1h'", "the ring's name comes first: default interval=1h"]),
    ("StekRing default interval=2h lifetime=1h", ["StekRing", "default", "interval", "lifetime"]),
    ("StekRing default interval=1s lifetime=7d", ["StekRing", "default", "4096"]),
    ("StekRing default interval=1s lifetime=5000s", ["StekRing", "default", "4096"]),
    ("StekRing default ahead=-1", ["StekRing", "ahead", "'-1'", "between 0 and"]),
    ("StekRing default ahead=5000", ["StekRing", "ahead", "'5000'", "between 0 and"]),
    ("StekRing default ahead=x", ["StekRing", "ahead", "'x'", "between 0 and"]),
    ("StekRing default ahead=4096", ["StekRing", "default", "4096"]),
    ("StekRing default generate=maybe", ["StekRing", "generate", "'maybe'", "'on' or 'off'"]),
    ("StekRing default poll=0s", ["StekRing", "poll", "'0s'", "between 1s and"]),
    ("StekRing default poll=2h", ["StekRing", "poll", "'2h'", "between 1s and"]),
    ("StekRing default file=", ["StekRing", "file", "path"]),
    ("StekRing default secret=", ["StekRing", "secret", "path"]),
    ("StekRing a file=x.ring\nStekRing b file=x.ring",
     ["StekRing", "'a'", "'b'", "x.ring", "own file"]),
    ("StekRing a file=x.ring\nStekRing b file=./x.ring", ["StekRing", "'a'", "'b'", "own file"]),
    ("StekRing a file=stek_rotate/default.ring", ["StekRing", "'default'", "'a'", "own file"]),
    ("StekRing a file=x secret=x", ["StekRing", "'a'", "give each its own path"]),
    ("StekRing a file=x\nStekRing b file=y secret=x", ["StekRing", "'a'", "'b'", "x"]),
    ("StekRing a file=x\nStekRing b file=x.lock", ["StekRing", "'a'", "'b'", "lock"]),
    ("StekRing a file=x.lock\nStekRing b file=x", ["StekRing", "'a'", "'b'", "lock"]),
    ("StekRing a file=x secret=x.lock", ["StekRing", "'a'", "x.lock", "lock"]),
    ("StekRing a file=x\nStekRing b file=y secret=x.lock", ["StekRing", "'a'", "'b'", "lock"]),
    ("StekRing default file=Memory", ["StekRing", "file", "'Memory'", "lower case"]),
    ("StekRing default poll=1s interval=1h poll=2s", ["StekRing", "poll", "twice"]),
    ("StekUseRing nowhere", ["StekUseRing", "nowhere", "StekRing"]),
    ("StekUseRing", ["StekUseRing"]),
    ("StekRotate perhaps", ["StekRotate", "'perhaps'", "'on' or 'off'"]),
    ("StekRotate", ["StekRotate"]),
    ("StekTickets maybe", ["StekTickets", "'maybe'", "'on', 'off' or 'tls1.3'"]),
    ("StekTickets tls1.2", ["StekTickets", "'tls1.2'", "'on', 'off' or 'tls1.3'"]),
    ("StekTickets tls13", ["StekTickets", "'tls13' (did you mean 'tls1.3'?): must be 'on', 'off' or 'tls1.3'"]),
    ("StekTickets", ["StekTickets"]),
    ("StekTicketCount", ["StekTicketCount", "NUMBER [resumed=NUMBER] [max=NUMBER]"]),
    ("StekTicketCount 17", ["StekTicketCount", "'17'", "tickets between 0 and 16"]),
    ("StekTicketCount -1", ["StekTicketCount", "'-1'", "tickets between 0 and 16"]),
    ("StekTicketCount two", ["StekTicketCount", "'two'", "tickets between 0 and 16"]),
    ("StekTicketCount resumed=1", ["StekTicketCount", "'resumed=1'", "tickets between 0 and 16"]),
    ("StekTicketCount 2 1", ["StekTicketCount", "'1'", "resumed=NUMBER or max=NUMBER"]),
    ("StekTicketCount 2 resume=1", ["'resume=1' (did you mean 'resumed'?): must be resumed=NUMBER or max=NUMBER"]),
    ("StekTicketCount 2 Max=1", ["'Max=1' (did you mean 'max'?)"]),
    ("StekTicketCount 2 resumed = 1", ["StekTicketCount", "'resumed'", "without spaces"]),
    ("StekTicketCount 2 most=3", ["StekTicketCount", "'most=3'", "resumed=NUMBER or max=NUMBER"]),
    ("StekTicketCount 2 resumed=17", ["StekTicketCount", "resumed '17'", "between 0 and 16"]),
    ("StekTicketCount 2 resumed=", ["StekTicketCount", "resumed ''", "between 0 and 16"]),
    ("StekTicketCount 2 max=99999999999999999999", ["StekTicketCount", "max '9999", "between 0 and 16"]),
    ("StekTicketCount 2 max=3 resumed=1 max=3", ["StekTicketCount", "max is given twice"]),
    ("StekTicketCount 2 resumed=1 resumed=1", ["StekTicketCount", "resumed is given twice"]),
    ("StekTicketCount 2 max=1", ["StekTicketCount", "max '1'", "at least 2", "or 0"]),
    ("StekTicketCount 0 resumed=3 max=2", ["StekTicketCount", "max '2'", "at least 3", "or 0"]),
    ("StekTicketLifetime 0s", ["StekTicketLifetime", "'0s'", "between 1s and 7d"]),
    ("StekTicketLifetime 8d", ["StekTicketLifetime", "'8d'", "between 1s and 7d"]),
    ("StekTicketLifetime soon", ["StekTicketLifetime", "'soon'", "unit"]),
    ("StekTicketLifetime 19h", ["StekTicketLifetime", "19h", "18h"]),
]


@pytest.mark.parametrize("line, words", BAD, ids=[line.replace("\n", ";") for line, _ in BAD])
def test_directive_fault_fails_configtest_and_says_what_is_allowed(httpd, line, words):
    server = httpd(server=line.split("\n"))
    status, text = server.configtest()
    assert status != 0 and "Syntax OK" not in text
    for word in words:
        assert word in text, text


@pytest.mark.parametrize("line", ["StekRing default interval=1h", "StekRing two"])
def test_ring_inside_a_vhost_fails_configtest(httpd, line):
    status, text = httpd(vhosts=[Vhost("a.test", [line])]).configtest()
    assert status != 0 and "StekRing" in text


@pytest.mark.parametrize("line", ["StekUseRing nowhere", "StekTicketLifetime 19h"])
def test_vhost_fault_names_the_vhost(httpd, line):
    status, text = httpd(vhosts=[Vhost("a.test"), Vhost("b.test", [line])]).configtest()
    assert status != 0 and line.split()[0] in text and "b.test" in text


GOOD = ["StekRing default interval=1s lifetime=1s", "StekRing default interval=7d lifetime=7d",
        "StekRing default interval=1s lifetime=3900s", "StekRing default ahead=0",
        "StekRing default file=memory", "StekRing default generate=off poll=1h",
        "StekRing default interval=30min lifetime=2d ahead=24 poll=30s generate=on",
        "StekRing default interval=2h\nStekRing default lifetime=4h",
        "StekRing A-b_c.9 interval=1min lifetime=1h\nStekUseRing A-b_c.9",
        "StekRing a file=memory\nStekRing b file=memory", "StekUseRing late\nStekRing late",
        "StekRotate Off", "StekRotate ON", "StekTickets Tls1.3", "StekTicketCount 0",
        "StekTicketCount 16 resumed=16 max=16", "StekTicketCount 3 max=0 resumed=2", "StekTicketLifetime 18h", "StekTicketLifetime 1s"]


@pytest.mark.parametrize("line", GOOD, ids=[line.replace("\n", ";") for line in GOOD])
def test_directive_within_its_limits_passes_configtest(httpd, line):
    status, text = httpd(server=line.split("\n")).configtest()
    assert status == 0 and "Syntax OK" in text, text


def test_directive_spread_over_lines_adjusts_one_ring(httpd):
    server = httpd(server=["StekRing default interval=10min", "StekRing default lifetime=30min"])
    assert issued_now(server.start()).session.hint == 1800
    assert server.ring().interval == 600


def test_ring_at_paths_of_its_own(httpd):
    server = httpd()
    ring, secret = server.root / "run" / "mine.ring", server.root / "run" / "mine.secret"
    server.server = [f"StekRing default file={ring} secret={secret}"]
    server.start()
    stored = ringfile.Ring.read(ring, ringfile.read_secrets(secret))
    assert stored.find(server.get().name)


@pytest.mark.parametrize("state", ["absent", "garbage", "directory", "open to all"])
def test_state_of_files_never_fails_configtest(httpd, state):
    server = httpd()
    path = server.ring_path()
    path.parent.mkdir()
    if state == "garbage":
        path.write_bytes(b"garbage")
        server.secret_path().write_text("garbage")
    elif state == "directory":
        path.mkdir()
    elif state == "open to all":
        path.write_bytes(b"")
        path.chmod(0o666)
    before = sorted(str(p) for p in server.run_dir.rglob("*"))
    status, text = server.configtest()
    assert status == 0, text
    assert sorted(str(p) for p in server.run_dir.rglob("*")) == before, "configtest touches no file"


def test_without_mod_ssl_one_notice_and_idle(httpd):
    server = httpd(ssl=False).start()
    notices = server.lines(r"\[stek_rotate:")
    assert len(notices) == 1 and ":notice]" in notices[0]
    assert "load mod_ssl, or unload this module" in notices[0]
    assert not server.ring_path().exists() and server.answering_generation() == 1


@pytest.mark.parametrize("line", ["SSLSessionTicketKeyFile /x"])
def test_without_mod_ssl_its_directives_stay_invalid(httpd, line):
    status, text = httpd(ssl=False, server=[line]).configtest()
    stock_status, stock_text = httpd(ssl=False, server=[line], module=False).configtest()
    assert status != 0 and stock_status != 0
    message = f"Invalid command '{line.split()[0]}', perhaps misspelled or defined by a module"
    assert message in text and message in stock_text


def test_load_order_before_mod_ssl_works(httpd):
    server = httpd()
    ordered = server._load_lines
    server._load_lines = lambda: sorted(ordered(), key=lambda line: "stek_rotate" not in line)
    issued_now(server.start())


def test_fault_on_reload_keeps_the_server(httpd):
    # httpd ends on a reload with a faulty configuration; so apachectl tests first.
    server = httpd().start()
    server.server = ["StekRing default interval=0s"]
    assert server.configtest()[0] != 0
    server.server = []
    server.graceful()
    issued_now(server)
