# SPDX-License-Identifier: Apache-2.0
#
# What is judged without being run.

# The scripts of the Debian packages.
MAINTAINER_SH := $(wildcard debian/*.postinst debian/*.prerm debian/*.postrm) debian/tests/smoke
ALL_C  := $(MOD_SRC) $(STEKCTL_SRC) $(UNIT_SRC) $(SOAK_SRC) $(UNIT_LIB) $(FUZZ_SRC) $(FUZZ_LIB) \
          $(BENCH_SRC) $(SIM_SRC) $(wildcard test/fault/*.c) $(addprefix test/integration/,sins.c bends.c frames.c) \
          test/integration/leak_roots.c test/integration/mod_follower.c test/integration/far.c
ALL_H  := $(wildcard include/*.h src/*.h stekctl/*.h stekctl/*/*.h test/*/*.h)
ALL_SH := $(wildcard build/*.sh conf/container/*.sh test/*/*.sh .ci/run) $(MAINTAINER_SH)
ALL_PY := $(wildcard build/*.py test/*/*.py)

LINT := $(OUT)/lint
LINT_C = $(ALL_C:%.c=$(LINT)/%.gcc) $(ALL_C:%.c=$(LINT)/%.clang) \
         $(patsubst %.h,$(LINT)/%.hdr,$(filter-out test/%,$(ALL_H)))
TIDY_C = $(patsubst %.c,$(LINT)/%.tidy,$(MOD_SRC) $(STEKCTL_SRC))
LINT_FLAGS = $(WARN) -Werror $(DEFS) $(ALL_INC) -Isrc -Istekctl -I$(dir $<) $(STEKCTL_DEFS)

lint: lint-format lint-style lint-sh lint-py lint-c layers man-lint version
lint-c: $(LINT_C) $(TIDY_C) $(LINT)/cppcheck

lint-format: $(ALL_C) $(ALL_H)
	$(call SAY,LINT,clang-format)build/check_format.sh $^

$(LINT)/%.gcc: %.c $(ALL_H) Makefile build/lint.mk
	@mkdir -p $(@D)
	$(call SAY,LINT,$< gcc)gcc -O2 $(LINT_FLAGS) -c -o /dev/null $< && touch $@

$(LINT)/%.clang: %.c $(ALL_H) Makefile build/lint.mk
	@mkdir -p $(@D)
	$(call SAY,LINT,$< clang)$(CLANG) $(LINT_FLAGS) -fsyntax-only $< && touch $@

# Each header compiles by itself.
$(LINT)/%.hdr: %.h $(ALL_H) Makefile build/lint.mk
	@mkdir -p $(@D)
	$(call SAY,LINT,$<)gcc -fsyntax-only $(filter-out -Wmissing-prototypes,$(LINT_FLAGS)) \
	    -include $< -x c /dev/null && touch $@

$(LINT)/%.tidy: %.c $(ALL_H) .clang-tidy Makefile build/lint.mk
	@mkdir -p $(@D)
	$(call SAY,TIDY,$<)clang-tidy --quiet $< -- $(LINT_FLAGS) >$@.log 2>&1 && touch $@ \
	    || { cat $@.log; exit 1; }

$(LINT)/cppcheck: $(MOD_SRC) $(STEKCTL_SRC) $(ALL_H) Makefile build/lint.mk
	@mkdir -p $(LINT)/cppcheck.d
	$(call SAY,LINT,cppcheck)cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr \
	    --enable=warning,performance,portability --suppress=missingIncludeSystem \
	    --library=posix --suppress=invalidFunctionArg:src/stek_mem.c \
	    --suppress=getcontextCalled --suppress=makecontextCalled --suppress=swapcontextCalled \
    --suppress=readdirCalled --suppress=getpwnamCalled --suppress=getpwuidCalled --suppress=getgrnamCalled \
	    --cppcheck-build-dir=$(LINT)/cppcheck.d -j $(JOBS) \
	    -D_GNU_SOURCE -Iinclude -Isrc -Istekctl $(filter %.c,$^) && touch $@

lint-style: $(ALL_C) $(ALL_PY)
	$(call SAY,LINT,style)build/check_style.sh $^

lint-sh: $(ALL_SH)
	$(call SAY,LINT,shellcheck)shellcheck $^

lint-py: $(ALL_PY)
	$(call SAY,LINT,pyflakes)$(PYTHON) -m pyflakes $^

# All remarks, but not those on the customs of the BSDs' own pages.  Pages that refer to each other are found.
man-lint:
	@mkdir -p $(OUT)/man/man5 $(OUT)/man/man8
	@cp $(wildcard docs/*.5) $(OUT)/man/man5; cp $(wildcard docs/*.8) $(OUT)/man/man8
	@PATH=$$PATH:/usr/sbin makewhatis $(OUT)/man
	$(call SAY,LINT,man pages)MANPATH=$(CURDIR)/$(OUT)/man:/usr/share/man mandoc -T lint -W style $(wildcard docs/*.[58])
	@# What man(1) would print around the page, in a terminal of 80 columns.
	@if command -v groff >/dev/null; then for page in $(wildcard docs/*.[58]); do \
	    said=$$(groff -mdoc -Tutf8 -rLL=78n $$page 2>&1 >/dev/null); \
	    [ -z "$$said" ] || { echo "$$said"; exit 1; }; done; fi

format:
	clang-format -i $(ALL_C) $(ALL_H)

layers:
	$(call SAY,TEST,layers)build/check_layers.sh

exports: module
	$(call SAY,TEST,exports)build/check_exports.sh $(MODULE_SO)

bare:
	$(call SAY,TEST,bare apxs line)build/check_bare.sh

