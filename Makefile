# SPDX-License-Identifier: Apache-2.0
#
# mod_stek_rotate and stekctl, over apxs.  "make help" lists the targets.  Here is how the product is made;
# what installs, tests, measures, judges and packs it is in build/*.mk.
#
# Leaves .libs/mod_stek_rotate.so and stekctl/stekctl; all else goes to $(OUT).  A variant (sanitizers)
# is the same Makefile with another OUT, CC and SAN.  Without make:
#   apxs -c -i -a -Iinclude mod_stek_rotate.c src/*.c -lssl -lcrypto

SHELL   := /bin/bash
OUT     ?= out
# Debian's interpreter: it is the one that sees Debian's python3-* packages.
PYTHON  ?= /usr/bin/python3
APXS    ?= apxs
CLANG   ?= clang
JOBS    ?= 2
WERROR  ?=
SAN     ?=
APXS_LINK ?=
ARGS    ?=
V       ?=

.DEFAULT_GOAL := all
VERSION := $(shell sed -n 's/^.define STEK_VERSION "\(.*\)"/\1/p' include/stek_version.h)

include build/config.mk

comma    := ,
WARN     := -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wvla $(if $(WERROR),-Werror)
DEFS     := -D_GNU_SOURCE -D_REENTRANT
CORE_INC := -Iinclude $(APR_INC)
ALL_INC  := -Iinclude $(HTTPD_INC) $(APR_INC)
LIBS     := $(APR_LIBS) -lssl -lcrypto -lpthread

MOD_SRC     := $(wildcard mod_stek_rotate.c src/*.c)
CORE_SRC    := $(wildcard src/stek_*.c)
GLUE_SRC    := $(wildcard mod_stek_rotate.c src/mod_stek_*.c)
STEKCTL_SRC := $(wildcard stekctl/*.c stekctl/*/*.c)
# Only these know of the libraries that stekctl may lack; no header does.
STORE_SRC   := $(shell grep -lE 'STEK_WITH_|hiredis|libmemcached' $(STEKCTL_SRC) test/bench/*.c test/fuzz/*.c)

MOD_LO    := $(MOD_SRC:%.c=$(OUT)/mod/%.lo)
CORE_O    := $(CORE_SRC:%.c=$(OUT)/obj/%.o)
STEKCTL_O := $(STEKCTL_SRC:%.c=$(OUT)/obj/%.o)

# The plain build leaves the module where apxs would; variants leave it in their own directory.
ifeq ($(OUT),out)
MODULE_LA := mod_stek_rotate.la
MODULE_SO := .libs/mod_stek_rotate.so
STEKCTL   := stekctl/stekctl
else
MODULE_LA := $(OUT)/mod_stek_rotate.la
MODULE_SO := $(OUT)/.libs/mod_stek_rotate.so
STEKCTL   := $(OUT)/stekctl
endif

ifeq ($(V),)
SAY = @echo "  $(1) $(2)";
Q   = @
QLT = --silent
else
SAY =
Q   =
QLT =
endif

.PHONY: all help module stekctl run deps install uninstall clean dist html install-doc contacts release first-five \
        deb rpm rpm-source packages check-deb check-fresh check-suites \
        check unit unit-build integration asan tsan valgrind compilers compilers-short fips openssl check-httpd \
        fault fault-unit fault-guard \
        fuzz fuzz-replay fuzz-coverage soak soak-fleet fleet-twenty soak-httpd soak-probe \
        probe-score probe-scale soak-shared \
        differential ticket-values values simulate simulate-short simulate-mutants \
        bench bench-build bench-fleet \
        format lint lint-format lint-style lint-c lint-sh lint-py man-lint exports layers bare version
.DELETE_ON_ERROR:

all: module $(if $(wildcard stekctl/main.c),stekctl)
module: $(MODULE_SO)
stekctl: $(STEKCTL)

help:
	@cat build/help.txt

# ---- module -------------------------------------------------------------------------------------

# libtool and apxs's own flags, so that these objects are those that the bare apxs line makes.
$(OUT)/mod/%.lo: %.c Makefile $(call config,compile module)
	$(need-apxs)@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(LIBTOOL) $(QLT) --mode=compile --tag=disable-static $(CC) -prefer-pic \
	    $(APXS_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(WARN) $(SAN) $(ALL_INC) -MMD -MP -MF $(@:.lo=.d) -MT $@ -c -o $@ $<

$(MODULE_SO): $(MOD_LO) $(call config,link) | $(call config,options)
	$(need-apxs)$(if $(MOD_LO),,$(error no sources of the module))
	$(call SAY,LINK,$@)$(APXS) $(APXS_LINK) -c -o $(MODULE_LA) $(patsubst %,-Wl$(comma)%,$(SAN) $(LDFLAGS)) \
	    $(MOD_LO) -lssl -lcrypto \
	    $(if $(V),,>$(OUT)/link.log 2>&1 || { cat $(OUT)/link.log; exit 1; })
	@test -f $@ && touch $@

# ---- core, stekctl ------------------------------------------------------------------------------

# What a source may include: the core and stekctl know nothing of httpd.
INC_src     = $(if $(filter src/stek_%,$<),$(CORE_INC),$(ALL_INC))
INC_stekctl = $(CORE_INC) -Istekctl
INC_test    = $(TEST_CFLAGS) $(ALL_INC) -Isrc -Istekctl -I$(dir $<)
OBJECTS     = $(filter %.o %.a,$^)

$(OUT)/obj/%.o: %.c Makefile $(call config,compile)
	@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) $(DEFS) $(SAN) -MMD -MP -MF $(@:.o=.d) -MT $@ -c -o $@ $< \
	    $(INC_$(firstword $(subst /, ,$<))) $(if $(filter $<,$(STORE_SRC)),$(STEKCTL_DEFS))

$(STORE_SRC:%.c=$(OUT)/obj/%.o): $(call config,stores)

$(OUT)/libstek.a: $(CORE_O) $(call config,link)
	$(call SAY,AR  ,$@)rm -f $@ && $(AR) rcs $@ $(OBJECTS)

$(STEKCTL): $(STEKCTL_O) $(OUT)/libstek.a $(call config,link stekctl) | $(call config,options)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(STEKCTL_LDFLAGS) -o $@ $(OBJECTS) $(STEKCTL_LIBS) $(LIBS)
	$(if $(strip $(LEFT_OUT)),@printf '  NOTE left out of stekctl: %s\n' $(LEFT_OUT))

clean:
	rm -rf out bench/out .libs src/.libs stekctl/stekctl mod_stek_rotate.la .pytest_cache mod_stek_rotate-*.tar.gz
	rm -f *.o *.lo *.slo *.la src/*.o src/*.lo src/*.slo src/*.la
	find build test -name __pycache__ -type d -exec rm -rf {} +

# See it work.
run:
	@build/deps.sh run
	@mkdir -p $(OUT)
	@$(MAKE) --no-print-directory -j$(JOBS) all >$(OUT)/run-build.log 2>&1 \
	    || { tail -n 20 $(OUT)/run-build.log; exit 1; }
	@$(PYTHON) build/demo.py $(ARGS)

# ---- the rest -----------------------------------------------------------------------------------

-include $(MOD_LO:.lo=.d) $(wildcard $(OUT)/obj/*/*.d $(OUT)/obj/*/*/*.d)
.SECONDEXPANSION:
include $(addprefix build/,install.mk test.mk variants.mk faults.mk bench.mk lint.mk packages.mk)
