# SPDX-License-Identifier: Apache-2.0
"""What TLS-Scanner's tests of tickets look for, as far as the score draws it: at its default level of detail, NORMAL
(github.com/tls-attacker/TLS-Scanner, 22cc2fafd281, 10 July 2025: SessionTicketAfterProbe, DefaultKeys,
SessionTicketEncryptionFormat, SessionTicketMacFormat, SessionTicketManipulationProbe).  Read, not run."""

# With the length of the nonce.  For CCM it takes 16 bytes off the ticket and uses 12, so that the text is missed.
CIPHERS = {"aes-128-cbc": 16, "aes-256-cbc": 16, "aes-128-gcm": 12, "aes-256-gcm": 12, "aes-128-ctr": 16,
           "chacha20-poly1305": 12}
DIGESTS = {"sha1", "sha256", "sha384"}
TICKETS = 10


def is_on_its_list(key):
    """One byte, counting, what was seen in the wild, and words of debuggers; no text, and no hash of anything."""
    if len(set(key)) == 1:
        return key[0] in {0x00, 0xff, 0xa5, 0xab, 0xcc, 0xcd, 0xdd, 0xfd}
    steps = {(b - a) % 256 for a, b in zip(key, key[1:])}
    return (steps == {1} and key[0] in {0x00, 0x01, 0x10, 0x11, 0x20, 0x21}
            or steps == {0x11} and key[0] in {0, 1}
            or key in (b"1" * 8 + bytes(8), b"1" * 16 + bytes(16))
            or key[:4] == bytes.fromhex("deadbeef") and set(steps) == {0x11, 0x47, 0xe9, 0xcf})


def findings(sin, expected):
    """Those of expected that it looks for, at a server of sins.c."""
    words = dict(word.split("=", 1) for word in sin.split(":", 1)[1].split(",") if "=" in word)
    cipher, mac = words.get("cipher"), words.get("mac", "behind")
    key, mac_key = (bytes.fromhex(words[name]) if name in words and words[name] != "none" else b"random"
                    for name in ("key", "mac-key"))
    is_text = any(words.get(name, "none") != "none" for name in ("form", "wrap"))
    nonce = int(words.get("nonce", CIPHERS.get(cipher, 0)))
    found = set()
    if mac == "none":
        found.add("mac")
    if not is_text and int(words.get("keys", 1)) <= TICKETS:
        if CIPHERS.get(cipher) == nonce and is_on_its_list(key):
            found.add("cipher-key")
        if words.get("digest", "sha256") in DIGESTS and mac in ("behind", "front") and "mac-len" not in words \
                and is_on_its_list(mac_key):
            found.add("mac-key")
        if "cbc" not in cipher and (words.get("iv") == "constant" or nonce == 0):
            found.add("nonce")
    return found & set(expected)
