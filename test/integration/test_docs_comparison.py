# SPDX-License-Identifier: Apache-2.0
"""docs/comparison.md: what it says of others names its source, and every source its version and the page its date."""
import re

from httpd import TOP

PAGE = (TOP / "docs" / "comparison.md").read_text()
OURS = "**httpd with this module**"
DATE = r"20\d\d-\d\d-\d\d"


def tables():
    for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.M):
        rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
        yield rows[0], rows[2:]


def test_comparison_every_cell_about_others_has_a_source():
    *compared, (_, sources) = tables()
    numbers = {row[0] for row in sources}
    assert [row[0] for row in sources] == [str(n + 1) for n in range(len(sources))]
    used = set()
    for head, rows in compared:
        assert len(rows) >= 4
        for row in rows:
            assert len(row) == len(head), row
            if row[0] == OURS:
                continue
            for cell in row[1:]:
                named = re.findall(r"\[(\d+)\]", cell)
                assert named or cell in ("", "given by the application"), f"{row[0]}: {cell}"
                used |= set(named)
    assert used == numbers


def test_comparison_is_dated():
    assert re.search(r"^Read on \d{1,2} \w+ 20\d\d", PAGE, re.M)
    *_, (_, sources) = tables()
    for number, project, where in sources:
        assert project == "the same" or re.search(r"\d", project), number
        assert project == "the same" or "commit" not in project or re.search(DATE + r"|\(2026\)", project), number
        assert "https://" in where, number
