/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Variables of requests (mod_stek_variables.h).  Glue; any thread of a child.
 */
#include "mod_stek_variables.h"

#include "mod_stek_handshake.h"
#include "stek_key.h"

/* STEK_TICKET's word. */
static const char *ticket_word(const mod_stek_handshake_t *record)
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

static void set(request_rec *r, const char *name, const char *value)
{
    apr_table_setn(r->notes, name, value);
    apr_table_setn(r->subprocess_env, name, value);
}

static void set_all(request_rec *r)
{
    const mod_stek_handshake_t *record = mod_stek_handshake_get(r->connection);
    unsigned char name[STEK_NAME_LEN] = {0};

    /* An internal redirect is made before its tables. */
    if (!record || !record->ring || !r->notes || !r->subprocess_env) {
        return;
    }
    set(r, "STEK_TICKET", ticket_word(record));
    set(r, "STEK_RING", record->ring);
    if (record->has_name) {
        memcpy(name, record->name, sizeof(record->name));
        set(r, "STEK_KEY", stek_key_hex(name, apr_palloc(r->pool, STEK_HEX_LEN)));
    }
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
        set_all(r);
    }
    return OK;
}
