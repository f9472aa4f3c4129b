// The receiving half of a session: inbound channels, their stanzas that the owner has not settled, and the
// settlements that are not yet sent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/index.h"
#include "link/session_state.h"
#include "xmpp/xml_stream.h"

namespace sallyport::link {

class Receiver {
 public:
  explicit Receiver(SessionState& shared) : shared_(shared) {}
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // The functions of LinkSession.
  void settle(const Receipt& receipt, Outcome outcome, Time now);
  void grant(const xmpp::Pair& pair, std::uint32_t window_bytes);

  // Handle one frame each. Errors: kLinkFrame.
  Result<void> handle_open(const frame::Open& open);
  Result<void> handle_close(const frame::Close& close);
  Result<void> handle_stanza(const frame::Stanza& stanza, Time now);
  Result<void> handle_void(const frame::Void& f, Time now);

  // Starts a new session: all receipts become stale.
  void start_anew();

  // Returns when settlements must be sent, even alone; nothing while none waits or none may be sent.
  std::optional<Time> poll_timeout() const;
  // Whether settlements wait to be written.
  bool has_waiting() const { return !ready_.empty() || !ahead_.empty(); }
  // Returns whether `flush` would write something.
  bool has_settlements() const { return has_waiting() && log_has_room(); }
  // Writes the waiting settlements, as far as the log has room for them.
  void flush(Time now);

 private:
  struct Slot {
    std::uint32_t credit;
    bool settled;
    bool told;  // ahead of the front
    Outcome outcome;
  };
  struct Channel {
    explicit Channel(std::shared_ptr<const Opening> by)
        : opening(std::move(by)),
          plain(xmpp::Domain::is_plain(opening->pair.local.ascii()) &&
                xmpp::Domain::is_plain(opening->pair.remote.ascii())) {}
    std::shared_ptr<const Opening> opening;  // the latest
    bool plain;
    Ring<Slot, 16 * 1024> slots;       // received, with an unwritten settlement
    std::uint64_t first_sequence = 1;  // of the front slot
    std::uint32_t window = limits::kChannelWindowInitialBytes;
    std::uint32_t in_flight = 0;    // of all slots
    std::size_t ready = 0;          // settled ones at the front: they may be sent
    std::uint32_t ready_bytes = 0;  // of those
    // Numbers of slots that were settled behind one that is not, and not told; some are ready meanwhile.
    std::vector<std::uint64_t> ahead;
  };

  bool log_has_room() const { return shared_.log.settlement_bytes() < limits::kSettleLogBytesMax; }
  Result<void> admit(const Channel& channel, std::uint64_t id, std::uint32_t credit) const;
  struct Validated {
    xmpp::Stanza stanza;
    bool validated;  // Received::validated
  };
  Result<Validated> validate(const Channel& channel, const frame::Stanza& f);
  void settle_slot(std::uint64_t id, Channel& channel, std::size_t index, Outcome outcome, Time now);
  void note_ahead(std::uint64_t id, Channel& channel, std::uint64_t sequence, Time now);
  void flush_ready();
  bool write_runs(std::uint64_t id, Channel& channel, frame::SettleWriter& writer);
  void flush_ahead();
  bool write_ahead(std::uint64_t id, Channel& channel);

  SessionState& shared_;
  xmpp::StanzaReader reader_;
  std::uint32_t epoch_ = 1;
  std::uint64_t last_id_ = 0;
  IndexedMap<std::uint64_t, Channel> channels_;
  std::unordered_map<xmpp::Pair, std::uint64_t> by_pair_;
  std::uint32_t in_flight_ = 0;
  std::vector<std::uint64_t> ready_;  // channels whose front slot is settled, each once
  std::uint32_t ready_bytes_ = 0;     // of all channels
  Time deadline_{};                   // while `ready_` is not empty
  std::vector<std::uint64_t> ahead_;  // channels with something in `ahead`, each once
  Time ahead_deadline_{};             // while `ahead_` is not empty
};

}  // namespace sallyport::link
