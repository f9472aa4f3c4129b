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
    plan = Plan(messages=120, direction=direction(world, fault), faults=(fault,), blows=1, rate=60, quiet_s=35,
                seed=FAULTS.index(fault))
    result = Burst(world, plan).run()
    record_property(fault, result)
    shown = "\n".join(table(result))
    sent_again = sum(node["sent_again"] for node in result["counters"].values())
    for flow in result["flows"]:
        assert not flow["lost"] and not flow["lost_at_servers"], shown
        assert not flow["reordered"], shown
        held = result["unacknowledged_at_servers"].get("inside" if flow["from"] == ALICE else "remote", 0)
        assert flow["doubled"] <= sent_again + held, shown


def direction(world, fault):
    """The flows of which nothing may be lost (docs/delivery.md "What dies, and what happens then")."""
    if fault == "remote":
        return "out"  # what a server has accepted and not sent ends with it
    if fault in ("edge", "s2s"):
        return "both" if acknowledges(world, "remote") else "out"
    if fault == "core":
        return "both" if acknowledges(world, "inside") else "in"
    return "both"


def acknowledges(world, host):
    """Whether this server keeps what we have not acknowledged: Prosody with mod_smacks, after EXTERNAL."""
    server = world.server(host)
    return server.kind == "Prosody" and server.site.smacks and server.site.external
