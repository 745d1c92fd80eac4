# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 over a tls.Connection, as much as a request needs (RFC 9113; RFC 7541 for the header block)."""
import struct

import tls

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEADERS, _RST, _SETTINGS, _GOAWAY = 1, 3, 4, 7
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_GET, _HTTPS, _PATH, _AUTHORITY, _STATUS_200 = b"\x82", b"\x87", b"\x04", b"\x01", 0x88


def _frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _literal(name, value):
    assert len(value) < 127
    return name + bytes([len(value)]) + value.encode()


class Http2:
    """One connection; its handshake is done in the constructor."""

    def __init__(self, port, host, **options):
        self.tls = tls.Connection(port, host, alpn=("h2",), **options)
        self._data, self._stream = b"", -1
        self._send(_PREFACE + _frame(_SETTINGS, 0, 0))
        assert self.tls.reply.alpn == "h2", "the server does not speak HTTP/2"

    def _send(self, data):
        if tls.SSL_write(self.tls.ssl, data, len(data)) != len(data):
            raise tls.TlsError("write failed")

    def _read(self):
        """(kind, flags, stream, payload) of the next frame."""
        def fill(length):
            while len(self._data) < length:
                piece = self.tls.read()
                if not piece:
                    raise tls.TlsError("the connection ended")
                self._data += piece
        fill(9)
        length = int.from_bytes(self._data[:3], "big")
        kind, flags, stream = struct.unpack(">BBI", self._data[3:9])
        fill(9 + length)
        payload, self._data = self._data[9:9 + length], self._data[9 + length:]
        return kind, flags, stream, payload

    def is_served(self, host, path="/index.html"):
        """Whether a request for that host is answered with 200."""
        self._stream += 2
        self._send(_frame(_HEADERS, _END_STREAM | _END_HEADERS, self._stream,
                          _GET + _HTTPS + _literal(_PATH, path) + _literal(_AUTHORITY, host)))
        served = None
        while True:
            kind, flags, stream, payload = self._read()
            if kind == _SETTINGS and not flags & _ACK:
                self._send(_frame(_SETTINGS, _ACK, 0))
            elif kind == _GOAWAY or (kind == _RST and stream == self._stream):
                raise tls.TlsError(f"frame {kind}: {payload!r}")
            elif stream == self._stream:
                if kind == _HEADERS and served is None:
                    while payload[0] & 0xe0 == 0x20:  # the size of the dynamic table
                        payload = payload[1:]
                    served = payload[0] == _STATUS_200
                if flags & _END_STREAM:
                    return served

    def close(self):
        self.tls.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.tls.close(quiet=kind is None)
