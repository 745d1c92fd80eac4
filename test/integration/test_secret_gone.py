# SPDX-License-Identifier: Apache-2.0
"""The local secret's file disappears while httpd runs: httpd works on, and nothing may look well that the next start
would lose."""
from stekctl_tool import Stekctl


def test_secret_that_httpd_made_is_written_again(httpd):
    server = httpd(processes=1).start()
    kept, first = server.secret_path().read_bytes(), server.get(tls="1.2")
    server.secret_path().unlink()
    server.wait_log("STEK2008.*wrote its local secret", timeout=25, count=2)
    assert server.secret_path().read_bytes().split() == kept.split() and server.stop()
    server.start()
    assert server.get(tls="1.2", session=first.session).resumed


def test_secret_of_another_writer_is_missed_until_it_is_back(httpd, folder):
    """Also while the ring is refused, and good again."""
    tool = Stekctl(folder, "x.ring")
    tool.run("new")
    secret, ring = folder / "x.secret", folder / "x.ring"
    kept, good = secret.read_bytes(), ring.read_bytes()
    server = httpd(processes=1, server=[f"StekRing default file={ring} secret={secret} generate=off poll=1s"]).start()
    server.expect("STEK2003", "STEK2009", "STEK2017")
    secret.unlink()
    server.wait_log(f"STEK2009: ring 'default': secret {secret}: No such file", timeout=25)
    Stekctl(folder, "other.ring").run("new")
    mark = server.mark()
    (folder / "other.ring").rename(ring)
    line, = server.wait_log("STEK2003", mark, timeout=25)
    assert f"{ring} (secret {secret}: No such file or directory): sealed with a secret that is not in" in line
    ring.write_bytes(good)
    server.graceful()
    server.wait_log("STEK2009", mark, timeout=25)
    mark = server.mark()
    secret.write_text("no secret\n")  # back, but damaged
    secret.chmod(0o600)
    server.graceful()
    server.wait_log("STEK2009.*x.secret .*not one of this module's files", mark)
    assert not server.lines("STEK2001")
    secret.write_bytes(kept)
    server.wait_log("STEK2001", mark, timeout=25)
