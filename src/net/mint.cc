#include "net/mint.h"

#include <algorithm>

#include "base/limits.h"
#include "net/openssl.h"
#include "net/x509_parts.h"

namespace sallyport::net {

namespace {

// Clocks of internal servers may be behind ours.
constexpr auto kBackdated = std::chrono::hours(1);
// A larger RSA key signs ten times as slowly (limits::kMintsSlowKeyPart).
constexpr int kFastRsaBitsMax = 3072;

bool is_or_below(const std::string& name, const std::string& parent) {
  if (name == parent) return true;
  return name.size() > parent.size() + 1 && name.ends_with(parent) &&
         name[name.size() - parent.size() - 1] == '.';
}

}  // namespace

Result<std::unique_ptr<Minter>> Minter::make(const CaPem& ca,
                                             std::vector<policy::DomainPattern> internal_names,
                                             std::size_t mints_per_second) {
  auto authority = Credential::parse(ca.certificates, ca.key);
  if (!authority) return std::move(authority).error();
  if (X509_check_ca((*authority)->leaf()) != 1) {
    return Error{Code::kFileFormat, "the first certificate is not one of a certificate authority"};
  }
  auto excluded = ca_excluded_names(ca.certificates);
  if (!excluded) return std::move(excluded).error();
  std::unique_ptr<Minter> minter(new Minter());
  minter->ca_ = std::move(*authority);
  minter->excluded_ = std::move(*excluded);
  minter->internal_names_ = std::move(internal_names);
  const bool is_slow = EVP_PKEY_get_base_id(minter->ca_->key()) == EVP_PKEY_RSA &&
                       EVP_PKEY_get_bits(minter->ca_->key()) > kFastRsaBitsMax;
  minter->per_second_ =
      is_slow ? std::max<std::size_t>(1, mints_per_second / limits::kMintsSlowKeyPart) : mints_per_second;
  minter->leaf_key_ = new_key().release();
  if (minter->leaf_key_ == nullptr) return Error{Code::kInternal, openssl_reasons()};
  return minter;
}

Minter::~Minter() { EVP_PKEY_free(leaf_key_); }

void Minter::set_internal_names(std::vector<policy::DomainPattern> internal_names) {
  internal_names_ = std::move(internal_names);
  std::erase_if(leaves_, [this](const auto& leaf) {
    auto domain = xmpp::Domain::parse(leaf.first);
    return !domain || !may_mint(*domain);
  });
}

Result<void> Minter::may_mint(const xmpp::Domain& domain) const {
  auto matches = [&domain](const policy::DomainPattern& pattern) { return pattern.matches(domain); };
  auto covers = [&domain](const std::string& name) { return is_or_below(domain.ascii(), name); };
  if (std::any_of(internal_names_.begin(), internal_names_.end(), matches))
    return Error{Code::kPolicyInsideName, domain.ascii()};
  if (std::any_of(excluded_.begin(), excluded_.end(), covers)) {
    return Error{Code::kPolicyInsideName,
                 domain.ascii() + " is at or below a name that the internal CA may not name"};
  }
  return {};
}

bool Minter::may_mint(const std::string& source, UnixTime now) {
  if (now != second_) {
    second_ = now;
    minted_this_second_ = 0;
    minted_for_.clear();
  }
  const std::size_t left = per_second_ - minted_this_second_;
  const auto minted = minted_for_.find(source);
  if (!has_even_room(minted == minted_for_.end() ? 0 : minted->second, 1, per_second_, left)) return false;
  ++minted_this_second_;
  ++minted_for_[source];
  return true;
}

// All servers may use a leaf; it counts for the server for which it was minted.
void Minter::touch(const std::string& name, Leaf& leaf) {
  leaf.place.reset();
  leaf.place = places_.hold({leaf.source}, &name);
}

void Minter::make_room(const std::string& source) {
  if (places_.place({source}).room == Places::Room::kFree) return;
  // The server that needs the new leaf may itself be the one that has most.
  leaves_.erase(std::string(**places_.oldest_of_largest()));
}

Result<std::shared_ptr<const Credential>> Minter::credential_for(const xmpp::Domain& domain, UnixTime now,
                                                                 const dns::Ip& peer) {
  const std::string& name = domain.ascii();
  auto found = leaves_.find(name);
  if (found != leaves_.end()) {
    Leaf& leaf = found->second;
    touch(found->first, leaf);
    if (now <= leaf.renew_after && now >= leaf.credential->not_before()) return leaf.credential;
  }
  if (auto allowed = may_mint(domain); !allowed) return std::move(allowed).error();
  const std::string source = source_of_address(peer.bytes);
  if (!may_mint(source, now)) {
    // A leaf that waits for renewal is valid for half its lifetime.
    bool still_good = found != leaves_.end() && now < found->second.credential->not_after();
    if (still_good) return found->second.credential;
    return Error{Code::kTlsMintRate, name};
  }
  auto leaf = mint(name, now);
  if (!leaf) return std::move(leaf).error();
  if (found != leaves_.end()) {
    found->second.credential = std::move(leaf->credential);
    found->second.renew_after = leaf->renew_after;
    return found->second.credential;
  }
  make_room(source);
  found = leaves_.emplace(name, std::move(*leaf)).first;
  found->second.source = source;
  touch(found->first, found->second);
  return found->second.credential;
}

Result<Minter::Leaf> Minter::mint(const std::string& name, UnixTime now) {
  X509* issuer = ca_->leaf();
  UnixTime to = std::min(now + std::chrono::duration_cast<std::chrono::seconds>(limits::kMintedLifetime),
                         ca_->not_after());
  X509Ptr x = start_certificate(name, now - kBackdated, to, leaf_key_);
  bool made =
      x && X509_set_issuer_name(x.get(), X509_get_subject_name(issuer)) == 1 &&
      add_extension(x.get(), issuer, NID_basic_constraints, "critical,CA:FALSE") &&
      add_extension(x.get(), issuer, NID_key_usage, "critical,digitalSignature") &&
      // On the internal side the core is client and server, and old servers check each purpose (XEP-0178).
      add_extension(x.get(), issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
      add_extension(x.get(), issuer, NID_subject_key_identifier, "hash") &&
      add_extension(x.get(), issuer, NID_authority_key_identifier, "keyid") &&
      add_dns_names(x.get(), {name}) && X509_sign(x.get(), ca_->key(), EVP_sha256()) > 0;
  if (!made) return Error{Code::kInternal, "minting for " + name + ": " + openssl_reasons()};
  X509_up_ref(issuer);
  EVP_PKEY_up_ref(leaf_key_);
  ++minted_;
  return Leaf{Credential::adopt(x.release(), {issuer}, leaf_key_), now + (to - now) / 2};
}

}  // namespace sallyport::net
