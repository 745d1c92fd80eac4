# SPDX-License-Identifier: Apache-2.0
"""Installs, upgrades, removes and purges the packages of out/deb in a Debian of its own, and runs their
autopkgtest there (debian_root.py).  "make check-deb" builds the packages and runs this."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from debian_root import TOP, Root, check, closing_line, heading, machine_suite, stop

DEBS = TOP / "out" / "deb"
# What the packages and their test need: the network is gone when they are installed.
INCLUDE = ["apache2", "autopkgtest", "build-essential", "libapr1", "libcurl4", "libevent-core-2.1-7",
           "libevent-extra-2.1-7", "libhiredis0.14", "libjansson4", "libmemcached11", "libseccomp2", "openssl", "systemd"]
PACKAGES = ["libapache2-mod-stek-rotate", "mod-stek-rotate-doc", "stekctl"]
OLD = "0.0.1"
CONF = "/etc/apache2/mods-available/stek_rotate.conf"
STATUS = "/etc/apache2/conf-available/stek-status.conf"
LOAD = "/etc/apache2/mods-available/stek_rotate.load"
# What any installation of any package leaves behind.
TRACES = re.compile(r"/(proc|sys|dev|tmp|debs)(/|$)|/var/(cache|log|lib/(apt|dpkg)|tmp)(/|$)|/var/backups(/|$)|"
                    r"/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|/etc/\.pwd\.lock$|/etc/ld\.so\.cache$|"
                    r"/run/(lock|lock/apache2|systemd|apache2(|/socks|/apache2\.pid))$|/var/lib/systemd(/|$)|"
                    r"/var/lib/apache2/\w+/(en|dis)abled_by_\w+$")
SITE = """<VirtualHost *:443>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile /tmp/pem
    SSLCertificateKeyFile /tmp/key
</VirtualHost>
"""


class PackageRoot(Root):
    """The system that packages are installed in."""

    def __init__(self):
        super().__init__(machine_suite(), INCLUDE)
        (self.path / "debs").mkdir()

    def install(self, folder, options=("-o Dpkg::Options::=--force-confdef", "-o Dpkg::Options::=--force-confold")):
        return f"apt-get -q -y {' '.join(options)} install /debs/{folder}/*.deb 2>&1 </dev/null"

    def snapshot(self):
        """Path -> kind, owner, mode and content's identity, of all that packages may leave."""
        found = {}
        for folder, folders, names in os.walk(self.path):
            for name in folders + names:
                path = os.path.join(folder, name)
                inside = path[len(str(self.path)):]
                if TRACES.search(inside):
                    continue
                stat = os.lstat(path)
                what = os.readlink(path) if os.path.islink(path) else ""
                if os.path.isfile(path) and not what:
                    what = Path(path).read_bytes() if stat.st_size < 1 << 16 else stat.st_size
                found[inside] = (stat.st_mode, stat.st_uid, stat.st_gid, what)
        return found


def copies(root):
    """The packages as they are, and the same as of an older version, with other configuration files."""
    debs = [deb for name in PACKAGES for deb in DEBS.glob(f"{name}_*.deb")]
    if len(debs) != len(PACKAGES):
        stop("no packages in out/deb: make deb")
    for folder in ("old", "new"):
        (root.path / "debs" / folder).mkdir()
    for deb in debs:
        shutil.copy(deb, root.path / "debs" / "new")
        with tempfile.TemporaryDirectory() as work:
            subprocess.run(["dpkg-deb", "-R", deb, f"{work}/d"], check=True)
            control = Path(work, "d/DEBIAN/control")
            version = re.search(r"^Version: (.+)$", control.read_text(), re.M).group(1)
            control.write_text(control.read_text().replace(version, OLD))
            for path in (CONF, LOAD):
                if Path(f"{work}/d{path}").exists():
                    Path(f"{work}/d{path}").write_text(f"# of {OLD}\n" + Path(f"{work}/d{path}").read_text())
            subprocess.run(["dpkg-deb", "--root-owner-group", "-b", f"{work}/d", root.path / "debs" / "old"], check=True,
                           stdout=subprocess.DEVNULL)
    return version


def leftovers(before, after):
    return [path for path in sorted(after) if after[path] != before.get(path)] + \
        [f"{path} (gone)" for path in sorted(before) if path not in after]


def check_install(root):
    heading("installation")
    root.expect("installs", root.install("old"))
    root.expect("enabled by its installation", "a2query -m stek_rotate", "enabled by maintainer script")
    root.expect("mod_ssl is as it was: off", "! a2query -m ssl")
    root.expect("httpd's configuration is good", "apache2ctl configtest 2>&1", "Syntax OK")
    root.expect("not loaded without mod_ssl", "! apache2ctl -M 2>&1 | grep stek_rotate")
    root.expect("loaded with mod_ssl", "a2enmod -q ssl; apache2ctl -M 2>&1 | grep -q stek_rotate")
    root.expect("the user stek is there", "getent passwd stek", "nologin")
    root.expect("the status page is there and off", "a2enconf -q stek-status; apache2ctl configtest 2>&1", "Syntax OK")
    (root.path / "etc/apache2/sites-enabled/tls.conf").write_text(SITE)
    root.expect("httpd makes keys", "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout /tmp/key "
                "-out /tmp/pem 2>/dev/null; apache2ctl start; for i in $(seq 300); do stekctl --json show 2>/dev/null | "
                "grep -q '\"healthy\": *true' && exit 0; sleep 0.1; done; stekctl show; exit 1")
    (root.path / "etc/apache2/sites-enabled/tls.conf").unlink()
    root.expect("the tool is there, with its manual", "stekctl --version; test -e /usr/share/man/man8/stekctl.8.gz")


def check_upgrade(root, version):
    heading("upgrade")
    # What both versions have alike can be edited without a question at an upgrade; this may ask none.
    (root.path / STATUS[1:]).write_text("# mine\n")
    root.expect("upgrades without a question", root.install("new", ()))
    check("an edited configuration file stays", (root.path / STATUS[1:]).read_text() == "# mine\n")
    root.expect("and back again", root.install("old").replace("install ", "--allow-downgrades install ", 1))
    (root.path / CONF[1:]).write_text("# mine\n")
    root.expect("upgrades", root.install("new"))
    installed = root.run("dpkg-query -W -f '${Version} ' " + " ".join(PACKAGES))[1].split()
    check("to this version", installed == [version] * len(PACKAGES), installed)
    check("an edited configuration file that has a new version stays", (root.path / CONF[1:]).read_text() == "# mine\n")
    check("one that was not edited is replaced", OLD not in (root.path / LOAD[1:]).read_text())
    root.expect("still enabled", "a2query -m stek_rotate")
    check("its keys are still there", root.exists("/run/apache2/stek_rotate/default.ring"))
    root.expect("disabled by the administrator stays so", "a2dismod -q stek_rotate; " + root.install("new").replace(
        "install ", "--reinstall install ") + "; ! a2query -m stek_rotate; a2enmod -q stek_rotate")


def check_away(root, before):
    heading("removal")
    root.expect("is removed", f"apt-get -q -y remove {' '.join(PACKAGES)} 2>&1")
    check("disabled by that", not root.exists("/etc/apache2/mods-enabled/stek_rotate.load"))
    root.expect("httpd's configuration is good", "apache2ctl configtest 2>&1", "Syntax OK")
    check("configuration stays", root.exists(CONF))
    root.expect("is installed again, and enabled", root.install("new") + "; a2query -m stek_rotate")
    heading("purge")
    (root.path / "run/stek-www").mkdir()
    (root.path / "run/stek-www/default.secret").write_text("x")
    (root.path / "etc/stek/www.conf").write_text("# mine\n")
    root.expect("is purged, though its directory is a mount", "install -d /etc/systemd/system/local-fs.target.wants; "
                "ln -s /usr/lib/systemd/system/run-apache2-stek_rotate.mount /etc/systemd/system/local-fs.target.wants; "
                "mkdir -p /run/apache2/stek_rotate; mount -t tmpfs tmpfs /run/apache2/stek_rotate; "
                f"apt-get -q -y purge {' '.join(PACKAGES)} 2>&1; a2dismod -q -f ssl socache_shmcb; "
                "a2dismod -q -p ssl; rm -f /var/lib/apache2/module/*/ssl /var/lib/apache2/module/*/socache_shmcb")
    check("an administrator's file and the user that owns such files stay",
          root.exists("/etc/stek/www.conf") and "stek" in (root.path / "etc/passwd").read_text())
    shutil.rmtree(root.path / "etc/stek")
    root.expect("is installed and purged again",
                f"{root.install('new')}; apt-get -q -y purge {' '.join(PACKAGES)} 2>&1")
    left = leftovers(before, root.snapshot())
    check("nothing is left", not left, left)


def check_autopkgtest(root):
    heading("autopkgtest")
    tree, = DEBS.glob("mod_stek_rotate-*/")
    shutil.copytree(tree / "debian", root.path / "debs/source/debian", symlinks=True)
    output = root.expect("its tests", "cd /debs; autopkgtest --no-built-binaries new/*.deb source/ -- null 2>&1",
                         r"smoke +PASS")
    log = TOP / "out" / "deb" / "autopkgtest.log"
    log.write_text(output)


def main():
    with PackageRoot() as root:
        version = copies(root)
        before = root.snapshot()
        check_install(root)
        check_upgrade(root, version)
        check_away(root, before)
        check_autopkgtest(root)
    return closing_line()


if __name__ == "__main__":
    sys.exit(main())
