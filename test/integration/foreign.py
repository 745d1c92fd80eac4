# SPDX-License-Identifier: Apache-2.0
"""What is not ours: objects that somebody may have where a path is mistyped, and a picture of a tree
that tells whether anything about them has changed."""
import hashlib
import os
import shutil
import socket
import stat
import subprocess

from checks import fixed_ring
from httpd import RUN_AS



def odd_bytes(dice):
    """Of no size that a key file has."""
    while True:
        size = dice.randrange(1, 5000)
        if size % 48 and size % 80 and size != 92:
            return dice.randbytes(size)


def file(content, mode=0o600, owner=None):
    def make(path, dice):
        data = content(dice) if callable(content) else content
        path.write_bytes(data)
        path.chmod(mode)
        if owner:
            shutil.chown(path, owner)
    return make


def folder(*names):
    def make(path, dice):
        path.mkdir()
        for name in names:
            (path / name).write_bytes(dice.randbytes(50))
    return make


def link(target):
    def make(path, dice):
        to = path.with_name(path.name + ".target")
        if target == "file":
            to.write_text("precious\n")
        elif target == "ring":
            to.write_bytes(fixed_ring().seal(bytes(dice.randbytes(32))))
        elif target == "folder":
            to.mkdir()
        path.symlink_to(to if target != "itself" else path)
    return make


def second_name(content):
    def make(path, dice):
        first = path.with_name(path.name + ".first")
        file(content, 0o644)(first, dice)
        os.link(first, path)
    return make


def key(form):
    def make(path, dice):
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-outform", form, "-out", path], check=True, capture_output=True)
        path.chmod(0o600)
    return make


def listening(path, dice):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_PATH)  # names of sockets are short
        made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def device(path, dice):
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))


def sparse(path, dice):
    with open(path, "wb") as made:
        made.truncate(1 << 30)
    path.chmod(0o600)


def some_ring(dice):
    return fixed_ring().seal(dice.randbytes(32))


# name: (maker, the word that a message has for it)
KINDS = {
    "folder": (folder(), "is a directory"),
    "full-folder": (folder("site.key", "site.crt"), "is a directory"),
    "pem-key": (key("PEM"), "PEM file (PRIVATE KEY)"),
    "der-key": (key("DER"), "is a file of"),
    "pem-two": (file(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"),
                "PEM file (CERTIFICATE)"),
    "text": (file(b"# not a key\nListen 80\n" * 9, 0o640), "is a file of"),
    "one-byte": (file(b"\n"), "is a file of 1 bytes"),
    "program": (file(b"\x7fELF" + bytes(1000), 0o700), "is a file of"),
    "random": (file(odd_bytes), "is a file of"),
    "large": (file(lambda dice: dice.randbytes(1 << 20)), "is a file of"),
    "sparse": (sparse, "is a file of"),
    "fifo": (lambda path, dice: os.mkfifo(path, 0o600), "named pipe"),
    "socket": (listening, "socket"),
    "device": (device, "device"),
    "link-to-file": (link("file"), "symbolic link"),
    "link-to-ring": (link("ring"), "symbolic link"),
    "link-to-folder": (link("folder"), "symbolic link"),
    "link-nowhere": (link("nothing"), "symbolic link"),
    "link-loop": (link("itself"), "symbolic link"),
    "ring-of-another": (file(some_ring, owner=RUN_AS), "another user"),
    "empty-of-another": (file(b"", owner=RUN_AS), "another user"),
    "two-names": (second_name(b"precious\n"), "2 names"),
    "ring-of-two-names": (second_name(some_ring), "2 names"),
    "ring-like": (file(b"STEKRIN"), "is a file of 7 bytes"),
}


def picture(path):
    """All there is to know about a path and what is below it, but for the times of reading."""
    seen = {}
    for at in [path, *sorted(path.rglob("*"))] if path.is_dir() and not path.is_symlink() else [path]:
        st = os.lstat(at)
        what = ""
        if stat.S_ISLNK(st.st_mode):
            what = os.readlink(at)
        elif stat.S_ISREG(st.st_mode) and st.st_size < 1 << 24:
            what = hashlib.sha256(at.read_bytes()).hexdigest()
        is_folder = stat.S_ISDIR(st.st_mode)
        seen[str(at)] = (st.st_ino, st.st_mode, st.st_uid, st.st_gid, what,
                         *(() if is_folder else (st.st_size, st.st_nlink, st.st_ctime_ns)))
    return seen


def around(path):
    """The same of all beside path whose name begins with its."""
    return {name: state for at in sorted(path.parent.glob(path.name + "*"))
            for name, state in picture(at).items()}
