# SPDX-License-Identifier: Apache-2.0
"""Each command that a page shows is run, by the letter and in its order, on a Debian host of its own
(sandbox.sh); what the text says that it prints is looked for in what it prints."""
import os
import re
import subprocess
import sys

import pytest

import httpd as harness
import stekctl_tool
from httpd import TOP
from test_docs import PAGES, fenced, name_of

sys.path.insert(0, str(TOP / "build"))
import doc_commands  # noqa: E402

# Not run here: pattern of the command, and why.
ELSEWHERE = [
    (r"apt-get ", "packages of the machine: make first-five"),
    (r"(sudo )?make( -j2| install| uninstall)?$", "make first-five"),
    (r"make (run|check|first-five)\b", "test_demo.py; the run that this is part of; itself"),
    (r"make release\b", "test_release.py"),
    (r"make bench\b", "minutes long; the check runs its smallest form"),
    (r"apxs -c ", "make bare"),
    (r"(semanage|restorecon|ausearch) ", "a kernel with SELinux: test_conf.py reads the file"),
    (r"systemctl enable --now stek-(nginx|haproxy)@", "test_mixed_fleet.py"),
    (r"(systemd-creds encrypt |shred |systemctl enable --now stek-keep@)", "test_credentials.py; a service manager"),
    (r"systemctl enable --now run-apache2-stek_rotate\.mount", "test_swap.py; it needs a service manager"),
    (r"systemctl (list-timers|status) ", "a service manager"),
    (r"journalctl ", "a service manager"),
    (r"apparmor_parser ", "a kernel with AppArmor: test_conf.py reads the rules, test_denied.py tries their rights"),
    (r"systemctl restart (memcached|redis-server|etcd)$", "sandbox.sh starts the store; test_fleet_three.py"),
    (r"systemctl (enable|restart) nftables$", "a kernel with nftables"),
]
# What a command prints, said by its page: pattern of the command, pattern of its output.
PRINTS = [
    (r"^stekctl show$", r"^healthy$"),
    (r"^stekctl probe .*", r"^ 0 findings"),
    (r"-sess_in (ticket|s)\.pem", r"^Reused"),
    (r"-sess_in before\.pem", r"^New"),
    (r"format=json", r'"healthy"'),
    (r"format=prometheus", r"^stek_ring_healthy\b.* 1$"),
    (r"configtest", r"Syntax OK"),
    (r"--status$", r"memcached://stek.example.net"),
    (r"^stekctl fleet www$", r"^1 host: all agree$"),
    (r"revoke --all --wait$", r"^1 host has applied the change within"),
    (r"^apachectl -S", r"www\.example\.org"),
    (r"^etcdctl role grant-permission", r"^Role stek updated$"),
    (r"^etcdctl user grant-role", r"^Role stek is granted to user stek$"),
    (r"stek-www/default\.ring show$", r"^healthy$"),
    # The ring is sealed anew by the cycle that a reload starts.
    (r"secret retire$", r"retired; contains 1 secret"),
]
NO_TICKETS = [
    (r"^stekctl probe .*",
     r"(?s)(support +gives no tickets, on \d+ connections?\b(?!; sessions)|a ticket does not resume)"),
    (r"grep -c '(TLS session|\^Reused)", r"^0$"),
]
FLEET = "docs/fleet.md"
NEEDS_FLEET = ["docs/emergency.md", "docs/fleet-operation.md"]


def shown(page):
    return doc_commands.commands(page.read_text())


def elsewhere(command):
    return any(re.match(pattern, command) for pattern, _ in ELSEWHERE)


def script_of(page, prints, patience_s=30):
    """A shell script of the page's commands: prints what it runs; a command whose output is promised is
    repeated for a while, since much of it is promised for soon, not for now."""
    lines = ["promised() { # pattern, command",
             f"    local end=$((SECONDS + {patience_s})) out",
             "    while true; do",
             '        out=$(eval "$2" 2>&1) || out="$out [exit code $?]"',
             '        if grep -qP "$1" <<<"$out" && [[ $out != *"[exit code"* ]]; then echo "$out"; return; fi',
             '        [ $SECONDS -lt $end ] || { echo "$out"; echo "not printed: $1" >&2; exit 1; }',
             "        sleep 0.2",
             "    done", "}"]
    for number, command in page:
        if elsewhere(command):
            continue
        quoted = "'" + command.replace("'", "'\\''") + "'"
        lines.append(f"echo + line {number}: {quoted}")
        pattern = next((out for pattern, out in prints if re.search(pattern, command)), None)
        if pattern:
            lines.append("promised '%s' %s" % (pattern.replace("'", "'\\''"), quoted))
        else:
            lines.append(command)
    return "\n".join(lines) + "\n"


def play(tmp_path, script, timeout_s=80, **env):
    path = tmp_path / "script"
    path.write_text(script)
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
         str(TOP / "test" / "integration" / "sandbox.sh"), str(path)],
        env=dict(os.environ, TOP=str(TOP), MODULE=str(harness.MODULE), STEKCTL=stekctl_tool.BINARY,
                 TZ="UTC", **env),
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return done.stdout


WITH_COMMANDS = [page for page in PAGES
                 if any(not elsewhere(command) for _, command in shown(page))]


def set_up_of_fleet():
    """fleet.md, as far as its section on setting up goes."""
    text = (TOP / FLEET).read_text().partition("\n## Configuration")[0]
    return doc_commands.commands(text)


@pytest.mark.parametrize("page", [page for page in WITH_COMMANDS if page.name != "tickets-off.md"],
                         ids=name_of)
def test_docs_commands_run(tmp_path, page):
    todo = (set_up_of_fleet() if name_of(page) in NEEDS_FLEET else []) + shown(page)
    play(tmp_path, script_of(todo, PRINTS))


OFF = TOP / "docs" / "tickets-off.md"


@pytest.mark.parametrize("server", ["module", "stock", "nginx"])
def test_docs_commands_see_no_tickets(tmp_path, server):
    """The page's configurations turn tickets off, and its checks see that."""
    blocks = [text for _, text in fenced(OFF, "apache")] + [text for _, text in fenced(OFF, "nginx")]
    lines = tmp_path / "lines"
    lines.write_text(dict(zip(["module", "stock", "nginx"], blocks))[server])
    useless = "0" if server == "module" else "2"  # in TLS 1.3, as the page says
    prints = NO_TICKETS + [("grep -c 'New Session Ticket'", f"^{useless}$")]
    play(tmp_path, script_of(shown(OFF), prints), LINES=str(lines),
         SERVER="nginx" if server == "nginx" else "httpd", STOCK="1" if server == "stock" else "")


def test_docs_commands_checks_bite(tmp_path):
    """The page's checks do see tickets where there are some."""
    with pytest.raises(AssertionError, match="not printed"):
        play(tmp_path, script_of(shown(OFF)[1:2], NO_TICKETS, 1))


def test_docs_commands_left_out_are_shown_somewhere():
    every = [command for page in PAGES for _, command in shown(page)]
    for pattern, reason in ELSEWHERE:
        assert any(re.match(pattern, command) for command in every), f"no page shows {pattern}"


def test_docs_commands_in_text_are_subcommands():
    """`stekctl x` within a sentence names what stekctl has."""
    usage = subprocess.run([stekctl_tool.BINARY, "--help"], capture_output=True, text=True, timeout=20)
    known = set(re.findall(r"^  ([a-z]+)\b", usage.stdout, re.M))
    assert "probe" in known and "secret" in known
    for page in PAGES:
        for words in re.findall(r"`stekctl ([^`\n]*)", page.read_text()):
            words = [w for w in re.sub(r"--(ring|secret|instance) \S+", "", words).split()
                     if not w.startswith("-")]
            assert not words or words[0] in known, f"{name_of(page)}: stekctl {words}"
