# SPDX-License-Identifier: Apache-2.0
"""A server of a test's own, on a free port of loopback."""
import socket
import threading


class Listener:
    """Calls _serve(sock) for each connection, in a thread of its own.  It listens from __init__ on, so a subclass calls
    that last."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self._take(sock)

    def _take(self, sock):
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def close(self):
        self.listener.close()
