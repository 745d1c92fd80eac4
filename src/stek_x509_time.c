/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times of certificates and CRLs (stek_x509_time.h).  Core; pure, any thread and phase.
 */
#include "stek_x509_time.h"

#define UTC_LEN 13         /* YYMMDDHHMMSSZ */
#define GENERALIZED_LEN 15 /* YYYYMMDDHHMMSSZ */

/* ASN1_TIME_cmp_time_t() takes offsets, fractions and times without seconds, too. */
static int has_allowed_form(const ASN1_TIME *t)
{
    const unsigned char *text = ASN1_STRING_get0_data(t);
    int i, len = ASN1_STRING_length(t), type = ASN1_STRING_type(t);

    if (!(type == V_ASN1_UTCTIME && len == UTC_LEN)
        && !(type == V_ASN1_GENERALIZEDTIME && len == GENERALIZED_LEN)) {
        return 0;
    }
    for (i = 0; i < len - 1; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return 0;
        }
    }
    return text[len - 1] == 'Z';
}

int stek_x509_time_compare(const ASN1_TIME *t, apr_time_t now)
{
    int order = has_allowed_form(t) ? ASN1_TIME_cmp_time_t(t, (time_t)apr_time_sec(now)) : -2;

    return order == -2 ? 0 : order > 0 ? 1 : -1;
}
