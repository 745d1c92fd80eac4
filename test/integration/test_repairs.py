# SPDX-License-Identifier: Apache-2.0
"""An administrator breaks what httpd uses, and repairs it by doing what the log, the status page and stekctl say,
to the word and nothing else."""
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from checks import VERSIONS, issued_now, lines
from handshakes import Scripted, sample
from httpd import RUN_AS, Vhost, wait_for
from seed import seeded_rng
from stekctl_tool import Stekctl
from test_findings import THIRD_USER

# The log: "PATH (owner X, mode Y; wanted: Z: COMMAND)"; stekctl: "PATH: can be read or changed by others (owner ...".
ORDERS = [re.compile(pattern) for pattern in (
    r"(/\S+?)(?:: can be read or changed by others)? \(owner [^;)]*; wanted: [^)]*: ((?:chown|chmod)[^:)]*)\)",
    r"(/\S+?):? belongs to another user \(uid \d+; if it is yours: (chown root)\)",
    r"(/\S+?) \(httpd's children cannot enter it; to let them: ([^)]*)\)")]
STEPS_MAX = 12


def obey(said):
    """Does what a refusal says: the path to which it was done."""
    match = next((found for found in (order.search(said) for order in ORDERS) if found), None)
    assert match, f"says not what to do: {said}"
    path, commands = match[1], match[2]
    for command in re.split(" && | and ", commands):
        subprocess.run([*command.split(), *([] if path in command else [path])], check=True)
    return path


def spoil(folder, draw):
    """As chown -R and chmod -R do, or one by one: of what is there."""
    ids = pwd.getpwnam(THIRD_USER)[2:4]
    paths = [folder, *sorted(folder.iterdir())]
    for path in draw.choice([paths, draw.sample(paths, draw.randint(1, len(paths)))]):
        what = draw.choice(["owner", "mode", "both"])
        if what != "mode":
            os.chown(path, *ids)
        if what != "owner":
            path.chmod(path.stat().st_mode | draw.choice([0o020, 0o022, 0o006]))


@pytest.mark.parametrize("turn", range(3))
def test_owners_and_modes_are_mended_by_the_log(httpd, turn):
    draw = seeded_rng("owners", turn)
    server = httpd(processes=1).start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    spoil(server.ring_path().parent, draw)
    server.expect("STEK2003", "STEK2004", "STEK2009", "STEK2011")
    for _ in range(STEPS_MAX):
        mark = server.mark()
        server.graceful()
        said = [line for line in server.lines("STEK2003|STEK2009|STEK2011", mark)]
        if not said:
            break
        obey(said[0])
    assert not said, said
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v]).resumed
    tool = Stekctl(server.ring_path().parent, "default.ring")
    for _ in range(STEPS_MAX):  # what httpd does not mind, as a secret's directory that has another group
        done = tool.run("rotate", expect=None)
        if done.returncode == 0:
            break
        obey(done.stderr)
    assert "healthy" in tool.run("show").stdout


def test_the_second_fault_is_told_as_soon_as_the_first_is_mended(httpd):
    """Not a minute later."""
    server = httpd(processes=1).start()
    ids = pwd.getpwnam(THIRD_USER)[2:4]
    for path in (server.ring_path().parent, server.ring_path()):
        os.chown(path, *ids)
    line = server.wait_log(r"STEK2003.*stek_rotate \(owner")[0]
    mark = server.mark()
    assert obey(line) == str(server.ring_path().parent)
    line = server.wait_log(r"STEK2003.*default\.ring \(owner", mark, timeout=25)[0]
    assert obey(line) == str(server.ring_path())
    server.wait_log("STEK2001", mark, timeout=25)


def test_lock_of_another_user_is_called_that(httpd):
    server = httpd(processes=1, server=lines(interval="5s", lifetime="1min")).start()
    lock = server.ring_path().with_suffix(".ring.lock")
    os.chown(lock, *pwd.getpwnam(THIRD_USER)[2:4])
    line = server.wait_log("STEK2003", timeout=30)[0]
    assert obey(line) == str(lock)
    server.wait_log("STEK2001", timeout=25)
    os.chown(lock, *pwd.getpwnam(THIRD_USER)[2:4])
    done = Stekctl(server.ring_path().parent, "default.ring").run("rotate", expect=3)
    assert obey(done.stderr) == str(lock)


@pytest.mark.parametrize("mode", [0o700, 0])
def test_directory_that_children_cannot_enter_is_opened_by_the_command_in_the_log(httpd, mode):
    """And root, who may, is not sent to look for what denied it."""
    server = httpd(processes=1).start()
    first = issued_now(server).session
    folder = server.ring_path().parent
    os.chown(folder, 0, 0)
    folder.chmod(mode)
    server.expect("STEK2011", "STEK2003")
    server.graceful()
    said = server.lines("STEK2011")[-1]
    assert obey(said) == str(folder) and "AppArmor" not in said
    server.graceful()
    assert len(server.lines("STEK2011")) == 1
    assert server.get(session=first).resumed
    assert folder.stat().st_mode & 0o7777 == 0o750


@pytest.mark.parametrize("gone", ["secret", "directory"])
def test_missing_files_come_back_by_the_reload_that_stekctl_names(httpd, gone):
    """And nobody is told to make a secret that would open nothing."""
    server = httpd(processes=1).start()
    first = {v: issued_now(server, tls=v).session for v in VERSIONS}
    server.expect("STEK2003")
    if gone == "secret":
        server.secret_path().unlink()
    else:
        shutil.rmtree(server.ring_path().parent)
    tool = Stekctl(server.ring_path().parent, "default.ring")
    said = tool.run("show", expect=4).stderr
    assert "reload" in said and "create one: stekctl secret new" not in said
    server.graceful()
    assert "healthy" in tool.run("show").stdout
    for v in VERSIONS:
        assert server.get(tls=v, session=first[v]).resumed


def test_no_ring_at_the_path_is_to_be_moved_away(httpd):
    server = httpd(processes=1).start()
    first = issued_now(server).session
    server.put_ring(b"garbage" * 50)
    line = server.wait_log("STEK2003", timeout=25)[0]
    assert "move it away, and httpd writes a new ring" in line
    server.ring_path().rename(server.root / "away")
    server.wait_log("STEK2001", timeout=30)
    assert server.get(session=first).resumed and server.ring().keys


def test_page_tells_what_keeps_the_parent_from_writing(httpd):
    """The log warns, so the page is not green: existing keys run out, although children find their file good."""
    scripted = Scripted(httpd, processes=1)
    server = scripted.server
    server.server = lines(interval="5s", lifetime="1min")
    server.ring_path().unlink(missing_ok=True)
    server.start()
    wait_for(lambda: scripted.json()["healthy"], "a healthy ring", 10, 0.1)
    lock = server.ring_path().with_suffix(".ring.lock")
    lock.write_text("my notes")
    server.wait_log("STEK2003", timeout=30)
    data = scripted.json()
    reasons = {reason["code"]: reason["text"] for reason in data["reasons"]}
    assert not data["healthy"] and sample(scripted.metrics(), "stek_ring_healthy") == 0
    assert str(server.ring_path()) in reasons["parent"] and data["rings"][0]["parent_trouble"] in reasons["parent"]
    assert "source" not in reasons
    lock.unlink()
    server.wait_log("STEK2001", timeout=25)
    wait_for(lambda: scripted.json()["healthy"], "a healthy ring", 10, 0.1)


def test_page_tells_that_a_ring_is_in_memory_against_its_configuration(httpd):
    scripted = Scripted(httpd, processes=1)
    server = scripted.server
    server.server = ["StekRing default poll=1s"]
    server.start()
    assert "instead of" not in scripted.status()
    os.chown(server.secret_path(), *pwd.getpwnam(THIRD_USER)[2:4])
    server.stop()
    server.expect("STEK2011")
    server.start()
    page, data = scripted.status(), scripted.json()
    assert f"memory instead of {server.ring_path()}" in page.replace("<wbr>", "") and "STEK2011" in page
    reasons = {reason["code"]: reason["text"] for reason in data["reasons"]}
    assert list(reasons) == ["memory"] and str(server.ring_path()) in reasons["memory"]
    assert not data["healthy"] and sample(scripted.metrics(), "stek_ring_healthy") == 0
    session = server.get("a.test").session
    obey(server.lines("STEK2011")[-1])
    Stekctl(server.ring_path().parent, server.ring_path()).run("revoke", "--all")
    revoked = time.time()
    wait_for(lambda: scripted.json()["rings"][0]["looked_at"] > revoked + 1, "a look after the revocation", 10)
    assert server.get("a.test", session=session).resumed, "then healthy would be right"
    server.graceful()
    assert "instead of" not in scripted.status() and scripted.json()["healthy"]
    assert not server.get("a.test", session=session).resumed


def test_fault_of_a_ring_in_two_lines_names_both(httpd):
    server = httpd(server=["StekRing x interval=1h", "StekRing x interval=2h lifetime=1h"], vhosts=[Vhost("a.test")])
    status, said = server.configtest()
    first = next(number for number, line in enumerate(server.conf.read_text().splitlines(), 1)
                 if line == "StekRing x interval=1h")
    assert status != 0
    assert f"ring 'x' ({server.conf}:{first} and {server.conf}:{first + 1}): lifetime '1h'" in said


@pytest.mark.parametrize("group", [THIRD_USER, RUN_AS])
def test_ring_of_another_user_is_changed_as_that_user_and_not_taken_from_him(group):
    """Root looks at the ring of stekctl sync, whose user must be able to go on writing, and httpd's group to read."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as base:
        os.chmod(base, 0o755)
        folder, ids = Path(base) / "stek-www", (pwd.getpwnam(THIRD_USER)[2], pwd.getpwnam(group)[3])
        folder.mkdir(mode=0o750)
        tool = Stekctl(folder, "default.ring")
        tool.run("new")
        for path in (folder, *folder.iterdir()):
            os.chown(path, *ids)
        said = tool.run("show", expect=3).stderr
        command = re.search(rf"run stekctl as that user: (runuser -u {THIRD_USER} .*?-- )stekctl", said)[1]
        done = [subprocess.run([*command.split(), *tool.command(word)], capture_output=True, text=True)
                for word in ("rotate", "show")]
        assert [each.returncode for each in done] == [0, 0] and "healthy" in done[1].stdout, done
        assert (folder / "default.ring").stat().st_gid == ids[1]


def test_missing_secret_of_a_fleet_is_not_blamed_on_the_owner_of_its_directory(httpd):
    server = httpd(processes=1)
    folder = server.root / "stek-www"
    folder.mkdir(mode=0o750)
    os.chown(folder, *pwd.getpwnam(THIRD_USER)[2:4])
    server.server = lines(file=folder / "default.ring", secret=folder / "default.secret", generate="off")
    server.expect("STEK2002", "STEK2017")
    server.start()
    said, = server.lines("STEK2002")
    assert f"{folder / 'default.secret'}: No such file or directory" in said and "chown" not in said
