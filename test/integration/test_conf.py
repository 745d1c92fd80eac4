# SPDX-License-Identifier: Apache-2.0
"""What conf/ has besides httpd's own configurations, each loaded by the program that it is for; and log
rotation, as Debian has it."""
import gzip
import json
import re
import subprocess
import sys

import pytest
import yaml

from checks import VERSIONS
from httpd import TOP, wait_for
from test_docs import CONFS, MANUAL, PAGES, fenced

sys.path.insert(0, str(TOP / "build"))
import doc_commands  # noqa: E402

CONF = TOP / "conf"
ALERTS = CONF / "monitoring" / "stek-alerts.yml"


def run(*words, **options):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, timeout=60, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# ---- SELinux, AppArmor ------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/run/stek-www", "/run/stek-www/default.ring", "/run/stek-b/b.secret"])
def test_conf_selinux_file_contexts_cover_a_fleets_rings(path):
    shown = run("selabel_lookup", "-b", "file", "-f", CONF / "selinux" / "stek.fc", "-k", path, "-r")
    assert "httpd_var_run_t" in shown


def test_conf_selinux_file_contexts_cover_nothing_else():
    done = subprocess.run(["selabel_lookup", "-b", "file", "-f", CONF / "selinux" / "stek.fc", "-r", "-k",
                           "/run/other"], capture_output=True, text=True, timeout=60)
    assert "httpd_var_run_t" not in done.stdout


def apparmor(text, tmp_path):
    profile = tmp_path / "profile"
    profile.write_text(f"profile httpd /usr/sbin/apache2 {{\n{text}\n}}\n")
    return subprocess.run(["apparmor_parser", "--skip-kernel-load", "--skip-cache", "--debug", profile],
                          capture_output=True, text=True, timeout=60)


def test_conf_apparmor_rules_are_accepted(tmp_path):
    done = apparmor((CONF / "apparmor" / "stek_rotate").read_text(), tmp_path)
    assert done.returncode == 0, done.stderr
    assert apparmor("/run/x bogus,", tmp_path).returncode != 0


# ---- Prometheus -------------------------------------------------------------------------------------

def test_conf_alerts_name_metrics_of_the_manual():
    text = ALERTS.read_text()
    run("promtool", "check", "rules", ALERTS)
    manual = MANUAL.read_text() + (TOP / "docs" / "fleet-operation.md").read_text()
    for metric in set(re.findall(r"\bstek_[a-z_]+\b", re.sub(r"#.*", "", text))):
        assert f"`{metric}`" in manual, metric
    listed = re.findall(r"^\| (Ticket\w+|NoTickets\w+) \|", (TOP / "docs" / "monitoring.md").read_text(), re.M)
    assert listed == re.findall(r"alert: (\w+)", text)


SAMPLE = '{ring="default", instance="a", job="stek"}'
STORE = 'store="memcached://s"'
# Alert, series (name, labels without the common ones, values by the minute), minute, does it fire?
CASES = [
    ("TicketRingUnhealthy", [("stek_ring_healthy", "", "1 1 0x20")], 10, True),
    ("TicketRingUnhealthy", [("stek_ring_healthy", "", "1x20")], 10, False),
    ("TicketKeysRunOut", [("stek_ring_covered_until_timestamp_seconds", "", "630x20")], 10, True),
    ("TicketKeysRunOut", [("stek_ring_covered_until_timestamp_seconds", "", "4000x20")], 10, False),
    ("NoTicketsIssued", [("stek_handshakes_keyless_total", "", "0 0 0+5x20")], 10, True),
    ("NoTicketsIssued", [("stek_handshakes_keyless_total", "", "7x20")], 10, False),
    ("TicketRingRefused", [("stek_ring_load_failures_total", 'process="parent", cause="seal"', "0+1x20")], 15, True),
    ("TicketRingRefused", [("stek_ring_load_failures_total", 'process="parent", cause="seal"', "3x20")], 15, False),
    ("TicketsDamaged", [("stek_tickets_refused_total", 'reason="damaged"', "0+600x20")], 15, True),
    ("TicketsDamaged", [("stek_tickets_refused_total", 'reason="damaged"', "0+1x20")], 15, False),
    ("TicketsUnknown", [("stek_tickets_refused_total", 'reason="unknown"', "0+30x200"),
                            ("stek_tickets_resumed_total", 'key="old"', "0+40x200"),
                            ("stek_tickets_resumed_total", 'key="current"', "0+40x200")], 150, True),
    ("TicketsUnknown", [("stek_tickets_refused_total", 'reason="unknown"', "0+10x200"),
                            ("stek_tickets_resumed_total", 'key="old"', "0+40x200"),
                            ("stek_tickets_resumed_total", 'key="current"', "0+40x200")], 150, False),
    ("TicketSyncStopped", [("stek_sync_cycle_timestamp_seconds", "", "60x20")], 10, True),
    ("TicketSyncStopped", [("stek_sync_cycle_timestamp_seconds", "", "0+60x20")], 10, False),
    ("TicketStoreUnusable", [("stek_sync_store_answers_total", STORE + ', answer="good"', "9x40"),
                             ("stek_sync_store_answers_total", STORE + ', answer="silent"', "0+6x40")], 20, True),
    ("TicketStoreUnusable", [("stek_sync_store_answers_total", STORE + ', answer="empty"', "9x40"),
                             ("stek_sync_store_answers_total", STORE + ', answer="good"', "0+1x40")], 20, False),
    ("TicketStoreRefused", [("stek_sync_store_answers_total", STORE + ', answer="refused"', "0+1x40")], 20, True),
    ("TicketStoreRefused", [("stek_sync_store_answers_total", STORE + ', answer="refused"', "0 1x40")], 20, False),
    ("TicketStoreConflicts", [("stek_sync_store_conflicts_total", STORE, "0+20x40")], 20, True),
    ("TicketStoreConflicts", [("stek_sync_store_cycles_without_write", STORE, "0 1 2 3x40")], 20, True),
    ("TicketStoreConflicts", [("stek_sync_store_conflicts_total", STORE, "0+1x40"),
                              ("stek_sync_store_cycles_without_write", STORE, "2x40")], 20, False),
    ("TicketStoreRolledBack", [("stek_sync_store_rolled_back", STORE, "1x20")], 10, True),
    ("TicketStoreRolledBack", [("stek_sync_store_rolled_back", STORE, "0 1 0 0x20")], 10, False),
    ("TicketStoresApart", [("stek_sync_agreed_timestamp_seconds", "", "0x40")], 30, True),
    ("TicketStoresApart", [("stek_sync_agreed_timestamp_seconds", "", "0+60x40")], 30, False),
    ("TicketClockBehind", [("stek_sync_clock_skew_seconds", "", "180x20")], 10, True),
    ("TicketClockBehind", [("stek_sync_clock_skew_seconds", "", "0 200 0 0x20")], 10, False),
    ("TicketHostsDisagree", [("stek_fleet_hosts_in_trouble", 'trouble="disagrees"', "3x40"),
                             ("stek_fleet_look_timestamp_seconds", "", "600x40")], 20, True),
    ("TicketHostsDisagree", [("stek_fleet_hosts_in_trouble", 'trouble="disagrees"', "3x40"),
                             ("stek_fleet_look_timestamp_seconds", "", "60x40")], 20, False),
    ("TicketHostsGone", [("stek_fleet_hosts_in_trouble", 'trouble="gone"', "1x40"),
                         ("stek_fleet_look_timestamp_seconds", "", "600x40")], 20, True),
    ("TicketHostsGone", [("stek_fleet_hosts_in_trouble", 'trouble="lags"', "1x40"),
                         ("stek_fleet_look_timestamp_seconds", "", "600x40")], 20, False),
    ("TicketHostsShareName", [("stek_fleet_hosts_in_trouble", 'trouble="twin"', "1x40"),
                              ("stek_fleet_look_timestamp_seconds", "", "600x40")], 20, True),
    ("TicketHostsShareName", [("stek_fleet_hosts_in_trouble", 'trouble="twin"', "0x40"),
                              ("stek_fleet_hosts_in_trouble", 'trouble="gone"', "1x40"),
                              ("stek_fleet_look_timestamp_seconds", "", "600x40")], 20, False),
    ("TicketHostsShareName", [("stek_fleet_hosts_in_trouble", 'trouble="twin"', "1x40"),
                              ("stek_fleet_look_timestamp_seconds", "", "60x40")], 20, False),
    ("TicketKeysEvicted", [("stek_sync_keys_evicted_total", "", "0 0 0+40x40")], 20, True),
    ("TicketKeysEvicted", [("stek_sync_keys_evicted_total", "", "40x80")], 70, False),
    ("TicketMetricsMissing", [("up", "", "0x20")], 10, True),
    ("TicketMetricsMissing", [("up", "", "1x20"), ("stek_build_info", 'version="1"', "1x20")], 10, False),
]


def test_conf_alerts_fire_when_they_should(tmp_path):
    tests = []
    for alert, series, minute, fires in CASES:
        rows = [{"series": '%s{job="stek", instance="a", ring="default"%s}'
                 % (name, ", " + labels if labels else ""), "values": values}
                for name, labels, values in series]
        expression = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) > bool 0 or vector(0)'
        tests.append({"interval": "1m", "input_series": rows, "promql_expr_test": [
            {"expr": expression, "eval_time": f"{minute}m",
             "exp_samples": [{"labels": "{}", "value": int(fires)}]}]})
    (tmp_path / "test.yml").write_text(json.dumps({"rule_files": [str(ALERTS)], "tests": tests}))
    run("promtool", "test", "rules", tmp_path / "test.yml")


def test_conf_scrape_configuration_is_sound(tmp_path):
    blocks = [text for page in PAGES for _, text in fenced(page, "yaml")]
    assert blocks
    for block in blocks:
        config = tmp_path / "prometheus.yml"
        config.write_text(block + f"\nrule_files: [{ALERTS}]\n")
        run("promtool", "check", "config", config)
        assert yaml.safe_load(block)["scrape_configs"][0]["metrics_path"] == "/stek-status"


# ---- systemd, Kubernetes ----------------------------------------------------------------------------

def test_conf_unit_drop_ins_are_sound(tmp_path):
    """The drop-ins that pages show, on units that have their names."""
    unit = (TOP / "build" / "systemd" / "stek-sync@.service").read_text().replace("/usr/sbin/stekctl", "/bin/true")
    (tmp_path / "stek-sync@.service").write_text(unit)
    for name in ("apache2", "prometheus-node-exporter"):
        (tmp_path / f"{name}.service").write_text("[Service]\nExecStart=/bin/true\n")
    blocks = [text for page in PAGES for _, text in fenced(page, "ini")]
    assert len(blocks) >= 2
    for block in blocks:
        name = re.match(r"# systemctl edit (\S+)\n", block).group(1)
        name = name + ".service"
        folder = tmp_path / (re.sub(r"@[^.]*", "@", name) + ".d")
        folder.mkdir(exist_ok=True)
        (folder / "override.conf").write_text(block.replace("/usr/sbin/stekctl", "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", name],
                              capture_output=True, text=True, timeout=60,
                              env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"})
        ours = [line for line in done.stderr.splitlines() if "override.conf" in line]
        assert not ours, "\n".join(ours)


def test_conf_kubernetes_documents_are_whole():
    documents = list(yaml.safe_load_all((CONF / "fleet" / "kubernetes.yaml").read_text()))
    assert [d["kind"] for d in documents] == ["CronJob", "Pod"]
    spec = documents[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for pod in (spec, documents[1]["spec"]):
        named = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= named
    subprocess.run(["sh", "-n"], input=spec["containers"][0]["command"][-1], text=True, check=True)


# ---- log rotation -----------------------------------------------------------------------------------

def test_conf_logrotate_loses_no_ticket(httpd, tmp_path):
    """logrotate itself, with the lines of Debian's /etc/logrotate.d/apache2 but for the paths and how the
    reload is sent: tickets outlive it, and httpd writes to the new file."""
    server = httpd().start()
    sessions = {v: server.get(tls=v).tickets[-1] for v in VERSIONS}
    pid = server.pid
    (tmp_path / "conf").write_text(
        f"{server.root}/log/*.log {{\n daily\n missingok\n rotate 14\n compress\n delaycompress\n notifempty\n"
        f" create 640 root adm\n sharedscripts\n su root root\n postrotate\n  kill -USR1 {pid}\n endscript\n}}\n")
    (tmp_path / "conf").chmod(0o644)
    for times in range(2):
        old = set(server.children())
        run("logrotate", "--force", "--state", tmp_path / "state", tmp_path / "conf")
        wait_for(lambda: not old & set(server.children()), "the old children to end", 60)
        wait_for(lambda: "resuming normal operations" in server.log(), "the reload in the new log", 60)
    rotated = sorted(path.name for path in (server.root / "log").glob("error.log*"))
    assert rotated == ["error.log", "error.log.1", "error.log.2.gz"]
    assert b"STEK" in gzip.decompress((server.root / "log" / "error.log.2.gz").read_bytes())
    for version, session in sessions.items():
        assert server.get(tls=version, session=session).resumed


def test_conf_every_file_is_loaded_by_a_test():
    """By test_docs.py if it is httpd's; else its name stands in a test or in a command that a page shows."""
    tests = "".join(path.read_text() for path in (TOP / "test" / "integration").glob("test_*.py"))
    commands = "".join(command for page in PAGES
                       for _, command in doc_commands.commands(page.read_text()))
    for path in sorted(path for path in CONF.rglob("*") if path.is_file()):
        name = str(path.relative_to(TOP))
        assert path in CONFS or f'"{path.name}"' in tests or name in commands, name
