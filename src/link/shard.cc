#include "link/shard.h"

#include <fmt/format.h>

#include <charconv>

#include "base/limits.h"

namespace sallyport::link {
namespace {

constexpr std::string_view kProtocol = "sallyport-link/1/";

}  // namespace

std::string alpn_of(const Shard& shard) {
  return fmt::format("{}{}/{}", kProtocol, shard.number, shard.count);
}

std::optional<Shard> parse_alpn(std::string_view name) {
  if (!name.starts_with(kProtocol)) return std::nullopt;
  const char* const end = name.data() + name.size();
  Shard shard;
  const auto number = std::from_chars(name.data() + kProtocol.size(), end, shard.number);
  if (number.ec != std::errc() || number.ptr == end || *number.ptr != '/') return std::nullopt;
  const auto count = std::from_chars(number.ptr + 1, end, shard.count);
  if (count.ec != std::errc() || count.ptr != end) return std::nullopt;
  if (shard.number >= shard.count || shard.count > limits::kShardsMax) return std::nullopt;
  // Only one spelling is accepted: no leading zeros.
  return name == alpn_of(shard) ? std::optional(shard) : std::nullopt;
}

}  // namespace sallyport::link
