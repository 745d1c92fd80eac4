/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in front of libcrypto (LD_PRELOAD) and breaks one thing for mod_stek_rotate alone, as
 * named by STEK_FAULT: "mac" or "cipher": the key that it hands over is not the one that is used;
 * "refused": a key is not taken; "constant" or "failing": its random generator; "vectors": in
 * processes forked, the cipher of initialisation vectors.  For the integration tests.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fault_is(const char *name, void *caller)
{
    const char *fault = getenv("STEK_FAULT");
    Dl_info info;

    return fault && strcmp(fault, name) == 0 && dladdr(caller, &info) && info.dli_fname
           && strstr(info.dli_fname, "mod_stek_rotate");
}

int EVP_MAC_CTX_set_params(EVP_MAC_CTX *ctx, const OSSL_PARAM params[])
{
    int (*real)(EVP_MAC_CTX *, const OSSL_PARAM[]) = dlsym(RTLD_NEXT, __func__);
    static unsigned char other[32] = "another key than the audited one";
    OSSL_PARAM changed[8];
    size_t i;

    if (!fault_is("mac", __builtin_return_address(0))) {
        return real(ctx, params);
    }
    for (i = 0; i < 7 && params[i].key; i++) {
        changed[i] = params[i];
        if (strcmp(params[i].key, OSSL_MAC_PARAM_KEY) == 0) {
            changed[i].data = other;
        }
    }
    changed[i] = OSSL_PARAM_construct_end();
    return real(ctx, changed);
}

int EVP_CipherInit_ex(EVP_CIPHER_CTX *ctx, const EVP_CIPHER *type, ENGINE *impl,
                      const unsigned char *key, const unsigned char *iv, int enc)
{
    int (*real)(EVP_CIPHER_CTX *, const EVP_CIPHER *, ENGINE *, const unsigned char *,
                const unsigned char *, int) = dlsym(RTLD_NEXT, __func__);
    static const unsigned char other[32] = "another key than the audited one";

    /* Only to encrypt: EVP_DecryptInit_ex, by which the self-test opens, ends in a jump to this. */
    if (enc && fault_is("refused", __builtin_return_address(0))) {
        return 0;
    }
    if (enc && fault_is("cipher", __builtin_return_address(0))) {
        key = other;
    }
    return real(ctx, type, impl, key, iv, enc);
}

EVP_CIPHER *EVP_CIPHER_fetch(OSSL_LIB_CTX *libctx, const char *name, const char *properties)
{
    EVP_CIPHER *(*real)(OSSL_LIB_CTX *, const char *, const char *) = dlsym(RTLD_NEXT, __func__);
    static pid_t first;

    if (fault_is("vectors", __builtin_return_address(0)) && strcmp(name, "AES-256-ECB") == 0) {
        first = first ? first : getpid();
        if (getpid() != first) {
            return NULL;
        }
    }
    return real(libctx, name, properties);
}

int RAND_priv_bytes(unsigned char *bytes, int len)
{
    int (*real)(unsigned char *, int) = dlsym(RTLD_NEXT, __func__);

    if (fault_is("failing", __builtin_return_address(0))) {
        return 0;
    }
    if (fault_is("constant", __builtin_return_address(0))) {
        memset(bytes, 0x5a, (size_t)len);
        return 1;
    }
    return real(bytes, len);
}
