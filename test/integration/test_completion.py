# SPDX-License-Identifier: Apache-2.0
"""Completion in bash, zsh and fish, each asked as it is: what stekctl's help names is what every shell offers."""
import os
import re
import shlex
import subprocess

import pytest

from httpd import TOP
from stekctl_tool import BINARY, Stekctl

SHELLS = ["bash", "zsh", "fish"]
BASH = """
compopt() { :; }
source "$1"
line=$2
read -ra COMP_WORDS <<<"$line"
[[ $line != *' ' ]] || COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_stekctl
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="session")
def completions(tmp_path_factory):
    """Asks a shell how a line goes on: a set of words."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "_stekctl").write_bytes((TOP / "build/stekctl.zsh-completion").read_bytes())
    (folder / "bin").mkdir()
    (folder / "bin" / "stekctl").symlink_to(BINARY)
    env = {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "LC_ALL": "C.UTF-8"}

    def ask(shell, line, **more):
        command = {
            "bash": ["bash", "-c", BASH, "bash", TOP / "build/stekctl.bash-completion", line],
            "zsh": ["zsh", "-f", TOP / "test/integration/completed.zsh", folder, line],
            "fish": ["fish", "--private", "-c", f"source {TOP}/build/stekctl.fish-completion; "
                     f"complete -C {shlex.quote(line)}"]}[shell]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60,
                              env={**env, **more})
        assert done.returncode == 0 and done.stderr == "", done
        return {found.split("\t")[0] for found in done.stdout.splitlines() if found}
    return ask


def help_of(*args):
    return subprocess.run([BINARY, *args, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout


COMMANDS = re.findall(r"(?m)^  ([a-z]+) ? *(?:\[|{|NAME|--|FILE|new|$)", help_of().partition("\n  --ring PATH")[0])


def options(text):
    return set(re.findall(r"--[a-z][a-z0-9-]+", text))


GLOBAL = options(help_of().partition("\n  version\n")[2].partition("COMMAND --help")[0])


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_offers_what_the_help_names(completions, shell):
    assert len(COMMANDS) == 13 and {"show", "probe", "fleet", "help", "version"} <= set(COMMANDS)
    assert completions(shell, "stekctl ") - GLOBAL == set(COMMANDS)
    assert completions(shell, "stekctl --") == GLOBAL
    for command in COMMANDS[:-2]:
        named = options(help_of(command).replace("given by --secret", "")) | {"--json", "--help"}
        if command == "sync":
            named.add("--generate")  # of the configuration file; and no other says so
        if command == "fleet":  # "as for sync"
            named |= {"--config", "--store-ca", "--store-cert", "--store-key"}
        assert completions(shell, f"stekctl {command} --") == named, command


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("line,words", [
    ("stekctl ro", {"rotate"}),
    ("stekctl --ring x --secret y sho", {"show"}),
    ("stekctl --instance show --json ex", {"export"}),
    ("stekctl help f", {"fleet"}),
    ("stekctl secret ro", {"roll"}),
    ("stekctl export --format ", {"nginx", "haproxy", "apache", "ats", "lighttpd", "dnsdist", "envoy",
                                  "kubernetes-secret"}),
    ("stekctl import --format ", {"nginx", "haproxy", "apache", "ats", "lighttpd", "dnsdist"}),
    ("stekctl probe --level ", {"quick", "normal", "deep"}),
    ("stekctl probe --tls 1.2", {"1.2", "1.2,1.3"}),
    ("stekctl sync --store redis+u", {"redis+unix://"}),
    ("stekctl sync --generate ", {"on", "off"})])
def test_completion_of_words(completions, shell, line, words):
    assert completions(shell, line) == words


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_of_rings_and_keys(completions, folder, shell):
    rings = [Stekctl(folder, f"{name}.ring") for name in ("default", "tenants", "other")]
    for ring in rings:
        ring.run("new")
    env = {"STEK_RING": str(rings[0].ring_path)}
    assert completions(shell, "stekctl show ", **env) - {"--watch", "--json", "--help"} == {"default", "tenants", "other"}
    assert completions(shell, "stekctl show ten", **env) == {"tenants"}
    names = {key["name"] for key in rings[1].json("show")["keys"]}
    line = f"stekctl --ring {rings[1].ring_path} revoke "
    assert {word for word in completions(shell, line) if word[0] != "-"} == names
