# SPDX-License-Identifier: Apache-2.0
"""Settings of stekctl sync that do not fit together are refused with the numbers, at start and by --check;
and what --once exits with."""
import json
import os
import re
import shutil
import subprocess

import pytest

import fleet as lib
import ringfile
from fleet import STEKCTL, Memcached
from httpd import TOP, free_port

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h"}


def configuration(fleet, name, **lines):
    """A configuration file of its own ring and fleet secret, with other lines in place of these or more."""
    secret = fleet.dir / f"{name}.fleet"
    if "fleet_secret" not in lines and not secret.exists():
        fleet.new_secret(secret.name)
    lines = {"ring": fleet.dir / f"{name}.ring", "store": "memcached://127.0.0.1:9", "fleet-secret": secret,
             **{key.replace("_", "-"): value for key, value in lines.items()}}
    path = fleet.dir / f"{name}.conf"
    path.write_text("".join(f"{key} {value}\n" for key, values in lines.items()
                            for value in (values if isinstance(values, list) else [values])))
    return path


def checked(config, *more, code=0, **options):
    """What --check says; what the start says must be the same, where it is a refusal."""
    done = lib.run("sync", "--config", config, *more, "--check", code=code, **options)
    if code == 2:
        assert lib.run("sync", "--config", config, *more, "--once", code=2, **options).stderr == done.stderr
    return done


def test_check_good_settings_what_follows_from_them(fleet):
    config = configuration(fleet, "a", store=["memcached://127.0.0.1:9", "redis://127.0.0.1:9"], every="20s",
                           timeout="2s", interval="2h", lifetime="12h", ahead=2)
    done = checked(config)
    assert "the settings are valid" in done.stdout and not done.stderr
    assert "a cycle every 20s, at most 18s long" in done.stdout
    assert "a key every 2h, prepared 4h ahead, lifetime 12h" in done.stdout
    shown = json.loads(checked(config, "--json").stdout)
    assert shown["stores"] == ["memcached://127.0.0.1:9", "redis://127.0.0.1:9"]
    assert (shown["every"], shown["longest_cycle"], shown["prepared"]) == (20, 18, 14400)
    assert not (fleet.dir / "a.ring").exists() and not (fleet.dir / "a.secret").exists(), "wrote something"


@pytest.mark.parametrize("lines, numbers", [
    ({"every": "30min"}, ("every 30min", "interval 1h", "ahead 1", "the 1h for which")),
    ({"every": "1min", "interval": "1s", "lifetime": "1h"}, ("every 1min", "interval 1s", "the 2min for which")),
    ({"every": "10s", "timeout": "1min", "interval": "10min"}, ("timeout 1min", "the 10min for which", "6min 10s")),
])
def test_check_cycle_longer_than_what_is_prepared_is_refused(fleet, lines, numbers):
    text = checked(configuration(fleet, "a", **lines), code=2).stderr
    assert all(number in text for number in numbers), text


def test_check_cycle_is_judged_as_it_runs(fleet):
    """The longest cycle that is allowed is one that two of fit in; a host that makes no keys may be slower."""
    good = configuration(fleet, "a", interval="1h", every="29min")
    checked(good)
    checked(configuration(fleet, "a", interval="1h", every="30min"), code=2)
    checked(configuration(fleet, "a", interval="1h", every="30min", generate="off"))


def test_check_watchdog_shorter_than_a_store_may_take_is_refused(fleet):
    config = configuration(fleet, "a", timeout="5s")
    text = checked(config, code=2, env={"WATCHDOG_USEC": "20000000"}).stderr
    assert "WatchdogSec of 20s" in text and "15s" in text and "30s" in text
    checked(config, env={"WATCHDOG_USEC": "30000000"})


def test_check_the_shipped_unit_fits_the_defaults(fleet):
    unit = (TOP / "build/systemd/stek-sync@.service").read_text()
    limits = {key: int(re.search(rf"^{key}=(\d+)$", unit, re.M).group(1))
              for key in ("WatchdogSec", "TimeoutStartSec")}
    config = configuration(fleet, "a", store=["memcached://127.0.0.1:9", "redis://127.0.0.1:9"])
    shown = json.loads(checked(config, "--json", env={"WATCHDOG_USEC": f"{limits['WatchdogSec']}000000"}).stdout)
    assert shown["longest_cycle"] < limits["TimeoutStartSec"]


@pytest.mark.parametrize("again", ["memcached://LOCALHOST:11211", "memcached://localhost"])
def test_check_store_named_twice_is_refused(fleet, again):
    text = checked(configuration(fleet, "a", store=["memcached://localhost:11211", again]), code=2).stderr
    assert "named twice" in text and "localhost:11211" in text
    checked(configuration(fleet, "a", store=["redis://localhost/1", "redis://localhost/2"]))


def test_check_one_fleet_secret_for_two_rings_is_refused(fleet):
    one = configuration(fleet, "one")
    two = configuration(fleet, "two", fleet_secret=fleet.dir / "one.fleet")
    text = checked(two, code=2).stderr
    assert str(one) in text and "same fleet secret" in text and "secret new --fleet" in text
    copy = fleet.dir / "two.secret"  # the one that the unit hands on, if the file names none
    shutil.copy(fleet.dir / "one.fleet", copy)
    two.write_text(re.sub("fleet-secret .*\n", "", two.read_text()))
    assert str(copy) in checked(one, code=2).stderr
    lib.run("--secret", fleet.dir / "new.secret", "secret", "new", "--fleet")
    (fleet.dir / "new.secret").rename(copy)
    checked(one)


def test_check_one_ring_for_two_fleets_is_refused(fleet):
    one = configuration(fleet, "one")
    two = configuration(fleet, "two", ring=fleet.dir / "one.ring")
    text = checked(two, code=2).stderr
    assert str(one) in text and "same ring" in text


@pytest.mark.parametrize("what", ["floor", "ring", "secret", "fleet_secret"])
def test_check_floor_that_another_configuration_names_is_refused(fleet, what):
    shared = fleet.dir / "shared"
    shared.write_text("")
    shared.chmod(0o600)
    (fleet.dir / "link").symlink_to(shared)
    one = configuration(fleet, "one", **{what: fleet.dir / "link"})
    text = checked(configuration(fleet, "two", floor=shared), code=2).stderr
    assert f"the floor {shared} of" in text and f"the '{what.replace('_', '-')}' of {one}: give each its own" in text


def test_check_secret_that_is_no_fleet_secret_is_refused(fleet):
    config = configuration(fleet, "a")
    (fleet.dir / "a.fleet").unlink()
    assert "there is no fleet secret; make one once" in checked(config, code=4).stderr
    lib.run("--secret", fleet.dir / "a.fleet", "secret", "new")
    assert "secret new --fleet" in checked(config, code=3).stderr


def test_once_good_keys_and_bad_store_exits_5_no_keys_4(fleet):
    good, dead = fleet.store(), f"memcached://127.0.0.1:{free_port()}"
    assert fleet.host(dead, **HOURLY).once(code=5).stderr
    both = fleet.host(good, dead, **HOURLY)
    assert ": silent: " in both.once(code=5).stderr
    assert both.ring().keys == good.ring(fleet.secret).keys
    fleet.host(good, **HOURLY).once(code=0)
    good.flush()
    assert "no current key" in fleet.host(good, generate=False, **HOURLY).once(code=4).stderr
    full = fleet.host(good, **HOURLY)
    full.ring_path.mkdir()
    full.once(code=3)


def kubernetes_script(folder, stores):
    """The job's script of the example, its directories in a folder; kubectl keeps the Secret in /old."""
    text = (TOP / "conf/fleet/kubernetes.yaml").read_text()
    script = re.search(r"- -euc\n +- \|\n((?: {18}.*\n)+)", text).group(1)
    kubectl = folder / "kubectl"
    kubectl.write_text(f"""#!/bin/sh
case $1 in
create) for word; do case $word in --from-file=*) cp "${{word#--from-file=}}" {folder}/old/; done ;;
apply) cat >/dev/null; echo applied ;;
esac
""".replace("; done", ";; esac; done"))
    kubectl.chmod(0o755)
    script = re.sub(r"(?<![\w-])/(old|keys|fleet)/", rf"{folder}/\1/", script)
    return script.replace("memcached://stek-memcached", stores)


def test_kubernetes_job_publishes_keys_whatever_its_store_does(fleet, folder):
    store = fleet.store(Memcached)
    for name in ("old", "fleet"):
        (folder / name).mkdir(mode=0o700)
    shutil.copy(fleet.secret, folder / "fleet/fleet-secret")
    (folder / "fleet/fleet-secret").chmod(0o400)
    script = kubernetes_script(folder, store.url)

    def job():
        """A pod of its own: what is in memory is new."""
        shutil.rmtree(folder / "keys", ignore_errors=True)
        (folder / "keys").mkdir(mode=0o700)
        return subprocess.run(["sh", "-euc", script], capture_output=True, text=True, env=dict(
            os.environ, PATH=f"{folder}:{STEKCTL.parent}:{os.environ['PATH']}"))

    def published():
        return ringfile.Ring.read(folder / "old/default.ring",
                                  ringfile.read_secrets(folder / "old/default.secret"))

    store.kill()
    done = job()
    assert done.returncode == 0 and "applied" in done.stdout, done.stderr
    first = published()
    assert first.current(lib.time.time())
    store.start()
    assert job().returncode == 0
    assert {k.name for k in store.ring(fleet.secret).keys} == {k.name for k in first.keys}
    store.kill()
    done = job()
    assert done.returncode == 0 and ": silent: " in done.stderr
    assert {k.name for k in published().keys} == {k.name for k in first.keys}
    (folder / "fleet/fleet-secret").unlink()
    before = (folder / "old/default.ring").read_bytes()
    done = job()
    assert done.returncode != 0 and "applied" not in done.stdout, "published without a fleet secret"
    assert (folder / "old/default.ring").read_bytes() == before


def with_files(fleet, **lines):
    """A configuration with a password, a CA, a certificate and a key, all of them good; and these files."""
    files = {}
    for name, mode in (("password", 0o600), ("store-ca", 0o644), ("store-cert", 0o644), ("store-key", 0o600)):
        files[name] = fleet.dir / name
        files[name].write_text("something\n")
        files[name].chmod(mode)
    config = configuration(fleet, "a", store="etcds://127.0.0.1:9/stek", **files, **lines)
    assert "the settings are valid" in checked(config).stdout
    return config, files


def spoiled(path, how):
    """Makes the file so, and says what --check has to find."""
    secret = path.name in ("password", "store-key")
    if how == "empty":
        path.write_text("")
    elif how == "missing":
        path.unlink()
    elif how == "readable":
        path.chmod(0o644 if secret else 0o666)
    elif how == "somebody's":
        os.chown(path, 12345, -1)
    mode = "0600" if secret else "0644"
    return {"empty": f"it is empty; found: owner root, mode {mode}, 0 bytes; wanted: owner root, mode {mode}",
            "missing": f"there is no such file, or it cannot be seen; wanted: owner root, mode {mode}",
            "readable": "others can read it; found: owner root, mode 0644" if secret else
                        "others can write to it; found: owner root, mode 0666",
            "somebody's": f"somebody else owns it; found: owner 12345, mode {mode}"}[how]


@pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")
@pytest.mark.parametrize("how", ["empty", "missing", "readable", "somebody's"])
@pytest.mark.parametrize("name", ["password", "store-ca", "store-cert", "store-key"])
def test_check_files_for_the_stores_are_looked_at(fleet, name, how):
    config, files = with_files(fleet)
    said = spoiled(files[name], how)
    done = checked(config, code=4 if how == "missing" else 3)
    line, = done.stderr.splitlines()
    assert line.startswith(f"stekctl: {files[name]} (--{name}): {said}"), line
    assert line.endswith(("0600, not empty", "0644, not empty", "mode 0600", "mode 0644")) and not done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="changes owners")
def test_check_files_that_the_user_of_sync_cannot_read_are_named_all_at_once(fleet):
    """Root checks for the unit's user: the owner of the ring's directory."""
    run = fleet.dir / "run"
    run.mkdir()
    config, files = with_files(fleet, ring=run / "a.ring")
    os.chown(run, 12345, -1)
    lines = checked(config, code=3).stderr.splitlines()
    assert [line.split(" (")[0] for line in lines] == [f"stekctl: {files[name]}" for name in ("password", "store-key")]
    assert all("sync's user cannot read it; found: owner root, mode 0600, 10 bytes; wanted: owner 12345" in line
               for line in lines)
    for name in ("password", "store-key"):
        os.chown(files[name], 12345, -1)
    assert "the settings are valid" in checked(config).stdout


@pytest.mark.parametrize("option", ["metrics", "floor"])
def test_check_what_sync_writes_is_none_of_its_other_files(fleet, option):
    ring, floor = fleet.dir / "a.ring", fleet.dir / "a.state"
    more = {"floor": floor} if option == "metrics" else {"metrics": floor}
    for path, said in ((ring, f"--{option} and --ring are the same file"),
                       (f"{ring}.lock", f"{ring}.lock belongs to --ring {ring}"),
                       (f"{ring}.sync", f"{ring}.sync belongs to --ring {ring}"),
                       (f"{ring}.refused-20261127T120000Z", "belongs to --ring"),
                       (fleet.dir / "." / ".." / fleet.dir.name / "a.ring.lock", f"belongs to --ring {ring}"),
                       (fleet.dir / "a.secret", f"--{option} and --secret are the same file"),
                       (fleet.dir / "a.secret.lock", "belongs to --secret"),
                       (fleet.dir / "a.fleet", f"--{option} and --fleet-secret are the same file"),
                       (fleet.dir / "a.fleet.lock", "belongs to --fleet-secret"),
                       (fleet.dir / "a.conf", f"--{option} and --config are the same file"),
                       (floor, "--floor and --metrics are the same file")):
        text = checked(configuration(fleet, "a", **{**more, option: path}), code=2).stderr
        assert said in text and f"give the {'floor' if path == floor else option} " in text, text
    for path in (f"{ring}.prom", fleet.dir / "sync.prom", fleet.dir / "b.ring.lock"):
        checked(configuration(fleet, "a", **{**more, option: path}))


MISTAKES = [  # a line, and what must be said
    ("store memcache://127.0.0.1", "unknown scheme (did you mean 'memcached'?): must be memcached://HOST[:PORT]"),
    ("store redis+sentinal://127.0.0.1/a", "unknown scheme (did you mean 'redis+sentinel'?): must be"),
    ("store memcached://127.0.0.1 # here", "its host must be ASCII without spaces; nothing may follow the URL"),
    ("store memcached://\u00fcml.example", "its host must be ASCII without spaces"),
    ("store = memcached://127.0.0.1", "write 'store VALUE', without '=' and quotes"),
    ('store "memcached://127.0.0.1"', "write 'store VALUE', without '=' and quotes"),
    ("interval 99999999999999h", "between 1s and 7d"),
]


def test_check_mistakes_say_what_is_wrong(fleet):
    for line, words in MISTAKES:
        config = configuration(fleet, "a")
        config.write_text(config.read_text() + line + "\n")
        said = checked(config, code=2).stderr
        assert words in said, (line, said)
    config = configuration(fleet, "a")
    config.write_bytes(b"\xef\xbb\xbf" + config.read_bytes().replace(b"\n", b"\r\n"))
    checked(config)


def test_check_option_that_is_set_twice_is_refused(fleet):
    """Whichever of them counted, it might not be the one that the administrator sees."""
    values = {"ring": "/r", "fleet-secret": "/f", "secret": "/s", "floor": "none", "password": "/p", "store-ca": "/c",
              "store-cert": "/c", "store-key": "/k", "every": "20s", "timeout": "2s", "interval": "2h", "lifetime": "12h",
              "ahead": "2", "generate": "off", "announce": "a", "metrics": "/m", "httpd": "http://127.0.0.1/s"}
    for name, value in values.items():
        config = configuration(fleet, "a")
        before = 0 if name in ("ring", "fleet-secret") else 1
        config.write_text(config.read_text() + f"{name} {value}\n" * before + f"# {name} {value}\n  {name}\t{value}\n")
        lines = config.read_text().splitlines()
        first = next(n for n, line in enumerate(lines, 1) if line.startswith(name + " "))
        said = checked(config, code=2).stderr
        assert f"option '{name}' is already set on line {first}; remove one of the lines" in said, said
        assert f"{config}: error on line {len(lines)}\n" in said, said
    checked(configuration(fleet, "a", store=["memcached://127.0.0.1:9", "redis://127.0.0.1:9"]))


def test_check_option_is_named_as_it_is_written_where_it_is_wrong(fleet):
    for name, value in (("every", "5"), ("ahead", "x"), ("generate", "no"), ("announce", "a/b"), ("httpd", "x")):
        config = configuration(fleet, "a")
        config.write_text(re.sub(rf"(?m)^{name} .*\n", "", config.read_text()) + f"{name} {value}\n")
        assert f"'{value}' for '{name}': " in checked(config, code=2).stderr
    for words in (["rotate", "--in", "5"], ["sync", "--every", "5"], ["probe", "a.test", "--tls", "5"]):
        assert f"invalid value '5' for '{words[-2]}': " in lib.run("--ring", "/no", *words, code=2).stderr


def test_fleet_word_forget_is_suggested(fleet):
    said = lib.run("fleet", "--config", configuration(fleet, "a"), "forgte", "x", code=2).stderr
    assert "unexpected argument 'forgte' (did you mean 'forget'?)" in said
