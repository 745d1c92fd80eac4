/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retained data (mod_stek_retained.h).  Glue; parent only, one thread.
 */
#include "mod_stek_retained.h"

#include "httpd.h"
#include "http_config.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define KEY_MAX 64

/* Read by every build: neither changes, nor does the key. */
#define LIST_KEY "mod_stek_rotate mappings"

typedef struct mapping_t {
    struct mapping_t *next;
    void *address;
    apr_size_t len;
} mapping_t;

typedef struct list_t {
    int layout;
    apr_size_t reach;
    void **root;         /* where the build's own data begin */
    mapping_t *mappings; /* each malloc'd */
} list_t;

static void *get(const char *key, apr_size_t size)
{
    void *data = ap_retained_data_get(key);

    return data ? data : ap_retained_data_create(key, size);
}

void *mod_stek_retained(const char *what, int layout, apr_size_t size, apr_size_t reach)
{
    char key[KEY_MAX];

    snprintf(key, sizeof(key), "mod_stek_rotate %s %d %lu", what, layout,
             (unsigned long)(size + reach));
    return get(key, size);
}

static void clear(list_t *list)
{
    while (list->mappings) {
        mapping_t *mapping = list->mappings;

        list->mappings = mapping->next;
        free(mapping);
    }
}

void mod_stek_retained_list_begin(int layout, apr_size_t reach, void **proot)
{
    list_t *list = get(LIST_KEY, sizeof(*list));

    clear(list);
    list->layout = layout;
    list->reach = reach;
    list->root = proot;
}

void mod_stek_retained_list(void *address, apr_size_t len)
{
    list_t *list = get(LIST_KEY, sizeof(*list));
    mapping_t *mapping = calloc(1, sizeof(*mapping));

    if (mapping) {
        mapping->address = address;
        mapping->len = len;
        mapping->next = list->mappings;
        list->mappings = mapping;
    }
}

void mod_stek_retained_end_former(int layout, apr_size_t reach)
{
    list_t *list = get(LIST_KEY, sizeof(*list));
    const mapping_t *mapping;

    if (list->mappings && (list->layout != layout || list->reach != reach)) {
        /* Should that build come back, it must not look there. */
        *list->root = NULL;
        for (mapping = list->mappings; mapping; mapping = mapping->next) {
            OPENSSL_cleanse(mapping->address, mapping->len);
            munmap(mapping->address, mapping->len);
        }
    }
    clear(list);
}
