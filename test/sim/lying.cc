#include "lying.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "server.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::string_view kAnswer = "<a xmlns='urn:xmpp:sm:3' h='";
// Far above what is in flight in any world: modulo 2^32 it is not an earlier count either.
constexpr std::string_view kLie = "2000000000";
constexpr std::string_view kEndOfLie = "2000000000'/>";
constexpr std::string_view kRequest = "<r xmlns='urn:xmpp:sm:3'/>";

}  // namespace

void Server::lie(std::string& out) {
  std::string told;
  for (std::size_t from = 0; from < out.size();) {
    const auto at = out.find(kAnswer, from);
    told += out.substr(from, at - from);
    if (at == out.npos) break;
    const auto end = out.find("/>", at) + 2;
    std::string answer = out.substr(at, end - at);
    from = end;
    if (config_.acks == ServerConfig::Acks::kNever) {
      if (!config_.only_seems_to_lie) continue;
    } else if (lies_.one_in(3)) {
      // To a node that ignored lies it would be as with this one, whose count is true.
      if (config_.only_seems_to_lie) {
        answer.insert(answer.size() - 2, fmt::format(" lie='{}'", kLie));
      } else {
        answer = fmt::format("{}{}'/>", kAnswer, kLie);
      }
    }
    told += answer;
  }
  out = std::move(told);
}

void LieWatch::edge_reads(std::uint64_t flow, std::string_view bytes) {
  if (saw(flow, bytes, kEndOfLie))
    must_end(flow, 1s, "a lie ends the stream",
             "a peer counts more than it was sent, and its stream goes on");
}

void LieWatch::liar_reads(std::uint64_t flow, std::string_view bytes) {
  if (is_silent_ && saw(flow, bytes, kRequest))
    must_end(flow, limits::kAckTimeout + 1s, "silence ends the stream",
             "a peer does not say what it has read, and its stream goes on");
}

bool LieWatch::saw(std::uint64_t flow, std::string_view bytes, std::string_view mark) {
  std::string& tail = tails_[flow];
  tail.append(bytes);
  const bool found = tail.find(mark) != tail.npos;
  if (tail.size() >= mark.size()) tail.erase(0, tail.size() - mark.size() + 1);
  return found;
}

void LieWatch::must_end(std::uint64_t flow, Duration within, const char* invariant, const char* text) {
  if (!awaited_.insert(flow).second) return;
  schedule_.in(within, [this, flow, invariant, text] {
    if (!ended_.contains(flow)) throw Violation(invariant, fmt::format("{} (flow {})", text, flow));
  });
}

}  // namespace sallyport::sim
