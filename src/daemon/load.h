// From the files of a role to the values it starts with: read, judged, with every error of all of them.
//
// The judgement of a file's text is gate's (gate/config.h) and of a certificate's net's (net/certificate.h);
// here the files are found, read and put together. Nothing is written.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/keyed_hash.h"
#include "gate/config.h"
#include "gate/config_role.h"
#include "gate/core.h"
#include "net/certificate.h"
#include "net/dial.h"

namespace sallyport::daemon {

using gate::FileRole;
// By its tables: [edge], [core], or those of policy.toml; nothing when they do not tell.
std::optional<FileRole> file_role_of(std::string_view text);

// One per line, each ending with a line feed.
std::string shown_findings(const std::vector<gate::Finding>& findings);
// A finding about a whole file, without a place in it.
gate::Finding finding_of(const std::string& file, const Error& error);

// That a file could not be read: kFileDenied where only permissions are in the way, else kConfigMissing.
gate::Finding unreadable_finding(const std::string& path, const Error& error);

// The control socket that a configuration names, edge's or core's.
gate::Loaded<std::string> control_path_of(const std::string& file);

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
  gate::EdgeConfig config;
  Identity identity;
  std::string fingerprint;  // of the file and the identity
};

// What a core reads again on `reload`.
struct PolicyFiles {
  gate::PolicyUpdate update;  // generation 0: the state directory counts
  // Of everything that was read: equal when nothing changed.
  std::string fingerprint;
};

struct CoreFiles {
  gate::CoreConfig config;
  Digest256 config_sha256{};
  Identity identity;
  PolicyFiles policy;
  std::string server_ca;       // PEM; empty without [internal] server_ca
  std::string ca_certificate;  // PEM; empty: the one in `state`
  std::string ca_key;
};

// See PolicyFiles::fingerprint.
std::string fingerprint_of(const gate::PolicyUpdate& update);

gate::Loaded<EdgeFiles> load_edge(const std::string& file, UnixTime now);
gate::Loaded<CoreFiles> load_core(const std::string& file, UnixTime now);
// The configuration alone, without the files that it names: for commands that need no secret.
gate::Loaded<gate::CoreConfig> load_core_config(const std::string& file);
gate::Loaded<gate::EdgeConfig> load_edge_config(const std::string& file);
gate::Loaded<gate::PolicyConfig> load_policy_config(const gate::CoreConfig& core);
// policy.toml, the public certificates, trusted_ca.
gate::Loaded<PolicyFiles> load_policy(const gate::CoreConfig& core, UnixTime now);
// The same as if this text stood in the policy's file.
gate::Loaded<PolicyFiles> judge_policy(const std::string& text, const gate::CoreConfig& core, UnixTime now);

// The (chain, key) pairs of the certificates directory: NAME.crt + NAME.key, NAME/fullchain.pem +
// NAME/privkey.pem; those that stay valid longest first. `trusted_ca`: PEM, what peers are verified against;
// empty: the system's store. Findings go to `errors` and `warnings`.
struct NamedCertificate {
  std::string path;  // of the chain
  net::JudgedCertificate certificate;
};
std::vector<NamedCertificate> load_certificates(const std::string& directory, UnixTime now,
                                                const std::string& trusted_ca,
                                                std::vector<gate::Finding>& errors,
                                                std::vector<gate::Finding>& warnings);
// The rows whose name none of these certificates' names covers: equal, or a wildcard for its first label.
// `name_lists`: the names of each certificate.
std::vector<const gate::Served*> uncovered(const gate::PolicyConfig& policy,
                                           const std::vector<std::vector<std::string>>& name_lists);
// A warning for each of them.
void warn_of_uncovered(const gate::PolicyConfig& policy,
                       const std::vector<gate::CertificatePem>& certificates, const std::string& directory,
                       std::vector<gate::Finding>& warnings);
// Warns of a file with a secret that others than its owner may read or change, or its group change. A file
// that is absent is somebody else's finding.
void warn_of_open_secret(const std::string& path, std::vector<gate::Finding>& warnings);
// How an edge dials the world.
net::DialSetup dial_setup(const gate::EdgeConfig& config);
}  // namespace sallyport::daemon
