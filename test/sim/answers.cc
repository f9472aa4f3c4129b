// Whether an answer may have the code that it has, by what went wrong in the world.
#include <algorithm>

#include "base/limits.h"
#include "ledger.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

void Ledger::check_code(const Entry& entry, std::uint64_t number, const xmpp::Stanza& stanza) const {
  const auto says = [&stanza](Code code) {
    return stanza.xml().find(code_row(code).sentence) != std::string_view::npos;
  };
  // The clock shows whole seconds.
  if (says(Code::kDeliveryExpired) && longest_age(entry.sent) <= lifetime_ - 1s)
    violated("expires", number, "it expired before its time");
  if ((says(Code::kStreamShutdown) || says(Code::kLinkDown)) && is_only_drained(entry.sent))
    violated("drain", number, "it is answered because an edge is drained");
}

// How old what was sent then may have seemed, at some time until now, by a clock that was set meanwhile.
Duration Ledger::longest_age(Time sent) const {
  // It was accepted when the clock was as far behind as ever since, and looked at when it was most ahead.
  Duration least{}, gained{};
  for (const auto& [at, offset] : clock_) {
    if (at <= sent) {
      least = offset;
    } else {
      least = std::min<Duration>(least, offset);
      gained = std::max<Duration>(gained, offset - least);
    }
  }
  return schedule_.now() - sent + gained;
}

// One edge was being drained, and nothing else kept the stanza from the other.
bool Ledger::is_only_drained(Time sent) const {
  if (std::ranges::none_of(drains_, [&](Time at) { return at <= sent; })) return false;
  const Time since = sent - limits::kLinkDeadAfter - limits::kLinkSessionKept;
  return !died_between(since, schedule_.now()) &&
         std::ranges::none_of(link_breaks_, [&](const auto& each) { return each.second >= since; });
}

}  // namespace sallyport::sim
