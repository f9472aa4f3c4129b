#include "s2s/stream_limits.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "base/limits.h"

namespace sallyport::s2s {
namespace {

// xs:positiveInteger without a sign; white space around it does not count (XML Schema part 2, 4.3.6).
std::optional<std::uint64_t> number_in(const xmpp::Element& limits, std::string_view name) {
  const xmpp::Element* child = limits.child(xmpp::ns::kLimits, name);
  if (child == nullptr || !child->children.empty()) return std::nullopt;
  constexpr std::string_view kSpace = " \t\r\n";
  std::string_view text = child->text;
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  text = text.substr(0, text.find_last_not_of(kSpace) + 1);
  if (text.empty() || text.size() > limits::kStreamLimitDigitsMax) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

}  // namespace

std::string limits_feature_xml() {
  return fmt::format("<limits xmlns='{}'><max-bytes>{}</max-bytes><idle-seconds>{}</idle-seconds></limits>",
                     xmpp::ns::kLimits, limits::kStanzaBytesMax,
                     std::chrono::duration_cast<std::chrono::seconds>(limits::kStreamIdleTimeout).count());
}

StreamLimits stream_limits(const xmpp::Element& features) {
  const xmpp::Element* said = features.child(xmpp::ns::kLimits, "limits");
  if (said == nullptr) return {};
  StreamLimits found;
  if (const auto bytes = number_in(*said, "max-bytes")) found.max_bytes = *bytes;
  if (const auto seconds = number_in(*said, "idle-seconds"))
    found.idle = std::chrono::seconds(static_cast<std::int64_t>(*seconds));
  return found;
}

Duration idle_timeout(const StreamLimits& limits) {
  const Duration ours = limits::kStreamIdleTimeout;
  if (!limits.idle) return ours;
  return std::min(ours, std::max<Duration>(*limits.idle - limits::kPeerIdleMargin, *limits.idle * 3 / 4));
}

}  // namespace sallyport::s2s
