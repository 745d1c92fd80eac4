# SPDX-License-Identifier: Apache-2.0
"""The unit tests, which a package's build runs too, pass for whoever builds: what needs a right that is not
there says so and is skipped, and nothing else is."""
import os
import re
import shutil
import subprocess

import pytest

from test_packages import TOP, make

PROGRAMS = ["test_file", "test_mem", "test_ring_file", "test_secret"]
USER = ["setpriv", "--reuid=65000", "--regid=65000", "--clear-groups"]
OTHER_USERS = "root, to act as another user"
MOUNT = "the right to mount, as root or in a user namespace"


def dropped(*capabilities):
    names = ",".join(f"-{name}" for name in capabilities)
    return ["setpriv", f"--bounding-set={names}", f"--inh-caps={names}"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Where another user can run them."""
    make("-j2", *(f"out/unit/{name}" for name in PROGRAMS))
    folder = tmp_path_factory.mktemp("rights")
    for name in PROGRAMS:
        shutil.copy(TOP / "out" / "unit" / name, folder)
    shutil.copy(TOP / "build" / "run_unit.py", folder)
    path = folder
    while path.owner() == "root" and path.name.startswith(("rights", "pytest-")):
        path.chmod(path.stat().st_mode | 0o055)
        path = path.parent
    return folder


def run_unit(folder, commands, before=(), **environment):
    """Exit code, counts (passed, failed, skipped), what was lacking, all that was said."""
    logs = folder / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir()
    logs.chmod(0o777)
    env = {k: v for k, v in os.environ.items() if k not in ("STEK_NO_SKIP", "TMPDIR")}
    done = subprocess.run([*before, "/usr/bin/python3", folder / "run_unit.py", "--logs", logs, *commands],
                          cwd="/", capture_output=True, text=True, env=dict(env, **environment))
    counts = re.search(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", done.stdout, re.M)
    lacking = set(re.findall(r"^  not run: tests that need (.*)$", done.stdout, re.M))
    return done.returncode, tuple(int(n or 0) for n in counts.groups()), lacking, done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("before, lacking", [
    ([], set()),
    (USER, {OTHER_USERS, MOUNT}),  # in a user namespace, directories of root's are nobody's
    (dropped("sys_admin"), set()),  # a user namespace gives the right to mount
    (dropped("setuid"), {OTHER_USERS}),
    ([*USER, "fakeroot"], {OTHER_USERS, MOUNT}),
], ids=["root", "user", "root that may not mount", "root that stays root", "fakeroot"])
def test_unit_tests_pass_with_fewer_rights(programs, before, lacking):
    code, (passed, failed, skipped), said, text = run_unit(programs, [programs / name for name in PROGRAMS], before)
    assert (code, failed) == (0, 0), text[-3000:]
    assert said <= lacking and (OTHER_USERS in said) == (OTHER_USERS in lacking), text[-3000:]
    assert passed + skipped >= 70 and skipped <= (15 if lacking else 0)


SKIPS = "echo '[  PASSED  ] 3 test(s).'; echo '[  SKIPPED ] 1 test(s), listed below:'"


def test_unit_runner_counts_a_skip_only_with_its_reason(programs):
    for script, environment, code, counts in (
            (f"echo 'needs a moon'; {SKIPS}", {}, 0, (3, 0, 1)),
            (f"echo 'needs a moon'; {SKIPS}", {"STEK_NO_SKIP": "1"}, 1, (3, 1, 0)),
            (SKIPS, {}, 1, (3, 1, 0)),
            # as later versions of cmocka say it
            (f"echo 'needs a moon'; {SKIPS.replace('] 1', '] tests: 1')}", {}, 0, (3, 0, 1)),
            ("echo '[  PASSED  ] 3 test(s).'; echo '[  FAILED  ] tests: 2 test(s), listed below:'; exit 2", {}, 1,
             (3, 2, 0)),
            (f"echo 'needs a moon'; {SKIPS}; exit 1", {}, 1, (3, 1, 1))):
        got = run_unit(programs, [f'sh -c "{script}"'], **environment)
        assert got[:2] == (code, counts), (script, got[3])


def test_unit_runner_ends_what_works_too_long_or_not_at_all(programs):
    """Its time is that of the program: one that is held up by others may take any."""
    work = "i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done"
    scripts = {"busy": "while :; do :; done", "idle": "exec sleep 100", "held": f"sleep 0.3; {work}; " * 5}
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    code, counts, _, text = run_unit(programs, ["--timeout", "1", "-j", "3", *(programs / name for name in scripts)])
    assert code == 1 and counts == (1, 2, 0), text
    seconds = {name: float(took) for name, took in re.findall(r"^  \S+ +(\w+): .*\((\S+) s\)$", text, re.M)}
    assert re.search("^  ok   held", text, re.M) and seconds["held"] > 1, text
    assert text.count(": ended\n") == 2, text
