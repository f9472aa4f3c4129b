#include "policy/rules.h"

namespace sallyport::policy {

Result<DomainPattern> DomainPattern::parse(std::string_view text) {
  const bool wildcard = text.starts_with("*.");
  auto domain = xmpp::Domain::parse(wildcard ? text.substr(2) : text);
  if (!domain) return std::move(domain).error();
  return DomainPattern(domain->ascii(), wildcard);
}

bool DomainPattern::matches(const xmpp::Domain& domain) const {
  const std::string_view name = domain.ascii();
  if (!wildcard_) return name == base_;
  return name.size() > base_.size() + 1 && name.ends_with(base_) &&
         name[name.size() - base_.size() - 1] == '.';
}

std::string DomainPattern::text() const { return wildcard_ ? "*." + base_ : base_; }

}  // namespace sallyport::policy
