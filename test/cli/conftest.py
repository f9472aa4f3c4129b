"""Runs the program under test, and makes a folder with files for both nodes on loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)
from lab import config  # noqa: E402
from lab.gateway import program  # noqa: E402


class Done:
    def __init__(self, done):
        self.exit, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


def run(*words, **options):
    """Run the program with these words; returns its exit code and output."""
    return Done(subprocess.run([program(), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=30, **options))


PORTS_GIVEN = set()


def free_port():
    """A port that nobody listens on, and that was not given before: the system may offer one again."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        if port not in PORTS_GIVEN:
            PORTS_GIVEN.add(port)
            return port


def wait_for(what, test, timeout_s=10):
    """Wait until `test` returns a true value, which is returned."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        got = test()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s: {what}")


class Question:
    """A question on a control socket: sent when it is made; `answer` reads the answer."""

    def __init__(self, path, words):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.socket.sendall(json.dumps(words).encode() + b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def answer(self):
        return json.loads(self.socket.makefile().readline())


class Place:
    """A folder with the files of an edge and a core that meet on loopback."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []
        self.ports = {name: free_port() for name in ("edge", "link", "core", "metrics")}
        (folder / "certs").mkdir()
        self.edge_pin = self.keygen("edge")
        self.core_pin = self.keygen("core")
        self.certificate("example.com", ["example.com", "chatroom1.example.com"])
        self.write_edge()
        self.write_core()
        self.write_policy()

    def __truediv__(self, name):
        return self.folder / name

    def keygen(self, role):
        done = run("keygen", "--out-cert", self / f"{role}.crt", "--out-key", self / f"{role}.key", "--name", role)
        assert done.exit == 0, done.err
        return done.out.strip()

    def certificate(self, stem, names, days=90):
        alternatives = ",".join(f"DNS:{name}" for name in names)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days),
             "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}", "-keyout",
             str(self / f"certs/{stem}.key"), "-out", str(self / f"certs/{stem}.crt")], check=True, capture_output=True)

    def write_edge(self, extra=""):
        (self / "edge.toml").write_text(config.edge_toml(
            name="vcse.example.com", s2s=self.address("edge"), traversal=self.address("link"), control="run/edge.sock",
            metrics=self.address("metrics"), core_pin=self.core_pin, resolver="127.0.0.1:9", extra=extra))

    def write_core(self, extra=""):
        (self / "core.toml").write_text(config.core_toml(
            name="core.corp.example", s2s=self.address("core"), control="run/core.sock", edge_name="vcse.example.com",
            edge_address=self.address("link"), edge_pin=self.edge_pin, extra=extra))

    def insert(self, role, table, lines):
        """Put lines below a table's header."""
        text = (self / f"{role}.toml").read_text()
        assert f"{table}\n" in text
        (self / f"{role}.toml").write_text(text.replace(f"{table}\n", f"{table}\n{lines}\n", 1))

    def address(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def write_policy(self, extra=""):
        (self / "policy.toml").write_text(f"""\
[[domain]]
name    = "example.com"
servers = ["127.0.0.1:9"]

[[chat_node]]
alias   = "chatroom1.example.com"
node    = "conference-2.corp.example"
servers = ["127.0.0.1:9"]

[[allow]]
domain = "partner.example"
{extra}""")

    def start(self, role, *words):
        log = open(self / f"{role}.log", "ab")
        node = subprocess.Popen([program(), role, "-c", str(self / f"{role}.toml"), *words], stdin=subprocess.DEVNULL,
                                stdout=log, stderr=log)
        log.close()
        self.started.append(node)
        wait_for(f"{role} answers\n{self.log(role)}",
                 lambda: self.ask(role, "status").exit == 0 or self._gone(role, node))
        return node

    def _gone(self, role, node):
        if node.poll() is not None:
            raise AssertionError(f"{role} ended with {node.returncode}:\n{self.log(role)}")

    def log(self, role):
        path = self / f"{role}.log"
        return path.read_text() if path.exists() else ""

    def ask(self, role, *words):
        return run(*words, "--control", self / f"run/{role}.sock")

    def question(self, role, words):
        return Question(self / f"run/{role}.sock", words)

    def status(self, role):
        return self.ask(role, "status", "--json").json

    def wait_linked(self):
        for role in ("core", "edge"):
            wait_for(f"{role} has its link up\n{self.log('core')}\n{self.log('edge')}",
                     lambda: [link for link in self.status(role)["links"] if link["state"] == "up"])

    def end(self):
        for node in self.started:
            if node.poll() is None:
                node.send_signal(signal.SIGTERM)
        for node in self.started:
            try:
                node.wait(timeout=10)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()


@pytest.fixture
def place(tmp_path):
    # The path of a socket must be short; pytest's folders are too long.
    import shutil
    import tempfile
    import pathlib
    folder = pathlib.Path(tempfile.mkdtemp(prefix="sallyport-cli-", dir="/tmp"))
    made = Place(folder)
    yield made
    made.end()
    shutil.rmtree(folder, ignore_errors=True)


def toml_blocks(path):
    """The ```toml blocks of a page."""
    with open(path, encoding="utf-8") as page:
        return re.findall(r"```toml\n(.*?)```", page.read(), re.S)


@pytest.fixture
def nodes(place):
    place.edge = place.start("edge")
    place.core = place.start("core")
    place.wait_linked()
    return place
