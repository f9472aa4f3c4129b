"""XMPP servers of the lab: the common part.

A Site says what a server shall be; prosody.py, ejabberd.py and jabberd2.py turn it
into configuration and processes.
"""

from dataclasses import dataclass, field

from . import address as at


@dataclass
class Site:
    """The settings of one XMPP server. Paths are files; addresses and names as in address.py."""

    host: str  # host of the lab, gives namespace and address
    domains: list  # virtual hosts
    accounts: dict  # bare JID -> password
    certificate: str  # PEM with every name of this server
    key: str
    rooms: str = ""  # domain of the group chat service; "": none
    trusted_ca: str = ""  # the CA of its peers; "": none, so it authenticates them by dialback
    demand_certificate: bool = False  # refuse peers without a certificate of trusted_ca
    external: bool = True  # may use and offer SASL EXTERNAL
    nameserver: str = at.ip("dns")
    trace: bool = False  # log every stanza
    smacks: bool = False  # stream management (XEP-0198) between servers, where it can
    extra: dict = field(default_factory=dict)

    @property
    def ip(self):
        return at.ip(self.host)
