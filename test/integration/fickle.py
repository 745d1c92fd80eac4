# SPDX-License-Identifier: Apache-2.0
"""Stores that work, except when they lie: about what they have, about what they have written, or in how they say it.
Chance decides, by a seed."""
import hashlib
import threading
import time

from listener import Listener

# What is no answer of memcached or Redis, or not to this question.
STRANGE = [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", b"+OK\r\n", b":1\r\n",
           b"$-1\r\n", b"END\r\n", b"STORED\r\n", b"EXISTS\r\n", b"-MOVED 1 127.0.0.1:1\r\n", b"*1\r\n$1\r\nx\r\n",
           b"-ERR no\r\n", b"SERVER_ERROR no\r\n", b"$2147483648\r\n", b"VALUE x 0 2147483648 1\r\n",
           b"\x15\x03\x01\x00\x02\x02\x28", b"\r\n", bytes(300)]


class Mind:
    """What the doors to one store share.  share: how many of its answers are lies."""

    def __init__(self, rng, theirs):
        self.rng, self.theirs, self.share, self.told = rng, theirs, 0.0, {}
        self.lock, self.objects, self.forks, self.past, self.version = threading.Lock(), {}, {}, {}, 0

    def lies(self, *kinds):
        """One of the kinds, or None."""
        kind = self.rng.choice(kinds) if self.rng.random() < self.share else None
        self.told[kind] = self.told.get(kind, 0) + 1
        return kind

    def read(self, name, door):
        """(bytes, version); bytes None: nothing is there."""
        with self.lock:
            data, version = self.objects.get(name, (None, 0))
            kind = self.lies("past", "other", "theirs", "cut", "bit", "none", "fork", "version", "noise")
            past = self.past.get(name, [])
            if kind == "past" and past:
                data = self.rng.choice(past)
            elif kind == "other" and self.objects:
                data = self.rng.choice(list(self.objects.values()))[0]
            elif kind == "theirs":
                data = self.theirs
            elif kind == "cut" and data:
                data = data[:self.rng.randrange(len(data))]
            elif kind == "bit" and data:
                at = self.rng.randrange(len(data))
                data = data[:at] + bytes([data[at] ^ 1 << self.rng.randrange(8)]) + data[at + 1:]
            elif kind == "none":
                data = None
            elif kind == "fork":
                data = self.forks.get((door, name), (data,))[0]
            elif kind == "version":
                version = self.rng.randrange(1, self.version + 2)
            elif kind == "noise":
                data = self.rng.randbytes(self.rng.choice([1, 60, 3000]))
            return data, version

    def write(self, name, data, is_good, door):
        """True if it says that it has written.  is_good(object, version): what is there is what the writer has read."""
        with self.lock:
            good = is_good(*self.objects.get(name, (None, 0)))
            kind = self.lies("drop", "refuse", "blind", "deny", "fork")
            if kind == "fork":
                self.forks[door, name] = (data,)
                return True
            if kind == "blind" or (good and kind not in ("drop", "refuse")):
                self.version += 1
                self.objects[name] = (data, self.version)
                self.past.setdefault(name, []).append(data)
            return kind in ("drop", "blind") or (good and kind not in ("refuse", "deny"))


class Door(Listener):
    """A port of the store, for one host."""

    def __init__(self, mind):
        self.mind = mind
        super().__init__()
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"

    def _serve(self, sock):
        try:
            with sock.makefile("rb") as file:
                while (answer := self._answer(file)) is not None:
                    if not self._send(sock, answer):
                        return
        except (OSError, IndexError, ValueError):
            pass
        finally:
            sock.close()

    def _send(self, sock, answer):
        mind = self.mind
        with mind.lock:
            kind = mind.lies("hang up", "half", "strange", "twice", "late", "trickle", *[None] * 14)
            strange = mind.rng.choice(STRANGE)
        if kind == "hang up":
            return False
        if kind == "half":
            sock.sendall(answer[:len(answer) // 2])
            return False
        if kind == "trickle":
            for at in range(20):
                sock.sendall(answer[at:at + 1])
                time.sleep(0.1)
            return False
        if kind == "late":
            time.sleep(1.5)
        sock.sendall(strange if kind == "strange" else answer * (2 if kind == "twice" else 1))
        return True


class FickleMemcached(Door):
    scheme = "memcached"

    def _answer(self, file):
        words = file.readline().split()
        if not words or words[0] == b"quit":
            return None
        if words[0] == b"gets":
            data, version = self.mind.read(words[1], self)
            return b"END\r\n" if data is None else b"VALUE %s 0 %d %d\r\n%s\r\nEND\r\n" % (
                words[1], len(data), version, data)
        if words[0] in (b"add", b"cas"):
            data, absent = file.read(int(words[4]) + 2)[:-2], words[0] == b"add"
            done = self.mind.write(words[1], data, lambda there, version: there is None if absent
                                   else version == int(words[5]), self)
            return b"STORED\r\n" if done else b"NOT_STORED\r\n" if absent else b"EXISTS\r\n"
        return b"VERSION 1.6.18\r\n"


def sha1(data):
    return hashlib.sha1(data or b"").hexdigest().encode()


class FickleRedis(Door):
    scheme = "redis"

    def _answer(self, file):
        line = file.readline()
        if not line:
            return None
        words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
        if words[0] == b"GET":
            data, _ = self.mind.read(words[1], self)
            return b"$-1\r\n" if data is None else b"$%d\r\n%s\r\n" % (len(data), data)
        if words[0] == b"EVAL" and len(words) == 4:
            return b"$40\r\n%s\r\n" % sha1(self.mind.read(words[3], self)[0])
        if words[0] == b"EVAL":
            done = self.mind.write(words[3], words[5], lambda there, _: sha1(there) == words[4], self)
            return b":%d\r\n" % done
        if words[0] == b"SUBSCRIBE":
            return b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n" % (len(words[1]), words[1])
        return b"+OK\r\n"
