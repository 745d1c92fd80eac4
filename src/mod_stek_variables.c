/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables of requests (mod_stek_variables.h).  Glue; any thread of a child.
 */
#include "mod_stek_variables.h"

#include "mod_stek_ticket_outcome.h"

/* STEK_TICKET's word. */
static const char *ticket_word(const mod_stek_ticket_outcome_t *record)
{
    switch (record->outcome) {
    case MOD_STEK_RESUMED_CURRENT:
        return "resumed-current";
    case MOD_STEK_RESUMED_OLD:
        return "resumed-old";
    case MOD_STEK_RESUMED_FUTURE:
        return "resumed-future";
    case MOD_STEK_REFUSED_UNKNOWN:
        return "full-unknown";
    case MOD_STEK_REFUSED_EXPIRED:
        return "full-expired";
    case MOD_STEK_REFUSED_DAMAGED:
        return "full-damaged";
    case MOD_STEK_REFUSED_POLICY:
        return "full-policy";
    case MOD_STEK_REFUSED_AGE:
        return "full-age";
    case MOD_STEK_REFUSED_SECRECY:
        return "full-secrecy";
    default:
        return record->issued ? "new" : "none";
    }
}

enum { TICKET, RING, KEY, NAME_N };

static const char *const names[NAME_N] = {"STEK_TICKET", "STEK_RING", "STEK_KEY"};

/* As apr_table_setn() of each value, up to the first NULL.  That would look for each name in the
 * whole table, twice in every request; but most often ours stand there first, or nothing does. */
static void set_in(apr_table_t *table, const char *const values[NAME_N])
{
    const apr_array_header_t *entries = apr_table_elts(table);
    int i;

    for (i = 0; i < NAME_N && values[i]; i++) {
        if (i == entries->nelts) {
            apr_table_addn(table, names[i], values[i]);
        }
        else if (i < entries->nelts
                 && APR_ARRAY_IDX(entries, i, apr_table_entry_t).key == names[i]) {
            APR_ARRAY_IDX(entries, i, apr_table_entry_t).val = (char *)values[i];
        }
        else {
            apr_table_setn(table, names[i], values[i]);
        }
    }
}

static void set_all(request_rec *r)
{
    const mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_get(r->connection);
    const char *values[NAME_N];

    /* An internal redirect is made before its tables. */
    if (!record || !record->ring || !r->notes || !r->subprocess_env) {
        return;
    }
    values[TICKET] = ticket_word(record);
    values[RING] = record->ring;
    values[KEY] = *record->key_hex ? record->key_hex : NULL;
    set_in(r->notes, values);
    set_in(r->subprocess_env, values);
}

/* Most often nothing has changed since the request was made: its notes begin with what is so now. */
static int is_told(const request_rec *r)
{
    const mod_stek_ticket_outcome_t *record = mod_stek_ticket_outcome_get(r->connection);
    const apr_array_header_t *notes = r->notes ? apr_table_elts(r->notes) : NULL;
    const apr_table_entry_t *entries = notes ? (const apr_table_entry_t *)notes->elts : NULL;
    int n = record && *record->key_hex ? NAME_N : KEY;

    return record && entries && notes->nelts >= n && entries[TICKET].key == names[TICKET]
           && entries[TICKET].val == ticket_word(record) && entries[n - 1].key == names[n - 1];
}

int mod_stek_variables_create_request(request_rec *r)
{
    set_all(r);
    return OK;
}

int mod_stek_variables_translate_name(request_rec *r)
{
    if (r->prev) {
        set_all(r);
    }
    return DECLINED;
}

int mod_stek_variables_log(request_rec *r)
{
    for (; r; r = r->next) {
        if (!is_told(r)) {
            set_all(r);
        }
    }
    return OK;
}
