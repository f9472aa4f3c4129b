"""The demonstration behind script/demo: one world, told as a story of eight steps."""

import os
import shutil
import sys
import time
import uuid

from . import address as at
from . import net
from .client import NS
from .gateway import ROOT
from .net import RULES_GATEWAY
from .process import LabError
from .world import ALICE, BOB, CAROL, PASSWORDS, EXTERNAL, Options, World

NAME = "spdemo"
FOLDER = "/tmp/sallyport-demo"
BOLD, FAINT, PLAIN = ("\033[1m", "\033[2m", "\033[0m") if sys.stdout.isatty() else ("", "", "")

STAGE = f"""
  lan    {at.ip('inside'):<14} Prosody: {ALICE}; rooms at {at.NODE},
                        outside known as {at.ALIAS}
         {at.ip('core'):<14} the core, {at.CORE_NAME}
  dmz    {at.ip('edge'):<14} the edge, {at.EDGE_NAME}
  world  {at.ip('remote'):<14} ejabberd: {BOB}, {CAROL}; rooms at {at.REMOTE_ROOMS}
         {at.ip('dns'):<14} DNS with the SRV records of both sides
  A router between the three forwards only what the port table allows, and counts.
"""


class Story:
    """Prints what happens as it happens."""

    def __init__(self):
        self._begun = time.monotonic()
        self._step = 0

    def step(self, title):
        self._step += 1
        print(f"\n{BOLD}{self._step}. {title}{PLAIN} {FAINT}({time.monotonic() - self._begun:.0f} s){PLAIN}", flush=True)

    def say(self, text):
        for line in text.rstrip().splitlines():
            print(f"   {line}", flush=True)

    def command(self, words, output):
        self.say(f"{FAINT}${PLAIN} sallyport {words}")
        self.say(output)


def stop():
    """End a running demonstration; True if there was one."""
    network = net.existing(NAME)
    if not network.hosts and not os.path.exists(FOLDER):
        return False
    network.end()
    shutil.rmtree(FOLDER, ignore_errors=True)
    return True


def ask(story, world, role, *words, check=True):
    output = world.gateway.ask(role, *words, check=check)
    story.command(f"{' '.join(words)}   {FAINT}# on the {role}{PLAIN}", output)


def say_to(story, speaker, listener, to, text):
    """One chat message, shown when it has arrived."""
    speaker.message(to, text)
    seen = listener.expect_message(text, timeout_s=30)
    story.say(f"{listener.jid} sees  <{seen.bare}> {text}")


def nodes(story, world):
    story.step("Both nodes run: the core has connected to the edge, and the edge has opened its s2s port")
    ask(story, world, "core", "status")
    ask(story, world, "edge", "status")


def friends(story, alice, bob):
    story.step("alice and bob subscribe to each other's presence and talk")
    for asker, granter in ((alice, bob), (bob, alice)):
        asker.presence(granter.jid, "subscribe")
        granter.expect_presence(asker.jid, "subscribe", timeout_s=30)
        granter.presence(asker.jid, "subscribed")
        asker.expect_presence(granter.jid, "subscribed", stay=True)
        asker.expect_presence(granter.full)
        story.say(f"{asker.jid} asked, {granter.jid} agreed, and now sees: {granter.jid} is online")
    say_to(story, alice, bob, BOB, "Hello, bob. Can you hear me out there?")
    say_to(story, bob, alice, ALICE, "Loud and clear, alice. \U0001f30d")


def rooms(story, alice, bob):
    story.step("Rooms: bob joins an internal one, alice a remote one")
    inside, alias = f"harbour@{at.NODE}", f"harbour@{at.ALIAS}"
    outside = f"lighthouse@{at.REMOTE_ROOMS}"
    for host, guest, here, there in ((alice, bob, inside, alias), (bob, alice, outside, outside)):
        host.join(here, "host")
        host.expect_presence(f"{here}/host", timeout_s=30)
        host.message(here, "First, a word for the history.", "groupchat")
        host.expect_message("First, a word for the history.")
        guest.join(there, "guest")
        guest.expect_presence(f"{there}/guest", timeout_s=30)
        past = guest.expect_message("First, a word for the history.")
        story.say(f"{guest.jid} joins {there} and reads what was said before: <{past.sender}> {past.body}"
                  f" {FAINT}({past.xml.find('delay:delay', NS).get('stamp')}){PLAIN}")
        for speaker, room, listener in ((guest, there, host), (host, here, guest)):
            text = f"A word from {speaker.jid}."
            speaker.message(room, text, "groupchat")
            story.say(f"{listener.jid} sees  <{listener.expect_message(text, kind='groupchat').sender}> {text}")
    leaks = bob.count(lambda s: at.NODE in s.text)
    story.say(f"The inside name {at.NODE} occurs {leaks} times in what bob received.")
    if leaks:
        raise LabError("an internal name leaked")


def refusal(story, world, alice, carol):
    story.step(f"{at.STRANGER} is on no list: refused, with the reason; then allowed, by a reload")
    error = alice.expect_error(alice.message(CAROL, "Hello, stranger."))
    story.say(f"{ALICE} gets an error: {error.condition}: {error.error_text}")
    if not error.error_text:
        raise LabError("the error has no reason")
    ask(story, world, "core", "explain", ALICE, CAROL, check=False)  # exits with 1: refused
    story.say(f'Now policy.toml gains a row, [[allow]] domain = "{at.STRANGER}", and is reloaded.')
    world.gateway.write_policy(allow=(at.REMOTE, at.REMOTE_ROOMS, at.STRANGER))
    ask(story, world, "core", "reload")
    for sender, receiver, to in ((alice, carol, CAROL), (carol, alice, ALICE)):
        text = f"Hello again. {uuid.uuid4().hex[:4]}"
        for _ in range(20):  # a server may remember the last refusal for a moment
            sender.message(to, text)
            try:
                receiver.expect_message(text, timeout_s=1)
                break
            except AssertionError:
                continue
        else:
            raise LabError(f"{to} is still not reachable")
        story.say(f"{receiver.jid} sees  <{sender.jid}> {text}")


def connections(story, world):
    story.step("The connections of each node")
    ask(story, world, "edge", "connections")
    ask(story, world, "core", "connections")


def firewall(story, world):
    story.step("What the router counted: each rule of the port table, then what it dropped")
    rows = world.network.counters()
    for comment, verdict, packets in rows:
        story.say(f"{verdict:<7}{packets:>7} packets  {comment}")
    count = {comment: packets for comment, _, packets in rows}
    forbidden = sum(count[comment] for comment, _ in RULES_GATEWAY[-4:-1])
    if forbidden or not count["inner: core -> edge:7400"]:
        raise LabError("the inner firewall saw traffic other than the link")
    story.say("The inner firewall passed nothing but core -> edge:7400, and had nothing else to drop.")


def play(world):
    """Hints for a world that keeps running."""
    control, binary = f"{world.folder}/gw/run", os.path.relpath(world.gateway.binary, ROOT)
    return f"""
It stays. To look around:
  ip netns exec {NAME}-core {binary} status --control {control}/core.sock
  ip netns exec {NAME}-edge {binary} connections --control {control}/edge.sock
  ip netns exec {NAME}-router nft list table inet port_table
Clients may log in without TLS at {at.ip('inside')}:5222 in {NAME}-inside as {ALICE} (password
{PASSWORDS[ALICE]}), and at {at.ip('remote')}:5222 in {NAME}-remote as {BOB} ({PASSWORDS[BOB]}) or
{CAROL} ({PASSWORDS[CAROL]}).
Policy: {world.folder}/gw/core/policy.toml     Logs: {world.logs}
To end it: script/demo --stop
"""


def tell(story, world):
    print(STAGE, end="")
    story.step("Servers, DNS and both nodes start")
    world.start()
    alice, bob, carol = (world.client(jid) for jid in (ALICE, BOB, CAROL))
    story.say("alice, bob and carol are logged in at their own servers.")
    nodes(story, world)
    friends(story, alice, bob)
    rooms(story, alice, bob)
    refusal(story, world, alice, carol)
    connections(story, world)
    firewall(story, world)


def main(words):
    net.require_root()
    sys.stdout.reconfigure(errors="backslashreplace")  # for any character set of the terminal
    if words == ["--stop"]:
        print("The demonstration ended." if stop() else "No demonstration is running.")
        return 0
    if net.existing(NAME).hosts:
        print("script/demo: a demonstration is still running; end it with script/demo --stop", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    story, stay = Story(), words == ["--stay"]
    world = World(NAME, Options(inside="prosody", outside="ejabberd", proof=EXTERNAL, mapped=True), FOLDER)
    try:
        tell(story, world)
    except (LabError, AssertionError, OSError) as error:
        world.report()
        print(f"\nscript/demo: failed: {error}", file=sys.stderr)
        world.stop()
        return 1
    except BaseException:
        world.stop()
        raise
    if stay:
        print(play(world))
        return 0
    world.stop()
    story.step("Done; everything is gone again. (script/demo --stay leaves it running.)")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as failure:
        print(f"script/demo: {failure}", file=sys.stderr)
        sys.exit(1)
