/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Details as JSON (json_details.h).  The members are an interface: docs/stekctl-probe.schema.json.
 */
#include "json_details.h"

#include <apr_strings.h>
#include <openssl/tls1.h>

#include "hex.h"
#include "key_digest.h"
#include "verdict.h"
#include "words.h"

static void json_key(json_t *json, const char *name, const char *digest_name,
                     const unsigned char *key, apr_size_t len, int redacts, apr_pool_t *pool)
{
    char text[2 * PROBE_KEY_MAX + 1];

    if (redacts) {
        json_string(json, digest_name, probe_key_digest(key, len, pool));
        return;
    }
    json_string(json, name, probe_hex(key, len, text));
}

static void json_hit(json_t *json, const probe_finding_t *finding, int redacts, apr_pool_t *pool)
{
    const probe_hit_t *hit = finding->hit;

    json_string(json, "algorithm", hit->algorithm);
    if (hit->key_len) {
        json_count(json, "key_length", hit->key_len);
        json_key(json, "key", "key_digest", hit->key, hit->key_len, redacts, pool);
    }
    if (hit->made_by) {
        json_string(json, "made_by", hit->made_by);
        json_count(json, "made_of", hit->made_of);
    }
    if (hit->scheme) {
        json_string(json, "derived_by", hit->scheme);
        json_key(json, "configured_key", "configured_key_digest", hit->configured,
                 hit->configured_len, redacts, pool);
    }
    if (hit->iv_len) {
        json_count(json, "iv_offset", hit->iv_at);
        json_count(json, "iv_length", hit->iv_len);
    }
    if (!hit->is_text_unknown) {
        json_count(json, "text_offset", hit->text_at);
    }
    if (finding->test == PROBE_TEST_MAC_KEY) {
        json_count(json, "mac_offset", hit->mac_at);
        json_count(json, "mac_length", hit->mac_len);
        json_bool(json, "inside_encryption", hit->is_inside);
    }
    else {
        json_count(json, "secret_offset", hit->secret_at);
        json_string(json, "secret_form", hit->form ? hit->form : "as it is");
    }
    json_bool(json, "decoded", hit->is_decoded);
}

/* Of TLS 1.2 and before, a ticket may hold what the probe cannot know. */
static void json_not_searched(json_t *json, const probe_finding_t *finding)
{
    if (finding->version >= TLS1_3_VERSION || finding->is_moot
        || (finding->test != PROBE_TEST_PLAIN && finding->test != PROBE_TEST_CIPHER_KEY)) {
        return;
    }
    json_open(json, "not_searched", '[');
    json_open(json, NULL, '{');
    json_string(json, "secret", "premaster secret");
    json_string(json, "reason", "OpenSSL frees it, and the client's key, during the handshake");
    json_close(json, '}');
    json_close(json, ']');
}

static void json_algorithms(json_t *json, const probe_finding_t *finding)
{
    apr_size_t i;

    json_open(json, "algorithms", '[');
    for (i = 0; i < finding->algorithms_n; i++) {
        json_string(json, NULL, finding->algorithms[i]);
    }
    json_close(json, ']');
}

void probe_json_finding(json_t *json, const probe_finding_t *finding, int redacts, apr_pool_t *pool)
{
    int i;

    if (finding->backends) {
        json_open(json, "backends", '[');
        for (i = 0; i < 64; i++) {
            if (finding->backends >> i & 1) {
                json_number(json, NULL, i);
            }
        }
        json_close(json, ']');
    }
    if (finding->verdict == PROBE_UNTESTED) {
        json_bool(json, "nothing_to_test", finding->is_moot);
    }
    json_not_searched(json, finding);
    if (finding->keys_n) {
        json_count(json, "keys", finding->keys_n);
        json_count(json, "forms", finding->forms_n);
        json_count(json, "searched_tickets", finding->tickets_n);
        json_algorithms(json, finding);
    }
    if (finding->seen_inside) {
        json_bool(json, "searched_inside", finding->seen_inside > 0);
    }
    if (finding->numbers_n) {
        json_count(json, "times", finding->numbers_n);
        json_count(json, "time_forms", finding->ways_n);
        json_bool(json, "times_complete", !finding->is_cut);
    }
    if (finding->detectable_us) {
        json_number(json, "detectable_microseconds", finding->detectable_us);
    }
    if (finding->forged) {
        json_string(json, "forged",
                    finding->forged == PROBE_FORGED_ACCEPTED  ? "accepted"
                    : finding->forged == PROBE_FORGED_REFUSED ? "refused"
                                                              : "not tried");
    }
    if (finding->hit) {
        json_open(json, "found", '{');
        json_hit(json, finding, redacts, pool);
        json_close(json, '}');
    }
}

void probe_json_host(json_t *json, const probe_host_t *host, apr_pool_t *pool)
{
    int i;

    json_string(json, "verdict", probe_verdict_name(probe_verdict(host)));
    json_string(json, "verdict_text", probe_verdict_text(host, pool));
    json_time(json, "time", host->at);
    json_string(json, "address", host->address);
    json_open(json, "untested", '[');
    for (i = 0; i < host->findings->nelts; i++) {
        const probe_finding_t *finding = &APR_ARRAY_IDX(host->findings, i, probe_finding_t);

        if (probe_verdict_is_untested(finding)) {
            json_open(json, NULL, '{');
            json_string(json, "version", probe_version_name(finding->version));
            json_string(json, "test", probe_test_name(finding->test));
            json_string(json, "reason", finding->text);
            json_close(json, '}');
        }
    }
    json_close(json, ']');
}
