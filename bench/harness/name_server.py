"""usage: name_server.py ADDRESS SUFFIX=ADDRESS...

A DNS server for the peers: everything at and below SUFFIX lives at ADDRESS. SRV leads to the name itself, port
5269; there is no IPv6, and nothing else exists.
"""
import socket
import struct
import sys

A, SRV = 1, 33


def question(packet):
    """(name, type, end of the question)."""
    labels, at = [], 12
    while packet[at]:
        labels.append(packet[at + 1:at + 1 + packet[at]].decode("ascii", "replace").lower())
        at += 1 + packet[at]
    return ".".join(labels), struct.unpack(">H", packet[at + 1:at + 3])[0], at + 5


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def answer(packet, zones):
    name, kind, end = question(packet)
    bare = name.removeprefix("_xmpp-server._tcp.")
    address = next((ip for suffix, ip in zones.items() if bare == suffix or bare.endswith("." + suffix)), None)
    data = None
    if address and kind == A and bare == name:
        data = socket.inet_aton(address)
    elif address and kind == SRV and bare != name:
        data = struct.pack(">HHH", 0, 0, 5269) + encode(bare)
    exists = address and (bare != name or not name.startswith("_"))
    head = packet[:2] + struct.pack(">HHHHH", 0x8580 | (0 if exists else 3), 1, 1 if data else 0, 0, 0)
    record = b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 3600, len(data)) + data if data else b""
    return head + packet[12:end] + record


def main(address, *rows):
    zones = dict(row.split("=") for row in rows)
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    while True:
        packet, peer = server.recvfrom(4096)
        try:
            server.sendto(answer(packet, zones), peer)
        except (IndexError, struct.error, ValueError):
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])
