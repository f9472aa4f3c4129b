"""One world: lan, dmz and world with real servers, started in seconds and removed completely."""

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass

from . import address as at
from . import dns, pki, process
from .client import Agent, Client
from .ejabberd import Ejabberd
from .gateway import Gateway
from .jabberd2 import Jabberd2
from .net import Network, require_root
from .process import LabError, wait_until
from .prosody import Prosody
from .room import accounts
from .server import Site

SERVERS = {"prosody": Prosody, "ejabberd": Ejabberd, "jabberd2": Jabberd2}

EXTERNAL = "EXTERNAL"  # certificates both ways, SASL EXTERNAL
DIALBACK = "dialback"  # the remote's certificate is self-signed
DIALBACK_VALID = "dialback, valid certificate"  # the remote speaks dialback only, with a good certificate

ALICE, BOB, CAROL = f"alice@{at.DOMAIN}", f"bob@{at.REMOTE}", f"carol@{at.STRANGER}"
READY_S = 120  # of a server on a machine that is busy; ten are usual
PASSWORDS = {jid: jid.split("@")[0] + "-lab" for jid in (ALICE, BOB, CAROL)}


@dataclass
class Options:
    """The options of a world."""

    inside: str = "prosody"
    outside: str = "ejabberd"
    proof: str = EXTERNAL
    mapped: bool = False  # the alias leads to a chat node of another name
    direct: bool = False  # no gateway: the servers federate through the router
    trust: str = "minted"  # how the internal server authenticates the core
    server_ca: bool = True  # whether the core authenticates the internal server by certificate
    eku: str = pki.EKU_SERVER  # of the public certificates
    trace: bool = True  # servers log every stanza
    shards: int = 1  # of each node
    edges: int = 1  # of the core; two at most
    smacks: tuple = ("remote",)  # hosts whose Prosody has stream management between servers
    durable: bool = False  # messages wait on the disk of the core
    state_mib: int = 0  # that disk is a small one of its own
    occupants: tuple = (0, 0)  # accounts for the occupants of a room: inside, remote (room.py)
    slow: bool = False  # the remote server is behind a wire that delays and loses packets (delay.py)


class World:
    """Use as: with World("name", Options(...)) as world: ..."""

    def __init__(self, name, options, folder=None):
        require_root()
        self.name, self.options = name, options
        self.folder = folder or tempfile.mkdtemp(prefix=f"lab-{name}-")
        self.logs = f"{self.folder}/log"
        os.makedirs(self.logs, exist_ok=True)
        self.network = Network(name, "remote" if options.slow else "")
        self.gateway = None
        self._processes, self._servers, self._agents, self._clients = [], {}, {}, {}

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.report()
            self.stop()
            raise

    def __exit__(self, *_):
        self.stop()

    # --- up and down ---

    def start(self):
        split = self.options.outside == "jabberd2"  # its rooms live on a Prosody beside it
        hosts = [h for h in at.HOSTS if (h != "rooms" or split) and (h != "edge2" or self.options.edges > 1)
                 and not (self.options.direct and h in ("edge", "core"))]
        self.network.build(hosts, direct=self.options.direct)
        self.public_ca = pki.Authority(f"{self.folder}/pki")
        self.servers_ca = pki.Authority(f"{self.folder}/servers-pki", "Lab CA of the internal servers")
        self._dns("rooms" if split else "remote")
        if not self.options.direct:
            self._gateway()
        for host in ("inside", "remote"):  # slixmpp loads slowly
            self._agents[host] = Agent(self.network.namespace(host), f"{self.logs}/clients-{host}.log")
        self._outside(split)
        self._inside()
        if self.gateway:
            self.gateway.wait_ready()
        for host, server in self._servers.items():
            wait_until(f"{server.kind} on {host}", server.ready, READY_S)
        return self

    def stop(self, keep_folder=False):
        for agent in self._agents.values():
            agent.stop()
        self.network.end()
        if self.gateway:
            self.gateway.end()
        if not keep_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def report(self, lines=25):
        """Print the tail of every log."""
        for name in sorted(os.listdir(self.logs)):
            print(f"\n--- {self.name}: {name}\n{process.tail(f'{self.logs}/{name}', lines)}", flush=True)

    # --- its parts ---

    def client(self, jid):
        """The logged-in client of an account; made when first asked for."""
        if jid not in self._clients:
            host = "inside" if jid.endswith("@" + at.DOMAIN) else "remote"
            self._clients[jid] = Client(self._agents[host], jid, PASSWORDS[jid], at.ip(host)).connect()
        return self._clients[jid]

    def server(self, host):
        return self._servers[host]

    def restart_remote(self):
        self.restart_server("remote")

    def restart_server(self, host, down_s=0):
        """kill -9 and start of a server; its clients log in again."""
        with self.without_server(host):
            time.sleep(down_s)

    @contextlib.contextmanager
    def without_server(self, host):
        """The same; what stands in the block happens while it is dead."""
        server = self._servers[host]
        server.kill()
        yield
        server.start()
        wait_until(f"{server.kind} again", server.ready, READY_S)
        for jid, client in self._clients.items():
            if jid.endswith("@" + at.DOMAIN) == (host == "inside"):
                client.connect(60)

    def _dns(self, rooms_host):
        zones = dns.outside_zones(self.options.direct, self.options.edges)
        dns.add_rooms(zones, rooms_host)
        for process_ in (
                dns.nsd("nsd", self.network, "dns", at.AUTHORITY, zones,
                        f"{self.folder}/nsd", f"{self.logs}/nsd.log"),
                dns.unbound("unbound", self.network, at.ip("dns"), at.AUTHORITY,
                            f"{self.folder}/unbound", f"{self.logs}/unbound.log"),
                dns.nsd("inside dns", self.network, "insidedns", at.ip("insidedns"), dns.inside_zones(),
                        f"{self.folder}/insidedns", f"{self.logs}/insidedns.log")):
            process_.start()
            self._processes.append(process_)

    def _gateway(self):
        os.makedirs(f"{self.folder}/gw", exist_ok=True)
        self.gateway = Gateway(self.options, self.network, f"{self.folder}/gw", self.logs,
                               self.public_ca, self.servers_ca)
        self.gateway.start()
        # The internal server needs the CA that the core makes when it starts for the first time.
        wait_until("the core's internal CA", lambda: os.path.exists(self.gateway.internal_ca)
                   or not self.gateway.core.alive(), 10)
        if not self.gateway.core.alive():
            raise LabError(f"the core ended:\n{process.tail(self.gateway.core.log)}")

    def _outside(self, split):
        names = [at.REMOTE, at.STRANGER] + ([] if split else [at.REMOTE_ROOMS])
        options, external = self.options, self.options.proof == EXTERNAL
        stem = f"{self.folder}/remote"
        pair = (pki.self_signed(stem, names) if options.proof == DIALBACK
                else self.public_ca.issue(stem, names, eku=options.eku))
        site = dict(trusted_ca=self.public_ca.certificate if external else "",
                    demand_certificate=external, external=external, trace=options.trace)
        users = {j: PASSWORDS[j] for j in (BOB, CAROL)} | accounts("remote", options.occupants[1])
        self._server("remote", options.outside, Site(
            host="remote", domains=[at.REMOTE, at.STRANGER], accounts=users,
            certificate=pair[0], key=pair[1], rooms="" if split else at.REMOTE_ROOMS,
            smacks="remote" in options.smacks, **site))
        if split:
            stem = f"{self.folder}/rooms"
            pair = (pki.self_signed(stem, [at.REMOTE_ROOMS]) if options.proof == DIALBACK
                    else self.public_ca.issue(stem, [at.REMOTE_ROOMS], eku=options.eku))
            self._server("rooms", "prosody", Site(
                host="rooms", domains=[f"muc.{at.REMOTE}"], accounts={}, certificate=pair[0], key=pair[1],
                rooms=at.REMOTE_ROOMS, **site))

    def _inside(self):
        options = self.options
        rooms = at.NODE if options.mapped else at.ALIAS
        authority = self.public_ca if options.direct else self.servers_ca
        pair = authority.issue(f"{self.folder}/inside", [at.DOMAIN, rooms], eku=pki.EKU_BOTH)
        if options.direct:
            external = options.proof == EXTERNAL
            trusted = self.public_ca.certificate if external else ""
            nameserver = at.ip("dns")
        else:
            external = options.trust == "minted"
            trusted = self.gateway.internal_ca if external else ""
            nameserver = at.ip("core")
        users = {ALICE: PASSWORDS[ALICE]} | accounts("inside", options.occupants[0])
        self._server("inside", options.inside, Site(
            host="inside", domains=[at.DOMAIN], accounts=users, certificate=pair[0], key=pair[1],
            rooms=rooms, trusted_ca=trusted, demand_certificate=external, external=external,
            nameserver=nameserver, trace=options.trace, smacks="inside" in options.smacks))

    def _server(self, host, kind, site):
        server = SERVERS[kind](site, self.network, f"{self.folder}/{host}-{kind}", f"{self.logs}/{host}-{kind}.log")
        os.makedirs(server.folder, exist_ok=True)
        server.start()
        self._servers[host] = server
