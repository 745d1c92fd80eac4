/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl: see, rotate, revoke, audit, import and export rings.  Global options, the table of
 * commands, usage; each command is in its room.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/convert.h"
#include "fleet/fleet.h"
#include "options.h"
#include "probe/probe.h"
#include "report.h"
#include "ring/ring.h"
#include "stek_ring_file.h"
#include "stek_version.h"

static const ctl_command_t commands[] = {
    {"new", cmd_new, "[--interval TIME] [--lifetime TIME] [--ahead N]",
     "Makes a ring with its first keys, and the secret file that seals it if there is none.\n"
     "Refuses to overwrite a ring.\n\n"
     "  --interval TIME  length of a slot (1h)\n"
     "  --lifetime TIME  how long a key decrypts after its slot (18h)\n"
     "  --ahead N        slots prepared in advance (1)\n\n"
     "TIME is a number and s, min, h or d.\n"},
    {"show", cmd_show, "[--watch]",
     "Shows the keys of a ring, which of them encrypts, and what is wrong with it.\n"
     "Exits with 1 if something is.\n\n"
     "  --watch  redraws every second; q or Ctrl-C ends\n"},
    {"rotate", cmd_rotate, "[--in TIME]",
     "Adds a new key that encrypts from now, or from TIME ahead, to the end of that slot.\n"
     "The former key becomes old: it decrypts until its end.\n\n"
     "  --in TIME  a number and s, min, h or d\n"},
    {"revoke", cmd_revoke, "NAME... | --all",
     "Ends keys at once, for good: tickets under them get a full handshake.  NAME is the\n"
     "key's name in hex, 8 digits or more.  A key that encrypts is replaced.\n\n"
     "  --all  every key, also those that this file does not hold, and makes new ones\n"},
    {"audit", cmd_audit, "[--format FORMAT] FILE...",
     "Says of each key in rings and key files of other programs whether it is weak.\n"
     "Exits with 1 if one is.\n\n"
     "  --format FORMAT  nginx, haproxy, apache, ats, lighttpd or dnsdist; guessed if\n"
     "                   not given\n"},
    {"import", cmd_import, "--format FORMAT [--allow-aes128] FILE...",
     "Adds keys of another program to the ring: the one that encrypts there encrypts here\n"
     "until the end of this slot, the others only decrypt.  All or nothing.\n\n"
     "  --format FORMAT  nginx, haproxy, apache, ats, lighttpd or dnsdist\n"
     "  --allow-aes128   takes 48-byte keys too; they only decrypt\n"},
    {"export", cmd_export,
     "--format FORMAT --out PATH [--owner USER] [--socket PATH]\n"
     "                [--force] [--follow [--exec COMMAND]]",
     "Writes the ring's keys as another program reads them, mode 0600.  Overwrites nothing\n"
     "but what an earlier export has written.\n\n"
     "  --format FORMAT  nginx (PATH is a directory), haproxy, apache, ats, lighttpd\n"
     "                   or dnsdist\n"
     "  --owner USER     gives the files to USER\n"
     "  --socket PATH    haproxy: also tells the running process over its stats socket\n"
     "  --force          overwrites the file at PATH, whatever it holds\n"
     "  --follow         goes on and keeps the files in step with the ring\n"
     "  --exec COMMAND   runs COMMAND by /bin/sh after each change\n"},
    {"probe", cmd_probe,
     "[--sni NAME...] [--tls 1.2,1.3] [--tickets N] [--level quick|normal|deep]\n"
     "                [--watch TIME] [--rate N] [--json] HOST[:PORT]...",
     "Says what an attacker would learn from the session tickets of a server: weak keys,\n"
     "changed tickets that are taken, and more.  Any server; probe only your own.\n"
     "Exits with 1 if something is found.\n\n"
     "  --sni NAME       asks for this name; more, by commas or again: tickets of the first\n"
     "                   are offered to the others\n"
     "  --tls VERSIONS   1.2, 1.3 or both\n"
     "  --tickets N      at most N full handshakes per version (10); how many connections\n"
     "                   may offer tickets depends on the level\n"
     "  --level LEVEL    quick: seconds, up to 40 offers per version; normal: each byte of a\n"
     "                   ticket changed, up to 3,600; deep: each bit, response times, more\n"
     "                   keys, up to 9,240 (normal)\n"
     "  --watch TIME     goes on for TIME and sees keys rotate\n"
     "  --rate N         at most N connections a second (100)\n"},
    {"secret", cmd_secret, "new [--fleet [--ratchet]] | roll [--reseal] | retire",
     "Keeps the secret file that --secret names.\n\n"
     "  new              makes it; --fleet: with a fleet's ring id; --ratchet: 'stekctl sync'\n"
     "                   replaces it by its successor each day\n"
     "  roll             adds a new first secret; --reseal: seals the ring under it at once\n"
     "  retire           drops all but the first, once the ring is sealed under that\n"},
    {"sync", cmd_sync, "NAME | --config FILE | --store URL... --fleet-secret PATH [OPTION]...",
     "Keeps the ring equal with those of a fleet's other hosts, through memcached or Redis.\n"
     "NAME means /etc/stek/NAME.conf, whose lines are 'option value'.\n\n"
     "  --store URL           memcached://HOST[:PORT] or redis://[USER@]HOST[:PORT][/DB];\n"
     "                        several: each is read and written\n"
     "  --fleet-secret PATH   seals what the stores get; the same file on each host\n"
     "  --password PATH       the file whose first line logs in to Redis\n"
     "  --no-generate         makes no keys, only passes them on ('generate off')\n"
     "  --interval TIME, --lifetime TIME, --ahead N\n"
     "                        of the keys it makes (1h, 18h, 1); the same on each host\n"
     "  --every TIME          length of a cycle (10s)\n"
     "  --timeout TIME        of each call to a store (3s)\n"
     "  --once                one cycle, for cron\n"
     "  --status              tells how stores and ring stand; changes nothing\n\n"
     "SIGHUP re-reads the secrets, SIGTERM ends it.\n"},
};

#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

enum { OPTION_RING = 1, OPTION_SECRET, OPTION_JSON, OPTION_INSTANCE, OPTION_VERSION };

static const struct option global_options[] = {
    {"ring", required_argument, NULL, OPTION_RING},
    {"secret", required_argument, NULL, OPTION_SECRET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"instance", required_argument, NULL, OPTION_INSTANCE},
    {"version", no_argument, NULL, OPTION_VERSION},
    CTL_OPTION_HELP,
    CTL_OPTION_END,
};

static void print_help(void)
{
    apr_size_t i;

    puts("usage: stekctl [--ring PATH] [--secret PATH] [--instance NAME] [--json] COMMAND\n");
    for (i = 0; i < COMMANDS_N; i++) {
        printf("  %-7s %s\n", commands[i].name, commands[i].arguments);
    }
    puts("\n"
         "  --ring PATH      the file ring; default: that of the machine's httpd, or $STEK_RING\n"
         "  --secret PATH    the file that seals it; default: RING with .secret for .ring, or\n"
         "                   $STEK_SECRET\n"
         "  --instance NAME  Debian's apache2@NAME\n"
         "  --json           one JSON value on standard output\n\n"
         "Exit codes: 0 done, 1 a finding, 2 usage, 3 refused input, 4 input or output failed.\n"
         "'stekctl COMMAND --help' tells more, stekctl(8) all.");
}

/* DefaultRuntimeDir of the machine's httpd: Debian's, or that of others where only it is there. */
static const char *runtime_dir(const char *instance, apr_pool_t *pool)
{
    struct stat st;

    if (instance) {
        return apr_psprintf(pool, "/run/apache2-%s", instance);
    }
    if (stat("/run/apache2", &st) != 0 && stat("/run/httpd", &st) == 0) {
        return "/run/httpd";
    }
    return "/run/apache2";
}

static const char *from_environment(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): one thread */

    return value && *value ? value : NULL;
}

static void settle_paths(ctl_t *ctl, const char *instance)
{
    if (!ctl->ring_path && !instance) {
        ctl->ring_path = from_environment("STEK_RING");
    }
    if (!ctl->ring_path) {
        ctl->ring_path = apr_pstrcat(ctl->pool, runtime_dir(instance, ctl->pool),
                                     "/stek_rotate/default.ring", NULL);
    }
    if (!ctl->secret_path && !instance) {
        ctl->secret_path = from_environment("STEK_SECRET");
    }
    if (!ctl->secret_path) {
        ctl->secret_path = stek_secret_path_beside(ctl->ring_path, ctl->pool);
    }
}

static ctl_exit_e run_command(ctl_t *ctl, int argc, char **argv)
{
    apr_size_t i;

    for (i = 0; i < COMMANDS_N; i++) {
        if (!strcmp(commands[i].name, argv[0])) {
            ctl->command = &commands[i];
            optind = 0; /* glibc: start anew */
            return report_finish(commands[i].run(ctl, argc, argv));
        }
    }
    return report_usage(ctl, "unknown command '%s'", argv[0]);
}

/* Options in front of the command.  Nonzero: *pcode is the exit code. */
static int global_option(ctl_t *ctl, int option, const char **pinstance, char **argv,
                         ctl_exit_e *pcode)
{
    *pcode = CTL_DONE;
    switch (option) {
    case OPTION_RING:
        ctl->ring_path = optarg;
        return 0;
    case OPTION_SECRET:
        ctl->secret_path = optarg;
        return 0;
    case OPTION_JSON:
        ctl->json = 1;
        return 0;
    case OPTION_INSTANCE:
        *pinstance = optarg;
        if (!*optarg || strchr(optarg, '/')) {
            *pcode = report_usage(ctl, "instance '%s': must be a name", optarg);
            return 1;
        }
        return 0;
    case OPTION_VERSION:
        printf("stekctl " STEK_VERSION "\nstores: %s\n", fleet_store_names());
        return 1;
    case 'h':
        print_help();
        return 1;
    default:
        *pcode = report_usage(ctl,
                              option == ':' ? "option '%s' wants a value" : "unknown option '%s'",
                              argv[optind - 1]);
        return 1;
    }
}

int main(int argc, char **argv)
{
    const char *instance = NULL, *inexact;
    ctl_t ctl = {0};
    ctl_exit_e code;
    int option;

    (void)setlocale(LC_CTYPE, ""); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)signal(SIGPIPE, SIG_IGN);
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&ctl.pool, NULL) != APR_SUCCESS) {
        report_line("out of memory; try again");
        return CTL_IO;
    }
    ctl.owner = geteuid();
    inexact = options_inexact(argc, argv, global_options, 1);
    if (inexact) {
        return report_usage(&ctl, "unknown option '%s'", inexact);
    }
    while ((option = getopt_long(argc, argv, "+:", global_options, NULL)) != -1) {
        if (global_option(&ctl, option, &instance, argv, &code)) {
            return report_finish(code);
        }
    }
    if (optind == argc) {
        return report_usage(&ctl, "a command is wanted");
    }
    if ((ctl.ring_path && !*ctl.ring_path) || (ctl.secret_path && !*ctl.secret_path)) {
        return report_usage(&ctl, "a path is wanted, not an empty text");
    }
    settle_paths(&ctl, instance);
    return run_command(&ctl, argc - optind, argv + optind);
}
