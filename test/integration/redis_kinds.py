# SPDX-License-Identifier: Apache-2.0
"""Redis as people run it, in real servers: by TLS, at a socket, under Sentinel, as a cluster; and memcached at a
socket and with SASL."""
import re
import shutil
import socket
import ssl
import subprocess

from fleet import Memcached, Redis, Store
from httpd import free_port, wait_for


class TlsRedis(Redis):
    """ca, identity: pki's; clients: it wants certificates of that CA; client: who may look past stekctl."""
    scheme = "rediss"

    def __init__(self, ca, identity, *extra, clients=True, client=None):
        super().__init__(*extra)
        self.client = client
        self.extra += ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", str(identity.path),
                       "--tls-key-file", str(identity.path.with_suffix(".key")), "--tls-ca-cert-file", str(ca.path),
                       "--tls-auth-clients", "yes" if clients else "no", "--tls-replication", "yes"]

    def connect(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if self.client:
            context.load_cert_chain(self.client.path, self.client.path.with_suffix(".key"))
        return context.wrap_socket(Redis.connect(self))


class SocketRedis(Redis):
    def __init__(self, *extra):
        super().__init__(*extra)
        self.path = self.dir / "redis.sock"
        self.extra += ["--port", "0", "--unixsocket", str(self.path), "--unixsocketperm", "700"]

    @property
    def url(self):
        return f"redis+unix://{self.path}"

    def connect(self):
        return at_socket(self.path)


class SocketMemcached(Memcached):
    def __init__(self, *extra):
        super().__init__(*extra)
        self.path = self.dir / "memcached.sock"

    def command(self):
        self.dir.chmod(0o777)  # memcached gives up root first
        return ["memcached", "-u", "nobody", "-s", str(self.path), "-a", "777", *self.extra]

    @property
    def url(self):
        return f"memcached+unix://{self.path}"

    def connect(self):
        return at_socket(self.path)


def at_socket(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    sock.connect(str(path))
    return sock


class SaslMemcached(Memcached):
    """With the user app and the password right.  Its binary protocol is stekctl's to speak."""

    def __init__(self, *extra):
        super().__init__("-S", *extra)
        (self.dir / "memcached.conf").write_text(f"mech_list: plain\nsasldb_path: {self.dir}/users\n")
        subprocess.run(["saslpasswd2", "-a", "memcached", "-u", "stek.test", "-c", "-p", "-f", self.dir / "users",
                        "app"], input=b"right", check=True)
        for path in (self.dir / "users", self.dir / "memcached.conf"):
            path.chmod(0o644)
        self.dir.chmod(0o755)

    def command(self):
        return ["env", f"SASL_CONF_PATH={self.dir}", *super().command()]

    def answers(self):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def url(self):
        return f"memcached://app@stek.test@127.0.0.1:{self.port}"


class Sentinel(Redis):
    """One that watches a primary under the name mymaster."""

    def __init__(self, primary, *lines, quorum=1):
        super().__init__()
        self.config = "".join(line + "\n" for line in [
            "bind 127.0.0.1", f"port {self.port}", f"dir {self.dir}",
            f"sentinel monitor mymaster 127.0.0.1 {primary.port} {quorum}",
            "sentinel down-after-milliseconds mymaster 1500", "sentinel failover-timeout mymaster 3000", *lines])

    def command(self):
        path = self.dir / "sentinel.conf"
        if not path.exists():
            path.write_text(self.config)
        return ["redis-server", str(path), "--sentinel"]

    def sees_replica(self):
        return b"slaves=1" in self.ask("INFO", "sentinel")


class TlsSentinel(Sentinel):
    """One that asks its primary by TLS, too."""
    scheme = "rediss+sentinel"

    def __init__(self, ca, identity, primary):
        super().__init__(primary)
        self.config = self.config.replace(f"port {self.port}\n", "port 0\n") + "".join(line + "\n" for line in [
            f"tls-port {self.port}", f"tls-cert-file {identity.path}", f"tls-key-file {identity.path.with_suffix('.key')}",
            f"tls-ca-cert-file {ca.path}", "tls-auth-clients no", "tls-replication yes"])

    connect = TlsRedis.connect
    client = None


def watched(fleet, *, sentinels=3, extra=(), lines=()):
    """(primary, replica, sentinels) that are ready for a promotion."""
    extra = ["--repl-diskless-sync-delay", "0", *extra]
    primary = fleet.store(Redis, *extra)
    replica = fleet.store(Redis, "--replicaof", f"127.0.0.1 {primary.port}", *extra)
    wait_for(lambda: b"state=online" in replies(primary, extra), "the replica")
    watchers = [Sentinel(primary, *lines, quorum=2) for _ in range(sentinels)]
    for watcher in watchers:
        fleet.stores.append(watcher.start())
    return primary, replica, watchers


def replies(store, extra):
    """What INFO says, logged in if it must be."""
    if "--requirepass" in extra:
        with store.connect() as sock:
            sock.sendall(f"AUTH {extra[extra.index('--requirepass') + 1]}\r\nINFO replication\r\n".encode())
            sock.settimeout(1)
            return sock.recv(65536) + sock.recv(65536)
    return store.ask("INFO", "replication")


class Node(Redis):
    """Of a cluster."""

    def __init__(self, *extra):
        super().__init__(*extra)
        self.extra += ["--cluster-enabled", "yes", "--cluster-config-file", str(self.dir / "nodes.conf"),
                       "--cluster-port", str(free_port()), "--cluster-node-timeout", "10000"]

    @property
    def id(self):
        return self.ask("CLUSTER", "MYID").decode()


class Cluster(Store):
    """Three nodes that share the slots, as redis-cli makes them."""
    scheme = "redis"

    def __init__(self, *extra):
        super().__init__()
        self.nodes = [Node("--bind", "127.0.0.1", *extra) for _ in range(3)]

    def start(self):
        for node in self.nodes:
            node.start()
        done = subprocess.run(["redis-cli", "--cluster", "create", *(f"127.0.0.1:{node.port}" for node in self.nodes),
                               "--cluster-yes"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        wait_for(lambda: all(b"cluster_state:ok" in node.ask("CLUSTER", "INFO") for node in self.nodes), "the cluster")
        return self

    @property
    def url(self):
        return self.url_of(*self.nodes)

    def url_of(self, *nodes):
        return f"redis://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"

    def slot(self, name):
        return int(self.nodes[0].ask("CLUSTER", "KEYSLOT", name)[1:])

    def owner(self, name):
        said = next(node.ask("GET", name) for node in self.nodes if node.process.poll() is None) or b""
        port = re.fullmatch(rb"-MOVED \d+ 127.0.0.1:(\d+)", said)
        return next(node for node in self.nodes if node.port == int(port.group(1))) if port else self.nodes[0]

    def others(self, name):
        return [node for node in self.nodes if node is not self.owner(name)]

    def get(self, name):
        return self.owner(name).ask("GET", name)

    def put(self, name, data):
        return self.owner(name).put(name, data)

    def flush(self):
        for node in self.nodes:
            node.flush()

    def signal(self, sign):
        for node in self.nodes:
            node.signal(sign)

    def kill(self):
        for node in self.nodes:
            node.kill()

    def remove(self):
        for node in self.nodes:
            node.remove()
        shutil.rmtree(self.dir, ignore_errors=True)

    def begin_move(self, name, to):
        """The slot of that object is on its way: what it had is at the new node, and the old one sends there."""
        slot, source = self.slot(name), self.owner(name)
        assert to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id) == b"+OK"
        assert source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id) == b"+OK"
        source.ask("MIGRATE", "127.0.0.1", to.port, name, 0, 5000)
        return source

    def end_move(self, name, to):
        for node in (to, *self.nodes):
            assert node.ask("CLUSTER", "SETSLOT", self.slot(name), "NODE", to.id) == b"+OK"
