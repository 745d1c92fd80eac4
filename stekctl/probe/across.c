/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts have in common (across.h): a table of marks, which are sorted when all hosts are done.
 * Equal marks of different hosts make a group.  Tickets that resume connect two hosts, and groups
 * are what is connected.
 */
#include "across.h"

#include <apr_strings.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define MARKS_MAX 1000000
#define NAME_MIN 8      /* shorter names, as those of mbedTLS, are equal by chance */
#define NAME_UNKNOWN 16 /* a common prefix that long is a name, whatever the layout */
#define NAMELESS_MAX 4  /* tickets of one host whose first bytes may be a name */

/* Sorted as bytes, but for the host. */
typedef struct mark_t {
    unsigned char kind, layout, len, is_digest;
    unsigned char bytes[PROBE_COMMON_MAX];
    apr_uint32_t host;
} mark_t;

struct probe_across_t {
    mark_t *marks;
    char *names;          /* of hosts, each with its NUL */
    apr_size_t *names_at; /* by host */
    apr_size_t marks_n, marks_room, hosts_n, hosts_room, names_len, names_room, left_out_n;
};

static apr_status_t free_across(void *data)
{
    probe_across_t *across = data;

    free(across->marks);
    free(across->names);
    free(across->names_at);
    return APR_SUCCESS;
}

probe_across_t *probe_across_create(apr_pool_t *pool)
{
    probe_across_t *across = apr_pcalloc(pool, sizeof(*across));

    apr_pool_cleanup_register(pool, across, free_across, apr_pool_cleanup_null);
    return across;
}

/* Makes room for n more of a size.  0: out of memory. */
static int make_room(void **parray, apr_size_t *proom, apr_size_t used, apr_size_t n,
                     apr_size_t size)
{
    apr_size_t room = used + n + used / 2 + 64;
    void *more;

    if (used + n <= *proom) {
        return 1;
    }
    more = realloc(*parray, room * size);
    if (!more) {
        return 0;
    }
    *parray = more;
    *proom = room;
    return 1;
}

static void add_mark(probe_across_t *across, probe_common_e kind, int layout,
                     const unsigned char *bytes, apr_size_t len)
{
    mark_t mark = {.kind = (unsigned char)kind,
                   .layout = (unsigned char)layout,
                   .host = (apr_uint32_t)across->hosts_n - 1};

    mark.is_digest = len > PROBE_COMMON_MAX || kind == PROBE_COMMON_TICKETS;
    mark.len = (unsigned char)(mark.is_digest ? PROBE_COMMON_MAX : len);
    if (across->marks_n >= MARKS_MAX
        || (mark.is_digest && EVP_Digest(bytes, len, mark.bytes, NULL, EVP_sha256(), NULL) != 1)
        || !make_room((void **)(void *)&across->marks, &across->marks_room, across->marks_n, 1,
                      sizeof(mark))) {
        across->left_out_n++;
        return;
    }
    if (!mark.is_digest) {
        memcpy(mark.bytes, bytes, len);
    }
    across->marks[across->marks_n++] = mark;
}

int probe_across_is_comparable(const probe_backend_t *backend)
{
    switch (backend->format.layout) {
    case PROBE_LAYOUT_STATEFUL:
    case PROBE_LAYOUT_BOTAN: /* of its 12 bytes, 4 are the name's own */
        return 0;
    case PROBE_LAYOUT_UNKNOWN:
        return backend->is_named && backend->name_len >= NAME_UNKNOWN;
    default:
        return backend->format.name_len >= NAME_MIN;
    }
}

/* A host may have given one ticket only: then its first bytes are a name if another host has the
 * same. */
static void add_names(probe_across_t *across, const probe_backend_t *backend)
{
    int i, n = backend->is_named ? 1 : backend->tickets->nelts;

    if (!probe_across_is_comparable(backend)) {
        return;
    }
    for (i = 0; i < n && i < NAMELESS_MAX; i++) {
        const probe_ticket_t *ticket = &APR_ARRAY_IDX(backend->tickets, i, probe_ticket_t);

        add_mark(across, PROBE_COMMON_NAME, (int)backend->format.layout, ticket->bytes,
                 backend->is_named ? backend->name_len : backend->format.name_len);
    }
}

void probe_across_add(probe_across_t *across, const probe_host_t *host)
{
    char port[16];
    apr_size_t len = strlen(host->name);
    int i, j;

    if (host->failure) {
        return;
    }
    apr_snprintf(port, sizeof(port), ":%d", host->port);
    if (!make_room((void **)(void *)&across->names, &across->names_room, across->names_len,
                   len + sizeof(port), 1)
        || !make_room((void **)(void *)&across->names_at, &across->hosts_room, across->hosts_n, 1,
                      sizeof(*across->names_at))) {
        across->left_out_n++;
        return;
    }
    across->names_at[across->hosts_n++] = across->names_len;
    memcpy(across->names + across->names_len, host->name, len);
    memcpy(across->names + across->names_len + len, port, strlen(port) + 1);
    across->names_len += len + strlen(port) + 1;
    for (i = 0; i < PROBE_VERSIONS_N; i++) {
        const apr_array_header_t *backends = host->versions[i].backends;

        for (j = 0; backends && j < backends->nelts; j++) {
            add_names(across, &APR_ARRAY_IDX(backends, j, probe_backend_t));
        }
    }
    for (i = 0; i < host->findings->nelts; i++) {
        const probe_hit_t *hit = APR_ARRAY_IDX(host->findings, i, probe_finding_t).hit;

        /* What a library makes of a configured key may change with the time. */
        if (hit && hit->key_len && hit->scheme) {
            add_mark(across, PROBE_COMMON_KEY, 0, hit->configured, hit->configured_len);
        }
        else if (hit && hit->key_len) {
            add_mark(across, PROBE_COMMON_KEY, 0, hit->key, hit->key_len);
        }
    }
    for (i = 0; host->opens && i < host->opens->nelts; i++) {
        const char *other = APR_ARRAY_IDX(host->opens, i, const char *);

        add_mark(across, PROBE_COMMON_TICKETS, 0, (const unsigned char *)other, strlen(other));
    }
}

apr_size_t probe_across_left_out(const probe_across_t *across)
{
    return across->left_out_n;
}

/* ---- groups ---- */

static int compare_marks(const void *a, const void *b)
{
    const mark_t *x = a, *y = b;
    int order = memcmp(x, y, offsetof(mark_t, host));

    return order ? order : (x->host > y->host) - (x->host < y->host);
}

static const char *host_n(const probe_across_t *across, apr_uint32_t host)
{
    return across->names + across->names_at[host];
}

typedef struct teller_t {
    void (*tell)(const probe_group_t *group, void *data);
    void *data;
    const char **hosts; /* room for all */
    int groups_n;
} teller_t;

/* Hosts that were named twice are no group. */
static void tell_group(teller_t *teller, const mark_t *mark, int hosts_n)
{
    probe_group_t group = {.kind = (probe_common_e)mark->kind,
                           .layout = mark->layout,
                           .bytes = mark->bytes,
                           .len = mark->len,
                           .is_digest = mark->is_digest,
                           .hosts_n = hosts_n,
                           .hosts = teller->hosts};
    int i;

    for (i = 1; i < hosts_n && !strcmp(teller->hosts[0], teller->hosts[i]); i++) {
    }
    if (i < hosts_n) {
        teller->groups_n++;
        teller->tell(&group, teller->data);
    }
}

static void tell_equal(const probe_across_t *across, teller_t *teller)
{
    apr_size_t i, j;

    for (i = 0; i < across->marks_n; i = j) {
        const mark_t *first = &across->marks[i];
        int n = 0;

        for (j = i;
             j < across->marks_n && memcmp(first, &across->marks[j], offsetof(mark_t, host)) == 0;
             j++) {
            if (j == i || across->marks[j].host != across->marks[j - 1].host) {
                teller->hosts[n++] = host_n(across, across->marks[j].host);
            }
        }
        if (n > 1 && first->kind != PROBE_COMMON_TICKETS) {
            tell_group(teller, first, n);
        }
    }
}

/* A host by its name's digest. */
typedef struct address_t {
    unsigned char digest[PROBE_COMMON_MAX];
    apr_uint32_t host;
} address_t;

static int compare_addresses(const void *a, const void *b)
{
    return memcmp(a, b, PROBE_COMMON_MAX);
}

/* The first host of those that host is connected with; shortens the way for the next time. */
static apr_uint32_t find(apr_uint32_t *parents, apr_uint32_t host)
{
    while (parents[host] != host) {
        parents[host] = parents[parents[host]];
        host = parents[host];
    }
    return host;
}

/* Connects the hosts of every mark with the hosts that it names.  0: out of memory. */
static int connect_all(const probe_across_t *across, apr_uint32_t *parents)
{
    address_t *addresses = calloc(across->hosts_n, sizeof(*addresses));
    apr_size_t i;

    for (i = 0; addresses && i < across->hosts_n; i++) {
        const char *name = host_n(across, (apr_uint32_t)i);

        parents[i] = addresses[i].host = (apr_uint32_t)i;
        (void)EVP_Digest(name, strlen(name), addresses[i].digest, NULL, EVP_sha256(), NULL);
    }
    if (!addresses) {
        return 0;
    }
    qsort(addresses, across->hosts_n, sizeof(*addresses), compare_addresses);
    for (i = 0; i < across->marks_n; i++) {
        const mark_t *mark = &across->marks[i];
        const address_t *other;

        if (mark->kind == PROBE_COMMON_TICKETS
            && (other = bsearch(mark->bytes, addresses, across->hosts_n, sizeof(*addresses),
                                compare_addresses))) {
            apr_uint32_t a = find(parents, mark->host), b = find(parents, other->host);

            parents[a > b ? a : b] = a < b ? a : b;
        }
    }
    free(addresses);
    return 1;
}

static int compare_numbers(const void *a, const void *b)
{
    const apr_uint32_t *x = a, *y = b;

    return x[0] != y[0] ? (x[0] > y[0]) - (x[0] < y[0]) : (x[1] > y[1]) - (x[1] < y[1]);
}

static void tell_connected(const probe_across_t *across, teller_t *teller)
{
    const mark_t none = {.kind = PROBE_COMMON_TICKETS};
    apr_uint32_t *parents = calloc(across->hosts_n, sizeof(*parents));
    apr_uint32_t(*pairs)[2] = calloc(across->hosts_n, sizeof(*pairs)); /* first host, host */
    apr_size_t i, j;

    if (!parents || !pairs || !connect_all(across, parents)) {
        goto cleanup;
    }
    for (i = 0; i < across->hosts_n; i++) {
        pairs[i][0] = find(parents, (apr_uint32_t)i);
        pairs[i][1] = (apr_uint32_t)i;
    }
    qsort(pairs, across->hosts_n, sizeof(*pairs), compare_numbers);
    for (i = 0; i < across->hosts_n; i = j) {
        for (j = i; j < across->hosts_n && pairs[j][0] == pairs[i][0]; j++) {
            teller->hosts[j - i] = host_n(across, pairs[j][1]);
        }
        if (j - i > 1) {
            tell_group(teller, &none, (int)(j - i));
        }
    }
cleanup:
    free(parents);
    free(pairs);
}

int probe_across_groups(probe_across_t *across,
                        void (*tell)(const probe_group_t *group, void *data), void *data)
{
    teller_t teller = {.tell = tell, .data = data};

    if (across->hosts_n < 2) {
        return 0;
    }
    teller.hosts = calloc(across->hosts_n, sizeof(*teller.hosts));
    if (teller.hosts) {
        if (across->marks_n) {
            qsort(across->marks, across->marks_n, sizeof(*across->marks), compare_marks);
            tell_equal(across, &teller);
        }
        tell_connected(across, &teller);
    }
    free(teller.hosts);
    return teller.groups_n;
}
