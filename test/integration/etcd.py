# SPDX-License-Identifier: Apache-2.0
"""Real etcd clusters on loopback, of a test's own, as stores of fleet.py."""
import base64
import http.client
import json
import os
import shutil
import ssl
import subprocess

import pki
from fleet import Server, Store
from httpd import free_port, make_folder, wait_for

PREFIX = "test/keys"


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


class Refused(OSError):
    """etcd answered with an error."""


class Member(Server):
    def __init__(self, name, cluster):
        self.name, self.cluster, self.dir = name, cluster, make_folder()
        self.port, self.peer_port, self.process = free_port(), free_port(), None

    def start(self):
        scheme, tls = ("https" if self.cluster.tls else "http"), self.cluster.tls or {}
        client, peer = f"{scheme}://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.peer_port}"
        words = {"name": self.name, "data-dir": self.dir / "data", "listen-client-urls": client,
                 "advertise-client-urls": client, "listen-peer-urls": peer, "initial-advertise-peer-urls": peer,
                 "initial-cluster": self.cluster.peers(), "initial-cluster-token": self.cluster.token,
                 "heartbeat-interval": 100, "election-timeout": 1000, **tls}
        with open(self.dir / "log", "ab") as log:
            self.process = subprocess.Popen(["etcd", *(f"--{key}={value}" for key, value in words.items()),
                                             *self.cluster.extra], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.dir, env=dict(os.environ, GOMAXPROCS="2"))

    def ask(self, path, token=None, **fields):
        """What the gateway answers."""
        tls = self.cluster.tls
        if tls:
            context = ssl.create_default_context(cafile=self.cluster.ca)
            if "client-cert-auth" in tls:
                context.load_cert_chain(tls["cert-file"], tls["key-file"])
            link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=20, context=context)
        else:
            link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            link.request("POST", f"/v3/{path}", json.dumps(fields), {"Authorization": token} if token else {})
            reply = link.getresponse()
            text = reply.read().decode()
        except http.client.HTTPException as error:
            raise ConnectionError from error
        finally:
            link.close()
        if reply.status != 200:
            raise Refused(text)
        return json.loads(text)

    def is_leader(self):
        try:
            status = self.ask("maintenance/status")
        except OSError:  # it starts, or the members elect one
            return False
        return status.get("leader") == status["header"]["member_id"]


class Etcd(Store):
    """A cluster; tls: options of etcd for its clients' TLS, with the path of the CA's certificate."""

    def __init__(self, *extra, members=1, tls=None, ca=None):
        super().__init__(*extra)
        self.tls, self.ca, self.token, self.root = tls, ca, self.dir.name, None
        self.scheme = "etcds" if tls else "etcd"
        self.members = [Member(f"m{n}", self) for n in range(members)]

    def peers(self):
        return ",".join(f"{m.name}=http://127.0.0.1:{m.peer_port}" for m in self.members)

    def start(self):
        for member in self.members:
            member.start()
        wait_for(self.answers, lambda: f"etcd to answer; {self.log()}", 40)
        return self

    def log(self):
        return "".join((member.dir / "log").read_text()[-2000:] for member in self.members)

    def url_of(self, *members, user=""):
        return f"{self.scheme}://{user}{','.join(f'127.0.0.1:{m.port}' for m in members)}/{PREFIX}"

    @property
    def url(self):
        return self.url_of(*self.members)

    def answers(self):
        try:
            return all(member.ask("kv/range", key=b64("x")) for member in self.members)
        except OSError:
            return False

    def ask(self, path, **fields):
        return next(m for m in self.members if m.process.poll() is None).ask(path, token=self.root, **fields)

    def key(self, name):
        return b64(f"/{PREFIX}/{name}")

    def entry(self, name):
        found = self.ask("kv/range", key=self.key(name)).get("kvs")
        return found and found[0]

    def get(self, name):
        entry = self.entry(name)
        return entry and base64.b64decode(entry.get("value", ""))

    def put(self, name, data):
        return bool(self.ask("kv/put", key=self.key(name), value=b64(data)))

    def flush(self):
        self.ask("kv/deleterange", key=b64("\0"), range_end=b64("\0"))

    def leader(self):
        return wait_for(lambda: next((m for m in self.members if m.process.poll() is None and m.is_leader()), None),
                        "a leader")

    def signal(self, sign):
        for member in self.members:
            member.signal(sign)

    def kill(self):
        for member in self.members:
            member.kill()

    def remove(self):
        self.kill()
        for folder in [self.dir, *(member.dir for member in self.members)]:
            shutil.rmtree(folder, ignore_errors=True)

    def etcdctl(self, *words):
        done = subprocess.run(["etcdctl", "--endpoints", f"127.0.0.1:{self.members[0].port}", *map(str, words)],
                              capture_output=True, text=True, env=dict(os.environ, ETCDCTL_API="3"), timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def snapshot(self, path):
        self.etcdctl("snapshot", "save", path)

    def restore(self, path):
        """All members start again, with what the snapshot has, as a new cluster."""
        self.kill()
        self.token += "-restored"
        for member in self.members:
            shutil.rmtree(member.dir / "data")
            self.etcdctl("snapshot", "restore", path, "--name", member.name, "--data-dir", member.dir / "data",
                         "--initial-cluster", self.peers(), "--initial-cluster-token", self.token,
                         "--initial-advertise-peer-urls", f"http://127.0.0.1:{member.peer_port}")
        self.start()

    def login(self, user, password):
        return self.ask("auth/authenticate", name=user, password=password)["token"]

    def users(self, **roles):
        """Turns authentication on: root, and users with the rights in roles (READ, WRITE or READWRITE below the
        prefix), whose password is "right"."""
        self.ask("auth/user/add", name="root", password="root")
        self.ask("auth/role/add", name="root")
        self.ask("auth/user/grant", user="root", role="root")
        for user, right in roles.items():
            self.ask("auth/user/add", name=user, password="right")
            self.ask("auth/role/add", name=user)
            self.ask("auth/role/grant", name=user, perm={"permType": right, "key": b64(f"/{PREFIX}/"),
                                                        "range_end": b64(f"/{PREFIX}0")})
            self.ask("auth/user/grant", user=user, role=user)
        self.ask("auth/enable")
        self.root = self.login("root", "root")


def tls_files(folder):
    """A CA, and certificates of servers and hosts."""
    ca = pki.Identity(folder, "ca", ca=True)
    made = {"ca": ca, "server": pki.Identity(folder, "server", ca, subject="", server=["127.0.0.1", "localhost"]),
            "elsewhere": pki.Identity(folder, "elsewhere", ca, server=["etcd.example.net"]),
            "expired": pki.Identity(folder, "expired", ca, seconds=-60, server=["127.0.0.1"]),
            "host": pki.Identity(folder, "host", ca, subject=""), "named": pki.Identity(folder, "named", ca), "old": pki.Identity(folder, "old", ca, seconds=-60),
            "stranger": pki.Identity(folder, "stranger", pki.Identity(folder, "other-ca", ca=True))}
    for identity in made.values():
        identity.path.with_suffix(".key").chmod(0o600)
    return made


def serving(identity, *, clients=None):
    """etcd's options for TLS; clients: the CA of certificates that they must have."""
    options = {"cert-file": identity.path, "key-file": identity.path.with_suffix(".key")}
    return {**options, **({"client-cert-auth": "true", "trusted-ca-file": clients.path} if clients else {})}
