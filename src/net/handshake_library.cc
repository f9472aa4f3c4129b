#include "net/handshake_library.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include <openssl/core_dispatch.h>
#include <openssl/provider.h>

#include "net/openssl.h"

namespace sallyport::net {

namespace {

constexpr const char* kName = "handshakes";

// The keys that TLS signs with (RFC 8446 4.2.3, RFC 8422) ...
constexpr std::string_view kSigning[] = {"EC", "RSA", "RSA-PSS", "ED25519", "ED448"};
// ... and the other algorithms that it has keys for.
constexpr std::string_view kOthers[] = {"X25519", "HKDF", "TLS1-PRF", "HMAC"};

// The ciphers that the contexts offer (RFC 9325 4.2). OpenSSL searches its list of keys more slowly the more
// ciphers there are.
constexpr std::string_view kCiphers[] = {"AES-128-GCM", "AES-256-GCM", "ChaCha20-Poly1305"};

// The default provider in a context of its own, and the part of it that another context sees.
struct Shown {
  OSSL_LIB_CTX* inner = nullptr;
  OSSL_PROVIDER* whole = nullptr;
  OSSL_LIB_CTX* library = nullptr;
  OSSL_PROVIDER* part = nullptr;
  std::vector<OSSL_DISPATCH> functions;
  std::vector<OSSL_ALGORITHM> decoders;
  std::vector<OSSL_ALGORITHM> keys;
  std::vector<OSSL_ALGORITHM> ciphers;
};
Shown& shown() {
  static Shown one;
  return one;
}

bool is_one_of(std::span<const std::string_view> kinds, const OSSL_ALGORITHM& algorithm) {
  // An algorithm has several names; the first is the main one.
  std::string_view names = algorithm.algorithm_names;
  return std::find(kinds.begin(), kinds.end(), names.substr(0, names.find(':'))) != kinds.end();
}

bool reads_peers_keys(const OSSL_ALGORITHM& decoder) {
  return is_one_of(kSigning, decoder) &&
         std::string_view(decoder.property_definition).find("structure=SubjectPublicKeyInfo") !=
             std::string_view::npos;
}

bool is_of_handshakes(const OSSL_ALGORITHM& key) {
  return is_one_of(kSigning, key) || is_one_of(kOthers, key);
}

bool is_offered(const OSSL_ALGORITHM& cipher) { return is_one_of(kCiphers, cipher); }

const OSSL_ALGORITHM* query(void*, int operation, int* no_cache) {
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_DECODER:
      return shown().decoders.data();
    case OSSL_OP_KEYMGMT:
      return shown().keys.data();
    case OSSL_OP_CIPHER:
      return shown().ciphers.data();
    default:
      return OSSL_PROVIDER_query_operation(shown().whole, operation, no_cache);
  }
}

std::vector<OSSL_ALGORITHM> part_of(int operation, bool (*is_kept)(const OSSL_ALGORITHM&)) {
  std::vector<OSSL_ALGORITHM> kept;
  int no_cache = 0;
  const OSSL_ALGORITHM* one = OSSL_PROVIDER_query_operation(shown().whole, operation, &no_cache);
  for (; one != nullptr && one->algorithm_names != nullptr; ++one)
    if (is_kept(*one)) kept.push_back(*one);
  kept.push_back({});
  return kept;
}

void read_whole() {
  shown().decoders = part_of(OSSL_OP_DECODER, reads_peers_keys);
  shown().keys = part_of(OSSL_OP_KEYMGMT, is_of_handshakes);
  shown().ciphers = part_of(OSSL_OP_CIPHER, is_offered);
  const OSSL_DISPATCH* function = OSSL_PROVIDER_get0_dispatch(shown().whole);
  for (; function != nullptr && function->function_id != 0; ++function) {
    // Unloading this part must not unload the whole provider.
    bool is_ours = function->function_id == OSSL_FUNC_PROVIDER_QUERY_OPERATION ||
                   function->function_id == OSSL_FUNC_PROVIDER_TEARDOWN;
    if (!is_ours) shown().functions.push_back(*function);
  }
  shown().functions.push_back({OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query)});
  shown().functions.push_back({});
}

int begin(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** functions, void** context) {
  *functions = shown().functions.data();
  *context = OSSL_PROVIDER_get0_provider_ctx(shown().whole);
  return 1;
}

// The context that sees a part is freed before the whole.
void end() {
  OSSL_PROVIDER_unload(shown().part);
  OSSL_LIB_CTX_free(shown().library);
  OSSL_PROVIDER_unload(shown().whole);
  OSSL_LIB_CTX_free(shown().inner);
}

OSSL_LIB_CTX* make() {
  if (OSSL_PROVIDER_available(nullptr, "fips") == 1) return nullptr;
  shown().inner = OSSL_LIB_CTX_new();
  shown().whole = OSSL_PROVIDER_load(shown().inner, "default");
  shown().library = OSSL_LIB_CTX_new();
  if (shown().whole != nullptr) {
    read_whole();
    if (OSSL_PROVIDER_add_builtin(shown().library, kName, begin) == 1)
      shown().part = OSSL_PROVIDER_load(shown().library, kName);
    // Freed with OpenSSL itself.
    if (shown().part != nullptr && OPENSSL_atexit(end) == 1) return shown().library;
  }
  ERR_clear_error();
  return nullptr;
}

}  // namespace

OSSL_LIB_CTX* handshake_library() {
  static OSSL_LIB_CTX* const kLibrary = make();
  return kLibrary;
}

}  // namespace sallyport::net
