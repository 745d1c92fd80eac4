#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the test vector of ring version 1 with a second implementation.

Written from the format's description in include/stek_seal.h and nothing else: it opens the sealed
bytes of vector_ring_v1.h, derives id, salt, key, nonce and plaintext anew and compares every byte,
then seals the same ring and compares again.  The ring itself is stated here and, in C, in
test_seal.c; its random-looking bytes are SHA-256 of the labels below.
"""
import hashlib
import hmac
import pathlib
import re
import struct
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

T0 = 1767225600  # 2026-01-01 00:00:00 UTC
INTERVAL, LIFETIME, EPOCH, GENERATION, WRITTEN_AT = 3600, 64800, 3, 41, T0 + 5


def label(text, length=32):
    return hashlib.sha256(text.encode()).digest()[:length]


SECRET = label("stek vector secret")
RANDOM = label("stek vector random")


def key(n, flags, epoch, created, not_before, encrypt_until, decrypt_until):
    return (label(f"stek vector key {n} name", 16) + label(f"stek vector key {n} hmac")
            + label(f"stek vector key {n} aes")
            + struct.pack(">IQQQQQ", flags, epoch, created, not_before, encrypt_until,
                          decrypt_until))


def plaintext():
    keys = [key(1, 0, 3, T0 - 3595, T0, T0 + 3600, T0 + 68400),
            key(2, 0, 3, T0 + 5, T0 + 3600, T0 + 7200, T0 + 72000)]
    tombstones = [label("stek vector tombstone", 16) + struct.pack(">Q", T0 + 64800)]
    return struct.pack(">HH", 2, 1) + b"".join(sorted(keys)) + b"".join(tombstones)


def hkdf(salt, info, length):
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(SECRET)


def header(salt, body_len):
    return (b"STEKRING" + struct.pack(">HHIIQQQ", 1, 0, INTERVAL, LIFETIME, EPOCH, GENERATION,
                                      WRITTEN_AT)
            + hkdf(b"", b"stek ring v1 id", 8) + salt + struct.pack(">I", body_len))


def derive():
    """Every value of the vector, by name."""
    plain = plaintext()
    body_len = len(plain) + 16
    salt_key = hkdf(b"", b"stek ring v1 salt", 32)
    salt = hmac.digest(salt_key, RANDOM + header(bytes(32), body_len) + plain, "sha256")
    material = hkdf(salt, b"stek ring v1 seal", 44)
    aad = header(salt, body_len)
    sealed = aad + AESGCM(material[:32]).encrypt(material[32:], plain, aad)
    return {"SECRET": SECRET, "RANDOM": RANDOM, "ID": hkdf(b"", b"stek ring v1 id", 8),
            "PLAIN": plain, "SALT_KEY": salt_key, "SALT": salt, "KEY": material[:32],
            "NONCE": material[32:], "SEALED": sealed}


def read_vector(path):
    """The header's macros: VECTOR_NAME and one or more strings of hex."""
    text = path.read_text(encoding="ascii")
    found = re.findall(r'#define VECTOR_([A-Z_]+)((?:\s*\\?\s*"[0-9a-f]*")+)', text)
    return {name: bytes.fromhex("".join(re.findall(r'"([0-9a-f]*)"', value)))
            for name, value in found}


def check_open(vector):
    """Opens the published bytes with the published secret, not with what derive() says."""
    sealed = vector["SEALED"]
    aad, body = sealed[:88], sealed[88:]
    assert struct.unpack(">I", aad[84:88])[0] == len(body), "body length"
    kdf = HKDF(algorithm=hashes.SHA256(), length=44, salt=aad[52:84], info=b"stek ring v1 seal")
    material = kdf.derive(vector["SECRET"])
    plain = AESGCM(material[:32]).decrypt(material[32:], body, aad)
    assert plain == vector["PLAIN"], "plaintext"


def main():
    path = pathlib.Path(__file__).with_name("vector_ring_v1.h")
    vector, expected = read_vector(path), derive()
    wrong = sorted(name for name in vector.keys() | expected.keys()
                   if vector.get(name) != expected.get(name))
    if wrong:
        print(f"{path.name}: differs in {', '.join(wrong)}", file=sys.stderr)
        return 1
    check_open(vector)
    print(f"{path.name}: {len(vector)} values, {len(vector['SEALED'])} sealed bytes agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
