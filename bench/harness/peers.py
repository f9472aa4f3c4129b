"""The alternative to Sallyport: a pair of servers with s2s between them.

The generator is an external component (XEP-0114, plain TCP on loopback) of each server, one for each domain:
kinder to the servers than clients with TLS or a second s2s hop would be. A stanza goes in at one server,
crosses to the other over s2s with STARTTLS and EXTERNAL, and comes out. Idle and set-up streams are real s2s,
from distinct domains, to the server that stands inside.
"""

import grp
import os
import pwd
import shutil
import sys

from lab.process import listens

from .world import LOCAL, NAME_SERVER, REMOTE, ROOT, System, tree_of

SECRET = "bench"


class Pair(System):
    """`inside` has the local domains, `outside` the remote ones."""

    transport = "component"
    window = 54  # neither is faster with more
    inside = outside = None  # addresses
    user = None

    def __init__(self, world, pairs=8):
        super().__init__(world)
        self.folder = f"{world.folder}/{type(self).__name__.lower()}"
        shutil.rmtree(self.folder, ignore_errors=True)
        self.names = world.process(
            f"{type(self).__name__.lower()}-dns",
            [sys.executable, f"{ROOT}/bench/harness/name_server.py", NAME_SERVER,
             f"{LOCAL}={self.inside}", f"{REMOTE}={self.outside}"])
        self.servers = []
        for side, address, suffix, letter in (("inside", self.inside, LOCAL, "l"), ("outside", self.outside, REMOTE, "r")):
            folder = f"{self.folder}/{side}"
            os.makedirs(folder)
            host = f"{side}-host.{suffix}"
            components = [f"{letter}{i}.{suffix}" for i in range(pairs)]
            world.certificates(**{side: [host, *components]})
            with open(f"{folder}/both.pem", "w") as bundle:
                for end in ("crt", "key"):
                    shutil.copy(f"{world.pki}/{side}.{end}", f"{folder}/server.{end}")
                    with open(f"{folder}/server.{end}") as part:
                        bundle.write(part.read())
            shutil.copy(f"{world.pki}/ca.crt", f"{folder}/ca.crt")
            self.servers.append(self.server(side, folder, address, host, components))
            self._give(folder)
        self.processes = [self.names, *self.servers]

    def server(self, side, folder, address, host, components):
        """Writes its configuration; the Process."""
        raise NotImplementedError

    def ready(self):
        return all(listens(self.world.namespace, at, port)
                   for at in (self.inside, self.outside) for port in (5269, 5347))

    def pids(self):
        return [pid for server in self.servers for pid in tree_of(server.pid)]

    def words(self):
        # An inward stanza enters at the server of the remote domains.
        return super().words() + ["--entry-in", f"{self.outside}:5347", "--entry-out", f"{self.inside}:5347",
                                  "--secret", SECRET]

    def stream_words(self):
        """For s2s streams to the internal server."""
        words = System.words(self)
        words[words.index("--transport") + 1] = "starttls"
        return words + ["--entry-in", f"{self.inside}:5269", "--to", f"inside-host.{LOCAL}"]

    def _give(self, folder):
        if self.user is None:
            return
        user, group = pwd.getpwnam(self.user).pw_uid, grp.getgrnam(self.user).gr_gid
        for place, _, files in os.walk(folder):
            for each in [place, *(os.path.join(place, name) for name in files)]:
                os.chown(each, user, group)


class Prosody(Pair):
    title = "Prosody -> Prosody, generational GC"
    inside, outside = "127.0.0.11", "127.0.0.12"
    collector = '{ mode = "generational" }'

    def server(self, side, folder, address, host, components):
        os.makedirs(f"{folder}/data")
        text = f"""\
run_as_root = true
daemonize = false
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ warn = "*console" }}
gc = {self.collector}
network_backend = "epoll"
network_settings = {{ nagle = false; tcp_backlog = 1024 }}
interfaces = {{ "{address}" }}
component_interfaces = {{ "{address}" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
s2s_ports = {{ 5269 }}
component_ports = {{ 5347 }}
modules_enabled = {{ "tls", "dialback", "saslauth", "s2s", "s2s_auth_certs" }}
modules_disabled = {{ "c2s", "http", "limits", "offline" }}
s2s_require_encryption = true
s2s_secure_auth = true
unbound = {{ resolvconf = false, hoststxt = false, forward = {{ "{NAME_SERVER}@53" }} }}
ssl = {{ certificate = "{folder}/server.crt"; key = "{folder}/server.key"; cafile = "{folder}/ca.crt" }}
VirtualHost "{host}"
"""
        text += "".join(f'Component "{name}"\n  component_secret = "{SECRET}"\n' for name in components)
        with open(f"{folder}/prosody.cfg.lua", "w") as file:
            file.write(text)
        return self.world.process(f"prosody-{side}", ["prosody", "--config", f"{folder}/prosody.cfg.lua", "-F"])


class ProsodyStock(Prosody):
    title = "Prosody -> Prosody, stock GC"
    collector = "{}"


class Ejabberd(Pair):
    title = "ejabberd -> ejabberd"
    inside, outside = "127.0.0.13", "127.0.0.14"

    def words(self):
        return super().words() + ["--components", "one"]

    def server(self, side, folder, address, host, components):
        os.makedirs(f"{folder}/spool")
        hosts = "".join(f'      "{name}": {{password: "{SECRET}"}}\n' for name in components)
        with open(f"{folder}/ejabberd.yml", "w") as file:
            file.write(f"""\
hosts:
  - "{host}"
loglevel: warning
certfiles:
  - "{folder}/both.pem"
ca_file: "{folder}/ca.crt"
s2s_cafile: "{folder}/ca.crt"
s2s_use_starttls: required
shaper: {{}}
s2s_access: all
listen:
  - {{port: 5269, ip: "{address}", module: ejabberd_s2s_in, max_stanza_size: 524288, backlog: 1024}}
  - port: 5347
    ip: "{address}"
    module: ejabberd_service
    access: all
    backlog: 128
    hosts:
{hosts}modules:
  mod_s2s_dialback: {{}}
""")
        with open(f"{folder}/inetrc", "w") as file:
            file.write('{lookup,["file","native"]}.\n{resolv_conf,""}.\n'
                       f"{{nameserver,{{{NAME_SERVER.replace('.', ',')}}},53}}.\n")
        command = ["erl", "-noinput", "+S", "2:2", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none",
                   "-mnesia", "dir", f'"{folder}/spool"', "-s", "ejabberd"]
        return self.world.process(f"ejabberd-{side}", command, cwd=folder, env={
            "EJABBERD_CONFIG_PATH": f"{folder}/ejabberd.yml", "EJABBERD_LOG_PATH": f"{folder}/ejabberd.log",
            "ERL_INETRC": f"{folder}/inetrc", "HOME": folder, "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
            "ERL_CRASH_DUMP": f"{folder}/crash.dump"})
