# SPDX-License-Identifier: Apache-2.0
"""conf/container and what runs the checks of forks: files that are read as their programs read them, and that name
what there is."""
import re
import shlex
import subprocess

import pytest
import yaml

from httpd import TOP

FOLDER = TOP / "conf" / "container"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
RULES = (FOLDER / "Containerfile").read_text()
WORKFLOWS = {".github/workflows/check.yml": lambda tree: [job["steps"] for job in tree["jobs"].values()],
             ".gitlab-ci.yml": lambda tree: [tree[job]["script"] for job in ("run", "check")]}


def instructions():
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", RULES, flags=re.M))
    return [line.split(None, 1) for line in joined.splitlines() if line.strip()]


def test_container_file_names_what_there_is():
    words = instructions()
    assert {word for word, _ in words} <= {"ARG", "FROM", "ENV", "COPY", "WORKDIR", "RUN", "EXPOSE", "ENTRYPOINT", "CMD"}
    for word, rest in words:
        if word == "COPY" and not rest.startswith("--from"):
            assert (TOP / rest.split()[0]).exists(), rest
        if word == "RUN":
            subprocess.run(["bash", "-n", "-c", rest], check=True)
    packages = re.search(r"install --no-install-recommends (apache2 openssl) ", RULES)
    assert packages and "nocheck" in RULES


def test_container_start_has_what_compose_asks_for():
    script = (FOLDER / "start.sh").read_text()
    subprocess.run(["sh", "-n", FOLDER / "start.sh"], check=True)
    named = set(re.findall(r"^(\w+)\)$", script, re.M))
    assert named == {"setup", "sync", "httpd"}
    asked = {service["command"][0] for service in COMPOSE["services"].values() if "command" in service}
    assert asked | set(re.search(r'^CMD \["(\w+)"\]', RULES, re.M).groups()) == named


def test_container_compose_is_a_fleet_of_three():
    services, volumes = COMPOSE["services"], COMPOSE["volumes"]
    assert set(services) == {"store", "setup", *(f"{kind}{n}" for kind in ("sync", "web") for n in (1, 2, 3))}
    ports = set()
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= set(services)
        for mount in service.get("volumes", []):
            assert mount.split(":")[0] in volumes, mount
        ports |= {port.rsplit(":", 1)[0] for port in service.get("ports", [])}
        # What holds keys never reaches outside, and httpd never the store.
        assert ("keys" in service.get("networks", [])) == name.startswith(("store", "sync"))
    assert COMPOSE["networks"]["keys"]["internal"] and len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)
    for n in (1, 2, 3):
        sync, web = services[f"sync{n}"], services[f"web{n}"]
        assert sync["hostname"] == web["hostname"] == f"web{n}"
        assert f"keys{n}:/run/stek-www" in sync["volumes"] and f"keys{n}:/run/stek-www:ro" in web["volumes"]
        assert volumes[f"keys{n}"]["driver_opts"]["type"] == "tmpfs"
    build = services["setup"]["build"]
    assert (FOLDER / build["context"]).resolve() == TOP and (TOP / build["dockerfile"]).exists()


def test_container_site_and_fleet_fit_together():
    ring = re.search(r"^ring +(\S+)$", (FOLDER / "www.sync").read_text(), re.M).group(1)
    site = (FOLDER / "site.conf").read_text()
    assert f"file={ring} " in site and f"secret={ring.replace('.ring', '.secret')} " in site
    host, port = re.search(r"memcached://(\w+):(\d+)", (FOLDER / "www.sync").read_text()).groups()
    assert host in COMPOSE["services"] and port == "11211"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_ci_of_forks_runs_the_two_commands_of_readme(name):
    tree = yaml.safe_load((TOP / name).read_text())
    lines = [step["run"] if isinstance(step, dict) else step for steps in WORKFLOWS[name](tree) for step in steps
             if not isinstance(step, dict) or "run" in step]
    assert "make run ARGS=--once" in lines and "make check" in lines
    readme = (TOP / "README.md").read_text()
    assert "    make check " in readme and "`make run ARGS=--once`" in readme
    for line in lines:
        assert shlex.split(line)[0] in ("apt-get", "make", "git"), line
