/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HChaCha20 (hchacha.h): one lane of many.
 */
#include "hchacha.h"

#include "chacha_lanes.h"

void probe_hchacha(const unsigned char *key, const unsigned char *nonce, unsigned char *out)
{
    probe_chacha_t in = {0}, made;
    int i;

    for (i = 0; i < 8; i++) {
        in.words[4 + i][0] = probe_chacha_word(key + 4 * i);
    }
    for (i = 0; i < 4; i++) {
        in.words[12 + i][0] = probe_chacha_word(nonce + 4 * i);
    }
    probe_chacha_permute(&in, &made);
    for (i = 0; i < 32; i++) {
        apr_uint32_t word = made.words[i < 16 ? i / 4 : 12 + (i - 16) / 4][0];

        out[i] = (unsigned char)(word >> 8 * (i % 4));
    }
}
