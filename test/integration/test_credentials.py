# SPDX-License-Identifier: Apache-2.0
"""Secrets as systemd and Kubernetes hand them: encrypted credentials, a ring that is kept over a reboot, and mounted
Secrets. Under a real systemd, with real systemd-creds; what a thief finds on the disk is looked for there."""
import base64
import grp
import os
import pwd
import shutil
from pathlib import Path

import pytest

import fleet as lib
import ringfile
from booted import Machine, drop_in
from checks import VERSIONS
from fleet import Memcached
from httpd import RUN_AS, wait_for
from stekctl_tool import Stekctl

GROUP = grp.getgrgid(pwd.getpwnam(RUN_AS).pw_gid).gr_name


@pytest.fixture
def machine(folder):
    made = Machine(folder / "disk")
    yield made
    made.crash()


# What the shipped units cannot have here: the package's user, and a private /tmp where the test's files are.
HERE = f"[Service]\nUser={RUN_AS}\nGroup={GROUP}\nPrivateTmp=no\n"
ROOT = f"[Service]\nGroup={GROUP}\nPrivateTmp=no\n"


# ---- the fleet secret ----

def encrypt(machine, source):
    """Step by step as fleet.md has it, but for the key: a TPM is not to be had here."""
    machine.run(f"systemd-creds encrypt --with-key=host --name=fleet-secret {source} /etc/stek/www.secret.cred")
    kept = machine.disk / "etc/stek/www.secret.cred"
    kept.write_bytes(machine.run("base64 /etc/stek/www.secret.cred").stdout.encode())
    kept.write_bytes(base64.b64decode(kept.read_bytes()))


def test_fleet_secret_as_an_encrypted_credential(fleet, machine):
    store = fleet.store(Memcached)
    machine.unit("stek-sync@.service", [("stek-sync@www", HERE), ("stek-sync@www", drop_in("fleet.md", "stek-sync@www"))])
    (machine.disk / "etc/stek/www.conf").write_text(f"ring /run/stek-www/default.ring\nstore {store.url}\n"
                                                    "announce one\n")
    machine.boot()
    encrypt(machine, fleet.secret)
    machine.run("systemctl start stek-sync@www")
    keys = {key.name for key in store.ring(fleet.secret).keys}
    as_unit = f"setpriv --reuid {RUN_AS} --regid {GROUP} --clear-groups "
    shown = machine.run(as_unit + "stekctl --ring /run/stek-www/default.ring --json show").stdout
    assert keys and all(name.hex()[:8] in shown for name in keys)
    # Of the commands that somebody else runs, too.
    machine.run(as_unit + "stekctl sync --config /etc/stek/www.conf --status")
    wait_for(lambda: "one" in machine.run(as_unit + "stekctl fleet www", code=None).stdout, machine.console)
    # A floor is there after a crash, and opens; the credential is for this machine.
    machine.crash()
    assert list(machine.disk.glob("lib/stek-www/*.floor")) or list(machine.disk.glob("lib/private/stek-www/*.floor"))
    secrets = lib.fleet_fields(fleet.secret)[0]
    disk = machine.everything_on_disk()
    assert all(secret not in disk and base64.b64encode(secret) not in disk for secret in secrets)
    machine.boot()
    machine.run("systemctl start stek-sync@www")
    assert {key.name for key in store.ring(fleet.secret).keys} == keys
    assert "refused" not in machine.console()
    # What else is in shared memory stays when it stops: httpd's is of that group, too.
    shared = fleet.dir / "shared"
    shared.write_bytes(b"1")
    shutil.chown(shared, 0, GROUP)
    machine.run("systemctl stop stek-sync@www")
    assert Path("/dev/shm") in shared.parents and shared.exists()
    machine.crash()
    (machine.disk / "lib/systemd/credential.secret").unlink()
    machine.boot()
    assert machine.run("systemctl start stek-sync@www", code=None).returncode != 0
    assert not os.path.exists("/run/stek-www")


# ---- the ring, over a reboot ----

def test_ring_kept_over_reboots_and_crashes(httpd, machine):
    """Tickets outlive both, a key that was revoked does not come back, and the disk has no secret in the clear."""
    server = httpd(server=["StekRing default poll=1s", "StekBinding off"]).start()
    ring, secret = server.ring_path(), server.secret_path()
    machine.unit("stek-keep@.service", [("stek-keep@default", ROOT), (
        "stek-keep@default", f"[Service]\nEnvironment=STEK_RING={ring} STEK_KEY=host\n")])
    kept = machine.disk / "lib/stek-keep-default"

    def up_to_date():
        return (kept / "ring").exists() and (kept / "ring").read_bytes() == ring.read_bytes()

    def reboot(crash):
        server.stop()
        if crash:
            wait_for(up_to_date, machine.console, 30)  # httpd's parent may have written it once more
        else:
            machine.run("systemctl stop stek-keep@default")
        machine.crash()
        before = [path.stat() for path in (ring, secret)]
        shutil.rmtree(ring.parent)
        machine.boot()
        machine.run("systemctl start stek-keep@default")
        assert [(s.st_mode, s.st_uid, s.st_size) for s in before] \
            == [(s.st_mode, s.st_uid, s.st_size) for s in (ring.stat(), secret.stat())]
        server.start()

    machine.boot()
    machine.run("systemctl start stek-keep@default")
    tool = Stekctl(ring.parent, ring=ring, secret=secret)
    for crash in (True, False):
        sessions = {version: server.get(tls=version).session for version in VERSIONS}
        wait_for(up_to_date, machine.console, 30)
        reboot(crash)
        for version, session in sessions.items():
            assert server.get(tls=version, session=session).resumed, (crash, version)
    old = server.get(tls="1.2")
    tool.run("revoke", old.name.hex())
    wait_for(up_to_date, machine.console, 30)
    reboot(True)
    assert not server.get(tls="1.2", session=old.session).resumed
    # A new secret is kept before the ring that it seals.
    tool.run("secret", "roll", "--reseal")
    server.graceful()
    session = server.get(tls="1.2").session
    wait_for(up_to_date, machine.console, 30)
    reboot(True)
    assert server.get(tls="1.2", session=session).resumed
    wait_for(up_to_date, machine.console, 30)
    machine.crash()
    disk = machine.everything_on_disk()
    for bare in [*ringfile.read_secrets(secret), *(part for key in server.ring().keys for part in (key.aes, key.hmac))]:
        assert bare not in disk and base64.b64encode(bare) not in disk
    # On another machine, whose host key is not this one's, it yields nothing, and httpd begins anew.
    server.stop()
    shutil.rmtree(ring.parent)
    (machine.disk / "lib/systemd/credential.secret").unlink()
    machine.boot()
    machine.run("systemctl start stek-keep@default")
    assert not ring.exists() and not secret.exists()
    server.start()
    assert server.get().tickets


# ---- a mounted Secret ----

def mounted(folder, source, number, mode):
    """As kubelet mounts a Secret, and swaps in its next version."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    (folder / f"..{number}").mkdir(mode=0o755)
    shutil.copy(source, folder / f"..{number}" / "fleet-secret")
    (folder / f"..{number}" / "fleet-secret").chmod(mode)
    (folder / "..data_tmp").symlink_to(f"..{number}")
    (folder / "..data_tmp").rename(folder / "..data")
    if number == 1:
        (folder / "fleet-secret").symlink_to("..data/fleet-secret")
    else:
        shutil.rmtree(folder / f"..{number - 1}")
    return folder / "fleet-secret"


def test_fleet_secret_from_a_mounted_secret_and_its_next_version(fleet, folder):
    store = fleet.store(Memcached)
    first = fleet.secret
    path = mounted(folder / "fleet", first, 1, 0o400)
    args = ("--ring", folder / "a.ring", "sync", "--store", store.url, "--fleet-secret", path, "--once", "--floor", "none")
    lib.run(*args)
    keys = {key.name for key in store.ring(first).keys}
    rolled = folder / "rolled"
    shutil.copy(first, rolled)
    rolled.chmod(0o600)
    lib.run("--secret", rolled, "secret", "roll")
    mounted(folder / "fleet", rolled, 2, 0o400)
    lib.run(*args)
    assert {key.name for key in store.ring(rolled).keys} == keys
    # Anyone's but the owner's: said by name, and how to mend it.
    mounted(folder / "fleet", rolled, 3, 0o444)
    assert str(path) in lib.run(*args, code=3).stderr
