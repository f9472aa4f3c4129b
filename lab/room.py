"""A room through a gateway: occupants on both sides, numbered messages, and what became of each for each occupant.

A *stay* begins when the room shows an occupant its own presence, and ends when the occupant is told that it has left
(unavailable), or when its own server or that of the room was killed. Who stays gets each message once and in order.
Who has to find out by itself that the room does not have it any more (an error for a message or a self-ping) is
`untold`: a server removes occupants that it cannot reach while a node is dead, and then nobody can tell them.
"""

import threading
import time
from xml.etree import ElementTree

from . import address as at
from .client import message
from .process import LabError, Script, wait_until
from .trace import AT_SERVERS, Copies

ADMIN = "http://jabber.org/protocol/muc#admin"
UNTOLD = ("message: not an occupant", "self-ping: not an occupant")
KILLS = {"edge", "core", "inside", "remote"}  # faults after which occupants may be untold
ENTER_S = 90  # until all occupants have entered
GHOST_S = 60  # so long the room may keep an occupant who is not there, after its leg was declared dead
OTHER = {"inside": "remote", "remote": "inside"}
DOMAINS = {"inside": at.DOMAIN, "remote": at.REMOTE}


def accounts(host, count):
    """JID -> password of the occupants of one side."""
    return {f"occupant{n}@{DOMAINS[host]}": f"occupant{n}-lab" for n in range(count)}


class Stay:
    """One occupant's time in the room."""

    def __init__(self):
        self.begin, self.end, self.why = time.monotonic(), None, ""
        self.got = {}  # key of a flow -> [number]


class Occupant:
    """What one client has seen of the room."""

    def __init__(self, jid, crowd):
        self.jid, self.crowd, self.stays, self.strays = jid, crowd, [], 0
        self.nick = jid.replace("@", "-")

    @property
    def present(self):
        return bool(self.stays) and self.stays[-1].end is None

    def leave(self, why, when=None):
        if self.present and (when is None or self.stays[-1].begin < when):
            self.stays[-1].end, self.stays[-1].why = when or time.monotonic(), why


class RoomFlow:
    """The numbered messages of one occupant to the room."""

    def __init__(self, key, sender, outward):
        self.key, self.sender, self.outward = key, sender, outward
        self.sent, self.unsent, self.errors, self.reflected = {}, set(), {}, set()

    def id(self, number):
        return f"{self.key}-{number}"

    def missing(self):
        """Messages that reached nobody and had no answer."""
        return sorted(set(self.sent) - self.reflected - self.unsent - set(self.errors))

    def judge(self, occupant, overtook=lambda late, newer: True):
        """What one occupant has of this flow: numbers that are lost, doubled and reordered, and those missed by leaving.

        `overtook` says whether the gateway has to answer for an order. The room removes whom an error tells it of,
        and what it had sent to that occupant before is missed by leaving, too.
        """
        lost, doubled, reordered, missed, seen = [], [], [], [], set()
        for stay in occupant.stays:
            newest, got = -1, set()
            for number in stay.got.get(self.key, ()):
                if number in seen:
                    doubled.append(number)
                    continue
                seen.add(number)
                got.add(number)
                if number < newest and overtook(number, newest):
                    reordered.append(number)
                newest = max(newest, number)
            for number in self.reflected - seen:
                sent = self.sent[number]
                if sent <= stay.begin or stay.end is not None and sent >= stay.end:
                    continue
                removed = stay.why.startswith("unavailable") and sent > stay.end - GHOST_S
                (missed if removed or stay.end is not None and number > newest else lost).append(number)
        return [sorted(set(lost) - seen), doubled, reordered, sorted(set(missed) - seen)]


class Room:
    """A room on the server of `host`; `spread` is how many occupants each side has."""

    def __init__(self, world, run, host, spread, rate):
        self.world, self.host, self.spread, self.rate = world, host, spread, rate
        self.jid = f"{run}@{at.ALIAS if host == 'inside' else at.REMOTE_ROOMS}"
        # The rooms of a jabberd2 outside live on a Prosody beside it.
        self.server = "rooms" if host == "remote" and world.options.outside == "jabberd2" else host
        self.last_event = time.monotonic()
        self._crowds, self._lock, self._answers = [], threading.Lock(), {}
        self.occupants = {}
        for side in (host, OTHER[host]):
            crowd = Script(world.network.namespace(side), "occupant.py", f"{world.logs}/occupants-{side}.log",
                           lambda event: self._heard(*event))
            self._crowds.append(crowd)
            for jid, password in accounts(side, spread[side]).items():
                occupant = self.occupants[jid] = Occupant(jid, crowd)
                occupant.side, occupant.password = side, password
        near, far = (next(o for o in self.occupants.values() if o.side == side) for side in (host, OTHER[host]))
        self.witness = near
        self.flows = [RoomFlow(run + "roomnear", near, host == "inside"), RoomFlow(run + "roomfar", far, host != "inside")]
        self._by_key = {flow.key: flow for flow in self.flows}

    def stop(self):
        for crowd in self._crowds:
            crowd.stop()

    def enter(self):
        """The witness first: an occupant of the room's own side creates it."""
        for jid, occupant in self.occupants.items():
            occupant.crowd.order(op="add", jid=jid, password=occupant.password, address=at.ip(occupant.side),
                                 nick=occupant.nick, room=self.jid)
            if occupant is self.witness:
                wait_until("the first occupant in the room", lambda: self.witness.present, 30)
        wait_until("all occupants in the room", lambda: all(o.present for o in self.occupants.values()), ENTER_S)

    def send(self, flow, sending):
        """Numbered messages for as long as `sending()` is true, while the sender is in the room."""
        start, count = time.monotonic(), 0
        while sending():
            if flow.sender.present:
                number = len(flow.sent)
                with self._lock:
                    flow.sent[number] = time.monotonic()
                flow.sender.crowd.order(op="send", jid=flow.sender.jid,
                                        xml=message(self.jid, flow.id(number), "groupchat", flow.id(number)))
            count += 1
            time.sleep(max(0.0, start + count / self.rate - time.monotonic()))

    def struck(self, name, began):
        """After a fault: where the server of the room was killed, those of the other side learn nothing of it."""
        if name == self.server:
            with self._lock:
                again = [o for o in self.occupants.values() if o.side != self.host]
                for occupant in again:
                    occupant.leave("the server of the room was killed", began)
            for occupant in again:
                if not occupant.present:
                    occupant.crowd.order(op="enter", jid=occupant.jid)

    def missing(self):
        with self._lock:
            return (any(flow.missing() for flow in self.flows) or not all(o.present for o in self.occupants.values())
                    or any(flow.judge(o)[0] for flow in self.flows for o in self.occupants.values()))

    # --- what arrives ---

    def _heard(self, event, jid, *words):
        occupant = self.occupants[jid]
        with self._lock:
            self.last_event = time.monotonic()
            if event == "message":
                self._message(occupant, words[0])
            elif event == "error" and (found := self._numbered(words[0])):
                found[0].errors[found[1]] = words[1]
            elif event == "unsent":
                id = ElementTree.fromstring(words[0]).get("id", "")
                if found := self._numbered(id):
                    found[0].unsent.add(found[1])
            elif event == "in" and not occupant.present:
                occupant.stays.append(Stay())
            elif event in ("out", "offline"):
                occupant.leave(words[0] if words else "its connection to its server ended")
            elif event == "answer":
                self._answers[words[0]] = words[1]

    def _numbered(self, id):
        key, _, number = id.rpartition("-")
        return (self._by_key[key], int(number)) if key in self._by_key else None

    def _message(self, occupant, id):
        found = self._numbered(id)
        if not found:
            return
        flow, number = found
        flow.reflected.add(number)
        if occupant.present:
            occupant.stays[-1].got.setdefault(flow.key, []).append(number)
        else:
            occupant.strays += 1

    # --- who is there ---

    def nicks(self, timeout_s=10):
        """The occupants as the room lists them for its owner (XEP-0045 9.4), or None without an answer."""
        id = f"who-{time.monotonic()}"
        self.witness.crowd.order(op="send", jid=self.witness.jid, xml=f"<iq type='get' id='{id}' to='{self.jid}'>"
                                 f"<query xmlns='{ADMIN}'><item role='participant'/></query></iq>")
        try:
            wait_until("the list of occupants", lambda: id in self._answers, timeout_s)
        except LabError:
            return None
        answer = ElementTree.fromstring(self._answers[id])
        if answer.get("type") != "result":
            return None
        return {item.get("nick") for item in answer.iter(f"{{{ADMIN}}}item")}

    def disagreement(self):
        """(nicks that the room lists though they have left, occupants who do not know that the room has lost them)."""
        listed = self.nicks()
        if listed is None:
            return {"no answer of the room"}, set()
        with self._lock:
            there = {o.nick for o in self.occupants.values() if o.present and o is not self.witness}
        return listed - there, there - listed

    def settle(self, within_s=GHOST_S):
        """Waits until room and occupants agree; returns what they do not agree about, and the seconds."""
        begin = time.monotonic()
        while True:
            ghosts, unaware = self.disagreement()
            waited = time.monotonic() - begin
            if not ghosts and not unaware or waited > within_s:
                return sorted(ghosts), sorted(unaware), round(waited, 1)
            time.sleep(1)

    def report(self, where_lost, changed_by_servers, dropped_by_server):
        """All are of trace.py: where messages that reached nobody ended, who changed an order, who dropped a copy."""
        ghosts, unaware, waited = self.settle()
        with self._lock:
            rows = []
            for flow in self.flows:
                near = flow.sender.side == self.host
                late = [] if near else [pair for pair in self._overtaken(flow) if not changed_by_servers(flow, *pair)]
                rows.append(self._flow_report(flow, {AT_SERVERS[0]: flow.missing()} if near else where_lost(flow),
                                              changed_by_servers, dropped_by_server))
                rows[-1]["reordered_on_the_way_to_the_room"] = [id for id, _ in late]
            reasons = [stay.why for o in self.occupants.values() for stay in o.stays if stay.end is not None]
        return {
            "room": self.jid, "untold": sum(map(reasons.count, UNTOLD)), "occupants": dict(self.spread), "flows": rows,
            "left": {why: reasons.count(why) for why in sorted(set(reasons))},
            "strays": sum(o.strays for o in self.occupants.values()),
            "ghosts": ghosts, "unaware": unaware, "seconds_until_agreed": waited,
        }

    def _order(self, flow):
        """That of the room, as the witness beside it has seen it: number -> (place of the first copy, of the last)."""
        order = {}
        numbers = (number for stay in self.witness.stays for number in stay.got.get(flow.key, ()))
        for place, number in enumerate(numbers):
            order[number] = (order.get(number, (place,))[0], place)
        return order

    def _overtaken(self, flow):
        """(id, id that came before it into the room and was sent later)."""
        first = {number: place for number, (place, _) in self._order(flow).items()}
        newest = -1
        for number in sorted(first, key=first.get):
            if number < newest:
                yield flow.id(number), flow.id(newest)
            newest = max(newest, number)

    def _flow_report(self, flow, nobody, changed_by_servers, dropped_by_server):
        order, copies = self._order(flow), Copies(self.host == "inside")

        def overtook(late, newer):
            in_room = late in order and newer in order and order[late][1] > order[newer][0]
            return not in_room and not changed_by_servers(copies, flow.id(late), flow.id(newer))

        parts = [flow.judge(occupant, overtook) for occupant in self.occupants.values()]
        dropped = 0
        for part in parts:
            left = [number for number in part[0] if not dropped_by_server(copies, flow.id(number))]
            dropped, part[0] = dropped + len(part[0]) - len(left), left
        counts = [sum(len(part[n]) for part in parts) for n in range(4)]
        conditions = list(flow.errors.values())
        received = sum(len(stay.got.get(flow.key, ())) for o in self.occupants.values() for stay in o.stays)
        return {
            "from": flow.sender.jid, "sent": len(flow.sent) - len(flow.unsent), "reflected": len(flow.reflected),
            "answered": len(set(flow.errors) - flow.reflected),
            "reached_nobody": {place: numbers[:50] for place, numbers in nobody.items() if numbers},
            "copies": received - counts[1], "lost": counts[0], "lost_at_servers": dropped,
            "doubled": counts[1], "reordered": counts[2],
            "missed_by_leaving": counts[3], "conditions": {name: conditions.count(name) for name in sorted(set(conditions))},
            "lost_numbers": {o.nick: part[0][:30] for o, part in zip(self.occupants.values(), parts) if part[0]},
            "reordered_numbers": {o.nick: part[2][:30] for o, part in zip(self.occupants.values(), parts) if part[2]},
        }


def faultless(report, faults):
    """`faults` are the names of those that happened."""
    if report["ghosts"] or report["unaware"] or report["untold"] and not KILLS & set(faults):
        return False
    return not any(set(flow["reached_nobody"]) - set(AT_SERVERS) or flow["lost"] or flow["reordered"]
                   or flow["reordered_on_the_way_to_the_room"] for flow in report["flows"])


def table(report):
    """The report as lines of text."""
    columns = ("sent", "reflected", "answered", "copies", "lost", "lost_at_servers", "missed_by_leaving", "doubled",
               "reordered")
    yield f"room {report['room']}: occupants inside {report['occupants']['inside']}, remote {report['occupants']['remote']}"
    yield f"{'from':30} reached nobody " + " ".join(f"{name:>{max(9, len(name))}}" for name in columns)
    for flow in report["flows"]:
        yield (f"{flow['from']:30} {sum(map(len, flow['reached_nobody'].values())):14} "
               + " ".join(f"{flow[name]:>{max(9, len(name))}}" for name in columns))
        for name in ("reached_nobody", "conditions", "lost_numbers", "reordered_numbers",
                     "reordered_on_the_way_to_the_room"):
            if flow[name]:
                yield f"{flow['from']}: {name}: {flow[name]}"
    for why, count in report["left"].items():
        yield f"{count} left: {why}"
    yield (f"untold: {report['untold']}; received after leaving: {report['strays']}; room and occupants agreed after "
           f"{report['seconds_until_agreed']} s; ghosts: {report['ghosts']}; unaware: {report['unaware']}")
