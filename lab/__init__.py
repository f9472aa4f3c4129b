"""The lab: real XMPP servers, DNS and the gateway in network namespaces.

A *world* (world.py) is one complete network: lan, dmz and world behind a router
whose rules are the port table of the architecture. Several worlds run at once;
each has a name of its own, one temporary directory and no other state, except
for namespaces and /etc/netns entries that begin with its name.

Standard library only; slixmpp is used by agent.py, which runs inside the
namespaces. Root is needed.
"""
