// The receiving half of a session: inward channels, what of them waits for its owner's `settle`, and
// the settlements that wait to leave.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/index.h"
#include "link/line.h"
#include "xmpp/xml_stream.h"

namespace sallyport::link {

class Receiver {
 public:
  explicit Receiver(Line& line) : line_(line) {}
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // As in Session.
  void settle(const Receipt& receipt, Outcome outcome, Time now);
  void grant(const xmpp::Pair& pair, std::uint32_t window_bytes);

  // Frames. Errors: kLinkFrame.
  Result<void> handle_open(const frame::Open& open);
  Result<void> handle_close(const frame::Close& close);
  Result<void> handle_stanza(const frame::Stanza& stanza, Time now);
  Result<void> handle_void(const frame::Void& f, Time now);

  // Nothing of before counts any more: receipts are stale.
  void start_anew();

  // When settlements must leave, company or not; nothing while none waits or none may leave.
  std::optional<Time> poll_timeout() const;
  // Whether `flush` would write something.
  bool has_settlements() const { return !ready_.empty() && log_has_room(); }
  // Writes the settlements that wait, as far as the log has room for them.
  void flush();

 private:
  struct Slot {
    std::uint32_t credit;
    bool settled;
    Outcome outcome;
  };
  struct Channel {
    explicit Channel(std::shared_ptr<const Opening> by)
        : opening(std::move(by)),
          plain(xmpp::Domain::is_plain(opening->pair.local.ascii()) &&
                xmpp::Domain::is_plain(opening->pair.remote.ascii())) {}
    std::shared_ptr<const Opening> opening;  // the latest
    bool plain;
    Ring<Slot, 16 * 1024> slots;       // received, and its settlement not written
    std::uint64_t first_sequence = 1;  // of the front slot
    std::uint32_t window = limits::kChannelWindowInitialBytes;
    std::uint32_t in_flight = 0;    // of all slots
    std::size_t ready = 0;          // settled ones at the front: they may leave
    std::uint32_t ready_bytes = 0;  // of those
  };

  bool log_has_room() const { return line_.log.settlement_bytes() < limits::kSettleLogBytesMax; }
  Result<void> admit(const Channel& channel, std::uint64_t id, std::uint32_t credit) const;
  struct Judged {
    xmpp::Stanza stanza;
    bool judged;  // as in Received
  };
  Result<Judged> judge(const Channel& channel, const frame::Stanza& f);
  void settle_slot(std::uint64_t id, Channel& channel, std::size_t index, Outcome outcome, Time now);
  bool write_runs(std::uint64_t id, Channel& channel, frame::SettleWriter& writer);

  Line& line_;
  xmpp::StanzaReader reader_;
  std::uint32_t epoch_ = 1;
  std::uint64_t last_id_ = 0;
  IndexedMap<std::uint64_t, Channel> channels_;
  std::unordered_map<xmpp::Pair, std::uint64_t> by_pair_;
  std::uint32_t in_flight_ = 0;
  std::vector<std::uint64_t> ready_;  // channels whose front slot is settled, each once
  std::uint32_t ready_bytes_ = 0;     // of them all
  Time deadline_{};                   // while `ready_` is not empty
};

}  // namespace sallyport::link
