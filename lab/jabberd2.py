"""jabberd2 (Debian 12: 2.7.0) as a server of the lab: router, sm, s2s and c2s.

It proves itself by dialback only (no SASL EXTERNAL in s2s) and serves no rooms. It stores in SQLite: its file system
driver hands out in any order the messages that waited for a user, and after that sm may answer nobody. That file is in
memory: sm waits for the disk after each message for a user who is not there, and logs nobody in meanwhile.
"""

import contextlib
import os
import signal
import sqlite3
import tempfile

from . import process

MODULES = "/usr/lib/x86_64-linux-gnu/jabberd2"
CHAINS = {  # the modules of sm for each kind of stanza, without group chat, vCards and others
    "sess-start": "", "sess-end": "iq-last",
    "in-sess": "validate privacy roster iq-ping disco offline presence deliver",
    "out-sess": "", "in-router": "session validate presence privacy", "out-router": "privacy",
    "pkt-sm": "iq-last iq-ping iq-time iq-version disco presence",
    "pkt-user": "roster presence disco deliver offline iq-last",
    "pkt-router": "session disco", "user-load": "active roster roster-publish privacy",
    "user-unload": "", "user-create": "active", "user-delete": "active offline privacy roster",
    "disco-extend": "iq-version",
}
TABLES = {  # what these modules store, beside owner and sequence
    "active": '"time" INTEGER NOT NULL DEFAULT 0',
    "logout": '"time" INTEGER NOT NULL DEFAULT 0',
    "roster-items": '"jid" TEXT NOT NULL, "name" TEXT, "to" BOOLEAN NOT NULL, "from" BOOLEAN NOT NULL, '
                    '"ask" INTEGER NOT NULL',
    "roster-groups": '"jid" TEXT NOT NULL, "group" TEXT NOT NULL',
    "published-roster": '"jid" TEXT NOT NULL, "group" TEXT, "name" TEXT, "to" BOOLEAN NOT NULL, '
                        '"from" BOOLEAN NOT NULL, "ask" INTEGER NOT NULL',
    "published-roster-groups": '"groupname" TEXT NOT NULL',
    "queue": '"xml" TEXT NOT NULL',
    "privacy-default": '"default" TEXT',
    "privacy-items": '"list" TEXT NOT NULL, "type" TEXT, "value" TEXT, "deny" BOOL, "order" INTEGER, "block" INTEGER',
}


class Jabberd2:
    """One jabberd2: four processes on the loopback of its namespace."""

    kind = "jabberd2"

    def __init__(self, site, network, folder, log):
        if site.rooms:
            raise process.LabError("jabberd2 has no group chat service")
        self.site, self.network, self.folder = site, network, folder
        os.makedirs(folder, exist_ok=True)
        self._log, self.ids = log, f"{log}.messages"
        self._memory = tempfile.TemporaryDirectory(dir="/dev/shm", prefix="lab-")  # removed with this object
        self._store()
        self._write("server.pem", "".join(open(p).read() for p in (site.certificate, site.key)))
        self._write("router-users.xml", "<users><user><name>jabberd</name>"
                    "<secret>secret</secret></user></users>")
        self._write("router-filter.xml", "<rules/>")
        for name, text in (("router", self._router()), ("sm", self._sm()),
                           ("s2s", self._s2s()), ("c2s", self._c2s())):
            self._write(f"{name}.xml", text)
        self._write("anyone", "#!/bin/sh\necho OK USER-EXISTS CHECK-PASSWORD\n"
                    "while read -r question; do echo OK; done\n")
        os.chmod(f"{folder}/anyone", 0o755)
        network.resolver(site.host, site.nameserver)
        self.logs = [f"{log}.{name}" for name in ("router", "sm", "s2s", "c2s")]
        self.processes = [
            process.Process(f"jabberd2-{name} {site.host}", network.namespace(site.host),
                            [f"jabberd2-{name}", "-c", f"{folder}/{name}.xml"], f"{log}.{name}")
            for name in ("router", "sm", "s2s", "c2s")]

    def start(self):
        where = self.network.namespace(self.site.host)
        self.processes[0].start()
        process.wait_until("jabberd2's router", lambda: process.listens(where, "127.0.0.1", 5347), 10)
        for part in self.processes[1:]:
            part.start()

    def kill(self, with_signal=signal.SIGKILL):
        for part in reversed(self.processes):
            part.kill(with_signal)

    def ready(self):
        where = self.network.namespace(self.site.host)
        return all(process.listens(where, self.site.ip, port) for port in (5222, 5269))

    def _store(self):
        with contextlib.closing(sqlite3.connect(f"{self._memory.name}/sm.db")) as store:
            store.execute("PRAGMA journal_mode = WAL")
            for name, columns in TABLES.items():
                store.execute(f'CREATE TABLE IF NOT EXISTS "{name}" ("collection-owner" TEXT NOT NULL, '
                              f'"object-sequence" INTEGER PRIMARY KEY, {columns})')

    def _write(self, name, text):
        with open(f"{self.folder}/{name}", "w") as file:
            file.write(text)

    def _common(self, name):
        return (f"<id>{name}</id><pidfile>{self.folder}/{name}.pid</pidfile>"
                "<router><ip>127.0.0.1</ip><port>5347</port><user>jabberd</user><pass>secret</pass>"
                "<retry><init>20</init><lost>20</lost><sleep>1</sleep></retry></router>"
                f"<log type='stdout'/>")

    def _router(self):
        return (f"<router><id>router</id><pidfile>{self.folder}/router.pid</pidfile><log type='stdout'/>"
                f"<local><ip>127.0.0.1</ip><port>5347</port><users>{self.folder}/router-users.xml</users>"
                "<secret>secret</secret></local><check><interval>60</interval></check>"
                "<io><max_fds>1024</max_fds><access><order>allow,deny</order></access></io>"
                "<aci><acl type='all'><user>jabberd</user></acl>"
                f"<filter>{self.folder}/router-filter.xml</filter></aci>"
                f"<message_logging><enabled/><file>{self.ids}</file></message_logging></router>")

    def _sm(self):
        ids = "".join(f"<id>{domain}</id>" for domain in self.site.domains)
        chains = "".join(
            f"<chain id='{chain}'>" + "".join(f"<module>{m}</module>" for m in names.split()) + "</chain>"
            for chain, names in CHAINS.items())
        return (f"<sm>{self._common('sm')}<local>{ids}</local>"
                f"<storage><path>{MODULES}</path><driver>sqlite</driver><sqlite>"
                f"<dbname>{self._memory.name}/sm.db</dbname><busy-timeout>2000</busy-timeout></sqlite></storage>"
                f"<modules><path>{MODULES}</path>{chains}</modules>"
                "<discovery><identity><category>server</category><type>im</type><name>lab</name></identity></discovery>"
                "<user><auto-create/></user></sm>")

    def _s2s(self):
        return (f"<s2s>{self._common('s2s')}"
                f"<local><ip>{self.site.ip}</ip><port>5269</port><pemfile>{self.folder}/server.pem</pemfile></local>"
                "<io><max_fds>1024</max_fds><limits><stanzasize>524288</stanzasize></limits></io>"
                "<check><interval>5</interval><queue>30</queue><retry>60</retry><idle>86400</idle>"
                "<keepalive>0</keepalive><dnscache>30</dnscache></check>"
                "<lookup><srv>xmpp-server</srv><min-ttl>5</min-ttl><max-ttl>60</max-ttl>"
                "<bad-host-timeout>3</bad-host-timeout></lookup>"
                "<security><require_tls/></security></s2s>")

    def _c2s(self):
        ids = "".join(f"<id>{domain}</id>" for domain in self.site.domains)
        # Any password is accepted: the lab does not test the authentication of users.
        return (f"<c2s>{self._common('c2s')}<local>{ids}<ip>{self.site.ip}</ip><port>5222</port></local>"
                "<io><max_fds>1024</max_fds><limits><bytes>0</bytes><stanzas>0</stanzas>"
                "<stanzasize>524288</stanzasize></limits><access><order>allow,deny</order></access></io>"
                f"<authreg><path>{MODULES}</path><module>pipe</module>"
                f"<pipe><exec>{self.folder}/anyone</exec></pipe>"
                "<mechanisms><traditional><plain/></traditional><sasl><plain/></sasl></mechanisms></authreg></c2s>")
