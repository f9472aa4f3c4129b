#include "daemon/load.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <filesystem>

#include "base/bytes.h"
#include "daemon/core_secrets.h"
#include "daemon/file.h"
#include "daemon/state.h"
#include "net/tls.h"
#include "net/trust_store.h"
#include "xmpp/expat_version.h"

namespace sallyport::daemon {
namespace {

using config::Finding;
using config::Loaded;

void append(std::vector<Finding>& to, std::vector<Finding> more) {
  to.insert(to.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

template <typename T, typename U>
void take_findings(Loaded<T>& to, Loaded<U>& from) {
  append(to.errors, std::move(from.errors));
  append(to.warnings, std::move(from.warnings));
}

// The text of a file that a configuration names, or a finding about it.
std::optional<std::string> named_file(const std::string& path, std::vector<Finding>& errors) {
  Result<std::string> text = read_file(path);
  if (text) return std::move(*text);
  errors.push_back(unreadable_finding(path, text.error()));
  return std::nullopt;
}

// A file with a secret in it.
std::optional<std::string> secret_file(const std::string& path, std::vector<Finding>& errors,
                                       std::vector<Finding>& warnings) {
  warn_of_open_secret(path, warnings);
  return named_file(path, errors);
}

Identity load_identity(const config::IdentityFiles& files, std::vector<Finding>& errors,
                       std::vector<Finding>& warnings) {
  Identity identity;
  const auto certificate = named_file(files.certificate, errors);
  auto key = secret_file(files.key, errors, warnings);
  if (!certificate || !key) return identity;
  const Result<std::string> pin = net::certificate_pin(*certificate);
  if (!pin) errors.push_back(finding_of(files.certificate, pin.error()));
  const Result<std::string> key_pin = net::private_key_pin(*key);
  if (!key_pin) errors.push_back(finding_of(files.key, key_pin.error()));
  if (pin && key_pin && *pin != *key_pin) {
    errors.push_back(finding_of(
        files.key, {Code::kConfigConflict, fmt::format("is not the key of {}", files.certificate)}));
  } else if (const auto link = net::LinkTls::make(*certificate, *key); pin && key_pin && !link) {
    errors.push_back(finding_of(files.certificate, link.error()));
  }
  identity.certificate = *certificate;
  identity.key = std::move(*key);
  if (pin) identity.pin = *pin;
  return identity;
}

// A node that names its own key's pin for the other node has the wrong pin: no link can be established.
void warn_of_own_pin(const std::string& file, const Identity& identity, std::string_view row,
                     const std::vector<std::string>& pins, std::vector<Finding>& warnings) {
  if (identity.pin.empty() || std::ranges::find(pins, identity.pin) == pins.end()) return;
  warnings.push_back(finding_of(
      file, {Code::kConfigConflict,
             fmt::format("{} names the pin of this node's own [identity]; the pin of the other node is what "
                         "`sallyport keygen --show` prints for its certificate",
                         row)}));
}

// Checks the libraries that both roles need.
void check_libraries(std::vector<Finding>& errors) {
  if (const Result<void> expat = xmpp::check_expat(xmpp::expat_facts()); !expat)
    errors.push_back(finding_of("libexpat", expat.error()));
}

// Makes a resolver as the edge does at its start. libunbound reports a file that is not a trust anchor
// without its name, and only when it starts.
void check_resolver(const config::EdgeConfig& config, std::vector<Finding>& errors) {
  boost::asio::io_context io;
  net::ResolverSetup setup = resolver_setup(config);
  const auto made = net::Resolver::make(io.get_executor(), setup);
  if (made) return;
  setup.trust_anchor.clear();
  const bool is_anchor_at_fault =
      !config.trust_anchor.empty() && net::Resolver::make(io.get_executor(), setup).has_value();
  if (is_anchor_at_fault) {
    errors.push_back(
        finding_of(config.trust_anchor,
                   {Code::kFileFormat, fmt::format("`trust_anchor` in [resolver] must be a file with DS or "
                                                   "DNSKEY records, as unbound-anchor(8) writes it ({})",
                                                   made.error().text)}));
  } else {
    errors.push_back(finding_of(config.file, made.error()));
  }
}

// Loads PEM authorities: at least one certificate.
std::string load_authorities(const std::string& path, std::vector<Finding>& errors) {
  auto pem = named_file(path, errors);
  if (!pem) return {};
  if (const Result<std::string> first = net::certificate_pin(*pem); !first) {
    errors.push_back(finding_of(path, first.error()));
  } else if (const auto all = net::TrustStore::parse(*pem); !all) {
    errors.push_back(finding_of(path, all.error()));
  }
  return std::move(*pem);
}

void check_group(const std::string& file, const std::string& group, std::vector<Finding>& errors) {
  if (group.empty() || ::getgrnam(group.c_str()) != nullptr) return;
  errors.push_back(finding_of(
      file, {Code::kConfigValue, fmt::format("the group `{}` (control_group) does not exist", group)}));
}

// The name of a table header: "[ edge ]" -> "edge", "[[core]] # x" -> "core" (array).
struct TableHeader {
  std::string name;
  bool array;
};
std::optional<TableHeader> table_header(std::string_view line) {
  const std::size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string_view::npos || line[begin] != '[') return std::nullopt;
  const bool array = line.substr(begin).starts_with("[[");
  line.remove_prefix(begin + (array ? 2 : 1));
  const std::size_t end = line.find(']');
  if (end == std::string_view::npos) return std::nullopt;
  std::string name;
  for (const char c : line.substr(0, end)) {
    if (c != ' ' && c != '\t' && c != '"') name.push_back(c);
  }
  return TableHeader{name, array};
}

// Loads one pair of files; nothing when it cannot be used.
std::optional<NamedCertificate> load_pair(const std::string& chain_path, const std::string& key_path,
                                          UnixTime now, const net::TrustStore* trust,
                                          std::vector<Finding>& errors, std::vector<Finding>& warnings) {
  const auto chain = named_file(chain_path, errors);
  auto key = secret_file(key_path, errors, warnings);
  if (!chain || !key) return std::nullopt;
  Result<net::CheckedCertificate> checked = net::check_certificate(*chain, *key, now, trust);
  wipe(*key);
  if (!checked) {
    errors.push_back(finding_of(chain_path, checked.error()));
    return std::nullopt;
  }
  for (const std::string& warning : checked->warnings) {
    warnings.push_back(finding_of(chain_path, {Code::kFileFormat, warning}));
  }
  return NamedCertificate{chain_path, std::move(*checked)};
}

// Without a text it still reports the errors of the other files.
void validate_policy_files(const std::optional<std::string>& text, const config::CoreConfig& core,
                           UnixTime now, Loaded<PolicyFiles>& out) {
  Loaded<config::PolicyConfig> policy =
      text ? config::parse_policy(*text, core.policy, core, now) : Loaded<config::PolicyConfig>{};
  take_findings(out, policy);
  PolicyFiles files;
  if (policy.value && !policy.value->trusted_ca.empty()) {
    files.update.trusted_ca = load_authorities(policy.value->trusted_ca, out.errors);
  }
  if (!core.certificates.empty()) {
    std::vector<NamedCertificate> found =
        load_certificates(core.certificates, now, files.update.trusted_ca, out.errors, out.warnings);
    for (NamedCertificate& one : found) files.update.certificates.push_back(std::move(one.certificate.pem));
  }
  if (policy.value)
    warn_of_uncovered(*policy.value, files.update.certificates, core.certificates, out.warnings);
  if (!out.errors.empty() || !policy.value) return;
  files.update.policy = std::move(*policy.value);
  files.update.policy_sha256 = sha256(*text);
  files.fingerprint = fingerprint_of(files.update);
  out.value = std::move(files);
}

}  // namespace

std::optional<FileRole> file_role_of(std::string_view text) {
  static constexpr std::array kPolicyTables{"federation", "domain", "chat_node", "static_route",
                                            "allow",      "deny",   "peer"};
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const auto header = table_header(text.substr(0, end));
    if (header && !header->array && header->name == "edge") return FileRole::kEdge;
    if (header && !header->array && header->name == "core") return FileRole::kCore;
    if (header && std::ranges::find(kPolicyTables, header->name) != kPolicyTables.end())
      return FileRole::kPolicy;
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return std::nullopt;
}

void check_authorities(const std::string& path, std::vector<Finding>& errors) {
  (void)load_authorities(path, errors);
}

std::string shown_findings(const std::vector<Finding>& findings) {
  std::string out;
  for (const Finding& finding : findings) out += finding.shown() + "\n";
  return out;
}

Finding finding_of(const std::string& file, const Error& error) {
  // The finding shows the path; the error's text must not repeat it.
  std::string text = error.text;
  if (text.starts_with(file + ": ")) text.erase(0, file.size() + 2);
  return {error.code, file, 0, 0, std::move(text)};
}

Finding unreadable_finding(const std::string& path, const Error& error) {
  struct stat about {};
  const bool absent =
      error.code == Code::kFileUnreadable && ::stat(path.c_str(), &about) != 0 && errno == ENOENT;
  return finding_of(path, {absent ? Code::kConfigMissing : error.code, error.text});
}

std::string fingerprint_of(const config::PolicyUpdate& update) {
  std::string all;
  Appender out(all);
  out.raw({reinterpret_cast<const char*>(update.policy_sha256.data()), update.policy_sha256.size()});
  out.string(update.trusted_ca);
  for (const config::CertificatePem& certificate : update.certificates) {
    out.string(certificate.chain);
    out.string(certificate.key);
  }
  std::string digest = to_hex(sha256(all));
  wipe(all);
  return digest;
}

Loaded<std::string> control_path_of(const std::string& file) {
  Loaded<std::string> out;
  const auto text = named_file(file, out.errors);
  if (!text) return out;
  if (file_role_of(*text) == FileRole::kEdge) {
    Loaded<config::EdgeConfig> edge = config::parse_edge_config(*text, file);
    take_findings(out, edge);
    if (edge.value) out.value = edge.value->control;
  } else {
    Loaded<config::CoreConfig> core = config::parse_core_config(*text, file);
    take_findings(out, core);
    if (core.value) out.value = core.value->control;
  }
  return out;
}

Loaded<config::EdgeConfig> load_edge_config(const std::string& file) {
  Loaded<config::EdgeConfig> out;
  const auto text = named_file(file, out.errors);
  return text ? config::parse_edge_config(*text, file) : std::move(out);
}

Loaded<config::CoreConfig> load_core_config(const std::string& file) {
  Loaded<config::CoreConfig> out;
  const auto text = named_file(file, out.errors);
  return text ? config::parse_core_config(*text, file) : std::move(out);
}

Loaded<config::PolicyConfig> load_policy_config(const config::CoreConfig& core) {
  Loaded<config::PolicyConfig> out;
  const auto text = named_file(core.policy, out.errors);
  return text ? config::parse_policy(*text, core.policy, core) : std::move(out);
}

Loaded<EdgeFiles> load_edge(const std::string& file, UnixTime) {
  Loaded<EdgeFiles> out;
  const auto text = named_file(file, out.errors);
  if (!text) return out;
  Loaded<config::EdgeConfig> config = config::parse_edge_config(*text, file);
  take_findings(out, config);
  if (!config.value) return out;
  check_group(file, config.value->control_group, out.errors);
  check_libraries(out.errors);
  Identity identity = load_identity(config.value->identity, out.errors, out.warnings);
  for (const config::CoreRow& core : config.value->cores)
    warn_of_own_pin(file, identity, fmt::format("[[core]] `{}`", core.name), core.pins, out.warnings);
  if (config.value->trust_anchor.empty() || named_file(config.value->trust_anchor, out.errors))
    check_resolver(*config.value, out.errors);
  if (!out.errors.empty()) return out;
  std::string fingerprint = to_hex(sha256(*text)) + identity.pin;
  out.value = EdgeFiles{std::move(*config.value), std::move(identity), std::move(fingerprint)};
  return out;
}

Loaded<CoreFiles> load_core(const std::string& file, UnixTime now) {
  Loaded<CoreFiles> out;
  const auto text = named_file(file, out.errors);
  if (!text) return out;
  Loaded<config::CoreConfig> config = config::parse_core_config(*text, file);
  take_findings(out, config);
  if (!config.value) return out;
  CoreFiles files{std::move(*config.value), sha256(*text), {}, {}, {}, {}, {}};
  check_group(file, files.config.control_group, out.errors);
  if (const std::string& state = files.config.state; file_exists(state) && !is_directory(state))
    out.errors.push_back(finding_of(state, {Code::kConfigValue, "`state` in [core] is not a directory"}));
  // The directory is the daemon's: another user may not read it.
  const Result<void> generation = check_generation(files.config.state);
  if (!generation && generation.error().code == Code::kFileFormat)
    out.errors.push_back(finding_of(files.config.state + "/generation", generation.error()));
  const Result<void> folder = check_spool_folder(files.config.state, files.config.delivery.spool);
  if (!folder) out.errors.push_back(finding_of(file, folder.error()));
  check_libraries(out.errors);
  files.identity = load_identity(files.config.identity, out.errors, out.warnings);
  for (const config::EdgeRow& edge : files.config.edges)
    warn_of_own_pin(file, files.identity, fmt::format("[[edge]] `{}`", edge.name.ascii()), edge.pins,
                    out.warnings);
  if (!files.config.server_ca.empty()) files.server_ca = load_authorities(files.config.server_ca, out.errors);
  const std::size_t errors_before = out.errors.size();
  if (!files.config.ca_certificate.empty()) {
    files.ca_certificate = load_authorities(files.config.ca_certificate, out.errors);
  }
  if (!files.config.ca_key.empty())
    files.ca_key = secret_file(files.config.ca_key, out.errors, out.warnings).value_or("");
  if (out.errors.size() == errors_before) check_internal_ca(files, out.errors, out.warnings);
  check_dialback_secret(files.config, out.errors, out.warnings);
  if (files.config.admin) {
    warn_of_open_secret(files.config.admin->tokens_file, out.warnings);
    if (!files.config.admin->key.empty()) warn_of_open_secret(files.config.admin->key, out.warnings);
  }
  Loaded<PolicyFiles> policy = load_policy(files.config, now);
  take_findings(out, policy);
  if (policy.value) files.policy = std::move(*policy.value);
  if (out.errors.empty()) out.value = std::move(files);
  return out;
}

Loaded<PolicyFiles> load_policy(const config::CoreConfig& core, UnixTime now) {
  Loaded<PolicyFiles> out;
  const auto text = named_file(core.policy, out.errors);
  validate_policy_files(text, core, now, out);
  return out;
}

Loaded<PolicyFiles> validate_policy(const std::string& text, const config::CoreConfig& core, UnixTime now) {
  Loaded<PolicyFiles> out;
  validate_policy_files(text, core, now, out);
  return out;
}

std::vector<NamedCertificate> load_certificates(const std::string& directory, UnixTime now,
                                                const std::string& trusted_ca, std::vector<Finding>& errors,
                                                std::vector<Finding>& warnings) {
  std::vector<NamedCertificate> found;
  const auto trust =
      trusted_ca.empty() ? Result(net::TrustStore::system()) : net::TrustStore::parse(trusted_ca);
  const Result<std::vector<std::string>> names = list_directory(directory);
  if (!names) {
    errors.push_back(unreadable_finding(directory, names.error()));
    return found;
  }
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    std::string chain;
    std::string key;
    if (is_directory(path)) {
      if (!file_exists(path + "/fullchain.pem") && !file_exists(path + "/privkey.pem")) continue;
      chain = path + "/fullchain.pem";
      key = path + "/privkey.pem";
    } else if (name.ends_with(".crt")) {
      chain = path;
      key = path.substr(0, path.size() - 4) + ".key";
    } else {
      continue;
    }
    if (auto pair = load_pair(chain, key, now, trust ? trust->get() : nullptr, errors, warnings))
      found.push_back(std::move(*pair));
  }
  std::ranges::stable_sort(found, [](const NamedCertificate& a, const NamedCertificate& b) {
    return a.certificate.not_after > b.certificate.not_after;
  });
  return found;
}

std::vector<const config::Served*> uncovered(const config::PolicyConfig& policy,
                                             const std::vector<std::vector<std::string>>& name_lists) {
  TextSet names;
  for (const std::vector<std::string>& one : name_lists) names.insert(one.begin(), one.end());
  const auto covered = [&names](const std::string& name) {
    const std::size_t dot = name.find('.');
    return names.contains(name) || (dot != std::string::npos && names.contains("*" + name.substr(dot)));
  };
  std::vector<const config::Served*> rows;
  for (const config::Served& served : policy.served) {
    if (!covered(served.name.ascii())) rows.push_back(&served);
  }
  return rows;
}

void warn_of_uncovered(const config::PolicyConfig& policy,
                       const std::vector<config::CertificatePem>& certificates, const std::string& directory,
                       std::vector<Finding>& warnings) {
  std::vector<std::vector<std::string>> names;
  for (const config::CertificatePem& one : certificates) names.push_back(one.names);
  for (const config::Served* served : uncovered(policy, names)) {
    warnings.push_back(
        {Code::kConfigMissing, policy.file, served->line, 1,
         fmt::format("no certificate in `{}` covers {}; remote servers cannot connect to it with TLS",
                     directory, served->name.ascii())});
  }
}

void warn_of_open_secret(const std::string& path, std::vector<Finding>& warnings) {
  constexpr unsigned kOpen = 0037;  // a group may read what it shares with the node's user
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0 || (about.st_mode & kOpen) == 0) return;
  warnings.push_back(finding_of(
      path, {Code::kConfigExposed,
             fmt::format("holds a secret and has mode {:04o}, so other users than its owner can use it: "
                         "`chmod 0600`, or 0640 if only the node is in the group",
                         about.st_mode & 07777)}));
}

net::ResolverSetup resolver_setup(const config::EdgeConfig& config) {
  return {config.resolver_servers, config.trust_anchor, config.resolver_insecure};
}

net::DialSetup dial_setup(const config::EdgeConfig& config) {
  net::DialSetup setup;
  setup.ports = config.outbound_ports;
  setup.allow_networks = config.allow_networks;
  setup.refuse_networks = config.refuse_networks;
  for (const std::string& address : config.bind) {
    if (const auto ip = dns::Ip::parse(address)) setup.bind.push_back(*ip);
  }
  return setup;
}

}  // namespace sallyport::daemon
