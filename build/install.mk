# SPDX-License-Identifier: Apache-2.0
#
# "make install" and "make uninstall": where things go.

PREFIX  ?= /usr
SBINDIR ?= $(PREFIX)/sbin
MANDIR  ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
DOCDIR  ?= $(DATADIR)/doc/mod_stek_rotate-doc

# Debian keeps a module's lines in mods-available and enables them by a2enmod; elsewhere httpd
# includes conf.modules.d.
ifeq ($(PROGNAME),apache2)
CONF_LOAD   = $(SYSCONFDIR)/mods-available/stek_rotate.load
CONF_CONF   = $(SYSCONFDIR)/mods-available/stek_rotate.conf
CONF_STATUS = $(SYSCONFDIR)/conf-available/stek-status.conf
WEBGROUP   ?= www-data
RUNTIME     = apache2
else
CONF_LOAD   = $(SYSCONFDIR)/../conf.modules.d/10-stek_rotate.conf
CONF_CONF   = $(SYSCONFDIR)/../conf.d/stek_rotate.conf
CONF_STATUS = $(DATADIR)/doc/mod_stek_rotate/status.conf
WEBGROUP   ?= apache
RUNTIME     = httpd
endif
# Debian's zsh looks for what packages bring in a folder of its own.
ZSHDIR ?= $(DATADIR)/zsh/$(if $(filter apache2,$(PROGNAME)),vendor-completions,site-functions)
COMPLETIONS = bash=$(DATADIR)/bash-completion/completions/stekctl zsh=$(ZSHDIR)/_stekctl \
              fish=$(DATADIR)/fish/vendor_completions.d/stekctl.fish
MAN8  = $(wildcard docs/*.8)
MAN5  = $(wildcard docs/*.5)
UNITS = $(notdir $(wildcard build/systemd/*.service))
# Of the default directory of rings; a mount's unit is named by its path.
MOUNT = run-$(RUNTIME)-stek_rotate.mount
# What an administrator may have edited: put there if it is missing, removed if it is as it was.
SETTINGS = conf/stek_rotate.conf=$(CONF_CONF) conf/status.conf=$(CONF_STATUS)

install: all
	install -d $(DESTDIR)$(LIBEXECDIR) $(DESTDIR)$(UNITDIR) $(dir $(DESTDIR)$(CONF_LOAD))
	$(APXS) -S LIBEXECDIR=$(DESTDIR)$(LIBEXECDIR) -i -n stek_rotate $(MODULE_LA)
	sed 's,/usr/lib/apache2/modules,$(LIBEXECDIR),' conf/stek_rotate.load >$(DESTDIR)$(CONF_LOAD)
	chmod 644 $(DESTDIR)$(CONF_LOAD)
	@set -e; for pair in $(SETTINGS); do to=$(DESTDIR)$${pair#*=}; \
	    test -e "$$to" || install -D -m 644 "$${pair%%=*}" "$$to"; done
	install -D -m 755 $(STEKCTL) $(DESTDIR)$(SBINDIR)/stekctl
	install -d $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man8
	install -m 644 $(MAN5) $(DESTDIR)$(MANDIR)/man5
	install -m 644 $(MAN8) $(DESTDIR)$(MANDIR)/man8
	@set -e; for pair in $(COMPLETIONS); do \
	    install -D -m 644 "build/stekctl.$${pair%%=*}-completion" "$(DESTDIR)$${pair#*=}"; done
	@set -e; for unit in $(UNITS); do to="$(DESTDIR)$(UNITDIR)/$$unit"; \
	    sed -e 's,/usr/sbin/stekctl,$(SBINDIR)/stekctl,' -e 's,^Group=www-data,Group=$(WEBGROUP),' \
	    -e 's,=/run/apache2/stek_rotate,=/run/$(RUNTIME)/stek_rotate,' \
	        "build/systemd/$$unit" >"$$to"; chmod 644 "$$to"; done
	sed -e 's,/apache2/,/$(RUNTIME)/,;s,-apache2-,-$(RUNTIME)-,' -e 's/gid=www-data/gid=$(WEBGROUP)/' \
	    build/systemd/run-apache2-stek_rotate.mount >$(DESTDIR)$(UNITDIR)/$(MOUNT)
	chmod 644 $(DESTDIR)$(UNITDIR)/$(MOUNT)
	install -D -m 644 build/systemd/stek.sysusers $(DESTDIR)$(SYSUSERSDIR)/stek.conf
ifeq ($(DESTDIR),)
	@if command -v a2enmod >/dev/null; then a2enmod -q stek_rotate; \
	    a2query -q -m ssl || echo "Enabled, but httpd loads it only once mod_ssl is enabled: a2enmod ssl"; \
	    echo "Check and reload httpd: apachectl configtest && apachectl graceful"; \
	elif [ $(PROGNAME) = apache2 ]; then \
	    echo "Installed, but Debian's httpd is not: apt-get install apache2 && a2enmod ssl stek_rotate"; \
	else echo "Installed. Where httpd does not include it, add: Include $(CONF_LOAD)"; fi
endif

# HTML, Markdown and what the guides use; needs what "make html" needs.
install-doc:
	install -d '$(DESTDIR)$(DOCDIR)'
	$(PYTHON) build/make_html.py --install '$(DESTDIR)$(DOCDIR)'

uninstall:
ifeq ($(DESTDIR),)
	@if command -v a2dismod >/dev/null; then a2dismod -q -f -p stek_rotate || true; fi
	@if [ -L $(subst conf-available,conf-enabled,$(CONF_STATUS)) ]; then a2disconf -q -p stek-status || true; fi
endif
	@for pair in $(SETTINGS); do to=$(DESTDIR)$${pair#*=}; \
	    if cmp -s "$${pair%%=*}" "$$to"; then rm -f "$$to"; \
	    elif [ -e "$$to" ]; then echo "Left, as it was edited: $$to"; fi; done
	rm -f $(DESTDIR)$(LIBEXECDIR)/mod_stek_rotate.so $(DESTDIR)$(CONF_LOAD) \
	    $(DESTDIR)$(SBINDIR)/stekctl $(MAN8:docs/%=$(DESTDIR)$(MANDIR)/man8/%) \
	    $(MAN5:docs/%=$(DESTDIR)$(MANDIR)/man5/%) \
	    $(foreach pair,$(COMPLETIONS),'$(DESTDIR)$(lastword $(subst =, ,$(pair)))') \
	    $(UNITS:%='$(DESTDIR)$(UNITDIR)/%') '$(DESTDIR)$(UNITDIR)/$(MOUNT)' \
	    $(DESTDIR)$(SYSUSERSDIR)/stek.conf
	@! [ -d '$(DESTDIR)$(DOCDIR)' ] || $(PYTHON) build/make_html.py --uninstall '$(DESTDIR)$(DOCDIR)'
