# SPDX-License-Identifier: Apache-2.0
"""conf/ansible: the role on a Debian host of its own (sandbox.sh).  Its check mode changes nothing, it does what it
says, and a second run finds nothing to do."""
import re
import subprocess

import pytest
import yaml

from httpd import TOP
from test_docs_commands import play

ANSIBLE = TOP / "conf" / "ansible"
ROLE = ANSIBLE / "roles" / "stek_rotate"
PATIENCE_S = 240  # Ansible starts a Python for each task

pytestmark = pytest.mark.timeout(300)

# In front of the sandbox's stand-in: what Ansible asks a service manager for.
PREPARE = r"""
mv /usr/local/sbin/systemctl /usr/local/sbin/systemctl.unit
cat >/usr/local/sbin/systemctl <<'END'
#!/bin/bash
echo "systemctl $*" >>/run/systemctl.log
unit=${2//\'/}
case $1 in
show)
    state=inactive
    [ "$unit" = apache2 ] && state=active
    pid=$(cat "/run/${unit#stek-sync@}.pid" 2>/dev/null) && kill -0 "$pid" 2>/dev/null && state=active
    printf 'LoadState=loaded\nActiveState=%s\n' "$state" ;;
is-enabled) [ -e "/run/enabled.$unit" ] && echo enabled ;;
enable) touch "/run/enabled.$unit" ;;
reload) apachectl graceful ;;
*) exec systemctl.unit "$1" "$unit" ;;
esac
END
chmod 755 /usr/local/sbin/systemctl
systemd-sysusers stek.conf # as the packages do
cp "$TOP/conf/status.conf" /etc/apache2/conf-available/stek-status.conf
mkdir home; export HOME=$PWD/home ANSIBLE_NOCOLOR=1 ANSIBLE_PIPELINING=1 ANSIBLE_REMOTE_TEMP=$PWD/home/remote
cp -r "$TOP/conf/ansible" playbook; cd playbook
stekctl --secret www.secret secret new --fleet >/dev/null
head -c 24 /dev/urandom | base64 >password
ansible-vault encrypt --vault-password-file password www.secret >/dev/null
run() { # options... : the playbook on this host; packages are there already
    ansible-playbook -i localhost, -c local -e '{"ansible_become": false, "stek_rotate_packages": []}' \
        -e ansible_python_interpreter=/usr/bin/python3 --vault-password-file password site.yml "$@" 2>&1
}
recap() { grep -E '^localhost +:' | sed 's/ok=[0-9]* *//;s/ *skipped.*//'; }
"""


@pytest.fixture(scope="module", autouse=True)
def ansible():
    done = subprocess.run(["ansible-playbook", "--version"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, "ansible-core: build/deps.sh check"


def test_ansible_check_mode_changes_nothing(tmp_path):
    said = play(tmp_path, PREPARE + r"""
rm -f /etc/stek/www.*
cp -a /etc /run/etc-before
run --check --diff | tee /run/said
recap </run/said
diff -r --no-dereference /run/etc-before /etc && echo 'the same'
[ ! -e /run/systemctl.log ] || cat /run/systemctl.log
""", PATIENCE_S)
    assert re.search(r"^localhost +: changed=[1-9]\d* +unreachable=0 +failed=0$", said, re.M), said[-2000:]
    assert "\nthe same\n" in said
    assert "+StekRing default file=/run/stek-www/default.ring" in said
    assert "systemctl " not in said.partition("\nthe same\n")[2]


def test_ansible_makes_a_host_of_a_fleet_and_then_finds_nothing_to_do(tmp_path):
    said = play(tmp_path, PREPARE + r"""
run -e stek_rotate_status_page=true | tee /run/said
recap </run/said
stat -c '%a %U %n' /etc/stek/www.secret
for _ in {1..100}; do stekctl fleet www && break; sleep 0.3; done
echo '-- again'
: >/run/systemctl.log
run -e stek_rotate_status_page=true | recap
grep -E ' (restart|reload|start) ' /run/systemctl.log || echo 'nothing was restarted'
curl -sk 'https://localhost/stek-status?format=json' | head -c 60
""", PATIENCE_S)
    first, _, rest = said.partition("\n-- again\n")
    assert re.search(r"^localhost +: changed=[1-9]\d* +unreachable=0 +failed=0$", first, re.M), first[-3000:]
    assert "600 root /etc/stek/www.secret" in first and "1 host: all agree" in first
    assert re.search(r"^localhost +: changed=0 +unreachable=0 +failed=0$", rest, re.M), rest
    assert "nothing was restarted" in rest and '{"' in rest.replace(" ", "").replace("\n", ""), rest


def test_ansible_refuses_settings_that_do_not_go_together(tmp_path):
    bad = ["stek_rotate_fleet=a/b", '{"stek_rotate_fleet_stores": []}', "stek_rotate_fleet_secret="]
    said = play(tmp_path, PREPARE + "".join(f"! run --check -e '{settings}' || exit 1\n" for settings in bad), PATIENCE_S)
    assert said.count("This role is for Debian and Ubuntu. A fleet has a name") == said.count("failed=1") == len(bad)


def test_ansible_files_are_those_of_the_playbook():
    """Of a role, Ansible reads main.yml and what that names."""
    names = {path.name for path in ANSIBLE.rglob("*") if path.is_file()}
    assert names == {"site.yml", "main.yml", "fleet.yml", "fleet.conf.j2", "stek-ring.conf.j2"}
    tasks = "".join(path.read_text() for path in (ROLE / "tasks").iterdir())
    assert all(name in tasks for name in names - {"site.yml", "main.yml"})


def test_ansible_every_variable_has_a_default():
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
    used = set()
    for path in [*ROLE.rglob("*.yml"), *ROLE.rglob("*.j2")]:
        used |= set(re.findall(r"\bstek_rotate_[a-z_]+\b", path.read_text()))
    own = {"stek_rotate_shown", "stek_rotate_ring", "stek_rotate_user"}  # registered; a task's
    assert used - own == set(defaults)
    assert all(name.startswith("stek_rotate_") for name in defaults)
