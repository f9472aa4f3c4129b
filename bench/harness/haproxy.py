"""HAProxy -> HAProxy: the cost of copying bytes. TLS in, TLS between, TLS out; one thread each.

The generator's own streams run through it from end to end (Direct TLS), so the same words are said as
through a gateway, and nobody in between reads them.
"""

import os

from lab.process import listens

from .world import INSIDE, WORLD, System

# Forwards nothing: for handshakes alone.
BARE = 5290
# As Sallyport prefers.
SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"
OUTER, INNER = "127.0.0.3", "127.0.0.4"


class HAProxy(System):
    title = "HAProxy -> HAProxy"
    transport = "direct"

    def __init__(self, world):
        super().__init__(world)
        self.folder = f"{world.folder}/haproxy"
        os.makedirs(self.folder, exist_ok=True)
        world.certificates(haproxy=["haproxy.bench.example"])
        with open(f"{self.folder}/both.pem", "w") as bundle:
            for end in ("crt", "key"):
                with open(f"{world.pki}/haproxy.{end}") as part:
                    bundle.write(part.read())
        # Inward: world -> outer:5269 -> inner:7400 -> inside. Outward the same way back.
        for name, at, rows in (("outer", OUTER, ((5269, f"{INNER}:7400"), (7400, WORLD))),
                               ("inner", INNER, ((5269, f"{OUTER}:7400"), (7400, INSIDE)))):
            with open(f"{self.folder}/{name}.cfg", "w") as file:
                file.write(self._config(at, rows))
            self.processes.append(world.process(
                f"haproxy-{name}", ["haproxy", "-db", "-f", f"{self.folder}/{name}.cfg"]))

    def ready(self):
        return all(listens(self.world.namespace, at, port) for at in (OUTER, INNER) for port in (5269, 7400))

    def words(self):
        return super().words() + ["--entry-in", f"{OUTER}:5269", "--entry-out", f"{INNER}:5269"]

    def stream_words(self):
        """Only a handshake in which the client shows its certificate: there is no stream to set up."""
        return super().words() + ["--transport", "tls", "--entry-in", f"{OUTER}:{BARE}"]

    def _config(self, at, rows):
        text = f"""\
global
  nbthread 1
  maxconn 9920
  ssl-default-bind-options ssl-min-ver TLSv1.2 no-tls-tickets
  ssl-default-bind-ciphersuites {SUITES}
  ssl-default-server-ciphersuites {SUITES}
defaults
  mode tcp
  timeout connect 5s
  timeout client 10m
  timeout server 10m
"""
        for port, target in rows:
            text += f"""\
listen p{port}
  bind {at}:{port} ssl crt {self.folder}/both.pem backlog 4096
  server next {target} ssl verify none
"""
        text += f"""\
listen bare
  bind {at}:{BARE} ssl crt {self.folder}/both.pem ca-file {self.world.pki}/ca.crt verify optional backlog 4096
"""
        return text
