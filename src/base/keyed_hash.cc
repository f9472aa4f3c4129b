#include "base/keyed_hash.h"

namespace sallyport {
namespace {

// Accessed only before other threads run, and by the thread that seals it.
constinit HashKey process_key{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
constinit bool is_sealed = false;

HashKey derived(const HashKey& key, std::string_view first, std::string_view second) {
  return {siphash<2, 4>(key, first), siphash<2, 4>(key, second)};
}

}  // namespace

bool set_hash_key(const HashKey& key) {
  if (is_sealed) return false;
  process_key = key;
  return true;
}

keyed::Keys keyed::seal() {
  is_sealed = true;
  Keys keys{derived(process_key, "text 0", "text 1"), derived(process_key, "number 0", "number 1"),
            derived(process_key, "pair 0", "pair 1")};
  keys.number.k1 |= 1;  // an odd factor loses no bit of what it multiplies
  return keys;
}

std::uint64_t keyed_hash(std::string_view text) { return siphash<1, 3>(keyed::keys().text, text); }

}  // namespace sallyport
