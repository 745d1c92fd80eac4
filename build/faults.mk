# SPDX-License-Identifier: Apache-2.0
#
# Calls that can fail do, one after the other, in each way.

FAULT_SRC := $(wildcard test/fault/fault_*.c)
FAULT_BIN := $(FAULT_SRC:test/fault/%.c=$(OUT)/fault/%)
-include test/fault/links.mk

# FAULT_STEP=n: only each n-th call.
FAULT_STEP ?= 1

$(FAULT_BIN): $(OUT)/fault/%: $(OUT)/obj/test/fault/%.o \
        $$(addprefix $(OUT)/obj/,$$(FAULT_GLUE_$$*:.c=.o)) $(OUT)/libstek.a $(call config,link)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(call wrap,$(FAULT_CALLS) $(FAULT_WRAP_$*)) \
	    -o $@ $(OBJECTS) -lcmocka $(LIBS)

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

