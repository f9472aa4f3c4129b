// Certificates minted for remote domains: how the core proves to an inside server that it speaks for one.
//
// One leaf per remote domain, short-lived, signed by the private authority (net/internal_ca.h), kept in a
// bounded cache and renewed when half its life is over. The leaves' key lives in memory only, and is another
// one in each process.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/limits.h"
#include "net/certificate_source.h"
#include "net/internal_ca.h"
#include "policy/rules.h"

namespace sallyport::net {

class Minter : public CertificateSource {
 public:
  // Errors: kFileFormat: not a certificate authority, or the key is not that of the first certificate.
  static Result<std::unique_ptr<Minter>> make(const CaPem& ca, std::vector<policy::DomainPattern> inside,
                                              std::size_t mints_per_second = limits::kMintsPerSecondMax);
  ~Minter() override;

  // From now on these are the inside names, and none is minted for (DESIGN invariant 5). Cached leaves for
  // them go.
  void set_inside(std::vector<policy::DomainPattern> inside);

  // Errors: kPolicyInsideName, also for what the authority is constrained not to name; kTlsMintRate
  // (the bound given to `make`); kInternal.
  Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now) override;

  std::size_t cached() const { return by_name_.size(); }
  std::uint64_t minted() const { return minted_; }

 private:
  struct Leaf {
    std::string name;
    std::shared_ptr<const Credential> credential;
    UnixTime renew_after;
  };
  using Leaves = std::list<Leaf>;

  Minter() = default;
  Result<void> judge(const xmpp::Domain& domain) const;
  bool may_mint(UnixTime now);
  Result<Leaf> mint(const std::string& name, UnixTime now);

  std::shared_ptr<const Credential> ca_;
  evp_pkey_st* leaf_key_ = nullptr;
  std::vector<std::string> excluded_;
  std::vector<policy::DomainPattern> inside_;
  Leaves leaves_;  // the latest used first
  std::unordered_map<std::string, Leaves::iterator> by_name_;
  UnixTime second_{};
  std::size_t per_second_ = limits::kMintsPerSecondMax;
  std::size_t minted_this_second_ = 0;
  std::uint64_t minted_ = 0;
};

}  // namespace sallyport::net
