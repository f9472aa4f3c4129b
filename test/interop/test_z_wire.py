"""Checks all stanzas that a world has exchanged; runs last in each (by its name)."""

import os
import re

import pytest

from lab import address as at

pytestmark = pytest.mark.gateway
# Text of users is not translated. Text of a room is (docs/interop.md): its address has no "/".
PROSE = re.compile(r"<(?P<name>(\w+:)?(body|subject))\b[^>]*>.*?</(?P=name)>", re.DOTALL)
INSIDE_NAMES = (at.NODE, "corp.example", at.ip("inside"), at.ip("core"))


def test_the_inner_firewall_passed_nothing_but_the_link(world):
    rows = {comment: (verdict, packets) for comment, verdict, packets in world.network.counters()}
    assert rows["inner: core -> edge:7400"][1] > 0
    assert rows["outer: edge -> federated server:5269"][1] > 0
    assert rows["outer: federated server -> edge:5269"][1] > 0
    for comment in ("inner: anything else from the DMZ", "inner: anything else from inside",
                    "past the DMZ: inside <-> outside"):
        assert rows[comment] == ("drop", 0), rows


def test_no_inside_name_shows_in_any_byte_outside(world, bob, carol):
    if not world.options.mapped:
        pytest.skip("the alias is not mapped in this world")
    asked = f"hall@{at.NODE}"  # bob asked for it once (test_refusals), and the error names it
    for client in (bob, carol):
        for stanza in client.seen:
            text = PROSE.sub("", stanza.text) if "/" in stanza.sender or stanza.type == "error" else stanza.text
            if asked not in text:
                assert not any(name in text for name in INSIDE_NAMES), stanza
    for name in sorted(os.listdir(world.logs)):
        if not name.startswith(("remote", "rooms")):
            continue
        with open(f"{world.logs}/{name}", errors="replace") as log:
            for line in log:
                if asked not in line and at.NODE not in line.replace("_", "."):
                    assert not any(word in line for word in INSIDE_NAMES), f"{name}: {line}"
