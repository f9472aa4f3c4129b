"""Namespaces, wires and the router of a world.

The router's forwarding rules are the port table of the architecture and nothing
else: whatever is not in it is dropped, and every rule counts.
"""

import json
import os
import re
import shutil
import signal

from . import address
from .process import LabError, Process, run, wait_until

RULES_GATEWAY = [  # (name in the port table, nft match); order as in the table
    ("inner: core -> edge:7400", 'iifname "lan" oifname "dmz" ip saddr {core} ip daddr {edge} tcp dport 7400'),
    ("inner: edge:7400 -> core, replies only",
     'iifname "dmz" oifname "lan" ip saddr {edge} tcp sport 7400 ip daddr {core} ct state established'),
    ("outer: edge -> federated server:5269", 'iifname "dmz" oifname "world" ip saddr {edge} tcp dport 5269'),
    ("outer: federated server:5269 -> edge, replies only",
     'iifname "world" oifname "dmz" tcp sport 5269 ip daddr {edge} ct state established'),
    ("outer: federated server -> edge:5269", 'iifname "world" oifname "dmz" ip daddr {edge} tcp dport 5269'),
    ("outer: edge:5269 -> federated server, replies only",
     'iifname "dmz" oifname "world" ip saddr {edge} tcp sport 5269 ct state established'),
    ("outer: edge -> DNS resolver:53",
     'iifname "dmz" oifname "world" ip saddr {edge} ip daddr {dns} meta l4proto {{ tcp, udp }} th dport 53'),
    ("outer: DNS resolver:53 -> edge, replies only",
     'iifname "world" oifname "dmz" ip saddr {dns} meta l4proto {{ tcp, udp }} th sport 53 ip daddr {edge}'
     ' ct state established'),
    # The following counters must stay at zero, or are noise from outside; they are shown.
    ("inner: anything else from the DMZ", 'iifname "dmz" oifname "lan"'),
    ("inner: anything else from inside", 'iifname "lan" oifname "dmz"'),
    ("past the DMZ: inside <-> outside", 'iifname {{ "lan", "world" }} oifname {{ "lan", "world" }}'),
    ("outer: anything else", 'meta l4proto {{ tcp, udp, icmp, icmpv6 }}'),
]
DROPPED = 4  # the last rows drop

RULES_DIRECT = [  # no gateway: tests servers, names and certificates alone
    ("s2s", "tcp dport 5269"), ("s2s, replies", "tcp sport 5269 ct state established"),
    ("dns", "meta l4proto {{ tcp, udp }} th dport 53"),
    ("dns, replies", "meta l4proto {{ tcp, udp }} th sport 53 ct state established"),
    ("anything else", "meta l4proto {{ tcp, udp, icmp, icmpv6 }}"),
]


class Network:
    """The namespaces of one world; `prefix` keeps worlds apart."""

    def __init__(self, prefix, slow=""):
        self.prefix, self._slow = prefix, slow  # the host behind a slow wire (delay.py)
        self.hosts = []

    def namespace(self, host):
        return f"{self.prefix}-{host}"

    def build(self, hosts, direct=False):
        self._namespace("router")
        for segment, (_, gateway) in address.SEGMENTS.items():
            self._in("router", "ip", "link", "add", segment, "type", "bridge")
            self._in("router", "ip", "addr", "add", f"{gateway}/24", "dev", segment)
            self._in("router", "ip", "link", "set", segment, "up")
        # Hosts of one segment communicate without the router's rules, as through a switch.
        self._in("router", "sh", "-c",
                 "for f in /proc/sys/net/bridge/bridge-nf-call-*; do"
                 " [ ! -e $f ] || echo 0 > $f; done; echo 1 > /proc/sys/net/ipv4/ip_forward")
        self._in("router", "ip", "route", "add", "blackhole", address.BLACK_HOLE)
        self._rules(RULES_DIRECT if direct else RULES_GATEWAY, 1 if direct else DROPPED)
        for host in hosts:
            self._attach(host)

    def _namespace(self, host):
        name = self.namespace(host)
        run("ip", "netns", "add", name)
        self.hosts.append(host)
        self._in(host, "ip", "link", "set", "lo", "up")

    def _attach(self, host):
        segment, ip = address.HOSTS[host]
        self._namespace(host)
        if host == self._slow:
            self._slow_wire(host)
        else:
            run("ip", "link", "add", "eth0", "netns", self.namespace(host), "type", "veth",
                "peer", "name", f"p-{host}", "netns", self.namespace("router"))
        self._in("router", "ip", "link", "set", f"p-{host}", "master", segment, "up")
        self._in(host, "ip", "addr", "add", f"{ip}/24", "dev", "eth0")
        if host == "dns":
            self._in(host, "ip", "addr", "add", f"{address.AUTHORITY}/24", "dev", "eth0")
        self._in(host, "ip", "link", "set", "eth0", "up")
        self._in(host, "ip", "route", "add", "default", "via", address.SEGMENTS[segment][1])

    def _slow_wire(self, host):
        """Two devices as a veth pair, with delay.py between them. It ends with the processes of the world."""
        far = f"far-{host}"
        Process("delay", self.namespace("router"), ["/usr/bin/python3", os.path.join(os.path.dirname(__file__), "delay.py"),
                                                    f"p-{host}", far], os.devnull).start()
        wait_until("the slow wire", lambda: far in self._in("router", "ip", "link"), 10)
        self._in("router", "ip", "link", "set", far, "netns", self.namespace(host))
        self._in(host, "ip", "link", "set", far, "name", "eth0")

    def resolver(self, host, nameserver, hosts_lines=()):
        """Write resolv.conf and hosts of a host.

        Must be called before a process is started there: `ip netns exec` mounts them.
        """
        folder = f"/etc/netns/{self.namespace(host)}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/resolv.conf", "w") as file:
            file.write(f"nameserver {nameserver}\noptions timeout:2 attempts:2\n")
        with open(f"{folder}/hosts", "w") as file:
            file.write("127.0.0.1 localhost\n" + "".join(f"{line}\n" for line in hosts_lines))
        with open(f"{folder}/nsswitch.conf", "w") as file:
            file.write("passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n")

    def cut(self, host):
        """Disconnect a host: nothing passes, and no end is notified."""
        self._in("router", "ip", "link", "set", f"p-{host}", "nomaster")

    def mend(self, host):
        self._in("router", "ip", "link", "set", f"p-{host}", "master", address.HOSTS[host][0])

    def _in(self, host, *command, stdin=None):
        return run("ip", "netns", "exec", self.namespace(host), *command, stdin=stdin)

    def _rules(self, rules, dropped):
        ips = {host: entry[1] for host, entry in address.HOSTS.items()}
        ips["edge"] = f"{{ {ips['edge']}, {ips['edge2']} }}"
        lines = ["table inet port_table {", " chain forward {",
                 "  type filter hook forward priority 0; policy drop;"]
        for row, (comment, match) in enumerate(rules):
            verdict = "drop" if row >= len(rules) - dropped else "accept"
            lines.append(f'  {match.format(**ips)} counter {verdict} comment "{comment}"')
        lines += [" }", "}"]
        self._in("router", "nft", "-f", "-", stdin="\n".join(lines) + "\n")

    def counters(self):
        """[(rule's comment, verdict, packets)] as the router counted them."""
        listing = json.loads(self._in("router", "nft", "-j", "list", "table", "inet", "port_table"))
        rows = []
        for item in listing["nftables"]:
            rule = item.get("rule")
            if not rule:
                continue
            packets = next(e["counter"]["packets"] for e in rule["expr"] if "counter" in e)
            verdict = "drop" if any("drop" in e for e in rule["expr"]) else "accept"
            rows.append((rule["comment"], verdict, packets))
        return rows

    def pids(self):
        """Every process that runs in a namespace of this world."""
        found = []
        for host in self.hosts:
            out = run("ip", "netns", "pids", self.namespace(host), check=False)
            found += [int(word) for word in out.split() if word.isdigit()]
        return found

    def end(self):
        """Kill the processes in the namespaces and remove them."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        wait_until("the end of the world's processes", lambda: not self.pids(), 10)
        self.remove()

    def remove(self):
        for host in self.hosts:
            run("ip", "netns", "del", self.namespace(host), check=False)
            shutil.rmtree(f"/etc/netns/{self.namespace(host)}", ignore_errors=True)
        self.hosts = []


def existing(prefix):
    """A Network object for namespaces that an earlier process made (`demo --stop`)."""
    network = Network(prefix)
    for line in run("ip", "netns", "list").splitlines():
        name = line.split()[0] if line.split() else ""
        if name.startswith(prefix + "-"):
            network.hosts.append(name[len(prefix) + 1:])
    return network


def fresh_name(counter=[0]):
    """A world's name: contains the id of its process, for `sweep`."""
    counter[0] += 1
    return f"lab{os.getpid()}n{counter[0]}"


def sweep():
    """Remove the worlds of processes that ended without removing them (a test run that was killed)."""
    worlds = set(re.findall(r"^(lab(\d+)n\d+)-", run("ip", "netns", "list"), re.MULTILINE))
    for name, process in worlds:
        if not os.path.exists(f"/proc/{process}"):
            existing(name).end()


def require_root():
    if os.geteuid() != 0:
        raise LabError("network namespaces need root: run this as root")
