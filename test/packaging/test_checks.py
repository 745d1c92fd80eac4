# SPDX-License-Identifier: Apache-2.0
"""The checks in roots of other Debians say what failed, and where, and go on (debian_root.py, check_suites.py)."""
import sys
from types import SimpleNamespace

import pytest

import check_suites
import debian_root


@pytest.fixture
def checks(tmp_path, monkeypatch):
    monkeypatch.setattr(debian_root, "TOP", tmp_path)
    monkeypatch.setattr(debian_root, "FAILURES", tmp_path / "out/failures")
    monkeypatch.setattr(debian_root, "results", {"passed": 0, "failures": [], "place": "", "since": 0})
    return debian_root


def test_checks_end_with_what_failed_and_keep_all_that_it_said(checks, tmp_path, capsys):
    checks.heading("sid")
    assert checks.check("builds", True) and not checks.check("it runs, too", False, "first\n" + "x" * 5000)
    assert checks.closing_line() == 1
    assert capsys.readouterr().out.endswith("\nFAILED sid: it runs, too: out/failures/sid-it-runs-too.log\n"
                                            "1 passed, 1 failed\n")
    assert (tmp_path / "out/failures/sid-it-runs-too.log").read_text().startswith("first\n")


def test_checks_that_take_too_long_tell_what_they_said_until_then():
    code, said = debian_root.said_of(["/bin/sh", "-c", "echo begun; exec sleep 100"], 1)
    assert code == 124 and said.startswith("begun\n") and "not done after 1 s" in said


def test_suites_one_that_cannot_be_had_keeps_no_other_from_being_tried(checks, monkeypatch, capsys):
    def try_suite(suite):
        if suite == "bookworm":
            debian_root.stop("no mirror")
        checks.check("builds", True)

    monkeypatch.setattr(check_suites, "try_suite", try_suite)
    monkeypatch.setattr(sys, "argv", ["check_suites.py", "bookworm", "sid"])
    assert check_suites.main() == 1
    said = capsys.readouterr().out
    assert "no mirror" in said and "FAILED bookworm: is tried to its end: " in said
    assert said.endswith("1 passed, 1 failed\n") and "sid took " in said
    monkeypatch.setattr(sys, "argv", ["check_suites.py", "side"])
    with pytest.raises(SystemExit, match="unknown suite side: must be one of bookworm, "):
        check_suites.main()


def test_suites_without_packages_nothing_is_installed(checks, monkeypatch, tmp_path):
    tried = []
    log = tmp_path / "src/out/deb/build.log"
    log.parent.mkdir(parents=True)
    log.write_text("gcc -c x.c\n300 passed, 1 failed\n")
    root = SimpleNamespace(path=tmp_path, put_sources=lambda: None, run=lambda script: (0, "12 3.0 2.4.71 amd64"),
                           expect=lambda what, *_, **__: tried.append(what) or "")
    monkeypatch.setattr(check_suites, "counts", lambda *_: None)
    assert not check_suites.try_build(root, "sid") and tried == ["builds the packages", "what measures builds, too"]
    for name in ("libapache2-mod-stek-rotate", "mod-stek-rotate-doc", "stekctl-dbgsym", "stekctl"):
        assert not check_suites.try_build(root, "sid")
        (log.parent / f"{name}_1_all.deb").touch()
    assert check_suites.try_build(root, "sid")
