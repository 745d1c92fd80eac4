# SPDX-License-Identifier: Apache-2.0
#
# What is configured: httpd by its apxs, APR, stekctl's libraries; and files in $(OUT)/config that remember it.

# Which of these exist is looked up once; deps.sh may install them after make has started, so every
# target that needs packages starts a second make (see "check" and "run").
HAVE_APXS   := $(shell command -v $(APXS))
ifneq ($(HAVE_APXS),)
APXS_CC     := $(shell $(APXS) -q CC)
LIBEXECDIR  := $(shell $(APXS) -q LIBEXECDIR)
SYSCONFDIR  := $(shell $(APXS) -q SYSCONFDIR)
PROGNAME    := $(shell $(APXS) -q PROGNAME)
APXS_CFLAGS := $(shell $(APXS) -q CFLAGS) $(shell $(APXS) -q EXTRA_CPPFLAGS) \
               $(shell $(APXS) -q EXTRA_CFLAGS)
APR_CONFIG  := $(shell $(APXS) -q APR_CONFIG)
APU_CONFIG  := $(shell $(APXS) -q APU_CONFIG)
APR_INC     := $(patsubst -I%,-isystem %,$(shell $(APR_CONFIG) --includes) \
               $(if $(APU_CONFIG),$(shell $(APU_CONFIG) --includes)))
HTTPD_INC   := -isystem $(shell $(APXS) -q INCLUDEDIR)
APR_LIBS    := $(shell $(APR_CONFIG) --link-ld --libs)
endif

need-apxs = $(if $(HAVE_APXS),,$(error no apxs: run build/deps.sh run))

# "make install" alone installs what was built: with the options of that build, where none are given.
OPTIONS   := APXS CC AR CPPFLAGS CFLAGS LDFLAGS APXS_LINK STEKCTL_LDFLAGS SAN \
             WITH_MEMCACHED WITH_HIREDIS WITH_ETCD WITH_SECCOMP WITH_LIBEVENT
ifeq ($(MAKECMDGOALS),install)
$(eval $(file <$(OUT)/config/options))
endif

ifeq ($(origin CC),default)
CC := $(or $(APXS_CC),cc)
endif
CFLAGS  ?= -g -O2 -fstack-protector-strong -Wformat -Werror=format-security

# stekctl's stores, each optional: WITH_MEMCACHED=no, WITH_HIREDIS=no or WITH_ETCD=no leaves one out.
WITH_MEMCACHED ?= $(shell pkg-config --exists libmemcached 2>/dev/null && echo yes)
WITH_HIREDIS   ?= $(shell pkg-config --exists hiredis 2>/dev/null && echo yes)
# libcurl takes certificates from memory since 7.77.
WITH_ETCD      ?= $(shell pkg-config --exists 'libcurl >= 7.77' jansson 2>/dev/null && echo yes)
ifeq ($(WITH_MEMCACHED),yes)
STEKCTL_DEFS += -DSTEK_WITH_MEMCACHED $(shell pkg-config --cflags libmemcached)
STEKCTL_LIBS += $(shell pkg-config --libs libmemcached)
endif
ifeq ($(WITH_HIREDIS),yes)
STEKCTL_DEFS += -DSTEK_WITH_HIREDIS $(patsubst -I%,-isystem %,$(shell pkg-config --cflags hiredis))
STEKCTL_LIBS += $(shell pkg-config --libs hiredis)
endif
ifeq ($(WITH_ETCD),yes)
STEKCTL_DEFS += -DSTEK_WITH_ETCD $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libcurl jansson))
# libcurl itself is loaded by the processes that need it.
STEKCTL_LIBS += $(shell pkg-config --libs jansson) -ldl
endif
# What confines the processes that talk to them: WITH_SECCOMP=no leaves it out.
WITH_SECCOMP   ?= $(shell pkg-config --exists libseccomp 2>/dev/null && echo yes)
ifeq ($(WITH_SECCOMP),yes)
STEKCTL_DEFS += -DSTEK_WITH_SECCOMP $(shell pkg-config --cflags libseccomp)
STEKCTL_LIBS += $(shell pkg-config --libs libseccomp)
endif
# The probe of many hosts at a time: WITH_LIBEVENT=no leaves it out.
WITH_LIBEVENT  ?= $(shell pkg-config --exists libevent_core libevent_extra 2>/dev/null && echo yes)
ifeq ($(WITH_LIBEVENT),yes)
STEKCTL_DEFS += -DSTEK_WITH_LIBEVENT $(shell pkg-config --cflags libevent_core)
STEKCTL_LIBS += $(shell pkg-config --libs libevent_core libevent_extra)
endif

# What is left out, for whoever builds.
LEFT_OUT := $(if $(filter yes,$(WITH_MEMCACHED)),,"memcached (needs libmemcached)") \
            $(if $(filter yes,$(WITH_HIREDIS)),,"Redis (needs hiredis)") \
            $(if $(filter yes,$(WITH_ETCD)),,"etcd (needs libcurl 7.77 or later and jansson)") \
            $(if $(filter yes,$(WITH_SECCOMP)),,"confinement of stores' processes (needs libseccomp)") \
            $(if $(filter yes,$(WITH_LIBEVENT)),,"probes of many hosts at a time (needs libevent)")

# ---- what a build was made with ------------------------------------------------------------------

# A build follows its options: each file in $(OUT)/config holds some of them, is written only when they have
# changed, and what is made with these options depends on it.  -Werror changes nothing that is made.
VERSIONS       = $(shell $(CC) $(CPPFLAGS) $(CFLAGS) $(SAN) $(ALL_INC) -E -P build/versions.h 2>&1 | tail -n 1)
CONFIG_compile = $(VERSIONS) $(CC) $(CPPFLAGS) $(CFLAGS) $(filter-out -Werror,$(WARN)) $(DEFS) $(SAN) $(ALL_INC)
CONFIG_module  = $(APXS_CFLAGS)
CONFIG_stores  = $(STEKCTL_DEFS) $(if $(STEKCTL_DEFS),$(shell pkg-config --modversion libmemcached hiredis libcurl jansson libseccomp libevent_core 2>&1))
CONFIG_test    = $(TEST_CFLAGS)
CONFIG_link    = $(AR) $(LDFLAGS) $(APXS_LINK) $(LIBS)
CONFIG_stekctl = $(STEKCTL_LDFLAGS) $(STEKCTL_LIBS)
config         = $(1:%=$(OUT)/config/%)
remember       = printf '%s\n' $(1) | cmp -s - $@ || printf '%s\n' $(1) >$@
quote          = '$(subst ','\'',$(1))'
hash          := \#

.PHONY: FORCE
$(call config,compile module stores test link stekctl): $(OUT)/config/%: FORCE
	@mkdir -p $(@D); $(call remember,$(call quote,$(CONFIG_$*)))

# As lines of a makefile, for "make install".
$(OUT)/config/options: FORCE
	@mkdir -p $(@D); $(call remember,$(foreach v,$(OPTIONS),$(call quote,$(v) := $(subst \
	    $(hash),\$(hash),$(subst $$,$$$$,$($(v)))))))
