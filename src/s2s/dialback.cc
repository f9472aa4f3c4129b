#include "s2s/dialback.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "s2s/stream_policy.h"
#include "s2s/stream_xml.h"
#include "xmpp/stanza.h"

namespace sallyport::s2s {
namespace {

using Kind = DialbackElement::Kind;
using Type = DialbackElement::Type;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

Result<xmpp::Domain> domain_attribute(const xmpp::Element& element, std::string_view name) {
  const std::string* value = element.attribute(name);
  if (value == nullptr) return Error{Code::kStreamHeaderInvalid, fmt::format("dialback without `{}`", name)};
  Result<xmpp::Domain> domain = xmpp::Domain::parse(*value);
  if (!domain)
    return Error{Code::kStreamHeaderInvalid, bounded(fmt::format("dialback `{}`: {}", name, *value))};
  return domain;
}

Result<Type> type_attribute(const xmpp::Element& element) {
  const std::string* value = element.attribute("type");
  if (value == nullptr) return Type::kRequest;
  if (*value == "valid") return Type::kValid;
  if (*value == "invalid") return Type::kInvalid;
  if (*value == "error") return Type::kError;
  return Error{Code::kDialbackMalformed, bounded("type " + *value)};
}

void read_error(const xmpp::Element& element, DialbackElement& out) {
  // XEP-0220 2.4: `<error/>` in jabber:server; some leave it in the dialback namespace.
  for (const xmpp::Element& error : element.children) {
    if (error.name.local != "error") continue;
    for (const xmpp::Element& child : error.children) {
      if (child.name.space != xmpp::ns::kStanzaErrors) continue;
      (child.name.local == "text" ? out.text : out.condition) =
          bounded(child.name.local == "text" ? child.text : child.name.local);
    }
  }
}

}  // namespace

std::string dialback_key(std::string_view secret, const Pair& pair, std::string_view stream_id) {
  const std::string hashed = to_hex(sha256(secret));
  // XEP-0185 3: receiving, originating, id. The blanks keep fields apart (CVE-2016-0756): none is in a
  // domain.
  return to_hex(
      hmac_sha256(hashed, fmt::format("{} {} {}", pair.remote.ascii(), pair.local.ascii(), stream_id)));
}

Result<DialbackElement> DialbackElement::parse(const xmpp::Element& element) {
  const bool verify = element.name.is(xmpp::ns::kDialback, "verify");
  if (!verify && !element.name.is(xmpp::ns::kDialback, "result")) {
    return Error{Code::kStreamOrder, bounded(element.name.local)};
  }
  Result<xmpp::Domain> from = domain_attribute(element, "from");
  if (!from) return std::move(from).error();
  Result<xmpp::Domain> to = domain_attribute(element, "to");
  if (!to) return std::move(to).error();
  const Result<Type> type = type_attribute(element);
  if (!type) return type.error();

  DialbackElement out{
      verify ? Kind::kVerify : Kind::kResult, *type, *std::move(from), *std::move(to), {}, {}, {}, {}};
  if (verify) {
    const std::string* id = element.attribute("id");
    if (id == nullptr || id->empty() || id->size() > limits::kStreamIdBytesMax) {
      return Error{Code::kDialbackMalformed, "id"};
    }
    out.id = *id;
  }
  if (*type == Type::kRequest) {
    out.key = trimmed(element.text);
    if (out.key.empty() || out.key.size() > limits::kDialbackKeyBytesMax) {
      return Error{Code::kDialbackMalformed, "key"};
    }
  } else if (*type == Type::kError) {
    read_error(element, out);
  }
  return out;
}

std::string DialbackElement::xml() const {
  const auto attribute = [](std::string& out, std::string_view name, std::string_view value) {
    out.append(" ").append(name).append("='");
    xmpp::append_escaped_attribute(out, value);
    out.append("'");
  };
  const std::string_view name = kind == Kind::kVerify ? "db:verify" : "db:result";
  std::string out = fmt::format("<{}", name);
  attribute(out, "from", from.unicode());
  attribute(out, "to", to.unicode());
  if (kind == Kind::kVerify) attribute(out, "id", id);
  if (type == Type::kRequest) {
    out.append(">");
    xmpp::append_escaped_text(out, key);
    return out.append("</").append(name).append(">");
  }
  if (type != Type::kError) {
    attribute(out, "type", type == Type::kValid ? "valid" : "invalid");
    return out.append("/>");
  }
  out.append(fmt::format(" type='error'><error type='cancel'><{} xmlns='{}'/>",
                         condition.empty() ? "undefined-condition" : condition, xmpp::ns::kStanzaErrors));
  if (!text.empty()) {
    out.append(fmt::format("<text xmlns='{}' xml:lang='en'>", xmpp::ns::kStanzaErrors));
    xmpp::append_escaped_text(out, text);
    out.append("</text>");
  }
  return out.append("</error></").append(name).append(">");
}

std::string_view dialback_condition(Code code) {
  switch (code) {
    case Code::kStreamHostUnknown:
    case Code::kPolicyNotLocal:
    case Code::kPolicyNodeName:
      return "item-not-found";
    case Code::kTlsNoCertificate:
    case Code::kTlsUntrusted:
    case Code::kTlsNameMismatch:
      return "not-authorized";
    case Code::kDialbackInvalid:
      return "forbidden";
    case Code::kDialbackTooMany:
      return "resource-constraint";
    case Code::kDialbackUnreachable:
    case Code::kDialRefused:
    case Code::kDialTimeout:
      return "remote-connection-failed";
    case Code::kDialbackTimeout:
    case Code::kLinkDown:
      return "remote-server-timeout";
    case Code::kDialbackError:
      return "remote-server-not-found";
    default:
      break;
  }
  const CodeRow& row = code_row(code);
  if (row.stream_condition == "policy-violation" || row.name.starts_with("policy."))
    return "policy-violation";
  return row.stanza_condition.empty() ? std::string_view("remote-server-timeout") : row.stanza_condition;
}

DialbackElement dialback_answer(const DialbackElement& request, Type type) {
  return {request.kind, type, request.to, request.from, request.id, {}, {}, {}};
}

DialbackElement dialback_error(const DialbackElement& request, const Error& error) {
  DialbackElement answer = dialback_answer(request, Type::kError);
  answer.condition = dialback_condition(error.code);
  answer.text = code_row(error.code).sentence;
  return answer;
}

std::string dialback_feature_xml() {
  return fmt::format("<dialback xmlns='{}'><errors/></dialback>", xmpp::ns::kDialbackFeature);
}

Result<PeerProof> DialbackIdentity::prove(const Pair& pair, const VerifyAnswer& answer,
                                          bool certificate_required) {
  if (!answer.valid) return Error{Code::kDialbackInvalid, {}};
  if (answer.certificate) return PeerProof(pair, Method::kDialbackCertificate);
  if (certificate_required)
    return Error{Code::kTlsNoCertificate, "neither the peer nor the authoritative server"};
  return PeerProof(pair, Method::kDialback);
}

Result<PeerProof> DialbackIdentity::trust_dns(const Pair& pair, const PeerRules& rules) {
  if (rules.authenticate == Authenticate::kCertificate) return Error{Code::kTlsNoCertificate, {}};
  return PeerProof(pair, Method::kDialback);
}

}  // namespace sallyport::s2s
