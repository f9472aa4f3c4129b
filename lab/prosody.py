"""Prosody (Debian 12: 0.12.3) as a server of the lab."""

import os
import signal

from . import process

# Removes SASL EXTERNAL in both directions: a server with dialback only.
NO_EXTERNAL = """\
module:set_global();
local sasl = "urn:ietf:params:xml:ns:xmpp-sasl";
local function refuse_external(event)
	event.features:remove_children("mechanisms", sasl);
end
local function prepare(host)
	local on = prosody.hosts[host].events;
	on.add_handler("stanza/http://etherx.jabber.org/streams:features", function (event)
		event.stanza:remove_children("mechanisms", sasl);
	end, 1000);
	on.add_handler("s2s-stream-features", refuse_external, -1000);
end
module:hook("host-activated", prepare);
for host in pairs(prosody.hosts) do prepare(host); end
"""

# Logs the id of each stanza between servers: a short trace, with which Prosody keeps its speed. What is sent is
# logged when it is written: stanzas that waited for the stream pass no filter of stanzas, and mod_smacks (at -999)
# does not keep them.
LOG_IDS = """\
module:set_global();
local filters = require "util.filters";
local now = require "util.time".now;
local function log_id(way, session, id)
	if id and session.type:match("^s2s") then
		module:log("info", "%s %s on %s at %.3f", way, id, session.id, now());
	end
end
filters.add_filter_hook(function (session)
	local kept;
	filters.add_filter(session, "stanzas/in", function (stanza)
		log_id("received", session, stanza.attr and stanza.attr.id);
		return stanza;
	end, -10000);
	filters.add_filter(session, "stanzas/out", function (stanza)
		kept = session.smacks and session.outgoing_stanza_queue and stanza.attr and stanza.attr.id;
		return stanza;
	end, -10000);
	filters.add_filter(session, "bytes/out", function (data)
		local id = data:match("^<[^>]* id='([^']+)'");
		log_id(id == kept and "kept, sent" or "sent", session, id);
		return data;
	end, 10000);
end);
"""


class Prosody:
    """One Prosody, with the `start`, `kill` and `ready` that a world needs."""

    kind = "Prosody"

    def __init__(self, site, network, folder, log):
        self.site, self.network, self.folder = site, network, folder
        os.makedirs(f"{folder}/data", exist_ok=True)
        os.makedirs(f"{folder}/plugins", exist_ok=True)
        with open(f"{folder}/plugins/mod_lab_no_external.lua", "w") as file:
            file.write(NO_EXTERNAL)
        with open(f"{folder}/plugins/mod_lab_log_ids.lua", "w") as file:
            file.write(LOG_IDS)
        with open(f"{folder}/prosody.cfg.lua", "w") as file:
            file.write(self._config(log))
        self._accounts()
        self.logs = [log]
        self.ids = log
        self._process = process.Process(
            f"prosody {site.host}", network.namespace(site.host),
            ["prosody", "--config", f"{folder}/prosody.cfg.lua", "-F"], log)
        self.processes = [self._process]

    def start(self):
        self._process.start()

    def kill(self, with_signal=signal.SIGKILL):
        self._process.kill(with_signal)

    def ready(self):
        where = self.network.namespace(self.site.host)
        return all(process.listens(where, self.site.ip, port) for port in (5222, 5269))

    def _accounts(self):
        for jid, password in self.site.accounts.items():
            user, domain = jid.split("@")
            escaped = "".join(c if c.isalnum() else f"%{ord(c):02x}" for c in domain)
            os.makedirs(f"{self.folder}/data/{escaped}/accounts", exist_ok=True)
            with open(f"{self.folder}/data/{escaped}/accounts/{user}.dat", "w") as file:
                file.write(f'return {{ ["password"] = "{password}"; }};\n')

    def _config(self, log):
        site = self.site
        level = "debug" if site.trace else "info"
        modules = ["roster", "saslauth", "tls", "dialback", "disco", "ping", "posix", "time", "lab_log_ids"]
        modules += ["stanza_debug"] if site.trace else []
        modules += ["smacks"] if site.smacks else []
        modules += [] if site.external else ["lab_no_external"]
        lines = [
            "run_as_root = true", "daemonize = false",
            f'pidfile = "{self.folder}/prosody.pid"', f'data_path = "{self.folder}/data"',
            f'plugin_paths = {{ "{self.folder}/plugins" }}',
            f'certificates = "{self.folder}"',
            f'log = {{ {{ levels = {{ min = "{level}" }}, to = "file", filename = "{log}" }} }}',
            f'interfaces = {{ "{site.ip}" }}',
            "c2s_ports = { 5222 }", "s2s_ports = { 5269 }",
            "c2s_direct_tls_ports = {}", "s2s_direct_tls_ports = {}",
            "modules_enabled = { " + ", ".join(f'"{m}"' for m in modules) + " }",
            'authentication = "internal_plain"', 'storage = "internal"',
            "c2s_require_encryption = false", "allow_unencrypted_plain_auth = true", "s2s_require_encryption = true",
            f"s2s_secure_auth = {'true' if site.demand_certificate else 'false'}",
            'unbound = { resolvconf = false, hoststxt = false, '
            f'forward = {{ "{site.nameserver}@53" }} }}',
            self._tls(),
        ]
        # mod_smacks drops the oldest of more than 500 stanzas that wait for their acknowledgement, unless
        # told otherwise, and answers those of a lost stream instead of sending them again.
        lines += ["smacks_s2s_resend = true", "smacks_max_queue_size = 200000"] if site.smacks else []
        lines += [f'VirtualHost "{domain}"' for domain in site.domains]
        if site.rooms:
            lines += [f'Component "{site.rooms}" "muc"', "restrict_room_creation = false",
                      "muc_room_locking = false", "muc_room_default_persistent = true",
                      "muc_room_default_public = true", 'modules_enabled = { "ping" }']
        return "\n".join(lines) + "\n"

    def _tls(self):
        parts = [f'certificate = "{self.site.certificate}"', f'key = "{self.site.key}"']
        # Without a CA of its own Prosody would use the system's, which does not know the lab's CA.
        if self.site.trusted_ca:
            parts.append(f'cafile = "{self.site.trusted_ca}"')
        return "ssl = { " + "; ".join(parts) + " }"
