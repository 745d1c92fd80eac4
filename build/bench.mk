# SPDX-License-Identifier: Apache-2.0
#
# Measurements.

BENCH_SRC := $(wildcard test/bench/*.c)

$(OUT)/bench/fleet_bench: $(OUT)/obj/test/bench/fleet_bench.o \
        $(OUT)/libstekctl.a $(OUT)/libstek.a $(call config,link stekctl)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) -o $@ $(OBJECTS) $(STEKCTL_LIBS) $(LIBS)

# A fleet of 1,000 hosts in one process, beside a memcached: the numbers of docs/scale.md.
bench-fleet: $(OUT)/bench/fleet_bench $(STEKCTL)
	$(Q)$(PYTHON) test/bench/fleet.py $< $(or $(ARGS),1000) $(STEKCTL)

# Benchmarks in C link the glue that they name, and play httpd's part themselves.
BENCH_GLUE_handshake_cost := $(addprefix src/mod_stek_,counters.c exdata.c ticket_outcome.c iv.c live.c \
    words.c may_resume.c retained.c ticket.c ticket_count.c ticket_size.c trust_watch.c)
BENCH_GLUE_probe_times := $(addprefix stekctl/probe/,client.c contexts.c link.c messages.c pace.c proxy.c schedule.c session.c starttls.c wait.c wire.c words.c)
BENCH_GLUE_ticket_cost := $(BENCH_GLUE_handshake_cost)
BENCH_LDFLAGS_ticket_cost := -Wl,--wrap=SSL_CTX_set_tlsext_ticket_key_evp_cb \
    -Wl,--wrap=SSL_CTX_set_session_ticket_cb -Wl,--wrap=SSL_CTX_set_not_resumable_session_callback
BENCH_GLUE_tls_load := test/bench/tls_client.c
BENCH_GLUE_tls_replay := test/bench/tls_client.c
BENCH_BIN := $(filter-out $(OUT)/bench/fleet_bench $(OUT)/bench/tls_client $(OUT)/bench/idle_thread,$(BENCH_SRC:test/bench/%.c=$(OUT)/bench/%))

$(BENCH_BIN): $(OUT)/bench/%: $(OUT)/obj/test/bench/%.o \
        $$(addprefix $(OUT)/obj/,$$(BENCH_GLUE_$$*:.c=.o)) $(OUT)/libstek.a $(call config,link)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(SAN) $(LDFLAGS) $(BENCH_LDFLAGS_$*) -o $@ $(OBJECTS) $(LIBS)

# Preloaded into a server, not linked.
$(OUT)/bench/idle_thread.so: test/bench/idle_thread.c $(call config,test)
	@mkdir -p $(@D)
	$(call SAY,LINK,$@)$(CC) $(CFLAGS) -Wall -Wextra -Werror -shared -fPIC -o $@ $<

bench-build: all $(BENCH_BIN) $(OUT)/bench/idle_thread.so

# All parts take about 20 minutes.  BENCH="callback day" measures some; QUICK=1 is short and rough.
BENCH ?=
QUICK ?=

bench:
	@build/deps.sh bench
	@$(MAKE) --no-print-directory -j$(JOBS) bench-build
	$(Q)PYTHON="$(PYTHON)" test/bench/run $(if $(QUICK),--quick) $(BENCH) $(ARGS)

