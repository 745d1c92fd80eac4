# SPDX-License-Identifier: Apache-2.0
#
# The same sources under sanitizers, in fuzzers, by other compilers and over other libraries.  A variant is
# this Makefile again with another OUT, CC and SAN.

# ---- sanitizers ---------------------------------------------------------------------------------

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

$(LEAK_ROOTS).o: test/integration/leak_roots.c build/variants.mk
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

# Over another httpd, built from HTTPD_SRC, and over the OpenSSL of OPENSSL_SRC, if that is given.
HTTPD_SRC ?=
check-httpd:
	@build/deps.sh check-httpd
	@MAKE="$(MAKE)" PYTHON="$(PYTHON)" JOBS="$(JOBS)" \
	    build/httpd.sh '$(HTTPD_SRC)' out/httpd '$(OPENSSL_SRC)' out/openssl $(PYTEST)

# ---- fuzzing ------------------------------------------------------------------------------------

FUZZ_SRC := $(wildcard test/fuzz/fuzz_*.c)
FUZZ_LIB := $(filter-out $(FUZZ_SRC),$(wildcard test/fuzz/*.c))
FUZZ_BIN := $(FUZZ_SRC:test/fuzz/%.c=$(OUT)/fuzz/%)
-include test/fuzz/links.mk

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

$(OUT)/libstekctl.a: $(filter-out %/main.o,$(STEKCTL_O)) $(call config,link)
	$(call SAY,AR  ,$@)rm -f $@ && $(AR) rcs $@ $(OBJECTS)

$(FUZZ_BIN): $(OUT)/fuzz/%: $(OUT)/obj/test/fuzz/%.o $(OUT)/obj/test/fuzz/plain_mem.o \
        $$(addprefix $(OUT)/obj/,$$(FUZZ_GLUE_$$*:.c=.o)) $(OUT)/libstekctl.a $(OUT)/libstek.a \
        $(call config,link stekctl)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) -fsanitize=fuzzer $(LDFLAGS) \
	    $(call wrap,$(FUZZ_WRAP) $(FUZZ_WRAP_$*)) -o $@ $(OBJECTS) $(STEKCTL_LIBS) $(LIBS)

