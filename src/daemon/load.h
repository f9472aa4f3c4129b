// Loads the files of a role into the values it starts with, and reports every error of all of them.
//
// config/ validates the text of a file and net/certificate.h a certificate; this finds, reads and combines
// the files. It writes nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "config/edge_config.h"
#include "config/file_role.h"
#include "config/policy_config.h"
#include "gate/core.h"
#include "net/certificate.h"
#include "net/dial.h"
#include "net/resolver.h"

namespace sallyport::daemon {

using config::FileRole;
// The role by the file's tables: [edge], [core], or those of policy.toml; nothing if they do not tell.
std::optional<FileRole> file_role_of(std::string_view text);

// One per line, each ending with a line feed.
std::string shown_findings(const std::vector<config::Finding>& findings);
// A finding about a whole file, without a place in it.
config::Finding finding_of(const std::string& file, const Error& error);

// The finding that a file could not be read or used: kConfigMissing where it is absent, else the error's
// code.
config::Finding unreadable_finding(const std::string& path, const Error& error);

// The control socket that a configuration names, edge's or core's.
config::Loaded<std::string> control_path_of(const std::string& file);

// The identity of a node on the link. The destructor wipes the key.
struct Identity {
  std::string certificate;  // PEM
  std::string key;          // PEM
  std::string pin;

  Identity() = default;
  Identity(Identity&&) noexcept = default;
  Identity& operator=(Identity&&) noexcept = default;
  ~Identity() { wipe(key); }
};

struct EdgeFiles {
  config::EdgeConfig config;
  Identity identity;
  std::string fingerprint;  // of the file and the identity
};

// The files that a core reads again on `reload`.
struct PolicyFiles {
  config::PolicyUpdate update;  // generation 0: the state directory assigns the number
  // A hash of everything that was read.
  std::string fingerprint;
};

struct CoreFiles {
  config::CoreConfig config;
  Digest256 config_sha256{};
  Identity identity;
  PolicyFiles policy;
  std::string server_ca;       // PEM; empty without [internal] server_ca
  std::string ca_certificate;  // PEM; empty: the one in `state`
  std::string ca_key;
};

// See PolicyFiles::fingerprint.
std::string fingerprint_of(const config::PolicyUpdate& update);

config::Loaded<EdgeFiles> load_edge(const std::string& file, UnixTime now);
config::Loaded<CoreFiles> load_core(const std::string& file, UnixTime now);
// The configuration alone, without the files that it names: for commands that need no secret.
config::Loaded<config::CoreConfig> load_core_config(const std::string& file);
config::Loaded<config::EdgeConfig> load_edge_config(const std::string& file);
config::Loaded<config::PolicyConfig> load_policy_config(const config::CoreConfig& core);
// policy.toml, the public certificates, trusted_ca.
config::Loaded<PolicyFiles> load_policy(const config::CoreConfig& core, UnixTime now);
// A file of PEM certificates: at least one.
void check_authorities(const std::string& path, std::vector<config::Finding>& errors);
// The same with this text in place of the policy's file.
config::Loaded<PolicyFiles> validate_policy(const std::string& text, const config::CoreConfig& core,
                                            UnixTime now);

// The (chain, key) pairs of the certificates directory: NAME.crt + NAME.key, NAME/fullchain.pem +
// NAME/privkey.pem; sorted by end of validity, latest first. `trusted_ca`: PEM, the authorities that peers
// are verified against; empty: the system's store. Findings go to `errors` and `warnings`.
struct NamedCertificate {
  std::string path;  // of the chain
  net::CheckedCertificate certificate;
};
std::vector<NamedCertificate> load_certificates(const std::string& directory, UnixTime now,
                                                const std::string& trusted_ca,
                                                std::vector<config::Finding>& errors,
                                                std::vector<config::Finding>& warnings);
// The rows that no name of these certificates covers, either equal or as a wildcard for the first label.
// `name_lists`: the names of each certificate.
std::vector<const config::Served*> uncovered(const config::PolicyConfig& policy,
                                             const std::vector<std::vector<std::string>>& name_lists);
// Adds a warning for each of them.
void warn_of_uncovered(const config::PolicyConfig& policy,
                       const std::vector<config::CertificatePem>& certificates, const std::string& directory,
                       std::vector<config::Finding>& warnings);
// Warns of a file with a secret that users other than its owner can read or change, or its group can change.
// An absent file is reported elsewhere.
void warn_of_open_secret(const std::string& path, std::vector<config::Finding>& warnings);
// The [resolver] of an edge.
net::ResolverSetup resolver_setup(const config::EdgeConfig& config);
// The rules by which an edge dials remote servers.
net::DialSetup dial_setup(const config::EdgeConfig& config);
}  // namespace sallyport::daemon
