# SPDX-License-Identifier: Apache-2.0
"""What servers say before TLS, in six protocols: a listener that agrees to STARTTLS and then passes on
every byte to a TLS server.  How it says it (lengths, extra lines, pieces) is random."""
import contextlib
import socket
import threading

from httpd import free_port

PROTOCOLS = ("smtp", "imap", "pop3", "ldap", "postgres", "mysql")


def _must(holds):
    if not holds:
        raise OSError("the client speaks something else")


def _read_until(sock, end):
    got = b""
    while not got.endswith(end):
        byte = sock.recv(1)
        if not byte:
            raise OSError("closed")
        got += byte
    return got


def _read(sock, n):
    got = b""
    while len(got) < n:
        piece = sock.recv(n - len(got))
        if not piece:
            raise OSError("closed")
        got += piece
    return got


class Talker:
    """Forwards what comes after STARTTLS to target_port; refuses if refuses is set.  is_plain: says it
    in one piece and few words, because OpenSSL's client takes what it reads at once for a whole answer."""

    def __init__(self, protocol, target_port, chance, refuses=False, is_plain=False):
        self.protocol, self.target_port, self.refuses = protocol, target_port, refuses
        self.is_plain = is_plain
        self.random, self.port, self.ended = chance, free_port(), threading.Event()
        self.server = socket.create_server(("127.0.0.1", self.port))
        self.server.settimeout(0.1)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def close(self):
        self.ended.set()
        self.thread.join(10)
        self.server.close()

    def _serve(self):
        while not self.ended.is_set():
            try:
                sock, _ = self.server.accept()
            except TimeoutError:
                continue
            sock.settimeout(20)
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock):
        try:
            with sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                getattr(self, self.protocol)(sock)
                if not self.refuses:
                    with socket.create_connection(("127.0.0.1", self.target_port)) as there:
                        there.settimeout(20)
                        back = threading.Thread(target=self._copy, args=(there, sock), daemon=True)
                        back.start()
                        self._copy(sock, there)
                        back.join()
        except OSError:
            pass

    @staticmethod
    def _copy(source, sink):
        try:
            while piece := source.recv(65536):
                sink.sendall(piece)
        except OSError:
            pass  # a client may leave with a reset; the server hears that it is gone, too
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def say(self, sock, data):
        """In pieces."""
        while data:
            n = len(data) if self.is_plain else self.random.randint(1, len(data))
            sock.sendall(data[:n])
            data = data[n:]

    def count(self, most):
        return 0 if self.is_plain else self.random.randint(0, most)

    def text(self):
        return "" if self.is_plain else "x" * self.random.choice((0, 1, 60, 1500))

    def smtp(self, sock):
        greeting = [f"220-{self.text()}\r\n" for _ in range(self.count(3))]
        self.say(sock, "".join(greeting + ["220 mail.test ESMTP\r\n"]).encode())
        _must(_read_until(sock, b"\r\n").startswith(b"EHLO "))
        more = [f"250-{self.text()}\r\n" for _ in range(self.count(5))]
        self.say(sock, "".join(["250-mail.test\r\n", *more, "250-STARTTLS\r\n", "250 HELP\r\n"]).encode())
        _must(_read_until(sock, b"\r\n").upper() == b"STARTTLS\r\n")
        self.say(sock, b"454 TLS not available\r\n" if self.refuses else b"220 Ready\r\n")

    def imap(self, sock):
        self.say(sock, f"* OK [CAPABILITY IMAP4rev1 STARTTLS {self.text()}] ready\r\n".encode())
        while True:
            tag, command = _read_until(sock, b"\r\n").split()[:2]
            for _ in range(self.count(3)):
                self.say(sock, f"* NOTE {self.text()}\r\n".encode())
            if command.upper() == b"CAPABILITY":
                self.say(sock, b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + tag + b" OK done\r\n")
            else:
                _must(command.upper() == b"STARTTLS")
                self.say(sock, tag + (b" BAD no\r\n" if self.refuses else b" OK begin\r\n"))
                return

    def pop3(self, sock):
        self.say(sock, f"+OK {self.text()}\r\n".encode())
        _must(_read_until(sock, b"\r\n").upper() == b"STLS\r\n")
        self.say(sock, b"-ERR no\r\n" if self.refuses else b"+OK begin\r\n")

    def ber(self, tag, value):
        """Lengths in the short form or in up to four bytes."""
        n = 2 if len(value) >= 128 else 0 if self.is_plain else self.random.choice((0, 1, 2, 4))
        size = bytes([len(value)]) if n == 0 else bytes([0x80 | n]) + len(value).to_bytes(n, "big")
        return bytes([tag]) + size + value

    def ldap(self, sock):
        _must(_read(sock, 1) == b"\x30")
        request = _read(sock, _read(sock, 1)[0])
        _must(request.endswith(b"1.3.6.1.4.1.1466.20037") and request[:2] == b"\x02\x01")
        result = bytes([self.random.choice((1, 2, 52)) if self.refuses else 0])
        body = self.ber(0x0a, result) + self.ber(0x04, b"") + self.ber(0x04, self.text()[:100].encode())
        if self.random.randint(0, 1):
            body += self.ber(0x8a, b"1.3.6.1.4.1.1466.20037")
        self.say(sock, self.ber(0x30, b"\x02\x01" + request[2:3] + self.ber(0x78, body)))

    def postgres(self, sock):
        _must(_read(sock, 8) == bytes([0, 0, 0, 8, 4, 210, 22, 47]))
        self.say(sock, b"N" if self.refuses else b"S")

    def mysql(self, sock):
        capabilities = 0xf7ff if self.refuses else 0xffff
        body = (b"\x0a" + self.random.choice((b"5.7.1", b"8.0.40", b"11.4.2-MariaDB-" + b"x" * 60)) + b"\0"
                + self.random.randbytes(4) + b"12345678\0" + capabilities.to_bytes(2, "little")
                + b"\x21\x02\x00\xff\xdf\x15" + bytes(10) + b"123456789012\0mysql_native_password\0")
        self.say(sock, len(body).to_bytes(3, "little") + b"\0" + body)
        if not self.refuses:
            head = _read(sock, 4)
            _must(head == b"\x20\x00\x00\x01")
            _must(int.from_bytes(_read(sock, 32)[:2], "little") & 0x0a00 == 0x0a00)
