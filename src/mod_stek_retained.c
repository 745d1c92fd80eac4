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
#include <unistd.h>

#define KEY_MAX 64

/* Read by every build: neither changes, nor does the key. */
#define LIST_KEY "mod_stek_rotate leftovers"

typedef struct leftover_t {
    struct leftover_t *next;
    void *address; /* of a mapping; NULL: a descriptor */
    apr_size_t len;
    int fd;
} leftover_t;

typedef struct list_t {
    int layout;
    apr_size_t reach;
    void **root;           /* where the build's own data begin */
    leftover_t *leftovers; /* each malloc'd */
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
    while (list->leftovers) {
        leftover_t *leftover = list->leftovers;

        list->leftovers = leftover->next;
        free(leftover);
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

static void add(void *address, apr_size_t len, int fd)
{
    list_t *list = get(LIST_KEY, sizeof(*list));
    leftover_t *leftover = calloc(1, sizeof(*leftover));

    if (leftover) {
        leftover->address = address;
        leftover->len = len;
        leftover->fd = fd;
        leftover->next = list->leftovers;
        list->leftovers = leftover;
    }
}

void mod_stek_retained_list(void *address, apr_size_t len)
{
    add(address, len, -1);
}

void mod_stek_retained_list_fd(int fd)
{
    if (fd >= 0) {
        add(NULL, 0, fd);
    }
}

static void end(const leftover_t *leftover)
{
    if (leftover->address) {
        OPENSSL_cleanse(leftover->address, leftover->len);
        munmap(leftover->address, leftover->len);
    }
    else {
        close(leftover->fd);
    }
}

void mod_stek_retained_end_former(int layout, apr_size_t reach)
{
    list_t *list = get(LIST_KEY, sizeof(*list));
    const leftover_t *leftover;

    if (list->leftovers && (list->layout != layout || list->reach != reach)) {
        /* Should that build come back, it must not look there. */
        *list->root = NULL;
        for (leftover = list->leftovers; leftover; leftover = leftover->next) {
            end(leftover);
        }
    }
    clear(list);
}
