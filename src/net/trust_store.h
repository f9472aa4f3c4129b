// The authorities that peers' certificate chains must lead to.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"

struct x509_st;
struct x509_store_st;

namespace sallyport::net {

// Immutable, shared.
class TrustStore {
 public:
  static std::shared_ptr<const TrustStore> system();
  static std::shared_ptr<const TrustStore> nothing();
  // PEM certificates; each is an anchor, even an intermediate one. Errors: kFileFormat.
  static Result<std::shared_ptr<const TrustStore>> parse(std::string_view pem);
  // Whether a self-signed authority of this store issued the certificate.
  bool has_root_of(x509_st* certificate) const;
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

 private:
  friend class S2sTls;
  explicit TrustStore(x509_store_st* store) : store_(store) {}
  x509_store_st* store_;
};

}  // namespace sallyport::net
