#include "net/chain_usage.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>

#include "net/openssl.h"

namespace sallyport::net {
namespace {

struct Purpose {
  int number;                    // OpenSSL's
  std::uint32_t extended_usage;  // XKU_*
  std::uint32_t key_usage;       // KU_*: one of these is enough for a leaf
  int netscape_type;             // NS_*: of a leaf
};
constexpr Purpose kPurposes[] = {
    {X509_PURPOSE_SSL_SERVER, XKU_SSL_SERVER | XKU_SGC,
     KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT | KU_KEY_AGREEMENT, NS_SSL_SERVER},
    {X509_PURPOSE_SSL_CLIENT, XKU_SSL_CLIENT, KU_DIGITAL_SIGNATURE | KU_KEY_AGREEMENT, NS_SSL_CLIENT},
};

// The first byte of the Netscape certificate type; nothing where the certificate has none.
std::optional<int> netscape_type(X509* certificate) {
  auto* bits =
      static_cast<ASN1_BIT_STRING*>(X509_get_ext_d2i(certificate, NID_netscape_cert_type, nullptr, nullptr));
  if (bits == nullptr) return std::nullopt;
  const int first = ASN1_STRING_length(bits) > 0 ? ASN1_STRING_get0_data(bits)[0] : 0;
  ASN1_BIT_STRING_free(bits);
  return first;
}

// OpenSSL's own purposes do not count anyExtendedKeyUsage, so the same checks are made here without them.
bool allows_as_any(X509* certificate, bool is_authority, const Purpose& purpose) {
  if ((X509_get_extended_key_usage(certificate) & XKU_ANYEKU) == 0) return false;
  const auto type = netscape_type(certificate);
  if (is_authority) return !type || (*type & NS_SSL_CA) != 0;
  if ((X509_get_key_usage(certificate) & purpose.key_usage) == 0)
    return false;  // all bits without the extension
  return !type || (*type & purpose.netscape_type) != 0;
}

bool allows(X509* certificate, bool is_authority, const Purpose& purpose) {
  const auto usage = X509_get_extended_key_usage(certificate);  // all bits without the extension
  const bool is_named = (usage & purpose.extended_usage) != 0;
  // For an authority OpenSSL answers with more than 1 where it is an authority only by old custom (a version
  // 1 root); X509_verify_cert accepts such a certificate as the anchor alone.
  if (is_named) return X509_check_purpose(certificate, purpose.number, is_authority ? 1 : 0) > 0;
  return allows_as_any(certificate, is_authority, purpose);
}

// The first certificate that does not allow the purpose; -1 if all allow it.
int first_against(STACK_OF(X509) * chain, const Purpose& purpose) {
  for (int i = 0; i < sk_X509_num(chain); ++i)
    if (!allows(sk_X509_value(chain, i), i > 0, purpose)) return i;
  return -1;
}

}  // namespace

Result<void> check_chain_usage(STACK_OF(X509) * chain) {
  int furthest = 0;
  for (const Purpose& purpose : kPurposes) {
    const int against = first_against(chain, purpose);
    if (against < 0) return {};
    furthest = std::max(furthest, against);
  }
  if (furthest == 0) {
    return Error{Code::kTlsUntrusted,
                 "the certificate is not for TLS servers or clients (its key usage or extended key usage)"};
  }
  return Error{Code::kTlsUntrusted, "the certificate authority at depth " + std::to_string(furthest) +
                                        " may not sign certificates for TLS (its extended key usage)"};
}

}  // namespace sallyport::net
