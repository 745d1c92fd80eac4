# SPDX-License-Identifier: Apache-2.0
"""Opens, makes and forges file rings and tickets, from the formats' descriptions only and with
another cryptographic binding than the module's: what both agree on is what is written down."""
import base64
import hmac as hmac_lib
import os
import struct
import time
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

MAGIC = b"STEKRING"
HEADER = struct.Struct(">8sHHIIQQQ8s32sI")  # up to the body
KEY = struct.Struct(">16s32s32sIQQQQQ")
TOMBSTONE = struct.Struct(">16sQ")


def hkdf(secret, salt, info, length):
    kdf = HKDF(algorithm=hashes.SHA256(), length=length, salt=salt or None, info=info)
    return kdf.derive(secret)


def read_secrets(path):
    found = []
    for line in Path(path).read_text().splitlines():
        if line.startswith("stek-secret-v1 "):
            found.append(base64.b64decode(line.split()[1], validate=True))
    assert found and all(len(secret) == 32 for secret in found), f"{path}: no secret"
    return found


def secret_line(secret):
    return f"stek-secret-v1 {base64.b64encode(secret).decode()}\n"


@dataclass(frozen=True)
class Key:
    name: bytes = field(default_factory=lambda: os.urandom(16))
    hmac: bytes = field(default_factory=lambda: os.urandom(32))
    aes: bytes = field(default_factory=lambda: os.urandom(32))
    flags: int = 0
    epoch: int = 0
    created: int = 0
    not_before: int = 0
    encrypt_until: int = 0
    decrypt_until: int = 0

    def pack(self):
        return KEY.pack(self.name, self.hmac, self.aes, self.flags, self.epoch, self.created,
                        self.not_before, self.encrypt_until, self.decrypt_until)

    def encrypts(self, now):
        return self.not_before <= now < self.encrypt_until

    @property
    def secret_bytes(self):
        return (self.hmac, self.aes)

    # tickets: name 16 | IV 16 | AES-256-CBC | HMAC-SHA256 32
    def opens(self, ticket):
        """The session in the ticket, or None if this key did not seal it."""
        body, mac = ticket[:-32], ticket[-32:]
        good = hmac_lib.compare_digest(hmac_lib.new(self.hmac, body, sha256).digest(), mac)
        if ticket[:16] != self.name or not good:
            return None
        cipher = Cipher(algorithms.AES(self.aes), modes.CBC(body[16:32])).decryptor()
        plain = cipher.update(body[32:]) + cipher.finalize()
        assert plain[-plain[-1]:] == bytes([plain[-1]]) * plain[-1], "padding"
        return plain[:-plain[-1]]

    def ticket(self, plain):
        pad = 16 - len(plain) % 16
        iv = os.urandom(16)
        cipher = Cipher(algorithms.AES(self.aes), modes.CBC(iv)).encryptor()
        body = self.name + iv + cipher.update(plain + bytes([pad]) * pad) + cipher.finalize()
        return body + hmac_lib.new(self.hmac, body, sha256).digest()


def make_key(start=None, interval=3600, lifetime=64800, **changes):
    """A random key; by default for the slot that contains now."""
    now = int(time.time())
    start = now // interval * interval if start is None else int(start)
    key = Key(created=now, not_before=start, encrypt_until=start + interval,
              decrypt_until=start + interval + lifetime)
    return replace(key, **changes)


@dataclass
class Ring:
    keys: list = field(default_factory=list)
    tombstones: list = field(default_factory=list)  # (name, until)
    interval: int = 3600
    lifetime: int = 64800
    epoch: int = 0
    generation: int = 1
    written_at: int = field(default_factory=lambda: int(time.time()))
    version: int = 1

    @classmethod
    def read(cls, path, secrets):
        return cls.open(Path(path).read_bytes(), secrets)

    @staticmethod
    def unseal(data, secrets):
        """(fields of the header, keys, tombstones), each as a tuple."""
        (magic, version, flags, interval, lifetime, epoch, generation, written_at, secret_id, salt,
         body_len) = HEADER.unpack_from(data)
        assert (magic, version, flags) == (MAGIC, 1, 0), "not a ring of version 1"
        header, body = data[:HEADER.size], data[HEADER.size:]
        assert body_len == len(body), "length"
        secret = next((s for s in secrets
                       if hkdf(s, b"", b"stek ring v1 id", 8) == secret_id), None)
        assert secret, "sealed under another secret"
        sealing = hkdf(secret, salt, b"stek ring v1 seal", 44)
        plain = AESGCM(sealing[:32]).decrypt(sealing[32:], body, header)
        key_n, tombstone_n = struct.unpack_from(">HH", plain)
        assert len(plain) == 4 + key_n * KEY.size + tombstone_n * TOMBSTONE.size, "plaintext length"
        keys = list(KEY.iter_unpack(plain[4:4 + key_n * KEY.size]))
        tombstones = list(TOMBSTONE.iter_unpack(plain[4 + key_n * KEY.size:]))
        assert [k[0] for k in keys] == sorted({k[0] for k in keys}), "keys sorted by name, once"
        assert [t[0] for t in tombstones] == sorted({t[0] for t in tombstones})
        return (interval, lifetime, epoch, generation, written_at), keys, tombstones

    @classmethod
    def open(cls, data, secrets):
        fields, keys, tombstones = cls.unseal(data, secrets)
        return cls([Key(*key) for key in keys], tombstones, *fields)

    def seal(self, secret, random=None):
        keys, tombstones = sorted(self.keys, key=lambda k: k.name), sorted(self.tombstones)
        plain = struct.pack(">HH", len(keys), len(tombstones))
        plain += b"".join(k.pack() for k in keys) + b"".join(TOMBSTONE.pack(*t) for t in tombstones)

        def header(salt):
            return HEADER.pack(MAGIC, self.version, 0, self.interval, self.lifetime, self.epoch,
                               self.generation, self.written_at,
                               hkdf(secret, b"", b"stek ring v1 id", 8), salt, len(plain) + 16)
        salt_key = hkdf(secret, b"", b"stek ring v1 salt", 32)
        random = os.urandom(32) if random is None else random
        salt = hmac_lib.new(salt_key, random + header(bytes(32)) + plain, sha256).digest()
        sealing = hkdf(secret, salt, b"stek ring v1 seal", 44)
        return header(salt) + AESGCM(sealing[:32]).encrypt(sealing[32:], plain, header(salt))

    def find(self, name):
        return next((key for key in self.keys if key.name == name), None)

    def current(self, now):
        """Of the keys whose slot contains now: the latest slot, then the smallest name."""
        able = [key for key in self.keys if key.encrypts(now)]
        return min(able, key=lambda k: (-k.not_before, k.name), default=None)

    @property
    def covered_until(self):
        return max(key.encrypt_until for key in self.keys)
