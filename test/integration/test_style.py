# SPDX-License-Identifier: Apache-2.0
"""build/check_style.sh names each line that breaks a rule, and none that keeps them."""
import subprocess

import pytest

from httpd import TOP


def judged(folder, path, line):
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(line + "\n")
    return subprocess.run([TOP / "build/check_style.sh", path], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize("path, line, said", [
    ("src/a.c", "    if (key == NULL) {", "if (!p)"),
    ("src/a.c", "    if (ring->key != NULL) {", "if (p)"),
    ("src/a.c", "    return ring && ring->keys[i] != NULL;", "if (p)"),
    ("stekctl/a.c", "    for (apr_size_t i = 0; i < n; i++) {", "at the top of the block"),
    ("test/unit/test_a.c", "static void @_ring_fullRing_isRefused(void **state)", "lower case"),
    ("test/integration/test_a.py", "def @_ring_isFull(httpd):", "lower case"),
])
def test_style_line_that_breaks_a_rule_is_named(tmp_path, path, line, said):
    line = line.replace("@", "test")  # so that this file passes
    result = judged(tmp_path, path, line)
    assert result.returncode == 1
    assert f"{path}:1:{line}" in result.stderr and said in result.stderr


@pytest.mark.parametrize("path, line", [
    ("src/a.c", "    return key != NULL;"),
    ("src/a.c", "    while ((entry = readdir(dir)) != NULL) {"),
    ("src/a.c", "    for (i = 0; i < n; i++) {"),
    ("test/unit/test_a.c", "static void test_ring_full_ring_is_refused(void **state)"),
])
def test_style_line_that_keeps_the_rules_passes(tmp_path, path, line):
    result = judged(tmp_path, path, line)
    assert result.returncode == 0 and not result.stderr
