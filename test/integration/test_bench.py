# SPDX-License-Identifier: Apache-2.0
"""make bench in its smallest form: every part runs to its end and leaves figures that can be read.  How
fast anything is, is not judged here."""
import json
import subprocess
import xml.etree.ElementTree as xml

import pytest

from httpd import TOP

PARTS = ["callback", "connection", "size", "handshakes", "rotation", "day", "scale", "postquantum", "push"]


@pytest.mark.xdist_group("bench")
@pytest.mark.timeout(300)
def test_bench_smallest_form_leaves_json_and_chart(tmp_path):
    subprocess.run(["make", "--no-print-directory", "-C", TOP, "bench-build"], check=True,
                   capture_output=True, timeout=300)
    done = subprocess.run([TOP / "test" / "bench" / "run", "--smoke", "--out", tmp_path],
                          capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "bench.json").read_text())
    assert list(found["parts"]) == PARTS and found["machine"]["httpd"]
    for name, part in found["parts"].items():
        assert part["tables"], name
        for table in part["tables"]:
            assert table["rows"] and {len(row) for row in table["rows"]} == {len(table["columns"])}
            assert table["title"] in done.stdout
        for chart in part["charts"]:
            assert all(bar["q1"] <= bar["median"] <= bar["q3"] for bar in chart["bars"])
    picture = xml.parse(tmp_path / "bench.svg").getroot()
    texts = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}text")]
    for part in found["parts"].values():
        assert all(any(text.startswith(chart["title"]) for text in texts) for chart in part["charts"])


def test_bench_names_its_parts_when_one_is_wrong():
    done = subprocess.run([TOP / "test" / "bench" / "run", "nonsense"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2
    assert all(part in done.stderr for part in PARTS)
