# SPDX-License-Identifier: Apache-2.0
"""The manual and the configuration files say what the code does: every directive and message is
described and no other, every configuration shown is one that httpd takes, every link leads
somewhere."""
import re
import subprocess
from pathlib import Path

import pytest

import httpd as harness

TOP = Path(__file__).resolve().parents[2]
MANUAL = TOP / "docs" / "mod_stek_rotate.md"
MESSAGES = TOP / "docs" / "messages.md"
REFERENCE = TOP / "conf" / "reference.conf"
PAGES = sorted(TOP.glob("*.md")) + sorted((TOP / "docs").glob("*.md"))
# httpd's; what is in other folders of conf/ is for other programs (test_conf.py).
CONFS = sorted(path for folder in ("conf", "conf/examples") for kind in ("*.conf", "*.load")
               for path in (TOP / folder).glob(kind))
SOURCES = [TOP / "mod_stek_rotate.c"] + sorted((TOP / "src").glob("*.c"))
ROWS = ["Description", "Syntax", "Default", "Context", "Status", "Module", "Compatibility"]
# Paths in examples, and what the tests have in their place.
FILES = [(r"(SSLCertificateFile\s+)\S+", "server.crt"),
         (r"(SSLCertificateKeyFile\s+)\S+", "server.key"),
         (r"(SSLCACertificateFile\s+)\S+", "ca.crt"),
         (r"(SSLSessionTicketKeyFile\s+)\S+", "server.key")]


def source_of(path):
    """Text of a C source, with strings that are split over lines put together."""
    return re.sub(r'"\s*\n\s*"', "", path.read_text())


def name_of(path):
    return str(path.relative_to(TOP))


def own_directives():
    """Those of our table that are ours: its other names are mod_ssl's."""
    table = source_of(TOP / "src" / "mod_stek_directives.c").partition("mod_stek_commands[]")[2]
    found = re.findall(r'AP_INIT_\w+\(\s*"(Stek\w+)"', table)
    assert len(found) >= 4, "the command table is not where it was"
    return found


def ring_keys():
    source = source_of(TOP / "src" / "mod_stek_directives.c")
    listed = re.search(r'"must be one of ([\w, ]+)"', source)
    return listed.group(1).split(", ")


def tags_in(text):
    return re.findall(r"\bSTEK\d{4}\b", text)


def source_tags():
    """Tag -> level, of each message in the sources."""
    found = {}
    for path in SOURCES:
        for call in source_of(path).split("APLOG_MARK,")[1:]:
            tag, level = re.search(r'"STEK(\d{4}): ', call), re.search(r"APLOG_([A-Z]+)", call)
            assert tag and level, f"a message without a tag or level in {name_of(path)}"
            level = {"ERR": "error", "WARNING": "warn"}.get(level.group(1), level.group(1).lower())
            assert found.setdefault("STEK" + tag.group(1), level) == level
    return found


def sections(text):
    """Heading -> body, of headings of the second level."""
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def fenced(path, language):
    """(line number, text) of each fenced block of that language."""
    text = path.read_text()
    return [(text.count("\n", 0, found.start()) + 2, found.group(1))
            for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)]


def prose(path):
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)


def anchors(path):
    """Of each heading, as repository pages make them."""
    return [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", prose(path), re.M)]


BLOCKS = [pytest.param(block, id=f"{name_of(page)}:{line}")
          for page in PAGES for line, block in fenced(page, "apache")]
BLOCKS += [pytest.param(path.read_text(), id=name_of(path)) for path in CONFS]
# A reference names what is left out too: with these lines it must be as good.
BLOCKS.append(pytest.param(re.sub(r"^#(Stek\w+ )", r"\1", REFERENCE.read_text(), flags=re.M),
                           id="reference.conf, all lines"))


@pytest.mark.parametrize("directive", own_directives())
def test_docs_directive_described(directive):
    body = sections(MANUAL.read_text()).get(directive)
    assert body, f"{name_of(MANUAL)} has no section {directive}"
    table = dict(re.findall(r"^\| \*\*(\w+):\*\* \| (.+) \|$", body, re.M))
    assert list(table) == ROWS
    assert table["Syntax"].startswith(f"`{directive} ")
    assert table["Module"] == "mod_stek_rotate"
    assert re.search(rf"^#?{directive} ", REFERENCE.read_text(), re.M), "not in the reference"
    assert f"`{directive}" in (TOP / "CHANGES.md").read_text()


def test_docs_no_other_directive_described():
    known = set(own_directives())
    for path in PAGES + CONFS:
        named = set(re.findall(r"\bStek[A-Z]\w+", path.read_text()))
        assert named <= known, f"{name_of(path)} names {named - known}, which the module has not"


@pytest.mark.parametrize("key", ring_keys())
def test_docs_ring_key_described(key):
    body = sections(MANUAL.read_text())["StekRing"]
    assert re.search(rf"^\| `{key}=", body, re.M), f"StekRing's {key} is not in the manual"
    reference = REFERENCE.read_text()
    assert re.search(rf"^#   {key}=", reference, re.M), f"{key} is not explained in the reference"
    line = re.search(r"^StekRing default ((?:.*\\\n)*.*)$", reference, re.M).group(1)
    assert re.search(rf"\b{key}=", line), f"the reference lacks {key}'s default"


def test_docs_messages_are_the_sources():
    described = re.findall(r"^\| (STEK\d{4}) \| (\w+) \| .+ \| .+ \|$", MESSAGES.read_text(), re.M)
    assert described == sorted(source_tags().items()), f"{name_of(MESSAGES)} and sources differ"


def test_docs_pages_name_no_other_tag():
    known = set(source_tags())
    for page in PAGES:
        assert set(tags_in(page.read_text())) <= known, name_of(page)


def test_docs_troubleshooting_sorts_every_tag():
    text = (TOP / "docs" / "troubleshooting.md").read_text()
    lists = re.findall(r"^STEK\d{4}(?: · STEK\d{4})*$", text, re.M)
    assert sorted(tag for line in lists for tag in tags_in(line)) == sorted(source_tags())


def test_docs_index_names_every_page():
    index = (TOP / "docs" / "README.md").read_text()
    for page in (TOP / "docs").glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in index, name_of(page)


def test_docs_help_text_names_the_default():
    """What `httpd -L` prints of a directive has the manual's default in it."""
    table = source_of(TOP / "src" / "mod_stek_directives.c").partition("mod_stek_commands[]")[2]
    for directive in own_directives():
        body = sections(MANUAL.read_text())[directive]
        default = re.search(r"^\| \*\*Default:\*\* \| (.+) \|$", body, re.M).group(1)
        entry = re.search(rf'AP_INIT_\w+\(\s*"{directive}",(.*?)\),\n', table, re.S).group(1)
        pattern = (r"\b(?:interval|lifetime|ahead|poll)=\w+" if directive == "StekRing" else
                   r"\b(?:default|policy|on|24h|life of a ticket|SSLSessionCacheTimeout)\b")
        for value in re.findall(pattern, default):
            assert value in entry, f"{directive}: {value}"


def test_docs_causes_are_the_core_texts():
    source = source_of(TOP / "src" / "stek_error.c")
    texts = re.findall(r'\[STEK_E\w+ - STEK_STATUS_START\] =\s*"(.+)",', source)
    causes = MESSAGES.read_text().partition("## Causes")[2]
    assert texts and re.findall(r"^\| ([^*|]+?) \|", causes, re.M)[1:] == texts


def test_docs_default_line_is_the_code():
    """What the manual gives as StekRing's default, each of its values in the module's sources."""
    manual = re.search(r"^\| \*\*Default:\*\* \| `StekRing default (.+)` \|$", MANUAL.read_text(),
                       re.M).group(1)
    values = dict(word.split("=") for word in manual.split())
    reference = re.search(r"^StekRing default ((?:.*\\\n)*.*)$", REFERENCE.read_text(),
                          re.M).group(1)
    assert dict(word.split("=") for word in reference.replace("\\", " ").split()) == values
    header = (TOP / "include" / "stek_schedule.h").read_text()
    params = re.search(r"STEK_PARAMS_DEFAULT[\s\\{]*apr_time_from_sec\((\d+)\), "
                       r"apr_time_from_sec\((\d+) \* 3600\), (\d+)\b", header).groups()
    assert params == ("3600", values["lifetime"].rstrip("h"), values["ahead"])
    assert values["interval"] == "1h"
    config = source_of(TOP / "src" / "mod_stek_config.c")
    poll = re.search(r"POLL_DEFAULT apr_time_from_sec\((\d+)\)", config).group(1)
    assert values["poll"] == poll + "s"


def test_docs_fleet_log_lines_are_the_sources():
    """The operation page has a row for each line that sync writes to its log, by the line's own words."""
    log = (TOP / "docs" / "fleet-operation.md").read_text().partition("\n## The log\n")[2]
    quoted = " ".join(re.findall(r"`([^`]+)`", log))
    texts = []
    for path in sorted((TOP / "stekctl" / "fleet").glob("sync_*.c")):
        if path.stem in ("sync_settings", "sync_state", "sync_status"):
            continue  # what stands on the terminal of whoever starts it or asks
        calls = re.findall(r"report_line\((.*?)\);", source_of(path), re.S)
        calls += re.findall(r"^static const char \*store_state\(.*?^}", source_of(path), re.M | re.S)
        texts += [text for call in calls for text in re.findall(r'"([^"]+)"', call)]
    # The first words of each, without what stands for a value.
    words = {next((part.strip() for part in re.split(r"%\d*\w|[;,:'%]", text) if len(part.strip()) > 3), "")
             for text in texts} - {""}
    assert {"silent", "its object is unusable", "there is no current key", "its day is ahead of this host"} <= words
    for word in sorted(words):
        assert word in quoted, f"the page has no row for a line of the log: {word}"


@pytest.mark.parametrize("block", BLOCKS)
def test_docs_configuration_is_accepted(httpd, certs, block):
    for pattern, stand_in in FILES:
        block = re.sub(pattern, lambda found: found.group(1) + str(certs / stand_in), block)
    block = re.sub(r"\S+/mod_stek_rotate\.so", str(harness.MODULE), block)
    server = httpd(vhosts=[], server=block.splitlines(), modules=["authz_host"],
                   module="LoadModule" not in block)
    status, output = server.configtest()
    assert status == 0 and "Syntax OK" in output, output


def test_docs_configuration_check_bites(httpd):
    status, output = httpd(vhosts=[], server=["StekRing default interval=0s"]).configtest()
    assert status != 0 and "StekRing: interval '0s': must be between 1s and 7d" in output


def test_docs_choices_of_times_are_accepted(httpd):
    """The pairs that interval-and-lifetime.md proposes, each as a ring."""
    text = (TOP / "docs" / "interval-and-lifetime.md").read_text()
    pairs = set(re.findall(r"`((?:interval|lifetime)=\w+ (?:interval|lifetime)=\w+)`", text))
    assert len(pairs) > 3
    rings = [f"StekRing r{n} {pair}" for n, pair in enumerate(sorted(pairs))]
    rings += sorted(set(re.findall(r"`(StekMaxSessionAge \w+)`", text)))
    status, output = httpd(vhosts=[], server=rings).configtest()
    assert status == 0, output


def test_docs_blocks_have_a_check():
    """Each fenced block is in a language that a test loads; the rest are drawings."""
    checked = {"apache": "test_docs_configuration_is_accepted", "nginx": "test_docs_commands_see_no_tickets",
               "haproxy": "test_mixed_fleet_configuration_of_the_page_is_accepted",
               "ini": "test_conf_unit_drop_ins_are_sound", "yaml": "test_conf_scrape_configuration_is_sound",
               "sh": "test_fleet_of_three_is_set_up_by_the_letter"}
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for page in PAGES:
        for language in re.findall(r"^```(\w+)$", page.read_text(), re.M):
            assert f"def {checked[language]}(" in tests, f"{name_of(page)}: {language}"


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in PAGES])
def test_docs_links_resolve(page):
    text = prose(page)
    for target in re.findall(r"\]\(([^)\s]+)\)", text.replace("\n", " ")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in anchors(there), f"{name_of(page)} links to {target}"


def test_docs_readme_build_line_is_the_checked_one():
    """The one line that builds without make is the one that "make bare" tries."""
    words = "-c -i -a -Iinclude mod_stek_rotate.c src/*.c -lssl -lcrypto"
    assert f"apxs {words}" in (TOP / "README.md").read_text()
    assert words.replace("-a ", "-A ") in (TOP / "build" / "check_bare.sh").read_text()


def test_docs_make_targets_exist():
    """Each "make x" that a page shows is a target of the Makefile."""
    makefile = (TOP / "Makefile").read_text()
    listed = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", makefile, re.M).group(1)
    targets = set(listed.replace("\\", " ").split())
    for page in PAGES:
        named = set(re.findall(r"(?:^    |`)(?:sudo )?make ([a-z][a-z-]*)", page.read_text(), re.M))
        assert named <= targets, f"{name_of(page)}: make {named - targets}"


# What is cited of RFC 9846, by its own table of contents.
TLS13 = {"3.4": "Vectors", "4.1": "The Transcript Hash", "4.2.2": "Client Hello", "4.2.3": "Server Hello",
         "4.3.11": "Pre-Shared Key Extension", "4.7.1": "New Session Ticket Message", "7.1": "Key Schedule",
         "C.4": "Client and Server Tracking Prevention"}


def test_docs_tls13_is_cited_by_its_latest_rfc():
    """RFC 9846 replaces RFC 8446 and has other section numbers (its 4.7.1 was 4.6.1)."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=TOP, capture_output=True, text=True, check=True)
    texts = {name: (TOP / name).read_text(errors="replace") for name in listed.stdout.split("\0")[:-1]
             if (TOP / name).is_file() and TOP / name != Path(__file__)}
    assert not [name for name, text in texts.items()
                if re.search(r"RFC[ -]?8446", text, re.I) and name != "CHANGES.md"]
    cited = {(name, section) for name, text in texts.items()
             for section in re.findall(r"RFC 9846,?[\s*]+(?:section )?([0-9A-F](?:\.[0-9]+)+)", text)}
    assert len(cited) > 12
    assert not [citation for citation in cited if citation[1] not in TLS13], "look these up, and add them to TLS13"


@pytest.mark.parametrize("page", sorted((TOP / "docs").glob("*.[58]")), ids=name_of)
def test_docs_man_page_closes_each_quote(page):
    """Dq, Sq and Ql quote all that follows on their line: a second one, or No, ends up inside."""
    for line in page.read_text().splitlines():
        if line.startswith("."):
            after = re.split(r"\b(?:Dq|Sq|Ql)\b", line)[1:]
            assert len(after) < 2 and not re.search(r"\bNo\b", "".join(after)), line
