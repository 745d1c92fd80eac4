# SPDX-License-Identifier: Apache-2.0
"""Searches for key bytes in data and in the memory of processes."""
import base64


def forms(secret):
    """raw halves, hex, and base64 at each alignment."""
    found = [secret[:16], secret[16:]]
    found += [secret.hex().encode(), secret.hex().upper().encode()]
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + secret)
        found.append(whole[4 if shift else 0:-4])
    return found


def secrets_of(keys):
    return [secret for key in keys for secret in key.secret_bytes]


def traces(data, secrets):
    return [form[:4] for secret in secrets for form in forms(secret) if form in data]


ZERO = bytes(1 << 16)
SHADOW_LEN = 1 << 32  # from here on it is a sanitizer's, and no memory


def dense(data):
    """Without the blocks that are all zero: most of a process, and slow to search."""
    blocks = (data[at:at + len(ZERO)] for at in range(0, len(data), len(ZERO)))
    return b"".join(block for block in blocks if block != ZERO)


def memory(pid):
    """All readable mappings, without their empty blocks."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for line in maps:
            span, mode, *rest = line.split(maxsplit=5)
            if "r" not in mode or "[v" in line:
                continue
            start, end = (int(word, 16) for word in span.split("-"))
            if end - start >= SHADOW_LEN:
                continue
            try:
                mem.seek(start)
                data = mem.read(end - start)
            except (OSError, ValueError):
                continue
            yield line.strip(), dense(data)


def holders(pid, secrets, raw_only=False):
    needles = [form for secret in secrets
               for form in (forms(secret)[:2] if raw_only else forms(secret))]
    return [where for where, data in memory(pid) if any(needle in data for needle in needles)]


def gone_from(pids, secrets):
    """Whether none of the processes, of those that are left, has a byte of the secrets."""
    for pid in pids:
        try:
            if holders(pid, secrets, raw_only=True):
                return False
        except (FileNotFoundError, ProcessLookupError):
            pass
    return True


def processes(server):
    return [server.pid] + server.children()


def holding(server, keys):
    """Processes of the server in which bytes of the keys are left."""
    secrets = secrets_of(keys)
    found = []
    for pid in processes(server):
        try:
            found += [pid] if holders(pid, secrets, raw_only=True) else []
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has ended meanwhile
    return found
