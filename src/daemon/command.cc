#include "daemon/command.h"

#include <algorithm>
#include <array>

#include "daemon/run.h"

namespace sallyport::daemon {
namespace {

constexpr Option kConfigRequired{"--config", "-c", "FILE", "Its configuration file.", true};
constexpr Option kLogFormat{
    "--log-format", "",    "FORMAT",   "How log lines look: text (the default) or json.",
    false,          false, "text|json"};
constexpr Option kLogLevel{"--log-level",
                           "",
                           "LEVEL",
                           "The least level that is logged; info is the default.",
                           false,
                           false,
                           "error|warning|info|debug"};
constexpr Option kServeOptions[] = {kConfigRequired, kLogFormat, kLogLevel};

constexpr Option kEdgeConfig{"--config", "-c", "FILE", "The edge.toml whose resolver and rules are used.",
                             false};
constexpr Option kEdgeControl{"--control", "", "PATH",
                              "The control socket of the edge that is to run the check. Without it: the one "
                              "that FILE of -c names, else "
                              "the one in /run/sallyport."};
constexpr Option kAs{"--as", "", "LOCAL",
                     "The local domain to speak for; by default the first one that has a certificate."};
constexpr Option kCaFile{
    "--ca", "", "FILE", "Authorities to trust (PEM) instead of those that the edge trusts, or the system's."};
constexpr Option kCoreConfig{"--config", "-c", "FILE", "The core.toml; /etc/sallyport/core.toml by default."};

constexpr Argument kFiles[] = {
    {"FILE", "A configuration file: edge.toml, core.toml or policy.toml.", false, true}};
constexpr Option kCheckConfig[] = {
    {"--config", "-c", "FILE", "The same as FILE.", false, true},
    {"--role", "", "ROLE", "What the files are, where their tables do not tell.", false, false,
     "edge|core|policy"}};

constexpr Argument kDomain[] = {{"NAME", "A domain, as it stands behind the @ of an address."}};
constexpr Option kCheckDns[] = {kEdgeConfig};
constexpr Argument kHostPort[] = {
    {"HOST", "The server to connect to, as HOST or HOST:PORT; port 5269 by default."}};
constexpr Option kCheckTls[] = {
    {"--name", "", "DOMAIN", "The domain that the server should be able to prove.", true},
    kAs,
    kCaFile,
    kEdgeControl,
    kEdgeConfig,
    {"--direct", "", "", "Direct TLS (XEP-0368) instead of STARTTLS."}};
constexpr Option kCheckDomain[] = {kAs, kCaFile, kEdgeControl, kEdgeConfig};

constexpr Argument kFromTo[] = {{"FROM", "The sender's address, or its domain."},
                                {"TO", "The recipient's address, or its domain."}};
constexpr Argument kLevel[] = {
    {"LEVEL", "error, warning, info or debug.", true, false, "error|warning|info|debug"}};

constexpr Argument kPolicyFile[] = {{"FILE", "The new policy.toml."}};
constexpr Option kPolicyApply[] = {
    {"--if-generation", "", "N", "Only if this generation is in force, so that nobody's change is undone."}};

constexpr Option kFromDaemon{"--control", "", "PATH", "Ask the running door whose socket this is, instead."};
constexpr Option kDnsRecords[] = {
    {"--config", "-c", "FILE",
     "A core.toml. Without it or --control: /etc/sallyport/core.toml, else the one socket in "
     "/run/sallyport."},
    kFromDaemon,
    {"--port", "", "PORT", "The s2s port that the edges are reached at; 5269 by default."}};
constexpr Option kPorts[] = {
    {"--config", "-c", "FILE",
     "An edge.toml or core.toml, or both. Without it or --control: those in "
     "/etc/sallyport, else the one socket in /run/sallyport.",
     false, true},
    kFromDaemon,
    {"--address", "", "PARTY=ADDRESS",
     "An address of a party of the table that the files do not tell, such as "
     "edge=203.0.113.5; may be given several times.",
     false, true},
    {"--nft", "", "", "As rules for nftables; fails where the address of a party is not known."}};

constexpr Option kCertList[] = {kCoreConfig};
constexpr Argument kCsrNames[] = {
    {"NAME", "The names inside; without any, every domain and alias of the policy.", false, true}};
constexpr Option kCsr[] = {
    kCoreConfig,
    {"--out-key", "", "FILE", "Where the new private key is written; never over an existing file.", true},
    {"--out-csr", "", "FILE", "Where the request is written; the standard output by default."}};
constexpr Option kKeygen[] = {
    {"--out-cert", "", "FILE", "Where the certificate is written; never over an existing file."},
    {"--out-key", "", "FILE", "Where the private key is written (mode 0600); never over an existing file."},
    {"--name", "", "NAME", "The name inside, for people only.", false},
    {"--show", "", "FILE", "Make nothing: print the pin of this certificate."}};

constexpr Argument kHelpWords[] = {
    {"COMMAND", "The command to explain; without one, all are listed.", false, true}};
constexpr Option kHelp[] = {
    {"--man", "", "", "The manual page, as roff: sallyport help --man | man -l -"},
    {"--markdown", "", "", "docs/commands.md."},
    {"--completion", "", "SHELL", "Completion for a shell, to be sourced by it.", false, false, "bash"}};

constexpr Command kCommands[] = {
    {"edge",
     "Run the outer door: it meets the world on its s2s port.",
     "Stays in the foreground, logs to the standard error, tells systemd when it is ready, ends on SIGTERM. "
     "It serves nothing until a core has dialled in and pushed its policy; its s2s port refuses connections "
     "until then. SIGHUP and `sallyport reload` read [resolver] or resolv.conf again.",
     {},
     kServeOptions,
     false,
     false,
     run_edge},
    {"core",
     "Run the inner door: it dials the edges and serves the servers inside.",
     "Stays in the foreground, logs to the standard error, tells systemd when it is ready, ends on SIGTERM. "
     "SIGHUP and `sallyport reload` read the policy, the public certificates, trusted_ca and resolv.conf "
     "again.",
     {},
     kServeOptions,
     false,
     false,
     run_core},
    {"check config", "Judge configuration files and all that they name.",
     "Every error is shown with file, line and column. With core.toml the policy, the certificates and the "
     "keys that it names are judged too. A policy.toml is judged by the core.toml given beside it, or in its "
     "folder or the one above.",
     kFiles, kCheckConfig, false, true, run_check_config},
    {"check dns", "Show how DNS leads to a domain's servers, and what would be skipped.",
     "Asks for the SRV records (RFC 6120 3.2, XEP-0368) and addresses and shows them in the order in which "
     "an edge would try them, with the reason for each target that it would not.",
     kDomain, kCheckDns, false, true, run_check_dns},
    {"check tls", "Check whether one server can prove a domain, and whether it accepts ours.",
     "Does what `check domain` does, without DNS, for the server that HOST names.", kHostPort, kCheckTls,
     false, true, run_check_tls},
    {"check domain", "Check federation with a remote domain, from policy and DNS to an open stream.",
     "Run it on the host of an edge. The running edge opens a stream to the domain with the certificate of a "
     "local domain, and closes it without sending a stanza. Each step is shown as pass, warn or fail, with a "
     "remedy unless it passes; the command exits with 1 if a step failed. Where no edge can be asked, the "
     "command itself opens the stream, without a certificate, and says why.",
     kDomain, kCheckDomain, false, true, run_check_domain},
    {"status",
     "Show what a door is doing: links, policy, streams, what waits.",
     "",
     {},
     {},
     true,
     true,
     run_status},
    {"connections",
     "Show each pair of domains: how it is connected, proved, and its last error.",
     "",
     {},
     {},
     true,
     true,
     run_connections},
    {"explain",
     "Show each step that a stanza from FROM to TO would take, and where it would end.",
     "Asks the core: it knows the whole way. Fails (exit code 1) where a step refuses.",
     kFromTo,
     {},
     true,
     true,
     run_explain},
    {"policy show", "Show the policy in force.", "", {}, {}, true, true, run_policy_show},
    {"policy test",
     "Ask whether the policy in force lets FROM start with TO, and which row decides.",
     "Asks the core. One of the two must be a local domain.",
     kFromTo,
     {},
     true,
     true,
     run_policy_test},
    {"policy diff",
     "Show what would change if FILE took the place of the policy in force.",
     "Asks the core, which judges FILE as it would judge its own policy.toml. Shows each row that would come "
     "(+), go (-) or change (~), and the generation that is in force.",
     kPolicyFile,
     {},
     true,
     true,
     run_policy_diff},
    {"policy apply", "Put FILE in the place of the policy in force, and of the core's policy.toml.",
     "Asks the core, which judges FILE, replaces its policy.toml and takes it into use, or refuses the whole "
     "and changes nothing. Also refused while policy.toml holds an edit that was never reloaded.",
     kPolicyFile, kPolicyApply, true, true, run_policy_apply},
    {"dns records",
     "Print the SRV records to publish, for each domain, alias and edge.",
     "",
     {},
     kDnsRecords,
     false,
     true,
     run_dns_records},
    {"ports",
     "Print the firewall table with the configured addresses.",
     "",
     {},
     kPorts,
     false,
     true,
     run_ports},
    {"cert list",
     "List the public certificates, their dates, and the names that have none.",
     "",
     {},
     kCertList,
     false,
     true,
     run_cert_list},
    {"cert csr", "Make a key and a certificate request for the public names.", "", kCsrNames, kCsr, false,
     false, run_cert_csr},
    {"keygen",
     "Make the identity that a door has on the link, and print its pin.",
     "ECDSA P-256. Only the key counts: the other door's configuration names its pin. With --show, prints "
     "the pin of a certificate that exists.",
     {},
     kKeygen,
     false,
     true,
     run_keygen},
    {"reload",
     "Read policy, certificates and trusted_ca again; a bad change is refused whole.",
     "An invalid change ends with exit code 3, as an invalid file does everywhere.",
     {},
     {},
     true,
     true,
     run_reload},
    {"drain",
     "End every stream cleanly and refuse new ones; the door then waits to be stopped.",
     "",
     {},
     {},
     true,
     true,
     run_drain},
    {"log level",
     "Change the least level that a running door logs.",
     "",
     kLevel,
     {},
     true,
     true,
     run_log_level},
    {"version", "Print the version of the program.", "", {}, {}, false, true, run_version},
    {"help", "Explain a command, or print the manual page or shell completion.", "", kHelpWords, kHelp, false,
     false, run_help},
};

constexpr Option kControl{"--control", "", "PATH", "The door's control socket."};
constexpr Option kControlConfig{
    "--config", "-c", "FILE",
    "Its configuration file, which names the socket. Without either: the one socket in /run/sallyport."};
constexpr Option kJson{"--json", "", "", "As JSON."};

}  // namespace

std::string Invocation::value(std::string_view option, std::string_view otherwise) const {
  const auto found = options.find(option);
  if (found == options.end() || found->second.empty()) return std::string(otherwise);
  return found->second.back();
}

std::vector<std::string> Invocation::values(std::string_view option) const {
  const auto found = options.find(option);
  return found == options.end() ? std::vector<std::string>{} : found->second;
}

std::span<const Command> command_table() { return kCommands; }

std::vector<Option> options_of(const Command& command) {
  std::vector<Option> all(command.options.begin(), command.options.end());
  if (command.asks_daemon) {
    all.push_back(kControl);
    all.push_back(kControlConfig);
  }
  if (command.json) all.push_back(kJson);
  return all;
}

const Command* command_named(std::string_view name) {
  const auto* row = std::ranges::find(kCommands, name, &Command::name);
  return row == std::end(kCommands) ? nullptr : row;
}

std::vector<std::string> choices_of(std::string_view choices) {
  std::vector<std::string> all;
  while (!choices.empty()) {
    const std::size_t bar = choices.find('|');
    all.emplace_back(choices.substr(0, bar));
    if (bar == std::string_view::npos) break;
    choices.remove_prefix(bar + 1);
  }
  return all;
}

}  // namespace sallyport::daemon
