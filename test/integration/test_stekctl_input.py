# SPDX-License-Identifier: Apache-2.0
"""Every command on every kind of bad input: right exit code, one clear line, files as they were."""
import fcntl
import os
import socket
import subprocess
import time

import pytest

import ringfile
from stekctl_tool import BINARY, IO, REFUSED, USAGE, FINDING, DONE, Stekctl

# Commands that read or change the ring.
ON_RING = {
    "show": ["show"],
    "rotate": ["rotate"],
    "revoke": ["revoke", "--all"],
    "revoke-name": ["revoke", "00000000"],
    "import": ["import", "--format", "nginx", "{key}"],
    "export": ["export", "--format", "dnsdist", "--out", "{out}"],
    "audit": ["audit", "{ring}"],
    "reseal": ["secret", "roll", "--reseal"],
    "retire": ["secret", "retire"],
}


@pytest.fixture
def place(folder):
    tool = Stekctl(folder)
    tool.run("new")
    tool.run("secret", "roll")
    (folder / "key").write_bytes(os.urandom(80))
    (folder / "key").chmod(0o600)
    return tool


def content(path):
    if not path.is_file():
        return None
    return path.read_bytes() if path.stat().st_size < 1 << 20 else path.stat().st_size


def picture(root):
    """All that is there, but for lock files, which hold nothing."""
    return {
        str(path.relative_to(root)): (path.lstat().st_mode, content(path))
        for path in sorted(root.rglob("*"))
        if path.suffix != ".lock"
    }


def words(tool, name):
    return [
        word.format(key=tool.root / "key", out=tool.root / "out", ring=tool.ring_path)
        for word in ON_RING[name]
    ]


def refuses(tool, args, code, *texts):
    before = picture(tool.root)
    done = tool.run(*args, expect=None)
    assert done.returncode == code, f"{args}: {done.returncode} {done.stdout} {done.stderr}"
    assert done.stderr.startswith("stekctl: ") and done.stderr.count("\n") == 1, done.stderr
    assert ";" in done.stderr, "what to do"
    for text in texts:
        assert text in done.stderr
    assert not done.stdout or args[0] == "audit"
    assert picture(tool.root) == before
    return done


def missing(tool):
    tool.ring_path.unlink()
    return IO, "no such ring"


def directory(tool):
    tool.ring_path.unlink()
    tool.ring_path.mkdir()
    return REFUSED, "not a regular file"


def fifo(tool):
    tool.ring_path.unlink()
    os.mkfifo(tool.ring_path)
    return REFUSED, "not a regular file"


def cut(tool):
    tool.ring_path.write_bytes(tool.ring_path.read_bytes()[:-1])
    return REFUSED, "length"


def empty(tool):
    tool.ring_path.write_bytes(b"")
    return REFUSED, "length"


def garbage(tool):
    tool.ring_path.write_bytes(os.urandom(401))
    return REFUSED, "not a ring"


def damaged(tool):
    data = bytearray(tool.ring_path.read_bytes())
    data[150] ^= 1
    tool.ring_path.write_bytes(data)
    return REFUSED, "changed since it was sealed"


def later_version(tool):
    data = bytearray(tool.ring_path.read_bytes())
    data[9] = 9
    tool.ring_path.write_bytes(data)
    return REFUSED, "later version"


def weak_key(tool):
    ring = tool.ring()
    ring.keys[0] = ringfile.replace(ring.keys[0], aes=bytes(32))
    tool.ring_path.write_bytes(ring.seal(ringfile.read_secrets(tool.secret_path)[1]))
    return REFUSED, "weak key"


def too_big(tool):
    os.truncate(tool.ring_path, 1 << 31)
    return REFUSED, "too large"


def open_to_all(tool):
    tool.ring_path.chmod(0o666)
    return REFUSED, "by others"


def open_folder(tool):
    tool.root.chmod(0o777)
    return REFUSED, "by others"


def wrong_secret(tool):
    tool.secret_path.write_text("".join(ringfile.secret_line(os.urandom(32)) for _ in range(2)))
    return REFUSED, "sealed with"


def secret_missing(tool):
    tool.secret_path.unlink()
    return IO, "no such secret file"


def secret_directory(tool):
    tool.secret_path.unlink()
    tool.secret_path.mkdir()
    return REFUSED, "not a regular file"


def secret_garbage(tool):
    tool.secret_path.write_bytes(b"stek-secret-v1 AAAA\n")
    return REFUSED, "not well formed"


def secret_empty(tool):
    tool.secret_path.write_bytes(b"# none\n")
    return REFUSED, "empty"


def secret_open(tool):
    tool.secret_path.chmod(0o640)
    return REFUSED, "by others"


KINDS = [
    missing,
    directory,
    fifo,
    cut,
    empty,
    garbage,
    damaged,
    later_version,
    weak_key,
    too_big,
    open_to_all,
    open_folder,
    wrong_secret,
    secret_missing,
    secret_directory,
    secret_garbage,
    secret_empty,
    secret_open,
]


@pytest.mark.parametrize("name", list(ON_RING))
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_stekctl_bad_input_right_code_one_line_untouched(place, name, kind):
    code, text = kind(place)
    args = words(place, name)
    if name == "audit":
        # Judges files as they are: a weak key is its finding, what is no ring may be a key file.
        if kind is weak_key:
            done = place.run(*args, expect=FINDING)
            assert "weak: AES key" in done.stdout and not done.stderr
            return
        text = "neither a ring nor" if kind in (empty, garbage) else text
        text = "does not exist" if kind is missing else text
    if name == "retire" and kind is weak_key:
        # Retiring asks who sealed the ring, not what is in it.
        text = "still sealed with"
    if name in ("reseal", "retire") and kind.__name__.startswith("secret"):
        text = "" if kind is not secret_missing else text
    refuses(place, args, code, text)
    place.root.chmod(0o755)


@pytest.mark.parametrize(
    "args,text",
    [
        ([], "missing command"),
        (["nothing"], "unknown command"),
        (["--nothing", "show"], "unknown"),
        (["show", "--nothing"], "unknown option"),
        (["show", "more", "most"], "unexpected argument"),
        (["show", "--watch"], "terminal"),
        (["rotate", "--in"], "requires a value"),
        (["rotate", "--in", "5"], "number followed by"),
        (["rotate", "--in", "8d"], "up to 7d"),
        (["rotate", "--in", "-5s"], "number followed by"),
        (["revoke"], "missing key name"),
        (["revoke", "0123456"], "8 to 32 hex"),
        (["revoke", "0123456g"], "8 to 32 hex"),
        (["revoke", "0" * 33], "8 to 32 hex"),
        (["revoke", "--all", "01234567"], "not both"),
        (["new", "--interval", "0s"], "between 1s and 7d"),
        (["new", "--interval", "1"], "number followed by"),
        (["new", "--lifetime", "8d"], "lifetime"),
        (["new", "--interval", "2h", "--lifetime", "1h"], "lifetime"),
        (["new", "--ahead", "x"], "ahead"),
        (["new", "--ahead", "-1"], "ahead"),
        (["new", "--interval", "1s", "--lifetime", "7d"], "4096"),
        (["audit"], "missing file name"),
        (["audit", "--format", "iis", "x"], "one of nginx"),
        (["import", "x"], "missing --format"),
        (["import", "--format", "nginx"], "missing file name"),
        (["export"], "--out are required"),
        (["export", "--format", "ats"], "--out are required"),
        (["export", "--format", "ats", "--out", "x", "--socket", "y"], "requires --format haproxy"),
        (["export", "--format", "ats", "--out", "x", "--exec", "y"], "requires --follow"),
        (["export", "--format", "ats", "--out", "x", "--owner", "no-such-user"], "no such user"),
        (["secret"], "missing subcommand"),
        (["secret", "burn"], "new, roll or retire"),
        (["secret", "roll", "--fleet"], "cannot be combined"),
        (["secret", "new", "--reseal"], "cannot be combined"),
        (["secret", "roll", "twice"], "unexpected argument"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_stekctl_usage_fault_code_2_one_line(place, args, text):
    before = picture(place.root)
    done = place.run(*args, expect=USAGE)
    assert done.stderr.count("\n") == 1 and text in done.stderr and "--help" in done.stderr
    assert not done.stdout and picture(place.root) == before


@pytest.mark.parametrize(
    "data,text",
    [
        (b"", "empty"),
        (os.urandom(79), "not a key file"),
        (os.urandom(81), "not a key file"),
        (b"\0" * 80, "weak"),
        (os.urandom(16) + b"k" * 64, "weak"),
        (os.urandom(500000), "too large"),
    ],
    ids=["empty", "short", "long", "zero", "text", "huge"],
)
def test_stekctl_import_bad_key_file_nothing_imported(place, data, text):
    (place.root / "key").write_bytes(data)
    refuses(place, words(place, "import"), REFUSED, text)


def test_stekctl_import_one_bad_of_two_nothing_imported(place):
    other = place.root / "other"
    other.write_bytes(bytes(80))
    other.chmod(0o600)
    refuses(place, words(place, "import") + [str(other)], REFUSED, "other: key 00000000 is weak")
    other.write_bytes(os.urandom(16) + (place.root / "key").read_bytes()[16:])
    refuses(place, words(place, "import") + [str(other)], REFUSED, "shares bytes")


def test_stekctl_import_bad_base64_line_named(place):
    key = place.root / "key"
    key.write_text("A" * 107 + "=\n" + "=" * 108 + "\n")
    refuses(place, ["import", "--format", "haproxy", str(key)], REFUSED, "line 2")


def test_stekctl_import_open_key_file_refused(place):
    (place.root / "key").chmod(0o644)
    refuses(place, words(place, "import"), REFUSED, "by others")


def test_stekctl_import_revoked_key_refused(place):
    name = (place.root / "key").read_bytes()[:16].hex()
    place.run(*words(place, "import"))
    place.run("revoke", name)
    refuses(place, words(place, "import"), REFUSED, "was revoked")


def test_stekctl_revoke_ambiguous_name_refused(place):
    ring = place.ring()
    for tail in (1, 2):
        ring.keys.append(ringfile.make_key(name=bytes(15) + bytes([tail])))
    place.ring_path.write_bytes(ring.seal(ringfile.read_secrets(place.secret_path)[1]))
    refuses(place, ["revoke", "00000000"], REFUSED, "matches 2 keys")
    place.run("revoke", bytes(15).hex() + "01")
    assert place.ring().find(bytes(15) + b"\2") and not place.ring().find(bytes(15) + b"\1")


def test_stekctl_new_refuses_to_overwrite(place):
    refuses(place, ["new"], REFUSED, "already exists")
    refuses(place, ["secret", "new"], REFUSED, "already exists")
    place.ring_path.unlink()
    place.secret_path.write_text("nonsense\n")
    refuses(place, ["new"], REFUSED, "not well formed")
    assert not place.ring_path.exists()
    other = Stekctl(place.root, "no/such.ring")
    assert "does not exist; create it" in other.run("new", expect=IO).stderr


def test_stekctl_full_ring_says_revoke_all(place):
    """As many tombstones as the file has room for."""
    ring = place.ring()
    until = int(time.time()) + 3600
    room = (512 * 1024 - 88 - 16 - 4 - 124 * len(ring.keys)) // 24
    ring.tombstones = [(os.urandom(16), until) for _ in range(room)]
    place.ring_path.write_bytes(ring.seal(ringfile.read_secrets(place.secret_path)[1]))
    refuses(place, ["rotate"], REFUSED, "revoke --all")
    place.run("revoke", "--all")
    assert len(place.ring().keys) == 2 and not place.ring().tombstones


def test_stekctl_ring_full_of_keys_makes_room(place):
    ring = place.ring()
    ring.keys = [ringfile.make_key() for _ in range(4096)]
    place.ring_path.write_bytes(ring.seal(ringfile.read_secrets(place.secret_path)[1]))
    place.run("rotate")
    assert len(place.ring().keys) == 4096
    assert place.ring().current(time.time() + 1).name not in {key.name for key in ring.keys}
    place.run("revoke", "--all")
    assert len(place.ring().keys) == 2


def test_stekctl_export_bad_places(place):
    export = ["export", "--format"]
    refuses(place, export + ["nginx", "--out", place.ring_path], REFUSED, "not a directory")
    (place.root / "others").mkdir()
    (place.root / "others").chmod(0o777)
    refuses(place, export + ["nginx", "--out", place.root / "others" / "new"], REFUSED, "by others")
    assert not list((place.root / "others").iterdir()), "left a directory behind"
    refuses(place, export + ["ats", "--out", place.root], REFUSED, "is a directory")
    refuses(place, export + ["ats", "--out", place.root / "no" / "such"], IO, "does not exist")
    os.mkfifo(place.root / "pipe")
    refuses(place, export + ["ats", "--out", place.root / "pipe"], REFUSED, "not a regular file")
    (place.root / "open").mkdir()
    (place.root / "open").chmod(0o777)
    refuses(place, export + ["ats", "--out", place.root / "open" / "x"], REFUSED, "by others")


def test_stekctl_audit_guesses_or_asks(place):
    for length, code in ((48, DONE), (80, DONE), (96, DONE), (240, REFUSED), (100, REFUSED)):
        (place.root / "key").write_bytes(os.urandom(length))
        done = place.run("audit", place.root / "key", expect=code)
        assert ("--format" in done.stderr) == (length == 240)
    (place.root / "key").write_bytes(os.urandom(240))
    place.run("audit", "--format", "ats", place.root / "key")
    (place.root / "key").chmod(0o644)
    assert (
        "accessible to others"
        in place.run("audit", "--format", "ats", place.root / "key", expect=FINDING).stdout
    )


WEAK = {
    "zero": bytes(32),
    "constant": b"\x55" * 32,
    "sequence": bytes(range(32)),
    "period": os.urandom(8) * 4,
    "run": os.urandom(24) + b"\7" * 8,
    "text": b"correct horse battery staple ok!",
    "few values": bytes(os.urandom(1)[0] % 16 for _ in range(32)),
    "wild": b"\x1f" * 16 + bytes(16),
}


@pytest.mark.parametrize("pattern", list(WEAK))
@pytest.mark.parametrize("half", ["HMAC", "AES"])
def test_stekctl_audit_finds_weak_half(place, pattern, half):
    good = os.urandom(32)
    halves = WEAK[pattern] + good if half == "HMAC" else good + WEAK[pattern]
    (place.root / "key").write_bytes(os.urandom(16) + halves)
    done = place.json("audit", "--format", "nginx", place.root / "key", expect=FINDING)
    assert done["weak"] == 1 and done["files"][0]["keys"][0]["weakness"].startswith(half)


def in_namespace(script, tool):
    """Runs a shell script where mounts are its own; $S is stekctl on the place's ring."""
    command = " ".join([BINARY, "--ring", str(tool.ring_path), "--secret", str(tool.secret_path)])
    return subprocess.run(
        [
            "unshare",
            *([] if os.geteuid() == 0 else ["-r"]),
            "-m",
            "sh",
            "-c",
            f"S='{command}'; cd {tool.root} || exit 99; {script}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_stekctl_full_small_tmpfs_code_4_untouched(place):
    """The ring's own file system has not a page left: each command that writes fails whole."""
    script = """
        mkdir full && mount -t tmpfs -o size=64k,mode=755 none full || exit 98
        cp -p a.ring a.secret full/
        touch full/a.ring.lock full/a.secret.lock
        dd if=/dev/zero of=full/filler bs=4k 2>/dev/null
        before=$(cat full/a.ring full/a.secret | sha256sum; ls -A full)
        S="${S%% *} --ring full/a.ring --secret full/a.secret"
        for args in rotate 'revoke --all' 'import --format nginx key' 'secret roll' \\
                    'export --format dnsdist --out full/out' 'export --format nginx --out full/dir' \\
                    '--ring full/new.ring new'; do
            $S $args; echo "$? $args"
        done
        rmdir full/dir 2>/dev/null
        rm -f full/new.ring.lock
        test "$before" = "$(cat full/a.ring full/a.secret | sha256sum; ls -A full)" || ls -lA full
    """
    done = in_namespace(script, place)
    lines = done.stdout.splitlines()
    assert len(lines) == 7 and all(line.startswith(f"{IO} ") for line in lines), (
        done.stdout + done.stderr
    )
    errors = done.stderr.splitlines()
    assert len(errors) == 7 and all("no space left" in line for line in errors), done.stderr


def test_stekctl_read_only_file_system_code_4(place):
    script = """mount --bind . . && mount -o remount,ro,bind . && cd . || exit 98
        for args in rotate 'secret roll' 'export --format dnsdist --out out'; do $S $args; echo $?; done
        $S show >/dev/null; echo $?"""
    done = in_namespace(script, place)
    assert done.stdout.split() == [str(IO)] * 3 + [str(DONE)], done.stdout + done.stderr
    assert all("read-only" in line for line in done.stderr.splitlines())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_stekctl_without_rights_code_4(place):
    for args in (["show"], ["rotate"], ["secret", "roll"]):
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *place.command(*args)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == IO and "permission denied" in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1


def test_stekctl_lock_held_by_another_bounded_wait(place):
    place.run("rotate")
    with open(f"{place.ring_path}.lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        refuses(place, ["rotate"], IO, "is locked by")
        assert 5 < time.monotonic() - began < 25
        place.run("show")
    place.run("rotate")


def test_stekctl_output_that_fails_is_an_error(place):
    with open("/dev/full", "w") as full:
        done = subprocess.run(place.command("show"), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == IO and done.stderr.count("\n") == 1


def test_stekctl_hostile_path_is_one_clean_line(place):
    done = subprocess.run(
        [BINARY, "--ring", "/no\n\x1b[31msuch.ring", "show"], capture_output=True, text=True
    )
    assert done.returncode == IO and done.stderr.count("\n") == 1 and "\x1b" not in done.stderr


def test_stekctl_haproxy_socket_that_never_answers(place):
    path = place.root / "mute"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen(8)
        began = time.monotonic()
        done = place.run(
            "export",
            "--format",
            "haproxy",
            "--out",
            place.root / "out",
            "--socket",
            path,
            expect=IO,
        )
        assert time.monotonic() - began < 30 and done.stderr.count("\n") == 1


@pytest.mark.parametrize("args, words", [
    (["export", "--format", "ngnix", "--out", "{out}"], "invalid format 'ngnix' (did you mean 'nginx'?): must be one of"),
    (["export", "--format", "envoi", "--out", "{out}"], "invalid format 'envoi' (did you mean 'envoy'?): must be one of"),
    (["import", "--format", "haporxy", "{key}"], "invalid format 'haporxy' (did you mean 'haproxy'?): must be one of"),
    (["secret", "retrie"], "unknown subcommand 'retrie' (did you mean 'retire'?): must be new, roll or retire"),
    (["--ring", "", "show"], "--ring: the path must not be empty"),
    (["--secret", "", "show"], "--secret: the path must not be empty")], ids=lambda value: str(value)[:20])
def test_input_mistyped_word_is_told_which_was_meant(place, args, words):
    refuses(place, [word.format(key=place.root / "key", out=place.root / "out") for word in args], USAGE, words)
