# SPDX-License-Identifier: Apache-2.0
"""make layers sees what it is there to see: each way to break rooms or their one direction, in a copy of the
sources, is found and named."""
import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location(
    "rooms", Path(__file__).resolve().parents[2] / "build" / "rooms.py")
rooms = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(rooms)


@pytest.fixture
def text():
    return rooms.read()


def include(text, path, header):
    text[Path(path)] = text[Path(path)].replace("#include ", f'#include "{header}"\n#include ', 1)


def call(text, path, name):
    text[Path(path)] += f"\nint also_{name}(void)\n{{\n    return {name}();\n}}\n"


def told(text):
    return "\n".join(rooms.faults(text, rooms.KNOWN))


def test_layers_as_they_stand_pass(text):
    assert told(text) == ""


@pytest.mark.parametrize("path, header, said", [
    ("stekctl/ring/cmd_show.c", "fleet/store.h", "others include fleet/fleet.h only"),
    ("stekctl/main.c", "ring/health_words.h", "others include ring/ring.h only"),
    ("stekctl/report.c", "ring/ring.h", "what all commands share knows no room"),
    ("stekctl/fleet/sync_host.c", "ring/ring.h", "a circle in the rooms of stekctl"),
    ("stekctl/stekctl.h", "report.h", "a circle in the stekctl"),
    ("include/stek_time.h", "stek_schedule.h", "a circle in the core"),
    ("include/mod_stek_config.h", "mod_stek_live.h", "a circle in the glue"),
])
def test_layers_include_that_breaks_them_is_named(text, path, header, said):
    include(text, path, header)
    assert said in told(text) and Path(path).stem in told(text)


@pytest.mark.parametrize("path, name, said", [
    ("stekctl/probe/run.c", "probe_test_mac", "probe/run -> probe/mac: probe_test_mac"),
    ("stekctl/fleet/store_url.c", "store_open", "fleet/store_url -> fleet/store: store_open"),
    ("src/stek_file.c", "stek_ring_file_save", "stek_file -> stek_ring_file: stek_ring_file_save"),
    ("src/mod_stek_live.c", "mod_stek_ring_start_all", "mod_stek_live -> mod_stek_ring_start"),
])
def test_layers_call_that_closes_a_circle_is_named(text, path, name, said):
    call(text, path, name)
    assert "a circle in" in told(text) and said in told(text)


def test_layers_arrow_listed_but_mended_must_leave_the_list(text):
    found = rooms.faults(text, [*rooms.KNOWN, ("stek_seal", "stek_time"), ("stek_iv", "stek_gone")])
    assert sorted(found) == [f"{pair} closes no circle: delete it from build/rooms.py"
                             for pair in ("stek_iv -> stek_gone", "stek_seal -> stek_time")]


def test_layers_without_the_list_each_arrow_of_it_closes_a_circle(text):
    for arrow in rooms.KNOWN:
        found = rooms.faults(text, [other for other in rooms.KNOWN if other != arrow])
        assert len(found) == 1 and f"{arrow[0]} -> {arrow[1]}: " in found[0]
