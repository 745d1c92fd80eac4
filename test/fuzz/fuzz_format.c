/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files of other programs: the first byte chooses the layout, the rest is the file.  What is
 * taken is written and read again, and must be the same keys.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "convert/format.h"

#define KEYS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_and_read(format_e format, const stek_key_t *keys, apr_size_t key_n)
{
    static unsigned char buf[KEYS_MAX * (FORMAT_LINE_LEN + 1)];
    static stek_key_t again[KEYS_MAX];
    const stek_key_t *set[KEYS_MAX];
    apr_size_t len, again_n, i;
    int line;

    for (i = 0; i < key_n; i++) {
        set[i] = &keys[i];
    }
    if (format_emit(format, set, key_n, buf, sizeof(buf), &len) != APR_SUCCESS
        || format_parse(format, buf, len, again, KEYS_MAX, &again_n, &line) != APR_SUCCESS
        || again_n != key_n) {
        abort();
    }
    for (i = 0; i < key_n; i++) {
        if (memcmp(again[i].name, keys[i].name, STEK_NAME_LEN) != 0
            || memcmp(again[i].hmac_key, keys[i].hmac_key, STEK_HMAC_KEY_LEN) != 0
            || memcmp(again[i].aes_key, keys[i].aes_key, STEK_AES_KEY_LEN) != 0) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static stek_key_t keys[KEYS_MAX];
    format_e format, guess;
    apr_size_t key_n;
    int line;

    if (size == 0) {
        return 0;
    }
    format = (format_e)(data[0] % FORMAT_N);
    (void)format_guess(data + 1, size - 1, &guess);
    if (format_parse(format, data + 1, size - 1, keys, KEYS_MAX, &key_n, &line) == APR_SUCCESS) {
        write_and_read(format, keys, key_n);
    }
    return 0;
}
