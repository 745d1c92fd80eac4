# SPDX-License-Identifier: Apache-2.0
# What programs of test/fault play: calls of calls.h that fail, sleep, blocks given back; and the glue that they link.
FAULT_CALLS = apr_sleep munmap $(shell $(PYTHON) test/fault/check_calls.py --failing)
FAULT_GLUE_fault_module := $(filter-out %_snapshot.c %_variables.c %_families.c \
    %_html.c %_json.c %_prometheus.c %_status.c %_status_line.c, \
    $(wildcard src/mod_stek_*.c))
FAULT_WRAP_fault_module := apr_time_now
FAULT_GLUE_fault_core := stekctl/fleet/ratchet.c
