// Our end of stream management (XEP-0198) on a stream that a server opened to us: offered, and acknowledged
// when it is asked for, as a server does. Without it a node would hold back what nobody confirms, and send
// again in the next run what was on its way at the end of this one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

inline constexpr std::string_view kAcksFeature = "<sm xmlns='urn:xmpp:sm:3'/>";

// Finds `<enable`, `<r` and `<iq` in bytes that arrive in arbitrary pieces. The text of stanzas has no `<`.
class Acks {
 public:
  struct Asked {
    bool enable = false;
    bool request = false;
    std::uint32_t iqs = 0;  // questions of a node, which have no mark but count
  };
  Asked scan(std::string_view bytes) {
    Asked asked;
    for (std::size_t at = 0; at < bytes.size();) {
      if (begun_.empty()) {
        at = bytes.find('<', at);
        if (at == std::string_view::npos) break;
      }
      begun_ += bytes[at++];
      const std::string_view begun = begun_;
      if (kEnable.starts_with(begun) && begun != kEnable) continue;
      if (kRequest.starts_with(begun) && begun != kRequest) continue;
      if (kIq.starts_with(begun) && begun != kIq) continue;
      asked.enable |= begun == kEnable;
      asked.request |= begun == kRequest;
      asked.iqs += begun == kIq ? 1 : 0;
      begun_.clear();
    }
    enabled_ |= asked.enable;
    return asked;
  }
  bool enabled() const { return enabled_; }

  static std::string enabled_xml() { return "<enabled xmlns='urn:xmpp:sm:3'/>"; }
  static std::string ack_xml(std::uint32_t stanzas) {
    return "<a xmlns='urn:xmpp:sm:3' h='" + std::to_string(stanzas) + "'/>";
  }

 private:
  static constexpr std::string_view kEnable = "<enable ";
  static constexpr std::string_view kRequest = "<r ";
  static constexpr std::string_view kIq = "<iq ";
  std::string begun_;  // of a tag that may be one of these
  bool enabled_ = false;
};

}  // namespace bench
