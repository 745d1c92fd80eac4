/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hosts have in common, as text and JSON (across_print.h).  The members are an interface:
 * docs/stekctl-probe.schema.json.
 */
#include "across_print.h"

#include <apr_strings.h>
#include <stdio.h>

#include "analysis.h"
#include "hex.h"
#include "key_digest.h"
#include "report.h"

#define HOSTS_MAX 20 /* of a group, for people */

typedef struct printer_t {
    json_t *json; /* NULL: text */
    int redacts, groups_n;
    apr_pool_t *pool;
} printer_t;

static const char *bytes_text(const printer_t *printer, const probe_group_t *group)
{
    char text[2 * PROBE_COMMON_MAX + 1];

    if (group->kind == PROBE_COMMON_KEY && printer->redacts && !group->is_digest) {
        return probe_key_digest(group->bytes, group->len, printer->pool);
    }
    return apr_pstrcat(printer->pool, group->is_digest ? "sha256:" : "",
                       probe_hex(group->bytes, group->len, text), NULL);
}

static void count(const probe_group_t *group, void *data)
{
    printer_t *printer = data;

    (void)group;
    printer->groups_n++;
}

static void print_text(const probe_group_t *group, void *data)
{
    printer_t *printer = data;
    int i;

    if (printer->groups_n++ == 0) {
        printf("hosts with something in common\n");
    }
    switch (group->kind) {
    case PROBE_COMMON_NAME:
        printf("  key name %s (%s)", bytes_text(printer, group),
               probe_analysis_layout((probe_layout_e)group->layout));
        break;
    case PROBE_COMMON_KEY:
        printf("  weak key %s", bytes_text(printer, group));
        break;
    default:
        printf("  tickets of one resume at another");
    }
    printf(", %d hosts:", group->hosts_n);
    for (i = 0; i < group->hosts_n && i < HOSTS_MAX; i++) {
        printf(" %s", report_path(group->hosts[i], printer->pool));
    }
    if (i < group->hosts_n) {
        printf(" and %d more", group->hosts_n - i);
    }
    putchar('\n');
    apr_pool_clear(printer->pool);
}

static void print_json(const probe_group_t *group, void *data)
{
    static const char *const kinds[] = {"key name", "key", "tickets"};
    printer_t *printer = data;
    json_t *json = printer->json;
    int i;

    json_open(json, NULL, '{');
    json_string(json, "common", kinds[group->kind]);
    if (group->kind == PROBE_COMMON_NAME) {
        json_string(json, group->is_digest ? "key_name_digest" : "key_name",
                    bytes_text(printer, group));
        json_string(json, "layout", probe_analysis_layout((probe_layout_e)group->layout));
    }
    else if (group->kind == PROBE_COMMON_KEY) {
        json_string(json, group->is_digest || printer->redacts ? "key_digest" : "key",
                    bytes_text(printer, group));
    }
    json_open(json, "hosts", '[');
    for (i = 0; i < group->hosts_n; i++) {
        json_string(json, NULL, group->hosts[i]);
    }
    json_close(json, ']');
    json_close(json, '}');
    apr_pool_clear(printer->pool);
}

void probe_across_print(probe_across_t *across, int redacts, apr_pool_t *pool)
{
    printer_t printer = {.redacts = redacts};
    apr_size_t left_out_n = probe_across_left_out(across);

    apr_pool_create(&printer.pool, pool);
    (void)probe_across_groups(across, print_text, &printer);
    if (left_out_n) {
        printf("too many hosts: %" APR_SIZE_T_FMT " key names and keys were not compared\n",
               left_out_n);
    }
    apr_pool_destroy(printer.pool);
}

void probe_across_json(json_t *json, probe_across_t *across, int redacts, apr_pool_t *pool)
{
    printer_t printer = {.json = json, .redacts = redacts};

    apr_pool_create(&printer.pool, pool);
    json_open(json, "groups", '[');
    (void)probe_across_groups(across, print_json, &printer);
    json_close(json, ']');
    json_count(json, "not_compared", probe_across_left_out(across));
    apr_pool_destroy(printer.pool);
}

void probe_across_print_json_line(probe_across_t *across, int redacts, apr_pool_t *pool)
{
    printer_t printer = {.groups_n = 0};
    json_t json;

    (void)probe_across_groups(across, count, &printer);
    if (printer.groups_n == 0 && probe_across_left_out(across) == 0) {
        return;
    }
    json_begin(&json, stdout);
    json_open(&json, NULL, '{');
    probe_across_json(&json, across, redacts, pool);
    json_close(&json, '}');
    json_end(&json);
}
