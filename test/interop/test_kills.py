"""kill -9 and restart of each process: traffic resumes by itself within 15 s."""

import time
import uuid

import pytest

from lab.world import ALICE, BOB

pytestmark = [pytest.mark.kills, pytest.mark.gateway]
RESUME_S = 15


def flows(sender, receiver, to, since):
    """Seconds from `since` until a message gets through again; sends twice a second."""
    run = uuid.uuid4().hex[:8]
    sent = 0
    while time.monotonic() < since + RESUME_S:
        sent += 1
        sender.message(to, f"again {run} {sent}")
        try:
            receiver.expect(lambda s: s.type != "error" and (s.body or "").startswith(f"again {run}"), 0.5)
            return time.monotonic() - since
        except AssertionError:
            continue
    raise AssertionError(f"{sender.jid} -> {to}: nothing within {RESUME_S} s of the restart")


@pytest.mark.parametrize("victim", ["edge", "core", "remote"])
def test_traffic_resumes_after_kill_9(world, alice, bob, victim, record_property):
    for sender, receiver, to in ((alice, bob, BOB), (bob, alice, ALICE)):
        body = f"before {uuid.uuid4().hex[:8]}"
        sender.message(to, body)
        receiver.expect_message(body, timeout_s=30)
    if victim == "remote":
        world.restart_remote()
    else:
        world.gateway.restart(victim)
    since = time.monotonic()
    for client in (alice, bob):
        client.mark()
    for sender, receiver, to in ((alice, bob, BOB), (bob, alice, ALICE)):
        record_property(f"{victim} {sender.jid}", round(flows(sender, receiver, to, since), 1))
