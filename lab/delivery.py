"""Numbered bursts of messages through a gateway, and what became of each message."""

import os
import random
import re
import threading
import time
from dataclasses import dataclass
from xml.etree import ElementTree

from . import address as at
from .client import NS, message
from .faults import FAULTS, Counters
from .world import ALICE, BOB

# Losses of servers that died: none of the gateway.
AT_SERVERS = ("not sent by the sender's server", "received by the receiver's server",
              "sent without stream management to a connection that broke")
BREAKS_OUT, BREAKS_IN = ("core", "inner-s2s"), ("edge", "s2s", "cut")  # faults that break the sender's connection
UNREAD_S = 6  # what was written at most so long before a break, and a second after it, may not have been read
CHUNK = 20  # messages at most that are sent at once
WAITING_S = 300  # how long a message is awaited that a node holds
SETTLE_S = 4  # after the last missing message: time in which a second copy would arrive
DIRECTIONS = {"out": [(ALICE, BOB)], "in": [(BOB, ALICE)], "both": [(ALICE, BOB), (BOB, ALICE)]}
ID = re.compile(r"\b(b[0-9a-f]{6}(?:out|in))-(\d+)\b")
UNACKNOWLEDGED = re.compile(r"Destroying session with (\d+) unacked stanzas")


@dataclass
class Plan:
    """One burst, and what happens meanwhile."""

    messages: int = 2000
    direction: str = "both"
    faults: tuple = ()  # names of faults.FAULTS, of which each blow chooses one
    blows: int = 3
    rate: float = 200  # messages a second in each direction
    quiet_s: float = 60  # without an event for so long a message that is missing is lost
    seed: int = 0


class Flow:
    """The messages of one sender to one receiver."""

    def __init__(self, run, sender, receiver):
        self.sender, self.receiver = sender, receiver
        self.key = run + ("out" if sender.jid == ALICE else "in")
        self.sent, self.unsent = {}, set()  # number -> time
        self.arrived, self.errors = [], []  # (number, time), (number, condition)

    def id(self, number):
        return f"{self.key}-{number}"

    def fates(self):
        return {number for number, _ in self.arrived} | {number for number, _ in self.errors} | self.unsent

    def missing(self):
        return sorted(set(self.sent) - self.fates())

    def report(self, logs, blows):
        first, reordered, at_servers, doubled, newest = {}, [], [], [], -1
        sending, receiving = traces_of(self, logs)
        for number, when in self.arrived:
            if number in first:
                doubled.append(number)
                continue
            first[number] = when
            if number < newest:
                pair = (self.id(number), self.id(newest))
                blame = sending.overtaken(sending.written, *pair) or receiving.overtaken(receiving.received, *reversed(pair))
                (at_servers if blame else reordered).append(number)
            newest = max(newest, number)
        answered = {number for number, _ in self.errors}
        conditions = [condition for _, condition in self.errors]
        waits = sorted(when - self.sent[number] for number, when in first.items())
        where = where_lost(self, logs, blows)
        return {
            "from": self.sender.jid, "to": self.receiver.jid, "sent": len(self.sent) - len(self.unsent),
            "delivered": len(first), "answered": len(answered - set(first)),
            "lost": sum(len(numbers) for place, numbers in where.items() if place not in AT_SERVERS),
            "lost_at_servers": sum(len(where.get(place, ())) for place in AT_SERVERS),
            "doubled": len(doubled), "reordered": len(reordered), "reordered_at_servers": len(at_servers),
            "delivered_and_answered": len(answered & set(first)),
            "answered_twice": len(self.errors) - len(answered),
            "conditions": {name: conditions.count(name) for name in sorted(set(conditions))},
            "lost_numbers": {place: numbers[:50] for place, numbers in where.items()},
            "reordered_numbers": reordered[:50], "doubled_numbers": doubled[:50],
            "seconds": {"median": round(waits[len(waits) // 2], 3), "longest": round(waits[-1], 3)} if waits else {},
        }


def traces_of(flow, logs):
    """Those of the sender's and of the receiver's server."""
    return [logs[host] for host in (("inside", "remote") if flow.sender.jid == ALICE else ("remote", "inside"))]


def where_lost(flow, logs, blows=()):
    """The lost messages by how far the servers' logs show them: those between the two are the gateway's."""
    sending, receiving = traces_of(flow, logs)
    breaks = [blow["at"] for blow in blows if blow["what"] in (BREAKS_OUT if flow.sender.jid == ALICE else BREAKS_IN)]
    places = {}
    for number in flow.missing():
        id = flow.id(number)
        if id in receiving.received:
            place = AT_SERVERS[1]
        elif sending.exists and id not in sending.written:
            place = AT_SERVERS[0]
        elif sending.exists and id not in sending.kept and any(0 < at - sending.at[id] + 1 < UNREAD_S for at in breaks):
            place = AT_SERVERS[2]
        elif sending.exists and receiving.exists:
            place = "sent by the sender's server, not received by the other"
        else:
            place = "unknown: a server without a trace"
        places.setdefault(place, []).append(number)
    return places


class Trace:
    """The messages that a server wrote to streams between servers, and those that it read: id -> place in the order."""

    LINE = re.compile(r"(received|kept, sent|sent) (\S+) .*at ([\d.]+)$")

    def __init__(self, path):
        self.exists, self.written, self.received = bool(path), {}, {}
        self.at, self.kept = {}, set()  # when each was last written; which of them stream management kept
        with open(path or os.devnull, errors="replace") as log:
            for line in log:
                found = "lab_log_ids" in line and ID.search(line) and self.LINE.search(line)
                if not found:
                    continue
                way, id, at = found.groups()
                places = self.received if way == "received" else self.written
                places.setdefault(id, len(places))
                if way != "received":
                    self.at[id] = float(at)
                    (self.kept.add if way != "sent" else self.kept.discard)(id)

    def overtaken(self, places, early, late):
        """Whether both are known, and `early` came after `late`."""
        return early in places and late in places and places[early] > places[late]


def resent_by_servers(world):
    """Stanzas that each Prosody still held, unacknowledged, when a stream of it ended."""
    counts = {}
    for host in ("inside", "remote"):
        server = world.server(host)
        if server.kind == "Prosody":
            with open(server.logs[0], errors="replace") as log:
                counts[host] = sum(int(count) for count in UNACKNOWLEDGED.findall(log.read()))
    return counts


class Burst:
    """Runs a Plan in a world whose clients are logged in."""

    def __init__(self, world, plan):
        self._world, self._plan = world, plan
        self._draw = random.Random(plan.seed)
        self._up = {host: threading.Event() for host in ("inside", "remote")}
        for event in self._up.values():
            event.set()
        run = f"b{random.SystemRandom().randrange(1 << 24):06x}"
        self.flows = [Flow(run, world.client(a), world.client(b)) for a, b in DIRECTIONS[plan.direction]]
        self._by_key = {flow.key: flow for flow in self.flows}
        self._last_event = time.monotonic()
        self.blows, self._failure = [], None

    def run(self):
        world = self._world
        self._prepare()
        counters = Counters(world.gateway)
        held_before = resent_by_servers(world)
        for client in {c.jid: c for flow in self.flows for c in (flow.sender, flow.receiver)}.values():
            client.watch = self._watch
        start = time.monotonic()
        threads = [threading.Thread(target=self._send, args=(flow,)) for flow in self.flows]
        threads.append(threading.Thread(target=self._strike, args=(counters,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sent_s = time.monotonic() - start
        self._wait_for_quiet(counters)
        total_s = time.monotonic() - start
        for flow in self.flows:
            flow.sender.watch = flow.receiver.watch = None
        if self._failure:
            raise self._failure
        logs = {host: Trace(world.server(host).ids) for host in ("inside", "remote")}
        held = resent_by_servers(world)
        return {
            "flows": [flow.report(logs, self.blows) for flow in self.flows], "faults": self.blows,
            "counters": counters.total(),
            "unacknowledged_at_servers": {host: held[host] - held_before[host] for host in held},
            "seconds": {"sending": round(sent_s, 1), "until_quiet": round(total_s, 1)},
        }

    def _prepare(self):
        """Both directions have streams, so that a fault meets a running exchange."""
        for flow in self.flows:
            body = f"before {flow.key}"
            end = time.monotonic() + 60
            flow.receiver.mark()
            while True:
                flow.sender.message(flow.receiver.jid, body)
                try:
                    flow.receiver.expect_message(body, timeout_s=5)
                    break
                except AssertionError:
                    if time.monotonic() > end:
                        raise

    def _watch(self, event):
        """A client's event: of stanzas of this burst only their numbers are kept."""
        if event["ev"] not in ("stanza", "unsent"):
            return False
        ids = ID.findall(event["xml"])
        flow = self._by_key.get(ids[0][0]) if ids else None
        if flow is None:
            return False
        now = self._last_event = time.monotonic()
        if event["ev"] == "unsent":
            flow.unsent.update(int(number) for _, number in ids)
            return True
        xml = ElementTree.fromstring(event["xml"])
        number = int(ids[0][1])
        if xml.get("type") == "error":
            flow.errors.append((number, condition_of(xml)))
        else:
            flow.arrived.append((number, now))
        return True

    def _send(self, flow):
        draw = random.Random(self._plan.seed + len(flow.key))
        up = self._up["inside" if flow.sender.jid == ALICE else "remote"]
        start, number = time.monotonic(), 0
        while number < self._plan.messages and not self._failure:
            up.wait()
            count = min(draw.randint(1, CHUNK), self._plan.messages - number)
            numbers = range(number, number + count)
            now = time.monotonic()
            flow.sent.update((n, now) for n in numbers)
            flow.sender.send("".join(message(flow.receiver.jid, flow.id(n), "chat", flow.id(n)) for n in numbers))
            number += count
            time.sleep(max(0.0, start + number / self._plan.rate - time.monotonic()))

    def _strike(self, counters):
        """The blows, at random moments of the sending."""
        length = self._plan.messages / self._plan.rate
        start = time.monotonic()
        try:
            for moment in sorted(self._draw.uniform(0.05, 0.9) for _ in range(self._plan.blows)):
                if not self._plan.faults:
                    return
                time.sleep(max(0.3, start + moment * length - time.monotonic()))
                self._blow(self._draw.choice(self._plan.faults), time.monotonic() - start, counters)
        except Exception as error:  # the burst ends, and says it
            self._failure = error
        finally:
            for event in self._up.values():
                event.set()

    def _blow(self, name, at_s, counters):
        if name in ("edge", "core"):
            counters.before_kill(name)
        if name in self._up:
            self._up[name].clear()
        began = time.time()
        down = FAULTS[name][1](self._world, self._draw)
        if name in self._up:
            self._up[name].set()
        clock = time.strftime("%H:%M:%S", time.gmtime(began)) + f".{int(began * 1000) % 1000:03}Z"
        self.blows.append({"what": name, "at_s": round(at_s, 2), "utc": clock, "at": round(began, 3), "down_s": round(down, 2)})

    def _wait_for_quiet(self, counters):
        """Until nothing is missing and nothing more comes, or nothing has come for long and no node holds anything."""
        start = self._last_event = time.monotonic()
        while True:
            idle = time.monotonic() - self._last_event
            missing = any(flow.missing() for flow in self.flows)
            if idle > (self._plan.quiet_s if missing else SETTLE_S):
                if not missing or time.monotonic() > start + WAITING_S or not counters.waiting():
                    return
            time.sleep(0.2)


def condition_of(xml):
    error = xml.find("c:error", NS)
    for child in error if error is not None else ():
        if child.tag.startswith("{" + NS["err"] + "}") and not child.tag.endswith("}text"):
            return child.tag.split("}")[1] + (": " + text if (text := error.findtext("err:text", "", NS)) else "")
    return "no condition"


def faultless(result):
    return all(not flow["lost"] and not flow["reordered"] for flow in result["flows"])


def table(result):
    """The result as lines of text."""
    columns = ("sent", "delivered", "answered", "lost", "lost_at_servers", "doubled", "reordered", "reordered_at_servers")
    yield f"{'from':20} {'to':20} " + " ".join(f"{name:>{max(9, len(name))}}" for name in columns)
    for flow in result["flows"]:
        yield f"{flow['from']:20} {flow['to']:20} " + " ".join(f"{flow[name]:>{max(9, len(name))}}" for name in columns)
    for flow in result["flows"]:
        for name in ("conditions", "lost_numbers", "reordered_numbers", "doubled_numbers"):
            if flow[name]:
                yield f"{flow['from']}: {name}: {flow[name]}"
    for role, counts in result["counters"].items():
        yield f"{role}: " + ", ".join(f"{name} {count}" for name, count in counts.items())
    for host, count in result["unacknowledged_at_servers"].items():
        yield f"{host}: {count} unacknowledged when a stream ended"
    for blow in result["faults"]:
        yield f"{blow['utc']} {blow['what']} for {blow['down_s']} s"
