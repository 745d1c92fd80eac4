# SPDX-License-Identifier: Apache-2.0
"""Keys for Envoy, and as a Kubernetes Secret: the documents against the ring, and the Secret's files in the
programs that are to mount them."""
import base64
import ctypes
import json
import os
import struct
import time

import pytest
import yaml

from httpd import TOP, wait_for
from stekctl_tool import REFUSED, USAGE, Haproxy, Nginx, Stekctl

TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
MOVED_TO = 0x80


@pytest.fixture
def stekctl(folder):
    tool = Stekctl(folder)
    tool.run("new", "--interval", "1h", "--lifetime", "18h")
    yield tool
    tool.stop()


def keys_of(document):
    """What Envoy takes from the file, read as YAML; (name, HMAC key, AES key) each, as BoringSSL has it."""
    whole = yaml.safe_load(document)
    assert set(whole) == {"version_info", "resources"}
    secret, = whole["resources"]
    assert set(secret) == {"@type", "name", "session_ticket_keys"}
    assert secret["@type"] == TYPE and secret["name"] == "stek"
    assert json.loads(document) == whole, "Envoy reads it as JSON if its name does not end in .yaml"
    raws = [base64.b64decode(key["inline_bytes"], validate=True)
            for key in secret["session_ticket_keys"]["keys"]]
    assert all(len(raw) == 80 for raw in raws)
    return [(raw[:16], raw[16:48], raw[48:]) for raw in raws]


def wanted(stekctl):
    """The current key, then all others that decrypt, the latest first."""
    current = stekctl.current()
    others = sorted((k for k in stekctl.ring().keys if k.name != current.name),
                    key=lambda k: (-k.not_before, k.name))
    return [(k.name, k.hmac, k.aes) for k in [current, *others]]


def rotated(stekctl, times):
    for _ in range(times):
        new = stekctl.json("rotate")["key"]["name"]
        wait_for(lambda: stekctl.current().name.hex().startswith(new), "the new key")
        time.sleep(0.01)  # the next key begins later


class Moves:
    """Files that were moved into a directory, as Envoy learns of them."""

    def __init__(self, directory):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.libc.inotify_add_watch(self.fd, os.fsencode(directory), MOVED_TO) >= 0

    def names(self):
        try:
            data, names = os.read(self.fd, 65536), []
        except BlockingIOError:
            return []
        while data:
            size = struct.unpack_from("iIII", data)[3]
            names.append(data[16:16 + size].rstrip(b"\0").decode())
            data = data[16 + size:]
        return names


def test_envoy_gets_all_keys_current_first(stekctl):
    out = stekctl.root / "keys.yaml"
    rotated(stekctl, 3)
    stekctl.run("export", "--format", "envoy", "--out", out)
    assert keys_of(out.read_text()) == wanted(stekctl) and len(wanted(stekctl)) == 5
    assert out.stat().st_mode & 0o7777 == 0o600


def test_envoy_file_follows_and_is_moved_into_place(stekctl):
    (stekctl.root / "envoy").mkdir(mode=0o700)
    out = stekctl.root / "envoy" / "keys.yaml"
    moves = Moves(out.parent)
    stekctl.follow("--format", "envoy", "--out", out)
    wait_for(lambda: "keys.yaml" in moves.names(), "the file", 30)
    assert keys_of(out.read_text()) == wanted(stekctl)
    first = stekctl.current()
    rotated(stekctl, 1)
    wait_for(lambda: "keys.yaml" in moves.names(), "the new file", 30)
    wait_for(lambda: keys_of(out.read_text()) == wanted(stekctl), "the new key first", 30)
    stekctl.run("revoke", first.name.hex())
    wait_for(lambda: first.name not in [name for name, *_ in keys_of(out.read_text())], "the revocation", 30)
    assert keys_of(out.read_text()) == wanted(stekctl)
    assert os.listdir(out.parent) == ["keys.yaml"]


def test_json_exports_leave_out_keys_of_48_bytes(stekctl):
    short = stekctl.root / "short.key"
    short.write_bytes(os.urandom(48))
    short.chmod(0o600)
    stekctl.run("import", "--format", "apache", "--allow-aes128", short)
    assert any(k.name == short.read_bytes()[:16] for k in stekctl.ring().keys)
    for form in ("envoy", "kubernetes-secret"):
        out = stekctl.root / form
        stekctl.run("export", "--format", form, "--out", out)
        text = out.read_text()
        if form != "envoy":
            text = base64.b64decode(json.loads(text)["data"]["envoy.json"]).decode()
        assert short.read_bytes()[:16] not in [name for name, *_ in keys_of(text)]


def secret_files(path, folder):
    """As kubelet mounts the Secret."""
    secret = yaml.safe_load(path.read_text())
    assert secret.pop("data").keys() == {"envoy.json", "haproxy.keys", "previous.key", "current.key", "next.key"}
    assert secret == {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {
        "name": "stek-tickets", "labels": {"app.kubernetes.io/managed-by": "stekctl-export"}}}
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, data in json.loads(path.read_text())["data"].items():
        (folder / name).write_bytes(base64.b64decode(data, validate=True))
        (folder / name).chmod(0o400)
    return folder


def test_kubernetes_secret_holds_each_programs_files(stekctl):
    out = stekctl.root / "secret.yaml"
    stekctl.run("export", "--format", "kubernetes-secret", "--out", out)
    one = secret_files(out, stekctl.root / "one")
    ring = sorted(stekctl.ring().keys, key=lambda k: k.not_before)
    raws = [k.name + k.hmac + k.aes for k in ring]
    assert len(ring) == 2
    # No previous key yet: the current one in its place.
    assert [(one / f"{n}.key").read_bytes() for n in ("previous", "current", "next")] == [raws[0], *raws]
    rotated(stekctl, 2)
    stekctl.run("export", "--format", "kubernetes-secret", "--out", out)
    two = secret_files(out, stekctl.root / "two")
    ring = sorted(stekctl.ring().keys, key=lambda k: k.not_before)
    assert [(two / f"{n}.key").read_bytes() for n in ("previous", "current", "next")] \
        == [k.name + k.hmac + k.aes for k in ring[1:]]
    assert [base64.b64decode(line) for line in (two / "haproxy.keys").read_text().split()] \
        == [k.name + k.aes + k.hmac for k in ring[1:]]
    assert keys_of((two / "envoy.json").read_text()) == wanted(stekctl)


def test_kubernetes_secret_in_nginx_and_haproxy(stekctl, folder, certs):
    """Tickets of one stay good in the other version of the Secret, a rotation later."""
    out = stekctl.root / "secret.yaml"
    programs, sessions = [], {}
    try:
        for turn in ("old", "new"):
            stekctl.run("export", "--format", "kubernetes-secret", "--out", out)
            mount = secret_files(out, stekctl.root / turn)
            (mount / "tickets.conf").write_text("".join(
                f'ssl_session_ticket_key "{mount}/{name}.key";\n' for name in ("current", "next", "previous")))
            for kind, path in ((Nginx, mount), (Haproxy, mount / "haproxy.keys")):
                programs.append(kind(folder, certs, path).start())
                reply = programs[-1].get(tls="1.2")
                assert reply.name == stekctl.current().name
                if turn == "new":
                    assert programs[-1].get(tls="1.2", session=sessions[kind]).resumed
                sessions[kind] = reply.session
            rotated(stekctl, 1)
    finally:
        for program in programs:
            program.stop()


def test_envoy_example_fits_the_file(stekctl):
    context = yaml.safe_load((TOP / "conf" / "fleet" / "envoy.yaml").read_text())["transport_socket"]["typed_config"]
    assert context["@type"].endswith(".tls.v3.DownstreamTlsContext")
    sds = context["session_ticket_keys_sds_secret_config"]
    source = sds["sds_config"]["path_config_source"]
    assert os.path.dirname(source["path"]) == source["watched_directory"]["path"]
    out = stekctl.root / os.path.basename(source["path"])
    stekctl.run("export", "--format", "envoy", "--out", out)
    assert yaml.safe_load(out.read_text())["resources"][0]["name"] == sds["name"]
    page = (TOP / "docs" / "fleet.md").read_text()
    assert f"--format envoy --out {source['path']}" in page


def test_json_exports_replace_only_their_own(stekctl):
    """What the other format, or somebody else, has written stays."""
    for form, other in (("envoy", "kubernetes-secret"), ("kubernetes-secret", "envoy")):
        out = stekctl.root / form
        for _ in range(2):
            stekctl.run("export", "--format", form, "--out", out)
        for text in (out.read_text(), "resources: []\n", out.read_text()[1:]):
            out.write_text(text)
            done = stekctl.run("export", "--format", other, "--out", out, expect=REFUSED)
            assert "did not change it" in done.stderr and out.read_text() == text


def test_json_formats_are_for_export_only(stekctl):
    for command in ("import", "audit"):
        done = stekctl.run(command, "--format", "envoy", "x", expect=USAGE)
        assert "must be one of nginx" in done.stderr and "envoy, " not in done.stderr
    done = stekctl.run("export", "--format", "istio", "--out", "x", expect=USAGE)
    assert "dnsdist, envoy, kubernetes-secret" in done.stderr
