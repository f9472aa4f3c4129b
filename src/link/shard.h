// The shard of a core that a link connection belongs to: the ALPN name (RFC 7301) that a core with several
// shards offers (docs/link-protocol.md "Shards").
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

// Returns "sallyport-link/1/0/2" for shard 0 of 2.
std::string alpn_of(const Shard& shard);
// Returns nothing for names that `alpn_of` does not write: another protocol, a number that is not below the
// count, a count above limits::kShardsMax.
std::optional<Shard> parse_alpn(std::string_view name);

}  // namespace sallyport::link
