"""DNS of a world: the authority (nsd), a recursive resolver (unbound) and internal DNS.

Zones are plain lists of lines; the root zone is the lab's own, so an unknown name
gets an honest NXDOMAIN. Nothing is signed.
"""

import os
import shutil

from . import address as at
from .process import Process

SOA = "@ 60 IN SOA ns.lab. hostmaster.lab. 1 3600 600 86400 30\n@ 60 IN NS ns.lab.\n"


def outside_zones(direct=False, edges=1):
    """The public zones. direct: SRV records of local domains name the internal server itself.

    With two edges, servers connect to the second one unless it does not answer.
    """
    edge = at.ip("inside") if direct else at.ip("edge")
    zones = {
        ".": [f"ns.lab. 60 IN A {at.AUTHORITY}"],
        at.DOMAIN: [
            f"_xmpp-server._tcp.{at.DOMAIN}. 60 IN SRV 0 0 5269 {at.EDGE_NAME}.",
            f"_xmpp-server._tcp.{at.ALIAS}. 60 IN SRV 0 0 5269 {at.EDGE_NAME}.",
            f"{at.EDGE_NAME}. 60 IN A {edge}",
        ],
        at.DEAD: [f"_xmpp-server._tcp.{at.DEAD}. 60 IN SRV 0 0 5269 xmpp.{at.DEAD}.",
                  f"xmpp.{at.DEAD}. 60 IN A {at.BLACK_HOLE}"],
    }
    if edges > 1:
        zones[at.DOMAIN] = [line.replace("SRV 0 0", "SRV 10 0") for line in zones[at.DOMAIN]] + [
            f"_xmpp-server._tcp.{at.DOMAIN}. 60 IN SRV 0 0 5269 {at.EDGE2_NAME}.",
            f"_xmpp-server._tcp.{at.ALIAS}. 60 IN SRV 0 0 5269 {at.EDGE2_NAME}.",
            f"{at.EDGE2_NAME}. 60 IN A {at.ip('edge2')}",
        ]
    for domain, host in ((at.REMOTE, "remote"), (at.STRANGER, "remote")):
        zones[domain] = [f"_xmpp-server._tcp.{domain}. 60 IN SRV 0 0 5269 xmpp.{domain}.",
                         f"xmpp.{domain}. 60 IN A {at.ip(host)}"]
    return zones


def add_rooms(zones, host):
    """rooms.federated.com is served by `host`."""
    zones[at.REMOTE] += [
        f"_xmpp-server._tcp.{at.REMOTE_ROOMS}. 60 IN SRV 0 0 5269 muc.{at.REMOTE}.",
        f"muc.{at.REMOTE}. 60 IN A {at.ip(host)}"]


def inside_zones():
    """The internal zones: only the names of the organization."""
    return {
        "corp.example": [f"{at.CORE_NAME}. 60 IN A {at.ip('core')}",
                         f"xmpp.corp.example. 60 IN A {at.ip('inside')}",
                         f"_xmpp-server._tcp.{at.NODE}. 60 IN SRV 0 0 5269 xmpp.corp.example."],
        at.DOMAIN: [f"_xmpp-server._tcp.{at.DOMAIN}. 60 IN SRV 0 0 5269 xmpp.corp.example.",
                    f"_xmpp-server._tcp.{at.ALIAS}. 60 IN SRV 0 0 5269 xmpp.corp.example."],
        ".": ["ns.lab. 60 IN A 10.0.0.1"],
    }


def nsd(name, network, host, listen, zones, folder, log):
    """An authoritative server with these zones; a Process, not started."""
    os.makedirs(folder, exist_ok=True)
    config = [f"server:\n  ip-address: {listen}\n  port: 53\n  username: \"\"\n"
              f"  zonesdir: \"{folder}\"\n  pidfile: \"{folder}/nsd.pid\"\n  database: \"\"\n"
              f"  xfrdfile: \"{folder}/xfrd.state\"\n  zonelistfile: \"{folder}/zone.list\"\n"
              f"  cookie-secret-file: \"{folder}/cookies\"\n"
              "  server-count: 1\n  verbosity: 1\n  rrl-ratelimit: 0\n"
              "remote-control:\n  control-enable: no\n"]
    for zone, lines in zones.items():
        path = f"{folder}/{zone.strip('.') or 'root'}.zone"
        origin = zone if zone.endswith(".") else f"{zone}."
        with open(path, "w") as file:
            file.write(f"$ORIGIN {origin}\n{SOA}" + "".join(f"{line}\n" for line in lines))
        config.append(f"zone:\n  name: \"{zone}\"\n  zonefile: \"{path}\"\n")
    path = f"{folder}/nsd.conf"
    with open(path, "w") as file:
        file.write("".join(config))
    return Process(name, network.namespace(host), ["nsd", "-d", "-c", path], log)


def unbound(name, network, listen, authority, folder, log):
    """A recursive resolver with the lab's root."""
    os.makedirs(folder, exist_ok=True)
    path = f"{folder}/unbound.conf"
    with open(path, "w") as file:
        file.write(f"""server:
  interface: {listen}
  access-control: 0.0.0.0/0 allow
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/unbound.pid"
  use-syslog: no
  logfile: ""
  do-ip6: no
  num-threads: 1
  module-config: "iterator"
  local-zone: "example." nodefault
  local-zone: "test." nodefault
  cache-max-negative-ttl: 5
stub-zone:
  name: "."
  stub-addr: {authority}
remote-control:
  control-enable: no
""")
    # Debian's AppArmor profile binds /usr/sbin/unbound to its own folders; a copy is free of it.
    program = shutil.copy(shutil.which("unbound", path="/usr/sbin:/usr/bin"), f"{folder}/unbound")
    return Process(name, network.namespace("dns"), [program, "-d", "-c", path], log)
