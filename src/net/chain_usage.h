// Whether a verified certificate chain may be used for TLS between servers: the checks that OpenSSL makes for
// the purposes "sslserver" and "sslclient". Each of these purposes alone is too narrow for s2s. Public
// authorities no longer issue clientAuth, and a server is a client to its peers (XEP-0178), so a chain that
// is good for either purpose is accepted in both directions.
#pragma once

#include <openssl/x509.h>

#include "base/result.h"

namespace sallyport::net {

// `chain` is a chain that X509_verify_cert has built and verified under X509_PURPOSE_ANY: the leaf first, the
// trust anchor last. It is accepted if there is one purpose, TLS server or TLS client, that every certificate
// of it allows, authorities included (RFC 5280 4.2.1.3, 4.2.1.12):
// - an extended key usage, where there is one, names that purpose or anyExtendedKeyUsage;
// - the leaf's key usage, where there is one, allows it to sign or to agree on keys;
// - a leaf's Netscape certificate type, where there is one, names that purpose. An authority's must name an
//   authority for TLS only where nothing else makes it an authority (OpenSSL's rule), or where its extended
//   key usage allows the purpose by anyExtendedKeyUsage alone; so one for mail (emailCA) is accepted.
// X509_verify_cert itself has checked basic constraints, keyCertSign and path lengths under every purpose.
// Errors: kTlsUntrusted; the text says which certificate of the chain does not allow TLS.
Result<void> check_chain_usage(STACK_OF(X509) * chain);

}  // namespace sallyport::net
