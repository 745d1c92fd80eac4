#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ssh and scp between sandboxes of one network, without keys: `ssh root@HOST COMMAND`, `scp root@HOST:FROM TO`.
With --serve, what they talk to."""
import os
import socket
import subprocess
import sys

PORT = 22


def serve():
    listener = socket.create_server(("0.0.0.0", PORT))
    while True:
        sock, _ = listener.accept()
        with sock, sock.makefile("rwb") as file:
            command = bytes.fromhex(file.readline().decode()).decode()
            done = subprocess.run(["bash", "-c", command], input=file.read(), stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
            file.write(b"%d\n" % done.returncode + done.stdout)


def ask(host, command, given):
    with socket.create_connection((host, PORT), 20) as sock, sock.makefile("rwb") as file:
        file.write(command.encode().hex().encode() + b"\n" + given)
        file.flush()
        sock.shutdown(socket.SHUT_WR)
        return int(file.readline()), file.read()


def main():
    if sys.argv[1:] == ["--serve"]:
        serve()
    host, _, path = sys.argv[1].rpartition("@")[2].partition(":")
    if os.path.basename(sys.argv[0]) == "scp":
        code, said = ask(host, f"cat {path}", b"")
        with open(sys.argv[2], "wb") as file:
            file.write(said)
    else:
        code, said = ask(host, " ".join(sys.argv[2:]), sys.stdin.buffer.read())
        sys.stdout.buffer.write(said)
    return code


if __name__ == "__main__":
    sys.exit(main())
