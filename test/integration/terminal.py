# SPDX-License-Identifier: Apache-2.0
"""A terminal of its own for one command: what it shows, and how it is left."""
import fcntl
import os
import pty
import select
import signal
import struct
import termios


class Terminal:
    """stekctl on a terminal of its own."""

    def __init__(self, command, columns=80, rows=24, **env):
        ready, go = os.pipe()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.read(ready, 1)
            environ = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
            environ = {**environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env}
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            try:
                os.execve(command[0], command, environ)
            finally:
                os._exit(127)
        # As it was before the command began: that waits for it.
        self.before, self.text, self.status = termios.tcgetattr(self.fd), "", None
        os.write(go, b"1")
        os.close(ready)
        os.close(go)

    def read(self, timeout=0.05):
        while select.select([self.fd], [], [], timeout)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            self.text += data.decode("utf-8", "replace")
        return self.text

    def ended(self):
        self.read(0.01)
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)
