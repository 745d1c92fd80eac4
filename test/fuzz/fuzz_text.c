/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts that become others: times as administrators write them, and names of rings and hosts in
 * HTML, JSON and metrics.
 */
#include "fuzz.h"

#include <apr_strings.h>

#include "stek_escape.h"
#include "stek_time.h"

#define TEXT_MAX 512

static void check_time(const char *text, apr_pool_t *pool)
{
    apr_interval_time_t span, again;

    if (stek_time_parse(text, &span) == APR_SUCCESS) {
        HOLDS(span >= 0 && span % APR_USEC_PER_SEC == 0);
        /* What has more digits is not read again. */
        HOLDS(span > apr_time_from_sec(999999999)
              || (stek_time_parse(stek_time_text(span, pool), &again) == APR_SUCCESS
                  && again == span));
    }
}

static void check_utf8(const char *text)
{
    while (*text) {
        int len = stek_utf8_len(text);

        HOLDS(len >= 0 && len <= 4 && strnlen(text, 4) >= (size_t)len);
        text += len > 0 ? len : 1;
    }
}

static void check_escapes(const char *text, apr_pool_t *pool)
{
    const char *html = stek_escape_html(text, pool);
    const char *json = stek_escape_json(text, pool);
    const char *label = stek_escape_label(text, pool), *at;

    HOLDS(!strpbrk(html, "<>\"'"));
    for (at = json; *at; at++) {
        HOLDS((unsigned char)*at >= 0x20 && *at != '"' && *at != '<');
        if (*at == '\\') {
            at++;
            HOLDS(*at && strchr("\\\"/bfnrtu", *at));
        }
    }
    for (at = label; *at; at++) {
        HOLDS(*at != '\n' && *at != '"');
        if (*at == '\\') {
            at++;
            HOLDS(*at && strchr("\\\"n", *at));
        }
    }
    check_utf8(html);
    check_utf8(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    const char *text = apr_pstrmemdup(pool, (const char *)data, size < TEXT_MAX ? size : TEXT_MAX);

    check_time(text, pool);
    check_utf8(text);
    check_escapes(text, pool);
    apr_pool_clear(pool);
    return 0;
}
