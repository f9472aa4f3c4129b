// The data that a core sends to an edge: names, lists, routes, peer settings, public certificates with their
// keys, and nothing else (docs/security.md). One whole document, with a generation.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "policy/rules.h"
#include "route/static_route.h"

namespace sallyport::config {

// A public certificate: the full chain and its key, PEM. The key is secret: wiped in the destructor.
struct CertificatePem {
  std::vector<std::string> names;  // its DNS names, as the core read them (A-labels, wildcards too)
  std::string chain;
  std::string key;

  CertificatePem() = default;
  CertificatePem(const CertificatePem&) = default;
  CertificatePem(CertificatePem&&) noexcept = default;
  CertificatePem& operator=(const CertificatePem&) = default;
  CertificatePem& operator=(CertificatePem&&) noexcept = default;
  ~CertificatePem() { wipe(key); }
};

// A push as views of its parts: encoded without copying 100,000 rows.
struct PushView {
  std::uint64_t generation;
  const Digest256& policy_sha256;
  const policy::RuleSet& rules;
  const std::vector<route::StaticRoute>& routes;
  const std::string& trusted_ca;
  const std::vector<CertificatePem>& certificates;

  // Holds private keys: the caller wipes the bytes. They were reserved at once, so that growing left no
  // copies.
  std::string encode() const;
};

struct Push {
  std::uint64_t generation = 0;
  Digest256 policy_sha256{};  // of the policy file's bytes; both nodes show it
  // `internal_names`, the rows' comments and `delivery` stay on the core: an edge does not need them.
  // `lifetime_memory` is sent where it is not the default, in a version that earlier releases do not read.
  policy::RuleSet rules;
  std::vector<route::StaticRoute> routes;  // empty while static_routes is off
  std::string trusted_ca;                  // PEM; empty: the edge's system store
  std::vector<CertificatePem> certificates;

  // See PushView.
  std::string encode() const {
    return PushView{generation, policy_sha256, rules, routes, trusted_ca, certificates}.encode();
  }
  // Errors: kLinkFrame for bytes that `encode` did not write, or for more than the limits allow.
  static Result<Push> decode(std::string_view bytes);
};

}  // namespace sallyport::config
