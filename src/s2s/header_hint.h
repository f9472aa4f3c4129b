// Guesses from the first bytes of a connection which domain its stream is for; the guess decides which shard
// carries it (docs/shards.md "A shard is a whole node").
//
// This is not a parser. A wrong or missing hint makes a stream run in another thread and changes nothing
// else, so it looks for one attribute only; any bytes are harmless.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::s2s {

// The value of that attribute in the first element of `bytes`, in lower case and without a dot behind it;
// empty when there is none that could be a domain. Nothing while more bytes may tell, which ends with
// limits::kStreamHeaderBytesMax of them.
std::optional<std::string> header_hint(std::string_view bytes, std::string_view attribute);

// Returns the one of `shards` (at least one) that a domain belongs to: the same in both nodes, so that both
// directions of a pair meet (docs/link-protocol.md "Shards").
std::size_t shard_of(std::string_view domain, std::size_t shards);

}  // namespace sallyport::s2s
