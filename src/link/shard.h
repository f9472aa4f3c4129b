// Which shard of its core a connection of the link belongs to: the ALPN name (RFC 7301) that a core with
// several shards offers (docs/link-protocol.md "Shards").
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::link {

struct Shard {
  std::size_t number = 0;
  std::size_t count = 1;
  bool operator==(const Shard&) const = default;
};

// "sallyport-link/1/0/2": of the shard 0 of 2.
std::string alpn_of(const Shard& shard);
// Nothing where `alpn_of` would not have written it: another protocol, a number that is not below the count,
// a count above limits::kShardsMax.
std::optional<Shard> parse_alpn(std::string_view name);

}  // namespace sallyport::link
