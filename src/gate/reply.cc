#include "gate/reply.h"

#include <fmt/format.h>

namespace sallyport::gate {
namespace {

// Codes that end a stream or a link, and of the sender's own wrong.
std::string_view to_public(Code code, std::string_view own) {
  switch (code) {
    case Code::kStreamIdle:
    case Code::kStreamShutdown:
    case Code::kStreamReset:
    case Code::kLinkDead:
    case Code::kLinkRefused:
    case Code::kDeliveryUncertain:
      return "remote-server-timeout";
    case Code::kStreamTooMany:
      return "resource-constraint";
    // The one of the parser's limits that a good stanza can come to: the inside name of a node may be longer.
    case Code::kXmlTooLarge:
      return "policy-violation";
    default:
      break;
  }
  // The remote sender's server did find this gateway. Which server behind it fails, and how, is not disclosed
  // there.
  if (own == "remote-server-not-found") return "service-unavailable";
  return own.empty() ? "internal-server-error" : own;
}

// RFC 6120 8.3.3.17: a remote server that was found, and with which no stream could be had.
std::string_view to_internal(Code code, std::string_view own) {
  switch (code) {
    case Code::kTlsNoLocalCertificate:
      return "internal-server-error";
    case Code::kStreamTooMany:
      return "resource-constraint";
    // The sender's own domain is not to federate; the recipient may well exist.
    case Code::kPolicyNotLocal:
      return "not-allowed";
    default:
      break;
  }
  if (!own.empty()) return own;
  for (const std::string_view area :
       {"xml.", "stanza.", "stream.", "tls.", "sasl.", "dialback.", "dns.", "link.", "delivery."}) {
    if (code_row(code).name.starts_with(area)) return "remote-server-timeout";
  }
  return "internal-server-error";
}

}  // namespace

std::string_view stanza_condition(Code code, SenderSide sender) {
  const auto own = code_row(code).stanza_condition;
  return sender == SenderSide::kPublic ? to_public(code, own) : to_internal(code, own);
}

std::optional<xmpp::Stanza> answer_bad(const xmpp::BadStanza& bad, SenderSide sender) {
  const auto sentence = code_row(bad.error.code).sentence;
  return xmpp::bounce(
      bad, stanza_condition(bad.error.code, sender),
      bad.error.text.empty() ? std::string(sentence) : fmt::format("{} ({})", sentence, bad.error.text));
}

}  // namespace sallyport::gate
