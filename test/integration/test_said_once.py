# SPDX-License-Identifier: Apache-2.0
"""What the log and configtest say of settings that do nothing, or are wrong: with file and line, the value that
nobody wrote, the word that was meant; once for each configuration."""
import os
import re

import pytest

from checks import VERSIONS
from httpd import TOP, Vhost, free_port
from seed import seeded_rng
from stekctl_tool import IO, REFUSED, Stekctl

KEYS = {"file": "memory", "secret": "x", "interval": "1h", "lifetime": "2h", "ahead": "1", "generate": "on",
        "poll": "5s"}
SILENT = r"STEK101[234]|STEK3017"


def line_of(server, text):
    """FILE:LINE of the one line of the configuration that holds text."""
    path = server.root / "httpd.conf"
    (number,) = [i for i, line in enumerate(path.read_text().splitlines(), 1) if text in line]
    return f"{path}:{number}"


def test_silent_settings_are_said_once(httpd):
    server = httpd(
        server=["StekRing default interval=2h", "StekRing default poll=9s", "StekRing usde file=memory",
                "StekRing used file=memory"],
        vhosts=[Vhost("a.test"), Vhost("used.test", ["StekUseRing used", "# with TLS"]),
                Vhost("plain.test", ["StekUseRing used", "# without TLS"], port=8, tls=False),
                Vhost("off.test", ["SSLSessionTickets off", "StekTickets on"]),
                Vhost("off3.test", ["StekTickets tls1.3", "SSLSessionTickets off"])])
    server.vhosts[2].port = free_port()
    server.start()

    def said(mark=0):
        return [line[line.index("STEK"):] for line in server.lines(SILENT, mark)]
    first = said()
    twice, unused, no_tls = (next(line for line in first if line.startswith(tag))
                             for tag in ("STEK1012", "STEK1013", "STEK1014"))
    assert f"at {line_of(server, 'interval=2h')} and again at {line_of(server, 'poll=9s')};" in twice
    assert f"StekRing ({line_of(server, 'StekRing usde')}): no virtual host with TLS uses ring 'usde' (did you mean 'used'?), so" in unused
    plain = (server.root / "httpd.conf").read_text().splitlines().index("# without TLS")
    assert f"StekUseRing ({server.root}/httpd.conf:{plain}) has no effect: plain.test:" in no_tls
    overruled, = [line for line in first if line.startswith("STEK3017")]
    assert "off.test" in overruled and "and 1 more: 'StekTickets on' has no effect" in overruled
    assert len(first) == 4, first
    # It is true: nothing that is issued there resumes.
    for name in ("off.test", "off3.test", "a.test"):
        for version in VERSIONS:
            session = server.get(name, tls=version).session
            resumes = bool(session) and server.get(name, tls=version, session=session).resumed
            assert resumes == (name == "a.test"), (name, version)
    mark = server.mark()
    server.graceful()
    assert said(mark) == first
    status, output = server.configtest()
    assert status == 0 and output.count("STEK1012") == 1


def test_silent_settings_that_mean_something_are_not_told(httpd):
    """What is inherited, what is off for good reason, and the one StekRing that adjusts the default ring."""
    server = httpd(server=["StekRing default interval=2h", "StekUseRing default", "StekTickets on"],
                   vhosts=[Vhost("a.test"), Vhost("plain.test", port=8, tls=False),
                           Vhost("b.test", ["StekTickets off"])])
    server.vhosts[1].port = free_port()
    server.start()
    assert not server.lines(SILENT)


@pytest.mark.parametrize("lines,vhost,words", [
    (["StekRing x interval=20h"], [], "STEK1003: StekRing: ring 'x' ({0}): lifetime '18h': must be at least the "
     "interval (20h) and at most 7d; the lifetime of 18h is the default"),
    (["StekRing x lifetime=30min"], [], "ring 'x' ({0}): lifetime '30min': must be at least the interval (1h) and at "
     "most 7d; the interval of 1h is the default"),
    (["StekRing x interval=2h lifetime=1h"], [], "must be at least the interval (2h) and at most 7d\n"),
    (["StekRing x ahead=4096"], [], "the interval of 1h, like the lifetime, is the default"),
    (["StekRing x file=memory generate=off"], [], "STEK1007: StekRing: ring 'x' ({0}): generate=off"),
    (["StekTicketLifetime 19h"], [], "STEK1005: StekTicketLifetime ({0}): '19h' in "),
    (["StekTicketLifetime 19h"], [], "must be at most 18h, the default lifetime of its ring 'default'"),
    ([], ["StekUseRing tennants"], "STEK1004: StekUseRing ({0}): ring 'tennants', used by a.test:"),
    ([], ["StekUseRing tennants"], "is not defined (did you mean 'tenants'?); define it with"),
    ([], ["StekUseRing zzz"], "is not defined; define it with"),
    (["StekRing x file=/one", "StekRing y file=/one"], [], "STEK1002: StekRing: rings 'x' ({0}) and 'y' ({1})"),
    (["StekRing x file=/one", "StekRing y file=/one.lock"], [], "STEK1011: StekRing: /one.lock is a ring's lock file "
     "(rings 'x' ({0}) and 'y' ({1}))"),
])
def test_faults_name_file_and_line(httpd, lines, vhost, words):
    server = httpd(server=["StekRing tenants file=memory", *lines], vhosts=[Vhost("a.test", vhost)])
    status, output = server.configtest()
    assert status != 0
    places = [line_of(server, line) for line in [*lines, *vhost]]
    assert words.format(*places) in output, output


def test_unknown_keys_name_the_nearest(httpd):
    """Every key of StekRing with one slip of the finger, drawn by chance."""
    chance = seeded_rng()
    for key, value in KEYS.items():
        at = chance.randrange(len(key) - 1)
        wrong = chance.choice([key[:at] + key[at + 1] + key[at] + key[at + 2:], key[:at] + "_" + key[at:],
                               key[:at] + "_" + key[at + 1:], key[:at] + key[at + 1:], key.upper()])
        status, output = httpd(server=[f"StekRing x {wrong}={value}"]).configtest()
        if wrong != key:
            assert status != 0 and (f"StekRing: unknown key '{wrong}' (did you mean '{key}'?): must be one of "
                                    "file, ") in output, output
    status, output = httpd(server=["StekRing x zzzzz=1"]).configtest()
    assert status != 0 and "StekRing: unknown key 'zzzzz': must be one of" in output


@pytest.mark.parametrize("generate", ["on", "off"])
def test_missing_directory_is_named_with_the_command_that_makes_it(httpd, generate):
    server = httpd(processes=1)
    path = server.root / "srv" / "deep" / "er" / "x.ring"
    server.server = [f"StekRing default file={path} secret={path.with_suffix('.secret')} generate={generate} poll=1s"]
    tag = "STEK2011" if generate == "on" else "STEK2002"
    server.expect(tag)
    server.start()
    (said,) = server.lines(tag)
    found = re.search(r"\(directory (\S+) does not exist; to make it: (install -d -m 755 (\S+))\)", said)
    assert found and found[1] == str(server.root / "srv"), said
    os.makedirs(found[3], mode=0o755)  # as the command does
    os.chmod(server.root / "srv", 0o755)
    if generate == "on":
        server.graceful()
        assert path.exists() and server.get(tls="1.3").tickets


def test_stekctl_names_what_it_refuses_and_how_it_should_be(folder):
    stekctl = Stekctl(folder / "srv" / "deep", "x.ring")
    assert stekctl.run("new", expect=IO).stderr.splitlines() == [
        f"stekctl: {folder}/srv/deep: does not exist; create it with httpd's group (install -d -m 750 -g GROUP "
        f"{folder}/srv/deep), or start httpd"]
    assert stekctl.run("audit", folder / "srv" / "deep" / "x", expect=IO).stderr == (
        f"stekctl: {folder}/srv/deep/x: does not exist, nor does {folder}/srv; check the path\n")
    stekctl.root.mkdir(parents=True)
    stekctl.run("new")
    root = "root" if os.geteuid() == 0 else f"uid {os.geteuid()}"
    wanted = "root" if os.geteuid() == 0 else f"root or {root}"
    for path, mode, words in ((stekctl.ring_path, 0o666, "not writable by group or others: chmod go-w"),
                              (stekctl.secret_path, 0o640, "mode 0600: chmod 600"),
                              (stekctl.root, 0o777, "not writable by group or others: chmod go-w")):
        before = path.stat().st_mode
        path.chmod(mode)
        said = stekctl.run("show", expect=REFUSED).stderr
        assert f"(owner {root}, mode {mode:04o}; wanted: owner {wanted}, {words})" in said, said
        assert str(path) in said and said.count(str(path)) <= 2
        path.chmod(before & 0o7777)
    assert stekctl.run("show", expect=None).returncode in (0, 1)


def test_messages_page_knows_what_is_said_here():
    text = (TOP / "docs" / "messages.md").read_text()
    for tag in ("STEK1012", "STEK1013", "STEK1014", "STEK3017"):
        assert f"\n| {tag} | notice |" in text
