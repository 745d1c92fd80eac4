/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The secret file, local and fleet's.  What is taken is written, read again and the same; a set
 * with a day moves on by one and derives what seals.
 */
#include "fuzz.h"

#include "stek_audit.h"
#include "fleet/ratchet.h"
#include "stek_secret.h"

static void move_on(stek_secrets_t *secrets)
{
    stek_secrets_t *keys = NULL;
    apr_int32_t day = secrets->day, moved = 0;

    if (ratchet_keys(secrets, day + 1, &keys) == APR_SUCCESS) {
        HOLDS(keys->n == secrets->n && keys->day == 0);
        stek_secrets_destroy(keys);
    }
    if (ratchet_move(secrets, day + 1, &moved) == APR_SUCCESS) {
        HOLDS(day == 0 ? moved == 0 : secrets->day == day + moved);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    stek_secrets_t *secrets = NULL, *again = NULL;
    char text[STEK_SECRET_FILE_MAX];
    apr_size_t len = 0, i;
    int line = 0;

    if (size > STEK_SECRET_FILE_MAX
        || stek_secrets_parse((const char *)data, size, &secrets, &line) != APR_SUCCESS) {
        HOLDS(!secrets && line >= 0);
        return 0;
    }
    HOLDS(secrets->n >= 1 && secrets->n <= STEK_SECRETS_MAX);
    for (i = 0; i < secrets->n; i++) {
        HOLDS(stek_audit_bytes(secrets->secrets[i].bytes, STEK_SECRET_LEN) == STEK_WEAK_NONE);
    }
    HOLDS(stek_secrets_text(secrets, text, sizeof(text), &len) == APR_SUCCESS);
    HOLDS(stek_secrets_parse(text, len, &again, NULL) == APR_SUCCESS);
    HOLDS(stek_secrets_equal(secrets, again));
    if (secrets->n <= 2) {
        move_on(secrets);
    }
    stek_secrets_destroy(again);
    stek_secrets_destroy(secrets);
    return 0;
}
