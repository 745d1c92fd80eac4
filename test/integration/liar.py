# SPDX-License-Identifier: Apache-2.0
"""Stores that lie, in memcached's protocol and in that of Redis: they have an object for nobody, or an old one, and
whoever writes is told that somebody else was first."""
from listener import Listener


class Liar(Listener):
    """answer: what every get returns, or None: nothing.  said: how often it refused a write."""

    def __init__(self, answer=None):
        self.answer, self.said = answer, 0
        super().__init__()

    @property
    def url(self):
        return f"memcached://127.0.0.1:{self.port}"

    def _serve(self, sock):
        data = b""
        try:
            while piece := sock.recv(65536):
                data += piece
                while b"\r\n" in data:
                    line, data = data.split(b"\r\n", 1)
                    words = line.split()
                    if words[0] in (b"get", b"gets"):
                        sock.sendall(self._object(words[1]) + b"END\r\n")
                    elif words[0] in (b"add", b"cas", b"set"):
                        while len(data) < int(words[4]) + 2:
                            piece = sock.recv(65536)
                            if not piece:
                                return
                            data += piece
                        data = data[int(words[4]) + 2:]
                        self.said += 1
                        sock.sendall(b"EXISTS\r\n" if words[0] == b"cas" else b"NOT_STORED\r\n")
                    elif words[0] == b"version":
                        sock.sendall(b"VERSION 1.6.18\r\n")
                    elif words[0] == b"quit":
                        return
                    else:
                        sock.sendall(b"ERROR\r\n")
        except (OSError, IndexError, ValueError):
            pass
        finally:
            sock.close()

    def _object(self, name):
        return self.answer and b"VALUE %s 0 %d 7\r\n%s\r\n" % (name, len(self.answer), self.answer) or b""


class RedisLiar(Listener):
    """The same; it takes every command that is not a GET for the script that writes."""

    def __init__(self, answer=None):
        self.answer, self.said = answer, 0
        super().__init__()

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def _serve(self, sock):
        try:
            with sock.makefile("rb") as file:
                while line := file.readline():
                    words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
                    if words[0] == b"GET":
                        answer = self.answer
                        sock.sendall(b"$-1\r\n" if answer is None else b"$%d\r\n%s\r\n" % (len(answer), answer))
                    else:
                        self.said += 1
                        sock.sendall(b":0\r\n")
        except (OSError, IndexError, ValueError):
            pass
        finally:
            sock.close()
