#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of test/fuzz/corpus, but for those of the probe, which are tickets of servers.
Same bytes each time, but for a certificate and a CRL: keys come from a hash.
Usage: test/fuzz/seeds.py"""
import base64
import hashlib
import struct
import subprocess
import tempfile
from pathlib import Path

CORPUS = Path(__file__).resolve().parent / "corpus"
T0 = 1767225600
HOUR = 3600


def noise(label, length):
    out = b""
    while len(out) < length:
        out += hashlib.sha256(f"{label} {len(out)}".encode()).digest()
    return out[:length]


def put(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def key(n, start, flags=0, epoch=3, slot=HOUR, life=18 * HOUR):
    if flags:
        halves = noise(f"h{n}", 16) + bytes(16) + noise(f"a{n}", 16) + bytes(16)
        slot = 0
    else:
        halves = noise(f"h{n}", 32) + noise(f"a{n}", 32)
    return noise(f"n{n}", 16) + halves + struct.pack(
        ">IQQQQQ", flags, epoch, start, start, start + slot, start + slot + life)


def ring(keys, tombs=(), epoch=3, interval=HOUR, lifetime=18 * HOUR):
    head = struct.pack(">IIQQQ", interval, lifetime, epoch, 7, T0)
    keys, tombs = sorted(keys), sorted(tombs)
    return head + struct.pack(">HH", len(keys), len(tombs)) + b"".join(keys) + b"".join(tombs)


def tomb(n, until=T0 + 24 * HOUR):
    return noise(f"n{n}", 16) + struct.pack(">Q", until)


def rings():
    hours = [key(n, T0 + n * HOUR) for n in range(-2, 3)]
    shapes = {
        "empty": ring([]),
        "one": ring(hours[2:3]),
        "hours": ring(hours, [tomb(9), tomb(10)]),
        "gap": ring([hours[0], hours[4]]),
        "aes128": ring(hours[2:4] + [key(20, T0, flags=1)]),
        "old": ring([key(30, T0 - 40 * HOUR)]),
        "seconds": ring([key(40 + n, T0 + n, slot=1, life=60) for n in range(3)], interval=1,
                        lifetime=60),
    }
    for name, plain in shapes.items():
        for mode in (1, 2 + 16, 2 + 4, 2 + 8):
            put("ring", f"{name}-{mode}", bytes([mode]) + plain)
    # Each half twice, and one half in two keys: for the audit.
    same = hours[0][:48] + hours[0][16:48] + hours[0][80:]
    shared = noise("other", 16) + hours[1][16:48] + noise("else", 32) + hours[1][80:]
    for name, keys in {"same": [same], "shared": [hours[1], shared]}.items():
        put("ring", f"weak-{name}", b"\x01" + ring(keys))
    put("ring", "file-cut", b"\x00STEKRING\x00" + bytes(31))
    # Halves of one length: two rings of as many keys.
    pairs = {"same": (hours[:2], hours[:2]), "apart": (hours[:2], hours[2:4]),
             "over": (hours[:2], hours[1:3])}
    for name, (a, b) in pairs.items():
        put("ring", f"pair-{name}", b"\x03" + ring(a) + ring(b, epoch=4))
    put("ring", "pair-revoked", b"\x03" + ring([], [tomb(n) for n in range(31)])
        + ring([key(n, T0) for n in range(6)]))
    header = b"STEKRING" + struct.pack(">HH", 1, 0) + shapes["one"][:32] + noise("id", 8) \
        + noise("salt", 32) + struct.pack(">I", 20)
    put("ring", "file", b"\x00" + header + noise("body", 20))
    put("ring", "file-v2", b"\x00" + header.replace(b"\x00\x01", b"\x00\x02", 1) + noise("body", 20))


def secret_line(n):
    return b"stek-secret-v1 " + base64.b64encode(noise(f"s{n}", 32)) + b"\n"


def secrets():
    fleet = b"stek-fleet-v1 " + base64.b64encode(noise("fleet", 16)) + b"\n"
    put("secret", "local", secret_line(1))
    put("secret", "two", b"# first\n\n" + secret_line(1) + b"  \t" + secret_line(2)[:-1] + b" \r\n")
    put("secret", "fleet", secret_line(1) + fleet)
    put("secret", "day", secret_line(1) + fleet + b"stek-day-v1 20500\n")
    put("secret", "full", b"".join(secret_line(n) for n in range(16)))
    put("secret", "weak", b"stek-secret-v1 " + base64.b64encode(bytes(32)) + b"\n")
    put("secret", "last-day", secret_line(1) + b"stek-day-v1 9999999")


def formats():
    short = [noise(f"k{n}", 48) for n in range(4)]
    long = [noise(f"k{n}", 80) for n in range(4)]
    times = struct.pack("=iii", 0, T0, T0 + HOUR)
    shapes = [("nginx48", 0, short[0]), ("nginx80", 0, long[0]),
              ("haproxy48", 1, b"".join(base64.b64encode(k) + b"\n" for k in short)),
              ("haproxy80", 1, b"".join(base64.b64encode(k) + b"\n" for k in long[:3])),
              ("apache", 2, short[0]), ("ats", 3, b"".join(short)),
              ("lighttpd", 4, times + long[0]), ("dnsdist", 5, b"".join(long)),
              ("haproxy-crlf", 1, b"".join(base64.b64encode(k) + b"\r\n" for k in long[:3]))]
    for name, number, data in shapes:
        put("format", name, bytes([number]) + data)


def directives():
    put("directive", "ring", b"StekRing default file=a.ring secret=b.secret interval=30min lifetime=1d"
        b" ahead=2 generate=off poll=10s\nStekRing two file=memory\nStekUseRing two\n"
        b"StekTicketLifetime 2h\nStekMaxSessionAge off\nStekBinding off\n")
    put("directive", "vhosts", b"StekRing x interval=1s lifetime=1min\n<VirtualHost a\nStekUseRing x\n"
        b"StekTickets off\n</VirtualHost>\n<VirtualHost b\nStekRotate off\nStekTickets on\n"
        b"SSLSessionTicketKeyFile k\nSSLSessionTickets off\nSSLSessionCacheTimeout 600\n"
        b"</VirtualHost>\nStekMaxSessionAge 12h\nStekBinding policy\n")
    put("directive", "counts", b"StekTickets tls1.3\nStekTicketCount 3 resumed=2 max=6\n<VirtualHost a\n"
        b"StekTicketCount 0\nSSLOpenSSLConfCmd Options AllowNoDHEKEX,-SessionTicket\n</VirtualHost>\n"
        b"<VirtualHost b\nStekTicketCount 16 max=0 resumed=16\nStekTickets on\n</VirtualHost>\n"
        b"StekTicketCount 2 max=1\nStekTicketCount 17\nStekTicketCount 2 resumed=1 resumed=1\n")
    put("directive", "faults", b"StekRing default interval=2h lifetime=1h\nStekRing ..\n"
        b"StekRing x interval=0s\nStekRing x ahead=4097\nStekRing y file=\nStekRing z nonsense\n"
        b"StekRing z key=value\nStekUseRing nobody\nStekTicketLifetime 8d\nStekRotate maybe\n"
        b"StekRing m file=memory generate=off\nStekRing n file=n\nStekRing o file=n\n")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -subj "
            "/CN=ca -days 36500 -out c 2>/dev/null && touch index && printf 1000 > n && "
            "printf '[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=n\ndefault_md=sha256\n"
            "default_crl_days=9\n' > conf && "
            "openssl ca -config conf -cert c -keyfile k -revoke c 2>/dev/null && "
            "openssl ca -config conf -cert c -keyfile k -gencrl -out r 2>/dev/null",
            shell=True, cwd=folder, check=True)
        cert, crl = (Path(folder) / "c").read_bytes(), (Path(folder) / "r").read_bytes()
    put("directive", "policy", b"SSLVerifyClient require\nSSLVerifyDepth 3\n"
        b"SSLCACertificateFile \"a b\"\nSSLCACertificatePath dir\nSSLCARevocationCheck chain\n"
        b"SSLCARevocationFile crl\nSSLCARevocationPath dir2\nSSLOCSPEnable on\n"
        b"SSLOCSPDefaultResponder http://x/\n<VirtualHost a\n<Location /x\n"
        b"SSLVerifyClient optional\n</Location>\n"
        b"SSLOpenSSLConfCmd VerifyCAFile file:none\nSSLOpenSSLConfCmd VerifyMode Require\n"
        b"</VirtualHost>\n---\n" + cert + crl)


def texts():
    for name, data in {"hour": b"1h", "long": b"604800s", "much": b"999999999d", "bare": b"10",
                       "html": b"a<b>&\"'\\\n\x7f", "utf8": "é€😀\x85".encode(),
                       "broken": b"\xc3\x28\xe2\x82\xf0\x9f\xed\xa0\x80\xff"}.items():
        put("text", name, data)


def appdata():
    for name, full_at in {"now": T0, "old": 0, "ahead": T0 + 10 ** 6, "far": 2 ** 63 // 10 ** 6,
                          "beyond": 2 ** 64 - 1}.items():
        data = struct.pack("<QQQ", T0 * 10 ** 6, 18 * HOUR, 24 * HOUR) + b"\x01" \
            + struct.pack(">Q", full_at) + noise("policy", 32)
        put("appdata", name, data)
    put("appdata", "short", data[:-1])


def fleets():
    put("fleet", "conf", b"\x00# a fleet\nstore memcached://a:11211\nstore redis://u@b/2\n"
        b"fleet-secret /etc/stek/fleet\npassword /p\nevery 10s\ntimeout 2s\ninterval 1h\n"
        b"lifetime 18h\nahead 1\ngenerate off\nring /r.ring\n\tsecret  /s.secret \n")
    put("fleet", "faults", b"\x00store\n")
    put("fleet", "unknown", b"\x00json on\n")
    put("fleet", "state", b"\x01" + b"1767225600 memcached://a\n99 redis://b\nx\n")
    put("fleet", "state-far", b"\x01" + b"9223372036854775807 memcached://a\n-1 redis://b\n")


def part_of(name):
    number = 2166136261
    for byte in name.encode():
        number = (number ^ byte) * 16777619 & 0xffffffff
    return (number ^ number >> 16) % 64


def announced(name, digest=b"digest..", flags=1, epoch=3, clock=T0, behind=0, version="0.1.0"):
    words = b"".join(bytes([len(text)]) + text.encode() for text in (name, version))
    return words + noise(name, 8) + struct.pack(">8sHQQQQQIIIQQ", digest, flags, epoch, 7, clock, T0 - HOUR, clock,
                                                behind, 10, 60, epoch, 7)


def announcements():
    part = part_of("web0")
    names = [f"web{n}" for n in range(2000) if part_of(f"web{n}") == part][:5]
    hosts = {
        "none": [],
        "one": [announced("web0")],
        "fleet": [announced(name) for name in names],
        "trouble": [announced(names[0], b"another."), announced(names[1], clock=T0 - 600), announced(names[2], behind=170),
                    announced(names[3], version="0.0.9"), announced(names[4], clock=T0 + 180, flags=3)],
        "ages": [announced(names[0], clock=T0 - 8 * 24 * HOUR), announced(names[1], clock=T0 + 400 * 24 * HOUR)],
    }
    for label, rows in hosts.items():
        rows.sort(key=lambda row: row[1:1 + row[0]])
        put("announce", label, bytes([part]) + struct.pack(">H", len(rows)) + b"".join(rows))
    put("announce", "magic", bytes([part]) + b"STEKHOST" + struct.pack(">HH", 1, part) + bytes(80))


def recordings():
    head, rest = "stek-probe 1\nhost localhost 443\ntime 1764243649\n", "planned 80\nconnections 61\ntook 3\n"
    version = "version 1.{} per_connection=1 session_ids={} resumes=1 asked_cert=0 alert=-1 full=9 empty=0 faces=1 steady=1 cert=\n"
    ticket = f"ticket hint=7200 at=1764243649000000 connection=1 secret={'5a' * 48} more={'5b' * 48} nonce={{}} bytes={'c3' * 192}\n"
    finding = "finding mac ok refuses all of 24 altered tickets\nfinding padding not-testable a deeper level\ndetectable 900\n"
    spare = f"spare tried=20 resumes=1 alert=-1 secret_at=65 name={'31' * 16} cipher={'32' * 16} mac={'33' * 16}\n"
    put("recording", "both", (head + rest + version.format(2, 1) + ticket.format("") + spare + finding + version.format(3, 0)
                              + ticket.format("0102") + ticket.format("0103") + finding + "end\n").encode())
    put("recording", "two", (head + "failure cannot be reached\nend\nhost ::1 8443\n" + version.format(0, -1)
                             + "lost 1.3 no longer answers\nend\n").encode())
    put("recording", "cut", (head + rest + version.format(2, 1) + ticket.format("")).encode())


def replies():
    why = b"because".ljust(128, b"\0")
    for size in (64, 96, 128, 160, 256, 320):  # whatever STORE_WHY_LEN is, one of them fits
        put("reply", f"worker-{size}", b"\x00\x01" + b"\x00" + why.ljust(size, b"\0")[:size]
            + struct.pack("=I", 8) + b"STEKRING")
    put("reply", "target", b"\x01redis\0host\x006379\0user\0pass\x003\0stek:x\x001000\0ca\0cert\0key\0m\0a,b\x001\x0010000\0")
    for label, where in (("moved", b"127.0.0.1 7001"), ("ask", b"ASK ::1 7001"), ("nowhere", b"a/b 1"), ("far", b"x" * 400)):
        put("reply", f"worker-{label}", b"\x00\x03\x06" + b"because".ljust(256, b"\0") + struct.pack("=I", len(where)) + where)
    # The byte after the choices: connected.
    put("reply", "redis", b"\x02\x07\x00+OK\r\n+OK\r\n$8\r\nSTEKRING\r\n:1\r\n$-1\r\n:0\r\n")
    put("reply", "redis-no", b"\x02\x00\x00$3\r\nabc\r\n-NOPERM no\r\n")
    put("reply", "redis-push", b"\x02\x40\x00*3\r\n$9\r\nsubscribe\r\n$3\r\na:b\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$3\r\na:b\r\n$40\r\n"
        + b"0123456789abcdef0123456789abcdef01234567\r\n-ERR no\r\n")
    put("reply", "redis-array", b"\x02\x00\x00*1\r\n:1\r\n")
    put("reply", "redis-deep", b"\x02\x00\x00$-1\r\n" + b"*1\r\n" * 9 + b":1\r\n")
    put("reply", "redis-more", b"\x02\x00\x00+OK\r\n*2147483647\r\n")
    put("reply", "redis-long", b"\x02\x00\x00$600000\r\n" + b"x" * 200)
    put("reply", "redis-endless", b"\x02\x00\x00$2147483648\r\nx")
    put("reply", "redis-moved", b"\x02\x00\x00-MOVED 1 127.0.0.1:7001\r\n")
    put("reply", "redis-ask", b"\x02\x08\x00+OK\r\n-ASK 1 :7001\r\n")
    put("reply", "redis-nowhere", b"\x02\x20\x00-MOVED 1 :7001\r\n")
    hello = b"*4\r\n$4\r\nmode\r\n$%d\r\n%s\r\n$7\r\nmodules\r\n*0\r\n"
    put("reply", "redis-list", b"\x02\x10\x00" + hello % (7, b"cluster") + b"$-1\r\n:1\r\n")
    put("reply", "redis-no-cluster", b"\x02\x10\x00" + hello % (10, b"standalone"))
    where = b"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7001\r\n"
    put("reply", "sentinel", b"\x06\x00\x00" + where)
    put("reply", "sentinel-login", b"\x06\x03\x00-NOAUTH no\r\n+OK\r\n" + where)
    put("reply", "sentinel-list", b"\x06\x10\x00\x00-IDONTKNOW\r\n" + where)
    put("reply", "sentinel-unknown", b"\x06\x00\x00*-1\r\n")
    put("reply", "sentinel-deep", b"\x06\x00\x00*2\r\n*2\r\n*2\r\n:1\r\n:2\r\n:3\r\n:4\r\n")

    def binary(op, status=0, body=b"", extras=0, key=0):
        return struct.pack(">BBHBBHIIQ", 0x81, op, key, extras, 0, status, len(body), 0, 7) + body

    put("reply", "sasl", b"\x07\x03\x00" + binary(0x21) + binary(0, body=b"\0\0\0\0ring", extras=4) + binary(1)
        + binary(0, 1, b"Not found") + binary(2))
    put("reply", "sasl-no", b"\x07\x03\x00" + binary(0x21, 0x20, b"Auth failure"))
    put("reply", "sasl-unknown", b"\x07\x03\x00" + binary(0x21, 0x81, b"Unknown command"))
    put("reply", "sasl-short", b"\x07\x03\x00" + binary(0x21) + binary(0, body=b"ab", extras=4))
    put("reply", "sasl-endless", b"\x07\x03\x00" + binary(0x21)[:8] + b"\xff" * 16)
    put("reply", "sasl-text", b"\x07\x03\x00ERROR\r\n")
    # Handle, server, mget and the socket; a look at the line; what the library makes of it; and of a write.
    ok = bytes([80])
    begin = b"\x00\x00\x00" + ok + b"\x00"
    value = ok + b"\x00\x01\x04" + b"ring".ljust(256, b"\0") + ok + b"\x01" + ok + b"\x00\x05" + ok
    hit = b"VALUE stek:object 0 4 77\r\n"
    put("reply", "memcached", b"\x03" + begin + hit + value)
    put("reply", "memcached-twice", b"\x03" + begin + hit + value + ok + hit + value)
    put("reply", "memcached-empty", b"\x03" + begin + b"END\r\n" + ok + b"\x01" + ok + b"\x00" + ok)
    put("reply", "memcached-no", b"\x03" + begin + b"SERVER_ERROR out of memory\r\n")
    put("reply", "memcached-endless", b"\x03" + begin + b"VALUE stek:object 0 2147483648 1\r\nx")
    put("reply", "memcached-negative", b"\x03" + begin + b"VALUE stek:object 0 -1 1\r\nx")
    put("reply", "memcached-blind", b"\x03\x00\x00\x00" + ok + b"\x03" + hit + value)
    put("reply", "http", b"\x03" + begin + b"HTTP/1.1 400 Bad Request\r\n\r\n")
    put("reply", "haproxy", b"\x04TLS ticket key updated!\n\n")
    put("reply", "haproxy-no", b"\x04Unknown command\r\n")
    for n, url in enumerate(["memcached://h", "memcached://h:1", "redis://u@h:1/2", "redis://[::1]:5",
                             "redis://u:p@h", "redis://h/x", "http://h", "memcached://h/1",
                             "redis+sentinel://u@a,b:1/m/2", "rediss+sentinel://[::1]/m", "redis+unix://u@/a?db=2",
                             "memcached+unix:///a", "memcached://u@h", "rediss://a,b"]):
        put("reply", f"url-{n}", b"\x05" + url.encode())


def etcds():
    """Key and object are those of fuzz_etcd.c: /p/k."""
    head = '{"header":{"cluster_id":"3","member_id":"4","revision":"7","raft_term":"2"}'
    key, value = '"L3Avaw=="', base64.b64encode(b"STEKRING" * 9).decode()
    found = f'"create_revision":"2","mod_revision":"7","version":"5","value":"{value}"'

    def answers(choice, *replies):
        return bytes([choice]) + b"".join(bytes([kind]) + struct.pack(">H", len(text)) + text.encode()
                                          for kind, text in replies)

    def error(message):
        return f'{{"error":"{message}","message":"{message}","code":7}}'

    ring = 1, f'{head},"kvs":[{{"key":{key},{found}}}],"count":"1"}}'
    absent, done, lost = (1, head + "}"), (1, head + ',"succeeded":true,"responses":[]}'), (64, "")
    login = 1, head + ',"token":"rVnPxGepAsgEzHgT.20"}'
    too_long = 0x11, f'{head},"kvs":['
    put("etcd", "life", answers(0, absent, done, ring, absent, ring, done))
    put("etcd", "marks", answers(8, absent, done, ring, ring, ring, absent, done))
    event = '{"result":{"header":{"revision":"9"},"events":[{"kv":{"key":"L3Avaw==","mod_revision":"9","version":"2"}}]}}'
    for name, text in {"event": event, "created": '{"result":{"header":{},"created":true}}', "canceled":
                       '{"result":{"canceled":true,"compact_revision":"9","cancel_reason":"compacted"}}',
                       "other": event.replace("L3Av", "L3Aw"), "deleted": event.replace(',"version":"2"', "")}.items():
        put("etcd", f"watch-{name}", text.encode())
    put("etcd", "user", answers(96, login, ring, (5, error("etcdserver: invalid auth token"))))
    put("etcd", "members", answers(2, lost, ring, (11, error("etcdserver: no leader")), done, lost, lost, lost))
    put("etcd", "too-long", answers(1, too_long, ring, done))
    put("etcd", "full", answers(0, ring, (9, error("etcdserver: mvcc: database space exceeded"))))
    put("etcd", "denied", answers(96, login, (6, error("etcdserver: permission denied"))))
    for name, text in {"empty": "", "other-key": ring[1].replace(key, '"eA=="'), "base64": ring[1].replace(value, "A==="),
                       "negative": ring[1].replace('"7"', '"-7"'), "number": ring[1].replace('"7"', "7"),
                       "huge": ring[1].replace('"7"', '"9223372036854775808"'), "deep": "[" * 3000,
                       "twice": ring[1].replace('"count"', '"kvs":[],"count"'), "no-value": ring[1].split(',"value"')[0]
                       + "}]}", "nul": ring[1].replace(value, "\\u0000")}.items():
        put("etcd", f"bad-{name}", answers(1, (1, text), (1, text)))
    put("etcd", "bad-token", answers(96, (1, head + ',"token":"a\\r\\nX-Y: z"}'), absent))
    put("etcd", "bad-message", answers(0, (10, '{"message":"\\u001b[0m\\u0080"}')))


if __name__ == "__main__":
    for make in (rings, secrets, formats, directives, texts, appdata, fleets, announcements, recordings, replies, etcds):
        make()
