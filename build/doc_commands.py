# SPDX-License-Identifier: Apache-2.0
"""Commands that a page shows: the lines of its indented blocks.  Blocks with a language (```apache) are
something else.  Used by the tests, which run them, and by first_five.py."""
import re

HEREDOC = re.compile(r"<<-?\s*'?(\w+)'?")


def indented_blocks(text):
    """(line number, lines) of each indented block outside fences and lists."""
    found, lines, fence = [], [], None
    previous = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(`{3,})(\S*)", line)
        if mark and fence is None:
            fence = mark.group(1)
        elif mark and not mark.group(2) and mark.group(1) == fence:
            fence = None
        elif fence is None and line.startswith("    ") and (lines or not previous.strip()):
            if not lines:
                found.append((number, lines))
            lines.append(line.strip() if len(line) - len(line.lstrip()) > 4 and not lines else line[4:])
            previous = line
            continue
        if lines and not line.strip():
            lines.append("")
        else:
            lines = []
        previous = line
    return [(number, block) for number, block in found]


def commands(text):
    """(line number, command) for each command: continued lines and here-documents are one."""
    found = []
    for number, block in indented_blocks(text):
        rest = list(enumerate(block, number))
        while rest:
            at, line = rest.pop(0)
            if not line.strip() or line.startswith("#"):
                continue
            while line.endswith("\\") and rest:
                line += "\n" + rest.pop(0)[1]
            end = HEREDOC.search(line)
            while end and rest:
                following = rest.pop(0)[1]
                line += "\n" + following
                if following == end.group(1):
                    break
            found.append((at, line))
    return found
