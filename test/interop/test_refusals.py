"""Refusals: each is reported exactly once, with a reason."""

import time
import uuid

import pytest

from lab import address as at
from lab.world import ALICE, CAROL, DIALBACK

pytestmark = pytest.mark.gateway
SETTLE_S = 3  # time in which a second error would arrive


def exactly_one_error(client, id, timeout_s):
    """The error for a stanza, after waiting for a second one."""
    error = client.expect_error(id, timeout_s)
    time.sleep(SETTLE_S)
    assert client.count(lambda s: s.id == id and s.type == "error") == 1
    return error


def test_an_unlisted_domain_is_refused_with_a_reason(alice, carol):
    body = f"unlisted {uuid.uuid4().hex[:8]}"
    error = exactly_one_error(alice, alice.message(CAROL, body), 30)
    assert error.error_text, error
    assert not carol.count(lambda s: s.body == body)


def test_an_unlisted_domain_cannot_send(alice, carol):
    body = f"unlisted {uuid.uuid4().hex[:8]}"
    exactly_one_error(carol, carol.message(ALICE, body), 60)
    assert not alice.count(lambda s: s.body == body)


def test_an_iq_to_an_unlisted_domain_gets_one_error(alice):
    answer = alice.iq(CAROL, "<ping xmlns='urn:xmpp:ping'/>", timeout_s=30)
    assert answer.type == "error" and answer.error_text, answer


def test_an_unknown_domain_is_answered_within_30_s(alice):
    error = exactly_one_error(alice, alice.message(f"somebody@{at.UNKNOWN}", "anybody there?"), 30)
    assert error.condition in ("remote-server-not-found", "remote-server-timeout"), error
    assert error.error_text, error


def test_a_domain_whose_server_is_dead_is_answered(alice):
    error = exactly_one_error(alice, alice.message(f"somebody@{at.DEAD}", "anybody there?"), 75)
    assert error.condition in ("remote-server-not-found", "remote-server-timeout"), error
    assert error.error_text, error


def test_nobody_outside_reaches_the_node_by_its_inside_name(world, bob):
    if not world.options.mapped:
        pytest.skip("the alias is not mapped in this world")
    exactly_one_error(bob, bob.message(f"hall@{at.NODE}", "let me in"), 60)


def test_a_live_policy_change_allows_and_refuses_a_domain(world, alice, carol):
    gateway = world.gateway
    listed = (at.REMOTE, at.REMOTE_ROOMS, at.DEAD, at.UNKNOWN)
    gateway.write_policy(allow=(*listed, at.STRANGER))
    gateway.reload()
    try:
        resumes(alice, carol, CAROL, "allowed now", 30)
        resumes(carol, alice, ALICE, "allowed too", 30)
    finally:
        gateway.write_policy(allow=listed)
        gateway.reload()
    error = exactly_one_error(alice, alice.message(CAROL, f"closed {uuid.uuid4().hex[:8]}"), 30)
    assert error.error_text, error


def resumes(sender, receiver, to, word, timeout_s):
    """Send once a second until one arrives: a server may still remember the last refusal."""
    end = time.monotonic() + timeout_s
    run = uuid.uuid4().hex[:8]
    while time.monotonic() < end:
        sender.message(to, f"{word} {run}")
        try:
            return receiver.expect(lambda s: s.body == f"{word} {run}" and s.type != "error", 1)
        except AssertionError:
            continue
    raise AssertionError(f"{sender.jid} did not get through to {to} within {timeout_s} s")


def test_connections_show_how_each_pair_was_proved(world, alice, bob):
    alice.message(bob.jid, "so that there is a pair")
    shown = world.gateway.ask("edge", "connections", "--json")
    assert at.REMOTE in shown and at.DOMAIN in shown, shown
    wanted = "dialback" if world.options.proof == DIALBACK else None
    if wanted:
        assert wanted in shown.lower(), shown
