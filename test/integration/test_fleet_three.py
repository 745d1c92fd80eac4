# SPDX-License-Identifier: Apache-2.0
"""docs/fleet.md from "one host works" to "three hosts share tickets", by the letter: a host for the store and three
web hosts (sandbox.sh), each with a network of its own, joined by a bridge in the store's."""
import os
import re
import select
import shlex
import subprocess
import time

import pytest

import httpd as harness
import stekctl_tool
from httpd import TOP, wait_for
from test_docs_commands import doc_commands

PAGE = (TOP / "docs" / "fleet.md").read_text()
NOT_HERE = r"apt-get |systemctl (enable|restart) nftables$"
PROMISED = [(r"^stekctl fleet www$", r"\A3 hosts: all agree\n"), (r"-sess_in ", r"^Reused"), (r"--status ", r": good, "),
            (r"show$", r"^healthy$"), (r"configtest", r"Syntax OK")]
WEBS = ["web1", "web2", "web3"]
PEERS = "127.0.0.1 localhost\n192.0.2.10 stek.example.net\n" + "".join(
    f"192.0.2.{n} {web}.example.net\n" for n, web in enumerate(WEBS, 1))


def section(title):
    """Its text, without the sections below."""
    return re.search(rf"^(#+) {title}.*?\n(.*?)(?=^#+ )", PAGE, re.M | re.S).group(2)


def commands(title, fenced=None):
    """Those that are indented; or those of its fence of that number."""
    text = section(title)
    if fenced is not None:
        block = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)[fenced]
        text = "\n" + re.sub("^", "    ", block, flags=re.M)
    return [command for _, command in doc_commands.commands(text) if not re.match(NOT_HERE, command)]


class Sandbox:
    """A host with a shell in it, so that what a command leaves is there for the next."""

    def __init__(self, folder, name, server):
        self.name = name
        script = folder / "script"
        script.write_text(f"hostname {name}\nexec bash --norc\n")
        (folder / "peers").write_text(PEERS + f"127.0.0.1 {name} www.example.org\n")
        self.shell = subprocess.Popen(
            ["unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
             TOP / "test" / "integration" / "sandbox.sh", script],
            env=dict(os.environ, TOP=str(TOP), MODULE=str(harness.MODULE), STEKCTL=stekctl_tool.BINARY, TZ="UTC",
                     PEERS=str(folder / "peers"), SERVER=server),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def pid(self):
        """Of its first process, as seen from here."""
        with open(f"/proc/{self.shell.pid}/task/{self.shell.pid}/children") as file:
            return file.read().split()[0]

    def run(self, command):
        """(exit code, output)"""
        self.shell.stdin.write(f"eval {shlex.quote(command)} </dev/null\nprintf '\\n%s %d\\n' @done@ $?\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line.startswith("@done@ "):
                return int(line.split()[1]), "".join(lines).removesuffix("\n")
            lines.append(line)
        raise AssertionError(f"{self.name} ended: {''.join(lines)}")

    def net(self, *words):
        subprocess.run(["nsenter", "-t", self.pid(), "-n", "ip", *words], check=True)

    def follow(self, todo):
        """Runs commands; what the page says that they print is waited for."""
        for command in todo:
            promised = next((out for pattern, out in PROMISED if re.search(pattern, command)), None)
            end = time.monotonic() + 40
            code, said = self.run(command)
            while promised and (code or not re.search(promised, said, re.M)) and time.monotonic() < end:
                time.sleep(0.2)
                code, said = self.run(command)
            assert code == 0 and (not promised or re.search(promised, said, re.M)), \
                f"{self.name}: {command}\n{said}\nexit code {code}"

    def end(self):
        self.shell.kill()
        self.shell.wait()
        self.shell.stdin.close()
        self.shell.stdout.close()


@pytest.fixture
def hosts(tmp_path):
    """stek.example.net and the three, on one network."""
    made = []
    try:
        for name in ["stek", *WEBS]:
            (tmp_path / name).mkdir()
            made.append(Sandbox(tmp_path / name, name, "none" if name == "stek" else "httpd"))
        for host in made:
            assert select.select([host.shell.stdout], [], [], 0)[0] == [] and host.run("true")[0] == 0
        stek = made[0]
        stek.net("link", "add", "lan", "type", "bridge")
        stek.net("addr", "add", "192.0.2.10/24", "dev", "lan")
        stek.net("link", "set", "lan", "up")
        for n, web in enumerate(made[1:], 1):
            stek.net("link", "add", f"to{n}", "type", "veth", "peer", "name", "eth0", "netns", web.pid())
            stek.net("link", "set", f"to{n}", "master", "lan", "up")
            web.net("addr", "add", f"192.0.2.{n}/24", "dev", "eth0")
            web.net("link", "set", "eth0", "up")
        for web in made[1:]:
            wait_for(lambda web=web: web.run("ssh root@stek.example.net true")[0] == 0, f"{web.name} to reach stek")
        yield made
    finally:
        for host in made:
            host.end()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine", ["memcached", "redis", "etcd"])
def test_fleet_of_three_is_set_up_by_the_letter(hosts, engine):
    stek, *webs = hosts
    begun = time.monotonic()
    step2 = commands("2")
    if engine == "memcached":
        stek.follow(commands("1"))
    else:
        title = {"redis": "Set up Redis", "etcd": "Set up etcd"}[engine]
        stek.follow(commands(title))
        if engine == "etcd":
            wait_for(lambda: stek.run("etcdctl --endpoints https://127.0.0.1:2379 --cacert /etc/default/etcd.pem member list")[0] == 0,
                     "etcd")
            stek.follow(commands(title, fenced=0))
        own = commands(title, fenced=-1)
        at = next(i for i, command in enumerate(step2) if command.startswith("cat >/etc/stek/www.conf"))
        step2[at:at + 1] = own
    webs[0].follow(step2)
    for web in webs:
        web.follow(commands("3"))
    for web in webs:
        web.follow(commands("4"))
    print(f"{engine}: {time.monotonic() - begun:.1f} s")
    assert time.monotonic() - begun < 300
    # A host with another fleet's secret is left as it is, and said.
    webs[2].follow(["stekctl --secret other.secret secret new --fleet", "cp -p other.secret /etc/stek/www.secret"])
    code, said = webs[0].run(step2[-1])
    assert code == 1 and "it has another /etc/stek/www.secret" in said and "web2.example.net: has the files" in said
    webs[2].follow(["cmp other.secret /etc/stek/www.secret", "! ls -d /etc/stek/.new.* 2>/dev/null"])
    # Who is not the fleet's user gets nothing from the store.
    if engine == "redis":
        code, said = webs[1].run("redis-cli -h stek.example.net --tls --cacert /etc/stek/www.pem get x")
        assert "NOAUTH" in said, said
