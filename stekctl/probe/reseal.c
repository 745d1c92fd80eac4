/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MACs and tags of tickets that the probe makes (reseal.h).  What a MAC covers follows from where it
 * was found (mac_spans.h); what a tag covers is tried out: every piece in front of the text.
 */
#include "reseal.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "checksum.h"
#include "hchacha.h"

#define TAG 16
#define NONCE_USUAL 12
#define COVERS_MAX 64 /* a tag covers a name, a nonce and a length */

/* ---- MACs ---- */

/* The digest or HMAC over two pieces.  0: failed. */
static int make_hash(const probe_hit_t *mac, const unsigned char *first, apr_size_t first_len,
                     const unsigned char *second, apr_size_t second_len, unsigned char *out)
{
    int is_keyed = strncmp(mac->algorithm, "HMAC-", 5) == 0;
    EVP_PKEY *key = is_keyed
                        ? EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, NULL, mac->key, mac->key_len)
                        : NULL;
    EVP_MD *md = EVP_MD_fetch(NULL, mac->algorithm + (is_keyed ? 5 : 0), NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = EVP_MAX_MD_SIZE;
    int is_made = 0;

    if (md && ctx && is_keyed) {
        is_made = key && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1
                  && EVP_DigestSignUpdate(ctx, first, first_len) == 1
                  && EVP_DigestSignUpdate(ctx, second, second_len) == 1
                  && EVP_DigestSignFinal(ctx, out, &len) == 1;
    }
    else if (md && ctx) {
        is_made = EVP_DigestInit_ex(ctx, md, NULL) == 1
                  && EVP_DigestUpdate(ctx, first, first_len) == 1
                  && EVP_DigestUpdate(ctx, second, second_len) == 1
                  && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    }
    EVP_MD_CTX_free(ctx);
    EVP_MD_free(md);
    EVP_PKEY_free(key);
    return is_made;
}

/* The MAC of bytes[len], and in *pother the same in the other order of bytes, if it has one. */
static int make_mac(const probe_hit_t *mac, const unsigned char *bytes, apr_size_t len,
                    unsigned char *out, unsigned char *other)
{
    apr_size_t end = mac->mac_at + mac->mac_len;
    int is_before = mac->text_at < mac->mac_at;
    const unsigned char *first = bytes + mac->text_at, *second = bytes + end;
    apr_size_t first_len = (is_before ? mac->mac_at : len) - mac->text_at;
    apr_size_t second_len = is_before ? len - end : 0, i;

    if (mac->key_len || strncmp(mac->algorithm, "CRC", 3) != 0) {
        return make_hash(mac, first, first_len, second, second_len, out)
               && memcpy(other, out, mac->mac_len);
    }
    probe_checksum_make(first, first_len, second, second_len, out);
    for (i = 0; i < mac->mac_len; i++) {
        other[i] = out[mac->mac_len - 1 - i];
    }
    return 1;
}

int probe_reseal_mac(const probe_hit_t *mac, const unsigned char *was, unsigned char *bytes,
                     apr_size_t len)
{
    unsigned char out[EVP_MAX_MD_SIZE], other[EVP_MAX_MD_SIZE];
    int is_other;

    if (mac->mac_at + mac->mac_len > len || mac->text_at > len || mac->mac_len > sizeof(out)
        || !make_mac(mac, was, len, out, other)) {
        ERR_clear_error();
        return 0;
    }
    is_other = memcmp(out, was + mac->mac_at, mac->mac_len) != 0;
    if ((is_other && memcmp(other, was + mac->mac_at, mac->mac_len) != 0)
        || !make_mac(mac, bytes, len, out, other)) {
        ERR_clear_error();
        return 0;
    }
    memcpy(bytes + mac->mac_at, is_other ? other : out, mac->mac_len);
    return 1;
}

/* ---- tags ---- */

static const char *cipher_name(const probe_hit_t *hit)
{
    return strstr(hit->algorithm, "Poly1305") ? "ChaCha20-Poly1305" : hit->algorithm;
}

/* Key and nonce as OpenSSL takes them. */
static apr_size_t choose_nonce(const probe_tagged_t *tagged, unsigned char *key,
                               unsigned char *nonce)
{
    const probe_hit_t *hit = tagged->cipher;
    const unsigned char *at = tagged->ticket->bytes + hit->iv_at;
    apr_size_t len = hit->no_iv ? NONCE_USUAL : hit->iv_len;

    memcpy(key, hit->key, hit->key_len);
    memset(nonce, 0, EVP_MAX_IV_LENGTH);
    if (strncmp(hit->algorithm, "XChaCha20", 9) == 0) {
        probe_hchacha(hit->key, at, key);
        memcpy(nonce + 4, at + 16, 8);
        return NONCE_USUAL;
    }
    if (!hit->no_iv) {
        memcpy(nonce + hit->iv_before, at, len);
    }
    return hit->iv_before + len + hit->iv_behind;
}

/* enc 0: decrypts in[text_len], if its tag is right; 1: encrypts it and makes its tag. */
static int run_tagged(const probe_tagged_t *tagged, EVP_CIPHER *cipher, int enc,
                      const unsigned char *in, unsigned char *out, unsigned char *tag)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    unsigned char key[PROBE_KEY_MAX], nonce[EVP_MAX_IV_LENGTH];
    int is_ccm = strstr(tagged->cipher->algorithm, "CCM") != NULL, n = 0, last = 0, is_good;
    int nonce_len = (int)choose_nonce(tagged, key, nonce), len = (int)tagged->text_len;
    const unsigned char *covered = tagged->ticket->bytes + tagged->covers_at;

    is_good = ctx && EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, enc) == 1
              && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, nonce_len, NULL) == 1
              && ((enc && !is_ccm)
                  || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, enc ? NULL : tag) == 1)
              && EVP_CipherInit_ex(ctx, NULL, NULL, key, nonce, enc) == 1
              && (!is_ccm || EVP_CipherUpdate(ctx, NULL, &n, NULL, len) == 1)
              && (tagged->covers_len == 0
                  || EVP_CipherUpdate(ctx, NULL, &n, covered, (int)tagged->covers_len) == 1)
              && EVP_CipherUpdate(ctx, out, &n, in, len) == 1
              && (is_ccm || EVP_CipherFinal_ex(ctx, out + n, &last) == 1)
              && (!enc || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG, tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    ERR_clear_error();
    return is_good;
}

/* With the tag there: every piece in front of the text, none first. */
static int try_tag(probe_tagged_t *tagged, EVP_CIPHER *cipher, unsigned char *text)
{
    apr_size_t from = tagged->cipher->text_at, most = from < COVERS_MAX ? from : COVERS_MAX;
    const unsigned char *bytes = tagged->ticket->bytes;
    unsigned char tag[TAG];

    memcpy(tag, bytes + tagged->tag_at, TAG);
    for (tagged->covers_at = 0; tagged->covers_at <= most; tagged->covers_at++) {
        for (tagged->covers_len = tagged->covers_at ? 1 : 0;
             tagged->covers_at + tagged->covers_len <= most; tagged->covers_len++) {
            if (run_tagged(tagged, cipher, 0, bytes + from, text, tag)) {
                return 1;
            }
        }
    }
    return 0;
}

int probe_reseal_open(probe_tagged_t *tagged, apr_size_t mac_len, unsigned char *text)
{
    apr_size_t len = tagged->ticket->len, from = tagged->cipher->text_at;
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_name(tagged->cipher), NULL);
    int is_open = 0;

    if (cipher && EVP_CIPHER_get_flags(cipher) & EVP_CIPH_FLAG_AEAD_CIPHER && len > from + TAG) {
        tagged->tag_at = len - TAG;
        tagged->text_len = len - TAG - from;
        is_open = try_tag(tagged, cipher, text);
        if (!is_open && mac_len > TAG && len > from + mac_len) {
            tagged->tag_at = len - mac_len;
            tagged->text_len = len - mac_len - from;
            is_open = try_tag(tagged, cipher, text);
        }
        if (!is_open && from >= TAG) {
            tagged->tag_at = from - TAG;
            tagged->text_len = len - from;
            is_open = try_tag(tagged, cipher, text);
        }
    }
    EVP_CIPHER_free(cipher);
    return is_open;
}

int probe_reseal_tag(const probe_tagged_t *tagged, const unsigned char *text, unsigned char *bytes)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, cipher_name(tagged->cipher), NULL);
    int is_made = cipher
                  && run_tagged(tagged, cipher, 1, text, bytes + tagged->cipher->text_at,
                                bytes + tagged->tag_at);

    EVP_CIPHER_free(cipher);
    return is_made;
}
