#!/usr/bin/env python3
"""Many light XMPP clients in one namespace, each of them an occupant of one room; controlled by JSON lines on stdin.

A client logs in, enters the room, and does so again after it has lost its connection or its place, which it asks the
room about now and then (XEP-0410). It reports only what room.py counts, as JSON lines on stdout. A full client library
would take a processor for fifty of them.

    {"op": "add", "jid": ..., "password": ..., "address": ..., "nick": ..., "room": ...}
    {"op": "send", "jid": ..., "xml": ...}    one or more stanzas, as they stand
    {"op": "enter", "jid": ...}               enters the room again: what the client knew of it does not count

    ["online" | "offline", jid]        ["in", jid]        ["out", jid, why]
    ["message", jid, id]               ["error", jid, id, condition]
    ["unsent", jid, xml]               ["answer", jid, id, xml]
"""

import asyncio
import base64
import json
import sys
from xml.etree import ElementTree

CLIENT, STREAM = "{jabber:client}", "{http://etherx.jabber.org/streams}"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STANZAS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
MUC = "http://jabber.org/protocol/muc"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
PING = "{urn:xmpp:ping}ping"
AGAIN_S = 1  # after a lost place or connection
ENTER_S = 10  # without an answer of the room
SELF_PING_S = 15
SELF_PING = "self-ping"


def report(*event):
    sys.stdout.write(json.dumps(event) + "\n")


def condition_of(stanza):
    error = stanza.find(CLIENT + "error")
    for child in error if error is not None else ():
        if child.tag.startswith(STANZAS) and not child.tag.endswith("}text"):
            return child.tag[len(STANZAS):] + (": " + text if (text := error.findtext(STANZAS + "text")) else "")
    return "no condition"


class Parser:
    """The stanzas of one stream, each when it is complete."""

    def __init__(self):
        self._pull, self._depth, self._root = ElementTree.XMLPullParser(("start", "end")), 0, None

    def feed(self, data):
        self._pull.feed(data)
        for event, element in self._pull.read_events():
            self._depth += 1 if event == "start" else -1
            if event == "start" and self._depth == 1:
                self._root = element
            if event == "end" and self._depth == 1:
                yield element
                self._root.clear()


class Occupant:
    """One client and its place in the room."""

    def __init__(self, order):
        self.jid, self._password, self._address = order["jid"], order["password"], order["address"]
        self._room, self._place = order["room"], f"{order['room']}/{order['nick']}"
        self._user, self._domain = self.jid.split("@")
        self._writer, self._online, self._timer, self._inside = None, False, None, False

    async def run(self):
        while True:
            try:
                await self._session()
            except (OSError, EOFError, ElementTree.ParseError):
                pass
            if self._timer:
                self._timer.cancel()
            if self._online:
                self._online = self._inside = False
                report("offline", self.jid)
            if self._writer:
                self._writer.close()
            await asyncio.sleep(AGAIN_S)

    def send(self, xml):
        if self._online:
            self._writer.write(xml.encode())
        else:
            report("unsent", self.jid, xml)

    def enter(self):
        """Enters the room, and asks again when no answer comes."""
        if self._online:
            self.send(f"<presence to='{self._place}'><x xmlns='{MUC}'><history maxstanzas='0'/></x></presence>")
            self._later(ENTER_S)

    def _later(self, seconds):
        self._inside = False
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.enter)

    def _ping(self):
        if self._inside:
            self.send(f"<iq type='get' id='{SELF_PING}' to='{self._place}'><ping xmlns='{PING[1:-5]}'/></iq>")
            self._timer = asyncio.get_running_loop().call_later(SELF_PING_S, self._ping)

    async def _session(self):
        reader, self._writer = await asyncio.wait_for(asyncio.open_connection(self._address, 5222), 5)
        await asyncio.wait_for(self._log_in(reader), 20)
        self._writer.write(b"<presence/>")
        self._online = True
        report("online", self.jid)
        self.enter()
        while True:
            stanza = await self._next(reader)
            self._handle(stanza)

    async def _log_in(self, reader):
        await self._open(reader)
        secret = base64.b64encode(f"\0{self._user}\0{self._password}".encode()).decode()
        self._writer.write(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{secret}</auth>".encode())
        if (await self._next(reader)).tag != f"{{{SASL}}}success":
            raise EOFError
        features = await self._open(reader)
        await self._ask(reader, f"<bind xmlns='{BIND}'><resource>lab</resource></bind>")
        if features.find("{urn:ietf:params:xml:ns:xmpp-session}session") is not None:
            await self._ask(reader, "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")

    async def _open(self, reader):
        self._parser, self._ready = Parser(), []
        self._writer.write(f"<stream:stream xmlns='jabber:client' xmlns:stream='{STREAM[1:-1]}' to='{self._domain}'"
                           " version='1.0'>".encode())
        return await self._next(reader)

    async def _ask(self, reader, payload):
        self._writer.write(f"<iq type='set' id='log-in'>{payload}</iq>".encode())
        while (stanza := await self._next(reader)).get("id") != "log-in":
            pass
        if stanza.get("type") != "result":
            raise EOFError

    async def _next(self, reader):
        while not self._ready:
            sys.stdout.flush()
            data = await reader.read(1 << 16)
            if not data:
                raise EOFError
            self._ready = list(self._parser.feed(data))
            self._ready.reverse()
        return self._ready.pop()

    # --- what arrives ---

    def _handle(self, stanza):
        kind, sender = stanza.tag[len(CLIENT):], stanza.get("from", "")
        if kind == "message" and sender.split("/")[0] == self._room:
            if stanza.get("type") == "error":
                self._refused(stanza)
            elif body := stanza.findtext(CLIENT + "body"):
                report("message", self.jid, body)
        elif kind == "presence" and sender == self._place:
            self._own_presence(stanza)
        elif kind == "iq":
            self._iq(stanza)

    def _refused(self, stanza):
        condition = condition_of(stanza)
        report("error", self.jid, stanza.get("id", ""), condition)
        if condition.startswith("not-acceptable") and self._inside:
            report("out", self.jid, "message: not an occupant")
            self._later(AGAIN_S)

    def _own_presence(self, stanza):
        kind = stanza.get("type")
        if kind is None:
            if not self._inside:
                self._timer.cancel()
                self._inside = True
                self._timer = asyncio.get_running_loop().call_later(SELF_PING_S, self._ping)
            report("in", self.jid)
        elif kind in ("unavailable", "error"):
            codes = [status.get("code") for status in stanza.iter(f"{{{MUC}#user}}status")]
            why = condition_of(stanza) if kind == "error" else f"unavailable {' '.join(codes)}".strip()
            report("out", self.jid, why)
            self._later(AGAIN_S)

    def _iq(self, stanza):
        if stanza.get("id") == SELF_PING:
            if self._inside and stanza.get("type") == "error" and condition_of(stanza).startswith("not-acceptable"):
                report("out", self.jid, "self-ping: not an occupant")
                self._later(AGAIN_S)
        elif stanza.get("type") in ("result", "error"):
            report("answer", self.jid, stanza.get("id", ""), ElementTree.tostring(stanza, encoding="unicode"))
        else:
            self._answer(stanza)

    def _answer(self, stanza):
        answer = ElementTree.Element("iq", id=stanza.get("id", ""), to=stanza.get("from", ""))
        answer.set("type", "result" if stanza.find(PING) is not None else "error")
        if answer.get("type") == "error":
            error = ElementTree.SubElement(answer, "error", type="cancel")
            ElementTree.SubElement(error, "service-unavailable", xmlns=STANZAS[1:-1])
        if not answer.get("to"):
            del answer.attrib["to"]
        self.send(ElementTree.tostring(answer, encoding="unicode"))


async def main():
    occupants, tasks = {}, []
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        if order["op"] == "add":
            occupants[order["jid"]] = Occupant(order)
            tasks.append(asyncio.create_task(occupants[order["jid"]].run()))
        elif order["op"] == "send":
            occupants[order["jid"]].send(order["xml"])
        elif order["op"] == "enter":
            occupants[order["jid"]].enter()
        sys.stdout.flush()


asyncio.run(main())
