"""The names, addresses and segments of the hosts of a world.

Outside addresses are documentation prefixes (RFC 5737): an edge refuses private
addresses that come from DNS, and these are nobody's.
"""

LAN, DMZ, WORLD = "lan", "dmz", "world"

SEGMENTS = {  # segment -> (network prefix, router's address)
    LAN: ("10.0.0.0/24", "10.0.0.254"),
    DMZ: ("192.0.2.0/24", "192.0.2.254"),
    WORLD: ("198.51.100.0/24", "198.51.100.254"),
}

HOSTS = {  # host -> (segment, address)
    "inside": (LAN, "10.0.0.20"),
    "core": (LAN, "10.0.0.5"),
    "insidedns": (LAN, "10.0.0.1"),
    "edge": (DMZ, "192.0.2.10"),
    "edge2": (DMZ, "192.0.2.11"),  # in worlds with two edges
    "dns": (WORLD, "198.51.100.53"),
    "remote": (WORLD, "198.51.100.7"),
    "rooms": (WORLD, "198.51.100.8"),
}

BLACK_HOLE = "203.0.113.99"  # the router silently drops packets to it
AUTHORITY = "198.51.100.52"  # nsd, beside the recursive resolver on host dns

DOMAIN = "example.com"
ALIAS = "chatroom1.example.com"
NODE = "conference-2.corp.example"  # the name of the MUC service if the alias is mapped
CORE_NAME = "core.corp.example"
EDGE_NAME = "vcse.example.com"
EDGE2_NAME = "vcse2.example.com"

REMOTE = "federated.com"
REMOTE_ROOMS = "rooms.federated.com"
STRANGER = "partner.example"  # exists on the remote server, but is on no list at first
DEAD = "dead.example"  # SRV leads to BLACK_HOLE
UNKNOWN = "nowhere.example"  # NXDOMAIN


def ip(host):
    """Address of a host of the lab."""
    return HOSTS[host][1]
