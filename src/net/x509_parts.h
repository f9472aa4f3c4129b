// Functions that build our own certificates. For the .cc files of this layer.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "net/openssl.h"

namespace sallyport::net {

PkeyPtr new_key();                    // ECDSA P-256
std::string key_text(EVP_PKEY* key);  // PKCS#8 PEM, empty when it fails; wipe after use

// A version 3 certificate with a random serial number, these dates, this key and this subject; unsigned. A
// common name longer than X.520 allows (64) is left out. Null when it fails.
X509Ptr start_certificate(const std::string& common_name, UnixTime from, UnixTime to, EVP_PKEY* key);
// An extension in OpenSSL's own notation; `value` is ours, never a peer's.
bool add_extension(X509* x, X509* issuer, int nid, const char* value);
// SANs are built as structures: in OpenSSL's notation a comma in a name would be a second name.
GeneralNamesPtr dns_names(const std::vector<std::string>& names);
bool add_dns_names(X509* x, const std::vector<std::string>& names);

UnixTime civil_time(const ASN1_TIME* time);

}  // namespace sallyport::net
