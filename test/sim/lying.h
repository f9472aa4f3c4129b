// A peer with stream management (XEP-0198) that lies: it counts more stanzas than it was sent, or never says
// what it has read. The node must end the stream, whichever it is, and nothing else suffers by it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "schedule.h"

namespace sallyport::sim {

class LieWatch {
 public:
  explicit LieWatch(Schedule& schedule) : schedule_(schedule) {}

  // An edge reads what the liar writes, and the liar what an edge writes.
  void edge_reads(std::uint64_t flow, std::string_view bytes);
  void liar_reads(std::uint64_t flow, std::string_view bytes);
  // The liar's node answers no `<r/>` at all.
  void expect_silence() { is_silent_ = true; }
  // The connection of the flow is over.
  void ended(std::uint64_t flow) { ended_.insert(flow); }

 private:
  bool saw(std::uint64_t flow, std::string_view bytes, std::string_view mark);
  void must_end(std::uint64_t flow, Duration within, const char* invariant, const char* text);

  Schedule& schedule_;
  bool is_silent_ = false;
  std::map<std::uint64_t, std::string> tails_;
  std::set<std::uint64_t> ended_;
  std::set<std::uint64_t> awaited_;  // flows whose end is checked already
};

}  // namespace sallyport::sim
