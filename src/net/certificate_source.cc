#include "net/certificate_source.h"

#include <algorithm>

namespace sallyport::net {

namespace {

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

std::shared_ptr<const Credential> best_of(const std::vector<std::shared_ptr<const Credential>>& candidates,
                                          UnixTime now) {
  auto rank = [now](const std::shared_ptr<const Credential>& c) {
    return std::pair(c->not_before() <= now && now <= c->not_after(), c->not_after());
  };
  return *std::max_element(candidates.begin(), candidates.end(),
                           [&rank](const auto& a, const auto& b) { return rank(a) < rank(b); });
}

}  // namespace

std::shared_ptr<const CertificateSet> CertificateSet::make(
    const std::vector<config::CertificatePem>& certificates, std::vector<Error>& unusable) {
  std::shared_ptr<CertificateSet> set(new CertificateSet());
  for (const config::CertificatePem& pem : certificates) {
    auto credential = Credential::parse(pem.chain, pem.key);
    if (!credential) {
      unusable.push_back(
          {credential.error().code,
           (pem.names.empty() ? std::string() : pem.names.front() + ": ") + credential.error().text});
      continue;
    }
    auto names = certificate_names((*credential)->leaf());
    if (!names) {
      unusable.push_back(names.error());
      continue;
    }
    // Uses the names in the certificate itself, not those that came beside it.
    for (const std::string& name : names->dns) set->by_name_[lower_case(name)].push_back(*credential);
  }
  return set;
}

Result<std::shared_ptr<const Credential>> CertificateSet::credential_for(const xmpp::Domain& domain,
                                                                         UnixTime now) const {
  auto found = by_name_.find(domain.ascii());
  if (found == by_name_.end()) {
    // One `*` stands for exactly one label (RFC 9525 6.3).
    std::size_t dot = domain.ascii().find('.');
    if (dot != std::string::npos) found = by_name_.find("*" + domain.ascii().substr(dot));
  }
  if (found == by_name_.end()) return Error{Code::kTlsNoLocalCertificate, domain.ascii()};
  return best_of(found->second, now);
}

std::vector<Error> PushedCertificates::use(const std::vector<config::CertificatePem>& certificates) {
  std::vector<Error> unusable;
  use(CertificateSet::make(certificates, unusable));
  return unusable;
}

Result<std::shared_ptr<const Credential>> PushedCertificates::credential_for(const xmpp::Domain& domain,
                                                                             UnixTime now, const dns::Ip&) {
  if (!certificates_) return Error{Code::kTlsNoLocalCertificate, domain.ascii()};
  return certificates_->credential_for(domain, now);
}

}  // namespace sallyport::net
