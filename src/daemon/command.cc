#include "daemon/command.h"

#include <algorithm>
#include <array>

#include "daemon/run.h"

namespace sallyport::daemon {
namespace {

constexpr Option kConfigRequired{"--config", "-c", "FILE", "Its configuration file.", true};
constexpr Option kLogFormat{
    "--log-format", "",    "FORMAT",   "The format of log lines: text (the default) or json.",
    false,          false, "text|json"};
constexpr Option kLogLevel{"--log-level",
                           "",
                           "LEVEL",
                           "The minimum log level; info by default.",
                           false,
                           false,
                           "error|warning|info|debug"};
constexpr Option kServeOptions[] = {kConfigRequired, kLogFormat, kLogLevel};

constexpr Option kEdgeConfig{"--config", "-c", "FILE", "The edge.toml whose resolver and rules are used.",
                             false};
constexpr Option kEdgeControl{
    "--control", "", "PATH",
    "The control socket of the edge that runs the check. Without it: the one that FILE of "
    "-c names, else the one in /run/sallyport."};
constexpr Option kAs{"--as", "", "LOCAL",
                     "The local domain to check for; by default the first one that has a certificate."};
constexpr Option kCaFile{"--ca", "", "FILE",
                         "Authorities to trust (PEM) in place of those of the edge, or of the system."};
constexpr Option kCoreConfig{"--config", "-c", "FILE", "The core.toml; /etc/sallyport/core.toml by default."};

constexpr Argument kFiles[] = {
    {"FILE", "A configuration file: edge.toml, core.toml or policy.toml.", false, true}};
constexpr Option kCheckConfig[] = {
    {"--config", "-c", "FILE", "The same as FILE.", false, true},
    {"--role", "", "ROLE", "The role of the files, where their tables do not tell it.", false, false,
     "edge|core|policy"}};

constexpr Argument kDomain[] = {{"NAME", "A domain, as it stands behind the @ of an address."}};
constexpr Option kCheckDns[] = {kEdgeConfig};
constexpr Argument kHostPort[] = {
    {"HOST", "The server to connect to, as HOST or HOST:PORT; port 5269 by default."}};
constexpr Option kCheckTls[] = {{"--name", "", "DOMAIN", "The domain that the server must prove.", true},
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

constexpr Argument kQueueListed[] = {
    {"DOMAIN", "A local or remote domain; by default the messages of all are listed.", false}};
constexpr Option kOldest{"--older-than", "", "DURATION",
                         "Only pairs whose oldest message was accepted so long ago: 90s, 15m, 1h or 7d."};
constexpr Option kOlder{"--older-than", "", "DURATION",
                        "Only messages that were accepted so long ago: 90s, 15m, 1h or 7d."};
constexpr Option kQueueList[] = {kOldest};
constexpr Argument kQueueShaped[] = {
    {"DOMAIN", "A remote domain; by default the messages of all are counted.", false}};
constexpr Option kQueueShape[] = {{"--direction", "", "DIRECTION",
                                   "Only messages to remote domains (out) or from them (in).", false, false,
                                   "in|out"}};
constexpr Argument kQueueShown[] = {{"WHAT", "The number of a message, or a remote domain."}};
constexpr Option kQueueShow[] = {
    {"--count", "", "N",
     "How many messages of the domain to show, the oldest first; 20 by default, at most 1000."},
    kOlder};
constexpr Argument kQueueRetried[] = {
    {"DOMAIN", "A remote domain; by default the messages of all are tried again.", false}};
constexpr Option kQueueRetry[] = {kOldest};
constexpr Argument kQueuePurged[] = {{"DOMAIN", "The remote domain whose messages are removed.", false}};
constexpr Option kQueuePurge[] = {{"--all", "", "", "Remove the messages of all remote domains."}, kOlder};

constexpr Argument kPolicyFile[] = {{"FILE", "The new policy.toml."}};
constexpr Option kPolicyApply[] = {
    {"--if-generation", "", "N",
     "Apply only if this generation is in force, so that no other change is undone."}};

constexpr Option kFromDaemon{"--control", "", "PATH",
                             "Ask the running node of this control socket instead of reading files."};
constexpr Option kDnsRecords[] = {
    {"--config", "-c", "FILE",
     "A core.toml. Without it or --control: /etc/sallyport/core.toml, else the one socket in "
     "/run/sallyport."},
    kFromDaemon,
    {"--port", "", "PORT", "The s2s port of the edges; 5269 by default."}};
constexpr Option kPorts[] = {
    {"--config", "-c", "FILE",
     "An edge.toml or core.toml, or both. Without it or --control: those in "
     "/etc/sallyport, else the one socket in /run/sallyport.",
     false, true},
    kFromDaemon,
    {"--address", "", "PARTY=ADDRESS",
     "An address of a party of the table that the files do not contain, such as "
     "edge=203.0.113.5, or of a host that they name, such as xmpp.corp.example=10.0.0.6; may be given "
     "several "
     "times.",
     false, true},
    {"--nft", "", "", "Print rules for nftables; fails where the address of a party or host is not known."}};

constexpr Option kCertList[] = {kCoreConfig};
constexpr Argument kCsrNames[] = {
    {"NAME", "The names in the request; by default every domain and alias of the policy.", false, true}};
constexpr Option kCsr[] = {
    kCoreConfig,
    {"--out-key", "", "FILE", "The file for the new private key; an existing file is not overwritten.", true},
    {"--out-csr", "", "FILE", "The file for the request; the standard output by default."}};
constexpr Option kKeygen[] = {
    {"--out-cert", "", "FILE", "The file for the certificate; an existing file is not overwritten."},
    {"--out-key", "", "FILE",
     "The file for the private key (mode 0600); an existing file is not overwritten."},
    {"--name", "", "NAME", "The name in the certificate, for people only.", false},
    {"--show", "", "FILE", "Print the pin of this certificate or key instead of making one."}};

constexpr Argument kHelpWords[] = {
    {"COMMAND", "The command to explain; without one, all are listed.", false, true}};
constexpr Option kHelp[] = {
    {"--man", "", "", "Print the manual page, as roff: sallyport help --man | man -l -"},
    {"--markdown", "", "", "Print docs/commands.md."},
    {"--completion", "", "SHELL", "Print the completion script for a shell.", false, false, "bash"}};

constexpr Command kCommands[] = {
    {"edge",
     "Run the edge: it accepts and opens s2s streams to remote servers.",
     "Stays in the foreground, logs to the standard error, notifies systemd when it is ready, and ends on "
     "SIGTERM. Its s2s port refuses connections until a core has connected and pushed its policy. SIGHUP and "
     "`sallyport reload` read [resolver] or resolv.conf again.",
     {},
     kServeOptions,
     false,
     false,
     run_edge},
    {"core",
     "Run the core: it connects to the edges and serves the internal servers.",
     "Stays in the foreground, logs to the standard error, notifies systemd when it is ready, and ends on "
     "SIGTERM. SIGHUP and `sallyport reload` read the policy, the public certificates, trusted_ca and "
     "resolv.conf again.",
     {},
     kServeOptions,
     false,
     false,
     run_core},
    {"check config", "Validate configuration files and all files that they name.",
     "Shows every error with file, line and column. With core.toml it also validates the policy, the "
     "certificates and the keys that the file names. A policy.toml is validated with the core.toml that is "
     "given too, else with the one in its folder or the folder above.",
     kFiles, kCheckConfig, false, true, run_check_config},
    {"check dns", "Show the servers that DNS names for a domain, and which would be skipped.",
     "Queries the SRV records (RFC 6120 3.2, XEP-0368) and addresses and shows them in the order in which an "
     "edge would try them, with the reason for each target that it would skip.",
     kDomain, kCheckDns, false, true, run_check_dns},
    {"check tls", "Check whether a server can prove a domain, and whether it accepts our certificate.",
     "Makes the checks of `check domain`, without DNS, for the server that HOST names.", kHostPort, kCheckTls,
     false, true, run_check_tls},
    {"check domain", "Check federation with a remote domain, from policy and DNS to an open stream.",
     "Run it on the host of an edge. The running edge opens a stream to the domain with the certificate of a "
     "local domain, and closes it without sending a stanza. Each step is shown as pass, warn or fail, with a "
     "remedy unless it passes; the exit code is 1 if a step failed. Where no edge can be asked, the command "
     "itself opens the stream, without a certificate, and shows the reason.",
     kDomain, kCheckDomain, false, true, run_check_domain},
    {"status",
     "Show the state of a node: links, policy, streams, waiting stanzas.",
     "",
     {},
     {},
     true,
     true,
     run_status},
    {"connections",
     "Show each pair of domains: its connection, how it is authenticated, and its last error.",
     "",
     {},
     {},
     true,
     true,
     run_connections},
    {"explain",
     "Show each step that a stanza from FROM to TO would take, and where it would end.",
     "Asks the core, which knows all steps. The exit code is 1 if a step refuses.",
     kFromTo,
     {},
     true,
     true,
     run_explain},
    {"policy show", "Show the policy in force.", "", {}, {}, true, true, run_policy_show},
    {"policy test",
     "Show whether the policy in force lets FROM start with TO, and which row decides.",
     "Asks the core. One of the two must be a local domain.",
     kFromTo,
     {},
     true,
     true,
     run_policy_test},
    {"policy diff",
     "Show what would change if FILE replaced the policy in force.",
     "Asks the core, which validates FILE as its own policy.toml. Shows each row that would be added (+), "
     "removed (-) or changed (~), and the generation that is in force.",
     kPolicyFile,
     {},
     true,
     true,
     run_policy_diff},
    {"policy apply", "Replace the policy in force, and the core's policy.toml, with FILE.",
     "Asks the core, which validates FILE, replaces its policy.toml and takes it into use, all-or-nothing. "
     "It "
     "refuses while policy.toml contains an edit that was never reloaded.",
     kPolicyFile, kPolicyApply, true, true, run_policy_apply},
    {"queue list", "List the messages that wait in the durable queue, by pair of domains.",
     "Asks the core. Shows how many wait, since when, how many are being sent, when the next attempt "
     "follows, "
     "and the error of the last one.",
     kQueueListed, kQueueList, true, true, run_queue_list},
    {"queue shape", "Count the messages in the durable queue by remote domain and age.",
     "Asks the core. The columns are those of Postfix's qshape: T is the number of all messages, 5 that of "
     "messages that have waited for at most 5 minutes, 10 for more than that and at most 10, and so on.",
     kQueueShaped, kQueueShape, true, true, run_queue_shape},
    {"queue show", "Show addresses, size and times of messages in the durable queue.",
     "Asks the core. The content of a message is never shown.", kQueueShown, kQueueShow, true, true,
     run_queue_show},
    {"queue retry", "Try to deliver the messages in the durable queue now.",
     "Asks the core, which otherwise waits longer after each failure.", kQueueRetried, kQueueRetry, true,
     true, run_queue_retry},
    {"queue purge", "Remove messages from the durable queue, and answer each sender with an error.",
     "Asks the core. Each sender gets one error, `delivery.purged`. A message that is just being sent is "
     "removed when it comes back, unless it is delivered. Needs DOMAIN or --all.",
     kQueuePurged, kQueuePurge, true, true, run_queue_purge},
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
     "List the public certificates, their dates, and the names without a certificate.",
     "",
     {},
     kCertList,
     false,
     true,
     run_cert_list},
    {"cert csr", "Make a key and a certificate request for the public names.", "", kCsrNames, kCsr, false,
     false, run_cert_csr},
    {"keygen",
     "Make the identity of a node on the link, and print its pin.",
     "ECDSA P-256. Only the key is checked: the configuration of the other node names its pin. With --show, "
     "prints the pin of an existing certificate.",
     {},
     kKeygen,
     false,
     true,
     run_keygen},
    {"reload",
     "Read policy, certificates and trusted_ca again, all-or-nothing.",
     "If a file is invalid, nothing changes and the exit code is 3.",
     {},
     {},
     true,
     true,
     run_reload},
    {"drain",
     "Close every stream and refuse new ones; the node then waits to be stopped.",
     "",
     {},
     {},
     true,
     true,
     run_drain},
    {"log level",
     "Change the minimum log level of a running node.",
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

constexpr Option kControl{"--control", "", "PATH", "The control socket of the node."};
constexpr Option kControlConfig{
    "--config", "-c", "FILE",
    "Its configuration file, which names the socket. Without either: the one socket in /run/sallyport."};
constexpr Option kJson{"--json", "", "", "Print JSON."};

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
