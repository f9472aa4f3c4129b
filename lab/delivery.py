"""Numbered bursts of messages through a gateway, and what became of each message."""

import random
import threading
import time
from dataclasses import dataclass
from xml.etree import ElementTree

from . import ghosts
from . import room as rooms
from .client import NS, message
from .faults import FAULTS, Counters
from .trace import AT_SERVERS, ID, Trace, answered_by_server, changed_by_servers, dropped_by_server, resent_by_servers, where_lost
from .world import ALICE, BOB

CHUNK = 20  # messages at most that are sent at once
WAITING_S = 300  # how long a message is awaited that a node holds
SETTLE_S = 4  # after the last missing message: time in which a second copy would arrive
DIRECTIONS = {"out": [(ALICE, BOB)], "in": [(BOB, ALICE)], "both": [(ALICE, BOB), (BOB, ALICE)]}


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
        self.outward = sender.jid == ALICE
        self.key = run + ("out" if self.outward else "in")
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
        for number, when in self.arrived:
            if number in first:
                doubled.append(number)
                continue
            first[number] = when
            if number < newest:
                by_servers = changed_by_servers(self, logs, blows, self.id(number), self.id(newest))
                (at_servers if by_servers else reordered).append(number)
            newest = max(newest, number)
        answered = {number for number, _ in self.errors}
        conditions = [condition for _, condition in self.errors]
        waits = sorted(when - self.sent[number] for number, when in first.items())
        where = where_lost(self, logs, blows)
        return {
            "from": self.sender.jid, "to": self.receiver.jid, "sent": len(self.sent) - len(self.unsent),
            "delivered": len(first), "answered": len(answered - set(first)),
            "answered_by_server": len(answered_by_server(self, logs, answered - set(first))),
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


def new_run():
    """A name that the ids of a burst begin with."""
    return f"b{random.SystemRandom().randrange(1 << 24):06x}"


class Burst:
    """Runs a Plan in a world whose clients are logged in, and beside it a Room whose occupants have entered."""

    def __init__(self, world, plan, room=None):
        self._world, self._plan, self._room = world, plan, room
        self._draw = random.Random(plan.seed)
        self._up = {host: threading.Event() for host in ("inside", "remote")}
        for event in self._up.values():
            event.set()
        run = new_run()
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
        self._sending = True
        beside = [threading.Thread(target=self._room.send, args=(flow, lambda: self._sending))
                  for flow in (self._room.flows if self._room else ())]
        for thread in threads + beside:
            thread.start()
        for thread in threads:
            thread.join()
        self._sending = False
        for thread in beside:
            thread.join()
        sent_s = time.monotonic() - start
        self._wait_for_quiet(counters)
        total_s = time.monotonic() - start
        for flow in self.flows:
            flow.sender.watch = flow.receiver.watch = None
        if self._failure:
            raise self._failure
        servers = {host: world.server(host) for host in ("inside", "remote")}
        logs = {host: Trace(server.ids, server.kind != "jabberd2") for host, server in servers.items()}
        held = resent_by_servers(world)
        room = {"room": self._room.report(
            lambda flow: where_lost(flow, logs, self.blows),
            lambda flow, *pair: changed_by_servers(flow, logs, self.blows, *pair),
            lambda copies, id: dropped_by_server(copies, logs, self.blows, id))} if self._room else {}
        return {
            **room, "flows": [flow.report(logs, self.blows) for flow in self.flows], "faults": self.blows,
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
            order = self._draw.sample(self._plan.faults, len(self._plan.faults))
            for number, moment in enumerate(sorted(self._draw.uniform(0.05, 0.9) for _ in range(self._plan.blows))):
                if not self._plan.faults:
                    return
                time.sleep(max(0.3, start + moment * length - time.monotonic()))
                self._blow(order[number % len(order)], time.monotonic() - start, counters)
        except Exception as error:  # the burst ends, and says it
            self._failure = error
        finally:
            for event in self._up.values():
                event.set()

    def _blow(self, name, at_s, counters):
        node = name.replace("drain", "edge")
        if node in self._world.gateway.nodes:
            counters.before_end(node)
        if name in self._up:
            self._up[name].clear()
        began, monotonic = time.time(), time.monotonic()
        down = FAULTS[name][1](self._world, self._draw)
        if name in self._up:
            self._up[name].set()
        if self._room:
            self._room.struck(name, monotonic)
        clock = time.strftime("%H:%M:%S", time.gmtime(began)) + f".{int(began * 1000) % 1000:03}Z"
        self.blows.append({"what": name, "at_s": round(at_s, 2), "utc": clock, "at": round(began, 3),
                           "monotonic": monotonic, "down_s": round(down, 2)})

    def _wait_for_quiet(self, counters):
        """Until nothing is missing and nothing more comes, or nothing has come for long and no node holds anything."""
        start = self._last_event = time.monotonic()
        while True:
            idle = time.monotonic() - max(self._last_event, self._room.last_event if self._room else 0)
            missing = any(flow.missing() for flow in self.flows) or self._room and self._room.missing()
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
    return (all(not flow["lost"] and not flow["reordered"] for flow in result["flows"])
            and ("room" not in result or rooms.faultless(result["room"], [blow["what"] for blow in result["faults"]]))
            and ("outage" not in result or ghosts.faultless(result["outage"])))


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
    yield from rooms.table(result["room"]) if "room" in result else ()
    yield from ghosts.table(result["outage"]) if "outage" in result else ()
    for role, counts in result["counters"].items():
        yield f"{role}: " + ", ".join(f"{name} {count}" for name, count in counts.items())
    for host, count in result["unacknowledged_at_servers"].items():
        yield f"{host}: {count} unacknowledged when a stream ended"
    for blow in result["faults"]:
        yield f"{blow['utc']} {blow['what']} for {blow['down_s']} s"
