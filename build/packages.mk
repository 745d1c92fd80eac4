# SPDX-License-Identifier: Apache-2.0
#
# The documentation as HTML, the tarball and the packages.

# ---- documentation ------------------------------------------------------------------------------

html:
	@build/deps.sh html
	@$(PYTHON) build/make_html.py

# The quick start's commands in an empty Debian, timed; ARGS=--keep leaves it.
first-five:
	@build/deps.sh first-five
	@$(PYTHON) build/first_five.py $(ARGS)

# ---- packages -----------------------------------------------------------------------------------

DIST := mod_stek_rotate-$(VERSION)

dist:
	build/dist.sh $(DIST)

# Packages are made of the tarball, in out/deb and out/rpm.
deb:
	@build/deps.sh deb
	build/deb.sh $(DIST)

rpm:
	build/rpm.sh $(DIST)

rpm-source:
	build/rpm.sh $(DIST) source

# Installs, upgrades, removes and purges the packages in a Debian of its own; builds them in Debian 12, 13 and sid.
check-deb:
	@build/deps.sh check-deb
	$(MAKE) --no-print-directory deb
	$(PYTHON) test/packaging/check_deb.py
	$(PYTHON) test/packaging/check_releases.py $(ARGS)

# Debian 12, 13 and sid: no warnings, unit tests, the packages installed, a smoke run; OpenSSL of experimental:
# no warnings, unit tests.  ARGS=sid tries one.
check-suites:
	@build/deps.sh check-deb
	$(PYTHON) test/packaging/check_suites.py $(ARGS)

# README's commands one after the other on a Debian with git and make alone; ARGS=--short takes minutes.
check-fresh:
	@build/deps.sh check-fresh
	$(PYTHON) test/packaging/check_fresh.py $(ARGS)

packages: all
	$(Q)$(PYTHON) -m pytest test/packaging -q -p no:cacheprovider $(PYTEST)

# Writes the addresses of build/contacts to the files that repeat them.
contacts:
	@$(PYTHON) build/contacts.py write

# Tarball, packages, SBOM and checksums, in out/release; RELEASE_KEY=ID signs them.
release:
	@build/deps.sh release
	@$(PYTHON) build/release.py

version:
	$(call SAY,LINT,contacts)$(PYTHON) build/contacts.py check
	$(call SAY,LINT,version)build/check_version.sh

