"""ejabberd (Debian 12: 23.01) as a server of the lab, run by `erl` without ejabberdctl.

Without a node name it needs no epmd, no cookie and no other user.
"""

import os
import signal

from . import process

# Removes all SASL mechanisms of outgoing streams, so that ejabberd uses dialback at
# once. No option of ejabberd does that; the loaded function is replaced.
NO_EXTERNAL = (
    'M = xmpp_stream_out,'
    '{ok, {_, [{abstract_code, {_, C}}]}} = beam_lib:chunks(code:which(M), [abstract_code]),'
    'N = [case F of {function, L, sasl_mechanisms, 1, [{clause, A, P, _, _} | _]} ->'
    ' {function, L, sasl_mechanisms, 1, [{clause, A, [{var, A, \'_\'} || _ <- P], [], [{nil, A}]}]};'
    ' _ -> F end || F <- C],'
    '{ok, M, B} = compile:forms(N, []),'
    '{module, M} = code:load_binary(M, "lab", B)')

# Writes the id of each message between servers to a file: a short trace, with which ejabberd keeps its speed.
LOG_IDS = (
    'L = fun(W, P) -> file:write_file("FILE", io_lib:format("lab_log_ids ~s ~s on ~p at ~.3f~n",'
    ' [W, element(2, P), self(), os:system_time(millisecond) / 1000]), [append]) end,'
    'T = fun(W, P) when is_tuple(P), element(1, P) == message, is_binary(element(2, P)) -> L(W, P);'
    ' (_, _) -> ok end,'
    '[begin ejabberd_hooks:add(s2s_in_handle_recv, H, fun(S, _, P) -> T(received, P), S end, 1),'
    ' ejabberd_hooks:add(s2s_out_handle_send, H,'
    ' fun(S, P, R) -> R == ok andalso T(sent, P), S end, 1)'
    ' end || H <- ejabberd_option:hosts()]')


class Ejabberd:
    """One ejabberd node."""

    kind = "ejabberd"

    def __init__(self, site, network, folder, log):
        self.site, self.network, self.folder = site, network, folder
        os.makedirs(f"{folder}/spool", exist_ok=True)
        with open(f"{folder}/ejabberd.yml", "w") as file:
            file.write(self._config())
        with open(f"{folder}/inetrc", "w") as file:
            # SRV goes to this name server; addresses go to the operating system.
            octets = site.nameserver.replace(".", ",")
            file.write('{lookup,["file","native"]}.\n{resolv_conf,""}.\n'
                       f"{{nameserver,{{{octets}}},53}}.\n")
        with open(f"{folder}/bundle.pem", "w") as file:
            for path in (site.certificate, site.key):
                with open(path) as part:
                    file.write(part.read())
        network.resolver(site.host, site.nameserver)
        self.logs = [log, f"{log}.console"]
        self.ids = f"{log}.ids"
        self._process = process.Process(
            f"ejabberd {site.host}", network.namespace(site.host), self._command(),
            f"{log}.console", cwd=folder, env={
                "EJABBERD_CONFIG_PATH": f"{folder}/ejabberd.yml", "EJABBERD_LOG_PATH": log,
                "ERL_INETRC": f"{folder}/inetrc", "HOME": folder,
                "ERL_LIBS": "/usr/lib/x86_64-linux-gnu",
                "ERL_CRASH_DUMP": f"{folder}/crash.dump"})
        self.processes = [self._process]

    def start(self):
        self._process.start()

    def kill(self, with_signal=signal.SIGKILL):
        self._process.kill(with_signal)

    def ready(self):
        """The accounts exist and the ports are open."""
        where = self.network.namespace(self.site.host)
        return (os.path.exists(f"{self.folder}/accounts.made")
                and all(process.listens(where, self.site.ip, port) for port in (5222, 5269)))

    def _command(self):
        register = []
        for jid, password in self.site.accounts.items():
            user, domain = jid.split("@")
            register.append(f'ejabberd_auth:try_register(<<"{user}">>,<<"{domain}">>,<<"{password}">>)')
        register.append(LOG_IDS.replace("FILE", self.ids))
        register.append(f'file:write_file("{self.folder}/accounts.made", <<"yes">>)')
        command = ["erl", "-noinput", "+S", "2:2", "+sbwt", "none", "+sbwtdcpu", "none",
                   "+sbwtdio", "none", "-mnesia", "dir", f'"{self.folder}/spool"']
        if not self.site.external:
            command += ["-eval", NO_EXTERNAL + "."]
        return command + ["-s", "ejabberd", "-eval", ",".join(register) + "."]

    def _config(self):
        site = self.site
        hosts = "".join(f'  - "{domain}"\n' for domain in site.domains)
        ca = f'ca_file: "{site.trusted_ca}"\ns2s_cafile: "{site.trusted_ca}"\n' if site.trusted_ca else ""
        rooms = (f'  mod_muc:\n    hosts: ["{site.rooms}"]\n    history_size: 20\n'
                 "    max_user_conferences: 100\n    default_room_options:\n      persistent: true\n"
                 if site.rooms else "")
        rooms_off = ""
        if site.rooms and len(site.domains) > 1:  # only the service of the first domain
            rooms_off = (f'append_host_config:\n  "{site.domains[0]}":\n    modules:\n'
                         + "".join(f"    {line}\n" for line in rooms.splitlines()))
            rooms = ""
        return f"""hosts:
{hosts}loglevel: {"debug" if site.trace else "info"}
certfiles:
  - "{self.folder}/bundle.pem"
{ca}s2s_use_starttls: {"required" if site.demand_certificate else "optional"}
s2s_timeout: 60
s2s_max_retry_delay: 3
log_burst_limit_count: 1000000
negotiation_timeout: 30
listen:
  - {{port: 5222, ip: "{site.ip}", module: ejabberd_c2s, max_stanza_size: 262144}}
  - {{port: 5269, ip: "{site.ip}", module: ejabberd_s2s_in, max_stanza_size: 524288}}
auth_method: internal
auth_password_format: plain
{rooms_off}modules:
  mod_disco: {{}}
  mod_ping: {{}}
  mod_roster: {{}}
  mod_s2s_dialback: {{}}
{rooms}"""
