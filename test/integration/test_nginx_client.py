# SPDX-License-Identifier: Apache-2.0
"""nginx as a client, in front of httpd: what docs/troubleshooting.md says of its full handshakes."""
import http.client
import shutil

import ringfile
from checks import newer
from handshakes import Scripted
from httpd import wait_for
from stekctl_tool import Program

HEADERS = ['Header always set X-Ticket "expr=%{reqenv:STEK_TICKET}"']


class NginxProxy(Program):
    """Makes a connection for each request, and offers what it kept of the one before."""

    def __init__(self, root, certs, target, version):
        super().__init__(root, certs)
        self.target, self.version = target, version

    def command(self):
        conf = self.root / "nginx.conf"
        temp = "\n".join(f"{kind}_temp_path {self.root}/temp;"
                         for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(f"""daemon off; master_process off; pid {self.root}/pid;
            error_log {self.root}/error.log; events {{ }}
            http {{ access_log off; {temp}
              server {{ listen 127.0.0.1:{self.port};
                location / {{ proxy_pass https://127.0.0.1:{self.target}; proxy_set_header Host a.test;
                  proxy_ssl_name a.test; proxy_ssl_server_name on; proxy_ssl_session_reuse on;
                  proxy_ssl_protocols TLSv{self.version}; }} }} }}""")
        return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(conf), "-e",
                str(self.root / "error.log")]

    def ticket(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/index.html")
            reply = connection.getresponse()
            assert reply.read() == b"hello\n"
            return reply.headers["x-ticket"]
        finally:
            connection.close()


def test_nginx_client_full_handshake_after_each_renewal_in_tls12_only(httpd, certs, folder, version):
    scripted = Scripted(httpd, processes=1, server=HEADERS)
    server = scripted.server.start()
    nginx = NginxProxy(folder, certs, server.port, version)
    try:
        nginx.start()
        assert [nginx.ticket() for _ in range(3)] == ["new"] + 2 * ["resumed-current"]
        for generation in (2, 3):
            key = newer(scripted.keys["current"])
            scripted.keys["current"] = key
            server.put_ring(ringfile.Ring(list(scripted.keys.values()), generation=generation))
            wait_for(lambda: scripted.json()["rings"][0]["current_key"] == key.name[:4].hex(),
                     "the new key", 10, 0.05)
            after = [nginx.ticket() for _ in range(4)]
            again = "new" if version == "1.2" else "resumed-current"
            assert after == ["resumed-old", again] + 2 * ["resumed-current"]
    finally:
        nginx.stop()
