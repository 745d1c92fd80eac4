# SPDX-License-Identifier: Apache-2.0
#
# Unit tests, integration tests, long runs, and "make check", which has them all.

UNIT_SRC := $(wildcard test/unit/test_*.c)
SOAK_SRC := $(wildcard test/unit/soak_*.c)
# What test programs share: any other source beside them.
UNIT_LIB := $(filter-out $(UNIT_SRC) $(SOAK_SRC),$(wildcard test/unit/*.c))
UNIT_BIN := $(UNIT_SRC:test/unit/%.c=$(OUT)/unit/%)
SOAK_BIN := $(SOAK_SRC:test/unit/%.c=$(OUT)/unit/%)

# Sources of the module that one test program links besides the core, and its own linker flags.
#   UNIT_GLUE_test_x := src/mod_stek_x.c        UNIT_LDFLAGS_test_x := -Wl,--wrap=read
-include test/unit/links.mk

$(UNIT_SRC:%.c=$(OUT)/obj/%.o) $(SOAK_SRC:%.c=$(OUT)/obj/%.o): $(call config,test)

# ---- unit tests ---------------------------------------------------------------------------------

UNIT_LIB_O := $(UNIT_LIB:%.c=$(OUT)/obj/%.o)

$(UNIT_BIN) $(SOAK_BIN): $(OUT)/unit/%: $(OUT)/obj/test/unit/%.o $(UNIT_LIB_O) \
        $$(addprefix $(OUT)/obj/,$$(UNIT_GLUE_$$*:.c=.o)) $(OUT)/libstek.a $(call config,link)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(UNIT_LDFLAGS_$*) -o $@ $(OBJECTS) -lcmocka $(LIBS)

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

# How good the probe is: configurations drawn at random, and real servers, as tables; and runs on good
# servers, in which it must not invent anything.
PROBE_SCORE ?= 100
PROBE_GOOD  ?= 200
probe-score: all
	$(Q)PROBE_SCORE=$(PROBE_SCORE) PROBE_GOOD=$(PROBE_GOOD) $(PYTHON) -m pytest \
	    test/integration/test_probe_score.py -q -s -p no:cacheprovider

# What a scan costs: HOSTS servers near and RTT ms away, among DEAD that are closed or hang up at once.
HOSTS ?= 1000
RTT   ?= 200
DEAD  ?= 0
probe-scale: all
	$(Q)$(PYTHON) test/integration/probe_scale.py --hosts $(HOSTS) --rtt $(RTT) --dead $(DEAD) $(ARGS)

# An accelerated month (an hour is a second): reloads, revocations, damaged rings, clients that return.
SOAK_TIME ?= 1200
SOAK_MPM  ?= event
soak-httpd: all
	$(Q)STEK_SOAK_S=$(SOAK_TIME) STEK_SOAK_MPM=$(SOAK_MPM) \
	    $(PYTHON) -m pytest test/integration/test_soak.py -q -s -p no:cacheprovider

# The fleet tests in full length: a store is stopped for a minute.
soak-fleet: all
	$(Q)STEK_SOAK=1 $(PYTHON) -m pytest test/integration -q -p no:cacheprovider -k 'fleet or sync'

# Twenty hosts over real memcached and Redis, three of them with httpd, under seven attacks; prints figures.
TWENTY_HOSTS ?= 20
fleet-twenty: all
	$(Q)STEK_TWENTY=$(TWENTY_HOSTS) \
	    $(PYTHON) -m pytest test/integration/test_fleet_twenty.py -q -s -p no:cacheprovider

# What a child can write harms nobody; under ASan: STEK_SHARED_ROUNDS=1000 make asan ASAN_PYTEST=scribbles
SHARED_ROUNDS ?= 1000
soak-shared: all
	$(Q)STEK_SHARED_ROUNDS=$(SHARED_ROUNDS) \
	    $(PYTHON) -m pytest test/integration/test_shared_memory.py $(XDIST) -q -p no:cacheprovider

# Resumptions beside full handshakes, over some thousand random configurations, clients and changes.
POLICY_ROUNDS    ?= 40
POLICY_DECISIONS ?= 8000
differential: all
	$(Q)STEK_POLICY_ROUNDS=$(POLICY_ROUNDS) STEK_DECISIONS=$(POLICY_DECISIONS) $(PYTHON) -m pytest -q -s \
	    -p no:cacheprovider test/integration/test_policy_changes.py test/integration/test_client_decisions.py

# StekTickets and StekTicketCount in some hundred random configurations, against a model of the manual.
TICKET_CONFIGS ?= 100
ticket-values: all
	$(Q)STEK_TICKET_CONFIGS=$(TICKET_CONFIGS) $(PYTHON) -m pytest test/integration/test_ticket_values.py \
	    $(XDIST) -q -s -p no:cacheprovider

# The tests of binding, of rotation and of bad rings as they are, on servers that have each value for all
# virtual hosts.  (Under `off` nothing would be left of them; test_tickets_off.py is about it.)
VALUES ?= "StekTickets on" "StekTickets tls1.3" "StekTicketCount 3 resumed=2 max=4" "StekTicketCount 16 resumed=16"
VALUES_TESTS := $(addprefix test/integration/test_,$(addsuffix .py,binding chain client_certs client_decisions \
    client_lookups policy_changes hostile rotation reload))
values: all
	$(Q)failed=0; for value in $(VALUES); do \
	    echo "== $$value"; \
	    STEK_VALUES="$$value" $(PYTHON) -m pytest $(VALUES_TESTS) $(XDIST) -q -rf -p no:cacheprovider $(PYTEST) \
	        || failed=1; \
	done; exit $$failed

soak: $(SOAK_BIN)
	$(Q)$(PYTHON) build/run_unit.py -j $(JOBS) --logs $(OUT)/unit-logs \
	    $(foreach s,$(SOAK_BIN),"$(s) $(call SOAK_N,$(notdir $(s)))")

# ---- simulation ---------------------------------------------------------------------------------

# Production's code over simulated clocks, stores, networks and operators (CONTRIBUTING.md).
SIM_SRC  := $(wildcard test/simulation/*.c)
SIM_O    := $(SIM_SRC:%.c=$(OUT)/obj/%.o)
SIM_WRAP := rename link unlink write open openat close read pread pwrite fstat stat lstat fstatat \
            unlinkat mkdir opendir readdir closedir dirfd flock ftruncate fchmod fchown futimens \
            apr_time_now apr_sleep stek_mem_alloc stek_mem_free \
            stek_rng_system stek_ring_seal stek_ring_unseal stek_ring_file_save_under stek_swappable_file stek_file_check_dirs \
            stek_path_check_written stek_path_check_opened stek_file_fsync_flag \
            stek_file_sweep stek_secret_hkdf stek_secret_set_id stek_ring_merge stek_ring_merge_into \
            stek_schedule_extend stek_audit_drop_shared EVP_KDF_fetch EVP_MAC_fetch EVP_CIPHER_fetch
STORIES  := $(wildcard test/simulation/stories/*.story)

$(SIM_O): $(call config,test)

$(OUT)/simulate: $(SIM_O) $(OUT)/libstekctl.a $(OUT)/libstek.a $(call config,link stekctl) build/test.mk
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(SIM_WRAP:%=-Wl$(comma)--wrap=%) -o $@ $(OBJECTS) \
	    $(STEKCTL_LIBS) $(LIBS)

# SEED=N repeats a run; STORY=FILE tells one history.
SEED  ?=
STEPS ?= 1000000
STORY ?=
simulate: $(OUT)/simulate
	$(Q)$(OUT)/simulate $(if $(STORY),--story $(STORY),--steps $(STEPS) --jobs $(JOBS) $(if $(SEED),--seed $(SEED)))

# In the check: about a minute, the same histories every time, so that a change that breaks one is seen
# with that change; and the stories of what once failed.  "make simulate" looks for new ones.
SIM_SHORT_STEPS ?= 400000
simulate-short: $(OUT)/simulate
	$(Q)$(OUT)/simulate --steps $(SIM_SHORT_STEPS) --seed $(or $(SEED),1)
	$(Q)$(OUT)/simulate --story $(STORIES)

# Ten and more deliberate bugs, each of which the simulator has to find.
simulate-mutants:
	$(Q)$(PYTHON) test/simulation/mutants.py

# ---- integration --------------------------------------------------------------------------------

PYTEST ?=
XDIST  := $(shell $(PYTHON) -c 'import xdist' 2>/dev/null && echo '-n $(shell expr $(JOBS) + 1) --dist loadgroup')

integration: all bench-build
	$(Q)$(PYTHON) -m pytest test/integration $(XDIST) -q -p no:cacheprovider $(PYTEST)

# ---- everything ---------------------------------------------------------------------------------

deps:
	@build/deps.sh check

check:
	@build/deps.sh check
	@MAKE="$(MAKE)" PYTHON="$(PYTHON)" JOBS="$(JOBS)" build/check.sh

