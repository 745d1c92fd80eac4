# SPDX-License-Identifier: Apache-2.0
"""The status: what it says, in each form, that all forms and stekctl agree, that no name can break it, and
how the page looks in a real browser."""
import html
import http.client
import json
import os
import re
import socket
import subprocess
import time
from html.parser import HTMLParser

import pytest

import exposition
import ringfile
from browser import Browser
from handshakes import KINDS, Scripted, sample
from httpd import HAS_SNI_POLICY, TOP, Vhost, free_port, wait_for
from tls import get_plain

STEKCTL = TOP / "stekctl" / "stekctl"
SHOTS = os.environ.get("STEK_SCREENSHOTS")  # where to leave the pictures
VOID = {"meta", "br", "wbr", "rect", "line"}


class Strict(HTMLParser):
    """Elements that do not nest, scripts, handlers and outside resources."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.faults, self.text, self.tags = [], [], [], []
        self.feed(text)
        self.close()
        self.faults += [f"not closed: {tag}" for tag in self.stack]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag in ("script", "link", "img", "iframe", "object", "form", "base"):
            self.faults.append(tag)
        for name, value in attrs:
            if name == "href" and tag == "a" and re.fullmatch(r"#ring-[\w.-]+|\?((refresh|format)=\w+)?", value):
                continue  # the page itself
            if name.startswith("on") or name in ("style", "src", "href", "action"):
                self.faults.append(f"{tag} {name}")

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.stack or self.stack.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data):
        if self.tags[-1:] == [("wbr", {})] and self.text:
            self.text[-1] += data  # one word, which may be broken here
        else:
            self.text.append(data)


def page_text(page):
    parsed = Strict(page)
    assert not parsed.faults, parsed.faults
    return " ".join(" ".join(parsed.text).split())


@pytest.fixture(scope="module")
def browser():
    one = Browser()
    yield one
    one.close()


def stekctl_show(server, ring="default"):
    """(exit code, JSON or None)."""
    done = subprocess.run([STEKCTL, "--json", "--ring", server.ring_path(ring), "--secret",
                           server.secret_path(ring), "show"], capture_output=True, text=True, timeout=30)
    return done.returncode, json.loads(done.stdout) if done.stdout else None


# ---- forms ----

def test_status_page_tells_ring_keys_and_virtual_hosts(httpd):
    scripted = Scripted(httpd, vhosts=[Vhost("o.test", ["StekRotate off"])])
    scripted.server.start()
    scripted.visit()
    text = page_text(scripted.status())
    for words in ("The ring is healthy", "rotates in", "3 keys", "source checked", "no ticket offered 1",
                  "tickets issued 2", scripted.keys["current"].name[:4].hex(), "5 virtual hosts",
                  f"age.test:{scripted.server.port} default on policy 18h 2s",
                  f"off.test:{scripted.server.port} default off policy 18h 1d",
                  f"o.test:{scripted.server.port} left to mod_ssl"):
        assert words in text, words


def test_status_headers_and_methods(httpd):
    scripted = Scripted(httpd, processes=1)
    scripted.server.start()
    types = {"": "text/html; charset=utf-8", "?format=html": "text/html; charset=utf-8",
             "?format=json": "application/json",
             "?format=prometheus": "text/plain; version=0.0.4; charset=utf-8"}
    for query, kind in types.items():
        for method in ("GET", "HEAD"):
            status, headers, body = scripted.ask("/stek-status" + query, method)
            assert (status, headers["content-type"]) == (200, kind)
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert bool(body) == (method == "GET")
    policy = scripted.ask()[1]["content-security-policy"]
    assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[\w+/]{43}='; base-uri 'none'; "
                        r"form-action 'none'; frame-ancestors 'none'", policy)
    assert scripted.ask(method="POST")[0] == 405
    status, headers, body = scripted.ask("/stek-status?format=%3Cb%3E")
    assert (status, body) == (400, "format must be html, json or prometheus\n")
    assert headers["content-type"] == "text/plain; charset=utf-8"


def test_status_refresh_as_in_mod_status(httpd, browser):
    scripted = Scripted(httpd, processes=1)
    scripted.server.start()
    for query in ("", "?format=html"):
        assert "refresh" not in scripted.ask("/stek-status" + query)[1]
    for wanted in ("1", "10", "010", "86400"):
        status, headers, body = scripted.ask(f"/stek-status?refresh={wanted}&format=html")
        assert (status, headers["refresh"]) == (200, str(int(wanted)))
        assert f"reloads every {int(wanted)} s" in page_text(body)
    assert "refresh" not in scripted.ask("/stek-status?refresh=1&format=json")[1]
    for wrong in ("0", "-1", "86401", "99999999999", "1s", "1.5", "", "%3Cb%3E", "+1", "1%201", "0x5"):
        status, headers, body = scripted.ask(f"/stek-status?refresh={wrong}")
        assert (status, body) == (400, "refresh must be a number of seconds from 1 to 86400\n"), wrong
        assert headers["content-type"] == "text/plain; charset=utf-8" and "refresh" not in headers
    # A real browser comes back by itself.
    url = f"http://127.0.0.1:{scripted.port}/stek-status?refresh=1"
    browser.open(url)

    def evaluated(expression):
        try:
            return browser.evaluate(expression)
        except AssertionError:  # asked of a page that was just giving way to the next
            return None
    wait_for(lambda: evaluated("document.title = 'before'"), "a page", 20, 0.2)
    wait_for(lambda: evaluated("document.title") == "Session ticket keys", "the page to reload", 20, 0.2)
    assert browser.requests()[0] == url and browser.complaints() == []
    browser.open("about:blank")  # or it would reload beside the next test's


def test_status_forms_agree(httpd):
    scripted = Scripted(httpd, server=["StekRing other file=memory"],
                        vhosts=[Vhost("o.test", ["StekUseRing other"])])
    scripted.server.start()
    scripted.prepare("1.3")
    for kind in KINDS:
        scripted.handshake(kind, "1.3")
    data, metrics, page = scripted.json(), scripted.metrics(), page_text(scripted.status())
    assert data["healthy"] and data["reasons"] == [] and len(data["virtual_hosts"]) == 5
    for ring in data["rings"]:
        counters, name = ring["counters"], ring["name"]
        for key, n in counters["resumed"].items():
            assert n == sample(metrics, "stek_tickets_resumed_total", name, key=key)
        for reason, n in counters["refused"].items():
            assert n == sample(metrics, "stek_tickets_refused_total", name, reason=reason)
        assert counters["issued"] == sample(metrics, "stek_tickets_issued_total", name)
        assert len(ring["keys"]) == sample(metrics, "stek_ring_keys", name)
        assert ring["next_rotation"] == sample(metrics, "stek_ring_next_rotation_timestamp_seconds", name)
        assert f"tickets issued {counters['issued']} " in page or not counters["issued"]
    assert data["rings"][0]["counters"]["refused"] == {
        **dict.fromkeys(["unknown", "expired", "damaged", "policy", "age"], 1), "secrecy": 0}


def test_status_prometheus_format(httpd):
    scripted = Scripted(httpd, server=["StekRing other file=memory"],
                        vhosts=[Vhost("o.test", ["StekUseRing other"])])
    scripted.server.start()
    first = scripted.visit()
    scripted.visit(session=first.session)
    text = scripted.status("?format=prometheus")
    assert exposition.faults(text) == []
    assert exposition.labels_of(text, "stek_tickets_issued_total") == [{"ring": "default"},
                                                                       {"ring": "other"}]


GOOD = ('# HELP a_total x\n# TYPE a_total counter\na_total{ring="x"} 1\n# HELP b_seconds x\n'
        '# TYPE b_seconds histogram\nb_seconds_bucket{le="1"} 1\nb_seconds_bucket{le="+Inf"} 2\n'
        'b_seconds_sum 3\nb_seconds_count 2\n')


@pytest.mark.parametrize("old, new", [
    ("a_total", "a"), ('{ring="x"}', '{ring=x}'), ("counter", "gauge"), ('"x"} 1', '"x"} 1\na_total 1 1'),
    ('{le="1"} 1', '{le="1"} 3'), ("b_seconds_count 2", "b_seconds_count 3"), ("# TYPE a_total counter\n", ""),
    ("b_seconds", "b_ms"), ('"x"} 1', '"x"} -1'), ('ring="x"', 'ring="x\\q"'),
    ("b_seconds_sum 3\n", ""), ('a_total{ring="x"} 1\n', 'a_total{ring="x"} 1\na_total{ring="x"} 1\n')])
def test_status_prometheus_check_bites(old, new):
    assert exposition.faults(GOOD) == []
    assert exposition.faults(GOOD.replace(old, new)) != []


SECTION = ["<Location /server-status>", "SetHandler server-status", "Require all granted", "</Location>"]


def test_status_in_mod_status(httpd):
    scripted = Scripted(httpd, modules=["status"], server=SECTION)
    scripted.server.start()
    scripted.visit()
    body = scripted.ask("/server-status?auto")[2]
    for line in ("StekHealthy: 1", "Stek[default]Healthy: 1", "Stek[default]TicketsIssued: 2",
                 "Stek[default]TicketsNotOffered: 1", "Stek[default]TicketsRefused: 0"):
        assert line in body.splitlines(), body
    body = scripted.ask("/server-status")[2]
    assert re.search(r"<td>default</td><td>healthy; rotates in .*</td><td>2</td><td>0</td><td>0</td>", body)


def test_status_rates_per_minute_and_of_resumption(httpd):
    """A child remembers the totals each minute; the rates are what came since."""
    scripted = Scripted(httpd, processes=1)
    scripted.server.start()

    def row():
        return re.search(r"<td>no ticket offered</td><td class=\"n\">(\d+)</td><td class=\"n\">([\d.-]+)</td>",
                         scripted.status()).groups()
    page = scripted.status()
    assert "healthy</span></h2> <span class=\"rate\">no handshakes yet" in page
    assert "Handshakes none yet Age of tickets that resumed none yet" in page_text(page)
    session = scripted.visit(tls="1.2").session
    scripted.visit(tls="1.2", session=session)
    assert "50.0 % of handshakes resumed since httpd was started" in page_text(scripted.status())
    wait_for(lambda: row()[1] != "-", "the first look back", 25, 0.5)
    for _ in range(6):
        scripted.visit(tls="1.2", session=session)
    count, rate = row()
    assert count == "1" and float(rate) <= 60
    assert '<tr class="refused zero"><td>refused, policy</td><td class="n">0</td>' in scripted.status()

    def page_agrees():
        """Unless time has moved on between the two."""
        (ring,) = scripted.json()["rings"]
        for name in ("now", "hour"):
            known = ring["resumption"][name]
            assert known["span"] >= 10 and 6 <= known["resumed"] <= known["handshakes"] <= 8, known
        share = 100 * ring["resumption"]["now"]["resumed"] / ring["resumption"]["now"]["handshakes"]
        # It is the ring's first number.
        return re.search(rf"default healthy {share:.1f} % of handshakes resumed in the last \d+ s",
                         page_text(scripted.status()))
    assert page_agrees() or page_agrees()


# ---- health ----

def test_status_healthy_as_stekctl_says(httpd):
    scripted = Scripted(httpd)
    scripted.server.start()
    code, shown = stekctl_show(scripted.server)
    ring = scripted.json()["rings"][0]
    assert (code, shown["healthy"]) == (0, True) and ring["healthy"]
    for member in ("rotation_valid", "next_key_ready", "next_rotation", "covered_until", "epoch",
                   "generation", "written_at"):
        assert ring[member] == shown[member], member
    for ours, theirs in zip(ring["keys"], shown["keys"]):
        assert all(theirs[member] == value for member, value in ours.items())
    # This ring's current slot is twice the interval.
    assert not ring["rotation_valid"] and ring["next_key_ready"]


@pytest.mark.parametrize("trouble", ["no-key", "late", "clock"])
def test_status_unhealthy_as_stekctl_says(httpd, trouble):
    scripted = Scripted(httpd, processes=1)
    server, now = scripted.server, int(time.time())
    ring = {"no-key": ringfile.Ring([ringfile.make_key(now - 7200)]),
            "late": ringfile.Ring([ringfile.make_key(now - 3560)]),
            "clock": ringfile.Ring(list(scripted.keys.values()), written_at=now + 3600)}[trouble]
    server.put_ring(ring)
    server.expect("STEK2002")
    server.start()
    code, shown = stekctl_show(server)
    data, metrics = scripted.json(), scripted.metrics()
    assert (code, shown["healthy"], data["healthy"]) == (1, False, False)
    assert [reason["code"] for reason in data["reasons"]] == [trouble]
    assert data["reasons"] == [{"ring": "default", **reason} for reason in data["rings"][0]["reasons"]]
    assert sample(metrics, "stek_ring_healthy") == 0
    valid = trouble != "no-key"
    assert sample(metrics, "stek_ring_rotation_valid") == data["rings"][0]["rotation_valid"]
    assert shown["rotation_valid"] == data["rings"][0]["rotation_valid"] == (trouble == "late")
    assert valid == (data["rings"][0]["current_key"] is not None)
    assert "1 of 1 ring is not healthy" in page_text(scripted.status())


def test_status_refused_file_not_healthy_until_it_is_good(httpd):
    scripted = Scripted(httpd, processes=1)
    server = scripted.server.start()
    good = server.ring()
    server.expect("STEK2003")
    server.put_ring(b"nonsense")
    wait_for(lambda: not scripted.json()["healthy"], "the refusal", 10, 0.1)
    (reason,) = scripted.json()["reasons"]
    assert reason["code"] == "source" and "is not a ring" in reason["text"]
    assert stekctl_show(server)[0] not in (0, 1)
    server.put_ring(good)
    wait_for(lambda: scripted.json()["healthy"], "the good ring", 10, 0.1)


@pytest.mark.parametrize("at_hand,words", [
    ("current", "existing keys stay in use"), ("old", "existing keys only decrypt the tickets"),
    ("none", "there are no keys")])
def test_status_missing_file_says_what_the_keys_at_hand_do(httpd, at_hand, words):
    """And never two things that cannot both be true."""
    scripted = Scripted(httpd, processes=1)
    server = scripted.server
    key = scripted.keys.get(at_hand)
    server.put_ring(ringfile.Ring([key])) if key else server.ring_path().unlink()
    server.expect("STEK2002", "STEK2003")
    server.start()
    if key:
        server.ring_path().unlink()
    wait_for(lambda: "source" in [reason["code"] for reason in scripted.json()["reasons"]],
             "the file to be missed", 10, 0.1)
    reasons = {reason["code"]: reason["text"] for reason in scripted.json()["reasons"]}
    assert words in reasons["source"]
    assert ("no-key" in reasons) == (at_hand != "current")
    assert ("stay in use" in reasons["source"]) == ("no-key" not in reasons)
    assert sum(len(ring["keys"]) for ring in scripted.json()["rings"]) == (1 if key else 0)
    wait_for(lambda: "last found it good: " in page_text(scripted.status()), "the parent to miss it", 25, 0.5)
    text = page_text(scripted.status())
    assert reasons["source"] in text and "1970" not in text and "source checked" not in text
    if key:
        assert "source last found good" in text and "No such file or directory; last found it good: " in text
        assert re.search(r"file loaded (once|\d+ times), last .*? file refused missing: (once|\d+ times)", text), text
    else:
        for words in ("no next key is prepared; 0 keys; source never found good", "current key none",
                      "prepared until nothing is prepared", "file loaded never",
                      "No such file or directory; last found it good: never"):
            assert words in text, (words, text)
        assert "keys written" not in text


def test_status_rotation_of_generated_ring_valid(httpd):
    scripted = Scripted(httpd)
    scripted.server.server = ["StekRing default interval=2s lifetime=60s poll=1s"]
    scripted.server.ring_path().unlink()
    scripted.server.start()
    seen, end = set(), time.time() + 30
    while len(seen) < 3:
        assert time.time() < end
        data = scripted.json()
        ring = data["rings"][0]
        assert ring["healthy"] and ring["rotation_valid"] and ring["next_key_ready"], ring
        assert 0 <= ring["next_rotation"] - data["now"] <= 2
        seen.add(ring["current_key"])
    assert None not in seen


# ---- names ----

HOSTILE = "x\"'><script>alert(1)</script>&amp;\\"


def test_status_hostile_names_escaped(httpd):
    scripted = Scripted(httpd, processes=1, vhosts=[Vhost(f'"{HOSTILE}"'.replace('\\', '\\\\')
                                                          .replace('x"', 'x\\"', 1))])
    server = scripted.server
    server.expect("AH01909")  # no certificate is good for such a name
    server.start()
    page = scripted.status()
    names = [v["name"] for v in scripted.json()["virtual_hosts"]]
    (name,) = [n for n in names if "script" in n.lower()]
    assert all(c in name for c in "\"'<>&"), name
    assert "<script" not in page.lower() and html.escape(name, quote=False).replace("'", "&#39;").replace(
        '"', "&quot;") in page
    assert not Strict(page).faults
    assert exposition.faults(scripted.status("?format=prometheus")) == []
    assert "<" not in scripted.status("?format=json")


@pytest.mark.parametrize("query", ["?<script>alert(1)</script>", "?format=<script>", "?format=json&x=\"<b>",
                                   "?format=prometheus&\\\"}", "?%00%0d%0aX:y", "?format=json%00"])
def test_status_hostile_query_never_shown(httpd, query):
    scripted = Scripted(httpd, processes=1)
    scripted.server.start()
    raw = b"GET /stek-status" + query.encode() + b" HTTP/1.0\r\nHost: status.test\r\n\r\n"
    with socket.create_connection(("127.0.0.1", scripted.port), 20) as sock:
        sock.sendall(raw)
        data = b""
        while piece := sock.recv(65536):
            data += piece
    assert data.startswith(b"HTTP/1.1 ") and b"script" not in data.lower() and b"X:y" not in data
    assert b"\r\nX:" not in data


@pytest.mark.parametrize("name", ['a"b', "a<b", "a\\b", "a b", "\xe4", "../x", "a{b}"])
def test_status_hostile_ring_name_refused(httpd, name):
    """A ring's name never needs escaping: what would is refused."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    status, output = httpd(vhosts=[], server=[f'StekRing "{quoted}"']).configtest()
    assert status != 0 and "StekRing: ring name '" in output, output


def test_status_shows_no_more_of_a_key_than_four_bytes(httpd):
    scripted = Scripted(httpd)
    scripted.server.start()
    scripted.visit()
    everything = "".join(scripted.status(q) for q in ("", "?format=json", "?format=prometheus"))
    for key in scripted.keys.values():
        assert key.name[:4].hex() in everything
        assert key.name[:5].hex() not in everything.lower()
        for secret in (key.name, *key.secret_bytes):
            for i in range(0, len(secret) - 4):
                assert secret[i:i + 5].hex() not in everything.lower()


# ---- start-up ----

def test_status_startup_lines(httpd):
    scripted = Scripted(httpd, vhosts=[Vhost("o.test", ["StekRotate off"])])
    server = scripted.server.start()
    assert len(server.lines("STEK2014: ring 'default'")) == 1
    assert len(server.lines(r"STEK3011: (a|b|age|off)\.test:\d+ .*: ring 'default', tickets (on|off), ")) == 4
    assert len(server.lines(r"STEK3010: o\.test:\d+ ")) == 1
    server.log_level = "notice"
    mark = server.mark()
    server.graceful()
    assert not server.lines("STEK30" if HAS_SNI_POLICY else "STEK30(?!18)", mark) and server.lines("STEK2014", mark)


def test_status_page_in_htaccess_as_of_mod_status(httpd):
    """Whoever may set handlers can have either: the manual says so."""
    ports = {allowed: free_port() for allowed in ("FileInfo", "AuthConfig")}
    server = httpd(modules=["status"], processes=1)
    page = server.root / "www" / "tenant" / "index.html"
    page.parent.mkdir()
    page.write_text("hello\n")
    server.vhosts += [Vhost("tenant.test", [f"<Directory {page.parent}>", f"AllowOverride {allowed}", "</Directory>"],
                            port, tls=False) for allowed, port in ports.items()]
    server.expect("SetHandler not allowed here")
    server.start()
    for handler, title in (("stek-status", b"Session ticket keys"), ("server-status", b"Apache Status")):
        (page.parent / ".htaccess").write_text(f"SetHandler {handler}\n")
        found = {allowed: title in get_plain(port, "tenant.test", "/tenant/index.html").body
                 for allowed, port in ports.items()}
        assert found == {"FileInfo": True, "AuthConfig": False}, handler


def test_status_sample_configuration_is_local_only(httpd):
    """conf/status.conf as it is: this host may look, others may not."""
    sample_conf = (TOP / "conf" / "status.conf").read_text().splitlines()
    lines = ["RemoteIPHeader X-Client", "RemoteIPInternalProxy 127.0.0.0/8"]
    scripted = Scripted(httpd, modules=["authz_host", "remoteip"], server=lines)
    server = scripted.server
    server.vhosts[0].lines = sample_conf
    server.start()
    assert scripted.ask()[0] == 200
    server.expect("AH01630")
    connection = http.client.HTTPConnection("127.0.0.1", scripted.port, timeout=20)
    connection.request("GET", "/stek-status", headers={"X-Client": "192.0.2.7"})
    assert connection.getresponse().status == 403
    connection.close()


# ---- looks ----

def colours(css, dark):
    """Custom properties of :root -> (r, g, b), 0 to 1."""
    light, _, rest = css.partition("@media (prefers-color-scheme:dark)")
    block = rest.partition("}}")[0] if dark else light
    found = re.findall(r"--(\w+):#([0-9a-f]{6})", block)
    return {name: tuple(int(hexa[i:i + 2], 16) / 255 for i in (0, 2, 4)) for name, hexa in found}


def contrast(a, b):
    """WCAG 2.1."""
    def luminance(colour):
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_status_text_contrast(httpd, dark):
    scripted = Scripted(httpd, processes=1)
    scripted.server.start()
    css = re.search(r"<style>(.*)</style>", scripted.status(), re.S).group(1)
    found = colours(css, dark)
    assert set(found) == set(colours(css, not dark))
    texts = set(re.findall(r"[{;]color:var\(--(\w+)\)", css))
    graphics = set(re.findall(r"(?:fill|stroke):var\(--(\w+)\)", css))
    grounds = set(re.findall(r"background:var\(--(\w+)\)", css))
    assert texts == {"text", "dim", "good", "bad"} and graphics >= {"current", "warn", "bad"} and grounds == {"bg", "panel"}
    for ground in grounds:
        for text in texts:
            assert contrast(found[text], found[ground]) >= 4.5, (text, ground)
        for graphic in graphics:
            assert contrast(found[graphic], found[ground]) >= 3, (graphic, ground)


# What is wider than the window, or than a box around it that hides or scrolls the rest.
WIDER = """[...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect();
    return box.width > 0 && (box.left < -1 || box.right > document.documentElement.clientWidth + 1)
        || !(e instanceof SVGElement) && getComputedStyle(e).display != 'inline'
           && e.scrollWidth > e.clientWidth + 1;
}).map(e => e.outerHTML.slice(0, 80))"""


# Words, and parts of paths, that go on in the next line.
BROKEN = """(() => {
    const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        for (const word of texts.currentNode.data.matchAll(/(?<![^\\s/-])[^\\s/-]{2,25}(?![^\\s/-])/g)) {
            const range = document.createRange();
            range.setStart(texts.currentNode, word.index);
            range.setEnd(texts.currentNode, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1)
                found.push(word[0]);
        }
    }
    return found;
})()"""


def quickly(look):
    """What look() gives in less than a second, at its best: other tests run beside this one."""
    taken = []
    for _ in range(6):
        begin = time.monotonic()
        seen = look()
        taken.append(time.monotonic() - begin)
        if taken[-1] < 1:
            return seen
    raise AssertionError(f"not in a second: {taken}")


def look_at(browser, scripted, name):
    """The page at each width, light and dark: it fits, asks for nothing, and is refused nothing."""
    url = f"http://127.0.0.1:{scripted.port}/stek-status"
    for width in (390, 1280):
        for scheme in ("light", "dark"):
            quickly(lambda: browser.open(url, width, scheme=scheme))
            assert browser.requests() == [url] and browser.complaints() == []
            assert browser.evaluate("document.documentElement.scrollWidth") <= width
            assert browser.evaluate("innerWidth") == width
            assert browser.evaluate(WIDER) == []
            assert browser.evaluate(BROKEN) == []
            ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(20, 24, 29)")
            assert browser.evaluate("document.querySelectorAll('svg.line').length") >= 1
            if SHOTS:
                browser.screenshot(f"{SHOTS}/{name}-{width}-{scheme}.png")


def busy(scripted):
    for version in ("1.2", "1.3"):
        scripted.prepare(version)
        for kind in KINDS:
            scripted.handshake(kind, version)


def test_status_page_looks_one_ring(httpd, browser):
    scripted = Scripted(httpd)
    hour = int(time.time()) // 3600 * 3600
    scripted.keys.update((str(i), ringfile.make_key(hour - 3600 * i)) for i in range(2, 18))
    scripted.server.put_ring(ringfile.Ring(list(scripted.keys.values()), generation=412))
    scripted.server.start()
    busy(scripted)
    look_at(browser, scripted, "one")
    assert browser.evaluate("document.querySelectorAll('svg.line g').length") == 19
    # The line stands where now is.
    x = float(browser.evaluate("document.querySelector('line.now').getAttribute('x1')"))
    assert 0 < x < 1000


def test_status_page_looks_three_rings_one_stale(httpd, browser):
    scripted = Scripted(httpd, server=["StekRing tenants file=memory interval=10min lifetime=2h",
                                       "StekRing short file=memory interval=1s lifetime=60s"],
                        vhosts=[Vhost("tenant.test", ["StekUseRing tenants"]),
                                Vhost("short.test", ["StekUseRing short"])])
    server = scripted.server.start()
    busy(scripted)
    server.expect("STEK2003")
    server.put_ring(b"nonsense")
    wait_for(lambda: not any(scripted.json()["healthy"] for _ in range(12)), "all children's refusal", 20, 0.1)
    look_at(browser, scripted, "three")
    assert heads(browser) == ["default not healthy", "tenants healthy", "short healthy"]
    assert browser.evaluate("document.querySelector('header p').innerText") == \
        "1 of 3 rings is not healthy: default"
    # What is nothing is called so.
    assert browser.evaluate("document.body.innerText").count("none issued, none offered") == 2
    assert browser.evaluate("[...document.querySelectorAll('.hosts tr')].filter(row => "
                            "row.cells[0].innerText.startsWith('off.test')).map(row => row.cells[6].innerText)"
                            ) == ["none"]
    # Colours say what happened, and now is no alarm.
    colour = "getComputedStyle(document.querySelector('%s')).%s"
    drawn = {what: browser.evaluate(colour % pair) for what, pair in {
        "resumed": (".resumed rect", "fill"), "refused": (".refused rect", "fill"),
        "damaged": (".wrong rect", "fill"), "alarm": (".bad", "color"), "now": (".now", "stroke"),
        "zero": ("tr.zero", "color"), "text": ("body", "color")}.items()}
    assert drawn["damaged"] == drawn["alarm"] and drawn["now"] == drawn["text"] != drawn["zero"]
    assert len({drawn[what] for what in ("resumed", "refused", "damaged", "now")}) == 4, drawn


def heads(browser):
    return browser.evaluate("[...document.querySelectorAll('details.ring h2')].map(h => h.innerText)")


def test_status_page_looks_fifty_rings_trouble_first(httpd, browser):
    """Those in trouble come first, open and linked in the head line; the others keep their order, folded."""
    names = [f"tenant-{i:02}" for i in range(49)]
    bad = ["tenant-07", "tenant-" + "x" * 57]
    names[30] = bad[1]
    lines = [f"StekRing {name} " + ("generate=off" if name in bad else "file=memory") for name in names]
    lines += SECTION
    scripted = Scripted(httpd, processes=1, server=lines,
                        vhosts=[Vhost(f"{name}.test"[-60:], [f"StekUseRing {name}"]) for name in names],
                        modules=["status"])
    server = scripted.server
    server.log_level = "notice"
    server.expect("STEK2002", "STEK2003", "STEK2017")
    server.start()
    look_at(browser, scripted, "fifty")
    seen = heads(browser)
    assert sorted(seen[:2]) == sorted(f"{name} not healthy" for name in bad)
    others = [ring["name"] for ring in scripted.json()["rings"] if ring["name"] not in bad]
    assert seen[2:] == [f"{name} healthy" for name in others] and len(others) == 48
    head = "document.querySelector('header p.bad')"
    assert browser.evaluate(head + ".innerText").startswith("2 of 50 rings are not healthy: tenant-")
    assert browser.evaluate(f"[...{head}.querySelectorAll('a')].map(a => document.querySelector("
                            "a.getAttribute('href')).open)") == [True, True]
    assert browser.evaluate("document.querySelectorAll('details.ring[open]').length") == 2
    assert browser.evaluate("document.querySelector('header .rate').innerText") == "no handshakes yet"
    rows = re.findall(r"<tr><td>([\w-]+)</td><td>(?:<b>not healthy</b>|healthy);", section(scripted))
    assert rows == [name.split()[0] for name in seen]


def section(scripted):
    return scripted.ask("/server-status")[2]


@pytest.mark.timeout(180)
def test_status_page_looks_1000_virtual_hosts(httpd, browser):
    vhosts = [Vhost(f"customer-{i}.test") for i in range(996)]
    scripted = Scripted(httpd, processes=1, vhosts=vhosts)
    server = scripted.server
    server.log_level = "notice"
    server.start()
    page = quickly(scripted.status)
    assert page.count("<td>customer-") == 996
    look_at(browser, scripted, "many")
    assert browser.evaluate("document.querySelector('details:not(.ring)').open") is False
    assert browser.evaluate("document.querySelectorAll('.hosts tr').length") == 1001
    assert len(quickly(scripted.json)["virtual_hosts"]) == 1000


def test_status_page_refuses_what_it_does_not_need(httpd, browser):
    """The policy holds: neither a script nor another style would run."""
    scripted = Scripted(httpd, processes=1)
    scripted.server.start()
    browser.open(f"http://127.0.0.1:{scripted.port}/stek-status")
    before = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    browser.evaluate("(() => { const s = document.createElement('script'); s.text = 'window.ran = 1';"
                     "document.body.append(s); const t = document.createElement('style');"
                     "t.textContent = 'body{background:red!important}'; document.body.append(t); })()")
    assert browser.evaluate("window.ran === undefined")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == before
