"""What `deliver` does to a world while messages pass: each fault happens, and is repaired, in one call."""

import json
import os
import subprocess
import time

from . import process
from .gateway import Gateway

CUT_S = (3, 14)  # a lost link is noticed after 10 s
LOSS_S = (3, 6)
FULL_S = (20, 30)
LOSS_TABLE = """\
table inet lab_loss {
 chain forward {
  type filter hook forward priority -10; policy accept;
  numgen random mod 100 < 5 drop
 }
}
"""


def end_role(role, how):
    def strike(world, draw):
        down = draw.uniform(0, 1.5)
        how(world.gateway, role, down)
        return down
    return strike


def kill_server(host):
    def strike(world, draw):
        down = draw.uniform(0, 1.5)
        world.restart_server(host, down)
        return down
    return strike


def end_connections(host, port):
    """Both ends see their TCP connection end at once."""
    def strike(world, _):
        for match in (f"sport = {port}", f"dport = {port}"):
            process.run("ip", "netns", "exec", world.network.namespace(host), "ss", "-tK", "state", "established", match,
                        check=False)
        return 0
    return strike


def cut(host):
    """Nothing passes from or to the host, and no end is notified."""
    def strike(world, draw):
        down = draw.uniform(*CUT_S)
        world.network.cut(host)
        time.sleep(down)
        world.network.mend(host)
        return down
    return strike


def fill_disk(world, draw):
    """Messages that come at first can be sent on without the disk; behind the edge that is gone they would have to wait."""
    down = draw.uniform(*FULL_S)
    filler = f"{world.gateway.state}/filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:  # ENOSPC
                pass
    time.sleep(down / 6)
    world.network.cut("edge")
    time.sleep(down * 4 / 6)
    world.network.mend("edge")
    time.sleep(down / 6)
    os.remove(filler)
    return down


def lose_packets(world, draw):
    """5 % of what the router passes on is lost, and 200 ms of delay added where the kernel has netem."""
    down = draw.uniform(*LOSS_S)
    router = ("ip", "netns", "exec", world.network.namespace("router"))
    process.run(*router, "nft", "-f", "-", stdin=LOSS_TABLE)
    delayed = subprocess.run([*router, "tc", "qdisc", "add", "dev", "p-remote", "root", "netem", "delay", "200ms"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    time.sleep(down)
    process.run(*router, "nft", "delete", "table", "inet", "lab_loss")
    if delayed:
        process.run(*router, "tc", "qdisc", "del", "dev", "p-remote", "root")
    return down


FAULTS = {  # name -> (what happens, function of a world and a random.Random that returns its seconds)
    "edge": ("kill -9 of the edge, and restart", end_role("edge", Gateway.restart)),
    "edge2": ("the same of the second edge (--edges 2)", end_role("edge2", Gateway.restart)),
    "drain": ("SIGTERM of the edge, and start when it has drained and ended", end_role("edge", Gateway.drain)),
    "drain2": ("the same of the second edge (--edges 2)", end_role("edge2", Gateway.drain)),
    "core": ("kill -9 of the core, and restart", end_role("core", Gateway.restart)),
    "remote": ("kill -9 of the remote server, and restart", kill_server("remote")),
    "inside": ("kill -9 of the internal server, and restart", kill_server("inside")),
    "link": ("end of the TCP connection of the link", end_connections("edge", 7400)),
    "s2s": ("end of the public s2s TCP connections", end_connections("edge", 5269)),
    "inner-s2s": ("end of the internal s2s TCP connections", end_connections("core", 5269)),
    "cut": ("the edge is disconnected on both sides for 3 to 14 s", cut("edge")),
    "disk": ("the disk of the core is full for 20 to 30 s, and the edge is disconnected for two thirds of that", fill_disk),
    "loss": ("5 % of the packets through the router are lost for 3 to 6 s, with 200 ms of delay if the kernel can",
             lose_packets),
}


class Counters:
    """The counters of both nodes, added up over restarts."""

    NAMES = ("sent_again", "uncertain", "refused")

    def __init__(self, gateway):
        self._gateway = gateway
        self._ended = {role: dict.fromkeys(self.NAMES, 0) for role in gateway.nodes}
        self._start = self._ask_both()

    def _ask(self, role):
        try:
            stanzas = json.loads(self._gateway.ask(role, "status", "--json"))["stanzas"]
        except (process.LabError, ValueError, subprocess.TimeoutExpired):
            return None
        return {name: stanzas[name] for name in self.NAMES}

    def waiting(self):
        """Whether a node says that stanzas wait in it."""
        return any(json.loads(self._gateway.ask(role, "status", "--json"))["waiting"]["stanzas"]
                   for role in self._ended)

    def _ask_both(self):
        return {role: self._ask(role) or dict.fromkeys(self.NAMES, 0) for role in self._ended}

    def before_end(self, role):
        """Keeps what the node has counted. What it counts between this and its end is lost."""
        now = self._ask(role)
        for name in self.NAMES if now else ():
            self._ended[role][name] += now[name]

    def total(self):
        now = self._ask_both()
        return {role: {name: self._ended[role][name] + now[role][name] - self._start[role][name]
                       for name in self.NAMES} for role in now}
