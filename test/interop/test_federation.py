"""Messages, presence and rooms through both nodes, in every cell of the matrix."""

import threading
import uuid

import pytest

from lab import address as at
from lab.client import NS, message
from lab.world import ALICE, BOB

BODIES = {
    "60 kB": "sixty thousand bytes, then done. " * 1820,
    "60 kB of emoji": "\U0001f30d\U0001f468\u200d\U0001f469\u200d\U0001f467\u2764\ufe0f " * 2000,
    "markup": "<b>&amp; \"quotes\" 'apostrophes' ]]> &lt;/stream:stream&gt;</b>",
    "white space": "  two\n\tlines  and a \u00a0 hard space ",
    "scripts": "na\u00efve \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u4f60\u597d e\u0301 \U00010348",
}
MESSAGES = 1000


def unique(word):
    return f"{word} {uuid.uuid4().hex[:12]}"


def both_ways(alice, bob):
    return ((alice, bob, ALICE, BOB), (bob, alice, BOB, ALICE))


def test_messages_both_ways(alice, bob):
    for sender, receiver, name, to in both_ways(alice, bob):
        body = unique("hello")
        sender.message(to, body)
        receiver.expect_message(body, name, "chat", timeout_s=30)


def test_message_to_a_full_jid(alice, bob):
    for sender, receiver, name, _ in both_ways(alice, bob):
        body = unique("to your resource")
        sender.message(receiver.full, body, kind="normal")
        assert receiver.expect_message(body, name).sender == sender.full


def test_subscription_and_presence(alice, bob):
    for asker, granter, name, to in both_ways(alice, bob):
        asker.presence(to, "subscribe")
        granter.expect_presence(name, "subscribe")
        granter.presence(name, "subscribed")
        asker.expect_presence(to, "subscribed", stay=True)  # jabberd2 sends them in the other order
        asker.expect_presence(granter.full)
    for sender, receiver, _, _ in both_ways(alice, bob):
        sender.presence(inner="<show>away</show><status>at lunch \U0001f35c</status>")
        seen = receiver.expect(lambda s: s.kind == "presence" and s.has("c:status"), what="the status")
        assert seen.xml.findtext("c:status", namespaces=NS) == "at lunch \U0001f35c"
        sender.presence(kind="unavailable")
        receiver.expect_presence(sender.full, "unavailable")
        sender.presence()
        receiver.expect_presence(sender.full)
    for asker, granter, name, to in both_ways(alice, bob):
        asker.presence(to, "unsubscribe")
        granter.expect_presence(name, "unsubscribe")


def test_disco_and_ping(alice, bob):
    for asker, answerer, _, to in both_ways(alice, bob):
        for whom in (answerer.full, to.split("@")[1]):
            assert asker.iq(whom, "<ping xmlns='urn:xmpp:ping'/>").type == "result", whom
            found = asker.iq(whom, f"<query xmlns='{NS['info']}'/>")
            assert found.type == "result" and found.has("info:query/info:identity"), found
    for asker, service in ((alice, at.REMOTE_ROOMS), (bob, at.ALIAS)):
        found = asker.iq(service, f"<query xmlns='{NS['info']}'/>")
        kinds = [e.get("category") for e in found.xml.iterfind("info:query/info:identity", NS)]
        assert "conference" in kinds, found


def test_an_iq_nobody_answers_gets_one_error(alice, bob):
    for asker, _, _, to in both_ways(alice, bob):
        answer = asker.iq(f"nobody-{uuid.uuid4().hex[:6]}@{to.split('@')[1]}/x", "<ping xmlns='urn:xmpp:ping'/>")
        assert answer.condition == "service-unavailable", answer
        assert asker.count(lambda s: s.id == answer.id and s.kind == "iq") == 1


@pytest.mark.parametrize("what", BODIES)
def test_bodies_arrive_as_they_were(alice, bob, what):
    for sender, receiver, name, to in both_ways(alice, bob):
        body = unique("") + BODIES[what]
        sender.message(to, body)
        mark = body[:14].strip()
        seen = receiver.expect(lambda s: s.body is not None and mark in s.body, what=what)
        assert seen.body == body and seen.type == "chat" and seen.bare == name


def test_a_thousand_messages_in_order_each_way(alice, bob):
    run = uuid.uuid4().hex[:8]
    for sender, _, _, to in both_ways(alice, bob):
        sender.send("".join(message(to, f"{run} {n}", "chat", f"{run}-{n}") for n in range(MESSAGES)))
    for _, receiver, _, _ in both_ways(alice, bob):
        receiver.expect_message(f"{run} {MESSAGES - 1}", timeout_s=60)
    for _, receiver, name, _ in both_ways(alice, bob):
        got = [s.body for s in receiver.seen if s.kind == "message" and s.bare == name
               and s.body and s.body.startswith(run + " ")]
        assert got == [f"{run} {n}" for n in range(MESSAGES)]
        assert not receiver.count(lambda s: s.id.startswith(run) and s.type == "error")


def room_dialogue(room_here, room_there, resident, guest):
    """A room as a local user (room_here) and a remote one (room_there) name it."""
    resident.join(room_here, "resident")
    resident.expect_presence(f"{room_here}/resident", timeout_s=30)
    for n in range(3):
        resident.message(room_here, f"before you came {n}", "groupchat")
        resident.expect_message(f"before you came {n}")
    guest.join(room_there, "guest")
    guest.expect_presence(f"{room_there}/resident", timeout_s=30)
    guest.expect_presence(f"{room_there}/guest")
    for n in range(3):
        past = guest.expect_message(f"before you came {n}", f"{room_there}/resident", "groupchat")
        assert past.has("delay:delay"), past
    resident.expect_presence(f"{room_here}/guest")
    for speaker, room, listener, other in ((guest, room_there, resident, room_here),
                                           (resident, room_here, guest, room_there)):
        body = unique("in the room")
        speaker.message(room, body, "groupchat")
        nick = "guest" if speaker is guest else "resident"
        listener.expect_message(body, f"{other}/{nick}", "groupchat")
        speaker.expect_message(body, f"{room}/{nick}", "groupchat")
    body = unique("privately")
    guest.message(f"{room_there}/resident", body)
    resident.expect_message(body, f"{room_here}/guest")
    guest.presence(f"{room_there}/guest", "unavailable")
    resident.expect_presence(f"{room_here}/guest", "unavailable")


def test_a_room_inside(alice, bob, inside_rooms):
    hall = f"hall-{uuid.uuid4().hex[:6]}"
    room_dialogue(f"{hall}@{inside_rooms}", f"{hall}@{at.ALIAS}", alice, bob)


def test_a_room_outside(alice, bob):
    room = f"hall-{uuid.uuid4().hex[:6]}@{at.REMOTE_ROOMS}"
    room_dialogue(room, room, bob, alice)


def test_invitations_name_the_room_as_the_guest_knows_it(alice, bob, inside_rooms):
    hall = f"den-{uuid.uuid4().hex[:6]}"
    alice.join(f"{hall}@{inside_rooms}", "alice")
    alice.expect_presence(f"{hall}@{inside_rooms}/alice")
    alice.send(f"<message to='{hall}@{inside_rooms}'><x xmlns='{NS['user']}'>"
               f"<invite to='{BOB}'><reason>talk</reason></invite></x></message>")
    seen = bob.expect(lambda s: s.has("user:x/user:invite"), what="the invitation")
    assert seen.bare == f"{hall}@{at.ALIAS}", seen
    # The room writes the sentence for clients without invitations, so it names the alias as well.
    assert seen.body and f"{hall}@{at.ALIAS}" in seen.body and at.NODE not in seen.body, seen
    alice.send(f"<message to='{BOB}'><x xmlns='jabber:x:conference' jid='{hall}@{inside_rooms}'/></message>")
    seen = bob.expect(lambda s: s.bare == ALICE and "jabber:x:conference" in s.text, what="the direct invitation")
    assert f"{hall}@{at.ALIAS}" in seen.text, seen


def test_rooms_are_listed_under_the_alias(alice, bob, inside_rooms):
    hall = f"listed-{uuid.uuid4().hex[:6]}"
    alice.join(f"{hall}@{inside_rooms}", "alice")
    alice.expect_presence(f"{hall}@{inside_rooms}/alice")
    found = bob.iq(at.ALIAS, f"<query xmlns='{NS['items']}'/>")
    names = [e.get("jid") for e in found.xml.iterfind("items:query/items:item", NS)]
    assert f"{hall}@{at.ALIAS}" in names, names


def test_conversations_in_both_directions_at_once(alice, bob):
    run = uuid.uuid4().hex[:8]

    def talk(sender, to, name):
        for n in range(100):
            sender.message(to, f"{run} {name} {n}")

    threads = [threading.Thread(target=talk, args=(s, to, name)) for s, _, name, to in both_ways(alice, bob)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _, receiver, name, _ in both_ways(alice, bob):
        for n in range(100):
            receiver.expect_message(f"{run} {name} {n}", name)
