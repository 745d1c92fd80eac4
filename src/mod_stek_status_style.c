/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The style sheet of the status page (mod_stek_status_style.h).  Colours are named once per scheme,
 * as custom properties; nothing is wider than a phone.  Glue; any thread of a child.
 */
#include "mod_stek_status_style.h"

#include "apr_strings.h"
#include <openssl/err.h>
#include <openssl/evp.h>

const char mod_stek_status_css[] =
    ":root{color-scheme:light dark;--bg:#ffffff;--panel:#f5f7f9;--text:#1c2430;--dim:#55606e;"
    "--line:#d5dae0;--good:#17663a;--bad:#a4232b;--warn:#a86400;--current:#1d8250;--old:#7b8896;"
    "--future:#3a6ea5}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#14181d;--panel:#1b2128;--text:#e6eaef;"
    "--dim:#a3aebb;--line:#39424d;--good:#6fd39a;--bad:#ff9494;--warn:#e0a030;--current:#3fae74;"
    "--old:#7f8d9c;--future:#6aa3dd}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;padding:1rem;max-width:80rem;background:var(--bg);color:var(--text);"
    "font:1rem/1.45 system-ui,sans-serif;overflow-wrap:break-word}\n"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.2rem;margin:0;display:inline}"
    "h3{font-size:1rem;margin:1rem 0 .3rem}\n"
    "h2,.bad,.facts td:last-child,.hosts td{overflow-wrap:anywhere}"
    "p{margin:.3rem 0}a{color:inherit}.panel{margin:1rem 0;padding:.8rem 1rem;"
    "background:var(--panel);border:1px solid var(--line);border-radius:.5rem}\n"
    ".good{color:var(--good);font-weight:600}.bad{color:var(--bad);font-weight:600}"
    ".dim{color:var(--dim);font-size:.875rem}.rate b{font-size:1.2rem}"
    "summary .rate{float:right}\n"
    ".ends{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem}\n"
    ".line{display:block;width:100%;margin:.6rem 0 .2rem;background:var(--bg);"
    "border:1px solid var(--line)}\n"
    ".k-current{fill:var(--current)}.k-old,.k-ended{fill:var(--old)}.k-future{fill:var(--future)}"
    ".dec{fill-opacity:.45}\n"
    ".now{stroke:var(--text);stroke-width:2;vector-effect:non-scaling-stroke}\n"
    ".sw{display:inline-block;width:.8em;height:.8em;vertical-align:-.05em}\n"
    ".cols{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(21rem,100%),1fr));"
    "gap:0 2rem}.cols td:first-child{white-space:nowrap}\n"
    "table{border-collapse:collapse;width:100%;font-size:.875rem}\n"
    "th,td{text-align:left;padding:.2rem .5rem .2rem 0;border-bottom:1px solid var(--line);"
    "vertical-align:middle}th{font-weight:600}.zero{color:var(--dim)}\n"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}"
    ".b{width:24%;white-space:nowrap}\n"
    ".bar{display:block;width:100%;min-width:3rem;height:.6rem}.bar rect{fill:var(--old)}"
    ".resumed rect{fill:var(--current)}.refused rect{fill:var(--warn)}.wrong rect{fill:var(--bad)}"
    ".wrong:not(.zero) .n{color:var(--bad);font-weight:600}\n"
    ".panel:not([open]){margin:.4rem 0}summary{cursor:pointer}summary strong{font-weight:600}code{font-size:.95em}\n"
    "@media (max-width:40rem){body{padding:.5rem}.panel{padding:.7rem}"
    ".cols td:first-child{white-space:normal}summary .rate{float:none;display:block}"
    ".hosts th{display:none}.hosts tr{display:block;padding:.3rem 0;"
    "border-bottom:1px solid var(--line)}"
    ".hosts td{display:inline-block;border:0;padding:0 1rem 0 0;text-align:left}"
    ".hosts td:first-child{display:block;font-weight:600;padding:0}"
    ".hosts td:nth-child(2):not([colspan])::before{content:\"ring \"}"
    ".hosts td:nth-child(3)::before{content:\"tickets \"}"
    ".hosts td:nth-child(4)::before{content:\"binding \"}"
    ".hosts td:nth-child(5)::before{content:\"lifetime \"}"
    ".hosts td:nth-child(6)::before{content:\"max age \"}"
    ".hosts td:nth-child(7)::before{content:\"TLS 1.3 tickets \"}}\n";

const char *mod_stek_status_csp(apr_pool_t *pool)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE];
    unsigned int len = 0;

    if (!EVP_Digest(mod_stek_status_css, sizeof(mod_stek_status_css) - 1, digest, &len,
                    EVP_sha256(), NULL)) {
        ERR_clear_error();
        return NULL;
    }
    EVP_EncodeBlock((unsigned char *)text, digest, (int)len);
    return apr_psprintf(pool,
                        "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
                        "form-action 'none'; frame-ancestors 'none'",
                        text);
}
