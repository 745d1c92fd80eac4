# SPDX-License-Identifier: Apache-2.0
"""Records TLS connections on their way, and reads them as a thief of the ring would: from the bytes on
the wire and the keys of the ring alone.  Suites with AES-128-GCM and SHA-256."""
import hmac as hmac_lib
import os
import socket
import struct
import threading
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from listener import Listener

SUITES = ["SSLCipherSuite ECDHE-ECDSA-AES128-GCM-SHA256",
          "SSLCipherSuite TLSv1.3 TLS_AES_128_GCM_SHA256"]
HANDSHAKE, APPLICATION, CHANGE_CIPHER = 22, 23, 20
CLIENT_HELLO, SERVER_HELLO, NEW_TICKET = 1, 2, 4
SESSION_TICKET, PRE_SHARED_KEY, KEY_SHARE = 35, 41, 51


class Relay(Listener):
    """A listener that passes everything on to a port and keeps a copy."""

    def __init__(self, port, address="127.0.0.1"):
        self.target, self.captures = (address, port), []
        super().__init__()

    def _take(self, sock):
        server = socket.create_connection(self.target)
        capture = Capture()
        self.captures.append(capture)
        capture.threads = [
            threading.Thread(target=self._pass, args=way, daemon=True)
            for way in ((sock, server, capture.client), (server, sock, capture.server))]
        for thread in capture.threads:
            thread.start()

    @staticmethod
    def _pass(source, sink, copy):
        try:
            while piece := source.recv(65536):
                copy += piece
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def last(self):
        """The newest capture, once the connection has ended."""
        for thread in self.captures[-1].threads:
            thread.join(20)
        return self.captures[-1]


@dataclass
class Capture:
    client: bytearray = field(default_factory=bytearray)
    server: bytearray = field(default_factory=bytearray)
    threads: list = field(default_factory=list)


def records(data):
    """(type, version, body) of each TLS record."""
    at = 0
    while at + 5 <= len(data):
        kind, version, length = struct.unpack_from(">BHH", data, at)
        yield kind, version, bytes(data[at + 5:at + 5 + length])
        at += 5 + length


def messages(data):
    """(type, whole message) of each handshake message in clear, up to the first encrypted record."""
    clear, at = b"", 0
    for kind, _version, body in records(data):
        if kind != HANDSHAKE:
            break
        clear += body
    while at + 4 <= len(clear):
        end = at + 4 + int.from_bytes(clear[at + 1:at + 4], "big")
        yield clear[at], clear[at:end]
        at = end


def message(data, kind):
    return next((text for found, text in messages(data) if found == kind), None)


def hello(text):
    """(random, session id, suites or suite, extensions by type) of a ClientHello or ServerHello."""
    rand, at = text[6:38], 39 + text[38]
    sid = text[39:at]
    if text[0] == CLIENT_HELLO:
        size = int.from_bytes(text[at:at + 2], "big")
        suite, at = text[at + 2:at + 2 + size], at + 2 + size
        at += 1 + text[at]
    else:
        suite, at = text[at:at + 2], at + 3
    found, at = {}, at + 2
    while at + 4 <= len(text):
        kind, size = struct.unpack_from(">HH", text, at)
        found[kind] = text[at + 4:at + 4 + size]
        at += 4 + size
    return rand, sid, suite, found


def tickets(capture):
    """Every ticket that can be seen on the wire."""
    found = []
    extensions = hello(message(capture.client, CLIENT_HELLO))[3]
    if extensions.get(SESSION_TICKET):
        found.append(extensions[SESSION_TICKET])
    if PRE_SHARED_KEY in extensions:
        size = int.from_bytes(extensions[PRE_SHARED_KEY][2:4], "big")
        found.append(extensions[PRE_SHARED_KEY][4:4 + size])
    issued = message(capture.server, NEW_TICKET)
    if issued:
        found.append(issued[10:])
    return found


def master(session):
    """The secret in the plaintext of a ticket: the fifth element of OpenSSL's SSL_SESSION_ASN1."""
    from tls import _der_value
    at, _ = _der_value(session, 0)
    for _ in range(4):
        at = _der_value(session, at)[1]
    start, end = _der_value(session, at)
    return session[start:end]


def secrets(capture, ring):
    """What the ring's keys give of this connection: secrets out of its tickets."""
    found = []
    for ticket in tickets(capture):
        key = ring.find(ticket[:16])
        session = key and key.opens(ticket)
        if session:
            found.append(master(session))
    return found


def mac(key, data):
    return hmac_lib.new(key, data, sha256).digest()


# ---- TLS 1.2 (RFC 5246, RFC 5288) ----

def prf(secret, seed, length):
    out, a = b"", seed
    while len(out) < length:
        a = mac(secret, a)
        out += mac(secret, a + seed)
    return out[:length]


def read_tls12(capture, ring, later=None):
    """The application data of both sides, or None.  later: a capture of the same session, whose tickets count."""
    client, server = (hello(message(side, kind)) for side, kind in
                      ((capture.client, CLIENT_HELLO), (capture.server, SERVER_HELLO)))
    for secret in secrets(later or capture, ring):
        block = prf(secret, b"key expansion" + server[0] + client[0], 40)
        try:
            return (_read_side12(capture.client, block[:16], block[32:36]),
                    _read_side12(capture.server, block[16:32], block[36:40]))
        except InvalidTag:
            pass
    return None


def _read_side12(data, key, salt):
    text, number, encrypted = b"", 0, False
    for kind, version, body in records(data):
        if encrypted:
            head = struct.pack(">QBHH", number, kind, version, len(body) - 24)
            plain = AESGCM(key).decrypt(salt + body[:8], body[8:], head)
            text, number = text + (plain if kind == APPLICATION else b""), number + 1
        encrypted = encrypted or kind == CHANGE_CIPHER
    return text


# ---- TLS 1.3 (RFC 9846, 7.1) ----

def expand(secret, label, context, length):
    info = struct.pack(">HB", length, 6 + len(label)) + b"tls13 " + label
    info += bytes([len(context)]) + context
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = mac(secret, block + info + bytes([number]))
        out, number = out + block, number + 1
    return out[:length]


def derive(secret, label, transcript):
    return expand(secret, label, sha256(transcript).digest(), 32)


class Side13:
    """Opens the records of one side under a traffic secret."""

    def __init__(self, secret):
        self.key, self.iv = expand(secret, b"key", b"", 16), expand(secret, b"iv", b"", 12)
        self.number = 0

    def open(self, version, body):
        """(type, plaintext)."""
        nonce = (int.from_bytes(self.iv, "big") ^ self.number).to_bytes(12, "big")
        head = struct.pack(">BHH", APPLICATION, version, len(body))
        plain = AESGCM(self.key).decrypt(nonce, body, head).rstrip(b"\0")
        self.number += 1
        return plain[-1], plain[:-1]


def binder_key(psk):
    return expand(derive(mac(bytes(32), psk), b"res binder", b""), b"finished", b"", 32)


def has_psk(capture, psk):
    """Whether that is the secret of the session that the client offers: its binder tells."""
    text = message(capture.client, CLIENT_HELLO)
    binder = text[-32:]
    return mac(binder_key(psk), sha256(text[:-35]).digest()) == binder


def read_tls13(capture, ring, shared=bytes(32)):
    """The application data of both sides, or None.  shared: the secret of the key exchange; without
    one, zeros (RFC 9846, 7.1)."""
    hellos = message(capture.client, CLIENT_HELLO) + message(capture.server, SERVER_HELLO)
    for psk in secrets(capture, ring):
        assert has_psk(capture, psk), "the ring gives another secret than the client's"
        early = mac(bytes(32), psk)
        handshake = mac(derive(early, b"derived", b""), shared)
        try:
            return _read13(capture, hellos, handshake)
        except InvalidTag:
            pass
    return None


def _read13(capture, hellos, handshake):
    first = mac(derive(handshake, b"derived", b""), bytes(32))
    sides = {name: Side13(derive(handshake, name + b" hs traffic", hellos)) for name in (b"s", b"c")}
    texts, transcript, later = [], hellos, None
    for name, data in ((b"s", capture.server), (b"c", capture.client)):
        text, side = b"", sides[name]
        for kind, version, body in records(data):
            if kind != APPLICATION:
                continue
            kind, plain = side.open(version, body)
            if kind == HANDSHAKE and side is sides[name]:
                # The last message of either side's flight here is Finished.
                if name == b"s":
                    transcript += plain
                if _ends_with_finished(plain):
                    later = later or transcript
                    side = Side13(derive(first, name + b" ap traffic", later))
            elif kind == APPLICATION:
                text += plain
        texts.append(text)
    return texts[1], texts[0]


def _ends_with_finished(plain):
    at = kind = 0
    while at + 4 <= len(plain):
        kind, at = plain[at], at + 4 + int.from_bytes(plain[at + 1:at + 4], "big")
    return kind == 20


# ---- a client that knows no key exchange for resumption ----

def offer_without_kex(port, host, session, psk, modes=b"\0", address="127.0.0.1"):
    """Offers a session with these psk_key_exchange_modes, and a key share for a full handshake.  The
    extensions of the ServerHello by type."""
    def extension(kind, body):
        return struct.pack(">HH", kind, len(body)) + body

    def vector(body, size=2):
        return len(body).to_bytes(size, "big") + body
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
        Encoding.X962, PublicFormat.UncompressedPoint)
    extensions = extension(0, vector(b"\0" + vector(host.encode())))
    extensions += extension(43, vector(b"\x03\x04", 1)) + extension(10, vector(b"\0\x17"))
    extensions += extension(13, vector(b"\x04\x03\x08\x04"))
    extensions += extension(KEY_SHARE, vector(b"\0\x17" + vector(point)))
    extensions += extension(45, vector(modes, 1))
    identities = vector(vector(session.ticket) + bytes(4))
    extensions += struct.pack(">HH", PRE_SHARED_KEY, len(identities) + 35) + identities
    body = b"\x03\x03" + os.urandom(32) + b"\0" + vector(b"\x13\x01") + b"\x01\0"
    body += (len(extensions) + 35).to_bytes(2, "big") + extensions
    text = bytes([CLIENT_HELLO]) + (len(body) + 35).to_bytes(3, "big") + body
    text += b"\0\x21\x20" + mac(binder_key(psk), sha256(text).digest())
    with socket.create_connection((address, port), 20) as sock:
        sock.sendall(struct.pack(">BHH", HANDSHAKE, 0x0301, len(text)) + text)
        data = b""
        while message(data, SERVER_HELLO) is None:
            piece = sock.recv(65536)
            assert piece, f"no ServerHello, but {data!r}"
            data += piece
    return hello(message(data, SERVER_HELLO))[3]
