#include "s2s/sasl_external.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/bytes.h"
#include "s2s/stream_xml.h"

namespace sallyport::s2s {

std::string external_feature_xml() {
  return fmt::format("<mechanisms xmlns='{}'><mechanism>EXTERNAL</mechanism></mechanisms>", xmpp::ns::kSasl);
}

bool is_external_offered(const xmpp::Element& features) {
  const xmpp::Element* mechanisms = features.child(xmpp::ns::kSasl, "mechanisms");
  if (mechanisms == nullptr) return false;
  return std::ranges::any_of(mechanisms->children, [](const xmpp::Element& mechanism) {
    return mechanism.name.is(xmpp::ns::kSasl, "mechanism") && mechanism.text == "EXTERNAL";
  });
}

std::optional<SaslRefusal> check_external(const xmpp::Element& auth, const xmpp::Domain& from) {
  const std::string* mechanism = auth.attribute("mechanism");
  if (mechanism == nullptr || *mechanism != "EXTERNAL") {
    return SaslRefusal{"invalid-mechanism",
                       {Code::kSaslMechanism, mechanism == nullptr ? std::string() : bounded(*mechanism)}};
  }
  if (auth.text.empty() || auth.text == "=") return std::nullopt;
  const std::optional<std::string> authzid = from_base64(auth.text);
  if (!authzid) return SaslRefusal{"incorrect-encoding", {Code::kSaslAuthzid, bounded(auth.text)}};
  const Result<xmpp::Domain> domain = xmpp::Domain::parse(*authzid);
  if (domain && *domain == from) return std::nullopt;
  return SaslRefusal{"invalid-authzid", {Code::kSaslAuthzid, bounded(*authzid)}};
}

std::string external_auth_xml(const xmpp::Domain& own) {
  return fmt::format("<auth xmlns='{}' mechanism='EXTERNAL'>{}</auth>", xmpp::ns::kSasl,
                     to_base64(own.unicode()));
}

std::string sasl_success_xml() { return fmt::format("<success xmlns='{}'/>", xmpp::ns::kSasl); }

std::string sasl_failure_xml(std::string_view condition) {
  return fmt::format("<failure xmlns='{0}'><{1}/></failure>", xmpp::ns::kSasl, condition);
}

}  // namespace sallyport::s2s
