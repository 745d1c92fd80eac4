# SPDX-License-Identifier: Apache-2.0
"""A TLS client that shows what Python's ssl module hides: ticket bytes, hints, each ticket that a
server sends, and sessions that can be altered.  libssl over ctypes; one connection per request."""
import ctypes
import ctypes.util
import socket
import struct
import time
from dataclasses import dataclass, field

V12, V13 = 0x0303, 0x0304
VERSIONS = {"1.2": V12, "1.3": V13}

_ssl = ctypes.CDLL(ctypes.util.find_library("ssl") or "libssl.so.3")
_crypto = ctypes.CDLL(ctypes.util.find_library("crypto") or "libcrypto.so.3")
_P, _C, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
_NEW_SESSION = ctypes.CFUNCTYPE(_C, _P, _P)
_EXT_ADD = ctypes.CFUNCTYPE(_C, _P, ctypes.c_uint, ctypes.c_uint, ctypes.POINTER(_P),
                            ctypes.POINTER(ctypes.c_size_t), _P, ctypes.c_size_t,
                            ctypes.POINTER(_C), _P)
_EXT_PARSE = ctypes.CFUNCTYPE(_C, _P, ctypes.c_uint, ctypes.c_uint, _P, ctypes.c_size_t, _P,
                              ctypes.c_size_t, ctypes.POINTER(_C), _P)


def _declare(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


TLS_client_method = _declare(_ssl, "TLS_client_method", _P)
SSL_CTX_new = _declare(_ssl, "SSL_CTX_new", _P, _P)
SSL_CTX_free = _declare(_ssl, "SSL_CTX_free", None, _P)
SSL_CTX_ctrl = _declare(_ssl, "SSL_CTX_ctrl", _L, _P, _C, _L, _P)
SSL_CTX_set_options = _declare(_ssl, "SSL_CTX_set_options", ctypes.c_uint64, _P, ctypes.c_uint64)
SSL_CTX_sess_set_new_cb = _declare(_ssl, "SSL_CTX_sess_set_new_cb", None, _P, _NEW_SESSION)
SSL_CTX_add_custom_ext = _declare(_ssl, "SSL_CTX_add_custom_ext", _C, _P, ctypes.c_uint,
                                  ctypes.c_uint, _EXT_ADD, _P, _P, _EXT_PARSE, _P)
SSL_CTX_use_PrivateKey_file = _declare(_ssl, "SSL_CTX_use_PrivateKey_file", _C, _P,
                                       ctypes.c_char_p, _C)
SSL_CTX_use_certificate_chain_file = _declare(_ssl, "SSL_CTX_use_certificate_chain_file", _C, _P,
                                              ctypes.c_char_p)
SSL_CTX_set_post_handshake_auth = _declare(_ssl, "SSL_CTX_set_post_handshake_auth", None, _P, _C)
SSL_CTX_set_security_level = _declare(_ssl, "SSL_CTX_set_security_level", None, _P, _C)
SSL_CTX_set_cipher_list = _declare(_ssl, "SSL_CTX_set_cipher_list", _C, _P, ctypes.c_char_p)
SSL_CTX_set_srp_username = _declare(_ssl, "SSL_CTX_set_srp_username", _C, _P, ctypes.c_char_p)
SSL_CTX_set_srp_password = _declare(_ssl, "SSL_CTX_set_srp_password", _C, _P, ctypes.c_char_p)
SSL_new = _declare(_ssl, "SSL_new", _P, _P)
SSL_free = _declare(_ssl, "SSL_free", None, _P)
SSL_ctrl = _declare(_ssl, "SSL_ctrl", _L, _P, _C, _L, ctypes.c_char_p)
SSL_set_fd = _declare(_ssl, "SSL_set_fd", _C, _P, _C)
SSL_set_session = _declare(_ssl, "SSL_set_session", _C, _P, _P)
SSL_connect = _declare(_ssl, "SSL_connect", _C, _P)
SSL_get_error = _declare(_ssl, "SSL_get_error", _C, _P, _C)
SSL_read = _declare(_ssl, "SSL_read", _C, _P, _P, _C)
SSL_write = _declare(_ssl, "SSL_write", _C, _P, ctypes.c_char_p, _C)
SSL_write_early_data = _declare(_ssl, "SSL_write_early_data", _C, _P, ctypes.c_char_p, ctypes.c_size_t,
                                ctypes.POINTER(ctypes.c_size_t))
SSL_SESSION_set_max_early_data = _declare(_ssl, "SSL_SESSION_set_max_early_data", _C, _P, ctypes.c_uint32)
SSL_get_early_data_status = _declare(_ssl, "SSL_get_early_data_status", _C, _P)
SSL_shutdown = _declare(_ssl, "SSL_shutdown", _C, _P)
SSL_version = _declare(_ssl, "SSL_version", _C, _P)
SSL_session_reused = _declare(_ssl, "SSL_session_reused", _C, _P)
SSL_get1_session = _declare(_ssl, "SSL_get1_session", _P, _P)
SSL_set_alpn_protos = _declare(_ssl, "SSL_set_alpn_protos", _C, _P, ctypes.c_char_p, ctypes.c_uint)
SSL_get0_alpn_selected = _declare(_ssl, "SSL_get0_alpn_selected", None, _P, ctypes.POINTER(_P),
                                  ctypes.POINTER(ctypes.c_uint))
SSL_SESSION_free = _declare(_ssl, "SSL_SESSION_free", None, _P)
SSL_SESSION_has_ticket = _declare(_ssl, "SSL_SESSION_has_ticket", _C, _P)
SSL_SESSION_get0_ticket = _declare(_ssl, "SSL_SESSION_get0_ticket", None, _P,
                                   ctypes.POINTER(_P), ctypes.POINTER(ctypes.c_size_t))
SSL_SESSION_hint = _declare(_ssl, "SSL_SESSION_get_ticket_lifetime_hint", ctypes.c_ulong, _P)
SSL_SESSION_set_time = _declare(_ssl, "SSL_SESSION_set_time", _L, _P, _L)
SSL_SESSION_get_time = _declare(_ssl, "SSL_SESSION_get_time", _L, _P)
SSL_SESSION_get_timeout = _declare(_ssl, "SSL_SESSION_get_timeout", _L, _P)
SSL_SESSION_set_timeout = _declare(_ssl, "SSL_SESSION_set_timeout", _L, _P, _L)
SSL_SESSION_set1_appdata = _declare(_ssl, "SSL_SESSION_set1_ticket_appdata", _C, _P,
                                    ctypes.c_char_p, ctypes.c_size_t)
SSL_SESSION_get0_appdata = _declare(_ssl, "SSL_SESSION_get0_ticket_appdata", _C, _P,
                                    ctypes.POINTER(_P), ctypes.POINTER(ctypes.c_size_t))
SSL_SESSION_get_id = _declare(_ssl, "SSL_SESSION_get_id", _P, _P, ctypes.POINTER(ctypes.c_uint))
i2d_SSL_SESSION = _declare(_ssl, "i2d_SSL_SESSION", _C, _P, ctypes.POINTER(_P))
d2i_SSL_SESSION = _declare(_ssl, "d2i_SSL_SESSION", _P, _P, ctypes.POINTER(_P), _L)
ERR_get_error = _declare(_crypto, "ERR_get_error", ctypes.c_ulong)
ERR_error_string_n = _declare(_crypto, "ERR_error_string_n", None, ctypes.c_ulong,
                              ctypes.c_char_p, ctypes.c_size_t)

# Constants of openssl/ssl.h.
_CTRL_MIN, _CTRL_MAX, _CTRL_CACHE, _CTRL_SNI, _CTRL_GROUPS = 123, 124, 44, 55, 92
_CTRL_STATUS_TYPE, _CTRL_STATUS_REPLY, _STATUS_OCSP = 65, 70, 1
_CACHE_CLIENT_EXTERNAL = 0x0001 | 0x0300  # client, no internal store or lookup
_OP_NO_TICKET, _OP_IGNORE_EOF, _OP_ALLOW_NO_DHE_KEX = 1 << 14, 1 << 7, 1 << 10
_TICKET_REQUEST, _EXT_CLIENT_HELLO, _EXT_ENCRYPTED = 58, 0x0080, 0x0400
_FILETYPE_PEM, _WANT_READ, _ZERO_RETURN = 1, 2, 6


class TlsError(Exception):
    """A handshake or a read failed: what the tests call 'an error'."""


def _errors():
    texts = []
    while code := ERR_get_error():
        buffer = ctypes.create_string_buffer(256)
        ERR_error_string_n(code, buffer, 256)
        texts.append(buffer.value.decode())
    return "; ".join(texts)


_TICKET_TAG = 0xAA  # [10] of OpenSSL's SSL_SESSION_ASN1


def _der(tag, value):
    length = len(value)
    if length < 128:
        return bytes([tag, length]) + value
    size = (length.bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + length.to_bytes(size, "big") + value


def _der_value(data, at):
    """(start, end) of the value of the element at that offset."""
    length, at = data[at + 1], at + 2
    if length >= 128:
        size = length & 0x7f
        length, at = int.from_bytes(data[at:at + size], "big"), at + size
    return at, at + length


class Session:
    """A client's session.  Immutable: with_ticket gives another one."""

    def __init__(self, pointer):
        self.pointer = pointer

    def __del__(self):
        SSL_SESSION_free(self.pointer)

    @property
    def ticket(self):
        if not SSL_SESSION_has_ticket(self.pointer):
            return b""
        at, length = _P(), ctypes.c_size_t()
        SSL_SESSION_get0_ticket(self.pointer, ctypes.byref(at), ctypes.byref(length))
        return ctypes.string_at(at, length.value)

    @property
    def name(self):
        return self.ticket[:16]

    @property
    def hint(self):
        return SSL_SESSION_hint(self.pointer)

    @property
    def id(self):
        length = ctypes.c_uint()
        at = SSL_SESSION_get_id(self.pointer, ctypes.byref(length))
        return ctypes.string_at(at, length.value)

    def encoded(self):
        out = ctypes.create_string_buffer(i2d_SSL_SESSION(self.pointer, None))
        i2d_SSL_SESSION(self.pointer, ctypes.byref(ctypes.cast(out, _P)))
        return out.raw

    @classmethod
    def decoded(cls, data):
        buffer = ctypes.create_string_buffer(data, len(data))
        pointer = d2i_SSL_SESSION(None, ctypes.byref(ctypes.cast(buffer, _P)), len(data))
        if not pointer:
            raise TlsError("session: " + _errors())
        return cls(pointer)

    def with_ticket(self, ticket):
        """The same session with another ticket, of any length."""
        at, end = _der_value(self.encoded(), 0)
        fields, data = [], self.encoded()
        while at < end:
            start, at = at, _der_value(data, at)[1]
            fields.append(_der(_TICKET_TAG, _der(4, ticket)) if data[start] == _TICKET_TAG
                          else data[start:at])
        return self.decoded(_der(0x30, b"".join(fields)))

    @property
    def appdata(self):
        """The ticket application data; only the plaintext of a ticket has any."""
        at, length = _P(), ctypes.c_size_t()
        SSL_SESSION_get0_appdata(self.pointer, ctypes.byref(at), ctypes.byref(length))
        return ctypes.string_at(at, length.value) if at else b""

    def with_appdata(self, data):
        copy = self.decoded(self.encoded())
        if SSL_SESSION_set1_appdata(copy.pointer, data or None, len(data)) != 1:
            raise TlsError("application data: " + _errors())
        return copy

    def made_young(self):
        """OpenSSL's client drops a ticket older than its hint: the server shall be the judge."""
        # time(), which libssl asks, may lag a few milliseconds behind time.time().
        SSL_SESSION_set_time(self.pointer, int(time.time() - 0.1))
        return self


def premise():
    """Called where a test goes on with a ticket that did not come."""


class Tickets(list):
    def __getitem__(self, index):
        if not self and isinstance(index, int):
            premise()
        return super().__getitem__(index)


@dataclass
class Reply:
    resumed: bool = False
    version: int = 0
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    tickets: list = field(default_factory=Tickets)  # sessions with a ticket that came, oldest first
    sessions: list = field(default_factory=Tickets)  # all that the client could keep
    used: Session = None
    alpn: str = ""  # the protocol that the server chose
    stapled: bytes = b""  # the OCSP response that it sent
    expected: int = None  # how many tickets it announced (RFC 9149); None: it said nothing

    @property
    def session(self):
        """What a client would use next: the last ticket that came, else the one it used."""
        if not self.tickets and self.used is None:
            premise()
        return self.tickets[-1] if self.tickets else self.used

    @property
    def name(self):
        """Name of the key of the last ticket that came; empty if none came."""
        return self.tickets[-1].name if self.tickets else b""


class Connection:
    """One TLS connection.  The handshake is done in the constructor."""

    def __init__(self, port, host, *, tls="1.3", session=None, sni=True, tickets=True, cert=None,
                 timeout=20, young=True, groups=None, pha=False, alpn=(), status=False,
                 address="127.0.0.1", sock=None, level=None, srp=None, no_kex=False, request=None,
                 early=None):
        """no_kex: would do without a key exchange.  request: the body of ticket_request, or one
        for each ClientHello (None: without).  early: sent before the handshake is done (0-RTT)."""
        self.reply, self.ssl, self.sock = Reply(used=session), None, sock
        self.context = SSL_CTX_new(TLS_client_method())
        self._callback = _NEW_SESSION(self._keep)
        version = VERSIONS[tls]
        SSL_CTX_ctrl(self.context, _CTRL_MIN, version, None)
        SSL_CTX_ctrl(self.context, _CTRL_MAX, version, None)
        SSL_CTX_ctrl(self.context, _CTRL_CACHE, _CACHE_CLIENT_EXTERNAL, None)
        SSL_CTX_set_options(self.context, _OP_IGNORE_EOF | (0 if tickets else _OP_NO_TICKET))
        SSL_CTX_sess_set_new_cb(self.context, self._callback)
        if level is not None:
            SSL_CTX_set_security_level(self.context, level)
        if srp:
            SSL_CTX_set_cipher_list(self.context, b"SRP:@SECLEVEL=0")
            SSL_CTX_set_srp_username(self.context, srp[0].encode())
            SSL_CTX_set_srp_password(self.context, srp[1].encode())
        if cert:
            SSL_CTX_use_certificate_chain_file(self.context, f"{cert}.crt".encode())
            SSL_CTX_use_PrivateKey_file(self.context, f"{cert}.key".encode(), _FILETYPE_PEM)
        if groups:
            SSL_CTX_ctrl(self.context, _CTRL_GROUPS, 0, ctypes.cast(groups.encode(), _P))
        if pha:
            SSL_CTX_set_post_handshake_auth(self.context, 1)
        if no_kex:
            SSL_CTX_set_options(self.context, _OP_ALLOW_NO_DHE_KEX)
        if request is not None:
            self._ask(request)
        self._alpn, self._status, self._early = alpn, status, early
        try:
            self._connect((address, port), host, session, sni, timeout, young)
        except BaseException:
            self.close(quiet=False)
            raise

    def _connect(self, address, host, session, sni, timeout, young):
        if self.sock is None:
            self.sock = socket.create_connection(address, timeout)
        self.sock.setblocking(True)  # libssl reads the socket itself; the kernel keeps the time
        limit = struct.pack("ll", int(timeout), 0)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self.ssl = SSL_new(self.context)
        SSL_set_fd(self.ssl, self.sock.fileno())
        if sni:
            SSL_ctrl(self.ssl, _CTRL_SNI, 0, (sni if isinstance(sni, str) else host).encode())
        if self._alpn:
            offered = b"".join(bytes([len(name)]) + name.encode() for name in self._alpn)
            SSL_set_alpn_protos(self.ssl, offered, len(offered))
        if self._status:
            SSL_ctrl(self.ssl, _CTRL_STATUS_TYPE, _STATUS_OCSP, None)
        if session is not None:
            # A copy: OpenSSL's client never offers a session again that a server once declined.
            copy = Session.decoded(session.encoded())
            if self._early:
                SSL_SESSION_set_max_early_data(copy.pointer, len(self._early))
            SSL_set_session(self.ssl, (copy.made_young() if young else copy).pointer)
            if self._early:
                SSL_write_early_data(self.ssl, self._early, len(self._early),
                                     ctypes.byref(ctypes.c_size_t()))
        result = SSL_connect(self.ssl)
        if result != 1:
            raise TlsError(f"handshake: {SSL_get_error(self.ssl, result)} {_errors()}")
        self.reply.resumed = bool(SSL_session_reused(self.ssl))
        self.reply.version = SSL_version(self.ssl)
        self._read_extensions()
        if session is not None and self.reply.version == V12:
            # A ticket renewed in TLS 1.2 replaces the session without a call of the callback.
            now = Session(SSL_get1_session(self.ssl))
            if self.reply.resumed and now.ticket and now.ticket != session.ticket:
                self.reply.tickets.append(now)

    def _ask(self, request):
        bodies = [request] if isinstance(request, bytes) else list(request)

        def add(_ssl, _type, _context, out, length, _x, _at, _alert, _arg):
            body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
            if body is None:
                return 0
            self._body = ctypes.create_string_buffer(body, len(body) or 1)
            out[0], length[0] = ctypes.cast(self._body, _P).value, len(body)
            return 1

        def parse(_ssl, _type, _context, data, length, _x, _at, _alert, _arg):
            told = ctypes.string_at(data, length)
            self.reply.expected = told[0] if length == 1 else told
            return 1

        self._asking = _EXT_ADD(add), _EXT_PARSE(parse)
        assert SSL_CTX_add_custom_ext(self.context, _TICKET_REQUEST,
                                      _EXT_CLIENT_HELLO | _EXT_ENCRYPTED, self._asking[0], None,
                                      None, self._asking[1], None)

    def _read_extensions(self):
        at, length = _P(), ctypes.c_uint()
        SSL_get0_alpn_selected(self.ssl, ctypes.byref(at), ctypes.byref(length))
        self.reply.alpn = ctypes.string_at(at, length.value).decode() if at else ""
        at = _P()
        size = SSL_ctrl(self.ssl, _CTRL_STATUS_REPLY, 0, ctypes.cast(ctypes.byref(at), ctypes.c_char_p))
        self.reply.stapled = ctypes.string_at(at, size) if at and size > 0 else b""

    def _keep(self, _ssl_pointer, pointer):
        session = Session(pointer)
        self.reply.sessions.append(session)
        if session.ticket:
            self.reply.tickets.append(session)
        return 1

    def send(self, host, path="/index.html", headers=()):
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
        data = "\r\n".join(lines).encode()
        if SSL_write(self.ssl, data, len(data)) != len(data):
            raise TlsError("write: " + _errors())

    def read(self, size=65536):
        buffer = ctypes.create_string_buffer(size)
        got = SSL_read(self.ssl, buffer, size)
        if got > 0:
            return buffer.raw[:got]
        error = SSL_get_error(self.ssl, got)
        if error == _ZERO_RETURN:
            return b""
        raise TlsError(("timed out" if error == _WANT_READ else f"read: {error} ") + _errors())

    def receive(self):
        """The whole answer, up to the end of the connection."""
        data = b""
        while piece := self.read():
            data += piece
        if not data:
            raise TlsError("no answer")
        head, _, self.reply.body = data.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        self.reply.status = int(first.split()[1])
        self.reply.headers = {k.lower(): v.strip() for k, _, v in (r.partition(":") for r in rest)}
        return self.reply

    def close(self, quiet=True):
        if self.ssl:
            if quiet:
                SSL_shutdown(self.ssl)
            SSL_free(self.ssl)
        if self.sock:
            self.sock.close()
        if self.context:
            SSL_CTX_free(self.context)
        self.ssl = self.sock = self.context = None
        _errors()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(quiet=kind is None)


def get(port, host, *, path="/index.html", headers=(), http_host=None, **options):
    """One request on a connection of its own."""
    with Connection(port, host, **options) as connection:
        connection.send(http_host or host, path, headers)
        return connection.receive()


def get_plain(port, host, path="/index.html"):
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while piece := sock.recv(65536):
            data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (r.partition(":") for r in rest)}
    return Reply(status=int(first.split()[1]), headers=headers, body=body)
