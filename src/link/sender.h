// The sending half of a session: outbound channels, their stanzas in flight, and the stanzas that must be
// kept.
//
// A stanza given to `send` stays here until it is settled or abandoned. Sent or not, it waits in its channel
// in order; one that does not fit into the window or the credit is sent as soon as it does.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/shares.h"
#include "link/session_state.h"
#include "xmpp/pair_map.h"

namespace sallyport::link {

class Sender {
 public:
  explicit Sender(SessionState& shared) : shared_(shared) {}
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // The functions of LinkSession.
  bool can_send(const xmpp::Pair& pair, std::size_t stanza_bytes);
  void send(const xmpp::Pair& pair, xmpp::Stanza stanza, Ticket ticket, const Provenance& provenance,
            Attempt attempt);
  std::vector<Unsettled> abandon();
  bool withdraw(const xmpp::Pair& pair, Ticket ticket);
  std::size_t unsettled_bytes() const { return held_bytes_; }
  std::size_t unsettled() const;

  // Handle one frame each. Errors: kLinkFrame.
  Result<void> handle_ack(std::uint64_t position);
  Result<void> handle_settle(const frame::Settle& settle, Time now);
  Result<void> handle_settle_ahead(const frame::SettleAhead& ahead);
  Result<void> handle_window(const frame::Window& window);

  // The session is resumed: writes everything unacknowledged again.
  void replay();
  // A new session: nothing was sent in it, no channel is open; all stanzas kept here wait to be sent again,
  // but those that were sent before and that `may_repeat` (if it is not empty) is false for: NotRepeated.
  // Returns how many of the others were sent before.
  using MayRepeat = std::function<bool(const xmpp::Pair&, const xmpp::Stanza&, Ticket)>;
  std::uint64_t start_anew(const MayRepeat& may_repeat);
  // The session is up: sends waiting stanzas as far as allowed, and notifies waiting owners.
  void resume();

  // Closes channels without traffic for limits::kChannelIdle.
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;

 private:
  struct Slot {
    Ticket ticket;
    std::uint64_t order;                 // among all stanzas of this sender
    std::optional<xmpp::Stanza> stanza;  // nothing: abandoned, or settled ahead of others
    std::uint32_t credit;                // its cost, also without the stanza: the receiver may have it
    std::uint64_t provenance;            // its index among the channel's provenances
    bool sent_ever;
    Attempt attempt;
    bool told = false;  // settled ahead of others
  };
  // The channels of one peer, a remote domain and all that share its parent: no peer holds all of the link's
  // credit or channels, however slowly it reads (limits::kPeerShareOf).
  struct Peer {
    std::uint32_t in_flight = 0;  // of all its channels
    std::uint32_t busy = 0;       // channels that are open and not idle
    std::uint32_t channels = 0;   // that point to this peer
    // `can_send` returned false because of the peer's share: owners are notified when `in_flight` is this
    // low.
    std::optional<std::uint32_t> notify_at{};
  };
  using Peers = std::map<std::string, Peer, std::less<>>;
  struct Channel {
    explicit Channel(xmpp::Pair p) : pair(std::move(p)) { provenances.push_back({}); }
    xmpp::Pair pair;
    Peer* peer = nullptr;
    std::uint64_t id = 0;  // 0: not open
    Ring<Slot, 16 * 1024> slots;
    std::size_t sent = 0;              // of the slots, from the front
    std::size_t acked = 0;             // of those, from the front
    std::uint64_t first_sequence = 1;  // of the front slot
    std::uint32_t window = limits::kChannelWindowInitialBytes;
    std::uint32_t in_flight = 0;
    // The provenances that the slots refer to, and the latest; numbered from `first_provenance`. The last
    // OPEN frame announced the one with the number `announced`.
    Ring<Provenance> provenances;
    std::uint64_t first_provenance = 0;
    std::optional<std::uint64_t> announced;
    bool in_backlog = false;
    // A list of the open channels without unsettled stanzas, longest idle first.
    bool idle = false;
    Time idle_since{};
    Channel* idle_previous = nullptr;
    Channel* idle_next = nullptr;
  };

  Channel* find(const xmpp::Pair& pair);
  static std::uint64_t note_provenance(Channel& channel, const Provenance& provenance);
  static void forget_provenances(Channel& channel);
  bool channel_has_room(const Channel& channel, std::uint32_t credit) const;
  bool link_has_room(std::uint32_t credit) const { return in_flight_ + credit <= limits::kLinkCreditBytes; }
  // Return whether the peer has room within its share for so much credit, and for one more channel. nullptr:
  // the peer holds nothing.
  bool peer_has_credit(const Peer* peer, std::uint32_t credit) const;
  bool peer_has_channel(const Peer* peer) const;
  Peer* peer_of(const xmpp::Pair& pair, const Channel* channel);
  void join(Channel& channel);
  void leave(Channel& channel);
  void note_busy(Channel& channel, bool busy);
  bool has_room(const Channel* channel, const Peer* peer, std::uint32_t credit) const;
  void note_waiting(Peer* peer, std::uint32_t credit);
  bool open(Channel& channel, std::uint64_t provenance);
  void close(Channel& channel);
  void pump(Channel& channel);
  void pump_backlog();
  void write(Channel& channel, const Slot& slot);
  void abandon_slot(Channel& channel, std::size_t index);
  Result<void> settle(const frame::Run& run, Time now);
  void notify_writable(const Channel& channel);
  void notify_all_writable();
  void become_idle(Channel& channel, Time now);
  void stop_idling(Channel& channel);

  SessionState& shared_;
  Peers peers_;
  std::uint32_t busy_ = 0;  // channels that are open and not idle
  // Entries do not move: the other containers point to them.
  xmpp::PairMap<Channel> channels_;
  IndexedMap<std::uint64_t, Channel*> open_;
  std::uint64_t last_id_ = 0;
  std::uint64_t last_order_ = 0;
  std::uint32_t in_flight_ = 0;
  std::size_t held_bytes_ = 0;
  std::vector<Channel*> backlog_;  // with unsent stanzas
  Channel* idle_front_ = nullptr;
  Channel* idle_back_ = nullptr;
  // Pairs for which `can_send` returned false, with the credit that they asked for.
  std::unordered_map<xmpp::Pair, std::uint32_t> waiting_;
  bool link_was_full_ = false;  // some of them wait for the link, not for their channel
  bool peer_has_room_ = false;  // a peer's share has room again: notify the pairs that wait for it
};

}  // namespace sallyport::link
