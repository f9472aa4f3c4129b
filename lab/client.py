"""Clients of a world, scripted from outside their namespace.

A Client remembers every stanza that reached it. `expect` waits for the first one
after the last that was expected, so a script reads like the dialogue it checks.
"""

import itertools
import threading
import time
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from .process import LabError, Script

NS = {
    "c": "jabber:client",
    "err": "urn:ietf:params:xml:ns:xmpp-stanzas",
    "muc": "http://jabber.org/protocol/muc",
    "user": "http://jabber.org/protocol/muc#user",
    "delay": "urn:xmpp:delay",
    "items": "http://jabber.org/protocol/disco#items",
    "info": "http://jabber.org/protocol/disco#info",
}


class Stanza:
    """A received stanza: its text, and accessors."""

    def __init__(self, text):
        self.text = text
        self.xml = ElementTree.fromstring(text)
        self.kind = self.xml.tag.split("}")[1]
        self.sender, self.type, self.id = (self.xml.get(k, "") for k in ("from", "type", "id"))

    @property
    def bare(self):
        return self.sender.split("/")[0]

    @property
    def body(self):
        return self.xml.findtext("c:body", namespaces=NS)

    @property
    def condition(self):
        """The RFC 6120 condition of an error, else ''."""
        error = self.xml.find("c:error", NS)
        for child in error if error is not None else ():
            if child.tag.startswith("{" + NS["err"] + "}") and not child.tag.endswith("}text"):
                return child.tag.split("}")[1]
        return ""

    @property
    def error_text(self):
        return self.xml.findtext("c:error/err:text", "", NS)

    def has(self, path):
        return self.xml.find(path, NS) is not None

    def __repr__(self):
        return self.text if len(self.text) < 600 else self.text[:600] + "..."


class Agent(Script):
    """The process in a namespace that runs clients (agent.py)."""

    def __init__(self, namespace, log):
        self._clients = {}
        super().__init__(namespace, "agent.py", log, self._handle)

    def add(self, client):
        self._clients[client.jid] = client

    def _handle(self, event):
        client = self._clients.get(event["jid"])
        if client:
            client.handle(event)


class Client:
    """One user's session."""

    _ids = itertools.count(1)

    def __init__(self, agent, jid, password, address):
        self.jid, self.full, self.seen = jid, None, []
        self.watch = None  # a function that takes each event first; where it returns True, nothing else does
        self._agent, self._password, self._address = agent, password, address
        self._changed = threading.Condition()
        self._states = []
        self._next = 0
        agent.add(self)

    def connect(self, timeout_s=20):
        """Log in; retries for a while, since a server may just be starting."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            self._states.clear()
            self._agent.order(op="connect", jid=self.jid, password=self._password, address=self._address)
            with self._changed:
                self._changed.wait_for(lambda: self._states, min(8, end - time.monotonic()))
                if self._states and self._states[0] == "online":
                    break
            self._agent.order(op="drop", jid=self.jid)
            time.sleep(0.3)
        else:
            raise LabError(f"{self.jid} cannot log in at {self._address}: {self._states}")
        self.send("<presence/>")
        return self

    def drop(self):
        self._agent.order(op="drop", jid=self.jid)

    def handle(self, event):
        """An event of the agent (its reader thread calls this)."""
        if self.watch and self.watch(event):
            return
        with self._changed:
            if event["ev"] == "stanza":
                self.seen.append(Stanza(event["xml"]))
            else:
                self._states.append(event["ev"])
                self.full = event.get("full", self.full)
            self._changed.notify_all()

    # --- actions of a user ---

    def send(self, xml):
        self._agent.order(op="send", jid=self.jid, xml=xml)

    def message(self, to, body, kind="chat", id=None):
        id = id or self.next_id()
        self.send(message(to, body, kind, id))
        return id

    def presence(self, to=None, kind=None, inner=""):
        words = (f" to={quoteattr(to)}" if to else "") + (f" type={quoteattr(kind)}" if kind else "")
        self.send(f"<presence{words}>{inner}</presence>")

    def join(self, room, nick, history=20):
        self.presence(f"{room}/{nick}",
                      inner=f"<x xmlns='{NS['muc']}'><history maxstanzas='{history}'/></x>")

    def iq(self, to, payload, kind="get", timeout_s=20):
        """Send a request; returns the response, a result or an error."""
        id = self.next_id()
        self.send(f"<iq type='{kind}' id='{id}' to={quoteattr(to)}>{payload}</iq>")
        return self.wait(lambda s: s.kind == "iq" and s.id == id and s.type in ("result", "error"),
                         timeout_s, f"an answer to an iq from {to}", anywhere=True)

    def next_id(self):
        return f"lab-{next(self._ids)}"

    # --- received stanzas ---

    def mark(self):
        """Ignore all stanzas so far: `expect` looks only at later ones."""
        with self._changed:
            self._next = len(self.seen)

    def expect(self, predicate, timeout_s=15, what="a stanza"):
        """The first stanza after the last expected one for which predicate holds."""
        return self.wait(predicate, timeout_s, what)

    def wait(self, predicate, timeout_s, what, anywhere=False, stay=False):
        """As expect; `stay` leaves the position (stanzas may arrive in any order), `anywhere`
        looks at earlier stanzas, too."""
        end = time.monotonic() + timeout_s
        at = 0 if anywhere else self._next
        with self._changed:
            while True:
                while at < len(self.seen):
                    at += 1
                    if predicate(self.seen[at - 1]):
                        if not anywhere and not stay:
                            self._next = at
                        return self.seen[at - 1]
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{self.jid} waited {timeout_s} s for {what}; since then it saw: "
                                         f"{self.seen[self._next:][-5:]}")
                self._changed.wait(left)

    def expect_message(self, body, sender=None, kind=None, timeout_s=15):
        return self.expect(lambda s: s.kind == "message" and s.body == body and s.type != "error"
                           and (sender is None or s.sender.startswith(sender))
                           and (kind is None or s.type == kind), timeout_s, f"the message {body[:60]!r}")

    def expect_presence(self, sender, kind="", timeout_s=15, stay=False):
        return self.wait(lambda s: s.kind == "presence" and s.sender.startswith(sender) and s.type == kind,
                         timeout_s, f"presence {kind or 'available'} of {sender}", stay=stay)

    def expect_error(self, id, timeout_s=30):
        return self.expect(lambda s: s.type == "error" and s.id == id, timeout_s, f"an error for {id}")

    def count(self, predicate):
        with self._changed:
            return sum(1 for s in self.seen if predicate(s))


def message(to, body, kind, id):
    """The text of one message stanza."""
    return (f"<message to={quoteattr(to)} type='{kind}' id='{id}'>"
            f"<body>{escape(body)}</body></message>")
