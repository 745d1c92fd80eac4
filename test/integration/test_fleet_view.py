# SPDX-License-Identifier: Apache-2.0
"""All hosts of a fleet, as they announce themselves: stekctl fleet, revoke --wait and rotate --wait, and the metrics of
stekctl sync; with hosts that are cut off, stopped, of another version or with a wrong clock, on two servers behind one
name, and stores that hide or replay."""
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest

import announcements
import fleet as lib
from announcements import Announcement
from etcd import Etcd
from exposition import faults
from fleet import Memcached, Redis, agree, clock_env, pair_of
from httpd import TOP, Vhost, free_port, wait_for

HOURLY = {"web": False, "interval": "1h", "lifetime": "18h", "timeout": "3s"}


def look(fleet, *stores, code=None, words=()):
    """What stekctl fleet says as JSON."""
    urls = [store if isinstance(store, str) else store.url for store in stores or fleet.stores]
    done = lib.run("fleet", *[w for url in urls for w in ("--store", url)], "--fleet-secret", fleet.secret,
                   "--timeout", "2s", "--json", *words, code=code)
    return json.loads(done.stdout)


def states(fleet, *stores):
    return {host["host"]: host["state"] for host in look(fleet, *stores)["hosts"]}


def config(fleet, *stores):
    path = fleet.dir / "www.conf"
    path.write_text("".join(f"store {store.url}\n" for store in stores or fleet.stores)
                    + f"fleet-secret {fleet.secret}\ntimeout 2s\n")
    return path


def started(fleet, n, *stores, **options):
    hosts = [fleet.host(*stores, **{**HOURLY, **options}).start(web=False) for _ in range(n)]
    wait_for(lambda: all(host.ring_path.exists() for host in hosts) and agree(hosts), "one ring", 30)
    return hosts


def wait_good(fleet, hosts, *stores):
    names = {host.name for host in hosts}
    wait_for(lambda: states(fleet, *stores) == dict.fromkeys(names, "good"),
             lambda: f"{states(fleet, *stores)}" + "".join(host.log() for host in hosts), 30, 0.3)


@pytest.mark.timeout(120)
def test_fleet_all_hosts_are_shown_and_followed(fleet):
    stores = [fleet.store(kind) for kind in (Memcached, Redis, Etcd)]
    hosts = started(fleet, 5)
    wait_good(fleet, hosts)
    for store in stores:  # one of them is the last
        wait_for(lambda store=store: announcements.read(store, fleet.secret).keys() == {host.name for host in hosts},
                 f"all hosts in {store.url}", 60, 0.3)
    shown = look(fleet, code=0)
    assert shown["good"] and len(shown["rings"]) == 1 and shown["rings"][0]["hosts"] == 5
    # By another implementation of the format: what is shown is what is there.
    for store in stores:
        said = announcements.read(store, fleet.secret)
        for host in shown["hosts"]:
            its = said[host["host"]]
            assert (its.digest.hex()[:8], its.epoch, its.every, its.version) == \
                (host["ring"], host["epoch"], host["every"], host["version"])
    # Revocation and rotation, and that all have them.
    before = hosts[0].names()
    done = lib.run("--ring", hosts[0].ring_path, "revoke", "--all", "--wait=30s", "--fleet", config(fleet))
    assert "5 hosts have applied the change within" in done.stdout
    for host in hosts:
        assert not before & host.names()
    done = lib.run("--ring", hosts[3].ring_path, "--json", "rotate", "--wait=30s", "--fleet", config(fleet))
    changed, followed = map(json.loads, done.stdout.splitlines())
    assert followed["done"] == "followed" and followed["hosts"] == 5 and followed["behind"] == []
    assert all(any(name.hex().startswith(changed["key"]["name"]) for name in host.names()) for host in hosts)
    victim = hosts[1].ring().current(time.time()).name
    lib.run("--ring", hosts[1].ring_path, "revoke", victim.hex()[:8], "--wait=30s", "--fleet", config(fleet))
    assert all(victim not in host.names() for host in hosts)
    assert not any("announces itself as" in host.log() for host in hosts)


@pytest.mark.timeout(180)
def test_fleet_hosts_in_trouble_come_first_and_are_named(fleet):
    """One cut off, one stopped long ago, one of another version, one with a clock three minutes slow and one with a
    fast one."""
    store = fleet.store()
    proxy = fleet.proxy(store)
    # With another key, what is put there below would be another ring.
    slots = {"interval": f"{lib.whole_slot(240, 420)}s"}
    hosts = started(fleet, 3, **slots)
    cut = started(fleet, 1, proxy, **slots)[0]
    slow = fleet.host(**{**HOURLY, **slots}).start(web=False, env=clock_env(-180))
    fast = fleet.host(**{**HOURLY, **slots}).start(web=False, env=clock_env(180))
    now, sample = int(time.time()), None
    wait_for(lambda: len(announcements.read(store, fleet.secret)) == 6, "six announcements", 30)
    sample = announcements.read(store, fleet.secret)[hosts[0].name]
    old = {**vars(sample), "version": "0.0.9", "clock": now, "agreed": now}
    announcements.put(store, fleet.secret, Announcement(**{**old, "name": "old"}))
    announcements.put(store, fleet.secret, Announcement(**{**old, "name": "long-gone", "version": sample.version,
                                                           "clock": now - 600}))
    names = {host.name: "good" for host in hosts}
    expected = {**names, cut.name: "good", slow.name: "clock", fast.name: "clock", "old": "version",
                "long-gone": "gone"}
    wait_for(lambda: states(fleet) == expected, lambda: f"{states(fleet)}", 60, 0.5)
    shown = look(fleet, code=1)
    by_name = {host["host"]: host for host in shown["hosts"]}
    assert 120 <= by_name[fast.name]["ahead"] <= 180 and 120 <= by_name[slow.name]["behind"] <= 182
    assert "clock at least" in by_name[slow.name]["note"]
    text = lib.run("fleet", "--config", config(fleet), code=1).stdout
    assert [line.split()[1] for line in text.splitlines()[2:]][:4] == ["clock", "clock", "version", "gone"], text
    # The cut one does not follow a revocation, and that is said with its name.
    proxy.set("refuse")
    done = lib.run("--ring", hosts[0].ring_path, "revoke", "--all", "--wait=3s", "--fleet", config(fleet), code=6)
    assert f"{cut.name}: has not applied the change; last heard from" in done.stderr
    assert "long-gone: has not applied the change, and has been silent for" in done.stderr
    assert "old: has not applied the change" in done.stderr and re.search("[3-8] of 8 hosts have not applied the change within 3s", done.stderr)
    wait_for(lambda: states(fleet).items() >= {**names, cut.name: "lags"}.items(), lambda: f"{states(fleet)}", 60, 0.5)
    # Those out of service are forgotten; one that lives comes back.
    done = lib.run("fleet", "--config", config(fleet), "forget", "long-gone", "old", hosts[1].name)
    assert done.stdout.count("forgotten") == 3
    assert not {"long-gone", "old"} & states(fleet).keys()
    assert "no host 'long-gone' has announced itself" in \
        lib.run("fleet", "--config", config(fleet), "forget", "long-gone", code=3).stderr
    # Back again, it follows at once.
    proxy.set("pass")
    lib.run("--ring", hosts[0].ring_path, "rotate", "--wait=30s", "--fleet", config(fleet))
    assert states(fleet)[cut.name] == "good"


def test_whole_slot_has_no_end_in_it():
    for now in range(1795780800, 1795780800 + 4 * 3600, 7):
        interval = lib.whole_slot(240, 420, now)
        assert not any(at % interval == 0 for at in range(now - 239, now + 421))


@pytest.fixture
def pair(fleet):
    return pair_of(fleet, Memcached, "127.0.0.21", "127.0.0.22")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts an /etc/hosts")
@pytest.mark.timeout(120)
def test_fleet_split_brain_behind_one_name_is_seen_by_who_looks(fleet, pair):
    """Half of the hosts reach one server of the name, half the other: each half agrees with its store."""
    sides = [[fleet.host(f"memcached://127.0.0.2{side}:{pair[0].port}", **HOURLY).start(web=False)
              for _ in range(3)] for side in (1, 2)]
    hosts = sides[0] + sides[1]
    wait_for(lambda: all(agree_ready(side) for side in sides), "both sides to agree", 30)
    table = fleet.dir / "hosts"
    table.write_text("127.0.0.1 localhost\n127.0.0.21 store.test\n127.0.0.22 store.test\n")
    words = [lib.STEKCTL, "--json", "fleet", "--store", f"memcached://store.test:{pair[0].port}", "--fleet-secret",
             fleet.secret]

    def seen(code=None):
        done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                               f'mount --bind {table} /etc/hosts && exec "$@"', "sh", *map(str, words)],
                              capture_output=True, text=True, timeout=60)
        assert code is None or done.returncode == code, done.stderr
        return json.loads(done.stdout)
    wait_for(lambda: [ring["hosts"] for ring in seen()["rings"]] == [3, 3], lambda: f"{seen()}", 30, 0.5)
    # At first one half may be on its way to the other's ring.  When it has spoken since, it disagrees.
    time.sleep(8)
    for host in hosts:
        host.hup()
    wait_for(lambda: sorted(host["state"] for host in seen()["hosts"]) == ["disagrees"] * 3 + ["good"] * 3,
             lambda: f"{seen()}", 90, 1)
    assert len(seen(1)["stores"]) == 2 and {host["host"] for host in seen()["hosts"]} == {h.name for h in hosts}
    # A user with a realm, as SASL has them.
    words[words.index("--store") + 1] = f"memcached://app@stek.test@store.test:{pair[0].port}"
    assert [store["store"] for store in seen(5)["stores"]] == \
        [f"memcached://app@stek.test@127.0.0.2{side}:{pair[0].port}" for side in (1, 2)]


def agree_ready(hosts):
    return all(host.ring_path.exists() for host in hosts) and agree(hosts)


@pytest.mark.timeout(120)
def test_fleet_metrics_say_it_too(fleet, tmp_path):
    store, other = fleet.store(), fleet.store(Redis)
    hosts = [fleet.host(**HOURLY, options=["--metrics", tmp_path / f"{n}.prom"]).start(web=False) for n in range(2)]

    def value(name, n=0, **labels):
        path = tmp_path / f"{n}.prom"
        for line in path.read_text().splitlines() if path.exists() else ():
            if line.startswith(name + "{") and all(f'{k}="{v}"' in line for k, v in labels.items()):
                return float(line.split()[-1])
        return None
    wait_for(lambda: value("stek_sync_store_answers_total", store=store.url, answer="good"), "an answer", 30)
    sample = None

    def disagreeing():
        return value("stek_fleet_hosts_in_trouble", trouble="disagrees")
    text = (tmp_path / "0.prom").read_text()
    assert not faults(text)
    described = (TOP / "docs" / "fleet-operation.md").read_text()
    for metric in re.findall(r"^# TYPE (\S+)", text, re.M):
        assert f"`{metric}`" in described, metric
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0 and not checked.stdout + checked.stderr, checked.stdout + checked.stderr
    # A host that has another ring, and says so now.
    wait_for(lambda: len(announcements.read(store, fleet.secret)) == 2, "two announcements", 30)
    sample = announcements.read(store, fleet.secret)[hosts[0].name]
    now = int(time.time())
    for one in (store, other):
        announcements.put(one, fleet.secret, Announcement(**{**vars(sample), "name": "apart", "digest": b"apart...",
                                                             "clock": now + 20, "since": now - 600, "agreed": now}))
    hosts[1].stop_sync()
    hosts[1].start(web=False)  # looks when it starts
    wait_for(lambda: value("stek_fleet_hosts", 1) == 3, lambda: (tmp_path / "1.prom").read_text(), 40)
    assert value("stek_fleet_rings", 1) == 2
    # Conflicts, failures and the age of the last agreement.
    agreed = value("stek_sync_agreed_timestamp_seconds", 1)
    assert now - 60 < agreed <= time.time()
    other.signal(signal.SIGSTOP)
    try:
        wait_for(lambda: value("stek_sync_store_answers_total", 1, store=other.url, answer="silent"), "silence", 30)
        frozen = value("stek_sync_agreed_timestamp_seconds", 1)
        cycles = value("stek_sync_cycles_total", 1)
        wait_for(lambda: value("stek_sync_cycles_total", 1) > cycles + 1, "two cycles", 60)
        assert value("stek_sync_agreed_timestamp_seconds", 1) == frozen
    finally:
        other.signal(signal.SIGCONT)
    wait_for(lambda: value("stek_sync_agreed_timestamp_seconds", 1) > frozen, "the stores to agree again", 30)
    assert disagreeing() is not None


@pytest.mark.timeout(60)
def test_fleet_metrics_overwrite_nothing_else(fleet, tmp_path):
    fleet.store()
    victim = tmp_path / "passwd"
    victim.write_text("root:x:0:0\n")
    host = fleet.host(**HOURLY, options=["--metrics", victim])
    assert f"{victim}: " in host.once().stderr
    assert victim.read_text() == "root:x:0:0\n" and host.ring().keys


@pytest.mark.timeout(90)
def test_fleet_stores_that_hide_replay_or_spoil_decide_nothing(fleet):
    """An announcement of before does not hide a newer one that another store shows; what does not open, or stands in
    another part, counts as nothing; no key depends on any of it."""
    store, other = fleet.store(Memcached), fleet.store(Redis)
    hosts = started(fleet, 3)
    wait_good(fleet, hosts)
    name = hosts[0].name
    part = announcements.part_of(name)
    key = announcements.object_of(fleet.secret, part)
    old = store.get(key)
    lib.run("--ring", hosts[0].ring_path, "revoke", "--all", "--wait=30s", "--fleet", config(fleet))
    wait_for(lambda: announcements.read(other, fleet.secret)[name].epoch == hosts[0].ring().epoch, "the other store")
    assert store.put(key, old)
    said = {host["host"]: host["epoch"] for host in look(fleet)["hosts"]}
    assert said[name] == hosts[0].ring().epoch > 0
    for data in (b"", os.urandom(300), old[:-1], other.get(announcements.object_of(fleet.secret, 0)) or b"x",
                 bytes(600 * 1024)):
        assert store.put(key, data)
        assert {host["host"]: host["epoch"] for host in look(fleet)["hosts"]}[name] == hosts[0].ring().epoch
    # Its host replaces it the next time that it speaks.
    before = hosts[0].ring().epoch
    lib.run("--ring", hosts[0].ring_path, "revoke", "--all", "--wait=30s", "--fleet", config(fleet))
    wait_for(lambda: store.get(key) != data and announcements.read(store, fleet.secret)[name].epoch > before,
             "the next word", 30)
    # An announcement with an epoch that no ring has changes no ring.
    epochs = [host.ring().epoch for host in hosts]
    announcements.put(store, fleet.secret,
                      Announcement("web-liar", epoch=2**63, clock=int(time.time()), since=1, agreed=1))
    time.sleep(1.5)  # a cycle
    assert [host.ring().epoch for host in hosts] == epochs and agree(hosts)
    # A store that hides them makes hosts unseen, and another shows them.
    store.flush()
    assert {host["host"] for host in look(fleet)["hosts"]} >= {host.name for host in hosts}


def test_fleet_host_with_another_fleet_secret_is_told_that_it_is_alone(fleet):
    """It is in a fleet of its own, and content; so are the others."""
    store, other = fleet.store(), fleet.new_secret("other.secret")

    def told(secret, code=0):
        done = lib.run("fleet", "--store", store.url, "--fleet-secret", secret, code=code)
        return re.findall("^no (.*)host has announced itself under this fleet secret; where one is missing, look at the "
                          "log of its stekctl sync, and compare the secrets$", done.stdout, re.M), done.stdout
    assert told(other, 1)[0] == [""]
    lonely = fleet.host(**HOURLY, secret=other)
    lonely.once()
    for lines, n in (([], 0), (["other "], 1), ([], 2)):
        assert told(other)[0] == ["other "]
        shown = told(fleet.secret, 0 if n else 1)
        assert shown[0] == (lines if n else [""]) and shown[1].splitlines()[0].startswith(f"{n} host"), shown
        fleet.host(**HOURLY).once()


@pytest.mark.timeout(60)
def test_fleet_one_cycle_beside_a_running_sync_is_not_another_host(fleet):
    store = fleet.store()
    host = fleet.host(**HOURLY).start(web=False)
    wait_for(lambda: states(fleet) == {host.name: "good"}, "the first", 20)
    process = announcements.read(store, fleet.secret)[host.name].process
    host.once()
    assert announcements.read(store, fleet.secret)[host.name].process != process
    lib.run("--ring", host.ring_path, "rotate")
    wait_for(lambda: announcements.read(store, fleet.secret)[host.name].process == process, "the next word", 20)
    lib.run("--ring", host.ring_path, "rotate", "--wait=20s", "--fleet", config(fleet))
    assert "announces itself as" not in host.log()


@pytest.mark.timeout(60)
def test_fleet_a_host_may_be_silent(fleet):
    store = fleet.store()
    host = fleet.host(**HOURLY, options=["--announce", "off"])
    host.once()
    assert not announcements.read(store, fleet.secret)
    assert "no host has announced itself" in lib.run("--ring", host.ring_path, "rotate", "--wait=1s", "--fleet",
                                                     config(fleet), code=6).stderr
    shown = look(fleet, code=1)
    assert shown["hosts"] == [] and not shown["good"]


@pytest.mark.skipif(os.geteuid() != 0, reason="sets a host name")
def test_fleet_a_host_with_the_longest_name_has_a_name(fleet):
    store, name = fleet.store(), "x" * 64
    host = fleet.host(**HOURLY)
    words = list(map(str, [lib.STEKCTL, *host.arguments("--once")]))
    at = words.index("--announce")
    done = subprocess.run(["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', name, *words[:at],
                           *words[at + 2:]], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert list(announcements.read(store, fleet.secret)) == [name]


@pytest.mark.timeout(60)
def test_fleet_once_announces_for_an_hour(fleet):
    store = fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    assert announcements.read(store, fleet.secret)[host.name].period == 3600
    assert states(fleet) == {host.name: "good"}


@pytest.mark.timeout(60)
def test_fleet_bad_words_change_nothing(fleet):
    store = fleet.store()
    host = fleet.host(**HOURLY)
    host.once()
    ring = host.ring_path.read_bytes()
    for words, said in ((["revoke", "--all", "--wait=1s"], "name one with --fleet NAME"),
                        (["revoke", "--all", "--wait=0", "--fleet", config(fleet)], "invalid value"),
                        (["revoke", "--all", "--fleet", "www"], "require --wait"),
                        (["rotate", "--wait", "--fleet", "no-such"], "/etc/stek/no-such.conf"),
                        (["rotate", "--wait", "--fleet", config(fleet), "--fleet-secret", "/no"], "/no: there is no"),
                        (["fleet", "--every", "1s"], "unknown option"),
                        (["fleet", "--config", config(fleet), "forget"], "missing host"),
                        (["fleet", "--config", config(fleet), "forget", "a b"], "invalid host 'a b'"),
                        (["sync", "--store", store.url, "--httpd", "https://a/"], "invalid URL 'https://a/' for '--httpd'"),
                        (["sync", "--store", store.url, "--httpd", "http://a.test/x"], "must be an IP address or localhost"),
                        (["sync", "--store", store.url, "--announce", "a/b"], "invalid name 'a/b' for '--announce'")):
        done = lib.run("--ring", host.ring_path, *words, code=None)
        assert done.returncode in (2, 4) and said in done.stderr, (words, done.stderr)
    (fleet.dir / "www.conf").write_text(f"store {store.url}\nring /run/other.ring\nfleet-secret {fleet.secret}\n")
    done = lib.run("--ring", host.ring_path, "revoke", "--all", "--wait", "--fleet", fleet.dir / "www.conf", code=2)
    assert "is /run/other.ring, not " in done.stderr
    assert host.ring_path.read_bytes() == ring


@pytest.mark.timeout(60)
def test_fleet_no_store_answers_is_not_no_host(fleet):
    url = f"memcached://127.0.0.1:{free_port()}"
    done = lib.run("fleet", "--store", url, "--fleet-secret", fleet.secret, "--timeout", "1s", code=5)
    assert f"{url}: silent: " in done.stdout


@pytest.mark.timeout(90)
def test_fleet_a_store_that_is_silent_may_know_hosts_that_have_not_followed(fleet):
    """One host reaches only that store; the other, on which the command runs, does not any more."""
    store, other = fleet.store(), fleet.store()
    proxy = fleet.proxy(other)
    here, there = fleet.host(store, proxy, **HOURLY), fleet.host(other, **HOURLY)
    here.start(web=False)
    wait_good(fleet, [here])  # it has looked, and looks again in a minute
    there.start(web=False)
    wait_good(fleet, [here, there])
    proxy.set("refuse")
    done = lib.run("--ring", here.ring_path, "--json", "revoke", "--all", "--wait=3s", "--fleet",
                   config(fleet, store, proxy), code=5)
    assert json.loads(done.stdout.splitlines()[-1])["done"] is None and there.ring().epoch == 0
    assert f"{proxy.url}: silent: " in done.stderr
    assert "it is unknown whether all hosts have applied the change" in done.stderr
    # It is asked again, from the beginning.
    timer = threading.Timer(2, proxy.set, ("pass",))
    timer.start()
    done = lib.run("--ring", here.ring_path, "revoke", "--all", "--wait=30s", "--fleet", config(fleet, store, proxy))
    assert "2 hosts have applied the change" in done.stdout and there.ring().epoch == here.ring().epoch
    for one in (store, other):
        one.kill()
    done = lib.run("--ring", here.ring_path, "--json", "revoke", "--all", "--wait=1s", "--fleet", config(fleet, store),
                   code=5)
    assert json.loads(done.stdout.splitlines()[-1])["done"] is None


@pytest.mark.timeout(120)
def test_fleet_httpd_that_has_not_loaded_the_ring_is_waited_for_and_named(fleet):
    fleet.store()
    port = free_port()
    host = fleet.host(interval="1h", lifetime="18h", options=["--httpd", f"http://localhost:{port}/stek-status"])
    host.web.server = [line.replace("poll=1s", "poll=1min") for line in host.web.server]
    host.web.vhosts.append(Vhost("status.test", port=port, tls=False,
                                 lines=['<Location "/stek-status">', "SetHandler stek-status", "</Location>"]))
    host.start(web=False)
    wait_for(lambda: "does not say what httpd has loaded" in host.log(), host.log)  # httpd has not been started
    host.web.start()

    def shown():
        only, = look(fleet)["hosts"]
        return only
    wait_for(lambda: look(fleet)["hosts"], "the host", 30, 0.3)
    wait_for(lambda: shown()["httpd_generation"] == shown()["generation"], lambda: f"{shown()}{host.log()}", 30, 0.3)

    def named():
        done = lib.run("--ring", host.ring_path, "revoke", "--all", "--wait=2s", "--fleet", config(fleet), code=6)
        return f"{host.name}: has not applied the change: its httpd has not loaded the ring" in done.stderr
    wait_for(named, "its httpd to be named", 40)
    epoch = host.ring().epoch
    assert shown()["epoch"] == epoch and shown()["httpd_epoch"] < epoch
    host.web.graceful()
    wait_for(lambda: shown()["httpd_epoch"] == epoch and shown()["httpd_generation"] == shown()["generation"],
             lambda: f"{shown()}", 30, 0.3)
    assert shown()["state"] == "good"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nno rings\n", bytes(300000),
                                    b'HTTP/1.1 200 OK\r\n\r\n\nstek_ring_epoch{ring="default"} -1\n', None,
                                    b'HTTP/1.1 200 OK\r\n\r\n\nstek_ring_epoch{ring="default"} 99999999999999999999\n'
                                    b'stek_ring_generation{ring="default"} 1\n'],
                         ids=["nothing", "404", "no-ring", "endless", "negative", "silence", "too-great"])
@pytest.mark.timeout(60)
def test_fleet_status_page_that_says_nothing_is_told_once_and_stops_nothing(fleet, answer):
    store = fleet.store()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
                sock.recv(65536)
                if answer is None:
                    time.sleep(5)
                sock.sendall(answer or b"")
                sock.close()
            except OSError:
                return
    threading.Thread(target=serve, daemon=True).start()
    host = fleet.host(**HOURLY, options=["--httpd", f"http://127.0.0.1:{listener.getsockname()[1]}/stek-status"])
    done = host.once()
    listener.close()
    assert done.stderr.count("does not say what httpd has loaded") == 1
    said = announcements.read(store, fleet.secret)[host.name]
    assert said.flags == 1 | announcements.MUTE and said.httpd_generation == 0 and host.ring().keys
