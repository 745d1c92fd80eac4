# SPDX-License-Identifier: Apache-2.0
UNIT_GLUE_test_format := stekctl/format.c
UNIT_GLUE_test_format_selection := stekctl/format.c stekctl/haproxy.c stekctl/selection.c
UNIT_GLUE_test_live := src/mod_stek_live.c
