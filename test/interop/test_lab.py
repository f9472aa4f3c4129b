"""The lab itself: servers federate through its router without a gateway.

When these fail, look at the lab; when only the others fail, look at the gateway.
"""

import pytest

import cells
from lab import address as at
from lab import net
from lab.world import ALICE, BOB, DIALBACK, EXTERNAL, Options, World

DIRECT = [("prosody", "prosody", EXTERNAL), ("prosody", "ejabberd", EXTERNAL), ("ejabberd", "jabberd2", DIALBACK)]


@pytest.mark.parametrize(
    "cell", [pytest.param(c, id="direct-" + cells.name(*c), marks=pytest.mark.xdist_group("direct-" + c[1]))
             for c in DIRECT])
def test_servers_federate_directly(cell):
    inside, outside, proof = cell
    with World(net.fresh_name(), Options(inside=inside, outside=outside, proof=proof, direct=True)) as world:
        alice, bob = world.client(ALICE), world.client(BOB)
        alice.message(BOB, "from inside")
        bob.expect_message("from inside", ALICE)
        bob.message(ALICE, "from outside")
        alice.expect_message("from outside", BOB)
        alice.presence(BOB, "subscribe")
        bob.expect_presence(ALICE, "subscribe")
        alice.join(f"hall@{at.REMOTE_ROOMS}", "alice")
        alice.expect_presence(f"hall@{at.REMOTE_ROOMS}/alice")
        bob.join(f"hall@{at.ALIAS}", "bob")
        bob.expect_presence(f"hall@{at.ALIAS}/bob")
