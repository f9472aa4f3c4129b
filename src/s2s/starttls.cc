#include "s2s/starttls.h"

#include <fmt/format.h>

namespace sallyport::s2s {

std::string starttls_feature_xml(TlsRule rule) {
  if (rule == TlsRule::kNone) return {};
  if (rule == TlsRule::kOptional) return starttls_xml("starttls");
  return fmt::format("<starttls xmlns='{}'><required/></starttls>", xmpp::ns::kTls);
}

StarttlsOffer starttls_offer(const xmpp::Element& features) {
  const xmpp::Element* offer = features.child(xmpp::ns::kTls, "starttls");
  if (offer == nullptr) return {};
  return {true, offer->child(xmpp::ns::kTls, "required") != nullptr};
}

std::string starttls_xml(std::string_view name) {
  return fmt::format("<{} xmlns='{}'/>", name, xmpp::ns::kTls);
}

bool is_starttls(const xmpp::Element& element, std::string_view name) {
  return element.name.is(xmpp::ns::kTls, name);
}

}  // namespace sallyport::s2s
