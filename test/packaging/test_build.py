# SPDX-License-Identifier: Apache-2.0
"""A build follows its options: whatever was configured otherwise is made anew, in the same checkout, and
nothing else is."""
import os
import re
import shutil
import subprocess

import pytest

from check_releases import build_depends
from test_packages import TOP, run

# As on a machine where a library is missing: WITHOUT names those that pkg-config shall not find.
PKG_CONFIG = """#!/bin/sh
for word; do
    case " $WITHOUT " in *" $word "*) exit 1 ;; esac
done
exec {real} "$@"
"""
STORES = {"libmemcached": "memcached", "hiredis": "Redis", "jansson": "etcd"}
LIBRARIES = [*STORES, "libseccomp", "libevent_core"]
LEFT_OUT = {**STORES, "libseccomp": "confinement", "libevent_core": "probes"}


class Checkout:
    """A copy of the sources, as git would check them out."""

    def __init__(self, path):
        self.path = path / "checkout"
        for name in run("git", "ls-files", "-co", "--exclude-standard", "-z").split("\0")[:-1]:
            if (TOP / name).exists():
                (self.path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, self.path / name)
        (path / "bin").mkdir()
        stub = path / "bin" / "pkg-config"
        stub.write_text(PKG_CONFIG.format(real=shutil.which("pkg-config")))
        stub.chmod(0o755)
        self.path_variable = f"{stub.parent}:{os.environ['PATH']}"

    def make(self, *words, without=()):
        """What was made, as make says it: sources that were compiled and files that were linked."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "DEB_"))}
        env.update(PATH=self.path_variable, WITHOUT=" ".join(without))
        self.said = run("make", "--no-print-directory", "-j2", *words, cwd=self.path, env=env)
        return set(re.findall(r"^  (?:CC|AR|LINK) +(\S+)$", self.said, re.M))

    def libraries(self):
        """Those that it was built with, as --version says it."""
        said = run(self.path / "stekctl/stekctl", "--version")
        stores = re.search(r"^stores: (.*)$", said, re.M).group(1).split(", ")
        confined = re.search(r"^store workers confined by: (.*)$", said, re.M).group(1)
        many = re.search(r"^probes of many hosts at a time: (.*)$", said, re.M).group(1)
        return {name for name, shown in STORES.items() if shown in stores} \
            | ({"libseccomp"} if confined.startswith("seccomp") else set()) \
            | ({"libevent_core"} if many == "libevent" else set())

    def names_what_is_left_out(self, missing):
        """make does; and so does the program, where a URL asks for it."""
        said = re.findall(r"^  NOTE left out of stekctl: (\w+) .*\(needs .*\)$", self.said, re.M)
        assert sorted(said) == sorted(LEFT_OUT[name] for name in missing)
        for name in {*missing} & {*STORES}:
            words = ["sync", "--store", f"{STORES[name].lower()}://a/1", "--fleet-secret", "/x", "--check"]
            done = subprocess.run([self.path / "stekctl/stekctl", *words], capture_output=True, text=True)
            assert f"no {STORES[name]} support; install" in done.stderr, done
        done = subprocess.run([self.path / "stekctl/stekctl", "probe", "--hosts", "/dev/null"], capture_output=True,
                              text=True)
        assert ("built without libevent: install" in done.stderr) == ("libevent_core" in missing), done


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("build"))


@pytest.mark.timeout(600)
def test_build_follows_the_libraries_that_come_and_go(checkout):
    """README's two commands: "make run" builds before "make check" has installed stekctl's libraries."""
    everything = checkout.make("stekctl", "CFLAGS=-O0", without=LIBRARIES)
    assert checkout.libraries() == set()
    compiled = {name for name in everything if name.endswith(".c")}
    assert len(compiled) > 30
    for missing in ((), ["hiredis"], ["libmemcached"], ["jansson"], ["libseccomp"], ["libevent_core"], LIBRARIES, ()):
        made = checkout.make("stekctl", "CFLAGS=-O0", without=missing)
        assert checkout.libraries() == set(LIBRARIES) - set(missing)
        assert "stekctl/stekctl" in made
        checkout.names_what_is_left_out(missing)
        again = {name for name in made if name.endswith(".c")}
        assert again and all(re.fullmatch(r"stekctl/(fleet/(store\w*|confine)|probe/loop)\.c", name) for name in again)
        assert checkout.make("stekctl", "CFLAGS=-O0", without=missing) == set()


@pytest.mark.timeout(600)
def test_build_follows_compiler_flags_and_install_takes_what_was_built(checkout, tmp_path):
    libstek = {"out/libstek.a", *(str(path.relative_to(checkout.path)) for path in
                                  (checkout.path / "src").glob("stek_*.c"))}
    options = ["CFLAGS=-O0 -DNAME='\"a $$b #c\"'", "LDFLAGS=-Wl,-O1"]
    checkout.make("out/libstek.a", "CFLAGS=-O0")
    for words in (["CFLAGS=-O0", "CC=clang"], ["CFLAGS=-O0", "CPPFLAGS=-DX"], options):
        assert checkout.make("out/libstek.a", *words) == libstek, words
        assert checkout.make("out/libstek.a", *words) == set(), words
        assert checkout.make("out/libstek.a", *words, "WERROR=1") == set(), words
    made = checkout.make("all", *options)
    assert {"mod_stek_rotate.c", ".libs/mod_stek_rotate.so", "stekctl/stekctl"} <= made
    files = [checkout.path / ".libs/mod_stek_rotate.so", checkout.path / "stekctl/stekctl"]
    built = [path.read_bytes() for path in files]
    assert checkout.make("install", f"DESTDIR={tmp_path}") == set()
    assert [path.read_bytes() for path in files] == built
    assert (tmp_path / "usr/sbin/stekctl").read_bytes() == built[1]
    # With LDFLAGS of its own, only what is linked.
    made = checkout.make("all", options[0])
    assert made == {"out/libstek.a", ".libs/mod_stek_rotate.so", "stekctl/stekctl"}
    assert checkout.make("all", options[0]) == set()


def test_build_no_header_knows_of_the_libraries():
    """Only sources that name them are compiled with their options, and anew when these change."""
    for header in [*TOP.glob("stekctl/**/*.h"), *TOP.glob("include/*.h")]:
        assert not re.search(r"STEK_WITH_|hiredis\.h|libmemcached/|seccomp\.h|event2/", header.read_text()), header


def test_build_makefile_is_the_products_alone():
    lines = (TOP / "Makefile").read_text().splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 120


def test_build_help_names_only_targets_there_are():
    listed = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", (TOP / "Makefile").read_text(), re.M).group(1)
    targets = set(listed.replace("\\", " ").split())
    said = run("make", "--no-print-directory", "help")
    named = {word for words in re.findall(r"\bmake ([a-z][a-z-]*(?:, [a-z-]+)*)", said) for word in words.split(", ")}
    assert len(named) > 20 and named <= targets
    # The goal is one that starts no other make: under -n such lines would be carried out.
    rules = run("make", "-pn", "help")
    for target in targets:
        assert re.search(rf"^(?:[\w-]+ )*{target}(?: [\w-]+)*:", rules, re.M), target


def test_make_deb_installs_what_the_packages_are_built_with():
    """All that debian/control and README name, and nothing that a clean chroot for them would lack."""
    text = (TOP / "build" / "deps.sh").read_text()
    words = re.search(r"^deb\) wanted=\((.*?)\) ;;", text, re.M | re.S)[1].split()
    html = re.search(r"^html=\((.*?)\)", text, re.M)[1].split()
    wanted = {word for word in words if not word.startswith('"')} | set(html)
    implied = {"build-essential", "dpkg-dev", "git"}
    depends = set(build_depends()) - {"dh-apache2", "lintian", "util-linux"} | implied
    assert wanted == depends, wanted ^ depends
    named = re.search(r"It also needs\s+`([^`]*)`", (TOP / "README.md").read_text())[1].split()
    assert set(named) <= wanted
    recipe = re.search(r"^deb:\n((?:\t.*\n)+)", (TOP / "build" / "packages.mk").read_text(), re.M)[1]
    assert recipe.splitlines()[0] == "\t@build/deps.sh deb"


@pytest.mark.parametrize("program,words", [("apache2", "apt-get install apache2 && a2enmod ssl stek_rotate"),
                                           ("httpd", "add: Include /etc")])
def test_install_without_a2enmod_says_what_is_left_to_do(tmp_path, program, words):
    """With Debian's layout, httpd itself is missing: the build brings only apache2-bin."""
    said = run("make", "-n", "install", "DESTDIR=", f"PROGNAME={program}", "SYSCONFDIR=/etc/x")
    block = re.search(r"^if command -v a2enmod.*?^\s*else.*?fi$", said, re.M | re.S)[0]
    done = subprocess.run(["/bin/sh", "-c", block], env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode == 0 and words in done.stdout, done.stdout + done.stderr
