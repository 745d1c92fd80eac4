# SPDX-License-Identifier: Apache-2.0
"""Tarball, packages and "make install": the same files everywhere, the same bytes each time, nothing that
lintian or rpmlint complain about."""
import html
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
MODULE_PACKAGE, TOOL_PACKAGE, DOC_PACKAGE = "libapache2-mod-stek-rotate", "stekctl", "mod-stek-rotate-doc"
DOC = f"usr/share/doc/{DOC_PACKAGE}"
LOAD = "/etc/apache2/mods-available/stek_rotate.load"


def run(*command, **options):
    options.setdefault("cwd", TOP)
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done.stdout


def make(*words, **environment):
    """A make of its own, not a part of the one that runs the tests."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "DEB_"))}
    return run("make", "--no-print-directory", *words, env=dict(env, **environment))


def version():
    header = (TOP / "include" / "stek_version.h").read_text()
    return re.search(r'STEK_VERSION "(.+)"', header).group(1)


NAME = f"mod_stek_rotate-{version()}"


def files_of(root):
    """Path below root -> bytes, of all files."""
    return {f"/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def debs(release, tmp_path_factory):
    """Name of a package -> folder with what it installs, and DEBIAN."""
    found = {}
    for deb in (release / "out" / "deb").glob("*.deb"):
        name = deb.name.partition("_")[0]
        found[name] = tmp_path_factory.mktemp("deb") / name
        run("dpkg-deb", "-R", deb, found[name])
    return found


def installed(debs):
    return {path: data for root in debs.values() for path, data in files_of(root).items()
            if not path.startswith("/DEBIAN/")}


def test_deb_packages_are_these_two(debs):
    assert set(debs) == {MODULE_PACKAGE, TOOL_PACKAGE, DOC_PACKAGE}


def test_deb_holds_what_it_should(debs):
    module, tool, manual = ({path.removesuffix(".gz") for path in files_of(debs[name])}
                            for name in (MODULE_PACKAGE, TOOL_PACKAGE, DOC_PACKAGE))  # long pages are compressed
    doc = "/usr/share/doc/"
    assert module >= {
        "/usr/lib/apache2/modules/mod_stek_rotate.so", LOAD, LOAD.replace(".load", ".conf"),
        "/etc/apache2/conf-available/stek-status.conf",
        *(f"{doc}{MODULE_PACKAGE}/examples/{path.name}" for path in (TOP / "conf").glob("examples/*")),
        f"{doc}{MODULE_PACKAGE}/README.Debian",
        f"{doc}{MODULE_PACKAGE}/examples/reference.conf",
        *(f"/usr/lib/systemd/system/{path.name}" for path in (TOP / "build" / "systemd").glob("*.mount"))}
    assert tool >= {
        "/usr/sbin/stekctl", "/usr/lib/sysusers.d/stek.conf", "/usr/share/bash-completion/completions/stekctl",
        "/usr/share/zsh/vendor-completions/_stekctl", "/usr/share/fish/vendor_completions.d/stekctl.fish",
        *(f"/usr/share/man/man{path.suffix[1]}/{path.name}" for path in (TOP / "docs").glob("*.[58]")),
        *(f"/usr/lib/systemd/system/{path.name}" for path in (TOP / "build" / "systemd").glob("*.service")),
        *(f"{doc}stekctl/examples/{path.name}" for path in (TOP / "conf" / "fleet").glob("*.sync"))}
    assert manual >= {
        *(f"/{DOC}/{path.relative_to(TOP)}" for path in [*TOP.glob("*.md"), *TOP.glob("docs/*.md")]
          if path.name != "CHANGES.md"),
        f"{doc}{DOC_PACKAGE}/changelog",
        *(f"/{DOC}/{path.relative_to(TOP)}" for path in TOP.glob("conf/**/*") if path.is_file()),
        *(f"/{DOC}/html/docs/{path.name}.html" for path in (TOP / "docs").glob("*.[58]")),
        f"/{DOC}/html/docs/index.html", f"/usr/share/doc-base/{DOC_PACKAGE}.mod-stek-rotate"}
    configuration = (debs[MODULE_PACKAGE] / "DEBIAN" / "conffiles").read_text().split()
    assert sorted(configuration) == sorted(path for path in module if path.startswith("/etc/"))


def test_deb_enables_the_module_but_not_tls(debs):
    control = debs[MODULE_PACKAGE] / "DEBIAN"
    assert "apache2_invoke enmod $conf" in (control / "postinst").read_text()
    for script in ("prerm", "postrm"):
        assert "apache2_invoke dismod $conf" in (control / script).read_text()
    load = (debs[MODULE_PACKAGE] / LOAD[1:]).read_text()
    assert "Depends:" not in load  # a2enmod would enable mod_ssl
    assert re.fullmatch(r"(#.*\n)+<IfModule ssl_module>\n\s+LoadModule stek_rotate_module \S+\n</IfModule>\n",
                        load)


def test_deb_binaries_are_hardened_and_of_this_version(debs):
    module = debs[MODULE_PACKAGE] / "usr/lib/apache2/modules/mod_stek_rotate.so"
    stekctl = debs[TOOL_PACKAGE] / "usr/sbin/stekctl"
    run("build/check_exports.sh", module)
    assert version() in run(stekctl, "--version")
    for binary in (module, stekctl):
        dynamic = run("objdump", "-p", binary)
        assert "RELRO" in dynamic and "BIND_NOW" in run("readelf", "-d", binary)
    assert "DYN" in run("readelf", "-h", stekctl)


def dead_links(root):
    """Of the pages below root: relative links that lead to no file below it, or to an anchor that is not there."""
    dead = []
    for page in [*root.rglob("*.html"), *root.rglob("*.md")]:
        text = page.read_text()
        links = re.findall(r'<a\b[^>]*\bhref="([^"]*)"' if page.suffix == ".html" else r"\]\(([^)\s]+)\)", text)
        for link in map(html.unescape, links):
            path, _, anchor = link.partition("#")
            there = page.parent / path if path else page
            if re.match(r"[a-z]+:", link):
                continue
            if not there.resolve().is_relative_to(root.resolve()) or not there.exists():
                dead.append(f"{page.relative_to(root)}: {link}")
            elif anchor and there.suffix == ".html" and f'id="{anchor}"' not in there.read_text():
                dead.append(f"{page.relative_to(root)}: {link}: no such anchor")
    return dead


def test_deb_links_of_its_pages_work(debs):
    """README's too, as they are installed."""
    manual = debs[DOC_PACKAGE] / DOC
    assert not dead_links(manual)
    assert "](docs/quick-start.md)" in (manual / "README.md").read_text()
    (manual / "conf/reference.conf").rename(manual / "conf/else.conf")
    assert any("reference.conf" in link for link in dead_links(manual))
    (manual / "conf/else.conf").rename(manual / "conf/reference.conf")
    for name in re.findall(r"/usr/share/doc/mod-stek-rotate-doc/\S+[^\s.]",
                           (debs[MODULE_PACKAGE] / f"usr/share/doc/{MODULE_PACKAGE}/README.Debian").read_text()):
        assert (debs[DOC_PACKAGE] / name[1:]).exists()
    registered = (debs[DOC_PACKAGE] / f"usr/share/doc-base/{DOC_PACKAGE}.mod-stek-rotate").read_text()
    assert (debs[DOC_PACKAGE] / re.search(r"^Index: /(.*)$", registered, re.M).group(1)).exists()


def test_deb_lintian_clean(debs, release):
    assert len(debs) == 3
    changes, = (release / "out" / "deb").glob("*.changes")
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", changes)
    assert said == ""


def test_install_destdir_is_what_the_packages_install(debs, tmp_path):
    make("install", f"DESTDIR={tmp_path}")
    mine = files_of(tmp_path)
    packaged = {path.removesuffix(".gz") if "/man/" in path else path: data
                for path, data in installed(debs).items()
                if not path.startswith(("/usr/share/doc/", "/usr/share/doc-base/", "/usr/share/lintian/"))}
    assert set(mine) == set(packaged)
    for path, data in mine.items():
        if path.startswith(("/etc/", "/usr/lib/s", "/usr/share/bash", "/usr/share/zsh", "/usr/share/fish")):
            assert data == packaged[path], path
    edited = tmp_path / LOAD[1:].replace(".load", ".conf")
    edited.write_text("# mine\n")
    make("install", f"DESTDIR={tmp_path}")
    assert edited.read_text() == "# mine\n"
    assert f"Left, as it was edited: {edited}" in make("uninstall", f"DESTDIR={tmp_path}")
    assert set(files_of(tmp_path)) == {f"/{edited.relative_to(tmp_path)}"}


def test_install_where_httpd_is_not_debians(tmp_path):
    """The layout of conf.modules.d, with the paths that such an apxs gives."""
    make("install", f"DESTDIR={tmp_path}", "PROGNAME=httpd", "SYSCONFDIR=/etc/httpd/conf",
         "LIBEXECDIR=/usr/lib64/httpd/modules")
    load = tmp_path / "etc/httpd/conf.modules.d/10-stek_rotate.conf"
    assert "LoadModule stek_rotate_module /usr/lib64/httpd/modules/mod_stek_rotate.so" in load.read_text()
    assert (tmp_path / "usr/lib64/httpd/modules/mod_stek_rotate.so").exists()
    assert (tmp_path / "etc/httpd/conf.d/stek_rotate.conf").exists()
    assert (tmp_path / "usr/share/doc/mod_stek_rotate/status.conf").exists()
    assert "\nGroup=apache\n" in (tmp_path / "usr/lib/systemd/system/stek-sync@.service").read_text()
    mount = (tmp_path / "usr/lib/systemd/system/run-httpd-stek_rotate.mount").read_text()
    assert "\nWhere=/run/httpd/stek_rotate\n" in mount and "gid=apache," in mount
    assert "now run-httpd-stek_rotate.mount\n" in mount
    keep = (tmp_path / "usr/lib/systemd/system/stek-keep@.service").read_text()
    assert "STEK_RING=/run/httpd/stek_rotate/%i.ring" in keep and "\nGroup=apache\n" in keep
    make("uninstall", f"DESTDIR={tmp_path}", "PROGNAME=httpd", "SYSCONFDIR=/etc/httpd/conf",
         "LIBEXECDIR=/usr/lib64/httpd/modules")
    assert not files_of(tmp_path)


@pytest.mark.skipif(not shutil.which("a2dismod"), reason="needs Debian's apache2")
def test_uninstall_leaves_no_trace_that_keeps_a_package_from_enabling_the_module(tmp_path):
    """What an administrator disabled stays off when a package is installed; an uninstall is not meant so."""
    conf, state = tmp_path / "apache2", tmp_path / "state"
    for kind in ("mods", "conf"):
        for folder in ("available", "enabled"):
            (conf / f"{kind}-{folder}").mkdir(parents=True)
    (conf / "envvars").write_text("")
    state.mkdir()
    env = dict(APACHE_CONFDIR=str(conf), APACHE_STATE_DIRECTORY=str(state))
    (conf / "mods-available/stek_rotate.load").write_text("# loads\n")
    shutil.copy(TOP / "conf/status.conf", conf / "conf-available/stek-status.conf")
    run("a2enmod", "-q", "stek_rotate", env=dict(os.environ, **env))
    run("a2enconf", "-q", "stek-status", env=dict(os.environ, **env))
    assert len(files_of(state)) == 2
    make("uninstall", f"PREFIX={tmp_path}/usr", f"SYSCONFDIR={conf}", f"LIBEXECDIR={tmp_path}", "PROGNAME=apache2", **env)
    assert not files_of(state) and not [*(conf / "mods-enabled").iterdir(), *(conf / "conf-enabled").iterdir()]


def test_uninstall_takes_the_documentation_and_nothing_else(tmp_path):
    doc = tmp_path / "opt/stek/doc"
    words = f"DESTDIR={tmp_path}", "DOCDIR=/opt/stek/doc"
    doc.mkdir(parents=True)
    (doc / "README.md").write_text("# Of another program\n")
    make("uninstall", *words)
    assert (doc / "README.md").read_text() == "# Of another program\n"
    make("install-doc", *words)
    assert len(files_of(doc)) > 100 and (doc / "html/docs/index.html").exists()
    (doc / "conf/mine.conf").write_text("# mine\n")
    make("uninstall", *words)
    assert files_of(tmp_path) == {"/opt/stek/doc/conf/mine.conf": b"# mine\n"}
    (doc / "conf/mine.conf").unlink()
    make("install-doc", *words)
    make("uninstall", *words)
    assert not doc.exists() and doc.parent.exists()


def test_units_run_only_stekctl_and_the_shell():
    """No package is sure to be there, as that of kill(1) is not, but the essential ones."""
    programs = {program for unit in TOP.glob("build/systemd/*.service")
                for program in re.findall(r"^Exec\w+=[-+!@:|]*(\S+)", unit.read_text(), re.M)}
    assert programs == {"/usr/sbin/stekctl", "/bin/sh"}


def test_dist_same_bytes_from_another_tree(tmp_path):
    """Another place, umask, order and times of files."""
    other = tmp_path / "other"
    run("git", "clone", "-q", "--no-hardlinks", TOP, other)
    for name in reversed(run("git", "ls-files", "-z").split("\0")[:-1]):
        if (TOP / name).exists():
            (other / name).unlink(missing_ok=True)
            (other / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(TOP / name, other / name)
            (other / name).chmod(0o700 if os.access(TOP / name, os.X_OK) else 0o600)
    run("git", "add", "-A", cwd=other)
    made = []
    for tree, language in ((TOP, "C"), (other, "C.UTF-8")):
        folder = tmp_path / language
        folder.mkdir()
        run(tree / "build" / "dist.sh", NAME, folder, env=dict(os.environ, LC_ALL=language, TZ="Asia/Tokyo"))
        made.append((folder / f"{NAME}.tar.gz").read_bytes())
    assert made[0] == made[1]
    names = run("tar", "-tf", tmp_path / "C" / f"{NAME}.tar.gz").split()
    assert all(name.startswith(f"{NAME}/") for name in names)
    assert {f"{NAME}/debian/control", f"{NAME}/build/rpm/mod_stek_rotate.spec"} <= set(names)


def test_rpm_spec_is_read_and_rpmlint_clean(release):
    assert "0 errors, 0 warnings" in run("rpmlint", "-c", "build/rpm/rpmlint.toml", "build/rpm/mod_stek_rotate.spec",
                                         release / "out/rpm/SRPMS", cwd=release)
    package, = (release / "out" / "rpm" / "SRPMS").glob("*.rpm")
    inside = run("rpm", "-qpl", package).split()
    assert set(inside) == {"mod_stek_rotate.spec", f"{NAME}.tar.gz"}
    expanded = run("rpmspec", "-P", "build/rpm/mod_stek_rotate.spec")
    assert f"Version:        {version()}\n" in expanded


def test_dist_of_a_tree_that_is_no_checkout_is_refused(tmp_path):
    """As an unpacked tarball in a packager's repository, which tracks none of it."""
    shutil.copytree(TOP / "build", tmp_path / "outer/inner/build")
    for words in ([], ["init", "-q"], ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q",
                                       "--allow-empty", "-m", "Mine"]):
        if words:
            run("git", *words, cwd=tmp_path / "outer")
        done = subprocess.run([tmp_path / "outer/inner/build/dist.sh", NAME, tmp_path], capture_output=True, text=True)
        assert done.returncode == 1 and "inner is not a git checkout: " in done.stderr, done
        assert not list(tmp_path.glob("*.gz*"))


# The script in a machine's /run and /etc of its own.
PURGE = """
for path in /run /etc/systemd /etc/apache2 /var/lib/apache2; do mount -t tmpfs tmpfs $path; done
mkdir -p /run/apache2/stek_rotate /run/apache2-b/stek_rotate /run/apache2-c /etc/systemd/system/local-fs.target.wants
mount -t tmpfs tmpfs /run/apache2/stek_rotate
touch /run/apache2/stek_rotate/default.ring /run/apache2-b/stek_rotate/default.secret /run/apache2/pid
ln -s /none /etc/systemd/system/local-fs.target.wants/run-apache2-stek_rotate.mount
ln -s /none /etc/systemd/system/local-fs.target.wants/run-apache2-mine.mount
exec 3</run/apache2/stek_rotate/default.ring
[ "$BUSY" ] || exec 3<&-
sh "$0" purge
find /run /etc/systemd ! -type d
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize("busy", ["", "1"], ids=["idle", "open"])
def test_deb_purge_ends_the_mount_of_rings(busy):
    left = run("unshare", "--mount", "/bin/sh", "-euc", PURGE, f"debian/{MODULE_PACKAGE}.postrm",
               env=dict(os.environ, BUSY=busy)).split()
    assert sorted(left) == ["/etc/systemd/system/local-fs.target.wants/run-apache2-mine.mount", "/run/apache2/pid"]


def share_build(tree, home):
    """Has rpmbuild begin with what the Debian packages have compiled, with their options: nothing is compiled twice.  An
    optflags of .rpmmacros would be overruled by rpm's own."""
    options = dict(line.split(" := ", 1) for line in (tree / "out/config/options").read_text().splitlines())
    words = " ".join(f"{name}='{options[name]}'" for name in ("CPPFLAGS", "LDFLAGS"))
    copies = " ".join(str(tree / name) for name in ("out", ".libs", "mod_stek_rotate.la"))
    (home / ".rpmrc").write_text(f"optflags: {os.uname().machine} {options['CFLAGS']}\n")
    (home / ".rpmmacros").write_text(f"%make_build cp -a {copies} . && cp -a {tree}/stekctl/stekctl stekctl && "
                                     f"make -j2 {words}\n")


@pytest.fixture(scope="module")
def rpms(release, tmp_path_factory):
    """Name of a package -> paths of its files."""
    folder = tmp_path_factory.mktemp("rpm")
    run("git", "clone", "-q", "--no-hardlinks", release, folder / "checkout")
    share_build(release / "out/deb" / NAME, folder)
    env = {k: v for k, v in os.environ.items() if not k.startswith("SOURCE_DATE")}
    run("build/rpm.sh", NAME, cwd=folder / "checkout", env=dict(env, HOME=str(folder)))
    log = (folder / "checkout/out/rpm/build.log").read_text()
    assert "make -j2" in log and not re.search(r" -c -o \S+\.l?o ", log), log[-3000:]
    found = {}
    for package in (folder / "checkout/out/rpm/RPMS").rglob("*.rpm"):
        listed = run("rpm", "-qp", "--qf", "%{NAME}\n[%{FILEMODES:perms} %{FILENAMES}\n]", package).splitlines()
        found[listed[0]] = {line.split(" ", 1)[1] for line in listed[1:] if not line.startswith("d")}
    return found


def documents(files, folder):
    """Their names below /usr/share/doc/FOLDER, but for what only one kind of package has."""
    names = {path.removesuffix(".gz").removeprefix(f"/usr/share/doc/{folder}/") for path in files
             if path.startswith(f"/usr/share/doc/{folder}/")}
    return {name for name in names if not re.match(r"(changelog|copyright|README\.Debian|CHANGES\.md)", name)}


def test_rpm_holds_what_the_debian_packages_hold(debs, rpms):
    """The documentation as HTML and Markdown, configurations, man pages, units: none is in one of them alone."""
    assert set(rpms) == {"mod_stek_rotate", "stekctl", "mod_stek_rotate-doc"}
    assert documents(rpms["mod_stek_rotate-doc"], "mod_stek_rotate-doc") == \
        documents(files_of(debs[DOC_PACKAGE]), DOC_PACKAGE) >= {"html/docs/index.html", "README.md"}
    for name, folder, deb in (("mod_stek_rotate", "mod_stek_rotate", MODULE_PACKAGE),
                              ("stekctl", "stekctl", TOOL_PACKAGE)):
        kept = [{Path(path).name for path in documents(files, place)}
                for files, place in ((rpms[name], folder), (files_of(debs[deb]), f"{deb}/examples"))]
        assert kept[0] == kept[1] and kept[0]
        shared = [{re.sub(r"(\.gz|-apache2-|-httpd-|vendor-completions|site-functions)", "", path) for path in files
                   if re.match(r"/usr/(s?bin|lib/sys|share/(man|bash|fish|zsh))", path)}
                  for files in (rpms[name], files_of(debs[deb]))]
        assert shared[0] == shared[1] and shared[0]


def test_version_said_otherwise_is_found(tmp_path):
    for name in ("build", "debian", "docs", "include", "CHANGES.md"):
        copy = shutil.copytree if (TOP / name).is_dir() else shutil.copy
        copy(TOP / name, tmp_path / name)
    run("build/check_version.sh", cwd=tmp_path)
    for name in ("debian/changelog", "build/rpm/mod_stek_rotate.spec", "docs/stekctl.8"):
        path = tmp_path / name
        text = path.read_text()
        path.write_text(text.replace(version(), "9.8.7"))
        done = subprocess.run([tmp_path / "build/check_version.sh"], capture_output=True, text=True)
        assert done.returncode != 0 and f"{name} says '9.8.7'" in done.stderr
        path.write_text(text)
