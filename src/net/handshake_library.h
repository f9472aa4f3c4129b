// OpenSSL's algorithms for handshakes with peers, in a library context of their own that knows fewer kinds of
// keys and fewer ways to read one.
//
// OpenSSL 3.0 finds out for each certificate anew which of its forty decoders might read the public key in
// it, which takes longer than verifying two signatures. A peer's certificate has its key as a
// SubjectPublicKeyInfo (RFC 5280 4.1) of a kind that TLS can sign with, so that here the decoders of those
// are the only ones. Everything else is that of OpenSSL's default provider, which does the work.
#pragma once

struct ossl_lib_ctx_st;

namespace sallyport::net {

// One for the process, made by the first call and freed at the end of the process. Null, which means
// OpenSSL's default one, where it cannot be made, or where the system is set up to use the FIPS provider,
// which is not to be gone around.
ossl_lib_ctx_st* handshake_library();

}  // namespace sallyport::net
