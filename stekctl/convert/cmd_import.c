/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command import: adds another program's keys to the ring, in the roles that they have there.  It
 * reads and checks all files before it changes the ring; if one key is bad, it imports nothing.
 * stekctl; one thread.
 */
#include <apr_strings.h>
#include <stdio.h>
#include <string.h>

#include "change.h"
#include "convert.h"
#include "json.h"
#include "options.h"
#include "report.h"
#include "ringio.h"
#include "stek_admit.h"
#include "stek_error.h"
#include "stek_mem.h"
#include "stek_ring_merge.h"
#include "suggestion.h"

typedef struct item_t {
    const char *path;
    const stek_key_t *key; /* owned by its file */
    format_use_e use;
    const char *result; /* "encrypts", "decrypts", "present", "ignored", "expired" */
    apr_time_t until;
} item_t;

typedef struct import_t {
    format_e format;
    int allow_aes128;
    keyfile_t *files;
    int file_n;
    item_t *items; /* in the order of the files */
    apr_size_t item_n;
} import_t;

static ctl_exit_e read_files(ctl_t *ctl, import_t *import, char **paths)
{
    ctl_exit_e code = CTL_DONE;
    int n;

    import->files = apr_pcalloc(ctl->pool, (apr_size_t)import->file_n * sizeof(keyfile_t));
    for (n = 0; code == CTL_DONE && n < import->file_n; n++) {
        code = keyfile_read(ctl, paths[n], import->format, &import->files[n]);
        import->item_n += import->files[n].key_n;
    }
    return code;
}

static void list_items(ctl_t *ctl, import_t *import)
{
    apr_size_t i, at = 0;
    int n;

    import->items = apr_pcalloc(ctl->pool, (import->item_n + 1) * sizeof(item_t));
    for (n = 0; n < import->file_n; n++) {
        for (i = 0; i < import->files[n].key_n; i++, at++) {
            import->items[at].path = import->files[n].path;
            import->items[at].key = &import->files[n].keys[i];
            import->items[at].use = format_use(import->format, at, import->item_n);
        }
    }
}

/* The checks that do not need the ring. */
static ctl_exit_e check_items(ctl_t *ctl, const import_t *import)
{
    char hex[STEK_HEX_LEN];
    apr_size_t i, j;

    for (i = 0; i < import->item_n; i++) {
        const item_t *item = &import->items[i];
        const char *weakness = keyfile_weakness(item->key, ctl->pool);

        for (j = 0; !weakness && j < i; j++) {
            weakness = keyfile_clash(item->key, import->items[j].key);
        }
        if (weakness) {
            report_line("%s: key %s is weak: %s; create a new key and import that", item->path,
                        stek_key_hex(item->key->name, hex), weakness);
            return CTL_REFUSED;
        }
        if (item->key->flags & STEK_KEY_AES128 && !import->allow_aes128) {
            report_line("%s: key %s has 48 bytes (AES-128, but the ring uses AES-256); use "
                        "--allow-aes128 to import it for decryption only",
                        item->path, stek_key_hex(item->key->name, hex));
            return CTL_REFUSED;
        }
    }
    return CTL_DONE;
}

static apr_time_t earlier(apr_time_t a, apr_time_t b)
{
    return a < b ? a : b;
}

/* Sets *key to the item's key with its window in this ring.  Nonzero: it has already ended. */
static int set_window(const stek_ring_t *ring, const item_t *item, apr_time_t now, stek_key_t *key)
{
    apr_time_t activate = item->key->not_before, expire = item->key->decrypt_until;
    int encrypts = item->use == FORMAT_ENCRYPTS && !(item->key->flags & STEK_KEY_AES128);

    *key = *item->key;
    key->epoch = ring->epoch;
    key->created = now;
    key->not_before = key->encrypt_until = now;
    if (encrypts) {
        change_window(ring, activate > now ? activate : now, &key->not_before, &key->encrypt_until);
    }
    key->decrypt_until = key->encrypt_until + ring->lifetime;
    if (expire > 0) {
        key->encrypt_until = earlier(key->encrypt_until, expire);
        key->decrypt_until = earlier(key->decrypt_until, expire);
        key->not_before = earlier(key->not_before, key->encrypt_until);
    }
    return key->decrypt_until <= now;
}

static int is_revoked(const stek_ring_t *ring, const stek_key_t *key)
{
    apr_size_t i;

    for (i = 0; i < ring->tombstone_n; i++) {
        if (!memcmp(ring->tombstones[i].name, key->name, STEK_NAME_LEN)) {
            return 1;
        }
    }
    return 0;
}

/* Checks one key and adds it to the patch if it is new. */
static ctl_exit_e add_item(ctl_t *ctl, const stek_ring_t *ring, item_t *item, apr_time_t now,
                           stek_ring_t *patch)
{
    const stek_key_t *there = stek_ring_find(ring, item->key->name);
    char hex[STEK_HEX_LEN];
    stek_key_t *key;
    apr_status_t rv;

    if (is_revoked(ring, item->key)) {
        report_line("%s: key %s was revoked in %s; create a new key and import that", item->path,
                    stek_key_hex(item->key->name, hex), ctl->ring_path);
        return CTL_REFUSED;
    }
    if (item->use == FORMAT_IGNORED) {
        item->result = "ignored";
        return CTL_DONE;
    }
    there = there ? there : stek_ring_find(patch, item->key->name);
    if (there && keyfile_keys_equal(there, item->key)) {
        item->result = "present";
        return CTL_DONE;
    }
    key = stek_mem_alloc(sizeof(*key));
    if (!key) {
        return report_status(ctl, ctl->ring_path, APR_ENOMEM, NULL);
    }
    if (set_window(ring, item, now, key)) {
        item->result = "expired";
        rv = APR_SUCCESS;
    }
    else {
        item->result = key->encrypt_until > key->not_before ? "encrypts" : "decrypts";
        item->until = *item->result == 'e' ? key->encrypt_until : key->decrypt_until;
        rv = there ? STEK_EWEAK : stek_ring_add_key(patch, key);
    }
    stek_mem_free(key);
    if (rv == STEK_EWEAK) {
        report_line(
            "%s: key %s has the same name as another key in %s; create a new key and import that",
            item->path, stek_key_hex(item->key->name, hex), ctl->ring_path);
        return CTL_REFUSED;
    }
    return rv == APR_SUCCESS ? CTL_DONE : report_status(ctl, ctl->ring_path, rv, NULL);
}

/* A key that would not be in the ring afterwards must not be reported as imported. */
static ctl_exit_e check_kept(ctl_t *ctl, const stek_ring_t *patch, const stek_ring_t *merged)
{
    apr_size_t i;

    for (i = 0; i < patch->key_n; i++) {
        if (!stek_ring_find(merged, patch->keys[i].name)) {
            return report_status(ctl, ctl->ring_path, STEK_EFULL, NULL);
        }
    }
    return CTL_DONE;
}

/* Formats with times may say that a key begins in a year. */
static ctl_exit_e check_starts(ctl_t *ctl, const stek_ring_t *patch, apr_time_t now)
{
    apr_size_t late_n = stek_admit_late_n(patch, NULL, now);

    if (late_n == 0) {
        return CTL_DONE;
    }
    report_line(
        "%s: %d of these keys begin%s more than two weeks from now; nothing was imported; check "
        "the clock, or import them nearer to that time",
        ctl->ring_path, (int)late_n, late_n == 1 ? "s" : "");
    return CTL_REFUSED;
}

static ctl_exit_e merge_patch(ctl_t *ctl, const stek_ring_t *ring, const stek_ring_t *patch,
                              apr_time_t now, stek_ring_t **pring)
{
    stek_ring_t *merged = NULL;
    char hex[STEK_HEX_LEN];
    const stek_key_t *key;
    stek_weakness_e weakness;
    apr_status_t rv = stek_ring_merge(ring, patch, now, ring->lifetime, &merged);
    ctl_exit_e code = rv == APR_SUCCESS ? check_kept(ctl, patch, merged)
                                        : report_status(ctl, ctl->ring_path, rv, NULL);

    if (code != CTL_DONE) {
        stek_ring_destroy(merged);
        return code;
    }
    weakness = stek_audit_ring(merged, &key);
    if (weakness != STEK_WEAK_NONE) {
        report_line("%s: with these keys, %s %s; nothing was imported", ctl->ring_path,
                    stek_key_hex(key->name, hex), stek_weakness_text(weakness));
        stek_ring_destroy(merged);
        return CTL_REFUSED;
    }
    *pring = merged;
    return CTL_DONE;
}

static ctl_exit_e import_ring(ctl_t *ctl, const ringio_t *io, apr_time_t now, void *baton,
                              stek_ring_t **pring)
{
    import_t *import = baton;
    stek_ring_t *patch = NULL;
    ctl_exit_e code = CTL_DONE;
    apr_status_t rv;
    apr_size_t i;
    int turn;

    if (import->item_n > STEK_KEYS_MAX) {
        return report_status(ctl, ctl->ring_path, STEK_EFULL, NULL);
    }
    rv = stek_ring_create(import->item_n, 0, &patch);
    if (rv != APR_SUCCESS) {
        return report_status(ctl, ctl->ring_path, rv, NULL);
    }
    /* The key that encrypts goes first: if it is listed twice, that role counts. */
    for (turn = 0; turn < 2; turn++) {
        for (i = 0; code == CTL_DONE && i < import->item_n; i++) {
            item_t *item = &import->items[i];

            if ((item->use == FORMAT_ENCRYPTS) == (turn == 0)) {
                code = add_item(ctl, io->ring, item, now, patch);
            }
        }
    }
    if (code == CTL_DONE) {
        code = check_starts(ctl, patch, now);
    }
    if (code == CTL_DONE && patch->key_n > 0) {
        code = merge_patch(ctl, io->ring, patch, now, pring);
    }
    stek_ring_destroy(patch);
    return code;
}

static void print_result(ctl_t *ctl, const import_t *import, const stek_ring_t *ring)
{
    apr_time_t now = ringio_now();
    char hex[STEK_HEX_LEN];
    apr_size_t i;
    json_t json;

    if (!ctl->json) {
        for (i = 0; i < import->item_n; i++) {
            const item_t *item = &import->items[i];

            printf("%s: %s %s%s%s\n", report_path(item->path, ctl->pool),
                   stek_key_hex(item->key->name, hex), item->result, item->until ? " until " : "",
                   item->until ? report_time(item->until, now, ctl->pool) : "");
        }
        return;
    }
    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    json_string(&json, "done", "imported");
    json_string(&json, "ring", ctl->ring_path);
    json_count(&json, "epoch", ring->epoch);
    json_count(&json, "generation", ring->generation);
    json_open(&json, "imported", '[');
    for (i = 0; i < import->item_n; i++) {
        json_open(&json, NULL, '{');
        json_string(&json, "path", import->items[i].path);
        json_string(&json, "name", stek_key_hex(import->items[i].key->name, hex));
        json_string(&json, "result", import->items[i].result);
        json_time(&json, "until", import->items[i].until);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

static ctl_exit_e parse(ctl_t *ctl, int argc, char **argv, import_t *import)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'},
        {"allow-aes128", no_argument, NULL, 'a'},
        CTL_OPTION_HELP,
        CTL_OPTION_END,
    };
    int option, has_format = 0;

    while ((option = ctl_option(ctl, argc, argv, options)) != -1) {
        if (option == '?') {
            return CTL_USAGE;
        }
        if (option == 'a') {
            import->allow_aes128 = 1;
        }
        else if (format_find(optarg, &import->format) != APR_SUCCESS) {
            return report_usage(ctl, "invalid format '%s'%s: must be one of %s", optarg,
                                suggestion_of(optarg, format_names(), ctl->pool), format_names());
        }
        else {
            has_format = 1;
        }
    }
    if (!has_format) {
        return report_usage(ctl, "missing --format: the layout cannot be detected from the file");
    }
    if (optind == argc) {
        return report_usage(ctl, "missing file name");
    }
    import->file_n = argc - optind;
    return CTL_DONE;
}

ctl_exit_e cmd_import(ctl_t *ctl, int argc, char **argv)
{
    import_t import = {0};
    stek_ring_t *ring = NULL;
    ctl_exit_e code;
    int n;

    code = parse(ctl, argc, argv, &import);
    if (code != CTL_DONE) {
        return code;
    }
    code = read_files(ctl, &import, argv + optind);
    if (code == CTL_DONE) {
        list_items(ctl, &import);
        code = check_items(ctl, &import);
    }
    if (code == CTL_DONE) {
        code = ringio_change(ctl, import_ring, &import, 0, &ring);
    }
    if (code == CTL_DONE) {
        print_result(ctl, &import, ring);
    }
    for (n = 0; n < import.file_n; n++) {
        keyfile_release(&import.files[n]);
    }
    stek_ring_destroy(ring);
    return code;
}
