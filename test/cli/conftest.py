"""The program under test, and a place with files for both doors on loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def program():
    for path in (os.environ.get("SALLYPORT"), f"{ROOT}/build/release/sallyport", f"{ROOT}/build/debug/sallyport"):
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise RuntimeError("no sallyport binary: build it, or name it in SALLYPORT")


class Done:
    def __init__(self, done):
        self.exit, self.out, self.err = done.returncode, done.stdout, done.stderr

    @property
    def json(self):
        return json.loads(self.out)


def run(*words, **options):
    """The program with these words: its exit code and what it printed."""
    return Done(subprocess.run([program(), *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=30, **options))


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(what, test, timeout_s=10):
    """Until `test` gives something true, which is returned."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        got = test()
        if got:
            return got
        time.sleep(0.02)
    raise AssertionError(f"not within {timeout_s} s: {what}")


class Question:
    """Asked when it is made; the answer is read when it is wanted."""

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
        (self / "edge.toml").write_text(f"""\
[edge]
name      = "vcse.example.com"
s2s       = ["127.0.0.1:{self.ports['edge']}"]
traversal = ["127.0.0.1:{self.ports['link']}"]
control   = "run/edge.sock"
metrics   = "127.0.0.1:{self.ports['metrics']}"

[identity]
certificate = "edge.crt"
key         = "edge.key"

[[core]]
name = "core-1"
pins = ["{self.core_pin}"]

[resolver]
servers = ["127.0.0.1:9"]
{extra}""")

    def write_core(self, extra=""):
        (self / "core.toml").write_text(f"""\
[core]
name    = "core.corp.example"
s2s     = ["127.0.0.1:{self.ports['core']}"]
control = "run/core.sock"
state   = "state"
policy  = "policy.toml"

[identity]
certificate = "core.crt"
key         = "core.key"

[[edge]]
name    = "vcse.example.com"
address = "127.0.0.1:{self.ports['link']}"
pins    = ["{self.edge_pin}"]

[internal]
names = ["corp.example", "*.corp.example"]

[certificates]
directory = "certs"
{extra}""")

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
        door = subprocess.Popen([program(), role, "-c", str(self / f"{role}.toml"), *words], stdin=subprocess.DEVNULL,
                                stdout=log, stderr=log)
        log.close()
        self.started.append(door)
        wait_for(f"{role} answers\n{self.log(role)}",
                 lambda: self.ask(role, "status").exit == 0 or self._gone(role, door))
        return door

    def _gone(self, role, door):
        if door.poll() is not None:
            raise AssertionError(f"{role} ended with {door.returncode}:\n{self.log(role)}")

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
        for door in self.started:
            if door.poll() is None:
                door.send_signal(signal.SIGTERM)
        for door in self.started:
            try:
                door.wait(timeout=10)
            except subprocess.TimeoutExpired:
                door.kill()
                door.wait()


@pytest.fixture
def place(tmp_path):
    # A socket's path is short, pytest's folders are not.
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
