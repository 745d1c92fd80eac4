# SPDX-License-Identifier: Apache-2.0
"""Debian 12, 13 and sid, each in a root of its own (debian_root.py): the programs build without a warning, the
packages build and their unit tests pass, they install beside that Debian's httpd, and their smoke test passes there
(debian/tests/smoke).  Then it boots, and its systemd runs stek-sync@ with the fleet secret as a credential.  And sid
with the OpenSSL of experimental: no warning, unit tests.  "make check-suites" runs this; ARGS="sid" tries one release.

Needs root, mmdebstrap and a mirror."""
import re
import subprocess
import sys
import time

from check_releases import SUITES, build_depends, counts
from debian_root import TOP, Boot, Root, check, closing_line, heading, stop

VERSIONS = ("gcc -dumpfullversion; openssl version | cut -d' ' -f2; apache2 -v | sed -n 's,.*Apache/\\([^ ]*\\).*,\\1,p'; "
            "dpkg --print-architecture")
NAMES = re.findall(r"^Package: (.*)$", (TOP / "debian" / "control").read_text(), re.M)
# Lintian is check_releases.py's.
PACKAGES = sorted({*build_depends(), "apache2", "openssl"} - {"lintian"})
WARNING = re.compile(r"^.*\bwarning: .*$", re.M)
# The log of a package has warnings of debhelper, too.
CODE_WARNING = re.compile(r"^.*\.[ch]:\d+:\d+: warning: .*$", re.M)
# In the package's own tree with its own flags, so that nothing is compiled twice.
BENCH_BUILD = ("cd /src/out/deb/mod_stek_rotate-*/; export DEB_BUILD_MAINT_OPTIONS=hardening=+all; "
               "eval $(dpkg-buildflags --export=sh); make -j2 bench-build 2>&1")

# A sin, and the exit code of the probe.
SINS = """
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout /key -out /pem 2>/dev/null
for expected in good=0 mac-bit=1 gcm-zero=1; do
    /sins 4433 /pem /key ${expected%=*} >/log &
    server=$!
    for i in $(seq 300); do ! grep -q listening /log || break; sleep 0.1; done
    code=0
    /src/stekctl/stekctl probe 127.0.0.1:4433 || code=$?
    kill $server
    [ $code = ${expected#*=} ]
done
"""


def try_suite(suite):
    with Root(suite, PACKAGES, network=True) as root:
        root.put_sources()
        gcc, openssl, httpd, machine = root.run(VERSIONS)[1].split()[-4:]
        print(f"   gcc {gcc}, OpenSSL {openssl}, httpd {httpd}, {machine}", flush=True)
        if try_build(root, suite):
            try_installed(root)


def try_build(root, suite):
    """Whether there are packages to go on with."""
    root.expect("builds the packages", "cd /src && make deb 2>&1", timeout_s=3600)
    counts(root, suite, 1)
    log = (root.path / "src/out/deb/build.log").read_text(errors="replace")
    check("without a warning of the compiler", " -c " in log and not CODE_WARNING.search(log), CODE_WARNING.findall(log))
    said = root.expect("what measures builds, too", BENCH_BUILD, timeout_s=3600)
    check("without a warning", not WARNING.search(said), WARNING.findall(said))
    names = {path.name.partition("_")[0] for path in (root.path / "src/out/deb").glob("*.deb")}
    return check("all are there", names >= {*NAMES}, names)


def try_installed(root):
    root.expect("which install", "apt-get -q update 2>&1; apt-get -q -y install /src/out/deb/*.deb 2>&1", timeout_s=1800)
    root.expect("the documentation is there",
                "test -e /usr/share/doc/mod-stek-rotate-doc/html/docs/index.html; stekctl --version")
    root.expect("systemd and a store install", "apt-get -q -y --no-install-recommends install systemd memcached "
                "2>&1", timeout_s=1800)
    # The machine's own ports are not the test's.
    root.network = False
    root.expect("their smoke test passes", "bash /src/debian/tests/smoke 2>&1", r"^ok$")
    try_booted(root)


def try_booted(root):
    """As fleet.md has it; how systemd hands the secret over depends on its version."""
    root.expect("a fleet is described", "printf '%s\\n' 'store memcached://127.0.0.1:11211' 'announce one' "
                ">/etc/stek/www.conf; stekctl --secret /etc/stek/www.secret secret new --fleet; "
                "printf '%s\\n' 'StekRing default file=/run/stek-www/default.ring secret=/run/stek-www/default.secret "
                "generate=off' >/etc/apache2/conf-available/stek-www.conf; a2enconf -q stek-www; a2enmod -q ssl")
    with Boot(root) as boot:
        version = boot.run("systemctl --version")[1].split()[1]
        boot.expect(f"systemd {version} starts stek-sync@", "systemctl enable --now stek-sync@www 2>&1; "
                    "systemctl is-active stek-sync@www")
        shown = boot.expect("which has the secret as a credential", "ls -l /run/credentials/stek-sync@www.service",
                            r"^-r\S+ .* fleet-secret$")
        check("by an access control list", int(version) < 254 or re.search(r"^-r\S+\+ .* fleet-secret$", shown, re.M),
              shown)
        boot.expect("and a current key", "for i in $(seq 300); do ! runuser -u stek -g www-data -- stekctl "
                    "--ring /run/stek-www/default.ring show || exit 0; sleep 0.1; done; exit 1")
        boot.expect("which the store has, too", "for i in $(seq 300); do ! stekctl fleet www || exit 0; sleep 0.1; "
                    "done; exit 1", "^1 host")
        boot.expect("it starts anew and reloads", "systemctl restart stek-sync@www; systemctl reload stek-sync@www; "
                    "systemctl is-active stek-sync@www")
        boot.expect("httpd starts with its keys", "systemctl restart apache2; systemctl is-active apache2; "
                    "! grep -E 'STEK[0-9]+.*(refused|cannot)' /var/log/apache2/error.log")
        boot.expect("no unit of the packages has failed", "! systemctl --failed --no-legend | grep stek")
        # What the maintainer's scripts ask of systemd.
        boot.expect("an upgrade starts it anew", "rm /usr/sbin/policy-rc.d; "
                    "old=$(systemctl show -P MainPID stek-sync@www); "
                    "apt-get -q -y --reinstall install /src/out/deb/stekctl_*.deb 2>&1; "
                    "systemctl is-active stek-sync@www; [ $(systemctl show -P MainPID stek-sync@www) != $old ]")
        boot.expect("a removal stops it", "apt-get -q -y remove stekctl 2>&1; ! systemctl is-active stek-sync@www")
        boot.expect("a purge leaves no key and no link", "apt-get -q -y purge stekctl 2>&1; "
                    "[ -z \"$(ls -d /run/stek-* /var/lib/stek-* /etc/systemd/system/*.wants/stek-* 2>/dev/null)\" ]")


def try_next_openssl(suite):
    """What sid will have next: Debian's httpd is linked with the OpenSSL of today, so nothing runs over it here."""
    with Root("sid", PACKAGES, network=True) as root:
        root.expect("experimental's OpenSSL is installed", "echo 'deb http://deb.debian.org/debian experimental main' "
                    ">/etc/apt/sources.list.d/experimental.list; apt-get -q update 2>&1; "
                    "apt-get -q -y --no-install-recommends install libssl-dev/experimental openssl/experimental 2>&1",
                    timeout_s=1800)
        root.put_sources()
        gcc, openssl = root.run("gcc -dumpfullversion; openssl version | cut -d' ' -f2")[1].split()[-2:]
        print(f"   gcc {gcc}, OpenSSL {openssl}", flush=True)
        said = root.expect("builds with warnings as errors", "cd /src && make -j2 WERROR=1 all 2>&1", timeout_s=3600)
        # But for the linker's, of a store's library that is linked with the OpenSSL of today.
        warnings = [line for line in WARNING.findall(said) if not re.search(r"libcrypto.*may conflict with", line)]
        check("and without one", not warnings, warnings[:5])
        root.expect("its unit tests pass", "cd /src && make -j2 WERROR=1 unit 2>&1", r"^\d+ passed, 0 failed",
                    timeout_s=3600)
        root.expect("the server that sins builds", "cd /src/test/integration && gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra "
                    "-Werror -o /sins sins.c bends.c frames.c -lssl -lcrypto 2>&1")
        root.network = False
        root.expect("and stekctl probe sees through it", SINS, timeout_s=900)


def main():
    known = {**dict.fromkeys(SUITES, try_suite), "experimental": try_next_openssl}
    if unknown := [suite for suite in sys.argv[1:] if suite not in known]:
        stop(f"unknown suite {unknown[0]}: must be one of {', '.join(known)}")
    for suite in sys.argv[1:] or known:
        start = time.monotonic()
        heading(suite)
        # One that cannot be had keeps no other from being tried.
        try:
            known[suite](suite)
        except (SystemExit, OSError, subprocess.SubprocessError, ValueError) as error:
            check("is tried to its end", False, repr(error))
        print(f"   {suite} took {(time.monotonic() - start) / 60:.1f} min", flush=True)
    return closing_line()


if __name__ == "__main__":
    sys.exit(main())
