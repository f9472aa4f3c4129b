"""Numbered bursts while something dies: nothing lost, nothing out of order, doubles only as counted.

`lab/deliver` does the same at length, in a world of its own.
"""

import pytest

from lab.delivery import Burst, Plan, table
from lab.world import ALICE

pytestmark = [pytest.mark.kills, pytest.mark.gateway]
FAULTS = ("edge", "core", "remote", "link", "s2s")


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_reordered_or_doubled_uncounted(world, alice, bob, fault, record_property):
    plan = Plan(messages=200, faults=(fault,), blows=1, rate=80, seed=FAULTS.index(fault))
    result = Burst(world, plan).run()
    record_property(fault, result)
    shown = "\n".join(table(result))
    may_double = sum(node["sent_again"] for node in result["counters"].values())
    may_double += sum(result["unacknowledged_at_servers"].values())
    for flow in result["flows"]:
        assert not flow["reordered"], shown
        assert flow["doubled"] <= may_double, shown
        if not may_lose(world, flow, fault):
            assert not flow["lost"], shown


def may_lose(world, flow, fault):
    """Whether messages are beyond what the gateway can promise (docs/delivery.md "What dies, and what happens then")."""
    sender_inside = flow["from"] == ALICE
    if fault == "remote":
        return not sender_inside  # what a server has accepted and not sent ends with it
    near = ("core",) if sender_inside else ("edge", "s2s")
    return fault in near and not acknowledges(world, "inside" if sender_inside else "remote")


def acknowledges(world, host):
    """Whether this server keeps what we have not acknowledged: Prosody with mod_smacks, after EXTERNAL."""
    server = world.server(host)
    return server.kind == "Prosody" and server.site.smacks and server.site.external
