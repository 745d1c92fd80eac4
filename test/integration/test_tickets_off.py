# SPDX-License-Identifier: Apache-2.0
"""StekTickets: no tickets and no resumable sessions, visibly, and for that vhost only."""
import re
import subprocess

import pytest

import httpd as harness
from checks import VERSIONS
from fleet import Memcached
from httpd import HAS_SNI_POLICY, Vhost
from seed import seeded_rng

OFF, ON = ["StekTickets off"], ["StekTickets on"]
OFF_NODE = "SSLOpenSSLConfCmd Options -SessionTicket"
ON_NODE = "SSLOpenSSLConfCmd Options SessionTicket"
CACHES = ["none", "shmcb"]
HTTP2 = ["Protocols h2 http/1.1"]


def cache_lines(server, cache):
    """Beside the harness's `SSLSessionCache none`: the last one counts."""
    if cache == "shmcb":
        server.modules.append("socache_shmcb")
        server.server.append(f"SSLSessionCache shmcb:{server.run_dir}/cache(512000)")


def resumes(server, host, version, **options):
    """Whether any session that the vhost leaves its client can be resumed, by ticket or by id."""
    first = server.get(host, tls=version, **options)
    assert first.status == 200 and not first.resumed
    found = []
    for session in first.sessions + first.tickets:
        reply = server.get(host, tls=version, session=session, **options)
        assert reply.status == 200
        found.append(reply.resumed)
    return any(found)


@pytest.mark.parametrize("cache", CACHES)
def test_off_leaves_nothing_to_resume(httpd, mpm, version, cache):
    server = httpd(mpm=mpm, server=OFF)
    cache_lines(server, cache)
    server.start()
    for tickets in (True, False):
        assert not resumes(server, "a.test", version, tickets=tickets)
    assert not server.get(tls=version).tickets


@pytest.mark.parametrize("cache", CACHES)
def test_off_is_of_that_vhost_only(httpd, version, cache):
    server = httpd(vhosts=[Vhost("on.test"), Vhost("off.test", OFF), Vhost("last.test")])
    cache_lines(server, cache)
    server.start()
    assert resumes(server, "on.test", version) and resumes(server, "last.test", version)
    assert not resumes(server, "off.test", version)
    assert not resumes(server, "off.test", version, tickets=False)
    # By session id: what the cache of a stock vhost gives.
    if version == "1.2":
        assert resumes(server, "on.test", version, tickets=False) is (cache == "shmcb")


def test_off_accepts_no_ticket_of_before(httpd, version):
    server = httpd(vhosts=[Vhost("on.test"), Vhost("a.test")]).start()
    session = server.get("a.test", tls=version).session
    assert server.get("a.test", tls=version, session=session).resumed
    server.vhosts[1].lines = OFF
    server.graceful()
    reply = server.get("a.test", tls=version, session=session)
    assert reply.status == 200 and not reply.resumed and not reply.tickets


@pytest.fixture
def memcached():
    server = Memcached().start()
    yield server
    server.remove()


@pytest.mark.parametrize("lines", [OFF, ["StekRotate off"] + OFF], ids=["rotate", "no rotate"])
def test_off_accepts_no_cached_session_of_before(httpd, memcached, lines):
    """A cache of its own process outlives the reload."""
    server = httpd(modules=["socache_memcache"], vhosts=[Vhost("on.test"), Vhost("a.test")])
    server.server.append(f"SSLSessionCache memcache:127.0.0.1:{memcached.port}")
    server.start()
    sessions = {host: server.get(host, tls="1.2", tickets=False).sessions[0]
                for host in ("a.test", "on.test")}
    for host, session in sessions.items():
        assert server.get(host, tls="1.2", tickets=False, session=session).resumed
    server.vhosts[1].lines = lines
    server.graceful()
    for host, session in sessions.items():
        reply = server.get(host, tls="1.2", tickets=False, session=session)
        assert reply.status == 200 and reply.resumed is (host == "on.test")


@pytest.mark.parametrize("cache", CACHES)
def test_on_undoes_an_inherited_off(httpd, version, cache):
    server = httpd(server=OFF, vhosts=[Vhost("on.test", ON), Vhost("off.test")])
    cache_lines(server, cache)
    server.start()
    reply = server.get("on.test", tls=version)
    assert reply.tickets and server.get("on.test", tls=version, session=reply.session).resumed
    assert not resumes(server, "off.test", version)


@pytest.mark.parametrize("where", ["server", "vhost"])
def test_ssl_session_tickets_off_is_respected(httpd, version, where):
    """Also with `StekTickets on`, which is not said of what mod_ssl was told."""
    lines = ["SSLSessionTickets off"]
    server = httpd(server=lines + ON if where == "server" else ON,
                   vhosts=[Vhost("a.test", lines + ON if where == "vhost" else [])]).start()
    reply = server.get(tls=version)
    assert reply.status == 200 and not [s for s in reply.tickets if server.ring().find(s.name)]
    for session in reply.sessions:
        assert not server.get(tls=version, session=session).resumed


# The node in the configuration.

def dump(server):
    """What `-t -D DUMP_CONFIG` says, directives only."""
    server.write_conf()
    done = subprocess.run([harness.BINARY, "-t", "-D", "DUMP_CONFIG", "-f", server.conf],
                          capture_output=True, text=True, env=server.env, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    return [line for line in lines if not line.startswith("#")]


def nodes(lines):
    return [line for line in lines if re.match(r"SSLOpenSSLConfCmd Options -?SessionTicket$", line)]


INHERITED = [Vhost(f"v{i}.test") for i in range(3)]
EMITTED = {
    "main server, three vhosts inherit": (OFF, INHERITED, [OFF_NODE]),
    "one vhost": ([], [Vhost("a.test"), Vhost("b.test", OFF)], [OFF_NODE]),
    "said twice": (OFF + OFF, INHERITED, [OFF_NODE]),
    "said twice in a vhost": ([], [Vhost("a.test", OFF + OFF)], [OFF_NODE]),
    "off, and on in a vhost": (OFF, [Vhost("a.test", ON), Vhost("b.test")], [OFF_NODE, ON_NODE]),
    "off, then on": (OFF + ON, INHERITED, [OFF_NODE, ON_NODE]),
    "in a container": (["<IfModule ssl_module>", *OFF, "</IfModule>"], INHERITED, [OFF_NODE]),
    "never": ([], INHERITED, []),
}


@pytest.mark.parametrize("case", EMITTED)
def test_node_is_in_the_dump_of_the_configuration_once(httpd, case):
    lines, vhosts, expected = EMITTED[case]
    server = httpd(server=lines, vhosts=vhosts, modules=["info"])
    assert nodes(dump(server)) == expected


def test_node_stands_in_its_vhost_below_the_directive(httpd):
    server = httpd(vhosts=[Vhost("a.test"), Vhost("b.test", ["StekBinding policy", *OFF,
                                                             "StekMaxSessionAge 1h"])],
                   modules=["info"])
    lines = dump(server)
    at = lines.index(OFF_NODE)
    assert lines[at - 1] == "StekTickets off" and lines[at + 1] == "StekMaxSessionAge 1h"
    assert "ServerName b.test" in lines[lines.index("ServerName a.test"):at]


def test_node_is_on_the_page_of_mod_info_once(httpd, version):
    info = ["<Location /server-info>", "SetHandler server-info", "</Location>"]
    server = httpd(server=OFF + info, vhosts=INHERITED, modules=["info"]).start()

    def page():
        text = server.get(tls=version, path="/server-info?config").body.decode()
        return re.sub(r"<[^>]+>|&nbsp;", " ", text)
    found = r"SSLOpenSSLConfCmd\s+Options\s+-SessionTicket"
    assert len(re.findall(found, page())) == 1
    server.graceful()
    assert len(re.findall(found, page())) == 1


def test_node_is_not_emitted_without_mod_ssl(httpd):
    server = httpd(ssl=False, server=OFF, vhosts=[Vhost("a.test", OFF, tls=False)],
                   modules=["info"])
    lines = dump(server)
    assert "StekTickets off" in lines and nodes(lines) == []
    server.start()
    assert server.answering_generation() == 1


# What the administrator is told.

def test_lint_off_first_on_its_address_names_both(httpd):
    server = httpd(vhosts=[Vhost("off.test", OFF), Vhost("b.test"), Vhost("c.test", OFF)]).start()
    lines = server.wait_log("STEK3006")
    assert len(lines) == 1 and ":warn]" in lines[0]
    assert "off.test" in lines[0] and "b.test" in lines[0] and "c.test" not in lines[0]
    # And it is true.
    assert not any(resumes(server, "b.test", version) for version in VERSIONS)


def test_lint_ssl_session_tickets_off_first_names_both(httpd):
    server = httpd(vhosts=[Vhost("off.test", ["SSLSessionTickets off"]), Vhost("b.test")]).start()
    lines = server.wait_log("STEK3006")
    assert len(lines) == 1 and "off.test" in lines[0] and "b.test" in lines[0]


@pytest.mark.parametrize("case", ["behind", "all", "another address"])
def test_lint_says_nothing_where_nothing_is_lost(httpd, case):
    other = harness.free_port()
    server = httpd(vhosts={
        "behind": [Vhost("a.test"), Vhost("off.test", OFF)],
        "all": [Vhost("a.test", OFF), Vhost("b.test", OFF)],
        "another address": [Vhost("a.test", OFF), Vhost("b.test", port=other)]}[case]).start()
    assert not server.lines("STEK3006") and not server.lines("STEK3007")


@pytest.mark.parametrize("order", [1, -1])
def test_lint_looks_at_the_first_vhost_on_each_address(httpd, order):
    ports = [harness.free_port(), harness.free_port()][::order]
    server = httpd(modules=["http2"], server=HTTP2, vhosts=[
        Vhost("good.test", ["StekTickets tls1.3"], port=ports[0]),
        Vhost("off.test", OFF + ["SSLOpenSSLConfCmd Options AllowNoDHEKEX"], port=ports[1]),
        Vhost("both.test", ["StekTickets tls1.3"], port=ports[0], also=ports[1])])
    server.start()
    shared = ("STEK3007", "notice") if HAS_SNI_POLICY else ("STEK3018", "warn")
    for message, level in (("STEK3006", "warn"), shared, ("STEK3015", "warn")):
        said = server.wait_log(message)
        assert len(said) == 1 and f":{level}]" in said[0] and "both.test" in said[0] and "off.test" in said[0]
    assert "on one of its addresses" in server.lines("STEK3006")[0]


# HTTP/2: one connection for two names.

def curl_statuses(server, hosts):
    """Statuses over one HTTP/2 connection to the first vhost."""
    url = f"https://{server.vhosts[0].name}:{server.port}/index.html"
    command = ["curl", "-sSvk", "--http2", "--noproxy", "*"]
    for i, host in enumerate(hosts):
        command += (["--next"] if i else []) + [
            "-sk", "--http2", "-H", f"Host: {host}", "-o", "/dev/null", "-w",
            "%{http_version} %{http_code} %{num_connects}\\n", "--resolve",
            f"{server.vhosts[0].name}:{server.port}:127.0.0.1", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["2"] * len(hosts)
    assert sum(int(row[2]) for row in rows) == 1, "more than one connection"
    return [int(row[1]) for row in rows]


@pytest.mark.parametrize("lines, status", [([], 200), (OFF, 421 if HAS_SNI_POLICY else 200)])
def test_http2_other_vhost_off_is_misdirected(httpd, lines, status):
    server = httpd(modules=["http2"], server=HTTP2,
                   vhosts=[Vhost("a.test"), Vhost("b.test", lines)])
    server.expect("AH10157|AH02032")
    server.start()
    assert curl_statuses(server, ["a.test", "b.test", "a.test"]) == [200, status, 200]
    notices = server.lines("STEK3007")
    assert bool(server.lines("warn.*STEK3018: b.test:")) is (status == 200 and lines == OFF)
    if status == 200:
        assert not notices
    else:
        assert len(notices) == 1 and ":notice]" in notices[0] and "421" in notices[0]
        assert "a.test" in notices[0] and "b.test" in notices[0]


VALUES = {None: 0, "on": 0, "tls1.3": 1, "off": 2}  # how much each forbids


@pytest.mark.timeout(180)
def test_http2_notice_wherever_a_client_gets_421_and_nowhere_else(httpd):
    """Inherited, overridden and repeated values, under each SSLVHostSNIPolicy that lets some through, or none
    where httpd has none; and a warning wherever a client is let into what the other vhost forbids."""
    rng = seeded_rng()
    server = httpd(modules=["http2"])
    server.expect("AH10157|AH02032", "STEK3006", "STEK3018")
    known = [("secure", ("on", None, None)), ("secure", ("tls1.3", None, "tls1.3")), ("secure", (None, "on", None)),
             ("insecure", (None, "tls1.3", "on")), ("insecure", ("off", "off", None)), ("authonly", ("on", None, "off"))]
    for policy, values in known + [(rng.choice(["secure", "insecure", "authonly"]), rng.choices(list(VALUES), k=3))
                                   for _ in range(10)]:
        main, *own = [[f"StekTickets {value}"] if value else [] for value in values]
        server.server = HTTP2 + main + [f"SSLVHostSNIPolicy {policy}"] * HAS_SNI_POLICY
        server.vhosts = [Vhost("a.test", own[0]), Vhost("b.test", own[1])]
        mark = server.mark()
        server.graceful() if server.process else server.start()
        case = policy, values, server.log(mark)
        statuses = curl_statuses(server, ["a.test", "b.test"])
        assert bool(server.lines("STEK3007", mark)) is (statuses == [200, 421]), case
        degrees = [VALUES[value or values[0]] for value in values[1:]]
        warned = server.lines("STEK3018", mark)
        assert bool(warned) is (statuses == [200, 200] and degrees[0] != degrees[1]), case
        if warned:
            stricter = "a.test" if degrees[0] > degrees[1] else "b.test"
            assert len(set(line.partition("STEK3018")[2] for line in warned)) == 1 and f"STEK3018: {stricter}:" in warned[0]


def test_sni_policy_that_compares_nothing_lets_resumed_tls12_in_and_is_warned_of(httpd):
    server = httpd(vhosts=[Vhost("on.test"), Vhost("a.test", ["StekTickets tls1.3"])])
    server.expect("AH02032", "STEK3018")
    server.start()
    # httpd keeps the value when the line is gone.
    steps = [("authonly", "authonly"), ("insecure", "insecure"), ("insecure", None), ("secure", "secure"),
             ("secure", None)]
    for policy, line in [(None, None)] + steps * HAS_SNI_POLICY:
        server.server = [f"SSLVHostSNIPolicy {line}"] if line else []
        mark = server.mark()
        server.graceful()
        session = server.get("on.test", tls="1.2").session
        reply = server.get("on.test", tls="1.2", session=session, http_host="a.test")
        is_open = policy == "insecure" or not HAS_SNI_POLICY
        assert reply.resumed and reply.status == (200 if is_open else 421)
        warned = server.lines("warn.*STEK3018: a.test:", mark)
        assert bool(warned) is is_open
        assert not warned or ("SSLVHostSNIPolicy insecure" if HAS_SNI_POLICY else "before 2.4.66") in warned[0]


@pytest.mark.parametrize("modules, lines", [([], HTTP2), (["http2"], [])])
def test_http2_notice_only_where_it_is_spoken(httpd, modules, lines):
    server = httpd(modules=modules, server=lines,
                   vhosts=[Vhost("a.test"), Vhost("b.test", OFF)]).start()
    assert not server.lines("STEK3007")
