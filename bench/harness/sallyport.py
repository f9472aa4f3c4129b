"""Sallyport, both doors, as a user would configure them."""

import os
import shutil

from lab.gateway import pin, program
from lab.process import listens, run

from .world import INSIDE, LOCAL, REMOTE, WORLD, System

EDGE, CORE = "127.0.0.1", "127.0.0.2"


class Sallyport(System):
    title = "Sallyport core + edge"

    def __init__(self, world, locals_count=8, remotes_count=8, rows=0, transport="starttls", shards=1):
        super().__init__(world)
        self.transport, self.shards = transport, shards
        self.folder = f"{world.folder}/sallyport"
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(f"{self.folder}/certs")
        os.makedirs(f"{self.folder}/state")
        self.binary = program()
        self.locals = [f"l{i}.{LOCAL}" for i in range(locals_count)]
        self.remotes = [f"r{i}.{REMOTE}" for i in range(remotes_count)]
        world.certificates(local=self.locals)
        for end in ("crt", "key"):
            shutil.copy(f"{world.pki}/local.{end}", f"{self.folder}/certs/local.{end}")
        for role in ("edge", "core"):
            self._identity(role)
        self._write("edge.toml", self._edge())
        self._write("core.toml", self._core())
        self.write_policy(rows)
        self.edge = world.process("sallyport-edge", [self.binary, "edge", "-c", f"{self.folder}/edge.toml"])
        self.core = world.process("sallyport-core", [self.binary, "core", "-c", f"{self.folder}/core.toml"])
        self.processes = [self.edge, self.core]

    def ready(self):
        where = self.world.namespace
        return listens(where, EDGE, 5269) and listens(where, CORE, 5269)

    def words(self):
        return super().words() + ["--entry-in", f"{EDGE}:5269", "--entry-out", f"{CORE}:5269"]

    def write_policy(self, rows):
        """policy.toml with that many rows beside those that are needed."""
        self._write("policy.toml", self._policy(rows))

    def ask(self, role, *words):
        return self.world.run(self.binary, *words, "--control", f"{self.folder}/{role}.sock", check=False)

    def _identity(self, role):
        stem = f"{self.folder}/{role}"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "30", "-subj", f"/CN={role}", "-keyout", f"{stem}.key", "-out", f"{stem}.crt")
        os.chmod(f"{stem}.key", 0o600)

    def _write(self, name, text):
        path = f"{self.folder}/{name}"
        with open(f"{path}.new", "w") as file:
            file.write(text)
        os.rename(f"{path}.new", path)

    def _edge(self):
        return f"""\
[edge]
name      = "edge.bench.example"
s2s       = ["{EDGE}:5269"]
traversal = ["{EDGE}:7400"]
control   = "{self.folder}/edge.sock"
shards    = {self.shards}

[identity]
certificate = "edge.crt"
key         = "edge.key"

[[core]]
name = "core"
pins = ["{pin(f'{self.folder}/core.crt')}"]

[resolver]
servers = ["127.0.0.53:53"]
"""

    def _core(self):
        return f"""\
[core]
name    = "core.bench.example"
s2s     = ["{CORE}:5269"]
control = "{self.folder}/core.sock"
shards  = {self.shards}
state   = "state"
policy  = "policy.toml"

[identity]
certificate = "core.crt"
key         = "core.key"

[[edge]]
name    = "edge.bench.example"
address = "{EDGE}:7400"
pins    = ["{pin(f'{self.folder}/edge.crt')}"]

[internal]
names     = ["corp.example", "*.corp.example"]
server_ca = "{self.world.pki}/ca.crt"

[certificates]
directory = "certs"
"""

    def _policy(self, rows):
        parts = [f'[federation]\nenabled = true\nprivacy = "allow-list"\ntrusted_ca = "{self.world.pki}/ca.crt"\n']
        parts += [f'[[domain]]\nname = "{name}"\nservers = ["{INSIDE}"]\n' for name in self.locals]
        parts += [f'[[static_route]]\ndomain = "{name}"\naddress = "{WORLD}"\n' for name in self.remotes]
        parts += [f'[[allow]]\ndomain = "*.{REMOTE}"\n']
        parts += [f'[[allow]]\ndomain = "p{i}.partners.example"\n' for i in range(rows)]
        return "\n".join(parts)
