"""The servers' own traces of a burst: where a message that is missing ended, and who changed the order."""

import os
import re

# Losses of servers that died: none of the gateway.
AT_SERVERS = ("not sent by the sender's server", "received by the receiver's server",
              "sent without stream management to a connection that broke", "sent just before the sender's server was killed",
              "sent by a client shortly before its server, which has no trace, lost its connection")
# Faults that break the sender's connection. An edge that has no core for 9 s ends its streams.
BREAKS_OUT, BREAKS_IN = ("core", "inner-s2s"), ("edge", "edge2", "s2s", "cut", "core")
KILLED_OUT, KILLED_IN = ("inside",), ("remote",)  # kills of the sender's server
UNWRITTEN_S = 0.5  # so old may be what a server has in buffers of its own
UNREAD_S = 30  # what was written at most so long before a break, and a second after it, may not have been read
UNTRACED_S = 5  # as UNREAD_S, where only the time is known at which the client sent it
ID = re.compile(r"\b(b[0-9a-f]{6}(?:out|in|roomnear|roomfar))-(\d+)\b")
ROUTED = re.compile(r"^\S+ \S+ \S+ (b[0-9a-f]{6}out-\d+)$")  # a line of the message log of jabberd2's router
UNACKNOWLEDGED = re.compile(r"Destroying session with (\d+) unacked stanzas")


def traces_of(flow, logs):
    """Those of the sender's and of the receiver's server."""
    return [logs[host] for host in (("inside", "remote") if flow.outward else ("remote", "inside"))]


def where_lost(flow, logs, blows=()):
    """The lost messages by how far the servers' logs show them: those between the two are the gateway's."""
    sending, receiving = traces_of(flow, logs)
    breaks = [blow["at"] for blow in blows if blow["what"] in (BREAKS_OUT if flow.outward else BREAKS_IN)]
    kills = [blow["at"] for blow in blows if blow["what"] in (KILLED_OUT if flow.outward else KILLED_IN)]
    untraced = [blow["monotonic"] for blow in blows
                if blow["what"] in (BREAKS_OUT + KILLED_OUT if flow.outward else BREAKS_IN + KILLED_IN)]
    places = {}
    for number in flow.missing():
        id = flow.id(number)
        if id in receiving.received:
            place = AT_SERVERS[1]
        elif sending.writes and id not in sending.written:
            place = AT_SERVERS[0]
        elif sending.writes and id not in sending.kept and any(-1 < at - sending.at[id] < UNREAD_S for at in breaks):
            place = AT_SERVERS[2]
        elif sending.writes and any(-0.1 < at - sending.at[id] < UNWRITTEN_S for at in kills):
            place = AT_SERVERS[3]
        elif not sending.writes and any(-1 < at - flow.sent[number] < UNTRACED_S for at in untraced):
            place = AT_SERVERS[4]
        elif sending.writes and receiving.reads:
            place = "sent by the sender's server, not received by the other"
        else:
            place = "unknown: a server without a trace"
        places.setdefault(place, []).append(number)
    return places


def answered_by_server(flow, logs, answered):
    """Those of the answered messages that the sender's server never wrote to a stream: it answered them itself."""
    sending = traces_of(flow, logs)[0]
    return {number for number in answered if sending.writes and flow.id(number) not in sending.written}


class Trace:
    """The messages that a server wrote to streams between servers, and those that it read.

    Of jabberd2 only the latter: its router logs each message that comes to it, before it passes it on.
    """

    LINE = re.compile(r"(received|kept, sent|sent) (\S+) (?:on (\S+) )?at ([\d.]+)$")

    def __init__(self, path, writes=True):
        self.reads, self.writes = bool(path), bool(path) and writes  # whether it tells of what it reads, and of what it writes
        self.written, self.written_last = {}, {}  # id -> place in the order of all writes: first and last copy
        self.received, self.streams = {}, {}  # id -> (place, stream) of the first copy; stream -> place of its first
        self.at, self.kept = {}, set()  # when each was last written; which of them stream management kept
        with open(path or os.devnull, errors="replace") as log:
            for place, line in enumerate(log):
                if routed := ROUTED.match(line):
                    self.received.setdefault(routed[1], (place, None))
                    self.streams.setdefault(None, place)
                    continue
                found = "lab_log_ids" in line and ID.search(line) and self.LINE.search(line)
                if not found:
                    continue
                way, id, stream, at = found.groups()
                if way == "received":
                    self.received.setdefault(id, (place, stream))
                    self.streams.setdefault(stream, place)
                else:
                    self.written.setdefault(id, place)
                    self.written_last[id] = place
                    self.at[id] = float(at)
                    (self.kept.add if way != "sent" else self.kept.discard)(id)


class Copies:
    """As a flow: what the server of a room sends to occupants of the other side."""

    def __init__(self, outward):
        self.outward = outward


def dropped_by_server(copies, logs, blows, id):
    """Whether the server of the room wrote this last without stream management, to a connection that broke then."""
    sending = traces_of(copies, logs)[0]
    breaks = [blow["at"] for blow in blows if blow["what"] in (BREAKS_OUT if copies.outward else BREAKS_IN)]
    return id in sending.at and id not in sending.kept and any(-1 < at - sending.at[id] < UNREAD_S for at in breaks)


def changed_by_servers(flow, logs, blows, late, newer):
    """Whether servers alone explain that `newer` overtook `late`.

    The sender's server wrote `late`, or wrote it again, after `newer`; or the receiver's server read them in their
    order, or, where a fault broke its connection, read `late` from what was left of an older stream.
    """
    sending, receiving = traces_of(flow, logs)
    if late in sending.written and newer in sending.written and sending.written_last[late] > sending.written[newer]:
        return True
    if late not in receiving.received or newer not in receiving.received:
        return False
    (place, stream), (other_place, other) = receiving.received[late], receiving.received[newer]
    broken = any(blow["what"] in (BREAKS_IN if flow.outward else BREAKS_OUT) for blow in blows)
    return place < other_place or broken and receiving.streams[stream] < receiving.streams[other]


def resent_by_servers(world):
    """Stanzas that each Prosody still held, unacknowledged, when a stream of it ended."""
    counts = {}
    for host in ("inside", "remote"):
        server = world.server(host)
        if server.kind == "Prosody":
            with open(server.logs[0], errors="replace") as log:
                counts[host] = sum(int(count) for count in UNACKNOWLEDGED.findall(log.read()))
    return counts
