// Certificates minted for remote domains: the core proves with them to an internal server that it speaks for
// the domain.
//
// One leaf per remote domain, short-lived, signed by the private authority (net/internal_ca.h), kept in a
// bounded cache and renewed after half its lifetime. The leaves' key exists in memory only and differs in
// each process.
//
// Mints and cached leaves are shared fairly between the internal servers, by address (docs/limits.md "Fair
// shares"): a server may use at most as many mints of a second as it leaves to others. When the cache is
// full, the server for which most leaves were minted loses the least recently used one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/keyed_hash.h"
#include "base/limits.h"
#include "base/shares.h"
#include "net/certificate_source.h"
#include "net/internal_ca.h"
#include "policy/rules.h"

namespace sallyport::net {

class Minter : public CertificateSource {
 public:
  // Errors: kFileFormat: not a certificate authority, or the key is not that of the first certificate.
  static Result<std::unique_ptr<Minter>> make(const CaPem& ca,
                                              std::vector<policy::DomainPattern> internal_names,
                                              std::size_t mints_per_second = limits::kMintsPerSecondMax);
  ~Minter() override;

  // Replaces the internal names, for which nothing is minted, and drops cached leaves for them.
  void set_internal_names(std::vector<policy::DomainPattern> internal_names);

  // Errors: kPolicyInsideName, also for names that the authority's constraints exclude; kTlsMintRate (the
  // limit given to `make`); kInternal.
  Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now,
                                                           const dns::Ip& peer = {}) override;

  std::size_t cached() const { return leaves_.size(); }
  std::uint64_t minted() const { return minted_; }

 private:
  // A leaf's owner is its name, the key in `leaves_`.
  using Places = Shares<const std::string*>;
  struct Leaf {
    std::shared_ptr<const Credential> credential;
    UnixTime renew_after;
    std::string source{};  // the internal server for which it was minted
    Places::Part place{};
  };

  Minter() = default;
  Result<void> may_mint(const xmpp::Domain& domain) const;
  bool may_mint(const std::string& source, UnixTime now);
  void make_room(const std::string& source);
  // Makes the leaf the most recently used one of its server.
  void touch(const std::string& name, Leaf& leaf);
  Result<Leaf> mint(const std::string& name, UnixTime now);

  std::shared_ptr<const Credential> ca_;
  evp_pkey_st* leaf_key_ = nullptr;
  std::vector<std::string> excluded_;
  std::vector<policy::DomainPattern> internal_names_;
  Places places_{{limits::kMintedCacheMax, {limits::kMintedCacheMax}}};
  TextMap<Leaf> leaves_;
  UnixTime second_{};
  std::size_t per_second_ = limits::kMintsPerSecondMax;
  std::size_t minted_this_second_ = 0;
  std::map<std::string, std::size_t> minted_for_;  // in this second, by internal server
  std::uint64_t minted_ = 0;
};

}  // namespace sallyport::net
