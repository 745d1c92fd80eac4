# SPDX-License-Identifier: Apache-2.0
"""A machine that is booted and crashes: the machine's own systemd, as process 1 of namespaces, with its own /run,
/etc and /var/lib/systemd (with the host key), and units of this tree. What is in its folder is on its disk."""
import os
import re
import subprocess
from pathlib import Path

from fleet import STEKCTL
from httpd import TOP, descendants, program_of, wait_for

# Nothing of the machine that it runs on may change, whatever a unit does: all that is writable is its own, the
# rest is read-only, and systemd sees no unit and no generator but the test's. (The machine's own units would, for
# one, empty /tmp at boot.)
# It also has control groups of its own, below those of the test.
ENTER = r"""
mount -t cgroup2 cgroup2 "$DISK/cgroup"
mkdir "$DISK/cgroup/$GROUP"
echo $$ >"$DISK/cgroup/$GROUP/cgroup.procs"
exec unshare --mount --pid --fork --kill-child --mount-proc --uts --ipc --cgroup sh -c "$BOOT"
"""
LEAVE = r"""
mount -t cgroup2 cgroup2 "$DISK/cgroup"
find "$DISK/cgroup/$GROUP" -depth -type d -exec rmdir {} +
"""
BOOT = r"""
set -eu
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$DISK/etc-copy"
sh "$COPY_ETC" "$DISK/etc-copy"
mkdir -p "$DISK/etc-copy/stek" "$DISK/lib/systemd"
cp -a "$DISK/etc/." "$DISK/etc-copy"
mount --bind "$DISK/etc-copy" /etc
mount --bind "$DISK/lib" /var/lib
for path in /run /var/log /usr/local/sbin; do mount -t tmpfs -o mode=755 tmpfs $path; done
for path in /tmp /var/tmp; do mount -t tmpfs -o mode=1777 tmpfs $path; done
mount -t cgroup2 cgroup2 /sys/fs/cgroup
install -m 755 "$STEKCTL" /usr/local/sbin/stekctl
mkdir -p /run/systemd/system
cp -r "$DISK/units/." /run/systemd/system
for target in test sysinit basic shutdown multi-user; do
    printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/$target.target
done
for path in / /sys /proc/sys; do
    mountpoint -q $path || mount --bind $path $path
    mount -o remount,bind,ro $path
done
! touch /usr/writable 2>/dev/null
mount --make-rshared / # of these namespaces: credentials are mounted in one and moved into the other
exec env -i container=test PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
    SYSTEMD_UNIT_PATH=/run/systemd/system SYSTEMD_GENERATOR_PATH=/run/none \
    /lib/systemd/systemd --system --unit=test.target --log-target=console --show-status=no
"""


class Machine:
    """disk: its folder, with etc (laid over a copy of this machine's) and units."""

    def __init__(self, disk):
        self.disk, self.process = Path(disk), None
        for name in ("cgroup", "etc/stek", "etc-copy", "lib", "units"):
            (self.disk / name).mkdir(parents=True)

    def unit(self, name, drop_ins=()):
        """A shipped unit, its instances with these drop-ins: (instance, text)."""
        text = (TOP / "build" / "systemd" / name).read_text().replace("/usr/sbin/stekctl", "/usr/local/sbin/stekctl")
        (self.disk / "units" / name).write_text(text)
        for number, (instance, text) in enumerate(drop_ins):
            folder = self.disk / "units" / f"{instance}.service.d"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.conf").write_text(text)
            (folder / "log.conf").write_text(f"[Service]\nStandardError=append:{self.disk}/log\n")

    def boot(self):
        with open(self.disk / "console", "ab") as console:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-euc", ENTER], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                env=self.environment())
        wait_for(self.booted, self.console, 60)
        return self

    def environment(self):
        return dict(os.environ, DISK=str(self.disk), STEKCTL=str(STEKCTL), BOOT=BOOT, GROUP=f"stek-test-{os.getpid()}",
                    COPY_ETC=str(Path(__file__).with_name("copy_etc.sh")))

    def booted(self):
        assert self.process.poll() is None, self.console()
        child = descendants(self.process.pid)
        if not child or program_of(child[0]) != "systemd":  # those before it come and go
            return False
        self.init = str(child[0])
        return self.run("systemctl is-system-running", code=None).stdout in ("running\n", "degraded\n")

    def console(self):
        return "".join(path.read_text(errors="replace") for path in (self.disk / "console", self.disk / "log")
                       if path.exists())

    def run(self, script, code=0, **options):
        done = subprocess.run(["nsenter", "-t", self.init, "-m", "-p", "-u", "-i", "-C", "env",
                               "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", script],
                              capture_output=True, text=True, timeout=90, **options)
        assert code is None or done.returncode == code, f"{script}: {done.stdout}{done.stderr}{self.console()}"
        return done

    def crash(self):
        """Power cut: nothing is told to end, and memory is empty."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
            wait_for(lambda: subprocess.run(["unshare", "--mount", "sh", "-euc", LEAVE], capture_output=True,
                                            env=self.environment()).returncode == 0, "the control groups to be empty")

    def everything_on_disk(self):
        return b"\n".join(path.read_bytes() for path in self.disk.rglob("*")
                          if path.is_file() and path.relative_to(self.disk).parts[0] in ("etc", "lib"))


def drop_in(page, unit):
    """The lines that a page shows for "systemctl edit" of that unit; the last of them."""
    text = (TOP / "docs" / page).read_text()
    return re.findall(rf"^```ini\n# systemctl edit {re.escape(unit)}\n(.*?)^```", text, re.M | re.S)[-1]
