# SPDX-License-Identifier: Apache-2.0
"""Opens, makes and forges hosts' announcements, from their format's description only (stek-ring(5)), and
with another cryptographic binding than stekctl's."""
import hmac as hmac_lib
import os
import struct
import time
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fleet import DAY, fleet_fields, sealing_secrets
from ringfile import hkdf

PARTS = 64
MUTE, TWIN, FORGOTTEN = 4, 8, 16
HEADER = struct.Struct(">8sHH8s32sI")
REST = struct.Struct(">8s8sHQQQQQIIIQQ")


def part_of(name):
    number = 2166136261
    for byte in name.encode():
        number = (number ^ byte) * 16777619 & 0xffffffff
    return (number ^ number >> 16) % PARTS


def object_of(secret_path, part):
    return "stek:{%s}:hosts:%02d" % (fleet_fields(secret_path)[1].hex(), part)


@dataclass
class Announcement:
    name: str
    version: str = "0.1.0"
    process: bytes = b"process."
    digest: bytes = bytes(8)
    flags: int = 1
    epoch: int = 0
    generation: int = 1
    clock: int = 0
    since: int = 1
    agreed: int = 1
    behind: int = 0
    every: int = 1
    period: int = 60
    httpd_epoch: int = 0
    httpd_generation: int = 0

    def pack(self):
        words = b"".join(bytes([len(text)]) + text.encode() for text in (self.name, self.version))
        return words + REST.pack(self.process, self.digest, self.flags, self.epoch, self.generation, self.clock,
                                 self.since, self.agreed, self.behind, self.every, self.period,
                                 self.httpd_epoch, self.httpd_generation)


def unpack(plain):
    count, at, found = struct.unpack_from(">H", plain)[0], 2, []
    for _ in range(count):
        words = []
        for _ in range(2):
            words.append(plain[at + 1:at + 1 + plain[at]].decode())
            at += 1 + plain[at]
        found.append(Announcement(*words, *REST.unpack_from(plain, at)))
        at += REST.size
    assert at == len(plain), "length"
    assert [a.name for a in found] == sorted({a.name for a in found}), "sorted by name, each once"
    return found


def opened(data, secrets, part):
    magic, version, its_part, secret_id, salt, body_len = HEADER.unpack_from(data)
    assert (magic, version, its_part, body_len) == (b"STEKHOST", 1, part, len(data) - HEADER.size)
    secret = next(s for s in secrets if hkdf(s, b"", b"stek ring v1 id", 8) == secret_id)
    sealing = hkdf(secret, salt, b"stek hosts v1 seal", 44)
    return unpack(AESGCM(sealing[:32]).decrypt(sealing[32:], data[HEADER.size:], data[:HEADER.size]))


def sealed(hosts, secret, part):
    plain = struct.pack(">H", len(hosts)) + b"".join(h.pack() for h in sorted(hosts, key=lambda h: h.name))

    def header(salt):
        return HEADER.pack(b"STEKHOST", 1, part, hkdf(secret, b"", b"stek ring v1 id", 8), salt, len(plain) + 16)
    salt_key = hkdf(secret, b"", b"stek hosts v1 salt", 32)
    salt = hmac_lib.new(salt_key, os.urandom(32) + header(bytes(32)) + plain, sha256).digest()
    sealing = hkdf(secret, salt, b"stek hosts v1 seal", 44)
    return header(salt) + AESGCM(sealing[:32]).encrypt(sealing[32:], plain, header(salt))


def read(store, secret_path):
    """What all hosts have announced there: by name."""
    secrets = sealing_secrets(secret_path, int(time.time()) // DAY)
    parts = {part: store.get(object_of(secret_path, part)) for part in range(PARTS)}
    return {host.name: host for part, data in parts.items() if data for host in opened(data, secrets, part)
            if not host.flags & FORGOTTEN}


def put(store, secret_path, host):
    """Adds the announcement, or replaces the host's."""
    part, secrets = part_of(host.name), sealing_secrets(secret_path, int(time.time()) // DAY)
    data = store.get(object_of(secret_path, part))
    others = [other for other in (opened(data, secrets, part) if data else []) if other.name != host.name]
    assert store.put(object_of(secret_path, part), sealed([*others, host], secrets[0], part))
