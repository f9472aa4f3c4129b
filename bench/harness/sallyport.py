"""Sallyport, both nodes, as a user would configure them."""

import os
import shutil

from lab import config
from lab.gateway import pin, program
from lab.process import listens

from .world import INSIDE, LOCAL, REMOTE, WORLD, System

EDGE, CORE = "127.0.0.1", "127.0.0.2"


class Sallyport(System):
    title = "Sallyport core + edge"

    def __init__(self, world, locals_count=8, remotes_count=8, rows=0, transport="starttls", shards=1,
                 delivery="memory"):
        super().__init__(world)
        self.transport, self.shards, self.delivery = transport, shards, delivery
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
            config.make_identity(f"{self.folder}/{role}", role)
        config.replace(f"{self.folder}/edge.toml", self._edge())
        config.replace(f"{self.folder}/core.toml", self._core())
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
        """Write policy.toml with that many rows in addition to the needed ones."""
        config.replace(f"{self.folder}/policy.toml", self._policy(rows))

    def ask(self, role, *words):
        return self.world.run(self.binary, *words, "--control", f"{self.folder}/{role}.sock", check=False)

    def _edge(self):
        return config.edge_toml(
            name="edge.bench.example", s2s=f"{EDGE}:5269", traversal=f"{EDGE}:7400", control=f"{self.folder}/edge.sock",
            shards=self.shards, core_name="core", core_pin=pin(f"{self.folder}/core.crt"), resolver="127.0.0.53:53")

    def _core(self):
        return config.core_toml(
            name="core.bench.example", s2s=f"{CORE}:5269", control=f"{self.folder}/core.sock", shards=self.shards,
            edge_name="edge.bench.example", edge_address=f"{EDGE}:7400", edge_pin=pin(f"{self.folder}/edge.crt"),
            server_ca=f"{self.world.pki}/ca.crt")

    def _policy(self, rows):
        parts = [f'[federation]\nenabled = true\nprivacy = "allow-list"\ntrusted_ca = "{self.world.pki}/ca.crt"\n'
                 f'delivery = "{self.delivery}"\n']
        parts += [f'[[domain]]\nname = "{name}"\nservers = ["{INSIDE}"]\n' for name in self.locals]
        parts += [f'[[static_route]]\ndomain = "{name}"\naddress = "{WORLD}"\n' for name in self.remotes]
        parts += [f'[[allow]]\ndomain = "*.{REMOTE}"\n']
        parts += [f'[[allow]]\ndomain = "p{i}.partners.example"\n' for i in range(rows)]
        return "\n".join(parts)
