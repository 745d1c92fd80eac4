/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets by key name (backends.h).  The first bytes tell which tickets share a name at all; their
 * layout tells how long it is.  A ticket that shares its name with no other may be of a backend
 * that was met once: it counts as that if it looks like tickets with a name.
 */
#include "backends.h"

#include <apr_strings.h>
#include <string.h>

#include "analysis.h"
#include "hex.h"

#define HEAD_LEN 4 /* tickets that share less have no name in common */
#define NAME_LEN_MAX 64

typedef struct sorting_t {
    const probe_ticket_t *tickets;
    int n;
    int *of;               /* by ticket: its backend; -1: none yet */
    probe_ticket_t *alike; /* room for all */
    apr_array_header_t *backends;
    apr_pool_t *pool;
} sorting_t;

static probe_backend_t *backend_n(const sorting_t *sorting, int n)
{
    return &APR_ARRAY_IDX(sorting->backends, n, probe_backend_t);
}

static int begin_alike(const probe_ticket_t *a, const probe_ticket_t *b, apr_size_t len)
{
    return a->len >= len && b->len >= len && memcmp(a->bytes, b->bytes, len) == 0;
}

/* The index of a new backend; if there are too many, the last one takes the others, too. */
static int open_backend(sorting_t *sorting)
{
    if (sorting->backends->nelts < PROBE_BACKENDS_MAX) {
        probe_backend_t *backend = apr_array_push(sorting->backends);

        memset(backend, 0, sizeof(*backend));
        backend->tickets = apr_array_make(sorting->pool, 4, sizeof(probe_ticket_t));
    }
    return sorting->backends->nelts - 1;
}

/* For this ticket, whose layout says how long its name is. */
static int open_named(sorting_t *sorting, const probe_ticket_t *ticket,
                      const probe_format_t *format)
{
    int at = open_backend(sorting);
    probe_backend_t *backend = backend_n(sorting, at);

    if (backend->tickets->nelts == 0) {
        backend->is_named = 1;
        backend->format = *format;
        backend->format.len_min = backend->format.len_max = ticket->len;
        backend->name = ticket->bytes;
        backend->name_len = format->name_len < ticket->len ? format->name_len : ticket->len;
    }
    return at;
}

static void put(sorting_t *sorting, int i, int at)
{
    probe_backend_t *backend = backend_n(sorting, at);
    const probe_ticket_t *ticket = &sorting->tickets[i];
    probe_format_t *format = &backend->format;

    sorting->of[i] = at;
    APR_ARRAY_PUSH(backend->tickets, probe_ticket_t) = *ticket;
    format->len_min = ticket->len < format->len_min ? ticket->len : format->len_min;
    format->len_max = ticket->len > format->len_max ? ticket->len : format->len_max;
}

/* The format of all tickets that begin as number i does.  0: no other one does. */
static int analyse_alike(const sorting_t *sorting, int i, probe_format_t *format)
{
    probe_ticket_t *alike = sorting->alike;
    int j, n = 0;

    for (j = i; j < sorting->n; j++) {
        if (begin_alike(&sorting->tickets[i], &sorting->tickets[j], HEAD_LEN)) {
            alike[n++] = sorting->tickets[j];
        }
    }
    probe_analysis_format(alike, (apr_size_t)n, format);
    return n > 1;
}

/* The tickets that begin as number i does, by full name where the layout tells its length. */
static void sort_alike(sorting_t *sorting, int i)
{
    const probe_ticket_t *first = &sorting->tickets[i];
    probe_format_t format;
    apr_size_t name_len;
    int j, k;

    if (!analyse_alike(sorting, i, &format)) {
        return;
    }
    name_len = format.layout == PROBE_LAYOUT_UNKNOWN ? HEAD_LEN : format.name_len;
    for (j = i; j < sorting->n; j++) {
        const probe_ticket_t *ticket = &sorting->tickets[j];
        int at;

        if (sorting->of[j] >= 0 || !begin_alike(first, ticket, HEAD_LEN)) {
            continue;
        }
        at = open_named(sorting, ticket, &format);
        for (k = j; k < sorting->n; k++) {
            if (sorting->of[k] < 0 && begin_alike(ticket, &sorting->tickets[k], name_len)) {
                put(sorting, k, at);
            }
        }
    }
}

/* A ticket that is alone may be of a backend with a name of its own: if it is as long as those of
 * one that has a name, and has its layout.  Two of one connection would share the name. */
static int has_own_name(const sorting_t *sorting, int i, probe_format_t *format)
{
    const probe_ticket_t *ticket = &sorting->tickets[i];
    int j;

    for (j = 0; j < sorting->n; j++) {
        if (j != i && sorting->of[j] < 0 && ticket->connection
            && sorting->tickets[j].connection == ticket->connection) {
            return 0;
        }
    }
    probe_analysis_format(ticket, 1, format);
    for (j = 0; j < sorting->backends->nelts; j++) {
        const probe_format_t *other = &backend_n(sorting, j)->format;

        if (backend_n(sorting, j)->is_named && other->layout == format->layout
            && format->layout != PROBE_LAYOUT_UNKNOWN && ticket->len >= other->len_min
            && ticket->len <= other->len_max) {
            return 1;
        }
    }
    return 0;
}

static void sort_single(sorting_t *sorting)
{
    int i;

    for (i = 0; i < sorting->n; i++) {
        probe_format_t format;

        if (sorting->of[i] < 0 && has_own_name(sorting, i, &format)) {
            put(sorting, i, open_named(sorting, &sorting->tickets[i], &format));
        }
    }
}

/* Of tickets without a name, those that each for itself look alike; a length field, or being short,
 * is a sign. */
static probe_layout_e own_layout(const probe_ticket_t *ticket)
{
    probe_format_t format;

    probe_analysis_format(ticket, 1, &format);
    return format.layout == PROBE_LAYOUT_OPENSSL ? PROBE_LAYOUT_UNKNOWN : format.layout;
}

static void sort_nameless(sorting_t *sorting)
{
    int i, j;

    for (i = 0; i < sorting->n; i++) {
        int at;

        if (sorting->of[i] >= 0) {
            continue;
        }
        at = open_backend(sorting);
        for (j = i; j < sorting->n; j++) {
            if (sorting->of[j] < 0
                && own_layout(&sorting->tickets[j]) == own_layout(&sorting->tickets[i])) {
                put(sorting, j, at);
            }
        }
        probe_analysis_format(&APR_ARRAY_IDX(backend_n(sorting, at)->tickets, 0, probe_ticket_t),
                              (apr_size_t)backend_n(sorting, at)->tickets->nelts,
                              &backend_n(sorting, at)->format);
    }
}

static void count_connections(probe_backend_t *backend)
{
    apr_size_t last = 0;
    int i;

    for (i = 0; i < backend->tickets->nelts; i++) {
        const probe_ticket_t *ticket = &APR_ARRAY_IDX(backend->tickets, i, probe_ticket_t);

        backend->connections_n += ticket->connection != last;
        last = ticket->connection;
    }
}

/* What holds for all: the layout, if it is that of all. */
static void set_common_format(probe_version_t *version)
{
    const probe_backend_t *backends = (const probe_backend_t *)(const void *)
                                          version->backends->elts;
    probe_format_t *format = &version->format;
    int i, n = version->backends->nelts;
    apr_size_t len_min, len_max;

    probe_analysis_format(&APR_ARRAY_IDX(version->tickets, 0, probe_ticket_t),
                          (apr_size_t)version->tickets->nelts, format);
    for (i = 1; i < n && backends[i].format.layout == backends[0].format.layout; i++) {
    }
    len_min = format->len_min;
    len_max = format->len_max;
    if (n > 1 && i == n) {
        *format = backends[0].format;
    }
    else if (n > 1) {
        memset(format, 0, sizeof(*format));
    }
    format->len_min = len_min;
    format->len_max = len_max;
}

void probe_backends_sort(probe_version_t *version, apr_pool_t *pool)
{
    sorting_t sorting = {.tickets = &APR_ARRAY_IDX(version->tickets, 0, probe_ticket_t),
                         .n = version->tickets->nelts,
                         .backends = apr_array_make(pool, 4, sizeof(probe_backend_t)),
                         .pool = pool};
    int i;

    sorting.of = apr_palloc(pool, (apr_size_t)sorting.n * sizeof(int));
    sorting.alike = apr_palloc(pool, (apr_size_t)sorting.n * sizeof(*sorting.alike));
    memset(sorting.of, -1, (apr_size_t)sorting.n * sizeof(int));
    for (i = 0; i < sorting.n; i++) {
        if (sorting.of[i] < 0) {
            sort_alike(&sorting, i);
        }
    }
    sort_single(&sorting);
    sort_nameless(&sorting);
    for (i = 0; i < sorting.backends->nelts; i++) {
        count_connections(backend_n(&sorting, i));
    }
    version->backends = sorting.backends;
    set_common_format(version);
}

const char *probe_backend_name(const probe_backend_t *backend, apr_pool_t *pool)
{
    apr_size_t len = backend->name_len < NAME_LEN_MAX ? backend->name_len : NAME_LEN_MAX;

    return backend->is_named ? probe_hex(backend->name, len, apr_palloc(pool, 2 * len + 1)) : NULL;
}

const char *probe_backend_text(const probe_backend_t *backend, apr_pool_t *pool)
{
    const char *name = probe_backend_name(backend, pool);

    return name ? apr_pstrcat(pool, "key name ", name, NULL)
                : apr_pstrcat(pool, probe_analysis_layout(backend->format.layout),
                              " layout without a key name", NULL);
}
