# SPDX-License-Identifier: Apache-2.0
"""docs/threat-model.md names tests that exist, and says of each attacker what holds and what does not."""
import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TEXT = (TOP / "docs" / "threat-model.md").read_text()
NOT_ATTACKERS = {"What is to be protected", "Trust boundaries"}


def attackers():
    parts = re.split(r"^## (.+)$", TEXT, flags=re.M)
    return {name: body for name, body in zip(parts[1::2], parts[2::2]) if name not in NOT_ATTACKERS}


def known_tests():
    found = set()
    for path in TOP.glob("test/integration/test_*.py"):
        found |= set(re.findall(r"^def (test_\w+)\(", path.read_text(), re.M))
    for path in TOP.glob("test/unit/test_*.c"):
        # Defined, and in the list of those that run.
        text = path.read_text()
        defined = set(re.findall(r"^static void (test_\w+)\(void \*\*state\)", text, re.M))
        found |= {name for name in defined if len(re.findall(rf"\b{name}\b", text)) > 1}
    return found


def test_threat_model_names_tests_that_exist():
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 50
    assert not named - known_tests()


@pytest.mark.parametrize("attacker", attackers())
def test_threat_model_says_what_holds_and_what_does_not(attacker):
    holds, _, rest = attackers()[attacker].partition("* **Does not hold:** ")
    assert "* **Holds:** " in holds and "`test_" in holds
    assert rest.strip()


def test_threat_model_covers_each_promise():
    promises = re.findall(r"^\| (S\d+) \|", (TOP / "SECURITY.md").read_text(), re.M)
    assert len(promises) == 11
    assert set(promises) <= set(re.findall(r"\bS\d+\b", "".join(attackers().values())))
