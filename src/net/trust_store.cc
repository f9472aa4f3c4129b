#include "net/trust_store.h"

#include <openssl/pem.h>

#include "base/limits.h"
#include "net/openssl.h"

namespace sallyport::net {

namespace {

StorePtr new_store() {
  StorePtr store(X509_STORE_new());
  X509_VERIFY_PARAM* param = X509_STORE_get0_param(store.get());
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_TRUSTED_FIRST);
  return store;
}

}  // namespace

std::shared_ptr<const TrustStore> TrustStore::nothing() {
  return std::shared_ptr<const TrustStore>(new TrustStore(new_store().release()));
}

std::shared_ptr<const TrustStore> TrustStore::system() {
  StorePtr store = new_store();
  X509_STORE_set_default_paths(store.get());
  ERR_clear_error();
  return std::shared_ptr<const TrustStore>(new TrustStore(store.release()));
}

Result<std::shared_ptr<const TrustStore>> TrustStore::parse(std::string_view pem) {
  if (pem.size() > limits::kTrustBytesMax) return Error{Code::kFileFormat, "trusted_ca is too large"};
  StorePtr store = new_store();
  X509_VERIFY_PARAM_set_flags(X509_STORE_get0_param(store.get()), X509_V_FLAG_PARTIAL_CHAIN);
  BioPtr in = read_bio(pem);
  ERR_clear_error();
  std::size_t count = 0;
  while (X509Ptr anchor{PEM_read_bio_X509_AUX(in.get(), nullptr, no_passphrase, nullptr)}) {
    X509_STORE_add_cert(store.get(), anchor.get());
    ++count;
  }
  bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (count == 0 || !at_end) return Error{Code::kFileFormat, "trusted certificates: " + openssl_reasons()};
  ERR_clear_error();
  return std::shared_ptr<const TrustStore>(new TrustStore(store.release()));
}

bool TrustStore::has_root_of(X509* certificate) const {
  OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  X509* found = nullptr;
  const bool is_found = X509_STORE_CTX_init(context.get(), store_, certificate, nullptr) == 1 &&
                        X509_STORE_CTX_get1_issuer(&found, context.get(), certificate) == 1;
  const X509Ptr issuer(found);
  ERR_clear_error();
  return is_found && X509_check_issued(issuer.get(), issuer.get()) == X509_V_OK;
}

TrustStore::~TrustStore() { X509_STORE_free(store_); }

}  // namespace sallyport::net
