// OpenSSL's algorithms for handshakes with peers, in a library context of their own that knows fewer kinds of
// keys and fewer ways to read one.
//
// For each certificate OpenSSL 3.0 searches its forty decoders for one that reads the public key, which takes
// longer than verifying two signatures. A peer's certificate has its key as a SubjectPublicKeyInfo (RFC 5280
// 4.1) of a kind that TLS can sign with, so this context has only the decoders for those. Everything else
// comes from OpenSSL's default provider.
#pragma once

struct ossl_lib_ctx_st;

namespace sallyport::net {

// One for the process, made by the first call and freed at the end of the process. Null, OpenSSL's default
// context, where it cannot be made, or where the system uses the FIPS provider, which must not be bypassed.
ossl_lib_ctx_st* handshake_library();

}  // namespace sallyport::net
