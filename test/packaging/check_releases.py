# SPDX-License-Identifier: Apache-2.0
"""Debian 12, 13 and sid, each in a root of its own (debian_root.py): the tarball has the same bytes, an
ordinary user and a root that may not mount build the packages, lintian is silent, and README's apxs line works
with the packages that README names for it.  "make check-deb" runs this; ARGS="sid" tries one release."""
import os
import re
import subprocess
import sys

from debian_root import TOP, Root, check, closing_line, heading, machine_suite

SUITES = ["bookworm", "trixie", "sid"]
README = (TOP / "README.md").read_text()
COUNTS = r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$"
# In a folder that is a process's root no user namespace can be made: neither of these can mount anything.
NO_MOUNT = "setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin"
AS_USER = "setpriv --reuid=builder --regid=builder --init-groups --reset-env"


def build_depends():
    """Of debian/control, and what a build of the packages and lintian need."""
    control = (TOP / "debian" / "control").read_text()
    fields = re.findall(r"^Build-Depends(?:-Indep)?:((?:.*\n )*.*)$", control, re.M)
    names = [re.match(r"[\w.+-]+", item.strip()).group(0) for item in ",".join(fields).split(",") if item.strip()]
    given = {"debhelper-compat": "debhelper", "dh-sequence-installsysusers": None}
    names = [given.get(name, name) for name in names]
    return sorted({name for name in names if name} | {"build-essential", "git", "lintian", "util-linux"})


def readme_packages():
    """What README has installed for its apxs line."""
    return re.search(r"^    apt-get install (.*)\n    apxs -c ", README, re.M).group(1).split()


def counts(root, what, skipped_most):
    """Of the unit tests that a package's build ran."""
    log = (root.path / "src/out/deb/build.log").read_text(errors="replace")
    found = re.findall(COUNTS, log, re.M)
    passed, failed, skipped = (int(n or 0) for n in found[-1]) if found else (0, 1, 0)
    needs = re.findall(r"not run: tests that need (.*)$", log, re.M)
    check(f"{what}: its unit tests: {passed} passed, {skipped} need rights",
          passed > 250 and failed == 0 and skipped <= skipped_most and bool(needs) == bool(skipped),
          f"{failed} failed; {needs}; {log[-1500:]}")


def build(root, what, before, skipped_most):
    root.run("rm -rf /src/out")
    root.expect(f"{what} builds the packages", "cd /src && make deb", before=before, timeout_s=1800)
    counts(root, what, skipped_most)


def check_packages(suite):
    """The tarball's sum."""
    heading(suite, "packages")
    with Root(suite, build_depends()) as root:
        # useradd is not in each of them.
        root.run("echo builder:x:1000:1000::/home/builder:/bin/bash >>/etc/passwd; echo builder:x:1000: >>/etc/group; "
                 "install -d -o 1000 -g 1000 /home/builder")
        root.put_sources("builder")
        build(root, "an ordinary user", AS_USER, 11)
        said = root.expect("lintian runs", "cd /src/out/deb && lintian --fail-on error,warning *.changes; "
                           "sha256sum *.tar.gz", before=AS_USER)
        line = said.rstrip().rpartition("\n")[2]
        check("and is silent", said.rstrip() == line, said)
        units = root.run("dpkg-deb -c /src/out/deb/stekctl_*.deb | grep -c ' [.]/usr/lib/systemd/system/.*service$'")[1]
        check("units are where systemd has its own", int(units) == len(list(TOP.glob("build/systemd/*.service"))),
              units)
        if suite == machine_suite():
            root.run("chown -R root /src")
            build(root, "root that may not mount", NO_MOUNT, 1)
    return line.split(" ")[0]


def check_bare(suite):
    heading(suite, "README's apxs line")
    with Root(suite, [], "minbase", network=True) as root:
        root.put_sources()
        line = re.search(r"^    (apxs -c .*)$", README, re.M).group(1)
        root.expect("its packages are installed", "apt-get -q update 2>&1; apt-get -q -y install "
                    f"{' '.join(readme_packages())} 2>&1", timeout_s=1800)
        root.expect("it builds, installs and enables the module", f"cd /src && {line} 2>&1")
        root.expect("which is loaded", "apache2ctl -M 2>&1", "stek_rotate_module")
        root.expect("and httpd's configuration is good", "apache2ctl configtest 2>&1", "Syntax OK")


def main():
    suites = sys.argv[1:] or SUITES
    sums = {}
    for suite in suites:
        sums[suite] = check_packages(suite)
        check_bare(suite)
    here = subprocess.run([TOP / "build/dist.sh", "x", TOP / "out"], check=True, capture_output=True).stdout
    os.unlink(TOP / "out" / "x.tar.gz")
    check(f"the tarball has the same bytes in {', '.join(suites)}", here and len(set(sums.values())) == 1, sums)
    return closing_line()


if __name__ == "__main__":
    sys.exit(main())
