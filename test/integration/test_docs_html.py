# SPDX-License-Identifier: Apache-2.0
"""The documentation as HTML (make html): every link leads somewhere, every page is reached."""
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from httpd import TOP
from test_docs import source_tags

VOID = ("meta", "br", "hr", "img", "link", "col")
BUILDER = TOP / "build" / "make_html.py"


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.open = [], [], []
        self.feed(path.read_text())
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "a" and "href" in attrs:
            self.links.append(attrs["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("html")
    done = subprocess.run([sys.executable, str(BUILDER), str(out)], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    return {path.relative_to(out): Page(path) for path in sorted(out.rglob("*.html"))}, out


def test_html_every_page_and_man_page_is_there(site):
    pages, _ = site
    names = {str(path) for path in pages}
    for page in (TOP / "docs").iterdir():
        expected = {"docs/README.md": "docs/index.html"}.get(f"docs/{page.name}",
                                                             f"docs/{page.name.removesuffix('.md')}.html")
        assert expected in names
    assert "README.html" in names and "conf/reference.conf.html" in names


def test_html_is_well_formed(site):
    for path, page in site[0].items():
        assert not page.open, f"{path}: not closed: {page.open}"
        assert len(page.ids) == len(set(page.ids)), f"{path}: an anchor twice"


def test_html_links_and_anchors_lead_somewhere(site):
    pages, out = site
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            there = (out / path.parent / parts.path).resolve().relative_to(out.resolve()) \
                if parts.path else path
            assert there in pages, f"{path}: {link}"
            assert not parts.fragment or parts.fragment in pages[there].ids, f"{path}: {link}"


def test_html_external_links_are_well_formed(site):
    for path, page in site[0].items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme == "https" and re.fullmatch(r"[\w.-]+\.[a-z]+", parts.netloc), link
                assert not re.search(r"[\s<>\"]", link), f"{path}: {link}"


def test_html_tags_have_anchors_and_are_linked(site):
    pages, out = site
    messages = next(page for path, page in pages.items() if path.name == "messages.html")
    assert set(source_tags()) <= set(messages.ids)
    troubles = next(page for path, page in pages.items() if path.name == "troubleshooting.html")
    for tag in source_tags():
        assert f"messages.html#{tag}" in troubles.links


def test_html_links_to_pages_show_their_titles(site):
    _, out = site
    for path in out.rglob("*.html"):
        for href, text in re.findall(r'<a href="([^"]+)">(.*?)</a>', path.read_text(), re.S):
            assert "bench" in str(path) or not re.fullmatch(r"(<code>)?[\w./-]+\.md(</code>)?", text), f"{path}: {href}"
    assert '<a href="mod_stek_rotate.html">Apache module mod_stek_rotate<' in (out / "docs/index.html").read_text()


def test_html_tables_have_no_empty_header(site):
    _, out = site
    heads = [head for path in out.rglob("*.html") for head in re.findall(r"<thead>.*?</thead>", path.read_text(), re.S)]
    assert len(heads) > 20 and all(re.sub(r"<[^>]+>|\s", "", head) for head in heads)


def test_html_every_page_is_reached_from_the_index(site):
    pages, out = site
    index = next(path for path in pages if path.name == "index.html")
    todo, reached = [index], set()
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        for link in pages[path].links:
            parts = urlsplit(link)
            if not parts.scheme and parts.path:
                todo.append((out / path.parent / parts.path).resolve().relative_to(out.resolve()))
    assert reached == set(pages)
