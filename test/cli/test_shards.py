"""Nodes with several shards: stanzas of many domains pass through all shards, and a node answers as one."""

import hashlib
import re
import signal
import subprocess

import pytest

from conftest import wait_for
from test_nodes import connects, get
from xmpp import Server, client_context, open_stream

REMOTES = [f"r{i}.remote.example" for i in range(12)]


def shard_of(domain, shards):
    return int.from_bytes(hashlib.sha256(domain.encode()).digest()[:8], "big") % shards


class World:
    """A place with a CA, one internal server and one that plays all remote domains."""

    def __init__(self, place):
        self.place = place
        self.openssl("ca", "CA", [], "-addext", "basicConstraints=critical,CA:TRUE")
        for stem, names in (("inside", ["example.com"]), ("world", REMOTES), ("certs/example.com", ["example.com"])):
            self.openssl(stem, names[0], names, "-CA", str(place / "ca.crt"), "-CAkey", str(place / "ca.key"))
        (place / "certs/example.com.crt").open("a").write((place / "ca.crt").read_text())
        place.start("core").send_signal(signal.SIGTERM)  # makes the internal CA
        place.started[-1].wait(timeout=10)
        self.streams = []
        self.inside = Server(place / "inside.crt", place / "inside.key", place / "state/internal-ca.crt")
        self.world = Server(place / "world.crt", place / "world.key", place / "ca.crt")
        text = (place / "core.toml").read_text()
        (place / "core.toml").write_text(text.replace("[internal]\n", '[internal]\nserver_ca = "ca.crt"\n'))
        self.write_policy()

    def openssl(self, stem, name, names, *words):
        if names:
            words = (*words, "-addext", "subjectAltName=" + ",".join(f"DNS:{each}" for each in names))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
             "-subj", f"/CN={name}", "-keyout", str(self.place / f"{stem}.key"), "-out", str(self.place / f"{stem}.crt"),
             *words], check=True, capture_output=True)

    def write_policy(self, extra=""):
        routes = "".join(f'[[static_route]]\ndomain = "{name}"\naddress = "127.0.0.1:{self.world.port}"\n'
                         for name in REMOTES)
        (self.place / "policy.toml").write_text(f"""\
[federation]
trusted_ca = "ca.crt"

[[domain]]
name    = "example.com"
servers = ["127.0.0.1:{self.inside.port}"]

{routes}{extra}""")

    def start(self, edge, core):
        """Start both nodes with these numbers of shards."""
        for role, count in (("edge", edge), ("core", core)):
            text = (self.place / f"{role}.toml").read_text()
            (self.place / f"{role}.toml").write_text(text.replace("[identity]", f"shards = {count}\n\n[identity]", 1))
            setattr(self.place, role, self.place.start(role))
        self.place.wait_linked()
        wait_for("the s2s port opens\n" + self.place.log("edge"), lambda: connects(self.place.ports["edge"]))

    def exchange(self):
        """Send a message each way for each remote domain, on a stream of its own. (Stanzas not settled when the other
        node ended are delivered again.)"""
        for number, remote in enumerate(REMOTES):
            inward = open_stream(self.place.ports["edge"], remote, "example.com",
                                 client_context(self.place / "world.crt", self.place / "world.key"))
            inward.say(f"<message from='u@{remote}' to='a@example.com'><body>in {number}</body></message>")
            outward = open_stream(self.place.ports["core"], "example.com", remote,
                                  client_context(self.place / "inside.crt", self.place / "inside.key"))
            outward.say(f"<message from='a@example.com' to='u@{remote}'><body>out {number}</body></message>")
            self.streams += [inward, outward]
        for number, remote in enumerate(REMOTES):
            for server, pair, body in ((self.inside, (f"u@{remote}", "a@example.com"), f"in {number}"),
                                       (self.world, ("a@example.com", f"u@{remote}"), f"out {number}")):
                wait_for(f"{pair}\n{self.place.log('edge')}\n{self.place.log('core')}",
                         lambda: set(server.messages.get(pair, [])) == {body})

    def forget(self):
        """Close the streams and clear the received messages."""
        for stream in self.streams:
            stream.socket.close()
        self.streams.clear()
        for server in (self.inside, self.world):
            server.messages.clear()

    def end(self):
        self.forget()
        # The core first: its stanzas are settled then, and it need not wait for an edge that has ended.
        for node in reversed(self.place.started):
            node.send_signal(signal.SIGTERM)
            node.wait(timeout=10)
        self.inside.close()
        self.world.close()


@pytest.fixture
def world(place):
    made = World(place)
    yield made
    made.end()


def test_both_directions_of_a_pair_meet_in_the_shard_of_the_remote_domain(world):
    world.start(2, 2)
    place = world.place
    assert {shard_of(remote, 2) for remote in REMOTES} == {0, 1}
    world.exchange()
    for role in ("edge", "core"):
        status = place.status(role)
        assert status["shards"] == {"count": 2, "in_use": 2}
        assert [(link["shard"], link["state"]) for link in status["links"]] == [(0, "up"), (1, "up")]
        assert status["stanzas"]["in"] == status["stanzas"]["out"] == len(REMOTES), status
        rows = [row for row in place.ask(role, "connections", "--json").json["connections"] if row.get("remote")]
        for remote in REMOTES:
            of_remote = [row for row in rows if row["remote"] == remote]
            assert {row["direction"] for row in of_remote} == {"in", "out"}, of_remote
            assert {row["shard"] for row in of_remote} == {shard_of(remote, 2)}, of_remote
        assert "2 of 2 in use" in place.ask(role, "status").out
    assert " shard=1" in place.log("edge") and " shard=1" in place.log("core")


def test_a_policy_reaches_all_shards(world):
    world.start(2, 2)
    place = world.place
    # Denies all remote domains that have a route.
    closed = "".join(f'[[deny]]\ndomain = "{remote}"\n' for remote in REMOTES)
    world.write_policy(closed)
    assert place.ask("core", "reload", "--json").json["generation"] == 3
    wait_for("the edge has it in all shards", lambda: place.status("edge")["policy"].get("generation") == 3)
    for remote in REMOTES:
        with pytest.raises(PermissionError):
            open_stream(place.ports["edge"], remote, "example.com", client_context(place / "world.crt", place / "world.key"))
    world.write_policy()
    assert place.ask("core", "reload", "--json").json["generation"] == 4
    wait_for("the edge has it in all shards", lambda: place.status("edge")["policy"].get("generation") == 4)
    world.exchange()
    assert place.ask("edge", "reload").exit == 0


@pytest.mark.parametrize("edge, core", [(1, 2), (2, 1), (3, 2)])
def test_the_smaller_number_of_shards_is_in_use(world, edge, core):
    world.start(edge, core)
    world.exchange()
    in_use = min(edge, core)
    for role, count in (("edge", edge), ("core", core)):
        status = world.place.status(role)
        assert status.get("shards", {"count": 1, "in_use": 1}) == {"count": count, "in_use": in_use}
        assert [link["state"] for link in status["links"]] == ["up"] * in_use, status["links"]
    if core > edge:
        lines = [line for line in world.place.log("core").splitlines() if "code=link.shard" in line]
        assert len(lines) == 1 and "shard=1" in lines[0], lines


def restart(world, role, shards):
    place, node = world.place, getattr(world.place, role)
    world.forget()
    node.send_signal(signal.SIGTERM)
    assert node.wait(timeout=8) == 0
    text = (place / f"{role}.toml").read_text()
    (place / f"{role}.toml").write_text(re.sub(r"shards = \d", f"shards = {shards}", text))
    setattr(place, role, place.start(role))


def test_a_node_that_comes_back_with_another_number_of_shards(world):
    world.start(2, 2)
    place = world.place
    # An edge learns the number of shards from the first link, a core when it is refused.
    for role, shards, in_use in (("core", 1, 1), ("core", 2, 2), ("edge", 1, 1), ("edge", 2, 2)):
        restart(world, role, shards)
        for each in ("core", "edge"):
            wait_for(f"{each} uses {in_use}\n{place.log('core')}", timeout_s=20, test=lambda: (
                (status := place.status(each)).get("shards", {"in_use": 1})["in_use"] == in_use
                and [link["state"] for link in status["links"]] == ["up"] * in_use))
        wait_for("the s2s port opens", lambda: connects(place.ports["edge"]))
        world.exchange()


def test_metrics_drain_and_the_end_are_of_the_whole_node(world):
    world.start(2, 2)
    place = world.place
    world.exchange()
    status, text = get(place.ports["metrics"], "/metrics")
    assert status == 200 and get(place.ports["metrics"], "/readyz")[0] == 200
    for line in ('sallyport_link_up{link="core-1",shard="1"} 1', "sallyport_shards_in_use 2",
                 f'sallyport_stanzas_total{{what="in"}} {len(REMOTES)}'):
        assert line in text, text
    assert place.ask("edge", "drain").exit == 0
    wait_for("the s2s port closes", lambda: not connects(place.ports["edge"]))
    wait_for("no stream is left in any shard", lambda: place.status("edge")["streams"]["in"] == 0)
    for role in ("edge", "core"):
        node = getattr(place, role)
        node.send_signal(signal.SIGTERM)
        assert node.wait(timeout=8) == 0, place.log(role)
        assert "door.ended" in place.log(role)


def test_a_shard_without_its_link_closes_the_edge(world):
    world.start(2, 2)
    place = world.place
    place.core.kill()
    place.core.wait()
    wait_for("the s2s port closes", lambda: not connects(place.ports["edge"]), timeout_s=15)
    assert get(place.ports["metrics"], "/readyz")[0] == 503
    place.core = place.start("core")
    place.wait_linked()
    wait_for("the s2s port opens", lambda: connects(place.ports["edge"]))
