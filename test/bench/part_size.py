# SPDX-License-Identifier: Apache-2.0
"""How long tickets are, as a client gets them and sends them back: with this module, and with httpd's own keys,
for plain virtual hosts and for client certificates of 1 to 3 kB."""
import subprocess

from httpd import Vhost, free_port
from report import Part
from servers import NAME, BenchHttpd

SIZES = (1024, 2048, 3072)  # of client certificates, in DER


def _openssl(*words, **options):
    return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, **options).stdout


def make_client(certs, size):
    """NAME.crt, NAME.key of a client whose certificate has that many bytes, signed by its own key."""
    name, comment = f"client{size}", 0
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", certs / f"{name}.key")
    for _ in range(8):
        _openssl("req", "-x509", "-new", "-key", certs / f"{name}.key", "-days", 30, "-subj", "/CN=client", "-set_serial",
                 12345, "-addext", f"nsComment={'x' * (comment or 1)}", "-out", certs / f"{name}.crt")
        now = len(_openssl("x509", "-in", certs / f"{name}.crt", "-outform", "DER"))
        if now == size:
            break
        comment += size - now  # signatures vary by a byte or two
    return certs / name


def _vhosts(certs, clients):
    found = {"P-256": Vhost(NAME, port=free_port()), "RSA": Vhost(NAME, port=free_port(), cert="rsa")}
    for size, base in clients.items():
        found[size] = Vhost(NAME, ["SSLVerifyClient require", f"SSLCACertificateFile {base}.crt"], free_port())
    return found


def _lengths(run, module, clients):
    vhosts = _vhosts(run.certs, clients)
    server = BenchHttpd(run.certs, module=module, vhosts=list(vhosts.values()))
    try:
        server.start()
        return {(kind, version): len(server.get(NAME, port=vhost.port, tls=version,
                                                cert=clients.get(kind)).session.ticket)
                for kind, vhost in vhosts.items() for version in ("1.2", "1.3")}
    finally:
        server.end()


def measure(run):
    part = Part()
    clients = {size: make_client(run.certs, size) for size in SIZES}
    ours, stock = (_lengths(run, module, clients) for module in (True, False))
    rows = []
    for kind, version in ours:
        what = f"server certificate {kind}" if kind not in clients else f"client certificate, {kind:,} bytes"
        rows.append([f"TLS {version}, {what}", stock[kind, version], ours[kind, version],
                     f"{ours[kind, version] - stock[kind, version]:+d}"])
    part.table("Bytes of a ticket, SNI name of 6", ["", "httpd's own keys", "module", "more"], rows)
    part.raw = {f"{version} {kind}": [stock[kind, version], length] for (kind, version), length in ours.items()}
    return part
