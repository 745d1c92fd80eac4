# SPDX-License-Identifier: Apache-2.0
"""An OCSP responder on loopback, for certificates of pki's making."""
import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp


class Responder:
    """Says of an identity that it is good, by its issuer's key."""

    def __init__(self, identity):
        now = datetime.datetime.utcnow()
        span = datetime.timedelta(hours=1)
        issuer = identity.issuer
        self.response = (
            ocsp.OCSPResponseBuilder()
            .add_response(cert=identity.cert, issuer=issuer.cert, algorithm=hashes.SHA1(),
                          cert_status=ocsp.OCSPCertStatus.GOOD, this_update=now - span,
                          next_update=now + span, revocation_time=None, revocation_reason=None)
            .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.cert)
            .sign(issuer.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER))
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.asked += 1
                self.send_response(200)
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(outer.response)))
                self.end_headers()
                self.wfile.write(outer.response)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
