# SPDX-License-Identifier: Apache-2.0
"""Random changes of the rules for client certificates, and of the files that they name.  Wherever a
full handshake decides otherwise afterwards, no ticket of before may resume; where a change changes
nothing, all must.  `make differential` is the long form; STEK_SEED repeats a run."""
import copy
import os
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ObjectIdentifier

import pki
from access import REFUSALS, REFUSED, attempt
from httpd import Vhost, free_port
from seed import SEED, seeded_rng

VHOSTS = 24
ROUNDS = int(os.environ.get("STEK_POLICY_ROUNDS", "0")) or 4
ENOUGH = ROUNDS * VHOSTS / 4   # more tickets than these have to end, and more to live
TALK = REFUSALS + ["AH01902", "AH02008", "AH02010", "AH02038", "SSL Library Error", "AH01910"]
GROUPS = ["P-256:P-384", "P-256"]
# One for all CRLs of a run: of two, the one with the higher number is the later, whenever it is made.
START = pki._when(0)
SUITES = "SSLCipherSuite TLSv1.3 TLS_AES_256_GCM_SHA384"   # decides nothing


def openssl(*args, data=None):
    return subprocess.run(["openssl", *map(str, args)], input=data, check=True,
                          capture_output=True).stdout


class Item:
    """A certificate or a CRL that a file can hold.  make(number): its PEM; a CRL's is another for
    each number, and says the same."""

    def __init__(self, name, kind, make, signer=None):
        self.name, self.kind, self._make, self.signer = name, kind, make, signer
        self._made = {}
        tool = "x509" if kind == "cert" else "crl"
        # Of the subject, or of the issuer.
        self.hash = openssl(tool, "-hash", "-noout", data=make(1)).split()[0].decode()

    def make(self, number):
        if number not in self._made:
            self._made[number] = self._make(number)
        return self._made[number]

    def __repr__(self):
        return self.name

    def __deepcopy__(self, _memo):
        return self


def crl_of(issuer, revoked=(), *, reason=None, hours=24, key=None, extensions=()):
    """A maker of CRLs.  hours: when they end, from the start."""
    def make(number):
        builder = (x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
                   .last_update(START + timedelta(seconds=number - 36000))
                   .next_update(START + timedelta(seconds=number, hours=hours))
                   .add_extension(x509.CRLNumber(number), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        for identity in revoked:
            entry = (x509.RevokedCertificateBuilder()
                     .serial_number(identity.cert.serial_number).revocation_date(pki._when(-60)))
            if reason:
                entry = entry.add_extension(x509.CRLReason(reason), False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign((key or issuer).key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM)
    return make, (key or issuer).name


def scope(**options):
    return x509.IssuingDistributionPoint(**{**dict(
        full_name=None, relative_name=None, only_contains_user_certs=False,
        only_contains_ca_certs=False, only_some_reasons=None, indirect_crl=False,
        only_contains_attribute_certs=False), **options})


class World:
    """Authorities, clients, and all that a file can hold."""

    def __init__(self, folder):
        self.folder = folder
        self.root = pki.Identity(folder, "root", ca=True)
        self.other = pki.Identity(folder, "other", ca=True)
        twin = pki.Identity(folder, "twin", ca=True, subject="root")
        middle = pki.Identity(folder, "middle", self.root, ca=True)
        self.spare = pki.Identity(folder, "spare", ca=True)
        self.clients = {name: pki.Identity(folder, name, issuer) for name, issuer in (
            ("good", self.root), ("deep", middle), ("foreign", self.other), ("double", twin),
            ("bad", self.root))}
        self.clients["weak"] = pki.Identity(folder, "weak", self.root,
                                            key=rsa.generate_private_key(65537, 1024))
        self.clients["p384"] = pki.Identity(folder, "p384", self.root,
                                            key=ec.generate_private_key(ec.SECP384R1()))
        short = pki.Identity(folder, "short", ca=True, subject="root", key=self.root.key, pathlen=0)
        self.clients["alone"] = pki.Identity(folder, "alone")
        good, bad, deep = (self.clients[name] for name in ("good", "bad", "deep"))
        unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
        certs = {"root": self.root, "other": self.other, "twin": twin, "middle": middle,
                 "alone": self.clients["alone"], "good": good, "short": short}
        self.certs = [Item(name, "cert", lambda _, who=who: who.pem) for name, who in certs.items()]
        for name in ("root", "other"):
            for word in ("-addreject", "-addtrust"):
                for use in ("clientAuth", "serverAuth"):
                    pem = openssl("x509", "-trustout", word, use, data=certs[name].pem)
                    self.certs.append(Item(f"{name} {word} {use}", "cert", lambda _, pem=pem: pem))
        root, reasons = self.root, x509.ReasonFlags
        crls = {
            "none": crl_of(root), "bad": crl_of(root, [bad]), "both": crl_of(root, [bad, good]),
            "spared": crl_of(root, [bad, good], reason=reasons.remove_from_crl),
            "kept": crl_of(root, [good], reason=reasons.key_compromise),
            "over": crl_of(root, hours=-1), "forged": crl_of(root, [bad], key=twin),
            "strange": crl_of(root, extensions=[(unknown, True)]),
            "authorities": crl_of(root, [good], extensions=[(scope(only_contains_ca_certs=True), True)]),
            "users": crl_of(root, [good], extensions=[(scope(only_contains_user_certs=True), True)]),
            "delta": crl_of(root, [good], extensions=[(x509.DeltaCRLIndicator(1), True)]),
            "middle": crl_of(middle), "middle's deep": crl_of(middle, [deep]),
            "root's middle": crl_of(root, [middle]), "other": crl_of(self.other),
            "other's foreign": crl_of(self.other, [self.clients["foreign"]])}
        self.crls = [Item(f"crl {name}", "crl", *make) for name, make in crls.items()]


# Changes that chance alone would seldom make decide: what a site begins with, and goes to and fro in.
THEMES = ["signer", "order", "hash", "mode", "level", "first"]
PLACES = ["ca_file", "ca_path", "crl_file", "crl_path"]


class Site:
    """What one virtual host demands, and its files."""

    def __init__(self, rng, world, theme):
        self.theme, self.turned, self.level, self.suites = theme, False, None, rng.random() < 0.5
        self.astray, self.shut = set(), set()   # items: under another hash; not for children to read
        self.version = rng.choice(["1.2", "1.3"])
        self.mode, self.section = rng.choice(["require", "optional", "optional"]), None
        self.depth = rng.choice([1, 2, 3])
        self.check = rng.choice([None, "leaf", "chain", "leaf no_crl_for_cert_ok",
                                 "chain no_crl_for_cert_ok", "leaf no_crl_for_cert_ok"])
        self.number, self.issues = {}, 1   # of a CRL, by place and name: its issue; issues made
        self.items = {"ca_file": rng.sample(world.certs[:3], rng.randrange(1, 3)), "ca_path": [],
                      "crl_file": [], "crl_path": []}
        for item in rng.sample(world.crls, rng.randrange(3)) + rng.sample(world.certs, rng.randrange(2)):
            self.put(rng.choice(PLACES), item)
        self.gap = False      # files in the directories that nobody reads
        self.remark, self.moved = 0, 0
        if theme:
            self.begin(rng, world)

    def begin(self, rng, world):
        named = {item.name: item for item in world.certs + world.crls}
        if self.theme == "first":   # on an address of its own; TLS 1.3 takes any group
            self.version = "1.2"
        self.mode, self.depth, self.check = "require", 3, None
        self.items = {place: [] for place in PLACES}
        self.items["ca_file"] = [named["root"]]
        if self.theme == "signer":
            self.items["ca_file"].append(named["twin"])
            self.items["crl_file"], self.check = [named["crl bad"]], "leaf"
        elif self.theme == "order":
            self.items["ca_file"] = [named["root"], named["short"]]
        elif self.theme in ("hash", "mode"):
            place = rng.choice(["ca_path", "crl_path"])
            self.check = "leaf no_crl_for_cert_ok"
            self.items["ca_file"] = [named["root"]] if place == "crl_path" else []
            self.items[place] = [named["crl bad" if place == "crl_path" else "root"]]
            self.turned = rng.random() < 0.5
        elif self.theme == "level":
            self.level = 0
        self.themed = copy.copy(self.items)
        self.turn(world)

    def turn(self, world):
        """Makes the site what its theme says, one way or the other."""
        self.items = {place: list(items) for place, items in self.themed.items()}
        odd = {item for place in ("ca_path", "crl_path") for item in self.items[place]}
        if self.theme == "signer":
            self.items["crl_file"] = [item for item in world.crls
                                      if item.name == ("crl forged" if self.turned else "crl bad")]
        elif self.theme == "order" and self.turned:
            self.items["ca_file"].reverse()
        elif self.theme == "hash":
            self.astray = odd if self.turned else set()
        elif self.theme == "mode":
            self.shut = odd if self.turned else set()
        elif self.theme == "level":
            self.level = 2 if self.turned else 0

    def put(self, place, item):
        if item not in self.items[place]:
            self.items[place].append(item)
            self.issue((place, item.name))

    def issue(self, *keys):
        """Issues CRLs again, one after the other: the last is then the latest of the site."""
        for key in keys:
            self.issues += 1
            self.number[key] = self.issues

    def settled(self):
        """Whether each CRL has a signer here.  One that has not counts byte by byte."""
        items = [item for items in self.items.values() for item in items
                 if item not in self.astray | self.shut]
        return all(item.signer is None or item.signer in [i.name.split()[0] for i in items]
                   for item in items)

    def change(self, rng, world):
        """Changes something; its name."""
        what = rng.choice(["add", "add", "add", "drop", "drop", "swap", "swap", "again",
                           "check", "depth", "mode", "section"])
        place = rng.choice(PLACES)
        if self.theme and rng.random() < 0.7:
            self.turned = not self.turned
            self.turn(world)
            return self.theme
        if self.theme:
            what = rng.choice(["mode", "section", "level"])
        if what == "level":
            self.level = rng.choice([None, 0, 2])
        if what in ("drop", "swap") and self.items[place]:
            self.items[place].remove(rng.choice(self.items[place]))
        if what in ("add", "swap"):
            self.put(place, rng.choice(world.certs + 2 * world.crls))
        elif what == "again":   # it may overtake another of its issuer
            lists = [(at, item.name) for at in PLACES for item in self.items[at] if item.kind == "crl"]
            self.issue(*rng.sample(lists, min(1, len(lists))))
        elif what == "check":
            self.check = rng.choice([None, "leaf", "chain", "leaf no_crl_for_cert_ok"])
        elif what == "depth":
            self.depth = rng.choice([0, 1, 2, 3])
        elif what == "mode":
            self.mode = rng.choice(["require", "optional", "optional_no_ca", "none"])
        elif what == "section":
            self.section = rng.choice([None, "SSLVerifyClient require", "SSLVerifyDepth 0"])
        return what

    def change_nothing(self, rng):
        """Changes what decides nothing; its name."""
        what = rng.choice(["same", "comment", "order", "issue", "names", "gap"])
        if what == "comment":
            self.remark += 1
        elif what == "order":
            for items in self.items.values():
                # Of several CRLs of one issuer the latest counts, and of several forms of one
                # certificate the first.
                if len({item.hash for item in items}) == len(items):
                    rng.shuffle(items)
        elif what == "issue" and self.settled():
            self.issue(*sorted(self.number, key=self.number.get))
        elif what == "names":
            self.moved += 1
        elif what == "gap":
            self.gap = not self.gap
        return what

    def pem(self, place, item):
        return item.make(self.number.get((place, item.name), 0))

    def write(self, folder, world):
        """Writes the files; gives the virtual host's lines."""
        at = folder / f"{self.moved}"
        at.mkdir(parents=True, exist_ok=True)
        remark = f"# {self.remark}\n".encode()
        lines = [f"SSLVerifyClient {self.mode}", f"SSLVerifyDepth {self.depth}"]
        for place, directive in (("ca_file", "SSLCACertificateFile"), ("crl_file", "SSLCARevocationFile")):
            # mod_ssl wants names of authorities, and something in each file.
            filler = [world.spare.pem]
            pki.write(at / f"{place}.pem", remark, *(self.pem(place, item)
                                                     for item in self.items[place]), *filler)
            lines.append(f"{directive} {at}/{place}.pem")
        for place, directive in (("ca_path", "SSLCACertificatePath"), ("crl_path", "SSLCARevocationPath")):
            self.write_directory(at / place, place, remark, world)
            lines.append(f"{directive} {at / place}")
        if self.check:
            lines.append(f"SSLCARevocationCheck {self.check}")
        if self.level is not None:
            lines.append(f"SSLCipherSuite DEFAULT:@SECLEVEL={self.level}")
        lines += [SUITES] * self.suites
        if self.section:
            lines += ["<Location /index.html>", self.section, "</Location>"]
        lines += [f'Header always set X-{name} "expr=%{{{name}}}"'
                  for name in ("SSL_CLIENT_VERIFY", "SSL_CLIENT_S_DN")]
        return lines

    def write_directory(self, path, place, remark, world):
        path.mkdir(exist_ok=True)
        files, shut = {}, set()
        for item in self.items[place]:
            # Astray: under a hash that no client's name has.
            hashed = f"{int(item.hash, 16) ^ 1:08x}" if item in self.astray else item.hash
            stem = f"{hashed}.{'' if item.kind == 'cert' else 'r'}"
            n = next(n for n in range(99) if f"{stem}{n}" not in files)
            files[f"{stem}{n}"] = remark + self.pem(place, item)
            shut.add(f"{stem}{n}" if item in self.shut else None)
        if self.gap:
            files.update({"README": b"no such hash\n", "root.pem": world.root.pem,
                          f"{world.certs[0].hash}.9": world.root.pem, "0000000.0": world.root.pem})
        # mod_ssl finds names of authorities in any file of a directory that it is given as CA path.
        files["spare.pem"] = world.spare.pem
        for old in path.iterdir():
            if old.name not in files:
                old.unlink()
        for name, data in files.items():
            fresh = path / ".new"
            fresh.write_bytes(data)
            fresh.chmod(0o600 if name in shut else 0o644)
            fresh.rename(path / name)


def decision(got, reply):
    if got == REFUSED:
        return REFUSED
    return got, reply.headers.get("x-ssl_client_verify"), reply.headers.get("x-ssl_client_s_dn")


class Run:
    def __init__(self, httpd, rng, world):
        self.rng, self.world = rng, world
        # Half of the sites have a theme, each twice.
        self.sites = {f"s{i}.test": Site(rng, world, THEMES[i // 2 % len(THEMES)] if i % 2 else None)
                      for i in range(VHOSTS)}
        self.edge, self.edge_groups = free_port(), rng.randrange(2)
        self.server = httpd(processes=1)
        self.server.expect(*TALK)
        self.wrong, self.ended, self.kept = [], 0, 0
        self.configure()
        self.server.start()
        self.sessions = {}   # host -> client -> what came of a full handshake, its session
        for host in self.sites:
            self.sessions[host] = self.visit(host)

    def configure(self):
        groups = f"SSLOpenSSLConfCmd Groups {GROUPS[self.edge_groups]}"
        self.server.vhosts = [Vhost("open.test"), Vhost("edge.test", [groups], self.edge)] + [
            Vhost(host, site.write(self.world.folder / host, self.world),
                  self.edge if site.theme == "first" else 0)
            for host, site in self.sites.items()]

    def ask(self, host, client, session=None):
        cert = client and self.world.clients[client].base
        got, reply = attempt(self.server, host, tls=self.sites[host].version, cert=cert, pha=True,
                             session=session, level=0)
        return decision(got, reply), reply

    def visit(self, host):
        """Full handshakes of all clients."""
        found = {}
        for client in [None, *self.world.clients]:
            what, reply = self.ask(host, client)
            found[client] = what, reply.session if reply else None
        return found

    def round(self, nothing=0.35):
        """nothing: the share of changes that decide nothing."""
        changes, before = {}, {host: copy.deepcopy(vars(site)) for host, site in self.sites.items()}
        for host, site in self.sites.items():
            if site.theme == "first":
                changes[host] = False, "first"   # that of the virtual host before it
            elif self.rng.random() < nothing:
                changes[host] = True, site.change_nothing(self.rng)
            else:
                changes[host] = False, site.change(self.rng, self.world)
        self.edge_groups = 1 - self.edge_groups
        self.configure()
        self.server.graceful()
        # Where a site on the address asks itself and in a section, those that ask themselves resume
        # nothing in TLS 1.3.
        twice = {site.theme == "first" for site in self.sites.values()
                 if site.section and site.mode != "none"}
        for host, (nothing, what) in changes.items():
            old, new = self.sessions[host], self.visit(host)
            site = self.sites[host]
            if {c: d for c, (d, _) in old.items()} != {c: d for c, (d, _) in new.items()}:
                if nothing:
                    self.complain("a change of nothing changes what is decided", host, what, before)
                self.judge(host, what, before, old, new, True)
            elif site.version == "1.3" and site.mode != "none" and (site.theme == "first") in twice:
                self.judge(host, what, before, old, new, True)
            else:
                self.judge(host, what, before, old, new, not nothing and None)
            self.sessions[host] = new

    def judge(self, host, what, before, old, new, ends):
        """ends: True, no old ticket may resume; False, each must; None: either, rightly."""
        for client, (_, session) in old.items():
            if session is None:
                continue
            got, reply = self.ask(host, client, session)
            resumed = bool(reply and reply.resumed)
            if got != new[client][0] or (ends and resumed) or (ends is False and not resumed):
                self.complain(f"{client}: full {new[client][0]}, ticket {got}, resumed {resumed}",
                              host, what, before)
            self.ended += bool(ends)
            self.kept += ends is False

    def complain(self, text, host, what, before):
        self.wrong.append(f"{host}: {what}: {text}\n   {before[host]}\n-> {vars(self.sites[host])}")


@pytest.fixture
def world():
    with tempfile.TemporaryDirectory(prefix="stek-policy-") as folder:
        os.chmod(folder, 0o755)
        yield World(Path(folder))


@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_changed_decision_ends_tickets_and_nothing_else_does(httpd, world):
    run = Run(httpd, seeded_rng(), world)
    for _ in range(ROUNDS):
        run.round()
    # Where many sites refuse all clients, or ask in sections, few tickets have to live: more rounds of
    # what is short, at most as many again.
    extra = 0
    while extra < ROUNDS and min(run.ended, run.kept) <= ENOUGH:
        run.round(nothing=0.9 if run.kept <= ENOUGH else 0.1)
        extra += 1
    print(f"{(ROUNDS + extra) * VHOSTS} changes: {run.ended} tickets had to end, {run.kept} to live")
    assert not run.wrong, "\n".join([f"STEK_SEED={SEED}, {len(run.wrong)} wrong", *run.wrong[:6]])
    assert run.ended > ENOUGH and run.kept > ENOUGH
