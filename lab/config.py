"""The configuration files of a gateway, for the lab, the benchmarks and the tests of the command line.

Paths in a file are relative to the folder of that file.
"""

import os

from .process import run


def edge_toml(*, name, s2s, traversal, control, core_pin, resolver, core_name="core-1", core_domains=(), metrics="",
              shards=1, extra=""):
    """The text of edge.toml; its identity is edge.crt and edge.key."""
    metrics = f'metrics   = "{metrics}"\n' if metrics else ""
    count = f"shards    = {shards}\n" if shards > 1 else ""
    domains = f"domains = [{_quoted(core_domains)}]\n" if core_domains else ""
    return f"""\
[edge]
name      = "{name}"
s2s       = ["{s2s}"]
traversal = ["{traversal}"]
control   = "{control}"
{metrics}{count}
[identity]
certificate = "edge.crt"
key         = "edge.key"

[[core]]
name = "{core_name}"
pins = ["{core_pin}"]
{domains}
[resolver]
servers = ["{resolver}"]
{extra}"""


def core_toml(*, name, s2s, control, edge_name, edge_address, edge_pin, shards=1, server_ca="", trust="", extra=""):
    """The text of core.toml; its identity is core.crt and core.key, and its policy is policy.toml."""
    count = f"shards  = {shards}\n" if shards > 1 else ""
    internal = "".join(f'{key} = "{value}"\n' for key, value in (("trust", trust), ("server_ca", server_ca)) if value)
    return f"""\
[core]
name    = "{name}"
s2s     = ["{s2s}"]
control = "{control}"
{count}state   = "state"
policy  = "policy.toml"

[identity]
certificate = "core.crt"
key         = "core.key"

[[edge]]
name    = "{edge_name}"
address = "{edge_address}"
pins    = ["{edge_pin}"]

[internal]
names = ["corp.example", "*.corp.example"]
{internal}
[certificates]
directory = "certs"
{extra}"""


def make_identity(stem, name):
    """Write stem.crt and stem.key, by OpenSSL."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "3650", "-subj", f"/CN={name}", "-keyout", f"{stem}.key", "-out", f"{stem}.crt")
    os.chmod(f"{stem}.key", 0o600)


def replace(path, text):
    """Replace a file as a whole, so that a running node never reads half of it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def _quoted(words):
    return ", ".join(f'"{word}"' for word in words)
