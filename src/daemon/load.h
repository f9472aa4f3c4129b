// From the files of a role to the values it starts with: read, judged, with every error of all of them.
//
// The judgement of a file's text is config's (config/) and of a certificate's net's (net/certificate.h);
// here the files are found, read and put together. Nothing is written.
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

namespace sallyport::daemon {

using config::FileRole;
// By its tables: [edge], [core], or those of policy.toml; nothing when they do not tell.
std::optional<FileRole> file_role_of(std::string_view text);

// One per line, each ending with a line feed.
std::string shown_findings(const std::vector<config::Finding>& findings);
// A finding about a whole file, without a place in it.
config::Finding finding_of(const std::string& file, const Error& error);

// That a file could not be read: kFileDenied where only permissions are in the way, else kConfigMissing.
config::Finding unreadable_finding(const std::string& path, const Error& error);

// The control socket that a configuration names, edge's or core's.
config::Loaded<std::string> control_path_of(const std::string& file);

// Who a door is on the link. The key is wiped when it ends.
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

// What a core reads again on `reload`.
struct PolicyFiles {
  config::PolicyUpdate update;  // generation 0: the state directory counts
  // Of everything that was read: equal when nothing changed.
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
// The same as if this text stood in the policy's file.
config::Loaded<PolicyFiles> judge_policy(const std::string& text, const config::CoreConfig& core,
                                         UnixTime now);

// The (chain, key) pairs of the certificates directory: NAME.crt + NAME.key, NAME/fullchain.pem +
// NAME/privkey.pem; those that stay valid longest first. `trusted_ca`: PEM, what peers are verified against;
// empty: the system's store. Findings go to `errors` and `warnings`.
struct NamedCertificate {
  std::string path;  // of the chain
  net::JudgedCertificate certificate;
};
std::vector<NamedCertificate> load_certificates(const std::string& directory, UnixTime now,
                                                const std::string& trusted_ca,
                                                std::vector<config::Finding>& errors,
                                                std::vector<config::Finding>& warnings);
// The rows whose name none of these certificates' names covers: equal, or a wildcard for its first label.
// `name_lists`: the names of each certificate.
std::vector<const config::Served*> uncovered(const config::PolicyConfig& policy,
                                             const std::vector<std::vector<std::string>>& name_lists);
// A warning for each of them.
void warn_of_uncovered(const config::PolicyConfig& policy,
                       const std::vector<config::CertificatePem>& certificates, const std::string& directory,
                       std::vector<config::Finding>& warnings);
// Warns of a file with a secret that others than its owner may read or change, or its group change. A file
// that is absent is somebody else's finding.
void warn_of_open_secret(const std::string& path, std::vector<config::Finding>& warnings);
// How an edge dials the world.
net::DialSetup dial_setup(const config::EdgeConfig& config);
}  // namespace sallyport::daemon
