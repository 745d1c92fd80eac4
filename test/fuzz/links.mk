# SPDX-License-Identifier: Apache-2.0
# What fuzz targets link besides core and stekctl, and what they play themselves.
wrap = $(patsubst %,-Wl$(comma)--wrap=%,$(1))
comma := ,

FUZZ_WRAP := stek_mem_alloc stek_mem_free
FUZZ_GLUE_fuzz_directive := $(addprefix src/mod_stek_,config_check.c config_notices.c config.c directives.c hello.c \
    limits.c words.c policy_digest.c trust.c trust_digest.c trust_watch.c)
FUZZ_WRAP_fuzz_directive := realpath apr_stat apr_dir_open apr_dir_read apr_dir_close
FUZZ_WRAP_fuzz_etcd := store_connect etcd_http_open etcd_http_close etcd_http_join etcd_http_post
FUZZ_WRAP_fuzz_fleet := stek_file_read
FUZZ_WRAP_fuzz_reply := store_connect store_connect_each getpeername getsockopt \
    store_link_send store_link_receive \
    memcached_create memcached_free memcached_behavior_set memcached_server_add memcached_mget \
    memcached_result_create memcached_result_free memcached_fetch_result \
    memcached_result_key_value memcached_result_length memcached_result_value \
    memcached_result_cas memcached_strerror memcached_last_error \
    memcached_last_error_errno memcached_last_error_message memcached_add memcached_cas
