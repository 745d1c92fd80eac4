#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make html: the documentation as HTML, in out/html.  "--install DIRECTORY": as a package has it.

Every page of Markdown and every man page, in the folders that they have in the source; what they link
to besides (configurations, sources) is wrapped into a page, so that no link leaves the directory.
Markdown through markdown-it, man pages through mandoc.  Headings get the anchors that repository pages give
them; a message's tag and a man page's name become links.  A link to a page whose text is the page's file name
shows the page's title instead, and a table whose header is empty has none.

Installed, the pages of Markdown and what is in conf/ lie beside html/, in the folders that they have in the
source.  Links between them stay as they are; all others lead to the page in html/.  "--uninstall DIRECTORY" takes
all of it away again, and leaves what else is there.
"""
import argparse
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
PAGES = sorted(TOP.glob("*.md")) + sorted((TOP / "docs").glob("*.md"))
# A package has CHANGES.md where its distribution has changelogs.
INSTALLED = [page for page in PAGES if page.name != "CHANGES.md"]
DATA = sorted((TOP / "docs").glob("*.json"))
MAN = sorted((TOP / "docs").glob("*.[58]"))
NAV = [("Documentation", "docs/README.md"), ("Quick start", "docs/quick-start.md"),
       ("Manual", "docs/mod_stek_rotate.md"), ("stekctl(8)", "docs/stekctl.8"),
       ("Messages", "docs/messages.md")]
STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 0 1rem 3rem; }
nav { padding: .7rem 0; border-bottom: 1px solid var(--line); }
nav a { margin-right: 1.2rem; }
pre, code { font-family: ui-monospace, monospace; font-size: .9em; }
pre { background: var(--soft); padding: .7rem; overflow-x: auto; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
table { margin: 1rem 0; }
.permalink { color: inherit; text-decoration: none; }
.manual-text h1 { font-size: 1.4rem; }
.manual-text h2 { font-size: 1.1rem; }
table.Nm td, table.head td, table.foot td { border: 0; padding: 0 .5rem 0 0; }
h1, h2, h3 { line-height: 1.2; margin-top: 1.6em; }
:target { background: #fd63; }
"""
MESSAGES = "docs/messages.md"
MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")


def run(*words, text):
    return subprocess.run(words, input=text, capture_output=True, text=True, check=True).stdout


def slug(heading):
    """The anchor that repository pages give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def target_of(source):
    """Path of the page made from a source, below the output directory."""
    name = str(source)
    if source.name == "README.md" and source.parent.name == "docs":
        return str(source.parent / "index.html")
    return (name[:-3] if name.endswith(".md") else name) + ".html"


def title_of(source):
    """Of a page of Markdown."""
    first = re.search(r"^# (.+)$", (TOP / source).read_text(), re.M)
    return first.group(1) if first else source.name


def is_shipped(source):
    """Whether an installed copy of the Markdown has this file beside it."""
    return TOP / source in INSTALLED or source.parts[0] == "conf" or TOP / source in DATA


class Site:
    def __init__(self, out, markdown):
        self.out, self.to_html = out, markdown
        self.wanted, self.made = [], set()

    def link(self, source, href):
        """href of a page as it stands in the page's HTML; what it names is made too."""
        if re.match(r"[a-z][a-z0-9+.-]*:", href) or href.startswith("#"):
            return href
        path, _, anchor = href.partition("#")
        there = Path(os.path.normpath(source.parent / path))
        self.wanted.append(there)
        link = os.path.relpath(target_of(there), Path(target_of(source)).parent)
        return link + ("#" + anchor if anchor else "")

    def write(self, source, title, body):
        nav = "".join(f'<a href="{self.link(source, os.path.relpath(page, source.parent))}">{text}</a>\n'
                      for text, page in NAV)
        target = self.out / target_of(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
                          '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
                          f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
                          f"<body>\n<nav>{nav}</nav>\n{body}</body>\n</html>\n")
        self.made.add(source)

    def markdown(self, source):
        body = self.to_html((TOP / source).read_text())
        used = {}

        def heading(found):
            level, inner = found.groups()
            name = slug(html.unescape(re.sub(r"<[^>]+>", "", inner)))
            used[name] = used.get(name, 0) + 1
            name += f"-{used[name] - 1}" if used[name] > 1 else ""
            return f'<h{level} id="{name}">{inner}</h{level}>'

        body = re.sub(r"<h(\d)>(.*?)</h\1>", heading, body, flags=re.S)
        def link(found):
            href, text = html.unescape(found.group(1)), found.group(2)
            there = Path(os.path.normpath(source.parent / href.partition("#")[0]))
            if re.fullmatch(r"(<code>)?[\w./-]+\.md(</code>)?", text) and TOP / there in PAGES:
                text = html.escape(title_of(there))
            return f'<a href="{html.escape(self.link(source, href))}">{text}</a>'

        body = re.sub(r'<a href="([^"]+)">(.*?)</a>', link, body, flags=re.S)
        body = re.sub(r"<thead>\n<tr>\n(<th[^>]*></th>\n)+</tr>\n</thead>\n", "", body)
        if str(source) == MESSAGES:
            body = re.sub(r"<tr>\n<td>(STEK\d{4})</td>", r'<tr id="\1">' + "\n" + r"<td>\1</td>", body)
        title = re.search(r"<h1[^>]*>(.*?)</h1>", body, re.S)
        self.write(source, re.sub(r"<[^>]+>", "", html.unescape(title.group(1))) if title else source.name,
                   self.cross(source, body))

    def cross(self, source, body):
        """Links from tags to the table of messages, and from names of man pages to them."""
        names = "|".join(re.escape(page.stem) for page in sorted(MAN, key=lambda page: -len(page.stem)))

        def reference(found):
            tag, name, section = found.groups()
            if tag:
                there, anchor = MESSAGES, "#" + tag
            else:
                there, anchor = f"docs/{name}.{section}", ""
            if there == str(source):
                return found.group(0)
            href = self.link(source, os.path.relpath(there, source.parent) + anchor)
            return f'<a href="{href}">{found.group(0)}</a>'

        parts = re.split(r"(<a\b.*?</a>|<pre>.*?</pre>|<h\d.*?</h\d>|<[^>]+>)", body, flags=re.S)
        for at in range(0, len(parts), 2):
            parts[at] = re.sub(rf"\b(STEK\d{{4}})\b|(?<![\w-])({names})\(([58])\)", reference, parts[at])
        return "".join(parts)

    def man(self, source):
        body = run("mandoc", "-T", "html", "-O", "fragment,man=%N.%S", text=(TOP / source).read_text())
        known = {page.name for page in MAN}

        def link(found):
            href = html.unescape(found.group(1))
            if href in known:
                return f'href="{self.link(source, href)}"'
            # A page of another package has no place here.
            return found.group(0) if href.startswith("#") or "://" in href else ""

        self.write(source, source.name, re.sub(r'href="([^"]+)"', link, body))

    def listing(self, source):
        names = sorted(path.name for path in (TOP / source).iterdir())
        items = "".join(f'<li><a href="{self.link(source, source.name + "/" + name)}">{name}</a></li>\n'
                        for name in names)
        self.write(source, str(source), f"<h1>{source}</h1>\n<ul>\n{items}</ul>\n")

    def wrapped(self, source):
        text = html.escape((TOP / source).read_text())
        self.write(source, str(source), f"<h1>{source}</h1>\n<pre>{text}</pre>\n")

    def build(self):
        self.wanted += [page.relative_to(TOP) for page in PAGES + MAN]
        while self.wanted:
            source = self.wanted.pop()
            if source in self.made:
                continue
            if source.suffix == ".md":
                self.markdown(source)
            elif TOP / source in MAN:
                self.man(source)
            elif (TOP / source).is_dir():
                self.listing(source)
            else:
                self.wrapped(source)
        return len(self.made)


def install_markdown(to):
    for page in INSTALLED:
        source = page.relative_to(TOP)

        def link(found, source=source):
            path, _, anchor = found.group(1).partition("#")
            there = Path(os.path.normpath(source.parent / path))
            if not path or ":" in path or is_shipped(there):
                return found.group(0)
            there = os.path.relpath("html/" + target_of(there), source.parent)
            return f"]({there}{'#' + anchor if anchor else ''})"

        (to / source).parent.mkdir(parents=True, exist_ok=True)
        (to / source).write_text(MARKDOWN_LINK.sub(link, page.read_text()))
    for path in DATA:
        shutil.copy(path, to / path.relative_to(TOP))
    shutil.copytree(TOP / "conf", to / "conf", dirs_exist_ok=True)
    for path in [to, *to.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)


def uninstall(to):
    """Leaves a folder alone that "--install" has not filled."""
    if not (to / "html" / target_of(Path("docs/README.md"))).exists():
        return
    shutil.rmtree(to / "html")
    copies = [to / path.relative_to(TOP) for path in [*INSTALLED, *DATA, *(TOP / "conf").rglob("*")] if path.is_file()]
    for path in copies:
        path.unlink(missing_ok=True)
    folders = {folder for path in copies for folder in path.parents if folder.is_relative_to(to)}
    for folder in sorted(folders, reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def main():
    parser = argparse.ArgumentParser(prog="make html", description="The documentation as HTML.")
    parser.add_argument("out", type=Path, nargs="?", default=TOP / "out" / "html")
    parser.add_argument("--install", action="store_true", help="as a package has it: HTML, Markdown and conf/")
    parser.add_argument("--uninstall", action="store_true", help="removes what --install has put there")
    args = parser.parse_args()
    if args.uninstall:
        uninstall(args.out)
        return 0
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        print("no markdown-it: build/deps.sh html, or install the package python3-markdown-it", file=sys.stderr)
        return 1
    if not shutil.which("mandoc"):
        print("no mandoc: build/deps.sh html, or install the package mandoc", file=sys.stderr)
        return 1
    site = args.out / "html" if args.install else args.out
    shutil.rmtree(site, ignore_errors=True)
    count = Site(site, MarkdownIt("commonmark").enable("table").render).build()
    if args.install:
        install_markdown(args.out)
    print(f"{count} pages; begin with {site / 'docs' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
