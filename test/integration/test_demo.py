# SPDX-License-Identifier: Apache-2.0
"""make run's demonstration: it fits a terminal of 80x24, ends cleanly, and does not believe itself."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

import httpd as harness

DEMO = str(harness.TOP / "build" / "demo.py")


def family(pid):
    """(directory, pids) of the httpd that the demonstration pid has started; None if none yet."""
    for child in harness.descendants(pid):
        words = harness.arguments(child)
        conf = [harness.Path(os.fsdecode(word)) for word in words if word.endswith(b"/httpd.conf")]
        if conf:
            return conf[0].parent, [child, *harness.descendants(child)]
    return None


def assert_gone(home, pids):
    assert not home.exists()
    harness.wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "httpd's end")


def demo(*args, **options):
    return subprocess.run([sys.executable, DEMO, "--module", str(harness.MODULE), *args],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
                          **options)


def test_demo_once_tells_all_and_leaves_nothing():
    done = demo("--once")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) <= 24, done.stdout
    assert max(map(len, lines)) <= 80
    assert "docs/quick-start.md" in lines[-2] and "docs/README.md" in lines[-1]
    assert "Resumed means" in done.stdout and "NOT" not in done.stdout and "errors 0" in done.stdout
    assert len(re.findall(r"TLS 1.2 resumed, TLS 1.3 resumed: \w{8} -> \w{8}", done.stdout)) == 3
    assert "graceful reload" in done.stdout and "has ended: full handshake" in done.stdout


def changed(tmp_path, text):
    """The path of a demonstration of that text."""
    (tmp_path / "build").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "build" / "demo.py").write_text(text)
    version = (harness.TOP / "include" / "stek_version.h").read_text()
    (tmp_path / "include" / "stek_version.h").write_text(version)
    return str(tmp_path / "build" / "demo.py")


def test_demo_without_rotation_fails(tmp_path):
    """A module that is loaded and does nothing must not be praised: stock keys stay the same."""
    text = harness.Path(DEMO).read_text()
    stock = text.replace('lines += [f"LoadModule stek_rotate_module {self.module}",', "lines += [")
    stock = stock.replace('f"StekRing default interval={INTERVAL}s lifetime={LIFETIME}s",\n'
                          '                  f"ServerRoot', 'f"ServerRoot')
    assert stock.count("stek_rotate_module") == text.count("stek_rotate_module") - 1
    done = subprocess.run([sys.executable, changed(tmp_path, stock), "--once", "--module", str(harness.MODULE)],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "NOT SEEN: a new key each interval" in done.stdout
    assert "NOT SEEN: tickets outlive a graceful reload" in done.stdout


def test_demo_module_missing_fails():
    done = subprocess.run([sys.executable, DEMO, "--module", "/nowhere.so"], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1
    assert "run make" in done.stderr


def test_demo_interrupted_on_terminal_ends_cleanly():
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, DEMO, "--module", str(harness.MODULE)])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    shown, sent, end = b"", False, time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
        if not sent and b"graceful reload" in shown:
            servers = family(pid)
            os.write(terminal, b"\x03")
            sent = True
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    text = shown.decode()
    assert sent and status == 0, text[-2000:]
    assert_gone(*servers)
    assert text.endswith("docs/README.md lists all guides.\r\n") and "\x1b[?25h" in text
    for frame in text.split("\x1b[H")[1:]:
        lines = re.sub(r"\x1b\[[?0-9]*[A-Za-z]|\^C", "", frame).replace("\r", "").split("\n")
        assert len(lines) <= 24, frame
        assert max(map(len, lines)) <= 80, frame


# httpd runs, and the demonstration has not yet come back from starting it.
SLOW = """
class Slow(subprocess.Popen):
    def __init__(self, words, **options):
        super().__init__(words, **options)
        time.sleep("-DFOREGROUND" in words)


subprocess.Popen = Slow
"""


@pytest.mark.parametrize("slow", ["", SLOW], ids=["started", "starting"])
def test_demo_terminated_before_first_key_ends_cleanly(tmp_path, slow):
    text = harness.Path(DEMO).read_text().replace("\nTOP = ", slow + "\nTOP = ", 1)
    assert slow in text
    process = subprocess.Popen([sys.executable, changed(tmp_path, text), "--module", str(harness.MODULE)],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    servers = harness.wait_for(lambda: family(process.pid), "httpd to be started")
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert_gone(*servers)
