#!/usr/bin/env python3
"""XMPP clients (slixmpp) in one namespace, controlled by JSON lines on stdin.

It decides nothing: it logs in, sends the XML it is given, and reports every stanza
that arrives, and what it could not send, as JSON lines on stdout. Disco and ping
(XEP-0030, XEP-0199) are answered by slixmpp. client.py is the other end.

    {"op": "connect", "jid": ..., "password": ..., "address": ...}
    {"op": "send", "jid": ..., "xml": ...}      one or more stanzas, as they stand
    {"op": "drop", "jid": ...}                  close the client
"""

import asyncio
import json
import logging
import sys
from xml.etree import ElementTree

import slixmpp
from slixmpp.xmlstream.matcher import MatchXPath
from slixmpp.xmlstream.handler import Callback


def report(**event):
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class Client(slixmpp.ClientXMPP):
    """One session; reports 'online', 'failed', 'offline' and 'stanza'."""

    def __init__(self, jid, password):
        super().__init__(jid, password)
        self.name = jid
        self.roster.auto_authorize = None  # the script handles subscriptions
        self.roster.auto_subscribe = False
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        # jabberd2 without c2s encryption offers PLAIN only.
        self["feature_mechanisms"].unencrypted_plain = True
        for kind in ("message", "presence", "iq"):
            self.register_handler(Callback(
                f"report {kind}", MatchXPath("{jabber:client}" + kind), self._stanza))
        self.add_event_handler("session_start", self._online)
        self.add_event_handler("failed_auth", lambda _: report(ev="failed", jid=jid, why="authentication"))
        self.add_event_handler("connection_failed", lambda e: report(ev="failed", jid=jid, why=str(e)))
        self.add_event_handler("disconnected", lambda _: report(ev="offline", jid=jid))

    async def _online(self, _):
        await self.get_roster()
        report(ev="online", jid=self.name, full=str(self.boundjid))

    def _stanza(self, stanza):
        report(ev="stanza", jid=self.name, xml=ElementTree.tostring(stanza.xml, encoding="unicode"))


async def main():
    clients = {}
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        jid = order["jid"]
        if order["op"] == "connect":
            clients[jid] = Client(jid, order["password"])
            clients[jid].connect((order["address"], 5222), disable_starttls=True)
        elif order["op"] == "send":
            if jid in clients and clients[jid].transport:
                clients[jid].send_raw(order["xml"])
            else:
                report(ev="unsent", jid=jid, xml=order["xml"])
        elif order["op"] == "drop" and jid in clients:
            clients.pop(jid).abort()


logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
asyncio.run(main())
