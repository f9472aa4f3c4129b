"""The gateway in a world: an edge in the DMZ, a core in the internal network, their files and commands."""

import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time

from . import address as at
from . import config, process
from .process import LabError, run

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def program():
    """The binary under test: $SALLYPORT, else what the release or debug preset built."""
    for path in (os.environ.get("SALLYPORT"), f"{ROOT}/build/release/sallyport", f"{ROOT}/build/debug/sallyport"):
        if path and os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise LabError("there is no sallyport binary: build it (cmake --preset release && "
                   "cmake --build --preset release) or name it in SALLYPORT")


def pin(certificate):
    """sha256:<base64 of SHA-256 of the SubjectPublicKeyInfo> of a certificate file."""
    public = run("openssl", "x509", "-in", certificate, "-noout", "-pubkey")
    der = base64.b64decode("".join(line for line in public.splitlines() if not line.startswith("-")))
    return "sha256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Gateway:
    """A core and its edges. Folder layout: edge/, edge2/ and core/, each with its configuration, and run/."""

    def __init__(self, options, network, folder, logs, public_ca, servers_ca):
        self.options, self.network, self.folder = options, network, folder
        self._public_ca = public_ca
        self.binary = program()
        self.edges = ("edge", "edge2")[:options.edges]
        for name in (*self.edges, "core/certs", "core/state", "run"):
            os.makedirs(f"{folder}/{name}", exist_ok=True)
        self.state = f"{folder}/core/state"
        if options.state_mib:
            run("mount", "-t", "tmpfs", "-o", f"size={options.state_mib}m,mode=700", "tmpfs", self.state)
        shutil.copy(servers_ca.certificate, f"{folder}/core/servers-ca.crt")
        shutil.copy(public_ca.certificate, f"{folder}/core/public-ca.crt")
        public_ca.issue(f"{folder}/core/certs/example.com", [at.DOMAIN, at.ALIAS], eku=options.eku)
        for name in self.edges:
            config.make_identity(f"{folder}/{name}/edge", name)
        config.make_identity(f"{folder}/core/core", "core")
        for name in self.edges:
            config.replace(f"{self.folder}/{name}/edge.toml", self._edge(name))
        config.replace(f"{self.folder}/core/core.toml", self._core())
        config.replace(f"{self.folder}/core/policy.toml", self.policy())
        self.nodes = {name: self._node(name, "edge", logs) for name in self.edges}
        self.nodes["core"] = self._node("core", "core", logs)
        self.edge, self.core = self.nodes["edge"], self.nodes["core"]
        self.logs = [node.log for node in self.nodes.values()]
        self.internal_ca = f"{folder}/core/state/internal-ca.crt"

    def start(self):
        for node in self.nodes.values():
            node.start()

    def end(self):
        """Unmounts the core's disk where it has one of its own. The nodes have ended."""
        if self.options.state_mib:
            run("umount", "--lazy", self.state, check=False)

    def wait_ready(self, timeout_s=20):
        """Wait until the edge listens: it is then linked and has the policy."""
        def open_for_all():
            for node in self.nodes.values():
                if not node.alive():
                    raise LabError(f"{node.name} ended with {node.exit_code()}:\n{process.tail(node.log)}")
            return all(process.listens(node.namespace, at.ip(name), 5269) for name, node in self.nodes.items())
        process.wait_until("edges and core open for servers", open_for_all, timeout_s)

    def write_policy(self, **changes):
        """Replace policy.toml, with other options (see policy)."""
        config.replace(f"{self.folder}/core/policy.toml", self.policy(**changes))

    def ask(self, role, *words, check=True, timeout_s=20):
        """Run a command of the program with a role's socket; returns its output."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.network.namespace(role), self.binary, *words,
             "--control", f"{self.folder}/run/{role}.sock"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s)
        if check and done.returncode != 0:
            raise LabError(f"sallyport {' '.join(words)} ({role}): exit {done.returncode}\n{done.stdout}")
        return done.stdout

    def ask_json(self, role, *words):
        return json.loads(self.ask(role, *words, "--json"))

    def reload(self):
        self.ask("core", "reload")

    def restart(self, role, down_s=0):
        """kill -9, then start with the same arguments."""
        self.nodes[role].kill(signal.SIGKILL)
        time.sleep(down_s)
        self.nodes[role].start()

    def drain(self, role, down_s=0, within_s=60):
        """SIGTERM, on which the node drains; start when it has ended, and wait until it serves.

        LabError where it has not ended within the time.
        """
        node = self.nodes[role]
        os.kill(node.pid, signal.SIGTERM)
        process.wait_until(f"the end of {role}, which drains", lambda: not node.alive(), within_s)
        time.sleep(down_s)
        node.start()
        self.wait_ready()

    def policy(self, allow=(at.REMOTE, at.REMOTE_ROOMS, at.DEAD, at.UNKNOWN), extra=""):
        """The text of policy.toml for these options."""
        server = f"{at.ip('inside')}:5269"
        node = f'node    = "{at.NODE}"\n' if self.options.mapped else ""
        durable = 'delivery     = "durable"\n' if self.options.durable else ""
        rows = [f"""\
[federation]
enabled      = true
privacy      = "allow-list"
authenticate = "certificate"
trusted_ca   = "public-ca.crt"
{durable}
[[domain]]
name    = "{at.DOMAIN}"
servers = ["{server}"]

[[chat_node]]
alias   = "{at.ALIAS}"
{node}servers = ["{server}"]
"""]
        rows += [f'[[allow]]\ndomain  = "{domain}"\n' for domain in allow]
        if self.options.proof == "dialback":
            rows += [f'[[peer]]\ndomain       = "{domain}"\nauthenticate = "dialback"\n'
                     for domain in (at.REMOTE, at.REMOTE_ROOMS, at.STRANGER)]
        return "\n".join(rows) + extra

    def _node(self, name, role, logs):
        return process.Process(
            name, self.network.namespace(name),
            [self.binary, role, "-c", f"{self.folder}/{name}/{role}.toml"], f"{logs}/{name}.log")

    def _edge(self, name):
        return config.edge_toml(
            name={"edge": at.EDGE_NAME, "edge2": at.EDGE2_NAME}[name], s2s=f"{at.ip(name)}:5269",
            traversal=f"{at.ip(name)}:7400", control=f"{self.folder}/run/{name}.sock", shards=self.options.shards,
            core_pin=pin(f"{self.folder}/core/core.crt"), core_domains=(at.DOMAIN, f"*.{at.DOMAIN}"),
            resolver=f"{at.ip('dns')}:53")

    def _core(self):
        second = f"""
[[edge]]
name    = "{at.EDGE2_NAME}"
address = "{at.ip('edge2')}:7400"
pins    = ["{pin(f'{self.folder}/edge2/edge.crt')}"]
""" if len(self.edges) > 1 else ""
        return config.core_toml(
            name=at.CORE_NAME, s2s=f"{at.ip('core')}:5269", control=f"{self.folder}/run/core.sock",
            shards=self.options.shards, edge_name=at.EDGE_NAME, edge_address=f"{at.ip('edge')}:7400",
            edge_pin=pin(f"{self.folder}/edge/edge.crt"), trust=self.options.trust,
            server_ca="servers-ca.crt" if self.options.server_ca else "", extra=second + f"""
[dns]
listen   = ["{at.ip('core')}:53"]
upstream = ["{at.ip('insidedns')}:53"]
clients  = ["10.0.0.0/8"]
""")
