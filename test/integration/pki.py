# SPDX-License-Identifier: Apache-2.0
"""Client certificates, authorities and revocation lists of a test's own, made as it goes."""
import datetime
import ipaddress
import re
import subprocess
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _when(offset_s):
    return datetime.datetime.utcfromtimestamp(time.time() + offset_s)


def _name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


class Identity:
    """A certificate and its key; stored as NAME.crt (its own, then issuers below the
    root) and NAME.key.  server: it has these names and addresses, and is for servers and clients."""

    def __init__(self, folder, name, issuer=None, *, ca=False, seconds=86400, subject=None,
                 key=None, pathlen=None, server=()):
        self.folder, self.name, self.issuer = Path(folder), name, issuer
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        signer = issuer or self
        self.subject = _name(name if subject is None else subject)
        builder = (x509.CertificateBuilder().subject_name(self.subject)
                   .issuer_name(signer.subject).public_key(self.key.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(_when(-3600)).not_valid_after(_when(seconds))
                   .add_extension(x509.BasicConstraints(ca, pathlen), True))
        if server:
            names = [x509.DNSName(n) if re.search("[a-z]", n) else x509.IPAddress(ipaddress.ip_address(n))
                     for n in server]
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = (builder.add_extension(x509.SubjectAlternativeName(names), False)
                       .add_extension(x509.ExtendedKeyUsage(usages), False))
        self.cert = builder.sign(signer.key, hashes.SHA256())
        self.path.write_bytes(self.pem + (issuer.chain if issuer else b""))
        self.path.with_suffix(".key").write_bytes(self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))

    @property
    def pem(self):
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def chain(self):
        """Without the root."""
        return self.pem + self.issuer.chain if self.issuer else b""

    @property
    def path(self):
        return self.folder / f"{self.name}.crt"

    @property
    def base(self):
        """What tls.Connection calls cert."""
        return self.folder / self.name

    @property
    def expires(self):
        return self.cert.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp()

    def crl(self, *revoked, number=1):
        """A list in PEM; number and times differ each time."""
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.subject)
                   .last_update(_when(-3600 + number)).next_update(_when(86400 + number))
                   .add_extension(x509.CRLNumber(number), False))
        for identity in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(identity.cert.serial_number)
                .revocation_date(_when(-60)).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write(path, *parts):
    """Replaces a file at once, as an administrator's tool would."""
    fresh = Path(path).with_suffix(".new")
    fresh.write_bytes(b"".join(parts))
    fresh.chmod(0o644)
    fresh.rename(path)


def hashed(folder, **files):
    """Makes folder a hashed directory of these files, and of nothing else."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, data in files.items():
        (folder / f"{name}.pem").write_bytes(data)
    subprocess.run(["openssl", "rehash", folder], check=True, capture_output=True)
    return folder
