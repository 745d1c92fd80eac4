# SPDX-License-Identifier: Apache-2.0
UNIT_GLUE_test_counters := src/mod_stek_counters.c
UNIT_GLUE_test_format := stekctl/format.c
UNIT_GLUE_test_format_selection := stekctl/format.c stekctl/haproxy.c stekctl/selection.c
UNIT_GLUE_test_live := src/mod_stek_live.c src/mod_stek_counters.c src/mod_stek_retained.c
UNIT_GLUE_test_sync := stekctl/sync.c
# Histories make and drop millions of rings: without a mapping for each.
UNIT_LDFLAGS_test_sync := -Wl,--wrap=stek_mem_alloc -Wl,--wrap=stek_mem_free
UNIT_GLUE_test_probe_analysis := stekctl/probe_analysis.c stekctl/probe_keys.c
UNIT_GLUE_test_probe_stats := stekctl/probe_stats.c
UNIT_GLUE_test_probe_padding := stekctl/probe_padding.c stekctl/probe_stats.c
UNIT_LDFLAGS_test_probe_padding := -Wl,--wrap=RAND_bytes
