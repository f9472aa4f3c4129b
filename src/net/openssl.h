// Owning pointers for OpenSSL's objects, and its error queue as text. For the .cc files of this layer only.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace sallyport::net {

template <auto kFree>
struct OpensslFree {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
template <typename T, auto kFree>
using OpensslPtr = std::unique_ptr<T, OpensslFree<kFree>>;

using X509Ptr = OpensslPtr<X509, X509_free>;
using PkeyPtr = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;  // clears the key's numbers as it frees them
using BioPtr = OpensslPtr<BIO, BIO_free_all>;
using StorePtr = OpensslPtr<X509_STORE, X509_STORE_free>;
using RequestPtr = OpensslPtr<X509_REQ, X509_REQ_free>;
// Frees the stack but not its elements, which have other owners. (OpenSSL's sk_*_free are macros.)
inline void free_stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }
inline void free_extensions(STACK_OF(X509_EXTENSION) * stack) { sk_X509_EXTENSION_free(stack); }
using ChainPtr = OpensslPtr<STACK_OF(X509), free_stack>;
using ExtensionsPtr = OpensslPtr<STACK_OF(X509_EXTENSION), free_extensions>;
using GeneralNamesPtr = OpensslPtr<GENERAL_NAMES, GENERAL_NAMES_free>;

// Empties this thread's error queue and returns it, oldest first: "reason; reason". "unknown" when the queue
// is empty.
std::string openssl_reasons();

// Reads the bytes in place; they outlive the BIO.
BioPtr read_bio(std::string_view bytes);
std::string bio_text(BIO* bio);

// Answers "no passphrase" where OpenSSL would ask on the terminal.
int no_passphrase(char* buffer, int size, int writing, void* data);

}  // namespace sallyport::net
