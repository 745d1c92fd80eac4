# SPDX-License-Identifier: Apache-2.0
#
# mod_stek_rotate and stekctl, over apxs.  "make help" lists the targets.
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

VERSION := $(shell sed -n 's/^.define STEK_VERSION "\(.*\)"/\1/p' include/stek_version.h)

# Which of these exist is looked up once; deps.sh may install them after make has started, so every
# target that needs packages starts a second make (see "check" and "run").
HAVE_APXS   := $(shell command -v $(APXS))
ifneq ($(HAVE_APXS),)
APXS_CC     := $(shell $(APXS) -q CC)
LIBTOOL     := $(shell $(APXS) -q LIBTOOL)
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

ifeq ($(origin CC),default)
CC := $(or $(APXS_CC),cc)
endif
CFLAGS  ?= -g -O2 -fstack-protector-strong -Wformat -Werror=format-security
PREFIX  ?= /usr
SBINDIR ?= $(PREFIX)/sbin
MANDIR  ?= $(PREFIX)/share/man
DATADIR ?= $(PREFIX)/share
UNITDIR ?= /lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d

comma    := ,
WARN     := -std=c11 -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wvla $(if $(WERROR),-Werror)
DEFS     := -D_GNU_SOURCE -D_REENTRANT
CORE_INC := -Iinclude $(APR_INC)
ALL_INC  := -Iinclude $(HTTPD_INC) $(APR_INC)
CRYPTO   := -lcrypto
LIBS     := $(APR_LIBS) -lssl -lcrypto -lpthread

MOD_SRC     := $(wildcard mod_stek_rotate.c src/*.c)
CORE_SRC    := $(wildcard src/stek_*.c)
GLUE_SRC    := $(wildcard mod_stek_rotate.c src/mod_stek_*.c)
STEKCTL_SRC := $(wildcard stekctl/*.c)
UNIT_SRC    := $(wildcard test/unit/test_*.c)
SOAK_SRC    := $(wildcard test/unit/soak_*.c)
FUZZ_SRC    := $(wildcard test/fuzz/fuzz_*.c)
FUZZ_LIB    := $(filter-out $(FUZZ_SRC),$(wildcard test/fuzz/*.c))
BENCH_SRC   := $(wildcard test/bench/*.c)
# What test programs share: any other source beside them.
FAULT_SRC   := $(wildcard test/fault/fault_*.c)
UNIT_LIB    := $(filter-out $(UNIT_SRC) $(SOAK_SRC),$(wildcard test/unit/*.c))
# The scripts of the Debian packages.
MAINTAINER_SH := $(wildcard debian/*.postinst debian/*.prerm debian/*.postrm) debian/tests/smoke
ALL_C       := $(MOD_SRC) $(STEKCTL_SRC) $(UNIT_SRC) $(SOAK_SRC) $(UNIT_LIB) $(FUZZ_SRC) $(FUZZ_LIB) \
               $(BENCH_SRC) $(wildcard test/fault/*.c) test/integration/sins.c \
               test/integration/leak_roots.c
ALL_H       := $(wildcard include/*.h src/*.h stekctl/*.h test/*/*.h)
ALL_SH      := $(wildcard build/*.sh test/*/*.sh .ci/run) $(MAINTAINER_SH)
ALL_PY      := $(wildcard build/*.py test/*/*.py)

# Sources of the module that one test program links besides the core, and its own linker flags.
#   UNIT_GLUE_test_x := src/mod_stek_x.c        UNIT_LDFLAGS_test_x := -Wl,--wrap=read
-include test/unit/links.mk
-include test/fuzz/links.mk
-include test/fault/links.mk

MOD_LO    := $(MOD_SRC:%.c=$(OUT)/mod/%.lo)
CORE_O    := $(CORE_SRC:%.c=$(OUT)/obj/%.o)
STEKCTL_O := $(STEKCTL_SRC:%.c=$(OUT)/obj/%.o)
UNIT_BIN  := $(UNIT_SRC:test/unit/%.c=$(OUT)/unit/%)
SOAK_BIN  := $(SOAK_SRC:test/unit/%.c=$(OUT)/unit/%)
FAULT_BIN := $(FAULT_SRC:test/fault/%.c=$(OUT)/fault/%)
FUZZ_BIN  := $(FUZZ_SRC:test/fuzz/%.c=$(OUT)/fuzz/%)

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

# stekctl's stores, each optional: WITH_MEMCACHED=no or WITH_HIREDIS=no leaves one out.
WITH_MEMCACHED ?= $(shell pkg-config --exists libmemcached 2>/dev/null && echo yes)
WITH_HIREDIS   ?= $(shell pkg-config --exists hiredis 2>/dev/null && echo yes)
ifeq ($(WITH_MEMCACHED),yes)
STEKCTL_DEFS += -DSTEK_WITH_MEMCACHED $(shell pkg-config --cflags libmemcached)
STEKCTL_LIBS += $(shell pkg-config --libs libmemcached)
endif
ifeq ($(WITH_HIREDIS),yes)
STEKCTL_DEFS += -DSTEK_WITH_HIREDIS $(patsubst -I%,-isystem %,$(shell pkg-config --cflags hiredis))
STEKCTL_LIBS += $(shell pkg-config --libs hiredis)
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

.PHONY: all help module stekctl run deps install uninstall clean dist html first-five \
        deb rpm rpm-source packages check-deb \
        check unit unit-build integration asan tsan valgrind compilers compilers-short fips openssl \
        fault fault-unit fault-guard \
        fuzz fuzz-replay fuzz-coverage soak soak-fleet soak-httpd soak-probe \
        bench bench-build bench-fleet \
        format lint lint-format lint-c lint-sh lint-py man-lint exports layers bare version
.DELETE_ON_ERROR:

all: module $(if $(wildcard stekctl/main.c),stekctl)
module: $(MODULE_SO)
stekctl: $(STEKCTL)

help:
	@echo "make               .libs/mod_stek_rotate.so and stekctl/stekctl"
	@echo "make run           see it work: private httpd, rotation, resumption (ARGS=--once)"
	@echo "make check         everything that proves it; installs missing Debian packages"
	@echo "make unit          unit tests          make integration  real httpd (PYTEST='-k x')"
	@echo "make soak          long runs"
	@echo "make bench         beside its peers: BENCH='callback handshakes rotation day scale', QUICK=1"
	@echo "make soak-fleet    fleets, full length make bench-fleet  1,000 hosts, one store"
	@echo "make soak-httpd    an accelerated month of one server: SOAK_TIME seconds (1200)"
	@echo "make soak-probe    stekctl probe against good servers, 20 runs of each"
	@echo "make asan          unit tests and integration under ASan, UBSan and LSan"
	@echo "make tsan          thread tests, and the module in httpd, under TSan"
	@echo "make valgrind      stekctl and one httpd under memcheck"
	@echo "make compilers     gcc and clang, -O0 to -O3 and LTO, with the unit tests of each"
	@echo "make fips          tests with the FIPS provider of OPENSSL_SRC, a tree of sources"
	@echo "make openssl       build and tests over the OpenSSL of OPENSSL_SRC"
	@echo "make html          the documentation, with man pages, in out/html"
	@echo "make first-five    the quick start, by the letter, in an empty Debian (root, network)"
	@echo "make fuzz          each target for FUZZ_TIME seconds (60); FUZZ='ring secret', FUZZ_FAST=1"
	@echo "make fault         calls that can fail do, each in turn, in programs and in httpd"
	@echo "make fuzz-coverage which lines of the parsers the corpora reach"
	@echo "make lint          format, warnings as errors (gcc, clang), clang-tidy, cppcheck,"
	@echo "                   shellcheck, pyflakes     make format  apply the format"
	@echo "make install       module, configuration, stekctl, man pages (DESTDIR, PREFIX)"
	@echo "make uninstall     and away again      make clean"
	@echo "make dist          reproducible source tarball"
	@echo "make deb, rpm      packages, in out/deb and out/rpm"
	@echo "make check-deb     installs, upgrades, removes them in a Debian of its own (network)"
	@echo "V=1 shows the commands; WERROR=1 makes warnings errors; JOBS=2 sets parallel runs."

# ---- module -------------------------------------------------------------------------------------

need-apxs = $(if $(HAVE_APXS),,$(error no apxs: run build/deps.sh run))

# libtool and apxs's own flags, so that these objects are those that the bare apxs line makes.
$(OUT)/mod/%.lo: %.c Makefile
	$(need-apxs)@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(LIBTOOL) $(QLT) --mode=compile --tag=disable-static $(CC) -prefer-pic \
	    $(APXS_CFLAGS) $(CPPFLAGS) $(CFLAGS) $(WARN) $(SAN) $(ALL_INC) -MMD -MP -MF $(@:.lo=.d) -MT $@ -c -o $@ $<

$(MODULE_SO): $(MOD_LO)
	$(need-apxs)$(if $(MOD_LO),,$(error no sources of the module))
	$(call SAY,LINK,$@)$(APXS) $(APXS_LINK) -c -o $(MODULE_LA) $(patsubst %,-Wl$(comma)%,$(SAN) $(LDFLAGS)) \
	    $(MOD_LO) -lssl -lcrypto \
	    $(if $(V),,>$(OUT)/link.log 2>&1 || { cat $(OUT)/link.log; exit 1; })
	@test -f $@ && touch $@

# ---- core, stekctl ------------------------------------------------------------------------------

COMPILE = $(CC) $(CPPFLAGS) $(CFLAGS) $(WARN) $(DEFS) $(SAN) -MMD -MP -MF $(@:.o=.d) -MT $@ -c -o $@ $<

$(OUT)/obj/src/stek_%.o: src/stek_%.c Makefile
	@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(COMPILE) $(CORE_INC)

$(OUT)/obj/src/mod_stek_%.o: src/mod_stek_%.c Makefile
	@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(COMPILE) $(ALL_INC)

$(OUT)/obj/stekctl/%.o: stekctl/%.c Makefile
	@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(COMPILE) $(CORE_INC) -Istekctl $(STEKCTL_DEFS)

$(OUT)/obj/test/%.o: test/%.c Makefile
	@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(COMPILE) $(TEST_CFLAGS) $(ALL_INC) -Isrc -Istekctl -I$(dir $<) $(STEKCTL_DEFS)

$(OUT)/libstek.a: $(CORE_O)
	$(call SAY,AR  ,$@)rm -f $@ && $(AR) rcs $@ $^

$(STEKCTL): $(STEKCTL_O) $(OUT)/libstek.a
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(STEKCTL_LDFLAGS) -o $@ $^ $(STEKCTL_LIBS) $(LIBS)

# ---- unit tests ---------------------------------------------------------------------------------

UNIT_LIB_O := $(UNIT_LIB:%.c=$(OUT)/obj/%.o)

.SECONDEXPANSION:
$(UNIT_BIN) $(SOAK_BIN): $(OUT)/unit/%: $(OUT)/obj/test/unit/%.o $(UNIT_LIB_O) \
        $$(addprefix $(OUT)/obj/,$$(UNIT_GLUE_$$*:.c=.o)) $(OUT)/libstek.a
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(UNIT_LDFLAGS_$*) -o $@ $^ -lcmocka $(LIBS)

unit-build: $(UNIT_BIN) $(SOAK_BIN)

# Full counts: those of the promises (10 million keys, 1,000 kills).
SOAK_AUDIT_N       ?= 10000000
SOAK_WRITER_KILL_N ?= 1000
SOAK_N = $(SOAK_$(shell echo $(patsubst soak_%,%,$(1)) | tr a-z A-Z)_N)
VECTOR_CHECK = $(wildcard test/unit/vector_check.py)

unit: unit-build
	$(if $(UNIT_BIN),,$(error no unit tests))
	$(Q)$(PYTHON) build/run_unit.py -j $(JOBS) --logs $(OUT)/unit-logs $(UNIT_BIN) \
	    $(if $(VECTOR_CHECK),"$(PYTHON) $(VECTOR_CHECK)")

# The servers that "make check" probes three times, twenty times; deep, and normal again and again.
soak-probe: all
	$(Q)PROBE_RUNS=20 $(PYTHON) -m pytest test/integration/test_probe.py $(XDIST) -q \
	    -p no:cacheprovider -k 'good_server or clean_in_normal or by_time'

# An accelerated month (an hour is a second): reloads, revocations, damaged rings, clients that return.
SOAK_TIME ?= 1200
SOAK_MPM  ?= event
soak-httpd: all
	$(Q)STEK_SOAK_S=$(SOAK_TIME) STEK_SOAK_MPM=$(SOAK_MPM) \
	    $(PYTHON) -m pytest test/integration/test_soak.py -q -s -p no:cacheprovider

soak: $(SOAK_BIN)
	$(Q)$(PYTHON) build/run_unit.py -j $(JOBS) --logs $(OUT)/unit-logs \
	    $(foreach s,$(SOAK_BIN),"$(s) $(call SOAK_N,$(notdir $(s)))")

# ---- integration --------------------------------------------------------------------------------

PYTEST ?=
XDIST  := $(shell $(PYTHON) -c 'import xdist' 2>/dev/null && echo '-n $(JOBS) --dist loadgroup')

integration: all bench-build
	$(Q)$(PYTHON) -m pytest test/integration $(XDIST) -q -p no:cacheprovider $(PYTEST)

# ---- everything ---------------------------------------------------------------------------------

deps:
	@build/deps.sh check

check:
	@build/deps.sh check
	@MAKE="$(MAKE)" PYTHON="$(PYTHON)" JOBS="$(JOBS)" build/check.sh

run:
	@build/deps.sh run
	@mkdir -p $(OUT)
	@$(MAKE) --no-print-directory -j$(JOBS) all >$(OUT)/run-build.log 2>&1 \
	    || { tail -n 20 $(OUT)/run-build.log; exit 1; }
	@$(PYTHON) build/demo.py $(ARGS)

# ---- sanitizers, fuzzing ------------------------------------------------------------------------

ASAN_SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
TSAN_SAN := -fsanitize=thread -fno-omit-frame-pointer
# The sanitizers' shadow memory does not fit every layout that a kernel may choose.
NO_ASLR   = setarch $(shell uname -m) -R
TSAN_BIN  = $(patsubst test/unit/%.c,out/tsan/unit/%,$(wildcard test/unit/test_*live*.c \
              test/unit/test_iv.c test/unit/test_*thread*.c test/unit/tsan_*.c))
ASAN_LIB  = $(shell $(CC) -print-file-name=libasan.so):$(shell $(CC) -print-file-name=libubsan.so)
# Which integration tests run under the sanitizers: a pytest expression, empty for all.  Under event
# alone.  Left out besides: limits of memory and of speed, what locks memory (ASan does not) or dumps all
# of it, libraries of the tests' own in ASan's place, httpd as Debian starts it.
ASAN_PYTEST ?= not worker and not prefork and not leave_the_parent and not with_traffic and not demo \
               and not scale and not soak and not bench and not docs_commands \
               and not locked_in_memory and not core_of and not 1000 and not 2000 and not faults
# Before ASan's own library, preloaded and in stekctl: without it, what hangs off a pool counts as lost.
LEAK_ROOTS = $(CURDIR)/out/asan/leak_roots

asan:
	$(MAKE) --no-print-directory OUT=out/asan CFLAGS='-g -O1' SAN='$(ASAN_SAN)' unit
	$(MAKE) --no-print-directory $(LEAK_ROOTS).so $(LEAK_ROOTS).o
	$(MAKE) --no-print-directory OUT=out/asan CFLAGS='-g -O1' SAN='$(ASAN_SAN)' STEKCTL_LDFLAGS=$(LEAK_ROOTS).o all
	STEK_MODULE=$(CURDIR)/out/asan/.libs/mod_stek_rotate.so STEK_STEKCTL=$(CURDIR)/out/asan/stekctl \
	    STEK_HTTPD_PRELOAD='$(LEAK_ROOTS).so:$(ASAN_LIB)' \
	    ASAN_OPTIONS=detect_leaks=1:use_sigaltstack=0:verify_asan_link_order=0 \
	    $(PYTHON) -m pytest test/integration $(XDIST) -q -p no:cacheprovider -o timeout=300 \
	    $(if $(ASAN_PYTEST),-k '$(strip $(ASAN_PYTEST))')

$(LEAK_ROOTS).o: test/integration/leak_roots.c Makefile
	@mkdir -p $(@D)
	$(call SAY,CC  ,$<)$(CC) -g -O1 $(WARN) $(DEFS) -fPIC -c -o $@ $<

$(LEAK_ROOTS).so: $(LEAK_ROOTS).o
	$(call SAY,LINK,$@)$(CC) -shared -o $@ $< -ldl

# The keyring by itself, then the module in httpd: timer, callbacks, handshakes and the end of children.
TSAN_PYTEST ?= event and (new_name or every_child or reaped or restart_and_stop or revoked_epoch)
TSAN_LIB  = $(shell gcc -print-file-name=libtsan.so)

tsan:
	$(if $(TSAN_BIN),,$(error no thread tests: test/unit/test_*live*.c))
	$(MAKE) --no-print-directory OUT=out/tsan CC=$(CLANG) CFLAGS='-g -O1' SAN='$(TSAN_SAN)' $(TSAN_BIN)
	TSAN_OPTIONS=halt_on_error=1 $(NO_ASLR) \
	    $(PYTHON) build/run_unit.py -j $(JOBS) --logs out/tsan/unit-logs $(TSAN_BIN)
	$(MAKE) --no-print-directory OUT=out/tsan-httpd CC=gcc CFLAGS='-g -O1' SAN='$(TSAN_SAN)' module
	STEK_MODULE=$(CURDIR)/out/tsan-httpd/.libs/mod_stek_rotate.so STEK_HTTPD_PRELOAD='$(TSAN_LIB)' \
	    TSAN_OPTIONS=suppressions=$(CURDIR)/test/integration/tsan.supp:report_signal_unsafe=0 $(NO_ASLR) \
	    $(PYTHON) -m pytest test/integration $(XDIST) -q -p no:cacheprovider -o timeout=300 \
	    -k '$(TSAN_PYTEST)'

# stekctl and one httpd -X under memcheck.
valgrind: all
	$(Q)$(PYTHON) -m pytest test/integration/memcheck.py -q -p no:cacheprovider --timeout 900

# Each compiler at each level of optimisation, and with LTO; "short" builds the two that differ most.
compilers:
	@build/deps.sh compilers
	@MAKE="$(MAKE)" PYTHON="$(PYTHON)" JOBS="$(JOBS)" build/compilers.sh full

compilers-short:
	@MAKE="$(MAKE)" JOBS="$(JOBS)" build/compilers.sh short

# Over another OpenSSL, built from OPENSSL_SRC: its FIPS provider, or all of it.
OPENSSL_SRC ?=
fips openssl:
	@MAKE="$(MAKE)" PYTHON="$(PYTHON)" JOBS="$(JOBS)" \
	    build/openssl.sh $(if $(filter fips,$@),fips,newer) '$(OPENSSL_SRC)' out/$@

# FUZZ: which targets, as "ring secret".  FUZZ_FAST=1: without sanitizers, some times as many runs.
FUZZ_TIME ?= 60
FUZZ      ?= $(FUZZ_SRC:test/fuzz/fuzz_%.c=%)
FUZZ_SAN  := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZ_OUT  := out/clang-fuzz
FUZZ_CFLAGS := -g -O1
ifneq ($(FUZZ_FAST),)
FUZZ_SAN  := -fsanitize=fuzzer-no-link
FUZZ_OUT  := out/clang-fuzz-fast
FUZZ_CFLAGS := -g -O2
endif
COVER_SAN := -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping

fuzz fuzz-replay:
	$(if $(FUZZ_SRC),,$(error no fuzz targets: test/fuzz/fuzz_*.c))
	$(MAKE) --no-print-directory OUT=$(FUZZ_OUT) CC=$(CLANG) CFLAGS='$(FUZZ_CFLAGS)' SAN='$(FUZZ_SAN)' \
	    $(FUZZ:%=$(FUZZ_OUT)/fuzz/fuzz_%)
	$(NO_ASLR) build/fuzz.sh $(if $(filter fuzz,$@),$(FUZZ_TIME),replay) \
	    $(FUZZ:%=$(FUZZ_OUT)/fuzz/fuzz_%)

# Lines of the parsers that the corpora reach: those of the repository, and what "make fuzz" has found.
fuzz-coverage:
	$(MAKE) --no-print-directory OUT=out/clang-cover CC=$(CLANG) CFLAGS='-g -O1' SAN='$(COVER_SAN)' \
	    $(FUZZ:%=out/clang-cover/fuzz/fuzz_%)
	build/fuzz.sh coverage $(FUZZ:%=out/clang-cover/fuzz/fuzz_%)

$(OUT)/libstekctl.a: $(filter-out %/main.o $(OUT)/obj/stekctl/cmd_%.o,$(STEKCTL_O))
	$(call SAY,AR  ,$@)rm -f $@ && ar rcs $@ $^

$(FUZZ_BIN): $(OUT)/fuzz/%: $(OUT)/obj/test/fuzz/%.o $(OUT)/obj/test/fuzz/plain_mem.o \
        $$(addprefix $(OUT)/obj/,$$(FUZZ_GLUE_$$*:.c=.o)) $(OUT)/libstekctl.a $(OUT)/libstek.a
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) -fsanitize=fuzzer $(LDFLAGS) \
	    $(call wrap,$(FUZZ_WRAP) $(FUZZ_WRAP_$*)) -o $@ $^ $(STEKCTL_LIBS) $(LIBS)

# ---- faults -------------------------------------------------------------------------------------

# Calls that can fail do, one after the other, in each way.  FAULT_STEP=n: only each n-th call.
FAULT_STEP ?= 1

$(FAULT_BIN): $(OUT)/fault/%: $(OUT)/obj/test/fault/%.o \
        $$(addprefix $(OUT)/obj/,$$(FAULT_GLUE_$$*:.c=.o)) $(OUT)/libstek.a
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(call wrap,$(FAULT_CALLS) $(FAULT_WRAP_$*)) \
	    -o $@ $^ -lcmocka $(LIBS)

# In the programs under ASan; in a running httpd; and that no call of the module is left out.
fault: all fault-unit fault-guard
	$(Q)STEK_FAULTS=all $(PYTHON) -m pytest test/integration/test_faults.py -q -p no:cacheprovider -s

fault-unit:
	$(MAKE) --no-print-directory OUT=out/asan CFLAGS='-g -O1' SAN='$(ASAN_SAN)' \
	    $(FAULT_SRC:test/fault/%.c=out/asan/fault/%)
	$(Q)FAULT_STEP=$(FAULT_STEP) $(NO_ASLR) $(PYTHON) build/run_unit.py -j $(JOBS) \
	    --logs out/asan/fault-logs $(FAULT_SRC:test/fault/%.c=out/asan/fault/%)

fault-guard: module
	$(call SAY,TEST,calls that can fail)$(PYTHON) test/fault/check_calls.py $(MODULE_SO)

$(OUT)/bench/fleet_bench: $(OUT)/obj/test/bench/fleet_bench.o \
        $(addprefix $(OUT)/obj/stekctl/,sync.o store.o store_memcached.o store_redis.o) \
        $(OUT)/libstek.a
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(STEKCTL_LIBS) $(LIBS)

# A fleet of 1,000 hosts in one process, beside a memcached: the numbers of docs/scale.md.
bench-fleet: $(OUT)/bench/fleet_bench
	$(Q)$(PYTHON) test/bench/fleet.py $< $(ARGS)

# The fleet tests in full length: a store is stopped for a minute.
soak-fleet: all
	$(Q)STEK_SOAK=1 $(PYTHON) -m pytest test/integration -q -p no:cacheprovider -k 'fleet or sync'

# Benchmarks in C link the glue that they name, and play httpd's part themselves.
BENCH_GLUE_handshake_cost := src/mod_stek_counters.c src/mod_stek_handshake.c src/mod_stek_live.c \
    src/mod_stek_log.c src/mod_stek_ticket.c
BENCH_GLUE_probe_times := stekctl/probe_client.c
BENCH_GLUE_ticket_cost := $(BENCH_GLUE_handshake_cost)
BENCH_LDFLAGS_ticket_cost := -Wl,--wrap=SSL_CTX_set_tlsext_ticket_key_evp_cb \
    -Wl,--wrap=SSL_CTX_set_session_ticket_cb -Wl,--wrap=SSL_CTX_set_not_resumable_session_callback
BENCH_GLUE_tls_load := test/bench/tls_client.c
BENCH_GLUE_tls_replay := test/bench/tls_client.c
BENCH_BIN := $(filter-out $(OUT)/bench/fleet_bench $(OUT)/bench/tls_client,$(BENCH_SRC:test/bench/%.c=$(OUT)/bench/%))

$(BENCH_BIN): $(OUT)/bench/%: $(OUT)/obj/test/bench/%.o \
        $$(addprefix $(OUT)/obj/,$$(BENCH_GLUE_$$*:.c=.o)) $(OUT)/libstek.a
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(BENCH_LDFLAGS_$*) -o $@ $^ $(LIBS)

bench-build: all $(BENCH_BIN)

# All parts take about 20 minutes.  BENCH="callback day" measures some; QUICK=1 is short and rough.
BENCH ?=
QUICK ?=

bench:
	@build/deps.sh bench
	@$(MAKE) --no-print-directory -j$(JOBS) bench-build
	$(Q)PYTHON="$(PYTHON)" test/bench/run $(if $(QUICK),--quick) $(BENCH) $(ARGS)

# ---- lint ---------------------------------------------------------------------------------------

LINT := $(OUT)/lint
LINT_C = $(ALL_C:%.c=$(LINT)/%.gcc) $(ALL_C:%.c=$(LINT)/%.clang) \
         $(patsubst %.h,$(LINT)/%.hdr,$(filter-out test/%,$(ALL_H)))
TIDY_C = $(patsubst %.c,$(LINT)/%.tidy,$(MOD_SRC) $(STEKCTL_SRC))
LINT_FLAGS = $(WARN) -Werror $(DEFS) $(ALL_INC) -Isrc -Istekctl -I$(dir $<) $(STEKCTL_DEFS)

lint: lint-format lint-sh lint-py lint-c layers man-lint version
lint-c: $(LINT_C) $(TIDY_C) $(LINT)/cppcheck

lint-format: $(ALL_C) $(ALL_H)
	$(call SAY,LINT,clang-format)build/check_format.sh $^

$(LINT)/%.gcc: %.c $(ALL_H) Makefile
	@mkdir -p $(@D)
	$(call SAY,LINT,$< gcc)gcc -O2 $(LINT_FLAGS) -c -o /dev/null $< && touch $@

$(LINT)/%.clang: %.c $(ALL_H) Makefile
	@mkdir -p $(@D)
	$(call SAY,LINT,$< clang)$(CLANG) -O2 $(LINT_FLAGS) -c -o /dev/null $< && touch $@

# Each header compiles by itself.
$(LINT)/%.hdr: %.h $(ALL_H) Makefile
	@mkdir -p $(@D)
	$(call SAY,LINT,$<)gcc -fsyntax-only $(filter-out -Wmissing-prototypes,$(LINT_FLAGS)) \
	    -include $< -x c /dev/null && touch $@

$(LINT)/%.tidy: %.c $(ALL_H) .clang-tidy Makefile
	@mkdir -p $(@D)
	$(call SAY,TIDY,$<)clang-tidy --quiet $< -- $(LINT_FLAGS) >$@.log 2>&1 && touch $@ \
	    || { cat $@.log; exit 1; }

$(LINT)/cppcheck: $(MOD_SRC) $(STEKCTL_SRC) $(ALL_H) Makefile
	@mkdir -p $(LINT)/cppcheck.d
	$(call SAY,LINT,cppcheck)cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
	    --enable=warning,performance,portability --suppress=missingIncludeSystem \
	    --library=posix --suppress=invalidFunctionArg:src/stek_mem.c \
	    --suppress=readdirCalled --suppress=getpwnamCalled --suppress=getgrnamCalled \
	    --cppcheck-build-dir=$(LINT)/cppcheck.d -j $(JOBS) \
	    -D_GNU_SOURCE -Iinclude -Isrc -Istekctl $(filter %.c,$^) && touch $@

lint-sh: $(ALL_SH)
	$(call SAY,LINT,shellcheck)shellcheck $^

lint-py: $(ALL_PY)
	$(call SAY,LINT,pyflakes)$(PYTHON) -m pyflakes $^

man-lint:
	$(if $(wildcard docs/*.[58]),$(call SAY,LINT,man pages)mandoc -T lint -W warning $(wildcard docs/*.[58]))

format:
	clang-format -i $(ALL_C) $(ALL_H)

layers:
	$(call SAY,TEST,layers)build/check_layers.sh

exports: module
	$(call SAY,TEST,exports)build/check_exports.sh $(MODULE_SO)

bare:
	$(call SAY,TEST,bare apxs line)build/check_bare.sh

# ---- install ------------------------------------------------------------------------------------

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
	install -D -m 644 build/stekctl.bash-completion \
	    $(DESTDIR)$(DATADIR)/bash-completion/completions/stekctl
	@set -e; for unit in $(UNITS); do to="$(DESTDIR)$(UNITDIR)/$$unit"; \
	    sed -e 's,/usr/sbin/stekctl,$(SBINDIR)/stekctl,' -e 's,^Group=www-data,Group=$(WEBGROUP),' \
	        "build/systemd/$$unit" >"$$to"; chmod 644 "$$to"; done
	sed -e 's,/apache2/,/$(RUNTIME)/,;s,-apache2-,-$(RUNTIME)-,' -e 's/gid=www-data/gid=$(WEBGROUP)/' build/systemd/run-apache2-stek_rotate.mount \
	    >$(DESTDIR)$(UNITDIR)/$(MOUNT)
	chmod 644 $(DESTDIR)$(UNITDIR)/$(MOUNT)
	install -D -m 644 build/systemd/stek.sysusers $(DESTDIR)$(SYSUSERSDIR)/stek.conf
ifeq ($(DESTDIR),)
	@if command -v a2enmod >/dev/null; then a2enmod -q stek_rotate; \
	    a2query -q -m ssl || echo "Enabled, but not loaded before mod_ssl is: a2enmod ssl"; \
	    echo "Check and reload httpd: apachectl configtest && apachectl graceful"; \
	else echo "Installed. Where httpd does not include it, add: Include $(CONF_LOAD)"; fi
endif

uninstall:
ifeq ($(DESTDIR),)
	@if command -v a2dismod >/dev/null; then a2dismod -q -f stek_rotate || true; fi
endif
	@for pair in $(SETTINGS); do to=$(DESTDIR)$${pair#*=}; \
	    if cmp -s "$${pair%%=*}" "$$to"; then rm -f "$$to"; \
	    elif [ -e "$$to" ]; then echo "Left, as it was edited: $$to"; fi; done
	rm -f $(DESTDIR)$(LIBEXECDIR)/mod_stek_rotate.so $(DESTDIR)$(CONF_LOAD) \
	    $(DESTDIR)$(SBINDIR)/stekctl $(MAN8:docs/%=$(DESTDIR)$(MANDIR)/man8/%) \
	    $(MAN5:docs/%=$(DESTDIR)$(MANDIR)/man5/%) \
	    $(DESTDIR)$(DATADIR)/bash-completion/completions/stekctl \
	    $(UNITS:%='$(DESTDIR)$(UNITDIR)/%') $(DESTDIR)$(UNITDIR)/$(MOUNT) $(DESTDIR)$(SYSUSERSDIR)/stek.conf

# ---- documentation ------------------------------------------------------------------------------

html:
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
	build/deb.sh $(DIST)

rpm:
	build/rpm.sh $(DIST)

rpm-source:
	build/rpm.sh $(DIST) source

# Installs, upgrades, removes and purges the packages in a Debian of its own.
check-deb:
	@build/deps.sh check-deb
	$(MAKE) --no-print-directory deb
	$(PYTHON) test/packaging/check_deb.py $(ARGS)

packages: all
	$(Q)$(PYTHON) -m pytest test/packaging -q -p no:cacheprovider $(PYTEST)

version:
	$(call SAY,LINT,version)build/check_version.sh

clean:
	rm -rf out bench/out .libs src/.libs stekctl/stekctl mod_stek_rotate.la .pytest_cache mod_stek_rotate-*.tar.gz
	rm -f *.o *.lo *.slo *.la src/*.o src/*.lo src/*.slo src/*.la
	find build test -name __pycache__ -type d -exec rm -rf {} +

-include $(MOD_LO:.lo=.d) $(CORE_O:.o=.d) $(STEKCTL_O:.o=.d) $(wildcard $(OUT)/obj/*/*/*.d)
