#include "s2s/identity.h"

#include <algorithm>
#include <span>

#include "base/limits.h"
#include "s2s/stream.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {
namespace {

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80 && c != '\0'; });
}

bool is_domain(std::string_view text, const xmpp::Domain& domain) {
  if (text.find('*') != std::string_view::npos) return false;
  const Result<xmpp::Domain> parsed = xmpp::Domain::parse(text);
  return parsed && *parsed == domain;
}

// RFC 9525 6.3. An IA5String: a name with other bytes is not a DNS-ID.
bool dns_id_names(std::string_view presented, const xmpp::Domain& domain) {
  if (!is_ascii(presented)) return false;
  if (!presented.starts_with("*.")) return is_domain(presented, domain);
  // The wildcard is exactly one label: the part behind the reference's first dot is compared.
  const std::string& reference = domain.ascii();
  const std::size_t dot = reference.find('.');
  if (dot == std::string::npos) return false;
  const Result<xmpp::Domain> above = xmpp::Domain::parse(std::string_view(reference).substr(dot + 1));
  return above && is_domain(presented.substr(2), *above);
}

// RFC 4985 2, RFC 6120 13.7.1.2.1: our service only, and no wildcard: it belongs to DNS-IDs.
bool srv_id_names(std::string_view presented, const xmpp::Domain& domain) {
  constexpr std::string_view kService = "_xmpp-server.";
  if (!is_ascii(presented) || presented.size() <= kService.size()) return false;
  const bool ours = std::ranges::equal(presented.substr(0, kService.size()), kService, [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b;
  });
  return ours && is_domain(presented.substr(kService.size()), domain);
}

std::string names_found(const CertificateNames& names) {
  std::string out;
  const auto append = [&out](std::string_view kind, const std::vector<std::string>& values) {
    for (const std::string& value : values) {
      if (out.size() > limits::kShownBytesMax) return;
      out.append(out.empty() ? "" : ", ").append(kind).append(value);
    }
  };
  append("", names.dns);
  append("SRV:", names.srv);
  append("XmppAddr:", names.xmpp_addr);
  return out.empty() ? "no name" : out;
}

}  // namespace

std::string_view method_name(Method method) {
  switch (method) {
    case Method::kExternal:
      return "external";
    case Method::kDialback:
      return "dialback";
    case Method::kDialbackCertificate:
      return "dialback+certificate";
    case Method::kAddress:
      return "address";
  }
  return "unknown";
}

Result<void> certificate_names_domain(const TlsFacts& facts, const xmpp::Domain& domain) {
  if (!facts.peer_certificate) return Error{Code::kTlsNoCertificate, {}};
  if (!facts.chain) return facts.chain.error();
  const CertificateNames& names = facts.names;
  if (names.dns.size() + names.srv.size() + names.xmpp_addr.size() > limits::kCertificateNamesMax) {
    return Error{Code::kTlsUntrusted, "too many names in the certificate"};
  }
  const auto any = [&domain](const std::vector<std::string>& values, auto&& names_it) {
    return std::ranges::any_of(values, [&](const std::string& value) { return names_it(value, domain); });
  };
  // RFC 6120 13.7.1.4: XmppAddr is UTF-8, U-labels allowed; a server's is a bare domain.
  if (any(names.dns, dns_id_names) || any(names.srv, srv_id_names) || any(names.xmpp_addr, is_domain))
    return {};
  return Error{Code::kTlsNameMismatch,
               bounded("wanted " + domain.ascii() + ", the certificate has " + names_found(names))};
}

Result<PeerProof> CertificateIdentity::prove(const Pair& pair, const TlsFacts& facts, Method method) {
  if (Result<void> named = certificate_names_domain(facts, pair.remote); !named)
    return std::move(named).error();
  return PeerProof(pair, method);
}

Result<PeerProof> CertificateIdentity::trust_address(const Pair& pair, const PeerRules& rules) {
  if (!rules.address_proves) return Error{Code::kTlsNoCertificate, {}};
  return PeerProof(pair, Method::kAddress);
}

}  // namespace sallyport::s2s
