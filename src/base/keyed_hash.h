// Hashes for tables whose keys a peer can choose: domain names, addresses, channel numbers. All of them
// depend on one secret key of the process, so that no peer can choose keys that fall into one place of a
// table and make each search in it read thousands of entries.
//
// Texts are hashed by SipHash-1-3. SipHash-2-4 is meant for message authentication, where an attacker sees
// results; here a result is only used as a place in memory and is never shown, stored or sent. For that use
// 1-3 costs half as much (Rust, Python and Ruby hash the keys of their tables by it for the same reason).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/siphash.h"

namespace sallyport {

// Sets the process's key. The daemon sets a random key before it does anything else; without a call the key
// is a fixed one, so that tests, the simulation and the benchmarks are repeatable. Returns false and changes
// nothing if something has been hashed already: under another key the entries of a table would not be found.
// Not thread-safe: call it before any other thread runs.
[[nodiscard]] bool set_hash_key(const HashKey& key);

namespace keyed {

// Keys derived from the process's key, one for each use.
struct Keys {
  HashKey text;
  HashKey number;
  HashKey pair;
};
// Seals the process's key: it cannot be changed from now on.
Keys seal();
inline const Keys& keys() {
  static const Keys kKeys = seal();
  return kKeys;
}

// The exclusive or of the two halves of the product of two numbers: not linear in either of them.
__extension__ typedef unsigned __int128 Product;
inline std::uint64_t folded(std::uint64_t a, std::uint64_t b) {
  const Product product = static_cast<Product>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace keyed

std::uint64_t keyed_hash(std::string_view text);

// Hashes a number that a peer may have chosen, such as that of a channel.
inline std::uint64_t keyed_hash(std::uint64_t number) {
  const HashKey& key = keyed::keys().number;
  return keyed::folded(number ^ key.k0, key.k1);
}

// Hashes two results of `keyed_hash(text)`, in this order. A peer knows neither of them nor the key, and the
// result is not a sum: similar hashes of two first names do not lead to similar places of their pairs.
inline std::uint64_t keyed_hash(std::uint64_t first, std::uint64_t second) {
  const HashKey& key = keyed::keys().pair;
  return keyed::folded(first ^ key.k0, second ^ key.k1);
}

// The hash of unordered containers. A text is found by its content, whichever type holds it.
struct KeyedHash {
  using is_transparent = void;
  // Not noexcept: the standard library then keeps the hash beside each entry.
  std::size_t operator()(std::string_view text) const { return keyed_hash(text); }
  std::size_t operator()(std::uint64_t number) const { return keyed_hash(number); }
};

template <typename T>
using TextMap = std::unordered_map<std::string, T, KeyedHash, std::equal_to<>>;
using TextSet = std::unordered_set<std::string, KeyedHash, std::equal_to<>>;
// The container does not own the texts; they outlive it.
template <typename T>
using TextViewMap = std::unordered_map<std::string_view, T, KeyedHash>;
using TextViewSet = std::unordered_set<std::string_view, KeyedHash>;

}  // namespace sallyport
