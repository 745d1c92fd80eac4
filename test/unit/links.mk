# SPDX-License-Identifier: Apache-2.0
UNIT_GLUE_test_announce := $(addprefix stekctl/fleet/,announce_format.c announce_set.c fleet_view.c)
UNIT_GLUE_test_counters := src/mod_stek_counters.c src/mod_stek_retained.c
UNIT_GLUE_test_format := stekctl/convert/format.c
UNIT_GLUE_test_format_selection := $(addprefix stekctl/convert/,format.c haproxy_socket.c export_keys.c)
UNIT_GLUE_test_live := $(addprefix src/mod_stek_,live.c live_follow.c live_view.c counters.c retained.c)
UNIT_GLUE_test_sync := stekctl/fleet/sync.c
# Histories make and drop millions of rings: without a mapping for each.
UNIT_LDFLAGS_test_sync := -Wl,--wrap=stek_mem_alloc -Wl,--wrap=stek_mem_free
UNIT_GLUE_test_probe_analysis := $(addprefix stekctl/probe/,analysis.c secret.c schedule.c needles.c text_ticket.c own_keys.c hex.c \
    key_list.c candidate_keys.c derived_keys.c ghash.c hchacha.c chacha_lanes.c search_block.c search_stream.c search_cipher.c \
    search_inside.c search_mac.c mac_keys.c hmac_sieve.c hash_lanes.c des_lanes.c checksum.c mac_spans.c search_clock.c weak_random.c)
UNIT_GLUE_test_probe_frames := $(UNIT_GLUE_test_probe_analysis) test/integration/frames.c
UNIT_GLUE_test_probe_clock := $(UNIT_GLUE_test_probe_analysis)
UNIT_LDFLAGS_test_probe_clock := -Wl,--wrap=clock
UNIT_GLUE_test_probe_sieve := $(addprefix stekctl/probe/,hmac_sieve.c hash_lanes.c des_lanes.c mac_keys.c key_list.c candidate_keys.c \
    derived_keys.c own_keys.c hex.c)
UNIT_GLUE_test_probe_changes := stekctl/probe/changes.c stekctl/probe/faces.c
UNIT_GLUE_test_probe_stats := stekctl/probe/stats.c
UNIT_GLUE_test_probe_workers := stekctl/probe/workers.c
UNIT_GLUE_test_probe_padding := $(addprefix stekctl/probe/,padding.c stats.c analysis.c secret.c schedule.c needles.c text_ticket.c \
    own_keys.c hex.c)
UNIT_LDFLAGS_test_probe_padding := -Wl,--wrap=RAND_bytes
UNIT_GLUE_test_ratchet := stekctl/fleet/ratchet.c
UNIT_LDFLAGS_test_admit := -Wl,--wrap=stek_mem_alloc -Wl,--wrap=stek_mem_free
