/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stekctl: shows, rotates, revokes, audits, imports, exports and shares rings, and probes servers.
 * This file has the global options, the table of commands and the usage text; the commands are in
 * their own folders.
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
#include "stek_secret_file.h"
#include "stek_version.h"
#include "suggestion.h"
#include "wrap.h"

#define HELP_WAIT                                                                                  \
    "  --wait[=TIME]          waits until all hosts of the fleet have applied the change;\n"       \
    "                         after TIME (1min), names those that have not, and exits with 6\n"    \
    "  --fleet NAME           the fleet of /etc/stek/NAME.conf; NAME may also be a file's path\n"  \
    "                         (default: the fleet whose ring this is)\n"                           \
    "  --fleet-secret PATH    that fleet's secret (default: as for 'stekctl fleet')\n"

static const ctl_command_t commands[] = {
    {"new", cmd_new, "[--interval TIME] [--lifetime TIME] [--ahead N]",
     "Creates a ring with its first keys, and the secret file if there is none.\n"
     "Does not overwrite an existing ring.\n\n"
     "  --interval TIME  how long each key encrypts: its slot (default: 1h)\n"
     "  --lifetime TIME  how long it still decrypts after its slot (default: 18h)\n"
     "  --ahead N        how many slots to prepare keys for in advance (default: 1)\n\n"
     "TIME is a number followed by s, min, h or d.\n"},
    {"show", cmd_show, "[--watch] [NAME]",
     "Shows a ring's keys, which of them encrypts, and last of all whether anything is wrong\n"
     "with the ring.  Exits with 1 if so.  NAME is a ring's name, as in StekRing: its file is\n"
     "NAME.ring beside that of the ring 'default'.\n\n"
     "  --watch  redraws every second; press q or Ctrl-C to quit\n"},
    {"rotate", cmd_rotate, "[--in TIME] [--wait[=TIME] [--fleet NAME] [--fleet-secret PATH]]",
     "Adds a key that encrypts from now (or after TIME) until the end of its slot.\n"
     "From then on, the previous key only decrypts, until its lifetime is over.\n\n"
     "  --in TIME              starts after TIME instead of now; a number followed by s, min,\n"
     "                         h or d\n" HELP_WAIT},
    {"revoke", cmd_revoke, "{NAME... | --all} [--wait[=TIME] [--fleet NAME] [--fleet-secret PATH]]",
     "Revokes keys at once and permanently: tickets sealed with them no longer work, and\n"
     "clients do a full handshake.  NAME is the key's name in hex, or at least its\n"
     "first 8 digits.  A new key replaces a revoked current key.\n\n"
     "  --all                  revokes all keys, even ones that only other hosts have, and makes\n"
     "                         new ones\n" HELP_WAIT},
    {"audit", cmd_audit, "[--format FORMAT] FILE...",
     "Audits every key in rings and other programs' key files.\n"
     "Exits with 1 if a key is weak.\n\n"
     "  --format FORMAT  nginx, haproxy, apache, ats, lighttpd or dnsdist; guessed by\n"
     "                   default\n"},
    {"import", cmd_import, "--format FORMAT [--allow-aes128] FILE...",
     "Adds another program's keys to the ring.  The key that encrypts there encrypts here\n"
     "until the end of the current slot; the others only decrypt.  If a key is refused,\n"
     "nothing is imported.\n\n"
     "  --format FORMAT  nginx, haproxy, apache, ats, lighttpd or dnsdist\n"
     "  --allow-aes128   imports 48-byte keys too; they only decrypt\n"},
    {"export", cmd_export,
     "--format FORMAT --out PATH [--owner USER] [--socket PATH]\n"
     "                [--force] [--follow [--exec COMMAND]]",
     "Writes the ring's keys for another program to read, with mode 0600.  Overwrites only\n"
     "what an earlier export wrote.\n\n"
     "  --format FORMAT  nginx (PATH is a directory), haproxy, apache, ats, lighttpd,\n"
     "                   dnsdist, envoy or kubernetes-secret\n"
     "  --owner USER     makes USER the owner of the files\n"
     "  --socket PATH    haproxy: also sets the keys in the running process, over its stats\n"
     "                   socket\n"
     "  --force          overwrites the file at PATH, whatever it contains\n"
     "  --follow         keeps running, and updates the files whenever the ring changes\n"
     "  --exec COMMAND   runs COMMAND with /bin/sh after every change\n"},
    {"probe", cmd_probe,
     "[--sni NAME...] [--tls VERSIONS] [--tickets N] [--level quick|normal|deep]\n"
     "                [--watch TIME] [--rate N] [--keys FILE] [--redact]\n"
     "                [--starttls PROTOCOL] [--alpn NAMES] [--cert PATH [--key PATH]] [--proxy URL]\n"
     "                [--json] [--csv FILE] [--collect FILE] HOST[:PORT] | URL... |\n"
     "                --hosts FILE [--at-once N] [--total-rate N] [--resume FILE] |\n"
     "                --analyse FILE",
     "Reports what an attacker could learn from a server's session tickets: weak keys,\n"
     "altered tickets that the server accepts, and more.  Works with any server; probe only\n"
     "your own.  Exits with 1 if there is a finding.\n\n"
     "  --sni NAME       server name to send (SNI); with several (separated by commas, or repeat\n"
     "                   the option), tickets for the first are also offered under the others\n"
     "  --tls VERSIONS   1.0, 1.1, 1.2 or 1.3, or several (1.2,1.3)\n"
     "  --tickets N      at most N full handshakes per version (10); the level limits\n"
     "                   connections that present a ticket\n"
     "  --level LEVEL    quick: takes seconds; up to 43 connections that present a ticket, per\n"
     "                   version; normal: up to 384 bytes of a ticket altered, 1,940 connections;\n"
     "                   deep: every bit, response times, more keys, 9,240 (default: normal)\n"
     "  --watch TIME     keeps watching for TIME, to see keys rotate\n"
     "  --rate N         at most N connections per second (100)\n"
     "  --keys FILE      also tries the keys in FILE, one per line: text, hex or base64\n"
     "  --redact         shows digests of the keys that it finds\n"
     "  --starttls PROTOCOL\n"
     "                   asks for TLS first: smtp, imap, pop3, ldap, postgres or mysql\n"
     "  --alpn NAMES     protocols to offer, separated by commas\n"
     "  --cert PATH, --key PATH\n"
     "                   the client certificate to show, and its key, in PEM\n"
     "  --proxy URL      goes through a proxy:\n"
     "                   socks5://[USER:PASSWORD@]HOST[:PORT]\n"
     "                   or http://...; in a password, write %, @ and / as %25, %40 and %2F\n"
     "  --csv FILE       writes a table of verdicts\n"
     "  --collect FILE   keeps the tickets, and the secrets of the probe's own sessions\n"
     "  --analyse FILE   examines what --collect has kept, without a network\n"
     "  --hosts FILE     probes the hosts in FILE (-: standard input), one per line, many at a\n"
     "                   time; --json then prints a line per host\n"
     "  --at-once N      at most N hosts at a time (1000)\n"
     "  --total-rate N   at most N connections per second to all hosts (2000); --rate is for one\n"
     "                   address\n"
     "  --resume FILE    remembers in FILE what is done; the same command continues from there\n"},
    {"secret", cmd_secret, "new [--fleet [--ratchet]] | roll [--reseal] | retire",
     "Manages the secret file given by --secret.\n\n"
     "  new              creates it; --fleet: makes a fleet secret, with a new fleet ID;\n"
     "                   --ratchet: 'stekctl sync' replaces the secret with its successor every\n"
     "                   day\n"
     "  roll             adds a new secret ahead of the existing ones; --reseal: seals the ring\n"
     "                   with it at once\n"
     "  retire           removes all secrets but the first, once the ring is sealed with it\n"},
    {"sync", cmd_sync, "NAME | --config FILE | --store URL... --fleet-secret PATH [OPTION]...",
     "Keeps the ring in step with a fleet's other hosts, through memcached, Redis or etcd.\n"
     "NAME means /etc/stek/NAME.conf, whose lines are 'option value'.\n\n"
     "  --store URL           memcached://[USER@]HOST[:PORT], memcached+unix://[USER@]/PATH,\n"
     "                        redis[s]://[USER@]HOST[:PORT][,HOST...][/DB] (several: a cluster),\n"
     "                        redis[s]+sentinel://[USER@]HOST[:PORT][,HOST...]/PRIMARY[/DB],\n"
     "                        redis+unix://[USER@]/PATH[?db=DB] or\n"
     "                        etcd[s]://[USER@]HOST[:PORT][,HOST...]/PREFIX; repeat the\n"
     "                        option for several stores: all are read and written\n"
     "  --fleet-secret PATH   seals what is sent to stores; use the same file on every host\n"
     "  --password PATH       the file whose first line is the password for the store\n"
     "  --store-ca PATH       the CAs to trust for rediss:// and etcds:// (default: the\n"
     "                        system's)\n"
     "  --store-cert PATH, --store-key PATH\n"
     "                        this host's certificate and key for rediss:// and etcds://\n"
     "  --floor PATH          keeps a record of revocations on disk, so that they survive a\n"
     "                        reboot; 'none' turns this off (default under systemd: in\n"
     "                        StateDirectory=)\n"
     "  --no-generate         makes no keys; only passes them on ('generate off')\n"
     "  --interval TIME, --lifetime TIME, --ahead N\n"
     "                        for the keys that this host makes (1h, 18h, 1); use the same\n"
     "                        values on every host\n"
     "  --every TIME          how often to run a cycle (10s)\n"
     "  --timeout TIME        limit for every call to a store (3s)\n"
     "  --announce NAME       this host's name in 'stekctl fleet' (default: its host name), or\n"
     "                        'off' to leave it out\n"
     "  --httpd URL           httpd's status page, such as http://127.0.0.1/stek-status, to\n"
     "                        announce what httpd has loaded; add #RING if the ring is not\n"
     "                        'default'\n"
     "  --metrics PATH        writes metrics to PATH in Prometheus's text format, for\n"
     "                        node_exporter's textfile collector\n"
     "  --once                runs one cycle, for cron; exits with 5 if the ring is good but a\n"
     "                        store could not be used\n"
     "  --check               checks the settings and prints the resulting times\n"
     "  --status              shows the state of the stores and the ring; changes nothing\n\n"
     "SIGHUP makes it re-read the secrets; SIGTERM stops it.\n"},
    {"fleet", cmd_fleet,
     "[NAME | --config FILE | --store URL... --fleet-secret PATH] [forget HOST...]",
     "Shows all hosts of a fleet as they announce themselves in its stores, those in trouble\n"
     "first.  Exits with 1 if any host is in trouble.  Without NAME: the only fleet configured\n"
     "on this machine.  Needs no ring; only 'forget' changes anything.\n\n"
     "  --store URL, --fleet-secret PATH, --password PATH, --timeout TIME\n"
     "                        as for sync\n"
     "  --json                prints the same as JSON\n"
     "  forget HOST...        removes hosts that are out of service, which are otherwise\n"
     "                        forgotten after 7 days\n"},
};

#define COMMANDS_N (sizeof(commands) / sizeof(commands[0]))

enum { OPTION_RING = 1, OPTION_SECRET, OPTION_JSON, OPTION_INSTANCE };

static const struct option global_options[] = {
    {"ring", required_argument, NULL, OPTION_RING},
    {"secret", required_argument, NULL, OPTION_SECRET},
    {"json", no_argument, NULL, OPTION_JSON},
    {"instance", required_argument, NULL, OPTION_INSTANCE},
    {"version", no_argument, NULL, 'V'},
    CTL_OPTION_HELP,
    CTL_OPTION_END,
};

static void print_help(void)
{
    int columns = wrap_columns(STDOUT_FILENO);
    apr_size_t i;

    wrap_help(stdout,
              "usage: stekctl [--ring PATH] [--secret PATH] [--instance NAME] [--json] COMMAND\n\n",
              columns);
    for (i = 0; i < COMMANDS_N; i++) {
        printf("  %-7s ", commands[i].name);
        (void)wrap_words(stdout, commands[i].arguments, 10, 12, columns);
        putchar('\n');
    }
    wrap_help(
        stdout,
        "  help    [COMMAND]\n"
        "  version\n\n"
        "  --ring PATH      the ring's file (default: $STEK_RING, or else that of this "
        "machine's httpd)\n"
        "  --secret PATH    the file with the secret that seals the ring (default: $STEK_SECRET, or "
        "else the ring's path with .secret in place of .ring)\n"
        "  --instance NAME  uses the ring of Debian's apache2@NAME\n"
        "  --json           prints one JSON value on standard output, errors included; may "
        "also follow the command\n"
        "  -h, --help       shows this help; after a command, the help for that command\n"
        "  -V, --version    shows the version\n\n"
        "Exit codes: 0 done, 1 a finding, 2 usage error, 3 a file was refused, 4 a file could "
        "not be read or written, 5 a store failed, 6 some hosts have not applied a "
        "change.  See "
        "'stekctl COMMAND --help' and stekctl(8).\n",
        columns);
}

static void print_version(apr_pool_t *pool)
{
    printf("stekctl " STEK_VERSION "\nstores: %s\nstore workers confined by: %s\n"
           "probes of many hosts at a time: %s\n",
           fleet_store_names(pool), fleet_confinement_names(), probe_loop_name());
}

/* DefaultRuntimeDir of this machine's httpd: Debian's, or another system's if only that exists. */
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
    ctl->secret_given = ctl->secret_path != NULL;
    if (!ctl->secret_path) {
        ctl->secret_path = stek_secret_path_beside(ctl->ring_path, ctl->pool);
    }
}

static const ctl_command_t *find_command(const char *name)
{
    apr_size_t i;

    for (i = 0; i < COMMANDS_N; i++) {
        if (!strcmp(commands[i].name, name)) {
            return &commands[i];
        }
    }
    return NULL;
}

static ctl_exit_e unknown_command(const ctl_t *ctl, const char *name)
{
    const char *names[COMMANDS_N + 2] = {"help", "version"};
    apr_size_t i;

    for (i = 0; i < COMMANDS_N; i++) {
        names[i + 2] = commands[i].name;
    }
    return report_usage(ctl, "unknown command '%s'%s", name,
                        suggestion(name, names, COMMANDS_N + 2, "", ctl->pool));
}

/* help [COMMAND] */
static ctl_exit_e run_help(const ctl_t *ctl, int argc, char **argv)
{
    const ctl_command_t *command;

    if (argc > 2) {
        return report_usage(ctl, "unexpected argument '%s'", argv[2]);
    }
    if (argc == 1 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
        print_help();
        return CTL_DONE;
    }
    command = find_command(argv[1]);
    if (!command) {
        return unknown_command(ctl, argv[1]);
    }
    options_help(command);
    return CTL_DONE;
}

static ctl_exit_e run_command(ctl_t *ctl, int argc, char **argv)
{
    ctl->command = find_command(argv[0]);
    if (ctl->command) {
        optind = 0; /* glibc: restart the scan */
        return ctl->command->run(ctl, argc, argv);
    }
    if (!strcmp(argv[0], "help")) {
        return run_help(ctl, argc, argv);
    }
    if (!strcmp(argv[0], "version") && argc == 1) {
        print_version(ctl->pool);
        return CTL_DONE;
    }
    return !strcmp(argv[0], "version") ? report_usage(ctl, "unexpected argument '%s'", argv[1])
                                       : unknown_command(ctl, argv[0]);
}

/* An option before the command.  Nonzero: exit with *pcode. */
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
        return 0;
    case OPTION_INSTANCE:
        *pinstance = optarg;
        if (!*optarg || strchr(optarg, '/')) {
            *pcode = report_usage(ctl, "invalid instance '%s': must be a name without '/'", optarg);
            return 1;
        }
        return 0;
    case 'V':
        print_version(ctl->pool);
        return 1;
    case 'h':
        print_help();
        return 1;
    case ':':
        *pcode = report_usage(ctl, "option '%s' requires a value", argv[optind - 1]);
        return 1;
    default:
        *pcode = options_unknown(ctl, options_culprit(ctl, argv), global_options);
        return 1;
    }
}

/* Every command has --json, and it may stand anywhere: takes it out. */
static int take_json(ctl_t *ctl, int argc, char **argv)
{
    int i, n = 0;

    for (i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--")) {
            break;
        }
        if (i > 0 && !strcmp(argv[i], "--json")) {
            ctl->json = 1;
        }
        else {
            argv[n++] = argv[i];
        }
    }
    while (i < argc) {
        argv[n++] = argv[i++];
    }
    argv[n] = NULL;
    return n;
}

static ctl_exit_e run(ctl_t *ctl, int argc, char **argv)
{
    const char *instance = NULL, *inexact;
    ctl_exit_e code;
    int option;

    ctl->owner = geteuid();
    argc = take_json(ctl, argc, argv);
    inexact = options_inexact(argc, argv, global_options, 1);
    if (inexact) {
        return options_unknown(ctl, inexact, global_options);
    }
    while ((option = getopt_long(argc, argv, "+:hV", global_options, NULL)) != -1) {
        if (global_option(ctl, option, &instance, argv, &code)) {
            return code;
        }
    }
    if (optind == argc) {
        return report_usage(ctl, "missing command");
    }
    if ((ctl->ring_path && !*ctl->ring_path) || (ctl->secret_path && !*ctl->secret_path)) {
        return report_usage(ctl, "--%s: the path must not be empty",
                            ctl->ring_path && !*ctl->ring_path ? "ring" : "secret");
    }
    settle_paths(ctl, instance);
    return run_command(ctl, argc - optind, argv + optind);
}

int main(int argc, char **argv)
{
    ctl_t ctl = {0};

    (void)setlocale(LC_CTYPE, ""); /* NOLINT(concurrency-mt-unsafe): one thread */
    (void)signal(SIGPIPE, SIG_IGN);
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&ctl.pool, NULL) != APR_SUCCESS) {
        report_line("out of memory; try again");
        return CTL_IO;
    }
    report_begin(&ctl);
    return report_finish(run(&ctl, argc, argv));
}
