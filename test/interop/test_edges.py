"""One core with two edges. Servers outside connect to the second one, so that a pair whose stanzas leave by the first
has its two directions at two edges."""

import time
import uuid

import pytest

from lab import address as at
from lab import delivery, net, pki
from lab.world import ALICE, BOB, EXTERNAL, Options, World

WORLDS = {"prosody-ejabberd": ("prosody", "ejabberd"), "ejabberd-prosody": ("ejabberd", "prosody")}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"edges-{name}")) for name in WORLDS])
def two_edges(request):
    inside, outside = WORLDS[request.param]
    # No stream management outside: the edges ask by pings what was read.
    with World(net.fresh_name(), Options(inside=inside, outside=outside, proof=EXTERNAL, edges=2, smacks=(),
                                         eku=pki.EKU_BOTH)) as made:
        yield made


def ways_out(world):
    """The streams on which the edges send to the remote server: {edge: how each is confirmed}."""
    rows = {name: world.gateway.ask_json(name, "connections")["connections"] for name in world.gateway.edges}
    return {name: [row["confirmed_by"] for row in rows[name]
                   if row["direction"] == "out" and row["face"] == "world" and row["remote"] == at.REMOTE]
            for name in rows}


def test_what_leaves_by_one_edge_is_confirmed_by_pings_whose_answers_come_by_the_other(two_edges):
    world, run = two_edges, uuid.uuid4().hex[:8]
    alice, bob = world.client(ALICE), world.client(BOB)
    for n in range(3):
        alice.message(BOB, f"{run} {n}")
        bob.expect_message(f"{run} {n}", timeout_s=30)
        bob.message(ALICE, f"{run} {n} back")
        alice.expect_message(f"{run} {n} back", timeout_s=30)
    end = time.monotonic() + 20
    while time.monotonic() < end and {"ping"} != {how for hows in ways_out(world).values() for how in hows}:
        time.sleep(0.5)
    # The servers outside connect to the second edge only: the answers came there.
    assert ways_out(world) == {"edge": ["ping"], "edge2": []}, ways_out(world)


@pytest.mark.parametrize("faults", [("edge", "edge2"), ("drain", "drain2")], ids=["kills", "drains"])
def test_an_edge_that_ends_takes_nothing_along(two_edges, faults):
    plan = delivery.Plan(messages=1500, rate=100, faults=faults, blows=4, quiet_s=30, seed=1)
    result = delivery.Burst(two_edges, plan).run()
    assert delivery.faultless(result), "\n".join(delivery.table(result))
    if faults[0] == "drain":
        # ejabberd itself answers, or loses, what it had not written yet when a drain closed its stream.
        answered = [flow["answered"] - flow["answered_by_server"] for flow in result["flows"]]
        assert answered == [0, 0], "\n".join(delivery.table(result))
