"""A minimal s2s peer (STARTTLS, SASL EXTERNAL) that sends stanzas to the nodes and receives them."""

import base64
import re
import socket
import ssl
import threading

NAMESPACES = ("xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
              "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'")
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"


class Peer:
    """One end of a stream: text in and out."""

    def __init__(self, connection, own, to):
        self.socket, self.own, self.to, self.text = connection, own, to, ""
        self.socket.settimeout(10)

    def say(self, text):
        self.socket.sendall(text.encode())

    def header(self, more=""):
        self.say(f"<?xml version='1.0'?><stream:stream {NAMESPACES} from='{self.own}' to='{self.to}'{more}>")

    def hear(self, pattern):
        """Read until the pattern is found; removes the text up to and including it."""
        while not (found := re.search(pattern, self.text, re.S)):
            more = self.socket.recv(65536)
            if not more:
                raise EOFError(f"no {pattern} in: {self.text}")
            self.text += more.decode()
            if "<stream:error>" in self.text:
                raise EOFError(self.text)
        self.text = self.text[found.end():]
        return found

    def secure(self, context, **words):
        self.socket = context.wrap_socket(self.socket, **words)
        self.text = ""


def client_context(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate, key)
    return context


def open_stream(port, own, to, context):
    """Connect and prove `own` by its certificate; returns a stream that accepts stanzas."""
    peer = Peer(socket.create_connection(("127.0.0.1", port), timeout=10), own, to)
    peer.header()
    peer.hear(r"starttls")
    peer.say(STARTTLS)
    peer.hear(r"<proceed[^>]*>")
    peer.secure(context, server_hostname=to)
    peer.header()
    if "EXTERNAL" not in peer.hear(r"<stream:features>.*?</stream:features>").group(0):
        raise PermissionError(f"{to} does not accept {own}")
    peer.say(f"<auth {SASL} mechanism='EXTERNAL'>{base64.b64encode(own.encode()).decode()}</auth>")
    peer.hear(r"<success[^>]*>")
    peer.header()
    peer.hear(r"</stream:features>|<stream:features/>")
    return peer


class Server:
    """Accepts streams for any domain, and keeps the messages that arrive: {(from, to): [body]}."""

    def __init__(self, certificate, key, client_ca):
        self.messages, self.lock = {}, threading.Lock()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.load_verify_locations(client_ca)
        self.context.verify_mode = ssl.CERT_REQUIRED
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        # A thread that waits for a connection does not notice that the socket is closed.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        peer = Peer(connection, "", "")
        try:
            self._negotiate(peer)
            while True:
                found = peer.hear(r"<message[^>]*?\bfrom=['\"]([^'\"]*)['\"].*?</message>")
                to = re.search(r"\bto=['\"]([^'\"]*)['\"]", found.group(0)).group(1)
                body = re.search(r"<body[^>]*>(.*?)</body>", found.group(0))
                with self.lock:
                    self.messages.setdefault((found.group(1), to), []).append(body.group(1) if body else found.group(0))
        except (OSError, EOFError):
            connection.close()

    def _negotiate(self, peer):
        for features, ask in ((STARTTLS, r"<starttls[^>]*>"),
                              (f"<mechanisms {SASL}><mechanism>EXTERNAL</mechanism></mechanisms>", r"<auth.*?</auth>"),
                              ("", None)):
            head = peer.hear(r"<stream:stream[^>]*>").group(0)
            peer.to, peer.own = (re.search(rf"\b{name}=['\"]([^'\"]*)['\"]", head).group(1) for name in ("from", "to"))
            peer.header(" id='x'")
            peer.say(f"<stream:features>{features}</stream:features>")
            if ask:
                peer.hear(ask)
            if features == STARTTLS:
                peer.say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                peer.secure(self.context, server_side=True)
            elif ask:
                peer.say(f"<success {SASL}/>")
